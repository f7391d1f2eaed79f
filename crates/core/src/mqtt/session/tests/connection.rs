//! CONNECT to the end.

use super::*;
use crate::limits::MQTT_STRING_BYTES_MAX;
use crate::mqtt::outbox::DropCause;
use crate::mqtt::policy::Profile;
use crate::secret::Secret;

#[test]
fn connect_says_what_was_configured() {
    let mut it = session(Config {
        keep_alive: Duration::from_secs(30),
        user_name: Some("u".into()),
        password: Some("p".into()),
        will: Some(WillMessage {
            topic: "gone".into(),
            payload: b"x".to_vec(),
            qos: ONE,
            retain: true,
            properties: PropertiesBuf::new(),
        }),
        ..config()
    });
    it.handle_connected(at(0));
    let sent = sent(&mut it);
    for part in [
        "client_id: \"me\", clean_start: false, keep_alive_s: 30",
        "will: Some(Will { topic: \"gone\"",
        "user_name: Some(\"u\")",
        "SessionExpiryInterval(4294967295), ReceiveMaximum(1000), MaximumPacketSize(262144)",
    ] {
        assert!(sent[0].contains(part), "{sent:?}");
    }
}

#[test]
fn what_no_connection_could_say_is_refused_before_the_first() {
    assert_eq!(config().check(), Ok(()));
    let will = |topic: &str, bytes| WillMessage {
        topic: topic.into(),
        payload: vec![0; bytes],
        qos: ONE,
        retain: false,
        properties: PropertiesBuf::new(),
    };
    let mut bad = PropertiesBuf::new();
    bad.push(Property::UserProperty("a", "\0")).unwrap();
    let long = "a".repeat(MQTT_STRING_BYTES_MAX + 1);
    let of = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        config.check().map_err(|error| error.to_string())
    };
    assert_eq!(of(&|it| it.user_name = Some(long[1..].into())), Ok(()));
    assert_eq!(
        of(&|it| it.will = Some(will("t", MQTT_STRING_BYTES_MAX))),
        Ok(())
    );
    for (found, expected) in [
        (
            of(&|it| it.client_id = "a\n".into()),
            "the client id must not hold the character U+000A: brokers close the connection for it",
        ),
        (
            of(&|it| it.user_name = Some("\0".into())),
            "the user name must not hold the character U+0000: brokers close the connection for it",
        ),
        (
            of(&|it| it.user_name = Some(long.clone())),
            "the user name has 65536 bytes, and the protocol allows 65535",
        ),
        (
            of(&|it| it.password = Some(Secret::from(long.clone()))),
            "the password has 65536 bytes, and the protocol allows 65535",
        ),
        (
            of(&|it| it.user_properties = bad.clone()),
            "a property of CONNECT cannot be sent: the text holds the character U+0000",
        ),
        (
            of(&|it| it.will = Some(will("a/#", 0))),
            "the topic of the will cannot be published to: a topic to publish to must not hold `+` or `#`",
        ),
        (
            of(&|it| it.will = Some(will("t", MQTT_STRING_BYTES_MAX + 1))),
            "the will has 65536 bytes, and the protocol allows 65535",
        ),
        (
            of(&|it| {
                it.will = Some(WillMessage {
                    properties: bad.clone(),
                    ..will("t", 0)
                });
            }),
            "a property of the will cannot be sent: the text holds the character U+0000",
        ),
    ] {
        assert_eq!(found.unwrap_err(), expected);
    }
}

#[test]
fn a_will_that_this_kind_of_broker_does_not_take_is_refused_before_the_first_connection() {
    let check = |topic: &str, qos, bytes| {
        let will = WillMessage {
            topic: topic.into(),
            payload: vec![0; bytes],
            qos,
            retain: false,
            properties: PropertiesBuf::new(),
        };
        let config = Config {
            profile: Profile::AWS_IOT,
            will: Some(will),
            ..config()
        };
        config.check().map_err(|error| error.to_string())
    };
    assert_eq!(check("1/2/3/4/5/6/7/8", ONE, 1000), Ok(()));
    assert_eq!(
        check("1/2/3/4/5/6/7/8/9", ONE, 0).unwrap_err(),
        "the will cannot be sent: AWS IoT Core takes topics with at most 7 slashes, and this one has 8"
    );
    assert_eq!(
        check("t", TWO, 0).unwrap_err(),
        "the will cannot be sent: AWS IoT Core offers QoS up to 1, not 2"
    );
}

