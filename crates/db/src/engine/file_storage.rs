//! The real disk: one directory, locked for one process that writes or for several that read.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;

use super::error::StorageError;
use super::flush::is_full;
use super::made::make_directory;
use super::owner::give_to_owner_of;
use super::storage::{Storage, StorageFile};

const LOCK_NAME: &str = "lock";

/// The largest page that a Linux system of today has.
const PAGE_BYTES_MAX: u64 = 64 << 10;

/// Readable by the owner only: the database holds password hashes.
const FILE_MODE: u32 = 0o600;

/// A directory on a file system. It stays locked until this value is dropped.
#[derive(Debug)]
pub struct FileStorage {
    directory: PathBuf,
    handle: File,
    access: Access,
    /// There may be none in a directory that nobody can write to.
    _lock: Option<Lock>,
}

/// The lock of a directory. It is let go of by name: a process that this one is just starting has
/// a copy of the open file until it runs its program, and closing ours alone would leave the lock
/// with it for that time.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file follows in any case.
        let _ = self.0.unlock();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

impl FileStorage {
    /// Makes the directory if it is missing, and takes its lock.
    ///
    /// The lock is advisory and belongs to the process: the system lets go of it however the
    /// process ends. The file holds the process id, for the message of those who come second.
    pub fn open(directory: impl Into<PathBuf>) -> Result<FileStorage, StorageError> {
        let directory = directory.into();
        let failed = |source| StorageError::Io {
            directory: directory.clone(),
            source,
        };
        let handle = make_directory(&directory).map_err(failed)?;
        let failed = |source| lock_failed(&directory, source);
        let mut lock = Lock(open_lock(&directory).map_err(failed)?);
        give_to_owner_of(&handle, &lock.0).map_err(failed)?;
        match lock.0.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Readers do not write themselves into the file: it names the last who wrote.
                let by_readers = lock.0.try_lock_shared().is_ok();
                let pid = read_pid(&mut lock.0).filter(|_| !by_readers);
                return Err(StorageError::Locked { pid, directory });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_pid(&lock.0).map_err(failed)?;
        Ok(FileStorage {
            directory,
            handle,
            access: Access::Write,
            _lock: Some(lock),
        })
    }

    /// Opens the directory for reading, together with others who read, and makes nothing in it.
    /// As long as it is open nobody can write.
    ///
    /// The directory may lie on read-only media; without a lock file in it nothing is locked.
    pub fn open_read_only(directory: impl Into<PathBuf>) -> Result<FileStorage, StorageError> {
        let directory = directory.into();
        let failed = |source| StorageError::Io {
            directory: directory.clone(),
            source,
        };
        let handle = File::open(&directory).map_err(failed)?;
        let failed = |source| lock_failed(&directory, source);
        let mut lock = match File::open(directory.join(LOCK_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            lock => Some(Lock(lock.map_err(failed)?)),
        };
        if let Some(lock) = &mut lock {
            match lock.0.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let pid = read_pid(&mut lock.0);
                    return Err(StorageError::Locked { pid, directory });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Ok(FileStorage {
            directory,
            handle,
            access: Access::Read,
            _lock: lock,
        })
    }

    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn lock_failed(directory: &Path, source: io::Error) -> StorageError {
    StorageError::LockFile {
        file: directory.join(LOCK_NAME),
        source,
    }
}

fn open_lock(directory: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(directory.join(LOCK_NAME))
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Over what the process before wrote, which is cut only if it is longer: cutting a file may wait
/// for the journal of the file system. A full disk must not keep the database from opening: without
/// room the file stays empty.
fn write_pid(lock: &File) -> io::Result<()> {
    let text = format!("{}\n", std::process::id());
    match lock.write_all_at(text.as_bytes(), 0) {
        Err(error) if !is_full(&error) => return Err(error),
        _ => {}
    }
    if lock.metadata()?.len() > text.len() as u64 {
        lock.set_len(text.len() as u64)?;
    }
    Ok(())
}

impl Storage for FileStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            // Names that are not UTF-8 are not ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.check_writable()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(self.path(name))?;
        give_to_owner_of(&self.handle, &file)?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(self.access == Access::Write)
            .open(self.path(name))?;
        Ok(Arc::new(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.handle)
    }
}

impl StorageFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let from = self.metadata()?.len();
        if from >= size {
            return Ok(());
        }
        let promised = rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(self, FallocateFlags::empty(), from, size - from)
        });
        match promised {
            // Not every file system can promise room (UBIFS, NFS 3): look whether there is some.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => reserve_unpromised(self, from, size),
            done => Ok(done?),
        }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync also covers the size when it has changed.
        self.sync_data()
    }

    fn sync_and_forget(&self, offset: u64) -> io::Result<()> {
        self.sync_data()?;
        // Pages that a failed sync left behind count as clean, and clean pages go; but only
        // whole ones.
        let from = offset - offset % PAGE_BYTES_MAX;
        match rustix::fs::fadvise(self, from, None, Advice::DontNeed) {
            // Small kernels leave the call out; then the cache is believed.
            Err(Errno::NOSYS) => Ok(()),
            done => Ok(done?),
        }
    }
}

fn reserve_unpromised(file: &File, from: u64, size: u64) -> io::Result<()> {
    if free_bytes(file)? < size - from {
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.set_len(size)
}

fn free_bytes(file: &File) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_open_lock_in_a_process_being_started_does_not_keep_the_lock() {
        let scratch = tempfile::tempdir().unwrap();
        for open in [FileStorage::open, FileStorage::open_read_only] {
            let storage = open(scratch.path().to_owned()).unwrap();
            let copy = storage._lock.as_ref().unwrap().0.try_clone().unwrap();
            drop(storage);
            FileStorage::open(scratch.path()).unwrap();
            drop(copy);
        }
    }
}
