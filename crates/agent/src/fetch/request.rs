//! A request under construction.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use periwinkle_core::aws::Credentials;
use periwinkle_core::fetch::Url;
use periwinkle_core::fetch::auth::Login;
use periwinkle_core::fetch::redirect::{Downgrade, RedirectPolicy};
use periwinkle_core::limits;
use periwinkle_core::secret::Secret;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::Answer;
use super::client::Fetch;
use super::error::FetchError;
use super::exchange::Exchange;
use super::multipart::Form;
use super::payload::Payload;
use super::progress::Progress;
use super::signing::Unsigned;

/// A request under construction; what is wrong with it is told by [`send`](RequestBuilder::send).
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    fetch: Fetch,
    parts: Result<Box<Parts>, FetchError>,
}

/// Everything that is known of a request.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) method: Method,
    pub(super) url: Arc<Url>,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) deadlines: Deadlines,
    /// When the time for everything began, where that was before the first attempt.
    pub(super) began: Option<Instant>,
    pub(super) redirects: RedirectPolicy,
    /// Fields that redirects carry to any host.
    pub(super) fields_for_all: Vec<HeaderName>,
    pub(super) retries_max: u32,
    pub(super) repeatable: bool,
    pub(super) login: Option<Login>,
    pub(super) basic_is_refused: bool,
    pub(super) signing: Option<Signing>,
    pub(super) accepts_any_certificate: bool,
    pub(super) decodes: bool,
    pub(super) asks_first: bool,
    pub(super) answer_bytes_max: u64,
    pub(super) message_bytes_max: Option<usize>,
    /// Of a WebSocket.
    pub(super) ping_interval: Option<Duration>,
    pub(super) progress: Option<Arc<watch::Sender<Progress>>>,
}

impl Parts {
    /// The same request once more; `None` when its body can be read only once.
    pub(super) fn again(&self) -> Option<Parts> {
        Some(Parts {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            payload: self.payload.again()?,
            redirects: self.redirects,
            fields_for_all: self.fields_for_all.clone(),
            deadlines: self.deadlines,
            login: self.login.clone(),
            signing: self.signing.clone(),
            progress: self.progress.clone(),
            ..*self
        })
    }
}

/// How long the phases of an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For a new connection, all of it: name, TCP, proxy and TLS. Without, each of them has the time
    /// that the client gives it.
    pub connect: Option<Duration>,
    /// From the end of the request to the beginning of the answer, the connection included.
    pub first_byte: Duration,
    /// Between two pieces of the answer, or of the request.
    pub between_bytes: Duration,
    /// From the first attempt to the end of the answer.
    pub total: Option<Duration>,
    /// The rate below which a transfer is given up.
    pub rate: Option<MinimumRate>,
}

/// A rate below which a transfer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumRate {
    /// The rate.
    pub bytes_per_second: u64,
    /// The time over which it is measured, again and again.
    pub over: Duration,
}

impl MinimumRate {
    /// What has to come in one measurement.
    pub(super) fn bytes_over(&self) -> u64 {
        let millis = u64::try_from(self.over.as_millis()).unwrap_or(u64::MAX);
        self.bytes_per_second.saturating_mul(millis) / 1000
    }
}

/// Signing of a request.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    pub(super) service: String,
    pub(super) region: Option<String>,
    pub(super) credentials: Option<Credentials>,
}

