//! How the connection stands, for whoever watches.

/// What a [`watch`](tokio::sync::watch) of the connection shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is none, and none is being made now.
    Offline {
        /// Why the last one ended, or the last attempt failed.
        why: Option<String>,
    },
    /// An attempt is on its way.
    Connecting,
    /// The broker has accepted it.
    Connected {
        /// Whether the broker remembered the session.
        session_present: bool,
    },
    /// The client has been stopped.
    Stopped,
}

impl ConnectionState {
    /// Whether the broker has accepted the connection.
    pub const fn is_connected(&self) -> bool {
        matches!(self, ConnectionState::Connected { .. })
    }

    /// One word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            ConnectionState::Offline { .. } => "offline",
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected { .. } => "connected",
            ConnectionState::Stopped => "stopped",
        }
    }
}
