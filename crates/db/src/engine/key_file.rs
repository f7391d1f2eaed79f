//! Key files: what a sealed segment says of its keys, for an opening that reads no values.
//!
//! `docs/formats/keys.md` has the format byte by byte. A key file is a shortcut and nothing more:
//! what does not fit is not used.

use super::crc32c::Crc;
use super::directory::Place;
use super::head::shared_bytes;
use super::index::IndexId;
use super::load::Stream;
use super::run::{Run, Word};

/// The version of key files that this engine writes, and the only one that it reads.
const KEY_FILE_VERSION: u32 = 1;
const KEY_FILE_MAGIC: [u8; 8] = *b"PERIWKEY";
pub(crate) const HEADER_BYTES: usize = 88;

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

/// The header of a key file that has so many rows and index entries and this body.
pub(crate) fn header(facts: SegmentFacts, rows: u32, entries: u32, body: &Body) -> Vec<u8> {
    let mut header = header_unchecked(facts, rows, entries);
    let crc = Crc::new().add(&header[0..12]).add(&header[16..]);
    let crc = crc.join(body.crc, body.bytes).finish();
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What the header must know of what follows.
pub(crate) struct Body {
    pub(crate) crc: Crc,
    pub(crate) bytes: u64,
}

fn header_unchecked(facts: SegmentFacts, rows: u32, entries: u32) -> Vec<u8> {
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
        (72, rows),
        (76, entries),
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
    out
}

/// The bytes of a key file, without the checksum.
fn encode_unchecked(facts: SegmentFacts, run: &Run) -> Vec<u8> {
    let mut out = header_unchecked(facts, run.rows.len() as u32, run.entries.len() as u32);
    let mut previous: &[u8] = &[];
    for row in &run.rows {
        let key = run.slice(row.key);
        let is_moved = matches!(row.word, Word::There(place) if place.sequence == row.moved);
        encode_row(&mut out, facts, row.word, is_moved, previous, key);
        previous = key;
    }
    previous = &[];
    for entry in &run.entries {
        let key = run.slice(entry.key);
        encode_entry(&mut out, entry.index, previous, key, entry.row);
        previous = key;
    }
    out
}

/// Adds a row, which comes behind that with the key `previous`.
pub(crate) fn encode_row(
    out: &mut Vec<u8>,
    facts: SegmentFacts,
    word: Word,
    is_moved: bool,
    previous: &[u8],
    key: &[u8],
) {
    out.push(match word {
        Word::Gone => WORD_GONE,
        Word::Indexed => WORD_INDEXED,
        Word::There(_) if is_moved => WORD_MOVED,
        Word::There(_) => WORD_THERE,
    });
    write_key(out, previous, key);
    if let Word::There(place) = word {
        write_varint(out, u64::from(place.offset));
        write_varint(out, u64::from(place.length));
        write_varint(out, facts.last_sequence - place.sequence);
    }
}

/// Adds an index entry, which comes behind that with the index key `previous`.
pub(crate) fn encode_entry(
    out: &mut Vec<u8>,
    index: IndexId,
    previous: &[u8],
    key: &[u8],
    row: u32,
) {
    write_varint(out, u64::from(index.0));
    write_key(out, previous, key);
    write_varint(out, u64::from(row));
}

fn checksum(bytes: &[u8]) -> u32 {
    Crc::new().add(&bytes[0..12]).add(&bytes[16..]).finish()
}

/// A key file whose head and checksum are right.
pub(crate) struct KeyFileBytes {
    pub(crate) facts: SegmentFacts,
    rows: u32,
    entries: u32,
    bytes: Vec<u8>,
    /// Where the index entries begin, once that is known.
    entries_at: Option<usize>,
}

/// The body of a key file is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl KeyFileBytes {
    /// What the key file of a segment would say, or of some frames of it.
    pub(crate) fn of_run(facts: SegmentFacts, run: &Run) -> KeyFileBytes {
        KeyFileBytes {
            facts,
            rows: run.rows.len() as u32,
            entries: run.entries.len() as u32,
            bytes: encode_unchecked(facts, run),
            entries_at: None,
        }
    }

    /// How many bytes it takes.
    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How many rows and index entries it speaks of.
    pub(crate) fn counts(&self) -> (usize, usize) {
        // A wrong count must not ask for more memory than the bytes can fill.
        let at_most = |count: u32| (count as usize).min(self.bytes.len());
        (at_most(self.rows), at_most(self.entries))
    }

    /// `None` when head or checksum are not as they should be.
    pub(crate) fn check(bytes: Vec<u8>) -> Option<KeyFileBytes> {
        if bytes.len() < HEADER_BYTES || bytes[0..8] != KEY_FILE_MAGIC {
            return None;
        }
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if word(12)? != checksum(&bytes) || word(8)? != KEY_FILE_VERSION {
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
        let (rows, entries) = (word(72)?, word(76)?);
        // Each row takes a byte at least: a wrong count must not ask for more memory than that.
        let is_one = rows as usize <= bytes.len() && facts.first_needed <= facts.segment;
        is_one.then_some(KeyFileBytes {
            facts,
            rows,
            entries,
            bytes,
            entries_at: None,
        })
    }

    /// The whole file.
    #[cfg(test)]
    pub(crate) fn sealed(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[12..16].copy_from_slice(&checksum(&self.bytes).to_le_bytes());
        bytes
    }

    /// The same, and what it takes to find the index entries is done.
    pub(crate) fn with_entries_found(mut self) -> KeyFileBytes {
        self.entries_at = self.find_entries();
        self
    }

    fn find_entries(&self) -> Option<usize> {
        let mut reader = Reader::new(&self.bytes[HEADER_BYTES..], 0);
        for _ in 0..self.rows {
            reader.skip_row()?;
        }
        Some(self.bytes.len() - reader.rest.len())
    }

    /// The rows in the order of their keys.
    pub(crate) fn rows(&self) -> RowCursor<'_> {
        RowCursor {
            facts: self.facts,
            reader: Reader::new(&self.bytes[HEADER_BYTES..], 0),
            word: Word::Gone,
            is_moved: false,
            next: 0,
            rows: self.rows,
        }
    }

    /// The index entries in the order of their indexes and keys.
    pub(crate) fn entries(&self) -> Result<EntryCursor<'_>, Malformed> {
        let at = self.entries_at.or_else(|| self.find_entries());
        Ok(EntryCursor {
            reader: Reader::new(&self.bytes[at.ok_or(Malformed)?..], INDEX_BYTES),
            left: self.entries,
            row: 0,
        })
    }

    /// For each row, that it is none of the directory.
    pub(crate) fn no_rows(&self) -> Vec<u32> {
        vec![NO_ROW; self.rows as usize]
    }
}

