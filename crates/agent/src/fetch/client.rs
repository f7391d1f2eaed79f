//! The client: what its requests share, and what they begin with.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::sigv4::{ClockOffset, Signers};
use periwinkle_core::fetch::auth::Logins;
use periwinkle_core::fetch::cookie::{CookieJar, Domains};
use periwinkle_core::fetch::proxy::ProxyRules;
use periwinkle_core::fetch::redirect::RedirectPolicy;
use periwinkle_core::fetch::retry::retry_budget;
use periwinkle_core::fetch::{Origin, Url};
use periwinkle_core::limits;
use periwinkle_core::retry::RetryBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::FetchError;
use super::payload::Payload;
use super::request::{Deadlines, Parts, RequestBuilder};
use super::sending::SendBody;
use crate::net::client_tls::{ClientCertificate, ClientTls, Trust};
use crate::net::clock::Clock;
use crate::net::dial::Patience;
use crate::net::outbound::Connector;
use crate::net::pool::HttpClient;
use crate::{Agent, Error};

/// Gives the keys to sign with, whenever a request is signed.
pub type CredentialsSource = Arc<dyn Fn() -> Result<Credentials, String> + Send + Sync>;

/// The HTTP client. Clones share connections, cookies and what was learnt of servers.
#[derive(Clone)]
pub struct Fetch {
    pub(super) shared: Arc<Shared>,
}

/// What a client is made from.
#[derive(Clone)]
pub struct FetchOptions {
    clock: Clock,
    proxies: ProxyRules,
    trust: Trust,
    certificate: Option<ClientCertificate>,
    server_name: Option<String>,
    patience: Patience,
    deadlines: Deadlines,
    redirects_max: u32,
    retries_max: u32,
    cookies: Option<Domains>,
    region: Option<String>,
    credentials: Option<CredentialsSource>,
}

pub(super) struct Shared {
    pub(super) options: FetchOptions,
    verified: Lane,
    /// Made when a request first asks for it.
    anybody: OnceLock<Lane>,
    cookies: Option<Mutex<CookieJar>>,
    logins: Mutex<Logins<Origin>>,
    budget: Mutex<RetryBudget>,
    signers: Mutex<Signers>,
    offset: Mutex<ClockOffset>,
}

/// A pool of connections that are made in one way.
pub(super) struct Lane {
    pub(super) client: HttpClient<SendBody>,
}

const USER_AGENT_TEXT: HeaderValue =
    HeaderValue::from_static(concat!("periwinkle/", env!("CARGO_PKG_VERSION")));

