//! One item of a synced model, together with what the cloud does not know of it yet.
//!
//! The database keeps a [`Record`] per row: the item that programs see and, while the cloud lags
//! behind, a [`Change`]. The two live in one value so that one frame of the log holds both: there
//! is no moment at which the data is safe and the intention to send it is not.
//!
//! **Invariant:** `item = base + frozen + pending`, after every step; see [`Record::check`].
//!
//! ```
//! use periwinkle_core::sync::record::{Op, Record};
//! use periwinkle_core::value::Map;
//!
//! let mut record = Record::clean(Map::from([("on", false)]));
//! record.write(Some(Map::from([("on", true)])));
//!
//! let change = record.change.as_ref().expect("the cloud does not know yet");
//! assert!(matches!(change.pending, Some(Op::Set { .. })));
//! assert!(record.check().is_ok());
//! ```

mod codec;
mod key;
mod mark;
mod op;
mod row;

pub use codec::RecordError;
pub use key::ItemKey;
pub use mark::{Mark, MarkError};
pub(super) use op::content;
pub use op::{Op, is_metadata, same_content, without_metadata};
pub use row::{BrokenRecord, Change, Frozen, ParkKind, Parked, Record};
