//! How the way to the table is doing: pace, pauses, and the server's clock.

use super::Reason;
use crate::limits::{SYNC_BACKOFF_MAX_MS, SYNC_BACKOFF_MIN_MS, SYNC_WAITING_MS};
use crate::sync::random::Random;
use crate::time::{Mono, Now, UnixMillis};
use std::time::Duration;

/// Doublings after which the backoff has reached its longest.
const DOUBLINGS_MAX: u32 = 16;
/// A `Date` has whole seconds, so an offset below this says nothing.
const OFFSET_MEANT_MS: i64 = 2_000;

/// One congestion window and one gate for everything that is sent.
///
/// The window grows by one per round trip and halves on trouble, so that after an outage one
/// request probes the way instead of all lanes at once.
#[derive(Clone, Debug)]
pub(super) struct Link {
    lanes: f64,
    window: f64,
    gate: Option<Mono>,
    failures: u32,
    trouble: Option<Reason>,
    server: Option<(UnixMillis, Mono)>,
    offset_ms: Option<i64>,
    last_exchange: Option<UnixMillis>,
    last_error: Option<(Option<UnixMillis>, Reason)>,
}

impl Link {
    pub(super) fn new(lanes: usize) -> Link {
        Link {
            lanes: lanes as f64,
            window: 1.0,
            gate: None,
            failures: 0,
            trouble: None,
            server: None,
            offset_ms: None,
            last_exchange: None,
            last_error: None,
        }
    }

    /// Whether anything may be sent now.
    pub(super) fn is_open(&self, now: Now) -> bool {
        self.gate.is_none_or(|gate| gate <= now.mono)
    }

    /// Opens the gate when its time has come.
    pub(super) fn tick(&mut self, now: Now) {
        self.gate = self.gate.filter(|gate| *gate > now.mono);
    }

    /// Until when nothing may be sent.
    pub(super) fn gate(&self) -> Option<Mono> {
        self.gate
    }

    /// How many writes may be on their way.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }

    /// Why nothing goes through at the moment.
    pub(super) fn trouble(&self) -> Option<&Reason> {
        self.trouble.as_ref()
    }

    pub(super) fn last_exchange(&self) -> Option<UnixMillis> {
        self.last_exchange
    }

    pub(super) fn last_error(&self) -> Option<&(Option<UnixMillis>, Reason)> {
        self.last_error.as_ref()
    }

    pub(super) fn offset_ms(&self) -> Option<i64> {
        self.offset_ms
    }

    /// The table answered as it should.
    pub(super) fn succeeded(&mut self, now: Now) {
        self.gate = None;
        self.failures = 0;
        self.trouble = None;
        self.window = (self.window + 1.0 / self.window).min(self.lanes);
        self.last_exchange = self.server_now(now);
    }

    /// Something that passes by itself: wait twice as long as the last time.
    pub(super) fn failed(&mut self, reason: Reason, now: Now, random: &mut Random) {
        // All that was on its way fails together: that is one failure.
        if self.is_open(now) {
            let doublings = self.failures.min(DOUBLINGS_MAX);
            let wait = (SYNC_BACKOFF_MIN_MS << doublings).min(SYNC_BACKOFF_MAX_MS);
            self.gate = Some(now.mono + random.jitter(Duration::from_millis(wait)));
            self.failures += 1;
            self.window = (self.window / 2.0).max(1.0);
        }
        self.note(reason, now);
    }

    /// Something that a person or a configuration must put right: look again now and then.
    pub(super) fn must_wait(&mut self, reason: Reason, now: Now, random: &mut Random) {
        self.gate = Some(now.mono + random.jitter(Duration::from_millis(SYNC_WAITING_MS)));
        self.window = 1.0;
        self.note(reason, now);
    }

    /// Something that has just been put right, such as the clock: try again at once, but a second
    /// time in a row only after a pause.
    pub(super) fn corrected(&mut self, reason: Reason, now: Now, random: &mut Random) {
        if self.failures == 0 {
            self.failures = 1;
            self.note(reason, now);
        } else {
            self.must_wait(reason, now, random);
        }
    }

