//! What a session says and does, packet by packet. Long histories are in `tests/mqtt_simulation`.

mod any_input;
mod connection;
mod messages;
mod storage;
mod subscriptions;
mod suspicion;
mod too_long;

use super::*;
use crate::mqtt::codec::*;
use crate::mqtt::outbox::{Budget, Publication};
use std::time::Duration;

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;

fn at(seconds: u64) -> Mono {
    Mono::from_start(Duration::from_secs(seconds))
}

fn config() -> Config {
    Config::new(Version::V5, "me")
}

fn session(config: Config) -> Session {
    Session::new(config, Outbox::new(Budget::default()), Ending::Orderly)
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// A session with a connection that the broker has accepted, with these properties.
fn connected(config: Config, properties: &[Property<'_>]) -> Session {
    let mut session = session(config);
    connect(&mut session, false, properties, at(1));
    session
}

fn connect(session: &mut Session, session_present: bool, properties: &[Property<'_>], now: Mono) {
    told(session);
    session.handle_connected(now);
    let sent = sent(session);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].starts_with("Connect("), "{sent:?}");
    let mut set = PropertiesBuf::new();
    for property in properties {
        set.push(*property).unwrap();
    }
    let connack = Packet::Connack(Connack {
        session_present,
        reason: Reason::Success,
        properties: set.as_properties(),
    });
    receive(session, &connack, now);
    assert!(matches!(session.poll_output(), Some(Output::Connected(_))));
}

/// Everything the session wants to send, each packet as text.
fn sent(session: &mut Session) -> Vec<String> {
    let version = session.config.version;
    let mut inbox = Inbox::new(usize::MAX);
    inbox.extend(session.pending());
    let bytes = session.pending().len();
    session.handle_written(bytes, session.now);
    let mut packets = Vec::new();
    while let Some(frame) = inbox.take().unwrap() {
        packets.push(format!("{:?}", Packet::decode(version, frame).unwrap()));
    }
    packets
}

/// The same, in a word and a number each: what it is, and its packet id or payload.
fn words(session: &mut Session) -> Vec<String> {
    let short = |text: String| {
        let kind = text.split('(').next().unwrap_or_default().to_lowercase();
        let id = text.split("PacketId(").nth(1);
        let id = id.and_then(|rest| rest.split(')').next()).unwrap_or("-");
        let dup = if text.contains("dup: true") {
            " dup"
        } else {
            ""
        };
        format!("{kind} {id}{dup}")
    };
    sent(session).into_iter().map(short).collect()
}

fn receive(session: &mut Session, packet: &Packet<'_>, now: Mono) {
    let mut bytes = Vec::new();
    packet.encode(session.config.version, &mut bytes).unwrap();
    session.handle_bytes(&bytes, now);
}

/// What the session tells, each as text.
fn told(session: &mut Session) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(output) = session.poll_output() {
        told.push(format!("{output:?}"));
    }
    told
}

fn publish(session: &mut Session, qos: QoS, tag: u64) {
    let publication = Publication {
        tag: Some(tag),
        ..Publication::new("t", b"x", qos)
    };
    let now = session.now;
    session.publish(&publication, now).unwrap();
}
