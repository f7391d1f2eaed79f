//! Looking at every byte of a log without opening it: what is damaged and where.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backup::Snapshot;
use super::batch::{PayloadFault, decode_ops, decode_ops_before_fault};
use super::error::{Damage, OpenError};
use super::frame::{
    FRAME_HEADER_BYTES, Frame, FrameKind, HeaderFault, LOG_VERSION, SEGMENT_HEADER_BYTES,
    SegmentHeader, frame_bytes, goes_beyond,
};
use super::front::{Begin, Front};
use super::given_up::rows_left;
use super::key_file::{SegmentFacts, segment_of_key_file};
use super::key_job::read_key_file;
use super::log::{segment_name, segment_of};
use super::moves::{Move, decode_moves};
use super::segments::{io_error, is_blank};
use super::storage::{Storage, StorageFile};

/// What looking at every byte found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Segment files that are there.
    pub segments: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Intact frames.
    pub frames: u64,
    /// The last sequence of an intact frame.
    pub sequence: u64,
    /// What is not as it was written.
    pub damage: Vec<Damage>,
    /// Keys of rows that damaged frames wrote, as far as they can be read.
    pub damaged_keys: Vec<DamagedKey>,
    /// Sequences of frames that are missing: first and last of each gap.
    pub lost: Vec<(u64, u64)>,
    /// The end of the log as a power cut leaves it: bytes that were never reported durable, and
    /// that opening cuts off.
    pub tail: Option<Damage>,
}

impl Inspection {
    /// Whether everything that was reported durable is there.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.lost.is_empty()
    }
}

/// A row that a damaged frame wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedKey {
    /// The file, by its name in the database directory.
    pub file: String,
    /// Where its frame begins.
    pub offset: u64,
    /// The key of the engine.
    pub key: Vec<u8>,
}

/// What is said of a last frame that the file is too short for.
const CUT_SHORT: &str = "the frame goes on behind the end of the file, which no power cut leaves: \
                         the file was cut short, or the frame's length is damaged";

/// Keys that are told of one damaged frame.
const DAMAGED_KEYS_PER_FRAME_MAX: usize = 16;

/// Reads every frame of the log in `storage` and reports all damage. Changes nothing. The log must
/// not be open; of one that is, a [`Snapshot`] can be verified.
///
/// # Errors
/// The files cannot be listed or opened, or are of a newer version.
pub fn verify(storage: &dyn Storage) -> Result<Inspection, OpenError> {
    let mut verification = Verification::of_files(storage)?;
    while verification.step() {}
    Ok(verification.finish())
}

/// Looking at a log one segment after the other, in the memory of one.
pub struct Verification {
    files: Vec<LogFile>,
    /// Those of an open log that are not in its directory any more.
    gone: Vec<u32>,
    next: usize,
    walk: Walk,
}

impl Verification {
    /// Of a log that nobody has open.
    ///
    /// # Errors
    /// The files cannot be listed or opened, or are of a newer version.
    pub fn of_files(storage: &dyn Storage) -> Result<Verification, OpenError> {
        let (files, keys) = LogFile::all(storage)?;
        Ok(Verification::new(files, Vec::new(), keys))
    }

    /// Of what was durable in an open one at that moment: the files are opened anew by their names,
    /// as the next opening will find them. End it with [`finish_open`](Verification::finish_open).
    pub fn of_snapshot(snapshot: &Snapshot) -> Verification {
        let (files, gone) = snapshot.log_files();
        Verification::new(files, gone, KeyFacts::new())
    }

    fn new(files: Vec<LogFile>, gone: Vec<u32>, keys: KeyFacts) -> Verification {
        let walk = Walk::new(&files, keys);
        Verification {
            files,
            gone,
            next: 0,
            walk,
        }
    }

