//! The beginning and the end of a connection.

use super::ids::Owner;
use super::output::{CloseReason, Connected, Limits, Output};
use super::persist::Then;
use super::{Config, Link, Session};
use crate::limits::{MQTT_REMAINING_BYTES_MAX, MQTT_TOPIC_ALIASES_MAX};
use crate::mqtt::codec::{
    Auth, Connack, Connect, Disconnect, Packet, Properties, PropertiesBuf, Property, QoS, Reason,
    TooLong, Version, Will,
};
use crate::mqtt::outbox::{Flash, Mode, Stage};
use crate::time::Mono;
use std::time::Duration;

/// The longest keep alive that CONNECT can say.
const KEEP_ALIVE_S_MAX: u32 = u16::MAX as u32;

impl Limits {
    /// What holds when a broker says nothing.
    pub(super) const fn of_protocol() -> Limits {
        Limits {
            receive_max: u16::MAX,
            packet_bytes_max: MQTT_REMAINING_BYTES_MAX,
            qos_max: QoS::ExactlyOnce,
            retain: true,
            wildcards: true,
            subscription_ids: true,
            shared: true,
            topic_aliases: 0,
            keep_alive: Duration::ZERO,
            session_expiry: None,
        }
    }

    fn learn(&mut self, property: Property<'_>) {
        match property {
            Property::ReceiveMaximum(count) => self.receive_max = count,
            Property::MaximumPacketSize(bytes) => self.packet_bytes_max = bytes as usize,
            Property::MaximumQos(0) => self.qos_max = QoS::AtMostOnce,
            Property::MaximumQos(_) => self.qos_max = QoS::AtLeastOnce,
            Property::RetainAvailable(is) => self.retain = is,
            Property::WildcardSubscriptionAvailable(is) => self.wildcards = is,
            Property::SubscriptionIdentifierAvailable(is) => self.subscription_ids = is,
            Property::SharedSubscriptionAvailable(is) => self.shared = is,
            Property::TopicAliasMaximum(count) => self.topic_aliases = count,
            Property::ServerKeepAlive(seconds) => {
                self.keep_alive = Duration::from_secs(seconds.into());
            }
            Property::SessionExpiryInterval(seconds) => {
                self.session_expiry = expiry_of(seconds);
            }
            _ => {}
        }
    }
}

impl Session {
    /// The transport stands: CONNECT is what it carries first.
    pub fn handle_connected(&mut self, now: Mono) {
        self.now = now;
        if self.link == Link::Stopping {
            return;
        }
        self.inbox.clear();
        self.outgoing.clear();
        self.leaving.clear();
        self.link = Link::Connecting(now);
        self.suspicion.begin_connection();
        self.challenged = false;
        self.alive.begin(now);
        self.write_connect();
    }

    fn write_connect(&mut self) {
        let Ok(properties) = self.connect_properties() else {
            return self.close(CloseReason::Protocol {
                reason: Reason::PacketTooLarge,
                what: "the properties of CONNECT are longer than the protocol allows",
            });
        };
        let config = &self.config;
        let will = config.will.as_ref().map(|will| Will {
            topic: &will.topic,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.as_properties(),
        });
        let keep_alive_s = seconds(config.keep_alive).min(KEEP_ALIVE_S_MAX);
        let connect = Connect {
            version: config.version,
            client_id: &self.client_id,
            // Without an id of its own there is nothing to come back to.
            clean_start: config.clean_start || self.client_id.is_empty(),
            keep_alive_s: u16::try_from(keep_alive_s).unwrap_or(u16::MAX),
            will,
            user_name: config.user_name.as_deref(),
            password: config.password.as_ref().map(|it| it.expose().as_bytes()),
            properties: properties.as_properties(),
        };
        let encoded = Packet::Connect(connect).encode(self.config.version, self.outgoing.end());
        if encoded.is_err() {
            let what = "user name, password or will are longer than the protocol allows";
            self.close(CloseReason::Protocol {
                reason: Reason::PacketTooLarge,
                what,
            });
        }
    }

