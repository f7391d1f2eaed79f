//! A message for which a broker closes the connection, and the others behind it.

use std::time::Duration;

use periwinkle::mqtt::{MqttError, QoS, Version};

use super::broker::{Mosquitto, Setup};
use super::judges::Collector;
use super::{connected, in_time, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_which_mosquitto_closes_the_connection_is_given_up_and_the_others_arrive() {
    // With 3.1.1 it cannot say how much it takes, and says nothing when it is too much.
    let broker = Mosquitto::new(Setup::default().global("max_packet_size 2000\n"));
    let collector = Collector::subscribe(&broker, "q/#");
    let mut options = options(&broker, "ours");
    options.session.version = Version::V311;
    options.session.clean_start = false;
    // Connections that end so soon look like a second client of the same name, which is given time.
    options.connection.takeover_pause = options.connection.pause;
    let mqtt = connected(options).await;
    let publish = |topic: &str, payload: String| {
        let message = mqtt.publish(topic, payload).qos(QoS::AtLeastOnce);
        message.track().expect("there is room")
    };
    let before = publish("q/a", "before".to_owned());
    let large = publish("q/b", "x".repeat(3000));
    let behind: Vec<_> = (0..20).map(|n| publish("q/c", n.to_string())).collect();
    let end = publish("q/c", "end".to_owned());
    in_time("the first message", before.acked())
        .await
        .expect("it is taken");
    let given_up = tokio::time::timeout(Duration::from_secs(120), large.acked()).await;
    match given_up.expect("it is given up in time") {
        Err(MqttError::Dropped(cause)) => assert_eq!(
            cause.to_string(),
            "each connection ended when it was sent, and none without it"
        ),
        other => panic!("{other:?}"),
    }
    for delivery in behind.iter().chain([&end]) {
        in_time("a message behind it", delivery.acked())
            .await
            .expect("it is taken");
    }
    let log = broker.log();
    assert!(log.contains("oversize packet"), "{log}");
    let expected: Vec<String> = (0..20).map(|n: u32| n.to_string()).collect();
    let came = collector.payloads_to_the_end();
    assert_eq!(came[0], "before");
    let mut rest = came[1..].to_vec();
    // With QoS 1 one may come twice, side by side, for its acknowledgement was lost.
    rest.dedup();
    assert_eq!(rest, expected);
}
