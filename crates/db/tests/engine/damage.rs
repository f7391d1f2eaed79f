//! Flipped bits, missing files and files from the future: reported with their place, never
//! answered with a wrong value, and nothing is touched.

use std::collections::BTreeMap;

use periwinkle_db::engine::{Engine, OpenError, Options, ReadError};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{Life, Past, commit, flush, random_batch, rows, small_options};

const SEGMENT_HEADER: usize = 64;
const FRAME_HEADER: usize = 32;

/// A frame as `docs/formats/log.md` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FramePlace {
    file: String,
    start: usize,
    end: usize,
    kind: u8,
    sequence: u64,
    synced: u64,
}

fn frames(disk: &SimDisk) -> Vec<FramePlace> {
    let mut frames = Vec::new();
    for (file, bytes) in disk.files() {
        let mut start = SEGMENT_HEADER;
        while bytes.get(start..start + 4) == Some(&[0xF7, b'p', b'w', 0x1E]) {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            let length = word(start + 8) as u32 as usize;
            let end = start + FRAME_HEADER + length;
            frames.push(FramePlace {
                file: file.clone(),
                start,
                end,
                kind: bytes[start + 12],
                sequence: word(start + 16),
                synced: word(start + 24),
            });
            start = end;
        }
    }
    frames
}

/// A log of several segments; closed in order or left after a flush.
fn written(seed: u64, close: bool) -> Life {
    let mut rng = Rng::new(seed);
    let mut life = Life::begin(SimDisk::new(seed), Past::empty(), 0);
    let (mut engine, _) = life.open();
    for _ in 0..25 {
        let batch = random_batch(&mut rng);
        commit(&mut engine, &batch).unwrap();
        life.past.push(&batch);
        if rng.one_in(3) {
            flush(&mut engine);
        }
    }
    flush(&mut engine);
    if close {
        life.close(&mut engine);
    }
    life.disk.recording();
    life
}

/// Flips one bit of every byte and checks the judgement against what the format promises.
fn flip_everywhere(life: &Life, seed: u64) -> usize {
    let mut rng = Rng::new(seed);
    let frames = frames(&life.disk);
    let mark = frames.iter().map(|frame| frame.synced).max().unwrap();
    let last = &frames.last().unwrap().file;
    let mut flips = 0;
    for (file, bytes) in life.disk.files() {
        for at in 0..bytes.len() {
            let disk = life.disk.snapshot();
            disk.flip_bit(&file, at * 8 + rng.index(8));
            let hit = frames
                .iter()
                .find(|f| f.file == file && (f.start..f.end).contains(&at));
            // A segment was synced before the next one was begun.
            let durable = hit.is_some_and(|f| f.sequence <= mark || f.file != *last);
            let place = hit.filter(|_| durable).map(|f| f.start);
            let header = (at < SEGMENT_HEADER && file <= *last).then_some(0);
            match place.or(header) {
                Some(offset) => expect_damage(&disk, &file, offset),
                None => expect_cut(&disk, hit, life),
            }
            flips += 1;
        }
    }
    flips
}

fn expect_damage(disk: &SimDisk, file: &str, offset: usize) {
    let before = disk.files();
    match Engine::open(disk.storage(), &small_options()).err() {
        Some(OpenError::Damaged(damage)) => {
            assert_eq!(
                (&*damage.file, damage.offset),
                (file, offset as u64),
                "{damage}"
            );
        }
        other => panic!("{other:?} for damage in {file} at {offset}"),
    }
    assert_eq!(disk.files(), before);
}

