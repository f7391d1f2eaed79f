//! The pure half of the HTTP client: addresses, policies and formats. The agent's `fetch` owns the
//! connections.

//! | module | what it is | source |
//! |---|---|---|
//! | [`Url`] | addresses and relative references | RFC 3986 |
//! | [`redirect`] | what follows a redirect, and what must not go along | RFC 9110, 15.4 |
//! | [`retry`] | whether a request is sent once more, and when | RFC 9110, 9.2.2 and 10.2.3 |
//! | [`proxy`] | which proxy stands before a server | curl's rules |
//! | [`cookie`] | a bounded jar | RFC 6265 |
//! | [`auth`] | Basic and Digest | RFC 7616, RFC 7617 |
//! | [`form`] | forms with files, streamed | RFC 7578 |
//! | [`decode`] | encodings of answers, and how far they may grow | RFC 9110, 8.4 |
//! | [`sse`] | event streams | HTML standard |
//! | [`range`] | downloads that go on where they were cut | RFC 9110, 14 |
//! | [`item`] | items of the command line | HTTPie's manner |

pub mod auth;
pub mod cookie;
mod date;
pub mod decode;
pub mod form;
pub mod item;
pub mod proxy;
pub mod range;
pub mod redirect;
pub mod retry;
pub mod sse;
mod url;

pub use date::parse_date;
pub use url::{Host, Origin, Scheme, Url, UrlError};
