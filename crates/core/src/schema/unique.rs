//! Values that no two items of a model share.
//!
//! As in `dynamodb-onetable`, each such value is claimed by an item of its own beside the item that
//! has it: `pk` is `_unique#`, the scope if the field has one, the model, the attribute and the
//! value; `sk` is `_unique#`; the type is `_Unique`.

use super::error::{PropertyError, SchemaError};
use super::key::{text, variable_text};
use super::model::{Field, FieldType, Model, Process, Role};
use super::section::Section;
use super::template::Template;
use crate::sync::config::{DeletePolicy, Direction, ModelRule};
use crate::sync::record::ItemKey;
use crate::value::{Map, Name};

const PREFIX: &str = "_unique#";
const MODEL: &str = "_Unique";

/// The claim of an item to a value of one of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The name of the field.
    pub field: &'a str,
    /// The key of the item that stands for the claim.
    pub key: ItemKey,
}

impl Model {
    /// Whether there are fields whose values no two items share.
    pub fn has_unique(&self) -> bool {
        self.unique_fields().next().is_some()
    }

    /// The claims of a stored item, in the order of the fields.
    ///
    /// # Errors
    /// A field has a value, and its scope is made from one that the item lacks; or the key of the
    /// claim would be too long.
    pub fn claims(&self, item: &Map) -> Result<Vec<Claim<'_>>, PropertyError> {
        let mut claims = Vec::new();
        for field in self.unique_fields() {
            let value = field.stored_in(item).and_then(|value| text(&value));
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                continue;
            };
            let (start, missing) = self.claim_start(field, item);
            if let Some(missing) = missing {
                return Err(PropertyError::MissingRequired {
                    model: self.name.clone(),
                    field: missing,
                });
            }
            let key = self.checked_key(start + &value, PREFIX.to_owned())?;
            let field = field.name.as_str();
            claims.push(Claim { field, key });
        }
        Ok(claims)
    }

    /// The item that stands for a claim of `owner`. It expires with its owner.
    pub fn claim_item(&self, key: &ItemKey, owner: &Map) -> Map {
        let mut item = Map::new();
        item.insert(self.hash_field().attribute(), key.pk.as_str());
        item.insert(self.sort_field().attribute(), key.sk.as_str());
        if let Some(kind) = self.fields.iter().find(|field| field.role == Role::Type) {
            item.insert(&kind.attribute, MODEL);
        }
        if let Some(name) = self.ttl_attribute()
            && let Some(expires) = owner.get(name)
        {
            item.insert(name, expires.clone());
        }
        item
    }

    /// What replication must know of the claims, where the items themselves travel up.
    pub(super) fn claim_rules(&self, context: &Map) -> Vec<ModelRule> {
        if !self.process.sync.is_up() {
            return Vec::new();
        }
        let fields = self.unique_fields();
        let rule = |field| {
            let (start, _) = self.claim_start(field, context);
            ModelRule {
                // Who has removed an item needs no claim any more, whoever else touched it.
                deletes: DeletePolicy::DeleteWins,
                ..ModelRule::new(MODEL, start, PREFIX, Direction::Up)
            }
        };
        fields.map(rule).collect()
    }

    /// How the partition keys of claims to a field begin, up to what is not known.
    fn claim_start(&self, field: &Field, values: &Map) -> (String, Option<String>) {
        let mut start = PREFIX.to_owned();
        if let Some(scope) = &field.scope {
            let value = |name: &Name| variable_text(&self.fields, field, name, values);
            let (known, is_whole) = scope.expand(value);
            start.push_str(&known);
            if !is_whole {
                let mut variables = scope.variables();
                let missing = variables.find(|name| value(name).is_none());
                return (start, missing.map(Name::to_string));
            }
            start.push('#');
        }
        start.push_str(&format!("{}#{}#", self.name, field.attribute));
        (start, None)
    }

    /// The key itself is unique without a claim.
    fn unique_fields(&self) -> impl Iterator<Item = &Field> {
        let is_key = |field: &Field| matches!(field.role, Role::Hash | Role::Sort);
        let fields = self.fields.iter();
        fields.filter(move |field| field.unique && !is_key(field))
    }
}

/// Refuses unique fields that cannot be kept so.
pub(super) fn check(
    section: &Section<'_>,
    fields: &[Field],
    process: &Process,
) -> Result<(), SchemaError> {
    for field in fields.iter().filter(|field| field.unique) {
        let fail = |message: String| Err(section.fail(&field.name, message));
        if !matches!(field.kind, FieldType::String | FieldType::Number) {
            return fail(format!(
                "only a string or a number can be unique; this is \"{}\"",
                field.kind
            ));
        }
        let variables = field.scope.iter().flat_map(Template::variables);
        for variable in variables {
            let name = variable.split('.').next().unwrap_or_default();
            if !fields.iter().any(|known| known.name == name) {
                return fail(format!(
                    "the scope uses \"{variable}\", which is no field: add the field"
                ));
            }
        }
        if process.sync != Direction::None {
            check_scope(section, field)?;
        }
    }
    Ok(())
}

