//! How the agent is: a word for everybody, everything for those who are logged in.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::Api;
use super::session::json_answer;
use crate::web::identity::Identity;
use crate::web::problem::Problem;

pub(super) async fn show(State(api): State<Api>, identity: Identity) -> Result<Response, Problem> {
    let setup = if api.accounts.setup_needed()? {
        "needed"
    } else {
        "done"
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut status = json!({"state": "running", "version": version, "setup": setup});
    if matches!(identity, Identity::User(_) | Identity::Local { .. }) {
        let sections = status.as_object_mut().expect("it was made as an object");
        sections.extend(api.status.show());
    }
    Ok(json_answer(StatusCode::OK, &status))
}
