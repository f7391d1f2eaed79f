//! The body of an answer on its way in: decoded, with deadlines, never more than is asked for.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use periwinkle_core::fetch::Url;
use tokio::time::Instant;

use super::decode::{Decoded, Decoders};
use super::error::{DecodeFailure, FetchError, Phase};
use super::request::MinimumRate;
use super::sending::{Abandon, SendBody, Upload};
use crate::net::pool::{Lease, Timer};

/// The body of an answer.
pub(super) struct Receiving {
    body: Incoming,
    /// What was read already, because something had to be known of it.
    held: Bytes,
    decoders: Option<Box<Decoders>>,
    watch: Watch,
    url: Arc<Url>,
    /// The connection, until the body has ended.
    lease: Option<Lease<SendBody>>,
    /// An upload that may still be going on.
    upload: Option<Abandon>,
}

/// The deadlines of a body.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) between: Duration,
    /// The end of the whole exchange, and how long that is.
    pub(super) total: Option<(Instant, Duration)>,
    pub(super) rate: Option<MinimumRate>,
    /// Whether the timer runs.
    waits: bool,
    window: (Option<Instant>, u64),
}

impl Watch {
    pub(super) const fn new(
        between: Duration,
        total: Option<(Instant, Duration)>,
        rate: Option<MinimumRate>,
    ) -> Watch {
        Watch {
            between,
            total,
            rate,
            waits: false,
            window: (None, 0),
        }
    }
}

impl Receiving {
    pub(super) fn new(
        body: Incoming,
        lease: Lease<SendBody>,
        decoders: Option<Box<Decoders>>,
        watch: Watch,
        url: Arc<Url>,
        upload: Option<Arc<Upload>>,
    ) -> Receiving {
        let mut receiving = Receiving {
            body,
            held: Bytes::new(),
            decoders,
            watch,
            url,
            lease: Some(lease),
            upload: upload.map(Abandon::new),
        };
        if receiving.body.is_end_stream() {
            receiving.end();
        }
        receiving
    }

    /// The body has ended: gives the connection back, if the request has ended too.
    fn end(&mut self) {
        let is_over = self.upload.as_ref().is_none_or(Abandon::is_over);
        if let Some(lease) = self.lease.take_if(|_| is_over) {
            lease.give_back();
        }
    }

    /// Gives back what was read, to be read once more.
    pub(super) fn hold(&mut self, bytes: Bytes) {
        self.held = bytes;
    }

    pub(super) fn host(&self) -> &str {
        self.url.authority()
    }

    pub(super) fn watch(&mut self) -> &mut Watch {
        &mut self.watch
    }

    /// How long the body is, as far as that is known and it is not decoded.
    pub(super) fn length(&self) -> Option<u64> {
        let rest = self
            .body
            .size_hint()
            .exact()
            .filter(|_| self.decoders.is_none())?;
        Some(self.held.len() as u64 + rest)
    }

    /// The next piece; `None` at the end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, FetchError> {
        poll_fn(|context| self.poll_piece(context))
            .await
            .transpose()
    }

    /// The same for a stream.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, FetchError>>> {
        if !self.held.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.held))));
        }
        loop {
            if let Some(decoders) = &mut self.decoders {
                match decoders.pull() {
                    Ok(Decoded::Piece(piece)) => return Poll::Ready(Some(Ok(piece))),
                    // A decoder may know its end before the body has come to it, and only then is the
                    // connection free.
                    Ok(Decoded::End) => {
                        let rest = ready!(self.poll_received(context));
                        return Poll::Ready(rest.filter(Result::is_err));
                    }
                    Ok(Decoded::Hungry) => {}
                    Err(error) => return Poll::Ready(Some(Err(self.undecodable(error)))),
                }
            }
            let received = match ready!(self.poll_received(context)) {
                Some(Ok(received)) => received,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => match &mut self.decoders {
                    Some(decoders) if decoders.has_begun() => {
                        decoders.end();
                        continue;
                    }
                    _ => return Poll::Ready(None),
                },
            };
            match &mut self.decoders {
                None => return Poll::Ready(Some(Ok(received))),
                Some(decoders) => {
                    if let Err(error) = decoders.push(received) {
                        return Poll::Ready(Some(Err(self.undecodable(error))));
                    }
                }
            }
        }
    }

    /// The next piece as it came.
    fn poll_received(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, FetchError>>> {
        while !self.body.is_end_stream() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    let lease = self.lease.as_mut();
                    let timer = lease.expect("what goes on has its connection").timer();
                    let late = ready!(self.watch.poll_late(context, timer));
                    return Poll::Ready(Some(Err(late.error(self.url.authority()))));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    let error =
                        FetchError::of_connection(self.url.authority(), Phase::Reading, &error);
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if self.body.is_end_stream() {
                        self.end();
                    }
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    if let Some(late) = self.watch.note(piece.len() as u64) {
                        return Poll::Ready(Some(Err(late.error(self.url.authority()))));
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn undecodable(&self, source: DecodeFailure) -> FetchError {
        FetchError::Decode {
            host: self.url.authority().to_owned(),
            source,
        }
    }
}

/// Which deadline passed.
enum Late {
    Between(Duration),
    Total(Duration),
    Rate(u64),
}

impl Late {
    fn error(self, host: &str) -> FetchError {
        let host = host.to_owned();
        match self {
            Late::Between(after) => FetchError::TooSlow {
                host,
                phase: Phase::Reading,
                after,
            },
            Late::Total(after) => FetchError::TooSlow {
                host,
                phase: Phase::Total,
                after,
            },
            Late::Rate(bytes_per_second_min) => FetchError::RateTooLow {
                host,
                phase: Phase::Reading,
                bytes_per_second_min,
            },
        }
    }
}

impl Watch {
    /// So many bytes came.
    fn note(&mut self, bytes: u64) -> Option<Late> {
        self.waits = false;
        if self.total.is_none() && self.rate.is_none() {
            return None;
        }
        let now = Instant::now();
        if let Some((end, within)) = self.total
            && now >= end
        {
            return Some(Late::Total(within));
        }
        self.window.1 += bytes;
        self.rate_missed(now)
    }

    /// Whether the rate was missed in the window that ends now.
    fn rate_missed(&mut self, now: Instant) -> Option<Late> {
        let rate = self.rate?;
        let start = *self.window.0.get_or_insert(now);
        if now.duration_since(start) < rate.over {
            return None;
        }
        let got = std::mem::take(&mut self.window.1);
        self.window.0 = Some(now);
        let wanted = rate.bytes_over();
        (got < wanted).then_some(Late::Rate(rate.bytes_per_second))
    }

    /// Waits for the first deadline, while nothing comes.
    fn poll_late(&mut self, context: &mut Context<'_>, timer: &mut Timer) -> Poll<Late> {
        if !self.waits {
            timer.set(self.next_deadline(Instant::now()));
            self.waits = true;
        }
        ready!(timer.poll(context));
        self.waits = false;
        let now = Instant::now();
        Poll::Ready(match self.total {
            Some((end, within)) if now >= end => Late::Total(within),
            _ => match self.rate_missed(now) {
                Some(late) => late,
                None => Late::Between(self.between),
            },
        })
    }

    fn next_deadline(&mut self, now: Instant) -> Instant {
        let mut end = now + self.between;
        if let Some((total, _)) = self.total {
            end = end.min(total);
        }
        if let Some(rate) = self.rate {
            let start = *self.window.0.get_or_insert(now);
            // A window that ends with enough begins the next one when bytes come.
            if self.window.1 < rate.bytes_over() {
                end = end.min(start + rate.over);
            }
        }
        end
    }
}
