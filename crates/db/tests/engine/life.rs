//! A life of a database on a simulated disk: random commits and disk work in random order, with a
//! record of what was committed and what was reported durable at every change of the disk.

use std::collections::{BTreeMap, BTreeSet};

use periwinkle_db::engine::{
    Batch, CommitError, Engine, IndexId, IndexRange, KeyRange, OpenReport, Options, Order, Refusal,
    Snapshot,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

/// All rows at one sequence.
pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The entries of each row at one sequence, and the sequence that wrote the row.
pub(crate) type Indexed = BTreeMap<Vec<u8>, (u64, BTreeSet<(IndexId, Vec<u8>)>)>;

/// What a database held after each sequence; index 0 is the empty one.
#[derive(Clone)]
pub(crate) struct Past(pub(crate) Vec<Rows>, pub(crate) Vec<Indexed>);

/// An index by sequence, and one by key.
pub(crate) const INDEXES: [IndexId; 2] = [IndexId(3), IndexId(300)];

impl Past {
    pub(crate) fn empty() -> Past {
        Past(vec![Rows::new()], vec![Indexed::new()])
    }

    /// Forgets what came after `sequence`.
    pub(crate) fn truncate(&mut self, sequence: u64) {
        self.0.truncate(sequence as usize + 1);
        self.1.truncate(sequence as usize + 1);
    }

    pub(crate) fn last(&self) -> &Rows {
        self.0.last().unwrap()
    }

    /// Compaction takes sequences, and changes no row.
    pub(crate) fn push_moves(&mut self, engine: &Engine) {
        let moves = Batch::new();
        while self.0.len() as u64 <= engine.sequence() {
            self.push(&moves);
        }
    }

    /// What a batch of a life did: its index entries are told by its values.
    pub(crate) fn push(&mut self, batch: &Batch) {
        let sequence = self.0.len() as u64;
        let mut indexed = self.1.last().unwrap().clone();
        for (key, value) in batch.iter() {
            match value {
                Some(value) => indexed.insert(key.to_vec(), (sequence, entries_told_by(value))),
                None => indexed.remove(key),
            };
        }
        self.1.push(indexed);
        let mut rows = self.last().clone();
        for (key, value) in batch.iter() {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
        self.0.push(rows);
    }

    /// What a batch did that only put a row into indexes.
    pub(crate) fn push_index(&mut self, key: &[u8], entries: &[(IndexId, &[u8])]) {
        self.push(&Batch::new());
        if let Some((_, known)) = self.1.last_mut().unwrap().get_mut(key) {
            *known = entries.iter().map(|(i, k)| (*i, k.to_vec())).collect();
        }
    }
}

/// Which entries a row of a random batch has: up to two, told by the first bytes of its value.
fn entries_told_by(value: &[u8]) -> BTreeSet<(IndexId, Vec<u8>)> {
    let told = INDEXES.iter().zip(value);
    let told = told.filter(|(_, byte)| **byte % 3 > 0);
    told.map(|(index, byte)| (*index, vec![byte % 4; usize::from(byte % 3)]))
        .collect()
}

/// What all indexes of an engine hold, in their order, as pairs of index key and key.
pub(crate) fn indexes(engine: &mut Engine) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let all = INDEXES.map(|index| {
        let hits = engine.scan_index(index, &IndexRange::all(), Order::Forward, usize::MAX);
        let hits = hits.unwrap().into_iter();
        hits.map(|hit| (hit.index_key.to_vec(), hit.entry.key.to_vec()))
            .collect()
    });
    all.to_vec()
}

/// What they should hold.
pub(crate) fn expected_indexes(indexed: &Indexed) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let all = INDEXES.map(|index| {
        let by_sequence = index <= IndexId::BY_SEQUENCE_MAX;
        let mut hits: Vec<_> = indexed
            .iter()
            .flat_map(|(key, (sequence, entries))| {
                let own = entries.iter().filter(|(other, _)| *other == index);
                let order = if by_sequence { *sequence } else { 0 };
                own.map(move |(_, index_key)| (index_key.clone(), order, key.clone()))
            })
            .collect();
        hits.sort();
        let hits = hits.into_iter();
        hits.map(|(index_key, _, key)| (index_key, key)).collect()
    });
    all.to_vec()
}

/// What was promised at some change of the disk, and after it.
#[derive(Clone, Copy)]
struct Promise {
    /// How many changes the disk had seen.
    changes: usize,
    committed: u64,
    durable: u64,
}

