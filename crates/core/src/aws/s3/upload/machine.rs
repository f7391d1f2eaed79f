//! The machine of an upload.

use super::parts::{Need, Parts};
use super::record::{Phase, Record};
use crate::aws::checksum::Value;
use crate::aws::s3::{CompletedPart, PartPage, S3CallError};
use crate::aws::{Remedy, ServiceErrorKind};
use crate::limits;
use crate::retry::{Backoff, Window};
use crate::time::Mono;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// An upload in parts.
///
/// The contract of all machines: `handle_*` for what happened, then [`Upload::poll_output`] until
/// it is empty, then wait for the next event or [`Upload::poll_timeout`]. Every request is answered
/// exactly once, by [`Upload::handle_answer`]; a request that was cut off is answered with
/// [`Failure::Retry`]. After [`Output::Finished`] nothing follows.
#[derive(Debug)]
pub struct Upload {
    record: Record,
    step: Step,
    parts: Parts,
    window: Window,
    /// What is on its way, and the number of its part.
    in_flight: BTreeMap<u64, Option<u32>>,
    next_id: u64,
    out: VecDeque<Output>,
    /// Records that are not known to be durable.
    saves_out: u32,
    /// Failures since the last success.
    failures: u32,
    backoff: Backoff,
    not_before: Mono,
    restarts: u32,
    /// Lists of parts in a row that could not be read.
    unreadable: u32,
}

/// What is being done, beside parts on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Create,
    /// The record has to be on the disk before this.
    Save(Box<Step>),
    List {
        after: Option<u32>,
    },
    Send,
    Complete,
    /// Is the object there, and ours?
    Check {
        lost: Lost,
    },
    Abort {
        why: Outcome,
    },
    /// Which parts there are cannot be learnt: the upload is removed, and another begun.
    Discard,
    /// What is on its way has to come back first.
    Drain(Box<Step>),
    Finished,
}

/// Why the object is asked for its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// S3 does not know the upload any more.
    Upload,
    /// There is an object, and there must have been none.
    Place,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make this record durable, then call [`Upload::handle_saved`].
    Save(Record),
    /// Send this, then call [`Upload::handle_answer`] with the id.
    Request {
        /// The id of the request.
        id: u64,
        /// What to send.
        request: Request,
    },
    /// It is over: remove the record, but for [`Outcome::Paused`].
    Finished(Outcome),
}

