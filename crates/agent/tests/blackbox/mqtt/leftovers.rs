//! Subscriptions that nobody makes again after a restart: the broker would send for ever.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::process::Stdio;

use periwinkle::mqtt::QoS;

use super::broker::{Mosquitto, Setup};
use super::{connected, options};
use crate::agent::Home;
use crate::eventually::eventually;

const RULE: &str = "[[mqtt.route]]\nfrom = 'settings/#'\nmodel = 'Setting'\n";
const OTHER_RULE: &str = "[[mqtt.route]]\nfrom = 'wanted/#'\nmodel = 'Setting'\n";

/// A broker whose log tells of every packet.
fn talkative() -> Mosquitto {
    Mosquitto::new(Setup::default().global("log_type all\n"))
}

fn home(broker: &Mosquitto, rules: &str) -> Home {
    Home::with(&format!(
        "[mqtt]\nenable = true\nurl = '{}'\nclient_id = 'pump-7'\n{rules}",
        broker.url()
    ))
}

fn wait_for(broker: &Mosquitto, line: &str, count: usize) {
    eventually(line, || {
        (broker.log().matches(line).count() >= count).then_some(())
    });
}

/// What the broker sends to the device of messages to these topics.
async fn sent(broker: &Mosquitto, topics: &[&str]) -> Vec<bool> {
    let cloud = connected(options(broker, "cloud")).await;
    for topic in topics {
        let message = cloud.publish(topic, "x").qos(QoS::AtLeastOnce);
        message.acked().await.unwrap();
    }
    let log = broker.log();
    let to_device: Vec<&str> = (log.lines())
        .filter(|line| line.contains("Sending PUBLISH to pump-7"))
        .collect();
    let is_sent = |topic: &&str| to_device.iter().any(|line| line.contains(*topic));
    topics.iter().map(is_sent).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_filter_of_a_rule_that_is_no_more_is_given_up_and_that_of_one_that_stays_is_not() {
    let broker = talkative();
    let agent = home(&broker, &format!("{RULE}{OTHER_RULE}")).start();
    wait_for(&broker, "Sending SUBACK to pump-7", 2);
    let (home, _) = agent.stop();
    let text = fs::read_to_string(home.config()).unwrap();
    fs::write(home.config(), text.replace(RULE, "")).unwrap();
    let agent = home.start();
    wait_for(&broker, "Sending UNSUBACK to pump-7", 1);
    let topics = ["settings/a", "wanted/b"];
    assert_eq!(sent(&broker, &topics).await, [false, true]);
    let (home, _) = agent.stop();
    // It is not given up again.
    let agent = home.start();
    wait_for(&broker, "Sending CONNACK to pump-7", 3);
    wait_for(&broker, "Sending SUBACK to pump-7", 4);
    assert_eq!(broker.log().matches("Sending UNSUBACK").count(), 1);
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_somebody_listened_to_when_the_agent_was_killed_is_given_up() {
    let broker = talkative();
    let agent = home(&broker, "").start();
    let mut command = agent.home().command(&["mqtt", "sub", "--agent", "-t", "#"]);
    let mut listener = command.stdout(Stdio::null()).spawn().unwrap();
    wait_for(&broker, "Sending SUBACK to pump-7", 1);
    let home = agent.kill();
    listener.wait().unwrap();
    let agent = home.start();
    wait_for(&broker, "Sending UNSUBACK to pump-7", 1);
    assert_eq!(sent(&broker, &["anything"]).await, [false]);
    drop(agent);
}
