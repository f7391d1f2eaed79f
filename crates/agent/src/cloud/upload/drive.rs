//! One upload from its row to its end: in one request, or in parts by the machine of the core.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use periwinkle_core::aws::ServiceErrorKind;
use periwinkle_core::aws::checksum::{Checksum, Coverage};
use periwinkle_core::aws::s3::upload::{
    Answer, Failure, Outcome, Output, PartPlan, Phase, Record, Request, Upload, UploadPlan, plan,
};
use periwinkle_core::aws::s3::{
    AbortMultipartUpload, Bucket, CompleteMultipartUpload, Condition, CreateMultipartUpload,
    HeadObject, ListParts, PutObject, S3CallError, UploadPart,
};
use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use periwinkle_core::value::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::UploadError;
use super::hub::{Hub, Running};
use super::row::{Row, State, UPLOAD};
use super::send::Stretch;
use super::source::Source;
use crate::net::entropy;

/// By which the object of an upload is known again.
const MARK: &str = "x-amz-meta-periwinkle-upload";

/// What became of an upload for now.
#[derive(Debug)]
pub(super) enum Ended {
    /// The object is there.
    Done {
        /// Its entity tag, where it was told.
        etag: Option<String>,
    },
    /// It goes on later.
    Later {
        /// Why.
        why: String,
        /// Somebody has to set something right first.
        refused: bool,
    },
    /// It is over without an object.
    Over(State, String),
    /// The same, and S3 may have parts of it.
    Left(State, String),
}

/// Uploads what the row says, until it is done, given up or to be tried later.
///
/// Dropping the future cuts off what is on its way; the row says how to go on.
pub(super) async fn drive(hub: &Arc<Hub>, row: Row, running: Running) -> Ended {
    let cancelled = running.cancel.subscribe();
    let (source, identity) = match Source::open(&row.file) {
        Ok(opened) => opened,
        Err(error) => {
            return match lost(&error) {
                Some(state) => give_up(hub, &row, state, error.to_string(), cancelled).await,
                None => later(&error),
            };
        }
    };
    if identity.to_string() != row.identity {
        let why = format!("{} was changed since it was taken", row.file.display());
        return give_up(hub, &row, State::Changed, why, cancelled).await;
    }
    let mut driver = match Driver::new(hub, row, source, running) {
        Ok(driver) => driver,
        Err(error) => return later(&error),
    };
    match plan(driver.row.bytes, hub.config.part_bytes.0) {
        Ok(_) if driver.row.record.is_some() => driver.in_parts(None).await,
        Ok(UploadPlan::Parts(plan)) => driver.in_parts(Some(plan)).await,
        Ok(UploadPlan::Single) => driver.in_one().await,
        Err(error) => Ended::Over(State::Aborted, error.to_string()),
    }
}

/// How an upload ends whose file cannot be opened: only when there is none any more, or no file in
/// its place. No descriptor left, a disk that does not read and a right that is missing pass.
fn lost(error: &UploadError) -> Option<State> {
    match error {
        UploadError::NotAFile(_) => Some(State::Changed),
        UploadError::File { source, .. } => match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Some(State::Gone),
            _ => None,
        },
        _ => None,
    }
}

/// The source is lost: what S3 has of it is given up.
async fn give_up(
    hub: &Arc<Hub>,
    row: &Row,
    state: State,
    why: String,
    mut cancelled: watch::Receiver<bool>,
) -> Ended {
    match abort_parts(hub, row).await {
        Ok(()) => Ended::Over(state, why),
        Err(_) if *cancelled.borrow_and_update() => Ended::Left(state, why),
        Err(error) => later(&error),
    }
}

/// Tells S3 to forget the parts of an upload, if there are any.
pub(super) async fn abort_parts(hub: &Hub, row: &Row) -> Result<(), UploadError> {
    let record = row.record.as_ref().and_then(|map| Record::decode(map).ok());
    let Some(Record {
        key,
        upload_id: Some(upload_id),
        ..
    }) = record
    else {
        return Ok(());
    };
    let bucket = hub.sender.bucket(&row.bucket)?;
    let abort = AbortMultipartUpload {
        key: &key,
        upload_id: &upload_id,
    };
    let request = abort.request(&bucket);
    let answer = AbortMultipartUpload::answer;
    hub.sender.call(&bucket, request, answer).await
}

