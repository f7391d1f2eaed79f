//! Bodies of requests: in memory, read once, or opened as often as an attempt needs them.

use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt, try_unfold};
use periwinkle_core::limits;
use tokio::io::{AsyncRead, AsyncReadExt, copy, sink};

use super::file_pieces::FilePieces;

/// Pieces of a body on their way.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of a request.
///
/// What lies in memory, in a file or behind an opener can be sent again: on retries, after a
/// redirect, when the server asks for a password. What is read once cannot.
pub struct Payload(pub(super) Source);

pub(super) enum Source {
    Empty,
    Memory(Bytes),
    Once(Untouched),
    Again(Arc<Opener>),
}

type Opener = dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<Opened>> + Send>> + Send + Sync;

/// A body that is read from its beginning.
pub(super) struct Opened {
    pub(super) stream: ByteStream,
    pub(super) length: Option<u64>,
}

/// A body that is read once, until somebody takes it. Who only might have read it leaves it to the
/// next attempt.
#[derive(Clone)]
pub(super) struct Untouched(Arc<Mutex<Option<Opened>>>);

impl Untouched {
    /// Takes the body; nobody else can from then on.
    pub(super) fn take(&self) -> io::Result<Opened> {
        self.lock()
            .take()
            .ok_or_else(|| io::Error::other("it can be read only once, and that was done before"))
    }

    fn length(&self) -> Option<u64> {
        self.lock().as_ref().and_then(|opened| opened.length)
    }

    fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Opened>> {
        self.0.lock().expect("no holder of the body panics")
    }
}

impl Payload {
    /// None.
    pub const fn empty() -> Payload {
        Payload(Source::Empty)
    }

    /// A stream that can be read once. With its length, the request carries `Content-Length`, and
    /// a stream of another length is an error; without, it goes in chunks.
    pub fn stream(
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
    ) -> Payload {
        let stream = Box::pin(stream);
        let opened = Some(Opened { stream, length });
        Payload(Source::Once(Untouched(Arc::new(Mutex::new(opened)))))
    }

    /// What a reader gives, read once.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'static, length: Option<u64>) -> Payload {
        Payload::stream(read_pieces(reader), length)
    }

    /// A file, opened when it is sent, and again when it has to be sent again. What is written to it
    /// behind its end meanwhile is not sent. What does not know its length, such as a pipe, goes in
    /// chunks.
    pub fn file(path: impl Into<PathBuf>) -> Payload {
        let path = path.into();
        Payload(Source::Again(Arc::new(move || {
            let path = path.clone();
            Box::pin(async move {
                let length = file_length(&path).await?;
                let pieces = FilePieces::open(&path, length).await?;
                let stream: ByteStream = Box::pin(pieces.into_stream());
                Ok(Opened { stream, length })
            })
        })))
    }

    /// A body that `open` gives from its beginning, as often as it is called, with its length
    /// where that is known.
    pub fn reopenable<F>(open: impl Fn() -> F + Send + Sync + 'static) -> Payload
    where
        F: Future<Output = io::Result<(ByteStream, Option<u64>)>> + Send + 'static,
    {
        Payload(Source::Again(Arc::new(move || {
            let opening = open();
            Box::pin(async move {
                let (stream, length) = opening.await?;
                Ok(Opened { stream, length })
            })
        })))
    }

    /// Whether it can be sent once more, after what was done with it up to now.
    pub(super) fn is_repeatable(&self) -> bool {
        match &self.0 {
            Source::Once(untouched) => untouched.is_there(),
            _ => true,
        }
    }

    /// Whether one reader has all of it.
    pub(super) const fn is_read_once(&self) -> bool {
        matches!(self.0, Source::Once(_))
    }

    /// The same body for another request.
    pub(super) fn again(&self) -> Option<Payload> {
        Some(Payload(match &self.0 {
            Source::Empty => Source::Empty,
            Source::Memory(bytes) => Source::Memory(bytes.clone()),
            Source::Again(open) => Source::Again(open.clone()),
            Source::Once(_) => return None,
        }))
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self.0, Source::Empty)
    }

    /// The body from its beginning.
    pub(super) async fn open(&mut self) -> io::Result<OpenBody> {
        match &mut self.0 {
            Source::Empty => Ok(OpenBody::Empty),
            Source::Memory(bytes) => Ok(OpenBody::Memory(bytes.clone())),
            Source::Once(untouched) => untouched.take().map(OpenBody::Stream),
            Source::Again(open) => open().await.map(OpenBody::Stream),
        }
    }

    /// The body, of which nothing is taken before the server asks for it.
    pub(super) async fn open_when_asked(&mut self) -> io::Result<OpenBody> {
        match &self.0 {
            Source::Once(untouched) if untouched.is_there() => {
                Ok(OpenBody::Untouched(untouched.clone(), untouched.length()))
            }
            _ => self.open().await,
        }
    }
}

/// A body at its beginning.
pub(super) enum OpenBody {
    Empty,
    Memory(Bytes),
    Stream(Opened),
    /// Not even begun, with its length where that is known.
    Untouched(Untouched, Option<u64>),
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Payload {
        let bytes = bytes.into();
        Payload(match bytes.is_empty() {
            true => Source::Empty,
            false => Source::Memory(bytes),
        })
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.0 {
            Source::Empty => "nothing",
            Source::Memory(_) => "bytes",
            Source::Once(_) => "a stream",
            Source::Again(_) => "reopenable",
        };
        write!(f, "Payload({kind})")
    }
}

pub(super) async fn open_file(path: &Path) -> io::Result<tokio::fs::File> {
    let file = tokio::fs::File::open(path).await;
    file.map_err(|error| named(path, &error))
}

/// The length of a file; `None` for one that is not known before it was read: a pipe, a device, or
/// one that the kernel makes up as it is read and calls empty. Others that it makes up it calls a
/// page long, so that they have to be read to be measured.
pub(super) async fn file_length(path: &Path) -> io::Result<Option<u64>> {
    let told = tokio::fs::metadata(path).await;
    let told = told.map_err(|error| named(path, &error))?;
    match (told.is_file(), told.len()) {
        (false, _) => Ok(None),
        (true, 0) => {
            let read = open_file(path).await?.read(&mut [0]).await?;
            Ok((read == 0).then_some(0))
        }
        (true, length) if told.blocks() == 0 && length <= limits::FETCH_MADE_UP_BYTES_MAX => {
            let mut made_up = open_file(path).await?.take(length);
            Ok(Some(copy(&mut made_up, &mut sink()).await?))
        }
        (true, length) => Ok(Some(length)),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What a reader gives, in pieces.
pub(super) fn read_pieces(
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    try_unfold(reader, |mut reader| async move {
        let mut piece = BytesMut::with_capacity(limits::FETCH_PIECE_BYTES);
        match reader.read_buf(&mut piece).await? {
            0 => Ok(None),
            _ => Ok(Some((piece.freeze(), reader))),
        }
    })
}

/// Reads a body to its end, at most `bytes_max`; `None` when it is longer.
pub(super) async fn read_all(mut stream: ByteStream, bytes_max: u64) -> io::Result<Option<Bytes>> {
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if (all.len() + piece.len()) as u64 > bytes_max {
            return Ok(None);
        }
        all.extend_from_slice(&piece);
    }
    Ok(Some(all.freeze()))
}
