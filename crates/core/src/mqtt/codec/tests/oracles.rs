//! The same bytes, read by mqtt-protocol-core and by rumqttc.

use super::*;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use rumqttc::mqttbytes as rumqtt4;
use rumqttc::v5::mqttbytes as rumqtt5;
use std::collections::BTreeSet;

const SEEDS: u64 = 3000;

/// What mqtt-protocol-core makes of a packet: its own bytes for it, or nothing if it refuses.
macro_rules! oracle {
    ($module:ident, $frame:expr, $($more:tt)*) => {{
        let frame: Frame<'_> = $frame;
        macro_rules! read {
            ($name:ident) => {
                $module::$name::parse(frame.body)
                    .ok()
                    .filter(|(_, length)| *length == frame.body.len())
                    .map(|(packet, _)| packet.to_continuous_buffer())
            };
        }
        match frame.first >> 4 {
            1 => read!(Connect),
            2 => read!(Connack),
            3 => $module::Publish::parse(frame.first & 15, frame.body.into())
                .ok()
                .map(|(packet, _)| packet.to_continuous_buffer()),
            4 => read!(Puback),
            5 => read!(Pubrec),
            6 => read!(Pubrel),
            7 => read!(Pubcomp),
            8 => read!(Subscribe),
            9 => read!(Suback),
            10 => read!(Unsubscribe),
            11 => read!(Unsuback),
            12 => read!(Pingreq),
            13 => read!(Pingresp),
            14 => read!(Disconnect),
            $($more)*
        }
    }};
}

fn mqtt_protocol_core(version: Version, frame: Frame<'_>) -> Option<Vec<u8>> {
    match version {
        Version::V311 => oracle!(v3_1_1, frame, _ => None),
        Version::V5 => oracle!(v5_0, frame, 15 => read!(Auth), _ => None),
    }
}

#[test]
fn mqtt_protocol_core_reads_and_writes_the_same() {
    for version in [Version::V311, Version::V5] {
        for seed in 0..SEEDS {
            random::packet(seed, version, |packet| {
                let bytes = encode(version, packet);
                let theirs = mqtt_protocol_core(version, frame(&bytes).unwrap().unwrap());
                assert_eq!(theirs.as_ref(), Some(&bytes), "seed {seed} {packet:?}");
            });
        }
    }
}

#[test]
fn what_both_read_of_damaged_packets_is_the_same() {
    let (mut both, mut seen) = (0, BTreeSet::new());
    for version in [Version::V311, Version::V5] {
        each_damage(version, |bytes| {
            both += usize::from(agree(version, bytes, &mut seen));
        });
    }
    assert!(
        both > 1000,
        "only {both} damaged packets were still readable"
    );
    let all: BTreeSet<&str> = STRICTER.iter().map(|(what, _)| *what).collect();
    assert_eq!(seen, all, "a difference is no more");
}

/// What mqtt-protocol-core reads and we refuse, and where MQTT 5 forbids it or advises against it.
/// There is nothing that only we read.
const STRICTER: [(&str, &str); 18] = [
    ("`#` does not stand alone in the last level", "4.7.1.2"),
    ("`+` does not stand alone in its level", "4.7.1.3"),
    ("a message with QoS 0 is marked as sent again", "3.3.1.1"),
    ("a number takes more bytes than it needs", "1.5.5"),
    (
        "a session is present although the connection was refused",
        "3.2.2.1.1",
    ),
    (
        "a shared subscription cannot be without local messages",
        "3.8.3.1",
    ),
    ("reserved bits are set", "3.8.3.1"),
    ("reserved flags are set", "3.2.2.1"),
    ("the reserved flag is set", "3.1.2.3"),
    ("the response topic is no topic", "3.3.2.3.5"),
    ("the shared subscription has no name or no filter", "4.8.2"),
    ("the text holds the character U+0000", "1.5.4"),
    (
        "the topic holds a control character or a non-character",
        "1.5.4",
    ),
    ("the topic holds a wildcard", "3.3.2.1"),
    ("the will's QoS is 3", "3.1.2.6"),
    ("there are flags of a will but no will", "3.1.2.6"),
    ("there is data for no authentication method", "3.1.2.11.10"),
    ("there is neither topic nor alias", "3.3.2.1"),
];

