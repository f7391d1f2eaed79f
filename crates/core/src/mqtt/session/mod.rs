//! The session of a client: it outlives connections, and knows at any time what is still owed.
//!
//! The contract: the shell calls one `handle_*` or plain verb for each event with the time, then
//! [`poll_output`](Session::poll_output) until it is empty, writes what
//! [`pending`](Session::pending) shows and says how much of it went with
//! [`handle_written`](Session::handle_written), and waits for the next event or for
//! [`poll_timeout`](Session::poll_timeout).
//!
//! One connection: [`handle_connected`](Session::handle_connected) when the transport stands, then
//! bytes both ways, then [`handle_disconnected`](Session::handle_disconnected), whoever ended it.
//! After [`Output::Close`] the shell closes the transport and calls it too.
//!
//! *What is promised.* A message that was taken is in the [outbox](super::outbox) until the broker
//! has answered for it. QoS 1 arrives at least once. QoS 2 arrives exactly once across lost
//! connections and orderly stops, and across a kill or a power cut for messages that are `Durable`;
//! when the broker itself forgets the session, what was on its way is sent anew, and may arrive
//! twice. A message received with QoS 2 is told once as long as the broker keeps the session.

mod acks;
mod alive;
mod config;
mod connect;
mod error;
mod ids;
mod outgoing;
mod output;
mod persist;
mod receive;
mod received;
mod send;
mod subscribe;
mod suspicion;
#[cfg(test)]
mod tests;
mod too_long;

pub use config::{Config, Rules, WillMessage};
pub use error::{ConfigError, PublishError, SubscribeError};
pub use output::{
    AckToken, CloseReason, Connected, Ending, Limits, Message, Outcome, Output, Persist,
    SubscriptionId, Ticket, Wake,
};
pub use receive::Kept;

use super::codec::{Disconnect, Inbox, Packet, PacketId, QoS, Reason, Version};
use super::outbox::{EntryId, Flash, Mode, Outbox, Publication, Slot, Stage, StoredEntry};
use super::policy::Throttle;
use crate::limits::{MQTT_RECEIVE_MORE_MESSAGES, MQTT_WRITE_BYTES_MAX};
use crate::secret::Secret;
use crate::time::Mono;
use alive::Alive;
use ids::{Owner, PacketIds};
use outgoing::Outgoing;
use output::Progress;
use persist::Flushing;
use receive::Taken;
use received::Received;
use std::collections::VecDeque;
use subscribe::Subscriptions;
use suspicion::{End, Suspicion, may_be_for_a_message};
use too_long::TooLong;

/// One client and one broker.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    inbox: Inbox,
    outgoing: Outgoing,
    outbox: Outbox,
    ids: PacketIds,
    limits: Limits,
    /// Messages with QoS 1 and 2 that may still be sent before one is acknowledged.
    quota: u16,
    /// As many as there are before the first is sent.
    window: u16,
    /// The next message that was sent on an earlier connection and has to be sent again.
    resend: Option<Slot>,
    /// Topics by the alias that we gave them.
    aliases_out: Vec<Option<Box<[u8]>>>,
    /// Topics by the alias that the broker gave them.
    aliases_in: Vec<Option<Box<str>>>,
    /// The topic of the last message that came with one.
    heard_topic: String,
    /// Messages of which somebody wants to know when the socket has them, with the position of
    /// their last byte.
    leaving: VecDeque<(u64, EntryId)>,
    /// Messages whose PUBREL waits for flash, and those behind them.
    releases: VecDeque<EntryId>,
    subscriptions: Subscriptions,
    received: Received,
    alive: Alive,
    throttle: Throttle,
    suspicion: Suspicion,
    flushing: Flushing,
    outputs: VecDeque<Output<'static>>,
    progress: VecDeque<Progress>,
    /// Counts connections from 1; for what was checked against the limits of one.
    connection: u32,
    /// The last message that the broker refused, and why.
    refusal: Option<(String, Reason)>,
    /// Messages that are longer than we take.
    too_long: TooLong,
    /// A topic that can be published to; empty before there was one.
    last_topic: String,
    /// The client id, which the broker may have given.
    client_id: String,
    ended_badly: bool,
    /// A CONNECT was sent and its answer has not come: the broker may have begun a new session
    /// without our knowing.
    unanswered: bool,
    /// The broker asked a question of the enhanced authentication, and waits for its answer.
    challenged: bool,
    /// Nothing is taken from the broker for now.
    held: bool,
    /// Properties that the session adds to a message, kept to save the allocation.
    scratch: Vec<u8>,
    now: Mono,
}

