//! What the service and everybody who wants something uploaded share: the queue in memory, its
//! rows in the database, and what is needed to speak to S3.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};

use periwinkle_core::config::{self, Config};
use periwinkle_core::ids::UlidSource;
use periwinkle_core::limits;
use periwinkle_core::time::{Mono, UnixMillis};
use periwinkle_core::upload::{Budget, Identity, Queue, Waiting};
use periwinkle_core::value::{Map, Value};
use periwinkle_db::engine::Durability;
use periwinkle_db::{Database, DbError, Find, Transaction, Write};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

use super::error::UploadError;
use super::look::file_id;
use super::row::{Row, State, UPLOAD, UPLOAD_FILE, whole};
use super::send::Sender;
use super::source::{Source, remove_same};
use super::spool::Spool;
use crate::fetch::{CredentialsSource, Fetch};
use crate::net::clock::Clock;
use crate::net::entropy;

/// What uploads are made of; shared by all handles.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: config::Upload,
    pub(super) device: String,
    pub(super) db: Database,
    pub(super) clock: Clock,
    pub(super) sender: Sender,
    pub(super) spool: Spool,
    pub(super) counters: Counters,
    /// There is something new to do.
    pub(super) wake: Notify,
    /// Tells those who pause that somebody wants it tried now.
    pub(super) hurries: watch::Sender<()>,
    /// Counts attempts that ended, for those who wait for one.
    pub(super) ends: watch::Sender<u64>,
    queue: Mutex<Queue>,
    running: Mutex<BTreeMap<String, Running>>,
    ids: Mutex<UlidSource>,
    /// The trouble that the log knows of.
    logged: Mutex<Option<String>>,
    /// Why there are no credentials, while uploads wait for them.
    lacking: Mutex<Option<String>>,
    /// Files that the last clearing could not remove.
    left: AtomicUsize,
    /// Said once that what is left behind at S3 cannot be cleared from here.
    pub(super) orphans_told: Once,
}

/// An upload that is being sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub(super) sent: Arc<AtomicU64>,
    pub(super) cancel: watch::Sender<bool>,
    pub(super) trouble: Arc<Mutex<Trouble>>,
}

/// What went wrong since an upload began to be sent, which its row does not know yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    pub(super) failures: u32,
    /// The last one, in words.
    pub(super) why: Option<String>,
}

impl Running {
    pub(super) fn trouble(&self) -> Trouble {
        let trouble = self.trouble.lock();
        trouble.expect("no holder of the trouble panics").clone()
    }
}

/// What happened since the agent started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) done: AtomicU64,
    pub(super) done_bytes: AtomicU64,
    pub(super) aborted: AtomicU64,
    /// Files that were changed or went away before they were sent.
    pub(super) lost: AtomicU64,
    /// Dropped for their age.
    pub(super) expired: AtomicU64,
    /// Refused for want of room.
    pub(super) refused: AtomicU64,
    pub(super) attempts_failed: AtomicU64,
    /// Files that the last look found and that cannot be taken.
    pub(super) files_unusable: AtomicU64,
    pub(super) orphans: AtomicU64,
}

/// A file that a watch takes.
#[derive(Debug)]
pub(super) struct Taken {
    /// The note that it was taken.
    pub(super) note: Map,
    /// What it was while it was at rest, and must be still.
    pub(super) identity: Identity,
}

/// How an upload ends.
#[derive(Debug)]
pub(super) struct End {
    pub(super) state: State,
    pub(super) etag: Option<String>,
    pub(super) error: Option<String>,
    /// S3 may have parts of it: the row keeps what is needed to give them up.
    pub(super) has_parts: bool,
}

impl End {
    pub(super) fn of(state: State) -> End {
        End {
            state,
            etag: None,
            error: None,
            has_parts: false,
        }
    }
}

/// What is wanted, before it has a row.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) bucket: String,
    pub(super) key: periwinkle_core::aws::s3::ObjectKey,
    pub(super) priority: u32,
    pub(super) content_type: Option<String>,
    pub(super) remove: bool,
}

