//! Joining what the pieces of a segment say of their keys into the key file of the whole.
//!
//! The last words of a piece are taken together in memory and then kept as they would lie in a key
//! file, which is a fraction of that; and the joined ones go to the disk while they are made. So
//! making a key file takes what one piece takes, and about the size of the file.

use std::io;

use super::crc32c::Crc;
use super::index::IndexId;
use super::key_file::{
    self, Body, EntryCursor, HEADER_BYTES, KeyFileBytes, Malformed, NO_ROW, RowCursor,
    SegmentFacts, encode_entry, encode_row,
};
use super::load::Merge;
use super::run::Word;
use super::storage::StorageFile;

/// Bytes that are written at once.
const WRITTEN_BYTES: usize = 64 << 10;

/// Writes the key file of a segment from what its pieces say, the oldest first. Returns its size.
pub(crate) fn write(
    file: &dyn StorageFile,
    facts: SegmentFacts,
    pieces: &[KeyFileBytes],
) -> io::Result<u64> {
    let mut out = Writer::new(file);
    let rows = write_rows(&mut out, facts, pieces)?;
    let entries = write_entries(&mut out, &rows, pieces)?;
    let body = out.finish()?;
    let header = key_file::header(facts, rows.sequences.len() as u32, entries, &body);
    file.write_at(0, &header)?;
    Ok(HEADER_BYTES as u64 + body.bytes)
}

/// The rows of the key file, as far as its index entries need them.
struct Rows {
    /// By piece and row there: the row whose index entries it tells.
    told: Vec<Vec<u32>>,
    /// By row.
    sequences: Vec<u64>,
}

fn write_rows(
    out: &mut Writer<'_>,
    facts: SegmentFacts,
    pieces: &[KeyFileBytes],
) -> io::Result<Rows> {
    let mut rows = Rows {
        told: pieces.iter().map(KeyFileBytes::no_rows).collect(),
        sequences: Vec::new(),
    };
    let cursors = pieces.iter().map(KeyFileBytes::rows).collect();
    let mut merge = Merge::new(cursors).map_err(malformed)?;
    let (mut previous, mut key) = (Vec::new(), Vec::new());
    while let Some((_, first)) = merge.first() {
        std::mem::swap(&mut previous, &mut key);
        key.clear();
        key.extend_from_slice(first.key());
        let Last {
            word,
            is_moved,
            told_by: (piece, row),
        } = last_word(&mut merge, &key)?;
        rows.told[piece][row as usize] = rows.sequences.len() as u32;
        rows.sequences.push(match word {
            Word::There(place) => place.sequence,
            Word::Gone | Word::Indexed => 0,
        });
        encode_row(out.room()?, facts, word, is_moved, &previous, &key);
    }
    Ok(rows)
}

/// What is left of the words on a key.
struct Last {
    word: Word,
    /// The first word was that it was moved here, and there it is.
    is_moved: bool,
    /// The piece, and its row there, that tells its index entries.
    told_by: (usize, u32),
}

/// Takes all words on a key, which is that of the first.
fn last_word(merge: &mut Merge<RowCursor<'_>>, key: &[u8]) -> io::Result<Last> {
    let mut last: Option<Last> = None;
    while let Some((piece, cursor)) = merge.first().filter(|(_, cursor)| cursor.key() == key) {
        let told_by = (piece, cursor.row());
        let (word, is_moved) = (cursor.word(), cursor.is_moved());
        match (&mut last, word) {
            (Some(last), Word::Indexed) if last.word == Word::Gone => {}
            (Some(last), Word::Indexed) => last.told_by = told_by,
            (None, _) => {
                last = Some(Last {
                    word,
                    is_moved,
                    told_by,
                });
            }
            (Some(last), Word::There(new)) if is_moved => {
                if let Word::There(old) = last.word
                    && old.sequence != new.sequence
                {
                    return Err(io::Error::other(
                        "a row was moved that was not the youngest",
                    ));
                }
                (last.word, last.told_by) = (word, told_by);
            }
            (Some(last), _) => {
                (last.word, last.told_by) = (word, told_by);
                last.is_moved = false;
            }
        }
        merge.advance().map_err(malformed)?;
    }
    last.ok_or_else(|| malformed(Malformed))
}

