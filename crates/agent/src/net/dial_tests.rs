use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::client_tls::{ClientCertificate, Trust};
use super::super::test_authority::{Authority, clock};
use super::super::websocket::{Opening, WebSocket, WebSocketError};
use super::super::websocket_messages::Message;
use super::*;

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn localhost() -> Host {
    Host::Name("localhost".to_owned())
}

fn loopback() -> Host {
    Host::parse("127.0.0.1").expect("it is an address")
}

/// Sends back every byte.
async fn echo(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut bytes = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..read]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn serve_tls(acceptor: TlsAcceptor) -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                echo(stream).await;
            }
        }
    });
    port
}

async fn assert_echoes(mut link: Link) {
    link.write_all(b"hello").await.expect("it is open");
    link.flush().await.expect("it is open");
    let mut bytes = [0; 5];
    link.read_exact(&mut bytes).await.expect("it comes back");
    assert_eq!(&bytes, b"hello");
}

fn trusting(authority: &Authority) -> Arc<ClientTls> {
    let tls = ClientTls::builder(&clock())
        .trust(Trust::Only(vec![authority.file()]))
        .protocols(&["http/1.1"]);
    Arc::new(tls.build().expect("the file is there"))
}

async fn dialed(target: &Target) -> Result<Link, DialError> {
    dial(target, &Patience::default()).await
}

