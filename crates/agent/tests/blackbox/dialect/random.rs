//! Random properties, from a seed.

use periwinkle_core::value::{Map, Number, Set, Value};
use periwinkle_testkit::rng::Rng;

use super::{Answer, SCHEMA, Sides};

const CREATES: u64 = 150;

#[test]
fn random_items_are_stored_and_read_alike() {
    check(SCHEMA, "random-iso", 1);
}

#[test]
fn random_items_are_stored_and_read_alike_with_dates_as_numbers() {
    let text = SCHEMA.replace(
        "\"isoDates\": true, \"timestamps\": true",
        "\"timestamps\": \"update\"",
    );
    assert_ne!(text, SCHEMA);
    check(&text, "random-millis", 2);
}

#[test]
fn random_items_are_stored_and_read_alike_with_nulls_and_other_names() {
    let params = "\"isoDates\": true, \"timestamps\": \"create\", \"nulls\": true, \"typeField\": \"kind\", \
                  \"createdField\": \"born\"";
    let text = SCHEMA.replace("\"isoDates\": true, \"timestamps\": true", params);
    assert_ne!(text, SCHEMA);
    check(&text, "random-nulls", 3);
}

fn check(text: &str, device: &str, seed: u64) {
    let mut sides = Sides::of(text, device);
    let iso = sides.schema.params().iso_dates;
    let mut rng = Rng::new(seed);
    let (mut made, mut changed, mut refused) = (0, 0, 0);
    for at in 0..CREATES {
        let id = format!("{at}");
        let mut given = create(&mut rng, &id);
        let place = format!("seed {seed}, item {at}");
        // The library cannot read a null where bytes should be.
        if sides.schema.params().nulls && given.get("data") == Some(&Value::Null) {
            given.remove("data");
        }
        let (ours, theirs) = (
            sides.create("Thing", &given),
            sides.theirs("create", "Thing", &given),
        );
        let Some(item) = same(&ours, &theirs, &given, &place) else {
            refused += 1;
            continue;
        };
        made += 1;
        let key = Map::from([
            ("group", given["group"].clone()),
            ("id", id.as_str().into()),
        ]);
        let (mut ours, mut theirs) = sides.seen("Thing", &item, &key);
        if !iso {
            // The library shows dates in plain arrays as they are stored.
            ours.remove("days");
            theirs.remove("days");
        }
        // It shows parts of texts as texts, whatever their type, and an empty one of no text.
        if !item.contains_key("state") {
            theirs.remove("phase");
        }
        if let Some(Value::String(rank)) = theirs.get("rank") {
            let rank: Number = rank.parse().unwrap();
            theirs.insert("rank", rank);
        }
        for side in [&mut ours, &mut theirs] {
            sort_tags(side);
        }
        assert_eq!(ours, theirs, "{place}: {item:?}");
        let mut changes = change(&mut rng, &item);
        changes.extend(key);
        let ours = sides.update("Thing", &item, &changes);
        let theirs = sides.theirs("update", "Thing", &changes);
        if same(&ours, &theirs, &changes, &place).is_some() {
            changed += 1;
        } else {
            refused += 1;
        }
    }
    println!("seed {seed}: {made} made, {changed} changed, {refused} refused by both");
    assert!(made > CREATES / 2 && changed > made / 2 && refused > 5);
}

fn same(ours: &Answer, theirs: &Answer, given: &Map, place: &str) -> Option<Map> {
    match (ours, theirs) {
        (Answer::Item(ours), Answer::Item(theirs)) => {
            assert_eq!(ours, theirs, "{place}: {}", given.to_json());
            Some(ours.clone())
        }
        (Answer::Refused(_), Answer::Refused(_)) => None,
        _ => panic!(
            "{place}: {}
ours {}
theirs {}",
            given.to_json(),
            ours.words(),
            theirs.words()
        ),
    }
}

fn sort_tags(seen: &mut Map) {
    if let Some(Value::List(tags)) = seen.get_mut("tags") {
        tags.sort_by_key(Value::to_json);
    }
}

