//! Logging in and out.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::body::Fields;
use crate::net::listen::Peer;
use crate::web::accounts::{Applicant, NewSession};
use crate::web::cookie;
use crate::web::dispatch::Secure;
use crate::web::identity::{Identity, Login};
use crate::web::problem::Problem;

pub(super) async fn show(login: Login) -> Response {
    json_answer(StatusCode::OK, &describe(&login))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    name: String,
    password: String,
}

pub(super) async fn log_in(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    Extension(Secure(secure)): Extension<Secure>,
    Fields(request): Fields<LogIn>,
) -> Result<Response, Problem> {
    let applicant = Applicant {
        name: request.name,
        password: request.password.into(),
        peer,
        secure,
    };
    let session = api.accounts.log_in(applicant).await?;
    Ok(answer(StatusCode::OK, &session, secure))
}

pub(super) async fn log_out(
    State(api): State<Api>,
    Extension(Secure(secure)): Extension<Secure>,
    identity: Identity,
) -> Result<Response, Problem> {
    if let Identity::Unproven(why) = identity {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "request_not_proven",
            why,
        ));
    }
    if let Identity::User(login) = identity {
        api.accounts.log_out(&login)?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response
        .headers_mut()
        .insert(SET_COOKIE, cookie::clear(secure));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    old: String,
    new: String,
}

pub(super) async fn change_password(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    login: Login,
    Fields(request): Fields<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let (old, new) = (request.old.into(), request.new.into());
    api.accounts
        .change_own_password(&login, old, new, &peer)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The answer that starts a session: who it is, and the cookie.
pub(super) fn answer(status: StatusCode, session: &NewSession, secure: bool) -> Response {
    let mut response = json_answer(status, &describe(&session.login));
    let life_s = session.life.as_secs();
    response.headers_mut().insert(
        SET_COOKIE,
        cookie::set(session.token.expose(), secure, life_s),
    );
    response
}

fn describe(login: &Login) -> Value {
    json!({"user": login.name, "role": login.role.as_str(), "xsrf": login.xsrf})
}

/// A JSON answer that nobody keeps.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    text_answer(status, body.to_string())
}

/// The same, of JSON as it is.
pub(super) fn text_answer(status: StatusCode, json: String) -> Response {
    let mut response = (status, json).into_response();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
