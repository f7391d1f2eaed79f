//! What can be wrong with a packet.

use super::kind::PacketKind;
use super::reason::Reason;
use std::fmt;

/// Bytes that are no packet, or one that breaks the protocol.
///
/// The connection cannot go on: say [`reason`](Malformed::reason) in a DISCONNECT where the version
/// has one, and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Malformed {
    /// What the protocol calls it.
    pub reason: Reason,
    /// The kind of packet, when the first byte was good enough to tell.
    pub kind: Option<PacketKind>,
    /// Where in the packet, in bytes from its first one.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("a packet", PacketKind::name);
        write!(f, "{kind}, byte {}: {}", self.at, self.what)
    }
}

/// A packet that cannot be written: a part is longer than the protocol can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {bytes} bytes, and the protocol allows {bytes_max}")]
pub struct TooLong {
    /// Which part.
    pub what: &'static str,
    /// Its length.
    pub bytes: usize,
    /// What it may be at most.
    pub bytes_max: usize,
}
