//! Compaction: what is still needed of the oldest segment is written again at the end of the
//! log, then the segment is removed.
//!
//! Only the oldest segment is ever removed, which decides when a tombstone may go: everything
//! that a delete hides was appended before it, so it lies in the same segment or in an older
//! one, and of those there is none. Hence tombstones are never moved; they go with their segment,
//! and a removal is on the disk before the next one begins.
//!
//! A moved row takes its index entries along, as they are at that moment. So a frame that only
//! changed the entries of a row need not be moved: the row's value was appended before it, and
//! when its segment is the oldest, that value was written or moved again behind it, with the
//! entries that count.

use std::ops::Range;
use std::sync::Arc;

use super::batch::{PayloadFault, VALUE_CRC_BYTES, Write, decode_ops, encoded_entries};
use super::directory::Place;
use super::error::{Damage, ReadError, StoreFailure};
use super::frame::{FRAME_HEADER_BYTES, Frame, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::key_file::key_file_name;
use super::log::{Segment, segment_name};
use super::machine::{Engine, State};
use super::moves::{Move, Moves, decode_moves, moved_bytes_max};
use super::reserve::Claim;
use super::segments::is_blank;
use super::storage::Storage;

/// Where compaction stands.
#[derive(Default)]
pub(crate) struct Compaction {
    victim: Option<Victim>,
    working: bool,
    /// There was no room, until the next flush: no point in asking again.
    pub(super) blocked: bool,
    /// The oldest segment cannot be read: it stays, and all behind it.
    fault: Option<ReadError>,
}

/// The oldest segment, on its way out.
struct Victim {
    segment: Segment,
    /// Where the next frame to be read begins.
    at: u64,
    read: ReadRows,
    /// The sequence of the frame that gives the segment up.
    given_up: Option<u64>,
}

/// Frames that were read, and the rows in them that are still to be looked at.
#[derive(Default)]
struct ReadRows {
    bytes: Vec<u8>,
    rows: Vec<ReadRow>,
    next: usize,
}

struct ReadRow {
    key: Range<usize>,
    place: Place,
    /// The value with its checksum.
    stored: Range<usize>,
}

/// A step of compaction. Run it, then tell [`Engine::compacted`].
pub struct Compact {
    step: Step,
}

enum Step {
    Read {
        segment: Segment,
        header: SegmentHeader,
        at: u64,
        bytes_max: u64,
    },
    Remove {
        storage: Arc<dyn Storage>,
        segment: u32,
    },
}

/// How a [`Compact`] ended.
pub struct Compacted {
    outcome: Outcome,
}

enum Outcome {
    Read(Result<(ReadRows, u64), ReadError>),
    Removed(Result<(), StoreFailure>),
}

impl Engine {
    /// The next step of compaction, if there is enough to gain and nothing else to wait for.
    /// What it moves waits for the disk like a commit; the caller sees to the proportion.
    pub fn take_compaction(&mut self) -> Option<Compact> {
        if !self.may_compact() {
            return None;
        }
        if self.compaction.victim.is_none() {
            self.compaction.victim = self.pick_victim();
        }
        let step = self.next_step()?;
        self.compaction.working = true;
        Some(Compact { step })
    }

    fn may_compact(&self) -> bool {
        matches!(self.state, State::Open)
            && !self.compaction.working
            && !self.compaction.blocked
            && self.compaction.fault.is_none()
    }

    /// Whether there is a step to take, or rows to be moved before it.
    pub(super) fn wants_to_compact(&self) -> bool {
        let wanted = match &self.compaction.victim {
            Some(_) => !self.compaction_wants_flush(),
            None => self.pick_victim().is_some(),
        };
        self.may_compact() && wanted
    }

    /// Takes note of how the step ended, and moves the rows that it read.
    pub fn compacted(&mut self, done: Compacted) {
        self.compaction.working = false;
        match done.outcome {
            Outcome::Removed(Ok(())) => self.removed(),
            Outcome::Removed(Err(failure)) => self.state = State::Failed(failure),
            Outcome::Read(Err(fault)) => self.compaction.fault = Some(fault),
            Outcome::Read(Ok((read, at))) => {
                if let Some(victim) = &mut self.compaction.victim {
                    (victim.read, victim.at) = (read, at);
                }
                if matches!(self.state, State::Open) {
                    self.move_rows();
                }
            }
        }
    }

    /// The segment that is being removed, or will be next.
    pub(super) fn given_up(&self) -> Option<u32> {
        let victim = self.compaction.victim.as_ref()?;
        victim.given_up.map(|_| victim.segment.id)
    }

    /// Whether compaction waits for what it moved to be on the disk.
    pub fn compaction_wants_flush(&self) -> bool {
        let victim = self.compaction.victim.as_ref();
        let given_up = victim.and_then(|victim| victim.given_up);
        given_up.is_some_and(|sequence| sequence > self.durable)
    }

    /// Whether compaction is about to give room back, now or after a flush.
    pub(super) fn compaction_goes_on(&self) -> bool {
        if !matches!(self.state, State::Open) || self.compaction.fault.is_some() {
            return false;
        }
        let begun = self.compaction.working || self.compaction.victim.is_some();
        let after_flush = self.log.pending_bytes() > 0 && (begun || self.is_worth_it());
        let now = !self.compaction.blocked && (begun || self.pick_victim().is_some());
        after_flush || now
    }

    /// Why compaction has stopped: the oldest segment could not be read. Nothing is lost by
    /// that; the log only grows.
    pub fn compaction_fault(&self) -> Option<&ReadError> {
        self.compaction.fault.as_ref()
    }

    /// Bytes that compaction could free at most.
    pub(super) fn garbage_bytes(&self) -> u64 {
        let needed = self.directory.needed_bytes();
        self.log.used_bytes().saturating_sub(needed)
    }

    /// Whether taking all garbage away would let other writes go on.
    pub(super) fn garbage_makes_room(&self) -> bool {
        self.garbage_bytes() > self.log.missing_bytes() + self.turn_over_bytes()
    }

    /// Room that moving what is needed of a segment takes at most, whichever it is: what deletes
    /// leave for the oldest must also do for those behind it.
    pub(super) fn moving_bytes_max(&self) -> u64 {
        let segments = self.log.all_segments();
        segments.map(|s| self.moving_bytes(s)).max().unwrap_or(0)
    }

    fn moving_bytes(&self, segment: &Segment) -> u64 {
        let frame = self.compact_step_bytes.min(self.log.segment_bytes_min());
        let frames = 2 * (segment.size / frame + 2);
        // At the end of a segment there may be no room for another row, twice.
        let ends = 2 * self.directory.largest_row().min(segment.size / 8);
        frames * FRAME_HEADER_BYTES as u64 + ends + self.directory.needed_of(segment.id)
    }

    /// What frames and headers add when every segment is moved once: less garbage than that is not
    /// worth the room that moving takes.
    fn turn_over_bytes(&self) -> u64 {
        let frames = self.directory.needed_bytes() / self.compact_step_bytes;
        let segments = self.log.segments() as u64;
        let per_segment = (SEGMENT_HEADER_BYTES + 3 * FRAME_HEADER_BYTES) as u64;
        frames * FRAME_HEADER_BYTES as u64 + segments * per_segment
    }

    /// The oldest segment: at once when nothing of it is needed, else when less of the log is
    /// needed than the options say. On a full disk a ninth of garbage is enough; when the reserve
    /// is spent, almost any, because the deletes that it has room for must lead out.
    fn pick_victim(&self) -> Option<Victim> {
        let oldest = self.log.oldest_sealed()?;
        let useless = self.directory.needed_of(oldest.id) == 0;
        (useless || self.is_worth_it()).then(|| Victim {
            at: if useless {
                oldest.size
            } else {
                SEGMENT_HEADER_BYTES as u64
            },
            segment: oldest.clone(),
            read: ReadRows::default(),
            given_up: None,
        })
    }

    fn is_worth_it(&self) -> bool {
        let (garbage, needed) = (self.garbage_bytes(), self.directory.needed_bytes());
        let (garbage_min, bearable) = if self.log.reserve_is_spent() {
            (
                self.log.segment_bytes_min().max(2 * self.turn_over_bytes()),
                needed / 256,
            )
        } else if self.log.is_cramped() {
            (self.log.segment_bytes_min(), needed / 8)
        } else {
            let bearable = needed * (100 - self.live_percent_min) / self.live_percent_min;
            (self.log.segment_bytes(), bearable)
        };
        garbage >= garbage_min && garbage > bearable
    }

    fn next_step(&mut self) -> Option<Step> {
        if !self.move_rows() {
            return None;
        }
        let victim = self.compaction.victim.as_ref()?;
        // Once nothing of it is needed, the rest need not be read.
        let useless = self.directory.needed_of(victim.segment.id) == 0;
        if !useless && victim.at < victim.segment.size {
            return Some(Step::Read {
                segment: victim.segment.clone(),
                header: self.log.header(victim.segment.id),
                at: victim.at,
                bytes_max: self.compact_step_bytes,
            });
        }
        let given_up = match victim.given_up {
            Some(sequence) => sequence,
            None => self.give_up()?,
        };
        let victim = self.compaction.victim.as_ref()?;
        (given_up <= self.durable).then(|| Step::Remove {
            storage: self.log.storage(),
            segment: victim.segment.id,
        })
    }

    /// Moves the rows that were read and are still the youngest of their keys. Returns whether
    /// all are done; otherwise room has to be made first.
    fn move_rows(&mut self) -> bool {
        let Some(victim) = &mut self.compaction.victim else {
            return true;
        };
        let mut read = std::mem::take(&mut victim.read);
        let mut done = true;
        while done && read.next < read.rows.len() {
            done = self.move_some(&mut read);
        }
        if let Some(victim) = self.compaction.victim.as_mut().filter(|_| !done) {
            victim.read = read;
        }
        done
    }

    /// Moves as many rows as one frame takes; `false` when there is no room for it.
    fn move_some(&mut self, read: &mut ReadRows) -> bool {
        let mut moves = Moves::default();
        let mut moved = Vec::new();
        let mut next = read.next;
        let mut bytes_max = None;
        while next < read.rows.len() {
            let row = &read.rows[next];
            let key = &read.bytes[row.key.clone()];
            if self.directory.is_at(key, row.place) {
                let entries = encoded_entries(self.directory.entries_of(key));
                let bytes = moved_bytes_max(key.len(), row.place.length) + entries.len() as u64;
                let room = bytes_max.get_or_insert_with(|| {
                    self.compact_step_bytes.min(self.log.moves_bytes_max(bytes))
                });
                if !moved.is_empty() && moves.payload().len() as u64 + bytes > *room {
                    break;
                }
                let stored = &read.bytes[row.stored.clone()];
                moved.push((next, moves.push(key, stored, row.place.sequence, &entries)));
            }
            next += 1;
        }
        if !moved.is_empty() {
            let Some((segment, payload_at)) = self.append_moves(&moves) else {
                return false;
            };
            for (index, value_at) in moved {
                let ReadRow { key, place, .. } = &read.rows[index];
                let place = Place {
                    segment,
                    offset: payload_at + value_at as u32,
                    ..*place
                };
                self.directory.relocate(&read.bytes[key.clone()], place);
            }
        }
        read.next = next;
        true
    }

    /// Says in the log that the victim is not needed, once no row lies in it.
    fn give_up(&mut self) -> Option<u64> {
        let segment = &self.compaction.victim.as_ref()?.segment;
        let id = segment.id;
        if self.directory.needed_of(id) != 0 {
            self.compaction.fault = Some(ReadError::Damaged(Damage {
                file: segment_name(id),
                offset: segment.size,
                what: "rows of this file were not found when it was read again".to_owned(),
            }));
            return None;
        }
        let mut moves = Moves::default();
        moves.give_up_before(id + 1);
        let frame = self.moves_frame(&moves);
        let appended = self.log.append_give_up(frame);
        appended.inspect_err(|wanted| self.log.want(*wanted)).ok()?;
        self.note_moves(frame.bytes());
        self.compaction.victim.as_mut()?.given_up = Some(self.sequence);
        Some(self.sequence)
    }

    fn append_moves(&mut self, moves: &Moves) -> Option<(u32, u32)> {
        let frame = self.moves_frame(moves);
        let appended = self.log.append(frame, Claim::Move, 0);
        let place = appended.inspect_err(|wanted| self.log.want(*wanted)).ok()?;
        self.note_moves(frame.bytes());
        Some(place)
    }

    fn moves_frame<'a>(&self, moves: &'a Moves) -> Frame<'a> {
        Frame {
            kind: FrameKind::Moves,
            sequence: self.sequence + 1,
            synced: self.durable,
            crc: 0,
            payload: moves.payload(),
        }
    }

    fn note_moves(&mut self, bytes: usize) {
        self.sequence += 1;
        self.closed_cleanly = false;
        self.counters.bytes_moved += bytes as u64;
    }

    fn removed(&mut self) {
        self.compaction.victim = None;
        self.counters.segments_freed += 1;
        self.log.forget_oldest();
    }
}

