//! The wait for the head of an answer, while the body of the request is on its way.
//!
//! What was taken from a body has not left yet: the writer and the system hold up to megabytes, for
//! which a slow line takes minutes. So it is looked at regularly how much the other end has
//! acknowledged. That decides whether the body moves and how fast, and the time that the server
//! has for its answer begins when nothing of it is left here.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use periwinkle_core::limits;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::{FetchError, Phase};
use super::request::Deadlines;
use super::sending::{SendBody, Upload};
use crate::net::pool::{Lease, SendError};

/// An answer that has begun, and the connection that brings it.
type Head = (Response<Incoming>, Lease<SendBody>);

/// Waits for the head of the answer while the body is on its way. Whatever ends the wait drops
/// `head`, and with it the connection and the body.
pub(super) async fn long_head(
    deadlines: Deadlines,
    mut head: Pin<Box<impl Future<Output = Result<Head, SendError>>>>,
    upload: &Arc<Upload>,
    host: &str,
) -> Result<Head, FetchError> {
    if upload.is_gated() {
        match timeout(limits::FETCH_CONTINUE_WAIT_MAX, &mut head).await {
            Ok(head) => return answered(head, host, (upload, deadlines)),
            // Old servers do not know the question.
            Err(_) => upload.open(),
        }
    }
    let mut pace = Pace::new(deadlines, Instant::now());
    loop {
        let look = pace.next_look(Instant::now());
        tokio::select! {
            head = &mut head => return answered(head, host, (upload, deadlines)),
            // That may have been the last of it.
            () = upload.ended() => {}
            () = sleep_until(look) => {}
        }
        let seen = look_at(upload).await;
        if let Some(late) = pace.look(seen, Instant::now()) {
            return Err(late.error(host));
        }
    }
}

fn answered(
    head: Result<Head, SendError>,
    host: &str,
    (upload, deadlines): (&Upload, Deadlines),
) -> Result<Head, FetchError> {
    let phase = match upload.is_done() {
        true => Phase::Waiting,
        false => Phase::Sending,
    };
    let head =
        head.map_err(|error| FetchError::of_send(host, phase, deadlines.first_byte, error))?;
    upload.handle_answer();
    Ok(head)
}

/// What is seen of a body on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// There is no connection yet; its deadlines are others.
    Nothing,
    /// So many bytes of the request have left.
    Left(u64),
    /// All have, so many.
    Out(u64),
}

async fn look_at(upload: &Upload) -> Seen {
    // What is taken after this question is not what the connection is asked about.
    let is_done = upload.is_done();
    let Some(departed) = upload.way.departed().await else {
        return Seen::Nothing;
    };
    upload.tell(departed.bytes);
    match is_done && departed.all {
        true => Seen::Out(departed.bytes),
        false => Seen::Left(departed.bytes),
    }
}

/// How a body moves, look by look.
#[derive(Debug)]
struct Pace {
    deadlines: Deadlines,
    left: u64,
    /// When the last byte was seen to leave.
    moved: Instant,
    /// The measurement of the rate: since when, and what had left by then.
    window: (Instant, u64),
    is_out: bool,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// The answer.
    Answer(Duration),
    /// The body: nothing left.
    Stuck(Duration),
    /// The body: less left than this each second.
    Slow(u64),
}

impl Late {
    fn error(self, host: &str) -> FetchError {
        match self {
            Late::Answer(after) => FetchError::too_slow(host, Phase::Waiting, after),
            Late::Stuck(after) => FetchError::too_slow(host, Phase::Sending, after),
            Late::Slow(bytes_per_second_min) => FetchError::RateTooLow {
                host: host.to_owned(),
                phase: Phase::Sending,
                bytes_per_second_min,
            },
        }
    }
}

impl Pace {
    const fn new(deadlines: Deadlines, now: Instant) -> Pace {
        Pace {
            deadlines,
            left: 0,
            moved: now,
            window: (now, 0),
            is_out: false,
        }
    }

