//! The models of the schema, as the data browser shows them.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use periwinkle_core::schema::{Field, Model, Role};
use periwinkle_core::value::json::write_json;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::ParkedModel;

use super::DataApi;
use super::data::value_answer;
use crate::web::rows::is_internal;

pub(super) async fn list(State(api): State<DataApi>) -> Response {
    let shown = api
        .db
        .schema()
        .models()
        .iter()
        .filter(|model| !is_internal(model.name()));
    let context = api.db.context();
    let models: Vec<Value> = shown
        .map(|model| {
            let mut parked = api.db.parked_models().iter();
            let parked = parked.find(|parked| parked.model == model.name());
            Value::Map(describe(model, context, parked))
        })
        .collect();
    value_answer(
        StatusCode::OK,
        &Value::Map(Map::from([("models", Value::List(models))])),
    )
}

fn describe(model: &Model, context: &Map, parked: Option<&ParkedModel>) -> Map {
    let texts = |texts: Vec<&str>| Value::List(texts.into_iter().map(Value::from).collect());
    let keys = texts(model.asked_names(context).collect());
    let fields = model
        .fields()
        .iter()
        .filter(|field| is_shown(field, context));
    let mut shown = Map::from([
        ("name", Value::from(model.name())),
        ("sync", Value::from(model.direction().as_str())),
        ("keys", keys),
        (
            "fields",
            Value::List(
                fields
                    .map(|field| Value::Map(describe_field(field)))
                    .collect(),
            ),
        ),
    ]);
    if let Some(parked) = parked {
        let versions = Map::from([
            ("written", parked.written.to_string()),
            ("known", parked.known.to_string()),
            ("reason", parked.to_string()),
        ]);
        shown.insert("parked", versions);
    }
    shown
}

/// What a person fills in: not the keys that templates make, and nothing hidden.
fn is_shown(field: &Field, context: &Map) -> bool {
    matches!(field.role(), Role::Plain) && !field.hidden() && !context.contains_key(field.name())
}

fn describe_field(field: &Field) -> Map {
    let mut shown = Map::from([
        ("name", Value::from(field.name())),
        ("type", Value::from(field.kind().name())),
        ("required", Value::from(field.required())),
        ("readonly", Value::from(field.readonly())),
    ]);
    if !field.choices().is_empty() {
        shown.insert("enum", Value::List(field.choices().to_vec()));
    }
    if let Some(default) = field.default() {
        shown.insert("default", default.clone());
    }
    if let Some(generate) = field.generate() {
        shown.insert("generate", generate.to_string());
    }
    if let Some(pattern) = field.pattern() {
        shown.insert("validate", pattern.as_str());
    }
    if field.ttl() {
        shown.insert("ttl", true);
    }
    if let Some(items) = field.items() {
        shown.insert("items", items.name());
    }
    if !field.nested().is_empty() {
        let nested = field.nested().iter().filter(|field| !field.hidden());
        let nested = nested.map(|field| Value::Map(describe_field(field)));
        shown.insert("fields", Value::List(nested.collect()));
    }
    shown
}

/// The JSON text of a value.
pub(super) fn json_text(value: &Value) -> String {
    let mut text = String::new();
    write_json(value, &mut text);
    text
}
