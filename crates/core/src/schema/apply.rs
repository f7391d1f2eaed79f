//! Update expressions, applied to the properties of an item and then checked as any change is.

use super::decode::Hidden;
use super::encode::Writing;
use super::error::PropertyError;
use super::model::{Field, FieldType, Model, Role};
use crate::expr::{Path, Update, UpdateError};
use crate::value::{Map, Value};

/// Why an update expression cannot be applied to an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The item after it would not fit the model.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// What the item holds does not fit the expression.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

impl Model {
    /// Whether all names of an update are fields, and those it reads such that the caller sees.
    ///
    /// # Errors
    /// `UnknownField`; `ReadOnlyField` for what only the database sets.
    pub fn check_update(&self, update: &Update, hidden: Hidden) -> Result<(), PropertyError> {
        for path in update.paths() {
            self.check_path(path, Hidden::Include)?;
            let field = self.field(path.attribute());
            if let Some(field) = field.filter(|field| field.is_stamped()) {
                return Err(PropertyError::ReadOnlyField {
                    model: self.name.clone(),
                    field: field.name.to_string(),
                    reason: "the database sets it".to_owned(),
                });
            }
        }
        let mut reads = update.reads().into_iter();
        reads.try_for_each(|path| self.check_path(path, hidden))
    }

    /// The item after an update expression, checked as [`update`](Model::update) does it.
    ///
    /// # Errors
    /// The expression does not fit what the item holds, or the item after it not the model.
    pub fn apply(
        &self,
        current: &Map,
        update: &Update,
        writing: &mut Writing<'_>,
    ) -> Result<Map, ApplyError> {
        let reads = update.reads();
        let roots = update.paths().chain(reads).map(Path::attribute);
        let before = self.some_properties(current, roots, Hidden::Include);
        let after = update.apply(&before)?;
        let mut changes = Map::new();
        for name in update.paths().map(Path::attribute) {
            let change = match (self.field(name), before.get(name), after.get(name)) {
                (_, _, None) => Value::Null,
                (Some(field), Some(old), Some(new)) => difference(field, old, new),
                (_, _, Some(new)) => new.clone(),
            };
            changes.insert(name, change);
        }
        let mut item = self.update(current, &changes, writing)?;
        for field in update.removed().filter_map(|name| self.field(name)) {
            // A change to null would be kept as a null here.
            if field.nulls && !field.required {
                field.clear(&mut item);
            }
        }
        Ok(item)
    }
}

impl Field {
    fn is_stamped(&self) -> bool {
        matches!(self.role, Role::Created | Role::Updated)
    }
}

