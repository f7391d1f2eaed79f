//! A simulated disk for `periwinkle-db`: it keeps apart what a program sees and what would
//! survive a power cut, and does with the difference whatever a real disk might do.
//!
//! Every choice comes from a seed. The rules:
//!
//! - A write is seen at once and survives for certain only after a sync of its file; the name of
//!   a file survives for certain only after a sync of the directory.
//! - At a power cut each sector of each write that was not synced may survive or not, in any
//!   order, may be torn at any byte, or may hold garbage where the write was going to.
//! - A sync that fails has written some of it and forgets the rest, while reads still show all of
//!   it: what Linux does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use periwinkle_db::engine::{Storage, StorageFile};

use crate::rng::Rng;

/// A disk. Clones are the same disk; [`SimDisk::snapshot`] makes another.
#[derive(Clone)]
pub struct SimDisk {
    disk: Arc<Mutex<Disk>>,
    gate: Arc<Gate>,
}

/// Where syncs wait while they are held.
#[derive(Default)]
struct Gate {
    is_held: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn hold(&self, is_held: bool) {
        *self.is_held.lock().unwrap_or_else(PoisonError::into_inner) = is_held;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_held = self.is_held.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.opened.wait_while(is_held, |is_held| *is_held);
        drop(passed.unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a call is answered with instead of being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room: `ENOSPC`.
    Full,
    /// The disk is broken: `EIO`.
    Io,
    /// The thread that called panics.
    Panic,
}

/// What the disk was asked to do so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All calls.
    pub calls: u64,
    /// Reads of file contents.
    pub reads: u64,
    /// Writes of file contents.
    pub writes: u64,
    /// Bytes of these writes.
    pub bytes_written: u64,
    /// Syncs of files and of the directory.
    pub syncs: u64,
}

#[derive(Clone)]
struct Disk {
    rng: Rng,
    sector: usize,
    capacity: u64,
    powered: bool,
    /// Counts restarts: handles of an earlier life are dead.
    life: u64,
    files: BTreeMap<u64, SimFile>,
    /// Names as the program sees them, and as they would survive.
    names: BTreeMap<String, u64>,
    names_synced: BTreeMap<String, u64>,
    last_inode: u64,
    counts: Counts,
    faults: BTreeMap<u64, Fault>,
    /// The calls that met a fault.
    struck: BTreeSet<&'static str>,
    recording: Option<Vec<Disk>>,
}

#[derive(Clone, Default)]
struct SimFile {
    seen: Arc<Vec<u8>>,
    platter: Arc<Vec<u8>>,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone)]
enum Unsynced {
    Write { offset: usize, bytes: Arc<[u8]> },
    Size(usize),
}

/// What a power cut does to everything that was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// None of it survived.
    LoseAll,
    /// All of it did.
    KeepAll,
    /// The calls took effect in order up to some point, at which a write was torn.
    InOrder,
    /// Each sector and each name had its own luck: there, not there, torn, or garbage.
    Shuffled,
    /// The same for data; sizes are kept, as the system has them in its memory.
    Failed,
}

impl SimDisk {
    /// An empty disk of 64 MiB.
    pub fn new(seed: u64) -> SimDisk {
        let mut rng = Rng::new(seed);
        let sector = [512, 4096][rng.index(2)];
        SimDisk::of(Disk {
            rng,
            sector,
            capacity: 64 << 20,
            powered: true,
            life: 0,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            names_synced: BTreeMap::new(),
            last_inode: 0,
            counts: Counts::default(),
            faults: BTreeMap::new(),
            struck: BTreeSet::new(),
            recording: None,
        })
    }

    /// The disk as the engine wants it.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// Another disk in the same state. Handles stay with the old one.
    pub fn snapshot(&self) -> SimDisk {
        SimDisk::of(self.lock().bare_copy())
    }

    /// Every call fails until [`SimDisk::restart`].
    pub fn cut_power(&self) {
        self.lock().powered = false;
    }

    /// Cuts the power if it is on, lets `seed` decide what survived, and switches on again.
    /// Files that were open are dead; faults that were planned are forgotten.
    pub fn restart(&self, seed: u64) {
        self.lock().restart(seed, None);
    }

