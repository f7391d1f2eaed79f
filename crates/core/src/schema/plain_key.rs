//! Keys that are texts with texts in them, as most are: written at once where they are needed.

use super::error::PropertyError;
use super::model::{Field, FieldType, Model};
use super::template::Piece;
use crate::value::Map;

/// The two parts of a key, if all that they are made of are texts.
#[derive(Clone, Debug)]
pub(super) struct PlainKey {
    hash: Vec<Part>,
    sort: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// The value of a field, by its position.
    Field(usize),
}

impl PlainKey {
    pub(super) fn of(fields: &[Field], hash: usize, sort: usize) -> Option<PlainKey> {
        Some(PlainKey {
            hash: parts(fields, hash)?,
            sort: parts(fields, sort)?,
        })
    }
}

fn parts(fields: &[Field], at: usize) -> Option<Vec<Part>> {
    let Some(template) = &fields[at].template else {
        return Some(vec![Part::Field(at)]).filter(|_| is_plain(&fields[at]));
    };
    let part = |piece: Piece<'_>| match piece {
        Piece::Text(text) => Some(Part::Text(text.to_owned())),
        Piece::Variable(name) => {
            let at = fields.iter().position(|field| field.name == *name)?;
            is_plain(&fields[at]).then_some(Part::Field(at))
        }
        Piece::Padded => None,
    };
    template.pieces().map(part).collect()
}

/// Whether any text that is given of a field is its text in a key.
fn is_plain(field: &Field) -> bool {
    field.kind == FieldType::String
        && field.template.is_none()
        && field.encoded.is_none()
        && field.choices.is_empty()
        && field.pattern.is_none()
}

impl Model {
    /// Appends the [`key`](Model::key) that properties and context name: the partition key, the
    /// byte `between`, the sort key.
    ///
    /// # Errors
    /// As there; then nothing is appended.
    pub fn write_key(
        &self,
        properties: &Map,
        context: &Map,
        between: u8,
        out: &mut Vec<u8>,
    ) -> Result<(), PropertyError> {
        let start = out.len();
        let Some(middle) = self.write_plain(properties, context, between, out) else {
            // The long way is for what is not plain, and has the words for what is wrong.
            out.truncate(start);
            let key = self.key(properties, context)?;
            out.extend_from_slice(key.pk.as_bytes());
            out.push(between);
            out.extend_from_slice(key.sk.as_bytes());
            return Ok(());
        };
        let checked = self.check_key(&out[start..middle], &out[middle + 1..]);
        checked.inspect_err(|_| out.truncate(start))
    }

    /// Appends the key, and answers where the byte between its parts is; `None` where that takes
    /// more than copying texts.
    fn write_plain(
        &self,
        properties: &Map,
        context: &Map,
        between: u8,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let plain = self.plain_key.as_ref()?;
        let mut names = properties.fields().map(|(name, _)| name);
        if !names.all(|name| self.key_variables.contains(name)) {
            return None;
        }
        let write = |parts: &[Part], out: &mut Vec<u8>| {
            for part in parts {
                let text = match part {
                    Part::Text(text) => text,
                    Part::Field(at) => given_text(&self.fields[*at], properties, context)?,
                };
                out.extend_from_slice(text.as_bytes());
            }
            Some(out.len())
        };
        let middle = write(&plain.hash, out)?;
        out.push(between);
        write(&plain.sort, out)?;
        Some(middle)
    }
}

/// The text of a field that either the caller or the context gives.
fn given_text<'v>(field: &Field, properties: &'v Map, context: &'v Map) -> Option<&'v str> {
    match (properties.text(&field.name), context.get(&field.name)) {
        (Some(text), None) => Some(text),
        (None, Some(text)) if !properties.contains_key(&field.name) => text.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::schema::Schema;
    use crate::value::{Map, Value};

    const SCHEMA: &str = "{
        version: '1.0.0',
        indexes: { primary: { hash: 'pk', sort: 'sk' } },
        models: {
            Plain: {
                pk: { type: 'string', value: 'home#${deviceId}' },
                sk: { type: 'string', value: 'Room#${name}#${kind}' },
                deviceId: { type: 'string' },
                name: { type: 'string' },
                kind: { type: 'string' },
                more: { type: 'string' },
            },
            Checked: {
                pk: { type: 'string', value: 'home#${deviceId}' },
                sk: { type: 'string', value: 'Room#${name}' },
                deviceId: { type: 'string', enum: ['office', 'b'] },
                name: { type: 'string', validate: '/^[a-z0]*$/' },
            },
            Bare: { pk: { type: 'string' }, sk: { type: 'string' } },
            Padded: {
                pk: { type: 'string', value: '${name:3:x}' },
                sk: { type: 'string', value: '${number}' },
                name: { type: 'string' },
                number: { type: 'number' },
            },
            Chained: {
                pk: { type: 'string', value: 'chain#' },
                sk: { type: 'string', value: 'Room#${whole}' },
                whole: { type: 'string', value: '${name}#${kind}' },
                name: { type: 'string' },
                kind: { type: 'string' },
            },
        },
    }";

    fn given() -> impl Strategy<Value = Map> {
        const NAMES: [&str; 10] = [
            "name", "kind", "deviceId", "number", "pk", "sk", "more", "whole", "foreign", "name",
        ];
        let value = prop_oneof![
            4 => "[a-z0]{0,3}".prop_map(Value::from),
            2 => Just(Value::from("office")),
            1 => Just(Value::from("a\0b")),
            1 => Just(Value::from("X")),
            1 => Just(Value::from("y".repeat(2049))),
            1 => Just(Value::from(7)),
            1 => Just(Value::Null),
        ];
        let field = (prop::sample::select(&NAMES[..]), value);
        prop::collection::vec(field, 0..4).prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_key_is_the_same_however_it_is_written(properties in given(), context in given()) {
            let schema = Schema::parse(SCHEMA).unwrap();
            for model in schema.models() {
                let mut bytes = b"i".to_vec();
                let written = model.write_key(&properties, &context, 0, &mut bytes);
                match model.key(&properties, &context) {
                    Ok(key) => {
                        prop_assert_eq!(written, Ok(()));
                        prop_assert_eq!(bytes, format!("i{}\0{}", key.pk, key.sk).into_bytes());
                    }
                    Err(error) => {
                        prop_assert_eq!(written, Err(error));
                        prop_assert_eq!(bytes, b"i");
                    }
                }
            }
        }
    }

    #[test]
    fn the_keys_of_most_models_are_plain() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let plain = |name| schema.model(name).unwrap().plain_key.is_some();
        assert_eq!(
            ["Plain", "Bare", "Checked", "Padded", "Chained"].map(plain),
            [true, true, false, false, false]
        );
    }
}
