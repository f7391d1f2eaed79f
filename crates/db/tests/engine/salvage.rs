//! Looking at damaged files, and saving what is left of them.

use std::collections::BTreeMap;

use periwinkle_db::engine::{
    Batch, Engine, Inspection, OpenError, Options, SalvageError, Salvaged, salvage, verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{Rows, commit, compact, flush, rows, small_options};

/// What was committed under each sequence.
type History = BTreeMap<u64, Batch>;

/// A closed log of single puts and deletes, compacted or not.
fn written(seed: u64, compacting: bool) -> (SimDisk, History) {
    written_to(seed, compacting, 15)
}

/// The same with so many keys.
fn written_to(seed: u64, compacting: bool, keys: u64) -> (SimDisk, History) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(seed);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let mut history = History::new();
    for round in 0..4 * keys {
        let mut batch = Batch::new();
        let key = format!("key {}", rng.below(keys));
        if rng.one_in(5) {
            batch.delete(key.as_bytes());
        } else {
            // No two values are alike.
            let value = [round as u8; 1].repeat(rng.index(200));
            batch.put(key.as_bytes(), &[&[round as u8; 4][..], &value].concat());
        }
        history.insert(commit(&mut engine, &batch).unwrap(), batch);
        flush(&mut engine);
        while compacting && compact(&mut engine) {
            flush(&mut engine);
        }
    }
    engine.close();
    flush(&mut engine);
    (disk, history)
}

fn rescue(disk: &SimDisk) -> (Salvaged, Rows) {
    let before = disk.files();
    let new = SimDisk::new(7);
    let saved = salvage(&*disk.storage(), new.storage(), &small_options()).unwrap();
    assert_eq!(disk.files(), before);
    let (mut engine, report) = Engine::open(new.storage(), &small_options()).unwrap();
    assert!(report.clean);
    let rows = rows(&mut engine);
    assert_eq!(rows.len() as u64, saved.rows);
    (saved, rows)
}

#[test]
fn an_intact_log_has_no_damage_and_salvage_saves_all_of_it() {
    for compacting in [false, true] {
        let (disk, _) = written(1, compacting);
        let inspection = verify(&*disk.storage()).unwrap();
        assert_eq!(
            (&inspection.damage[..], &inspection.lost[..]),
            (&[][..], &[][..])
        );
        assert!(inspection.segments >= 2 && inspection.frames > 10);
        let (saved, rescued) = rescue(&disk);
        assert_eq!(saved.inspection, inspection);
        let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
        assert_eq!(rescued, rows(&mut engine));
    }
}

