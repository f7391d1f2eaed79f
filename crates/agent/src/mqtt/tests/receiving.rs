//! Messages that come.

use periwinkle_core::mqtt::codec::{QoS, Reason, Version};

use super::{Broker, Mqtt, client, options};
use crate::StreamExt;
use crate::mqtt::MqttError;

#[tokio::test]
async fn all_matching_subscriptions_get_a_message() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut one = mqtt.subscribe("a/+", QoS::ExactlyOnce).await.unwrap();
    let mut two = mqtt.subscribe("a/b", QoS::AtMostOnce).await.unwrap();
    let mut other = mqtt.subscribe("c/#", QoS::AtLeastOnce).await.unwrap();
    broker.publish("a/b", b"both", QoS::ExactlyOnce);
    broker.publish("c", b"other", QoS::AtLeastOnce);
    let message = one.next().await.unwrap();
    assert_eq!((message.topic(), message.text()), ("a/b", Some("both")));
    assert_eq!(two.next().await.unwrap().payload(), b"both");
    let message = other.next().await.unwrap();
    assert_eq!((message.topic(), message.qos()), ("c", QoS::AtLeastOnce));
    // Of those with QoS 1 and 2 nobody else was asked, so each is acknowledged.
    broker.acked(2).await;
}

#[tokio::test]
async fn readers_of_a_topic_come_and_go_between_its_messages() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut one = mqtt.subscribe("a", QoS::AtLeastOnce).await.unwrap();
    broker.publish("a", b"1", QoS::AtLeastOnce);
    assert_eq!(one.next().await.unwrap().payload(), b"1");
    let mut two = mqtt.subscribe("+", QoS::AtLeastOnce).await.unwrap();
    broker.publish("a", b"2", QoS::AtLeastOnce);
    assert_eq!(one.next().await.unwrap().payload(), b"2");
    assert_eq!(two.next().await.unwrap().payload(), b"2");
    drop(one);
    broker.publish("a", b"3", QoS::AtLeastOnce);
    assert_eq!(two.next().await.unwrap().payload(), b"3");
}

#[tokio::test]
async fn a_refused_subscription_is_an_error_with_the_reason() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    broker.change(|manners| manners.grants = false);
    let refused = mqtt.subscribe("a", QoS::AtLeastOnce).await.unwrap_err();
    let MqttError::Denied { filter, reason } = refused else {
        panic!("{refused}");
    };
    assert_eq!((filter.as_str(), reason), ("a", Reason::NotAuthorized));
    let wrong = mqtt.subscribe("a/#/b", QoS::AtLeastOnce).await.unwrap_err();
    assert!(matches!(wrong, MqttError::Subscribe { .. }));
}

#[tokio::test]
async fn a_slow_reader_loses_the_oldest_and_is_told_how_many() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut slow = mqtt
        .subscribe("a", QoS::AtLeastOnce)
        .buffer(3)
        .await
        .unwrap();
    for number in 0..8_u8 {
        broker.publish("a", &[number], QoS::AtLeastOnce);
    }
    broker.acked(8).await;
    assert_eq!(slow.missed(), 5);
    for number in 5..8_u8 {
        assert_eq!(slow.next().await.unwrap().payload(), [number]);
    }
}

#[tokio::test]
async fn a_burst_is_larger_than_the_buffer_and_a_reader_that_keeps_up_loses_nothing() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut reader = mqtt.subscribe("a", qos).buffer(10).await.unwrap();
        for number in 0..2_000_u16 {
            broker.publish("a", &number.to_be_bytes(), qos);
        }
        for number in 0..2_000_u16 {
            assert_eq!(reader.next().await.unwrap().payload(), number.to_be_bytes());
        }
        assert_eq!(reader.missed(), 0);
    }
}

#[tokio::test]
async fn reading_goes_on_where_nothing_is_to_be_answered() {
    let broker = Broker::start().await;
    let mut options = options(&broker);
    options.session.version = Version::V311;
    options.session.receive_max = 1;
    let mqtt = Mqtt::connect(options).unwrap();
    let subscribe = mqtt.subscribe("a", QoS::AtLeastOnce).manual().buffer(1);
    let mut reader = subscribe.await.unwrap();
    for number in 0..1_000_u16 {
        let payload = [&number.to_be_bytes()[..], &[0; 100]].concat();
        broker.publish("a", &payload, QoS::AtLeastOnce);
    }
    let mut unanswered = Vec::new();
    for number in 0..1_000_u16 {
        let message = reader.next().await.unwrap();
        assert!(message.payload().starts_with(&number.to_be_bytes()));
        unanswered.push(message);
    }
}

