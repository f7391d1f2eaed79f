//! WebSocket over a connection of ours (RFC 6455), the client's side.

use std::time::Duration;

use http::header::{CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Request, StatusCode};
use periwinkle_core::fetch::Url;
use periwinkle_core::limits;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
#[cfg(feature = "fetch")]
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

#[cfg(feature = "mqtt")]
use super::link::Link;
#[cfg(feature = "fetch")]
pub use super::websocket_messages::WebSocket;
#[cfg(feature = "mqtt")]
use super::websocket_pieces::Pieces;

/// What is asked for when a WebSocket is opened.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Further fields of the request.
    pub headers: HeaderMap,
    /// The protocols to offer, the preferred one first.
    pub protocols: Vec<String>,
    /// The longest message that is received; none means [`limits::WEBSOCKET_MESSAGE_BYTES_MAX`].
    #[cfg(feature = "fetch")]
    pub message_bytes_max: Option<usize>,
    /// After which silence the other end is asked whether it is still there; none never asks.
    #[cfg(feature = "fetch")]
    pub ping_interval: Option<Duration>,
}

/// Why a WebSocket cannot be opened or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The server answered with another status than 101.
    #[error("{host} does not open a WebSocket: it answered {status}")]
    Refused {
        /// The server.
        host: String,
        /// What it answered.
        status: StatusCode,
        /// Its fields.
        headers: Box<HeaderMap>,
    },
    /// The server's answer breaks the rules, or chooses a protocol that was not offered.
    #[error("{host} does not open a WebSocket as it should: {reason}")]
    Handshake {
        /// The server.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The server took too long.
    #[error("{host} did not open a WebSocket within {after:?}")]
    TooSlow {
        /// The server.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// A protocol or a field that cannot be sent.
    #[error("{0:?} cannot be sent in a request")]
    Field(String),
    /// A message is longer than the bound.
    #[cfg(feature = "fetch")]
    #[error("a message longer than the bound: {0}")]
    TooLong(CapacityError),
    /// The other end broke the rules.
    #[cfg(feature = "fetch")]
    #[error("the other end broke the rules of WebSocket: {0}")]
    Protocol(ProtocolError),
    /// A text, or the words of a goodbye, that are not UTF-8.
    #[cfg(feature = "fetch")]
    #[error("the other end broke the rules of WebSocket: a text that is not UTF-8 ({0})")]
    NoText(String),
    /// The other end is silent, also when it was asked for a sign of life.
    #[cfg(feature = "fetch")]
    #[error("the other end of the WebSocket is gone: it did not answer a ping within {0:?}")]
    Silent(Duration),
    /// The connection ended without a goodbye.
    #[cfg(feature = "fetch")]
    #[error("the WebSocket was cut: {0}")]
    Cut(String),
    /// It was closed before.
    #[cfg(feature = "fetch")]
    #[error("the WebSocket is closed")]
    Closed,
}

/// Opens one for a protocol that is a stream of bytes, in binary messages whose bounds mean
/// nothing to it: messages of any length come in pieces. With it comes the protocol that the
/// server chose.
///
/// # Errors
/// Why the server does not open it.
#[cfg(feature = "mqtt")]
pub(crate) async fn open_stream(
    link: Link,
    url: &Url,
    opening: &Opening,
    within: Duration,
) -> Result<(WebSocketStream<Pieces<Link>>, Option<String>), WebSocketError> {
    let bytes_max = limits::WEBSOCKET_PIECE_BYTES_MAX;
    shake_hands(Pieces::new(link), url, opening, bytes_max, within).await
}

pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    link: S,
    url: &Url,
    opening: &Opening,
    message_bytes_max: usize,
    within: Duration,
) -> Result<(WebSocketStream<S>, Option<String>), WebSocketError> {
    let request = request(url, opening)?;
    let host = url.authority().to_owned();
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
        .max_write_buffer_size(limits::WEBSOCKET_WRITE_BYTES_MAX);
    let handshake = tokio_tungstenite::client_async_with_config(request, link, Some(config));
    let (stream, answer) = tokio::time::timeout(within, handshake)
        .await
        .map_err(|_| WebSocketError::TooSlow {
            host: host.clone(),
            after: within,
        })?
        .map_err(|error| not_opened(host, error))?;
    let protocol = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocol.and_then(|field| field.to_str().ok());
    Ok((stream, protocol.map(str::to_owned)))
}

fn request(url: &Url, opening: &Opening) -> Result<Request<()>, WebSocketError> {
    let scheme = match url.scheme() {
        periwinkle_core::fetch::Scheme::Http => "ws",
        periwinkle_core::fetch::Scheme::Https => "wss",
    };
    let authority = url.authority();
    let address = format!("{scheme}://{authority}{}", url.target());
    let field = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| WebSocketError::Field(text.to_owned()))
    };
    let mut request = Request::get(&address)
        .body(())
        .map_err(|_| WebSocketError::Field(address))?;
    let headers = request.headers_mut();
    headers.extend(opening.headers.clone());
    headers.insert(HOST, field(authority)?);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, field(&generate_key())?);
    if !opening.protocols.is_empty() {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            field(&opening.protocols.join(", "))?,
        );
    }
    Ok(request)
}

fn not_opened(host: String, error: Error) -> WebSocketError {
    match error {
        Error::Http(answer) => WebSocketError::Refused {
            host,
            status: answer.status(),
            headers: Box::new(answer.headers().clone()),
        },
        other => WebSocketError::Handshake {
            host,
            reason: other.to_string(),
        },
    }
}