#[test]
fn times_are_said_in_whole_seconds_and_a_part_of_one_is_not_none() {
    for (keep_alive, expected) in [
        (0, 0),
        (1, 1),
        (500, 1),
        (1000, 1),
        (1001, 2),
        (u64::MAX, 65_535),
    ] {
        let mut it = session(Config {
            keep_alive: Duration::from_millis(keep_alive),
            session_expiry: Some(Duration::from_millis(keep_alive.min(1_001))),
            ..config()
        });
        it.handle_connected(at(0));
        let sent = sent(&mut it);
        let part = format!("keep_alive_s: {expected},");
        assert!(sent[0].contains(&part), "{sent:?}");
        let part = format!("SessionExpiryInterval({})", expected.min(2));
        assert!(sent[0].contains(&part), "{sent:?}");
    }
}

#[test]
fn what_is_longer_than_the_protocol_can_say_is_not_the_keep_alive_we_hold() {
    let keep_alive = Duration::from_secs(100_000);
    let mut it = connected(
        Config {
            keep_alive,
            ..config()
        },
        &[],
    );
    sent(&mut it);
    assert_eq!(it.poll_timeout(), Some((at(65_536), Wake::KeepAlive)));
}

#[test]
fn nothing_leaves_before_the_broker_has_accepted() {
    let mut it = session(config());
    publish(&mut it, ONE, 1);
    it.handle_connected(at(0));
    assert_eq!(words(&mut it), ["connect -"]);
    publish(&mut it, ONE, 2);
    assert_eq!(words(&mut it), [""; 0]);
}

#[test]
fn a_refusal_is_told_with_reason_words_and_server() {
    let mut it = session(config());
    it.handle_connected(at(0));
    let mut set = PropertiesBuf::new();
    set.push(Property::ReasonString("full")).unwrap();
    set.push(Property::ServerReference("b.example")).unwrap();
    let refusal = Packet::Connack(Connack {
        session_present: false,
        reason: Reason::UseAnotherServer,
        properties: set.as_properties(),
    });
    receive(&mut it, &refusal, at(1));
    let expected = CloseReason::Refused {
        reason: Reason::UseAnotherServer,
        text: Some("full".into()),
        server: Some("b.example".into()),
    };
    assert_eq!(it.poll_output(), Some(Output::Close(expected)));
}

#[test]
fn every_limit_of_the_broker_is_learned() {
    let mut it = session(config());
    it.handle_connected(at(0));
    let mut set = PropertiesBuf::new();
    for property in [
        Property::ReceiveMaximum(7),
        Property::MaximumPacketSize(1000),
        Property::MaximumQos(1),
        Property::RetainAvailable(false),
        Property::WildcardSubscriptionAvailable(false),
        Property::SharedSubscriptionAvailable(false),
        Property::SubscriptionIdentifierAvailable(false),
        Property::ServerKeepAlive(5),
        Property::SessionExpiryInterval(60),
        Property::AssignedClientIdentifier("given"),
    ] {
        set.push(property).unwrap();
    }
    let connack = Packet::Connack(Connack {
        session_present: false,
        reason: Reason::Success,
        properties: set.as_properties(),
    });
    receive(&mut it, &connack, at(1));
    let Some(Output::Connected(connected)) = it.poll_output() else {
        panic!("not connected");
    };
    let expected = Limits {
        receive_max: 7,
        packet_bytes_max: 1000,
        qos_max: ONE,
        retain: false,
        wildcards: false,
        subscription_ids: false,
        shared: false,
        topic_aliases: 0,
        keep_alive: Duration::from_secs(5),
        session_expiry: Some(Duration::from_secs(60)),
    };
    assert_eq!(connected.limits, expected);
    assert_eq!(it.client_id(), "given");
    let large = [0; 1000];
    let refused = |qos, retain, payload| {
        let publication = Publication {
            retain,
            ..Publication::new("t", payload, qos)
        };
        Err(PublishError::Limits(match (qos, retain) {
            (QoS::ExactlyOnce, _) => DropCause::QosNotSupported,
            (_, true) => DropCause::RetainNotSupported,
            _ => DropCause::TooLarge,
        })) == it.publish(&publication, at(1))
    };
    let mut refused = refused;
    assert!(refused(TWO, false, &[]));
    assert!(refused(ONE, true, &[]));
    assert!(refused(ONE, false, &large));
    let options = SubscribeOptions::default();
    assert_eq!(
        it.subscribe("a/#", options, at(1)),
        Err(SubscribeError::Wildcards)
    );
    assert_eq!(
        it.subscribe("$share/g/a", options, at(1)),
        Err(SubscribeError::Shared)
    );
}

