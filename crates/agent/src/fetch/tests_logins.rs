//! Passwords, for servers, for proxies and for WebSockets.

use http::StatusCode;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::test_server::{Seen, Server, answer, fetch, options};
use super::*;

#[tokio::test]
async fn basic_is_answered_on_this_machine_and_sent_unasked_when_told() {
    let server = Server::new(|_, seen| match seen.field("authorization") {
        Some("Basic bmE6cGE=") => answer("200 OK", "in"),
        _ => answer("401 x\r\nwww-authenticate: Basic realm=\"r\"", "out"),
    })
    .await;
    let fetch = fetch();
    let request = fetch.get(&server.url("/")).login("na", "pa");
    assert!(request.send().await.expect("it answers").is_success());
    let request = fetch.get(&server.url("/")).login("na", "pa");
    assert!(request.send().await.expect("it answers").is_success());
    assert_eq!(server.seen().len(), 3, "the second time nobody had to ask");
    let request = fetch.get(&server.url("/")).login("na", "wrong");
    let refused = request.send().await.expect("it answers");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.seen().len(), 5, "a wrong password is given once");
    let request = fetch.get(&server.url("/")).basic("na", "pa");
    assert!(request.send().await.expect("it answers").is_success());
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_nonce_of_digest_is_used_again_with_a_rising_count() {
    let server = Server::new(|_, seen| match seen.field("authorization") {
        Some(field) if field.starts_with("Digest ") => answer("200 OK", "in"),
        _ => answer(
            "401 x\r\nwww-authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256",
            "",
        ),
    })
    .await;
    let fetch = fetch();
    for _ in 0..2 {
        let request = fetch.post(&server.url("/x")).text("body").login("na", "pa");
        assert!(request.send().await.expect("it answers").is_success());
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let field = |at: usize| {
        seen[at]
            .field("authorization")
            .expect("it is given")
            .to_owned()
    };
    assert!(
        field(1).contains("nc=00000001") && field(1).contains("uri=\"/x\""),
        "{}",
        field(1)
    );
    assert!(field(2).contains("nc=00000002"), "{}", field(2));
    assert_eq!(seen[1].body, b"body");
}

/// The number that a request asks for, as in `GET /3`.
fn number(seen: &Seen) -> usize {
    let target = seen.line.trim_start_matches("GET /");
    target.parse().expect("the test asks for numbers")
}

#[tokio::test]
async fn many_at_a_time_keep_a_password_that_is_right_while_nonces_end() {
    let refused = std::sync::Mutex::new([0; 32]);
    let server = Server::new(move |at, seen| {
        let mut refused = refused.lock().expect("nobody panics with it");
        let times = &mut refused[number(seen)];
        let stale = match seen.field("authorization") {
            None => "false",
            Some(_) if *times < number(seen) % 5 => {
                *times += 1;
                "true"
            }
            Some(_) => return answer("200 OK", "in"),
        };
        answer(
            &format!(
                "401 x\r\nwww-authenticate: Digest realm=\"r\", nonce=\"{at}\", qop=\"auth\", stale={stale}"
            ),
            "",
        )
    })
    .await;
    let fetch = fetch();
    let ask = async |number: usize| {
        let request = fetch.get(&server.url(&format!("/{number}")));
        let answer = request.login("na", "pa").send().await;
        answer.expect("it answers").status()
    };
    let all = futures_util::future::join_all((0..32).map(ask)).await;
    assert_eq!(all, [StatusCode::OK; 32]);
}

const ASKS: &str = "407 x\r\nproxy-authenticate: Basic realm=\"r\"\r\n\
    proxy-authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";

/// A proxy that takes Digest and nothing else.
async fn digest_proxy() -> Server {
    Server::new(|_, seen| match seen.field("proxy-authorization") {
        Some(field) if field.starts_with("Digest ") => answer("200 OK", "in"),
        _ => answer(ASKS, "out"),
    })
    .await
}

fn through(proxy: &Server, login: &str) -> Fetch {
    let proxy = Proxy::parse(&format!("http://{login}@127.0.0.1:{}", proxy.port));
    let rules = ProxyRules::all(proxy.expect("it is one"), Bypass::default());
    options().proxies(rules).build().expect("no files")
}

fn logins(server: &Server) -> Vec<Option<String>> {
    let field = |seen: &Seen| seen.field("proxy-authorization").map(str::to_owned);
    server.seen().iter().map(field).collect()
}

#[tokio::test]
async fn a_proxy_is_told_who_we_are_as_it_asks_and_never_the_password_before() {
    let proxy = digest_proxy().await;
    let fetch = through(&proxy, "na:pa");
    for _ in 0..2 {
        let text = fetch.post_text("http://flower.example/x", "body").await;
        assert_eq!(text.expect("it is let in"), "in");
    }
    let given = logins(&proxy);
    let (first, second) = match &given[..] {
        [None, Some(first), Some(second)] => (first, second),
        other => panic!("{other:?}"),
    };
    assert!(first.contains("uri=\"http://flower.example/x\""), "{first}");
    assert!(first.contains("nc=00000001"), "{first}");
    assert!(second.contains("nc=00000002"), "{second}");
    assert_eq!(proxy.seen()[1].line, "POST http://flower.example/x");
    assert_eq!(proxy.seen()[1].body, b"body");
}

#[tokio::test]
async fn a_proxy_that_wants_the_password_itself_gets_it_once_it_asked() {
    let proxy = Server::new(|_, seen| match seen.field("proxy-authorization") {
        Some("Basic bmE6cGE=") => answer("200 OK", "in"),
        _ => answer("407 x\r\nproxy-authenticate: Basic realm=\"r\"", "out"),
    })
    .await;
    let known = through(&proxy, "na:pa");
    for _ in 0..2 {
        let text = known.get_text("http://flower.example/").await;
        assert_eq!(text.expect("it is let in"), "in");
    }
    let basic = Some("Basic bmE6cGE=".to_owned());
    assert_eq!(logins(&proxy), [None, basic.clone(), basic]);
    let colon = through(&proxy, "n%3Aa:pa");
    let error = colon.get_text("http://flower.example/").await;
    let error = error.expect_err("it cannot be sent").to_string();
    assert!(error.contains("holds no colon"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_for_a_proxy_is_given_once() {
    let proxy = Server::always(answer(ASKS, "out")).await;
    let answer = through(&proxy, "na:wrong")
        .get("http://flower.example/")
        .send()
        .await;
    let status = answer.expect("it is an answer").status();
    assert_eq!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    assert_eq!(proxy.seen().len(), 2);
}

#[tokio::test]
async fn a_body_that_is_read_once_waits_for_the_question_and_is_not_lost_to_it() {
    let once = || {
        let pieces = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"body"))]);
        Payload::stream(pieces, Some(4))
    };
    // Asked by the proxy: twice, because a nonce may have ended.
    let proxy = digest_proxy().await;
    let known = through(&proxy, "na:pa");
    for _ in 0..2 {
        let request = known.put("http://flower.example/").body(once());
        assert!(request.send().await.expect("it is let in").is_success());
    }
    let seen = proxy.seen();
    let bodies: Vec<&[u8]> = seen.iter().map(|seen| &seen.body[..]).collect();
    assert_eq!(bodies, [&b""[..], b"body", b"body"]);
    assert!(seen.iter().all(|seen| seen.field("expect").is_some()));
    assert_eq!(logins(&proxy)[0], None, "never the password before");

    // Asked by the server, which takes the password itself: there is nothing more to wait for.
    let server = Server::new(|_, seen| match seen.field("authorization") {
        Some("Basic bmE6cGE=") => answer("200 OK", "in"),
        _ => answer("401 x\r\nwww-authenticate: Basic realm=\"r\"", "out"),
    })
    .await;
    let fetch = fetch();
    for _ in 0..2 {
        let request = fetch.put(&server.url("/")).login("na", "pa").body(once());
        assert!(request.send().await.expect("it is let in").is_success());
    }
    let seen = server.seen();
    let came = |seen: &Seen| (seen.field("expect").is_some(), seen.body.len());
    let came: Vec<(bool, usize)> = seen.iter().map(came).collect();
    assert_eq!(came, [(true, 0), (false, 4), (false, 4)]);

    // Nobody can be asked: it is not waited.
    let open = Server::always(answer("200 OK", "in")).await;
    let request = fetch.put(&open.url("/")).body(once());
    assert!(request.send().await.expect("it answers").is_success());
    assert_eq!(open.seen()[0].field("expect"), None);
}