/// Damage that nothing proves to be durable: cut off, kept aside, the rest is there.
fn expect_cut(disk: &SimDisk, hit: Option<&FramePlace>, life: &Life) {
    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    let sequence = hit.map_or(life.past.0.len() as u64 - 1, |frame| frame.sequence - 1);
    assert_eq!(report.sequence, sequence);
    assert_eq!(rows(&mut engine), life.past.0[sequence as usize]);
    let Some(cut) = report.cut else {
        // A bit in a segment that never held a frame.
        return assert!(hit.is_none());
    };
    assert_eq!(disk.files()[&cut.kept.unwrap()].len() as u64, cut.bytes);
    assert_eq!(engine.stats().cut_tails, 1);
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_reported_with_its_place() {
    let mut flips = 0;
    for seed in 0..2 {
        let life = written(seed, true);
        let last = frames(&life.disk).last().unwrap().clone();
        assert_eq!((last.kind, last.synced), (2, last.sequence - 1));
        flips += flip_everywhere(&life, seed);
    }
    assert!(flips > 6_000, "only {flips}");
}

#[test]
fn a_flipped_bit_above_the_mark_is_cut_and_one_below_is_reported() {
    for seed in 10..12 {
        flip_everywhere(&written(seed, false), seed);
    }
}

#[test]
fn a_missing_segment_is_damage() {
    let life = written(1, true);
    let files = life.disk.files();
    assert!(files.len() >= 3);
    for missing in ["00000001.log", "00000002.log"] {
        let disk = SimDisk::new(0);
        for (name, bytes) in files.iter().filter(|(name, _)| *name != missing) {
            disk.put_file(name, bytes);
        }
        expect_damage(&disk, missing, 0);
    }
}

#[test]
fn a_segment_that_lost_its_end_is_damage_at_the_place_where_it_ends_now() {
    let life = written(1, true);
    let frames = frames(&life.disk);
    let first: Vec<_> = frames.iter().filter(|f| f.file == "00000001.log").collect();
    let lost = first[first.len() - 2];
    let disk = SimDisk::new(0);
    for (name, mut bytes) in life.disk.files() {
        if name == lost.file {
            bytes[lost.start..].fill(0);
        }
        disk.put_file(&name, &bytes);
    }
    expect_damage(&disk, &lost.file, lost.start);
}

#[test]
fn a_value_that_rots_after_opening_is_never_answered() {
    let life = written(3, true);
    let options = Options {
        cache_bytes: 0,
        ..small_options()
    };
    let (mut engine, _) = Engine::open(life.disk.storage(), &options).unwrap();
    let rows = life.past.last().clone();
    let mut refused = 0;
    for (file, bytes) in life.disk.files() {
        for at in (0..bytes.len()).step_by(7) {
            life.disk.flip_bit(&file, at * 8);
            for (key, value) in &rows {
                match engine.get(key) {
                    Ok(entry) => assert_eq!(*entry.unwrap().value, **value),
                    Err(ReadError::Damaged(damage)) => {
                        assert_eq!(damage.file, file);
                        assert!(
                            (damage.offset..=damage.offset + value.len() as u64 + 3)
                                .contains(&(at as u64))
                        );
                        refused += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            life.disk.flip_bit(&file, at * 8);
        }
    }
    assert!(refused > 50, "only {refused}");
}

#[test]
fn logs_of_a_newer_version_are_refused_untouched() {
    let newer_header = header(3);
    let newer_kind = [&header(2)[..], &frame(4, &[])].concat();
    let newer_entry = [&header(2)[..], &frame(1, &[9, 1, 2, 3])].concat();
    for (bytes, what) in [
        (newer_header.to_vec(), "log version 3, this program knows 2"),
        (newer_kind, "frame kind 4 at byte 64"),
        (newer_entry, "entry type 9 at byte 64"),
    ] {
        let disk = SimDisk::new(0);
        disk.put_file("00000001.log", &bytes);
        match Engine::open(disk.storage(), &small_options()).err() {
            Some(OpenError::Newer { file, what: said }) => {
                assert_eq!((&*file, &*said), ("00000001.log", what));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(disk.files()["00000001.log"], bytes);
    }
}

#[test]
fn a_log_written_by_hand_from_the_description_opens() {
    // put "k" = "value", then its checksum over key and value.
    let mut payload = vec![1, 1, 5];
    payload.extend(b"kvalue");
    payload.extend(crc32c(b"kvalue").to_le_bytes());
    let bytes = [&header(1)[..], &frame(1, &payload)].concat();
    let disk = SimDisk::new(0);
    disk.put_file("00000001.log", &bytes);
    let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert_eq!(
        (report.sequence, report.transactions, report.clean),
        (1, 1, false)
    );
    assert_eq!(&*engine.get(b"k").unwrap().unwrap().value, b"value");
}

/// Overwrites, cuts, copies and swaps, as no disk would.
pub(crate) fn mangle(files: &mut BTreeMap<String, Vec<u8>>, rng: &mut Rng) {
    let names: Vec<String> = files.keys().cloned().collect();
    let mut pick = || names[rng.index(names.len())].clone();
    let (one, other) = (pick(), pick());
    let source = files[&other].clone();
    let bytes = files.get_mut(&one).unwrap();
    let at = rng.index(bytes.len());
    let length = rng.index(300).min(bytes.len() - at);
    match rng.below(6) {
        0 => bytes[at..at + length].fill(0),
        1 => bytes[at..at + length].fill_with(|| rng.next_u64() as u8),
        2 => bytes.truncate(at),
        3 => drop(bytes.splice(at..at, source)),
        4 => drop(bytes.drain(at..at + length)),
        _ => *bytes = source,
    }
}

#[test]
fn whatever_is_done_to_the_files_a_state_that_never_was_does_not_come_out() {
    let mut opened = 0;
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let life = written(seed % 4, seed % 8 < 4);
        let mut files = life.disk.files();
        for _ in 0..=rng.below(2) {
            mangle(&mut files, &mut rng);
        }
        let disk = SimDisk::new(seed);
        files
            .iter()
            .for_each(|(name, bytes)| disk.put_file(name, bytes));
        if let Ok((mut engine, _)) = Engine::open(disk.storage(), &small_options()) {
            let sequence = engine.sequence() as usize;
            assert_eq!(rows(&mut engine), life.past.0[sequence], "seed {seed}");
            opened += 1;
        }
    }
    assert!(opened > 100, "only {opened}");
}

const SALT: u64 = 0x1122_3344_5566_7788;

pub(crate) fn header(version: u32) -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(b"PERIWLOG");
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    bytes[16..20].copy_from_slice(&1u32.to_le_bytes());
    bytes[24..32].copy_from_slice(&SALT.to_le_bytes());
    let covered = [&bytes[..12], &bytes[16..]].concat();
    bytes[12..16].copy_from_slice(&crc32c(&covered).to_le_bytes());
    bytes
}

/// The first frame of segment 1.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEADER];
    bytes[..4].copy_from_slice(&[0xF7, b'p', b'w', 0x1E]);
    bytes[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[12] = kind;
    bytes[16..24].copy_from_slice(&1u64.to_le_bytes());
    bytes.extend(payload);
    let covered = [
        &SALT.to_le_bytes()[..],
        &1u32.to_le_bytes(),
        &bytes[..4],
        &bytes[8..],
    ];
    let crc = crc32c(&covered.concat());
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Bit by bit, as the polynomial is defined: a second opinion on the table-driven one.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut state = !0u32;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = (state >> 1) ^ (0x82F6_3B78 * (state & 1));
        }
    }
    !state
}
