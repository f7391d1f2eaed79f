//! Acknowledgements of what we sent.

use super::Session;
use super::ids::Owner;
use super::output::Outcome;
use super::persist::Then;
use crate::mqtt::codec::{Ack, Packet, PacketId, QoS, Reason, Version};
use crate::mqtt::outbox::{Flash, Mode, Slot, Stage};

impl Session {
    pub(super) fn puback(&mut self, id: PacketId, reason: Reason) {
        // One that nobody waits for is late, and says nothing.
        let Some(slot) = self.published(id, QoS::AtLeastOnce) else {
            return;
        };
        self.hear(reason);
        if self.outbox.at(slot).stage == Stage::Sent {
            self.complete(slot, outcome(reason));
        }
    }

    pub(super) fn pubrec(&mut self, ack: Ack<'_>) {
        let Some(slot) = self.published(ack.id, QoS::ExactlyOnce) else {
            if !ack.reason.is_error() {
                self.release_unknown(ack.id);
            }
            return;
        };
        self.hear(ack.reason);
        if ack.reason.is_error() {
            return self.complete(slot, Outcome::Rejected(ack.reason));
        }
        self.alive.note_progress(self.now);
        self.suspicion.note_answer();
        let durable = self.config.rules.durable_release;
        let entry = self.outbox.at_mut(slot);
        match entry.stage {
            Stage::Queued => {}
            Stage::Released if self.releases.is_empty() => self.release(slot),
            // It is on its way already, or waits for flash.
            Stage::Released => {}
            Stage::Sent => {
                entry.stage = Stage::Released;
                if durable && entry.mode == Mode::Durable && entry.flash == Flash::Marked {
                    entry.flash = Flash::Marking;
                    let id = self.outbox.id(slot);
                    self.persist_mark(id, Then::Release(id));
                }
                self.release(slot);
            }
        }
    }

    pub(super) fn pubcomp(&mut self, ack: Ack<'_>) {
        if self.ids.released(ack.id) {
            self.alive.note_progress(self.now);
            return;
        }
        let Some(slot) = self.published(ack.id, QoS::ExactlyOnce) else {
            return;
        };
        let entry = self.outbox.at(slot);
        if entry.stage == Stage::Released && entry.flash != Flash::Marking {
            self.complete(slot, Outcome::Done(Reason::Success));
        }
    }

    /// Some reasons ask for patience.
    pub(super) fn hear(&mut self, reason: Reason) {
        if matches!(reason, Reason::QuotaExceeded | Reason::MessageRateTooHigh) {
            self.throttle.handle_slow_down(self.now);
        }
    }

    /// The message under this id, if it is one with this quality of service that was sent.
    fn published(&self, id: PacketId, qos: QoS) -> Option<Slot> {
        match self.ids.owner(id) {
            Some(Owner::Publish(slot)) if self.outbox.at(slot).qos == qos => Some(slot),
            _ => None,
        }
    }

    /// The broker holds an id that we know nothing of: let it go.
    fn release_unknown(&mut self, id: PacketId) {
        let reason = match self.config.version {
            Version::V311 => Reason::Success,
            Version::V5 => Reason::PacketIdentifierNotFound,
        };
        self.write(&Packet::Pubrel(Ack::because(id, reason)));
    }
}

const fn outcome(reason: Reason) -> Outcome {
    match reason.is_error() {
        true => Outcome::Rejected(reason),
        false => Outcome::Done(reason),
    }
}
