//! The schema: which models there are, how their items are stored, and what may be in them.
//!
//! A schema is the file that a cloud application uses with the library `dynamodb-onetable`, as JSON
//! or JSON5, so that device and application read each other's items. `docs/guide/schema.md` is the
//! reference for the people who write one.
//!
//! ```
//! use periwinkle_core::schema::Schema;
//!
//! let schema = Schema::parse(
//!     "{
//!         version: '1.0.0',
//!         indexes: { primary: { hash: 'pk', sort: 'sk' } },
//!         models: {
//!             Room: {
//!                 pk: { type: 'string', value: 'home#' },
//!                 sk: { type: 'string', value: 'Room#${name}' },
//!                 name: { type: 'string', required: true },
//!                 area: { type: 'number' },
//!             },
//!         },
//!     }",
//! )?;
//! assert_eq!(schema.model("Room").unwrap().key_variables(), ["name"]);
//! # Ok::<(), periwinkle_core::schema::SchemaError>(())
//! ```

mod apply;
mod block;
mod convert;
mod decode;
mod encode;
mod error;
mod given;
mod index_part;
mod key;
mod migration;
mod model;
mod named;
mod place;
mod plain_key;
mod read;
mod read_migration;
mod read_model;
mod rules;
#[expect(clippy::module_inception, reason = "the file of the type `Schema`")]
mod schema;
mod section;
mod shown;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod times;
mod unique;
mod version;
mod view;

pub use crate::nearest::nearest;
pub use apply::ApplyError;
pub use decode::Hidden;
pub use encode::Writing;
pub use error::{PropertyError, SchemaError};
pub use index_part::IndexPart;
pub use key::{KeyRange, Wanted};
pub use migration::{Migration, Outcome, Plan, Written};
pub use model::{
    Class, Durability, Field, FieldType, Generate, Model, Overflow, Pattern, Process, Role,
};
pub use place::Encoded;
pub use schema::{Index, IndexKind, Params, Projection, Schema, Timestamps};
pub use template::Template;
pub use unique::Claim;
pub use version::{Version, VersionError};
pub use view::Seen;
