//! The web console's bundle, embedded by the build.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

struct Asset {
    path: &'static str,
    body: &'static [u8],
    gzip: Option<&'static [u8]>,
    tag: &'static str,
}

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/console_assets.rs"));

/// The page that every path of the console shows; the page itself tells them apart.
const INDEX: &str = "/index.html";

/// The paths that the page shows a view for.
const VIEWS: [&str; 4] = ["/data", "/replication", "/users", "/account"];

/// The console's answer for a path, or `None` when the path is not the console's.
pub fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let asset = find(path)?;
    if method != Method::GET && method != Method::HEAD {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    Some(asset.answer(method, headers))
}

fn find(path: &str) -> Option<&'static Asset> {
    let is_view = |view: &&str| path.strip_prefix(*view).is_some_and(below);
    let path = if path == "/" || VIEWS.iter().any(is_view) {
        INDEX
    } else {
        path
    };
    let index = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    Some(&ASSETS[index])
}

fn below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

impl Asset {
    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response {
        let gzip = self.gzip.filter(|_| accepts_gzip(headers));
        // Each representation has an entity tag of its own (RFC 9110, 8.8.3.3).
        let tag = format!(
            "\"{}{}\"",
            self.tag,
            if gzip.is_some() { "-gzip" } else { "" }
        );
        let mut response = Response::new(Body::empty());
        let fields = response.headers_mut();
        let field = |text: &str| HeaderValue::from_str(text).expect("it is ours and ASCII");
        fields.insert(ETAG, field(&tag));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache()));
        if self.gzip.is_some() {
            fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if matches(headers, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        if gzip.is_some() {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let body = gzip.unwrap_or(self.body);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.mime()));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if method == Method::GET {
            *response.body_mut() = Body::from(Bytes::from_static(body));
        }
        response
    }

    /// The page is asked for anew each time; what it names carries its content in its name.
    fn cache(&self) -> &'static str {
        if self.path.starts_with("/assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        }
    }

    fn mime(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("json" | "webmanifest") => "application/json",
            Some("txt") => "text/plain; charset=utf-8",
            Some("png") => "image/png",
            Some("ico") => "image/x-icon",
            _ => "application/octet-stream",
        }
    }
}

/// Whether the client takes gzip: named or by `*`, and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let fields = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|field| field.to_str().ok());
    let mut star = false;
    for coding in fields.flat_map(|field| field.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight
            .trim()
            .trim_start_matches("q=")
            .parse()
            .unwrap_or(0.0_f32);
        match name.trim() {
            "gzip" => return weight > 0.0,
            "*" => star = weight > 0.0,
            _ => {}
        }
    }
    star
}

fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let fields = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|field| field.to_str().ok());
    fields
        .flat_map(|field| field.split(','))
        .map(|item| item.trim().trim_start_matches("W/"))
        .any(|item| item == "*" || item == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, fields: &[(http::HeaderName, &str)]) -> Option<Response> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                name,
                HeaderValue::from_str(value).expect("a test's field is valid"),
            );
        }
        answer(&Method::GET, path, &headers)
    }

    #[test]
    fn every_view_of_the_console_answers_with_the_page() {
        for path in [
            "/",
            "/index.html",
            "/data",
            "/data/Setting",
            "/replication",
            "/users",
        ] {
            let response = get(path, &[]).expect("it is the console's");
            assert_eq!(
                response.headers()[CONTENT_TYPE],
                "text/html; charset=utf-8",
                "{path}"
            );
            assert_eq!(response.headers()[CACHE_CONTROL], "no-cache", "{path}");
        }
        for path in ["/database", "/test", "/index.htm", "/assets/none.js"] {
            assert!(get(path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn a_known_page_is_not_sent_again_and_each_coding_has_its_own_tag() {
        let plain = get("/", &[]).expect("the page").headers()[ETAG].clone();
        let packed = get("/", &[(ACCEPT_ENCODING, "gzip")]).expect("the page");
        assert_ne!(packed.headers()[ETAG], plain);
        let again = get("/", &[(IF_NONE_MATCH, plain.to_str().expect("ASCII"))]);
        assert_eq!(again.expect("the page").status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let table = [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("gzip;q=0, *", false),
            ("identity", false),
        ];
        for (field, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(field));
            assert_eq!(accepts_gzip(&headers), expected, "{field}");
        }
    }

    #[test]
    fn other_methods_are_refused_with_the_allowed_ones() {
        let response = answer(&Method::POST, "/", &HeaderMap::new()).expect("the console's");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
