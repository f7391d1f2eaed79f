//! What waits for one reader, in messages and in bytes, and whether the reader keeps up.

use std::collections::VecDeque;

use periwinkle_core::limits::MQTT_READER_PATIENCE;
use periwinkle_core::time::Mono;

use super::message::Message;

/// The buffer of one reader.
///
/// Each of its bounds is passed by one message at most: the one that showed that there is no room.
#[derive(Debug)]
pub(super) struct Buffer {
    bounds: Bounds,
    queue: VecDeque<Message>,
    bytes: usize,
    pace: Pace,
    missed: u64,
}

/// How much waits for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The reader acknowledges by itself, and loses nothing that it can acknowledge.
    pub(super) manual: bool,
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
    /// Messages that the broker sends before it waits for an acknowledgement.
    pub(super) receive_max: usize,
}

/// Whether a reader keeps up with messages that may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    KeepsUp,
    /// Its buffer is full, and it has until then.
    Awaited(Mono),
    /// That was not enough: it loses messages until it has caught up.
    Slow,
}

/// What buffers weigh, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Readers with acknowledgement whose buffer is full.
    pub(super) full: usize,
    /// Readers that have their moment.
    pub(super) awaited: usize,
    /// Bytes of those that may be dropped, and of those that wait for readers with acknowledgement.
    pub(super) bytes: usize,
    pub(super) manual_bytes: usize,
}

impl Load {
    /// One buffer weighed `before` and weighs `after`.
    pub(super) fn change(&mut self, before: Load, after: Load) {
        self.full = self.full - before.full + after.full;
        self.awaited = self.awaited - before.awaited + after.awaited;
        self.bytes = self.bytes - before.bytes + after.bytes;
        self.manual_bytes = self.manual_bytes - before.manual_bytes + after.manual_bytes;
    }
}

impl Buffer {
    pub(super) const fn new(bounds: Bounds) -> Buffer {
        Buffer {
            bounds,
            queue: VecDeque::new(),
            bytes: 0,
            pace: Pace::KeepsUp,
            missed: 0,
        }
    }

    pub(super) fn load(&self) -> Load {
        let (bytes, manual_bytes) = match self.bounds.manual {
            true => (0, self.bytes),
            false => (self.bytes, 0),
        };
        Load {
            full: usize::from(self.is_full()),
            awaited: usize::from(matches!(self.pace, Pace::Awaited(_))),
            bytes,
            manual_bytes,
        }
    }

    /// Takes a message that came; says how many were lost because there was no room. The oldest
    /// are, or this one where all others are to be acknowledged.
    pub(super) fn take(&mut self, message: Message, now: Mono) -> u64 {
        let may_be_dropped = message.receipt.is_none();
        if self.bounds.manual && may_be_dropped && self.has_enough() {
            self.missed += 1;
            return 1;
        }
        let mut lost = 0;
        while !self.bounds.manual && self.has_enough() && self.drop_oldest() {
            lost += 1;
        }
        self.push(message);
        if may_be_dropped && self.has_enough() {
            self.await_reader(now);
        }
        lost
    }

    /// Takes one that is never dropped.
    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.memory_bytes();
        self.queue.push_back(message);
    }

    /// The next message for the reader. Says too whether it has caught up by this.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.memory_bytes();
        if self.has_caught_up() {
            self.pace = Pace::KeepsUp;
        }
        Some(message)
    }

    /// Loses its oldest message, if there is one.
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.queue.pop_front() else {
            return false;
        };
        self.bytes -= oldest.memory_bytes();
        self.missed += 1;
        true
    }

    /// All buffers together are full, and this one has the most: the reader gets a moment, and
    /// loses its oldest message when it has had it. Says whether that is so.
    pub(super) fn gives_way(&mut self, now: Mono) -> bool {
        self.await_reader(now);
        self.pace == Pace::Slow && self.drop_oldest()
    }

    /// The reader gets a moment, if it kept up until now.
    fn await_reader(&mut self, now: Mono) {
        if self.pace == Pace::KeepsUp {
            self.pace = Pace::Awaited(now + MQTT_READER_PATIENCE);
        }
    }

    /// Until when the reader has its moment.
    pub(super) const fn awaited_until(&self) -> Option<Mono> {
        match self.pace {
            Pace::Awaited(until) => Some(until),
            _ => None,
        }
    }

    /// The moment is over.
    pub(super) const fn end_moment(&mut self) {
        self.pace = Pace::Slow;
    }

    /// Messages that the reader was too slow for.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// What waits, taken away.
    pub(super) fn into_messages(self) -> VecDeque<Message> {
        self.queue
    }

    /// Whether nothing more is read from the broker until the reader has taken some: what waits
    /// is not to be dropped.
    fn is_full(&self) -> bool {
        let Bounds {
            manual,
            messages_max,
            bytes_max,
            receive_max,
        } = self.bounds;
        manual && (self.queue.len() > messages_max + receive_max || self.bytes > bytes_max)
    }

    fn has_enough(&self) -> bool {
        self.queue.len() >= self.bounds.messages_max || self.bytes >= self.bounds.bytes_max
    }

    fn has_caught_up(&self) -> bool {
        self.queue.len() <= self.bounds.messages_max / 2 && self.bytes <= self.bounds.bytes_max / 2
    }
}
