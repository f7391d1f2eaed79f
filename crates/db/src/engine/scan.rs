//! Reading all segments into a directory, each from its key file or from its frames, and judging
//! the first damage. Changes nothing on the disk.

use std::collections::BTreeSet;
use std::thread;

use super::ahead::KeyFiles;
use super::batch::PayloadFault;
use super::directory::Directory;
use super::error::{Damage, OpenError};
use super::frame::{
    FRAME_HEADER_BYTES, Frame, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader, frames_anywhere,
    known_frame,
};
use super::given_up::ROWS_GIVEN_UP;
use super::key_file::{KeyFileBytes, SegmentFacts};
use super::load::{self, LoadError};
use super::log::segment_name;
use super::run::RunBuilder;
use super::segments::{SegmentFile, is_blank, missing};
use super::storage::Storage;

/// What reading found.
pub(crate) struct Scan {
    pub(crate) directory: Directory,
    pub(crate) facts: Facts,
    /// The last segment that holds anything.
    pub(crate) last: Option<LastSegment>,
    /// A key file with a right checksum said what its segment does not, so none was used.
    pub(crate) distrusts_key_files: bool,
    /// What was found when the end was to be [proved](Prove).
    pub(crate) is_proved: bool,
}

/// Says whether the disk has the end of the log as it was read. It waits for the disk, so it is
/// asked while the directory of a large log is made.
pub(crate) type Prove<'a> = &'a (dyn Fn(&LastSegment, &Facts) -> Result<bool, OpenError> + Sync);

/// What the segments say as a whole.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) transactions: u64,
    /// The sequence of the last whole frame in order.
    pub(crate) sequence: u64,
    /// The highest sequence that something in the log proves to have been synced.
    pub(crate) mark: u64,
    /// The last frame is that of an orderly close.
    pub(crate) closed: bool,
    /// The oldest segment that is still needed, as the last compaction said; 0 if it said nothing.
    pub(crate) first_needed: u32,
    /// How many segments were read from their key files.
    pub(crate) key_files_used: u64,
    /// Sealed segments whose key file is missing or does not fit.
    pub(crate) without_keys: BTreeSet<u32>,
}

/// The state of reading.
struct Reader<'a> {
    key_files: KeyFiles<'a>,
    /// The last words of each segment.
    words: Vec<KeyFileBytes>,
    facts: Facts,
    last: Option<LastSegment>,
}

/// The last segment with frames, or with what may have become frames.
pub(crate) struct LastSegment {
    /// Among the segments that were read.
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    /// Empty when the segment was read from its key file.
    pub(crate) bytes: Vec<u8>,
    /// Where the whole frames end.
    pub(crate) end: usize,
    /// Something lies behind `end`.
    pub(crate) damaged: bool,
}

impl Scan {
    /// Reads all segments, and has the end proved. Returns an error for damage to anything that was
    /// durable; what is left in `last` as damaged is the tail of a power cut.
    pub(crate) fn read(
        storage: &dyn Storage,
        files: &[SegmentFile],
        cache_bytes: usize,
        prove: Prove<'_>,
    ) -> Result<Scan, OpenError> {
        if let Some(scan) = Scan::read_trusting(storage, files, cache_bytes, prove, true)? {
            return Ok(scan);
        }
        let scan = Scan::read_trusting(storage, files, cache_bytes, prove, false)?;
        scan.ok_or_else(|| {
            OpenError::Damaged(Damage {
                file: files.first().map(SegmentFile::name).unwrap_or_default(),
                offset: 0,
                what: "rows or index entries of this segment and later ones that fit no order"
                    .to_owned(),
            })
        })
    }

    fn read_trusting(
        storage: &dyn Storage,
        files: &[SegmentFile],
        cache_bytes: usize,
        prove: Prove<'_>,
        trusts_key_files: bool,
    ) -> Result<Option<Scan>, OpenError> {
        let Reader {
            words, facts, last, ..
        } = thread::scope(|scope| {
            let key_files = match trusts_key_files {
                true => KeyFiles::of(files, storage, scope),
                false => KeyFiles::Distrusted,
            };
            Reader::read(files, key_files)
        })?;
        match &last {
            Some(last) if last.damaged && facts.mark > facts.sequence => return Err(last.damage()),
            _ => facts.check_front(files)?,
        }
        let (proved, directory) = load::beside(
            load::is_large(&words),
            || last.as_ref().map_or(Ok(true), |last| prove(last, &facts)),
            || load::directory(&words, cache_bytes),
        );
        let directory = match directory {
            Ok(directory) => directory,
            Err(LoadError::Malformed) => return Ok(None),
            Err(LoadError::Contradiction { segment, offset }) => {
                return Err(OpenError::Damaged(Damage {
                    file: segment_name(segment),
                    offset: u64::from(offset),
                    what: NOT_THE_YOUNGEST.to_owned(),
                }));
            }
        };
        match facts.check_given_up(files, &directory) {
            Err(_) if facts.key_files_used > 0 => return Ok(None),
            checked => checked?,
        }
        Ok(Some(Scan {
            directory,
            facts,
            last,
            distrusts_key_files: !trusts_key_files,
            is_proved: proved?,
        }))
    }
}

