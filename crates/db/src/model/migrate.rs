//! Brings the items of a database into the form that the schema says, when it is opened.
//!
//! The rows are gone over in the order of their keys, so many to a frame. The frame that changes
//! rows also notes how far it is, so that a power cut costs one step at most. Steps can be done
//! again without harm: when in doubt, it begins anew.

use std::collections::BTreeSet;

use periwinkle_core::limits::MIGRATION_FRAME_BYTES_MAX;
use periwinkle_core::schema::{Model, Outcome, Plan, Version, Written};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::value::Map;

use super::edit::Edit;
use super::error::DbError;
use super::feed::Origin;
use super::shared::{STEP, Shared, State, decode};
use super::written::ParkedModel;
use super::{keys, written};
use crate::engine::{Durability, Order, Rows};

/// How far it is: the version of the schema, a zero byte, the engine's key of the last row.
const PROGRESS: &str = "migration";

/// Changes what has to be changed, and answers how many rows that were. Waits for the disk.
///
/// A database that notes no versions yet is gone over in any case, to see which models it has.
pub(super) fn complete(shared: &Shared) -> Result<u64, DbError> {
    let mut state = shared.lock();
    let known = written::read(&shared.store)?;
    let progress = progress(shared, &mut state)?;
    let plan = shared.schema.plan(known.as_ref());
    if known.is_some() && plan.is_none() {
        return Ok(0);
    }
    let mut pass = Pass {
        shared,
        plan: plan.as_ref(),
        found: BTreeSet::new(),
        changed: 0,
    };
    // The versions are noted when all is done: no frame on the way may say that a model is.
    let models = shared.schema.models().iter();
    state.written = models
        .map(|model| (model.name().to_owned(), *model.version()))
        .collect();
    pass.over_all_rows(&mut state, progress.filter(|_| known.is_some()))?;
    let after = pass.versions_after(known);
    if !after.is_empty() || pass.changed > 0 {
        let mut edit = Edit::default();
        written::note(&mut edit.batch, &after);
        edit.batch.delete(&keys::note(PROGRESS));
        match commit(shared, &mut state, edit) {
            // Only the versions could not be noted: they are found again at the next opening.
            Err(DbError::Full { .. }) if pass.changed == 0 && plan.is_none() => {}
            Err(DbError::ReadOnly) if pass.changed == 0 => {}
            other => other?,
        }
        tracing::info!(
            target: "db", version = shared.schema.version(), rows = pass.changed,
            "the items have the form of the schema"
        );
    }
    state.written = after;
    Ok(pass.changed)
}

/// The models whose items there was no room to change: the others go on without them, and the next
/// opening goes on with these. `None` when it is not known which ones that are.
pub(super) fn unfinished(shared: &Shared) -> Result<Option<Vec<ParkedModel>>, DbError> {
    let Some(known) = written::read(&shared.store)? else {
        return Ok(None);
    };
    let models: Vec<_> = shared.schema.plan(Some(&known)).map_or(Vec::new(), |plan| {
        let parked = |model: &Model| ParkedModel {
            model: model.name().to_owned(),
            written: known.get(model.name()).copied().unwrap_or_default(),
            known: *model.version(),
        };
        plan.models().map(parked).collect()
    });
    for parked in &models {
        tracing::error!(target: "db", "{parked}");
    }
    shared.lock().written = known;
    Ok(Some(models))
}

struct Pass<'a> {
    shared: &'a Shared,
    plan: Option<&'a Plan<'a>>,
    /// Names of the models that have rows, whether the schema knows them or not.
    found: BTreeSet<String>,
    changed: u64,
}

