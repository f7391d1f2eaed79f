//! The replication machine: events, time and a store in; requests and deadlines out.
//!
//! The contract: the shell calls one `handle_*` per event with the time at which it happened, then
//! [`poll_output`](Machine::poll_output) until it is empty, then waits for the next event or for
//! [`poll_timeout`](Machine::poll_timeout), whichever comes first. Every error from a `handle_*`
//! means that the database failed: drop the machine and start a new one.
//!
//! What it does, in the order in which it does it:
//!
//! 1. *Start*: takes a fresh epoch in the table, so that no mark of an earlier life can be taken
//!    for one of this life (`start`).
//! 2. *Up*: freezes pending operations under marks, sends them as conditional writes, and tells
//!    the answers apart by their marks (`lanes`, `answer`).
//! 3. *Down*: reads the device's own partitions again and again and takes over what differs
//!    (`pull`), under the read rule.
//! 4. *Graves*: removes late copies of writes that a delete has overtaken (`graves`).

mod answer;
mod copy;
mod graves;
mod lanes;
mod link;
mod pull;
mod restore;
mod start;
mod status;
mod verdict;

pub use status::{ParkedItem, State, Status};

use super::config::Config;
use super::random::Random;
use super::record::ItemKey;
use super::store::{Store, StoreError};
use crate::aws::dynamodb::{Request, RequestError};
use crate::limits::SYNC_REQUEST_MS;
use crate::time::{Mono, Now, UnixMillis};
use graves::Graves;
use lanes::{Lane, Queue};
use link::Link;
use pull::Pull;
use restore::Restore;
use start::{Phase, Twins};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Replicates one database with one table.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    random: Random,
    phase: Phase,
    twins: Twins,
    epoch_refresh: Option<Mono>,
    link: Link,
    lanes: BTreeMap<ItemKey, Lane>,
    queue: Queue,
    pull: Pull,
    restore: Restore,
    graves: Graves,
    requests: BTreeMap<RequestId, Waiting>,
    settled: BTreeMap<ItemKey, Point>,
    outputs: VecDeque<Output>,
    counts: Counts,
    /// Writes refused in a row for want of rights.
    denied: usize,
    last_request: u64,
    last_point: Point,
    last_mark: u64,
    last_version: i64,
    durable: u64,
    /// There is work left that waits for nothing: the turn ended only to stay short.
    busy: bool,
}

/// The name of one request of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// What the machine asks its shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sign and send this request and bring back what becomes of it. A reply that takes longer
    /// than [`SYNC_REQUEST_MS`] is not waited for.
    Send(RequestId, Box<Request>),
    /// Make the log durable up to this sequence now, then say so with
    /// [`handle_durable`](Machine::handle_durable).
    Flush(u64),
    /// The server's clock minus ours, in milliseconds: correct the time that goes into signatures.
    ClockOffset(i64),
    /// Something that the owner must hear of.
    Alarm(Reason),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer came, good or bad.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The value of `x-amzn-ErrorType`.
        error_type: Option<String>,
        /// The whole body.
        body: Vec<u8>,
    },
    /// It left, and no answer came: a time-out, a cut connection, an answer that makes no sense.
    Lost(String),
    /// It never left the device: no address, no connection, no keys.
    NotSent(Reason),
}

/// Why something does not work, for status and log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A fixed word for the kind of trouble.
    pub kind: String,
    /// What happened.
    pub text: String,
    /// What the owner can do about it.
    pub hint: String,
}

impl Reason {
    /// A reason of this kind, in these words, with this advice.
    pub fn new(
        kind: impl Into<String>,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Reason {
        Reason {
            kind: kind.into(),
            text: text.into(),
            hint: hint.into(),
        }
    }
}

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// There is more to do; the last turn only ended to stay short.
    Work,
    /// An answer is overdue.
    Request,
    /// A pause after trouble ends.
    Retry,
    /// The partitions are due to be read again.
    Pull,
    /// Graves are due to be looked at.
    Graves,
}

/// A place in the order of what the machine learned; reads and answers are compared by it.
type Point = u64;

/// A request whose answer has not come yet.
#[derive(Clone, Debug)]
struct Waiting {
    purpose: Purpose,
    deadline: Mono,
    begun: Point,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Claim,
    Recheck,
    Write(ItemKey),
    Page,
    Confirm(ItemKey),
    Grave(String),
}

impl Purpose {
    const fn is_read(&self) -> bool {
        matches!(self, Purpose::Recheck | Purpose::Page | Purpose::Confirm(_))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    received: u64,
    conflicts: u64,
}

impl Machine {
    /// A machine that has not begun; `seed` must differ between starts.
    ///
    /// The first [`handle_timeout`](Machine::handle_timeout), due at once, begins.
    pub fn new(config: Config, seed: u64) -> Machine {
        Machine {
            random: Random::seeded(seed),
            phase: Phase::Fresh,
            twins: Twins::default(),
            epoch_refresh: None,
            link: Link::new(config.lanes),
            lanes: BTreeMap::new(),
            queue: Queue::default(),
            pull: Pull::new(),
            restore: Restore::default(),
            graves: Graves::new(),
            requests: BTreeMap::new(),
            settled: BTreeMap::new(),
            outputs: VecDeque::new(),
            counts: Counts::default(),
            denied: 0,
            last_request: 0,
            last_point: 0,
            last_mark: 0,
            last_version: 0,
            durable: 0,
            busy: true,
            config,
        }
    }

