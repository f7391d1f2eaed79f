//! Whether the other side is still there.

use super::output::{CloseReason, Wake};
use super::{Link, Session};
use crate::limits::{MQTT_LINK_BYTES_PER_S_MIN, MQTT_LINK_WAIT_MAX};
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
    /// Bytes of this connection that the socket had taken when something was heard last.
    written: u64,
    /// A slow link is why nothing comes, so nothing is given up before.
    patience: Mono,
}

impl Alive {
    pub(super) const fn begin(&mut self, now: Mono) {
        *self = Alive {
            sent: now,
            heard: now,
            pinged: None,
            progress: now,
            written: 0,
            patience: Mono::ZERO,
        };
    }

    pub(super) const fn note_sent(&mut self, now: Mono) {
        self.sent = now;
    }

    /// The socket has taken so many bytes until now.
    pub(super) const fn note_heard(&mut self, written: u64, now: Mono) {
        self.heard = now;
        self.written = written;
        self.patience = Mono::ZERO;
    }

    pub(super) const fn note_pong(&mut self) {
        self.pinged = None;
    }

    pub(super) const fn note_pinged(&mut self, now: Mono) {
        self.pinged = Some(now);
        // The socket may take it later; it is not said twice meanwhile.
        self.sent = now;
    }

    pub(super) const fn note_progress(&mut self, now: Mono) {
        self.progress = now;
    }

    /// When a message was acknowledged, or the first one was sent.
    pub(super) const fn progress(&self) -> Mono {
        self.progress
    }

    /// Nothing was read for a while because we did not want to: what is overdue may be in what is
    /// read next, so all waiting begins anew.
    pub(super) fn resume(&mut self, now: Mono) {
        self.heard = now;
        self.progress = now;
        self.pinged = self.pinged.map(|_| now);
    }

    /// When to ask for a sign of life, or to give up waiting for one.
    ///
    /// Anything heard counts as one: an answer may be behind much else. What we say does not: a
    /// connection that takes bytes may lead nowhere.
    fn due(&self, keep_alive: Duration, ping_wait: Duration) -> Option<(Mono, Wake)> {
        match self.pinged {
            Some(pinged) => {
                let due = pinged.max(self.heard) + ping_wait;
                Some((due.max(self.patience), Wake::Ping))
            }
            None if keep_alive.is_zero() => None,
            None => Some((self.sent.min(self.heard) + keep_alive, Wake::KeepAlive)),
        }
    }
}

impl Session {
    /// When to call [`handle_timeout`](Session::handle_timeout), and why.
    pub fn poll_timeout(&mut self) -> Option<(Mono, Wake)> {
        if self.link == Link::Stopping {
            return self.retry_due().map(|at| (at, Wake::Spill));
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

    /// While nothing is read, silence says nothing of the broker, and answers are not missed. What
    /// we say then, for the broker watches us, too, is what finds a dead link: TCP gives it up when
    /// the bytes are not acknowledged.
    fn alive_due(&self) -> Option<(Mono, Wake)> {
        let keep_alive = self.limits.keep_alive;
        match self.is_held() {
            true if keep_alive.is_zero() => None,
            true => Some((self.alive.sent + keep_alive, Wake::KeepAlive)),
            false => self.alive.due(keep_alive, self.config.ping_wait),
        }
    }

    fn next_while_up(&self) -> Option<(Mono, Wake)> {
        let alive = self.alive_due();
        let stall = self.owes_answers();
        let stall = stall.then(|| (self.stall_due(), Wake::Stall));
        let throttle = self.throttle.due().filter(|_| self.outbox.waits());
        let throttle = throttle.map(|at| (at, Wake::Throttle));
        let resubscribe = self.subscriptions.retry_at();
        let resubscribe = resubscribe.map(|at| (at, Wake::Resubscribe));
        [alive, stall, throttle, resubscribe, self.suspicion.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The time that [`poll_timeout`](Session::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Mono) {
        self.now = now;
        if self.link == Link::Stopping {
            self.retry();
            return;
        }
        if let Link::Connecting(since) = self.link
            && since + self.config.connack_wait <= now
        {
            self.close(CloseReason::NoConnack);
        }
        if self.link == Link::Up {
            self.look_for_life();
            self.suspicion.handle_timeout(now);
        }
        self.expire();
        self.spill();
        self.subscriptions.retry(now);
        self.pump();
    }

    fn look_for_life(&mut self) {
        match self.alive_due() {
            Some((at, Wake::Ping)) if at <= self.now => {
                let since = self.alive.pinged.unwrap_or(at).max(self.alive.heard);
                if !self.waits_for_slow_link(since + self.config.ping_wait) {
                    return self.close(CloseReason::PingLost);
                }
            }
            Some((at, Wake::KeepAlive)) if at <= self.now => {
                self.write(&Packet::Pingreq);
                self.alive.note_pinged(self.now);
            }
            _ => {}
        }
        if self.owes_answers() && self.stall_due() <= self.now {
            match self.ids.is_releasing() {
                // It does not answer for ids that it does not know, so it does not keep them.
                true => self.ids.trust_all(),
                false if self.waits_for_slow_link(self.alive.progress + self.config.stall_wait) => {
                }
                false => self.close(CloseReason::Stalled),
            }
        }
    }

    /// When the broker has owed its answers for too long.
    fn stall_due(&self) -> Mono {
        let due = self.alive.progress + self.config.stall_wait;
        due.max(self.alive.patience)
    }

    /// What was due at `due` may come later, because so much is before it on its way: the system takes
    /// a long message at once, and a slow link minutes later. To give up would only begin it again.
    #[cold]
    fn waits_for_slow_link(&mut self, due: Mono) -> bool {
        let unheard = self.outgoing.position() - self.alive.written;
        let mut bytes = 0;
        let mut next = self.outbox.first_in_flight();
        while let Some(slot) = next {
            bytes += self.outbox.at(slot).content_bytes() as u64;
            next = self.outbox.next_in_flight(slot);
        }
        let more = Duration::from_secs(bytes.max(unheard) / MQTT_LINK_BYTES_PER_S_MIN);
        self.alive.patience = due + more.min(MQTT_LINK_WAIT_MAX);
        self.alive.patience > self.now
    }

    /// Whether the broker has something to acknowledge on this connection, and we would hear it.
    fn owes_answers(&self) -> bool {
        (self.quota < self.window || self.ids.is_releasing()) && !self.is_held()
    }

    /// What was asked of us may have ended a time in which nothing was read.
    pub(super) fn resume_after(&mut self, was_held: bool) {
        if was_held && !self.is_held() {
            self.alive.resume(self.now);
        }
    }
}
