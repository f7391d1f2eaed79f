//! The MQTT client against brokers and clients that others wrote: mosquitto, its command line
//! tools, paho, and the AWS emulator.
//!
//! What people miss in the clients that there are, and the test that shows that it is here:
//!
//! | a device must not | test |
//! |---|---|
//! | lose what it publishes while there is no broker | `queue::an_orderly_restart_without_a_broker_loses_nothing_and_keeps_the_order` |
//! | fill its memory with messages of QoS 0 | `queue::messages_with_qos_0_wait_within_the_bound_of_the_queue` |
//! | keep all or nothing of an outage: newest first, by age, by time of use | `queue::a_full_queue_can_keep_the_newest_and_counts_the_others`, `mqtt::tests::keeping` |
//! | stay deaf after a broker lost its sessions | `restarts::a_broker_without_a_memory_is_asked_for_every_subscription_again` |
//! | fail a publish because it is offline | `restarts::messages_taken_while_the_broker_is_away_arrive_in_order_when_it_is_back` |
//! | grow, or start slowly, because an outage was long | `outage::a_hundred_thousand_messages_wait_in_bounded_memory_and_leave_in_order` |
//! | lose its queue with the power | `queue::a_killed_agent_has_kept_what_was_durable`, `mqtt::tests::power` |
//! | hide its queue, or what it does at a bound | `queue::a_full_queue_refuses_in_words_and_takes_more_when_there_is_room` |
//! | believe in a connection that is dead | `link::a_connection_whose_packets_vanish_is_noticed_and_replaced` |
//! | stop after some resets | `link::a_connection_that_is_reset_again_and_again_loses_no_line` |
//! | lose what it sent before it noticed a loss | `restarts::a_broker_killed_with_messages_in_flight_gets_again_what_it_had_not_acknowledged` |
//! | treat QoS 1 and 2 as a wish | `messages::paho_and_mosquitto_sub_get_every_quality_of_both_versions_in_order`, `queue::an_agent_killed_again_and_again_while_it_sends_delivers_each_accepted_message_once` |
//! | drop in silence above a limit, of its own or of the broker | `messages::a_message_over_the_bound_of_the_broker_is_refused_before_it_is_sent`, `messages::a_broker_that_takes_few_at_once_gets_no_more_and_all_arrive`, `suspicion` |

mod broker;
mod cloud;
mod command_line;
mod hints;
mod judges;
mod link;
mod messages;
mod outage;
mod peer;
mod proxies;
mod queue;
mod restarts;
mod secure;
mod service;
mod suspicion;

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