    /// Reads another segment; `false` when all have been read.
    pub fn step(&mut self) -> bool {
        let Some(file) = self.files.get(self.next) else {
            return false;
        };
        self.walk.read(self.next, file, &mut |_, _| Ok(()));
        self.next += 1;
        self.next < self.files.len()
    }

    /// How many segments have been read, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.files.len())
    }

    /// What was found.
    pub fn finish(self) -> Inspection {
        let Verification {
            files, mut walk, ..
        } = self;
        let last = walk.judge();
        let mut found = walk.found;
        if found.is_whole() {
            let left = rows_left(&files, walk.front.first_needed(), last);
            found.damage.extend(left);
        }
        found
    }

    /// What was found in an open log, of which this is a snapshot taken since. A file that
    /// compaction removed in the meantime is not missing; another one is, though what it held
    /// can still be read and copied for as long as the log is open.
    pub fn finish_open(mut self, now: &Snapshot) -> Inspection {
        for id in self.gone.into_iter().filter(|id| now.needs(*id)) {
            let what = "the file is missing; what it held can be read until the agent stops: \
                        make a backup now";
            self.walk.report(&segment_name(id), 0, what);
        }
        self.walk.finish()
    }
}

/// A segment to be read.
pub(crate) struct LogFile {
    pub(crate) id: u32,
    pub(crate) file: Arc<dyn StorageFile>,
    /// How much of it counts.
    pub(crate) bytes: u64,
    /// What its header says; `None` when that cannot be read.
    pub(crate) header: Option<SegmentHeader>,
}

/// What key files say of their segments, those of missing ones among them.
pub(crate) type KeyFacts = BTreeMap<u32, SegmentFacts>;

impl LogFile {
    /// The segments in a directory, in order, and what the key files of the same log say.
    pub(crate) fn all(storage: &dyn Storage) -> Result<(Vec<LogFile>, KeyFacts), OpenError> {
        let names = storage.list().map_err(io_error("list", "the directory"))?;
        let mut ids: Vec<u32> = names.iter().filter_map(|name| segment_of(name)).collect();
        ids.sort_unstable();
        let files = ids.into_iter().map(|id| LogFile::open(storage, id));
        let files = files.collect::<Result<Vec<LogFile>, OpenError>>()?;
        let salt = salt_of(&files);
        let with_keys = names.iter().filter_map(|name| segment_of_key_file(name));
        let facts = with_keys.filter_map(|id| Some((id, read_key_file(storage, id)?.facts)));
        let of_this_log =
            |(id, facts): &(u32, SegmentFacts)| facts.segment == *id && Some(facts.salt) == salt;
        Ok((files, facts.filter(of_this_log).collect()))
    }

    fn open(storage: &dyn Storage, id: u32) -> Result<LogFile, OpenError> {
        let name = segment_name(id);
        let file = storage.open(&name).map_err(io_error("open", &name))?;
        let bytes = file.size().map_err(io_error("read", &name))?;
        let mut head = [0; SEGMENT_HEADER_BYTES];
        let header = match file.read_at(0, &mut head) {
            Ok(()) => SegmentHeader::decode(&head),
            Err(_) => Err(HeaderFault::Damaged),
        };
        if let Err(HeaderFault::Newer(version)) = header {
            return Err(OpenError::Newer {
                file: name,
                what: format!("log version {version}, this program knows {LOG_VERSION}"),
            });
        }
        Ok(LogFile {
            id,
            file,
            bytes,
            header: header.ok().filter(|header| header.segment == id),
        })
    }
}

/// The salt of all segments, from whichever header is readable.
fn salt_of(files: &[LogFile]) -> Option<u64> {
    files.iter().find_map(|file| Some(file.header?.salt))
}

/// Takes an intact frame: the position of its file, and the frame with its place in the file.
pub(crate) type TakeFrame<'a> =
    &'a mut dyn FnMut(usize, &PlacedFrame<'_>) -> Result<(), PayloadFault>;

/// A frame, its segment, and where its payload begins there.
pub(crate) struct PlacedFrame<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) segment: u32,
    pub(crate) payload_at: usize,
}

