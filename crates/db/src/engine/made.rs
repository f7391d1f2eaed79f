//! Directories and names that a power cut does not take back.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::owner::give_to_owner_of;

/// For the owner's eyes only: what lies in it holds password hashes and the maker's data.
const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory with all that are missing above it, and returns once their entries are on
/// the disk. Each belongs to whom the one above it belongs to.
///
/// A file that is synced in a directory whose own entry never was is lost with it. So each
/// directory is made only when the entry of the one above it is on the disk. Of one that is there
/// already the entry is synced, too: whoever made it may have been killed before that.
///
/// # Errors
/// A directory cannot be made, or the disk does not confirm its entry.
pub fn make_directory(directory: &Path) -> io::Result<File> {
    if !directory.is_dir() {
        let above = directory.parent();
        if let Some(above) = above.filter(|path| !path.as_os_str().is_empty()) {
            make_directory(above)?;
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
            Ok(()) => {
                let (made, above) = (File::open(directory)?, above_of(directory)?);
                give_to_owner_of(&above, &made)?;
                above.sync_all()?;
                return Ok(made);
            }
            // Another process was faster, or the path ends in `..`.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    let there = File::open(directory)?;
    match above_of(directory).and_then(|above| above.sync_all()) {
        Err(error) if !is_none_of_ours(error.kind()) => Err(error),
        _ => Ok(there),
    }
}

/// Returns once the entry of a file in its directory is on the disk, as after a `rename`.
///
/// # Errors
/// The directory cannot be opened, or the disk does not confirm it.
pub fn sync_entry(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    match File::open(directory.unwrap_or(Path::new(".")))?.sync_all() {
        Err(error) if !is_without_sync(error.kind()) => Err(error),
        _ => Ok(()),
    }
}

/// The directory that holds the entry, whatever the path looks like: relative, `.`, or a link.
fn above_of(directory: &Path) -> io::Result<File> {
    File::open(directory.join(".."))
}

/// A directory above that this process may not even look into is not one that it made an entry
/// in.
fn is_none_of_ours(kind: ErrorKind) -> bool {
    let is_foreign = matches!(
        kind,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    );
    is_foreign || is_without_sync(kind)
}

/// Some file systems have nothing to sync of a directory, and say so.
fn is_without_sync(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn all_that_is_missing_is_made_for_the_owner_only_and_what_is_there_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("x/../y/z/");
        make_directory(&deep).unwrap();
        make_directory(&deep).unwrap();
        for made in ["x", "y", "y/z"] {
            let mode = scratch.path().join(made).metadata().unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o700, "{made}");
        }
        std::fs::write(scratch.path().join("file"), "x").unwrap();
        for wrong in ["file", "file/below"] {
            make_directory(&scratch.path().join(wrong)).unwrap_err();
        }
    }
}
