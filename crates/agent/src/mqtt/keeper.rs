//! The queue on flash: what the session wants written goes to a shelf of the database.
//!
//! A shelf, and not a model: a message is written and removed and never asked for, so it needs no
//! schema, no index entry and no JSON; it lies in the same log as the items, so that one sync
//! serves both. The rows are in `docs/formats/mqtt.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use periwinkle_core::limits::{MQTT_COMMIT_BYTES, MQTT_REMOVALS_UNSURE_MAX, MQTT_STORAGE_PAUSE};
use periwinkle_core::mqtt::codec::{PacketId, QoS};
use periwinkle_core::mqtt::outbox::{Outbox, Record};
use periwinkle_core::mqtt::session::{Ending, Kept, Persist, Session, Ticket};
use periwinkle_core::time::{Mono, Now};
use periwinkle_db::engine::{Durability, Durable, Ticket as Commit};
use periwinkle_db::{Shelf, ShelfBatch};

use super::error::MqttError;
use super::kept::{self, Came};
use super::readers::{Keep, Readers};

/// The name of the shelf.
pub(super) const SHELF: &str = "mqtt";
/// A queued message: then its sequence, eight bytes.
const MESSAGE: u8 = b'o';
/// A filter that the broker may know of: then a number, eight bytes.
const FILTER: u8 = b's';
/// How the life before this one ended.
const LIFE: &[u8] = b"l";
const LIFE_RUNS: u8 = 1;
const LIFE_ENDED: u8 = 2;
const LIFE_ENDED_IN_DOUBT: u8 = 3;

/// Writes what the session asks for, and knows what of it is durable.
#[derive(Debug)]
pub(super) struct Keeper {
    shelf: Option<Shelf>,
    batch: Option<Batch>,
    /// Commits that are not durable yet, in their order.
    flights: VecDeque<Flight>,
    scratch: Vec<u8>,
    /// The row of the next received message.
    next_row: u64,
    /// Filters that are on flash, or on their way there, by their rows.
    filters: BTreeMap<String, u64>,
    next_filter: u64,
    /// Received messages whose write failed, with their rows: the same again, for it may be there.
    failed: Vec<(Keep, u64)>,
    /// Rows whose removal is not known to be durable, in order. If it fails, or the database is
    /// opened again without it, it comes before all later writes: a packet id in such a row may be
    /// in use again.
    removed: Removed,
    /// When what failed is tried again.
    again_at: Mono,
    /// What went wrong last.
    failure: Option<String>,
}

#[derive(Debug)]
struct Batch {
    writes: ShelfBatch,
    /// The first and the last write of the session.
    tickets: Option<(Ticket, Ticket)>,
    /// Received messages, with their rows.
    keeps: Vec<(Keep, u64)>,
    /// Filters that the broker is about to hear of.
    filters: Vec<String>,
    /// Somebody waits for it.
    immediate: bool,
}

#[derive(Debug)]
struct Flight {
    durable: Durable,
    tickets: Option<(Ticket, Ticket)>,
    keeps: Vec<(Keep, u64)>,
    filters: Vec<String>,
    /// Rows that were removed before it, or by it.
    removed: u64,
    /// Commits before it that nobody waits for.
    relaxed: Vec<Commit>,
}

/// Rows that were removed, until that is known to be durable.
#[derive(Debug, Default)]
struct Removed {
    keys: VecDeque<[u8; 9]>,
    /// How many have left `keys` at its front.
    base: u64,
    /// They have to be removed once more, before anything else is written.
    again: bool,
    /// The commits that removed them and that nobody waits for.
    relaxed: Vec<Commit>,
}

/// What became of a commit.
#[derive(Debug)]
pub(super) enum Stored {
    /// Everything up to this ticket is durable, and these messages are.
    Durable(Option<Ticket>, Vec<(Keep, u64)>),
    /// This one, and what follows it, is not.
    Failed(Option<Ticket>),
}

impl Keeper {
    pub(super) fn new(shelf: Option<Shelf>) -> Keeper {
        Keeper {
            shelf,
            batch: None,
            flights: VecDeque::new(),
            scratch: Vec::new(),
            next_row: 1,
            filters: BTreeMap::new(),
            next_filter: 1,
            failed: Vec::new(),
            removed: Removed::default(),
            again_at: Mono::ZERO,
            failure: None,
        }
    }

