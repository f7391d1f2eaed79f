//! From the properties that a program gives to the item that is stored, byte for byte as
//! `dynamodb-onetable` would store it.

use super::convert::{self, Site};
use super::error::PropertyError;
use super::model::{Field, FieldType, Generate, Model, Role};
use crate::ids::{self, Entropy, UlidSource};
use crate::nearest::nearest;
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
                item.insert(field.attribute.as_str(), value);
            }
        }
        self.compute(properties, &mut item)?;
        self.check_key_parts(&item)?;
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
        for field in &self.fields {
            let given = changes.get(&field.name);
            match (field.role, given) {
                (Role::Type, given) => {
                    if let Some(name) = self.type_value(field, given)? {
                        item.insert(field.attribute.as_str(), name);
                    }
                }
                (Role::Updated, _) => {
                    if let Some(at) = timestamp(field, writing) {
                        item.insert(field.attribute.as_str(), at);
                    }
                }
                (Role::Created, _) | (_, None) => {}
                (_, Some(_)) if field.template.is_some() => {}
                (_, Some(value)) => {
                    let site = self.site(field);
                    change(field, value, &mut item, &site, writing)?;
                    self.check_kept(field, current, &item)?;
                }
            }
        }
        self.compute(changes, &mut item)?;
        Ok(item)
    }

    fn check_names(&self, properties: &Map) -> Result<(), PropertyError> {
        match properties.keys().find(|name| self.field(name).is_none()) {
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
        if let Some(fixed) = writing.context.get(&field.name) {
            if given.is_some_and(|given| given != fixed && *given != Value::Null) {
                return Err(self.read_only(field, format!("it is {} here", fixed.to_json())));
            }
            let fixed = fixed.clone();
            return create_value(field, Some(&fixed), &site, writing);
        }
        create_value(field, given, &site, writing)
    }

    /// What a foreign writer left out of an item although its key is made from it.
    fn add_context(&self, item: &mut Map, writing: &Writing<'_>) -> Result<(), PropertyError> {
        for name in &self.key_variables {
            let (Some(field), Some(value)) = (self.field(name), writing.context.get(name)) else {
                continue;
            };
            if !item.contains_key(&field.attribute)
                && let Some(stored) = convert::stored(field, value, &self.site(field))?
            {
                item.insert(field.attribute.as_str(), stored);
            }
        }
        Ok(())
    }

    /// Makes the fields that have a value template; a given value must be the computed one.
    fn compute(&self, given: &Map, item: &mut Map) -> Result<(), PropertyError> {
        for at in &self.computed {
            let field = &self.fields[*at];
            let (text, missing) = self.expand(*at, item);
            match missing {
                None => {
                    let told = given.get(&field.name).filter(|told| **told != Value::Null);
                    if told.is_some_and(|told| told.as_str() != Some(&text)) {
                        return Err(self.computed_error(field));
                    }
                    item.insert(field.attribute.as_str(), text);
                }
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
                    item.remove(&field.attribute);
                    if field.required {
                        return Err(self.site(field).missing());
                    }
                }
            }
        }
        match self.key_of(item) {
            Some(key) => self.checked_key(key.pk, key.sk).map(|_| ()),
            None => Err(self.site(self.hash_field()).missing()),
        }
    }

    /// Refuses changes of what names the item and of fields that keep their first value.
    fn check_kept(&self, field: &Field, before: &Map, after: &Map) -> Result<(), PropertyError> {
        let (old, new) = (before.get(&field.attribute), after.get(&field.attribute));
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

    fn computed_error(&self, field: &Field) -> PropertyError {
        let template = field.template.as_ref().map(ToString::to_string);
        let template = template.unwrap_or_default();
        self.read_only(
            field,
            format!("it is made from \"{template}\"; leave it out"),
        )
    }

    fn read_only(&self, field: &Field, reason: String) -> PropertyError {
        PropertyError::ReadOnlyField {
            model: self.name.clone(),
            field: field.name.clone(),
            reason,
        }
    }
}

impl Site<'_> {
    fn missing(&self) -> PropertyError {
        PropertyError::MissingRequired {
            model: self.model.to_owned(),
            field: self.path(),
        }
    }
}

/// The error for a property that is no field of the model.
pub(super) fn unknown_field(model: &Model, name: &str) -> PropertyError {
    let visible = model.fields.iter().filter(|field| field.template.is_none());
    PropertyError::UnknownField {
        model: model.name.clone(),
        field: name.to_owned(),
        nearest: nearest(name, visible.map(Field::name)).map(str::to_owned),
    }
}

