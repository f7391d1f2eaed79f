//! What AWS needs of a client, without its SDK: signatures, and typed calls of the services used.
//!
//! Everything here is bytes in and bytes out; the agent's HTTP client sends them.

pub mod checksum;
mod credentials;
pub mod dynamodb;
mod error;
pub mod s3;
pub mod sigv4;
pub mod sts;
pub mod wire;

pub use credentials::Credentials;
pub use error::{CancelReason, Effect, Remedy, ServiceError, ServiceErrorKind};
