//! The client as the section `[fetch]` of the configuration has it.

use periwinkle_core::config::{BypassEntry, Config, Fetch as Section};
use periwinkle_core::fetch::proxy::{Bypass, ProxyRules};

use super::client::FetchOptions;
use super::error::FetchError;
use super::request::Deadlines;
use crate::net::client_tls::{ClientCertificate, ClientTlsError, Trust};
use crate::net::clock::Clock;
use crate::net::dial::Patience;
use crate::secret_file;

impl FetchOptions {
    /// The options of the configuration.
    pub(crate) fn configured(config: &Config, clock: &Clock) -> Result<FetchOptions, FetchError> {
        let section = &config.fetch;
        let each = section.connect_timeout;
        let mut options = FetchOptions::new(clock)
            .proxies(proxies(section)?)
            .patience(Patience {
                resolve: each,
                connect: each,
                proxy: each,
                tls: each,
            })
            .deadlines(Deadlines {
                first_byte: section.first_byte_timeout,
                between_bytes: section.idle_timeout,
                ..Deadlines::default()
            })
            .redirects(section.redirects_max)
            .retries(section.retries_max);
        if !section.ca.is_empty() {
            options = options.trust(Trust::Also(section.ca.clone()));
        }
        if let Some((certificate, key)) = section.certificate.as_ref().zip(section.key.as_ref()) {
            let ours = ClientCertificate::from_files(certificate, key);
            options = options.certificate(ours.map_err(ClientTlsError::from)?);
        }
        let region = section.region.as_ref().or(config.sync.region.as_ref());
        Ok(match region {
            Some(region) => options.region(region.as_str()),
            None => options,
        })
    }
}

fn proxies(section: &Section) -> Result<ProxyRules, FetchError> {
    let Some(address) = &section.proxy else {
        return Ok(ProxyRules::default());
    };
    let wrong = |key, error: &dyn std::fmt::Display| FetchError::Config {
        key,
        reason: error.to_string(),
    };
    let proxy = secret_file::proxy(address, section.proxy_login_file.as_deref())
        .map_err(|error| wrong("fetch.proxy_login_file", &error))?;
    let bypass: Vec<&str> = section.no_proxy.iter().map(BypassEntry::as_str).collect();
    let bypass =
        Bypass::parse(&bypass.join(",")).map_err(|error| wrong("fetch.no_proxy", &error))?;
    Ok(ProxyRules::all(proxy, bypass))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use periwinkle_core::config::ProxyAddress;

    use super::super::test_server::{Server, answer};
    use super::*;

    fn options(change: impl FnOnce(&mut Section)) -> Result<FetchOptions, FetchError> {
        let mut config = Config::default();
        change(&mut config.fetch);
        FetchOptions::configured(&config, &Clock::new(Path::new("/nonexistent")))
    }

    fn config_text(text: &str) -> Config {
        let sources = periwinkle_core::config::Sources {
            file: Some(periwinkle_core::config::File { name: "x", text }),
            environment: Vec::new(),
            profile: None,
            overrides: Vec::new(),
            features: &["fetch"],
        };
        let loaded = periwinkle_core::config::load(&sources);
        loaded
            .map_err(|errors| errors.to_string())
            .expect("it is right")
            .config
    }

    #[tokio::test]
    async fn plain_requests_go_to_the_proxy_with_their_whole_address_and_the_login() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let login = folder.path().join("login");
        fs::write(&login, "na:pa\n").expect("it is ours");
        let proxy = Server::new(|_, seen| match seen.field("proxy-authorization") {
            Some(_) => answer("200 OK", "by proxy"),
            None => answer("407 x\r\nproxy-authenticate: Basic realm=\"r\"", ""),
        })
        .await;
        let text = format!(
            "[fetch]\nproxy = 'http://127.0.0.1:{}'\nproxy_login_file = '{}'\nno_proxy = ['direct.invalid']\nretries_max = 0",
            proxy.port,
            login.display()
        );
        let config = config_text(&text);
        let clock = Clock::new(Path::new("/nonexistent"));
        let options = FetchOptions::configured(&config, &clock).expect("the file is there");
        let fetch = options.build().expect("no authorities");
        let page = fetch.get_text("http://far.invalid/a?b").await;
        assert_eq!(page.expect("the proxy answers"), "by proxy");
        let seen = &proxy.seen()[1];
        assert_eq!(seen.line, "GET http://far.invalid/a?b");
        assert_eq!(seen.field("proxy-authorization"), Some("Basic bmE6cGE="));
        assert_eq!(seen.field("host"), Some("far.invalid"));
        let error = fetch
            .get_text("http://direct.invalid/")
            .await
            .expect_err("it is no host");
        assert!(
            error
                .to_string()
                .starts_with("direct.invalid cannot be resolved"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_missing_or_wrong_is_named_with_its_key() {
        let error = options(|section| {
            section.proxy = Some(ProxyAddress("http://p".parse().expect("it is one")));
            section.proxy_login_file = Some("/nonexistent".into());
        });
        let text = error.expect_err("it is missing").to_string();
        assert!(
            text.starts_with("fetch.proxy_login_file: /nonexistent: "),
            "{text}"
        );
        let error = options(|section| {
            section.certificate = Some("/nonexistent/c".into());
            section.key = Some("/nonexistent/k".into());
        });
        let text = error.expect_err("it is missing").to_string();
        assert!(text.starts_with("/nonexistent/c: "), "{text}");
    }
}
