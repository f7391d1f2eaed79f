//! Where the two differ on purpose. What the library does stands here as well, so that a change of
//! it is noticed; `docs/guide/schema.md` gives the reasons.

use periwinkle_core::value::{Map, Value, json};

use super::{Answer, SCHEMA, Sides};

const ID: &str = r#""group":"g","id":"#;

fn props(number: usize, text: &str) -> Map {
    let text = format!("{{{ID}\"{number}\",{text}}}");
    json::parse(&text).unwrap().into_map().unwrap()
}

/// What an item has beside the keys that every item has, or that it was refused.
fn short(answer: &Answer) -> String {
    const ALWAYS: [&str; 9] = [
        "pk", "sk", "id", "deviceId", "_type", "created", "updated", "count", "on",
    ];
    match answer {
        Answer::Refused(_) => "refused".to_owned(),
        Answer::Item(item) => {
            let mut item = item.clone();
            item.retain(|name, _| !ALWAYS.contains(&name));
            item.to_json()
        }
    }
}

#[test]
fn items_are_made_otherwise_only_where_the_guide_says_so() {
    let mut sides = Sides::of(SCHEMA, "creates");
    let table = [
        // Given, what we make, what the library makes.
        (r#""level":5"#, "refused", "refused"),
        (r#""count":"12""#, "refused", r#"{}"#),
        (
            r#""tags":["b","a"]"#,
            r#"{"tags":["a","b"]}"#,
            r#"{"tags":["b","a"]}"#,
        ),
        (r#""tags":[]"#, "{}", r#"{"tags":[]}"#),
        (r#""city":"Oslo""#, r#"{"place":{"c":"Oslo"}}"#, "refused"),
        (
            r#""phase":"a/b","rank":1"#,
            "refused",
            r#"{"state":"a/b/1"}"#,
        ),
        (r#""phase":"a""#, "refused", "{}"),
        (r#""gs1pk":"mine""#, "refused", r#"{"gs1pk":"mine"}"#),
        (r#""unknown":1"#, "refused", "{}"),
        (
            r#""name":"${x}""#,
            r#"{"gs1pk":"name#${x}","name":"${x}"}"#,
            r#"{"name":"${x}"}"#,
        ),
    ];
    for (at, (given, ours, theirs)) in table.into_iter().enumerate() {
        let given = props(at, given);
        let shown = given.to_json();
        assert_eq!(short(&sides.create("Thing", &given)), ours, "{shown}: ours");
        let answer = sides.theirs("create", "Thing", &given);
        assert_eq!(short(&answer), theirs, "{shown}: theirs {}", answer.words());
    }
}

#[test]
fn items_are_changed_otherwise_only_where_the_guide_says_so() {
    let mut sides = Sides::of(SCHEMA, "changes");
    let steps = r#""steps":[{"what":"a","n":1,"text":"a.1"},{"what":"b","n":2,"text":"b.2"}]"#;
    let table = [
        // Before, the change, what it is with us, what it is with the library.
        (r#""name":"n""#, r#""name":null"#, "{}".to_owned(), r#"{"gs1pk":"name#n"}"#.to_owned()),
        (
            r#""short":"x""#,
            r#""address":{"street":"a"}"#,
            r#"{"address":{"street":"a"},"lookup":"a#true","s":"x"}"#.to_owned(),
            "refused".to_owned(),
        ),
        (
            r#""steps":[{"what":"a","n":1},{"what":"b","n":2}]"#,
            r#""steps":[{"what":"c"}]"#,
            r#"{"steps":[{"what":"c"}]}"#.to_owned(),
            format!("{{{}}}", steps.replace(r#""what":"a""#, r#""what":"c""#))
                .replace(r#"{"what":"c","n":1,"text":"a.1"}"#, r#"{"n":1,"text":"a.1","what":"c"}"#)
                .replace(r#"{"what":"b","n":2,"text":"b.2"}"#, r#"{"n":2,"text":"b.2","what":"b"}"#),
        ),
        (
            r#""flat":{"x":1}"#,
            r#""flat":null"#,
            "{}".to_owned(),
            "refused".to_owned(),
        ),
        (
            r#""address":{"street":"a","zip":"1"}"#,
            r#""address":{"zip":"2"}"#,
            r#"{"address":{"country":"FI","label":"a, 00002","street":"a","z":"2"},"lookup":"a#true"}"#.to_owned(),
            r#"{"address":{"country":"FI","label":"a, 00001","street":"a","z":"2"},"lookup":"a#true"}"#.to_owned(),
        ),
    ];
    for (at, (before, change, ours, theirs)) in table.into_iter().enumerate() {
        let (before, change) = (props(at, before), props(at, change));
        let Answer::Item(item) = sides.create("Thing", &before) else {
            panic!("{before:?}");
        };
        let Answer::Item(_) = sides.theirs("create", "Thing", &before) else {
            panic!("{before:?}");
        };
        let shown = change.to_json();
        assert_eq!(
            short(&sides.update("Thing", &item, &change)),
            ours,
            "{shown}: ours"
        );
        let answer = sides.theirs("update", "Thing", &change);
        assert_eq!(short(&answer), theirs, "{shown}: theirs {}", answer.words());
    }
}

const PATTERNS: &str = r#"{
    "format": "onetable:1.1.0", "version": "1.0.0",
    "indexes": { "primary": { "hash": "pk", "sort": "sk" } },
    "models": { "Thing": {
        "pk": { "type": "string", "value": "dev#${deviceId}#rw" },
        "sk": { "type": "string", "value": "Thing#${id}" },
        "deviceId": { "type": "string", "required": true },
        "id": { "type": "string", "required": true },
        "group": { "type": "string" },
        "fold": { "type": "string", "validate": "/^[aü]$/i" },
        "blank": { "type": "string", "validate": "/^a\\sb$/" },
        "one": { "type": "string", "validate": "^.$" },
        "path": { "type": "string", "validate": "/^a\\/b$/" }
    } },
    "params": { "isoDates": true },
    "process": { "Thing": { "sync": "both" } }
}"#;

#[test]
fn patterns_match_otherwise_only_beyond_ascii() {
    let mut sides = Sides::of(PATTERNS, "patterns");
    let table = [
        ("fold", "A", true, true),
        ("fold", "ü", true, true),
        ("fold", "Ü", false, true),
        ("blank", "a b", true, true),
        ("blank", "a\u{a0}b", false, true),
        ("one", "ü", true, true),
        ("one", "😀", true, false),
        ("path", "a/b", true, true),
        ("path", "a:b", false, false),
    ];
    for (at, (field, text, ours, theirs)) in table.into_iter().enumerate() {
        let given = props(at, &format!("\"{field}\":\"{text}\""));
        let takes = |answer: &Answer| matches!(answer, Answer::Item(_));
        assert_eq!(
            takes(&sides.create("Thing", &given)),
            ours,
            "{field} {text}: ours"
        );
        let answer = sides.theirs("create", "Thing", &given);
        assert_eq!(
            takes(&answer),
            theirs,
            "{field} {text}: theirs {}",
            answer.words()
        );
    }
}

/// Letters that differ from one id to the next, by their kind.
fn shape(value: Option<&Value>) -> String {
    let text = value.and_then(Value::as_str).unwrap_or("none");
    text.chars()
        .map(|letter| match letter {
            '0'..='9' | 'A'..='Z' => 'A',
            'a'..='z' => 'a',
            other => other,
        })
        .collect()
}

#[test]
fn generated_ids_have_one_form() {
    let mut sides = Sides::of(SCHEMA, "made");
    let none = Map::new();
    let ours = sides.create("Made", &none);
    let theirs = sides.theirs("create", "Made", &none);
    let (Answer::Item(ours), Answer::Item(theirs)) = (&ours, &theirs) else {
        panic!("{} {}", ours.words(), theirs.words());
    };
    for (name, length) in [("id", 26), ("a", 10), ("b", 4)] {
        assert_eq!(shape(ours.get(name)), "A".repeat(length), "{name}");
        assert_eq!(shape(theirs.get(name)), "A".repeat(length), "{name}");
    }
    let home = |item: &Map| {
        let home = item["home"].as_map().unwrap();
        (shape(home.get("d")), home["e"].to_json())
    };
    assert_eq!(home(ours), ("A".repeat(6), "2".to_owned()));
    assert_eq!(home(theirs), home(ours));
    // A uuid has small letters and digits in places that differ.
    let uuid = |item: &Map| shape(item.get("c")).to_ascii_lowercase();
    assert_eq!(uuid(ours), uuid(theirs));
    // The time in front of a ulid is the time of both clocks.
    assert_eq!(
        ours.text("id").map(|id| &id[..10]),
        theirs.text("id").map(|id| &id[..10])
    );
}
