//! The fields of a request body; each one must be asked for, so that nothing is ignored.

use super::Refusal;
use periwinkle_core::expr::{Condition, KeyCondition, Placeholders, Update};
use periwinkle_core::value::attribute::{item_from_json, value_from_json};
use periwinkle_core::value::{Map, Value, json};

#[derive(Clone, Debug)]
pub(super) struct Fields {
    fields: Map,
    places: Placeholders,
}

impl Fields {
    pub(super) fn parse(body: &str) -> Result<Fields, Refusal> {
        let serialization = |text: String| Refusal::new("SerializationException", text);
        let value = json::parse(body).map_err(|error| serialization(error.to_string()))?;
        let mut fields = value
            .into_map()
            .ok_or_else(|| serialization("no object".to_owned()))?;
        let mut places = Placeholders::new();
        for (name, value) in object(fields.remove("ExpressionAttributeNames"))? {
            let text = value
                .as_str()
                .ok_or_else(|| serialization(name.to_string()))?;
            places = places.with_name(&name, text);
        }
        for (name, value) in object(fields.remove("ExpressionAttributeValues"))? {
            let value = value_from_json(value).map_err(|error| serialization(error.to_string()))?;
            places = places.with_value(&name, value);
        }
        Ok(Fields { fields, places })
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Refusal> {
        self.optional_text(name).ok_or_else(|| missing(name))
    }

    fn optional_text(&mut self, name: &str) -> Option<String> {
        self.fields
            .remove(name)
            .and_then(|value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        let flag = self.fields.remove(name).as_ref().and_then(Value::as_bool);
        flag.ok_or_else(|| missing(name))
    }

    pub(super) fn optional_number(&mut self, name: &str) -> Result<Option<usize>, Refusal> {
        let Some(value) = self.fields.remove(name) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| missing(name))
    }

    pub(super) fn item(&mut self, name: &str) -> Result<Map, Refusal> {
        let value = self.fields.remove(name).ok_or_else(|| missing(name))?;
        item_from_json(value).map_err(|error| Refusal::validation(error.to_string()))
    }

    pub(super) fn key(&mut self, name: &str) -> Result<(String, String), Refusal> {
        let item = self.item(name)?;
        if item.len() != 2 {
            return Err(Refusal::validation(
                "The provided key element does not match the schema",
            ));
        }
        key_of(&item)
    }

    pub(super) fn optional_key(&mut self, name: &str) -> Result<Option<(String, String)>, Refusal> {
        if self.fields.contains_key(name) {
            self.key(name).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(super) fn returns(&mut self) -> Result<String, Refusal> {
        Ok(self
            .optional_text("ReturnValues")
            .unwrap_or_else(|| "NONE".to_owned()))
    }

    /// Checks the condition of a write against the item as it is.
    pub(super) fn check_condition(&mut self, item: Option<&Map>) -> Result<(), Refusal> {
        let on_failure = self.optional_text("ReturnValuesOnConditionCheckFailure");
        let Some(text) = self.optional_text("ConditionExpression") else {
            return Ok(());
        };
        let nothing = Map::new();
        if self.condition(&text)?.holds(item.unwrap_or(&nothing)) {
            return Ok(());
        }
        let shown = item
            .filter(|_| on_failure.as_deref() == Some("ALL_OLD"))
            .cloned();
        let message = "The conditional request failed";
        Err(Refusal {
            item: shown,
            ..Refusal::new("ConditionalCheckFailedException", message)
        })
    }

    pub(super) fn update(&mut self, item: Map) -> Result<Map, Refusal> {
        let text = self.text("UpdateExpression")?;
        check_plain(&text)?;
        let update = Update::parse(&text, &mut self.places);
        let update = update.map_err(|error| Refusal::validation(error.to_string()))?;
        update
            .apply(&item)
            .map_err(|error| Refusal::validation(error.to_string()))
    }

    pub(super) fn key_condition(&mut self) -> Result<KeyCondition, Refusal> {
        let text = self.text("KeyConditionExpression")?;
        let split = self.condition(&text)?.split_key("pk", Some("sk"));
        let split = split.filter(|split| split.filter.is_none());
        let split = split.ok_or_else(|| Refusal::validation("Query key condition not supported"));
        Ok(split?.key)
    }

    fn condition(&mut self, text: &str) -> Result<Condition, Refusal> {
        check_plain(text)?;
        Condition::parse(text, &mut self.places)
            .map_err(|error| Refusal::validation(error.to_string()))
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        let unused = self.places.check_all_used();
        unused.map_err(|error| Refusal::validation(format!("unused in expressions: {error}")))?;
        match self.fields.keys().next() {
            Some(name) => Err(Refusal::validation(format!(
                "the field {name} is not modelled"
            ))),
            None => Ok(()),
        }
    }
}

/// Refuses what the service does not take although our own grammar does: whatever is neither a
/// placeholder nor a word of the language.
fn check_plain(text: &str) -> Result<(), Refusal> {
    const WORDS: [&str; 18] = [
        "add",
        "and",
        "attribute_exists",
        "attribute_not_exists",
        "attribute_type",
        "begins_with",
        "between",
        "contains",
        "delete",
        "if_not_exists",
        "in",
        "list_append",
        "not",
        "or",
        "remove",
        "set",
        "size",
        "",
    ];
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '#' | ':');
    let is_sign = |c: char| c.is_ascii_whitespace() || "<>=(),+-.".contains(c);
    let words = text.split(|c: char| !is_part(c));
    let foreign = words
        .filter(|word| !word.starts_with(['#', ':']))
        .find(|word| !WORDS.contains(&word.to_ascii_lowercase().as_str()));
    let foreign = foreign.map(str::to_owned);
    let sign = text.chars().find(|c| !is_part(*c) && !is_sign(*c));
    match foreign.or(sign.map(String::from)) {
        None => Ok(()),
        Some(token) => Err(Refusal::validation(format!(
            "Invalid expression: syntax error; token: {token}"
        ))),
    }
}

/// The key of an item: two texts, neither of them empty.
pub(super) fn key_of(item: &Map) -> Result<(String, String), Refusal> {
    let part = |name: &str| {
        let text = item
            .text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        text.ok_or_else(|| Refusal::validation(format!("Missing the key {name} in the item")))
    };
    Ok((part("pk")?, part("sk")?))
}

fn object(value: Option<Value>) -> Result<Map, Refusal> {
    match value {
        None => Ok(Map::new()),
        Some(value) => value
            .into_map()
            .ok_or_else(|| Refusal::validation("no object")),
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::validation(format!("the field {name} is missing or has another type"))
}