impl Fetch {
    /// A request with the method GET.
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A request with the method HEAD.
    pub fn head(&self, url: &str) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A request with the method POST.
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A request with the method PUT.
    pub fn put(&self, url: &str) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A request with the method PATCH.
    pub fn patch(&self, url: &str) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A request with the method DELETE.
    pub fn delete(&self, url: &str) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url)
    }

    /// The text of a page; anything but success is an error.
    ///
    /// Dropping the future ends the exchange.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn get_text(&self, url: &str) -> Result<String, FetchError> {
        self.get(url).send().await?.success().await?.text().await
    }

    /// The JSON behind an address; anything but success is an error.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let request = self.get(url).accept("application/json");
        request.send().await?.success().await?.json().await
    }

    /// Sends JSON and gives the JSON of the answer; anything but success is an error.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        url: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<T, FetchError> {
        let request = self.post(url).json(value).accept("application/json");
        request.send().await?.success().await?.json().await
    }

    /// Sends a text and gives the text of the answer; anything but success is an error.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn post_text(
        &self,
        url: &str,
        text: impl Into<String>,
    ) -> Result<String, FetchError> {
        let request = self.post(url).text(text);
        request.send().await?.success().await?.text().await
    }

    /// Sends a request whose body is in memory and reads the whole answer, within `deadline`.
    ///
    /// Follows no redirect and repeats nothing. Dropping the future ends the exchange; the server
    /// may have acted on it.
    ///
    /// # Errors
    /// Which phase failed, and why.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, FetchError> {
        let (head, body) = request.into_parts();
        let answer = self
            .request(head.method, &head.uri.to_string())
            .headers(head.headers)
            .body(body)
            .redirects(0)
            .retries(0)
            .deadline(deadline)
            .send()
            .await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = answer.bytes().await?;
        Ok(response)
    }

    /// What a request begins with.
    pub(super) fn defaults(&self, method: Method, url: Url) -> Parts {
        let options = &self.shared.options;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, USER_AGENT_TEXT);
        Parts {
            method,
            url: Arc::new(url),
            headers,
            payload: Payload::empty(),
            deadlines: options.deadlines,
            began: None,
            redirects: RedirectPolicy {
                hops_max: options.redirects_max,
                ..RedirectPolicy::default()
            },
            fields_for_all: Vec::new(),
            retries_max: options.retries_max,
            repeatable: false,
            login: None,
            basic_is_refused: false,
            signing: None,
            accepts_any_certificate: false,
            decodes: true,
            asks_first: false,
            answer_bytes_max: limits::FETCH_ANSWER_BYTES_MAX as u64,
            message_bytes_max: None,
            ping_interval: Some(limits::WEBSOCKET_PING_INTERVAL),
            progress: None,
        }
    }

    /// The pool for a request.
    pub(super) fn lane(&self, accepts_any_certificate: bool) -> Result<&Lane, FetchError> {
        if !accepts_any_certificate {
            return Ok(&self.shared.verified);
        }
        if let Some(lane) = self.shared.anybody.get() {
            return Ok(lane);
        }
        let lane = self.shared.options.lane(true)?;
        Ok(self.shared.anybody.get_or_init(|| lane))
    }
}

impl Agent {
    /// The HTTP client, as the configuration has it. Clones share connections.
    pub fn fetch(&self) -> Fetch {
        self.services.fetch.clone()
    }

    /// The options of the configuration, for a client that differs in some.
    pub fn fetch_options(&self) -> FetchOptions {
        self.services.fetch.shared.options.clone()
    }
}

/// The agent's client in a maker's handler.
impl<S: Sync> FromRequestParts<S> for Fetch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Fetch, Error> {
        let fetch = parts.extensions.get::<Fetch>().cloned();
        fetch.ok_or_else(|| Error::Other("this request did not come through the agent".into()))
    }
}

impl Shared {
    pub(super) fn cookies(&self) -> Option<MutexGuard<'_, CookieJar>> {
        let jar = self.cookies.as_ref()?;
        Some(jar.lock().expect("no holder of the cookies panics"))
    }

    pub(super) fn logins(&self) -> MutexGuard<'_, Logins<Origin>> {
        self.logins.lock().expect("no holder of the logins panics")
    }

    pub(super) fn budget(&self) -> MutexGuard<'_, RetryBudget> {
        self.budget.lock().expect("no holder of the budget panics")
    }

    pub(super) fn signers(&self) -> MutexGuard<'_, Signers> {
        self.signers
            .lock()
            .expect("no holder of the signers panics")
    }

    pub(super) fn offset(&self) -> MutexGuard<'_, ClockOffset> {
        self.offset.lock().expect("no holder of the offset panics")
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.options.clock
    }

    pub(super) fn region(&self) -> Option<&str> {
        self.options.region.as_deref()
    }

    pub(super) fn credentials(&self) -> Result<Credentials, String> {
        match &self.options.credentials {
            Some(source) => source(),
            None => Err("the client was given none".to_owned()),
        }
    }
}

