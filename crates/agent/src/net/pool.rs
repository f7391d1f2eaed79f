//! Requests of HTTP on connections that are kept for the next one to the same server.
//!
//! A connection belongs to one request at a time: whoever sends holds it until the answer was read to
//! its end, and then gives it back. So it is certain which connection served a request before, and
//! none waits for a task that returns it.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use periwinkle_core::fetch::{Origin, Url};
use periwinkle_core::limits;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::dial::DialError;
use super::outbound::Connector;
use super::standing::{Stale, Standing, Way};

/// Sends requests, and keeps connections.
#[derive(Debug)]
pub struct HttpClient<B> {
    connector: Connector,
    kept: Arc<Kept<B>>,
}

/// Which connection a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One that was kept, where there is one.
    Kept,
    /// A new one.
    New,
}

/// How long a request waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Within<'a> {
    /// For a new connection, where it takes one.
    pub connect: Option<Duration>,
    /// For the head of the answer, the connection included.
    pub end: Option<Instant>,
    /// Where to tell which connection it took.
    pub way: Option<&'a Way>,
}

/// A connection in use. Dropping it closes it, once the answer has ended.
#[derive(Debug)]
pub struct Lease<B> {
    connection: Connection<B>,
    kept: Weak<Kept<B>>,
}

/// Why no answer began.
#[derive(Debug)]
pub enum SendError {
    /// There is no connection.
    Connect(DialError),
    /// The connection ended; whether that says something about the server, or only that the
    /// connection was an old one.
    Ended(hyper::Error, Option<Stale>),
    /// The time was over.
    TooSlow,
}

#[derive(Debug)]
struct Connection<B> {
    origin: Arc<Origin>,
    standing: Arc<Standing>,
    sender: SendRequest<B>,
    timer: Timer,
}

/// A timer that goes from one wait to the next. One that runs is put off without a word to the
/// runtime, whereas a new one is entered there and taken out again.
#[derive(Debug)]
pub struct Timer(Pin<Box<Sleep>>);

impl Timer {
    fn new() -> Timer {
        Timer(Box::pin(sleep_until(Instant::now())))
    }

    /// When it ends.
    pub fn set(&mut self, end: Instant) {
        self.0.as_mut().reset(end);
    }

    /// Ready when it has ended.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl<B: Body + 'static> Connection<B> {
    /// The head of the answer to a request, which is left where it is while nothing of it was sent.
    async fn answer(
        &mut self,
        request: &mut Option<Request<B>>,
        end: Option<Instant>,
        way: Option<&Way>,
    ) -> Result<Response<Incoming>, SendError> {
        if let Some(end) = end {
            self.timer.set(end);
        }
        let (sender, timer) = (&mut self.sender, &mut self.timer);
        let mut late = |context: &mut Context<'_>| match end {
            Some(_) => timer.poll(context),
            None => Poll::Pending,
        };
        let ready = poll_fn(|context| match sender.poll_ready(context) {
            Poll::Ready(ready) => Poll::Ready(Some(ready)),
            Poll::Pending => late(context).map(|()| None),
        });
        match ready.await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(SendError::Ended(error, None)),
            None => return Err(SendError::TooSlow),
        }
        self.standing.begin();
        if let Some(way) = way {
            way.take(&self.standing);
        }
        let taken = request.take().expect("it is sent once");
        let mut answer = pin!(sender.try_send_request(taken));
        let answer = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => late(context).map(|()| None),
        });
        match answer.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut failure)) => {
                *request = failure.take_message();
                Err(SendError::Ended(failure.into_error(), None))
            }
            None => Err(SendError::TooSlow),
        }
    }
}

impl<B> HttpClient<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A client without connections.
    pub fn new(connector: Connector) -> HttpClient<B> {
        HttpClient {
            connector,
            kept: Arc::default(),
        }
    }

    /// What makes its connections.
    pub const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a request, which has its `Host` and the [target](Connector::target) of `url`, and waits
    /// for the head of the answer. A kept connection that had ended before anything was sent is
    /// replaced.
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(
        &self,
        url: &Url,
        choice: Choice,
        request: Request<B>,
        Within { connect, end, way }: Within<'_>,
    ) -> Result<(Response<Incoming>, Lease<B>), SendError> {
        let mut request = Some(request);
        while choice == Choice::Kept
            && let Some(mut connection) = self.kept.take(url)
        {
            match connection.answer(&mut request, end, way).await {
                Ok(response) => return Ok((response, self.lease(connection))),
                Err(SendError::Ended(..)) if request.is_some() => {}
                Err(SendError::Ended(error, _)) => {
                    let stale = connection.standing.stale();
                    return Err(SendError::Ended(error, stale));
                }
                Err(error) => return Err(error),
            }
        }
        // Seldom and large: in a box, it is no part of each request that needs no connection.
        let connecting = Box::pin(self.connect(url, connect));
        let mut connection = match end {
            None => connecting.await?,
            Some(end) => {
                let connected = timeout_at(end, connecting).await;
                connected.map_err(|_| SendError::TooSlow)??
            }
        };
        let response = connection.answer(&mut request, end, way).await?;
        Ok((response, self.lease(connection)))
    }

    async fn connect(
        &self,
        url: &Url,
        within: Option<Duration>,
    ) -> Result<Connection<B>, SendError> {
        let link = self.connector.connect(url, within).await;
        let link = link.map_err(SendError::Connect)?;
        let standing = link.standing();
        let handshake = Builder::new()
            // A client has to understand them (RFC 9112, section 5.2).
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_headers(limits::FETCH_ANSWER_HEADERS_MAX)
            .max_header_size(limits::FETCH_ANSWER_HEAD_BYTES_MAX)
            .max_buf_size(limits::FETCH_READ_BYTES_MAX)
            .handshake(TokioIo::new(link))
            .await;
        let (sender, driven) = handshake.map_err(|error| SendError::Ended(error, None))?;
        tokio::spawn(async move {
            if let Err(error) = driven.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        Ok(Connection {
            origin: Arc::new(url.origin()),
            standing,
            sender,
            timer: Timer::new(),
        })
    }

    fn lease(&self, connection: Connection<B>) -> Lease<B> {
        Lease {
            connection,
            kept: Arc::downgrade(&self.kept),
        }
    }
}

impl<B: Send + 'static> Lease<B> {
    /// The timer for waits that are done with this connection.
    pub fn timer(&mut self) -> &mut Timer {
        &mut self.connection.timer
    }

    /// Keeps the connection for the next request: the answer has ended, and so has the request.
    pub fn give_back(self) {
        if !self.connection.sender.is_closed()
            && let Some(kept) = self.kept.upgrade()
        {
            kept.put(self.connection);
        }
    }
}