/// A life that is being led or is over.
pub(crate) struct Life {
    pub(crate) disk: SimDisk,
    pub(crate) past: Past,
    promises: Vec<Promise>,
    /// Steps of compaction after a removal.
    pub(crate) freed: u64,
    /// Snapshots, one of so many moments of the life.
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) snapshot_every: Option<usize>,
}

/// How many histories to try: the number in the environment for whoever has an hour.
pub(crate) fn seeds(variable: &str, usual: u64) -> u64 {
    let wished = std::env::var(variable);
    wished.map_or(usual, |seeds| seeds.parse().expect("a number of seeds"))
}

/// Small segments, so that a short life has many; a small cache, so that reads meet the disk.
pub(crate) fn small_options() -> Options {
    Options {
        segment_bytes: 2048,
        segment_bytes_min: 512,
        cache_bytes: 1000,
        unsynced_bytes_max: 4096,
        compact_step_bytes: 300,
        salt: 42,
        ..Options::default()
    }
}

/// All rows of an engine.
pub(crate) fn rows(engine: &mut Engine) -> Rows {
    let all = engine.scan(&KeyRange::all(), Order::Forward, usize::MAX);
    let all = all.unwrap().into_iter();
    all.map(|row| (row.key.to_vec(), row.value.to_vec()))
        .collect()
}

pub(crate) fn random_batch(rng: &mut Rng) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..=rng.below(3) {
        let key = format!("key {}", rng.below(12));
        if rng.one_in(4) {
            batch.delete(key.as_bytes());
        } else {
            let length = if rng.one_in(40) { 3000 } else { rng.index(200) };
            let value: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
            let entries = entries_told_by(&value);
            let entries: Vec<_> = entries.iter().map(|(i, k)| (*i, &k[..])).collect();
            batch.put_indexed(key.as_bytes(), &value, &entries);
        }
    }
    batch
}

/// Commits, doing the disk work that the engine asks for.
pub(crate) fn commit(engine: &mut Engine, batch: &Batch) -> Result<u64, CommitError> {
    let mut steps = 0;
    loop {
        match engine.commit(batch) {
            Ok(sequence) => return Ok(sequence),
            Err(Refusal::Error(error)) => return Err(error),
            Err(Refusal::Busy) => flush(engine),
            Err(Refusal::NoRoom(room)) => {
                let reserve = engine.take_reserve().expect("room is wanted");
                engine.reserved(reserve.run());
                assert!(engine.room_was_tried(room));
                // Asking again before a segment is gone would take away the room of what frees it.
                while engine.room_may_come(room) {
                    steps += 1;
                    assert!(steps < 3000, "it gets nowhere: {:?}", engine.stats());
                    go_on_compacting(engine);
                }
                if let Some(error) = engine.full(room) {
                    return Err(error);
                }
            }
        }
    }
}

/// What the thread of a store does when nobody waits for a sync.
fn go_on_compacting(engine: &mut Engine) {
    if !compact(engine) {
        if let Some(reserve) = engine.take_reserve() {
            engine.reserved(reserve.run());
        }
        flush(engine);
    }
}

pub(crate) fn flush(engine: &mut Engine) {
    if let Some(flush) = engine.take_flush() {
        engine.flushed(flush.run());
    }
}

/// Runs one step of compaction if one is due.
pub(crate) fn compact(engine: &mut Engine) -> bool {
    let Some(step) = engine.take_compaction() else {
        return false;
    };
    engine.compacted(step.run());
    assert!(engine.compaction_fault().is_none());
    true
}

impl Life {
    /// A life on `disk` that goes on from `past`, of which `durable` was promised.
    pub(crate) fn begin(disk: SimDisk, past: Past, durable: u64) -> Life {
        disk.record();
        let committed = past.0.len() as u64 - 1;
        let promises = vec![Promise {
            changes: 0,
            committed,
            durable,
        }];
        Life {
            disk,
            past,
            promises,
            freed: 0,
            snapshots: Vec::new(),
            snapshot_every: None,
        }
    }

    /// Opens the database and checks what it holds against the promises of `durable` and the
    /// past. The past is cut to what was found.
    pub(crate) fn open(&mut self) -> (Engine, OpenReport) {
        let opened = Engine::open(self.disk.storage(), &small_options());
        let (mut engine, report) = opened.unwrap_or_else(|error| panic!("{error}"));
        let promised = self.promised(usize::MAX);
        check(&mut engine, promised, &self.past);
        self.past.truncate(report.sequence);
        self.promise(&engine);
        (engine, report)
    }

