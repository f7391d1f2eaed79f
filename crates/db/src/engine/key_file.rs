//! Key files: what a sealed segment says of its keys, for an opening that reads no values.
//!
//! `docs/formats/keys.md` has the format byte by byte. A key file is a shortcut and nothing more:
//! what does not fit is not used.

use super::crc32c::Crc;
use super::directory::Place;
use super::index::IndexId;
use super::run::{Run, RunEntry, RunRow, Span, Word};

/// The version of key files that this engine writes, and the only one that it reads.
const KEY_FILE_VERSION: u32 = 1;
const KEY_FILE_MAGIC: [u8; 8] = *b"PERIWKEY";
const HEADER_BYTES: usize = 88;

const WORD_GONE: u8 = 0;
const WORD_THERE: u8 = 1;
const WORD_MOVED: u8 = 2;
const WORD_INDEXED: u8 = 3;

/// The name of a segment's key file.
pub(crate) fn key_file_name(segment: u32) -> String {
    format!("{segment:08}.keys")
}

/// The segment of a file's name; `None` for files that are not key files.
pub(crate) fn segment_of_key_file(name: &str) -> Option<u32> {
    let segment = name.strip_suffix(".keys")?.parse().ok()?;
    (key_file_name(segment) == name).then_some(segment)
}

/// What a key file says of its segment as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub(crate) segment: u32,
    pub(crate) salt: u64,
    /// Where the last frame ends.
    pub(crate) end: u32,
    /// Where it begins, and its checksum.
    pub(crate) last_frame: u32,
    pub(crate) last_crc: u32,
    /// The sequences of the first and the last frame.
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
    /// The highest mark of its frames.
    pub(crate) mark: u64,
    pub(crate) transactions: u32,
    /// No segment before this one is needed, as its frames say; 0 if they do not.
    pub(crate) first_needed: u32,
}

