//! Lists by the indexes of the schema: in the order of DynamoDB, page by page, through any history
//! of writes, transactions, openings and schemas.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::Store as _;
use periwinkle_core::value::{Map, Number, Value};
use periwinkle_db::{Database, DbError, Find};
use periwinkle_testkit::rng::Rng;

use crate::world::{World, props};

/// By group and rank; by place, over all rows; by label in the own partition.
const INDEXES: &str =
    "gs1: { hash: 'gpk', sort: 'rank' }, gs2: { hash: 'place' }, ls1: { sort: 'label' },";

fn schema(indexes: &str) -> String {
    "{
        version: '1.0.0',
        indexes: { primary: { hash: 'pk', sort: 'sk' }, INDEXES },
        models: {
            Thing: {
                pk: { type: 'string', value: 'thing#' },
                sk: { type: 'string', value: 'Thing#${id}' },
                gpk: { type: 'string', value: 'group#${group}' },
                id: { type: 'string', required: true },
                group: { type: 'string' },
                rank: { type: 'number' },
                place: { type: 'string' },
                label: { type: 'string' },
            },
            Other: {
                pk: { type: 'string', value: 'other#' },
                sk: { type: 'string', value: 'Other#${id}' },
                gpk: { type: 'string', value: 'group#${group}' },
                id: { type: 'string', required: true },
                group: { type: 'string' },
                rank: { type: 'number' },
            },
        },
    }"
    .replace("INDEXES", indexes)
}

fn world(seed: u64, indexes: &str) -> World {
    World {
        schema: schema(indexes),
        ..World::new(seed)
    }
}

type Things = BTreeMap<String, Map>;

fn random_thing(rng: &mut Rng) -> (String, Map) {
    let id = format!("{:02}", rng.below(30));
    let mut thing = Map::from([("id", Value::from(id.as_str()))]);
    let numbers = ["-1E+100", "-12", "-1.5", "0", "0.25", "3", "20", "1E+50"];
    let rank: Number = numbers[rng.index(8)].parse().unwrap();
    let given = [
        ("group", Value::from(["a", "ab", "b"][rng.index(3)])),
        ("rank", Value::Number(rank)),
        ("place", Value::from(["attic", "cellar"][rng.index(2)])),
        ("label", Value::from(["", "x", "xa", "y\0"][rng.index(4)])),
    ];
    for (name, value) in given {
        if !rng.one_in(5) {
            thing.insert(name, value);
        }
    }
    (id, thing)
}

/// One random write: a plain one, or several in a transaction that also looks.
fn write(db: &Database, things: &mut Things, rng: &mut Rng) {
    let key = |id: &str| Map::from([("id", id)]);
    if rng.one_in(3) {
        let mut after = things.clone();
        db.transaction(|tx| {
            for _ in 0..4 {
                let (id, thing) = random_thing(rng);
                if rng.one_in(3) && after.remove(&id).is_some() {
                    tx.remove("Thing", &key(&id))?;
                } else if let Entry::Vacant(place) = after.entry(id) {
                    tx.create("Thing", &thing)?;
                    place.insert(thing);
                }
                let (query, properties) = random_query(rng);
                let page = tx.find("Thing", &properties, &query.find().limit(3))?;
                let mut expected = query.expected(&after, &properties);
                expected.truncate(3);
                assert_eq!(page.items, expected, "{query:?} in a transaction");
            }
            Ok::<_, DbError>(())
        })
        .unwrap();
        *things = after;
        return;
    }
    let (id, thing) = random_thing(rng);
    if things.remove(&id).is_some() {
        db.remove("Thing", &key(&id)).unwrap();
    }
    if !rng.one_in(4) {
        db.create("Thing", &thing).unwrap();
        things.insert(id, thing);
    }
}

/// A query by index, and the simple answer to it.
#[derive(Clone, Debug)]
struct Query {
    index: &'static str,
    reversed: bool,
    prefix: &'static str,
    from: Option<i64>,
    below: Option<i64>,
}

