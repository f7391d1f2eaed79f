//! A consistent copy of a log while it is written to.

use std::io;
use std::sync::Arc;

use super::frame::{Frame, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::inspect::LogFile;
use super::log::segment_name;
use super::machine::Engine;
use super::storage::{Storage, StorageFile};

/// Bytes that one step of copying reads and writes.
const COPY_BYTES: usize = 64 << 10;

/// What is durable of a log at one moment: a list of files, and how much of each.
///
/// Bytes below that never change, and a file that compaction removes meanwhile stays readable for
/// as long as the snapshot holds it open; its room on the disk comes back when the snapshot is
/// dropped. So taking one is a matter of microseconds, and nobody who writes waits for the copying.
pub struct Snapshot {
    sequence: u64,
    files: Vec<SnapshotFile>,
    /// Where the files lie, and which of them compaction is removing.
    storage: Arc<dyn Storage>,
    given_up: Option<u32>,
}

/// A segment of a snapshot, as its copy is to be.
pub struct SnapshotFile {
    id: u32,
    header: SegmentHeader,
    file: Arc<dyn StorageFile>,
    /// How much of the file counts.
    bytes: u64,
    /// What follows in the copy: the frame of an orderly close, in the last file.
    end: Vec<u8>,
}

/// A part of a log that can be a part of a snapshot.
pub(crate) struct DurablePart {
    pub(crate) id: u32,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) bytes: u64,
}

impl Engine {
    /// What is durable now.
    pub fn snapshot(&self) -> Snapshot {
        let parts = self.log.durable_parts().into_iter();
        let mut files: Vec<SnapshotFile> = parts
            .map(|part| SnapshotFile {
                header: self.log.header(part.id),
                id: part.id,
                file: part.file,
                bytes: part.bytes,
                end: Vec::new(),
            })
            .collect();
        // A segment without a durable frame may be unknown to the disk.
        while files.len() > 1 && files.last().is_some_and(SnapshotFile::is_empty) {
            files.pop();
        }
        if let Some(last) = files.last_mut().filter(|_| self.durable > 0) {
            let close = Frame {
                kind: FrameKind::Close,
                sequence: self.durable + 1,
                synced: self.durable,
                crc: 0,
                payload: &[],
            };
            close.encode(last.header, &mut last.end);
        }
        Snapshot {
            sequence: self.durable,
            files,
            storage: self.log.storage(),
            given_up: self.given_up(),
        }
    }
}

impl Snapshot {
    /// The sequence of the last commit in it.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The files of a copy, in their order.
    pub fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    /// Copies everything into an empty directory and returns once it is on the disk there. A
    /// database opens on the copy as on one that was closed in order.
    ///
    /// # Errors
    /// A file cannot be read, made or written. What was copied so far stays.
    pub fn copy_to(&self, storage: &dyn Storage) -> io::Result<()> {
        for file in &self.files {
            let copy = storage.create(&file.name())?;
            let mut at = 0;
            let mut piece = vec![0; COPY_BYTES];
            while at < file.bytes() {
                let length = usize::try_from(file.bytes() - at).unwrap_or(COPY_BYTES);
                let piece = &mut piece[..length.min(COPY_BYTES)];
                file.read_at(at, piece)?;
                copy.write_at(at, piece)?;
                at += piece.len() as u64;
            }
            copy.sync()?;
        }
        storage.sync_dir()
    }

    /// The files as whoever opens the log next will find them, and which of them are not in the
    /// directory; these are those that are open here.
    pub(crate) fn log_files(&self) -> (Vec<LogFile>, Vec<u32>) {
        let mut gone = Vec::new();
        let files = self.files.iter().map(|file| {
            let opened = self.storage.open(&file.name());
            if matches!(&opened, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                gone.push(file.id);
            }
            let opened = opened.unwrap_or_else(|_| Arc::clone(&file.file));
            LogFile {
                id: file.id,
                header: read_header(&*opened, file.id),
                file: opened,
                bytes: file.bytes,
            }
        });
        (files.collect(), gone)
    }

    /// Whether this file belongs into the directory at the moment of the snapshot.
    pub(crate) fn needs(&self, id: u32) -> bool {
        self.given_up != Some(id) && self.files.iter().any(|file| file.id == id)
    }
}

impl SnapshotFile {
    /// The name of the copy.
    pub fn name(&self) -> String {
        segment_name(self.id)
    }

    /// The bytes of the copy.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.end.len() as u64
    }

    /// Fills `buffer` with the bytes of the copy from `offset` on.
    ///
    /// # Errors
    /// The disk does not deliver, or the copy ends earlier.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let in_file = self.bytes.saturating_sub(offset);
        let in_file = usize::try_from(in_file)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let (from_file, from_end) = buffer.split_at_mut(in_file);
        if !from_file.is_empty() {
            self.file.read_at(offset, from_file)?;
        }
        if from_end.is_empty() {
            return Ok(());
        }
        let at = usize::try_from(offset.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let end = self.end.get(at..).and_then(|end| end.get(..from_end.len()));
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        from_end.copy_from_slice(end);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.bytes <= SEGMENT_HEADER_BYTES as u64
    }
}

fn read_header(file: &dyn StorageFile, id: u32) -> Option<SegmentHeader> {
    let mut head = [0; SEGMENT_HEADER_BYTES];
    file.read_at(0, &mut head).ok()?;
    let header = SegmentHeader::decode(&head).ok()?;
    (header.segment == id).then_some(header)
}
