//! The tail of the log: where the next frame goes, what waits for the disk, and the room ahead.
//!
//! The log itself never touches the disk. It hands out [`Flush`] and [`Reserve`] jobs, at most
//! one of each at a time; whoever runs them brings back the outcome.
//!
//! A reserve of a segment and a half lies beside the log. On a full disk it becomes the next
//! segment of those who lead out of that: compaction, and writes that take away more than they
//! bring. Other writes are refused until there is a reserve again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::backup::DurablePart;
use super::directory::Place;
use super::flush::{Chunk, Flush};
use super::frame::{
    FRAME_HEADER_BYTES, Frame, LOG_VERSION, SEGMENT_HEADER_BYTES, SegmentHeader, frame_bytes,
};
use super::moves::GIVE_UP_ENTRY_BYTES;
use super::options::Options;
use super::reserve::{Claim, Reserve, Sizes};
use super::storage::{Storage, StorageFile};

/// Room that every segment keeps for the frame of an orderly close.
const CLOSE_BYTES: u64 = FRAME_HEADER_BYTES as u64;

/// Room that every segment keeps for giving up the oldest one: when all of that has been moved, it
/// must not stay for want of these bytes.
const GIVE_UP_BYTES: u64 = FRAME_HEADER_BYTES as u64 + GIVE_UP_ENTRY_BYTES;

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

impl Segment {
    /// What lies from `at` on: as much as `bytes_max` holds, but the frame there whole, and no more
    /// than there is.
    pub(crate) fn read_frames(&self, at: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
        let bytes = self.read(at, bytes_max)?;
        match frame_bytes(&bytes) {
            Some(length) if length > bytes.len() as u64 => self.read(at, length),
            _ => Ok(bytes),
        }
    }

    fn read(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length.min(self.size.saturating_sub(at));
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_at(at, &mut bytes)?;
        Ok(bytes)
    }
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
    /// The current segment takes no frame but that of an orderly close: it is of an older version
    /// of the format, or its room proved to be none.
    ended: bool,
    spare: Option<Segment>,
    /// Sealed segments that have no key file.
    without_keys: BTreeSet<u32>,
    /// How large the reserve is; `None` when it is spent or could not be made.
    reserve: Option<u64>,
    reserve_sizes: Sizes,
    /// How large it was when it was last there.
    reserve_last: u64,
    /// What was free on the disk when room was last asked for, and what was removed since.
    free: u64,
    /// Frames not yet handed out, one chunk per segment.
    waiting: Vec<Chunk>,
    /// What a flush is writing now.
    writing: Arc<Vec<Chunk>>,
    pending_bytes: usize,
    reserving: bool,
    /// What those who were refused asked for.
    room_wanted: Vec<RoomWanted>,
    /// Set when reserving ahead found no room, until the next flush: no point in asking again.
    reserve_ahead_failed: bool,
}

/// The frame does not fit: a segment of this many bytes must be reserved first; with 0, none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomWanted {
    pub(crate) bytes: u64,
    /// Bytes that must be free beside it.
    pub(crate) beside: u64,
    pub(crate) claim: Claim,
}

/// How large the reserve of a log is: room for all of a segment and for some deletes. On a small
/// disk all segments are small, and so is the reserve.
pub(crate) fn reserve_sizes(options: &Options, segments: &[Segment]) -> Sizes {
    let largest = segments.iter().map(|segment| segment.size).max();
    let largest = largest.unwrap_or(0).max(options.segment_bytes_min);
    Sizes {
        wanted: with_half(options.segment_bytes),
        min: with_half(largest.min(options.segment_bytes)),
    }
}

pub(crate) fn with_half(bytes: u64) -> u64 {
    bytes + bytes / 2
}

impl Log {
    /// A log that goes on at byte `used` of the last of `segments`, whose header is given.
    pub(crate) fn resume(
        storage: Arc<dyn Storage>,
        options: &Options,
        header: SegmentHeader,
        segments: Vec<Segment>,
        used: u64,
        reserve: Option<u64>,
    ) -> Log {
        let reserve_sizes = reserve_sizes(options, &segments);
        let current = segments.last().expect("a log has a segment").clone();
        Log {
            storage,
            segment_bytes: options.segment_bytes,
            segment_bytes_min: options.segment_bytes_min.min(options.segment_bytes),
            salt: header.salt,
            ended: header.version < LOG_VERSION,
            segments: segments.into_iter().map(|s| (s.id, s)).collect(),
            current,
            used,
            spare: None,
            without_keys: BTreeSet::new(),
            reserve,
            reserve_sizes,
            reserve_last: reserve.unwrap_or(reserve_sizes.wanted),
            free: 0,
            waiting: Vec::new(),
            writing: Arc::default(),
            pending_bytes: 0,
            reserving: false,
            room_wanted: Vec::new(),
            reserve_ahead_failed: false,
        }
    }

