//! From the tree of a schema text to a [`Schema`]: everything but the models' fields.

use super::error::SchemaError;
use super::model::{Durability, Overflow, Process};
use super::schema::{Index, IndexKind, Params, Projection, Schema, Timestamps};
use super::section::Section;
use super::source::Node;
use super::version::Version;
use super::{read_migration, read_model};
use crate::limits::{SCHEMA_INDEXES_MAX, SCHEMA_LOCAL_INDEXES_MAX, SCHEMA_MODELS_MAX};
use crate::nearest::nearest;
use crate::sync::config::{DeletePolicy, Direction, Policy};

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
    let number: Version = version
        .parse()
        .map_err(|error| root.fail("version", format!("\"{version}\": {error}")))?;
    let params = params(&root)?;
    let indexes = indexes(&root)?;
    let models = root
        .section("models")?
        .ok_or_else(|| root.fail("models", "the schema needs models"))?;
    let processes = root.section("process")?;
    let models = read_models(&models, processes.as_ref(), &params, &indexes, number)?;
    let migrations = match &processes {
        Some(processes) => read_migration::migrations(processes, &models, number)?,
        None => Vec::new(),
    };
    Ok(Schema {
        name: root.text("name")?.map(str::to_owned),
        version: version.to_owned(),
        params,
        indexes,
        models,
        migrations,
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
        type_field: "_type".into(),
        created_field: "created".into(),
        updated_field: "updated".into(),
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
    ] {
        if let Some(text) = filled(&section, key)? {
            *slot = text.into();
        }
    }
    if let Some(text) = filled(&section, "separator")? {
        text.clone_into(&mut params.separator);
    }
    params.iso_dates = section.flag("isoDates")?.unwrap_or(false);
    params.nulls = section.flag("nulls")?.unwrap_or(false);
    params.timestamps = timestamps(&section)?;
    Ok(params)
}

fn filled<'a>(section: &Section<'a>, key: &str) -> Result<Option<&'a str>, SchemaError> {
    match section.text(key)? {
        Some("") => Err(section.fail(key, "an empty text stands here")),
        text => Ok(text),
    }
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
    let primary = section
        .section("primary")?
        .ok_or_else(|| section.fail("primary", needs))?;
    let hash = primary.text("hash")?.unwrap_or_default();
    if hash.is_empty() || primary.text("sort")?.is_none() {
        return Err(section.fail("primary", needs));
    }
    let mut indexes = Vec::new();
    for entry in section.sections() {
        let (name, entry) = entry?;
        let index = index(name, &entry, hash)?;
        if name == "primary" {
            indexes.insert(0, index);
        } else {
            indexes.push(index);
        }
    }
    // The primary one is not counted.
    if indexes.len() > 1 + SCHEMA_INDEXES_MAX {
        let message = format!("a table has at most {SCHEMA_INDEXES_MAX} indexes beside primary");
        return Err(root.fail("indexes", message));
    }
    let local = indexes.iter().filter(|index| index.is_local()).count();
    if local > SCHEMA_LOCAL_INDEXES_MAX {
        let message = format!("a table has at most {SCHEMA_LOCAL_INDEXES_MAX} local indexes");
        return Err(root.fail("indexes", message));
    }
    Ok(indexes)
}

