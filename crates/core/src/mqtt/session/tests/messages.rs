//! Messages both ways.

use super::*;
use crate::limits::MQTT_RECEIVE_MORE_MESSAGES;
use crate::mqtt::outbox::{DropCause, Mode, Stage, StoredEntry};
use crate::mqtt::topic::TopicError;

#[test]
fn a_message_with_qos_0_is_done_when_the_socket_has_all_of_it() {
    let mut it = connected(config(), &[]);
    publish(&mut it, QoS::AtMostOnce, 1);
    let bytes = it.pending().len();
    it.handle_written(bytes - 1, at(1));
    assert_eq!(told(&mut it), [""; 0]);
    it.handle_written(1, at(1));
    assert_eq!(told(&mut it), ["Sent(1)", "Done(1, Done(Success))"]);
    assert!(it.outbox().is_empty());
}

#[test]
fn a_message_with_qos_0_that_had_not_left_entirely_leaves_again() {
    let mut it = connected(config(), &[]);
    publish(&mut it, QoS::AtMostOnce, 1);
    let bytes = it.pending().len();
    it.handle_written(bytes - 1, at(1));
    it.handle_disconnected(at(2));
    connect(&mut it, true, &[], at(3));
    assert_eq!(words(&mut it), ["publish -"]);
    assert_eq!(told(&mut it), ["Sent(1)", "Done(1, Done(Success))"]);
}

#[test]
fn puback_completes_its_message_in_any_order_and_strays_are_ignored() {
    let mut it = connected(config(), &[]);
    for tag in 1..=3 {
        publish(&mut it, ONE, tag);
    }
    assert_eq!(words(&mut it), ["publish 1", "publish 2", "publish 3"]);
    told(&mut it);
    for number in [3, 9, 1, 3, 2] {
        receive(&mut it, &Packet::Puback(Ack::new(id(number))), at(1));
    }
    let done = [
        "Done(3, Done(Success))",
        "Done(1, Done(Success))",
        "Done(2, Done(Success))",
    ];
    assert_eq!(told(&mut it), done);
}

#[test]
fn qos_2_takes_its_four_steps() {
    let mut it = connected(config(), &[]);
    publish(&mut it, TWO, 1);
    assert_eq!(words(&mut it), ["publish 1"]);
    receive(&mut it, &Packet::Pubrec(Ack::new(id(1))), at(1));
    told(&mut it);
    assert_eq!(words(&mut it), ["pubrel 1"]);
    receive(&mut it, &Packet::Pubcomp(Ack::new(id(1))), at(1));
    assert_eq!(told(&mut it), ["Done(1, Done(Success))"]);
}

