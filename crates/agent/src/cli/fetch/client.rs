//! The client, as the options, the configuration and the environment ask for it.

use periwinkle_core::config::{Config, Credentials};
use periwinkle_core::fetch::proxy::{Bypass, Proxy, ProxyRules};

use super::args::Fetch as Options;
use super::words::failure;
use crate::cli::failure::Failure;
use crate::cli::output::{self, plain};
use crate::cloud::credentials::CredentialSource;
use crate::fetch::{ClientCertificate, CredentialsSource, Fetch, FetchOptions, Trust};
use crate::net::clock::Clock;

/// The client of one command: as the section `[fetch]` has it, where no option says otherwise.
pub(super) fn client(config: &Config, options: &Options) -> Result<Fetch, Failure> {
    let clock = Clock::configured(&config.runtime);
    let follow = config.fetch.redirects_max.max(1);
    let mut fetch = FetchOptions::configured(config, &clock)
        .map_err(|error| failure(&error))?
        .redirects(if options.follow { follow } else { 0 })
        .retries(options.retries())
        .credentials(credentials(options, config));
    if let Some(proxies) = proxies(options, config)? {
        fetch = fetch.proxies(proxies);
    }
    if let Some(authority) = &options.ca {
        fetch = fetch.trust(Trust::Only(vec![authority.clone()]));
    }
    if let (Some(certificate), Some(key)) = (&options.cert, &options.key) {
        let identity = ClientCertificate::from_files(certificate, key);
        fetch = fetch.certificate(identity.map_err(|error| Failure::input(error.to_string()))?);
    }
    if let Some(region) = region(options, config) {
        fetch = fetch.region(region);
    }
    fetch.build().map_err(|error| failure(&error))
}

/// The proxy of the option; without one in the configuration, those that the environment names, as
/// every tool has it.
fn proxies(options: &Options, config: &Config) -> Result<Option<ProxyRules>, Failure> {
    let mistake = |error: &dyn std::fmt::Display| Failure::usage(format!("--proxy: {error}"));
    match options.proxy.as_deref() {
        Some("none") => Ok(Some(ProxyRules::default())),
        Some(url) => {
            let proxy = Proxy::parse(url).map_err(|error| mistake(&error))?;
            Ok(Some(ProxyRules::all(proxy, Bypass::default())))
        }
        None if config.fetch.proxy.is_some() => Ok(None),
        None => {
            let (rules, ignored) = ProxyRules::from_variables(|name| std::env::var(name).ok());
            for error in ignored {
                output::complain(&format!(
                    "no_proxy: {}; it is ignored",
                    plain(&error.to_string())
                ));
            }
            Ok(Some(rules))
        }
    }
}

/// The option; without one in the configuration, what every tool of AWS knows.
fn region(options: &Options, config: &Config) -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|region| !region.is_empty());
    let configured = config.fetch.region.is_some() || config.sync.region.is_some();
    match &options.region {
        None if !configured => variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
        given => given.clone(),
    }
}

/// The keys of the option, or those of replication.
fn credentials(options: &Options, config: &Config) -> CredentialsSource {
    let mut sync = config.sync.clone();
    if let Some(file) = &options.credentials {
        sync.credentials = Credentials::File;
        sync.credentials_file = Some(file.clone());
    }
    CredentialSource::new(&sync).to_fetch()
}
