//! The users of the device; owners only.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::body::{Checked, Fields};
use super::session::json_answer;
use crate::web::accounts::User;
use crate::web::identity::Login;
use crate::web::problem::Problem;

pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    let users: Vec<Value> = api.accounts.users()?.iter().map(describe).collect();
    Ok(json_answer(StatusCode::OK, &json!({"users": users})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    name: String,
    password: String,
    role: String,
}

pub(super) async fn add(
    State(api): State<Api>,
    Fields(request): Fields<Add>,
) -> Result<Response, Problem> {
    let role = parse_role(&request.role)?;
    let user = api
        .accounts
        .add_user(&request.name, request.password.into(), role)
        .await?;
    Ok(json_answer(StatusCode::CREATED, &describe(&user)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    role: Option<String>,
    password: Option<String>,
}

pub(super) async fn change(
    State(api): State<Api>,
    login: Login,
    Checked(Path(name)): Checked<Path<String>>,
    Fields(request): Fields<Change>,
) -> Result<Response, Problem> {
    let role = request.role.as_deref().map(parse_role).transpose()?;
    let password = request.password.map(Into::into);
    let user = api
        .accounts
        .change_user(&login, &name, role, password)
        .await?;
    Ok(json_answer(StatusCode::OK, &describe(&user)))
}

pub(super) async fn remove(
    State(api): State<Api>,
    Checked(Path(name)): Checked<Path<String>>,
) -> Result<StatusCode, Problem> {
    api.accounts.remove_user(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn describe(user: &User) -> Value {
    json!({"name": user.name, "role": user.role.as_str(), "created": user.created})
}

fn parse_role(text: &str) -> Result<periwinkle_core::auth::Role, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("There is no role {text:?}; the roles are viewer, editor and owner.");
        Problem::bad_request("role_unknown", detail).field("role")
    })
}
