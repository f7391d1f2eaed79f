//! The services `web` and `control`: bind the configured listeners and serve them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use periwinkle_core::config::{self, ListenHost, Scheme, Web};
use periwinkle_core::limits;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::accounts::Accounts;
use super::dispatch::Dispatch;
use super::server::{ConnectionLimits, Server};
use crate::net::listen::Listener;
use crate::net::tls;
use crate::stop::stop;
use crate::supervise::{ServiceContext, ServiceError};

/// The network side of the web server.
#[derive(Clone, Debug)]
pub struct WebService {
    /// The configuration.
    pub web: Web,
    /// What requests are handed to.
    pub dispatch: Arc<Dispatch>,
    /// Where is really listened, for the status.
    pub listening: Arc<RwLock<Vec<String>>>,
    /// How long open connections may go on at a stop.
    pub drain_timeout: Duration,
}

impl WebService {
    /// Serves until it is asked to stop. Without an owner only loopback is served; as soon as
    /// there is one, every configured address is.
    pub async fn run(self, mut ctx: ServiceContext) -> Result<(), ServiceError> {
        let mut owner = self.dispatch.accounts.owner_known();
        let server = Arc::new(Server::new(self.dispatch.clone(), self.limits()));
        let sweeper = self.dispatch.accounts.clone();
        let _sweep = AbortOnDrop(tokio::spawn(async move { sweep(&sweeper).await }));
        loop {
            let known = *owner.borrow_and_update();
            let (listeners, restricted) = self.bind(known)?;
            let (stopper, phase) = stop();
            let mut serving = JoinSet::new();
            let mut closed = Vec::new();
            for mut listener in listeners {
                closed.push(listener.closed());
                let (server, phase) = (server.clone(), phase.clone());
                serving.spawn(async move { server.serve(listener, phase).await });
            }
            ctx.ready();
            let stopped = tokio::select! {
                () = ctx.stop.requested() => true,
                () = changed(&mut owner), if restricted => false,
            };
            stopper.stop();
            if stopped {
                while serving.join_next().await.is_some() {}
                return Ok(());
            }
            // The addresses have to be free before they are taken anew. The session that was
            // just made goes on over its own connection.
            for closed in closed {
                let _ = closed.await;
            }
            serving.detach_all();
        }
    }

    fn limits(&self) -> ConnectionLimits {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        ConnectionLimits {
            connections_max: number(self.web.connections_max),
            connections_per_address_max: number(self.web.connections_per_address_max),
            header_bytes_max: self.web.header_bytes_max.as_usize(),
            header_timeout: self.web.header_timeout,
            idle_timeout: self.web.idle_timeout.duration(),
            drain_timeout: self.drain_timeout,
        }
    }

    /// Binds every listener; also whether some were held back because there is no owner.
    fn bind(&self, owner_known: bool) -> Result<(Vec<Listener>, bool), ServiceError> {
        let mut restricted = false;
        let mut listeners = Vec::new();
        for listen in &self.web.listen {
            let tls = match listen.scheme {
                Scheme::Http => None,
                Scheme::Https => Some(self.tls()?),
            };
            let (addresses, held_back) = addresses(listen, owner_known);
            restricted |= held_back;
            for (index, address) in addresses.into_iter().enumerate() {
                match Listener::tcp(address, tls.clone()) {
                    Ok(listener) => listeners.push(listener),
                    // `localhost` and `*` mean IPv6 where there is IPv6.
                    Err(error) if index > 0 => tracing::debug!("{address} is left out: {error}"),
                    Err(error) => return Err(cannot_listen(address, &error)),
                }
            }
        }
        let shown: Vec<String> = listeners.iter().map(shown).collect();
        for url in &shown {
            let held_back = if restricted {
                " (loopback only until there is an owner)"
            } else {
                ""
            };
            tracing::info!("listening on {url}{held_back}");
        }
        *self
            .listening
            .write()
            .expect("no holder of the list panics") = shown;
        Ok((listeners, restricted))
    }

