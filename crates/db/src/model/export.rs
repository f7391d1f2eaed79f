//! Export: the items of models as lines of JSON, piece by piece.

use std::collections::VecDeque;

use periwinkle_core::limits::{DB_SCAN_BYTES_MAX, EXPORT_SCAN_ROWS};
use periwinkle_core::schema::{Field, Hidden, Model, Role};
use periwinkle_core::value::Map;

use super::database::Database;
use super::error::DbError;
use super::keys;
use super::shared::{Shared, decode};
use super::transfer::{write_properties, write_stored};
use crate::engine::{KeyRange, Order, RowRef, Step};

/// How the items of an export are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportForm {
    /// By their properties: `{"model":"Room","item":{...}}`. Values of the context, such as
    /// `deviceId`, and fields made from others are left out: another device may import the items
    /// as its own.
    #[default]
    Properties,
    /// As they are stored, attributes outside the schema included: `{"Item":{...}}`, as DynamoDB
    /// exports a table.
    Stored,
}

/// An export under way.
///
/// It holds nothing of the database: others write meanwhile, and each item is as it was when its
/// piece was read. What is added or removed while the export runs may be in it or not.
#[derive(Debug)]
pub struct Export {
    database: Database,
    form: ExportForm,
    /// The models that are left, the present one first, and what is left of that.
    models: VecDeque<String>,
    range: Option<KeyRange>,
    items: u64,
}

/// What is read at once.
const STEP: Step = Step {
    rows: EXPORT_SCAN_ROWS,
    bytes: DB_SCAN_BYTES_MAX,
};

impl Database {
    /// Begins an export of these models, hidden fields included.
    ///
    /// # Errors
    /// There is no such model.
    pub fn export(&self, models: &[String], form: ExportForm) -> Result<Export, DbError> {
        for model in models {
            self.shared.model(model)?;
        }
        Ok(Export {
            database: self.hidden(Hidden::Include),
            form,
            models: models.iter().cloned().collect(),
            range: None,
            items: 0,
        })
    }
}

impl Export {
    /// Some more lines; `None` at the end. There may be pieces without a line.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn next_lines(&mut self) -> Result<Option<String>, DbError> {
        let Some(model) = self.models.front().cloned() else {
            return Ok(None);
        };
        let shared = &self.database.shared;
        let range = match self.range.take() {
            Some(range) => range,
            None => {
                let everything = shared
                    .schema
                    .model(&model)?
                    .key_range(&Map::new(), &shared.context)?;
                keys::range(&everything, "")
            }
        };
        let rows = shared.store.some_rows(&range, Order::Forward, STEP)?;
        let mut lines = String::new();
        for row in rows.iter() {
            self.items += u64::from(self.write(&model, row, &mut lines)?);
        }
        match rows.last() {
            Some(last) if rows.goes_on(STEP) => {
                self.range = Some(range.after(last.key, Order::Forward));
            }
            _ => drop(self.models.pop_front()),
        }
        Ok(Some(lines))
    }

    /// Items written so far.
    pub fn items(&self) -> u64 {
        self.items
    }

    fn write(&self, model: &str, row: RowRef<'_>, lines: &mut String) -> Result<bool, DbError> {
        let Some(key) = keys::parse_item(row.key) else {
            return Ok(false);
        };
        let shared = &self.database.shared;
        let model = shared.model(model)?;
        let record = decode(&key, row.value)?;
        let now = shared.environment.now();
        // What only an unconfirmed clock hides is not lost to the copy.
        let Some(item) = shared.standing(model, &record, now) else {
            return Ok(false);
        };
        let own = shared.schema.model_of(item);
        if own.is_none_or(|own| own.name() != model.name()) {
            return Ok(false);
        }
        match self.form {
            ExportForm::Properties => {
                let mut properties = model.properties(item, Hidden::Include);
                properties.retain(|name, _| !is_made_by_the_device(shared, model, name));
                write_properties(model.name(), &properties, lines);
            }
            ExportForm::Stored => write_stored(item, lines),
        }
        Ok(true)
    }
}

fn is_made_by_the_device(shared: &Shared, model: &Model, name: &str) -> bool {
    let made = |field: &Field| field.template().is_some() || field.role() == Role::Type;
    shared.context.contains_key(name) || model.field(name).is_some_and(made)
}
