//! `GET /database/backup`: a copy of the database as of one moment, as a tar archive.
//!
//! Whoever asks writes the files: no path on this device travels over the network.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use periwinkle_core::limits::BACKUP_PIECE_BYTES;
use periwinkle_db::engine::Snapshot;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::DataApi;
use crate::tar;
use crate::web::problem::Problem;
use crate::web::stream::{Out, stream};
use crate::{Error, spawn};

pub(super) async fn backup(State(api): State<DataApi>) -> Result<Response, Problem> {
    let device = api.db.context().text("deviceId").unwrap_or_default();
    let (out, mut response) = stream();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let snapshot = durable_snapshot(&api).await?;
    spawn(write(snapshot, device.to_owned(), out));
    Ok(response)
}

/// What is there now, relaxed writes included.
pub(super) async fn durable_snapshot(api: &DataApi) -> Result<Arc<Snapshot>, Problem> {
    api.db.flush().durable().await?;
    Ok(Arc::new(api.db.snapshot()))
}

/// A client that sees the end of the archive has all of it: what breaks it breaks the body.
async fn write(snapshot: Arc<Snapshot>, device: String, mut out: Out) -> Result<(), Error> {
    match write_files(&snapshot, &device, &mut out).await {
        Ok(()) => Ok(()),
        Err(error) => {
            out.abort();
            Err(error)
        }
    }
}

async fn write_files(snapshot: &Arc<Snapshot>, device: &str, out: &mut Out) -> Result<(), Error> {
    write_text("device-id", device, out).await?;
    for at in 0..snapshot.files().len() {
        write_segment(snapshot, at, out).await?;
    }
    write_text("backup.json", &about(snapshot, device), out).await?;
    out.write(tar::END).await
}

async fn write_text(name: &str, text: &str, out: &mut Out) -> Result<(), Error> {
    let bytes = text.len() as u64;
    out.write(tar::header(name, bytes)).await?;
    out.write(text).await?;
    out.write(tar::padding(bytes)).await
}

async fn write_segment(snapshot: &Arc<Snapshot>, at: usize, out: &mut Out) -> Result<(), Error> {
    let file = &snapshot.files()[at];
    let bytes = file.bytes();
    out.write(tar::header(&format!("db/{}", file.name()), bytes))
        .await?;
    let mut offset = 0;
    let mut piece = Vec::new();
    while offset < bytes {
        piece.resize(BACKUP_PIECE_BYTES.min((bytes - offset) as usize), 0);
        let snapshot = Arc::clone(snapshot);
        let read = spawn_blocking(move || {
            let read = snapshot.files()[at].read_at(offset, &mut piece);
            read.map(|()| piece)
        });
        piece = read.await.map_err(other)?.map_err(other)?;
        out.write(&piece).await?;
        offset += piece.len() as u64;
    }
    out.write(tar::padding(bytes)).await
}

fn about(snapshot: &Snapshot, device: &str) -> String {
    let files = snapshot.files().iter();
    let sizes = files.map(|file| json!({"name": file.name(), "bytes": file.bytes()}));
    let about = json!({
        "form": 1,
        "sequence": snapshot.sequence(),
        "taken": crate::now(),
        "device": device,
        "agent": env!("CARGO_PKG_VERSION"),
        "files": sizes.collect::<Vec<_>>(),
    });
    format!("{about}\n")
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(error.into())
}