fn create(rng: &mut Rng, id: &str) -> Map {
    let mut given = Map::from([
        ("id", Value::from(id)),
        ("group", pick(rng, &["g", "a b", "é"])),
    ]);
    for (name, value) in simple(rng) {
        if !rng.one_in(3) {
            given.insert(name, value);
        }
    }
    for name in ["name", "level", "short", "keep", "data", "list", "at"] {
        if rng.one_in(12) {
            given.insert(name, Value::Null);
        }
    }
    if rng.one_in(25) {
        given.insert("level", "middle");
    }
    if rng.one_in(25) {
        given.insert("name", "no!");
    }
    if rng.one_in(3) {
        given.extend(packed(rng));
    }
    if rng.one_in(3) {
        given.extend([("phase", text(rng, "/")), ("rank", number(rng))]);
    }
    if !rng.one_in(3) {
        let mut address = address(rng);
        if rng.one_in(10) {
            address.remove("street");
        }
        given.insert("address", address);
    }
    if rng.one_in(2) {
        given.insert("flat", flat(rng));
    }
    if rng.one_in(2) {
        let steps: Vec<_> = (0..rng.below(4)).map(|_| Value::from(step(rng))).collect();
        given.insert("steps", steps);
    }
    given
}

/// Where a template is made from several fields, the library makes it anew only if it is given all
/// of them; and it removes none.
fn change(rng: &mut Rng, item: &Map) -> Map {
    let mut changes = Map::new();
    for (name, value) in simple(rng) {
        if rng.one_in(2) && !["count", "at", "on"].contains(&name) {
            changes.insert(name, value);
        }
    }
    for name in [
        "short", "keep", "data", "list", "level", "tags", "free", "stamp", "expires",
    ] {
        if rng.one_in(8) {
            changes.insert(name, Value::Null);
        }
    }
    if rng.one_in(20) {
        changes.insert("level", "middle");
    }
    if rng.one_in(3) {
        changes.extend([("count", number(rng)), ("at", date(rng))]);
    }
    if rng.one_in(3) {
        changes.extend(packed(rng));
    }
    if rng.one_in(3) {
        changes.extend([("phase", text(rng, "/")), ("rank", number(rng))]);
    }
    if item.contains_key("address") && rng.one_in(2) {
        let mut address = address(rng);
        if item["address"].as_map().unwrap().get("geo").is_none() {
            address.remove("geo");
        }
        if rng.one_in(4) {
            address.insert("since", Value::Null);
        }
        changes.insert("address", address);
        changes.insert("on", rng.one_in(2));
    }
    if rng.one_in(4) {
        changes.insert("flat", flat(rng));
    }
    changes
}

fn simple(rng: &mut Rng) -> Vec<(&'static str, Value)> {
    vec![
        ("name", text(rng, "!")),
        ("count", number(rng)),
        ("on", Value::from(rng.one_in(2))),
        ("at", date(rng)),
        ("expires", date(rng)),
        ("stamp", date(rng)),
        ("tags", tags(rng)),
        ("data", Value::from(bytes(rng))),
        (
            "list",
            Value::List((0..rng.below(4)).map(|_| free(rng, 1)).collect()),
        ),
        (
            "free",
            Value::Map(
                (0..rng.below(4))
                    .map(|at| (format!("f{at}"), free(rng, 1)))
                    .collect(),
            ),
        ),
        ("level", pick(rng, &["low", "high"])),
        ("short", text(rng, "")),
        (
            "days",
            Value::List((0..rng.below(3)).map(|_| date(rng)).collect()),
        ),
        (
            "parts",
            Value::List((0..rng.below(3)).map(|_| Value::from(bytes(rng))).collect()),
        ),
        ("keep", text(rng, "")),
        ("secret", text(rng, "")),
    ]
}

