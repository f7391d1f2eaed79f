//! From the tree of a schema text to a [`Model`] and its fields.

use regex_lite::{Regex, RegexBuilder};

use super::error::SchemaError;
use super::model::{Field, FieldType, Generate, Model, Pattern, Process, Role};
use super::place::Encoded;
use super::plain_key::PlainKey;
use super::schema::{Index, Params};
use super::section::{Section, unknown_key};
use super::shown::Shown;
use super::source::Node;
use super::template::Template;
use super::version::Version;
use super::{convert, rules, unique};
use crate::limits::{SCHEMA_FIELDS_MAX, UID_LETTERS_MAX};
use crate::value::{Name, Value};

/// What all models of a schema share.
pub(super) struct Around<'a> {
    pub(super) params: &'a Params,
    /// The primary one first.
    pub(super) indexes: &'a [Index],
    pub(super) version: Version,
}

pub(super) fn model(
    name: &str,
    section: &Section<'_>,
    around: &Around<'_>,
    process: Process,
) -> Result<Model, SchemaError> {
    let params = around.params;
    let primary = &around.indexes[0];
    let mut fields = read_fields(section, params, Level::Top, true)?;
    add_implied(&mut fields, params);
    for field in &mut fields {
        field.role = role(field, params, primary);
    }
    let hash = key_field(section, name, &mut fields, Role::Hash, &primary.hash)?;
    let sort_attribute = primary.sort.as_deref().unwrap_or_default();
    let sort = key_field(section, name, &mut fields, Role::Sort, sort_attribute)?;
    let computed = rules::order_templates(section, &fields)?;
    read_encoded(section, &mut fields, params)?;
    let key_variables = rules::key_variables(section, &fields, hash, sort)?;
    let class = rules::class_of(section, &fields[hash], &fields[sort], &process)?;
    rules::check_attributes(section, &fields, &process)?;
    unique::check(section, &fields, &process)?;
    rules::check_packed(section, &fields, around.indexes)?;
    let key_sources = rules::key_sources(section, &fields, hash, sort)?;
    Ok(Model {
        name: name.to_owned(),
        shown: Shown::of(&fields, &params.type_field),
        plain_key: PlainKey::of(&fields, hash, sort),
        type_attribute: params.type_field.clone(),
        ttl: fields.iter().position(|field| field.ttl),
        fields,
        hash,
        sort,
        computed,
        key_sources,
        key_variables,
        process,
        class,
        version: around.version,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Nested,
}

fn read_fields(
    section: &Section<'_>,
    params: &Params,
    level: Level,
    partial: bool,
) -> Result<Vec<Field>, SchemaError> {
    let mut fields = Vec::new();
    for entry in section.sections() {
        let (name, entry) = entry?;
        fields.push(read_field(name, &entry, params, level, partial)?);
        if fields.len() > SCHEMA_FIELDS_MAX {
            return Err(
                section.fail_here(format!("there are more than {SCHEMA_FIELDS_MAX} fields"))
            );
        }
    }
    Ok(fields)
}

const FIELD_KEYS: &[&str] = &[
    "type",
    "required",
    "default",
    "enum",
    "generate",
    "validate",
    "hidden",
    "readonly",
    "ttl",
    "map",
    "nulls",
    "value",
    "schema",
    "items",
    "isoDates",
    "partial",
    "unique",
    "scope",
    "encode",
    "crypt",
    "filter",
    "reference",
    "description",
];

fn read_field(
    name: &str,
    section: &Section<'_>,
    params: &Params,
    level: Level,
    partial: bool,
) -> Result<Field, SchemaError> {
    section.allow(FIELD_KEYS)?;
    section.refuse(&[(
        "crypt",
        "encrypted fields are not supported: the device has no safe place for a password that \
             the cloud knows too",
    )])?;
    if level == Level::Nested {
        section.refuse(&[(
            "encode",
            "only fields of the model itself can be a part of another attribute",
        )])?;
    }
    let kind =
        field_type(section, "type")?.ok_or_else(|| section.fail("type", "a field needs a type"))?;
    let template = template(section)?;
    let (unique, scope) = unique(section, level)?;
    let hidden = section.flag("hidden")?.unwrap_or(template.is_some());
    let partial = section.flag("partial")?.unwrap_or(partial);
    let nested = nested(section, kind, params, partial)?;
    let (attribute, packed) = attribute(section, name, level)?;
    let mut field = Field {
        attribute,
        packed,
        required: section.flag("required")?.unwrap_or(false),
        hidden,
        readonly: section.flag("readonly")?.unwrap_or(false),
        ttl: section.flag("ttl")?.unwrap_or(false),
        nulls: section.flag("nulls")?.unwrap_or(params.nulls),
        iso: section.flag("isoDates")?.unwrap_or(false) || params.iso_dates,
        partial,
        generate: generate(section, kind)?,
        pattern: pattern(section, kind)?,
        template,
        unique,
        scope,
        items: nested.items,
        nested: nested.fields,
        nested_computed: nested.computed,
        ..Field::plain(name, kind)
    };
    if field.ttl && kind != FieldType::Date {
        return Err(section.fail(
            "ttl",
            format!("ttl needs type \"date\"; this is \"{kind}\""),
        ));
    }
    field.choices = choices(section, &field)?;
    field.default = default(section, &field)?;
    Ok(field)
}

fn field_type(section: &Section<'_>, key: &str) -> Result<Option<FieldType>, SchemaError> {
    const TYPES: &[(&str, FieldType)] = &[
        ("string", FieldType::String),
        ("number", FieldType::Number),
        ("boolean", FieldType::Boolean),
        ("date", FieldType::Date),
        ("array", FieldType::Array),
        ("object", FieldType::Object),
        ("binary", FieldType::Binary),
        ("buffer", FieldType::Binary),
        ("arraybuffer", FieldType::Binary),
        ("set", FieldType::Set),
    ];
    let Some(text) = section.text(key)? else {
        return Ok(None);
    };
    let lower = text.to_ascii_lowercase();
    if let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == lower) {
        return Ok(Some(*kind));
    }
    let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
    let message = unknown_key(text, &names).replace("unknown key", "unknown type");
    Err(section.fail(key, message))
}

fn template(section: &Section<'_>) -> Result<Option<Template>, SchemaError> {
    match section.node("value") {
        None | Some(Node::Bool(false)) => Ok(None),
        Some(Node::Text(text)) => Template::parse(text)
            .map(Some)
            .map_err(|message| section.fail("value", message)),
        Some(other) => Err(section.wrong("value", other, "a template such as 'User#${id}'")),
    }
}

fn unique(section: &Section<'_>, level: Level) -> Result<(bool, Option<Template>), SchemaError> {
    let unique = section.flag("unique")?.unwrap_or(false);
    let scope = section.text("scope")?;
    match (unique, level, scope) {
        (true, Level::Nested, _) => {
            Err(section.fail("unique", "only fields of the model itself can be unique"))
        }
        (false, _, Some(_)) => Err(section.fail("scope", "a scope is for unique fields")),
        (unique, _, None) => Ok((unique, None)),
        (unique, _, Some(text)) => Template::parse(text)
            .map(|scope| (unique, Some(scope)))
            .map_err(|message| section.fail("scope", message)),
    }
}

/// The attribute, and the entry of it that several fields are packed into.
fn attribute(
    section: &Section<'_>,
    name: &str,
    level: Level,
) -> Result<(Name, Option<Name>), SchemaError> {
    let Some(map) = section.text("map")? else {
        return Ok((name.into(), None));
    };
    let (attribute, entry) = match map.split_once('.') {
        None => (map, None),
        Some((attribute, entry)) => (attribute, Some(entry)),
    };
    if attribute.is_empty() || entry.is_some_and(|entry| entry.is_empty() || entry.contains('.')) {
        let expected = "expected an attribute, or an attribute and an entry of it: 'place.city'";
        return Err(section.fail("map", format!("\"{map}\" stands here; {expected}")));
    }
    if entry.is_some() && level == Level::Nested {
        let message = "only fields of the model itself can be packed into one attribute";
        return Err(section.fail("map", message));
    }
    Ok((attribute.into(), entry.map(Name::from)))
}

/// What a field of type object, array or set says of its contents.
#[derive(Default)]
struct Nested {
    items: Option<FieldType>,
    fields: Vec<Field>,
    computed: Vec<usize>,
}

fn nested(
    section: &Section<'_>,
    kind: FieldType,
    params: &Params,
    partial: bool,
) -> Result<Nested, SchemaError> {
    let own = section.section("schema")?;
    match (&own, kind) {
        (None, _) | (_, FieldType::Object) => {}
        (Some(_), FieldType::Array) => {
            let message = "the schema of an array's entries stands in its items: \
                           items: { type: 'object', schema: { ... } }";
            return Err(section.fail("schema", message));
        }
        (Some(_), _) => {
            let message = format!("a field of type \"{kind}\" has no schema");
            return Err(section.fail("schema", message));
        }
    }
    let items = section.section("items")?;
    if items.is_some() && !matches!(kind, FieldType::Array | FieldType::Set) {
        return Err(section.fail("items", format!("a field of type \"{kind}\" has no items")));
    }
    let mut nested = Nested::default();
    let mut schema = own;
    if let Some(items) = &items {
        items.allow(&["type", "schema", "description"])?;
        nested.items = field_type(items, "type")?;
        schema = items.section("schema")?;
        check_items(items, kind, nested.items, schema.is_some())?;
    }
    if let Some(schema) = &schema {
        nested.fields = read_fields(schema, params, Level::Nested, partial)?;
        nested.computed = rules::order_templates(schema, &nested.fields)?;
        rules::check_attributes(schema, &nested.fields, &Process::default())?;
        if kind == FieldType::Array {
            nested.items = Some(FieldType::Object);
        }
    }
    Ok(nested)
}

fn check_items(
    items: &Section<'_>,
    kind: FieldType,
    of: Option<FieldType>,
    has_schema: bool,
) -> Result<(), SchemaError> {
    const MEMBERS: [FieldType; 3] = [FieldType::String, FieldType::Number, FieldType::Binary];
    if kind == FieldType::Set && (has_schema || of.is_some_and(|of| !MEMBERS.contains(&of))) {
        let message = "a set has members of type \"string\", \"number\" or \"binary\"";
        return Err(items.fail("type", message));
    }
    if has_schema && of.is_some_and(|of| of != FieldType::Object) {
        return Err(items.fail("schema", "only entries of type \"object\" have a schema"));
    }
    Ok(())
}

/// `encode: ['sk', '#', 1]`, or `encode: 'sk'` for the part that the template there makes of it.
fn read_encoded(
    section: &Section<'_>,
    fields: &mut [Field],
    params: &Params,
) -> Result<(), SchemaError> {
    for at in 0..fields.len() {
        let Some(entry) = section.section(&fields[at].name)? else {
            continue;
        };
        let told = match entry.node("encode") {
            None | Some(Node::Bool(false)) => continue,
            Some(Node::Text(target)) => (target.as_str(), params.separator.as_str(), None),
            Some(Node::List(list)) => match list.as_slice() {
                [Node::Text(target), Node::Text(separator), part] => {
                    (target.as_str(), separator.as_str(), part_number(part))
                }
                _ => return Err(bad_encode(&entry)),
            },
            Some(_) => return Err(bad_encode(&entry)),
        };
        fields[at].encoded = Some(encoded(&entry, &fields[at], fields, told)?);
    }
    Ok(())
}

fn part_number(node: &Node) -> Option<usize> {
    match node {
        Node::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Node::Text(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn bad_encode(entry: &Section<'_>) -> SchemaError {
    let expected = "expected [attribute, separator, part], such as encode: ['sk', '#', 1]";
    entry.fail("encode", expected)
}

fn encoded(
    entry: &Section<'_>,
    field: &Field,
    fields: &[Field],
    (target, separator, told): (&str, &str, Option<usize>),
) -> Result<Encoded, SchemaError> {
    let fail = |message: String| Err(entry.fail("encode", message));
    if field.packed.is_some() || field.attribute != field.name {
        return fail("a field that is part of another attribute has no map of its own".to_owned());
    }
    if field.ttl || field.template.is_some() || field.role != Role::Plain {
        return fail("keys, templates and the ttl field need an attribute of their own".to_owned());
    }
    if !rules::has_text(field) {
        return fail(format!(
            "a field of type \"{}\" has no text form",
            field.kind
        ));
    }
    let template = fields
        .iter()
        .find(|other| other.attribute == target)
        .and_then(|other| other.template.as_ref());
    let Some(template) = template.filter(|_| !separator.is_empty()) else {
        return fail(format!(
            "\"{target}\" is no attribute with a value template"
        ));
    };
    let Some(part) = template.part_of(&field.name, separator) else {
        return fail(format!(
            "\"{}\" does not stand alone between \"{separator}\" in \"{template}\"",
            field.name
        ));
    };
    // What OneTable takes when no part is given: the how-manieth variable it is.
    let variables: Vec<_> = template.variables().collect();
    let counted = variables
        .iter()
        .position(|variable| *variable == &field.name);
    if told.or(counted) != Some(part) {
        return fail(format!(
            "\"{}\" is part {part} of \"{template}\": write encode: ['{target}', '{separator}', {part}]",
            field.name
        ));
    }
    Ok(Encoded {
        attribute: target.into(),
        separator: separator.to_owned(),
        part,
    })
}

fn generate(section: &Section<'_>, kind: FieldType) -> Result<Option<Generate>, SchemaError> {
    const EXPECTED: &str = "\"ulid\", \"uid\", \"uid(n)\" or \"uuid\"";
    let text = match section.node("generate") {
        None | Some(Node::Bool(false)) => return Ok(None),
        Some(Node::Text(text)) => text.as_str(),
        Some(other) => return Err(section.wrong("generate", other, EXPECTED)),
    };
    if kind != FieldType::String {
        return Err(section.fail("generate", "only a string can be generated"));
    }
    let generate = match text {
        "ulid" => Some(Generate::Ulid),
        "uuid" => Some(Generate::Uuid),
        "uid" => Some(Generate::Uid(10)),
        other => other
            .strip_prefix("uid(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|digits| digits.parse().ok())
            .filter(|letters| (1..=UID_LETTERS_MAX).contains(letters))
            .map(Generate::Uid),
    };
    generate.map(Some).ok_or_else(|| {
        let message = format!("\"{text}\" is not one of {EXPECTED} with n up to {UID_LETTERS_MAX}");
        section.fail("generate", message)
    })
}

/// `validate` is a JavaScript regular expression: bare, or between slashes with flags behind.
fn pattern(section: &Section<'_>, kind: FieldType) -> Result<Option<Pattern>, SchemaError> {
    let text = match section.node("validate") {
        None | Some(Node::Bool(false)) => return Ok(None),
        Some(Node::Text(text)) => text.as_str(),
        Some(other) => return Err(section.wrong("validate", other, "a pattern")),
    };
    if !matches!(kind, FieldType::String | FieldType::Number) {
        let message = "only strings and numbers can be validated by a pattern";
        return Err(section.fail("validate", message));
    }
    let regex = match text
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'))
    {
        Some((body, flags)) => RegexBuilder::new(body)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'))
            .build(),
        None => Regex::new(text),
    };
    let regex = regex.map_err(|error| {
        section.fail(
            "validate",
            format!("the pattern {text} cannot be used: {error}"),
        )
    })?;
    Ok(Some(Pattern {
        text: text.to_owned(),
        regex,
    }))
}

fn choices(section: &Section<'_>, field: &Field) -> Result<Vec<Value>, SchemaError> {
    let Some(node) = section.node("enum") else {
        return Ok(Vec::new());
    };
    let Node::List(items) = node else {
        return Err(section.wrong("enum", node, "a list of values"));
    };
    if items.is_empty() {
        return Err(section.fail("enum", "an empty list admits no value"));
    }
    items
        .iter()
        .map(|item| {
            let value = item.to_value();
            convert::check(field, &value).map_err(|message| section.fail("enum", message))?;
            Ok(value)
        })
        .collect()
}

fn default(section: &Section<'_>, field: &Field) -> Result<Option<Value>, SchemaError> {
    let Some(node) = section.node("default") else {
        return Ok(None);
    };
    let value = node.to_value();
    convert::check(field, &value).map_err(|message| section.fail("default", message))?;
    Ok(Some(value))
}

/// The fields that every item has although the schema does not name them.
fn add_implied(fields: &mut Vec<Field>, params: &Params) {
    let implied = [
        (&params.type_field, FieldType::String, true, true),
        (
            &params.created_field,
            FieldType::Date,
            false,
            params.timestamps.created,
        ),
        (
            &params.updated_field,
            FieldType::Date,
            false,
            params.timestamps.updated,
        ),
    ];
    for (name, kind, hidden, wanted) in implied {
        if wanted && !fields.iter().any(|field| field.name == *name) {
            fields.push(Field {
                hidden,
                iso: params.iso_dates,
                ..Field::plain(name, kind)
            });
        }
    }
}

fn role(field: &Field, params: &Params, primary: &Index) -> Role {
    if field.attribute == primary.hash {
        Role::Hash
    } else if primary
        .sort
        .as_ref()
        .is_some_and(|sort| field.attribute == *sort)
    {
        Role::Sort
    } else if field.name == params.type_field {
        Role::Type
    } else if params.timestamps.created && field.name == params.created_field {
        Role::Created
    } else if params.timestamps.updated && field.name == params.updated_field {
        Role::Updated
    } else {
        Role::Plain
    }
}

fn key_field(
    section: &Section<'_>,
    model: &str,
    fields: &mut [Field],
    role: Role,
    attribute: &str,
) -> Result<usize, SchemaError> {
    let Some(at) = fields.iter().position(|field| field.role == role) else {
        return Err(section.fail_here(format!(
            "{model} needs the field \"{attribute}\" of the primary index, \
             such as {attribute}: {{ type: 'string', value: '{model}#${{id}}' }}"
        )));
    };
    let field = &mut fields[at];
    if field.kind != FieldType::String {
        return Err(section.fail(&field.name, "a key must have type \"string\""));
    }
    field.required = true;
    Ok(at)
}
