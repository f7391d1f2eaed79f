//! Many writes of whole items in one call, without conditions.

use super::body::Body;
use super::bounds::{RequestError, check_count, check_item, check_key};
use super::call::{AnswerError, Operation, take_list};
use crate::limits;
use crate::value::attribute::item_from_json;
use crate::value::{Map, Value};

/// Writes and removes up to 25 items of one table. Each passes or waits by itself, and none can be
/// conditional: what must not be overwritten is written by other calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchWriteItem {
    /// The table.
    pub table: String,
    /// What to do; no two may concern the same item.
    pub writes: Vec<BatchWrite>,
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchWrite {
    /// Writes a whole item.
    Put(Map),
    /// Removes the item with this key.
    Delete(Map),
}

impl BatchWrite {
    fn checked_json(&self) -> Result<String, RequestError> {
        let (request, field, item) = match self {
            BatchWrite::Put(item) => {
                check_item(item)?;
                ("PutRequest", "Item", item)
            }
            BatchWrite::Delete(key) => {
                check_key(key)?;
                ("DeleteRequest", "Key", key)
            }
        };
        let inner = Body::new().item(field, item);
        Ok(Body::new().object(request, inner).finish())
    }

    fn read(request: Value) -> Result<BatchWrite, AnswerError> {
        let kind = request.kind();
        let mut request = request
            .into_map()
            .ok_or(AnswerError::Form("a request", kind))?;
        let mut take = |name, field: &'static str| {
            let inner = request.remove(name).and_then(Value::into_map);
            let item = inner.and_then(|mut inner| inner.remove(field));
            item.map(item_from_json).transpose()
        };
        if let Some(item) = take("PutRequest", "Item")? {
            return Ok(BatchWrite::Put(item));
        }
        let key = take("DeleteRequest", "Key")?;
        key.map(BatchWrite::Delete)
            .ok_or(AnswerError::Missing("PutRequest"))
    }
}

impl Operation for BatchWriteItem {
    const TARGET: &'static str = "DynamoDB_20120810.BatchWriteItem";
    /// The writes that were not done: send them again, with a pause.
    type Output = Vec<BatchWrite>;

    fn body(&self) -> Result<String, RequestError> {
        let max = limits::DYNAMODB_BATCH_WRITES_MAX;
        check_count("a batch of writes", self.writes.len(), max)?;
        let writes: Vec<String> = self
            .writes
            .iter()
            .map(BatchWrite::checked_json)
            .collect::<Result<_, _>>()?;
        Ok(Body::new()
            .object("RequestItems", Body::new().list(&self.table, writes))
            .finish())
    }

    fn output(mut answer: Map) -> Result<Vec<BatchWrite>, AnswerError> {
        let tables = answer.remove("UnprocessedItems").and_then(Value::into_map);
        let mut left = Vec::new();
        for (_, writes) in tables.unwrap_or_default() {
            let mut table = Map::from([("Writes", writes)]);
            for write in take_list(&mut table, "Writes")? {
                left.push(BatchWrite::read(write)?);
            }
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::dynamodb::{CallError, read_answer};

    fn item() -> Map {
        Map::from([("pk", "a")])
    }

    #[test]
    fn writes_are_written_out_and_what_is_left_is_read_back() {
        let batch = BatchWriteItem {
            table: "t".into(),
            writes: vec![BatchWrite::Put(item()), BatchWrite::Delete(item())],
        };
        assert_eq!(
            batch.body().unwrap(),
            concat!(
                r#"{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a"}}}},"#,
                r#"{"DeleteRequest":{"Key":{"pk":{"S":"a"}}}}]}}"#
            )
        );
        let read = |answer: &str| read_answer::<BatchWriteItem>(200, None, answer.as_bytes());
        assert_eq!(read("{}"), Ok(vec![]));
        assert_eq!(read(r#"{"UnprocessedItems":{}}"#), Ok(vec![]));
        let left = r#"{"UnprocessedItems":{"t":[{"DeleteRequest":{"Key":{"pk":{"S":"a"}}}},
            {"PutRequest":{"Item":{"pk":{"S":"a"}}}}]}}"#;
        assert_eq!(
            read(left),
            Ok(vec![BatchWrite::Delete(item()), BatchWrite::Put(item())])
        );
        assert_eq!(
            read(r#"{"UnprocessedItems":{"t":[{}]}}"#),
            Err(CallError::Answer(AnswerError::Missing("PutRequest")))
        );
    }

    #[test]
    fn a_batch_is_taken_to_its_bounds_and_not_beyond() {
        let of = |writes: Vec<BatchWrite>| {
            let table = "t".into();
            BatchWriteItem { table, writes }.request().map(drop)
        };
        let put = BatchWrite::Put(item());
        assert_eq!(of(vec![put.clone(); 25]), Ok(()));
        assert!(matches!(
            of(vec![put; 26]),
            Err(RequestError::TooLarge {
                actual: 26,
                max: 25,
                ..
            })
        ));
        assert_eq!(of(vec![]), Err(RequestError::Empty("a batch of writes")));
        let large = Map::from([("pk", "a".repeat(limits::DYNAMODB_ITEM_BYTES_MAX - 1))]);
        assert!(of(vec![BatchWrite::Put(large)]).is_err());
        let empty = Map::from([("pk", "")]);
        assert_eq!(
            of(vec![BatchWrite::Delete(empty)]),
            Err(RequestError::Key("pk".into()))
        );
    }
}
