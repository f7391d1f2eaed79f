//! Messages that are longer than we take.

use super::*;
use crate::limits::{MQTT_READ_BYTES, MQTT_STRING_BYTES_MAX};

const PACKET_BYTES_MAX: usize = 100;

fn taking_little(version: Version) -> Session {
    let config = Config {
        packet_bytes_max: PACKET_BYTES_MAX,
        ..Config::new(version, "me")
    };
    connected(config, &[])
}

/// A message whose packet is so long, with an id if it has one.
fn message(topic: &str, qos: QoS, number: u16, packet_bytes: usize) -> Vec<u8> {
    let id = (qos != QoS::AtMostOnce).then(|| id(number));
    let of = |payload: &[u8]| {
        let packet = Packet::Publish(Publish {
            id,
            payload,
            ..Publish::new(topic, qos)
        });
        let mut bytes = Vec::new();
        packet.encode(Version::V311, &mut bytes).unwrap();
        bytes
    };
    // As a payload, acknowledgements that nobody may take for some.
    let puback = [0x40, 2, 0, 1];
    let payload: Vec<u8> = puback.into_iter().cycle().take(packet_bytes).collect();
    let too_many = of(&payload).len() - packet_bytes;
    let packet = of(&payload[too_many..]);
    assert_eq!(packet.len(), packet_bytes);
    packet
}

#[test]
fn with_3_1_1_a_message_that_is_too_long_is_passed_over_and_acknowledged() {
    for (qos, answer) in [
        (QoS::AtMostOnce, &[][..]),
        (ONE, &["puback 7"]),
        (TWO, &["pubrec 7"]),
    ] {
        for piece in [1, 7, MQTT_READ_BYTES] {
            let mut it = taking_little(Version::V311);
            publish(&mut it, ONE, 1);
            assert_eq!(words(&mut it), ["publish 1"]);
            assert_eq!(told(&mut it), ["Sent(1)"]);
            let bytes = [
                message("just", qos, 6, PACKET_BYTES_MAX),
                message("long", qos, 7, PACKET_BYTES_MAX + 1),
                message("longer", QoS::AtMostOnce, 7, 50_000),
                message("short", QoS::AtMostOnce, 0, 20),
            ];
            let mut topics = Vec::new();
            for piece in bytes.concat().chunks(piece) {
                it.handle_bytes(piece, at(2));
                while let Some(output) = it.poll_output() {
                    match output {
                        Output::Message(message) => topics.push(message.topic.to_owned()),
                        other => panic!("{other:?}"),
                    }
                }
                assert!(it.inbox.capacity() <= 2 * MQTT_READ_BYTES);
            }
            assert_eq!(topics, ["just", "short"], "{qos:?} {piece}");
            assert_eq!(it.too_long(), 2);
            assert_eq!(it.take_too_long(), Some(("longer".to_owned(), 50_000)));
            assert_eq!(it.take_too_long(), None);
            // The one that came before is not acknowledged yet, and acknowledgements keep their
            // order.
            assert_eq!(words(&mut it), [""; 0]);
            it.handle_disconnected(at(3));
            connect(&mut it, true, &[], at(3));
            assert_eq!(words(&mut it), ["publish 1 dup"]);
            it.handle_bytes(&message("long", qos, 7, PACKET_BYTES_MAX + 1), at(3));
            assert_eq!(told(&mut it), [""; 0]);
            assert_eq!(words(&mut it), answer, "{qos:?}");
        }
    }
}

#[test]
fn a_message_that_is_too_long_ends_with_its_connection() {
    let mut it = taking_little(Version::V311);
    let long = message("long", ONE, 7, 50_000);
    it.handle_bytes(&long[..1000], at(2));
    assert_eq!(told(&mut it), [""; 0]);
    it.handle_disconnected(at(3));
    connect(&mut it, true, &[], at(4));
    it.handle_bytes(&message("short", QoS::AtMostOnce, 0, 20), at(4));
    assert!(matches!(it.poll_output(), Some(Output::Message(_))));
    assert_eq!(it.too_long(), 1);
}

#[test]
fn only_a_message_of_3_1_1_is_passed_over() {
    let long = message("long", ONE, 7, PACKET_BYTES_MAX + 1);
    // Its topic is longer than the packet, is no topic, and it is no message.
    let (mut odd, mut wild, mut other) = (long.clone(), long.clone(), long.clone());
    odd[2..4].copy_from_slice(&[0xFF, 0xFF]);
    wild[4] = b'#';
    other[0] = 0x90;
    for (version, bytes) in [
        (Version::V5, &long),
        (Version::V311, &odd),
        (Version::V311, &wild),
        (Version::V311, &other),
    ] {
        let mut it = taking_little(version);
        it.handle_bytes(bytes, at(2));
        let told = told(&mut it);
        assert!(told[0].starts_with("Close(Malformed"), "{told:?}");
        assert_eq!(it.too_long(), 0);
    }
}

#[test]
fn a_topic_of_any_length_is_read_to_its_end() {
    let topic = "t".repeat(MQTT_STRING_BYTES_MAX);
    let mut it = taking_little(Version::V311);
    for piece in message(&topic, ONE, 7, 200_000).chunks(999) {
        it.handle_bytes(piece, at(2));
        assert_eq!(told(&mut it), [""; 0]);
    }
    assert_eq!(it.take_too_long(), Some((topic, 200_000)));
    assert_eq!(words(&mut it), ["puback 7"]);
}
