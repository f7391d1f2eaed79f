//! What a maker's program does with uploads.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use periwinkle_core::aws::s3::{Bucket, KeyTemplate, ObjectKey, PutObject, TemplateError};
use periwinkle_core::config::{KEY_VARIABLES, NAMELESS_KEY_VARIABLES};
use periwinkle_core::limits;
use periwinkle_core::time::UnixMillis;

use super::error::UploadError;
use super::hub::{Hub, Trouble, Wanted};
use super::look::fill;
use super::row::{Row, State, foremost};
use super::source::Source;
use crate::Agent;

/// Uploads to S3, and what is there; clones share one queue.
///
/// ```no_run
/// # async fn example(agent: periwinkle::Agent) -> Result<(), Box<dyn std::error::Error>> {
/// let uploads = agent.uploads();
/// // Safe from a power cut once it resolves; it is sent when there is a link.
/// let upload = uploads.put("${deviceId}/report.json", "{\"ok\":true}").await?;
/// let done = upload.done().await?;
/// println!("{} at S3: {:?}", done.bytes, done.state);
///
/// uploads.put_file("${deviceId}/video.mp4", "/data/video.mp4").remove().priority(9).await?;
/// let page = uploads.list("pump-7/").await?;
/// let link = uploads.presign_get("pump-7/report.json", std::time::Duration::from_secs(3600))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Uploads {
    pub(super) hub: Arc<Hub>,
}

/// An upload that is in the queue.
#[derive(Clone, Debug)]
pub struct Upload {
    hub: Arc<Hub>,
    id: String,
}

/// How an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How it is.
    pub state: State,
    /// How many bytes have left. What was lost on its way leaves again.
    pub sent: u64,
    /// How many there are.
    pub bytes: u64,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Why the last attempt failed or none is made, or how it ended.
    pub error: Option<String>,
    /// The entity tag of the object.
    pub etag: Option<String>,
}

/// An upload under construction; it is in the queue when it was awaited.
#[must_use = "an upload is taken when it is awaited"]
pub struct Put {
    hub: Arc<Hub>,
    key: String,
    what: What,
    bucket: Option<String>,
    priority: u32,
    content_type: Option<String>,
    remove: bool,
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, UploadError>> + Send>>;

enum What {
    Stream(Pieces),
    File(PathBuf),
}

impl Agent {
    /// Uploads to S3, as the configuration has them. Clones share one queue.
    pub fn uploads(&self) -> Uploads {
        self.services.uploads.clone()
    }
}

impl Uploads {
    pub(super) fn new(hub: Arc<Hub>) -> Uploads {
        Uploads { hub }
    }

    /// Uploads bytes under a key, in which `${deviceId}`, `${date}`, `${time}` and `${id}` are
    /// filled.
    pub fn put(&self, key: impl Into<String>, bytes: impl Into<Bytes>) -> Put {
        let bytes = bytes.into();
        self.put_stream(key, stream::iter([Ok::<_, UploadError>(bytes)]))
    }

