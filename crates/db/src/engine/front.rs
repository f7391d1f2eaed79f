//! How a log that is looked at begins: what compaction took away there, and what is lost.

use super::frame::FRAME_HEADER_BYTES;
use super::inspect::KeyFacts;
use super::moves::Move;

/// What is seen on the way to the first intact frame, and what frames say of it.
#[derive(Debug)]
pub(crate) struct Front {
    first_file: u32,
    /// From which segment on the log is needed, as frames say.
    first_needed: u32,
    /// The highest sequence of a row that was moved, of all frames; and of those before the frame
    /// that gave up most: it lay in a segment that was given up.
    moved: u64,
    given_up: u64,
    /// The first intact frame.
    first_seen: Option<u64>,
    /// Damaged bytes before it.
    gap_bytes: u64,
    /// Whole files are missing between the first file and it.
    lacks_files: bool,
}

/// How the log should begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The first and the last segment that are missing at the front, and whether that is in doubt.
    pub(crate) missing: Option<(u32, u32, bool)>,
    /// The first sequence that should be there. Where nothing tells it for certain, one that is
    /// too low rather than too high; `None` if nothing is known to be lost.
    pub(crate) sequence: Option<u64>,
}

impl Front {
    pub(crate) fn new(first_file: u32) -> Front {
        Front {
            first_file,
            first_needed: 1,
            moved: 0,
            given_up: 0,
            first_seen: None,
            gap_bytes: 0,
            lacks_files: false,
        }
    }

    pub(crate) fn note_frame(&mut self, sequence: u64, moves: &[Move]) {
        self.first_seen.get_or_insert(sequence);
        for entry in moves {
            match entry {
                Move::Row { sequence, .. } => self.moved = self.moved.max(*sequence),
                Move::First(first) if *first > self.first_needed => {
                    self.first_needed = *first;
                    self.given_up = self.moved;
                }
                Move::First(_) => {}
            }
        }
    }

    /// From which segment on the log is needed, as all intact frames say.
    pub(crate) fn first_needed(&self) -> u32 {
        self.first_needed
    }

    pub(crate) fn note_gap(&mut self, bytes: usize) {
        if self.first_seen.is_none() {
            self.gap_bytes += bytes as u64;
        }
    }

    pub(crate) fn note_missing(&mut self) {
        self.lacks_files |= self.first_seen.is_none();
    }

    /// A segment is removed only after the frame that gives it up was synced: a file before the
    /// first that is there is lost if no frame gives it up. When others are lost, too, that frame
    /// may be among them.
    pub(crate) fn judge(&self, keys: &KeyFacts, others_are_whole: bool) -> Begin {
        let said = keys.values().map(|facts| facts.first_needed).max();
        let first_needed = self.first_needed.max(said.unwrap_or(0));
        let lacks_front = self.first_file > first_needed;
        let in_doubt = lacks_front && !others_are_whole;
        Begin {
            missing: lacks_front.then(|| (first_needed, self.first_file - 1, in_doubt)),
            sequence: (!in_doubt).then(|| self.sequence(keys, first_needed)),
        }
    }

    fn sequence(&self, keys: &KeyFacts, first_needed: u32) -> u64 {
        let first = self.first_file.min(first_needed);
        let lacks_files = self.lacks_files || self.first_file > first_needed;
        let above_given_up = self.given_up.saturating_add(1);
        match (keys.get(&first), self.first_seen) {
            _ if first == 1 => 1,
            (Some(facts), _) => facts.first_sequence,
            (None, Some(seen)) if !lacks_files => {
                // No frame is shorter than its head.
                let frames_max = self.gap_bytes / FRAME_HEADER_BYTES as u64;
                seen.saturating_sub(frames_max).max(above_given_up)
            }
            _ => above_given_up,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::key_file::SegmentFacts;

    fn row(sequence: u64) -> Move {
        Move::Row {
            key: 0..0,
            value: 0..0,
            sequence,
            entries: 0..0,
        }
    }

    /// A log from this file on, whose segments before the fifth were given up; all up to sequence
    /// 40 lay in these.
    fn compacted(first_file: u32) -> Front {
        let mut front = Front::new(first_file);
        front.note_frame(90, &[row(7), row(40)]);
        front.note_frame(91, &[Move::First(5), row(60)]);
        front
    }

    fn key_file(segment: u32, first_sequence: u64) -> KeyFacts {
        let facts = SegmentFacts {
            segment,
            first_sequence,
            ..SegmentFacts::default()
        };
        KeyFacts::from([(segment, facts)])
    }

    #[test]
    fn what_compaction_gave_up_is_not_lost() {
        let expected = Begin {
            missing: None,
            sequence: Some(90),
        };
        assert_eq!(compacted(5).judge(&KeyFacts::new(), true), expected);
        assert_eq!(compacted(5).judge(&KeyFacts::new(), false), expected);
    }

    #[test]
    fn a_segment_that_nothing_gave_up_is_lost_with_all_that_it_held() {
        let mut front = Front::new(2);
        front.note_frame(63, &[]);
        let begin = front.judge(&KeyFacts::new(), true);
        assert_eq!(
            (begin.missing, begin.sequence),
            (Some((1, 1, false)), Some(1))
        );

        let begin = compacted(7).judge(&KeyFacts::new(), true);
        assert_eq!(
            (begin.missing, begin.sequence),
            (Some((5, 6, false)), Some(41))
        );
        let begin = compacted(7).judge(&key_file(5, 47), true);
        assert_eq!(
            (begin.missing, begin.sequence),
            (Some((5, 6, false)), Some(47))
        );
    }

    #[test]
    fn a_file_of_number_zero_and_the_highest_sequence_are_no_trouble() {
        let mut front = Front::new(0);
        front.note_frame(90, &[row(u64::MAX), Move::First(5)]);
        let begin = front.judge(&KeyFacts::new(), true);
        assert_eq!((begin.missing, begin.sequence), (None, Some(u64::MAX)));
    }

    #[test]
    fn a_loss_elsewhere_may_have_cost_the_frame_that_gave_a_segment_up() {
        let begin = compacted(6).judge(&KeyFacts::new(), false);
        assert_eq!((begin.missing, begin.sequence), (Some((5, 5, true)), None));
    }

    #[test]
    fn damage_before_the_first_frame_costs_no_more_frames_than_fit_into_it() {
        let mut front = Front::new(5);
        front.note_gap(100);
        front.note_frame(90, &[row(40), Move::First(5)]);
        front.note_gap(1000);
        assert_eq!(front.judge(&KeyFacts::new(), false).sequence, Some(87));
        assert_eq!(front.judge(&key_file(5, 89), false).sequence, Some(89));
        front.gap_bytes = 10_000;
        assert_eq!(front.judge(&KeyFacts::new(), false).sequence, Some(41));
    }
}
