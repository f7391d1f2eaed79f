//! The tails of power cuts, kept aside as files of their own for whoever wants to look.

use std::io;

use periwinkle_core::limits::DB_CUT_TAILS_KEPT_MAX;

use super::flush::is_full;
use super::storage::Storage;

/// Keeps `bytes` in a file and returns its name; `None` when the disk has no room for it.
/// The oldest files go when there are too many.
pub(crate) fn keep(
    storage: &dyn Storage,
    segment: u32,
    offset: u64,
    bytes: &[u8],
) -> io::Result<Option<String>> {
    let name = format!("{segment:08}-{offset:08}.tail");
    let mut names = list(storage)?;
    // An opening that was itself interrupted left the same bytes under the same name.
    names.retain(|other| *other != name);
    let surplus = (names.len() + 1).saturating_sub(DB_CUT_TAILS_KEPT_MAX);
    for old in names.iter().take(surplus) {
        storage.remove(old)?;
    }
    match write(storage, &name, bytes) {
        Ok(()) => Ok(Some(name)),
        Err(error) if is_full(&error) => {
            remove_if_there(storage, &name)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How many tails lie aside.
pub(crate) fn count(storage: &dyn Storage) -> io::Result<u64> {
    Ok(list(storage)?.len() as u64)
}

/// The names of the tails, oldest first: segments and offsets only grow.
fn list(storage: &dyn Storage) -> io::Result<Vec<String>> {
    let mut names = storage.list()?;
    names.retain(|name| name.ends_with(".tail"));
    names.sort_unstable();
    Ok(names)
}

fn write(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    remove_if_there(storage, name)?;
    let file = storage.create(name)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    storage.sync_dir()
}

fn remove_if_there(storage: &dyn Storage, name: &str) -> io::Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