    /// How the life before ended; from now on, flash says that this one has not.
    pub(super) fn begin_life(&mut self) -> Result<Ending, MqttError> {
        let Some(shelf) = &self.shelf else {
            return Ok(Ending::Orderly);
        };
        let life = shelf.get(LIFE)?;
        let ending = match life.as_deref().and_then(<[u8]>::first) {
            None | Some(&LIFE_ENDED) => Ending::Orderly,
            Some(&LIFE_ENDED_IN_DOUBT) => Ending::InDoubt,
            Some(_) => Ending::Badly,
        };
        Ok(ending)
    }

    /// Gives the session what flash has, and notes that its life has begun.
    pub(super) fn restore(
        &mut self,
        session: &mut Session,
        readers: &mut Readers,
        now: Now,
    ) -> Result<(), MqttError> {
        let Some(shelf) = &self.shelf else {
            return Ok(());
        };
        let life = shelf.get(LIFE)?.unwrap_or_default();
        let received = life.get(1..).unwrap_or_default().chunks_exact(2);
        let received: Vec<PacketId> = received
            .filter_map(|id| PacketId::new(u16::from_be_bytes([id[0], id[1]])))
            .collect();
        session.restore_received(&received, Kept::InMemory);
        shelf.each(&[MESSAGE], |key, value| {
            let sequence = key.get(1..).and_then(|key| key.try_into().ok());
            let record = Record::decode(value);
            match (sequence.map(u64::from_be_bytes), record) {
                (Some(sequence), Ok(record)) => {
                    session.restore(&record.as_entry(sequence, now), now.mono);
                }
                (Some(sequence), Err(error)) => {
                    session.reserve(sequence);
                    tracing::error!(target: "mqtt", "{error}; it stays there");
                }
                (None, _) => tracing::error!(target: "mqtt", "a row of the queue has no number"),
            }
        })?;
        self.next_row = restore_received(shelf, session, readers, now.mono)?;
        shelf.each(&[FILTER], |key, value| {
            let row = key.get(1..).and_then(|key| key.try_into().ok());
            let filter = std::str::from_utf8(value);
            if let (Some(row), Ok(filter)) = (row.map(u64::from_be_bytes), filter) {
                session.restore_subscription(filter);
                self.filters.insert(filter.to_owned(), row);
                self.next_filter = self.next_filter.max(row + 1);
            }
        })?;
        let mut batch = shelf.batch();
        batch.put(LIFE, &[LIFE_RUNS]);
        // Before a packet id is used, flash knows that this life may end badly.
        let begun = shelf.commit(&batch, Durability::Immediate)?.wait();
        begun.map_err(|error| MqttError::Options(error.to_string()))
    }

    /// Takes the filters that the broker may know of, in place of those of the last time: a life that
    /// does not ask for them gives them up.
    pub(super) fn note_filters(&mut self, known: &[&str]) {
        let known: BTreeSet<&str> = known.iter().copied().collect();
        let old = self
            .filters
            .extract_if(.., |filter, _| !known.contains(filter.as_str()));
        for (_, row) in old.collect::<Vec<_>>() {
            if let Some(batch) = batch(&self.shelf, &mut self.batch, &mut self.removed) {
                batch.delete(row_key(FILTER, row), &mut self.removed);
            }
        }
        for filter in known {
            if self.filters.contains_key(filter) {
                continue;
            }
            let Some(batch) = batch(&self.shelf, &mut self.batch, &mut self.removed) else {
                return;
            };
            batch.immediate = true;
            batch
                .writes
                .put(&row_key(FILTER, self.next_filter), filter.as_bytes());
            batch.filters.push(filter.to_owned());
            self.filters.insert(filter.to_owned(), self.next_filter);
            self.next_filter += 1;
        }
    }

    /// Whether the broker may not be told anything yet: it would remember a filter that flash does
    /// not know of.
    pub(super) fn holds_back(&self) -> bool {
        let gathered = self
            .batch
            .as_ref()
            .is_some_and(|batch| !batch.filters.is_empty());
        gathered || self.flights.iter().any(|flight| !flight.filters.is_empty())
    }

    /// Takes received messages that have to reach flash before their readers get them.
    pub(super) fn keep(&mut self, keeps: Vec<Keep>, now: Now) {
        for mut keep in keeps {
            keep.came = Came::now(now);
            self.failed.push((keep, self.next_row));
            self.next_row += 1;
        }
        if self.again_at > now.mono {
            // They keep their order.
            return;
        }
        if self.removed.again
            && let Some(batch) = batch(&self.shelf, &mut self.batch, &mut self.removed)
        {
            batch.immediate = true;
        }
        for (keep, row) in std::mem::take(&mut self.failed) {
            self.scratch.clear();
            kept::encode(&keep.filter, &keep.message, keep.came, &mut self.scratch);
            let Some(batch) = batch(&self.shelf, &mut self.batch, &mut self.removed) else {
                return;
            };
            batch.immediate = true;
            batch.writes.put(&kept::message_key(row), &self.scratch);
            if keep.token.qos() == QoS::ExactlyOnce {
                batch.writes.put(&kept::id_key(keep.token.packet_id()), &[]);
            }
            batch.keeps.push((keep, row));
        }
    }

