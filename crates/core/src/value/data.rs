//! The value itself.

use super::{Map, Number, Set};

/// What an attribute of an item holds: DynamoDB's data types, no more and no fewer.
///
/// Equality is that of DynamoDB: numbers by value, sets without order, and an empty string, `Null`
/// and an absent attribute are three different things. The order between values is total, but
/// between kinds it only serves sorted containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// `NULL`: present, and known to be nothing.
    #[default]
    Null,
    /// `BOOL`
    Bool(bool),
    /// `N`
    Number(Number),
    /// `S`
    String(String),
    /// `B`
    Binary(Vec<u8>),
    /// `L`
    List(Vec<Value>),
    /// `M`
    Map(Map),
    /// `SS`, `NS` or `BS`
    Set(Set),
}

impl Value {
    /// The name of the kind, as error messages call it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Binary(_) => "binary",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Set(_) => "set",
        }
    }

    /// Whether this is `Null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The boolean, if it is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub const fn as_number(&self) -> Option<&Number> {
        match self {
            Value::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The number as an integer, if it is one and fits exactly.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The nearest float of the number, if it is one: for charts, never for storing.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::to_f64)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(value) => Some(value),
            _ => None,
        }
    }

    /// The bytes, if it is binary.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Binary(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(value) => Some(value),
            _ => None,
        }
    }

    /// The fields, if it is a map.
    pub const fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(value) => Some(value),
            _ => None,
        }
    }

    /// The fields for change, if it is a map.
    pub const fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Value::Map(value) => Some(value),
            _ => None,
        }
    }

    /// The fields, taken out, if it is a map.
    pub fn into_map(self) -> Option<Map> {
        match self {
            Value::Map(value) => Some(value),
            _ => None,
        }
    }

    /// The set, if it is one.
    pub const fn as_set(&self) -> Option<&Set> {
        match self {
            Value::Set(value) => Some(value),
            _ => None,
        }
    }
}

macro_rules! value_from {
    ($($source:ty => |$from:ident| $to:expr;)*) => {
        $(impl From<$source> for Value {
            fn from($from: $source) -> Value {
                $to
            }
        })*
    };
}

value_from! {
    bool => |from| Value::Bool(from);
    i32 => |from| Value::Number(Number::from(from));
    u32 => |from| Value::Number(Number::from(from));
    i64 => |from| Value::Number(Number::from(from));
    u64 => |from| Value::Number(Number::from(from));
    Number => |from| Value::Number(from);
    &str => |from| Value::String(from.to_owned());
    String => |from| Value::String(from);
    &String => |from| Value::String(from.clone());
    Vec<u8> => |from| Value::Binary(from);
    Vec<Value> => |from| Value::List(from);
    Map => |from| Value::Map(from);
    Set => |from| Value::Set(from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_answer_only_for_their_kind() {
        let value = Value::from("text");
        assert_eq!(value.as_str(), Some("text"));
        assert_eq!(value.as_i64(), None);
        assert_eq!(value.as_bool(), None);
        assert_eq!(value.kind(), "string");
        assert_eq!(Value::from(7_u64).as_i64(), Some(7));
        assert_eq!(Value::from(true).as_bool(), Some(true));
    }

    #[test]
    fn empty_text_null_and_zero_are_different_values() {
        let values = [
            Value::from(""),
            Value::Null,
            Value::from(0),
            Value::from(false),
        ];
        for (at, one) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn a_value_takes_four_machine_words() {
        assert_eq!(size_of::<Value>(), 32);
    }
}
