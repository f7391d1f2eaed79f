//! Rules that no single field breaks: templates that hang together, keys that replication can
//! name, and models that can share one table.

use super::error::Place;
use super::error::SchemaError;
use super::model::{Class, Field, FieldType, Model, Process, Role};
use super::schema::{Index, Schema};
use super::section::Section;
use crate::nearest::nearest;
use crate::sync::config::Direction;
use crate::sync::record::is_metadata;
use crate::value::Name;

/// What holds between the models of one schema. Those behind the first `own_count` are the agent's:
/// nobody can change them, so that what clashes with one is the fault of the other.
pub(super) fn check(schema: &Schema, own_count: usize) -> Result<(), SchemaError> {
    let primary = &schema.indexes[0];
    if schema.is_synced() && (primary.hash != "pk" || primary.sort.as_deref() != Some("sk")) {
        let message = "replication needs primary: { hash: 'pk', sort: 'sk' }";
        return Err(at_path(&["indexes", "primary"], message.to_owned()));
    }
    let (own, agents) = schema.models.split_at(own_count);
    let models: Vec<&Model> = agents.iter().chain(own).collect();
    check_ttl(&models)?;
    check_keys(&models)
}

/// DynamoDB looks at one attribute of a table for the time of expiry.
fn check_ttl(models: &[&Model]) -> Result<(), SchemaError> {
    let mut ttl: Option<(&str, &str)> = None;
    for model in models {
        let expiring = model.fields.iter().filter(|field| field.ttl);
        for (at, field) in expiring.enumerate() {
            let attribute = field.attribute.as_str();
            let message = match ttl {
                Some((_, name)) if at > 0 => {
                    format!("a model has one ttl field, and this one has \"{name}\"")
                }
                Some((owner, name)) if name != attribute => format!(
                    "a table has one ttl attribute, and {owner} has \"{name}\": use that name too, \
                     or map: \"{name}\""
                ),
                _ => String::new(),
            };
            if !message.is_empty() {
                let path = ["models", &model.name, &field.name, "ttl"];
                return Err(at_path(&path, message));
            }
            ttl = Some((&model.name, attribute));
        }
    }
    Ok(())
}

