//! Several writes at once: all of them are there, or none.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use periwinkle_core::schema::{Durability, Model};
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, Write};

use super::DataApi;
use super::body::Properties;
use super::data::{shown_model, value_answer};
use super::expressions::Expressions;
use crate::web::problem::Problem;

/// `{"writes":[{"create":"Room","item":{...}}, {"update":"Room","item":{...},"if":"..."}]}`
pub(super) async fn run(
    State(api): State<DataApi>,
    Properties(mut body): Properties,
) -> Result<Response, Problem> {
    let Some(Value::List(asked)) = body.remove("writes") else {
        return Err(wrong("The body is an object with a list of writes.").field("writes"));
    };
    let mut writes = Vec::with_capacity(asked.len());
    let mut waits = false;
    for (at, write) in asked.into_iter().enumerate() {
        let (model, write) = parse_write(&api.db, write).map_err(|problem| problem.write(at))?;
        waits |= model.process().durability == Durability::Immediate;
        writes.push(write);
    }
    let done = api.db.write_all(&writes)?;
    if waits {
        done.ticket.durable().await?;
    }
    let items = done.value.into_iter().map(Value::Map).collect();
    let answer = Map::from([("items", Value::List(items))]);
    Ok(value_answer(StatusCode::OK, &Value::Map(answer)))
}

type Make = fn(String, Map) -> Write;

const VERBS: [(&str, Make); 5] = [
    ("create", Write::create),
    ("update", Write::update),
    ("upsert", Write::upsert),
    ("remove", Write::remove),
    ("check", Write::check),
];

fn parse_write(db: &Database, write: Value) -> Result<(&Model, Write), Problem> {
    let Value::Map(mut write) = write else {
        return Err(wrong("A write is an object."));
    };
    let mut verbs = VERBS.iter();
    let Some((verb, make)) = verbs.find(|(verb, _)| write.contains_key(verb)) else {
        return Err(wrong(
            "A write names its model by create, update, upsert, remove or check.",
        ));
    };
    let name = take_text(&mut write, verb)?.unwrap_or_default();
    let model = shown_model(db, &name)?;
    let Some(Value::Map(item)) = write.remove("item") else {
        return Err(wrong("A write has its properties in item.").field("item"));
    };
    let mut expressions = Expressions::from_members(&mut write)?;
    let mut made = make(name, item);
    if let Some(condition) = take_text(&mut write, "if")? {
        made = made.when(expressions.expression(condition));
    }
    if let Some(changes) = take_text(&mut write, "apply")? {
        made = made.apply(expressions.expression(changes));
    }
    expressions
        .check_all_used()
        .map_err(|(place, words)| wrong(words).field(place))?;
    match write.keys().next() {
        None => Ok((model, made)),
        Some(more) => {
            let detail = "A write has item, if, apply, names and values beside its verb.";
            Err(wrong(detail).field(more))
        }
    }
}

fn take_text(write: &mut Map, member: &str) -> Result<Option<String>, Problem> {
    match write.remove(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(format!("{member} is a text.")).field(member)),
    }
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::bad_request("body_invalid", detail)
}
