//! What a broker may ask of its client while it connects, or afterwards: to prove itself in several
//! steps, to go elsewhere, to leave its name to another one.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::sync::Arc;
use std::time::Duration;

use periwinkle::mqtt::{
    Authenticator, ConnectionState, Mqtt, OfflineKind, OfflineReason, Options, QoS, Reason,
};
use tokio::sync::watch;

use super::broker::Mosquitto;
use super::peer::{AUTH, CONNACK, CONNECT, DISCONNECT, Packet, Peer, Talk, properties, property};
use super::secure::refusal;
use super::{VERSIONS, connected, in_time, next, options};
use crate::eventually::eventually;

/// Doubles the number that the broker names.
struct Doubling;

impl Authenticator for Doubling {
    fn method(&self) -> String {
        "DOUBLING".to_owned()
    }

    fn begin(&self) -> Vec<u8> {
        b"ready".to_vec()
    }

    fn answer(&self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let number = std::str::from_utf8(challenge)
            .ok()
            .and_then(|text| text.parse().ok());
        let number: u32 = number.ok_or("that is no number")?;
        Ok((number * 2).to_string().into_bytes())
    }
}

fn doubling(peer: &Peer) -> Options {
    let mut options = Options::new(&peer.url(), "ours").unwrap();
    options.connection.pause = (Duration::from_millis(20), Duration::from_secs(3600));
    options.authenticator = Some(Arc::new(Doubling));
    options
}

/// Authentication Method and Authentication Data.
fn method_and_data(method: &str, data: &str) -> Vec<u8> {
    properties(&[property(0x15, method), property(0x16, data)])
}

/// Reason code Continue authentication, then the properties (section 3.15.2).
fn go_on(data: &str) -> Vec<u8> {
    [vec![0x18], method_and_data("DOUBLING", data)].concat()
}

fn holds(packet: &Packet, part: &[u8]) -> bool {
    packet.1.windows(part.len()).any(|window| window == part)
}

fn connect(talk: &mut Talk, with: &[Vec<u8>]) -> std::io::Result<()> {
    let packet = talk.read()?;
    assert_eq!(packet.0, CONNECT);
    for part in with {
        assert!(holds(&packet, part), "{packet:?}");
    }
    Ok(())
}

/// Why there is no connection, once it is told, and what changes afterwards.
async fn offline(mqtt: &Mqtt) -> (OfflineReason, watch::Receiver<ConnectionState>) {
    let mut connection = mqtt.connection();
    let told = |state: &ConnectionState| matches!(state, ConnectionState::Offline { why: Some(_) });
    let state = in_time("the end", connection.wait_for(told)).await;
    let state = state.unwrap().clone();
    match state {
        ConnectionState::Offline { why: Some(why) } => (why, connection),
        other => panic!("{other:?}"),
    }
}

