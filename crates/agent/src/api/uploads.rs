//! Uploads to S3: the queue, and what is in the bucket.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post, put};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use periwinkle_core::limits;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::body::{Checked, Fields};
use super::session::json_answer;
use crate::cloud::upload::{Object, Put, Uploads};
use crate::web::identity::Identity;
use crate::web::problem::Problem;
use crate::web::stream::{Out, stream};
use crate::{Error, spawn};

/// `/uploads` and below.
pub fn router(uploads: Uploads) -> Router {
    Router::new()
        .route("/uploads", get(list).post(put_file))
        .route("/uploads/retry", post(retry))
        .route("/uploads/presign", post(presign))
        .route("/uploads/objects", get(objects))
        .route("/uploads/objects/{*key}", put(put_body).get(get_object))
        .route("/uploads/{id}", get(show).delete(abort))
        .with_state(uploads)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// Those that have ended, too.
    #[serde(default)]
    ended: bool,
    /// At most so many of those that wait, and of those that have ended.
    limit: Option<usize>,
}

async fn list(
    State(uploads): State<Uploads>,
    Checked(Query(listed)): Checked<Query<Listed>>,
) -> Result<Response, Problem> {
    Ok(json_answer(
        StatusCode::OK,
        &uploads.show(listed.ended, listed.limit)?,
    ))
}

async fn show(
    State(uploads): State<Uploads>,
    Checked(Path(id)): Checked<Path<String>>,
) -> Result<Response, Problem> {
    Ok(json_answer(StatusCode::OK, &uploads.show_one(&id)?))
}

async fn abort(
    State(uploads): State<Uploads>,
    Checked(Path(id)): Checked<Path<String>>,
) -> Result<StatusCode, Problem> {
    uploads.upload(&id)?.abort().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn retry(State(uploads): State<Uploads>) -> StatusCode {
    uploads.retry();
    StatusCode::ACCEPTED
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfFile {
    file: String,
    key: String,
    #[serde(default)]
    remove: bool,
    bucket: Option<String>,
    priority: Option<u32>,
    content_type: Option<String>,
}

/// What any upload may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    bucket: Option<String>,
    priority: Option<u32>,
    content_type: Option<String>,
}

impl Options {
    fn apply(self, mut put: Put) -> Put {
        if let Some(bucket) = self.bucket {
            put = put.bucket(bucket);
        }
        if let Some(priority) = self.priority {
            put = put.priority(priority);
        }
        if let Some(content_type) = self.content_type {
            put = put.content_type(content_type);
        }
        put
    }
}

/// A file of this device, named by a program of this device: over the network nobody names files
/// to be read.
async fn put_file(
    State(uploads): State<Uploads>,
    identity: Identity,
    Fields(request): Fields<OfFile>,
) -> Result<Response, Problem> {
    if !matches!(identity, Identity::Local { .. }) {
        let detail = "Files of the device are named over the control socket only; send the bytes \
                      with PUT instead.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "local_only", detail));
    }
    let put = uploads.put_file(request.key, request.file);
    let put = match request.remove {
        true => put.remove(),
        false => put,
    };
    let options = Options {
        bucket: request.bucket,
        priority: request.priority,
        content_type: request.content_type,
    };
    take(&uploads, options.apply(put)).await
}

async fn put_body(
    State(uploads): State<Uploads>,
    Checked(Path(key)): Checked<Path<String>>,
    Checked(Query(mut options)): Checked<Query<Options>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if options.content_type.is_none() {
        let given = headers.get(CONTENT_TYPE);
        options.content_type = given.and_then(|value| value.to_str().ok().map(str::to_owned));
    }
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let put = uploads.put_stream(key, pieces(body.clone()));
    let taken = take(&uploads, options.apply(put)).await;
    if taken.is_err() {
        discard(&body).await;
    }
    taken
}

type Incoming = Arc<Mutex<BodyDataStream>>;

fn pieces(body: Incoming) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    unfold(body, |body| async move {
        let piece = body.lock().await.next().await?;
        Some((piece, body))
    })
}

/// A client that is still sending would be cut off before it reads why its body is not taken.
async fn discard(body: &Incoming) {
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(piece)) = body.lock().await.next().await {
            bytes += piece.len();
            if bytes > limits::UPLOAD_DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    // Who is slower than that does not read the answer.
    let _ = tokio::time::timeout(limits::UPLOAD_DISCARD_WAIT_MAX, rest).await;
}

/// Answers when the upload is safe from a power cut; it is sent later.
async fn take(uploads: &Uploads, put: Put) -> Result<Response, Problem> {
    let upload = put.await?;
    let shown = uploads.show_one(upload.id())?;
    Ok(json_answer(StatusCode::ACCEPTED, &shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefix {
    prefix: Option<String>,
    next: Option<String>,
}

async fn objects(
    State(uploads): State<Uploads>,
    Checked(Query(asked)): Checked<Query<Prefix>>,
) -> Result<Response, Problem> {
    let prefix = asked.prefix.unwrap_or_else(|| uploads.own_prefix());
    let page = uploads.list_from(&prefix, asked.next).await?;
    let objects: Vec<serde_json::Value> = page
        .objects
        .iter()
        .map(|object| {
            json!({
                "key": object.key, "bytes": object.bytes, "etag": object.etag,
                "last_modified": object.last_modified,
            })
        })
        .collect();
    let shown = json!({"prefix": prefix, "objects": objects, "next": page.next});
    Ok(json_answer(StatusCode::OK, &shown))
}

async fn get_object(
    State(uploads): State<Uploads>,
    Checked(Path(key)): Checked<Path<String>>,
) -> Result<Response, Problem> {
    let object = uploads.get(&key).await?;
    let (out, mut response) = stream();
    let headers = response.headers_mut();
    let fields = object.fields();
    // Never a type that a browser would run: what is in the bucket is not the console's.
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(length) = fields.content_length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Ok(etag) = HeaderValue::from_str(&fields.etag) {
        headers.insert(ETAG, etag);
    }
    spawn(copy(object, out));
    Ok(response)
}

/// A client that sees the end has all of it: what breaks it breaks the body.
async fn copy(mut object: Object, mut out: Out) -> Result<(), Error> {
    loop {
        match object.chunk().await {
            Ok(Some(piece)) => out.write(piece).await?,
            Ok(None) => return Ok(()),
            Err(error) => {
                out.abort();
                return Err(Error::Other(error.into()));
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    key: String,
    /// Write instead of read.
    #[serde(default)]
    put: bool,
    #[serde(default = "an_hour")]
    seconds: u64,
}

fn an_hour() -> u64 {
    3600
}

async fn presign(
    State(uploads): State<Uploads>,
    Fields(wanted): Fields<Wanted>,
) -> Result<Response, Problem> {
    let life = Duration::from_secs(wanted.seconds);
    let presigned = match wanted.put {
        true => uploads.presign_put(&wanted.key, life)?,
        false => uploads.presign_get(&wanted.key, life)?,
    };
    let shown = json!({"url": presigned.url, "until": presigned.until.iso()});
    Ok(json_answer(StatusCode::OK, &shown))
}