impl Hub {
    /// Takes up what the database knows of. Copies that belong to nothing are cleared.
    pub(super) fn open(
        config: &Config,
        db: &Database,
        clock: &Clock,
        fetch: Fetch,
        credentials: CredentialsSource,
    ) -> Result<Arc<Hub>, UploadError> {
        let upload = &config.upload;
        let budget = Budget {
            rows_max: upload.queue_rows_max.into(),
            bytes_max: upload.queue_bytes_max.0,
        };
        let hub = Hub {
            config: upload.clone(),
            device: db.context().text("deviceId").unwrap_or_default().to_owned(),
            db: db.clone(),
            clock: clock.clone(),
            sender: Sender::new(upload, fetch, clock.clone(), credentials),
            spool: Spool::new(config.upload_spool()),
            counters: Counters::default(),
            wake: Notify::new(),
            hurries: watch::Sender::new(()),
            ends: watch::Sender::new(0),
            logged: Mutex::default(),
            lacking: Mutex::default(),
            left: AtomicUsize::new(0),
            orphans_told: Once::new(),
            queue: Mutex::new(Queue::new(budget)),
            running: Mutex::default(),
            ids: Mutex::default(),
        };
        if upload.enable {
            hub.take_up()?;
        }
        Ok(Arc::new(hub))
    }

