//! Rules that carry messages into the database, and changes of the database out: what is read from
//! the configuration, and what is made of a message or an item.

use super::codec::QoS;
use super::outbox::Class;
use super::policy::{Profile, ProfileError};
use super::topic::{self, Filter};
use crate::schema::{Field, Model, PropertyError, Schema};
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
    /// Whether its messages may come back as items of the same model.
    pub circular: bool,
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
    /// Nothing is published to several topics.
    #[error("a topic to publish to cannot hold `+` or `#`")]
    Wildcard,
    /// No topic that matches has so many levels.
    #[error(
        "nothing has the value ${{topic.{level}}}: topics that match {from:?} have the levels 0 to {last}"
    )]
    NoLevel {
        /// The level that was asked for.
        level: usize,
        /// The filter.
        from: String,
        /// The last level that there is.
        last: usize,
    },
    /// No item can be found or made.
    #[error("`set` has no {name:?}, by which items of {model:?} are named")]
    NoKey {
        /// The model.
        model: String,
        /// The property.
        name: String,
    },
    /// Nothing is on flash before a message with QoS 0 leaves.
    #[error("`durable` needs `qos` 1 or 2")]
    DurableAtMostOnce,
    /// A change would be published, come back as a change, be published...
    #[error(
        "its messages come back as items of {model:?} by the rule with from = {from:?}, and would \
         be published again, for ever; choose another topic, or say `circular = true`"
    )]
    Loop {
        /// The model.
        model: String,
        /// The rule by which they come back.
        from: String,
    },
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

    /// Whether a topic that is made from it may match. Values hold no `/`.
    fn may_match(&self, filter: Filter<'_>) -> bool {
        let levels = self.levels();
        let begins = matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with('$'));
        let mut count = 0;
        for wanted in filter.matching().split('/') {
            let is_any = wanted == "+" || wanted == "#";
            if count == 0 && is_any && begins {
                return false;
            }
            if wanted == "#" {
                return true;
            }
            match levels.get(count) {
                Some(level) if is_any || may_be(level, wanted) => count += 1,
                _ => return false,
            }
        }
        count == levels.len()
    }

    /// The parts of each level of a topic.
    fn levels(&self) -> Vec<Vec<Part>> {
        let mut levels = vec![Vec::new()];
        for part in &self.0 {
            let Part::Text(text) = part else {
                levels.last_mut().expect("there is one").push(part.clone());
                continue;
            };
            for (number, text) in text.split('/').enumerate() {
                if number > 0 {
                    levels.push(Vec::new());
                }
                let level = levels.last_mut().expect("there is one");
                level.push(Part::Text(text.to_owned()));
            }
        }
        levels
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
                route.check_levels(filter)?;
                route.check_key(model, context)?;
                profile.check_filter(filter, route.qos)?;
            }
            Route::Out(route) => {
                let model = schema.model(&route.model)?;
                let has = |name: &str| model.field(name).is_some() || context.contains(&name);
                for template in [Some(&route.to), route.payload.as_ref()] {
                    let Some(template) = template else { continue };
                    template.check(has, OF_ITEM)?;
                }
                let is_wild = |part: &Part| match part {
                    Part::Text(text) => text.contains(['+', '#']),
                    Part::Value(_) => false,
                };
                if route.to.0.iter().any(is_wild) {
                    return Err(RouteError::Wildcard);
                }
                if route.durable && route.qos == QoS::AtMostOnce {
                    return Err(RouteError::DurableAtMostOnce);
                }
                profile.check_route(&route.to.source(), route.qos)?;
            }
        }
        Ok(())
    }
}

