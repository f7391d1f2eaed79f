//! Where the web server listens: `http://127.0.0.1:8080`, `https://*`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use super::setting::{Element, Raw, Setting, mismatch, parse_text, quote};

/// Plain or under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `http`, port 80 unless named.
    Http,
    /// `https`, port 443 unless named.
    Https,
}

impl Scheme {
    /// The port of a URL that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The address part of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenHost {
    /// `localhost`: both loopback addresses.
    Localhost,
    /// `*`: every address of the machine.
    Any,
    /// One address.
    Address(IpAddr),
}

/// One place where the web server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    /// Plain or under TLS.
    pub scheme: Scheme,
    /// On which addresses.
    pub host: ListenHost,
    /// On which port; 0 lets the system choose.
    pub port: u16,
}

impl Listener {
    /// `http://127.0.0.1:port`.
    pub const fn loopback(port: u16) -> Listener {
        Listener {
            scheme: Scheme::Http,
            host: ListenHost::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port,
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self.host {
            ListenHost::Localhost => true,
            ListenHost::Any => false,
            ListenHost::Address(address) => address.is_loopback(),
        }
    }

    /// The addresses to bind. `*` is one IPv6 socket that takes IPv4 too; where the system has
    /// no IPv6, the second address is the one to try instead. `localhost` binds both.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let hosts: [IpAddr; 2] = match self.host {
            ListenHost::Localhost => [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            ListenHost::Any => [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
            ListenHost::Address(address) => return vec![SocketAddr::new(address, self.port)],
        };
        hosts.map(|host| SocketAddr::new(host, self.port)).to_vec()
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.as_str())?;
        match self.host {
            ListenHost::Localhost => f.write_str("localhost")?,
            ListenHost::Any => f.write_str("*")?,
            ListenHost::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            ListenHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        write!(f, ":{}", self.port)
    }
}

impl FromStr for Listener {
    type Err = String;

    /// The error is a phrase that follows the name of a key.
    fn from_str(text: &str) -> Result<Listener, String> {
        let (scheme, rest) = parse_scheme(text)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(format!(
                "must name only an address and a port, such as \"http://127.0.0.1:8080\", not {}",
                quote(text)
            ));
        }
        let (host, port) = split_port(rest).ok_or_else(|| bad_port(text))?;
        let port = match port {
            None => scheme.default_port(),
            Some(port) => parse_port(port).ok_or_else(|| bad_port(text))?,
        };
        Ok(Listener {
            scheme,
            host: parse_host(host, text)?,
            port,
        })
    }
}

fn parse_scheme(text: &str) -> Result<(Scheme, &str), String> {
    if let Some(rest) = text.strip_prefix("http://") {
        Ok((Scheme::Http, rest))
    } else if let Some(rest) = text.strip_prefix("https://") {
        Ok((Scheme::Https, rest))
    } else {
        Err(format!(
            "must begin with `http://` or `https://`, not {}",
            quote(text)
        ))
    }
}

/// Host without brackets, and the port's text; `None` when the brackets or colons do not fit.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            rest => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
    }
}

/// Digits only: `u16::from_str` would take a plus sign.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn bad_port(text: &str) -> String {
    format!(
        "must have a port from 0 to 65535 after the address (an IPv6 address stands in brackets: \
         \"http://[::1]:8080\"), not {}",
        quote(text)
    )
}

fn parse_host(host: &str, text: &str) -> Result<ListenHost, String> {
    match host {
        "*" => return Ok(ListenHost::Any),
        host if host.eq_ignore_ascii_case("localhost") => return Ok(ListenHost::Localhost),
        _ => {}
    }
    host.parse().map(ListenHost::Address).map_err(|_| {
        format!(
            "must listen on an IP address of this machine, on `localhost` or on `*` for all, \
             not {} (names that browsers use go to `web.hosts`)",
            quote(text)
        )
    })
}

impl Setting for Listener {
    const KIND: &'static str = "a listener, such as \"http://127.0.0.1:8080\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Listener, String> {
        parse_text(raw, |text| {
            if text.is_empty() {
                return Err(mismatch::<Listener>(raw));
            }
            text.parse()
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

impl Element for Listener {
    const LIST_KIND: &'static str = "a list of listeners, such as `[\"http://127.0.0.1:8080\"]`";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_shown_in_full() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://*", "https://*:443"),
            ("http://0.0.0.0", "http://0.0.0.0:80"),
            ("http://[::1]:0", "http://[::1]:0"),
            ("https://[::]", "https://[::]:443"),
            ("http://LocalHost:8080", "http://localhost:8080"),
        ] {
            let listener: Listener = text.parse().unwrap();
            assert_eq!(listener.to_string(), shown);
            assert_eq!(shown.parse::<Listener>().unwrap(), listener);
        }
    }

    #[test]
    fn what_cannot_be_bound_is_refused() {
        for (text, part) in [
            ("127.0.0.1:8080", "must begin with"),
            ("ftp://127.0.0.1", "must begin with"),
            ("http://127.0.0.1:65536", "must have a port"),
            ("http://127.0.0.1:", "must have a port"),
            ("http://127.0.0.1:+80", "must have a port"),
            ("http://::1:80", "must have a port"),
            ("http://[::1", "must have a port"),
            ("http://[::1]80", "must have a port"),
            ("http://127.0.0.1:80/path", "must name only"),
            ("http://user@127.0.0.1", "must name only"),
            ("http://127.0.0.256", "must listen on"),
            ("http://device.local:80", "must listen on"),
            ("http://", "must listen on"),
        ] {
            let error = text.parse::<Listener>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_loopback_addresses_count_as_loopback() {
        for (text, loopback) in [
            ("http://127.0.0.1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost", true),
            ("http://*", false),
            ("http://0.0.0.0", false),
            ("http://[::]", false),
            ("http://192.168.1.2", false),
        ] {
            assert_eq!(
                text.parse::<Listener>().unwrap().is_loopback(),
                loopback,
                "{text}"
            );
        }
    }

    #[test]
    fn each_host_binds_its_addresses() {
        let bind = |text: &str| -> Vec<String> {
            let listener: Listener = text.parse().unwrap();
            listener
                .addresses()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(bind("http://localhost:1"), ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(bind("http://*:1"), ["[::]:1", "0.0.0.0:1"]);
        assert_eq!(bind("http://10.0.0.1:1"), ["10.0.0.1:1"]);
    }
}
