//! From the outbox to the socket.

use super::error::PublishError;
use super::ids::Owner;
use super::output::{Outcome, Progress};
use super::persist::Then;
use super::{Link, Session};
use crate::limits::{MQTT_MARKS_AHEAD_MAX, MQTT_WRITE_BYTES};
use crate::mqtt::codec::{
    Ack, Packet, PacketId, Place, Property, PublishHead, QoS, Reason, Version, encode_publish,
    publish_bytes,
};
use crate::mqtt::outbox::{DropCause, Entry, EntryId, Flash, Mode, Publication, Slot, Stage};
use crate::mqtt::topic;
use crate::time::Mono;

/// Bytes of the properties that the session adds: message expiry and topic alias.
const ADDED_BYTES_MAX: usize = 5 + 3;

impl Session {
    /// Takes a message. It is sent when its turn comes; what is watched is told as it happens.
    pub fn publish(
        &mut self,
        publication: &Publication<'_>,
        now: Mono,
    ) -> Result<EntryId, PublishError> {
        self.now = now;
        if self.link == Link::Stopping {
            return Err(PublishError::Stopping);
        }
        self.check(publication)?;
        if self.goes_straight(publication) {
            return self.send_straight(publication, now);
        }
        let mut gone = Vec::new();
        let pushed = self.outbox.push(publication, now, |entry, cause| {
            gone.push((entry, cause));
        });
        for (entry, cause) in gone {
            self.dropped(&entry, cause);
        }
        let slot = pushed?;
        if self.link == Link::Up {
            self.outbox.at_mut(slot).allowed_on = self.connection;
        }
        let id = self.outbox.id(slot);
        self.note_exactly_once(publication.qos);
        self.note_taken(slot);
        self.pump();
        Ok(id)
    }

    /// Whether a message can leave as soon as it is taken: it is the next one, and nothing has to
    /// happen before. So it need not enter a lane and leave it again.
    fn goes_straight(&self, publication: &Publication<'_>) -> bool {
        publication.qos == QoS::AtLeastOnce
            && publication.mode == Mode::Spill
            && self.link == Link::Up
            && self.quota > 0
            && self.resend.is_none()
            && !self.outbox.waits()
            && self.throttle.delay().is_zero()
            && !self.ids.is_doubtful()
            && !self.suspicion.is_careful()
            && self.outgoing.len() < MQTT_WRITE_BYTES
    }

    fn send_straight(
        &mut self,
        publication: &Publication<'_>,
        now: Mono,
    ) -> Result<EntryId, PublishError> {
        let slot = self.outbox.push_in_flight(publication, now)?;
        let id = self.outbox.id(slot);
        let Some(packet_id) = self.give_id(Owner::Publish(slot)) else {
            self.outbox.put_back(slot);
            return Ok(id);
        };
        self.outbox.at_mut(slot).allowed_on = self.connection;
        self.outbox.name(slot, packet_id);
        self.set_off(slot);
        Ok(id)
    }

    fn check(&mut self, publication: &Publication<'_>) -> Result<(), PublishError> {
        self.check_topic(publication.topic)?;
        let Publication {
            topic,
            payload,
            qos,
            retain,
            properties,
            mode,
            ..
        } = *publication;
        if mode == Mode::Durable && qos == QoS::AtMostOnce {
            return Err(PublishError::DurableWithoutQos);
        }
        self.config.profile.check_content(payload.len(), qos)?;
        let ours = properties.find(|property| {
            matches!(
                property,
                Property::TopicAlias(_)
                    | Property::MessageExpiryInterval(_)
                    | Property::SubscriptionIdentifier(_)
            )
            .then_some(())
        });
        if ours.is_some() {
            return Err(PublishError::Properties);
        }
        if let Some(what) = properties.unsendable(Place::Message) {
            return Err(PublishError::Property(what));
        }
        if self.link == Link::Up {
            let sizes = (topic.len(), properties.as_bytes().len(), payload.len());
            self.allows(qos, retain, sizes)
                .map_err(PublishError::Limits)?;
        }
        Ok(())
    }

    /// Most messages go where the one before went.
    fn check_topic(&mut self, topic: &str) -> Result<(), PublishError> {
        if topic.is_empty() || self.last_topic != topic {
            topic::check_name(topic)?;
            self.config.profile.check_topic(topic)?;
            self.last_topic.clear();
            self.last_topic.push_str(topic);
        }
        Ok(())
    }

