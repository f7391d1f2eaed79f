//! From things to values.

use super::super::{Map, Number, Value};
use super::error::TypedError;
use super::foreign::{NUMBER, SET, number, set_of};
use serde::ser::{self, Serialize, Serializer};

/// Makes values.
pub(super) struct Writer;

type Written = Result<Value, TypedError>;

fn float(text: String) -> Written {
    match text.parse::<Number>() {
        Ok(number) => Ok(Value::Number(number)),
        Err(_) => Err(TypedError::new(format!(
            "{text} is not a number that can be kept"
        ))),
    }
}

impl Serializer for Writer {
    type Ok = Value;
    type Error = TypedError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    fn serialize_bool(self, value: bool) -> Written {
        Ok(Value::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Written {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i16(self, value: i16) -> Written {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i32(self, value: i32) -> Written {
        Ok(Value::from(value))
    }

    fn serialize_i64(self, value: i64) -> Written {
        Ok(Value::from(value))
    }

    fn serialize_i128(self, value: i128) -> Written {
        number(&value.to_string()).map(Value::Number)
    }

    fn serialize_u8(self, value: u8) -> Written {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u16(self, value: u16) -> Written {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u32(self, value: u32) -> Written {
        Ok(Value::from(value))
    }

    fn serialize_u64(self, value: u64) -> Written {
        Ok(Value::from(value))
    }

    fn serialize_u128(self, value: u128) -> Written {
        number(&value.to_string()).map(Value::Number)
    }

    fn serialize_f32(self, value: f32) -> Written {
        // Its own shortest text: as a double it would have digits that nobody wrote.
        float(format!("{value:e}"))
    }

    fn serialize_f64(self, value: f64) -> Written {
        float(format!("{value:e}"))
    }

    fn serialize_char(self, value: char) -> Written {
        Ok(Value::String(value.to_string()))
    }

    fn serialize_str(self, value: &str) -> Written {
        Ok(Value::from(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        Ok(Value::Binary(value.to_vec()))
    }

    fn serialize_none(self) -> Written {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Written {
        match (name, value.serialize(self)?) {
            (NUMBER, Value::String(text)) => number(&text).map(Value::Number),
            (SET, Value::List(members)) => Ok(set_of(members).map_or(Value::Null, Value::Set)),
            (_, value) => Ok(value),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        let value = value.serialize(self);
        let value = value.map_err(|error| error.within(variant))?;
        Ok(Value::Map(Map::from([(variant, value)])))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, TypedError> {
        Ok(List::new(None, length.unwrap_or_default()))
    }

    fn serialize_tuple(self, length: usize) -> Result<List, TypedError> {
        Ok(List::new(None, length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List, TypedError> {
        Ok(List::new(None, length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<List, TypedError> {
        Ok(List::new(Some(variant), length))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, TypedError> {
        Ok(Fields::default())
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields, TypedError> {
        Ok(Fields {
            map: Map::with_capacity(length),
            ..Fields::default()
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, TypedError> {
        Ok(Fields {
            variant: Some(variant),
            ..Fields::default()
        })
    }
}

/// A variant that holds something is a map of one field.
fn enclosed(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(variant) => Value::Map(Map::from([(variant, value)])),
        None => value,
    }
}

/// A list in the making.
pub(super) struct List {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

/// A list of unknown honesty about its length does not get more room than this at once.
const ROOM_MAX: usize = 1024;

impl List {
    fn new(variant: Option<&'static str>, length: usize) -> List {
        List {
            variant,
            items: Vec::with_capacity(length.min(ROOM_MAX)),
        }
    }

    fn add<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), TypedError> {
        let item = item.serialize(Writer);
        let item = item.map_err(|error| error.within(format!("[{}]", self.items.len())))?;
        self.items.push(item);
        Ok(())
    }

    fn finish(self) -> Written {
        Ok(enclosed(self.variant, Value::List(self.items)))
    }
}

macro_rules! serialize_list {
    ($($serialize:ident $add:ident;)*) => {
        $(impl ser::$serialize for List {
            type Ok = Value;
            type Error = TypedError;

            fn $add<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), TypedError> {
                self.add(item)
            }

            fn end(self) -> Written {
                self.finish()
            }
        })*
    };
}

serialize_list! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

/// A map in the making.
#[derive(Default)]
pub(super) struct Fields {
    variant: Option<&'static str>,
    map: Map,
    /// The key whose value comes next.
    key: String,
}

impl Fields {
    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), TypedError> {
        let value = value.serialize(Writer);
        let value = value.map_err(|error| error.within(name))?;
        self.map.insert(name, value);
        Ok(())
    }

    fn finish(self) -> Written {
        Ok(enclosed(self.variant, Value::Map(self.map)))
    }
}

impl ser::SerializeMap for Fields {
    type Ok = Value;
    type Error = TypedError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TypedError> {
        self.key = match key.serialize(Writer)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => {
                let kind = other.kind();
                return Err(TypedError::new(format!(
                    "a key is a {kind}; only texts, numbers and booleans can be keys"
                )));
            }
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TypedError> {
        let key = std::mem::take(&mut self.key);
        self.add(&key, value)
    }

    fn end(self) -> Written {
        self.finish()
    }
}

macro_rules! serialize_fields {
    ($($serialize:ident)*) => {
        $(impl ser::$serialize for Fields {
            type Ok = Value;
            type Error = TypedError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), TypedError> {
                self.add(name, value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        })*
    };
}

serialize_fields! { SerializeStruct SerializeStructVariant }
