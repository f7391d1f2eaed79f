//! Real processes on a real file system, under strace: killed at a chosen system call of a chosen
//! kind, refused one, or under a limit for the size of files. What they called durable is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use periwinkle_db::engine::{
    Batch, CommitError, Committed, Durability, FileStorage, Options, Store, verify,
};
use periwinkle_testkit::rng::Rng;

use crate::life::seeds;

/// Names the directory for the child; without it the child writes a little for itself.
const DIRECTORY: &str = "PERIWINKLE_TRACED_DIRECTORY";
const CHILD: &str = "traced::the_child_writes_and_compacts_for_a_while";

/// Rows that are written again and again, so that there is much to compact.
const KEYS: u64 = 60;
const COMMITS: u64 = 400;

/// The system calls that change files.
const CALLS: [&str; 7] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "unlink",
    "ftruncate",
    "fallocate",
    "openat",
];

fn open(directory: &Path) -> Store {
    let storage = Arc::new(FileStorage::open(directory).unwrap());
    let options = Options {
        segment_bytes: 64 << 10,
        segment_bytes_min: 16 << 10,
        compact_step_bytes: 16 << 10,
        flush_interval: Duration::from_millis(5),
        ..Options::default()
    };
    Store::open(storage, options).unwrap().0
}

fn value(n: u64) -> Vec<u8> {
    vec![n as u8; 500 + (n * 37 % 3000) as usize]
}

fn write(store: &Store, n: u64) -> Result<Committed, CommitError> {
    let mut batch = Batch::new();
    batch.put(&(n % KEYS).to_be_bytes(), &value(n));
    batch.put(b"last", &n.to_be_bytes());
    let durability = [Durability::Immediate, Durability::Relaxed][usize::from(n.is_multiple_of(4))];
    store.commit(&batch, durability)
}

