//! Why a command is refused at once.

use crate::mqtt::codec::TooLong;
use crate::mqtt::outbox::Refused;
use crate::mqtt::policy::ProfileError;
use crate::mqtt::topic::{CodePoint, TopicError};

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It cannot be published to this topic.
    #[error("the topic cannot be published to: {0}")]
    Topic(#[from] TopicError),
    /// This kind of broker would not take it.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The broker of this connection would not take it.
    #[error("the broker does not take the message: {0}")]
    Limits(crate::mqtt::outbox::DropCause),
    /// There is no room for it.
    #[error(transparent)]
    Full(#[from] Refused),
    /// The session is being stopped.
    #[error("the session is being stopped")]
    Stopping,
    /// QoS 0 promises nothing that flash could keep.
    #[error("a durable message needs QoS 1 or 2")]
    DurableWithoutQos,
    /// Properties that the session writes itself.
    #[error("topic alias, message expiry and subscription identifier are not the caller's to set")]
    Properties,
    /// A property for which the broker would close the connection.
    #[error("a property of the message cannot be sent: {0}")]
    Property(&'static str),
}

/// Why no session can be made of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A text holds a character for which brokers close the connection.
    #[error("{what} must not hold {}: brokers close the connection for it", CodePoint(*.character))]
    Character {
        /// Which text.
        what: &'static str,
        /// The character.
        character: char,
    },
    /// A part is longer than the protocol can say.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// This kind of broker does not take such clients.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The will cannot be published there.
    #[error("the topic of the will cannot be published to: {0}")]
    WillTopic(TopicError),
    /// This kind of broker would not take the will.
    #[error("the will cannot be sent: {0}")]
    Will(ProfileError),
    /// A property of the will or of CONNECT.
    #[error("a property of {of} cannot be sent: {what}")]
    Property {
        /// Whose.
        of: &'static str,
        /// Why.
        what: &'static str,
    },
}

/// Why a subscription was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It is no filter.
    #[error("this is no topic filter: {0}")]
    Filter(#[from] TopicError),
    /// This kind of broker would not take it.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The broker offers no filters with wildcards.
    #[error("the broker offers no wildcards in topic filters")]
    Wildcards,
    /// The broker offers no shared subscriptions.
    #[error("the broker offers no shared subscriptions")]
    Shared,
    /// A shared subscription with No Local (section 3.8.3.1): a broker ends the connection for it.
    #[error("a shared subscription cannot leave out what this client publishes itself")]
    SharedNoLocal,
    /// There are as many as there may be.
    #[error("there are {subscriptions_max} subscriptions, and no more are possible")]
    TooMany {
        /// The bound.
        subscriptions_max: usize,
    },
}
