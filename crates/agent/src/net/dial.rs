//! The one way to make an outgoing connection: the name resolved, TCP, a proxy if there is one,
//! TLS if it is asked for. Each phase has its deadline and fails with its own words.
//!
//! ```text
//! let target = Target::new(Host::parse("broker.example")?, 8883).tls(tls);
//! let link = dial(&target, &Patience::default()).await?;
//! ```

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::fetch::Host;
use periwinkle_core::fetch::auth::Asked;
use periwinkle_core::fetch::proxy::{Proxy, ProxyKind};
use periwinkle_core::limits;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::client_tls::{ClientTls, TlsFailure};
use super::link::Link;
use super::proxy_logins::ProxyLogins;
use super::tunnel::{self, Opened, ProxyFailure};

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name or address.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// TLS over the connection.
    pub tls: Option<Arc<ClientTls>>,
    /// The proxy before it.
    pub proxy: Option<Via>,
}

/// A proxy, and TLS for one that is spoken to over it.
#[derive(Clone, Debug)]
pub struct Via {
    /// The proxy.
    pub proxy: Proxy,
    /// How TLS is spoken to a proxy of the kind `https`.
    pub tls: Arc<ClientTls>,
    /// What it was found to ask for.
    pub logins: ProxyLogins,
}

/// How long each phase may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the name to its addresses.
    pub resolve: Duration,
    /// From the addresses to a TCP connection, with any of them.
    pub connect: Duration,
    /// From a connection with the proxy to one through it.
    pub proxy: Duration,
    /// The TLS handshake.
    pub tls: Duration,
}

/// Why there is no connection: what failed, with whom, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// The name has no address.
    #[error("{host} cannot be resolved: {cause}; check the name and the device's name servers")]
    Resolve {
        /// The name: the server's, or the proxy's.
        host: String,
        /// Why.
        cause: Cause,
    },
    /// No address answered.
    #[error("{address} cannot be connected to: {cause}; check the address and the way to it")]
    Connect {
        /// Host and port: the server's, or the proxy's.
        address: String,
        /// Why.
        cause: Cause,
    },
    /// The proxy did not connect us.
    #[error("the proxy {proxy} does not lead to {address}: {failure}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port of the server.
        address: String,
        /// Why.
        failure: ProxyFailure,
    },
    /// TLS was not agreed on.
    #[error("no TLS with {host}: {failure} ({cause})")]
    Tls {
        /// The host: the server's, or the proxy's.
        host: String,
        /// What it means.
        failure: TlsFailure,
        /// The details.
        cause: Cause,
    },
}

/// What ended a phase.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Cause {
    /// Its deadline.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// An error of the system or of the other end.
    #[error("{0}")]
    Io(io::Error),
}

#[cfg(feature = "fetch")]
impl Target {
    /// A server that is connected to directly, without TLS.
    pub const fn new(host: Host, port: u16) -> Target {
        Target {
            host,
            port,
            tls: None,
            proxy: None,
        }
    }

    /// With TLS.
    #[must_use]
    pub fn tls(self, tls: Arc<ClientTls>) -> Target {
        Target {
            tls: Some(tls),
            ..self
        }
    }

    /// Through a proxy.
    #[must_use]
    pub fn via(self, proxy: Via) -> Target {
        Target {
            proxy: Some(proxy),
            ..self
        }
    }
}

#[cfg(feature = "fetch")]
impl DialError {
    /// Whether another attempt would end the same: no certificate and no password becomes right by
    /// asking again.
    pub const fn is_refusal(&self) -> bool {
        match self {
            DialError::Tls { failure, .. } => !matches!(failure, TlsFailure::Handshake),
            DialError::Proxy { failure, .. } => matches!(
                failure,
                ProxyFailure::Login
                    | ProxyFailure::Credentials(_)
                    | ProxyFailure::Language(_)
                    | ProxyFailure::Unusable(_)
            ),
            DialError::Resolve { .. } | DialError::Connect { .. } => false,
        }
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            resolve: limits::DIAL_RESOLVE_MAX,
            connect: limits::DIAL_CONNECT_MAX,
            proxy: limits::DIAL_PROXY_MAX,
            tls: limits::DIAL_TLS_MAX,
        }
    }
}

impl DialError {
    /// Whether a deadline ended it.
    pub const fn is_too_slow(&self) -> bool {
        matches!(
            self,
            DialError::Resolve {
                cause: Cause::TooSlow(_),
                ..
            } | DialError::Connect {
                cause: Cause::TooSlow(_),
                ..
            } | DialError::Tls {
                cause: Cause::TooSlow(_),
                ..
            } | DialError::Proxy {
                failure: ProxyFailure::TooSlow(_),
                ..
            }
        )
    }
}

/// Connects. Dropping the future ends the attempt.
///
/// # Errors
/// Which phase failed, and why.
pub async fn dial(target: &Target, patience: &Patience) -> Result<Link, DialError> {
    let link = match &target.proxy {
        None => connect(&target.host, target.port, patience).await?,
        Some(via) => through(via, target, patience).await?,
    };
    match &target.tls {
        None => Ok(link),
        Some(tls) => secure(link, tls, &target.host, patience).await,
    }
}

