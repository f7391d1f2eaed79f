//! `verify`: every byte is read, and all damage is named.

use std::path::{Path, PathBuf};

use http::Method;
use periwinkle_db::engine::{FileStorage, StorageError, Verification};
use serde_json::Value;

use super::super::args::Json;
use super::super::failure::Failure;
use super::super::inputs::Inputs;
use super::super::progress::Progress;
use super::super::{human, output};
use super::face::{Call, Face, Use};
use super::files::is_folder;
use crate::api::verify::describe;

/// The running agent verifies what it has open; files that nobody has open are read here, and
/// need not even open as a database.
pub(super) fn verify(inputs: &Inputs, directory: Option<&Path>, json: Json) -> Result<(), Failure> {
    if let Some(directory) = directory {
        return verify_directory(directory, json);
    }
    if Face::is_served(inputs)? {
        return verify_open(&Face::open(inputs, Use::Read)?, json);
    }
    verify_directory(&inputs.load()?.config.runtime.state, json)
}

/// Verifies what the face has open, as of now.
pub(super) fn verify_open(face: &Face, json: Json) -> Result<(), Failure> {
    let mut progress = Progress::new("read");
    let mut lines = Vec::new();
    let mut result = None;
    let call = Call {
        method: Method::POST,
        path: "/api/v1/database/verify",
        body: None,
    };
    face.pieces(call, |piece| {
        lines.extend_from_slice(&piece);
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = lines.drain(..=end).collect();
            let line: Value = serde_json::from_slice(&line).unwrap_or_default();
            progress.tell(|| format!("{} of {} segments", line["segments"], line["of"]));
            result = result.take().or_else(|| line.get("result").cloned());
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    progress.end();
    match result {
        Some(found) => tell(&found, json),
        None => Err(Failure::unreachable(
            "the agent broke off before it was through",
        )),
    }
}

/// Verifies the files in a directory that nobody writes to.
pub(super) fn verify_directory(directory: &Path, json: Json) -> Result<(), Failure> {
    let storage = open_for_reading(directory)?;
    let mut verification =
        Verification::of_files(&storage).map_err(|error| Failure::input(error.to_string()))?;
    let mut progress = Progress::new("read");
    while verification.step() {
        let (segments, of) = verification.progress();
        progress.tell(|| format!("{segments} of {of} segments"));
    }
    progress.end();
    let found = verification.finish();
    if found.segments == 0 {
        return Err(no_database(directory));
    }
    tell(&describe(&found), json)
}

/// The files of a database, from its own folder or that of the state around it.
pub(super) fn open_for_reading(directory: &Path) -> Result<FileStorage, Failure> {
    let folder = database_in(directory)?;
    FileStorage::open_read_only(folder).map_err(|error| match error {
        StorageError::Locked { .. } => Failure::refused(error.to_string()),
        _ => Failure::input(error.to_string()),
    })
}

fn database_in(directory: &Path) -> Result<PathBuf, Failure> {
    let inside = directory.join("db");
    if is_folder(&inside)? {
        return Ok(inside);
    }
    let has_segments = std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().ends_with(".log")
        })
    });
    match has_segments {
        true => Ok(directory.to_owned()),
        false => Err(no_database(directory)),
    }
}

fn no_database(directory: &Path) -> Failure {
    Failure::input(format!("there is no database in {}", directory.display()))
        .hint("name a state directory or a backup, or the agent's with --state")
}

/// Tells what was found; damage is a failure of the database file.
fn tell(found: &Value, json: Json) -> Result<(), Failure> {
    let whole = found["whole"] == true;
    match json.json {
        true => output::print(&found.to_string())?,
        false => output::print(&report(found))?,
    }
    match whole {
        true => Ok(()),
        false => Err(Failure::input("the database is damaged").hint(
            "stop the agent, then save what is intact with `periwinkle db salvage STATE NEW`, or \
             restore a backup",
        )),
    }
}

fn report(found: &Value) -> String {
    let number = |name: &str| found[name].as_u64().unwrap_or(0);
    let read = format!(
        "{} in {}, {}, up to sequence {}",
        human::size(number("bytes")),
        human::counted(number("segments"), "segment"),
        human::counted(number("transactions"), "transaction"),
        human::count(number("sequence")),
    );
    let mut text = match found["whole"] == true {
        true => format!("intact: {read}\n"),
        false => format!("DAMAGED: {read}\n"),
    };
    text.push_str(&losses(found));
    if let Some(tail) = found["tail"].as_object() {
        text.push_str(&format!(
            "{} from byte {} on: {}; opening cuts it off\n",
            word(&tail["file"]),
            tail["offset"],
            word(&tail["what"])
        ));
    }
    text
}

/// What is damaged and what is missing, a line each.
pub(super) fn losses(found: &Value) -> String {
    let mut text = String::new();
    for damage in list(&found["damage"]) {
        text.push_str(&format!(
            "{} is damaged at byte {}: {}\n",
            word(&damage["file"]),
            damage["offset"],
            word(&damage["what"])
        ));
        for row in list(&damage["rows"]) {
            text.push_str(&format!("  it wrote {}\n", word(row)));
        }
    }
    for gap in list(&found["lost"]) {
        text.push_str(&match gap[0] == gap[1] {
            true => format!("transaction {} is lost\n", gap[0]),
            false => format!("transactions {} to {} are lost\n", gap[0], gap[1]),
        });
    }
    text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    output::plain(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn damage_is_told_with_its_place_and_rows() {
        let found = json!({
            "whole": false, "segments": 2, "bytes": 8_388_608, "transactions": 1234,
            "sequence": 1240,
            "damage": [{"file": "00000001.log", "offset": 640, "what": "no whole frame up to byte 900",
                        "rows": ["the item dev#d1#rw Setting#a\u{1b}"]}],
            "lost": [[3, 3], [7, 9]],
            "tail": {"file": "00000002.log", "offset": 77, "what": "cut short", "rows": []},
        });
        let expected = "\
DAMAGED: 8.3 MB in 2 segments, 1,234 transactions, up to sequence 1,240
00000001.log is damaged at byte 640: no whole frame up to byte 900
  it wrote the item dev#d1#rw Setting#a\u{fffd}
transaction 3 is lost
transactions 7 to 9 are lost
00000002.log from byte 77 on: cut short; opening cuts it off
";
        assert_eq!(report(&found), expected);
    }
}
