//! Reading the frames of all segments back into a directory, and judging the first damage.
//! Changes nothing on the disk.

use std::ops::Range;
use std::sync::Arc;

use super::batch::{Entries, Op, PayloadFault, Write, decode_ops};
use super::directory::{Directory, Place};
use super::error::{Damage, OpenError};
use super::frame::{
    FRAME_HEADER_BYTES, Frame, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader, frames_anywhere,
};
use super::moves::{Move, decode_moves};
use super::segments::{SegmentFile, is_blank, missing};

/// The state of reading.
pub(crate) struct Scan {
    pub(crate) directory: Directory,
    pub(crate) transactions: u64,
    /// The sequence of the last whole frame in order.
    pub(crate) sequence: u64,
    /// The highest sequence that something in the log proves to have been synced.
    pub(crate) mark: u64,
    /// The last frame is that of an orderly close.
    pub(crate) closed: bool,
    /// The oldest segment that is still needed, as the last compaction said.
    pub(crate) first_needed: u32,
    /// The last segment that holds anything.
    pub(crate) last: Option<LastSegment>,
}

/// The last segment with frames, or with what may have become frames.
pub(crate) struct LastSegment {
    /// Among the segments that were read.
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: Vec<u8>,
    /// Where the whole frames end.
    pub(crate) end: usize,
    /// Something lies behind `end`.
    pub(crate) damaged: bool,
}

impl Scan {
    /// Reads all segments. Returns an error for damage to anything that was durable; what is
    /// left in `last` as damaged is the tail of a power cut.
    pub(crate) fn read(files: &[SegmentFile], cache_bytes: usize) -> Result<Scan, OpenError> {
        let mut scan = Scan {
            directory: Directory::new(cache_bytes),
            transactions: 0,
            sequence: 0,
            mark: 0,
            closed: false,
            first_needed: 1,
            last: None,
        };
        for (index, file) in files.iter().enumerate() {
            scan.read_segment(index, file)?;
        }
        match &scan.last {
            Some(last) if last.damaged && scan.mark > scan.sequence => Err(last.damage()),
            _ => scan.check_front(files),
        }
    }

    /// A segment is removed only after the frame that gives it up was synced, so that frame is
    /// here; without it, files were taken away.
    fn check_front(self, files: &[SegmentFile]) -> Result<Scan, OpenError> {
        match files.first() {
            Some(first) if first.segment.id > self.first_needed => {
                Err(missing(first.segment.id - 1))
            }
            _ => Ok(self),
        }
    }

    fn read_segment(&mut self, index: usize, file: &SegmentFile) -> Result<(), OpenError> {
        let bytes = file.read()?;
        if is_blank(&bytes[SEGMENT_HEADER_BYTES..]) {
            return Ok(());
        }
        let previous = self.last.take();
        // A segment is synced before the first byte of the next one: bytes here vouch for it.
        if let Some(previous) = previous.as_ref().filter(|previous| previous.damaged) {
            return Err(previous.damage());
        }
        let mut segment = LastSegment {
            index,
            name: file.name(),
            header: file.header,
            bytes,
            end: SEGMENT_HEADER_BYTES,
            damaged: false,
        };
        if previous.is_none() && segment.header.segment > 1 {
            // What came before was given up; the numbers go on.
            self.sequence = segment.frame().map_or(0, |frame| frame.sequence - 1);
        }
        self.check_first_frame(previous.as_ref(), &segment)?;
        self.read_frames(&mut segment)?;
        self.read_marks_behind(&mut segment);
        self.last = Some(segment);
        Ok(())
    }

    /// A first frame that comes too late shows that the segment before lost its end.
    fn check_first_frame(
        &self,
        previous: Option<&LastSegment>,
        segment: &LastSegment,
    ) -> Result<(), OpenError> {
        match (previous, segment.frame()) {
            (Some(previous), Some(frame)) if frame.sequence > self.sequence + 1 => {
                Err(previous.damage())
            }
            _ => Ok(()),
        }
    }

    fn read_frames(&mut self, segment: &mut LastSegment) -> Result<(), OpenError> {
        while let Some(frame) = segment.frame() {
            if frame.sequence != self.sequence + 1 {
                let expected = self.sequence + 1;
                let what = format!("frame {} where {expected} belongs", frame.sequence);
                return Err(segment.damage_saying(what));
            }
            self.sequence = frame.sequence;
            self.mark = self.mark.max(frame.synced);
            self.apply(segment, frame)?;
            segment.end += frame.bytes();
        }
        Ok(())
    }

    /// Damage ends the reading, but frames behind it may still tell what was synced.
    fn read_marks_behind(&mut self, segment: &mut LastSegment) {
        let behind = &segment.bytes[segment.end..];
        segment.damaged = !is_blank(behind);
        if segment.damaged {
            self.closed = false;
            let marks = frames_anywhere(segment.header, behind).map(|frame| frame.synced);
            self.mark = self.mark.max(marks.max().unwrap_or(0));
        }
    }

