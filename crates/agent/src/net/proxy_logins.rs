//! What proxies of HTTP want of those who log in.
//!
//! A proxy is not sent the password before it has asked: it may want Digest, which shows the
//! password to nobody on the way.

use std::sync::{Arc, Mutex, MutexGuard};

use periwinkle_core::fetch::auth::{Asked, BasicUse, Login, Logins, Reply, challenges};
use periwinkle_core::fetch::proxy::Proxy;

use super::entropy;
use super::tunnel::ProxyFailure;

/// What is known of proxies. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ProxyLogins(Arc<Mutex<Logins<Proxy>>>);

impl ProxyLogins {
    /// The value of `Proxy-Authorization` for a request; none as long as the proxy did not ask.
    pub(super) fn authorization(
        &self,
        proxy: &Proxy,
        request: (&str, &str),
    ) -> Result<Option<String>, ProxyFailure> {
        let Some(login) = login(proxy) else {
            return Ok(None);
        };
        let random = entropy::text()?;
        Ok(self.lock().authorization(proxy, &login, request, &random))
    }

    /// Whether the proxy may answer a request with a question for the password that is at hand.
    #[cfg(feature = "fetch")]
    pub(super) fn may_ask(&self, proxy: &Proxy) -> bool {
        login(proxy).is_some_and(|login| self.lock().may_ask(proxy, &login))
    }

    /// Whether a request that was refused with these challenges is worth sending again.
    pub(super) fn handle_challenges<'a>(
        &self,
        proxy: &Proxy,
        fields: impl IntoIterator<Item = &'a str>,
        asked: Asked,
    ) -> Result<bool, ProxyFailure> {
        let Some(login) = login(proxy) else {
            return Ok(false);
        };
        let mut found = challenges(fields);
        if found.is_empty() {
            // It does not say what it asks for, as it should; such a one knows nothing but Basic.
            found = challenges(["Basic"]);
        }
        // Whoever wrote the password into the proxy's address gave it to the proxy.
        let basic = BasicUse::Allowed;
        let reply = self
            .lock()
            .handle_challenges(proxy, &login, &found, asked, basic);
        let wants_basic = found.iter().any(|challenge| challenge.scheme == "basic");
        if reply != Reply::Again && wants_basic && login.basic().is_none() {
            return Err(COLON);
        }
        Ok(reply == Reply::Again)
    }

    /// `Proxy-Authentication-Info` came.
    pub(super) fn handle_info(&self, proxy: &Proxy, field: &str) {
        if let Some(login) = login(proxy) {
            self.lock().handle_info(proxy, &login, field);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Logins<Proxy>> {
        self.0.lock().expect("no holder of the logins panics")
    }
}

const COLON: ProxyFailure = ProxyFailure::Credentials("a name for a proxy holds no colon");

fn login(proxy: &Proxy) -> Option<Login> {
    let (name, password) = proxy.credentials.as_ref()?;
    Some(Login::new(name, password.clone()))
}
