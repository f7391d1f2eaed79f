//! The state directory: one agent at a time, for its owner's eyes only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use periwinkle_core::config::DeviceId;
use periwinkle_db::engine::{give_to_owner_of, make_directory};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::net::entropy;
use crate::{Error, Result};

/// The directory that holds everything the agent keeps; locked for as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Option<File>,
}

impl StateDir {
    /// Creates the directory if there is none, and takes its lock.
    ///
    /// Fails with [`Error::StateInUse`], naming the holder, when another process has it.
    pub fn open(path: &Path) -> Result<StateDir> {
        let failed = |source| Error::State {
            path: path.to_owned(),
            source,
        };
        let folder = make_directory(path).map_err(failed)?;
        let failed = |source| lock_failed(path, source);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path.join("lock"))
            .map_err(failed)?;
        give_to_owner_of(&folder, &lock).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => write_pid(&mut lock).map_err(failed)?,
            Err(TryLockError::WouldBlock) => {
                // Readers do not write themselves into the file: it names the last who wrote.
                let by_readers = lock.try_lock_shared().is_ok();
                let pid = read_pid(&mut lock).filter(|_| !by_readers);
                return Err(in_use(path, pid));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(StateDir {
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    /// The directory as it is, for reading: nothing is made in it, and no agent can start on it
    /// meanwhile. Without a lock file nothing is locked: the medium may be read-only.
    ///
    /// Fails with [`Error::StateInUse`], naming the holder, when an agent, or whoever writes, has it.
    pub fn look(path: &Path) -> Result<StateDir> {
        let failed = |source| lock_failed(path, source);
        let mut lock = match File::open(path.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            lock => Some(lock.map_err(failed)?),
        };
        if let Some(lock) = &mut lock {
            match lock.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use(path, read_pid(lock))),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Ok(StateDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the database's files.
    pub fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// The file that holds the setup code while there is no owner and no terminal.
    pub fn setup_code(&self) -> PathBuf {
        self.path.join("setup-code")
    }

    /// The device's own id: made once, from the machine's, and kept.
    pub fn device_id(&self) -> Result<DeviceId> {
        if let Some(id) = self.known_device_id()? {
            return Ok(id);
        }
        let path = self.path.join("device-id");
        let made = new_device_id().and_then(|id| {
            write_private(&path, id.as_str())?;
            Ok(id)
        });
        made.map_err(|source| Error::State { path, source })
    }

    /// The device's own id, if it has one by now.
    pub fn known_device_id(&self) -> Result<Option<DeviceId>> {
        let path = self.path.join("device-id");
        let read = match fs::read_to_string(&path) {
            Ok(text) => DeviceId::new(text.trim())
                .map(Some)
                .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        read.map_err(|source| Error::State { path, source })
    }
}

fn lock_failed(directory: &Path, source: io::Error) -> Error {
    Error::State {
        path: directory.join("lock"),
        source,
    }
}

fn in_use(path: &Path, pid: Option<u32>) -> Error {
    Error::StateInUse {
        path: path.to_owned(),
        pid,
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // What lies there is not ours to write through: a link, or a file that others may read.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    give_to_owner_of(&folder, &file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    folder.sync_all()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// An id that tells nothing of the machine's own: the manual page of machine-id(5) asks not to
/// show that one to others.
fn new_device_id() -> io::Result<DeviceId> {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let seed = match machine.trim() {
        "" | "uninitialized" => entropy::bytes::<16>()?.to_vec(),
        id => id.as_bytes().to_vec(),
    };
    let digest = Sha256::new()
        .chain_update(b"periwinkle device id")
        .chain_update(seed)
        .finalize();
    let hex: String = digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(DeviceId::new(&format!("device-{hex}")).expect("letters, digits and a dash"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_second_agent_is_refused_with_the_pid_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let _first = StateDir::open(folder.path()).expect("nobody has it yet");
        let error = StateDir::open(folder.path()).expect_err("the first has it");
        assert_eq!(error.exit_code(), 3);
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
    }

    #[test]
    fn nothing_is_written_through_a_link_that_somebody_planted() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "untouched").expect("it is ours");
        let link = |name: &str| std::os::unix::fs::symlink(&elsewhere, folder.path().join(name));

        link("setup-code.new").expect("it is ours");
        write_private(&folder.path().join("setup-code"), "secret").expect("the link gives way");
        link("lock").expect("it is ours");
        StateDir::open(folder.path()).expect_err("a lock is no link");

        assert_eq!(fs::read_to_string(&elsewhere).expect("ours"), "untouched");
        let code = folder.path().join("setup-code");
        let mode = fs::symlink_metadata(&code).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&code).expect("it is there"), "secret");
    }

    #[test]
    fn the_device_keeps_its_id() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let state = StateDir::open(folder.path()).expect("nobody has it yet");
        let first = state.device_id().expect("it can be made");
        assert_eq!(state.device_id().expect("it can be read"), first);
    }
}