impl FetchOptions {
    pub(crate) fn new(clock: &Clock) -> FetchOptions {
        FetchOptions {
            clock: clock.clone(),
            proxies: ProxyRules::default(),
            trust: Trust::default(),
            certificate: None,
            server_name: None,
            patience: Patience::default(),
            deadlines: Deadlines::default(),
            redirects_max: limits::FETCH_REDIRECTS_MAX,
            retries_max: limits::FETCH_RETRIES_MAX,
            cookies: None,
            region: None,
            credentials: None,
        }
    }

    /// Which proxy stands before which server.
    #[must_use]
    pub fn proxies(self, proxies: ProxyRules) -> FetchOptions {
        FetchOptions { proxies, ..self }
    }

    /// Which authorities are believed.
    #[must_use]
    pub fn trust(self, trust: Trust) -> FetchOptions {
        FetchOptions { trust, ..self }
    }

    /// The name that certificates of servers must have, in place of the host of the address.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> FetchOptions {
        FetchOptions {
            server_name: Some(name.into()),
            ..self
        }
    }

    /// The certificate to show to servers that ask for one.
    #[must_use]
    pub fn certificate(self, certificate: ClientCertificate) -> FetchOptions {
        FetchOptions {
            certificate: Some(certificate),
            ..self
        }
    }

    /// How long the phases of making a connection may take.
    #[must_use]
    pub fn patience(self, patience: Patience) -> FetchOptions {
        FetchOptions { patience, ..self }
    }

    /// The deadlines of requests that name no others.
    #[must_use]
    pub fn deadlines(self, deadlines: Deadlines) -> FetchOptions {
        FetchOptions { deadlines, ..self }
    }

    /// Redirects followed by requests that say nothing else.
    #[must_use]
    pub fn redirects(self, hops_max: u32) -> FetchOptions {
        FetchOptions {
            redirects_max: hops_max,
            ..self
        }
    }

    /// Retries of requests that say nothing else.
    #[must_use]
    pub fn retries(self, retries_max: u32) -> FetchOptions {
        FetchOptions {
            retries_max,
            ..self
        }
    }

    /// Keeps cookies, in memory.
    #[must_use]
    pub fn cookies(self, domains: Domains) -> FetchOptions {
        FetchOptions {
            cookies: Some(domains),
            ..self
        }
    }

    /// The region of signatures for addresses that name none.
    #[must_use]
    pub fn region(self, region: impl Into<String>) -> FetchOptions {
        FetchOptions {
            region: Some(region.into()),
            ..self
        }
    }

    /// Where the keys of signatures come from.
    #[must_use]
    pub fn credentials(self, source: CredentialsSource) -> FetchOptions {
        FetchOptions {
            credentials: Some(source),
            ..self
        }
    }

    /// A client with connections of its own.
    ///
    /// # Errors
    /// When a file of an authority cannot be used.
    pub fn build(self) -> Result<Fetch, FetchError> {
        let verified = self.lane(false)?;
        Ok(Fetch {
            shared: Arc::new(Shared {
                verified,
                anybody: OnceLock::new(),
                cookies: self.cookies.map(CookieJar::new).map(Mutex::new),
                logins: Mutex::default(),
                budget: Mutex::new(retry_budget()),
                signers: Mutex::default(),
                offset: Mutex::default(),
                options: self,
            }),
        })
    }

    pub(super) const fn default_deadlines(&self) -> Deadlines {
        self.deadlines
    }

    fn lane(&self, accepts_any_certificate: bool) -> Result<Lane, FetchError> {
        let tls = ClientTls::builder(&self.clock)
            .trust(self.trust.clone())
            .certificate(self.certificate.clone())
            .protocols(&["http/1.1"]);
        let tls = match &self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        };
        let tls = match accepts_any_certificate {
            true => tls.danger_accept_any_certificate(),
            false => tls,
        };
        let tls = Arc::new(tls.build()?);
        let connector = Connector::new(tls, self.proxies.clone(), self.patience);
        Ok(Lane {
            client: HttpClient::new(connector),
        })
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FetchOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchOptions")
            .field("trust", &self.trust)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}
