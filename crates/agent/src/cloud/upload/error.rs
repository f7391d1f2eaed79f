//! Why something about uploads did not work.

use std::io;
use std::path::PathBuf;

use http::StatusCode;
use periwinkle_core::aws::ServiceErrorKind;
use periwinkle_core::aws::s3::BucketError;
use periwinkle_core::aws::s3::{KeyError, S3CallError, S3RequestError, TemplateError};
use periwinkle_core::aws::sigv4::LifeError;
use periwinkle_core::config::NAMELESS_KEY_VARIABLES;
use periwinkle_core::limits;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::upload::Full;
use periwinkle_db::DbError;
use periwinkle_db::engine::DurabilityError;
use thiserror::Error;

use super::row::State;
use crate::database::sentence;
use crate::web::problem::Problem;

/// Why an upload was not taken, or an object not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The configuration does not switch uploads on.
    #[error("uploads are off; `upload.enable` in the configuration switches them on")]
    Off,
    /// The bucket cannot be one.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The key cannot be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key asks for the name of what has none.
    #[error(
        "the key names ${{{0}}}, and what comes from no file has none; known are {known}",
        known = NAMELESS_KEY_VARIABLES.join(", ")
    )]
    Nameless(String),
    /// The priority is none.
    #[error("the priority must lie between 0 and {max}, not {0}", max = limits::UPLOAD_PRIORITY_STEPS_MAX)]
    Priority(u32),
    /// The template makes no key.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The queue takes no more.
    #[error("{0}; wait until some are done, or abort some")]
    Full(#[from] Full),
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The path does not lead to a file.
    #[error("{0} is no file")]
    NotAFile(PathBuf),
    /// A file that was at rest was written to while it was taken.
    #[error("{0} was changed while it was taken")]
    Changed(PathBuf),
    /// The file is made when it is read.
    #[error(
        "{0} is made by the system when it is read: it cannot be watched for or removed, and must \
         have at most {max} bytes",
        max = limits::UPLOAD_MADE_BYTES_MAX
    )]
    NoLength(PathBuf),
    /// There is no room for a copy, or it cannot be written.
    #[error("the copy {path} cannot be written: {source}")]
    Spool {
        /// The copy.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// What is to be uploaded broke off.
    #[error("the stream broke off: {0}")]
    Stream(String),
    /// S3 takes no object of that length.
    #[error(transparent)]
    Request(#[from] S3RequestError),
    /// The database refused the row.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The row did not reach the disk.
    #[error("the upload is not on the disk: {0}")]
    NotDurable(#[from] DurabilityError),
    /// An address cannot live as long.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// There is no upload with this id.
    #[error("there is no upload {0}")]
    Unknown(String),
    /// It has ended already.
    #[error("the upload {id} has ended: {state}")]
    Ended {
        /// The upload.
        id: String,
        /// How.
        state: State,
    },
    /// There are no credentials.
    #[error("there are no credentials: {0}")]
    Credentials(String),
    /// The credentials were good until then.
    #[error("the credentials have expired at {0}")]
    CredentialsExpired(UnixMillis),
    /// S3 was not reached, or the answer was cut off.
    #[error("{0}")]
    Unreachable(String),
    /// S3 refused it.
    #[error("S3 refused it: {0}")]
    Refused(#[from] S3CallError),
    /// What came is not what S3 said it would be.
    #[error("the object came damaged: its checksum is not the one that S3 gave")]
    Damaged,
}

impl UploadError {
    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            UploadError::Off => "upload_off",
            UploadError::Bucket(_) => "bucket_invalid",
            UploadError::Key(_) | UploadError::Template(_) | UploadError::Nameless(_) => {
                "key_invalid"
            }
            UploadError::Priority(_) => "priority_invalid",
            UploadError::Full(_) => "queue_full",
            UploadError::File { .. } | UploadError::NotAFile(_) | UploadError::NoLength(_) => {
                "file_unreadable"
            }
            UploadError::Changed(_) => "file_changed",
            UploadError::Spool { .. } => "full",
            UploadError::Stream(_) => "body_unreadable",
            UploadError::Request(_) => "too_large",
            UploadError::Life(_) => "life_invalid",
            UploadError::Database(error) => error.kind(),
            UploadError::NotDurable(_) => "disk",
            UploadError::Unknown(_) => "not_found",
            UploadError::Ended { .. } => "upload_ended",
            UploadError::Credentials(_) => "credentials_missing",
            UploadError::CredentialsExpired(_) => "credentials_expired",
            UploadError::Unreachable(_) => "cloud_unreachable",
            UploadError::Refused(_) => "cloud_refused",
            UploadError::Damaged => "damaged",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            UploadError::Off | UploadError::Ended { .. } => StatusCode::CONFLICT,
            UploadError::Full(_) | UploadError::Spool { .. } => StatusCode::INSUFFICIENT_STORAGE,
            UploadError::Request(_) => StatusCode::PAYLOAD_TOO_LARGE,
            UploadError::Unknown(_) => StatusCode::NOT_FOUND,
            UploadError::NotDurable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            UploadError::Credentials(_)
            | UploadError::CredentialsExpired(_)
            | UploadError::Changed(_) => StatusCode::CONFLICT,
            UploadError::Unreachable(_) | UploadError::Damaged => StatusCode::BAD_GATEWAY,
            UploadError::Refused(error) if is_missing(error) => StatusCode::NOT_FOUND,
            UploadError::Refused(_) => StatusCode::BAD_GATEWAY,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

fn is_missing(error: &S3CallError) -> bool {
    matches!(error, S3CallError::Service(error) if error.kind == ServiceErrorKind::NoSuchResource)
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Problem {
        match error {
            UploadError::Database(error) => error.into(),
            error => Problem::new(error.status(), error.kind(), sentence(&error.to_string())),
        }
    }
}