#[test]
fn a_pubrec_with_an_error_ends_the_exchange() {
    let mut it = connected(config(), &[]);
    publish(&mut it, TWO, 1);
    words(&mut it);
    receive(
        &mut it,
        &Packet::Pubrec(Ack::because(id(1), Reason::NotAuthorized)),
        at(1),
    );
    assert_eq!(
        told(&mut it),
        ["Sent(1)", "Done(1, Rejected(NotAuthorized))"]
    );
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn the_window_of_the_broker_holds_also_for_what_is_sent_again() {
    let mut it = connected(config(), &[]);
    for tag in 1..=5 {
        publish(&mut it, ONE, tag);
    }
    assert_eq!(words(&mut it).len(), 5);
    it.handle_disconnected(at(2));
    connect(&mut it, true, &[Property::ReceiveMaximum(2)], at(3));
    publish(&mut it, ONE, 6);
    assert_eq!(words(&mut it), ["publish 1 dup", "publish 2 dup"]);
    receive(&mut it, &Packet::Puback(Ack::new(id(1))), at(3));
    told(&mut it);
    assert_eq!(words(&mut it), ["publish 3 dup"]);
    for number in [2, 3, 4, 5] {
        receive(&mut it, &Packet::Puback(Ack::new(id(number))), at(3));
        told(&mut it);
    }
    assert_eq!(
        words(&mut it),
        ["publish 4 dup", "publish 5 dup", "publish 6"]
    );
}

#[test]
fn what_was_released_is_released_again_in_its_place() {
    let mut it = connected(config(), &[]);
    for tag in 1..=3 {
        publish(&mut it, TWO, tag);
    }
    words(&mut it);
    receive(&mut it, &Packet::Pubrec(Ack::new(id(2))), at(1));
    told(&mut it);
    it.handle_disconnected(at(2));
    connect(&mut it, true, &[], at(3));
    assert_eq!(
        words(&mut it),
        ["publish 1 dup", "pubrel 2", "publish 3 dup"]
    );
}

#[test]
fn a_broker_that_lost_the_session_gets_everything_as_new_and_in_order() {
    let mut it = connected(config(), &[]);
    for tag in 1..=3 {
        publish(&mut it, TWO, tag);
    }
    words(&mut it);
    receive(&mut it, &Packet::Pubrec(Ack::new(id(2))), at(1));
    told(&mut it);
    it.handle_disconnected(at(2));
    publish(&mut it, ONE, 4);
    connect(&mut it, false, &[], at(3));
    assert_eq!(
        words(&mut it),
        ["publish 4", "publish 5", "publish 6", "publish 7"]
    );
}

#[test]
fn an_unknown_pubrec_is_released_so_that_the_broker_can_forget_it() {
    let mut it = connected(config(), &[]);
    receive(&mut it, &Packet::Pubrec(Ack::new(id(77))), at(1));
    told(&mut it);
    assert!(sent(&mut it)[0].contains("PacketIdentifierNotFound"));
}

#[test]
fn expiry_counts_while_a_message_waits_and_what_is_left_is_sent() {
    let expiring = |seconds, tag| Publication {
        expiry: Some(Duration::from_secs(seconds)),
        tag: Some(tag),
        ..Publication::new("t", b"", ONE)
    };
    let mut it = session(config());
    it.publish(&expiring(10, 1), at(0)).unwrap();
    it.publish(&expiring(100, 2), at(0)).unwrap();
    assert_eq!(it.poll_timeout(), Some((at(2), Wake::Spill)));
    it.handle_timeout(at(10));
    let drops: Vec<String> = told(&mut it)
        .into_iter()
        .filter(|it| it.starts_with("Done"))
        .collect();
    assert_eq!(drops, ["Done(1, Dropped(Expired))"]);
    connect(&mut it, false, &[], at(40));
    assert!(sent(&mut it)[0].contains("MessageExpiryInterval(60)"));
    assert_eq!(it.outbox().counts().expired, 1);
}

fn useful_for(seconds: u64, qos: QoS, mode: Mode) -> Publication<'static> {
    Publication {
        expiry: Some(Duration::from_secs(seconds)),
        tag: Some(1),
        mode,
        ..Publication::new("t", b"open", qos)
    }
}

/// A session that has sent a message which is of use for three seconds, and lost the connection.
fn cut_off(qos: QoS, mode: Mode) -> Session {
    let mut it = connected(config(), &[]);
    it.publish(&useful_for(3, qos, mode), at(1)).unwrap();
    // Whatever has to be on flash first is there at once.
    while told(&mut it).iter().any(|told| told.starts_with("Persist")) {
        it.handle_persisted(Ticket(u64::MAX), at(1));
    }
    assert_eq!(words(&mut it), ["publish 1"]);
    it.handle_disconnected(at(2));
    it
}

