//! Import: rows of an export become items, many to a frame.

use std::collections::BTreeMap;

use periwinkle_core::schema::{Hidden, Model};
use periwinkle_core::value::Map;

use super::database::Database;
use super::error::DbError;
use super::trace::{Room, Trace};
use super::transfer::Row;
use super::writer::{FrameOf, Writer};
use crate::engine::{Durability, Ticket};

/// What an import does with an item that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The item is at fault.
    #[default]
    Fail,
    /// The item that is there stays.
    Skip,
    /// The new item takes its place; nothing of the old one stays.
    Replace,
}

/// How rows are imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What happens to items that are there.
    pub on_conflict: OnConflict,
    /// Only says what an import would do.
    pub check_only: bool,
    /// Also says what the rows would touch.
    pub traces: bool,
}

/// What became of the rows of one call.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Items that were not there.
    pub created: u64,
    /// Items that took the place of another.
    pub replaced: u64,
    /// Items that were there and stayed.
    pub skipped: u64,
    /// What is wrong with rows, by their position. If there is anything, nothing was written.
    pub faults: Vec<(usize, DbError)>,
    /// Tells when what was written is on the disk; `None` when nothing was.
    pub ticket: Option<Ticket>,
    /// If asked for: what the rows would touch that could be understood so far.
    pub traces: Vec<Trace>,
    /// If asked for: the room in the models of these rows that refuse at a bound.
    pub rooms: BTreeMap<String, Room>,
}

/// What became of one row.
enum Fate {
    Created,
    Replaced,
    Skipped,
}

impl Database {
    /// Writes the rows in one frame, or none of them if anything is wrong with one.
    ///
    /// An import keeps what other writes set themselves: the times of creation and change, if a row
    /// has them. Of rows with the same key the last one counts when they replace, the first when
    /// they are skipped. A model that drops its oldest rows drops the first of these, too, if they are more
    /// than it keeps. Keep the rows of a call to some hundred kilobytes: they are one
    /// transaction.
    ///
    /// # Errors
    /// The database cannot be read or written. What is wrong with a row is told in
    /// [`Imported::faults`].
    pub fn import(&self, rows: &[Row], options: ImportOptions) -> Result<Imported, DbError> {
        let mut state = self.shared.write_lock()?;
        let mut imported = Imported::default();
        let mut writer = self.writer(&mut state);
        writer.frame = FrameOf::Many;
        for (at, row) in rows.iter().enumerate() {
            let made = writer.imported(row).and_then(|(model, item)| {
                if options.traces {
                    writer.note(at, model, &item, &mut imported)?;
                }
                writer.import(model, item, options.on_conflict)
            });
            match made {
                Ok(Fate::Created) => imported.created += 1,
                Ok(Fate::Replaced) => imported.replaced += 1,
                Ok(Fate::Skipped) => imported.skipped += 1,
                Err(fault) if is_of_the_row(&fault) => imported.faults.push((at, fault)),
                Err(error) => return Err(error),
            }
        }
        let edit = writer.edit;
        if imported.faults.is_empty() && !options.check_only && !edit.rows().is_empty() {
            let durability = Durability::Immediate;
            let committed = self.shared.commit(&mut state, edit, durability)?;
            imported.ticket = Some(committed.ticket);
        }
        Ok(imported)
    }
}

impl<'a> Writer<'a> {
    /// The item that a row makes.
    fn imported(&mut self, row: &Row) -> Result<(&'a Model, Map), DbError> {
        match row {
            Row::Properties { model, properties } => {
                let model = self.writable(model)?;
                Ok((model, self.imported_item(model, properties)?))
            }
            Row::Stored(stored) => {
                let model = self
                    .shared
                    .schema
                    .model_of(stored)
                    .ok_or_else(unknown_item)?;
                let mut item = self.imported_item(model, &stored_properties(model, stored))?;
                for (name, value) in stored {
                    // What is outside the schema belongs to whoever wrote it.
                    if !model.fields().iter().any(|field| field.attribute() == name) {
                        item.insert(name, value.clone());
                    }
                }
                Ok((self.writable(model.name())?, item))
            }
        }
    }

    fn note(
        &self,
        at: usize,
        model: &Model,
        item: &Map,
        imported: &mut Imported,
    ) -> Result<(), DbError> {
        imported.traces.push(self.trace(at, model, item)?);
        if !imported.rooms.contains_key(model.name())
            && let Some(room) = self.room(model)?
        {
            imported.rooms.insert(model.name().to_owned(), room);
        }
        Ok(())
    }

    fn import(
        &mut self,
        model: &Model,
        item: Map,
        on_conflict: OnConflict,
    ) -> Result<Fate, DbError> {
        let (key, before) = self.row_of(model, &item)?;
        let fate = match self.current(model, &before) {
            None => Fate::Created,
            Some(known) => {
                let error = self.exists(model, &item, known);
                match (error.cause(), on_conflict) {
                    (DbError::Exists { .. }, OnConflict::Replace) => Fate::Replaced,
                    (DbError::Exists { .. }, OnConflict::Skip) => return Ok(Fate::Skipped),
                    _ => return Err(error),
                }
            }
        };
        self.put(model, key, before, Some(item))?;
        Ok(fate)
    }

    fn imported_item(&mut self, model: &Model, properties: &Map) -> Result<Map, DbError> {
        let mut item = self.new_item(model, properties)?;
        model.keep_times(properties, &mut item)?;
        Ok(item)
    }
}

/// The properties of a stored item that it really has: no defaults.
fn stored_properties(model: &Model, item: &Map) -> Map {
    let mut properties = model.properties(item, Hidden::Include);
    properties.retain(|name, _| {
        let field = model.field(name);
        field.is_some_and(|field| item.contains_key(field.attribute()))
    });
    properties
}

fn unknown_item() -> DbError {
    DbError::BadQuery {
        reason: "the item is of no model of the schema: neither its type nor its keys say which"
            .to_owned(),
    }
}

/// Whether an error is the fault of the row, not of the database.
fn is_of_the_row(error: &DbError) -> bool {
    let of_the_database = matches!(
        error,
        DbError::Corrupt(_)
            | DbError::Record { .. }
            | DbError::Disk(_)
            | DbError::ReadOnly
            | DbError::Closed
    );
    !of_the_database
}
