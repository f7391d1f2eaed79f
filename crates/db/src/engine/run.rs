//! What one segment says of each key, in the order of keys: its last word on it.
//!
//! An opening reads the segments into runs, from their frames or from their key files, and merges
//! these into the directory.

use std::cmp::Ordering;
use std::ops::Range;

use super::batch::{Entries, PayloadFault, Write, decode_ops};
use super::directory::Place;
use super::frame::{Frame, FrameKind};
use super::head::{head, shared_by_all};
use super::index::IndexId;
use super::moves::{Move, decode_moves};

/// The last words of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Keys, and index entries as they lie in the log. The values between them are not kept.
    bytes: Vec<u8>,
    /// In the order of keys, each key once.
    pub(crate) rows: Vec<RunRow>,
    /// In the order of their indexes.
    pub(crate) entries: Vec<RunEntry>,
    /// Where a moved row begins that is not the one that lay there before.
    pub(crate) contradiction: Option<u32>,
}

/// A place in the bytes of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) length: u32,
}

/// What a segment says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunRow {
    pub(crate) key: Span,
    pub(crate) word: Word,
    /// The first word was that the row was moved here: before, it had this sequence if it was
    /// there. 0 if it was not moved.
    pub(crate) moved: u64,
}

/// The last word on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is not there.
    Gone,
    /// Its value lies there, and the run has its index entries.
    There(Place),
    /// Its value lies in an older segment, if it is there, and the run has its index entries.
    Indexed,
}

/// An index entry of a row of the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunEntry {
    pub(crate) index: IndexId,
    pub(crate) key: Span,
    /// The row, by its place in the run.
    pub(crate) row: u32,
}

impl Run {
    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..][..span.length as usize]
    }

    fn sequence(&self, row: u32) -> u64 {
        match self.rows[row as usize].word {
            Word::There(place) => place.sequence,
            Word::Gone | Word::Indexed => 0,
        }
    }

    fn compare(&self, one: &RunEntry, other: &RunEntry) -> Ordering {
        let by_index = one.index.cmp(&other.index);
        let by_key = || self.slice(one.key).cmp(self.slice(other.key));
        let by_sequence = || match one.index.is_by_sequence() {
            true => self.sequence(one.row).cmp(&self.sequence(other.row)),
            false => Ordering::Equal,
        };
        by_index
            .then_with(by_key)
            .then_with(by_sequence)
            .then(one.row.cmp(&other.row))
    }
}

/// A run in the making, from frames in their order.
#[derive(Default)]
pub(crate) struct RunBuilder {
    bytes: Vec<u8>,
    ops: Vec<RunOp>,
}

struct RunOp {
    key: Span,
    word: Word,
    entries: Span,
    moved: bool,
}

/// What a frame says beside its rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameFacts {
    /// No segment before this one is needed any more.
    pub(crate) first_needed: Option<u32>,
    /// A row that was moved claims to be younger than the frame that moved it.
    pub(crate) moved_too_young: bool,
}

impl RunBuilder {
    /// Adds what a frame says whose payload begins at `payload_at` of its segment.
    pub(crate) fn add(
        &mut self,
        segment: u32,
        payload_at: usize,
        frame: Frame<'_>,
    ) -> Result<FrameFacts, PayloadFault> {
        let payload = frame.payload;
        let mut facts = FrameFacts::default();
        let place = |value: Range<usize>, sequence| Place {
            segment,
            offset: (payload_at + value.start) as u32,
            length: value.len() as u32,
            sequence,
        };
        match frame.kind {
            FrameKind::Close | FrameKind::Unknown(_) => {}
            FrameKind::Batch => {
                for op in decode_ops(payload)? {
                    let word = match op.write {
                        Write::Put(value) => Word::There(place(value, frame.sequence)),
                        Write::Delete => Word::Gone,
                        Write::Index => Word::Indexed,
                    };
                    self.push(payload, op.key, word, op.entries, false);
                }
            }
            FrameKind::Moves => {
                for entry in decode_moves(payload)? {
                    match entry {
                        Move::First(first) => {
                            facts.first_needed = facts.first_needed.max(Some(first));
                        }
                        Move::Row {
                            key,
                            value,
                            sequence,
                            entries,
                        } => {
                            facts.moved_too_young |= sequence >= frame.sequence;
                            let word = Word::There(place(value, sequence));
                            self.push(payload, key, word, entries, true);
                        }
                    }
                }
            }
        }
        Ok(facts)
    }