    fn next_look(&self, now: Instant) -> Instant {
        let end = self.moved + self.deadline().0;
        if self.is_out {
            return end;
        }
        let next = end.min(now + limits::FETCH_LOOK_INTERVAL);
        match self.deadlines.rate {
            Some(rate) => next.min(self.window.0 + rate.over),
            None => next,
        }
    }

    fn look(&mut self, seen: Seen, now: Instant) -> Option<Late> {
        let (bytes, is_out) = match seen {
            Seen::Nothing => {
                (self.moved, self.window) = (now, (now, 0));
                return None;
            }
            Seen::Left(bytes) => (bytes, false),
            Seen::Out(bytes) => (bytes, true),
        };
        if bytes > self.left || is_out != self.is_out {
            (self.left, self.moved, self.is_out) = (bytes.max(self.left), now, is_out);
        }
        let (within, late) = self.deadline();
        match now >= self.moved + within {
            true => Some(late),
            false if is_out => None,
            false => self.rate_missed(now),
        }
    }

    /// How long nothing may happen, and what it means when that has passed.
    const fn deadline(&self) -> (Duration, Late) {
        match self.is_out {
            true => {
                let within = self.deadlines.first_byte;
                (within, Late::Answer(within))
            }
            false => {
                let within = self.deadlines.between_bytes;
                (within, Late::Stuck(within))
            }
        }
    }

    fn rate_missed(&mut self, now: Instant) -> Option<Late> {
        let rate = self.deadlines.rate?;
        let (since, before) = self.window;
        if now < since + rate.over {
            return None;
        }
        self.window = (now, self.left);
        let is_slow = self.left - before < rate.bytes_over();
        is_slow.then_some(Late::Slow(rate.bytes_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::MinimumRate;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Lets a body leave at this rate, looked at when it wants to be; what ended it, and when.
    fn run(deadlines: Deadlines, bytes_per_second: u64, whole: u64) -> (Option<Late>, Duration) {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(deadlines, start), start);
        while now < start + secs(3600) {
            now = pace.next_look(now);
            let left = (now - start).as_secs() * bytes_per_second;
            let seen = match left >= whole {
                true => Seen::Out(whole),
                false => Seen::Left(left),
            };
            if let Some(late) = pace.look(seen, now) {
                return (Some(late), now - start);
            }
        }
        (None, now - start)
    }

    fn rated() -> Deadlines {
        Deadlines {
            between_bytes: secs(10),
            first_byte: secs(60),
            rate: Some(MinimumRate {
                bytes_per_second: 100,
                over: secs(60),
            }),
            ..Deadlines::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_measured_over_its_own_time_and_not_over_another() {
        // 60,000 bytes at 100 a second: after them, the server has its time.
        let (late, at) = run(rated(), 100, 60_000);
        assert_eq!((late, at), (Some(Late::Answer(secs(60))), secs(660)));
        let (late, at) = run(rated(), 99, 60_000);
        assert_eq!((late, at), (Some(Late::Slow(100)), secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up_and_one_that_moves_is_not() {
        let deadlines = Deadlines {
            rate: None,
            ..rated()
        };
        assert_eq!(
            run(deadlines, 0, 1),
            (Some(Late::Stuck(secs(10))), secs(10))
        );
        assert_eq!(run(deadlines, 1, u64::MAX).0, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_leaves_behind_the_seeming_end_begins_the_wait_anew() {
        let start = Instant::now();
        let mut pace = Pace::new(rated(), start);
        assert_eq!(pace.look(Seen::Out(100), start), None);
        assert_eq!(pace.next_look(start), start + secs(60));
        assert_eq!(pace.look(Seen::Out(200), start + secs(60)), None);
        let late = pace.look(Seen::Out(200), start + secs(120));
        assert_eq!(late, Some(Late::Answer(secs(60))));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_late_before_there_is_a_connection() {
        let start = Instant::now();
        let mut pace = Pace::new(rated(), start);
        assert_eq!(pace.look(Seen::Nothing, start + secs(100)), None);
        assert_eq!(pace.look(Seen::Left(0), start + secs(109)), None);
        let late = pace.look(Seen::Left(0), start + secs(110));
        assert_eq!(late, Some(Late::Stuck(secs(10))));
    }
}
