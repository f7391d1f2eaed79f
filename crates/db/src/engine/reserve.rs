//! Room on the disk: the next segment, and the reserve that is kept for deletes and compaction.

use std::io;
use std::sync::Arc;

use super::flush::is_full;
use super::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::key_job::remove_all;
use super::log::{Segment, segment_name};
use super::storage::{Storage, StorageFile};

const RESERVE_NAME: &str = "reserve";

/// What room is asked for. The reserve is for those that lead out of a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Any write.
    Write,
    /// A write that takes away more than it brings.
    Release,
    /// Compaction.
    Move,
}

/// How large something shall be, and how small it may be on a nearly full disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) wanted: u64,
    pub(crate) min: u64,
}

impl Sizes {
    /// Tries `make` with the wanted size, and with what `less` makes of it each time as long as the
    /// disk is full and the minimum allows.
    fn try_each<T>(
        self,
        less: impl Fn(u64) -> io::Result<u64>,
        mut make: impl FnMut(u64) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut bytes = self.wanted;
        loop {
            match make(bytes) {
                Err(error) if is_full(&error) && bytes > self.min => {
                    bytes = less(bytes)?.max(self.min);
                }
                made => return made,
            }
        }
    }
}

/// Room to be made. Run it, then tell [`Engine::reserved`](super::Engine::reserved).
pub struct Reserve {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) header: SegmentHeader,
    pub(crate) claim: Claim,
    /// Of the next segment; `None` when only the reserve is missing.
    pub(crate) segment: Option<Sizes>,
    /// Bytes that must be free beside it.
    pub(crate) beside: u64,
    /// Of the reserve, and how large it is now.
    pub(crate) reserve: Sizes,
    pub(crate) reserve_now: Option<u64>,
}

/// How a [`Reserve`] ended.
pub struct Reserved {
    pub(crate) result: io::Result<Option<Segment>>,
    pub(crate) file: String,
    pub(crate) claim: Claim,
    pub(crate) bytes_min: u64,
    /// The reserve as it is now.
    pub(crate) reserve: Option<u64>,
    /// Bytes that are free on the disk now, as far as known.
    pub(crate) free: u64,
    pub(crate) bytes_written: u64,
    pub(crate) syncs: u64,
}

impl Reserve {
    /// Makes the reserve whole and the segment: room, header, both synced, then its name.
    pub fn run(self) -> Reserved {
        let mut reserve = self.reserve_now;
        let result = self.make(&mut reserve);
        let made = matches!(result, Ok(Some(_)));
        Reserved {
            result,
            file: segment_name(self.header.segment),
            claim: self.claim,
            bytes_min: self.segment.map_or(0, |sizes| sizes.min),
            reserve,
            free: self.storage.free_bytes().unwrap_or(0),
            bytes_written: u64::from(made) * SEGMENT_HEADER_BYTES as u64,
            syncs: u64::from(made) * 2,
        }
    }

    fn make(&self, reserve: &mut Option<u64>) -> io::Result<Option<Segment>> {
        if self.claim == Claim::Write && reserve.is_none() {
            *reserve = Some(self.with_room(|| ensure(&*self.storage, self.reserve))?);
        }
        self.with_room(|| self.check_free())?;
        let Some(sizes) = self.segment else {
            return Ok(None);
        };
        match self.with_room(|| self.try_segment(sizes)) {
            Err(error) if is_full(&error) && self.may_spend(*reserve, sizes) => {
                *reserve = None;
                self.storage.remove(RESERVE_NAME)?;
                self.storage.sync_dir()?;
                self.try_segment(sizes).map(Some)
            }
            made => made.map(Some),
        }
    }

    fn check_free(&self) -> io::Result<()> {
        if self.beside > 0 && self.storage.free_bytes()? < self.beside {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Tries again without the key files when there is no room with them: they only save time.
    fn with_room<T>(&self, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match make() {
            Err(error) if is_full(&error) && remove_all(&*self.storage)? => make(),
            made => made,
        }
    }

    /// Spending the reserve without getting what is needed would only lose it.
    fn may_spend(&self, reserve: Option<u64>, sizes: Sizes) -> bool {
        self.claim != Claim::Write && reserve.is_some_and(|reserve| sizes.min <= reserve)
    }

    fn try_segment(&self, sizes: Sizes) -> io::Result<Segment> {
        let left = self.left(sizes);
        // All that is free, if the system is right about that.
        let less = |bytes| {
            let free = self.storage.free_bytes()?.saturating_sub(left);
            Ok(if free < bytes { free } else { bytes / 2 })
        };
        sizes.try_each(less, |bytes| {
            if left > 0 && self.storage.free_bytes()? < bytes + left {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.make_segment(bytes)
        })
    }

    /// What is left on the disk for the small files of others. What leads out of a full disk may
    /// take all.
    fn left(&self, sizes: Sizes) -> u64 {
        match self.claim {
            Claim::Write => sizes.min / 2,
            Claim::Release | Claim::Move => 0,
        }
    }

    fn make_segment(&self, bytes: u64) -> io::Result<Segment> {
        let name = segment_name(self.header.segment);
        // A leftover of an attempt that failed, or a spare that is too small: no frames.
        let file = create_anew(&*self.storage, &name)?;
        let made = file
            .reserve(bytes)
            .and_then(|()| file.write_at(0, &self.header.encode()))
            .and_then(|()| file.sync())
            .and_then(|()| self.storage.sync_dir());
        match made {
            Ok(()) => Ok(Segment {
                id: self.header.segment,
                file,
                size: bytes,
            }),
            Err(error) => {
                drop(file);
                // The first error is the one to report; a file that stays is taken over later.
                let _ = self.storage.remove(&name);
                Err(error)
            }
        }
    }
}

/// How large the reserve is that is there.
pub(crate) fn there(storage: &dyn Storage) -> io::Result<Option<u64>> {
    match storage.open(RESERVE_NAME) {
        Ok(file) => file.size().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the reserve if it is not there, and says how large it is.
/// One that is smaller than wanted is made anew, but not smaller than it was.
pub(crate) fn ensure(storage: &dyn Storage, mut sizes: Sizes) -> io::Result<u64> {
    if let Some(size) = there(storage)? {
        if size >= sizes.wanted {
            return Ok(size);
        }
        sizes.min = sizes.min.max(size);
    }
    sizes.try_each(
        |bytes| Ok(bytes / 4),
        |bytes| {
            let file = create_anew(storage, RESERVE_NAME)?;
            let made = file
                .reserve(bytes)
                .and_then(|()| file.sync())
                .and_then(|()| storage.sync_dir());
            if let Err(error) = made {
                drop(file);
                let _ = storage.remove(RESERVE_NAME);
                return Err(error);
            }
            Ok(bytes)
        },
    )
}

pub(crate) fn create_anew(storage: &dyn Storage, name: &str) -> io::Result<Arc<dyn StorageFile>> {
    match storage.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.remove(name)?;
            storage.create(name)
        }
        created => created,
    }
}
