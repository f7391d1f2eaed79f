//! The device's flash: writes in order, durable when they are flushed, and a kill in between.

use periwinkle_core::mqtt::codec::{PacketId, QoS};
use periwinkle_core::mqtt::outbox::{
    Entry, EntryId, Mode, Outbox, Publication, Stage, StoredEntry,
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
            mode: entry.mode(),
            stage: entry.stage(),
            packet_id: entry.packet_id(),
        }
    }

    pub(crate) fn as_entry(&self, tag: u64) -> StoredEntry<'_> {
        StoredEntry {
            sequence: self.sequence,
            publication: Publication {
                mode: self.mode,
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
    waiting: VecDeque<(Option<Ticket>, Write)>,
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
        self.waiting.push_back((Some(ticket), write));
    }

    pub(crate) fn keep(&mut self, number: u64, token: AckToken) {
        self.waiting.push_back((None, Write::Kept(number, token)));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Makes the first writes durable.
    pub(crate) fn flush(&mut self, count: usize) -> Flushed {
        let mut flushed = Flushed::default();
        for (ticket, write) in self.waiting.drain(..count.min(self.waiting.len())) {
            flushed.ticket = ticket.or(flushed.ticket);
            match write {
                Write::Entry(stored) => {
                    self.entries.insert(stored.sequence, *stored);
                }
                Write::Remove(sequence) => {
                    self.entries.remove(&sequence);
                }
                Write::Forget(id) => {
                    self.received.remove(&id);
                }
                Write::Stopped(received, ending) => self.stopped = Some((received, ending)),
                Write::Kept(number, token) => {
                    if token.qos() == QoS::ExactlyOnce {
                        self.received.insert(token.packet_id());
                    }
                    flushed.kept.push((number, token));
                }
            }
        }
        flushed
    }

    /// The rest was never written.
    pub(crate) fn kill(&mut self) {
        self.waiting.clear();
    }
}

fn entry(outbox: &Outbox, id: EntryId) -> Option<Stored> {
    outbox.entry(id).map(Stored::of)
}
