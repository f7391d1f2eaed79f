//! Rules between messages and the database: one element of `[[mqtt.route]]`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::mqtt::TopicFilter;
use super::setting::{Raw, Setting, parse_text, quote};
use super::table::{Field, Given, Table, table};
use super::types::checked_text;
use crate::limits::MQTT_ROUTES_MAX;
use crate::mqtt::codec::QoS;
use crate::mqtt::outbox::Class;
use crate::mqtt::route::{self, Template};

/// A rule between messages and the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// From a topic into a model.
    In(InRoute),
    /// From a model to a topic.
    Out(OutRoute),
}

table! {
    /// Messages become items.
    InRoute {
        /// The messages.
        from: TopicFilter;
        /// What they become.
        model: ModelName;
        /// Properties of the item, of `${payload}`, `${payload.NAME}`, `${topic}` and
        /// `${topic.N}`. Unset: the payload is a JSON object that holds them.
        set: BTreeMap<String, Template> = BTreeMap::new();
        /// How hard they are asked for.
        qos: QoS = QoS::AtLeastOnce;
    }
}

table! {
    /// Changed items become messages.
    OutRoute {
        /// Whose changes.
        model: ModelName;
        /// Where they are published, of `${deviceId}` and properties of the item.
        to: Template;
        /// What is published. Unset: the item as JSON.
        payload: Option<Template> = None;
        /// How hard.
        qos: QoS = QoS::AtLeastOnce;
        /// Whether the broker keeps the last one.
        retain: bool = false;
        /// Whether it is on flash before it counts as published.
        durable: bool = false;
        /// What goes first when the link is slow.
        class: Class = Class::Normal;
    }
}

impl Table for Route {
    const ARRAY_KIND: &'static str = "tables `[[mqtt.route]]` with `from` and `model`, or with \
        `model` and `to`, or a list of texts such as `[\"alarm/#; model=Alarm\"]`";
    const TABLE_KIND: &'static str = "a table, or a text such as \"alarm/#; model=Alarm\"";
    const TABLES: &'static [&'static [Field]] = &[InRoute::FIELDS, OutRoute::FIELDS];
    const COUNT_MAX: usize = MQTT_ROUTES_MAX;

    fn read(given: &Given<'_>) -> Result<Route, String> {
        match (given.has("from"), given.has("to")) {
            (true, false) => InRoute::of(given).map(Route::In),
            (false, true) => OutRoute::of(given).map(Route::Out),
            _ => Err("needs either `from` or `to`".to_owned()),
        }
    }

    fn pieces(&self) -> Vec<String> {
        match self {
            Route::In(route) => route.texts(),
            Route::Out(route) => route.texts(),
        }
    }
}

impl Route {
    /// The rule that works on messages.
    pub fn rule(&self) -> route::Route {
        match self.clone() {
            Route::In(rule) => route::Route::In(route::InRoute {
                from: rule.from.to_string(),
                model: rule.model.to_string(),
                set: rule.set.into_iter().collect(),
                qos: rule.qos,
            }),
            Route::Out(rule) => route::Route::Out(route::OutRoute {
                model: rule.model.to_string(),
                to: rule.to,
                payload: rule.payload,
                qos: rule.qos,
                retain: rule.retain,
                durable: rule.durable,
                class: rule.class,
            }),
        }
    }
}

checked_text! {
    /// The name of a model.
    ModelName,
    "the name of a model, such as \"Setting\"",
    |text| (!text.is_empty()).then(|| text.to_owned())
}

impl Setting for Template {
    const KIND: &'static str = "a text with places for values, such as \"up/${deviceId}\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Template, String> {
        parse_text(raw, |text| {
            Template::parse(text).map_err(|error| format!("is no template: {error}"))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.source()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Route, String> {
        Route::parse(&Raw::Text(text.to_owned()), Path::new(""))
    }

    #[test]
    fn rules_of_both_directions_are_read_and_shown() {
        for (text, shown) in [
            ("alarm/#; model=Alarm", "from=alarm/#; model=Alarm; qos=1"),
            (
                "from=a; model=A; set.id=${topic.1}; set.v=\"a; b\"; qos=0",
                "from=a; model=A; set.id=${topic.1}; set.v=\\\"a; b\\\"; qos=0",
            ),
            (
                "model=A; to=a/${id}; payload={\"v\": ${v}}; retain=true",
                "model=A; to=a/${id}; payload={\\\"v\\\": ${v}}; qos=1; retain=true; \
                 durable=false; class=normal",
            ),
        ] {
            let route = parsed(text).unwrap();
            assert_eq!(route.show(), Some(format!("\"{shown}\"")));
        }
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_told() {
        for (text, expected) in [
            ("model=A", "needs either `from` or `to`"),
            ("a; model=A; to=b", "needs either `from` or `to`"),
            ("from=a", "needs the key `model`"),
            ("a; model=A; retain=true", "has no key `retain`"),
            (
                "a/#/b; model=A",
                "has a wrong `from`: it must be a topic filter, such as \"alarm/#\", not \
                 \"a/#/b\"",
            ),
            (
                "a; model=A; qos=3",
                "has a wrong `qos`: it must be 0, 1 or 2, not \"3\"",
            ),
            (
                "model=A; to=${id",
                "has a wrong `to`: it is no template: `${` without a `}` in \"${id\"",
            ),
        ] {
            assert_eq!(parsed(text), Err(expected.to_owned()), "{text}");
        }
    }
}
