//! PUBLISH (section 3.3).

use super::error::{Malformed, TooLong};
use super::kind::{PacketId, PacketKind, QoS, Version};
use super::property::{Properties, Property};
use super::reason::Reason;
use super::wire::{Reader, put_binary, put_remaining, put_two_bytes, put_varint, varint_bytes};
use crate::mqtt::topic;

/// A message on its way, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// It may have been sent before.
    pub dup: bool,
    /// How hard.
    pub qos: QoS,
    /// To a server: keep it. From a server: it was kept.
    pub retain: bool,
    /// Empty where an alias stands for it.
    pub topic: &'a str,
    /// There exactly when the QoS is 1 or 2.
    pub id: Option<PacketId>,
    /// Version 5 only.
    pub properties: Properties<'a>,
    /// The message.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// An empty message.
    pub const fn new(topic: &'a str, qos: QoS) -> Publish<'a> {
        Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            id: None,
            properties: Properties::EMPTY,
            payload: &[],
        }
    }

    pub(crate) fn read(
        reader: &mut Reader<'a>,
        flags: u8,
        version: Version,
    ) -> Result<Publish<'a>, Malformed> {
        let qos = QoS::from_level(flags >> 1 & 3);
        let qos = qos.ok_or_else(|| reader.malformed("the QoS is 3"))?;
        let dup = flags & 0x08 != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(reader.malformed("a message with QoS 0 is marked as sent again"));
        }
        let here = reader.clone();
        let topic = reader.string()?;
        let id = match qos {
            QoS::AtMostOnce => None,
            _ => Some(reader.packet_id()?),
        };
        let properties = match version {
            Version::V311 => Properties::EMPTY,
            Version::V5 => Properties::read(reader)?,
        };
        check_topics(&here, topic, properties)?;
        Ok(Publish {
            dup,
            qos,
            retain: flags & 0x01 != 0,
            topic,
            id,
            properties,
            payload: reader.rest(),
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>, version: Version) -> Result<(), TooLong> {
        let head = PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            id: self.id.map_or(0, PacketId::number),
        };
        encode_publish(
            out,
            version,
            head,
            self.topic.as_bytes(),
            [&[], self.properties.as_bytes()],
            self.payload,
        )
    }
}

fn check_topics(
    here: &Reader<'_>,
    topic: &str,
    properties: Properties<'_>,
) -> Result<(), Malformed> {
    if topic.is_empty() {
        let alias = properties.find(|property| match property {
            Property::TopicAlias(alias) => Some(alias),
            _ => None,
        });
        if alias.is_none() {
            return Err(here.error(Reason::ProtocolError, "there is neither topic nor alias"));
        }
    } else {
        topic::check_received_name(topic)
            .map_err(|error| here.error(Reason::TopicNameInvalid, error.what()))?;
    }
    let response = properties.find(|property| match property {
        Property::ResponseTopic(topic) => Some(topic),
        _ => None,
    });
    match response.map(topic::check_received_name) {
        Some(Err(_)) => Err(here.error(Reason::ProtocolError, "the response topic is no topic")),
        _ => Ok(()),
    }
}

/// What stands in the flags and before the properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishHead {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Not written for QoS 0.
    pub(crate) id: u16,
}

impl PublishHead {
    const fn flags(self) -> u8 {
        (self.dup as u8) << 3 | self.qos.level() << 1 | self.retain as u8
    }
}

/// Writes a PUBLISH straight to where it leaves from. The properties come in two parts, so that a
/// session can add its own to those of a stored message.
pub(crate) fn encode_publish(
    out: &mut Vec<u8>,
    version: Version,
    head: PublishHead,
    topic: &[u8],
    properties: [&[u8]; 2],
    payload: &[u8],
) -> Result<(), TooLong> {
    let properties_bytes = properties[0].len() + properties[1].len();
    let body = body_bytes(
        version,
        head.qos,
        topic.len(),
        properties_bytes,
        payload.len(),
    );
    let start = out.len();
    out.reserve(body + 5);
    out.push(PacketKind::Publish.first_byte(head.flags()));
    let written = put_remaining(out, body).and_then(|()| put_binary(out, topic, "the topic"));
    if written.is_err() {
        out.truncate(start);
        return written;
    }
    if head.qos != QoS::AtMostOnce {
        put_two_bytes(out, head.id);
    }
    if version == Version::V5 {
        put_varint(out, properties_bytes);
        out.extend_from_slice(properties[0]);
        out.extend_from_slice(properties[1]);
    }
    out.extend_from_slice(payload);
    Ok(())
}

/// The length of the whole packet.
pub(crate) const fn publish_bytes(
    version: Version,
    qos: QoS,
    topic: usize,
    properties: usize,
    payload: usize,
) -> usize {
    let body = body_bytes(version, qos, topic, properties, payload);
    1 + varint_bytes(body) + body
}

const fn body_bytes(
    version: Version,
    qos: QoS,
    topic: usize,
    properties: usize,
    payload: usize,
) -> usize {
    let properties_bytes = match version {
        Version::V311 => 0,
        Version::V5 => properties,
    };
    2 + topic + between_bytes(version, qos, properties) + properties_bytes + payload
}

/// The packet id and the length of the properties, which lie between these and the topic.
pub(crate) const fn between_bytes(version: Version, qos: QoS, properties: usize) -> usize {
    let id = match qos {
        QoS::AtMostOnce => 0,
        _ => 2,
    };
    let length = match version {
        Version::V311 => 0,
        Version::V5 => varint_bytes(properties),
    };
    id + length
}

/// What stands between length and payload of a PUBLISH without properties. It is the same for all
/// messages to a topic, so it is written once for many of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublishFront {
    /// Empty where there is none: the topic is too long.
    bytes: Vec<u8>,
    topic_bytes: usize,
    qos: QoS,
}

impl PublishFront {
    /// For messages to this topic, under no packet id yet.
    pub(crate) fn new(version: Version, qos: QoS, topic: &[u8]) -> PublishFront {
        let mut bytes = Vec::new();
        if put_binary(&mut bytes, topic, "the topic").is_ok() {
            // No packet id, and no properties.
            bytes.resize(bytes.len() + between_bytes(version, qos, 0), 0);
        }
        PublishFront {
            bytes,
            topic_bytes: topic.len(),
            qos,
        }
    }

    /// Whether it is the one for this topic.
    pub(crate) fn serves(&self, qos: QoS, topic: &[u8]) -> bool {
        self.qos == qos && self.bytes.get(2..2 + self.topic_bytes) == Some(topic)
    }

    /// Writes a PUBLISH, and says where its topic begins; nothing if it is longer than messages
    /// mostly are.
    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>, retain: bool, payload: &[u8]) -> Option<usize> {
        let body = self.bytes.len() + payload.len();
        if self.bytes.is_empty() || body >= 0x4000 {
            return None;
        }
        let (qos, dup, id) = (self.qos, false, 0);
        let head = PublishHead {
            dup,
            qos,
            retain,
            id,
        };
        let first = PacketKind::Publish.first_byte(head.flags());
        out.reserve(3 + body);
        let topic_at = match body {
            0..0x80 => {
                out.extend_from_slice(&[first, body as u8]);
                4
            }
            _ => {
                out.extend_from_slice(&[first, body as u8 | 0x80, (body >> 7) as u8]);
                5
            }
        };
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(payload);
        Some(topic_at)
    }
}
