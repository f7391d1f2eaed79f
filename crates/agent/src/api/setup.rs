//! The first start: whose device is it?

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::body::Fields;
use super::session::{answer, json_answer};
use crate::net::listen::Peer;
use crate::web::accounts::Applicant;
use crate::web::dispatch::Secure;
use crate::web::problem::Problem;

pub(super) async fn show(State(api): State<Api>) -> Result<Response, Problem> {
    Ok(json_answer(
        StatusCode::OK,
        &json!({"needed": api.accounts.setup_needed()?}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetUp {
    code: String,
    name: String,
    password: String,
}

pub(super) async fn set_up(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    Extension(Secure(secure)): Extension<Secure>,
    Fields(request): Fields<SetUp>,
) -> Result<Response, Problem> {
    let applicant = Applicant {
        name: request.name,
        password: request.password.into(),
        peer,
        secure,
    };
    let session = api.accounts.set_up(&request.code, applicant).await?;
    Ok(answer(StatusCode::CREATED, &session, secure))
}

/// A new code takes the place of one that was lost, used up or too old.
pub(super) async fn renew_code(State(api): State<Api>) -> Result<Response, Problem> {
    let code = api.accounts.renew_setup_code()?;
    Ok(json_answer(StatusCode::CREATED, &json!({"code": code})))
}
