//! Which proxy stands before a server, if any.
//!
//! The rules are those of curl: `NO_PROXY` names hosts with everything below them, addresses,
//! networks (`10.0.0.0/8`), ports, and `*` for all. The machine itself is never asked for through
//! a proxy.

use super::url::{Host, Scheme, Url, UrlError};
use crate::secret::Secret;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// Where it is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Name and password for it.
    pub credentials: Option<(String, Secret)>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP: `CONNECT` for TLS, whole addresses otherwise.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 5 with names resolved here.
    Socks5,
    /// SOCKS 5 with names resolved there.
    Socks5h,
}

/// Why a text names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The scheme is not known.
    #[error("a proxy begins with http://, https://, socks5:// or socks5h://, not {0:?}")]
    Kind(String),
    /// The host or the port is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// An entry of the list of exceptions is wrong.
    #[error("{0:?} is no host, address or network")]
    Bypass(String),
}

impl Proxy {
    /// Reads `http://name:password@proxy:3128`; without a scheme it is HTTP.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Proxy, ProxyError> {
        let text = text.trim();
        let (kind, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (ProxyKind::parse(scheme)?, rest),
            None => (ProxyKind::Http, text),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        // An address of the web has host and port in the same form.
        let url = Url::parse(&format!("http://{address}/"))?;
        let named = address.rsplit(':').next() == Some("80");
        let port = if url.port() == 80 && !named {
            kind.default_port()
        } else {
            url.port()
        };
        Ok(Proxy {
            kind,
            host: url.host().clone(),
            port,
            credentials: user.map(|user| {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                (decoded(name), Secret::from(decoded(password)))
            }),
        })
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Proxy, ProxyError> {
        Proxy::parse(text)
    }
}

/// The address, without name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proxy {
            kind, host, port, ..
        } = self;
        write!(f, "{}://{host}:{port}", kind.scheme())
    }
}

impl ProxyKind {
    const fn scheme(self) -> &'static str {
        match self {
            ProxyKind::Http => "http",
            ProxyKind::Https => "https",
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Socks5h => "socks5h",
        }
    }

    fn parse(scheme: &str) -> Result<ProxyKind, ProxyError> {
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(ProxyKind::Http),
            "https" => Ok(ProxyKind::Https),
            "socks5" => Ok(ProxyKind::Socks5),
            "socks5h" => Ok(ProxyKind::Socks5h),
            _ => Err(ProxyError::Kind(scheme.to_owned())),
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            ProxyKind::Http => 3128,
            ProxyKind::Https => 443,
            ProxyKind::Socks5 | ProxyKind::Socks5h => 1080,
        }
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// Which proxy stands before which server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    http: Way,
    https: Way,
    bypass: Bypass,
}

/// How the servers of one scheme are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Direct,
    Through(Proxy),
    /// Not at all: what was set names no proxy, and going without one was not asked for.
    Unusable(UnusableProxy),
}

/// A variable that should name a proxy, and does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source}")]
pub struct UnusableProxy {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong with it.
    pub source: ProxyError,
}

impl ProxyRules {
    /// The same proxy for both schemes.
    pub fn all(proxy: Proxy, bypass: Bypass) -> ProxyRules {
        ProxyRules {
            http: Way::Through(proxy.clone()),
            https: Way::Through(proxy),
            bypass,
        }
    }

    /// The rules of variables such as those of the environment, given by `lookup`, and the entries
    /// of `no_proxy` that were ignored because they cover nothing.
    ///
    /// `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, each also in capitals, but for
    /// `HTTP_PROXY`: a web server sets that to whatever a client's field `Proxy` says. They are
    /// everybody's, so what is wrong with one of them is an error for the servers of its scheme
    /// only.
    pub fn from_variables(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> (ProxyRules, Vec<ProxyError>) {
        let set = |name: &str| lookup(name).filter(|text| !text.trim().is_empty());
        let way = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| Some((*name, set(name)?)));
            match found.map(|(name, text)| (name, Proxy::parse(&text))) {
                None => Way::Direct,
                Some((_, Ok(proxy))) => Way::Through(proxy),
                Some((variable, Err(source))) => Way::Unusable(UnusableProxy { variable, source }),
            }
        };
        let bypass = set("no_proxy").or_else(|| set("NO_PROXY"));
        let (bypass, ignored) = Bypass::read(&bypass.unwrap_or_default());
        let rules = ProxyRules {
            http: way(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: way(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            bypass,
        };
        (rules, ignored)
    }

    /// The proxy before this server.
    ///
    /// # Errors
    /// When what was set for it names none.
    pub fn proxy_for(&self, url: &Url) -> Result<Option<&Proxy>, &UnusableProxy> {
        if is_this_machine(url.host()) || self.bypass.covers(url) {
            return Ok(None);
        }
        let way = match url.scheme() {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        match way {
            Way::Direct => Ok(None),
            Way::Through(proxy) => Ok(Some(proxy)),
            Way::Unusable(error) => Err(error),
        }
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::V4(address) => address.is_loopback(),
        Host::V6(address) => address.is_loopback(),
    }
}

/// Servers that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bypass {
    entries: Vec<(Target, Option<u16>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Everything,
    /// The name and what is below it.
    Name(String),
    /// An address with that many leading bits.
    Network(IpAddr, u32),
}

impl Bypass {
    /// Reads a list with commas or spaces between.
    ///
    /// # Errors
    /// The first entry that is wrong.
    pub fn parse(text: &str) -> Result<Bypass, ProxyError> {
        let (bypass, wrong) = Bypass::read(text);
        match wrong.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(bypass),
        }
    }

    /// The entries that mean something, and the others.
    fn read(text: &str) -> (Bypass, Vec<ProxyError>) {
        let (mut bypass, mut wrong) = (Bypass::default(), Vec::new());
        let entries = text.split([',', ' ']).map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match parse_entry(entry) {
                Some(entry) => bypass.entries.push(entry),
                None => wrong.push(ProxyError::Bypass(entry.to_owned())),
            }
        }
        (bypass, wrong)
    }

