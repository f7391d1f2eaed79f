//! What a session tells its shell.

use crate::mqtt::codec::{Malformed, PacketId, Properties, QoS, Reason};
use crate::mqtt::outbox::{DropCause, EntryId};
use std::time::Duration;

/// One thing to be done or to be known.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<'a> {
    /// The connection stands.
    Connected(Connected),
    /// A message came.
    Message(Message<'a>),
    /// A watched message is on flash: before anything else if it is durable, later if it was
    /// spilled.
    Accepted(u64),
    /// A watched message was taken by the socket, all of it.
    Sent(u64),
    /// The end of a watched message.
    Done(u64, Outcome),
    /// The broker's answer for a subscription, each time it was asked: the granted QoS, or why not.
    /// A refused one is asked for again after a pause.
    Subscribed(SubscriptionId, Result<QoS, Reason>),
    /// A subscription is gone, at the broker too.
    Unsubscribed(SubscriptionId),
    /// A step of the enhanced authentication: answer with
    /// [`authenticate`](super::Session::authenticate). No data is data of no length.
    Authenticate(Vec<u8>),
    /// Write this to flash, and say so with [`handle_persisted`](super::Session::handle_persisted).
    /// Everything up to a ticket becomes durable in its order.
    Persist(Ticket, Persist),
    /// Close the connection, after writing what is still to be written if that goes at once.
    Close(CloseReason),
    /// Everything that must survive is on flash: the session can be dropped.
    Stopped,
}

/// Outputs that come for every message, kept apart because they are small.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    Sent(u64),
    Done(u64, Outcome),
}

impl From<Progress> for Output<'_> {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Sent(tag) => Output::Sent(tag),
            Progress::Done(tag, outcome) => Output::Done(tag, outcome),
        }
    }
}

/// What holds for this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The broker remembered the session.
    pub session_present: bool,
    /// The client id that the broker gave.
    pub assigned_client_id: Option<String>,
    /// What it allows.
    pub limits: Limits,
}

/// What a broker allows; what it does not say is the most that the protocol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the standard has these flags"
)]
pub struct Limits {
    /// Messages with QoS 1 and 2 on their way at once.
    pub receive_max: u16,
    /// Bytes of one packet.
    pub packet_bytes_max: usize,
    /// The highest quality of service of a message.
    pub qos_max: QoS,
    /// Whether messages are retained.
    pub retain: bool,
    /// Whether filters may have wildcards.
    pub wildcards: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids: bool,
    /// Whether subscriptions may be shared.
    pub shared: bool,
    /// Topic aliases that we may use.
    pub topic_aliases: u16,
    /// The time without a packet that holds; zero is none.
    pub keep_alive: Duration,
    /// How long it remembers the session; `None` is for ever.
    pub session_expiry: Option<Duration>,
}

/// A message that came, in the buffer it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where to; an alias is resolved.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard it was sent to us.
    pub qos: QoS,
    /// The broker had kept it.
    pub retain: bool,
    /// It may have come before.
    pub dup: bool,
    /// Version 5 only.
    pub properties: Properties<'a>,
    /// Acknowledge it with this; there for QoS 1 and 2.
    pub token: Option<AckToken>,
}

/// What [`acknowledge`](super::Session::acknowledge) needs to know of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub(super) id: PacketId,
    pub(super) qos: QoS,
    /// Which session of the broker.
    pub(super) era: u32,
    /// Which connection, and which message of it.
    pub(super) connection: u32,
    pub(super) place: u64,
}

impl AckToken {
    /// The packet id, under which a durable subscription keeps the message on flash.
    pub const fn packet_id(self) -> PacketId {
        self.id
    }

    /// How hard the message was sent to us.
    pub const fn qos(self) -> QoS {
        self.qos
    }
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it: PUBACK or PUBCOMP, or with QoS 0 the socket has.
    Done(Reason),
    /// The broker did not take it.
    Rejected(Reason),
    /// It was dropped here.
    Dropped(DropCause),
}

/// The name of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionId(pub(super) u64);

/// A place in the order of what is written to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// Something to be written to flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persist {
    /// The entry, as [`Outbox::entry`](crate::mqtt::outbox::Outbox::entry) shows it now; if it is
    /// gone, nothing. A copy that is there already is replaced.
    Entry(EntryId),
    /// Remove the entry with this sequence. Nobody waits for it, so the session does not ask again
    /// when it fails: the shell repeats it before anything that it writes later, because a packet id
    /// of the entry may be in use again by then.
    Remove(u64),
    /// Forget that a message with QoS 2 was received under this id.
    Forget(PacketId),
    /// The session stopped in order: keep this for the next start only.
    Stopped {
        /// Ids of messages received with QoS 2.
        received: Vec<PacketId>,
        /// How this life counts for the next one.
        ending: Ending,
    },
}

/// How the life of a session before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order, or there was none.
    Orderly,
    /// In order, but the broker may hold packet ids of a life before it that ended badly.
    InDoubt,
    /// By a kill or a power cut: nothing was written at the end.
    Badly,
}

/// Why a connection has to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The broker refused the connection.
    #[error("the broker refused the connection: {reason}")]
    Refused {
        /// Why.
        reason: Reason,
        /// In its own words.
        text: Option<String>,
        /// Where to go instead.
        server: Option<String>,
    },
    /// The broker ended the connection.
    #[error("the broker ended the connection: {reason}")]
    ByBroker {
        /// Why.
        reason: Reason,
        /// In its own words.
        text: Option<String>,
        /// Where to go instead.
        server: Option<String>,
    },
    /// The broker sent what is no MQTT.
    #[error("the broker sent what it must not: {0}")]
    Malformed(#[from] Malformed),
    /// The broker broke a rule.
    #[error("the broker broke the protocol: {what}")]
    Protocol {
        /// How the protocol calls it.
        reason: Reason,
        /// What it did.
        what: &'static str,
    },
    /// CONNECT was not answered in time.
    #[error("the broker did not answer CONNECT in time")]
    NoConnack,
    /// Nothing was heard after PINGREQ.
    #[error("nothing was heard of the broker, not even an answer to a ping")]
    PingLost,
    /// The broker answers pings but acknowledges nothing.
    #[error("the broker is alive but has acknowledged nothing for too long")]
    Stalled,
    /// We want to.
    #[error("the connection is not needed any more")]
    Asked,
}

/// Why the session wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// CONNECT is overdue for an answer.
    Connack,
    /// Nothing was sent or heard for the keep alive.
    KeepAlive,
    /// A ping is overdue for an answer.
    Ping,
    /// Acknowledgements are overdue.
    Stall,
    /// The delay between two messages is over.
    Throttle,
    /// A message that may be what ends connections is to be tried now.
    Trial,
    /// A refused subscription is due to be asked for again.
    Resubscribe,
    /// A message has to be written to flash.
    Spill,
    /// A message has become useless.
    Expiry,
}
