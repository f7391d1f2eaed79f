//! Reading and writing the data types of the protocol (MQTT 5, section 1.5).

use super::error::{Malformed, TooLong};
use super::kind::{PacketId, PacketKind};
use super::reason::Reason;
use crate::limits::{MQTT_REMAINING_BYTES_MAX, MQTT_STRING_BYTES_MAX};

/// A place in the body of a packet; every step forward is checked.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where `bytes` begin in the packet, for places in errors.
    base: usize,
    kind: PacketKind,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], base: usize, kind: PacketKind) -> Reader<'a> {
        Reader {
            bytes,
            at: 0,
            base,
            kind,
        }
    }

    pub(crate) const fn kind(&self) -> PacketKind {
        self.kind
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at this place.
    pub(crate) const fn error(&self, reason: Reason, what: &'static str) -> Malformed {
        Malformed {
            reason,
            kind: Some(self.kind),
            at: self.base + self.at,
            what,
        }
    }

    /// The commonest of errors, at this place.
    pub(crate) const fn malformed(&self, what: &'static str) -> Malformed {
        self.error(Reason::MalformedPacket, what)
    }

    /// The same place, with nothing behind the next `count` bytes.
    pub(crate) fn narrowed(self, count: usize) -> Reader<'a> {
        let end = (self.at + count).min(self.bytes.len());
        Reader {
            bytes: &self.bytes[..end],
            ..self
        }
    }

    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            return Err(self.malformed(what));
        };
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1, "the packet ends before a byte")?[0])
    }

    pub(crate) fn two_bytes(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2, "the packet ends within a number of two bytes")?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn four_bytes(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4, "the packet ends within a number of four bytes")?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(crate) fn varint(&mut self) -> Result<u32, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match varint(rest) {
            Ok(Some((value, length))) => {
                self.at += length;
                Ok(value)
            }
            Ok(None) => Err(self.malformed("the packet ends within a number of variable length")),
            Err(what) => Err(self.malformed(what)),
        }
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::from(self.two_bytes()?);
        self.take(length, "the packet ends within text or data")
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        let bytes = self.binary()?;
        text(bytes).map_err(|what| {
            self.at = start;
            self.malformed(what)
        })
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Malformed> {
        let number = self.two_bytes()?;
        PacketId::new(number).ok_or_else(|| {
            self.at -= 2;
            self.malformed("the packet id is zero")
        })
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(self.malformed("bytes follow the end of the packet")),
        }
    }
}

/// Text as the protocol wants it: UTF-8 without U+0000.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8")?;
    match bytes.contains(&0) {
        true => Err("the text holds the character U+0000"),
        false => Ok(text),
    }
}

/// Value and length of a number of variable length; none when its end has not come yet.
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, &'static str> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err("a number takes more bytes than it needs");
            }
            return Ok(Some((value, index + 1)));
        }
    }
    match bytes.len() {
        0..4 => Ok(None),
        _ => Err("a number of variable length has more than four bytes"),
    }
}

/// How many bytes a number of variable length takes.
pub(crate) const fn varint_bytes(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: usize) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn put_two_bytes(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_four_bytes(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_binary(
    out: &mut Vec<u8>,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong {
        what,
        bytes: bytes.len(),
        bytes_max: MQTT_STRING_BYTES_MAX,
    })?;
    put_two_bytes(out, length);
    out.extend_from_slice(bytes);
    Ok(())
}

/// The remaining length, if the protocol can say it.
pub(crate) fn put_remaining(out: &mut Vec<u8>, bytes: usize) -> Result<(), TooLong> {
    if bytes > MQTT_REMAINING_BYTES_MAX {
        return Err(TooLong {
            what: "the packet",
            bytes,
            bytes_max: MQTT_REMAINING_BYTES_MAX,
        });
    }
    put_varint(out, bytes);
    Ok(())
}
