//! Connections that were kept from an earlier request, and end when they are used again. The server
//! reads the request first, so that nothing depends on who is faster.

use bytes::Bytes;

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
