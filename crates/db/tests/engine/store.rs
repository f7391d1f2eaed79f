//! The store: threads, tickets, group commit, back-pressure, closing and reopening.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use periwinkle_db::engine::{
    Batch, CommitError, Committed, Durability, DurabilityError, DurableEvent, FileStorage,
    KeyRange, Options, Order, ReadError, Storage, StorageError, StorageFile, Store,
};
use periwinkle_testkit::disk::{Fault, SimDisk};

fn open_files(directory: &Path) -> Store {
    let storage = Arc::new(FileStorage::open(directory).unwrap());
    Store::open(storage, Options::default()).unwrap().0
}

fn open_sim(disk: &SimDisk) -> Store {
    Store::open(disk.storage(), Options::default()).unwrap().0
}

pub(crate) fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key.as_bytes(), value.as_bytes());
    batch
}

fn value(store: &Store, key: &str) -> Option<String> {
    let entry = store.get(key.as_bytes()).unwrap()?;
    Some(String::from_utf8(entry.value.to_vec()).unwrap())
}

fn keys(store: &Store, range: &KeyRange, order: Order, limit: usize) -> Vec<String> {
    let rows = store.scan(range, order, limit).unwrap();
    let keys = rows.iter().map(|row| row.key.to_vec());
    keys.map(|key| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn what_was_committed_is_there_after_close_and_open() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open_files(scratch.path());
    let mut batch = Batch::new();
    batch
        .put(b"a", b"1")
        .put(b"b", b"2")
        .put(b"c", b"3")
        .delete(b"b");
    let committed = store.commit(&batch, Durability::Immediate).unwrap();
    assert_eq!(committed.sequence, 1);
    committed.ticket.wait().unwrap();
    assert_eq!(store.durable_sequence(), 1);
    store.commit(&put("d", "4"), Durability::Relaxed).unwrap();
    store.close().unwrap();
    drop(store);

    let store = open_files(scratch.path());
    assert_eq!(
        keys(&store, &KeyRange::all(), Order::Forward, 10),
        ["a", "c", "d"]
    );
    assert_eq!(
        keys(&store, &KeyRange::all(), Order::Reverse, 2),
        ["d", "c"]
    );
    assert_eq!(value(&store, "d").as_deref(), Some("4"));
    assert_eq!(value(&store, "b"), None);
}

#[test]
fn dropping_the_last_clone_closes_in_order() {
    let disk = SimDisk::new(1);
    let store = open_sim(&disk);
    let clone = store.clone();
    drop(store);
    clone.commit(&put("a", "1"), Durability::Relaxed).unwrap();
    drop(clone);
    let (store, report) = Store::open(disk.storage(), Options::default()).unwrap();
    assert!(report.clean);
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
}

#[test]
fn after_close_commits_are_refused_and_reads_go_on() {
    let store = open_sim(&SimDisk::new(1));
    store.commit(&put("a", "1"), Durability::Immediate).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    let refused = store.commit(&put("a", "2"), Durability::Immediate);
    assert!(matches!(refused, Err(CommitError::Closed)));
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
}

#[test]
fn an_idle_close_and_open_writes_nothing_new() {
    let disk = SimDisk::new(1);
    let store = open_sim(&disk);
    store.commit(&put("a", "1"), Durability::Immediate).unwrap();
    drop(store);
    let written = disk.counts().bytes_written;
    drop(open_sim(&disk));
    drop(open_sim(&disk));
    assert_eq!(disk.counts().bytes_written, written);
}

#[test]
fn a_second_opener_is_told_who_has_the_database() {
    let scratch = tempfile::tempdir().unwrap();
    let first = FileStorage::open(scratch.path()).unwrap();
    let error = FileStorage::open(scratch.path()).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(error, StorageError::Locked { pid: Some(p), .. } if p == pid));
    assert!(
        error
            .to_string()
            .contains(&format!("in use by process {pid}")),
        "{error}"
    );
    drop(first);
    FileStorage::open(scratch.path()).unwrap();
}

/// A disk whose syncs wait for the test.
struct Gate {
    disk: SimDisk,
    door: Arc<Door>,
}

#[derive(Default)]
pub(crate) struct Door {
    open: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicUsize,
    /// Who came last.
    pub(crate) thread: Mutex<Option<thread::ThreadId>>,
    pub(crate) beyond: Mutex<Beyond>,
}

