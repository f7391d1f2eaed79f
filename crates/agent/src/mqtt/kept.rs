//! A received message as it lies on flash until its reader has dealt with it: `docs/formats/mqtt.md`.

use periwinkle_core::mqtt::codec::{PacketId, PropertiesBuf, QoS};

use super::message::Message;

const VERSION: u8 = 1;

/// A message that was read from flash, and the filter of the subscription that it is for.
#[derive(Debug)]
pub(super) struct KeptMessage {
    pub(super) filter: String,
    pub(super) message: Message,
}

impl KeptMessage {
    /// What it holds.
    pub(super) fn bytes(&self) -> usize {
        let message = &self.message;
        let properties = message.properties().as_bytes().len();
        self.filter.len() + message.topic().len() + properties + message.payload().len()
    }
}

/// The bytes of a message for the subscription to `filter`.
pub(super) fn encode(filter: &str, message: &Message, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.push(message.qos().level() | u8::from(message.retain()) << 2);
    let properties = message.properties();
    for part in [
        filter.as_bytes(),
        message.topic().as_bytes(),
        properties.as_bytes(),
    ] {
        let length = u32::try_from(part.len()).expect("the protocol bounds it");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    out.extend_from_slice(message.payload());
}

/// Reads what [`encode`] wrote; none if it is damaged or of a newer form.
pub(super) fn decode(bytes: &[u8]) -> Option<KeptMessage> {
    let (&[version, flags], rest) = bytes.split_first_chunk()?;
    let (filter, rest) = part(rest)?;
    let (topic, rest) = part(rest)?;
    let (properties, payload) = part(rest)?;
    let properties = PropertiesBuf::of_publish(properties).ok()?;
    let topic = std::str::from_utf8(topic).ok()?;
    let qos = QoS::from_level(flags & 3)?;
    let message = Message::kept(topic, payload, properties, qos, flags & 4 != 0);
    (version == VERSION).then_some(KeptMessage {
        filter: String::from_utf8(filter.to_vec()).ok()?,
        message,
    })
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// The key of the row that says that a message with QoS 2 came under this id.
pub(super) fn id_key(id: PacketId) -> [u8; 3] {
    let [high, low] = id.number().to_be_bytes();
    [b'r', high, low]
}

/// The key of a message's row.
pub(super) fn message_key(row: u64) -> [u8; 9] {
    let mut key = [b'd'; 9];
    key[1..].copy_from_slice(&row.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use periwinkle_core::mqtt::codec::Property;

    #[test]
    fn what_is_written_is_read_again_and_damage_is_nothing() {
        let mut properties = PropertiesBuf::new();
        properties.push(Property::UserProperty("a", "1")).unwrap();
        let message = Message::kept("a/b", b"payload", properties, QoS::ExactlyOnce, true);
        let mut bytes = Vec::new();
        encode("a/+", &message, &mut bytes);
        let read = decode(&bytes).unwrap();
        assert_eq!((read.filter.as_str(), read.message.topic()), ("a/+", "a/b"));
        assert_eq!(read.message.payload(), b"payload");
        assert_eq!(read.message.property("a"), Some("1"));
        assert_eq!(
            (read.message.qos(), read.message.retain()),
            (QoS::ExactlyOnce, true)
        );
        for length in 0..bytes.len() - b"payload".len() {
            assert!(decode(&bytes[..length]).is_none(), "{length}");
        }
        bytes[0] = 2;
        assert!(decode(&bytes).is_none());
    }
}
