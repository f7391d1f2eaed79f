//! What a session is told when it begins.

use super::error::ConfigError;
use crate::limits::{
    MQTT_CONNACK_WAIT_MAX, MQTT_IN_FLIGHT_MESSAGES_MAX, MQTT_KEEP_ALIVE, MQTT_PACKET_BYTES_MAX,
    MQTT_PING_WAIT_MAX, MQTT_RECEIVE_MESSAGES_MAX, MQTT_RESUBSCRIBE_PAUSE, MQTT_SPILL_DELAY,
    MQTT_STALL_WAIT_MAX, MQTT_STRING_BYTES_MAX,
};
use crate::mqtt::codec::{Place, PropertiesBuf, QoS, TooLong, Version};
use crate::mqtt::policy::Profile;
use crate::mqtt::topic;
use crate::secret::Secret;
use std::time::Duration;

/// Everything a session has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The protocol.
    pub version: Version,
    /// Empty asks the broker for one, with version 5 for good.
    pub client_id: String,
    /// Forget at the broker what was before each connection.
    pub clean_start: bool,
    /// How long the broker remembers the session after the connection; `None` is for ever.
    /// Version 5 only.
    pub session_expiry: Option<Duration>,
    /// The longest time without a packet; zero is none.
    pub keep_alive: Duration,
    /// What the broker publishes when the connection ends badly.
    pub will: Option<WillMessage>,
    /// Who it is.
    pub user_name: Option<String>,
    /// The proof.
    pub password: Option<Secret>,
    /// The method of an enhanced authentication, and what it says first. Version 5 only.
    pub authentication: Option<(String, Vec<u8>)>,
    /// User properties of CONNECT. Version 5 only.
    pub user_properties: PropertiesBuf,
    /// Messages with QoS 1 and 2 on their way to the broker.
    pub in_flight_max: u16,
    /// The same from the broker to us.
    pub receive_max: u16,
    /// The longest packet that is taken.
    pub packet_bytes_max: usize,
    /// Whether topics are shortened to numbers. Version 5 only.
    pub topic_aliases: bool,
    /// How late an acknowledgement may be before a message is written to flash.
    pub spill_delay: Duration,
    /// Time for the answer to CONNECT.
    pub connack_wait: Duration,
    /// Time for a sign of life after PINGREQ.
    pub ping_wait: Duration,
    /// Time for the first acknowledgement of what is on its way.
    pub stall_wait: Duration,
    /// The pause before a refused subscription is asked for again.
    pub resubscribe_pause: Duration,
    /// What this broker does not take.
    pub profile: Profile,
    /// Parts of the protocol that only a test switches off.
    #[doc(hidden)]
    pub rules: Rules,
}

impl Config {
    /// The defaults, for this client id.
    pub fn new(version: Version, client_id: &str) -> Config {
        Config {
            version,
            client_id: client_id.to_owned(),
            clean_start: false,
            session_expiry: None,
            keep_alive: MQTT_KEEP_ALIVE,
            will: None,
            user_name: None,
            password: None,
            authentication: None,
            user_properties: PropertiesBuf::new(),
            in_flight_max: MQTT_IN_FLIGHT_MESSAGES_MAX,
            receive_max: MQTT_RECEIVE_MESSAGES_MAX,
            packet_bytes_max: MQTT_PACKET_BYTES_MAX,
            topic_aliases: false,
            spill_delay: MQTT_SPILL_DELAY,
            connack_wait: MQTT_CONNACK_WAIT_MAX,
            ping_wait: MQTT_PING_WAIT_MAX,
            stall_wait: MQTT_STALL_WAIT_MAX,
            resubscribe_pause: MQTT_RESUBSCRIBE_PAUSE,
            profile: Profile::GENERIC,
            rules: Rules::default(),
        }
    }
}

impl Config {
    /// Whether a broker can be told all this. What it would close the connection for is said here
    /// and not by each connection in turn.
    ///
    /// # Errors
    /// Which part cannot be sent, and why.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.profile.check_client_id(&self.client_id)?;
        let method = self.authentication.as_ref().map(|(method, _)| method);
        let texts = [
            ("the client id", Some(&self.client_id)),
            ("the user name", self.user_name.as_ref()),
            ("the method of the authentication", method),
        ];
        for (what, text) in texts {
            check_text(what, text.map_or("", String::as_str))?;
        }
        let password = self.password.as_ref().map(|it| it.expose().len());
        check_length("the password", password.unwrap_or(0))?;
        check_properties("CONNECT", &self.user_properties, Place::Connect)?;
        self.will
            .as_ref()
            .map_or(Ok(()), |will| self.check_will(will))
    }

    fn check_will(&self, will: &WillMessage) -> Result<(), ConfigError> {
        topic::check_name(&will.topic).map_err(ConfigError::WillTopic)?;
        check_length("the will", will.payload.len())?;
        check_properties("the will", &will.properties, Place::Will)?;
        (self.profile)
            .check_message(&will.topic, will.payload.len(), will.qos)
            .map_err(ConfigError::Will)
    }
}

fn check_text(what: &'static str, text: &str) -> Result<(), ConfigError> {
    if let Some(character) = topic::unwelcome(text) {
        return Err(ConfigError::Character { what, character });
    }
    check_length(what, text.len())
}

fn check_length(what: &'static str, bytes: usize) -> Result<(), ConfigError> {
    let bytes_max = MQTT_STRING_BYTES_MAX;
    match bytes <= bytes_max {
        true => Ok(()),
        false => Err(ConfigError::TooLong(TooLong {
            what,
            bytes,
            bytes_max,
        })),
    }
}

fn check_properties(
    of: &'static str,
    properties: &PropertiesBuf,
    place: Place,
) -> Result<(), ConfigError> {
    match properties.as_properties().unsendable(place) {
        Some(what) => Err(ConfigError::Property { of, what }),
        None => Ok(()),
    }
}

/// A will that owns its parts.
#[derive(Clone, Debug)]
pub struct WillMessage {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// How hard.
    pub qos: QoS,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// Version 5 only; the delay is among them.
    pub properties: PropertiesBuf,
}

/// Parts of the session that a simulation takes out, to show that each is needed.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Rules {
    /// What was on its way is sent again when the broker kept the session.
    pub resend: bool,
    /// It begins again when the broker lost the session.
    pub begin_again: bool,
    /// The window holds for what is sent again.
    pub window_on_resend: bool,
    /// After PUBREC only PUBREL is sent again, and not the message.
    pub released_stays: bool,
    /// A message that came twice with QoS 2 is told once.
    pub dedup: bool,
    /// Received ids are forgotten when the broker lost the session.
    pub forget_received: bool,
    /// A durable message with QoS 2 leaves only when its packet id is on flash.
    pub durable_ids: bool,
    /// Its PUBREL leaves only when that is on flash.
    pub durable_release: bool,
    /// PUBCOMP for a message that is on flash leaves only when flash has forgotten its id.
    pub durable_forget: bool,
    /// After a bad end each packet id is released before it is used.
    pub release_doubtful: bool,
    /// What flash is to know of exchanges is written in their order, though writing fails.
    pub marks_in_order: bool,
    /// A copy on flash that could not be written for certain is removed all the same.
    pub doubt_failed: bool,
    /// A live message waits behind the backlog of its topic.
    pub behind_backlog: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            resend: true,
            begin_again: true,
            window_on_resend: true,
            released_stays: true,
            dedup: true,
            forget_received: true,
            durable_ids: true,
            durable_release: true,
            durable_forget: true,
            release_doubtful: true,
            marks_in_order: true,
            doubt_failed: true,
            behind_backlog: true,
        }
    }
}