#[test]
fn a_message_whose_time_is_over_is_not_begun_again_where_the_broker_lost_the_session() {
    for (qos, mode) in [
        (ONE, Mode::Spill),
        (TWO, Mode::Spill),
        (ONE, Mode::Durable),
        (TWO, Mode::Durable),
    ] {
        for (back, late) in [(3, false), (4, true), (11, true)] {
            let mut it = cut_off(qos, mode);
            connect(&mut it, false, &[], at(back));
            let told = told(&mut it);
            let is_told = told.contains(&"Done(1, Dropped(Expired))".to_owned());
            assert_eq!(is_told, late, "{qos:?} {mode:?} after {back} s: {told:?}");
            assert_eq!(it.outbox().counts().expired, u64::from(late));
            assert_eq!(it.outbox().is_empty(), late);
            assert_eq!(words(&mut it).is_empty(), late, "{qos:?} {mode:?}");
            if late && mode == Mode::Durable {
                assert!(told.iter().any(|it| it.contains("Remove(1)")), "{told:?}");
            }
        }
    }
}

#[test]
fn a_message_whose_time_is_over_goes_on_where_the_broker_kept_the_session() {
    for qos in [ONE, TWO] {
        let mut it = cut_off(qos, Mode::Spill);
        connect(&mut it, true, &[], at(11));
        let again = sent(&mut it);
        assert_eq!(again.len(), 1);
        for part in ["dup: true", "MessageExpiryInterval(1)"] {
            assert!(again[0].contains(part), "{again:?}");
        }
        assert_eq!(it.outbox().counts().expired, 0);
    }
}

#[test]
fn a_message_from_flash_whose_time_is_over_goes_on_only_in_the_same_session_of_the_broker() {
    let stored = |stage, packet_id| StoredEntry {
        sequence: 7,
        publication: useful_for(0, ONE, Mode::Spill),
        stage,
        packet_id,
        age: Duration::from_secs(9),
    };
    let waits = (Stage::Queued, None);
    let was_sent = (Stage::Sent, Some(id(5)));
    for (ending, (stage, packet_id), session_present, expected) in [
        (Ending::Orderly, was_sent, true, "publish 5 dup"),
        (Ending::Orderly, was_sent, false, ""),
        // After any other end it begins anew, so it is a new message.
        (Ending::Badly, was_sent, true, ""),
        (Ending::Orderly, waits, true, ""),
    ] {
        let outbox = Outbox::new(Budget::default());
        let mut it = Session::new(config(), outbox, ending);
        it.restore(&stored(stage, packet_id), at(0));
        connect(&mut it, session_present, &[], at(1));
        it.handle_timeout(at(1));
        assert_eq!(words(&mut it).concat(), expected, "{ending:?} {stage:?}");
        let dropped = u64::from(expected.is_empty());
        assert_eq!(it.outbox().counts().expired, dropped);
    }
}

#[test]
fn topics_shrink_to_aliases_and_start_anew_with_each_connection() {
    let mut it = connected(
        Config {
            topic_aliases: true,
            ..config()
        },
        &[Property::TopicAliasMaximum(4)],
    );
    publish(&mut it, ONE, 1);
    publish(&mut it, ONE, 2);
    let sent_now = sent(&mut it);
    assert!(sent_now[0].contains("topic: \"t\"") && sent_now[0].contains("TopicAlias("));
    assert!(sent_now[1].contains("topic: \"\"") && sent_now[1].contains("TopicAlias("));
    it.handle_disconnected(at(2));
    connect(&mut it, true, &[Property::TopicAliasMaximum(4)], at(3));
    assert!(sent(&mut it)[0].contains("topic: \"t\""));
}

