//! The answers: what they mean for the way, and what they mean for the item.

use super::copy::mark_of;
use super::{Machine, Purpose, Reason, Reply};
use crate::aws::dynamodb::{
    CallError, Effect, GetItem, Page, Query, ServiceError, ServiceErrorKind, UpdateItem,
    read_answer,
};
use crate::limits::SYNC_ROUNDS_MAX;
use crate::sync::config::{DeletePolicy, ModelRule, OnUncertain};
use crate::sync::record::{
    Frozen, ItemKey, Mark, Op, ParkKind, Parked, Record, content, same_content,
};
use crate::sync::request;
use crate::sync::store::{Conflict, ConflictKind, Frame, Side, Store, StoreError};
use crate::time::Now;
use crate::value::Map;

/// What an answer means, once the link has taken its share of it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Done, and this came back.
    Done(Answer),
    /// The condition was false; the item as it is.
    ConditionFailed(Option<Map>),
    /// It will not be done as long as nothing changes.
    Refused(ServiceError),
    /// To be sent again when the way is open; `unknown`: it may have been done.
    Again { unknown: bool },
}

/// What comes back from a request that was done.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Item(Option<Map>),
    Page(Page),
}

impl Answer {
    /// The item that came back, if any.
    pub(super) fn item(self) -> Option<Map> {
        match self {
            Answer::Item(item) => item,
            Answer::Page(_) => None,
        }
    }
}

impl Outcome {
    pub(super) fn again() -> Outcome {
        Outcome::Again { unknown: false }
    }
}

impl Reason {
    /// A service's error, in its own words and with what is known to help.
    pub(super) fn of(error: &ServiceError) -> Reason {
        Reason::new(
            error.kind.name(),
            error.to_string(),
            error.kind.hint().unwrap_or_default(),
        )
    }

    fn no_answer(text: String) -> Reason {
        let hint = "check the network; it is tried again, more and more slowly";
        Reason::new("unreachable", text, hint)
    }
}

impl Machine {
    /// Reads a reply and lets the link draw its conclusions.
    pub(super) fn outcome(&mut self, purpose: &Purpose, reply: Reply, now: Now) -> Outcome {
        let (status, error_type, body) = match reply {
            Reply::Answer {
                status,
                error_type,
                body,
            } => (status, error_type, body),
            Reply::Lost(text) => {
                self.link
                    .failed(Reason::no_answer(text), now, &mut self.random);
                return Outcome::Again { unknown: true };
            }
            Reply::NotSent(reason) => {
                self.link.failed(reason, now, &mut self.random);
                return Outcome::again();
            }
        };
        let error_type = error_type.as_deref();
        let answer = match purpose {
            Purpose::Page => read_answer::<Query>(status, error_type, &body).map(Answer::Page),
            Purpose::Recheck | Purpose::Confirm(_) => {
                read_answer::<GetItem>(status, error_type, &body).map(Answer::Item)
            }
            // All writes give their items back in one form.
            Purpose::Claim | Purpose::Write(_) | Purpose::Grave(_) => {
                read_answer::<UpdateItem>(status, error_type, &body).map(Answer::Item)
            }
        };
        match answer {
            Ok(answer) => {
                self.link.succeeded(now);
                Outcome::Done(answer)
            }
            Err(CallError::Service(error)) => self.service_error(error, now),
            Err(error) => {
                self.link
                    .failed(Reason::no_answer(error.to_string()), now, &mut self.random);
                Outcome::Again { unknown: true }
            }
        }
    }

    fn service_error(&mut self, error: ServiceError, now: Now) -> Outcome {
        use ServiceErrorKind as Kind;
        let reason = Reason::of(&error);
        let unknown = error.effect() == Effect::Unknown;
        match error.kind {
            Kind::ConditionFailed { item } => {
                self.link.succeeded(now);
                return Outcome::ConditionFailed(item);
            }
            Kind::Throttled | Kind::TransactionConflict | Kind::Unavailable => {
                self.link.failed(reason, now, &mut self.random);
            }
            Kind::ClockSkew | Kind::ExpiredToken => {
                self.link.corrected(reason, now, &mut self.random);
            }
            Kind::BadSignature | Kind::NotFound => {
                self.link.must_wait(reason, now, &mut self.random);
            }
            _ => {
                self.link.succeeded(now);
                return Outcome::Refused(error);
            }
        }
        Outcome::Again { unknown }
    }

    /// What the answer to a write means for its item.
    pub(super) fn write_answered(
        &mut self,
        key: &ItemKey,
        outcome: Outcome,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let unknown = self.lanes.get(key).is_some_and(|lane| lane.unknown);
        match outcome {
            Outcome::Done(Answer::Item(item)) => {
                self.conclude(key, Said::Done(item), unknown, now, store)
            }
            Outcome::ConditionFailed(item) => {
                self.conclude(key, Said::ConditionFailed(item), unknown, now, store)
            }
            Outcome::Refused(error) => self.refused(key, &error, unknown, now, store),
            Outcome::Again { unknown } => self.lane_again(key, unknown, now, store),
            Outcome::Done(Answer::Page(_)) => self.lane_again(key, true, now, store),
        }
    }

    /// Ends an attempt that has a definite answer; one frame.
    fn conclude(
        &mut self,
        key: &ItemKey,
        said: Said,
        unknown: bool,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        self.lanes.remove(key);
        self.settle(key);
        let Some(model) = self.config.model_of(key) else {
            return Ok(());
        };
        let grave = self.grave_of(key, store)?;
        let verdict = Verdict {
            machine: self,
            key,
            model,
            grave,
            unknown,
            now,
        };
        let (mut done, mut conflicts) = (false, 0);
        store.modify(std::slice::from_ref(key), &mut |frame: &mut Frame| {
            done = verdict.apply(frame, said.clone());
            conflicts = frame.conflicts.len() as u64;
        })?;
        self.counts.sent += u64::from(done);
        self.counts.conflicts += conflicts;
        self.queue.refill();
        Ok(())
    }

    /// The table will not take this write: sets the item aside, and nobody else waits for it.
    fn refused(
        &mut self,
        key: &ItemKey,
        error: &ServiceError,
        unknown: bool,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        self.lanes.remove(key);
        let reason = error.to_string();
        // What the service finds wrong in itself was never done; but keys that do not permit it
        // now may have permitted an earlier sending.
        let keep = unknown && error.kind == ServiceErrorKind::AccessDenied;
        self.park(key, Parked::new(ParkKind::Refused, reason), keep, store)?;
        self.link.note_error(Reason::of(error), now);
        Ok(())
    }

    /// Sets an item aside; unless `keep`, its attempt becomes pending again.
    pub(super) fn park(
        &mut self,
        key: &ItemKey,
        parked: Parked,
        keep: bool,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        store.modify(std::slice::from_ref(key), &mut |frame: &mut Frame| {
            let record = &mut frame.records[0];
            if !keep {
                record.thaw();
            }
            if let Some(change) = &mut record.change {
                change.parked = Some(parked.clone());
            }
        })?;
        Ok(())
    }
}

/// A definite answer.
#[derive(Clone, Debug)]
enum Said {
    Done(Option<Map>),
    ConditionFailed(Option<Map>),
}

/// What is needed to judge the answer to an attempt.
struct Verdict<'a> {
    machine: &'a Machine,
    key: &'a ItemKey,
    model: &'a ModelRule,
    grave: Option<Mark>,
    unknown: bool,
    now: Now,
}

impl Verdict<'_> {
    /// Answers whether the attempt was done.
    fn apply(&self, frame: &mut Frame, said: Said) -> bool {
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