#[tokio::test]
async fn who_does_not_understand_the_question_is_sent_the_body_without() {
    let server = Server::new(|_, seen| match seen.field("expect") {
        Some(_) => answer("417 x", ""),
        None => answer("200 OK", "in"),
    })
    .await;
    let pieces = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"body"))]);
    for body in [Payload::stream(pieces, Some(4)), Payload::from("body")] {
        let request = fetch().put(&server.url("/")).body(body).ask_first();
        assert!(request.send().await.expect("it answers").is_success());
    }
    let bodies: Vec<usize> = server.seen().iter().map(|seen| seen.body.len()).collect();
    assert_eq!(bodies, [0, 4, 0, 4]);
    // A refusal that nothing asked for is an answer.
    let server = Server::always(answer("417 x", "")).await;
    let refused = fetch().put(&server.url("/")).bytes("body").send().await;
    let status = refused.expect("it answers").status();
    assert_eq!(status, StatusCode::EXPECTATION_FAILED);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_does_not_say_what_it_asks_for_gets_the_password_itself() {
    let proxy = Server::new(|_, seen| match seen.field("proxy-authorization") {
        Some("Basic bmE6cGE=") => answer("200 OK", "in"),
        _ => answer("407 x", "out"),
    })
    .await;
    let known = through(&proxy, "na:pa");
    let text = known.get_text("http://flower.example/").await;
    assert_eq!(text.expect("it is let in"), "in");
    let basic = Some("Basic bmE6cGE=".to_owned());
    assert_eq!(logins(&proxy), [None, basic.clone()]);
    let stranger = through(&proxy, "na:wrong");
    let status = stranger
        .get("http://flower.example/")
        .send()
        .await
        .expect("it answers")
        .status();
    assert_eq!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    assert_eq!(logins(&proxy).len(), 4, "a wrong one is given once");
    // The same before a tunnel.
    let tunnel = Server::always(answer("407 x", "out")).await;
    let known = through(&tunnel, "na:pa");
    let text = known.get_text("https://flower.example/").await;
    text.expect_err("it never opens");
    assert_eq!(logins(&tunnel), [None, basic]);
}

