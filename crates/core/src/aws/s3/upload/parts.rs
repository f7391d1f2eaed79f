//! What is known of each part.

use super::plan::PartPlan;
use crate::aws::checksum::{Value, full_object};
use crate::aws::s3::{CompletedPart, ListedPart};
use crate::limits;
use crate::retry::Backoff;
use crate::time::Mono;

/// The parts of an upload.
#[derive(Debug)]
pub(super) struct Parts {
    plan: PartPlan,
    states: Vec<State>,
}

/// What is known of a part.
#[derive(Clone, Debug)]
enum State {
    /// It has to be sent, not before a time.
    Waiting { backoff: Backoff, not_before: Mono },
    /// It is on its way.
    Sending { backoff: Backoff },
    /// S3 has it, and its checksum has to be taken here.
    Unhashed { etag: String },
    /// Its checksum is being taken.
    Hashing { etag: String },
    /// S3 has it.
    Done { etag: String, checksum: Value },
}

/// What a part needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Send,
    Hash,
}

impl Parts {
    pub(super) fn new(plan: PartPlan) -> Parts {
        let waiting = State::Waiting {
            backoff: Backoff::full(limits::UPLOAD_BACKOFF_MIN, limits::UPLOAD_BACKOFF_MAX),
            not_before: Mono::ZERO,
        };
        Parts {
            plan,
            states: vec![waiting; plan.parts() as usize],
        }
    }

    /// S3 has this part. One of another length is not ours, and is sent again.
    pub(super) fn handle_listed(&mut self, part: &ListedPart, checksum: Option<Value>) {
        if part.number == 0 || part.number > self.plan.parts() {
            return;
        }
        if self.plan.range(part.number).1 != part.bytes {
            return;
        }
        let etag = part.etag.clone();
        *self.state(part.number) = match checksum {
            Some(checksum) => State::Done { etag, checksum },
            None => State::Unhashed { etag },
        };
    }

    /// The first part that needs something, marked as being worked on.
    pub(super) fn take(&mut self, now: Mono) -> Option<(u32, Need)> {
        for (at, state) in self.states.iter_mut().enumerate() {
            let number = u32::try_from(at).expect("at most 10,000 parts") + 1;
            match state {
                State::Waiting {
                    backoff,
                    not_before,
                } if *not_before <= now => {
                    *state = State::Sending {
                        backoff: backoff.clone(),
                    };
                    return Some((number, Need::Send));
                }
                State::Unhashed { etag } => {
                    *state = State::Hashing { etag: etag.clone() };
                    return Some((number, Need::Hash));
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn handle_sent(&mut self, number: u32, etag: String, checksum: Value) {
        *self.state(number) = State::Done { etag, checksum };
    }

    pub(super) fn handle_hashed(&mut self, number: u32, checksum: Value) {
        if let State::Hashing { etag } = self.state(number) {
            let etag = std::mem::take(etag);
            *self.state(number) = State::Done { etag, checksum };
        }
    }

    /// What was tried failed: it is tried again, sending after a pause.
    pub(super) fn handle_failed(
        &mut self,
        number: u32,
        now: Mono,
        at_least: std::time::Duration,
        random: u64,
    ) {
        let state = self.state(number);
        match state {
            State::Sending { backoff } => {
                let pause = backoff.next_pause(random).max(at_least);
                *state = State::Waiting {
                    backoff: backoff.clone(),
                    not_before: now + pause,
                };
            }
            State::Hashing { etag } => {
                *state = State::Unhashed {
                    etag: std::mem::take(etag),
                };
            }
            _ => {}
        }
    }

    /// Ends all pauses.
    pub(super) fn hurry(&mut self) {
        for state in &mut self.states {
            if let State::Waiting { not_before, .. } = state {
                *not_before = Mono::ZERO;
            }
        }
    }

    /// When the next part may be tried again.
    pub(super) fn next_time(&self) -> Option<Mono> {
        let times = self.states.iter().map(|state| match state {
            State::Waiting { not_before, .. } => Some(*not_before),
            State::Unhashed { .. } => Some(Mono::ZERO),
            _ => None,
        });
        times.flatten().min()
    }

    /// How many are known to be at S3.
    pub(super) fn done(&self) -> u32 {
        let done = |state: &&State| matches!(state, State::Done { .. });
        let count = self.states.iter().filter(done).count();
        u32::try_from(count).expect("at most 10,000 parts")
    }

    /// The parts and the checksum of the whole, once all are at S3.
    pub(super) fn complete(&self) -> Option<(Vec<CompletedPart>, Value)> {
        let mut parts = Vec::with_capacity(self.states.len());
        let mut pieces = Vec::with_capacity(self.states.len());
        for (number, state) in (1..).zip(&self.states) {
            let State::Done { etag, checksum } = state else {
                return None;
            };
            pieces.push((*checksum, self.plan.range(number).1));
            parts.push(CompletedPart {
                number,
                etag: etag.clone(),
                checksum: Some(*checksum),
            });
        }
        let algorithm = pieces.first()?.0.algorithm();
        Some((parts, full_object(algorithm, pieces)))
    }

    fn state(&mut self, number: u32) -> &mut State {
        &mut self.states[number as usize - 1]
    }
}