/// No row of the directory.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// One row after the other.
pub(crate) struct RowCursor<'a> {
    facts: SegmentFacts,
    reader: Reader<'a>,
    word: Word,
    is_moved: bool,
    /// The number of the next row.
    next: u32,
    rows: u32,
}

impl RowCursor<'_> {
    pub(crate) fn key(&self) -> &[u8] {
        &self.reader.key
    }

    pub(crate) fn word(&self) -> Word {
        self.word
    }

    /// The last word is that the row was moved here.
    pub(crate) fn is_moved(&self) -> bool {
        self.is_moved
    }

    /// The number of the row.
    pub(crate) fn row(&self) -> u32 {
        self.next - 1
    }

    fn place(&mut self) -> Option<Place> {
        let offset = u32::try_from(self.reader.varint()?).ok()?;
        let length = u32::try_from(self.reader.varint()?).ok()?;
        let sequence = self
            .facts
            .last_sequence
            .checked_sub(self.reader.varint()?)?;
        let end = offset.checked_add(length)?.checked_add(4)?;
        (end <= self.facts.end).then_some(Place {
            segment: self.facts.segment,
            offset,
            length,
            sequence,
        })
    }

    fn read(&mut self) -> Option<()> {
        let (word, rest) = self.reader.rest.split_first()?;
        self.reader.rest = rest;
        let rises = self.reader.read_key()?;
        if !rises && self.next > 0 {
            return None;
        }
        self.is_moved = *word == WORD_MOVED;
        self.word = match *word {
            WORD_GONE => Word::Gone,
            WORD_INDEXED => Word::Indexed,
            WORD_THERE | WORD_MOVED => Word::There(self.place()?),
            _ => return None,
        };
        self.next += 1;
        Some(())
    }
}

