//! Copies of what is uploaded and cannot be read again: bytes and streams.
//!
//! A stream is copied to a file before it is sent. So it can be sent again after a failure, survives
//! a restart, and waits while there is no link; and its length is known, so that one way of
//! uploading serves all. The price is the room and the wear of the flash; `upload.spool` may lead
//! to memory where that matters more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use periwinkle_db::engine::make_directory;
use tokio::task::spawn_blocking;

use super::error::UploadError;

/// The directory of copies.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    folder: PathBuf,
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Spool {
        Spool { folder }
    }

    /// Where the copy of an upload lies.
    pub(super) fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Begins the copy of an upload.
    pub(super) async fn begin(&self, id: &str) -> Result<Draft, UploadError> {
        let path = self.path(id);
        let (folder, made) = (self.folder.clone(), path.clone());
        let file = in_background(&path, move || {
            make_directory(&folder)?;
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&made)
        });
        Ok(Draft {
            file: Some(file.await?),
            path,
            folder: self.folder.clone(),
        })
    }

    /// Removes the copies that belong to no upload of `known`: their writing was cut off.
    pub(super) fn clear(&self, known: impl Fn(&str) -> bool) -> io::Result<usize> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            // Only what looks like one of ours: the directory may be shared.
            let name = entry.file_name();
            let ours = name.to_str().filter(|name| is_id(name));
            if ours.is_some_and(|name| !known(name)) {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 26 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A copy in the making; removed unless it is kept.
#[derive(Debug)]
pub(super) struct Draft {
    file: Option<File>,
    path: PathBuf,
    folder: PathBuf,
}

impl Draft {
    /// Adds bytes. Dropping the future may have added a part of them.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let mut file = self
            .file
            .take()
            .expect("a write that failed is not repeated");
        let written = in_background(&self.path, move || {
            file.write_all(&bytes)?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    /// Makes the copy durable.
    pub(super) async fn finish(&mut self) -> Result<(), UploadError> {
        let file = self.file.take().expect("a copy is finished once");
        let folder = self.folder.clone();
        let synced = in_background(&self.path, move || {
            file.sync_all()?;
            File::open(folder)?.sync_all()
        });
        synced.await
    }

    /// From here on the copy belongs to a row.
    pub(super) fn keep(mut self) {
        self.path = PathBuf::new();
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What stays is cleared at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn in_background<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, UploadError> {
    let done = spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|source| UploadError::Spool {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01JD0000000000000000000000";

    #[tokio::test]
    async fn a_copy_that_is_not_kept_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let spool = Spool::new(folder.path().join("spool"));
        let mut draft = spool.begin(ID).await.expect("there is room");
        draft
            .write(Bytes::from("abc"))
            .await
            .expect("there is room");
        drop(draft);
        assert!(!spool.path(ID).exists());
        let mut draft = spool.begin(ID).await.expect("there is room");
        draft
            .write(Bytes::from("abc"))
            .await
            .expect("there is room");
        draft.finish().await.expect("there is room");
        draft.keep();
        assert_eq!(fs::read(spool.path(ID)).expect("it is kept"), b"abc");
        assert!(spool.begin(ID).await.is_err(), "an id is used once");
    }

    #[tokio::test]
    async fn copies_without_an_upload_are_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let spool = Spool::new(folder.path().to_owned());
        let other = "01JD0000000000000000000001";
        for name in [ID, other, "note.txt"] {
            fs::write(folder.path().join(name), b"x").expect("it is ours");
        }
        assert_eq!(spool.clear(|id| id == ID).expect("it is ours"), 1);
        assert!(spool.path(ID).exists() && !spool.path(other).exists());
        assert!(folder.path().join("note.txt").exists());
        let nowhere = Spool::new(folder.path().join("none"));
        assert_eq!(nowhere.clear(|_| false).expect("nothing is there"), 0);
    }
}
