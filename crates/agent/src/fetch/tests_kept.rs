//! Connections that were kept from an earlier request, and end when they are used again. The server
//! reads the request first, so that nothing depends on who is faster.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use periwinkle_core::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::test_server::{Server, answer, fetch};
use super::*;

/// Answers the first request of each connection for which `first` says so, and otherwise hangs up
/// when it has read the request.
async fn hanging_up(first: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
    let served = std::sync::Mutex::new(Vec::new());
    Server::new(move |_, seen| {
        let mut served = served.lock().expect("nobody panics with it");
        let is_first = !served.contains(&seen.connection);
        served.push(seen.connection);
        match is_first && first(seen.connection) {
            true => answer("200 OK", "hello"),
            false => Vec::new(),
        }
    })
    .await
}

fn connections(server: &Server) -> Vec<usize> {
    server.seen().iter().map(|seen| seen.connection).collect()
}

/// A client with a connection to the server that has served a request.
async fn warm(server: &Server) -> Fetch {
    let fetch = fetch();
    fetch.get_text(&server.url("/")).await.expect("it answers");
    fetch
}

#[tokio::test]
async fn a_request_on_a_kept_connection_that_ends_goes_again_on_a_new_one() {
    let server = hanging_up(|_| true).await;
    let fetch = warm(&server).await;
    let put = fetch.put(&server.url("/")).text("petals").retries(0);
    let answer = put.send().await.expect("it is sent again");
    assert_eq!(answer.text().await.expect("it is whole"), "hello");
    assert_eq!(connections(&server), [0, 0, 1]);
    let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [&b""[..], b"petals", b"petals"]);
}

#[tokio::test]
async fn what_could_be_done_twice_does_not_go_again() {
    let server = hanging_up(|_| true).await;
    let fetch = warm(&server).await;
    let post = fetch.post(&server.url("/")).text("petals");
    let error = post.send().await.expect_err("the server hung up");
    assert!(
        matches!(error, FetchError::Stale { unsent: false, .. }) && !error.is_unsent(),
        "{error:?}"
    );
    let words = error.to_string();
    assert!(
        words.contains("kept from an earlier request, was cut before it answered")
            && words.contains("must not be sent twice"),
        "{words}"
    );
    assert_eq!(connections(&server), [0, 0]);
}

#[tokio::test]
async fn a_body_that_is_read_once_does_not_go_again() {
    let server = hanging_up(|_| true).await;
    let fetch = warm(&server).await;
    let body = futures_util::stream::iter([Ok(Bytes::from_static(b"petals"))]);
    let put = fetch
        .put(&server.url("/"))
        .body(Payload::stream(body, None));
    let error = put.send().await.expect_err("the server hung up");
    assert!(matches!(error, FetchError::Stale { .. }), "{error:?}");
    assert_eq!(connections(&server), [0, 0]);
}

#[tokio::test]
async fn what_was_declared_harmless_goes_again() {
    let server = hanging_up(|_| true).await;
    let fetch = warm(&server).await;
    let post = fetch.post(&server.url("/")).text("petals").idempotent();
    let answer = post.retries(0).send().await.expect("it is sent again");
    assert!(answer.is_success());
    assert_eq!(connections(&server), [0, 0, 1]);
}

#[tokio::test]
async fn a_server_that_always_hangs_up_is_asked_once_more_and_not_for_ever() {
    let server = hanging_up(|connection| connection == 0).await;
    let fetch = warm(&server).await;
    let get = fetch.get(&server.url("/")).retries(0);
    let error = get.send().await.expect_err("nobody answers");
    let cut_waiting = |error: &FetchError| {
        let phase = Phase::Waiting;
        matches!(error, FetchError::Cut { phase: at, .. } if *at == phase)
    };
    assert!(cut_waiting(&error), "{error:?}");
    assert_eq!(connections(&server), [0, 0, 1]);
}

#[tokio::test]
async fn a_new_connection_that_ends_costs_a_retry() {
    let server = hanging_up(|_| false).await;
    let get = fetch().get(&server.url("/")).retries(0);
    let error = get.send().await.expect_err("nobody answers");
    assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
    assert_eq!(connections(&server), [0]);
}

#[tokio::test]
async fn an_answer_that_began_on_a_kept_connection_does_not_make_the_request_go_again() {
    let server = Server::new(|at, _| match at {
        0 => answer("200 OK", "hello"),
        _ => b"HTTP/1.1 200 OK\r\nconnection: close\r\n".to_vec(),
    })
    .await;
    let fetch = warm(&server).await;
    let get = fetch.get(&server.url("/")).retries(0);
    let error = get.send().await.expect_err("the head has no end");
    assert!(matches!(error, FetchError::Cut { .. }), "{error:?}");
    assert_eq!(connections(&server), [0, 0]);
}

