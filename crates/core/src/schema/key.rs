//! Keys: from properties to partition and sort key, to ranges for `find`, and from URL segments.

use std::borrow::Cow;

use super::convert::{self, Site};
use super::decode::{Hidden, seen};
use super::encode::unknown_field;
use super::error::PropertyError;
use super::given::{Given, Values};
use super::model::{Field, FieldType, Model, Role};
use crate::limits::{KEY_HASH_BYTES_MAX, KEY_SORT_BYTES_MAX};
use crate::sync::record::ItemKey;
use crate::value::{Map, Name, Number, Value, json};

/// Which keys a `find` looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRange {
    /// One item.
    One(ItemKey),
    /// The items of one partition whose sort key begins with `sort_prefix`.
    Partition {
        /// The partition key.
        hash: String,
        /// How the sort keys begin.
        sort_prefix: String,
    },
    /// The items of every partition that begins with `hash_prefix`.
    Partitions {
        /// How the partition keys begin.
        hash_prefix: String,
    },
}

/// A property that items must have.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    field: &'a Field,
    hidden: Hidden,
    /// As the program gave it.
    given: Value,
    /// As it is stored; `None` when it must be absent.
    stored: Option<Value>,
}

impl Wanted<'_> {
    /// Whether the item has it.
    pub fn holds(&self, item: &Map) -> bool {
        let Some(found) = self.field.stored_in(item) else {
            return match &self.field.default {
                Some(default) => self.given == *default,
                None => self.stored.is_none(),
            };
        };
        if self.hidden == Hidden::Omit && self.field.hides_parts() {
            return seen(self.field, &found, self.hidden) == self.given;
        }
        self.stored.as_ref() == Some(&*found)
    }
}

impl Model {
    /// The key that the properties and the context name. A part that neither gives has its default,
    /// as it has when the item is made.
    ///
    /// # Errors
    /// A variable of the key templates has no value, or a wrong one; the key is too long.
    pub fn key(&self, properties: &Map, context: &Map) -> Result<ItemKey, PropertyError> {
        let mut values = self.named_values(properties, context)?;
        self.add_computed(&mut values);
        let part = |at: usize| {
            let (text, missing) = self.expand(at, &values);
            match missing {
                None => Ok(text),
                Some(variable) => Err(self.bad_key(
                    Some(variable),
                    format!("needs \"{variable}\"; give {}", self.asked(context)),
                )),
            }
        };
        self.checked_key(part(self.hash)?, part(self.sort)?)
    }

    /// The keys that the properties leave open: as long a prefix as they name.
    ///
    /// # Errors
    /// A given key property has a wrong value, or the key is too long.
    pub fn key_range(&self, properties: &Map, context: &Map) -> Result<KeyRange, PropertyError> {
        let values = self.key_values(properties, context)?;
        match self.range_of(&values) {
            KeyRange::One(key) => self.checked_key(key.pk, key.sk).map(KeyRange::One),
            range => Ok(range),
        }
    }

    /// As much of the key as the values make.
    fn range_of(&self, values: &Given<'_>) -> KeyRange {
        let (hash, missing) = self.expand(self.hash, values);
        if missing.is_some() {
            return KeyRange::Partitions { hash_prefix: hash };
        }
        match self.expand(self.sort, values) {
            (sort, None) => KeyRange::One(ItemKey::new(hash, sort)),
            (sort_prefix, Some(_)) => KeyRange::Partition { hash, sort_prefix },
        }
    }

    /// The key properties that the segments of a path name, in the order of
    /// [`key_variables`](Model::key_variables) without those of the context.
    ///
    /// # Errors
    /// The number of segments is another, or one does not fit the type of its field.
    pub fn key_from_segments(
        &self,
        segments: &[&str],
        context: &Map,
    ) -> Result<Map, PropertyError> {
        let names: Vec<_> = self.asked_names(context).collect();
        if names.len() != segments.len() {
            return Err(PropertyError::key_parts(&self.name, &names, segments.len()));
        }
        names
            .iter()
            .zip(segments)
            .map(|(name, segment)| Ok((*name, self.value_from_text(name, segment)?)))
            .collect()
    }

    /// The values of the key variables of an item, as path segments.
    pub fn key_segments(&self, item: &Map, context: &Map) -> Vec<String> {
        let segment = |name| {
            let field = self.named(name)?;
            let stored = field.stored_in(item)?;
            text(&convert::property(field, &stored))
        };
        let names = self.asked_variables(context);
        names
            .map(|name| segment(name).unwrap_or_default())
            .collect()
    }

    /// The values of the key variables of an item's properties, as path segments.
    pub fn property_segments(&self, properties: &Map, context: &Map) -> Vec<String> {
        self.asked_names(context)
            .map(|name| properties.get(name).and_then(text).unwrap_or_default())
            .collect()
    }

