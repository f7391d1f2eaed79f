//! The queue on flash: what survives which end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::config::Config;
use periwinkle_core::limits::MQTT_UNCLAIMED_BYTES_MAX;
use periwinkle_core::mqtt::codec::QoS;
use periwinkle_db::Database;

use super::{Broker, options};
use crate::mqtt::keeper::SHELF;
use crate::mqtt::{Mqtt, MqttError, Options};
use crate::net::clock::Clock;
use crate::stop::{Stopper, stop};

/// One life of an agent: its database, its client and the task that runs it.
struct Life {
    db: Database,
    mqtt: Mqtt,
    stopper: Stopper,
    running: tokio::task::JoinHandle<()>,
}

impl Life {
    async fn begin(folder: &Path, options: Options) -> Life {
        let clock = Clock::new(folder);
        let config = Config::default();
        let db = crate::database::open(&config, folder, "pump-7", clock.clone())
            .await
            .unwrap();
        let (mqtt, mut driver) = Mqtt::open(options, clock, Some(db.shelf(SHELF))).unwrap();
        let (stopper, mut stop) = stop();
        let running = tokio::spawn(async move { driver.run(&mut stop).await });
        Life {
            db,
            mqtt,
            stopper,
            running,
        }
    }

    async fn stop(self) {
        self.stopper.stop();
        self.running.await.unwrap();
        self.db.close().unwrap();
    }

    /// Nothing more is written, as if the process had been killed.
    async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
        self.db.flush().wait().unwrap();
        self.db.close().unwrap();
    }

    /// Messages on their way out, on flash.
    fn rows(&self) -> usize {
        self.count(b"o")
    }

    /// Received messages on flash, and ids.
    fn kept(&self) -> usize {
        self.count(b"d") + self.count(b"r")
    }

    fn count(&self, start: &[u8]) -> usize {
        let mut rows = 0;
        self.db.shelf(SHELF).each(start, |_, _| rows += 1).unwrap();
        rows
    }
}

/// A broker's address at which nobody answers.
async fn nobody() -> Options {
    let mut options = options(&Broker::start().await);
    options.address.port = 1;
    options
}

fn payloads(came: Vec<super::broker::Came>) -> Vec<String> {
    came.into_iter()
        .map(|came| String::from_utf8(came.payload).unwrap())
        .collect()
}

#[tokio::test]
async fn a_durable_message_survives_a_kill_and_leaves_no_row_behind() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), nobody().await).await;
    for (payload, qos) in [("0", QoS::AtMostOnce), ("2", QoS::ExactlyOnce)] {
        life.mqtt
            .publish("alarm", payload)
            .qos(qos)
            .durable()
            .accepted()
            .await
            .unwrap();
    }
    life.mqtt
        .publish("other", "lost")
        .qos(QoS::AtLeastOnce)
        .detach()
        .unwrap();
    assert_eq!(life.rows(), 2);
    life.kill().await;

    let broker = Broker::start().await;
    let life = Life::begin(folder.path(), options(&broker)).await;
    assert_eq!(life.mqtt.queued(), 2);
    let came = broker.came(2).await;
    // QoS 0 promises nothing, so a durable message with it has 1.
    assert_eq!(
        (came[0].qos, came[1].qos),
        (QoS::AtLeastOnce, QoS::ExactlyOnce)
    );
    assert_eq!(payloads(came), ["0", "2"]);
    life.mqtt.drained().await.unwrap();
    assert_eq!(life.rows(), 0);
    life.stop().await;
}

#[tokio::test]
async fn an_orderly_stop_keeps_everything_with_qos_1_and_2() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), nobody().await).await;
    for (payload, qos) in [
        ("0", QoS::AtMostOnce),
        ("1", QoS::AtLeastOnce),
        ("2", QoS::ExactlyOnce),
    ] {
        life.mqtt.publish("a", payload).qos(qos).detach().unwrap();
    }
    let waits = life
        .mqtt
        .publish("a", "3")
        .qos(QoS::AtLeastOnce)
        .track()
        .unwrap();
    let handle = life.mqtt.clone();
    life.stop().await;
    assert!(matches!(waits.acked().await, Err(MqttError::Stopped)));
    assert!(matches!(
        handle.publish("a", "4").detach(),
        Err(MqttError::Stopped)
    ));

    let broker = Broker::start().await;
    let life = Life::begin(folder.path(), options(&broker)).await;
    assert_eq!(payloads(broker.came(3).await), ["1", "2", "3"]);
    life.mqtt.drained().await.unwrap();
    life.stop().await;
}

