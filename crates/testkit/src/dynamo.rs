//! A model of DynamoDB: what the device's requests do to a table, decided for real.
//!
//! It takes requests as they travel (a target and a JSON body) and answers as DynamoDB does, so
//! that it serves the simulation directly and can stand behind an HTTP listener. Conditions and
//! updates are read from their texts by `periwinkle_core::expr`, which the emulator judges in tests
//! of its own; what only that takes (literals, bare names) is refused here, and so is a placeholder
//! that is missing or not used, as it is in the service. Covered: `PutItem`, `UpdateItem`, `DeleteItem`, `GetItem` and `Query`
//! by key, with `pk` and `sk` as the key of every table, all reads consistent.

mod request;
#[cfg(test)]
mod tests;

use periwinkle_core::value::{Map, Value, attribute};
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
            Ok(body) => Answer { status: 200, body },
            Err(refusal) => refusal.into_answer(),
        }
    }

    fn answer(&mut self, target: &str, body: &str) -> Result<String, Refusal> {
        let operation = target.strip_prefix("DynamoDB_20120810.").unwrap_or(target);
        let mut fields = Fields::parse(body)?;
        let name = fields.text("TableName")?;
        let most = self.page_items_max;
        let table = self.tables.get_mut(&name).ok_or_else(|| {
            Refusal::new("ResourceNotFoundException", "Requested resource not found")
        })?;
        let (answer, change) = match operation {
            "GetItem" => (get_item(table, &mut fields)?, None),
            "Query" => (query(table, &mut fields, most)?, None),
            "PutItem" => put_item(table, &mut fields)?,
            "UpdateItem" => update_item(table, &mut fields)?,
            "DeleteItem" => delete_item(table, &mut fields)?,
            _ => return Err(Refusal::new("UnknownOperationException", operation)),
        };
        // Nothing is changed by a request that turns out to be wrong in any part.
        fields.finish()?;
        match change {
            Some((key, Some(item))) => drop(table.insert(key, item)),
            Some((key, None)) => drop(table.remove(&key)),
            None => {}
        }
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
        let fields = Map::from([("__type", code), ("message", self.message)]);
        let mut body = Value::from(fields).to_json();
        if let Some(item) = self.item {
            body.pop();
            body.push_str(&format!(
                r#","Item":{}}}"#,
                attribute::to_attribute_json(&item)
            ));
        }
        Answer { status: 400, body }
    }
}

/// What a write does: a key and the item that it has afterwards, if any.
type Change = Option<((String, String), Option<Map>)>;

fn get_item(table: &Table, fields: &mut Fields) -> Result<String, Refusal> {
    let key = fields.key("Key")?;
    fields.flag("ConsistentRead")?;
    Ok(holding("Item", table.get(&key)))
}

fn put_item(table: &Table, fields: &mut Fields) -> Result<(String, Change), Refusal> {
    let item = fields.item("Item")?;
    let key = request::key_of(&item)?;
    let old = table.get(&key);
    fields.check_condition(old)?;
    check_size(&item)?;
    let returned = match fields.returns()?.as_str() {
        "ALL_OLD" => old,
        "NONE" => None,
        other => return Err(not_modelled(other)),
    };
    Ok((holding("Attributes", returned), Some((key, Some(item)))))
}

fn update_item(table: &Table, fields: &mut Fields) -> Result<(String, Change), Refusal> {
    let key = fields.key("Key")?;
    let old = table.get(&key);
    fields.check_condition(old)?;
    let start = old
        .cloned()
        .unwrap_or_else(|| Map::from([("pk", key.0.as_str()), ("sk", key.1.as_str())]));
    let new = fields.update(start)?;
    if request::key_of(&new)? != key {
        let message = "Cannot update attribute: this attribute is part of the key";
        return Err(Refusal::validation(message));
    }
    check_size(&new)?;
    let returned = match fields.returns()?.as_str() {
        "ALL_OLD" => old,
        "ALL_NEW" => Some(&new),
        "NONE" => None,
        other => return Err(not_modelled(other)),
    };
    Ok((holding("Attributes", returned), Some((key, Some(new)))))
}

fn delete_item(table: &Table, fields: &mut Fields) -> Result<(String, Change), Refusal> {
    let key = fields.key("Key")?;
    let old = table.get(&key);
    fields.check_condition(old)?;
    let returned = match fields.returns()?.as_str() {
        "ALL_OLD" => old,
        "NONE" => None,
        other => return Err(not_modelled(other)),
    };
    Ok((holding("Attributes", returned), Some((key, None))))
}

fn query(table: &Table, fields: &mut Fields, most: Option<usize>) -> Result<String, Refusal> {
    fields.flag("ConsistentRead")?;
    if !fields.flag("ScanIndexForward")? {
        return Err(not_modelled("ScanIndexForward false"));
    }
    let after = fields.optional_key("ExclusiveStartKey")?;
    let limit = fields
        .optional_number("Limit")?
        .or(most)
        .unwrap_or(usize::MAX);
    let condition = fields.key_condition()?;
    let partition = condition.partition.as_str().unwrap_or_default();
    let start = after.unwrap_or_else(|| (partition.to_owned(), String::new()));
    let (mut page, mut last) = (Page::default(), None);
    for (key, item) in table.range((Bound::Excluded(start), Bound::Unbounded)) {
        if key.0 != partition {
            break;
        }
        let sort = Value::from(key.1.as_str());
        if condition
            .sort
            .as_ref()
            .is_some_and(|range| !range.holds(&sort))
        {
            continue;
        }
        if page.count == limit || page.bytes >= PAGE_BYTES_MAX {
            return Ok(page.into_answer(last));
        }
        page.add(item);
        last = Some(key);
    }
    Ok(page.into_answer(None))
}

#[derive(Debug, Default)]
struct Page {
    items: String,
    count: usize,
    bytes: usize,
}

impl Page {
    fn add(&mut self, item: &Map) {
        if self.count > 0 {
            self.items.push(',');
        }
        attribute::write_item(item, &mut self.items);
        self.count += 1;
        self.bytes += attribute::item_bytes(item);
    }

    fn into_answer(self, last: Option<&(String, String)>) -> String {
        let Page { items, count, .. } = self;
        let last = last.map(|(pk, sk)| Map::from([("pk", pk), ("sk", sk)]));
        let last = last.map_or(String::new(), |last| {
            format!(
                r#","LastEvaluatedKey":{}"#,
                attribute::to_attribute_json(&last)
            )
        });
        format!(r#"{{"Count":{count},"Items":[{items}]{last}}}"#)
    }
}

/// An answer with an item in that field, or an empty one.
fn holding(field: &str, item: Option<&Map>) -> String {
    item.map_or_else(
        || "{}".to_owned(),
        |item| format!(r#"{{"{field}":{}}}"#, attribute::to_attribute_json(item)),
    )
}

fn not_modelled(what: &str) -> Refusal {
    Refusal::validation(format!("{what} is not modelled here"))
}

fn check_size(item: &Map) -> Result<(), Refusal> {
    if attribute::item_bytes(item) > ITEM_BYTES_MAX {
        return Err(Refusal::validation(
            "Item size has exceeded the maximum allowed size",
        ));
    }
    Ok(())
}
