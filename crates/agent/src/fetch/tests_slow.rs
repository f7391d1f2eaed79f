//! Bodies that leave slowly: over a line, to a server that takes them at its own pace.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::test_server::{answer, fetch};
use super::*;

const BODY_BYTES: usize = 400_000;

/// Serves one connection, over which the system takes little before it is read.
fn serve<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> (String, JoinHandle<F::Output>)
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it may be small");
    let any = "127.0.0.1:0".parse().expect("it is an address");
    socket.bind(any).expect("loopback has ports");
    let listener = socket.listen(1).expect("it is bound");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("we connect");
        serve(stream).await
    });
    (url, served)
}

/// Reads the body, so many bytes a second, and tells `taken` each time how many came.
async fn read_slowly(stream: &mut TcpStream, each: usize, mut taken: impl FnMut(usize)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head comes"));
    }
    let mut piece = vec![0; each];
    let mut sum = 0;
    while sum < BODY_BYTES {
        sleep(Duration::from_secs(1)).await;
        let most = each.min(BODY_BYTES - sum);
        let Ok(read @ 1..) = stream.read(&mut piece[..most]).await else {
            return;
        };
        sum += read;
        taken(sum);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_line_may_take_its_time_and_progress_tells_what_has_left() {
    let (sender, progress) = watch::channel(Progress::default());
    let seen = progress.clone();
    let (url, served) = serve(move |mut stream| async move {
        let mut ahead = 0;
        let taken = |sum: usize| {
            ahead = ahead.max(seen.borrow().bytes.saturating_sub(sum as u64));
        };
        read_slowly(&mut stream, 2000, taken).await;
        let answer = answer("200 OK", "");
        stream.write_all(&answer).await.expect("it is waited for");
        ahead
    });
    let begun = Instant::now();
    let request = fetch().put(&url).body(vec![0; BODY_BYTES]).progress(sender);
    let answer = request.send().await.expect("it moves all the time");
    assert!(answer.is_success());
    assert!(begun.elapsed() >= Duration::from_secs(200));
    let ahead = served.await.expect("it serves");
    assert!(ahead < 70_000, "{ahead} bytes ahead of what came");
    assert_eq!(progress.borrow().bytes, BODY_BYTES as u64);
}

#[tokio::test(start_paused = true)]
async fn the_server_has_its_time_from_when_the_body_has_left() {
    let (url, served) = serve(|mut stream| async move {
        read_slowly(&mut stream, 4000, |_| {}).await;
        let whole = Instant::now();
        // Until the other end has had enough.
        assert_eq!(stream.read(&mut [0]).await.expect("it closes"), 0);
        whole.elapsed()
    });
    let request = fetch().put(&url).body(vec![0; BODY_BYTES]).retries(0);
    let error = request.send().await.expect_err("it is silent");
    let within = Duration::from_secs(60);
    assert!(
        matches!(error, FetchError::TooSlow { phase: Phase::Waiting, after, .. } if after == within),
        "{error:?}"
    );
    // The end of the body was in the system's buffer there a few seconds before it was read.
    let waited = served.await.expect("it serves").as_secs();
    assert!((40..=61).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_leaves_below_the_minimum_rate_is_given_up_and_one_above_is_not() {
    let rate = MinimumRate {
        bytes_per_second: 2000,
        over: Duration::from_secs(60),
    };
    let (slow, _held) = serve(|mut stream| async move {
        read_slowly(&mut stream, 500, |_| {}).await;
    });
    let request = fetch().put(&slow).body(vec![0; BODY_BYTES]).retries(0);
    let error = request.minimum_rate(rate).send().await.expect_err("slow");
    assert!(
        matches!(
            error,
            FetchError::RateTooLow {
                phase: Phase::Sending,
                ..
            }
        ),
        "{error:?}"
    );
    // Seen over half a minute, as deadlines between pieces are, it would be too slow.
    let (good, _held) = serve(|mut stream| async move {
        read_slowly(&mut stream, 3000, |_| {}).await;
        let answer = answer("200 OK", "");
        stream.write_all(&answer).await.expect("it is waited for");
    });
    let request = fetch().put(&good).body(vec![0; BODY_BYTES]).retries(0);
    let answer = request.minimum_rate(rate).send().await;
    assert!(answer.expect("it is fast enough").is_success());
}
