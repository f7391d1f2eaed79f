//! The outbox itself.

use super::budget::{Budget, Counts, DropCause, Overflow, Refused};
use super::entry::{Entry, EntryId, Flash, Gone, Mode, Publication, Stage, StoredEntry};
use super::lanes::Lanes;
use super::ranks::Ranks;
use super::slab::{Age, Lane, List, Slab, Slot};
use crate::limits::{MQTT_AGE_LOOK_INTERVAL, MQTT_OUTBOX_ROW_BYTES};
use crate::mqtt::codec::{PacketId, PublishFront, QoS, Version};
use crate::time::Mono;
use std::collections::BTreeSet;
use std::time::Duration;

/// Everything that waits to be sent or is on its way.
#[derive(Clone, Debug)]
pub struct Outbox {
    budget: Budget,
    /// The protocol that packets are written for.
    version: Version,
    /// How those to the topic of the last message begin.
    front: PublishFront,
    slab: Slab,
    lanes: Lanes,
    /// What waits, in the order in which it makes room; only where the budget lets it.
    ranks: Option<Ranks>,
    /// What was sent and is not complete, in the order in which it was sent.
    flight: List<Lane>,
    /// All entries, in the order in which they were taken.
    age: List<Age>,
    /// The first entry in that order that may have to be written to flash.
    unspilled: Option<Slot>,
    /// Queued entries whose time of use ends.
    expiring: BTreeSet<(Mono, Slot)>,
    next_sequence: u64,
    /// The last entry that was found on flash.
    restored_to: u64,
    rows: usize,
    bytes: usize,
    in_flight: usize,
    /// Durable messages with QoS 2 that have no packet id yet.
    unmarked: usize,
    /// Queued messages with QoS 0.
    unanswered: usize,
    connected: bool,
    age_look: Option<Mono>,
    counts: Counts,
}

impl Outbox {
    /// An empty one.
    pub fn new(budget: Budget) -> Outbox {
        let makes_room = budget.overflow == Overflow::DropOldest;
        Outbox {
            budget,
            version: Version::V5,
            front: PublishFront::default(),
            slab: Slab::new(),
            lanes: Lanes::new(),
            ranks: makes_room.then(Ranks::new),
            flight: List::new(),
            age: List::new(),
            unspilled: None,
            expiring: BTreeSet::new(),
            next_sequence: 1,
            restored_to: 0,
            rows: 0,
            bytes: 0,
            in_flight: 0,
            unmarked: 0,
            unanswered: 0,
            connected: false,
            age_look: None,
            counts: Counts {
                accepted: 0,
                refused: 0,
                completed: 0,
                rejected: 0,
                overflowed: [0; 3],
                overflowed_durable: 0,
                expired: 0,
                too_old: 0,
                unsendable: 0,
                storage: 0,
                spilled: 0,
            },
        }
    }

    /// Its bounds.
    pub const fn budget(&self) -> Budget {
        self.budget
    }

    /// Messages that wait or are on their way.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What they take in memory, as the budget counts it.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that were sent and are not complete.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a message waits for its turn.
    pub(crate) const fn waits(&self) -> bool {
        self.rows > self.in_flight
    }

    /// Whether one could leave though the window is full.
    pub(crate) const fn waits_unanswered(&self) -> bool {
        self.unanswered > 0
    }

