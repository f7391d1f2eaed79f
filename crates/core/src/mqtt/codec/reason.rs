//! The reason codes of MQTT 5 (section 2.4), which also stand for the few codes of 3.1.1.

use super::kind::{PacketKind, Version};
use std::fmt;

macro_rules! reasons {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// Why something was done, or was not.
        ///
        /// Codes below 0x80 are successes. The standard gives 0 three names; here it is `Success`,
        /// which is also the granted QoS 0 and the normal disconnection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $text] $name = $code,)*
        }

        impl Reason {
            /// The reason with this code.
            pub const fn from_code(code: u8) -> Option<Reason> {
                match code {
                    $($code => Some(Reason::$name),)*
                    _ => None,
                }
            }

            /// What it means, in a few words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Reason::$name => $text,)*
                }
            }

            /// Every reason, in the order of their codes.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];
        }
    };
}

reasons! {
    Success = 0x00, "success";
    GrantedQos1 = 0x01, "granted with QoS 1";
    GrantedQos2 = 0x02, "granted with QoS 2";
    DisconnectWithWill = 0x04, "disconnected, and the will is to be published";
    NoMatchingSubscribers = 0x10, "nobody subscribes to the topic";
    NoSubscriptionExisted = 0x11, "there was no such subscription";
    ContinueAuthentication = 0x18, "the authentication goes on";
    ReAuthenticate = 0x19, "a new authentication begins";
    UnspecifiedError = 0x80, "an error without a name";
    MalformedPacket = 0x81, "a packet cannot be read";
    ProtocolError = 0x82, "a packet breaks the rules of the protocol";
    ImplementationSpecificError = 0x83, "the other side cannot do that";
    UnsupportedProtocolVersion = 0x84, "the version of the protocol is not supported";
    ClientIdentifierNotValid = 0x85, "the client id is not allowed";
    BadUserNameOrPassword = 0x86, "user name or password are wrong";
    NotAuthorized = 0x87, "not authorized";
    ServerUnavailable = 0x88, "the server is not available";
    ServerBusy = 0x89, "the server is busy";
    Banned = 0x8A, "this client is banned";
    ServerShuttingDown = 0x8B, "the server is shutting down";
    BadAuthenticationMethod = 0x8C, "the method of authentication is wrong";
    KeepAliveTimeout = 0x8D, "nothing was heard for too long";
    SessionTakenOver = 0x8E, "another connection uses the same client id";
    TopicFilterInvalid = 0x8F, "the topic filter is not allowed";
    TopicNameInvalid = 0x90, "the topic is not allowed";
    PacketIdentifierInUse = 0x91, "the packet id is in use";
    PacketIdentifierNotFound = 0x92, "the packet id is not known";
    ReceiveMaximumExceeded = 0x93, "more messages came at once than were allowed";
    TopicAliasInvalid = 0x94, "the topic alias is not allowed";
    PacketTooLarge = 0x95, "the packet is too large";
    MessageRateTooHigh = 0x96, "messages come too fast";
    QuotaExceeded = 0x97, "a quota is used up";
    AdministrativeAction = 0x98, "closed by an administrator";
    PayloadFormatInvalid = 0x99, "the payload is not what its format says";
    RetainNotSupported = 0x9A, "retained messages are not supported";
    QosNotSupported = 0x9B, "the quality of service is not supported";
    UseAnotherServer = 0x9C, "use another server for now";
    ServerMoved = 0x9D, "the server has moved for good";
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions are not supported";
    ConnectionRateExceeded = 0x9F, "connections come too fast";
    MaximumConnectTime = 0xA0, "the connection has lasted as long as it may";
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers are not supported";
    WildcardSubscriptionsNotSupported = 0xA2, "wildcards in subscriptions are not supported";
}

impl Reason {
    /// The code as it travels in version 5.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether it says that something was not done.
    pub const fn is_error(self) -> bool {
        self.code() >= 0x80
    }

    /// Whether the standard lets a packet of this kind carry it (MQTT 5, table 2-6).
    pub fn belongs_to(self, kind: PacketKind) -> bool {
        let code = self.code();
        match kind {
            PacketKind::Connack => matches!(
                code,
                0 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F
            ),
            PacketKind::Puback | PacketKind::Pubrec => {
                matches!(
                    code,
                    0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
                )
            }
            PacketKind::Pubrel | PacketKind::Pubcomp => matches!(code, 0 | 0x92),
            PacketKind::Suback => matches!(
                code,
                0..=2 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
            ),
            PacketKind::Unsuback => matches!(code, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91),
            PacketKind::Disconnect => matches!(
                code,
                0 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2
            ),
            PacketKind::Auth => matches!(code, 0 | 0x18 | 0x19),
            _ => false,
        }
    }

    /// The return code of a CONNACK of 3.1.1 as a reason.
    pub(crate) const fn from_return_code(code: u8) -> Option<Reason> {
        Some(match code {
            0 => Reason::Success,
            1 => Reason::UnsupportedProtocolVersion,
            2 => Reason::ClientIdentifierNotValid,
            3 => Reason::ServerUnavailable,
            4 => Reason::BadUserNameOrPassword,
            5 => Reason::NotAuthorized,
            _ => return None,
        })
    }

    /// The return code of a CONNACK of 3.1.1 that comes nearest.
    pub(crate) const fn return_code(self) -> u8 {
        match self {
            Reason::Success => 0,
            Reason::UnsupportedProtocolVersion => 1,
            Reason::ClientIdentifierNotValid => 2,
            Reason::BadUserNameOrPassword => 4,
            Reason::NotAuthorized | Reason::Banned => 5,
            _ => 3,
        }
    }

    /// The code of a SUBACK in this version; 3.1.1 knows one failure.
    pub(crate) const fn suback_code(self, version: Version) -> u8 {
        match version {
            Version::V311 if self.is_error() => 0x80,
            _ => self.code(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.text(), self.code())
    }
}
