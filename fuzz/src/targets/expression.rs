//! Expressions in DynamoDB's grammar, and what they say of an item.

use periwinkle_core::expr::{Condition, Placeholders, Projection, Update};
use periwinkle_core::value::{Map, json};

use super::{kind_of, words};

/// The first line is the expression, the rest an item as JSON.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let (line, rest) = text.split_once('\n').unwrap_or((&text, "{}"));
    let item = json::parse(rest).ok().and_then(|value| value.into_map());
    let item = item.unwrap_or_default();
    kind_of([
        condition(line, &item),
        update(line, &item),
        projection(line, &item),
    ])
}

fn condition(text: &str, item: &Map) -> u64 {
    match Condition::parse(text, &mut Placeholders::new()) {
        Ok(condition) => {
            let holds = condition.holds(item);
            let mut given = Placeholders::new();
            if let Ok(printed) = condition.print(&mut given) {
                let again = Condition::parse(&printed, &mut given);
                let again = again.expect("what was printed can be read");
                assert_eq!(again, condition, "{printed}");
                assert_eq!(again.holds(item), holds, "{printed}");
            }
            kind_of((0, holds))
        }
        Err(error) => words(&error),
    }
}

fn update(text: &str, item: &Map) -> u64 {
    match Update::parse(text, &mut Placeholders::new()) {
        Ok(update) => {
            let applied = update.apply(item).is_ok();
            let mut given = Placeholders::new();
            if let Ok(printed) = update.print(&mut given) {
                let again = Update::parse(&printed, &mut given);
                let again = again.expect("what was printed can be read");
                assert_eq!(again.apply(item).ok(), update.apply(item).ok(), "{printed}");
            }
            kind_of((0, applied))
        }
        Err(error) => words(&error),
    }
}

fn projection(text: &str, item: &Map) -> u64 {
    match Projection::parse(text, &mut Placeholders::new()) {
        Ok(projection) => {
            let picked = projection.apply(item);
            let again = projection.apply(&picked);
            kind_of((0, picked.is_empty(), again == picked))
        }
        Err(error) => words(&error),
    }
}
