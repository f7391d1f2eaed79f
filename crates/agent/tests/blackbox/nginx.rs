//! nginx as the server on the other side, plain or with a certificate.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::certificates::Identity;
use crate::eventually::eventually;

/// Leads to this machine, and is none of its names.
pub(crate) const FAR: &str = "0.0.0.0";

/// A running nginx with files and a log of its own; ends with the test.
pub(crate) struct Nginx {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    is_tls: bool,
}

impl Nginx {
    pub(crate) fn plain() -> Nginx {
        Nginx::start("", false)
    }

    /// Shows this certificate; with an authority, it asks clients for one of that authority.
    pub(crate) fn tls(identity: &Identity, clients: Option<&Path>) -> Nginx {
        let mut lines = format!(
            "ssl_certificate {}; ssl_certificate_key {};",
            identity.certificate.display(),
            identity.key.display()
        );
        if let Some(authority) = clients {
            let authority = authority.display();
            lines += &format!("ssl_client_certificate {authority}; ssl_verify_client on;");
        }
        Nginx::start(&lines, true)
    }

    fn start(tls: &str, is_tls: bool) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for name in ["files", "private", "put"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // olga, periwinkle: in the one form of passwords that needs no other program.
        fs::write(folder.path().join("passwords"), "olga:{PLAIN}periwinkle\n").unwrap();
        fs::write(folder.path().join("private/page"), "for Olga\n").unwrap();
        let config = folder.path().join("nginx.conf");
        fs::write(&config, configuration(address, tls, is_tls)).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config)
            .args(["-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is there after `cargo xtask setup`");
        let nginx = Nginx {
            child,
            folder,
            address,
            is_tls,
        };
        eventually("nginx listens", || TcpStream::connect(address).ok());
        nginx
    }

    /// With the name `localhost`, which the certificates of a good server carry.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// The same server by an address that counts as another machine's, before which a proxy may
    /// stand.
    pub(crate) fn far_url(&self, path: &str) -> String {
        self.url(path).replacen("localhost", FAR, 1)
    }

    /// Makes a file that is served as `/files/NAME`.
    pub(crate) fn file(&self, name: &str, content: &[u8]) {
        fs::write(self.place(&format!("files/{name}")), content).unwrap();
    }

    /// Where a file that was put as `/put/NAME` lies.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One line a request: method, target, status, bytes of the request, the field `Authorization`.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place("access.log")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(address: SocketAddr, tls: &str, is_tls: bool) -> String {
    let ssl = if is_tls { " ssl" } else { "" };
    let port = address.port();
    format!(
        r#"daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    log_format line '$request_method $request_uri $status $request_length $http_authorization';
    access_log access.log line;
    default_type text/plain;
    gzip_types text/plain;
    gzip_min_length 1;
    client_max_body_size 0;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {{
        listen 127.0.0.1:{port}{ssl};
        {tls}
        absolute_redirect off;
        root .;
        location = /hello {{ return 200 'hello\n'; }}
        location = /seen {{ return 200 '$request_method $request_uri|$http_x_test|$http_user_agent|$http_host\n'; }}
        location = /authorized {{ return 200 '$http_authorization|$http_cookie\n'; }}
        location = /client {{ return 200 '$ssl_client_s_dn\n'; }}
        location = /moved/301 {{ return 301 /seen?moved; }}
        location = /moved/303 {{ return 303 /seen?moved; }}
        location = /moved/307 {{ return 307 /seen?moved; }}
        location = /missing {{ return 404 'no such page\n'; }}
        location = /broken {{ return 500 'out of order\n'; }}
        location = /busy {{ return 503 'later\n'; }}
        location = /cookie {{ add_header Set-Cookie 'flower=periwinkle; Path=/'; return 302 /authorized; }}
        location /files/ {{ }}
        location /zipped/ {{ alias files/; gzip on; }}
        location /private/ {{ auth_basic 'the garden'; auth_basic_user_file passwords; }}
        location /put/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
"#
    )
}
