//! Any packet: from a frame, and back to bytes.

use super::ack::Ack;
use super::connack::Connack;
use super::connect::Connect;
use super::disconnect::{Auth, Disconnect};
use super::error::{Malformed, TooLong};
use super::inbox::Frame;
use super::kind::{PacketKind, Version};
use super::publish::Publish;
use super::reason::Reason;
use super::subscribe::{Suback, Subscribe, Unsuback, Unsubscribe};
use super::wire::{Reader, put_remaining};

/// One packet of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads the packet of a frame. A CONNECT names its version itself.
    pub fn decode(version: Version, frame: Frame<'a>) -> Result<Packet<'a>, Malformed> {
        let kind = frame.kind()?;
        let flags = frame.first & 0x0F;
        let mut reader = Reader::new(frame.body, frame.head_bytes, kind);
        let reader = &mut reader;
        Ok(match kind {
            PacketKind::Connect => Packet::Connect(Connect::read(reader)?),
            PacketKind::Connack => Packet::Connack(Connack::read(reader, version)?),
            PacketKind::Publish => Packet::Publish(Publish::read(reader, flags, version)?),
            PacketKind::Puback => Packet::Puback(Ack::read(reader, version)?),
            PacketKind::Pubrec => Packet::Pubrec(Ack::read(reader, version)?),
            PacketKind::Pubrel => Packet::Pubrel(Ack::read(reader, version)?),
            PacketKind::Pubcomp => Packet::Pubcomp(Ack::read(reader, version)?),
            PacketKind::Subscribe => Packet::Subscribe(Subscribe::read(reader, version)?),
            PacketKind::Suback => Packet::Suback(Suback::read(reader, version)?),
            PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::read(reader, version)?),
            PacketKind::Unsuback => Packet::Unsuback(Unsuback::read(reader, version)?),
            PacketKind::Pingreq => reader.end().map(|()| Packet::Pingreq)?,
            PacketKind::Pingresp => reader.end().map(|()| Packet::Pingresp)?,
            PacketKind::Disconnect => Packet::Disconnect(Disconnect::read(reader, version)?),
            PacketKind::Auth if version == Version::V5 => Packet::Auth(Auth::read(reader)?),
            PacketKind::Auth => {
                return Err(reader.error(Reason::ProtocolError, "3.1.1 has no such packet"));
            }
        })
    }

    /// Appends the packet to `out`; after an error, `out` is as it was.
    ///
    /// Only lengths are checked here: what is put into a packet was checked where it came from, and
    /// a test may well want to send nonsense.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), TooLong> {
        if let Packet::Publish(publish) = self {
            return publish.encode(out, version);
        }
        if let Packet::Puback(ack)
        | Packet::Pubrec(ack)
        | Packet::Pubrel(ack)
        | Packet::Pubcomp(ack) = self
            && ack.is_plain(version)
        {
            ack.put_plain(out, self.kind());
            return Ok(());
        }
        let mut body = Vec::new();
        match self {
            Packet::Connect(connect) => connect.write(&mut body)?,
            Packet::Connack(connack) => connack.write(&mut body, version),
            Packet::Puback(ack)
            | Packet::Pubrec(ack)
            | Packet::Pubrel(ack)
            | Packet::Pubcomp(ack) => ack.write(&mut body, version),
            Packet::Subscribe(subscribe) => subscribe.write(&mut body, version)?,
            Packet::Suback(suback) => suback.write(&mut body, version),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.write(&mut body, version)?,
            Packet::Unsuback(unsuback) => unsuback.write(&mut body, version),
            Packet::Disconnect(disconnect) => disconnect.write(&mut body, version),
            Packet::Auth(auth) => auth.write(&mut body),
            Packet::Publish(_) | Packet::Pingreq | Packet::Pingresp => {}
        }
        let start = out.len();
        out.push(self.kind().first_byte(flags_of(self.kind())));
        if let Err(error) = put_remaining(out, body.len()) {
            out.truncate(start);
            return Err(error);
        }
        out.extend_from_slice(&body);
        Ok(())
    }

    /// Its kind.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Packet::Connect(_) => PacketKind::Connect,
            Packet::Connack(_) => PacketKind::Connack,
            Packet::Publish(_) => PacketKind::Publish,
            Packet::Puback(_) => PacketKind::Puback,
            Packet::Pubrec(_) => PacketKind::Pubrec,
            Packet::Pubrel(_) => PacketKind::Pubrel,
            Packet::Pubcomp(_) => PacketKind::Pubcomp,
            Packet::Subscribe(_) => PacketKind::Subscribe,
            Packet::Suback(_) => PacketKind::Suback,
            Packet::Unsubscribe(_) => PacketKind::Unsubscribe,
            Packet::Unsuback(_) => PacketKind::Unsuback,
            Packet::Pingreq => PacketKind::Pingreq,
            Packet::Pingresp => PacketKind::Pingresp,
            Packet::Disconnect(_) => PacketKind::Disconnect,
            Packet::Auth(_) => PacketKind::Auth,
        }
    }
}

/// The flags that a packet of this kind must have; those of PUBLISH are its own.
pub(crate) const fn flags_of(kind: PacketKind) -> u8 {
    match kind {
        PacketKind::Pubrel | PacketKind::Subscribe | PacketKind::Unsubscribe => 0x02,
        _ => 0,
    }
}
