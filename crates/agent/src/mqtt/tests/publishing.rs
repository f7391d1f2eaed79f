//! Messages on their way out.

use std::time::Duration;

use periwinkle_core::mqtt::codec::{QoS, Reason};
use periwinkle_core::mqtt::session::PublishError;

use super::{Broker, client, options};
use crate::mqtt::{ConnectionState, Mqtt, MqttError};

#[tokio::test]
async fn every_way_to_wait_ends_and_the_message_arrives() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    mqtt.publish("a", "0").detach().unwrap();
    mqtt.publish("a", b"1").sent().await.unwrap();
    for (payload, qos) in [
        ("2", QoS::AtMostOnce),
        ("3", QoS::AtLeastOnce),
        ("4", QoS::ExactlyOnce),
    ] {
        let reason = mqtt.publish("a", payload).qos(qos).acked().await.unwrap();
        assert_eq!(reason, Reason::Success);
    }
    mqtt.publish("a", "5").accepted().await.unwrap();
    let payloads: Vec<Vec<u8>> = (broker.came(6).await)
        .into_iter()
        .map(|it| it.payload)
        .collect();
    assert_eq!(payloads, [b"0", b"1", b"2", b"3", b"4", b"5"]);
    mqtt.drained().await.unwrap();
    assert_eq!(mqtt.counts().completed, 6);
}

#[tokio::test]
async fn a_refusal_is_told_with_the_brokers_reason() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    for (reason, refused) in [
        (Reason::NotAuthorized, true),
        (Reason::NoMatchingSubscribers, false),
    ] {
        broker.change(|manners| manners.reason = reason);
        let acked = mqtt.publish("a", "x").qos(QoS::AtLeastOnce).acked().await;
        match acked {
            Ok(told) => assert_eq!((told, refused), (reason, false)),
            Err(MqttError::Rejected(told)) => assert_eq!((told, refused), (reason, true)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_on_the_next_connection() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    broker.change(|manners| manners.acknowledges = false);
    let delivery = mqtt
        .publish("a", "once more")
        .qos(QoS::AtLeastOnce)
        .track()
        .unwrap();
    delivery.sent().await.unwrap();
    broker.came(1).await;
    broker.change(|manners| {
        manners.acknowledges = true;
        manners.session_present = true;
    });
    broker.cut();
    assert_eq!(delivery.acked().await.unwrap(), Reason::Success);
    let came = broker.came(2).await;
    assert_eq!((came[0].dup, came[1].dup), (false, true));
    assert_eq!(came[0].payload, came[1].payload);
}

#[tokio::test]
async fn messages_wait_for_a_broker_that_is_not_there_yet() {
    let gone = Broker::start().await;
    let mut options = options(&gone);
    options.address.port = 1;
    let mqtt = Mqtt::connect(options).unwrap();
    let mut connection = mqtt.connection();
    let is_off =
        |state: &ConnectionState| matches!(state, ConnectionState::Offline { why: Some(_) });
    connection.wait_for(is_off).await.unwrap();
    mqtt.publish("a", "x")
        .qos(QoS::AtLeastOnce)
        .detach()
        .unwrap();
    assert_eq!(mqtt.queued(), 1);
    let waits = mqtt.publish("a", "x").qos(QoS::AtLeastOnce).acked();
    let waited = tokio::time::timeout(Duration::from_millis(50), waits).await;
    assert!(waited.is_err());
    assert_eq!(mqtt.queued(), 2);
}

#[tokio::test]
async fn thousands_of_messages_in_flight_are_all_answered() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let deliveries: Vec<_> = (0..5000)
        .map(|number: u32| {
            let payload = number.to_be_bytes();
            mqtt.publish("a/b", payload)
                .qos(QoS::AtLeastOnce)
                .track()
                .unwrap()
        })
        .collect();
    for delivery in &deliveries {
        delivery.acked().await.unwrap();
    }
    let came = broker.came(5000).await;
    let in_order = came
        .iter()
        .zip(0_u32..)
        .all(|(came, n)| came.payload == n.to_be_bytes());
    assert!(in_order);
    assert_eq!(came.len(), 5000);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_at_once() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let refused = mqtt.publish("a/+", "x").detach();
    assert!(matches!(
        refused,
        Err(MqttError::Publish(PublishError::Topic(_)))
    ));
    let refused = mqtt.publish("a", "x").durable().accepted().await;
    assert!(matches!(refused, Err(MqttError::NoStorage)));
    let long = "x".repeat(70_000);
    let refused = mqtt.publish("a", "x").property("name", &long).detach();
    assert!(matches!(refused, Err(MqttError::Property(_))));
    assert_eq!(mqtt.queued(), 0);
}

#[tokio::test]
async fn the_last_clone_ends_the_client() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut connection = mqtt.connection();
    drop(mqtt.clone());
    assert!(connection.borrow().is_connected());
    drop(mqtt);
    let stopped = |state: &ConnectionState| *state == ConnectionState::Stopped;
    connection.wait_for(stopped).await.unwrap();
}
