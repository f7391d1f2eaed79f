//! The value cache: a budget in bytes, second chance (CLOCK) when it is full.

use std::sync::Arc;

/// Where a cached value sits; kept by the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheSlot(u32);

impl CacheSlot {
    /// No slot. A `u32` without `Option` keeps the row small.
    pub(crate) const NONE: CacheSlot = CacheSlot(u32::MAX);
}

/// Bytes charged per value beside its own: slot, reference counts, allocator.
const ENTRY_BYTES: usize = 64;

#[derive(Debug)]
struct Entry {
    row: u32,
    value: Arc<[u8]>,
    used: bool,
}

/// Values by slot. The caller keeps rows and slots in step: each insert names the rows that lost
/// their value.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Cache {
        Cache {
            entries: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Bytes held now, overhead included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&mut self, slot: CacheSlot) -> Option<&Arc<[u8]>> {
        let entry = self.entries.get_mut(slot.0 as usize)?.as_mut()?;
        if !entry.used {
            entry.used = true;
        }
        Some(&entry.value)
    }

    /// As `get`, without counting as a use.
    pub(crate) fn peek(&self, slot: CacheSlot) -> Option<&Arc<[u8]>> {
        let entry = self.entries.get(slot.0 as usize)?.as_ref()?;
        Some(&entry.value)
    }

    /// Whether a value of so many bytes would be kept.
    pub(crate) fn takes(&self, value_bytes: usize) -> bool {
        value_bytes + ENTRY_BYTES <= self.bytes_max / 4
    }

    /// Keeps `value` for `row` and calls `evicted` for each row that lost its value for it.
    /// A value of more than a quarter of the budget is not kept.
    pub(crate) fn insert(
        &mut self,
        row: u32,
        value: Arc<[u8]>,
        mut evicted: impl FnMut(u32),
    ) -> CacheSlot {
        if !self.takes(value.len()) {
            return CacheSlot::NONE;
        }
        let cost = value.len() + ENTRY_BYTES;
        while self.bytes + cost > self.bytes_max {
            evicted(self.evict_one());
        }
        self.bytes += cost;
        let entry = Some(Entry {
            row,
            value,
            used: false,
        });
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            CacheSlot(slot)
        } else {
            self.entries.push(entry);
            CacheSlot(self.entries.len() as u32 - 1)
        }
    }

    pub(crate) fn remove(&mut self, slot: CacheSlot) {
        let Some(place) = self.entries.get_mut(slot.0 as usize) else {
            return;
        };
        if let Some(entry) = place.take() {
            self.bytes -= entry.value.len() + ENTRY_BYTES;
            self.free.push(slot.0);
        }
    }

    /// Moves the hand to the next entry that was not used since the hand last passed it.
    /// Only called when bytes are held, so an entry exists and two rounds find one.
    fn evict_one(&mut self) -> u32 {
        loop {
            let at = self.hand % self.entries.len();
            self.hand = at + 1;
            match &mut self.entries[at] {
                Some(entry) if entry.used => entry.used = false,
                Some(entry) => {
                    let row = entry.row;
                    self.remove(CacheSlot(at as u32));
                    return row;
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(length: usize) -> Arc<[u8]> {
        vec![1; length].into()
    }

    #[test]
    fn the_budget_holds_and_the_unused_go_first() {
        let mut cache = Cache::new(4 * (100 + ENTRY_BYTES));
        let slots: Vec<_> = (0..4)
            .map(|row| cache.insert(row, value(100), |_| panic!("there is room")))
            .collect();
        cache.get(slots[0]);
        let mut gone = Vec::new();
        cache.insert(4, value(100), |row| gone.push(row));
        assert_eq!(gone, [1]);
        assert_eq!(cache.bytes(), 4 * (100 + ENTRY_BYTES));
        assert!(cache.get(slots[0]).is_some());
    }

    #[test]
    fn a_value_that_would_sweep_the_cache_is_not_kept() {
        let mut cache = Cache::new(1000);
        assert_eq!(cache.insert(0, value(250), |_| ()), CacheSlot::NONE);
        assert_eq!(cache.bytes(), 0);
        assert!(cache.get(CacheSlot::NONE).is_none());
    }

    #[test]
    fn a_removed_slot_is_used_again() {
        let mut cache = Cache::new(1000);
        let slot = cache.insert(0, value(10), |_| ());
        cache.remove(slot);
        cache.remove(slot);
        assert_eq!(cache.bytes(), 0);
        assert_eq!(cache.insert(1, value(10), |_| ()), slot);
    }
}
