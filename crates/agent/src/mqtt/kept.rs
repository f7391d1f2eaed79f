//! A received message as it lies on flash until its reader has dealt with it: `docs/formats/mqtt.md`.

use std::time::Duration;

use periwinkle_core::mqtt::codec::{PacketId, PropertiesBuf, QoS};
use periwinkle_core::time::{Mono, Now, UnixMillis};

use super::message::Message;

const VERSION: u8 = 2;
/// It does not say when the message came.
const VERSION_WITHOUT_TIME: u8 = 1;

/// A message that was read from flash, and the filter of the subscription that it is for.
#[derive(Debug)]
pub(super) struct KeptMessage {
    pub(super) filter: String,
    pub(super) message: Message,
    pub(super) came: Came,
}

/// When a message came, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Came {
    /// By a clock that was trusted.
    pub(super) wall: Option<UnixMillis>,
    /// In this life, or the beginning of it.
    pub(super) since: Mono,
}

impl Came {
    pub(super) fn now(now: Now) -> Came {
        Came {
            wall: trusted(now),
            since: now.mono,
        }
    }

    /// How long ago that is. The time between two lives counts where the clock was trusted in both.
    pub(super) fn age(self, now: Now) -> Duration {
        let known = now.mono.since(self.since);
        let millis = self
            .wall
            .zip(trusted(now))
            .map(|(came, now)| now.0 - came.0);
        let millis = millis.and_then(|millis| u64::try_from(millis).ok());
        known.max(Duration::from_millis(millis.unwrap_or(0)))
    }
}

fn trusted(now: Now) -> Option<UnixMillis> {
    now.wall.filter(|_| now.trusted)
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
pub(super) fn encode(filter: &str, message: &Message, came: Came, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.push(message.qos().level() | u8::from(message.retain()) << 2);
    out.extend_from_slice(&came.wall.map_or(0, |wall| wall.0).to_be_bytes());
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

/// Reads what [`encode`] wrote, in a life that began at `begin`; none if it is damaged or of a newer
/// form.
pub(super) fn decode(bytes: &[u8], begin: Mono) -> Option<KeptMessage> {
    let (&[version, flags], rest) = bytes.split_first_chunk()?;
    let (wall, rest) = match version {
        VERSION => rest.split_first_chunk()?,
        VERSION_WITHOUT_TIME => (&[0; 8], rest),
        _ => return None,
    };
    let wall = UnixMillis(i64::from_be_bytes(*wall));
    let (filter, rest) = part(rest)?;
    let (topic, rest) = part(rest)?;
    let (properties, payload) = part(rest)?;
    let properties = PropertiesBuf::of_publish(properties).ok()?;
    let topic = std::str::from_utf8(topic).ok()?;
    let qos = QoS::from_level(flags & 3)?;
    let message = Message::kept(topic, payload, properties, qos, flags & 4 != 0);
    Some(KeptMessage {
        filter: String::from_utf8(filter.to_vec()).ok()?,
        message,
        came: Came {
            wall: (wall.0 != 0).then_some(wall),
            since: begin,
        },
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
        let came = Came {
            wall: Some(UnixMillis(1_795_342_913_667)),
            since: Mono::ZERO,
        };
        encode("a/+", &message, came, &mut bytes);
        let decode = |bytes: &[u8]| decode(bytes, Mono::ZERO);
        let read = decode(&bytes).unwrap();
        assert_eq!(read.came, came);
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
        bytes[0] = 3;
        assert!(decode(&bytes).is_none());
        // The version before says the same without a time.
        bytes[0] = 1;
        bytes.drain(2..10);
        let read = decode(&bytes).unwrap();
        assert_eq!((read.filter.as_str(), read.message.topic()), ("a/+", "a/b"));
        assert_eq!(read.came.wall, None);
    }

    #[test]
    fn the_time_between_two_lives_counts_where_the_clock_was_trusted_in_both() {
        let wall = UnixMillis(1_795_342_913_667);
        let at = |seconds, ahead, trusted| Now {
            mono: Mono::from_start(Duration::from_secs(seconds)),
            wall: Some(UnixMillis(wall.0 + ahead)),
            trusted,
        };
        let age = |came: Option<UnixMillis>, now: Now| {
            let since = Mono::from_start(Duration::from_secs(1));
            Came { wall: came, since }.age(now).as_secs()
        };
        assert_eq!(age(Some(wall), at(3, 60_000, true)), 60);
        assert_eq!(age(Some(wall), at(3, 60_000, false)), 2);
        assert_eq!(age(None, at(3, 60_000, true)), 2);
        // A clock that was set back makes nothing younger than it is known to be.
        assert_eq!(age(Some(wall), at(3, -60_000, true)), 2);
        assert_eq!(Came::now(at(3, 0, false)).wall, None);
        assert_eq!(Came::now(at(3, 0, true)).wall, Some(wall));
    }
}
