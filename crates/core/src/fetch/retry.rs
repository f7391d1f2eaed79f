//! Whether a request is sent once more, and when.
//!
//! Only where it can do no harm: the method is idempotent (RFC 9110, section 9.2.2), or the server
//! certainly did not begin; and where the body is there once more. A budget keeps retries a share
//! of the traffic, so that they do not drown a service that struggles.

use super::date::parse_date;
use crate::limits;
use crate::retry::{Backoff, RetryBudget};
use crate::time::{Mono, UnixMillis};
use std::time::Duration;

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// No connection was made: the server saw nothing.
    NotConnected,
    /// The connection ended before the answer did.
    Cut,
    /// No answer in time.
    TimedOut,
    /// An answer with this status and this `Retry-After`.
    Status(u16, Option<&'a str>),
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeatable<'a> {
    /// Its method.
    pub method: &'a str,
    /// Whether the caller says that it can be done twice, such as with an idempotency key.
    pub declared_safe: bool,
    /// Whether its body is there once more: in memory, in a file, or not yet touched.
    pub body: bool,
}

impl Repeatable<'_> {
    /// Whether it is sent again at once, without a retry being counted, when it went out on a
    /// connection that had served others and that ended before the answer began (RFC 9112, section
    /// 9.3.1). `unsent` says that nothing of it left.
    pub fn may_go_again(&self, unsent: bool) -> bool {
        self.body && (unsent || self.declared_safe || is_idempotent(self.method))
    }
}

/// The retries of one exchange.
#[derive(Clone, Debug)]
pub struct Retries {
    backoff: Backoff,
    left: u32,
}

impl Retries {
    /// At most that many after the first attempt.
    pub const fn new(retries_max: u32) -> Retries {
        Retries {
            backoff: Backoff::full(limits::FETCH_BACKOFF_MIN, limits::FETCH_BACKOFF_MAX),
            left: retries_max,
        }
    }

    /// When the next attempt begins; `None` when the failure is the result.
    ///
    /// `random` is evenly distributed over all of `u64`; `wall` serves to read a `Retry-After`
    /// that is a date. An attempt that could not begin before the deadline is not made.
    pub fn next(
        &mut self,
        request: Repeatable<'_>,
        failure: Failure<'_>,
        budget: &mut RetryBudget,
        (now, deadline): (Mono, Mono),
        wall: Option<UnixMillis>,
        random: u64,
    ) -> Option<Mono> {
        if self.left == 0 || !request.body || !may_repeat(request, failure) {
            return None;
        }
        let asked = match failure {
            Failure::Status(_, Some(field)) => retry_after(field, wall).unwrap_or_default(),
            _ => Duration::ZERO,
        };
        if asked > limits::FETCH_RETRY_AFTER_MAX {
            return None;
        }
        let at = now + self.backoff.next_pause(random).max(asked);
        if at >= deadline || !budget.take() {
            return None;
        }
        self.left -= 1;
        Some(at)
    }
}

/// The budget of a client: ten retries at once, and one for ten successes.
pub const fn retry_budget() -> RetryBudget {
    RetryBudget::new(
        limits::FETCH_RETRY_TOKENS,
        limits::FETCH_RETRY_COST_TOKENS,
        1,
    )
}

fn may_repeat(request: Repeatable<'_>, failure: Failure<'_>) -> bool {
    let safe = request.declared_safe || is_idempotent(request.method);
    match failure {
        Failure::NotConnected => true,
        // The server said that it did not do it.
        Failure::Status(425 | 429, _) => true,
        Failure::Cut | Failure::TimedOut => safe,
        Failure::Status(408 | 500 | 502 | 503 | 504, _) => safe,
        Failure::Status(..) => false,
    }
}

/// RFC 9110, section 9.2.2.
pub fn is_idempotent(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
    )
}

