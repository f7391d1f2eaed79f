//! Replication with DynamoDB.
//!
//! | module | what it is |
//! |---|---|
//! | [`record`] | one item with what the cloud does not know of it yet; written by the database |
//! | [`store`] | what replication needs of the database |
//! | [`config`] | what it is told about the table, the device and the models |
//! | [`machine`] | the replication itself, as events and outputs |

pub mod config;
pub mod machine;
mod merge;
mod random;
pub mod record;
mod request;
pub mod store;
