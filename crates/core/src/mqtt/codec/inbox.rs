//! Framing: bytes as they arrive, packets as they were sent.

use super::error::Malformed;
use super::kind::{PacketId, PacketKind};
use super::packet::flags_of;
use super::reason::Reason;
use super::wire::varint;
use crate::limits::MQTT_READ_BYTES;
use std::ops::Range;

/// One packet's bytes: the first one, and what follows the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Kind and flags.
    pub first: u8,
    /// Bytes of the fixed header, before the body.
    pub head_bytes: usize,
    /// Everything behind the fixed header.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// The kind of packet, if the flags are those it must have.
    pub fn kind(&self) -> Result<PacketKind, Malformed> {
        kind_of(self.first)
    }
}

/// The beginning of a packet that is longer than we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun<'a> {
    /// With as much of its body as is there.
    pub(crate) frame: Frame<'a>,
    /// Its length, fixed header included.
    pub(crate) packet_bytes: usize,
}

/// The one buffer between a socket and the packets in it.
///
/// Bytes are read to where they stay: [`space`](Inbox::space), then [`filled`](Inbox::filled).
/// [`take`](Inbox::take) hands out the packets in it one by one; a packet that is not all there
/// yet stays, and what comes next is put behind it.
#[derive(Clone, Debug)]
pub struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    last: Last,
    packet_bytes_max: usize,
    /// Bytes of a packet that is passed over and that have not come yet.
    unwanted: usize,
}

/// The frame that was taken last.
#[derive(Clone, Debug)]
struct Last {
    first: u8,
    head_bytes: usize,
    body: Range<usize>,
}

impl Last {
    const NONE: Last = Last {
        first: 0,
        head_bytes: 0,
        body: 0..0,
    };
}

impl Inbox {
    /// An empty one that refuses packets above this length, fixed header included.
    pub const fn new(packet_bytes_max: usize) -> Inbox {
        Inbox {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            last: Last::NONE,
            packet_bytes_max,
            unwanted: 0,
        }
    }

    /// Forgets everything, for a new connection.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.unwanted = 0;
        self.give_back();
    }

    /// Bytes that are there and not taken yet.
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room to read into; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
        // A move costs what is moved, so it waits until the tail of the buffer is used up.
        if self.start > 0 && self.buffer.len() - self.end < MQTT_READ_BYTES / 4 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < MQTT_READ_BYTES / 4 {
            let length = (self.end * 2).max(MQTT_READ_BYTES);
            self.buffer.resize(length, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read into [`space`](Inbox::space).
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
        if self.unwanted > 0 {
            self.pass_over(self.unwanted);
        }
    }

    /// Puts bytes behind those that are there.
    pub fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
    }

    /// The next packet, if all of it is there.
    ///
    /// What cannot be a packet, or is too long for us, is said as soon as it shows.
    pub fn take(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let Some((head_bytes, body_bytes)) = self.measure()? else {
            return Ok(None);
        };
        let body_start = self.start + head_bytes;
        let body_end = body_start + body_bytes;
        if body_end > self.end {
            return Ok(None);
        }
        self.last = Last {
            first: self.buffer[self.start],
            head_bytes,
            body: body_start..body_end,
        };
        self.start = body_end;
        Ok(Some(self.last_frame()))
    }

    /// The id of the next packet, if that is a PUBACK that says nothing but success, which looks
    /// alike in both versions. Any other packet stays.
    pub(crate) fn take_plain_puback(&mut self) -> Option<PacketId> {
        let [0x40, 2, high, low] = *self.buffer[self.start..self.end].first_chunk()? else {
            return None;
        };
        let id = PacketId::new(u16::from_be_bytes([high, low]))?;
        self.start += 4;
        Some(id)
    }

    /// The packet that [`take`](Inbox::take) refuses for its length.
    pub(crate) fn begun(&self) -> Option<Begun<'_>> {
        let there = &self.buffer[self.start..self.end];
        let (&first, rest) = there.split_first()?;
        let (length, length_bytes) = varint(rest).ok()??;
        let head_bytes = 1 + length_bytes;
        Some(Begun {
            frame: Frame {
                first,
                head_bytes,
                body: &there[head_bytes..],
            },
            packet_bytes: head_bytes + length as usize,
        })
    }

    /// So many bytes are not wanted: those that are there go, and the others when they come.
    pub(crate) fn pass_over(&mut self, bytes: usize) {
        let here = bytes.min(self.len());
        self.start += here;
        self.unwanted = bytes - here;
    }

    /// The frame that was taken last, until bytes are added.
    pub(crate) fn last_frame(&self) -> Frame<'_> {
        Frame {
            first: self.last.first,
            head_bytes: self.last.head_bytes,
            body: &self.buffer[self.last.body.clone()],
        }
    }

    /// Gives memory back that a large packet needed.
    pub fn give_back(&mut self) {
        if self.is_empty() && self.buffer.len() > MQTT_READ_BYTES {
            self.start = 0;
            self.end = 0;
            self.last = Last::NONE;
            self.buffer.truncate(MQTT_READ_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    /// Memory held, in bytes.
    pub const fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn measure(&self) -> Result<Option<(usize, usize)>, Malformed> {
        let there = &self.buffer[self.start..self.end];
        let Some((&first, rest)) = there.split_first() else {
            return Ok(None);
        };
        // An acknowledgement is by far the commonest packet to arrive.
        let length = match rest.first() {
            Some(&length) if length < 0x80 => Some((length.into(), 1)),
            _ => varint(rest).map_err(|what| malformed(first, 1, Reason::MalformedPacket, what))?,
        };
        kind_of(first)?;
        let Some((length, length_bytes)) = length else {
            return Ok(None);
        };
        let (head_bytes, body_bytes) = (1 + length_bytes, length as usize);
        if head_bytes + body_bytes > self.packet_bytes_max {
            let what = "the packet is longer than we take";
            return Err(malformed(first, 1, Reason::PacketTooLarge, what));
        }
        Ok(Some((head_bytes, body_bytes)))
    }
}

fn kind_of(first: u8) -> Result<PacketKind, Malformed> {
    let Some(kind) = PacketKind::from_number(first >> 4) else {
        return Err(malformed(
            first,
            0,
            Reason::MalformedPacket,
            "there is no packet of kind 0",
        ));
    };
    if kind != PacketKind::Publish && first & 0x0F != flags_of(kind) {
        let what = "the flags are not those of its kind";
        return Err(malformed(first, 0, Reason::MalformedPacket, what));
    }
    Ok(kind)
}

const fn malformed(first: u8, at: usize, reason: Reason, what: &'static str) -> Malformed {
    Malformed {
        reason,
        kind: PacketKind::from_number(first >> 4),
        at,
        what,
    }
}
