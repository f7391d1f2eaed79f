//! Key files save time at opening, and nothing else: whatever is in them or missing, the database
//! is the same.

use periwinkle_core::limits::{DB_LOAD_AHEAD_BYTES_MIN, DB_LOAD_BESIDE_ENTRIES_MIN};
use periwinkle_db::engine::{
    Batch, Durability, Engine, Entry, KeyRange, OpenError, OpenReport, Options, Order, ReadError,
    Stats, Store, verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{
    INDEXES, Life, Past, commit, compact, flush, indexes, random_batch, small_options,
};

/// Rows with their sequences, and what is in all indexes.
type Contents = (Vec<Entry>, Vec<Vec<(Vec<u8>, Vec<u8>)>>);

fn contents(engine: &mut Engine) -> Contents {
    let rows = engine.scan(&KeyRange::all(), Order::Forward, usize::MAX);
    (rows.unwrap(), indexes(engine))
}

fn make_key_files(engine: &mut Engine) {
    while let Some(file) = engine.take_key_file() {
        engine.key_file_made(file.run());
    }
}

fn is_key_file(name: &str) -> bool {
    name.ends_with(".keys")
}

/// The same disk with some of its files.
fn only(disk: &SimDisk, keep: impl Fn(&str) -> bool) -> SimDisk {
    let copy = SimDisk::new(7);
    for (name, bytes) in disk.files().iter().filter(|(name, _)| keep(name)) {
        copy.put_file(name, bytes);
    }
    copy
}

fn open(disk: &SimDisk) -> (Engine, OpenReport) {
    Engine::open(disk.storage(), &small_options()).unwrap()
}

/// A life with compaction, all its key files, and an orderly close.
fn written(seed: u64) -> SimDisk {
    lived(seed).disk
}

fn lived(seed: u64) -> Life {
    let mut rng = Rng::new(seed);
    let mut life = Life::begin(SimDisk::new(seed), Past::empty(), 0);
    let (mut engine, _) = life.open();
    life.lead(&mut engine, 40, &mut rng);
    flush(&mut engine);
    make_key_files(&mut engine);
    engine.close();
    flush(&mut engine);
    life.disk.recording();
    life
}

/// The figures that an opening makes anew.
fn figures(stats: Stats) -> [u64; 5] {
    let Stats {
        rows,
        index_entries,
        bytes_live,
        bytes_garbage,
        sequence,
        ..
    } = stats;
    [rows, index_entries, bytes_live, bytes_garbage, sequence]
}

/// A merge knows with how many bytes all index keys begin, until one comes that does not: also
/// among entries of rows that were written again later.
#[test]
fn index_keys_that_begin_alike_are_in_order_whatever_was_written_again() {
    let options = Options {
        segment_bytes: 16 << 10,
        ..small_options()
    };
    let open = |disk: &SimDisk| Engine::open(disk.storage(), &options).unwrap().0;
    for seed in 0..10 {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let mut engine = open(&disk);
        for _ in 0..1000 {
            let key = format!("row{:03}", rng.index(300));
            let group = format!(
                "house#{:014}#{:08}",
                rng.index(3) * 1_000_000,
                rng.index(200)
            );
            let entries = [(INDEXES[0], group.as_bytes())];
            let mut batch = Batch::new();
            batch.put_indexed(key.as_bytes(), b"", &entries);
            commit(&mut engine, &batch).unwrap();
        }
        flush(&mut engine);
        let expected = contents(&mut engine);
        engine.close();
        flush(&mut engine);
        disk.restart(seed);
        assert_eq!(contents(&mut open(&disk)), expected, "seed {seed}");
    }
}

#[test]
fn the_indexes_of_few_rows_and_of_many_are_the_same_after_an_opening() {
    let options = Options {
        segment_bytes: 64 << 10,
        ..small_options()
    };
    let bound = DB_LOAD_BESIDE_ENTRIES_MIN;
    for (rows, rewritten) in [(bound - 1, 0), (bound, 0), (bound, 3_000)] {
        let disk = SimDisk::new(1);
        let (mut engine, _) = Engine::open(disk.storage(), &options).unwrap();
        let mut rng = Rng::new(rows as u64);
        for first in (0..rows + rewritten).step_by(500) {
            let mut batch = Batch::new();
            for row in first..(first + 500).min(rows + rewritten) {
                let key = ((row % rows) as u32)
                    .wrapping_mul(0x9E37_79B1)
                    .to_be_bytes();
                let index_key = [b"by#", &rng.next_u64().to_be_bytes()[..2]].concat();
                batch.put_indexed(&key, b"", &[(INDEXES[row % 2], &index_key)]);
            }
            commit(&mut engine, &batch).unwrap();
            flush(&mut engine);
        }
        make_key_files(&mut engine);
        let before = contents(&mut engine);
        assert_eq!(before.1.iter().map(Vec::len).sum::<usize>(), rows);
        engine.close();
        flush(&mut engine);
        let (mut engine, report) = Engine::open(disk.storage(), &options).unwrap();
        assert!(report.key_files_used > 0, "{report:?}");
        assert!(contents(&mut engine) == before, "{rows} rows, {rewritten}");
    }
}

#[test]
fn key_files_of_a_small_log_and_of_a_large_one_are_used_alike() {
    let options = Options {
        segment_bytes: 1 << 20,
        ..small_options()
    };
    let segments = DB_LOAD_AHEAD_BYTES_MIN / options.segment_bytes;
    // What a segment has behind its last frame is given back when it is sealed: of these logs one
    // is just below the bound, the other just above it.
    for sealed in [segments, segments + 1] {
        let disk = SimDisk::new(1);
        let (mut engine, _) = Engine::open(disk.storage(), &options).unwrap();
        let mut row = 0u32;
        while engine.stats().key_files_made < sealed {
            let key = row.wrapping_mul(0x9E37_79B1).to_be_bytes();
            let entries = [(INDEXES[0], &key[..2])];
            let mut batch = Batch::new();
            batch.put_indexed(&key, &[7; 8000], &entries);
            commit(&mut engine, &batch).unwrap();
            flush(&mut engine);
            make_key_files(&mut engine);
            row += 1;
        }
        let expected = contents(&mut engine);
        engine.close();
        flush(&mut engine);
        let is_log = |name: &&String| name.ends_with(".log");
        let files = disk.files();
        let logs = files.keys().filter(is_log).take(sealed as usize);
        let bytes: usize = logs.map(|name| files[name].len()).sum();
        assert_eq!(bytes as u64 >= DB_LOAD_AHEAD_BYTES_MIN, sealed > segments);
        let opened = |disk: &SimDisk| {
            let (mut engine, report) = Engine::open(disk.storage(), &options).unwrap();
            assert!(contents(&mut engine) == expected, "{sealed} segments");
            (report.key_files_used, report.key_files_missing)
        };
        assert_eq!(opened(&disk.snapshot()), (sealed, 0));
        disk.flip_bit("00000003.keys", 1000);
        assert_eq!(opened(&disk), (sealed - 1, 1));
    }
}

#[test]
fn a_database_is_the_same_with_key_files_with_some_of_them_and_without() {
    let mut used = 0;
    for seed in 0..60 {
        let disk = written(seed);
        let (mut engine, report) = open(&only(&disk, |name| !is_key_file(name)));
        assert_eq!(report.key_files_used, 0);
        let (expected, figures_expected) = (contents(&mut engine), figures(engine.stats()));
        let mut rng = Rng::new(seed);
        let without: Vec<bool> = (0..100).map(|_| rng.one_in(3)).collect();
        let number = |name: &str| name[..8].parse::<usize>().unwrap_or(0);
        let some = only(&disk, |name| {
            !is_key_file(name) || !without[number(name) % 100]
        });
        for disk in [disk, some] {
            let (mut engine, report) = open(&disk);
            assert_eq!(contents(&mut engine), expected, "seed {seed}");
            assert_eq!(figures(engine.stats()), figures_expected, "seed {seed}");
            used += report.key_files_used;
            // And it goes on alike.
            for _ in 0..20 {
                commit(&mut engine, &random_batch(&mut rng)).unwrap();
                flush(&mut engine);
                while compact(&mut engine) {
                    flush(&mut engine);
                }
            }
            let after = contents(&mut engine);
            disk.restart(seed);
            assert_eq!(contents(&mut open(&disk).0), after, "seed {seed}");
        }
    }
    assert!(used > 100, "only {used} key files were used");
}

#[test]
fn a_key_file_with_a_flipped_bit_is_not_used_and_made_anew() {
    let mut flips = 0;
    for seed in 0..3 {
        let disk = written(seed);
        let (mut engine, report) = open(&disk.snapshot());
        let expected = contents(&mut engine);
        let mut rng = Rng::new(seed);
        let files = disk.files();
        for (name, bytes) in files.iter().filter(|(name, _)| is_key_file(name)) {
            for at in 0..bytes.len() {
                let disk = disk.snapshot();
                disk.flip_bit(name, at * 8 + rng.index(8));
                let (mut engine, damaged) = open(&disk);
                assert_eq!(
                    damaged.key_files_used,
                    report.key_files_used - 1,
                    "{name} {at}"
                );
                assert_eq!(damaged.key_files_missing, report.key_files_missing + 1);
                assert_eq!(contents(&mut engine), expected, "{name} {at}");
                flips += 1;
                // A segment that was given up went at this opening.
                let stays = disk.files().contains_key(&name.replace(".keys", ".log"));
                if flips % 50 == 0 && stays {
                    make_key_files(&mut engine);
                    assert_eq!(&disk.files()[name], bytes);
                }
            }
        }
    }
    assert!(flips > 500, "only {flips}");
}

#[test]
fn key_files_of_another_history_are_not_used() {
    // Both begin alike, with the same salt, as a restored backup does.
    let history = |branch: u64| {
        let disk = SimDisk::new(1);
        let (mut engine, _) = open(&disk);
        for round in 0..60 {
            let mut rng = Rng::new(if round < 5 {
                round
            } else {
                round + 1_000 * branch
            });
            commit(&mut engine, &random_batch(&mut rng)).unwrap();
            flush(&mut engine);
        }
        make_key_files(&mut engine);
        engine.close();
        flush(&mut engine);
        disk
    };
    let (one, other) = (history(1), history(2));
    let mixed = only(&one, |name| !is_key_file(name));
    for (name, bytes) in other.files().iter().filter(|(name, _)| is_key_file(name)) {
        mixed.put_file(name, bytes);
    }
    let (mut engine, report) = open(&mixed);
    assert!(report.key_files_missing > 2, "{report:?}");
    assert_eq!(contents(&mut engine), contents(&mut open(&one).0));
}

/// Damage in a segment that was opened by its key file shows when the value is read, and in what
/// `verify` says. It is never answered.
#[test]
fn a_flipped_bit_of_a_sealed_segment_is_never_answered_and_verify_names_it() {
    let (mut opened, mut refused) = (0, 0);
    // Lives that end with several segments, which compaction does not leave to every one.
    let lives = (0..60).map(|seed| (seed, written(seed)));
    let lives = lives.filter(|(_, disk)| open(&disk.snapshot()).1.key_files_used >= 2);
    for (seed, disk) in lives.take(4) {
        let (mut engine, _) = open(&disk.snapshot());
        let (rows, _) = contents(&mut engine);
        let mut rng = Rng::new(seed);
        for (name, bytes) in disk
            .files()
            .iter()
            .filter(|(name, _)| name.ends_with(".log"))
        {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            for at in (0..used).step_by(3) {
                let disk = disk.snapshot();
                disk.flip_bit(name, at * 8 + rng.index(8));
                let inspection = verify(&*disk.storage()).unwrap();
                let mut named = inspection.damage.iter().chain(&inspection.tail);
                assert!(named.any(|damage| damage.file == *name), "{name} {at}");
                let options = Options {
                    cache_bytes: 0,
                    ..small_options()
                };
                let mut engine = match Engine::open(disk.storage(), &options) {
                    Ok((engine, report)) if report.cut.is_none() => engine,
                    Ok(_) => continue,
                    Err(OpenError::Damaged(damage)) => {
                        assert_eq!(damage.file, *name);
                        continue;
                    }
                    Err(other) => panic!("{other}"),
                };
                opened += 1;
                for row in &rows {
                    match engine.get(&row.key) {
                        Ok(found) => assert_eq!(found.as_ref(), Some(row), "{name} {at}"),
                        Err(ReadError::Damaged(damage)) => {
                            assert_eq!(damage.file, *name);
                            refused += 1;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }
    }
    assert!(
        opened > 500 && refused > 100,
        "{opened} opened, {refused} refused"
    );
}

/// Overwrites, cuts, copies and swaps, key files included, as no disk would.
#[test]
fn whatever_is_done_to_the_files_no_value_comes_out_that_was_not_committed_under_its_key() {
    let (mut opened, mut with_key_files) = (0, 0);
    let lives: Vec<Life> = (0..4).map(lived).collect();
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let life = &lives[seed as usize % 4];
        let mut files = life.disk.files();
        crate::damage::mangle(&mut files, &mut rng);
        let disk = SimDisk::new(seed);
        files
            .iter()
            .for_each(|(name, bytes)| disk.put_file(name, bytes));
        let Ok((mut engine, report)) = Engine::open(disk.storage(), &small_options()) else {
            continue;
        };
        opened += 1;
        with_key_files += u64::from(report.key_files_used > 0);
        for key in engine.keys(&KeyRange::all(), Order::Forward, usize::MAX) {
            match engine.get(&key) {
                Ok(Some(row)) => {
                    let committed = life.past.0[row.sequence as usize].get(&key[..]);
                    assert_eq!(committed, Some(&row.value.to_vec()), "seed {seed}");
                }
                Err(ReadError::Damaged(_)) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    assert!(
        opened > 200 && with_key_files > 100,
        "{opened}, {with_key_files}"
    );
}

#[test]
fn a_key_file_of_a_newer_version_is_not_used_and_nothing_is_refused() {
    let disk = written(1);
    let missing = open(&disk.snapshot()).1.key_files_missing;
    let (name, mut bytes) = disk
        .files()
        .into_iter()
        .find(|(n, _)| is_key_file(n))
        .unwrap();
    bytes[8] = 2;
    let covered = [&bytes[..12], &bytes[16..]].concat();
    bytes[12..16].copy_from_slice(&crate::damage::crc32c(&covered).to_le_bytes());
    disk.put_file(&name, &bytes);
    assert_eq!(open(&disk).1.key_files_missing, missing + 1);
}

#[test]
fn the_key_files_of_segments_that_are_gone_go_too() {
    let disk = SimDisk::new(1);
    let (mut engine, _) = open(&disk);
    for round in 0..200u8 {
        let mut batch = Batch::new();
        batch.put(&[round % 5], &[round; 100]);
        commit(&mut engine, &batch).unwrap();
        flush(&mut engine);
        make_key_files(&mut engine);
        while compact(&mut engine) {
            flush(&mut engine);
        }
    }
    assert!(engine.stats().segments_freed > 5);
    let names: Vec<String> = disk.files().into_keys().collect();
    for name in names.iter().filter(|name| is_key_file(name)) {
        assert!(names.contains(&name.replace(".keys", ".log")), "{name}");
    }
    // One that was left over by a power cut goes at the next opening.
    disk.put_file("00000001.keys", b"stray");
    open(&disk);
    assert!(!disk.files().contains_key("00000001.keys"));
}

#[test]
fn on_a_full_disk_key_files_give_way_to_the_log() {
    let disk = SimDisk::new(1);
    disk.set_capacity(40_000);
    let (mut engine, _) = open(&disk);
    let mut made = 0;
    for key in 0..1_000u32 {
        let mut batch = Batch::new();
        batch.put(&key.to_be_bytes(), &[7; 100]);
        if commit(&mut engine, &batch).is_err() {
            break;
        }
        flush(&mut engine);
        make_key_files(&mut engine);
        made = made.max(disk.files().keys().filter(|name| is_key_file(name)).count());
    }
    assert!(made > 3, "{made}");
    let left = disk
        .files()
        .into_keys()
        .filter(|name| is_key_file(name))
        .count();
    assert_eq!(left, 0, "they gave way before a commit was refused");
    assert_eq!(open(&disk).0.stats().rows, engine.stats().rows);
}

#[test]
fn a_store_makes_key_files_while_it_is_idle_and_when_it_closes() {
    let disk = SimDisk::new(1);
    let options = || Options {
        segment_bytes: 16 << 10,
        segment_bytes_min: 4 << 10,
        salt: 1,
        ..Options::default()
    };
    let (store, _) = Store::open(disk.storage(), options()).unwrap();
    for key in 0..400u32 {
        let mut batch = Batch::new();
        batch.put(&key.to_be_bytes(), &[7; 200]);
        store.commit(&batch, Durability::Relaxed).unwrap();
    }
    store.close().unwrap();
    let stats = store.stats();
    assert!(stats.key_files_made >= 4, "{stats:?}");
    assert!(stats.bytes_key_files > 0 && stats.bytes_written > stats.bytes_committed);
    let (store, report) = Store::open(disk.storage(), options()).unwrap();
    assert_eq!(report.key_files_used, stats.key_files_made);
    assert_eq!(store.stats().rows, 400);
}
