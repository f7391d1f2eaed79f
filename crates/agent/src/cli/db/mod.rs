//! `periwinkle db`: the database by hand.
//!
//! Every verb is a request to the REST API. With an agent running it goes over its control socket;
//! with none, the same routes are called on the files themselves, so that both ways take the same
//! words and give the same answers.

mod args;
mod backup;
mod editor;
mod export;
mod face;
mod figures;
mod files;
mod import;
mod items;
mod models;
mod salvage;
mod shell;
mod verify;
mod words;

pub(in crate::cli) use args::Db;

use args::DbCommand;
use face::{Face, Use};

use super::failure::Failure;
use super::inputs::Inputs;

/// Does what was typed after `db`.
pub(in crate::cli) fn run(inputs: &Inputs, db: &Db) -> Result<(), Failure> {
    match &db.command {
        // These look at files that may not even open.
        DbCommand::Verify { directory, json } => {
            return verify::verify(inputs, directory.as_deref(), *json);
        }
        DbCommand::Salvage {
            source,
            destination,
            json,
        } => return salvage::salvage(source, destination, *json),
        _ => {}
    }
    let wanted = use_of(&db.command, db.read_only);
    check_allowed(&db.command, db.read_only)?;
    let face = Face::open(inputs, wanted)?;
    let done = execute(&face, &db.command);
    let closed = face.close();
    done.and(closed)
}

/// One verb.
fn execute(face: &Face, command: &DbCommand) -> Result<(), Failure> {
    check_allowed(command, face.wanted() == Use::Read)?;
    match command {
        DbCommand::Models { model, json } => models::models(face, model.as_deref(), *json),
        DbCommand::Get { item, json } => items::get(face, item, *json),
        DbCommand::Find(find) => items::find(face, find),
        DbCommand::Put {
            item,
            terms,
            new,
            json,
        } => items::put(face, item, terms, *new, *json),
        DbCommand::Update { item, terms, json } => items::update(face, item, terms, *json),
        DbCommand::Remove {
            item,
            condition,
            places,
            json,
        } => items::remove(face, item, condition.as_deref(), places, *json),
        DbCommand::Import(import) => import::import(face, import),
        DbCommand::Export(export) => export::export(face, export),
        DbCommand::Stats(json) => figures::stats(face, *json),
        DbCommand::Verify { directory, json } => match directory {
            Some(directory) => verify::verify_directory(directory, *json),
            None => verify::verify_open(face, *json),
        },
        DbCommand::Salvage {
            source,
            destination,
            json,
        } => salvage::salvage(source, destination, *json),
        DbCommand::Backup {
            directory,
            rate,
            json,
        } => backup::backup(face, directory, rate.as_deref(), *json),
        DbCommand::Shell => shell::shell(face),
    }
}

/// What a command does; in a shell anything may come.
fn use_of(command: &DbCommand, read_only: bool) -> Use {
    match command {
        DbCommand::Shell if !read_only => Use::Write,
        command if writes(command) => Use::Write,
        _ => Use::Read,
    }
}

fn writes(command: &DbCommand) -> bool {
    match command {
        DbCommand::Put { .. } | DbCommand::Update { .. } | DbCommand::Remove { .. } => true,
        DbCommand::Import(import) => !import.dry_run,
        _ => false,
    }
}

fn check_allowed(command: &DbCommand, read_only: bool) -> Result<(), Failure> {
    match read_only && writes(command) {
        true => Err(Failure::refused(
            "the database is open for reading only; leave out --read-only to change it",
        )),
        false => Ok(()),
    }
}
