//! From the tree of a schema text to a [`Schema`]: everything but the models' fields.

use super::error::SchemaError;
use super::model::{Durability, Process};
use super::read_model;
use super::schema::{Index, Params, Schema, Timestamps};
use super::section::Section;
use super::source::Node;
use crate::limits::SCHEMA_MODELS_MAX;
use crate::sync::config::{DeletePolicy, Direction, Policy};
use crate::nearest::nearest;

pub(super) fn schema(node: &Node) -> Result<Schema, SchemaError> {
    let root = Section::root(node)?;
    root.allow(&[
        "name",
        "version",
        "format",
        "description",
        "params",
        "indexes",
        "models",
        "process",
        "queries",
    ])?;
    check_format(&root)?;
    let version = root.text("version")?.ok_or_else(|| {
        root.fail(
            "version",
            "the schema needs a version, such as version: '1.0.0'",
        )
    })?;
    let params = params(&root)?;
    let indexes = indexes(&root)?;
    let models = root
        .section("models")?
        .ok_or_else(|| root.fail("models", "the schema needs models"))?;
    let processes = root.section("process")?;
    let models = read_models(&models, processes.as_ref(), &params, &indexes[0])?;
    Ok(Schema {
        name: root.text("name")?.map(str::to_owned),
        version: version.to_owned(),
        params,
        indexes,
        models,
    })
}

fn check_format(root: &Section<'_>) -> Result<(), SchemaError> {
    match root.text("format")? {
        None | Some("onetable:1.0.0" | "onetable:1.1.0") => Ok(()),
        Some(other) => Err(root.fail(
            "format",
            format!("\"{other}\" is not a format that is known; use \"onetable:1.1.0\""),
        )),
    }
}

fn params(root: &Section<'_>) -> Result<Params, SchemaError> {
    let mut params = Params {
        type_field: "_type".to_owned(),
        created_field: "created".to_owned(),
        updated_field: "updated".to_owned(),
        iso_dates: false,
        timestamps: Timestamps {
            created: false,
            updated: false,
        },
        nulls: false,
        separator: "#".to_owned(),
    };
    let Some(section) = root.section("params")? else {
        return Ok(params);
    };
    section.allow(&[
        "typeField",
        "createdField",
        "updatedField",
        "isoDates",
        "timestamps",
        "nulls",
        "separator",
        "hidden",
        "warn",
        "partial",
        "legacyEmpties",
    ])?;
    section.refuse(&[
        (
            "hidden",
            "hidden fields are shown only to calls that ask for them",
        ),
        (
            "legacyEmpties",
            "empty texts are kept as they are; remove legacyEmpties",
        ),
    ])?;
    for (key, slot) in [
        ("typeField", &mut params.type_field),
        ("createdField", &mut params.created_field),
        ("updatedField", &mut params.updated_field),
        ("separator", &mut params.separator),
    ] {
        if let Some(text) = section.text(key)? {
            if text.is_empty() {
                return Err(section.fail(key, "an empty text stands here"));
            }
            text.clone_into(slot);
        }
    }
    params.iso_dates = section.flag("isoDates")?.unwrap_or(false);
    params.nulls = section.flag("nulls")?.unwrap_or(false);
    params.timestamps = timestamps(&section)?;
    Ok(params)
}

fn timestamps(section: &Section<'_>) -> Result<Timestamps, SchemaError> {
    let (created, updated) = match section.node("timestamps") {
        None | Some(Node::Bool(false)) => (false, false),
        Some(Node::Bool(true)) => (true, true),
        Some(Node::Text(text)) if text == "create" => (true, false),
        Some(Node::Text(text)) if text == "update" => (false, true),
        Some(other) => {
            return Err(section.wrong(
                "timestamps",
                other,
                "true, false, \"create\" or \"update\"",
            ));
        }
    };
    Ok(Timestamps { created, updated })
}

