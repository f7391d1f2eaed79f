//! The floor under a durable write: the same bytes appended to a file that is allocated and grown
//! as the log is, then synced.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use periwinkle_core::limits::DB_SEGMENT_BYTES;
use rustix::fs::{FallocateFlags, fallocate};

pub(crate) struct Floor {
    directory: PathBuf,
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Floor {
    /// Appends `bytes` each time.
    pub(crate) fn make(directory: &Path, bytes: usize) -> Result<Floor> {
        let directory = directory.with_extension("floor");
        fs::create_dir_all(&directory)?;
        Ok(Floor {
            file: new_segment(&directory)?,
            directory,
            at: 0,
            bytes: vec![0x5a; bytes],
        })
    }

    pub(crate) fn append(&mut self) -> Result<()> {
        self.file.write_all_at(&self.bytes, self.at)?;
        self.file.sync_data()?;
        self.at += self.bytes.len() as u64;
        Ok(())
    }

    /// Makes sure that so many appends find room; the log does this ahead of time, too.
    pub(crate) fn prepare(&mut self, appends: usize) -> Result<()> {
        if self.at + (appends * self.bytes.len()) as u64 > DB_SEGMENT_BYTES {
            self.file = new_segment(&self.directory)?;
            self.at = 0;
        }
        Ok(())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // What stays behind is taken away with the next run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn new_segment(directory: &Path) -> Result<File> {
    let path = directory.join("segment");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, DB_SEGMENT_BYTES)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}
