//! `import`: items from JSON lines or a JSON array.
//!
//! A file is read twice: each item in it is checked, with what is there and with the items before
//! it, before the first one is written. What comes on standard input can be read once only; there
//! each batch is checked as it comes.

mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use http::Method;
use periwinkle_core::limits::{IMPORT_FAULTS_SHOWN_MAX, IMPORT_REQUEST_BYTES};
use periwinkle_core::value::json::write_json;
use periwinkle_db::model::transfer::{ReadItem, Reader, TransferError};
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::new_file::cannot_read;
use super::super::progress::Progress;
use super::super::{human, output};
use super::args::Import;
use super::face::{Call, Face};
use crate::api::path::encoded;
use together::{Together, Told, Touched, Verdict};

pub(super) fn import(face: &Face, import: &Import) -> Result<(), Failure> {
    let name = import.file.display().to_string();
    let done = match import.file == Path::new("-") {
        true => {
            let mut run = Run::new(face, import, import.dry_run);
            let read = run.read(io::stdin().lock(), "standard input");
            run.result(read, "standard input")?
        }
        false => {
            let unreadable = |error: io::Error| cannot_read(&import.file, &error);
            let mut file = File::open(&import.file).map_err(unreadable)?;
            if !import.dry_run && file.stream_position().is_err() {
                return Err(read_once(&name));
            }
            // What conflicts is found by the check, too; only writing can tell what is replaced.
            let mut check = Run::new(face, import, true);
            let read = check.read(&mut file, &name);
            let checked = check.result(read, &name)?;
            if import.dry_run {
                checked
            } else {
                file.rewind().map_err(unreadable)?;
                let mut run = Run::new(face, import, false);
                let read = run.read(&mut file, &name);
                run.result(read, &name)?
            }
        }
    };
    tell(import, done)
}

/// A pipe, which is empty behind the check.
fn read_once(name: &str) -> Failure {
    Failure::refused(format!(
        "{name} can be read only once, but an import checks all of a file before it writes the first item"
    ))
    .hint("give - and the items on standard input, where each batch is checked as it comes; or save them as a file")
}

fn tell(import: &Import, done: Counts) -> Result<(), Failure> {
    if import.json.json {
        return output::print(
            &json!({
                "created": done.created, "replaced": done.replaced, "skipped": done.skipped,
                "dry_run": import.dry_run,
            })
            .to_string(),
        );
    }
    let verb = if import.dry_run { "would be " } else { "" };
    let mut words = format!("{} {verb}created", human::counted(done.created, "item"));
    for (count, what) in [(done.replaced, "replaced"), (done.skipped, "skipped")] {
        if count > 0 {
            words.push_str(&format!(", {} {what}", human::count(count)));
        }
    }
    output::print(&words)
}

/// What became of the items so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    created: u64,
    replaced: u64,
    skipped: u64,
}

/// What is wrong with an item, and where it stands in the file.
struct Fault {
    place: (u64, u64),
    words: String,
    /// Of what kind it is, and which field it is about, if the database found it.
    kind: Option<(String, Option<String>)>,
}

impl Fault {
    fn told(&self) -> Option<Told<'_>> {
        let (kind, field) = self.kind.as_ref()?;
        Some(Told {
            kind,
            field: field.as_deref(),
            words: &self.words,
        })
    }
}

impl Counts {
    /// An item that was counted as created is the second with its key.
    fn comes_again(&mut self, replaces: bool) {
        self.created = self.created.saturating_sub(1);
        match replaces {
            true => self.replaced += 1,
            false => self.skipped += 1,
        }
    }
}

/// One pass over the items.
struct Run<'a> {
    face: &'a Face,
    path: String,
    checks_only: bool,
    /// What the items so far have to do with those to come, while nothing is written.
    together: Option<Together>,
    /// The items of the next request, a line each, and where they stand in the file.
    batch: String,
    places: Vec<(u64, u64)>,
    batch_bytes_max: usize,
    counts: Counts,
    /// What the reader found wrong since the last request.
    unread: Vec<Fault>,
    faults: Vec<String>,
    faults_more: u64,
    progress: Progress,
}

