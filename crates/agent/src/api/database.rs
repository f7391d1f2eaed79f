//! The database as a whole: its figures, export and import.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use periwinkle_core::schema::Model;
use periwinkle_core::{hex, value};
use periwinkle_db::model::transfer::{Reader, Row};
use periwinkle_db::{
    Database, DbError, Export, ExportForm, ImportOptions, Imported, Mark, OnConflict, Room, Trace,
};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::DataApi;
use super::data::parse_switch;
use super::session::json_answer;
use crate::database;
use crate::web::problem::Problem;
use crate::web::rows::is_internal;
use crate::web::stream::{Out, stream};
use crate::{Error, spawn};

pub(super) const JSON_LINES: &str = "application/x-ndjson";

pub(super) async fn stats(State(api): State<DataApi>) -> Response {
    json_answer(StatusCode::OK, &database::show_all(&api.db))
}

/// `?model=A&model=B&form=properties|dynamodb`.
pub(super) async fn export(
    State(api): State<DataApi>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let mut models = Vec::new();
    let mut form = ExportForm::Properties;
    for (name, value) in query {
        match name.as_str() {
            "model" => models.push(shown(&api.db, &value)?.name().to_owned()),
            "form" => form = parse_form(&value)?,
            _ => return Err(unknown_parameter(&name, "model and form")),
        }
    }
    if models.is_empty() {
        models = readable_models(&api.db);
    }
    let export = api.db.export(&models, form)?;
    let (out, mut response) = stream();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    spawn(write_export(export, out));
    Ok(response)
}

/// A client that sees the end of the body has all lines: what breaks the export breaks the body.
async fn write_export(mut export: Export, mut out: Out) -> Result<(), Error> {
    loop {
        let read = spawn_blocking(move || (export.next_lines(), export)).await;
        let lines = match read {
            Ok((lines, rest)) => {
                export = rest;
                lines
            }
            Err(panicked) => {
                out.abort();
                return Err(Error::Other(panicked.into()));
            }
        };
        match lines {
            Ok(Some(lines)) => out.write(lines).await?,
            Ok(None) => return Ok(()),
            Err(error) => {
                out.abort();
                return Err(error.into());
            }
        }
    }
}

/// What the parameters of an import ask for.
#[derive(Default)]
struct Asked {
    /// Each item is the properties of one of this model.
    model: Option<String>,
    on_conflict: OnConflict,
    check: bool,
    /// What the items would touch, for who imports a file in many requests.
    traces: bool,
}

impl Asked {
    fn read(db: &Database, query: Vec<(String, String)>) -> Result<Asked, Problem> {
        let mut asked = Asked::default();
        for (name, value) in query {
            match name.as_str() {
                "model" => asked.model = Some(shown(db, &value)?.name().to_owned()),
                "on_conflict" => asked.on_conflict = parse_on_conflict(&value)?,
                "check" => asked.check = parse_switch(&name, &value)?,
                "traces" => asked.traces = parse_switch(&name, &value)?,
                _ => {
                    let known = "model, on_conflict, check and traces";
                    return Err(unknown_parameter(&name, known));
                }
            }
        }
        Ok(asked)
    }
}

/// The items of the body in one transaction, or none of them.
pub(super) async fn import(
    State(api): State<DataApi>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    check_kind(&headers)?;
    let asked = Asked::read(&api.db, query)?;
    let read = read_rows(&api.db, &body, asked.model.as_deref());
    let options = ImportOptions {
        on_conflict: asked.on_conflict,
        // What is understood is checked even when the whole is refused.
        check_only: asked.check || !read.faults.is_empty(),
        traces: asked.traces,
    };
    let db = api.db.clone();
    let work = spawn_blocking(move || {
        let imported = db.import(&read.rows, options);
        (imported, read)
    });
    let (imported, read) = work.await.map_err(|error| Problem::internal(&error))?;
    let imported = imported?;
    if let Some(ticket) = &imported.ticket {
        ticket.clone().durable().await?;
    }
    let mut answer = describe(&read, &imported);
    if asked.traces {
        let traces = imported.traces.iter();
        let traces: Vec<Value> = traces
            .map(|trace| describe_trace(read.places[trace.row], trace))
            .collect();
        answer["traces"] = traces.into();
        answer["rooms"] = imported.rooms.iter().map(describe_room).collect();
    }
    Ok(json_answer(StatusCode::OK, &answer))
}

/// What the body of an import holds.
#[derive(Default)]
struct ReadRows {
    rows: Vec<Row>,
    /// Where each row stands.
    places: Vec<(u64, u64)>,
    /// What cannot be understood at all.
    faults: Vec<Value>,
}

