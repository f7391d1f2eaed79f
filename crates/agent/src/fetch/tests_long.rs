//! What goes on across connections: streams of events, downloads, WebSockets.

use std::time::Duration;

use bytes::Bytes;
use periwinkle_core::limits;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::test_server::{Server, answer, fetch, options};
use super::*;
use crate::net::test_authority::Authority;

fn stream_head(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n{events}"
    )
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_goes_on_after_the_event_that_came_last() {
    let server = Server::new(|at, _| match at {
        0 => stream_head("retry: 5000\n\nid: 1\ndata: one\n\ndata: cut"),
        1 => stream_head("event: change\nid: 2\ndata: two\n\n"),
        _ => "HTTP/1.1 204 x\r\n\r\n".to_owned(),
    })
    .await;
    let mut events = fetch().get(&server.url("/events")).events();
    let first = events.next().await.expect("it comes").expect("it goes on");
    assert_eq!(
        (first.kind.as_str(), first.data.as_str()),
        ("message", "one")
    );
    let before = Instant::now();
    let second = events.next().await.expect("it comes").expect("it goes on");
    assert_eq!(
        (second.kind.as_str(), second.data.as_str()),
        ("change", "two")
    );
    assert_eq!(
        before.elapsed().as_secs(),
        5,
        "the server asked for that pause"
    );
    assert_eq!(events.next().await.expect("it says so"), None);
    assert_eq!(events.next().await.expect("it stays so"), None);
    let seen = server.seen();
    assert_eq!(seen[0].field("accept"), Some("text/event-stream"));
    let ids: Vec<_> = seen
        .iter()
        .map(|seen| seen.field("last-event-id"))
        .collect();
    assert_eq!(ids, [None, Some("1"), Some("2")]);
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_outlives_a_server_that_struggles_but_not_for_ever() {
    let server = Server::new(|at, _| match at {
        0 => stream_head("data: one\n\n").into_bytes(),
        _ => answer("500 x", "broken"),
    })
    .await;
    let mut events = fetch()
        .get(&server.url("/"))
        .retries(0)
        .events()
        .reconnects(3);
    assert!(events.next().await.expect("it comes").is_some());
    let error = events.next().await.expect_err("it stays broken");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(500));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn what_is_no_event_stream_is_an_error_at_once() {
    let page = Server::always(answer("200 OK\r\ncontent-type: text/html", "x")).await;
    let error = fetch()
        .get(&page.url("/"))
        .events()
        .next()
        .await
        .expect_err("it is a page");
    assert!(matches!(error, FetchError::NoEvents { .. }), "{error:?}");
    let none = Server::always(answer("404 x", "")).await;
    let error = fetch()
        .get(&none.url("/"))
        .events()
        .next()
        .await
        .expect_err("there is none");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(404));
}

