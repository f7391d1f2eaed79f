//! Calls that concern one item.

use super::body::Body;
use super::bounds::{RequestError, check_item, check_key};
use super::call::{AnswerError, Operation, take_item};
use super::expression::{Condition, Expressions, Update};
use crate::value::Map;

/// Which attributes an update gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnValues {
    /// None.
    #[default]
    None,
    /// The whole item before the update.
    AllOld,
    /// The updated attributes before the update.
    UpdatedOld,
    /// The whole item after the update.
    AllNew,
    /// The updated attributes after the update.
    UpdatedNew,
}

impl ReturnValues {
    const fn text(self) -> &'static str {
        match self {
            ReturnValues::None => "NONE",
            ReturnValues::AllOld => "ALL_OLD",
            ReturnValues::UpdatedOld => "UPDATED_OLD",
            ReturnValues::AllNew => "ALL_NEW",
            ReturnValues::UpdatedNew => "UPDATED_NEW",
        }
    }
}

/// Changes attributes of an item, and makes the item if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateItem {
    /// The table.
    pub table: String,
    /// The key attributes.
    pub key: Map,
    /// What to change.
    pub update: Update,
    /// What must hold before.
    pub condition: Option<Condition>,
    /// What the answer holds.
    pub returns: ReturnValues,
    /// Whether a failed condition brings the item as it is.
    pub item_on_failure: bool,
}

impl UpdateItem {
    pub(super) fn parts(&self) -> Result<Body, RequestError> {
        check_key(&self.key)?;
        let body = Body::new()
            .text("TableName", &self.table)
            .item("Key", &self.key);
        let update = Expressions::default().update(&self.update)?;
        let update = update.condition(self.condition.as_ref()).checked()?;
        Ok(on_failure(body.expressions(&update), self.item_on_failure))
    }
}

impl Operation for UpdateItem {
    const TARGET: &'static str = "DynamoDB_20120810.UpdateItem";
    /// The attributes that were asked for.
    type Output = Option<Map>;

    fn body(&self) -> Result<String, RequestError> {
        Ok(self
            .parts()?
            .text("ReturnValues", self.returns.text())
            .finish())
    }

    fn output(mut answer: Map) -> Result<Option<Map>, AnswerError> {
        take_item(&mut answer, "Attributes")
    }
}

/// Writes a whole item in place of any that has its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutItem {
    /// The table.
    pub table: String,
    /// The item with its key.
    pub item: Map,
    /// What must hold before.
    pub condition: Option<Condition>,
    /// Whether the answer holds the item that was replaced.
    pub return_old: bool,
    /// Whether a failed condition brings the item as it is.
    pub item_on_failure: bool,
}

impl PutItem {
    pub(super) fn parts(&self) -> Result<Body, RequestError> {
        check_item(&self.item)?;
        let body = Body::new()
            .text("TableName", &self.table)
            .item("Item", &self.item);
        conditional(body, self.condition.as_ref(), self.item_on_failure)
    }
}

impl Operation for PutItem {
    const TARGET: &'static str = "DynamoDB_20120810.PutItem";
    /// The item that was replaced, if it was asked for and there was one.
    type Output = Option<Map>;

    fn body(&self) -> Result<String, RequestError> {
        Ok(returns_old(self.parts()?, self.return_old).finish())
    }

    fn output(mut answer: Map) -> Result<Option<Map>, AnswerError> {
        take_item(&mut answer, "Attributes")
    }
}

/// Removes an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteItem {
    /// The table.
    pub table: String,
    /// The key attributes.
    pub key: Map,
    /// What must hold before.
    pub condition: Option<Condition>,
    /// Whether the answer holds the item that was removed.
    pub return_old: bool,
    /// Whether a failed condition brings the item as it is.
    pub item_on_failure: bool,
}

impl DeleteItem {
    pub(super) fn parts(&self) -> Result<Body, RequestError> {
        check_key(&self.key)?;
        let body = Body::new()
            .text("TableName", &self.table)
            .item("Key", &self.key);
        conditional(body, self.condition.as_ref(), self.item_on_failure)
    }
}

impl Operation for DeleteItem {
    const TARGET: &'static str = "DynamoDB_20120810.DeleteItem";
    /// The item that was removed, if it was asked for and there was one.
    type Output = Option<Map>;

    fn body(&self) -> Result<String, RequestError> {
        Ok(returns_old(self.parts()?, self.return_old).finish())
    }

