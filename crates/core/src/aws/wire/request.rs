//! Requests and answers, without a connection.

use crate::aws::checksum::Algorithm;
use crate::aws::sigv4::{ChunkedForm, Payload, Request};

/// A request, relative to an endpoint and without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The path, percent-encoded.
    pub path: String,
    /// The query, percent-encoded and without `?`; empty if there is none.
    pub query: String,
    /// Fields to be sent and signed, names in small letters.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty when it is given apart.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A request without anything further.
    pub fn new(method: &'static str, path: impl Into<String>) -> HttpRequest {
        HttpRequest {
            method,
            path: path.into(),
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// With one more parameter in the query; both are encoded here.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> HttpRequest {
        let separator = if self.query.is_empty() { "" } else { "&" };
        let name = crate::aws::sigv4::encode_uri(name);
        let value = crate::aws::sigv4::encode_uri(value);
        self.query.push_str(&format!("{separator}{name}={value}"));
        self
    }

    /// With one more field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> HttpRequest {
        self.headers.push((name, value.into()));
        self
    }

    /// For a body of `length` bytes in chunks of this form: with the fields that announce it, and
    /// without those that do not hold for it.
    #[must_use]
    pub fn with_chunks(mut self, form: ChunkedForm, length: u64) -> HttpRequest {
        let behind = form.checksum().map(Algorithm::header);
        self.headers
            .retain(|(name, _)| *name != "content-length" && Some(*name) != behind);
        self.headers.extend(form.headers(length));
        self
    }

    /// The value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Gives the request to `sign` as a signer wants it, on its way to a host and a path there.
    pub(in crate::aws) fn signed<T>(
        &self,
        host: &str,
        path: &str,
        payload: Payload<'_>,
        sign: impl FnOnce(&Request<'_>) -> T,
    ) -> T {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        sign(&Request {
            method: self.method,
            host,
            path,
            query: &self.query,
            headers: &headers,
            payload,
        })
    }
}

/// An answer whose body, or the part of it that is of interest here, lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct HttpAnswer<'a> {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

impl HttpAnswer<'_> {
    /// The value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some(found.1)
    }

    /// Whether the request was done.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}