fn random_query(rng: &mut Rng) -> (Query, Map) {
    let mut query = Query {
        index: ["gs1", "gs2", "ls1"][rng.index(3)],
        reversed: rng.one_in(2),
        prefix: "",
        from: None,
        below: None,
    };
    let mut properties = Map::new();
    match query.index {
        "gs1" => {
            properties.insert("group", ["a", "ab", "b"][rng.index(3)]);
            if rng.one_in(2) {
                query.from = Some([-12, 0, 4][rng.index(3)]);
            }
            if rng.one_in(2) {
                query.below = Some([-12, 3, 20][rng.index(3)]);
            }
            if query.from.is_none() && query.below.is_none() && rng.one_in(3) {
                properties.insert("rank", Value::from(3));
            }
        }
        "gs2" if rng.one_in(2) => {
            properties.insert("place", "attic");
        }
        "ls1" if rng.one_in(2) => query.prefix = "x",
        _ => {}
    }
    (query, properties)
}

impl Query {
    fn find(&self) -> Find {
        let mut find = Find::new().index(self.index).prefix(self.prefix);
        if self.reversed {
            find = find.reverse();
        }
        if let Some(from) = self.from {
            find = find.from(from);
        }
        match self.below {
            Some(below) => find.below(below),
            None => find,
        }
    }

    /// What DynamoDB's rules give: items that have the attributes, by the sort key.
    fn expected(&self, things: &Things, properties: &Map) -> Vec<Map> {
        let number = |thing: &Map| thing.get("rank").and_then(Value::as_number).copied();
        let text = |thing: &Map, name: &str| thing.text(name).map(str::to_owned);
        let mut hits: Vec<_> = things
            .iter()
            .filter(|(_, thing)| properties.iter().all(|(k, v)| thing.get(k) == Some(v)))
            .filter_map(|(id, thing)| {
                let order = match self.index {
                    "gs1" => (text(thing, "group")?, Some(number(thing)?), String::new()),
                    "gs2" => (text(thing, "place")?, None, String::new()),
                    _ => (String::new(), None, text(thing, "label")?),
                };
                Some((order, id, thing))
            })
            .filter(|((_, rank, label), ..)| {
                let above = self
                    .from
                    .is_none_or(|from| *rank >= Some(Number::from(from)));
                let below = self
                    .below
                    .is_none_or(|below| *rank < Some(Number::from(below)));
                above && below && label.starts_with(self.prefix)
            })
            .collect();
        hits.sort_by(|(one, id, _), (other, other_id, _)| (one, id).cmp(&(other, other_id)));
        if self.reversed {
            hits.reverse();
        }
        hits.into_iter()
            .map(|(_, _, thing)| thing.clone())
            .collect()
    }
}

fn check(db: &Database, things: &Things, rng: &mut Rng) {
    for _ in 0..6 {
        let (query, properties) = random_query(rng);
        let limit = 1 + rng.index(4);
        let mut find = query.find().limit(limit);
        let mut found = Vec::new();
        loop {
            let page = db.find("Thing", &properties, &find).unwrap();
            assert!(page.items.len() <= limit);
            found.extend(page.items);
            match page.next {
                Some(next) => find = query.find().limit(limit).next(next),
                None => break,
            }
        }
        let expected = query.expected(things, &properties);
        assert_eq!(found, expected, "{query:?} {properties:?}");
    }
}

#[test]
fn lists_by_index_are_what_a_sorted_list_gives_through_any_history() {
    for seed in 0..25 {
        let world = world(seed, INDEXES);
        let mut rng = Rng::new(seed);
        let mut things = Things::new();
        for _ in 0..3 {
            let db = world.open();
            for _ in 0..12 {
                write(&db, &mut things, &mut rng);
            }
            check(&db, &things, &mut rng);
            db.close().unwrap();
        }
    }
}