#[test]
fn what_waits_and_breaks_a_limit_is_dropped_and_told_and_the_rest_goes_on() {
    let mut it = session(config());
    publish(&mut it, TWO, 1);
    publish(&mut it, ONE, 2);
    connect(&mut it, false, &[Property::MaximumQos(1)], at(1));
    assert_eq!(told(&mut it), ["Done(1, Dropped(QosNotSupported))"]);
    assert_eq!(words(&mut it), ["publish 1"]);
}

#[test]
fn no_answer_to_connect_ends_the_attempt() {
    let mut it = session(config());
    it.handle_connected(at(10));
    assert_eq!(it.poll_timeout(), Some((at(25), Wake::Connack)));
    it.handle_timeout(at(25));
    assert_eq!(
        it.poll_output(),
        Some(Output::Close(CloseReason::NoConnack))
    );
}

#[test]
fn a_quiet_connection_is_pinged_and_a_dead_one_is_noticed() {
    let mut it = connected(config(), &[]);
    sent(&mut it);
    assert_eq!(it.poll_timeout(), Some((at(61), Wake::KeepAlive)));
    it.handle_timeout(at(61));
    assert_eq!(sent(&mut it), ["Pingreq"]);
    assert_eq!(it.poll_timeout(), Some((at(71), Wake::Ping)));
    receive(&mut it, &Packet::Pingresp, at(62));
    assert_eq!(told(&mut it), [""; 0]);
    assert_eq!(it.poll_timeout(), Some((at(121), Wake::KeepAlive)));
    it.handle_timeout(at(121));
    it.handle_timeout(at(131));
    assert_eq!(it.poll_output(), Some(Output::Close(CloseReason::PingLost)));
}

#[test]
fn while_nothing_is_read_silence_says_nothing_and_the_broker_hears_of_us() {
    let spill_delay = Duration::from_secs(1000);
    let mut it = connected(
        Config {
            spill_delay,
            ..config()
        },
        &[],
    );
    publish(&mut it, ONE, 1);
    sent(&mut it);
    it.hold(true, at(2));
    for seconds in [61, 121, 181] {
        assert_eq!(it.poll_timeout(), Some((at(seconds), Wake::KeepAlive)));
        it.handle_timeout(at(seconds));
        assert_eq!(sent(&mut it), ["Pingreq"], "{seconds}");
    }
    told(&mut it);
    it.hold(false, at(200));
    assert_eq!(it.poll_timeout(), Some((at(210), Wake::Ping)));
    receive(&mut it, &Packet::Pingresp, at(209));
    assert_eq!(told(&mut it), [""; 0]);
    // What is on its way has its whole time again.
    assert_eq!(it.poll_timeout(), Some((at(241), Wake::KeepAlive)));
    it.handle_timeout(at(241));
    receive(&mut it, &Packet::Pingresp, at(242));
    assert_eq!(told(&mut it), [""; 0]);
    assert_eq!(it.poll_timeout(), Some((at(260), Wake::Stall)));
    it.handle_timeout(at(260));
    assert_eq!(told(&mut it), ["Close(Stalled)"]);
}

#[test]
fn sending_alone_does_not_count_as_a_sign_of_life() {
    let mut it = connected(config(), &[]);
    for seconds in 2..61 {
        it.now = at(seconds);
        publish(&mut it, QoS::AtMostOnce, 1);
        sent(&mut it);
    }
    told(&mut it);
    assert_eq!(it.poll_timeout(), Some((at(61), Wake::KeepAlive)));
}

#[test]
fn a_broker_that_acknowledges_nothing_is_left() {
    let mut it = connected(config(), &[]);
    publish(&mut it, ONE, 1);
    let mut now = 1;
    while now < 50 {
        now += 10;
        it.handle_timeout(at(now));
        receive(&mut it, &Packet::Pingresp, at(now));
        it.poll_output();
    }
    it.handle_timeout(at(61));
    let outputs = told(&mut it);
    assert_eq!(outputs.last().unwrap(), "Close(Stalled)");
}

