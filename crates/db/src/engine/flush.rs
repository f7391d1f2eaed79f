//! The job that writes frames while the engine goes on.

use std::io;
use std::sync::Arc;

use super::directory::Place;
use super::error::StoreFailure;
use super::log::segment_name;
use super::storage::StorageFile;

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

    /// The sequence up to which it writes all.
    pub(crate) fn through(&self) -> u64 {
        self.through
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
    /// The end of a flush whose thread has panicked.
    pub(crate) fn panicked() -> Flushed {
        Flushed {
            result: Err(StoreFailure {
                operation: "write",
                file: "the log".into(),
                source: Arc::new(io::Error::other("the thread that wrote has panicked")),
            }),
            bytes_written: 0,
            syncs: 0,
        }
    }

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

/// Whether an error means that there is no room, as opposed to a broken disk.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
