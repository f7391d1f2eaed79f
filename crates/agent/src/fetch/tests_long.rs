//! What goes on across connections: streams of events, downloads, WebSockets.

use std::time::Duration;

use bytes::Bytes;
use periwinkle_core::fetch::Url;
use periwinkle_core::fetch::range::Partial;
use periwinkle_core::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;

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

#[tokio::test(start_paused = true)]
async fn an_event_gives_back_the_connections_that_brought_nothing() {
    let server = Server::new(|at, _| match at {
        0 | 3 => stream_head("data: one\n\n").into_bytes(),
        _ => answer("500 x", "broken"),
    })
    .await;
    let mut events = fetch()
        .get(&server.url("/"))
        .retries(0)
        .events()
        .reconnects(3);
    for _ in 0..2 {
        assert!(events.next().await.expect("it comes").is_some());
    }
    events.next().await.expect_err("it stays broken");
    assert_eq!(server.seen().len(), 7);
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

/// What stands beside the bytes of a download that was cut.
fn note(server: &Server, etag: &str, length: u64) -> String {
    let known = Partial {
        received: 1,
        length: Some(length),
        etag: Some(etag.to_owned()),
    };
    let url = Url::parse(&server.url("/")).expect("it is one");
    known.note(&url).expect("the tag is strong")
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

#[tokio::test]
async fn a_file_belongs_to_one_download_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let content = content();
    let server = file_server(content.clone(), "\"v1\"", 400_000).await;
    let other = part::Part::claim(path.clone()).await.expect("it is free");
    let run = || fetch().download(&server.url("/"), &path).run();
    let error = run().await.expect_err("another has it");
    let is_told = matches!(&error, FetchError::Downloading { path: told } if *told == path);
    assert!(is_told, "{error:?}");
    assert_eq!(server.seen().len(), 0);
    drop(other);
    let left = std::fs::read_dir(folder.path())
        .expect("it is ours")
        .count();
    assert_eq!(left, 0, "a download that brought nothing leaves nothing");
    run().await.expect("it is free again");
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
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
    let note = note(&server, "\"v1\"", 400_000);
    assert_eq!(left("file.part.tag"), note.as_bytes());
    let download = fetch()
        .download(&server.url("/"), &path)
        .sha256(&sha256(&content));
    let done = download.run().await.expect("the rest comes");
    assert_eq!((done.bytes, done.resumed_from), (400_000, 150_000));
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
    // The whole lies there already, under its other name.
    std::fs::rename(&path, folder.path().join("file.part")).expect("it is ours");
    std::fs::write(folder.path().join("file.part.tag"), note).expect("it is ours");
    let done = fetch()
        .download(&server.url("/"), &path)
        .run()
        .await
        .expect("nothing is left");
    assert_eq!((done.bytes, done.resumed_from), (400_000, 400_000));
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
}

#[tokio::test(start_paused = true)]
async fn what_another_address_left_is_not_gone_on_with() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let content = content();
    let server = file_server(content.clone(), "\"v1\"", usize::MAX).await;
    std::fs::write(folder.path().join("file.part"), [9; 1000]).expect("it is ours");
    let note = note(&server, "\"v1\"", 400_000);
    std::fs::write(folder.path().join("file.part.tag"), note).expect("it is ours");
    let download = fetch().download(&server.url("/v2"), &path);
    let done = download.run().await.expect("it comes whole");
    assert_eq!((done.bytes, done.resumed_from), (400_000, 0));
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
    assert_eq!(server.seen()[0].field("range"), None);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changed_meanwhile_is_downloaded_anew() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    std::fs::write(folder.path().join("file.part"), [9; 1000]).expect("it is ours");
    let content = content();
    let server = file_server(content.clone(), "\"v2\"", usize::MAX).await;
    let note = note(&server, "\"v1\"", 2000);
    std::fs::write(folder.path().join("file.part.tag"), note).expect("it is ours");
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

/// Gives 50 bytes of 100 on each connection, from the beginning, as another state of the file each
/// time if there is a tag at all.
async fn halving_server(etag: impl Fn(usize) -> String + Send + Sync + 'static) -> Server {
    Server::new(move |at, _| {
        let etag = etag(at);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n";
        format!("{head}{etag}\r\n{}", "x".repeat(50))
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_download_that_begins_anew_each_time_ends_at_its_bound_and_waits_between() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for tagged in [false, true] {
        let server = halving_server(move |at| match tagged {
            true => format!("etag: \"{at}\"\r\n"),
            false => String::new(),
        })
        .await;
        let begun = Instant::now();
        let download = fetch().download(&server.url("/"), folder.path().join("file"));
        let error = download.attempts(5).run().await.expect_err("it never ends");
        assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
        assert_eq!(server.seen().len(), 5);
        // Pauses of chance below 0.25, 0.5, 1 and 2 s: all of them small is one chance in millions.
        assert!(begun.elapsed() > Duration::from_millis(20));
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_that_goes_on_is_not_counted_against() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    let content = content();
    let server = file_server(content.clone(), "\"v1\"", 20_000).await;
    let download = fetch().download(&server.url("/"), &path).attempts(2);
    download.run().await.expect("each connection brings more");
    assert_eq!(server.seen().len(), 20);
    assert_eq!(std::fs::read(&path).expect("it is there"), content);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_download_is_one_for_all_its_connections() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let total = Duration::from_secs(30);
    let server = halving_server(|_| String::new()).await;
    let begun = Instant::now();
    let request = fetch().get(&server.url("/")).deadline(total);
    let download = request.download(folder.path().join("file"));
    let error = download.attempts(1_000_000).run().await;
    assert!(matches!(error, Err(FetchError::Cut { .. })), "{error:?}");
    assert!(begun.elapsed() <= total);
    // A connection that brings nothing more has what is left of it.
    let silent = Server::new(|at, _| match at {
        0 => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nx",
        _ => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    })
    .await;
    let begun = Instant::now();
    let total = Duration::from_secs(20);
    let request = fetch().get(&silent.url("/")).deadline(total);
    let download = request.download(folder.path().join("file"));
    let error = download.run().await.expect_err("nothing comes");
    assert!(
        matches!(error, FetchError::TooSlow { phase: Phase::Total, after, .. } if after == total),
        "{error:?}"
    );
    assert_eq!(begun.elapsed(), total);
    let text = error.to_string();
    assert!(
        text.ends_with("too slow in all: not done within 20s"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_download_is_not_asked_for_twice_where_that_could_do_harm() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let server = halving_server(|_| String::new()).await;
    for (request, requests) in [
        (fetch().post(&server.url("/")), 1),
        (fetch().post(&server.url("/")).idempotent(), 1 + 3),
    ] {
        let download = request.download(folder.path().join("file")).attempts(3);
        download.run().await.expect_err("it is cut");
        assert_eq!(server.seen().len(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_of_a_download_are_all_the_attempts_that_are_made() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    // Every connection ends before an answer.
    let server = Server::always("").await;
    for (attempts, seen) in [(1, 1), (2, 3), (6, 9)] {
        let download = fetch().download(&server.url("/"), folder.path().join("file"));
        download.attempts(attempts).run().await.expect_err("none");
        assert_eq!(server.seen().len(), seen);
    }
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

/// A server of WebSockets that does with the one what it is told.
async fn socket_server<F>(
    serve: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static,
) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("we connect");
        let socket = tokio_tungstenite::accept_async(stream).await;
        serve(socket.expect("it is an opening")).await;
    });
    url
}

#[tokio::test(start_paused = true)]
async fn a_websocket_whose_other_end_is_gone_ends_and_one_that_is_only_silent_does_not() {
    use futures_util::{SinkExt, StreamExt};
    let interval = limits::WEBSOCKET_PING_INTERVAL;
    let gone = socket_server(|socket| async {
        std::future::pending::<()>().await;
        drop(socket);
    })
    .await;
    let socket = fetch().websocket(&gone).open(&[]).await;
    let mut socket = socket.expect("it opens");
    let begun = Instant::now();
    let error = socket.next().await.expect_err("it is gone");
    assert!(
        matches!(error, WebSocketError::Silent(after) if after == interval),
        "{error:?}"
    );
    assert_eq!(begun.elapsed(), interval * 2);

    let silent = || async {
        socket_server(|mut socket| async move {
            let word = tokio::time::sleep(limits::WEBSOCKET_PING_INTERVAL * 10);
            let mut word = std::pin::pin!(word);
            let mut pings = 0;
            loop {
                tokio::select! {
                    frame = socket.next() => match frame {
                        // The answer goes out with this look.
                        Some(Ok(frame)) if frame.is_ping() => pings += 1,
                        _ => return,
                    },
                    () = &mut word => {
                        let text = pings.to_string();
                        socket.send(text.into()).await.expect("it is open");
                        return;
                    }
                }
            }
        })
        .await
    };
    for (interval, pings) in [(Some(interval), 9..=10), (None, 0..=0)] {
        let request = fetch().websocket(&silent().await).ping_interval(interval);
        let mut socket = request.open(&[]).await.expect("it opens");
        let Ok(Some(Message::Text(told))) = socket.next().await else {
            panic!("no word");
        };
        let told: u32 = told.parse().expect("it is a number");
        assert!(pings.contains(&told), "{told} pings");
    }
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
