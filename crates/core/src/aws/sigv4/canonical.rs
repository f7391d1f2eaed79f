//! The canonical request: the one spelling of a request that both sides hash.

use crate::hex;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;

/// A request as it will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The value of the `host` header, with the port unless it is the default of the scheme.
    pub host: &'a str,
    /// The path as it stands in the request line, percent-encoded; empty means `/`.
    pub path: &'a str,
    /// The query as it stands in the request line, without `?`; empty if there is none.
    pub query: &'a str,
    /// Headers to sign beside `host`. Those that proxies change, and those that the signer itself
    /// sets, are left out, so all headers of the request may be given.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: Payload<'a>,
}

/// What the signature says of the body.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The whole body, to be hashed here.
    Bytes(&'a [u8]),
    /// The SHA-256 of a body that is streamed.
    Hash([u8; 32]),
    /// The body is not signed: S3 over TLS only.
    Unsigned,
    /// The body comes in chunks, each with a signature of its own
    /// ([`ChunkedBody`](super::ChunkedBody)): S3 only.
    SignedChunks,
    /// The same, and signed fields behind it.
    SignedChunksWithTrailer,
    /// The body comes in chunks without signatures, and fields behind it: S3 over TLS only.
    ChunksWithTrailer,
}

/// Headers that are not signed: set by the signer itself, or changed on the way.
const HEADERS_UNSIGNED: [&str; 13] = [
    "authorization",
    "connection",
    "expect",
    "host",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amzn-trace-id",
];

/// The canonical request and the list of headers it covers.
pub(super) struct Canonical {
    pub(super) text: String,
    pub(super) signed_headers: String,
}

impl Canonical {
    pub(super) fn new(
        request: &Request<'_>,
        query_addition: &str,
        own_headers: &[(&'static str, String)],
        plain_path: bool,
    ) -> Canonical {
        let headers = canonical_headers(request, own_headers);
        let signed_headers = joined_names(&headers);
        let mut text = format!(
            "{}\n{}\n{}\n",
            request.method,
            canonical_path(request.path, plain_path),
            canonical_query(request.query, query_addition),
        );
        for (name, value) in &headers {
            push_all(&mut text, [name, ":", value, "\n"]);
        }
        let payload = own_headers
            .iter()
            .find(|(name, _)| *name == "x-amz-content-sha256")
            .map_or_else(
                || Cow::Owned(request.payload.hash()),
                |(_, hash)| Cow::Borrowed(hash),
            );
        push_all(&mut text, ["\n", &signed_headers, "\n", &payload]);
        Canonical {
            text,
            signed_headers,
        }
    }

    /// The names of the headers that will be signed, for a query that has to state them.
    pub(super) fn signed_headers(
        request: &Request<'_>,
        own_headers: &[(&'static str, String)],
    ) -> String {
        joined_names(&canonical_headers(request, own_headers))
    }
}

/// The SHA-256 of some bytes in small hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, as AWS wants it in the
/// parts of paths and queries.
pub fn encode_uri(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode_into(text.as_bytes(), b"", &mut out);
    out
}

/// Names in small letters, sorted; values trimmed and, where a name repeats, joined by commas.
fn canonical_headers(
    request: &Request<'_>,
    own_headers: &[(&'static str, String)],
) -> Vec<(String, String)> {
    let given = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), *value))
        .filter(|(name, _)| !HEADERS_UNSIGNED.contains(&name.as_str()));
    let own = own_headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str()));
    let mut sorted: Vec<(String, &str)> = given
        .chain(own)
        .chain([("host".to_owned(), request.host)])
        .collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0));

    let mut joined: Vec<(String, String)> = Vec::with_capacity(sorted.len());
    for (name, value) in sorted {
        match joined.last_mut() {
            Some((last, values)) if *last == name => {
                values.push(',');
                push_collapsed(values, value);
            }
            _ => {
                let mut collapsed = String::with_capacity(value.len());
                push_collapsed(&mut collapsed, value);
                joined.push((name, collapsed));
            }
        }
    }
    joined
}

fn joined_names(headers: &[(String, String)]) -> String {
    let mut names = String::new();
    for (name, _) in headers {
        let separator = if names.is_empty() { "" } else { ";" };
        push_all(&mut names, [separator, name]);
    }
    names
}

/// Appends a header value without the white space around it and with single spaces inside.
fn push_collapsed(out: &mut String, value: &str) {
    let mut space = false;
    for character in value.trim_ascii().chars() {
        if character != ' ' || !space {
            out.push(character);
        }
        space = character == ' ';
    }
}

fn canonical_path(path: &str, plain: bool) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    if plain {
        // What stands encoded in the request line stays, and the rest is encoded as it should be.
        encode_into(path.as_bytes(), b"/%", &mut out);
    } else {
        // Everybody else encodes what stands in the request line once more.
        encode_into(normalized(path).as_bytes(), b"/", &mut out);
    }
    if !out.starts_with('/') {
        out.insert(0, '/');
    }
    out
}

/// The path without empty and dot segments (RFC 3986, section 5.2.4).
fn normalized(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &segments {
        push_all(&mut out, ["/", segment]);
    }
    let directory = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if directory || segments.is_empty() {
        out.push('/');
    }
    Cow::Owned(out)
}

/// The parameters in their strictest spelling, sorted by it.
fn canonical_query(query: &str, addition: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .chain(addition.split('&'))
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recoded(name), recoded(value))
        })
        .collect();
    pairs.sort();
    let mut out = String::with_capacity(query.len() + addition.len() + 16);
    for (name, value) in &pairs {
        let separator = if out.is_empty() { "" } else { "&" };
        push_all(&mut out, [separator, name, "=", value]);
    }
    out
}

/// A name or value of a query in its strictest spelling; a plus sign is a space, as in forms.
fn recoded(text: &str) -> String {
    let spaced = if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        text.into()
    };
    let mut out = String::with_capacity(text.len() + 8);
    encode_into(&decode(&spaced), b"", &mut out);
    out
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(text).into()
}

fn encode_into(bytes: &[u8], kept: &[u8], out: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || kept.contains(byte)
        {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
}

fn push_all<const N: usize>(out: &mut String, parts: [&str; N]) {
    for part in parts {
        out.push_str(part);
    }
}
