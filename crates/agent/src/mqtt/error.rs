//! What can go wrong with a message, a subscription or a question.

use periwinkle_core::mqtt::codec::Reason;
use periwinkle_core::mqtt::outbox::DropCause;
use periwinkle_core::mqtt::request::RequestError;
use periwinkle_core::mqtt::session::{PublishError, SubscribeError};
use thiserror::Error;

/// Why a call of the MQTT client failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MqttError {
    /// The message was not taken.
    #[error("the message was not taken: {0}")]
    Publish(#[from] PublishError),
    /// The broker did not take the message; the reason is its own.
    #[error("the broker refused the message: {0}")]
    Rejected(Reason),
    /// The message was dropped here, by a rule that is counted in `status`.
    #[error("the message was dropped: {0}")]
    Dropped(DropCause),
    /// The subscription was not asked for.
    #[error("no subscription to {filter:?}: {source}")]
    Subscribe {
        /// The filter.
        filter: String,
        /// Why.
        source: SubscribeError,
    },
    /// The broker refused the subscription.
    #[error("the broker refused the subscription to {filter:?}: {reason}")]
    Denied {
        /// The filter.
        filter: String,
        /// Why.
        reason: Reason,
    },
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A property cannot be written.
    #[error("{0}")]
    Property(#[from] periwinkle_core::mqtt::codec::TooLong),
    /// This client keeps nothing on flash.
    #[error("this client has no database to keep a durable message in; run it within an agent")]
    NoStorage,
    /// What the client was to be made from cannot be used.
    #[error("{0}")]
    Options(String),
    /// The database failed.
    #[error("the queue cannot be read from the database: {0}")]
    Storage(#[from] periwinkle_db::DbError),
    /// The client has been stopped.
    #[error("the client has been stopped; what it had taken is kept for the next start")]
    Stopped,
}
