//! Answers that are written while they are sent.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use periwinkle_core::limits;

use crate::Error;

/// An answer and the writer of its body.
///
/// The writer's calls wait while the client is slow, so that no more than
/// [`STREAM_BUFFER_BYTES_MAX`](limits::STREAM_BUFFER_BYTES_MAX) is ever held; everything else runs
/// on. The body ends when the writer is dropped. Small writes are joined.
///
/// ```
/// use periwinkle::{Response, Result, spawn, stream, writeln};
///
/// async fn count() -> Result<Response> {
///     let (mut out, response) = stream();
///     spawn(async move {
///         for n in 0..1000 {
///             writeln!(out, "line {n}").await?;
///         }
///         Ok(())
///     });
///     Ok(response)
/// }
/// ```
pub fn stream() -> (Out, Response) {
    let pipe = Arc::new(Mutex::new(Pipe::default()));
    let response = Response::new(Body::new(In(pipe.clone())));
    (Out(pipe), response)
}

#[derive(Debug, Default)]
struct Pipe {
    buffer: BytesMut,
    writer_gone: bool,
    reader_gone: bool,
    failed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The writing end of a streamed answer.
#[derive(Debug)]
pub struct Out(Arc<Mutex<Pipe>>);

impl Out {
    /// Adds bytes to the body; waits while the client is slow.
    ///
    /// Fails with [`Error::ClientGone`] when the client has closed the connection. Dropping the
    /// future before it resolved may have written a part of the bytes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let mut rest = bytes.as_ref();
        std::future::poll_fn(|context| self.poll_write(context, &mut rest)).await
    }

    /// Adds formatted text to the body; [`writeln!`](crate::writeln) is its short form.
    pub async fn write_text(&mut self, text: String) -> Result<(), Error> {
        self.write(text).await
    }

    /// Ends the answer as broken: the client sees a cut connection, not a complete body.
    pub fn abort(self) {
        lock(&self.0).failed = true;
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        rest: &mut &[u8],
    ) -> Poll<Result<(), Error>> {
        let mut pipe = lock(&self.0);
        loop {
            if pipe.reader_gone {
                return Poll::Ready(Err(Error::ClientGone));
            }
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let room = limits::STREAM_BUFFER_BYTES_MAX.saturating_sub(pipe.buffer.len());
            if room == 0 {
                pipe.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let (now, later) = rest.split_at(room.min(rest.len()));
            pipe.buffer.extend_from_slice(now);
            *rest = later;
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let mut pipe = lock(&self.0);
        pipe.writer_gone = true;
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }
}

/// The reading end, polled by the connection.
struct In(Arc<Mutex<Pipe>>);

impl http_body::Body for In {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut pipe = lock(&self.0);
        if pipe.failed {
            return Poll::Ready(Some(Err(Error::Aborted)));
        }
        if pipe.buffer.is_empty() {
            if pipe.writer_gone {
                return Poll::Ready(None);
            }
            pipe.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let bytes = pipe.buffer.split().freeze();
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Drop for In {
    fn drop(&mut self) {
        let mut pipe = lock(&self.0);
        pipe.reader_gone = true;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().expect("no holder of a pipe's lock panics")
}

impl fmt::Debug for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("In")
    }
}

/// Writes a formatted line to a streamed answer: formats first, then waits, which keeps the task
/// `Send`. Import it by name: a glob would be ambiguous with the standard library's.
#[macro_export]
macro_rules! writeln {
    ($out:expr $(,)?) => { $out.write_text(String::from("\n")) };
    ($out:expr, $($text:tt)+) => {{
        let mut line = ::std::format!($($text)+);
        line.push('\n');
        $out.write_text(line)
    }};
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn small_writes_arrive_joined_and_in_order() {
        let (mut out, response) = stream();
        let writer = tokio::spawn(async move {
            for n in 0..1000 {
                crate::writeln!(out, "line {n}").await?;
            }
            Ok::<_, Error>(())
        });
        let mut body = response.into_body();
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(
                frame
                    .expect("the writer goes on")
                    .into_data()
                    .expect("only data"),
            );
        }
        writer.await.expect("no panic").expect("the reader stayed");
        let expected: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(frames.concat(), expected.as_bytes());
        assert_eq!(frames.len(), 1);
    }

    #[tokio::test]
    async fn a_writer_waits_at_the_bound_and_learns_that_the_client_is_gone() {
        let (mut out, response) = stream();
        let all = vec![7; limits::STREAM_BUFFER_BYTES_MAX + 1];
        let mut write = Box::pin(out.write(&all));
        let waiting = std::future::poll_fn(|c| Poll::Ready(write.as_mut().poll(c).is_pending()));
        assert!(waiting.await);
        drop(response);
        assert!(matches!(write.await, Err(Error::ClientGone)));
    }

    #[tokio::test]
    async fn an_aborted_answer_is_not_a_complete_one() {
        let (out, response) = stream();
        out.abort();
        let frame = response
            .into_body()
            .frame()
            .await
            .expect("it does not just end");
        assert!(frame.is_err());
    }
}
