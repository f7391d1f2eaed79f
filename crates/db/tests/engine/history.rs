//! Random histories against the map of the standard library.

use std::collections::BTreeMap;
use std::ops::Bound;

use periwinkle_db::engine::{
    Batch, CommitError, Durability, Engine, Entry, KeyRange, Options, Order, Store,
};
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;

use crate::life::{Rows, commit, compact, flush, random_batch, rows, small_options};

fn random_key(rng: &mut Rng) -> Vec<u8> {
    let length = rng.index(4);
    (0..length)
        .map(|_| [0, 1, b'a', 0xff][rng.index(4)])
        .collect()
}

fn random_range(rng: &mut Rng) -> KeyRange {
    let mut bound = || match rng.below(3) {
        0 => Bound::Included(random_key(rng)),
        1 => Bound::Excluded(random_key(rng)),
        _ => Bound::Unbounded,
    };
    let (start, end) = (bound(), bound());
    if rng.one_in(3) {
        KeyRange::prefix(&random_key(rng))
    } else {
        KeyRange::new(start, end)
    }
}

fn expected(rows: &Rows, range: &KeyRange, order: Order, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let hits = rows.iter().filter(|(key, _)| range.contains(key));
    let hits = hits.map(|(key, value)| (key.clone(), value.clone()));
    match order {
        Order::Forward => hits.take(limit).collect(),
        Order::Reverse => hits.rev().take(limit).collect(),
    }
}

fn pairs(entries: Vec<Entry>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = entries.into_iter();
    pairs.map(|e| (e.key.to_vec(), e.value.to_vec())).collect()
}

fn apply(rows: &mut Rows, batch: &Batch) {
    for (key, value) in batch.iter() {
        match value {
            Some(value) => rows.insert(key.to_vec(), value.to_vec()),
            None => rows.remove(key),
        };
    }
}

#[test]
fn an_engine_answers_like_a_map_through_any_history_of_openings() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let mut model = Rows::new();
        for _ in 0..6 {
            let (mut engine, report) = Engine::open(disk.storage(), &small_options()).unwrap();
            assert_eq!(rows(&mut engine), model, "seed {seed}");
            assert!(report.clean && report.cut.is_none(), "seed {seed}");
            for _ in 0..rng.below(60) {
                let batch = random_batch(&mut rng);
                let sequence = commit(&mut engine, &batch).unwrap();
                apply(&mut model, &batch);
                let key = format!("key {}", rng.below(12));
                let read = engine.get(key.as_bytes()).unwrap();
                let value = read.as_ref().map(|entry| entry.value.to_vec());
                assert_eq!(value.as_ref(), model.get(key.as_bytes()), "seed {seed}");
                assert!(read.is_none_or(|entry| entry.sequence <= sequence));
                if rng.one_in(5) {
                    flush(&mut engine);
                }
                while rng.one_in(2) && compact(&mut engine) {}
            }
            assert_eq!(engine.stats().rows, model.len() as u64);
            let live: usize = model
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum();
            assert_eq!(engine.stats().bytes_live, live as u64, "seed {seed}");
            flush(&mut engine);
            engine.close();
            flush(&mut engine);
        }
    }
}

#[test]
fn ranges_in_both_directions_give_what_a_map_gives() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let (mut engine, _) = Engine::open(SimDisk::new(seed).storage(), &small_options()).unwrap();
        let mut model = Rows::new();
        for _ in 0..20 {
            let mut batch = Batch::new();
            batch.put(&random_key(&mut rng), &random_key(&mut rng));
            commit(&mut engine, &batch).unwrap();
            apply(&mut model, &batch);
        }
        for _ in 0..50 {
            let range = random_range(&mut rng);
            let limit = rng.index(8);
            for order in [Order::Forward, Order::Reverse] {
                let found = pairs(engine.scan(&range, order, limit).unwrap());
                assert_eq!(
                    found,
                    expected(&model, &range, order, limit),
                    "seed {seed} {range:?}"
                );
                if let Some((last, _)) = found.last() {
                    let rest = range.clone().after(last, order);
                    let all = expected(&model, &range, order, usize::MAX);
                    let found = pairs(engine.scan(&rest, order, usize::MAX).unwrap());
                    assert_eq!(found, all[limit.min(all.len())..], "seed {seed} {rest:?}");
                }
            }
        }
    }
}

