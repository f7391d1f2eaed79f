//! Looking at the files of a log without opening it: `verify` says what is damaged and where,
//! `salvage` copies every row that intact frames hold into a new database.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::{Batch, Entries, PayloadFault, Write, decode_ops};
use super::error::{CommitError, Damage, OpenError, StoreFailure};
use super::frame::{Frame, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::segment_of;
use super::machine::{Engine, Refusal};
use super::moves::{Move, decode_moves};
use super::options::Options;
use super::segments::{io_error, is_blank};
use super::storage::Storage;

/// Bytes of rows that salvage writes in one transaction.
const SALVAGE_BATCH_BYTES: usize = 1 << 20;

/// What looking at every byte found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Segment files that are there.
    pub segments: u64,
    /// Intact frames.
    pub frames: u64,
    /// What is not as it was written. The tail of a power cut counts too: only opening can tell.
    pub damage: Vec<Damage>,
    /// Sequences of frames that are missing between intact ones: first and last of each gap.
    pub lost: Vec<(u64, u64)>,
}

/// What salvage did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What was found on the way.
    pub inspection: Inspection,
    /// Rows in the new database.
    pub rows: u64,
}

/// Why salvage did not end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// The new directory holds a database already.
    #[error("the directory for what is salvaged holds a database already; name an empty one")]
    NotEmpty,
    /// The damaged files cannot be read at all, or the new ones not be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new database refused a row.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The new database could not be written.
    #[error(transparent)]
    Write(#[from] StoreFailure),
}

/// Reads every frame of the log in `storage` and reports all damage. Changes nothing. The log must
/// not be open.
pub fn verify(storage: &dyn Storage) -> Result<Inspection, OpenError> {
    let mut reader = Reader::default();
    reader.read(storage)?;
    Ok(reader.inspection())
}

/// Copies what every intact frame in `damaged` holds into a new database in `new`, and changes
/// nothing in `damaged`.
///
/// Each row gets the youngest value that is left of it. Where frames are lost, that may be an
/// older value than the last, and a row that was deleted may be back: [`Inspection::lost`] says
/// which transactions are missing. Then the rows come without their index entries, which may not
/// fit the values that are left: whoever made them makes them anew.
pub fn salvage(
    damaged: &dyn Storage,
    new: Arc<dyn Storage>,
    options: &Options,
) -> Result<Salvaged, SalvageError> {
    let mut reader = Reader::default();
    reader.read(damaged)?;
    let (mut engine, report) = Engine::open(new, options)?;
    if report.sequence > 0 {
        return Err(SalvageError::NotEmpty);
    }
    let inspection = reader.inspection();
    let whole = inspection.damage.is_empty() && inspection.lost.is_empty();
    let mut batch = Batch::new();
    let mut rows = 0;
    for (key, row) in &reader.rows {
        let Some(value) = &row.value else { continue };
        let entries = if whole { &row.entries[..] } else { &[] };
        let entries = Entries::check(entries).expect("decoding has checked them");
        batch.put_indexed(key, value, &entries.iter().collect::<Vec<_>>());
        rows += 1;
        if batch.bytes() >= SALVAGE_BATCH_BYTES {
            commit(&mut engine, &std::mem::take(&mut batch))?;
        }
    }
    commit(&mut engine, &batch)?;
    engine.close();
    flush(&mut engine)?;
    Ok(Salvaged { inspection, rows })
}

fn commit(engine: &mut Engine, batch: &Batch) -> Result<(), SalvageError> {
    loop {
        match engine.commit(batch) {
            Ok(_) => return flush(engine),
            Err(Refusal::Error(error)) => return Err(error.into()),
            Err(Refusal::Busy) => flush(engine)?,
            Err(Refusal::NoRoom(room)) => {
                if let Some(reserve) = engine.take_reserve() {
                    engine.reserved(reserve.run());
                }
                if let Some(error) = engine.full(room) {
                    return Err(error.into());
                }
            }
        }
    }
}

fn flush(engine: &mut Engine) -> Result<(), SalvageError> {
    if let Some(flush) = engine.take_flush() {
        engine.flushed(flush.run());
    }
    engine
        .failure()
        .map_or(Ok(()), |failure| Err(failure.clone().into()))
}

/// Everything that intact frames say.
#[derive(Default)]
struct Reader {
    segments: u64,
    damage: Vec<Damage>,
    /// Sequences of intact frames, as ranges: first to last.
    seen: BTreeMap<u64, u64>,
    frames: u64,
    rows: BTreeMap<Vec<u8>, Row>,
}

/// The youngest that is known of a key.
#[derive(Default)]
struct Row {
    sequence: u64,
    value: Option<Vec<u8>>,
    /// The frame that said which index entries it has, and those.
    indexed: u64,
    entries: Vec<u8>,
}

impl Reader {
    fn read(&mut self, storage: &dyn Storage) -> Result<(), OpenError> {
        let names = storage.list().map_err(io_error("list", "the directory"))?;
        let mut found: Vec<(u32, String)> = names
            .into_iter()
            .filter_map(|name| Some((segment_of(&name)?, name)))
            .collect();
        found.sort_unstable();
        self.segments = found.len() as u64;
        let mut files = Vec::new();
        for (id, name) in found {
            let bytes = self.read_file(storage, &name)?;
            files.push((id, name, bytes));
        }
        // A header that is not readable still has a known id; the salt is that of all segments.
        let salt = files.iter().find_map(|(_, _, bytes)| {
            let header = SegmentHeader::decode(bytes).ok()?;
            Some(header.salt)
        });
        let mut expected = files.first().map_or(1, |(id, ..)| *id);
        for (id, name, bytes) in &files {
            while expected < *id {
                self.report(
                    &super::log::segment_name(expected),
                    0,
                    "the file is missing",
                );
                expected += 1;
            }
            expected = id + 1;
            self.read_segment(*id, name, bytes, salt);
        }
        Ok(())
    }

