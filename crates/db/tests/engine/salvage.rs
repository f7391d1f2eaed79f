//! Looking at damaged files, and saving what is left of them.

use std::collections::BTreeMap;

use periwinkle_db::engine::{
    Batch, Engine, Inspection, Options, SalvageError, Salvaged, salvage, verify,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{Rows, commit, compact, flush, rows, small_options};

/// What was committed under each sequence.
type History = BTreeMap<u64, Batch>;

/// A closed log of single puts and deletes, compacted or not.
fn written(seed: u64, compacting: bool) -> (SimDisk, History) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(seed);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    let mut history = History::new();
    for round in 0..60 {
        let mut batch = Batch::new();
        let key = format!("key {}", rng.below(15));
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
            if saved.inspection.frames < whole.frames && lost.is_empty() {
                // At either end there is no gap.
                lost = if rescued == without(&history, &[(1, 1)]) {
                    vec![(1, 1)]
                } else {
                    vec![(last, last)]
                };
            }
            let frames: u64 = lost.iter().map(|(from, to)| to - from + 1).sum();
            assert!(frames <= 1, "{file} at {at}: {lost:?}");
            assert_eq!(saved.inspection.frames, whole.frames - frames);
            assert_eq!(rescued, without(&history, &lost), "{file} at {at}");
        }
    }
    assert!(tails > 0, "flips in the last frame are among them");
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

#[test]
fn salvage_does_not_write_into_a_database() {
    let (disk, _) = written(4, false);
    let options: Options = small_options();
    let refused = salvage(&*disk.storage(), disk.storage(), &options).unwrap_err();
    assert!(matches!(refused, SalvageError::NotEmpty), "{refused}");
}
