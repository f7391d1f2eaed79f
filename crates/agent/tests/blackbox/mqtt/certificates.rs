//! Throwaway certificates, made by openssl.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority, a broker and a client that it knows, and a client of somebody else.
pub(super) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(super) fn make() -> Certificates {
        let folder = tempfile::tempdir().unwrap();
        for authority in ["ca", "other-ca"] {
            authority_in(folder.path(), authority);
        }
        signed_in(folder.path(), "server", "ca");
        signed_in(folder.path(), "client", "ca");
        signed_in(folder.path(), "stranger", "other-ca");
        Certificates { folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        )
    }
}

fn authority_in(folder: &Path, name: &str) {
    let subject = format!("/CN=Authority {name} of a test");
    let mut words = vec!["req", "-x509", "-days", "2", "-subj", &subject];
    words.extend(["-addext", "basicConstraints=critical,CA:TRUE"]);
    new_key(folder, &words, name, "pem");
}

fn signed_in(folder: &Path, name: &str, authority: &str) {
    let subject = format!("/CN={name}");
    new_key(folder, &["req", "-subj", &subject], name, "csr");
    let extensions = folder.join("extensions");
    fs::write(&extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-days",
            "2",
            "-CAcreateserial",
            "-in",
            &format!("{name}.csr"),
            "-out",
            &format!("{name}.pem"),
            "-CA",
            &format!("{authority}.pem"),
            "-CAkey",
            &format!("{authority}.key"),
            "-extfile",
            "extensions",
        ],
    );
}

fn new_key(folder: &Path, words: &[&str], name: &str, kind: &str) {
    let (key, out) = (format!("{name}.key"), format!("{name}.{kind}"));
    let mut all = words.to_vec();
    all.extend([
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    all.extend(["-keyout", &key, "-out", &out]);
    openssl(folder, &all);
}

fn openssl(folder: &Path, words: &[&str]) {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(words)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "openssl {words:?}: {told}");
}
