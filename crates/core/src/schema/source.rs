//! The text of a schema as a tree that keeps the order of keys, and where in the text a key stands.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::error::{Place, SchemaError};
use crate::limits::{SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX};
use crate::value::{Map, Number, Value};

/// A JSON5 value, its keys in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// What the value is, for messages.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Object(_) => "an object",
        }
    }

    /// The same value without the order of keys.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Node::Null => Value::Null,
            Node::Bool(flag) => Value::Bool(*flag),
            Node::Number(number) => Value::Number(*number),
            Node::Text(text) => Value::String(text.clone()),
            Node::List(items) => Value::List(items.iter().map(Node::to_value).collect()),
            Node::Object(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, node)| (key.clone(), node.to_value()))
                    .collect::<Map>(),
            ),
        }
    }
}

/// Reads JSON or JSON5; a key that stands twice in one object is an error.
pub(super) fn parse(text: &str) -> Result<Node, SchemaError> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(SchemaError::new(
            Place::default(),
            format!(
                "the schema has {} bytes; the most is {SCHEMA_BYTES_MAX}",
                text.len()
            ),
        ));
    }
    let mut reader = json5::Deserializer::from_str(text);
    let node = NodeSeed { depth: 0 }
        .deserialize(&mut reader)
        .map_err(|error| syntax_error(&error))?;
    // The reader stops after the value; whatever follows must be blank.
    json5::from_str::<IgnoredAny>(text).map_err(|error| syntax_error(&error))?;
    Ok(node)
}

/// Line and column, from one, of the key or list entry at `path`, or of its nearest parent.
pub(super) fn locate(text: &str, path: &[String]) -> Option<(usize, usize)> {
    (0..=path.len()).rev().find_map(|length| {
        let mut reader = json5::Deserializer::from_str(text);
        let found = Walk {
            path: &path[..length],
        }
        .deserialize(&mut reader)
        .err()
        .filter(|error| error.code().is_none())?;
        found.position().map(|at| (at.line + 1, at.column + 1))
    })
}

fn syntax_error(error: &json5::Error) -> SchemaError {
    let position = error.position().map(|at| (at.line + 1, at.column + 1));
    let text = error.to_string();
    let message = text
        .split_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    SchemaError::new(
        Place {
            path: Vec::new(),
            position,
        },
        message.to_owned(),
    )
}

struct NodeSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        if self.depth > SCHEMA_DEPTH_MAX {
            return Err(D::Error::custom(format!(
                "nested deeper than {SCHEMA_DEPTH_MAX} levels"
            )));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON5 value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Number(Number::from(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Number(Number::from(number)))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Node, E> {
        Number::try_from(number)
            .map(Node::Number)
            .map_err(|_| E::custom(format!("{number} is not a number that DynamoDB can hold")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        let depth = self.depth + 1;
        while let Some(item) = entries.next_element_seed(NodeSeed { depth })? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object: Vec<(String, Node)> = Vec::new();
        let depth = self.depth + 1;
        while let Some(key) = entries.next_key_seed(NewKey { known: &object })? {
            let value = entries.next_value_seed(NodeSeed { depth })?;
            object.push((key, value));
        }
        Ok(Node::Object(object))
    }
}

/// Goes down one path and fails at its end: the reader then says where that is.
struct Walk<'a> {
    path: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value at a path")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.path.split_first() else {
            return Err(A::Error::custom("found"));
        };
        let wanted: usize = step.parse().map_err(|_| A::Error::custom("found"))?;
        let mut at = 0;
        while at < wanted && entries.next_element::<IgnoredAny>()?.is_some() {
            at += 1;
        }
        entries.next_element_seed(Walk { path: rest })?;
        Err(A::Error::custom("found"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.path.split_first() else {
            return Err(A::Error::custom("found"));
        };
        let last = rest.is_empty();
        while let Some(matched) = entries.next_key_seed(KeyIs { step, last })? {
            if matched {
                return entries.next_value_seed(Walk { path: rest });
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A key that must not stand in its object yet.
struct NewKey<'a> {
    known: &'a [(String, Node)],
}

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<String, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.known.iter().any(|(known, _)| known == key) {
            return Err(E::custom(format!("the key \"{key}\" stands twice")));
        }
        Ok(key.to_owned())
    }
}

/// Whether a key is the next step of a walk; fails at the last step, which is the place.
struct KeyIs<'a> {
    step: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        let matched = key == self.step;
        if matched && self.last {
            return Err(E::custom("found"));
        }
        Ok(matched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  // comment\n  models: {\n    A: { 'x': 1, y: [1, {z: 2}] },\n  },\n}";

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn keys_keep_the_order_of_the_text() {
        let Node::Object(entries) = parse("{b: 1, a: 'x', c: [true, null, -1.5]}").unwrap() else {
            panic!("an object");
        };
        let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "c"]);
    }

    #[test]
    fn a_path_is_found_by_line_and_column() {
        let table = [
            ("models", Some((3, 3))),
            ("models.A", Some((4, 5))),
            ("models.A.y", Some((4, 18))),
            ("models.A.y.1.z", Some((4, 26))),
            // A key that is missing is looked for where it should stand.
            ("models.A.missing", Some((4, 5))),
            ("missing", Some((1, 1))),
        ];
        for (text, expected) in table {
            assert_eq!(locate(TEXT, &path(text)), expected, "{text}");
        }
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        let table = [
            (
                "{a: 1, a: 2}",
                "line 1, column 8: the key \"a\" stands twice",
            ),
            ("{\n a 1}", "line 2, column 4: expected colon"),
            ("{a: 1} x", "line 1, column 8: trailing characters"),
            (
                "{a: NaN}",
                "line 1, column 5: NaN is not a number that DynamoDB can hold",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&deep(SCHEMA_DEPTH_MAX)).is_ok());
        let error = parse(&deep(SCHEMA_DEPTH_MAX + 2)).unwrap_err();
        assert_eq!(
            error.message(),
            format!("nested deeper than {SCHEMA_DEPTH_MAX} levels")
        );
    }

    #[test]
    fn size_is_bounded() {
        let blank = |bytes: usize| format!("{}1", " ".repeat(bytes - 1));
        assert!(parse(&blank(SCHEMA_BYTES_MAX)).is_ok());
        assert!(parse(&blank(SCHEMA_BYTES_MAX + 1)).is_err());
    }
}
