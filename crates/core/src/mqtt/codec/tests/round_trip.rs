//! What is written is read; what is damaged is refused or read as something else, never a panic.

use super::*;

const SEEDS: u64 = 4000;
const BOTH: [Version; 2] = [Version::V311, Version::V5];

#[test]
fn every_packet_comes_back_as_it_was() {
    for version in BOTH {
        for seed in 0..SEEDS {
            random::packet(seed, version, |packet| {
                let bytes = encode(version, packet);
                assert_eq!(decode(version, &bytes).as_ref(), Ok(packet), "seed {seed}");
            });
        }
    }
}

#[test]
fn a_packet_cut_short_is_not_there_yet() {
    for version in BOTH {
        for seed in 0..SEEDS / 40 {
            random::packet(seed, version, |packet| {
                let bytes = encode(version, packet);
                for length in 0..bytes.len() {
                    assert_eq!(frame(&bytes[..length]), Ok(None), "seed {seed} {length}");
                }
            });
        }
    }
}

#[test]
fn a_body_cut_short_is_an_error_or_another_valid_packet() {
    for version in BOTH {
        for seed in 0..SEEDS / 20 {
            random::packet(seed, version, |packet| {
                let bytes = encode(version, packet);
                let whole = frame(&bytes).unwrap().unwrap();
                for length in 0..whole.body.len() {
                    let cut = Frame {
                        body: &whole.body[..length],
                        ..whole
                    };
                    if let Ok(read) = Packet::decode(version, cut) {
                        assert_ne!(&read, packet, "seed {seed} {length}");
                        check_stable(version, &read, seed);
                    }
                }
            });
        }
    }
}

#[test]
fn no_flipped_bit_panics_and_what_is_still_read_is_written_alike() {
    for version in BOTH {
        for seed in 0..SEEDS / 40 {
            random::packet(seed, version, |packet| {
                let mut bytes = encode(version, packet);
                for bit in 0..bytes.len() * 8 {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    if let Ok(Some(frame)) = frame(&bytes)
                        && let Ok(read) = Packet::decode(version, frame)
                    {
                        check_stable(version, &read, seed);
                    }
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            });
        }
    }
}

/// A packet that was read is written and read again as itself.
fn check_stable(version: Version, packet: &Packet<'_>, seed: u64) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let bytes = encode(version, packet);
    assert_eq!(decode(version, &bytes).as_ref(), Ok(packet), "seed {seed}");
}

#[test]
fn the_largest_length_is_written_and_one_more_is_refused() {
    let most = crate::limits::MQTT_REMAINING_BYTES_MAX;
    let payload = vec![0; most - 3 + 1];
    let message = |payload| {
        Packet::Publish(Publish {
            payload,
            ..Publish::new("a", QoS::AtMostOnce)
        })
    };
    let mut out = Vec::new();
    let error = message(&payload)
        .encode(Version::V311, &mut out)
        .unwrap_err();
    assert_eq!((error.bytes, error.bytes_max), (most + 1, most));
    assert_eq!(out, b"");
    message(&payload[1..])
        .encode(Version::V311, &mut out)
        .unwrap();
    assert_eq!(out[..5], [0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
}

#[test]
fn a_string_has_at_most_65535_bytes() {
    let longest = "a".repeat(crate::limits::MQTT_STRING_BYTES_MAX);
    let connect = |client_id| Packet::Connect(Connect::new(Version::V5, client_id));
    let bytes = encode(Version::V5, &connect(&longest));
    assert_eq!(decode(Version::V5, &bytes), Ok(connect(&longest)));
    let longer = format!("{longest}a");
    let mut out = vec![1];
    let error = connect(&longer).encode(Version::V5, &mut out).unwrap_err();
    assert_eq!(error.what, "the client id");
    assert_eq!(out, [1]);
}

#[test]
fn properties_have_a_bound_on_bytes_and_on_their_number() {
    let text = "a".repeat(65_000);
    let mut set = PropertiesBuf::new();
    set.push(Property::UserProperty("", &text)).unwrap();
    let before = set.clone();
    set.push(Property::UserProperty("", &text)).unwrap_err();
    assert_eq!(set, before);

    let users = |count| {
        let mut set = PropertiesBuf::new();
        for _ in 0..count {
            set.push(Property::UserProperty("k", "v")).unwrap();
        }
        let bytes = encode(
            Version::V5,
            &Packet::Puback(Ack {
                id: PacketId::FIRST,
                reason: Reason::Success,
                properties: set.as_properties(),
            }),
        );
        decode(Version::V5, &bytes)
            .map(|_| ())
            .map_err(|error| error.reason)
    };
    let most = crate::limits::MQTT_USER_PROPERTIES_MAX;
    assert_eq!(users(most), Ok(()));
    assert_eq!(users(most + 1), Err(Reason::QuotaExceeded));
}

#[test]
fn filters_of_one_packet_have_a_bound() {
    let subscribe = |count| {
        let filters = vec![
            FilterRequest {
                filter: "a",
                options: SubscribeOptions::default(),
            };
            count
        ];
        let bytes = encode(
            Version::V5,
            &Packet::Subscribe(Subscribe {
                id: PacketId::FIRST,
                properties: Properties::EMPTY,
                filters,
            }),
        );
        decode(Version::V5, &bytes)
            .map(|_| ())
            .map_err(|error| error.reason)
    };
    let most = crate::limits::MQTT_FILTERS_MAX;
    assert_eq!(subscribe(most), Ok(()));
    assert_eq!(subscribe(most + 1), Err(Reason::QuotaExceeded));
}

#[test]
fn properties_are_found_by_kind_and_user_properties_by_name() {
    let mut set = PropertiesBuf::new();
    set.push(Property::UserProperty("a", "1")).unwrap();
    set.push(Property::ReasonString("because")).unwrap();
    set.push(Property::UserProperty("b", "2")).unwrap();
    let properties = set.as_properties();
    assert_eq!(properties.user("b"), Some("2"));
    assert_eq!(properties.user("c"), None);
    assert_eq!(properties.reason_string(), Some("because"));
    assert_eq!(Properties::EMPTY.reason_string(), None);
}
