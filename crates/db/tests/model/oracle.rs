//! Long random histories of operations on items, in which the database, redb and a map have to
//! agree: on what there is, on what is refused and how, and on every page, through closings, power
//! cuts and openings.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Value, json};
use periwinkle_db::{Database, DbError, Find};
use periwinkle_testkit::rng::Rng;
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::world::World;

const ITEMS: TableDefinition<'_, (&str, &str), &str> = TableDefinition::new("items");

/// A model, the name of its key, and what its items have beside what is given.
#[derive(Clone, Copy)]
struct Kind {
    model: &'static str,
    key: &'static str,
    fields: [&'static str; 2],
    added: (&'static str, &'static str),
}

const KINDS: [Kind; 2] = [
    Kind {
        model: "Setting",
        key: "id",
        fields: ["value", "note"],
        added: ("deviceId", "d1"),
    },
    Kind {
        model: "User",
        key: "name",
        fields: ["role", "role"],
        added: ("role", "viewer"),
    },
];

/// What the database shall hold, twice: items by model and key.
struct Oracles {
    items: BTreeMap<(&'static str, String), Map>,
    redb: redb::Database,
}

impl Oracles {
    fn new(file: &Path) -> Oracles {
        let redb = redb::Database::create(file).unwrap();
        let made = redb.begin_write().unwrap();
        made.open_table(ITEMS).unwrap();
        made.commit().unwrap();
        Oracles {
            items: BTreeMap::new(),
            redb,
        }
    }

    fn set(&mut self, kind: Kind, key: &str, item: Option<&Map>) {
        let mut work = self.redb.begin_write().unwrap();
        work.set_durability(Durability::None).unwrap();
        {
            let mut items = work.open_table(ITEMS).unwrap();
            let name = (kind.model, key.to_owned());
            match item {
                Some(item) => {
                    let text = item.to_json();
                    items.insert((kind.model, key), &text[..]).unwrap();
                    self.items.insert(name, item.clone());
                }
                None => {
                    items.remove((kind.model, key)).unwrap();
                    self.items.remove(&name);
                }
            }
        }
        work.commit().unwrap();
    }

    fn get(&self, kind: Kind, key: &str) -> Option<Map> {
        self.items.get(&(kind.model, key.to_owned())).cloned()
    }

