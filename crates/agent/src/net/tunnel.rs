//! Ways through a proxy: CONNECT (RFC 9110, section 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use periwinkle_core::fetch::Host;
use periwinkle_core::fetch::auth::Asked;
#[cfg(feature = "fetch")]
use periwinkle_core::fetch::proxy::ProxyError;
use periwinkle_core::fetch::proxy::{Proxy, ProxyKind};
use periwinkle_core::limits;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial::{DialError, Patience, Via, resolve};
use super::link::Link;

/// Why a proxy does not lead to a server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// It took too long.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// It wants a name and a password, or others.
    #[error("it wants another name and password; give them in the proxy's address")]
    Login,
    /// It answered with this status.
    #[error("it answered {0}")]
    Status(u16),
    /// It said why, in SOCKS.
    #[error("{0}")]
    Refused(&'static str),
    /// What it said is no answer.
    #[error("it does not speak {0}; check its kind and port")]
    Language(&'static str),
    /// The name or the password cannot be sent in its language.
    #[error("{0}")]
    Credentials(&'static str),
    /// What should name it does not.
    #[cfg(feature = "fetch")]
    #[error("{0}")]
    Unusable(ProxyError),
    /// The server's name has no address, and is looked up here.
    #[error("{0}")]
    Resolve(Box<DialError>),
    /// The connection with it ended.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The server as the proxy is told.
pub(super) enum Destination {
    Name(String, u16),
    Address(IpAddr, u16),
}

impl Destination {
    /// Names are resolved by the proxy, but for `socks5`, which asks for the opposite.
    pub(super) async fn for_proxy(
        proxy: &Proxy,
        host: &Host,
        port: u16,
        patience: &Patience,
    ) -> Result<Destination, ProxyFailure> {
        match host {
            Host::V4(address) => Ok(Destination::Address((*address).into(), port)),
            Host::V6(address) => Ok(Destination::Address((*address).into(), port)),
            Host::Name(_) if proxy.kind == ProxyKind::Socks5 => {
                let found = resolve(host, port, patience).await;
                let found = found.map_err(|error| ProxyFailure::Resolve(Box::new(error)))?;
                let first = found.first().expect("a name that resolves has an address");
                Ok(Destination::Address(first.ip(), port))
            }
            Host::Name(name) => Ok(Destination::Name(name.clone(), port)),
        }
    }

    fn authority(&self) -> String {
        match self {
            Destination::Name(name, port) => format!("{name}:{port}"),
            Destination::Address(IpAddr::V4(address), port) => format!("{address}:{port}"),
            Destination::Address(IpAddr::V6(address), port) => format!("[{address}]:{port}"),
        }
    }
}

/// What became of a link to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// What follows is between us and the destination.
    Through,
    /// The proxy asked who we are, and another link can be opened with the answer.
    Asked,
}

/// Has the proxy at the other end of `link` connect to the destination.
pub(super) async fn open(
    link: &mut Link,
    via: &Via,
    destination: &Destination,
    asked: Asked,
) -> Result<Opened, ProxyFailure> {
    match via.proxy.kind {
        ProxyKind::Http | ProxyKind::Https => open_connect(link, via, destination, asked).await,
        ProxyKind::Socks5 | ProxyKind::Socks5h => {
            open_socks(link, &via.proxy, destination).await?;
            Ok(Opened::Through)
        }
    }
}

async fn open_connect(
    link: &mut Link,
    Via { proxy, logins, .. }: &Via,
    destination: &Destination,
    asked: Asked,
) -> Result<Opened, ProxyFailure> {
    let authority = destination.authority();
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(field) = logins.authorization(proxy, ("CONNECT", &authority))? {
        request.push_str(&format!("Proxy-Authorization: {field}\r\n"));
    }
    request.push_str("\r\n");
    send(link, request.as_bytes()).await?;
    let head = read_head(link).await?;
    match status_of(&head) {
        Some(200..=299) => {
            if let Some(info) = fields(&head, "proxy-authentication-info").next() {
                logins.handle_info(proxy, info);
            }
            Ok(Opened::Through)
        }
        Some(407) => {
            let asks = fields(&head, "proxy-authenticate");
            match logins.handle_challenges(proxy, asks, asked)? {
                true => Ok(Opened::Asked),
                false => Err(ProxyFailure::Login),
            }
        }
        Some(status) => Err(ProxyFailure::Status(status)),
        None => Err(ProxyFailure::Language("HTTP")),
    }
}

/// Reads up to the empty line and not a byte beyond: those are the server's.
async fn read_head(link: &mut Link) -> Result<Vec<u8>, ProxyFailure> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= limits::PROXY_ANSWER_BYTES_MAX {
            return Err(ProxyFailure::Language("HTTP"));
        }
        head.push(link.read_u8().await?);
    }
    Ok(head)
}

/// `HTTP/1.1 200 Connection established`
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("HTTP/1.")?.get(1..)?.strip_prefix(' ')?;
    rest.get(..3)?.parse().ok()
}

