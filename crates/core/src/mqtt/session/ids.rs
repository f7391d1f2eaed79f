//! Packet ids: given in rotation, found again in constant time.

use crate::mqtt::codec::PacketId;
use crate::mqtt::outbox::Slot;

/// Whose exchange it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Publish(Slot),
    Subscribe,
    Unsubscribe,
}

/// Which ids are in use, and for what.
///
/// An id lies at its number modulo the size of the table, which is at least twice the number of
/// ids in use. An id whose place is taken is passed over, so no two ever meet, and the last one
/// that was given comes again only after all others.
#[derive(Clone, Debug)]
pub(super) struct PacketIds {
    table: Vec<Option<(PacketId, Owner)>>,
    last: u16,
    used: usize,
    doubt: Doubt,
}

/// Whether the broker may still hold ids of an earlier life that ended badly. It would take a new
/// message under such an id for the old one and swallow it. So each id is released before it is
/// used, in batches, from the first message with QoS 2 on; who never uses QoS 2 pays nothing.
#[derive(Clone, Debug)]
enum Doubt {
    None,
    /// No message with QoS 2 has come yet.
    Dormant,
    Releasing {
        /// Ids, from the next one on, that are known to be free.
        clean: u32,
        /// Ids behind them that are not yet.
        left: u32,
        /// Ids of the batch whose release has not been acknowledged.
        batch: Vec<PacketId>,
        /// How many ids the batch is about.
        size: u32,
    },
}

const TABLE_MIN: usize = 64;
const TABLE_MAX: usize = 1 << 16;
/// Ids that are released together.
const BATCH: u32 = 128;

impl PacketIds {
    /// None in use. `doubtful` after a life that did not end in order.
    pub(super) fn new(doubtful: bool) -> PacketIds {
        PacketIds {
            table: vec![None; TABLE_MIN],
            last: 0,
            used: 0,
            doubt: if doubtful {
                Doubt::Dormant
            } else {
                Doubt::None
            },
        }
    }

    /// The next one, if one is left and known to be free at the broker.
    pub(super) fn give(&mut self, owner: Owner) -> Option<PacketId> {
        if (self.used + 1) * 2 > self.table.len() && !self.make_room() {
            return None;
        }
        loop {
            if self.is_doubtful() && !self.step_if_clean() {
                return None;
            }
            self.last = after(self.last);
            let id = PacketId::new(self.last).expect("the one after an id is an id");
            let place = self.place(id);
            if self.table[place].is_none() {
                self.table[place] = Some((id, owner));
                self.used += 1;
                return Some(id);
            }
        }
    }

    /// Says whether there is an id for one more.
    #[cold]
    fn make_room(&mut self) -> bool {
        if self.table.len() < TABLE_MAX {
            self.grow();
        }
        self.used < usize::from(u16::MAX)
    }

    /// Uses up one of the ids that are known to be free.
    fn step_if_clean(&mut self) -> bool {
        match &mut self.doubt {
            Doubt::None | Doubt::Dormant => true,
            Doubt::Releasing {
                clean: 0, left: 0, ..
            } => {
                self.doubt = Doubt::None;
                true
            }
            Doubt::Releasing { clean: 0, .. } => false,
            Doubt::Releasing { clean, .. } => {
                *clean -= 1;
                true
            }
        }
    }

    /// Takes one that is known from before; says whether it was free.
    pub(super) fn claim(&mut self, id: PacketId, owner: Owner) -> bool {
        if self.owner(id).is_some() {
            return false;
        }
        while self.table[self.place(id)].is_some() {
            self.grow();
        }
        let place = self.place(id);
        self.table[place] = Some((id, owner));
        self.used += 1;
        true
    }

    pub(super) fn owner(&self, id: PacketId) -> Option<Owner> {
        match self.table[self.place(id)] {
            Some((there, owner)) if there == id => Some(owner),
            _ => None,
        }
    }

    /// The exchange is over.
    pub(super) fn free(&mut self, id: PacketId) {
        let place = self.place(id);
        if self.table[place].is_some_and(|(there, _)| there == id) {
            self.table[place] = None;
            self.used -= 1;
        }
    }

    /// Exchanges of subscriptions end with their connection.
    pub(super) fn free_subscriptions(&mut self) {
        for place in &mut self.table {
            if let Some((_, Owner::Subscribe | Owner::Unsubscribe)) = place {
                *place = None;
                self.used -= 1;
            }
        }
    }

    /// Whether the broker may hold ids that we do not know.
    pub(super) const fn is_doubtful(&self) -> bool {
        !matches!(self.doubt, Doubt::None)
    }

    /// Whether an acknowledgement of a release is awaited.
    pub(super) const fn is_releasing(&self) -> bool {
        matches!(&self.doubt, Doubt::Releasing { batch, .. } if !batch.is_empty())
    }

    /// The broker holds no id that we do not know.
    pub(super) fn trust_all(&mut self) {
        self.doubt = Doubt::None;
    }

    /// There is a message with QoS 2.
    pub(super) fn begin_releasing(&mut self) {
        if matches!(self.doubt, Doubt::Dormant) {
            self.doubt = Doubt::Releasing {
                clean: 0,
                left: u16::MAX.into(),
                batch: Vec::new(),
                size: 0,
            };
        }
    }

    /// The connection is gone, and with it what was asked on it.
    pub(super) fn stop_releasing(&mut self) {
        if let Doubt::Releasing { batch, size, .. } = &mut self.doubt {
            batch.clear();
            *size = 0;
        }
    }

