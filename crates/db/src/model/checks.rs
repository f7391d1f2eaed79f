//! Checks of the maker's own, asked before a local write is committed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use periwinkle_core::schema::{Hidden, Model};
use periwinkle_core::value::Map;

use super::database::Database;
use super::error::DbError;
use super::writer::Writer;

/// A local write that is about to be made, for a check: properties, hidden ones included.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Proposed<'a> {
    /// The item so far; `None` when it is new.
    pub before: Option<&'a Map>,
    /// The item after the write; `None` when it goes.
    pub after: Option<&'a Map>,
}

/// Why a check refuses a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
    field: Option<String>,
}

impl Refusal {
    /// A reason in words for whoever wrote.
    pub fn new(reason: impl Into<String>) -> Refusal {
        Refusal {
            reason: reason.into(),
            field: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Refusal {
        self.field = Some(name.into());
        self
    }
}

type Check = Arc<dyn Fn(&Proposed<'_>) -> Result<(), Refusal> + Send + Sync>;

/// The checks of all models.
#[derive(Default)]
pub(super) struct Checks(RwLock<BTreeMap<String, Vec<Check>>>);

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checks")
    }
}

impl Checks {
    fn of(&self, model: &str) -> Vec<Check> {
        let checks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        checks.get(model).cloned().unwrap_or_default()
    }
}

impl Database {
    /// Asks `check` before every local write to a model, after the schema has been satisfied; what
    /// it refuses is not written, nor anything else of the same transaction.
    ///
    /// It runs on the thread of the writer, while all other writers wait: it must be quick, and
    /// may read the database as it was before the write, but not write (`Reentrant`). What the
    /// cloud has written is not asked for: it has happened. Checks last as long as the database is
    /// open and are shared by its clones.
    ///
    /// ```
    /// # use periwinkle_db::{Database, DbError, Refusal};
    /// fn guard(db: &Database) -> Result<(), DbError> {
    ///     db.check("Room", |room| match room.after {
    ///         Some(after) if after["area"].as_i64() < Some(4) => {
    ///             Err(Refusal::new("no room is that small").field("area"))
    ///         }
    ///         _ => Ok(()),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// There is no such model.
    pub fn check(
        &self,
        model: &str,
        check: impl Fn(&Proposed<'_>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Result<(), DbError> {
        self.shared.schema.model(model)?;
        let checks = &self.shared.checks.0;
        let mut checks = checks.write().unwrap_or_else(PoisonError::into_inner);
        let of_model = checks.entry(model.to_owned()).or_default();
        of_model.push(Arc::new(check));
        Ok(())
    }
}

impl Writer<'_> {
    /// Asks the checks of the model whether an item may become another.
    pub(super) fn ask_checks(
        &self,
        model: &Model,
        before: Option<&Map>,
        after: Option<&Map>,
    ) -> Result<(), DbError> {
        let checks = self.shared.checks.of(model.name());
        if checks.is_empty() {
            return Ok(());
        }
        let shown = |item: Option<&Map>| item.map(|item| model.properties(item, Hidden::Include));
        let (before, after) = (shown(before), shown(after));
        let proposed = Proposed {
            before: before.as_ref(),
            after: after.as_ref(),
        };
        let _guest = self.shared.reentry.enter();
        let mut checks = checks.iter();
        checks
            .try_for_each(|check| check(&proposed))
            .map_err(|refusal| DbError::Refused {
                model: model.name().to_owned(),
                field: refusal.field,
                reason: refusal.reason,
            })
    }
}
