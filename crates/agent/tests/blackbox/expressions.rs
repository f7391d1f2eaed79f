//! Expressions and lists by indexes on the device mean what they mean in the cloud: random ones, and
//! expressions where the emulator itself is wrong.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod indexes;
mod random;
mod wrong;

use std::fmt;

use periwinkle_core::expr::{Condition, Placeholders, Projection, Update};
use periwinkle_core::value::{Map, attribute};
use periwinkle_testkit::rng::Rng;
use serde_json::{Value, json};

use crate::counterparts::{Cloud, Judge};

const CASES: u64 = 250;

/// What one side makes of an expression. A refusal has its words, which only people compare.
enum Answer {
    Holds(bool),
    Item(Map),
    Refused(String),
}

impl PartialEq for Answer {
    fn eq(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Holds(one), Answer::Holds(other)) => one == other,
            (Answer::Item(one), Answer::Item(other)) => one == other,
            (Answer::Refused(_), Answer::Refused(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Holds(holds) => write!(f, "{holds}"),
            Answer::Item(item) => write!(f, "{item:?}"),
            Answer::Refused(words) => write!(f, "refused: {words}"),
        }
    }
}

/// An expression and the item it is asked of.
struct Case {
    kind: &'static str,
    text: String,
    given: Placeholders,
    item: Map,
}

impl Case {
    /// Our answer, and the text as we print it with its placeholders.
    fn ours(&self) -> (Answer, Option<(String, Placeholders)>) {
        match self.read() {
            Ok((answer, text, places)) => (answer, Some((text, places))),
            Err(refused) => (Answer::Refused(refused), None),
        }
    }

    fn read(&self) -> Result<(Answer, String, Placeholders), String> {
        let (mut given, mut places) = (self.given.clone(), Placeholders::new());
        let words = |error: &dyn fmt::Display| error.to_string();
        let (answer, printed) = match self.kind {
            "condition" => {
                let read = Condition::parse(&self.text, &mut given).map_err(|e| words(&e))?;
                (
                    Answer::Holds(read.holds(&self.item)),
                    read.print(&mut places),
                )
            }
            "update" => {
                let read = Update::parse(&self.text, &mut given).map_err(|e| words(&e))?;
                let answer = match read.apply(&self.item) {
                    Ok(item) => Answer::Item(item),
                    Err(refused) => Answer::Refused(refused.to_string()),
                };
                (answer, read.print(&mut places))
            }
            _ => {
                let read = Projection::parse(&self.text, &mut given).map_err(|e| words(&e))?;
                (
                    Answer::Item(read.apply(&self.item)),
                    read.print(&mut places),
                )
            }
        };
        given.check_all_used().map_err(|e| words(&e))?;
        Ok((answer, printed.map_err(|e| words(&e))?, places))
    }

    /// The answer of the account to a text with its placeholders.
    fn theirs(&self, judge: &mut Judge, text: &str, places: &Placeholders) -> Answer {
        let names: Map = places.names().collect();
        let values: Map = places
            .values()
            .map(|(place, value)| (place, value.clone()))
            .collect();
        let names: Value =
            serde_json::from_str(&periwinkle_core::value::Value::from(names).to_json()).unwrap();
        let reply = judge.try_ask(&json!({
            "op": self.kind, "text": text, "names": names,
            "item": wire(&self.item), "values": wire(&values),
        }));
        if let Some(refused) = reply["refused"].as_str() {
            return Answer::Refused(refused.to_owned());
        }
        if let Some(holds) = reply["holds"].as_bool() {
            assert_eq!(
                reply["filters"], holds,
                "as a condition and as a filter: {text}"
            );
            return Answer::Holds(holds);
        }
        Answer::Item(attribute::from_attribute_json(&reply["item"].to_string()).unwrap())
    }
}

fn wire(item: &Map) -> Value {
    serde_json::from_str(&attribute::to_attribute_json(item)).unwrap()
}

fn compare(seed: u64, make: fn(&mut Rng) -> Case) {
    let cloud = Cloud::shared();
    let mut judge = cloud.expressions();
    let mut rng = Rng::new(seed);
    for number in 0..CASES {
        let case = make(&mut rng);
        let (ours, printed) = case.ours();
        let (text, places) = match printed {
            Some(printed) if number % 2 == 1 => printed,
            _ => (case.text.clone(), case.given.clone()),
        };
        let theirs = case.theirs(&mut judge, &text, &places);
        assert!(
            ours == theirs,
            "seed {seed}, case {number}\n{}\nsent as {text}\nwith {places:?}\nitem {:?}\n\
             ours   {ours}\ntheirs {theirs}",
            case.text,
            case.item,
        );
    }
}

/// The seed of a failed run, or the one that every run has.
fn seed() -> u64 {
    std::env::var("PERIWINKLE_TEST_SEED").map_or(20_26, |seed| seed.parse().unwrap())
}

#[test]
fn random_conditions_hold_here_as_in_the_cloud() {
    compare(seed(), random::condition);
}

#[test]
fn random_updates_do_here_what_they_do_in_the_cloud() {
    compare(seed(), random::update);
}

#[test]
fn random_projections_pick_here_what_they_pick_in_the_cloud() {
    compare(seed(), random::projection);
}
