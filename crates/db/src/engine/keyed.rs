//! Things with a number and a key each. The keys lie many in one piece of memory.
//!
//! A key of its own memory would cost an allocation, the allocator's words around it and sixteen
//! bytes to find it again; at an opening, which makes all keys at once, these are a good part of the
//! time. Here a thing holds four bytes for its key: the chunk, and the word in it where the record
//! of the key begins. A record is the number of the thing, the length of the key, and the key.
//!
//! Removing a thing leaves a hole. A chunk of which more than a quarter is holes is given up: its
//! other keys are written behind the youngest ones, and their things, which the records name, are
//! told. So holes never take more than a third of what the keys take, and a removal costs the
//! copying of three times its bytes at most.

use std::ops::{Index, IndexMut};

use super::slab::Slab;

/// Things by number, each with a key.
#[derive(Debug)]
pub(crate) struct KeyedSlab<T> {
    slots: Slab<Slot<T>>,
    keys: Keys,
}

#[derive(Debug)]
struct Slot<T> {
    key: KeyAt,
    thing: T,
}

impl<T> Default for KeyedSlab<T> {
    fn default() -> KeyedSlab<T> {
        KeyedSlab {
            slots: Slab::default(),
            keys: Keys::default(),
        }
    }
}

impl<T> KeyedSlab<T> {
    /// An empty slab with room for so many things, and none for their keys.
    pub(crate) fn with_capacity(things: usize) -> KeyedSlab<T> {
        KeyedSlab {
            slots: Slab::with_capacity(things),
            keys: Keys::default(),
        }
    }

    /// The numbers of all things. Only for a slab from which nothing was removed.
    pub(crate) fn ids(&self) -> impl ExactSizeIterator<Item = u32> + use<T> {
        0..self.slots.all().len() as u32
    }

    /// Gives back the room that was taken ahead for things.
    pub(crate) fn shrink(&mut self) {
        self.slots.shrink();
    }

    #[inline]
    pub(crate) fn insert(&mut self, key: &[u8], thing: T) -> u32 {
        let key = self.keys.add(self.slots.next(), key);
        let id = self.slots.insert(Slot { key, thing });
        self.tidy_filled();
        id
    }

    #[inline]
    pub(crate) fn key(&self, id: u32) -> &[u8] {
        self.keys.get(self.slots[id].key)
    }

    /// Gives the number up, and forgets the key. The thing itself stays until the number is given
    /// again.
    pub(crate) fn remove(&mut self, id: u32) {
        let key = std::mem::replace(&mut self.slots[id].key, KeyAt::NONE);
        self.keys.remove(key);
        self.slots.remove(id);
        self.tidy(key.chunk());
        self.tidy_filled();
    }

    /// Looks at chunks that take no more records. What was removed from one that still took some
    /// was not looked at, and it may be all that ever is.
    fn tidy_filled(&mut self) {
        while let Some(chunk) = self.keys.take_filled() {
            self.tidy(chunk);
        }
    }

    /// Gives a chunk up that has too many holes.
    fn tidy(&mut self, chunk: usize) {
        if !self.keys.is_sparse(chunk) {
            return;
        }
        for (id, key) in self.keys.take(chunk).records() {
            self.slots[id].key = self.keys.add(id, key);
        }
    }
}

impl<T> Index<u32> for KeyedSlab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        &self.slots[id].thing
    }
}

impl<T> IndexMut<u32> for KeyedSlab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.slots[id].thing
    }
}

/// Records begin at whole words.
const WORD_BYTES: usize = 4;
/// How many bits of a place are the word in its chunk.
const WORD_BITS: u32 = 12;
/// A longer record has a chunk of its own.
const CHUNK_BYTES: usize = WORD_BYTES << WORD_BITS;

/// The number of the thing, and the length of the key.
const RECORD_HEAD_BYTES: usize = 2 * WORD_BYTES;
/// Stands where the number was when the thing is gone.
const NOBODY: u32 = u32::MAX;

/// Where the record of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyAt(u32);

impl KeyAt {
    const NONE: KeyAt = KeyAt(u32::MAX);