#[test]
fn a_transaction_reads_its_own_writes_and_leaves_nothing_when_it_fails() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let options = Options {
            salt: 1,
            ..Options::default()
        };
        let (store, _) = Store::open(SimDisk::new(seed).storage(), options).unwrap();
        let mut model = Rows::new();
        for _ in 0..10 {
            let mut rng_in = rng.clone();
            let outcome = store.with_tx(Durability::Relaxed, |tx| {
                let mut inside = model.clone();
                rng_in = rng.clone();
                for _ in 0..rng_in.below(5) {
                    let key = random_key(&mut rng_in);
                    if rng_in.one_in(3) {
                        tx.delete(&key);
                        inside.remove(&key);
                    } else {
                        tx.put(&key, &[seed as u8]);
                        inside.insert(key.clone(), vec![seed as u8]);
                    }
                    assert_eq!(tx.contains(&key), inside.contains_key(&key));
                    let range = random_range(&mut rng_in);
                    let limit = rng_in.index(6);
                    for order in [Order::Forward, Order::Reverse] {
                        let found = pairs(tx.scan(&range, order, limit).unwrap());
                        let expected = expected(&inside, &range, order, limit);
                        assert_eq!(found, expected, "seed {seed} {range:?}");
                    }
                }
                if rng_in.one_in(3) {
                    Err(CommitError::Closed)
                } else {
                    Ok(inside)
                }
            });
            rng = rng_in;
            if let Ok((inside, _)) = outcome {
                model = inside;
            }
            let all = store
                .scan(&KeyRange::all(), Order::Forward, usize::MAX)
                .unwrap();
            assert_eq!(
                pairs(all),
                model.clone().into_iter().collect::<Vec<_>>(),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn keys_and_transactions_at_the_bound_pass_and_one_byte_more_is_refused() {
    use periwinkle_core::limits::{DB_KEY_BYTES_MAX, DB_TRANSACTION_BYTES_MAX};
    let (mut engine, _) = Engine::open(SimDisk::new(1).storage(), &Options::default()).unwrap();
    let mut batch = Batch::new();
    batch.put(&[b'k'; DB_KEY_BYTES_MAX], b"");
    commit(&mut engine, &batch).unwrap();
    let mut batch = Batch::new();
    batch.delete(&[b'k'; DB_KEY_BYTES_MAX + 1]);
    let refused = commit(&mut engine, &batch).unwrap_err();
    assert!(matches!(
        refused,
        CommitError::KeyTooLong { bytes: 4097, .. }
    ));

    // Frame header 32, tag 1, lengths 1 and 4, key 1, checksum 4.
    let value = vec![7; DB_TRANSACTION_BYTES_MAX - 43];
    let mut batch = Batch::new();
    batch.put(b"k", &value);
    commit(&mut engine, &batch).unwrap();
    flush(&mut engine);
    assert_eq!(*engine.get(b"k").unwrap().unwrap().value, *value);
    let mut batch = Batch::new();
    batch.put(b"k", &vec![7; value.len() + 1]);
    let refused = commit(&mut engine, &batch).unwrap_err();
    assert!(matches!(refused, CommitError::TooLarge { bytes, .. } if bytes == (16 << 20) + 1));
    assert_eq!(engine.sequence(), 2);
}

#[test]
fn an_empty_batch_changes_nothing() {
    let (mut engine, _) = Engine::open(SimDisk::new(1).storage(), &small_options()).unwrap();
    assert_eq!(commit(&mut engine, &Batch::new()).unwrap(), 0);
    assert!(engine.take_flush().is_none());
    let _: BTreeMap<_, _> = rows(&mut engine);
}
