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
pub(crate) struct Run<'a> {
    /// The segment, in which keys and index keys lie.
    bytes: &'a [u8],
    /// In the order of keys, each key once.
    pub(crate) rows: Vec<RunRow>,
    /// In the order of their indexes.
    pub(crate) entries: Vec<RunEntry>,
    /// Where a moved row begins that is not the one that lay there before.
    pub(crate) contradiction: Option<u32>,
}

/// A place in a segment.
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

impl Run<'_> {
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
    ops: Vec<RunOp>,
}

struct RunOp {
    key: Span,
    /// What mostly decides where the key belongs, once that is asked.
    head: u64,
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
                    self.push(payload_at, op.key, word, op.entries, false);
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
                            self.push(payload_at, key, word, entries, true);
                        }
                    }
                }
            }
        }
        Ok(facts)
    }

    fn push(
        &mut self,
        payload_at: usize,
        key: Range<usize>,
        word: Word,
        entries: Range<usize>,
        moved: bool,
    ) {
        let span = |range: Range<usize>| Span {
            start: (payload_at + range.start) as u32,
            length: range.len() as u32,
        };
        let (key, entries) = (span(key), span(entries));
        self.ops.push(RunOp {
            key,
            head: 0,
            word,
            entries,
            moved,
        });
    }

    /// The last words on each key; `bytes` are those of the segment.
    pub(crate) fn finish(self, bytes: &[u8]) -> Run<'_> {
        let RunBuilder { mut ops } = self;
        let mut run = Run {
            bytes,
            ..Run::default()
        };
        let shared = shared_by_all(ops.iter().map(|op| run.slice(op.key)));
        for op in &mut ops {
            op.head = head(run.slice(op.key), shared);
        }
        // Stable: the words on a key stay in their order.
        ops.sort_by(|one, other| {
            let by_key = || run.slice(one.key).cmp(run.slice(other.key));
            one.head.cmp(&other.head).then_with(by_key)
        });
        let mut entries = Vec::new();
        let mut at = 0;
        while at < ops.len() {
            let key = run.slice(ops[at].key);
            let same = ops[at..].iter().take_while(|op| run.slice(op.key) == key);
            let count = same.count();
            let last = last_word(&ops[at..at + count], &mut run.contradiction);
            entries.push(last.1);
            run.rows.push(last.0);
            at += count;
        }
        run.add_entries(&entries);
        run
    }
}

/// Folds the words on one key.
fn last_word(ops: &[RunOp], contradiction: &mut Option<u32>) -> (RunRow, Span) {
    let (mut word, mut entries) = (ops[0].word, ops[0].entries);
    let moved = match ops[0] {
        RunOp {
            word: Word::There(place),
            moved: true,
            ..
        } => place.sequence,
        _ => 0,
    };
    for op in &ops[1..] {
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
    let key = ops[0].key;
    (RunRow { key, word, moved }, entries)
}

impl Run<'_> {
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
        entries.sort_by(|(one_head, one), (other_head, other)| {
            let by_index = one.index.cmp(&other.index);
            let by_rest = || self.compare(one, other);
            by_index.then(one_head.cmp(other_head)).then_with(by_rest)
        });
        entries.dedup_by(|(_, one), (_, other)| self.compare(one, other).is_eq());
        self.entries = entries.into_iter().map(|(_, entry)| entry).collect();
    }
}
