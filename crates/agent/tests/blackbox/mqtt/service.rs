//! The client as a service of the agent: its section in the status, its endpoints, its rules, and
//! its queue in the agent's database.

use periwinkle::mqtt::QoS;
use serde_json::json;

use super::broker::Mosquitto;
use super::{connected, next, options};
use crate::agent::{Agent, Home};
use crate::eventually::eventually;

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
