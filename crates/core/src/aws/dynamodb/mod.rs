//! Typed calls of DynamoDB, as JSON 1.0 over HTTP.
//!
//! An [`Operation`] gives a [`Request`]: a target and a body that is the same text whenever the
//! operation is the same, so that a frozen attempt can be repeated byte for byte. The bounds of the
//! service are checked here, before anything is sent. The answer is read by [`read_answer`].
//!
//! Attribute names never stand in an expression: every one becomes a placeholder, so reserved words
//! and names with dots need no thought.
//!
//! ```
//! use periwinkle_core::aws::dynamodb::{
//!     Condition, Operation as _, ReturnValues, Update, UpdateItem, read_answer,
//! };
//! use periwinkle_core::value::Map;
//!
//! let rename = UpdateItem {
//!     table: "devices".into(),
//!     key: Map::from([("pk", "dev#1#rw"), ("sk", "Device#1")]),
//!     update: Update { set: Map::from([("name", "Attic")]), ..Update::default() },
//!     condition: Some(Condition::equals("_v", 7).and(Condition::equals("name", "Loft"))),
//!     returns: ReturnValues::AllNew,
//!     item_on_failure: true,
//! };
//! let request = rename.request()?;
//! assert_eq!(request.target, "DynamoDB_20120810.UpdateItem");
//! assert!(request.body.contains(r##""UpdateExpression":"SET #0 = :0""##));
//! assert!(request.body.contains(r##""ConditionExpression":"#1 = :1 AND #0 = :2""##));
//!
//! let answer = br#"{"Attributes":{"name":{"S":"Attic"}}}"#;
//! let item = read_answer::<UpdateItem>(200, None, answer)?;
//! assert_eq!(item, Some(Map::from([("name", "Attic")])));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod batch_write;
mod body;
mod bounds;
mod call;
mod expression;
mod item;
mod query;
mod table;
mod transact;

pub use super::error::{CancelReason, Effect, Remedy, ServiceError, ServiceErrorKind};
pub use batch::{BatchExecuteStatement, BatchGetItem, Batched, Statement, StatementResult};
pub use batch_write::{BatchWrite, BatchWriteItem};
pub use bounds::RequestError;
pub use call::{AnswerError, CONTENT_TYPE, CallError, Operation, Request, read_answer};
pub use expression::{Condition, KeyCondition, Update};
pub use item::{DeleteItem, GetItem, PutItem, ReturnValues, UpdateItem};
pub use query::{Page, PageToken, Query};
pub use table::{DescribeTable, IndexDescription, KeySchema, TableDescription, TableStatus};
pub use transact::{TransactAction, TransactWriteItems};
