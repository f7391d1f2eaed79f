//! Import: rows of an export become items, many to a frame.

use std::collections::BTreeMap;

use periwinkle_core::schema::{Hidden, Model};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::value::Map;

use super::database::Database;
use super::edit::Edit;
use super::error::DbError;
use super::shared::State;
use super::transfer::Row;
use super::writer::Writer;
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
}

/// A row that the schema accepts.
struct Fitting<'a> {
    at: usize,
    model: &'a Model,
    key: ItemKey,
    item: Map,
}

impl Database {
    /// Writes the rows in one frame, or none of them if anything is wrong with one.
    ///
    /// An import keeps what `create` makes itself: the times of creation and change, if a row has
    /// them. Of rows with the same key the last one counts, unless the import fails on conflicts.
    /// The rows of a call are one transaction, so keep them to some hundred kilobytes.
    ///
    /// # Errors
    /// The database cannot be read or written. What is wrong with a row is told in
    /// [`Imported::faults`].
    pub fn import(&self, rows: &[Row], options: ImportOptions) -> Result<Imported, DbError> {
        let mut state = self.shared.lock();
        let mut imported = Imported::default();
        let fitting = self.fitting_rows(&mut state, rows, &mut imported)?;
        let mut edit = Edit::default();
        for row in distinct(fitting, options.on_conflict, &mut imported) {
            let mut writer = Writer {
                shared: &self.shared,
                model: row.model,
                now: self.shared.environment.now(),
                state: &mut state,
                edit: std::mem::take(&mut edit),
            };
            let put = self.import_row(&mut writer, &row, options.on_conflict, &mut imported);
            edit = writer.edit;
            match put {
                Ok(()) => {}
                Err(fault) if is_of_the_row(&fault) => imported.faults.push((row.at, fault)),
                Err(error) => return Err(error),
            }
        }
        imported.faults.sort_by_key(|(at, _)| *at);
        if imported.faults.is_empty() && !options.check_only && !edit.touched.is_empty() {
            let committed = self
                .shared
                .commit(&mut state, edit, Durability::Immediate)?;
            imported.ticket = Some(committed.ticket);
        }
        Ok(imported)
    }

    fn import_row(
        &self,
        writer: &mut Writer<'_>,
        row: &Fitting<'_>,
        on_conflict: OnConflict,
        imported: &mut Imported,
    ) -> Result<(), DbError> {
        let record = writer.record(&row.key)?;
        let is_there = writer.sees(&record);
        match on_conflict {
            OnConflict::Fail if is_there => return Err(self.exists(row.model, &row.item)),
            OnConflict::Skip if is_there => {
                imported.skipped += 1;
                return Ok(());
            }
            _ => {}
        }
        self.put_imported(writer, row, &record)?;
        match is_there {
            true => imported.replaced += 1,
            false => imported.created += 1,
        }
        Ok(())
    }

    fn put_imported(
        &self,
        writer: &mut Writer<'_>,
        row: &Fitting<'_>,
        record: &Record,
    ) -> Result<(), DbError> {
        writer.put(&row.key, record, Some(row.item.clone()))
    }

    fn fitting_rows<'a>(
        &'a self,
        state: &mut State,
        rows: &[Row],
        imported: &mut Imported,
    ) -> Result<Vec<Fitting<'a>>, DbError> {
        let mut fitting = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            match self.fit(state, at, row) {
                Ok(row) => fitting.push(row),
                Err(fault) if is_of_the_row(&fault) => imported.faults.push((at, fault)),
                Err(error) => return Err(error),
            }
        }
        Ok(fitting)
    }

    fn fit<'a>(&'a self, state: &mut State, at: usize, row: &Row) -> Result<Fitting<'a>, DbError> {
        let (model, given, foreign) = match row {
            Row::Properties { model, properties } => {
                (self.writable(model)?, properties.clone(), None)
            }
            Row::Stored(item) => {
                let model = self.shared.schema.model_of(item).ok_or_else(unknown_item)?;
                let model = self.writable(model.name())?;
                (model, stored_properties(model, item), Some(item))
            }
        };
        let mut writer = Writer {
            shared: &self.shared,
            model,
            now: self.shared.environment.now(),
            state,
            edit: Edit::default(),
        };
        let mut item = writer.new_item(&given)?;
        model.keep_times(&given, &mut item)?;
        for (name, value) in foreign.into_iter().flatten() {
            // What is outside the schema belongs to whoever wrote it.
            if !model.fields().iter().any(|field| field.attribute() == name) {
                item.insert(name, value.clone());
            }
        }
        let key = model
            .key_of(&item)
            .expect("an item of a model carries its key");
        Ok(Fitting {
            at,
            model,
            key,
            item,
        })
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
    matches!(
        error,
        DbError::Property(_)
            | DbError::Exists { .. }
            | DbError::TooLarge { .. }
            | DbError::ReadOnlyModel { .. }
            | DbError::BadQuery { .. }
    )
}

/// One row for each key.
fn distinct<'a>(
    rows: Vec<Fitting<'a>>,
    on_conflict: OnConflict,
    imported: &mut Imported,
) -> Vec<Fitting<'a>> {
    let mut kept: Vec<Fitting<'a>> = Vec::with_capacity(rows.len());
    let mut places: BTreeMap<ItemKey, usize> = BTreeMap::new();
    for row in rows {
        let Some(&place) = places.get(&row.key) else {
            places.insert(row.key.clone(), kept.len());
            kept.push(row);
            continue;
        };
        match on_conflict {
            OnConflict::Fail => imported.faults.push((row.at, twice(&row))),
            OnConflict::Skip => imported.skipped += 1,
            OnConflict::Replace => {
                imported.replaced += 1;
                kept[place] = row;
            }
        }
    }
    kept
}

fn twice(row: &Fitting<'_>) -> DbError {
    DbError::Exists {
        model: row.model.name().to_owned(),
        key: format!("{} twice in the import", row.key),
    }
}
