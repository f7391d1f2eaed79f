//! A process that commits is killed at any moment; what it was told to be durable is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use periwinkle_db::engine::{Batch, Durability, FileStorage, Options, Store};
use periwinkle_testkit::rng::Rng;

/// Names the directory for the child; without it the child commits a few times for itself.
const DIRECTORY: &str = "PERIWINKLE_KILLED_DIRECTORY";
const VALUE_BYTES: usize = 20_000;

fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

fn open(directory: &Path) -> Store {
    let storage = Arc::new(FileStorage::open(directory).unwrap());
    let options = Options {
        segment_bytes: 256 << 10,
        ..Options::default()
    };
    Store::open(storage, options).unwrap().0
}

/// Commits one number after the other, and says which are durable.
fn count_up(store: &Store, from: u64, to: u64) {
    for n in from..to {
        let mut batch = Batch::new();
        batch.put(&key(n), &vec![n as u8; VALUE_BYTES]);
        batch.put(b"last", &key(n));
        let durability = [Durability::Immediate, Durability::Relaxed][usize::from(n % 3 == 0)];
        let committed = store.commit(&batch, durability).unwrap();
        if durability == Durability::Immediate {
            committed.ticket.wait().unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "durable {n}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// The last number in the store; all before it must be there.
fn counted(store: &Store) -> u64 {
    let Some(last) = store.get(b"last").unwrap() else {
        return 0;
    };
    let last = u64::from_be_bytes(last.value[..].try_into().unwrap());
    for n in 1..=last {
        let value = store.get(&key(n)).unwrap().unwrap().value;
        assert_eq!(*value, vec![n as u8; VALUE_BYTES], "{n} of {last}");
    }
    last
}

#[test]
fn the_child_counts_up_until_it_is_killed() {
    match std::env::var_os(DIRECTORY) {
        Some(directory) => {
            let store = open(Path::new(&directory));
            let from = counted(&store) + 1;
            count_up(&store, from, u64::MAX);
        }
        None => {
            let scratch = tempfile::tempdir().unwrap();
            count_up(&open(scratch.path()), 1, 5);
            assert_eq!(counted(&open(scratch.path())), 4);
        }
    }
}

fn start_child(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::the_child_counts_up_until_it_is_killed",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets the child count `steps` on, kills it, and returns the last number that it called durable.
fn kill_after(mut child: Child, steps: u64) -> u64 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut durable = 0;
    let mut seen = 0;
    let mut note = |line: String| {
        let number = line.strip_prefix("durable ").map(|n| n.parse().unwrap());
        durable = number.unwrap_or(durable);
        seen += u64::from(number.is_some());
        seen
    };
    while lines.next().is_some_and(|line| note(line.unwrap()) < steps) {}
    child.kill().unwrap();
    // What it still said before it died counts as well.
    for line in lines.map_while(Result::ok) {
        note(line);
    }
    child.wait().unwrap();
    durable
}

#[test]
fn a_killed_process_loses_nothing_that_was_durable() {
    let scratch = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    let mut rng = Rng::new(seed);
    for round in 0..6 {
        let durable = kill_after(start_child(scratch.path()), 1 + rng.below(20));
        let there = counted(&open(scratch.path()));
        assert!(
            durable > 0 && there >= durable,
            "seed {seed}, round {round}: {there} < {durable}"
        );
    }
}