    /// Commits and does disk work, in random order; closes in order if told so by the seed.
    pub(crate) fn lead(&mut self, engine: &mut Engine, commits: usize, rng: &mut Rng) {
        for _ in 0..commits {
            self.commit(engine, rng);
            if rng.one_in(3) {
                let Some(flush) = engine.take_flush() else {
                    continue;
                };
                // Commits while the flush is under way.
                for _ in 0..rng.below(3) {
                    self.commit_if_easy(engine, rng);
                }
                engine.flushed(flush.run());
                self.promise(engine);
            }
            if rng.one_in(4)
                && let Some(reserve) = engine.take_reserve()
            {
                engine.reserved(reserve.run());
            }
            for _ in 0..rng.below(4) {
                self.compact(engine, rng);
            }
            if rng.one_in(3)
                && let Some(file) = engine.take_key_file()
            {
                engine.key_file_made(file.run());
            }
        }
        if rng.one_in(2) {
            self.close(engine);
        }
    }

    pub(crate) fn close(&mut self, engine: &mut Engine) {
        flush(engine);
        self.promise(engine);
        engine.close();
        if engine.sequence() as usize == self.past.0.len() {
            self.past.push(&Batch::new());
        }
        self.promise(engine);
        flush(engine);
        self.promise(engine);
    }

    fn commit(&mut self, engine: &mut Engine, rng: &mut Rng) {
        if rng.one_in(8) {
            self.index(engine, rng);
        }
        let batch = random_batch(rng);
        let durable = engine.durable_sequence();
        let sequence = commit(engine, &batch).unwrap();
        self.note(sequence, &batch, engine);
        assert!(engine.durable_sequence() >= durable);
    }

    /// Puts a row, if it is there, into other indexes than its value tells.
    fn index(&mut self, engine: &mut Engine, rng: &mut Rng) {
        let key = format!("key {}", rng.below(12));
        let index_key = [rng.below(4) as u8];
        let entries = [(INDEXES[rng.index(2)], &index_key[..])];
        let mut batch = Batch::new();
        batch.index(key.as_bytes(), &entries);
        commit(engine, &batch).unwrap();
        self.past.push_index(key.as_bytes(), &entries);
        self.promise(engine);
    }

    fn compact(&mut self, engine: &mut Engine, rng: &mut Rng) {
        let step = engine.take_compaction();
        self.past.push_moves(engine);
        self.promise(engine);
        if let Some(step) = step {
            // Commits while the step is under way.
            for _ in 0..rng.below(3) {
                self.commit_if_easy(engine, rng);
            }
            engine.compacted(step.run());
            assert!(engine.compaction_fault().is_none());
            self.past.push_moves(engine);
            self.freed += engine.stats().segments_freed;
            self.promise(engine);
        }
    }

    fn commit_if_easy(&mut self, engine: &mut Engine, rng: &mut Rng) {
        let batch = random_batch(rng);
        if let Ok(sequence) = engine.commit(&batch) {
            self.note(sequence, &batch, engine);
        }
    }

    fn note(&mut self, sequence: u64, batch: &Batch, engine: &Engine) {
        assert_eq!(sequence as usize, self.past.0.len());
        self.past.push(batch);
        self.promise(engine);
    }

    fn promise(&mut self, engine: &Engine) {
        let every = self.snapshot_every.unwrap_or(usize::MAX);
        if self.promises.len().is_multiple_of(every) {
            self.snapshots.push(engine.snapshot());
        }
        self.promises.push(Promise {
            changes: self.disk.recorded(),
            committed: engine.sequence(),
            durable: engine.durable_sequence(),
        });
    }

    /// What had been durable and what had been committed when the disk had seen `changes`.
    pub(crate) fn promised(&self, changes: usize) -> (u64, u64) {
        let made = self.promises.partition_point(|p| p.changes <= changes);
        let last = &self.promises[made - 1];
        (last.durable, last.committed)
    }
}

/// The database holds what it held after some sequence, not before the durable one and not after
/// the last commit.
pub(crate) fn check(engine: &mut Engine, (durable, committed): (u64, u64), past: &Past) {
    let sequence = engine.sequence();
    assert!(
        durable <= sequence,
        "{durable} was durable, {sequence} is left"
    );
    assert!(
        sequence <= committed,
        "{committed} was committed, {sequence} is there"
    );
    assert_eq!(engine.durable_sequence(), sequence);
    assert_eq!(
        &rows(engine),
        &past.0[sequence as usize],
        "rows at {sequence}"
    );
    assert_eq!(
        indexes(engine),
        expected_indexes(&past.1[sequence as usize]),
        "indexes at {sequence}"
    );
}
