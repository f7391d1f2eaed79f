//! Who gets what, who is waited for, and who loses.

use super::super::buffer::Bounds;
use super::*;
use periwinkle_core::limits::{MQTT_READER_PATIENCE, MQTT_RETAINED_REST};
use periwinkle_core::mqtt::codec::{SubscribeOptions, Version};
use periwinkle_core::mqtt::outbox::{Budget, Outbox};
use periwinkle_core::mqtt::session::{Config, Ending, Output, Session};
use std::time::Duration;

/// Readers of one filter, and when they subscribed and were answered.
struct World {
    session: Session,
    readers: Readers,
    now: Mono,
}

impl World {
    fn new() -> World {
        let config = Config::new(Version::V5, "me");
        World {
            session: Session::new(config, Outbox::new(Budget::default()), Ending::Orderly),
            readers: Readers::default(),
            now: Mono::ZERO,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn enter(&mut self, filter: &str, retained: RetainHandling, as_published: bool) -> ReaderId {
        let options = SubscribeOptions::default();
        let asked = self.session.subscribe(filter, options, self.now).unwrap();
        let manner = Manner {
            bounds: Bounds {
                manual: false,
                messages_max: 10,
                bytes_max: usize::MAX,
                receive_max: 10,
            },
            qos: QoS::ExactlyOnce,
            durable: false,
            retained,
            as_published,
        };
        let id = self.readers.enter(filter, manner, asked, None, self.now);
        let granted = Ok(QoS::AtMostOnce);
        (self.readers).answered(asked, granted, self.now, &mut Vec::new());
        id
    }

    fn subscribe(&mut self, filter: &str) -> ReaderId {
        self.enter(filter, RetainHandling::Send, false)
    }

    fn fill(&mut self, topic: &str, count: usize) {
        for _ in 0..count {
            let message = message(topic, false);
            self.readers.take(&message, self.now, &mut Vec::new());
        }
    }

    fn read(&mut self, id: ReaderId, count: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..count {
            let (polled, _) = self.readers.poll_next(id, &mut context);
            assert!(matches!(polled, Poll::Ready(Some(_))));
        }
    }

    /// A message comes; who gets it?
    fn comes(&mut self, topic: &str, retain: bool) -> Vec<ReaderId> {
        let message = message(topic, retain);
        self.readers.take(&message, self.now, &mut Vec::new());
        let readers = self.readers.readers.iter_mut();
        let got = readers.filter_map(|(id, reader)| reader.buffer.pop().map(|_| *id));
        got.collect()
    }
}

fn message(topic: &str, retain: bool) -> session::Message<'_> {
    session::Message {
        topic,
        payload: b"x",
        qos: QoS::AtMostOnce,
        retain,
        dup: false,
        properties: periwinkle_core::mqtt::codec::Properties::EMPTY,
        token: None,
    }
}

#[test]
fn retained_messages_that_come_again_are_for_the_new_reader_only() {
    let mut world = World::new();
    let one = world.subscribe("a/#");
    let wide = world.subscribe("#");
    assert_eq!(world.comes("a/b", true), [one, wide]);
    world.pass(MQTT_RETAINED_REST);
    let two = world.subscribe("a/#");
    assert_eq!(world.comes("a/b", true), [wide, two]);
    assert_eq!(world.comes("a/b", false), [one, wide, two]);
    // A new session of the broker sends them to all.
    world.readers.begin_connection(world.now);
    assert_eq!(world.comes("a/b", true), [one, wide, two]);
}

#[test]
fn a_reader_whose_own_retained_messages_still_come_loses_none() {
    let mut world = World::new();
    let one = world.subscribe("a/#");
    for _ in 0..10 {
        world.pass(MQTT_RETAINED_REST - Duration::from_millis(1));
        assert_eq!(world.comes("a/b", true), [one]);
    }
    let two = world.subscribe("a/#");
    assert_eq!(world.comes("a/b", true), [one, two]);
}

#[test]
fn a_reader_that_wants_none_or_only_the_first_gets_what_it_asked_for() {
    let mut world = World::new();
    world.enter("a", RetainHandling::DoNotSend, false);
    world.enter("a", RetainHandling::SendIfNew, false);
    assert_eq!(world.comes("a", true), []);
    let first = world.enter("b", RetainHandling::SendIfNew, false);
    assert_eq!(world.comes("b", true), [first]);
}

#[test]
fn a_retain_flag_as_published_keeps_no_message_from_anybody() {
    let mut world = World::new();
    let one = world.subscribe("a");
    world.pass(MQTT_RETAINED_REST);
    let two = world.enter("a", RetainHandling::Send, true);
    assert_eq!(world.comes("a", true), [one, two]);
}

impl World {
    /// Readers of one filter each, which hold so many bytes.
    fn readers(&mut self, filters: &[&str], manual: bool, bytes_max: usize) -> Vec<ReaderId> {
        let enter = |filter: &&str| {
            let id = self.subscribe(filter);
            let reader = self.readers.readers.get_mut(&id).unwrap();
            let manner = &mut reader.manner;
            manner.bounds = Bounds {
                manual,
                messages_max: 100_000,
                bytes_max,
                receive_max: 10,
            };
            reader.buffer = Buffer::new(manner.bounds);
            id
        };
        filters.iter().map(enter).collect()
    }

