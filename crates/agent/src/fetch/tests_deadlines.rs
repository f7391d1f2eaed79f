//! Deadlines of each phase, by a clock that stands still while anything happens.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::test_server::{Server, answer, fetch};
use super::*;

const DEADLINES: Deadlines = Deadlines {
    connect: None,
    first_byte: Duration::from_secs(3),
    between_bytes: Duration::from_secs(2),
    total: None,
    rate: None,
};

/// That a phase ended at its deadline, and neither before nor after.
#[track_caller]
fn assert_too_slow(error: &FetchError, expected: Phase, within: Duration, began: Instant) {
    let is_it = |phase: &Phase, after: &Duration| *phase == expected && *after == within;
    assert!(
        matches!(error, FetchError::TooSlow { phase, after, .. } if is_it(phase, after)),
        "{error:?}"
    );
    let took = began.elapsed();
    let grain = Duration::from_millis(50);
    assert!(took >= within && took < within + grain, "{took:?}");
}

/// A server that does this with each connection.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    url
}

/// A server that takes connections and everything on them, and never answers.
async fn silent() -> String {
    server(|mut stream| async move {
        let mut bytes = [0; 4096];
        while let Ok(1..) = stream.read(&mut bytes).await {}
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_answer_begins_within_its_deadline() {
    let url = silent().await;
    let streamed = Payload::reader(&b"body"[..], None);
    let bodies = [Payload::empty(), Payload::from("body"), streamed];
    for body in bodies {
        let began = Instant::now();
        let request = fetch().put(&url).body(body).deadlines(DEADLINES);
        let error = request.retries(0).send().await.expect_err("it is silent");
        assert_too_slow(&error, Phase::Waiting, DEADLINES.first_byte, began);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_on_within_its_deadline() {
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello").await;
    let request = fetch().get(&server.url("/")).deadlines(DEADLINES);
    let answer = request.send().await.expect("it begins");
    let began = Instant::now();
    let error = answer.text().await.expect_err("it stops");
    assert_too_slow(&error, Phase::Reading, DEADLINES.between_bytes, began);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_for_everything_holds_in_each_phase() {
    let total = Duration::from_secs(1);
    let began = Instant::now();
    let request = fetch().get(&silent().await).deadline(total);
    let error = request.send().await.expect_err("it is silent");
    assert_too_slow(&error, Phase::Total, total, began);
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello").await;
    let began = Instant::now();
    let request = fetch().get(&server.url("/")).deadline(total);
    let answer = request.send().await.expect("it begins");
    let error = answer.text().await.expect_err("it stops");
    assert_too_slow(&error, Phase::Total, total, began);
}

/// A server that gives a byte a second.
async fn dripping() -> String {
    server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            .await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_drip_ends_at_the_minimum_rate_and_in_any_case() {
    let rate = MinimumRate {
        bytes_per_second: 10,
        over: Duration::from_secs(5),
    };
    let request = fetch().get(&dripping().await).minimum_rate(rate);
    let error = request
        .send()
        .await
        .expect("it begins")
        .text()
        .await
        .expect_err("it drips");
    assert!(matches!(error, FetchError::RateTooLow { .. }), "{error:?}");
    let request = fetch().get(&dripping().await);
    let error = request
        .send()
        .await
        .expect("it begins")
        .text()
        .await
        .expect_err("it drips");
    let total = periwinkle_core::limits::FETCH_TOTAL_MAX;
    assert!(
        matches!(error, FetchError::TooSlow { phase: Phase::Total, after, .. } if after == total),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_total_deadline_holds_while_bytes_keep_coming() {
    let server = Server::always(answer("200 OK", vec![7; 200_000])).await;
    let request = fetch()
        .get(&server.url("/"))
        .deadline(Duration::from_secs(5));
    let mut answer = request.send().await.expect("it begins");
    assert!(answer.chunk().await.expect("it comes").is_some());
    tokio::time::advance(Duration::from_secs(6)).await;
    let error = answer.chunk().await.expect_err("it is over");
    assert!(
        matches!(
            error,
            FetchError::TooSlow {
                phase: Phase::Total,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_for_everything_holds_over_an_answer_without_end() {
    let endless = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[7; 1000]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let total = Duration::from_secs(5);
    let began = Instant::now();
    let request = fetch().get(&endless).deadline(total);
    let mut answer = request.send().await.expect("it begins");
    let error = loop {
        if let Err(error) = answer.chunk().await {
            break error;
        }
    };
    assert_too_slow(&error, Phase::Total, total, began);
    // The same to a file, which is not begun again.
    let folder = tempfile::tempdir().expect("a folder for the test");
    let began = Instant::now();
    let request = fetch().get(&endless).deadline(total);
    let download = request.download(folder.path().join("file"));
    let error = download.run().await.expect_err("it never ends");
    assert_too_slow(&error, Phase::Total, total, began);
}

#[tokio::test(start_paused = true)]
async fn what_passed_before_the_first_attempt_counts_where_the_caller_says_so() {
    let total = Duration::from_secs(5);
    let folder = tempfile::tempdir().expect("a folder for the test");
    for to_file in [false, true] {
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(4)).await;
        let request = fetch().get(&silent().await).deadline_since(began, total);
        let error = match to_file {
            false => request.send().await.map(drop),
            true => request
                .download(folder.path().join("file"))
                .run()
                .await
                .map(drop),
        };
        assert_too_slow(
            &error.expect_err("it is silent"),
            Phase::Total,
            total,
            began,
        );
    }
}
