//! A broker that goes away and comes back, in order or not, with its memory or without.

use std::time::Duration;

use futures_util::FutureExt;
use periwinkle::mqtt::{ConnectionState, Delivery, Mqtt, Options, QoS, Version};

use super::broker::{Mosquitto, PERSISTENT, Setup};
use super::judges::{Collector, mosquitto_pub};
use super::{VERSIONS, connected, in_time, numbers, options, texts};

/// A client whose session the broker keeps.
fn lasting(broker: &Mosquitto, version: Version) -> Options {
    let mut options = options(broker, "ours");
    options.session.version = version;
    options.session.clean_start = false;
    if version == Version::V311 {
        // It cannot say how many it takes, and closes the connection when it gets too many.
        options.session.in_flight_max = 20;
    }
    options.session.session_expiry = Some(Duration::from_secs(3600));
    options
}

/// Waits until the connection is not what it was.
async fn is_lost(mqtt: &Mqtt) {
    let mut connection = mqtt.connection();
    let lost = connection.wait_for(|state| !state.is_connected());
    in_time("the loss of the connection", lost)
        .await
        .expect("it runs");
}

async fn is_back(mqtt: &Mqtt) -> bool {
    let mut connection = mqtt.connection();
    let back = connection.wait_for(ConnectionState::is_connected);
    let state = in_time("the connection", back).await.expect("it runs");
    matches!(
        *state,
        ConnectionState::Connected {
            session_present: true
        }
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_memory_delivers_after_its_restart_what_came_in_between() {
    for version in VERSIONS {
        let mut broker = Mosquitto::new(Setup::default().global(PERSISTENT));
        let mqtt = connected(lasting(&broker, version)).await;
        let mut messages = mqtt
            .subscribe("a/#", QoS::ExactlyOnce)
            .await
            .expect("granted");
        mosquitto_pub(&broker, &["-t", "a/1", "-m", "before", "-q", "2"]);
        assert_eq!(texts(&mut messages, 1).await, ["before"]);
        broker.stop();
        is_lost(&mqtt).await;
        broker.start();
        assert!(is_back(&mqtt).await, "{version:?}: the session was kept");
        mosquitto_pub(&broker, &["-t", "a/2", "-m", "after", "-q", "2"]);
        assert_eq!(texts(&mut messages, 1).await, ["after"], "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_a_memory_is_asked_for_every_subscription_again() {
    let mut broker = Mosquitto::plain();
    let mqtt = connected(lasting(&broker, Version::V5)).await;
    let mut first = mqtt
        .subscribe("a", QoS::AtLeastOnce)
        .await
        .expect("granted");
    let mut second = mqtt
        .subscribe("b/+", QoS::ExactlyOnce)
        .await
        .expect("granted");
    broker.kill();
    is_lost(&mqtt).await;
    // While there is no broker: it is asked for with the others.
    let third = mqtt.subscribe("c", QoS::AtLeastOnce);
    let third = tokio::spawn(async move { third.await });
    broker.start();
    assert!(!is_back(&mqtt).await, "nothing was kept");
    let mut third = in_time("the answer", third)
        .await
        .expect("no panic")
        .expect("granted");
    // Acknowledgements of the others came with it or before it.
    for (topic, messages) in [("a", &mut first), ("b/x", &mut second), ("c", &mut third)] {
        let published = mqtt.publish(topic, topic).qos(QoS::AtLeastOnce).acked();
        in_time("an acknowledgement", published)
            .await
            .expect("it is taken");
        assert_eq!(texts(messages, 1).await, [topic]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_taken_while_the_broker_is_away_arrive_in_order_when_it_is_back() {
    for version in VERSIONS {
        let mut broker = Mosquitto::new(Setup::default().global(PERSISTENT));
        let collector = Collector::subscribe(&broker, "line");
        let mqtt = connected(lasting(&broker, version)).await;
        broker.stop();
        is_lost(&mqtt).await;
        for number in numbers(0..3000) {
            let message = mqtt.publish("line", number).qos(QoS::ExactlyOnce);
            message.detach().expect("there is room");
        }
        let end = mqtt.publish("line", "end").qos(QoS::ExactlyOnce);
        end.detach().expect("there is room");
        broker.start();
        in_time("the last message", mqtt.drained())
            .await
            .expect("it runs");
        assert_eq!(
            collector.payloads_to_the_end(),
            numbers(0..3000),
            "{version:?}"
        );
    }
}

/// What mosquitto had acknowledged and not written down dies with it, and is nobody's loss but its
/// own. What it had not acknowledged is ours to send again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_with_messages_in_flight_gets_again_what_it_had_not_acknowledged() {
    for version in VERSIONS {
        let mut broker = Mosquitto::plain();
        let mut options = lasting(&broker, version);
        options.session.in_flight_max = 50;
        // Long enough for another client to subscribe before us.
        options.connection.pause = (Duration::from_secs(3), Duration::from_secs(3));
        let mqtt = connected(options).await;
        let mut deliveries = Vec::new();
        for number in numbers(0..5000) {
            let message = mqtt.publish("line", number).qos(QoS::AtLeastOnce);
            deliveries.push(message.track().expect("there is room"));
        }
        in_time("some acknowledgements", mqtt.below(4000))
            .await
            .expect("it runs");
        broker.kill();
        is_lost(&mqtt).await;
        let is_open = |delivery: &Delivery| delivery.acked().now_or_never().is_none();
        let open: Vec<bool> = deliveries.iter().map(is_open).collect();
        let first_open = open
            .iter()
            .position(|open| *open)
            .expect("some were in flight");
        broker.start();
        let collector = Collector::subscribe(&broker, "line");
        let end = mqtt.publish("line", "end").qos(QoS::AtLeastOnce);
        in_time("the last message", end.acked())
            .await
            .expect("it is taken");
        assert_eq!(mqtt.queued(), 0, "{version:?}");
        let came = collector.payloads_to_the_end();
        assert_eq!(came, numbers(first_open as u32..5000), "{version:?}");
    }
}