/// Two models with one key pattern would overwrite each other's items.
fn check_keys(models: &[&Model]) -> Result<(), SchemaError> {
    for (at, model) in models.iter().enumerate() {
        for other in &models[..at] {
            let same = |left: &Field, right: &Field| matches!((&left.template, &right.template), (Some(a), Some(b)) if a == b);
            if same(model.hash_field(), other.hash_field())
                && same(model.sort_field(), other.sort_field())
            {
                return Err(at_path(
                    &["models", &model.name, &model.sort_field().name, "value"],
                    format!(
                        "{} and {} have the same key templates: begin the sort key with \"{}#\"",
                        model.name, other.name, model.name
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Whether the models of both can live in one table.
pub(super) fn check_mergeable(own: &Schema, builtin: &Schema) -> Result<(), SchemaError> {
    let (mine, theirs) = (&own.indexes[0], &builtin.indexes[0]);
    if mine.hash != theirs.hash || mine.sort != theirs.sort {
        let sort = theirs.sort.as_deref().unwrap_or_default();
        return Err(at_path(
            &["indexes", "primary"],
            format!(
                "the agent's own models need primary: {{ hash: '{}', sort: '{sort}' }}",
                theirs.hash
            ),
        ));
    }
    if own.params.type_field != builtin.params.type_field {
        return Err(at_path(
            &["params", "typeField"],
            format!(
                "the agent's own models need \"{}\"",
                builtin.params.type_field
            ),
        ));
    }
    for model in &builtin.models {
        let Some(own) = own.models.iter().find(|own| own.name == model.name) else {
            continue;
        };
        for field in &model.fields {
            let fits = own
                .field(&field.name)
                .is_some_and(|own| own.kind == field.kind);
            if !fits {
                return Err(at_path(
                    &["models", &model.name],
                    format!(
                        "the agent itself uses {}.{}: keep it, with type \"{}\"",
                        model.name, field.name, field.kind
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Positions of the fields with templates, each after those it is made from.
pub(super) fn order_templates(
    section: &Section<'_>,
    fields: &[Field],
) -> Result<Vec<usize>, SchemaError> {
    let mut order = Vec::new();
    let mut open = Vec::new();
    for at in 0..fields.len() {
        visit(section, fields, at, &mut open, &mut order)?;
    }
    Ok(order)
}

/// Computed fields that the keys are made from, in the order in which they can be computed.
pub(super) fn key_sources(
    section: &Section<'_>,
    fields: &[Field],
    hash: usize,
    sort: usize,
) -> Result<Vec<usize>, SchemaError> {
    let mut order = Vec::new();
    for at in [hash, sort] {
        visit(section, fields, at, &mut Vec::new(), &mut order)?;
    }
    let uses = |user: usize, used: usize| {
        let template = fields[user].template.as_ref();
        template.is_some_and(|template| {
            let mut roots = template.variables().map(|path| path.split('.').next());
            roots.any(|root| root == Some(&fields[used].name))
        })
    };
    let used: Vec<usize> = order.clone();
    order.retain(|at| used.iter().any(|user| uses(*user, *at)));
    Ok(order)
}

fn visit(
    section: &Section<'_>,
    fields: &[Field],
    at: usize,
    open: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), SchemaError> {
    let field = &fields[at];
    let Some(template) = &field.template else {
        return Ok(());
    };
    if order.contains(&at) {
        return Ok(());
    }
    if open.contains(&at) {
        return Err(section.fail(&field.name, "the value template is made from itself"));
    }
    open.push(at);
    for variable in template.variables() {
        let mut path = variable.split('.');
        let root = path.next().unwrap_or_default();
        let Some(from) = fields.iter().position(|known| known.name == root) else {
            let hint = nearest(root, fields.iter().map(Field::name))
                .map(|meant| format!(": did you mean \"{meant}\"?"))
                .unwrap_or_else(|| ": add the field".to_owned());
            let message = format!("the template uses \"{variable}\", which is no field{hint}");
            return Err(section.fail(&field.name, message));
        };
        let within = path.try_fold(&fields[from], |within, name| {
            let object = within.kind == FieldType::Object;
            let mut nested = within.nested.iter().filter(|_| object);
            nested.find(|known| known.name == name)
        });
        let Some(within) = within else {
            let message = format!("the template uses \"{variable}\", which is no field");
            return Err(section.fail(&field.name, message));
        };
        if !has_text(within) {
            let message = format!(
                "the template uses \"{variable}\" of type \"{}\", which has no text form",
                within.kind
            );
            return Err(section.fail(&field.name, message));
        }
        visit(section, fields, from, open, order)?;
    }
    open.pop();
    order.push(at);
    Ok(())
}

pub(super) fn has_text(field: &Field) -> bool {
    matches!(
        field.kind,
        FieldType::String | FieldType::Number | FieldType::Boolean | FieldType::Date
    )
}

/// The fields that programs give to name an item, in order of first appearance in the key.
pub(super) fn key_variables(
    section: &Section<'_>,
    fields: &[Field],
    hash: usize,
    sort: usize,
) -> Result<Vec<Name>, SchemaError> {
    let mut names = Vec::new();
    for at in [hash, sort] {
        collect_variables(fields, at, &mut names);
        if let Some(name) = names.iter().find(|name| name.contains('.')) {
            let message =
                format!("a key is made from fields of the model itself, not from \"{name}\"");
            return Err(section.fail(&fields[at].name, message));
        }
    }
    Ok(names)
}

fn collect_variables(fields: &[Field], at: usize, names: &mut Vec<Name>) {
    // It is the name of the model, whoever asks.
    if fields[at].role == Role::Type {
        return;
    }
    let Some(template) = &fields[at].template else {
        if !names.contains(&fields[at].name) {
            names.push(fields[at].name.clone());
        }
        return;
    };
    for variable in template.variables() {
        match fields.iter().position(|field| field.name == *variable) {
            Some(from) => collect_variables(fields, from, names),
            None => names.push(variable.into()),
        }
    }
}

/// Who may write the partition of a synced model; refuses keys that replication cannot name.
pub(super) fn class_of(
    section: &Section<'_>,
    hash: &Field,
    sort: &Field,
    process: &Process,
) -> Result<Option<Class>, SchemaError> {
    let text = hash
        .template
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if sort
        .template
        .as_ref()
        .is_some_and(|sort| sort.literal_prefix().starts_with('~'))
    {
        let message = "sort keys that begin with \"~\" belong to replication";
        return Err(section.fail(&sort.name, message));
    }
    let class = match process.sync {
        Direction::None if text.starts_with("dev#") || text.starts_with("fleet#") => {
            return Err(section.fail(
                &hash.name,
                "this partition is replicated: add the model to \"process\" with its direction, \
                 such as sync: 'up', or begin the key with another text",
            ));
        }
        Direction::None => return Ok(None),
        Direction::Up => Class::Up,
        Direction::Down => Class::Down,
        Direction::Both => Class::Both,
    };
    let start = format!("dev#${{deviceId}}#{}", class.name());
    match text.strip_prefix(&start) {
        Some(rest) if rest.is_empty() || rest.starts_with('#') => Ok(Some(class)),
        _ => Err(section.fail(
            &hash.name,
            format!(
                "a model that is synced \"{}\" needs a partition key that begins with \"{start}\" \
                 and then ends or goes on with \"#\"; this is \"{text}\"",
                process.sync.as_str()
            ),
        )),
    }
}

/// Attributes that two fields share, or that replication needs for itself.
pub(super) fn check_attributes(
    section: &Section<'_>,
    fields: &[Field],
    process: &Process,
) -> Result<(), SchemaError> {
    for (at, field) in fields.iter().enumerate() {
        let clash = fields[..at]
            .iter()
            .find(|other| other.attribute == field.attribute && !are_packed(other, field));
        if let Some(other) = clash {
            return Err(section.fail(
                &field.name,
                format!(
                    "it is stored in \"{}\", as is \"{}\"",
                    field.attribute, other.name
                ),
            ));
        }
        let synced = process.sync != Direction::None;
        if synced && field.role == Role::Plain && is_metadata(&field.attribute) {
            let message = format!(
                "\"{}\" belongs to replication: use another name",
                field.attribute
            );
            return Err(section.fail(&field.name, message));
        }
    }
    Ok(())
}

/// Whether two fields are different entries of one attribute.
fn are_packed(one: &Field, other: &Field) -> bool {
    matches!((&one.packed, &other.packed), (Some(one), Some(other)) if one != other)
}

/// Entries of an attribute are no attributes: neither an index nor DynamoDB's expiry sees them.
pub(super) fn check_packed(
    section: &Section<'_>,
    fields: &[Field],
    indexes: &[Index],
) -> Result<(), SchemaError> {
    for field in fields.iter().filter(|field| field.packed.is_some()) {
        let is_key = indexes.iter().any(|index| {
            let attribute = &field.attribute;
            index.hash == *attribute || index.sort.as_ref().is_some_and(|sort| sort == attribute)
        });
        let what = match field {
            _ if is_key => "a key of an index",
            field if field.ttl => "the ttl field",
            field if !field.nested.is_empty() => "an object with a schema",
            field if field.role != Role::Plain => "a field that the database sets",
            _ => continue,
        };
        let message = format!("{what} needs an attribute of its own, not an entry of one");
        return Err(section.fail(&field.name, message));
    }
    Ok(())
}

fn at_path(path: &[&str], message: String) -> SchemaError {
    SchemaError::new(
        Place {
            path: path.iter().map(|step| (*step).to_owned()).collect(),
            position: None,
        },
        message,
    )
}
