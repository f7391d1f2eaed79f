//! Whatever a broker sends, a session goes on or closes the connection, and keeps its books.

use super::*;
use crate::limits::MQTT_OUTBOX_ROW_BYTES;
use crate::mqtt::codec::tests::random;
use crate::mqtt::outbox::Mode;
use periwinkle_testkit::rng::Rng;

const SEEDS: u64 = 400;

/// One life of a session with a broker that sends anything.
fn live(seed: u64, feed: impl Fn(&mut Rng, &mut Session)) {
    let mut rng = Rng::new(seed);
    let version = match rng.one_in(2) {
        true => Version::V311,
        false => Version::V5,
    };
    let mut it = session(Config {
        version,
        topic_aliases: true,
        ..config()
    });
    it.subscribe("a/#", SubscribeOptions::default(), at(0))
        .unwrap();
    let mut second = 1;
    for _ in 0..60 {
        second += rng.below(5);
        match rng.below(8) {
            0 => {
                it.handle_disconnected(at(second));
                accept(&mut it, rng.one_in(2), at(second));
            }
            1..3 => publish_any(&mut rng, &mut it, at(second)),
            3 => it.handle_timeout(at(second)),
            _ => feed(&mut rng, &mut it),
        }
        drain(&mut rng, &mut it, at(second));
        check_books(&it, seed);
    }
}

fn accept(it: &mut Session, session_present: bool, now: Mono) {
    it.handle_connected(now);
    let connack = Packet::Connack(Connack {
        session_present,
        reason: Reason::Success,
        properties: Properties::EMPTY,
    });
    receive(it, &connack, now);
}

fn publish_any(rng: &mut Rng, it: &mut Session, now: Mono) {
    let qos = QoS::from_level(rng.below(3) as u8).unwrap();
    let mode = match rng.one_in(3) && qos != QoS::AtMostOnce {
        true => Mode::Durable,
        false => Mode::Spill,
    };
    let publication = Publication {
        mode,
        tag: Some(1),
        ..Publication::new("t", b"x", qos)
    };
    it.publish(&publication, now).unwrap();
}

/// Does what the session asks for, sometimes only a part.
fn drain(rng: &mut Rng, it: &mut Session, now: Mono) {
    let bytes = rng.index(it.pending().len() + 1);
    it.handle_written(bytes, now);
    let (mut persisted, mut token, mut close) = (None, None, false);
    while let Some(output) = it.poll_output() {
        match output {
            Output::Persist(ticket, _) => persisted = Some(ticket),
            Output::Message(message) => token = message.token,
            Output::Close(_) => close = true,
            _ => {}
        }
    }
    if let Some(token) = token {
        it.acknowledge(token, Kept::InMemory, now);
    }
    match persisted {
        Some(ticket) if rng.one_in(8) => it.handle_persist_failed(ticket, now),
        Some(ticket) => it.handle_persisted(ticket, now),
        None => {}
    }
    if close {
        it.handle_disconnected(now);
    }
}

/// Rows, bytes and what is on its way are what the entries say.
fn check_books(it: &Session, seed: u64) {
    let outbox = it.outbox();
    let entries: Vec<_> = outbox.iter().map(|(_, entry)| entry).collect();
    let bytes = |entry: &&crate::mqtt::outbox::Entry| {
        let content = entry.topic().len() + entry.payload().len();
        content + entry.properties().as_bytes().len() + MQTT_OUTBOX_ROW_BYTES
    };
    assert_eq!(outbox.len(), entries.len(), "seed {seed}");
    assert_eq!(
        outbox.bytes(),
        entries.iter().map(bytes).sum::<usize>(),
        "seed {seed}"
    );
    let on_their_way = entries
        .iter()
        .filter(|entry| entry.stage() != Stage::Queued);
    assert_eq!(outbox.in_flight(), on_their_way.count(), "seed {seed}");
}

#[test]
fn any_valid_packets_leave_the_books_in_order() {
    for seed in 0..SEEDS {
        live(seed, |rng, it| {
            let mut bytes = Vec::new();
            let version = it.config.version;
            random::packet(rng.next_u64(), version, |packet| {
                packet.encode(version, &mut bytes).unwrap();
            });
            // Ids as small as ours, so that they meet.
            let number = 1 + rng.below(6) as u8;
            match bytes[0] >> 4 {
                4..=7 | 9 | 11 => bytes[2..4].copy_from_slice(&[0, number]),
                _ => {}
            }
            let now = it.now;
            it.handle_bytes(&bytes, now);
        });
    }
}

#[test]
fn any_bytes_leave_the_books_in_order() {
    for seed in 0..SEEDS {
        live(seed, |rng, it| {
            let bytes: Vec<u8> = (0..rng.index(40)).map(|_| rng.next_u64() as u8).collect();
            let now = it.now;
            it.handle_bytes(&bytes, now);
        });
    }
}
