//! Logs of every released version: what they hold is there, and they are written on. Logs of a
//! version to come are refused untouched.
//!
//! `tests/fixtures/log-vN` holds the directories as version N wrote them, and beside each what it
//! held. They are never written again; a new version adds its own with
//! `PERIWINKLE_WRITE_FIXTURES=crates/db/tests/fixtures/log-vN cargo test -p periwinkle-db versions`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use periwinkle_db::engine::{
    Batch, Engine, IndexId, KeyRange, LOG_VERSION, OpenError, OpenReport, Options, Order, salvage,
    verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{commit, compact, flush, rows, small_options};

/// The versions that programs in the field may have written.
const VERSIONS: [u32; 2] = [1, 2];

/// Names the directory into which this version writes its own.
const WRITE: &str = "PERIWINKLE_WRITE_FIXTURES";

/// How a life ended whose files are kept.
#[derive(Clone, Copy, Debug)]
enum End {
    /// In order.
    Closed,
    /// The process was killed after a flush.
    Killed,
    /// The power was cut: the last frame is torn.
    Cut,
}

const ENDS: [(&str, End); 3] = [
    ("closed", End::Closed),
    ("killed", End::Killed),
    ("cut", End::Cut),
];

fn options() -> Options {
    Options {
        segment_bytes: 4096,
        segment_bytes_min: 1024,
        compact_step_bytes: 1024,
        ..small_options()
    }
}

fn fixtures(version: u32) -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    all.join(format!("log-v{version}"))
}

