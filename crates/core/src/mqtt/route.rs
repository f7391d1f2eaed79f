//! Rules that carry messages into the database, and changes of the database out: what is read from
//! the configuration, and what is made of a message or an item.

use super::codec::QoS;
use super::outbox::Class;
use super::policy::{Profile, ProfileError};
use super::topic::{self, Filter};
use crate::schema::{PropertyError, Schema};
use crate::value::{self, Map, Value};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// From a topic into a model.
    In(InRoute),
    /// From a model to a topic.
    Out(OutRoute),
}

/// Messages become items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InRoute {
    /// The messages.
    pub from: String,
    /// What they become.
    pub model: String,
    /// Properties of the item. With none, the payload is a JSON object that holds them.
    pub set: Vec<(String, Template)>,
    /// How hard they are asked for.
    pub qos: QoS,
}

/// Changed items become messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutRoute {
    /// Whose changes.
    pub model: String,
    /// Where they are published.
    pub to: Template,
    /// What is published; without, the item as JSON.
    pub payload: Option<Template>,
    /// How hard.
    pub qos: QoS,
    /// Whether the broker keeps the last one.
    pub retain: bool,
    /// Whether it is on flash before it counts as published.
    pub durable: bool,
    /// What goes first when the link is slow.
    pub class: Class,
}

/// A text with places for values: `up/${deviceId}/${name}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    Value(String),
}

/// What is wrong with a template, or with what it is filled with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// `${` without its end.
    #[error("`${{` without a `}}` in {0:?}")]
    Open(String),
    /// There is no such value.
    #[error("there is no value for ${{{0}}}")]
    Missing(String),
    /// A value would change the levels of the topic.
    #[error("the value of ${{{0}}} holds a `/`, which would change the levels of the topic")]
    Level(String),
    /// No topic came out.
    #[error("{topic:?}: {source}")]
    Topic {
        /// What came out.
        topic: String,
        /// Why it is none.
        source: topic::TopicError,
    },
    /// Its model or a property of it is not in the schema.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// Nothing has this value.
    #[error("nothing has the value ${{{name}}}: {known}")]
    Unknown {
        /// Its name.
        name: String,
        /// What there is.
        known: &'static str,
    },
    /// No filter.
    #[error("{0}")]
    Filter(topic::TopicError),
    /// The broker takes no such messages.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The payload holds no properties.
    #[error("the payload is no JSON object")]
    Payload,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A place is not closed.
    pub fn parse(text: &str) -> Result<Template, RouteError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| RouteError::Open(text.to_owned()))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Value(name.trim().to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template(parts))
    }

    /// The text as it was read.
    pub fn source(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(name) => format!("${{{name}}}"),
        });
        parts.collect()
    }

    fn check(&self, has: impl Fn(&str) -> bool, known: &'static str) -> Result<(), RouteError> {
        let mut names = self.0.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name),
            Part::Text(_) => None,
        });
        match names.find(|name| !has(name)) {
            None => Ok(()),
            Some(name) => Err(RouteError::Unknown {
                name: name.clone(),
                known,
            }),
        }
    }

    fn fill(
        &self,
        mut value: impl FnMut(&str) -> Result<Option<String>, RouteError>,
    ) -> Result<String, RouteError> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(name) => {
                    let value = value(name)?;
                    out.push_str(&value.ok_or_else(|| RouteError::Missing(name.clone()))?);
                }
            }
        }
        Ok(out)
    }
}

impl Route {
    /// Whether the rule can work: model and properties are in the schema, each value comes from
    /// somewhere, and the broker takes what is asked of it. `context` are the values that items do
    /// not have themselves.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(
        &self,
        schema: &Schema,
        context: &[&str],
        profile: &Profile,
    ) -> Result<(), RouteError> {
        match self {
            Route::In(route) => {
                let model = schema.model(&route.model)?;
                for (name, template) in &route.set {
                    model.known_field(name)?;
                    template.check(is_of_message, OF_MESSAGE)?;
                }
                let filter = route.filter().map_err(RouteError::Filter)?;
                profile.check_filter(filter, route.qos)?;
            }
            Route::Out(route) => {
                let model = schema.model(&route.model)?;
                let has = |name: &str| model.field(name).is_some() || context.contains(&name);
                for template in [Some(&route.to), route.payload.as_ref()] {
                    let Some(template) = template else { continue };
                    template.check(has, OF_ITEM)?;
                }
                profile.check_route(&route.to.source(), route.qos)?;
            }
        }
        Ok(())
    }
}

