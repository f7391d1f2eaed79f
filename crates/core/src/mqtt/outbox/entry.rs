//! One message on its way out.

use super::slab::{Links, Slot};
use crate::mqtt::codec::{
    PacketId, Properties, PublishFront, PublishHead, QoS, Version, between_bytes,
    checked_properties, encode_publish,
};
use crate::time::Mono;
use std::time::Duration;

/// The flag of a PUBLISH that may have been sent before.
const DUP: u8 = 0x08;

/// A message to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// Where to; checked when it is taken.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard.
    pub qos: QoS,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// Version 5 only; without topic alias and message expiry, which the session writes.
    pub properties: Properties<'a>,
    /// How long it is of use, from now on: while it waits here, and with version 5 at the broker.
    pub expiry: Option<Duration>,
    /// What goes first.
    pub class: Class,
    /// When it is written to flash.
    pub mode: Mode,
    /// What the one who waits for it is called; without a name, nothing is told.
    pub tag: Option<u64>,
}

impl<'a> Publication<'a> {
    /// A message with nothing special about it.
    pub const fn new(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publication<'a> {
        Publication {
            topic,
            payload,
            qos,
            retain: false,
            properties: Properties::EMPTY,
            expiry: None,
            class: Class::Normal,
            mode: Mode::Spill,
            tag: None,
        }
    }

    /// Content in memory, as the budget counts it.
    pub(super) const fn content_bytes(&self) -> usize {
        self.topic.len() + self.properties.as_bytes().len() + self.payload.len()
    }
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Before everything else, live or backlog.
    High,
    /// As most messages.
    #[default]
    Normal,
    /// When nothing else waits; so never, while others fill the link.
    Low,
}

impl Class {
    /// From the first to the last.
    pub const ALL: [Class; 3] = [Class::High, Class::Normal, Class::Low];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::High => "high",
            Class::Normal => "normal",
            Class::Low => "low",
        }
    }
}

/// When a message is written to flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// When its acknowledgement is late, and at an orderly stop. QoS 0 never.
    #[default]
    Spill,
    /// Before it is accepted.
    Durable,
}

/// How far the exchange of a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its turn.
    Queued,
    /// PUBLISH was sent under its packet id, or may have been.
    Sent,
    /// PUBREC came: from now on only PUBREL is sent.
    Released,
}

/// How its copy on flash stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flash {
    /// There is none.
    None,
    /// It is being written.
    Writing,
    /// Writing it failed, and what is there is not known. It will be written again.
    Failed,
    /// It is there.
    There,
    /// It is there, and says of the exchange what is not true any more.
    Stale,
    /// It is there, and its packet id is being written.
    Marking,
    /// It is there with its packet id.
    Marked,
}

/// The name of an entry, for as long as it is in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    pub(crate) sequence: u64,
    pub(crate) slot: Slot,
}

impl EntryId {
    /// Its number: never given twice, and in the order in which messages were taken.
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

/// One message, with everything that is known about it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) sequence: u64,
    /// Mostly the PUBLISH as it is sent; always topic, properties and payload in this order.
    bytes: Vec<u8>,
    topic_at: usize,
    topic_end: usize,
    properties_at: usize,
    payload_at: usize,
    /// Whether `bytes` can be sent as they are.
    is_packet: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) class: Class,
    pub(crate) mode: Mode,
    pub(crate) stage: Stage,
    pub(crate) flash: Flash,
    /// It has left before, in this session of the broker.
    pub(crate) dup: bool,
    /// Its PUBLISH takes a place of the window of this connection.
    pub(crate) counted: bool,
    /// In the backlog, while it is queued.
    pub(super) backlog: bool,
    /// The connection whose broker is known to take it; 0 is none.
    pub(crate) allowed_on: u32,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) tag: Option<u64>,
    pub(super) accepted: Mono,
    /// How old it was then: it may have been taken in an earlier life.
    pub(super) aged: Duration,
    pub(crate) expires: Option<Mono>,
    pub(super) lane: Links,
    pub(super) age: Links,
    pub(super) rank: Links,
}

impl Entry {
    /// Nothing; the number of no entry is zero.
    pub(super) const fn free() -> Entry {
        Entry {
            sequence: 0,
            bytes: Vec::new(),
            topic_at: 0,
            topic_end: 0,
            properties_at: 0,
            payload_at: 0,
            is_packet: false,
            qos: QoS::AtMostOnce,
            retain: false,
            class: Class::Normal,
            mode: Mode::Spill,
            stage: Stage::Queued,
            flash: Flash::None,
            dup: false,
            counted: false,
            backlog: false,
            allowed_on: 0,
            packet_id: None,
            tag: None,
            accepted: Mono::ZERO,
            aged: Duration::ZERO,
            expires: None,
            lane: Links::NONE,
            age: Links::NONE,
            rank: Links::NONE,
        }
    }

    /// A new entry in a free place.
    #[inline]
    pub(super) fn fill(
        &mut self,
        sequence: u64,
        version: Version,
        front: &PublishFront,
        publication: &Publication<'_>,
        now: Mono,
    ) {
        self.sequence = sequence;
        self.write(version, front, publication);
        self.qos = publication.qos;
        self.retain = publication.retain;
        self.class = publication.class;
        self.mode = publication.mode;
        self.stage = Stage::Queued;
        self.flash = Flash::None;
        self.dup = false;
        self.counted = false;
        self.backlog = false;
        self.allowed_on = 0;
        self.packet_id = None;
        self.tag = publication.tag;
        self.accepted = now;
        self.aged = Duration::ZERO;
        self.expires = publication.expiry.map(|expiry| now + expiry);
    }