/// Whether both read it; then they must have read the same. Where one refuses what the other reads,
/// the difference has to be known.
fn agree(version: Version, bytes: &[u8], seen: &mut BTreeSet<&'static str>) -> bool {
    let Ok(Some(frame)) = frame(bytes) else {
        return false;
    };
    let ours = Packet::decode(version, frame);
    // Its parser of CONNECT takes the version from the caller.
    let version = match &ours {
        Ok(Packet::Connect(connect)) if connect.version != version => return false,
        _ => version,
    };
    let theirs = mqtt_protocol_core(version, frame);
    match (ours, theirs) {
        (Ok(ours), Some(theirs)) => {
            let read = decode(version, &theirs);
            assert_eq!(read.as_ref(), Ok(&ours), "{bytes:02x?}");
            true
        }
        (Err(ours), Some(_)) => {
            let is_known = STRICTER.iter().any(|(what, _)| *what == ours.what);
            assert!(is_known, "{bytes:02x?}: only we refuse it, {ours}");
            seen.insert(ours.what);
            false
        }
        (Ok(ours), None) => panic!("{bytes:02x?}: only we read it, {ours:?}"),
        (Err(_), None) => false,
    }
}

#[test]
fn rumqttc_reads_every_packet_and_writes_the_old_ones_alike() {
    for seed in 0..SEEDS {
        random::packet(seed, Version::V311, |packet| {
            if has_binary_data(packet) {
                return;
            }
            let bytes = encode(Version::V311, packet);
            let mut stream = bytes::BytesMut::from(&bytes[..]);
            let theirs = rumqtt4::v4::Packet::read(&mut stream, 1 << 20);
            let theirs = theirs.unwrap_or_else(|error| panic!("seed {seed} {packet:?}: {error}"));
            let mut written = bytes::BytesMut::new();
            theirs.write(&mut written, 1 << 20).unwrap();
            assert_eq!(written[..], bytes[..], "seed {seed} {packet:?}");
        });
    }
}

#[test]
fn rumqttc_reads_the_same_messages_of_version_5() {
    let (mut messages, mut with_properties) = (0, 0);
    for seed in 0..SEEDS {
        random::packet(seed, Version::V5, |packet| {
            let Packet::Publish(ours) = packet else {
                return;
            };
            let bytes = encode(Version::V5, packet);
            let mut stream = bytes::BytesMut::from(&bytes[..]);
            let theirs = match rumqtt5::v5::Packet::read(&mut stream, None) {
                Ok(rumqtt5::v5::Packet::Publish(theirs)) => theirs,
                other => panic!("seed {seed} {packet:?}: {other:?}"),
            };
            messages += 1;
            assert_eq!(theirs.topic[..], *ours.topic.as_bytes(), "seed {seed}");
            assert_eq!(theirs.payload[..], *ours.payload, "seed {seed}");
            assert_eq!(
                theirs.pkid,
                ours.id.map_or(0, PacketId::number),
                "seed {seed}"
            );
            assert_eq!(
                (theirs.dup, theirs.retain),
                (ours.dup, ours.retain),
                "seed {seed}"
            );
            let theirs = theirs.properties.unwrap_or_default();
            assert_eq!(theirs, of_rumqttc(ours.properties), "seed {seed}");
            with_properties += usize::from(!ours.properties.is_empty());
        });
    }
    assert!(messages > 100 && with_properties > 50);
}

/// Our properties of a message in the words of rumqttc.
fn of_rumqttc(ours: Properties<'_>) -> rumqtt5::v5::PublishProperties {
    let mut all = rumqtt5::v5::PublishProperties::default();
    for property in ours.iter() {
        match property {
            Property::PayloadFormatIndicator(is) => {
                all.payload_format_indicator = Some(u8::from(is));
            }
            Property::MessageExpiryInterval(seconds) => {
                all.message_expiry_interval = Some(seconds);
            }
            Property::ContentType(text) => all.content_type = Some(text.to_owned()),
            Property::ResponseTopic(topic) => all.response_topic = Some(topic.to_owned()),
            Property::CorrelationData(data) => all.correlation_data = Some(data.to_vec().into()),
            Property::SubscriptionIdentifier(id) => {
                all.subscription_identifiers.push(id as usize);
            }
            Property::TopicAlias(alias) => all.topic_alias = Some(alias),
            Property::UserProperty(name, value) => {
                let pair = (name.to_owned(), value.to_owned());
                all.user_properties.push(pair);
            }
            other => panic!("no property of a message: {other:?}"),
        }
    }
    all
}

/// rumqttc takes the will and the password for text, which they need not be.
fn has_binary_data(packet: &Packet<'_>) -> bool {
    let Packet::Connect(connect) = packet else {
        return false;
    };
    let binary = |bytes| std::str::from_utf8(bytes).is_err();
    connect.password.is_some_and(binary) || connect.will.is_some_and(|will| binary(will.payload))
}

