//! Bytes of memory per row and index entry, measured in a process of its own by what the system
//! says that it has; and that compaction takes none.

use std::process::Command;
use std::sync::Arc;

use periwinkle_db::engine::{Batch, Engine, FileStorage, IndexId, Options};
use periwinkle_testkit::rng::Rng;

use crate::life::{commit, flush};

/// Tells the child what to measure; without it the child does nothing.
const WHAT: &str = "PERIWINKLE_MEASURE_MEMORY";
/// `docs/guide/database.md` says so.
const BYTES_MAX: u64 = 96;
const ROWS: u64 = 60_000;
const KEY_BYTES: usize = 60;
const INDEX_KEY_BYTES: usize = 40;

/// Resident bytes that belong to no file.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("RssAnon:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1024
}

fn open(directory: &std::path::Path) -> Engine {
    let storage = Arc::new(FileStorage::open(directory).unwrap());
    let options = Options {
        segment_bytes: 1 << 20,
        cache_bytes: 0,
        ..Options::default()
    };
    Engine::open(storage, &options).unwrap().0
}

/// Keys as models make them: a long beginning that many share, and an end in no order.
fn key(number: u64, bytes: usize) -> Vec<u8> {
    let end = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let text = format!(
        "idev#device-0001#rw/Reading#room-{:02}#{end:020}",
        end >> 58
    );
    let mut key = text.into_bytes();
    key.resize(bytes.max(8), b'.');
    key
}

fn write(engine: &mut Engine, rows: std::ops::Range<u64>, indexed: bool) {
    for chunk in rows.collect::<Vec<_>>().chunks(100) {
        let mut batch = Batch::new();
        for number in chunk {
            let index_key = key(number.reverse_bits(), INDEX_KEY_BYTES);
            let entries = [(IndexId(40), &index_key[..])];
            let entries = &entries[..usize::from(indexed)];
            batch.put_indexed(&key(*number, KEY_BYTES), b"value", entries);
        }
        commit(engine, &batch).unwrap();
        flush(engine);
    }
}

/// Bytes per row, without its key and that of its index entry.
fn measure(indexed: bool) -> u64 {
    let scratch = tempfile::tempdir().unwrap();
    let mut engine = open(scratch.path());
    // The first rows pay for what there is once.
    write(&mut engine, 0..ROWS / 3, indexed);
    let before = resident();
    write(&mut engine, ROWS / 3..ROWS, indexed);
    let rows = ROWS - ROWS / 3;
    let keys = KEY_BYTES + if indexed { INDEX_KEY_BYTES } else { 0 };
    (resident() - before) / rows - keys as u64
}

/// By how much memory grows while all rows are written and moved again and again.
fn measure_compaction() -> u64 {
    let scratch = tempfile::tempdir().unwrap();
    let mut engine = open(scratch.path());
    let rows = ROWS / 6;
    let mut rng = Rng::new(1);
    let mut rewrite = |engine: &mut Engine, rounds: u64| {
        for _ in 0..rounds * rows / 100 {
            let from = rng.below(rows - 100);
            write(engine, from..from + 100, true);
            while let Some(step) = engine.take_compaction() {
                engine.compacted(step.run());
                flush(engine);
            }
        }
    };
    write(&mut engine, 0..rows, true);
    rewrite(&mut engine, 2);
    let before = resident();
    let freed = engine.stats().segments_freed;
    rewrite(&mut engine, 6);
    assert!(
        engine.stats().segments_freed > freed + 5,
        "{:?}",
        engine.stats()
    );
    resident().saturating_sub(before)
}

#[test]
fn the_child_measures_what_it_is_told() {
    match std::env::var(WHAT).as_deref() {
        Ok("rows") => println!("bytes {}", measure(false)),
        Ok("entries") => println!("bytes {}", measure(true)),
        Ok("compaction") => println!("bytes {}", measure_compaction()),
        _ => {}
    }
}

fn in_a_child(what: &str) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "memory::the_child_measures_what_it_is_told",
            "--exact",
            "--nocapture",
        ])
        .env(WHAT, what)
        .output()
        .unwrap();
    let text = String::from_utf8(child.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split("bytes ").nth(1));
    line.unwrap_or_else(|| panic!("{text}"))
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn a_row_and_an_index_entry_take_as_much_memory_as_promised_and_no_more() {
    let rows = in_a_child("rows");
    let both = in_a_child("entries");
    println!(
        "{rows} bytes per row, {} per index entry, beside their keys",
        both - rows
    );
    assert!(rows <= BYTES_MAX, "{rows} bytes per row beside its key");
    let entry = both - rows;
    assert!(
        entry <= BYTES_MAX,
        "{entry} bytes per index entry beside its key"
    );
}

#[test]
fn compaction_takes_no_memory_that_stays() {
    let grown = in_a_child("compaction");
    println!("{grown} bytes");
    assert!(grown < 1 << 20, "{grown} bytes");
}
