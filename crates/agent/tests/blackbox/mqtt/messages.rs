//! Messages both ways, and everything that travels with them.

use std::time::Duration;

use periwinkle::mqtt::{Message, Mqtt, MqttError, Property, QoS, Reason, RetainHandling, Version};
use serde_json::{Value, json};

use super::broker::{Mosquitto, Setup};
use super::judges::{Collector, mosquitto_pub, paho, take};
use super::{QUALITIES, VERSIONS, connected, in_time, next, numbers, options, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paho_and_mosquitto_sub_get_every_quality_of_both_versions_in_order() {
    // With a bound of its own, which is 20, this broker lets a new message overtake those that wait
    // for a slow listener.
    let broker = Mosquitto::new(Setup::default().global("max_inflight_messages 0\n"));
    let collector = Collector::subscribe(&broker, "out/#");
    let mut judge = paho(&broker, "judge");
    judge.ask(&json!({"op": "subscribe", "filter": "out/#"}));
    let mut expected = Vec::new();
    for version in VERSIONS {
        let mut options = options(&broker, "ours");
        options.session.version = version;
        let mqtt = connected(options).await;
        for qos in QUALITIES {
            let topic = format!("out/{version:?}");
            for number in 0..20 {
                let text = format!("{number}");
                let acked = mqtt.publish(&topic, &text).qos(qos).acked();
                in_time("an acknowledgement", acked)
                    .await
                    .expect("it is taken");
                expected.push(format!("{} 0 {topic} {number}", qos.level()));
            }
        }
    }
    let shown = |message: &Value| {
        let (topic, payload) = (message["topic"].as_str(), message["payload"].as_str());
        let (topic, payload) = (topic.expect("text"), payload.expect("text"));
        format!("{} 0 {topic} {payload}", message["qos"])
    };
    let came: Vec<String> = take(&mut judge, expected.len()).iter().map(shown).collect();
    check_each_quality(&came, &expected);
    // For one who is away the broker keeps what was sent with more than QoS 0.
    expected.retain(|line| !line.starts_with('0'));
    check_each_quality(&collector.collect(expected.len()), &expected);
}

/// The same lines; in the same order those of one quality, which is what a broker promises.
#[track_caller]
fn check_each_quality(came: &[String], expected: &[String]) {
    assert_eq!(came.len(), expected.len());
    for level in ["0", "1", "2"] {
        let of_this = |lines: &[String]| -> Vec<String> {
            let lines = lines.iter().filter(|line| line.starts_with(level));
            lines.cloned().collect()
        };
        assert_eq!(of_this(came), of_this(expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mosquitto_pub_sends_comes_once_to_every_subscription_that_matches() {
    let broker = Mosquitto::plain();
    for version in VERSIONS {
        let mut options = options(&broker, "ours");
        options.session.version = version;
        let mqtt = connected(options).await;
        let mut wide = mqtt
            .subscribe("in/#", QoS::ExactlyOnce)
            .await
            .expect("granted");
        let mut narrow = mqtt
            .subscribe("in/+/x", QoS::ExactlyOnce)
            .await
            .expect("granted");
        assert_eq!(wide.granted(), Some(QoS::ExactlyOnce));
        for qos in ["0", "1", "2"] {
            mosquitto_pub(&broker, &["-t", "in/a/x", "-m", qos, "-q", qos]);
        }
        mosquitto_pub(&broker, &["-t", "in/end", "-m", "end", "-q", "2"]);
        assert_eq!(
            texts(&mut wide, 4).await,
            ["0", "1", "2", "end"],
            "{version:?}"
        );
        assert_eq!(texts(&mut narrow, 3).await, ["0", "1", "2"], "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_in_flight_together_arrive_once_and_in_order() {
    let broker = Mosquitto::plain();
    let mqtt = connected(options(&broker, "ours")).await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut messages = mqtt.subscribe("many", qos).manual().await.expect("granted");
        for number in 0..10_000 {
            mqtt.publish("many", number.to_string())
                .qos(qos)
                .detach()
                .expect("there is room");
        }
        for number in 0..10_000 {
            let message = next(&mut messages).await;
            assert_eq!(message.text(), Some(&*number.to_string()), "{qos:?}");
            message.ack();
        }
        in_time("the last acknowledgement", mqtt.drained())
            .await
            .expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_reach_paho_and_come_from_it_as_they_were_set() {
    let broker = Mosquitto::plain();
    let mqtt = connected(options(&broker, "ours")).await;
    let mut judge = paho(&broker, "judge");
    judge.ask(&json!({"op": "subscribe", "filter": "to/paho"}));
    mqtt.publish("to/paho", "{}")
        .qos(QoS::AtLeastOnce)
        .content_type("application/json")
        .property("room", "hall")
        .property("room", "cellar")
        .with(Property::ResponseTopic("back"))
        .with(Property::CorrelationData(&[1, 2, 0xff]))
        .with(Property::PayloadFormatIndicator(true))
        .expiry(Duration::from_secs(600))
        .acked()
        .await
        .expect("paho listens");
    let message = take(&mut judge, 1).remove(0);
    let mut properties = message["properties"].clone();
    let expiry = properties["MessageExpiryInterval"].take().as_u64();
    assert!(
        (590..=600).contains(&expiry.expect("it is there")),
        "{expiry:?}"
    );
    assert_eq!(
        properties,
        json!({
            "PayloadFormatIndicator": 1, "MessageExpiryInterval": null,
            "ContentType": "application/json", "ResponseTopic": "back",
            "CorrelationData": "0102ff",
            "UserProperty": [["room", "hall"], ["room", "cellar"]],
        })
    );
    let mut back = mqtt
        .subscribe("from/paho", QoS::AtLeastOnce)
        .await
        .expect("granted");
    judge.ask(&json!({
        "op": "publish", "topic": "from/paho", "payload": "hi", "qos": 1,
        "properties": {"ContentType": "text/plain", "ResponseTopic": "r",
                       "UserProperty": [["a", "1"], ["a", "2"]]},
    }));
    let message = next(&mut back).await;
    assert_eq!(
        (message.content_type(), message.response_topic()),
        (Some("text/plain"), Some("r"))
    );
    assert_eq!(user_properties(&message), [("a", "1"), ("a", "2")]);
}

fn user_properties(message: &Message) -> Vec<(&str, &str)> {
    let user = |property| match property {
        Property::UserProperty(name, value) => Some((name, value)),
        _ => None,
    };
    message.properties().iter().filter_map(user).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_come_to_whoever_subscribes_later_unless_it_says_no() {
    let broker = Mosquitto::plain();
    let mqtt = connected(options(&broker, "ours")).await;
    let kept = mqtt.publish("kept", "old").qos(QoS::AtLeastOnce).retain();
    kept.acked().await.expect("it is taken");
    let mut later = mqtt
        .subscribe("kept", QoS::AtLeastOnce)
        .await
        .expect("granted");
    let message = next(&mut later).await;
    assert_eq!((message.text(), message.retain()), (Some("old"), true));
    drop(later);
    for version in VERSIONS {
        let mut options = options(&broker, "other");
        options.session.version = version;
        let mqtt = connected(options).await;
        let first = mqtt.subscribe("kept", QoS::AtLeastOnce);
        let mut first = first.await.expect("granted");
        assert_eq!(next(&mut first).await.text(), Some("old"));
        // The second reader of this client is served as one of another client would be.
        let second = mqtt.subscribe("kept", QoS::AtLeastOnce);
        let message = next(&mut second.await.expect("granted")).await;
        assert_eq!((message.text(), message.retain()), (Some("old"), true));
    }
    let unwilling = mqtt
        .subscribe("kept", QoS::AtLeastOnce)
        .retained(RetainHandling::DoNotSend);
    let mut unwilling = unwilling.await.expect("granted");
    mosquitto_pub(&broker, &["-t", "kept", "-m", "new", "-r", "-q", "1"]);
    let message = next(&mut unwilling).await;
    assert_eq!((message.text(), message.retain()), (Some("new"), false));
    assert_eq!(
        Collector::subscribe(&broker, "kept").collect(1),
        ["1 1 kept new"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_subscription_gives_each_message_to_one_of_its_members() {
    let broker = Mosquitto::plain();
    let (one, two) = (
        connected(options(&broker, "one")).await,
        connected(options(&broker, "two")).await,
    );
    let mut first = one
        .subscribe("$share/g/jobs", QoS::AtLeastOnce)
        .await
        .expect("granted");
    let mut second = two
        .subscribe("$share/g/jobs", QoS::AtLeastOnce)
        .await
        .expect("granted");
    for number in numbers(0..100) {
        mosquitto_pub(&broker, &["-t", "jobs", "-m", &number, "-q", "1"]);
    }
    let mut all = Vec::new();
    while all.len() < 100 {
        let message = tokio::select! {
            message = next(&mut first) => message,
            message = next(&mut second) => message,
        };
        all.push(
            message
                .text()
                .expect("text")
                .parse::<u32>()
                .expect("a number"),
        );
    }
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paho_answers_our_questions_and_we_answer_its() {
    let broker = Mosquitto::plain();
    let mqtt = connected(options(&broker, "ours")).await;
    let mut judge = paho(&broker, "judge");
    judge.ask(&json!({"op": "echo", "filter": "service/upper"}));
    let questions = (0..50).map(|number| {
        let question = format!("question {number}");
        let asked = mqtt.request("service/upper", &question, Duration::from_secs(20));
        async move { (question, asked.await.expect("paho answers")) }
    });
    let asked: Vec<_> = questions.map(tokio::spawn).collect();
    for asked in asked {
        let (question, answer) = asked.await.expect("it does not panic");
        assert_eq!(String::from_utf8_lossy(&answer), question.to_uppercase());
    }
    let _responder = mqtt
        .respond("service/twice", |question: Message| async move {
            let text = question.text().unwrap_or_default();
            format!("{text}{text}")
        })
        .await
        .expect("granted");
    judge.ask(&json!({"op": "subscribe", "filter": "answers"}));
    judge.ask(&json!({
        "op": "publish", "topic": "service/twice", "payload": "ab", "qos": 1,
        "properties": {"ResponseTopic": "answers", "UserProperty": []},
    }));
    let answer = take(&mut judge, 1).remove(0);
    assert_eq!(
        (&answer["topic"], &answer["payload"]),
        (&json!("answers"), &json!("abab"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_nobody_hears_is_told_apart_from_one_that_nobody_answers() {
    let broker = Mosquitto::plain();
    let mqtt = connected(options(&broker, "ours")).await;
    let unheard = mqtt.request("nobody", "x", Duration::from_secs(20)).await;
    let told = unheard.expect_err("nobody is there").to_string();
    assert_eq!(told, "nobody listens to the topic of the question");
    let _silent = mqtt
        .subscribe("silent", QoS::AtLeastOnce)
        .await
        .expect("granted");
    let unanswered = mqtt
        .request("silent", "x", Duration::from_millis(300))
        .await;
    let told = unanswered.expect_err("it does not answer").to_string();
    assert_eq!(told, "no answer came within 300ms");
}

const RULES: &str = "acl_file {folder}/rules\n";

/// `topic` lines are about clients without a name.
fn with_rules(rules: &str) -> Mosquitto {
    Mosquitto::new(Setup {
        files: vec![("rules", rules.to_owned())],
        ..Setup::default().global(RULES)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_forbids_is_a_typed_error_and_the_rest_goes_on() {
    let broker = with_rules("topic readwrite open/#\n");
    let mqtt = connected(options(&broker, "ours")).await;
    let refused = mqtt
        .publish("secret", "x")
        .qos(QoS::AtLeastOnce)
        .acked()
        .await;
    assert!(
        matches!(refused, Err(MqttError::Rejected(Reason::NotAuthorized))),
        "{refused:?}"
    );
    let taken = mqtt
        .publish("open/a", "x")
        .qos(QoS::AtLeastOnce)
        .acked()
        .await;
    assert_eq!(taken.expect("it is allowed"), Reason::NoMatchingSubscribers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_the_right_one_works() {
    let broker = with_password("ada", "lovelace");
    let mut wrong = options(&broker, "ours");
    wrong.session.user_name = Some("ada".to_owned());
    wrong.session.password = Some("byron".to_owned().into());
    let mqtt = Mqtt::connect(wrong.clone()).expect("the options can be used");
    let mut connection = mqtt.connection();
    let told = |state: &periwinkle::mqtt::ConnectionState| {
        format!("{state:?}").contains("Bad user name or password")
            || format!("{state:?}").contains("not authorized")
    };
    in_time("a refusal", connection.wait_for(told))
        .await
        .expect("it runs");
    let mut right = wrong.clone();
    right.session.password = Some("lovelace".to_owned().into());
    connected(right).await;
    // In a file it may become right while the client runs.
    let file = tempfile::NamedTempFile::new().expect("a file for the test");
    std::fs::write(file.path(), "byron\n").expect("it is ours");
    wrong.password_file = Some(file.path().to_owned());
    let mqtt = Mqtt::connect(wrong).expect("the options can be used");
    let mut connection = mqtt.connection();
    in_time("a refusal", connection.wait_for(told))
        .await
        .expect("it runs");
    std::fs::write(file.path(), "lovelace\n").expect("it is ours");
    mqtt.retry();
    in_time("a connection", mqtt.connected())
        .await
        .expect("it runs");
}

/// `mosquitto_passwd` writes the file in its own form.
fn with_password(user: &str, password: &str) -> Mosquitto {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&file)
        .args([user, password])
        .output()
        .expect("mosquitto_passwd is there");
    assert!(made.status.success(), "{made:?}");
    let content = std::fs::read_to_string(&file).expect("it was written");
    Mosquitto::new(Setup {
        global: "allow_anonymous false\npassword_file {folder}/passwords\n".to_owned(),
        files: vec![("passwords", content)],
        ..Setup::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_bound_of_the_broker_is_refused_before_it_is_sent() {
    let broker = Mosquitto::new(Setup::default().global("max_packet_size 1000\n"));
    for version in VERSIONS {
        let mut options = options(&broker, "ours");
        options.session.version = version;
        let mqtt = connected(options).await;
        if version == Version::V5 {
            let large = mqtt
                .publish("a", [b'x'; 2000])
                .qos(QoS::AtLeastOnce)
                .acked()
                .await;
            let told = large.expect_err("it is too large").to_string();
            assert!(told.contains("1000") || told.contains("large"), "{told}");
        }
        let small = mqtt
            .publish("a", [b'x'; 500])
            .qos(QoS::AtLeastOnce)
            .acked()
            .await;
        small.expect("the connection has not suffered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_longer_than_we_take_keeps_nothing_back_that_is_behind_it() {
    let broker = Mosquitto::plain();
    let cloud = connected(options(&broker, "cloud")).await;
    for (topic, payload) in [("long/a", vec![b'x'; 300_000]), ("long/b", b"b".to_vec())] {
        let message = cloud.publish(topic, payload).retain();
        let sent = message.qos(QoS::AtLeastOnce).acked().await;
        sent.expect("mosquitto takes both");
    }
    for version in VERSIONS {
        let mut options = options(&broker, "ours");
        options.session.version = version;
        let mqtt = connected(options).await;
        let asked = mqtt.subscribe("long/#", QoS::AtLeastOnce).await;
        let mut messages = asked.expect("mosquitto grants it");
        assert_eq!(texts(&mut messages, 1).await, ["b"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_takes_few_at_once_gets_no_more_and_all_arrive() {
    let broker = Mosquitto::new(Setup::default().global("max_inflight_messages 3\n"));
    let collector = Collector::subscribe(&broker, "slow");
    let mqtt = connected(options(&broker, "ours")).await;
    for number in 0..500 {
        let text = number.to_string();
        mqtt.publish("slow", text)
            .qos(QoS::ExactlyOnce)
            .detach()
            .expect("there is room");
    }
    mqtt.publish("slow", "end")
        .qos(QoS::ExactlyOnce)
        .detach()
        .expect("there is room");
    in_time("the last one", mqtt.drained())
        .await
        .expect("it runs");
    assert_eq!(collector.payloads_to_the_end(), numbers(0..500));
}
