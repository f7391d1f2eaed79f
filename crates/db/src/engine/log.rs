//! The tail of the log: where the next frame goes, what waits for the disk, and the room ahead.
//!
//! The log itself never touches the disk. It hands out [`Flush`] and [`Reserve`] jobs, at most
//! one of each at a time; whoever runs them brings back the outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::directory::Place;
use super::flush::{Chunk, Flush, Reserve};
use super::frame::{FRAME_HEADER_BYTES, Frame, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::options::Options;
use super::storage::{Storage, StorageFile};

/// Room that every segment keeps for the frame of an orderly close.
const CLOSE_BYTES: u64 = FRAME_HEADER_BYTES as u64;

/// The name of a segment's file.
pub(crate) fn segment_name(segment: u32) -> String {
    format!("{segment:08}.log")
}

/// The segment of a file's name; `None` for files that are not segments.
pub(crate) fn segment_of(name: &str) -> Option<u32> {
    let segment = name.strip_suffix(".log")?.parse().ok()?;
    (segment_name(segment) == name).then_some(segment)
}

/// A segment with its reserved size.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) id: u32,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) size: u64,
}

pub(crate) struct Log {
    storage: Arc<dyn Storage>,
    segment_bytes: u64,
    segment_bytes_min: u64,
    salt: u64,
    segments: BTreeMap<u32, Segment>,
    /// The segment that takes frames, and how far it is filled.
    current: Segment,
    used: u64,
    spare: Option<Segment>,
    /// Frames not yet handed out, one chunk per segment.
    waiting: Vec<Chunk>,
    /// What a flush is writing now.
    writing: Arc<Vec<Chunk>>,
    pending_bytes: usize,
    reserving: bool,
    /// What a refused commit asked for.
    room_wanted: Option<u64>,
    /// Set when reserving ahead found no room, until the next flush: no point in asking again.
    reserve_ahead_failed: bool,
}

/// The frame does not fit: this many bytes must be reserved first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomWanted(pub(crate) u64);

impl Log {
    /// A log that goes on at byte `used` of the last of `segments`.
    pub(crate) fn resume(
        storage: Arc<dyn Storage>,
        options: &Options,
        salt: u64,
        segments: Vec<Segment>,
        used: u64,
    ) -> Log {
        let current = segments.last().expect("a log has a segment").clone();
        Log {
            storage,
            segment_bytes: options.segment_bytes,
            segment_bytes_min: options.segment_bytes_min.min(options.segment_bytes),
            salt,
            segments: segments.into_iter().map(|s| (s.id, s)).collect(),
            current,
            used,
            spare: None,
            waiting: Vec::new(),
            writing: Arc::default(),
            pending_bytes: 0,
            reserving: false,
            room_wanted: None,
            reserve_ahead_failed: false,
        }
    }

    /// Appends a frame in memory and says where its payload begins.
    pub(crate) fn append(&mut self, frame: Frame<'_>) -> Result<(u32, u32), RoomWanted> {
        self.make_room(frame.bytes() as u64 + CLOSE_BYTES)?;
        Ok(self.append_here(frame))
    }

    /// Appends the frame of an orderly close, for which every segment keeps room.
    pub(crate) fn append_close(&mut self, frame: Frame<'_>) {
        self.append_here(frame);
    }

