//! Threads that block on a ticket and write for themselves and for others.

use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use periwinkle_db::engine::{
    Batch, Committed, Durability, DurabilityError, DurableEvent, FileStorage, Options, Store,
};

use crate::store::{Beyond, Door, open_gate, put};

fn commit(store: &Store, key: &str) -> Committed {
    store.commit(&put(key, ""), Durability::Immediate).unwrap()
}

/// The storage thread does nothing here that it is not asked for.
fn unhurried() -> Options {
    Options {
        sync_grace: Duration::from_secs(3600),
        flush_interval: Duration::from_secs(3600),
        ..Options::default()
    }
}

/// Holds a thread that waits for its commit in the sync that it does itself.
fn held_leader(store: &Store, door: &Door) -> JoinHandle<Result<(), DurabilityError>> {
    door.set(false);
    let leader = thread::spawn({
        let store = store.clone();
        move || commit(&store, "led").ticket.wait()
    });
    door.wait_for_a_sync();
    assert_eq!(*door.thread.lock().unwrap(), Some(leader.thread().id()));
    leader
}

/// Threads that wait for commits of their own.
fn followers(store: &Store) -> Vec<JoinHandle<Result<(), DurabilityError>>> {
    let follow = |n: u32| {
        let ticket = commit(store, &n.to_string()).ticket;
        match n % 2 {
            0 => thread::spawn(move || ticket.wait()),
            _ => thread::spawn(move || block_on(ticket.durable())),
        }
    };
    (0..6).map(follow).collect()
}

#[test]
fn those_who_come_while_a_thread_writes_for_itself_share_the_next_sync() {
    let (store, door) = open_gate(unhurried());
    let leader = held_leader(&store, &door);
    let syncs = store.stats().syncs;
    let followers = followers(&store);
    door.set(true);
    leader.join().unwrap().unwrap();
    for follower in followers {
        follower.join().unwrap().unwrap();
    }
    assert_eq!(store.stats().syncs, syncs + 2);
}

#[test]
fn an_error_that_a_waiting_thread_meets_reaches_all_who_wait() {
    let (store, door) = open_gate(unhurried());
    let leader = held_leader(&store, &door);
    let followers = followers(&store);
    *door.beyond.lock().unwrap() = Beyond::Error;
    door.set(true);
    assert!(matches!(
        leader.join().unwrap(),
        Err(DurabilityError::Failed(_))
    ));
    for follower in followers {
        let outcome = follower.join().unwrap();
        assert!(matches!(outcome, Err(DurabilityError::Failed(_))));
    }
    *door.beyond.lock().unwrap() = Beyond::Sync;
    store.reopen().unwrap();
    commit(&store, "after").ticket.wait().unwrap();
}

#[test]
fn a_panic_of_the_storage_in_a_waiting_thread_is_a_failure_for_all_others() {
    let (store, door) = open_gate(unhurried());
    let leader = held_leader(&store, &door);
    let followers = followers(&store);
    *door.beyond.lock().unwrap() = Beyond::Panic;
    door.set(true);
    leader.join().unwrap_err();
    for follower in followers {
        let outcome = follower.join().unwrap();
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("panicked"), "{error}");
    }
    *door.beyond.lock().unwrap() = Beyond::Sync;
    store.reopen().unwrap();
    commit(&store, "after").ticket.wait().unwrap();
    drop(held_leader(&store, &door));
    door.set(true);
    store.close().unwrap();
}

#[test]
fn a_close_waits_for_the_thread_that_writes_for_itself() {
    let (store, door) = open_gate(unhurried());
    let leader = held_leader(&store, &door);
    let last = store.commit(&put("b", ""), Durability::Relaxed).unwrap();
    let closing = thread::spawn({
        let store = store.clone();
        move || store.close()
    });
    while store.commit(&Batch::new(), Durability::Relaxed).is_ok() {
        thread::yield_now();
    }
    assert!(!closing.is_finished());
    door.set(true);
    closing.join().unwrap().unwrap();
    leader.join().unwrap().unwrap();
    assert!(last.ticket.is_durable());
}

#[test]
fn a_reopening_waits_for_the_thread_that_writes_for_itself() {
    let (store, door) = open_gate(unhurried());
    let leader = held_leader(&store, &door);
    let sequence = store.sequence();
    let reopening = thread::spawn({
        let store = store.clone();
        move || store.reopen().unwrap().sequence
    });
    door.set(true);
    assert_eq!(reopening.join().unwrap(), sequence);
    // It was written; who reopens may still be faster than the word of it.
    let outcome = leader.join().unwrap();
    assert!(matches!(outcome, Ok(()) | Err(DurabilityError::Reopened)));
    commit(&store, "after").ticket.wait().unwrap();
}

#[test]
fn a_listener_that_drops_the_last_store_on_a_waiting_thread_closes_it() {
    let (store, door) = open_gate(unhurried());
    let last = Arc::new(Mutex::new(None::<Store>));
    let (tell, told) = mpsc::channel();
    let leader = held_leader(&store, &door);
    let subscription = store.on_durable({
        let last = Arc::clone(&last);
        move |_| {
            drop(last.lock().unwrap().take());
            tell.send(thread::current().id()).unwrap();
        }
    });
    *last.lock().unwrap() = Some(store);
    door.set(true);
    let thread = leader.thread().id();
    leader.join().unwrap().unwrap();
    assert_eq!(told.recv().unwrap(), thread);
    drop(subscription);
}

