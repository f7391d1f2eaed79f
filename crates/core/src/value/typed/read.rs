//! From values to things.

use super::super::{Map, Name, Number, Set, Value};
use super::error::TypedError;
use super::foreign::NUMBER;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// Reads a value.
pub(super) struct Reader(pub(super) Value);

impl Reader {
    fn unfit(&self, expected: &str) -> TypedError {
        let found = match &self.0 {
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) if text.chars().count() <= 40 => format!("the text \"{text}\""),
            Value::Null => "null".to_owned(),
            other => format!("a {}", other.kind()),
        };
        TypedError::new(format!("is {found}; expected {expected}"))
    }

    fn number(&self, expected: &str) -> Result<Number, TypedError> {
        let number = self.0.as_number().copied();
        number.ok_or_else(|| self.unfit(expected))
    }
}

/// What serde asks for each type of integer, handed to the macro that answers it.
macro_rules! integers {
    ($answer:ident) => {
        $answer! {
            deserialize_i8: i8 => visit_i8;
            deserialize_i16: i16 => visit_i16;
            deserialize_i32: i32 => visit_i32;
            deserialize_i64: i64 => visit_i64;
            deserialize_i128: i128 => visit_i128;
            deserialize_u8: u8 => visit_u8;
            deserialize_u16: u16 => visit_u16;
            deserialize_u32: u32 => visit_u32;
            deserialize_u64: u64 => visit_u64;
            deserialize_u128: u128 => visit_u128;
        }
    };
}

/// Integers, exactly: a number with a fraction is none.
macro_rules! deserialize_integers {
    ($($deserialize:ident: $integer:ty => $visit:ident;)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
            let expected = concat!("a whole number of type ", stringify!($integer));
            let number = self.number(expected)?;
            let small = number.as_i64().and_then(|integer| integer.try_into().ok());
            match small.or_else(|| number.to_string().parse::<$integer>().ok()) {
                Some(integer) => visitor.$visit(integer),
                None => Err(self.unfit(expected)),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Reader {
    type Error = TypedError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Number(number) => any_number(number, visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Binary(bytes) => visitor.visit_byte_buf(bytes),
            Value::List(list) => visitor.visit_seq(Items::new(list)),
            Value::Set(set) => visitor.visit_seq(Items::new(members(set))),
            Value::Map(map) => visitor.visit_map(Entries::new(map)),
        }
    }

    integers! { deserialize_integers }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        let number = self.number("a number")?;
        // Straight from the decimal: by way of a double it would be rounded twice.
        let float = number.to_string().parse::<f32>();
        visitor.visit_f32(float.expect("a decimal is the text of a float"))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        let number = self.number("a number")?;
        visitor.visit_f64(number.to_f64())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            // Types of decimals read themselves from their text.
            Value::Number(number) => visitor.visit_string(number.to_string()),
            _ => Err(self.unfit("a text")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        match self.0 {
            Value::List(list) => visitor.visit_seq(Items::new(list)),
            Value::Set(set) => visitor.visit_seq(Items::new(members(set))),
            Value::Binary(bytes) => {
                let bytes = bytes.into_iter().map(|byte| Value::from(u64::from(byte)));
                visitor.visit_seq(Items::new(bytes.collect()))
            }
            _ => Err(self.unfit("a list")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        match (name, &self.0) {
            (NUMBER, Value::Number(number)) => visitor.visit_string(number.to_string()),
            (NUMBER, _) => Err(self.unfit("a number")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        let (variant, value) = match self.0 {
            Value::String(variant) => (variant, None),
            Value::Map(map) if map.len() == 1 => {
                let mut fields = map.into_iter();
                let (variant, value) = fields.next().expect("the map has one field");
                (variant.into(), Some(value))
            }
            _ => return Err(self.unfit(&format!("one of {}", variants.join(", ")))),
        };
        visitor.visit_enum(Variant { variant, value })
    }

    fn is_human_readable(&self) -> bool {
        true
    }

    serde::forward_to_deserialize_any! {
        bool char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// A number for whoever takes what comes: never a float that says something else.
fn any_number<'de, V: Visitor<'de>>(number: Number, visitor: V) -> Result<V::Value, TypedError> {
    if let Some(integer) = number.as_i64() {
        return visitor.visit_i64(integer);
    }
    if let Some(integer) = number.as_u64() {
        return visitor.visit_u64(integer);
    }
    let float = number.to_f64();
    if Number::try_from(float) == Ok(number) {
        return visitor.visit_f64(float);
    }
    visitor.visit_string(number.to_string())
}

fn members(set: Set) -> Vec<Value> {
    match set {
        Set::Strings(set) => set.into_iter().map(Value::String).collect(),
        Set::Numbers(set) => set.into_iter().map(Value::Number).collect(),
        Set::Binaries(set) => set.into_iter().map(Value::Binary).collect(),
    }
}

/// The items of a list, one after the other.
struct Items {
    items: std::vec::IntoIter<Value>,
    at: usize,
}

impl Items {
    fn new(items: Vec<Value>) -> Items {
        Items {
            items: items.into_iter(),
            at: 0,
        }
    }
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = TypedError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TypedError> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at += 1;
        let read = seed.deserialize(Reader(item));
        read.map(Some)
            .map_err(|error| error.within(format!("[{at}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The fields of a map, one after the other.
struct Entries {
    fields: std::vec::IntoIter<(Name, Value)>,
    next: Option<(Name, Value)>,
}

impl Entries {
    fn new(map: Map) -> Entries {
        Entries {
            fields: map.into_iter(),
            next: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = TypedError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, TypedError> {
        self.next = self.fields.next();
        match &self.next {
            None => Ok(None),
            Some((name, _)) => seed.deserialize(Key(name)).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, TypedError> {
        let (name, value) = self.next.take().expect("a key was read before its value");
        let read = seed.deserialize(Reader(value));
        read.map_err(|error| error.within(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// The key of a map, which may be a number that was written as its text.
struct Key<'k>(&'k str);

macro_rules! deserialize_key {
    ($($deserialize:ident: $scalar:ty => $visit:ident;)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
            match self.0.parse::<$scalar>() {
                Ok(scalar) => visitor.$visit(scalar),
                Err(_) => Err(TypedError::new(format!(
                    concat!("the key \"{}\" is no ", stringify!($scalar)),
                    self.0
                ))),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = TypedError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypedError> {
        visitor.visit_str(self.0)
    }

    deserialize_key! { deserialize_bool: bool => visit_bool; }
    integers! { deserialize_key }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        let key: StrDeserializer<'_, TypedError> = self.0.into_deserializer();
        visitor.visit_enum(key)
    }

    serde::forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// A variant by its name, and what it holds.
struct Variant {
    variant: String,
    value: Option<Value>,
}

impl<'de> de::EnumAccess<'de> for Variant {
    type Error = TypedError;
    type Variant = Held;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Held), TypedError> {
        let variant = seed.deserialize(Key(&self.variant))?;
        Ok((variant, Held(self.value)))
    }
}

/// What a variant holds.
struct Held(Option<Value>);

impl Held {
    fn value(self) -> Result<Reader, TypedError> {
        let value = self.0.map(Reader);
        value.ok_or_else(|| TypedError::new("is only the name of a variant that holds something"))
    }
}

impl<'de> de::VariantAccess<'de> for Held {
    type Error = TypedError;

    fn unit_variant(self) -> Result<(), TypedError> {
        match self.0 {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(TypedError::new("holds something that the variant does not")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, TypedError> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TypedError> {
        self.value()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypedError> {
        self.value()?.deserialize_any(visitor)
    }
}