/// What happens to those who pass the door.
#[derive(Clone, Copy, Default)]
pub(crate) enum Beyond {
    #[default]
    Sync,
    Error,
    Panic,
}

impl Door {
    pub(crate) fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        *self.thread.lock().unwrap() = Some(thread::current().id());
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_all();
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(open);
        let beyond = *self.beyond.lock().unwrap();
        match beyond {
            Beyond::Sync => Ok(()),
            Beyond::Error => Err(io::Error::other("behind the door")),
            Beyond::Panic => panic!("behind the door"),
        }
    }

    /// Returns when a sync waits at the door.
    pub(crate) fn wait_for_a_sync(&self) {
        let mut open = self.open.lock().unwrap();
        while self.waiting.load(Ordering::SeqCst) == 0 {
            open = self
                .changed
                .wait_timeout(open, Duration::from_millis(1))
                .unwrap()
                .0;
        }
    }
}

struct GateFile {
    file: Arc<dyn StorageFile>,
    door: Arc<Door>,
}

impl Gate {
    fn file(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        let door = Arc::clone(&self.door);
        Arc::new(GateFile { file, door })
    }
}

impl Storage for Gate {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.create(name).map(|file| self.file(file))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.open(name).map(|file| self.file(file))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl StorageFile for GateFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.file.reserve(size)
    }
    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file.truncate(size)
    }
    fn sync(&self) -> io::Result<()> {
        self.door.pass()?;
        self.file.sync()
    }
    fn sync_and_forget(&self, offset: u64) -> io::Result<()> {
        self.file.sync_and_forget(offset)
    }
}

pub(crate) fn open_gate(options: Options) -> (Store, Arc<Door>) {
    let door = Arc::new(Door::default());
    door.set(true);
    let gate = Gate {
        disk: SimDisk::new(1),
        door: Arc::clone(&door),
    };
    (Store::open(Arc::new(gate), options).unwrap().0, door)
}

#[test]
fn one_sync_serves_all_who_wait() {
    let (store, door) = open_gate(Options::default());
    door.set(false);
    let first = store
        .commit(&put("first", ""), Durability::Immediate)
        .unwrap();
    door.wait_for_a_sync();
    let syncs = store.stats().syncs;
    let commit = |n: u32| {
        store
            .commit(&put(&n.to_string(), ""), Durability::Immediate)
            .unwrap()
    };
    let others: Vec<Committed> = (0..100).map(commit).collect();
    assert!(!first.ticket.is_durable());
    assert_eq!(store.durable_sequence(), 0);
    door.set(true);
    for committed in &others {
        committed.ticket.wait().unwrap();
    }
    assert!(first.ticket.is_durable());
    assert_eq!(store.stats().syncs, syncs + 2);
}

#[test]
fn a_commit_waits_when_too_much_waits_for_the_disk() {
    let options = Options {
        unsynced_bytes_max: 1000,
        ..Options::default()
    };
    let (store, door) = open_gate(options);
    door.set(false);
    let mut batch = Batch::new();
    batch.put(b"large", &[1; 900]);
    store.commit(&batch, Durability::Immediate).unwrap();
    door.wait_for_a_sync();
    let (done, finished) = mpsc::channel();
    let waiting = thread::spawn({
        let store = store.clone();
        move || {
            let committed = store.commit(&batch, Durability::Relaxed).unwrap();
            done.send(()).unwrap();
            committed.sequence
        }
    });
    assert_eq!(store.sequence(), 1);
    assert_eq!(finished.try_recv(), Err(mpsc::TryRecvError::Empty));
    door.set(true);
    assert_eq!(waiting.join().unwrap(), 2);
}

#[test]
fn a_commit_that_nobody_asks_for_is_flushed_within_its_interval() {
    for durability in [Durability::Relaxed, Durability::Lazy] {
        let options = Options {
            flush_interval: Duration::from_millis(5),
            lazy_interval: Duration::from_millis(5),
            ..Options::default()
        };
        let (store, _) = Store::open(SimDisk::new(1).storage(), options).unwrap();
        let committed = store.commit(&put("a", "1"), durability).unwrap();
        committed.ticket.wait().unwrap();
        let next = store.commit(&put("a", "2"), durability).unwrap();
        next.ticket.wait().unwrap();
    }
}

