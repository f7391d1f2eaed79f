//! Values that are right by themselves and wrong together.

use super::error::{ConfigError, Problem};
use super::keys::Config;
use super::listener::Scheme;
use super::mqtt::Broker;
use super::sources::Origin;
use super::types::{Credentials, Endpoint, ProxyAddress};
use super::watch::Watch;
use crate::limits::SOCKET_PATH_BYTES_MAX;
use crate::mqtt::address::Transport;

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
    judge.mqtt(config);
    judge.fetch(config);
    judge.sync(config);
    judge.credentials(config);
    judge.upload(config);
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
        let (certificate, key) = (web.tls_certificate.is_some(), web.tls_key.is_some());
        self.identity("web.tls_certificate", certificate, "web.tls_key", key);
        let tls = web.listen.iter().find(|l| l.scheme == Scheme::Https);
        if let Some(listener) = tls.filter(|_| !certificate && !key) {
            let why =
                format!("{listener} in `web.listen` needs `web.tls_certificate` and `web.tls_key`");
            self.refuse("web.listen", why);
        }
    }

    /// A certificate and its key are of use only together.
    fn identity(&mut self, certificate: &str, has_certificate: bool, key: &str, has_key: bool) {
        match (has_certificate, has_key) {
            (true, false) => {
                let why = format!("`{certificate}` needs its private key in `{key}`");
                self.refuse(certificate, why);
            }
            (false, true) => {
                let why = format!("`{key}` needs its certificate in `{certificate}`");
                self.refuse(key, why);
            }
            _ => {}
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

    fn mqtt(&mut self, config: &Config) {
        let mqtt = &config.mqtt;
        let (certificate, key) = (mqtt.certificate.is_some(), mqtt.key.is_some());
        self.identity("mqtt.certificate", certificate, "mqtt.key", key);
        let pairs = [
            (
                "will_payload",
                mqtt.will_payload.is_some(),
                "will_topic",
                mqtt.will_topic.is_some(),
            ),
            ("sign", mqtt.sign, "region", mqtt.region.is_some()),
            ("enable", mqtt.enable, "url", mqtt.url.is_some()),
        ];
        for (key, is_set, other, is_other_set) in pairs {
            if is_set && !is_other_set {
                self.refuse(
                    &format!("mqtt.{key}"),
                    format!("`mqtt.{key}` needs `mqtt.{other}`"),
                );
            }
        }
        if mqtt.password.is_some() && mqtt.password_file.is_some() {
            let why = "`mqtt.password` and `mqtt.password_file` cannot both be set";
            self.refuse("mqtt.password", why);
        }
        self.proxy("mqtt", mqtt.proxy.as_ref(), mqtt.proxy_login_file.is_some());
        let Some(Broker(address)) = &mqtt.url else {
            return;
        };
        if mqtt.sign && address.transport != Transport::SecureWebSocket {
            self.refuse(
                "mqtt.sign",
                "`mqtt.sign` needs a `wss://` address in `mqtt.url`",
            );
        }
        let says_secrets = mqtt.password.is_some() || mqtt.password_file.is_some();
        if says_secrets && !address.transport.is_secure() && !address.is_loopback() {
            self.hints.push(format!(
                "`mqtt.url` {address} has no TLS: the password can be read on the way"
            ));
        }
    }

    fn fetch(&mut self, config: &Config) {
        let fetch = &config.fetch;
        let (certificate, key) = (fetch.certificate.is_some(), fetch.key.is_some());
        self.identity("fetch.certificate", certificate, "fetch.key", key);
        self.proxy(
            "fetch",
            fetch.proxy.as_ref(),
            fetch.proxy_login_file.is_some(),
        );
    }

    /// One login, for a proxy that is there.
    fn proxy(&mut self, section: &str, proxy: Option<&ProxyAddress>, has_login_file: bool) {
        let file = format!("{section}.proxy_login_file");
        match proxy {
            None if has_login_file => {
                let why = format!("`{file}` is used only with `{section}.proxy`");
                self.refuse(&file, why);
            }
            Some(ProxyAddress(proxy)) if has_login_file && proxy.credentials.is_some() => {
                let why = format!("`{file}` cannot be set when `{section}.proxy` holds a login");
                self.refuse(&file, why);
            }
            _ => {}
        }
    }

    fn sync(&mut self, config: &Config) {
        let sync = &config.sync;
        self.endpoint("sync", sync.endpoint.as_ref(), sync.insecure_endpoint);
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

    /// Without TLS only to this machine, unless somebody says otherwise.
    fn endpoint(&mut self, section: &str, endpoint: Option<&Endpoint>, insecure: bool) {
        let Some(endpoint) = endpoint else {
            return;
        };
        let open = endpoint.scheme() == Scheme::Http && !endpoint.is_loopback();
        if open && !insecure {
            let key = format!("{section}.endpoint");
            let why = format!(
                "`{key}` {endpoint} has no TLS and is not this machine: use `https://`, or set \
                 `{section}.insecure_endpoint = true` in a test network"
            );
            self.refuse(&key, why);
        }
    }

    fn upload(&mut self, config: &Config) {
        let upload = &config.upload;
        self.endpoint("upload", upload.endpoint.as_ref(), upload.insecure_endpoint);
        self.watches(&upload.watch);
        if !upload.enable {
            return;
        }
        if upload.bucket.is_none() {
            let why = "`upload.enable` needs the bucket's name in `upload.bucket`";
            self.refuse("upload.enable", why);
        }
        if upload.region.is_none() {
            let why = "`upload.enable` needs the bucket's region in `upload.region`";
            self.refuse("upload.enable", why);
        }
    }

    /// Each state of a file is uploaded once, whoever finds it first.
    fn watches(&mut self, watches: &[Watch]) {
        for (index, watch) in watches.iter().enumerate() {
            let pattern = &watch.pattern;
            for other in &watches[..index] {
                if other.pattern == *pattern {
                    let why = format!(
                        "`upload.watch` names {pattern} twice, and a file is uploaded once only"
                    );
                    self.refuse("upload.watch", why);
                } else if other.pattern.overlaps(pattern) {
                    self.hints.push(format!(
                        "`upload.watch` {} and {pattern} may name the same files: each is uploaded \
                         once, by the one that finds it first",
                        other.pattern
                    ));
                }
            }
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
