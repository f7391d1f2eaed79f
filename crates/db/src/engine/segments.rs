//! Finding the segment files of a log and judging their headers. Changes nothing.

use std::io;
use std::sync::Arc;

use super::error::{Damage, OpenError};
use super::frame::{HeaderFault, LOG_VERSION, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::{Segment, segment_name, segment_of};
use super::storage::{Storage, StorageFile};

/// Bytes that are looked at together.
const PIECE_BYTES: usize = 128 << 10;

/// The segments of a log, in order, all with a good header.
pub(crate) struct Segments {
    pub(crate) files: Vec<SegmentFile>,
    /// A file whose making was interrupted; it never held a frame.
    pub(crate) leftover: Option<String>,
}

/// A segment and what its header says.
pub(crate) struct SegmentFile {
    pub(crate) segment: Segment,
    pub(crate) header: SegmentHeader,
}

impl SegmentFile {
    pub(crate) fn name(&self) -> String {
        segment_name(self.segment.id)
    }

    /// Whether nothing was ever written behind the header.
    pub(crate) fn is_blank(&self) -> Result<bool, OpenError> {
        let behind = self.segment.is_blank_from(SEGMENT_HEADER_BYTES as u64);
        behind.map_err(io_error("read", &self.name()))
    }

    /// Whether the bytes from `offset` on are these. Looks at one piece after the other.
    pub(crate) fn holds(&self, offset: u64, bytes: &[u8]) -> Result<bool, OpenError> {
        let mut piece = vec![0; PIECE_BYTES.min(bytes.len())];
        let mut at = offset;
        for expected in bytes.chunks(PIECE_BYTES) {
            let piece = &mut piece[..expected.len()];
            let read = self.segment.file.read_at(at, piece);
            read.map_err(io_error("read", &self.name()))?;
            if piece != expected {
                return Ok(false);
            }
            at += expected.len() as u64;
        }
        Ok(true)
    }

    /// All bytes of the segment.
    pub(crate) fn read(&self) -> Result<Vec<u8>, OpenError> {
        let Segment { file, size, .. } = &self.segment;
        read_range(&**file, 0, *size).map_err(io_error("read", &self.name()))
    }
}

impl Segment {
    /// Whether nothing was ever written from `at` on. Looks at one piece after the other.
    pub(crate) fn is_blank_from(&self, mut at: u64) -> io::Result<bool> {
        let most = self.size.saturating_sub(at).min(PIECE_BYTES as u64);
        let mut piece = vec![0; most as usize];
        while at < self.size {
            let length = (self.size - at).min(PIECE_BYTES as u64) as usize;
            let piece = &mut piece[..length];
            self.file.read_at(at, piece)?;
            if !is_blank(piece) {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }
}

/// Finds them. A header is written and synced before the first frame of its segment, so a bad
/// header is damage if anything lies behind it, and a leftover if nothing does.
pub(crate) fn find(storage: &dyn Storage) -> Result<Segments, OpenError> {
    let names = storage.list().map_err(io_error("list", "the directory"))?;
    let mut ids: Vec<u32> = names.iter().filter_map(|name| segment_of(name)).collect();
    ids.sort_unstable();
    let found = ids.into_iter().map(|id| Candidate::open(storage, id));
    let mut found = found.collect::<Result<Vec<_>, OpenError>>()?;
    for candidate in &found {
        candidate.check_version()?;
    }
    let leftover_id = found.last().filter(|last| last.header.is_err());
    let leftover_id = leftover_id.map(|last| last.id);
    let leftover = match found.pop_if(|last| last.header.is_err()) {
        Some(last) => Some(last.into_leftover()?),
        None => None,
    };
    check_none_missing(&found, leftover_id)?;
    let files = found.into_iter().map(Candidate::into_segment);
    Ok(Segments {
        files: files.collect::<Result<_, OpenError>>()?,
        leftover,
    })
}

/// Adds the place to an error of the disk.
pub(crate) fn io_error(operation: &'static str, file: &str) -> impl FnOnce(io::Error) -> OpenError {
    let file = file.to_owned();
    move |source| OpenError::Io {
        operation,
        file,
        source,
    }
}

struct Candidate {
    id: u32,
    file: Arc<dyn StorageFile>,
    size: u64,
    header: Result<SegmentHeader, HeaderFault>,
}

impl Candidate {
    fn open(storage: &dyn Storage, id: u32) -> Result<Candidate, OpenError> {
        let name = segment_name(id);
        let file = storage.open(&name).map_err(io_error("open", &name))?;
        let size = file.size().map_err(io_error("read", &name))?;
        let head = read_range(&*file, 0, size.min(SEGMENT_HEADER_BYTES as u64));
        let header = SegmentHeader::decode(&head.map_err(io_error("read", &name))?);
        Ok(Candidate {
            id,
            file,
            size,
            header,
        })
    }

    fn check_version(&self) -> Result<(), OpenError> {
        match self.header {
            Err(HeaderFault::Newer(version)) => Err(OpenError::Newer {
                file: segment_name(self.id),
                what: format!("log version {version}, this program knows {LOG_VERSION}"),
            }),
            Ok(_) | Err(HeaderFault::Damaged) => Ok(()),
        }
    }

    fn into_leftover(self) -> Result<String, OpenError> {
        let name = segment_name(self.id);
        let bytes = read_range(&*self.file, 0, self.size).map_err(io_error("read", &name))?;
        if is_blank(bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default()) {
            Ok(name)
        } else {
            Err(damaged(name, "its header is not readable"))
        }
    }

    fn into_segment(self) -> Result<SegmentFile, OpenError> {
        match self.header {
            Ok(header) if header.segment == self.id => Ok(SegmentFile {
                segment: Segment {
                    id: self.id,
                    file: self.file,
                    size: self.size,
                },
                header,
            }),
            Ok(header) => Err(damaged(
                segment_name(self.id),
                &format!("its header belongs to {}", segment_name(header.segment)),
            )),
            Err(_) => Err(damaged(segment_name(self.id), "its header is not readable")),
        }
    }
}

/// Compaction takes segments away from the front only, and the leftover of a reservation comes
/// behind the last. Whether too much is gone from the front shows in the frames.
fn check_none_missing(found: &[Candidate], leftover: Option<u32>) -> Result<(), OpenError> {
    let ids = found.iter().map(|candidate| candidate.id).chain(leftover);
    let first = found.first().map_or(1, |first| first.id);
    match (first..).zip(ids).find(|(expected, id)| expected != id) {
        Some((expected, _)) => Err(missing(expected)),
        None => Ok(()),
    }
}

pub(crate) fn missing(segment: u32) -> OpenError {
    damaged(segment_name(segment), "the file is missing")
}

fn damaged(file: String, what: &str) -> OpenError {
    OpenError::Damaged(Damage {
        file,
        offset: 0,
        what: what.to_owned(),
    })
}

/// Whether nothing was ever written there: reserved bytes read as zero.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    // In blocks, so that the compiler can look at many bytes at once.
    let mut blocks = bytes.chunks_exact(256);
    blocks.all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
        && blocks.remainder().iter().all(|byte| *byte == 0)
}

fn read_range(file: &dyn StorageFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_at(start, &mut bytes)?;
    Ok(bytes)
}
