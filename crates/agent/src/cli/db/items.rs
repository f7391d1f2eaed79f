//! `get`, `find`, `put`, `update`, `remove`.

use http::Method;
use periwinkle_core::limits::API_PAGE_ROWS_MAX;
use periwinkle_core::value::{Map, Value};

use super::super::args::Json;
use super::super::failure::Failure;
use super::super::table::{self, Table};
use super::super::{human, output};
use super::args::{Find, Item, Placeholders, Terms};
use super::face::{Call, Face};
use super::words::{self, Given, Model, Words};
use crate::api::path::encoded;

pub(super) fn get(face: &Face, item: &Item, json: Json) -> Result<(), Failure> {
    let (model, words) = named(face, item)?;
    let (path, properties) = model.item(&words)?;
    let others = properties
        .keys()
        .find(|name| !model.keys.iter().any(|key| key == name));
    if let Some(other) = others {
        return Err(
            Failure::usage(format!("{other} is no part of the key")).hint(format!(
                "`periwinkle db find {} {other}=...` looks for it",
                model.name
            )),
        );
    }
    let found = face.value(Call::get(&path))?;
    show(&model, &found, json)
}

pub(super) fn put(
    face: &Face,
    item: &Item,
    terms: &Terms,
    new: bool,
    json: Json,
) -> Result<(), Failure> {
    let (model, words) = named(face, item)?;
    // An item whose key is generated cannot be there.
    let call = match model.path(&words)?.filter(|_| !new) {
        Some((path, properties)) => (Method::PUT, path, properties),
        None => {
            let (path, properties) = model.create(&words)?;
            (Method::POST, path, properties)
        }
    };
    let (method, path, properties) = call;
    let path = on_terms(
        &path,
        terms.condition.as_deref(),
        terms.apply.as_deref(),
        &terms.places,
    );
    let made = face.value(Call::json(method, &path, &properties))?;
    show(&model, &made, json)
}

pub(super) fn update(face: &Face, item: &Item, terms: &Terms, json: Json) -> Result<(), Failure> {
    let (model, words) = named(face, item)?;
    let (path, properties) = model.item(&words)?;
    let is_key = |name: &str| model.keys.iter().any(|key| key == name);
    if terms.apply.is_none() && properties.keys().all(is_key) {
        return Err(Failure::usage("there is nothing to change")
            .hint("give NAME=VALUE, NAME:=null to remove a property, or --apply"));
    }
    let path = on_terms(
        &path,
        terms.condition.as_deref(),
        terms.apply.as_deref(),
        &terms.places,
    );
    let changed = face.value(Call::json(Method::PATCH, &path, &properties))?;
    show(&model, &changed, json)
}

pub(super) fn remove(
    face: &Face,
    item: &Item,
    condition: Option<&str>,
    places: &Placeholders,
    json: Json,
) -> Result<(), Failure> {
    let (model, words) = named(face, item)?;
    let (path, _) = model.item(&words)?;
    let path = on_terms(&path, condition, None, places);
    face.bytes(Call {
        method: Method::DELETE,
        path: &path,
        body: None,
    })?;
    match json.json {
        true => output::print("{\"removed\":1}"),
        false => output::print("removed"),
    }
}

/// The path with the terms of a write.
fn on_terms(
    path: &str,
    condition: Option<&str>,
    apply: Option<&str>,
    places: &Placeholders,
) -> String {
    let terms = [
        ("if", condition),
        ("apply", apply),
        ("names", places.names.as_deref()),
        ("values", places.values.as_deref()),
    ];
    let terms = terms
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name}={}", encoded(text?))));
    let terms: Vec<String> = terms.collect();
    match terms.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", terms.join("&")),
    }
}

pub(super) fn find(face: &Face, find: &Find) -> Result<(), Failure> {
    let model = words::model(face, &find.model)?;
    let words = Words::parse(&find.words)?;
    words.only_named(&model)?;
    let query = query(&words, find)?;
    if find.count {
        return count(face, &model, &query, find.json);
    }
    let mut wanted = find.limit.map(usize_of);
    let mut next = find.next.clone();
    let mut listed = Listed::default();
    loop {
        let mut path = format!("/api/v1/data/{}?{query}", encoded(&model.name));
        let page_rows = match (find.all, wanted) {
            (true, _) => Some(API_PAGE_ROWS_MAX),
            (false, Some(wanted)) => Some(wanted.min(API_PAGE_ROWS_MAX)),
            (false, None) => None,
        };
        if let Some(rows) = page_rows {
            path.push_str(&format!("&limit={rows}"));
        }
        if let Some(next) = &next {
            path.push_str(&format!("&next={}", encoded(next)));
        }
        let page = face.value(Call::get(&path))?;
        let items = page.as_map().and_then(|page| page.get("items"));
        let items = items.and_then(Value::as_list).unwrap_or_default();
        if !listed.add(&model, items, find.json)? {
            return Ok(());
        }
        next = page
            .as_map()
            .and_then(|page| page.text("next"))
            .map(str::to_owned);
        wanted = wanted.map(|wanted| wanted.saturating_sub(items.len()));
        // A page may be short of what it was asked for, and there may still be more.
        let enough = match (find.all, wanted) {
            (true, _) => false,
            (false, Some(wanted)) => wanted == 0,
            (false, None) => true,
        };
        if enough || next.is_none() {
            break;
        }
    }
    listed.end(&model, next.as_deref(), find.json)
}