    fn new(chunk: usize, start: usize) -> KeyAt {
        let chunk = u32::try_from(chunk).ok();
        let chunk = chunk.filter(|chunk| *chunk < u32::MAX >> WORD_BITS);
        let chunk = chunk.expect("memory ends before a million chunks");
        KeyAt(chunk << WORD_BITS | (start / WORD_BYTES) as u32)
    }

    fn chunk(self) -> usize {
        (self.0 >> WORD_BITS) as usize
    }

    fn start(self) -> usize {
        (self.0 as usize * WORD_BYTES) % CHUNK_BYTES
    }
}

/// The records of all keys.
#[derive(Debug, Default)]
struct Keys {
    chunks: Vec<Chunk>,
    /// Chunks that were given up.
    free: Vec<usize>,
    /// The chunk that takes records.
    current: usize,
    /// The one that took them before, until somebody has looked at it.
    filled: Option<usize>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// The records. Its memory is taken whole, and not written before a record is.
    bytes: Vec<u8>,
    /// How many bytes it takes yet.
    room: usize,
    /// How much of the records is of things that are gone.
    holes: usize,
}

impl Keys {
    #[inline]
    fn get(&self, at: KeyAt) -> &[u8] {
        let record = &self.chunks[at.chunk()].bytes[at.start()..];
        let (head, rest) = record.split_at(RECORD_HEAD_BYTES);
        &rest[..word(head, 1) as usize]
    }

    #[inline]
    fn add(&mut self, owner: u32, key: &[u8]) -> KeyAt {
        let bytes = record_bytes(key.len());
        let room = self.chunks.get(self.current).map(|chunk| chunk.room);
        if room.is_none_or(|room| room < bytes) {
            self.begin_chunk(bytes.max(CHUNK_BYTES));
        }
        let chunk = &mut self.chunks[self.current];
        chunk.room -= bytes;
        let start = chunk.bytes.len();
        let head = u64::from(owner) | (key.len() as u64) << u32::BITS;
        chunk.bytes.extend_from_slice(&head.to_le_bytes());
        chunk.bytes.extend_from_slice(key);
        if chunk.bytes.len() < start + bytes {
            chunk.bytes.resize(start + bytes, 0);
        }
        KeyAt::new(self.current, start)
    }

    fn begin_chunk(&mut self, bytes: usize) {
        self.filled = (self.current < self.chunks.len()).then_some(self.current);
        self.current = self.free.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk::default());
            self.chunks.len() - 1
        });
        self.chunks[self.current] = Chunk {
            bytes: Vec::with_capacity(bytes),
            room: bytes,
            holes: 0,
        };
    }

    /// A chunk that takes no more records since this was asked last.
    fn take_filled(&mut self) -> Option<usize> {
        self.filled.take()
    }

    fn remove(&mut self, at: KeyAt) {
        let chunk = &mut self.chunks[at.chunk()];
        let record = &mut chunk.bytes[at.start()..];
        record[..WORD_BYTES].copy_from_slice(&NOBODY.to_le_bytes());
        chunk.holes += record_bytes(word(record, 1) as usize);
    }

    fn is_sparse(&self, chunk: usize) -> bool {
        let Chunk { bytes, holes, .. } = &self.chunks[chunk];
        chunk != self.current && *holes > bytes.len() / 4
    }

    /// Gives up a chunk.
    fn take(&mut self, chunk: usize) -> Chunk {
        self.free.push(chunk);
        std::mem::take(&mut self.chunks[chunk])
    }
}

impl Chunk {
    fn records(&self) -> Records<'_> {
        Records(&self.bytes)
    }
}

/// The records of a chunk whose things are there: number and key.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<(u32, &'a [u8])> {
        while !self.0.is_empty() {
            let length = word(self.0, 1) as usize;
            let (record, rest) = self.0.split_at(record_bytes(length));
            self.0 = rest;
            let owner = word(record, 0);
            if owner != NOBODY {
                return Some((owner, &record[RECORD_HEAD_BYTES..][..length]));
            }
        }
        None
    }
}

fn record_bytes(key: usize) -> usize {
    (RECORD_HEAD_BYTES + key).next_multiple_of(WORD_BYTES)
}

