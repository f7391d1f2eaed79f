//! Listeners and connections: how many, how long, and what happens at the bounds.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use periwinkle_core::auth::Source;
use periwinkle_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::dispatch::Dispatch;
use crate::net::deadline::{Busy, BusyGuard, Deadline};
use crate::net::listen::{Accepted, Listener, Peer};
use crate::stop::Stop;

/// The bounds of the connections of one web server.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at one time.
    pub connections_max: usize,
    /// Connections of one address at one time; of IPv6, of one network of 64 bits.
    pub connections_per_address_max: usize,
    /// Request line and header fields.
    pub header_bytes_max: usize,
    /// From the first byte of a request, or from the connection, to the end of its header.
    pub header_timeout: Duration,
    /// The longest wait for a peer that neither reads nor writes; `None` waits for ever.
    pub idle_timeout: Option<Duration>,
    /// How long open connections may go on when the server stops.
    pub drain_timeout: Duration,
}

/// Serves connections until it is asked to stop.
#[derive(Debug)]
pub struct Server {
    dispatch: Arc<Dispatch>,
    bounds: ConnectionLimits,
    places: Arc<Semaphore>,
    per_address: Arc<Mutex<BTreeMap<Source, usize>>>,
}

impl Server {
    /// A server that hands every request to `dispatch`.
    pub fn new(dispatch: Arc<Dispatch>, bounds: ConnectionLimits) -> Server {
        let places = Arc::new(Semaphore::new(bounds.connections_max));
        Server {
            dispatch,
            bounds,
            places,
            per_address: Arc::default(),
        }
    }

    /// Accepts from `listener` until `stop`; then lets open connections finish within the bound.
    ///
    /// Dropping the future cuts all connections of this listener off.
    pub async fn serve(&self, listener: Listener, mut stop: Stop) {
        let mut connections = JoinSet::new();
        let mut trouble = Trouble::default();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => {
                        trouble.is_over();
                        self.admit(accepted, &listener, &stop, &mut connections);
                    }
                    Err(error) => trouble.pause_after(&error).await,
                },
                Some(_) = connections.join_next() => {}
                () = stop.requested() => break,
            }
        }
        drop(listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        // What is left after the bound is cut off with the set.
        let _ = tokio::time::timeout(self.bounds.drain_timeout, drained).await;
    }

    fn admit(
        &self,
        accepted: Accepted,
        listener: &Listener,
        stop: &Stop,
        connections: &mut JoinSet<()>,
    ) {
        let peer = accepted.peer.clone();
        let Some(place) = self.place(&peer) else {
            // Over TLS there is nothing cheap to say.
            if listener.tls().is_none() {
                connections.spawn(refuse(accepted));
            }
            return;
        };
        let connection = Connection {
            busy: Busy::default(),
            dispatch: self.dispatch.clone(),
            bounds: self.bounds,
            peer,
            secure: listener.is_secure(),
            stop: stop.clone(),
            _place: place,
        };
        let tls = listener.tls();
        connections.spawn(async move {
            match (accepted.stream, tls) {
                (stream, None) => connection.run(stream).await,
                (stream, Some(tls)) => {
                    let handshake = tls.accept(stream);
                    match tokio::time::timeout(connection.bounds.header_timeout, handshake).await {
                        Ok(Ok(stream)) => connection.run(stream).await,
                        Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    }
                }
            }
        });
    }

    /// A place for one more connection, unless all are taken or this address has its share.
    fn place(&self, peer: &Peer) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        let address = peer.address().map(Source::of);
        if let Some(address) = address {
            let mut counts = self
                .per_address
                .lock()
                .expect("no holder of the counts panics");
            let count = counts.entry(address).or_default();
            if *count >= self.bounds.connections_per_address_max {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            address,
            per_address: self.per_address.clone(),
            _permit: permit,
        })
    }
}

/// Held for as long as a connection lives.
struct Place {
    address: Option<Source>,
    per_address: Arc<Mutex<BTreeMap<Source, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self
            .per_address
            .lock()
            .expect("no holder of the counts panics");
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

struct Connection {
    busy: Busy,
    dispatch: Arc<Dispatch>,
    bounds: ConnectionLimits,
    peer: Peer,
    secure: bool,
    stop: Stop,
    _place: Place,
}

impl Connection {
    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let io = TokioIo::new(Deadline::new(
            stream,
            self.bounds.idle_timeout,
            self.busy.clone(),
        ));
        let service = service_fn(|request| self.answer(request));
        let mut stop = self.stop.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.header_timeout)
            .max_buf_size(self.bounds.header_bytes_max.max(HYPER_BUFFER_MIN))
            .max_headers(limits::HEADER_FIELDS_MAX)
            .serve_connection(io, service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stop.requested() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = result {
            tracing::debug!("a connection ended: {error}");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<axum::body::Body>, std::convert::Infallible> {
        // As long as a body may still come it is we who wait for the client.
        let _working = request.body().is_end_stream().then(|| self.busy.begin());
        let answer = self.dispatch.answer(request, &self.peer, self.secure).await;
        if answer.body().size_hint().exact().is_some() {
            return Ok(answer);
        }
        let _busy = self.busy.begin();
        Ok(answer.map(|body| axum::body::Body::new(Made { body, _busy })))
    }
}

/// A body that is still being made: until its end the client waits for us.
struct Made {
    body: axum::body::Body,
    _busy: BusyGuard,
}

impl http_body::Body for Made {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// hyper refuses smaller buffers.
const HYPER_BUFFER_MIN: usize = 8192;

/// Tells a client that there is no place for it.
async fn refuse(accepted: Accepted) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\n\
        content-length: 0\r\nconnection: close\r\n\r\n";
    let mut stream = accepted.stream;
    let answer = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await
    };
    // The client may have gone already; either way the connection ends here.
    let _ = tokio::time::timeout(limits::REFUSAL_WRITE_MAX, answer).await;
}

/// Connections that cannot be accepted: without files or memory left an accept loop would spin
/// and fill the log.
#[derive(Debug, Default)]
struct Trouble {
    pauses: u64,
}

impl Trouble {
    async fn pause_after(&mut self, error: &io::Error) {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        if self.pauses == 0 {
            tracing::warn!("cannot accept connections for now: {error}");
        }
        self.pauses += 1;
        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
    }

    fn is_over(&mut self) {
        if self.pauses > 0 {
            let pauses = std::mem::take(&mut self.pauses);
            tracing::info!(pauses, "connections are accepted again");
        }
    }
}