/// The rows when the transactions of some sequences never were.
fn without(history: &History, lost: &[(u64, u64)]) -> Rows {
    let mut rows = Rows::new();
    let is_lost = |sequence| {
        lost.iter()
            .any(|(from, to)| (*from..=*to).contains(sequence))
    };
    for (_, batch) in history.iter().filter(|(sequence, _)| !is_lost(sequence)) {
        for (key, value) in batch.iter() {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
    }
    rows
}

#[test]
fn every_flipped_bit_costs_one_frame_and_every_other_frame_is_saved() {
    let (disk, history) = written(2, false);
    let whole = verify(&*disk.storage()).unwrap();
    let last = whole.frames;
    let mut rng = Rng::new(2);
    let mut tails = 0;
    for (file, bytes) in disk
        .files()
        .into_iter()
        .filter(|(name, _)| name != "reserve")
    {
        for at in (0..bytes.len()).step_by(3) {
            let damaged = disk.snapshot();
            damaged.flip_bit(&file, at * 8 + rng.index(8));
            let found: Inspection = verify(&*damaged.storage()).unwrap();
            // In the last frame nothing tells it from the tail of a power cut.
            let places: Vec<_> = found.damage.iter().chain(&found.tail).collect();
            assert_eq!(places.len(), 1, "{file} at {at}: {places:?}");
            assert_eq!(places[0].file, file);
            assert!(places[0].offset as usize <= at);
            tails += u64::from(found.tail.is_some());
            let (saved, rescued) = rescue(&damaged);
            let mut lost = saved.inspection.lost.clone();
            if saved.inspection.tail.is_some() && saved.inspection.frames < whole.frames {
                // Nothing tells it from a write that was never reported durable.
                assert_eq!(lost, []);
                lost = vec![(last, last)];
            }
            let frames: u64 = lost.iter().map(|(from, to)| to - from + 1).sum();
            assert!(frames <= 1, "{file} at {at}: {lost:?}");
            assert_eq!(saved.inspection.frames, whole.frames - frames);
            assert_eq!(rescued, without(&history, &lost), "{file} at {at}");
        }
    }
    assert!(tails > 0, "flips in the last frame are among them");
}

/// What verification says of the end of a file that was cut to so many bytes.
fn said_of_cut(disk: &SimDisk, file: &str, bytes: usize) -> Option<String> {
    let cut = lacking(disk, &[&file.to_owned()]);
    cut.put_file(file, &disk.files()[file][..bytes]);
    let found = verify(&*cut.storage()).unwrap();
    let mut places = found.damage.into_iter().chain(found.tail);
    let place = places.next()?;
    assert_eq!((place.file.as_str(), places.next()), (file, None));
    Some(place.what)
}

#[test]
fn a_file_that_was_cut_short_inside_a_frame_is_told_from_what_a_power_cut_leaves() {
    const CLOSE_BYTES: usize = 32;
    let (disk, _) = written(2, false);
    let files = disk.files();
    let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
    let mut filled = logs.map(|(name, bytes)| {
        let blank = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        (name, bytes.len() - blank)
    });
    let (last, filled) = filled.rfind(|(_, filled)| *filled > 64).unwrap();
    let mut whole_frames = 0;
    for bytes in filled - 1000..filled - CLOSE_BYTES {
        match said_of_cut(&disk, last, bytes) {
            Some(what) => assert!(what.contains("the file was cut short"), "{what}"),
            None => whole_frames += 1,
        }
    }
    assert!((3..20).contains(&whole_frames), "{whole_frames}");
    assert_eq!(said_of_cut(&disk, last, files[last].len()), None);
    // A frame that did not reach the disk whole, in a file of full length.
    let torn = disk.snapshot();
    torn.flip_bit(last, (filled - CLOSE_BYTES - 1) * 8);
    let what = said_of_cut(&torn, last, files[last].len()).unwrap();
    assert!(!what.contains("short"), "{what}");
}

#[test]
fn no_value_that_never_was_comes_out_of_a_damaged_compacted_log() {
    let (disk, history) = written(3, true);
    let mut ever: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for batch in history.values() {
        for (key, value) in batch.iter() {
            let values = ever.entry(key.to_vec()).or_default();
            values.extend(value.map(<[u8]>::to_vec));
        }
    }
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let damaged = disk.snapshot();
        for (file, bytes) in disk.files() {
            damaged.flip_bit(&file, rng.index(bytes.len() * 8));
        }
        let (saved, rescued) = rescue(&damaged);
        assert!(!saved.inspection.damage.is_empty());
        for (key, value) in rescued {
            assert!(ever[&key].contains(&value), "seed {seed}");
        }
    }
}

/// The same disk without some of its files.
fn lacking(disk: &SimDisk, files: &[&String]) -> SimDisk {
    let copy = SimDisk::new(7);
    for (name, bytes) in disk.files() {
        if !files.contains(&&name) {
            copy.put_file(&name, &bytes);
        }
    }
    copy
}

/// A closed log with the key files of all sealed segments, and the names of its segments.
fn with_key_files(seed: u64, compacting: bool) -> (SimDisk, History, Vec<String>) {
    let (disk, history) = written_to(seed, compacting, 45);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    while let Some(file) = engine.take_key_file() {
        engine.key_file_made(file.run());
    }
    engine.close();
    flush(&mut engine);
    let mut names: Vec<String> = disk.files().into_keys().collect();
    names.retain(|name| name.ends_with(".log"));
    (disk, history, names)
}

