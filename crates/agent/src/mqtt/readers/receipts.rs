//! Whose acknowledgement is awaited before the broker hears that a message came.

use std::collections::BTreeMap;

use periwinkle_core::mqtt::codec::QoS;
use periwinkle_core::mqtt::session::{AckToken, Kept};

use super::Manner;

/// Messages whose acknowledgement is awaited, and who may give it: each reader once.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    open: BTreeMap<u64, Open>,
    /// What is open, by the receipts that were given for it.
    given: BTreeMap<u64, u64>,
    last: u64,
}

/// A message that somebody has still to acknowledge.
#[derive(Debug)]
struct Open {
    token: AckToken,
    awaited: usize,
    kept: Kept,
}

impl Receipts {
    /// A message goes to readers of these manners: the number of what is open until those with
    /// acknowledgement have dealt with it, if there are any.
    pub(super) fn expect(
        &mut self,
        token: Option<AckToken>,
        manners: impl Iterator<Item = Manner>,
    ) -> Option<u64> {
        let token = token?;
        let manual = manners.filter(|manner| manner.bounds.manual);
        let (mut awaited, mut kept) = (0, Kept::InMemory);
        for manner in manual {
            awaited += 1;
            if manner.durable {
                kept = Kept::OnFlash;
            }
        }
        if awaited == 0 {
            return None;
        }
        self.last += 1;
        let open = Open {
            token,
            awaited,
            kept,
        };
        self.open.insert(self.last, open);
        Some(self.last)
    }

    /// A reader may acknowledge its copy by this number.
    pub(super) fn give(&mut self, open: u64) -> u64 {
        self.last += 1;
        self.given.insert(self.last, open);
        self.last
    }

    /// A reader has dealt with its copy; if it was the last of all, the broker is to know.
    pub(super) fn receive(&mut self, number: u64) -> Option<(AckToken, Kept)> {
        let place = self.given.remove(&number)?;
        let open = self.open.get_mut(&place)?;
        open.awaited -= 1;
        match open.awaited {
            0 => self.open.remove(&place).map(|open| (open.token, open.kept)),
            _ => None,
        }
    }

    /// The connection is gone: what was not acknowledged comes again, with receipts of its own.
    /// Those of QoS 2 stay, for their messages are not told again.
    pub(super) fn end_connection(&mut self) {
        let open = &mut self.open;
        open.retain(|_, open| open.token.qos() == QoS::ExactlyOnce);
        self.given.retain(|_, place| open.contains_key(place));
    }
}