/// How the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    /// CONNECT was sent at this time.
    Connecting(Mono),
    Up,
    /// It has to be closed.
    Closing,
    /// The session ends.
    Stopping,
}

impl Session {
    /// A session with nothing but what waits in `outbox`.
    ///
    /// `ending` says how its earlier life ended, as [`Persist::Stopped`] put it: after one that did
    /// not end with [`stop`](Session::stop) the broker may know packet ids that we do not.
    pub fn new(config: Config, mut outbox: Outbox, ending: Ending) -> Session {
        outbox.set_version(config.version);
        outbox.set_behind_backlog(config.rules.behind_backlog);
        let doubtful = ending != Ending::Orderly && config.rules.release_doubtful;
        Session {
            link: Link::Down,
            inbox: Inbox::new(config.packet_bytes_max),
            outgoing: Outgoing::default(),
            ids: PacketIds::new(doubtful),
            window: connect::window(&config, &Limits::of_protocol()),
            limits: Limits::of_protocol(),
            quota: 0,
            resend: None,
            aliases_out: Vec::new(),
            aliases_in: Vec::new(),
            heard_topic: String::new(),
            leaving: VecDeque::new(),
            releases: VecDeque::new(),
            subscriptions: Subscriptions::default(),
            received: Received::default(),
            alive: Alive::default(),
            throttle: Throttle::new(),
            suspicion: Suspicion::new(),
            flushing: Flushing::default(),
            outputs: VecDeque::new(),
            progress: VecDeque::new(),
            connection: 0,
            refusal: None,
            too_long: TooLong::default(),
            last_topic: String::new(),
            client_id: config.client_id.clone(),
            ended_badly: ending == Ending::Badly,
            unanswered: false,
            challenged: false,
            held: false,
            scratch: Vec::new(),
            now: Mono::ZERO,
            outbox,
            config,
        }
    }

    /// Takes a message that was found on flash, before anything else happens.
    ///
    /// After a life that ended badly, only of durable messages with QoS 2 is it known how far their
    /// exchange came; that of the others begins anew.
    pub fn restore(&mut self, stored: &StoredEntry<'_>, now: Mono) {
        let mut stored = *stored;
        let Publication { mode, qos, .. } = stored.publication;
        let marked = mode == Mode::Durable && qos == QoS::ExactlyOnce;
        let begins_anew = self.ended_badly && !marked && stored.packet_id.is_some();
        if begins_anew {
            stored.stage = Stage::Queued;
            stored.packet_id = None;
        }
        let EntryId { slot, .. } = self.outbox.restore(&stored, now);
        if begins_anew {
            self.outbox.at_mut(slot).flash = Flash::Stale;
        }
        if let Some(packet_id) = stored.packet_id
            && !self.ids.claim(packet_id, Owner::Publish(slot))
        {
            // Two under one id: flash was changed by other hands.
            self.outbox.unname(slot);
        }
        self.note_exactly_once(qos);
    }

    /// Leaves the row of this number alone: what is there cannot be read, by this version at least.
    pub fn reserve(&mut self, sequence: u64) {
        self.outbox.reserve(sequence);
    }

    /// Takes the ids of messages received with QoS 2, as they were kept on flash.
    ///
    /// `durable` are those that came with messages of durable subscriptions, which hold after any
    /// end; the others were written by [`stop`](Session::stop), and hold for one start only.
    pub fn restore_received(&mut self, ids: &[PacketId], durable: Kept) {
        for id in ids {
            self.received.restore(*id, durable == Kept::OnFlash);
        }
    }

