//! One device, one table, and everything between them.

use super::check::{Broken, LocalWrite, Memory, broken, content};
use super::store::{MemStore, State};
use super::weather::{Rng, Weather};
use periwinkle_core::sync::config::{Config, Direction, ModelRule, Rules};
use periwinkle_core::sync::machine::{Machine, Output, Reply, RequestId};
use periwinkle_core::sync::record::{ItemKey, Record, is_metadata};
use periwinkle_core::sync::store::{ConflictKind, Store as _};
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::value::{Map, Value, attribute, json};
use periwinkle_testkit::dynamo::{Answer, Dynamo, Table};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const TABLE: &str = "devices";
const START_MS: i64 = 1_795_000_000_000;
const SIGNATURE_VALID_MS: i64 = 5 * 60 * 1000;

/// Something on its way.
#[derive(Clone, Debug)]
enum Event {
    Arrives {
        life: u64,
        id: RequestId,
        target: String,
        body: String,
        signed: i64,
        sent: u64,
        answered: bool,
    },
    Reply {
        life: u64,
        id: RequestId,
        answer: Option<Answer>,
        date: i64,
    },
    Durable {
        life: u64,
        sequence: u64,
    },
}

pub(crate) struct World {
    pub(crate) now_ms: u64,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) dynamo: Dynamo,
    pub(crate) store: MemStore,
    pub(crate) machine: Machine,
    pub(crate) memory: Memory,
    rules: Rules,
    poll: Duration,
    life: u64,
    born_ms: u64,
    offset_ms: i64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    next_value: u64,
    backups: Vec<State>,
    table_backups: Vec<Table>,
    pub(crate) requests: u64,
    pub(crate) alarms: Vec<String>,
    quiet: bool,
    trace: bool,
}

pub(crate) fn keys() -> Vec<ItemKey> {
    let rw = ["Setting#1", "Setting#2", "Setting#3"].map(|sk| ItemKey::new("dev#a#rw", sk));
    let up = ["Metric#1", "Metric#2"].map(|sk| ItemKey::new("dev#a#up#2026-11", sk));
    rw.into_iter().chain(up).collect()
}