    /// Whether the broker of this connection takes a message with these sizes of topic, properties
    /// and payload.
    fn allows(
        &self,
        qos: QoS,
        retain: bool,
        (topic, properties, payload): (usize, usize, usize),
    ) -> Result<(), DropCause> {
        if qos > self.limits.qos_max {
            return Err(DropCause::QosNotSupported);
        }
        if retain && !self.limits.retain {
            return Err(DropCause::RetainNotSupported);
        }
        let added = match self.config.version {
            Version::V311 => 0,
            Version::V5 => ADDED_BYTES_MAX,
        };
        let bytes = publish_bytes(self.config.version, qos, topic, properties + added, payload);
        match bytes <= self.limits.packet_bytes_max {
            true => Ok(()),
            false => Err(DropCause::TooLarge),
        }
    }

    fn allows_entry(&self, entry: &Entry) -> Result<(), DropCause> {
        if self.suspicion.condemns(entry) {
            return Err(DropCause::EndsConnections);
        }
        if entry.allowed_on == self.connection {
            return Ok(());
        }
        let sizes = (
            entry.topic_bytes().len(),
            entry.properties_bytes().len(),
            entry.payload().len(),
        );
        self.allows(entry.qos, entry.retain, sizes)
    }

    /// Sends what can be sent now, until the buffer to the socket is full.
    pub(super) fn pump(&mut self) {
        if self.link != Link::Up {
            return;
        }
        // Most messages have nothing to do with these.
        if self.subscriptions.due {
            self.send_subscriptions();
        }
        if self.ids.is_doubtful() {
            self.release_doubtful();
        }
        if self.outbox.unmarked() > 0 && self.config.rules.durable_ids {
            self.mark_ahead();
        }
        if self.suspicion.is_careful() {
            self.prepare_trial();
        }
        if self.suspicion.holds_sending() {
            return;
        }
        while self.outgoing.len() < MQTT_WRITE_BYTES {
            let sent = match self.resend {
                Some(slot) => self.send_again(slot),
                None => self.send_next(),
            };
            if !sent {
                return;
            }
        }
    }

    #[cold]
    fn release_doubtful(&mut self) {
        let ids = self.ids.next_releases();
        if !ids.is_empty() && self.quota == self.window {
            self.alive.note_progress(self.now);
        }
        for id in ids {
            self.write(&Packet::Pubrel(Ack::new(id)));
        }
    }

    /// Gives packet ids to durable messages with QoS 2 that come soon, so that one write to flash
    /// serves many.
    #[cold]
    fn mark_ahead(&mut self) {
        for slot in self.outbox.ahead(MQTT_MARKS_AHEAD_MAX) {
            let entry = self.outbox.at(slot);
            let due = entry.mode == Mode::Durable
                && entry.qos == QoS::ExactlyOnce
                && entry.flash == Flash::There
                && entry.packet_id.is_none();
            if !due {
                continue;
            }
            let Some(packet_id) = self.give_id(Owner::Publish(slot)) else {
                return;
            };
            self.outbox.mark(slot, packet_id);
            let id = self.outbox.id(slot);
            self.persist_mark(id, Then::Marked(id));
        }
    }

    /// Sends the next message of the outbox, if one may leave.
    fn send_next(&mut self) -> bool {
        let has_quota = self.quota > 0;
        let unanswered_too = !self.suspicion.is_careful();
        let waits_unanswered = unanswered_too && self.outbox.waits_unanswered();
        if !self.outbox.waits() || !(has_quota || waits_unanswered) {
            return false;
        }
        if self.throttle.next_send(self.now).is_some() {
            return false;
        }
        let durable_ids = self.config.rules.durable_ids;
        let ready = |entry: &Entry| {
            let may_leave = match entry.qos {
                QoS::AtMostOnce => unanswered_too,
                _ => has_quota,
            };
            may_leave && is_on_flash(entry, durable_ids)
        };
        let Some(slot) = self.outbox.next(ready) else {
            // Nothing is left to be tried: what waits need not wait for that.
            let tries = self.suspicion.is_careful() && self.outbox.in_flight() == 0;
            if tries {
                self.end_trials();
            }
            return tries;
        };
        let entry = self.outbox.at(slot);
        if let Err(cause) = self.allows_entry(entry) {
            let entry = self.outbox.drop_queued(slot, cause);
            self.dropped(&entry, cause);
            return true;
        }
        if entry.qos != QoS::AtMostOnce && entry.packet_id.is_none() {
            let Some(id) = self.give_id(Owner::Publish(slot)) else {
                return false;
            };
            self.outbox.name(slot, id);
        }
        self.outbox.depart(slot);
        self.set_off(slot);
        true
    }

