//! How much memory something takes, measured in a process of its own: beside other tests nobody can
//! tell whose memory it is.
//!
//! A test asks [`in_a_child`], which runs one other test of the same program. That one calls
//! [`measure_as_told`], and does nothing in a run of all tests.

use std::fs;
use std::io::{Write, stdout};
use std::process::Command;

/// Tells the child what to measure.
const WHAT: &str = "PERIWINKLE_MEASURE_MEMORY";

/// What stands before the figure in the output of the child.
const ANSWER: &str = "bytes ";

/// What the test `child`, named with its module, measures when it is told `what`.
///
/// # Panics
/// The child told no figure: it failed, or there is no such test.
pub fn in_a_child(child: &str, what: &str) -> u64 {
    let program = std::env::current_exe().expect("a test program has a path");
    let ran = Command::new(program)
        .args([child, "--exact", "--nocapture"])
        .env(WHAT, what)
        .output()
        .expect("a test program runs again");
    let text = String::from_utf8_lossy(&ran.stdout);
    let answer = text.lines().find_map(|line| line.split(ANSWER).nth(1));
    let bytes = answer.and_then(|bytes| bytes.trim().parse().ok());
    bytes.unwrap_or_else(|| {
        let errors = String::from_utf8_lossy(&ran.stderr);
        panic!("{child} told no figure for {what}: {text}{errors}")
    })
}

/// Measures what the process that runs this test has asked for, if it has asked.
///
/// # Panics
/// The answer cannot be written.
pub fn measure_as_told(measure: impl FnOnce(&str) -> u64) {
    if let Ok(what) = std::env::var(WHAT) {
        let bytes = measure(&what);
        writeln!(stdout(), "{ANSWER}{bytes}").expect("who asked reads the answer");
    }
}

/// Resident bytes of this process that belong to no file.
pub fn resident() -> u64 {
    of_this_process("RssAnon:")
}

/// By how many bytes the resident memory of this process grows at most while `work` runs.
///
/// # Panics
/// The system does not let the highest mark be set back.
pub fn growth(work: impl FnOnce()) -> u64 {
    fs::write("/proc/self/clear_refs", "5").expect("the mark of the peak can be set back");
    let before = of_this_process("VmHWM:");
    work();
    of_this_process("VmHWM:") - before
}

fn of_this_process(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("a process knows its status");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.expect("the status has this figure") * 1024
}