fn config(rules: Rules, poll: Duration) -> Config {
    let mut config = Config::new(TABLE, "a");
    config.models = vec![
        ModelRule::new("Setting", "dev#a#rw", "Setting#", Direction::Both),
        ModelRule::new("Metric", "dev#a#up#", "Metric#", Direction::Up),
    ];
    config.partitions = vec!["dev#a#rw".to_owned()];
    config.poll = poll;
    config.rules = rules;
    config
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, rules: Rules) -> World {
        let mut rng = Rng::new(seed);
        let mut dynamo = Dynamo::new();
        dynamo.create_table(TABLE);
        dynamo.page_items_max = Some(1 + rng.below(3) as usize);
        let poll = Duration::from_secs(30);
        let machine = Machine::new(config(rules, poll), rng.next());
        World {
            now_ms: 0,
            rng,
            weather,
            dynamo,
            store: MemStore::default(),
            machine,
            memory: Memory::default(),
            rules,
            poll,
            life: 0,
            born_ms: 0,
            offset_ms: 0,
            events: BTreeMap::new(),
            next_event: 0,
            next_value: 0,
            backups: Vec::new(),
            table_backups: Vec::new(),
            requests: 0,
            alarms: Vec::new(),
            quiet: false,
            trace: std::env::var_os("PERIWINKLE_SYNC_SEED").is_some(),
        }
    }

    /// The time as the device sees it.
    pub(crate) fn now(&self) -> Now {
        let wall = START_MS + self.now_ms as i64 + self.weather.skew_s * 1000;
        Now {
            mono: Mono::from_start(Duration::from_millis(self.now_ms - self.born_ms)),
            wall: Some(UnixMillis(wall)),
            trusted: false,
        }
    }

    fn server_ms(&self) -> i64 {
        START_MS + self.now_ms as i64
    }

    /// A whole history: activity, then quiet, then the checks.
    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        for _ in 0..self.weather.steps {
            self.act()?;
            let pause = if self.rng.percent(15) { 60_000 } else { 1_500 };
            let until = self.now_ms + self.rng.below(pause);
            self.run_until(until)?;
        }
        self.quiet = true;
        self.tell(|| "quiet".to_owned());
        // Long enough for the longest backoff, for late copies and for graves. Mostly in a last
        // life that seldom looks at the table, which is quicker to simulate.
        let calm = self.rng.percent(85);
        if calm {
            self.poll = Duration::from_secs(400);
            self.store.sync(u64::MAX);
            self.begin_life();
        }
        self.run_until(self.now_ms + if calm { 1_900_000 } else { 3_000_000 })?;
        self.check_converged()
    }

    /// Lets the world go on until that time.
    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Broken> {
        self.drain()?;
        loop {
            let event = self.events.keys().next().map(|(at, _)| *at);
            let wake = self.machine.poll_timeout().map(|(at, _)| {
                self.born_ms
                    + at.since_start().as_millis() as u64
                    + u64::from(at.since_start().subsec_nanos() % 1_000_000 > 0)
            });
            let next = event
                .into_iter()
                .chain(wake)
                .min()
                .filter(|next| *next <= until);
            let Some(next) = next else { break };
            self.now_ms = self.now_ms.max(next);
            if event == Some(next) {
                let (_, event) = self.events.pop_first().expect("it was just seen");
                self.happens(event)?;
            } else {
                let now = self.now();
                self.machine
                    .handle_timeout(now, &self.store)
                    .expect("the store works");
            }
            self.drain()?;
        }
        self.now_ms = until;
        Ok(())
    }

    /// Tells what happens, when a single history is looked at.
    fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!(
                "{:>9.3} life {} {}",
                self.now_ms as f64 / 1000.0,
                self.life,
                what()
            );
        }
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.next_event += 1;
        self.events
            .insert((self.now_ms + delay, self.next_event), event);
    }

    fn happens(&mut self, event: Event) -> Result<(), Broken> {
        let now = self.now();
        match event {
            Event::Arrives {
                life,
                id,
                target,
                body,
                signed,
                sent,
                answered,
            } => {
                let answer = self.serve(&target, &body, signed, sent)?;
                let lost = !self.quiet && self.rng.percent(self.weather.lost_replies);
                if answered && !lost {
                    let delay = 5 + self.rng.below(60);
                    let date = self.server_ms() / 1000 * 1000;
                    self.at(
                        delay,
                        Event::Reply {
                            life,
                            id,
                            answer: Some(answer),
                            date,
                        },
                    );
                }
            }
            Event::Reply {
                life,
                id,
                answer,
                date,
            } if life == self.life => {
                let reply = match answer {
                    Some(answer) => {
                        self.tell(|| format!("reply {id:?} {}", answer.status));
                        self.memory.shown(&answer.body, self.now_ms);
                        let (status, body) = (answer.status, answer.body.into_bytes());
                        Reply::Answer {
                            status,
                            error_type: None,
                            body,
                        }
                    }
                    None => Reply::Lost("connection reset".to_owned()),
                };
                let date = Some(UnixMillis(date));
                self.machine
                    .handle_reply(id, reply, date, now, &self.store)
                    .expect("works");
            }
            Event::Durable { life, sequence } if life == self.life => {
                self.store.sync(sequence);
                self.machine
                    .handle_durable(sequence, now, &self.store)
                    .expect("works");
            }
            Event::Reply { .. } | Event::Durable { .. } => {}
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Broken> {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Flush(sequence) => {
                    let delay = 1 + self.rng.below(20);
                    self.at(
                        delay,
                        Event::Durable {
                            life: self.life,
                            sequence,
                        },
                    );
                }
                Output::ClockOffset(offset) => self.offset_ms = offset,
                Output::Alarm(reason) => self.alarms.push(reason.kind),
                Output::Send(id, request) => self.leaves(id, request.target, request.body)?,
            }
        }
        Ok(())
    }

    fn leaves(&mut self, id: RequestId, target: String, body: String) -> Result<(), Broken> {
        self.requests += 1;
        self.tell(|| format!("sends {id:?} {target} {body}"));
        self.check_leaving(&target, &body)?;
        let signed = self.now().wall.map_or(0, |wall| wall.0) + self.offset_ms;
        let (life, sent) = (self.life, self.now_ms);
        let arrives = |answered| Event::Arrives {
            life,
            id,
            target: target.clone(),
            body: body.clone(),
            signed,
            sent,
            answered,
        };
        if self.quiet {
            self.at(10, arrives(true));
            return Ok(());
        }
        if self.rng.percent(self.weather.late_copies) {
            let delay = 15_000 + self.rng.below(270_000);
            self.at(delay, arrives(false));
        }
        if self.rng.percent(self.weather.lost_requests) {
            if self.rng.percent(50) {
                self.at(
                    50,
                    Event::Reply {
                        life,
                        id,
                        answer: None,
                        date: self.server_ms(),
                    },
                );
            }
        } else {
            let delay = 5 + self.rng.below(60);
            self.at(delay, arrives(true));
        }
        Ok(())
    }

    /// What leaves must be durable, and the same as the last time.
    fn check_leaving(&mut self, target: &str, body: &str) -> Result<(), Broken> {
        let Some(key) = written_key(target, body) else {
            return Ok(());
        };
        if key.sk.starts_with('~') || body.contains(r##""ConditionExpression":"#0 <= :0""##) {
            return Ok(());
        }
        let frozen = |record: Record| record.change.and_then(|change| change.frozen);
        let live = frozen(self.store.get(&key)).expect("what leaves is frozen");
        if frozen(self.store.durable_record(&key)) != Some(live.clone()) {
            return broken(format!("{key}: {} left before it was durable", live.mark));
        }
        self.memory
            .attempt_leaves(&key, live.mark, body, self.now_ms)
    }

    /// The table does what a request asks.
    fn serve(
        &mut self,
        target: &str,
        body: &str,
        signed: i64,
        sent: u64,
    ) -> Result<Answer, Broken> {
        if (signed - self.server_ms()).abs() > SIGNATURE_VALID_MS {
            let words = "Signature expired: it is now earlier than it should be";
            return Ok(Answer::error("InvalidSignatureException", words));
        }
        if !self.quiet && self.rng.percent(self.weather.throttles) {
            return Ok(Answer::throttled());
        }
        let failure = !self.quiet && self.rng.percent(self.weather.failures);
        let error = || Answer {
            status: 500,
            body: String::new(),
        };
        if failure && self.rng.percent(50) {
            return Ok(error());
        }
        self.tell(|| format!("serves {target} {body}"));
        let key = written_key(target, body).filter(|key| !key.sk.starts_with('~'));
        let place = key.as_ref().map(|key| (key.pk.clone(), key.sk.clone()));
        let before = place
            .as_ref()
            .and_then(|place| self.dynamo.table(TABLE).get(place).cloned());
        let answer = self.dynamo.handle(target, body);
        self.tell(|| format!("  -> {} {}", answer.status, answer.body));
        assert!(
            !answer.body.contains("ValidationException"),
            "{body}\n{}",
            answer.body
        );
        if let Some((key, place)) = key.zip(place) {
            let after = self.dynamo.table(TABLE).get(&place).cloned();
            let clears = body.contains(r##""ConditionExpression":"#0 <= :0""##);
            if before != after && !clears {
                self.memory
                    .device_wrote(&key, before.as_ref(), after.as_ref(), body, sent)?;
            }
        }
        Ok(if failure { error() } else { answer })
    }

    /// One thing that somebody does.
    fn act(&mut self) -> Result<(), Broken> {
        let odds = [
            self.weather.plain_edits,
            self.weather.plain_erasure,
            self.weather.aware_edits,
            self.weather.crashes,
            self.weather.restored_files,
            self.weather.restored_tables,
        ];
        let mut draw = self.rng.below(100);
        for (what, odds) in odds.into_iter().enumerate() {
            if draw < odds {
                match what {
                    0 => self.plain_edit(),
                    1 => self.plain_erasure(),
                    2 => self.aware_edit(),
                    3 => self.crash(),
                    4 => self.restore_file(),
                    _ => self.restore_table(),
                }
                return Ok(());
            }
            draw -= odds;
        }
        self.local_write();
        if self.rng.percent(8) {
            self.backups.push(self.store.durable());
            let table = self.dynamo.table(TABLE).clone();
            self.table_backups.push(table);
        }
        Ok(())
    }

    fn value(&mut self, side: char) -> Value {
        self.next_value += 1;
        Value::from(format!("{side}{}", self.next_value))
    }

    /// A program on the device writes.
    pub(crate) fn local_write(&mut self) {
        let keys = keys();
        let key = self.rng.pick(&keys).clone();
        let delete = self.rng.percent(20);
        let field = *self.rng.pick(&["x", "y", "z"]);
        let drop_field = self.rng.percent(10);
        let value = self.value('L');
        let mut item = self
            .store
            .get(&key)
            .item
            .unwrap_or_else(|| Map::from([("pk", key.pk.as_str()), ("sk", key.sk.as_str())]));
        if drop_field {
            item.remove(field);
        } else {
            item.insert(field, value);
        }
        self.write_local(&key, (!delete).then_some(item));
    }

    pub(crate) fn write_local(&mut self, key: &ItemKey, item: Option<Map>) {
        let mut changed = false;
        let sequence = self
            .store
            .modify(std::slice::from_ref(key), &mut |frame| {
                changed = frame.records[0].write(item.clone());
            })
            .expect("the store works");
        if !changed {
            return;
        }
        self.tell(|| format!("local write {sequence} {key} {item:?}"));
        self.memory.writes.push(LocalWrite {
            sequence,
            key: key.clone(),
            wrote: content(item.as_ref()),
        });
        let now = self.now();
        self.machine
            .handle_change(now, &self.store)
            .expect("the store works");
        if self.rng.percent(70) {
            self.at(
                5,
                Event::Durable {
                    life: self.life,
                    sequence,
                },
            );
        }
    }

    fn foreign_key(&mut self) -> ItemKey {
        let keys = keys();
        let settings = if self.rng.percent(85) {
            &keys[..3]
        } else {
            &keys[..]
        };
        self.rng.pick(settings).clone()
    }

    fn plain_edit(&mut self) {
        let key = self.foreign_key();
        let field = *self.rng.pick(&["x", "y", "w"]);
        let value = self.value('F');
        self.edit(&key, |item| {
            item.insert(field, value);
        });
    }

    fn aware_edit(&mut self) {
        let key = self.foreign_key();
        let field = *self.rng.pick(&["x", "z"]);
        let value = self.value('F');
        let fresh = self.server_ms() * 1024;
        self.edit(&key, |item| {
            let version = item.get("_v").and_then(Value::as_i64);
            item.insert("_v", version.map_or(fresh, |version| version + 1));
            item.insert("_w", "cloud");
            item.insert(field, value);
        });
    }

    /// Changes an item in the table; makes it if it is not there.
    pub(crate) fn edit(&mut self, key: &ItemKey, change: impl FnOnce(&mut Map)) {
        let place = (key.pk.clone(), key.sk.clone());
        let item = self
            .dynamo
            .table(TABLE)
            .entry(place)
            .or_insert_with(|| Map::from([("pk", key.pk.as_str()), ("sk", key.sk.as_str())]));
        change(item);
        let item = item.clone();
        self.tell(|| format!("somebody edits {key}: {item:?}"));
        self.memory.cloud_has(key, &item);
    }

    fn plain_erasure(&mut self) {
        let key = self.foreign_key();
        self.memory.erased.insert(key.clone());
        let place = (key.pk.clone(), key.sk.clone());
        if self.rng.percent(50) {
            self.dynamo.table(TABLE).remove(&place);
            self.tell(|| format!("somebody deletes {key}"));
            return;
        }
        let value = self.value('F');
        self.edit(&key, |item| {
            item.retain(|name, _| !is_metadata(name));
            item.insert("x", value);
        });
    }

    fn crash(&mut self) {
        if self.rng.percent(50) {
            self.store.power_cut();
        } else {
            // Only the process dies: recovery makes durable what it finds.
            self.store.sync(u64::MAX);
        }
        self.begin_life();
    }

    fn begin_life(&mut self) {
        self.memory.lose_after(self.store.durable_sequence());
        self.tell(|| format!("life ends, durable {}", self.store.durable_sequence()));
        self.life += 1;
        self.born_ms = self.now_ms;
        self.offset_ms = 0;
        self.machine = Machine::new(config(self.rules, self.poll), self.rng.next());
    }

    fn restore_file(&mut self) {
        if self.backups.is_empty() {
            return;
        }
        let backup = self.rng.pick(&self.backups).clone();
        self.store.restore(backup);
        // What the lost lives wrote and did not send is gone with them.
        self.begin_life();
    }

    fn restore_table(&mut self) {
        if self.table_backups.is_empty() {
            return;
        }
        let backup = self.rng.pick(&self.table_backups).clone();
        let epoch = ("dev#a#sys".to_owned(), "~epoch".to_owned());
        if backup.get(&epoch) == self.dynamo.table(TABLE).get(&epoch) {
            // Within one epoch nothing shows that the table went back.
            return;
        }
        *self.dynamo.table(TABLE) = backup;
        self.memory.table_went_back();
    }

    fn check_converged(&mut self) -> Result<(), Broken> {
        let state = self.store.live();
        let alone = self.weather.plain_edits + self.weather.aware_edits == 0;
        let went_back = self.weather.restored_files + self.weather.restored_tables > 0;
        for key in keys() {
            let place = (key.pk.clone(), key.sk.clone());
            let cloud = self.dynamo.table(TABLE).get(&place).cloned();
            let record = state
                .rows
                .get(&key)
                .map(|(_, record)| record.clone())
                .unwrap_or_default();
            if record.change.is_some() {
                return broken(format!("{key} is not clean: {record:?}\n{cloud:?}"));
            }
            // Models that only travel up are never read: after a file or a table went back, rows
            // may be left there that the device does not know or does not want.
            let follows = key.pk == "dev#a#rw";
            let knows_all = alone && (!went_back || record.item.is_some());
            if (follows || knows_all) && content(cloud.as_ref()) != content(record.item.as_ref()) {
                return broken(format!("{key} differs: {:?}\n{cloud:?}", record.item));
            }
            self.memory
                .check_writes_arrived(&key, went_back, &state.conflicts)?;
            self.memory.check_taken_along(&key, &state.conflicts)?;
            let last = self
                .memory
                .last_write(&key)
                .map(|write| write.wrote.clone());
            if let Some(last) = last.filter(|_| alone && !went_back)
                && last != content(cloud.as_ref())
            {
                return broken(format!("{key}: last written {last:?}\n{cloud:?}"));
            }
        }
        let own = state
            .conflicts
            .iter()
            .any(|entry| entry.kind != ConflictKind::Debris);
        if alone && !went_back && own {
            return broken(format!(
                "conflicts of the device with itself: {:?}",
                state.conflicts
            ));
        }
        Ok(())
    }
}

/// The key that a write of the device concerns.
fn written_key(target: &str, body: &str) -> Option<ItemKey> {
    let operation = target.strip_prefix("DynamoDB_20120810.")?;
    let field = match operation {
        "PutItem" => "Item",
        "UpdateItem" | "DeleteItem" => "Key",
        _ => return None,
    };
    let fields = json::parse(body)
        .expect("a body is JSON")
        .into_map()
        .expect("of an object");
    let item = attribute::item_from_json(fields[field].clone()).expect("with an item");
    ItemKey::of(&item)
}
