//! The pure half of the HTTP client: addresses, policies and formats. The agent's `fetch` owns the
//! connections.

mod url;

pub use url::{Host, Origin, Scheme, Url, UrlError};
