//! Every call of a life fails once, with a full disk or with a broken one.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use periwinkle_db::engine::{CommitError, Engine, OpenError, Refusal};
use periwinkle_testkit::disk::{Fault, SimDisk};
use periwinkle_testkit::rng::Rng;

use crate::life::{Past, check, commit, flush, random_batch, rows, small_options};

/// How a life with a fault went.
struct Outcome {
    past: Past,
    durable: u64,
    full: u64,
    failed: bool,
}

/// Commits and flushes; a refused commit must leave no trace in memory.
fn lead(disk: &SimDisk, seed: u64) -> Result<Outcome, OpenError> {
    let mut rng = Rng::new(seed);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options())?;
    let mut life = Outcome {
        past: Past::empty(),
        durable: 0,
        full: 0,
        failed: false,
    };
    for _ in 0..25 {
        let batch = random_batch(&mut rng);
        match commit(&mut engine, &batch) {
            Ok(_) => life.past.push(&batch),
            Err(CommitError::DiskFull { .. }) => life.full += 1,
            Err(CommitError::Failed(_)) => life.failed = true,
            Err(other) => panic!("{other}"),
        }
        if rng.one_in(3) {
            flush(&mut engine);
        }
        if rng.one_in(2)
            && let Some(reserve) = engine.take_reserve()
        {
            engine.reserved(reserve.run());
        }
        if rng.one_in(2) {
            while compact_unless_broken(&mut engine) {}
        }
        if rng.one_in(2)
            && let Some(file) = engine.take_key_file()
        {
            engine.key_file_made(file.run());
        }
        life.past.push_moves(&engine);
        assert!(engine.durable_sequence() >= life.durable);
        life.durable = engine.durable_sequence();
    }
    flush(&mut engine);
    life.durable = engine.durable_sequence();
    engine.close();
    if engine.sequence() as usize == life.past.0.len() {
        life.past.push(&periwinkle_db::engine::Batch::new());
    }
    flush(&mut engine);
    life.durable = engine.durable_sequence();
    if let Some(failure) = engine.failure().cloned() {
        life.failed = true;
        assert!(
            engine.take_flush().is_none(),
            "{failure}: no retry that pretends"
        );
        let refused = engine.commit(&random_batch(&mut rng));
        assert!(matches!(
            refused,
            Err(Refusal::Error(CommitError::Failed(_)))
        ));
    }
    Ok(life)
}

/// A step of compaction; one that meets the fault may stop it.
fn compact_unless_broken(engine: &mut Engine) -> bool {
    let step = engine.take_compaction();
    step.map(|step| engine.compacted(step.run())).is_some()
}

/// Reads may meet the one fault; after it they must be right.
fn read_back(disk: &SimDisk, life: &Outcome) {
    let (mut engine, _) = match Engine::open(disk.storage(), &small_options()) {
        Err(OpenError::Io { .. }) => Engine::open(disk.storage(), &small_options()).unwrap(),
        opened => opened.unwrap_or_else(|error| panic!("{error}")),
    };
    disk.heal();
    let committed = life.past.0.len() as u64 - 1;
    check(&mut engine, (life.durable, committed), &life.past);
    // And it goes on.
    let mut past = life.past.clone();
    past.truncate(engine.sequence());
    let batch = random_batch(&mut Rng::new(committed));
    commit(&mut engine, &batch).unwrap();
    past.push(&batch);
    flush(&mut engine);
    disk.restart(committed);
    let (mut engine, _) = Engine::open(disk.storage(), &small_options()).unwrap();
    assert_eq!(&rows(&mut engine), past.last());
}

fn one(
    seed: u64,
    call: u64,
    fault: Fault,
    struck: &mut BTreeSet<&'static str>,
) -> Option<(u64, bool)> {
    let disk = SimDisk::new(seed);
    disk.fail_nth(call, fault);
    let life = lead(&disk, seed);
    if disk.counts().calls <= call {
        return None;
    }
    let life = match life {
        Ok(life) => life,
        Err(OpenError::Io { .. }) => Outcome {
            past: Past::empty(),
            durable: 0,
            full: 0,
            failed: true,
        },
        Err(other) => panic!("{other}"),
    };
    // Reopened by the same system, which still shows what the disk may not have.
    read_back(&disk.snapshot(), &life);
    // Reopened after a power cut.
    for fate in 0..3 {
        let survivor = disk.snapshot();
        survivor.restart(call * 3 + fate);
        read_back(&survivor, &life);
    }
    // Reopened, and the opening fails as well.
    for call in 0..12 {
        let survivor = disk.snapshot();
        survivor.fail_nth(call, fault);
        read_back(&survivor, &life);
        struck.extend(survivor.struck());
    }
    Some((life.full, life.failed))
}

#[test]
fn a_fault_at_any_call_loses_nothing_that_was_durable_and_is_told() {
    let (mut full, mut failed, mut runs) = (0, 0, 0);
    let mut struck = BTreeSet::new();
    for seed in 0..8 {
        for fault in [Fault::Full, Fault::Io] {
            for call in 0.. {
                let run = || one(seed, call, fault, &mut struck);
                let done = catch_unwind(AssertUnwindSafe(run))
                    .unwrap_or_else(|_| panic!("seed {seed}, call {call}, {fault:?}"));
                let Some((refused, broken)) = done else { break };
                full += refused;
                failed += u64::from(broken);
                runs += 1;
            }
        }
    }
    let calls = [
        "create",
        "free_bytes",
        "list",
        "open",
        "read",
        "remove",
        "reserve",
        "size",
        "sync",
        "sync_dir",
        "truncate",
        "write",
    ];
    assert_eq!(struck, BTreeSet::from(calls));
    println!("{runs} runs, {failed} failed, {full} commits refused");
    assert!(runs > 500 && failed > 200 && full > 3);
}