    fn tls(&self) -> Result<Arc<rustls::ServerConfig>, ServiceError> {
        let both = self
            .web
            .tls_certificate
            .as_deref()
            .zip(self.web.tls_key.as_deref());
        let (certificate, key) = both.ok_or_else(|| {
            ServiceError::new("https:// listeners need web.tls_certificate and web.tls_key")
        })?;
        Ok(tls::server(certificate, key)?)
    }
}

/// Ends sessions whose time is over, so that their rows go.
async fn sweep(accounts: &Accounts) {
    let mut ticks = tokio::time::interval(limits::SESSION_SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(problem) = accounts.sweep() {
            tracing::warn!(?problem, "old sessions stay for now");
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for the owner; never resolves when nobody can make one any more.
async fn changed(owner: &mut watch::Receiver<bool>) {
    if owner.wait_for(|known| *known).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> ServiceError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it; stop that one or change web.listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 need the right to bind them",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "see web.listen in the configuration",
    };
    ServiceError::new(format!("cannot listen on {address}: {error}; {advice}"))
}

fn shown(listener: &Listener) -> String {
    let scheme = if listener.tls().is_some() {
        "https"
    } else {
        "http"
    };
    listener
        .address()
        .map_or_else(String::new, |address| format!("{scheme}://{address}"))
}

/// The addresses that a listener of the configuration stands for, and whether some were held
/// back. The first one has to work, the others may be missing on this machine.
fn addresses(listen: &config::Listener, owner_known: bool) -> (Vec<SocketAddr>, bool) {
    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let (hosts, held_back) = match listen.host {
        ListenHost::Localhost => (vec![V4, V6], false),
        ListenHost::Address(address) if address.is_loopback() => (vec![address], false),
        ListenHost::Address(_) | ListenHost::Any if !owner_known => (vec![V4, V6], true),
        ListenHost::Address(address) => (vec![address], false),
        ListenHost::Any => (
            vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            false,
        ),
    };
    (
        hosts
            .into_iter()
            .map(|host| SocketAddr::new(host, listen.port))
            .collect(),
        held_back,
    )
}

/// The control socket, by which this machine's own programs speak to the agent.
#[derive(Clone, Debug)]
pub struct ControlService {
    /// Where the socket is.
    pub path: PathBuf,
    /// What requests are handed to.
    pub dispatch: Arc<Dispatch>,
    /// How long open connections may go on at a stop.
    pub drain_timeout: Duration,
}

impl ControlService {
    /// Serves until it is asked to stop.
    pub async fn run(self, mut ctx: ServiceContext) -> Result<(), ServiceError> {
        let listener = Listener::unix(&self.path).map_err(|error| {
            let path = self.path.display();
            ServiceError::new(format!("cannot make the control socket {path}: {error}"))
        })?;
        let bounds = ConnectionLimits {
            connections_max: limits::CONTROL_CONNECTIONS_MAX,
            connections_per_address_max: limits::CONTROL_CONNECTIONS_MAX,
            header_bytes_max: usize::try_from(limits::WEB_HEADER_BYTES_MAX).unwrap_or(usize::MAX),
            header_timeout: limits::WEB_HEADER_TIMEOUT,
            idle_timeout: Some(limits::WEB_IDLE_TIMEOUT),
            drain_timeout: self.drain_timeout,
        };
        let server = Server::new(self.dispatch.clone(), bounds);
        ctx.ready();
        server.serve(listener, ctx.stop.clone()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_owner_only_loopback_is_served() {
        let table = [
            ("http://*:80", false, "127.0.0.1:80 [::1]:80", true),
            ("http://*:80", true, "0.0.0.0:80 [::]:80", false),
            ("http://10.1.2.3:80", false, "127.0.0.1:80 [::1]:80", true),
            ("http://10.1.2.3:80", true, "10.1.2.3:80", false),
            ("http://127.0.0.1:8080", false, "127.0.0.1:8080", false),
            (
                "http://localhost:8080",
                true,
                "127.0.0.1:8080 [::1]:8080",
                false,
            ),
        ];
        for (text, owner_known, expected, expected_held_back) in table {
            let listen = text.parse().expect("it is a listener");
            let (found, held_back) = addresses(&listen, owner_known);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(
                (found.join(" "), held_back),
                (expected.into(), expected_held_back),
                "{text}"
            );
        }
    }
}
