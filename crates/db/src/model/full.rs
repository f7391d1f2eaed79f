//! What a full model does before it drops a row or refuses one: rows that are over for good go
//! first. And what is done about a bound that was lowered.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use periwinkle_core::limits::{DB_EXPIRED_LOOK_INTERVAL, DB_SCAN_ROWS};
use periwinkle_core::schema::{Model, Overflow};
use periwinkle_core::sync::record::{ItemKey, Record};
use periwinkle_core::time::Mono;
use periwinkle_core::value::Map;

use super::database::Database;
use super::error::DbError;
use super::expiry::is_over;
use super::feed::Origin;
use super::index::{self, Line};
use super::keys;
use super::shared::{STEP, State, decode, is_expired};
use super::stats::Beyond;
use super::writer::Writer;
use crate::engine::{Durability, Order};

/// When each full model is searched for expired rows again, and how many stayed the last time.
#[derive(Debug, Default)]
pub(super) struct Searched(BTreeMap<String, (Mono, u64)>);

impl Writer<'_> {
    /// Removes rows of a full model whose time is over, in the frame of the write that needs their
    /// room, and answers how many others are hidden.
    ///
    /// A large model is not searched at every write.
    pub(super) fn purge_for_room(&mut self, model: &Model) -> Result<u64, DbError> {
        if model.ttl_attribute().is_none() {
            return Ok(0);
        }
        let now = self.now.mono;
        if let Some((again, hidden)) = self.state.searched.0.get(model.name())
            && now < *again
        {
            return Ok(*hidden);
        }
        let search = self.search(model)?;
        let is_large = search.rows > DB_SCAN_ROWS && search.over.len() < DB_SCAN_ROWS;
        let pause = if is_large {
            DB_EXPIRED_LOOK_INTERVAL
        } else {
            Duration::ZERO
        };
        let entry = (now + pause, search.hidden);
        self.state.searched.0.insert(model.name().to_owned(), entry);
        for (key, record) in search.over {
            self.edit
                .follow_claims(self.shared, record.item.as_ref(), None)?;
            let nothing = Record::default();
            self.edit
                .put(self.shared, key, record, nothing, Origin::Local);
        }
        Ok(search.hidden)
    }

    /// How many rows of a model, and how many bytes, a purge would remove now.
    pub(super) fn purgeable(&self, model: &Model) -> Result<(u64, u64), DbError> {
        if model.ttl_attribute().is_none() || self.now.trusted_wall().is_none() {
            return Ok((0, 0));
        }
        let mut found = (0, 0);
        self.each_row(model, |key, record| {
            if self.is_purgeable(model, &record) {
                found.0 += 1;
                found.1 += index::row_bytes(&key, &record);
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn search(&self, model: &Model) -> Result<Search, DbError> {
        let mut search = Search::default();
        self.each_row(model, |key, record| {
            search.rows += 1;
            if self.edit.holds(&key) {
                return ControlFlow::Continue(());
            }
            if self.is_purgeable(model, &record) {
                search.over.push((key, record));
            } else if let Some(item) = &record.item
                && is_expired(model, item, || self.now)
            {
                search.hidden += 1;
            }
            match search.over.len() < DB_SCAN_ROWS {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Ok(search)
    }

    /// Whether a purge would remove the row now.
    pub(super) fn is_purgeable(&self, model: &Model, record: &Record) -> bool {
        let wall = self.now.trusted_wall();
        wall.is_some_and(|wall| is_over(&self.shared.schema, model, record, wall))
    }

    /// The rows where those of the model lie, as committed, for as long as they are wanted.
    fn each_row(
        &self,
        model: &Model,
        mut take: impl FnMut(ItemKey, Record) -> ControlFlow<()>,
    ) -> Result<(), DbError> {
        let shared = self.shared;
        let everything = model.key_range(&Map::new(), &shared.context)?;
        let mut range = keys::range(&everything, "");
        loop {
            let rows = shared.store.some_rows(&range, Order::Forward, STEP)?;
            for row in rows.iter() {
                if let Some(key) = keys::parse_item(row.key) {
                    let record = decode(&key, row.value)?;
                    if take(key, record).is_break() {
                        return Ok(());
                    }
                }
            }
            match rows.last() {
                Some(last) if rows.goes_on(STEP) => range = range.after(last.key, Order::Forward),
                _ => return Ok(()),
            }
        }
    }

    /// Why hidden rows stay, for whoever is refused for want of room.
    pub(super) fn why_hidden(&self, hidden: u64) -> String {
        if hidden == 0 {
            return String::new();
        }
        let until = match self.now.trusted {
            true => "the cloud has heard of them",
            false => "the time is confirmed",
        };
        format!("; {hidden} of them have expired, are hidden, and go when {until}")
    }

    /// How far a model is beyond its bounds, the frame included.
    fn beyond(&self, model: &Model) -> Beyond {
        let (name, counts) = (model.name(), &self.state.counts);
        let rows = counts
            .of(name)
            .saturating_add_signed(self.edit.balance(name));
        let bytes = counts.bytes_of(name);
        beyond(
            model,
            rows,
            bytes.saturating_add_signed(self.edit.weight(name)),
        )
    }
}

/// What a search for expired rows found.
#[derive(Default)]
struct Search {
    rows: usize,
    over: Vec<(ItemKey, Record)>,
    hidden: u64,
}

impl Database {
    /// Drops the oldest rows of models that have more than their bounds admit, since the bounds
    /// were lowered or are new, and answers how many. Models that refuse stay as they are:
    /// [`Stats::beyond`](super::Stats::beyond) tells of them.
    ///
    /// Others write between its steps, which are frames of some hundred rows.
    ///
    /// # Errors
    /// The disk failed; the rest stays.
    pub fn keep_bounds(&self) -> Result<u64, DbError> {
        let may_drop = |model: &&Model| {
            let drops = model.process().overflow == Overflow::DropOldest;
            drops && !model.direction().is_down() && self.shared.parked_model(model).is_none()
        };
        let mut dropped = 0;
        for model in self.shared.schema.models().iter().filter(may_drop) {
            loop {
                match self.keep_bound(model)? {
                    0 => break,
                    rows => dropped += rows,
                }
            }
        }
        Ok(dropped)
    }

    /// The models that have more than their bounds admit.
    pub(super) fn beyond(&self, state: &State) -> BTreeMap<String, Beyond> {
        let models = self.shared.schema.models().iter();
        let all = models.map(|model| {
            let (name, counts) = (model.name(), &state.counts);
            let beyond = beyond(model, counts.of(name), counts.bytes_of(name));
            (name.to_owned(), beyond)
        });
        all.filter(|(_, beyond)| *beyond != Beyond::default())
            .collect()
    }

    fn keep_bound(&self, model: &Model) -> Result<u64, DbError> {
        let shared = &*self.shared;
        let mut state = shared.write_lock()?;
        let mut writer = self.writer(&mut state);
        let mut dropped = 0;
        while dropped < DB_SCAN_ROWS as u64 {
            let beyond = writer.beyond(model);
            if beyond == Beyond::default() {
                break;
            }
            let drops = writer.pick(model, Line::Age, beyond.into())?;
            if drops.is_empty() {
                break;
            }
            dropped += drops.len() as u64;
            writer.drop_rows(model, drops)?;
        }
        let edit = writer.edit;
        if dropped > 0 {
            shared.commit(&mut state, edit, Durability::Lazy)?;
        }
        Ok(dropped)
    }
}

/// By how much so many rows and bytes exceed the bounds of a model.
fn beyond(model: &Model, rows: u64, bytes: u64) -> Beyond {
    let over = |is: u64, max: Option<u64>| max.map_or(0, |max| is.saturating_sub(max));
    Beyond {
        rows: over(rows, model.process().rows_max),
        bytes: over(bytes, model.process().bytes_max),
    }
}
