//! Packets of MQTT, as a broker or a client may send them.

use periwinkle_core::mqtt::codec::{Inbox, Packet, Version};

use super::kind_of;

/// The same bytes are the same packets however they arrive, and a packet that is written again
/// reads the same.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    kind_of([Version::V311, Version::V5].map(|version| {
        let whole = read_in(version, bytes, bytes.len().max(1));
        assert_eq!(
            read_in(version, bytes, 1),
            whole,
            "{version:?}, byte by byte"
        );
        whole
    }))
}

/// What each packet is, up to the first that is wrong, which ends a connection. What is wrong with
/// it may be said of another place when less of it is there.
fn read_in(version: Version, bytes: &[u8], piece: usize) -> Vec<u64> {
    let mut inbox = Inbox::new(PACKET_BYTES_MAX);
    let mut read = Vec::new();
    for piece in bytes.chunks(piece) {
        inbox.extend(piece);
        loop {
            let packet = match inbox.take() {
                Ok(None) => break,
                Ok(Some(frame)) => Packet::decode(version, frame),
                Err(error) => Err(error),
            };
            match packet {
                Ok(packet) => read.push(again(version, &packet)),
                Err(_) => {
                    read.push(0);
                    return read;
                }
            }
        }
        inbox.give_back();
    }
    read
}

const PACKET_BYTES_MAX: usize = 1 << 16;

fn again(version: Version, packet: &Packet<'_>) -> u64 {
    let mut written = Vec::new();
    packet
        .encode(version, &mut written)
        .expect("what was read is not too long");
    let mut inbox = Inbox::new(2 * PACKET_BYTES_MAX);
    inbox.extend(&written);
    let frame = inbox.take().expect("what was written has a length");
    let frame = frame.expect("what was written is whole");
    assert_eq!(Packet::decode(version, frame).as_ref(), Ok(packet));
    kind_of(std::mem::discriminant(packet))
}
