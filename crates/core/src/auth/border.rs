//! Which web pages may speak to the agent.
//!
//! Two attacks start from a page that the owner's browser shows: *DNS rebinding*, where the
//! page's own name suddenly resolves to the device, which the `Host` check stops; and *cross-site
//! requests*, which the `Origin` check stops, in addition to the session's XSRF text. A cookie
//! with `SameSite=Strict` is not enough: other ports of the same host are the same site.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::{HostName, ListenHost, Listener};

/// The names under which browsers may reach the agent.
///
/// Rebinding needs a name, so IP addresses are safe as such; they are limited to those of the
/// listeners all the same, and to loopback, which tunnels use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedHosts {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    every_address: bool,
}

/// What a request says about where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provenance<'a> {
    /// The field `Host`, or the authority of the request's target.
    pub host: Option<&'a str>,
    /// The field `Origin`.
    pub origin: Option<&'a str>,
    /// The field `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
}

/// Why a request is refused at the border.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BorderError {
    /// There is no host, or it is none.
    #[error("the request has no valid Host field")]
    HostMissing,
    /// The host is not one of ours.
    #[error("this agent does not answer to the name `{host}`: add it to `web.hosts` if it should")]
    HostUnknown {
        /// The name without its port.
        host: String,
    },
    /// A page of another origin sent the request.
    #[error("requests that change something must come from the agent's own pages")]
    OriginForeign,
}

impl AcceptedHosts {
    /// `localhost`, the addresses of the listeners, and the configured names.
    pub fn new(listeners: &[Listener], names: &[HostName]) -> AcceptedHosts {
        let mut hosts = AcceptedHosts {
            names: BTreeSet::from(["localhost".to_owned()]),
            addresses: BTreeSet::new(),
            every_address: false,
        };
        hosts
            .names
            .extend(names.iter().map(|name| name.as_str().to_owned()));
        for listener in listeners {
            match listener.host {
                ListenHost::Any => hosts.every_address = true,
                ListenHost::Address(address) if address.is_unspecified() => {
                    hosts.every_address = true;
                }
                ListenHost::Address(address) => {
                    hosts.addresses.insert(address.to_canonical());
                }
                ListenHost::Localhost => {}
            }
        }
        hosts
    }

    /// The check of every request: is it addressed to us?
    pub fn check_host(&self, request: &Provenance<'_>) -> Result<(), BorderError> {
        let host = request
            .host
            .and_then(Authority::parse)
            .ok_or(BorderError::HostMissing)?;
        let ours = match &host.host {
            Host::Address(address) => {
                self.every_address || address.is_loopback() || self.addresses.contains(address)
            }
            Host::Name(name) => self.names.contains(name),
        };
        match ours {
            true => Ok(()),
            false => Err(BorderError::HostUnknown {
                host: host.host.text(),
            }),
        }
    }

    /// The check of requests that change something or open a stream: host, and that the page
    /// which sends it is ours.
    ///
    /// Programs other than browsers send neither `Origin` nor `Sec-Fetch-Site` and pass: no
    /// browser lends them its cookies. The scheme of the origin is not compared, because a proxy
    /// in front may speak TLS.
    pub fn check_origin(&self, request: &Provenance<'_>) -> Result<(), BorderError> {
        self.check_host(request)?;
        let own = match (request.origin, request.fetch_site) {
            (Some(origin), _) => same_authority(origin, request.host.unwrap_or_default()),
            (None, Some(site)) => matches!(site, "same-origin" | "none"),
            (None, None) => true,
        };
        match own {
            true => Ok(()),
            false => Err(BorderError::OriginForeign),
        }
    }
}

/// Whether the page's origin is the host that it speaks to. A missing port is the one of the
/// origin's scheme on both sides: the page and its requests go through the same proxy.
fn same_authority(origin: &str, host: &str) -> bool {
    let (default_port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (80, authority),
        Some(("https", authority)) => (443, authority),
        _ => return false,
    };
    match (Authority::parse(authority), Authority::parse(host)) {
        (Some(origin), Some(host)) => {
            origin.host == host.host
                && origin.port.unwrap_or(default_port) == host.port.unwrap_or(default_port)
        }
        _ => false,
    }
}

#[derive(PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl Host {
    fn text(&self) -> String {
        match self {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }
}

/// Host and port as they stand in `Host` and `Origin`.
struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: std::net::Ipv6Addr = address.parse().ok()?;
                let host = Host::Address(IpAddr::V6(address).to_canonical());
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':')?),
                };
                (host, port)
            }
            None => {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                (parse_host(host)?, port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
        };
        Some(Authority { host, port })
    }
}

