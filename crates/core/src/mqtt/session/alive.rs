//! Whether the other side is still there.

use super::output::{CloseReason, Wake};
use super::{Link, Session};
use crate::mqtt::codec::Packet;
use crate::time::Mono;
use std::time::Duration;

/// When something was last heard and said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alive {
    /// The socket took bytes.
    sent: Mono,
    /// Bytes came.
    heard: Mono,
    /// PINGREQ was written and no PINGRESP has come.
    pinged: Option<Mono>,
    /// A message was acknowledged, or the first one was sent.
    progress: Mono,
}

impl Alive {
    pub(super) const fn begin(&mut self, now: Mono) {
        *self = Alive {
            sent: now,
            heard: now,
            pinged: None,
            progress: now,
        };
    }

    pub(super) const fn note_sent(&mut self, now: Mono) {
        self.sent = now;
    }

    pub(super) const fn note_heard(&mut self, now: Mono) {
        self.heard = now;
    }

    pub(super) const fn note_pong(&mut self) {
        self.pinged = None;
    }

    pub(super) const fn note_progress(&mut self, now: Mono) {
        self.progress = now;
    }

    /// When to ask for a sign of life, or to give up waiting for one.
    ///
    /// Anything heard counts as one: an answer may be behind much else. What we say does not: a
    /// connection that takes bytes may lead nowhere.
    fn due(&self, keep_alive: Duration, ping_wait: Duration) -> Option<(Mono, Wake)> {
        match self.pinged {
            Some(pinged) => Some((pinged.max(self.heard) + ping_wait, Wake::Ping)),
            None if keep_alive.is_zero() => None,
            None => Some((self.sent.min(self.heard) + keep_alive, Wake::KeepAlive)),
        }
    }
}

impl Session {
    /// When to call [`handle_timeout`](Session::handle_timeout), and why.
    pub fn poll_timeout(&mut self) -> Option<(Mono, Wake)> {
        if self.link == Link::Stopping {
            return None;
        }
        let spill = self.spill_due().map(|at| (at, Wake::Spill));
        let expiry = self.outbox.deadline().map(|at| (at, Wake::Expiry));
        let connection = match self.link {
            Link::Connecting(since) => Some((since + self.config.connack_wait, Wake::Connack)),
            Link::Up => self.next_while_up(),
            _ => None,
        };
        [spill, expiry, connection].into_iter().flatten().min()
    }

    fn next_while_up(&self) -> Option<(Mono, Wake)> {
        let alive = self
            .alive
            .due(self.limits.keep_alive, self.config.ping_wait);
        let stall = self.owes_answers().then(|| {
            let at = self.alive.progress + self.config.stall_wait;
            (at, Wake::Stall)
        });
        let throttle = self.throttle.due().filter(|_| self.outbox.waits());
        let throttle = throttle.map(|at| (at, Wake::Throttle));
        let resubscribe = self.subscriptions.retry_at();
        let resubscribe = resubscribe.map(|at| (at, Wake::Resubscribe));
        [alive, stall, throttle, resubscribe]
            .into_iter()
            .flatten()
            .min()
    }

    /// The time that [`poll_timeout`](Session::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Mono) {
        self.now = now;
        if self.link == Link::Stopping {
            return;
        }
        if let Link::Connecting(since) = self.link
            && since + self.config.connack_wait <= now
        {
            self.close(CloseReason::NoConnack);
        }
        if self.link == Link::Up {
            self.look_for_life();
        }
        self.expire();
        self.spill();
        self.subscriptions.retry(now);
        self.pump();
    }

    fn look_for_life(&mut self) {
        let due = self
            .alive
            .due(self.limits.keep_alive, self.config.ping_wait);
        match due {
            Some((at, Wake::Ping)) if at <= self.now => return self.close(CloseReason::PingLost),
            Some((at, Wake::KeepAlive)) if at <= self.now => {
                self.write(&Packet::Pingreq);
                self.alive.pinged = Some(self.now);
            }
            _ => {}
        }
        if self.owes_answers() && self.alive.progress + self.config.stall_wait <= self.now {
            match self.ids.is_releasing() {
                // It does not answer for ids that it does not know, so it does not keep them.
                true => self.ids.trust_all(),
                false => self.close(CloseReason::Stalled),
            }
        }
    }

    /// Whether the broker has something to acknowledge on this connection.
    fn owes_answers(&self) -> bool {
        self.quota < self.window || self.ids.is_releasing()
    }
}