/// When a connection is given up on which nothing is heard any more, though the socket took this.
fn given_up(qos: QoS, bytes: usize) -> Mono {
    let mut it = connected(
        Config {
            spill_delay: Duration::from_secs(10_000),
            ..config()
        },
        &[],
    );
    let payload = vec![0; bytes];
    let publication = Publication::new("t", &payload, qos);
    it.publish(&publication, at(1)).unwrap();
    loop {
        sent(&mut it);
        if told(&mut it).iter().any(|told| told.starts_with("Close(")) {
            return it.now;
        }
        let (due, _) = it.poll_timeout().unwrap();
        it.handle_timeout(due);
    }
}

#[test]
fn a_long_message_has_the_time_that_a_slow_link_needs() {
    for (qos, bytes, seconds) in [
        (ONE, 500, 61),
        (QoS::AtMostOnce, 500, 71),
        (ONE, 240_000, 311),
        (QoS::AtMostOnce, 240_000, 311),
        (ONE, 2_000_000, 671),
    ] {
        assert_eq!(given_up(qos, bytes), at(seconds), "{qos:?} {bytes}");
    }
}

#[test]
fn a_link_that_was_slow_has_no_more_time_when_something_was_heard() {
    let mut it = connected(config(), &[]);
    let payload = vec![0; 240_000];
    let publication = Publication::new("t", &payload, ONE);
    it.publish(&publication, at(1)).unwrap();
    sent(&mut it);
    for seconds in [61, 71, 131] {
        it.handle_timeout(at(seconds));
        sent(&mut it);
    }
    receive(&mut it, &Packet::Puback(Ack::new(id(1))), at(200));
    receive(&mut it, &Packet::Pingresp, at(200));
    let told = told(&mut it);
    assert!(
        !told.iter().any(|told| told.starts_with("Close(")),
        "{told:?}"
    );
    assert_eq!(it.poll_timeout(), Some((at(191), Wake::KeepAlive)));
    it.handle_timeout(at(200));
    assert_eq!(sent(&mut it), ["Pingreq"]);
    assert_eq!(it.poll_timeout(), Some((at(210), Wake::Ping)));
}

#[test]
fn breaches_of_the_broker_end_the_connection_with_their_reason() {
    let message = |qos, id| {
        Packet::Publish(Publish {
            id,
            ..Publish::new("t", qos)
        })
    };
    let second = Packet::Connack(Connack {
        session_present: false,
        reason: Reason::Success,
        properties: Properties::EMPTY,
    });
    let mut set = PropertiesBuf::new();
    set.push(Property::TopicAlias(1)).unwrap();
    let alias = Packet::Publish(Publish {
        properties: set.as_properties(),
        ..Publish::new("t", QoS::AtMostOnce)
    });
    let cases = [
        (vec![second], Reason::ProtocolError),
        (vec![Packet::Pingreq], Reason::ProtocolError),
        (vec![alias], Reason::TopicAliasInvalid),
        (
            vec![message(TWO, Some(id(1))), Packet::Pubrel(Ack::new(id(1)))],
            Reason::ProtocolError,
        ),
    ];
    for (packets, reason) in cases {
        let mut it = connected(config(), &[]);
        for packet in &packets {
            receive(&mut it, packet, at(2));
        }
        let outputs = told(&mut it);
        assert!(
            outputs.last().unwrap().starts_with("Close(Protocol"),
            "{outputs:?}"
        );
        let farewell = format!("Disconnect(Disconnect {{ reason: {reason:?}, properties: [] }})");
        assert_eq!(sent(&mut it).last(), Some(&farewell));
    }
}

#[test]
fn garbage_ends_the_connection_and_nothing_behind_it_is_read() {
    let mut it = connected(config(), &[]);
    it.handle_bytes(&[0x32, 5, 0, 1, b't', 0, 0, 0x30, 3, 0, 1, b't'], at(2));
    let outputs = told(&mut it);
    assert_eq!(outputs.len(), 1);
    assert!(outputs[0].starts_with("Close(Malformed"), "{outputs:?}");
}

