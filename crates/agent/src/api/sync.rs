//! Replication as the console shows it.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;

use super::session::json_answer;
use crate::cloud::sync::SyncHandle;
use crate::web::problem::Problem;

/// `GET /sync` and `POST /sync/retry`.
pub fn router(handle: SyncHandle) -> Router {
    Router::new()
        .route("/sync", get(show))
        .route("/sync/retry", post(retry))
        .with_state(handle)
}

async fn show(State(handle): State<SyncHandle>) -> Response {
    json_answer(StatusCode::OK, &handle.show())
}

/// Waits no longer and tries what was parked once more.
async fn retry(State(handle): State<SyncHandle>) -> Result<StatusCode, Problem> {
    if !handle.is_enabled() {
        let detail = "Replication is off; sync.enable in the configuration switches it on.";
        return Err(Problem::new(StatusCode::CONFLICT, "sync_off", detail));
    }
    handle.retry();
    Ok(StatusCode::ACCEPTED)
}