/// Answers how many there are.
fn write_entries(out: &mut Writer<'_>, rows: &Rows, pieces: &[KeyFileBytes]) -> io::Result<u32> {
    let cursors = pieces.iter().map(KeyFileBytes::entries);
    let cursors = cursors.collect::<Result<Vec<EntryCursor<'_>>, _>>();
    let mut merge = cursors.and_then(Merge::new).map_err(malformed)?;
    let mut entries = 0;
    let (mut previous, mut key) = (Vec::new(), Vec::new());
    // Rows with the same index key.
    let mut same = Vec::new();
    while let Some((_, first)) = merge.first() {
        let index = first.index();
        key.clear();
        key.extend_from_slice(first.key());
        same.clear();
        while let Some((piece, entry)) = merge.first().filter(|(_, e)| is_at(e, index, &key)) {
            let row = rows.told[piece].get(entry.row() as usize);
            same.extend(row.filter(|row| **row != NO_ROW));
            merge.advance().map_err(malformed)?;
        }
        match index.is_by_sequence() {
            true => same.sort_unstable_by_key(|row| (rows.sequences[*row as usize], *row)),
            false => same.sort_unstable(),
        }
        for row in &same {
            encode_entry(out.room()?, index, &previous, &key, *row);
            previous.clone_from(&key);
        }
        entries += same.len() as u32;
    }
    Ok(entries)
}

fn is_at(entry: &EntryCursor<'_>, index: IndexId, key: &[u8]) -> bool {
    entry.index() == index && entry.key() == key
}

fn malformed(_: Malformed) -> io::Error {
    io::Error::other("the pieces of a key file do not fit each other")
}

/// The body of a key file on its way to the disk.
struct Writer<'a> {
    file: &'a dyn StorageFile,
    waiting: Vec<u8>,
    written: Body,
}