/// Connects to a proxy and has it connect to the target. One that asks who we are is told so on a
/// new connection, since many end the one that they asked on.
async fn through(via: &Via, target: &Target, patience: &Patience) -> Result<Link, DialError> {
    let mut asked = Asked::NEVER;
    loop {
        if let (link, Opened::Through) = attempt(via, target, patience, asked.count()).await? {
            return Ok(link);
        }
    }
}

async fn attempt(
    via: &Via,
    target: &Target,
    patience: &Patience,
    asked: Asked,
) -> Result<(Link, Opened), DialError> {
    let proxy = &via.proxy;
    let mut link = connect(&proxy.host, proxy.port, patience).await?;
    if proxy.kind == ProxyKind::Https {
        link = secure(link, &via.tls, &proxy.host, patience).await?;
    }
    let opening = async {
        let destination =
            tunnel::Destination::for_proxy(proxy, &target.host, target.port, patience);
        tunnel::open(&mut link, via, &destination.await?, asked).await
    };
    let opened = timeout(patience.proxy, opening).await;
    let failure = match opened {
        Ok(Ok(opened)) => return Ok((link, opened)),
        Ok(Err(failure)) => failure,
        Err(_) => ProxyFailure::TooSlow(patience.proxy),
    };
    Err(DialError::Proxy {
        proxy: address(&proxy.host, proxy.port),
        address: address(&target.host, target.port),
        failure,
    })
}

async fn secure(
    link: Link,
    tls: &ClientTls,
    host: &Host,
    patience: &Patience,
) -> Result<Link, DialError> {
    let (config, name) = tls.for_host(host);
    let connector = TlsConnector::from(config);
    let shaking = async {
        match link.into_tcp() {
            Ok(stream) => connector.connect(name, stream).await.map(Link::from),
            Err(link) => connector.connect(name, link).await.map(Link::from),
        }
    };
    let (failure, cause) = match timeout(patience.tls, shaking).await {
        Ok(Ok(link)) => return Ok(link),
        Ok(Err(error)) => {
            let failure = TlsFailure::of(&error).unwrap_or(TlsFailure::Handshake);
            (failure, Cause::Io(error))
        }
        Err(_) => (TlsFailure::Handshake, Cause::TooSlow(patience.tls)),
    };
    Err(DialError::Tls {
        host: host.to_string(),
        failure,
        cause,
    })
}

async fn connect(host: &Host, port: u16, patience: &Patience) -> Result<Link, DialError> {
    let addresses = resolve(host, port, patience).await?;
    let failed = |cause| DialError::Connect {
        address: address(host, port),
        cause,
    };
    let racing = race(addresses, patience.connect, TcpStream::connect);
    let stream = match timeout(patience.connect, racing).await {
        Ok(result) => result.map_err(|error| failed(Cause::Io(error)))?,
        Err(_) => return Err(failed(Cause::TooSlow(patience.connect))),
    };
    // Requests are written whole: waiting for more to send only makes them late.
    stream
        .set_nodelay(true)
        .map_err(|error| failed(Cause::Io(error)))?;
    Ok(Link::from(stream))
}

/// The addresses of a host; the system's resolver runs on the blocking pool.
pub(super) async fn resolve(
    host: &Host,
    port: u16,
    patience: &Patience,
) -> Result<Vec<SocketAddr>, DialError> {
    let name = match host {
        Host::V4(address) => return Ok(vec![SocketAddr::new(IpAddr::V4(*address), port)]),
        Host::V6(address) => return Ok(vec![SocketAddr::new(IpAddr::V6(*address), port)]),
        Host::Name(name) => name,
    };
    let looking = tokio::net::lookup_host((name.as_str(), port));
    let cause = match timeout(patience.resolve, looking).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.take(limits::DIAL_ADDRESSES_MAX).collect();
            if !found.is_empty() {
                return Ok(found);
            }
            Cause::Io(io::Error::new(io::ErrorKind::NotFound, "it has no address"))
        }
        Ok(Err(error)) => Cause::Io(error),
        Err(_) => Cause::TooSlow(patience.resolve),
    };
    Err(DialError::Resolve {
        host: name.clone(),
        cause,
    })
}

/// Tries the addresses of the first family in turn, and after a short while those of the other
/// family beside them (RFC 8305): one that leads nowhere then costs a moment and not a deadline.
async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    within: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == six);
    let mut one = pin!(in_turn(first, within, &connect));
    if second.is_empty() {
        return one.await;
    }
    let mut two = pin!(in_turn(second, within, &connect));
    tokio::select! {
        result = &mut one => return match result {
            Ok(stream) => Ok(stream),
            Err(error) => two.await.map_err(|_| error),
        },
        () = sleep(limits::DIAL_FAMILY_DELAY) => {}
    }
    tokio::select! {
        result = &mut one => match result {
            Ok(stream) => Ok(stream),
            Err(error) => two.await.map_err(|_| error),
        },
        result = &mut two => match result {
            Ok(stream) => Ok(stream),
            Err(_) => one.await,
        },
    }
}

/// The first connection that comes about; each address has its share of the time.
async fn in_turn<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    within: Duration,
    connect: &impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        last = match timeout(share, connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
}

fn address(host: &Host, port: u16) -> String {
    format!("{host}:{port}")
}

#[cfg(all(test, feature = "fetch"))]
#[path = "dial_tests.rs"]
mod tests;