    /// When what failed is tried again.
    pub(super) fn retry_at(&self) -> Option<Mono> {
        (!self.failed.is_empty() || self.removed.again).then_some(self.again_at)
    }

    /// Removes received messages that have been dealt with.
    pub(super) fn remove(&mut self, rows: &mut Vec<u64>) {
        for row in rows.drain(..) {
            if let Some(batch) = batch(&self.shelf, &mut self.batch, &mut self.removed) {
                batch.immediate = true;
                batch.delete(kept::message_key(row), &mut self.removed);
            }
        }
    }

    /// Takes what the session asks for.
    pub(super) fn add(&mut self, ticket: Ticket, what: &Persist, outbox: &Outbox, now: Now) {
        let Some(batch) = batch(&self.shelf, &mut self.batch, &mut self.removed) else {
            return;
        };
        let first = batch.tickets.map_or(ticket, |(first, _)| first);
        batch.tickets = Some((first, ticket));
        match what {
            Persist::Entry(id) => {
                batch.immediate = true;
                let key = message_key(id.sequence());
                match outbox.entry(*id) {
                    Some(entry) => {
                        self.scratch.clear();
                        Record::encode(entry, now, &mut self.scratch);
                        batch.writes.put(&key, &self.scratch);
                    }
                    None => batch.delete(key, &mut self.removed),
                }
            }
            // Nobody waits for it: at worst a message that is done is sent again after a power
            // cut, as QoS 1 may be; with QoS 2 only its PUBREL is.
            Persist::Remove(sequence) => {
                batch.delete(message_key(*sequence), &mut self.removed);
                batch.immediate |= self.removed.keys.len() >= MQTT_REMOVALS_UNSURE_MAX;
            }
            Persist::Forget(id) => {
                batch.immediate = true;
                batch.writes.delete(&kept::id_key(*id));
            }
            Persist::Stopped { received, ending } => {
                batch.immediate = true;
                let ended = match ending {
                    Ending::Orderly => LIFE_ENDED,
                    Ending::InDoubt | Ending::Badly => LIFE_ENDED_IN_DOUBT,
                };
                let ids = received.iter().flat_map(|id| id.number().to_be_bytes());
                let life: Vec<u8> = std::iter::once(ended).chain(ids).collect();
                batch.writes.put(LIFE, &life);
            }
        }
    }

    /// Whether so much is gathered that it is to be committed before more is taken.
    pub(super) fn is_full(&self) -> bool {
        self.batch
            .as_ref()
            .is_some_and(|batch| batch.writes.bytes() >= MQTT_COMMIT_BYTES)
    }

    /// Commits what was gathered. Without flash everything counts as written at once.
    pub(super) fn commit(&mut self, now: Mono) -> Option<Stored> {
        let batch = self.batch.take()?;
        let shelf = self.shelf.as_ref()?;
        let durability = match batch.immediate {
            true => Durability::Immediate,
            false => Durability::Relaxed,
        };
        match shelf.commit(&batch.writes, durability) {
            Ok(ticket) if !batch.immediate => {
                self.removed.relaxed.push(ticket);
                None
            }
            Ok(ticket) => {
                self.flights.push_back(Flight {
                    durable: ticket.durable(),
                    tickets: batch.tickets,
                    keeps: batch.keeps,
                    filters: batch.filters,
                    removed: self.removed.base + self.removed.keys.len() as u64,
                    relaxed: std::mem::take(&mut self.removed.relaxed),
                });
                None
            }
            Err(error) => {
                self.forget_filters(&batch.filters);
                Some(self.note_failure(batch.tickets, batch.keeps, now, &error))
            }
        }
    }

    /// They did not reach flash, and are tried again with the next that is noted. The broker hears
    /// of them all the same: a subscription that outlives us is less than one that does not work.
    fn forget_filters(&mut self, filters: &[String]) {
        for filter in filters {
            self.filters.remove(filter);
        }
    }