#[tokio::test]
async fn a_reader_that_reads_nothing_does_not_keep_messages_from_others() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut asleep = mqtt
        .subscribe("#", QoS::AtMostOnce)
        .buffer(10)
        .await
        .unwrap();
    let mut awake = mqtt.subscribe("a", QoS::AtMostOnce).await.unwrap();
    for number in 0..1_000_u16 {
        broker.publish("a", &number.to_be_bytes(), QoS::AtMostOnce);
    }
    for number in 0..1_000_u16 {
        assert_eq!(awake.next().await.unwrap().payload(), number.to_be_bytes());
    }
    assert_eq!((awake.missed(), asleep.missed()), (0, 990));
    assert_eq!(
        asleep.next().await.unwrap().payload(),
        990_u16.to_be_bytes()
    );
}

#[tokio::test]
async fn a_message_is_acknowledged_when_its_reader_says_so_and_not_before() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut careful = mqtt
        .subscribe("a/#", QoS::AtLeastOnce)
        .manual()
        .buffer(1)
        .await
        .unwrap();
    let mut other = mqtt
        .subscribe("a/b", QoS::AtLeastOnce)
        .manual()
        .await
        .unwrap();
    for _ in 0..3 {
        broker.publish("a/b", b"x", QoS::AtLeastOnce);
    }
    let mut ours = Vec::new();
    for _ in 0..3 {
        ours.push(careful.next().await.unwrap());
        other.next().await.unwrap().ack();
    }
    // The same reader twice is not both readers.
    ours[0].ack();
    ours[0].ack();
    broker.acked(1).await;
    mqtt.publish("done", "")
        .qos(QoS::AtLeastOnce)
        .acked()
        .await
        .unwrap();
    assert_eq!(broker.acks(), 1);
    // They leave in the order in which the messages came.
    ours[2].ack();
    mqtt.publish("done", "")
        .qos(QoS::AtLeastOnce)
        .acked()
        .await
        .unwrap();
    assert_eq!(broker.acks(), 1);
    ours[1].ack();
    broker.acked(3).await;
    assert_eq!(careful.missed(), 0);
}

#[tokio::test]
async fn what_a_reader_that_is_gone_has_not_read_keeps_nobody_elses_acknowledgements_back() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let qos = QoS::AtLeastOnce;
    let mut gone = mqtt.subscribe("a", qos).manual().await.unwrap();
    let mut stays = mqtt.subscribe("b", qos).manual().await.unwrap();
    for topic in ["a", "a", "b"] {
        broker.publish(topic, b"x", qos);
    }
    let read = gone.next().await.unwrap();
    stays.next().await.unwrap().ack();
    drop(gone);
    // Who has one in its hands may still be at it.
    mqtt.publish("done", "").qos(qos).acked().await.unwrap();
    assert_eq!(broker.acks(), 0);
    read.ack();
    broker.acked(3).await;
}

#[tokio::test]
async fn subscriptions_outlive_a_lost_connection() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let mut messages = mqtt.subscribe("a", QoS::AtLeastOnce).await.unwrap();
    let mut connection = mqtt.connection();
    connection.mark_unchanged();
    broker.cut();
    connection
        .wait_for(|state| !state.is_connected())
        .await
        .unwrap();
    mqtt.connected().await.unwrap();
    // The broker knows nothing of us; our own message comes back behind the subscription.
    mqtt.publish("a", "again")
        .qos(QoS::AtLeastOnce)
        .acked()
        .await
        .unwrap();
    assert_eq!(messages.next().await.unwrap().text(), Some("again"));
}

#[tokio::test]
async fn a_master_subscription_serves_finer_filters() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let master = mqtt
        .subscribe("dev/7/#", QoS::AtLeastOnce)
        .master()
        .await
        .unwrap();
    broker.change(|manners| manners.grants = false);
    let mut fine = mqtt
        .subscribe("dev/7/+/set", QoS::AtLeastOnce)
        .await
        .unwrap();
    broker.publish("dev/7/led/get", b"no", QoS::AtLeastOnce);
    broker.publish("dev/7/led/set", b"yes", QoS::AtLeastOnce);
    assert_eq!(fine.next().await.unwrap().text(), Some("yes"));
    assert_eq!(master.granted(), Some(QoS::AtLeastOnce));
}