impl Compact {
    /// Reads some frames of the oldest segment, or removes it.
    pub fn run(self) -> Compacted {
        let outcome = match self.step {
            Step::Read {
                segment,
                header,
                at,
                bytes_max,
            } => Outcome::Read(read_rows(&segment, header, at, bytes_max)),
            Step::Remove { storage, segment } => {
                let name = segment_name(segment);
                let removed = storage.remove(&name).and_then(|()| storage.sync_dir());
                // One that stays speaks of a segment that is gone: the next opening removes it.
                let _ = storage.remove(&key_file_name(segment));
                Outcome::Removed(removed.map_err(|error| StoreFailure {
                    operation: "remove",
                    file: name,
                    source: Arc::new(error),
                }))
            }
        };
        Compacted { outcome }
    }
}

/// Reads whole frames from `at` on: as many as `bytes_max` holds, at least one. Returns where the
/// next begins.
fn read_rows(
    segment: &Segment,
    header: SegmentHeader,
    at: u64,
    bytes_max: u64,
) -> Result<(ReadRows, u64), ReadError> {
    let damage = |offset: usize, what: &str| {
        ReadError::Damaged(Damage {
            file: segment_name(segment.id),
            offset: at + offset as u64,
            what: what.to_owned(),
        })
    };
    let bytes = segment.read_frames(at, bytes_max);
    let bytes = bytes.map_err(|error| ReadError::Io {
        file: segment_name(segment.id),
        offset: at,
        source: Arc::new(error),
    })?;
    let mut rows = Vec::new();
    let mut end = 0;
    while let Some(frame) = Frame::decode(header, &bytes[end..]) {
        let start = end + FRAME_HEADER_BYTES;
        let found = rows_of(frame, segment.id, at, start);
        rows.extend(found.map_err(|_| damage(end, "a whole frame with a malformed payload"))?);
        end += frame.bytes();
    }
    if end == 0 && is_blank(&bytes) {
        // The process ended before the unused rest was given back.
        return Ok((ReadRows::default(), segment.size));
    }
    if end == 0 {
        return Err(damage(0, "no whole frame where one was written"));
    }
    let read = ReadRows {
        bytes,
        rows,
        next: 0,
    };
    Ok((read, at + end as u64))
}