    fn apply(&mut self, segment: &LastSegment, frame: Frame<'_>) -> Result<(), OpenError> {
        self.closed = frame.kind == FrameKind::Close;
        match frame.kind {
            FrameKind::Close => Ok(()),
            FrameKind::Unknown(kind) => Err(segment.newer(format!("frame kind {kind}"))),
            FrameKind::Moves => {
                let moves = decode_moves(frame.payload).map_err(|fault| segment.fault(fault))?;
                self.apply_moves(segment, frame, &moves)
            }
            FrameKind::Batch => {
                let ops = decode_ops(frame.payload).map_err(|fault| segment.fault(fault))?;
                self.transactions += 1;
                self.apply_ops(segment, frame, &ops);
                Ok(())
            }
        }
    }

    fn apply_ops(&mut self, segment: &LastSegment, frame: Frame<'_>, ops: &[Op]) {
        let payload_at = segment.end + FRAME_HEADER_BYTES;
        for op in ops {
            let key = &frame.payload[op.key.clone()];
            let entries = entries(frame, &op.entries);
            match op.write.clone() {
                Write::Put(value) => {
                    let place = Place {
                        segment: segment.header.segment,
                        offset: (payload_at + value.start) as u32,
                        length: value.len() as u32,
                        sequence: frame.sequence,
                    };
                    let cached = Arc::from(&frame.payload[value]);
                    self.directory.put(key, place, cached, entries);
                }
                Write::Delete => self.directory.delete(key),
                Write::Index => self.directory.set_entries(key, entries),
            }
        }
    }

    /// A row was moved only while it was the youngest of its key: it replaces itself, or nothing
    /// when its old place is given up.
    fn apply_moves(
        &mut self,
        segment: &LastSegment,
        frame: Frame<'_>,
        moves: &[Move],
    ) -> Result<(), OpenError> {
        let payload_at = segment.end + FRAME_HEADER_BYTES;
        for entry in moves {
            match entry {
                Move::First(first) if *first > segment.header.segment => {
                    let what = "a segment that is given up while it is written";
                    return Err(segment.damage_saying(what.to_owned()));
                }
                Move::First(first) => self.first_needed = self.first_needed.max(*first),
                Move::Row {
                    key,
                    value,
                    sequence,
                    entries: moved,
                } => {
                    let key = &frame.payload[key.clone()];
                    let known = self.directory.get(key).map(|found| found.place.sequence);
                    if *sequence >= frame.sequence || known.is_some_and(|known| known != *sequence)
                    {
                        let what = "a moved row that was not the youngest of its key";
                        return Err(segment.damage_saying(what.to_owned()));
                    }
                    let place = Place {
                        segment: segment.header.segment,
                        offset: (payload_at + value.start) as u32,
                        length: value.len() as u32,
                        sequence: *sequence,
                    };
                    let cached = Arc::from(&frame.payload[value.clone()]);
                    self.directory
                        .put(key, place, cached, entries(frame, moved));
                }
            }
        }
        Ok(())
    }
}

fn entries<'a>(frame: Frame<'a>, at: &Range<usize>) -> Entries<'a> {
    Entries::check(&frame.payload[at.clone()]).expect("decoding has checked them")
}

impl LastSegment {
    /// Where the part of the segment begins that nothing proves to have been synced.
    pub(crate) fn unproven_from(&self, mark: u64) -> usize {
        let mut at = SEGMENT_HEADER_BYTES;
        while at < self.end {
            match Frame::decode(self.header, &self.bytes[at..]) {
                Some(frame) if frame.sequence <= mark => at += frame.bytes(),
                _ => break,
            }
        }
        at
    }

    /// What lies behind the whole frames, up to the last byte that is not zero.
    pub(crate) fn behind(&self) -> &[u8] {
        let behind = &self.bytes[self.end..];
        let length = behind.iter().rposition(|byte| *byte != 0);
        &behind[..length.map_or(0, |last| last + 1)]
    }

    fn frame(&self) -> Option<Frame<'_>> {
        Frame::decode(self.header, &self.bytes[self.end..])
    }

    fn damage(&self) -> OpenError {
        self.damage_saying(
            "no whole frame, though later writes show that one was synced here".into(),
        )
    }

    fn damage_saying(&self, what: String) -> OpenError {
        OpenError::Damaged(Damage {
            file: self.name.clone(),
            offset: self.end as u64,
            what,
        })
    }

    fn fault(&self, fault: PayloadFault) -> OpenError {
        match fault {
            PayloadFault::UnknownTag(tag) => self.newer(format!("entry type {tag}")),
            PayloadFault::Malformed => {
                self.damage_saying("a whole frame with a malformed payload".to_owned())
            }
        }
    }

    fn newer(&self, what: String) -> OpenError {
        OpenError::Newer {
            file: self.name.clone(),
            what: format!("{what} at byte {}", self.end),
        }
    }
}
