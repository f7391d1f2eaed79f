//! One exchange: attempts, redirects, passwords and signatures, until there is an answer.

use std::pin::Pin;
use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, DATE, EXPECT, Entry,
    HOST, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, RANGE, RETRY_AFTER, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use periwinkle_core::aws::sigv4::{SignedHop, Signer, redirect};
use periwinkle_core::fetch::auth::{Answerer, BasicUse, challenges, choose};
use periwinkle_core::fetch::decode::{self, codings};
use periwinkle_core::fetch::redirect::{Follow, Hop, NextHop, is_about_body, is_credential};
use periwinkle_core::fetch::retry::{Failure, Repeatable, Retries};
use periwinkle_core::fetch::{Host, Scheme, Url, parse_date};
use periwinkle_core::limits;
use periwinkle_core::time::{Mono, UnixMillis};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::answer::Answer;
use super::client::{Fetch, Lane};
use super::decode::Decoders;
use super::error::{FetchError, Phase};
use super::payload::Payload;
use super::receiving::{Receiving, Watch};
use super::request::{Deadlines, Parts, field_value};
use super::sending::{Abandon, SendBody, Upload};
use super::signing::{self, Unsigned};
use crate::net::entropy;
use crate::net::pool::{Choice, Lease, SendError, Within};

/// One exchange under way.
pub(super) struct Exchange {
    fetch: Fetch,
    parts: Box<Parts>,
    began: Instant,
    hops: u32,
    retries: Retries,
    /// Whether a password was given as the server asked.
    has_answered: bool,
    /// Whether our clock was corrected for the signature.
    is_corrected: bool,
    /// Whether the next attempt is made on a new connection, because a kept one had ended.
    needs_new_connection: bool,
    /// When the last attempt began, by the clock of signatures.
    sent: UnixMillis,
}

impl Exchange {
    pub(super) fn new(fetch: Fetch, parts: Box<Parts>) -> Exchange {
        Exchange {
            fetch,
            began: Instant::now(),
            hops: 0,
            retries: Retries::new(parts.retries_max),
            has_answered: false,
            is_corrected: false,
            needs_new_connection: false,
            sent: UnixMillis(0),
            parts,
        }
    }

    pub(super) async fn run(self) -> Result<Answer, FetchError> {
        let Some(total) = self.parts.deadlines.total else {
            return self.steps().await;
        };
        let url = self.parts.url.clone();
        let too_slow = |_| FetchError::too_slow(url.authority(), Phase::Total, total);
        timeout(total, self.steps()).await.map_err(too_slow)?
    }

    async fn steps(mut self) -> Result<Answer, FetchError> {
        loop {
            match self.attempt().await {
                Ok(answer) => {
                    if let Some(answer) = self.judge(answer).await? {
                        return Ok(answer);
                    }
                }
                Err(FetchError::Stale { unsent, .. }) if self.may_go_again(unsent) => {
                    self.needs_new_connection = true;
                }
                Err(error) => {
                    let failure = error.failure();
                    match failure.and_then(|failure| self.retry_at(failure)) {
                        Some(at) => self.pause_to(at).await,
                        None => return Err(error),
                    }
                }
            }
        }
    }

