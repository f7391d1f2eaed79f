//! The whole way: database, replication machine and a table, with lost requests, lost replies,
//! power cuts and somebody else who writes. Afterwards both sides say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use periwinkle_core::sync::config::Config;
use periwinkle_core::sync::machine::{Machine, Output, Reply, RequestId};
use periwinkle_core::sync::record::same_content;
use periwinkle_core::sync::store::Store;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::engine::Durability;
use periwinkle_db::{Database, Environment, Find};
use periwinkle_testkit::dynamo::{Answer, Dynamo};
use periwinkle_testkit::rng::Rng;

use crate::world::{SCHEMA, World};

const TABLE: &str = "devices";
const PARTITION: &str = "dev#d1#rw";
/// Settings that nobody but the device writes; the others are everybody's.
const OWN: [&str; 3] = ["0", "1", "2"];
const SHARED: [&str; 3] = ["3", "4", "5"];

struct Device {
    world: World,
    rng: Rng,
    db: Database,
    machine: Machine,
    dynamo: Dynamo,
    /// Requests that have left and are not answered.
    away: Vec<(RequestId, String, String)>,
    calm: bool,
    /// For each own setting, its values since the last one that is durable.
    values: BTreeMap<String, Vec<Option<String>>>,
    metrics_durable: BTreeSet<String>,
    metrics_made: Vec<String>,
    /// For each item in the table, its first version and the marks that were applied to it.
    marks: BTreeMap<String, (i64, BTreeSet<String>)>,
    counter: u64,
}

fn machine(db: &Database, seed: u64) -> Machine {
    let mut config = Config::new(TABLE, "d1");
    config.models = db.schema().sync_rules(db.context());
    config.partitions = db.schema().partitions_down(db.context());
    config.poll = Duration::from_secs(30);
    Machine::new(config, seed)
}

impl Device {
    fn new(seed: u64) -> Device {
        let mut world = World::new(seed);
        world.schema = SCHEMA.replace("rows_max: 5", "rows_max: 5000");
        let db = world.open();
        let mut dynamo = Dynamo::new();
        dynamo.create_table(TABLE);
        Device {
            machine: machine(&db, seed),
            rng: Rng::new(seed),
            values: OWN.map(|id| (id.to_owned(), vec![None])).into(),
            world,
            db,
            dynamo,
            away: Vec::new(),
            calm: false,
            metrics_durable: BTreeSet::new(),
            metrics_made: Vec::new(),
            marks: BTreeMap::new(),
            counter: 0,
        }
    }

    fn act(&mut self) {
        match self.rng.below(20) {
            0..5 => self.write_setting(),
            5 => self.remove_setting(),
            6..8 => self.write_metric(),
            8..10 => self.cloud_writes(),
            10 if self.rng.one_in(3) => self.power_cut(),
            _ => self.world.clock.pass(self.rng.below(2_000) as i64),
        }
        self.turn();
    }

    fn write_setting(&mut self) {
        let id = self.any_id();
        self.counter += 1;
        let value = format!("L{}", self.counter);
        let item = Map::from([("id", id), ("value", value.as_str())]);
        let made = self.writer().upsert("Setting", &item).unwrap();
        if let Some(values) = self.values.get_mut(id) {
            values.push(Some(value));
        }
        self.maybe_wait(made.ticket.is_durable());
    }

    fn remove_setting(&mut self) {
        let id = self.any_id();
        if self
            .writer()
            .remove("Setting", &Map::from([("id", id)]))
            .is_ok()
            && let Some(values) = self.values.get_mut(id)
        {
            values.push(None);
        }
        self.maybe_wait(false);
    }

    fn write_metric(&mut self) {
        self.counter += 1;
        let at = UnixMillis(1_795_000_000_000 + self.counter as i64 * 1000).iso();
        let item = Map::from([
            ("month", Value::from("2026-11")),
            ("at", at.as_str().into()),
        ]);
        self.writer().create("Metric", &item).unwrap();
        self.metrics_made.push(at);
        self.maybe_wait(false);
    }

    /// A cloud application that knows nothing of replication.
    fn cloud_writes(&mut self) {
        let id = SHARED[self.rng.index(SHARED.len())];
        self.counter += 1;
        let value = format!("C{}", self.counter);
        let key = (PARTITION.to_owned(), format!("Setting#{id}"));
        let gone = self.rng.one_in(5);
        let table = self.dynamo.table(TABLE);
        if gone {
            table.remove(&key);
            return;
        }
        let item = table.entry(key.clone()).or_insert_with(|| {
            Map::from([
                ("pk", key.0.as_str()),
                ("sk", key.1.as_str()),
                ("id", id),
                ("deviceId", "d1"),
                ("_type", "Setting"),
            ])
        });
        item.insert("note", value);
    }

    /// Writes wait for the next flush; only a waiting test makes one.
    fn writer(&self) -> Database {
        self.db.durability(Durability::Relaxed)
    }

