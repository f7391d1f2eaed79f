//! The device's flash: writes in order, durable when they are flushed, and a kill in between. It can
//! be full, which refuses a commit, and break, which loses some of what was committed.

use periwinkle_core::mqtt::codec::{PacketId, QoS};
use periwinkle_core::mqtt::outbox::{
    Class, Entry, EntryId, Mode, Outbox, Publication, Stage, StoredEntry,
};
use periwinkle_core::mqtt::session::{AckToken, Ending, Persist, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A message as it lies on flash.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    topic: String,
    pub(crate) payload: Vec<u8>,
    qos: QoS,
    class: Class,
    mode: Mode,
    stage: Stage,
    packet_id: Option<PacketId>,
}

impl Stored {
    fn of(entry: &Entry) -> Stored {
        Stored {
            sequence: entry.sequence(),
            topic: entry.topic().to_owned(),
            payload: entry.payload().to_vec(),
            qos: entry.qos(),
            class: entry.class(),
            mode: entry.mode(),
            stage: entry.stage(),
            packet_id: entry.packet_id(),
        }
    }

    pub(crate) fn as_entry(&self, tag: u64, expiry: Option<Duration>) -> StoredEntry<'_> {
        StoredEntry {
            sequence: self.sequence,
            publication: Publication {
                class: self.class,
                mode: self.mode,
                expiry,
                tag: Some(tag),
                ..Publication::new(&self.topic, &self.payload, self.qos)
            },
            stage: self.stage,
            packet_id: self.packet_id,
            age: Duration::ZERO,
        }
    }
}

#[derive(Clone, Debug)]
enum Write {
    Entry(Box<Stored>),
    Remove(u64),
    Forget(PacketId),
    Stopped(Vec<PacketId>, Ending),
    /// A received message with its id, kept for a durable subscription.
    Kept(u64, AckToken),
}

/// What a flush has made durable.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) ticket: Option<Ticket>,
    pub(crate) kept: Vec<(u64, AckToken)>,
}

#[derive(Debug, Default)]
pub(crate) struct Flash {
    pub(crate) entries: BTreeMap<u64, Stored>,
    /// Ids of received messages with QoS 2 of durable subscriptions.
    pub(crate) received: BTreeSet<PacketId>,
    /// What an orderly stop left for the next start.
    pub(crate) stopped: Option<(Vec<PacketId>, Ending)>,
    /// Committed, and not durable.
    waiting: VecDeque<(Option<Ticket>, Write)>,
    /// Not committed.
    batch: Vec<(Option<Ticket>, Write)>,
    /// What the shell repeats before anything else, because it failed.
    again: Vec<Write>,
    /// It refuses commits.
    pub(crate) is_full: bool,
    /// Received messages that are there though writing them failed.
    unknown: BTreeSet<u64>,
}

impl Flash {
    pub(crate) fn write(&mut self, ticket: Ticket, what: Persist, outbox: &Outbox) {
        let write = match what {
            Persist::Entry(id) => match entry(outbox, id) {
                Some(stored) => Write::Entry(Box::new(stored)),
                None => Write::Remove(id.sequence()),
            },
            Persist::Remove(sequence) => Write::Remove(sequence),
            Persist::Forget(id) => Write::Forget(id),
            Persist::Stopped { received, ending } => Write::Stopped(received, ending),
        };
        self.batch.push((Some(ticket), write));
    }

    pub(crate) fn keep(&mut self, number: u64, token: AckToken) {
        self.batch.push((None, Write::Kept(number, token)));
    }

    /// Writes that are not durable, nor given up.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.batch.len() + self.again.len()
    }

    /// Commits what was gathered. A full disk takes none of it: then the first ticket is told.
    pub(crate) fn commit(&mut self) -> Option<Ticket> {
        let batch = std::mem::take(&mut self.batch);
        if self.is_full {
            return self.fail(batch);
        }
        let again = self.again.drain(..).map(|write| (None, write));
        self.waiting.extend(again.chain(batch));
        None
    }

    /// A sync fails: the first so many writes are there all the same, and nobody knows which.
    pub(crate) fn fail_sync(&mut self, survive: usize) -> Option<Ticket> {
        let waiting: Vec<_> = self.waiting.drain(..).collect();
        for (_, write) in waiting.iter().take(survive) {
            if let Write::Kept(number, _) = write {
                self.unknown.insert(*number);
            }
            self.apply(write.clone());
        }
        self.fail(waiting)
    }

    fn fail(&mut self, writes: Vec<(Option<Ticket>, Write)>) -> Option<Ticket> {
        let first = writes.iter().find_map(|(ticket, _)| *ticket);
        let repeated = |write: &Write| matches!(write, Write::Remove(_) | Write::Kept(..));
        let failed = writes.into_iter().map(|(_, write)| write);
        self.again.extend(failed.filter(repeated));
        first
    }

    /// Makes the first writes durable.
    pub(crate) fn flush(&mut self, count: usize) -> Flushed {
        let mut flushed = Flushed::default();
        let first: Vec<_> = self
            .waiting
            .drain(..count.min(self.waiting.len()))
            .collect();
        for (ticket, write) in first {
            flushed.ticket = ticket.or(flushed.ticket);
            if let Write::Kept(number, token) = write {
                self.unknown.remove(&number);
                flushed.kept.push((number, token));
            }
            self.apply(write);
        }
        flushed
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Entry(stored) => drop(self.entries.insert(stored.sequence, *stored)),
            Write::Remove(sequence) => drop(self.entries.remove(&sequence)),
            Write::Forget(id) => drop(self.received.remove(&id)),
            Write::Stopped(received, ending) => self.stopped = Some((received, ending)),
            Write::Kept(_, token) if token.qos() == QoS::ExactlyOnce => {
                self.received.insert(token.packet_id());
            }
            Write::Kept(..) => {}
        }
    }

    /// The rest was never written. Received messages that are there though nobody knew are told by
    /// the next life.
    pub(crate) fn kill(&mut self) -> BTreeSet<u64> {
        self.waiting.clear();
        self.batch.clear();
        self.again.clear();
        std::mem::take(&mut self.unknown)
    }
}

fn entry(outbox: &Outbox, id: EntryId) -> Option<Stored> {
    outbox.entry(id).map(Stored::of)
}