const NOT_THE_YOUNGEST: &str = "a moved row that was not the youngest of its key";

/// What is known of the segments before they are read.
#[derive(Default)]
struct Known {
    /// How many come before the last that holds a frame, as far as its beginning tells. They were
    /// synced before the first byte of a later one was written.
    sealed: usize,
    /// The last that holds anything.
    last: usize,
    /// The bytes of that one.
    last_bytes: Option<Vec<u8>>,
}

impl Known {
    /// A segment that begins with no whole frame is blank once its tail is cut, and the one before
    /// it is the last at the next opening. So that one is read now, and what is wrong with it found
    /// before the tail is gone, which shows that it was synced.
    fn of(files: &[SegmentFile]) -> Result<Known, OpenError> {
        let Some(last) = last_not_blank(files)? else {
            return Ok(Known::default());
        };
        let bytes = files[last].read()?;
        let holds_frame = Frame::decode(files[last].header, &bytes[SEGMENT_HEADER_BYTES..]);
        let sealed = match holds_frame {
            Some(_) => last,
            None => last_not_blank(&files[..last])?.unwrap_or(0),
        };
        Ok(Known {
            sealed,
            last,
            last_bytes: Some(bytes),
        })
    }
}

fn last_not_blank(files: &[SegmentFile]) -> Result<Option<usize>, OpenError> {
    for (index, file) in files.iter().enumerate().rev() {
        if !file.is_blank()? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

impl Facts {
    /// A segment is removed only after the frame that gives it up was synced, so that frame is
    /// here; without it, files were taken away.
    fn check_front(&self, files: &[SegmentFile]) -> Result<(), OpenError> {
        match files.first() {
            Some(first) if first.segment.id > self.first_needed.max(1) => {
                Err(missing(first.segment.id - 1))
            }
            _ => Ok(()),
        }
    }

    /// A segment is given up when its rows were moved or replaced, or are gone. It would be removed
    /// now, with all that is still in it.
    fn check_given_up(&self, files: &[SegmentFile], rows: &Directory) -> Result<(), OpenError> {
        let ids = files.iter().map(|file| file.segment.id);
        let mut given_up = ids.take_while(|id| *id < self.first_needed);
        match given_up.find(|id| rows.needed_of(*id) > 0) {
            Some(id) => Err(OpenError::Damaged(Damage {
                file: segment_name(id),
                offset: 0,
                what: ROWS_GIVEN_UP.to_owned(),
            })),
            None => Ok(()),
        }
    }

    fn add(&mut self, segment: SegmentFacts) {
        self.sequence = segment.last_sequence;
        self.mark = self.mark.max(segment.mark);
        self.transactions += u64::from(segment.transactions);
        self.first_needed = self.first_needed.max(segment.first_needed);
        self.closed = false;
        self.key_files_used += 1;
    }
}

impl<'a> Reader<'a> {
    fn read(files: &[SegmentFile], key_files: KeyFiles<'a>) -> Result<Reader<'a>, OpenError> {
        let mut reader = Reader {
            key_files,
            words: Vec::new(),
            facts: Facts::default(),
            last: None,
        };
        let mut known = Known::of(files)?;
        for (index, file) in files.iter().take(known.last + 1).enumerate() {
            if index < known.sealed && reader.use_key_file(index, file) {
                continue;
            }
            let bytes = match known.last_bytes.take_if(|_| index == known.last) {
                Some(bytes) => bytes,
                None => file.read()?,
            };
            reader.read_segment(index, file, bytes)?;
        }
        Ok(reader)
    }

    /// Takes a sealed segment from its key file; `false` if there is none that fits.
    fn use_key_file(&mut self, index: usize, file: &SegmentFile) -> bool {
        let id = file.segment.id;
        let previous = self.last.as_ref();
        let known = self.key_files.next(id).filter(|found| {
            let facts = found.facts;
            let follows = match previous {
                None if index == 0 => id > 1 || facts.first_sequence == 1,
                None => false,
                Some(previous) => {
                    !previous.damaged && facts.first_sequence == self.facts.sequence + 1
                }
            };
            follows && facts.fits(&file.segment, file.header).unwrap_or(false)
        });
        let Some(words) = known else {
            self.facts.without_keys.insert(id);
            return false;
        };
        let facts = words.facts;
        self.facts.add(facts);
        self.words.push(words);
        self.last = Some(LastSegment {
            index,
            name: file.name(),
            header: file.header,
            bytes: Vec::new(),
            end: facts.end as usize,
            damaged: false,
        });
        true
    }

    fn read_segment(
        &mut self,
        index: usize,
        file: &SegmentFile,
        bytes: Vec<u8>,
    ) -> Result<(), OpenError> {
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
            self.facts.sequence = segment.frame().map_or(0, |frame| frame.sequence - 1);
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
            (Some(previous), Some(frame)) if frame.sequence > self.facts.sequence + 1 => {
                Err(previous.damage())
            }
            _ => Ok(()),
        }
    }

    fn read_frames(&mut self, segment: &mut LastSegment) -> Result<(), OpenError> {
        let mut builder = RunBuilder::default();
        while let Some(frame) = segment.frame() {
            if frame.sequence != self.facts.sequence + 1 {
                let expected = self.facts.sequence + 1;
                let what = format!("frame {} where {expected} belongs", frame.sequence);
                return Err(segment.damage_saying(what));
            }
            self.facts.sequence = frame.sequence;
            self.facts.mark = self.facts.mark.max(frame.synced);
            self.read_frame(segment, frame, &mut builder)?;
            segment.end += frame.bytes();
        }
        let run = builder.finish();
        if let Some(offset) = run.contradiction {
            return Err(OpenError::Damaged(Damage {
                file: segment.name.clone(),
                offset: u64::from(offset),
                what: NOT_THE_YOUNGEST.to_owned(),
            }));
        }
        let facts = SegmentFacts {
            segment: segment.header.segment,
            end: segment.end as u32,
            last_sequence: self.facts.sequence,
            ..SegmentFacts::default()
        };
        self.words.push(KeyFileBytes::of_run(facts, &run));
        Ok(())
    }

    fn read_frame(
        &mut self,
        segment: &LastSegment,
        frame: Frame<'_>,
        builder: &mut RunBuilder,
    ) -> Result<(), OpenError> {
        if let FrameKind::Unknown(kind) = frame.kind {
            return Err(segment.newer(format!("frame kind {kind}")));
        }
        let payload_at = segment.end + FRAME_HEADER_BYTES;
        let said = builder
            .add(segment.header.segment, payload_at, frame)
            .map_err(|fault| segment.fault(fault))?;
        if said.moved_too_young {
            return Err(segment.damage_saying(NOT_THE_YOUNGEST.to_owned()));
        }
        let first_needed = said.first_needed.unwrap_or(0);
        if first_needed > segment.header.segment {
            let what = "a segment that is given up while it is written";
            return Err(segment.damage_saying(what.to_owned()));
        }
        self.facts.closed = frame.kind == FrameKind::Close;
        self.facts.transactions += u64::from(frame.kind.is_batch());
        self.facts.first_needed = self.facts.first_needed.max(first_needed);
        Ok(())
    }

    /// Damage ends the reading, but frames behind it may still tell what was synced.
    fn read_marks_behind(&mut self, segment: &mut LastSegment) {
        let behind = &segment.bytes[segment.end..];
        segment.damaged = !is_blank(behind);
        if segment.damaged {
            self.facts.closed = false;
            let marks = frames_anywhere(segment.header, behind).map(|frame| frame.synced);
            self.facts.mark = self.facts.mark.max(marks.max().unwrap_or(0));
        }
    }
}

impl LastSegment {
    /// Where the part of the segment begins that nothing proves to have been synced.
    pub(crate) fn unproven_from(&self, mark: u64) -> usize {
        let mut at = SEGMENT_HEADER_BYTES;
        while at < self.end {
            // Up to the end all are known to be whole.
            match known_frame(&self.bytes[at..]) {
                Some((sequence, bytes)) if sequence <= mark => at += bytes as usize,
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