fn packed(rng: &mut Rng) -> Map {
    Map::from([
        ("city", text(rng, "")),
        ("floor", number(rng)),
        ("seen", date(rng)),
    ])
}

fn address(rng: &mut Rng) -> Map {
    let mut address = Map::from([("street", text(rng, "")), ("zip", text(rng, ""))]);
    if rng.one_in(2) {
        address.insert("since", date(rng));
    }
    if rng.one_in(3) {
        address.insert("country", text(rng, ""));
    }
    if rng.one_in(2) {
        let geo = [
            ("lat", number(rng)),
            ("lon", number(rng)),
            ("fix", date(rng)),
        ];
        address.insert(
            "geo",
            geo.into_iter().filter(|_| rng.one_in(2)).collect::<Map>(),
        );
    }
    address
}

fn flat(rng: &mut Rng) -> Map {
    let deep = Map::from([("a", text(rng, ""))]);
    let all = [
        ("x", number(rng)),
        ("y", number(rng)),
        ("deep", Value::from(deep)),
    ];
    let mut flat: Map = all.into_iter().filter(|_| rng.one_in(2)).collect();
    flat.insert("x", number(rng));
    flat
}

fn step(rng: &mut Rng) -> Map {
    let all = [
        ("what", text(rng, "")),
        ("n", number(rng)),
        ("when", date(rng)),
    ];
    all.into_iter().filter(|_| !rng.one_in(3)).collect()
}

fn pick(rng: &mut Rng, some: &[&str]) -> Value {
    Value::from(some[rng.index(some.len())])
}

/// A text without this character, which may stand between the parts of a text.
fn text(rng: &mut Rng, without: &str) -> Value {
    let some = ["", "a", "ab c", "é", "😀", "x#y", "a/b", "12", "{y}", "-"];
    let fits: Vec<_> = some
        .into_iter()
        .filter(|text| without.is_empty() || !text.contains(without))
        .collect();
    pick(rng, &fits)
}

/// Numbers that JavaScript can hold.
fn number(rng: &mut Rng) -> Value {
    let some = [
        "0",
        "1",
        "-1",
        "7",
        "42",
        "1.5",
        "-0.25",
        "0.1",
        "0.000001",
        "0.00000015",
        "123456789",
        "9007199254740991",
        "-9007199254740991",
        "100",
        "99999999.5",
    ];
    Value::from(some[rng.index(some.len())].parse::<Number>().unwrap())
}

fn date(rng: &mut Rng) -> Value {
    match rng.below(3) {
        0 => Value::from(rng.below(4_000_000_000_000) as i64),
        1 => pick(rng, &["2026-11-22", "1999-12-31", "2024-02-29"]),
        _ => pick(
            rng,
            &[
                "2026-11-22T10:21:53.667Z",
                "2026-11-22T10:21:53+02:00",
                "1970-01-01T00:00:00.001Z",
            ],
        ),
    }
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    (0..rng.below(5)).map(|_| rng.below(256) as u8).collect()
}

fn tags(rng: &mut Rng) -> Value {
    let members = 1 + rng.below(3);
    let set: Set = match rng.below(3) {
        0 => (0..members).map(|_| format!("t{}", rng.below(5))).collect(),
        1 => (0..members)
            .map(|_| Number::from(rng.below(9) as i64))
            .collect(),
        _ => (0..members).map(|_| vec![rng.below(9) as u8, 1]).collect(),
    };
    Value::from(set)
}

fn free(rng: &mut Rng, depth: u32) -> Value {
    match rng.below(if depth == 0 { 6 } else { 8 }) {
        0 => text(rng, ""),
        1 => number(rng),
        2 => Value::from(rng.one_in(2)),
        3 => Value::Null,
        4 => Value::from(bytes(rng)),
        5 => tags(rng),
        6 => Value::List((0..rng.below(3)).map(|_| free(rng, depth - 1)).collect()),
        _ => Value::from(Map::from([
            ("k", free(rng, depth - 1)),
            ("", text(rng, "")),
        ])),
    }
}