    fn take_up(&self) -> Result<(), UploadError> {
        let kept = self.copies()?;
        for row in self.rows()? {
            if row.state == State::Waiting {
                self.queue().push(&row.id, waiting(&row));
            }
        }
        match self.spool.clear(|id| kept.contains(id)) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed copies whose writing was cut off"),
            Err(error) => tracing::warn!("copies that belong to nothing stay: {error}"),
        }
        Ok(())
    }

    /// The uploads whose copies stay, if there are any: those that were neither uploaded nor given
    /// up by somebody, and those whose rows are not understood, such as a newer program's.
    fn copies(&self) -> Result<BTreeSet<String>, DbError> {
        let items = self.all(UPLOAD)?;
        let kept = items.iter().filter(|item| {
            let state = Row::read(item).map(|row| row.state);
            !matches!(state, Some(State::Done | State::Aborted | State::Expired))
        });
        let ids = kept.filter_map(|item| item.text("id"));
        Ok(ids.map(str::to_owned).collect())
    }

    /// Whether the configuration switches uploads on.
    pub(super) fn check_on(&self) -> Result<(), UploadError> {
        match self.config.enable {
            true => Ok(()),
            false => Err(UploadError::Off),
        }
    }

    /// The bucket of who names none.
    pub(super) fn default_bucket(&self) -> Result<String, UploadError> {
        let bucket = self.config.bucket.as_ref().ok_or(UploadError::Off)?;
        Ok(bucket.as_str().to_owned())
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of the queue panics")
    }

    pub(super) fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().expect("no holder of the list panics")
    }

    pub(super) fn running_one(&self, id: &str) -> Option<Running> {
        self.running().get(id).cloned()
    }

    /// A new id; ids rise.
    pub(super) fn new_id(&self) -> String {
        let mut ids = self.ids.lock().expect("making an id does not panic");
        let mut fill = |bytes: &mut [u8]| {
            entropy::fill(bytes).expect("the system's entropy was there at the start");
        };
        ids.next(self.clock.now().wall, &mut fill)
    }

    /// The wall time if it can be trusted: nothing is timed by another one.
    pub(super) fn trusted_ms(&self) -> Option<i64> {
        let now = self.clock.now();
        now.wall.filter(|_| now.trusted).map(|UnixMillis(ms)| ms)
    }

    /// Puts a file into the queue, where it stays, once its row is on the disk; with the note that
    /// a watch took it, both or none.
    pub(super) async fn enqueue(
        &self,
        wanted: Wanted,
        path: &Path,
        watch: Option<Taken>,
    ) -> Result<Row, UploadError> {
        let (source, identity) = Source::open(path)?;
        if source.is_made() {
            return Err(UploadError::NoLength(path.to_owned()));
        }
        let is_same = |taken: &Taken| taken.identity == identity;
        if !watch.as_ref().is_none_or(is_same) {
            return Err(UploadError::Changed(path.to_owned()));
        }
        self.queue()
            .check_room(0)
            .inspect_err(|_| self.count_refused())?;
        let row = self.new_row(self.new_id(), wanted, path, &identity)?;
        let row = Row {
            watched: watch.is_some(),
            ..row
        };
        self.commit(row, watch.map(|taken| taken.note)).await
    }

    /// A row for a file that was just looked at.
    pub(super) fn new_row(
        &self,
        id: String,
        wanted: Wanted,
        path: &Path,
        identity: &Identity,
    ) -> Result<Row, UploadError> {
        let Some(file) = path.to_str() else {
            let source = io::Error::other("its name is not UTF-8");
            let path = path.to_owned();
            return Err(UploadError::File { path, source });
        };
        Ok(Row {
            id,
            state: State::Waiting,
            bucket: wanted.bucket,
            key: wanted.key,
            file: file.into(),
            identity: identity.to_string(),
            bytes: identity.bytes,
            copied: false,
            watched: false,
            remove: wanted.remove,
            left: false,
            priority: wanted.priority,
            attempts: 0,
            content_type: wanted.content_type,
            created_ms: self.trusted_ms(),
            ended_ms: None,
            error: None,
            refused: false,
            etag: None,
            record: None,
        })
    }

    /// An upload that waited waits again.
    pub(super) fn wait_again(&self, row: &Row) {
        self.queue().push(&row.id, waiting(row));
    }

    /// Makes the row durable, then lets it be sent. Dropping the future may leave the row.
    pub(super) async fn commit(&self, row: Row, watch: Option<Map>) -> Result<Row, UploadError> {
        let mut writes = vec![Write::create(UPLOAD, row.properties())];
        if let Some(mut note) = watch {
            note.insert("upload", row.id.as_str());
            writes.push(Write::upsert(UPLOAD_FILE, note));
        }
        let written = self.db.write_all(&writes)?;
        written.ticket.durable().await?;
        self.queue().push(&row.id, waiting(&row));
        self.wake.notify_one();
        Ok(row)
    }

    /// The row of an upload.
    pub(super) fn row(&self, id: &str) -> Result<Row, UploadError> {
        let row = self.db.get(UPLOAD, &Map::from([("id", id)]))?;
        row.as_ref()
            .and_then(Row::read)
            .ok_or_else(|| UploadError::Unknown(id.to_owned()))
    }

    /// All rows, the oldest first; those that cannot be read are left out.
    pub(super) fn rows(&self) -> Result<Vec<Row>, DbError> {
        let items = self.all(UPLOAD)?;
        Ok(items.iter().filter_map(Row::read).collect())
    }

    pub(super) fn all(&self, model: &str) -> Result<Vec<Map>, DbError> {
        let (mut items, mut find) = (Vec::new(), Find::new());
        loop {
            let page = self.db.find(model, &Map::new(), &find)?;
            items.extend(page.items);
            match page.next {
                Some(next) => find = Find::new().next(next),
                None => return Ok(items),
            }
        }
    }

    /// Writes how an upload ended, and only when that is on the disk removes its file; whether
    /// nothing is left to be cleared away later.
    pub(super) async fn end(&self, row: &Row, end: End) -> Result<bool, UploadError> {
        let End {
            state,
            etag,
            error,
            has_parts,
        } = end;
        let removes = match state {
            State::Done => row.copied || row.remove,
            // The owner's word: by hand, or by `upload.queue_age_max`.
            State::Aborted | State::Expired => row.copied,
            State::Changed | State::Gone | State::Waiting => false,
        };
        let mut change = Map::from([
            ("id", Value::from(row.id.as_str())),
            ("state", Value::from(state.as_str())),
            ("attempts", whole(self.attempts(row).into())),
            ("left", Value::from(removes)),
            ("etag", etag.map_or(Value::Null, Value::from)),
            ("error", error.map_or(Value::Null, Value::from)),
        ]);
        if let Some(now) = self.trusted_ms() {
            change.insert("ended_ms", now);
        }
        if !has_parts {
            change.insert("record", Value::Null);
        }
        let db = self.db.durability(Durability::Immediate);
        let written = db.transaction(|tx| {
            tx.update(UPLOAD, &change)?;
            match state {
                State::Changed | State::Gone => forget_note(tx, row),
                _ => Ok(()),
            }
        });
        written?.ticket.durable().await?;
        self.queue().remove(&row.id);
        self.running().remove(&row.id);
        self.count_end(row, state);
        let mut is_clear = !has_parts;
        if removes {
            let removed = self.remove_file(row).await;
            is_clear &= removed.is_ok();
            if let Err(error) = removed {
                let file = row.file.display();
                tracing::debug!("{file} is {state} and cannot be removed: {error}");
            }
        }
        self.ends.send_modify(|ends| *ends += 1);
        Ok(is_clear)
    }

    /// Removes the file of an upload that has ended, unless it is another one by now.
    pub(super) async fn remove_file(&self, row: &Row) -> io::Result<()> {
        let (file, identity) = (row.file.clone(), row.identity.clone());
        let removal = spawn_blocking(move || remove_same(&file, &identity)).await;
        let gone = removal.unwrap_or_else(|error| Err(error.into()))?;
        self.note_removal(row, gone);
        Ok(())
    }

    /// Notes that nothing of an upload that has ended is to be removed any more.
    fn note_removal(&self, row: &Row, gone: bool) {
        if !gone {
            let file = row.file.display();
            tracing::debug!(%file, "not removed: it was changed since it was taken");
        }
        let change = Map::from([
            ("id", Value::from(row.id.as_str())),
            ("left", Value::from(false)),
        ]);
        let db = self.db.durability(Durability::Relaxed);
        if let Err(error) = db.update(UPLOAD, &change) {
            tracing::debug!("the removal of a file is not noted: {error}");
        }
    }

    /// One line when the number of files that cannot be removed is another one.
    pub(super) fn log_left(&self, files: usize, why: Option<String>) {
        let before = self.left.swap(files, Ordering::Relaxed);
        match why {
            Some(why) if files != before => tracing::warn!(
                files,
                "files of uploads that have ended cannot be removed, and it is tried again: {why}"
            ),
            None if before > 0 => tracing::info!("files of uploads that have ended are removed"),
            _ => {}
        }
    }

    /// Lets it wait for its next attempt, and says why.
    pub(super) fn postpone(&self, row: &Row, (why, refused): (&str, bool), not_before: Mono) {
        if let Some(running) = self.running_one(&row.id)
            && running.trouble().failures == 0
        {
            self.note_failure(&running, why);
        }
        let change = Map::from([
            ("id", Value::from(row.id.as_str())),
            ("attempts", whole(self.attempts(row).into())),
            ("error", Value::from(why)),
            ("refused", Value::from(refused)),
        ]);
        let db = self.db.durability(Durability::Relaxed);
        {
            // Who looks meanwhile must not count the same failures in both places.
            let mut running = self.running();
            if let Err(error) = db.update(UPLOAD, &change) {
                tracing::debug!("a failed attempt is not noted: {error}");
            }
            running.remove(&row.id);
        }
        self.queue().put_back(&row.id, not_before);
        self.ends.send_modify(|ends| *ends += 1);
    }

    /// Something that was sent failed, and may be sent again soon: who asks is told at once, the log
    /// when it goes on for a while.
    pub(super) fn note_failure(&self, running: &Running, why: &str) {
        let failed = &self.counters.attempts_failed;
        failed.fetch_add(1, Ordering::Relaxed);
        let failures = {
            let trouble = running.trouble.lock();
            let mut trouble = trouble.expect("no holder of the trouble panics");
            trouble.failures += 1;
            trouble.why = Some(why.to_owned());
            trouble.failures
        };
        if failures == limits::UPLOAD_FAILURES_TOLD {
            self.log_trouble(why);
        }
    }

    /// One line when a trouble begins and one when something is uploaded again.
    pub(super) fn log_trouble(&self, why: &str) {
        let mut logged = self.logged.lock().expect("no holder of the words panics");
        if logged.as_deref() != Some(why) {
            tracing::warn!("uploads wait: {why}");
            *logged = Some(why.to_owned());
        }
    }

    pub(super) fn log_good(&self) {
        let mut logged = self.logged.lock().expect("no holder of the words panics");
        if logged.take().is_some() {
            tracing::info!("uploads go on");
        }
    }

    /// Ends all pauses, those within an attempt too.
    pub(super) fn hurry(&self) {
        self.queue().hurry();
        self.hurries.send_replace(());
        self.wake.notify_one();
    }

    /// Looks whether what waits has credentials to be signed with; what was put off for the want of
    /// them is free as soon as they are there.
    pub(super) fn look_for_credentials(&self) -> bool {
        let waits = self.queue().poll_timeout().is_some();
        let error = waits.then(|| self.sender.lacks_credentials()).flatten();
        let why = error.map(|error| error.to_string());
        if let Some(why) = &why {
            self.log_trouble(why);
        }
        let has_some = why.is_none();
        let mut lacking = self.lacking.lock().expect("no holder of the words panics");
        if std::mem::replace(&mut *lacking, why).is_some() && has_some {
            self.queue().hurry();
        }
        has_some
    }

    /// Why there are no credentials for what waits.
    pub(super) fn credentials_error(&self) -> Option<String> {
        let lacking = self.lacking.lock().expect("no holder of the words panics");
        lacking.clone()
    }

    /// How often an upload was tried in vain, by now.
    pub(super) fn attempts(&self, row: &Row) -> u32 {
        let now = self.running_one(&row.id);
        let now = now.map_or(0, |running| running.trouble().failures);
        row.attempts.saturating_add(now)
    }

    /// Gives an upload up, whatever it does now.
    pub(super) async fn abort(&self, id: &str) -> Result<(), UploadError> {
        let row = self.row(id)?;
        if row.state != State::Waiting {
            let state = row.state;
            let id = row.id;
            return Err(UploadError::Ended { id, state });
        }
        let mut ends = self.ends.subscribe();
        while let Some(running) = self.running_one(id) {
            // Whoever sends it writes the end.
            running.cancel.send_replace(true);
            if ends.changed().await.is_err() {
                break;
            }
        }
        if self.row(id)?.state != State::Waiting {
            return Ok(());
        }
        self.queue().remove(id);
        let aborted = super::drive::abort_parts(self, &row).await;
        let has_parts = aborted.is_err();
        if let Err(error) = aborted {
            tracing::info!(key = %row.key, "S3 still has parts of an aborted upload: {error}");
        }
        let end = End {
            has_parts,
            ..End::of(State::Aborted)
        };
        self.end(&row, end).await.map(drop)
    }

    pub(super) fn count_refused(&self) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn count_end(&self, row: &Row, state: State) {
        let counters = &self.counters;
        let counter = match state {
            State::Done => &counters.done,
            State::Aborted => &counters.aborted,
            State::Expired => &counters.expired,
            State::Changed | State::Gone | State::Waiting => &counters.lost,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if state == State::Done {
            counters.done_bytes.fetch_add(row.bytes, Ordering::Relaxed);
        }
    }

    /// The section `upload` of the status.
    pub(super) fn show(&self) -> serde_json::Value {
        if !self.config.enable {
            return json!({"enabled": false});
        }
        let (rows, bytes, sending) = {
            let queue = self.queue();
            (queue.rows(), queue.bytes(), queue.sending())
        };
        let counters = &self.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "enabled": true,
            "bucket": self.config.bucket.as_ref().map(ToString::to_string),
            "region": self.config.region.as_ref().map(ToString::to_string),
            "queued_rows": rows,
            "queued_bytes": bytes,
            "sending": sending,
            "credentials_error": self.credentials_error(),
            "done": of(&counters.done),
            "done_bytes": of(&counters.done_bytes),
            "aborted": of(&counters.aborted),
            "lost": of(&counters.lost),
            "expired": of(&counters.expired),
            "refused": of(&counters.refused),
            "attempts_failed": of(&counters.attempts_failed),
            "files_unusable": of(&counters.files_unusable),
            "orphans": of(&counters.orphans),
        })
    }
}

/// A watched file that was lost was not uploaded: should it come back, it is taken anew. The note
/// of another state of the file stays.
fn forget_note(tx: &mut Transaction<'_>, row: &Row) -> Result<(), DbError> {
    if !row.watched {
        return Ok(());
    }
    let id = Map::from([("id", file_id(&row.file.to_string_lossy()))]);
    match tx.get(UPLOAD_FILE, &id)? {
        Some(note) if note.text("upload") == Some(&row.id) => tx.remove(UPLOAD_FILE, &id).map(drop),
        _ => Ok(()),
    }
}

fn waiting(row: &Row) -> Waiting {
    Waiting {
        priority: row.priority,
        kept_bytes: row.kept_bytes(),
        not_before: Mono::ZERO,
    }
}
