//! An item as expressions see it: by the names and in the forms that programs know, and without
//! what a program may not see.

use std::borrow::Cow;

use super::convert;
use super::decode::{Hidden, seen};
use super::encode::unknown_field;
use super::error::PropertyError;
use super::model::{Field, FieldType, Model};
use crate::expr::{Condition, Path, Projection, Source, Step};
use crate::value::{Map, Value};

/// A stored item, asked by property. Only what is asked for is brought into its form.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    model: &'a Model,
    item: &'a Map,
    hidden: Hidden,
}

impl Source for Seen<'_> {
    fn at(&self, path: &Path) -> Option<Cow<'_, Value>> {
        let field = self.model.field(path.attribute())?;
        if field.is_kept_from(self.hidden) {
            return None;
        }
        let shown = match field.stored_in(self.item) {
            None => return path.within(field.default.as_ref()?).map(Cow::Borrowed),
            Some(Cow::Borrowed(stored)) if field.is_shown_as_stored() => {
                return path.within(stored).map(Cow::Borrowed);
            }
            Some(stored) => seen(field, &stored, self.hidden),
        };
        if path.steps().is_empty() {
            return Some(Cow::Owned(shown));
        }
        path.within(&shown).cloned().map(Cow::Owned)
    }
}

impl Model {
    /// The item as conditions ask it.
    pub fn seen<'a>(&'a self, item: &'a Map, hidden: Hidden) -> Seen<'a> {
        Seen {
            model: self,
            item,
            hidden,
        }
    }

    /// A condition on properties, with its names checked and its values in the form that
    /// properties have: a day becomes a time, base64 becomes bytes.
    ///
    /// # Errors
    /// A name is no field of the model that the caller may see.
    pub fn bind(&self, condition: Condition, hidden: Hidden) -> Result<Condition, PropertyError> {
        for path in condition.paths() {
            self.check_path(path, hidden)?;
        }
        Ok(condition.with_values(|path, value| {
            if let Ok(Some(field)) = self.field_at(path, hidden) {
                convert::compare_as(field, value);
            }
        }))
    }

    /// Whether a path leads into what the caller may see; beyond what the schema says, it may
    /// lead anywhere.
    ///
    /// # Errors
    /// `UnknownField`, for hidden fields too.
    pub fn check_path(&self, path: &Path, hidden: Hidden) -> Result<(), PropertyError> {
        self.field_at(path, hidden).map(|_| ())
    }

    /// The parts of an item that a projection names.
    pub fn project(&self, item: &Map, projection: &Projection, hidden: Hidden) -> Map {
        let roots = projection.paths().iter().map(Path::attribute);
        projection.apply(&self.some_properties(item, roots, hidden))
    }

    /// The properties of these names.
    pub(super) fn some_properties<'n>(
        &self,
        item: &Map,
        names: impl Iterator<Item = &'n str>,
        hidden: Hidden,
    ) -> Map {
        let mut some = Map::new();
        for name in names {
            let whole = Path::new(name);
            if let Some(value) = self.seen(item, hidden).at(&whole) {
                some.insert(name, value.into_owned());
            }
        }
        some
    }

    /// The field at the end of a path, where the schema knows one.
    fn field_at(&self, path: &Path, hidden: Hidden) -> Result<Option<&Field>, PropertyError> {
        let root = self
            .field(path.attribute())
            .filter(|field| !field.is_kept_from(hidden));
        let mut field = root.ok_or_else(|| self.not_shown(path.attribute(), hidden))?;
        let mut steps = path.steps().iter().peekable();
        while let Some(step) = steps.next() {
            let entry = field.kind == FieldType::Array && matches!(step, Step::Index(_));
            let step = if entry {
                steps.peek().copied()
            } else {
                Some(step)
            };
            let (Some(Step::Field(name)), false) = (step, field.nested.is_empty()) else {
                return Ok(None);
            };
            if entry {
                steps.next();
            }
            let inner = field.nested.iter().find(|inner| inner.name == *name);
            let inner = inner.filter(|inner| !inner.is_kept_from(hidden));
            let known = shown_names(&field.nested, hidden);
            field = inner.ok_or_else(|| {
                PropertyError::unknown_field(&self.name, path.to_string(), name, known)
            })?;
        }
        Ok(Some(field))
    }

    /// The error for a name that the caller cannot see: the same whether there is such a field.
    pub(super) fn not_shown(&self, name: &str, hidden: Hidden) -> PropertyError {
        match hidden {
            Hidden::Include => unknown_field(self, name),
            Hidden::Omit => {
                let known = shown_names(&self.fields, hidden);
                PropertyError::unknown_field(&self.name, name.to_owned(), name, known)
            }
        }
    }
}

impl Field {
    /// Whether a caller who sees so much does not see it.
    pub(super) fn is_kept_from(&self, hidden: Hidden) -> bool {
        self.hidden && hidden == Hidden::Omit
    }

    pub(super) fn is_shown_as_stored(&self) -> bool {
        let is_raw = |kind| !matches!(kind, FieldType::Date | FieldType::Binary);
        self.nested.is_empty() && is_raw(self.kind) && self.items.is_none_or(is_raw)
    }