    /// What has become of messages.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The entry of this name, while it is here.
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.slab.get(id)
    }

    /// All entries, in the order in which they were taken.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        let mut next = self.age.first();
        std::iter::from_fn(move || {
            let slot = next?;
            let entry = self.slab.at(slot);
            next = entry.age.after();
            Some((self.id(slot), entry))
        })
    }

    /// Takes an entry that was found on flash. They come in the order of their numbers, before
    /// anything else, and are taken whatever the budget says.
    pub fn restore(&mut self, stored: &StoredEntry<'_>, now: Mono) -> EntryId {
        self.reserve(stored.sequence);
        self.restored_to = self.restored_to.max(stored.sequence);
        let slot = self.insert(stored.sequence, &stored.publication, now);
        let entry = self.slab.at_mut(slot);
        // An id was written before the message left, so it may have left.
        let began = stored.packet_id.is_some();
        entry.flash = match began {
            true => Flash::Marked,
            false => Flash::There,
        };
        entry.tag = None;
        entry.aged = stored.age;
        let wanted = wants_mark(entry);
        if began {
            entry.stage = match stored.stage {
                Stage::Released => Stage::Released,
                Stage::Queued | Stage::Sent => Stage::Sent,
            };
            entry.packet_id = stored.packet_id;
            entry.dup = true;
            self.unmarked -= usize::from(wanted && !wants_mark(entry));
        }
        match began {
            true => self.enter_flight(slot),
            false => self.enqueue(slot),
        }
        self.id(slot)
    }

    /// Gives no message this number.
    pub(crate) fn reserve(&mut self, sequence: u64) {
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
    }

    /// Takes a message, or says why there is no room. `dropped` is told what made room for it.
    pub(crate) fn push(
        &mut self,
        publication: &Publication<'_>,
        now: Mono,
        mut dropped: impl FnMut(Gone, DropCause),
    ) -> Result<Slot, Refused> {
        if self.fits(publication.content_bytes()).is_err() {
            self.make_room(publication, &mut dropped)?;
        }
        let slot = self.accept(publication, now);
        self.enqueue(slot);
        Ok(slot)
    }

    /// As the policy has it.
    #[cold]
    fn make_room(
        &mut self,
        publication: &Publication<'_>,
        dropped: &mut dyn FnMut(Gone, DropCause),
    ) -> Result<(), Refused> {
        let content = publication.content_bytes();
        let Publication { class, mode, .. } = *publication;
        let may_drop = self.ranks.as_ref().is_some_and(|ranks| {
            let (rows, bytes) = ranks.room_for(class, mode);
            self.fits_without(content, rows, bytes)
        });
        while let Err(refused) = self.fits(content) {
            let ranks = self.ranks.as_ref().filter(|_| may_drop);
            let Some(first) = ranks.and_then(|ranks| ranks.first_for(class, mode)) else {
                self.counts.refused += 1;
                return Err(refused);
            };
            let gone = self.drop_queued(first, DropCause::Overflow);
            dropped(gone, DropCause::Overflow);
        }
        Ok(())
    }

    /// Takes a message that leaves at once, while none is queued, or says why there is no room.
    pub(crate) fn push_in_flight(
        &mut self,
        publication: &Publication<'_>,
        now: Mono,
    ) -> Result<Slot, Refused> {
        if let Err(refused) = self.fits(publication.content_bytes()) {
            self.counts.refused += 1;
            return Err(refused);
        }
        let slot = self.accept(publication, now);
        self.enter_flight(slot);
        self.slab.at_mut(slot).stage = Stage::Sent;
        Ok(slot)
    }

    fn accept(&mut self, publication: &Publication<'_>, now: Mono) -> Slot {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.counts.accepted += 1;
        self.insert(sequence, publication, now)
    }

    fn fits(&self, content: usize) -> Result<(), Refused> {
        let Budget {
            rows_max,
            bytes_max,
            ..
        } = self.budget;
        if self.rows >= rows_max {
            return Err(Refused::Rows { rows_max });
        }
        let bytes = content + MQTT_OUTBOX_ROW_BYTES;
        match self.bytes + bytes <= bytes_max {
            true => Ok(()),
            false => Err(Refused::Bytes { bytes, bytes_max }),
        }
    }

    /// Whether there would be room if so much of what is here went.
    const fn fits_without(&self, content: usize, rows: usize, bytes: usize) -> bool {
        let bytes = self.bytes - bytes + content + MQTT_OUTBOX_ROW_BYTES;
        self.rows - rows < self.budget.rows_max && bytes <= self.budget.bytes_max
    }

    fn insert(&mut self, sequence: u64, publication: &Publication<'_>, now: Mono) -> Slot {
        if !self
            .front
            .serves(publication.qos, publication.topic.as_bytes())
        {
            let topic = publication.topic.as_bytes();
            self.front = PublishFront::new(self.version, publication.qos, topic);
        }
        if self.age_look.is_none() && self.budget.age_max.is_some() {
            self.age_look = self.look_interval().map(|interval| now + interval);
        }
        let slot = self.slab.take_place();
        let entry = self.slab.at_mut(slot);
        entry.fill(sequence, self.version, &self.front, publication, now);
        self.rows += 1;
        self.bytes += publication.content_bytes() + MQTT_OUTBOX_ROW_BYTES;
        self.unmarked += usize::from(wants_mark(entry));
        self.age.push_back(&mut self.slab, slot);
        if self.unspilled.is_none() {
            self.unspilled = Some(slot);
        }
        slot
    }

    fn enqueue(&mut self, slot: Slot) {
        self.note_queued(slot);
        if let Some(ranks) = &mut self.ranks {
            ranks.push(&mut self.slab, slot);
        }
        self.lanes.push(&mut self.slab, slot, self.connected);
    }

    #[inline]
    fn note_queued(&mut self, slot: Slot) {
        let entry = self.slab.at(slot);
        // Messages with QoS 0 can leave when the window is full.
        self.unanswered += usize::from(entry.qos == QoS::AtMostOnce);
        if let Some(expires) = entry.expires {
            self.expiring.insert((expires, slot));
        }
    }

    fn dequeue(&mut self, slot: Slot) {
        let entry = self.slab.at(slot);
        self.unanswered -= usize::from(entry.qos == QoS::AtMostOnce);
        if let Some(expires) = entry.expires {
            self.expiring.remove(&(expires, slot));
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.remove(&mut self.slab, slot);
        }
        self.lanes.remove(&mut self.slab, slot);
    }

    fn enter_flight(&mut self, slot: Slot) {
        self.flight.push_back(&mut self.slab, slot);
        self.in_flight += 1;
    }

    fn leave_flight(&mut self, slot: Slot) {
        self.flight.remove(&mut self.slab, slot);
        self.in_flight -= 1;
    }

    pub(crate) fn id(&self, slot: Slot) -> EntryId {
        EntryId {
            sequence: self.slab.at(slot).sequence,
            slot,
        }
    }

    pub(crate) fn at(&self, slot: Slot) -> &Entry {
        self.slab.at(slot)
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Entry {
        self.slab.at_mut(slot)
    }

    /// The slot of an entry that may be gone.
    pub(crate) fn slot(&self, id: EntryId) -> Option<Slot> {
        self.slab.get(id).map(|_| id.slot)
    }

    /// What may leave next. An entry that has to be on flash first holds up its lane.
    pub(crate) fn next(&self, ready: impl Fn(&Entry) -> bool) -> Option<Slot> {
        self.lanes.first_ready(|slot| ready(self.slab.at(slot)))
    }

    /// The first entries of each lane, up to `count` of each.
    pub(crate) fn ahead(&self, count: usize) -> Vec<Slot> {
        let mut ahead = Vec::new();
        for head in self.lanes.heads() {
            let mut next = Some(head);
            for _ in 0..count {
                let Some(slot) = next else { break };
                ahead.push(slot);
                next = self.slab.at(slot).lane.after();
            }
        }
        ahead
    }

    /// Durable messages with QoS 2 that have no packet id yet.
    pub(crate) const fn unmarked(&self) -> usize {
        self.unmarked
    }

    /// It has a packet id, which is being written to flash.
    pub(crate) fn mark(&mut self, slot: Slot, id: PacketId) {
        self.name(slot, id);
        self.slab.at_mut(slot).flash = Flash::Marking;
    }

    /// It has a packet id.
    pub(crate) fn name(&mut self, slot: Slot, id: PacketId) {
        let entry = self.slab.at_mut(slot);
        self.unmarked -= usize::from(wants_mark(entry));
        entry.packet_id = Some(id);
    }

    /// It has no packet id after all, and begins anew.
    pub(crate) fn unname(&mut self, slot: Slot) {
        let entry = self.slab.at_mut(slot);
        entry.packet_id = None;
        entry.flash = Flash::There;
        self.unmarked += usize::from(wants_mark(entry));
        self.put_back(slot);
    }

    /// It is being sent.
    pub(crate) fn depart(&mut self, slot: Slot) {
        self.dequeue(slot);
        self.lanes.next_turn(self.slab.at(slot).class);
        self.enter_flight(slot);
        self.slab.at_mut(slot).stage = Stage::Sent;
    }

    /// The first entry on its way, and the one behind another.
    pub(crate) const fn first_in_flight(&self) -> Option<Slot> {
        self.flight.first()
    }

    /// The last entry on its way, and the one before another.
    pub(crate) const fn last_in_flight(&self) -> Option<Slot> {
        self.flight.last()
    }

    pub(crate) fn before_in_flight(&self, slot: Slot) -> Option<Slot> {
        self.slab.at(slot).lane.before()
    }

    /// It has not left after all: it is queued again, before all others.
    pub(crate) fn put_back(&mut self, slot: Slot) {
        self.leave_flight(slot);
        let entry = self.slab.at_mut(slot);
        entry.stage = Stage::Queued;
        entry.dup = false;
        entry.counted = false;
        self.note_queued(slot);
        if let Some(ranks) = &mut self.ranks {
            ranks.push_again(&mut self.slab, slot);
        }
        self.lanes.push_again(&mut self.slab, slot);
    }

    pub(crate) fn next_in_flight(&self, slot: Slot) -> Option<Slot> {
        self.slab.at(slot).lane.after()
    }

    /// The exchange is over.
    pub(crate) fn complete(&mut self, slot: Slot, accepted: bool) -> Gone {
        match accepted {
            true => self.counts.completed += 1,
            false => self.counts.rejected += 1,
        }
        self.leave_flight(slot);
        self.take(slot)
    }

    /// It cannot be sent again as it is, though it is on its way.
    pub(crate) fn drop_in_flight(&mut self, slot: Slot, cause: DropCause) -> Gone {
        self.leave_flight(slot);
        self.take_dropped(slot, cause)
    }

    pub(crate) fn drop_queued(&mut self, slot: Slot, cause: DropCause) -> Gone {
        self.dequeue(slot);
        self.take_dropped(slot, cause)
    }

    fn take_dropped(&mut self, slot: Slot, cause: DropCause) -> Gone {
        let entry = self.slab.at(slot);
        self.counts.note_drop(cause, entry.class, entry.mode);
        self.take(slot)
    }

    fn take(&mut self, slot: Slot) -> Gone {
        let entry = self.slab.at(slot);
        if self.unspilled == Some(slot) {
            self.unspilled = entry.age.after();
        }
        self.rows -= 1;
        self.unmarked -= usize::from(wants_mark(entry));
        self.bytes -= entry.content_bytes() + MQTT_OUTBOX_ROW_BYTES;
        if self.rows == 0 {
            self.age_look = None;
        }
        self.age.remove(&mut self.slab, slot);
        self.slab.remove(slot)
    }

    /// There is a connection: what comes from now on is live.
    pub(crate) const fn connect(&mut self) {
        self.connected = true;
    }

    /// The connection is gone.
    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.lanes.end_live(&mut self.slab);
        if self.rows == 0 {
            self.slab.give_back();
        }
    }

    /// The broker knows nothing of what was on its way: it begins again, in its order, before all
    /// others. `prepare` sees each entry before that.
    pub(crate) fn begin_again(&mut self, mut prepare: impl FnMut(EntryId, &mut Entry)) {
        while let Some(slot) = self.flight.last() {
            let id = self.id(slot);
            let entry = self.slab.at_mut(slot);
            let wanted = wants_mark(entry);
            prepare(id, entry);
            self.unmarked += usize::from(wants_mark(entry));
            self.unmarked -= usize::from(wanted);
            self.put_back(slot);
        }
    }

    /// The next entry whose time of use is over.
    pub(crate) fn next_expired(&self, now: Mono) -> Option<Slot> {
        let (expires, slot) = *self.expiring.first()?;
        (expires <= now).then_some(slot)
    }

    /// Entries that wait for too long, to be dropped; called when [`deadline`](Outbox::deadline)
    /// has come.
    pub(crate) fn too_old(&mut self, now: Mono) -> Vec<Slot> {
        let Some(age_max) = self.budget.age_max else {
            return Vec::new();
        };
        if self.age_look.is_none_or(|look| look > now) {
            return Vec::new();
        }
        self.age_look = self.look_interval().map(|interval| now + interval);
        let mut old = Vec::new();
        let mut next = self.age.first();
        while let Some(slot) = next {
            let entry = self.slab.at(slot);
            let is_old = entry.age(now) >= age_max;
            // The ages of those from flash were told by a clock that may have been wrong.
            if !is_old && entry.sequence > self.restored_to {
                break;
            }
            if is_old && entry.stage == Stage::Queued {
                old.push(slot);
            }
            next = entry.age.after();
        }
        old
    }

    fn look_interval(&self) -> Option<Duration> {
        let age_max = self.budget.age_max?;
        Some((age_max / 16).clamp(Duration::from_millis(100), MQTT_AGE_LOOK_INTERVAL))
    }

    /// When something has to be dropped for its age or expiry.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let expiry = self.expiring.first().map(|(expires, _)| *expires);
        [expiry, self.age_look].into_iter().flatten().min()
    }

    /// When the first message that is not on flash has waited for `delay`.
    pub(crate) fn spill_at(&mut self, delay: Duration) -> Option<Mono> {
        let slot = self.first_unspilled()?;
        Some(self.slab.at(slot).accepted + delay)
    }

    /// The next message that has to be written to flash because it was taken at `before` or
    /// earlier.
    pub(crate) fn next_spill(&mut self, before: Mono) -> Option<Slot> {
        let slot = self.first_unspilled()?;
        let entry = self.slab.at_mut(slot);
        if entry.accepted > before {
            return None;
        }
        entry.flash = Flash::Writing;
        self.counts.spilled += 1;
        Some(slot)
    }

    fn first_unspilled(&mut self) -> Option<Slot> {
        while let Some(slot) = self.unspilled {
            let entry = self.slab.at(slot);
            if matches!(entry.flash, Flash::None | Flash::Failed) && spills(entry) {
                return Some(slot);
            }
            self.unspilled = entry.age.after();
        }
        None
    }

    /// A write failed: it will be tried again with those that come later. Some of it may be there
    /// all the same, as after a sync that failed, so it has to be removed when the message is done.
    pub(crate) fn unspill(&mut self, slot: Slot) {
        self.slab.at_mut(slot).flash = Flash::Failed;
        self.counts.spilled -= 1;
        self.unspilled = self.age.first();
    }

    /// Packets are written for this protocol; said before there is any.
    pub(crate) fn set_version(&mut self, version: Version) {
        self.version = version;
        self.front = PublishFront::default();
    }

    /// For a test that shows what the order is for.
    pub(crate) const fn set_behind_backlog(&mut self, is_on: bool) {
        self.lanes.behind_backlog = is_on;
    }
}

/// A durable message with QoS 2 leaves under an id that flash knows.
fn wants_mark(entry: &Entry) -> bool {
    entry.mode == Mode::Durable && entry.qos == QoS::ExactlyOnce && entry.packet_id.is_none()
}

/// QoS 0 promises nothing that flash could keep.
fn spills(entry: &Entry) -> bool {
    entry.mode == Mode::Spill && entry.qos != QoS::AtMostOnce
}