fn later(error: &UploadError) -> Ended {
    Ended::Later {
        why: error.to_string(),
        refused: matches!(failure_of(error), Failure::Refused(_)),
    }
}

/// What an error means for the machine.
fn failure_of(error: &UploadError) -> Failure {
    match error {
        UploadError::Refused(error) => Failure::of(error),
        UploadError::Request(_) | UploadError::Bucket(_) => Failure::Refused(error.to_string()),
        _ => Failure::Retry {
            throttled: false,
            after: None,
        },
    }
}

struct Driver {
    hub: Arc<Hub>,
    row: Row,
    bucket: Bucket,
    source: Source,
    sent: Arc<AtomicU64>,
    cancelled: watch::Receiver<bool>,
    /// Somebody wants what failed tried now.
    hurried: watch::Receiver<()>,
    running: Running,
    /// The words of the last failure, for who asks why it waits.
    why: String,
    etag: Arc<OnceLock<String>>,
}

type Flying = Pin<Box<dyn Future<Output = (u64, Result<Answer, UploadError>)> + Send>>;

impl Driver {
    fn new(
        hub: &Arc<Hub>,
        row: Row,
        source: Source,
        running: Running,
    ) -> Result<Driver, UploadError> {
        Ok(Driver {
            bucket: hub.sender.bucket(&row.bucket)?,
            hub: hub.clone(),
            row,
            source,
            sent: running.sent.clone(),
            cancelled: running.cancel.subscribe(),
            hurried: hub.hurries.subscribe(),
            running,
            why: String::new(),
            etag: Arc::default(),
        })
    }