#[tokio::test]
async fn of_several_connections_that_ended_one_is_met_and_no_other_is_tried() {
    let server = hanging_up(|_| true).await;
    let fetch = fetch();
    get_at_once(&fetch, &server, 3).await;
    let get = fetch.get(&server.url("/")).retries(0);
    assert!(get.send().await.expect("it is sent again").is_success());
    let after = connections(&server).split_off(3);
    assert!(after[0] < 3 && after[1..] == [3], "{after:?}");
}

/// So many requests on their way at a time, each with a connection of its own.
async fn get_at_once(fetch: &Fetch, server: &Server, count: usize) {
    let url = server.url("/");
    for text in join_all((0..count).map(|_| fetch.get_text(&url))).await {
        text.expect("it answers");
    }
}

#[tokio::test]
async fn connections_are_kept_up_to_the_bound_of_a_server() {
    let bound = limits::FETCH_POOL_CONNECTIONS_PER_HOST_MAX;
    for (at_once, connections) in [(bound, bound), (bound + 1, bound + 2)] {
        let server = Server::always(answer("200 OK", "x")).await;
        let fetch = fetch();
        get_at_once(&fetch, &server, at_once).await;
        get_at_once(&fetch, &server, at_once).await;
        let last = server.seen().iter().map(|seen| seen.connection).max();
        assert_eq!(last, Some(connections - 1), "{at_once}");
    }
}

#[tokio::test]
async fn connections_are_kept_up_to_the_bound_of_all_servers_and_the_oldest_goes_first() {
    let mut servers = Vec::new();
    for _ in 0..=limits::FETCH_POOL_CONNECTIONS_MAX {
        servers.push(Server::always(answer("200 OK", "x")).await);
    }
    let fetch = fetch();
    for server in &servers {
        fetch.get_text(&server.url("/")).await.expect("it answers");
    }
    for server in servers.iter().rev() {
        fetch.get_text(&server.url("/")).await.expect("it answers");
    }
    let (first, others) = servers.split_first().expect("there are some");
    assert_eq!(connections(first), [0, 1]);
    assert!(others.iter().all(|other| connections(other) == [0, 0]));
}

#[tokio::test]
async fn a_connection_is_kept_however_the_answer_tells_its_end() {
    let br = "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ntransfer-encoding: chunked\r\n\r\n9\r\n";
    let answers: [Vec<u8>; 5] = [
        answer("200 OK", "hello"),
        answer("200 OK", ""),
        b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".to_vec(),
        [br.as_bytes(), b"\x0b\x02\x80hello\x03\r\n0\r\n\r\n"].concat(),
    ];
    let count = answers.len();
    // Each is followed by another request, the last one by the first.
    let server = Server::new(move |at, _| answers[at % count].clone()).await;
    let fetch = fetch();
    for _ in 0..=count {
        fetch.get_text(&server.url("/")).await.expect("it answers");
    }
    assert_eq!(connections(&server), [0; 6]);
}

#[tokio::test]
async fn an_answer_without_a_body_need_not_be_read() {
    let server = Server::always(answer("200 OK", "")).await;
    let fetch = fetch();
    for _ in 0..2 {
        let head = fetch.head(&server.url("/")).send().await;
        assert!(head.expect("it answers").is_success());
    }
    assert_eq!(connections(&server), [0, 0]);
}

#[tokio::test]
async fn an_answer_that_is_given_up_takes_its_connection_with_it() {
    let server = Server::always(answer("200 OK", "x".repeat(1 << 20))).await;
    let fetch = fetch();
    for _ in 0..2 {
        let mut answer = fetch.get(&server.url("/")).send().await.expect("it begins");
        answer.chunk().await.expect("it goes on");
    }
    assert_eq!(connections(&server), [0, 1]);
}

#[tokio::test]
async fn an_answer_that_says_so_ends_its_connection() {
    let server = Server::always(answer("200 OK\r\nconnection: close", "x")).await;
    let fetch = fetch();
    for _ in 0..3 {
        let post = fetch.post(&server.url("/")).text("petals").retries(0);
        assert!(post.send().await.expect("it answers").is_success());
    }
    assert_eq!(connections(&server), [0, 1, 2]);
}

#[tokio::test]
async fn a_connection_is_closed_when_nobody_used_it_for_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let fetch = fetch();
    let (text, (mut near, _)) = tokio::join!(fetch.get_text(&url), async { serve(listener).await });
    assert_eq!(text.expect("it answers"), "x");
    tokio::time::pause();
    let almost = limits::FETCH_POOL_IDLE_MAX - Duration::from_millis(1);
    tokio::time::advance(almost).await;
    let mut byte = [0; 1];
    let open = near.try_read(&mut byte).expect_err("nothing was sent");
    assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock);
    tokio::time::advance(Duration::from_millis(2)).await;
    assert_eq!(near.read(&mut byte).await.expect("it ends in order"), 0);
}

/// Answers one request, and gives the connection.
async fn serve(listener: TcpListener) -> (TcpStream, TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("somebody connects");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("it goes on"));
    }
    let answer = answer("200 OK", "x");
    stream.write_all(&answer).await.expect("it is open");
    (stream, listener)
}
