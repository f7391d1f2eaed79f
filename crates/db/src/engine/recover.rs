//! Opening a log: everything is read and judged before the first byte is changed.

use std::io::ErrorKind;
use std::sync::Arc;

use super::directory::Directory;
use super::error::OpenError;
use super::flush::is_full;
use super::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::key_file::{key_file_name, segment_of_key_file};
use super::key_job::{self, read_key_file};
use super::log::{Log, Segment, reserve_sizes, segment_name};
use super::machine::Counters;
use super::options::Options;
use super::reserve::{self, Claim, Reserve, Sizes};
use super::scan::{Facts, LastSegment, Scan};
use super::segments::{self, SegmentFile, Segments, io_error};
use super::storage::Storage;
use super::tails;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// There was no log, or one without a frame; an empty one was made.
    pub created: bool,
    /// The log ended with an orderly close.
    pub clean: bool,
    /// Transactions read.
    pub transactions: u64,
    /// The last sequence found; everything up to it is durable now.
    pub sequence: u64,
    /// Rows that got their index entries at this opening, because they had none or others. The
    /// engine alone makes none.
    pub rows_indexed: u64,
    /// Sealed segments that were read from their key files.
    pub key_files_used: u64,
    /// Sealed segments that were read whole, because their key file is missing or does not fit.
    /// It is made anew.
    pub key_files_missing: u64,
    /// The tail that was cut off, if there was one.
    pub cut: Option<CutTail>,
    /// How many tails, of this opening and earlier ones, lie aside in the directory.
    pub tails_kept: u64,
}

/// The end of a log as a power cut left it: bytes that were never reported durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutTail {
    /// The segment that was cut.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// The file that keeps these bytes; `None` when the disk had no room for it.
    pub kept: Option<String>,
}

/// An open log, its directory and how it was found.
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) directory: Directory,
    pub(crate) report: OpenReport,
    pub(crate) counters: Counters,
}

/// Opens the log in `storage`, or makes one.
pub(crate) fn open(storage: Arc<dyn Storage>, options: &Options) -> Result<Opened, OpenError> {
    let found = segments::find(&*storage)?;
    let mut counters = Counters::default();
    let mut scan = read(&*storage, &found, options, &mut counters)?;
    // All is judged; from here on the disk is changed.
    if scan.distrusts_key_files {
        // One that shows itself wrong beside others may not do so once these are gone.
        key_job::remove_all(&*storage).map_err(io_error("remove", "the key files"))?;
    }
    let first_blank = scan.last.as_ref().map_or(1, |last| last.index + 1);
    if let Some(last) = &scan.last {
        remove_key_file_of_last(&*storage, &found, last)?;
    }
    remove_blank(&*storage, &found, first_blank)?;
    let (mut log, cut) = match &scan.last {
        None => (create(Arc::clone(&storage), options, &mut counters)?, None),
        Some(last) => resume(
            Arc::clone(&storage),
            options,
            found.files,
            last,
            scan.facts.first_needed,
            &mut counters,
        )?,
    };
    remove_stray_key_files(&*storage, &log);
    let key_files = (
        scan.facts.key_files_used,
        scan.facts.without_keys.len() as u64,
    );
    log.want_keys(std::mem::take(&mut scan.facts.without_keys));
    let tails = tails::count(&*storage).map_err(io_error("list", "the directory"))?;
    Ok(Opened {
        log,
        report: OpenReport {
            created: scan.last.is_none(),
            clean: scan.last.is_none() || scan.facts.closed,
            transactions: scan.facts.transactions,
            sequence: scan.facts.sequence,
            key_files_used: key_files.0,
            key_files_missing: key_files.1,
            rows_indexed: 0,
            cut,
            tails_kept: tails,
        },
        directory: scan.directory,
        counters: Counters {
            cut_tails: tails,
            ..counters
        },
    })
}