#[test]
fn an_index_that_is_added_to_the_schema_gets_its_entries_at_the_next_opening() {
    let mut world = world(1, "");
    let mut rng = Rng::new(1);
    let mut things = Things::new();
    let db = world.open();
    for _ in 0..40 {
        let (id, thing) = random_thing(&mut rng);
        if let Entry::Vacant(place) = things.entry(id) {
            db.create("Thing", &thing).unwrap();
            place.insert(thing);
        }
    }
    let find = Find::new().index("gs1");
    let refused = db
        .find("Thing", &props(r#"{"group": "a"}"#), &find)
        .unwrap_err();
    assert_eq!(refused.to_string(), "the schema has no index \"gs1\"");
    db.close().unwrap();
    drop(db);
    // Added, two of them taken away and others put in their place, all of them again.
    let others = "gs2: { hash: 'label', sort: 'place' }, gs1: { hash: 'gpk', sort: 'rank' },";
    for (round, indexes) in [INDEXES, others, INDEXES].into_iter().enumerate() {
        world.schema = schema(indexes);
        world.disk.record();
        let (db, report) = world.open_reporting(&world.disk).unwrap();
        assert!(report.rows_indexed > 5, "{report:?}");
        if indexes == INDEXES {
            check(&db, &things, &mut rng);
        }
        let entries = db.stats().engine.index_entries;
        db.close().unwrap();
        drop(db);
        let (db, report) = world.open_reporting(&world.disk).unwrap();
        assert_eq!(report.rows_indexed, 0);
        assert_eq!(db.stats().engine.index_entries, entries, "round {round}");
        db.close().unwrap();
        drop(db);
        for disk in world.disk.recording() {
            disk.restart(rng.next_u64());
            let db = world.open_on(&disk).unwrap();
            assert_eq!(db.stats().engine.index_entries, entries, "round {round}");
        }
    }
}

#[test]
fn items_of_other_models_and_of_the_cloud_share_an_index_and_only_those_asked_for_are_listed() {
    let world = world(2, INDEXES);
    let db = world.open();
    db.create("Thing", &props(r#"{"id": "1", "group": "a", "rank": 2}"#))
        .unwrap();
    db.create("Other", &props(r#"{"id": "2", "group": "a", "rank": 1}"#))
        .unwrap();
    // An item that the cloud wrote by hand, with a rank that is no number: not in the index.
    let mut item = props(r#"{"pk": "thing#", "sk": "Thing#3", "_type": "Thing", "id": "3"}"#);
    item.insert("gpk", "group#a");
    item.insert("rank", Value::Bool(true));
    db.modify(&[ItemKey::new("thing#", "Thing#3")], &mut |frame| {
        frame.records[0] = Record::clean(item.clone());
    })
    .unwrap();
    let group = props(r#"{"group": "a"}"#);
    let find = Find::new().index("gs1");
    for (model, id) in [("Thing", "1"), ("Other", "2")] {
        let page = db.find(model, &group, &find).unwrap();
        let ids: Vec<_> = page
            .items
            .iter()
            .map(|item| item.text("id").unwrap())
            .collect();
        assert_eq!(ids, [id]);
    }
    assert_eq!(db.count("Thing", &group, &find).unwrap().items, 1);
    assert_eq!(
        db.find("Thing", &Map::new(), &Find::new())
            .unwrap()
            .items
            .len(),
        2
    );
}

#[test]
fn what_an_index_cannot_answer_is_refused_with_the_reason() {
    let db = world(3, INDEXES).open();
    let group = props(r#"{"group": "a", "rank": 1}"#);
    let table = [
        (
            Map::new(),
            Find::new().index("gs3"),
            "the schema has no index \"gs3\"; did you mean \"gs",
        ),
        (
            group.clone(),
            Find::new().index("gs1").prefix("x"),
            "a prefix needs a part",
        ),
        (
            group.clone(),
            Find::new().index("gs1").from(1),
            "a range needs a part",
        ),
        (
            Map::new(),
            Find::new().index("gs1").next("00"),
            "the token does not belong",
        ),
    ];
    for (properties, find, reason) in table {
        let refused = db
            .find("Thing", &properties, &find)
            .unwrap_err()
            .to_string();
        assert!(refused.starts_with(reason), "{refused}");
    }
    let refused = db
        .find("Other", &Map::new(), &Find::new().index("gs2"))
        .unwrap_err();
    let expected = "Other is not in the index \"gs2\": it has no field for \"place\"";
    assert_eq!(refused.to_string(), expected);
    // A token of one index does not belong to another.
    for id in ["1", "2"] {
        let thing = Map::from([("id", id), ("place", "attic"), ("label", "x")]);
        db.create("Thing", &thing).unwrap();
    }
    let page = db
        .find("Thing", &Map::new(), &Find::new().index("gs2").limit(1))
        .unwrap();
    let next = Find::new().index("ls1").next(page.next.unwrap());
    assert_eq!(
        db.find("Thing", &Map::new(), &next).unwrap_err().kind(),
        "bad_token"
    );
    assert_eq!(
        db.find("Thing", &Map::new(), &Find::new().index("primary"))
            .unwrap()
            .items
            .len(),
        2
    );
}
