//! `salvage`: what is intact of a damaged database, in a new state directory.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use periwinkle_db::engine::{self, FileStorage, SalvageError, give_to_owner_of};
use serde_json::json;

use super::super::args::Json;
use super::super::failure::Failure;
use super::super::new_file::{cannot_read, cannot_write};
use super::super::{human, output};
use super::verify::{losses, open_for_reading};
use crate::api::verify::describe;

pub(super) fn salvage(source: &Path, destination: &Path, json: Json) -> Result<(), Failure> {
    let damaged = open_for_reading(source)?;
    let mut place = Place::make(source, destination)?;
    let folder = destination.join("db");
    let new = FileStorage::open(folder).map_err(|error| Failure::refused(error.to_string()))?;
    let saved = engine::salvage(&damaged, Arc::new(new), &engine::Options::default());
    let saved = saved.map_err(|error| explain(&error))?;
    keep_device_id(source, destination)?;
    place.is_whole = true;
    let found = describe(&saved.inspection);
    if json.json {
        return output::print(&json!({"rows": saved.rows, "found": found}).to_string());
    }
    let mut text = format!(
        "{} saved into {}\n",
        human::counted(saved.rows, "row"),
        destination.display()
    );
    text.push_str(&losses(&found));
    if !saved.inspection.is_whole() {
        text.push_str(
            "where transactions are lost, a row may be missing or have an older value, and a \
             removed one be back\n",
        );
    }
    text.push_str(&format!(
        "look at it: periwinkle db find MODEL --state {0}\nrun on it: periwinkle run --state {0}\n",
        destination.display()
    ));
    output::print(&text)
}

/// The new directory. Half of what can be saved is worse than none, and would stand in the way of
/// the next attempt: it is removed again unless it becomes whole.
struct Place<'a> {
    path: &'a Path,
    was_there: bool,
    is_whole: bool,
}

impl<'a> Place<'a> {
    /// It belongs to whom the damaged one belongs to.
    fn make(source: &Path, path: &'a Path) -> Result<Place<'a>, Failure> {
        let was_there = path.is_dir();
        make_directory(source, path)?;
        Ok(Place {
            path,
            was_there,
            is_whole: false,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_whole {
            return;
        }
        // It was empty, so all of this is ours; what cannot be removed is named by the next one.
        let _ = fs::remove_dir_all(self.path.join("db"));
        if !self.was_there {
            let _ = fs::remove_dir_all(self.path);
        }
    }
}

fn make_directory(source: &Path, destination: &Path) -> Result<(), Failure> {
    let occupied = fs::read_dir(destination).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Failure::refused(format!(
            "{} is not empty; name a directory to be made",
            destination.display()
        )));
    }
    let made = engine::make_directory(destination);
    made.and_then(|made| give_to_owner_of(&File::open(source)?, &made))
        .map_err(|error| cannot_write(destination, &error))
}

/// Rows are named by the device, so its id belongs to them.
fn keep_device_id(source: &Path, destination: &Path) -> Result<(), Failure> {
    let [known, kept] = [source, destination].map(|state| state.join("device-id"));
    match fs::read_to_string(&known) {
        Ok(id) => crate::state::write_private(&kept, id.trim())
            .map_err(|error| cannot_write(&kept, &error)),
        // It may come from the configuration.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_read(&known, &error)),
    }
}

fn explain(error: &SalvageError) -> Failure {
    match error {
        SalvageError::NotEmpty => Failure::refused(error.to_string()),
        SalvageError::Open(_) => Failure::input(error.to_string()),
        _ => Failure::refused(error.to_string()).hint("nothing of the damaged files was changed"),
    }
}