/// Opens the log in `storage` to read it only: not one byte is changed. The tail of a power cut is
/// passed over and stays where it is.
pub(crate) fn open_read_only(
    storage: Arc<dyn Storage>,
    options: &Options,
) -> Result<Opened, OpenError> {
    let found = segments::find(&*storage)?;
    let prove = |last: &LastSegment, _: &Facts| {
        check_end(&*storage, &found, last)?;
        Ok(true)
    };
    let scan = Scan::read(&*storage, &found.files, options.cache_bytes, &prove)?;
    let Some(first) = found.files.first() else {
        let missing = ErrorKind::NotFound.into();
        return Err(io_error("find", "the first segment")(missing));
    };
    let (header, used, count) = match &scan.last {
        Some(last) => (last.header, last.end as u64, last.index + 1),
        None => (first.header, SEGMENT_HEADER_BYTES as u64, 1),
    };
    let segments = found.files.into_iter().take(count);
    let segments = segments.map(|file| file.segment).collect();
    let tails = tails::count(&*storage).map_err(io_error("list", "the directory"))?;
    let reserve = reserve::there(&*storage).map_err(io_error("read", "the reserve"))?;
    Ok(Opened {
        log: Log::resume(storage, options, header, segments, used, reserve),
        report: OpenReport {
            created: false,
            clean: scan.last.is_none() || scan.facts.closed,
            transactions: scan.facts.transactions,
            sequence: scan.facts.sequence,
            key_files_used: scan.facts.key_files_used,
            key_files_missing: scan.facts.without_keys.len() as u64,
            rows_indexed: 0,
            cut: None,
            tails_kept: tails,
        },
        directory: scan.directory,
        counters: Counters {
            cut_tails: tails,
            ..Counters::default()
        },
    })
}

/// Reads the log as it is on the disk.
///
/// Only the last segment can hold bytes that were never synced: of a process that was killed, or
/// whose sync failed. They are synced here, and read again in case the system showed what the
/// disk never got.
fn read(
    storage: &dyn Storage,
    found: &Segments,
    options: &Options,
    counters: &mut Counters,
) -> Result<Scan, OpenError> {
    let files = &found.files;
    let prove = |last: &LastSegment, facts: &Facts| prove_end(storage, found, last, facts);
    let scan = Scan::read(storage, files, options.cache_bytes, &prove)?;
    counters.syncs += u64::from(scan.last.is_some());
    if scan.is_proved {
        return Ok(scan);
    }
    Scan::read(storage, files, options.cache_bytes, &|_, _| Ok(true))
}

/// Syncs the end of the log. Answers whether it is on the disk as it was read.
fn prove_end(
    storage: &dyn Storage,
    found: &Segments,
    last: &LastSegment,
    facts: &Facts,
) -> Result<bool, OpenError> {
    check_end(storage, found, last)?;
    let file = &found.files[last.index];
    let unproven = last.unproven_from(facts.mark);
    let synced = file.segment.file.sync_and_forget(unproven as u64);
    synced.map_err(io_error("sync", &last.name))?;
    file.holds(unproven as u64, &last.bytes[unproven..])
}

/// A sealed segment has a next one for as long as it has a key file. So when the last segment has
/// one that fits it, the next one was taken away, and with it what it held.
fn check_end(storage: &dyn Storage, found: &Segments, last: &LastSegment) -> Result<(), OpenError> {
    if last.damaged || last.index + 1 < found.files.len() || found.leftover.is_some() {
        return Ok(());
    }
    let file = &found.files[last.index].segment;
    let known = read_key_file(storage, file.id).map(|keys| keys.facts.fits(file, last.header));
    match known.transpose().map_err(io_error("read", &last.name))? {
        Some(true) => Err(segments::missing(file.id.saturating_add(1))),
        _ => Ok(()),
    }
}

