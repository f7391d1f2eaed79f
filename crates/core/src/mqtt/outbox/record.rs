//! A message as it lies on flash: `docs/formats/mqtt.md`.

use super::entry::{Class, Entry, Mode, Publication, Stage, StoredEntry};
use crate::mqtt::codec::{PacketId, Place, PropertiesBuf, QoS};
use crate::mqtt::topic;
use crate::time::{Now, UnixMillis};
use std::time::Duration;

const VERSION: u8 = 2;
/// The form without the age.
const VERSION_1: u8 = 1;

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It was written by a newer program.
    #[error("the message on flash has the form {0}, this program knows {VERSION}")]
    Version(u8),
    /// A broker would close each connection for it. Older programs took such messages.
    #[error("the message on flash cannot be sent: {0}")]
    Unsendable(&'static str),
    /// It is not what a program of ours writes.
    #[error("the message on flash is damaged")]
    Damaged,
}

/// A message that was read from flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    topic: String,
    payload: Vec<u8>,
    properties: PropertiesBuf,
    qos: QoS,
    retain: bool,
    class: Class,
    mode: Mode,
    stage: Stage,
    packet_id: Option<PacketId>,
    /// What was left of its time of use when it was written.
    left: Option<Duration>,
    /// How old it was when it was written; of the first form that is not known.
    age: Option<Duration>,
    /// When it was written, by a clock that could be trusted.
    written: Option<UnixMillis>,
}

impl Record {
    /// The bytes of a message, as it stands now.
    pub fn encode(entry: &Entry, now: Now, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(flags(entry));
        let id = entry.packet_id.map_or(0, PacketId::number);
        out.extend_from_slice(&id.to_be_bytes());
        let left = entry.expires_in(now.mono);
        let left_ms = left.map_or(u64::MAX, |left| {
            u64::try_from(left.as_millis()).map_or(u64::MAX - 1, |left| left.min(u64::MAX - 1))
        });
        out.extend_from_slice(&left_ms.to_be_bytes());
        let wall = now.trusted_wall().map_or(0, |wall| wall.0);
        out.extend_from_slice(&wall.to_be_bytes());
        let age_ms = u64::try_from(entry.age(now.mono).as_millis()).unwrap_or(u64::MAX);
        out.extend_from_slice(&age_ms.to_be_bytes());
        for part in [entry.topic_bytes(), entry.properties_bytes()] {
            let length = u32::try_from(part.len()).expect("the protocol bounds it");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(entry.payload());
    }

    /// Reads what [`encode`](Record::encode) wrote.
    ///
    /// # Errors
    /// It is of a newer form, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        match bytes.first() {
            Some(&version @ (VERSION_1 | VERSION)) => {
                let record = read(version, &bytes[1..]).ok_or(RecordError::Damaged)?;
                record.check()
            }
            Some(&version) => Err(RecordError::Version(version)),
            None => Err(RecordError::Damaged),
        }
    }

    fn check(self) -> Result<Record, RecordError> {
        topic::check_name(&self.topic).map_err(|error| RecordError::Unsendable(error.what()))?;
        match self.properties.as_properties().unsendable(Place::Message) {
            Some(what) => Err(RecordError::Unsendable(what)),
            None => Ok(self),
        }
    }

    /// The message, for [`Session::restore`](crate::mqtt::session::Session::restore).
    ///
    /// The time since it was written counts only where both clocks can be trusted.
    pub fn as_entry(&self, sequence: u64, now: Now) -> StoredEntry<'_> {
        let since = match (self.written, now.trusted_wall()) {
            (Some(written), Some(wall)) => wall.0.saturating_sub(written.0),
            _ => 0,
        };
        let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        StoredEntry {
            sequence,
            publication: Publication {
                topic: &self.topic,
                payload: &self.payload,
                qos: self.qos,
                retain: self.retain,
                properties: self.properties.as_properties(),
                expiry: self.left.map(|left| left.saturating_sub(since)),
                class: self.class,
                mode: self.mode,
                tag: None,
            },
            stage: self.stage,
            packet_id: self.packet_id,
            age: (self.age).map_or(Duration::ZERO, |age| age.saturating_add(since)),
        }
    }
}

fn flags(entry: &Entry) -> u8 {
    let stage = match entry.stage {
        Stage::Queued => 0,
        Stage::Sent => 1,
        Stage::Released => 2,
    };
    let durable = u8::from(entry.mode == Mode::Durable);
    let retain = u8::from(entry.retain);
    entry.qos.level() | retain << 2 | durable << 3 | stage << 4 | (entry.class as u8) << 6
}

