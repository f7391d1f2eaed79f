//! WebSockets to servers, with the client's certificates, proxies, cookies and passwords.

use std::sync::Arc;

use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE};
use periwinkle_core::fetch::auth::Asked;
use periwinkle_core::time::UnixMillis;

use super::client::Fetch;
use super::error::FetchError;
use super::logins;
use super::request::{Parts, RequestBuilder, field_value};
use crate::net::websocket::{Opening, WebSocket, WebSocketError};

impl Fetch {
    /// A request for a WebSocket: `ws://` or `wss://`; see [`RequestBuilder::open`].
    pub fn websocket(&self, url: &str) -> RequestBuilder {
        self.get(url)
    }
}

impl RequestBuilder {
    /// Opens a WebSocket, with the first of these protocols that the server knows.
    ///
    /// # Errors
    /// Why there is none: no connection, or a server that does not open it.
    pub async fn open(self, protocols: &[&str]) -> Result<WebSocket, FetchError> {
        let (fetch, parts) = self.into_parts();
        let mut parts = parts?;
        if !parts.headers.contains_key(COOKIE)
            && let Some(mut jar) = fetch.shared.cookies()
        {
            let wall = fetch.shared.clock().now().wall.unwrap_or(UnixMillis(0));
            if let Some(field) = jar.cookies_for(&parts.url, wall) {
                parts.headers.insert(COOKIE, field_value(&field)?);
            }
        }
        let mut asked = Asked::NEVER;
        loop {
            let refusal = match attempt(&fetch, &parts, protocols).await {
                Err(FetchError::WebSocket(refusal)) => refusal,
                opened => return opened,
            };
            if !is_answered(&fetch, &parts, &refusal, asked.count())? {
                return Err(refusal.into());
            }
        }
    }
}

async fn attempt(
    fetch: &Fetch,
    parts: &Parts,
    protocols: &[&str],
) -> Result<WebSocket, FetchError> {
    let mut headers = parts.headers.clone();
    if !headers.contains_key(AUTHORIZATION)
        && let Some(value) = logins::authorization(&fetch.shared, parts)?
    {
        headers.insert(AUTHORIZATION, value);
    }
    let lane = fetch.lane(parts.accepts_any_certificate)?;
    let connector = lane.client.connector();
    let link = connector.link(&parts.url, parts.deadlines.connect).await;
    let link = link.map_err(|error| FetchError::Connect(Arc::new(error)))?;
    let opening = Opening {
        headers,
        protocols: protocols.iter().map(|name| (*name).to_owned()).collect(),
        message_bytes_max: parts.message_bytes_max,
        ping_interval: parts.ping_interval,
    };
    let within = parts.deadlines.first_byte;
    Ok(WebSocket::open(link, &parts.url, &opening, within).await?)
}

/// Whether the server asked for a password, and can be told it.
fn is_answered(
    fetch: &Fetch,
    parts: &Parts,
    refusal: &WebSocketError,
    asked: Asked,
) -> Result<bool, FetchError> {
    match refusal {
        WebSocketError::Refused {
            status: StatusCode::UNAUTHORIZED,
            headers,
            ..
        } if !parts.headers.contains_key(AUTHORIZATION) => {
            logins::answer_challenges(&fetch.shared, parts, headers, asked)
        }
        _ => Ok(false),
    }
}