/// The puts and moves of a frame whose payload begins at `start` of what was read from `at` on.
fn rows_of(
    frame: Frame<'_>,
    segment: u32,
    at: u64,
    start: usize,
) -> Result<Vec<ReadRow>, PayloadFault> {
    let row = |key: Range<usize>, value: Range<usize>, sequence| ReadRow {
        key: start + key.start..start + key.end,
        place: Place {
            segment,
            offset: (at + (start + value.start) as u64) as u32,
            length: value.len() as u32,
            sequence,
        },
        stored: start + value.start..start + value.end + VALUE_CRC_BYTES,
    };
    Ok(match frame.kind {
        FrameKind::Batch => decode_ops(frame.payload)?
            .into_iter()
            .filter_map(|op| match op.write {
                Write::Put(value) => Some(row(op.key, value, frame.sequence)),
                Write::Delete | Write::Index => None,
            })
            .collect(),
        FrameKind::Moves => decode_moves(frame.payload)?
            .into_iter()
            .filter_map(|entry| match entry {
                Move::Row {
                    key,
                    value,
                    sequence,
                    ..
                } => Some(row(key, value, sequence)),
                Move::First(_) => None,
            })
            .collect(),
        FrameKind::Close | FrameKind::Unknown(_) => Vec::new(),
    })
}
