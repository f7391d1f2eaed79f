//! What the replication machine needs of the database.

use super::record::{ItemKey, Record};
use crate::time::UnixMillis;
use crate::value::Map;

/// The database as replication sees it.
///
/// Reads see what is committed in memory. [`modify`](Store::modify) is one frame of the log: all
/// of it is there after a crash or none, and a frame that is durable makes every earlier one so.
/// That order is what the machine rests on: once the frame that froze an attempt is durable, so is
/// every local write that went into it.
pub trait Store {
    /// The record under that key; an empty one if there is none.
    fn record(&self, key: &ItemKey) -> Result<Record, StoreError>;

    /// Changes records and service rows in one frame and gives its sequence.
    ///
    /// Reading, `edit` and writing are one step: no local write comes between. `edit` is called
    /// once, with the records under `keys` in their order. An empty record is a row to remove. A
    /// row whose content changed (metadata aside) is announced as a change of origin Cloud: the
    /// machine never makes local changes. If nothing changed, there is no frame, and the sequence
    /// is the last one given.
    fn modify(&self, keys: &[ItemKey], edit: &mut dyn FnMut(&mut Frame))
    -> Result<u64, StoreError>;

    /// The next records that are [sendable](Record::is_sendable), oldest frame first.
    ///
    /// A record that is written again moves to the end.
    fn dirty(&self, after: Option<&Dirty>, limit: usize) -> Result<Vec<Dirty>, StoreError>;

    /// The next records that are [parked](Record::parked), in the order of their keys.
    fn parked(&self, after: Option<&ItemKey>, limit: usize) -> Result<Vec<ItemKey>, StoreError>;

    /// The next keys of rows, of any partition, in the order of keys.
    fn rows_after(&self, after: &ItemKey, limit: usize) -> Result<Vec<ItemKey>, StoreError>;

    /// A service row: state of the machine that no program sees.
    fn service(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The next service rows after that name, in the order of names.
    fn services_after(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// How much waits to be sent. Called often: it must be a matter of counters.
    fn backlog(&self) -> Backlog;
}

/// What one frame changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The records of the keys asked for, in their order.
    pub records: Vec<Record>,
    /// Service rows to write, or to remove.
    pub service: Vec<(String, Option<Vec<u8>>)>,
    /// Entries for the local table of conflicts.
    pub conflicts: Vec<Conflict>,
}

/// A record that waits to be sent, and its place in the queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dirty {
    /// The frame that wrote it last.
    pub sequence: u64,
    /// Its key; several records may share a frame.
    pub key: ItemKey,
}

/// How much waits to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records that wait, parked ones included.
    pub rows: u64,
    /// Their bytes in the database.
    pub bytes: u64,
}

/// A value that lost, kept so that nobody's edit vanishes unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The item.
    pub key: ItemKey,
    /// The model it belongs to.
    pub model: String,
    /// What happened.
    pub kind: ConflictKind,
    /// The fields in question as the device had them; `None` when it had deleted the item.
    pub local: Option<Map>,
    /// The fields in question as the cloud had them; `None` when the item was absent there.
    pub cloud: Option<Map>,
    /// Which side stays.
    pub winner: Side,
    /// When, if the time is trusted.
    pub at: Option<UnixMillis>,
}

/// The kinds of [`Conflict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Both sides changed the same fields.
    Fields,
    /// Both sides made the item.
    Creates,
    /// One side deleted what the other one edited.
    Delete,
    /// A reply was lost and its evidence erased: the change may have been applied twice.
    Uncertain,
    /// A late copy of a write that a delete had overtaken was found and removed.
    Debris,
}

/// One of the two sides of replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The device.
    Local,
    /// The table.
    Cloud,
}

/// The database failed under replication. The machine must be dropped and started afresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replication cannot use the database: {0}")]
pub struct StoreError(pub String);

impl Frame {
    /// A frame over these records that changes nothing yet.
    pub fn over(records: Vec<Record>) -> Frame {
        Frame {
            records,
            ..Frame::default()
        }
    }
}

impl ConflictKind {
    /// The word for it in the table of conflicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConflictKind::Fields => "fields",
            ConflictKind::Creates => "creates",
            ConflictKind::Delete => "delete",
            ConflictKind::Uncertain => "uncertain",
            ConflictKind::Debris => "debris",
        }
    }
}

impl Side {
    /// The word for it in the table of conflicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Side::Local => "local",
            Side::Cloud => "cloud",
        }
    }
}