    fn note(&mut self, reason: Reason, now: Now) {
        self.last_error = Some((self.server_now(now), reason.clone()));
        self.trouble = Some(reason);
    }

    /// An error that holds nothing up.
    pub(super) fn note_error(&mut self, reason: Reason, now: Now) {
        self.last_error = Some((self.server_now(now), reason));
    }

    /// A person says that it may work now.
    pub(super) fn retry_now(&mut self) {
        self.gate = None;
        self.failures = 0;
    }

    /// Learns the server's time from an answer; gives the clock's error when it is a new one.
    pub(super) fn learn_date(&mut self, date: UnixMillis, now: Now) -> Option<i64> {
        let expected = self.server_now(now).unwrap_or(UnixMillis(i64::MIN));
        if (date.0.saturating_sub(expected.0)).abs() >= OFFSET_MEANT_MS {
            self.server = Some((date, now.mono));
        }
        let offset = date.0 - now.wall?.0;
        let known = self.offset_ms.unwrap_or(0);
        if (offset - known).abs() < OFFSET_MEANT_MS {
            self.offset_ms.get_or_insert(0);
            return None;
        }
        self.offset_ms = Some(offset);
        Some(offset)
    }

    /// The server's time, as far as it is known; otherwise our own.
    pub(super) fn server_now(&self, now: Now) -> Option<UnixMillis> {
        match self.server {
            Some((date, at)) => Some(date.plus(now.mono.since(at))),
            None => now.wall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            mono: Mono::from_start(Duration::from_millis(ms)),
            wall: Some(UnixMillis(1_000_000 + ms as i64)),
            trusted: false,
        }
    }

    fn reason() -> Reason {
        Reason::new("unreachable", "no answer", "check the network")
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let mut random = Random::seeded(1);
        let mut link = Link::new(8);
        let mut now = at(0);
        for doublings in 0..12 {
            link.failed(reason(), now, &mut random);
            let wait = link.gate().unwrap().since(now.mono).as_millis() as u64;
            let middle = (SYNC_BACKOFF_MIN_MS << doublings).min(SYNC_BACKOFF_MAX_MS);
            assert!(
                wait >= middle / 2 && wait <= middle * 3 / 2,
                "{doublings}: {wait}"
            );
            now = Now {
                mono: link.gate().unwrap(),
                ..now
            };
        }
    }

    #[test]
    fn failures_of_one_flight_count_once() {
        let mut random = Random::seeded(1);
        let mut link = Link::new(8);
        link.failed(reason(), at(0), &mut random);
        let gate = link.gate();
        link.failed(reason(), at(1), &mut random);
        assert_eq!(link.gate(), gate);
    }

    #[test]
    fn the_window_opens_with_success_and_halves_with_trouble() {
        let mut random = Random::seeded(1);
        let mut link = Link::new(8);
        for _ in 0..100 {
            link.succeeded(at(0));
        }
        assert_eq!(link.window(), 8);
        link.failed(reason(), at(0), &mut random);
        assert_eq!(link.window(), 4);
    }

    #[test]
    fn a_clock_that_is_off_is_told_once() {
        let mut link = Link::new(8);
        let server = |ms: u64| UnixMillis(2_000_000 + ms as i64);
        assert_eq!(link.learn_date(server(0), at(0)), Some(1_000_000));
        assert_eq!(link.learn_date(server(500), at(500)), None);
        assert_eq!(link.server_now(at(700)), Some(server(700)));
    }

    #[test]
    fn a_correction_is_tried_at_once_but_not_twice() {
        let mut random = Random::seeded(1);
        let mut link = Link::new(8);
        link.corrected(reason(), at(0), &mut random);
        assert!(link.is_open(at(0)));
        link.corrected(reason(), at(0), &mut random);
        assert!(!link.is_open(at(0)));
    }
}
