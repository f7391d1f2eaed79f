//! A connection to the outside: TCP, or TLS over it, or TLS within the TLS of a proxy.

use std::io::{self, IoSlice};
#[cfg(feature = "fetch")]
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "fetch")]
use periwinkle_core::limits;
#[cfg(feature = "fetch")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to the outside.
#[derive(Debug)]
pub struct Link(Stream);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    TlsWithinTls(Box<TlsStream<Link>>),
}

impl Link {
    #[cfg(feature = "fetch")]
    /// The address at the other end: the proxy's, when there is one.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.tcp().peer_addr().ok()
    }

    #[cfg(feature = "fetch")]
    /// The addresses at this end and at the other.
    pub(super) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let stream = self.tcp();
        stream.local_addr().ok().zip(stream.peer_addr().ok())
    }

    #[cfg(feature = "fetch")]
    /// Has the system take little beyond what the network has taken. What would lie there longer has
    /// left the processor's cache when its turn comes.
    pub(super) fn bound_unsent(&self) {
        // A system that cannot is only slower.
        let _ = SockRef::from(self.tcp()).set_tcp_notsent_lowat(limits::FETCH_UNSENT_BYTES_MAX);
    }

    #[cfg(feature = "fetch")]
    fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
            Stream::TlsWithinTls(stream) => stream.get_ref().0.tcp(),
        }
    }

    #[cfg(feature = "fetch")]
    /// The protocol that was agreed on in the innermost TLS handshake (RFC 7301).
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.0 {
            Stream::Tcp(_) => None,
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol(),
            Stream::TlsWithinTls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The TCP connection itself, while there is no TLS over it.
    pub(super) fn into_tcp(self) -> Result<TcpStream, Link> {
        match self.0 {
            Stream::Tcp(stream) => Ok(stream),
            other => Err(Link(other)),
        }
    }
}

impl From<TcpStream> for Link {
    fn from(stream: TcpStream) -> Link {
        Link(Stream::Tcp(stream))
    }
}

impl From<TlsStream<TcpStream>> for Link {
    fn from(stream: TlsStream<TcpStream>) -> Link {
        Link(Stream::Tls(Box::new(stream)))
    }
}

impl From<TlsStream<Link>> for Link {
    fn from(stream: TlsStream<Link>) -> Link {
        Link(Stream::TlsWithinTls(Box::new(stream)))
    }
}

/// Calls the stream that there is.
macro_rules! each {
    ($link:expr, $stream:ident => $call:expr) => {
        match &mut $link.get_mut().0 {
            Stream::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            Stream::TlsWithinTls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::TlsWithinTls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(context))
    }
}