    /// There may be new local changes. Need not wait for their durability.
    pub fn handle_change(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        self.queue.refill();
        self.drive(now, store)
    }

    /// The log is durable up to that sequence.
    pub fn handle_durable(
        &mut self,
        sequence: u64,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        self.durable = self.durable.max(sequence);
        self.drive(now, store)
    }

    /// What became of a request, with the `Date` of the answer if there was one.
    ///
    /// A reply that comes twice or too late is ignored.
    pub fn handle_reply(
        &mut self,
        id: RequestId,
        reply: Reply,
        date: Option<UnixMillis>,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        if let Some(offset) = date.and_then(|date| self.link.learn_date(date, now)) {
            self.outputs.push_back(Output::ClockOffset(offset));
        }
        if let Some(waiting) = self.requests.remove(&id) {
            self.answered(waiting, reply, now, store)?;
            self.forget_settled();
        }
        self.drive(now, store)
    }

    /// The time that [`poll_timeout`](Machine::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        self.link.tick(now);
        let overdue = |waiting: &Waiting| waiting.deadline <= now.mono;
        while let Some((&id, _)) = self.requests.iter().find(|(_, waiting)| overdue(waiting)) {
            if let Some(waiting) = self.requests.remove(&id) {
                let text = format!("no answer within {} s", SYNC_REQUEST_MS / 1000);
                self.answered(waiting, Reply::Lost(text), now, store)?;
            }
        }
        self.forget_settled();
        self.drive(now, store)
    }

    /// Somebody says that it may work now: ends pauses and takes up what was parked.
    pub fn retry_now(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        self.link.retry_now();
        self.twins.forgive();
        self.lanes_unpark();
        self.pull.hurry(now);
        self.drive(now, store)
    }

    /// What the shell has to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Machine::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Mono, Wake)> {
        if self.busy {
            return Some((Mono::ZERO, Wake::Work));
        }
        let overdue = self
            .requests
            .values()
            .map(|waiting| (waiting.deadline, Wake::Request))
            .min();
        let next = match self.link.gate() {
            Some(gate) => Some((gate, Wake::Retry)),
            None if self.is_running() => [self.pull.due(), self.graves.due()]
                .into_iter()
                .flatten()
                .min(),
            None => None,
        };
        [overdue, next].into_iter().flatten().min()
    }

    /// One turn: everything that can go on now, each part bounded.
    fn drive(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        self.busy = false;
        self.lanes_take_up_parked(store)?;
        if self.twins.paused() || !self.link.is_open(now) {
            return Ok(());
        }
        self.start(now, store)?;
        if self.is_running() {
            self.restore_rows(store)?;
            self.pull_on(now, store)?;
            self.lanes_fill(now, store)?;
            self.lanes_send(now, store)?;
            self.graves_close(now, store)?;
        }
        Ok(())
    }

    fn answered(
        &mut self,
        waiting: Waiting,
        reply: Reply,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let begun = waiting.begun;
        let outcome = self.outcome(&waiting.purpose, reply, now);
        match waiting.purpose {
            Purpose::Claim => self.claim_answered(outcome, now, store),
            Purpose::Recheck => self.recheck_answered(outcome, now, store),
            Purpose::Write(key) => self.write_answered(&key, outcome, now, store),
            Purpose::Page => self.page_answered(outcome, begun, now, store),
            Purpose::Confirm(key) => self.confirm_answered(&key, outcome, begun, now, store),
            Purpose::Grave(name) => self.grave_answered(&name, outcome, now, store),
        }
    }

    /// Sends a request and waits for what becomes of it.
    ///
    /// One that breaks a bound of the service, such as a device's name of 3 KB, cannot leave; it
    /// counts as lost, and the error says why.
    fn send(&mut self, purpose: Purpose, request: Result<Request, RequestError>, now: Now) {
        self.last_request += 1;
        self.last_point += 1;
        let id = RequestId(self.last_request);
        let deadline = now.mono + Duration::from_millis(SYNC_REQUEST_MS);
        self.requests.insert(
            id,
            Waiting {
                purpose,
                deadline,
                begun: self.last_point,
            },
        );
        match request {
            Ok(request) => self.outputs.push_back(Output::Send(id, Box::new(request))),
            Err(error) => {
                let hint = "check the names of the device and the table";
                self.link
                    .note_error(Reason::new("configuration", error.to_string(), hint), now);
            }
        }
    }

    /// Notes that we have just learned for sure how the cloud's copy is.
    fn settle(&mut self, key: &ItemKey) {
        self.last_point += 1;
        self.settled.insert(key.clone(), self.last_point);
    }

    /// Whether a read that began there may be believed about that item.
    fn counts(&self, key: &ItemKey, begun: Point) -> bool {
        !self.config.rules.read_rule || self.settled.get(key).is_none_or(|settled| *settled < begun)
    }

    /// Drops what no read on its way can still be compared with.
    fn forget_settled(&mut self) {
        let reads = self
            .requests
            .values()
            .filter(|waiting| waiting.purpose.is_read());
        match reads.map(|waiting| waiting.begun).min() {
            Some(oldest) => self.settled.retain(|_, settled| *settled > oldest),
            None => self.settled.clear(),
        }
    }
}