    /// What can be read of a file; the rest counts as zero and is reported.
    fn read_file(&mut self, storage: &dyn Storage, name: &str) -> Result<Vec<u8>, OpenError> {
        const PIECE: usize = 64 << 10;
        let file = storage.open(name).map_err(io_error("open", name))?;
        let size = file.size().map_err(io_error("read", name))?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut at = 0;
        for piece in bytes.chunks_mut(PIECE) {
            if let Err(error) = file.read_at(at, piece) {
                self.report(name, at as usize, &format!("cannot be read: {error}"));
            }
            at += piece.len() as u64;
        }
        Ok(bytes)
    }

    fn read_segment(&mut self, id: u32, name: &str, bytes: &[u8], salt: Option<u64>) {
        let whole = SegmentHeader::decode(bytes).is_ok_and(|header| header.segment == id);
        if is_blank(bytes) {
            return;
        }
        if !whole {
            self.report(name, 0, "its header is not readable");
        }
        let Some(salt) = salt else { return };
        let header = SegmentHeader::new(id, salt);
        let mut at = SEGMENT_HEADER_BYTES.min(bytes.len());
        let mut damaged_from = None;
        while at < bytes.len() {
            if let Some(frame) = Frame::decode(header, &bytes[at..]) {
                self.report_damage(name, bytes, damaged_from.take(), at);
                self.read_frame(name, at, frame);
                at += frame.bytes();
            } else {
                damaged_from.get_or_insert(at);
                at += 1;
            }
        }
        self.report_damage(name, bytes, damaged_from, bytes.len());
    }

    /// Bytes that are no frame: nothing if they were never written.
    fn report_damage(&mut self, name: &str, bytes: &[u8], from: Option<usize>, to: usize) {
        let Some(from) = from else { return };
        let behind = to < bytes.len();
        if behind || !is_blank(&bytes[from..to]) {
            self.report(name, from, &format!("no whole frame up to byte {to}"));
        }
    }

    fn read_frame(&mut self, name: &str, at: usize, frame: Frame<'_>) {
        match self.apply(frame) {
            Ok(()) => {
                self.frames += 1;
                self.note_seen(frame.sequence);
            }
            Err(_) => self.report(name, at, "a whole frame with contents that are not known"),
        }
    }

    fn note_seen(&mut self, sequence: u64) {
        match self.seen.range_mut(..sequence).next_back() {
            Some((_, last)) if *last + 1 == sequence => *last = sequence,
            _ => {
                self.seen.insert(sequence, sequence);
            }
        }
    }

    fn apply(&mut self, frame: Frame<'_>) -> Result<(), PayloadFault> {
        let payload = frame.payload;
        match frame.kind {
            FrameKind::Close => {}
            FrameKind::Unknown(kind) => return Err(PayloadFault::UnknownTag(kind)),
            FrameKind::Batch => {
                for op in decode_ops(payload)? {
                    let key = &payload[op.key];
                    let value = match op.write {
                        Write::Put(value) => Some(Some(&payload[value])),
                        Write::Delete => Some(None),
                        Write::Index => None,
                    };
                    if let Some(value) = value {
                        self.note(key, frame.sequence, value);
                    }
                    self.note_entries(key, frame.sequence, &payload[op.entries]);
                }
            }
            FrameKind::Moves => {
                for entry in decode_moves(payload)? {
                    if let Move::Row {
                        key,
                        value,
                        sequence,
                        entries,
                    } = entry
                    {
                        self.note(&payload[key.clone()], sequence, Some(&payload[value]));
                        self.note_entries(&payload[key], frame.sequence, &payload[entries]);
                    }
                }
            }
        }
        Ok(())
    }

    /// The highest sequence wins, wherever it lies; within a transaction the last entry does.
    fn note(&mut self, key: &[u8], sequence: u64, value: Option<&[u8]>) {
        let row = self.rows.entry(key.to_vec()).or_default();
        if sequence >= row.sequence {
            row.sequence = sequence;
            row.value = value.map(<[u8]>::to_vec);
        }
    }

    /// The last frame that says something of a row's index entries wins.
    fn note_entries(&mut self, key: &[u8], frame: u64, entries: &[u8]) {
        if let Some(row) = self.rows.get_mut(key).filter(|row| frame >= row.indexed) {
            row.indexed = frame;
            row.entries = entries.to_vec();
        }
    }

    fn report(&mut self, file: &str, offset: usize, what: &str) {
        self.damage.push(Damage {
            file: file.to_owned(),
            offset: offset as u64,
            what: what.to_owned(),
        });
    }

    fn inspection(&self) -> Inspection {
        let ends = self.seen.values();
        let starts = self.seen.keys().skip(1);
        let gaps = ends.zip(starts).map(|(end, start)| (end + 1, start - 1));
        Inspection {
            segments: self.segments,
            frames: self.frames,
            damage: self.damage.clone(),
            lost: gaps.filter(|(first, last)| first <= last).collect(),
        }
    }
}
