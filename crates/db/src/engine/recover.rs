//! Opening a log: everything is read and judged before the first byte is changed.

use std::sync::Arc;

use super::directory::Directory;
use super::error::OpenError;
use super::flush::{Reserve, is_full};
use super::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::{Log, Segment};
use super::machine::Counters;
use super::options::Options;
use super::scan::{LastSegment, Scan};
use super::segments::{self, SegmentFile, io_error};
use super::storage::Storage;
use super::tails;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// There was no log; an empty one was made.
    pub created: bool,
    /// The log ended with an orderly close.
    pub clean: bool,
    /// Transactions read.
    pub transactions: u64,
    /// The last sequence found; everything up to it is durable now.
    pub sequence: u64,
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
    let scan = Scan::read(&found.files, options.cache_bytes)?;
    // All is judged; from here on the disk is changed.
    if let Some(name) = &found.leftover {
        storage.remove(name).map_err(io_error("remove", name))?;
    }
    if found.files.is_empty() {
        create(storage, options)
    } else {
        resume(storage, options, found.files, scan)
    }
}

fn create(storage: Arc<dyn Storage>, options: &Options) -> Result<Opened, OpenError> {
    let made = Reserve {
        storage: Arc::clone(&storage),
        header: SegmentHeader {
            segment: 1,
            salt: options.salt,
        },
        bytes: options.segment_bytes,
        bytes_min: options.segment_bytes_min.min(options.segment_bytes),
    }
    .run();
    let first = made.result.map_err(io_error("create", &made.file))?;
    let report = OpenReport {
        created: true,
        clean: true,
        tails_kept: tails_kept(&*storage)?,
        ..OpenReport::default()
    };
    let used = SEGMENT_HEADER_BYTES as u64;
    Ok(Opened {
        log: Log::resume(storage, options, options.salt, vec![first], used, None),
        directory: Directory::new(options.cache_bytes),
        report,
        counters: Counters {
            bytes_written: made.bytes_written,
            syncs: made.syncs,
            ..Counters::default()
        },
    })
}

fn resume(
    storage: Arc<dyn Storage>,
    options: &Options,
    files: Vec<SegmentFile>,
    scan: Scan,
) -> Result<Opened, OpenError> {
    let salt = files[0].header.salt;
    let index = scan.last.as_ref().map_or(0, |last| last.index);
    let mut segments: Vec<Segment> = files.into_iter().map(|file| file.segment).collect();
    let spare = segments.split_off(index + 1).into_iter().next();
    let mut counters = Counters::default();
    let mut used = SEGMENT_HEADER_BYTES as u64;
    let mut cut = None;
    if let Some(last) = &scan.last {
        used = last.end as u64;
        let segment = &mut segments[index];
        if last.damaged {
            cut = Some(keep_tail(&*storage, segment.id, last)?);
        }
        if !scan.closed {
            settle(last, scan.mark, segment, &mut counters)
                .map_err(io_error("recover", &last.name))?;
        }
    }
    let report = OpenReport {
        created: false,
        clean: scan.closed || scan.last.is_none(),
        transactions: scan.transactions,
        sequence: scan.sequence,
        cut,
        tails_kept: tails_kept(&*storage)?,
    };
    Ok(Opened {
        log: Log::resume(storage, options, salt, segments, used, spare),
        directory: scan.directory,
        report,
        counters,
    })
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

/// Makes durable what was found, and removes what was not whole, so that no later frame can be
/// followed by one of an earlier life.
///
/// Frames that nothing proves to be synced are written again: after a failed sync the system may
/// show bytes that the disk never got, and would not write them at the next sync.
fn settle(
    last: &LastSegment,
    mark: u64,
    segment: &mut Segment,
    counters: &mut Counters,
) -> std::io::Result<()> {
    let unproven = last.unproven_from(mark);
    if last.damaged {
        segment.file.truncate(last.end as u64)?;
    }
    let bytes = &last.bytes[unproven..last.end];
    if !bytes.is_empty() {
        segment.file.write_at(unproven as u64, bytes)?;
        counters.bytes_written += bytes.len() as u64;
    }
    if last.damaged {
        match segment.file.reserve(segment.size) {
            Ok(()) => {}
            // Somebody took the room meanwhile: the segment ends here, commits need another.
            Err(error) if is_full(&error) => {
                segment.file.truncate(last.end as u64)?;
                segment.size = last.end as u64;
            }
            Err(error) => return Err(error),
        }
    }
    segment.file.sync()?;
    counters.syncs += 1;
    Ok(())
}

fn tails_kept(storage: &dyn Storage) -> Result<u64, OpenError> {
    tails::count(storage).map_err(io_error("list", "the directory"))
}
