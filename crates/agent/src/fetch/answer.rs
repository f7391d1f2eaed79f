//! An answer: its head, and its body as a whole or piece by piece.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use periwinkle_core::fetch::Url;
use periwinkle_core::limits;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::{Instant, timeout};

use super::error::FetchError;
use super::receiving::Receiving;

/// An answer, whose body is still on its way.
///
/// Dropping it before its end closes the connection.
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) url: Arc<Url>,
    /// In a box: an answer passes through many hands.
    pub(super) body: Box<Receiving>,
    /// When the exchange began.
    pub(super) began: Instant,
    pub(super) bytes_max: u64,
}

impl Answer {
    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the status is one of success (2xx).
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The fields. `Content-Encoding` is that of what came; what is read was decoded.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a field, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The address that answered: after redirects, the last one.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How long the body is, where that is known before it is read.
    pub fn length(&self) -> Option<u64> {
        self.body.length()
    }

    /// The answer itself when its status is one of success, otherwise the error with the beginning
    /// of the body.
    ///
    /// # Errors
    /// [`FetchError::Status`].
    pub async fn success(mut self) -> Result<Answer, FetchError> {
        if self.is_success() {
            return Ok(self);
        }
        let body = self.beginning(limits::FETCH_EXCERPT_BYTES).await;
        Err(FetchError::Status {
            host: self.body.host().to_owned(),
            status: self.status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// The next piece of the body; `None` at its end. The server waits when nobody asks.
    ///
    /// # Errors
    /// When the connection ends before the body does, or is too slow.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        self.body.piece().await
    }

    /// The body as a stream. The server waits when nobody asks.
    pub fn bytes_stream(self) -> BodyStream {
        BodyStream(self.body)
    }

    /// The whole body, at most [`FETCH_ANSWER_BYTES_MAX`](limits::FETCH_ANSWER_BYTES_MAX) or what
    /// the request said, within its deadline or [`FETCH_TOTAL_MAX`](limits::FETCH_TOTAL_MAX).
    ///
    /// # Errors
    /// When it is longer or slower, or was cut.
    pub async fn bytes(mut self) -> Result<Bytes, FetchError> {
        self.limit_time();
        if self.length().is_some_and(|length| length > self.bytes_max) {
            return Err(self.too_long());
        }
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            // Most answers come in one piece, which is not copied then.
            return match first.len() as u64 > self.bytes_max {
                true => Err(self.too_long()),
                false => Ok(first),
            };
        };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if (all.len() + piece.len()) as u64 > self.bytes_max {
                return Err(self.too_long());
            }
            all.extend_from_slice(&piece);
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }

    /// The whole body as text; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`bytes`](Answer::bytes).
    pub async fn text(self) -> Result<String, FetchError> {
        let bytes = self.bytes().await?;
        Ok(match String::from_utf8(bytes.into()) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Answer::bytes), and when it is not the JSON that was expected.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, FetchError> {
        let host = self.body.host().to_owned();
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|source| FetchError::Json { host, source })
    }

    /// Writes the body to a file, which is replaced if it is there, and gives its length.
    ///
    /// A file that was cut off stays; [`download`](super::Fetch::download) goes on with it.
    ///
    /// # Errors
    /// When the body cannot be read, or the file not be written.
    pub async fn save(mut self, path: impl AsRef<Path>) -> Result<u64, FetchError> {
        let path = path.as_ref();
        let failed = |source| FetchError::Save {
            path: path.to_owned(),
            source,
        };
        let file = tokio::fs::File::create(path).await.map_err(failed)?;
        let mut file = BufWriter::with_capacity(limits::FETCH_PIECE_BYTES, file);
        let mut length = 0;
        while let Some(piece) = self.chunk().await? {
            file.write_all(&piece).await.map_err(failed)?;
            length += piece.len() as u64;
        }
        file.flush().await.map_err(failed)?;
        Ok(length)
    }

    /// The beginning of the body, as far as it comes.
    async fn beginning(&mut self, bytes_max: usize) -> Bytes {
        self.limit_time();
        let mut all = BytesMut::new();
        while all.len() < bytes_max {
            let Ok(Some(piece)) = self.chunk().await else {
                break;
            };
            all.extend_from_slice(&piece);
        }
        all.truncate(bytes_max);
        all.freeze()
    }

    /// Looks at a short body, which can then be read as if nobody had; `None` when it is long.
    pub(super) async fn look(&mut self, bytes_max: usize) -> Result<Option<Bytes>, FetchError> {
        self.limit_time();
        let mut all = BytesMut::new();
        let mut ended = false;
        while all.len() <= bytes_max && !ended {
            match self.chunk().await? {
                Some(piece) => all.extend_from_slice(&piece),
                None => ended = true,
            }
        }
        let all = all.freeze();
        self.body.hold(all.clone());
        Ok(ended.then_some(all))
    }

    /// Reads a short rest, so that the connection can serve the next request.
    pub(super) async fn drain(mut self) {
        let max = limits::FETCH_DRAIN_BYTES_MAX;
        if self.length().is_none_or(|length| length <= max as u64) {
            let _ = timeout(limits::FETCH_DRAIN_MAX, self.look(max)).await;
        }
    }

    /// What is read into memory does not come for ever.
    fn limit_time(&mut self) {
        let total = limits::FETCH_TOTAL_MAX;
        let end = self.began + total;
        self.body.watch().total.get_or_insert((end, total));
    }

    fn too_long(&self) -> FetchError {
        FetchError::TooLong {
            host: self.body.host().to_owned(),
            bytes_max: self.bytes_max,
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("url", &self.url.to_string())
            .finish_non_exhaustive()
    }
}

/// The body of an answer, piece by piece.
pub struct BodyStream(Box<Receiving>);

impl Stream for BodyStream {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_piece(context)
    }
}

impl std::fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyStream").finish_non_exhaustive()
    }
}
