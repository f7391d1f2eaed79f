//! The queue on flash: what the session wants written goes to a shelf of the database.
//!
//! A shelf, and not a model: a message is written and removed and never asked for, so it needs no
//! schema, no index entry and no JSON; it lies in the same log as the items, so that one sync
//! serves both. The rows are in `docs/formats/mqtt.md`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use periwinkle_core::limits::MQTT_COMMIT_BYTES;
use periwinkle_core::mqtt::codec::PacketId;
use periwinkle_core::mqtt::outbox::{Outbox, Record};
use periwinkle_core::mqtt::session::{Ending, Kept, Persist, Session, Ticket};
use periwinkle_core::time::Now;
use periwinkle_db::engine::{Durability, Durable};
use periwinkle_db::{Shelf, ShelfBatch};

use super::error::MqttError;

/// The name of the shelf.
pub(super) const SHELF: &str = "mqtt";
/// A queued message: then its sequence, eight bytes.
const MESSAGE: u8 = b'o';
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
    /// What went wrong last.
    failure: Option<String>,
}

#[derive(Debug)]
struct Batch {
    writes: ShelfBatch,
    first: Ticket,
    last: Ticket,
    /// Somebody waits for it.
    immediate: bool,
}

#[derive(Debug)]
struct Flight {
    durable: Durable,
    first: Ticket,
    last: Ticket,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Everything up to this ticket is durable.
    Durable(Ticket),
    /// This one, and what follows it, is not.
    Failed(Ticket),
}

impl Keeper {
    pub(super) fn new(shelf: Option<Shelf>) -> Keeper {
        Keeper {
            shelf,
            batch: None,
            flights: VecDeque::new(),
            scratch: Vec::new(),
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
    pub(super) fn restore(&mut self, session: &mut Session, now: Now) -> Result<(), MqttError> {
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
                (_, Err(error)) => tracing::error!(target: "mqtt", "{error}; it stays there"),
                (None, _) => tracing::error!(target: "mqtt", "a row of the queue has no number"),
            }
        })?;
        let mut batch = shelf.batch();
        batch.put(LIFE, &[LIFE_RUNS]);
        shelf.commit(&batch, Durability::Immediate)?;
        Ok(())
    }

    /// Takes what the session asks for.
    pub(super) fn add(&mut self, ticket: Ticket, what: &Persist, outbox: &Outbox, now: Now) {
        let Some(shelf) = &self.shelf else {
            return;
        };
        let batch = self.batch.get_or_insert_with(|| Batch {
            writes: shelf.batch(),
            first: ticket,
            last: ticket,
            immediate: false,
        });
        batch.last = ticket;
        let writes = &mut batch.writes;
        match what {
            Persist::Entry(id) => {
                batch.immediate = true;
                let key = message_key(id.sequence());
                match outbox.entry(*id) {
                    Some(entry) => {
                        self.scratch.clear();
                        Record::encode(entry, now, &mut self.scratch);
                        writes.put(&key, &self.scratch);
                    }
                    None => drop(writes.delete(&key)),
                }
            }
            // Nobody waits for it: at worst a message that is done is sent again after a power
            // cut, as QoS 1 may be; with QoS 2 only its PUBREL is.
            Persist::Remove(sequence) => drop(writes.delete(&message_key(*sequence))),
            Persist::Forget(_) => batch.immediate = true,
            Persist::Stopped { received, ending } => {
                batch.immediate = true;
                let ended = match ending {
                    Ending::Orderly => LIFE_ENDED,
                    Ending::InDoubt | Ending::Badly => LIFE_ENDED_IN_DOUBT,
                };
                let ids = received.iter().flat_map(|id| id.number().to_be_bytes());
                let life: Vec<u8> = std::iter::once(ended).chain(ids).collect();
                writes.put(LIFE, &life);
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
    pub(super) fn commit(&mut self) -> Option<Stored> {
        let batch = self.batch.take()?;
        let shelf = self.shelf.as_ref()?;
        let durability = match batch.immediate {
            true => Durability::Immediate,
            false => Durability::Relaxed,
        };
        match shelf.commit(&batch.writes, durability) {
            Ok(_) if !batch.immediate => None,
            Ok(ticket) => {
                self.flights.push_back(Flight {
                    durable: ticket.durable(),
                    first: batch.first,
                    last: batch.last,
                });
                None
            }
            Err(error) => Some(self.failed(batch.first, &error)),
        }
    }

    fn failed(&mut self, first: Ticket, error: &dyn std::fmt::Display) -> Stored {
        let text = error.to_string();
        if self.failure.as_ref() != Some(&text) {
            tracing::error!(target: "mqtt", "the queue cannot be written to flash: {text}");
        }
        self.failure = Some(text);
        Stored::Failed(first)
    }

    /// What the disk has answered.
    pub(super) fn poll_stored(&mut self, context: &mut Context<'_>) -> Poll<Stored> {
        let Some(flight) = self.flights.front_mut() else {
            return Poll::Pending;
        };
        let Poll::Ready(outcome) = Pin::new(&mut flight.durable).poll(context) else {
            return Poll::Pending;
        };
        let (first, last) = (flight.first, flight.last);
        self.flights.pop_front();
        Poll::Ready(match outcome {
            Ok(()) => {
                self.failure = None;
                Stored::Durable(last)
            }
            Err(error) => self.failed(first, &error),
        })
    }

    /// Whether there is flash to write to.
    pub(super) const fn keeps(&self) -> bool {
        self.shelf.is_some()
    }
}

fn message_key(sequence: u64) -> [u8; 9] {
    let mut key = [MESSAGE; 9];
    key[1..].copy_from_slice(&sequence.to_be_bytes());
    key
}
