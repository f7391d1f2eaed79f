//! Entries in one block of memory, and lists through them.

use super::entry::{Entry, EntryId, Gone};
use crate::limits::{MQTT_POOL_PIECE_BYTES_MAX, MQTT_POOL_PIECES_MAX};
use std::marker::PhantomData;

/// A place in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

impl Slot {
    const NONE: Slot = Slot(u32::MAX);

    const fn some(self) -> Option<Slot> {
        match self.0 {
            u32::MAX => None,
            _ => Some(self),
        }
    }
}

/// The neighbours of an entry in one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    before: Slot,
    after: Slot,
}

impl Links {
    pub(super) const NONE: Links = Links {
        before: Slot::NONE,
        after: Slot::NONE,
    };

    pub(super) const fn before(self) -> Option<Slot> {
        self.before.some()
    }

    pub(super) const fn after(self) -> Option<Slot> {
        self.after.some()
    }
}

/// Entries by slot; a slot is used again when its entry is gone.
///
/// An entry is made and unmade where it lies: moving it would cost more than all else.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    places: Vec<Entry>,
    /// Free places whose memory for a packet is still there, one behind the other, and how many.
    warm: Slot,
    warm_places: usize,
    /// Free places without such memory.
    cold: Slot,
}

impl Slab {
    pub(super) const fn new() -> Slab {
        Slab {
            places: Vec::new(),
            warm: Slot::NONE,
            warm_places: 0,
            cold: Slot::NONE,
        }
    }

    /// A place to be [filled](Entry::fill).
    #[inline]
    pub(super) fn take_place(&mut self) -> Slot {
        if let Some(slot) = self.warm.some() {
            self.warm = self.at(slot).lane.after;
            self.warm_places -= 1;
            slot
        } else if let Some(slot) = self.cold.some() {
            self.cold = self.at(slot).lane.after;
            slot
        } else {
            let slot = Slot(u32::try_from(self.places.len()).expect("rows have a bound"));
            self.places.push(Entry::free());
            slot
        }
    }

    /// Takes an entry away; its memory stays for the next one unless it is large, or there is
    /// enough.
    #[inline]
    pub(super) fn remove(&mut self, slot: Slot) -> Gone {
        let (warm, cold) = (self.warm, self.cold);
        let has_room = self.warm_places < MQTT_POOL_PIECES_MAX;
        let entry = self.at_mut(slot);
        let gone = entry.gone();
        let keeps = has_room && entry.empty(MQTT_POOL_PIECE_BYTES_MAX);
        entry.lane.after = if keeps { warm } else { cold };
        if keeps {
            self.warm = slot;
            self.warm_places += 1;
        } else {
            self.at_mut(slot).give_back();
            self.cold = slot;
        }
        gone
    }

    /// Gives memory back when nothing is left.
    pub(super) fn give_back(&mut self) {
        *self = Slab::new();
    }

    #[inline]
    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        let entry = self.places.get(id.slot.0 as usize)?;
        (entry.sequence == id.sequence).then_some(entry)
    }

    #[inline]
    pub(super) fn at(&self, slot: Slot) -> &Entry {
        &self.places[slot.0 as usize]
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.places[slot.0 as usize]
    }
}

/// Which of its lists an entry is in.
pub(super) trait Through {
    fn links(entry: &mut Entry) -> &mut Links;
}

/// A lane while it waits, the flight when it has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane;

/// All entries, by age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age;

/// While it waits: those that go together when there is no room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank;

impl Through for Rank {
    #[inline]
    fn links(entry: &mut Entry) -> &mut Links {
        &mut entry.rank
    }
}

impl Through for Lane {
    #[inline]
    fn links(entry: &mut Entry) -> &mut Links {
        &mut entry.lane
    }
}

impl Through for Age {
    #[inline]
    fn links(entry: &mut Entry) -> &mut Links {
        &mut entry.age
    }
}

/// A list through entries of the slab: everything but walking takes constant time.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<T> {
    first: Slot,
    last: Slot,
    through: PhantomData<T>,
}

