//! The library's errors.

use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use thiserror::Error;

use crate::web::problem::Problem;

/// What the library's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call of the library failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The client closed the connection before the whole answer was written.
    #[error("the client closed the connection")]
    ClientGone,
    /// The writer gave the answer up.
    #[error("the answer was given up before it was complete")]
    Aborted,
    /// The body of a request could not be read to its end.
    #[error("the request's body could not be read: {0}")]
    Body(#[from] axum::Error),
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// The state directory cannot be used, or a file in it.
    #[error("the state directory cannot be used: {path}: {source}")]
    State {
        /// The directory or the file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Another process has the state directory: an agent, or a command that works on its files.
    #[error(
        "the state directory {path} is in use by {}; stop it, or name another directory with \
         --state",
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    StateInUse {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, as it wrote itself into the lock file. Those who only read
        /// do not.
        pid: Option<u32>,
    },
    /// The schema cannot be used.
    #[error("{0}")]
    Schema(String),
    /// The database cannot be opened or refused an operation.
    #[error("{0}")]
    Database(#[from] periwinkle_db::DbError),
    /// The database's files cannot be opened.
    #[error("the database in {path} cannot be opened: {reason}")]
    DatabaseOpen {
        /// The folder of its files.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The system refused something that the agent cannot go on without.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// A call of the MQTT client failed.
    #[cfg(feature = "mqtt")]
    #[error("{0}")]
    Mqtt(#[from] crate::mqtt::MqttError),
    /// Anything that a maker's own code reports.
    #[error("{0}")]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The exit code of a program that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Config(_) | Error::Schema(_) | Error::DatabaseOpen { .. } => 2,
            Error::State { .. } => 2,
            #[cfg(feature = "mqtt")]
            Error::Mqtt(crate::mqtt::MqttError::Options(_)) => 2,
            Error::StateInUse { .. } | Error::Database(_) => 3,
            _ => 1,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::Body(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "body_unreadable",
                error.to_string(),
            ),
            Error::Database(error) => Problem::from(error),
            #[cfg(feature = "mqtt")]
            Error::Mqtt(error) => Problem::from(error),
            other => Problem::internal(&other),
        }
        .into_response()
    }
}