    /// Whether something in it is hidden.
    pub(super) fn hides_parts(&self) -> bool {
        let mut nested = self.nested.iter();
        nested.any(|field| field.hidden || field.hides_parts())
    }
}

fn shown_names(fields: &[Field], hidden: Hidden) -> impl Iterator<Item = &str> + Clone {
    let shown = fields
        .iter()
        .filter(move |field| !field.is_kept_from(hidden));
    shown.map(Field::name)
}

#[cfg(test)]
mod tests {
    use crate::expr::{Condition, Placeholders, Projection};
    use crate::schema::{Hidden, Model, Schema};
    use crate::value::{Map, Value, json};

    fn model() -> Model {
        let schema = Schema::parse(
            "{
                version: '1.0.0',
                indexes: { primary: { hash: 'pk', sort: 'sk' } },
                models: { Room: {
                    pk: { type: 'string', value: 'home#' },
                    sk: { type: 'string', value: 'Room#${name}' },
                    name: { type: 'string', required: true },
                    area: { type: 'number', map: 'a' },
                    kind: { type: 'string', default: 'office' },
                    built: { type: 'date' },
                    key: { type: 'binary' },
                    tags: { type: 'set' },
                    code: { type: 'string', hidden: true },
                    door: { type: 'object', schema: {
                        open: { type: 'boolean', map: 'o' },
                        seen: { type: 'date' },
                        pin: { type: 'string', hidden: true },
                    } },
                    lamps: { type: 'array', items: { type: 'object', schema: {
                        on: { type: 'boolean' }, pin: { type: 'string', hidden: true },
                    } } },
                    more: { type: 'object' },
                } },
            }",
        );
        schema.unwrap().model("Room").unwrap().clone()
    }

    fn item() -> Map {
        let text = r#"{"pk":"home#","sk":"Room#attic","name":"attic","a":20,"_type":"Room",
            "built":1795342913667,"key":"AAE=","code":"1234",
            "door":{"o":true,"seen":0,"pin":"9"},"lamps":[{"on":true,"pin":"7"}],
            "more":{"x":{"y":1}}}"#;
        let mut item = json::parse(text).unwrap().into_map().unwrap();
        let tags = ["a", "b"].into_iter().collect();
        item.insert("tags", Value::Set(tags));
        item
    }

    fn holds(text: &str, hidden: Hidden) -> Result<bool, String> {
        let (model, item) = (model(), item());
        let mut given = Placeholders::new()
            .with_value(":bytes", vec![0_u8, 1])
            .with_value(":list", vec![Value::from("b"), Value::from("a")]);
        let condition = Condition::parse(text, &mut given).unwrap();
        let bound = model
            .bind(condition, hidden)
            .map_err(|error| error.to_string())?;
        Ok(bound.holds(&model.seen(&item, hidden)))
    }

    #[test]
    fn conditions_ask_for_properties_as_programs_see_them() {
        let table = [
            ("area = 20 and begins_with(name, 'a')", true),
            ("kind = 'office'", true),
            ("attribute_exists(kind)", true),
            ("built = '2026-11-22T10:21:53.667Z'", true),
            ("built = 1795342913667", true),
            ("built > '2026-11-22' and built < '2026-11-23'", true),
            ("built between '2026-11-22' and '2026-11-23'", true),
            (
                "built in ('2026-11-22T11:21:53.667+01:00', '2020-01-01')",
                true,
            ),
            ("begins_with(built, '2026-11')", true),
            ("key = 'AAE=' and key = :bytes", true),
            ("tags = :list", true),
            ("contains(tags, 'a')", true),
            ("door.open = true and door.seen = '1970-01-01'", true),
            ("lamps[0].on = true", true),
            ("more.x.y = 1", true),
            ("size(door) = 2", true),
            ("area = 21", false),
        ];
        for (text, expected) in table {
            assert_eq!(holds(text, Hidden::Omit), Ok(expected), "{text}");
        }
    }

    #[test]
    fn hidden_fields_cannot_be_asked_for_by_those_who_do_not_see_them() {
        let table = [
            ("code = '1234'", "Room has no field \"code\""),
            ("attribute_exists(code)", "Room has no field \"code\""),
            ("size(code) > 1", "Room has no field \"code\""),
            ("a = 20", "Room has no field \"a\""),
            ("pk = 'home#'", "Room has no field \"pk\""),
            ("door.pin = '9'", "Room has no field \"door.pin\""),
            ("lamps[0].pin = '7'", "Room has no field \"lamps[0].pin\""),
            (
                "door.opn = true",
                "Room has no field \"door.opn\"; did you mean \"open\"?",
            ),
        ];
        for (text, expected) in table {
            let refused = holds(text, Hidden::Omit).unwrap_err();
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
        let all = "code = '1234' and pk = 'home#' and door.pin = '9' and lamps[0].pin = '7'";
        assert_eq!(holds(all, Hidden::Include), Ok(true));
    }

    #[test]
    fn a_projection_picks_properties() {
        let projection: Projection = "area, door.open, lamps, built".parse().unwrap();
        let picked = model().project(&item(), &projection, Hidden::Omit);
        assert_eq!(
            picked.to_json(),
            r#"{"area":20,"built":"2026-11-22T10:21:53.667Z","door":{"open":true},"lamps":[{"on":true}]}"#
        );
    }
}
