//! The other clients: mosquitto's tools, and paho.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::broker::Mosquitto;
use crate::counterparts::{Judge, asset, tool};

/// A subscriber whose messages the broker keeps until they are collected: mosquitto_sub with a
/// session of its own.
pub(super) struct Collector {
    port: u16,
    filter: String,
}

impl Collector {
    /// Subscribes with QoS 2 and goes away.
    pub(super) fn subscribe(broker: &Mosquitto, filter: &str) -> Collector {
        let collector = Collector {
            port: broker.port,
            filter: filter.to_owned(),
        };
        let output = collector.command().arg("-E").output().unwrap();
        check(&output);
        collector
    }

    /// Comes back for so many messages: QoS, retain flag, topic, payload.
    pub(super) fn collect(&self, count: usize) -> Vec<String> {
        let mut command = self.command();
        command.args(["-C", &count.to_string(), "-W", "30", "-F", "%q %r %t %p"]);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(
            output.status.success(),
            "{} of {count} messages came, the last was {:?}; {}",
            lines.len(),
            lines.last(),
            String::from_utf8_lossy(&output.stderr)
        );
        lines
    }

    /// Everything up to the message `end`: its payloads, doubles included.
    pub(super) fn payloads_to_the_end(&self) -> Vec<String> {
        let mut command = self.command();
        command.args(["-W", "60", "-F", "%p"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut payloads: Vec<String> = Vec::new();
        for line in lines.map_while(Result::ok) {
            payloads.push(line);
            if payloads.last().is_some_and(|last| last == "end") {
                break;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(payloads.pop().as_deref(), Some("end"), "{payloads:?}");
        payloads
    }

    fn command(&self) -> Command {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["-i", "collector", "-c", "-q", "2", "-t", &self.filter]);
        command
    }
}

/// mosquitto_pub with these words.
pub(super) fn mosquitto_pub(broker: &Mosquitto, words: &[&str]) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string()]);
    check(&command.args(words).output().unwrap());
}

fn check(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// paho, connected with version 5; `xtask/assets/mqtt_judge.py` lists the requests.
pub(super) fn paho(broker: &Mosquitto, client_id: &str) -> Judge {
    let mut command = Command::new(tool("venv-judges/bin/python"));
    command.arg(asset("mqtt_judge.py"));
    let mut judge = Judge::start(command);
    judge.ask(&json!({"op": "connect", "port": broker.port, "id": client_id}));
    judge
}

/// What paho has received since the last time, so many messages.
pub(super) fn take(judge: &mut Judge, count: usize) -> Vec<Value> {
    let answer = judge.ask(&json!({"op": "take", "count": count}));
    let messages = answer["messages"].as_array().unwrap().clone();
    assert_eq!(messages.len(), count, "{messages:?}");
    messages
}
