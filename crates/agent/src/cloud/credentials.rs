//! Where the credentials of the cloud come from: the environment, or a file that may be replaced
//! while the agent runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use periwinkle_core::aws::Credentials;
use periwinkle_core::config;
use periwinkle_core::time::UnixMillis;
use serde::Deserialize;
use thiserror::Error;

use crate::fetch::CredentialsSource;

/// Gives credentials whenever a request is signed. Clones share what was read.
#[derive(Clone, Debug)]
pub struct CredentialSource {
    reader: Arc<Mutex<Reader>>,
}

#[derive(Debug)]
struct Reader {
    place: Place,
    kept: Option<Kept>,
}

#[derive(Debug)]
enum Place {
    Environment,
    File(PathBuf),
}

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    file_changed: Option<SystemTime>,
}

/// Why there are no credentials.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A variable is not set.
    #[error("the variable {0} is not set")]
    Variable(&'static str),
    /// The file cannot be read.
    #[error("the credentials file {path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the credentials file {path} holds no credentials: {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, without what is in it.
        reason: String,
    },
}

impl CredentialSource {
    /// The source that the configuration names.
    pub fn new(sync: &config::Sync) -> CredentialSource {
        let place = match (sync.credentials, &sync.credentials_file) {
            (config::Credentials::File, Some(path)) => Place::File(path.clone()),
            _ => Place::Environment,
        };
        CredentialSource::at(place)
    }

    fn at(place: Place) -> CredentialSource {
        let reader = Reader { place, kept: None };
        CredentialSource {
            reader: Arc::new(Mutex::new(reader)),
        }
    }

    /// The credentials of now. A file is read again when it was changed.
    pub fn credentials(&self) -> Result<Credentials, CredentialError> {
        let mut reader = self.reader.lock().expect("reading keys does not panic");
        reader.credentials()
    }

    /// The source in the form that the HTTP client asks.
    pub fn to_fetch(&self) -> CredentialsSource {
        let source = self.clone();
        Arc::new(move || source.credentials().map_err(|error| error.to_string()))
    }
}

impl Reader {
    fn credentials(&mut self) -> Result<Credentials, CredentialError> {
        let file_changed = match &self.place {
            Place::Environment => None,
            Place::File(path) => fs::metadata(path).and_then(|meta| meta.modified()).ok(),
        };
        match &self.kept {
            Some(kept) if kept.file_changed == file_changed => Ok(kept.credentials.clone()),
            _ => {
                let credentials = match &self.place {
                    Place::Environment => from_environment()?,
                    Place::File(path) => from_file(path)?,
                };
                self.kept = Some(Kept {
                    credentials: credentials.clone(),
                    file_changed,
                });
                Ok(credentials)
            }
        }
    }
}

/// The variables that every tool of AWS knows.
fn from_environment() -> Result<Credentials, CredentialError> {
    let variable = |name: &'static str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or(CredentialError::Variable(name))
    };
    let secret = variable("AWS_SECRET_ACCESS_KEY")?;
    let credentials = Credentials::new(variable("AWS_ACCESS_KEY_ID")?, secret);
    Ok(match variable("AWS_SESSION_TOKEN") {
        Ok(token) => credentials.with_token(token),
        Err(_) => credentials,
    })
}

/// The form of AWS's `credential_process` (AWS SDKs and Tools Reference Guide, process credential
/// provider), which `cloud/` deploys into and other tools write as well.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// What such a file looks like.
const FORM: &str =
    r#"{"AccessKeyId": "..", "SecretAccessKey": ".."}, and "SessionToken" for a role"#;

fn from_file(path: &Path) -> Result<Credentials, CredentialError> {
    let text = fs::read(path).map_err(|source| CredentialError::File {
        path: path.to_owned(),
        source,
    })?;
    let form = |reason: String| CredentialError::Form {
        path: path.to_owned(),
        reason,
    };
    let process: Process = serde_json::from_slice(&text).map_err(|error| {
        // The parser's words may quote what it found; the place is enough.
        form(format!(
            "line {}, column {}: write {FORM}",
            error.line(),
            error.column()
        ))
    })?;
    let mut credentials = Credentials::new(process.access_key_id, process.secret_access_key);
    if let Some(token) = process.session_token {
        credentials = credentials.with_token(token);
    }
    if let Some(expiration) = process.expiration {
        let at: jiff::Timestamp = expiration
            .parse()
            .map_err(|_| form("Expiration is no time".to_owned()))?;
        credentials.expires = Some(UnixMillis(at.as_millisecond()));
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use periwinkle_core::secret::Secret;

    use super::*;

    fn source(text: &str) -> (tempfile::TempDir, CredentialSource) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("credentials.json");
        fs::write(&path, text).expect("it is ours");
        (folder, CredentialSource::at(Place::File(path)))
    }

    #[test]
    fn a_file_in_the_form_of_credential_process_is_read() {
        let (_folder, source) = source(
            r#"{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"s","SessionToken":"t",
                "Expiration":"2026-11-22T10:00:00Z"}"#,
        );
        let credentials = source.credentials().expect("it is complete");
        assert_eq!(credentials.access_key_id, "AKID");
        assert_eq!(credentials.secret_access_key.expose(), "s");
        assert_eq!(
            credentials.session_token.as_ref().map(Secret::expose),
            Some("t")
        );
        assert_eq!(credentials.expires, Some(UnixMillis(1_795_341_600_000)));
    }

    #[test]
    fn a_broken_file_is_named_and_not_quoted() {
        let (_folder, source) = source(r#"{"AccessKeyId":"AKID","SecretAccessKey":geheim}"#);
        let text = source.credentials().expect_err("it is no JSON").to_string();
        assert!(
            text.contains("credentials.json") && !text.contains("geheim"),
            "{text}"
        );
    }

    #[test]
    fn a_replaced_file_is_read_again() {
        let text = |key: &str| format!(r#"{{"AccessKeyId":"{key}","SecretAccessKey":"s"}}"#);
        let (folder, source) = source(&text("OLD"));
        assert_eq!(
            source.credentials().expect("it is complete").access_key_id,
            "OLD"
        );
        let path = folder.path().join("credentials.json");
        fs::write(&path, text("NEW")).expect("it is ours");
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::open(&path)
            .and_then(|file| file.set_modified(later))
            .expect("it is ours");
        assert_eq!(
            source.credentials().expect("it is complete").access_key_id,
            "NEW"
        );
    }
}