    /// The ids to be released now.
    pub(super) fn next_releases(&mut self) -> Vec<PacketId> {
        let (clean, count) = match &self.doubt {
            Doubt::Releasing {
                clean,
                left,
                size: 0,
                ..
            } if *clean < BATCH => (*clean, BATCH.min(*left)),
            _ => return Vec::new(),
        };
        let mut number = self.last;
        for _ in 0..clean {
            number = after(number);
        }
        let mut ids = Vec::new();
        for _ in 0..count {
            number = after(number);
            let id = PacketId::new(number).expect("the one after an id is an id");
            // One that is in use is ours, and its exchange will end it.
            if self.owner(id).is_none() {
                ids.push(id);
            }
        }
        if let Doubt::Releasing { batch, size, .. } = &mut self.doubt {
            batch.clone_from(&ids);
            *size = count;
        }
        self.end_batch();
        ids
    }

    /// The broker has released this one; says whether that was asked for.
    pub(super) fn released(&mut self, id: PacketId) -> bool {
        let Doubt::Releasing { batch, .. } = &mut self.doubt else {
            return false;
        };
        let Some(place) = batch.iter().position(|other| *other == id) else {
            return false;
        };
        batch.remove(place);
        self.end_batch();
        true
    }

    fn end_batch(&mut self) {
        if let Doubt::Releasing {
            clean,
            left,
            batch,
            size,
        } = &mut self.doubt
            && batch.is_empty()
        {
            *clean += *size;
            *left -= *size;
            *size = 0;
        }
    }

    fn place(&self, id: PacketId) -> usize {
        usize::from(id.number()) & (self.table.len() - 1)
    }

    fn grow(&mut self) {
        let length = self.table.len() * 2;
        let old = std::mem::replace(&mut self.table, vec![None; length]);
        for (id, owner) in old.into_iter().flatten() {
            let place = self.place(id);
            self.table[place] = Some((id, owner));
        }
    }
}

/// After the last comes the first, and there is no zero.
const fn after(number: u16) -> u16 {
    match number {
        u16::MAX => 1,
        number => number + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(ids: &mut PacketIds) -> Option<u16> {
        ids.give(Owner::Subscribe).map(PacketId::number)
    }

    #[test]
    fn ids_rotate_and_a_freed_one_comes_last() {
        let mut ids = PacketIds::new(false);
        assert_eq!(give(&mut ids), Some(1));
        ids.free(PacketId::FIRST);
        for expected in 2..=u16::MAX {
            assert_eq!(give(&mut ids), Some(expected));
            ids.free(PacketId::new(expected).unwrap());
        }
        assert_eq!(give(&mut ids), Some(1));
    }

    #[test]
    fn all_ids_can_be_in_use_and_no_more() {
        let mut ids = PacketIds::new(false);
        let mut given: Vec<u16> = (0..u16::MAX).map(|_| give(&mut ids).unwrap()).collect();
        assert_eq!(give(&mut ids), None);
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 65_535);
        ids.free(PacketId::new(777).unwrap());
        assert_eq!(give(&mut ids), Some(777));
    }

    #[test]
    fn an_id_that_is_held_for_long_is_passed_over() {
        let mut ids = PacketIds::new(false);
        assert_eq!(give(&mut ids), Some(1));
        for _ in 0..200_000 {
            let id = give(&mut ids).unwrap();
            assert_ne!(id, 1);
            ids.free(PacketId::new(id).unwrap());
        }
        assert_eq!(ids.owner(PacketId::FIRST), Some(Owner::Subscribe));
        assert_eq!(ids.table.len(), TABLE_MIN);
    }

    #[test]
    fn a_claimed_id_is_found_and_cannot_be_claimed_again() {
        let mut ids = PacketIds::new(false);
        for number in [5, 5 + 64, 5 + 128, 65_535] {
            assert!(ids.claim(PacketId::new(number).unwrap(), Owner::Unsubscribe));
        }
        assert!(!ids.claim(PacketId::new(69).unwrap(), Owner::Subscribe));
        assert_eq!(
            ids.owner(PacketId::new(69).unwrap()),
            Some(Owner::Unsubscribe)
        );
        assert_eq!(ids.owner(PacketId::new(6).unwrap()), None);
    }

    #[test]
    fn after_a_bad_end_every_id_is_released_before_it_is_given() {
        let mut ids = PacketIds::new(true);
        assert!(ids.next_releases().is_empty());
        assert_eq!(give(&mut ids), Some(1));
        ids.begin_releasing();
        assert_eq!(give(&mut ids), None);
        let mut released = vec![false; 1 << 16];
        released[1] = true;
        for _ in 0..u16::MAX {
            for id in ids.next_releases() {
                assert!(ids.released(id));
                assert!(!ids.released(id));
                released[usize::from(id.number())] = true;
            }
            let id = give(&mut ids).unwrap();
            assert!(released[usize::from(id)]);
            ids.free(PacketId::new(id).unwrap());
        }
        assert!(ids.next_releases().is_empty());
        assert!(give(&mut ids).is_some());
        assert!(!ids.is_doubtful());
    }

    #[test]
    fn releases_that_a_lost_connection_swallowed_are_asked_for_again() {
        let mut ids = PacketIds::new(true);
        ids.begin_releasing();
        let first = ids.next_releases();
        assert!(ids.next_releases().is_empty());
        ids.stop_releasing();
        assert_eq!(ids.next_releases(), first);
    }
}