    fn any_id(&mut self) -> &'static str {
        [OWN, SHARED][self.rng.index(2)][self.rng.index(3)]
    }

    fn maybe_wait(&mut self, durable: bool) {
        if durable || self.rng.one_in(3) {
            self.flush();
        }
    }

    fn flush(&mut self) -> u64 {
        self.db.flush().wait().unwrap();
        for values in self.values.values_mut() {
            values.drain(..values.len() - 1);
        }
        self.metrics_durable.extend(self.metrics_made.drain(..));
        self.db.durable_sequence()
    }

    fn power_cut(&mut self) {
        self.world.disk.cut_power();
        self.world.disk.restart(self.rng.next_u64());
        self.away.clear();
        self.db = self.world.open();
        self.machine = machine(&self.db, self.rng.next_u64());
        for (id, values) in &mut self.values {
            let found = setting(&self.db, id);
            assert!(
                values.contains(&found),
                "{id}: {found:?} is none of {values:?}"
            );
            *values = vec![found];
        }
        let kept = metrics(&self.db);
        assert!(
            self.metrics_durable.is_subset(&kept),
            "a durable metric is gone"
        );
        self.metrics_durable = kept;
        self.metrics_made.clear();
    }

    /// Everything that can go on now.
    fn turn(&mut self) {
        let now = self.world.clock.now();
        self.machine.handle_change(now, &self.db).unwrap();
        self.drain();
        for _ in 0..self.away.len() {
            let at = self.rng.index(self.away.len());
            if self.calm || !self.rng.one_in(4) {
                let (id, target, body) = self.away.swap_remove(at);
                self.deliver(id, &target, &body);
                self.drain();
            }
        }
        let now = self.world.clock.now();
        if self
            .machine
            .poll_timeout()
            .is_some_and(|(at, _)| at <= now.mono)
        {
            self.machine.handle_timeout(now, &self.db).unwrap();
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Flush(_) => {
                    let durable = self.flush();
                    let now = self.world.clock.now();
                    self.machine.handle_durable(durable, now, &self.db).unwrap();
                }
                Output::Send(id, request) => self.away.push((id, request.target, request.body)),
                Output::ClockOffset(_) | Output::Alarm(_) => {}
            }
        }
    }

    fn deliver(&mut self, id: RequestId, target: &str, body: &str) {
        let fate = if self.calm { 9 } else { self.rng.below(10) };
        let answer = match fate {
            0 => None,
            1 => {
                self.serve(target, body);
                None
            }
            2 => Some(Answer::throttled()),
            _ => Some(self.serve(target, body)),
        };
        let reply = match answer {
            None => Reply::Lost("connection reset".to_owned()),
            Some(answer) => Reply::Answer {
                status: answer.status,
                error_type: None,
                body: answer.body.into_bytes(),
            },
        };
        let now = self.world.clock.now();
        self.machine
            .handle_reply(id, reply, now.wall, now, &self.db)
            .unwrap();
    }

    fn serve(&mut self, target: &str, body: &str) -> Answer {
        let before = self.dynamo.table(TABLE).clone();
        let answer = self.dynamo.handle(target, body);
        let after = self.dynamo.table(TABLE).clone();
        for (key, item) in &after {
            let Some(mark) = item.text("_m").filter(|_| before.get(key) != Some(item)) else {
                continue;
            };
            let version = item["_v"].as_i64().unwrap();
            // An item that is new, or was made by somebody who knows no versions, begins anew.
            let fresh = before.get(key).is_none_or(|item| !item.contains_key("_v"));
            let known = self.marks.entry(key.1.clone()).or_default();
            if fresh {
                *known = (version, BTreeSet::new());
            }
            assert!(known.1.insert(mark.to_owned()), "{mark} was applied twice");
            let risen = known.0 + known.1.len() as i64 - 1;
            assert_eq!(version, risen, "{}", key.1);
        }
        answer
    }

    /// Lets everything settle, then compares the two sides.
    fn check(&mut self) {
        self.calm = true;
        for _ in 0..400 {
            self.world.clock.pass(2_000);
            self.turn();
        }
        assert_eq!(self.db.backlog().rows, 0, "something still waits");
        let table = self.dynamo.table(TABLE).clone();
        for id in OWN.iter().chain(&SHARED) {
            let sk = format!("Setting#{id}");
            let cloud = table.get(&(PARTITION.to_owned(), sk.clone()));
            let key = periwinkle_core::sync::record::ItemKey::new(PARTITION, sk);
            let local = self.db.record(&key).unwrap().item;
            assert!(
                same_content(local.as_ref(), cloud),
                "{id}: {local:?} and {cloud:?}"
            );
        }
        for (id, values) in &self.values {
            let last = values.last().unwrap();
            assert_eq!(setting(&self.db, id), *last, "{id}");
        }
        for at in metrics(&self.db) {
            let key = ("dev#d1#up#2026-11".to_owned(), format!("Metric#{at}"));
            assert!(
                table.contains_key(&key),
                "the metric of {at} is not in the cloud"
            );
        }
        assert!(self.metrics_durable.is_subset(&metrics(&self.db)));
    }
}

fn setting(db: &Database, id: &str) -> Option<String> {
    let item = db.get("Setting", &Map::from([("id", id)])).unwrap()?;
    item.text("value").map(str::to_owned)
}

fn metrics(db: &Database) -> BTreeSet<String> {
    let find = Find::new().limit(5000);
    let page = db.find("Metric", &Map::new(), &find).unwrap();
    page.items
        .iter()
        .map(|item| item.text("at").unwrap().to_owned())
        .collect()
}

fn history(seed: u64) {
    let mut device = Device::new(seed);
    for _ in 0..250 {
        device.act();
    }
    device.check();
}

#[test]
fn both_sides_say_the_same_after_cuts_losses_and_other_writers() {
    for seed in 0..20 {
        let outcome = std::panic::catch_unwind(|| history(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