    fn connect_properties(&self) -> Result<PropertiesBuf, TooLong> {
        let config = &self.config;
        if config.version == Version::V311 {
            return Ok(PropertiesBuf::new());
        }
        let mut set = config.user_properties.clone();
        let expiry = config.session_expiry.map_or(u32::MAX, seconds);
        set.push(Property::SessionExpiryInterval(expiry))?;
        set.push(Property::ReceiveMaximum(config.receive_max.max(1)))?;
        let packet_bytes = u32::try_from(config.packet_bytes_max).unwrap_or(u32::MAX);
        set.push(Property::MaximumPacketSize(packet_bytes.max(1)))?;
        if config.topic_aliases {
            set.push(Property::TopicAliasMaximum(MQTT_TOPIC_ALIASES_MAX))?;
        }
        if let Some((method, data)) = &config.authentication {
            set.push(Property::AuthenticationMethod(method))?;
            if !data.is_empty() {
                set.push(Property::AuthenticationData(data))?;
            }
        }
        Ok(set)
    }

    /// The transport is gone, whoever ended it.
    pub fn handle_disconnected(&mut self, now: Mono) {
        self.now = now;
        if self.link == Link::Stopping {
            return;
        }
        self.unanswered |= matches!(self.link, Link::Connecting(_));
        self.judge_end();
        self.link = Link::Down;
        self.inbox.clear();
        self.outgoing.clear();
        self.leaving.clear();
        self.resend = None;
        self.releases.clear();
        self.quota = self.window;
        self.ids.free_subscriptions();
        self.ids.stop_releasing();
        self.subscriptions.end_connection();
        self.received.end_connection();
        self.requeue_unwritten();
        self.outbox.disconnect();
    }

    pub(super) fn connack(&mut self, connack: Connack<'_>) {
        if connack.reason != Reason::Success {
            let (text, server) = words(connack.properties);
            return self.close(CloseReason::Refused {
                reason: connack.reason,
                text,
                server,
            });
        }
        if connack.session_present && (self.config.clean_start || self.client_id.is_empty()) {
            return self.close(CloseReason::Protocol {
                reason: Reason::ProtocolError,
                what: "it remembers a session that was to be forgotten",
            });
        }
        self.learn_limits(connack.properties);
        self.link = Link::Up;
        self.connection = self.connection.wrapping_add(1).max(1);
        self.alive.begin(self.now);
        self.received.begin_connection();
        let assigned = connack.properties.find(|property| match property {
            Property::AssignedClientIdentifier(id) => Some(id.to_owned()),
            _ => None,
        });
        if let Some(id) = &assigned {
            self.client_id.clone_from(id);
        }
        self.outputs.push_back(Output::Connected(Connected {
            session_present: connack.session_present,
            assigned_client_id: assigned,
            limits: self.limits,
        }));
        self.take_up(connack.session_present);
        self.pump();
    }

    fn learn_limits(&mut self, properties: Properties<'_>) {
        self.limits = Limits {
            keep_alive: (self.config.keep_alive).min(Duration::from_secs(KEEP_ALIVE_S_MAX.into())),
            session_expiry: self.config.session_expiry,
            ..Limits::of_protocol()
        };
        for property in properties.iter() {
            self.limits.learn(property);
        }
        let profile_qos = self.config.profile.qos_max;
        self.limits.qos_max = self.limits.qos_max.min(profile_qos);
        let aliases = match self.config.topic_aliases {
            true => self.limits.topic_aliases.min(MQTT_TOPIC_ALIASES_MAX),
            false => 0,
        };
        self.aliases_out = vec![None; aliases.into()];
        self.aliases_in = match self.config.topic_aliases {
            true => vec![None; MQTT_TOPIC_ALIASES_MAX.into()],
            false => Vec::new(),
        };
        self.window = match self.suspicion.is_careful() {
            true => 1,
            false => window(&self.config, &self.limits),
        };
        self.quota = self.window;
    }

    /// Goes on where the last connection ended, or begins again if the broker knows nothing of it.
    fn take_up(&mut self, session_present: bool) {
        if !session_present {
            self.ids.trust_all();
            if self.config.rules.forget_received {
                self.forget_received();
            }
            if self.config.rules.begin_again {
                self.begin_again();
            }
        }
        if self.limits.qos_max < QoS::ExactlyOnce {
            self.ids.trust_all();
        }
        // A session that may be newer than we know may lack what we subscribed to.
        let unsure = std::mem::take(&mut self.unanswered);
        let gone = self.subscriptions.begin_connection(session_present, unsure);
        self.outputs
            .extend(gone.into_iter().map(Output::Unsubscribed));
        self.outbox.connect();
        self.resend = match self.config.rules.resend {
            true => self.outbox.first_in_flight(),
            false => None,
        };
    }

