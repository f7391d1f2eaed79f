//! What a long outage costs in memory, as the system counts it.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeMap;
use std::fs;
use std::thread;

use serde_json::json;

use super::broker::{Mosquitto, PERSISTENT, Setup};
use super::judges::Collector;
use crate::agent::{Agent, Home};
use crate::client::Client;
use crate::eventually::eventually;

const PUBLISHERS: u32 = 4;
const MESSAGES_OF_EACH: u32 = 25_000;
const PAYLOAD_BYTES: usize = 100;
/// What the agent may take at most beyond what it had before the outage: for each message its place
/// in the queue and its row in the database's directory, and once the cache of values.
const GROWTH_KIB_MAX: u64 = 90 * 1024;

/// The most that the process ever had in memory.
fn peak_kib(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.unwrap().trim().trim_end_matches(" kB");
    text.parse().unwrap()
}

fn publish_all(owner: &Client, publisher: u32) {
    for number in 0..MESSAGES_OF_EACH {
        let payload = format!("{publisher} {number} ");
        let payload = format!("{payload:x<PAYLOAD_BYTES$}");
        let message = json!({"topic": format!("q/{publisher}"), "payload": payload, "qos": 1});
        owner.post("/api/v1/mqtt/publish", &message).expect(200);
    }
}

#[test]
fn a_hundred_thousand_messages_wait_in_bounded_memory_and_leave_in_order() {
    let mut broker = Mosquitto::new(Setup::default().global(PERSISTENT));
    let collector = Collector::subscribe(&broker, "q/#");
    broker.stop();
    let agent = Home::with(&format!(
        "[mqtt]\nenable = true\nurl = \"{}\"\nclient_id = \"pump-7\"\n",
        broker.url()
    ))
    .start();
    let owner = agent.owner();
    let before = peak_kib(&agent);
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let owner = &owner;
            scope.spawn(move || publish_all(owner, publisher));
        }
    });
    let queue = agent.status()["mqtt"].clone();
    let all = PUBLISHERS * MESSAGES_OF_EACH;
    assert_eq!(queue["queue"]["messages"], all, "{queue}");
    eventually("all messages are spilled", || {
        (agent.status()["mqtt"]["counts"]["spilled"] == all).then_some(())
    });
    let grown = peak_kib(&agent) - before;
    println!("{all} messages: from {before} KiB by {grown} KiB");
    assert!(grown < GROWTH_KIB_MAX, "from {before} KiB by {grown} KiB");

    // What waits is on flash, so that a new life has it as soon as it has started.
    let (home, code) = agent.stop();
    assert_eq!(code, Some(0));
    let agent = home.start();
    assert_eq!(agent.status()["mqtt"]["queue"]["messages"], all);
    let owner = agent.login();
    broker.start();
    eventually("the queue is empty", || {
        (agent.status()["mqtt"]["queue"]["messages"] == 0).then_some(())
    });
    let end = json!({"topic": "q/end", "payload": "end", "qos": 1, "wait": "acked"});
    owner.post("/api/v1/mqtt/publish", &end).expect(200);
    let grown = peak_kib(&agent).saturating_sub(before);
    println!("after a restart by {grown} KiB");
    assert!(grown < GROWTH_KIB_MAX, "after a restart by {grown} KiB");
    let mut came: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for text in collector.payloads_to_the_end() {
        let mut words = text.split(' ').map(|word| word.parse().unwrap_or(u32::MAX));
        let (publisher, number) = (words.next().unwrap(), words.next().unwrap());
        came.entry(publisher).or_default().push(number);
    }
    let expected: Vec<u32> = (0..MESSAGES_OF_EACH).collect();
    for (publisher, numbers) in came {
        assert!(numbers == expected, "{publisher}: {} came", numbers.len());
    }
}