/// The values of the fields of this name, which is in small letters.
fn fields<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let lines = lines.filter_map(|line| str::from_utf8(line).ok()?.split_once(':'));
    lines
        .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

const SOCKS_VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const WITH_PASSWORD: u8 = 2;

async fn open_socks(
    link: &mut Link,
    proxy: &Proxy,
    destination: &Destination,
) -> Result<(), ProxyFailure> {
    let greeting: &[u8] = match proxy.credentials {
        Some(_) => &[SOCKS_VERSION, 2, NO_LOGIN, WITH_PASSWORD],
        None => &[SOCKS_VERSION, 1, NO_LOGIN],
    };
    send(link, greeting).await?;
    let mut chosen = [0; 2];
    link.read_exact(&mut chosen).await?;
    match (chosen, &proxy.credentials) {
        ([SOCKS_VERSION, NO_LOGIN], _) => {}
        ([SOCKS_VERSION, WITH_PASSWORD], Some((name, password))) => {
            log_in(link, name, password.expose()).await?;
        }
        ([SOCKS_VERSION, _], _) => return Err(ProxyFailure::Login),
        _ => return Err(ProxyFailure::Language("SOCKS 5")),
    }
    send(link, &socks_request(destination)).await?;
    read_socks_answer(link).await
}

/// RFC 1929.
async fn log_in(link: &mut Link, name: &str, password: &str) -> Result<(), ProxyFailure> {
    let length = |text: &str| {
        let long = ProxyFailure::Credentials("SOCKS 5 takes names and passwords of 255 bytes");
        u8::try_from(text.len()).map_err(|_| long)
    };
    let mut message = zeroize::Zeroizing::new(vec![1, length(name)?]);
    message.extend_from_slice(name.as_bytes());
    message.push(length(password)?);
    message.extend_from_slice(password.as_bytes());
    send(link, &message).await?;
    let mut answer = [0; 2];
    link.read_exact(&mut answer).await?;
    if answer[1] == 0 {
        Ok(())
    } else {
        Err(ProxyFailure::Login)
    }
}

fn socks_request(destination: &Destination) -> Vec<u8> {
    let mut request = vec![SOCKS_VERSION, 1, 0];
    let port = match destination {
        Destination::Address(IpAddr::V4(address), port) => {
            request.push(1);
            request.extend(address.octets());
            port
        }
        Destination::Address(IpAddr::V6(address), port) => {
            request.push(4);
            request.extend(address.octets());
            port
        }
        Destination::Name(name, port) => {
            let length = u8::try_from(name.len()).expect("a host name has 253 bytes at most");
            request.extend([3, length]);
            request.extend(name.as_bytes());
            port
        }
    };
    request.extend(port.to_be_bytes());
    request
}

/// The answer ends with the address from which the proxy connects, which is of no use here.
async fn read_socks_answer(link: &mut Link) -> Result<(), ProxyFailure> {
    let mut head = [0; 4];
    link.read_exact(&mut head).await?;
    let [version, code, _, kind] = head;
    if version != SOCKS_VERSION {
        return Err(ProxyFailure::Language("SOCKS 5"));
    }
    if code != 0 {
        return Err(ProxyFailure::Refused(socks_refusal(code)));
    }
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(link.read_u8().await?),
        _ => return Err(ProxyFailure::Language("SOCKS 5")),
    };
    let mut rest = [0; 255 + 2];
    link.read_exact(&mut rest[..length + 2]).await?;
    Ok(())
}

/// RFC 1928, section 6.
const fn socks_refusal(code: u8) -> &'static str {
    match code {
        1 => "it failed",
        2 => "its rules do not allow that",
        3 => "it has no way to the server's network",
        4 => "it cannot reach the server",
        5 => "the server refused the connection",
        6 => "the way to the server is too long",
        7 => "it does not know the command",
        8 => "it does not know that kind of address",
        _ => "it refused, without a known reason",
    }
}

async fn send(link: &mut Link, bytes: &[u8]) -> io::Result<()> {
    link.write_all(bytes).await?;
    link.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_proxys_answer_is_read_strictly() {
        let cases: &[(&[u8], Option<u16>)] = &[
            (b"HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            (b"HTTP/1.0 407 x\r\n\r\n", Some(407)),
            (b"HTTP/1.1 200\r\n\r\n", Some(200)),
            (b"HTTP/2 200\r\n\r\n", None),
            (b"SSH-2.0-x\r\n\r\n", None),
            (b"", None),
        ];
        for (head, expected) in cases {
            assert_eq!(status_of(head), *expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn socks_is_told_names_and_both_kinds_of_address() {
        let name = socks_request(&Destination::Name("ab".into(), 258));
        assert_eq!(name, [5, 1, 0, 3, 2, b'a', b'b', 1, 2]);
        let four = socks_request(&Destination::Address([127, 0, 0, 1].into(), 80));
        assert_eq!(four, [5, 1, 0, 1, 127, 0, 0, 1, 0, 80]);
        let six = socks_request(&Destination::Address("::1".parse().expect("it is one"), 80));
        assert_eq!((six.len(), six[3], six[19]), (22, 4, 1));
    }
}
