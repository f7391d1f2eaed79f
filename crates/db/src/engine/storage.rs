//! What the engine asks of a disk: one flat directory of files.

use std::io;
use std::sync::Arc;

/// A directory that belongs to one engine.
///
/// [`FileStorage`](super::FileStorage) is the real one; the testkit has a simulated disk.
/// Every call may block. Nothing is on the disk before it was synced: a file's bytes and size by
/// [`StorageFile::sync`], its presence and absence by [`Storage::sync_dir`].
pub trait Storage: Send + Sync + 'static {
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file; [`io::ErrorKind::AlreadyExists`] if there is one of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>>;

    /// Removes a file; those who have it open go on reading it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns once every create and remove so far is on the disk.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that can still be reserved.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub trait StorageFile: Send + Sync + 'static {
    /// The size in bytes, reserved ones included.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on; [`io::ErrorKind::UnexpectedEof`] when the file is shorter.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Grows the file to `size` zero bytes that a later write cannot fail to find room for.
    ///
    /// [`io::ErrorKind::StorageFull`] when there is no room. The size after an error is undefined.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Cuts the file to `size` bytes and gives the rest back.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Returns once every byte written so far, and the size, is on the disk.
    fn sync(&self) -> io::Result<()>;

    /// Syncs, and lets later reads from `offset` on come from the disk itself, where the system
    /// allows that.
    ///
    /// After a failed sync the system may show bytes that the disk never got, and report the next
    /// sync as done.
    fn sync_and_forget(&self, offset: u64) -> io::Result<()>;
}
