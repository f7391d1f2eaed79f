//! The types of the section `[mqtt]`.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use super::setting::{Element, Raw, Setting, mismatch, parse_text, quote};
use super::types::{checked_text, choice};
use crate::limits::{MQTT_ROUTES_MAX, MQTT_STRING_BYTES_MAX};
use crate::mqtt::address::Address;
use crate::mqtt::codec::QoS;
use crate::mqtt::route::{self, InRoute, OutRoute, Template};
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

checked_text! {
    /// A window of time.
    MqttSchedule,
    "anytime, never, day, night, midnight, weekdays, workhours or five fields of cron",
    |text| text.parse::<Schedule>().is_ok().then(|| text.to_owned())
}

fn is_text(text: &str) -> bool {
    (1..=MQTT_STRING_BYTES_MAX).contains(&text.len()) && !text.contains('\0')
}

impl MqttSchedule {
    /// Always.
    pub fn anytime() -> MqttSchedule {
        MqttSchedule::new("anytime").expect("this name is known")
    }

    /// The windows.
    pub fn schedule(&self) -> Schedule {
        let parsed = self.as_str().parse();
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

/// A rule between messages and the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route(pub route::Route);

impl Element for Route {
    const LIST_KIND: &'static str =
        "tables `[[mqtt.route]]` with `from` and `model`, or with `model` and `to`";
}

impl Setting for Route {
    const KIND: &'static str = "a table with `from` and `model`, or with `model` and `to`";

    fn parse(raw: &Raw, _: &Path) -> Result<Route, String> {
        let Raw::Table(keys) = raw else {
            return Err(mismatch::<Route>(raw));
        };
        parse_route(keys).map(Route)
    }

    fn show(&self) -> Option<String> {
        let mut shown = Vec::new();
        let mut text = |name: &str, value: &str| shown.push(format!("{name} = {}", quote(value)));
        let mut rest = Vec::new();
        match &self.0 {
            route::Route::In(route) => {
                text("from", &route.from);
                text("model", &route.model);
                if !route.set.is_empty() {
                    let set = route.set.iter();
                    let set = set.map(|(name, value)| {
                        format!("{} = {}", quote(name), quote(&value.source()))
                    });
                    let set: Vec<String> = set.collect();
                    rest.push(format!("set = {{ {} }}", set.join(", ")));
                }
                rest.push(format!("qos = {}", route.qos.level()));
            }
            route::Route::Out(route) => {
                text("model", &route.model);
                text("to", &route.to.source());
                if let Some(payload) = &route.payload {
                    text("payload", &payload.source());
                }
                rest.push(format!("qos = {}", route.qos.level()));
                rest.push(format!("retain = {}", route.retain));
                rest.push(format!("durable = {}", route.durable));
            }
        }
        shown.extend(rest);
        Some(format!("{{ {} }}", shown.join(", ")))
    }
}

fn parse_route(keys: &[(String, Raw)]) -> Result<route::Route, String> {
    let find = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, raw)| raw);
    let text = |name: &str| match find(name) {
        Some(Raw::Text(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!(
            "needs a text in `{name}`, not {}",
            other.describe()
        )),
        None => Ok(None),
    };
    let flag = |name: &str| match find(name) {
        Some(Raw::Bool(value)) => Ok(*value),
        Some(other) => Err(format!(
            "needs true or false in `{name}`, not {}",
            other.describe()
        )),
        None => Ok(false),
    };
    let template = |text: &str| Template::parse(text).map_err(|error| format!("is wrong: {error}"));
    let qos = match find("qos") {
        None => QoS::AtLeastOnce,
        Some(Raw::Integer(level)) => u8::try_from(*level)
            .ok()
            .and_then(QoS::from_level)
            .ok_or("needs 0, 1 or 2 in `qos`")?,
        Some(other) => {
            return Err(format!(
                "needs 0, 1 or 2 in `qos`, not {}",
                other.describe()
            ));
        }
    };
    let model = text("model")?.ok_or("needs the name of a model in `model`")?;
    match (text("from")?, text("to")?) {
        (Some(from), None) => {
            known(keys, &["from", "model", "set", "qos"])?;
            topic::Filter::parse(&from).map_err(|error| format!("has a wrong `from`: {error}"))?;
            let set = match find("set") {
                None => Vec::new(),
                Some(Raw::Table(set)) => set
                    .iter()
                    .map(|(name, raw)| match raw {
                        Raw::Text(text) => Ok((name.clone(), template(text)?)),
                        other => Err(format!("needs texts in `set`, not {}", other.describe())),
                    })
                    .collect::<Result<_, String>>()?,
                Some(other) => {
                    return Err(format!("needs a table in `set`, not {}", other.describe()));
                }
            };
            Ok(route::Route::In(InRoute {
                from,
                model,
                set,
                qos,
            }))
        }
        (None, Some(to)) => {
            known(
                keys,
                &["model", "to", "payload", "qos", "retain", "durable"],
            )?;
            let payload = text("payload")?;
            Ok(route::Route::Out(OutRoute {
                model,
                to: template(&to)?,
                payload: payload.map(|payload| template(&payload)).transpose()?,
                qos,
                retain: flag("retain")?,
                durable: flag("durable")?,
            }))
        }
        _ => Err("needs either `from` or `to`".to_owned()),
    }
}

fn known(keys: &[(String, Raw)], names: &[&str]) -> Result<(), String> {
    match keys.iter().find(|(key, _)| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some((key, _)) => {
            let near = crate::nearest::nearest(key, names.iter().copied());
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(format!("has no key `{key}`{near}"))
        }
    }
}

/// How many rules there may be.
pub(super) fn check_routes(routes: &[Route]) -> Result<(), String> {
    match routes.len() <= MQTT_ROUTES_MAX {
        true => Ok(()),
        false => Err(format!(
            "`mqtt.route` takes at most {MQTT_ROUTES_MAX} rules"
        )),
    }
}
