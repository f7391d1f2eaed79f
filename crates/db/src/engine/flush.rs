//! The jobs that touch the disk while the engine goes on: writing frames and reserving segments.

use std::io;
use std::sync::Arc;

use super::directory::Place;
use super::error::StoreFailure;
use super::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::{Segment, segment_name};
use super::storage::{Storage, StorageFile};

/// Frames of one segment that wait for the disk.
pub(crate) struct Chunk {
    pub(crate) segment: u32,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// No frame follows in this segment: what it reserved beyond is given back.
    pub(crate) seals: bool,
}

impl Chunk {
    pub(crate) fn slice(&self, place: Place) -> Option<&[u8]> {
        let start = u64::from(place.offset).checked_sub(self.offset)?;
        let start = usize::try_from(start).ok()?;
        let bytes = self.bytes.get(start..)?.get(..place.length as usize)?;
        (place.segment == self.segment).then_some(bytes)
    }

    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// Bytes to write and files to sync, in order. Run it, then tell
/// [`Engine::flushed`](super::Engine::flushed).
pub struct Flush {
    chunks: Arc<Vec<Chunk>>,
    through: u64,
}

/// How a [`Flush`] ended.
#[derive(Debug)]
pub struct Flushed {
    pub(crate) result: Result<u64, StoreFailure>,
    pub(crate) bytes_written: u64,
    pub(crate) syncs: u64,
}

impl Flush {
    pub(crate) fn new(chunks: Arc<Vec<Chunk>>, through: u64) -> Flush {
        Flush { chunks, through }
    }

    /// Writes and syncs. Each segment is synced before the first frame of the next is written.
    /// The first error ends it: what a failed sync leaves on the disk cannot be known.
    pub fn run(self) -> Flushed {
        let mut done = Flushed {
            result: Ok(self.through),
            bytes_written: 0,
            syncs: 0,
        };
        for chunk in self.chunks.iter() {
            if let Err((operation, source)) = done.write(chunk) {
                done.result = Err(StoreFailure {
                    operation,
                    file: segment_name(chunk.segment),
                    source: Arc::new(source),
                });
                break;
            }
        }
        done
    }
}

impl Flushed {
    fn write(&mut self, chunk: &Chunk) -> Result<(), (&'static str, io::Error)> {
        if !chunk.bytes.is_empty() {
            let written = chunk.file.write_at(chunk.offset, &chunk.bytes);
            written.map_err(|error| ("write", error))?;
            self.bytes_written += chunk.bytes.len() as u64;
            chunk.file.sync().map_err(|error| ("sync", error))?;
            self.syncs += 1;
        }
        if chunk.seals {
            let cut = chunk.file.truncate(chunk.end());
            cut.map_err(|error| ("seal", error))?;
        }
        Ok(())
    }
}

/// A segment to be reserved. Run it, then tell [`Engine::reserved`](super::Engine::reserved).
pub struct Reserve {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: u64,
    pub(crate) bytes_min: u64,
}

/// How a [`Reserve`] ended.
pub struct Reserved {
    pub(crate) result: Result<Segment, io::Error>,
    pub(crate) file: String,
    pub(crate) bytes_min: u64,
    pub(crate) bytes_written: u64,
    pub(crate) syncs: u64,
}

impl Reserve {
    /// Makes the segment: room, header, both synced, then its name.
    pub fn run(self) -> Reserved {
        let result = self.reserve_largest();
        let whole = u64::from(result.is_ok());
        Reserved {
            result,
            file: segment_name(self.header.segment),
            bytes_min: self.bytes_min,
            bytes_written: whole * SEGMENT_HEADER_BYTES as u64,
            syncs: whole * 2,
        }
    }

    /// The wanted size, or a quarter of it as long as the disk is full and the minimum allows.
    fn reserve_largest(&self) -> io::Result<Segment> {
        let mut bytes = self.bytes;
        loop {
            match self.make(bytes) {
                Err(error) if is_full(&error) && bytes > self.bytes_min => {
                    bytes = (bytes / 4).max(self.bytes_min);
                }
                made => return made,
            }
        }
    }

    fn make(&self, bytes: u64) -> io::Result<Segment> {
        let name = segment_name(self.header.segment);
        let file = match self.storage.create(&name) {
            // A leftover of an attempt that failed, or a spare that is too small: no frames.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.storage.remove(&name)?;
                self.storage.create(&name)?
            }
            created => created?,
        };
        let made = file
            .reserve(bytes)
            .and_then(|()| file.write_at(0, &self.header.encode()))
            .and_then(|()| file.sync())
            .and_then(|()| self.storage.sync_dir());
        match made {
            Ok(()) => Ok(Segment {
                id: self.header.segment,
                file,
                size: bytes,
            }),
            Err(error) => {
                drop(file);
                // The first error is the one to report; a file that stays is taken over later.
                let _ = self.storage.remove(&name);
                Err(error)
            }
        }
    }
}

/// Whether an error means that there is no room, as opposed to a broken disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