#[test]
fn a_commit_that_is_not_immediate_waits_for_the_next_flush_and_no_longer() {
    for durability in [Durability::Relaxed, Durability::Lazy] {
        let store = open_sim(&SimDisk::new(1));
        let waits = store.commit(&put("a", "1"), durability).unwrap();
        assert!(!waits.ticket.is_durable());
        let immediate = store.commit(&put("b", "1"), Durability::Immediate).unwrap();
        immediate.ticket.wait().unwrap();
        assert!(waits.ticket.is_durable());
        let waits = store.commit(&put("a", "2"), durability).unwrap();
        store.flush().wait().unwrap();
        assert!(waits.ticket.is_durable());
    }
}

#[test]
fn a_lazy_commit_goes_with_a_relaxed_one() {
    let options = Options {
        flush_interval: Duration::from_millis(5),
        ..Options::default()
    };
    let (store, _) = Store::open(SimDisk::new(1).storage(), options).unwrap();
    let lazy = store.commit(&put("a", "1"), Durability::Lazy).unwrap();
    let relaxed = store.commit(&put("b", "1"), Durability::Relaxed).unwrap();
    relaxed.ticket.wait().unwrap();
    assert!(lazy.ticket.is_durable());
}

struct Flag(AtomicBool, thread::Thread);

impl Wake for Flag {
    fn wake(self: Arc<Flag>) {
        self.0.store(true, Ordering::SeqCst);
        self.1.unpark();
    }
}

#[test]
fn a_ticket_is_a_future_that_any_executor_can_await() {
    let (store, door) = open_gate(Options::default());
    door.set(false);
    let committed = store.commit(&put("a", "1"), Durability::Immediate).unwrap();
    let flag = Arc::new(Flag(AtomicBool::new(false), thread::current()));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let mut durable = pin!(committed.ticket.durable());
    let mut dropped = Box::pin(committed.ticket.durable());
    assert!(durable.as_mut().poll(&mut context).is_pending());
    assert!(dropped.as_mut().poll(&mut context).is_pending());
    assert!(durable.as_mut().poll(&mut context).is_pending());
    drop(dropped);
    door.set(true);
    while !flag.0.load(Ordering::SeqCst) {
        thread::park();
    }
    assert!(matches!(
        durable.as_mut().poll(&mut context),
        Poll::Ready(Ok(()))
    ));
}

#[test]
fn listeners_hear_of_durability_in_order_and_before_the_tickets() {
    let (store, door) = open_gate(Options::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let subscription = store.on_durable({
        let heard = Arc::clone(&heard);
        move |event| match event {
            DurableEvent::Advanced(sequence) => heard.lock().unwrap().push(sequence),
            DurableEvent::Failed(failure) => panic!("{failure}"),
        }
    });
    for sequence in 1..=20 {
        let committed = store.commit(&put("a", "1"), Durability::Immediate).unwrap();
        committed.ticket.wait().unwrap();
        assert_eq!(heard.lock().unwrap().last(), Some(&sequence));
    }
    drop(subscription);
    door.set(true);
    store
        .commit(&put("a", "1"), Durability::Immediate)
        .unwrap()
        .ticket
        .wait()
        .unwrap();
    assert_eq!(heard.lock().unwrap().clone(), (1..=20).collect::<Vec<_>>());
}

#[test]
fn transactions_of_many_threads_count_without_loss() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open_files(scratch.path());
    let count = |store: &Store| {
        let counted = store.with_tx(Durability::Relaxed, |tx| {
            let old = tx.get(b"n").unwrap();
            let n = old.map_or(0, |entry| {
                u64::from_be_bytes(entry.value[..].try_into().unwrap())
            });
            tx.put(b"n", &(n + 1).to_be_bytes());
            Ok::<_, CommitError>(n + 1)
        });
        counted.unwrap().0
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| assert!(count(&store) > 0)));
        }
    });
    assert_eq!(count(&store), 2001);
    assert_eq!(store.sequence(), 2001);
}

/// Fails syncs once the store is open.
fn broken(disk: &SimDisk, store: &Store) -> DurabilityError {
    // The next calls are a write and its sync.
    disk.fail_nth(1, Fault::Io);
    let committed = store.commit(&put("b", "2"), Durability::Immediate).unwrap();
    committed.ticket.wait().unwrap_err()
}