    /// Appends a frame in memory and says where its payload begins. When the disk is full, the
    /// room that is left for others is `rest`: what compaction needs to finish a segment.
    pub(crate) fn append(
        &mut self,
        frame: Frame<'_>,
        claim: Claim,
        rest: u64,
    ) -> Result<(u32, u32), RoomWanted> {
        let bytes = frame.bytes() as u64 + GIVE_UP_BYTES + CLOSE_BYTES;
        self.make_room(bytes, claim, rest)?;
        Ok(self.append_here(frame))
    }

    /// Appends the frame that gives the oldest segment up.
    pub(crate) fn append_give_up(&mut self, frame: Frame<'_>) -> Result<(), RoomWanted> {
        let bytes = frame.bytes() as u64 + CLOSE_BYTES;
        self.make_room(bytes, Claim::Move, 0)?;
        self.append_here(frame);
        Ok(())
    }

    /// Appends the frame of an orderly close, for which every segment keeps room.
    pub(crate) fn append_close(&mut self, frame: Frame<'_>) {
        self.append_here(frame);
    }

    /// Ends the current segment here: what is reserved of it cannot be written.
    pub(crate) fn end_segment(&mut self) {
        self.ended = true;
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
        let segments: u64 = self.segments.values().chain(spare).map(|s| s.size).sum();
        segments + self.reserve.unwrap_or(0)
    }

    /// Bytes that frames and headers take.
    pub(crate) fn used_bytes(&self) -> u64 {
        let all: u64 = self.segments.values().map(|segment| segment.size).sum();
        all - self.current.size + self.used
    }

    /// Whether a segment of the log takes no frame any more.
    pub(crate) fn is_sealed(&self, segment: u32) -> bool {
        segment != self.current.id && self.segments.contains_key(&segment)
    }

    /// Segments that have no key file, as an opening found them.
    pub(crate) fn want_keys(&mut self, segments: BTreeSet<u32>) {
        self.without_keys = segments;
    }

    /// A segment that lacks its key file and whose last frame is on the disk.
    pub(crate) fn take_segment_without_keys(&mut self) -> Option<Segment> {
        let id = self.segment_without_keys()?;
        self.without_keys.remove(&id);
        self.segments.get(&id).cloned()
    }

    /// The number of such a segment, which stays as it is.
    pub(crate) fn segment_without_keys(&self) -> Option<u32> {
        let id = *self.without_keys.first()?;
        let mut pending = self.waiting.iter().chain(self.writing.iter());
        (!pending.any(|chunk| chunk.segment == id)).then_some(id)
    }

    /// The oldest segment, if no frame of it waits for the disk and none will come.
    pub(crate) fn oldest_sealed(&self) -> Option<&Segment> {
        let (_, oldest) = self.segments.first_key_value()?;
        let mut pending = self.waiting.iter().chain(self.writing.iter());
        let busy = oldest.id == self.current.id || pending.any(|chunk| chunk.segment == oldest.id);
        (!busy).then_some(oldest)
    }

