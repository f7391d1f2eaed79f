//! Requests to S3: signed here, sent by the HTTP client, their answers read by the core.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::checksum::{Algorithm, Checksum, Value};
use periwinkle_core::aws::s3::{Bucket, GetObject, S3CallError};
use periwinkle_core::aws::sigv4::{
    BodyPlan, BodySource, ChunkedBody, OwnHeaders, Payload as Signed, PresignedLife, Signers,
    plan_body,
};
use periwinkle_core::aws::wire::{EndpointOptions, HttpAnswer, HttpRequest};
use periwinkle_core::config::{self, UploadChecksum};
use periwinkle_core::fetch::{Url, parse_date};
use periwinkle_core::limits;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::upload::Pace;
use tokio::sync::Semaphore;

use super::error::UploadError;
use super::source::Source;
use crate::fetch::{Answer, CredentialsSource, Deadlines, Fetch, Payload};
use crate::net::clock::Clock;
use crate::net::server_offset::ServerOffset;

/// Everything that a request to S3 needs besides itself.
pub(super) struct Sender {
    fetch: Fetch,
    clock: Clock,
    config: config::Upload,
    credentials: CredentialsSource,
    signers: Mutex<Signers>,
    offset: ServerOffset,
    pacer: Pacer,
    /// Bodies on their way at once.
    places: Semaphore,
}

/// An answer that lies in memory.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// A stretch of a file that is sent.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) source: Source,
    /// What the file has to be still when the last byte leaves.
    pub(super) identity: String,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// Counts what has left, for whoever wants to know how far it is.
    pub(super) sent: Arc<AtomicU64>,
}

impl Stretch {
    /// Bytes of a file that was changed meanwhile are no object: S3 never gets their end.
    fn check(&self) -> io::Result<()> {
        let now = self.source.identity()?.to_string();
        match now == self.identity {
            true => Ok(()),
            false => Err(io::Error::other("the file was changed while it was read")),
        }
    }
}

impl Sender {
    pub(super) fn new(
        config: &config::Upload,
        fetch: Fetch,
        clock: Clock,
        credentials: CredentialsSource,
    ) -> Sender {
        let pacer = Pacer::new(config.rate_max.map(|rate| rate.0), &clock);
        Sender {
            fetch,
            credentials,
            signers: Mutex::new(Signers::new()),
            offset: ServerOffset::new(clock.clone()),
            places: Semaphore::new(pacer.senders(config.parallel) as usize),
            pacer,
            config: config.clone(),
            clock,
        }
    }

    /// A bucket where the configuration says that S3 is.
    pub(super) fn bucket(&self, name: &str) -> Result<Bucket, UploadError> {
        let region = self.config.region.as_ref().ok_or(UploadError::Off)?;
        let custom = self.config.endpoint.as_ref().map(|endpoint| {
            Url::parse(&endpoint.to_string()).expect("the configuration checked the endpoint")
        });
        let options = EndpointOptions {
            custom: custom.as_ref(),
            ..EndpointOptions::default()
        };
        Ok(Bucket::new(name, region.as_str(), options)?)
    }