/// Whether no change can be published, come back as a change, and so on for ever. Rules that are
/// [circular](OutRoute::circular) may.
///
/// # Errors
/// The place in `routes` of the first rule for which that is so, and why.
pub fn check_loops(routes: &[Route]) -> Result<(), (usize, RouteError)> {
    let outward = |model: &str| {
        let of_model = move |route: &&OutRoute| route.model == model && !route.circular;
        let out = routes.iter().filter_map(|route| match route {
            Route::Out(out) => Some(out),
            Route::In(_) => None,
        });
        out.filter(of_model).collect::<Vec<_>>()
    };
    for (place, route) in routes.iter().enumerate() {
        let Route::Out(first) = route else { continue };
        let mut reached: Vec<&str> = Vec::new();
        let mut going = vec![first];
        while let Some(out) = going.pop().filter(|out| !out.circular) {
            for inward in out.back(routes) {
                let (model, from) = (inward.model.as_str(), inward.from.clone());
                if model == first.model {
                    let model = model.to_owned();
                    return Err((place, RouteError::Loop { model, from }));
                }
                if !reached.contains(&model) {
                    reached.push(model);
                    going.extend(outward(model));
                }
            }
        }
    }
    Ok(())
}

/// Whether these parts of a level may become this text.
fn may_be(parts: &[Part], text: &str) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((Part::Text(fixed), rest)) => text
            .strip_prefix(fixed.as_str())
            .is_some_and(|text| may_be(rest, text)),
        Some((Part::Value(_), rest)) => {
            let mut ends = (0..=text.len()).filter_map(|end| text.get(end..));
            ends.any(|text| may_be(rest, text))
        }
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
    /// Whether topics have the levels that are asked for. How many a `#` stands for is not known.
    fn check_levels(&self, filter: Filter<'_>) -> Result<(), RouteError> {
        let levels = filter.matching().split('/');
        if filter.matching().ends_with('#') {
            return Ok(());
        }
        let last = levels.count() - 1;
        let parts = self.set.iter().flat_map(|(_, template)| &template.0);
        for part in parts {
            let Part::Value(name) = part else { continue };
            let level = name
                .strip_prefix("topic.")
                .and_then(|level| level.parse().ok());
            if let Some(level) = level.filter(|level| *level > last) {
                let from = self.from.clone();
                return Err(RouteError::NoLevel { level, from, last });
            }
        }
        Ok(())
    }

    /// Whether it names an item. What a payload names shows when it comes.
    fn check_key(&self, model: &Model, context: &[&str]) -> Result<(), RouteError> {
        let is_given = |name: &str| {
            let is_made = |field: &Field| {
                field.generate().is_some()
                    || field.default().is_some()
                    || field.template().is_some()
            };
            self.set.iter().any(|(set, _)| set == name)
                || context.contains(&name)
                || model.field(name).is_none_or(is_made)
        };
        let mut names = model.key_variables().iter();
        match names.find(|name| !self.set.is_empty() && !is_given(name.as_str())) {
            None => Ok(()),
            Some(name) => Err(RouteError::NoKey {
                model: self.model.clone(),
                name: name.to_string(),
            }),
        }
    }

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
        let member = |name: &str| {
            let map = json().ok_or(RouteError::Payload)?;
            // Null is how JSON says that there is none.
            let value = map.get(name).filter(|value| **value != Value::Null);
            Ok(value.map(text_of))
        };
        let level = |level: &str| topic.split('/').nth(level.parse().ok()?).map(str::to_owned);
        let value = |name: &str| match name.split_once('.') {
            None if name == "topic" => Ok(Some(topic.to_owned())),
            None if name == "payload" => Ok(Some(String::from_utf8_lossy(payload).into_owned())),
            Some(("topic", number)) => Ok(level(number)),
            Some(("payload", name)) => member(name),
            _ => Ok(None),
        };
        let texts = self.set.iter().map(|(name, template)| {
            let text = template.fill(value)?;
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
    /// The rules that may take its messages.
    fn back<'a>(&'a self, routes: &'a [Route]) -> impl Iterator<Item = &'a InRoute> {
        routes.iter().filter_map(|route| match route {
            Route::In(inward) => {
                let filter = inward.filter().ok()?;
                self.to.may_match(filter).then_some(inward)
            }
            Route::Out(_) => None,
        })
    }

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
            circular: false,
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
        for payload in [&br#"{"w":1}"#[..], br#"{"v":null}"#] {
            let missing = route.item("dev/led/set", payload);
            assert_eq!(missing, Err(RouteError::Missing("payload.v".to_owned())));
        }
        let no_json = route.item("dev/led/set", b"1.5");
        assert_eq!(no_json, Err(RouteError::Payload));
    }

    #[test]
    fn a_change_that_comes_back_as_a_change_is_found() {
        let from = |from: &str, model: &str| {
            Route::In(InRoute {
                from: from.to_owned(),
                model: model.to_owned(),
                ..inward(&[])
            })
        };
        let to = |model: &str, to: &str| {
            Route::Out(OutRoute {
                model: model.to_owned(),
                ..outward(to, None)
            })
        };
        let loops = [
            ("settings/#", "settings/${id}"),
            ("settings/+", "settings/${id}"),
            ("#", "settings/${id}"),
            ("settings/led", "settings/${id}"),
            ("settings/led", "settings/l${id}d"),
            ("settings/#", "settings"),
            ("+/set", "${deviceId}/set"),
            ("$share/g/a/+", "a/${id}"),
            ("a/x-y-z", "a/${id}-${deviceId}"),
        ];
        for (filter, topic) in loops {
            let model = "A".to_owned();
            let expected = RouteError::Loop {
                model,
                from: filter.to_owned(),
            };
            let routes = [from(filter, "A"), to("A", topic)];
            assert_eq!(check_loops(&routes), Err((1, expected)), "{filter} {topic}");
        }
        let fine = [
            ("settings/+", "settings/${id}/state"),
            ("settings/+/set", "settings/${id}"),
            ("settings/led", "settings/m${id}"),
            ("settings/led", "settings/led${id}s"),
            ("#", "$aws/rules/x/${id}"),
            ("settings", "settings/${id}"),
        ];
        for (filter, topic) in fine {
            let routes = [from(filter, "A"), to("A", topic)];
            assert_eq!(check_loops(&routes), Ok(()), "{filter} {topic}");
        }
        let routes = [
            from("a/#", "A"),
            to("A", "b"),
            from("b", "B"),
            to("B", "a/b"),
        ];
        assert!(matches!(
            check_loops(&routes),
            Err((1, RouteError::Loop { .. }))
        ));
        assert_eq!(check_loops(&routes[..3]), Ok(()));
        // A circle that is meant says nothing of another one through the same model.
        let meant = Route::Out(OutRoute {
            model: "B".to_owned(),
            circular: true,
            ..outward("a/c", None)
        });
        let routes = [&routes[..], &[meant]].concat();
        assert!(matches!(
            check_loops(&routes),
            Err((1, RouteError::Loop { .. }))
        ));
        let mut circular = [from("a/#", "A"), to("A", "a/b")];
        let Route::Out(out) = &mut circular[1] else {
            panic!("it is out")
        };
        out.circular = true;
        assert_eq!(check_loops(&circular), Ok(()));
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
        says(Route::In(inward(&[("id", "${topic.3}")])), "levels 0 to 2");
        let deep = InRoute {
            from: "dev/#".to_owned(),
            ..inward(&[("id", "${topic.9}")])
        };
        assert_eq!(check(&Route::In(deep)), Ok(()));
        says(Route::In(inward(&[("value", "x")])), "no \"id\"");
        says(Route::Out(outward("a/+/${id}", None)), "`+`");
        says(Route::Out(outward("a/#", None)), "`#`");
        let (durable, qos) = (true, QoS::AtMostOnce);
        says(
            Route::Out(OutRoute {
                durable,
                qos,
                ..out.clone()
            }),
            "`durable`",
        );
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
