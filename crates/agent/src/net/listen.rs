//! Listeners: TCP with or without TLS, and the Unix socket of this machine's own programs.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use periwinkle_core::limits;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A program on the network, or on this machine by way of loopback.
    Network(SocketAddr),
    /// A program of this user on this machine, by way of the control socket.
    Local {
        /// The user, as the kernel says.
        uid: u32,
    },
}

impl Peer {
    /// The network address, if it has one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Peer::Network(address) => Some(address.ip().to_canonical()),
            Peer::Local { .. } => None,
        }
    }
}

/// A stream of one of the kinds that listeners accept.
#[derive(Debug)]
pub enum Stream {
    /// TCP, TLS not yet begun.
    Tcp(TcpStream),
    /// Unix domain.
    Unix(UnixStream),
}

/// One accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// The bytes.
    pub stream: Stream,
    /// The other end.
    pub peer: Peer,
}

/// Something that accepts connections.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    closed: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
enum Kind {
    Tcp {
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
    },
    Unix {
        listener: UnixListener,
        path: PathBuf,
    },
}

impl Listener {
    /// Listens on a TCP address.
    pub fn tcp(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<Listener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // An address of one family serves that family; the configuration names both.
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(limits::LISTEN_BACKLOG_MAX)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok(Listener {
            kind: Kind::Tcp { listener, tls },
            closed: None,
        })
    }

    /// Listens on a Unix socket that only its owner may use; replaces a socket left behind.
    ///
    /// The caller holds the lock of the state directory, so nobody can be serving it.
    pub fn unix(path: &Path) -> io::Result<Listener> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::other("something else than a socket is there")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Listener {
            kind: Kind::Unix {
                listener,
                path: path.to_owned(),
            },
            closed: None,
        })
    }

    /// The next connection. Dropping the future loses none.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match &self.kind {
            Kind::Tcp { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                // A peer that vanished without a word must not hold a connection for hours.
                SockRef::from(&stream).set_tcp_user_timeout(Some(limits::TCP_UNACKED_MAX))?;
                Ok(Accepted {
                    stream: Stream::Tcp(stream),
                    peer: Peer::Network(address),
                })
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted {
                    stream: Stream::Unix(stream),
                    peer: Peer::Local { uid },
                })
            }
        }
    }

    /// Resolves, with an error, once this listener is gone and its address is free; the latest
    /// call of several counts.
    pub fn closed(&mut self) -> oneshot::Receiver<()> {
        let (held, gone) = oneshot::channel();
        self.closed = Some(held);
        gone
    }

    /// The TCP address that is really listened on.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp { listener, .. } => listener.local_addr().ok(),
            Kind::Unix { .. } => None,
        }
    }

    /// Whether nobody on the way can read along.
    pub fn is_secure(&self) -> bool {
        matches!(
            &self.kind,
            Kind::Tcp { tls: Some(_), .. } | Kind::Unix { .. }
        )
    }

    /// What makes TLS of an accepted stream, if this listener speaks it.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        match &self.kind {
            Kind::Tcp { tls, .. } => tls.clone().map(TlsAcceptor::from),
            Kind::Unix { .. } => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix { path, .. } = &self.kind {
            // A socket left behind is replaced at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("nothing is there"));
        drop(Listener::unix(&path).expect("the socket gives way"));
        fs::write(&path, "precious").expect("it is ours");
        Listener::unix(&path).expect_err("a file does not give way");
        assert_eq!(fs::read_to_string(&path).expect("ours"), "precious");
    }
}
