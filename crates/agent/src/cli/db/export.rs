//! `export`: items as lines, to a file or to standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::{human, output};
use super::args::Export;
use super::face::{Call, Face};
use crate::api::path::encoded;

pub(super) fn export(face: &Face, export: &Export) -> Result<(), Failure> {
    let mut path = format!("/api/v1/database/export?form={}", export.form.as_str());
    for model in &export.models {
        path.push_str(&format!("&model={}", encoded(model)));
    }
    match export
        .output
        .as_deref()
        .filter(|output| *output != Path::new("-"))
    {
        Some(file) => to_file(face, &path, file),
        None => to_stdout(face, &path),
    }
}

fn to_stdout(face: &Face, path: &str) -> Result<(), Failure> {
    face.pieces(Call::get(path), |piece| {
        Ok(match output::write(&piece)? {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })
}

fn to_file(face: &Face, path: &str, file: &Path) -> Result<(), Failure> {
    let mut whole = NewFile::create(file)?;
    let mut progress = Progress::new("exported");
    let mut lines = 0u64;
    face.pieces(Call::get(path), |piece| {
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        progress.tell(|| human::counted(lines, "item"));
        whole.write(&piece).map(ControlFlow::Continue)
    })?;
    progress.end();
    whole.finish()?;
    let words = format!("{} in {}", human::counted(lines, "item"), file.display());
    output::print(&words)
}

/// A file that gets its name once it is whole and on the disk.
struct NewFile {
    path: PathBuf,
    fresh: PathBuf,
    file: Option<BufWriter<File>>,
}

impl NewFile {
    fn create(path: &Path) -> Result<NewFile, Failure> {
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".partial");
        let fresh = PathBuf::from(fresh);
        // It may hold secrets: nobody else may read it.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(|error| cannot_write(&fresh, &error))?;
        Ok(NewFile {
            path: path.to_owned(),
            fresh,
            file: Some(BufWriter::new(file)),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.file.as_mut().expect("it is open until the end");
        file.write_all(bytes)
            .map_err(|error| cannot_write(&self.fresh, &error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let file = self.file.take().expect("it is open until the end");
        let done = file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.fresh, &self.path));
        done.map_err(|error| cannot_write(&self.path, &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Half an export is worse than none. It may be gone already.
            let _ = fs::remove_file(&self.fresh);
        }
    }
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let words = format!("{} cannot be written: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::refused(words).hint("free some space, or name a file on another disk")
        }
        io::ErrorKind::FileTooLarge => {
            Failure::refused(words).hint("raise the limit on the size of files (ulimit -f)")
        }
        _ => Failure::refused(words),
    }
}