impl Writer<'_> {
    fn new(file: &dyn StorageFile) -> Writer<'_> {
        Writer {
            file,
            waiting: Vec::new(),
            written: Body {
                crc: Crc::new(),
                bytes: 0,
            },
        }
    }

    /// Where the next bytes go.
    fn room(&mut self) -> io::Result<&mut Vec<u8>> {
        if self.waiting.len() >= WRITTEN_BYTES {
            self.write()?;
        }
        Ok(&mut self.waiting)
    }

    fn write(&mut self) -> io::Result<()> {
        let Body { crc, bytes } = &mut self.written;
        self.file
            .write_at(HEADER_BYTES as u64 + *bytes, &self.waiting)?;
        *crc = crc.add(&self.waiting);
        *bytes += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Body> {
        self.write()?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use periwinkle_testkit::rng::Rng;

    use super::super::batch::{Batch, encoded_entries};
    use super::super::file_storage::FileStorage;
    use super::super::frame::{Frame, FrameKind};
    use super::super::moves::Moves;
    use super::super::run::RunBuilder;
    use super::super::storage::Storage;
    use super::*;

    /// The frames of a segment begin with this sequence; rows of older ones can be moved.
    const FIRST: u64 = 1000;

    type Entries = Vec<(IndexId, Vec<u8>)>;

    /// What was written: kinds and payloads, and the rows that are there with their sequences.
    struct Written {
        rng: Rng,
        rows: BTreeMap<Vec<u8>, (u64, Entries)>,
        moved: BTreeSet<Vec<u8>>,
        frames: Vec<(FrameKind, Vec<u8>)>,
    }

    impl Written {
        fn new(seed: u64) -> Written {
            let mut rng = Rng::new(seed);
            let mut rows = BTreeMap::new();
            for _ in 0..20 {
                rows.insert(key(&mut rng), (rng.below(FIRST), entries(&mut rng)));
            }
            Written {
                rng,
                rows,
                moved: BTreeSet::new(),
                frames: Vec::new(),
            }
        }

        fn sequence(&self) -> u64 {
            FIRST + self.frames.len() as u64
        }

        fn write(&mut self) {
            let mut batch = Batch::new();
            for _ in 0..1 + self.rng.below(4) {
                let (key, entries) = (key(&mut self.rng), entries(&mut self.rng));
                let borrowed: Vec<_> = entries.iter().map(|(id, key)| (*id, &key[..])).collect();
                match self.rng.below(4) {
                    0 => {
                        batch.delete(&key);
                        self.rows.remove(&key);
                    }
                    1 => {
                        batch.index(&key, &borrowed);
                        if let Some(row) = self.rows.get_mut(&key) {
                            row.1 = entries;
                        }
                    }
                    _ => {
                        batch.put_indexed(&key, b"value", &borrowed);
                        self.rows.insert(key, (self.sequence(), entries));
                    }
                }
            }
            self.frames
                .push((FrameKind::Batch, batch.payload().to_vec()));
        }

        /// Moves rows that are older than the segment, each once.
        fn compact(&mut self) {
            let mut moves = Moves::default();
            for (key, (sequence, entries)) in &self.rows {
                let is_old = *sequence < FIRST && !self.moved.contains(key);
                if is_old && self.rng.one_in(4) {
                    self.moved.insert(key.clone());
                    let entries = entries.iter().map(|(id, key)| (*id, &key[..]));
                    moves.push(key, b"value....", *sequence, &encoded_entries(entries));
                }
            }
            self.frames
                .push((FrameKind::Moves, moves.payload().to_vec()));
        }

        /// What the frames up to each of these ends say, from the end before it on.
        fn pieces(&self, ends: &[usize]) -> (SegmentFacts, Vec<KeyFileBytes>) {
            let mut facts = SegmentFacts::default();
            let (mut at, mut begin) = (64, 0);
            let mut pieces = Vec::new();
            for end in ends {
                let mut builder = RunBuilder::default();
                for (number, (kind, payload)) in self.frames[begin..*end].iter().enumerate() {
                    let sequence = FIRST + (begin + number) as u64;
                    let frame = Frame {
                        kind: *kind,
                        sequence,
                        synced: 0,
                        crc: 0,
                        payload,
                    };
                    builder.add(7, at, frame).unwrap();
                    at += frame.bytes();
                    (facts.last_sequence, facts.end) = (sequence, at as u32);
                }
                begin = *end;
                let run = builder.finish();
                assert_eq!(run.contradiction, None);
                pieces.push(KeyFileBytes::of_run(facts, &run));
            }
            (facts, pieces)
        }
    }

    fn key(rng: &mut Rng) -> Vec<u8> {
        format!("row {}", rng.below(40)).into_bytes()
    }

    /// None, or a few, in an index by keys and one by sequences; many have the same index key.
    fn entries(rng: &mut Rng) -> Entries {
        let count = rng.below(4);
        let entry = |_| {
            let index = IndexId(if rng.one_in(2) { 1 } else { 40 });
            let key = format!("{}", rng.below(5)).into_bytes();
            (index, key)
        };
        (0..count).map(entry).collect()
    }

    fn written_key_file(
        storage: &FileStorage,
        name: &str,
        (facts, pieces): (SegmentFacts, Vec<KeyFileBytes>),
    ) -> io::Result<Vec<u8>> {
        let file = storage.create(name)?;
        let bytes = write(&*file, facts, &pieces)?;
        assert_eq!(file.size()?, bytes);
        let mut contents = vec![0; bytes as usize];
        file.read_at(0, &mut contents)?;
        Ok(contents)
    }

    #[test]
    fn pieces_joined_say_byte_by_byte_what_the_whole_says() {
        let scratch = tempfile::tempdir().unwrap();
        let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
        for seed in 0..300 {
            let mut written = Written::new(seed);
            for _ in 0..2 + seed % 30 {
                match written.rng.one_in(4) {
                    true => written.compact(),
                    false => written.write(),
                }
            }
            let frames = written.frames.len();
            let mut ends: Vec<usize> = (0..written.rng.below(6))
                .map(|_| written.rng.index(frames))
                .chain([frames])
                .collect();
            ends.sort_unstable();
            let (facts, whole) = written.pieces(&[frames]);
            let whole = whole[0].sealed();
            let joined = written_key_file(&storage, &seed.to_string(), written.pieces(&ends));
            assert!(
                joined.unwrap() == whole,
                "seed {seed}, pieces up to {ends:?}"
            );
            let read = KeyFileBytes::check(whole).map(|read| read.facts);
            assert_eq!(read, Some(facts), "seed {seed}");
        }
    }

    #[test]
    fn a_row_that_was_moved_though_it_was_not_the_youngest_makes_no_key_file() {
        let scratch = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(scratch.path()).unwrap();
        let mut written = Written::new(1);
        written.write();
        let mut moves = Moves::default();
        for key in written.rows.keys() {
            moves.push(key, b"value....", 1, &[]);
        }
        let moves = (FrameKind::Moves, moves.payload().to_vec());
        written.frames.push(moves);
        let refused = written_key_file(&storage, "keys", written.pieces(&[1, 2])).unwrap_err();
        assert!(
            refused.to_string().contains("not the youngest"),
            "{refused}"
        );
    }
}
