//! From the properties that a program gives to the item that is stored, byte for byte as
//! `dynamodb-onetable` would store it. Values and nested objects are in `block`.

use super::block::{self, Fill};
use super::convert::{self, Site};
use super::error::PropertyError;
use super::model::{Field, Model, Role};
use crate::ids::{Entropy, UlidSource};
use crate::time::UnixMillis;
use crate::value::{Map, Value};

/// What a write needs beside the properties.
pub struct Writing<'a> {
    /// Values that the device gives to every item, such as `deviceId`.
    pub context: &'a Map,
    /// The time for `created`, `updated` and generated ids.
    pub wall: Option<UnixMillis>,
    /// The source of sorted ids.
    pub ulids: &'a mut UlidSource,
    /// The source of random ids.
    pub entropy: &'a mut dyn Entropy,
}

impl Model {
    /// A new item from the properties a program gives: with context values, defaults, generated
    /// ids, timestamps, keys and the model's name.
    ///
    /// # Errors
    /// The first property, in the order of the schema, that the model does not accept.
    pub fn create(
        &self,
        properties: &Map,
        writing: &mut Writing<'_>,
    ) -> Result<Map, PropertyError> {
        self.check_names(properties)?;
        let mut item = Map::with_capacity(self.fields.len());
        for field in &self.fields {
            let given = properties.get(&field.name);
            let value = match field.role {
                Role::Type => self.type_value(field, given)?,
                Role::Created | Role::Updated => timestamp(field, writing),
                _ if field.template.is_some() => None,
                _ => self.new_value(field, given, writing)?,
            };
            if let Some(value) = value {
                field.store(&mut item, value);
            }
        }
        self.compute(properties, &mut item)?;
        self.check_key_parts(&item)?;
        self.fold_encoded(&mut item)?;
        Ok(item)
    }

    /// The item after a change: given properties replace, null removes, the others stay, and so do
    /// attributes outside the schema.
    ///
    /// An object whose fields the schema names is merged in the same way, unless the field says
    /// `partial: false`; every other object is replaced as a whole.
    ///
    /// # Errors
    /// The first property, in the order of names, that the model does not accept.
    pub fn update(
        &self,
        current: &Map,
        changes: &Map,
        writing: &mut Writing<'_>,
    ) -> Result<Map, PropertyError> {
        self.check_names(changes)?;
        let mut item = current.clone();
        self.add_context(&mut item, writing)?;
        self.unfold_encoded(&mut item);
        for field in &self.fields {
            let given = changes.get(&field.name);
            match (field.role, given) {
                (Role::Type, given) => {
                    if let Some(name) = self.type_value(field, given)? {
                        field.store(&mut item, name);
                    }
                }
                (Role::Updated, _) => {
                    if let Some(at) = timestamp(field, writing) {
                        field.store(&mut item, at);
                    }
                }
                (Role::Created, _) | (_, None) => {}
                (_, Some(_)) if field.template.is_some() => {}
                (_, Some(value)) => {
                    block::change(field, value, &mut item, &self.site(field), writing)?;
                    self.check_kept(field, current, &item)?;
                }
            }
        }
        self.compute(changes, &mut item)?;
        self.fold_encoded(&mut item)?;
        Ok(item)
    }

    /// Makes the attributes that have a value template anew, as far as the item has what they are
    /// made from. Its key stays.
    pub(super) fn recompute(&self, item: &mut Map) {
        self.unfold_encoded(item);
        for at in &self.computed {
            let field = &self.fields[*at];
            if matches!(field.role, Role::Hash | Role::Sort) {
                continue;
            }
            match self.expand(*at, item) {
                (text, None) => field.store(item, text),
                (_, Some(_)) => field.clear(item),
            }
        }
        for field in self.fields.iter().filter(|field| field.encoded.is_some()) {
            item.remove(&field.attribute);
        }
    }

    fn check_names(&self, properties: &Map) -> Result<(), PropertyError> {
        let mut names = properties.fields().map(|(name, _)| name);
        match names.find(|name| self.named(name).is_none()) {
            Some(name) => Err(unknown_field(self, name)),
            None => Ok(()),
        }
    }

    fn site<'a>(&'a self, field: &'a Field) -> Site<'a> {
        Site {
            model: &self.name,
            parent: None,
            name: &field.name,
        }
    }

    fn type_value(
        &self,
        field: &Field,
        given: Option<&Value>,
    ) -> Result<Option<Value>, PropertyError> {
        match given {
            None | Some(Value::Null) => Ok(Some(Value::from(self.name.as_str()))),
            Some(Value::String(name)) if *name == self.name => {
                Ok(Some(Value::from(self.name.as_str())))
            }
            Some(_) => Err(self.read_only(field, "it is always the name of the model".to_owned())),
        }
    }