const OF_MESSAGE: &str = "there are ${payload}, ${payload.NAME}, ${topic} and ${topic.N}";
const OF_ITEM: &str = "there are the properties of the model and ${deviceId}";

fn is_of_message(name: &str) -> bool {
    match name.split_once('.') {
        None => matches!(name, "payload" | "topic"),
        Some(("topic", level)) => level.parse::<usize>().is_ok(),
        Some((of, _)) => of == "payload",
    }
}

impl InRoute {
    /// The filter of the messages.
    pub fn filter(&self) -> Result<Filter<'_>, topic::TopicError> {
        Filter::parse(&self.from)
    }

    /// The properties of the item, with those of `set` as texts. Values are `${payload}`,
    /// `${payload.NAME}` for a member of a JSON object, `${topic}`, and `${topic.N}` for a level of
    /// it, from 0.
    ///
    /// # Errors
    /// Why there is no item in this message.
    pub fn item(&self, topic: &str, payload: &[u8]) -> Result<Found, RouteError> {
        let json = || match value::json::parse_bytes(payload).ok()? {
            Value::Map(map) => Some(map),
            _ => None,
        };
        if self.set.is_empty() {
            return json().map(Found::Properties).ok_or(RouteError::Payload);
        }
        let member = |name: &str| json().and_then(|map| map.get(name).map(text_of));
        let value = |name: &str| match name.split_once('.') {
            None if name == "topic" => Some(topic.to_owned()),
            None if name == "payload" => Some(String::from_utf8_lossy(payload).into_owned()),
            Some(("topic", level)) => {
                let level = level.parse().ok()?;
                topic.split('/').nth(level).map(str::to_owned)
            }
            Some(("payload", name)) => member(name),
            _ => None,
        };
        let texts = self.set.iter().map(|(name, template)| {
            let text = template.fill(|name| Ok(value(name)))?;
            Ok((name.clone(), text))
        });
        texts.collect::<Result<_, _>>().map(Found::Texts)
    }
}

/// What a message says about an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Its properties.
    Properties(Map),
    /// Texts that the model's types make properties of.
    Texts(Vec<(String, String)>),
}

impl OutRoute {
    /// Topic and payload of an item's message. Values are the properties of the item, and what
    /// `context` has, such as `deviceId`.
    ///
    /// # Errors
    /// Why there is no message for this item.
    pub fn message(&self, item: &Map, context: &Map) -> Result<(String, String), RouteError> {
        let value = |name: &str| item.get(name).or_else(|| context.get(name)).map(text_of);
        let topic = self.to.fill(|name| {
            let value = value(name);
            match value.as_ref().is_some_and(|value| value.contains('/')) {
                true => Err(RouteError::Level(name.to_owned())),
                false => Ok(value),
            }
        })?;
        if let Err(source) = topic::check_name(&topic) {
            return Err(RouteError::Topic { topic, source });
        }
        let payload = match &self.payload {
            Some(template) => template.fill(|name| Ok(value(name)))?,
            None => item.to_json(),
        };
        Ok((topic, payload))
    }
}

