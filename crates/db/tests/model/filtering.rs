//! Filters, ranges of keys, projections and counts.

use periwinkle_core::limits::FIND_ROWS_SEEN_MAX;
use periwinkle_core::schema::Hidden;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Count, Database, Expression, Find};
use periwinkle_testkit::rng::Rng;

use crate::world::{START, World, props};

fn filled() -> Database {
    let db = World::new(1).open();
    for (month, day, load) in [(10, 30, 1), (10, 31, 2), (11, 1, 3), (11, 2, 4), (12, 1, 5)] {
        let item = Map::from([
            ("month", Value::from(format!("2026-{month}"))),
            ("at", Value::from(format!("2026-{month}-{day:02}"))),
            ("load", Value::from(load)),
        ]);
        db.create("Metric", &item).unwrap();
    }
    for (name, role, password) in [("ada", "owner", "x"), ("bob", "viewer", "y")] {
        let user = Map::from([("name", name), ("role", role), ("password", password)]);
        db.create("User", &user).unwrap();
    }
    db
}

fn loads(db: &Database, given: &str, find: &Find) -> Vec<i64> {
    let page = db.find("Metric", &props(given), find).unwrap();
    let loads = page.items.iter().map(|item| item["load"].as_i64());
    loads.map(Option::unwrap).collect()
}

