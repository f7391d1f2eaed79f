//! What most callers get of an item, worked out once per model: so a read makes only these values,
//! and moves them instead of copying.

use super::convert;
use super::decode::{Hidden, block, seen};
use super::model::{Field, FieldType, Model};
use crate::value::binary::Attributes;
use crate::value::{Map, Name, Value};

/// What a caller who sees no hidden fields gets of an item.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// The attributes that have to be read.
    attributes: Attributes,
    /// These, and the one that says whose the item is.
    listed: Attributes,
    /// Those of the former that are properties under the same name, in order.
    kept: Vec<Name>,
    /// Fields whose property is in its attribute, but in another form, and their places in `kept`.
    converted: Vec<(usize, usize)>,
    /// Fields whose property comes from elsewhere.
    made: Vec<usize>,
    /// Fields that have a default.
    defaults: Vec<usize>,
}

impl Shown {
    pub(super) fn of(fields: &[Field], type_field: &Name) -> Shown {
        let mut shown = Shown::default();
        let mut attributes = vec![(type_field.clone(), false)];
        for (at, field) in fields.iter().enumerate() {
            let is_read = field.ttl || !field.hidden;
            attributes.push((field.attribute.clone(), is_read));
            if field.hidden {
                continue;
            }
            let encoded = field.encoded.as_ref();
            attributes.extend(encoded.map(|encoded| (encoded.attribute.clone(), true)));
            if encoded.is_some() || field.packed.is_some() || field.name != field.attribute {
                shown.made.push(at);
                continue;
            }
            shown.kept.push(field.name.clone());
            if field.default.is_some() {
                shown.defaults.push(at);
            }
        }
        shown.kept.sort_unstable();
        shown.attributes = Attributes::new(attributes.iter().cloned());
        attributes.push((type_field.clone(), true));
        shown.listed = Attributes::new(attributes);
        for (at, field) in fields.iter().enumerate() {
            if let (Ok(place), false) = (
                shown.kept.binary_search(&field.name),
                field.is_shown_as_stored(),
            ) {
                shown.converted.push((at, place));
            }
        }
        shown
    }
}

impl Model {
    /// The attributes that [`into_properties`](Model::into_properties) and
    /// [`expires`](Model::expires) look at; `None` when it is all of them.
    pub fn attributes_shown(&self, hidden: Hidden) -> Option<&Attributes> {
        match hidden {
            Hidden::Omit => Some(&self.shown.attributes),
            Hidden::Include => None,
        }
    }

    /// These, and the one that says whose an item is; `None` when it is all of them.
    pub fn attributes_listed(&self, hidden: Hidden) -> Option<&Attributes> {
        match hidden {
            Hidden::Omit => Some(&self.shown.listed),
            Hidden::Include => None,
        }
    }

    /// The properties of a stored item: attributes outside the schema are left out, and a field
    /// that the item lacks has its default.
    pub fn properties(&self, item: &Map, hidden: Hidden) -> Map {
        if hidden == Hidden::Include {
            return block(&self.fields, item, hidden);
        }
        let made = self.made(item);
        self.complete(item.only(&self.shown.kept), made)
    }

    /// The same as [`properties`](Model::properties), of an item that is not needed any more.
    pub fn into_properties(&self, mut item: Map, hidden: Hidden) -> Map {
        if hidden == Hidden::Include {
            return block(&self.fields, &item, hidden);
        }
        let made = self.made(&item);
        item.retain_only(&self.shown.kept);
        self.complete(item, made)
    }

    /// The same, of an item that has no other attributes than
    /// [`attributes_shown`](Model::attributes_shown).
    pub fn into_shown(&self, item: Map, hidden: Hidden) -> Map {
        let Shown {
            attributes, kept, ..
        } = &self.shown;
        if hidden == Hidden::Omit && attributes.wanted().len() == kept.len() {
            return self.complete(item, Vec::new());
        }
        self.into_properties(item, hidden)
    }

    /// The properties that are not in attributes of their own name.
    fn made(&self, item: &Map) -> Vec<(&Name, Value)> {
        let made = self.shown.made.iter().filter_map(|at| {
            let field = &self.fields[*at];
            let stored = field.stored_in(item);
            let value = stored.map(|stored| seen(field, &stored, Hidden::Omit));
            Some((&field.name, value.or_else(|| field.default.clone())?))
        });
        made.collect()
    }

    /// The same, of an item that has no other attributes than
    /// [`attributes_listed`](Model::attributes_listed).
    pub fn into_listed(&self, mut item: Map, hidden: Hidden) -> Map {
        let Shown {
            attributes, listed, ..
        } = &self.shown;
        if hidden == Hidden::Omit && attributes.wanted().len() != listed.wanted().len() {
            item.remove(&self.type_attribute);
        }
        self.into_shown(item, hidden)
    }

    /// Properties from attributes of which all are kept, and those that were made.
    fn complete(&self, mut item: Map, made: Vec<(&Name, Value)>) -> Map {
        let shown = &self.shown;
        // An item that lacks none has each at its place.
        let is_full = item.len() == shown.kept.len();
        for (at, place) in &shown.converted {
            let field = &self.fields[*at];
            let value = match is_full {
                true => item.value_at_mut(*place),
                false => item.get_mut(&field.name),
            };
            if let Some(value) = value {
                convert_in_place(field, value);
            }
        }
        if !is_full {
            self.add_defaults(&mut item);
        }
        for (name, value) in made {
            item.insert(name, value);
        }
        item
    }