fn indexes(root: &Section<'_>) -> Result<Vec<Index>, SchemaError> {
    let needs = "the schema needs indexes: { primary: { hash: 'pk', sort: 'sk' } }";
    let section = root
        .section("indexes")?
        .ok_or_else(|| root.fail("indexes", needs))?;
    let mut indexes = Vec::new();
    for entry in section.sections() {
        let (name, entry) = entry?;
        entry.allow(&["hash", "sort", "project", "type", "follow", "description"])?;
        let index = Index {
            name: name.to_owned(),
            hash: entry.text("hash")?.unwrap_or_default().to_owned(),
            sort: entry.text("sort")?.map(str::to_owned),
        };
        if name == "primary" {
            indexes.insert(0, index);
        } else {
            indexes.push(index);
        }
    }
    match indexes.first() {
        Some(Index {
            name,
            hash,
            sort: Some(_),
        }) if name == "primary" && !hash.is_empty() => {
            let hash = hash.clone();
            // A local index lives in the partitions of the primary one.
            for index in &mut indexes {
                if index.hash.is_empty() {
                    index.hash.clone_from(&hash);
                }
            }
            Ok(indexes)
        }
        _ => Err(section.fail("primary", needs)),
    }
}

fn read_models(
    section: &Section<'_>,
    processes: Option<&Section<'_>>,
    params: &Params,
    primary: &Index,
) -> Result<Vec<super::Model>, SchemaError> {
    let mut models = Vec::new();
    for entry in section.sections() {
        let (name, fields) = entry?;
        check_name(&fields, name)?;
        let process = match processes {
            Some(processes) => process(processes, name)?,
            None => Process::default(),
        };
        models.push(read_model::model(name, &fields, params, primary, process)?);
        if models.len() > SCHEMA_MODELS_MAX {
            return Err(
                section.fail_here(format!("there are more than {SCHEMA_MODELS_MAX} models"))
            );
        }
    }
    if let Some(processes) = processes {
        for entry in processes.sections() {
            let (name, _) = entry?;
            if !models.iter().any(|model| model.name == name) {
                let names = models.iter().map(|model| model.name.as_str());
                let hint = nearest(name, names)
                    .map(|meant| format!(": did you mean \"{meant}\"?"))
                    .unwrap_or_default();
                return Err(processes.fail(name, format!("there is no model \"{name}\"{hint}")));
            }
        }
    }
    Ok(models)
}

/// Names travel in URLs, topics and file names.
fn check_name(section: &Section<'_>, name: &str) -> Result<(), SchemaError> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if good {
        return Ok(());
    }
    Err(section.fail_here(format!(
        "\"{name}\" cannot name a model: use a letter, then letters, digits, \"_\" or \"-\", 64 at most"
    )))
}

fn process(processes: &Section<'_>, model: &str) -> Result<Process, SchemaError> {
    let defaults = Process::default();
    let Some(section) = processes.section(model)? else {
        return Ok(defaults);
    };
    section.allow(&["sync", "durability", "rows_max", "conflict", "deletes"])?;
    let sync = section.choice(
        "sync",
        &[
            ("none", Direction::None),
            ("up", Direction::Up),
            ("down", Direction::Down),
            ("both", Direction::Both),
        ],
    )?;
    let durability = section.choice(
        "durability",
        &[
            ("immediate", Durability::Immediate),
            ("relaxed", Durability::Relaxed),
        ],
    )?;
    let conflict = section.choice(
        "conflict",
        &[
            ("cloud", Policy::Cloud),
            ("device", Policy::Device),
            ("lww", Policy::LastWrite),
        ],
    )?;
    let deletes = section.choice(
        "deletes",
        &[
            ("edit_wins", DeletePolicy::EditWins),
            ("delete_wins", DeletePolicy::DeleteWins),
        ],
    )?;
    let sync = sync.unwrap_or(defaults.sync);
    let conflict_default = match sync {
        Direction::Up => Policy::Device,
        _ => Policy::Cloud,
    };
    let process = Process {
        sync,
        durability: durability.unwrap_or(defaults.durability),
        rows_max: section.count("rows_max")?,
        conflict: conflict.unwrap_or(conflict_default),
        deletes: deletes.unwrap_or(defaults.deletes),
    };
    if process.sync == Direction::Down && process.rows_max.is_some() {
        return Err(section.fail(
            "rows_max",
            "the cloud decides how many rows a model has that is synced down",
        ));
    }
    Ok(process)
}