/// An index without a partition key of its own, or of `type: 'local'`, lives in the partitions of
/// the primary one.
fn index(name: &str, section: &Section<'_>, primary: &str) -> Result<Index, SchemaError> {
    section.allow(&["hash", "sort", "project", "type", "follow", "description"])?;
    let kinds = [("local", IndexKind::Local), ("global", IndexKind::Global)];
    let told = section.choice("type", &kinds)?;
    let hash = section.text("hash")?;
    let sort = section.text("sort")?;
    let kind = match (name, told, hash) {
        ("primary", Some(_), _) => {
            return Err(section.fail("type", "the primary index has no type"));
        }
        ("primary", None, _) => IndexKind::Primary,
        (_, Some(IndexKind::Local), Some(own)) if own != primary => {
            let message = format!("a local index has the partition key \"{primary}\"");
            return Err(section.fail("hash", message));
        }
        (_, Some(IndexKind::Global), None) => {
            return Err(section.fail("hash", "a global index needs a partition key"));
        }
        (_, Some(kind), _) => kind,
        (_, None, None) => IndexKind::Local,
        (_, None, Some(_)) => IndexKind::Global,
    };
    if kind == IndexKind::Local && sort.is_none() {
        return Err(section.fail("sort", "a local index needs a sort key"));
    }
    Ok(Index {
        name: name.to_owned(),
        hash: hash.unwrap_or(primary).to_owned(),
        sort: sort.map(str::to_owned),
        kind,
        project: projection(section)?,
    })
}

fn projection(section: &Section<'_>) -> Result<Projection, SchemaError> {
    match section.node("project") {
        None => Ok(Projection::All),
        Some(Node::Text(text)) if text == "all" => Ok(Projection::All),
        Some(Node::Text(text)) if text == "keys" => Ok(Projection::Keys),
        Some(Node::List(_)) => section.texts("project").map(Projection::Attributes),
        Some(other) => {
            let expected = "\"all\", \"keys\" or a list of attributes";
            Err(section.wrong("project", other, expected))
        }
    }
}

fn read_models(
    section: &Section<'_>,
    processes: Option<&Section<'_>>,
    params: &Params,
    indexes: &[Index],
    version: Version,
) -> Result<Vec<super::Model>, SchemaError> {
    let mut models = Vec::new();
    for entry in section.sections() {
        let (name, fields) = entry?;
        check_name(&fields, name)?;
        let process = match processes {
            Some(processes) => process(processes, name)?,
            None => Process::default(),
        };
        let around = read_model::Around {
            params,
            indexes,
            version,
        };
        models.push(read_model::model(name, &fields, &around, process)?);
        if models.len() > SCHEMA_MODELS_MAX {
            return Err(
                section.fail_here(format!("there are more than {SCHEMA_MODELS_MAX} models"))
            );
        }
    }
    if let Some(processes) = processes {
        for name in processes.keys().filter(|name| *name != read_migration::KEY) {
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
    if name == read_migration::KEY {
        let message = "\"migrations\" stands for the list in \"process\": use another name";
        return Err(section.fail_here(message));
    }
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
    section.allow(&[
        "sync",
        "durability",
        "rows_max",
        "bytes_max",
        "overflow",
        "conflict",
        "deletes",
    ])?;
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
            ("lazy", Durability::Lazy),
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
    let overflow = section.choice(
        "overflow",
        &[
            ("refuse", Overflow::Refuse),
            ("drop_oldest", Overflow::DropOldest),
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
        bytes_max: section.count("bytes_max")?,
        overflow: overflow.unwrap_or(match sync {
            Direction::Both => Overflow::Refuse,
            _ => defaults.overflow,
        }),
        conflict: conflict.unwrap_or(conflict_default),
        deletes: deletes.unwrap_or(defaults.deletes),
    };
    check_bounds(&section, &process, overflow)?;
    Ok(process)
}

fn check_bounds(
    section: &Section<'_>,
    process: &Process,
    overflow: Option<Overflow>,
) -> Result<(), SchemaError> {
    if process.sync == Direction::Down {
        let bounds = [
            ("rows_max", process.rows_max.is_some()),
            ("bytes_max", process.bytes_max.is_some()),
            ("overflow", overflow.is_some()),
        ];
        if let Some((key, _)) = bounds.into_iter().find(|(_, given)| *given) {
            let message = "the cloud decides how many rows a model has that is synced down";
            return Err(section.fail(key, message));
        }
    }
    if process.sync == Direction::Both && overflow == Some(Overflow::DropOldest) {
        let message = "a row that is dropped here would come back from the cloud: use \"refuse\"";
        return Err(section.fail("overflow", message));
    }
    Ok(())
}
