//! The storage thread panics in any of its calls: who waits hears of it, and so does who comes
//! later.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use periwinkle_db::engine::{CommitError, Durability, DurabilityError, Options, Store};
use periwinkle_testkit::disk::{Fault, SimDisk};

use crate::leading::block_on;
use crate::store::put;

/// Long enough for any machine: it ends only who would wait for ever.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Small segments, and commits that only the storage thread flushes.
fn options() -> Options {
    Options {
        segment_bytes: 4096,
        segment_bytes_min: 4096,
        flush_interval: Duration::ZERO,
        salt: 1,
        ..Options::default()
    }
}

/// Commits and waits for each commit until one fails. Answers how many were durable, and the
/// error.
fn lead(store: &Store) -> (usize, String) {
    for number in 0..200 {
        let batch = put(&format!("{:02}", number % 20), &"x".repeat(500));
        let committed = match store.commit(&batch, Durability::Relaxed) {
            Ok(committed) => committed,
            Err(error) => return (number, error.to_string()),
        };
        let waited = match number % 2 {
            0 => block_on(committed.ticket.durable()),
            _ => committed.ticket.wait(),
        };
        if let Err(error) = waited {
            return (number, error.to_string());
        }
    }
    panic!("no call has panicked")
}

/// What `work` answers on a thread of its own, if it comes to an end.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    told.recv_timeout(FOR_EVER)
        .unwrap_or_else(|_| panic!("{what} waits for ever"))
}

#[test]
fn a_panic_of_the_storage_thread_in_any_call_is_a_failure_for_all_who_wait_and_all_who_come_later()
{
    let mut struck = BTreeSet::new();
    for call in 0..150 {
        let disk = SimDisk::new(1);
        let store = Store::open(disk.storage(), options()).unwrap().0;
        disk.fail_nth(call, Fault::Panic);
        let (durable, error) = in_time(&format!("a writer, call {call},"), {
            let store = store.clone();
            move || lead(&store)
        });
        assert!(error.contains("panicked"), "call {call}: {error}");
        struck.extend(disk.struck());

        let later = store.commit(&put("later", ""), Durability::Immediate);
        assert!(matches!(later, Err(CommitError::Failed(_))), "call {call}");
        let flush = in_time("a flush", {
            let store = store.clone();
            move || store.flush().wait()
        });
        // A job that nobody waits for may panic when all is on the disk.
        match flush {
            Ok(()) => assert_eq!(store.durable_sequence(), store.sequence(), "call {call}"),
            Err(error) => assert!(matches!(error, DurabilityError::Failed(_)), "call {call}"),
        }
        in_time("who reopens", move || {
            store.reopen().unwrap();
            for number in 0..durable.min(20) {
                let key = format!("{number:02}");
                assert!(store.get(key.as_bytes()).unwrap().is_some(), "call {call}");
            }
            let after = store.commit(&put("after", ""), Durability::Relaxed);
            after.unwrap().ticket.wait().unwrap();
            store.close().unwrap();
        });
    }
    // Which call comes when depends on the threads; these are among the first of any life.
    let calls = ["create", "reserve", "sync", "write"];
    assert!(calls.iter().all(|call| struck.contains(call)), "{struck:?}");
}