impl<'a> Run<'a> {
    fn new(face: &'a Face, import: &Import, checks_only: bool) -> Run<'a> {
        let mut path = format!(
            "/api/v1/database/import?check={checks_only}&traces={checks_only}&on_conflict={}",
            import.on_conflict.as_str()
        );
        if let Some(model) = &import.model {
            path.push_str(&format!("&model={}", encoded(model)));
        }
        Run {
            face,
            path,
            checks_only,
            together: checks_only.then(|| Together::new(import.on_conflict)),
            batch: String::new(),
            places: Vec::new(),
            batch_bytes_max: IMPORT_REQUEST_BYTES.min(face.body_bytes_max()),
            counts: Counts::default(),
            unread: Vec::new(),
            faults: Vec::new(),
            faults_more: 0,
            progress: Progress::new(if checks_only { "checked" } else { "imported" }),
        }
    }

    fn read(&mut self, mut input: impl Read, name: &str) -> Result<(), Failure> {
        let mut reader = Reader::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            let bytes = match input.read(&mut piece) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::input(format!("{name} cannot be read: {error}")));
                }
            };
            match bytes {
                0 => reader.finish(),
                _ => reader.push(&piece[..bytes]),
            }
            while let Some(item) = reader.next_item() {
                self.take(item)?;
            }
            if bytes == 0 {
                return self.send();
            }
        }
    }

    fn take(&mut self, item: Result<ReadItem, TransferError>) -> Result<(), Failure> {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                self.unread.push(Fault {
                    place: (error.line, error.column),
                    words: error.fault.to_string(),
                    kind: None,
                });
                return match self.unread.len() < IMPORT_FAULTS_SHOWN_MAX {
                    true => Ok(()),
                    false => self.send(),
                };
            }
        };
        let mut line = String::new();
        write_json(&item.value, &mut line);
        if !self.batch.is_empty() && self.batch.len() + line.len() >= self.batch_bytes_max {
            self.send()?;
        }
        self.batch.push_str(&line);
        self.batch.push('\n');
        self.places.push((item.line, item.column));
        Ok(())
    }

    /// Gives the batch to the database, and notes all that is wrong with it in the order of the
    /// file. After a fault nothing is written any more, but the rest is still checked.
    fn send(&mut self) -> Result<(), Failure> {
        let mut found = std::mem::take(&mut self.unread);
        let is_broken = !self.faults.is_empty() || !found.is_empty();
        if !self.places.is_empty() {
            found.extend(self.exchange(is_broken)?);
        }
        found.sort_by_key(|fault| fault.place);
        for fault in found {
            self.note_fault(fault);
        }
        Ok(())
    }

    fn exchange(&mut self, is_broken: bool) -> Result<Vec<Fault>, Failure> {
        let batch = std::mem::take(&mut self.batch);
        let places = std::mem::take(&mut self.places);
        let path = match is_broken {
            true => self.path.replace("check=false", "check=true"),
            false => self.path.clone(),
        };
        let bytes = self.face.bytes(Call {
            method: Method::POST,
            path: &path,
            body: Some(("application/x-ndjson", batch)),
        })?;
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::internal(format!("the answer is not JSON: {error}")))?;
        let faults = answer["faults"].as_array().map(Vec::as_slice);
        let found = faults.unwrap_or_default().iter();
        let mut found = found.map(|fault| read_fault(fault, &places)).collect();
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        let mut counts = Counts {
            created: count("created"),
            replaced: count("replaced"),
            skipped: count("skipped"),
        };
        if let Some(together) = &mut self.together {
            compare(together, &answer, &places, &mut found, &mut counts);
        }
        if !is_broken && found.is_empty() {
            self.counts.created += counts.created;
            self.counts.replaced += counts.replaced;
            self.counts.skipped += counts.skipped;
        }
        let counts = self.counts;
        let all = counts.created + counts.replaced + counts.skipped;
        self.progress.tell(|| human::counted(all, "item"));
        Ok(found)
    }

    fn note_fault(&mut self, Fault { place, words, .. }: Fault) {
        let (line, column) = place;
        match self.faults.len() < IMPORT_FAULTS_SHOWN_MAX {
            true => self.faults.push(match line {
                0 => words,
                _ => format!("line {line}, column {column}: {words}"),
            }),
            false => self.faults_more += 1,
        }
    }

    fn result(mut self, read: Result<(), Failure>, name: &str) -> Result<Counts, Failure> {
        self.progress.end();
        let written = match self.checks_only {
            true => 0,
            false => self.counts.created + self.counts.replaced,
        };
        let kept = match written {
            0 => "nothing was written".to_owned(),
            written => format!(
                "{} before it written; run it again with --on-conflict skip or replace",
                human::counted(written, "item")
            ),
        };
        if let Err(failure) = read {
            return Err(match written {
                0 => failure,
                _ => failure.hint(kept),
            });
        }
        if self.faults.is_empty() {
            return Ok(self.counts);
        }
        let mut words = String::new();
        for fault in &self.faults {
            words.push_str(&format!("{name}: {fault}\n"));
        }
        if self.faults_more > 0 {
            words.push_str(&format!("and {} more\n", human::count(self.faults_more)));
        }
        Err(Failure::refused(format!("{words}{kept}")))
    }
}

