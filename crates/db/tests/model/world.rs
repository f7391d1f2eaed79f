//! A database on a simulated disk, with a clock that stands until it is moved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use periwinkle_core::schema::Schema;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::value::{Map, json};
use periwinkle_db::{Database, DbOpenError, Environment, Options, QueueBounds, engine};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

/// 2026-11-22T10:21:53.667Z.
pub(crate) const START: i64 = 1_795_342_913_667;

pub(crate) const SCHEMA: &str = "{
    version: '3.0.0',
    params: { isoDates: true },
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {
        Setting: {
            pk: { type: 'string', value: 'dev#${deviceId}#rw' },
            sk: { type: 'string', value: 'Setting#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', generate: 'ulid', required: true },
            value: { type: 'string' },
            note: { type: 'string' },
        },
        Command: {
            pk: { type: 'string', value: 'dev#${deviceId}#dn' },
            sk: { type: 'string', value: 'Command#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
            what: { type: 'string' },
        },
        Metric: {
            pk: { type: 'string', value: 'dev#${deviceId}#up#${month}' },
            sk: { type: 'string', value: 'Metric#${at}' },
            deviceId: { type: 'string', required: true },
            month: { type: 'string', required: true },
            at: { type: 'date', required: true },
            load: { type: 'number' },
            expires: { type: 'date', ttl: true },
        },
        User: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'User#${name}' },
            name: { type: 'string', required: true },
            role: { type: 'string', enum: ['viewer', 'editor', 'owner'], default: 'viewer' },
            password: { type: 'string', hidden: true },
        },
        UserLog: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'UserLog#${id}' },
            id: { type: 'string', generate: 'ulid', required: true },
            text: { type: 'string' },
            expires: { type: 'date', ttl: true },
        },
        Conflicts: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Conflicts#${id}' },
            id: { type: 'string', generate: 'ulid', required: true },
            model: { type: 'string' },
            item: { type: 'string' },
            kind: { type: 'string' },
            local: { type: 'object' },
            cloud: { type: 'object' },
            winner: { type: 'string' },
            at: { type: 'date' },
        },
    },
    process: {
        Setting: { sync: 'both', rows_max: 100 },
        Command: { sync: 'down' },
        Metric: { sync: 'up', durability: 'relaxed', rows_max: 5 },
        UserLog: { rows_max: 3 },
    },
}";

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<Clock>,
    pub(crate) schema: String,
    pub(crate) queue: QueueBounds,
    pub(crate) device: &'static str,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        World {
            disk: SimDisk::new(seed),
            clock: Arc::new(Clock {
                now: Mutex::new(Now {
                    mono: Mono::ZERO,
                    wall: Some(UnixMillis(START)),
                    trusted: true,
                }),
                rng: Mutex::new(Rng::new(seed)),
            }),
            schema: SCHEMA.to_owned(),
            queue: QueueBounds::default(),
            device: "d1",
        }
    }

    pub(crate) fn open(&self) -> Database {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Database, DbOpenError> {
        self.open_on(&self.disk)
    }

    pub(crate) fn open_on(&self, disk: &SimDisk) -> Result<Database, DbOpenError> {
        self.open_reporting(disk).map(|(db, _)| db)
    }

    pub(crate) fn open_reporting(
        &self,
        disk: &SimDisk,
    ) -> Result<(Database, engine::OpenReport), DbOpenError> {
        let (schema, options) = self.given();
        let environment = Arc::clone(&self.clock);
        Database::open(disk.storage(), schema, options, environment)
    }

    pub(crate) fn open_read_only(&self) -> Result<Database, DbOpenError> {
        let (schema, options) = self.given();
        let environment = Arc::clone(&self.clock);
        Database::open_read_only(self.disk.storage(), schema, options, environment)
            .map(|(db, _)| db)
    }

    fn given(&self) -> (Schema, Options) {
        let schema = Schema::parse(&self.schema).unwrap();
        let options = Options {
            context: Map::from([("deviceId", self.device)]),
            engine: engine::Options {
                segment_bytes: 64 << 10,
                segment_bytes_min: 16 << 10,
                // Relaxed writes wait until a test says otherwise.
                flush_interval: Duration::from_secs(3600),
                salt: 1,
                ..engine::Options::default()
            },
            queue: self.queue,
        };
        (schema, options)
    }
}

pub(crate) struct Clock {
    now: Mutex<Now>,
    rng: Mutex<Rng>,
}

impl Clock {
    pub(crate) fn pass(&self, millis: i64) {
        let mut now = self.now.lock().unwrap();
        now.wall = now.wall.map(|wall| UnixMillis(wall.0 + millis));
        now.mono = now.mono + Duration::from_millis(millis as u64);
    }

    pub(crate) fn distrust(&self) {
        self.now.lock().unwrap().trusted = false;
    }

    /// What a clock shows that nothing has confirmed.
    pub(crate) fn show(&self, wall: i64) {
        let mut now = self.now.lock().unwrap();
        (now.wall, now.trusted) = (Some(UnixMillis(wall)), false);
    }

    /// What a clock shows that has been confirmed.
    pub(crate) fn confirm(&self, wall: i64) {
        let mut now = self.now.lock().unwrap();
        (now.wall, now.trusted) = (Some(UnixMillis(wall)), true);
    }

    pub(crate) fn trust(&self) {
        self.now.lock().unwrap().trusted = true;
    }
}

impl Environment for Clock {
    fn now(&self) -> Now {
        *self.now.lock().unwrap()
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.rng.lock().unwrap();
        bytes.fill_with(|| rng.next_u64() as u8);
    }
}

/// Properties from JSON text.
pub(crate) fn props(text: &str) -> Map {
    json::parse(text).unwrap().into_map().unwrap()
}
