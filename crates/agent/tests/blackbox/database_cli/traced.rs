//! What commands make is on the disk with the entries that lead to it: seen by strace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{good, quiet};
use crate::agent::Home;

/// What a command did to directories, in order.
#[derive(Debug, PartialEq)]
enum Step {
    Made(PathBuf),
    Named(PathBuf),
    Synced(PathBuf),
}

/// Runs `periwinkle ARGUMENTS` to a good end.
fn trace(home: &Home, arguments: &[&str]) -> Vec<Step> {
    let out = home.path().join("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "-s", "4096", "-o"])
        .arg(&out);
    strace.args([
        "-e",
        "trace=mkdir,mkdirat,rename,renameat,renameat2,fsync,fdatasync",
    ]);
    strace
        .arg(env!("CARGO_BIN_EXE_periwinkle"))
        .arg("--config")
        .arg(home.config());
    strace.args(arguments).current_dir(home.path());
    let output = strace.output().unwrap_or_else(|error| {
        panic!("strace: {error}; `cargo xtask setup` installs it");
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
    let trace = fs::read_to_string(&out).expect("strace wrote it");
    let folder = fs::canonicalize(home.path()).expect("it is there");
    trace
        .lines()
        .filter_map(|line| step(&folder, line))
        .collect()
}

/// A line like `123 mkdir("a/b", 0700) = 0` or `123 fsync(9</tmp/a>) = 0`.
fn step(folder: &Path, line: &str) -> Option<Step> {
    let (call, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let name = call.rsplit(' ').next()?;
    if result.trim() != "0" {
        return None;
    }
    // The last text is the new name.
    let quoted = || Some(folder.join(arguments.rsplit('"').nth(1)?));
    match name {
        "mkdir" | "mkdirat" => Some(Step::Made(quoted()?)),
        "rename" | "renameat" | "renameat2" => Some(Step::Named(quoted()?)),
        _ => {
            let (_, path) = arguments.split_once('<')?;
            Some(Step::Synced(PathBuf::from(path.rsplit_once('>')?.0)))
        }
    }
}

/// Every entry that was made was synced after that; the directories that were made.
#[track_caller]
fn check(steps: &[Step]) -> Vec<&Path> {
    let mut made = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let entry = match step {
            Step::Made(path) => {
                made.push(&**path);
                path
            }
            Step::Named(path) => path,
            Step::Synced(_) => continue,
        };
        let above = entry.parent().expect("it is in a directory");
        let synced = Step::Synced(above.to_owned());
        assert!(
            steps[at..].contains(&synced),
            "{} is not synced: {steps:#?}",
            entry.display()
        );
    }
    made
}

#[test]
fn each_directory_that_is_made_is_an_entry_on_the_disk_before_anything_counts_as_durable() {
    let home = quiet();
    let folder = fs::canonicalize(home.path()).expect("it is there");
    let put = ["db", "--state", "x/y/z", "put", "Setting", "a", "value=1"];
    let steps = trace(&home, &put);
    let expected = ["x", "x/y", "x/y/z", "x/y/z/db"].map(|path| folder.join(path));
    assert_eq!(check(&steps), expected);

    // Whoever made a directory may have been killed before it was synced.
    let again = trace(&home, &put);
    assert_eq!(check(&again), <[&Path; 0]>::default());
    assert!(
        again.contains(&Step::Synced(folder.join("x/y"))),
        "{again:#?}"
    );

    let state = ["db", "--state", "x/y/z"];
    for words in [
        &["db", "salvage", "x/y/z", "saved/1"][..],
        &[&state[..], &["backup", "copy"]].concat(),
        &[&state[..], &["export", "--output", "items"]].concat(),
    ] {
        let steps = trace(&home, words);
        check(&steps);
        assert!(
            steps.iter().any(|step| !matches!(step, Step::Synced(_))),
            "{words:?}"
        );
    }
    good(&home, &["verify", "saved/1"]);
}
