//! TLS towards servers: whom we trust, and who we are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::fetch::Host;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use thiserror::Error;
use tokio::sync::watch;

use super::clock::Clock;
use super::tls::{TlsError, certificates, crypto_provider, private_key};

/// Which authorities are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Amazon's own for AWS's endpoints, and those of the web beside them for everybody else.
    #[default]
    Endpoints,
    #[cfg(feature = "fetch")]
    /// As above, and for everybody but AWS's endpoints the certificates in these files (PEM) too.
    Also(Vec<PathBuf>),
    /// The certificates in these files (PEM) and nobody else.
    Only(Vec<PathBuf>),
    #[cfg(feature = "fetch")]
    /// Amazon's own and nobody else.
    Amazon,
}

/// Who we are to servers that ask for it: a certificate with its key, which may be replaced while
/// connections are being made.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    current: watch::Receiver<Option<Arc<CertifiedKey>>>,
}

impl ClientCertificate {
    /// A certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not go together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<ClientCertificate, TlsError> {
        let chain = certificates(certificate)?;
        let secret = private_key(key)?;
        let pair = CertifiedKey::from_der(chain, secret, &crypto_provider()).map_err(|source| {
            TlsError::Refused {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                source,
            }
        })?;
        // The receiver keeps what was sent last.
        let (_, current) = watch::channel(Some(Arc::new(pair)));
        Ok(ClientCertificate { current })
    }

    #[cfg(feature = "fetch")]
    /// Whatever the watch holds when a server asks; `None` shows nothing.
    pub const fn from_watch(current: watch::Receiver<Option<Arc<CertifiedKey>>>) -> Self {
        ClientCertificate { current }
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current.borrow().clone()
    }

    fn has_certs(&self) -> bool {
        self.current.borrow().is_some()
    }
}

/// Why TLS towards servers cannot be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientTlsError {
    /// A file cannot be used.
    #[error("{0}")]
    File(#[from] TlsError),
    /// A certificate of an authority cannot be used.
    #[error("{path}: a certificate in it is not one of an authority: {source}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// The provider's words.
        source: rustls::Error,
    },
    /// The name of a server is none.
    #[error("{0:?} is no name of a server")]
    ServerName(String),
}

/// How TLS is spoken to servers; made once, used for every connection.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// For AWS's endpoints, when they are believed with Amazon's roots only.
    amazon: Option<Arc<ClientConfig>>,
    others: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// What TLS towards servers is made from.
#[derive(Clone, Debug)]
pub struct ClientTlsBuilder {
    clock: Clock,
    trust: Trust,
    certificate: Option<ClientCertificate>,
    protocols: Vec<Vec<u8>>,
    server_name: Option<String>,
    verifies: bool,
}

impl ClientTls {
    /// Starts to describe TLS towards servers. Certificates are judged by the agent's clock: a
    /// device whose own does not keep time would otherwise refuse everybody.
    pub fn builder(clock: &Clock) -> ClientTlsBuilder {
        ClientTlsBuilder {
            clock: clock.clone(),
            trust: Trust::default(),
            certificate: None,
            protocols: Vec::new(),
            server_name: None,
            verifies: true,
        }
    }

    /// The configuration for a host, and the name that its certificate must have.
    pub(super) fn for_host(&self, host: &Host) -> (Arc<ClientConfig>, ServerName<'static>) {
        let config = match (&self.amazon, host) {
            (Some(amazon), Host::Name(name)) if is_amazon(name) => amazon,
            _ => &self.others,
        };
        let name = self.server_name.clone().unwrap_or_else(|| match host {
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .unwrap_or_else(|_| unspeakable()),
            Host::V4(address) => ServerName::IpAddress((*address).into()),
            Host::V6(address) => ServerName::IpAddress((*address).into()),
        });
        (config.clone(), name)
    }
}

/// For host names that DNS allows and certificates do not, such as those with `_` at an end: no
/// certificate has this name, so the handshake fails.
fn unspeakable() -> ServerName<'static> {
    ServerName::try_from("invalid.invalid").expect("it is a name")
}

impl ClientTlsBuilder {
    /// Whom to believe.
    #[must_use]
    pub fn trust(self, trust: Trust) -> Self {
        ClientTlsBuilder { trust, ..self }
    }

    /// Who we are.
    #[must_use]
    pub fn certificate(self, certificate: Option<ClientCertificate>) -> Self {
        ClientTlsBuilder {
            certificate,
            ..self
        }
    }

    /// The protocols to offer, the preferred one first (ALPN, RFC 7301).
    #[must_use]
    pub fn protocols(self, protocols: &[&str]) -> Self {
        ClientTlsBuilder {
            protocols: protocols
                .iter()
                .map(|name| name.as_bytes().to_vec())
                .collect(),
            ..self
        }
    }

