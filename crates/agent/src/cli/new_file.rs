//! Files that commands write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use periwinkle_db::engine::sync_entry;

use super::failure::Failure;

/// A file that gets its name once it is whole and on the disk.
pub(super) struct NewFile {
    path: PathBuf,
    fresh: PathBuf,
    file: Option<BufWriter<File>>,
}

impl NewFile {
    /// With these rights at most.
    pub(super) fn create(path: &Path, rights: u32) -> Result<NewFile, Failure> {
        let fresh = partial(path);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(rights)
            .open(&fresh)
            .map_err(|error| cannot_write(&fresh, &error))?;
        Ok(NewFile {
            path: path.to_owned(),
            fresh,
            file: Some(BufWriter::new(file)),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.file.as_mut().expect("it is open until the end");
        file.write_all(bytes)
            .map_err(|error| cannot_write(&self.fresh, &error))
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let file = self.file.take().expect("it is open until the end");
        let done = file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.fresh, &self.path))
            .and_then(|()| sync_entry(&self.path));
        done.map_err(|error| cannot_write(&self.path, &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Half a file is worse than none. It may be gone already.
            let _ = fs::remove_file(&self.fresh);
        }
    }
}

/// Where something is made that will be at `path`.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let words = format!("{} cannot be written: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::refused(words).hint("free some space, or name a file on another disk")
        }
        io::ErrorKind::FileTooLarge => {
            Failure::refused(words).hint("raise the limit on the size of files (ulimit -f)")
        }
        _ => Failure::refused(words),
    }
}