/// The stored form of a value of a new item: given, or by default, or generated.
fn create_value(
    field: &Field,
    given: Option<&Value>,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<Option<Value>, PropertyError> {
    let made;
    let value = match given {
        Some(value) => Some(value),
        None => {
            made = missing_value(field, writing);
            made.as_ref()
        }
    };
    match value {
        None if field.required => Err(site.missing()),
        None => Ok(None),
        Some(Value::Null) if field.required => Err(site.missing()),
        Some(Value::Null) => Ok(field.nulls.then_some(Value::Null)),
        Some(value) => whole_value(field, value, site, writing),
    }
}

fn missing_value(field: &Field, writing: &mut Writing<'_>) -> Option<Value> {
    if let Some(default) = &field.default {
        return Some(default.clone());
    }
    match field.generate {
        Some(Generate::Ulid) => {
            let id = writing.ulids.next(writing.wall, writing.entropy);
            Some(Value::String(id))
        }
        Some(Generate::Uid(letters)) => Some(Value::String(ids::uid(letters, writing.entropy))),
        Some(Generate::Uuid) => Some(Value::String(ids::uuid(writing.entropy))),
        // An object that must be there is made of the defaults of its fields.
        None if field.required && !field.nested.is_empty() => Some(match field.kind {
            FieldType::Array => Value::List(Vec::new()),
            _ => Value::Map(Map::new()),
        }),
        None => None,
    }
}

/// The stored form of a value that replaces whatever was there.
fn whole_value(
    field: &Field,
    value: &Value,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<Option<Value>, PropertyError> {
    match (field.kind, value) {
        (FieldType::Object, Value::Map(map)) if !field.nested.is_empty() => {
            create_block(&field.nested, map, site, writing).map(|map| Some(Value::Map(map)))
        }
        (FieldType::Array, Value::List(items)) if field.items.is_some() => items
            .iter()
            .map(|item| array_entry(field, item, site, writing))
            .collect::<Result<_, _>>()
            .map(|items| Some(Value::List(items))),
        _ => convert::stored(field, value, site),
    }
}

fn array_entry(
    field: &Field,
    item: &Value,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<Value, PropertyError> {
    match item {
        Value::Map(map) if !field.nested.is_empty() => {
            create_block(&field.nested, map, site, writing).map(Value::Map)
        }
        other => {
            let entry = field.entry();
            convert::stored(&entry, other, site)?
                .ok_or_else(|| site.wrong_type(other, convert::expected(entry.kind)))
        }
    }
}

fn create_block(
    fields: &[Field],
    given: &Map,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<Map, PropertyError> {
    check_nested_names(fields, given, site)?;
    let mut block = Map::with_capacity(fields.len());
    for field in fields {
        let site = Site {
            model: site.model,
            parent: Some(site),
            name: &field.name,
        };
        if let Some(value) = create_value(field, given.get(&field.name), &site, writing)? {
            block.insert(field.attribute.as_str(), value);
        }
    }
    Ok(block)
}

fn check_nested_names(fields: &[Field], given: &Map, site: &Site<'_>) -> Result<(), PropertyError> {
    for name in given.keys() {
        if !fields.iter().any(|field| field.name == name) {
            return Err(PropertyError::UnknownField {
                model: site.model.to_owned(),
                field: format!("{}.{name}", site.path()),
                nearest: nearest(name, fields.iter().map(Field::name)).map(str::to_owned),
            });
        }
    }
    Ok(())
}

/// Puts a changed value in its place in an item, or in a nested object.
fn change(
    field: &Field,
    value: &Value,
    item: &mut Map,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<(), PropertyError> {
    if let (FieldType::Object, true, Value::Map(changes), Some(Value::Map(block))) = (
        field.kind,
        field.partial && !field.nested.is_empty(),
        value,
        item.get_mut(&field.attribute),
    ) {
        return change_block(&field.nested, changes, block, site, writing);
    }
    let stored = match value {
        Value::Null if field.required => return Err(site.missing()),
        Value::Null => field.nulls.then_some(Value::Null),
        value => whole_value(field, value, site, writing)?,
    };
    match stored {
        Some(stored) => item.insert(field.attribute.as_str(), stored),
        None => item.remove(&field.attribute),
    };
    Ok(())
}

fn change_block(
    fields: &[Field],
    changes: &Map,
    block: &mut Map,
    site: &Site<'_>,
    writing: &mut Writing<'_>,
) -> Result<(), PropertyError> {
    check_nested_names(fields, changes, site)?;
    for field in fields {
        if let Some(value) = changes.get(&field.name) {
            let site = Site {
                model: site.model,
                parent: Some(site),
                name: &field.name,
            };
            change(field, value, block, &site, writing)?;
        }
    }
    Ok(())
}

fn timestamp(field: &Field, writing: &Writing<'_>) -> Option<Value> {
    writing.wall.map(|at| convert::date_form(field.iso, at))
}
