//! A connection that cannot be held open by a peer that neither reads nor writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Fails a read or write that has waited longer than `stall_max` for the peer.
///
/// hyper has no such bound for writes: a client that stops reading without closing would park the
/// connection for good. Reads wait as long as the connection is idle between requests too, so the
/// bound is also the keep-alive time; while the connection is [`Busy`] it is we who let the peer
/// wait, and only writes are bounded.
#[derive(Debug)]
pub struct Deadline<S> {
    stream: S,
    stall_max: Option<Duration>,
    busy: Busy,
    read_timer: Timer,
    write_timer: Timer,
}

/// Says that a connection's peer waits for us: a handler works, or the body of its answer is still
/// being made. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Busy(Arc<AtomicUsize>);

impl Busy {
    /// The connection is busy for as long as the guard lives.
    pub fn begin(&self) -> BusyGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        BusyGuard(self.clone())
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Held while a connection is busy.
#[derive(Debug)]
pub struct BusyGuard(Busy);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs from the first time that an operation has to wait until it makes progress.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        stall_max: Option<Duration>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(stall_max) = stall_max.filter(|_| progress.is_pending()) else {
            self.0 = None;
            return progress;
        };
        let start = || Box::pin(tokio::time::sleep_until(Instant::now() + stall_max));
        match self.0.get_or_insert_with(start).as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S> Deadline<S> {
    /// Bounds every wait of `stream` for its peer; `None` waits for ever.
    pub fn new(stream: S, stall_max: Option<Duration>, busy: Busy) -> Deadline<S> {
        Deadline {
            stream,
            stall_max,
            busy,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadline<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_read(context, buffer);
        // While an answer is being written the reader waits for the next request: the writer's
        // progress counts for both.
        if this.write_timer.0.is_some() {
            return progress;
        }
        match this.read_timer.watch(context, this.stall_max, progress) {
            // The reader only listens for the peer's leaving: it goes on listening.
            Poll::Ready(Err(error)) if is_stall(&error) && this.busy.is_set() => {
                this.read_timer.0 = None;
                this.read_timer
                    .watch(context, this.stall_max, Poll::Pending)
            }
            progress => progress,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadline<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_write(context, buffer);
        this.note_progress(progress.is_ready());
        this.write_timer.watch(context, this.stall_max, progress)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_write_vectored(context, buffers);
        this.note_progress(progress.is_ready());
        this.write_timer.watch(context, this.stall_max, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_flush(context);
        this.write_timer.watch(context, this.stall_max, progress)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_shutdown(context);
        this.write_timer.watch(context, this.stall_max, progress)
    }
}

impl<S> Deadline<S> {
    /// A connection that writes is not idle: an answer may stream for longer than the bound.
    fn note_progress(&mut self, wrote: bool) {
        if let (true, Some(timer), Some(stall_max)) =
            (wrote, &mut self.read_timer.0, self.stall_max)
        {
            timer.as_mut().reset(Instant::now() + stall_max);
        }
    }
}

fn is_stall(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const STALL_MAX: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_reading_ends_the_write() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = Deadline::new(near, Some(STALL_MAX), Busy::default());
        let error = near
            .write_all(&[0; 64])
            .await
            .expect_err("the far side never reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stays_silent_ends_the_read() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = Deadline::new(near, Some(STALL_MAX), Busy::default());
        let error = near.read_u8().await.expect_err("the far side never writes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_waits_for_us_is_not_cut_off() {
        let (near, mut far) = tokio::io::duplex(16);
        let busy = Busy::default();
        let mut near = Deadline::new(near, Some(STALL_MAX), busy.clone());
        let working = busy.begin();
        tokio::spawn(async move {
            tokio::time::sleep(STALL_MAX * 3 + STALL_MAX / 2).await;
            drop(working);
            tokio::time::sleep(STALL_MAX / 4).await;
            far.write_u8(7).await.expect("the near side still listens");
            std::future::pending::<()>().await;
        });
        assert_eq!(near.read_u8().await.expect("it came in time"), 7);
        let error = near.read_u8().await.expect_err("nobody works any more");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_forward_starts_the_bound_anew() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Deadline::new(near, Some(STALL_MAX), Busy::default());
        tokio::spawn(async move {
            for byte in 0..4 {
                tokio::time::sleep(STALL_MAX - Duration::from_millis(1)).await;
                far.write_u8(byte).await.expect("the near side reads");
            }
        });
        let mut bytes = [0; 4];
        near.read_exact(&mut bytes)
            .await
            .expect("every byte came in time");
        assert_eq!(bytes, [0, 1, 2, 3]);
    }
}