    /// The segments with frames, the current one too.
    pub(crate) fn all_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values()
    }

    /// The oldest segment is no longer on the disk.
    pub(crate) fn forget_oldest(&mut self) {
        if let Some((id, segment)) = self.segments.pop_first() {
            self.without_keys.remove(&id);
            self.free += segment.size;
        }
        self.reserve_ahead_failed = false;
    }

    pub(crate) fn reserve_is_spent(&self) -> bool {
        self.reserve.is_none()
    }

    /// Whether the disk had no room lately.
    pub(crate) fn is_cramped(&self) -> bool {
        self.reserve.is_none() || self.reserve_ahead_failed
    }

    /// What is missing until other writes have room again: of the reserve, and of a segment.
    pub(crate) fn missing_bytes(&self) -> u64 {
        let there = self.reserve.unwrap_or(0) + self.free;
        (self.reserve_last + self.segment_bytes_min).saturating_sub(there)
    }

    /// How much of the reserve other writes leave to compaction.
    pub(crate) fn reserve_for_moves(&self) -> u64 {
        self.reserve_last / 6 * 5
    }

    /// The segments with how much of each is on the disk for certain, in order.
    pub(crate) fn durable_parts(&self) -> Vec<DurablePart> {
        let pending = |id: u32| {
            let chunks = self.waiting.iter().chain(self.writing.iter());
            let own = chunks.filter(move |chunk| chunk.segment == id);
            own.map(|chunk| chunk.offset).min()
        };
        let parts = self.segments.values().map(|segment| {
            let filled = match segment.id == self.current.id {
                true => self.used,
                false => segment.size,
            };
            DurablePart {
                id: segment.id,
                file: Arc::clone(&segment.file),
                bytes: pending(segment.id).unwrap_or(filled),
            }
        });
        parts.collect()
    }

    /// The largest payload of compaction's next frame, of which one row takes `first` bytes. What
    /// is left of a segment is used, and on a full disk no more is asked for than must be.
    pub(crate) fn moves_bytes_max(&self, first: u64) -> u64 {
        let frame = FRAME_HEADER_BYTES as u64 + GIVE_UP_BYTES + CLOSE_BYTES;
        let here = self.room_in_current().saturating_sub(frame);
        match here {
            here if first <= here => here,
            _ if self.reserve.is_none() => self
                .segment_bytes_min
                .saturating_sub(SEGMENT_HEADER_BYTES as u64 + frame),
            _ => self.segment_bytes,
        }
    }

    pub(crate) fn header(&self, segment: u32) -> SegmentHeader {
        SegmentHeader::new(segment, self.salt)
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn segment_bytes_min(&self) -> u64 {
        self.segment_bytes_min
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

    /// Room that is due: what somebody waits for, or ahead of need when half of the current
    /// segment is used or the reserve is missing.
    pub(crate) fn take_reserve(&mut self) -> Option<Reserve> {
        if self.reserving {
            return None;
        }
        let wanted = std::mem::take(&mut self.room_wanted).into_iter();
        let wanted = wanted.filter(|wanted| self.is_missing(wanted));
        // Those who lead out of a full disk come first; the others ask again.
        let wanted = wanted.max_by_key(|w| (w.claim == Claim::Release, w.claim != Claim::Move));
        let wanted = wanted.or_else(|| self.wanted_ahead())?;
        self.reserving = true;
        let segment = (wanted.bytes > 0).then(|| Sizes {
            wanted: self.segment_bytes_now().max(wanted.bytes),
            min: self.segment_bytes_min.max(wanted.bytes),
        });
        if segment.is_some() {
            // A spare that is too small for the transaction gives way to a larger one.
            self.spare = None;
        }
        Some(Reserve {
            storage: Arc::clone(&self.storage),
            header: self.header(self.current.id + 1),
            claim: wanted.claim,
            segment,
            beside: wanted.beside,
            reserve: Sizes {
                // A smaller one could not take in what it was spent for.
                min: self.reserve_last,
                ..self.reserve_sizes
            },
            reserve_now: self.reserve,
        })
    }

    /// Whether [`take_reserve`](Log::take_reserve) would give something.
    pub(crate) fn wants_room(&self) -> bool {
        let wanted = || {
            self.room_wanted
                .iter()
                .any(|wanted| self.is_missing(wanted))
        };
        !self.reserving && (wanted() || self.wanted_ahead().is_some())
    }

    fn is_missing(&self, wanted: &RoomWanted) -> bool {
        let spare = self.spare.as_ref().map_or(0, |spare| spare.size);
        wanted.bytes > spare || (wanted.bytes == 0 && self.reserve.is_none())
    }

    /// Segments are not larger than what the reserve can take in.
    fn segment_bytes_now(&self) -> u64 {
        let taken_in = self.reserve_last / 3 * 2;
        self.segment_bytes.min(taken_in).max(self.segment_bytes_min)
    }

    fn wanted_ahead(&self) -> Option<RoomWanted> {
        let half_used = self.current.size - self.used < self.segment_bytes / 2;
        let bytes = match &self.spare {
            None if half_used || self.ended => self.segment_bytes_min,
            _ if self.reserve.is_none() => 0,
            _ => return None,
        };
        (!self.reserve_ahead_failed).then_some(RoomWanted {
            bytes,
            beside: 0,
            claim: Claim::Write,
        })
    }

    /// The reservation under way came to its end, and left this reserve and this much free.
    pub(crate) fn reserved(
        &mut self,
        made: Result<Option<Segment>, ()>,
        reserve: Option<u64>,
        free: u64,
    ) {
        self.reserving = false;
        self.free = free;
        self.reserve_ahead_failed = made.is_err();
        self.reserve = reserve;
        self.reserve_last = reserve.unwrap_or(self.reserve_last);
        if let Ok(Some(spare)) = made {
            self.spare = Some(spare);
        }
    }

    /// Notes that somebody waits for room.
    pub(crate) fn want(&mut self, wanted: RoomWanted) {
        self.room_wanted.retain(|other| other.claim != wanted.claim);
        self.room_wanted.push(wanted);
    }

    fn make_room(&mut self, bytes: u64, claim: Claim, rest: u64) -> Result<(), RoomWanted> {
        let in_new = SEGMENT_HEADER_BYTES as u64 + bytes;
        // What is going to be reserved at least, so that a refusal can be told to apply.
        let refuse = |bytes: u64, beside: u64| {
            Err(RoomWanted {
                bytes,
                beside,
                claim,
            })
        };
        let spent = self.reserve.is_none();
        let in_all = bytes + rest;
        match claim {
            Claim::Write if spent => return refuse(0, 0),
            // Somebody may have freed some: look again.
            Claim::Release if spent && self.room_here() + self.free < in_all => {
                return refuse(0, in_all.saturating_sub(self.room_here()));
            }
            Claim::Write | Claim::Release | Claim::Move => {}
        }
        if self.used + bytes <= self.current.size && !self.ended {
            return Ok(());
        }
        match self.spare.take() {
            Some(spare) if in_new <= spare.size => {
                self.roll(spare);
                Ok(())
            }
            small => {
                self.spare = small;
                refuse(in_new.max(self.segment_bytes_min), 0)
            }
        }
    }

    /// Room in the segments that are there.
    fn room_here(&self) -> u64 {
        let spare = self.spare.as_ref().map_or(0, |spare| spare.size);
        self.room_in_current() + spare
    }

    fn room_in_current(&self) -> u64 {
        if self.ended {
            return 0;
        }
        self.current.size - self.used
    }

    /// Goes over to the next segment. The rest of the current one is given back once its last
    /// frame is synced.
    fn roll(&mut self, next: Segment) {
        let sealed = std::mem::replace(&mut self.current, next.clone());
        self.chunk_of(&sealed, self.used).seals = true;
        if let Some(segment) = self.segments.get_mut(&sealed.id) {
            segment.size = self.used;
        }
        self.without_keys.insert(sealed.id);
        self.segments.insert(next.id, next);
        self.used = SEGMENT_HEADER_BYTES as u64;
        self.ended = false;
    }

    fn append_here(&mut self, frame: Frame<'_>) -> (u32, u32) {
        let header = self.header(self.current.id);
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

#[cfg(test)]
mod tests {
    use super::super::file_storage::FileStorage;
    use super::super::frame::FrameKind;
    use super::*;

    const SEGMENT_BYTES: u64 = 4096;

    /// A log of one segment, on a disk that will give no other.
    fn one_segment(scratch: &tempfile::TempDir) -> Log {
        let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            segment_bytes_min: SEGMENT_BYTES,
            ..Options::default()
        };
        let segment = Segment {
            id: 1,
            file: storage.create(&segment_name(1)).unwrap(),
            size: SEGMENT_BYTES,
        };
        let header = SegmentHeader::new(1, options.salt);
        let used = SEGMENT_HEADER_BYTES as u64;
        let reserve = Some(SEGMENT_BYTES);
        Log::resume(storage, &options, header, vec![segment], used, reserve)
    }

    fn frame(kind: FrameKind, payload: &[u8]) -> Frame<'_> {
        Frame {
            kind,
            sequence: 1,
            synced: 0,
            crc: 0,
            payload,
        }
    }

    #[test]
    fn a_segment_filled_to_its_bound_takes_the_frames_that_give_one_up_and_close() {
        for (kind, claim) in [
            (FrameKind::Batch, Claim::Write),
            (FrameKind::Batch, Claim::Release),
            (FrameKind::Moves, Claim::Move),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let mut log = one_segment(&scratch);
            let payload = [0; SEGMENT_BYTES as usize];
            let mut sizes = (0..payload.len()).rev();
            let largest = sizes.find(|bytes| {
                let frame = frame(kind, &payload[..*bytes]);
                log.append(frame, claim, 0).is_ok()
            });
            assert!(largest > Some(3900), "{largest:?}");
            // Not even a frame without a payload goes in any more.
            log.append(frame(kind, &[]), claim, 0).unwrap_err();
            let give_up = [0; GIVE_UP_ENTRY_BYTES as usize];
            log.append_give_up(frame(FrameKind::Moves, &give_up))
                .unwrap();
            log.append_close(frame(FrameKind::Close, &[]));
            assert_eq!(log.room_in_current(), 0, "to the last byte");
        }
    }
}
