//! The signing keys in use.

use super::Signer;
use crate::limits;
use std::collections::VecDeque;

/// Signers for the regions and services in use, each with its key of the day.
///
/// Bounded: whoever was not asked for the longest time gives way, and its key is wiped.
#[derive(Debug, Default)]
pub struct Signers {
    /// The one used last stands first.
    signers: VecDeque<Signer>,
}

impl Signers {
    /// None yet.
    pub fn new() -> Signers {
        Signers::default()
    }

    /// The signer for a region and a service.
    pub fn signer(&mut self, region: &str, service: &str) -> &mut Signer {
        let known = self
            .signers
            .iter()
            .position(|signer| signer.region() == region && signer.service() == service);
        let signer = known
            .and_then(|at| self.signers.remove(at))
            .unwrap_or_else(|| Signer::new(region, service));
        self.signers.truncate(limits::SIGNERS_MAX - 1);
        self.signers.push_front(signer);
        &mut self.signers[0]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.signers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signer_unused_for_the_longest_time_gives_way() {
        let mut signers = Signers::new();
        assert!(signers.is_empty());
        for number in 0..limits::SIGNERS_MAX {
            signers.signer("r", &format!("s{number}"));
        }
        assert_eq!(signers.len(), limits::SIGNERS_MAX);
        signers.signer("r", "s0");
        assert_eq!(signers.len(), limits::SIGNERS_MAX);
        signers.signer("other", "s0");
        assert_eq!(signers.len(), limits::SIGNERS_MAX);
        let kept = |service: &str| {
            let mut all = signers.signers.iter();
            all.any(|signer| signer.region() == "r" && signer.service() == service)
        };
        assert!(kept("s0") && !kept("s1") && kept("s2"));
    }
}