#[test]
fn a_listener_that_panics_takes_neither_the_waiting_thread_nor_the_others_along() {
    let (store, door) = open_gate(unhurried());
    let leader = held_leader(&store, &door);
    let (tell, told) = mpsc::channel();
    let _panics = store.on_durable(|_| panic!("a listener"));
    let _hears = store.on_durable(move |_| tell.send(()).unwrap());
    door.set(true);
    leader.join().unwrap().unwrap();
    told.recv().unwrap();
    commit(&store, "after").ticket.wait().unwrap();
}

#[test]
fn who_still_waits_does_not_keep_the_files_of_a_dropped_store() {
    let scratch = tempfile::tempdir().unwrap();
    for _ in 0..40 {
        let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
        let (store, _) = Store::open(storage, Options::default()).unwrap();
        let ticket = commit(&store, "a").ticket;
        let waiting = thread::spawn(move || ticket.wait());
        drop(store);
        FileStorage::open(scratch.path()).unwrap();
        waiting.join().unwrap().unwrap();
    }
}

#[test]
fn a_commit_whose_ticket_nobody_asks_is_flushed_all_the_same() {
    let (store, _) = open_gate(Options::default());
    let (tell, told) = mpsc::channel();
    let _subscription = store.on_durable(move |_| tell.send(()).unwrap());
    let kept = commit(&store, "kept");
    told.recv().unwrap();
    drop(commit(&store, "let go"));
    told.recv().unwrap();
    assert!(kept.ticket.is_durable());
}

#[test]
fn a_ticket_that_is_polled_once_and_dropped_has_asked() {
    let (store, _) = open_gate(unhurried());
    let (tell, told) = mpsc::channel();
    let _subscription = store.on_durable(move |_| tell.send(thread::current().id()).unwrap());
    for n in 0..100 {
        let mut durable = Box::pin(commit(&store, &n.to_string()).ticket.durable());
        let polled = durable
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        drop(durable);
        assert_ne!(told.recv().unwrap(), thread::current().id());
    }
}

#[test]
fn a_relaxed_commit_is_not_hurried_by_who_waits_for_it() {
    let (store, door) = open_gate(unhurried());
    let relaxed = store.commit(&put("a", ""), Durability::Relaxed).unwrap();
    let waiting = thread::spawn({
        let ticket = relaxed.ticket.clone();
        move || ticket.wait()
    });
    let mut durable = Box::pin(relaxed.ticket.durable());
    let polled = durable
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    let syncs = store.stats().syncs;
    commit(&store, "b").ticket.wait().unwrap();
    waiting.join().unwrap().unwrap();
    assert_eq!(store.stats().syncs, syncs + 1);
    assert_eq!(*door.thread.lock().unwrap(), Some(thread::current().id()));
}

/// Eight threads that commit and wait, each in its way.
fn crowd(options: Options) {
    let scratch = tempfile::tempdir().unwrap();
    let storage = Arc::new(FileStorage::open(scratch.path()).unwrap());
    let (store, _) = Store::open(storage, options).unwrap();
    let heard = Arc::<Mutex<Vec<u64>>>::default();
    let listener = Arc::clone(&heard);
    let _subscription = store.on_durable(move |event| match event {
        DurableEvent::Advanced(sequence) => listener.lock().unwrap().push(sequence),
        DurableEvent::Failed(failure) => panic!("{failure}"),
    });
    thread::scope(|scope| {
        for n in 0..8 {
            let (store, heard) = (&store, &heard);
            scope.spawn(move || {
                for round in 0..60 {
                    let committed = commit(store, &format!("{n}/{round}"));
                    match (n + round) % 4 {
                        0 => block_on(committed.ticket.durable()).unwrap(),
                        1 => drop(committed.ticket),
                        _ => committed.ticket.wait().unwrap(),
                    }
                    if (n + round) % 4 != 1 {
                        let told = heard.lock().unwrap().last().copied();
                        assert!(told >= Some(committed.sequence), "{told:?}");
                    }
                }
            });
        }
    });
    store.flush().wait().unwrap();
    let heard = heard.lock().unwrap().clone();
    assert!(heard.is_sorted(), "{heard:?}");
    assert!(heard.last() >= Some(&480));
    store.close().unwrap();
}

#[test]
fn many_threads_that_block_and_others_that_poll_are_all_served_in_order() {
    crowd(Options::default());
}

#[test]
fn no_word_is_lost_among_many_threads_without_a_clock_to_make_up_for_it() {
    // Small segments: the storage thread has much to do beside.
    for segment_bytes in [Options::default().segment_bytes, 8 << 10] {
        crowd(Options {
            segment_bytes,
            segment_bytes_min: 4 << 10,
            ..unhurried()
        });
    }
}

/// Parks the thread until the future ends.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
