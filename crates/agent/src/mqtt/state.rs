//! How the connection stands, for whoever watches.

use std::fmt;

use periwinkle_core::mqtt::codec::Reason;
use periwinkle_core::mqtt::policy::End;
use periwinkle_core::mqtt::session::CloseReason;

use crate::net::dial::{Cause, DialError};
use crate::net::websocket::WebSocketError;

/// What a [`watch`](tokio::sync::watch) of the connection shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is none, and none is being made now.
    Offline {
        /// Why the last one ended, or the last attempt failed.
        why: Option<OfflineReason>,
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

/// Why there is no connection. It displays as a sentence for people; programs look at
/// [`kind`](OfflineReason::kind).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineReason {
    kind: OfflineKind,
    text: String,
}

/// What kind of reason there is for having no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfflineKind {
    /// The broker refused the connection, for this reason.
    Refused(Reason),
    /// The broker closed the connection; with version 5 it may have said why.
    Closed(Option<Reason>),
    /// Another client uses the same client id.
    TakenOver,
    /// The name of the broker, or of the proxy, has no address.
    Dns,
    /// No address answered.
    Unreachable,
    /// The proxy does not lead to the broker.
    Proxy,
    /// TLS was not agreed on: a certificate is not trusted, or none was shown.
    Tls,
    /// No WebSocket was opened.
    WebSocket,
    /// An answer did not come in time.
    TimedOut,
    /// The connection broke.
    Lost,
    /// The broker broke the protocol.
    Protocol,
    /// There are no keys to sign the address with.
    Credentials,
    /// There is no answer to what the broker asked in an enhanced authentication.
    Authentication,
    /// Nobody needs a connection now, outside of the schedule.
    Schedule,
    /// The client was asked to close it.
    Asked,
}

impl OfflineReason {
    pub(crate) fn new(kind: OfflineKind, text: impl fmt::Display) -> OfflineReason {
        let text = text.to_string();
        OfflineReason { kind, text }
    }

    pub(super) fn schedule() -> OfflineReason {
        let text = "nobody needs a connection now, outside of the schedule";
        OfflineReason::new(OfflineKind::Schedule, text)
    }

    /// What the session closed the connection for, and what that means.
    pub(super) fn closed(reason: &CloseReason, end: &End) -> OfflineReason {
        let kind = match reason {
            _ if *end == End::TakenOver => OfflineKind::TakenOver,
            CloseReason::Refused { reason, .. } => OfflineKind::Refused(*reason),
            CloseReason::ByBroker { reason, .. } => OfflineKind::Closed(Some(*reason)),
            CloseReason::Malformed(_) | CloseReason::Protocol { .. } => OfflineKind::Protocol,
            CloseReason::NoConnack | CloseReason::PingLost | CloseReason::Stalled => {
                OfflineKind::TimedOut
            }
            CloseReason::Asked => OfflineKind::Asked,
            _ => OfflineKind::Lost,
        };
        OfflineReason::new(kind, end)
    }

    /// What the policy of the connection is to make of it.
    pub(super) fn end(&self) -> End {
        match self.kind {
            OfflineKind::Schedule | OfflineKind::Asked => End::Asked,
            OfflineKind::Authentication => End::Hopeless(self.text.clone()),
            _ => End::Other(self.text.clone()),
        }
    }

    /// What kind of reason it is.
    pub const fn kind(&self) -> OfflineKind {
        self.kind
    }
}

impl fmt::Display for OfflineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<DialError> for OfflineReason {
    fn from(error: DialError) -> OfflineReason {
        let kind = match &error {
            DialError::Resolve { .. } => OfflineKind::Dns,
            DialError::Proxy { .. } => OfflineKind::Proxy,
            DialError::Connect { cause, .. } | DialError::Tls { cause, .. }
                if matches!(cause, Cause::TooSlow(_)) =>
            {
                OfflineKind::TimedOut
            }
            DialError::Connect { .. } => OfflineKind::Unreachable,
            DialError::Tls { .. } => OfflineKind::Tls,
        };
        OfflineReason::new(kind, error)
    }
}

impl From<WebSocketError> for OfflineReason {
    fn from(error: WebSocketError) -> OfflineReason {
        let kind = match &error {
            WebSocketError::TooSlow { .. } => OfflineKind::TimedOut,
            _ => OfflineKind::WebSocket,
        };
        OfflineReason::new(kind, error)
    }
}

impl OfflineKind {
    /// A word that does not change, as status and REST have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OfflineKind::Refused(_) => "refused",
            OfflineKind::Closed(_) => "closed",
            OfflineKind::TakenOver => "taken_over",
            OfflineKind::Dns => "dns",
            OfflineKind::Unreachable => "unreachable",
            OfflineKind::Proxy => "proxy",
            OfflineKind::Tls => "tls",
            OfflineKind::WebSocket => "websocket",
            OfflineKind::TimedOut => "timed_out",
            OfflineKind::Lost => "lost",
            OfflineKind::Protocol => "protocol",
            OfflineKind::Credentials => "credentials",
            OfflineKind::Authentication => "authentication",
            OfflineKind::Schedule => "schedule",
            OfflineKind::Asked => "asked",
        }
    }

    /// The reason code of MQTT 5 (section 2.4) that the broker gave, or that stands for what it
    /// said with 3.1.1.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            OfflineKind::Refused(reason) => Some(reason),
            OfflineKind::Closed(reason) => reason,
            OfflineKind::TakenOver => Some(Reason::SessionTakenOver),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_a_connection_has_a_kind_and_the_words_of_its_end() {
        let refused = CloseReason::Refused {
            reason: Reason::NotAuthorized,
            text: None,
            server: None,
        };
        let by = |reason| CloseReason::ByBroker {
            reason,
            text: None,
            server: None,
        };
        let table = [
            (
                refused,
                "refused",
                Some(0x87),
                "the broker refused the connection: not authorized (0x87)",
            ),
            (
                by(Reason::SessionTakenOver),
                "taken_over",
                Some(0x8e),
                "another client uses the same client id",
            ),
            (
                by(Reason::ServerShuttingDown),
                "closed",
                Some(0x8b),
                "the broker ended the connection: the server is shutting down (0x8B)",
            ),
            (
                by(Reason::ServerBusy),
                "closed",
                Some(0x89),
                "the broker is busy",
            ),
            (
                CloseReason::NoConnack,
                "timed_out",
                None,
                "the broker did not answer CONNECT in time",
            ),
            (CloseReason::Asked, "asked", None, "closed on purpose"),
        ];
        for (reason, kind, code, words) in table {
            let why = OfflineReason::closed(&reason, &End::from(&reason));
            let told = why.kind().reason().map(Reason::code);
            assert_eq!((why.kind().as_str(), told), (kind, code));
            assert_eq!(why.to_string(), words);
        }
    }
}