    fn note_failure(
        &mut self,
        tickets: Option<(Ticket, Ticket)>,
        keeps: Vec<(Keep, u64)>,
        now: Mono,
        error: &dyn std::fmt::Display,
    ) -> Stored {
        self.failed.extend(keeps);
        // Those of an earlier commit may fail after those of a later one.
        self.failed.sort_by_key(|(_, row)| *row);
        self.removed.again = !self.removed.keys.is_empty();
        self.again_at = now + MQTT_STORAGE_PAUSE;
        let text = error.to_string();
        if self.failure.as_ref() != Some(&text) {
            tracing::error!(target: "mqtt", "the queue cannot be written to flash: {text}");
        }
        self.failure = Some(text);
        Stored::Failed(tickets.map(|(first, _)| first))
    }

    /// Writes that the disk has not answered.
    pub(super) fn flights(&self) -> usize {
        self.flights.len()
    }

    /// What the disk has answered.
    pub(super) fn poll_stored(&mut self, context: &mut Context<'_>, now: Mono) -> Poll<Stored> {
        let Some(flight) = self.flights.front_mut() else {
            return Poll::Pending;
        };
        let Poll::Ready(outcome) = Pin::new(&mut flight.durable).poll(context) else {
            return Poll::Pending;
        };
        let Some(flight) = self.flights.pop_front() else {
            return Poll::Pending;
        };
        let (tickets, keeps) = (flight.tickets, flight.keeps);
        Poll::Ready(match outcome {
            Ok(()) => {
                self.failure = None;
                self.removed.note_durable(flight.removed, &flight.relaxed);
                Stored::Durable(tickets.map(|(_, last)| last), keeps)
            }
            Err(error) => {
                self.forget_filters(&flight.filters);
                self.note_failure(tickets, keeps, now, &error)
            }
        })
    }

    /// Whether there is flash to write to.
    pub(super) const fn keeps(&self) -> bool {
        self.shelf.is_some()
    }
}

impl Batch {
    fn delete(&mut self, key: [u8; 9], removed: &mut Removed) {
        self.writes.delete(&key);
        removed.keys.push_back(key);
    }
}

impl Removed {
    /// The first so many are gone for good, if the commits before are durable, too: the database may
    /// have been opened again in between, without them.
    fn note_durable(&mut self, count: u64, before: &[Commit]) {
        if !before.iter().all(Commit::is_durable) {
            self.again = !self.keys.is_empty();
            return;
        }
        let gone = usize::try_from(count.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let gone = gone.min(self.keys.len());
        self.keys.drain(..gone);
        self.base += gone as u64;
    }
}

/// What is being gathered, if there is flash. It begins with what has to be removed once more.
fn batch<'a>(
    shelf: &Option<Shelf>,
    gathered: &'a mut Option<Batch>,
    removed: &mut Removed,
) -> Option<&'a mut Batch> {
    let shelf = shelf.as_ref()?;
    Some(gathered.get_or_insert_with(|| {
        let mut writes = shelf.batch();
        if std::mem::take(&mut removed.again) {
            for key in &removed.keys {
                writes.delete(key);
            }
        }
        Batch {
            writes,
            tickets: None,
            keeps: Vec::new(),
            filters: Vec::new(),
            immediate: false,
        }
    }))
}

/// Received messages that were not dealt with, and ids that the broker has not released; says
/// which row is free.
fn restore_received(
    shelf: &Shelf,
    session: &mut Session,
    readers: &mut Readers,
    now: Mono,
) -> Result<u64, MqttError> {
    let mut ids = Vec::new();
    shelf.each(b"r", |key, _| {
        let number = key.get(1..).and_then(|key| key.try_into().ok());
        ids.extend(number.and_then(|number| PacketId::new(u16::from_be_bytes(number))));
    })?;
    session.restore_received(&ids, Kept::OnFlash);
    let mut messages = BTreeMap::new();
    let mut last = 0;
    shelf.each(b"d", |key, value| {
        let row = key.get(1..).and_then(|key| key.try_into().ok());
        let row = row.map_or(0, u64::from_be_bytes);
        last = last.max(row);
        match kept::decode(value, now) {
            Some(kept) => drop(messages.insert(row, kept)),
            None => {
                let what = "a received message on flash cannot be read; it stays there";
                tracing::error!(target: "mqtt", "{what}");
            }
        }
    })?;
    readers.restore_kept(messages);
    Ok(last.saturating_add(1))
}

fn message_key(sequence: u64) -> [u8; 9] {
    row_key(MESSAGE, sequence)
}

fn row_key(kind: u8, number: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}
