//! Messages that are longer than we take.
//!
//! A broker of version 5 is told how long a packet may be, and deals with a longer one as if it had
//! been delivered (section 3.1.2.11.4). One of 3.1.1 cannot be told: it would send the same message
//! on each connection, and nothing that is behind it. So what it cannot know is done for it here:
//! the message is passed over while it comes, a piece at a time, and acknowledged.

use super::receive::{Kept, Taken};
use super::{Link, Session};
use crate::mqtt::codec::{Begun, Frame, Malformed, Packet, PacketKind, Version};

/// What was passed over.
#[derive(Clone, Debug, Default)]
pub(super) struct TooLong {
    messages: u64,
    last: Option<(String, usize)>,
}

impl Session {
    /// Messages that were passed over because they are longer than
    /// [`packet_bytes_max`](super::Config::packet_bytes_max).
    pub const fn too_long(&self) -> u64 {
        self.too_long.messages
    }

    /// The topic of the last one since this was asked, and the length of its packet.
    pub fn take_too_long(&mut self) -> Option<(String, usize)> {
        self.too_long.last.take()
    }

    /// A packet begins that is longer than we take.
    #[cold]
    pub(super) fn meet_too_long(&mut self, malformed: Malformed) -> Taken {
        let is_ours = self.config.version == Version::V311 && self.link == Link::Up;
        let Some(begun) = self.inbox.begun().filter(|_| is_ours) else {
            return self.refuse_packet(malformed);
        };
        let head = match head(begun) {
            Head::There(head) => head,
            Head::Comes => return Taken::Nothing,
            Head::None => return self.refuse_packet(malformed),
        };
        let (topic, id, qos, dup) = match Packet::decode(Version::V311, head) {
            Ok(Packet::Publish(it)) => (it.topic.to_owned(), it.id, it.qos, it.dup),
            Ok(_) => return self.refuse_packet(malformed),
            Err(malformed) => return self.refuse_packet(malformed),
        };
        self.too_long.messages += 1;
        self.too_long.last = Some((topic, begun.packet_bytes));
        self.inbox.pass_over(begun.packet_bytes);
        if let Some(token) = id.and_then(|id| self.admit(id, qos, dup)) {
            self.acknowledge(token, Kept::InMemory, self.now);
        }
        Taken::Other
    }
}

/// Topic and packet id of a message, as a frame of their own.
enum Head<'a> {
    There(Frame<'a>),
    /// It is not all there yet.
    Comes,
    /// It is longer than the packet, or the packet no message.
    None,
}

fn head(begun: Begun<'_>) -> Head<'_> {
    let Begun {
        frame,
        packet_bytes,
    } = begun;
    if frame.kind() != Ok(PacketKind::Publish) {
        return Head::None;
    }
    let Some(length) = frame.body.first_chunk() else {
        return Head::Comes;
    };
    let id_bytes = match frame.first & 0x06 {
        0 => 0,
        _ => 2,
    };
    let bytes = 2 + usize::from(u16::from_be_bytes(*length)) + id_bytes;
    match frame.body.get(..bytes) {
        _ if frame.head_bytes + bytes > packet_bytes => Head::None,
        Some(body) => Head::There(Frame { body, ..frame }),
        None => Head::Comes,
    }
}