/// What rumqttc reads and we refuse, and where MQTT 5 forbids it or advises against it.
const STRICTER_THAN_RUMQTTC: [(&str, &str); 26] = [
    ("`#` does not stand alone in the last level", "4.7.1.2"),
    ("`+` does not stand alone in its level", "4.7.1.3"),
    ("a message with QoS 0 is marked as sent again", "3.3.1.1"),
    ("a number takes more bytes than it needs", "1.5.5"),
    ("a property that is 0 or 1 is neither", "3.1.2.11.6"),
    (
        "a session is present although the connection was refused",
        "3.2.2.1.1",
    ),
    (
        "a shared subscription cannot be without local messages",
        "3.8.3.1",
    ),
    ("bytes follow the end of the packet", "2.1.4"),
    ("reserved bits are set", "3.8.3.1"),
    ("reserved flags are set", "3.2.2.1"),
    ("the maximum QoS is not 0 or 1", "3.2.2.3.4"),
    ("the packet ends within a number of four bytes", "2.1.4"),
    ("the packet ends within a number of two bytes", "2.1.4"),
    (
        "the packet ends within a number of variable length",
        "2.1.4",
    ),
    ("the packet ends within text or data", "2.1.4"),
    ("the property is there twice", "2.2.2.2"),
    ("the reserved flag is set", "3.1.2.3"),
    ("the response topic is no topic", "3.3.2.3.5"),
    ("the shared subscription has no name or no filter", "4.8.2"),
    ("the subscription identifier is zero", "3.8.2.1.2"),
    ("the text holds the character U+0000", "1.5.4"),
    ("the text is not UTF-8", "1.5.4"),
    (
        "the topic holds a control character or a non-character",
        "1.5.4",
    ),
    ("the topic holds a wildcard", "3.3.2.1"),
    ("there is data for no authentication method", "3.1.2.11.10"),
    ("there is neither topic nor alias", "3.3.2.1"),
];

/// What rumqttc refuses and we read: the kind of packet with its word for it, and where MQTT 5 has it.
const LAXER_THAN_RUMQTTC: [(&str, &str); 3] = [
    // It may end before its reason, and before the length of its properties.
    ("Disconnect InsufficientBytes", "3.14.2.1"),
    ("Disconnect PayloadRequired", "3.14.2.1"),
    // It does not know this kind.
    ("Auth InvalidPacketType", "3.15"),
];

/// Whether rumqttc reads this one packet, or its word for why not.
fn rumqttc(version: Version, bytes: &[u8]) -> Result<(), String> {
    let mut stream = bytes::BytesMut::from(bytes);
    let word = |error: String| error.split([' ', '(', '{']).next().unwrap_or("").to_owned();
    match version {
        Version::V311 => rumqtt4::v4::Packet::read(&mut stream, 1 << 20)
            .map(drop)
            .map_err(|error| word(format!("{error:?}"))),
        Version::V5 => rumqtt5::v5::Packet::read(&mut stream, None)
            .map(drop)
            .map_err(|error| word(format!("{error:?}"))),
    }
}

/// Each single bit of valid packets turned over, as far as that leaves a frame.
fn each_damage(version: Version, mut with: impl FnMut(&[u8])) {
    for seed in 0..SEEDS / 60 {
        random::packet(seed, version, |packet| {
            let mut bytes = encode(version, packet);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                if matches!(frame(&bytes), Ok(Some(_))) {
                    with(&bytes);
                }
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        });
    }
}

#[test]
fn where_rumqttc_decides_otherwise_about_damaged_packets_is_known() {
    let mut seen = BTreeSet::new();
    for version in [Version::V311, Version::V5] {
        each_damage(version, |bytes| {
            let ours = Packet::decode(version, frame(bytes).unwrap().unwrap());
            let (known, difference) = match (&ours, rumqttc(version, bytes)) {
                (Err(ours), Ok(())) => (&STRICTER_THAN_RUMQTTC[..], ours.what.to_owned()),
                (Ok(ours), Err(theirs)) => {
                    let kind = format!("{ours:?}");
                    let kind = kind.split(['(', ' ']).next().unwrap_or_default();
                    (&LAXER_THAN_RUMQTTC[..], format!("{kind} {theirs}"))
                }
                _ => return,
            };
            let is_known = known.iter().any(|(what, _)| *what == difference);
            assert!(is_known, "{bytes:02x?}: {difference}");
            seen.insert(difference);
        });
    }
    let all = STRICTER_THAN_RUMQTTC.iter().chain(&LAXER_THAN_RUMQTTC);
    let all: BTreeSet<String> = all.map(|(what, _)| (*what).to_owned()).collect();
    assert_eq!(seen, all, "a difference is no more");
}
