//! The rules that no compiler knows. Each rule is a function from the tracked files to what is
//! wrong.

mod bounds;
mod imports;
mod manifests;
mod text;

use std::fmt;
use std::fs;

use anyhow::{Result, bail};

use crate::command::{output, program};
use crate::paths;

/// A rule sees all files at once and answers with one finding per breach.
type Rule = fn(&[Source]) -> Vec<Finding>;

const RULES: &[Rule] = &[
    imports::sides_of_the_agent_do_not_meet,
    imports::cloud_services_do_not_meet,
    imports::core_touches_no_clock_and_no_socket,
    manifests::crates_depend_downwards,
    manifests::pure_crates_have_no_runtime,
    manifests::every_crate_forbids_unsafe_code,
    manifests::locked_packages_name_no_address,
    bounds::every_bound_names_its_unit,
    text::nothing_is_left_to_do,
    text::names_say_what_a_thing_is,
    text::files_stay_readable,
    text::no_number_of_an_issue,
    text::no_host_of_a_registry,
];

/// One text file of the repository; `path` is from the root, with `/` between folders.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    fn finding(&self, line: usize, text: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            text: text.into(),
        }
    }
}

/// A place where a rule is broken; line 0 is the file as a whole.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.text),
            line => write!(out, "{}:{line}: {}", self.path, self.text),
        }
    }
}

pub(crate) fn run() -> Result<()> {
    let sources = sources()?;
    let findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&sources)).collect();
    if findings.is_empty() {
        println!("\ntidy: {} files keep {} rules", sources.len(), RULES.len());
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!("tidy: {} findings", findings.len())
}

/// Everything that is committed, or will be with the next `git add --all`.
pub(crate) fn tracked_files() -> Result<Vec<String>> {
    let arguments = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let listed = output(program("git").args(arguments))?;
    let exists = |path: &&str| paths::root().join(path).is_file();
    Ok(listed
        .split_terminator('\0')
        .filter(exists)
        .map(str::to_owned)
        .collect())
}

fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in tracked_files()? {
        // What is not text is no business of these rules.
        if let Ok(text) = fs::read_to_string(paths::root().join(&path)) {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

#[cfg(test)]
fn check(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    let source = Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    rule(&[source]).iter().map(|finding| finding.line).collect()
}
