//! Addresses, and references relative to them (RFC 3986; RFC 9110, section 4.2).
//!
//! What a person or a server writes becomes what may stand in a request: the scheme and the host in
//! small letters, no default port, spaces and letters beyond ASCII percent-encoded. A host beyond
//! ASCII is refused: its form for the network (`xn--…`) depends on tables as large as the rest of
//! this program, and machines are rarely called so.

use crate::limits;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address of the web: `http` or `https`.
///
/// Names and passwords in addresses are refused (RFC 9110, section 4.2.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    path: String,
    query: Option<String>,
    /// Host and port as they are written, which is asked for often.
    authority: String,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name, in small letters.
    Name(String),
    /// An address of four bytes.
    V4(Ipv4Addr),
    /// An address of sixteen bytes.
    V6(Ipv6Addr),
}

/// Scheme, host and port: who answers (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub host: Host,
    /// The port, the default of the scheme included.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `http://` or `https://`.
    #[error("an address begins with http:// or https://, not {0:?}")]
    Scheme(String),
    /// There is no host, or not one that can be.
    #[error(
        "{0:?} is no host name or address; names beyond ASCII are written as xn--..., and addresses have no zone (%eth0)"
    )]
    Host(String),
    /// The port is no number up to 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// A name or password stands before the host.
    #[error("a name or password in an address is not accepted: give it as credentials")]
    Credentials,
    /// It is too long.
    #[error("an address of {0} bytes; {max} are taken at most", max = limits::URL_BYTES_MAX)]
    TooLong(usize),
    /// A control character, which could end a line of the request.
    #[error("a control character in an address")]
    Control,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn parse(text: &str) -> Result<Scheme, UrlError> {
        if text.eq_ignore_ascii_case("https") {
            Ok(Scheme::Https)
        } else if text.eq_ignore_ascii_case("http") {
            Ok(Scheme::Http)
        } else {
            Err(UrlError::Scheme(text.to_owned()))
        }
    }
}

impl Origin {
    /// Whether it is that of an address.
    pub fn is_of(&self, url: &Url) -> bool {
        self.port == url.port() && self.scheme == url.scheme && self.host == url.host
    }
}

impl Host {
    /// Reads what stands between `//` and the port.
    ///
    /// # Errors
    /// When it is neither a name nor an address.
    pub fn parse(text: &str) -> Result<Host, UrlError> {
        let error = || UrlError::Host(text.to_owned());
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(error)?;
            return inner.parse().map(Host::V6).map_err(|_| error());
        }
        if let Ok(address) = text.parse() {
            return Ok(Host::V4(address));
        }
        let name = text.to_ascii_lowercase();
        if is_host_name(&name) {
            Ok(Host::Name(name))
        } else {
            Err(error())
        }
    }
}

/// Letters, digits, `-` and `_` in labels between dots. A last label of digits only would be an
/// address in one of the spellings that programs understand differently (`0177.1`, `2130706433`).
fn is_host_name(name: &str) -> bool {
    let labels = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(letter)
    };
    let last = labels.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    labels.len() <= limits::HOST_NAME_BYTES_MAX && labels.split('.').all(label) && !number
}