/// What is to be sent, or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Begin the upload, with the mark in the metadata.
    Create,
    /// List the parts behind this number.
    List {
        /// The number.
        after: Option<u32>,
    },
    /// Send a part.
    Part {
        /// Its number.
        number: u32,
        /// Where it begins in the source.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// Take the checksum of a part from the source.
    Hash {
        /// Its number.
        number: u32,
        /// Where it begins in the source.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// Make the object.
    Complete {
        /// The parts.
        parts: Vec<CompletedPart>,
        /// The checksum of the whole.
        checksum: Value,
    },
    /// Ask for the object's mark.
    Head,
    /// Give the upload up.
    Abort,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// [`Request::Create`]: the id.
    Created {
        /// The id.
        upload_id: String,
    },
    /// [`Request::List`]: a page.
    Listed(PartPage),
    /// [`Request::Part`]: it is there.
    Sent {
        /// Its entity tag.
        etag: String,
        /// Its checksum, as taken from what was sent.
        checksum: Value,
    },
    /// [`Request::Hash`]: the checksum.
    Hashed(Value),
    /// [`Request::Complete`]: the object is there.
    Completed,
    /// [`Request::Head`]: the mark of the object, if there is an object with a mark.
    Mark(Option<String>),
    /// [`Request::Abort`]: the upload is gone.
    Aborted,
    /// Any of them: it failed.
    Failed(Failure),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may pass later: no connection, no answer, S3 busy.
    Retry {
        /// Whether S3 asked for fewer requests.
        throttled: bool,
        /// How long S3 asked to wait.
        after: Option<Duration>,
    },
    /// S3 knows no such upload.
    NoSuchUpload,
    /// S3 does not have the parts that it was told of.
    InvalidPart,
    /// There is an object already, and the upload is for a free key.
    Taken,
    /// The source is not what it was.
    SourceChanged,
    /// The answer is not one of S3's.
    Unreadable,
    /// It will not pass.
    Refused(String),
}

impl Failure {
    /// What an error of S3 means for an upload. Keys that ran out and a clock that is wrong are
    /// set right by whoever signs, so what they spoiled is repeated. Where a bucket is, the
    /// configuration says.
    pub fn of(error: &S3CallError) -> Failure {
        let retry = |throttled| Failure::Retry {
            throttled,
            after: None,
        };
        let S3CallError::Service(error) = error else {
            return Failure::Unreadable;
        };
        let refused = || Failure::Refused(error.to_string());
        match (&error.kind, error.code.as_str()) {
            (ServiceErrorKind::WrongRegion { .. }, _) => refused(),
            (ServiceErrorKind::NoSuchResource, "NoSuchUpload" | "HTTP 404") => {
                Failure::NoSuchUpload
            }
            (_, "InvalidPart" | "InvalidPartOrder") => Failure::InvalidPart,
            (ServiceErrorKind::PreconditionFailed, _) => Failure::Taken,
            (ServiceErrorKind::Throttled, _) => retry(true),
            _ if error.remedy() == Remedy::GiveUp => refused(),
            _ => retry(false),
        }
    }
}

/// How an upload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object is there.
    Done,
    /// Too many failures in a row: go on later, from the record.
    Paused,
    /// It was given up on demand.
    Cancelled,
    /// The source is not what it was when the upload began.
    SourceChanged,
    /// Another object has the key.
    Taken,
    /// S3 refused it, with its words.
    Refused(String),
}

/// Why the machine wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something that failed is tried again.
    Retry,
}

impl Upload {
    /// A new upload.
    pub fn start(record: Record) -> Upload {
        Upload::new(record, Step::Create)
    }

    /// An upload from its record.
    pub fn resume(record: Record) -> Upload {
        let step = match (&record.upload_id, record.phase) {
            (None, Phase::Aborting) => Step::Finished,
            (None, _) => Step::Create,
            (Some(_), Phase::Aborting) => Step::Abort {
                why: Outcome::Cancelled,
            },
            (Some(_), _) => Step::List { after: None },
        };
        let nothing_to_do = step == Step::Finished;
        let mut upload = Upload::new(record, step);
        if nothing_to_do {
            upload.out.push_back(Output::Finished(Outcome::Cancelled));
        }
        upload
    }

    fn new(record: Record, step: Step) -> Upload {
        let parallel = record.plan.parallel();
        Upload {
            parts: Parts::new(record.plan),
            window: Window::new(parallel, parallel, limits::UPLOAD_THROTTLE_COOLDOWN),
            record,
            step,
            in_flight: BTreeMap::new(),
            next_id: 0,
            out: VecDeque::new(),
            saves_out: 0,
            failures: 0,
            backoff: Backoff::full(limits::UPLOAD_BACKOFF_MIN, limits::UPLOAD_BACKOFF_MAX),
            not_before: Mono::ZERO,
            restarts: 0,
            unreadable: 0,
        }
    }

    /// With no more parts on their way at once than this, whatever memory would allow.
    #[must_use]
    pub fn with_parallel(mut self, parts: u32) -> Upload {
        let parallel = self.record.plan.parallel().min(parts.max(1));
        self.window = Window::new(parallel, parallel, limits::UPLOAD_THROTTLE_COOLDOWN);
        self
    }

    /// The record as it is now.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// How many parts are at S3, and of how many.
    pub fn progress(&self) -> (u32, u32) {
        (self.parts.done(), self.record.plan.parts())
    }

    /// Give it up. An object that is being made may be there all the same.
    pub fn cancel(&mut self) {
        self.give_up(Outcome::Cancelled);
    }

    /// Somebody knows that it works again: what failed is tried now, not after its pause.
    pub fn hurry(&mut self) {
        self.not_before = Mono::ZERO;
        self.parts.hurry();
    }