/// How many there are; one request looks at a bounded number of rows.
fn count(face: &Face, model: &Model, query: &str, json: bool) -> Result<(), Failure> {
    let mut items = 0;
    let mut next: Option<String> = None;
    loop {
        let mut path = format!("/api/v1/data/{}?count=true&{query}", encoded(&model.name));
        if let Some(next) = &next {
            path.push_str(&format!("&next={}", encoded(next)));
        }
        let answer = face.value(Call::get(&path))?;
        let page = answer.as_map();
        items += page
            .and_then(|page| page.get("count")?.as_i64())
            .unwrap_or(0);
        next = page.and_then(|page| page.text("next")).map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    match json {
        true => output::print(&format!("{{\"count\":{items}}}")),
        false => output::print(&human::count(u64::try_from(items).unwrap_or(0))),
    }
}

/// What was listed so far: printed at once as JSON, kept for a table.
#[derive(Default)]
struct Listed {
    items: Vec<Map>,
    printed: usize,
}

impl Listed {
    /// Whether somebody still reads.
    fn add(&mut self, model: &Model, items: &[Value], json: bool) -> Result<bool, Failure> {
        if json {
            let mut lines = String::new();
            for item in items {
                lines.push_str(&item.to_json());
                lines.push('\n');
            }
            return output::write(lines.as_bytes());
        }
        self.items
            .extend(items.iter().filter_map(Value::as_map).cloned());
        // A long list goes out in pieces: columns may shift between them, memory does not grow.
        if self.items.len() >= API_PAGE_ROWS_MAX {
            self.print(model)?;
        }
        Ok(true)
    }

    fn print(&mut self, model: &Model) -> Result<(), Failure> {
        let items = std::mem::take(&mut self.items);
        let shown = listing(model, &items).show();
        output::print(&shown.text)?;
        self.printed += items.len();
        if !shown.left_out.is_empty() {
            output::complain(&format!(
                "no room for {}; --json shows everything",
                shown.left_out.join(", ")
            ));
        }
        Ok(())
    }

    fn end(mut self, model: &Model, next: Option<&str>, json: bool) -> Result<(), Failure> {
        if !json && !self.items.is_empty() {
            self.print(model)?;
        }
        if !json && self.printed == 0 {
            output::complain(&format!("no such {}", model.name));
        }
        if let Some(next) = next {
            output::complain(&format!("there is more: --next {next}, or --all"));
        }
        Ok(())
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn query(words: &Words, find: &Find) -> Result<String, Failure> {
    let mut query = Vec::new();
    for (name, given) in &words.named {
        let text = match given {
            Given::Text(text) => text.clone(),
            Given::Json(Value::String(text)) => text.clone(),
            Given::Json(value) => value.to_json(),
        };
        query.push(format!("{}={}", encoded(name), encoded(&text)));
    }
    let options = [
        ("index", &find.index),
        ("prefix", &find.prefix),
        ("from", &find.from),
        ("above", &find.above),
        ("to", &find.to),
        ("below", &find.below),
        ("filter", &find.filter),
        ("project", &find.project),
        ("names", &find.places.names),
        ("values", &find.places.values),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            query.push(format!("{name}={}", encoded(value)));
        }
    }
    if find.reverse {
        query.push("reverse=true".to_owned());
    }
    if find.limit == Some(0) {
        return Err(Failure::usage("--limit is a number from 1"));
    }
    Ok(query.join("&"))
}

fn named(face: &Face, item: &Item) -> Result<(Model, Words), Failure> {
    let words = Words::parse(&item.words)?;
    Ok((words::model(face, &item.model)?, words))
}

/// One item: a line for each property.
fn show(model: &Model, item: &Value, json: Json) -> Result<(), Failure> {
    let Some(map) = item.as_map().filter(|_| !json.json) else {
        return output::print(&item.to_json());
    };
    let names = names(model, std::iter::once(map));
    let rows: Vec<Vec<String>> = names
        .into_iter()
        .filter_map(|name| Some(vec![name.to_owned(), cell(map.get(name)?)]))
        .collect();
    output::print(&table::columns(&rows))
}

fn listing(model: &Model, items: &[Map]) -> Table {
    let names = names(model, items.iter());
    let mut table = Table::new(names.iter().copied());
    for (at, name) in names.iter().enumerate() {
        let number = model
            .fields
            .iter()
            .any(|(field, kind)| field == name && kind == "number");
        if number {
            table = table.right(at);
        }
    }
    for item in items {
        let cells = names
            .iter()
            .map(|name| item.get(name).map(cell).unwrap_or_default());
        table.push(cells);
    }
    table
}

/// The properties that the items have: what names them first, then in the order of the schema,
/// then what the schema does not name.
fn names<'a>(model: &'a Model, items: impl Iterator<Item = &'a Map> + Clone) -> Vec<&'a str> {
    let keys = model.keys.iter().map(String::as_str);
    let fields = model.fields.iter().map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = Vec::new();
    for name in keys.chain(fields) {
        let there = items.clone().any(|item| item.contains_key(name));
        if there && !names.contains(&name) {
            names.push(name);
        }
    }
    for item in items {
        for name in item.keys() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_json(),
    }
}
