//! Behaviours of one exchange, each against a server that answers byte for byte.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;

use super::test_server::{Server, answer, fetch, options};
use super::*;
use crate::net::test_authority::Authority;

fn stream_of(pieces: &[&'static str]) -> Payload {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
        .collect();
    Payload::stream(futures_util::stream::iter(pieces), None)
}

#[tokio::test]
async fn a_page_is_one_line_away() {
    let server = Server::always(answer("200 OK", "hello")).await;
    assert_eq!(
        fetch()
            .get_text(&server.url("/a?b"))
            .await
            .expect("it answers"),
        "hello"
    );
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "GET /a?b");
    assert_eq!(
        seen.field("host"),
        Some(format!("127.0.0.1:{}", server.port).as_str())
    );
    assert_eq!(seen.field("accept-encoding"), Some("gzip, br"));
}

#[tokio::test]
async fn json_goes_and_comes() {
    let server = Server::always(answer("200 OK", r#"{"n":7}"#)).await;
    let sent = serde_json::json!({"a": [1, 2]});
    let reply: serde_json::Value = fetch()
        .post_json(&server.url("/"), &sent)
        .await
        .expect("it answers");
    assert_eq!(reply, serde_json::json!({"n": 7}));
    let seen = &server.seen()[0];
    assert_eq!(seen.body, br#"{"a":[1,2]}"#);
    assert_eq!(seen.field("content-type"), Some("application/json"));
}

#[tokio::test]
async fn one_connection_serves_requests_one_after_the_other() {
    let server = Server::always(answer("200 OK", "x")).await;
    let fetch = fetch();
    for _ in 0..3 {
        fetch.get_text(&server.url("/")).await.expect("it answers");
    }
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 0]);
}

#[tokio::test]
async fn a_refusal_is_told_with_the_beginning_of_its_body() {
    let server = Server::always(answer("404 Not Found", "no such page")).await;
    let error = fetch()
        .get_text(&server.url("/"))
        .await
        .expect_err("there is none");
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert!(
        error
            .to_string()
            .ends_with("answered 404 Not Found: no such page"),
        "{error}"
    );
    let answer = fetch()
        .get(&server.url("/"))
        .send()
        .await
        .expect("it is an answer");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_an_error() {
    let server =
        Server::always("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 50\r\n\r\nhello")
            .await;
    let error = fetch()
        .get_text(&server.url("/"))
        .await
        .expect_err("five bytes are not fifty");
    assert!(
        matches!(
            error,
            FetchError::Cut {
                phase: Phase::Reading,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_not_http_is_told_apart() {
    let server = Server::always("SSH-2.0-x\r\n\r\n").await;
    let error = fetch()
        .get_text(&server.url("/"))
        .await
        .expect_err("it is no HTTP");
    assert!(matches!(error, FetchError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_closed_port_names_the_host_and_the_phase() {
    let request = fetch().get("http://127.0.0.1:1/").retries(0);
    let error = request.send().await.expect_err("nobody is there");
    assert!(
        matches!(error, FetchError::Connect(_)) && error.is_unsent(),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with("127.0.0.1:1 cannot be connected to: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_told_and_can_be_believed_by_name() {
    let authority = Authority::new();
    let acceptor = authority.server(&authority.issue("localhost"));
    let server = Server::tls(acceptor, |_, _| answer("200 OK", "x")).await;
    let url = format!("https://localhost:{}/", server.port);
    let error = fetch().get_text(&url).await.expect_err("nobody knows it");
    assert!(error.to_string().contains("unknown authority"), "{error}");
    let request = fetch().get(&url).danger_accept_any_certificate();
    assert!(
        request
            .send()
            .await
            .expect("that was asked for")
            .is_success()
    );
    let trusting = options().trust(Trust::Only(vec![authority.file()])).build();
    let page = trusting.expect("the file is there").get_text(&url).await;
    assert_eq!(page.expect("it is known"), "x");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_says_so_and_gets_it() {
    let authority = Authority::new();
    let acceptor = authority.server_for_clients(&authority.issue("localhost"));
    let server = Server::tls(acceptor, |_, _| answer("200 OK", "x")).await;
    let url = format!("https://localhost:{}/", server.port);
    let trusting = options()
        .trust(Trust::Only(vec![authority.file()]))
        .retries(0);
    let unknown = trusting.clone().build().expect("the file is there");
    let error = unknown.get_text(&url).await.expect_err("we are unknown");
    assert!(
        error.to_string().contains("requires a client certificate"),
        "{error}"
    );
    let (certificate, key) = authority.issue_files("device");
    let ours = ClientCertificate::from_files(&certificate, &key).expect("they are there");
    let known = trusting
        .certificate(ours)
        .build()
        .expect("the file is there");
    assert_eq!(known.get_text(&url).await.expect("we are known"), "x");
}

#[tokio::test]
async fn an_answer_in_memory_has_a_bound() {
    let server = Server::always(answer("200 OK", "12345")).await;
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n";
    let chunked = Server::always(chunked).await;
    for url in [server.url("/"), chunked.url("/")] {
        let of = |max| fetch().get(&url).answer_bytes_max(max).send();
        let fits = of(5).await.expect("it answers").bytes().await;
        assert_eq!(fits.expect("it fits"), "12345");
        let error = of(4)
            .await
            .expect("it answers")
            .bytes()
            .await
            .expect_err("it is longer");
        assert!(
            matches!(error, FetchError::TooLong { bytes_max: 4, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let server = Server::always(answer("200 OK", vec![7; 300_000])).await;
    let request = fetch()
        .post(&server.url("/"))
        .body(stream_of(&["hel", "lo"]));
    let mut body = request.send().await.expect("it answers").bytes_stream();
    let (mut pieces, mut length) = (0, 0);
    while let Some(piece) = body.next().await {
        length += piece.expect("it comes").len();
        pieces += 1;
    }
    assert!(length == 300_000 && pieces > 1, "{length} {pieces}");
    let seen = &server.seen()[0];
    assert_eq!(seen.field("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.body, b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_an_error() {
    let server = Server::always(answer("200 OK", "")).await;
    for (length, pieces) in [(4, &["hello"][..]), (6, &["hello"]), (6, &["hel", "lolo"])] {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        let payload = Payload::stream(futures_util::stream::iter(pieces), Some(length));
        let error = fetch().put(&server.url("/")).body(payload).send().await;
        let error = error.expect_err("it is another");
        assert!(matches!(error, FetchError::Body(_)), "{error:?}");
    }
}

#[tokio::test]
async fn encodings_are_undone_in_their_order() {
    let gzip = gzipped(b"hello hello hello");
    let twice = gzipped(&gzip);
    let brotli = b"\x0b\x02\x80hello\x03".to_vec();
    for (coding, body, expected) in [
        ("gzip", gzip, "hello hello hello"),
        ("gzip, gzip", twice, "hello hello hello"),
        ("br", brotli, "hello"),
        ("identity", b"plain".to_vec(), "plain"),
    ] {
        let head = format!("200 OK\r\ncontent-encoding: {coding}");
        let server = Server::always(answer(&head, body)).await;
        let text = fetch().get_text(&server.url("/")).await;
        assert_eq!(text.expect(coding), expected, "{coding}");
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("it is memory");
    encoder.finish().expect("it is memory")
}

#[tokio::test]
async fn what_cannot_be_decoded_is_an_error() {
    let mut cut = gzipped(b"hello hello hello");
    cut.truncate(15);
    let bomb = gzipped(&vec![0; 8 * 1024 * 1024]);
    for (coding, body, expected) in [
        ("gzip", cut, "it is damaged"),
        ("gzip", b"no gzip".to_vec(), "it is damaged"),
        ("br", b"\xff\xff\xff".to_vec(), "it is damaged"),
        ("zstd", b"x".to_vec(), "was not asked for"),
        ("gzip", bomb, "grows from"),
    ] {
        let head = format!("200 OK\r\ncontent-encoding: {coding}");
        let server = Server::always(answer(&head, body)).await;
        let error = fetch()
            .get_text(&server.url("/"))
            .await
            .expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_with_the_right_method_and_body() {
    let cases = [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (307, "POST", "POST", "body"),
        (308, "PUT", "PUT", "body"),
        (301, "DELETE", "DELETE", "body"),
    ];
    for (status, method, expected, body) in cases {
        let server = Server::new(move |at, _| match at {
            0 => answer(&format!("{status} x\r\nlocation: /there?x"), "moved"),
            _ => answer("200 OK", "there"),
        })
        .await;
        let method = http::Method::from_bytes(method.as_bytes()).expect("it is one");
        let request = fetch().request(method, &server.url("/here")).text("body");
        let answer = request.send().await.expect("it is followed");
        assert_eq!(answer.url().to_string(), server.url("/there?x"));
        let seen = server.seen();
        assert_eq!(seen[1].line, format!("{expected} /there?x"), "{status}");
        assert_eq!(seen[1].body, body.as_bytes(), "{status}");
        assert_eq!(
            seen[1].field("content-type").is_some(),
            !body.is_empty(),
            "{status}"
        );
        assert_eq!(
            seen[1].connection, 0,
            "the short body of the redirect was read"
        );
    }
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_host() {
    let other = Server::always(answer("200 OK", "")).await;
    let url = format!("http://localhost:{}/", other.port);
    let there = format!("302 x\r\nlocation: {url}\r\nset-cookie: s=1");
    let server = Server::always(answer(&there, "")).await;
    let fetch = options()
        .cookies(Domains::HostOnly)
        .build()
        .expect("no files");
    let request = fetch
        .get(&server.url("/"))
        .bearer("t")
        .header("private-token", "k")
        .header("x-mine", "m")
        .header("accept", "text/css")
        .follow_with("X-Mine");
    request.send().await.expect("it is followed");
    let seen = &other.seen()[0];
    for name in ["authorization", "private-token", "cookie"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_eq!(seen.field("x-mine"), Some("m"), "it was named");
    assert_eq!(seen.field("accept"), Some("text/css"));
    let request = fetch.get(&server.url("/")).redirects(0);
    assert_eq!(
        request.send().await.expect("it answers").status(),
        StatusCode::FOUND
    );
    assert_eq!(server.seen()[1].field("cookie"), Some("s=1"));
    let request = fetch.get(&server.url("/")).redirects(0);
    let request = request.header("cookie", "mine=2");
    request.send().await.expect("it answers");
    assert_eq!(server.seen()[2].field("cookie"), Some("mine=2"));
}

#[tokio::test]
async fn an_address_with_letters_that_belong_encoded_is_followed() {
    let server = Server::new(|at, _| match at {
        0 => answer("302 x\r\nlocation: /gr\u{fc}n?\u{e4}=%20", ""),
        _ => answer("200 OK", "there"),
    })
    .await;
    let text = fetch().get_text(&server.url("/")).await;
    assert_eq!(text.expect("it is followed"), "there");
    assert_eq!(server.seen()[1].line, "GET /gr%C3%BCn?%C3%A4=%20");
}

#[tokio::test]
async fn a_redirect_out_of_tls_is_followed_only_when_that_was_said() {
    let plain = Server::always(answer("200 OK", "plain")).await;
    let head = format!("302 Found\r\nlocation: {}", plain.url("/"));
    let authority = Authority::new();
    let acceptor = authority.server(&authority.issue("localhost"));
    let server = Server::tls(acceptor, move |_, _| answer(&head, "")).await;
    let url = format!("https://localhost:{}/", server.port);
    let get = || fetch().get(&url).danger_accept_any_certificate();
    let error = get().send().await.expect_err("it leads out of TLS");
    assert!(matches!(error, FetchError::Redirect { .. }), "{error:?}");
    assert!(plain.seen().is_empty());
    let followed = get().follow_out_of_tls().send().await;
    let text = followed.expect("that was said").text().await;
    assert_eq!(text.expect("it is whole"), "plain");
}

#[tokio::test]
async fn redirects_in_a_circle_end_at_the_bound() {
    let server = Server::always(answer("302 x\r\nlocation: /", "")).await;
    let error = fetch()
        .get_text(&server.url("/"))
        .await
        .expect_err("it never ends");
    assert!(matches!(error, FetchError::Redirect { .. }), "{error:?}");
    let max = periwinkle_core::limits::FETCH_REDIRECTS_MAX as usize;
    assert_eq!(server.seen().len(), max + 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_safe_is_sent_again() {
    let busy = |at: usize, head: &str| match at {
        0 => answer(head, "busy"),
        _ => answer("200 OK", "done"),
    };
    let server = Server::new(move |at, _| busy(at, "503 x\r\nretry-after: 2")).await;
    let before = tokio::time::Instant::now();
    assert_eq!(
        fetch()
            .get_text(&server.url("/"))
            .await
            .expect("then it answers"),
        "done"
    );
    assert!(before.elapsed() >= Duration::from_secs(2));
    let server = Server::new(move |at, _| busy(at, "503 x")).await;
    let answer = fetch()
        .post(&server.url("/"))
        .text("x")
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let server = Server::new(move |at, _| busy(at, "503 x")).await;
    let request = fetch().post(&server.url("/")).text("x").idempotent();
    assert!(request.send().await.expect("it answers").is_success());
    let server = Server::new(move |at, _| busy(at, "429 x")).await;
    let request = fetch().post(&server.url("/")).text("x");
    assert!(request.send().await.expect("it was not done").is_success());
}

#[tokio::test(start_paused = true)]
async fn retries_have_a_bound_and_a_body_read_once_is_not_sent_again() {
    let server = Server::always(answer("503 x", "busy")).await;
    let answer = fetch()
        .get(&server.url("/"))
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let max = periwinkle_core::limits::FETCH_RETRIES_MAX as usize;
    assert_eq!(server.seen().len(), max + 1);
    let request = fetch().put(&server.url("/")).body(stream_of(&["x"]));
    request.send().await.expect("it answers");
    assert_eq!(server.seen().len(), max + 2);
}

#[tokio::test(start_paused = true)]
async fn retries_are_as_many_as_was_said() {
    let busy = Server::always(answer("503 x", "busy")).await;
    let cutting = Server::always(Vec::new()).await;
    for retries in [0, 1, 4] {
        let configured = options().retries(retries).build().expect("no files");
        for server in [&busy, &cutting] {
            let before = server.seen().len();
            let _ = fetch().get(&server.url("/")).retries(retries).send().await;
            let _ = configured.get(&server.url("/")).send().await;
            let asked = server.seen().len() - before;
            assert_eq!(asked, 2 * (1 + retries as usize), "{retries}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_is_tried_again_only_where_that_is_safe() {
    let server = Server::new(|at, _| match at {
        0 => Vec::new(),
        _ => answer("200 OK", "done"),
    })
    .await;
    assert_eq!(
        fetch()
            .get_text(&server.url("/"))
            .await
            .expect("then it answers"),
        "done"
    );
    let server = Server::always(Vec::new()).await;
    let error = fetch()
        .post(&server.url("/"))
        .text("x")
        .send()
        .await
        .expect_err("it is cut");
    assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn cookies_are_kept_when_asked() {
    let server = Server::always(answer("200 OK\r\nset-cookie: a=1; Path=/", "")).await;
    let keeping = options()
        .cookies(Domains::HostOnly)
        .build()
        .expect("no files");
    for fetch in [&keeping, &fetch()] {
        fetch.get_text(&server.url("/")).await.expect("it answers");
        fetch.get_text(&server.url("/")).await.expect("it answers");
    }
    let cookies: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.field("cookie").map(str::to_owned))
        .collect();
    assert_eq!(cookies, [None, Some("a=1".to_owned()), None, None]);
}

#[tokio::test]
async fn an_answer_is_saved_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("page");
    let server = Server::always(answer("200 OK", "hello")).await;
    let answer = fetch()
        .get(&server.url("/"))
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.save(&path).await.expect("it is ours"), 5);
    assert_eq!(std::fs::read(&path).expect("it is there"), b"hello");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_whole_is_an_error() {
    // Short enough to be written at the end, and long enough to be written before.
    for bytes in [10, 1_000_000] {
        let server = Server::always(answer("200 OK", vec![7; bytes])).await;
        let answer = fetch().get(&server.url("/")).send().await;
        let saved = answer.expect("it answers").save("/dev/full").await;
        let error = saved.expect_err("nothing has room there");
        let is_full = matches!(&error, FetchError::Save { source, .. }
            if source.kind() == std::io::ErrorKind::StorageFull);
        assert!(is_full, "{bytes} {error:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_names_an_encoding_without_harm() {
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 500\r\n\r\n";
    let server = Server::always(head).await;
    let answer = fetch()
        .head(&server.url("/"))
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.text().await.expect("there is none"), "");
}

#[tokio::test]
async fn an_empty_body_has_its_length_where_the_method_has_a_body() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("empty");
    std::fs::write(&path, "").expect("it is ours");
    let server = Server::always(answer("200 OK", "")).await;
    fetch()
        .post(&server.url("/"))
        .send()
        .await
        .expect("it answers");
    fetch()
        .put(&server.url("/"))
        .body(Payload::file(&path))
        .send()
        .await
        .expect("it answers");
    fetch()
        .get(&server.url("/"))
        .send()
        .await
        .expect("it answers");
    let lengths: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.field("content-length").map(str::to_owned))
        .collect();
    assert_eq!(lengths, [Some("0".to_owned()), Some("0".to_owned()), None]);
}

#[tokio::test]
async fn the_head_of_an_answer_has_a_bound_in_fields_and_bytes() {
    use periwinkle_core::limits::{FETCH_ANSWER_HEAD_BYTES_MAX, FETCH_ANSWER_HEADERS_MAX};
    let fields = |count: usize| {
        let fields: String = (1..count).map(|at| format!("x-{at}: y\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")
    };
    let long = |bytes: usize| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: ";
        format!("{head}{}\r\n\r\n", "y".repeat(bytes - head.len() - 4))
    };
    for (head, fits) in [
        (fields(FETCH_ANSWER_HEADERS_MAX), true),
        (fields(FETCH_ANSWER_HEADERS_MAX + 1), false),
        (long(FETCH_ANSWER_HEAD_BYTES_MAX), true),
        // The bound is that of a buffer, which one read may exceed.
        (long(2 * FETCH_ANSWER_HEAD_BYTES_MAX + 1), false),
    ] {
        let length = head.len();
        let server = Server::always(head).await;
        match fetch().get(&server.url("/")).send().await {
            Ok(_) => assert!(fits, "{length}"),
            Err(FetchError::Protocol { .. }) => assert!(!fits, "{length}"),
            Err(other) => panic!("{length} {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_kept_to_up_to_its_bound() {
    for (seconds, asked) in [(120, 2), (121, 1)] {
        let busy = format!("503 x\r\nretry-after: {seconds}");
        let server = Server::new(move |at, _| match at {
            0 => answer(&busy, ""),
            _ => answer("200 OK", ""),
        })
        .await;
        let answer = fetch()
            .get(&server.url("/"))
            .send()
            .await
            .expect("it answers");
        assert_eq!(answer.is_success(), asked == 2);
        assert_eq!(server.seen().len(), asked, "{seconds}");
    }
}

#[tokio::test]
async fn the_rest_of_a_redirect_is_read_to_its_bound_and_not_beyond() {
    let max = periwinkle_core::limits::FETCH_DRAIN_BYTES_MAX;
    for (bytes, connection) in [(max, 0), (max + 1, 1)] {
        let server = Server::new(move |at, _| match at {
            0 => answer("302 x\r\nlocation: /there", vec![b'x'; bytes]),
            _ => answer("200 OK", "there"),
        })
        .await;
        fetch()
            .get_text(&server.url("/"))
            .await
            .expect("it is followed");
        assert_eq!(server.seen()[1].connection, connection, "{bytes}");
    }
}