/// The state of reading one segment after the other.
pub(crate) struct Walk {
    salt: Option<u64>,
    keys: KeyFacts,
    expected: u32,
    found: Inspection,
    /// Sequences of intact frames, as ranges: first to last.
    seen: BTreeMap<u64, u64>,
    /// The highest sequence that a frame proves to have been synced.
    mark: u64,
    /// How the log begins.
    front: Front,
    /// The sequence of the last intact frame in the order of the log.
    last: u64,
    end: Option<End>,
}

/// The first damage of the last segment that holds anything.
struct End {
    /// Its position among all damage, and how many keys came before it.
    damage: usize,
    keys: usize,
    /// The last intact frame before it.
    sequence: u64,
    /// Bytes that were never synced can look like that.
    may_be_a_tail: bool,
    /// The file is too short for it.
    cut_short: bool,
}

impl Walk {
    pub(crate) fn new(files: &[LogFile], keys: KeyFacts) -> Walk {
        let first_file = files.first().map_or(1, |file| file.id);
        Walk {
            salt: salt_of(files),
            keys,
            expected: first_file,
            found: Inspection {
                segments: files.len() as u64,
                ..Inspection::default()
            },
            seen: BTreeMap::new(),
            mark: 0,
            front: Front::new(first_file),
            last: 0,
            end: None,
        }
    }

    /// Reads a segment; `take` gets its intact frames in order.
    pub(crate) fn read(&mut self, at: usize, file: &LogFile, take: TakeFrame<'_>) {
        if self.expected < file.id {
            self.found.damage.push(missing(self.expected, file.id - 1));
            self.front.note_missing();
        }
        self.expected = file.id.saturating_add(1);
        let name = segment_name(file.id);
        let (before, keys) = (self.found.damage.len(), self.found.damaged_keys.len());
        let sequence = self.last;
        let bytes = self.read_bytes(&name, file);
        let unreadable = self.found.damage.len() > before;
        let blank_behind = is_blank(bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default());
        let unused = file.header.is_some() && blank_behind;
        if (unused || is_blank(&bytes)) && !unreadable {
            return;
        }
        self.end = None;
        if file.header.is_none() {
            self.report(&name, 0, "its header is not readable");
            self.end = Some(End {
                damage: before,
                keys,
                sequence,
                may_be_a_tail: blank_behind && !unreadable,
                cut_short: false,
            });
        }
        let whole = self.found.damage.len() == before;
        if let Some(salt) = self.salt {
            let header = SegmentHeader::new(file.id, salt);
            self.read_frames(at, &name, header, &bytes, take, whole);
        }
    }

    /// What can be read of a file; the rest counts as zero and is reported.
    fn read_bytes(&mut self, name: &str, file: &LogFile) -> Vec<u8> {
        const PIECE: usize = 64 << 10;
        let mut bytes = vec![0; usize::try_from(file.bytes).unwrap_or(0)];
        let mut at = 0;
        for piece in bytes.chunks_mut(PIECE) {
            if let Err(error) = file.file.read_at(at, piece) {
                piece.fill(0);
                self.report(name, at as usize, &format!("cannot be read: {error}"));
            }
            at += piece.len() as u64;
        }
        self.found.bytes += file.bytes;
        bytes
    }

    fn read_frames(
        &mut self,
        file: usize,
        name: &str,
        header: SegmentHeader,
        bytes: &[u8],
        take: TakeFrame<'_>,
        whole: bool,
    ) {
        let mut at = SEGMENT_HEADER_BYTES.min(bytes.len());
        let mut gap = None;
        while at < bytes.len() {
            let Some(frame) = Frame::decode(header, &bytes[at..]) else {
                gap.get_or_insert((at, self.last));
                at += 1;
                continue;
            };
            if let Some((from, sequence)) = gap.take() {
                self.report_gap(name, bytes, from..at, sequence, whole);
            }
            let placed = PlacedFrame {
                frame,
                segment: header.segment,
                payload_at: at + FRAME_HEADER_BYTES,
            };
            self.read_frame(file, name, &placed, take);
            at += frame.bytes();
        }
        if let Some((from, sequence)) = gap {
            self.report_gap(name, bytes, from..bytes.len(), sequence, whole);
        }
    }

