//! `upload get`.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::failure::Failure;
use super::super::new_file::NewFile;
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
        return talk.pieces(&path, |piece, _| output::write_piece(&piece));
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

fn save(talk: &Talk, path: &str, target: &Path) -> Result<u64, Failure> {
    let mut file = NewFile::create(target, 0o666)?;
    let mut progress = Progress::new("received");
    let mut bytes = 0;
    talk.pieces(path, |piece, length| {
        file.write(&piece)?;
        bytes += piece.len() as u64;
        progress.tell(|| match length {
            Some(length) => format!("{} of {}", human::size(bytes), human::size(length)),
            None => human::size(bytes),
        });
        Ok(ControlFlow::Continue(()))
    })?;
    progress.end();
    file.finish()?;
    Ok(bytes)
}