    fn add_defaults(&self, item: &mut Map) {
        for at in &self.shown.defaults {
            let field = &self.fields[*at];
            if let (false, Some(default)) = (item.contains_key(&field.name), &field.default) {
                item.insert(&field.name, default.clone());
            }
        }
    }
}

fn convert_in_place(field: &Field, value: &mut Value) {
    let has_that_form = field.kind == FieldType::Date && convert::is_shown_date(value);
    if !has_that_form {
        *value = seen(field, value, Hidden::Omit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::convert::{is_shown_date, property};
    use super::block;
    use crate::schema::{Hidden, Model, Schema};
    use crate::value::binary::{decode_some_prefix, encode_map};
    use crate::value::{Map, Value, json};

    fn model() -> Model {
        let schema = Schema::parse(
            "{
                version: '1.0.0',
                indexes: { primary: { hash: 'pk', sort: 'sk' } },
                params: { isoDates: true },
                models: { Room: {
                    pk: { type: 'string', value: 'home#' },
                    sk: { type: 'string', value: 'Room#${name}#${part}' },
                    name: { type: 'string', required: true },
                    area: { type: 'number', map: 'a' },
                    wide: { type: 'number', map: 'size.w', default: 3 },
                    kind: { type: 'string', default: 'office' },
                    part: { type: 'string', encode: ['sk', '#', 2] },
                    built: { type: 'date' },
                    gone: { type: 'date', ttl: true, hidden: true },
                    key: { type: 'binary' },
                    code: { type: 'string', hidden: true },
                    door: { type: 'object', schema: {
                        open: { type: 'boolean', map: 'o' },
                        pin: { type: 'string', hidden: true },
                    } },
                } },
            }",
        );
        schema.unwrap().model("Room").unwrap().clone()
    }

    fn item() -> impl Strategy<Value = Map> {
        const NAMES: [&str; 16] = [
            "pk", "sk", "_type", "name", "area", "a", "size", "wide", "kind", "part", "built",
            "gone", "key", "code", "door", "foreign",
        ];
        const VALUES: [&str; 7] = [
            r#""Room#attic#4""#,
            r#""2026-11-22T10:21:53.667Z""#,
            r#""2026-11-22T11:21:53+01:00""#,
            r#""AAE=""#,
            "1795342913667",
            r#"{"w":4,"o":true,"pin":"9"}"#,
            "null",
        ];
        let value = prop::sample::select(&VALUES[..]);
        let field = (prop::sample::select(&NAMES[..]), value);
        prop::collection::vec(field, 0..16).prop_map(|fields| {
            let field = |(name, text): (&'static str, _)| (name, json::parse(text).unwrap());
            fields.into_iter().map(field).collect()
        })
    }

    proptest! {
        #[test]
        fn properties_are_the_same_however_they_are_made(item in item()) {
            let model = model();
            for hidden in [Hidden::Omit, Hidden::Include] {
                let expected = block(&model.fields, &item, hidden);
                prop_assert_eq!(&model.properties(&item, hidden), &expected);
                prop_assert_eq!(&model.into_properties(item.clone(), hidden), &expected);
                if let Some(names) = model.attributes_shown(hidden) {
                    let mut bytes = Vec::new();
                    encode_map(&item, &mut bytes);
                    let (some, _) = decode_some_prefix(&bytes, names).unwrap();
                    prop_assert_eq!(model.expires(&some), model.expires(&item));
                    prop_assert_eq!(model.into_shown(some, hidden), expected);
                }
            }
        }
    }

    #[test]
    fn a_date_that_looks_like_ours_is_shown_as_it_is_stored_whatever_it_means() {
        let model = model();
        let built = model.field("built").unwrap();
        for (year, month) in [("0000", 1), ("0001", 1), ("1900", 2), ("2024", 2)]
            .into_iter()
            .chain((0..=19).map(|month| ("2026", month)))
        {
            for (day, hour) in (0..=39).flat_map(|day| [0, 23, 24, 29, 99].map(|hour| (day, hour)))
            {
                let text = format!("{year}-{month:02}-{day:02}T{hour:02}:59:59.999Z");
                let stored = Value::from(text);
                assert!(is_shown_date(&stored));
                assert_eq!(*property(built, &stored), stored);
            }
        }
        for other in [
            "2026-11-22T10:21:60.000Z",
            "2026-11-22T10:21:53+00:00",
            "2026-11-22",
        ] {
            assert!(!is_shown_date(&Value::from(other)), "{other}");
        }
    }

    #[test]
    fn only_what_is_shown_is_read() {
        let model = model();
        let some = model.attributes_shown(Hidden::Omit).unwrap();
        assert_eq!(
            some.wanted(),
            [
                "a", "built", "door", "gone", "key", "kind", "name", "part", "size", "sk"
            ]
        );
        let item = Map::from([("name", "attic"), ("code", "1234"), ("foreign", "x")]);
        let shown = model.into_properties(item, Hidden::Omit);
        let expected = [
            ("kind", Value::from("office")),
            ("name", Value::from("attic")),
        ];
        assert_eq!(shown.len(), 3);
        for (name, value) in expected {
            assert_eq!(shown.get(name), Some(&value));
        }
        assert_eq!(shown.get("wide"), Some(&Value::from(3)));
    }
}
