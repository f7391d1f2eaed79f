//! The same bytes, read by mqtt-protocol-core and by rumqttc.

use super::*;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use rumqttc::mqttbytes as rumqtt4;
use rumqttc::v5::mqttbytes as rumqtt5;

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
    let mut both = 0;
    for version in [Version::V311, Version::V5] {
        for seed in 0..SEEDS / 60 {
            random::packet(seed, version, |packet| {
                let mut bytes = encode(version, packet);
                for bit in 0..bytes.len() * 8 {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    both += usize::from(agree(version, &bytes, seed));
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            });
        }
    }
    assert!(
        both > 1000,
        "only {both} damaged packets were still readable"
    );
}

/// What mqtt-protocol-core reads and we refuse: all of it is against the standard, by a rule or by
/// its advice. There is nothing that only we read.
const STRICTER: [&str; 18] = [
    "`#` does not stand alone in the last level",
    "`+` does not stand alone in its level",
    "a message with QoS 0 is marked as sent again",
    "a number takes more bytes than it needs",
    "a session is present although the connection was refused",
    "a shared subscription cannot be without local messages",
    "reserved bits are set",
    "reserved flags are set",
    "the reserved flag is set",
    "the response topic is no topic",
    "the shared subscription has no name or no filter",
    "the text holds the character U+0000",
    "the topic holds a control character or a non-character",
    "the topic holds a wildcard",
    "the will's QoS is 3",
    "there are flags of a will but no will",
    "there is data for no authentication method",
    "there is neither topic nor alias",
];

/// Whether both read it; then they must have read the same. Where one refuses what the other reads,
/// the difference has to be known.
fn agree(version: Version, bytes: &[u8], seed: u64) -> bool {
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
            assert_eq!(read.as_ref(), Ok(&ours), "seed {seed} {bytes:02x?}");
            true
        }
        (Err(ours), Some(_)) => {
            let is_known = STRICTER.contains(&ours.what);
            assert!(
                is_known,
                "seed {seed} {bytes:02x?}: only we refuse it, {ours}"
            );
            false
        }
        (Ok(ours), None) => panic!("seed {seed} {bytes:02x?}: only we read it, {ours:?}"),
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
