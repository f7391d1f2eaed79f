//! `models`: what the database can hold.

use periwinkle_core::value::{Map, Value};

use super::super::args::Json;
use super::super::failure::Failure;
use super::super::table::Table;
use super::super::{human, output};
use super::face::{Call, Face};
use super::words::{self, Model};

pub(super) fn models(face: &Face, model: Option<&str>, json: Json) -> Result<(), Failure> {
    if let Some(name) = model {
        let model = words::model(face, name)?;
        return match json.json {
            true => output::print(&model.described.to_json()),
            false => output::print(&format!("{}{}", description(&model), parked(&[model]))),
        };
    }
    let models = words::models(face)?;
    if json.json {
        let models = models.into_iter().map(|model| Value::Map(model.described));
        return output::print(&Value::List(models.collect()).to_json());
    }
    let figures = face.value(Call::get("/api/v1/database"))?;
    let rows = figures.as_map().and_then(|figures| figures.get("models"));
    let listing = listing(&models, rows.and_then(Value::as_map));
    output::print(&format!("{listing}{}", parked(&models)))
}

/// The models that are left alone, a line each below a table.
fn parked(models: &[Model]) -> String {
    let parked: Vec<String> = models.iter().filter_map(Model::parked).collect();
    match parked.is_empty() {
        true => String::new(),
        false => format!("\n{}\n", parked.join("\n")),
    }
}

fn listing(models: &[Model], rows: Option<&Map>) -> String {
    let mut table = Table::new(["MODEL", "ROWS", "SYNC", "KEY"]).right(1);
    for model in models {
        let items = rows.and_then(|rows| rows.get(&model.name)?.as_i64());
        let items = u64::try_from(items.unwrap_or(0)).unwrap_or(0);
        let sync = model.described.text("sync").unwrap_or("-");
        let key = model.keys.join(" ");
        table.push([&model.name, &human::count(items), sync, &key]);
    }
    table.show().text
}

fn description(model: &Model) -> String {
    let mut table = Table::new(["FIELD", "TYPE", "RULES"]);
    let fields = model.described.get("fields").and_then(Value::as_list);
    for field in fields.unwrap_or_default().iter().filter_map(Value::as_map) {
        let text = |name: &str| field.text(name).unwrap_or("");
        table.push([text("name"), text("type"), &rules(model, field)]);
    }
    table.show().text
}

fn rules(model: &Model, field: &Map) -> String {
    let mut rules = Vec::new();
    let is_set = |name: &str| field.get(name) == Some(&Value::Bool(true));
    if field
        .text("name")
        .is_some_and(|name| model.keys.iter().any(|key| key == name))
    {
        rules.push("key".to_owned());
    }
    for flag in ["required", "readonly"] {
        if is_set(flag) {
            rules.push(flag.to_owned());
        }
    }
    if let Some(Value::List(choices)) = field.get("enum") {
        let choices: Vec<String> = choices.iter().map(Value::to_json).collect();
        rules.push(format!("one of {}", choices.join(" ")));
    }
    if let Some(default) = field.get("default") {
        rules.push(format!("default {}", default.to_json()));
    }
    rules.join(", ")
}
