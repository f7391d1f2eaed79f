//! The small words of the protocol: version, quality of service, kinds of packets, packet ids.

use std::fmt;
use std::num::NonZeroU16;

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    #[default]
    V5,
}

impl Version {
    /// The protocol level in CONNECT.
    pub const fn level(self) -> u8 {
        match self {
            Version::V311 => 4,
            Version::V5 => 5,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V311 => "3.1.1",
            Version::V5 => "5",
        })
    }
}

/// How hard the two sides try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// 0: once, or not at all.
    #[default]
    AtMostOnce,
    /// 1: until it is acknowledged, perhaps more than once.
    AtLeastOnce,
    /// 2: once.
    ExactlyOnce,
}

impl QoS {
    /// 0, 1 or 2.
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The quality of service of this number, if there is one.
    pub const fn from_level(level: u8) -> Option<QoS> {
        match level {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// The name of an exchange that is not over yet; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first one.
    pub const FIRST: PacketId = PacketId(NonZeroU16::MIN);

    /// The id with this number; none for zero.
    pub const fn new(number: u16) -> Option<PacketId> {
        match NonZeroU16::new(number) {
            Some(number) => Some(PacketId(number)),
            None => None,
        }
    }

    /// The number as it travels.
    pub const fn number(self) -> u16 {
        self.0.get()
    }

    /// The one after it; after the last comes the first.
    pub const fn next(self) -> PacketId {
        match PacketId::new(self.number().wrapping_add(1)) {
            Some(next) => next,
            None => PacketId::FIRST,
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kinds of packets, by their number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum PacketKind {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketKind {
    /// The kind with this number; none for 0.
    pub const fn from_number(number: u8) -> Option<PacketKind> {
        Some(match number {
            1 => PacketKind::Connect,
            2 => PacketKind::Connack,
            3 => PacketKind::Publish,
            4 => PacketKind::Puback,
            5 => PacketKind::Pubrec,
            6 => PacketKind::Pubrel,
            7 => PacketKind::Pubcomp,
            8 => PacketKind::Subscribe,
            9 => PacketKind::Suback,
            10 => PacketKind::Unsubscribe,
            11 => PacketKind::Unsuback,
            12 => PacketKind::Pingreq,
            13 => PacketKind::Pingresp,
            14 => PacketKind::Disconnect,
            15 => PacketKind::Auth,
            _ => return None,
        })
    }

    /// The first byte of a packet of this kind with these flags.
    pub(crate) const fn first_byte(self, flags: u8) -> u8 {
        (self as u8) << 4 | flags
    }

    /// The name in the standard's capitals.
    pub const fn name(self) -> &'static str {
        match self {
            PacketKind::Connect => "CONNECT",
            PacketKind::Connack => "CONNACK",
            PacketKind::Publish => "PUBLISH",
            PacketKind::Puback => "PUBACK",
            PacketKind::Pubrec => "PUBREC",
            PacketKind::Pubrel => "PUBREL",
            PacketKind::Pubcomp => "PUBCOMP",
            PacketKind::Subscribe => "SUBSCRIBE",
            PacketKind::Suback => "SUBACK",
            PacketKind::Unsubscribe => "UNSUBSCRIBE",
            PacketKind::Unsuback => "UNSUBACK",
            PacketKind::Pingreq => "PINGREQ",
            PacketKind::Pingresp => "PINGRESP",
            PacketKind::Disconnect => "DISCONNECT",
            PacketKind::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
