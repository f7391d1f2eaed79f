//! The file that is uploaded.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use periwinkle_core::upload::Identity;
use rustix::fs::OFlags;
use tokio::task::spawn_blocking;

use super::error::UploadError;

/// A file, open for as long as it is uploaded; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<File>,
    path: Arc<Path>,
}

impl Source {
    /// Opens a file. What a link or a pipe leads to is not taken: the name of a file in a folder
    /// that others write to must not lead elsewhere, nor hang.
    pub(super) fn open(path: &Path) -> Result<(Source, Identity), UploadError> {
        let failed = |source: io::Error| UploadError::File {
            path: path.to_owned(),
            source,
        };
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(_) if path.is_symlink() => return Err(UploadError::NotAFile(path.to_owned())),
            Err(source) => return Err(failed(source)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(UploadError::NotAFile(path.to_owned()));
        }
        let source = Source {
            file: Arc::new(file),
            path: path.into(),
        };
        Ok((source, identity_of(&metadata)))
    }

    /// What the file is now.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        Ok(identity_of(&self.file.metadata()?))
    }

    /// The bytes from `offset` on, all of them or an error. Dropping the future reads in vain.
    pub(super) async fn read(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let file = self.file.clone();
        let read = spawn_blocking(move || {
            let mut piece = vec![0; bytes];
            file.read_exact_at(&mut piece, offset).map(|()| piece)
        });
        read.await.map_err(io::Error::other)?
    }

    /// Its path, for words.
    pub(super) fn path(&self) -> PathBuf {
        self.path.to_path_buf()
    }
}

pub(super) fn identity_of(metadata: &Metadata) -> Identity {
    Identity {
        bytes: metadata.len(),
        modified_s: metadata.mtime(),
        modified_ns: u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
        inode: metadata.ino(),
    }
}

/// Removes a file that is still the one that was uploaded, so that no power cut brings it back;
/// whether it is gone now. It waits for the disk.
pub(super) fn remove_same(path: &Path, identity: &str) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        metadata => metadata?,
    };
    if identity_of(&metadata).to_string() != identity {
        return Ok(false);
    }
    fs::remove_file(path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all().map(|()| true),
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_where_it_was_asked_for_and_not_beyond_its_end() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("f");
        fs::write(&path, b"0123456789").expect("it is ours");
        let (source, identity) = Source::open(&path).expect("it is there");
        assert_eq!(identity.bytes, 10);
        assert_eq!(source.read(3, 4).await.expect("it is there"), b"3456");
        assert!(source.read(8, 4).await.is_err());
        fs::write(&path, b"01234567890").expect("it is ours");
        assert_ne!(source.identity().expect("it is open"), identity);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).expect("it is ours");
        assert!(matches!(Source::open(&link), Err(UploadError::NotAFile(_))));
        assert!(matches!(
            Source::open(folder.path()),
            Err(UploadError::NotAFile(_))
        ));
        assert!(matches!(
            Source::open(Path::new("/dev/null")),
            Err(UploadError::NotAFile(_))
        ));
    }

    #[test]
    fn only_the_file_that_was_uploaded_is_removed() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("f");
        fs::write(&path, b"old").expect("it is ours");
        let (_, identity) = Source::open(&path).expect("it is there");
        fs::write(&path, b"newer").expect("it is ours");
        assert!(!remove_same(&path, &identity.to_string()).expect("it is ours"));
        assert!(path.exists());
        let (_, identity) = Source::open(&path).expect("it is there");
        assert!(remove_same(&path, &identity.to_string()).expect("it is ours"));
        assert!(!path.exists());
        assert!(remove_same(&path, &identity.to_string()).expect("nothing is there"));
    }
}
