//! The client as a service of the agent: its section in the status, its endpoints, its rules, and
//! its queue in the agent's database.

use periwinkle::mqtt::{QoS, Subscription};
use serde_json::json;

use super::broker::Mosquitto;
use super::{connected, next, options};
use crate::agent::{Agent, Home};
use crate::eventually::eventually;
use crate::full_disk::Mount;

fn agent(broker: &Mosquitto, rules: &str) -> Agent {
    let section = format!(
        "[mqtt]\nenable = true\nurl = '{}'\nclient_id = 'agent'\npause_max = '1 s'\n{rules}",
        broker.url()
    );
    Home::with(&section).start()
}

fn is_connected(agent: &Agent) {
    let state = |agent: &Agent| agent.status()["mqtt"]["state"].clone();
    eventually("the agent is connected", || {
        (state(agent) == "connected").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rules_carry_messages_into_a_model_and_its_changes_out() {
    let broker = Mosquitto::plain();
    let agent = agent(
        &broker,
        "[[mqtt.route]]\n\
         from = 'settings/+/set'\n\
         model = 'Setting'\n\
         set = { id = '${topic.1}', value = '${payload}' }\n\
         [[mqtt.route]]\n\
         model = 'Setting'\n\
         to = 'state/${id}'\n\
         payload = '${value}'\n\
         retain = true\n",
    );
    is_connected(&agent);
    let owner = agent.owner();
    let cloud = connected(options(&broker, "cloud")).await;
    let mut states = cloud.subscribe("state/#", QoS::AtLeastOnce).await.unwrap();
    let set = cloud
        .publish("settings/led/set", "on")
        .qos(QoS::AtLeastOnce)
        .retain();
    set.acked().await.unwrap();
    let state = next(&mut states).await;
    assert_eq!((state.topic(), state.text()), ("state/led", Some("on")));
    let item = owner.get("/api/v1/data/Setting/led").expect(200).json();
    assert_eq!(item["value"], "on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_wait_for_room_on_the_disk_to_become_items() {
    let broker = Mosquitto::plain();
    let section = format!(
        "[metrics]\nenable = false\n[mqtt]\nenable = true\nurl = '{}'\n[[mqtt.route]]\n\
         from = 'settings/+/set'\nmodel = 'Setting'\n\
         set = {{ id = '${{topic.1}}', value = '${{payload}}' }}\n",
        broker.url()
    );
    let home = Home::with(&section);
    let mount = Mount::new(home.state(), "10m");
    let agent = home.start();
    is_connected(&agent);
    let owner = agent.owner();
    for bytes in [200_000, 2000, 1] {
        let value = json!({"value": "x".repeat(bytes)});
        let put = |n| owner.json("PUT", &format!("/api/v1/data/Setting/{bytes}-{n}"), &value);
        assert!((0..2000).any(|n| put(n).status == 507), "there is room");
    }
    let cloud = connected(options(&broker, "cloud")).await;
    for led in 0..20 {
        let topic = format!("settings/led{led}/set");
        let set = cloud.publish(&topic, "on".repeat(500));
        set.qos(QoS::AtLeastOnce).acked().await.unwrap();
    }
    eventually("the agent says that messages wait", || {
        agent
            .log()
            .contains("messages wait to become items")
            .then_some(())
    });
    mount.resize("64m");
    for led in 0..20 {
        eventually("each message becomes an item", || {
            let path = format!("/api/v1/data/Setting/led{led}");
            (owner.get(&path).status == 200).then_some(())
        });
    }
    assert!(!agent.log().contains("became no item"), "{}", agent.log());
    drop(agent);
    drop(mount);
}

#[test]
fn an_agent_with_a_rule_that_cannot_work_does_not_start_and_says_which() {
    let home = Home::with(
        "[mqtt]\nenable = true\nurl = 'mqtt://localhost:1'\n\
         [[mqtt.route]]\nmodel = 'Sitting'\nto = 'state/${id}'\n",
    );
    let output = home.run(&["run"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    let words = "the `[[mqtt.route]]` with to = \"state/${id}\": there is no model \"Sitting\"";
    assert!(told.contains(words), "{told}");
}

const SETTINGS_OUT: &str =
    "[[mqtt.route]]\nmodel = 'Setting'\nto = 'state/${id}'\npayload = '${value}'\n";

/// Writes to the files of an agent that does not run.
fn put(home: &Home, id: &str, value: &str) {
    let words = [
        "db",
        "put",
        "Setting",
        &format!("id={id}"),
        &format!("value={value}"),
    ];
    let output = home.run(&words);
    assert!(output.status.success(), "{output:?}");
}

fn remove(home: &Home, id: &str) {
    let output = home.run(&["db", "remove", "Setting", id]);
    assert!(output.status.success(), "{output:?}");
}

fn rules(agent: &Agent) -> serde_json::Value {
    agent.status()["mqtt"]["rules"].clone()
}

/// What came, up to the message that ends the test, without what came before.
async fn states_until_end(states: &mut Subscription) -> Vec<String> {
    let mut came = Vec::new();
    loop {
        let state = next(states).await;
        let text = format!("{}={}", state.topic(), state.text().unwrap_or("?"));
        if text == "state/end=1" {
            return came;
        }
        if !came.contains(&text) {
            came.push(text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_changes_while_the_agent_is_down_is_published_when_it_is_back() {
    for (durable, killed) in [(false, false), (false, true), (true, true)] {
        let broker = Mosquitto::plain();
        let cloud = connected(options(&broker, "cloud")).await;
        let mut states = cloud.subscribe("state/#", QoS::AtLeastOnce).await.unwrap();
        let agent = agent(&broker, &format!("{SETTINGS_OUT}durable = {durable}\n"));
        is_connected(&agent);
        put(agent.home(), "before", "1");
        assert_eq!(next(&mut states).await.topic(), "state/before");
        put(agent.home(), "goes", "1");
        assert_eq!(next(&mut states).await.topic(), "state/goes");
        let home = match killed {
            true => agent.kill(),
            false => agent.stop().0,
        };
        put(&home, "b", "1");
        put(&home, "a", "1");
        remove(&home, "goes");
        put(&home, "before", "2");
        put(&home, "end", "1");
        let agent = home.start();
        let mut came = states_until_end(&mut states).await;
        // That these had come was not on flash when the agent was killed.
        let may_come_again = ["state/before=1", "state/goes=1"];
        came.retain(|state| !killed || !may_come_again.contains(&state.as_str()));
        assert_eq!(came, ["state/b=1", "state/a=1", "state/before=2"]);
        assert_eq!(rules(&agent)["gaps"], 0, "{durable} {killed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_published_is_not_published_again_after_an_orderly_restart() {
    let mut broker = Mosquitto::plain();
    let agent = agent(&broker, SETTINGS_OUT);
    is_connected(&agent);
    // One that is acknowledged, and one that is kept on flash when the agent stops.
    put(agent.home(), "acknowledged", "1");
    eventually("the acknowledgement", || {
        (agent.status()["mqtt"]["counts"]["completed"] == 1).then_some(())
    });
    broker.kill();
    put(agent.home(), "kept", "1");
    eventually("the second message", || {
        (rules(&agent)["published"] == 2).then_some(())
    });
    let (home, _) = agent.stop();
    broker.start();
    let cloud = connected(options(&broker, "cloud")).await;
    let mut states = cloud.subscribe("state/#", QoS::AtLeastOnce).await.unwrap();
    let agent = home.start();
    put(agent.home(), "end", "1");
    assert_eq!(states_until_end(&mut states).await, ["state/kept=1"]);
    assert_eq!(
        rules(&agent),
        json!({"published": 1, "unpublishable": 0, "gaps": 0})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn changes_wait_for_room_in_a_full_queue() {
    let mut broker = Mosquitto::plain();
    let rules_and_bound = format!("queue_rows_max = 3\n{SETTINGS_OUT}");
    let agent = agent(&broker, &rules_and_bound);
    is_connected(&agent);
    broker.kill();
    for number in 0..10 {
        put(agent.home(), &format!("{number}"), "1");
    }
    put(agent.home(), "end", "1");
    eventually("a full queue", || {
        (agent.status()["mqtt"]["queue"]["messages"] == 3).then_some(())
    });
    broker.start();
    let cloud = connected(options(&broker, "cloud")).await;
    let mut states = cloud.subscribe("state/#", QoS::AtLeastOnce).await.unwrap();
    let all: Vec<String> = (0..10).map(|number| format!("state/{number}=1")).collect();
    assert_eq!(states_until_end(&mut states).await, all);
    assert_eq!(agent.status()["mqtt"]["counts"]["refused"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_durable_message_survives_a_kill_of_the_agent() {
    let mut broker = Mosquitto::plain();
    let agent = agent(&broker, "");
    is_connected(&agent);
    broker.kill();
    let owner = agent.owner();
    let message = json!({
        "topic": "alarm", "payload": "fire", "qos": 2, "retain": true,
        "durable": true, "wait": "accepted",
    });
    let answer = owner.post("/api/v1/mqtt/publish", &message).expect(200);
    assert_eq!(answer.json(), json!({"reason": null}));
    let home = agent.kill();
    broker.start();
    let agent = home.start();
    let cloud = connected(options(&broker, "cloud")).await;
    let mut alarms = cloud.subscribe("alarm", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(next(&mut alarms).await.text(), Some("fire"));
    eventually("the queue is empty", || {
        (agent.status()["mqtt"]["queue"]["messages"] == 0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn programs_publish_ask_and_are_told_what_is_wrong_over_rest() {
    let broker = Mosquitto::plain();
    let agent = agent(&broker, "");
    is_connected(&agent);
    let owner = agent.owner();
    let cloud = connected(options(&broker, "cloud")).await;
    let answers = cloud.respond(
        "service/echo",
        |question: periwinkle::mqtt::Message| async move { question.payload().to_vec() },
    );
    let _serving = answers.await.unwrap();

    let publish = |body| owner.post("/api/v1/mqtt/publish", &body);
    let acked = publish(json!({"topic": "a", "payload": "x", "qos": 1, "wait": "acked"}));
    assert!(acked.expect(200).json()["reason"].is_string());
    assert_eq!(
        publish(json!({"topic": "a/+"})).expect(400).json()["kind"],
        "message_invalid"
    );
    assert_eq!(
        publish(json!({"topic": "a", "qos": 3})).expect(400).json()["field"],
        "qos"
    );
    assert_eq!(
        publish(json!({"topik": "a"})).expect(400).json()["kind"],
        "body_invalid"
    );

    let ask = |body| owner.post("/api/v1/mqtt/request", &body);
    let answer = ask(json!({"topic": "service/echo", "payload_base64": "/w=="}));
    assert_eq!(answer.expect(200).json(), json!({"payload_base64": "/w=="}));
    let nobody = json!({"topic": "nobody", "timeout_ms": 50});
    assert_eq!(ask(nobody).json()["kind"], "no_answer");
    agent.client().get("/api/v1/mqtt").expect(401);
    let counts = owner.get("/api/v1/mqtt").expect(200).json()["counts"].clone();
    assert_eq!(counts["refused"], 0);
}
