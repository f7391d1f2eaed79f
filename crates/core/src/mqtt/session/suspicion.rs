//! Messages that end the connection they are sent on.
//!
//! A broker may close the connection for a message instead of answering it: with 3.1.1 for one that
//! is larger than it takes, with any version for what it has a fault with. Such a message would come
//! again on each connection, and nothing behind it would ever arrive. A bad link ends connections,
//! too, and must cost no message. So it takes more than a connection that ends:
//!
//! 1. Two connections in a row end suddenly, each with the same first unacknowledged message, within
//!    [`MQTT_SUDDEN_END_MAX`] of its sending and with nothing acknowledged after it. Ends that have
//!    a reason of their own (a ping or an answer that did not come, an orderly end, a broker that
//!    says that it is busy or shuts down) say nothing of a message.
//! 2. From then on messages are tried one by one. Before the first one a connection has to stand
//!    without any: the subscriptions are sent, a ping is answered, and then it rests, for
//!    [`MQTT_TRIAL_REST`] or [`MQTT_TRIAL_REST_TIMES`] as long as it is expected to stand after the
//!    message, which is up to twice as long as connections did before. If it ends earlier than that,
//!    or stands longer after the message, it is the link: all suspicion is over. A link that ends
//!    connections at random passes for a bad message in less than one of 28 trials, whatever its
//!    quality: it would have to be good for so long, and then bad so soon. Messages with QoS 0
//!    wait, so that none of them is what ends it.
//! 3. A message with which alone [`MQTT_TRIALS_MAX`] such connections in a row end is given up. One
//!    acknowledgement, and it begins anew.
//! 4. A broker that takes no message at all is no proof against each. After one was given up, the
//!    next needs twice as many trials, up to [`MQTT_TRIALS_LATER_MAX`], until any is acknowledged.

use super::output::Wake;
use super::{Link, Session};
use crate::limits::{
    MQTT_SUDDEN_END_MAX, MQTT_SUDDEN_ENDS_MAX, MQTT_TRIAL_REST, MQTT_TRIAL_REST_TIMES,
    MQTT_TRIALS_LATER_MAX, MQTT_TRIALS_MAX, MQTT_TRIED_ALONE_MESSAGES_MAX,
};
use crate::mqtt::codec::{Packet, QoS, Reason};
use crate::mqtt::outbox::{Entry, Stage};
use crate::time::Mono;
use std::time::Duration;

/// What is held against a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    /// The number of the first unacknowledged message when the last connection ended suddenly.
    first: Option<u64>,
    /// How many connections in a row ended so.
    ends: u32,
    /// How long after the message they ended, at most.
    took: Duration,
    /// How many messages are still to be tried one by one.
    alone: usize,
    /// How many trials it takes now.
    trials_max: u32,
    /// How the connection of a trial stands.
    phase: Phase,
    /// The message that is to be given up.
    condemned: Option<u64>,
    /// What the end of this connection is to be taken for, if that is known before.
    ending: Option<End>,
}

/// What the end of a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It may be for a message.
    Sudden,
    /// It has a reason of its own.
    Explained,
    /// Nothing: we wanted it.
    Asked,
}

/// Before a message is tried, the connection has to stand without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Begin,
    Pinged,
    Resting(Mono),
    Trying,
}

impl Suspicion {
    pub(super) const fn new() -> Suspicion {
        Suspicion {
            first: None,
            ends: 0,
            took: Duration::ZERO,
            alone: 0,
            trials_max: MQTT_TRIALS_MAX,
            phase: Phase::Begin,
            condemned: None,
            ending: None,
        }
    }

    /// Whether messages are tried one by one.
    pub(super) const fn is_careful(&self) -> bool {
        self.alone > 0
    }

    /// Whether no message may leave yet.
    pub(super) fn holds_sending(&self) -> bool {
        self.alone > 0 && self.phase != Phase::Trying
    }

    /// Whether this message is given up.
    pub(super) fn condemns(&self, entry: &Entry) -> bool {
        self.condemned == Some(entry.sequence())
    }

    /// What the end of this connection is to be taken for; the first word counts.
    pub(super) fn note_end(&mut self, end: End) {
        self.ending.get_or_insert(end);
    }

    pub(super) const fn begin_connection(&mut self) {
        self.phase = Phase::Begin;
        self.ending = None;
    }

    pub(super) fn note_pong(&mut self, now: Mono) {
        if self.phase == Phase::Pinged {
            self.phase = Phase::Resting(now + self.rest());
        }
    }

    fn rest(&self) -> Duration {
        (2 * self.took * MQTT_TRIAL_REST_TIMES).max(MQTT_TRIAL_REST)
    }

