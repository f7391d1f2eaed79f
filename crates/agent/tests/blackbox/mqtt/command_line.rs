//! `periwinkle mqtt`, beside mosquitto's tools and paho.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Output, Stdio};

use serde_json::{Value, json};

use super::broker::{Mosquitto, Setup};
use super::judges::{Collector, mosquitto_pub, paho, take};
use super::numbers;
use crate::agent::Home;
use crate::eventually::eventually;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `periwinkle mqtt VERB -p PORT WORDS`, to its end.
fn run(broker: &Mosquitto, verb: &str, words: &[&str]) -> Output {
    let port = broker.port.to_string();
    let mut all = vec!["mqtt", verb, "-p", &port];
    all.extend(words);
    Home::new().run(&all)
}

#[track_caller]
fn check(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// `periwinkle mqtt sub`, once it has subscribed; killed when it goes out of scope.
struct Sub {
    child: Child,
    lines: BufReader<ChildStdout>,
    _home: Home,
}

impl Sub {
    /// Mosquitto tells in its log when the subscription is there.
    fn start(broker: &Mosquitto, words: &[&str]) -> Sub {
        let port = broker.port.to_string();
        let mut all = vec!["mqtt", "sub", "-p", &port];
        all.extend(words);
        let before = subscribed(broker);
        let home = Home::new();
        let mut command = home.command(&all);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        eventually("the subscription", || {
            (subscribed(broker) > before).then_some(())
        });
        let lines = BufReader::new(child.stdout.take().unwrap());
        Sub {
            child,
            lines,
            _home: home,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn subscribed(broker: &Mosquitto) -> usize {
    broker.log().matches("Sending SUBACK").count()
}

/// A broker whose log tells of every packet.
fn talkative() -> Mosquitto {
    Mosquitto::new(Setup::default().global("log_type all\n"))
}

#[test]
fn each_line_of_standard_input_becomes_a_message_in_order() {
    let broker = Mosquitto::plain();
    for (version, qos) in [("311", "2"), ("5", "1")] {
        let collector = Collector::subscribe(&broker, "lines");
        let home = Home::new();
        let port = broker.port.to_string();
        let words = [
            "mqtt", "pub", "-p", &port, "-t", "lines", "-l", "-q", qos, "-V", version, "--json",
        ];
        let mut command = home.command(&words);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut input = child.stdin.take().unwrap();
        for number in numbers(0..3000) {
            writeln!(input, "{number}").unwrap();
        }
        writeln!(input, "end").unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert_eq!(check(&output, 0), "{\"messages\":3001}\n");
        assert_eq!(
            collector.payloads_to_the_end(),
            numbers(0..3000),
            "-V {version}"
        );
    }
}

#[test]
fn a_message_can_be_a_text_a_file_all_of_standard_input_or_nothing() {
    let broker = Mosquitto::plain();
    let collector = Collector::subscribe(&broker, "in/#");
    let home = Home::new();
    std::fs::write(home.path().join("content"), "from a file").unwrap();
    let file = home.path().join("content").display().to_string();
    check(
        &run(&broker, "pub", &["-t", "in/m", "-m", "text", "-q", "1"]),
        0,
    );
    check(
        &run(&broker, "pub", &["-t", "in/f", "-f", &file, "-q", "1"]),
        0,
    );
    check(&run(&broker, "pub", &["-t", "in/s", "-s", "-q", "1"]), 0);
    check(
        &run(
            &broker,
            "pub",
            &["-t", "in/n", "-n", "-q", "1", "--repeat", "2"],
        ),
        0,
    );
    assert_eq!(
        collector.collect(5),
        [
            "1 0 in/m text",
            "1 0 in/f from a file",
            "1 0 in/s ",
            "1 0 in/n ",
            "1 0 in/n "
        ]
    );
}

#[test]
fn properties_and_expiry_of_the_command_line_reach_paho() {
    let broker = Mosquitto::plain();
    let mut judge = paho(&broker, "judge");
    judge.ask(&json!({"op": "subscribe", "filter": "p"}));
    let words = [
        "-t",
        "p",
        "-m",
        "x",
        "-q",
        "1",
        "-D",
        "a=1",
        "-D",
        "b=2=3",
        "--content-type",
        "t/x",
    ];
    check(&run(&broker, "pub", &words), 0);
    let message = take(&mut judge, 1).remove(0);
    assert_eq!(
        message["properties"],
        json!({"ContentType": "t/x", "UserProperty": [["a", "1"], ["b", "2=3"]]})
    );
}

#[test]
fn messages_are_printed_in_the_form_that_is_asked_for() {
    let broker = talkative();
    let mut sub = Sub::start(
        &broker,
        &["-t", "a/#", "-q", "2", "-F", "%t|%q|%r|%l|%x|%p"],
    );
    mosquitto_pub(&broker, &["-t", "a/b", "-m", "hi", "-q", "2"]);
    assert_eq!(sub.line(), "a/b|2|0|2|6869|hi");
    let mut sub = Sub::start(&broker, &["-t", "a/#", "-t", "b", "-T", "a/x", "-v"]);
    for topic in ["a/x", "a/y", "b"] {
        mosquitto_pub(&broker, &["-t", topic, "-m", "m"]);
    }
    let mut lines = [sub.line(), sub.line()];
    lines.sort();
    assert_eq!(lines, ["a/y m", "b m"]);
    let mut sub = Sub::start(&broker, &["-t", "a", "--json", "-q", "1"]);
    mosquitto_pub(
        &broker,
        &[
            "-V",
            "5",
            "-t",
            "a",
            "-m",
            "ü",
            "-q",
            "1",
            "-D",
            "publish",
            "user-property",
            "k",
            "v",
            "-D",
            "publish",
            "content-type",
            "text/plain",
        ],
    );
    let mut line: Value = serde_json::from_str(&sub.line()).unwrap();
    assert!(line["time"].take().is_string());
    assert_eq!(
        line,
        json!({"time": null, "topic": "a", "qos": 1, "retain": false, "payload": "ü",
               "content_type": "text/plain", "user": [["k", "v"]]})
    );
}

#[test]
fn listening_ends_after_enough_messages_or_enough_time() {
    let broker = Mosquitto::plain();
    for number in numbers(0..3) {
        let topic = format!("kept/{number}");
        mosquitto_pub(&broker, &["-t", &topic, "-m", &number, "-r", "-q", "1"]);
    }
    let words = ["-t", "kept/#", "-C", "2", "-W", "20", "-F", "%p %r"];
    assert_eq!(check(&run(&broker, "sub", &words), 0), "0 1\n1 1\n");
    let few = run(&broker, "sub", &["-t", "kept/#", "-C", "9", "-W", "1"]);
    assert_eq!(check(&few, 4), "0\n1\n2\n");
    assert_eq!(text(&few.stderr), "3 of 9 messages came within 1s\n");
    let fresh = run(&broker, "sub", &["-t", "kept/#", "-R", "-W", "0.5"]);
    assert_eq!(check(&fresh, 0), "");
}

#[test]
fn an_address_of_mosquitto_holds_user_and_topic() {
    let broker = Mosquitto::plain();
    let url = format!("mqtt://ada:lovelace@localhost:{}/kept/one", broker.port);
    let home = Home::new();
    let sent = home.run(&[
        "mqtt", "pub", "-L", &url, "-m", "hi", "-r", "-q", "1", "-M", "1",
    ]);
    check(&sent, 0);
    let came = home.run(&["mqtt", "sub", "-L", &url, "-C", "1", "-W", "20", "-v"]);
    assert_eq!(check(&came, 0), "kept/one hi\n");
    assert!(broker.log().contains("u'ada'"), "the user is told");
}

#[test]
fn listening_can_end_with_the_acknowledgement_or_with_what_was_kept() {
    let broker = talkative();
    mosquitto_pub(&broker, &["-t", "a", "-m", "old", "-r", "-q", "1"]);
    let mut sub = Sub::start(&broker, &["-t", "a", "-q", "1", "--retained-only"]);
    assert_eq!(sub.line(), "old");
    mosquitto_pub(&broker, &["-t", "a", "-m", "new", "-q", "1"]);
    let ended = eventually("the end", || sub.child.try_wait().unwrap());
    assert!(ended.success());
    assert_eq!(sub.line(), "");
    // A session is made, and gets what comes later.
    let session = ["-i", "me", "-c", "-t", "later", "-q", "1"];
    check(&run(&broker, "sub", &[&session[..], &["-E"]].concat()), 0);
    mosquitto_pub(&broker, &["-t", "later", "-m", "kept", "-q", "1"]);
    let words = [&session[..], &["-C", "1", "-W", "20"]].concat();
    assert_eq!(check(&run(&broker, "sub", &words), 0), "kept\n");
}

#[test]
fn a_reader_that_pauses_loses_neither_its_connection_nor_messages() {
    let broker = talkative();
    let mut sub = Sub::start(&broker, &["-t", "many", "-q", "1", "-k", "1"]);
    let payloads = numbers(0..5000);
    let padded = |number: &String| format!("{number} {}", "x".repeat(100));
    publish_lines(&broker, "many", payloads.iter().map(padded));
    // More than a pipe holds has come, and nobody reads.
    eventually("signs of life from who waits for its reader", || {
        let log = broker.log();
        (log.matches("Received PINGREQ").count() >= 3).then_some(())
    });
    for payload in &payloads {
        assert_eq!(sub.line(), padded(payload));
    }
    assert!(!broker.log().contains("exceeded timeout"));
}

fn publish_lines(broker: &Mosquitto, topic: &str, lines: impl Iterator<Item = String>) {
    let port = broker.port.to_string();
    let home = Home::new();
    let mut command = home.command(&["mqtt", "pub", "-p", &port, "-t", topic, "-q", "1", "-l"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_listener_of_the_agent_that_is_too_slow_is_told_what_it_missed() {
    let broker = Mosquitto::plain();
    let configuration = format!("[mqtt]\nenable = true\nurl = \"{}\"\n", broker.url());
    let agent = Home::with(&configuration).start();
    let words = ["mqtt", "sub", "--agent", "-t", "many", "-q", "1"];
    let mut command = agent.home().command(&words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut warnings = BufReader::new(child.stderr.take().unwrap()).lines();
    eventually("the agent has subscribed", || {
        (agent.status()["mqtt"]["subscriptions"] == 1).then_some(())
    });
    let long = "x".repeat(1000);
    let all = (0..8000).map(|number| format!("{number} {long}"));
    publish_lines(&broker, "many", all);
    let mut read = 0_u64;
    for line in &mut lines {
        read += 1;
        if line.unwrap().starts_with("7999 ") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut lost = 0;
    for warning in &mut warnings {
        let warning = warning.unwrap();
        let told = warning
            .split_once("lost: {\"messages\":")
            .and_then(|(_, rest)| rest.strip_suffix('}'))
            .unwrap_or_else(|| panic!("{warning}"));
        lost += told.parse::<u64>().unwrap();
    }
    assert!(lost > 0, "all {read} were read");
    assert_eq!(read + lost, 8000);
}

#[test]
fn a_session_that_is_kept_gets_what_came_meanwhile() {
    let broker = Mosquitto::plain();
    for version in ["5", "311"] {
        let words = [
            "-t", "later", "-q", "1", "-i", "me", "-c", "-W", "1", "-V", version,
        ];
        check(&run(&broker, "sub", &words), 0);
        mosquitto_pub(&broker, &["-t", "later", "-m", "meanwhile", "-q", "1"]);
        let words = [
            "-t", "later", "-q", "1", "-i", "me", "-c", "-C", "1", "-W", "20", "-V", version,
        ];
        assert_eq!(
            check(&run(&broker, "sub", &words), 0),
            "meanwhile\n",
            "-V {version}"
        );
    }
}

#[test]
fn the_will_is_published_when_the_client_is_killed_and_not_when_it_ends() {
    let broker = talkative();
    let collector = Collector::subscribe(&broker, "will");
    let will = |payload: &'static str| {
        [
            "--will-topic",
            "will",
            "--will-payload",
            payload,
            "--will-qos",
            "1",
            "--will-retain",
        ]
    };
    let mut words = vec!["-t", "nothing", "-W", "0.3"];
    words.extend(will("in order"));
    check(&run(&broker, "sub", &words), 0);
    let mut words = vec!["-t", "nothing"];
    words.extend(will("killed"));
    drop(Sub::start(&broker, &words));
    assert_eq!(collector.collect(1), ["1 0 will killed"]);
}

#[test]
fn a_question_is_answered_by_paho_or_the_failure_says_why() {
    let broker = talkative();
    let mut judge = paho(&broker, "judge");
    judge.ask(&json!({"op": "echo", "filter": "upper"}));
    assert_eq!(
        check(&run(&broker, "request", &["-t", "upper", "-m", "hello"]), 0),
        "HELLO\n"
    );
    let words = ["-t", "upper", "-m", "hello", "--json"];
    assert_eq!(
        check(&run(&broker, "request", &words), 0),
        "{\"payload\":\"HELLO\"}\n"
    );
    let nobody = run(&broker, "request", &["-t", "nobody", "-n"]);
    check(&nobody, 4);
    assert_eq!(
        text(&nobody.stderr),
        "nobody listens to the topic of the question\n"
    );
}

#[test]
fn failures_have_their_codes_and_say_what_to_do() {
    let broker = Mosquitto::new(Setup {
        files: vec![("rules", "topic readwrite open\n".to_owned())],
        ..Setup::default().global("acl_file {folder}/rules\n")
    });
    let refused = run(&broker, "pub", &["-t", "closed", "-m", "x", "-q", "1"]);
    check(&refused, 3);
    assert!(
        text(&refused.stderr).contains("refused the message"),
        "{refused:?}"
    );
    let wrong = run(&broker, "pub", &["-t", "a/#", "-m", "x"]);
    check(&wrong, 64);
    let home = Home::new();
    let none = home.run(&["mqtt", "pub", "-p", "1", "-t", "a", "-m", "x"]);
    check(&none, 4);
    let told = text(&none.stderr);
    assert!(
        told.contains("localhost:1") && !told.contains("--url"),
        "{told}"
    );
    let missing = run(&broker, "pub", &["-t", "a", "-f", "/nowhere/x"]);
    check(&missing, 2);
    let locked = Mosquitto::new(Setup {
        global: "allow_anonymous false\n".to_owned(),
        ..Setup::default()
    });
    let unknown = run(
        &locked,
        "pub",
        &["-t", "a", "-m", "x", "-u", "ada", "-P", "x"],
    );
    check(&unknown, 3);
    assert!(text(&unknown.stderr).contains("-u and -P"), "{unknown:?}");
}

#[test]
fn a_measurement_says_how_fast_the_broker_is() {
    let broker = Mosquitto::plain();
    for qos in ["0", "1", "2"] {
        let words = ["-n", "500", "-q", qos, "--window", "20", "--json"];
        let figures: Value =
            serde_json::from_str(&check(&run(&broker, "bench", &words), 0)).unwrap();
        assert_eq!(
            (&figures["messages"], &figures["received"]),
            (&json!(500), &json!(500))
        );
        assert!(figures["sent_per_s"].as_u64().unwrap() > 0, "{figures}");
        let (p50, p99) = (&figures["latency_p50_us"], &figures["latency_p99_us"]);
        assert!(p50.as_u64().unwrap() <= p99.as_u64().unwrap(), "{figures}");
    }
}

#[test]
fn the_running_agent_publishes_listens_asks_and_tells() {
    let broker = talkative();
    let configuration = format!(
        "[mqtt]\nenable = true\nurl = \"{}\"\nclient_id = \"pump-7\"\n",
        broker.url()
    );
    let agent = Home::with(&configuration).start();
    let home = agent.home();
    let collector = Collector::subscribe(&broker, "out");
    let publish = |words: &[&str]| {
        let all = [&["mqtt", "pub", "--agent", "-t", "out"], words].concat();
        check(&home.run(&all), 0)
    };
    publish(&["-m", "one", "-q", "1"]);
    assert_eq!(
        publish(&["-m", "two", "-q", "1", "--durable", "--json"]),
        "{\"messages\":1}\n"
    );
    assert_eq!(collector.collect(2), ["1 0 out one", "1 0 out two"]);
    let mut sub = Sub::start(&broker, &["-t", "out", "-F", "%p %C %P"]);
    let kind = ["--content-type", "text/plain", "-D", "k=1", "-D", "k=2"];
    publish(&[&["-m", "three"], &kind[..]].concat());
    assert_eq!(sub.line(), "three text/plain k:1 k:2");
    mosquitto_pub(&broker, &["-t", "kept", "-m", "old", "-r", "-q", "1"]);
    let words = [
        "mqtt", "sub", "--agent", "-t", "kept", "-q", "1", "-C", "1", "-W", "20", "-v",
    ];
    assert_eq!(check(&home.run(&words), 0), "kept old\n");
    let mut judge = paho(&broker, "judge");
    judge.ask(&json!({"op": "echo", "filter": "upper"}));
    let words = ["mqtt", "request", "--agent", "-t", "upper", "-m", "hello"];
    assert_eq!(check(&home.run(&words), 0), "HELLO\n");
    let status = check(&home.run(&["mqtt", "status"]), 0);
    let first = format!("{} as pump-7: connected\n", broker.url());
    assert!(status.starts_with(&first), "{status}");
    assert!(status.contains("4 delivered"), "{status}");
    let (home, _) = agent.stop();
    check(&home.run(&["mqtt", "status"]), 4);
}

/// `periwinkle mqtt WORDS` of an agent with this broker.
fn home_of_agent(broker: &Mosquitto) -> Home {
    Home::with(&format!(
        "[mqtt]\nenable = true\nurl = '{}'\nclient_id = 'pump-7'\n",
        broker.url()
    ))
}

#[test]
fn more_than_the_queue_holds_is_published_as_fast_as_the_broker_takes_it() {
    let broker = Mosquitto::plain();
    let collector = Collector::subscribe(&broker, "end");
    let home = Home::new();
    let port = broker.port.to_string();
    let words = [
        "mqtt", "pub", "-p", &port, "-t", "large", "-l", "-q", "1", "-M", "1", "--json",
    ];
    let mut command = home.command(&words);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut input = child.stdin.take().unwrap();
    // 75 MB, and the queue takes 64 MiB.
    let line = "x".repeat(250_000);
    for _ in 0..300 {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(check(&output, 0), "{\"messages\":300}\n");
    drop(collector);
}

#[test]
fn the_longest_messages_come_through_the_agent() {
    let broker = talkative();
    let agent = home_of_agent(&broker).start();
    let words = ["mqtt", "sub", "--agent", "-t", "#", "-C", "2", "-F", "%l"];
    let mut command = agent.home().command(&words);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.unwrap();
    eventually("the subscription", || {
        (subscribed(&broker) > 0).then_some(())
    });
    // What base 64, and what JSON makes longer.
    for byte in [0xff, 0x01] {
        let path = agent.home().path().join("payload");
        std::fs::write(&path, [byte].repeat(250_000)).unwrap();
        let path = path.display().to_string();
        check(&run(&broker, "pub", &["-t", "a", "-f", &path]), 0);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(check(&output, 0), "250000\n250000\n");
}

#[test]
fn a_file_larger_than_devices_send_is_published_and_printed_by_hand() {
    let broker = talkative();
    let path = broker.file("payload").display().to_string();
    std::fs::write(&path, [b'x'].repeat(3_000_000)).unwrap();
    for version in ["5", "311"] {
        let words = ["-t", "a", "-f", &path, "-r", "-q", "1", "-V", version];
        check(&run(&broker, "pub", &words), 0);
        let words = ["-t", "a", "-C", "1", "-q", "1", "-F", "%l", "-V", version];
        assert_eq!(check(&run(&broker, "sub", &words), 0), "3000000\n");
    }
}

#[test]
fn durable_without_the_agent_is_refused_with_the_option_that_it_needs() {
    let broker = Mosquitto::plain();
    let output = run(&broker, "pub", &["-t", "a", "-m", "x", "--durable"]);
    check(&output, 64);
    assert!(text(&output.stderr).contains("--agent"));
}

#[test]
fn who_listens_through_an_agent_without_a_broker_is_told() {
    let mut broker = Mosquitto::plain();
    broker.stop();
    let agent = home_of_agent(&broker).start();
    let words = ["mqtt", "sub", "--agent", "-t", "a", "-W", "0.1"];
    let output = agent.home().run(&words);
    let said = text(&output.stderr);
    assert!(
        said.contains("the agent is not connected to its broker"),
        "{said}"
    );
}
