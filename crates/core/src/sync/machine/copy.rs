//! What a copy of an item from the cloud does to its record.

use super::Machine;
use crate::sync::config::ModelRule;
use crate::sync::merge::{Loss, Merged, Sides, merge};
use crate::sync::record::{ItemKey, Mark, Op, Record, same_content};
use crate::sync::store::{Conflict, ConflictKind, Side};
use crate::time::{Now, UnixMillis};
use crate::value::Map;

/// What is needed to judge copies of one item, gathered before the frame begins.
#[derive(Clone, Debug)]
pub(super) struct Judge<'a> {
    pub(super) key: &'a ItemKey,
    pub(super) model: &'a ModelRule,
    /// The newest of our own deletes of this key that may still be overtaken.
    pub(super) grave: Option<Mark>,
    /// The server's time, for entries and ranks.
    pub(super) seen: Option<UnixMillis>,
}

impl Machine {
    pub(super) fn judge<'a>(
        &self,
        key: &'a ItemKey,
        model: &'a ModelRule,
        grave: Option<Mark>,
        now: Now,
    ) -> Judge<'a> {
        Judge {
            key,
            model,
            grave,
            seen: self.link.server_now(now),
        }
    }
}

/// The mark that an item carries, if it is one of this device's.
pub(super) fn mark_of(item: &Map) -> Option<Mark> {
    item.text("_m")?.parse().ok()
}

impl Judge<'_> {
    /// Whether a copy is what a late request left behind after we had deleted the item.
    pub(super) fn is_debris(&self, copy: Option<&Map>) -> bool {
        let mark = copy.and_then(mark_of);
        mark.zip(self.grave)
            .is_some_and(|(mark, grave)| mark <= grave)
    }

    /// Takes over a copy that counts, for an item without an attempt on its way.
    ///
    /// `restored`: the table went back in time, so that what it lacks was not deleted and what it
    /// has may be older than ours.
    pub(super) fn take(
        &self,
        record: &mut Record,
        copy: Option<Map>,
        restored: bool,
    ) -> Option<Conflict> {
        if record.base() == copy.as_ref() {
            return None;
        }
        let clean = record.change.is_none();
        if clean && !restored {
            record.item = copy;
            return None;
        }
        let base = if clean { None } else { record.base().cloned() };
        let conflict = self.merge_onto(record, base.as_ref(), copy);
        if let Some(change) = &mut record.change {
            change.parked = None;
        }
        conflict
    }

    /// Merges what the device wants with what the cloud has, seen from their common `base`, and
    /// makes the cloud's copy the new base.
    pub(super) fn merge_onto(
        &self,
        record: &mut Record,
        base: Option<&Map>,
        cloud: Option<Map>,
    ) -> Option<Conflict> {
        let Merged { wanted, loss } = merge(
            Sides {
                base,
                local: record.item.as_ref(),
                cloud: cloud.as_ref(),
                local_at: record.change.as_ref().and_then(|change| change.stamp),
                cloud_seen: self.seen,
            },
            self.model,
        );
        let pending = record
            .change
            .as_ref()
            .and_then(|change| change.pending.as_ref());
        let anew = pending.is_some_and(Op::starts_anew) && same_content(base, cloud.as_ref());
        record.rebase(cloud, wanted.as_ref(), anew);
        loss.map(|loss| self.conflict(loss))
    }

    fn conflict(&self, loss: Loss) -> Conflict {
        let Loss {
            kind,
            winner,
            local,
            cloud,
        } = loss;
        Conflict {
            winner,
            local,
            cloud,
            ..self.entry(kind)
        }
    }

    /// An entry of that kind about this item, both sides still open.
    pub(super) fn entry(&self, kind: ConflictKind) -> Conflict {
        Conflict {
            key: self.key.clone(),
            model: self.model.name.clone(),
            kind,
            local: None,
            cloud: None,
            winner: Side::Local,
            at: self.seen,
        }
    }
}