    /// The record that was given out is durable; called once for each, in their order.
    pub fn handle_saved(&mut self) {
        self.saves_out = self.saves_out.saturating_sub(1);
        if self.saves_out > 0 {
            return;
        }
        if let Step::Save(next) = &self.step {
            self.step = (**next).clone();
        }
    }

    /// A request was answered. `random` is evenly distributed over all of `u64`.
    pub fn handle_answer(&mut self, id: u64, answer: Answer, now: Mono, random: u64) {
        let Some(part) = self.in_flight.remove(&id) else {
            return;
        };
        match answer {
            Answer::Failed(failure) => self.handle_failure(failure, part, now, random),
            answer => {
                self.failures = 0;
                self.backoff.reset();
                self.handle_success(answer, part);
            }
        }
        self.leave_drain();
    }

    /// What is to be done now.
    pub fn poll_output(&mut self, now: Mono) -> Option<Output> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        if now < self.not_before {
            return None;
        }
        let idle = self.in_flight.is_empty();
        match &self.step {
            Step::Create if idle => Some(self.request(Request::Create, None)),
            Step::List { after } if idle => {
                let after = *after;
                Some(self.request(Request::List { after }, None))
            }
            Step::Send => self.poll_part(now),
            Step::Complete if idle => self.poll_complete(),
            Step::Check { .. } if idle => Some(self.request(Request::Head, None)),
            Step::Abort { .. } | Step::Discard if idle => Some(self.request(Request::Abort, None)),
            _ => None,
        }
    }

    /// When the machine wants to be polled again although nothing happened.
    pub fn poll_timeout(&self) -> Option<(Mono, Wake)> {
        let busy = self.in_flight.len() >= self.window.size() as usize;
        let time = match &self.step {
            Step::Send if busy => None,
            Step::Send => self.parts.next_time().map(|time| time.max(self.not_before)),
            Step::Create
            | Step::List { .. }
            | Step::Complete
            | Step::Check { .. }
            | Step::Abort { .. }
            | Step::Discard
                if self.in_flight.is_empty() =>
            {
                Some(self.not_before)
            }
            _ => None,
        };
        time.map(|time| (time, Wake::Retry))
    }

    fn request(&mut self, request: Request, part: Option<u32>) -> Output {
        let id = self.next_id;
        self.next_id += 1;
        self.in_flight.insert(id, part);
        Output::Request { id, request }
    }

    fn poll_part(&mut self, now: Mono) -> Option<Output> {
        if self.in_flight.len() >= self.window.size() as usize {
            return None;
        }
        let (number, need) = self.parts.take(now)?;
        let (offset, bytes) = self.record.plan.range(number);
        let request = match need {
            Need::Send => Request::Part {
                number,
                offset,
                bytes,
            },
            Need::Hash => Request::Hash {
                number,
                offset,
                bytes,
            },
        };
        Some(self.request(request, Some(number)))
    }

    fn poll_complete(&mut self) -> Option<Output> {
        let (parts, checksum) = self.parts.complete()?;
        Some(self.request(Request::Complete { parts, checksum }, None))
    }

    fn handle_success(&mut self, answer: Answer, part: Option<u32>) {
        match (answer, part) {
            (Answer::Created { upload_id }, _) => {
                self.record.upload_id = Some(upload_id);
                self.save_then(self.after_create());
            }
            (Answer::Listed(page), _) => self.handle_listed(&page),
            (Answer::Sent { etag, checksum }, Some(number)) => {
                self.window.handle_success();
                self.parts.handle_sent(number, etag, checksum);
                self.complete_if_all();
            }
            (Answer::Hashed(value), Some(number)) => {
                self.parts.handle_hashed(number, value);
                self.complete_if_all();
            }
            (Answer::Completed, _) => self.finish(Outcome::Done),
            (Answer::Mark(mark), _) if mark.as_ref() == Some(&self.record.mark) => {
                self.finish(Outcome::Done);
            }
            (Answer::Mark(_), _) => match self.step {
                Step::Check { lost: Lost::Place } => self.give_up(Outcome::Taken),
                _ => self.begin_anew(),
            },
            (Answer::Aborted, _) => match &self.step {
                Step::Abort { why } => self.finish(why.clone()),
                Step::Discard => self.discarded(),
                _ => {}
            },
            _ => {}
        }
    }

    /// What follows the creation: given up meanwhile, or the parts.
    fn after_create(&self) -> Step {
        match &self.step {
            Step::Drain(next) => (**next).clone(),
            _ => Step::Send,
        }
    }

    fn handle_listed(&mut self, page: &PartPage) {
        if !matches!(self.step, Step::List { .. }) {
            return;
        }
        self.unreadable = 0;
        for part in &page.parts {
            let same = |value: &Value| value.algorithm() == self.record.checksum;
            self.parts.handle_listed(part, part.checksum.filter(same));
        }
        match page.next {
            Some(after) => self.step = Step::List { after: Some(after) },
            None => {
                self.step = Step::Send;
                self.complete_if_all();
            }
        }
    }

    fn complete_if_all(&mut self) {
        if self.step == Step::Send && self.parts.done() == self.record.plan.parts() {
            self.record.phase = Phase::Completing;
            self.save_then(Step::Complete);
        }
    }

    fn handle_failure(&mut self, failure: Failure, part: Option<u32>, now: Mono, random: u64) {
        if self.step == Step::Discard {
            // The bucket's own rule removes what stays.
            return self.discarded();
        }
        let (throttled, after) = match failure {
            Failure::Retry { throttled, after } => (throttled, after.unwrap_or_default()),
            Failure::NoSuchUpload => return self.handle_lost_upload(),
            Failure::InvalidPart => return self.look_again(),
            Failure::Taken => return self.handle_taken(),
            Failure::SourceChanged => return self.give_up(Outcome::SourceChanged),
            Failure::Refused(words) => return self.handle_refused(words),
            // Something between may have answered.
            Failure::Unreadable => match self.is_list_hopeless() {
                true => return self.step = Step::Discard,
                false => (false, Duration::ZERO),
            },
        };
        if throttled {
            self.window.handle_throttle(now);
        }
        match part {
            Some(number) => self.parts.handle_failed(number, now, after, random),
            None => {
                let pause = self.backoff.next_pause(random).max(after);
                self.not_before = now + pause;
            }
        }
        self.failures += 1;
        if self.failures >= limits::UPLOAD_FAILURES_MAX && self.step != Step::Finished {
            self.step = Step::Drain(Box::new(Step::Finished));
        }
    }

    /// Whether another list that cannot be read was one too many.
    fn is_list_hopeless(&mut self) -> bool {
        let lists = matches!(self.step, Step::List { .. });
        self.unreadable += u32::from(lists);
        lists && self.unreadable >= limits::UPLOAD_LISTS_UNREADABLE_MAX
    }

    /// The object may have been made by an attempt of an earlier life.
    fn discarded(&mut self) {
        self.not_before = Mono::ZERO;
        match self.record.phase {
            Phase::Completing => self.step = Step::Check { lost: Lost::Upload },
            _ => self.begin_anew(),
        }
    }

    /// S3 does not know the upload: it was made into the object, or is gone.
    fn handle_lost_upload(&mut self) {
        match &self.step {
            Step::Complete => self.step = Step::Check { lost: Lost::Upload },
            // The record says that the object was being made when this life began.
            Step::List { .. } if self.record.phase == Phase::Completing => {
                self.step = Step::Check { lost: Lost::Upload };
            }
            Step::Abort { why } => self.finish(why.clone()),
            Step::List { .. } | Step::Send => {
                self.step = Step::Drain(Box::new(Step::Create));
            }
            _ => {}
        }
    }

    /// Leaves what is behind: what S3 has is asked for again.
    fn look_again(&mut self) {
        self.restarts += 1;
        if self.restarts > limits::UPLOAD_RESTARTS_MAX {
            return self.give_up(Outcome::Refused("S3 loses parts".to_owned()));
        }
        self.parts = Parts::new(self.record.plan);
        self.step = Step::List { after: None };
    }

    /// The object that has the key may be ours, by an attempt whose answer was lost.
    fn handle_taken(&mut self) {
        if self.step == Step::Complete {
            self.step = Step::Check { lost: Lost::Place };
        } else {
            self.give_up(Outcome::Taken);
        }
    }

    fn begin_anew(&mut self) {
        self.restarts += 1;
        if self.restarts > limits::UPLOAD_RESTARTS_MAX {
            // There is nothing left to give up.
            return self.finish(Outcome::Refused("S3 loses the upload".to_owned()));
        }
        self.parts = Parts::new(self.record.plan);
        self.record.upload_id = None;
        self.record.phase = Phase::Sending;
        self.step = Step::Create;
    }

    fn handle_refused(&mut self, words: String) {
        match &self.step {
            Step::Create | Step::Abort { .. } => self.finish(Outcome::Refused(words)),
            _ => self.give_up(Outcome::Refused(words)),
        }
    }

    /// Removes what was sent. What is on its way comes back first, so that nothing arrives later.
    fn give_up(&mut self, why: Outcome) {
        let over = matches!(self.step, Step::Finished | Step::Abort { .. });
        let aborting = self.record.phase == Phase::Aborting;
        if over || aborting {
            return;
        }
        self.record.phase = Phase::Aborting;
        let abort = Step::Save(Box::new(Step::Abort { why }));
        self.step = Step::Drain(Box::new(abort));
        self.leave_drain();
    }

    /// Goes on behind a drain once nothing is on its way.
    fn leave_drain(&mut self) {
        if !self.in_flight.is_empty() {
            return;
        }
        let Step::Drain(next) = &self.step else {
            return;
        };
        match (**next).clone() {
            Step::Save(after) => {
                if let (Step::Abort { why }, None) = (&*after, &self.record.upload_id) {
                    self.finish(why.clone());
                } else {
                    self.save_then(*after);
                }
            }
            Step::Create => self.begin_anew(),
            Step::Finished => self.finish(Outcome::Paused),
            other => self.step = other,
        }
    }

    fn save_then(&mut self, next: Step) {
        if let Step::Save(inner) = next {
            return self.save_then(*inner);
        }
        self.out.push_back(Output::Save(self.record.clone()));
        self.saves_out += 1;
        self.step = Step::Save(Box::new(next));
    }

    fn finish(&mut self, outcome: Outcome) {
        if self.step != Step::Finished {
            self.step = Step::Finished;
            self.out.push_back(Output::Finished(outcome));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::ServiceError;
    use crate::aws::checksum::Algorithm;
    use crate::aws::s3::ObjectKey;
    use crate::aws::s3::upload::PartPlan;

    /// What an upload of one part asks for now.
    fn asked(upload: &mut Upload) -> Option<(u64, Request)> {
        match upload.poll_output(Mono::ZERO)? {
            Output::Request { id, request } => Some((id, request)),
            other => panic!("{other:?} is no request"),
        }
    }

    #[test]
    fn a_hurry_ends_the_pauses_of_requests_and_of_parts() {
        let mut upload = Upload::start(Record {
            bucket: "b".into(),
            key: ObjectKey::new("k").unwrap(),
            plan: PartPlan::new(1, limits::S3_PART_BYTES_MIN).unwrap(),
            source: "s".into(),
            checksum: Algorithm::Crc32,
            mark: "m".into(),
            upload_id: None,
            phase: Phase::Sending,
        });
        let failed = || {
            Answer::Failed(Failure::Retry {
                throttled: false,
                after: None,
            })
        };
        let (id, request) = asked(&mut upload).unwrap();
        assert_eq!(request, Request::Create);
        upload.handle_answer(id, failed(), Mono::ZERO, u64::MAX);
        assert_eq!(asked(&mut upload), None);
        upload.hurry();
        let (id, request) = asked(&mut upload).unwrap();
        assert_eq!(request, Request::Create);

        let upload_id = "u".to_owned();
        let created = Answer::Created { upload_id };
        upload.handle_answer(id, created, Mono::ZERO, 0);
        assert!(matches!(
            upload.poll_output(Mono::ZERO),
            Some(Output::Save(_))
        ));
        upload.handle_saved();
        let (id, part) = asked(&mut upload).unwrap();
        upload.handle_answer(id, failed(), Mono::ZERO, u64::MAX);
        assert_eq!(asked(&mut upload), None);
        upload.hurry();
        assert_eq!(asked(&mut upload).unwrap().1, part);
    }

    #[test]
    fn an_error_of_s3_means_something_for_the_upload() {
        let retry = |throttled| Failure::Retry {
            throttled,
            after: None,
        };
        let cases = [
            (404, "NoSuchUpload", Failure::NoSuchUpload),
            (400, "InvalidPart", Failure::InvalidPart),
            (412, "PreconditionFailed", Failure::Taken),
            (503, "SlowDown", retry(true)),
            (500, "InternalError", retry(false)),
            (400, "BadDigest", retry(false)),
            (400, "ExpiredToken", retry(false)),
            (403, "RequestTimeTooSkewed", retry(false)),
            (
                403,
                "AccessDenied",
                Failure::Refused("AccessDenied: words".into()),
            ),
            (
                404,
                "NoSuchBucket",
                Failure::Refused("NoSuchBucket: words".into()),
            ),
            (
                400,
                "EntityTooSmall",
                Failure::Refused("EntityTooSmall: words".into()),
            ),
        ];
        for (status, code, expected) in cases {
            let body = format!("<Error><Code>{code}</Code><Message>words</Message></Error>");
            let error = ServiceError::read_xml(status, None, body.as_bytes());
            assert_eq!(Failure::of(&error.into()), expected, "{code}");
        }
        let elsewhere = "<Error><Code>PermanentRedirect</Code><Message>words</Message></Error>";
        let error = ServiceError::read_xml(301, Some("eu-west-1"), elsewhere.as_bytes());
        let words = "PermanentRedirect: words (the bucket is in the region eu-west-1)";
        assert_eq!(Failure::of(&error.into()), Failure::Refused(words.into()));
        assert_eq!(
            Failure::of(&S3CallError::Missing("ETag")),
            Failure::Unreadable
        );
    }

    #[test]
    fn an_upload_whose_parts_cannot_be_listed_is_begun_anew() {
        for (phase, aborted) in [
            (Phase::Sending, Answer::Aborted),
            (Phase::Sending, Answer::Failed(Failure::Unreadable)),
            (Phase::Completing, Answer::Aborted),
        ] {
            let mut upload = Upload::resume(Record {
                bucket: "b".into(),
                key: ObjectKey::new("k").unwrap(),
                plan: PartPlan::new(1, limits::S3_PART_BYTES_MIN).unwrap(),
                source: "s".into(),
                checksum: Algorithm::Crc32,
                mark: "m".into(),
                upload_id: Some("u".into()),
                phase,
            });
            for _ in 0..limits::UPLOAD_LISTS_UNREADABLE_MAX {
                upload.hurry();
                let (id, request) = asked(&mut upload).unwrap();
                assert_eq!(request, Request::List { after: None });
                let failed = Answer::Failed(Failure::Unreadable);
                upload.handle_answer(id, failed, Mono::ZERO, u64::MAX);
            }
            upload.hurry();
            let (id, request) = asked(&mut upload).unwrap();
            assert_eq!(request, Request::Abort);
            upload.handle_answer(id, aborted, Mono::ZERO, 0);
            let (id, request) = asked(&mut upload).unwrap();
            if phase == Phase::Completing {
                // It may be there already.
                assert_eq!(request, Request::Head);
                upload.handle_answer(id, Answer::Mark(None), Mono::ZERO, 0);
                assert_eq!(asked(&mut upload).unwrap().1, Request::Create);
            } else {
                assert_eq!(request, Request::Create);
            }
            assert_eq!(upload.record().upload_id, None);
        }
    }
}
