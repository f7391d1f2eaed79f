//! AttributeValue JSON: `{"S":"text"}`, `{"N":"1"}` and the rest, as DynamoDB writes values.

use super::json::{self, JsonError, write_base64, write_display, write_list, write_string};
use super::{Map, Number, NumberError, Set, Value};
use base64::Engine as _;
use std::collections::BTreeSet;

/// Why a text is not an item in AttributeValue JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// It is not even JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Something stands where a map of attributes should be.
    #[error("expected an object of attributes, found a {0}")]
    NotAnItem(&'static str),
    /// An attribute is not an object with exactly one known type name and a fitting value.
    #[error("attribute {attribute:?}: {reason}")]
    Attribute {
        /// The attribute of the item in which the error lies.
        attribute: String,
        /// What is wrong with it.
        reason: AttributeReason,
    },
}

/// What is wrong with an attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeReason {
    /// Not an object with one type name.
    #[error("expected an object with one type name, such as {{\"S\":\"text\"}}")]
    Shape,
    /// A type name DynamoDB does not have.
    #[error("{0:?} is not a type name of DynamoDB")]
    TypeName(String),
    /// The value does not fit its type name.
    #[error("the value of {0} has the wrong form")]
    Form(&'static str),
    /// A number out of range or of too many digits.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A set names one member twice.
    #[error("a set contains a member twice")]
    DuplicateMember,
    /// A set without members.
    #[error("a set is empty")]
    EmptySet,
}

/// The AttributeValue JSON of an item: `{"pk":{"S":"a"},"n":{"N":"1"}}`.
///
/// Fields are sorted by name, so equal items give equal bytes. Empty sets, which DynamoDB refuses,
/// are left out: to the cloud an empty set and an absent attribute are the same.
pub fn to_attribute_json(item: &Map) -> String {
    let mut out = String::new();
    write_item(item, &mut out);
    out
}

