//! Lists by global and local indexes answer on the device what queries answer in the cloud: the
//! same items in the same order, page by page.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use periwinkle_core::schema::Schema;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::value::{Map, Number, Value, attribute};
use periwinkle_db::engine::FileStorage;
use periwinkle_db::{Database, Environment, Find, Options};
use periwinkle_testkit::rng::Rng;
use serde_json::json;

use super::{seed, wire};
use crate::counterparts::{Cloud, Judge};

const ROUNDS: usize = 12;
const WRITES_PER_ROUND: usize = 25;
const QUERIES_PER_ROUND: usize = 25;

/// The table of `xtask/assets/index_judge.py`.
const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: {
        primary: { hash: 'pk', sort: 'sk' },
        gs1: { hash: 'gpk', sort: 'rank', project: 'all' },
        gs2: { hash: 'place', sort: 'word', project: 'all' },
        gs3: { hash: 'place', sort: 'raw', project: 'all' },
        gs4: { hash: 'rank', project: 'all' },
        ls1: { sort: 'label', type: 'local', project: 'all' },
    },
    models: { Thing: {
        pk: { type: 'string', value: 'part#${part}' },
        sk: { type: 'string', value: 'Thing#${id}' },
        gpk: { type: 'string', value: 'group#${group}' },
        part: { type: 'string', required: true },
        id: { type: 'string', required: true },
        group: { type: 'string' },
        rank: { type: 'number' },
        place: { type: 'string' },
        word: { type: 'string' },
        raw: { type: 'binary' },
        label: { type: 'string' },
    } },
}";

/// An index: its name, the attribute and the property of its hash, and its sort property.
const INDEXES: [(&str, &str, &str, Option<&str>); 5] = [
    ("gs1", "gpk", "group", Some("rank")),
    ("gs2", "place", "place", Some("word")),
    ("gs3", "place", "place", Some("raw")),
    ("gs4", "rank", "rank", None),
    ("ls1", "pk", "part", Some("label")),
];

struct StandingClock;