impl RequestBuilder {
    pub(super) fn new(fetch: Fetch, method: Method, url: &str) -> RequestBuilder {
        // A WebSocket begins as HTTP.
        let url = match (url.strip_prefix("ws://"), url.strip_prefix("wss://")) {
            (Some(rest), _) => Url::parse(&format!("http://{rest}")),
            (_, Some(rest)) => Url::parse(&format!("https://{rest}")),
            _ => Url::parse(url),
        };
        let parts = url.map(|url| Box::new(fetch.defaults(method, url)));
        RequestBuilder {
            fetch,
            parts: parts.map_err(FetchError::from),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> RequestBuilder {
        if let Ok(parts) = &mut self.parts {
            change(parts);
        }
        self
    }

    fn try_with(
        mut self,
        change: impl FnOnce(&mut Parts) -> Result<(), FetchError>,
    ) -> RequestBuilder {
        if let Ok(parts) = &mut self.parts
            && let Err(error) = change(parts)
        {
            self.parts = Err(error);
        }
        self
    }

    /// Adds a field; one of the same name stays beside it.
    pub fn header(self, name: &str, value: &str) -> RequestBuilder {
        self.try_with(|parts| {
            let (name, value) = (field_name(name)?, field_value(value)?);
            parts.headers.append(name, value);
            Ok(())
        })
    }

    /// Adds fields; those of the same names are replaced.
    pub fn headers(self, headers: HeaderMap) -> RequestBuilder {
        self.with(|parts| parts.headers.extend(headers))
    }

    /// Leaves out a field that is sent by default, such as `User-Agent`.
    pub fn without_header(self, name: &str) -> RequestBuilder {
        self.try_with(|parts| {
            parts.headers.remove(field_name(name)?);
            Ok(())
        })
    }

    /// Adds a parameter to the query; it is encoded here.
    pub fn query(self, name: &str, value: &str) -> RequestBuilder {
        self.with(|parts| Arc::make_mut(&mut parts.url).push_parameter(name, value))
    }

    /// A body of text.
    pub fn text(self, text: impl Into<String>) -> RequestBuilder {
        self.typed("text/plain; charset=utf-8", text.into())
    }

    /// A body of JSON.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> RequestBuilder {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.typed("application/json", bytes),
            Err(error) => self.try_with(|_| Err(FetchError::Request(error.to_string()))),
        }
    }

    /// A body of bytes.
    pub fn bytes(self, bytes: impl Into<Bytes>) -> RequestBuilder {
        self.body(bytes.into())
    }

