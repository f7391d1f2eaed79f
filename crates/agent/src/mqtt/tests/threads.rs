//! Publishing, reading and the connection on threads of their own.

use periwinkle_core::mqtt::codec::QoS;

use super::{Broker, options};
use crate::StreamExt;
use crate::mqtt::Mqtt;

const MESSAGES: usize = 5_000;

/// Publishes all of them from a task of its own, and reads them here.
async fn there_and_back(qos: QoS) {
    let broker = Broker::start().await;
    let mut options = options(&broker);
    // This broker sends as much as it has.
    options.session.receive_max = u16::MAX;
    let mqtt = Mqtt::connect(options).unwrap();
    mqtt.connected().await.unwrap();
    let mut messages = mqtt.subscribe("many", qos).manual().await.unwrap();
    let publisher = mqtt.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let publish = publisher.publish("many", number.to_string()).qos(qos);
            publish.detach().expect("there is room");
        }
    });
    for number in 0..MESSAGES {
        let message = messages.next().await.expect("the client runs");
        assert_eq!(message.text(), Some(&*number.to_string()), "{message:?}");
        message.ack();
    }
    publishing.await.expect("it publishes");
    mqtt.drained().await.expect("it runs");
    let came = broker.came(MESSAGES).await;
    let came = came.iter().map(|came| came.payload.clone());
    let sent = (0..MESSAGES).map(|number| number.to_string().into_bytes());
    assert!(came.eq(sent), "each leaves once and in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_is_kept_between_threads_with_qos_1() {
    there_and_back(QoS::AtLeastOnce).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_is_kept_between_threads_with_qos_2() {
    there_and_back(QoS::ExactlyOnce).await;
}
