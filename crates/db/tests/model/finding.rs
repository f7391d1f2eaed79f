//! Lists of items, page by page.

use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::sync::store::Store as _;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, Find};

use crate::world::{World, props};

fn metric(db: &Database, month: &str, day: u32, load: i64) {
    let at = format!("{month}-{day:02}T00:00:00.000Z");
    let item = Map::from([
        ("month", Value::from(month)),
        ("at", at.into()),
        ("load", load.into()),
    ]);
    db.create("Metric", &item).unwrap();
}

fn loads(db: &Database, given: &str, find: &Find) -> (Vec<i64>, Option<String>) {
    let page = db.find("Metric", &props(given), find).unwrap();
    let loads = page.items.iter().map(|item| item["load"].as_i64().unwrap());
    (loads.collect(), page.next)
}

fn filled() -> Database {
    let db = World::new(1).open();
    metric(&db, "2026-10", 30, 1);
    metric(&db, "2026-10", 31, 2);
    metric(&db, "2026-11", 1, 3);
    metric(&db, "2026-11", 2, 4);
    metric(&db, "2026-12", 1, 3);
    for name in ["ada", "bob", "cy"] {
        db.create("User", &Map::from([("name", name)])).unwrap();
    }
    db.create("UserLog", &props(r#"{"text":"x"}"#)).unwrap();
    db
}

#[test]
fn what_is_given_narrows_the_list() {
    let db = filled();
    let table: [(&str, &[i64]); 6] = [
        ("{}", &[1, 2, 3, 4, 3]),
        (r#"{"month":"2026-11"}"#, &[3, 4]),
        (r#"{"month":"2026-11","at":"2026-11-02"}"#, &[4]),
        (r#"{"load":3}"#, &[3, 3]),
        (r#"{"at":"2026-11-01"}"#, &[3]),
        (r#"{"month":"2027-01"}"#, &[]),
    ];
    for (given, expected) in table {
        assert_eq!(
            loads(&db, given, &Find::new()),
            (expected.to_vec(), None),
            "{given}"
        );
    }
}

#[test]
fn an_item_that_does_not_say_its_model_is_listed_by_its_key() {
    let db = filled();
    let foreign = |name: &str| {
        let sort = format!("User#{name}");
        let item = Map::from([("pk", "local#"), ("sk", sort.as_str()), ("name", name)]);
        db.modify(&[ItemKey::new("local#", sort)], &mut |frame| {
            frame.records[0] = Record::clean(item.clone());
        })
    };
    foreign("dan").unwrap();
    let listed = |given: &str| {
        let page = db.find("User", &props(given), &Find::new()).unwrap();
        let names = page.items.iter().map(|item| item.text("name").unwrap());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed("{}"), ["ada", "bob", "cy", "dan"]);
    assert_eq!(listed(r#"{"name":"dan"}"#), ["dan"]);
    let logs = db.find("UserLog", &Map::new(), &Find::new()).unwrap();
    assert_eq!(logs.items.len(), 1);
}

#[test]
fn models_of_one_partition_do_not_mix() {
    let db = filled();
    let names = |model: &str| {
        db.find(model, &Map::new(), &Find::new())
            .unwrap()
            .items
            .len()
    };
    assert_eq!(
        (names("User"), names("UserLog"), names("Setting")),
        (3, 1, 0)
    );
}

#[test]
fn order_and_prefix_are_as_asked() {
    let db = filled();
    assert_eq!(loads(&db, "{}", &Find::new().reverse()).0, [3, 4, 3, 2, 1]);
    assert_eq!(
        loads(&db, "{}", &Find::new().prefix("2026-1")).0,
        [1, 2, 3, 4, 3]
    );
    assert_eq!(loads(&db, "{}", &Find::new().prefix("2026-10")).0, [1, 2]);
    let november = r#"{"month":"2026-11"}"#;
    assert_eq!(
        loads(&db, november, &Find::new().prefix("2026-11-02")).0,
        [4]
    );
    let one = r#"{"month":"2026-11","at":"2026-11-02"}"#;
    let error = db
        .find("Metric", &props(one), &Find::new().prefix("x"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a prefix needs a part of the key that is not given"
    );
}

#[test]
fn pages_follow_each_other_in_both_orders() {
    let db = filled();
    for find in [Find::new().limit(2), Find::new().limit(2).reverse()] {
        let mut all = Vec::new();
        let mut pages = 0;
        let mut next: Option<String> = None;
        loop {
            let page = match next {
                Some(token) => find.clone().next(token),
                None => find.clone(),
            };
            let (found, token) = loads(&db, "{}", &page);
            all.extend(found);
            pages += 1;
            match token {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        assert_eq!(pages, 3);
        let whole = loads(&db, "{}", &Find::new()).0;
        let reversed: Vec<_> = whole.iter().rev().copied().collect();
        assert!(all == whole || all == reversed, "{all:?}");
    }
}

#[test]
fn a_page_that_ends_with_the_last_item_has_no_token() {
    let db = filled();
    assert_eq!(loads(&db, "{}", &Find::new().limit(5)).1, None);
    assert!(loads(&db, "{}", &Find::new().limit(4)).1.is_some());
}

#[test]
fn a_token_of_another_query_is_refused() {
    let db = filled();
    let token = loads(&db, "{}", &Find::new().limit(1)).1.unwrap();
    let again = Find::new().next(token.clone());
    assert!(db.find("Metric", &Map::new(), &again).is_ok());
    for (model, given, find) in [
        ("User", "{}", again.clone()),
        ("Metric", r#"{"month":"2026-11"}"#, again.clone()),
        ("Metric", "{}", again.clone().reverse()),
        ("Metric", "{}", Find::new().next("00ff")),
        ("Metric", "{}", Find::new().next("not a token")),
    ] {
        let error = db.find(model, &props(given), &find).unwrap_err();
        assert_eq!(error.kind(), "bad_token", "{model} {given}");
    }
}

#[test]
fn a_limit_out_of_bounds_is_refused() {
    let db = filled();
    for rows in [0, periwinkle_core::limits::FIND_ROWS_MAX + 1] {
        let error = db
            .find("User", &Map::new(), &Find::new().limit(rows))
            .unwrap_err();
        assert_eq!(error.kind(), "bad_query");
    }
    let most = Find::new().limit(periwinkle_core::limits::FIND_ROWS_MAX);
    assert_eq!(db.find("User", &Map::new(), &most).unwrap().items.len(), 3);
}

#[test]
fn an_unknown_or_wrong_property_is_refused() {
    let db = filled();
    let kind = |given: &str| {
        db.find("Metric", &props(given), &Find::new())
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(r#"{"lod":1}"#), "unknown_field");
    assert_eq!(kind(r#"{"load":"x"}"#), "wrong_type");
}

#[test]
fn items_are_named_by_path_segments() {
    let db = filled();
    let item = db
        .find("Metric", &Map::new(), &Find::new().limit(1))
        .unwrap()
        .items
        .remove(0);
    let segments = db.segments("Metric", &item).unwrap();
    assert_eq!(segments, ["2026-10", "2026-10-30T00:00:00.000Z"]);
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let key = db.key_from_segments("Metric", &segments).unwrap();
    assert_eq!(db.get("Metric", &key).unwrap(), Some(item));
    let error = db.key_from_segments("Metric", &["2026-10"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key of Metric has 2 parts, 1 is given; give month, at"
    );
}
