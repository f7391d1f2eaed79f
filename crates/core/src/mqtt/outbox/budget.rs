//! How much may wait, for how long, and what happens to the rest.

use super::entry::{Class, Mode};
use crate::limits::{MQTT_OUTBOX_BYTES_MAX, MQTT_OUTBOX_ROWS_MAX};
use std::time::Duration;

/// Bounds of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Messages.
    pub rows_max: usize,
    /// Bytes in memory.
    pub bytes_max: usize,
    /// The age at which a message that still waits is dropped.
    pub age_max: Option<Duration>,
    /// What happens when there is no room.
    pub overflow: Overflow,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            rows_max: MQTT_OUTBOX_ROWS_MAX,
            bytes_max: MQTT_OUTBOX_BYTES_MAX,
            age_max: None,
            overflow: Overflow::Refuse,
        }
    }
}

/// What happens when there is no room for a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is refused, and the caller is told.
    #[default]
    Refuse,
    /// Others that wait make room, unless they are of a higher class than the new one, or durable
    /// while it is not; then it is refused. The lowest class goes first, within it QoS 0, then what
    /// is not durable, each time the oldest.
    DropOldest,
}

/// Why a message left the outbox without the broker's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DropCause {
    /// Its own time of use was over.
    #[error("it expired while it waited")]
    Expired,
    /// It was older than the outbox keeps messages.
    #[error("it waited for longer than `age_max`")]
    TooOld,
    /// Newer messages needed the room.
    #[error("newer messages needed its place in the queue")]
    Overflow,
    /// The broker takes no packet of this size.
    #[error("it is larger than the broker accepts")]
    TooLarge,
    /// The broker does not offer this quality of service.
    #[error("the broker does not offer this quality of service")]
    QosNotSupported,
    /// The broker keeps no messages.
    #[error("the broker keeps no retained messages")]
    RetainNotSupported,
    /// The broker closes each connection on which it is sent.
    #[error("each connection ended when it was sent, and none without it")]
    EndsConnections,
    /// It could not be written to flash, as its mode demands.
    #[error("it could not be written to flash")]
    Storage,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The queue holds as many messages as it may.
    #[error(
        "the queue is full: {rows_max} messages wait; raise its bound or let old ones be dropped"
    )]
    Rows {
        /// The bound.
        rows_max: usize,
    },
    /// The queue holds as many bytes as it may.
    #[error("the queue is full: there is no room for {bytes} more bytes within {bytes_max}")]
    Bytes {
        /// What the message needs.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
}

/// What has become of messages, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken.
    pub accepted: u64,
    /// Not taken, for want of room.
    pub refused: u64,
    /// Completed: acknowledged, or written to the socket with QoS 0.
    pub completed: u64,
    /// Answered by the broker with an error.
    pub rejected: u64,
    /// Dropped, by class, for want of room.
    pub overflowed: [u64; Class::ALL.len()],
    /// Those of them that were durable, for want of room for other durable ones.
    pub overflowed_durable: u64,
    /// Dropped because their time was over.
    pub expired: u64,
    /// Dropped because of their age.
    pub too_old: u64,
    /// Dropped because the broker does not take such messages.
    pub unsendable: u64,
    /// Dropped because flash failed.
    pub storage: u64,
    /// Written to flash because their acknowledgement was late.
    pub spilled: u64,
}

impl Counts {
    pub(super) fn note_drop(&mut self, cause: DropCause, class: Class, mode: Mode) {
        if (cause, mode) == (DropCause::Overflow, Mode::Durable) {
            self.overflowed_durable += 1;
        }
        let count = match cause {
            DropCause::Expired => &mut self.expired,
            DropCause::TooOld => &mut self.too_old,
            DropCause::Overflow => &mut self.overflowed[class as usize],
            DropCause::TooLarge
            | DropCause::QosNotSupported
            | DropCause::RetainNotSupported
            | DropCause::EndsConnections => &mut self.unsendable,
            DropCause::Storage => &mut self.storage,
        };
        *count += 1;
    }
}
