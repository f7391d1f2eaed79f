//! Bytes of memory per row and index entry, measured in a process of its own by what the system
//! says that it has; and that compaction takes none that stays, and little meanwhile.

use std::sync::Arc;

use periwinkle_core::limits::DB_UPKEEP_BYTES_MAX;
use periwinkle_db::engine::{Batch, Durability, Engine, FileStorage, IndexId, Options, Store};
use periwinkle_testkit::memory::{growth, in_a_child, measure_as_told, resident};
use periwinkle_testkit::rng::Rng;

use crate::life::{commit, flush};

/// `docs/guide/database.md` says so.
const BYTES_MAX: u64 = 96;
const ROWS: u64 = 60_000;
/// Written again and again: their log is a few segments long.
const UPKEEP_ROWS: u64 = 20_000;
/// Bytes of their values. Of small ones a segment has many keys, and what is made of these is large.
const UPKEEP_VALUES: [usize; 3] = [5, 50, 200];
const KEY_BYTES: usize = 60;
const INDEX_KEY_BYTES: usize = 40;

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

/// What rows take that are written once, without compaction or a key file. Their values lie on the
/// disk.
fn measure_rows_at_rest() -> u64 {
    let scratch = tempfile::tempdir().unwrap();
    growth(|| {
        let mut engine = open(scratch.path());
        write(&mut engine, 0..UPKEEP_ROWS, true);
    })
}

/// The most memory that the same rows take in a store that compacts and makes key files, while they
/// are written at random again and again.
fn measure_upkeep(value_bytes: usize) -> u64 {
    let scratch = tempfile::tempdir().unwrap();
    let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
    let options = Options {
        cache_bytes: 0,
        ..Options::default()
    };
    growth(|| {
        let (store, _) = Store::open(storage, options).unwrap();
        let commit = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut batch = Batch::new();
            for number in numbers {
                let index_key = key(number.reverse_bits(), INDEX_KEY_BYTES);
                let entries = [(IndexId(40), &index_key[..])];
                batch.put_indexed(&key(number, KEY_BYTES), &vec![7; value_bytes], &entries);
            }
            let committed = store.commit(&batch, Durability::Immediate).unwrap();
            committed.ticket.wait().unwrap();
        };
        for first in (0..UPKEEP_ROWS).step_by(100) {
            commit(&mut (first..first + 100));
        }
        let mut rng = Rng::new(1);
        for _ in 0..6 * UPKEEP_ROWS / 100 {
            commit(&mut (0..100).map(|_| rng.below(UPKEEP_ROWS)));
        }
        let stats = store.stats();
        assert!(stats.segments_freed > 2, "{stats:?}");
        assert!(stats.key_files_made > 2, "{stats:?}");
    })
}

#[test]
fn the_child_measures_what_it_is_told() {
    measure_as_told(|what| match what {
        "rows" => measure(false),
        "entries" => measure(true),
        "compaction" => measure_compaction(),
        "rows at rest" => measure_rows_at_rest(),
        value_bytes => measure_upkeep(value_bytes.parse().unwrap()),
    });
}

fn measured(what: &str) -> u64 {
    in_a_child("memory::the_child_measures_what_it_is_told", what)
}

#[test]
fn a_row_and_an_index_entry_take_as_much_memory_as_promised_and_no_more() {
    let rows = measured("rows");
    let both = measured("entries");
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
    let grown = measured("compaction");
    println!("{grown} bytes");
    assert!(grown < 1 << 20, "{grown} bytes");
}

#[test]
fn compaction_and_key_files_take_no_more_memory_at_any_moment_than_promised() {
    let rows = measured("rows at rest");
    for value_bytes in UPKEEP_VALUES {
        let with_upkeep = measured(&value_bytes.to_string());
        let upkeep = with_upkeep.saturating_sub(rows);
        println!("values of {value_bytes} bytes: {upkeep} bytes beside {rows} of rows");
        assert!(upkeep <= DB_UPKEEP_BYTES_MAX, "{upkeep} bytes");
    }
}
