//! Cookies of a client (RFC 6265, with the name prefixes of its successor).
//!
//! A jar is bounded, and by default keeps every cookie for the host that set it: which domains
//! belong to one owner is written in a list of thousands that changes weekly, so a device should
//! not guess. [`Domains::Shared`] is for callers who know their servers.

use super::date::parse_date;
use super::url::{Host, Scheme, Url};
use crate::limits;
use crate::time::UnixMillis;

/// Whether a cookie may be for more than the host that set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Domains {
    /// For that host only, whatever it says.
    #[default]
    HostOnly,
    /// For its domain and all below, if it says so; single words such as `com` are refused.
    Shared,
}

/// The cookies of a client.
#[derive(Clone, Debug, Default)]
pub struct CookieJar {
    domains: Domains,
    cookies: Vec<Cookie>,
    /// Counts what is set, so that older cookies come first.
    counter: u64,
}

/// One cookie.
#[derive(Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    host_only: bool,
    path: String,
    secure: bool,
    expires: Option<UnixMillis>,
    created: u64,
    used: u64,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A value may be a session, so only the name shows.
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl CookieJar {
    /// An empty jar.
    pub fn new(domains: Domains) -> CookieJar {
        CookieJar {
            domains,
            ..CookieJar::default()
        }
    }

    /// How many cookies there are.
    pub fn len(&self) -> usize {
        self.cookies.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// An answer from `url` carried this `Set-Cookie`. What breaks the rules is left out.
    pub fn handle_set_cookie(&mut self, url: &Url, field: &str, at: UnixMillis) {
        if field.len() > limits::COOKIE_BYTES_MAX {
            return;
        }
        let Some(mut cookie) = read(url, field, at, self.domains) else {
            return;
        };
        let same = |other: &Cookie| {
            (&other.name, &other.host, &other.path) == (&cookie.name, &cookie.host, &cookie.path)
        };
        let old = self.cookies.iter().position(same);
        self.counter += 1;
        (cookie.created, cookie.used) = (self.counter, self.counter);
        if let Some(old) = old {
            let old = self.cookies.remove(old);
            if old.secure && url.scheme() == Scheme::Http {
                // A cookie of TLS is not replaced without it.
                self.cookies.push(old);
                return;
            }
            cookie.created = old.created;
        }
        if !cookie.is_expired(at) {
            self.make_room(&cookie.host, at);
            self.cookies.push(cookie);
        }
    }

    /// The field `Cookie` for a request; `None` when there is nothing to send.
    pub fn cookies_for(&mut self, url: &Url, at: UnixMillis) -> Option<String> {
        self.cookies.retain(|cookie| !cookie.is_expired(at));
        self.counter += 1;
        let counter = self.counter;
        let mut fitting: Vec<&mut Cookie> = self
            .cookies
            .iter_mut()
            .filter(|cookie| cookie.fits(url))
            .collect();
        // Longer paths first, older cookies first among equals (section 5.4).
        fitting.sort_by_key(|cookie| (usize::MAX - cookie.path.len(), cookie.created));
        let mut field = String::new();
        for cookie in fitting {
            cookie.used = counter;
            let separator = if field.is_empty() { "" } else { "; " };
            for part in [separator, &cookie.name, "=", &cookie.value] {
                field.push_str(part);
            }
        }
        (!field.is_empty()).then_some(field)
    }

    /// The value of a cookie that would be sent there.
    pub fn value(&self, url: &Url, name: &str) -> Option<&str> {
        let mut cookies = self.cookies.iter();
        let found = cookies.find(|cookie| cookie.name == name && cookie.fits(url))?;
        Some(&found.value)
    }

    /// Drops what has expired, then what was unused for the longest time, until one more fits.
    fn make_room(&mut self, host: &str, at: UnixMillis) {
        self.cookies.retain(|cookie| !cookie.is_expired(at));
        let of_host = |cookie: &&Cookie| cookie.host == host;
        if self.cookies.iter().filter(of_host).count() >= limits::COOKIES_PER_HOST_MAX {
            self.drop_one(|cookie| cookie.host == host);
        }
        if self.cookies.len() >= limits::COOKIES_MAX {
            self.drop_one(|_| true);
        }
    }

    fn drop_one(&mut self, of: impl Fn(&Cookie) -> bool) {
        let candidates = self.cookies.iter().enumerate().filter(|(_, one)| of(one));
        if let Some((at, _)) = candidates.min_by_key(|(_, cookie)| cookie.used) {
            self.cookies.remove(at);
        }
    }
}

impl Cookie {
    fn is_expired(&self, at: UnixMillis) -> bool {
        self.expires.is_some_and(|expires| expires <= at)
    }

    fn fits(&self, url: &Url) -> bool {
        let host = host_text(url.host());
        let host = if self.host_only {
            host == self.host
        } else {
            is_within(&host, &self.host)
        };
        host && path_fits(url.path(), &self.path) && (!self.secure || url.scheme() == Scheme::Https)
    }
}

/// Reads the field by section 5.2 and judges it by section 5.3.
fn read(url: &Url, field: &str, at: UnixMillis, domains: Domains) -> Option<Cookie> {
    let mut parts = field.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let sendable = |text: &str| !text.bytes().any(|byte| byte < 0x20 || byte == 0x7F);
    if name.is_empty() || !sendable(name) || !sendable(value) {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        host: host_text(url.host()),
        host_only: true,
        path: default_path(url.path()).to_owned(),
        secure: false,
        expires: None,
        created: 0,
        used: 0,
    };
    let (mut max_age, mut domain) = (None, None);
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match attribute.trim().to_ascii_lowercase().as_str() {
            "expires" => cookie.expires = parse_date(value).or(cookie.expires),
            "max-age" => max_age = life(value).or(max_age),
            "domain" => domain = Some(value.trim_start_matches('.').to_ascii_lowercase()),
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "path" => default_path(url.path()).clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            _ => {}
        }
    }
    if let Some(millis) = max_age {
        cookie.expires = Some(UnixMillis(at.0.saturating_add(millis)));
    }
    apply_domain(
        &mut cookie,
        url,
        domain.as_deref().unwrap_or_default(),
        domains,
    )?;
    let tls = url.scheme() == Scheme::Https;
    (tls || !cookie.secure).then_some(())?;
    prefix_holds(&cookie, domain.is_some()).then_some(cookie)
}

