//! Writes that pass together or not at all.

use super::body::Body;
use super::bounds::{RequestError, check_count, check_key, check_token, check_transaction_bytes};
use super::call::{AnswerError, Operation};
use super::expression::{Condition, Expressions};
use super::item::{DeleteItem, PutItem, UpdateItem, on_failure};
use crate::limits;
use crate::value::Map;
use crate::value::attribute::item_bytes;

/// Up to 100 writes of different items that pass together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactWriteItems {
    /// What makes a repeated request the same transaction, for ten minutes; the body must then be
    /// the same as well.
    pub token: Option<String>,
    /// What to do, in the order of the reasons if it is refused.
    pub actions: Vec<TransactAction>,
}

/// One part of a transaction. What the single calls return has no meaning here and is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "short lists that live for one request"
)]
pub enum TransactAction {
    /// Writes a whole item.
    Put(PutItem),
    /// Changes attributes.
    Update(UpdateItem),
    /// Removes an item.
    Delete(DeleteItem),
    /// Only demands something of an item.
    Check {
        /// The table.
        table: String,
        /// The key attributes.
        key: Map,
        /// What must hold.
        condition: Condition,
        /// Whether a failed condition brings the item as it is.
        item_on_failure: bool,
    },
}

impl TransactAction {
    fn checked_json(&self) -> Result<String, RequestError> {
        let (name, body) = match self {
            TransactAction::Put(put) => ("Put", put.parts()?),
            TransactAction::Update(update) => ("Update", update.parts()?),
            TransactAction::Delete(delete) => ("Delete", delete.parts()?),
            TransactAction::Check {
                table,
                key,
                condition,
                item_on_failure,
            } => {
                check_key(key)?;
                let expressions = Expressions::default()
                    .condition(Some(condition))
                    .checked()?;
                let body = Body::new().text("TableName", table).item("Key", key);
                (
                    "ConditionCheck",
                    on_failure(body.expressions(&expressions), *item_on_failure),
                )
            }
        };
        Ok(Body::new().object(name, body).finish())
    }

    /// What of the items is known here: the stored item of an update may be larger.
    fn bytes(&self) -> usize {
        match self {
            TransactAction::Put(put) => item_bytes(&put.item),
            TransactAction::Update(update) => {
                item_bytes(&update.key)
                    + item_bytes(&update.update.set)
                    + item_bytes(&update.update.add)
            }
            TransactAction::Delete(delete) => item_bytes(&delete.key),
            TransactAction::Check { key, .. } => item_bytes(key),
        }
    }
}

impl Operation for TransactWriteItems {
    const TARGET: &'static str = "DynamoDB_20120810.TransactWriteItems";
    type Output = ();

    fn body(&self) -> Result<String, RequestError> {
        let max = limits::DYNAMODB_TRANSACTION_ACTIONS_MAX;
        check_count("a transaction", self.actions.len(), max)?;
        check_transaction_bytes(self.actions.iter().map(TransactAction::bytes).sum())?;
        if let Some(token) = &self.token {
            check_token(token)?;
        }
        let actions: Vec<String> = self
            .actions
            .iter()
            .map(TransactAction::checked_json)
            .collect::<Result<_, _>>()?;
        Ok(Body::new()
            .list("TransactItems", actions)
            .with(self.token.as_ref(), |body, token| {
                body.text("ClientRequestToken", token)
            })
            .finish())
    }

    fn output(_answer: Map) -> Result<(), AnswerError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::dynamodb::{Update, read_answer};

    fn key(name: &str) -> Map {
        Map::from([("pk", name)])
    }

    #[test]
    fn a_transaction_is_written_out() {
        let transaction = TransactWriteItems {
            token: Some("token".into()),
            actions: vec![
                TransactAction::Put(PutItem {
                    table: "t".into(),
                    item: key("a"),
                    condition: Some(Condition::absent("pk")),
                    return_old: true,
                    item_on_failure: true,
                }),
                TransactAction::Update(UpdateItem {
                    table: "t".into(),
                    key: key("b"),
                    update: Update {
                        set: Map::from([("n", 1)]),
                        ..Update::default()
                    },
                    ..UpdateItem::default()
                }),
                TransactAction::Delete(DeleteItem {
                    table: "t".into(),
                    key: key("c"),
                    ..DeleteItem::default()
                }),
                TransactAction::Check {
                    table: "t".into(),
                    key: key("d"),
                    condition: Condition::exists("pk"),
                    item_on_failure: false,
                },
            ],
        };
        assert_eq!(
            transaction.body().unwrap(),
            concat!(
                r##"{"TransactItems":["##,
                r##"{"Put":{"TableName":"t","Item":{"pk":{"S":"a"}},"##,
                r##""ConditionExpression":"attribute_not_exists(#0)","ExpressionAttributeNames":{"#0":"pk"},"##,
                r##""ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},"##,
                r##"{"Update":{"TableName":"t","Key":{"pk":{"S":"b"}},"UpdateExpression":"SET #0 = :0","##,
                r##""ExpressionAttributeNames":{"#0":"n"},"ExpressionAttributeValues":{":0":{"N":"1"}}}},"##,
                r##"{"Delete":{"TableName":"t","Key":{"pk":{"S":"c"}}}},"##,
                r##"{"ConditionCheck":{"TableName":"t","Key":{"pk":{"S":"d"}},"##,
                r##""ConditionExpression":"attribute_exists(#0)","ExpressionAttributeNames":{"#0":"pk"}}}"##,
                r##"],"ClientRequestToken":"token"}"##
            )
        );
        assert_eq!(read_answer::<TransactWriteItems>(200, None, b"{}"), Ok(()));
    }

    #[test]
    fn transactions_are_taken_to_their_bounds_and_not_beyond() {
        let put = |bytes: usize| {
            let item = Map::from([("a", "x".repeat(bytes - 1))]);
            TransactAction::Put(PutItem {
                table: "t".into(),
                item,
                ..PutItem::default()
            })
        };
        let made = |actions: Vec<TransactAction>, token: &str| {
            TransactWriteItems {
                token: Some(token.to_owned()),
                actions,
            }
            .request()
            .map(drop)
        };
        assert_eq!(made(vec![put(2); 100], "t"), Ok(()));
        assert!(matches!(
            made(vec![put(2); 101], "t"),
            Err(RequestError::TooLarge {
                actual: 101,
                max: 100,
                ..
            })
        ));
        assert_eq!(made(vec![put(2)], &"x".repeat(36)), Ok(()));
        assert!(matches!(
            made(vec![put(2)], &"x".repeat(37)),
            Err(RequestError::TooLarge {
                actual: 37,
                max: 36,
                ..
            })
        ));
        let quarter = 4 * 1024 * 1024 / 16;
        assert_eq!(made(vec![put(quarter); 16], "t"), Ok(()));
        let mut over = vec![put(quarter); 16];
        over[0] = put(quarter + 1);
        assert!(matches!(
            made(over, "t"),
            Err(RequestError::TooLarge {
                what: "a transaction",
                ..
            })
        ));
        assert_eq!(made(vec![], "t"), Err(RequestError::Empty("a transaction")));
    }
}