    fn output(mut answer: Map) -> Result<Option<Map>, AnswerError> {
        take_item(&mut answer, "Attributes")
    }
}

/// Reads an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetItem {
    /// The table.
    pub table: String,
    /// The key attributes.
    pub key: Map,
    /// Whether the answer must show every write that was acknowledged before.
    pub consistent: bool,
    /// The attributes wanted; none means all.
    pub projection: Vec<String>,
}

impl Operation for GetItem {
    const TARGET: &'static str = "DynamoDB_20120810.GetItem";
    /// The item, if there is one.
    type Output = Option<Map>;

    fn body(&self) -> Result<String, RequestError> {
        check_key(&self.key)?;
        let expressions = Expressions::default()
            .projection(&self.projection)
            .checked()?;
        let body = Body::new()
            .text("TableName", &self.table)
            .item("Key", &self.key);
        Ok(body
            .flag("ConsistentRead", self.consistent)
            .expressions(&expressions)
            .finish())
    }

    fn output(mut answer: Map) -> Result<Option<Map>, AnswerError> {
        take_item(&mut answer, "Item")
    }
}

/// What a write of a whole item holds beside its table and its key.
fn conditional(
    body: Body,
    condition: Option<&Condition>,
    item_on_failure: bool,
) -> Result<Body, RequestError> {
    let condition = Expressions::default().condition(condition).checked()?;
    Ok(on_failure(body.expressions(&condition), item_on_failure))
}

/// Asks for the item where a condition fails, as all writes and transactions spell it.
pub(super) fn on_failure(body: Body, item_on_failure: bool) -> Body {
    body.with(item_on_failure.then_some("ALL_OLD"), |body, text| {
        body.text("ReturnValuesOnConditionCheckFailure", text)
    })
}

