//! From the tree of a schema text to a [`Model`] and its fields.

use regex_lite::{Regex, RegexBuilder};

use super::error::SchemaError;
use super::model::{Field, FieldType, Generate, Model, Pattern, Process, Role};
use super::schema::{Index, Params};
use super::section::{Section, unknown_key};
use super::source::Node;
use super::template::Template;
use super::{convert, rules, unique};
use crate::limits::{SCHEMA_FIELDS_MAX, UID_LETTERS_MAX};
use crate::value::Value;

pub(super) fn model(
    name: &str,
    section: &Section<'_>,
    params: &Params,
    primary: &Index,
    process: Process,
) -> Result<Model, SchemaError> {
    let mut fields = read_fields(section, params, Level::Top)?;
    add_implied(&mut fields, params);
    for field in &mut fields {
        field.role = role(field, params, primary);
    }
    let hash = key_field(section, name, &mut fields, Role::Hash, &primary.hash)?;
    let sort_attribute = primary.sort.as_deref().unwrap_or_default();
    let sort = key_field(section, name, &mut fields, Role::Sort, sort_attribute)?;
    let computed = rules::order_templates(section, &fields)?;
    let key_variables = rules::key_variables(&fields, hash, sort);
    let class = rules::class_of(section, &fields[hash], &fields[sort], &process)?;
    rules::check_attributes(section, &fields, &process)?;
    unique::check(section, &fields, &process)?;
    Ok(Model {
        name: name.to_owned(),
        fields,
        hash,
        sort,
        computed,
        key_variables,
        process,
        class,
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
) -> Result<Vec<Field>, SchemaError> {
    let mut fields = Vec::new();
    for entry in section.sections() {
        let (name, entry) = entry?;
        fields.push(read_field(name, &entry, params, level)?);
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
) -> Result<Field, SchemaError> {
    section.allow(FIELD_KEYS)?;
    section.refuse(&[
        ("encode", "packed fields (encode) are not supported yet"),
        ("crypt", "encrypted fields are not supported"),
    ])?;
    let kind =
        field_type(section, "type")?.ok_or_else(|| section.fail("type", "a field needs a type"))?;
    let template = template(section, level)?;
    let (unique, scope) = unique(section, level)?;
    let hidden = section.flag("hidden")?.unwrap_or(template.is_some());
    let (items, nested) = nested(section, kind, params)?;
    let mut field = Field {
        attribute: attribute(section, name)?,
        required: section.flag("required")?.unwrap_or(false),
        hidden,
        readonly: section.flag("readonly")?.unwrap_or(false),
        ttl: section.flag("ttl")?.unwrap_or(false),
        nulls: section.flag("nulls")?.unwrap_or(params.nulls),
        iso: section.flag("isoDates")?.unwrap_or(false) || params.iso_dates,
        partial: section.flag("partial")?.unwrap_or(true),
        generate: generate(section, kind)?,
        pattern: pattern(section, kind)?,
        template,
        unique,
        scope,
        items,
        nested,
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

fn template(section: &Section<'_>, level: Level) -> Result<Option<Template>, SchemaError> {
    match section.node("value") {
        None | Some(Node::Bool(false)) => Ok(None),
        Some(Node::Text(_)) if level == Level::Nested => Err(section.fail(
            "value",
            "only fields of the model itself can have a value template",
        )),
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

fn attribute(section: &Section<'_>, name: &str) -> Result<String, SchemaError> {
    match section.text("map")? {
        None => Ok(name.to_owned()),
        Some(packed) if packed.contains('.') => Err(section.fail(
            "map",
            format!("packing fields into one attribute (\"{packed}\") is not supported yet"),
        )),
        Some("") => Err(section.fail("map", "an empty text stands here")),
        Some(attribute) => Ok(attribute.to_owned()),
    }
}

fn nested(
    section: &Section<'_>,
    kind: FieldType,
    params: &Params,
) -> Result<(Option<FieldType>, Vec<Field>), SchemaError> {
    let own = section.section("schema")?;
    if own.is_some() && !matches!(kind, FieldType::Object | FieldType::Array) {
        return Err(section.fail(
            "schema",
            format!("a field of type \"{kind}\" has no schema"),
        ));
    }
    let items = section.section("items")?;
    if items.is_some() && kind != FieldType::Array {
        return Err(section.fail("items", format!("a field of type \"{kind}\" has no items")));
    }
    let mut item_type = None;
    let mut schema = own;
    if let Some(items) = &items {
        items.allow(&["type", "schema", "description"])?;
        item_type = field_type(items, "type")?;
        schema = items.section("schema")?.or(schema);
    }
    let fields = match &schema {
        Some(schema) => read_fields(schema, params, Level::Nested)?,
        None => Vec::new(),
    };
    if kind == FieldType::Array && !fields.is_empty() {
        item_type = Some(FieldType::Object);
    }
    Ok((item_type, fields))
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
    let Some(text) = section.text("validate")? else {
        return Ok(None);
    };
    if kind != FieldType::String {
        return Err(section.fail("validate", "only a string can be validated by a pattern"));
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
    } else if Some(&field.attribute) == primary.sort.as_ref() {
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