fn read_rows(db: &Database, body: &[u8], model: Option<&str>) -> ReadRows {
    let mut read = ReadRows::default();
    let mut reader = Reader::new();
    reader.push(body);
    reader.finish();
    while let Some(item) = reader.next_item() {
        match item {
            Err(error) => {
                let place = (error.line, error.column);
                let fault = fault(place, "body_invalid", None, &error.fault.to_string());
                read.faults.push(fault);
            }
            Ok(item) => {
                let place = (item.line, item.column);
                match read_row(db, item.value, model) {
                    Ok(row) => {
                        read.rows.push(row);
                        read.places.push(place);
                    }
                    Err(words) => read.faults.push(fault(place, "body_invalid", None, &words)),
                }
            }
        }
    }
    read
}

fn read_row(db: &Database, value: value::Value, model: Option<&str>) -> Result<Row, String> {
    let row = Row::from_value(value, model).map_err(|fault| fault.to_string())?;
    let model = match &row {
        Row::Properties { model, .. } => Some(model.as_str()),
        Row::Stored(item) => db.schema().model_of(item).map(Model::name),
    };
    match model.filter(|model| is_internal(model)) {
        Some(model) => Err(format!("{model} is the agent's own and cannot be imported")),
        None => Ok(row),
    }
}

fn describe(read: &ReadRows, imported: &Imported) -> Value {
    let of_rows = imported
        .faults
        .iter()
        .map(|(at, error): &(usize, DbError)| {
            fault(
                read.places[*at],
                error.kind(),
                error.field(),
                &error.to_string(),
            )
        });
    let mut faults: Vec<Value> = read.faults.iter().cloned().chain(of_rows).collect();
    faults.sort_by_key(|fault| (fault["line"].as_u64(), fault["column"].as_u64()));
    json!({
        "created": imported.created,
        "replaced": imported.replaced,
        "skipped": imported.skipped,
        "written": imported.ticket.is_some(),
        "faults": faults,
    })
}

fn describe_trace((line, column): (u64, u64), trace: &Trace) -> Value {
    let hex = |mark: &Mark| Value::from(hex::encode(&mark.0));
    let claims = trace.claims.iter();
    json!({
        "line": line,
        "column": column,
        "model": trace.model,
        "key": hex(&trace.key),
        "item": hex(&trace.item),
        "is_there": trace.is_there,
        "claims": claims.map(|(field, mark)| (field.clone(), hex(mark))).collect::<Value>(),
        "freed": trace.freed.iter().map(hex).collect::<Value>(),
        "bytes": [trace.bytes.0, trace.bytes.1],
    })
}

fn describe_room((model, room): (&String, &Room)) -> (String, Value) {
    let room = json!({"rows": room.rows, "bytes": room.bytes, "refusal": room.refusal});
    (model.clone(), room)
}

fn fault((line, column): (u64, u64), kind: &str, field: Option<&str>, words: &str) -> Value {
    json!({"line": line, "column": column, "kind": kind, "field": field, "detail": words})
}

fn shown<'a>(db: &'a Database, name: &str) -> Result<&'a Model, Problem> {
    super::data::shown_model(db, name)
}

/// All but the agent's own and those that a newer schema has written to.
fn readable_models(db: &Database) -> Vec<String> {
    let is_parked = |name: &str| db.parked_models().iter().any(|parked| parked.model == name);
    let names = db.schema().models().iter().map(Model::name);
    names
        .filter(|name| !is_internal(name) && !is_parked(name))
        .map(str::to_owned)
        .collect()
}

fn parse_form(text: &str) -> Result<ExportForm, Problem> {
    match text {
        "properties" => Ok(ExportForm::Properties),
        "dynamodb" => Ok(ExportForm::Stored),
        _ => {
            let detail = format!("The form is properties or dynamodb, not {text:?}.");
            Err(Problem::bad_request("query_invalid", detail).field("form"))
        }
    }
}

fn parse_on_conflict(text: &str) -> Result<OnConflict, Problem> {
    match text {
        "fail" => Ok(OnConflict::Fail),
        "skip" => Ok(OnConflict::Skip),
        "replace" => Ok(OnConflict::Replace),
        _ => {
            let detail = format!("On a conflict fail, skip or replace, not {text:?}.");
            Err(Problem::bad_request("query_invalid", detail).field("on_conflict"))
        }
    }
}

fn unknown_parameter(name: &str, known: &str) -> Problem {
    let detail = format!("There is no parameter {name:?} here; there are {known}.");
    Problem::bad_request("query_invalid", detail).field(name)
}

/// A form of another site cannot say that it is JSON.
fn check_kind(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("");
    if [JSON_LINES, "application/json"].contains(&kind.trim()) {
        return Ok(());
    }
    let detail = format!("Send the items with the field Content-Type: {JSON_LINES}.");
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        detail,
    ))
}
