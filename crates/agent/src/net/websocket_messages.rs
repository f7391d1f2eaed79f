//! Messages over a [`WebSocket`], for those who run no protocol of their own over it.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::websocket::{WebSocket, WebSocketError};

/// What comes over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(bytes::Bytes),
}

impl WebSocket {
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
    pub async fn send_binary(
        &mut self,
        bytes: impl Into<bytes::Bytes>,
    ) -> Result<(), WebSocketError> {
        self.send(Frame::binary(bytes.into())).await
    }

    async fn send(&mut self, frame: Frame) -> Result<(), WebSocketError> {
        self.stream.send(frame).await.map_err(broken)
    }

    /// The next message; `None` when the other end said goodbye. May be dropped while it waits.
    ///
    /// # Errors
    /// When the connection was cut, or the rules or a bound were broken.
    pub async fn next(&mut self) -> Result<Option<Message>, WebSocketError> {
        loop {
            match self.stream.next().await {
                Some(Ok(Frame::Text(text))) => {
                    return Ok(Some(Message::Text(text.as_str().to_owned())));
                }
                Some(Ok(Frame::Binary(bytes))) => return Ok(Some(Message::Binary(bytes))),
                // The stream answers pings and goodbyes by itself.
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) | Frame::Close(_))) => {}
                None | Some(Err(Error::ConnectionClosed)) => return Ok(None),
                Some(Err(error)) => return Err(broken(error)),
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
        match self.stream.close(Some(frame)).await {
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
        Error::ConnectionClosed | Error::AlreadyClosed => WebSocketError::Closed,
        other => WebSocketError::Cut(other.to_string()),
    }
}
