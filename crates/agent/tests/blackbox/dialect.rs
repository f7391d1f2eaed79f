//! The device stores and reads what dynamodb-onetable stores and reads, for the same schema and the
//! same properties: random ones, and those where the two differ on purpose.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod differences;
mod numbers;
mod random;

use periwinkle_core::ids::UlidSource;
use periwinkle_core::schema::{Hidden, PropertyError, Schema, Writing};
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{Map, attribute, json};
use serde_json::{Value, json};

use crate::counterparts::{Cloud, Judge};

const SCHEMA: &str = include_str!("dialect/schema.json");

/// 2026-11-22T10:21:53.667Z, for both sides.
const NOW: i64 = 1_795_342_913_667;

/// Both sides with one schema.
struct Sides {
    schema: Schema,
    context: Map,
    library: Judge,
    /// The library writes to it as long as there are sides.
    _cloud: Cloud,
}

/// What one side makes of a request.
enum Answer {
    Item(Map),
    Refused(String),
}

impl Answer {
    fn words(&self) -> String {
        match self {
            Answer::Item(item) => item.to_json(),
            Answer::Refused(words) => format!("refused: {words}"),
        }
    }
}

impl Sides {
    /// `device` keeps the items of one test apart from those of others.
    fn of(text: &str, device: &str) -> Sides {
        let schema = Schema::parse(text).unwrap();
        let cloud = Cloud::shared();
        let mut library = cloud.dialect();
        let file: Value = serde_json::from_str(text).unwrap();
        library.ask(
            &json!({"op": "schema", "schema": file, "now": NOW, "context": {"deviceId": device}}),
        );
        Sides {
            schema,
            context: Map::from([("deviceId", device)]),
            library,
            _cloud: cloud,
        }
    }

    fn ours(&self, work: impl FnOnce(&mut Writing<'_>) -> Result<Map, PropertyError>) -> Answer {
        let mut next = 0u8;
        let mut entropy = move |bytes: &mut [u8]| {
            bytes.fill_with(|| {
                next = next.wrapping_mul(77).wrapping_add(91);
                next
            });
        };
        let made = work(&mut Writing {
            context: &self.context,
            wall: Some(UnixMillis(NOW)),
            ulids: &mut UlidSource::default(),
            entropy: &mut entropy,
        });
        match made {
            Ok(item) => Answer::Item(item),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    fn create(&self, model: &str, given: &Map) -> Answer {
        let model = self.schema.model(model).unwrap();
        self.ours(|writing| model.create(given, writing))
    }

    fn update(&self, model: &str, item: &Map, given: &Map) -> Answer {
        let model = self.schema.model(model).unwrap();
        self.ours(|writing| model.update(item, given, writing))
    }

    fn theirs(&mut self, op: &str, model: &str, given: &Map) -> Answer {
        let properties: Value = serde_json::from_str(&attribute::to_attribute_json(given)).unwrap();
        let answer = self
            .library
            .ask(&json!({"op": op, "model": model, "properties": properties}));
        match answer.get("refused") {
            Some(words) => Answer::Refused(words.to_string()),
            None => {
                Answer::Item(attribute::from_attribute_json(&answer["item"].to_string()).unwrap())
            }
        }
    }

    /// What each side shows of an item that we have made; the library reads it from the table.
    fn seen(&mut self, model: &str, item: &Map, key: &Map) -> (Map, Map) {
        let raw: Value = serde_json::from_str(&attribute::to_attribute_json(item)).unwrap();
        self.library.ask(&json!({"op": "put", "item": raw}));
        let key: Value = serde_json::from_str(&attribute::to_attribute_json(key)).unwrap();
        let answer = self
            .library
            .ask(&json!({"op": "get", "model": model, "properties": key}));
        assert!(
            answer.get("refused").is_none(),
            "{item:?} is read as {answer}"
        );
        let theirs = json::parse(&answer["seen"].to_string()).unwrap();
        let ours = self
            .schema
            .model(model)
            .unwrap()
            .properties(item, Hidden::Omit);
        // Both as JSON, in which sets are lists.
        let ours = json::parse(&ours.to_json()).unwrap();
        (ours.into_map().unwrap(), theirs.into_map().unwrap())
    }
}
