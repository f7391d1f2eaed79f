//! Messages over a [`WebSocket`], for those who run no protocol of their own over it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use periwinkle_core::fetch::Url;
use periwinkle_core::limits;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use tokio::time::{Instant, timeout, timeout_at};

use super::link::Link;
use super::websocket::{Opening, WebSocketError, shake_hands};

/// What comes over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// An open WebSocket. Pings are answered, and sent where that was asked for, while messages are
/// awaited.
#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<Link>,
    life: Life,
    protocol: Option<String>,
    goodbye: Option<Goodbye>,
    /// Whether we said goodbye, and wait for the other end to say it.
    is_leaving: bool,
    /// Whether the other end did.
    is_over: bool,
}

/// Why the other end said goodbye (RFC 6455, section 7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Its code: 1000 and 1001 are usual, and others say what went wrong.
    pub code: u16,
    /// Its words, in most cases none.
    pub reason: String,
}

/// Whether the other end is still there: a peer that vanished closes nothing.
#[derive(Debug)]
pub(super) struct Life {
    /// The silence after which it is asked, and what it then has to answer.
    interval: Option<Duration>,
    /// When it was heard last, or asked after that.
    since: Instant,
    is_asked: bool,
}

impl Life {
    pub(super) fn new(interval: Option<Duration>) -> Life {
        Life {
            interval,
            since: Instant::now(),
            is_asked: false,
        }
    }

    fn note(&mut self, is_asked: bool) {
        (self.since, self.is_asked) = (Instant::now(), is_asked);
    }
}

impl From<CloseFrame> for Goodbye {
    fn from(frame: CloseFrame) -> Goodbye {
        Goodbye {
            code: frame.code.into(),
            reason: frame.reason.as_str().to_owned(),
        }
    }
}

impl WebSocket {
    /// Opens a WebSocket over a connection to the server of `url`, whose scheme is `http` or
    /// `https` as that of the connection.
    ///
    /// # Errors
    /// Why the server does not open it.
    pub async fn open(
        link: Link,
        url: &Url,
        opening: &Opening,
        within: Duration,
    ) -> Result<WebSocket, WebSocketError> {
        let message_bytes_max = opening
            .message_bytes_max
            .unwrap_or(limits::WEBSOCKET_MESSAGE_BYTES_MAX);
        let (stream, protocol) = shake_hands(link, url, opening, message_bytes_max, within).await?;
        Ok(WebSocket {
            stream,
            life: Life::new(opening.ping_interval),
            protocol,
            goodbye: None,
            is_leaving: false,
            is_over: false,
        })
    }

    /// The protocol that the server chose.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Why the other end said goodbye, once [`next`](WebSocket::next) told that it did; `None` also
    /// where it did not say.
    pub const fn goodbye(&self) -> Option<&Goodbye> {
        self.goodbye.as_ref()
    }

    /// Sends a text. Waits while the other end is slow.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), WebSocketError> {
        self.send(Frame::text(text.into())).await
    }

    /// Sends bytes. Waits while the other end is slow.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), WebSocketError> {
        self.send(Frame::binary(bytes.into())).await
    }

    async fn send(&mut self, frame: Frame) -> Result<(), WebSocketError> {
        self.stream.send(frame).await.map_err(broken)
    }

    /// The next message; `None` when the other end said goodbye. May be dropped while it waits.
    ///
    /// # Errors
    /// When the connection was cut or the other end is silent, or the rules or a bound were broken.
    pub async fn next(&mut self) -> Result<Option<Message>, WebSocketError> {
        while !self.is_over {
            match self.frame().await? {
                Some(Ok(Frame::Text(text))) => {
                    return Ok(Some(Message::Text(text.as_str().to_owned())));
                }
                Some(Ok(Frame::Binary(bytes))) => return Ok(Some(Message::Binary(bytes))),
                // The stream answers pings and goodbyes by itself.
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                // What follows it means nothing (RFC 6455, section 1.4), also where the other end
                // leaves the connection open.
                Some(Ok(Frame::Close(frame))) => {
                    self.goodbye = frame.map(Goodbye::from);
                    self.is_over = true;
                    let answer = timeout(limits::WEBSOCKET_GOODBYE_MAX, self.stream.flush());
                    let _ = answer.await;
                }
                None | Some(Err(Error::ConnectionClosed)) => self.is_over = true,
                Some(Err(error)) => return Err(broken(error)),
            }
        }
        Ok(None)
    }

    /// The next frame, or the end; asks for a sign of life where none comes.
    async fn frame(&mut self) -> Result<Option<Result<Frame, Error>>, WebSocketError> {
        loop {
            let patience = self.is_leaving.then_some(limits::WEBSOCKET_PING_INTERVAL);
            let Some(interval) = self.life.interval.or(patience) else {
                return Ok(self.stream.next().await);
            };
            // What has come already is given first, however late it is asked for.
            let end = self.life.since + interval;
            if let Ok(frame) = timeout_at(end, self.stream.next()).await {
                self.life.note(false);
                return Ok(frame);
            }
            // A goodbye is a question, too, and nothing follows it.
            if self.life.is_asked || self.is_leaving {
                return Err(WebSocketError::Silent(interval));
            }
            self.life.note(true);
            let asking = self.stream.send(Frame::Ping(Bytes::new()));
            // It may not read any more; then it does not answer either.
            if let Ok(sent) = timeout(interval, asking).await {
                sent.map_err(broken)?;
            }
        }
    }

    /// Says goodbye with a code of RFC 6455, section 7.4, such as 1000.
    ///
    /// # Errors
    /// When the connection has ended before.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), WebSocketError> {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        let closed = self.stream.close(Some(frame)).await;
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.life.note(false);
        }
        match closed {
            Ok(()) | Err(Error::ConnectionClosed) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }
}

fn broken(error: Error) -> WebSocketError {
    match error {
        Error::Capacity(error) => WebSocketError::TooLong(error),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            WebSocketError::Cut("the connection ended".to_owned())
        }
        Error::Protocol(error) => WebSocketError::Protocol(error),
        Error::Utf8(words) => WebSocketError::NoText(words),
        Error::ConnectionClosed | Error::AlreadyClosed => WebSocketError::Closed,
        other => WebSocketError::Cut(other.to_string()),
    }
}
