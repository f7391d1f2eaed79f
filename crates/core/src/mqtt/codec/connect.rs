//! CONNECT (section 3.1).

use super::error::{Malformed, TooLong};
use super::kind::{QoS, Version};
use super::property::Properties;
use super::reason::Reason;
use super::wire::{Reader, put_binary, put_two_bytes};
use crate::mqtt::topic;

/// The first packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The protocol of everything that follows.
    pub version: Version,
    /// Empty asks the server for one.
    pub client_id: &'a str,
    /// Forget what was before.
    pub clean_start: bool,
    /// Seconds; 0 is none.
    pub keep_alive_s: u16,
    /// What the server publishes when the connection ends badly.
    pub will: Option<Will<'a>>,
    /// Who it is.
    pub user_name: Option<&'a str>,
    /// The proof.
    pub password: Option<&'a [u8]>,
    /// Version 5 only.
    pub properties: Properties<'a>,
}

/// A message in case of death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
    /// Version 5 only; the delay is among them.
    pub properties: Properties<'a>,
}

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

impl<'a> Connect<'a> {
    /// A clean start with nothing else.
    pub const fn new(version: Version, client_id: &'a str) -> Connect<'a> {
        Connect {
            version,
            client_id,
            clean_start: true,
            keep_alive_s: 0,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Connect<'a>, Malformed> {
        let version = read_version(reader)?;
        let flags = reader.byte()?;
        if flags & 0x01 != 0 {
            return Err(reader.malformed("the reserved flag is set"));
        }
        let keep_alive_s = reader.two_bytes()?;
        let properties = match version {
            Version::V311 => Properties::EMPTY,
            Version::V5 => Properties::read(reader)?,
        };
        let client_id = reader.string()?;
        let will = read_will(reader, version, flags)?;
        let user_name = (flags & USER_NAME != 0)
            .then(|| reader.string())
            .transpose()?;
        if version == Version::V311 && flags & (USER_NAME | PASSWORD) == PASSWORD {
            return Err(reader.malformed("there is a password without a user name"));
        }
        let password = (flags & PASSWORD != 0)
            .then(|| reader.binary())
            .transpose()?;
        reader.end()?;
        let clean_start = flags & CLEAN_START != 0;
        if version == Version::V311 && client_id.is_empty() && !clean_start {
            let what = "an empty client id cannot have a lasting session";
            return Err(reader.error(Reason::ClientIdentifierNotValid, what));
        }
        Ok(Connect {
            version,
            client_id,
            clean_start,
            keep_alive_s,
            will,
            user_name,
            password,
            properties,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_binary(out, b"MQTT", "the protocol's name")?;
        out.push(self.version.level());
        out.push(self.flags());
        put_two_bytes(out, self.keep_alive_s);
        if self.version == Version::V5 {
            self.properties.write(out);
        }
        put_binary(out, self.client_id.as_bytes(), "the client id")?;
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                will.properties.write(out);
            }
            put_binary(out, will.topic.as_bytes(), "the topic of the will")?;
            put_binary(out, will.payload, "the will")?;
        }
        if let Some(user_name) = self.user_name {
            put_binary(out, user_name.as_bytes(), "the user name")?;
        }
        if let Some(password) = self.password {
            put_binary(out, password, "the password")?;
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        let mut set = |flag, is_set: bool| flags |= if is_set { flag } else { 0 };
        set(CLEAN_START, self.clean_start);
        set(USER_NAME, self.user_name.is_some());
        set(PASSWORD, self.password.is_some());
        if let Some(will) = &self.will {
            set(WILL | will.qos.level() << 3, true);
            set(WILL_RETAIN, will.retain);
        }
        flags
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, Malformed> {
    let name = reader.binary()?;
    let unsupported = Reason::UnsupportedProtocolVersion;
    if name != b"MQTT" {
        return Err(reader.error(unsupported, "the protocol is not called MQTT"));
    }
    match reader.byte()? {
        4 => Ok(Version::V311),
        5 => Ok(Version::V5),
        _ => Err(reader.error(unsupported, "the protocol level is not 4 or 5")),
    }
}

fn read_will<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    flags: u8,
) -> Result<Option<Will<'a>>, Malformed> {
    if flags & WILL == 0 {
        return match flags & (WILL_RETAIN | 0x18) {
            0 => Ok(None),
            _ => Err(reader.malformed("there are flags of a will but no will")),
        };
    }
    let qos = QoS::from_level(flags >> 3 & 3);
    let qos = qos.ok_or_else(|| reader.malformed("the will's QoS is 3"))?;
    let properties = match version {
        Version::V311 => Properties::EMPTY,
        Version::V5 => Properties::read_of_will(reader)?,
    };
    let here = reader.clone();
    let topic = reader.string()?;
    topic::check_received_name(topic)
        .map_err(|error| here.error(Reason::TopicNameInvalid, error.what()))?;
    Ok(Some(Will {
        topic,
        payload: reader.binary()?,
        qos,
        retain: flags & WILL_RETAIN != 0,
        properties,
    }))
}
