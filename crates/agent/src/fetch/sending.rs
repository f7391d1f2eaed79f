//! A body on its way through hyper, and how far it has come.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use periwinkle_core::limits;

use super::error::BodyError;
use super::payload::{ByteStream, OpenBody, Opened, Untouched};
use super::progress::Progress;
use crate::net::standing::Way;
use tokio::sync::{Notify, watch};

/// A body on its way. Every request is moved a few times, and few have a body: it is in a box.
pub(crate) struct SendBody(Option<Box<Sending>>);

struct Sending {
    content: Content,
    /// Watched only where it takes more than one step.
    upload: Option<Arc<Upload>>,
}

enum Content {
    Memory(Bytes),
    Stream {
        stream: ByteStream,
        length: Option<u64>,
        sent: u64,
    },
    /// Left to others until the gate opens.
    Untouched(Untouched, Option<u64>),
}

/// How far a body has come; shared between hyper, which takes it, and whoever waits.
#[derive(Debug, Default)]
pub(super) struct Upload {
    bytes: AtomicU64,
    done: AtomicBool,
    ended: Notify,
    /// Whether the answer has begun.
    answered: AtomicBool,
    /// The connection that it takes.
    pub(super) way: Way,
    gate: Mutex<Gate>,
    length: Option<u64>,
    progress: Option<Arc<watch::Sender<Progress>>>,
}

#[derive(Debug, Default)]
struct Gate {
    state: GateState,
    waiting: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum GateState {
    #[default]
    Open,
    /// Until the server asks for the body.
    Closed,
    /// Nobody wants the rest.
    Abandoned,
}

impl SendBody {
    /// What is sent, and what tells how far it has come where that is not at once.
    pub(super) fn new(
        body: OpenBody,
        gated: bool,
        progress: Option<&Arc<watch::Sender<Progress>>>,
    ) -> (SendBody, Option<Arc<Upload>>) {
        let gated = gated && !matches!(body, OpenBody::Empty);
        let (content, long) = match body {
            OpenBody::Empty if progress.is_none() => return (SendBody(None), None),
            OpenBody::Empty => (Content::Memory(Bytes::new()), false),
            OpenBody::Memory(bytes) => {
                let long = bytes.len() >= limits::FETCH_WATCHED_BYTES_MIN;
                (Content::Memory(bytes), long)
            }
            OpenBody::Stream(opened) => (Content::begun(opened), true),
            OpenBody::Untouched(untouched, length) => (Content::Untouched(untouched, length), true),
        };
        let length = content.size_hint().exact();
        let watched = long || gated || progress.is_some();
        let upload = watched.then(|| Arc::new(Upload::new(gated, length, progress.cloned())));
        let sending = Sending {
            content,
            upload: upload.clone(),
        };
        (SendBody(Some(Box::new(sending))), upload)
    }
}

impl Sending {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Content::Untouched(untouched, _) = &self.content {
            match untouched.take() {
                Ok(opened) => self.content = Content::begun(opened),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        match &mut self.content {
            Content::Untouched(..) => unreachable!("it was just begun"),
            Content::Memory(bytes) => {
                let piece = bytes.split_to(bytes.len().min(limits::FETCH_PIECE_BYTES));
                Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
            }
            Content::Stream {
                stream,
                length,
                sent,
            } => match std::task::ready!(stream.as_mut().poll_next(context)) {
                Some(Ok(piece)) => {
                    *sent += piece.len() as u64;
                    let fits = length.is_none_or(|length| *sent <= length);
                    Poll::Ready(Some(if fits { Ok(piece) } else { Err(other_length()) }))
                }
                None if length.is_some_and(|length| *sent < length) => {
                    Poll::Ready(Some(Err(other_length())))
                }
                other => Poll::Ready(other),
            },
        }
    }
}

impl Content {
    fn begun(Opened { stream, length }: Opened) -> Content {
        Content::Stream {
            stream,
            length,
            sent: 0,
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Content::Memory(bytes) => bytes.is_empty(),
            Content::Stream { length, sent, .. } => *length == Some(*sent),
            Content::Untouched(_, length) => *length == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream {
                length: Some(length),
                sent,
                ..
            } => SizeHint::with_exact(length.saturating_sub(*sent)),
            Content::Untouched(_, Some(length)) => SizeHint::with_exact(*length),
            Content::Stream { length: None, .. } | Content::Untouched(_, None) => {
                SizeHint::default()
            }
        }
    }
}

fn other_length() -> io::Error {
    io::Error::other("it is not as long as was announced")
}

impl Body for SendBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(sending) = &mut self.get_mut().0 else {
            return Poll::Ready(None);
        };
        if let Some(upload) = &sending.upload {
            match upload.poll_gate(context) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => {
                    let gone = io::Error::other("the answer came before the request was sent");
                    return Poll::Ready(Some(Err(BodyError(gone))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let piece = std::task::ready!(sending.poll_piece(context));
        if let Some(upload) = &sending.upload {
            upload.note(piece.as_ref().and_then(|piece| piece.as_ref().ok()));
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(BodyError)))
    }

    fn is_end_stream(&self) -> bool {
        let sending = self.0.as_ref();
        sending.is_none_or(|sending| sending.content.is_over())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(sending) => sending.content.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.end();
        }
    }
}

impl Upload {
    fn new(
        gated: bool,
        length: Option<u64>,
        progress: Option<Arc<watch::Sender<Progress>>>,
    ) -> Upload {
        let upload = Upload {
            length,
            progress,
            ..Upload::default()
        };
        if gated {
            upload.lock().state = GateState::Closed;
        }
        upload
    }