#[test]
fn a_filter_asks_for_properties_as_programs_see_them() {
    let db = filled();
    let table: [(&str, &[i64]); 9] = [
        ("load > 2", &[3, 4, 5]),
        ("load > 2 and month <> '2026-12'", &[3, 4]),
        ("load in (1, 5) or at = '2026-11-01'", &[1, 3, 5]),
        ("at > '2026-10-31'", &[3, 4, 5]),
        ("month = '2026-11' and at >= '2026-11-02'", &[4]),
        (
            "at between '2026-10-31' and '2026-11-01T00:00:00Z'",
            &[2, 3],
        ),
        (
            "begins_with(month, '2026-1') and not load = 4",
            &[1, 2, 3, 5],
        ),
        (
            "deviceId = 'd1' and attribute_not_exists(expires) and load < 2",
            &[1],
        ),
        ("month = '2027-01'", &[]),
    ];
    for (filter, expected) in table {
        assert_eq!(
            loads(&db, "{}", &Find::new().filter(filter)),
            expected,
            "{filter}"
        );
        let reversed: Vec<_> = expected.iter().rev().copied().collect();
        let find = Find::new().filter(filter).reverse();
        assert_eq!(loads(&db, "{}", &find), reversed, "{filter}");
    }
    let placed = Expression::from("#l BETWEEN :a AND :b").name("#l", "load");
    let placed = placed.value(":a", 2).value(":b", 3);
    assert_eq!(loads(&db, "{}", &Find::new().filter(placed)), [2, 3]);
    let both = Find::new().filter("load > 1").filter("load < 4");
    assert_eq!(loads(&db, "{}", &both), [2, 3]);
    assert_eq!(loads(&db, r#"{"month":"2026-11"}"#, &both), [3]);
}

#[test]
fn a_range_is_one_of_the_first_part_of_the_key_that_is_open() {
    let db = filled();
    let november = r#"{"month":"2026-11"}"#;
    let table: [(&str, Find, &[i64]); 12] = [
        ("{}", Find::new().from("2026-11"), &[3, 4, 5]),
        ("{}", Find::new().above("2026-11"), &[5]),
        ("{}", Find::new().to("2026-11"), &[1, 2, 3, 4]),
        ("{}", Find::new().below("2026-11"), &[1, 2]),
        ("{}", Find::new().between("2026-11", "2026-12"), &[3, 4, 5]),
        ("{}", Find::new().from("2026-1").prefix("2026-12"), &[5]),
        ("{}", Find::new().from("2026-12").to("2026-11"), &[]),
        (november, Find::new().from("2026-11-02"), &[4]),
        (november, Find::new().above("2026-11-01"), &[4]),
        (november, Find::new().to("2026-11-01"), &[3]),
        (november, Find::new().below("2026-11-01"), &[]),
        (
            november,
            Find::new()
                .above(START - 40 * 86_400_000)
                .filter("load > 3"),
            &[4],
        ),
    ];
    for (given, find, expected) in table {
        assert_eq!(loads(&db, given, &find), expected, "{given} {find:?}");
        let reversed: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(
            loads(&db, given, &find.clone().reverse()),
            reversed,
            "{find:?}"
        );
    }
    let whole = props(r#"{"month":"2026-11","at":"2026-11-01"}"#);
    let error = db
        .find("Metric", &whole, &Find::new().from("x"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key of Metric is given as a whole: a range needs a part of it that is not given"
    );
}

#[test]
fn pages_of_a_filtered_range_follow_each_other() {
    let db = filled();
    let find = Find::new()
        .from("2026-10")
        .below("2026-12")
        .filter("load <> 2")
        .limit(1);
    let mut all = Vec::new();
    let mut page = find.clone();
    loop {
        let found = db.find("Metric", &Map::new(), &page).unwrap();
        all.extend(
            found
                .items
                .iter()
                .map(|item| item["load"].as_i64().unwrap()),
        );
        match found.next {
            Some(next) => page = find.clone().next(next),
            None => break,
        }
    }
    assert_eq!(all, [1, 3, 4]);
    let first = db.find("Metric", &Map::new(), &find).unwrap().next.unwrap();
    let other = Find::new().from("2026-11").next(first);
    let refused = db.find("Metric", &Map::new(), &other).unwrap_err();
    assert_eq!(refused.kind(), "bad_token");
}

#[test]
fn a_count_tells_how_many_there_are() {
    let db = filled();
    let count = |find: &Find| db.count("Metric", &Map::new(), find).unwrap();
    let all = |items| Count { items, next: None };
    assert_eq!(count(&Find::new()), all(5));
    assert_eq!(count(&Find::new().filter("load > 3")), all(2));
    assert_eq!(count(&Find::new().limit(1)), all(5));
}

#[test]
fn one_call_looks_at_so_many_rows_and_goes_on_behind_its_token() {
    let db = World::new(1).open();
    let rows = FIND_ROWS_SEEN_MAX as u64 + 300;
    let writer = db.durability(periwinkle_db::engine::Durability::Relaxed);
    for n in 0..rows {
        let name = format!("{n:06}");
        writer.create("User", &Map::from([("name", name)])).unwrap();
    }
    let first = db.count("User", &Map::new(), &Find::new()).unwrap();
    assert!(
        first.items >= FIND_ROWS_SEEN_MAX as u64 && first.items < rows,
        "{first:?}"
    );
    let next = Find::new().next(first.next.unwrap());
    let rest = db.count("User", &Map::new(), &next).unwrap();
    assert_eq!((first.items + rest.items, rest.next), (rows, None));
    let last = format!("name > '{:06}' or role = 'owner'", rows - 2);
    let page = db
        .find("User", &Map::new(), &Find::new().filter(last.as_str()))
        .unwrap();
    assert_eq!(page.items, []);
    let page = Find::new().filter(last).next(page.next.unwrap());
    assert_eq!(db.find("User", &Map::new(), &page).unwrap().items.len(), 1);
}

#[test]
fn a_projection_shows_some_properties() {
    let db = filled();
    let find = Find::new()
        .project("load, at")
        .filter("month = '2026-11'")
        .limit(1);
    let page = db.find("Metric", &Map::new(), &find).unwrap();
    assert_eq!(
        page.items[0].to_json(),
        r#"{"at":"2026-11-01T00:00:00.000Z","load":3}"#
    );
}

#[test]
fn hidden_fields_can_be_neither_asked_for_nor_shown() {
    let db = filled();
    let asked = [
        (r#"{"password":"x"}"#, Find::new()),
        ("{}", Find::new().filter("password = 'x'")),
        ("{}", Find::new().filter("attribute_exists(password)")),
        ("{}", Find::new().project("name, password")),
        (r#"{"pk":"local#"}"#, Find::new()),
    ];
    for (given, find) in &asked {
        let error = db.find("User", &props(given), find).unwrap_err();
        assert_eq!(error.kind(), "unknown_field", "{given} {find:?}");
        let all = db.hidden(Hidden::Include);
        assert!(
            !all.find("User", &props(given), find)
                .unwrap()
                .items
                .is_empty()
        );
    }
    // The same words, whether there is such a field.
    let words = |filter: &str| {
        let find = Find::new().filter(filter);
        db.find("User", &Map::new(), &find).unwrap_err().to_string()
    };
    let told = words("password = 'x'");
    let begin = "the filter is wrong at column 1: User has no field \"password\"; there ";
    assert!(told.starts_with(begin), "{told}");
    assert_eq!(
        words("passport = 'x'"),
        told.replacen("password", "passport", 1)
    );
}

#[test]
fn an_expression_that_cannot_be_read_says_where() {
    let db = filled();
    let words = |find: Find| {
        let error = db.find("Metric", &Map::new(), &find).unwrap_err();
        (
            error.kind(),
            error.field().map(str::to_owned),
            error.to_string(),
        )
    };
    let (kind, field, text) = words(Find::new().filter("load > "));
    assert_eq!((kind, field.as_deref()), ("bad_expression", Some("filter")));
    assert_eq!(
        text,
        "the filter is wrong at column 8: found the end, expected a name, a value or size(...)"
    );
    let (_, field, text) = words(Find::new().project("a, a.b"));
    assert_eq!(field.as_deref(), Some("projection"));
    assert!(
        text.starts_with("the projection is wrong at column 4: "),
        "{text}"
    );
    let unused = Expression::from("load > 1").value(":x", 1);
    assert_eq!(words(Find::new().filter(unused)).0, "bad_query");
}

#[test]
fn an_expired_item_fits_no_filter() {
    let world = World::new(1);
    let db = world.open();
    let expires = Value::from(START + 2000);
    db.create(
        "UserLog",
        &Map::from([("id", Value::from("a")), ("expires", expires)]),
    )
    .unwrap();
    let count = || {
        let find = Find::new().filter("id = 'a'");
        db.count("UserLog", &Map::new(), &find).unwrap().items
    };
    assert_eq!(count(), 1);
    world.clock.pass(3000);
    assert_eq!(count(), 0);
}

/// What a filter says of keys may only spare looks, never lose an item.
#[test]
fn random_filters_on_keys_find_what_asking_every_item_finds() {
    let mut world = World::new(1);
    world.schema = "{
        version: '1.0.0',
        params: { isoDates: true },
        indexes: { primary: { hash: 'pk', sort: 'sk' } },
        models: {
            A: {
                pk: { type: 'string', value: 'a#${x}' },
                sk: { type: 'string', value: 'A#${y}#${z}' },
                x: { type: 'string', required: true }, y: { type: 'string', required: true },
                z: { type: 'string', required: true },
            },
            B: {
                pk: { type: 'string', value: 'b#' },
                sk: { type: 'string', value: 'B#${n:3}#${y:3}#${z}' },
                n: { type: 'number', required: true }, y: { type: 'string', required: true },
                z: { type: 'string', required: true }, x: { type: 'string' },
            },
        },
    }"
    .to_owned();
    let db = world.open();
    let mut rng = Rng::new(7);
    let texts = ["a", "a!", "a#", "a#b", "ab", "b", "~", "0"];
    let text = |rng: &mut Rng| texts[rng.below(8) as usize];
    for _ in 0..200 {
        let item = Map::from([
            ("x", Value::from(text(&mut rng))),
            ("y", Value::from(text(&mut rng))),
            ("z", Value::from(text(&mut rng))),
        ]);
        db.upsert("A", &item).unwrap();
        let mut item = item;
        let n = if rng.one_in(4) {
            rng.below(2000) as i64 - 20
        } else {
            rng.below(2) as i64
        };
        item.insert("n", n);
        db.upsert("B", &item).unwrap();
    }
    let everything = Find::new().limit(10_000);
    for case in 0..1200 {
        let model = ["A", "B"][case % 2];
        let mut tests: Vec<_> = (0..1 + rng.below(3))
            .map(|_| {
                let name = ["x", "y", "z"][rng.below(3) as usize];
                let (one, other) = (text(&mut rng), text(&mut rng));
                let (low, high) = (one.min(other), one.max(other));
                match rng.below(5) {
                    0 => format!("{name} between '{low}' and '{high}'"),
                    1 => format!("begins_with({name}, '{one}')"),
                    2 if model == "B" => format!("n >= {}", rng.below(100)),
                    _ => {
                        let sign = ["=", "<", "<=", ">", ">=", "<>"][rng.below(6) as usize];
                        format!("{name} {sign} '{one}'")
                    }
                }
            })
            .collect();
        if model == "B" && rng.one_in(2) {
            tests.push(format!("n = {}", rng.below(2)));
        }
        let filter = tests.join(" and ");
        let found = db.find(
            model,
            &Map::new(),
            &everything.clone().filter(filter.as_str()),
        );
        // Below a NOT, a filter says nothing of keys.
        let asked = everything.clone().filter(format!("not (not ({filter}))"));
        let asked = db.find(model, &Map::new(), &asked).unwrap();
        assert_eq!(found.unwrap(), asked, "{model}: {filter}");
    }
}
