//! One device, one table, and everything between them.

mod actors;
mod network;

use super::check::{Broken, LocalWrite, Memory, broken, content};
use super::store::{MemStore, State};
use super::weather::{Rng, STILL, Weather};
use periwinkle_core::sync::config::{Config, Direction, ModelRule, Rules};
use periwinkle_core::sync::machine::{Machine, RequestId, Status};
use periwinkle_core::sync::record::ItemKey;
use periwinkle_core::sync::store::ConflictKind;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::value::Map;
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
    backups: Vec<(State, Vec<LocalWrite>)>,
    table_backups: Vec<Table>,
    pub(crate) requests: u64,
    pub(crate) alarms: Vec<String>,
    pub(crate) fault: Option<Fault>,
    /// The most requests that were on their way at once.
    pub(crate) crowd: usize,
    quiet: bool,
    trace: bool,
}

pub(crate) fn keys() -> Vec<ItemKey> {
    let rw = ["Setting#1", "Setting#2", "Setting#3"].map(|sk| ItemKey::new("dev#a#rw", sk));
    let up = ["Metric#1", "Metric#2"].map(|sk| ItemKey::new("dev#a#up#2026-11", sk));
    rw.into_iter().chain(up).collect()
}

/// An answer that the world gives in the table's place, by the target and body of the request.
pub(crate) type Fault = fn(&str, &str) -> Option<Answer>;

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
            fault: None,
            crowd: 0,
            quiet: false,
            trace: std::env::var_os("PERIWINKLE_SYNC_SEED").is_some(),
        }
    }

    /// A world in which nothing happens by itself.
    pub(crate) fn still() -> World {
        World::still_under(Rules::default())
    }

    /// The same, with parts of the protocol taken out.
    pub(crate) fn still_under(rules: Rules) -> World {
        World::new(1, STILL, rules)
    }

    /// Begins a life with another configuration.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = config(self.rules, self.poll);
        change(&mut config);
        self.machine = Machine::new(config, 1);
    }

    /// Lets so many seconds pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.run_until(self.now_ms + seconds * 1000)
            .expect("no promise is broken");
    }

    /// What the owner sees.
    pub(crate) fn status(&self) -> Status {
        self.machine
            .status(self.now(), &self.store)
            .expect("the store works")
    }

    /// The item in the table, as programs see it.
    pub(crate) fn cloud(&mut self, key: &ItemKey) -> Option<Map> {
        let place = (key.pk.clone(), key.sk.clone());
        content(self.dynamo.table(TABLE).get(&place))
    }

    /// The item on the device, as programs see it.
    pub(crate) fn local(&self, key: &ItemKey) -> Option<Map> {
        content(self.store.get(key).item.as_ref())
    }

    /// Somebody asks for another try.
    pub(crate) fn retry(&mut self) {
        let now = self.now();
        self.machine
            .retry_now(now, &self.store)
            .expect("the store works");
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
            let (files, tables) = (self.weather.restored_files, self.weather.restored_tables);
            let knows_all = alone && files == 0 && (tables == 0 || record.item.is_some());
            if (follows || knows_all) && content(cloud.as_ref()) != content(record.item.as_ref()) {
                return broken(format!("{key} differs: {:?}\n{cloud:?}", record.item));
            }
            self.memory
                .check_writes_arrived(&key, went_back, &state.conflicts)?;
            if self.weather.restored_files == 0 {
                self.memory.check_taken_along(&key, &state.conflicts)?;
            }
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
