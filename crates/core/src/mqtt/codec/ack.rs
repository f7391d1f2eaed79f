//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7), which look alike.

use super::error::Malformed;
use super::kind::{PacketId, PacketKind, Version};
use super::packet::flags_of;
use super::property::Properties;
use super::reason::Reason;
use super::wire::{Reader, put_two_bytes};

/// One step of the exchange that a PUBLISH began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which exchange.
    pub id: PacketId,
    /// Always `Success` in 3.1.1.
    pub reason: Reason,
    /// Version 5 only.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// A plain success.
    pub const fn new(id: PacketId) -> Ack<'a> {
        Ack::because(id, Reason::Success)
    }

    /// With this reason.
    pub const fn because(id: PacketId, reason: Reason) -> Ack<'a> {
        Ack {
            id,
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'a>, version: Version) -> Result<Ack<'a>, Malformed> {
        let id = reader.packet_id()?;
        let mut ack = Ack::new(id);
        if reader.is_empty() {
            return Ok(ack);
        }
        if version == Version::V5 {
            ack.reason = read_reason(reader)?;
            if !reader.is_empty() {
                ack.properties = Properties::read(reader)?;
            }
        }
        reader.end()?;
        Ok(ack)
    }

    /// Whether it says nothing but its id.
    pub(crate) fn is_plain(&self, version: Version) -> bool {
        version == Version::V311 || (self.reason == Reason::Success && self.properties.is_empty())
    }

    /// All of a packet that says nothing but its id.
    pub(crate) fn put_plain(&self, out: &mut Vec<u8>, kind: PacketKind) {
        let [high, low] = self.id.number().to_be_bytes();
        out.extend_from_slice(&[kind.first_byte(flags_of(kind)), 2, high, low]);
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) {
        put_two_bytes(out, self.id.number());
        write_reason(out, version, self.reason, self.properties);
    }
}

/// A reason that may stand in this kind of packet.
pub(crate) fn read_reason(reader: &mut Reader<'_>) -> Result<Reason, Malformed> {
    let here = reader.clone();
    let code = reader.byte()?;
    Reason::from_code(code)
        .filter(|reason| reason.belongs_to(reader.kind()))
        .ok_or_else(|| here.malformed("there is no such reason here"))
}

/// Reason and properties, of which version 5 leaves out what says nothing.
pub(crate) fn write_reason(
    out: &mut Vec<u8>,
    version: Version,
    reason: Reason,
    properties: Properties<'_>,
) {
    if version == Version::V311 || (reason == Reason::Success && properties.is_empty()) {
        return;
    }
    out.push(reason.code());
    if !properties.is_empty() {
        properties.write(out);
    }
}
