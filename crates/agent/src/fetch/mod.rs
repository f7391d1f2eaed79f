//! The HTTP client: pooled connections, a deadline and a bound for every exchange.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use periwinkle_core::fetch::proxy::ProxyRules;
use periwinkle_core::limits;
use thiserror::Error;

use crate::Agent;
use crate::net::clock::Clock;
use crate::net::outbound::{Connector, HttpClient, http_client};

pub use crate::net::client_tls::{ClientCertificate, ClientTls, TlsFailure, Trust};
pub use crate::net::dial::{Cause, DialError, Patience, Target, Via, dial};
pub use crate::net::link::Link;
pub use crate::net::websocket::{Message, Opening, WebSocket, WebSocketError};

/// Why an exchange failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL or a field cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] http::Error),
    /// No connection, or it was cut before the whole answer was there.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host of the URL.
        host: String,
        /// The causes, outermost first.
        reason: String,
    },
    /// The deadline passed.
    #[error("{host} did not answer within {after:?}")]
    TooSlow {
        /// The host of the URL.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// The answer is longer than the bound.
    #[error("the answer of {host} is longer than {bytes_max} bytes")]
    TooLong {
        /// The host of the URL.
        host: String,
        /// The bound.
        bytes_max: usize,
    },
    /// The server answered, but not with success.
    #[error("{host} answered {status}")]
    Status {
        /// The host of the URL.
        host: String,
        /// What it answered.
        status: StatusCode,
    },
}

/// The HTTP client; clones share the connections.
#[derive(Clone, Debug)]
pub struct Fetch {
    client: HttpClient<Full<Bytes>>,
}

impl Agent {
    /// The HTTP client, with connections of its own; certificates are judged by the agent's clock.
    pub fn fetch(&self) -> Fetch {
        Fetch::new(&self.services.clock)
    }
}

impl Fetch {
    /// A client with connections of its own.
    pub(crate) fn new(clock: &Clock) -> Fetch {
        let tls = ClientTls::builder(clock).build();
        let tls = Arc::new(tls.expect("the embedded roots need no file"));
        let connector = Connector::new(tls, ProxyRules::default(), Patience::default());
        Fetch {
            client: http_client(connector),
        }
    }

    /// The text of a page; anything but success is an error.
    ///
    /// Dropping the future ends the exchange.
    pub async fn get_text(&self, url: &str) -> Result<String, FetchError> {
        let request = Request::get(url).body(Bytes::new())?;
        let host = host_of(&request);
        let answer = self.send(request, limits::FETCH_TOTAL_MAX).await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status {
                host,
                status: answer.status(),
            });
        }
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// Sends a request whose body is in memory and reads the whole answer, within `deadline`.
    ///
    /// Follows no redirect and repeats nothing. Dropping the future ends the exchange; the server
    /// may have acted on it.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, FetchError> {
        let host = host_of(&request);
        let exchange = self.exchange(request, &host);
        match tokio::time::timeout(deadline, exchange).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::TooSlow {
                host,
                after: deadline,
            }),
        }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        host: &str,
    ) -> Result<Response<Bytes>, FetchError> {
        let unreachable = |error: &dyn std::error::Error| FetchError::Unreachable {
            host: host.to_owned(),
            reason: causes(error),
        };
        let request = request.map(Full::new);
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, limits::FETCH_ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => FetchError::TooLong {
                host: host.to_owned(),
                bytes_max: limits::FETCH_ANSWER_BYTES_MAX,
            },
            false => unreachable(error.as_ref()),
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

/// The time that a server says it is, as milliseconds since the epoch.
pub fn server_date(headers: &HeaderMap) -> Option<periwinkle_core::time::UnixMillis> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(periwinkle_core::time::UnixMillis(
        i64::try_from(since.as_millis()).ok()?,
    ))
}

fn host_of(request: &Request<Bytes>) -> String {
    request
        .uri()
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        // Wrappers often repeat what they wrap.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn fetch() -> Fetch {
        Fetch::new(&Clock::new(std::path::Path::new("/nonexistent")))
    }

    async fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has ports");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody connects");
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        url
    }

    #[tokio::test]
    async fn a_page_is_one_line_away() {
        let url = serve("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
        assert_eq!(fetch().get_text(&url).await.expect("it answers"), "hello");
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_is_an_error() {
        let url = serve("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello").await;
        let error = fetch()
            .get_text(&url)
            .await
            .expect_err("five bytes are not fifty");
        assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_from_an_answer() {
        let url = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        let error = fetch()
            .get_text(&url)
            .await
            .expect_err("there is no such page");
        assert!(
            error.to_string().ends_with("answered 404 Not Found"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_closed_port_names_the_host() {
        let error = fetch()
            .get_text("http://127.0.0.1:1/")
            .await
            .expect_err("nobody is there");
        assert!(
            error
                .to_string()
                .starts_with("127.0.0.1:1 cannot be reached: "),
            "{error}"
        );
    }

    #[test]
    fn a_servers_date_is_read_from_its_field() {
        let mut headers = HeaderMap::new();
        assert_eq!(server_date(&headers), None);
        let text = http::HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        headers.insert(http::header::DATE, text);
        assert_eq!(
            server_date(&headers).map(|date| date.0),
            Some(784_111_777_000)
        );
    }
}