impl Url {
    /// Reads an absolute address; a fragment is cut off, for it never leaves the client.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let text = checked(text)?;
        let (scheme, rest) = split_scheme(text).ok_or_else(|| shortened(text))?;
        let scheme = Scheme::parse(scheme)?;
        let rest = rest.strip_prefix("//").ok_or_else(|| shortened(text))?;
        Url::with_authority(scheme, rest)
    }

    /// The address that a reference means here, as in `Location` (RFC 3986, section 5.2).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn join(&self, reference: &str) -> Result<Url, UrlError> {
        let reference = checked(reference)?;
        if split_scheme(reference).is_some() {
            return Url::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Url::with_authority(self.scheme, rest);
        }
        let (path, query) = split_path(reference);
        let joined = if path.is_empty() {
            self.path.clone()
        } else if path.starts_with('/') {
            without_dots(path)
        } else {
            let folder = self.path.rfind('/').map_or("/", |at| &self.path[..=at]);
            without_dots(&format!("{folder}{path}"))
        };
        let kept = if path.is_empty() {
            self.query.clone()
        } else {
            None
        };
        Ok(Url {
            path: encoded(&joined),
            query: query.map(encoded).or(kept),
            ..self.clone()
        })
    }

    fn with_authority(scheme: Scheme, rest: &str) -> Result<Url, UrlError> {
        let ends = |byte| matches!(byte, b'/' | b'?' | b'#');
        let end = rest.bytes().position(ends).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (written, port) = split_port(authority)?;
        let (path, query) = split_path(rest);
        let path = if path.is_empty() { "/" } else { path };
        let host = Host::parse(written)?;
        let port = port.filter(|port| *port != scheme.default_port());
        Ok(Url {
            authority: shown(&host, written, port),
            scheme,
            host,
            port,
            path: encoded(&without_dots(path)),
            query: query.map(encoded),
        })
    }

    /// How the server is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where the server is.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// The host with the port unless it is the default: the field `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path, which begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands behind `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query: the target in the request line.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Who answers.
    pub fn origin(&self) -> Origin {
        Origin {
            scheme: self.scheme,
            host: self.host.clone(),
            port: self.port(),
        }
    }

    /// The same address with one more parameter; both are encoded here.
    pub fn push_parameter(&mut self, name: &str, value: &str) {
        let query = self.query.get_or_insert_default();
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&crate::aws::sigv4::encode_uri(name));
        query.push('=');
        query.push_str(&crate::aws::sigv4::encode_uri(value));
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => write!(f, "{address}"),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme.name(),
            self.authority(),
            self.target()
        )
    }
}

/// The authority of an address whose host was written so. Four bytes can be written in one way only.
fn shown(host: &Host, written: &str, port: Option<u16>) -> String {
    let mut shown = match host {
        Host::Name(name) => name.clone(),
        Host::V4(_) => written.to_owned(),
        Host::V6(_) => host.to_string(),
    };
    if let Some(port) = port {
        shown.push(':');
        shown.push_str(&port.to_string());
    }
    shown
}

fn checked(text: &str) -> Result<&str, UrlError> {
    let text = text.trim_matches(' ');
    if text.len() > limits::URL_BYTES_MAX {
        return Err(UrlError::TooLong(text.len()));
    }
    let has_control = match text.is_ascii() {
        true => text.bytes().any(|byte| byte.is_ascii_control()),
        false => text.chars().any(char::is_control),
    };
    if has_control {
        return Err(UrlError::Control);
    }
    Ok(text.split('#').next().unwrap_or_default())
}

fn shortened(text: &str) -> UrlError {
    UrlError::Scheme(text.chars().take(40).collect())
}

/// The scheme and what follows its colon (RFC 3986, section 3.1).
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let valid =
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(inner);
    valid.then_some((scheme, rest))
}

/// Host and port; the colons of an address in brackets belong to it.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let host_end = match authority.rfind(']') {
        Some(at) => at + 1,
        None if authority.starts_with('[') => return Err(UrlError::Host(authority.to_owned())),
        None => 0,
    };
    let Some(colon) = authority[host_end..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(host_end + colon);
    let port = &port[1..];
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse().ok().filter(|_| digits);
    number.map_or_else(
        || Err(UrlError::Port(port.to_owned())),
        |number| Ok((host, Some(number))),
    )
}