#[test]
fn the_brokers_farewell_is_told() {
    let mut it = connected(config(), &[]);
    let farewell = Packet::Disconnect(Disconnect::because(Reason::SessionTakenOver));
    receive(&mut it, &farewell, at(2));
    let expected = CloseReason::ByBroker {
        reason: Reason::SessionTakenOver,
        text: None,
        server: None,
    };
    assert_eq!(it.poll_output(), Some(Output::Close(expected)));
}

#[test]
fn an_enhanced_authentication_goes_back_and_forth() {
    let mut it = session(Config {
        authentication: Some(("tokens".into(), b"hello".to_vec())),
        ..config()
    });
    it.handle_connected(at(0));
    assert!(sent(&mut it)[0].contains("AuthenticationMethod(\"tokens\")"));
    let auth = |method, reason| {
        let mut set = PropertiesBuf::new();
        set.push(Property::AuthenticationMethod(method)).unwrap();
        set.push(Property::AuthenticationData(b"who?")).unwrap();
        let mut bytes = Vec::new();
        let auth = Packet::Auth(Auth {
            reason,
            properties: set.as_properties(),
        });
        auth.encode(Version::V5, &mut bytes).unwrap();
        bytes
    };
    it.handle_bytes(&auth("tokens", Reason::ContinueAuthentication), at(1));
    assert_eq!(
        it.poll_output(),
        Some(Output::Authenticate(b"who?".to_vec()))
    );
    it.authenticate(b"me", at(1));
    let answer = sent(&mut it);
    assert!(answer[0].contains("ContinueAuthentication"), "{answer:?}");
    let connack = Packet::Connack(Connack {
        session_present: false,
        reason: Reason::Success,
        properties: Properties::EMPTY,
    });
    receive(&mut it, &connack, at(1));
    told(&mut it);
    it.authenticate(b"again", at(2));
    assert!(sent(&mut it)[0].contains("ReAuthenticate"));
    it.handle_bytes(&auth("tokens", Reason::ContinueAuthentication), at(3));
    assert_eq!(
        it.poll_output(),
        Some(Output::Authenticate(b"who?".to_vec()))
    );
    it.authenticate(b"still me", at(3));
    assert!(sent(&mut it)[0].contains("ContinueAuthentication"));
    it.handle_bytes(&auth("other", Reason::ContinueAuthentication), at(1));
    assert!(told(&mut it)[0].starts_with("Close(Protocol"));
}

#[test]
fn a_session_that_was_to_be_forgotten_must_not_be_there() {
    let mut it = session(Config {
        clean_start: true,
        ..config()
    });
    it.handle_connected(at(0));
    let connack = Packet::Connack(Connack {
        session_present: true,
        reason: Reason::Success,
        properties: Properties::EMPTY,
    });
    receive(&mut it, &connack, at(1));
    assert!(told(&mut it)[0].starts_with("Close(Protocol"));
}

#[test]
fn what_aws_does_not_take_is_refused_at_once() {
    let mut it = session(Config {
        profile: Profile::AWS_IOT,
        ..config()
    });
    let publication = Publication::new("t", b"x", TWO);
    let error = it.publish(&publication, at(0)).unwrap_err();
    assert_eq!(error.to_string(), "AWS IoT Core offers QoS up to 1, not 2");
    let error = it.subscribe("1/2/3/4/5/6/7/8/9", SubscribeOptions::default(), at(0));
    assert!(matches!(error, Err(SubscribeError::Profile(_))));
    connect(&mut it, false, &[], at(1));
    for tag in 0..150 {
        publish(&mut it, ONE, tag);
    }
    assert_eq!(sent(&mut it).len(), 100);
}

#[test]
fn a_broker_that_asks_for_patience_gets_it() {
    let mut it = connected(config(), &[]);
    publish(&mut it, ONE, 1);
    assert_eq!(words(&mut it), ["publish 1"]);
    receive(
        &mut it,
        &Packet::Puback(Ack::because(id(1), Reason::QuotaExceeded)),
        at(1),
    );
    assert_eq!(
        told(&mut it),
        ["Sent(1)", "Done(1, Rejected(QuotaExceeded))"]
    );
    publish(&mut it, ONE, 2);
    assert_eq!(words(&mut it), [""; 0]);
    let (due, why) = it.poll_timeout().unwrap();
    assert_eq!(
        (due, why),
        (at(1) + Duration::from_millis(50), Wake::Throttle)
    );
    it.handle_timeout(due);
    assert_eq!(words(&mut it), ["publish 2"]);
}