/// A file of numbers that is served in parts, each request `cut` bytes at most.
async fn file_server(content: Vec<u8>, etag: &'static str, cut: usize) -> Server {
    Server::new(move |_, seen| {
        let from = seen
            .field("range")
            .filter(|_| seen.field("if-range") == Some(etag))
            .and_then(|field| {
                field
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
        let length = content.len();
        let head = match from {
            Some(from) if from >= length => {
                return answer(&format!("416 x\r\ncontent-range: bytes */{length}"), "");
            }
            Some(from) => format!(
                "206 x\r\ncontent-range: bytes {from}-{}/{length}\r\ncontent-length: {}",
                length - 1,
                length - from
            ),
            None => format!("200 OK\r\ncontent-length: {length}"),
        };
        let from = from.unwrap_or(0);
        let end = length.min(from + cut);
        let head = format!("HTTP/1.1 {head}\r\netag: {etag}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), &content[from..end]].concat()
    })
    .await
}

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_download_goes_on_where_it_was_cut() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let content = content();
    let server = file_server(content.clone(), "\"v1\"", 150_000).await;
    let (sender, progress) = tokio::sync::watch::channel(Progress::default());
    let download = fetch()
        .download(&server.url("/"), &path)
        .sha256(&sha256(&content))
        .progress(sender);
    let done = download.run().await.expect("it comes in three parts");
    assert_eq!((done.bytes, done.resumed_from), (400_000, 0));
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
    let expected = Progress {
        bytes: 400_000,
        length: Some(400_000),
    };
    assert_eq!(*progress.borrow(), expected);
    let seen = server.seen();
    let asked = seen
        .iter()
        .map(|seen| (seen.field("range"), seen.field("if-range")));
    let asked: Vec<_> = asked.collect();
    let part = |range| (Some(range), Some("\"v1\""));
    let parts = [part("bytes=150000-"), part("bytes=300000-")];
    assert_eq!(asked, [&[(None, None)], &parts[..]].concat());
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("it is ours")
        .collect();
    assert_eq!(left.len(), 1, "only the file itself is left");
}

#[tokio::test(start_paused = true)]
async fn a_download_takes_up_what_an_earlier_run_left() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let content = content();
    let server = file_server(content.clone(), "\"v1\"", 150_000).await;
    let first = fetch().download(&server.url("/"), &path).attempts(1);
    let error = first.run().await.expect_err("it is cut");
    assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
    assert!(!path.exists());
    let left = |name: &str| std::fs::read(folder.path().join(name)).expect("it is left");
    assert_eq!(left("file.part"), content[..150_000]);
    assert_eq!(left("file.part.tag"), b"\"v1\"\n400000\n");
    let download = fetch()
        .download(&server.url("/"), &path)
        .sha256(&sha256(&content));
    let done = download.run().await.expect("the rest comes");
    assert_eq!((done.bytes, done.resumed_from), (400_000, 150_000));
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
    // The whole lies there already, under its other name.
    std::fs::rename(&path, folder.path().join("file.part")).expect("it is ours");
    std::fs::write(folder.path().join("file.part.tag"), "\"v1\"\n400000\n").expect("it is ours");
    let done = fetch()
        .download(&server.url("/"), &path)
        .run()
        .await
        .expect("nothing is left");
    assert_eq!((done.bytes, done.resumed_from), (400_000, 400_000));
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changed_meanwhile_is_downloaded_anew() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    std::fs::write(folder.path().join("file.part"), [9; 1000]).expect("it is ours");
    std::fs::write(folder.path().join("file.part.tag"), "\"v1\"\n2000\n").expect("it is ours");
    let content = content();
    let server = file_server(content.clone(), "\"v2\"", usize::MAX).await;
    let download = fetch()
        .download(&server.url("/"), &path)
        .sha256(&sha256(&content));
    let done = download.run().await.expect("it comes whole");
    assert_eq!(
        (done.bytes, done.etag.as_deref()),
        (400_000, Some("\"v2\""))
    );
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
}

#[tokio::test(start_paused = true)]
async fn a_file_with_another_hash_is_refused_and_removed() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let server = file_server(b"hello".to_vec(), "\"v1\"", usize::MAX).await;
    let download = fetch()
        .download(&server.url("/"), &path)
        .sha256(&sha256(b"other"));
    let error = download.run().await.expect_err("it is another");
    assert!(matches!(error, FetchError::Checksum { .. }), "{error:?}");
    assert_eq!(
        std::fs::read_dir(folder.path())
            .expect("it is ours")
            .count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_download_that_brings_nothing_ends_at_its_bound() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let server = file_server(b"hello".to_vec(), "\"v1\"", 0).await;
    let error = fetch()
        .download(&server.url("/"), &path)
        .run()
        .await
        .expect_err("nothing comes");
    assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
    assert_eq!(
        server.seen().len() as u32,
        limits::FETCH_DOWNLOAD_ATTEMPTS_MAX
    );
    let missing = Server::always(answer("404 x", "none")).await;
    let error = fetch()
        .download(&missing.url("/"), &path)
        .run()
        .await
        .expect_err("there is none");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(404));
    assert_eq!(missing.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_begins_anew_and_breaks_off_each_time_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let whole = answer("200 OK\r\nconnection: close", content());
    let server = Server::always(&whole[..150_000]).await;
    let download = fetch().download(&server.url("/"), folder.path().join("file"));
    let error = download.run().await.expect_err("it never comes whole");
    assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
    let asked = server.seen().len() as u32;
    assert_eq!(asked, limits::FETCH_DOWNLOAD_ATTEMPTS_MAX);
}

#[tokio::test]
async fn a_download_that_cannot_be_written_is_an_error_and_does_not_take_its_name() {
    for bytes in [10, 1_000_000] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("file");
        let part = folder.path().join("file.part");
        std::os::unix::fs::symlink("/dev/full", &part).expect("it is ours");
        let server = Server::always(answer("200 OK", vec![7; bytes])).await;
        let error = fetch().download(&server.url("/"), &path).run().await;
        let error = error.expect_err("nothing has room there");
        let is_full = matches!(&error, FetchError::Save { source, path }
            if source.kind() == std::io::ErrorKind::StorageFull && *path == part);
        assert!(is_full, "{bytes} {error:?}");
        assert!(!path.exists());
        assert_eq!(server.seen().len(), 1, "another try would end the same");
    }
}