fn parse_host(text: &str) -> Option<Host> {
    match text.parse::<std::net::Ipv4Addr>() {
        Ok(address) => Some(Host::Address(address.into())),
        Err(_) => HostName::new(text)
            .ok()
            .map(|name| Host::Name(name.as_str().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listeners: &[&str], names: &[&str]) -> AcceptedHosts {
        let listeners: Vec<Listener> = listeners.iter().map(|l| l.parse().unwrap()).collect();
        let names: Vec<HostName> = names.iter().map(|n| HostName::new(n).unwrap()).collect();
        AcceptedHosts::new(&listeners, &names)
    }

    fn host(hosts: &AcceptedHosts, host: &str) -> bool {
        let request = Provenance {
            host: Some(host),
            ..Provenance::default()
        };
        hosts.check_host(&request).is_ok()
    }

    #[test]
    fn the_agent_answers_to_localhost_its_addresses_and_its_names() {
        let hosts = hosts(
            &["http://127.0.0.1:8080", "https://192.168.1.2:443"],
            &["Pump.local"],
        );
        for (name, ours) in [
            ("localhost", true),
            ("localhost:8080", true),
            ("LOCALHOST:1", true),
            ("localhost.", true),
            ("127.0.0.1:8080", true),
            ("127.0.0.2", true),
            ("[::1]:8080", true),
            ("192.168.1.2", true),
            ("192.168.1.2:443", true),
            ("[::ffff:192.168.1.2]", true),
            ("pump.local", true),
            ("PUMP.local.:8080", true),
            ("192.168.1.3", false),
            ("[2001:db8::1]", false),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("pump.local.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("0x7f000001", false),
            ("", false),
            (":8080", false),
            ("localhost:x", false),
            ("localhost:99999", false),
            ("localhost:80:80", false),
            ("user@localhost", false),
            ("localhost/path", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[127.0.0.1]", false),
            ("::1", false),
            ("local host", false),
        ] {
            assert_eq!(host(&hosts, name), ours, "{name:?}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_answers_to_all_addresses_but_to_no_name() {
        for listener in ["http://*:80", "http://0.0.0.0", "http://[::]"] {
            let hosts = hosts(&[listener], &[]);
            assert!(host(&hosts, "10.1.2.3"));
            assert!(host(&hosts, "[2001:db8::1]:80"));
            assert!(!host(&hosts, "evil.example"));
        }
    }

    #[test]
    fn a_refused_host_is_told_what_to_configure() {
        let hosts = hosts(&[], &[]);
        let refused = |host| {
            let request = Provenance {
                host,
                ..Provenance::default()
            };
            hosts.check_host(&request).unwrap_err().to_string()
        };
        assert_eq!(
            refused(Some("pump.lan:8080")),
            "this agent does not answer to the name `pump.lan`: add it to `web.hosts` if it should"
        );
        assert_eq!(refused(None), "the request has no valid Host field");
    }

    #[test]
    fn only_our_own_pages_may_change_something() {
        let hosts = hosts(&["http://*:8080"], &["pump.local"]);
        for (host, origin, site, ours) in [
            ("localhost:8080", None, None, true),
            ("localhost:8080", Some("http://localhost:8080"), None, true),
            (
                "localhost:8080",
                Some("http://LOCALHOST:8080"),
                Some("same-origin"),
                true,
            ),
            ("pump.local", Some("http://pump.local"), None, true),
            ("pump.local:80", Some("http://pump.local"), None, true),
            ("pump.local", Some("https://pump.local"), None, true),
            ("pump.local:443", Some("https://pump.local"), None, true),
            ("[::1]:8080", Some("http://[::1]:8080"), None, true),
            ("localhost:8080", None, Some("same-origin"), true),
            ("localhost:8080", None, Some("none"), true),
            (
                "localhost:8080",
                Some("http://localhost:3000"),
                Some("same-site"),
                false,
            ),
            ("localhost:8080", Some("http://localhost"), None, false),
            ("localhost:8080", Some("http://127.0.0.1:8080"), None, false),
            ("localhost:8080", Some("http://evil.example"), None, false),
            (
                "localhost:8080",
                Some("http://evil.example:8080"),
                None,
                false,
            ),
            ("localhost:8080", Some("null"), None, false),
            ("localhost:8080", Some(""), None, false),
            ("localhost:8080", Some("file://"), None, false),
            ("localhost:8080", Some("ws://localhost:8080"), None, false),
            (
                "localhost:8080",
                Some("http://localhost:8080/"),
                None,
                false,
            ),
            ("localhost:8080", None, Some("cross-site"), false),
            ("localhost:8080", None, Some("same-site"), false),
            ("localhost:8080", None, Some(""), false),
            (
                "evil.example",
                Some("http://evil.example"),
                Some("same-origin"),
                false,
            ),
        ] {
            let request = Provenance {
                host: Some(host),
                origin,
                fetch_site: site,
            };
            let verdict = hosts.check_origin(&request);
            assert_eq!(verdict.is_ok(), ours, "{request:?}");
        }
    }
}