#[test]
fn a_failed_sync_stops_all_writing_until_the_store_is_reopened() {
    let disk = SimDisk::new(1);
    let store = open_sim(&disk);
    let first = store.commit(&put("a", "1"), Durability::Immediate).unwrap();
    first.ticket.wait().unwrap();
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let _subscription = store.on_durable(move |event| {
        if matches!(event, DurableEvent::Failed(_)) {
            tell.lock().unwrap().send(()).unwrap();
        }
    });
    let error = broken(&disk, &store);
    assert!(
        error.to_string().starts_with("cannot sync 00000001.log"),
        "{error}"
    );
    told.recv().unwrap();
    assert!(store.failure().is_some());
    let refused = store.commit(&put("c", "3"), Durability::Immediate);
    assert!(matches!(refused, Err(CommitError::Failed(_))));
    assert_eq!(value(&store, "a").as_deref(), Some("1"));

    let report = store.reopen().unwrap();
    assert!((1..=2).contains(&report.sequence));
    assert!(first.ticket.is_durable());
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
    let committed = store.commit(&put("c", "3"), Durability::Immediate).unwrap();
    committed.ticket.wait().unwrap();
}

#[test]
fn room_that_proved_to_be_none_is_left_at_reopening() {
    let disk = SimDisk::new(1);
    let store = open_sim(&disk);
    // The write itself, as under a limit on the size of files.
    disk.fail_nth(0, Fault::Full);
    let committed = store.commit(&put("a", "1"), Durability::Immediate).unwrap();
    committed.ticket.wait().unwrap_err();
    store.reopen().unwrap();
    let committed = store.commit(&put("b", "2"), Durability::Immediate).unwrap();
    committed.ticket.wait().unwrap();
    let files = disk.storage().list().unwrap();
    assert!(files.contains(&"00000002.log".to_owned()), "{files:?}");
    store.close().unwrap();
    let store = open_sim(&disk);
    assert_eq!(value(&store, "a"), None);
    assert_eq!(value(&store, "b").as_deref(), Some("2"));
}

#[test]
fn a_ticket_of_before_a_reopening_is_not_served_by_later_commits() {
    let disk = SimDisk::new(1);
    let store = open_sim(&disk);
    disk.fail_nth(1, Fault::Io);
    let lost = store.commit(&put("b", "2"), Durability::Immediate).unwrap();
    lost.ticket.wait().unwrap_err();
    store.reopen().unwrap();
    for _ in 0..3 {
        let committed = store.commit(&put("c", "3"), Durability::Immediate).unwrap();
        committed.ticket.wait().unwrap();
    }
    assert!(!lost.ticket.is_durable());
    lost.ticket.wait().unwrap_err();
}

#[test]
fn a_reopening_that_fails_leaves_the_store_as_it_was() {
    let disk = SimDisk::new(1);
    let store = open_sim(&disk);
    store
        .commit(&put("a", "1"), Durability::Immediate)
        .unwrap()
        .ticket
        .wait()
        .unwrap();
    broken(&disk, &store);
    disk.fail_nth(0, Fault::Io);
    store.reopen().unwrap_err();
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
    assert!(store.failure().is_some());
    store.reopen().unwrap();
    assert!(store.failure().is_none());
}

#[test]
fn values_beyond_the_cache_are_read_from_the_disk_and_checked() {
    let disk = SimDisk::new(1);
    let options = Options {
        cache_bytes: 0,
        ..Options::default()
    };
    let (store, _) = Store::open(disk.storage(), options).unwrap();
    store
        .commit(&put("key", "value"), Durability::Relaxed)
        .unwrap();
    let reads = disk.counts().reads;
    assert_eq!(
        value(&store, "key").as_deref(),
        Some("value"),
        "from what waits for the disk"
    );
    assert_eq!(disk.counts().reads, reads);
    store.flush().wait().unwrap();
    assert_eq!(value(&store, "key").as_deref(), Some("value"));
    assert_eq!(disk.counts().reads, reads + 1, "one positional read");
    // Segment header 64, frame header 32, tag 1, lengths 2, key 3.
    disk.flip_bit("00000001.log", 102 * 8);
    match store.get(b"key") {
        Err(ReadError::Damaged(damage)) => {
            assert_eq!((&*damage.file, damage.offset), ("00000001.log", 102));
        }
        other => panic!("{other:?}"),
    }
}
