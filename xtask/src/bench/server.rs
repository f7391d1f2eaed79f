//! Servers that run as long as a benchmark needs them.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::agent::pinned;

/// Ends with the benchmark.
pub(super) struct Server(pub(super) Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx in this folder, on this port and core, with these lines for its one server.
pub(super) fn nginx(folder: &Path, port: u16, core: &str, lines: &str) -> Result<Server> {
    let config = folder.join("nginx.conf");
    fs::write(&config, nginx_configuration(port, lines))?;
    let mut command = pinned(Path::new("nginx"), Some(core));
    command.arg("-p").arg(folder).arg("-c").arg(&config);
    let server = Server(command.args(["-e", "error.log"]).spawn()?);
    wait_for(port)?;
    Ok(server)
}

/// One process, no log, no end to a connection's requests.
fn nginx_configuration(port: u16, lines: &str) -> String {
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
    uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {{
        listen 127.0.0.1:{port};
        {lines}
    }}
}}
"
    )
}

/// Waits until something listens.
pub(super) fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("nothing listens on port {port}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
