//! A model of DynamoDB: what the device's requests do to a table, decided for real.
//!
//! It takes requests as they travel (a target and a JSON body) and answers as DynamoDB does, so
//! that it serves the simulation directly and can stand behind an HTTP listener. Conditions and
//! updates are evaluated from their texts; a placeholder that is missing or not used is an error,
//! as it is in the service. Covered: `PutItem`, `UpdateItem`, `DeleteItem`, `GetItem` and `Query`
//! by key, with `pk` and `sk` as the key of every table, all reads consistent.

mod expression;
mod parse;
mod request;
#[cfg(test)]
mod tests;
mod update;

use periwinkle_core::value::{Map, Value, attribute, json};
use request::Fields;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Bytes of one item, names included.
const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Bytes of one page of a query.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Tables by name.
#[derive(Clone, Debug, Default)]
pub struct Dynamo {
    tables: BTreeMap<String, Table>,
    /// Items that a page of a query holds at most; `None` leaves only the bound on bytes.
    pub page_items_max: Option<usize>,
}

/// The items of a table by partition key and sort key.
pub type Table = BTreeMap<(String, String), Map>;

/// What is answered over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: String,
}

/// Why a request was not done: the name of the exception, the words, and the item in question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    code: &'static str,
    message: String,
    item: Option<Map>,
}

impl Dynamo {
    /// A service with no table.
    pub fn new() -> Dynamo {
        Dynamo::default()
    }

    /// Makes a table, or empties it.
    pub fn create_table(&mut self, name: &str) {
        self.tables.insert(name.to_owned(), Table::new());
    }

    /// Takes a table away.
    pub fn delete_table(&mut self, name: &str) -> Option<Table> {
        self.tables.remove(name)
    }

    /// The items of a table, for writers beside the device and for checks; it is made if missing.
    pub fn table(&mut self, name: &str) -> &mut Table {
        self.tables.entry(name.to_owned()).or_default()
    }

    /// Does what a request asks, or says why not.
    ///
    /// `target` is the value of `X-Amz-Target`.
    pub fn handle(&mut self, target: &str, body: &str) -> Answer {
        match self.answer(target, body) {
            Ok(fields) => Answer {
                status: 200,
                body: Value::Map(fields).to_json(),
            },
            Err(refusal) => refusal.into_answer(),
        }
    }

    fn answer(&mut self, target: &str, body: &str) -> Result<Map, Refusal> {
        let operation = target.strip_prefix("DynamoDB_20120810.").unwrap_or(target);
        let mut fields = Fields::parse(body)?;
        let name = fields.text("TableName")?;
        let most = self.page_items_max;
        let table = self.tables.get_mut(&name).ok_or_else(|| {
            Refusal::new("ResourceNotFoundException", "Requested resource not found")
        })?;
        let answer = match operation {
            "GetItem" => get_item(table, &mut fields),
            "PutItem" => put_item(table, &mut fields),
            "UpdateItem" => update_item(table, &mut fields),
            "DeleteItem" => delete_item(table, &mut fields),
            "Query" => query(table, &mut fields, most),
            _ => Err(Refusal::new("UnknownOperationException", operation)),
        }?;
        fields.finish()?;
        Ok(answer)
    }
}

impl Answer {
    /// The answer of an overloaded table.
    pub fn throttled() -> Answer {
        Refusal::new("ProvisionedThroughputExceededException", "slow down").into_answer()
    }

    /// An error of that name, with status 400.
    pub fn error(code: &'static str, message: &str) -> Answer {
        Refusal::new(code, message).into_answer()
    }
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: message.into(),
            item: None,
        }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Refusal {
        Refusal::new("ValidationException", message)
    }

    fn into_answer(self) -> Answer {
        let code = format!("com.amazonaws.dynamodb.v20120810#{}", self.code);
        let mut fields = Map::from([("__type", code), ("message", self.message)]);
        if let Some(item) = self.item {
            fields.insert("Item", wire(&item));
        }
        Answer {
            status: 400,
            body: Value::Map(fields).to_json(),
        }
    }
}

/// An item in AttributeValue JSON, as a value to put into an answer.
fn wire(item: &Map) -> Value {
    json::parse(&attribute::to_attribute_json(item)).expect("what was written as JSON is JSON")
}

