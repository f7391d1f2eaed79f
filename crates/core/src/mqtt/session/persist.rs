//! The durable half: what is written to flash, and what waits for that.

use super::output::{Ending, Outcome, Output, Persist, Ticket};
use super::{Link, Session};
use crate::limits::MQTT_STORAGE_PAUSE;
use crate::mqtt::codec::{Disconnect, Packet, PacketId, QoS, Reason};
use crate::mqtt::outbox::{DropCause, Entry, EntryId, Flash, Gone, Mode, Slot, Stage};
use crate::time::Mono;
use std::collections::VecDeque;

/// Writes that are not durable yet, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Flushing {
    last: u64,
    waiting: VecDeque<(Ticket, Then)>,
    /// Nothing more is taken from the broker until this is durable.
    hold: Option<Ticket>,
    /// After a failure nothing is tried again before this time.
    pause: Option<Mono>,
    /// What has to be tried again then.
    failed: Vec<Then>,
}

/// What happens when a write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The message is accepted.
    Accept(EntryId),
    /// It was spilled.
    Spilled(EntryId),
    /// It was written at the stop.
    Saved(EntryId),
    /// Its packet id is known: it may leave.
    Marked(EntryId),
    /// That it was received is known: PUBREL may leave.
    Release(EntryId),
    /// The id of a received message is forgotten: PUBCOMP may leave.
    Complete(PacketId),
    /// The id of a received message of an older session of the broker is forgotten.
    Forgotten(PacketId),
    /// Everything is there.
    Stop,
}

impl Flushing {
    pub(super) const fn holds_reading(&self) -> bool {
        self.hold.is_some()
    }
}

impl Session {
    #[inline(never)]
    pub(super) fn persist(&mut self, what: Persist, then: Option<Then>) {
        self.flushing.last += 1;
        let ticket = Ticket(self.flushing.last);
        if let Some(then) = then {
            self.flushing.waiting.push_back((ticket, then));
        }
        self.outputs.push_back(Output::Persist(ticket, what));
    }

    /// Has flash know how far the exchange of a durable message with QoS 2 has come. After a kill
    /// that decides what is sent before what, so it waits behind what failed and is to be tried
    /// again.
    pub(super) fn persist_mark(&mut self, id: EntryId, then: Then) {
        match self.flushing.failed.is_empty() || !self.config.rules.marks_in_order {
            true => self.persist(Persist::Entry(id), Some(then)),
            false => self.flushing.failed.push(then),
        }
    }

    /// Everything up to this ticket is on flash.
    pub fn handle_persisted(&mut self, ticket: Ticket, now: Mono) {
        self.now = now;
        let was_held = self.is_held();
        while let Some((waiting, then)) = self.flushing.waiting.front().copied()
            && waiting <= ticket
        {
            self.flushing.waiting.pop_front();
            self.persisted(then);
        }
        if self.flushing.hold.is_some_and(|hold| hold <= ticket) {
            self.flushing.hold = None;
        }
        self.resume_after(was_held);
        self.pump();
    }

    fn persisted(&mut self, then: Then) {
        match then {
            Then::Accept(id) | Then::Spilled(id) => {
                self.set_flash(id, Flash::There, |tag| Some(Output::Accepted(tag)));
            }
            Then::Saved(id) => self.set_flash(id, Flash::There, |_| None),
            Then::Marked(id) if self.stage_of(id) == Some(Stage::Queued) => {
                self.set_flash(id, Flash::Marked, |_| None);
            }
            Then::Release(id) if self.stage_of(id) == Some(Stage::Released) => {
                self.set_flash(id, Flash::Marked, |_| None);
                self.send_releases();
            }
            // The broker has lost the session since, and the exchange has begun again.
            Then::Marked(_) | Then::Release(_) => {}
            Then::Complete(id) => self.complete_received(id, Reason::Success),
            Then::Forgotten(_) => {}
            Then::Stop => self.outputs.push_back(Output::Stopped),
        }
    }

    fn stage_of(&self, id: EntryId) -> Option<Stage> {
        self.outbox.entry(id).map(Entry::stage)
    }

    fn set_flash(&mut self, id: EntryId, flash: Flash, tell: fn(u64) -> Option<Output<'static>>) {
        let Some(slot) = self.outbox.slot(id) else {
            return;
        };
        let entry = self.outbox.at_mut(slot);
        entry.flash = flash;
        self.outputs.extend(entry.tag.and_then(tell));
    }

    /// This write, and whatever was asked for after it and has not been written, failed.
    ///
    /// A durable message that was not accepted yet is refused. Everything else is asked for again
    /// after a pause.
    pub fn handle_persist_failed(&mut self, ticket: Ticket, now: Mono) {
        self.now = now;
        self.flushing.pause = Some(now + MQTT_STORAGE_PAUSE);
        let kept = (self.flushing.waiting.iter())
            .position(|(waiting, _)| *waiting >= ticket)
            .unwrap_or(self.flushing.waiting.len());
        let failed: Vec<_> = self.flushing.waiting.drain(kept..).collect();
        for (_, then) in failed {
            match then {
                Then::Accept(id) => self.refuse(id),
                Then::Spilled(id) => self.unspill(id),
                // The end of the stop comes later, so it fails, too, and brings all of them again.
                Then::Saved(_) => {}
                Then::Forgotten(_) => {
                    // What is written before it is asked for again says nothing of it.
                    self.flushing.hold = Some(Ticket(u64::MAX));
                    self.flushing.failed.push(then);
                }
                then => self.flushing.failed.push(then),
            }
        }
        self.pump();
    }

    fn refuse(&mut self, id: EntryId) {
        if let Some(slot) = self.outbox.slot(id) {
            let entry = self.outbox.drop_queued(slot, DropCause::Storage);
            self.dropped(&entry, DropCause::Storage);
        }
    }