fn returns_old(body: Body, return_old: bool) -> Body {
    body.text("ReturnValues", if return_old { "ALL_OLD" } else { "NONE" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::dynamodb::{CallError, ServiceErrorKind, read_answer};
    use crate::limits;
    use crate::value::{Value, attribute, json, strategies};

    fn key() -> Map {
        Map::from([("pk", "a"), ("sk", "b")])
    }

    #[test]
    fn an_update_is_written_out() {
        let update = UpdateItem {
            table: "t".into(),
            key: key(),
            update: Update {
                set: Map::from([("n", 1)]),
                ..Update::default()
            },
            condition: Some(Condition::exists("pk")),
            returns: ReturnValues::AllNew,
            item_on_failure: true,
        };
        let request = update.request().unwrap();
        assert_eq!(request.target, "DynamoDB_20120810.UpdateItem");
        assert_eq!(
            request.body,
            concat!(
                r##"{"TableName":"t","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},"##,
                r##""UpdateExpression":"SET #0 = :0","ConditionExpression":"attribute_exists(#1)","##,
                r##""ExpressionAttributeNames":{"#0":"n","#1":"pk"},"##,
                r##""ExpressionAttributeValues":{":0":{"N":"1"}},"##,
                r##""ReturnValuesOnConditionCheckFailure":"ALL_OLD","ReturnValues":"ALL_NEW"}"##
            )
        );
        assert_eq!(update.clone().request().unwrap(), request);
    }

    #[test]
    fn a_put_a_delete_and_a_get_are_written_out() {
        let put = PutItem {
            table: "t".into(),
            item: key(),
            return_old: true,
            ..PutItem::default()
        };
        assert_eq!(
            put.body().unwrap(),
            r#"{"TableName":"t","Item":{"pk":{"S":"a"},"sk":{"S":"b"}},"ReturnValues":"ALL_OLD"}"#
        );
        let delete = DeleteItem {
            table: "t".into(),
            key: key(),
            ..DeleteItem::default()
        };
        assert_eq!(
            delete.body().unwrap(),
            r#"{"TableName":"t","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},"ReturnValues":"NONE"}"#
        );
        let get = GetItem {
            table: "t".into(),
            key: key(),
            consistent: true,
            projection: vec!["a.b".into(), "c".into()],
        };
        assert_eq!(
            get.body().unwrap(),
            concat!(
                r##"{"TableName":"t","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},"ConsistentRead":true,"##,
                r##""ProjectionExpression":"#0, #1","ExpressionAttributeNames":{"#0":"a.b","#1":"c"}}"##
            )
        );
        for body in [put.body(), delete.body(), get.body()] {
            assert!(json::parse(&body.unwrap()).is_ok());
        }
    }

    #[test]
    fn answers_are_read_as_items() {
        let item = br#"{"Item":{"pk":{"S":"a"},"n":{"N":"1.50"}}}"#;
        let expected = Map::from([
            ("pk", Value::from("a")),
            ("n", Value::Number("1.5".parse().unwrap())),
        ]);
        assert_eq!(read_answer::<GetItem>(200, None, item), Ok(Some(expected)));
        assert_eq!(read_answer::<GetItem>(200, None, b"{}"), Ok(None));
        assert_eq!(read_answer::<PutItem>(200, None, b"{}"), Ok(None));
    }

    #[test]
    fn an_answer_that_is_not_dynamodbs_is_told_apart_from_a_refusal() {
        let read = |status, body: &[u8]| read_answer::<GetItem>(status, None, body).unwrap_err();
        assert!(matches!(
            read(200, b"<html>"),
            CallError::Answer(AnswerError::Json(_))
        ));
        assert!(matches!(
            read(200, b"[]"),
            CallError::Answer(AnswerError::Form(..))
        ));
        assert!(matches!(
            read(200, br#"{"Item":{"a":1}}"#),
            CallError::Answer(AnswerError::Attribute(_))
        ));
        let CallError::Service(error) = read(400, br#"{"__type":"x#ThrottlingException"}"#) else {
            panic!("a refusal is a service error");
        };
        assert_eq!(error.kind, ServiceErrorKind::Throttled);
    }

    #[test]
    fn items_and_keys_are_taken_to_their_bounds_and_not_beyond() {
        let put = |bytes: usize| {
            let item = Map::from([("a", "x".repeat(bytes - 1))]);
            PutItem {
                table: "t".into(),
                item,
                ..PutItem::default()
            }
            .request()
            .map(drop)
        };
        assert_eq!(put(limits::DYNAMODB_ITEM_BYTES_MAX), Ok(()));
        assert_eq!(
            put(limits::DYNAMODB_ITEM_BYTES_MAX + 1),
            Err(RequestError::TooLarge {
                what: "an item",
                actual: 409_601,
                max: 409_600,
                unit: "bytes"
            })
        );
        let get = |value: Value| {
            let key = Map::from([("pk", value)]);
            GetItem {
                table: "t".into(),
                key,
                ..GetItem::default()
            }
            .request()
            .map(drop)
        };
        assert_eq!(get(Value::from("x".repeat(2048))), Ok(()));
        assert!(matches!(
            get(Value::from("x".repeat(2049))),
            Err(RequestError::TooLarge { what: "a key", .. })
        ));
        for wrong in [Value::from(""), Value::Null, Value::from(vec![Value::Null])] {
            assert_eq!(get(wrong), Err(RequestError::Key("pk".into())));
        }
    }

    #[test]
    fn nesting_is_taken_to_its_bound_and_not_beyond() {
        let put = |depth: usize| {
            let value = (0..depth).fold(Value::Null, |value, _| Value::from(vec![value]));
            let item = Map::from([("deep", value)]);
            PutItem {
                table: "t".into(),
                item,
                ..PutItem::default()
            }
            .request()
            .map(drop)
        };
        assert_eq!(put(limits::VALUE_DEPTH_MAX), Ok(()));
        assert_eq!(
            put(limits::VALUE_DEPTH_MAX + 1),
            Err(RequestError::Depth("deep".into()))
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_put_stands_in_the_body(item in strategies::map()) {
            let put = PutItem { table: "t".into(), item, ..PutItem::default() };
            let mut body = json::parse(&put.body().unwrap()).unwrap();
            let sent = body.as_map_mut().unwrap().remove("Item").unwrap();
            proptest::prop_assert_eq!(attribute::item_from_json(sent), Ok(put.item.clone()));
            proptest::prop_assert_eq!(put.body(), put.clone().body());
        }

        #[test]
        fn a_condition_on_all_attributes_names_each_of_them_once(item in strategies::map()) {
            let condition =
                Condition::all(item.iter().map(|(name, value)| Condition::is(name, Some(value))));
            let delete = DeleteItem { table: "t".into(), key: key(), condition, ..DeleteItem::default() };
            let body = json::parse(&delete.body().unwrap()).unwrap();
            let body = body.as_map().unwrap();
            let names = body.get("ExpressionAttributeNames").and_then(Value::as_map);
            let names: Vec<&str> =
                names.into_iter().flat_map(Map::values).filter_map(Value::as_str).collect();
            proptest::prop_assert_eq!(names, item.keys().collect::<Vec<_>>());
        }
    }
}
