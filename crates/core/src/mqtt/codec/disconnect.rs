//! DISCONNECT and AUTH (sections 3.14 and 3.15).

use super::ack::{read_reason, write_reason};
use super::error::Malformed;
use super::kind::Version;
use super::property::{Properties, Property};
use super::reason::Reason;
use super::wire::Reader;

/// The last packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Always `Success` in 3.1.1.
    pub reason: Reason,
    /// Version 5 only.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// With this reason.
    pub const fn because(reason: Reason) -> Disconnect<'a> {
        Disconnect {
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub(crate) fn read(
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Disconnect<'a>, Malformed> {
        let mut disconnect = Disconnect::because(Reason::Success);
        if version == Version::V5 && !reader.is_empty() {
            disconnect.reason = read_reason(reader)?;
            if !reader.is_empty() {
                disconnect.properties = Properties::read(reader)?;
            }
        }
        reader.end()?;
        Ok(disconnect)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) {
        write_reason(out, version, self.reason, self.properties);
    }
}

/// A step of an enhanced authentication, which version 5 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: Reason,
    /// Method and data are among them.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// The name of the method.
    pub fn method(&self) -> Option<&'a str> {
        self.properties.find(|property| match property {
            Property::AuthenticationMethod(method) => Some(method),
            _ => None,
        })
    }

    /// What the method says.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.properties.find(|property| match property {
            Property::AuthenticationData(data) => Some(data),
            _ => None,
        })
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Auth<'a>, Malformed> {
        let mut auth = Auth {
            reason: Reason::Success,
            properties: Properties::EMPTY,
        };
        if !reader.is_empty() {
            auth.reason = read_reason(reader)?;
            auth.properties = Properties::read(reader)?;
            if auth.method().is_none() {
                let what = "there is no authentication method";
                return Err(reader.error(Reason::ProtocolError, what));
            }
        }
        reader.end()?;
        Ok(auth)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if self.reason != Reason::Success || !self.properties.is_empty() {
            out.push(self.reason.code());
            self.properties.write(out);
        }
    }
}
