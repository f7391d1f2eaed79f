//! The agent and DynamoDB: what is durable arrives once, what others write arrives here, and
//! nothing that a network, a kill or a clock does changes that.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, Home};
use crate::client::Client;
use crate::counterparts::{Cloud, Device, SecondOpinion};
use crate::eventually::{eventually, within};
use crate::fault_proxy::dynamo::{DynamoProxy, Fault};

const QUIET: &str = "[metrics]\nenable = false\n";

fn home(device: &Device, endpoint: &str, more: &str) -> Home {
    Home::with(&format!(
        "[device]\nid = \"{}\"\n[sync]\nenable = true\ntable = \"{}\"\nregion = \"{}\"\n\
         endpoint = \"{endpoint}\"\ncredentials = \"file\"\ncredentials_file = \"{}\"\n\
         interval = \"300 ms\"\ndelay = \"20 ms\"\n{more}",
        device.thing,
        device.table,
        device.region,
        device.credentials_file.display(),
    ))
}

fn pk(device: &Device) -> String {
    format!("dev#{}#rw", device.thing)
}

#[track_caller]
fn put(client: &Client, id: &str, value: &str) {
    let body = json!({"value": value});
    let answer = client.json("PUT", &format!("/api/v1/data/Setting/{id}"), &body);
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
}

#[track_caller]
fn drained(agent: &Agent) -> Value {
    within(Duration::from_secs(60), "the queue drains", || {
        let sync = agent.status()["sync"].clone();
        let empty = sync["queued_rows"] == 0 && sync["in_flight"] == 0;
        (empty && sync["state"] == "idle").then_some(sync)
    })
}

/// Waits for a state of replication with a reason of that kind.
#[track_caller]
fn waits_because(agent: &Agent, kind: &str) -> Value {
    eventually(kind, || {
        let sync = agent.status()["sync"].clone();
        let reason = &sync["reason"];
        let told = reason["text"].is_string() && reason["hint"].is_string();
        (reason["kind"] == kind && told).then_some(sync)
    })
}

#[test]
fn a_measurement_travels_from_proc_to_the_cloud() {
    let cloud = Cloud::shared();
    let device = cloud.device("measured");
    let agent = home(
        &device,
        &cloud.endpoint,
        "[metrics]\ninterval = \"200 ms\"\nrow = \"1 s\"\n",
    );
    let agent = agent.start();
    let owner = agent.owner();
    let row = eventually("a row", || {
        let page = owner.get("/api/v1/data/Metric").expect(200).json();
        page["items"].as_array()?.first().cloned()
    });
    let month = row["month"].as_str().expect("a month");
    let at = row["at"].as_str().expect("a time");
    let partition = format!("dev#{}#up#{month}", device.thing);
    let mut judge = cloud.judge();
    let item = judge.wait_for(
        &partition,
        &format!("Metric#{at}"),
        &json!({"_type": "Metric"}),
    );
    assert_eq!(item["samples"], row["samples"].to_string(), "{item}");
    assert_eq!(item["mem_total"], row["mem_total"].to_string(), "{item}");
    assert!(item["_v"].is_string() && item["_m"].is_string(), "{item}");
}

#[test]
fn what_the_cloud_writes_reaches_an_open_page_within_seconds() {
    let cloud = Cloud::shared();
    let device = cloud.device("watched");
    let agent = home(&device, &cloud.endpoint, QUIET).start();
    let owner = agent.owner();
    put(&owner, "volume", "3");
    drained(&agent);
    let mut judge = cloud.judge();
    let sk = "Setting#volume";
    let before = judge.get(&pk(&device), sk);

    let changes = owner.events("change", "changes");
    judge.ask(&json!({"op": "update", "pk": pk(&device), "sk": sk, "set": {"value": "11"}}));
    let seen = changes
        .into_iter()
        .find(|change| change["origin"] == "cloud" && change["key"] == json!(["volume"]))
        .expect("the stream goes on");
    assert_eq!(
        (&seen["type"], &seen["item"]["value"]),
        (&json!("put"), &json!("11"))
    );
    assert_eq!(
        owner.get("/api/v1/data/Setting/volume").expect(200).json()["value"],
        "11"
    );

    // It was the cloud's change: nothing of it goes up again.
    drained(&agent);
    assert_eq!(judge.get(&pk(&device), sk)["_v"], before["_v"]);

    judge.ask(&json!({"op": "delete", "pk": pk(&device), "sk": sk}));
    eventually("the deletion arrives", || {
        (owner.get("/api/v1/data/Setting/volume").status == 404).then_some(())
    });
}