    /// The name to ask for and to check, in place of the host that is connected to.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        ClientTlsBuilder {
            server_name: Some(name.into()),
            ..self
        }
    }

    #[cfg(feature = "fetch")]
    /// Believes whoever answers: what is sent can be read and changed on the way. For tests, and
    /// for devices on the bench.
    #[must_use]
    pub fn danger_accept_any_certificate(self) -> Self {
        tracing::warn!("certificates of servers are not verified for some connections");
        ClientTlsBuilder {
            verifies: false,
            ..self
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, or a name is none.
    pub fn build(&self) -> Result<ClientTls, ClientTlsError> {
        let server_name = match &self.server_name {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| ClientTlsError::ServerName(name.clone()))?,
            ),
            None => None,
        };
        let (amazon, others) = match &self.trust {
            Trust::Endpoints => (Some(amazon_roots()), web_roots(amazon_roots())),
            #[cfg(feature = "fetch")]
            Trust::Also(files) => {
                let roots = with_files(web_roots(amazon_roots()), files)?;
                (Some(amazon_roots()), roots)
            }
            Trust::Only(files) => (None, with_files(RootCertStore::empty(), files)?),
            #[cfg(feature = "fetch")]
            Trust::Amazon => (None, amazon_roots()),
        };
        Ok(ClientTls {
            amazon: amazon.map(|roots| self.config(roots)),
            others: self.config(others),
            server_name,
        })
    }

    fn config(&self, roots: RootCertStore) -> Arc<ClientConfig> {
        let provider = crypto_provider();
        let time = Arc::new(CertificateTime(self.clock.clone()));
        let builder = ClientConfig::builder_with_details(provider.clone(), time)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks the versions that rustls enables");
        let builder = if self.verifies {
            builder.with_root_certificates(roots)
        } else {
            let anybody = Arc::new(Anybody(provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(anybody)
        };
        let mut config = match &self.certificate {
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(certificate.clone())),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Arc::new(config)
    }
}

/// Why a TLS connection is not what it should be, for people and for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// Nobody we believe vouches for the server.
    #[error("its certificate is from an unknown authority; give the file of that authority as ca")]
    UnknownAuthority,
    /// The certificate is for another host.
    #[error("its certificate is for another name; check the host, or what answers for it")]
    WrongName,
    /// The certificate has run out, by our clock.
    #[error("its certificate has expired; renew it, or check the device's clock")]
    Expired,
    /// The certificate is not valid yet, by our clock.
    #[error("its certificate is not valid yet; check the device's clock")]
    NotYetValid,
    /// The certificate is broken in some other way.
    #[error("its certificate cannot be accepted")]
    BadCertificate,
    /// The server wants to know who we are.
    #[error("it requires a client certificate; give a certificate and its key")]
    CertificateRequired,
    /// The server does not accept the certificate that we showed.
    #[error("it does not accept the client certificate")]
    CertificateRefused,
    /// What answers does not speak TLS.
    #[error("it does not speak TLS; check the port and the scheme")]
    NotTls,
    /// Anything else.
    #[error("the TLS handshake failed")]
    Handshake,
}

impl TlsFailure {
    /// What an error of a connection says of TLS; `None` when it is not about TLS.
    ///
    /// In TLS 1.3 a server asks for the client's certificate when the client's handshake is over
    /// already, so that its refusal comes with the first read.
    pub fn of(error: &io::Error) -> Option<TlsFailure> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match inner {
            rustls::Error::InvalidCertificate(error) => TlsFailure::of_certificate(error),
            rustls::Error::AlertReceived(alert) => TlsFailure::of_alert(*alert),
            rustls::Error::InvalidMessage(_) => TlsFailure::NotTls,
            _ => TlsFailure::Handshake,
        })
    }

    fn of_certificate(error: &CertificateError) -> TlsFailure {
        use CertificateError as Error;
        match error {
            // Somebody may call himself as an authority that we believe.
            Error::UnknownIssuer | Error::BadSignature => TlsFailure::UnknownAuthority,
            Error::NotValidForName | Error::NotValidForNameContext { .. } => TlsFailure::WrongName,
            Error::Expired | Error::ExpiredContext { .. } => TlsFailure::Expired,
            Error::NotValidYet | Error::NotValidYetContext { .. } => TlsFailure::NotYetValid,
            _ => TlsFailure::BadCertificate,
        }
    }

    fn of_alert(alert: AlertDescription) -> TlsFailure {
        use AlertDescription as Alert;
        match alert {
            Alert::CertificateRequired | Alert::NoCertificate => TlsFailure::CertificateRequired,
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied => TlsFailure::CertificateRefused,
            _ => TlsFailure::Handshake,
        }
    }
}

/// Whether a host belongs to the domains of AWS endpoints (AWS General Reference, service
/// endpoints).
fn is_amazon(host: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"]
        .iter()
        .any(|domain| host.ends_with(domain))
}

fn with_files(
    mut roots: RootCertStore,
    files: &[PathBuf],
) -> Result<RootCertStore, ClientTlsError> {
    for path in files {
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|source| ClientTlsError::Authority {
                    path: path.clone(),
                    source,
                })?;
        }
    }
    Ok(roots)
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

#[derive(Debug)]
struct CertificateTime(Clock);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().wall?.seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Believes every certificate, and still checks that its owner is the one who speaks.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
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

    #[test]
    fn a_missing_file_of_an_authority_is_named() {
        let clock = Clock::new(Path::new("/nonexistent"));
        let trust = Trust::Only(vec![PathBuf::from("/nonexistent/ca.pem")]);
        let error = ClientTls::builder(&clock)
            .trust(trust)
            .build()
            .expect_err("there is no such file");
        assert!(
            error.to_string().starts_with("/nonexistent/ca.pem: "),
            "{error}"
        );
    }
}
