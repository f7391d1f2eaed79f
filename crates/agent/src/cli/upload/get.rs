//! `upload get`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::{human, output};
use super::UPLOADS;
use super::args::Get;
use super::talk::Talk;
use crate::api::path::encoded_path;

pub(super) fn get(talk: &Talk, get: &Get) -> Result<(), Failure> {
    let path = format!("{UPLOADS}/objects/{}", encoded_path(&get.key));
    let target = target(get)?;
    if target == Path::new("-") {
        return talk.pieces(&path, |piece, _| {
            Ok(match output::write(&piece)? {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        });
    }
    let bytes = save(talk, &path, &target)?;
    if get.json.json {
        let told = json!({"key": get.key, "file": target, "bytes": bytes});
        return output::print(&told.to_string());
    }
    output::print(&format!("{} in {}", human::size(bytes), target.display()))
}

fn target(get: &Get) -> Result<PathBuf, Failure> {
    let target = match &get.output {
        Some(target) => target.clone(),
        None => match get.key.rsplit('/').next() {
            Some(name) if !["", ".", ".."].contains(&name) => PathBuf::from(name),
            _ => {
                return Err(Failure::usage(
                    "the key has no last name: give --output FILE",
                ));
            }
        },
    };
    if target != Path::new("-") && fs::symlink_metadata(&target).is_ok() {
        return Err(
            Failure::refused(format!("{} is there already", target.display()))
                .hint("name another file with --output"),
        );
    }
    Ok(target)
}

/// Written beside its place, which it takes when it is whole and on the disk.
fn save(talk: &Talk, path: &str, target: &Path) -> Result<u64, Failure> {
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut draft = Draft::begin(&part)?;
    let mut progress = Progress::new("received");
    let mut bytes = 0;
    talk.pieces(path, |piece, length| {
        draft.write(&piece)?;
        bytes += piece.len() as u64;
        progress.tell(|| match length {
            Some(length) => format!("{} of {}", human::size(bytes), human::size(length)),
            None => human::size(bytes),
        });
        Ok(ControlFlow::Continue(()))
    })?;
    progress.end();
    draft.finish(target)?;
    Ok(bytes)
}

/// A half file; removed unless it is finished.
struct Draft {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Draft {
    fn begin(path: &Path) -> Result<Draft, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        Ok(Draft {
            file: file.map_err(|error| cannot_write(path, &error))?,
            path: path.to_owned(),
            finished: false,
        })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(piece);
        written.map_err(|error| cannot_write(&self.path, &error))
    }

    fn finish(mut self, target: &Path) -> Result<(), Failure> {
        let renamed = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, target));
        renamed.map_err(|error| cannot_write(target, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done about it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("{} cannot be written: {error}", path.display()))
}
