//! Values and numbers inside things that serde writes and reads.

use super::super::{Map, Number, Set, Value};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// The names by which the types of this module know each other through serde.
pub(super) const NUMBER: &str = "$periwinkle::Number";
pub(super) const SET: &str = "$periwinkle::Set";

impl Serialize for Number {
    /// As a number where this module writes; elsewhere as its text, which keeps all digits.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NUMBER, &self.to_string())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        deserializer.deserialize_newtype_struct(NUMBER, NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of up to 38 digits")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Number, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
        Ok(Number::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
        Ok(Number::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Number, E> {
        Number::try_from(value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
        text.parse().map_err(E::custom)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Number(number) => number.serialize(serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Binary(bytes) => serializer.serialize_bytes(bytes),
            Value::List(list) => list.serialize(serializer),
            Value::Map(map) => map.serialize(serializer),
            Value::Set(set) => set.serialize(serializer),
        }
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Set {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members: Vec<Value> = match self {
            Set::Strings(set) => set.iter().map(Value::from).collect(),
            Set::Numbers(set) => set.iter().copied().map(Value::from).collect(),
            Set::Binaries(set) => set.iter().cloned().map(Value::from).collect(),
        };
        serializer.serialize_newtype_struct(SET, &members)
    }
}

/// The set of these members, which must be of one kind.
pub(super) fn set_of(members: Vec<Value>) -> Option<Set> {
    match members.first()? {
        Value::String(_) => members.iter().map(Value::as_str).collect::<Option<Set>>(),
        Value::Number(_) => {
            let numbers = members.iter().map(|member| member.as_number().copied());
            numbers.collect::<Option<_>>().map(Set::Numbers)
        }
        Value::Binary(_) => {
            let binaries = members
                .iter()
                .map(|member| Some(member.as_bytes()?.to_vec()));
            binaries.collect::<Option<_>>().map(Set::Binaries)
        }
        _ => None,
    }
}

/// A number from text, for serializers and deserializers.
pub(super) fn number(text: &str) -> Result<Number, super::TypedError> {
    let number = text.parse::<Number>();
    number.map_err(|reason| super::TypedError::custom(format!("{text} cannot be kept: {reason}")))
}