    /// Sends the request once and gives the head of what is answered.
    async fn attempt(&mut self) -> Result<Answer, FetchError> {
        let fetch = self.fetch.clone();
        let lane = fetch.lane(self.parts.accepts_any_certificate)?;
        let url = self.parts.url.clone();
        let (request, upload) = self.request(lane).await?;
        let decodes = self.parts.decodes && request.headers().contains_key(ACCEPT_ENCODING);
        let deadlines = self.parts.deadlines;
        let choice = match std::mem::take(&mut self.needs_new_connection) {
            true => Choice::New,
            false => Choice::Kept,
        };
        let (response, lease) = match &upload {
            None => {
                let after = deadlines.first_byte;
                let within = Within {
                    connect: deadlines.connect,
                    end: Some(Instant::now() + after),
                };
                let head = lane.client.send(&url, choice, request, within).await;
                let host = url.authority();
                head.map_err(|error| FetchError::of_send(host, Phase::Waiting, after, error))?
            }
            Some(upload) => {
                let within = Within {
                    connect: deadlines.connect,
                    end: None,
                };
                let head = Box::pin(lane.client.send(&url, choice, request, within));
                long_head(deadlines, head, upload, url.authority()).await?
            }
        };
        self.answer(response, lease, url, upload, decodes)
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        lease: Lease<SendBody>,
        url: Arc<Url>,
        upload: Option<Arc<Upload>>,
        decodes: bool,
    ) -> Result<Answer, FetchError> {
        let (head, body) = response.into_parts();
        let decoders = match decodes {
            true => decoders(&head.headers, url.authority())?,
            false => None,
        };
        let deadlines = &self.parts.deadlines;
        let total = deadlines.total.map(|total| (self.began + total, total));
        let watch = Watch::new(deadlines.between_bytes, total, deadlines.rate);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: Receiving::new(body, lease, decoders, watch, url.clone(), upload),
            url,
            began: self.began,
            bytes_max: self.parts.answer_bytes_max,
        })
    }

    async fn request(
        &mut self,
        lane: &Lane,
    ) -> Result<(Request<SendBody>, Option<Arc<Upload>>), FetchError> {
        let mut headers = self.parts.headers.clone();
        let shared = self.fetch.shared.clone();
        let parts = &mut *self.parts;
        let body = match &parts.signing {
            None => parts.payload.open().await.map_err(FetchError::Body)?,
            Some(signing) => {
                self.sent = shared.clock().uncorrected().wall.unwrap_or(UnixMillis(0));
                let unsigned = Unsigned {
                    shared: &shared,
                    signing,
                    method: &parts.method,
                    url: &parts.url,
                };
                unsigned.sign(&mut headers, &mut parts.payload).await?
            }
        };
        self.add_fields(&mut headers, lane)?;
        if let Entry::Vacant(vacant) = headers.entry(HOST) {
            vacant.insert(field_value(self.parts.url.authority())?);
        }
        let parts = &*self.parts;
        let (body, upload) = SendBody::new(body, parts.asks_first, parts.progress.as_ref());
        if body.is_end_stream() && wants_a_length(&parts.method) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let unsendable = |error: http::uri::InvalidUri| FetchError::Request(error.to_string());
        let uri = lane.client.connector().target(&parts.url);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri.map_err(unsendable)?;
        *request.headers_mut() = headers;
        if let Some(upload) = upload.as_ref().filter(|upload| upload.is_gated()) {
            let asked = upload.clone();
            hyper::ext::on_informational(&mut request, move |answer| {
                if answer.status() == StatusCode::CONTINUE {
                    asked.open();
                }
            });
        }
        Ok((request, upload))
    }

    /// The fields that depend on what is known of the server.
    fn add_fields(&mut self, headers: &mut HeaderMap, lane: &Lane) -> Result<(), FetchError> {
        let parts = &*self.parts;
        let shared = &self.fetch.shared;
        // A part of an encoded answer could not be decoded.
        if parts.decodes && !headers.contains_key(RANGE) && !headers.contains_key(ACCEPT_ENCODING) {
            let value = HeaderValue::from_static(decode::ACCEPT_ENCODING);
            headers.insert(ACCEPT_ENCODING, value);
        }
        if parts.asks_first && !parts.payload.is_empty() {
            headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        if let Some(mut jar) = shared.cookies()
            && let Some(field) = jar.cookies_for(&parts.url, self.wall())
        {
            let mut value = field_value(&field)?;
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        if let Some(login) = &parts.login
            && !headers.contains_key(AUTHORIZATION)
            && let Some(answerer) = shared.logins().find(&parts.url.origin(), login)
        {
            let random = random_text()?;
            let target = parts.url.target();
            let field = answerer.authorization(parts.method.as_str(), &target, &random);
            let mut value = field_value(&field)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let login = lane.client.connector().forwarding_login(&parts.url);
        if let Some(field) = login.map_err(|error| FetchError::Connect(Arc::new(error)))? {
            let mut value = field_value(&field)?;
            value.set_sensitive(true);
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        Ok(())
    }

    /// The answer when it is the result; none when the request is to be sent again.
    async fn judge(&mut self, mut answer: Answer) -> Result<Option<Answer>, FetchError> {
        self.take_cookies(&answer);
        let status = answer.status();
        if status.is_success() {
            if self.parts.login.is_some() {
                self.take_login_info(&answer);
            }
            self.fetch.shared.budget().give_back();
            return Ok(Some(answer));
        }
        if status == StatusCode::UNAUTHORIZED && self.answer_challenge(&answer)? {
            answer.drain().await;
            return Ok(None);
        }
        if self.parts.signing.is_some() && self.correct_clock(&mut answer).await? {
            return Ok(None);
        }
        if status.is_redirection() {
            return self.follow(answer).await;
        }
        let retry_after = answer.header(RETRY_AFTER.as_str()).map(str::to_owned);
        let failure = Failure::Status(status.as_u16(), retry_after.as_deref());
        match self.retry_at(failure) {
            Some(at) => {
                answer.drain().await;
                self.pause_to(at).await;
                Ok(None)
            }
            None => Ok(Some(answer)),
        }
    }

    fn take_cookies(&self, answer: &Answer) {
        if !answer.headers.contains_key(SET_COOKIE) {
            return;
        }
        let Some(mut jar) = self.fetch.shared.cookies() else {
            return;
        };
        let at = self.wall();
        for field in answer.headers.get_all(SET_COOKIE) {
            if let Ok(field) = field.to_str() {
                jar.handle_set_cookie(&answer.url, field, at);
            }
        }
    }

    fn take_login_info(&self, answer: &Answer) {
        let Some((login, field)) = self
            .parts
            .login
            .as_ref()
            .zip(answer.header("authentication-info"))
        else {
            return;
        };
        let mut logins = self.fetch.shared.logins();
        let known = logins.find(&answer.url.origin(), login);
        if let Some(Answerer::Digest(digest)) = known {
            digest.handle_info(field);
        }
    }

    /// Whether the request can be sent again with the answer to a challenge.
    fn answer_challenge(&mut self, answer: &Answer) -> Result<bool, FetchError> {
        let parts = &self.parts;
        let Some(login) = &parts.login else {
            return Ok(false);
        };
        let given = parts.headers.contains_key(AUTHORIZATION);
        if given || !parts.payload.is_repeatable() {
            return Ok(false);
        }
        let fields = answer.headers.get_all(WWW_AUTHENTICATE);
        let found = challenges(fields.iter().filter_map(|field| field.to_str().ok()));
        let origin = answer.url.origin();
        let mut logins = self.fetch.shared.logins();
        if let Some(Answerer::Digest(digest)) = logins.find(&origin, login) {
            let mut digests = found.iter().filter(|one| one.scheme == "digest");
            if !self.has_answered && digests.any(|challenge| digest.handle_challenge(challenge)) {
                self.has_answered = true;
                return Ok(true);
            }
        }
        if self.has_answered {
            logins.forget(&origin, login);
            return Ok(false);
        }
        let basic = match !parts.basic_is_refused && may_be_plain(&answer.url) {
            true => BasicUse::Allowed,
            false => BasicUse::Refused,
        };
        let Some(answerer) = choose(&found, login, basic) else {
            if found.iter().any(|challenge| challenge.scheme == "basic")
                && basic == BasicUse::Refused
                && !parts.basic_is_refused
            {
                return Err(FetchError::PlainPassword {
                    host: answer.url.authority().to_owned(),
                });
            }
            return Ok(false);
        };
        logins.keep(origin, login.clone(), answerer);
        drop(logins);
        self.has_answered = true;
        Ok(true)
    }

    /// Whether the request can be sent again with a better time in its signature.
    async fn correct_clock(&mut self, answer: &mut Answer) -> Result<bool, FetchError> {
        let status = answer.status().as_u16();
        if self.is_corrected || !matches!(status, 400 | 401 | 403) {
            return Ok(false);
        }
        let date = answer.header(DATE.as_str()).and_then(parse_date);
        let (Some(date), true) = (date, self.parts.payload.is_repeatable()) else {
            return Ok(false);
        };
        let Some(body) = answer.look(limits::FETCH_DRAIN_BYTES_MAX).await? else {
            return Ok(false);
        };
        let error_type = answer.header("x-amzn-errortype");
        if !signing::is_about_time(status, error_type, &body) {
            return Ok(false);
        }
        let received = self.fetch.shared.clock().uncorrected().wall;
        let received = received.unwrap_or(self.sent);
        self.fetch
            .shared
            .offset()
            .handle_date(date, self.sent, received);
        self.is_corrected = true;
        Ok(true)
    }

    async fn follow(&mut self, answer: Answer) -> Result<Option<Answer>, FetchError> {
        let parts = &self.parts;
        let hop = Hop {
            url: &parts.url,
            method: parts.method.as_str(),
            body_repeatable: parts.payload.is_repeatable(),
            hops: self.hops,
        };
        let location = answer.header(LOCATION.as_str());
        let follow = parts
            .redirects
            .follow(hop, answer.status().as_u16(), location);
        let refused = |source| FetchError::Redirect {
            host: parts.url.authority().to_owned(),
            source: Box::new(source),
        };
        let Follow::To(next) = follow.map_err(refused)? else {
            return Ok(Some(answer));
        };
        answer.drain().await;
        self.go_to(next)?;
        Ok(None)
    }

    fn go_to(&mut self, next: NextHop) -> Result<(), FetchError> {
        self.resign(&next)?;
        let parts = &mut *self.parts;
        self.hops += 1;
        if !next.credentials {
            remove(&mut parts.headers, is_credential);
            // A stranger's question is not answered.
            parts.login = None;
        }
        let unreadable = |_| FetchError::Request(format!("{:?} is no method", next.method));
        let method = Method::from_bytes(next.method.as_bytes()).map_err(unreadable)?;
        // What GET carries, if anything, goes along when it stays GET.
        if !next.body && parts.method != method {
            remove(&mut parts.headers, is_about_body);
            parts.payload = Payload::empty();
        }
        parts.method = method;
        parts.url = Arc::new(next.url);
        self.has_answered = false;
        Ok(())
    }

    /// Whether and how the next hop is signed.
    fn resign(&mut self, next: &NextHop) -> Result<(), FetchError> {
        let parts = &mut *self.parts;
        let Some(signing) = &mut parts.signing else {
            return Ok(());
        };
        let region = signing::region(signing, &parts.url, &self.fetch.shared)?;
        let signer = Signer::new(region, signing.service.as_str());
        let hop = redirect(&signer, &parts.url, &next.url).map_err(|source| {
            FetchError::SignedRedirect {
                host: parts.url.authority().to_owned(),
                source,
            }
        })?;
        match hop {
            SignedHop::Resign { region } => signing.region = Some(region),
            SignedHop::Presigned => parts.signing = None,
        }
        Ok(())
    }

    /// Whether the request is sent again at once, when a kept connection had ended before it.
    fn may_go_again(&self, unsent: bool) -> bool {
        let goes = repeatable(&self.parts).may_go_again(unsent);
        if goes {
            let host = self.parts.url.authority();
            tracing::debug!(
                host,
                "a kept connection had ended, a request takes a new one"
            );
        }
        goes
    }

    /// When the request may be sent once more.
    fn retry_at(&mut self, failure: Failure<'_>) -> Option<Mono> {
        let now = self.fetch.shared.clock().now();
        let parts = &self.parts;
        let left = match parts.deadlines.total {
            Some(total) => total.saturating_sub(self.began.elapsed()),
            None => limits::FETCH_RETRY_AFTER_MAX * 2,
        };
        let request = repeatable(parts);
        let random = entropy::chance();
        let mut budget = self.fetch.shared.budget();
        let times = (now.mono, now.mono + left);
        self.retries
            .next(request, failure, &mut budget, times, now.wall, random)
    }

    /// The pause before the request is sent once more.
    fn pause_to(&self, at: Mono) -> Sleep {
        tracing::debug!(host = self.parts.url.authority(), "a request is sent again");
        sleep(at.since(self.fetch.shared.clock().mono()))
    }

    fn wall(&self) -> UnixMillis {
        let now = self.fetch.shared.clock().now();
        now.wall.unwrap_or(UnixMillis(0))
    }
}

fn repeatable(parts: &Parts) -> Repeatable<'_> {
    Repeatable {
        method: parts.method.as_str(),
        declared_safe: parts.repeatable,
        body: parts.payload.is_repeatable(),
    }
}

/// An answer that has begun, and the connection that brings it.
type Head = Result<(Response<Incoming>, Lease<SendBody>), SendError>;

/// Waits for the head of the answer while the body is on its way.
async fn long_head(
    deadlines: Deadlines,
    mut head: Pin<Box<impl Future<Output = Head>>>,
    upload: &Arc<Upload>,
    host: &str,
) -> Result<(Response<Incoming>, Lease<SendBody>), FetchError> {
    // Whatever ends the wait ends the upload.
    let abandon = Abandon::new(upload.clone());
    if upload.is_gated() {
        match timeout(limits::FETCH_CONTINUE_WAIT_MAX, &mut head).await {
            Ok(head) => return answered(head, abandon, host, (upload, deadlines)),
            // Old servers do not know the question.
            Err(_) => upload.open(),
        }
    }
    loop {
        let (bytes, done) = (upload.bytes(), upload.is_done());
        let step = match done {
            true => deadlines.first_byte,
            false => deadlines.rate.map_or(deadlines.between_bytes, |rate| {
                rate.over.min(deadlines.between_bytes)
            }),
        };
        match timeout(step, &mut head).await {
            Ok(head) => return answered(head, abandon, host, (upload, deadlines)),
            Err(_) if done => return Err(FetchError::too_slow(host, Phase::Waiting, step)),
            Err(_) => {}
        }
        let went = upload.bytes() - bytes;
        if went == 0 && !upload.is_done() && deadlines.rate.is_none() {
            return Err(FetchError::too_slow(host, Phase::Sending, step));
        }
        if let Some(rate) = deadlines.rate
            && went < rate.bytes_over()
            && !upload.is_done()
        {
            return Err(FetchError::RateTooLow {
                host: host.to_owned(),
                phase: Phase::Sending,
                bytes_per_second_min: rate.bytes_per_second,
            });
        }
    }
}

fn answered(
    head: Head,
    abandon: Abandon,
    host: &str,
    (upload, deadlines): (&Upload, Deadlines),
) -> Result<(Response<Incoming>, Lease<SendBody>), FetchError> {
    let phase = match upload.is_done() {
        true => Phase::Waiting,
        false => Phase::Sending,
    };
    let head =
        head.map_err(|error| FetchError::of_send(host, phase, deadlines.first_byte, error))?;
    // The upload may go on: now the answer watches it.
    abandon.keep();
    Ok(head)
}

fn decoders(headers: &HeaderMap, host: &str) -> Result<Option<Box<Decoders>>, FetchError> {
    if !headers.contains_key(CONTENT_ENCODING) {
        return Ok(None);
    }
    let fields: Vec<&str> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .collect();
    let found = codings(&fields.join(",")).map_err(|source| FetchError::Decode {
        host: host.to_owned(),
        source: source.into(),
    })?;
    let some = !found.is_empty();
    Ok(some.then(|| Box::new(Decoders::new(&found, u64::MAX))))
}

/// RFC 9110, section 8.6: methods that mean something with a body say that there is none.
fn wants_a_length(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Over TLS, and where nobody else can listen.
fn may_be_plain(url: &Url) -> bool {
    let here = match url.host() {
        Host::Name(name) => name == "localhost",
        Host::V4(address) => address.is_loopback(),
        Host::V6(address) => address.is_loopback(),
    };
    here || url.scheme() == Scheme::Https
}

fn remove(headers: &mut HeaderMap, which: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| which(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

fn random_text() -> Result<String, FetchError> {
    let random: [u8; 16] = entropy::bytes().map_err(FetchError::Entropy)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
