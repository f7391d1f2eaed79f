//! The lanes in which messages wait: live and backlog, for each class.

use super::entry::{Class, Entry};
use super::slab::{Lane, List, Slab, Slot};
use crate::limits::MQTT_BACKLOG_SHARE_MESSAGES;
use std::collections::BTreeMap;

/// A lane for each class.
type OfClasses = [List<Lane>; Class::ALL.len()];

#[derive(Clone, Debug)]
pub(super) struct Lanes {
    live: OfClasses,
    backlog: OfClasses,
    /// How many messages of a topic are in the backlog. Two topics that share a hash only wait for
    /// each other.
    topics: BTreeMap<u64, u32>,
    /// Of each class: how many have left.
    turns: [u32; Class::ALL.len()],
    /// Off only in a test that shows what it is for.
    pub(super) behind_backlog: bool,
}

impl Lanes {
    pub(super) const fn new() -> Lanes {
        Lanes {
            live: [List::new(); Class::ALL.len()],
            backlog: [List::new(); Class::ALL.len()],
            topics: BTreeMap::new(),
            turns: [0; Class::ALL.len()],
            behind_backlog: true,
        }
    }

    /// A new message, at the end of its lane.
    pub(super) fn push(&mut self, slab: &mut Slab, slot: Slot, connected: bool) {
        let entry = slab.at(slot);
        let waits_behind = self.behind_backlog && !self.topics.is_empty();
        let backlog = !connected || (waits_behind && self.topics.contains_key(&topic_hash(entry)));
        match backlog {
            true => self.push_backlog(slab, slot),
            false => self.live[entry.class as usize].push_back(slab, slot),
        }
    }

    fn push_backlog(&mut self, slab: &mut Slab, slot: Slot) {
        self.enter_backlog(slab, slot);
        let class = slab.at(slot).class as usize;
        self.backlog[class].push_back(slab, slot);
    }

    /// A message that was on its way and has to begin again: before all others.
    pub(super) fn push_again(&mut self, slab: &mut Slab, slot: Slot) {
        self.enter_backlog(slab, slot);
        let class = slab.at(slot).class as usize;
        self.backlog[class].push_front(slab, slot);
    }

    fn enter_backlog(&mut self, slab: &mut Slab, slot: Slot) {
        let entry = slab.at_mut(slot);
        entry.backlog = true;
        *self.topics.entry(topic_hash(entry)).or_default() += 1;
    }

    /// The connection is gone: what was live is backlog, behind what was backlog before.
    pub(super) fn end_live(&mut self, slab: &mut Slab) {
        for class in 0..Class::ALL.len() {
            while let Some(slot) = self.live[class].first() {
                self.live[class].remove(slab, slot);
                self.push_backlog(slab, slot);
            }
        }
    }

    pub(super) fn remove(&mut self, slab: &mut Slab, slot: Slot) {
        let entry = slab.at_mut(slot);
        let class = entry.class as usize;
        if !entry.backlog {
            return self.live[class].remove(slab, slot);
        }
        entry.backlog = false;
        let hash = topic_hash(entry);
        if let Some(count) = self.topics.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.topics.remove(&hash);
            }
        }
        self.backlog[class].remove(slab, slot);
    }

    /// The first one of each lane, in the order in which the lanes have their turn now: classes
    /// first, so that what waits is never before a higher class; within each, live or backlog.
    pub(super) fn heads(&self) -> impl Iterator<Item = Slot> {
        (0..Class::ALL.len())
            .flat_map(|class| self.pair(class))
            .filter_map(List::first)
    }

    /// The first of these heads that is ready. Mostly the first lane that is not empty has it, and
    /// a plain walk finds that soonest.
    pub(super) fn first_ready(&self, ready: impl Fn(Slot) -> bool) -> Option<Slot> {
        for class in 0..Class::ALL.len() {
            for lane in self.pair(class) {
                if let Some(slot) = lane.first()
                    && ready(slot)
                {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The lanes of a class, in the order of this time.
    const fn pair(&self, class: usize) -> [&List<Lane>; 2] {
        match self.turns[class] % MQTT_BACKLOG_SHARE_MESSAGES {
            0 => [&self.backlog[class], &self.live[class]],
            _ => [&self.live[class], &self.backlog[class]],
        }
    }

    /// A message of this class was taken.
    pub(super) const fn next_turn(&mut self, class: Class) {
        let turn = &mut self.turns[class as usize];
        *turn = turn.wrapping_add(1);
    }
}

/// FNV-1a over class and topic: short, and topics are short.
fn topic_hash(entry: &Entry) -> u64 {
    let seed = 0xCBF2_9CE4_8422_2325 ^ entry.class as u64;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    entry.topic_bytes().iter().fold(seed, step)
}