/// A device may write the claims of its own items only, and none of another one whose name begins
/// with its own.
fn check_scope(section: &Section<'_>, field: &Field) -> Result<(), SchemaError> {
    const START: &str = "dev#${deviceId}";
    let scope = field.scope.as_ref().map(ToString::to_string);
    let scope = scope.unwrap_or_default();
    match scope.strip_prefix(START) {
        Some(rest) if rest.is_empty() || rest.starts_with('#') => Ok(()),
        _ => Err(section.fail(
            &field.name,
            format!(
                "a device can only tell whether a value is unique among its own items: give the \
                 field scope: '{START}', or begin its scope so and go on with \"#\""
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::Schema;
    use crate::value::{Map, json};

    fn schema(fields: &str, sync: &str) -> Result<Schema, String> {
        let text = format!(
            "{{
                version: '1.0.0',
                indexes: {{ primary: {{ hash: 'pk', sort: 'sk' }} }},
                models: {{ User: {{
                    pk: {{ type: 'string', value: 'dev#${{deviceId}}#rw' }},
                    sk: {{ type: 'string', value: 'User#${{id}}' }},
                    deviceId: {{ type: 'string', required: true }},
                    id: {{ type: 'string', required: true }},
                    {fields}
                }} }},
                process: {{ User: {{ sync: '{sync}' }} }},
            }}"
        );
        Schema::parse(&text).map_err(|error| error.message().to_owned())
    }

    const SCOPED: &str =
        "email: { type: 'string', unique: true, scope: 'dev#${deviceId}', map: 'em' },
        badge: { type: 'number', unique: true, scope: 'dev#${deviceId}#${floor}' },
        floor: { type: 'number' },";

    fn item(text: &str) -> Map {
        json::parse(text).unwrap().into_map().unwrap()
    }

    #[test]
    fn each_unique_value_is_claimed_by_an_item_of_its_own() {
        let schema = schema(SCOPED, "both").unwrap();
        let user = schema.model("User").unwrap();
        let ada = item(r#"{"deviceId":"d1","id":"1","em":"a@b","badge":7.0,"floor":2}"#);
        let keys: Vec<_> = user
            .claims(&ada)
            .unwrap()
            .into_iter()
            .map(|claim| (claim.field, claim.key.pk, claim.key.sk))
            .collect();
        let key = |field, pk: &str| (field, pk.to_owned(), "_unique#".to_owned());
        assert_eq!(
            keys,
            [
                key("email", "_unique#dev#d1#User#em#a@b"),
                key("badge", "_unique#dev#d1#2#User#badge#7"),
            ]
        );
        assert_eq!(
            user.claims(&item(r#"{"deviceId":"d1","em":""}"#)),
            Ok(Vec::new())
        );
        let missing = user
            .claims(&item(r#"{"deviceId":"d1","badge":7}"#))
            .unwrap_err();
        assert_eq!(
            missing.to_string(),
            "User.floor is required; give it a value"
        );
        let claims = user.claims(&ada).unwrap();
        assert_eq!(
            user.claim_item(&claims[0].key, &ada).to_json(),
            r#"{"_type":"_Unique","pk":"_unique#dev#d1#User#em#a@b","sk":"_unique#"}"#
        );
    }

    #[test]
    fn claims_travel_up_with_their_items_and_no_rule_reaches_another_device() {
        let schema = schema(SCOPED, "both").unwrap();
        let rules = schema.sync_rules(&Map::from([("deviceId", "d1")]));
        let starts: Vec<_> = rules.iter().map(|rule| rule.pk_prefix.as_str()).collect();
        assert_eq!(
            starts,
            ["dev#d1#rw", "_unique#dev#d1#User#em#", "_unique#dev#d1#"]
        );
    }

    #[test]
    fn a_unique_field_that_cannot_be_kept_so_is_refused() {
        let scope = "a device can only tell whether a value is unique among its own items: give \
                     the field scope: 'dev#${deviceId}', or begin its scope so and go on with \"#\"";
        let table = [
            ("email: { type: 'string', unique: true },", "both", scope),
            (
                "email: { type: 'string', unique: true, scope: '${deviceId}' },",
                "both",
                scope,
            ),
            (
                "email: { type: 'string', unique: true, scope: 'dev#${deviceId}x' },",
                "both",
                scope,
            ),
            (
                "tags: { type: 'array', unique: true, scope: 'dev#${deviceId}' },",
                "both",
                "only a string or a number can be unique; this is \"array\"",
            ),
            (
                "email: { type: 'string', unique: true, scope: 'dev#${deviceId}#${flor}' },",
                "both",
                "the scope uses \"flor\", which is no field: add the field",
            ),
            (
                "more: { type: 'object', schema: { x: { type: 'string', unique: true } } },",
                "both",
                "only fields of the model itself can be unique",
            ),
            (
                "email: { type: 'string', scope: 'x' },",
                "both",
                "a scope is for unique fields",
            ),
        ];
        for (fields, sync, expected) in table {
            assert_eq!(schema(fields, sync).unwrap_err(), expected, "{fields}");
        }
    }
}
