//! Saving what is left of a damaged log: every row that intact frames hold, in a new database.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::{Batch, Entries, PayloadFault, VALUE_CRC_BYTES, Write, decode_ops, value_crc};
use super::error::{CommitError, Damage, OpenError, StoreFailure};
use super::frame::FrameKind;
use super::inspect::{Inspection, LogFile, PlacedFrame, Walk};
use super::log::segment_name;
use super::machine::{Engine, Refusal};
use super::moves::{Move, decode_moves};
use super::options::Options;
use super::storage::Storage;

/// Bytes of rows that salvage writes in one transaction.
const SALVAGE_BATCH_BYTES: usize = 1 << 20;

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
    /// The damaged files cannot be read at all.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new files cannot be made.
    #[error("in the new directory: {0}")]
    New(OpenError),
    /// The new database refused a row.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The new database could not be written.
    #[error(transparent)]
    Write(#[from] StoreFailure),
}

/// Copies what every intact frame in `damaged` holds into a new database in `new`, and changes
/// nothing in `damaged`.
///
/// Each row gets the youngest value that is left of it. Where frames are lost, that may be an
/// older value than the last, and a row that was deleted may be back: [`Inspection::lost`] says
/// which transactions are missing. Then the rows come without their index entries, which may not
/// fit the values that are left: whoever made them makes them anew.
///
/// Holds the keys of all rows in memory, but no more than some of their values.
///
/// # Errors
/// The damaged files cannot be read at all, or the new ones cannot be written.
pub fn salvage(
    damaged: &dyn Storage,
    new: Arc<dyn Storage>,
    options: &Options,
) -> Result<Salvaged, SalvageError> {
    let (files, keys) = LogFile::all(damaged)?;
    let (mut engine, report) = Engine::open(new, options).map_err(SalvageError::New)?;
    if report.sequence > 0 {
        return Err(SalvageError::NotEmpty);
    }
    let mut walk = Walk::new(&files, keys);
    let mut left = Left::default();
    for (at, file) in files.iter().enumerate() {
        walk.read(at, file, &mut |file, frame| left.take(file, frame));
    }
    let mut inspection = walk.finish();
    let whole = inspection.is_whole() && inspection.tail.is_none();
    let mut batch = Batch::new();
    let mut rows = 0;
    for (key, row) in &left.rows {
        let Some(place) = row.place else { continue };
        let value = match read_value(&files, key, place) {
            Ok(value) => value,
            Err(damage) => {
                inspection.damage.push(damage);
                continue;
            }
        };
        let entries = if whole { &row.entries[..] } else { &[] };
        let entries = Entries::check(entries).expect("decoding has checked them");
        batch.put_indexed(key, &value, &entries.iter().collect::<Vec<_>>());
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

/// The rows that intact frames tell of.
#[derive(Default)]
struct Left {
    rows: BTreeMap<Vec<u8>, Row>,
}

/// The youngest that is known of a key.
#[derive(Default)]
struct Row {
    sequence: u64,
    /// Where its value lies; `None` for a row that was deleted.
    place: Option<ValuePlace>,
    /// The frame that said which index entries it has, and those.
    indexed: u64,
    entries: Vec<u8>,
}

#[derive(Clone, Copy)]
struct ValuePlace {
    file: usize,
    offset: u64,
    length: usize,
}

impl Left {
    fn take(&mut self, file: usize, placed: &PlacedFrame<'_>) -> Result<(), PayloadFault> {
        let (frame, payload) = (&placed.frame, placed.frame.payload);
        let place = |value: &std::ops::Range<usize>| ValuePlace {
            file,
            offset: (placed.payload_at + value.start) as u64,
            length: value.len(),
        };
        match frame.kind {
            FrameKind::Close | FrameKind::Unknown(_) => {}
            FrameKind::Batch => {
                for op in decode_ops(payload)? {
                    let key = &payload[op.key];
                    match &op.write {
                        Write::Put(value) => self.note(key, frame.sequence, Some(place(value))),
                        Write::Delete => self.note(key, frame.sequence, None),
                        Write::Index => {}
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
                        self.note(&payload[key.clone()], sequence, Some(place(&value)));
                        self.note_entries(&payload[key], frame.sequence, &payload[entries]);
                    }
                }
            }
        }
        Ok(())
    }

    /// The highest sequence wins, wherever it lies; within a transaction the last entry does.
    fn note(&mut self, key: &[u8], sequence: u64, place: Option<ValuePlace>) {
        let row = self.rows.entry(key.to_vec()).or_default();
        if sequence >= row.sequence {
            row.sequence = sequence;
            row.place = place;
        }
    }

    /// The last frame that says something of a row's index entries wins.
    fn note_entries(&mut self, key: &[u8], frame: u64, entries: &[u8]) {
        if let Some(row) = self.rows.get_mut(key).filter(|row| frame >= row.indexed) {
            row.indexed = frame;
            row.entries = entries.to_vec();
        }
    }
}

/// Its frame was intact a moment ago; a disk that fails now loses the row.
fn read_value(files: &[LogFile], key: &[u8], place: ValuePlace) -> Result<Vec<u8>, Damage> {
    let file = &files[place.file];
    let damage = |what: String| Damage {
        file: segment_name(file.id),
        offset: place.offset,
        what,
    };
    let mut stored = vec![0; place.length + VALUE_CRC_BYTES];
    file.file
        .read_at(place.offset, &mut stored)
        .map_err(|error| damage(format!("cannot be read: {error}")))?;
    let crc = stored.split_off(place.length);
    match crc == value_crc(key, &stored).to_le_bytes() {
        true => Ok(stored),
        false => Err(damage("the value does not match its checksum".to_owned())),
    }
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
