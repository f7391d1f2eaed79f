//! DynamoDB's expressions: conditions, filters, updates and projections, as values that can be
//! asked, applied and printed.
//!
//! The grammar is that of the Amazon DynamoDB Developer Guide ("Condition and filter expressions,
//! operators, and functions", "Using update expressions", "Using projection expressions"), and a
//! little more for people who write them by hand in a URL or a shell: bare names even where
//! DynamoDB reserves the word, names in backticks, and literals. What is printed again has
//! placeholders only, so that DynamoDB takes it. `docs/guide/expressions.md` is for users.
//!
//! | what | parsed by | then |
//! |---|---|---|
//! | condition or filter | [`Condition::parse`] | [`Condition::holds`], [`Condition::split_key`] |
//! | update | [`Update::parse`] | [`Update::apply`] |
//! | projection | [`Projection::parse`] | [`Projection::apply`] |
//!
//! ```
//! use periwinkle_core::expr::{Condition, Placeholders};
//! use periwinkle_core::value::{Map, Value};
//!
//! let filter: Condition = "temp > 20 and begins_with(name, 'a')".parse()?;
//! let item = Map::from([("temp", Value::from(21)), ("name", Value::from("attic"))]);
//! assert!(filter.holds(&item));
//!
//! let mut given = Placeholders::new();
//! assert_eq!(filter.print(&mut given)?, "#0 > :0 AND begins_with(#1, :1)");
//! assert_eq!(Condition::parse("#0 > :0 AND begins_with(#1, :1)", &mut given)?, filter);
//! given.check_all_used()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod bind;
mod build;
mod check;
mod condition;
mod error;
mod evaluate;
mod key;
mod parse;
mod parse_condition;
mod parse_update;
mod path;
mod placeholders;
mod print;
mod projection;
mod token;
mod update;

pub use condition::Condition;
pub use error::{ExpressionError, Place, PrintError, Reason, UnusedPlaceholders, UpdateError};
pub use evaluate::Source;
pub use key::{KeyCondition, KeySplit, SortCondition};
pub use path::{Path, Step};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use update::Update;

#[cfg(test)]
mod strategies;
#[cfg(test)]
mod tests;
