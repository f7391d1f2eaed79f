//! Export and import: items as lines of JSON, read and written without touching a database.
//!
//! `docs/formats/export.md` has the form. Nothing here knows a schema; what the lines mean for a
//! database is in [`Database::export`](super::Database::export) and
//! [`Database::import`](super::Database::import).

mod reader;
mod row;

pub use reader::{ReadItem, Reader, TransferError, TransferFault};
pub use row::{Row, RowFault, write_properties, write_stored};