#[test]
fn aliases_of_the_broker_are_resolved() {
    let mut it = connected(
        Config {
            topic_aliases: true,
            ..config()
        },
        &[],
    );
    let mut set = PropertiesBuf::new();
    set.push(Property::TopicAlias(3)).unwrap();
    for topic in ["long/topic", ""] {
        let publish = Publish {
            properties: set.as_properties(),
            payload: b"x",
            ..Publish::new(topic, QoS::AtMostOnce)
        };
        receive(&mut it, &Packet::Publish(publish), at(2));
    }
    for _ in 0..2 {
        match it.poll_output() {
            Some(Output::Message(message)) => {
                assert_eq!((message.topic, message.payload), ("long/topic", &b"x"[..]));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn several_messages_in_one_read_are_told_one_by_one() {
    let mut it = connected(config(), &[]);
    let mut bytes = Vec::new();
    for number in 0..100_u8 {
        let publish = Publish {
            payload: &[number],
            ..Publish::new("t", QoS::AtMostOnce)
        };
        Packet::Publish(publish)
            .encode(Version::V5, &mut bytes)
            .unwrap();
    }
    it.handle_bytes(&bytes, at(2));
    for number in 0..100_u8 {
        match it.poll_output() {
            Some(Output::Message(message)) => assert_eq!(message.payload, [number]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(it.poll_output(), None);
}

/// The token of the next message, if one is told.
fn token(it: &mut Session) -> Option<AckToken> {
    match it.poll_output() {
        Some(Output::Message(message)) => message.token,
        _ => None,
    }
}

fn message(number: u16, qos: QoS, dup: bool) -> Packet<'static> {
    Packet::Publish(Publish {
        dup,
        id: Some(id(number)),
        ..Publish::new("t", qos)
    })
}

#[test]
fn acknowledgements_leave_in_the_order_of_the_messages() {
    let mut it = connected(config(), &[]);
    for number in 1..=3 {
        receive(&mut it, &message(number, ONE, false), at(2));
    }
    let tokens: Vec<_> = (0..3).map(|_| token(&mut it).unwrap()).collect();
    it.acknowledge(tokens[2], Kept::InMemory, at(2));
    it.acknowledge(tokens[1], Kept::InMemory, at(2));
    assert_eq!(words(&mut it), [""; 0]);
    it.acknowledge(tokens[0], Kept::InMemory, at(2));
    assert_eq!(words(&mut it), ["puback 1", "puback 2", "puback 3"]);
}

#[test]
fn a_broker_that_sends_more_than_it_may_waits_at_the_bound_and_keeps_the_connection() {
    let receive_max = 2;
    let bound = 2 * receive_max + MQTT_RECEIVE_MORE_MESSAGES as u16;
    let mut it = connected(
        Config {
            receive_max,
            ..config()
        },
        &[],
    );
    let mut tokens = Vec::new();
    for number in 1..=bound + 1 {
        receive(&mut it, &message(number, ONE, false), at(1));
    }
    while let Some(token) = token(&mut it) {
        tokens.push(token);
    }
    assert_eq!(tokens.len(), usize::from(bound));
    assert!(!it.wants_read());
    // It is not the broker that is late.
    it.handle_timeout(at(300));
    assert_eq!(told(&mut it), [""; 0]);
    it.acknowledge(tokens[0], Kept::InMemory, at(301));
    assert!(it.wants_read());
    assert_eq!(token(&mut it).map(AckToken::packet_id), Some(id(bound + 1)));
    assert_eq!(words(&mut it), ["pingreq -", "puback 1"]);
}

#[test]
fn a_message_with_qos_2_is_told_once_whatever_the_broker_repeats() {
    let mut it = connected(config(), &[]);
    receive(&mut it, &message(5, TWO, false), at(2));
    let first = token(&mut it).unwrap();
    it.handle_disconnected(at(3));
    // It was told, but not acknowledged: it is not told again, and acknowledged once it can be.
    connect(&mut it, true, &[], at(4));
    receive(&mut it, &message(5, TWO, true), at(4));
    assert_eq!(token(&mut it), None);
    assert_eq!(words(&mut it), [""; 0]);
    it.acknowledge(first, Kept::InMemory, at(5));
    assert_eq!(words(&mut it), ["pubrec 5"]);
    receive(&mut it, &message(5, TWO, true), at(5));
    assert_eq!(token(&mut it), None);
    assert_eq!(words(&mut it), ["pubrec 5"]);
    receive(&mut it, &Packet::Pubrel(Ack::new(id(5))), at(5));
    told(&mut it);
    assert_eq!(words(&mut it), ["pubcomp 5"]);
    receive(&mut it, &message(5, TWO, false), at(6));
    assert!(token(&mut it).is_some());
}

#[test]
fn a_new_session_of_the_broker_reuses_ids_for_new_messages() {
    let mut it = connected(config(), &[]);
    receive(&mut it, &message(5, TWO, false), at(2));
    let old = token(&mut it).unwrap();
    it.handle_disconnected(at(3));
    connect(&mut it, false, &[], at(4));
    receive(&mut it, &message(5, TWO, true), at(4));
    assert!(token(&mut it).is_some());
    // The old acknowledgement is not taken for the new message's.
    it.acknowledge(old, Kept::InMemory, at(5));
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn a_message_that_is_not_marked_as_repeated_is_a_new_one() {
    let mut it = connected(config(), &[]);
    receive(&mut it, &message(5, TWO, false), at(2));
    let first = token(&mut it).unwrap();
    it.acknowledge(first, Kept::InMemory, at(2));
    it.handle_disconnected(at(3));
    connect(&mut it, true, &[], at(4));
    receive(&mut it, &message(5, TWO, false), at(4));
    assert!(token(&mut it).is_some());
}

#[test]
fn packets_for_which_the_socket_has_no_room_stop_the_sending_but_not_the_taking() {
    let mut it = connected(config(), &[]);
    let payload = [0; 10_000];
    for _ in 0..100 {
        it.publish(&Publication::new("t", &payload, QoS::AtMostOnce), at(1))
            .unwrap();
    }
    assert!(it.pending().len() < crate::limits::MQTT_WRITE_BYTES + 11_000);
    assert_eq!(it.outbox().len(), 100);
    while !it.pending().is_empty() {
        it.handle_written(5000, at(2));
    }
    assert!(it.outbox().is_empty());
}

#[test]
fn an_empty_topic_is_refused_also_as_the_first_one() {
    let mut it = session(config());
    let durable = Publication {
        mode: Mode::Durable,
        ..Publication::new("", b"x", ONE)
    };
    let refused = Err(PublishError::Topic(TopicError::Empty));
    assert_eq!(it.publish(&durable, at(1)), refused);
    assert!(it.outbox().is_empty());
    assert_eq!(told(&mut it), [""; 0]);
}

#[test]
fn properties_that_would_end_every_connection_are_refused() {
    let mut it = session(config());
    for (bad, why) in [
        (&[Property::UserProperty("a", "b\0")][..], "U+0000"),
        (&[Property::UserProperty("a\n", "b")], "control"),
        (&[Property::ContentType("\u{FFFF}")], "control"),
        (&[Property::ResponseTopic("a/#")], "response"),
        (&[Property::ResponseTopic("")], "response"),
        (
            &[Property::ContentType("a"), Property::ContentType("b")],
            "twice",
        ),
        (&[Property::ReasonString("a")], "does not belong"),
    ] {
        let mut set = PropertiesBuf::new();
        for property in bad {
            set.push(*property).unwrap();
        }
        let publication = Publication {
            properties: set.as_properties(),
            ..Publication::new("t", b"", ONE)
        };
        let Err(PublishError::Property(what)) = it.publish(&publication, at(1)) else {
            panic!("{bad:?} was taken");
        };
        assert!(what.contains(why), "{bad:?}: {what}");
    }
    assert!(it.outbox().is_empty());
}

#[test]
fn properties_that_the_session_writes_are_not_the_callers() {
    let mut it = connected(config(), &[]);
    let mut set = PropertiesBuf::new();
    set.push(Property::TopicAlias(1)).unwrap();
    let publication = Publication {
        properties: set.as_properties(),
        ..Publication::new("t", b"", ONE)
    };
    assert_eq!(
        it.publish(&publication, at(1)),
        Err(PublishError::Properties)
    );
    let publication = Publication::new("t/#", b"", ONE);
    assert!(matches!(
        it.publish(&publication, at(1)),
        Err(PublishError::Topic(_))
    ));
}

#[test]
fn a_message_too_large_for_a_later_connection_is_dropped_and_the_others_follow() {
    let mut it = connected(config(), &[]);
    let large = Publication {
        tag: Some(1),
        ..Publication::new("t", &[0; 500], ONE)
    };
    it.publish(&large, at(1)).unwrap();
    publish(&mut it, ONE, 2);
    words(&mut it);
    told(&mut it);
    it.handle_disconnected(at(1));
    connect(&mut it, true, &[Property::MaximumPacketSize(100)], at(2));
    assert_eq!(
        told(&mut it),
        [format!("Done(1, Dropped({:?}))", DropCause::TooLarge)]
    );
    assert_eq!(words(&mut it), ["publish 2 dup"]);
}

/// What the session sends for a message under packet id 1.
fn packet_of(version: Version, publication: &Publication<'_>) -> Vec<u8> {
    let mut it = connected(Config::new(version, "me"), &[]);
    it.publish(publication, at(1)).unwrap();
    it.pending().to_vec()
}

#[test]
fn messages_of_any_length_leave_as_the_codec_writes_them() {
    let mut set = PropertiesBuf::new();
    set.push(Property::ContentType("text")).unwrap();
    for version in [Version::V311, Version::V5] {
        for qos in [QoS::AtMostOnce, ONE, TWO] {
            for retain in [false, true] {
                // Where the length of the packet takes one, two and three bytes.
                let short = [0, 1, 119, 120, 121, 122, 123, 124, 125];
                let long = [16_375, 16_376, 16_377, 16_378, 16_379, 16_380, 20_000];
                for payload_bytes in short.into_iter().chain(long) {
                    let payload = vec![b'x'; payload_bytes];
                    for properties in [Properties::EMPTY, set.as_properties()] {
                        let publication = Publication {
                            retain,
                            properties,
                            ..Publication::new("t/u", &payload, qos)
                        };
                        let expected = Packet::Publish(Publish {
                            retain,
                            payload: &payload,
                            id: (qos != QoS::AtMostOnce).then(|| id(1)),
                            // 3.1.1 has no place for them.
                            properties: match version {
                                Version::V311 => Properties::EMPTY,
                                Version::V5 => properties,
                            },
                            ..Publish::new("t/u", qos)
                        });
                        let mut bytes = Vec::new();
                        expected.encode(version, &mut bytes).unwrap();
                        assert_eq!(packet_of(version, &publication), bytes, "{publication:?}");
                    }
                }
            }
        }
    }
}

/// What is told of a frame behind a message to `before`.
fn told_behind(version: Version, before: &str, first: u8, body: &[u8]) -> Vec<String> {
    let mut it = connected(Config::new(version, "me"), &[]);
    let message = Packet::Publish(Publish::new(before, QoS::AtMostOnce));
    receive(&mut it, &message, at(1));
    assert_eq!(told(&mut it).len(), 1);
    it.handle_bytes(&[first, body.len() as u8], at(1));
    it.handle_bytes(body, at(1));
    told(&mut it)
}

#[test]
fn a_message_to_the_topic_of_the_last_one_is_checked_like_any_other() {
    let behind: &[&[u8]] = &[
        b"",
        b"\0",
        b"\0\0",
        b"\0\x01",
        b"\0\x01\0",
        b"\0\x01\0payload",
        b"\0\x01payload",
        b"\0\x01\x02\x01\x01payload",
        b"\0\x01\x09payload",
        b"payload",
        b"\0payload",
        b"\x01\x02\x01\x01payload",
    ];
    for version in [Version::V311, Version::V5] {
        for first in 0x30..=0x3F {
            for behind in behind {
                for topic in [&b"\0\x03t/u"[..], b"\0\x02t/u", b"\0\x04t/u", b"\0\0"] {
                    let body = [topic, behind].concat();
                    let after_same = told_behind(version, "t/u", first, &body);
                    let after_other = told_behind(version, "other", first, &body);
                    assert_eq!(after_same, after_other, "{version} {first:02x} {body:?}");
                }
            }
        }
    }
}
