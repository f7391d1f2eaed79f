//! The answers: what they mean for the way, and what they mean for the item.

use super::verdict::{Said, Verdict};
use super::{Machine, Purpose, Reason, Reply};
use crate::aws::dynamodb::{
    CallError, Effect, GetItem, Page, Query, ServiceError, ServiceErrorKind, UpdateItem,
    read_answer,
};
use crate::limits::SYNC_DENIED_WRITES_MAX;
use crate::sync::record::{ItemKey, ParkKind, Parked};
use crate::sync::store::{Frame, Store, StoreError};
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
        if error.code.starts_with("HTTP ") && error.kind != Kind::Unavailable {
            // A page of something between us and the service says nothing about the item.
            let hint = "something else answers in the table's place: a proxy, a login page, a wrong \
                        sync.endpoint";
            let reason = Reason::new("not_the_service", error.to_string(), hint);
            self.link.must_wait(reason, now, &mut self.random);
            return Outcome::Again { unknown: true };
        }
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
            Outcome::Refused(error) if self.is_denied_everything(&error) => {
                self.link
                    .must_wait(Reason::of(&error), now, &mut self.random);
                self.lane_again(key, false, now, store)
            }
            Outcome::Refused(error) => self.refused(key, &error, unknown, now, store),
            Outcome::Again { unknown } => self.lane_again(key, unknown, now, store),
            Outcome::Done(Answer::Page(_)) => self.lane_again(key, true, now, store),
        }
    }

    /// Whether so many writes in a row were refused for want of rights that it is the keys and not
    /// the items: then the queue waits as it is, instead of being parked row by row.
    fn is_denied_everything(&mut self, error: &ServiceError) -> bool {
        let denied = error.kind == ServiceErrorKind::AccessDenied;
        self.denied += usize::from(denied);
        denied && self.denied > SYNC_DENIED_WRITES_MAX
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
        self.denied = 0;
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