    /// The same, but what happens to all that was not synced is given.
    pub fn restart_with(&self, seed: u64, fate: Fate) {
        self.lock().restart(seed, Some(fate));
    }

    /// Lets the `nth` call from now on fail, counted from 0.
    pub fn fail_nth(&self, nth: u64, fault: Fault) {
        let mut disk = self.lock();
        let call = disk.counts.calls + nth;
        disk.faults.insert(call, fault);
    }

    /// Which calls of the traits have met a fault so far, by their names.
    pub fn struck(&self) -> BTreeSet<&'static str> {
        self.lock().struck.clone()
    }

    /// Forgets the faults that were planned.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Lets each sync of a file wait until [`SimDisk::release_syncs`], as on a card that is busy.
    pub fn hold_syncs(&self) {
        self.gate.hold(true);
    }

    /// Syncs go on.
    pub fn release_syncs(&self) {
        self.gate.hold(false);
    }

    /// Sets how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Flips a bit, as a worn cell would.
    pub fn flip_bit(&self, name: &str, bit: usize) {
        self.lock()
            .change_file(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }

    /// Puts a file of these bytes on the disk, for certain.
    pub fn put_file(&self, name: &str, contents: &[u8]) {
        let mut disk = self.lock();
        disk.last_inode += 1;
        let inode = disk.last_inode;
        disk.files.insert(inode, SimFile::default());
        disk.names.insert(name.to_owned(), inode);
        disk.names_synced.insert(name.to_owned(), inode);
        disk.change_file(name, |bytes| *bytes = contents.to_vec());
    }

    /// A disk that holds the files of a directory.
    ///
    /// # Panics
    /// The directory or a file in it cannot be read.
    pub fn load(directory: &Path) -> SimDisk {
        let disk = SimDisk::new(1);
        for entry in fs::read_dir(directory).expect("the directory can be read") {
            let path = entry.expect("its entries can be read").path();
            let name = path.file_name().expect("an entry has a name");
            let contents = fs::read(&path).expect("the file can be read");
            disk.put_file(&name.to_string_lossy(), &contents);
        }
        disk
    }

    /// All files with their contents as a program sees them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.lock();
        let contents = |inode| disk.files[inode].seen.to_vec();
        disk.names
            .iter()
            .map(|(name, inode)| (name.clone(), contents(inode)))
            .collect()
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// From now on, keeps a snapshot of the disk before every call that changes something.
    pub fn record(&self) {
        self.lock().recording = Some(Vec::new());
    }

    /// How many snapshots were kept so far.
    pub fn recorded(&self) -> usize {
        self.lock().recording.as_ref().map_or(0, Vec::len)
    }

    /// Ends the recording: the disk before each change, and the disk as it is now.
    pub fn recording(&self) -> Vec<SimDisk> {
        let mut disk = self.lock();
        let mut snapshots = disk.recording.take().unwrap_or_default();
        snapshots.push(disk.bare_copy());
        snapshots.into_iter().map(SimDisk::of).collect()
    }

    fn of(disk: Disk) -> SimDisk {
        SimDisk {
            disk: Arc::new(Mutex::new(disk)),
            gate: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, life: u64, inode: u64) -> Arc<dyn StorageFile> {
        Arc::new(Handle {
            disk: Arc::clone(&self.disk),
            gate: Arc::clone(&self.gate),
            life,
            inode,
        })
    }
}

impl Storage for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = self.lock();
        disk.call("list")?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.lock();
        disk.change("create")?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.last_inode += 1;
        let inode = disk.last_inode;
        disk.files.insert(inode, SimFile::default());
        disk.names.insert(name.to_owned(), inode);
        Ok(self.handle(disk.life, inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let mut disk = self.lock();
        disk.call("open")?;
        let inode = *disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(disk.life, inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.change("remove")?;
        disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.lock();
        disk.counts.syncs += 1;
        disk.change("sync_dir")?;
        disk.names_synced = disk.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let mut disk = self.lock();
        disk.call("free_bytes")?;
        Ok(disk.capacity.saturating_sub(disk.used()))
    }
}

struct Handle {
    disk: Arc<Mutex<Disk>>,
    gate: Arc<Gate>,
    life: u64,
    inode: u64,
}

impl Handle {
    fn lock(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.life == self.life {
            Ok(disk)
        } else {
            Err(io::Error::other("the file was opened before the power cut"))
        }
    }
}

impl StorageFile for Handle {
    fn size(&self) -> io::Result<u64> {
        let mut disk = self.lock()?;
        disk.call("size")?;
        Ok(disk.file(self.inode).seen.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.counts.reads += 1;
        disk.call("read")?;
        let seen = &disk.file(self.inode).seen;
        let bytes = seen.get(offset as usize..).unwrap_or_default();
        let bytes = bytes
            .get(..buffer.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.counts.writes += 1;
        disk.counts.bytes_written += bytes.len() as u64;
        let done = disk.change("write");
        // A write that fails may have got some way.
        let length = match done {
            Ok(()) => bytes.len(),
            Err(_) => disk.rng.index(bytes.len() + 1),
        };
        disk.check_growth(self.inode, offset as usize + length)?;
        if length > 0 && disk.powered {
            disk.file(self.inode)
                .write(offset as usize, &bytes[..length]);
        }
        done
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.change("reserve")?;
        disk.check_growth(self.inode, size as usize)?;
        let size = (size as usize).max(disk.file(self.inode).seen.len());
        disk.file(self.inode).resize(size);
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut disk = self.lock()?;
        disk.change("truncate")?;
        disk.file(self.inode).resize(size as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        let mut disk = self.lock()?;
        disk.counts.syncs += 1;
        let done = disk.change("sync");
        let fate = match &done {
            Ok(()) => Fate::KeepAll,
            Err(_) if disk.powered => Fate::Failed,
            Err(_) => return done,
        };
        let Disk {
            rng, sector, files, ..
        } = &mut *disk;
        let file = files.get_mut(&self.inode).expect("handles name files");
        file.settle(fate, usize::MAX, *sector, rng);
        done
    }

    fn sync_and_forget(&self, offset: u64) -> io::Result<()> {
        self.sync()?;
        let mut disk = self.lock()?;
        let SimFile { seen, platter, .. } = disk.file(self.inode);
        let offset = offset as usize;
        Arc::make_mut(seen)[offset..].copy_from_slice(&platter[offset..]);
        Ok(())
    }
}

impl Disk {
    /// Counts a call and answers with its fault, if one was planned.
    fn call(&mut self, name: &'static str) -> io::Result<()> {
        if !self.powered {
            return Err(io::Error::other("the power is off"));
        }
        let call = self.counts.calls;
        self.counts.calls += 1;
        let Some(fault) = self.faults.remove(&call) else {
            return Ok(());
        };
        self.struck.insert(name);
        Err(match fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            Fault::Io => io::Error::other("simulated fault of the disk"),
            Fault::Panic => panic!("simulated panic in the disk"),
        })
    }

    /// The same for a call that changes something.
    fn change(&mut self, name: &'static str) -> io::Result<()> {
        if self.recording.is_some() {
            let copy = self.bare_copy();
            self.recording.get_or_insert_default().push(copy);
        }
        self.call(name)
    }

    fn bare_copy(&self) -> Disk {
        let recording = None;
        Disk {
            recording,
            rng: self.rng.clone(),
            files: self.files.clone(),
            names: self.names.clone(),
            names_synced: self.names_synced.clone(),
            faults: self.faults.clone(),
            struck: self.struck.clone(),
            ..*self
        }
    }

    fn file(&mut self, inode: u64) -> &mut SimFile {
        self.files.get_mut(&inode).expect("handles name files")
    }

    /// Bytes of all files that have a name.
    fn used(&self) -> u64 {
        let sizes = self
            .names
            .values()
            .map(|inode| self.files[inode].seen.len() as u64);
        sizes.sum()
    }

    fn check_growth(&mut self, inode: u64, size: usize) -> io::Result<()> {
        let growth = size.saturating_sub(self.file(inode).seen.len()) as u64;
        if growth > self.capacity.saturating_sub(self.used()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn change_file(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.names[name];
        let file = self.file(inode);
        change(Arc::make_mut(&mut file.seen));
        file.platter = Arc::clone(&file.seen);
        file.unsynced.clear();
    }

    fn restart(&mut self, seed: u64, fate: Option<Fate>) {
        let mut rng = Rng::new(seed);
        let fates = [
            Fate::LoseAll,
            Fate::KeepAll,
            Fate::InOrder,
            Fate::Shuffled,
            Fate::Shuffled,
        ];
        let drawn = fates[rng.index(fates.len())];
        let fate = fate.unwrap_or(drawn);
        let total: usize = self.files.values().map(|file| file.unsynced.len()).sum();
        let mut in_order = rng.index(total + 1);
        for file in self.files.values_mut() {
            let count = file.unsynced.len();
            file.settle(fate, in_order, self.sector, &mut rng);
            in_order = in_order.saturating_sub(count);
            file.seen = Arc::clone(&file.platter);
        }
        self.settle_names(fate, &mut rng);
        self.rng = rng;
        self.powered = true;
        self.life += 1;
        self.faults.clear();
    }

    fn settle_names(&mut self, fate: Fate, rng: &mut Rng) {
        let seen = std::mem::take(&mut self.names);
        let synced = std::mem::take(&mut self.names_synced);
        let mut all = synced.clone();
        all.extend(seen.clone());
        for name in all.into_keys() {
            let new = match fate {
                Fate::LoseAll => false,
                Fate::KeepAll => true,
                Fate::InOrder | Fate::Shuffled | Fate::Failed => rng.one_in(2),
            };
            let names = if new { &seen } else { &synced };
            if let Some(inode) = names.get(&name) {
                self.names.insert(name, *inode);
            }
        }
        self.names_synced = self.names.clone();
        self.files
            .retain(|inode, _| self.names.values().any(|named| named == inode));
    }
}

impl SimFile {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        overwrite(Arc::make_mut(&mut self.seen), offset, bytes);
        self.unsynced.push(Unsynced::Write {
            offset,
            bytes: bytes.into(),
        });
    }

    fn resize(&mut self, size: usize) {
        Arc::make_mut(&mut self.seen).resize(size, 0);
        self.unsynced.push(Unsynced::Size(size));
    }

    /// Brings to the platter what the fate lets through; nothing is unsynced afterwards.
    fn settle(&mut self, fate: Fate, in_order: usize, sector: usize, rng: &mut Rng) {
        let unsynced = std::mem::take(&mut self.unsynced);
        if unsynced.is_empty() {
            return;
        }
        let platter = Arc::make_mut(&mut self.platter);
        for (index, change) in unsynced.into_iter().enumerate() {
            match fate {
                Fate::LoseAll => {}
                Fate::KeepAll => apply(platter, &change),
                Fate::InOrder if index < in_order => apply(platter, &change),
                Fate::InOrder if index == in_order => apply_torn(platter, &change, rng),
                Fate::InOrder => {}
                Fate::Failed if matches!(change, Unsynced::Size(_)) => apply(platter, &change),
                Fate::Shuffled | Fate::Failed => apply_shuffled(platter, &change, sector, rng),
            }
        }
    }
}

fn apply(platter: &mut Vec<u8>, change: &Unsynced) {
    match change {
        Unsynced::Write { offset, bytes } => overwrite(platter, *offset, bytes),
        Unsynced::Size(size) => platter.resize(*size, 0),
    }
}

fn apply_torn(platter: &mut Vec<u8>, change: &Unsynced, rng: &mut Rng) {
    if let Unsynced::Write { offset, bytes } = change {
        let length = rng.index(bytes.len() + 1);
        overwrite(platter, *offset, &bytes[..length]);
    }
}

/// Sector by sector: there, not there, torn, or garbage.
fn apply_shuffled(platter: &mut Vec<u8>, change: &Unsynced, sector: usize, rng: &mut Rng) {
    let Unsynced::Write { offset, bytes } = change else {
        if rng.one_in(2) {
            apply(platter, change);
        }
        return;
    };
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + sector - (offset + at) % sector);
        let piece = &bytes[at..end];
        match rng.below(8) {
            0..4 => overwrite(platter, offset + at, piece),
            4 => overwrite(platter, offset + at, &piece[..rng.index(piece.len())]),
            5 => {
                let garbage: Vec<u8> = piece.iter().map(|_| rng.next_u64() as u8).collect();
                overwrite(platter, offset + at, &garbage);
            }
            _ => {}
        }
        at = end;
    }
}

fn overwrite(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}