fn read(version: u8, bytes: &[u8]) -> Option<Record> {
    let (&flags, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_first_chunk::<2>()?;
    let (left, rest) = rest.split_first_chunk::<8>()?;
    let (wall, rest) = rest.split_first_chunk::<8>()?;
    let (age, rest) = match version {
        VERSION_1 => (None, rest),
        _ => {
            let (age_ms, rest) = rest.split_first_chunk::<8>()?;
            let age = Duration::from_millis(u64::from_be_bytes(*age_ms));
            (Some(age), rest)
        }
    };
    let (topic, rest) = part(rest)?;
    let (properties, payload) = part(rest)?;
    let stage = [Stage::Queued, Stage::Sent, Stage::Released];
    let left_ms = u64::from_be_bytes(*left);
    let wall = i64::from_be_bytes(*wall);
    Some(Record {
        topic: String::from_utf8(topic.to_vec()).ok()?,
        payload: payload.to_vec(),
        properties: PropertiesBuf::of_publish(properties).ok()?,
        qos: QoS::from_level(flags & 3)?,
        retain: flags & 4 != 0,
        class: *Class::ALL.get(usize::from(flags >> 6))?,
        mode: match flags & 8 {
            0 => Mode::Spill,
            _ => Mode::Durable,
        },
        stage: *stage.get(usize::from(flags >> 4 & 3))?,
        packet_id: PacketId::new(u16::from_be_bytes(*id)),
        left: (left_ms != u64::MAX).then(|| Duration::from_millis(left_ms)),
        age,
        written: (wall != 0).then_some(UnixMillis(wall)),
    })
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::codec::{Property, PublishFront, Version};
    use crate::time::Mono;

    fn now(seconds: u64, trusted: bool) -> Now {
        let at = Duration::from_secs(seconds);
        Now {
            mono: Mono::from_start(at),
            wall: Some(UnixMillis(1_000_000).plus(at)),
            trusted,
        }
    }

    fn entry(properties: &PropertiesBuf) -> Entry {
        let publication = Publication {
            retain: true,
            properties: properties.as_properties(),
            expiry: Some(Duration::from_secs(60)),
            class: Class::Low,
            mode: Mode::Durable,
            ..Publication::new("a/b", b"payload", QoS::ExactlyOnce)
        };
        let mut entry = Entry::free();
        let front = PublishFront::default();
        entry.fill(7, Version::V5, &front, &publication, now(0, true).mono);
        entry.stage = Stage::Released;
        entry.packet_id = PacketId::new(513);
        entry
    }

    fn bytes(entry: &Entry, now: Now) -> Vec<u8> {
        let mut bytes = Vec::new();
        Record::encode(entry, now, &mut bytes);
        bytes
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut properties = PropertiesBuf::new();
        properties.push(Property::UserProperty("a", "1")).unwrap();
        let record = Record::decode(&bytes(&entry(&properties), now(10, true))).unwrap();
        let stored = record.as_entry(7, now(10, true));
        let publication = stored.publication;
        assert_eq!((stored.sequence, stored.stage), (7, Stage::Released));
        assert_eq!(stored.packet_id, PacketId::new(513));
        assert_eq!(
            (publication.topic, publication.payload),
            ("a/b", &b"payload"[..])
        );
        assert_eq!(publication.properties.user("a"), Some("1"));
        assert_eq!(
            (publication.class, publication.mode),
            (Class::Low, Mode::Durable)
        );
        assert!(publication.retain);
        assert_eq!(publication.qos, QoS::ExactlyOnce);
        assert_eq!(publication.expiry, Some(Duration::from_secs(50)));
    }

    #[test]
    fn time_without_power_counts_only_where_both_clocks_are_trusted() {
        let left = |wrote: bool, reads: bool| {
            let record = Record::decode(&bytes(&entry(&PropertiesBuf::new()), now(10, wrote)));
            let record = record.unwrap();
            record
                .as_entry(7, now(30, reads))
                .publication
                .expiry
                .unwrap()
                .as_secs()
        };
        assert_eq!(left(true, true), 30);
        assert_eq!(left(false, true), 50);
        assert_eq!(left(true, false), 50);
    }

    #[test]
    fn age_goes_on_where_the_clocks_are_trusted_and_never_begins_anew() {
        let age = |wrote: bool, reads: bool| {
            let record = Record::decode(&bytes(&entry(&PropertiesBuf::new()), now(10, wrote)));
            record.unwrap().as_entry(7, now(30, reads)).age.as_secs()
        };
        assert_eq!(age(true, true), 30);
        assert_eq!(age(false, true), 10);
        assert_eq!(age(true, false), 10);
    }

    #[test]
    fn the_first_form_is_read_and_counts_from_now() {
        let mut first = bytes(&entry(&PropertiesBuf::new()), now(10, true));
        first[0] = 1;
        // The age is what the first form does not have.
        first.drain(20..28);
        let record = Record::decode(&first).unwrap();
        let stored = record.as_entry(7, now(30, true));
        assert_eq!(
            (stored.publication.topic, stored.age),
            ("a/b", Duration::ZERO)
        );
        assert_eq!(stored.publication.expiry, Some(Duration::from_secs(30)));
        assert_eq!(stored.publication.payload, b"payload");
    }

    #[test]
    fn damage_newer_forms_and_what_no_broker_takes_are_errors() {
        let good = bytes(&entry(&PropertiesBuf::new()), now(0, true));
        for length in 0..good.len() - b"payload".len() {
            assert_eq!(
                Record::decode(&good[..length]),
                Err(RecordError::Damaged),
                "{length}"
            );
        }
        let publication = Publication::new("", b"", QoS::AtLeastOnce);
        let mut empty = Entry::free();
        let front = PublishFront::default();
        empty.fill(7, Version::V5, &front, &publication, Mono::ZERO);
        assert_eq!(
            Record::decode(&bytes(&empty, now(0, true))),
            Err(RecordError::Unsendable("the topic is empty"))
        );
        let mut newer = good;
        newer[0] = 3;
        assert_eq!(Record::decode(&newer), Err(RecordError::Version(3)));
    }
}