fn get_item(table: &mut Table, fields: &mut Fields) -> Result<Map, Refusal> {
    let key = fields.key("Key")?;
    fields.flag("ConsistentRead")?;
    let item = table.get(&key).map(|item| ("Item", wire(item)));
    Ok(item.into_iter().collect())
}

fn put_item(table: &mut Table, fields: &mut Fields) -> Result<Map, Refusal> {
    let item = fields.item("Item")?;
    let key = request::key_of(&item)?;
    let old = table.get(&key).cloned();
    fields.check_condition(old.as_ref())?;
    check_size(&item)?;
    table.insert(key, item);
    let returned = match fields.returns()?.as_str() {
        "ALL_OLD" => old,
        "NONE" => None,
        other => {
            return Err(Refusal::validation(format!(
                "ReturnValues {other} for PutItem"
            )));
        }
    };
    Ok(attributes(returned.as_ref()))
}

fn update_item(table: &mut Table, fields: &mut Fields) -> Result<Map, Refusal> {
    let key = fields.key("Key")?;
    let old = table.get(&key).cloned();
    fields.check_condition(old.as_ref())?;
    let start = old
        .clone()
        .unwrap_or_else(|| Map::from([("pk", key.0.as_str()), ("sk", key.1.as_str())]));
    let new = fields.update(start)?;
    if request::key_of(&new)? != key {
        return Err(Refusal::validation(
            "Cannot update attribute: part of the key",
        ));
    }
    check_size(&new)?;
    let returned = match fields.returns()?.as_str() {
        "ALL_OLD" => old,
        "ALL_NEW" => Some(new.clone()),
        "NONE" => None,
        other => {
            return Err(Refusal::validation(format!(
                "ReturnValues {other} not modelled"
            )));
        }
    };
    table.insert(key, new);
    Ok(attributes(returned.as_ref()))
}

fn delete_item(table: &mut Table, fields: &mut Fields) -> Result<Map, Refusal> {
    let key = fields.key("Key")?;
    fields.check_condition(table.get(&key))?;
    let old = table.remove(&key);
    let returned = match fields.returns()?.as_str() {
        "ALL_OLD" => old,
        "NONE" => None,
        other => {
            return Err(Refusal::validation(format!(
                "ReturnValues {other} for DeleteItem"
            )));
        }
    };
    Ok(attributes(returned.as_ref()))
}

fn query(table: &mut Table, fields: &mut Fields, most: Option<usize>) -> Result<Map, Refusal> {
    fields.flag("ConsistentRead")?;
    if !fields.flag("ScanIndexForward")? {
        return Err(Refusal::validation("ScanIndexForward false is not modelled"));
    }
    let after = fields.optional_key("ExclusiveStartKey")?;
    let limit = fields
        .optional_number("Limit")?
        .or(most)
        .unwrap_or(usize::MAX);
    let condition = fields.key_condition()?;
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    for (key, item) in table.range((start, Bound::Unbounded)) {
        if !condition.holds(Some(item)) {
            continue;
        }
        if items.len() == limit || bytes >= PAGE_BYTES_MAX {
            let (pk, sk) = last.expect("a full page has a last item");
            let key = Map::from([("pk", pk), ("sk", sk)]);
            return Ok(page(items, Some(&key)));
        }
        bytes += attribute::item_bytes(item);
        items.push(wire(item));
        last = Some(key.clone());
    }
    Ok(page(items, None))
}

fn page(items: Vec<Value>, next: Option<&Map>) -> Map {
    let count = items.len() as u64;
    let mut answer = Map::from([("Count", Value::from(count)), ("Items", Value::from(items))]);
    if let Some(next) = next {
        answer.insert("LastEvaluatedKey", wire(next));
    }
    answer
}

fn attributes(item: Option<&Map>) -> Map {
    item.map(|item| ("Attributes", wire(item)))
        .into_iter()
        .collect()
}

fn check_size(item: &Map) -> Result<(), Refusal> {
    if attribute::item_bytes(item) > ITEM_BYTES_MAX {
        return Err(Refusal::validation(
            "Item size has exceeded the maximum allowed size",
        ));
    }
    Ok(())
}
