//! One exchange: attempts, redirects, passwords and signatures, until there is an answer.

use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, DATE, EXPECT, Entry,
    HOST, HeaderName, HeaderValue, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE,
    RETRY_AFTER, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use periwinkle_core::aws::sigv4::{SignedHop, Signer, redirect};
use periwinkle_core::fetch::auth::Asked;
use periwinkle_core::fetch::decode::{self, Coding, DecodeError, codings, transfer_codings};
use periwinkle_core::fetch::redirect::{Follow, Hop, NextHop, is_about_body, is_harmless};
use periwinkle_core::fetch::retry::{Failure, Repeatable, Retries};
use periwinkle_core::fetch::{Url, parse_date};
use periwinkle_core::limits;
use periwinkle_core::time::{Mono, UnixMillis};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use super::answer::Answer;
use super::client::{Fetch, Lane};
use super::decode::Decoders;
use super::error::{FetchError, Phase};
use super::leaving::long_head;
use super::logins;
use super::payload::Payload;
use super::receiving::{Receiving, Watch};
use super::request::{Parts, field_value};
use super::sending::{SendBody, Upload};
use super::signing::{self, Unsigned};
use crate::net::entropy;
use crate::net::pool::{Choice, Lease, Within};

/// One exchange under way.
pub(super) struct Exchange {
    fetch: Fetch,
    parts: Box<Parts>,
    began: Instant,
    hops: u32,
    retries: Retries,
    /// Whether the server has asked for a password, and the proxy before it.
    asked: Asked,
    proxy_asked: Asked,
    /// Whether our clock was corrected for the signature.
    is_corrected: bool,
    /// Whether the next attempt is made on a new connection, because a kept one had ended.
    needs_new_connection: bool,
    /// Whether the last attempt kept its body back until the server asked for it.
    kept_back: bool,
    /// Whether the server refuses to be waited for.
    waits_for_nobody: bool,
    /// When the last attempt began, by the clock of signatures.
    sent: UnixMillis,
}

impl Exchange {
    pub(super) fn new(fetch: Fetch, parts: Box<Parts>) -> Exchange {
        Exchange {
            fetch,
            began: parts.began.unwrap_or_else(Instant::now),
            hops: 0,
            retries: Retries::new(parts.retries_max),
            asked: Asked::NEVER,
            proxy_asked: Asked::NEVER,
            is_corrected: false,
            needs_new_connection: false,
            kept_back: false,
            waits_for_nobody: false,
            sent: UnixMillis(0),
            parts,
        }
    }

    pub(super) async fn run(mut self) -> Result<Answer, FetchError> {
        let Some(total) = self.parts.deadlines.total else {
            return self.steps().await;
        };
        let url = self.parts.url.clone();
        let too_slow = |_| FetchError::too_slow(url.authority(), Phase::Total, total);
        let end = self.began + total;
        timeout_at(end, self.steps()).await.map_err(too_slow)?
    }