    /// Writes a message that is on its way from now on.
    fn set_off(&mut self, slot: Slot) {
        self.throttle.handle_sent(self.now);
        self.count(slot);
        if self.write_publish(slot) {
            let id = self.outbox.id(slot);
            self.leaving.push_back((self.outgoing.position(), id));
        }
    }

    /// Sends again what was on its way when an earlier connection ended.
    #[cold]
    fn send_again(&mut self, slot: Slot) -> bool {
        let next = self.outbox.next_in_flight(slot);
        let entry = self.outbox.at(slot);
        let released = entry.stage == Stage::Released && self.config.rules.released_stays;
        if released {
            self.release(slot);
        } else {
            if self.quota == 0 && self.config.rules.window_on_resend {
                return false;
            }
            if let Err(cause) = self.allows_entry(entry) {
                let qos = entry.qos;
                let entry = self.outbox.drop_in_flight(slot, cause);
                self.resend = next;
                if let (QoS::ExactlyOnce, Some(id)) = (qos, entry.packet_id) {
                    // If the broker has it all the same, it holds the id.
                    self.write(&Packet::Pubrel(Ack::new(id)));
                }
                self.dropped(&entry, cause);
                return true;
            }
            let entry = self.outbox.at_mut(slot);
            entry.dup = true;
            entry.stage = Stage::Sent;
            self.count(slot);
            self.write_publish(slot);
        }
        self.resend = next;
        true
    }

    /// It takes a place of the window.
    fn count(&mut self, slot: Slot) {
        let entry = self.outbox.at_mut(slot);
        if entry.qos == QoS::AtMostOnce {
            return;
        }
        entry.counted = true;
        if self.quota == self.window {
            self.alive.note_progress(self.now);
        }
        self.quota = self.quota.saturating_sub(1);
    }

    /// PUBREL for this message. They leave in the order of the PUBRECs (section 4.6), so it waits
    /// behind one whose mark is still being written to flash.
    pub(super) fn release(&mut self, slot: Slot) {
        let id = self.outbox.id(slot);
        self.releases.push_back(id);
        self.send_releases();
    }

    pub(super) fn send_releases(&mut self) {
        while let Some(id) = self.releases.front().copied() {
            let entry = self.outbox.entry(id);
            if entry.is_some_and(|entry| entry.flash == Flash::Marking) {
                return;
            }
            let packet_id = entry.and_then(|entry| entry.packet_id);
            self.releases.pop_front();
            if let Some(packet_id) = packet_id {
                self.write(&Packet::Pubrel(Ack::new(packet_id)));
            }
        }
    }

    /// Says whether somebody is to know when the socket has taken it.
    #[inline]
    fn write_publish(&mut self, slot: Slot) -> bool {
        let entry = self.outbox.at_mut(slot);
        let is_watched = entry.qos == QoS::AtMostOnce || entry.tag.is_some();
        // With version 5 the session has something to say about some messages.
        let adds_nothing = self.config.version == Version::V311
            || (self.aliases_out.is_empty() && entry.expires.is_none());
        match entry.packet() {
            Some(packet) if adds_nothing => self.outgoing.end().extend_from_slice(packet),
            _ => self.compose_publish(slot),
        }
        is_watched
    }

    /// Writes a PUBLISH that is more than what came, or less.
    #[inline(never)]
    fn compose_publish(&mut self, slot: Slot) {
        let version = self.config.version;
        let entry = self.outbox.at(slot);
        let head = PublishHead {
            dup: entry.dup,
            qos: entry.qos,
            retain: entry.retain,
            id: entry.packet_id.map_or(0, PacketId::number),
        };
        self.scratch.clear();
        let mut topic = entry.topic_bytes();
        if version == Version::V5 {
            if let Some(expires) = entry.expires {
                push_expiry(&mut self.scratch, expires, self.now);
            }
            if !self.aliases_out.is_empty() {
                topic = alias(&mut self.aliases_out, &mut self.scratch, topic);
            }
        }
        let properties = match version {
            Version::V311 => [&[][..], &[]],
            Version::V5 => [&self.scratch[..], entry.properties_bytes()],
        };
        let end = self.outgoing.end();
        encode_publish(end, version, head, topic, properties, entry.payload())
            .expect("the message was measured before");
    }

