//! Errors as the web shows them: problem details of RFC 9457.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// An error for the client, with the words that say what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    title: &'static str,
    detail: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
    /// Further members, as JSON: numbers of an item keep their digits.
    #[serde(skip)]
    members: Option<Box<Members>>,
}

/// What only writes of the database tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members {
    /// Which write of several.
    write: Option<usize>,
    /// The item that stood in the way.
    item: Option<String>,
}

fn status_number<S: serde::Serializer>(
    status: &StatusCode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem with a stable `kind` for programs and a `detail` for people.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            title: status.canonical_reason().unwrap_or("Error"),
            detail: detail.into(),
            kind,
            field: None,
            retry_after_s: None,
            members: None,
        }
    }

    /// Names the field of the request that is at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Problem {
        self.field = Some(field.into());
        self
    }

    /// Names the write of several that is at fault, from 0.
    #[must_use]
    pub fn write(mut self, at: usize) -> Problem {
        self.members.get_or_insert_default().write = Some(at);
        self
    }

    /// Shows the item that stood in the way, as JSON.
    #[must_use]
    pub fn item(mut self, json: String) -> Problem {
        self.members.get_or_insert_default().item = Some(json);
        self
    }

    /// Tells the client when to try again.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Nobody is logged in, and somebody has to be.
    pub fn login_required() -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "login_required", "Log in first.")
    }

    /// The path names nothing.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The request cannot be understood.
    pub fn bad_request(kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, kind, detail)
    }

    /// Something failed that the client cannot mend; the cause goes to the log only.
    pub fn internal(cause: &dyn std::fmt::Display) -> Problem {
        tracing::error!("a request failed: {cause}");
        let detail = "The agent failed to do this; its log says why.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = serde_json::to_string(&self).expect("a problem has only text keys");
        if let Some(members) = self.members {
            body.truncate(body.len() - 1);
            if let Some(at) = members.write {
                body.push_str(&format!(",\"write\":{at}"));
            }
            if let Some(item) = members.item {
                body.push_str(&format!(",\"item\":{item}"));
            }
            body.push('}');
        }
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_problem_says_status_kind_and_what_to_do() {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "Wait a little.")
            .field("password")
            .retry_after_s(7);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        let body = response
            .into_body()
            .collect()
            .await
            .expect("it is in memory")
            .to_bytes();
        let expected = r#"{"status":429,"title":"Too Many Requests","detail":"Wait a little.","kind":"throttled","field":"password"}"#;
        assert_eq!(body, expected);
    }
}