async fn tls_failure(target: &Target) -> TlsFailure {
    match dialed(target).await {
        Err(DialError::Tls { failure, .. }) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_without_tls_carries_bytes_and_knows_its_peer() {
    let (listener, port) = listen().await;
    tokio::spawn(async move { echo(listener.accept().await.expect("we connect").0).await });
    let link = dialed(&Target::new(localhost(), port))
        .await
        .expect("it listens");
    assert_eq!(link.peer().map(|peer| peer.port()), Some(port));
    assert_eq!(link.alpn(), None);
    assert_echoes(link).await;
}

#[tokio::test]
async fn a_closed_port_is_told_with_its_address() {
    let error = dialed(&Target::new(loopback(), 1))
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, DialError::Connect { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("127.0.0.1:1 cannot be connected to: "),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_without_an_address_is_told_apart() {
    let host = Host::Name("no-such-host.invalid".to_owned());
    let error = dialed(&Target::new(host, 1))
        .await
        .expect_err("it is reserved");
    assert!(matches!(error, DialError::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_is_agreed_on_with_a_server_of_our_own_authority() {
    let authority = Authority::new();
    let port = serve_tls(authority.server(&authority.issue("localhost"))).await;
    let target = Target::new(localhost(), port).tls(trusting(&authority));
    let link = dialed(&target).await.expect("it is trusted");
    assert_eq!(link.alpn(), Some(&b"http/1.1"[..]));
    assert_echoes(link).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    let authority = Authority::new();
    let port = serve_tls(authority.server(&authority.issue("localhost"))).await;
    let trusted = trusting(&authority);
    let other_name = Target::new(loopback(), port).tls(trusted.clone());
    assert_eq!(tls_failure(&other_name).await, TlsFailure::WrongName);
    let stranger = Target::new(localhost(), port).tls(trusting(&Authority::new()));
    assert_eq!(tls_failure(&stranger).await, TlsFailure::UnknownAuthority);
    let port = serve_tls(authority.server(&authority.issue_expired("localhost"))).await;
    let expired = Target::new(localhost(), port).tls(trusted.clone());
    assert_eq!(tls_failure(&expired).await, TlsFailure::Expired);
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("we connect");
        let _ = stream.write_all(b"SSH-2.0-here\r\n").await;
        echo(stream).await;
    });
    let other = Target::new(localhost(), port).tls(trusted);
    assert_eq!(tls_failure(&other).await, TlsFailure::NotTls);
}

#[tokio::test]
async fn anybody_is_believed_only_when_that_was_said() {
    let authority = Authority::new();
    let port = serve_tls(authority.server(&authority.issue_expired("elsewhere.example"))).await;
    let tls = ClientTls::builder(&clock()).danger_accept_any_certificate();
    let target = Target::new(localhost(), port).tls(Arc::new(tls.build().expect("no files")));
    assert_echoes(dialed(&target).await.expect("anybody will do")).await;
}

#[tokio::test]
async fn a_name_to_check_may_differ_from_the_host() {
    let authority = Authority::new();
    let port = serve_tls(authority.server(&authority.issue("pump.example"))).await;
    let tls = ClientTls::builder(&clock())
        .trust(Trust::Only(vec![authority.file()]))
        .server_name("pump.example");
    let tls = Arc::new(tls.build().expect("the file is there"));
    let link = dialed(&Target::new(loopback(), port).tls(tls)).await;
    assert_echoes(link.expect("the name fits")).await;
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_learns_when_it_should_have() {
    let authority = Authority::new();
    let port = serve_tls(authority.server_for_clients(&authority.issue("localhost"))).await;
    let (certificate, key) = authority.issue_files("device");
    let ours = ClientCertificate::from_files(&certificate, &key).expect("they are there");
    let tls = ClientTls::builder(&clock())
        .trust(Trust::Only(vec![authority.file()]))
        .certificate(Some(ours));
    let tls = Arc::new(tls.build().expect("the file is there"));
    let known = dialed(&Target::new(localhost(), port).tls(tls)).await;
    assert_echoes(known.expect("we have one")).await;
    let unknown = Target::new(localhost(), port).tls(trusting(&authority));
    let mut link = dialed(&unknown).await.expect("the refusal comes later");
    let error = link.read_u8().await.expect_err("it is refused");
    assert_eq!(
        TlsFailure::of(&error),
        Some(TlsFailure::CertificateRequired)
    );
}

/// A proxy that reads what it is told up to `until`, answers each piece, and then leads to `port`.
async fn proxy(
    script: Vec<(usize, Vec<u8>)>,
    port: u16,
) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let (listener, own_port) = listen().await;
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("we connect");
        let mut heard = Vec::new();
        for (bytes, answer) in script {
            let mut piece = vec![0; bytes];
            stream
                .read_exact(&mut piece)
                .await
                .expect("the client speaks");
            heard.extend(piece);
            stream.write_all(&answer).await.expect("the client listens");
        }
        if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        }
        heard
    });
    (own_port, heard)
}

fn through_proxy(address: &str, target: Target) -> Target {
    let proxy = Proxy::parse(address).expect("it is one");
    let tls = Arc::new(ClientTls::builder(&clock()).build().expect("no files"));
    let logins = ProxyLogins::default();
    target.via(Via { proxy, tls, logins })
}

#[tokio::test]
async fn an_http_proxy_is_asked_to_connect_and_tls_lies_within() {
    let authority = Authority::new();
    let port = serve_tls(authority.server(&authority.issue("localhost"))).await;
    let asked = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n".to_vec();
    let (at, heard) = proxy(vec![(asked.len(), answer)], port).await;
    let target = Target::new(localhost(), port).tls(trusting(&authority));
    let target = through_proxy(&format!("http://na:pa@127.0.0.1:{at}"), target);
    let link = dialed(&target).await.expect("the proxy leads there");
    assert_eq!(link.peer().map(|peer| peer.port()), Some(at));
    assert_echoes(link).await;
    let heard = heard.await.expect("it ended");
    assert_eq!(String::from_utf8_lossy(&heard), asked);
}

/// A proxy that leads to `port` whoever says who he is; to others it says what it asks for, and
/// hangs up. Gives the heads that it heard.
async fn asking_proxy(asks: &'static str, port: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let (listener, own_port) = listen().await;
    let heads = Arc::new(Mutex::new(Vec::new()));
    let heard = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("the client speaks"));
            }
            let head = String::from_utf8(head).expect("it is text");
            let knows = head.contains("Proxy-Authorization: ");
            heard.lock().expect("nobody panics with it").push(head);
            let answer = match knows {
                true => "HTTP/1.1 200 x\r\n\r\n".to_owned(),
                false => format!("HTTP/1.1 407 x\r\n{asks}content-length: 3\r\n\r\nwho"),
            };
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("the client listens");
            if knows {
                let server = TcpStream::connect(("127.0.0.1", port)).await;
                let mut server = server.expect("it listens");
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            }
        }
    });
    (own_port, heads)
}

