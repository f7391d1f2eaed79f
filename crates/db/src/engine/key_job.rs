//! Making key files: by the storage thread, after a segment was sealed, one segment a step.

use std::io;
use std::sync::Arc;

use super::frame::{FRAME_HEADER_BYTES, Frame, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::key_file::{self, KeyFileBytes, SegmentFacts, key_file_name};
use super::key_merge;
use super::log::Segment;
use super::machine::{Engine, State};
use super::reserve::create_anew;
use super::run::RunBuilder;
use super::storage::{Storage, StorageFile};

/// A key file to be made. Run it, then tell [`Engine::key_file_made`].
pub struct KeyFile {
    storage: Arc<dyn Storage>,
    segment: Segment,
    header: SegmentHeader,
    /// Room that must stay free on the disk.
    room_bytes: u64,
    /// Bytes that are read at once, unless one transaction is larger.
    piece_bytes: u64,
}

/// How a [`KeyFile`] ended.
pub struct KeyFileMade {
    /// The bytes of the file; an error if there is none now.
    result: io::Result<u64>,
    syncs: u64,
}

impl Engine {
    /// A key file that is missing, if there is one and nothing else to wait for.
    pub fn take_key_file(&mut self) -> Option<KeyFile> {
        if !matches!(self.state, State::Open) || self.log.is_cramped() {
            return None;
        }
        let segment = self.log.take_segment_without_keys()?;
        Some(KeyFile {
            storage: self.log.storage(),
            header: self.log.header(segment.id),
            room_bytes: self.log.segment_bytes(),
            piece_bytes: self.compact_step_bytes,
            segment,
        })
    }

    /// Whether there is one.
    pub(super) fn wants_key_file(&self) -> bool {
        !self.log.is_cramped() && self.log.segment_without_keys().is_some()
    }

    /// Takes note of how it ended. Without the file the next opening reads the segment, and
    /// another try is made then.
    pub fn key_file_made(&mut self, made: KeyFileMade) {
        self.counters.syncs += made.syncs;
        match made.result {
            Ok(bytes) => {
                self.counters.key_files += 1;
                self.counters.bytes_key_files += bytes;
                self.counters.bytes_written += bytes;
            }
            Err(_) => self.counters.key_files_failed += 1,
        }
    }
}

impl KeyFile {
    /// Reads the segment, and writes and syncs its key file.
    pub fn run(self) -> KeyFileMade {
        let mut syncs = 0;
        let result = self.make(&mut syncs);
        KeyFileMade { result, syncs }
    }

    fn make(&self, syncs: &mut u64) -> io::Result<u64> {
        let (facts, pieces) = read_segment(&self.segment, self.header, self.piece_bytes)?
            .ok_or_else(|| io::Error::other("the segment is not as it was written"))?;
        // A shortcut is not worth the last room.
        let bytes_max: u64 = pieces.iter().map(KeyFileBytes::size).sum();
        if self.storage.free_bytes()? < self.room_bytes + bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let name = key_file_name(self.segment.id);
        let file = create_anew(&*self.storage, &name)?;
        let written = key_merge::write(&*file, facts, &pieces);
        let written = written.and_then(|bytes| file.sync().map(|()| bytes));
        *syncs += 1;
        if written.is_err() {
            drop(file);
            let _ = self.storage.remove(&name);
        }
        written
    }
}

/// What the frames of a sealed segment say, piece by piece; `None` if they are not whole, or none.
fn read_segment(
    segment: &Segment,
    header: SegmentHeader,
    piece_bytes: u64,
) -> io::Result<Option<(SegmentFacts, Vec<KeyFileBytes>)>> {
    let mut facts = SegmentFacts {
        segment: header.segment,
        salt: header.salt,
        ..SegmentFacts::default()
    };
    let mut pieces = Vec::new();
    let mut at = SEGMENT_HEADER_BYTES;
    loop {
        let mut builder = RunBuilder::default();
        let piece = segment.read_frames(at as u64, piece_bytes)?;
        let mut read = 0;
        while let Some(frame) = Frame::decode(header, &piece[read..]) {
            let follows = facts.end == 0 || frame.sequence == facts.last_sequence + 1;
            let said = builder.add(header.segment, at + read + FRAME_HEADER_BYTES, frame);
            let Some(said) = said.ok().filter(|said| follows && !said.moved_too_young) else {
                return Ok(None);
            };
            if frame.kind.is_unknown() {
                return Ok(None);
            }
            facts.add(frame, at + read, said.first_needed);
            read += frame.bytes();
        }
        if read == 0 {
            break;
        }
        at += read;
        drop(piece);
        let run = builder.finish();
        if run.contradiction.is_some() {
            return Ok(None);
        }
        pieces.push(KeyFileBytes::of_run(facts, &run));
    }
    let whole = facts.end > 0 && segment.is_blank_from(at as u64)?;
    Ok(whole.then_some((facts, pieces)))
}

impl SegmentFacts {
    /// Takes note of the next frame, which begins at `at`.
    fn add(&mut self, frame: Frame<'_>, at: usize, first_needed: Option<u32>) {
        if self.end == 0 {
            self.first_sequence = frame.sequence;
        }
        self.last_sequence = frame.sequence;
        self.last_frame = at as u32;
        self.last_crc = frame.crc;
        self.end = (at + frame.bytes()) as u32;
        self.mark = self.mark.max(frame.synced);
        self.transactions += u32::from(frame.kind.is_batch());
        self.first_needed = self.first_needed.max(first_needed.unwrap_or(0));
    }

    /// Whether the segment is the one that the key file speaks of, as far as its size, what lies
    /// behind the last frame, and the head of that frame tell. Its values are not looked at: each
    /// has a checksum, which covers its key, for when it is read.
    pub(crate) fn fits(&self, segment: &Segment, header: SegmentHeader) -> io::Result<bool> {
        let named = self.segment == segment.id && self.salt == header.salt;
        let end = u64::from(self.end);
        let last_frame = u64::from(self.last_frame);
        if !named || end > segment.size || last_frame + FRAME_HEADER_BYTES as u64 > end {
            return Ok(false);
        }
        let mut head = vec![0; FRAME_HEADER_BYTES];
        segment.file.read_at(last_frame, &mut head)?;
        let head_fits = Frame::is_head(&head, self.last_crc, self.last_sequence);
        Ok(head_fits && segment.is_blank_from(end)?)
    }
}

/// Reads the key file of a segment; `None` if there is none or it is not one.
pub(crate) fn read_key_file(storage: &dyn Storage, segment: u32) -> Option<KeyFileBytes> {
    let file: Arc<dyn StorageFile> = storage.open(&key_file_name(segment)).ok()?;
    let mut bytes = vec![0; usize::try_from(file.size().ok()?).ok()?];
    file.read_at(0, &mut bytes).ok()?;
    KeyFileBytes::check(bytes)
}

/// Removes key files, and answers whether there was one. Their room is worth more to the log.
pub(crate) fn remove_all(storage: &dyn Storage) -> io::Result<bool> {
    let mut names = storage.list()?;
    names.retain(|name| key_file::segment_of_key_file(name).is_some());
    for name in &names {
        storage.remove(name)?;
    }
    if !names.is_empty() {
        storage.sync_dir()?;
    }
    Ok(!names.is_empty())
}
