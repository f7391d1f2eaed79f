//! Numbers have one text: ours is that of the table.

use periwinkle_core::value::Number;
use periwinkle_testkit::rng::Rng;
use serde_json::json;

use crate::counterparts::Cloud;

/// What the table gives back for each text; `None` for those that it refuses.
fn kept(texts: &[String]) -> Vec<Option<String>> {
    let cloud = Cloud::shared();
    let mut judge = cloud.dialect();
    let answer = judge.ask(&json!({"op": "numbers", "texts": texts}));
    let numbers = answer["numbers"].as_array().unwrap().iter();
    numbers
        .map(|number| number.as_str().map(str::to_owned))
        .collect()
}

fn ours(text: &str) -> Option<String> {
    text.parse::<Number>().ok().map(|number| number.to_string())
}

#[test]
fn random_numbers_are_kept_as_the_table_keeps_them() {
    let seed = 4;
    let mut rng = Rng::new(seed);
    let texts: Vec<String> = (0..400).map(|_| number(&mut rng)).collect();
    let theirs = kept(&texts);
    let mut refused = 0;
    for (text, theirs) in texts.iter().zip(theirs) {
        assert_eq!(ours(text), theirs, "seed {seed}: {text}");
        refused += usize::from(theirs.is_none());
    }
    println!(
        "seed {seed}: {} numbers, {refused} refused by both",
        texts.len()
    );
    assert!((20..200).contains(&refused), "{refused} refused");
}

/// A decimal in one of its many spellings, some too long or too large.
fn number(rng: &mut Rng) -> String {
    let digits = |rng: &mut Rng, most: u64| -> String {
        (0..rng.below(most))
            .map(|_| char::from(b'0' + rng.below(10) as u8))
            .collect()
    };
    let mut text = if rng.one_in(3) { "-" } else { "" }.to_owned();
    text.push_str(if rng.one_in(4) { "000" } else { "" });
    text.push(char::from(b'0' + rng.below(10) as u8));
    let most = [4, 20, 30][rng.index(3)];
    text.push_str(&digits(rng, most));
    if rng.one_in(2) {
        text.push('.');
        text.push_str(&digits(rng, most));
        text.push_str(if rng.one_in(3) { "5000" } else { "7" });
    }
    if rng.one_in(2) {
        let exponent = rng.below(300) as i64 - 150;
        let letter = if rng.one_in(2) { "e" } else { "E" };
        let plus = if exponent >= 0 && rng.one_in(2) {
            "+"
        } else {
            ""
        };
        text.push_str(&format!("{letter}{plus}{exponent}"));
    }
    text
}

/// Where the emulator is known to differ from what AWS says of numbers: "up to 38 digits of
/// precision", "1E-130 to 9.9999999999999999999999999999999999999E+125", zeros at the ends trimmed.
#[test]
fn the_corners_are_as_documented() {
    const LARGEST: &str = "99999999999999999999999999999999999999";
    let largest = format!("{LARGEST}{}", "0".repeat(88));
    let least = format!("0.{}1", "0".repeat(129));
    let table: &[(&str, Option<&str>, Option<&str>)] = &[
        // A text, ours, the emulator's.
        (LARGEST, Some(LARGEST), Some(LARGEST)),
        (
            "9.9999999999999999999999999999999999999E+125",
            Some(&largest),
            Some(&largest),
        ),
        ("1E-130", Some(&least), Some(&least)),
        ("1E+126", None, None),
        ("1E-131", None, None),
        // Zero has no size, so that no exponent is too large for it; the emulator looks at it first.
        ("0E+999", Some("0"), None),
        ("-0.00", Some("0"), Some("0")),
        ("100000000000000000000000000000000000001", None, None),
        (
            "100000000000000000000000000000000000000",
            Some("100000000000000000000000000000000000000"),
            Some("100000000000000000000000000000000000000"),
        ),
        ("00012.3400", Some("12.34"), Some("12.34")),
        (".5", Some("0.5"), Some("0.5")),
        ("5.", Some("5"), Some("5")),
        ("+5", Some("5"), Some("5")),
        ("", None, None),
        ("1e", None, None),
        ("1_000", None, None),
        ("0x10", None, None),
        (" 1", None, None),
        ("NaN", None, None),
        ("Infinity", None, None),
    ];
    let texts: Vec<String> = table.iter().map(|(text, ..)| (*text).to_owned()).collect();
    let theirs = kept(&texts);
    let wrong: Vec<_> = table
        .iter()
        .zip(theirs)
        .filter(|((text, expected, known), theirs)| {
            ours(text).as_deref() != *expected || theirs.as_deref() != *known
        })
        .map(|((text, ..), theirs)| (text, ours(text), theirs))
        .collect();
    assert_eq!(wrong, [], "text, ours, theirs");
}
