//! What a definite answer means for its item.

use super::Machine;
use super::copy::mark_of;
use crate::limits::SYNC_ROUNDS_MAX;
use crate::sync::config::{DeletePolicy, ModelRule, OnUncertain};
use crate::sync::record::{
    Change, Frozen, ItemKey, Mark, Op, ParkKind, Parked, Record, content, same_content,
};
use crate::sync::request;
use crate::sync::store::{Conflict, ConflictKind, Frame, Side};
use crate::time::Now;
use crate::value::Map;

/// A definite answer.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Done(Option<Map>),
    ConditionFailed(Option<Map>),
}

/// What is needed to judge the answer to an attempt.
pub(super) struct Verdict<'a> {
    pub(super) machine: &'a Machine,
    pub(super) key: &'a ItemKey,
    pub(super) model: &'a ModelRule,
    pub(super) grave: Option<Mark>,
    pub(super) unknown: bool,
    pub(super) now: Now,
}

impl Verdict<'_> {
    /// Answers whether the attempt was done.
    pub(super) fn apply(&self, frame: &mut Frame, said: Said) -> bool {
        let record = &mut frame.records[0];
        let Some(change) = &record.change else {
            return false;
        };
        let Some(frozen) = change.frozen.clone() else {
            return false;
        };
        let config = &self.machine.config;
        match said {
            Said::Done(Some(item)) if matches!(frozen.op, Op::Set { .. }) => {
                self.done(frame, &frozen, Some(item));
            }
            Said::Done(old) => {
                let base = change.base.clone();
                let item = request::outcome(config, self.key, base.as_ref(), &frozen);
                self.done(frame, &frozen, item);
                if let Some(old) = old.filter(|old| !same_content(Some(old), base.as_ref())) {
                    self.took_too_much(frame, base.as_ref(), &old);
                }
            }
            Said::ConditionFailed(item) if self.was_ours(&frozen, item.as_ref()) => {
                self.done(frame, &frozen, item);
            }
            Said::ConditionFailed(item) if self.was_overtaken(change, &frozen, item.as_ref()) => {
                self.done(frame, &frozen, None);
            }
            Said::ConditionFailed(item) => {
                self.failed(frame, &frozen, item);
                return false;
            }
        }
        true
    }

    /// Whether a failed condition shows that an earlier sending of this attempt was done.
    fn was_ours(&self, frozen: &Frozen, item: Option<&Map>) -> bool {
        if !self.machine.config.rules.own_marks {
            return false;
        }
        match item {
            Some(item) => mark_of(item) == Some(frozen.mark),
            None => frozen.op == Op::Delete,
        }
    }

    /// Whether our delete was done, its answer lost, and a late copy of an earlier write landed
    /// after it. Marks in an item never go back otherwise. The grave sees to what is there now.
    fn was_overtaken(&self, change: &Change, frozen: &Frozen, item: Option<&Map>) -> bool {
        let known = change.base.as_ref().and_then(mark_of);
        let there = item.and_then(mark_of);
        let went_back = there.zip(known).is_some_and(|(there, known)| there < known);
        self.machine.config.rules.overtaken_deletes
            && self.unknown
            && frozen.op == Op::Delete
            && went_back
    }

    /// The cloud's item is `item` now, by our doing.
    fn done(&self, frame: &mut Frame, frozen: &Frozen, item: Option<Map>) {
        let record = &mut frame.records[0];
        let predicted = record.change.as_ref().and_then(|change| change.predicted());
        if let Some(change) = &mut record.change {
            change.rounds = 0;
            change.parked = None;
        }
        // A field that we did not write and that differs is somebody else's change.
        let judge = self
            .machine
            .judge(self.key, self.model, self.grave, self.now);
        let conflict = judge.merge_onto(record, predicted.as_ref(), item);
        frame.conflicts.extend(conflict);
        if frozen.op == Op::Delete {
            frame
                .service
                .push(self.machine.dig(self.key, frozen.mark, self.now));
        }
    }

    /// A delete or replacement took fields with it that others had added since we last looked: no
    /// condition can name a field that it does not know. The edit is brought back or recorded.
    fn took_too_much(&self, frame: &mut Frame, base: Option<&Map>, old: &Map) {
        let record = &mut frame.records[0];
        let judge = self
            .machine
            .judge(self.key, self.model, self.grave, self.now);
        let lives = self.model.deletes == DeletePolicy::EditWins && record.item.is_none();
        if lives {
            record.rebase(None, Some(old), false);
        }
        let added = content(old)
            .filter(|(name, value)| base.and_then(|base| base.get(name)) != Some(*value));
        let cloud = added.map(|(name, value)| (name, value.clone())).collect();
        let winner = if lives { Side::Cloud } else { Side::Local };
        let entry = judge.entry(ConflictKind::Delete);
        frame.conflicts.push(Conflict {
            cloud: Some(cloud),
            winner,
            ..entry
        });
    }

    /// Somebody else was there first.
    fn failed(&self, frame: &mut Frame, frozen: &Frozen, item: Option<Map>) {
        let judge = self
            .machine
            .judge(self.key, self.model, self.grave, self.now);
        let record = &mut frame.records[0];
        if item
            .as_ref()
            .is_some_and(|item| request::schema_of(item) > frozen.schema.into())
        {
            record.thaw();
            set_aside(
                record,
                ParkKind::Schema,
                "the cloud's copy has a newer schema: update the agent",
            );
            return;
        }
        let rounds = record.change.as_ref().map_or(0, |change| change.rounds);
        if judge.is_debris(item.as_ref()) {
            let wanted = record.item.clone();
            frame.conflicts.push(Conflict {
                cloud: item.clone(),
                ..judge.entry(ConflictKind::Debris)
            });
            record.rebase(item, wanted.as_ref(), true);
        } else {
            let uncertain =
                self.unknown && item.as_ref().is_none_or(|item| mark_of(item).is_none());
            let mut base = record
                .change
                .as_ref()
                .and_then(|change| change.base.clone());
            if uncertain {
                let local = frozen.op.apply(base.clone());
                let drop = self.model.uncertain == OnUncertain::Drop;
                let winner = if drop { Side::Cloud } else { Side::Local };
                let entry = judge.entry(ConflictKind::Uncertain);
                frame.conflicts.push(Conflict {
                    local: local.clone(),
                    cloud: item.clone(),
                    winner,
                    ..entry
                });
                if drop {
                    base = local;
                }
            }
            let conflict = judge.merge_onto(record, base.as_ref(), item);
            frame.conflicts.extend(conflict);
        }
        if let Some(change) = &mut record.change {
            change.rounds = rounds.saturating_add(1);
            if change.rounds >= SYNC_ROUNDS_MAX {
                set_aside(
                    record,
                    ParkKind::Conflicts,
                    "other writers were first every time",
                );
            }
        }
    }
}

fn set_aside(record: &mut Record, kind: ParkKind, reason: &str) {
    if let Some(change) = &mut record.change {
        change.parked = Some(Parked::new(kind, reason));
    }
}
