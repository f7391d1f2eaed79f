//! Why an exchange has no answer, or not the one that was wanted.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use periwinkle_core::aws::sigv4::{LifeError, RedirectRefused, UnsignableBody};
use periwinkle_core::fetch::UrlError;
use periwinkle_core::fetch::decode::DecodeError;
use periwinkle_core::fetch::form::FormError;
use periwinkle_core::fetch::range::{RangeError, WrongHash};
use periwinkle_core::fetch::redirect::RedirectError;
use periwinkle_core::fetch::retry::Failure;
use periwinkle_core::fetch::sse::EventError;
use thiserror::Error;

use crate::net::client_tls::{ClientTlsError, TlsFailure};
use crate::net::dial::DialError;
use crate::net::pool::SendError;
use crate::net::standing::Stale;
use crate::net::websocket::WebSocketError;

/// Why an exchange failed: in which phase, with whom, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address cannot be asked for.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// A field, a method or a part of the body cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// A form cannot be written.
    #[error("the form cannot be sent: {0}")]
    Form(#[from] FormError),
    /// A certificate, key or authority in the options cannot be used.
    #[error("{0}")]
    Tls(#[from] ClientTlsError),
    /// The configuration names something that cannot be used.
    #[error("{key}: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// No connection: the server saw nothing of the request.
    #[error("{0}")]
    Connect(Arc<DialError>),
    /// The server refused the connection in TLS after it was made.
    #[error("{host} ended the connection: {failure}")]
    Refused {
        /// The host of the address.
        host: String,
        /// Why.
        failure: TlsFailure,
    },
    /// The connection ended before the whole answer was there.
    #[error("the connection to {host} was cut {phase}: {reason}")]
    Cut {
        /// The host of the address.
        host: String,
        /// When.
        phase: Phase,
        /// The causes, outermost first.
        reason: String,
    },
    /// A connection that was kept from an earlier request ended before the answer began. What can be
    /// sent twice was sent again on another; this cannot.
    #[error(
        "the connection to {host}, kept from an earlier request, was cut {}, and this request must \
         not be sent twice: {reason}",
        Phase::Waiting
    )]
    Stale {
        /// The host of the address.
        host: String,
        /// Whether nothing of the request went out.
        unsent: bool,
        /// The causes, outermost first.
        reason: String,
    },
    /// What came is no answer of HTTP, or its head is too long.
    #[error("{host} does not answer in HTTP as it should: {reason}")]
    Protocol {
        /// The host of the address.
        host: String,
        /// The reader's words.
        reason: String,
    },
    /// A deadline passed.
    #[error("{host} was too slow {phase}: {} within {after:?}", missing(*.phase))]
    TooSlow {
        /// The host of the address.
        host: String,
        /// When.
        phase: Phase,
        /// The deadline.
        after: Duration,
    },
    /// Bytes came or went slower than the rate that was asked for.
    #[error("{host} was too slow {phase}: less than {bytes_per_second_min} bytes a second")]
    RateTooLow {
        /// The host of the address.
        host: String,
        /// When.
        phase: Phase,
        /// The rate.
        bytes_per_second_min: u64,
    },
    /// The answer is longer than the bound.
    #[error(
        "the answer of {host} is longer than {bytes_max} bytes; read it as a stream, or save it"
    )]
    TooLong {
        /// The host of the address.
        host: String,
        /// The bound.
        bytes_max: u64,
    },
    /// The server answered, but not with success.
    #[error("{host} answered {status}{}", excerpt(.body))]
    Status {
        /// The host of the address.
        host: String,
        /// What it answered.
        status: StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// A redirect is not followed.
    #[error("{host} redirects, and that is not followed: {source}")]
    Redirect {
        /// The host of the address.
        host: String,
        /// Why.
        source: Box<RedirectError>,
    },
    /// A redirect of a signed request is not followed.
    #[error("{host} redirects, and that is not followed: {source}")]
    SignedRedirect {
        /// The host of the address.
        host: String,
        /// Why.
        source: RedirectRefused,
    },
    /// The password would have to go over the line as it is.
    #[error(
        "{host} wants the password in plain (Basic) without TLS; use https, or basic() to insist"
    )]
    PlainPassword {
        /// The host of the address.
        host: String,
    },
    /// The request cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// The body of the request cannot be read.
    #[error("the body of the request cannot be read: {0}")]
    Body(#[source] io::Error),
    /// The answer cannot be decoded.
    #[error("the answer of {host} cannot be decoded: {source}")]
    Decode {
        /// The host of the address.
        host: String,
        /// Why.
        source: DecodeFailure,
    },
    /// The answer is not JSON, or not of the type that was asked for.
    #[error("the answer of {host} is not the JSON that was expected: {source}")]
    Json {
        /// The host of the address.
        host: String,
        /// Where, and what.
        source: serde_json::Error,
    },
    /// A stream of events has a line or an event beyond its bound.
    #[error("{0}")]
    Events(EventError),
    /// The server answers with something else than a stream of events.
    #[error("{host} does not answer with a stream of events")]
    NoEvents {
        /// The host of the address.
        host: String,
    },
    /// A WebSocket is not opened.
    #[error("{0}")]
    WebSocket(#[from] WebSocketError),
    /// A file cannot be written.
    #[error("{path} cannot be written: {source}")]
    Save {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody else downloads to this file.
    #[error("{path} is being downloaded already; wait for that download, or choose another name")]
    Downloading {
        /// The file.
        path: PathBuf,
    },
    /// The answer is of no use for the download.
    #[error("the download from {host} does not go on: {source}")]
    Range {
        /// The host of the address.
        host: String,
        /// Why.
        source: RangeError,
    },
    /// The file that was downloaded is another than was expected.
    #[error("{path}: {source}; it was removed")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What was expected, and what came.
        source: WrongHash,
    },
    /// The system has no entropy to give.
    #[error("no entropy: {0}")]
    Entropy(#[source] io::Error),
}

/// When something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Phase {
    /// While the request was being sent.
    #[error("while the request was sent")]
    Sending,
    /// Before the answer began.
    #[error("before it answered")]
    Waiting,
    /// While the answer was being read.
    #[error("within its answer")]
    Reading,
    /// Before the whole exchange was over.
    #[error("in all")]
    Total,
}

/// Why a request cannot be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// There are no keys.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// The region is not known.
    #[error("the region is not in the address {0}; give it, or set fetch.region")]
    Region(String),
    /// The service would not take such a body.
    #[error(transparent)]
    Body(#[from] UnsignableBody),
    /// An address cannot be presigned for so long.
    #[error(transparent)]
    Life(#[from] LifeError),
}

/// Why an answer cannot be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeFailure {
    /// A bound, or an encoding that was not asked for.
    #[error(transparent)]
    Refused(#[from] DecodeError),
    /// It is damaged, or not in the encoding that it names.
    #[error("it is damaged ({0})")]
    Damaged(io::Error),
}

impl FetchError {
    /// The status that the server answered with, where that is the error.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            FetchError::Status { status, .. }
            | FetchError::WebSocket(WebSocketError::Refused { status, .. }) => Some(*status),
            _ => None,
        }
    }

    /// Whether the server certainly saw nothing of the request.
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            FetchError::Url(_)
                | FetchError::Request(_)
                | FetchError::Form(_)
                | FetchError::Tls(_)
                | FetchError::Connect(_)
                | FetchError::Sign(_)
                | FetchError::Entropy(_)
                | FetchError::Stale { unsent: true, .. }
        )
    }

    /// What it means for a retry; `None` where another attempt would end the same.
    pub(super) fn failure(&self) -> Option<Failure<'static>> {
        match self {
            FetchError::Connect(error) if error.is_refusal() => None,
            FetchError::Connect(_) => Some(Failure::NotConnected),
            FetchError::Stale { unsent: true, .. } => Some(Failure::NotConnected),
            FetchError::Cut { .. } | FetchError::Stale { .. } => Some(Failure::Cut),
            FetchError::TooSlow {
                phase: Phase::Sending | Phase::Waiting,
                ..
            }
            | FetchError::RateTooLow {
                phase: Phase::Sending,
                ..
            } => Some(Failure::TimedOut),
            _ => None,
        }
    }

    pub(super) fn too_slow(host: &str, phase: Phase, after: Duration) -> FetchError {
        FetchError::TooSlow {
            host: host.to_owned(),
            phase,
            after,
        }
    }

    /// What it means that no answer began, where it had so long.
    pub(super) fn of_send(
        host: &str,
        phase: Phase,
        first_byte: Duration,
        error: SendError,
    ) -> FetchError {
        let (error, stale) = match error {
            SendError::Connect(error) => return FetchError::Connect(Arc::new(error)),
            SendError::Ended(error, stale) => (error, stale),
            SendError::TooSlow => return FetchError::too_slow(host, phase, first_byte),
        };
        match (FetchError::of_connection(host, phase, &error), stale) {
            (FetchError::Cut { host, reason, .. }, Some(stale)) => FetchError::Stale {
                host,
                unsent: stale == Stale::Unsent,
                reason,
            },
            (other, _) => other,
        }
    }

    /// What an error of a connection means.
    pub(super) fn of_connection(
        host: &str,
        phase: Phase,
        error: &(dyn Error + 'static),
    ) -> FetchError {
        let host = host.to_owned();
        if let Some(body) = find::<BodyError>(error) {
            return FetchError::Body(body.0.kind().into_error(&body.0));
        }
        if let Some(failure) = find::<io::Error>(error).and_then(TlsFailure::of) {
            return FetchError::Refused { host, failure };
        }
        let reason = causes(error);
        match find::<hyper::Error>(error) {
            Some(inner) if inner.is_parse() || is_malformed(error) => {
                FetchError::Protocol { host, reason }
            }
            _ => FetchError::Cut {
                host,
                phase,
                reason,
            },
        }
    }
}

/// An error of the source of a body, on its way through hyper and back.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct BodyError(pub(super) io::Error);

/// The same kind with the same words: an error of the system cannot be cloned.
trait IntoError {
    fn into_error(self, like: &io::Error) -> io::Error;
}

impl IntoError for io::ErrorKind {
    fn into_error(self, like: &io::Error) -> io::Error {
        io::Error::new(self, like.to_string())
    }
}

/// Whether a chunk of a body is none: the reader's words for that come as an error of the system.
fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
    find::<io::Error>(error).is_some_and(|error| kinds.contains(&error.kind()))
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        // Wrappers often repeat what they wrap.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// What did not come within a deadline.
const fn missing(phase: Phase) -> &'static str {
    match phase {
        // Something may have.
        Phase::Total => "not done",
        Phase::Sending | Phase::Waiting | Phase::Reading => "nothing",
    }
}

fn excerpt(body: &str) -> String {
    match body.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