    /// A form, as a page without files sends it.
    pub fn form(self, fields: &[(&str, &str)]) -> RequestBuilder {
        let encode = periwinkle_core::aws::sigv4::encode_uri;
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        self.typed("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// A form with files, which are read while it is sent.
    pub fn multipart(self, form: Form) -> RequestBuilder {
        self.try_with(|parts| {
            let (content_type, payload) = form.into_payload()?;
            parts.payload = payload;
            parts
                .headers
                .insert(CONTENT_TYPE, field_value(&content_type)?);
            Ok(())
        })
    }

    /// Any body.
    pub fn body(self, payload: impl Into<Payload>) -> RequestBuilder {
        self.with(|parts| parts.payload = payload.into())
    }

    fn typed(self, content_type: &'static str, bytes: impl Into<Bytes>) -> RequestBuilder {
        self.with(|parts| {
            let value = HeaderValue::from_static(content_type);
            parts.headers.entry(CONTENT_TYPE).or_insert(value);
            parts.payload = bytes.into().into();
        })
    }

    /// Answers the server's question for a password, with Digest before Basic. Basic is answered
    /// over TLS and on this machine only. Later requests answer before they are asked.
    pub fn login(self, name: impl Into<String>, password: impl Into<Secret>) -> RequestBuilder {
        let login = Login::new(name, password);
        self.with(|parts| parts.login = Some(login))
    }

    /// The same, but never sends the password itself: Digest or nothing.
    pub fn digest(self, name: impl Into<String>, password: impl Into<Secret>) -> RequestBuilder {
        self.login(name, password)
            .with(|parts| parts.basic_is_refused = true)
    }

    /// Sends the password with the request (Basic), unasked and whatever the connection.
    pub fn basic(self, name: impl Into<String>, password: impl Into<Secret>) -> RequestBuilder {
        let field = Login::new(name, password).basic();
        self.try_with(|parts| {
            let colon = || FetchError::Request("a name for Basic holds no colon".to_owned());
            let mut value = field_value(&field.ok_or_else(colon)?)?;
            value.set_sensitive(true);
            parts.headers.insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Sends a token with the request.
    pub fn bearer(self, token: &str) -> RequestBuilder {
        self.try_with(|parts| {
            let mut value = field_value(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            parts.headers.insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Signs the request for a service of AWS (Signature Version 4), in the region of the address
    /// or of the configuration. Repetitions and redirects are signed anew.
    pub fn sigv4(self, service: impl Into<String>) -> RequestBuilder {
        let service = service.into();
        self.with(|parts| {
            let signing = parts.signing.get_or_insert(Signing {
                service: String::new(),
                region: None,
                credentials: None,
            });
            signing.service = service;
        })
    }

    /// The region to sign for, after [`sigv4`](RequestBuilder::sigv4).
    pub fn region(self, region: impl Into<String>) -> RequestBuilder {
        let region = region.into();
        self.with(|parts| {
            if let Some(signing) = &mut parts.signing {
                signing.region = Some(region);
            }
        })
    }

    /// The keys to sign with in place of the agent's, after [`sigv4`](RequestBuilder::sigv4).
    pub fn credentials(self, credentials: Credentials) -> RequestBuilder {
        self.with(|parts| {
            if let Some(signing) = &mut parts.signing {
                signing.credentials = Some(credentials);
            }
        })
    }

    /// The address of the request with a signature in it, after [`sigv4`](RequestBuilder::sigv4):
    /// whoever holds it can send the request, with the fields given here and no others, until
    /// `life` has passed. The body is not signed.
    ///
    /// # Errors
    /// When it cannot be signed, or lives too long.
    pub fn presign(self, life: Duration) -> Result<String, FetchError> {
        let parts = self.parts?;
        let unsigned = || FetchError::Request("what is presigned needs sigv4 before".to_owned());
        let unsigned = Unsigned {
            shared: &self.fetch.shared,
            signing: parts.signing.as_ref().ok_or_else(unsigned)?,
            method: &parts.method,
            url: &parts.url,
        };
        unsigned.presign(&parts.headers, life)
    }

    /// The time for everything, from the first attempt to the end of the answer.
    pub fn deadline(self, total: Duration) -> RequestBuilder {
        self.with(|parts| (parts.deadlines.total, parts.began) = (Some(total), None))
    }

    /// The same, where some of the time has passed since it began.
    pub(crate) fn deadline_since(self, began: Instant, total: Duration) -> RequestBuilder {
        self.with(|parts| (parts.deadlines.total, parts.began) = (Some(total), Some(began)))
    }

    /// The time for a new connection, in all: name, TCP, proxy and TLS.
    pub fn connect_deadline(self, within: Duration) -> RequestBuilder {
        self.with(|parts| parts.deadlines.connect = Some(within))
    }

    /// The times for each phase.
    pub fn deadlines(self, deadlines: Deadlines) -> RequestBuilder {
        self.with(|parts| parts.deadlines = deadlines)
    }

    /// The rate below which a transfer is given up.
    pub fn minimum_rate(self, rate: MinimumRate) -> RequestBuilder {
        self.with(|parts| parts.deadlines.rate = Some(rate))
    }

    /// How many redirects are followed; zero gives the redirect itself as the answer.
    pub fn redirects(self, hops_max: u32) -> RequestBuilder {
        self.with(|parts| parts.redirects.hops_max = hops_max)
    }

    /// Lets a redirect carry the field of this name to another scheme, host or port. Without, only
    /// fields go there that cannot show who asks ([`is_harmless`]), whatever their names promise.
    ///
    /// [`is_harmless`]: periwinkle_core::fetch::redirect::is_harmless
    pub fn follow_with(self, name: &str) -> RequestBuilder {
        self.try_with(|parts| {
            parts.fields_for_all.push(field_name(name)?);
            Ok(())
        })
    }

    /// Follows redirects from `https` to `http` too.
    pub fn follow_out_of_tls(self) -> RequestBuilder {
        self.with(|parts| parts.redirects.downgrade = Downgrade::Follow)
    }

    /// How often the request is sent again where that can do no harm.
    pub fn retries(self, retries_max: u32) -> RequestBuilder {
        self.with(|parts| parts.retries_max = retries_max)
    }

    /// Says that the request can be done twice without harm, such as one with an idempotency key.
    pub fn idempotent(self) -> RequestBuilder {
        self.with(|parts| parts.repeatable = true)
    }

    /// Believes whoever answers: what is sent can be read and changed on the way. For tests, and
    /// for devices on the bench; it is logged.
    pub fn danger_accept_any_certificate(self) -> RequestBuilder {
        self.with(|parts| parts.accepts_any_certificate = true)
    }

    /// Takes answers as they are, and does not ask for compressed ones.
    pub fn undecoded(self) -> RequestBuilder {
        self.with(|parts| parts.decodes = false)
    }

    /// Sends the body when the server has asked for it (`Expect: 100-continue`), or a second has
    /// passed: a refusal then costs no upload. A body that is read once is kept back unasked as long
    /// as server or proxy may want a password that is at hand.
    pub fn ask_first(self) -> RequestBuilder {
        self.with(|parts| parts.asks_first = true)
    }

    /// The longest answer that is read into memory.
    pub fn answer_bytes_max(self, bytes_max: u64) -> RequestBuilder {
        self.with(|parts| parts.answer_bytes_max = bytes_max)
    }

    /// The longest message that is received over a WebSocket.
    pub fn message_bytes_max(self, bytes_max: usize) -> RequestBuilder {
        self.with(|parts| parts.message_bytes_max = Some(bytes_max))
    }

    /// After which silence the other end of a WebSocket is asked whether it is still there; it has as
    /// long to say so. `None` never asks. By default it is
    /// [`limits::WEBSOCKET_PING_INTERVAL`].
    pub fn ping_interval(self, interval: Option<Duration>) -> RequestBuilder {
        self.with(|parts| parts.ping_interval = interval)
    }

    /// Tells how far the body has come.
    pub fn progress(self, progress: watch::Sender<Progress>) -> RequestBuilder {
        self.with(|parts| parts.progress = Some(Arc::new(progress)))
    }

    /// Sends the request and gives the answer as soon as its head is there; its body is read by
    /// the answer's methods. Any status is an answer: [`Answer::success`] makes errors of others
    /// than 2xx.
    ///
    /// Dropping the future ends the exchange; the server may have acted on it.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn send(self) -> Result<Answer, FetchError> {
        Exchange::new(self.fetch, self.parts?).run().await
    }

    pub(super) fn into_parts(self) -> (Fetch, Result<Box<Parts>, FetchError>) {
        (self.fetch, self.parts)
    }

    pub(super) fn from_parts(fetch: Fetch, parts: Box<Parts>) -> RequestBuilder {
        RequestBuilder {
            fetch,
            parts: Ok(parts),
        }
    }

    pub(super) fn accept(self, content_type: &'static str) -> RequestBuilder {
        self.with(|parts| {
            let value = HeaderValue::from_static(content_type);
            parts.headers.entry(ACCEPT).or_insert(value);
        })
    }
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            connect: None,
            first_byte: limits::FETCH_FIRST_BYTE_MAX,
            between_bytes: limits::FETCH_BETWEEN_BYTES_MAX,
            total: None,
            rate: None,
        }
    }
}

pub(super) fn field_name(name: &str) -> Result<HeaderName, FetchError> {
    let wrong = |_| FetchError::Request(format!("{name:?} is no name of a field"));
    HeaderName::from_bytes(name.as_bytes()).map_err(wrong)
}

pub(super) fn field_value(value: &str) -> Result<HeaderValue, FetchError> {
    let wrong = |_| FetchError::Request("a field with a character that ends its line".to_owned());
    HeaderValue::from_str(value).map_err(wrong)
}
