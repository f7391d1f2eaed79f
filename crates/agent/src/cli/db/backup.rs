//! `backup`: the database as it is now, in a new directory.
//!
//! The files come from whoever serves the API and are written here, with the rights of whoever
//! typed the command. They get their directory's name once they are all there, verified and on
//! the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use periwinkle_core::config::Bytes;
use periwinkle_db::engine::{FileStorage, sync_entry, verify};
use serde_json::{Value, json};

use super::super::args::Json;
use super::super::failure::Failure;
use super::super::new_file::{cannot_write, partial};
use super::super::progress::Progress;
use super::super::{human, output};
use super::face::{Call, Face};
use crate::tar::{NotAnArchive, Part, Unpack};

const PATH: &str = "/api/v1/database/backup";

pub(super) fn backup(
    face: &Face,
    directory: &Path,
    rate: Option<&str>,
    json: Json,
) -> Result<(), Failure> {
    let mut pace = Pace::new(rate)?;
    if directory == Path::new("-") {
        return face.pieces(Call::get(PATH), |piece| {
            pace.keep(piece.len());
            output::write_piece(&piece)
        });
    }
    let mut copy = Copy::begin(directory)?;
    let mut unpack = Unpack::default();
    let mut progress = Progress::new("copied");
    face.pieces(Call::get(PATH), |piece| {
        unpack.push(&piece, |part| copy.take(part))?;
        progress.tell(|| human::size(copy.bytes));
        pace.keep(piece.len());
        Ok(ControlFlow::Continue(()))
    })?;
    progress.end();
    let about = copy.finish()?;
    tell(directory, &about, json)
}

fn tell(directory: &Path, about: &Value, json: Json) -> Result<(), Failure> {
    let files = about["files"].as_array().map_or(&[][..], Vec::as_slice);
    let bytes: u64 = files.iter().filter_map(|file| file["bytes"].as_u64()).sum();
    if json.json {
        let told = json!({
            "directory": directory, "sequence": about["sequence"], "bytes": bytes,
            "files": files.len(),
        });
        return output::print(&told.to_string());
    }
    output::print(&format!(
        "{} in {}, as of sequence {}, verified; `periwinkle run --state {}` would run on it",
        human::size(bytes),
        human::counted(files.len() as u64, "segment"),
        human::count(about["sequence"].as_u64().unwrap_or(0)),
        directory.display(),
    ))
}

/// A copy in the making, beside the place where it is to be.
struct Copy {
    directory: PathBuf,
    partial: PathBuf,
    file: Option<File>,
    /// What the file `backup.json` says, as it comes in.
    name: String,
    about: Vec<u8>,
    bytes: u64,
    whole: bool,
    finished: bool,
}

