//! What can be typed behind `periwinkle upload`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use periwinkle_core::limits;

use super::super::args::Json;

/// `upload`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Upload {
    #[command(subcommand)]
    pub(super) command: UploadCommand,
}

/// The verbs of `upload`.
#[derive(Debug, Subcommand)]
pub(super) enum UploadCommand {
    /// Upload a file, or what comes on standard input
    Put(Put),
    /// Read an object into a file
    Get(Get),
    /// List objects in the bucket
    List(List),
    /// Show what waits to be uploaded
    Queue(Queue),
    /// Give an upload up
    Abort {
        /// Its id, as `upload queue` shows it
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// Try what waits after a failure again, now
    Retry(Json),
    /// Make an address from which others may read an object for a while
    Presign(Presign),
}

/// `upload put`.
#[derive(Args, Debug)]
pub(super) struct Put {
    /// The file, which the agent reads from where it is; - for standard input, which is copied
    pub(super) file: PathBuf,
    /// The key of the object; ${deviceId}, ${date}, ${time} and ${id} are filled, and of a file
    /// ${name} and ${path} [default: ${deviceId}/${date}/${name}]
    #[arg(long)]
    pub(super) key: Option<String>,
    /// The bucket, if not the configured one
    #[arg(long, value_name = "NAME")]
    pub(super) bucket: Option<String>,
    /// From 0 to 9; higher ones go first [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9))]
    pub(super) priority: Option<u32>,
    /// The type of the object, such as text/plain
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) content_type: Option<String>,
    /// Remove the file once it is uploaded
    #[arg(long)]
    pub(super) remove: bool,
    /// Return when it is in the queue, safe from a power cut, and not when it is uploaded
    #[arg(long)]
    pub(super) detach: bool,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `upload get`.
#[derive(Args, Debug)]
pub(super) struct Get {
    /// The key of the object
    pub(super) key: String,
    /// The file to write, which must not be there yet; - for standard output
    /// [default: the last name of the key]
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `upload list`.
#[derive(Args, Debug)]
pub(super) struct List {
    /// What the keys begin with [default: the id of this device and a slash]
    pub(super) prefix: Option<String>,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `upload queue`.
#[derive(Args, Debug)]
pub(super) struct Queue {
    /// What has ended of late, too
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) json: Json,
}

/// `upload presign`.
#[derive(Args, Debug)]
pub(super) struct Presign {
    /// The key of the object
    pub(super) key: String,
    /// For writing with PUT, not for reading
    #[arg(long)]
    pub(super) put: bool,
    /// How long it works, at most seven days
    #[arg(long, value_name = "N", default_value_t = 3600, value_parser = life())]
    pub(super) seconds: u64,
    #[command(flatten)]
    pub(super) json: Json,
}

fn life() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=limits::PRESIGNED_LIFE_MAX.as_secs())
}
