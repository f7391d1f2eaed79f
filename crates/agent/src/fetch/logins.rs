//! The questions for a password that servers ask: of requests, and of WebSockets that open.

use http::HeaderMap;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use periwinkle_core::fetch::auth::{Asked, BasicUse, Reply, challenges};
use periwinkle_core::fetch::{Host, Scheme, Url};

use super::client::Shared;
use super::error::FetchError;
use super::request::{Parts, field_value};
use crate::net::entropy;

/// The value of `Authorization`, when the server is known to ask for one.
pub(super) fn authorization(
    shared: &Shared,
    parts: &Parts,
) -> Result<Option<HeaderValue>, FetchError> {
    let Some(login) = &parts.login else {
        return Ok(None);
    };
    let random = entropy::text().map_err(FetchError::Entropy)?;
    let target = parts.url.target();
    let request = (parts.method.as_str(), target.as_str());
    let origin = parts.url.origin();
    let field = shared
        .logins()
        .authorization(&origin, login, request, &random);
    let Some(field) = field else {
        return Ok(None);
    };
    let mut value = field_value(&field)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Whether the server may ask for the password.
pub(super) fn may_be_asked(shared: &Shared, parts: &Parts) -> bool {
    let asks = |login| shared.logins().may_ask(&parts.url.origin(), login);
    parts.login.as_ref().is_some_and(asks)
}

/// Whether a request that the server refused with these fields can be sent again with the answer
/// to its challenge.
pub(super) fn answer_challenges(
    shared: &Shared,
    parts: &Parts,
    headers: &HeaderMap,
    asked: Asked,
) -> Result<bool, FetchError> {
    let Some(login) = &parts.login else {
        return Ok(false);
    };
    let fields = headers.get_all(WWW_AUTHENTICATE);
    let found = challenges(fields.iter().filter_map(|field| field.to_str().ok()));
    let basic = match !parts.basic_is_refused && may_be_plain(&parts.url) {
        true => BasicUse::Allowed,
        false => BasicUse::Refused,
    };
    let origin = parts.url.origin();
    let reply = shared
        .logins()
        .handle_challenges(&origin, login, &found, asked, basic);
    match reply {
        Reply::Again => Ok(true),
        Reply::PlainPassword if !parts.basic_is_refused => Err(FetchError::PlainPassword {
            host: parts.url.authority().to_owned(),
        }),
        Reply::PlainPassword | Reply::Refused => Ok(false),
    }
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