    /// What stored items must hold to have these properties. Values of the context are left out.
    ///
    /// # Errors
    /// A property is no field of the model that the caller may see, or has a wrong value. What
    /// names the item may be given by everybody.
    pub fn wanted(
        &self,
        properties: &Map,
        context: &Map,
        hidden: Hidden,
    ) -> Result<Vec<Wanted<'_>>, PropertyError> {
        let mut wanted = Vec::new();
        for (name, value) in properties {
            let field = self.field(name).filter(|field| {
                !field.is_kept_from(hidden) || self.key_variables.contains(&field.name)
            });
            let field = field.ok_or_else(|| self.not_shown(name, hidden))?;
            if context.contains_key(name) {
                continue;
            }
            let stored = match value {
                Value::Null => None,
                value => convert::stored(field, value, &self.place(field))?.map(Cow::into_owned),
            };
            wanted.push(Wanted {
                field,
                hidden,
                given: value.clone(),
                stored,
            });
        }
        Ok(wanted)
    }

    /// The part of [`key_range`](Model::key_range) in which the first part of the key that the
    /// properties leave open has this value, or its text.
    ///
    /// # Errors
    /// As `key_range`; or the properties leave nothing open.
    pub fn key_range_at(
        &self,
        properties: &Map,
        context: &Map,
        value: &Value,
    ) -> Result<KeyRange, PropertyError> {
        let parsed;
        let mut values = self.key_values(properties, context)?;
        let Some(open) = self.open_part(&values) else {
            let reason = "is given as a whole: a range needs a part of it that is not given";
            return Err(self.bad_key(None, reason.to_owned()));
        };
        match (open.kind, value) {
            // A bound need not be a value that the field may have.
            (FieldType::String, Value::String(_)) => values.set(open, Cow::Borrowed(value)),
            (FieldType::Number | FieldType::Boolean, Value::String(text)) => {
                parsed = self.value_from_text(&open.name, text)?;
                self.keep_stored(open, &parsed, &mut values)?;
            }
            _ => self.keep_stored(open, value, &mut values)?,
        }
        self.add_computed(&mut values);
        Ok(self.range_of(&values))
    }

    /// The name of the first part of the key that the properties leave open.
    ///
    /// # Errors
    /// A given key property has a wrong value.
    pub fn open_key_part(
        &self,
        properties: &Map,
        context: &Map,
    ) -> Result<Option<&str>, PropertyError> {
        let values = self.key_values(properties, context)?;
        Ok(self.open_part(&values).map(Field::name))
    }

    /// Whether the values of a key variable stand in keys in their own order, so that the key of a
    /// larger one comes later if all parts before it are the same.
    pub fn orders_keys(&self, name: &str) -> bool {
        let mut computed = self.computed.iter().map(|at| &self.fields[*at]);
        match self.field(name).map(|field| field.kind) {
            // A text that is filled up in front is in the order of its length first.
            Some(FieldType::String) => computed.all(|field| {
                let template = field.template.as_ref();
                template.is_none_or(|template| !template.pads(name))
            }),
            // Times have one width as texts, but not as numbers.
            Some(FieldType::Date) => computed.all(|field| field.iso),
            _ => false,
        }
    }

    fn open_part(&self, values: &Given<'_>) -> Option<&Field> {
        let parts = self
            .key_variables
            .iter()
            .filter_map(|name| self.named(name));
        let mut open = parts.filter(|field| !values.has(field));
        open.next()
    }

    /// The key of a stored item.
    pub fn key_of(&self, item: &Map) -> Option<ItemKey> {
        let (hash, sort) = self.key_texts(item)?;
        Some(ItemKey::new(hash, sort))
    }

    /// The two parts of the key of a stored item.
    pub(super) fn key_texts<'i>(&self, item: &'i Map) -> Option<(&'i str, &'i str)> {
        let part = |field: &Field| item.text(&field.attribute);
        Some((part(self.hash_field())?, part(self.sort_field())?))
    }

    /// How well a key fits the templates of the model: the length of their fixed texts, or `None`
    /// when it does not fit.
    pub(super) fn fit(&self, key: &ItemKey) -> Option<usize> {
        let part = |field: &Field, text: &str| match &field.template {
            Some(template) => template.fit(text),
            None => Some(0),
        };
        Some(part(self.hash_field(), &key.pk)? + part(self.sort_field(), &key.sk)?)
    }

    /// The text of a computed field from stored values, and the first variable that is missing.
    pub(super) fn expand<'a>(
        &'a self,
        at: usize,
        values: &impl Values,
    ) -> (String, Option<&'a str>) {
        expand_in(&self.fields, &self.fields[at], values)
    }

    /// The stored form of what names an item, computed parts of the key included.
    fn key_values<'v>(
        &'v self,
        properties: &'v Map,
        context: &'v Map,
    ) -> Result<Given<'v>, PropertyError> {
        let mut values = self.given_key_values(properties, context)?;
        self.add_computed(&mut values);
        Ok(values)
    }

    /// The stored form of what names one item, defaults included.
    pub(super) fn named_values<'v>(
        &'v self,
        properties: &'v Map,
        context: &'v Map,
    ) -> Result<Given<'v>, PropertyError> {
        let mut values = self.given_key_values(properties, context)?;
        self.add_key_defaults(properties, &mut values)?;
        Ok(values)
    }

    /// The stored form of what names an item, as properties and context give it.
    fn given_key_values<'v>(
        &'v self,
        properties: &'v Map,
        context: &'v Map,
    ) -> Result<Given<'v>, PropertyError> {
        let mut values = Given::with_capacity(self.key_variables.len());
        for (name, value) in properties.fields() {
            let field = self.named(name).ok_or_else(|| unknown_field(self, name))?;
            if self.key_variables.contains(&field.name) && *value != Value::Null {
                self.keep_stored(field, value, &mut values)?;
            }
        }
        for name in &self.key_variables {
            if let (Some(field), Some(value)) = (self.named(name), context.get(name)) {
                self.keep_stored(field, value, &mut values)?;
            }
        }
        self.add_type(&mut values);
        Ok(values)
    }

    /// What a new item with these properties would have by default. A null is no value.
    fn add_key_defaults<'v>(
        &'v self,
        properties: &Map,
        values: &mut Given<'v>,
    ) -> Result<(), PropertyError> {
        for name in &self.key_variables {
            if let Some(field) = self.named(name)
                && let Some(default) = &field.default
                && !properties.contains_key(name)
                && !values.has(field)
            {
                self.keep_stored(field, default, values)?;
            }
        }
        Ok(())
    }

    /// The stored form of properties and context, computed fields included.
    pub(super) fn stored_values<'v>(
        &'v self,
        properties: &'v Map,
        context: &'v Map,
    ) -> Result<Given<'v>, PropertyError> {
        let mut values = Given::with_capacity(properties.len() + context.len());
        for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_null()) {
            let field = self.field(name).ok_or_else(|| unknown_field(self, name))?;
            self.keep_stored(field, value, &mut values)?;
        }
        for (name, value) in context {
            if let Some(field) = self.field(name) {
                self.keep_stored(field, value, &mut values)?;
            }
        }
        self.add_type(&mut values);
        self.add_computed(&mut values);
        Ok(values)
    }

    /// The name of the model, which is a part of some keys and which nobody has to give.
    fn add_type<'v>(&'v self, values: &mut Given<'v>) {
        let mut fields = self.fields.iter();
        if let Some(field) = fields.find(|field| field.role == Role::Type) {
            values.set(field, Cow::Owned(Value::from(self.name.as_str())));
        }
    }

    fn add_computed<'v>(&'v self, values: &mut Given<'v>) {
        for at in &self.key_sources {
            if let (text, None) = self.expand(*at, values) {
                values.set(&self.fields[*at], Cow::Owned(Value::String(text)));
            }
        }
    }

    fn keep_stored<'v>(
        &'v self,
        field: &'v Field,
        value: &'v Value,
        values: &mut Given<'v>,
    ) -> Result<(), PropertyError> {
        if let Some(stored) = convert::stored(field, value, &self.place(field))? {
            values.set(field, stored);
        }
        Ok(())
    }

    pub(super) fn place<'a>(&'a self, field: &'a Field) -> Site<'a> {
        Site {
            model: &self.name,
            parent: None,
            name: &field.name,
        }
    }

    pub(super) fn checked_key(&self, hash: String, sort: String) -> Result<ItemKey, PropertyError> {
        self.check_key(hash.as_bytes(), sort.as_bytes())?;
        Ok(ItemKey::new(hash, sort))
    }

    /// Refuses parts of a key, which are texts, that no item can have.
    pub(super) fn check_key(&self, hash: &[u8], sort: &[u8]) -> Result<(), PropertyError> {
        let parts = [
            ("partition", hash, KEY_HASH_BYTES_MAX),
            ("sort", sort, KEY_SORT_BYTES_MAX),
        ];
        for (part, text, bytes_max) in parts {
            if text.is_empty() {
                return Err(self.bad_key(None, format!("has an empty {part} key")));
            }
            if text.len() > bytes_max {
                return Err(self.bad_key(
                    None,
                    format!(
                        "has a {part} key of {} bytes; the most is {bytes_max}",
                        text.len()
                    ),
                ));
            }
            // All of it is looked at in any case: so it is looked at in large steps.
            if text.iter().fold(false, |found, byte| found | (*byte == 0)) {
                return Err(self.bad_key(None, format!("has a zero character in its {part} key")));
            }
        }
        Ok(())
    }

    /// Refuses a new item of which a part of the key is an empty text: no path could name it.
    pub(super) fn check_key_parts(&self, item: &Map) -> Result<(), PropertyError> {
        let mut parts = self
            .key_variables
            .iter()
            .filter_map(|name| self.named(name));
        match parts.find(|part| item.text(&part.attribute) == Some("")) {
            None => Ok(()),
            Some(part) => {
                let reason = format!("has an empty \"{}\"; give it a value", part.name);
                Err(self.bad_key(Some(&part.name), reason))
            }
        }
    }

    /// The value that a text in a URL or on a command line means for a property.
    ///
    /// # Errors
    /// There is no such field, or the text is no value of its type.
    pub fn value_from_text(&self, name: &str, text: &str) -> Result<Value, PropertyError> {
        let field = self.field(name).ok_or_else(|| unknown_field(self, name))?;
        let given = Value::from(text);
        let value = match field.kind {
            FieldType::Number => text.parse::<Number>().ok().map(Value::Number),
            FieldType::Boolean => text.parse::<bool>().ok().map(Value::Bool),
            FieldType::Array | FieldType::Object | FieldType::Set => json::parse(text).ok(),
            FieldType::String | FieldType::Date | FieldType::Binary => Some(given.clone()),
        };
        value.ok_or_else(|| {
            self.place(field)
                .wrong_type(&given, convert::expected(field.kind))
        })
    }

    /// The key variables that programs give themselves.
    pub fn asked_names<'a>(&'a self, context: &'a Map) -> impl Iterator<Item = &'a str> {
        self.asked_variables(context).map(Name::as_str)
    }

    fn asked_variables<'a>(&'a self, context: &'a Map) -> impl Iterator<Item = &'a Name> {
        let names = self.key_variables.iter();
        names.filter(|name| !context.contains_key(*name))
    }

    fn asked(&self, context: &Map) -> String {
        let names: Vec<_> = self.asked_names(context).collect();
        names.join(", ")
    }

    fn bad_key(&self, field: Option<&str>, reason: String) -> PropertyError {
        PropertyError::BadKey {
            model: self.name.clone(),
            field: field.map(str::to_owned),
            reason,
        }
    }
}