#[tokio::test]
async fn a_proxy_gives_the_nonce_for_the_next_request() {
    let proxy = Server::new(|_, seen| match seen.field("proxy-authorization") {
        Some(_) => answer(
            "200 OK\r\nproxy-authentication-info: nextnonce=\"n2\"",
            "in",
        ),
        None => answer(ASKS, "out"),
    })
    .await;
    let fetch = through(&proxy, "na:pa");
    for nonce in ["nonce=\"n\"", "nonce=\"n2\""] {
        let text = fetch.get_text("http://flower.example/").await;
        assert_eq!(text.expect("it is let in"), "in");
        let last = logins(&proxy).pop().flatten().expect("it was told");
        assert!(last.contains(nonce), "{last}");
    }
}

#[tokio::test]
async fn a_server_that_asks_as_a_proxy_does_is_told_nothing() {
    let server = Server::always(answer(ASKS, "out")).await;
    let request = through(&server, "na:pa")
        .get(&server.url("/"))
        .login("na", "pa");
    let status = request.send().await.expect("it is an answer").status();
    assert_eq!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    assert_eq!(logins(&server), [None]);
}

/// A server of WebSockets that asks everybody, and lets in whose field begins with this.
#[expect(clippy::result_large_err, reason = "the library asks for this type")]
async fn guarded_websocket(challenge: &'static str, welcome: &'static str) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await;
    let listener = listener.expect("this machine has ports");
    let port = listener.local_addr().expect("it is bound").port();
    let judge = move |request: &Request, answer: Response| -> Result<Response, ErrorResponse> {
        match request.headers().get("authorization") {
            Some(field) if field.as_bytes().starts_with(welcome.as_bytes()) => Ok(answer),
            _ => {
                let refusal = http::Response::builder().status(401);
                let refusal = refusal.header("www-authenticate", challenge);
                Err(refusal.body(None).expect("the fields are good"))
            }
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, judge).await else {
                continue;
            };
            use futures_util::SinkExt;
            let welcome = tokio_tungstenite::tungstenite::Message::text("in");
            let _ = socket.send(welcome).await;
        }
    });
    port
}

const DIGEST: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256";

#[tokio::test]
async fn a_websocket_is_opened_with_the_password_that_the_server_asks_for() {
    let port = guarded_websocket(DIGEST, "Digest username=\"na\"").await;
    let fetch = fetch();
    let url = format!("ws://127.0.0.1:{port}/socket?a");
    let refused = fetch
        .websocket(&url)
        .open(&[])
        .await
        .expect_err("nobody is named");
    assert_eq!(refused.status(), Some(StatusCode::UNAUTHORIZED));
    let mut socket = fetch
        .websocket(&url)
        .login("na", "pa")
        .open(&[])
        .await
        .expect("it opens");
    let welcome = Some(Message::Text("in".to_owned()));
    assert_eq!(socket.next().await.expect("it is open"), welcome);
    let refused = fetch.websocket(&url).login("no", "pa").open(&[]).await;
    let status = refused.expect_err("nobody knows that name").status();
    assert_eq!(status, Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_websocket_gets_the_password_itself_where_nobody_else_can_read_it() {
    let port = guarded_websocket("Basic realm=\"r\"", "Basic bmE6cGE=").await;
    let open = |host: &str| {
        let request = fetch().websocket(&format!("ws://{host}:{port}/"));
        request.login("na", "pa").open(&[])
    };
    open("127.0.0.1").await.expect("that is here");
    let error = open("0.0.0.0").await.expect_err("that need not be here");
    assert!(
        matches!(error, FetchError::PlainPassword { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_proxy_that_does_not_know_us_is_not_asked_again_and_again() {
    let proxy = Server::always(answer(ASKS, "out")).await;
    let error = through(&proxy, "na:wrong")
        .get_text("https://flower.example/")
        .await;
    let error = error.expect_err("it refuses");
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    let lines: Vec<String> = proxy.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["CONNECT flower.example:443"; 2]);
}

#[tokio::test]
async fn a_stranger_behind_a_redirect_is_not_told_the_password_that_it_asks_for() {
    for challenge in [
        "Basic realm=\"r\"",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
    ] {
        let asks = format!("401 x\r\nwww-authenticate: {challenge}");
        let stranger = Server::always(answer(&asks, "")).await;
        let there = format!("302 x\r\nlocation: {}", stranger.url("/"));
        let server = Server::always(answer(&there, "")).await;
        let request = fetch().get(&server.url("/")).login("na", "pa");
        let refused = request.send().await.expect("it answers");
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let seen = stranger.seen();
        assert_eq!(seen.len(), 1, "{challenge}");
        assert_eq!(seen[0].field("authorization"), None);
    }
}
