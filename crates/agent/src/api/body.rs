//! Request bodies as JSON, with errors that say what was wrong with them.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use periwinkle_core::value::{Map, Value, json};
use serde::de::DeserializeOwned;

use crate::web::problem::Problem;

/// A body that is a JSON object of known fields.
pub struct Fields<T>(pub T);

/// A body that is a JSON object of a model's properties; numbers keep their digits.
pub struct Properties(pub Map);

/// An extractor of axum's whose refusals are problems, as all others are.
pub struct Checked<E>(pub E);

impl<E, S> FromRequestParts<S> for Checked<E>
where
    E: FromRequestParts<S, Rejection: std::fmt::Display>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Checked<E>, Problem> {
        let found = E::from_request_parts(parts, state).await;
        found
            .map(Checked)
            .map_err(|error| Problem::bad_request("address_invalid", format!("{error}.")))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Fields<T>, Problem> {
        let bytes = json_bytes(request, state).await?;
        serde_json::from_slice(&bytes).map(Fields).map_err(|error| {
            Problem::bad_request("body_invalid", format!("The body cannot be used: {error}."))
        })
    }
}

impl<S: Sync> FromRequest<S> for Properties {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Properties, Problem> {
        let bytes = json_bytes(request, state).await?;
        match json::parse_bytes(&bytes) {
            Ok(Value::Map(properties)) => Ok(Properties(properties)),
            Ok(_) => Err(Problem::bad_request(
                "body_invalid",
                "The body must be a JSON object.",
            )),
            Err(error) => {
                let detail = format!("The body is not JSON: {error}.");
                Err(Problem::bad_request("body_invalid", detail))
            }
        }
    }
}

/// The body of a request that says that it is JSON. A form of another site cannot say so.
async fn json_bytes<S: Sync>(request: Request, _: &S) -> Result<Bytes, Problem> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|field| field.to_str().ok());
    let is_json = kind.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        let detail = "Send the body as JSON, with the field Content-Type: application/json.";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            detail,
        ));
    }
    let body = http_body_util::BodyExt::collect(request.into_body()).await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &axum::Error) -> Problem {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            let detail = "The body is longer than this agent takes.";
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
        }
        source = cause.source();
    }
    Problem::bad_request("body_unreadable", "The body could not be read to its end.")
}
