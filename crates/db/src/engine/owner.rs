//! Whom new files belong to.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Gid, Uid, fchown};
use rustix::process::geteuid;

/// Gives a file that root made in the directory of another user to that user, who could not go on
/// with it otherwise. Does nothing for everybody else: what they make is theirs.
///
/// # Errors
/// The system refuses.
pub fn give_to_owner_of(directory: &File, file: &File) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (owner, made) = (directory.metadata()?, file.metadata()?);
    if (owner.uid(), owner.gid()) == (made.uid(), made.gid()) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(fchown(file, Some(user), Some(group))?)
}
