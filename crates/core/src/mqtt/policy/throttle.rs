//! Sending slower when the broker asks for it, and slowly faster again.

use crate::limits::MQTT_THROTTLE_DELAY_MAX;
use crate::time::Mono;
use std::time::Duration;

/// The delay from which a request to slow down starts.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// One request is heard in this time: what was sent together is refused together.
const DEAF: Duration = Duration::from_secs(1);
/// The delay shrinks by an eighth each time so much passes without a request.
const RECOVERY: Duration = Duration::from_secs(10);
/// Below this there is none.
const LEAST_DELAY: Duration = Duration::from_millis(10);

/// A delay between messages that adapts itself: doubled at each request to slow down, and smaller
/// by an eighth for each ten seconds without one.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    delay: Duration,
    asked: Option<Mono>,
    eased: Mono,
    sent: Option<Mono>,
}

impl Throttle {
    /// No delay.
    pub fn new() -> Throttle {
        Throttle::default()
    }

    /// The broker says that messages come too fast.
    pub fn handle_slow_down(&mut self, now: Mono) {
        if self.asked.is_some_and(|asked| now < asked + DEAF) {
            return;
        }
        self.ease(now);
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, MQTT_THROTTLE_DELAY_MAX);
        self.asked = Some(now);
        self.eased = now;
    }

    /// A message was sent.
    pub fn handle_sent(&mut self, now: Mono) {
        self.sent = Some(now);
    }

    /// When the next message may be sent; `None` is at once.
    pub fn next_send(&mut self, now: Mono) -> Option<Mono> {
        if self.delay.is_zero() {
            return None;
        }
        self.ease(now);
        self.due().filter(|due| *due > now)
    }

    /// When the delay behind the last message is over; it may be over already.
    pub fn due(&self) -> Option<Mono> {
        match self.delay.is_zero() {
            true => None,
            false => self.sent.map(|sent| sent + self.delay),
        }
    }

    /// The delay as it is.
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    fn ease(&mut self, now: Mono) {
        while !self.delay.is_zero() && self.eased + RECOVERY <= now {
            self.eased = self.eased + RECOVERY;
            self.delay = self.delay * 7 / 8;
            if self.delay < LEAST_DELAY {
                self.delay = Duration::ZERO;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn the_delay_doubles_at_each_request_up_to_its_bound() {
        let mut throttle = Throttle::new();
        assert_eq!(throttle.next_send(at(0)), None);
        throttle.handle_slow_down(at(0));
        throttle.handle_slow_down(at(0));
        assert_eq!(throttle.delay(), FIRST_DELAY);
        throttle.handle_slow_down(at(1));
        assert_eq!(throttle.delay(), FIRST_DELAY * 2);
        for second in 2..30 {
            throttle.handle_slow_down(at(second));
        }
        assert_eq!(throttle.delay(), MQTT_THROTTLE_DELAY_MAX);
    }

    #[test]
    fn messages_keep_the_delay_between_them() {
        let mut throttle = Throttle::new();
        throttle.handle_slow_down(at(1));
        throttle.handle_sent(at(1));
        assert_eq!(throttle.next_send(at(1)), Some(at(1) + FIRST_DELAY));
        assert_eq!(throttle.next_send(at(2)), None);
    }

    #[test]
    fn without_requests_the_delay_vanishes() {
        let mut throttle = Throttle::new();
        for second in 1..30 {
            throttle.handle_slow_down(at(second));
        }
        throttle.next_send(at(29 + 10));
        assert_eq!(throttle.delay(), MQTT_THROTTLE_DELAY_MAX * 7 / 8);
        throttle.next_send(at(29 + 3600));
        assert_eq!(throttle.delay(), Duration::ZERO);
    }
}
