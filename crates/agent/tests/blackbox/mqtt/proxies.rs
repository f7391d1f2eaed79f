//! Proxies between the client and its broker, as networks of factories have them.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use periwinkle::mqtt::{OfflineKind, QoS};

use super::broker::{Mosquitto, Setup};
use super::secure::{check_exchange, identity, refusal, secured, trusting};
use super::{connected, in_time, next, options};
use crate::certificates::Authority;
use crate::proxies;

/// A proxy that makes connections in this way.
struct Proxy {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
}

/// Reads what the client asks for, connects, and says so.
type Handshake = fn(&mut TcpStream) -> io::Result<TcpStream>;

impl Proxy {
    fn start(handshake: Handshake) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::new(AtomicUsize::new(0));
        let count = tunnels.clone();
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let count = count.clone();
                thread::spawn(move || {
                    let server = handshake(&mut client)?;
                    count.fetch_add(1, Ordering::SeqCst);
                    both_ways(client, server)
                });
            }
        });
        Proxy { address, tunnels }
    }
}

fn both_ways(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    let (mut from, mut to) = (server, client);
    io::copy(&mut from, &mut to).map(drop)
}

/// `CONNECT host:port`, with a user and a password.
fn connect(client: &mut TcpStream) -> io::Result<TcpStream> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // ada:lovelace
    let credentials = "proxy-authorization: basic ywrhomxvdmvsywnl";
    if !head.to_ascii_lowercase().contains(credentials) {
        client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\
              proxy-authenticate: Basic realm=\"the way out\"\r\ncontent-length: 0\r\n\r\n",
        )?;
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    let server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    Ok(server)
}

/// SOCKS version 5 without a user, to a name (RFC 1928).
fn socks(client: &mut TcpStream) -> io::Result<TcpStream> {
    let mut two = [0; 2];
    client.read_exact(&mut two)?;
    let mut methods = vec![0; two[1].into()];
    client.read_exact(&mut methods)?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    assert_eq!(
        &request[..4],
        &[5, 1, 0, 3],
        "a connection to a name is asked for"
    );
    let mut name = vec![0; request[4].into()];
    client.read_exact(&mut name)?;
    client.read_exact(&mut two)?;
    let name = String::from_utf8_lossy(&name).into_owned();
    let server = TcpStream::connect((&*name, u16::from_be_bytes(two)))?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(server)
}

async fn check(proxy: &Proxy, url: String) {
    let broker = Mosquitto::plain();
    let mut options = options(&broker, "ours");
    options.proxy = Some(url.parse().expect("it is a proxy's address"));
    let mqtt = connected(options).await;
    let mut echo = mqtt
        .subscribe("echo", QoS::AtLeastOnce)
        .await
        .expect("granted");
    let sent = mqtt
        .publish("echo", "through")
        .qos(QoS::AtLeastOnce)
        .acked();
    in_time("an acknowledgement", sent)
        .await
        .expect("it is taken");
    assert_eq!(next(&mut echo).await.text(), Some("through"));
    assert_eq!(
        proxy.tunnels.load(Ordering::SeqCst),
        1,
        "it went through the proxy"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_the_web_is_asked_for_a_tunnel_with_a_password() {
    let proxy = Proxy::start(connect);
    check(&proxy, format!("http://ada:lovelace@{}", proxy.address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socks_proxy_looks_the_name_up_and_carries_the_connection() {
    let proxy = Proxy::start(socks);
    check(&proxy, format!("socks5h://{}", proxy.address)).await;
}

/// TLS with a certificate on both sides, with and without a WebSocket in it.
async fn check_secure(proxy: &proxies::Proxy) {
    let authority = Authority::new();
    let mutual = || secured(&authority, "require_certificate true\n");
    for (before, setup) in [mutual(), mutual().websockets("wss")]
        .into_iter()
        .enumerate()
    {
        let broker = Mosquitto::new(setup);
        let mut known = trusting(&broker, &authority);
        known.tls.identity = Some(identity(&authority));
        known.proxy = Some(proxy.url().parse().expect("it is an address"));
        assert_eq!(proxy.connections_to(""), before, "{}", proxy.url());
        check_exchange(known).await;
        assert_eq!(proxy.connections_to(""), before + 1, "{}", proxy.url());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_wss_with_a_certificate_go_through_a_proxy_of_the_web() {
    check_secure(&proxies::Proxy::open_http()).await;
    check_secure(&proxies::Proxy::http()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_wss_with_a_certificate_go_through_a_socks_proxy() {
    check_secure(&proxies::Proxy::open_socks()).await;
    check_secure(&proxies::Proxy::socks()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_know_the_password_is_named() {
    let broker = Mosquitto::new(Setup::default().websockets("ws"));
    for proxy in [proxies::Proxy::http(), proxies::Proxy::socks()] {
        let mut options = options(&broker, "ours");
        options.proxy = Some(proxy.wrong_url().parse().expect("it is an address"));
        let why = refusal(options).await;
        assert_eq!(why.kind(), OfflineKind::Proxy, "{why}");
        assert!(!why.to_string().contains("wrong"), "{why}");
    }
}
