//! The HTTP client: any web service and any API of AWS, streaming both ways in constant memory.
//!
//! ```no_run
//! # async fn example(agent: periwinkle::Agent) -> Result<(), periwinkle::fetch::FetchError> {
//! let fetch = agent.fetch();
//! let page = fetch.get_text("https://www.example.com").await?;
//!
//! let request = serde_json::json!({"TableName": "devices"});
//! let reply = fetch
//!     .post("https://dynamodb.us-east-1.amazonaws.com/")
//!     .header("x-amz-target", "DynamoDB_20120810.DescribeTable")
//!     .json(&request)
//!     .sigv4("dynamodb")
//!     .send()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `client`, `configured` | [`Fetch`], its options, what its requests share; the section `[fetch]` |
//! | `request` | [`RequestBuilder`] |
//! | `payload`, `multipart`, `file_pieces`, `sending` | bodies of requests, forms with files, files, and their way through hyper |
//! | `exchange` | attempts, redirects, passwords, signatures, until there is an answer |
//! | `leaving` | the wait for an answer while a body is on its way |
//! | `signing`, `logins` | SigV4 on any body; what servers want of those who log in |
//! | `answer`, `receiving`, `decode` | [`Answer`], its body with deadlines, encodings undone |
//! | `events`, `download`, `socket` | streams of events, files, WebSockets, across connections |
//! | `aws` | [`Aws`]: any operation of AWS by its names, typed ones of DynamoDB and STS |
//! | `error` | [`FetchError`] |

mod answer;
mod aws;
mod client;
mod configured;
mod decode;
mod download;
mod error;
mod events;
mod exchange;
mod file_pieces;
mod leaving;
mod logins;
mod multipart;
mod part;
mod payload;
mod progress;
mod receiving;
mod request;
mod sending;
mod signing;
mod socket;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_aws;
#[cfg(test)]
mod tests_deadlines;
#[cfg(test)]
mod tests_kept;
#[cfg(test)]
mod tests_logins;
#[cfg(test)]
mod tests_long;
#[cfg(test)]
mod tests_odd;
#[cfg(test)]
mod tests_slow;
#[cfg(test)]
mod tests_sockets;
#[cfg(test)]
mod tests_uploads;

pub use answer::{Answer, BodyStream};
pub use aws::{Aws, AwsError, Pages, QueryPages};
pub use client::{CredentialsSource, Fetch, FetchOptions};
pub use download::{Download, Downloaded};
pub use error::{DecodeFailure, FetchError, Phase, SignError};
pub use events::EventStream;
pub use multipart::Form;
pub use payload::{ByteStream, Payload};
pub use progress::Progress;
pub use request::{Deadlines, MinimumRate, RequestBuilder};

pub use crate::net::client_tls::{ClientCertificate, TlsFailure, Trust};
pub use crate::net::dial::{Cause, DialError, Patience};
pub use crate::net::websocket::{Opening, WebSocket, WebSocketError};
pub use crate::net::websocket_messages::{Goodbye, Message};
pub use periwinkle_core::fetch::cookie::Domains;
pub use periwinkle_core::fetch::proxy::{Bypass, Proxy, ProxyRules};
pub use periwinkle_core::fetch::sse::Event;
pub use periwinkle_core::fetch::{Url, UrlError};