    fn unspill(&mut self, id: EntryId) {
        if let Some(slot) = self.outbox.slot(id) {
            self.outbox.unspill(slot);
            if !self.config.rules.doubt_failed {
                self.outbox.at_mut(slot).flash = Flash::None;
            }
        }
    }

    /// When what failed is tried again.
    pub(super) fn retry_due(&self) -> Option<Mono> {
        self.flushing
            .pause
            .filter(|_| !self.flushing.failed.is_empty())
    }

    /// Tries it again, unless it is too soon for anything.
    pub(super) fn retry(&mut self) -> bool {
        if self.flushing.pause.is_some_and(|pause| pause > self.now) {
            return false;
        }
        self.flushing.pause = None;
        self.persist_again();
        true
    }

    /// Asks again for what failed.
    fn persist_again(&mut self) {
        for then in std::mem::take(&mut self.flushing.failed) {
            match then {
                Then::Marked(id)
                | Then::Release(id)
                | Then::Accept(id)
                | Then::Spilled(id)
                | Then::Saved(id) => {
                    self.persist(Persist::Entry(id), Some(then));
                }
                Then::Complete(id) => self.persist(Persist::Forget(id), Some(then)),
                Then::Forgotten(id) => {
                    self.persist(Persist::Forget(id), Some(then));
                    self.flushing.hold = Some(Ticket(self.flushing.last));
                }
                Then::Stop => self.persist_all(),
            }
        }
    }

    /// A new message of which flash has to know.
    pub(super) fn note_taken(&mut self, slot: Slot) {
        let entry = self.outbox.at_mut(slot);
        if entry.mode == Mode::Durable {
            entry.flash = Flash::Writing;
            let id = self.outbox.id(slot);
            self.persist(Persist::Entry(id), Some(Then::Accept(id)));
        }
    }

    /// An entry has left the outbox: so must its copy on flash.
    pub(super) fn forget(&mut self, entry: &Gone) {
        if entry.flash != Flash::None {
            self.persist(Persist::Remove(entry.sequence), None);
        }
    }

    /// An entry was dropped by a rule of ours.
    #[cold]
    pub(super) fn dropped(&mut self, entry: &Gone, cause: DropCause) {
        if let Some(id) = entry.packet_id {
            self.ids.free(id);
        }
        self.forget(entry);
        self.note_tried();
        let outcome = Outcome::Dropped(cause);
        self.outputs
            .extend(entry.tag.map(|tag| Output::Done(tag, outcome)));
    }

    pub(super) fn spill_due(&mut self) -> Option<Mono> {
        let retry = self.retry_due();
        let spill = self.outbox.spill_at(self.config.spill_delay);
        let spill = spill.map(|due| self.flushing.pause.map_or(due, |pause| due.max(pause)));
        [retry, spill].into_iter().flatten().min()
    }

    /// Writes what has waited for too long for its acknowledgement.
    pub(super) fn spill(&mut self) {
        if !self.retry() {
            return;
        }
        if self.now.since_start() < self.config.spill_delay {
            return;
        }
        let before = self.now - self.config.spill_delay;
        while let Some(slot) = self.outbox.next_spill(before) {
            let id = self.outbox.id(slot);
            self.persist(Persist::Entry(id), Some(Then::Spilled(id)));
        }
    }

    /// Ends the session in order: everything that must survive goes to flash, and then
    /// [`Output::Stopped`] comes. Nothing is sent or received any more.
    pub fn stop(&mut self, now: Mono) {
        self.now = now;
        if self.link == Link::Up {
            self.write(&Packet::Disconnect(Disconnect::because(Reason::Success)));
        }
        self.link = Link::Stopping;
        // The next life goes by what flash knows: what failed is not left for later.
        self.persist_again();
        self.persist_all();
    }

    /// How many messages with QoS 1 and 2 are not on flash, or not for certain.
    pub fn unsaved(&self) -> usize {
        let is_unsaved = |entry: &Entry| {
            let unwritten = [Flash::None, Flash::Writing, Flash::Failed];
            entry.qos != QoS::AtMostOnce && unwritten.contains(&entry.flash)
        };
        let entries = self.outbox.iter();
        entries.filter(|(_, entry)| is_unsaved(entry)).count()
    }

    fn persist_all(&mut self) {
        let ids: Vec<EntryId> = (self.outbox.iter())
            .filter(|(_, entry)| entry.qos != QoS::AtMostOnce)
            .filter(|(_, entry)| {
                let unwritten = [Flash::None, Flash::Failed, Flash::Stale];
                unwritten.contains(&entry.flash) || entry.stage != Stage::Queued
            })
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.persist(Persist::Entry(id), Some(Then::Saved(id)));
        }
        let received = self.received.acknowledged();
        let ending = match self.ids.is_doubtful() {
            true => Ending::InDoubt,
            false => Ending::Orderly,
        };
        self.persist(Persist::Stopped { received, ending }, Some(Then::Stop));
    }

    /// The broker has begun a new session: flash must forget the received ids of the old one
    /// before anything of the new one is taken.
    pub(super) fn forget_received(&mut self) {
        let mut ids = self.received.clear();
        // What failed of the old session is asked for now: later it would mean an id of the new one.
        self.flushing.failed.retain(|then| match then {
            Then::Complete(id) | Then::Forgotten(id) => {
                if !ids.contains(id) {
                    ids.push(*id);
                }
                false
            }
            _ => true,
        });
        for id in ids {
            self.persist(Persist::Forget(id), Some(Then::Forgotten(id)));
            self.flushing.hold = Some(Ticket(self.flushing.last));
        }
    }
}
