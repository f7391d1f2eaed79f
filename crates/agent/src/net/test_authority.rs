//! An authority of the tests, which gives certificates to servers and clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::clock::Clock;
use super::tls::crypto_provider;

pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate with its key.
pub(crate) struct Issued {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is entropy");
        let certificate = params.self_signed(&key).expect("it signs itself");
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it is ours");
        Authority {
            folder,
            issuer: Issuer::new(params, key),
            certificate: certificate.der().clone(),
        }
    }

    /// The file that clients trust.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |_| ())
    }

    pub(crate) fn issue_expired(&self, name: &str) -> Issued {
        self.issue_with(name, |params| params.not_after = date_time_ymd(2001, 1, 1))
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
        change(&mut params);
        let key = KeyPair::generate().expect("there is entropy");
        let signed = params.signed_by(&key, &self.issuer);
        let certificate = signed.expect("the authority signs").der().clone();
        Issued { certificate, key }
    }

    /// Certificate and key of a client, as files.
    pub(crate) fn issue_files(&self, name: &str) -> (PathBuf, PathBuf) {
        let issued = self.issue(name);
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let pem = pem(&issued.certificate);
        fs::write(file("crt"), pem).expect("it is ours");
        fs::write(file("key"), issued.key.serialize_pem()).expect("it is ours");
        (file("crt"), file("key"))
    }

    /// A server that lets everybody in.
    pub(crate) fn server(&self, issued: &Issued) -> TlsAcceptor {
        let builder = builder().with_no_client_auth();
        accept(builder, issued)
    }

    /// A server that lets in who has a certificate of this authority.
    pub(crate) fn server_for_clients(&self, issued: &Issued) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .expect("it is an authority");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider())
                .build()
                .expect("there is a root");
        accept(builder().with_client_cert_verifier(verifier), issued)
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("the provider speaks them")
}

fn accept(
    builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    issued: &Issued,
) -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(issued.key.serialize_pem().as_bytes());
    let chain = vec![issued.certificate.clone()];
    let mut config = builder
        .with_single_cert(chain, key.expect("it is PEM"))
        .expect("they go together");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// A clock that nobody set.
pub(crate) fn clock() -> Clock {
    Clock::new(Path::new("/nonexistent"))
}