/// A value as text: a string as it is, everything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => other.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    fn inward(set: &[(&str, &str)]) -> InRoute {
        InRoute {
            from: "dev/+/set".to_owned(),
            model: "Setting".to_owned(),
            set: (set.iter())
                .map(|(name, text)| ((*name).to_owned(), template(text)))
                .collect(),
            qos: QoS::AtLeastOnce,
        }
    }

    fn outward(to: &str, payload: Option<&str>) -> OutRoute {
        OutRoute {
            model: "Setting".to_owned(),
            to: template(to),
            payload: payload.map(template),
            qos: QoS::AtLeastOnce,
            retain: false,
            durable: false,
            class: Class::Normal,
        }
    }

    #[test]
    fn a_template_is_read_and_shown_again() {
        for text in ["", "a", "${a}", "a/${b}/c${d}", "$a{b}"] {
            assert_eq!(template(text).source(), text);
        }
        assert_eq!(
            Template::parse("a${b"),
            Err(RouteError::Open("a${b".to_owned()))
        );
    }

    #[test]
    fn a_message_becomes_the_properties_that_its_rule_sets() {
        let route = inward(&[
            ("id", "${topic.1}"),
            ("value", "${payload.v} of ${payload}"),
        ]);
        let found = route.item("dev/led/set", br#"{"v":1.5}"#).unwrap();
        let texts = [("id", "led"), ("value", r#"1.5 of {"v":1.5}"#)];
        let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(found, Found::Texts(texts.to_vec()));
        let missing = route.item("dev/led/set", b"1.5");
        assert_eq!(missing, Err(RouteError::Missing("payload.v".to_owned())));
    }

    #[test]
    fn without_settings_the_payload_is_the_item() {
        let Found::Properties(item) = inward(&[]).item("t", br#"{"id":"a"}"#).unwrap() else {
            panic!("no properties");
        };
        assert_eq!(item.get("id"), Some(&Value::from("a")));
        for payload in [&b"[1]"[..], b"", b"\xff"] {
            assert_eq!(inward(&[]).item("t", payload), Err(RouteError::Payload));
        }
    }

    #[test]
    fn an_item_becomes_a_message() {
        let item = Map::from([("id", Value::from("led")), ("on", Value::from(true))]);
        let context = Map::from([("deviceId", Value::from("pump-7"))]);
        let made = outward("up/${deviceId}/${id}", None).message(&item, &context);
        let json = r#"{"id":"led","on":true}"#;
        assert_eq!(made, Ok(("up/pump-7/led".to_owned(), json.to_owned())));
        let made = outward("up", Some("${id}=${on}")).message(&item, &context);
        assert_eq!(made, Ok(("up".to_owned(), "led=true".to_owned())));
    }

    #[test]
    fn a_rule_that_cannot_work_is_found_before_there_is_a_message() {
        let text = r#"{"format": "onetable:1.1.0", "version": "1.0.0", "indexes": {"primary": {"hash": "pk",
            "sort": "sk"}}, "models": {"Setting": {"pk": {"type": "string", "value": "S#"}, "sk": {"type":
            "string", "value": "S#${id}"}, "id": {"type": "string"}, "value": {"type": "string"}}}}"#;
        let schema = Schema::parse(text).unwrap();
        let check = |route: &Route| {
            let checked = route.check(&schema, &["deviceId"], &Profile::AWS_IOT);
            checked.map_err(|error| error.to_string())
        };
        let good = inward(&[("id", "${topic.1}"), ("value", "${payload.v}${payload}")]);
        assert_eq!(check(&Route::In(good.clone())), Ok(()));
        let out = outward("up/${deviceId}/${id}", Some("${value}"));
        assert_eq!(check(&Route::Out(out.clone())), Ok(()));
        let says = |route: Route, words: &str| {
            let told = check(&route).unwrap_err();
            assert!(told.contains(words), "{told}");
        };
        let model = "Sitting".to_owned();
        says(
            Route::In(InRoute {
                model,
                ..good.clone()
            }),
            "no model \"Sitting\"",
        );
        let model = "Sitting".to_owned();
        says(
            Route::Out(OutRoute {
                model,
                ..out.clone()
            }),
            "no model \"Sitting\"",
        );
        says(Route::In(inward(&[("idd", "x")])), "idd");
        for value in ["${topic.x}", "${id}", "${}"] {
            says(Route::In(inward(&[("id", value)])), "nothing has the value");
        }
        says(Route::Out(outward("${nonsense}", None)), "${nonsense}");
        says(Route::Out(outward("t", Some("${nonsense}"))), "${nonsense}");
        let qos = QoS::ExactlyOnce;
        says(Route::In(InRoute { qos, ..good }), "QoS");
        says(Route::Out(OutRoute { qos, ..out }), "QoS");
        says(
            Route::Out(outward("1/2/3/4/5/6/7/8/9/${id}", None)),
            "slashes",
        );
    }

    #[test]
    fn a_value_cannot_change_what_a_topic_is() {
        let message = |id: &str| {
            let item = Map::from([("id", Value::from(id))]);
            outward("up/${id}", None).message(&item, &Map::new())
        };
        assert_eq!(message("a/b"), Err(RouteError::Level("id".to_owned())));
        assert!(matches!(message("+"), Err(RouteError::Topic { .. })));
    }
}
