//! The files of a download that is not complete, which belong to one download at a time.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use periwinkle_core::fetch::Url;
use periwinkle_core::fetch::range::Partial;
use tokio::fs::{self, File, OpenOptions};
use tokio::task::spawn_blocking;

use super::error::FetchError;

/// The files of a download that is not complete.
#[derive(Debug)]
pub(super) struct Part {
    target: PathBuf,
    tag: PathBuf,
    claimed: Claimed,
}

/// The file with the bytes, locked. It goes away with the lock while nothing is in it.
#[derive(Debug)]
struct Claimed {
    path: PathBuf,
    file: std::fs::File,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let is_empty = self.file.metadata().is_ok_and(|found| found.len() == 0);
        if is_empty && is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Part {
    /// Those of a download to `target`, for nobody else until they are dropped.
    pub(super) async fn claim(target: PathBuf) -> Result<Part, FetchError> {
        let with = |end: &str| {
            let mut name = target.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        let (path, tag) = (with(".part"), with(".part.tag"));
        let failed = |source| FetchError::Save {
            path: path.clone(),
            source,
        };
        let taken = path.clone();
        let locked = spawn_blocking(move || lock(&taken)).await;
        let locked = locked.map_err(io::Error::other).flatten();
        let file = locked
            .map_err(failed)?
            .ok_or_else(|| FetchError::Downloading {
                path: target.clone(),
            })?;
        Ok(Part {
            target,
            tag,
            claimed: Claimed { path, file },
        })
    }

    /// Where the file is when it is complete.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Where its bytes are until then.
    pub(super) fn path(&self) -> &Path {
        &self.claimed.path
    }

    /// What an earlier run left of this address, if it can be gone on with.
    pub(super) async fn known(&self, url: &Url) -> Option<Partial> {
        let note = fs::read_to_string(&self.tag).await.ok()?;
        let received = fs::metadata(self.path()).await.ok()?.len();
        Partial::from_note(&note, url, received)
    }

    pub(super) async fn begin(&self, known: &Partial, url: &Url) -> Result<File, FetchError> {
        // First nothing is known of what is there: the bytes and the tag never belong to two states.
        self.clear().await?;
        if let Some(note) = known.note(url) {
            let noted = fs::write(&self.tag, note).await;
            noted.map_err(|error| self.failed(error))?;
        }
        self.append().await
    }

    pub(super) async fn append(&self) -> Result<File, FetchError> {
        let file = OpenOptions::new().append(true).open(self.path()).await;
        file.map_err(|error| self.failed(error))
    }

    /// The file under its name, safe from a power cut, if it has so many bytes.
    pub(super) async fn complete(&self, bytes: u64) -> Result<(), FetchError> {
        let done = async {
            let file = OpenOptions::new().append(true).open(self.path()).await?;
            if file.metadata().await?.len() != bytes {
                return Err(io::Error::other("somebody else wrote to it"));
            }
            file.sync_all().await?;
            fs::rename(self.path(), &self.target).await?;
            let folder = self
                .target
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))
                .await?
                .sync_all()
                .await
        };
        done.await.map_err(|error| self.failed(error))?;
        let _ = fs::remove_file(&self.tag).await;
        Ok(())
    }

    /// Throws away what is there.
    pub(super) async fn clear(&self) -> Result<(), FetchError> {
        let _ = fs::remove_file(&self.tag).await;
        let cleared = async {
            let file = OpenOptions::new().write(true).open(self.path()).await?;
            match file.metadata().await?.len() {
                0 => Ok(()),
                _ => file.set_len(0).await,
            }
        };
        cleared.await.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, source: io::Error) -> FetchError {
        FetchError::Save {
            path: self.path().to_owned(),
            source,
        }
    }
}

/// The file at this place, locked; `None` while another download has it. Where the file system knows
/// no locks, there are none.
fn lock(path: &Path) -> io::Result<Option<std::fs::File>> {
    loop {
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).append(true).open(path)?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            return Ok(None);
        }
        // Who had the lock before may have given the file another name.
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// Whether the file that is open is the one at this place.
fn is_at(file: &std::fs::File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_somebody_else_wrote_to_is_not_complete() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let target = folder.path().join("f");
        let part = Part::claim(target.clone()).await.expect("nobody has it");
        std::fs::write(part.path(), "hello").expect("it is ours");
        let error = part.complete(4).await.expect_err("there are five");
        assert!(error.to_string().contains("somebody else"), "{error}");
        assert!(!target.exists());
        part.complete(5).await.expect("there are five");
        assert_eq!(std::fs::read(&target).expect("it is there"), b"hello");
    }

    #[test]
    fn a_file_that_was_given_another_name_is_not_at_its_place() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("f");
        let file = lock(&path).expect("it is ours").expect("nobody has it");
        assert!(is_at(&file, &path).expect("it is ours"));
        assert!(lock(&path).expect("it is ours").is_none());
        std::fs::rename(&path, folder.path().join("g")).expect("it is ours");
        assert!(!is_at(&file, &path).expect("it is ours"));
        let other = lock(&path).expect("it is ours");
        assert!(other.is_some(), "it is another file");
        assert!(!is_at(&file, &path).expect("it is ours"));
    }
}
