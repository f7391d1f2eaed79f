//! One request: host check, identity, route policy, handler, and the fields every answer has.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::Limited;
use hyper::body::Incoming;
use periwinkle_core::auth::{AcceptedHosts, BorderError, Provenance};
use tower::ServiceExt;

use super::accounts::Accounts;
use super::cookie;
use super::identity::Identity;
use super::policy::{self, Needs};
use super::problem::Problem;
use crate::database::Db;
use crate::net::listen::Peer;

/// A function that answers for the console's paths, or is silent about others.
pub type Pages = fn(&Method, &str, &HeaderMap) -> Option<Response>;

/// Everything that requests are handed to.
#[derive(Debug)]
pub struct Dispatch {
    /// Who is who.
    pub accounts: Arc<Accounts>,
    /// What handlers get as [`Db`].
    pub db: Db,
    /// The names by which this server may be called.
    pub hosts: AcceptedHosts,
    /// The REST API.
    pub api: Router,
    /// The console, if it is compiled in.
    pub pages: Option<Pages>,
    /// The maker's routes.
    pub actions: Router,
    /// The largest body of an API request.
    pub body_bytes_max: usize,
    /// The largest body of a request to the maker's routes, or of an upload, which stream it.
    pub upload_bytes_max: usize,
    /// How long a handler may take before it begins to answer.
    pub request_timeout: Option<Duration>,
}

/// What a handler may take.
#[derive(Clone, Copy)]
struct Bounds {
    bytes_max: usize,
    answers_within: Option<Duration>,
}

/// The field in which the console proves that it made a request.
pub const XSRF: HeaderName = HeaderName::from_static("x-xsrf-token");

/// Which connection a request came by.
#[derive(Clone, Copy, Debug)]
pub struct Secure(pub bool);

impl Dispatch {
    /// Answers one request. Dropping the future ends the handler where it waits.
    pub async fn answer(&self, request: Request<Incoming>, peer: &Peer, secure: bool) -> Response {
        let method = request.method().clone();
        let mut response = match self.route(request, peer, secure).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        };
        add_standard_fields(&mut response);
        if method == Method::HEAD {
            let (parts, _) = response.into_parts();
            return Response::from_parts(parts, Body::empty());
        }
        response
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        secure: bool,
    ) -> Result<Response, Problem> {
        self.check_host(&request, peer)?;
        let path = request.uri().path();
        if path == "/api" || path.starts_with("/api/") {
            return self.call_api(request, peer, secure).await;
        }
        let pages = self.pages.filter(|_| matches!(peer, Peer::Network(_)));
        let page = pages.and_then(|pages| pages(request.method(), path, request.headers()));
        if let Some(page) = page {
            return Ok(page);
        }
        let identity = self.identify(&request, peer, secure)?;
        let bounds = Bounds {
            bytes_max: self.upload_bytes_max,
            answers_within: self.request_timeout,
        };
        self.call(&self.actions, request, (identity, peer, secure), bounds)
            .await
    }

    async fn call_api(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        secure: bool,
    ) -> Result<Response, Problem> {
        // Also without a session: another site's page shall not log anybody in, nor guess.
        let from_network = matches!(peer, Peer::Network(_));
        let writes = !policy::is_read(request.method());
        if from_network && writes && self.is_foreign(request.headers()) {
            let detail = format!("{}.", BorderError::OriginForeign);
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "request_not_proven",
                detail,
            ));
        }
        let identity = self.identify(&request, peer, secure)?;
        if let Needs::Role(role) = policy::needs(request.method(), request.uri().path()) {
            identity.require(role)?;
        }
        let bounds = match policy::streams_in(request.method(), request.uri().path()) {
            true => Bounds {
                bytes_max: self.upload_bytes_max,
                // A body may come for as long as it comes at all.
                answers_within: None,
            },
            false => Bounds {
                bytes_max: self.body_bytes_max,
                answers_within: self.request_timeout,
            },
        };
        self.call(&self.api, request, (identity, peer, secure), bounds)
            .await
    }

    async fn call(
        &self,
        router: &Router,
        request: Request<Incoming>,
        (identity, peer, secure): (Identity, &Peer, bool),
        bounds: Bounds,
    ) -> Result<Response, Problem> {
        let bytes_max = bounds.bytes_max;
        check_length(request.headers(), bytes_max)?;
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(identity);
        parts.extensions.insert(self.db.clone());
        parts.extensions.insert(peer.clone());
        parts.extensions.insert(Secure(secure));
        let request = Request::from_parts(parts, Body::new(Limited::new(body, bytes_max)));
        let answer = outlive_panic(router.clone().oneshot(request));
        let Some(bound) = bounds.answers_within else {
            return Ok(answer.await);
        };
        tokio::time::timeout(bound, answer).await.map_err(|_| {
            let detail = format!("The handler did not begin to answer within {bound:?}.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "request_timeout", detail)
        })
    }

    /// A web page of another name that resolves to this device must not speak to it: the `Host`
    /// has to be one that the device is known by.
    fn check_host(&self, request: &Request<Incoming>, peer: &Peer) -> Result<(), Problem> {
        if request.headers().get_all(HOST).iter().count() > 1 {
            let detail = "A request carries exactly one Host field (RFC 9112, 3.2).";
            return Err(Problem::bad_request("host_missing", detail));
        }
        if names_two_hosts(request) {
            let detail = "The request's target and its Host field name different hosts.";
            return Err(Problem::bad_request("host_differs", detail));
        }
        let old = request.version() == Version::HTTP_10 && !request.headers().contains_key(HOST);
        if old || matches!(peer, Peer::Local { .. }) {
            return Ok(());
        }
        self.hosts
            .check_host(&provenance(request.headers()))
            .map_err(|error| {
                let (status, kind) = match error {
                    BorderError::HostMissing => (StatusCode::BAD_REQUEST, "host_missing"),
                    _ => (StatusCode::MISDIRECTED_REQUEST, "host_unknown"),
                };
                Problem::new(status, kind, format!("{error}."))
            })
    }

    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        self.hosts.check_origin(&provenance(headers)).is_err()
    }

    fn identify(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        secure: bool,
    ) -> Result<Identity, Problem> {
        if let Peer::Local { uid } = peer {
            return Ok(self.accounts.local(*uid));
        }
        let headers = request.headers();
        let cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let Some(id) = cookie::find(cookies, cookie::name(secure)) else {
            return Ok(Identity::Anonymous);
        };
        let Some(login) = self.accounts.login_of(id)? else {
            return Ok(Identity::Anonymous);
        };
        // A page of another port of this host is the same site to cookies. It may link to us, but
        // neither change nor read anything, nor hold a stream open.
        if self.is_foreign(headers) && !is_link(request) {
            return Ok(Identity::Unproven(
                "The request comes from a page of another site.",
            ));
        }
        if policy::is_read(request.method()) && !is_upgrade(headers) {
            return Ok(Identity::User(login));
        }
        let shown = headers
            .get(XSRF)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        if !self.accounts.proves(&login, shown) {
            return Ok(Identity::Unproven(
                "Send the session's xsrf text in the field X-XSRF-Token.",
            ));
        }
        Ok(Identity::User(login))
    }
}

