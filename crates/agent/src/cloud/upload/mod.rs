//! The service `upload`: a queue of uploads to S3 that survives restarts and power cuts.
//!
//! An upload is a file and a row of the database. The file stays where it is, or is a copy in the
//! spool when its bytes come from memory or a stream. Rows change durably at what must not be
//! forgotten: taken, begun at S3, all parts there, ended; which parts S3 has, S3 is asked. A file
//! is removed only when the row that says "done" is on the disk.

mod clear;
mod drive;
mod error;
mod hub;
mod look;
mod objects;
mod row;
mod send;
mod service;
mod source;
mod spool;
#[cfg(test)]
mod tests;
mod uploads;

use periwinkle_core::config::Config;
use periwinkle_db::Database;

use crate::fetch::{CredentialsSource, Fetch};
use crate::net::clock::Clock;
use crate::supervise::Service;

pub use error::UploadError;
pub use objects::{Object, Presigned};
pub use row::State;
pub use uploads::{Progress, Put, Upload, Uploads};

/// The uploads of this database; what waits is taken up.
pub(crate) fn open(
    config: &Config,
    db: &Database,
    clock: &Clock,
    fetch: Fetch,
    credentials: CredentialsSource,
) -> Result<Uploads, UploadError> {
    let hub = hub::Hub::open(config, db, clock, fetch, credentials)?;
    Ok(Uploads::new(hub))
}

/// The entry for the supervisor.
pub(crate) fn service(uploads: &Uploads) -> Service {
    service::service(uploads.hub.clone())
}