    fn end(&self) {
        self.done.store(true, Ordering::Relaxed);
        self.ended.notify_one();
    }

    /// Waits until nothing more will be taken; one at a time may wait.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Whether nothing more will be taken.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// The answer has begun: what was taken counts as gone.
    pub(super) fn handle_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
        self.tell(self.bytes.load(Ordering::Relaxed));
    }

    /// Tells that so many bytes of the request have left.
    pub(super) fn tell(&self, bytes: u64) {
        if let Some(progress) = &self.progress {
            // The head of the request is none of the body.
            let bytes = bytes.min(self.bytes.load(Ordering::Relaxed));
            let length = self.length;
            progress.send_replace(Progress { bytes, length });
        }
    }

    pub(super) fn is_gated(&self) -> bool {
        self.lock().state == GateState::Closed
    }

    /// The server asks for the body, or may be taken to.
    pub(super) fn open(&self) {
        self.change(GateState::Closed, GateState::Open);
    }

    /// Nobody wants the rest: the connection ends where it is.
    pub(super) fn abandon(&self) {
        if !self.is_done() {
            self.change(GateState::Open, GateState::Abandoned);
            self.change(GateState::Closed, GateState::Abandoned);
        }
    }

    fn change(&self, from: GateState, to: GateState) {
        let mut gate = self.lock();
        if gate.state == from {
            gate.state = to;
            if let Some(waker) = gate.waiting.take() {
                waker.wake();
            }
        }
    }

    /// Whether the body may go on; false when nobody wants it any more.
    fn poll_gate(&self, context: &Context<'_>) -> Poll<bool> {
        let mut gate = self.lock();
        match gate.state {
            GateState::Abandoned => return Poll::Ready(false),
            GateState::Open => {}
            GateState::Closed => {
                gate.waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        // The body may wait for its source: abandoning it has to wake it then.
        gate.waiting = Some(context.waker().clone());
        Poll::Ready(true)
    }

    fn note(&self, piece: Option<&Bytes>) {
        match piece {
            Some(piece) => {
                let piece = piece.len() as u64;
                let bytes = self.bytes.fetch_add(piece, Ordering::Relaxed) + piece;
                // Before, it is told what has left.
                if self.answered.load(Ordering::Relaxed) {
                    self.tell(bytes);
                }
            }
            None => self.end(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().expect("no holder of the gate panics")
    }
}

/// Ends an upload that is still going on when nobody reads its answer any more.
#[derive(Debug)]
pub(super) struct Abandon(Arc<Upload>);

impl Abandon {
    pub(super) const fn new(upload: Arc<Upload>) -> Abandon {
        Abandon(upload)
    }

    /// Whether there is nothing left to be sent.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_done()
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