    async fn steps(&mut self) -> Result<Answer, FetchError> {
        loop {
            match self.attempt().await {
                Ok(answer) if answer.is_success() => {
                    self.take_success(&answer)?;
                    return Ok(answer);
                }
                // In a box, what happens seldom is no part of each request.
                Ok(answer) => {
                    if let Some(answer) = Box::pin(self.judge(answer)).await? {
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
                    way: None,
                };
                let head = lane.client.send(&url, choice, request, within).await;
                let host = url.authority();
                head.map_err(|error| FetchError::of_send(host, Phase::Waiting, after, error))?
            }
            Some(upload) => {
                let within = Within {
                    connect: deadlines.connect,
                    end: None,
                    way: Some(&upload.way),
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
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(FetchError::Protocol {
                host: url.authority().to_owned(),
                reason: "it switches to another protocol, which nobody asked for".to_owned(),
            });
        }
        // Only what has no length can be encoded for its way.
        let travels = body.size_hint().exact().is_none();
        let found = encodings(&head.headers, decodes, travels);
        let found = found.map_err(|source| FetchError::Decode {
            host: url.authority().to_owned(),
            source: source.into(),
        })?;
        let some = !found.is_empty();
        let decoders = some.then(|| Box::new(Decoders::new(&found, u64::MAX)));
        let deadlines = &self.parts.deadlines;
        let total = deadlines.total.map(|total| (self.began + total, total));
        let watch = Watch::new(deadlines.between_bytes, total, deadlines.rate);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: Box::new(Receiving::new(
                body,
                lease,
                decoders,
                watch,
                url.clone(),
                upload,
            )),
            url,
            began: self.began,
            bytes_max: self.parts.answer_bytes_max,
        })
    }

    async fn request(
        &mut self,
        lane: &Lane,
    ) -> Result<(Request<SendBody>, Option<Arc<Upload>>), FetchError> {
        self.kept_back = self.keeps_back(lane);
        let keeps_back = self.kept_back;
        let parts = &mut *self.parts;
        let mut headers = copied(&parts.headers);
        let body = match &parts.signing {
            None if keeps_back => {
                let opened = parts.payload.open_when_asked().await;
                opened.map_err(FetchError::Body)?
            }
            None => parts.payload.open().await.map_err(FetchError::Body)?,
            Some(signing) => {
                let shared = self.fetch.shared.clone();
                self.sent = shared.clock().uncorrected().wall.unwrap_or(UnixMillis(0));
                let unsigned = Unsigned {
                    shared: &shared,
                    signing,
                    method: &parts.method,
                    url: &parts.url,
                };
                Box::pin(unsigned.sign(&mut headers, &mut parts.payload)).await?
            }
        };
        self.add_fields(&mut headers, lane)?;
        if let Entry::Vacant(vacant) = headers.entry(HOST) {
            vacant.insert(field_value(self.parts.url.authority())?);
        }
        let parts = &*self.parts;
        let (body, upload) = SendBody::new(body, keeps_back, parts.progress.as_ref());
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
        if self.kept_back {
            headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        if let Some(mut jar) = shared.cookies()
            && !headers.contains_key(COOKIE)
            && let Some(field) = jar.cookies_for(&parts.url, self.wall())
        {
            let mut value = field_value(&field)?;
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        if parts.login.is_some()
            && !headers.contains_key(AUTHORIZATION)
            && let Some(value) = logins::authorization(shared, parts)?
        {
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(forwarder) = lane.client.connector().forwarder(&parts.url)
            && !headers.contains_key(PROXY_AUTHORIZATION)
        {
            let field = forwarder.authorization(parts.method.as_str());
            if let Some(field) = field.map_err(|error| FetchError::Connect(Arc::new(error)))? {
                let mut value = field_value(&field)?;
                value.set_sensitive(true);
                headers.insert(PROXY_AUTHORIZATION, value);
            }
        }
        Ok(())
    }

    /// Whether the body waits until the server asks for it: when the request says so, and when the
    /// body is read once and would be lost to a question for the password.
    fn keeps_back(&self, lane: &Lane) -> bool {
        let parts = &*self.parts;
        if self.waits_for_nobody || parts.payload.is_empty() {
            return false;
        }
        parts.asks_first || (parts.payload.is_read_once() && self.may_be_asked(lane))
    }

    /// Whether server or proxy may ask for a password that is at hand.
    fn may_be_asked(&self, lane: &Lane) -> bool {
        let parts = &*self.parts;
        let by_server = !parts.headers.contains_key(AUTHORIZATION)
            && logins::may_be_asked(&self.fetch.shared, parts);
        let forwarder = lane.client.connector().forwarder(&parts.url);
        let by_proxy = !parts.headers.contains_key(PROXY_AUTHORIZATION)
            && forwarder.is_some_and(|forwarder| forwarder.may_ask());
        by_server || by_proxy
    }

    /// What an answer of success tells for later requests.
    fn take_success(&self, answer: &Answer) -> Result<(), FetchError> {
        self.take_cookies(answer);
        self.take_login_info(answer)?;
        self.fetch.shared.budget().give_back();
        Ok(())
    }

    /// Another answer when it is the result; none when the request is to be sent again.
    async fn judge(&mut self, mut answer: Answer) -> Result<Option<Answer>, FetchError> {
        self.take_cookies(&answer);
        let status = answer.status();
        let is_answered = match status {
            StatusCode::UNAUTHORIZED => self.answer_server(&answer)?,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => self.answer_proxy(&answer)?,
            StatusCode::EXPECTATION_FAILED => self.give_up_waiting(),
            _ => false,
        };
        if is_answered {
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

    fn take_login_info(&self, answer: &Answer) -> Result<(), FetchError> {
        if let Some(login) = &self.parts.login
            && let Some(field) = answer.header("authentication-info")
        {
            let origin = answer.url.origin();
            self.fetch
                .shared
                .logins()
                .handle_info(&origin, login, field);
        }
        let lane = self.fetch.lane(self.parts.accepts_any_certificate)?;
        if let Some(forwarder) = lane.client.connector().forwarder(&answer.url)
            && let Some(field) = answer.header("proxy-authentication-info")
        {
            forwarder.handle_info(field);
        }
        Ok(())
    }

    /// Whether the request can be sent again with the answer to the server's challenge.
    fn answer_server(&mut self, answer: &Answer) -> Result<bool, FetchError> {
        let parts = &self.parts;
        if parts.headers.contains_key(AUTHORIZATION) || !parts.payload.is_repeatable() {
            return Ok(false);
        }
        let asked = self.asked.count();
        logins::answer_challenges(&self.fetch.shared, parts, &answer.headers, asked)
    }

    /// The same for the challenge of a proxy that takes the request itself.
    fn answer_proxy(&mut self, answer: &Answer) -> Result<bool, FetchError> {
        let parts = &self.parts;
        let lane = self.fetch.lane(parts.accepts_any_certificate)?;
        let Some(forwarder) = lane.client.connector().forwarder(&answer.url) else {
            return Ok(false);
        };
        if parts.headers.contains_key(PROXY_AUTHORIZATION) {
            return Ok(false);
        }
        let fields = answer.headers.get_all(PROXY_AUTHENTICATE);
        let fields = fields.iter().filter_map(|field| field.to_str().ok());
        let asked = self.proxy_asked.count();
        let worth = forwarder.handle_challenges(fields, asked);
        let worth = worth.map_err(|error| FetchError::Connect(Arc::new(error)))?;
        // What can be sent only once has failed; the next request knows what is asked for.
        Ok(worth && parts.payload.is_repeatable())
    }

    /// Whether the request can be sent again without the question whether its body is wanted, which
    /// not everybody on the way understands (RFC 9110, section 10.1.1).
    fn give_up_waiting(&mut self) -> bool {
        let was_kept_back = std::mem::take(&mut self.kept_back);
        self.waits_for_nobody = true;
        was_kept_back && self.parts.payload.is_repeatable()
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
        let location = answer.headers.get(LOCATION).map(encoded);
        let follow = parts
            .redirects
            .follow(hop, answer.status().as_u16(), location.as_deref());
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
        let is_signed_again = self.resign(&next)?;
        let parts = &mut *self.parts;
        self.hops += 1;
        if !next.same_origin {
            let named = &parts.fields_for_all;
            remove(&mut parts.headers, |name| {
                // They are of AWS's own, which the other host belongs to, too.
                let of_service = is_signed_again && is_of_aws(name);
                !is_harmless(name) && !of_service && named.iter().all(|named| named != name)
            });
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
        self.asked = Asked::NEVER;
        self.proxy_asked = Asked::NEVER;
        Ok(())
    }

    /// Whether the next hop is signed, and how.
    fn resign(&mut self, next: &NextHop) -> Result<bool, FetchError> {
        let parts = &mut *self.parts;
        let Some(signing) = &mut parts.signing else {
            return Ok(false);
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
            SignedHop::Resign { region } => {
                signing.region = Some(region);
                Ok(true)
            }
            SignedHop::Presigned => {
                parts.signing = None;
                Ok(false)
            }
        }
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

/// The fields of an attempt, with room for those that it adds.
fn copied(headers: &HeaderMap) -> HeaderMap {
    /// `Accept-Encoding`, `Host` and few more.
    const ADDED: usize = 4;
    let mut copy = HeaderMap::with_capacity(headers.len() + ADDED);
    copy.extend(
        headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    copy
}

fn repeatable(parts: &Parts) -> Repeatable<'_> {
    Repeatable {
        method: parts.method.as_str(),
        declared_safe: parts.repeatable,
        body: parts.payload.is_repeatable(),
    }
}

/// What is undone of an answer, first that of its way, if it has any, and that of itself where that
/// is wanted.
fn encodings(
    headers: &HeaderMap,
    decodes: bool,
    travels: bool,
) -> Result<Vec<Coding>, DecodeError> {
    let mut found = Vec::new();
    if travels && let Some(field) = joined(headers, TRANSFER_ENCODING) {
        found = transfer_codings(&field)?;
    }
    if decodes && let Some(field) = joined(headers, CONTENT_ENCODING) {
        found.append(&mut codings(&field)?);
    }
    Ok(found)
}

/// A field that may stand in several lines.
fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    if !headers.contains_key(&name) {
        return None;
    }
    let lines = headers.get_all(name).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    Some(lines.join(","))
}

/// RFC 9110, section 8.6: methods that mean something with a body say that there is none.
fn wants_a_length(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// An address as some servers write it, with letters that belong encoded (RFC 3987, section 3.1).
fn encoded(address: &HeaderValue) -> String {
    let mut text = String::new();
    for byte in address.as_bytes() {
        match byte.is_ascii() {
            true => text.push(char::from(*byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// A field of AWS's own that says what is wanted.
fn is_of_aws(name: &str) -> bool {
    name.starts_with("x-amz-") && name != "x-amz-security-token"
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