/// The text of a computed field from the stored values of the fields beside it, and the first
/// variable that is missing.
pub(super) fn expand_in<'a>(
    fields: &'a [Field],
    field: &'a Field,
    values: &impl Values,
) -> (String, Option<&'a str>) {
    let Some(template) = &field.template else {
        return match values.stored(field).and_then(key_text) {
            Some(text) => (text.into_owned(), None),
            None => (String::new(), Some(&field.name)),
        };
    };
    let (text, complete) = template.expand(|path| variable_text(fields, field, path, values));
    let missing = (!complete).then(|| {
        template
            .variables()
            .find(|path| variable_text(fields, field, path, values).is_none())
            .map_or("", Name::as_str)
    });
    (text, missing)
}

/// The text of a variable: a field, or by a path with points one in nested objects.
pub(super) fn variable_text<'v>(
    fields: &[Field],
    target: &Field,
    path: &Name,
    values: &'v impl Values,
) -> Option<Cow<'v, str>> {
    if path.as_bytes().contains(&b'.') {
        return nested_text(fields, target, path, values);
    }
    let field = fields.iter().find(|field| field.name == *path)?;
    let stored = values.stored(field)?;
    if field.kind == FieldType::Date {
        let at = convert::date_millis(field, &stored)?;
        return key_text(Cow::Owned(convert::date_form(target.iso, at)));
    }
    key_text(stored)
}

fn nested_text<'v>(
    fields: &[Field],
    target: &Field,
    path: &str,
    values: &'v impl Values,
) -> Option<Cow<'v, str>> {
    let (name, rest) = path.split_once('.')?;
    let field = fields.iter().find(|field| field.name == *name)?;
    // What is read from a part of another text is no object.
    let Cow::Borrowed(Value::Map(block)) = values.stored(field)? else {
        return None;
    };
    variable_text(&field.nested, target, &rest.into(), block)
}

/// The text of a value in a key; lists, objects and sets have none.
pub(super) fn text(value: &Value) -> Option<String> {
    key_text(Cow::Borrowed(value)).map(Cow::into_owned)
}

fn key_text(value: Cow<'_, Value>) -> Option<Cow<'_, str>> {
    Some(match value {
        Cow::Borrowed(Value::String(text)) => Cow::Borrowed(text),
        Cow::Owned(Value::String(text)) => Cow::Owned(text),
        other => Cow::Owned(match &*other {
            Value::Number(number) => number.to_javascript(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        }),
    })
}