    /// Bytes that are no frame: nothing if they were never written.
    fn report_gap(
        &mut self,
        name: &str,
        bytes: &[u8],
        gap: std::ops::Range<usize>,
        sequence: u64,
        may_be_a_tail: bool,
    ) {
        let behind = gap.end < bytes.len();
        let cut_short = !behind && goes_beyond(&bytes[gap.clone()]);
        if !behind && is_blank(&bytes[gap.clone()]) {
            return;
        }
        if self.end.is_none() {
            self.end = Some(End {
                damage: self.found.damage.len(),
                keys: self.found.damaged_keys.len(),
                sequence,
                may_be_a_tail,
                cut_short,
            });
        }
        self.front.note_gap(gap.len());
        let what = match cut_short {
            true => CUT_SHORT.to_owned(),
            false => format!("no whole frame up to byte {}", gap.end),
        };
        self.report(name, gap.start, &what);
        self.find_keys(name, gap.start as u64, &bytes[gap]);
    }

    /// The keys in a damaged frame, as far as its lengths still make sense.
    fn find_keys(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        let is_batch = bytes.get(12) == Some(&1);
        let Some(length) = frame_bytes(bytes).filter(|_| is_batch) else {
            return;
        };
        let end = usize::try_from(length).unwrap_or(usize::MAX);
        let payload = &bytes[FRAME_HEADER_BYTES..end.min(bytes.len())];
        for op in decode_ops_before_fault(payload, DAMAGED_KEYS_PER_FRAME_MAX) {
            self.found.damaged_keys.push(DamagedKey {
                file: name.to_owned(),
                offset,
                key: payload[op.key].to_vec(),
            });
        }
    }

    fn read_frame(
        &mut self,
        file: usize,
        name: &str,
        placed: &PlacedFrame<'_>,
        take: TakeFrame<'_>,
    ) {
        let frame = &placed.frame;
        match check_payload(frame).and_then(|moves| take(file, placed).map(|()| moves)) {
            Ok(moves) => {
                if moves.iter().any(|entry| contradicts(entry, placed)) {
                    let at = placed.payload_at - FRAME_HEADER_BYTES;
                    self.report(name, at, "moved rows or segments given up that cannot be");
                }
                self.front.note_frame(frame.sequence, &moves);
                self.found.frames += 1;
                self.mark = self.mark.max(frame.synced);
                self.last = frame.sequence;
                self.found.sequence = self.found.sequence.max(frame.sequence);
                self.note_seen(frame.sequence);
            }
            Err(_) => {
                let at = placed.payload_at - FRAME_HEADER_BYTES;
                self.report(name, at, "a whole frame with contents that are not known");
            }
        }
    }

    fn note_seen(&mut self, sequence: u64) {
        match self.seen.range_mut(..sequence).next_back() {
            Some((_, last)) if *last + 1 == sequence => *last = sequence,
            _ => {
                self.seen.insert(sequence, sequence);
            }
        }
    }

    fn report(&mut self, file: &str, offset: usize, what: &str) {
        self.found.damage.push(Damage {
            file: file.to_owned(),
            offset: offset as u64,
            what: what.to_owned(),
        });
    }

    /// What was found, once all is read.
    pub(crate) fn finish(mut self) -> Inspection {
        self.judge();
        self.found
    }