/// The connections that nobody uses, by server.
#[derive(Debug)]
struct Kept<B>(Mutex<Shelves<B>>);

#[derive(Debug)]
struct Shelves<B> {
    shelves: Vec<Shelf<B>>,
    /// Whether a task looks for those that were kept for too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Shelf<B> {
    origin: Arc<Origin>,
    /// The one used last stands at the end.
    idle: Vec<(Connection<B>, Instant)>,
}

impl<B> Shelves<B> {
    /// Drops the one that nobody used for longest, if there are too many in all.
    fn make_room(&mut self) {
        let count: usize = self.shelves.iter().map(|shelf| shelf.idle.len()).sum();
        if count <= limits::FETCH_POOL_CONNECTIONS_MAX {
            return;
        }
        let since = |shelf: &Shelf<B>| shelf.idle.first().map(|(_, since)| *since);
        let used = self.shelves.iter().enumerate();
        let oldest = used.filter_map(|(at, shelf)| Some((since(shelf)?, at)));
        if let Some((_, at)) = oldest.min() {
            self.shelves[at].idle.remove(0);
        }
        self.shelves.retain(|shelf| !shelf.idle.is_empty());
    }
}

impl<B> Default for Kept<B> {
    fn default() -> Kept<B> {
        Kept(Mutex::new(Shelves {
            shelves: Vec::new(),
            is_swept: false,
        }))
    }
}

impl<B> Kept<B> {
    fn lock(&self) -> MutexGuard<'_, Shelves<B>> {
        self.0.lock().expect("no holder of the connections panics")
    }

    /// The connection to this server that was used last.
    fn take(&self, url: &Url) -> Option<Connection<B>> {
        let mut kept = self.lock();
        let mut shelves = kept.shelves.iter_mut();
        let shelf = shelves.find(|shelf| shelf.origin.is_of(url))?;
        while let Some((connection, since)) = shelf.idle.pop() {
            if !connection.sender.is_closed() && since.elapsed() < limits::FETCH_POOL_IDLE_MAX {
                return Some(connection);
            }
        }
        None
    }

    /// Drops those that ended or were kept for too long; when to look again, if any are left.
    fn sweep(&self) -> Option<Instant> {
        let mut kept = self.lock();
        let now = Instant::now();
        for shelf in &mut kept.shelves {
            shelf.idle.retain(|(connection, since)| {
                !connection.sender.is_closed()
                    && now.duration_since(*since) < limits::FETCH_POOL_IDLE_MAX
            });
        }
        kept.shelves.retain(|shelf| !shelf.idle.is_empty());
        let idle = kept.shelves.iter().flat_map(|shelf| &shelf.idle);
        let oldest = idle.map(|(_, since)| *since).min();
        kept.is_swept = oldest.is_some();
        Some(oldest? + limits::FETCH_POOL_IDLE_MAX)
    }
}

impl<B: Send + 'static> Kept<B> {
    /// Keeps a connection, unless there are enough.
    fn put(self: &Arc<Kept<B>>, connection: Connection<B>) {
        let mut kept = self.lock();
        let shelves = &mut kept.shelves;
        let found = shelves
            .iter()
            .position(|shelf| shelf.origin == connection.origin);
        let at = found.unwrap_or_else(|| {
            shelves.push(Shelf {
                origin: connection.origin.clone(),
                idle: Vec::new(),
            });
            shelves.len() - 1
        });
        let idle = &mut shelves[at].idle;
        if idle.len() >= limits::FETCH_POOL_CONNECTIONS_PER_HOST_MAX {
            idle.retain(|(connection, _)| !connection.sender.is_closed());
        }
        if idle.len() < limits::FETCH_POOL_CONNECTIONS_PER_HOST_MAX {
            idle.push((connection, Instant::now()));
        }
        kept.make_room();
        if !std::mem::replace(&mut kept.is_swept, true) {
            tokio::spawn(Sweeper(Arc::downgrade(self)).run());
        }
    }
}

/// The task that closes what was kept for too long. It ends with the last connection.
struct Sweeper<B>(Weak<Kept<B>>);

impl<B> Sweeper<B> {
    async fn run(mut self) {
        while let Some(at) = self.0.upgrade().and_then(|kept| kept.sweep()) {
            sleep_until(at).await;
        }
        self.0 = Weak::new();
    }
}

impl<B> Drop for Sweeper<B> {
    /// A task that ends with its runtime leaves its work to another.
    fn drop(&mut self) {
        if let Some(kept) = self.0.upgrade() {
            kept.lock().is_swept = false;
        }
    }
}
