//! Connections to the outside: names resolved, TCP, TLS with the right roots.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use periwinkle_core::limits;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::clock::Clock;
use super::tls::crypto_provider;

/// The pooled client underneath `fetch`.
pub type HttpClient = Client<Connector, Full<Bytes>>;

/// A client with connections of its own; clones of it share them.
pub fn http_client(clock: &Clock) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits::FETCH_POOL_IDLE_MAX)
        .pool_max_idle_per_host(limits::FETCH_POOL_CONNECTIONS_PER_HOST_MAX)
        .build(Connector::new(clock))
}

/// Connects to the host of a URL, with TLS when the scheme asks for it.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector,
    amazon: Arc<ClientConfig>,
    web: Arc<ClientConfig>,
}

impl Connector {
    fn new(clock: &Clock) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits::FETCH_CONNECT_MAX));
        let amazon = amazon_roots();
        Connector {
            tcp,
            web: client_config(web_roots(amazon.clone()), clock),
            amazon: client_config(amazon, clock),
        }
    }

    /// Amazon's endpoints are only believed with Amazon's own roots.
    fn tls_for(&self, host: &str) -> TlsConnector {
        let config = if is_amazon(host) {
            &self.amazon
        } else {
            &self.web
        };
        TlsConnector::from(config.clone())
    }
}

/// Whether a host belongs to the domains of AWS endpoints (AWS General Reference, service
/// endpoints).
fn is_amazon(host: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"]
        .iter()
        .any(|domain| host.ends_with(domain))
}

/// Certificates are judged by the agent's clock: a device without one that keeps time would
/// otherwise refuse everybody.
fn client_config(roots: RootCertStore, clock: &Clock) -> Arc<ClientConfig> {
    let time = Arc::new(CertificateTime(clock.clone()));
    let config = ClientConfig::builder_with_details(crypto_provider(), time)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the versions that rustls enables")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct CertificateTime(Clock);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().wall?.seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Amazon Trust Services' roots (amazontrust.com, repository).
fn amazon_roots() -> RootCertStore {
    const PEMS: [&[u8]; 5] = [
        include_bytes!("roots/amazon-root-ca-1.pem"),
        include_bytes!("roots/amazon-root-ca-2.pem"),
        include_bytes!("roots/amazon-root-ca-3.pem"),
        include_bytes!("roots/amazon-root-ca-4.pem"),
        include_bytes!("roots/starfield-services-root-g2.pem"),
    ];
    let mut roots = RootCertStore::empty();
    for pem in PEMS {
        let der = CertificateDer::from_pem_slice(pem).expect("the embedded roots are PEM");
        roots.add(der).expect("the embedded roots are certificates");
    }
    roots
}

#[cfg(feature = "roots")]
fn web_roots(mut roots: RootCertStore) -> RootCertStore {
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

#[cfg(not(feature = "roots"))]
fn web_roots(roots: RootCertStore) -> RootCertStore {
    roots
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Outbound>> + Send>>;

impl Service<Uri> for Connector {
    type Response = Outbound;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_ready(context).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let tls = (uri.scheme_str() == Some("https")).then(|| self.tls_for(&host));
        let tcp = self.tcp.call(uri);
        Box::pin(async move {
            let stream = tcp.await.map_err(io::Error::other)?.into_inner();
            let Some(tls) = tls else {
                return Ok(Outbound(Stream::Plain(TokioIo::new(stream))));
            };
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let handshake =
                tokio::time::timeout(limits::FETCH_CONNECT_MAX, tls.connect(name, stream));
            let stream = handshake
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(Outbound(Stream::Tls(Box::new(TokioIo::new(stream)))))
        })
    }
}

/// A connection to the outside.
pub struct Outbound(Stream);

enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Outbound {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Outbound {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl hyper::rt::Write for Outbound {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_endpoints_are_told_by_their_domain() {
        for host in [
            "dynamodb.eu-central-1.amazonaws.com",
            "dynamodb.eu-central-1.api.aws",
        ] {
            assert!(is_amazon(host), "{host}");
        }
        for host in [
            "amazonaws.com.evil.example",
            "notamazonaws.com",
            "localhost",
        ] {
            assert!(!is_amazon(host), "{host}");
        }
    }

    #[test]
    fn the_embedded_roots_are_certificates() {
        assert_eq!(amazon_roots().len(), 5);
    }
}