/// A panic of one handler costs its request, not its connection, and the client learns of it.
async fn outlive_panic(answer: impl Future<Output = Result<Response, Infallible>>) -> Response {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        let poll = AssertUnwindSafe(|| answer.as_mut().poll(context));
        match catch_unwind(poll) {
            Ok(poll) => poll.map(|Ok(response)| response),
            Err(_) => Poll::Ready(Problem::internal(&"its handler panicked").into_response()),
        }
    })
    .await
}

/// Whether the absolute form of a target disagrees with the field `Host`: what stands before this
/// server may have looked at the other one (RFC 9112, 3.2.2).
fn names_two_hosts(request: &Request<Incoming>) -> bool {
    let target = request.uri().authority().map(Authority::as_str);
    let field = request.headers().get(HOST).map(HeaderValue::as_bytes);
    match (target, field) {
        (Some(target), Some(field)) => !target.as_bytes().eq_ignore_ascii_case(field),
        _ => false,
    }
}

/// Whether the user followed a link, as browsers say: the page that holds it sees nothing.
fn is_link(request: &Request<Incoming>) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    policy::is_read(request.method()) && mode.is_some_and(|mode| mode == "navigate")
}

fn provenance(headers: &HeaderMap) -> Provenance<'_> {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or(""))
    };
    Provenance {
        host: text(HOST),
        origin: text(ORIGIN),
        fetch_site: text(HeaderName::from_static("sec-fetch-site")),
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::UPGRADE)
}

/// A body that says beforehand that it is too long is refused before a byte of it is read.
fn check_length(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|field| field.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > bytes_max as u64) {
        let detail = format!("The body may have at most {bytes_max} bytes here.");
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            detail,
        ));
    }
    Ok(())
}

/// No scripts but the console's own files, no framing, no guessing of types.
fn add_standard_fields(response: &mut Response) {
    const CSP: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
        form-action 'self'; object-src 'none'";
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let fields = response.headers_mut();
    let mut add = |name: HeaderName, value| {
        fields
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    add(X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(REFERRER_POLICY, "same-origin");
    add(X_FRAME_OPTIONS, "DENY");
    if is_page {
        add(CONTENT_SECURITY_POLICY, CSP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_costs_only_its_request() {
        let answer = async { panic!("on purpose") };
        let response = outlive_panic(answer).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
