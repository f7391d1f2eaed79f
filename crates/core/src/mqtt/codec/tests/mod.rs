//! The codec against the standard, against itself, and against two other implementations.

mod framing;
mod malformed;
mod oracles;
pub(in crate::mqtt) mod random;
mod round_trip;

use super::*;

/// The first packet of these bytes, which must be all of them.
fn decode(version: Version, bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    Packet::decode(version, frame(bytes)?.expect("a whole packet"))
}

/// The first frame of these bytes, without an inbox in between.
fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let mut inbox = Inbox::new(usize::MAX);
    inbox.extend(bytes);
    Ok(inbox.take()?.map(|frame| Frame {
        first: frame.first,
        head_bytes: frame.head_bytes,
        body: &bytes[frame.head_bytes..frame.head_bytes + frame.body.len()],
    }))
}

fn encode(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}
