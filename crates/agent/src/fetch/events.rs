//! Event streams that go on across connections ("Server-sent events" in the HTML standard).

use std::time::Duration;

use http::StatusCode;
use periwinkle_core::fetch::sse::{Event, EventReader};
use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use tokio::time::{Instant, sleep_until};

use super::answer::Answer;
use super::client::Fetch;
use super::error::FetchError;
use super::request::{Parts, RequestBuilder};
use crate::net::entropy;

/// The events of a server, one after the other. A connection that ends is made anew after the pause
/// that the server asks for, and the server is told which event came last.
pub struct EventStream {
    fetch: Fetch,
    request: Result<Box<Parts>, FetchError>,
    reader: EventReader,
    state: State,
    backoff: Backoff,
    reconnects_max: Option<u32>,
    /// Connections in a row that brought nothing.
    fruitless: u32,
    /// Whether events came at all: before that, a failure is the result.
    has_begun: bool,
}

enum State {
    /// The next connection is made then.
    Between(Option<Instant>),
    Reading(Box<Answer>),
    Over,
}

impl RequestBuilder {
    /// Listens to the events of a server. Nothing is sent before the first
    /// [`next`](EventStream::next).
    pub fn events(self) -> EventStream {
        let silence = limits::FETCH_EVENT_SILENCE_MAX;
        let (fetch, parts) = self.accept("text/event-stream").into_parts();
        let request = parts.map(|mut parts| {
            // Only who said nothing gets the longer time.
            if parts.deadlines == fetch.shared.options.default_deadlines() {
                parts.deadlines.between_bytes = silence;
            }
            parts
        });
        EventStream {
            fetch,
            request,
            reader: EventReader::new(),
            state: State::Between(None),
            backoff: backoff(),
            reconnects_max: None,
            fruitless: 0,
            has_begun: false,
        }
    }
}

const fn backoff() -> Backoff {
    Backoff::full(limits::EVENT_RETRY, limits::EVENT_RETRY_MAX)
}

impl EventStream {
    /// Gives up after so many connections in a row that brought nothing.
    #[must_use]
    pub fn reconnects(self, reconnects_max: u32) -> EventStream {
        EventStream {
            reconnects_max: Some(reconnects_max),
            ..self
        }
    }

    /// The id of the last event, which the server is told when the stream is opened again.
    pub fn last_event_id(&self) -> &str {
        self.reader.last_event_id()
    }

    /// The next event; `None` when the server says that there are no more (204). May be dropped
    /// while it waits.
    ///
    /// # Errors
    /// When the stream cannot be opened, is none, or was cut too often in a row.
    pub async fn next(&mut self) -> Result<Option<Event>, FetchError> {
        loop {
            if let Some(event) = self.reader.poll_event() {
                return Ok(Some(event));
            }
            let step = match &mut self.state {
                State::Over => return Ok(None),
                State::Reading(answer) => answer.chunk().await,
                State::Between(at) => {
                    if let Some(at) = *at {
                        sleep_until(at).await;
                    }
                    self.open().await?;
                    continue;
                }
            };
            match step {
                Ok(Some(piece)) => {
                    self.has_begun = true;
                    self.fruitless = 0;
                    self.backoff = backoff();
                    if let Err(error) = self.reader.handle_bytes(&piece) {
                        self.state = State::Over;
                        return Err(FetchError::Events(error));
                    }
                }
                Ok(None) => self.pause(None)?,
                Err(error) => self.pause(Some(error))?,
            }
        }
    }

    async fn open(&mut self) -> Result<(), FetchError> {
        let template = match &self.request {
            Ok(parts) => parts.again(),
            // What is wrong with the request is told once.
            Err(_) => {
                self.state = State::Over;
                let other = Err(FetchError::Request("it was told before".to_owned()));
                return Err(std::mem::replace(&mut self.request, other).expect_err("it is one"));
            }
        };
        let Some(template) = template else {
            self.state = State::Over;
            let once = "its body can be read only once, and a stream is opened again and again";
            return Err(FetchError::Request(once.to_owned()));
        };
        let mut request = RequestBuilder::from_parts(self.fetch.clone(), Box::new(template));
        if !self.reader.last_event_id().is_empty() {
            request = request.header("last-event-id", self.reader.last_event_id());
        }
        match request.send().await {
            Ok(answer) => self.judge(answer).await,
            Err(error) if self.has_begun => self.pause(Some(error)),
            Err(error) => {
                self.state = State::Over;
                Err(error)
            }
        }
    }

    async fn judge(&mut self, answer: Answer) -> Result<(), FetchError> {
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            self.state = State::Over;
            return Ok(());
        }
        let is_stream = answer.header("content-type").is_some_and(|kind| {
            kind.split(';').next().unwrap_or_default().trim() == "text/event-stream"
        });
        if status == StatusCode::OK && is_stream {
            self.state = State::Reading(Box::new(answer));
            return Ok(());
        }
        let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let host = answer.url().authority().to_owned();
        let error = match answer.success().await {
            Ok(_) => FetchError::NoEvents { host },
            Err(error) => error,
        };
        if self.has_begun && passes {
            return self.pause(Some(error));
        }
        self.state = State::Over;
        Err(error)
    }

    /// Plans the next connection; gives the error up when there were too many.
    fn pause(&mut self, error: Option<FetchError>) -> Result<(), FetchError> {
        self.reader.handle_end();
        if self.reconnects_max.is_some_and(|max| self.fruitless >= max) {
            self.state = State::Over;
            return error.map_or(Ok(()), Err);
        }
        self.fruitless = self.fruitless.saturating_add(1);
        let grown = match error {
            // A server that ends its stream in order is asked again as it says.
            None => Duration::ZERO,
            Some(_) => self.backoff.next_pause(entropy::chance()),
        };
        self.state = State::Between(Some(Instant::now() + self.reader.retry().max(grown)));
        Ok(())
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream")
            .field("last_event_id", &self.last_event_id())
            .finish_non_exhaustive()
    }
}
