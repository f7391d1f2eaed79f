//! What a schema says once it is read: models, their fields, and how they are stored and synced.

use std::fmt;

use regex_lite::Regex;

use super::encode::unknown_field;
use super::error::PropertyError;
use super::place::Encoded;
use super::plain_key::PlainKey;
use super::shown::Shown;
use super::template::Template;
use super::version::Version;
use crate::sync::config::{DeletePolicy, Direction, ModelRule, Policy};
use crate::value::{Map, Name, Value};

/// One kind of item: its fields, its key and its process settings.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    /// Positions in `fields`: the partition key, the sort key, the time of expiry, and fields with a
    /// value template in the order in which they can be computed.
    pub(super) hash: usize,
    pub(super) sort: usize,
    pub(super) ttl: Option<usize>,
    pub(super) computed: Vec<usize>,
    /// Those of them that the keys are made from, in that order.
    pub(super) key_sources: Vec<usize>,
    pub(super) key_variables: Vec<Name>,
    pub(super) plain_key: Option<PlainKey>,
    /// The attribute that holds the name of the model.
    pub(super) type_attribute: Name,
    pub(super) process: Process,
    pub(super) class: Option<Class>,
    pub(super) shown: Shown,
    /// That of the schema which the model comes from.
    pub(super) version: Version,
}

impl Model {
    /// The name, as in the schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields in the order of the schema, with those that the schema implies at the end.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field of this name.
    ///
    /// # Errors
    /// `UnknownField`, with the nearest name.
    pub fn known_field(&self, name: &str) -> Result<&Field, PropertyError> {
        self.field(name).ok_or_else(|| unknown_field(self, name))
    }

    /// The field of this name, for a name that came out of a map.
    pub(super) fn named(&self, name: &Name) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == *name)
    }

    /// The variables of the key templates in order of first appearance, context values included.
    pub fn key_variables(&self) -> &[Name] {
        &self.key_variables
    }

    /// The field that holds the partition key.
    pub fn hash_field(&self) -> &Field {
        &self.fields[self.hash]
    }

    /// The field that holds the sort key.
    pub fn sort_field(&self) -> &Field {
        &self.fields[self.sort]
    }

    /// The version of the schema that the model comes from. Models that an agent brings along have
    /// another one than those of its owner.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// How the model is stored and synced.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Which way the model is replicated.
    pub fn direction(&self) -> Direction {
        self.process.sync
    }

    /// Who may write the partition, from its key template; `None` for models that stay local.
    pub fn class(&self) -> Option<Class> {
        self.class
    }

    /// What replication must know of the model; `None` when it stays local.
    pub fn sync_rule(&self, context: &Map) -> Option<ModelRule> {
        if self.process.sync == Direction::None {
            return None;
        }
        let prefix = |at: usize| self.expand(at, context).0;
        let updated = self.fields.iter().find(|field| field.role == Role::Updated);
        let rule = ModelRule::new(
            &self.name,
            prefix(self.hash),
            prefix(self.sort),
            self.process.sync,
        );
        Some(ModelRule {
            policy: self.process.conflict,
            deletes: self.process.deletes,
            updated: updated.map(|field| field.attribute.clone().into()),
            ..rule
        })
    }

    /// The attribute that holds the time of expiry, if the model has one.
    pub fn ttl_attribute(&self) -> Option<&str> {
        self.ttl.map(|at| self.fields[at].attribute())
    }
}

/// One property of a model.
#[derive(Clone, Debug)]
pub struct Field {
    pub(super) name: Name,
    pub(super) attribute: Name,
    /// The entry of the attribute that it is packed into (`map: 'attribute.entry'`).
    pub(super) packed: Option<Name>,
    /// The part of another attribute that it is read from (`encode`); then it has none of its own.
    pub(super) encoded: Option<Encoded>,
    pub(super) kind: FieldType,
    pub(super) role: Role,
    pub(super) required: bool,
    pub(super) hidden: bool,
    pub(super) readonly: bool,
    pub(super) ttl: bool,
    pub(super) nulls: bool,
    pub(super) iso: bool,
    pub(super) partial: bool,
    pub(super) default: Option<Value>,
    pub(super) choices: Vec<Value>,
    pub(super) generate: Option<Generate>,
    pub(super) pattern: Option<Pattern>,
    pub(super) template: Option<Template>,
    /// Whether no two items have the same value, and within what.
    pub(super) unique: bool,
    pub(super) scope: Option<Template>,
    /// The type of the entries of an array or a set, when the schema says it.
    pub(super) items: Option<FieldType>,
    /// The fields of a nested object, or of each entry of an array.
    pub(super) nested: Vec<Field>,
    /// Positions in `nested` of fields with a template, in the order in which they can be computed.
    pub(super) nested_computed: Vec<usize>,
}

impl Field {
    /// The name of the property.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the attribute in the stored item. An [encoded](Field::encoded) field has none;
    /// then this is its own name.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The entry of the attribute that holds it, when the schema packs fields into one.
    pub fn packed(&self) -> Option<&str> {
        self.packed.as_deref()
    }

    /// Where it is read from, when it is kept as a part of another attribute.
    pub fn encoded(&self) -> Option<&Encoded> {
        self.encoded.as_ref()
    }

    /// The type.
    pub fn kind(&self) -> FieldType {
        self.kind
    }

    /// Whether a date is stored as ISO text, not as milliseconds.
    pub fn is_iso(&self) -> bool {
        self.iso
    }