impl Copy {
    fn begin(directory: &Path) -> Result<Copy, Failure> {
        if fs::symlink_metadata(directory).is_ok() {
            return Err(
                Failure::refused(format!("{} is there already", directory.display()))
                    .hint("name a directory to be made"),
            );
        }
        let partial = partial(directory);
        make(&partial).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::refused(format!("{} is there already", partial.display())).hint(
                    "another backup is being made there, or was cut off: then remove it first",
                )
            }
            _ => cannot_write(&partial, &error),
        })?;
        // From here on the half copy is ours to remove.
        let copy = Copy {
            directory: directory.to_owned(),
            partial,
            file: None,
            name: String::new(),
            about: Vec::new(),
            bytes: 0,
            whole: false,
            finished: false,
        };
        make(&copy.partial.join("db")).map_err(|error| cannot_write(&copy.partial, &error))?;
        Ok(copy)
    }

    fn take(&mut self, part: Part<'_>) -> Result<(), Failure> {
        match part {
            Part::File { name, .. } => {
                if !is_ours(&name) {
                    return Err(NotAnArchive.into());
                }
                let path = self.partial.join(&name);
                let made = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path);
                self.file = Some(made.map_err(|error| cannot_write(&path, &error))?);
                self.name = name;
            }
            Part::Bytes(bytes) => {
                if self.name == "backup.json" {
                    self.about.extend_from_slice(bytes);
                }
                self.bytes += bytes.len() as u64;
                self.on_file(|file| file.write_all(bytes))?;
            }
            Part::FileEnd => {
                self.on_file(|file| file.sync_all())?;
                self.file = None;
            }
            Part::End => self.whole = true,
        }
        Ok(())
    }

    fn on_file(&mut self, work: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Failure> {
        let file = self.file.as_mut().expect("bytes belong to a file");
        work(file).map_err(|error| cannot_write(&self.partial.join(&self.name), &error))
    }

    /// Verifies the copy and gives it its name.
    fn finish(mut self) -> Result<Value, Failure> {
        if !self.whole {
            return Err(Failure::unreachable("the copy broke off before its end"));
        }
        let about: Value = serde_json::from_slice(&self.about)
            .map_err(|_| Failure::internal("the copy does not say what it is"))?;
        let folder = self.partial.join("db");
        let storage = FileStorage::open_read_only(&folder)
            .map_err(|error| Failure::internal(error.to_string()))?;
        let found = verify(&storage).map_err(|error| Failure::input(error.to_string()))?;
        let sequence = about["sequence"].as_u64().unwrap_or(0);
        // The frame of an orderly close comes behind it.
        let reaches = sequence == 0 || found.sequence == sequence + 1;
        if !found.is_whole() || found.tail.is_some() || !reaches {
            let damage = found.damage.iter().chain(&found.tail).next();
            let what = damage.map_or_else(|| "it ends too early".to_owned(), ToString::to_string);
            return Err(Failure::input(format!("the copy is not whole: {what}")).hint(
                "`periwinkle db verify` tells whether the database itself is damaged; otherwise \
                 it is the disk of the copy",
            ));
        }
        let placed = sync_directory(&folder)
            .and_then(|()| sync_directory(&self.partial))
            .and_then(|()| fs::rename(&self.partial, &self.directory))
            .and_then(|()| sync_entry(&self.directory));
        placed.map_err(|error| cannot_write(&self.directory, &error))?;
        self.finished = true;
        Ok(about)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.finished {
            // Half a copy is worse than none; what cannot be removed is named by the next one.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

impl From<NotAnArchive> for Failure {
    fn from(error: NotAnArchive) -> Failure {
        Failure::internal(error.to_string()).hint("are command and agent of the same version?")
    }
}

/// Nothing else is written, whatever an archive says.
fn is_ours(name: &str) -> bool {
    let is_segment = name.strip_prefix("db/").is_some_and(|name| {
        let number = name.strip_suffix(".log");
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_segment || ["device-id", "backup.json"].contains(&name)
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Sleeps so that no more than so many bytes a second are taken; whoever sends them waits.
struct Pace {
    bytes_per_second: Option<u64>,
    start: Instant,
    bytes: u64,
}

impl Pace {
    fn new(rate: Option<&str>) -> Result<Pace, Failure> {
        let parse = |text: &str| match text.parse::<Bytes>() {
            Ok(Bytes(0)) => Err(Failure::usage("--rate: nothing a second never ends")),
            Ok(size) => Ok(size.0),
            Err(why) => Err(Failure::usage(format!("--rate: {why}"))),
        };
        Ok(Pace {
            bytes_per_second: rate.map(parse).transpose()?,
            start: Instant::now(),
            bytes: 0,
        })
    }

    fn keep(&mut self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        self.bytes += bytes as u64;
        let due = Duration::from_secs_f64(self.bytes as f64 / rate as f64);
        std::thread::sleep(due.saturating_sub(self.start.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_a_backup_are_written() {
        for name in ["db/00000001.log", "device-id", "backup.json"] {
            assert!(is_ours(name), "{name}");
        }
        for name in [
            "db/.log",
            "db/../x.log",
            "/etc/passwd",
            "db/1.log/x",
            "lock",
            "db/1.logs",
            "",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_rate_is_a_size() {
        assert_eq!(
            Pace::new(Some("5MB")).unwrap().bytes_per_second,
            Some(5_000_000)
        );
        for wrong in ["", "fast", "0", "-1"] {
            assert!(Pace::new(Some(wrong)).is_err(), "{wrong}");
        }
        let mut pace = Pace::new(Some("100kB")).unwrap();
        pace.keep(5_000);
        assert!(pace.start.elapsed() >= Duration::from_millis(50));
    }
}