    pub(super) fn due(&self) -> Option<(Mono, Wake)> {
        match self.phase {
            Phase::Resting(until) if self.alone > 0 => Some((until, Wake::Trial)),
            _ => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) {
        if matches!(self.phase, Phase::Resting(until) if until <= now) {
            self.phase = Phase::Trying;
        }
    }

    /// The broker has answered for a message.
    pub(super) const fn note_answer(&mut self) {
        self.first = None;
        self.ends = 0;
        self.trials_max = MQTT_TRIALS_MAX;
    }

    /// A connection ended suddenly, so long after this message, the first that is not acknowledged
    /// of those that would be tried alone.
    fn note_sudden(&mut self, first: u64, took: Duration, alone: usize) {
        if self.is_careful() && took > self.rest() / MQTT_TRIAL_REST_TIMES {
            return self.clear();
        }
        if self.first != Some(first) {
            self.ends = 0;
            self.took = Duration::ZERO;
        }
        self.first = Some(first);
        self.ends += 1;
        self.took = self.took.max(took);
        if !self.is_careful() {
            if self.ends >= MQTT_SUDDEN_ENDS_MAX {
                self.alone = alone;
                self.ends = 0;
            }
        } else if self.ends >= self.trials_max {
            self.condemned = Some(first);
            self.ends = 0;
            self.trials_max = (self.trials_max * 2).min(MQTT_TRIALS_LATER_MAX);
        }
    }

    /// It is the link.
    const fn clear(&mut self) {
        self.first = None;
        self.ends = 0;
        self.alone = 0;
    }
}

/// Whether a broker may say this of a message.
pub(super) const fn may_be_for_a_message(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnspecifiedError
            | Reason::MalformedPacket
            | Reason::ProtocolError
            | Reason::ImplementationSpecificError
            | Reason::NotAuthorized
            | Reason::TopicNameInvalid
            | Reason::PacketTooLarge
            | Reason::PayloadFormatInvalid
            | Reason::RetainNotSupported
            | Reason::QosNotSupported
    )
}

impl Session {
    /// What the end of this connection says of the messages on it; asked before they are queued
    /// again.
    pub(super) fn judge_end(&mut self) {
        let end = match self.link {
            Link::Up => End::Sudden,
            Link::Closing => self.suspicion.ending.unwrap_or(End::Explained),
            _ => return,
        };
        if end == End::Asked || (!self.suspicion.is_careful() && !self.owes_publish()) {
            return;
        }
        let took = self.now.since(self.alive.progress());
        match self.first_unanswered() {
            Some(first) if end == End::Sudden && took <= MQTT_SUDDEN_END_MAX => {
                let alone = self.to_try();
                self.suspicion.note_sudden(first, took, alone);
            }
            _ => self.suspicion.clear(),
        }
    }

    /// How many of what is on its way are to be tried one by one.
    fn to_try(&self) -> usize {
        let first = self.outbox.first_in_flight();
        std::iter::successors(first, |slot| self.outbox.next_in_flight(*slot))
            .filter(|slot| self.outbox.at(*slot).qos != QoS::AtMostOnce)
            .take(MQTT_TRIED_ALONE_MESSAGES_MAX)
            .count()
    }

    const fn owes_publish(&self) -> bool {
        self.quota < self.window
    }

    /// The first message that was sent on this connection and has not been answered at all.
    fn first_unanswered(&self) -> Option<u64> {
        let mut next = self.outbox.first_in_flight();
        while let Some(slot) = next {
            let entry = self.outbox.at(slot);
            if entry.qos != QoS::AtMostOnce && entry.stage == Stage::Sent {
                return entry.counted.then(|| entry.sequence());
            }
            next = self.outbox.next_in_flight(slot);
        }
        None
    }

    /// A message that was tried alone is done, or gone.
    pub(super) fn note_tried(&mut self) {
        if !self.suspicion.is_careful() {
            return;
        }
        self.suspicion.alone -= 1;
        if !self.suspicion.is_careful() {
            self.end_trials();
        }
    }

    /// All that was to be tried is done, or waits for something else.
    pub(super) fn end_trials(&mut self) {
        self.suspicion.alone = 0;
        if self.link != Link::Up {
            return;
        }
        let window = super::connect::window(&self.config, &self.limits);
        self.quota += window - self.window;
        self.window = window;
    }

    /// The first words of a connection on which messages are tried.
    #[cold]
    pub(super) fn prepare_trial(&mut self) {
        if self.suspicion.phase == Phase::Begin {
            self.write(&Packet::Pingreq);
            self.alive.note_pinged(self.now);
            self.suspicion.phase = Phase::Pinged;
        }
    }
}