/// Milliseconds from `Max-Age`; zero and less mean at once.
fn life(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| match value.parse::<i64>() {
        Ok(seconds) if seconds <= 0 => i64::MIN,
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) if value.starts_with('-') => i64::MIN,
        Err(_) => i64::MAX,
    })
}

/// What `Domain` means; `None` when it makes the cookie void.
fn apply_domain(cookie: &mut Cookie, url: &Url, domain: &str, domains: Domains) -> Option<()> {
    if domain.is_empty() {
        return Some(());
    }
    // A server cannot set cookies for others, whatever the jar makes of domains.
    is_within(&cookie.host, domain).then_some(())?;
    let named = matches!(url.host(), Host::Name(_)) && domain.contains('.');
    if domains == Domains::Shared && named {
        domain.clone_into(&mut cookie.host);
        cookie.host_only = false;
    } else if domains == Domains::Shared && domain != cookie.host {
        return None;
    }
    Some(())
}

/// `__Secure-` and `__Host-` promise what the other attributes must then say.
fn prefix_holds(cookie: &Cookie, has_domain: bool) -> bool {
    let name = cookie.name.to_ascii_lowercase();
    if name.starts_with("__host-") {
        cookie.secure && !has_domain && cookie.path == "/"
    } else {
        !name.starts_with("__secure-") || cookie.secure
    }
}

fn host_text(host: &Host) -> String {
    host.to_string().trim_end_matches('.').to_owned()
}

/// Whether `host` is `domain` or below it.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Section 5.1.4: the path up to its last slash.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

