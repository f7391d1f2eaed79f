//! A session of MQTT with a broker and a user who do anything, in any order.
//!
//! The input is a list of steps, each a byte that says what happens, and what it needs behind it.

use std::mem::discriminant;
use std::time::Duration;

use periwinkle_core::mqtt::codec::{QoS, SubscribeOptions, Version};
use periwinkle_core::mqtt::outbox::{Budget, Mode, Outbox, Publication, Stage};
use periwinkle_core::mqtt::session::{Config, Ending, Kept, Output, Session};
use periwinkle_core::time::Mono;

use super::kind_of;

/// Whatever happens, the books of the outbox agree with its entries and keep their bound, and what
/// the session wants to be told ends.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let Some((first, mut rest)) = bytes.split_first() else {
        return 0;
    };
    let mut life = Life::begin(*first);
    while let Some((step, more)) = rest.split_first() {
        rest = life.step(*step, more);
        life.serve();
        life.check();
    }
    kind_of(life.seen)
}

struct Life {
    session: Session,
    now: Mono,
    /// What the session has said, kind by kind.
    seen: Vec<u64>,
    ending: bool,
}

const WINDOW: u16 = 3;
const KINDS_MAX: usize = 64;

impl Life {
    fn begin(first: u8) -> Life {
        let version = match first & 1 {
            0 => Version::V311,
            _ => Version::V5,
        };
        let config = Config {
            in_flight_max: WINDOW,
            topic_aliases: first & 2 != 0,
            clean_start: first & 4 != 0,
            ..Config::new(version, "fuzz")
        };
        let ending = match first & 8 {
            0 => Ending::Orderly,
            _ => Ending::Badly,
        };
        let budget = Budget {
            rows_max: 20,
            ..Budget::default()
        };
        Life {
            session: Session::new(config, Outbox::new(budget), ending),
            now: Mono::ZERO,
            seen: Vec::new(),
            ending: false,
        }
    }

    /// Does one thing, and says what of the input is left.
    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        let session = &mut self.session;
        match step >> 4 {
            0 => session.handle_connected(self.now),
            1 => session.handle_disconnected(self.now),
            // The broker accepts: without a CONNACK there is little to see.
            2 => {
                session.handle_disconnected(self.now);
                session.handle_connected(self.now);
                let present = step & 1;
                let connack: &[u8] = match session.version() {
                    Version::V311 => &[0x20, 2, present, 0],
                    Version::V5 => &[0x20, 3, present, 0, 0],
                };
                session.handle_bytes(connack, self.now);
            }
            3 | 4 => self.publish(step),
            5 => {
                self.now = self.now + Duration::from_millis(100 << (step & 15));
                session.handle_timeout(self.now);
            }
            6 => {
                let options = SubscribeOptions::qos(QoS::AtLeastOnce);
                let filter = ["a/#", "b", "$share/g/a", "+"][usize::from(step & 3)];
                // Too many of them is an answer, too.
                let _ = session.subscribe(filter, options, self.now);
            }
            7 if step & 15 == 15 && !self.ending => {
                self.ending = true;
                session.stop(self.now);
            }
            7 => session.slow_down(self.now),
            // An acknowledgement of a small id, which may be one of ours.
            8 | 9 => {
                let kind = [0x40, 0x50, 0x62, 0x70][usize::from(step & 3)];
                let id = 1 + (step >> 2 & 7);
                session.handle_bytes(&[kind, 2, 0, id], self.now);
            }
            // Bytes of the input as they are.
            _ => {
                let length = usize::from(step & 31).min(rest.len());
                session.handle_bytes(&rest[..length], self.now);
                return &rest[length..];
            }
        }
        rest
    }

    fn publish(&mut self, step: u8) {
        let qos = QoS::from_level(step & 3).unwrap_or(QoS::AtLeastOnce);
        let mode = match step & 4 != 0 && qos != QoS::AtMostOnce {
            true => Mode::Durable,
            false => Mode::Spill,
        };
        let topic = ["a/b", "b"][usize::from(step >> 3 & 1)];
        let publication = Publication {
            mode,
            tag: Some(u64::from(step)),
            expiry: (step & 16 != 0).then_some(Duration::from_secs(60)),
            ..Publication::new(topic, b"x", qos)
        };
        // A full outbox is an answer, too.
        let _ = self.session.publish(&publication, self.now);
    }

    /// Does what the session asks for.
    fn serve(&mut self) {
        let pending = self.session.pending().len();
        self.session.handle_written(pending, self.now);
        let (mut persisted, mut tokens, mut close) = (None, Vec::new(), false);
        let mut outputs = 0;
        while let Some(output) = self.session.poll_output() {
            outputs += 1;
            assert!(outputs < 10_000, "it never has enough");
            if self.seen.len() < KINDS_MAX {
                self.seen.push(kind_of(discriminant(&output)));
            }
            match output {
                Output::Persist(ticket, _) => persisted = Some(ticket),
                Output::Message(message) => tokens.extend(message.token),
                Output::Close(_) => close = true,
                _ => {}
            }
        }
        for token in tokens {
            self.session.acknowledge(token, Kept::InMemory, self.now);
        }
        if let Some(ticket) = persisted {
            self.session.handle_persisted(ticket, self.now);
        }
        if close {
            self.session.handle_disconnected(self.now);
        }
    }

    fn check(&self) {
        let outbox = self.session.outbox();
        let on_their_way = outbox
            .iter()
            .filter(|(_, entry)| entry.stage() != Stage::Queued)
            .count();
        assert_eq!(outbox.in_flight(), on_their_way);
        assert_eq!(outbox.len(), outbox.iter().count());
        assert!(outbox.len() <= 20, "{} rows", outbox.len());
    }
}