    /// Uploads what a stream gives. It is copied to the disk first: so it survives restarts, can
    /// be sent again after a failure, and waits while there is no link.
    pub fn put_stream<E: fmt::Display>(
        &self,
        key: impl Into<String>,
        stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Put {
        let named =
            |piece: Result<Bytes, E>| piece.map_err(|error| UploadError::Stream(error.to_string()));
        self.new_put(key, What::Stream(Box::pin(stream.map(named))))
    }

    /// Uploads a file from where it is. It must stay as it is until it is uploaded; one that is
    /// changed before is not.
    pub fn put_file(&self, key: impl Into<String>, path: impl Into<PathBuf>) -> Put {
        self.new_put(key, What::File(path.into()))
    }

    fn new_put(&self, key: impl Into<String>, what: What) -> Put {
        Put {
            hub: self.hub.clone(),
            key: key.into(),
            what,
            bucket: None,
            priority: limits::UPLOAD_PRIORITY_STEPS,
            content_type: None,
            remove: false,
        }
    }

    /// An upload by its id.
    ///
    /// # Errors
    /// There is none, or it is forgotten.
    pub fn upload(&self, id: &str) -> Result<Upload, UploadError> {
        let row = self.hub.row(id)?;
        Ok(Upload {
            hub: self.hub.clone(),
            id: row.id,
        })
    }

    /// Ends all pauses: what failed is tried again now.
    pub fn retry(&self) {
        self.hub.hurry();
    }

    /// The queue and what has ended of late, as `GET /api/v1/uploads` answers it.
    ///
    /// With a limit, of each kind so many, as [`foremost`] has it.
    pub(crate) fn show(
        &self,
        ended: bool,
        limit: Option<usize>,
    ) -> Result<serde_json::Value, UploadError> {
        let mut shown = self.hub.show();
        let mut rows = self.hub.rows()?;
        rows.retain(|row| ended || row.state == State::Waiting);
        if let Some(limit) = limit {
            let is_sending = |id: &str| self.hub.running_one(id).is_some();
            rows = foremost(rows, limit, is_sending);
        }
        let uploads: Vec<serde_json::Value> = rows.iter().map(|row| self.show_row(row)).collect();
        shown["uploads"] = uploads.into();
        Ok(shown)
    }

    /// One upload, as the API shows it.
    pub(crate) fn show_one(&self, id: &str) -> Result<serde_json::Value, UploadError> {
        Ok(self.show_row(&self.hub.row(id)?))
    }

    fn show_row(&self, row: &Row) -> serde_json::Value {
        let running = self.hub.running_one(&row.id);
        let mut shown = row.show(running.as_ref());
        let lacking = self.hub.credentials_error();
        let lacking = lacking.filter(|_| row.state == State::Waiting && running.is_none());
        shown["lacks_credentials"] = lacking.is_some().into();
        if let Some(why) = lacking {
            shown["error"] = why.into();
        }
        shown
    }

    /// The section `upload` of the status.
    pub(crate) fn show_status(&self) -> serde_json::Value {
        self.hub.show()
    }

    pub(super) fn bucket(&self, name: Option<&str>) -> Result<Bucket, UploadError> {
        self.hub.check_on()?;
        match name {
            Some(name) => self.hub.sender.bucket(name),
            None => self.hub.sender.bucket(&self.hub.default_bucket()?),
        }
    }
}

impl Upload {
    /// Its id, good for as long as it is remembered.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it is now.
    ///
    /// # Errors
    /// It is forgotten, or the database cannot be read.
    pub fn progress(&self) -> Result<Progress, UploadError> {
        let row = self.hub.row(&self.id)?;
        let running = self.hub.running_one(&self.id);
        let lacking = match (row.state, &running) {
            (State::Waiting, None) => self.hub.credentials_error(),
            _ => None,
        };
        let running = running.unwrap_or_default();
        let trouble = match row.state {
            State::Waiting => running.trouble(),
            _ => Trouble::default(),
        };
        Ok(Progress {
            state: row.state,
            sent: match row.state {
                State::Done => row.bytes,
                _ => running.sent.load(Ordering::Relaxed),
            },
            bytes: row.bytes,
            attempts: row.attempts.saturating_add(trouble.failures),
            error: trouble.why.or(lacking).or(row.error),
            etag: row.etag,
        })
    }

    /// Waits until it has ended, well or not: [`Progress::state`] says how.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// It is forgotten, or the database cannot be read.
    pub async fn done(&self) -> Result<Progress, UploadError> {
        let mut ends = self.hub.ends.subscribe();
        loop {
            let progress = self.progress()?;
            if progress.state != State::Waiting || ends.changed().await.is_err() {
                return Ok(progress);
            }
        }
    }

    /// Gives it up, with what S3 has of it. A copy is removed, a file of the maker's stays.
    ///
    /// Dropping the future may leave it given up or not.
    ///
    /// # Errors
    /// It has ended before.
    pub async fn abort(&self) -> Result<(), UploadError> {
        self.hub.abort(&self.id).await
    }
}

impl Put {
    /// To another bucket than the configured one.
    pub fn bucket(self, name: impl Into<String>) -> Put {
        Put {
            bucket: Some(name.into()),
            ..self
        }
    }

    /// From 0 to 9; higher ones go first, 5 is usual. Others are refused.
    pub fn priority(self, priority: u32) -> Put {
        Put { priority, ..self }
    }

    /// The type of the object.
    pub fn content_type(self, content_type: impl Into<String>) -> Put {
        Put {
            content_type: Some(content_type.into()),
            ..self
        }
    }