    /// Writes the PUBLISH, so that sending it is one copy.
    #[inline]
    fn write(&mut self, version: Version, front: &PublishFront, publication: &Publication<'_>) {
        let payload = publication.payload;
        let written = match publication.properties.is_empty() {
            true => front.put(&mut self.bytes, publication.retain, payload),
            false => None,
        };
        match written {
            Some(topic_at) => {
                self.is_packet = true;
                self.topic_at = topic_at;
                self.topic_end = topic_at + publication.topic.len();
                self.payload_at = self.bytes.len() - payload.len();
                self.properties_at = self.payload_at;
            }
            None => self.write_at_length(version, publication),
        }
    }

    /// The same with properties, or of any length. What 3.1.1 has no place for, and what is too long
    /// for any packet, is kept in its parts.
    #[inline(never)]
    fn write_at_length(&mut self, version: Version, publication: &Publication<'_>) {
        let Publication { topic, payload, .. } = *publication;
        let properties = publication.properties.as_bytes();
        let head = PublishHead {
            dup: false,
            qos: publication.qos,
            retain: publication.retain,
            id: 0,
        };
        let (out, parts) = (&mut self.bytes, [&[], properties]);
        self.is_packet = (version == Version::V5 || properties.is_empty())
            && encode_publish(out, version, head, topic.as_bytes(), parts, payload).is_ok();
        if !self.is_packet {
            self.bytes.reserve_exact(publication.content_bytes());
            self.bytes.extend_from_slice(topic.as_bytes());
            self.bytes.extend_from_slice(properties);
            self.bytes.extend_from_slice(payload);
        }
        let between = match self.is_packet {
            true => between_bytes(version, publication.qos, properties.len()),
            false => 0,
        };
        self.payload_at = self.bytes.len() - payload.len();
        self.properties_at = self.payload_at - properties.len();
        self.topic_end = self.properties_at - between;
        self.topic_at = self.topic_end - topic.len();
    }

    /// Nothing is here any more. Says whether its memory is worth keeping.
    #[inline]
    pub(super) fn empty(&mut self, bytes_max: usize) -> bool {
        self.sequence = 0;
        self.bytes.clear();
        self.bytes.capacity() <= bytes_max
    }

    pub(super) fn give_back(&mut self) {
        self.sequence = 0;
        self.bytes = Vec::new();
    }

    /// The PUBLISH, if it needs nothing but its packet id and the mark of having left before.
    #[inline]
    pub(crate) fn packet(&mut self) -> Option<&[u8]> {
        if !self.is_packet {
            return None;
        }
        self.bytes[0] = self.bytes[0] & !DUP | if self.dup { DUP } else { 0 };
        if let (true, Some(id)) = (self.qos != QoS::AtMostOnce, self.packet_id) {
            let place = &mut self.bytes[self.topic_end..self.topic_end + 2];
            place.copy_from_slice(&id.number().to_be_bytes());
        }
        Some(&self.bytes)
    }

    /// Its number: never given twice, and in the order in which messages were taken.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where to.
    pub fn topic(&self) -> &str {
        // It was a `&str` when it came.
        std::str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    pub(crate) fn topic_bytes(&self) -> &[u8] {
        &self.bytes[self.topic_at..self.topic_end]
    }

    /// Its properties.
    pub fn properties(&self) -> Properties<'_> {
        checked_properties(self.properties_bytes())
    }

    pub(crate) fn properties_bytes(&self) -> &[u8] {
        &self.bytes[self.properties_at..self.payload_at]
    }

    /// What.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at..]
    }

    /// How hard.
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether the broker keeps it.
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// What goes first.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// When it is written to flash.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How far its exchange has come.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// The name of its exchange, if one has begun.
    pub const fn packet_id(&self) -> Option<PacketId> {
        self.packet_id
    }

    /// How long it is still of use; zero when that time is over.
    pub fn expires_in(&self, now: Mono) -> Option<Duration> {
        self.expires.map(|expires| expires.since(now))
    }

    /// How long ago it was taken, as far as that is known.
    pub fn age(&self, now: Mono) -> Duration {
        self.aged.saturating_add(now.since(self.accepted))
    }

    /// Content in memory.
    pub(in crate::mqtt) const fn content_bytes(&self) -> usize {
        let between = self.properties_at - self.topic_end;
        self.bytes.len() - self.topic_at - between
    }

    /// What is left to say of an entry that leaves.
    pub(super) const fn gone(&self) -> Gone {
        Gone {
            sequence: self.sequence,
            tag: self.tag,
            packet_id: self.packet_id,
            flash: self.flash,
            counted: self.counted,
        }
    }
}

/// What is left to say of an entry that has left the outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) sequence: u64,
    pub(crate) tag: Option<u64>,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) flash: Flash,
    pub(crate) counted: bool,
}

/// An entry as it was found on flash at the start.
#[derive(Clone, Copy, Debug)]
pub struct StoredEntry<'a> {
    /// Its number.
    pub sequence: u64,
    /// The message; `expiry` is what is left of it.
    pub publication: Publication<'a>,
    /// How far its exchange had come.
    pub stage: Stage,
    /// Under which name.
    pub packet_id: Option<PacketId>,
    /// How long ago it was taken, as far as that is known.
    pub age: Duration,
}