impl Pass<'_> {
    fn over_all_rows(&mut self, state: &mut State, after: Option<Vec<u8>>) -> Result<(), DbError> {
        let store = &self.shared.store;
        let mut range = keys::items();
        if let Some(last) = after {
            range = range.after(&last, Order::Forward);
        }
        loop {
            let rows = store.some_rows(&range, Order::Forward, STEP)?;
            let Some(last) = self.step(state, &rows)? else {
                return Ok(());
            };
            range = range.after(last, Order::Forward);
        }
    }

    /// Goes over rows until one frame is full; answers the key of the last one it has dealt with.
    fn step<'r>(&mut self, state: &mut State, rows: &'r Rows) -> Result<Option<&'r [u8]>, DbError> {
        let mut edit = Edit::default();
        let (mut bytes, mut changed) = (0, 0);
        let mut last = None;
        for row in rows.iter() {
            last = Some(row.key);
            let Some(key) = keys::parse_item(row.key) else {
                continue;
            };
            let before = decode(&key, row.value)?;
            self.note_model(&key, &before);
            if let Some(after) = self.changed(&before) {
                let (old, new) = (before.item.as_ref(), after.item.as_ref());
                edit.follow_claims(self.shared, old, new)?;
                edit.put(self.shared, key, before, after, Origin::Local);
                changed += 1;
                bytes += row.value.len();
            }
            if bytes >= MIGRATION_FRAME_BYTES_MAX {
                break;
            }
        }
        if let (Some(last), true) = (last, changed > 0) {
            self.changed += changed;
            edit.batch.put(
                &keys::note(PROGRESS),
                &[&target(self.shared), last].concat(),
            );
            commit(self.shared, state, edit)?;
        }
        Ok(last)
    }

    fn changed(&self, before: &Record) -> Option<Record> {
        let item = before.item.as_ref()?;
        match self.plan?.outcome(item) {
            Outcome::Keep => None,
            Outcome::Drop => Some(Record::default()),
            Outcome::Change(item) => Some(self.rewritten(before, item)),
        }
    }

    /// A change that the cloud hears of as of any other.
    fn rewritten(&self, before: &Record, item: Map) -> Record {
        let model = self.shared.schema.model_of(&item);
        let mut after = before.clone();
        if model.is_some_and(|model| model.direction().is_up()) {
            after.write(Some(item));
            after.stamp(self.shared.environment.now().trusted_wall());
        } else {
            after.write_unsynced(Some(item));
        }
        after
    }

    fn note_model(&mut self, key: &ItemKey, record: &Record) {
        let schema = &self.shared.schema;
        let named = || record.item.as_ref()?.text(&schema.params().type_field);
        let name = match schema.model_of_key(key) {
            Some(model) => Some(model.name()),
            None => named(),
        };
        if let Some(name) = name
            && !self.found.contains(name)
        {
            self.found.insert(name.to_owned());
        }
    }

    fn versions_after(&self, known: Option<Written>) -> Written {
        let schema = &self.shared.schema;
        let Some(mut after) = known else {
            let version = |name: &String| schema.model(name).map(|model| *model.version());
            let old = Version::default();
            let found = self.found.iter();
            return found
                .map(|name| (name.clone(), version(name).unwrap_or(old)))
                .collect();
        };
        let Some(plan) = self.plan else {
            return after;
        };
        for model in plan.models() {
            after.insert(model.name().to_owned(), *model.version());
        }
        for model in plan.dropped() {
            after.remove(model);
        }
        after
    }
}

/// The last row that an earlier start has dealt with on the way to the same version.
///
/// What is noted for another version is forgotten: this program may write to rows before that one.
fn progress(shared: &Shared, state: &mut State) -> Result<Option<Vec<u8>>, DbError> {
    let Some(entry) = shared.store.get(&keys::note(PROGRESS))? else {
        return Ok(None);
    };
    if let Some(last) = entry.value.strip_prefix(&target(shared)[..]) {
        return Ok(Some(last.to_vec()));
    }
    let mut edit = Edit::default();
    edit.batch.delete(&keys::note(PROGRESS));
    match commit(shared, state, edit) {
        // Who only reads writes no rows, so that the note stays true.
        Err(DbError::ReadOnly) => Ok(None),
        other => other.map(|()| None),
    }
}

fn target(shared: &Shared) -> Vec<u8> {
    [shared.schema.version().as_bytes(), b"\0"].concat()
}

fn commit(shared: &Shared, state: &mut State, edit: Edit) -> Result<(), DbError> {
    let committed = shared.commit(state, edit, Durability::Immediate)?;
    committed
        .ticket
        .wait()
        .map_err(|error| DbError::Disk(error.to_string().into()))
}
