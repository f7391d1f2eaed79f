//! What a server's clock is ahead of this machine's.

use std::sync::{Mutex, MutexGuard};

use periwinkle_core::aws::sigv4::ClockOffset;
use periwinkle_core::time::UnixMillis;

use super::clock::Clock;

/// What the clock of a server is ahead of this machine's. It holds for as long as nobody sets
/// this machine's clock, and is forgotten then.
#[derive(Debug)]
pub struct ServerOffset {
    clock: Clock,
    known: Mutex<(u64, ClockOffset)>,
}

/// When a request left, by the machine's clock as it was set then.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    wall: UnixMillis,
    steps: u64,
}

impl ServerOffset {
    /// Nothing is known.
    pub fn new(clock: Clock) -> ServerOffset {
        ServerOffset {
            clock,
            known: Mutex::default(),
        }
    }

    /// The time by the server's clock, as far as it is known.
    pub fn now(&self) -> UnixMillis {
        let now = self.departure();
        let (steps, offset) = *self.known();
        match steps == now.steps {
            true => offset.signing_time(now.wall),
            false => now.wall,
        }
    }

    /// A request leaves now.
    pub fn departure(&self) -> Departure {
        let (wall, steps) = self.clock.uncorrected_and_steps();
        Departure { wall, steps }
    }

    /// Its answer came with this `Date`. One that began under another clock says nothing.
    pub fn handle_date(&self, date: UnixMillis, sent: Departure) {
        let now = self.departure();
        if now.steps != sent.steps {
            return;
        }
        let mut known = self.known();
        known.1.handle_date(date, sent.wall, now.wall);
        known.0 = now.steps;
    }

    fn known(&self) -> MutexGuard<'_, (u64, ClockOffset)> {
        self.known.lock().expect("nobody panics with the offset")
    }
}