    /// What waits and what is on its way.
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What the broker allows on this connection, or allowed on the last one.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the broker has accepted the connection.
    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up)
    }

    /// The client id, which is the broker's if it gave one.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The protocol that is spoken.
    pub const fn version(&self) -> Version {
        self.config.version
    }

    /// What the next CONNECT says first in an enhanced authentication.
    pub fn set_authentication(&mut self, data: Vec<u8>) {
        if let Some((_, begins)) = &mut self.config.authentication {
            *begins = data;
        }
    }

    /// The topic of the last message that the broker refused since this was asked, and why it did.
    pub fn take_refusal(&mut self) -> Option<(String, Reason)> {
        self.refusal.take()
    }

    /// The password of the next connections.
    pub fn set_password(&mut self, password: Secret) {
        self.config.password = Some(password);
    }

    /// Bytes for the socket. Those of a connection that is to be closed are its farewell.
    pub fn pending(&self) -> &[u8] {
        self.outgoing.pending()
    }

    /// The socket has taken so many bytes of [`pending`](Session::pending).
    pub fn handle_written(&mut self, bytes: usize, now: Mono) {
        self.now = now;
        self.outgoing.take(bytes);
        self.alive.note_sent(now);
        self.note_left();
        self.pump();
    }

    /// Room to read into from the socket; never empty. Say how much came with
    /// [`handle_read`](Session::handle_read).
    pub fn read_space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// So many bytes were read into [`read_space`](Session::read_space).
    pub fn handle_read(&mut self, bytes: usize, now: Mono) {
        self.now = now;
        self.alive.note_heard(self.outgoing.written(), now);
        self.inbox.filled(bytes);
    }

    /// These bytes came from the socket.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Mono) {
        self.now = now;
        self.alive.note_heard(self.outgoing.written(), now);
        self.inbox.extend(bytes);
    }

    /// Whether more may be read from the socket now: not while the broker does not take what we
    /// send, not while what it sent before has to reach flash, not while far more waits to be
    /// acknowledged than the broker may send, and not while it is [held](Session::hold).
    pub fn wants_read(&self) -> bool {
        self.outgoing.len() < MQTT_WRITE_BYTES_MAX && !self.is_held()
    }

    /// Takes nothing from the broker while `held`, though it be read already: who it is for has no
    /// room. So long nothing that the broker owes is overdue.
    pub fn hold(&mut self, held: bool, now: Mono) {
        let was_held = self.is_held();
        self.held = held;
        if was_held && !held {
            self.now = now;
            self.resume_after(was_held);
        }
    }

    /// Whether it is for our sake that nothing is read.
    fn is_held(&self) -> bool {
        self.held || self.flushing.holds_reading() || self.received.len() >= self.taken_max()
    }

    /// How many messages are taken before one is acknowledged. Brokers send more than they may:
    /// mosquitto some more than the receive maximum, and all that it has when a session goes on.
    /// To close the connection for it would bring the same again, so reading stops instead.
    const fn taken_max(&self) -> usize {
        match self.config.version {
            Version::V311 => u16::MAX as usize,
            Version::V5 => 2 * self.config.receive_max as usize + MQTT_RECEIVE_MORE_MESSAGES,
        }
    }

    /// What the shell has to do next. Packets are taken one by one from what was read, so that a
    /// message can be borrowed from where it lies.
    pub fn poll_output(&mut self) -> Option<Output<'_>> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if let Some(progress) = self.progress.pop_front() {
                return Some(progress.into());
            }
            if self.take_plain_pubacks() {
                continue;
            }
            match self.take_packet() {
                Taken::Message(place) => return Some(Output::Message(self.message(place))),
                Taken::Other => {}
                Taken::Nothing => {
                    self.inbox.give_back();
                    self.pump();
                    let progress = || self.progress.pop_front().map(Output::from);
                    return self.outputs.pop_front().or_else(progress);
                }
            }
        }
    }

    /// Somebody asks for fewer messages; the broker's own words are heard without this. New
    /// messages leave with a delay between them that grows with each call and vanishes with time.
    pub fn slow_down(&mut self, now: Mono) {
        self.now = now;
        self.throttle.handle_slow_down(now);
    }

    /// Ends the connection on purpose; the session stays.
    pub fn disconnect(&mut self, now: Mono) {
        self.now = now;
        if self.link == Link::Up {
            self.write(&Packet::Disconnect(Disconnect::because(Reason::Success)));
        }
        if self.link != Link::Down {
            self.close(CloseReason::Asked);
        }
    }

    /// The connection has to end, for this reason.
    fn close(&mut self, reason: CloseReason) {
        if matches!(self.link, Link::Closing | Link::Stopping) {
            return;
        }
        let farewell = match &reason {
            CloseReason::Malformed(malformed) => Some(malformed.reason),
            CloseReason::Protocol { reason, .. } => Some(*reason),
            _ => None,
        };
        self.suspicion.note_end(match &reason {
            CloseReason::ByBroker { reason, .. } if may_be_for_a_message(*reason) => End::Sudden,
            CloseReason::Asked => End::Asked,
            _ => End::Explained,
        });
        if let Some(farewell) = farewell
            && self.link == Link::Up
            && self.config.version == Version::V5
            && farewell.belongs_to(super::codec::PacketKind::Disconnect)
        {
            self.write(&Packet::Disconnect(Disconnect::because(farewell)));
        }
        self.link = Link::Closing;
        self.outputs.push_back(Output::Close(reason));
    }

    /// Puts a packet behind those that wait for the socket.
    fn write(&mut self, packet: &Packet<'_>) {
        packet
            .encode(self.config.version, self.outgoing.end())
            .expect("what we write is short, or was measured when it was taken");
    }
}
