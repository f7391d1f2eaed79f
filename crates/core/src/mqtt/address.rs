//! Where a broker is: `mqtt://`, `mqtts://`, `ws://` and `wss://` addresses.

use crate::fetch::{Host, Url, UrlError};
use std::fmt;
use std::str::FromStr;

/// The address of a broker.
///
/// Names and passwords in addresses are refused: they have their own place, where they do not
/// print.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// How it is spoken to.
    pub transport: Transport,
    /// Which machine.
    pub host: Host,
    /// Its port, that of the transport if none was named.
    pub port: u16,
    /// Path and query, of WebSockets only.
    pub target: String,
}

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
}

/// Why a text is no address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The scheme is not known.
    #[error("a broker's address begins with mqtt://, mqtts://, ws:// or wss://, not {0:?}")]
    Scheme(String),
    /// Host or port are wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// There is a path where none can be.
    #[error("an address with {0}:// has no path")]
    Path(&'static str),
}

impl Transport {
    /// Every transport.
    pub const ALL: [Transport; 4] = [
        Transport::Tcp,
        Transport::Tls,
        Transport::WebSocket,
        Transport::SecureWebSocket,
    ];

    /// The scheme of its addresses.
    pub const fn scheme(self) -> &'static str {
        match self {
            Transport::Tcp => "mqtt",
            Transport::Tls => "mqtts",
            Transport::WebSocket => "ws",
            Transport::SecureWebSocket => "wss",
        }
    }

    /// 1883, 8883, 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Tcp => 1883,
            Transport::Tls => 8883,
            Transport::WebSocket => 80,
            Transport::SecureWebSocket => 443,
        }
    }

    /// Whether nobody on the way can read along.
    pub const fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebSocket)
    }

    /// Whether packets travel in WebSocket messages.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Transport::WebSocket | Transport::SecureWebSocket)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("", text));
        let transport = Transport::ALL
            .into_iter()
            .find(|transport| transport.scheme().eq_ignore_ascii_case(scheme))
            .ok_or_else(|| AddressError::Scheme(text.to_owned()))?;
        // Host and port have the form that they have on the web, where 80 or 443 go without
        // saying. Here they do not, so each is read where the other one is the default.
        let (one, two) = (format!("http://{rest}"), format!("https://{rest}"));
        let (one, two) = (Url::parse(&one)?, Url::parse(&two)?);
        let port = match (one.port(), two.port()) {
            (80, 443) => transport.default_port(),
            (port, _) => port,
        };
        let target = match transport.is_websocket() {
            // AWS IoT and mosquitto both serve any path; this one is what the others expect. A root
            // that is written out is meant.
            true if !has_path(rest) => format!("/mqtt{}", &one.target()[1..]),
            true => one.target(),
            false if one.target() == "/" => String::new(),
            false => return Err(AddressError::Path(transport.scheme())),
        };
        Ok(Address {
            transport,
            host: one.host().clone(),
            port,
            target,
        })
    }
}

/// Whether a path is written out behind the host.
fn has_path(rest: &str) -> bool {
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    rest[..end].contains('/')
}

impl Address {
    /// The server that a broker names in its server reference, spoken to in the same way: `host`
    /// or `host:port`, the first of several (MQTT 5, section 4.11).
    pub fn elsewhere(&self, reference: &str) -> Option<Address> {
        let first = reference.split_whitespace().next()?;
        let text = match first.contains("://") {
            true => first.to_owned(),
            false => format!("{}://{first}", self.transport.scheme()),
        };
        let mut address = Address::from_str(&text).ok()?;
        // Nobody is led from a protected connection to an open one.
        if self.transport.is_secure() && !address.transport.is_secure() {
            return None;
        }
        if address.transport.is_websocket() && self.transport.is_websocket() {
            address.target.clone_from(&self.target);
        }
        Some(address)
    }

    /// Whether the host is this machine, as far as its name says.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }

    /// Host and port, the port only where it must stand.
    pub fn authority(&self) -> String {
        match self.port == self.transport.default_port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.scheme(), self.authority())?;
        let path = self.target.split('?').next().unwrap_or_default();
        match path {
            "/mqtt" => Ok(()),
            // A query may hold a signature.
            path => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Transport, String, u16, String), AddressError> {
        let Address {
            transport,
            host,
            port,
            target,
        } = text.parse()?;
        Ok((transport, host.to_string(), port, target))
    }

    #[test]
    fn each_scheme_has_its_port_and_only_websockets_a_path() {
        use Transport::{SecureWebSocket, Tcp, Tls, WebSocket};
        let table = [
            ("mqtt://broker", Tcp, "broker", 1883, ""),
            ("mqtt://broker:80/", Tcp, "broker", 80, ""),
            ("mqtts://Broker.Example:443", Tls, "broker.example", 443, ""),
            ("mqtts://[::1]", Tls, "[::1]", 8883, ""),
            ("ws://10.0.0.1:8083", WebSocket, "10.0.0.1", 8083, "/mqtt"),
            ("ws://broker", WebSocket, "broker", 80, "/mqtt"),
            ("ws://broker?y=/", WebSocket, "broker", 80, "/mqtt?y=/"),
            ("ws://broker/", WebSocket, "broker", 80, "/"),
            ("ws://broker/?y=1", WebSocket, "broker", 80, "/?y=1"),
            ("wss://b/x?y=1", SecureWebSocket, "b", 443, "/x?y=1"),
            ("WSS://b:80", SecureWebSocket, "b", 80, "/mqtt"),
        ];
        for (text, transport, host, port, target) in table {
            let expected = (transport, host.to_owned(), port, target.to_owned());
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_broker_is_refused_with_a_reason() {
        let scheme = AddressError::Scheme("broker:1883".to_owned());
        assert_eq!(read("broker:1883"), Err(scheme));
        assert_eq!(read("mqtt://broker/x"), Err(AddressError::Path("mqtt")));
        let credentials = AddressError::Url(UrlError::Credentials);
        assert_eq!(read("mqtt://me:secret@broker"), Err(credentials));
        assert!(matches!(read("mqtt://"), Err(AddressError::Url(_))));
    }

    #[test]
    fn a_broker_can_name_another_server_but_not_a_less_protected_one() {
        let here: Address = "mqtts://a:443".parse().unwrap();
        let there = |text| here.elsewhere(text).map(|it| it.to_string());
        assert_eq!(there("b"), Some("mqtts://b".to_owned()));
        assert_eq!(there("b:1 c:2"), Some("mqtts://b:1".to_owned()));
        assert_eq!(there("mqtt://b"), None);
        assert_eq!(there(""), None);
        let here: Address = "ws://a/x".parse().unwrap();
        let there = here.elsewhere("b:81").unwrap();
        assert_eq!((there.port, there.target.as_str()), (81, "/x"));
    }

    #[test]
    fn a_query_does_not_print() {
        let address: Address = "wss://b/mqtt?X-Amz-Signature=1".parse().unwrap();
        assert_eq!(address.to_string(), "wss://b");
    }
}