/// Compares the items of a request with those before them: some faults are added, others do not
/// hold, and what comes again is not created again.
fn compare(
    together: &mut Together,
    answer: &Value,
    places: &[(u64, u64)],
    faults: &mut Vec<Fault>,
    counts: &mut Counts,
) {
    together.read_rooms(&answer["rooms"]);
    let traces = answer["traces"].as_array().map(Vec::as_slice);
    let traces = traces.unwrap_or_default().iter();
    let touched: Vec<_> = traces
        .filter_map(|trace| Some((place_of(trace, places)?, Touched::read(trace)?)))
        .collect();
    let mut told: BTreeMap<_, _> = faults.drain(..).map(|fault| (fault.place, fault)).collect();
    let again = touched.iter().filter(|(_, touched)| together.has(touched));
    let mut again: BTreeSet<_> = again.map(|(_, touched)| touched.key()).collect();
    for (place, touched) in &touched {
        let own = told.get(place).and_then(Fault::told);
        match together.judge(touched, *place, own) {
            Verdict::AsTold => {}
            Verdict::Good => {
                told.remove(place);
                // The request took the first of them in it for a new one.
                if again.remove(&touched.key()) && !touched.is_there() {
                    counts.comes_again(together.replaces());
                }
            }
            Verdict::Fault(words) => {
                let fault = Fault {
                    place: *place,
                    words,
                    kind: None,
                };
                told.insert(*place, fault);
            }
        }
    }
    faults.extend(told.into_values());
}

fn place_of(answered: &Value, places: &[(u64, u64)]) -> Option<(u64, u64)> {
    let line = usize::try_from(answered["line"].as_u64()?).ok()?;
    places.get(line.checked_sub(1)?).copied()
}

/// A fault of the API, whose lines are those of the batch, with the place in the file; line 0 if
/// the API names none.
fn read_fault(fault: &Value, places: &[(u64, u64)]) -> Fault {
    let text = |name: &str| fault[name].as_str().map(str::to_owned);
    Fault {
        place: place_of(fault, places).unwrap_or_default(),
        words: output::plain(fault["detail"].as_str().unwrap_or("it was refused")),
        kind: text("kind").map(|kind| (kind, text("field"))),
    }
}