fn path_fits(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(784_111_777_000);

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn jar(domains: Domains, set: &[(&str, &str)]) -> CookieJar {
        let mut jar = CookieJar::new(domains);
        for (from, field) in set {
            jar.handle_set_cookie(&url(from), field, NOW);
        }
        jar
    }

    fn sent(set: &[(&str, &str)], to: &str) -> String {
        let mut jar = jar(Domains::HostOnly, set);
        jar.cookies_for(&url(to), NOW).unwrap_or_default()
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_path() {
        let cases = [
            ("http://h/a/b", "x=1", "http://h/a/c", "x=1"),
            ("http://h/a/b", "x=1", "http://h/a", "x=1"),
            ("http://h/a/b", "x=1", "http://h/ab", ""),
            ("http://h/a/b", "x=1; Path=/", "http://h/", "x=1"),
            ("http://h/a/b", "x=1; path=relative", "http://h/a/x", "x=1"),
            ("http://h/", "x=1; Path=/a", "http://h/a/b", "x=1"),
            ("http://h/", "x=1; Path=/a", "http://h/ab", ""),
            ("http://h/", "x=1", "http://h:8080/", "x=1"),
            ("http://h/", "x=1", "http://sub.h/", ""),
            ("http://sub.h/", "x=1; Domain=h", "http://h/", ""),
            ("http://h/", "x=1; Domain=other", "http://h/", ""),
            (
                "http://h/",
                " x = 1 ; HttpOnly; SameSite=Lax",
                "http://h/",
                "x=1",
            ),
            ("http://h/", "x=\"a b\"", "http://h/", "x=\"a b\""),
            ("http://h/", "x=", "http://h/", "x="),
            ("http://h/", "=1", "http://h/", ""),
            ("http://h/", "novalue", "http://h/", ""),
            ("http://h/", "x=a\tb", "http://h/", ""),
        ];
        for (from, field, to, expected) in cases {
            assert_eq!(
                sent(&[(from, field)], to),
                expected,
                "{from} {field:?} {to}"
            );
        }
    }

    #[test]
    fn a_secure_cookie_stays_within_tls() {
        let secure = ("https://h/", "x=1; Secure");
        assert_eq!(sent(&[secure], "https://h/"), "x=1");
        assert_eq!(sent(&[secure], "http://h/"), "");
        assert_eq!(sent(&[("http://h/", "x=1; Secure")], "https://h/"), "");
        assert_eq!(
            sent(&[secure, ("http://h/", "x=evil")], "https://h/"),
            "x=1"
        );
        assert_eq!(
            sent(
                &[("https://h/a", "__Host-x=1; Secure; Path=/")],
                "https://h/"
            ),
            "__Host-x=1"
        );
        for void in [
            "__Host-x=1; Secure",
            "__Host-x=1; Path=/",
            "__Host-x=1; Secure; Path=/; Domain=h",
            "__Secure-x=1",
        ] {
            assert_eq!(
                sent(&[("https://h/a/b", void)], "https://h/a/b"),
                "",
                "{void}"
            );
        }
    }

    #[test]
    fn a_cookie_ends_when_it_says() {
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        let future = "Sun, 06 Nov 1994 08:49:38 GMT";
        let cases = [
            (format!("x=1; Expires={future}"), "x=1"),
            (format!("x=1; Expires={past}"), ""),
            ("x=1; Expires=never".to_owned(), "x=1"),
            ("x=1; Max-Age=1".to_owned(), "x=1"),
            ("x=1; Max-Age=0".to_owned(), ""),
            ("x=1; Max-Age=-9".to_owned(), ""),
            ("x=1; Max-Age=soon".to_owned(), "x=1"),
            ("x=1; Max-Age=99999999999999999999".to_owned(), "x=1"),
            (format!("x=1; Max-Age=1; Expires={past}"), "x=1"),
        ];
        for (field, expected) in cases {
            assert_eq!(
                sent(&[("http://h/", &field)], "http://h/"),
                expected,
                "{field}"
            );
        }
        let mut jar = jar(Domains::HostOnly, &[("http://h/", "x=1; Max-Age=1")]);
        assert_eq!(
            jar.cookies_for(&url("http://h/"), UnixMillis(NOW.0 + 1000)),
            None
        );
        assert!(jar.is_empty());
    }

    #[test]
    fn a_cookie_is_replaced_and_removed_by_its_name() {
        let set = [
            ("http://h/", "a=1"),
            ("http://h/", "b=2"),
            ("http://h/", "a=3"),
        ];
        assert_eq!(sent(&set, "http://h/"), "a=3; b=2");
        let removed = [("http://h/", "a=1"), ("http://h/", "a=; Max-Age=0")];
        assert_eq!(sent(&removed, "http://h/"), "");
        let paths = [("http://h/", "a=1; Path=/"), ("http://h/", "a=2; Path=/x")];
        assert_eq!(sent(&paths, "http://h/x"), "a=2; a=1");
    }

    #[test]
    fn a_domain_is_shared_only_on_demand() {
        let set = [("https://a.example.com/", "x=1; Domain=.example.com")];
        let mut jar = jar(Domains::Shared, &set);
        assert_eq!(
            jar.cookies_for(&url("https://b.example.com/"), NOW)
                .as_deref(),
            Some("x=1")
        );
        assert_eq!(jar.cookies_for(&url("https://badexample.com/"), NOW), None);
        for (from, field) in [
            ("https://a.com/", "x=1; Domain=com"),
            ("https://a.com/", "x=1; Domain=b.com"),
            ("https://10.0.0.1/", "x=1; Domain=0.0.1"),
        ] {
            jar.handle_set_cookie(&url(from), field, NOW);
            assert_eq!(jar.len(), 1, "{field}");
        }
        jar.handle_set_cookie(&url("https://10.0.0.1/"), "x=1; Domain=10.0.0.1", NOW);
        assert_eq!(jar.value(&url("https://10.0.0.1/"), "x"), Some("1"));
    }

    #[test]
    fn a_jar_keeps_to_its_bounds() {
        let mut jar = CookieJar::default();
        for number in 0..=limits::COOKIES_PER_HOST_MAX {
            jar.handle_set_cookie(&url("http://h/"), &format!("c{number}=1"), NOW);
        }
        assert_eq!(jar.len(), limits::COOKIES_PER_HOST_MAX);
        assert_eq!(jar.value(&url("http://h/"), "c0"), None);
        assert_eq!(jar.value(&url("http://h/"), "c1"), Some("1"));
        for number in 0..=limits::COOKIES_MAX {
            jar.handle_set_cookie(&url(&format!("http://h{number}/")), "x=1", NOW);
        }
        assert_eq!(jar.len(), limits::COOKIES_MAX);

        let field = |bytes: usize| format!("x={}", "v".repeat(bytes - 2));
        let mut jar = CookieJar::default();
        let max = limits::COOKIE_BYTES_MAX;
        jar.handle_set_cookie(&url("http://h/"), &field(max + 1), NOW);
        assert!(jar.is_empty());
        jar.handle_set_cookie(&url("http://h/"), &field(max), NOW);
        assert_eq!(jar.len(), 1);
    }
}
