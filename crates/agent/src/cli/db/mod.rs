//! `periwinkle db`: the database by hand.
//!
//! Every verb is a request to the REST API. With an agent running it goes over its control socket;
//! with none, the same routes are called on the files themselves, so that both ways take the same
//! words and give the same answers.

mod args;
mod editor;
mod export;
mod face;
mod figures;
mod files;
mod import;
mod items;
mod models;
mod progress;
mod shell;
mod words;

pub(in crate::cli) use args::Db;

use args::DbCommand;
use face::{Face, Use};

use super::failure::Failure;
use super::inputs::Inputs;

/// Does what was typed after `db`.
pub(in crate::cli) fn run(inputs: &Inputs, db: &Db) -> Result<(), Failure> {
    let face = Face::open(inputs, use_of(&db.command))?;
    let done = execute(&face, &db.command);
    let closed = face.close();
    done.and(closed)
}

/// One verb.
fn execute(face: &Face, command: &DbCommand) -> Result<(), Failure> {
    match command {
        DbCommand::Models { model, json } => models::models(face, model.as_deref(), *json),
        DbCommand::Get { item, json } => items::get(face, item, *json),
        DbCommand::Find(find) => items::find(face, find),
        DbCommand::Put { item, new, json } => items::put(face, item, *new, *json),
        DbCommand::Update { item, json } => items::update(face, item, *json),
        DbCommand::Remove { item, json } => items::remove(face, item, *json),
        DbCommand::Import(import) => import::import(face, import),
        DbCommand::Export(export) => export::export(face, export),
        DbCommand::Stats(json) => figures::stats(face, *json),
        DbCommand::Shell => shell::shell(face),
    }
}

fn use_of(command: &DbCommand) -> Use {
    match command {
        DbCommand::Put { .. }
        | DbCommand::Update { .. }
        | DbCommand::Remove { .. }
        | DbCommand::Shell => Use::Write,
        DbCommand::Import(import) if !import.dry_run => Use::Write,
        _ => Use::Read,
    }
}
