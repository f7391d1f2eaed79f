//! Lines in the log about what may happen with every message: one now and then, that says how many
//! were left out.

use std::fmt;

use periwinkle_core::limits::MQTT_WARNING_PAUSE;
use periwinkle_core::time::Mono;

/// When the last line about something was written, and what happened since.
#[derive(Debug, Default)]
pub(super) struct Warned {
    next: Option<Mono>,
    left_out: u64,
}

/// What stands behind such a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOut(u64);

impl Warned {
    /// It happened so many times more: whether a line is due.
    pub(super) fn note(&mut self, times: u64, now: Mono) -> Option<LeftOut> {
        if times == 0 {
            return None;
        }
        if self.next.is_some_and(|next| now < next) {
            self.left_out += times;
            return None;
        }
        self.next = Some(now + MQTT_WARNING_PAUSE);
        let left_out = std::mem::take(&mut self.left_out);
        Some(LeftOut(left_out + times - 1))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} more since the last such line)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_happens_again_and_again_is_told_now_and_then_with_its_number() {
        let mut warned = Warned::default();
        let begin = Mono::from_start(Duration::from_secs(7));
        let mut told = |times, after| {
            let line = warned.note(times, begin + after);
            line.map(|line| line.to_string())
        };
        let just_before = MQTT_WARNING_PAUSE - Duration::from_millis(1);
        assert_eq!(told(0, Duration::ZERO), None);
        assert_eq!(told(1, Duration::ZERO), Some(String::new()));
        assert_eq!(told(2, just_before), None);
        assert_eq!(
            told(1, MQTT_WARNING_PAUSE),
            Some(" (2 more since the last such line)".to_owned())
        );
        assert_eq!(told(1, MQTT_WARNING_PAUSE + just_before), None);
        assert_eq!(
            told(1, 2 * MQTT_WARNING_PAUSE),
            Some(" (1 more since the last such line)".to_owned())
        );
    }
}
