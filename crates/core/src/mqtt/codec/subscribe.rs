//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (sections 3.8 to 3.11).

use super::error::{Malformed, TooLong};
use super::kind::{PacketId, QoS, Version};
use super::property::Properties;
use super::reason::Reason;
use super::wire::{Reader, put_binary, put_two_bytes};
use crate::limits::MQTT_FILTERS_MAX;
use crate::mqtt::topic::Filter;

/// Asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The exchange.
    pub id: PacketId,
    /// Version 5 only.
    pub properties: Properties<'a>,
    /// At least one.
    pub filters: Vec<FilterRequest<'a>>,
}

/// One filter with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRequest<'a> {
    /// Which topics.
    pub filter: &'a str,
    /// How.
    pub options: SubscribeOptions,
}

/// How a subscription is to be served. 3.1.1 knows only `qos`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscribeOptions {
    /// At most this.
    pub qos: QoS,
    /// Not what this client publishes itself.
    pub no_local: bool,
    /// The retain flag as it was published.
    pub retain_as_published: bool,
    /// What of the retained messages.
    pub retain_handling: RetainHandling,
}

/// Which retained messages come with a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send,
    /// All that match, if the subscription is new.
    SendIfNew,
    /// None.
    DoNotSend,
}

impl SubscribeOptions {
    /// With this quality of service and nothing special.
    pub const fn qos(qos: QoS) -> SubscribeOptions {
        SubscribeOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    const fn byte(self, version: Version) -> u8 {
        match version {
            Version::V311 => self.qos.level(),
            Version::V5 => {
                self.qos.level()
                    | (self.no_local as u8) << 2
                    | (self.retain_as_published as u8) << 3
                    | (self.retain_handling as u8) << 4
            }
        }
    }

    fn read(reader: &mut Reader<'_>, version: Version) -> Result<SubscribeOptions, Malformed> {
        let here = reader.clone();
        let byte = reader.byte()?;
        let reserved = match version {
            Version::V311 => 0xFC,
            Version::V5 => 0xC0,
        };
        if byte & reserved != 0 {
            return Err(here.malformed("reserved bits are set"));
        }
        let retain_handling = match byte >> 4 & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(here.error(Reason::ProtocolError, "the retain handling is 3")),
        };
        Ok(SubscribeOptions {
            qos: QoS::from_level(byte & 3).ok_or_else(|| here.malformed("the QoS is 3"))?,
            no_local: byte & 0x04 != 0,
            retain_as_published: byte & 0x08 != 0,
            retain_handling,
        })
    }
}

impl<'a> Subscribe<'a> {
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Subscribe<'a>, Malformed> {
        let (id, properties) = read_head(reader, version)?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            check_count(reader, filters.len())?;
            let here = reader.clone();
            let filter = read_filter(reader)?;
            let options = SubscribeOptions::read(reader, version)?;
            if options.no_local && filter.share_name().is_some() {
                let what = "a shared subscription cannot be without local messages";
                return Err(here.error(Reason::ProtocolError, what));
            }
            filters.push(FilterRequest {
                filter: filter.as_str(),
                options,
            });
        }
        check_some(reader, filters.len())?;
        Ok(Subscribe {
            id,
            properties,
            filters,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) -> Result<(), TooLong> {
        write_head(out, version, self.id, self.properties);
        for request in &self.filters {
            put_binary(out, request.filter.as_bytes(), "a topic filter")?;
            out.push(request.options.byte(version));
        }
        Ok(())
    }
}

/// Asks for no more messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The exchange.
    pub id: PacketId,
    /// Version 5 only.
    pub properties: Properties<'a>,
    /// At least one.
    pub filters: Vec<&'a str>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Unsubscribe<'a>, Malformed> {
        let (id, properties) = read_head(reader, version)?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            check_count(reader, filters.len())?;
            filters.push(read_filter(reader)?.as_str());
        }
        check_some(reader, filters.len())?;
        Ok(Unsubscribe {
            id,
            properties,
            filters,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) -> Result<(), TooLong> {
        write_head(out, version, self.id, self.properties);
        for filter in &self.filters {
            put_binary(out, filter.as_bytes(), "a topic filter")?;
        }
        Ok(())
    }
}

/// The answer to SUBSCRIBE: one code for each filter, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The exchange.
    pub id: PacketId,
    /// Version 5 only.
    pub properties: Properties<'a>,
    /// Granted, or why not.
    pub reasons: Vec<Reason>,
}

impl<'a> Suback<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, version: Version) -> Result<Suback<'a>, Malformed> {
        let (id, properties) = read_head(reader, version)?;
        let reasons = read_reasons(reader, version)?;
        Ok(Suback {
            id,
            properties,
            reasons,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) {
        write_head(out, version, self.id, self.properties);
        out.extend(
            self.reasons
                .iter()
                .map(|reason| reason.suback_code(version)),
        );
    }
}

/// The answer to UNSUBSCRIBE: in version 5 one code for each filter, in 3.1.1 none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The exchange.
    pub id: PacketId,
    /// Version 5 only.
    pub properties: Properties<'a>,
    /// Done, or why not.
    pub reasons: Vec<Reason>,
}

impl<'a> Unsuback<'a> {
    pub(crate) fn read(
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Unsuback<'a>, Malformed> {
        let (id, properties) = read_head(reader, version)?;
        let reasons = match version {
            Version::V311 => Vec::new(),
            Version::V5 => read_reasons(reader, version)?,
        };
        reader.end()?;
        Ok(Unsuback {
            id,
            properties,
            reasons,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, version: Version) {
        write_head(out, version, self.id, self.properties);
        if version == Version::V5 {
            out.extend(self.reasons.iter().map(|reason| reason.code()));
        }
    }
}

fn read_head<'a>(
    reader: &mut Reader<'a>,
    version: Version,
) -> Result<(PacketId, Properties<'a>), Malformed> {
    let id = reader.packet_id()?;
    let properties = match version {
        Version::V311 => Properties::EMPTY,
        Version::V5 => Properties::read(reader)?,
    };
    Ok((id, properties))
}

fn write_head(out: &mut Vec<u8>, version: Version, id: PacketId, properties: Properties<'_>) {
    put_two_bytes(out, id.number());
    if version == Version::V5 {
        properties.write(out);
    }
}

fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<Filter<'a>, Malformed> {
    let here = reader.clone();
    let filter = reader.string()?;
    Filter::parse(filter).map_err(|error| here.error(Reason::TopicFilterInvalid, error.what()))
}

fn read_reasons(reader: &mut Reader<'_>, version: Version) -> Result<Vec<Reason>, Malformed> {
    let mut reasons = Vec::with_capacity(reader.remaining().min(MQTT_FILTERS_MAX));
    while !reader.is_empty() {
        check_count(reader, reasons.len())?;
        let here = reader.clone();
        let reason = Reason::from_code(reader.byte()?)
            .filter(|reason| reason.belongs_to(reader.kind()))
            .filter(|reason| reason.suback_code(version) == reason.code());
        reasons.push(reason.ok_or_else(|| here.malformed("there is no such reason here"))?);
    }
    check_some(reader, reasons.len())?;
    Ok(reasons)
}

fn check_count(reader: &Reader<'_>, count: usize) -> Result<(), Malformed> {
    match count < MQTT_FILTERS_MAX {
        true => Ok(()),
        false => Err(reader.error(Reason::QuotaExceeded, "there are too many filters")),
    }
}

fn check_some(reader: &Reader<'_>, count: usize) -> Result<(), Malformed> {
    match count {
        0 => Err(reader.error(Reason::ProtocolError, "there is not one filter")),
        _ => Ok(()),
    }
}