    /// The whole object in one request, which may be repeated: it says the same each time.
    async fn in_one(&mut self) -> Ended {
        let mut backoff = Backoff::full(limits::UPLOAD_BACKOFF_MIN, limits::UPLOAD_BACKOFF_MAX);
        loop {
            let mut cancelled = self.cancelled.clone();
            let attempt = tokio::select! {
                attempt = self.put_object() => attempt,
                () = turned_on(&mut cancelled) => return aborted(),
            };
            let error = match attempt {
                Ok(etag) => return Ended::Done { etag: Some(etag) },
                Err(error) => error,
            };
            if self.is_changed() {
                return self.changed();
            }
            self.sent.store(0, Ordering::Relaxed);
            self.note_failure(&error);
            let failure = failure_of(&error);
            // The service waits for them.
            if matches!(error, UploadError::Credentials(_)) {
                return later(&error);
            }
            if !matches!(failure, Failure::Retry { .. } | Failure::Unreadable)
                || backoff.attempts() >= limits::UPLOAD_FAILURES_MAX
            {
                return later(&error);
            }
            let pause = backoff.next_pause(entropy::chance());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = told(&mut self.hurried) => {}
                () = turned_on(&mut cancelled) => return aborted(),
            }
        }
    }

    async fn put_object(&self) -> Result<String, UploadError> {
        let put = PutObject {
            content_type: self.row.content_type.clone(),
            ..PutObject::new(self.row.key.clone(), self.row.bytes)
        };
        let (request, _) = put.request(&self.bucket)?;
        let stretch = self.stretch(0, self.row.bytes);
        let sender = &self.hub.sender;
        let sent = sender.put(&self.bucket, request, stretch, PutObject::answer);
        let (written, _) = sent.await?;
        Ok(written.etag)
    }

    /// Parts by the machine, from its record or from the beginning.
    async fn in_parts(&mut self, plan: Option<PartPlan>) -> Ended {
        let upload = match (&self.row.record, plan) {
            (Some(row), _) => match Record::decode(row) {
                Ok(record) => Upload::resume(record),
                Err(error) => {
                    return Ended::Later {
                        why: error.to_string(),
                        refused: true,
                    };
                }
            },
            (None, Some(plan)) => Upload::start(self.record(plan)),
            (None, None) => unreachable!("without a record there is a plan"),
        };
        let mut upload = upload.with_parallel(self.hub.config.parallel);
        let outcome = match self.run(&mut upload).await {
            Ok(outcome) => outcome,
            // The row is as it was: the machine goes on from there.
            Err(error) => return later(&error),
        };
        match outcome {
            Outcome::Done => Ended::Done {
                etag: self.etag.get().cloned(),
            },
            Outcome::Paused => Ended::Later {
                why: std::mem::take(&mut self.why),
                refused: false,
            },
            Outcome::Cancelled => aborted(),
            Outcome::SourceChanged => self.changed(),
            Outcome::Taken => Ended::Later {
                why: "another object has the key".to_owned(),
                refused: true,
            },
            Outcome::Refused(words) => self.begin_again_later(words).await,
        }
    }

    /// What S3 has of it was given up, so the next attempt begins without a record.
    async fn begin_again_later(&mut self, why: String) -> Ended {
        match self.save(None).await {
            Ok(()) => Ended::Later { why, refused: true },
            Err(error) => later(&error),
        }
    }

    async fn run(&mut self, upload: &mut Upload) -> Result<Outcome, UploadError> {
        let mut flying: FuturesUnordered<Flying> = FuturesUnordered::new();
        let mut cancelled = self.cancelled.clone();
        let mut hurried = self.hurried.clone();
        let mut cancelling = false;
        loop {
            while let Some(output) = upload.poll_output(self.hub.clock.mono()) {
                match output {
                    Output::Save(record) => {
                        self.save_or_abort(&record).await?;
                        upload.handle_saved();
                    }
                    Output::Request { id, request } => {
                        let record = upload.record().clone();
                        flying.push(self.fly(id, request, record));
                    }
                    Output::Finished(outcome) => return Ok(outcome),
                }
            }
            let timeout = upload.poll_timeout().map(|(at, _)| at);
            let timeout = timeout.map(|at| Instant::now() + at.since(self.hub.clock.mono()));
            tokio::select! {
                Some((id, answer)) = flying.next() => self.take_answer(upload, id, answer),
                () = at(timeout) => {}
                () = told(&mut hurried) => upload.hurry(),
                () = turned_on(&mut cancelled), if !cancelling => {
                    cancelling = true;
                    upload.cancel();
                }
            }
            self.tell_progress(upload, flying.is_empty());
        }
    }

    fn take_answer(&mut self, upload: &mut Upload, id: u64, answer: Result<Answer, UploadError>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) if self.is_changed() => Answer::Failed(Failure::SourceChanged),
            Err(error) => {
                self.note_failure(&error);
                Answer::Failed(failure_of(&error))
            }
        };
        upload.handle_answer(id, answer, self.hub.clock.mono(), entropy::chance());
    }

    fn note_failure(&mut self, error: &UploadError) {
        self.why = error.to_string();
        self.hub.note_failure(&self.running, &self.why);
    }

    /// Parts that failed were counted while they left: where nothing flies, what S3 has counts.
    fn tell_progress(&self, upload: &Upload, nothing_flies: bool) {
        let (done, parts) = upload.progress();
        let part_bytes = upload.record().plan.part_bytes();
        let there = match done == parts {
            true => self.row.bytes,
            false => u64::from(done) * part_bytes,
        };
        if nothing_flies || self.sent.load(Ordering::Relaxed) < there {
            self.sent.store(there, Ordering::Relaxed);
        }
        self.sent.fetch_min(self.row.bytes, Ordering::Relaxed);
    }

    /// An upload whose id is not on the disk would be forgotten, but not by S3.
    async fn save_or_abort(&mut self, record: &Record) -> Result<(), UploadError> {
        let first = self.row.record.is_none();
        let saved = self.save(Some(record.encode())).await;
        if saved.is_err() && first && record.phase == Phase::Sending {
            let forgotten = Row {
                record: Some(record.encode()),
                ..self.row.clone()
            };
            // The bucket's own rule does it if this does not.
            let _ = abort_parts(&self.hub, &forgotten).await;
        }
        saved
    }

    async fn save(&mut self, record: Option<Map>) -> Result<(), UploadError> {
        let value = record.clone().map_or(Value::Null, Value::Map);
        let change = Map::from([("id", Value::from(self.row.id.as_str())), ("record", value)]);
        let written = self.hub.db.update(UPLOAD, &change)?;
        written.ticket.durable().await?;
        self.row.record = record;
        Ok(())
    }

    fn record(&self, plan: PartPlan) -> Record {
        Record {
            bucket: self.row.bucket.clone(),
            key: self.row.key.clone(),
            plan,
            source: self.row.identity.clone(),
            checksum: self.hub.sender.algorithm(),
            mark: self.row.id.clone(),
            upload_id: None,
            phase: Phase::Sending,
        }
    }

    fn fly(&self, id: u64, request: Request, record: Record) -> Flying {
        let errand = Errand {
            hub: self.hub.clone(),
            bucket: self.bucket.clone(),
            source: self.source.clone(),
            sent: self.sent.clone(),
            content_type: self.row.content_type.clone(),
            etag: self.etag.clone(),
            record,
        };
        Box::pin(async move { (id, errand.run(request).await) })
    }

    fn stretch(&self, offset: u64, bytes: u64) -> Stretch {
        Stretch {
            source: self.source.clone(),
            identity: self.row.identity.clone(),
            offset,
            bytes,
            sent: self.sent.clone(),
        }
    }

    /// A file that cannot be asked now may be the same.
    fn is_changed(&self) -> bool {
        let identity = self.source.identity();
        identity.is_ok_and(|identity| identity.to_string() != self.row.identity)
    }

    fn changed(&self) -> Ended {
        let why = format!("{} was changed while it was sent", self.row.file.display());
        Ended::Over(State::Changed, why)
    }
}