/// The last segment that holds anything goes on, and its key file with it, before the segments
/// behind it go: see [`check_end`].
fn remove_key_file_of_last(
    storage: &dyn Storage,
    found: &Segments,
    last: &LastSegment,
) -> Result<(), OpenError> {
    let name = key_file_name(found.files[last.index].segment.id);
    match storage.remove(&name) {
        Ok(()) => storage.sync_dir().map_err(io_error("remove", &name)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // With it, and without the segments behind, the next opening would find one missing.
        Err(error) => Err(io_error("remove", &name)(error)),
    }
}

/// Removes the segments without a frame from `first` on: whether their headers reached the disk
/// is not known. The last goes first, for certain, so that a power cut leaves no gap.
fn remove_blank(storage: &dyn Storage, found: &Segments, first: usize) -> Result<(), OpenError> {
    let blank = found.files.iter().skip(first).map(SegmentFile::name);
    for name in blank.chain(found.leftover.clone()).rev() {
        let removed = storage.remove(&name).and_then(|()| storage.sync_dir());
        removed.map_err(io_error("remove", &name))?;
    }
    Ok(())
}

/// Makes the first segment, and the reserve. One without a frame gives way. When both do not find
/// room, both are made smaller.
fn create(
    storage: Arc<dyn Storage>,
    options: &Options,
    counters: &mut Counters,
) -> Result<Log, OpenError> {
    let min = options.segment_bytes_min.min(options.segment_bytes);
    let mut wanted = options.segment_bytes;
    loop {
        let sizes = Sizes { wanted, min };
        let first = create_segment(&storage, options, sizes, counters)?;
        wanted = first.size;
        let segments = vec![first];
        let reserve = ensure_reserve(&*storage, options, &segments)?;
        if reserve.is_none() && wanted > min {
            wanted = (wanted / 4).max(min);
            continue;
        }
        let used = SEGMENT_HEADER_BYTES as u64;
        let header = SegmentHeader::new(1, options.salt);
        let log = Log::resume(storage, options, header, segments, used, reserve);
        return Ok(log);
    }
}

fn create_segment(
    storage: &Arc<dyn Storage>,
    options: &Options,
    sizes: Sizes,
    counters: &mut Counters,
) -> Result<Segment, OpenError> {
    let made = Reserve {
        storage: Arc::clone(storage),
        header: SegmentHeader::new(1, options.salt),
        claim: Claim::Move,
        segment: Some(sizes),
        beside: 0,
        reserve: sizes,
        reserve_now: None,
    }
    .run();
    counters.bytes_written += made.bytes_written;
    counters.syncs += made.syncs;
    let first = made.result.map_err(io_error("create", &made.file))?;
    Ok(first.expect("a segment was asked for"))
}

/// Cuts what is not whole, and goes on behind the last whole frame.
fn resume(
    storage: Arc<dyn Storage>,
    options: &Options,
    files: Vec<SegmentFile>,
    last: &LastSegment,
    first_needed: u32,
    counters: &mut Counters,
) -> Result<(Log, Option<CutTail>), OpenError> {
    let mut segments: Vec<Segment> = files.into_iter().map(|file| file.segment).collect();
    segments.truncate(last.index + 1);
    let segment = &mut segments[last.index];
    let mut cut = None;
    if last.damaged {
        cut = Some(keep_tail(&*storage, segment.id, last)?);
        cut_tail(segment, last.end as u64).map_err(io_error("cut", &last.name))?;
        counters.syncs += 1;
    }
    remove_given_up(&*storage, &mut segments, first_needed)?;
    let reserve = ensure_reserve(&*storage, options, &segments)?;
    let end = last.end as u64;
    let log = Log::resume(storage, options, last.header, segments, end, reserve);
    Ok((log, cut))
}

/// Ends the removal of segments that compaction had given up when the process ended.
fn remove_given_up(
    storage: &dyn Storage,
    segments: &mut Vec<Segment>,
    first_needed: u32,
) -> Result<(), OpenError> {
    let given_up = segments.partition_point(|segment| segment.id < first_needed);
    for segment in segments.drain(..given_up) {
        let name = segment_name(segment.id);
        let removed = storage.remove(&name).and_then(|()| storage.sync_dir());
        removed.map_err(io_error("remove", &name))?;
    }
    Ok(())
}

/// Removes the key files of segments that are gone, and of the one that goes on: what it gets now
/// is not in its key file. One that cannot be removed does no harm, for it will not fit.
fn remove_stray_key_files(storage: &dyn Storage, log: &Log) {
    let names = storage.list().unwrap_or_default();
    for name in names {
        if segment_of_key_file(&name).is_some_and(|segment| !log.is_sealed(segment)) {
            let _ = storage.remove(&name);
        }
    }
}

/// The reserve, unless the disk has no room for it.
fn ensure_reserve(
    storage: &dyn Storage,
    options: &Options,
    segments: &[Segment],
) -> Result<Option<u64>, OpenError> {
    match reserve::ensure(storage, reserve_sizes(options, segments)) {
        Err(error) if is_full(&error) => Ok(None),
        reserve => reserve
            .map(Some)
            .map_err(io_error("reserve", "the reserve")),
    }
}

fn keep_tail(
    storage: &dyn Storage,
    segment: u32,
    last: &LastSegment,
) -> Result<CutTail, OpenError> {
    let offset = last.end as u64;
    let behind = last.behind();
    let kept = tails::keep(storage, segment, offset, behind)
        .map_err(io_error("keep the cut tail of", &last.name))?;
    Ok(CutTail {
        file: last.name.clone(),
        offset,
        bytes: behind.len() as u64,
        kept,
    })
}

/// Removes what is not whole, for certain, so that no later frame can be followed by one of an
/// earlier life.
fn cut_tail(segment: &mut Segment, end: u64) -> std::io::Result<()> {
    segment.file.truncate(end)?;
    match segment.file.reserve(segment.size) {
        // Somebody took the room meanwhile: the segment ends here, commits need another.
        Err(error) if is_full(&error) => {
            segment.file.truncate(end)?;
            segment.size = end;
        }
        reserved => reserved?,
    }
    segment.file.sync()
}
