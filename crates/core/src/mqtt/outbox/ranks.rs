//! What goes first when there is no room: the lowest class, and within it QoS 0, then what is in
//! memory, then what is durable; each time the oldest.

use super::entry::{Class, Entry, Mode};
use super::slab::{List, Rank, Slab, Slot};
use crate::limits::MQTT_OUTBOX_ROW_BYTES;
use crate::mqtt::codec::QoS;

/// Kinds of messages within a class, from the first to go to the last.
const KINDS: usize = 3;
const DURABLE: usize = KINDS - 1;

/// All queued messages, by class and kind.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    held: [[Held; KINDS]; Class::ALL.len()],
}

/// Messages of one class and kind, and what they take.
#[derive(Clone, Copy, Debug)]
struct Held {
    list: List<Rank>,
    rows: usize,
    bytes: usize,
}

impl Ranks {
    pub(super) const fn new() -> Ranks {
        let none = Held {
            list: List::new(),
            rows: 0,
            bytes: 0,
        };
        Ranks {
            held: [[none; KINDS]; Class::ALL.len()],
        }
    }

    /// It waits, behind those of its kind.
    pub(super) fn push(&mut self, slab: &mut Slab, slot: Slot) {
        let held = self.enter(slab.at(slot));
        held.list.push_back(slab, slot);
    }

    /// It waits again, before those of its kind.
    pub(super) fn push_again(&mut self, slab: &mut Slab, slot: Slot) {
        let held = self.enter(slab.at(slot));
        held.list.push_front(slab, slot);
    }

    fn enter(&mut self, entry: &Entry) -> &mut Held {
        let held = self.of(entry);
        held.rows += 1;
        held.bytes += entry.content_bytes() + MQTT_OUTBOX_ROW_BYTES;
        held
    }

    pub(super) fn remove(&mut self, slab: &mut Slab, slot: Slot) {
        let entry = slab.at(slot);
        let held = self.of(entry);
        held.rows -= 1;
        held.bytes -= entry.content_bytes() + MQTT_OUTBOX_ROW_BYTES;
        held.list.remove(slab, slot);
    }

    fn of(&mut self, entry: &Entry) -> &mut Held {
        let kind = match (entry.mode, entry.qos) {
            (Mode::Durable, _) => DURABLE,
            (Mode::Spill, QoS::AtMostOnce) => 0,
            (Mode::Spill, _) => 1,
        };
        &mut self.held[entry.class as usize][kind]
    }

    /// The first to go for a message of this class. A durable one goes for durable ones only.
    pub(super) fn first_for(&self, class: Class, mode: Mode) -> Option<Slot> {
        self.below(class, mode).find_map(|held| held.list.first())
    }

    /// How many messages, and bytes in memory, may go for one of this class.
    pub(super) fn room_for(&self, class: Class, mode: Mode) -> (usize, usize) {
        let add = |(rows, bytes), held: &Held| (rows + held.rows, bytes + held.bytes);
        self.below(class, mode).fold((0, 0), add)
    }

    fn below(&self, class: Class, mode: Mode) -> impl Iterator<Item = &Held> {
        let kinds = match mode {
            Mode::Spill => DURABLE,
            Mode::Durable => KINDS,
        };
        let classes = self.held[class as usize..].iter().rev();
        classes.flat_map(move |of_class| &of_class[..kinds])
    }
}
