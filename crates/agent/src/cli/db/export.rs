//! `export`: items as lines, to a file or to standard output.

use std::ops::ControlFlow;
use std::path::Path;

use super::super::failure::Failure;
use super::super::new_file::NewFile;
use super::super::progress::Progress;
use super::super::{human, output};
use super::args::Export;
use super::face::{Call, Face};
use super::words::{self, Model};
use crate::api::path::encoded;

pub(super) fn export(face: &Face, export: &Export) -> Result<(), Failure> {
    let mut path = format!("/api/v1/database/export?form={}", export.form.as_str());
    for model in &export.models {
        path.push_str(&format!("&model={}", encoded(model)));
    }
    // Without names the agent leaves out what it cannot read.
    let left_out: Vec<String> = match export.models.is_empty() {
        true => words::models(face)?.iter().filter_map(left_out).collect(),
        false => Vec::new(),
    };
    match export
        .output
        .as_deref()
        .filter(|output| *output != Path::new("-"))
    {
        Some(file) => to_file(face, &path, file)?,
        None => to_stdout(face, &path)?,
    }
    match left_out.is_empty() {
        true => Ok(()),
        false => Err(Failure::refused(left_out.join("\n"))
            .hint("everything else is exported; an agent with the newer schema exports the rest")),
    }
}

fn left_out(model: &Model) -> Option<String> {
    let parked = model.parked()?;
    Some(format!("{} is not exported: {parked}", model.name))
}

fn to_stdout(face: &Face, path: &str) -> Result<(), Failure> {
    face.pieces(Call::get(path), |piece| output::write_piece(&piece))
}

fn to_file(face: &Face, path: &str, file: &Path) -> Result<(), Failure> {
    // It may hold secrets: nobody else may read it.
    let mut whole = NewFile::create(file, 0o600)?;
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
