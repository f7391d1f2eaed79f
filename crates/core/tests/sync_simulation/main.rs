//! Thousands of seeded histories of one device, its table, other writers, a bad network and bad
//! power. A failure prints its seed; `PERIWINKLE_SYNC_SEED=n` replays one history, and
//! `PERIWINKLE_SYNC_HISTORIES=n` runs that many of each kind, and `PERIWINKLE_SYNC_COUNT=1` counts
//! what each part of the protocol prevents.

#![expect(
    clippy::disallowed_methods,
    reason = "a test takes its seed from the environment"
)]
#![expect(clippy::print_stdout, reason = "a test tells its story")]

mod check;
mod scenarios;
mod store;
mod weather;
mod world;

use check::Broken;
use periwinkle_core::sync::config::Rules;
use weather::Weather;
use world::World;

const HISTORIES: u64 = 150;
const MUTANT_HISTORIES: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn history(seed: u64, weather: Weather, rules: Rules) -> Result<(), Broken> {
    World::new(seed, weather, rules).run()
}

/// No history of this kind breaks a promise.
fn check(weather: Weather) {
    let count = number("PERIWINKLE_SYNC_HISTORIES").unwrap_or(HISTORIES);
    let seeds = match number("PERIWINKLE_SYNC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| history(seed, weather, Rules::default()));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(Broken(text))) => panic!("PERIWINKLE_SYNC_SEED={seed}: {text}"),
            Err(_) => panic!("PERIWINKLE_SYNC_SEED={seed} panicked, see above"),
        }
    }
}

#[test]
fn a_device_alone_loses_nothing_and_never_conflicts_with_itself() {
    check(weather::ALONE);
}

#[test]
fn edits_of_others_are_never_overwritten_unseen() {
    check(weather::SHARED);
}

#[test]
fn erased_evidence_does_not_stop_convergence() {
    check(weather::ERASING);
}

#[test]
fn a_restored_file_clears_nothing_that_was_not_sent() {
    check(weather::RESTORED_FILE);
    check(weather::RESTORED_FILE_SHARED);
}

#[test]
fn a_restored_table_gets_back_what_only_the_device_has() {
    check(weather::RESTORED_TABLE);
}

#[test]
fn a_clock_that_is_twenty_minutes_off_corrects_itself() {
    check(weather::SKEWED);
}

/// Without this part of the protocol some history of this kind breaks a promise.
fn check_needed(part: &str, weather: Weather, remove: fn(&mut Rules)) {
    let mut rules = Rules::default();
    remove(&mut rules);
    let mut broken = (0..MUTANT_HISTORIES).filter_map(|seed| {
        let Err(Broken(text)) = history(seed, weather, rules) else {
            return None;
        };
        Some((seed, text))
    });
    if std::env::var_os("PERIWINKLE_SYNC_COUNT").is_some() {
        let count = broken.count();
        println!("without {part}: {count} of {MUTANT_HISTORIES} break");
        return;
    }
    let Some((seed, text)) = broken.next() else {
        panic!("nothing breaks without {part}");
    };
    println!("without {part}, history {seed}: {text}");
}

/// A part by name, the weather that needs it, and how to take it out.
type Part = (&'static str, Weather, fn(&mut Rules));

#[test]
fn every_part_of_the_protocol_is_needed() {
    use weather::{ALONE, RESTORED_FILE_SHARED, SHARED};
    let parts: [Part; 8] = [
        ("frozen attempts", ALONE, |rules| {
            rules.frozen_attempts = false;
        }),
        ("field comparison", SHARED, |rules| {
            rules.field_comparison = false;
        }),
        ("own marks", ALONE, |rules| rules.own_marks = false),
        ("the read rule", ALONE, |rules| rules.read_rule = false),
        ("confirmed absence", ALONE, |rules| {
            rules.confirmed_absence = false;
        }),
        ("graves", ALONE, |rules| rules.graves = false),
        ("durable marks", ALONE, |rules| rules.durable_marks = false),
        ("an epoch per start", RESTORED_FILE_SHARED, |rules| {
            rules.epoch_per_start = false;
        }),
    ];
    for (part, weather, remove) in parts {
        check_needed(part, weather, remove);
    }
}