    /// A top-level value of a new item: the context's, or else the program's, or else the schema's.
    fn new_value(
        &self,
        field: &Field,
        given: Option<&Value>,
        writing: &mut Writing<'_>,
    ) -> Result<Option<Value>, PropertyError> {
        let site = self.site(field);
        let context = writing.context;
        let fixed = context.get(&field.name);
        if let (Some(fixed), Some(given)) = (fixed, given)
            && given != fixed
            && !given.is_null()
        {
            return Err(self.read_only(field, format!("it is {} here", fixed.to_json())));
        }
        block::new_value(field, fixed.or(given), &site, Fill::All, writing)
    }

    /// What a foreign writer left out of an item although its key is made from it.
    fn add_context(&self, item: &mut Map, writing: &Writing<'_>) -> Result<(), PropertyError> {
        for name in &self.key_variables {
            let (Some(field), Some(value)) = (self.named(name), writing.context.get(name)) else {
                continue;
            };
            if !field.is_in(item)
                && let Some(stored) = convert::stored(field, value, &self.site(field))?
            {
                field.store(item, stored.into_owned());
            }
        }
        Ok(())
    }

    /// Makes the fields that have a value template; a given value must be the computed one.
    fn compute(&self, given: &Map, item: &mut Map) -> Result<(), PropertyError> {
        for at in &self.computed {
            let field = &self.fields[*at];
            let (text, missing) = self.expand(*at, item);
            let told = given.get(&field.name).filter(|told| **told != Value::Null);
            if told.is_some_and(|told| missing.is_some() || told.as_str() != Some(&text)) {
                return Err(self.site(field).computed(field));
            }
            match missing {
                None => field.store(item, text),
                Some(variable) if matches!(field.role, Role::Hash | Role::Sort) => {
                    // A foreign writer may have left out what the key is made from.
                    if item.contains_key(&field.attribute) {
                        continue;
                    }
                    return Err(PropertyError::MissingRequired {
                        model: self.name.clone(),
                        field: variable.to_owned(),
                    });
                }
                Some(_) => {
                    field.clear(item);
                    if field.required {
                        return Err(self.site(field).missing());
                    }
                }
            }
        }
        match self.key_texts(item) {
            Some((hash, sort)) => self.check_key(hash.as_bytes(), sort.as_bytes()),
            None => Err(self.site(self.hash_field()).missing()),
        }
    }

    /// Gives encoded fields attributes of their own while an item is in the making.
    fn unfold_encoded(&self, item: &mut Map) {
        for field in self.fields.iter().filter(|field| field.encoded.is_some()) {
            if let Some(value) = field.stored_in(item).map(std::borrow::Cow::into_owned) {
                field.store(item, value);
            }
        }
    }

    /// Takes the attributes of encoded fields away again: each must be readable from the text that
    /// it is kept in.
    fn fold_encoded(&self, item: &mut Map) -> Result<(), PropertyError> {
        for field in &self.fields {
            let Some(encoded) = &field.encoded else {
                continue;
            };
            let Some(value) = item.remove(&field.attribute) else {
                continue;
            };
            let seen = convert::property(field, &value);
            let read = field.stored_in(item);
            if read.is_none_or(|read| convert::property(field, &read) != seen) {
                let expected = format!(
                    "a value that can be read back from \"{}\": without \"{}\", and with all the \
                     other fields that it is made from",
                    encoded.attribute, encoded.separator
                );
                return Err(self.site(field).not_allowed(&value, expected));
            }
        }
        Ok(())
    }

    /// Refuses changes of what names the item and of fields that keep their first value.
    fn check_kept(&self, field: &Field, before: &Map, after: &Map) -> Result<(), PropertyError> {
        let (old, new) = (field.stored_in(before), field.stored_in(after));
        if old == new {
            return Ok(());
        }
        if self.key_variables.contains(&field.name) {
            let reason = "it is part of the key; create another item and remove this one";
            return Err(self.read_only(field, reason.to_owned()));
        }
        if field.readonly && old.is_some() {
            return Err(self.read_only(field, "it keeps its first value".to_owned()));
        }
        Ok(())
    }

    fn read_only(&self, field: &Field, reason: String) -> PropertyError {
        self.site(field).read_only(reason)
    }
}

/// The error for a property that is no field of the model.
pub(super) fn unknown_field(model: &Model, name: &str) -> PropertyError {
    let fields = model.fields.iter();
    let given = fields.filter(|field| field.template.is_none() && !field.hidden);
    let known = given.map(Field::name);
    PropertyError::unknown_field(&model.name, name.to_owned(), name, known)
}

fn timestamp(field: &Field, writing: &Writing<'_>) -> Option<Value> {
    writing.wall.map(|at| convert::date_form(field.iso, at))
}
