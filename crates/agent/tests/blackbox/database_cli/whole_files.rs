//! What items of an import have to do with each other is found before the first is written,
//! however many requests lie between them.

use std::fs;

use serde_json::{Value, json};

use super::{bad, good, quiet};
use crate::agent::Home;

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {
        Room: {
            pk: { type: 'string', value: 'rooms' },
            sk: { type: 'string', value: 'Room#${id}' },
            id: { type: 'string', required: true },
            door: { type: 'string', unique: true },
            note: { type: 'string' },
        },
        Few: {
            pk: { type: 'string', value: 'few' },
            sk: { type: 'string', value: 'Few#${id}' },
            id: { type: 'string', required: true },
            note: { type: 'string' },
        },
    },
    process: { Few: { rows_max: 300, overflow: 'refuse' } },
}";

fn house() -> Home {
    let home = Home::with("[db]\nschema = \"rooms.json5\"\n[metrics]\nenable = false\n");
    fs::write(home.path().join("rooms.json5"), SCHEMA).expect("ours");
    home
}

/// Items of a kilobyte, so that a request takes some 250 of them.
fn items(count: u32, item: impl Fn(u32) -> Value) -> String {
    let note = "x".repeat(1000);
    let lines = (0..count).map(|n| {
        let mut item = item(n);
        item["note"] = note.as_str().into();
        format!("{item}\n")
    });
    lines.collect()
}

fn count(home: &Home, model: &str) -> u32 {
    let told = good(home, &["find", model, "--count"]);
    told.trim().parse().expect("a number")
}

#[test]
fn a_key_that_comes_again_is_told_with_both_lines_and_nothing_is_written() {
    let home = quiet();
    let item = |n: u32| json!({"id": format!("s{:05}", n % 400)});
    fs::write(home.path().join("items"), items(402, item)).expect("ours");
    let words = ["import", "items", "--model", "Setting"];
    let told = bad(&home, &words, 3);
    let again = "has this Setting already; leave one of them out, or say --on-conflict skip or \
                 replace";
    assert_eq!(
        told,
        format!(
            "items: line 401, column 1: line 1, column 1 {again}\n\
             items: line 402, column 1: line 2, column 1 {again}\n\
             nothing was written\n"
        )
    );
    assert!(!home.state().join("db").exists() || count(&home, "Setting") == 0);
    for (on_conflict, done) in [
        ("replace", "400 items would be created, 2 replaced\n"),
        ("skip", "400 items would be created, 2 skipped\n"),
    ] {
        let words = [&words[..], &["--on-conflict", on_conflict]].concat();
        let checked = good(&home, &[&words[..], &["--dry-run"]].concat());
        assert_eq!(checked, done);
    }
    let written = good(&home, &[&words[..], &["--on-conflict", "skip"]].concat());
    assert_eq!(written, "400 items created, 2 skipped\n");
    assert_eq!(count(&home, "Setting"), 400);
}

#[test]
fn a_unique_value_that_comes_again_is_told_with_both_lines_unless_it_was_given_up() {
    let home = house();
    let item = |n: u32| json!({"id": format!("r{n}"), "door": format!("d{}", n % 399)});
    fs::write(home.path().join("items"), items(400, item)).expect("ours");
    let words = ["import", "items", "--model", "Room"];
    let told = bad(&home, &words, 3);
    let expected = "items: line 400, column 1: line 1, column 1 has a Room with this door \
                    already; use another one\nnothing was written\n";
    assert_eq!(told, expected);

    // A door moves on to the next room, in the file and from what is there.
    good(&home, &["put", "Room", "r0", "door=d399"]);
    let moved = |n: u32| json!({"id": format!("r{}", n % 399), "door": format!("d{n}")});
    fs::write(home.path().join("items"), items(400, moved)).expect("ours");
    let words = [&words[..], &["--on-conflict", "replace"]].concat();
    let checked = good(&home, &[&words[..], &["--dry-run"]].concat());
    assert_eq!(checked, "398 items would be created, 2 replaced\n");
    assert_eq!(good(&home, &words), "398 items created, 2 replaced\n");
    let found = good(
        &home,
        &["find", "Room", "door=d399", "--project", "id", "--json"],
    );
    assert_eq!(found, "{\"id\":\"r0\"}\n");
}

#[test]
fn a_model_that_would_be_full_is_told_with_the_first_line_that_has_no_room() {
    let home = house();
    good(&home, &["put", "Few", "f0"]);
    let item = |n: u32| json!({"id": format!("f{n}")});
    fs::write(home.path().join("items"), items(302, item)).expect("ours");
    let words = ["import", "items", "--model", "Few", "--on-conflict", "skip"];
    let told = bad(&home, &words, 3);
    let full = "Few is full: it keeps 300 rows; remove rows, or raise the bound in the schema";
    assert_eq!(
        told,
        format!(
            "items: line 301, column 1: {full}\nitems: line 302, column 1: {full}\n\
             nothing was written\n"
        )
    );
    assert_eq!(count(&home, "Few"), 1);
    fs::write(home.path().join("items"), items(300, item)).expect("ours");
    assert_eq!(good(&home, &words), "299 items created, 1 skipped\n");
}