    /// Which checksum is taken.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.config.checksum {
            UploadChecksum::Crc64Nvme => Algorithm::Crc64Nvme,
            UploadChecksum::Crc32 => Algorithm::Crc32,
        }
    }

    /// Sends a request whose body it holds, and reads the whole answer.
    ///
    /// Dropping the future ends the exchange; S3 may have acted on it.
    pub(super) async fn call<T>(
        &self,
        bucket: &Bucket,
        request: HttpRequest,
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<T, UploadError> {
        self.call_within(bucket, request, limits::UPLOAD_ANSWER_WAIT_MAX, read)
            .await
    }

    /// The same for what S3 takes its time with.
    pub(super) async fn call_within<T>(
        &self,
        bucket: &Bucket,
        request: HttpRequest,
        wait: Duration,
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<T, UploadError> {
        let own = self.sign(bucket, &request, Signed::Bytes(&request.body))?;
        let body = Payload::from(Bytes::from(request.body.clone()));
        let reply = self.exchange(bucket, &request, own, body, wait).await?;
        Ok(reply.read(read)?)
    }

    /// Sends a request and gives the answer as soon as its head is there, if it is a good one.
    pub(super) async fn open(
        &self,
        bucket: &Bucket,
        request: HttpRequest,
    ) -> Result<Answer, UploadError> {
        let own = self.sign(bucket, &request, Signed::Bytes(&request.body))?;
        let wait = limits::UPLOAD_ANSWER_WAIT_MAX;
        let answer = self
            .send(bucket, &request, own, Payload::empty(), wait)
            .await?;
        if answer.is_success() {
            return Ok(answer);
        }
        let reply = Reply::receive(answer).await?;
        reply.read(GetObject::answer)?;
        Err(S3CallError::Missing("a good status").into())
    }

    /// Sends a request whose body is a stretch of a file; gives the checksum of what was sent.
    ///
    /// Dropping the future ends the exchange; S3 may have acted on it.
    pub(super) async fn put<T>(
        &self,
        bucket: &Bucket,
        request: HttpRequest,
        stretch: Stretch,
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<(T, Value), UploadError> {
        let _place = self.places.acquire().await.expect("it is never closed");
        if stretch.bytes <= limits::UPLOAD_PIECE_BYTES as u64 {
            return self.put_whole(bucket, request, stretch, read).await;
        }
        let length = stretch.bytes;
        let source = BodySource::Stream {
            length: Some(length),
        };
        let plan = plan_body("s3", bucket.is_tls(), source, Some(self.algorithm()));
        let Ok(BodyPlan::Chunked(form)) = plan else {
            unreachable!("S3 takes every stream whose length is known in chunks");
        };
        let request = request.with_chunks(form, length);
        let credentials = self.credentials()?;
        let (own, chunks) = {
            let mut signers = self.signers.lock().expect("signing does not panic");
            let announced = (form, length);
            bucket.sign_chunked(&request, announced, &mut signers, &credentials, self.now())
        };
        let sum = Arc::new(OnceLock::new());
        let pieces = pieces(self.pacer.clone(), stretch, chunks, sum.clone());
        let body = Payload::stream(pieces, Some(form.encoded_bytes(length)));
        let wait = limits::UPLOAD_ANSWER_WAIT_MAX;
        let reply = self.exchange(bucket, &request, own, body, wait).await?;
        let written = reply.read(read)?;
        match sum.get() {
            Some(value) => Ok((written, *value)),
            // An early yes to a body that was not sent whole is none.
            None => Err(UploadError::Unreachable(
                "S3 answered before the body was sent".to_owned(),
            )),
        }
    }

    /// The same with little, whose hash goes into the head.
    async fn put_whole<T>(
        &self,
        bucket: &Bucket,
        request: HttpRequest,
        stretch: Stretch,
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<(T, Value), UploadError> {
        let bytes = usize::try_from(stretch.bytes).expect("it is at most one piece");
        self.pacer.keep(stretch.bytes).await;
        let data = stretch.source.read(stretch.offset, bytes).await;
        let data = data.and_then(|data| stretch.check().map(|()| data));
        let data = Bytes::from(data.map_err(|source| UploadError::File {
            path: stretch.source.path(),
            source,
        })?);
        let value = Checksum::of(self.algorithm(), &data);
        let request = request.with_header(value.algorithm().header(), value.base64());
        let own = self.sign(bucket, &request, Signed::Bytes(&data))?;
        let wait = limits::UPLOAD_ANSWER_WAIT_MAX;
        let reply = self
            .exchange(bucket, &request, own, data.into(), wait)
            .await?;
        stretch.sent.fetch_add(stretch.bytes, Ordering::Relaxed);
        Ok((reply.read(read)?, value))
    }

    /// An address that lets whoever holds it do this request while it lives.
    pub(super) fn presign(
        &self,
        bucket: &Bucket,
        request: &HttpRequest,
        life: PresignedLife,
    ) -> Result<(String, UnixMillis), UploadError> {
        let credentials = self.credentials()?;
        let at = self.now();
        if let Some(expired) = credentials.expires.filter(|expires| *expires <= at) {
            return Err(UploadError::CredentialsExpired(expired));
        }
        let mut signers = self.signers.lock().expect("signing does not panic");
        let url = bucket.presign(request, &mut signers, &credentials, at, life);
        Ok((url, life.until(at, &credentials)))
    }

    /// Why nothing can be signed now. Keys that have expired are none, by a clock that is trusted.
    pub(super) fn lacks_credentials(&self) -> Option<UploadError> {
        let credentials = match self.credentials() {
            Ok(credentials) => credentials,
            Err(error) => return Some(error),
        };
        let now = self.clock.now().trusted_wall()?;
        let expired = credentials.expires.filter(|expires| *expires <= now);
        expired.map(UploadError::CredentialsExpired)
    }

    fn sign(
        &self,
        bucket: &Bucket,
        request: &HttpRequest,
        payload: Signed<'_>,
    ) -> Result<OwnHeaders, UploadError> {
        let credentials = self.credentials()?;
        let mut signers = self.signers.lock().expect("signing does not panic");
        Ok(bucket.sign(request, payload, &mut signers, &credentials, self.now()))
    }

    fn credentials(&self) -> Result<Credentials, UploadError> {
        (self.credentials)().map_err(UploadError::Credentials)
    }

    /// The time to sign with: ours, set right by what S3 says.
    fn now(&self) -> UnixMillis {
        self.offset.now()
    }

    /// Whether the time is trusted and close to a server's, which counts whole seconds and may
    /// have been on its way for long.
    fn agrees_with(&self, date: UnixMillis) -> bool {
        let now = self.clock.now();
        let tolerance = limits::SIGNING_CLOCK_TOLERANCE.as_millis();
        now.trusted_wall()
            .is_some_and(|wall| u128::from(wall.0.abs_diff(date.0)) <= tolerance)
    }

    async fn exchange(
        &self,
        bucket: &Bucket,
        request: &HttpRequest,
        own: OwnHeaders,
        body: Payload,
        wait: Duration,
    ) -> Result<Reply, UploadError> {
        let answer = self.send(bucket, request, own, body, wait).await?;
        Reply::receive(answer).await
    }

    /// Follows no redirect, for a signature is good for one host, and repeats nothing: the machine
    /// of the upload decides that.
    async fn send(
        &self,
        bucket: &Bucket,
        request: &HttpRequest,
        own: OwnHeaders,
        body: Payload,
        wait: Duration,
    ) -> Result<Answer, UploadError> {
        let sent = self.offset.departure();
        let method = Method::from_bytes(request.method.as_bytes()).expect("the core's are methods");
        let deadlines = Deadlines {
            first_byte: wait,
            between_bytes: limits::UPLOAD_ANSWER_WAIT_MAX,
            ..Deadlines::default()
        };
        let answer = self
            .fetch
            .request(method, &bucket.url(request))
            .headers(fields(request, own)?)
            .body(body)
            .deadlines(deadlines)
            .redirects(0)
            .retries(0)
            .undecoded()
            .answer_bytes_max(limits::UPLOAD_ANSWER_BYTES_MAX as u64)
            .send()
            .await
            .map_err(|error| UploadError::Unreachable(error.to_string()))?;
        if let Some(date) = answer.header("date").and_then(parse_date) {
            self.offset.handle_date(date, sent);
            // What S3 does for a signature of ours, it does at the time that it says.
            if answer.is_success() && !self.agrees_with(date) {
                self.clock.confirm(date);
            }
        }
        Ok(answer)
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

fn fields(request: &HttpRequest, own: OwnHeaders) -> Result<HeaderMap, UploadError> {
    let given = request.headers.iter();
    let given = given.map(|(name, value)| (*name, value.clone()));
    let mut fields = HeaderMap::new();
    for (name, value) in given.chain(own) {
        // The client writes these two itself, as they were signed.
        if ["content-length", "host"].contains(&name) {
            continue;
        }
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| UploadError::Unreachable(format!("the field {name} cannot be sent")))?;
        value.set_sensitive(["authorization", "x-amz-security-token"].contains(&name));
        fields.insert(HeaderName::from_static(name), value);
    }
    Ok(fields)
}

impl Reply {
    async fn receive(answer: Answer) -> Result<Reply, UploadError> {
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = answer.bytes().await;
        Ok(Reply {
            status,
            headers,
            body: body.map_err(|error| UploadError::Unreachable(error.to_string()))?,
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(HttpAnswer<'_>) -> Result<T, S3CallError>,
    ) -> Result<T, S3CallError> {
        with_answer(self.status, &self.headers, &self.body, read)
    }
}

/// An answer as the core reads it.
pub(super) fn with_answer<T>(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    read: impl FnOnce(HttpAnswer<'_>) -> T,
) -> T {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    read(HttpAnswer {
        status,
        headers: &headers,
        body,
    })
}

/// Waits until the rate that all keep together allows the next bytes; clones share it.
#[derive(Clone, Debug)]
struct Pacer(Option<Arc<(Clock, Mutex<Pace>)>>);

impl Pacer {
    fn new(bytes_per_second: Option<u64>, clock: &Clock) -> Pacer {
        let pace = bytes_per_second.map(|rate| Mutex::new(Pace::new(rate)));
        Pacer(pace.map(|pace| Arc::new((clock.clone(), pace))))
    }

    /// Waits for the turn of these bytes. Dropping the future leaves it to others.
    async fn keep(&self, bytes: u64) {
        let Some((clock, _)) = self.0.as_deref() else {
            return;
        };
        let now = clock.mono();
        let wait = self.pace(|pace| pace.take(bytes, now)).unwrap_or_default();
        if !wait.is_zero() {
            let mut debt = Debt(self, bytes);
            tokio::time::sleep(wait).await;
            debt.1 = 0;
        }
    }

    fn senders(&self, allowed: u32) -> u32 {
        self.pace(|pace| pace.senders(allowed)).unwrap_or(allowed)
    }

    /// How many bytes may ask for their turn at once.
    fn slice_bytes(&self) -> usize {
        let bytes = self.pace(|pace| pace.slice_bytes());
        bytes.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).expect("a slice is at most a piece")
        })
    }

    fn pace<T>(&self, ask: impl FnOnce(&mut Pace) -> T) -> Option<T> {
        let (_, pace) = self.0.as_deref()?;
        Some(ask(&mut pace.lock().expect("nobody panics with it")))
    }
}

/// Bytes whose turn has not come.
struct Debt<'a>(&'a Pacer, u64);

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        self.0.pace(|pace| pace.give_back(self.1));
    }
}

/// A body that is read while it is sent: at most one piece of it lies in memory.
struct Pieces {
    pacer: Pacer,
    stretch: Stretch,
    at: u64,
    /// `None` when the end was made.
    chunks: Option<ChunkedBody>,
    /// Signed, and waiting for its turn: at low rates a piece leaves in slices.
    ready: Bytes,
    sum: Arc<OnceLock<Value>>,
}

fn pieces(
    pacer: Pacer,
    stretch: Stretch,
    chunks: ChunkedBody,
    sum: Arc<OnceLock<Value>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let pieces = Pieces {
        pacer,
        stretch,
        at: 0,
        chunks: Some(chunks),
        ready: Bytes::new(),
        sum,
    };
    try_unfold(pieces, |mut pieces| async move {
        let piece = pieces.next().await?;
        Ok(piece.map(|piece| (piece, pieces)))
    })
}

impl Pieces {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.ready.is_empty() {
            self.ready = self.make().await?;
        }
        let bytes = self.ready.len().min(self.pacer.slice_bytes());
        if bytes == 0 {
            return Ok(None);
        }
        self.pacer.keep(bytes as u64).await;
        Ok(Some(self.ready.split_to(bytes)))
    }

    /// What is sent next; nothing at the end.
    async fn make(&mut self) -> io::Result<Bytes> {
        let mut out = Vec::new();
        while out.is_empty() {
            let Some(chunks) = &mut self.chunks else {
                break;
            };
            let left = self.stretch.bytes - self.at;
            if left == 0 {
                self.stretch.check()?;
                let chunks = self.chunks.take().expect("it was just there");
                let sum = chunks.finish(&mut out).map_err(io::Error::other)?;
                if let Some(sum) = sum {
                    // Set once: there is one end.
                    let _ = self.sum.set(sum);
                }
                break;
            }
            let bytes = left.min(limits::UPLOAD_PIECE_BYTES as u64);
            let offset = self.stretch.offset + self.at;
            let size = usize::try_from(bytes).expect("a piece fits memory");
            let piece = self.stretch.source.read(offset, size).await?;
            chunks.push(&piece, &mut out).map_err(io::Error::other)?;
            self.at += bytes;
            self.stretch.sent.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(Bytes::from(out))
    }
}