    fn begin_again(&mut self) {
        let ids = &mut self.ids;
        let mut marks = Vec::new();
        self.outbox.begin_again(|id, entry| {
            let Some(packet_id) = entry.packet_id else {
                return;
            };
            // On flash a durable message has this id until it is complete, so it keeps it here
            // too. If flash says that it was received, that has to be taken back first.
            if entry.mode != Mode::Durable || entry.qos != QoS::ExactlyOnce {
                ids.free(packet_id);
                entry.packet_id = None;
                if matches!(entry.flash, Flash::There | Flash::Marked) {
                    entry.flash = Flash::Stale;
                }
            } else if entry.stage == Stage::Released {
                entry.flash = Flash::Marking;
                marks.push(id);
            }
        });
        for id in marks {
            self.persist_mark(id, Then::Marked(id));
        }
    }

    pub(super) fn auth(&mut self, auth: Auth<'_>) {
        let ours = self.config.authentication.as_ref();
        if ours.map(|(method, _)| method.as_str()) != auth.method() {
            return self.close(CloseReason::Protocol {
                reason: Reason::ProtocolError,
                what: "it speaks of another method of authentication than we do",
            });
        }
        if auth.reason == Reason::ContinueAuthentication {
            self.challenged = true;
            let data = auth.data().unwrap_or_default().to_vec();
            self.outputs.push_back(Output::Authenticate(data));
        }
    }

    /// The next step of the enhanced authentication. On a connection that stands and has not been
    /// challenged, it begins a new one.
    pub fn authenticate(&mut self, data: &[u8], now: Mono) {
        self.now = now;
        let reason = match self.link {
            Link::Connecting(_) => Reason::ContinueAuthentication,
            Link::Up if self.challenged => Reason::ContinueAuthentication,
            Link::Up => Reason::ReAuthenticate,
            _ => return,
        };
        self.challenged = false;
        self.write_auth(reason, data);
    }

    fn write_auth(&mut self, reason: Reason, data: &[u8]) {
        let Some((method, _)) = &self.config.authentication else {
            return;
        };
        let mut set = PropertiesBuf::new();
        let pushed = set
            .push(Property::AuthenticationMethod(method))
            .and_then(|()| set.push(Property::AuthenticationData(data)));
        if pushed.is_err() {
            return self.close(CloseReason::Protocol {
                reason: Reason::PacketTooLarge,
                what: "the data of the authentication is longer than the protocol allows",
            });
        }
        self.write(&Packet::Auth(Auth {
            reason,
            properties: set.as_properties(),
        }));
    }

    pub(super) fn disconnected_by_broker(&mut self, disconnect: Disconnect<'_>) {
        self.hear(disconnect.reason);
        let (text, server) = words(disconnect.properties);
        self.close(CloseReason::ByBroker {
            reason: disconnect.reason,
            text,
            server,
        });
    }

    /// After a bad end, ids that the broker may hold are released as soon as QoS 2 is used.
    pub(super) fn note_exactly_once(&mut self, qos: QoS) {
        if qos == QoS::ExactlyOnce {
            self.ids.begin_releasing();
        }
    }

    pub(super) fn give_id(&mut self, owner: Owner) -> Option<crate::mqtt::codec::PacketId> {
        self.ids.give(owner)
    }
}

/// How many messages may be on their way at once.
pub(super) fn window(config: &Config, limits: &Limits) -> u16 {
    let profile = config.profile.in_flight_max.unwrap_or(u16::MAX);
    let ours = config.in_flight_max.min(profile).max(1);
    ours.min(limits.receive_max)
}

/// What the broker says about its reason, and where it sends us.
fn words(properties: Properties<'_>) -> (Option<String>, Option<String>) {
    let server = properties.find(|property| match property {
        Property::ServerReference(server) => Some(server.to_owned()),
        _ => None,
    });
    (properties.reason_string().map(str::to_owned), server)
}

/// Rounded up: in seconds, a part of one is not nothing.
fn seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX - 1)
}

fn expiry_of(seconds: u32) -> Option<Duration> {
    match seconds {
        u32::MAX => None,
        seconds => Some(Duration::from_secs(seconds.into())),
    }
}