/// How long a server asks to wait: seconds or a date (RFC 9110, section 10.2.3).
pub fn retry_after(field: &str, wall: Option<UnixMillis>) -> Option<Duration> {
    let field = field.trim();
    if !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(field.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let millis = parse_date(field)?.0.saturating_sub(wall?.0);
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str) -> Repeatable<'_> {
        Repeatable {
            method,
            declared_safe: false,
            body: true,
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    fn once(request: Repeatable<'_>, failure: Failure<'_>) -> bool {
        let mut budget = retry_budget();
        let times = (at(0), at(3600));
        Retries::new(1)
            .next(request, failure, &mut budget, times, None, 0)
            .is_some()
    }

    #[test]
    fn a_request_is_repeated_only_where_it_does_no_harm() {
        use Failure::{Cut, NotConnected, Status, TimedOut};
        let cases = [
            (NotConnected, true, true),
            (Cut, true, false),
            (TimedOut, true, false),
            (Status(429, None), true, true),
            (Status(425, None), true, true),
            (Status(503, None), true, false),
            (Status(500, None), true, false),
            (Status(501, None), false, false),
            (Status(404, None), false, false),
            (Status(200, None), false, false),
        ];
        for (failure, get, post) in cases {
            assert_eq!(once(request("GET"), failure), get, "GET {failure:?}");
            assert_eq!(once(request("POST"), failure), post, "POST {failure:?}");
        }
        let declared = Repeatable {
            declared_safe: true,
            ..request("POST")
        };
        assert!(once(declared, Cut));
        let spent = Repeatable {
            body: false,
            ..request("PUT")
        };
        assert!(!once(spent, NotConnected));
    }

    #[test]
    fn what_a_kept_connection_lost_goes_again_at_once_only_where_it_does_no_harm() {
        assert!(request("GET").may_go_again(false));
        assert!(!request("POST").may_go_again(false));
        assert!(request("POST").may_go_again(true));
        let declared = Repeatable {
            declared_safe: true,
            ..request("POST")
        };
        assert!(declared.may_go_again(false));
        let spent = Repeatable {
            body: false,
            ..request("PUT")
        };
        assert!(!spent.may_go_again(false) && !spent.may_go_again(true));
    }

    #[test]
    fn a_server_that_asks_to_wait_is_heard_within_a_bound() {
        let next = |field: &str, wall| {
            let failure = Failure::Status(503, Some(field));
            let times = (at(100), at(10_000));
            let mut budget = retry_budget();
            Retries::new(1).next(request("GET"), failure, &mut budget, times, wall, 0)
        };
        assert_eq!(next("7", None), Some(at(107)));
        let max = limits::FETCH_RETRY_AFTER_MAX.as_secs();
        assert_eq!(next(&max.to_string(), None), Some(at(100 + max)));
        assert_eq!(next(&(max + 1).to_string(), None), None);
        assert_eq!(next("99999999999999999999", None), None);
        let wall = Some(UnixMillis(784_111_777_000 - 5000));
        assert_eq!(next("Sun, 06 Nov 1994 08:49:37 GMT", wall), Some(at(105)));
        // A date that has passed, no clock, or nonsense: the usual pause.
        let late = Some(UnixMillis(784_111_777_000 + 5000));
        assert_eq!(next("Sun, 06 Nov 1994 08:49:37 GMT", late), Some(at(100)));
        assert_eq!(next("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(at(100)));
        assert_eq!(next("soon", wall), Some(at(100)));
    }

    #[test]
    fn pauses_grow_and_end_with_the_deadline_and_the_attempts() {
        let mut budget = retry_budget();
        let mut retries = Retries::new(2);
        let mut next = |deadline| {
            let failure = Failure::NotConnected;
            retries.next(
                request("GET"),
                failure,
                &mut budget,
                (at(0), deadline),
                None,
                u64::MAX,
            )
        };
        let first = limits::FETCH_BACKOFF_MIN;
        assert_eq!(next(at(60)), Some(Mono::ZERO + first));
        assert_eq!(next(Mono::ZERO + first), None);
        assert_eq!(next(at(60)), Some(Mono::ZERO + first * 4));
        assert_eq!(next(at(60)), None);
    }

    #[test]
    fn a_spent_budget_ends_retries() {
        let mut budget = retry_budget();
        let mut tries = 0;
        while Retries::new(1)
            .next(
                request("GET"),
                Failure::NotConnected,
                &mut budget,
                (at(0), at(60)),
                None,
                0,
            )
            .is_some()
        {
            tries += 1;
        }
        assert_eq!(tries, 10);
    }
}