    /// The items of a model whose key begins so, in order, as both say.
    fn list(&self, kind: Kind, prefix: &str) -> Vec<Map> {
        let own = |model: &str, key: &str| model == kind.model && key.starts_with(prefix);
        let items = self
            .items
            .iter()
            .filter(|((model, key), _)| own(model, key));
        let of_map: Vec<Map> = items.map(|(_, item)| item.clone()).collect();
        let reading = self.redb.begin_read().unwrap();
        let table = reading.open_table(ITEMS).unwrap();
        let rows = table.iter().unwrap().map(Result::unwrap);
        let rows = rows.filter(|(name, _)| own(name.value().0, name.value().1));
        let parse = |text: &str| json::parse(text).unwrap().into_map().unwrap();
        let of_redb: Vec<Map> = rows.map(|(_, item)| parse(item.value())).collect();
        assert_eq!(of_map, of_redb, "the oracles differ");
        of_map
    }
}

fn random_key(rng: &mut Rng) -> String {
    let letters = ["a", "b", "ä", "_", "\u{10ffff}"];
    let length = 1 + rng.index(3);
    (0..length).map(|_| letters[rng.index(5)]).collect()
}

/// Properties for a write: a field may be given, or taken away.
fn random_item(kind: Kind, key: &str, rng: &mut Rng) -> Map {
    let mut item = Map::from([(kind.key, key)]);
    for field in kind.fields {
        let value = match (rng.below(3), kind.model) {
            (0, "Setting") => Value::Null,
            (0, _) => continue,
            (_, "User") => Value::from(["viewer", "editor", "owner"][rng.index(3)]),
            _ => Value::from("v".repeat(rng.index(60))),
        };
        item.insert(field, value);
    }
    item
}

/// The item when these properties are written over it, or over nothing.
fn written(kind: Kind, before: Option<Map>, given: &Map) -> Map {
    let (name, value) = kind.added;
    let mut item = before.unwrap_or_else(|| Map::from([(name, value)]));
    for (name, value) in given.iter() {
        match value {
            Value::Null => drop(item.remove(name)),
            value => drop(item.insert(name, value.clone())),
        }
    }
    item
}

/// One operation, with what has to come of it.
fn step(db: &Database, oracles: &mut Oracles, rng: &mut Rng) {
    let kind = KINDS[rng.index(2)];
    let key = random_key(rng);
    let given = random_item(kind, &key, rng);
    let there = oracles.get(kind, &key);
    let name = Map::from([(kind.key, &key[..])]);
    let (done, expected) = match rng.below(5) {
        0 | 1 => {
            let made = written(kind, None, &given);
            let expected = there.map_or(Ok(Some(made)), |_| Err("exists"));
            (db.create(kind.model, &given), expected)
        }
        2 => {
            let changed = there.map(|there| written(kind, Some(there), &given));
            let expected = changed.map_or(Err("not_found"), |item| Ok(Some(item)));
            (db.update(kind.model, &given), expected)
        }
        3 => {
            let expected = Ok(Some(written(kind, there, &given)));
            (db.upsert(kind.model, &given), expected)
        }
        _ => {
            let expected = there.map_or(Err("not_found"), |_| Ok(None));
            (db.remove(kind.model, &name), expected)
        }
    };
    match (done, expected) {
        (Ok(done), Ok(Some(item))) => {
            assert_eq!(done.item, item);
            oracles.set(kind, &key, Some(&item));
        }
        (Ok(_), Ok(None)) => oracles.set(kind, &key, None),
        (Err(error), Err(expected)) => assert_eq!(DbError::kind(&error), expected),
        (done, expected) => panic!("{given:?}: {done:?}, expected {expected:?}"),
    }
    assert_eq!(db.get(kind.model, &name).unwrap(), oracles.get(kind, &key));
}

/// Pages through a model, or the part of it whose keys begin so.
fn compare(db: &Database, oracles: &Oracles, kind: Kind, rng: &mut Rng) {
    let prefix = [String::new(), random_key(rng)][rng.index(2)].clone();
    let mut wanted = oracles.list(kind, &prefix);
    let mut find = Find::new().prefix(prefix).limit(1 + rng.index(7));
    if rng.one_in(2) {
        find = find.reverse();
        wanted.reverse();
    }
    let mut found = Vec::new();
    loop {
        let page = db.find(kind.model, &Map::new(), &find).unwrap();
        found.extend(page.items);
        match page.next {
            Some(next) => find = find.next(next),
            None => break,
        }
    }
    assert_eq!(found, wanted);
}

fn compare_all(db: &Database, oracles: &Oracles, rng: &mut Rng) {
    for kind in KINDS {
        compare(db, oracles, kind, rng);
        let rows = oracles.list(kind, "").len() as u64;
        assert_eq!(db.stats().rows.get(kind.model).copied().unwrap_or(0), rows);
    }
    // Nothing is ever sent here: whatever was written or removed of a synced model waits.
    let waiting = db.dirty(None, usize::MAX).unwrap().len() as u64;
    assert_eq!(db.stats().queue.rows, waiting);
    assert!(waiting >= oracles.list(KINDS[0], "").len() as u64);
}

fn lead(seed: u64, file: &Path) -> u64 {
    let mut rng = Rng::new(seed);
    let mut world = World::new(seed);
    world.schema = world.schema.replace("rows_max: 100", "rows_max: 100000");
    let mut oracles = Oracles::new(file);
    let mut steps = 0;
    for _ in 0..6 {
        let db = world.open();
        compare_all(&db, &oracles, &mut rng);
        for _ in 0..rng.below(80) {
            step(&db, &mut oracles, &mut rng);
            steps += 1;
            if rng.one_in(6) {
                compare(&db, &oracles, KINDS[rng.index(2)], &mut rng);
            }
        }
        compare_all(&db, &oracles, &mut rng);
        if rng.one_in(2) {
            db.close().unwrap();
        } else {
            db.flush().wait().unwrap();
            let survivor = world.disk.snapshot();
            drop(db);
            survivor.restart(rng.next_u64());
            world.disk = survivor;
        }
    }
    steps
}

#[test]
fn database_redb_and_map_agree_on_items_through_any_history() {
    let scratch = tempfile::tempdir().unwrap();
    let wished = std::env::var("PERIWINKLE_ORACLE_SEEDS");
    let seeds = wished.map_or(20, |seeds| seeds.parse().expect("a number of seeds"));
    let mut steps = 0;
    for seed in 0..seeds {
        let file = scratch.path().join(format!("{seed}.redb"));
        let one = || lead(seed, &file);
        steps += catch_unwind(AssertUnwindSafe(one)).unwrap_or_else(|_| panic!("seed {seed}"));
        std::fs::remove_file(&file).unwrap();
    }
    println!("{steps} operations");
    assert!(steps > 3000);
}