    fn covers(&self, url: &Url) -> bool {
        self.entries.iter().any(|(target, port)| {
            port.is_none_or(|port| port == url.port()) && target.covers(url.host())
        })
    }
}

fn parse_entry(entry: &str) -> Option<(Target, Option<u16>)> {
    if let Some((address, bits)) = entry.split_once('/') {
        let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
        return Some((Target::Network(address, bits), None));
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some((Target::Network(address, width(address)), None));
    }
    let (host, port) = split_port(entry)?;
    if host == "*" {
        return Some((Target::Everything, port));
    }
    let name = host.strip_prefix("*.").unwrap_or(host);
    let name = name.strip_prefix('.').unwrap_or(name);
    let target = match Host::parse(name).ok()? {
        Host::Name(name) => Target::Name(name.trim_end_matches('.').to_owned()),
        Host::V4(address) => Target::Network(address.into(), 32),
        Host::V6(address) => Target::Network(address.into(), 128),
    };
    Some((target, port))
}

fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    let behind = entry.rfind(']').map_or(0, |at| at + 1);
    match entry[behind..].find(':') {
        Some(colon) => {
            let (host, port) = entry.split_at(behind + colon);
            Some((host, Some(port[1..].parse().ok()?)))
        }
        None => Some((entry, None)),
    }
}

impl Target {
    fn covers(&self, host: &Host) -> bool {
        let address = match host {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::from(*address)),
            Host::V6(address) => Some(IpAddr::from(*address)),
        };
        match (self, host, address) {
            (Target::Everything, ..) => true,
            (Target::Name(suffix), Host::Name(name), _) => {
                let name = name.trim_end_matches('.');
                name.strip_suffix(suffix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Target::Network(network, bits), _, Some(address)) => {
                same_network(*network, address.to_canonical(), *bits)
            }
            _ => false,
        }
    }
}

