//! In which version of the schema each model was last written, and the models that are therefore
//! left alone: those that a newer major version has written to, and those that still have the form of
//! an older one.

use std::fmt;

use periwinkle_core::schema::{Model, Schema, Version, Written};
use periwinkle_core::sync::record::ItemKey;
use periwinkle_core::value::binary::{decode_varint, encode_varint};

use super::error::DbError;
use super::keys;
use super::shared::Shared;
use crate::engine::{Batch, Store};

const NOTE: &str = "written";

/// A model that is left alone: it was written in a newer major version of the schema than this one;
/// or in an older one, and the disk has no room to change its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedModel {
    /// Its name.
    pub model: String,
    /// The version that it was written in.
    pub written: Version,
    /// The version that this program knows.
    pub known: Version,
}

impl fmt::Display for ParkedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParkedModel {
            model,
            written,
            known,
        } = self;
        if written > known {
            return write!(
                f,
                "{model} was written by version {written} of the schema, and this program knows \
                 {known}: update it, or go back to the newer one"
            );
        }
        write!(
            f,
            "{model} has items of version {written} of the schema, and the disk has no room to bring \
             them into the form of {known}: free some space and start again, which goes on with what \
             is left"
        )
    }
}

/// The versions that the models were last written in; `None` before anybody noted one.
pub(super) fn read(store: &Store) -> Result<Option<Written>, DbError> {
    let entry = store.get(&keys::note(NOTE))?;
    Ok(entry.map(|entry| parse(&entry.value).unwrap_or_default()))
}

/// Puts the versions into the frame.
pub(super) fn note(batch: &mut Batch, written: &Written) {
    batch.put(&keys::note(NOTE), &encode(written));
}

/// The versions after a frame that writes these models; `None` when they are known to be so.
pub(super) fn after<'m>(
    written: &Written,
    schema: &Schema,
    models: impl Iterator<Item = &'m str>,
) -> Option<Written> {
    let mut after: Option<Written> = None;
    for name in models {
        let Ok(model) = schema.model(name) else {
            continue;
        };
        let known = after.as_ref().unwrap_or(written);
        if known.get(name) != Some(model.version()) {
            let after = after.get_or_insert_with(|| written.clone());
            after.insert(name.to_owned(), *model.version());
        }
    }
    after
}

pub(super) fn parked(schema: &Schema, written: &Written) -> Vec<ParkedModel> {
    let parked = schema.parked(written).into_iter();
    parked
        .map(|(model, version)| ParkedModel {
            model: model.name().to_owned(),
            written: version,
            known: *model.version(),
        })
        .collect()
}

impl Shared {
    /// The model of this name, if programs may read and write it.
    pub(super) fn model(&self, name: &str) -> Result<&Model, DbError> {
        let model = self.schema.model(name)?;
        match self.parked_model(model) {
            None => Ok(model),
            Some(parked) => Err(DbError::Parked(parked.clone())),
        }
    }

    pub(super) fn parked_model(&self, model: &Model) -> Option<&ParkedModel> {
        self.parked
            .iter()
            .find(|parked| parked.model == model.name())
    }

    /// Whether a row belongs to a model that is left alone.
    pub(super) fn is_parked(&self, key: &ItemKey) -> bool {
        if self.parked.is_empty() {
            return false;
        }
        let model = self.schema.model_of_key(key);
        model.is_some_and(|model| self.parked_model(model).is_some())
    }
}

fn encode(written: &Written) -> Vec<u8> {
    let mut value = Vec::new();
    for (model, version) in written {
        encode_varint(model.len() as u64, &mut value);
        value.extend_from_slice(model.as_bytes());
        for number in [version.major, version.minor, version.patch] {
            encode_varint(number.into(), &mut value);
        }
    }
    value
}

fn parse(mut bytes: &[u8]) -> Option<Written> {
    let mut written = Written::new();
    while !bytes.is_empty() {
        let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let mut number = || u32::try_from(take_varint(&mut bytes)?).ok();
        let version = Version {
            major: number()?,
            minor: number()?,
            patch: number()?,
        };
        written.insert(String::from_utf8(name.to_vec()).ok()?, version);
    }
    Some(written)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (value, used) = decode_varint(bytes)?;
    *bytes = &bytes[used..];
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_back_as_they_were_noted() {
        let versions = [
            ("Room", "1.2.3"),
            ("Über", "0.0.1"),
            ("", "300.0.4294967295"),
        ];
        let written: Written = versions
            .map(|(model, version)| (model.to_owned(), version.parse().unwrap()))
            .into();
        let bytes = encode(&written);
        assert_eq!(parse(&bytes), Some(written));
        for cut in 1..bytes.len() {
            assert_ne!(
                parse(&bytes[..cut]).map(|read| encode(&read).len()),
                Some(bytes.len())
            );
        }
        assert_eq!(parse(b"\x09Room"), None);
        assert_eq!(parse(b""), Some(Written::new()));
    }
}
