//! Whether segments that were given up hold rows all the same, in a log that is looked at without
//! being opened. An opening would remove them, and refuses to.

use std::collections::BTreeMap;

use super::batch::{PayloadFault, Write, decode_ops};
use super::error::Damage;
use super::frame::{Frame, FrameKind, SEGMENT_HEADER_BYTES};
use super::inspect::LogFile;
use super::log::segment_name;
use super::moves::{Move, decode_moves};

/// What an opening and a look say of such a segment.
pub(crate) const ROWS_GIVEN_UP: &str = "rows of a segment that was given up as no longer needed";

/// The rows of the segments that may have been given up. Mostly there is one such segment, of a
/// process that was killed before it removed it.
struct Rows {
    /// The segments before this one are looked at.
    first_needed_max: u32,
    /// From which segment on the log is needed, as the frames say.
    first_needed: u32,
    /// In which segment the row of a key lies.
    segments: BTreeMap<Vec<u8>, u32>,
}

/// The first such segment with a row, of a log without damage up to the frame `last`. No segment
/// from `first_needed_max` on was given up.
pub(crate) fn rows_left(files: &[LogFile], first_needed_max: u32, last: u64) -> Option<Damage> {
    if files.first()?.id >= first_needed_max {
        return None;
    }
    let mut rows = Rows {
        first_needed_max,
        first_needed: 0,
        segments: BTreeMap::new(),
    };
    for file in files {
        rows.read(file, last);
    }
    let segments = rows.segments.into_values();
    let given_up = segments.filter(|segment| *segment < rows.first_needed);
    given_up.min().map(|segment| Damage {
        file: segment_name(segment),
        offset: 0,
        what: ROWS_GIVEN_UP.to_owned(),
    })
}

impl Rows {
    /// Reads a file up to the first bytes that are no frame: what is wrong with it is told by who
    /// looked at every byte.
    fn read(&mut self, file: &LogFile, last: u64) {
        let Some(header) = file.header else { return };
        let mut bytes = vec![0; usize::try_from(file.bytes).unwrap_or(0)];
        if file.file.read_at(0, &mut bytes).is_err() {
            return;
        }
        let mut rest = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
        while let Some(frame) = Frame::decode(header, rest).filter(|f| f.sequence <= last) {
            if self.read_frame(file.id, &frame).is_err() {
                return;
            }
            rest = &rest[frame.bytes()..];
        }
    }

    fn read_frame(&mut self, segment: u32, frame: &Frame<'_>) -> Result<(), PayloadFault> {
        match frame.kind {
            FrameKind::Close | FrameKind::Unknown(_) => {}
            FrameKind::Batch => {
                for op in decode_ops(frame.payload)? {
                    match op.write {
                        Write::Put(_) => self.note(&frame.payload[op.key], Some(segment)),
                        Write::Delete => self.note(&frame.payload[op.key], None),
                        Write::Index => {}
                    }
                }
            }
            FrameKind::Moves => {
                for entry in decode_moves(frame.payload)? {
                    match entry {
                        Move::Row { key, .. } => self.note(&frame.payload[key], Some(segment)),
                        Move::First(first) => self.first_needed = self.first_needed.max(first),
                    }
                }
            }
        }
        Ok(())
    }

    /// The row of a key lies in this segment now, or nowhere.
    fn note(&mut self, key: &[u8], segment: Option<u32>) {
        match segment.filter(|segment| *segment < self.first_needed_max) {
            Some(segment) => {
                self.segments.insert(key.to_vec(), segment);
            }
            None => {
                self.segments.remove(key);
            }
        }
    }
}