    /// A message of so many bytes comes, as the bounds count them.
    fn comes_with(&mut self, topic: &str, bytes: usize, token: Option<AckToken>) {
        let payload = vec![0; bytes - size_of::<Message>() - topic.len()];
        let message = session::Message {
            payload: &payload,
            token,
            ..message(topic, false)
        };
        self.readers.take(&message, self.now, &mut Vec::new());
    }

    /// The moment of those who have one is over.
    fn lose_patience(&mut self) {
        self.pass(MQTT_READER_PATIENCE);
        self.readers.handle_timeout(untrusted(self.now));
    }
}

#[test]
fn a_reader_is_full_at_its_bytes_too_and_loses_the_oldest() {
    let mut world = World::new();
    let id = world.readers(&["a"], false, 10_000)[0];
    world.comes_with("a", 9_999, None);
    assert!(!world.readers.hold_reading());
    world.comes_with("a", 1_000, None);
    assert!(world.readers.hold_reading());
    world.lose_patience();
    assert!(!world.readers.hold_reading());
    // The bound is passed by one message at most.
    world.comes_with("a", 9_000, None);
    assert_eq!(world.readers.load.bytes, 10_000);
    assert_eq!(world.readers.missed_by(id), 1);
    world.comes_with("a", 300_000, None);
    world.comes_with("a", 2_000, None);
    assert_eq!(world.readers.load.bytes, 2_000);
    assert_eq!(
        (world.readers.missed_by(id), world.readers.missed()),
        (4, 4)
    );
    world.readers.leave(id, world.now);
    assert_eq!(world.readers.load, Load::default());
}

#[test]
fn the_reader_that_holds_the_most_gives_way_when_all_together_hold_too_much() {
    let mut world = World::new();
    let ids = world.readers(&["a", "b"], false, usize::MAX);
    let part = MQTT_READERS_BYTES_MAX / 4;
    for topic in ["a", "a", "b", "a"] {
        world.comes_with(topic, part, None);
    }
    assert!(!world.readers.hold_reading(), "at the bound");
    world.comes_with("b", part, None);
    assert!(world.readers.hold_reading(), "one beyond");
    world.lose_patience();
    assert!(!world.readers.hold_reading());
    assert_eq!(world.readers.load.bytes, MQTT_READERS_BYTES_MAX);
    let missed = |world: &World| ids.iter().map(|id| world.readers.missed_by(*id)).collect();
    let after: Vec<u64> = missed(&world);
    assert_eq!(after, [1, 0]);
    // It has had its moment, and has not caught up: it loses the next one at once.
    world.comes_with("a", part, None);
    assert_eq!(world.readers.load.bytes, MQTT_READERS_BYTES_MAX);
    let after: Vec<u64> = missed(&world);
    assert_eq!(after, [2, 0]);
}

#[test]
fn nothing_is_read_while_too_much_waits_for_those_who_acknowledge() {
    let mut world = World::new();
    let token = token(&mut world.session);
    let id = world.readers(&["a"], true, 10_000)[0];
    world.comes_with("a", 10_000, token);
    assert!(!world.readers.hold_reading());
    world.comes_with("a", 500, token);
    assert!(world.readers.hold_reading());
    assert_eq!(world.readers.poll_timeout(), None);
    world.read(id, 1);
    assert!(!world.readers.hold_reading());
    assert_eq!(world.readers.missed(), 0);
    world.readers.leave(id, world.now);

    let part = MQTT_READERS_BYTES_MAX / 2;
    let ids = world.readers(&["a", "b"], true, usize::MAX);
    for topic in ["a", "b"] {
        world.comes_with(topic, part, token);
    }
    assert!(!world.readers.hold_reading(), "at the bound");
    world.comes_with("b", 500, token);
    assert!(world.readers.hold_reading(), "one beyond");
    world.read(ids[1], 1);
    assert!(!world.readers.hold_reading());
}

/// What the broker awaits for a message with QoS 1.
fn token(session: &mut Session) -> Option<AckToken> {
    session.handle_connected(Mono::ZERO);
    // CONNACK, and PUBLISH to `a` under the packet id 1 (sections 3.2 and 3.3).
    session.handle_bytes(&[0x20, 3, 0, 0, 0], Mono::ZERO);
    session.handle_bytes(&[0x32, 6, 0, 1, b'a', 0, 1, 0], Mono::ZERO);
    loop {
        match session.poll_output()? {
            Output::Message(message) => return message.token,
            _ => continue,
        }
    }
}

#[test]
fn a_message_comes_with_no_higher_qos_than_its_reader_asked_for() {
    let mut world = World::new();
    let (low, high) = (world.subscribe("a"), world.subscribe("a"));
    for (id, qos) in [(low, QoS::AtMostOnce), (high, QoS::AtLeastOnce)] {
        world.readers.readers.get_mut(&id).unwrap().manner.qos = qos;
    }
    let message = session::Message {
        qos: QoS::ExactlyOnce,
        ..message("a", false)
    };
    world.readers.take(&message, world.now, &mut Vec::new());
    let got = |id| {
        let reader = world.readers.readers.get_mut(&id);
        reader.unwrap().buffer.pop().unwrap().qos()
    };
    assert_eq!([low, high].map(got), [QoS::AtMostOnce, QoS::AtLeastOnce]);
}

#[test]
fn a_full_reader_gets_a_moment_and_the_next_when_it_has_caught_up() {
    let mut world = World::new();
    let id = world.subscribe("a");
    world.fill("a", 9);
    assert!(!world.readers.hold_reading());
    world.fill("a", 1);
    assert!(world.readers.hold_reading());
    let due = world.readers.poll_timeout();
    assert_eq!(due, Some(world.now + MQTT_READER_PATIENCE));
    world.read(id, 5);
    assert!(!world.readers.hold_reading());
    assert_eq!(world.readers.poll_timeout(), None);

    world.fill("a", 5);
    assert!(world.readers.hold_reading());
    world.pass(MQTT_READER_PATIENCE);
    world.readers.handle_timeout(untrusted(world.now));
    world.fill("a", 7);
    assert!(!world.readers.hold_reading());
    assert_eq!(world.readers.missed_by(id), 7);
    world.read(id, 4);
    world.fill("a", 4);
    assert!(!world.readers.hold_reading(), "it is still slow");
    world.read(id, 5);
    world.fill("a", 5);
    assert!(world.readers.hold_reading());
    world.readers.leave(id, world.now);
    assert!(!world.readers.hold_reading());
}

#[test]
fn a_reader_of_few_large_messages_has_caught_up_when_half_of_its_bytes_are_read() {
    let mut world = World::new();
    let id = world.readers(&["a"], false, 12_000)[0];
    for bytes in [4_000, 4_000, 4_000] {
        world.comes_with("a", bytes, None);
    }
    world.lose_patience();
    world.read(id, 1);
    world.comes_with("a", 4_000, None);
    assert!(!world.readers.hold_reading(), "it is still slow");
    world.read(id, 2);
    for bytes in [4_000, 4_000] {
        world.comes_with("a", bytes, None);
    }
    assert!(world.readers.hold_reading());
}

/// A time whose clock nobody vouches for.
fn untrusted(mono: Mono) -> Now {
    Now {
        mono,
        wall: None,
        trusted: false,
    }
}