/// Every row, a line each: key, sequence, length and checksum of the value, index entries.
fn describe(engine: &mut Engine) -> String {
    let mut text = String::new();
    let all = engine.scan(&KeyRange::all(), Order::Forward, usize::MAX);
    for row in all.unwrap() {
        let (key, value) = (hex(&row.key), &row.value);
        let (bytes, crc) = (value.len(), crate::damage::crc32c(value));
        write!(text, "{key} {} {bytes} {crc:08x}", row.sequence).unwrap();
        let mut entries = engine.index_entries_of(&row.key);
        entries.sort();
        for (IndexId(index), index_key) in entries {
            write!(text, " {index}:{}", hex(&index_key)).unwrap();
        }
        text.push('\n');
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// A history with everything that a log can hold: keys and values of many lengths, transactions
/// of several writes, one with a segment of its own, deletes, moved rows, segments given up.
fn written(end: End) -> SimDisk {
    let mut rng = Rng::new(end as u64);
    let disk = SimDisk::new(1);
    let (mut engine, _) = Engine::open(disk.storage(), &options()).unwrap();
    for round in 0..200 {
        let mut batch = Batch::new();
        for _ in 0..=rng.below(3) {
            let key = random_key(&mut rng);
            if rng.one_in(5) {
                batch.delete(&key);
            } else {
                let large = round == 190 || rng.one_in(300);
                let length = if large { 5000 } else { rng.index(150) };
                let value = random_value(length, &mut rng);
                let index_key = random_key(&mut rng);
                let entries = [(IndexId(3), &b""[..]), (IndexId(40), &index_key)];
                batch.put_indexed(&key, &value, &entries[..rng.index(3)]);
            }
        }
        commit(&mut engine, &batch).unwrap();
        if rng.one_in(2) {
            flush(&mut engine);
        }
        while rng.one_in(2) && compact(&mut engine) {}
        if rng.one_in(10)
            && let Some(file) = engine.take_key_file()
        {
            engine.key_file_made(file.run());
        }
    }
    flush(&mut engine);
    assert!(segments(&disk).len() > 3);
    assert!(engine.stats().segments_freed > 2 && engine.stats().bytes_moved > 1000);
    match end {
        End::Closed => {
            engine.close();
            flush(&mut engine);
        }
        End::Killed => {}
        End::Cut => tear_last_frame(&disk, &mut engine),
    }
    disk
}

fn random_key(rng: &mut Rng) -> Vec<u8> {
    match rng.below(80) {
        0 => Vec::new(),
        1 => vec![0xff; 300],
        n => format!("key {n} \0").into_bytes(),
    }
}

fn random_value(length: usize, rng: &mut Rng) -> Vec<u8> {
    (0..length).map(|_| rng.next_u64() as u8).collect()
}

fn tear_last_frame(disk: &SimDisk, engine: &mut Engine) {
    let before = disk.files();
    let mut batch = Batch::new();
    batch.put(b"never durable", &[7; 100]);
    commit(engine, &batch).unwrap();
    flush(engine);
    let after = disk.files();
    let (name, bytes) = after
        .iter()
        .find(|(n, b)| before.get(*n) != Some(b))
        .unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    disk.flip_bit(name, (end - 20) * 8);
}

fn expect_report(report: &OpenReport, end: End) {
    let (clean, cut) = (report.clean, report.cut.is_some());
    match end {
        End::Closed => assert_eq!((clean, cut), (true, false)),
        End::Killed => assert_eq!((clean, cut), (false, false)),
        End::Cut => assert_eq!((clean, cut), (false, true)),
    }
}

/// The database opens with what it held, and is written, compacted and opened again.
fn use_as_ever(disk: &SimDisk, end: End, held: &str) {
    let (mut engine, report) = Engine::open(disk.storage(), &options()).unwrap();
    expect_report(&report, end);
    assert_eq!(describe(&mut engine), held, "{end:?}");
    let mut expected = rows(&mut engine);
    let mut rng = Rng::new(9);
    let old = disk.files();
    for _ in 0..400 {
        let (key, length) = (random_key(&mut rng), rng.index(150));
        let value = random_value(length, &mut rng);
        let mut batch = Batch::new();
        batch.put(&key, &value);
        commit(&mut engine, &batch).unwrap();
        expected.insert(key, value);
        flush(&mut engine);
        while compact(&mut engine) {}
    }
    let left = segments(disk);
    assert!(left.iter().all(|name| !old.contains_key(name)), "{left:?}");
    assert_eq!(rows(&mut engine), expected);
    drop(engine);
    let (mut engine, _) = Engine::open(disk.storage(), &options()).unwrap();
    assert_eq!(rows(&mut engine), expected, "{end:?}");
}

#[test]
fn a_log_of_each_released_version_holds_what_it_held_and_is_written_on() {
    for version in VERSIONS {
        for (name, end) in ENDS {
            let directory = fixtures(version);
            let held = fs::read_to_string(directory.join(format!("{name}.rows"))).unwrap();
            assert!(held.lines().count() > 15, "version {version}");
            use_as_ever(&SimDisk::load(&directory.join(name)), end, &held);
        }
    }
}

#[test]
fn a_log_of_each_released_version_is_verified_and_salvaged() {
    for version in VERSIONS {
        let directory = fixtures(version);
        let held = fs::read_to_string(directory.join("closed.rows")).unwrap();
        let disk = SimDisk::load(&directory.join("closed"));
        let inspection = verify(&*disk.storage()).unwrap();
        assert_eq!((inspection.damage, inspection.lost), (vec![], vec![]));
        let new = SimDisk::new(2);
        salvage(&*disk.storage(), new.storage(), &options()).unwrap();
        let (mut engine, _) = Engine::open(new.storage(), &options()).unwrap();
        // Sequences begin anew.
        let saved = describe(&mut engine);
        let same = without_sequences(&saved) == without_sequences(&held);
        assert!(same, "version {version}: {saved}");
    }
}

fn without_sequences(rows: &str) -> Vec<(&str, &str)> {
    let rows = rows.lines().map(|line| line.split_once(' ').unwrap());
    rows.map(|(key, rest)| (key, rest.split_once(' ').unwrap().1))
        .collect()
}

#[test]
fn this_version_reads_what_it_writes() {
    assert_eq!(VERSIONS.last(), Some(&LOG_VERSION), "write the fixtures");
    let target = std::env::var_os(WRITE).map(PathBuf::from);
    for (name, end) in ENDS {
        let disk = written(end);
        let (mut engine, report) = Engine::open(disk.snapshot().storage(), &options()).unwrap();
        expect_report(&report, end);
        let held = describe(&mut engine);
        if let Some(target) = &target {
            write(&disk, &target.join(name));
            fs::write(target.join(format!("{name}.rows")), &held).unwrap();
        }
        use_as_ever(&disk, end, &held);
    }
}

fn write(disk: &SimDisk, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for (name, bytes) in disk.files() {
        fs::write(directory.join(name), bytes).unwrap();
    }
}

#[test]
fn a_log_of_a_version_to_come_is_refused_and_no_byte_is_changed() {
    for (_, end) in ENDS {
        let disk = written(end);
        let segments = segments(&disk);
        assert!(segments.len() > 2);
        // A newer program that went on with an old log left only its last segments newer.
        for first_newer in 0..segments.len() {
            let disk = disk.snapshot();
            for segment in &segments[first_newer..] {
                make_newer(&disk, segment);
            }
            expect_newer(&disk, &segments[first_newer]);
        }
    }
}

fn segments(disk: &SimDisk) -> Vec<String> {
    let mut names: Vec<String> = disk.files().into_keys().collect();
    names.retain(|name| name.ends_with(".log"));
    names
}

fn make_newer(disk: &SimDisk, segment: &str) {
    let mut bytes = disk.files()[segment].clone();
    bytes[8..12].copy_from_slice(&(LOG_VERSION + 1).to_le_bytes());
    let covered = [&bytes[..12], &bytes[16..64]].concat();
    bytes[12..16].copy_from_slice(&crate::damage::crc32c(&covered).to_le_bytes());
    disk.put_file(segment, &bytes);
}

fn expect_newer(disk: &SimDisk, segment: &str) {
    let before: BTreeMap<_, _> = disk.files();
    match Engine::open(disk.storage(), &options()).err() {
        Some(OpenError::Newer { file, what }) => {
            let next = LOG_VERSION + 1;
            assert_eq!(file, segment);
            assert_eq!(
                what,
                format!("log version {next}, this program knows {LOG_VERSION}")
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.files(), before);
}