fn aborted() -> Ended {
    Ended::Over(State::Aborted, "it was aborted".to_owned())
}

/// One request of the machine.
struct Errand {
    hub: Arc<Hub>,
    bucket: Bucket,
    source: Source,
    sent: Arc<AtomicU64>,
    content_type: Option<String>,
    etag: Arc<OnceLock<String>>,
    record: Record,
}

impl Errand {
    async fn run(&self, request: Request) -> Result<Answer, UploadError> {
        match request {
            Request::Create => self.create().await,
            Request::List { after } => {
                let list = ListParts {
                    key: &self.record.key,
                    upload_id: self.upload_id(),
                    after,
                };
                let request = list.request(&self.bucket);
                let page = self
                    .hub
                    .sender
                    .call(&self.bucket, request, ListParts::answer);
                Ok(Answer::Listed(page.await?))
            }
            Request::Part {
                number,
                offset,
                bytes,
            } => self.part(number, offset, bytes).await,
            Request::Hash { offset, bytes, .. } => self.hash(offset, bytes).await,
            Request::Complete { parts, checksum } => {
                // Stand-ins of S3 differ in what they take this field for. Each part's checksum
                // is compared everywhere.
                let whole = self.bucket.is_amazon().then_some(checksum);
                let complete = CompleteMultipartUpload {
                    key: &self.record.key,
                    upload_id: self.upload_id(),
                    parts: &parts,
                    length: Some(self.record.plan.length()),
                    checksum: whole,
                    condition: Condition::None,
                };
                let request = complete.request(&self.bucket)?;
                let answer = CompleteMultipartUpload::answer;
                let wait = limits::UPLOAD_COMPLETE_WAIT_MAX;
                let sender = &self.hub.sender;
                let made = sender.call_within(&self.bucket, request, wait, answer);
                // Set once: an object is made once.
                let _ = self.etag.set(made.await?);
                Ok(Answer::Completed)
            }
            Request::Head => self.head().await,
            Request::Abort => {
                let abort = AbortMultipartUpload {
                    key: &self.record.key,
                    upload_id: self.upload_id(),
                };
                let request = abort.request(&self.bucket);
                let answer = AbortMultipartUpload::answer;
                self.hub.sender.call(&self.bucket, request, answer).await?;
                Ok(Answer::Aborted)
            }
        }
    }

    fn upload_id(&self) -> &str {
        self.record.upload_id.as_deref().unwrap_or_default()
    }