#[tokio::test]
async fn a_websocket_opens_over_tls_with_the_clients_trust() {
    let authority = Authority::new();
    let acceptor = authority.server(&authority.issue("localhost"));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        use futures_util::{SinkExt, StreamExt};
        let (stream, _) = listener.accept().await.expect("we connect");
        let stream = acceptor.accept(stream).await.expect("we trust it");
        let mut socket = tokio_tungstenite::accept_async(stream)
            .await
            .expect("it is an opening");
        while let Some(Ok(frame)) = socket.next().await {
            if frame.is_text() && socket.send(frame).await.is_err() {
                return;
            }
        }
    });
    let trusting = options().trust(Trust::Only(vec![authority.file()]));
    let fetch = trusting.build().expect("the file is there");
    let request = fetch.websocket(&format!("wss://localhost:{port}/socket"));
    let mut socket = request.open(&[]).await.expect("it opens");
    socket.send_text("hello").await.expect("it is open");
    let expected = Some(Message::Text("hello".to_owned()));
    assert_eq!(socket.next().await.expect("it answers"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_is_too_slow() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let held = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("we connect");
        std::future::pending::<()>().await;
        drop(stream);
    });
    let pieces = futures_util::stream::repeat_with(|| Ok(Bytes::from_static(&[0; 65_536])));
    let request = fetch().put(&url).body(Payload::stream(pieces, None));
    let error = request.send().await.expect_err("it does not read");
    assert!(
        matches!(error, FetchError::TooSlow { phase: Phase::Sending, after, .. } if after == Duration::from_secs(30)),
        "{error:?}"
    );
    held.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_a_deadline_of_its_own() {
    // It is connected to, and never says a word of TLS.
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let authority = listener.local_addr().expect("it is bound").to_string();
    let within = Duration::from_millis(700);
    let begun = Instant::now();
    let get = fetch().get(&format!("https://{authority}/"));
    let get = get.connect_deadline(within).retries(0);
    let error = get.send().await.expect_err("it is silent");
    assert_eq!(begun.elapsed(), within);
    assert!(
        matches!(error, FetchError::Connect(_)) && error.is_unsent(),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        format!(
            "{authority} cannot be connected to: no answer within 700ms; check the address and \
             the way to it"
        )
    );
    let socket = fetch().websocket(&format!("wss://{authority}/"));
    let opened = socket.connect_deadline(within).open(&[]).await;
    let error = opened.expect_err("it is silent");
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    assert_eq!(begun.elapsed(), within * 2);
}