/// Appends the AttributeValue JSON of an item; see [`to_attribute_json`].
pub fn write_item(item: &Map, out: &mut String) {
    out.push('{');
    let mut first = true;
    for (name, value) in item.iter().filter(|(_, value)| is_storable(value)) {
        if !first {
            out.push(',');
        }
        first = false;
        write_string(name, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

/// Appends the AttributeValue JSON of one value: `{"S":"text"}`.
pub fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str(r#"{"NULL":true}"#),
        Value::Bool(true) => out.push_str(r#"{"BOOL":true}"#),
        Value::Bool(false) => out.push_str(r#"{"BOOL":false}"#),
        Value::Number(number) => typed("N", out, |out| write_number(number, out)),
        Value::String(text) => typed("S", out, |out| write_string(text, out)),
        Value::Binary(bytes) => typed("B", out, |out| write_base64(bytes, out)),
        Value::List(list) => typed("L", out, |out| {
            write_list(
                list.iter().filter(|value| is_storable(value)),
                out,
                write_value,
            );
        }),
        Value::Map(map) => typed("M", out, |out| write_item(map, out)),
        Value::Set(Set::Strings(set)) => {
            typed("SS", out, |out| {
                write_list(set, out, |text, out| write_string(text, out));
            });
        }
        Value::Set(Set::Numbers(set)) => {
            typed("NS", out, |out| write_list(set, out, write_number));
        }
        Value::Set(Set::Binaries(set)) => {
            typed("BS", out, |out| {
                write_list(set, out, |bytes, out| write_base64(bytes, out));
            });
        }
    }
}

/// Reads an item from AttributeValue JSON.
///
/// # Errors
/// When the text is not JSON, or not an object of attributes as DynamoDB writes them.
pub fn from_attribute_json(text: &str) -> Result<Map, AttributeError> {
    item_from_json(json::parse(text)?)
}

/// Reads an item from AttributeValue JSON that has been parsed already, as part of an answer.
///
/// # Errors
/// As [`from_attribute_json`].
pub fn item_from_json(value: Value) -> Result<Map, AttributeError> {
    let Value::Map(mut item) = value else {
        return Err(AttributeError::NotAnItem(value.kind()));
    };
    for (name, value) in item.iter_mut() {
        *value =
            value_from_json(std::mem::take(value)).map_err(|reason| AttributeError::Attribute {
                attribute: name.to_owned(),
                reason,
            })?;
    }
    Ok(item)
}

/// Reads one value from AttributeValue JSON that has been parsed already.
///
/// # Errors
/// When it is not an object with one type name and a fitting value.
pub fn value_from_json(value: Value) -> Result<Value, AttributeReason> {
    let Value::Map(map) = value else {
        return Err(AttributeReason::Shape);
    };
    let mut fields = map.into_iter();
    let (Some((type_name, inner)), None) = (fields.next(), fields.next()) else {
        return Err(AttributeReason::Shape);
    };
    Ok(match (type_name.as_str(), inner) {
        ("NULL", Value::Bool(true)) => Value::Null,
        ("BOOL", Value::Bool(value)) => Value::Bool(value),
        ("N", Value::String(text)) => Value::Number(text.parse()?),
        ("S", Value::String(text)) => Value::String(text),
        ("B", Value::String(text)) => Value::Binary(decode_base64(&text, "B")?),
        ("L", Value::List(list)) => Value::List(
            list.into_iter()
                .map(value_from_json)
                .collect::<Result<_, _>>()?,
        ),
        ("M", Value::Map(mut map)) => {
            for (_, value) in map.iter_mut() {
                *value = value_from_json(std::mem::take(value))?;
            }
            Value::Map(map)
        }
        ("SS", Value::List(list)) => Value::Set(Set::Strings(members(list, "SS", |text| {
            Ok(text.to_owned())
        })?)),
        ("NS", Value::List(list)) => Value::Set(Set::Numbers(members(list, "NS", |text| {
            Ok(text.parse::<Number>()?)
        })?)),
        ("BS", Value::List(list)) => Value::Set(Set::Binaries(members(list, "BS", |text| {
            decode_base64(text, "BS")
        })?)),
        _ => return Err(wrong_form(&type_name)),
    })
}

/// The size of an item as DynamoDB counts it against its bounds and its prices.
///
/// Names and text count their bytes in UTF-8, numbers about half a byte per digit, lists and maps
/// three bytes and one per element ("DynamoDB item sizes and formats").
pub fn item_bytes(item: &Map) -> usize {
    item.fields()
        .map(|(name, value)| name.as_bytes().len() + value_bytes(value))
        .sum()
}

/// The size of one value as DynamoDB counts it; see [`item_bytes`].
pub fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number_bytes(number),
        Value::String(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::List(list) => {
            3 + list
                .iter()
                .map(|value| 1 + value_bytes(value))
                .sum::<usize>()
        }
        Value::Map(map) => 3 + map.len() + item_bytes(map),
        Value::Set(Set::Strings(set)) => set.iter().map(String::len).sum(),
        Value::Set(Set::Numbers(set)) => set.iter().map(number_bytes).sum(),
        Value::Set(Set::Binaries(set)) => set.iter().map(Vec::len).sum(),
    }
}

/// One byte for two digits, one for the sign of a negative number and one for the rest.
fn number_bytes(number: &Number) -> usize {
    number.digits().div_ceil(2) + usize::from(number.is_negative()) + 1
}

fn typed(type_name: &str, out: &mut String, write: impl FnOnce(&mut String)) {
    out.push_str("{\"");
    out.push_str(type_name);
    out.push_str("\":");
    write(out);
    out.push('}');
}

fn write_number(number: &Number, out: &mut String) {
    out.push('"');
    write_display(number, out);
    out.push('"');
}

fn is_storable(value: &Value) -> bool {
    !matches!(value, Value::Set(set) if set.is_empty())
}

fn members<T: Ord>(
    list: Vec<Value>,
    type_name: &'static str,
    read: impl Fn(&str) -> Result<T, AttributeReason>,
) -> Result<BTreeSet<T>, AttributeReason> {
    let mut set = BTreeSet::new();
    for member in list {
        let text = member.as_str().ok_or(AttributeReason::Form(type_name))?;
        if !set.insert(read(text)?) {
            return Err(AttributeReason::DuplicateMember);
        }
    }
    if set.is_empty() {
        Err(AttributeReason::EmptySet)
    } else {
        Ok(set)
    }
}

fn decode_base64(text: &str, type_name: &'static str) -> Result<Vec<u8>, AttributeReason> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| AttributeReason::Form(type_name))
}

fn wrong_form(type_name: &str) -> AttributeReason {
    const TYPE_NAMES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"];
    TYPE_NAMES
        .into_iter()
        .find(|known| *known == type_name)
        .map_or_else(
            || AttributeReason::TypeName(type_name.to_owned()),
            AttributeReason::Form,
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::strategies;
    use proptest::prelude::*;

    #[test]
    fn every_kind_has_its_type_name() {
        let item = Map::from([
            ("a", Value::Null),
            ("b", Value::from(true)),
            ("c", Value::Number("1.50E+1".parse().unwrap())),
            ("d", Value::from("x\"y")),
            ("e", Value::from(vec![1_u8, 2, 3])),
            ("f", Value::from(vec![Value::from(1)])),
            ("g", Value::from(Map::from([("h", 2)]))),
            ("i", Value::from(["z", "y"].into_iter().collect::<Set>())),
            (
                "j",
                Value::from(
                    [Number::from(10), Number::from(9)]
                        .into_iter()
                        .collect::<Set>(),
                ),
            ),
            ("k", Value::from([vec![0_u8]].into_iter().collect::<Set>())),
        ]);
        let text = concat!(
            r#"{"a":{"NULL":true},"b":{"BOOL":true},"c":{"N":"15"},"d":{"S":"x\"y"},"#,
            r#""e":{"B":"AQID"},"f":{"L":[{"N":"1"}]},"g":{"M":{"h":{"N":"2"}}},"#,
            r#""i":{"SS":["y","z"]},"j":{"NS":["9","10"]},"k":{"BS":["AA=="]}}"#,
        );
        assert_eq!(to_attribute_json(&item), text);
        assert_eq!(from_attribute_json(text), Ok(item));
    }

    #[test]
    fn empty_sets_are_left_out() {
        let empty = Value::Set(Set::Strings(BTreeSet::new()));
        let item = Map::from([
            ("a", empty.clone()),
            ("b", Value::from(vec![empty.clone(), Value::from(1)])),
            ("c", Value::from(Map::from([("d", empty)]))),
        ]);
        assert_eq!(
            to_attribute_json(&item),
            r#"{"b":{"L":[{"N":"1"}]},"c":{"M":{}}}"#
        );
    }

    #[test]
    fn a_wrong_attribute_is_named_with_its_reason() {
        let cases = [
            (
                r#"{"a":{"N":"x"}}"#,
                AttributeReason::Number(NumberError::Syntax),
            ),
            (r#"{"a":{"N":1}}"#, AttributeReason::Form("N")),
            (r#"{"a":{"NULL":false}}"#, AttributeReason::Form("NULL")),
            (r#"{"a":{"B":"*"}}"#, AttributeReason::Form("B")),
            (
                r#"{"a":{"X":"1"}}"#,
                AttributeReason::TypeName("X".to_owned()),
            ),
            (r#"{"a":"text"}"#, AttributeReason::Shape),
            (r#"{"a":{}}"#, AttributeReason::Shape),
            (r#"{"a":{"S":"x","N":"1"}}"#, AttributeReason::Shape),
            (r#"{"a":{"L":[{"M":{"b":1}}]}}"#, AttributeReason::Shape),
            (
                r#"{"a":{"NS":["1","1.0"]}}"#,
                AttributeReason::DuplicateMember,
            ),
            (r#"{"a":{"SS":[]}}"#, AttributeReason::EmptySet),
        ];
        for (text, reason) in cases {
            let attribute = "a".to_owned();
            assert_eq!(
                from_attribute_json(text),
                Err(AttributeError::Attribute { attribute, reason }),
                "{text}"
            );
        }
        assert_eq!(
            from_attribute_json("[]"),
            Err(AttributeError::NotAnItem("list"))
        );
    }

    #[test]
    fn sizes_are_counted_as_dynamodb_does() {
        let item = Map::from([
            ("text", Value::from("äb")),
            ("number", Value::from(-12345)),
            ("list", Value::from(vec![Value::Null, Value::from("x")])),
            ("map", Value::from(Map::from([("k", true)]))),
        ]);
        let expected = (4 + 3) + (6 + 3 + 1 + 1) + (4 + 3 + 2 + 2) + (3 + 3 + 1 + 1 + 1);
        assert_eq!(item_bytes(&item), expected);
    }

    proptest! {
        #[test]
        fn any_json_is_an_item_or_an_error(value in strategies::value(), name in "[A-Z]{1,4}|a") {
            let nested = Value::from(Map::from([(name, value.clone())]));
            if let Ok(read) = value_from_json(nested.clone()) {
                let mut text = String::new();
                write_value(&read, &mut text);
                prop_assert_eq!(value_from_json(json::parse(&text).unwrap()), Ok(read));
            }
            let _any = item_from_json(value);
        }

        #[test]
        fn every_item_comes_back(item in strategies::map()) {
            prop_assert_eq!(from_attribute_json(&to_attribute_json(&item)), Ok(item));
        }
    }
}