impl<T: Through> List<T> {
    pub(super) const fn new() -> List<T> {
        List {
            first: Slot::NONE,
            last: Slot::NONE,
            through: PhantomData,
        }
    }

    pub(super) const fn first(&self) -> Option<Slot> {
        self.first.some()
    }

    pub(super) const fn last(&self) -> Option<Slot> {
        self.last.some()
    }

    #[inline]
    fn links(slab: &mut Slab, slot: Slot) -> &mut Links {
        T::links(slab.at_mut(slot))
    }

    #[inline]
    pub(super) fn push_back(&mut self, slab: &mut Slab, slot: Slot) {
        *Self::links(slab, slot) = Links {
            before: self.last,
            after: Slot::NONE,
        };
        match self.last.some() {
            Some(last) => Self::links(slab, last).after = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    pub(super) fn push_front(&mut self, slab: &mut Slab, slot: Slot) {
        *Self::links(slab, slot) = Links {
            before: Slot::NONE,
            after: self.first,
        };
        match self.first.some() {
            Some(first) => Self::links(slab, first).before = slot,
            None => self.last = slot,
        }
        self.first = slot;
    }

    #[inline]
    pub(super) fn remove(&mut self, slab: &mut Slab, slot: Slot) {
        let links = *Self::links(slab, slot);
        match links.before.some() {
            Some(before) => Self::links(slab, before).after = links.after,
            None => self.first = links.after,
        }
        match links.after.some() {
            Some(after) => Self::links(slab, after).before = links.before,
            None => self.last = links.before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::codec::{PublishFront, QoS, Version};
    use crate::mqtt::outbox::Publication;
    use crate::time::Mono;

    fn insert(slab: &mut Slab, sequence: u64, payload: &[u8]) -> Slot {
        let slot = slab.take_place();
        let publication = Publication::new("t", payload, QoS::AtLeastOnce);
        let front = PublishFront::new(Version::V311, publication.qos, b"t");
        let entry = slab.at_mut(slot);
        entry.fill(sequence, Version::V311, &front, &publication, Mono::ZERO);
        slot
    }

    #[test]
    fn memory_of_so_many_packets_stays_and_no_more() {
        let mut slab = Slab::new();
        let count = MQTT_POOL_PIECES_MAX as u64 + 1;
        let slots: Vec<Slot> = (1..=count)
            .map(|sequence| insert(&mut slab, sequence, b"x"))
            .collect();
        for slot in &slots[1..] {
            slab.remove(*slot);
        }
        assert_eq!(slab.warm_places, MQTT_POOL_PIECES_MAX);
        slab.remove(slots[0]);
        assert_eq!(slab.warm_places, MQTT_POOL_PIECES_MAX);
        // Places are used again, those with memory first.
        for sequence in 1..=count {
            let slot = insert(&mut slab, count + sequence, b"x");
            assert_eq!(slot == slots[0], sequence == count);
        }
        assert_eq!(slab.places.len() as u64, count);
        assert_eq!(slab.warm_places, 0);
    }

    #[test]
    fn memory_of_a_large_packet_does_not_stay() {
        let mut slab = Slab::new();
        // Flags, length, topic and packet id.
        let head_bytes = 1 + 2 + 3 + 2;
        for (bytes, stays) in [(0, 1), (1, 0)] {
            let payload = vec![b'x'; MQTT_POOL_PIECE_BYTES_MAX - head_bytes + bytes];
            let slot = insert(&mut slab, 1, &payload);
            slab.remove(slot);
            assert_eq!(slab.warm_places, stays);
        }
    }

    #[test]
    fn a_name_of_an_entry_that_is_gone_means_nothing_though_its_place_is_used_again() {
        let mut slab = Slab::new();
        let slot = insert(&mut slab, 1, b"x");
        let id = EntryId { sequence: 1, slot };
        assert!(slab.get(id).is_some());
        slab.remove(slot);
        assert!(slab.get(id).is_none());
        assert_eq!(insert(&mut slab, 2, b"x"), slot);
        assert!(slab.get(id).is_none());
    }
}
