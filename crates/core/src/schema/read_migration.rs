//! From the list `process.migrations` of a schema text to [`Migration`]s.

use std::collections::BTreeMap;

use super::error::SchemaError;
use super::migration::{Action, Migration};
use super::model::{Field, Model, Role};
use super::section::Section;
use super::version::Version;
use crate::limits::SCHEMA_MIGRATIONS_MAX;
use crate::nearest::nearest;
use crate::sync::config::Direction;
use crate::sync::record::is_metadata;

/// The key of the list, beside the names of models.
pub(super) const KEY: &str = "migrations";

pub(super) fn migrations(
    processes: &Section<'_>,
    models: &[Model],
    version: Version,
) -> Result<Vec<Migration>, SchemaError> {
    let Some(entries) = processes.list(KEY)? else {
        return Ok(Vec::new());
    };
    if entries.len() > SCHEMA_MIGRATIONS_MAX {
        let message = format!("there are more than {SCHEMA_MIGRATIONS_MAX} migrations");
        return Err(processes.fail(KEY, message));
    }
    let mut migrations: Vec<Migration> = Vec::new();
    for section in &entries {
        let migration = migration(section)?;
        let earlier = migrations.last().map(Migration::version);
        if earlier.is_some_and(|earlier| earlier >= migration.version) {
            let message = "migrations stand in the order of their versions, each version once";
            return Err(section.fail("version", message));
        }
        if migration.version > version {
            let message = format!(
                "{} is above the schema's own version {version}: raise that too",
                migration.version
            );
            return Err(section.fail("version", message));
        }
        migrations.push(migration);
    }
    let entries: Vec<_> = entries.iter().zip(&migrations).collect();
    check_models(&entries, models)?;
    check_names(&entries, models)?;
    Ok(migrations)
}

fn migration(section: &Section<'_>) -> Result<Migration, SchemaError> {
    section.allow(&[
        "version",
        "rename",
        "remove",
        "drop",
        "compute",
        "description",
    ])?;
    let version = section
        .text("version")?
        .ok_or_else(|| section.fail("version", "a migration needs the version it came with"))?;
    let version = version
        .parse()
        .map_err(|error| section.fail("version", format!("\"{version}\": {error}")))?;
    let mut migration = Migration {
        version,
        actions: Vec::new(),
        dropped: section.texts("drop")?,
    };
    if let Some(models) = section.section("rename")? {
        for entry in models.sections() {
            let (model, names) = entry?;
            for from in names.keys() {
                let to = names.text(from)?.unwrap_or_default().to_owned();
                let from = from.to_owned();
                migration.add(model, Action::Rename { from, to });
            }
        }
    }
    if let Some(models) = section.section("remove")? {
        for model in models.keys() {
            for name in models.texts(model)? {
                migration.add(model, Action::Remove(name));
            }
        }
    }
    for model in section.texts("compute")? {
        migration.add(&model, Action::Compute);
    }
    if migration.actions.is_empty() && migration.dropped.is_empty() {
        let message = "a migration says what to do: rename, remove, drop or compute";
        return Err(section.fail_here(message));
    }
    Ok(migration)
}

impl Migration {
    fn add(&mut self, model: &str, action: Action) {
        self.actions.push((model.to_owned(), action));
    }
}

type Entry<'a> = (&'a Section<'a>, &'a Migration);

fn check_models(entries: &[Entry<'_>], models: &[Model]) -> Result<(), SchemaError> {
    let known = |name: &str| models.iter().find(|model| model.name == name);
    for (at, (section, migration)) in entries.iter().enumerate() {
        for name in &migration.dropped {
            if known(name).is_some() {
                let message = format!("{name} is a model of this schema: take it out there too");
                return Err(section.fail("drop", message));
            }
        }
        for (name, action) in &migration.actions {
            let dropped = entries[at..]
                .iter()
                .any(|(_, later)| later.dropped.contains(name));
            match known(name) {
                Some(model) if model.process.sync == Direction::Down => {
                    let message =
                        format!("{name} is synced down: the cloud application changes its items");
                    return Err(section.fail(key_of(action), message));
                }
                None if !dropped => {
                    let names = models.iter().map(Model::name);
                    let hint = nearest(name, names)
                        .map(|meant| format!(": did you mean \"{meant}\"?"))
                        .unwrap_or_default();
                    let message = format!("there is no model \"{name}\"{hint}");
                    return Err(section.fail(key_of(action), message));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Names that go must be gone for good, and names that come must be there.
fn check_names(entries: &[Entry<'_>], models: &[Model]) -> Result<(), SchemaError> {
    // By model, the names that are gone and the version that they went with.
    let mut gone: BTreeMap<(&str, &str), Version> = BTreeMap::new();
    let mut came: Vec<(&Section<'_>, &Model, &str)> = Vec::new();
    for (section, migration) in entries {
        for (name, action) in &migration.actions {
            let Some(model) = models.iter().find(|model| model.name == *name) else {
                continue;
            };
            let key = key_of(action);
            let names = match action {
                Action::Rename { from, to } => vec![from, to],
                Action::Remove(name) => vec![name],
                Action::Compute => vec![],
            };
            for name in names {
                check_name(section, key, model, name)?;
            }
            if let Action::Rename { to, .. } = action {
                if let Some(version) = gone.get(&(model.name.as_str(), to.as_str())) {
                    let message = format!(
                        "{}.{to} went with {version} and cannot come back: use a new name",
                        model.name
                    );
                    return Err(section.fail(key, message));
                }
                came.push((section, model, to));
            }
            if let Some(from) = action.gone() {
                if attributes(model).any(|known| known == from) {
                    let message = format!(
                        "{}.{from} is still a field: take it out there too",
                        model.name
                    );
                    return Err(section.fail(key, message));
                }
                gone.insert((&model.name, from), migration.version);
            }
        }
    }
    for (section, model, name) in came {
        let is_gone = gone.contains_key(&(model.name.as_str(), name));
        if !is_gone && !attributes(model).any(|known| known == name) {
            let hint = nearest(name, attributes(model))
                .map(|meant| format!(": did you mean \"{meant}\"?"))
                .unwrap_or_default();
            let message = format!("{} has no attribute \"{name}\"{hint}", model.name);
            return Err(section.fail("rename", message));
        }
    }
    Ok(())
}

fn check_name(
    section: &Section<'_>,
    key: &str,
    model: &Model,
    name: &str,
) -> Result<(), SchemaError> {
    let reserved = model.fields.iter().any(|field| {
        field.attribute == name && matches!(field.role, Role::Hash | Role::Sort | Role::Type)
    });
    if reserved || is_metadata(name) {
        let message = format!("{}.{name} names the item: it stays", model.name);
        return Err(section.fail(key, message));
    }
    if name.is_empty() || name.contains('.') {
        let message = format!(
            "\"{name}\" is no attribute: only those of the item itself can be changed, not those of \
             nested objects"
        );
        return Err(section.fail(key, message));
    }
    Ok(())
}

fn attributes(model: &Model) -> impl Iterator<Item = &str> {
    let stored = model.fields.iter().filter(|field| field.encoded.is_none());
    stored.map(Field::attribute)
}

fn key_of(action: &Action) -> &'static str {
    match action {
        Action::Rename { .. } => "rename",
        Action::Remove(_) => "remove",
        Action::Compute => "compute",
    }
}