/// The change that leads from one value to the other. Objects with fields of their own are merged,
/// so that only what differs may be named, and what has gone must be.
fn difference(field: &Field, old: &Value, new: &Value) -> Value {
    let merged = field.kind == FieldType::Object && field.partial && !field.nested.is_empty();
    let (true, Value::Map(old), Value::Map(new)) = (merged, old, new) else {
        return new.clone();
    };
    let gone = old.keys().filter(|name| !new.contains_key(name));
    let mut changes: Map = gone.map(|name| (name, Value::Null)).collect();
    for (name, value) in new
        .iter()
        .filter(|(name, value)| old.get(name) != Some(value))
    {
        let inner = field.nested.iter().find(|inner| inner.name == name);
        let change = match (inner, old.get(name)) {
            (Some(inner), Some(old)) => difference(inner, old, value),
            _ => value.clone(),
        };
        changes.insert(name, change);
    }
    Value::Map(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Placeholders;
    use crate::ids::UlidSource;
    use crate::schema::Schema;
    use crate::time::UnixMillis;
    use crate::value::json;

    fn model() -> Model {
        let schema = Schema::parse(
            "{
                version: '1.0.0',
                indexes: { primary: { hash: 'pk', sort: 'sk' } },
                params: { isoDates: true, timestamps: true },
                models: { Room: {
                    pk: { type: 'string', value: 'home#' },
                    sk: { type: 'string', value: 'Room#${name}' },
                    name: { type: 'string', required: true },
                    area: { type: 'number', map: 'a', required: true },
                    kind: { type: 'string', enum: ['office', 'kitchen'], default: 'office' },
                    code: { type: 'string', hidden: true },
                    made: { type: 'string', readonly: true },
                    none: { type: 'string', nulls: true },
                    tags: { type: 'set' },
                    log: { type: 'array' },
                    door: { type: 'object', schema: {
                        open: { type: 'boolean', map: 'o', required: true },
                        lock: { type: 'object', schema: { n: { type: 'number' }, m: { type: 'number' } } },
                    } },
                } },
            }",
        );
        schema.unwrap().model("Room").unwrap().clone()
    }

    const ITEM: &str = r#"{"pk":"home#","sk":"Room#attic","name":"attic","a":20,"_type":"Room",
        "created":"2026-11-22T00:00:00.000Z","foreign":true,"made":"x","none":"y",
        "door":{"o":true,"foreign":1,"lock":{"n":1,"m":2}}}"#;

    fn after(text: &str, hidden: Hidden) -> Result<Map, String> {
        let (model, item) = (model(), json::parse(ITEM).unwrap().into_map().unwrap());
        let mut given = Placeholders::new()
            .with_value(":list", vec![Value::from("l")])
            .with_value(":set", Value::Set(["t"].into_iter().collect()));
        let update = Update::parse(text, &mut given).unwrap();
        model
            .check_update(&update, hidden)
            .map_err(|error| error.to_string())?;
        let (mut ulids, context) = (UlidSource::default(), Map::new());
        let mut writing = Writing {
            context: &context,
            wall: Some(UnixMillis(0)),
            ulids: &mut ulids,
            entropy: &mut |bytes: &mut [u8]| bytes.fill(0),
        };
        model
            .apply(&item, &update, &mut writing)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_update_changes_properties_and_keeps_what_is_not_its() {
        let item = after(
            "SET area = area + 1, door.lock.n = door.lock.m, log = :list, kind = 'kitchen' \
             REMOVE door.lock.m, none ADD tags :set",
            Hidden::Omit,
        );
        assert_eq!(
            item.unwrap().to_json(),
            r#"{"_type":"Room","a":21,"created":"2026-11-22T00:00:00.000Z","door":{"foreign":1,"lock":{"n":2},"o":true},"foreign":true,"kind":"kitchen","log":["l"],"made":"x","name":"attic","pk":"home#","sk":"Room#attic","tags":["t"],"updated":"1970-01-01T00:00:00.000Z"}"#
        );
    }

    #[test]
    fn an_update_that_breaks_a_rule_of_the_schema_is_refused() {
        let table = [
            (
                "SET aera = 1",
                "Room has no field \"aera\"; did you mean \"area\"?",
            ),
            ("SET a = 1", "Room has no field \"a\""),
            (
                "SET area = 'x'",
                "Room.area is the text \"x\"; expected a number",
            ),
            ("SET kind = 'hall'", "Room.kind cannot be the text \"hall\""),
            ("REMOVE area", "Room.area is required; give it a value"),
            (
                "REMOVE door.open",
                "Room.door.open is required; give it a value",
            ),
            (
                "SET door.opn = true",
                "Room has no field \"door.opn\"; did you mean \"open\"?",
            ),
            (
                "SET made = 'z'",
                "Room.made cannot be set: it keeps its first value",
            ),
            (
                "SET name = 'z'",
                "Room.name cannot be set: it is part of the key",
            ),
            (
                "SET sk = 'z'",
                "Room.sk cannot be set: it is made from \"Room#${name}\"",
            ),
            (
                "SET created = '2020-01-01'",
                "Room.created cannot be set: the database sets it",
            ),
            (
                "SET _type = 'z'",
                "Room._type cannot be set: it is always the name of the model",
            ),
            (
                "SET area = log",
                "`log` is read, but the item does not have it",
            ),
            (
                "ADD name 1",
                "`name` cannot be changed: `ADD` does not work with a string",
            ),
            (
                "SET log[0] = 1",
                "`log[0]` cannot be changed: the list or map it belongs to is not there",
            ),
        ];
        for (text, expected) in table {
            let refused = after(text, Hidden::Omit).unwrap_err();
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
    }

    #[test]
    fn a_hidden_field_can_be_set_but_not_read_by_those_who_do_not_see_it() {
        assert_eq!(
            after("SET code = '1'", Hidden::Omit).unwrap().text("code"),
            Some("1")
        );
        for text in ["SET made = code", "SET made = if_not_exists(code, name)"] {
            let refused = after(text, Hidden::Omit).unwrap_err();
            assert!(
                refused.starts_with("Room has no field \"code\""),
                "{text}: {refused}"
            );
        }
        let kept = after("SET kind = if_not_exists(code, kind)", Hidden::Include).unwrap();
        assert_eq!(kept.text("kind"), Some("office"));
    }
}