fn same_network(network: IpAddr, address: IpAddr, bits: u32) -> bool {
    match (network, address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            one.to_bits() & mask == other.to_bits() & mask
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            one.to_bits() & mask == other.to_bits() & mask
        }
        _ => false,
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_its_credentials() {
        let proxy = Proxy::parse("http://na%3Ame:p%40ss@proxy.local:8080/").unwrap();
        assert_eq!((proxy.kind, proxy.port), (ProxyKind::Http, 8080));
        assert_eq!(proxy.host, Host::Name("proxy.local".into()));
        let (name, password) = proxy.credentials.unwrap();
        assert_eq!((name.as_str(), password.expose()), ("na:me", "p@ss"));
        let shown = |text: &str| Proxy::parse(text).unwrap().to_string();
        assert_eq!(shown("http://na:pa@proxy"), "http://proxy:3128");
        assert_eq!(shown("socks5h://[::1]:9/"), "socks5h://[::1]:9");
        let of = |text: &str| {
            let proxy = Proxy::parse(text).unwrap();
            (proxy.kind, proxy.host.to_string(), proxy.port)
        };
        assert_eq!(of("proxy"), (ProxyKind::Http, "proxy".into(), 3128));
        assert_eq!(of("proxy:80"), (ProxyKind::Http, "proxy".into(), 80));
        assert_eq!(of("https://p"), (ProxyKind::Https, "p".into(), 443));
        assert_eq!(
            of("SOCKS5h://[::1]"),
            (ProxyKind::Socks5h, "[::1]".into(), 1080)
        );
        assert_eq!(
            of("socks5://10.0.0.1:9"),
            (ProxyKind::Socks5, "10.0.0.1".into(), 9)
        );
        assert_eq!(Proxy::parse("ftp://p"), Err(ProxyError::Kind("ftp".into())));
        assert!(matches!(
            Proxy::parse("http://p:x"),
            Err(ProxyError::Url(_))
        ));
    }

    #[test]
    fn exceptions_cover_names_networks_and_ports() {
        let cases = [
            ("example.com", "http://example.com/", true),
            ("example.com", "http://a.b.example.com/", true),
            ("example.com", "http://notexample.com/", false),
            (".example.com", "http://example.com/", true),
            ("*.example.com", "http://a.example.com/", true),
            ("EXAMPLE.com.", "http://example.com/", true),
            ("example.com", "http://example.com./", true),
            ("example.com:8080", "http://example.com:8080/", true),
            ("example.com:8080", "http://example.com/", false),
            ("example.com:443", "https://example.com/", true),
            ("10.0.0.0/8", "http://10.200.3.4/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("10.0.0.0/8", "http://10.example.com/", false),
            ("0.0.0.0/0", "http://8.8.8.8/", true),
            ("192.168.1.7", "http://192.168.1.7/", true),
            ("192.168.1.7", "http://192.168.1.8/", false),
            ("192.168.1.7:81", "http://192.168.1.7/", false),
            ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("fd00::/8", "http://[fe80::1]/", false),
            ("[fd12::1]:81", "http://[fd12::1]:81/", true),
            ("a, b c", "http://c/", true),
            ("*", "http://anything/", true),
            ("", "http://anything/", false),
        ];
        for (list, url, expected) in cases {
            let rules = ProxyRules::all(Proxy::parse("p").unwrap(), Bypass::parse(list).unwrap());
            let url = Url::parse(url).unwrap();
            assert_eq!(
                rules.proxy_for(&url) == Ok(None),
                expected,
                "{list:?} {url}"
            );
        }
        for list in ["10.0.0.0/33", "a..b", "h:x", "fd00::/129", "a/b"] {
            assert_eq!(Bypass::parse(list), Err(ProxyError::Bypass(list.into())));
        }
    }

    #[test]
    fn the_machine_itself_is_reached_directly() {
        let rules = ProxyRules::all(Proxy::parse("p").unwrap(), Bypass::default());
        for url in [
            "http://localhost:8080/",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://a.localhost/",
        ] {
            assert_eq!(
                rules.proxy_for(&Url::parse(url).unwrap()),
                Ok(None),
                "{url}"
            );
        }
        assert!(
            rules
                .proxy_for(&Url::parse("http://localhost.example/").unwrap())
                .is_ok_and(|proxy| proxy.is_some())
        );
    }

    #[test]
    fn variables_say_which_proxy() {
        let rules = |set: &[(&str, &str)]| {
            let lookup = |name: &str| {
                let mut found = set.iter().filter(|(given, _)| *given == name);
                found.next().map(|(_, value)| (*value).to_owned())
            };
            ProxyRules::from_variables(lookup)
        };
        let host = |rules: &(ProxyRules, Vec<ProxyError>), url: &str| {
            let proxy = rules.0.proxy_for(&Url::parse(url).unwrap());
            proxy.unwrap().map(|proxy| proxy.host.to_string())
        };
        let some = rules(&[("http_proxy", "a"), ("HTTPS_PROXY", "b"), ("NO_PROXY", "x")]);
        assert_eq!(host(&some, "http://h/").as_deref(), Some("a"));
        assert_eq!(host(&some, "https://h/").as_deref(), Some("b"));
        assert_eq!(host(&some, "https://x/"), None);
        let all = rules(&[("all_proxy", "c"), ("https_proxy", " ")]);
        assert_eq!(host(&all, "http://h/").as_deref(), Some("c"));
        assert_eq!(host(&all, "https://h/").as_deref(), Some("c"));
        let by_a_client = rules(&[("HTTP_PROXY", "evil")]);
        assert_eq!(host(&by_a_client, "http://h/"), None);
        let odd = rules(&[("all_proxy", "c"), ("no_proxy", "10.1.2.,x,192.168.*")]);
        assert_eq!(host(&odd, "http://10.1.2.3/").as_deref(), Some("c"));
        assert_eq!(host(&odd, "http://x/"), None);
        let ignored = ["10.1.2.", "192.168.*"].map(|one| ProxyError::Bypass(one.into()));
        assert_eq!(odd.1, ignored);
    }

    #[test]
    fn a_variable_that_names_no_proxy_matters_to_its_own_scheme_only() {
        let lookup = |name: &str| match name {
            "https_proxy" => Some("ftp://x".to_owned()),
            "no_proxy" => Some("direct".to_owned()),
            _ => None,
        };
        let (rules, ignored) = ProxyRules::from_variables(lookup);
        assert_eq!(ignored, []);
        let proxy = |url: &str| {
            let url = Url::parse(url).unwrap();
            rules.proxy_for(&url).map_err(Clone::clone).map(|_| ())
        };
        for url in ["http://h/", "https://localhost/", "https://direct/"] {
            assert_eq!(proxy(url), Ok(()), "{url}");
        }
        let unusable = UnusableProxy {
            variable: "https_proxy",
            source: ProxyError::Kind("ftp".into()),
        };
        assert_eq!(proxy("https://h/"), Err(unusable));
    }
}
