//! The types of the section `[mqtt]`.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use super::setting::{Element, Raw, Setting, mismatch, parse_text, quote};
use super::types::{checked_text, choice};
use crate::limits::MQTT_STRING_BYTES_MAX;
use crate::mqtt::address::Address;
use crate::mqtt::codec::QoS;
use crate::mqtt::outbox::Class;
use crate::mqtt::topic;
use crate::schedule::Schedule;
use crate::secret::Secret;

choice! {
    /// The version of the protocol.
    MqttVersion, "\"5\" or \"3.1.1\"" {
        /// 5.0.
        V5 = "5",
        /// 3.1.1.
        V311 = "3.1.1",
    }
}

choice! {
    /// What kind of broker it is.
    BrokerProfile, "\"generic\" or \"aws-iot\"" {
        /// Any.
        Generic = "generic",
        /// AWS IoT Core, with its limits.
        AwsIot = "aws-iot",
    }
}

choice! {
    /// What happens to a message for which there is no room.
    Overflow, "\"refuse\" or \"drop-oldest\"" {
        /// It is refused.
        Refuse = "refuse",
        /// The oldest of the lowest class makes room.
        DropOldest = "drop-oldest",
    }
}

checked_text! {
    /// What a client is called at the broker.
    ClientId,
    "a client id of 1 to 65,535 bytes, such as \"pump-7\"",
    |text| is_text(text).then(|| text.to_owned())
}

checked_text! {
    /// A text of the protocol, such as a user's name.
    UserName,
    "a text of 1 to 65,535 bytes",
    |text| is_text(text).then(|| text.to_owned())
}

checked_text! {
    /// A topic to publish to.
    Topic,
    "a topic without `+` and `#`, such as \"pump/7/state\"",
    |text| topic::check_name(text).is_ok().then(|| text.to_owned())
}

checked_text! {
    /// A topic filter.
    TopicFilter,
    "a topic filter, such as \"alarm/#\"",
    |text| topic::Filter::parse(text).is_ok().then(|| text.to_owned())
}

checked_text! {
    /// The name of a protocol under TLS.
    Alpn,
    "a protocol's name of 1 to 255 bytes, such as \"x-amzn-mqtt-ca\"",
    |text| (1..=255).contains(&text.len()).then(|| text.to_owned())
}

/// A window of time, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MqttSchedule(String);

impl Setting for MqttSchedule {
    const KIND: &'static str =
        "anytime, never, day, night, midnight, weekdays, workhours or five fields of cron";

    fn parse(raw: &Raw, _: &Path) -> Result<MqttSchedule, String> {
        parse_text(raw, |text| match text.parse::<Schedule>() {
            Ok(_) => Ok(MqttSchedule(text.to_owned())),
            Err(error) => Err(format!("has a mistake: {error}")),
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0))
    }
}

fn is_text(text: &str) -> bool {
    (1..=MQTT_STRING_BYTES_MAX).contains(&text.len()) && !text.contains('\0')
}

impl MqttSchedule {
    /// Always.
    pub fn anytime() -> MqttSchedule {
        MqttSchedule("anytime".to_owned())
    }

    /// The windows.
    pub fn schedule(&self) -> Schedule {
        let parsed = self.0.parse();
        parsed.expect("it was parsed before")
    }
}

impl Element for TopicFilter {
    const LIST_KIND: &'static str = "a list of topic filters, such as `[\"alarm/#\"]`";
}

impl Element for Alpn {
    const LIST_KIND: &'static str = "a list of protocols, such as `[\"x-amzn-mqtt-ca\"]`";
}

/// The address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broker(pub Address);

impl Setting for Broker {
    const KIND: &'static str = "a broker's address, such as \"mqtts://broker.example\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Broker, String> {
        parse_text(raw, |text| {
            let address = text.parse().map(Broker);
            address.map_err(|error| format!("must be {}: {error}", Broker::KIND))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0.to_string()))
    }
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Secret);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Passwords have no order; a key has no bounds for them.
impl PartialOrd for Password {
    fn partial_cmp(&self, other: &Password) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Setting for Password {
    const KIND: &'static str = "a password";

    fn parse(raw: &Raw, _: &Path) -> Result<Password, String> {
        match raw {
            Raw::Text(text) | Raw::Loose(text) => Ok(Password(Secret::from(text.as_str()))),
            _ => Err("must be a text".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote("(hidden)"))
    }
}

/// What goes first.
impl Setting for Class {
    const KIND: &'static str = "\"high\", \"normal\" or \"low\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Class, String> {
        parse_text(raw, |text| {
            let class = Class::ALL.into_iter().find(|class| class.as_str() == text);
            class.ok_or_else(|| mismatch::<Class>(raw))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(self.as_str()))
    }
}

/// How hard both sides try.
impl Setting for QoS {
    const KIND: &'static str = "0, 1 or 2";

    fn parse(raw: &Raw, base: &Path) -> Result<QoS, String> {
        let level = u32::parse(raw, base).ok();
        let level = level.and_then(|level| u8::try_from(level).ok());
        let quality = level.and_then(QoS::from_level);
        quality.ok_or_else(|| mismatch::<QoS>(raw))
    }

    fn show(&self) -> Option<String> {
        Some(self.level().to_string())
    }
}