#[inline]
fn word(record: &[u8], at: usize) -> u32 {
    let bytes = record[at * WORD_BYTES..].first_chunk();
    u32::from_le_bytes(*bytes.expect("a record has two words in front"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use periwinkle_testkit::rng::Rng;

    use super::*;

    /// Bytes that keys take, holes and what chunks have ahead included.
    fn memory(keys: &Keys) -> usize {
        let chunks = keys.chunks.iter();
        chunks.map(|chunk| chunk.bytes.capacity()).sum()
    }

    #[test]
    fn things_keep_their_keys_through_any_history_and_holes_stay_few() {
        for seed in 0..10 {
            let mut rng = Rng::new(seed);
            let mut slab = KeyedSlab::default();
            let mut model = BTreeMap::new();
            for round in 0..20_000u64 {
                // Grows, then shrinks.
                let grows = rng.below(20_000) > round;
                if grows || model.is_empty() {
                    let length = [0, 1, 3, 4, 60, 61, 400, 4096][rng.below(8) as usize];
                    let key = vec![rng.below(256) as u8; length];
                    let id = slab.insert(&key, round);
                    assert_eq!(model.insert(id, (key, round)), None, "seed {seed}");
                } else {
                    let from = rng.below(u64::from(u32::MAX)) as u32;
                    let behind = model.range(from % (model.len() as u32)..).next();
                    let id = *behind.or(model.iter().next()).expect("there is one").0;
                    model.remove(&id);
                    slab.remove(id);
                }
            }
            for (id, (key, thing)) in &model {
                assert_eq!(
                    (slab.key(*id), slab[*id]),
                    (&key[..], *thing),
                    "seed {seed}"
                );
            }
            let live: usize = model.values().map(|(key, _)| record_bytes(key.len())).sum();
            // A record that does not fit leaves up to a quarter of a chunk unused.
            let most = live * 16 / 9 + 2 * CHUNK_BYTES;
            assert!(memory(&slab.keys) <= most, "seed {seed}: {live} bytes live");
            for id in model.keys() {
                slab.remove(*id);
            }
            assert_eq!(memory(&slab.keys), CHUNK_BYTES, "seed {seed}: none is left");
        }
    }

    #[test]
    fn a_queue_takes_no_more_memory_than_what_is_in_it() {
        let mut slab = KeyedSlab::default();
        let key = |number: u64| format!("queue#{number:020}").into_bytes();
        let mut queue = std::collections::VecDeque::new();
        for number in 0..50_000 {
            queue.push_back((slab.insert(&key(number), ()), number));
            if queue.len() > 10 {
                let (id, number) = queue.pop_front().expect("there are ten");
                assert_eq!(slab.key(id), key(number));
                slab.remove(id);
            }
        }
        assert!(memory(&slab.keys) <= 2 * CHUNK_BYTES);
    }

    #[test]
    fn a_chunk_that_lost_its_things_while_it_took_others_is_given_up_later() {
        let mut slab = KeyedSlab::default();
        let in_a_chunk = (CHUNK_BYTES / record_bytes(60)) as u32;
        for id in 0..4 * in_a_chunk - 40 {
            assert_eq!(slab.insert(&[b'k'; 60], ()), id);
        }
        let lost = 3 * in_a_chunk..4 * in_a_chunk - 40;
        let third = |chunk: u32| chunk * in_a_chunk..chunk * in_a_chunk + in_a_chunk / 3;
        // What is left of two chunks fills the one that lost all, and the next.
        for id in lost.chain(third(0)).chain(third(1)) {
            slab.remove(id);
        }
        assert!(memory(&slab.keys) <= 3 * CHUNK_BYTES);
    }

    #[test]
    fn a_key_longer_than_a_chunk_has_one_of_its_own() {
        let mut slab = KeyedSlab::default();
        let lengths = [
            CHUNK_BYTES - RECORD_HEAD_BYTES,
            CHUNK_BYTES,
            5 * CHUNK_BYTES,
            7,
        ];
        let keys = lengths.map(|length| vec![length as u8; length]);
        let ids: Vec<u32> = keys.iter().map(|key| slab.insert(key, ())).collect();
        for (id, key) in ids.iter().zip(&keys) {
            assert_eq!(slab.key(*id), key);
        }
        for id in ids {
            slab.remove(id);
        }
        assert!(memory(&slab.keys) <= CHUNK_BYTES);
    }
}