#[tokio::test]
async fn a_late_acknowledgement_writes_to_flash_and_a_timely_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let mut options = options(&broker);
    options.session.spill_delay = Duration::from_millis(200);
    let life = Life::begin(folder.path(), options).await;
    for _ in 0..20 {
        life.mqtt
            .publish("a", "x")
            .qos(QoS::AtLeastOnce)
            .acked()
            .await
            .unwrap();
    }
    assert_eq!(life.mqtt.counts().spilled, 0);
    broker.change(|manners| manners.acknowledges = false);
    life.mqtt
        .publish("a", "late")
        .qos(QoS::AtLeastOnce)
        .detach()
        .unwrap();
    while life.rows() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(life.mqtt.counts().spilled, 1);
    life.kill().await;
    let life = Life::begin(folder.path(), super::options(&broker)).await;
    assert_eq!(life.mqtt.queued(), 1);
    life.stop().await;
}

#[tokio::test]
async fn a_topic_rule_makes_messages_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = nobody().await;
    options.durable_topics = vec!["alarm/#".to_owned()];
    let life = Life::begin(folder.path(), options).await;
    life.mqtt
        .publish("alarm/fire", "x")
        .accepted()
        .await
        .unwrap();
    life.mqtt
        .publish("other", "x")
        .qos(QoS::AtLeastOnce)
        .accepted()
        .await
        .unwrap();
    assert_eq!(life.rows(), 1);
    life.stop().await;
}

#[tokio::test]
async fn an_expired_message_is_not_sent_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), nobody().await).await;
    let soon = Duration::from_millis(1);
    life.mqtt
        .publish("a", "gone")
        .durable()
        .expiry(soon)
        .detach()
        .unwrap();
    life.mqtt
        .publish("a", "kept")
        .durable()
        .accepted()
        .await
        .unwrap();
    life.kill().await;
    let broker = Arc::new(Broker::start().await);
    let life = Life::begin(folder.path(), options(&broker)).await;
    life.mqtt.drained().await.unwrap();
    assert_eq!(payloads(broker.came(1).await), ["kept"]);
    life.stop().await;
}

#[tokio::test]
async fn a_durable_subscription_tells_again_what_was_not_dealt_with() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start().await;
        let life = Life::begin(folder.path(), options(&broker)).await;
        let mut messages = life.mqtt.subscribe("a/+", qos).durable().await.unwrap();
        broker.publish("a/1", b"dealt with", qos);
        broker.publish("a/2", b"not yet", qos);
        messages.recv().await.unwrap().ack();
        assert_eq!(messages.recv().await.unwrap().text(), Some("not yet"));
        // The broker need not keep either: flash does.
        broker.acked(2).await;
        while life.kept() > 1 {
            tokio::task::yield_now().await;
        }
        std::mem::forget(messages);
        life.kill().await;

        let life = Life::begin(folder.path(), options(&broker)).await;
        let mut other = life.mqtt.subscribe("a/#", qos).durable().begin().unwrap();
        let mut messages = life.mqtt.subscribe("a/+", qos).durable().begin().unwrap();
        let again = messages.recv().await.unwrap();
        assert_eq!((again.topic(), again.text()), ("a/2", Some("not yet")));
        again.ack();
        while life.kept() > 0 {
            tokio::task::yield_now().await;
        }
        let nothing = tokio::time::timeout(Duration::from_millis(20), other.recv()).await;
        assert!(nothing.is_err());
        life.stop().await;
    }
}

#[tokio::test]
async fn what_nobody_reads_is_bounded_on_flash_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let life = Life::begin(folder.path(), options(&broker)).await;
    let qos = QoS::AtLeastOnce;
    let asked = life.mqtt.subscribe("a", qos).durable();
    let messages = asked.buffer_bytes(2 * MQTT_UNCLAIMED_BYTES_MAX).await;
    let part = vec![0; MQTT_UNCLAIMED_BYTES_MAX / 40];
    let (sent, bytes) = (45, part.len() + "aa".len());
    for _ in 0..sent {
        broker.publish("a", &part, qos);
    }
    broker.acked(sent).await;
    assert_eq!(life.kept(), sent);
    drop(messages.unwrap());
    let kept = MQTT_UNCLAIMED_BYTES_MAX / bytes;
    while life.kept() > kept {
        tokio::task::yield_now().await;
    }
    let shown = |life: &Life, dropped| {
        let expected =
            serde_json::json!({"messages": kept, "bytes": kept * bytes, "dropped": dropped});
        assert_eq!(life.mqtt.show()["unclaimed"], expected);
    };
    shown(&life, sent - kept);
    life.stop().await;
    let life = Life::begin(folder.path(), options(&broker)).await;
    shown(&life, 0);
    life.stop().await;
}
