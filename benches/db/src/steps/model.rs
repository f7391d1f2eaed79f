//! The model layer: items of a schema, checked, with keys by template and a generated id.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use periwinkle_core::schema::Schema;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::value::{Map, Number, Value};
use periwinkle_db::engine::{Durability, FileStorage};
use periwinkle_db::{Database, Environment, Find, Options};
use serde::Deserialize;

use super::Task;
use crate::figures::{Figures, millis};
use crate::fixture::Random;
use crate::process;
use crate::subjects::CACHE_ALL_BYTES;

const GETS: u32 = 200_000;
const UPDATES: u32 = 20_000;
const FINDS: u32 = 2_000;
const PAGE_ROWS: usize = 100;
const TRANSACTIONS: u32 = 2_000;
const TRANSACTION_WRITES: u32 = 10;

const SCHEMA: &str = include_str!("../../readings.json5");

/// The clock and entropy of the system, as the agent lends them.
struct Surroundings(Instant);

impl Environment for Surroundings {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            mono: Mono::ZERO + self.0.elapsed(),
            wall: wall.ok().map(|wall| UnixMillis(wall.as_millis() as i64)),
            trusted: true,
        }
    }

    fn fill(&self, bytes: &mut [u8]) {
        let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(bytes.len()), "the system has entropy");
    }
}

fn open(task: &Task, cache_bytes: Option<usize>) -> Result<Database> {
    let storage = Arc::new(FileStorage::open(&task.directory)?);
    let mut options = Options {
        context: Map::from([("deviceId", "a81758fffe03dc1f")]),
        ..Options::default()
    };
    if let Some(bytes) = cache_bytes {
        options.engine.cache_bytes = bytes;
    }
    let surroundings = Arc::new(Surroundings(Instant::now()));
    let schema = Schema::parse(SCHEMA)?;
    let (database, _report) = Database::open(storage, schema, options, surroundings)?;
    Ok(database)
}

/// An item as a program's own type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what is measured is the making of it")]
struct Reading {
    device_id: String,
    id: String,
    sensor: String,
    kind: String,
    value: u32,
    valid: bool,
    created: String,
    updated: String,
}

/// Every sensor has two pages of them.
fn reading(task: &Task, number: u32) -> Map {
    Map::from([
        ("sensor", Value::from(sensor(task, number))),
        ("value", Value::Number(Number::from(number))),
    ])
}

fn sensor(task: &Task, number: u32) -> String {
    let sensors = (task.rows / (2 * PAGE_ROWS as u32)).max(1);
    format!("s{}", number % sensors)
}

/// A new database with all items.
pub(super) fn fill(task: &Task, figures: &mut Figures) -> Result<()> {
    let database = open(task, None)?;
    create_all(task, &database, figures)?;
    Ok(database.close()?)
}

/// Creates the items and answers their keys.
fn create_all(task: &Task, database: &Database, figures: &mut Figures) -> Result<Vec<Map>> {
    let mut keys = Vec::new();
    figures.time_calls("model_create_us", task.rows, |number| {
        let made = database.create("Reading", &reading(task, number))?;
        let id = made.item.get("id").context("an item has no id")?;
        keys.push(Map::from([("id", id.clone())]));
        Ok(())
    })?;
    database.flush().wait()?;
    Ok(keys)
}

/// A new database with all items, and the calls on it.
pub(super) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    if task.directory.exists() {
        fs::remove_dir_all(&task.directory)?;
    }
    let database = open(task, Some(CACHE_ALL_BYTES))?;
    let keys = create_all(task, &database, figures)?;
    let mut random = Random::new(7);
    let mut any = || &keys[random.below(task.rows) as usize];
    figures.time_calls("model_get_us", task.calls(GETS), |_| {
        let item = database.get("Reading", any())?;
        ensure!(item.is_some(), "an item is missing");
        Ok(())
    })?;
    let readings = database.rows::<Reading>("Reading")?;
    figures.time_calls("model_typed_get_us", task.calls(GETS), |_| {
        let reading = readings.get(any())?.context("an item is missing")?;
        black_box(reading);
        Ok(())
    })?;
    figures.time_calls("model_update_us", task.calls(UPDATES), |number| {
        let mut changes = any().clone();
        changes.insert("value", Value::Number(Number::from(number)));
        database.update("Reading", &changes)?;
        Ok(())
    })?;
    figures.time_calls("model_page_us", task.calls(FINDS), |_| {
        let find = Find::new().limit(PAGE_ROWS);
        let page = database.find("Reading", &Map::new(), &find)?;
        ensure!(page.items.len() == PAGE_ROWS, "a page is short");
        Ok(())
    })?;
    figures.time_calls("model_index_page_us", task.calls(FINDS), |number| {
        let find = Find::new().index("gs1").limit(PAGE_ROWS);
        let of = Map::from([("sensor", sensor(task, number))]);
        let page = database.find("Reading", &of, &find)?;
        ensure!(page.items.len() == PAGE_ROWS, "a page is short");
        Ok(())
    })?;
    figures.time_calls("model_transaction_us", task.calls(TRANSACTIONS), |number| {
        database.transaction(|tx| {
            (0..TRANSACTION_WRITES).try_for_each(|write| {
                let reading = reading(task, number * TRANSACTION_WRITES + write);
                tx.create("Reading", &reading).map(drop)
            })
        })?;
        Ok(())
    })?;
    figures.time_calls("model_durable_us", task.calls(200), |number| {
        let durable = database.durability(Durability::Immediate);
        Ok(durable
            .create("Reading", &reading(task, number))?
            .ticket
            .wait()?)
    })?;
    Ok(database.close()?)
}

pub(super) fn open_again(task: &Task, figures: &mut Figures) -> Result<()> {
    let before = process::memory_bytes()?;
    let begun = Instant::now();
    let database = open(task, None)?;
    figures.add("model_open_ms", millis(begun.elapsed()));
    let bytes = process::memory_bytes()?.saturating_sub(before);
    figures.add("model_memory_bytes", bytes as f64 / f64::from(task.rows));
    Ok(database.close()?)
}
