//! Files that commands write.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use periwinkle_db::engine::sync_entry;
use rustix::fs::{Mode, OFlags};

use super::failure::Failure;

/// A file that gets its name once it is whole and on the disk, in place of the one that has the
/// name. What is no ordinary file, such as a pipe or a device, is written as the bytes come.
pub(super) struct NewFile {
    path: PathBuf,
    /// Where it is made; `None` when the bytes go to `path` at once.
    fresh: Option<PathBuf>,
    rights: u32,
    file: Option<BufWriter<File>>,
}

/// So many files may be made for one name at a time.
const FRESH_NAMES: u32 = 100;

impl NewFile {
    /// With these rights at most, unless it replaces a file: then with the rights of that one.
    /// Nobody else can read it before it is whole.
    pub(super) fn create(path: &Path, rights: u32) -> Result<NewFile, Failure> {
        let failed = |error| cannot_write(path, &error);
        let known = match fs::metadata(path) {
            Ok(known) => Some(known),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if known.is_some_and(|known| !known.is_file()) {
            let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            return Ok(NewFile {
                path: path.to_owned(),
                fresh: None,
                rights,
                file: Some(BufWriter::new(file)),
            });
        }
        let path = behind_links(path).map_err(failed)?;
        let (fresh, file) = make_beside(&path).map_err(|error| cannot_write(&path, &error))?;
        Ok(NewFile {
            path,
            fresh: Some(fresh),
            rights,
            file: Some(BufWriter::new(file)),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.file.as_mut().expect("it is open until the end");
        file.write_all(bytes)
            .map_err(|error| cannot_write(&self.path, &error))
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let file = self.file.take().expect("it is open until the end");
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let done = file.and_then(|file| match &self.fresh {
            Some(fresh) => self.put_in_place(&file, fresh),
            None => Ok(()),
        });
        if done.is_err() {
            self.discard();
        }
        done.map_err(|error| cannot_write(&self.path, &error))
    }

    fn put_in_place(&self, file: &File, fresh: &Path) -> io::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(known) if known.is_file() => resemble(file, &known)?,
            _ => {
                let rights = self.rights & !umask();
                file.set_permissions(Permissions::from_mode(rights))?;
            }
        }
        file.sync_all()?;
        fs::rename(fresh, &self.path)?;
        sync_entry(&self.path)
    }

    /// Half a file is worse than none. It may be gone already.
    fn discard(&self) {
        if let Some(fresh) = &self.fresh {
            let _ = fs::remove_file(fresh);
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            self.discard();
        }
    }
}

/// The path of the file that a link leads to, whether it is there or not: that is replaced, and the
/// link stays.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            // A relative one begins where the link lies; an absolute one replaces all of it.
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

/// A file of ours beside the one that it will replace, under a name that nobody else has: another
/// command may be making the same one, and what lies there is not ours to write through.
fn make_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let pid = rustix::process::getpid();
    for attempt in 0..FRESH_NAMES {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{pid}-{attempt}.partial"));
        let fresh = PathBuf::from(name);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&fresh);
        match made {
            Ok(file) => return Ok((fresh, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Gives a file owner and rights of the one that it replaces.
fn resemble(file: &File, known: &fs::Metadata) -> io::Result<()> {
    let mut rights = known.mode() & 0o777;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (known.uid(), known.gid())
        && fchown(file, Some(known.uid()), Some(known.gid())).is_err()
    {
        // What was meant for another group is none of the business of ours.
        rights &= 0o707;
    }
    file.set_permissions(Permissions::from_mode(rights))
}

/// The rights that new files of this process do not get. It can only be read by setting it.
fn umask() -> u32 {
    let own = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(own);
    own.as_raw_mode()
}

/// Where a directory is made that will be at `path`.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

pub(super) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::input(format!("{} cannot be read: {error}", path.display()))
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let words = format!("{} cannot be written: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::refused(words).hint("free some space, or name a file on another disk")
        }
        ErrorKind::FileTooLarge => {
            Failure::refused(words).hint("raise the limit on the size of files (ulimit -f)")
        }
        _ => Failure::refused(words),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::thread;

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = NewFile::create(path, 0o600).ok().unwrap();
        file.write(text.as_bytes()).ok().unwrap();
        file.finish().ok().unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn rights(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_whole_and_keeps_the_rights_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all");
        write(&path, "one");
        assert_eq!(rights(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut file = NewFile::create(&path, 0o600).ok().unwrap();
        file.write(b"two").ok().unwrap();
        let fresh = file.fresh.clone().unwrap();
        assert_eq!(rights(&fresh), 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        file.finish().ok().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(rights(&path), 0o640);
        drop(NewFile::create(&path, 0o600).ok().unwrap());
        assert_eq!(names(folder.path()), ["all"]);
    }

    #[test]
    fn two_that_write_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all");
        let [mut one, mut two] = [(); 2].map(|()| NewFile::create(&path, 0o600).ok().unwrap());
        one.write(b"the first of two").ok().unwrap();
        two.write(b"the second").ok().unwrap();
        one.finish().ok().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "the first of two");
        two.finish().ok().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "the second");
        assert_eq!(names(folder.path()), ["all"]);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        let link = folder.path().join("link");
        symlink("deep/next", &link).unwrap();
        symlink("file", folder.path().join("deep/next")).unwrap();
        // First it leads nowhere, then to a file.
        for text in ["one", "two"] {
            write(&link, text);
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("deep/next"));
            let file = folder.path().join("deep/file");
            assert!(file.symlink_metadata().unwrap().is_file());
            assert_eq!(fs::read_to_string(file).unwrap(), text);
        }
        assert_eq!(names(&folder.path().join("deep")), ["file", "next"]);
    }

    #[test]
    fn what_lies_where_a_file_is_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all");
        let other = folder.path().join("other");
        fs::write(&other, "mine").unwrap();
        let pid = rustix::process::getpid();
        symlink(&other, folder.path().join(format!("all.{pid}-0.partial"))).unwrap();
        write(&path, "text");
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_pipe_and_a_device_are_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let reader = thread::spawn({
            let path = path.clone();
            move || {
                let mut text = String::new();
                File::open(path).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write(&path, "through");
        assert_eq!(reader.join().unwrap(), "through");
        assert_eq!(names(folder.path()), ["pipe"]);
        let device = folder.path().join("nothing");
        symlink("/dev/null", &device).unwrap();
        write(&device, "away");
        assert!(!fs::metadata(&device).unwrap().is_file());
    }
}
