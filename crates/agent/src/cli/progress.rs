//! How far long work has come, told on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::output;

/// One line on standard error that changes; nothing when that is no terminal.
pub(super) struct Progress {
    what: &'static str,
    told: Option<Instant>,
    shown: bool,
}

/// Often enough to be seen moving.
const INTERVAL: Duration = Duration::from_millis(200);

impl Progress {
    pub(super) fn new(what: &'static str) -> Progress {
        Progress {
            what,
            told: io::stderr().is_terminal().then(Instant::now),
            shown: false,
        }
    }

    /// Tells how far it is, unless it was told a moment ago.
    pub(super) fn tell(&mut self, how_far: impl FnOnce() -> String) {
        let Some(told) = self.told.filter(|told| told.elapsed() >= INTERVAL) else {
            return;
        };
        self.told = Some(told + told.elapsed());
        self.shown = true;
        // Where nobody can be told, nobody waits for it.
        let _ = write!(io::stderr().lock(), "\r\x1b[K{} {}", self.what, how_far());
    }

    /// Says something that stays, on a line of its own, also where nobody is told how far it is.
    pub(super) fn say(&mut self, words: &str) {
        self.clear();
        output::complain(words);
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        self.clear();
        self.told = None;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
