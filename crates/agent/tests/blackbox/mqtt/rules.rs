//! Rules that a broker refuses, that cannot work, or that would never come to rest.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::process::{Child, Stdio};

use periwinkle::mqtt::QoS;
use serde_json::{Value, json};

use super::broker::{Mosquitto, Setup};
use super::peer::{CONNACK, CONNECT, Peer};
use super::{connected, options};
use crate::agent::{Agent, Home};
use crate::eventually::eventually;

fn home(url: &str, more: &str) -> Home {
    Home::with(&format!(
        "[mqtt]\nenable = true\nurl = '{url}'\nclient_id = 'pump-7'\n{more}"
    ))
}

fn mqtt(agent: &Agent) -> Value {
    agent.status()["mqtt"].clone()
}

const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

#[test]
fn a_refused_subscription_of_a_rule_is_logged_once_and_shown() {
    let peer = Peer::start(|talk| {
        loop {
            match talk.read()? {
                (CONNECT, _) => talk.write(CONNACK, &[0, 0, 0])?,
                // Not authorized.
                (SUBSCRIBE, body) => talk.write(SUBACK, &[body[0], body[1], 0, 0x87])?,
                _ => {}
            }
        }
    });
    let rule = "[[mqtt.route]]\nfrom = 'settings/#'\nmodel = 'Setting'\n";
    let agent = home(&peer.url(), rule).start();
    let refused = eventually("the refusal", || {
        let refused = mqtt(&agent)["refused_subscriptions"].clone();
        (refused != json!([])).then_some(refused)
    });
    let expected = json!([
        {"filter": "settings/#", "reason": "not authorized (0x87)", "code": 0x87},
    ]);
    assert_eq!(refused, expected);
    let log = agent.log();
    let words = "the broker refused a subscription: not authorized (0x87)";
    assert_eq!(log.matches(words).count(), 1, "{log}");
    let shown = agent.home().run(&["mqtt", "status"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("settings/#: not authorized (0x87)"),
        "{shown}"
    );
}

#[test]
fn refused_messages_of_a_rule_are_logged_now_and_then_and_counted() {
    // Without a bound of its queue, mosquitto 2.0 closes the connection after a refusal.
    let broker = Mosquitto::new(Setup {
        global: "allow_anonymous true\nacl_file {folder}/rules\n".to_owned(),
        files: vec![("rules", "topic readwrite open/#\n".to_owned())],
        ..Setup::default()
    });
    let rule = "[[mqtt.route]]\nmodel = 'Setting'\nto = 'state/${id}'\n";
    let agent = home(&broker.url(), rule).start();
    let owner = agent.owner();
    for id in ["a", "b", "c"] {
        let path = format!("/api/v1/data/Setting/{id}");
        owner.json("PUT", &path, &json!({"value": "1"}));
    }
    eventually("three refusals", || {
        (mqtt(&agent)["rules"]["refused"] == 3).then_some(())
    });
    assert_eq!(mqtt(&agent)["counts"]["rejected"], 3);
    let log = agent.log();
    let words = "the broker refused a message: not authorized (0x87)";
    assert_eq!(log.matches(words).count(), 1, "{log}");
    assert!(log.contains("state/"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_that_become_no_item_are_counted_and_logged_now_and_then() {
    let broker = Mosquitto::plain();
    let rule = "[[mqtt.route]]\nfrom = 'settings/+'\nmodel = 'Setting'\n\
                set = { id = '${topic.1}', value = '${payload.value}' }\n";
    let agent = home(&broker.url(), rule).start();
    let cloud = connected(options(&broker, "cloud")).await;
    eventually("the subscription", || {
        (mqtt(&agent)["state"] == "connected").then_some(())
    });
    for payload in ["no JSON", r#"{"value":null}"#, r#"{"value":"on"}"#] {
        let message = cloud.publish("settings/led", payload).retain();
        message.qos(QoS::AtLeastOnce).acked().await.unwrap();
    }
    eventually("an item", || {
        (mqtt(&agent)["rules"]["items"] == 1).then_some(())
    });
    // Where the subscription came late, only the message that is retained has come.
    let no_item = mqtt(&agent)["rules"]["no_item"].clone();
    assert!(no_item == 2 || no_item == 1 || no_item == 0, "{no_item}");
    for _ in 0..2 {
        let message = cloud.publish("settings/led", "no JSON");
        message.qos(QoS::AtLeastOnce).acked().await.unwrap();
    }
    let before = no_item.as_u64().unwrap();
    eventually("two that are none", || {
        (mqtt(&agent)["rules"]["no_item"] == before + 2).then_some(())
    });
    let log = agent.log();
    assert_eq!(log.matches("a message became no item").count(), 1, "{log}");
    let item = agent.owner().get("/api/v1/data/Setting/led").expect(200);
    assert_eq!(item.json()["value"], "on");
}

const LOOP: &str = "[[mqtt.route]]\nfrom = 'settings/#'\nmodel = 'Setting'\n\
                    set = { id = '${topic.1}', value = '${payload}' }\n\
                    [[mqtt.route]]\nmodel = 'Setting'\nto = 'settings/${id}'\npayload = '${value}'\n";

#[test]
fn rules_that_cannot_work_are_refused_by_check_and_at_the_start() {
    let table = [
        (
            LOOP.to_owned(),
            "with to = \"settings/${id}\": its messages come back",
        ),
        (
            "[[mqtt.route]]\nmodel = 'Setting'\nto = 'a/+/${id}'\n".to_owned(),
            "cannot hold `+`",
        ),
        (
            "[[mqtt.route]]\nfrom = 'b/+'\nmodel = 'Setting'\nset = { id = '${topic.9}' }\n"
                .to_owned(),
            "levels 0 to 1",
        ),
        (
            "[[mqtt.route]]\nfrom = 'b/+'\nmodel = 'Setting'\nset = { value = 'x' }\n".to_owned(),
            "`set` has no \"id\"",
        ),
        (
            "[[mqtt.route]]\nmodel = 'Setting'\nto = 'a/${id}'\nqos = 0\ndurable = true\n"
                .to_owned(),
            "`durable` needs `qos`",
        ),
    ];
    for (rules, words) in table {
        let home = home("mqtt://127.0.0.1:9", &rules);
        for verb in ["check", "run"] {
            let output = home.run(&[verb]);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{verb}: {text}");
            assert!(text.contains(words), "{verb}: {text}");
        }
    }
}

#[test]
fn check_reads_the_files_of_tls_as_the_start_does() {
    for keys in [
        "ca = 'none.pem'\n",
        "certificate = 'none.pem'\nkey = 'none.pem'\n",
    ] {
        let home = home("mqtts://127.0.0.1:9", keys);
        fs::write(home.path().join("none.pem"), "no certificate\n").unwrap();
        for verb in ["check", "run"] {
            let output = home.run(&[verb]);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{verb}: {text}");
            assert!(text.contains("none.pem"), "{verb}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_that_says_nothing_new_is_no_change_so_a_circle_comes_to_rest() {
    let broker = Mosquitto::plain();
    // With 3.1.1 the broker sends us our own messages, too.
    let more = format!("version = '3.1.1'\n{LOOP}circular = true\n");
    let agent = home(&broker.url(), &more).start();
    eventually("the connection", || {
        (mqtt(&agent)["state"] == "connected").then_some(())
    });
    let cloud = connected(options(&broker, "cloud")).await;
    let message = cloud.publish("settings/led", "on").qos(QoS::AtLeastOnce);
    message.retain().acked().await.unwrap();
    // The message, and what the change that it is was published as.
    eventually("both are items", || {
        (mqtt(&agent)["rules"]["items"] == 2).then_some(())
    });
    let message = cloud.publish("settings/led", "on").qos(QoS::AtLeastOnce);
    message.acked().await.unwrap();
    eventually("it comes again", || {
        (mqtt(&agent)["rules"]["items"] == 3).then_some(())
    });
    assert_eq!(mqtt(&agent)["rules"]["published"], 1);
    assert_eq!(mqtt(&agent)["counts"]["accepted"], 1);
}

/// `mqtt sub --agent` to this filter, beside one rule, until it has printed so many lines.
fn listen(agent: &Agent, filter: &str, count: &str) -> Child {
    let words = ["mqtt", "sub", "--agent", "-v", "-t", filter, "-C", count];
    let mut command = agent.home().command(&words);
    let listener = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("the subscription of the listener", || {
        (mqtt(agent)["subscriptions"] == 2).then_some(())
    });
    listener
}

fn lines(listener: Child) -> Vec<String> {
    let output = listener.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_listener_beside_a_rule_takes_nothing_away_from_it() {
    for filter in ["settings/+", "$share/group/settings/+"] {
        let broker = Mosquitto::plain();
        let rule = format!(
            "[[mqtt.route]]\nfrom = '{filter}'\nmodel = 'Setting'\n\
             set = {{ id = '${{topic.1}}', value = '${{payload}}' }}\n"
        );
        let agent = home(&broker.url(), &rule).start();
        eventually("the subscription of the rule", || {
            (mqtt(&agent)["state"] == "connected").then_some(())
        });
        let listener = listen(&agent, filter, "2");
        let cloud = connected(options(&broker, "cloud")).await;
        for id in ["led", "fan"] {
            let topic = format!("settings/{id}");
            let message = cloud.publish(&topic, "on");
            message.qos(QoS::AtLeastOnce).acked().await.unwrap();
        }
        assert_eq!(lines(listener), ["settings/led on", "settings/fan on"]);
        eventually("two items", || {
            (mqtt(&agent)["rules"]["items"] == 2).then_some(())
        });
        // The rule goes on when the listener is gone.
        let message = cloud.publish("settings/lamp", "on");
        message.qos(QoS::AtLeastOnce).acked().await.unwrap();
        eventually("a third one", || {
            (mqtt(&agent)["rules"]["items"] == 3).then_some(())
        });
        let shown = mqtt(&agent);
        assert_eq!(
            (&shown["connections"], &shown["received"]),
            (&json!(1), &json!(3))
        );
        drop(agent.stop());
    }
}
