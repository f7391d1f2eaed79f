//! `periwinkle upload`: what the running agent uploads to S3, and what is there.

mod args;
mod get;
mod list;
mod put;
mod queue;
mod talk;

pub(super) use args::Upload;

use http::Method;
use serde_json::json;

use super::args::Json;
use super::failure::Failure;
use super::inputs::Inputs;
use super::output;
use crate::api::path::encoded;
use args::{Presign, UploadCommand};
use talk::Talk;

const UPLOADS: &str = "/api/v1/uploads";

pub(super) fn run(inputs: &Inputs, upload: &Upload) -> Result<(), Failure> {
    let talk = Talk::new(inputs)?;
    match &upload.command {
        UploadCommand::Put(put) => put::put(&talk, put),
        UploadCommand::Get(get) => get::get(&talk, get),
        UploadCommand::List(list) => list::list(&talk, list),
        UploadCommand::Queue(queue) => queue::queue(&talk, queue),
        UploadCommand::Abort { id, json } => {
            talk.value(Method::DELETE, &format!("{UPLOADS}/{}", encoded(id)), None)?;
            done(*json, &format!("{id} is given up"))
        }
        UploadCommand::Retry(json) => {
            talk.value(Method::POST, &format!("{UPLOADS}/retry"), None)?;
            done(*json, "what waits is tried again now")
        }
        UploadCommand::Presign(presign) => print_address(&talk, presign),
    }
}

fn print_address(talk: &Talk, presign: &Presign) -> Result<(), Failure> {
    let Presign {
        key,
        put,
        seconds,
        json,
    } = presign;
    let wanted = json!({"key": key, "put": put, "seconds": seconds});
    let answer = talk.value(Method::POST, &format!("{UPLOADS}/presign"), Some(&wanted))?;
    match json.json {
        true => output::print(&answer.to_string()),
        false => output::print(&output::plain(answer["url"].as_str().unwrap_or_default())),
    }
}

fn done(json: Json, words: &str) -> Result<(), Failure> {
    match json.json {
        true => Ok(()),
        false => output::print(words),
    }
}