#[test]
fn create_change_and_delete_arrive_and_dynamodb_onetable_reads_them_as_its_own() {
    let cloud = Cloud::shared();
    let device = cloud.device("onetable");
    let agent = home(&device, &cloud.endpoint, QUIET).start();
    let owner = agent.owner();
    put(&owner, "a", "1");
    put(&owner, "b", "1");
    drained(&agent);
    put(&owner, "a", "2");
    owner
        .send("DELETE", "/api/v1/data/Setting/b", &[], b"")
        .expect(204);
    drained(&agent);

    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema.json5");
    let mut application = cloud.onetable(schema.as_ref(), &device.thing);
    let mut ask = |op: &str, id: &str| {
        application.ask(&json!({"op": op, "model": "Setting", "properties": {"id": id}}))
    };
    let local = owner.get("/api/v1/data/Setting/a").expect(200).json();
    let item = ask("get", "a")["item"].clone();
    for field in ["id", "value", "deviceId", "created", "updated"] {
        if !local[field].is_null() {
            assert_eq!(item[field], local[field], "{field} in {item}");
        }
    }
    assert_eq!(item["value"], "2");
    assert_eq!(ask("get", "b")["item"], Value::Null);

    let changed = json!({"op": "update", "model": "Setting",
        "properties": {"id": "a", "value": "from the application"}});
    application.ask(&changed);
    eventually("the application's change arrives", || {
        let setting = owner.get("/api/v1/data/Setting/a").expect(200).json();
        (setting["value"] == "from the application").then_some(())
    });
}

#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    const KILLS: u64 = 20;
    let cloud = Cloud::shared();
    let device = cloud.device("killed");
    let proxy = DynamoProxy::start(&cloud.endpoint);
    let mut agent = home(&device, &proxy.endpoint(), QUIET).start();
    agent.owner();
    let mut random = Random(seed());
    // What was reported durable last, and what may have been written after it.
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut maybe: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..KILLS {
        proxy.set(if round % 3 == 0 {
            Fault::LoseReplies
        } else {
            Fault::None
        });
        let client = agent.login();
        let victim = agent.pid();
        let after = Duration::from_millis(100 + random.below(600));
        let killer = thread::spawn(move || {
            thread::park_timeout(after);
            crate::agent::signal(victim, "KILL");
        });
        for step in 0.. {
            let (id, value) = (format!("k{}", random.below(5)), format!("{round}.{step}"));
            maybe.insert(id.clone(), value.clone());
            let body = json!({"value": value}).to_string();
            let json_field = [("content-type", "application/json")];
            let path = format!("/api/v1/data/Setting/{id}");
            match client.try_send("PUT", &path, &json_field, body.as_bytes()) {
                Ok(answer) if matches!(answer.status, 200 | 201) => {
                    maybe.remove(&id);
                    told.insert(id, value);
                }
                Ok(answer) => panic!("{}", answer.text()),
                Err(_) => break,
            }
        }
        killer.join().expect("it only kills");
        agent = agent.kill().start();
        let client = agent.login();
        for (id, value) in &mut told {
            let found = client
                .get(&format!("/api/v1/data/Setting/{id}"))
                .expect(200)
                .json();
            let found = found["value"].as_str().expect("a text").to_owned();
            assert!(
                found == *value || maybe.get(id) == Some(&found),
                "round {round}, seed {}: {id} is {found}, {value} was durable",
                seed()
            );
            *value = found;
        }
        maybe.clear();
    }
    proxy.set(Fault::None);
    drained(&agent);
    let mut judge = cloud.judge();
    for (id, value) in &told {
        let item = judge.get(&pk(&device), &format!("Setting#{id}"));
        assert_eq!(item["value"], *value, "{id}: {item}");
    }
    let writes = proxy.applied();
    for id in told.keys() {
        let sk = format!("Setting#{id}");
        let of_item = || writes.iter().filter(|write| write.sk == sk);
        let marks: BTreeSet<&str> = of_item().map(|write| write.mark.as_str()).collect();
        let first = of_item()
            .map(|write| write.version)
            .min()
            .expect("it was created");
        let item = judge.get(&pk(&device), &sk);
        let last: u64 = item["_v"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a number");
        let risen = usize::try_from(last - first).expect("a few writes");
        assert_eq!(risen + 1, marks.len(), "{id}: {item}");
        assert!(
            marks.len() > 1,
            "{id} was written once only: the test proves nothing"
        );
    }
}

