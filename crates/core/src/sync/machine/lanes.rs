//! The way up: which item's turn it is, the freeze, and the sending.

use super::{Machine, Output, Purpose};
use crate::limits::SYNC_BATCH_ROWS_MAX;
use crate::sync::record::{Frozen, ItemKey, Mark, ParkKind, Parked, Record};
use crate::sync::request;
use crate::sync::store::{Dirty, Frame, Store, StoreError};
use crate::time::Now;

/// A millisecond of server time leaves room for this many versions.
const VERSIONS_PER_MS: i64 = 1024;

/// One attempt on its way. There is at most one for an item.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    state: LaneState,
    /// An earlier sending of this attempt may have been applied.
    pub(super) unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    /// The frame that froze it is not durable yet.
    Frozen(u64),
    /// It may leave, for the first time or again.
    Ready,
    Sent,
}

/// How far the records that wait have been looked through.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    seen: Option<Dirty>,
    at_end: bool,
    parked: Option<Parking>,
}

/// Parked items are being taken up again, in the order of their keys.
#[derive(Clone, Debug, Default)]
struct Parking {
    after: Option<ItemKey>,
}

impl Queue {
    /// There may be more: what is written anew stands behind everything seen so far.
    pub(super) fn refill(&mut self) {
        self.at_end = false;
    }
}

impl Machine {
    /// Takes the next items that wait into lanes, all marks in one frame.
    pub(super) fn lanes_fill(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        if self.pull.must_finish_first() {
            return Ok(());
        }
        // While one batch is on its way, the next is being frozen: one sync of the log per batch.
        let free = if self.lanes.len() > self.config.lanes {
            0
        } else {
            self.config.lanes
        };
        if free == 0 || self.queue.at_end {
            return Ok(());
        }
        let page = store.dirty(self.queue.seen.as_ref(), free)?;
        self.queue.at_end = page.len() < free;
        self.busy |= !self.queue.at_end;
        if let Some(last) = page.last() {
            self.queue.seen = Some(last.clone());
        }
        let keys: Vec<ItemKey> = page
            .into_iter()
            .map(|dirty| dirty.key)
            .filter(|key| !self.lanes.contains_key(key))
            .collect();
        if keys.is_empty() {
            Ok(())
        } else {
            self.freeze(&keys, now, store)
        }
    }

    fn freeze(&mut self, keys: &[ItemKey], now: Now, store: &dyn Store) -> Result<(), StoreError> {
        let fresh = self.fresh_version(now);
        let mut taken = Vec::new();
        let sequence = store.modify(keys, &mut |frame: &mut Frame| {
            for (key, record) in keys.iter().zip(&mut frame.records) {
                if let Some(unknown) = self.freeze_one(key, record, fresh) {
                    taken.push((key.clone(), unknown));
                }
            }
        })?;
        if taken.is_empty() {
            return Ok(());
        }
        for (key, unknown) in taken {
            let state = if self.config.rules.durable_marks {
                LaneState::Frozen(sequence)
            } else {
                LaneState::Ready
            };
            self.lanes.insert(key, Lane { state, unknown });
        }
        self.outputs.push_back(Output::Flush(sequence));
        Ok(())
    }

    /// Freezes what is pending; gives whether an earlier life may have sent the attempt, or
    /// nothing if the item has none.
    fn freeze_one(&mut self, key: &ItemKey, record: &mut Record, fresh: i64) -> Option<bool> {
        let change = record
            .change
            .as_mut()
            .filter(|change| change.parked.is_none())?;
        if !self
            .config
            .model_of(key)
            .is_some_and(|model| model.direction.is_up())
        {
            let reason = "changes of this model do not travel up";
            change.parked = Some(Parked::new(ParkKind::Direction, reason));
            return None;
        }
        if change.frozen.is_some() {
            return Some(true);
        }
        let op = change.pending.take()?;
        let known = change
            .base
            .as_ref()
            .and_then(|base| base.get("_v")?.as_i64());
        self.last_mark += 1;
        change.frozen = Some(Frozen {
            mark: Mark {
                epoch: self.epoch(),
                n: self.last_mark,
            },
            op,
            version: known.map_or(fresh, |version| version.saturating_add(1)),
            schema: self.config.schema,
        });
        Some(false)
    }

    /// The first version of a new item: later than that of any item before it.
    fn fresh_version(&mut self, now: Now) -> i64 {
        let server_ms = self.link.server_now(now).map_or(0, |server| server.0);
        let fresh = server_ms.saturating_mul(VERSIONS_PER_MS);
        self.last_version = fresh.max(self.last_version.saturating_add(VERSIONS_PER_MS));
        self.last_version
    }

    /// Sends what may leave, as far as the window is open.
    pub(super) fn lanes_send(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        let sent = self
            .lanes
            .values()
            .filter(|lane| lane.state == LaneState::Sent)
            .count();
        let room = self.link.window().saturating_sub(sent);
        let ready: Vec<ItemKey> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.may_leave(self.durable))
            .map(|(key, _)| key.clone())
            .take(room)
            .collect();
        for key in ready {
            let record = store.record(&key)?;
            let Some(request) = request::write(&self.config, &key, &record) else {
                self.lanes.remove(&key);
                continue;
            };
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.state = LaneState::Sent;
            }
            match request {
                Ok(_) => self.send(Purpose::Write(key), request, now),
                Err(error) => {
                    self.lanes.remove(&key);
                    let parked = Parked::new(ParkKind::Refused, error.to_string());
                    self.park(&key, parked, false, store)?;
                }
            }
        }
        Ok(())
    }

    /// The attempt goes again, byte for byte, when the way is open.
    pub(super) fn lane_again(
        &mut self,
        key: &ItemKey,
        unknown: bool,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let Some(lane) = self.lanes.get_mut(key) else {
            return Ok(());
        };
        lane.state = LaneState::Ready;
        lane.unknown |= unknown;
        if self.config.rules.frozen_attempts {
            return Ok(());
        }
        self.lanes.remove(key);
        store.modify(std::slice::from_ref(key), &mut |frame| {
            frame.records[0].thaw();
        })?;
        self.freeze(std::slice::from_ref(key), now, store)
    }

    /// Whether records that wait have not been looked at yet.
    pub(super) fn is_seeking(&self) -> bool {
        !self.queue.at_end
    }

    /// How many attempts have left and are not answered.
    pub(super) fn lanes_sent(&self) -> usize {
        self.lanes
            .values()
            .filter(|lane| lane.state == LaneState::Sent)
            .count()
    }

    /// Begins to take up everything that is parked.
    pub(super) fn lanes_unpark(&mut self) {
        self.queue.parked = Some(Parking::default());
    }

    /// Takes up the next parked items, if somebody asked for it.
    pub(super) fn lanes_take_up_parked(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(parking) = &self.queue.parked else {
            return Ok(());
        };
        let keys = store.parked(parking.after.as_ref(), SYNC_BATCH_ROWS_MAX)?;
        if keys.is_empty() {
            self.queue.parked = None;
            return Ok(());
        }
        store.modify(&keys, &mut |frame| {
            for change in frame
                .records
                .iter_mut()
                .filter_map(|record| record.change.as_mut())
            {
                change.parked = None;
                change.rounds = 0;
            }
        })?;
        self.queue.parked = Some(Parking {
            after: keys.last().cloned(),
        });
        self.queue.refill();
        self.busy = true;
        Ok(())
    }
}

impl Lane {
    fn may_leave(&self, durable: u64) -> bool {
        match self.state {
            LaneState::Frozen(sequence) => sequence <= durable,
            LaneState::Ready => true,
            LaneState::Sent => false,
        }
    }
}