/// Section 4.12: CONNECT, AUTH from the server, AUTH from the client, twice, CONNACK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_proves_itself_in_as_many_steps_as_the_broker_asks_for() {
    let peer = Peer::start(|talk| {
        connect(talk, &[property(0x15, "DOUBLING"), property(0x16, "ready")])?;
        for (challenge, answer) in [("21", "42"), ("400", "800")] {
            talk.write(AUTH, &go_on(challenge))?;
            assert_eq!(talk.read()?, (AUTH, go_on(answer)));
        }
        let accepted = method_and_data("DOUBLING", "welcome");
        talk.write(CONNACK, &[&[0, 0], &accepted[..]].concat())?;
        talk.listen()
    });
    let mqtt = connected(doubling(&peer)).await;
    assert!(mqtt.connection().borrow().is_connected());
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_ends_the_attempt_and_is_not_tried_again_at_once() {
    let peer = Peer::start(|talk| {
        connect(talk, &[])?;
        talk.write(AUTH, &go_on("many"))?;
        talk.listen()
    });
    let mqtt = Mqtt::connect(doubling(&peer)).unwrap();
    let (why, mut connection) = offline(&mqtt).await;
    assert_eq!(why.kind(), OfflineKind::Authentication);
    assert_eq!(
        why.to_string(),
        "the authentication cannot go on: that is no number"
    );
    let again = tokio::time::timeout(Duration::from_millis(200), connection.changed());
    assert!(again.await.is_err(), "there is an hour until then");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_know_the_method_or_the_answer_refuses_with_its_reason() {
    // Bad authentication method; Not authorized, after an answer.
    let bad_method = Peer::start(|talk| {
        connect(talk, &[])?;
        talk.write(CONNACK, &[0, 0x8c, 0])
    });
    let why = refusal(doubling(&bad_method)).await;
    assert_eq!(
        why.kind(),
        OfflineKind::Refused(Reason::BadAuthenticationMethod)
    );
    let wrong = Peer::start(|talk| {
        connect(talk, &[])?;
        talk.write(AUTH, &go_on("1"))?;
        talk.read()?;
        talk.write(CONNACK, &[0, 0x87, 0])
    });
    let why = refusal(doubling(&wrong)).await;
    assert_eq!(why.kind(), OfflineKind::Refused(Reason::NotAuthorized));
    // Another method than ours is against the protocol (section 4.12).
    let other = Peer::start(|talk| {
        connect(talk, &[])?;
        let body = [vec![0x18], method_and_data("TRIPLING", "1")].concat();
        talk.write(AUTH, &body)?;
        talk.listen()
    });
    let why = refusal(doubling(&other)).await;
    assert_eq!(why.kind(), OfflineKind::Protocol, "{why}");
}

/// Use another server, with a Server Reference: in CONNACK and in DISCONNECT (section 4.13).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_where_the_broker_sends_it() {
    let broker = Mosquitto::plain();
    let elsewhere = properties(&[property(0x1c, &format!("127.0.0.1:{}", broker.port))]);
    let hint = elsewhere.clone();
    let at_once = Peer::start(move |talk| {
        connect(talk, &[])?;
        talk.write(CONNACK, &[&[0, 0x9c], &hint[..]].concat())
    });
    let later = Peer::start(move |talk| {
        connect(talk, &[])?;
        talk.write(CONNACK, &[0, 0, 0])?;
        talk.write(DISCONNECT, &[&[0x9c], &elsewhere[..]].concat())
    });
    for peer in [&at_once, &later] {
        let mut options = options(&broker, "ours");
        options.address = peer.url().parse().unwrap();
        let mqtt = Mqtt::connect(options).unwrap();
        let echo = mqtt.subscribe("echo", QoS::AtLeastOnce);
        let mut echo = in_time("the other server", echo.into_future())
            .await
            .unwrap();
        mqtt.publish("echo", "here")
            .qos(QoS::AtLeastOnce)
            .detach()
            .unwrap();
        assert_eq!(next(&mut echo).await.text(), Some("here"));
        assert_eq!(peer.connections(), 1);
    }
}

/// How often mosquitto took a client of this name.
fn taken(broker: &Mosquitto) -> usize {
    broker.log().matches(" as ours (").count()
}

async fn exchange(mqtt: &Mqtt) {
    let mut echo = mqtt.subscribe("echo", QoS::AtLeastOnce).await.unwrap();
    for number in 0..50 {
        let sent = mqtt
            .publish("echo", number.to_string())
            .qos(QoS::AtLeastOnce);
        in_time("an acknowledgement", sent.acked()).await.unwrap();
        assert_eq!(next(&mut echo).await.text(), Some(&*number.to_string()));
    }
}

/// Session taken over (section 4.13).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_told_of_a_takeover_leaves_its_name_to_the_other_one() {
    let peer = Peer::start(|talk| {
        connect(talk, &[])?;
        talk.write(CONNACK, &[0, 0, 0])?;
        talk.write(DISCONNECT, &[0x8e, 0])
    });
    let mut options = Options::new(&peer.url(), "ours").unwrap();
    options.connection.pause = (Duration::from_millis(1), Duration::from_millis(1));
    let mqtt = Mqtt::connect(options).unwrap();
    let (why, mut connection) = offline(&mqtt).await;
    assert_eq!(why.kind(), OfflineKind::TakenOver);
    let again = tokio::time::timeout(Duration::from_millis(200), connection.changed());
    assert!(again.await.is_err(), "it waits for half a minute at least");
    assert_eq!(peer.connections(), 1);
}

/// mosquitto tells the one that it throws out nothing, with neither version, so both come back some
/// times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_of_one_name_that_are_told_nothing_do_not_fight_for_ever() {
    for version in VERSIONS {
        let broker = Mosquitto::plain();
        let mut options = options(&broker, "ours");
        options.session.version = version;
        let first = connected(options.clone()).await;
        let second = connected(options).await;
        let losses = periwinkle_core::limits::MQTT_TAKEOVER_LOSSES as usize;
        eventually("one waits", || (taken(&broker) == 2 * losses).then_some(()));
        in_time("the other one", second.connected()).await.unwrap();
        let mut waiting = first.connection();
        waiting.mark_unchanged();
        exchange(&second).await;
        // Its longest pause would be 200 ms if it fought on.
        let again = tokio::time::timeout(Duration::from_secs(1), waiting.changed());
        assert!(again.await.is_err(), "{version:?}");
        assert_eq!(taken(&broker), 2 * losses, "{version:?}");
        assert!(!waiting.borrow().is_connected());
    }
}