    /// What the field is to the database.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether an item must have it.
    pub fn required(&self) -> bool {
        self.required
    }

    /// Whether programs see it only when they ask for hidden fields.
    pub fn hidden(&self) -> bool {
        self.hidden
    }

    /// Whether it keeps its first value.
    pub fn readonly(&self) -> bool {
        self.readonly
    }

    /// Whether it is the time at which the item expires.
    pub fn ttl(&self) -> bool {
        self.ttl
    }

    /// The value of a new item that does not give one.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The only values it may have; empty for all.
    pub fn choices(&self) -> &[Value] {
        &self.choices
    }

    /// The template it is computed from.
    pub fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Whether no two items have the same value.
    pub fn unique(&self) -> bool {
        self.unique
    }

    /// How a new item gets a value, when it gives none.
    pub fn generate(&self) -> Option<Generate> {
        self.generate
    }

    /// The pattern that its text must match.
    pub fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// The type of the entries of an array or a set, when the schema says it.
    pub fn items(&self) -> Option<FieldType> {
        self.items
    }

    /// The fields of a nested object, or of each entry of an array.
    pub fn nested(&self) -> &[Field] {
        &self.nested
    }

    /// An array as a field for one of its entries.
    pub(super) fn entry(&self) -> Field {
        Field {
            iso: self.iso,
            ..Field::plain(&self.name, self.items.unwrap_or(FieldType::Object))
        }
    }

    /// A field of which the schema says nothing but its type.
    pub(super) fn plain(name: &str, kind: FieldType) -> Field {
        Field {
            name: name.into(),
            attribute: name.into(),
            packed: None,
            encoded: None,
            kind,
            role: Role::Plain,
            required: false,
            hidden: false,
            readonly: false,
            ttl: false,
            nulls: false,
            iso: false,
            partial: true,
            default: None,
            choices: Vec::new(),
            generate: None,
            pattern: None,
            template: None,
            unique: false,
            scope: None,
            items: None,
            nested: Vec::new(),
            nested_computed: Vec::new(),
        }
    }
}

/// The types that a field can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// Text.
    String,
    /// A decimal of up to 38 digits.
    Number,
    /// True or false.
    Boolean,
    /// A time; text in ISO form to programs.
    Date,
    /// A list.
    Array,
    /// A map.
    Object,
    /// Bytes; base64 text in the cloud.
    Binary,
    /// A set of texts, of numbers or of bytes.
    Set,
}

impl FieldType {
    /// The name in a schema.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::Number => "number",
            FieldType::Boolean => "boolean",
            FieldType::Date => "date",
            FieldType::Array => "array",
            FieldType::Object => "object",
            FieldType::Binary => "binary",
            FieldType::Set => "set",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a field is to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program's own.
    Plain,
    /// The partition key.
    Hash,
    /// The sort key.
    Sort,
    /// The name of the model.
    Type,
    /// The time of creation.
    Created,
    /// The time of the last change.
    Updated,
}

impl fmt::Display for Generate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Generate::Ulid => f.write_str("ulid"),
            Generate::Uid(letters) => write!(f, "uid({letters})"),
            Generate::Uuid => f.write_str("uuid"),
        }
    }
}

/// How a value comes to be that nobody gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generate {
    /// Sorted by time, 26 letters.
    Ulid,
    /// Random, of so many letters.
    Uid(usize),
    /// Random, version 4.
    Uuid,
}

/// A regular expression that values must match, as the schema writes it.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) text: String,
    pub(super) regex: Regex,
}

impl Pattern {
    /// The pattern as the schema writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// How a model is stored and synced: the `process` part of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Which way it is replicated.
    pub sync: Direction,
    /// When a write counts as done.
    pub durability: Durability,
    /// The most rows that are kept.
    pub rows_max: Option<u64>,
    /// The most bytes that its rows may have in the database, keys and what waits for the cloud
    /// included.
    pub bytes_max: Option<u64>,
    /// What happens to a row for which there is no room.
    pub overflow: Overflow,
    /// Who wins when both sides changed a field.
    pub conflict: Policy,
    /// Who wins when one side deleted what the other changed.
    pub deletes: DeletePolicy,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            sync: Direction::None,
            durability: Durability::Immediate,
            rows_max: None,
            bytes_max: None,
            overflow: Overflow::DropOldest,
            conflict: Policy::Cloud,
            deletes: DeletePolicy::EditWins,
        }
    }
}

impl Process {
    /// Whether rows or bytes are bounded.
    pub fn is_bounded(&self) -> bool {
        self.rows_max.is_some() || self.bytes_max.is_some()
    }
}

/// What a full model, or a full queue to the cloud, does with a new row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The write is refused.
    Refuse,
    /// The rows whose last change is the longest ago go, and are counted.
    DropOldest,
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is flushed at once; those who wait share one flush.
    Immediate,
    /// It is flushed with the next flush, or within the database's flush interval.
    Relaxed,
    /// It is flushed with the next flush, or within the much longer interval of lazy writes.
    Lazy,
}

/// Who may write a partition: the part of the partition key after the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `up`: the device writes.
    Up,
    /// `dn`: the device reads.
    Down,
    /// `rw`: both write.
    Both,
}

impl Class {
    /// The text in the key.
    pub fn name(self) -> &'static str {
        match self {
            Class::Up => "up",
            Class::Down => "dn",
            Class::Both => "rw",
        }
    }
}