    /// Bytes that are not synced yet.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments.len() + usize::from(self.spare.is_some())
    }

    /// Bytes that the log takes on the disk, reserved ones included.
    pub(crate) fn total_bytes(&self) -> u64 {
        let spare = self.spare.iter();
        self.segments.values().chain(spare).map(|s| s.size).sum()
    }

    pub(crate) fn file(&self, segment: u32) -> Arc<dyn StorageFile> {
        let segment = self.segments.get(&segment);
        Arc::clone(&segment.expect("rows lie in segments of the log").file)
    }

    /// The bytes at `place` if they still wait for the disk.
    pub(crate) fn pending(&self, place: Place) -> Option<&[u8]> {
        self.waiting
            .iter()
            .chain(self.writing.iter())
            .find_map(|chunk| chunk.slice(place))
    }

    /// Everything that waits, unless a flush is under way or nothing waits.
    pub(crate) fn take_flush(&mut self, through: u64) -> Option<Flush> {
        if self.waiting.is_empty() || !self.writing.is_empty() {
            return None;
        }
        self.writing = Arc::new(std::mem::take(&mut self.waiting));
        Some(Flush::new(Arc::clone(&self.writing), through))
    }

    /// The flush under way is on the disk.
    pub(crate) fn flushed(&mut self) {
        let written = std::mem::take(&mut self.writing);
        self.pending_bytes -= written.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        self.reserve_ahead_failed = false;
    }

    /// A reservation that is due: one that a commit waits for, or one ahead of need when half of
    /// the current segment is used.
    pub(crate) fn take_reserve(&mut self) -> Option<Reserve> {
        if self.reserving {
            return None;
        }
        let ahead = self.spare.is_none()
            && !self.reserve_ahead_failed
            && self.current.size - self.used < self.segment_bytes / 2;
        let spare_size = self.spare.as_ref().map_or(0, |spare| spare.size);
        let wanted = match self
            .room_wanted
            .take()
            .filter(|wanted| *wanted > spare_size)
        {
            Some(wanted) => wanted,
            None if ahead => 0,
            None => return None,
        };
        self.reserving = true;
        // A spare that is too small for the transaction gives way to a larger one.
        self.spare = None;
        let header = SegmentHeader {
            segment: self.current.id + 1,
            salt: self.salt,
        };
        Some(Reserve {
            storage: Arc::clone(&self.storage),
            header,
            bytes: self.segment_bytes.max(wanted),
            bytes_min: self.segment_bytes_min.max(wanted),
        })
    }

    /// The reservation under way came to its end.
    pub(crate) fn reserved(&mut self, spare: Option<Segment>) {
        self.reserving = false;
        self.reserve_ahead_failed = spare.is_none();
        self.spare = spare;
    }

    fn make_room(&mut self, bytes: u64) -> Result<(), RoomWanted> {
        if self.used + bytes <= self.current.size {
            return Ok(());
        }
        let in_new = SEGMENT_HEADER_BYTES as u64 + bytes;
        match self.spare.take() {
            Some(spare) if in_new <= spare.size => {
                self.roll(spare);
                Ok(())
            }
            small => {
                self.spare = small;
                // What is going to be reserved at least, so that a refusal can be told to apply.
                let wanted = in_new.max(self.segment_bytes_min);
                self.room_wanted = self.room_wanted.max(Some(wanted));
                Err(RoomWanted(wanted))
            }
        }
    }

    /// Goes over to the next segment. The rest of the current one is given back once its last
    /// frame is synced.
    fn roll(&mut self, next: Segment) {
        let sealed = std::mem::replace(&mut self.current, next.clone());
        self.chunk_of(&sealed, self.used).seals = true;
        if let Some(segment) = self.segments.get_mut(&sealed.id) {
            segment.size = self.used;
        }
        self.segments.insert(next.id, next);
        self.used = SEGMENT_HEADER_BYTES as u64;
    }

    fn append_here(&mut self, frame: Frame<'_>) -> (u32, u32) {
        let header = SegmentHeader {
            segment: self.current.id,
            salt: self.salt,
        };
        let segment = self.current.clone();
        let at = self.used;
        frame.encode(header, &mut self.chunk_of(&segment, at).bytes);
        self.used += frame.bytes() as u64;
        self.pending_bytes += frame.bytes();
        let payload_at = at + FRAME_HEADER_BYTES as u64;
        let payload_at = u32::try_from(payload_at).expect("a segment is far below 4 GiB");
        (segment.id, payload_at)
    }

    /// The waiting chunk of a segment, a new one from `used` on if there is none.
    fn chunk_of(&mut self, segment: &Segment, used: u64) -> &mut Chunk {
        if self.waiting.last().is_none_or(|c| c.segment != segment.id) {
            self.waiting.push(Chunk {
                segment: segment.id,
                file: Arc::clone(&segment.file),
                offset: used,
                bytes: Vec::new(),
                seals: false,
            });
        }
        self.waiting.last_mut().expect("there is one by now")
    }
}
