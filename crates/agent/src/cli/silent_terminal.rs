//! A terminal that leaves everything to the program.

use std::io;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

/// The terminal shows nothing and passes each key on at once, until this is dropped. Ctrl-C
/// arrives as a key, too: as a signal it would leave the terminal mute.
pub(super) struct SilentTerminal(Termios);

impl SilentTerminal {
    /// `typed` says what becomes of what was typed before.
    pub(super) fn begin(typed: OptionalActions) -> io::Result<SilentTerminal> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(&stdin, typed, &silent)?;
        Ok(SilentTerminal(before))
    }
}

impl Drop for SilentTerminal {
    fn drop(&mut self) {
        // A terminal that went away needs no restoring.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}