    /// The file is removed once it is uploaded.
    pub fn remove(self) -> Put {
        Put {
            remove: true,
            ..self
        }
    }

    fn template(&self) -> Result<KeyTemplate, UploadError> {
        let keys = KeyTemplate::parse(&self.key, KEY_VARIABLES)?;
        let nameless = || KeyTemplate::parse(&self.key, NAMELESS_KEY_VARIABLES);
        if let What::Stream(_) = self.what
            && let Err(TemplateError::Unknown { name, .. }) = nameless()
        {
            return Err(UploadError::Nameless(name));
        }
        Ok(keys)
    }

    async fn take(self) -> Result<Upload, UploadError> {
        self.hub.check_on()?;
        if self.priority > limits::UPLOAD_PRIORITY_STEPS_MAX {
            return Err(UploadError::Priority(self.priority));
        }
        let keys = self.template()?;
        let hub = self.hub;
        let name = match &self.what {
            What::File(path) => path.to_string_lossy().into_owned(),
            What::Stream(_) => String::new(),
        };
        let now = hub.clock.now().wall.unwrap_or(UnixMillis(0));
        let wanted = Wanted {
            key: fill(&keys, &hub, name.trim_start_matches('/'), now)?,
            bucket: match self.bucket {
                Some(bucket) => bucket,
                None => hub.default_bucket()?,
            },
            priority: self.priority,
            content_type: self.content_type,
            remove: self.remove,
        };
        // A bucket or a type that cannot be is better refused now than by every attempt.
        let bucket = hub.sender.bucket(&wanted.bucket)?;
        check(&bucket, &wanted.key, wanted.content_type.as_deref())?;
        let row = match self.what {
            What::File(path) => match made(&path, wanted.remove).await? {
                Some(bytes) => {
                    let whole = stream::once(async move { Ok(Bytes::from(bytes)) });
                    copy_in(&hub, wanted, Box::pin(whole)).await?
                }
                None => hub.enqueue(wanted, &path, None).await?,
            },
            What::Stream(stream) => copy_in(&hub, wanted, stream).await?,
        };
        Ok(Upload { hub, id: row.id })
    }
}

fn check(bucket: &Bucket, key: &ObjectKey, content_type: Option<&str>) -> Result<(), UploadError> {
    let put = PutObject::new(key.clone(), 0);
    put.request(bucket)?;
    match content_type {
        Some(text) if http::HeaderValue::from_str(text).is_err() => {
            Err(UploadError::Stream(format!("{text:?} is no content type")))
        }
        _ => Ok(()),
    }
}

/// The bytes of a file that has no length before it is read, and so is copied first.
async fn made(path: &Path, removes: bool) -> Result<Option<Vec<u8>>, UploadError> {
    let (source, _) = Source::open(path)?;
    match source.is_made() {
        true if removes => Err(UploadError::NoLength(path.to_owned())),
        true => source.read_made().await.map(Some),
        false => Ok(None),
    }
}

/// A place in the queue while its bytes come in; given back unless it is used.
struct Reserved<'a> {
    hub: &'a Hub,
    bytes: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.hub.queue().give_back(self.bytes);
    }
}

async fn copy_in(hub: &Hub, wanted: Wanted, mut stream: Pieces) -> Result<Row, UploadError> {
    let refused = |error| {
        hub.count_refused();
        UploadError::Full(error)
    };
    hub.queue().reserve().map_err(refused)?;
    let mut reserved = Reserved { hub, bytes: 0 };
    let id = hub.new_id();
    let mut draft = hub.spool.begin(&id).await?;
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        let bytes = piece.len() as u64;
        hub.queue().reserve_bytes(bytes).map_err(refused)?;
        reserved.bytes += bytes;
        draft.write(piece).await?;
    }
    draft.finish().await?;
    let path = draft.path().to_owned();
    let (_, identity) = Source::open(&path)?;
    let row = hub.new_row(id, wanted, &path, &identity)?;
    let row = Row {
        copied: true,
        ..row
    };
    let row = hub.commit(row, None).await?;
    draft.keep();
    Ok(row)
}

impl IntoFuture for Put {
    type Output = Result<Upload, UploadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Resolves when the upload is in the queue and safe from a power cut.
    ///
    /// Dropping the future before may leave it in the queue or not; a half copy is removed.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.take())
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