/// The bytes of a key file.
pub(crate) fn encode(facts: SegmentFacts, run: &Run) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES];
    out[0..8].copy_from_slice(&KEY_FILE_MAGIC);
    let words = [
        (8, KEY_FILE_VERSION),
        (16, facts.segment),
        (20, facts.end),
        (24, facts.last_frame),
        (28, facts.last_crc),
        (64, facts.transactions),
        (68, facts.first_needed),
        (72, run.rows.len() as u32),
        (76, run.entries.len() as u32),
    ];
    for (at, word) in words {
        out[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    let longs = [
        (32, facts.salt),
        (40, facts.first_sequence),
        (48, facts.last_sequence),
        (56, facts.mark),
    ];
    for (at, long) in longs {
        out[at..at + 8].copy_from_slice(&long.to_le_bytes());
    }
    let mut previous: &[u8] = &[];
    for row in &run.rows {
        let key = run.slice(row.key);
        encode_row(&mut out, facts, row, previous, key);
        previous = key;
    }
    previous = &[];
    for entry in &run.entries {
        let key = run.slice(entry.key);
        write_varint(&mut out, u64::from(entry.index.0));
        write_key(&mut out, previous, key);
        write_varint(&mut out, u64::from(entry.row));
        previous = key;
    }
    let crc = checksum(&out);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

fn encode_row(out: &mut Vec<u8>, facts: SegmentFacts, row: &RunRow, previous: &[u8], key: &[u8]) {
    match row.word {
        Word::Gone => out.push(WORD_GONE),
        Word::Indexed => out.push(WORD_INDEXED),
        Word::There(place) if row.moved == place.sequence => out.push(WORD_MOVED),
        Word::There(_) => out.push(WORD_THERE),
    }
    write_key(out, previous, key);
    if let Word::There(place) = row.word {
        write_varint(out, u64::from(place.offset));
        write_varint(out, u64::from(place.length));
        write_varint(out, facts.last_sequence - place.sequence);
    }
}

/// Reads a key file; `None` when anything about it is not as it should be.
pub(crate) fn decode(bytes: &[u8]) -> Option<(SegmentFacts, Run)> {
    if bytes.len() < HEADER_BYTES || bytes[0..8] != KEY_FILE_MAGIC {
        return None;
    }
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if word(12)? != checksum(bytes) || word(8)? != KEY_FILE_VERSION {
        return None;
    }
    let facts = SegmentFacts {
        segment: word(16)?,
        end: word(20)?,
        last_frame: word(24)?,
        last_crc: word(28)?,
        salt: long(32)?,
        first_sequence: long(40)?,
        last_sequence: long(48)?,
        mark: long(56)?,
        transactions: word(64)?,
        first_needed: word(68)?,
    };
    let mut reader = Reader {
        rest: &bytes[HEADER_BYTES..],
        arena: Vec::with_capacity(bytes.len() * 2),
        last: Span::default(),
    };
    let (rows, entries) = (word(72)?, word(76)?);
    let rows = reader.rows(facts, rows)?;
    let entries = reader.entries(entries, rows.len())?;
    let run = Run {
        bytes: reader.arena,
        rows,
        entries,
        contradiction: None,
    };
    reader.rest.is_empty().then_some((facts, run))
}

fn checksum(bytes: &[u8]) -> u32 {
    Crc::new().add(&bytes[0..12]).add(&bytes[16..]).finish()
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Whole keys.
    arena: Vec<u8>,
    last: Span,
}

impl Reader<'_> {
    fn rows(&mut self, facts: SegmentFacts, count: u32) -> Option<Vec<RunRow>> {
        let mut rows: Vec<RunRow> = Vec::with_capacity(self.bounded(count));
        for _ in 0..count {
            let (word, rest) = self.rest.split_first()?;
            self.rest = rest;
            let last = self.last;
            let key = self.key()?;
            let rises = rows.is_empty() || self.slice(last) < self.slice(key);
            let word_and_move = match *word {
                WORD_GONE => (Word::Gone, 0),
                WORD_INDEXED => (Word::Indexed, 0),
                WORD_THERE => (Word::There(self.place(facts)?), 0),
                WORD_MOVED => {
                    let place = self.place(facts)?;
                    (Word::There(place), place.sequence)
                }
                _ => return None,
            };
            let (word, moved) = word_and_move;
            rows.push(RunRow { key, word, moved });
            if !rises {
                return None;
            }
        }
        Some(rows)
    }

    fn entries(&mut self, count: u32, rows: usize) -> Option<Vec<RunEntry>> {
        self.last = Span::default();
        let mut entries = Vec::with_capacity(self.bounded(count));
        for _ in 0..count {
            let index = IndexId(u16::try_from(self.varint()?).ok()?);
            let key = self.key()?;
            let row = u32::try_from(self.varint()?).ok()?;
            if row as usize >= rows {
                return None;
            }
            entries.push(RunEntry { index, key, row });
        }
        Some(entries)
    }

    /// Each takes a byte at least: a wrong count must not ask for more memory than that.
    fn bounded(&self, count: u32) -> usize {
        (count as usize).min(self.rest.len())
    }

    fn place(&mut self, facts: SegmentFacts) -> Option<Place> {
        let offset = u32::try_from(self.varint()?).ok()?;
        let length = u32::try_from(self.varint()?).ok()?;
        let sequence = facts.last_sequence.checked_sub(self.varint()?)?;
        let end = offset.checked_add(length)?.checked_add(4)?;
        (end <= facts.end).then_some(Place {
            segment: facts.segment,
            offset,
            length,
            sequence,
        })
    }

    /// A key: how much it shares with the one before, and the rest.
    fn key(&mut self) -> Option<Span> {
        let shared = u32::try_from(self.varint()?).ok()?;
        let own = usize::try_from(self.varint()?).ok()?;
        let (own, rest) = self.rest.split_at_checked(own)?;
        self.rest = rest;
        if shared > self.last.length {
            return None;
        }
        let start = self.arena.len();
        let from = self.last.start as usize;
        self.arena.extend_from_within(from..from + shared as usize);
        self.arena.extend_from_slice(own);
        self.last = Span {
            start: u32::try_from(start).ok()?,
            length: u32::try_from(self.arena.len() - start).ok()?,
        };
        Some(self.last)
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.arena[span.start as usize..][..span.length as usize]
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

fn write_key(out: &mut Vec<u8>, previous: &[u8], key: &[u8]) {
    let pairs = previous.iter().zip(key);
    let shared = pairs.take_while(|(one, other)| one == other).count();
    write_varint(out, shared as u64);
    write_varint(out, (key.len() - shared) as u64);
    out.extend_from_slice(&key[shared..]);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
