//! Values that are right by themselves and wrong together.

use super::error::{ConfigError, Problem};
use super::keys::Config;
use super::listener::Scheme;
use super::sources::Origin;
use super::types::Credentials;
use crate::limits::SOCKET_PATH_BYTES_MAX;

/// What is impossible, with the place of the key that asks for it; and what is possible but
/// probably not meant.
pub(super) fn judge(
    config: &Config,
    origin: &dyn Fn(&str) -> Origin,
) -> (Vec<ConfigError>, Vec<String>) {
    let mut judge = Judge {
        origin,
        errors: Vec::new(),
        hints: Vec::new(),
    };
    judge.listeners(config);
    judge.tls(config);
    judge.control_socket(config);
    judge.metrics(config);
    judge.fetch(config);
    judge.sync(config);
    judge.credentials(config);
    (judge.errors, judge.hints)
}

struct Judge<'a> {
    origin: &'a dyn Fn(&str) -> Origin,
    errors: Vec<ConfigError>,
    hints: Vec<String>,
}

impl Judge<'_> {
    fn refuse(&mut self, key: &str, why: impl Into<String>) {
        let problem = Problem::Combination(why.into());
        self.errors
            .push(ConfigError::new((self.origin)(key), problem));
    }

    fn listeners(&mut self, config: &Config) {
        let listen = &config.web.listen;
        for (index, listener) in listen.iter().enumerate() {
            let taken = |other: &super::Listener| {
                other.host == listener.host && other.port == listener.port && other.port != 0
            };
            if listen[..index].iter().any(taken) {
                let why = format!("`web.listen` names the address of {listener} twice");
                self.refuse("web.listen", why);
            }
            let open = listener.scheme == Scheme::Http && !listener.is_loopback();
            match (open, config.web.insecure_login) {
                (true, false) => self.hints.push(format!(
                    "{listener} has no TLS: logins are refused there, unless `web.insecure_login` \
                     is true"
                )),
                (true, true) => self.hints.push(format!(
                    "{listener} has no TLS and `web.insecure_login` is true: passwords can be \
                     read on the way"
                )),
                (false, _) => {}
            }
        }
    }

    fn tls(&mut self, config: &Config) {
        let web = &config.web;
        match (&web.tls_certificate, &web.tls_key) {
            (Some(_), None) => self.refuse(
                "web.tls_certificate",
                "`web.tls_certificate` needs its private key in `web.tls_key`",
            ),
            (None, Some(_)) => self.refuse(
                "web.tls_key",
                "`web.tls_key` needs its certificate in `web.tls_certificate`",
            ),
            (None, None) => {
                let tls = web.listen.iter().find(|l| l.scheme == Scheme::Https);
                if let Some(listener) = tls {
                    let why = format!(
                        "{listener} in `web.listen` needs `web.tls_certificate` and `web.tls_key`"
                    );
                    self.refuse("web.listen", why);
                }
            }
            (Some(_), Some(_)) => {}
        }
    }

    fn control_socket(&mut self, config: &Config) {
        let length = config.control_socket().as_os_str().len();
        if length <= SOCKET_PATH_BYTES_MAX {
            return;
        }
        let (key, remedy) = match config.control.socket {
            Some(_) => ("control.socket", "choose a shorter one"),
            None => (
                "runtime.state",
                "set `control.socket` to a shorter path, such as \"/run/periwinkle.sock\"",
            ),
        };
        let why = format!(
            "the path of the control socket has {length} bytes and Linux takes \
             {SOCKET_PATH_BYTES_MAX}: {remedy}"
        );
        self.refuse(key, why);
    }

    fn metrics(&mut self, config: &Config) {
        if config.metrics.row < config.metrics.interval {
            let key = match (self.origin)("metrics.row") {
                Origin::Default => "metrics.interval",
                _ => "metrics.row",
            };
            self.refuse(
                key,
                "`metrics.row` sums up samples and cannot be shorter than `metrics.interval`",
            );
        }
    }

    fn fetch(&mut self, config: &Config) {
        let fetch = &config.fetch;
        match (&fetch.certificate, &fetch.key) {
            (Some(_), None) => self.refuse(
                "fetch.certificate",
                "`fetch.certificate` needs its private key in `fetch.key`",
            ),
            (None, Some(_)) => self.refuse(
                "fetch.key",
                "`fetch.key` needs its certificate in `fetch.certificate`",
            ),
            _ => {}
        }
        if fetch.proxy.is_none() && fetch.proxy_login_file.is_some() {
            self.refuse(
                "fetch.proxy_login_file",
                "`fetch.proxy_login_file` is used only with `fetch.proxy`",
            );
        }
    }

    fn sync(&mut self, config: &Config) {
        let sync = &config.sync;
        if let Some(endpoint) = &sync.endpoint {
            let open = endpoint.scheme() == Scheme::Http && !endpoint.is_loopback();
            if open && !sync.insecure_endpoint {
                let why = format!(
                    "`sync.endpoint` {endpoint} has no TLS and is not this machine: use \
                     `https://`, or set `sync.insecure_endpoint = true` in a test network"
                );
                self.refuse("sync.endpoint", why);
            }
        }
        if !sync.enable {
            return;
        }
        if sync.table.is_none() {
            let why = "`sync.enable` needs the table's name in `sync.table`";
            self.refuse("sync.enable", why);
        }
        if sync.region.is_none() {
            let why = "`sync.enable` needs the table's region in `sync.region`";
            self.refuse("sync.enable", why);
        }
    }

    fn credentials(&mut self, config: &Config) {
        let sync = &config.sync;
        match (sync.credentials, &sync.credentials_file) {
            (Credentials::File, None) => self.refuse(
                "sync.credentials",
                "`sync.credentials = \"file\"` needs the file in `sync.credentials_file`",
            ),
            // Only where nobody chose: a profile may well go back to the environment.
            (Credentials::Environment, Some(_))
                if (self.origin)("sync.credentials") == Origin::Default =>
            {
                self.refuse(
                    "sync.credentials_file",
                    "`sync.credentials_file` is used only with `sync.credentials = \"file\"`",
                );
            }
            _ => {}
        }
    }
}
