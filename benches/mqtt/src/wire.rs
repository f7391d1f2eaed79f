//! As much of MQTT as the sink and the partner need, written for speed and for peers that behave.

/// Kinds of packets: the upper half of the first byte.
pub(crate) const CONNECT: u8 = 1;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const UNSUBSCRIBE: u8 = 10;
pub(crate) const PINGREQ: u8 = 12;
pub(crate) const DISCONNECT: u8 = 14;

/// A PUBLISH that came.
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) id: Option<[u8; 2]>,
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(crate) fn parse(first: u8, body: &'a [u8], is_v5: bool) -> Option<Publish<'a>> {
        let (topic, mut rest) = text(body)?;
        let mut id = None;
        if first & 0b110 != 0 {
            id = Some([*rest.first()?, *rest.get(1)?]);
            rest = &rest[2..];
        }
        let mut properties: &[u8] = &[];
        if is_v5 {
            let (length, at) = number(rest)?;
            properties = rest.get(at..at + length)?;
            rest = &rest[at + length..];
        }
        Some(Publish {
            topic,
            id,
            properties,
            payload: rest,
        })
    }
}

/// Response topic and correlation data.
pub(crate) fn response(mut properties: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut topic, mut data): (&[u8], &[u8]) = (&[], &[]);
    while let Some((kind, rest)) = properties.split_first() {
        properties = match kind {
            0x01 => rest.get(1..)?,
            0x02 => rest.get(4..)?,
            0x03 | 0x08 | 0x09 => {
                let (value, rest) = text(rest)?;
                match kind {
                    0x08 => topic = value,
                    0x09 => data = value,
                    _ => {}
                }
                rest
            }
            0x26 => text(text(rest)?.1)?.1,
            _ => return None,
        };
    }
    (!topic.is_empty()).then_some((topic, data))
}

/// What has a length of two bytes in front, and what follows it.
pub(crate) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    Some((bytes.get(2..2 + length)?, &bytes[2 + length..]))
}

/// A number of variable length, and how many bytes it takes.
pub(crate) fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 127) << (7 * at);
        if byte & 128 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

pub(crate) fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// A PUBLISH; `properties` are there with version 5, if only as none.
pub(crate) fn write_publish(
    out: &mut Vec<u8>,
    qos: u8,
    topic: &[u8],
    id: u16,
    properties: Option<&[u8]>,
    payload: &[u8],
) {
    let id_bytes = if qos > 0 { 2 } else { 0 };
    // Properties of fewer than 128 bytes.
    let properties_bytes = properties.map_or(0, |properties| 1 + properties.len());
    out.push(0x30 | qos << 1);
    write_number(
        out,
        2 + topic.len() + id_bytes + properties_bytes + payload.len(),
    );
    write_text(out, topic);
    if qos > 0 {
        out.extend_from_slice(&id.to_be_bytes());
    }
    if let Some(properties) = properties {
        write_number(out, properties.len());
        out.extend_from_slice(properties);
    }
    out.extend_from_slice(payload);
}