    fn push(
        &mut self,
        payload: &[u8],
        key: Range<usize>,
        word: Word,
        entries: Range<usize>,
        moved: bool,
    ) {
        let key = self.keep(&payload[key]);
        let entries = self.keep(&payload[entries]);
        self.ops.push(RunOp {
            key,
            word,
            entries,
            moved,
        });
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span {
            start,
            length: bytes.len() as u32,
        }
    }

    /// The last words on each key.
    pub(crate) fn finish(self) -> Run {
        let RunBuilder { bytes, ops } = self;
        let mut run = Run {
            bytes,
            ..Run::default()
        };
        let key = |op: u32| run.slice(ops[op as usize].key);
        let all = 0..ops.len() as u32;
        let shared = shared_by_all(all.clone().map(key));
        // Numbers are sorted, for the words themselves are large.
        let mut order: Vec<(u64, u32)> = all.map(|op| (head(key(op), shared), op)).collect();
        order.sort_unstable_by(|one, other| {
            let by_key = || key(one.1).cmp(key(other.1));
            // The words on a key stay in their order.
            let by_age = || one.1.cmp(&other.1);
            one.0.cmp(&other.0).then_with(by_key).then_with(by_age)
        });
        let (mut rows, mut entries) = (Vec::new(), Vec::new());
        let mut contradiction = None;
        for same in order.chunk_by(|one, other| one.0 == other.0 && key(one.1) == key(other.1)) {
            let words = same.iter().map(|(_, op)| &ops[*op as usize]);
            let (row, span) = last_word(words, &mut contradiction);
            entries.push(span);
            rows.push(row);
        }
        drop(ops);
        (run.rows, run.contradiction) = (rows, contradiction);
        run.add_entries(&entries);
        run
    }
}

/// Folds the words on one key, of which there is one at least.
fn last_word<'o>(
    mut ops: impl Iterator<Item = &'o RunOp>,
    contradiction: &mut Option<u32>,
) -> (RunRow, Span) {
    let first = ops.next().expect("a word has brought us here");
    let (mut word, mut entries) = (first.word, first.entries);
    let moved = match first {
        RunOp {
            word: Word::There(place),
            moved: true,
            ..
        } => place.sequence,
        _ => 0,
    };
    for op in ops {
        match (word, op.word) {
            (Word::There(old), Word::There(new)) if op.moved && old.sequence != new.sequence => {
                contradiction.get_or_insert(new.offset);
            }
            (Word::Gone, Word::Indexed) => continue,
            (Word::There(_), Word::Indexed) => {
                entries = op.entries;
                continue;
            }
            _ => {}
        }
        (word, entries) = (op.word, op.entries);
    }
    let key = first.key;
    (RunRow { key, word, moved }, entries)
}

impl Run {
    /// Adds the entries of each row, which are encoded in the run's bytes.
    fn add_entries(&mut self, encoded: &[Span]) {
        for (row, span) in encoded.iter().enumerate() {
            let block = self.slice(*span);
            let block = Entries::check(block).expect("decoding has checked them");
            let found: Vec<_> = block.spans().collect();
            self.entries
                .extend(found.into_iter().map(|(index, key)| RunEntry {
                    index,
                    key: Span {
                        start: span.start + key.start as u32,
                        length: key.len() as u32,
                    },
                    row: row as u32,
                }));
        }
        let shared = shared_by_all(self.entries.iter().map(|entry| self.slice(entry.key)));
        let entries = std::mem::take(&mut self.entries).into_iter();
        let with_head = |entry: RunEntry| (head(self.slice(entry.key), shared), entry);
        let mut entries: Vec<_> = entries.map(with_head).collect();
        entries.sort_unstable_by(|(one_head, one), (other_head, other)| {
            let by_index = one.index.cmp(&other.index);
            let by_rest = || self.compare(one, other);
            by_index.then(one_head.cmp(other_head)).then_with(by_rest)
        });
        entries.dedup_by(|(_, one), (_, other)| self.compare(one, other).is_eq());
        self.entries = entries.into_iter().map(|(_, entry)| entry).collect();
    }
}
