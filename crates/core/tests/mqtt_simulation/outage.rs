//! A day without a link, and a hundred thousand messages.

use periwinkle_core::limits::MQTT_OUTBOX_ROW_BYTES;
use periwinkle_core::mqtt::codec::{Ack, Connack, Inbox, Packet, Properties, QoS, Reason, Version};
use periwinkle_core::mqtt::outbox::{Budget, Outbox, Overflow, Publication};
use periwinkle_core::mqtt::session::{Config, Ending, Output, Persist, Session};
use periwinkle_core::time::Mono;
use std::collections::BTreeSet;
use std::time::Duration;

const MESSAGES: u64 = 100_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
const PAYLOAD_BYTES: usize = 100;

/// A device, and the numbers of the messages that its flash holds.
struct Device {
    session: Session,
    flash: BTreeSet<u64>,
    now: Mono,
    bytes_max: usize,
}

impl Device {
    fn new(budget: Budget) -> Device {
        let config = Config::new(Version::V5, "device");
        Device {
            session: Session::new(config, Outbox::new(budget), Ending::Orderly),
            flash: BTreeSet::new(),
            now: Mono::from_start(Duration::from_secs(100)),
            bytes_max: 0,
        }
    }

    /// A day of messages; now and then an attempt to connect that nobody answers.
    fn spend_a_day_offline(&mut self) {
        for number in 1..=MESSAGES {
            self.now = self.now + DAY / MESSAGES as u32;
            let mut payload = [0; PAYLOAD_BYTES];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            let publication = Publication::new("sensor", &payload, QoS::AtLeastOnce);
            self.session.publish(&publication, self.now).unwrap();
            if number % 200 == 0 {
                self.session.handle_connected(self.now);
            }
            if let Some((due, _)) = self.session.poll_timeout()
                && due <= self.now
            {
                self.session.handle_timeout(self.now);
            }
            self.write_to_flash();
            self.bytes_max = self.bytes_max.max(self.session.outbox().bytes());
        }
        self.session.handle_disconnected(self.now);
    }

    fn write_to_flash(&mut self) {
        let mut last = None;
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Persist(ticket, what) => {
                    last = Some(ticket);
                    match what {
                        Persist::Entry(id) => self.flash.insert(id.sequence()),
                        Persist::Remove(sequence) => self.flash.remove(&sequence),
                        other => panic!("{other:?}"),
                    };
                }
                Output::Close(_) => {}
                other => assert!(matches!(other, Output::Connected(_)), "{other:?}"),
            }
        }
        if let Some(ticket) = last {
            self.session.handle_persisted(ticket, self.now);
        }
    }

    /// The link returns, to a broker that acknowledges at once: the numbers in their order.
    fn deliver_everything(&mut self) -> Vec<u64> {
        let mut arrived = Vec::new();
        let mut inbox = Inbox::new(1 << 20);
        self.session.handle_connected(self.now);
        loop {
            inbox.extend(self.session.pending());
            let bytes = self.session.pending().len();
            self.session.handle_written(bytes, self.now);
            let mut answers = Vec::new();
            while let Some(frame) = inbox.take().unwrap() {
                let answer = match Packet::decode(Version::V5, frame).unwrap() {
                    Packet::Publish(publish) => {
                        let number = publish.payload.first_chunk().unwrap();
                        arrived.push(u64::from_be_bytes(*number));
                        Packet::Puback(Ack::new(publish.id.unwrap()))
                    }
                    Packet::Connect(_) => Packet::Connack(Connack {
                        session_present: false,
                        reason: Reason::Success,
                        properties: Properties::EMPTY,
                    }),
                    other => panic!("{other:?}"),
                };
                answer.encode(Version::V5, &mut answers).unwrap();
            }
            if answers.is_empty() {
                return arrived;
            }
            self.session.handle_bytes(&answers, self.now);
            self.write_to_flash();
        }
    }
}

#[test]
fn a_day_of_outage_loses_nothing_and_stays_within_its_memory() {
    let mut device = Device::new(Budget::default());
    device.spend_a_day_offline();
    let row = PAYLOAD_BYTES + "sensor".len() + MQTT_OUTBOX_ROW_BYTES;
    assert_eq!(device.bytes_max, MESSAGES as usize * row);
    // All but the youngest are safe from a power cut.
    let young = MESSAGES as usize - device.flash.len();
    assert!(young <= 4, "{young} messages were not spilled");
    let expected: Vec<u64> = (1..=MESSAGES).collect();
    assert_eq!(device.deliver_everything(), expected);
    assert!(device.session.outbox().is_empty());
    assert!(device.flash.is_empty());
}

#[test]
fn a_day_of_outage_with_a_small_budget_keeps_the_newest_and_counts_the_others() {
    let rows_max = 1000;
    let mut device = Device::new(Budget {
        rows_max,
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    device.spend_a_day_offline();
    let row = PAYLOAD_BYTES + "sensor".len() + MQTT_OUTBOX_ROW_BYTES;
    assert_eq!(device.bytes_max, rows_max * row);
    let dropped = MESSAGES - rows_max as u64;
    assert_eq!(device.session.outbox().counts().overflowed, [0, dropped, 0]);
    assert!(device.flash.len() <= rows_max);
    let expected: Vec<u64> = (dropped + 1..=MESSAGES).collect();
    assert_eq!(device.deliver_everything(), expected);
    assert!(device.flash.is_empty());
}
