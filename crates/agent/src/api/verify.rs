//! `POST /database/verify`: reads every byte of the log and tells of all damage.

use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use periwinkle_db::describe_key;
use periwinkle_db::engine::{Damage, Inspection, Verification};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::DataApi;
use super::backup::durable_snapshot;
use super::database::JSON_LINES;
use crate::web::problem::Problem;
use crate::web::stream::{Out, stream};
use crate::{Error, spawn};

/// Lines of JSON: how far it is after each segment, at last what was found.
pub(super) async fn verify(State(api): State<DataApi>) -> Result<Response, Problem> {
    let snapshot = durable_snapshot(&api).await?;
    let verification = Verification::of_snapshot(&snapshot);
    let (out, mut response) = stream();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    spawn(run(api, verification, out));
    Ok(response)
}

async fn run(api: DataApi, mut verification: Verification, mut out: Out) -> Result<(), Error> {
    loop {
        let step = spawn_blocking(move || (verification.step(), verification)).await;
        let more = match step {
            Ok((more, rest)) => {
                verification = rest;
                more
            }
            Err(panicked) => {
                out.abort();
                return Err(Error::Other(panicked.into()));
            }
        };
        let (segments, of) = verification.progress();
        out.write_text(format!("{}\n", json!({"segments": segments, "of": of})))
            .await?;
        if !more {
            break;
        }
    }
    let found = describe(&verification.finish_open(&api.db.snapshot()));
    out.write_text(format!("{}\n", json!({"result": found})))
        .await
}

/// What was found, as the API and the command line tell it.
pub(crate) fn describe(found: &Inspection) -> Value {
    let place = |damage: &Damage| {
        let of_this = |file: &str, offset: u64| file == damage.file && offset == damage.offset;
        let keys = found.damaged_keys.iter();
        let keys = keys.filter(|one| of_this(&one.file, one.offset));
        json!({
            "file": damage.file,
            "offset": damage.offset,
            "what": damage.what,
            "rows": keys.map(|one| describe_key(&one.key)).collect::<Vec<_>>(),
        })
    };
    json!({
        "whole": found.is_whole(),
        "segments": found.segments,
        "bytes": found.bytes,
        "transactions": found.frames,
        "sequence": found.sequence,
        "damage": found.damage.iter().map(place).collect::<Vec<_>>(),
        "lost": found.lost,
        "tail": found.tail.as_ref().map(place),
    })
}
