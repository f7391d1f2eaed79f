//! The way to the broker: a stream of bytes, whatever carries it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use periwinkle_core::fetch::Url;
use periwinkle_core::limits::MQTT_WRITE_BYTES;
use periwinkle_core::mqtt::address::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::error::MqttError;
use super::options::{Options, Presign, TlsOptions};
use super::state::{OfflineKind, OfflineReason};
use crate::net::client_tls::{ClientCertificate, ClientTls, ClientTlsError, Trust};
use crate::net::clock::Clock;
use crate::net::dial::{Patience, Target, Via, dial};
use crate::net::link::Link;
use crate::net::proxy_logins::ProxyLogins;
use crate::net::websocket::{Opening, open_stream};
use crate::net::websocket_pieces::Pieces;

/// A connection that packets travel on.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection that is being made.
pub(super) type Dialing =
    Pin<Box<dyn Future<Output = Result<Box<dyn Wire>, OfflineReason>> + Send>>;

/// Makes connections to one broker.
pub(super) struct Dialer {
    address: Address,
    tls: Arc<ClientTls>,
    proxy: Option<Via>,
    presign: Option<Arc<dyn Presign>>,
    wait: Duration,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer")
            .field(&self.address.to_string())
            .finish()
    }
}

impl Dialer {
    /// Reads the files that TLS needs.
    pub(super) fn new(options: &Options, clock: &Clock) -> Result<Dialer, MqttError> {
        let told = |error: &dyn fmt::Display| MqttError::Options(error.to_string());
        let tls = client_tls(&options.tls, clock).map_err(|error| told(&error))?;
        let proxy = options.proxy.clone().map(|proxy| {
            let tls = ClientTls::builder(clock).build();
            let tls = Arc::new(tls.map_err(|error| told(&error))?);
            let logins = ProxyLogins::default();
            Ok::<Via, MqttError>(Via { proxy, tls, logins })
        });
        Ok(Dialer {
            address: options.address.clone(),
            tls: Arc::new(tls),
            proxy: proxy.transpose()?,
            presign: options.presign.clone(),
            wait: options.connect_wait,
        })
    }

    /// Makes one to the configured broker, or to the server that it named.
    pub(super) fn dial(&self, elsewhere: Option<&str>) -> Dialing {
        let named = elsewhere.and_then(|server| self.address.elsewhere(server));
        let mut address = named.unwrap_or_else(|| self.address.clone());
        let signed = match &self.presign {
            Some(presign) => presign
                .target(&address)
                .map(|target| address.target = target)
                .map_err(|why| OfflineReason::new(OfflineKind::Credentials, why)),
            None => Ok(()),
        };
        let target = Target {
            host: address.host.clone(),
            port: address.port,
            tls: address.transport.is_secure().then(|| self.tls.clone()),
            proxy: self.proxy.clone(),
        };
        let wait = self.wait;
        Box::pin(async move {
            signed?;
            let connecting = connect(target, address, wait);
            let connected = tokio::time::timeout(wait, connecting).await;
            connected.unwrap_or_else(|_| {
                let why = format!("no connection within {wait:?}");
                Err(OfflineReason::new(OfflineKind::TimedOut, why))
            })
        })
    }
}

fn client_tls(options: &TlsOptions, clock: &Clock) -> Result<ClientTls, ClientTlsError> {
    let mut builder = ClientTls::builder(clock);
    if !options.ca.is_empty() {
        builder = builder.trust(Trust::Only(options.ca.clone()));
    }
    if let Some((certificate, key)) = &options.identity {
        let identity = ClientCertificate::from_files(certificate, key)?;
        builder = builder.certificate(Some(identity));
    }
    if let Some(name) = &options.server_name {
        builder = builder.server_name(name);
    }
    let protocols: Vec<&str> = options.alpn.iter().map(String::as_str).collect();
    builder.protocols(&protocols).build()
}

async fn connect(
    target: Target,
    address: Address,
    wait: Duration,
) -> Result<Box<dyn Wire>, OfflineReason> {
    let link = dial(&target, &Patience::default()).await?;
    if !address.transport.is_websocket() {
        return Ok(Box::new(link));
    }
    let odd = |why: &dyn fmt::Display| OfflineReason::new(OfflineKind::WebSocket, why);
    let url = web_address(&address).map_err(|error| odd(&error))?;
    let opening = Opening {
        protocols: vec!["mqtt".to_owned()],
        ..Opening::default()
    };
    let (stream, protocol) = open_stream(link, &url, &opening, wait).await?;
    if protocol.as_deref() != Some("mqtt") {
        let why = format!("{address} opens a WebSocket, but not for MQTT");
        return Err(odd(&why));
    }
    Ok(Box::new(Messages {
        stream,
        unread: Bytes::new(),
    }))
}

/// The same address as the web writes it.
fn web_address(address: &Address) -> Result<Url, periwinkle_core::fetch::UrlError> {
    let scheme = match address.transport.is_secure() {
        true => "https",
        false => "http",
    };
    let (host, port, target) = (&address.host, address.port, &address.target);
    Url::parse(&format!("{scheme}://{host}:{port}{target}"))
}

/// A stream of bytes in binary messages, whose bounds mean nothing (MQTT 5, section 6): packets are
/// bounded where they are decoded.
struct Messages {
    stream: WebSocketStream<Pieces<Link>>,
    unread: Bytes,
}

impl AsyncRead for Messages {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Text(_))) => {
                    let what = "the broker sent text, and MQTT travels in binary messages";
                    return Poll::Ready(Err(io::Error::other(what)));
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Messages {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.stream).poll_ready(context)).map_err(broken)?;
        let bytes = &bytes[..bytes.len().min(MQTT_WRITE_BYTES)];
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        let sent = Pin::new(&mut self.stream).start_send(message);
        Poll::Ready(sent.map(|()| bytes.len()).map_err(broken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream)
            .poll_flush(context)
            .map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream)
            .poll_close(context)
            .map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
