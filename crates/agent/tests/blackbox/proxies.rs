//! Proxies that are not ours: tinyproxy for HTTP, microsocks for SOCKS5. Both ask for a name and a
//! password, unless they are open to all.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually::eventually;

pub(crate) const NAME: &str = "olga";
pub(crate) const PASSWORD: &str = "periwinkle";

/// A running proxy; ends with the test.
pub(crate) struct Proxy {
    scheme: &'static str,
    address: SocketAddr,
    child: Child,
    folder: TempDir,
    is_open: bool,
}

impl Proxy {
    pub(crate) fn http() -> Proxy {
        Proxy::new_http(false)
    }

    /// One that asks for nothing.
    #[cfg(feature = "mqtt")]
    pub(crate) fn open_http() -> Proxy {
        Proxy::new_http(true)
    }

    fn new_http(is_open: bool) -> Proxy {
        let access = match is_open {
            true => String::new(),
            false => format!("BasicAuth {NAME} {PASSWORD}\n"),
        };
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let log = folder.path().join("log");
        let config = folder.path().join("tinyproxy.conf");
        let text = format!(
            "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\n\
             LogFile \"{}\"\n{access}",
            address.port(),
            log.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&config);
        Proxy::start("http", address, folder, command, is_open)
    }

    pub(crate) fn socks() -> Proxy {
        Proxy::new_socks(false)
    }

    /// One that asks for nothing. It is given the broker's name, and looks it up.
    #[cfg(feature = "mqtt")]
    pub(crate) fn open_socks() -> Proxy {
        Proxy::new_socks(true)
    }

    fn new_socks(is_open: bool) -> Proxy {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &address.port().to_string()]);
        if !is_open {
            command.args(["-u", NAME, "-P", PASSWORD]);
        }
        let scheme = if is_open { "socks5h" } else { "socks5" };
        Proxy::start(scheme, address, folder, command, is_open)
    }

    fn start(
        scheme: &'static str,
        address: SocketAddr,
        folder: TempDir,
        mut command: Command,
        is_open: bool,
    ) -> Proxy {
        let said = fs::File::create(folder.path().join("said")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("proxies are there after `cargo xtask setup`");
        eventually("the proxy listens", || TcpStream::connect(address).ok());
        Proxy {
            scheme,
            address,
            child,
            folder,
            is_open,
        }
    }

    /// With name and password, if it asks for them.
    pub(crate) fn url(&self) -> String {
        match self.is_open {
            true => format!("{}://{}", self.scheme, self.address),
            false => format!("{}://{NAME}:{PASSWORD}@{}", self.scheme, self.address),
        }
    }

    /// With a wrong password.
    pub(crate) fn wrong_url(&self) -> String {
        format!("{}://{NAME}:wrong@{}", self.scheme, self.address)
    }

    /// How often it says to have made a connection for somebody to a place.
    pub(crate) fn connections_to(&self, place: &str) -> usize {
        let logs = ["log", "said"].map(|name| self.folder.path().join(name));
        let text: String = logs
            .iter()
            .map(|log| fs::read_to_string(log).unwrap_or_default())
            .collect();
        let told = |line: &&str| {
            (line.contains("Established connection") || line.contains("connected to"))
                && line.contains(place)
        };
        text.lines().filter(told).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