/// Writes on from what is there, and says what is durable. Ends at the first error of the disk.
fn write_on(store: &Store) {
    let from = check(store) + 1;
    for n in from..from + COMMITS {
        let Ok(committed) = write(store, n) else {
            return;
        };
        if !n.is_multiple_of(4) {
            if committed.ticket.wait().is_err() {
                return;
            }
            let mut out = std::io::stdout().lock();
            writeln!(out, "durable {n}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// Every row is as the last write that is there left it; the number of that write.
fn check(store: &Store) -> u64 {
    let Some(last) = store.get(b"last").unwrap() else {
        return 0;
    };
    let last = u64::from_be_bytes(last.value[..].try_into().unwrap());
    for n in last.saturating_sub(KEYS - 1).max(1)..=last {
        let row = store.get(&(n % KEYS).to_be_bytes()).unwrap().unwrap();
        assert_eq!(*row.value, value(n), "{n} of {last}");
    }
    assert_eq!(store.stats().rows, 1 + last.min(KEYS));
    last
}

#[test]
fn the_child_writes_and_compacts_for_a_while() {
    match std::env::var_os(DIRECTORY) {
        Some(directory) => write_on(&open(Path::new(&directory))),
        None => {
            let scratch = tempfile::tempdir().unwrap();
            let store = open(scratch.path());
            write_on(&store);
            assert_eq!(check(&store), COMMITS);
            assert!(store.stats().segments_freed > 3, "{:?}", store.stats());
        }
    }
}

/// Runs the child under strace, which does this to a call; the last number that the child called
/// durable, and whether the call came.
fn traced(directory: &Path, call: &str, what: &str) -> (u64, bool) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-o"]).arg(trace.path());
    command.arg(format!("--trace={call}"));
    command.arg(format!("--inject={call}:{what}"));
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", CHILD, "--nocapture"]);
    command.env(DIRECTORY, directory);
    let (durable, status, complaint) = run(command);
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    let how = format!("{call}:{what}: {status}: {complaint}");
    // Without these the child itself never ran.
    let begun = trace.contains(call) && trace.contains("+++");
    assert!(begun, "{how}\n{trace}");
    let is_killed = trace.contains("+++ killed by SIGKILL +++");
    let struck = is_killed || trace.contains("(INJECTED)");
    // It ends well, or with a failed opening, or not by itself.
    match status.code() {
        Some(0 | 101) => assert!(!is_killed, "{how}"),
        code => assert!(is_killed, "{code:?} {how}"),
    }
    assert!(struck || status.success(), "{how}");
    (durable, struck)
}

/// Runs the child to its end: the last number that it called durable, how it ended, and what it
/// complained of.
fn run(mut command: Command) -> (u64, ExitStatus, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo xtask setup` installs strace");
    });
    let mut stderr = child.stderr.take().unwrap();
    let complaint = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let durable = lines
        .map_while(Result::ok)
        .filter_map(|line| line.split("durable ").nth(1)?.parse().ok());
    let last = durable.last().unwrap_or(0);
    let status = child.wait().unwrap();
    (last, status, complaint.join().unwrap().unwrap())
}

/// What the child called durable is there; the number of the last write.
fn expect(directory: &Path, durable: u64, how: &str) -> u64 {
    let storage = FileStorage::open(directory).unwrap();
    let inspection = verify(&storage).unwrap();
    assert_eq!(inspection.lost, [], "{how}");
    drop(storage);
    let store = open(directory);
    let there = check(&store);
    assert!(
        there >= durable,
        "{how}: {there} is there, {durable} was durable"
    );
    store.close().unwrap();
    there
}

#[test]
fn a_process_killed_at_any_system_call_loses_nothing_that_was_durable() {
    let mut written = 0;
    let mut strikes = BTreeMap::new();
    for seed in 0..seeds("PERIWINKLE_TRACED_SEEDS", 3) {
        let mut rng = Rng::new(seed);
        for call in CALLS {
            let scratch = tempfile::tempdir().unwrap();
            // On from what the kill before left, at a later call each time.
            for most in [8, 40, 200] {
                let nth = 1 + rng.below(most);
                let how = format!("signal=KILL:when={nth}");
                let (durable, struck) = traced(scratch.path(), call, &how);
                *strikes.entry(call).or_insert(0) += u64::from(struck);
                written = written.max(expect(scratch.path(), durable, &format!("{call} {how}")));
            }
        }
    }
    assert!(written > 300, "only {written}");
    assert!(strikes.values().all(|strikes| *strikes > 0), "{strikes:?}");
}

#[test]
fn a_real_process_whose_disk_refuses_a_call_loses_nothing_that_was_durable() {
    let mut rng = Rng::new(1);
    for (call, error) in [
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("unlink", "EIO"),
        ("fallocate", "ENOSPC"),
        ("fallocate", "EOPNOTSUPP"),
        ("ftruncate", "EIO"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let mut strikes = 0;
        for most in [3, 60] {
            let nth = 1 + rng.below(most);
            let how = format!("error={error}:when={nth}");
            let (durable, struck) = traced(scratch.path(), call, &how);
            strikes += u64::from(struck);
            expect(scratch.path(), durable, &format!("{call} {how}"));
        }
        assert!(strikes > 0, "{call} {error}");
    }
}

#[test]
fn a_limit_for_the_size_of_files_is_a_full_disk_for_each_of_them() {
    let scratch = tempfile::tempdir().unwrap();
    // 80 blocks of 512 bytes: no segment of 64 KiB. The signal that comes with it is ignored.
    let child = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    let script = r#"trap "" XFSZ; ulimit -f 80; exec "$0" --exact "$1" --nocapture"#;
    command.args(["-c", script]).arg(child).arg(CHILD);
    command.env(DIRECTORY, scratch.path());
    let (durable, status, complaint) = run(command);
    assert_eq!(
        (durable, status.success()),
        (COMMITS - 1, true),
        "{complaint}"
    );
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        assert!(metadata.len() <= 80 * 512, "{metadata:?}");
    }
    expect(scratch.path(), COMMITS - 1, "a limit");
    // Without the limit it goes on as ever.
    let store = open(scratch.path());
    write_on(&store);
    assert_eq!(check(&store), 2 * COMMITS);
}

#[test]
fn a_process_that_the_limit_kills_loses_nothing_that_was_durable() {
    let scratch = tempfile::tempdir().unwrap();
    let child = std::env::current_exe().unwrap();
    for blocks in [40, 80, 200] {
        let mut command = Command::new("sh");
        let script = r#"ulimit -f "$2"; exec "$0" --exact "$1" --nocapture"#;
        command.args(["-c", script]).arg(&child).arg(CHILD);
        command.arg(blocks.to_string());
        command.env(DIRECTORY, scratch.path());
        let (durable, status, complaint) = run(command);
        // 25 is SIGXFSZ; the largest files fit under the last limit.
        let killed = status.signal() == Some(25);
        assert!(
            killed || (blocks == 200 && status.success()),
            "{status}: {complaint}"
        );
        expect(scratch.path(), durable, "killed by the limit");
    }
}
