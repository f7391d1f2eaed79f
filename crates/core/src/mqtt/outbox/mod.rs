//! What waits to be sent: one entry for each message, from the moment it is taken until the broker
//! has answered for it, or a stated rule has dropped it.
//!
//! The outbox is the single source of truth. A session sends from it and writes into an entry how
//! far its exchange has come; when the connection ends, the entry is still here.
//!
//! *Order.* Messages of one topic and class leave in the order in which they came. Higher classes
//! go first, however much waits in the lower ones, which get what is left of the link and nothing
//! while higher classes fill it. Within a class, messages that wait since before the connection are
//! the backlog, the others are live. Live ones go first, one of every
//! [`MQTT_BACKLOG_SHARE_MESSAGES`](crate::limits::MQTT_BACKLOG_SHARE_MESSAGES) comes from the
//! backlog, and a live message whose topic has a backlog waits behind it. A message that must be on
//! flash before it leaves holds up those behind it in its lane until it is.
//!
//! *Budget.* Rows, bytes and age are bounded. What does not fit is refused, or pushes out others:
//! the lowest class first, within it QoS 0, then what is not durable, each time the oldest. A
//! durable message goes for durable ones of at least its class only. Either way it is counted and
//! the one who waits for it is told. What is on its way is never pushed out.

mod budget;
mod entry;
mod lanes;
mod ranks;
mod record;
mod slab;
mod store;
#[cfg(test)]
mod tests;

pub use budget::{Budget, Counts, DropCause, Overflow, Refused};
pub use entry::{Class, Entry, EntryId, Mode, Publication, Stage, StoredEntry};
pub(crate) use entry::{Flash, Gone};
pub use record::{Record, RecordError};
pub(crate) use slab::Slot;
pub use store::Outbox;
