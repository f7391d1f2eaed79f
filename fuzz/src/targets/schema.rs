//! Schemas, and what their models make of given properties.

use periwinkle_core::schema::Schema;
use periwinkle_core::value::{Map, json};

use super::{kind_of, words};

/// Given after a line of `---`: properties as JSON, of which each model says what they name.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let (schema, given) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    match Schema::parse(schema) {
        Ok(schema) => {
            let given = json::parse(given).ok();
            let given = given.and_then(|value| value.into_map()).unwrap_or_default();
            let models: Vec<_> = schema
                .models()
                .iter()
                .map(|model| of_model(model, &given))
                .collect();
            kind_of((0, models.len().min(4), models.first().copied()))
        }
        Err(error) => kind_of((1, words(&error))),
    }
}

fn of_model(model: &periwinkle_core::schema::Model, given: &Map) -> (bool, bool) {
    let context = Map::from([("deviceId", "d1")]);
    let key = model.key(given, &context);
    let range = model.key_range(given, &context);
    (key.is_ok(), range.is_ok())
}
