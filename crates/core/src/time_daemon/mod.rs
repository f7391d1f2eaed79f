//! What is asked of the daemons that keep this machine's clock, and what their answers say.
//!
//! Each answer comes down to a mark: the system's time at which the daemon last found the clock
//! right, if it thinks that it still is.

pub mod chrony;
pub mod ntp;

use crate::limits;
use crate::time::UnixMillis;

/// What a daemon says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It keeps the clock by somebody else's, and last heard of that one at this time.
    Right(UnixMillis),
    /// It does not know the time, goes by the clock that it should set, or thinks that the clock
    /// is off by more than [`limits::CLOCK_ERROR_MAX`].
    NotKnown,
}

impl Answer {
    /// The time of the mark, if there is one.
    pub const fn mark(self) -> Option<UnixMillis> {
        match self {
            Answer::Right(at) => Some(at),
            Answer::NotKnown => None,
        }
    }
}

/// Whether a clock may be off by so many seconds at most.
fn is_near(seconds: f64) -> bool {
    seconds <= limits::CLOCK_ERROR_MAX.as_secs_f64()
}

/// A number of the packet, the highest byte first; the caller has looked at the length.
fn number<const N: usize>(packet: &[u8], at: usize) -> [u8; N] {
    let bytes = packet[at..at + N].try_into();
    bytes.expect("a range of N bytes is N bytes long")
}
