//! The MQTT client against brokers and clients that others wrote: mosquitto, its command line
//! tools, paho, and the AWS emulator.

mod broker;
mod cloud;
mod command_line;
mod hints;
mod judges;
mod leftovers;
mod link;
mod messages;
mod peer;
mod proxies;
mod queue;
mod restarts;
mod rules;
mod secure;
mod service;

use std::time::Duration;

use periwinkle::mqtt::{Message, Mqtt, Options, QoS, Subscription, Version};

use crate::eventually::PATIENCE;
use broker::Mosquitto;

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A client of this broker that forgets everything when it ends.
fn options(broker: &Mosquitto, client_id: &str) -> Options {
    let mut options = Options::new(&broker.url(), client_id).expect("it is an address");
    // A test does not wait as long as a device would.
    options.connection.pause = (Duration::from_millis(20), Duration::from_millis(200));
    options
}

async fn connected(options: Options) -> Mqtt {
    let mqtt = Mqtt::connect(options).expect("the options can be used");
    in_time("a connection", mqtt.connected())
        .await
        .expect("it was not stopped");
    mqtt
}

/// What comes of it, which has to be soon.
async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

async fn next(messages: &mut Subscription) -> Message {
    in_time("a message", messages.recv())
        .await
        .expect("the client goes on")
}

async fn texts(messages: &mut Subscription, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.push(next(messages).await.text().expect("it is text").to_owned());
    }
    texts
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