    /// Judges what was found. Answers the last sequence that counts: what lies behind the tail of a
    /// power cut does not.
    fn judge(&mut self) -> u64 {
        let missing_behind = self.look_behind();
        let mut last_that_counts = u64::MAX;
        if let Some(end) = self.end.take() {
            // Damage above the highest mark is what a power cut leaves, as in the opening rule.
            if end.may_be_a_tail && self.mark <= end.sequence {
                let tail = self.found.damage.drain(end.damage..).next();
                self.found.tail = tail.map(|tail| match end.cut_short {
                    true => tail,
                    false => Damage {
                        what: "a write that a power cut left unfinished".to_owned(),
                        ..tail
                    },
                });
                self.found.damaged_keys.truncate(end.keys);
                last_that_counts = end.sequence;
            }
        }
        self.found.damage.extend(missing_behind);
        let inside = self.gaps().filter(|(first, _)| *first <= last_that_counts);
        self.found.lost = inside.collect();
        let is_whole = self.found.is_whole() && self.found.tail.is_none();
        let begin = self.front.judge(&self.keys, is_whole);
        self.report_front(&begin, last_that_counts);
        last_that_counts
    }

    /// The gaps in the sequences: between intact frames, and up to what is proved to have been
    /// synced.
    fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let starts = self
            .seen
            .keys()
            .copied()
            .skip(1)
            .chain([self.mark.saturating_add(1)]);
        let gaps = self.seen.values().map(|end| end.saturating_add(1));
        let gaps = gaps.zip(starts);
        gaps.filter(|(first, start)| first < start)
            .map(|(first, start)| (first, start - 1))
    }

    fn report_front(&mut self, begin: &Begin, last_that_counts: u64) {
        if let Some((first, last, doubt)) = begin.missing {
            let mut damage = missing(first, last);
            if doubt {
                damage.what += ", unless a transaction that is lost gave it up";
            }
            self.found.damage.insert(0, damage);
        }
        let first_seen = self.seen.keys().next().copied();
        let end = first_seen.unwrap_or(self.mark.saturating_add(1));
        let is_lost = |first: &u64| *first < end && *first <= last_that_counts;
        if let Some(first) = begin.sequence.filter(is_lost) {
            self.found.lost.insert(0, (first, end - 1));
        }
    }

    /// A key file is made when its segment is sealed and synced, and then there is a next one,
    /// which stays as long as the key file does. So a key file behind which no segment lies shows
    /// what is missing at the end.
    fn look_behind(&mut self) -> Option<Damage> {
        let present = self.expected.saturating_sub(1);
        let (&sealed, facts) = self.keys.last_key_value()?;
        // One that knows less than its segment is of an earlier life of the segment.
        if sealed < present || self.last > facts.last_sequence {
            return None;
        }
        self.mark = self.mark.max(facts.last_sequence);
        Some(missing(self.expected, sealed.saturating_add(1)))
    }
}

/// Whether compaction cannot have written this: a row younger than the frame that moved it, or that
/// the segment is given up in which the frame lies.
fn contradicts(entry: &Move, placed: &PlacedFrame<'_>) -> bool {
    match entry {
        Move::Row { sequence, .. } => *sequence >= placed.frame.sequence,
        Move::First(first) => *first > placed.segment,
    }
}

/// Files that are not there.
fn missing(first: u32, last: u32) -> Damage {
    Damage {
        file: segment_name(first),
        offset: 0,
        what: match first == last {
            true => "the file is missing".to_owned(),
            false => format!(
                "the files from this one to {} are missing",
                segment_name(last)
            ),
        },
    }
}

/// Whether the payload is understood; what compaction says in it.
fn check_payload(frame: &Frame<'_>) -> Result<Vec<Move>, PayloadFault> {
    match frame.kind {
        FrameKind::Close => Ok(Vec::new()),
        FrameKind::Unknown(kind) => Err(PayloadFault::UnknownTag(kind)),
        FrameKind::Batch => decode_ops(frame.payload).map(|_| Vec::new()),
        FrameKind::Moves => decode_moves(frame.payload),
    }
}