/// What is told of a disk that lacks files: by looking, saving and opening alike.
#[track_caller]
fn check_lacking(disk: &SimDisk, files: &[&String], history: Option<&History>) -> Inspection {
    let damaged = lacking(disk, files);
    let found = verify(&*damaged.storage()).unwrap();
    assert_eq!(found.damage.len(), 1, "{found:?}");
    assert_eq!(
        (&found.damage[0].file, found.damage[0].offset),
        (files[0], 0)
    );
    let (saved, rescued) = rescue(&damaged);
    assert_eq!(saved.inspection, found);
    if let Some(history) = history {
        let mut lost = found.lost.clone();
        lost.push((found.sequence + 1, u64::MAX));
        assert_eq!(rescued, without(history, &lost));
    }
    match Engine::open(damaged.storage(), &small_options()).err() {
        Some(OpenError::Damaged(_)) => {}
        other => panic!("{other:?} without {files:?}"),
    }
    found
}

#[test]
fn a_missing_segment_is_told_with_its_transactions_wherever_it_was() {
    let (disk, history, names) = with_key_files(2, false);
    let whole = verify(&*disk.storage()).unwrap();
    for (at, name) in names.iter().enumerate().take(names.len() - 1) {
        let found = check_lacking(&disk, &[name], Some(&history));
        let [(first, last)] = found.lost[..] else {
            panic!("{found:?}");
        };
        assert_eq!(at == 0, first == 1, "{found:?}");
        assert_eq!(last - first + 1, whole.frames - found.frames);
    }
    // Of the last one only its key file would tell, and it has none.
    let [.., before, last] = &names[..] else {
        panic!("{names:?}");
    };
    let found = check_lacking(&disk, &[last], Some(&history));
    assert_eq!(found.lost, []);
    let found = check_lacking(&disk, &[before, last], Some(&history));
    let of_last = verify(&*lacking(&disk, &[last]).storage()).unwrap();
    assert_eq!(found.lost, [(found.sequence + 1, of_last.sequence)]);
}

#[test]
fn what_compaction_took_away_is_not_told_as_lost_and_what_is_missing_behind_it_is() {
    for seed in 0..5 {
        let (disk, _, names) = with_key_files(seed, true);
        assert_ne!(names[0], "00000001.log", "seed {seed}: it was compacted");
        assert!(names.len() > 3, "seed {seed}: {names:?}");
        let whole = verify(&*disk.storage()).unwrap();
        assert!(whole.is_whole(), "{whole:?}");
        for files in [&names[..1], &names[..2]] {
            let files: Vec<&String> = files.iter().collect();
            let found = check_lacking(&disk, &files, None);
            let [(first, last)] = found.lost[..] else {
                panic!("{found:?}");
            };
            assert_eq!(last - first + 1, whole.frames - found.frames, "seed {seed}");
            // Without the key files the range is no shorter.
            let keys: Vec<String> = disk.files().into_keys().collect();
            let keys = keys.iter().filter(|name| name.ends_with(".keys"));
            let all: Vec<&String> = files.iter().copied().chain(keys).collect();
            let blind = verify(&*lacking(&disk, &all).storage()).unwrap();
            let [(lower, same)] = blind.lost[..] else {
                panic!("{blind:?}");
            };
            assert!(same == last && lower <= first && lower > 1, "{blind:?}");
        }
    }
}

#[test]
fn salvage_does_not_write_into_a_database() {
    let (disk, _) = written(4, false);
    let options: Options = small_options();
    let refused = salvage(&*disk.storage(), disk.storage(), &options).unwrap_err();
    assert!(matches!(refused, SalvageError::NotEmpty), "{refused}");
}
