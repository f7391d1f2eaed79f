//! WebSockets to servers, with the client's certificates, proxies and cookies.

use std::sync::Arc;

use http::header::COOKIE;
use periwinkle_core::time::UnixMillis;

use super::error::FetchError;
use super::request::{RequestBuilder, field_value};
use crate::net::websocket::{Opening, WebSocket};

impl super::Fetch {
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
        if let Some(mut jar) = fetch.shared.cookies() {
            let wall = fetch.shared.clock().now().wall.unwrap_or(UnixMillis(0));
            if let Some(field) = jar.cookies_for(&parts.url, wall) {
                parts.headers.insert(COOKIE, field_value(&field)?);
            }
        }
        let lane = fetch.lane(parts.accepts_any_certificate)?;
        let link = lane.client.connector().link(&parts.url).await;
        let link = link.map_err(|error| FetchError::Connect(Arc::new(error)))?;
        let opening = Opening {
            headers: parts.headers,
            protocols: protocols.iter().map(|name| (*name).to_owned()).collect(),
            message_bytes_max: parts.message_bytes_max,
        };
        let within = parts.deadlines.first_byte;
        Ok(WebSocket::open(link, &parts.url, &opening, within).await?)
    }
}