#[test]
fn an_outage_is_visible_loses_nothing_and_ends_by_itself() {
    let mut cloud = Cloud::own();
    let device = cloud.device("outage");
    let agent = home(&device, &cloud.endpoint, QUIET).start();
    let owner = agent.owner();
    put(&owner, "before", "1");
    drained(&agent);
    cloud.stop();
    for n in 0..50 {
        put(&owner, &format!("during{n}"), "1");
    }
    waits_because(&agent, "unreachable");
    let sync = eventually("the queue shows all of them", || {
        let sync = agent.status()["sync"].clone();
        (sync["queued_rows"].as_u64() >= Some(50)).then_some(sync)
    });
    assert!(sync["next_attempt_ms"].is_number(), "{sync}");
    cloud.start();
    drained(&agent);
    let mut judge = cloud.judge();
    let found = judge.ask(&json!({"op": "query", "pk": pk(&device), "prefix": "Setting#during"}));
    assert_eq!(found["items"].as_array().map(Vec::len), Some(50));
}

#[test]
fn a_wrong_secret_is_named_and_mended_without_a_restart() {
    let cloud = Cloud::shared();
    let device = cloud.device("wrong-secret");
    let right = std::fs::read_to_string(&device.credentials_file).expect("it was written");
    let mut wrong: Value = serde_json::from_str(&right).expect("JSON");
    wrong["SecretAccessKey"] = json!("not the secret");
    std::fs::write(&device.credentials_file, wrong.to_string()).expect("it is ours");
    let agent = home(&device, &cloud.endpoint, QUIET).start();
    let owner = agent.owner();
    put(&owner, "a", "1");
    waits_because(&agent, "bad_signature");
    assert!(
        !agent.log().contains("not the secret"),
        "secrets are not logged"
    );
    std::fs::write(&device.credentials_file, right).expect("it is ours");
    owner
        .send("POST", "/api/v1/sync/retry", &[], b"")
        .expect(202);
    drained(&agent);
    assert_eq!(cloud.judge().get(&pk(&device), "Setting#a")["value"], "1");
}

#[test]
fn a_second_judge_finds_our_signatures_right() {
    let moto = SecondOpinion::of("judged");
    let agent = home(&moto.device, &moto.device.endpoint, QUIET).start();
    let owner = agent.owner();
    put(&owner, "volume", "3");
    drained(&agent);
    let mut judge = moto.judge();
    assert_eq!(judge.get(&pk(&moto.device), "Setting#volume")["value"], "3");
}

#[test]
fn a_missing_table_is_named_and_used_once_it_is_there() {
    let cloud = Cloud::own();
    let device = cloud.device("no-table");
    cloud.as_owner("dynamodb.delete_table(TableName='periwinkle')");
    let agent = home(&device, &cloud.endpoint, QUIET).start();
    let owner = agent.owner();
    put(&owner, "a", "1");
    waits_because(&agent, "table_not_found");
    cloud.as_owner(
        "key = lambda name, kind: {'AttributeName': name, 'KeyType': kind}\n\
         dynamodb.create_table(TableName='periwinkle', BillingMode='PAY_PER_REQUEST',\n    \
         KeySchema=[key('pk', 'HASH'), key('sk', 'RANGE')],\n    \
         AttributeDefinitions=[{'AttributeName': n, 'AttributeType': 'S'} for n in ('pk', 'sk')])",
    );
    drained(&agent);
    assert_eq!(cloud.judge().get(&pk(&device), "Setting#a")["value"], "1");
}

#[test]
fn throttling_is_told_and_waited_out() {
    let cloud = Cloud::shared();
    let device = cloud.device("throttled");
    let proxy = DynamoProxy::start(&cloud.endpoint);
    let agent = home(&device, &proxy.endpoint(), QUIET).start();
    let owner = agent.owner();
    put(&owner, "first", "1");
    drained(&agent);
    proxy.set(Fault::Throttle);
    let before = proxy.requests();
    for n in 0..10 {
        put(&owner, &format!("t{n}"), "1");
    }
    waits_because(&agent, "throttled");
    proxy.set(Fault::None);
    drained(&agent);
    assert!(
        proxy.requests() - before < 200,
        "a throttled agent slows down"
    );
}

#[test]
fn a_clock_that_is_twenty_minutes_off_is_corrected() {
    let cloud = Cloud::shared();
    let device = cloud.device("wrong-clock");
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("faketime is missing: run cargo xtask test");
    let agent = home(&device, &cloud.endpoint, QUIET)
        .env("LD_PRELOAD", &library)
        .env("FAKETIME", "+20m")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start();
    let owner = agent.owner();
    put(&owner, "a", "1");
    let sync = drained(&agent);
    let offset = sync["clock_offset_ms"].as_i64().expect("a number");
    assert!((-1_300_000..-1_100_000).contains(&offset), "{sync}");
    assert_eq!(cloud.judge().get(&pk(&device), "Setting#a")["value"], "1");
}

/// A small generator for the moments of kills; the seed stands in every failure.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn seed() -> u64 {
    std::env::var("PERIWINKLE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(7)
}