fn split_path(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// Without the segments `.` and `..` (RFC 3986, section 5.2.4); empty segments stay.
fn without_dots(path: &str) -> String {
    let may_be_dots = |pair: &[u8]| pair[0] == b'/' && matches!(pair[1], b'.' | b'%');
    if !path.as_bytes().windows(2).any(may_be_dots) {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match plain_dots(segment) {
            0 => kept.push(segment),
            dots => {
                if dots == 2 {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
        }
    }
    format!("/{}", kept.join("/"))
}

/// How many dots a segment consists of, when it is one of the special ones; `%2e` is a dot too.
fn plain_dots(segment: &str) -> usize {
    let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
    match decoded.as_str() {
        "." => 1,
        ".." => 2,
        _ => 0,
    }
}

/// Encodes what may not stand in a request line. A `%` that begins no encoding is encoded itself.
fn encoded(text: &str) -> String {
    let bytes = text.as_bytes();
    if bytes
        .iter()
        .all(|byte| *byte != b'%' && stands_for_itself(*byte))
    {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let escape = *byte == b'%' && is_escape(&bytes[at..]);
        if escape || (*byte != b'%' && stands_for_itself(*byte)) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn is_escape(bytes: &[u8]) -> bool {
    bytes.len() > 2 && bytes[1..3].iter().all(u8::is_ascii_hexdigit)
}

fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> String {
        Url::parse(text).unwrap().to_string()
    }

    /// The examples of RFC 3986, section 5.4.
    #[test]
    fn references_mean_what_the_rfc_says() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        let cases = [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://h:8443/x", "https://h:8443/x"),
            ("%2e%2E/g", "http://a/b/g"),
            ("a b", "http://a/b/c/a%20b"),
        ];
        for (reference, expected) in cases {
            assert_eq!(
                base.join(reference).unwrap().to_string(),
                expected,
                "{reference:?}"
            );
        }
    }

    #[test]
    fn an_address_takes_its_plainest_form() {
        let cases = [
            ("HTTP://Example.COM", "http://example.com/"),
            ("http://example.com:80/", "http://example.com/"),
            ("https://example.com:443", "https://example.com/"),
            ("https://example.com:80/", "https://example.com:80/"),
            ("http://example.com:/a", "http://example.com/a"),
            (" http://h/ ", "http://h/"),
            ("http://h?q", "http://h/?q"),
            ("http://h/#f", "http://h/"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("http://h//a///b", "http://h//a///b"),
            ("http://h/ä?ö=|", "http://h/%C3%A4?%C3%B6=%7C"),
            ("http://h/100%", "http://h/100%25"),
            ("http://h/%41%zz", "http://h/%41%25zz"),
            ("http://h_1.local./", "http://h_1.local./"),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        use UrlError::{Control, Credentials, Host, Port, Scheme};
        let cases = [
            ("ftp://h/", Scheme("ftp".into())),
            ("example.com", Scheme("example.com".into())),
            ("/path", Scheme("/path".into())),
            ("http:/h", Scheme("http:/h".into())),
            ("mailto:a@b", Scheme("mailto".into())),
            ("http://", Host(String::new())),
            ("http:///x", Host(String::new())),
            ("http://a..b/", Host("a..b".into())),
            ("http://a b/", Host("a b".into())),
            ("http://müller/", Host("müller".into())),
            ("http://1.2.3/", Host("1.2.3".into())),
            ("http://2130706433/", Host("2130706433".into())),
            ("http://0x7f/", Host("0x7f".into())),
            ("http://[::1/", Host("[::1".into())),
            ("http://[1.2.3.4]/", Host("[1.2.3.4]".into())),
            ("http://h:65536/", Port("65536".into())),
            ("http://h:+80/", Port("+80".into())),
            ("http://user:pass@h/", Credentials),
            ("http://h\\@evil/", Credentials),
            ("http://h/\r\nx: y", Control),
            ("http://h/\0", Control),
        ];
        for (text, expected) in cases {
            assert_eq!(Url::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_taken_to_its_bound_and_not_beyond() {
        let of = |length: usize| format!("http://h/{}", "a".repeat(length - "http://h/".len()));
        assert!(Url::parse(&of(limits::URL_BYTES_MAX)).is_ok());
        let beyond = limits::URL_BYTES_MAX + 1;
        assert_eq!(Url::parse(&of(beyond)), Err(UrlError::TooLong(beyond)));
    }

    #[test]
    fn a_parameter_is_encoded_and_added() {
        let mut url = Url::parse("http://h/p").unwrap();
        url.push_parameter("a b", "1&2");
        url.push_parameter("c", "");
        assert_eq!(url.target(), "/p?a%20b=1%262&c=");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_takes_a_form_that_stays(text in "\\PC{0,60}", base in "(/|\\.|a|%2e|\\?){0,20}") {
            let root = Url::parse("http://h/x/y").unwrap();
            for found in [Url::parse(&text), root.join(&text), root.join(&base)].into_iter().flatten() {
                let printed = found.to_string();
                prop_assert!(printed.bytes().all(|byte| byte.is_ascii_graphic()), "{}", printed);
                prop_assert_eq!(Url::parse(&printed), Ok(found.clone()));
                prop_assert!(!found.path().split('/').any(|segment| plain_dots(segment) > 0));
            }
        }
    }
}
