//! Behaviours of the schema as a whole: what is refused, and what is stored and seen.

mod any_input;
mod keys;
mod migrations;
mod places;
mod properties;
mod stored;
mod texts;

use super::*;
use crate::ids::UlidSource;
use crate::sync::config::{Direction, Policy};
use crate::sync::record::ItemKey;
use crate::time::UnixMillis;
use crate::value::attribute::{from_attribute_json, item_from_json, value_from_json};
use crate::value::{Map, Value, json};

const FIXTURE: &str = include_str!("fixtures/schema.json");
const ITEMS: &str = include_str!("fixtures/items.json");

/// 2026-11-22T10:21:53.667Z, the time at which the fixture was made.
const FIXED: UnixMillis = UnixMillis(1_795_342_913_667);

fn properties(text: &str) -> Map {
    json::parse(text).unwrap().into_map().unwrap()
}

fn context() -> Map {
    Map::from([("deviceId", "d1")])
}

fn with_writing<T>(action: impl FnOnce(&mut Writing<'_>) -> T) -> T {
    let mut next = 0u8;
    let mut entropy = move |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_add(1);
            *byte = next;
        }
    };
    action(&mut Writing {
        context: &context(),
        wall: Some(FIXED),
        ulids: &mut UlidSource::default(),
        entropy: &mut entropy,
    })
}

fn create(schema: &Schema, model: &str, given: &str) -> Result<Map, PropertyError> {
    let model = schema.model(model).unwrap();
    with_writing(|writing| model.create(&properties(given), writing))
}

fn update(schema: &Schema, model: &str, item: &Map, given: &str) -> Result<Map, PropertyError> {
    let model = schema.model(model).unwrap();
    with_writing(|writing| model.update(item, &properties(given), writing))
}

/// A schema of one model `M` with these fields beside its key.
fn one_model(fields: &str) -> String {
    format!(
        "{{
  version: '1.0.0',
  indexes: {{ primary: {{ hash: 'pk', sort: 'sk' }} }},
  models: {{ M: {{
    pk: {{ type: 'string', value: 'local#' }},
    sk: {{ type: 'string', value: 'M#${{id}}' }},
    id: {{ type: 'string', required: true }},
    {fields}
  }} }},
}}"
    )
}