impl Environment for StandingClock {
    fn now(&self) -> Now {
        Now {
            mono: Mono::ZERO,
            wall: Some(UnixMillis(1_795_342_913_667)),
            trusted: true,
        }
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// A query, as both sides are asked it.
struct Query {
    index: &'static str,
    properties: Map,
    find: Find,
    key: String,
    values: Map,
    forward: bool,
    limit: usize,
}

fn value_of(property: &str, rng: &mut Rng) -> Value {
    let texts = [
        "a", "ab", "abc", "b", "B", "é", "aé", "😀", " ", "5", "a\0", "a#",
    ];
    let numbers = [
        "-1E+100", "-12", "-1.5", "-0.25", "0", "0.25", "3", "3.000001", "20", "1E+50",
    ];
    let bytes: [&[u8]; 6] = [&[0], &[0, 0], &[1], &[0x7f, 0xff], &[0xff], &[0xff, 0]];
    match property {
        "part" | "place" | "group" => Value::from(["x", "xy", "y"][rng.index(3)]),
        "rank" => Value::Number(numbers[rng.index(10)].parse::<Number>().unwrap()),
        "raw" => Value::from(bytes[rng.index(6)].to_vec()),
        _ => Value::from(texts[rng.index(12)]),
    }
}

/// A thing with some of the properties that indexes are made of.
fn thing(rng: &mut Rng) -> Map {
    let mut thing = Map::from([
        ("part", value_of("part", rng)),
        ("id", Value::from(format!("{:02}", rng.below(60)))),
    ]);
    for name in ["group", "rank", "place", "word", "raw", "label"] {
        if !rng.one_in(6) {
            thing.insert(name, value_of(name, rng));
        }
    }
    thing
}

/// A value as the table has it: bytes as a text in base64, as dynamodb-onetable stores them.
fn in_table(value: &Value) -> Value {
    match value {
        Value::Binary(bytes) => Value::from(BASE64.encode(bytes)),
        value => value.clone(),
    }
}

/// The item as the table has it.
fn stored(thing: &Map) -> Map {
    let text = |name: &str| thing.text(name).unwrap();
    let properties = thing.iter();
    let mut item: Map = properties
        .map(|(name, value)| (name.to_owned(), in_table(value)))
        .collect();
    item.insert("pk", format!("part#{}", text("part")));
    item.insert("sk", format!("Thing#{}", text("id")));
    item.insert("_type", "Thing");
    if let Some(group) = thing.text("group") {
        item.insert("gpk", format!("group#{group}"));
    }
    item
}

fn write(db: &Database, judge: &mut Judge, rng: &mut Rng) {
    let thing = thing(rng);
    let key = Map::from([("part", thing["part"].clone()), ("id", thing["id"].clone())]);
    let item = stored(&thing);
    if db.get("Thing", &key).unwrap().is_some() {
        db.remove("Thing", &key).unwrap();
    }
    if rng.one_in(4) {
        let key = Map::from([("pk", item["pk"].clone()), ("sk", item["sk"].clone())]);
        judge.ask(&json!({"op": "remove", "key": wire(&key)}));
    } else {
        db.create("Thing", &thing).unwrap();
        judge.ask(&json!({"op": "put", "item": wire(&item)}));
    }
}

fn query(rng: &mut Rng) -> Query {
    let (index, attribute, property, sort) = INDEXES[rng.index(5)];
    let hash = value_of(property, rng);
    let in_cloud = match (attribute, &hash) {
        ("gpk", Value::String(text)) => Value::from(format!("group#{text}")),
        ("pk", Value::String(text)) => Value::from(format!("part#{text}")),
        (_, hash) => hash.clone(),
    };
    let mut query = Query {
        index,
        properties: Map::from([(property, hash)]),
        find: Find::new().index(index),
        key: format!("#{attribute} = :hash"),
        values: Map::from([(":hash", in_cloud)]),
        forward: rng.one_in(2),
        limit: 1 + rng.index(6),
    };
    if let Some(sort) = sort {
        query.narrow(sort, rng);
    }
    query.find = std::mem::take(&mut query.find).limit(query.limit);
    if !query.forward {
        query.find = std::mem::take(&mut query.find).reverse();
    }
    query
}

impl Query {
    /// Says something of the sort key, or nothing.
    fn narrow(&mut self, sort: &str, rng: &mut Rng) {
        let (one, other) = (value_of(sort, rng), value_of(sort, rng));
        let find = std::mem::take(&mut self.find);
        let (find, condition, values) = match rng.below(8) {
            0 => {
                self.properties.insert(sort, one.clone());
                (find, "= :one", vec![one])
            }
            1 => (find.above(one.clone()), "> :one", vec![one]),
            2 => (find.from(one.clone()), ">= :one", vec![one]),
            3 => (find.below(one.clone()), "< :one", vec![one]),
            4 => (find.to(one.clone()), "<= :one", vec![one]),
            5 => {
                // The cloud refuses bounds that are the wrong way round.
                let (low, high) = if in_table(&one) <= in_table(&other) {
                    (one, other)
                } else {
                    (other, one)
                };
                let find = find.between(low.clone(), high.clone());
                (find, "BETWEEN :one AND :two", vec![low, high])
            }
            6 if one.as_str().is_some() => {
                let find = find.prefix(one.as_str().unwrap());
                self.key += &format!(" AND begins_with(#{sort}, :one)");
                (find, "", vec![one])
            }
            _ => (find, "", Vec::new()),
        };
        self.find = find;
        if !condition.is_empty() {
            self.key += &format!(" AND #{sort} {condition}");
        }
        for (place, value) in [":one", ":two"].into_iter().zip(values) {
            self.values.insert(place, in_table(&value));
        }
    }

    /// All pages of the device, and one that may be empty, as the cloud has one when the items end
    /// where a page does.
    fn ours(&self, db: &Database) -> Vec<Vec<Map>> {
        let mut pages = Vec::new();
        let mut find = self.find.clone();
        loop {
            let page = db.find("Thing", &self.properties, &find).unwrap();
            assert!(page.items.len() <= self.limit);
            pages.push(page.items);
            match page.next {
                Some(next) => find = find.next(next),
                None => return pages,
            }
        }
    }

    fn theirs(&self, judge: &mut Judge) -> Vec<Vec<Map>> {
        let mut pages = Vec::new();
        let mut after = json!(null);
        loop {
            let mut page = judge.ask(&json!({
                "op": "query", "index": self.index, "key": self.key, "values": wire(&self.values),
                "forward": self.forward, "limit": self.limit, "after": after,
            }));
            let items = page["items"].as_array().unwrap().iter();
            let items: Vec<Map> = items.map(|item| shown(&item.to_string())).collect();
            after = page["after"].take();
            let is_extra = items.is_empty() && !pages.is_empty();
            if !is_extra {
                pages.push(items);
            }
            if after.is_null() {
                return pages;
            }
        }
    }
}

/// The properties of an item of the table.
fn shown(item: &str) -> Map {
    let mut item = attribute::from_attribute_json(item).unwrap();
    if let Some(raw) = item.text("raw") {
        let bytes = BASE64.decode(raw).unwrap();
        item.insert("raw", bytes);
    }
    let own = |name: &str| !["pk", "sk", "gpk", "_type"].contains(&name);
    item.into_iter().filter(|(name, _)| own(name)).collect()
}

#[test]
fn lists_by_an_index_are_the_pages_of_the_cloud() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let cloud = Cloud::shared();
    let mut judge = cloud.indexes();
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(FileStorage::open(folder.path()).unwrap());
    let schema = Schema::parse(SCHEMA).unwrap();
    let (db, _) =
        Database::open(storage, schema, Options::default(), Arc::new(StandingClock)).unwrap();
    let mut asked = BTreeSet::new();
    let mut several_pages = 0;
    for _ in 0..ROUNDS {
        for _ in 0..WRITES_PER_ROUND {
            write(&db, &mut judge, &mut rng);
        }
        for _ in 0..QUERIES_PER_ROUND {
            let query = query(&mut rng);
            let (ours, theirs) = (query.ours(&db), query.theirs(&mut judge));
            assert!(
                ours == theirs,
                "seed {seed}: {} with {:?}, forward {}\nours   {ours:?}\ntheirs {theirs:?}",
                query.key,
                query.values,
                query.forward
            );
            several_pages += usize::from(ours.len() > 1);
            asked.insert((query.index, ours.concat().is_empty()));
        }
    }
    assert!(
        several_pages > 50,
        "{several_pages} queries had several pages"
    );
    let met: BTreeSet<_> = INDEXES.iter().map(|(name, ..)| (*name, false)).collect();
    assert!(asked.is_superset(&met), "{asked:?}");
}
