//! The power is cut before every change of the disk, and the disk does its worst with what was
//! not synced; then again while the database recovers and goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use periwinkle_db::engine::Engine;
use periwinkle_testkit::disk::{Fate, SimDisk};
use periwinkle_testkit::rng::Rng;

use crate::life::{Life, Past, check, seeds, small_options};

/// How often the power was cut, and how often the opening after it used key files.
#[derive(Clone, Copy, Default)]
struct Cuts {
    all: usize,
    with_key_files: usize,
}

impl std::ops::AddAssign for Cuts {
    fn add_assign(&mut self, more: Cuts) {
        self.all += more.all;
        self.with_key_files += more.with_key_files;
    }
}

/// Cuts `life` before each of its changes, in `fates` ways each, and returns how often.
/// One in `again` of them is lived on from, and cut again.
fn cut_everywhere(life: &Life, rng: &mut Rng, fates: usize, again: Option<u64>) -> Cuts {
    let mut cuts = Cuts::default();
    for (changes, disk) in life.disk.recording().into_iter().enumerate() {
        let promised = life.promised(changes);
        for _ in 0..fates {
            cuts.all += 1;
            let survivor = disk.snapshot();
            survivor.restart(rng.next_u64());
            match again {
                Some(again) if rng.one_in(again) => {
                    cuts += live_on(survivor, life.past.clone(), promised, rng);
                }
                _ if check_survivor(&survivor, promised, &life.past) => cuts.with_key_files += 1,
                _ => {}
            }
        }
    }
    cuts
}

/// Whether it was opened with the help of key files.
fn check_survivor(disk: &SimDisk, promised: (u64, u64), past: &Past) -> bool {
    let opened = Engine::open(disk.storage(), &small_options());
    let (mut engine, report) = opened.unwrap_or_else(|error| panic!("{error}"));
    check(&mut engine, promised, past);
    report.key_files_used > 0
}

fn live_on(disk: SimDisk, past: Past, (durable, committed): (u64, u64), rng: &mut Rng) -> Cuts {
    let mut past = past;
    past.truncate(committed);
    let mut life = Life::begin(disk, past, durable);
    let (mut engine, _) = life.open();
    life.lead(&mut engine, 3, rng);
    cut_everywhere(&life, rng, 2, None)
}

/// Lives in CI: a hundred thousand cuts.
const USUAL: u64 = 44;

#[test]
fn no_power_cut_takes_what_was_durable_or_leaves_half_a_transaction() {
    let mut cuts = Cuts::default();
    let mut freed = 0;
    let seeds = seeds("PERIWINKLE_POWER_CUT_SEEDS", USUAL);
    for seed in 0..seeds {
        let one = || {
            let mut rng = Rng::new(seed);
            let mut life = Life::begin(SimDisk::new(seed), Past::empty(), 0);
            let (mut engine, report) = life.open();
            assert!(report.created);
            life.lead(&mut engine, 40, &mut rng);
            let cuts = cut_everywhere(&life, &mut rng, 6, Some(12));
            (cuts, life.freed)
        };
        let (more, freed_now) =
            catch_unwind(AssertUnwindSafe(one)).unwrap_or_else(|_| panic!("seed {seed}"));
        cuts += more;
        freed += u64::from(freed_now > 0);
    }
    let Cuts {
        all: cuts,
        with_key_files,
    } = cuts;
    println!("{cuts} cuts, {with_key_files} with key files, segments freed in {freed} lives");
    assert!(
        with_key_files > 5_000,
        "only {with_key_files} with key files"
    );
    assert!(freed > 20, "only {freed} lives with a compaction");
    let wanted = 100_000 * seeds as usize / USUAL as usize;
    assert!(cuts >= wanted, "only {cuts} cuts of {wanted}");
}

/// Cuts lives before each change of the disk, with the same fate for all that was not synced.
fn cut_with(fate: Fate) {
    let mut cuts = 0;
    for seed in 100..103 {
        let mut rng = Rng::new(seed);
        let mut life = Life::begin(SimDisk::new(seed), Past::empty(), 0);
        let (mut engine, _) = life.open();
        life.lead(&mut engine, 40, &mut rng);
        for (changes, disk) in life.disk.recording().into_iter().enumerate() {
            disk.restart_with(rng.next_u64(), fate);
            check_survivor(&disk, life.promised(changes), &life.past);
            cuts += 1;
        }
    }
    assert!(cuts > 300, "only {cuts}");
}

#[test]
fn a_power_cut_that_loses_all_that_was_not_synced_takes_nothing_durable() {
    cut_with(Fate::LoseAll);
}

#[test]
fn a_power_cut_that_keeps_all_that_was_not_synced_leaves_no_half_of_a_transaction() {
    cut_with(Fate::KeepAll);
}

#[test]
fn a_power_cut_that_tears_the_last_write_leaves_no_half_of_a_transaction() {
    cut_with(Fate::InOrder);
}

#[test]
fn sectors_that_were_torn_lost_filled_with_garbage_or_reordered_are_recognised() {
    cut_with(Fate::Shuffled);
}