impl Stream for RowCursor<'_> {
    fn advance(&mut self) -> Result<bool, Malformed> {
        if self.next == self.rows {
            return Ok(false);
        }
        self.read().map(|()| true).ok_or(Malformed)
    }

    fn rank(&self) -> &[u8] {
        &self.reader.key
    }

    fn kept(&self) -> usize {
        self.reader.kept
    }
}

/// One index entry after the other.
pub(crate) struct EntryCursor<'a> {
    /// The number of the index stands in front of the key.
    reader: Reader<'a>,
    left: u32,
    row: u32,
}

impl EntryCursor<'_> {
    pub(crate) fn index(&self) -> IndexId {
        let [high, low, ..] = self.reader.key[..] else {
            return IndexId(0);
        };
        IndexId(u16::from_be_bytes([high, low]))
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.reader.key[INDEX_BYTES..]
    }

    /// The number of its row in the key file.
    pub(crate) fn row(&self) -> u32 {
        self.row
    }

    fn read(&mut self) -> Option<()> {
        let index = u16::try_from(self.reader.varint()?).ok()?;
        self.reader.read_key()?;
        self.reader.set_front(index.to_be_bytes());
        self.row = u32::try_from(self.reader.varint()?).ok()?;
        self.left -= 1;
        Some(())
    }
}

impl Stream for EntryCursor<'_> {
    fn advance(&mut self) -> Result<bool, Malformed> {
        if self.left > 0 {
            return self.read().map(|()| true).ok_or(Malformed);
        }
        match self.reader.rest {
            [] => Ok(false),
            _ => Err(Malformed),
        }
    }

    fn rank(&self) -> &[u8] {
        &self.reader.key
    }

    fn kept(&self) -> usize {
        self.reader.kept
    }
}

/// What a row says of the place of its value: offset, length, age.
const PLACE_NUMBERS: usize = 3;

/// Bytes of an index's number in front of an index key.
const INDEX_BYTES: usize = 2;

struct Reader<'a> {
    rest: &'a [u8],
    /// The key that was read last, behind bytes of the cursor's own.
    key: Vec<u8>,
    front: usize,
    /// How many bytes of it are the same as before, for certain.
    kept: usize,
}

impl<'a> Reader<'a> {
    fn new(rest: &'a [u8], front: usize) -> Reader<'a> {
        Reader {
            rest,
            key: vec![0; front],
            front,
            kept: 0,
        }
    }

    /// Sets what stands in front of the key.
    fn set_front(&mut self, front: [u8; INDEX_BYTES]) {
        if self.key[..INDEX_BYTES] != front {
            self.key[..INDEX_BYTES].copy_from_slice(&front);
            self.kept = 0;
        }
    }

    /// Reads a key: how much it shares with the one before, and the rest. Answers whether it is
    /// larger.
    fn read_key(&mut self) -> Option<bool> {
        let shared = usize::try_from(self.varint()?).ok()?;
        let own = usize::try_from(self.varint()?).ok()?;
        let (own, rest) = self.rest.split_at_checked(own)?;
        self.rest = rest;
        self.kept = self.front.checked_add(shared)?;
        let before = self.key.get(self.kept..)?;
        let rises = match (own.first(), before.first()) {
            (Some(byte), Some(other)) if byte != other => byte > other,
            _ => own > before,
        };
        self.key.truncate(self.kept);
        self.key.extend_from_slice(own);
        Some(rises)
    }

    /// Passes over a row.
    fn skip_row(&mut self) -> Option<()> {
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.varint()?;
        let own = usize::try_from(self.varint()?).ok()?;
        self.rest = self.rest.get(own..)?;
        if matches!(*word, WORD_THERE | WORD_MOVED) {
            for _ in 0..PLACE_NUMBERS {
                self.varint()?;
            }
        }
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        let mut value = u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
        for shift in (7..64).step_by(7) {
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
    let shared = shared_bytes(previous, key);
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
