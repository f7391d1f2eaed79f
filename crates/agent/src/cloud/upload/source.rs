//! The file that is uploaded.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use periwinkle_core::limits;
use periwinkle_core::upload::Identity;
use rustix::fs::{OFlags, StatFs, fstatfs, statfs};
use tokio::task::spawn_blocking;

use super::error::UploadError;

/// A file, open for as long as it is uploaded; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<File>,
    path: Arc<Path>,
    volume: Volume,
}

/// What can be relied on where a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Volume {
    /// Files keep their numbers.
    Lasting,
    /// Files have other numbers after each mount, as on most cards.
    Renumbered,
    /// The same, and times of two seconds.
    Fat,
    /// Files are made when they are read, and have no length before.
    Made,
}

impl Volume {
    /// Of what lies at a path.
    pub(super) fn of(path: &Path) -> Volume {
        statfs(path).map_or(Volume::Lasting, |found| Volume::read(&found))
    }

    /// The numbers have 32 bits, whatever type a machine has for them.
    fn read(found: &StatFs) -> Volume {
        Volume::of_kind(found.f_type as u32)
    }

    /// By the number in `statfs` (its manual page, and the kernel's `magic.h`).
    fn of_kind(kind: u32) -> Volume {
        match kind {
            // msdos and vfat
            0x4d44 => Volume::Fat,
            // exfat, FUSE, and the three of CIFS
            0x2011_bab0 | 0x6573_5546 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b => Volume::Renumbered,
            // proc, sysfs, debugfs, tracefs, both of cgroup, securityfs, configfs
            0x9fa0 | 0x6265_6572 | 0x6462_6720 | 0x7472_6163 | 0x0027_e0eb | 0x6367_7270
            | 0x7363_6673 | 0x6265_6570 => Volume::Made,
            _ => Volume::Lasting,
        }
    }
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
        let volume = fstatfs(&file).map_or(Volume::Lasting, |found| Volume::read(&found));
        let source = Source {
            file: Arc::new(file),
            path: path.into(),
            volume,
        };
        Ok((source, identity_of(&metadata, volume)))
    }

    /// Whether it has no length before it is read.
    pub(super) fn is_made(&self) -> bool {
        self.volume == Volume::Made
    }

    /// All of a file that has no length before it is read.
    pub(super) async fn read_made(&self) -> Result<Vec<u8>, UploadError> {
        let file = self.file.clone();
        let read = spawn_blocking(move || {
            let mut bytes = Vec::new();
            let most = limits::UPLOAD_MADE_BYTES_MAX + 1;
            (&*file).take(most).read_to_end(&mut bytes).map(|_| bytes)
        });
        let read = read.await.map_err(io::Error::other).flatten();
        match read {
            Ok(bytes) if bytes.len() as u64 <= limits::UPLOAD_MADE_BYTES_MAX => Ok(bytes),
            Ok(_) => Err(UploadError::NoLength(self.path())),
            Err(source) => Err(UploadError::File {
                path: self.path(),
                source,
            }),
        }
    }

    /// What the file is now.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        Ok(identity_of(&self.file.metadata()?, self.volume))
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

/// What a file is, by what lasts where it lies: the same after a card was out.
pub(super) fn identity_of(metadata: &Metadata, volume: Volume) -> Identity {
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    let (modified_s, modified_ns) = match volume {
        // Some kernels know more until the card is out.
        Volume::Fat => (seconds - seconds.rem_euclid(2), 0),
        _ => (seconds, u32::try_from(nanos).unwrap_or(0)),
    };
    Identity {
        bytes: metadata.len(),
        modified_s,
        modified_ns,
        inode: (volume == Volume::Lasting).then(|| metadata.ino()),
    }
}

/// Removes a file that is still the one that was uploaded, so that no power cut brings it back;
/// whether it is gone now. It waits for the disk.
pub(super) fn remove_same(path: &Path, identity: &str) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        metadata => metadata?,
    };
    if identity_of(&metadata, Volume::of(path)).to_string() != identity {
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
    fn a_file_is_known_again_where_numbers_do_not_last() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("f");
        let at = |seconds: u64, nanos| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::new(seconds, nanos);
            fs::remove_file(&path).unwrap_or_default();
            fs::write(folder.path().join("other"), b"x").expect("it is ours");
            fs::write(&path, b"abc").expect("it is ours");
            let file = File::options().write(true).open(&path);
            let file = file.expect("it is ours");
            file.set_modified(time).expect("it is ours");
            fs::metadata(&path).expect("it is ours")
        };
        // As before a card was out, and after: the same file by another number.
        let before = at(1_795_342_913, 670_000_000);
        fs::rename(&path, folder.path().join("keeps its number")).expect("it is ours");
        let after = at(1_795_342_912, 0);
        assert_ne!(before.ino(), after.ino());
        let fat = |metadata: &Metadata| identity_of(metadata, Volume::Fat);
        assert_eq!(fat(&before), fat(&after));
        assert_eq!(fat(&before).to_string(), "3@1795342912.000000000");
        for volume in [Volume::Lasting, Volume::Renumbered] {
            assert_ne!(identity_of(&before, volume), identity_of(&after, volume));
        }
        let again = at(1_795_342_913, 670_000_000);
        let of = |metadata: &Metadata| identity_of(metadata, Volume::Renumbered);
        assert_eq!(of(&before), of(&again));
        assert_ne!(
            identity_of(&before, Volume::Lasting),
            identity_of(&again, Volume::Lasting)
        );
    }

    #[test]
    fn what_numbers_and_lengths_are_worth_goes_by_the_kind_of_file_system() {
        let table = [
            (0xef53, Volume::Lasting),
            (0x0102_1994, Volume::Lasting),
            (0x4d44, Volume::Fat),
            (0x2011_bab0, Volume::Renumbered),
            (0x6573_5546, Volume::Renumbered),
            (0x9fa0, Volume::Made),
            (0x6265_6572, Volume::Made),
        ];
        for (kind, volume) in table {
            assert_eq!(Volume::of_kind(kind), volume, "{kind:x}");
        }
        assert_eq!(Volume::of(Path::new("/proc/version")), Volume::Made);
        assert_eq!(Volume::of(Path::new("/nonexistent")), Volume::Lasting);
    }

    #[tokio::test]
    async fn a_file_without_a_length_is_read_to_its_end() {
        let path = Path::new("/proc/version");
        let (source, identity) = Source::open(path).expect("it is there");
        assert!(source.is_made() && identity.bytes == 0);
        let read = source.read_made().await.expect("it is there");
        assert_eq!(read, fs::read(path).expect("it is there"));
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
