//! What servers want of those who log in, so that it need not be asked for again.

use periwinkle_core::fetch::Origin;
use periwinkle_core::fetch::auth::{Answerer, Login};
use periwinkle_core::limits;

/// The answers to the challenges of servers; who was not asked for the longest time gives way.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// The one used last stands at the end.
    known: Vec<(Origin, Login, Answerer)>,
}

impl Logins {
    /// What answers this server for this login.
    pub(super) fn find(&mut self, origin: &Origin, login: &Login) -> Option<&mut Answerer> {
        let found = self
            .known
            .iter()
            .position(|(known, whose, _)| known == origin && whose == login)?;
        let entry = self.known.remove(found);
        self.known.push(entry);
        self.known.last_mut().map(|(_, _, answerer)| answerer)
    }

    pub(super) fn keep(&mut self, origin: Origin, login: Login, answerer: Answerer) {
        self.forget(&origin, &login);
        if self.known.len() >= limits::FETCH_LOGINS_MAX {
            self.known.remove(0);
        }
        self.known.push((origin, login, answerer));
    }

    pub(super) fn forget(&mut self, origin: &Origin, login: &Login) {
        self.known
            .retain(|(known, whose, _)| known != origin || whose != login);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periwinkle_core::fetch::Url;

    #[test]
    fn logins_are_kept_to_their_bound_and_the_one_unused_goes() {
        let origin = |at: usize| {
            let url = Url::parse(&format!("http://host-{at}/"));
            url.expect("it is one").origin()
        };
        let login = Login::new("a", "b");
        let mut logins = Logins::default();
        for at in 0..limits::FETCH_LOGINS_MAX {
            logins.keep(origin(at), login.clone(), Answerer::Basic("x".into()));
        }
        assert!(logins.find(&origin(0), &login).is_some());
        logins.keep(origin(9999), login.clone(), Answerer::Basic("x".into()));
        assert!(logins.find(&origin(0), &login).is_some());
        assert!(logins.find(&origin(1), &login).is_none());
        assert!(logins.find(&origin(2), &Login::new("a", "c")).is_none());
    }
}
