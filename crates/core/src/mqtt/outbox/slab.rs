//! Entries in one block of memory, and lists through them.

use super::entry::{Entry, EntryId, Gone};
use crate::limits::{MQTT_POOL_PIECE_BYTES_MAX, MQTT_POOL_PIECES_MAX};

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

#[derive(Clone, Debug)]
enum Place {
    Free(Slot),
    Used(Entry),
}

/// Entries by slot; a slot is used again when its entry is gone.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    places: Vec<Place>,
    free: Slot,
    /// Memory of entries that are gone, for those that come.
    pool: Vec<Vec<u8>>,
}

impl Slab {
    pub(super) const fn new() -> Slab {
        Slab {
            places: Vec::new(),
            free: Slot::NONE,
            pool: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, entry: Entry) -> Slot {
        match self.free.some() {
            Some(slot) => {
                let place = &mut self.places[slot.0 as usize];
                if let Place::Free(next) = *place {
                    self.free = next;
                }
                *place = Place::Used(entry);
                slot
            }
            None => {
                let slot = Slot(u32::try_from(self.places.len()).expect("rows have a bound"));
                self.places.push(Place::Used(entry));
                slot
            }
        }
    }

    /// Takes an entry away where it lies: moving it out would cost more than all else.
    pub(super) fn remove(&mut self, slot: Slot) -> Gone {
        let place = &mut self.places[slot.0 as usize];
        let Place::Used(entry) = place else {
            unreachable!("lists and the table of ids name used slots");
        };
        let gone = entry.gone();
        let mut bytes = std::mem::take(&mut entry.bytes);
        *place = Place::Free(self.free);
        self.free = slot;
        let is_small = bytes.capacity() <= MQTT_POOL_PIECE_BYTES_MAX;
        if is_small && self.pool.len() < MQTT_POOL_PIECES_MAX {
            bytes.clear();
            self.pool.push(bytes);
        }
        gone
    }

    /// Memory that an entry had before, or none.
    pub(super) fn memory(&mut self) -> Vec<u8> {
        self.pool.pop().unwrap_or_default()
    }

    /// Gives memory back when nothing is left.
    pub(super) fn give_back(&mut self) {
        *self = Slab::new();
    }

    #[inline]
    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        match self.places.get(id.slot.0 as usize) {
            Some(Place::Used(entry)) if entry.sequence == id.sequence => Some(entry),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn at(&self, slot: Slot) -> &Entry {
        match &self.places[slot.0 as usize] {
            Place::Used(entry) => entry,
            Place::Free(_) => unreachable!("lists and the table of ids name used slots"),
        }
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: Slot) -> &mut Entry {
        match &mut self.places[slot.0 as usize] {
            Place::Used(entry) => entry,
            Place::Free(_) => unreachable!("lists and the table of ids name used slots"),
        }
    }
}

/// Which of the two lists that an entry is in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Through {
    Lane,
    Age,
}

/// A list through entries of the slab: everything but walking takes constant time.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: Slot,
    last: Slot,
    through: Through,
}

impl List {
    pub(super) const fn new(through: Through) -> List {
        List {
            first: Slot::NONE,
            last: Slot::NONE,
            through,
        }
    }

    pub(super) const fn first(&self) -> Option<Slot> {
        self.first.some()
    }

    pub(super) const fn last(&self) -> Option<Slot> {
        self.last.some()
    }

    #[inline]
    fn links<'a>(&self, slab: &'a mut Slab, slot: Slot) -> &'a mut Links {
        let entry = slab.at_mut(slot);
        match self.through {
            Through::Lane => &mut entry.lane,
            Through::Age => &mut entry.age,
        }
    }

    #[inline]
    pub(super) fn push_back(&mut self, slab: &mut Slab, slot: Slot) {
        *self.links(slab, slot) = Links {
            before: self.last,
            after: Slot::NONE,
        };
        match self.last.some() {
            Some(last) => self.links(slab, last).after = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    pub(super) fn push_front(&mut self, slab: &mut Slab, slot: Slot) {
        *self.links(slab, slot) = Links {
            before: Slot::NONE,
            after: self.first,
        };
        match self.first.some() {
            Some(first) => self.links(slab, first).before = slot,
            None => self.last = slot,
        }
        self.first = slot;
    }

    #[inline]
    pub(super) fn remove(&mut self, slab: &mut Slab, slot: Slot) {
        let links = std::mem::replace(self.links(slab, slot), Links::NONE);
        match links.before.some() {
            Some(before) => self.links(slab, before).after = links.after,
            None => self.first = links.after,
        }
        match links.after.some() {
            Some(after) => self.links(slab, after).before = links.before,
            None => self.last = links.before,
        }
    }
}