    /// Tells of messages that the socket has taken, and completes those with QoS 0.
    pub(super) fn note_left(&mut self) {
        let written = self.outgoing.written();
        while let Some((position, id)) = self.leaving.front().copied()
            && position <= written
        {
            self.leaving.pop_front();
            let Some(slot) = self.outbox.slot(id) else {
                continue;
            };
            let entry = self.outbox.at(slot);
            if let Some(tag) = entry.tag {
                self.progress.push_back(Progress::Sent(tag));
            }
            if entry.qos == QoS::AtMostOnce {
                self.complete(slot, Outcome::Done(Reason::Success));
            }
        }
    }

    /// Messages with QoS 0 that did not leave entirely have not left at all.
    pub(super) fn requeue_unwritten(&mut self) {
        let mut next = self.outbox.last_in_flight();
        while let Some(slot) = next {
            next = self.outbox.before_in_flight(slot);
            let entry = self.outbox.at_mut(slot);
            entry.counted = false;
            if entry.qos == QoS::AtMostOnce {
                self.outbox.put_back(slot);
            }
        }
    }

    /// Drops what has become useless.
    pub(super) fn expire(&mut self) {
        while let Some(slot) = self.outbox.next_expired(self.now) {
            let entry = self.outbox.drop_queued(slot, DropCause::Expired);
            self.dropped(&entry, DropCause::Expired);
        }
        for slot in self.outbox.too_old(self.now) {
            let entry = self.outbox.drop_queued(slot, DropCause::TooOld);
            self.dropped(&entry, DropCause::TooOld);
        }
    }

    /// The exchange of a message is over.
    pub(super) fn complete(&mut self, slot: Slot, outcome: Outcome) {
        if self.resend == Some(slot) {
            self.resend = self.outbox.next_in_flight(slot);
        }
        let qos = self.outbox.at(slot).qos;
        let entry = self
            .outbox
            .complete(slot, matches!(outcome, Outcome::Done(_)));
        if let Some(id) = entry.packet_id {
            self.ids.free(id);
        }
        if entry.counted {
            self.quota = self.quota.saturating_add(1).min(self.window);
        }
        self.alive.note_progress(self.now);
        if qos != QoS::AtMostOnce {
            self.suspicion.note_answer();
            self.note_tried();
        }
        self.forget(&entry);
        if let Some(tag) = entry.tag {
            self.progress.push_back(Progress::Done(tag, outcome));
        }
    }
}

/// Whether flash knows of a message what it must know before the message leaves.
fn is_on_flash(entry: &Entry, durable_ids: bool) -> bool {
    match (entry.mode, entry.qos) {
        (Mode::Spill, _) => true,
        (Mode::Durable, QoS::ExactlyOnce) if durable_ids => entry.flash == Flash::Marked,
        (Mode::Durable, _) => !matches!(entry.flash, Flash::None | Flash::Writing | Flash::Failed),
    }
}

/// What is left of the time of use, rounded up so that it does not vanish on the way.
fn push_expiry(out: &mut Vec<u8>, expires: Mono, now: Mono) {
    let left = expires.since(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds.max(1)).unwrap_or(u32::MAX);
    out.push(2);
    out.extend_from_slice(&seconds.to_be_bytes());
}

/// The topic to be written: none if the broker knows its alias. A topic's alias is where its hash
/// falls, so that finding it costs the same for any number of topics.
fn alias<'a>(
    aliases: &mut [Option<Box<[u8]>>],
    properties: &mut Vec<u8>,
    topic: &'a [u8],
) -> &'a [u8] {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619);
    let place = topic.iter().fold(2_166_136_261, step) as usize % aliases.len();
    let number = u16::try_from(place + 1).expect("aliases have a bound");
    properties.push(35);
    properties.extend_from_slice(&number.to_be_bytes());
    if aliases[place].as_deref() == Some(topic) {
        return &[];
    }
    aliases[place] = Some(topic.into());
    topic
}