#[tokio::test]
async fn a_proxy_that_asks_is_told_who_we_are_and_from_then_on_unasked() {
    const BASIC: &str = "Proxy-Authenticate: Basic realm=\"r\"\r\n";
    const BOTH: &str = "Proxy-Authenticate: Basic realm=\"r\"\r\nproxy-authenticate:Digest \
                        realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\n";
    let told: [(_, [&[&str]; 2]); 2] = [
        (BASIC, [&["Basic bmE6cGE=\r\n"], &["Basic bmE6cGE=\r\n"]]),
        (
            BOTH,
            [&["Digest ", "nc=00000001"], &["Digest ", "nc=00000002"]],
        ),
    ];
    for (asks, expected) in told {
        let (listener, port) = listen().await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                echo(stream).await;
            }
        });
        let (at, heads) = asking_proxy(asks, port).await;
        let target = Target::new(localhost(), port);
        let target = through_proxy(&format!("http://na:pa@127.0.0.1:{at}"), target);
        for _ in 0..2 {
            assert_echoes(dialed(&target).await.expect("the proxy leads there")).await;
        }
        let heads = heads.lock().expect("nobody panics with it");
        assert_eq!(heads.len(), 3, "{heads:?}");
        assert!(!heads[0].contains("Proxy-Authorization"), "{}", heads[0]);
        for (head, parts) in heads[1..].iter().zip(expected) {
            for part in parts {
                assert!(head.contains(part), "no {part} in {head}");
            }
        }
        if asks == BOTH {
            let uri = format!("uri=\"localhost:{port}\"");
            assert!(heads[1].contains(&uri), "{}", heads[1]);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_for_a_proxy_is_given_once() {
    let (listener, at) = listen().await;
    let served = tokio::spawn(async move {
        let mut count = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let asks = "proxy-authenticate: Basic realm=\"r\"";
            let answer = format!("HTTP/1.1 407 x\r\n{asks}\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            count += 1;
            if count == 2 {
                return listener;
            }
        }
        listener
    });
    let target = through_proxy(
        &format!("http://na:wrong@127.0.0.1:{at}"),
        Target::new(localhost(), 9),
    );
    let text = dialed(&target).await.expect_err("it refuses").to_string();
    assert!(
        text.contains("it wants another name and password"),
        "{text}"
    );
    let listener = served.await.expect("both came");
    let third = timeout(Duration::ZERO, listener.accept()).await;
    assert!(third.is_err(), "it came a third time");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_with_what_it_wants() {
    let answers: &[(&str, &str)] = &[
        (
            "HTTP/1.1 407 no\r\n\r\n",
            "it wants another name and password",
        ),
        ("HTTP/1.1 403 no\r\n\r\n", "it answered 403"),
        ("220 mail ready\r\n\r\n", "it does not speak HTTP"),
    ];
    for (answer, expected) in answers {
        let (at, _) = proxy(vec![(18, answer.as_bytes().to_vec())], 1).await;
        let target = Target::new(localhost(), 9);
        let error = dialed(&through_proxy(&format!("http://127.0.0.1:{at}"), target)).await;
        let text = error.expect_err("it refuses").to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn the_head_of_a_proxys_answer_has_a_bound() {
    let answer = |bytes: usize| {
        let mut answer = b"HTTP/1.1 200 x\r\nx: ".to_vec();
        answer.resize(bytes - 4, b'x');
        answer.extend(b"\r\n\r\n");
        answer
    };
    let max = limits::PROXY_ANSWER_BYTES_MAX;
    for (bytes, fits) in [(max, true), (max + 1, false)] {
        let (listener, port) = listen().await;
        tokio::spawn(async move { echo(listener.accept().await.expect("we connect").0).await });
        let asked = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
        let (at, _) = proxy(vec![(asked.len(), answer(bytes))], port).await;
        let target = Target::new(localhost(), port);
        let result = dialed(&through_proxy(&format!("http://127.0.0.1:{at}"), target)).await;
        assert_eq!(result.is_ok(), fits, "{bytes} {result:?}");
    }
}

#[tokio::test]
async fn a_socks_proxy_resolves_the_name_and_checks_the_password() {
    let (listener, port) = listen().await;
    tokio::spawn(async move { echo(listener.accept().await.expect("we connect").0).await });
    let answer = [vec![5, 0, 0, 3, 1, b'x'], vec![0, 1]].concat();
    let script = vec![
        (4, vec![5, 2]),
        (7, vec![1, 0]),
        (5 + "localhost".len() + 2, answer),
    ];
    let (at, heard) = proxy(script, port).await;
    let target = Target::new(localhost(), port);
    let target = through_proxy(&format!("socks5h://na:pa@127.0.0.1:{at}"), target);
    assert_echoes(dialed(&target).await.expect("the proxy leads there")).await;
    let mut expected = b"\x05\x02\x00\x02\x01\x02na\x02pa\x05\x01\x00\x03\x09localhost".to_vec();
    expected.extend(port.to_be_bytes());
    assert_eq!(heard.await.expect("it ended"), expected);
}

#[tokio::test]
async fn a_socks_proxy_that_refuses_says_why() {
    let script = vec![(3, vec![5, 0]), (10, vec![5, 5, 0, 1])];
    let (at, _) = proxy(script, 1).await;
    let target = through_proxy(
        &format!("socks5://127.0.0.1:{at}"),
        Target::new(localhost(), 9),
    );
    let text = dialed(&target).await.expect_err("it refuses").to_string();
    assert!(
        text.ends_with("the server refused the connection"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_has_a_deadline() {
    let (listener, at) = listen().await;
    let target = Target::new(localhost(), 9);
    let target = through_proxy(&format!("http://127.0.0.1:{at}"), target);
    let error = dialed(&target).await.expect_err("it says nothing");
    assert!(error.is_too_slow(), "{error:?}");
    drop(listener);
}

fn addresses(of: &[&str]) -> Vec<SocketAddr> {
    of.iter()
        .map(|text| text.parse().expect("it is one"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_second_family_is_tried_after_a_moment_and_the_first_may_still_win() {
    let start = tokio::time::Instant::now();
    let connect = |address: SocketAddr| async move {
        let delay = if address.is_ipv6() { 3600 } else { 1 };
        sleep(Duration::from_secs(delay)).await;
        Ok(address)
    };
    let both = addresses(&["[::1]:1", "127.0.0.1:1"]);
    let won = race(both, Duration::from_secs(10), connect).await;
    assert_eq!(won.expect("four answers"), addresses(&["127.0.0.1:1"])[0]);
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(1) + limits::DIAL_FAMILY_DELAY
    );
    let connect = |address: SocketAddr| async move {
        let delay = if address.is_ipv6() { 2 } else { 3600 };
        sleep(Duration::from_secs(delay)).await;
        Ok(address)
    };
    let both = addresses(&["[::1]:1", "127.0.0.1:1"]);
    let won = race(both, Duration::from_secs(10), connect).await;
    assert!(won.expect("six answers").is_ipv6());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_first_family_starts_the_second_at_once() {
    let start = tokio::time::Instant::now();
    let connect = |address: SocketAddr| async move {
        if address.is_ipv6() {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        Ok(address)
    };
    let both = addresses(&["[::1]:1", "[::1]:2", "127.0.0.1:1"]);
    let won = race(both, Duration::from_secs(10), connect).await;
    assert!(won.expect("four answers").is_ipv4());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
    let connect = |address: SocketAddr| async move {
        if address.port() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(address)
    };
    let both = addresses(&["127.0.0.1:1", "127.0.0.1:2"]);
    let won = race(both, Duration::from_secs(10), connect).await;
    assert_eq!(won.expect("the second answers").port(), 2);
}

#[expect(clippy::result_large_err, reason = "the library asks for this type")]
async fn websocket_server() -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("we connect");
        let choose = |request: &http::Request<()>, mut answer: http::Response<()>| {
            assert_eq!(request.headers()["x-device"], "7");
            let chosen = http::HeaderValue::from_static("mqtt");
            answer
                .headers_mut()
                .insert("sec-websocket-protocol", chosen);
            Ok(answer)
        };
        let mut server = tokio_tungstenite::accept_hdr_async(stream, choose)
            .await
            .expect("it is an opening");
        use futures_util::{SinkExt, StreamExt};
        while let Some(Ok(frame)) = server.next().await {
            if (frame.is_text() || frame.is_binary()) && server.send(frame).await.is_err() {
                return;
            }
        }
    });
    port
}

fn opening() -> Opening {
    let mut opening = Opening {
        protocols: vec!["mqtt".to_owned()],
        ..Opening::default()
    };
    opening
        .headers
        .insert("x-device", http::HeaderValue::from_static("7"));
    opening
}

async fn open_websocket(port: u16, opening: &Opening) -> Result<WebSocket, WebSocketError> {
    let link = dialed(&Target::new(loopback(), port))
        .await
        .expect("it listens");
    let url = format!("http://127.0.0.1:{port}/socket");
    let url = periwinkle_core::fetch::Url::parse(&url).expect("it is one");
    WebSocket::open(link, &url, opening, Duration::from_secs(5)).await
}

#[tokio::test]
async fn a_websocket_carries_text_and_bytes_and_ends_with_a_goodbye() {
    let port = websocket_server().await;
    let mut socket = open_websocket(port, &opening()).await.expect("it opens");
    assert_eq!(socket.protocol(), Some("mqtt"));
    socket.send_text("hello").await.expect("it is open");
    let text = Message::Text("hello".to_owned());
    assert_eq!(socket.next().await.expect("it answers"), Some(text));
    socket
        .send_binary(vec![0; 70_000])
        .await
        .expect("it is open");
    let bytes = Message::Binary(vec![0; 70_000].into());
    assert_eq!(socket.next().await.expect("it answers"), Some(bytes));
    socket.close(1000, "done").await.expect("it is open");
    assert_eq!(socket.next().await.expect("it says goodbye"), None);
}

#[tokio::test]
async fn a_message_over_websocket_has_a_bound() {
    for (bytes, fits) in [(1000, true), (1001, false)] {
        let port = websocket_server().await;
        let opening = Opening {
            message_bytes_max: Some(1000),
            ..opening()
        };
        let mut socket = open_websocket(port, &opening).await.expect("it opens");
        socket
            .send_binary(vec![0; bytes])
            .await
            .expect("it is open");
        match socket.next().await {
            Ok(Some(_)) => assert!(fits, "{bytes}"),
            Err(WebSocketError::TooLong(_)) => assert!(!fits, "{bytes}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_opens_no_websocket_is_told_with_its_status() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("we connect");
        let _ = stream.read(&mut [0; 2048]).await;
        let _ = stream
            .write_all(b"HTTP/1.1 401 no\r\ncontent-length: 0\r\n\r\n")
            .await;
    });
    let error = open_websocket(port, &opening())
        .await
        .expect_err("it refuses");
    assert!(
        matches!(&error, WebSocketError::Refused { status, .. } if status.as_u16() == 401),
        "{error:?}"
    );
}
