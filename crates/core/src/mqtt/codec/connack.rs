//! CONNACK (section 3.2).

use super::error::Malformed;
use super::kind::{PacketKind, Version};
use super::property::Properties;
use super::reason::Reason;
use super::wire::Reader;

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// The server remembers a session of this client.
    pub session_present: bool,
    /// `Success`, or why not. The return codes of 3.1.1 are told as their reasons.
    pub reason: Reason,
    /// Version 5 only.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Connack<'a>, Malformed> {
        let session_present = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(reader.malformed("reserved flags are set")),
        };
        let code = reader.byte()?;
        let reason = match version {
            Version::V311 => Reason::from_return_code(code),
            Version::V5 => {
                Reason::from_code(code).filter(|reason| reason.belongs_to(PacketKind::Connack))
            }
        };
        let reason = reason.ok_or_else(|| reader.malformed("there is no such reason here"))?;
        if session_present && reason != Reason::Success {
            return Err(reader.error(
                Reason::ProtocolError,
                "a session is present although the connection was refused",
            ));
        }
        let properties = match version {
            Version::V311 => Properties::EMPTY,
            Version::V5 => Properties::read(reader)?,
        };
        reader.end()?;
        Ok(Connack {
            session_present,
            reason,
            properties,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) {
        out.push(u8::from(self.session_present));
        match version {
            Version::V311 => out.push(self.reason.return_code()),
            Version::V5 => {
                out.push(self.reason.code());
                self.properties.write(out);
            }
        }
    }
}