    async fn create(&self) -> Result<Answer, UploadError> {
        let create = CreateMultipartUpload {
            key: self.record.key.clone(),
            content_type: self.content_type.clone(),
            checksum: Some((self.record.checksum, Coverage::FullObject)),
            metadata: Vec::new(),
        };
        let (request, _) = create.request(&self.bucket)?;
        let request = request.with_header(MARK, self.record.mark.as_str());
        let answer = CreateMultipartUpload::answer;
        let upload_id = self.hub.sender.call(&self.bucket, request, answer).await?;
        Ok(Answer::Created { upload_id })
    }

    async fn part(&self, number: u32, offset: u64, bytes: u64) -> Result<Answer, UploadError> {
        let part = UploadPart {
            key: &self.record.key,
            upload_id: self.upload_id(),
            number,
            length: bytes,
            checksum: None,
        };
        let request = part.request(&self.bucket)?;
        let stretch = Stretch {
            source: self.source.clone(),
            identity: self.record.source.clone(),
            offset,
            bytes,
            sent: self.sent.clone(),
        };
        let sender = &self.hub.sender;
        let sent = sender.put(&self.bucket, request, stretch, UploadPart::answer);
        let (written, checksum) = sent.await?;
        let etag = written.etag;
        Ok(Answer::Sent { etag, checksum })
    }

    /// S3 has the part and did not say its checksum, so it is taken from the file again.
    async fn hash(&self, offset: u64, bytes: u64) -> Result<Answer, UploadError> {
        let mut checksum = Checksum::new(self.record.checksum);
        let mut at = 0;
        while at < bytes {
            let piece = (bytes - at).min(limits::UPLOAD_PIECE_BYTES as u64);
            let size = usize::try_from(piece).expect("a piece fits memory");
            let read = self.source.read(offset + at, size).await;
            let read = read.map_err(|source| UploadError::File {
                path: self.source.path(),
                source,
            })?;
            checksum.update(&read);
            at += piece;
        }
        Ok(Answer::Hashed(checksum.value()))
    }

    async fn head(&self) -> Result<Answer, UploadError> {
        let head = HeadObject {
            key: self.record.key.clone(),
            version: None,
        };
        let request = head.request(&self.bucket);
        let fields = self
            .hub
            .sender
            .call(&self.bucket, request, HeadObject::answer);
        match fields.await {
            Ok(fields) => {
                let mut metadata = fields.metadata.into_iter();
                let name = MARK.trim_start_matches("x-amz-meta-");
                let mark = metadata.find(|(given, _)| given == name);
                Ok(Answer::Mark(mark.map(|(_, mark)| mark)))
            }
            // Who may not list the bucket is not told that there is no object, but refused.
            Err(UploadError::Refused(S3CallError::Service(error)))
                if matches!(
                    error.kind,
                    ServiceErrorKind::NoSuchResource | ServiceErrorKind::AccessDenied
                ) =>
            {
                Ok(Answer::Mark(None))
            }
            Err(error) => Err(error),
        }
    }
}

async fn turned_on(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|on| *on).await.is_err() {
        // Nobody is left who could.
        std::future::pending::<()>().await;
    }
}

async fn told(news: &mut watch::Receiver<()>) {
    if news.changed().await.is_err() {
        // Nobody is left who could tell.
        std::future::pending::<()>().await;
    }
}

pub(super) async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_a_file_that_is_not_there_is_gone() {
        let of = |source: std::io::Error| {
            let path = "/v/a".into();
            lost(&UploadError::File { path, source })
        };
        assert_eq!(of(ErrorKind::NotFound.into()), Some(State::Gone));
        assert_eq!(of(ErrorKind::NotADirectory.into()), Some(State::Gone));
        let other = UploadError::NotAFile("/v/a".into());
        assert_eq!(lost(&other), Some(State::Changed));
        let passing = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::IO,
            Errno::ACCESS,
            Errno::PERM,
            Errno::STALE,
            Errno::NOMEM,
            Errno::INTR,
            Errno::LOOP,
        ];
        for errno in passing {
            assert_eq!(of(errno.into()), None, "{errno}");
        }
    }
}
