//! Calls that do many small things at once, each with its own result.

use super::body::Body;
use super::bounds::{
    RequestError, check_count, check_depth, check_item, check_key, check_statement,
};
use super::call::{AnswerError, Operation, take_item, take_items, take_list};
use super::expression::Expressions;
use super::item::on_failure;
use crate::aws::{CancelReason, ServiceError};
use crate::limits;
use crate::value::{Map, Value, attribute};
use std::fmt::Write as _;

/// Reads items by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchGetItem {
    /// The table.
    pub table: String,
    /// The keys, each of them once.
    pub keys: Vec<Map>,
    /// Whether the answer must show every write that was acknowledged before.
    pub consistent: bool,
    /// The attributes wanted; none means all.
    pub projection: Vec<String>,
}

/// What a batch read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batched {
    /// The items that exist, in no order.
    pub items: Vec<Map>,
    /// The keys that were not looked at: ask again, with a pause.
    pub unprocessed: Vec<Map>,
}

impl Operation for BatchGetItem {
    const TARGET: &'static str = "DynamoDB_20120810.BatchGetItem";
    type Output = Batched;

    fn body(&self) -> Result<String, RequestError> {
        check_count(
            "a batch of keys",
            self.keys.len(),
            limits::DYNAMODB_BATCH_GET_KEYS_MAX,
        )?;
        self.keys.iter().try_for_each(check_key)?;
        let expressions = Expressions::default()
            .projection(&self.projection)
            .checked()?;
        let request = Body::new()
            .list("Keys", self.keys.iter().map(attribute::to_attribute_json))
            .flag("ConsistentRead", self.consistent)
            .expressions(&expressions);
        Ok(Body::new()
            .object("RequestItems", Body::new().object(&self.table, request))
            .finish())
    }

    fn output(mut answer: Map) -> Result<Batched, AnswerError> {
        let mut batched = Batched::default();
        for (_, mut request) in take_tables(&mut answer, "UnprocessedKeys")? {
            let request = request.as_map_mut().ok_or(AnswerError::Missing("Keys"))?;
            batched.unprocessed.extend(take_items(request, "Keys")?);
        }
        for (_, items) in take_tables(&mut answer, "Responses")? {
            let mut table = Map::from([("Items", items)]);
            batched.items.extend(take_items(&mut table, "Items")?);
        }
        Ok(batched)
    }
}

/// Runs up to 25 PartiQL statements, which pass or fail one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchExecuteStatement {
    /// The statements; none may concern an item that another one concerns.
    pub statements: Vec<Statement>,
}

/// A PartiQL statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    text: String,
    parameters: Vec<Value>,
    /// Whether a failed condition brings the item as it is.
    pub item_on_failure: bool,
}

/// What became of one statement: the item it read, or why it failed.
pub type StatementResult = Result<Option<Map>, ServiceError>;

impl Statement {
    /// A statement with `?` for each parameter.
    pub fn new(text: impl Into<String>, parameters: Vec<Value>) -> Statement {
        Statement {
            text: text.into(),
            parameters,
            item_on_failure: false,
        }
    }

    /// Inserts an item if its key is free; otherwise the result is
    /// [`DuplicateItem`](super::ServiceErrorKind::DuplicateItem).
    ///
    /// # Errors
    /// When the item is too large.
    pub fn insert(table: &str, item: &Map) -> Result<Statement, RequestError> {
        check_item(item)?;
        let mut text = format!("INSERT INTO \"{}\" VALUE {{", table.replace('"', "\"\""));
        let mut parameters = Vec::with_capacity(item.len());
        for (name, value) in item {
            if matches!(value, Value::Set(set) if set.is_empty()) {
                continue;
            }
            let separator = if parameters.is_empty() { "" } else { ", " };
            write!(text, "{separator}'{}': ?", name.replace('\'', "''"))
                .expect("writing to a String does not fail");
            parameters.push(value.clone());
        }
        text.push('}');
        Ok(Statement::new(text, parameters))
    }

    fn checked_json(&self) -> Result<String, RequestError> {
        check_statement(&self.text)?;
        let mut parameters = Vec::with_capacity(self.parameters.len());
        for value in &self.parameters {
            check_depth("a parameter", value)?;
            let mut json = String::new();
            attribute::write_value(value, &mut json);
            parameters.push(json);
        }
        let parameters = (!parameters.is_empty()).then_some(parameters);
        let body = Body::new()
            .text("Statement", &self.text)
            .with(parameters, |body, parameters| {
                body.list("Parameters", parameters)
            });
        Ok(on_failure(body, self.item_on_failure).finish())
    }
}

impl Operation for BatchExecuteStatement {
    const TARGET: &'static str = "DynamoDB_20120810.BatchExecuteStatement";
    /// One result per statement, in their order.
    type Output = Vec<StatementResult>;

    fn body(&self) -> Result<String, RequestError> {
        let max = limits::DYNAMODB_BATCH_STATEMENTS_MAX;
        check_count("a batch of statements", self.statements.len(), max)?;
        let statements: Vec<String> = self
            .statements
            .iter()
            .map(Statement::checked_json)
            .collect::<Result<_, _>>()?;
        Ok(Body::new().list("Statements", statements).finish())
    }

    fn output(mut answer: Map) -> Result<Vec<StatementResult>, AnswerError> {
        let responses = take_list(&mut answer, "Responses")?;
        responses.into_iter().map(statement_result).collect()
    }
}

fn statement_result(response: Value) -> Result<StatementResult, AnswerError> {
    let kind = response.kind();
    let mut response = response
        .into_map()
        .ok_or(AnswerError::Form("a response", kind))?;
    let Some(error) = response.remove("Error").and_then(Value::into_map) else {
        return Ok(Ok(take_item(&mut response, "Item")?));
    };
    let reason = CancelReason::read(error);
    Ok(Err(ServiceError {
        kind: reason.kind.unwrap_or(super::ServiceErrorKind::Other),
        code: reason.code,
        message: reason.message,
    }))
}

fn take_tables(answer: &mut Map, name: &'static str) -> Result<Map, AnswerError> {
    match answer.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Map(tables)) => Ok(tables),
        Some(other) => Err(AnswerError::Form(name, other.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::dynamodb::{ServiceErrorKind, read_answer};
    use crate::value::Set;

    #[test]
    fn a_batch_of_keys_is_written_out_and_read_back() {
        let batch = BatchGetItem {
            table: "t".into(),
            keys: vec![Map::from([("pk", "a")]), Map::from([("pk", "b")])],
            consistent: true,
            projection: vec!["n".into()],
        };
        assert_eq!(
            batch.body().unwrap(),
            concat!(
                r##"{"RequestItems":{"t":{"Keys":[{"pk":{"S":"a"}},{"pk":{"S":"b"}}],"##,
                r##""ConsistentRead":true,"ProjectionExpression":"#0","##,
                r##""ExpressionAttributeNames":{"#0":"n"}}}}"##
            )
        );
        let answer = br#"{"Responses":{"t":[{"n":{"N":"1"}}]},
            "UnprocessedKeys":{"t":{"Keys":[{"pk":{"S":"b"}}],"ConsistentRead":true}}}"#;
        assert_eq!(
            read_answer::<BatchGetItem>(200, None, answer),
            Ok(Batched {
                items: vec![Map::from([("n", 1)])],
                unprocessed: vec![Map::from([("pk", "b")])],
            })
        );
    }

    #[test]
    fn an_insert_names_every_attribute_and_carries_every_value() {
        let item = Map::from([
            ("pk", Value::from("a")),
            ("it's", Value::from(1)),
            ("none", Value::from(Set::Strings([].into()))),
        ]);
        let statement = Statement::insert("ta\"ble", &item).unwrap();
        let batch = BatchExecuteStatement {
            statements: vec![statement],
        };
        assert_eq!(
            batch.body().unwrap(),
            concat!(
                r#"{"Statements":[{"Statement":"INSERT INTO \"ta\"\"ble\" VALUE {'it''s': ?, 'pk': ?}","#,
                r#""Parameters":[{"N":"1"},{"S":"a"}]}]}"#
            )
        );
    }

    #[test]
    fn every_statement_has_its_own_result() {
        let answer = br#"{"Responses":[
            {"TableName":"t"},
            {"TableName":"t","Item":{"n":{"N":"1"}}},
            {"Error":{"Code":"DuplicateItem","Message":"Duplicate primary key exists in table"}},
            {"Error":{"Code":"ThrottlingError","Message":"slow down"}},
            {"Error":{"Code":"ConditionalCheckFailed","Message":"","Item":{"n":{"N":"2"}}}},
            {"Error":{"Code":"ValidationError","Message":"bad"}}]}"#;
        let results = read_answer::<BatchExecuteStatement>(200, None, answer).unwrap();
        let kinds: Vec<Result<Option<Map>, ServiceErrorKind>> = results
            .into_iter()
            .map(|result| result.map_err(|error| error.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                Ok(None),
                Ok(Some(Map::from([("n", 1)]))),
                Err(ServiceErrorKind::DuplicateItem),
                Err(ServiceErrorKind::Throttled),
                Err(ServiceErrorKind::ConditionFailed {
                    item: Some(Map::from([("n", 2)]))
                }),
                Err(ServiceErrorKind::Validation),
            ]
        );
    }

    #[test]
    fn batches_are_taken_to_their_bounds_and_not_beyond() {
        let statements = |count: usize| {
            let insert = Statement::insert("t", &Map::from([("pk", "a")])).unwrap();
            BatchExecuteStatement {
                statements: vec![insert; count],
            }
            .request()
            .map(drop)
        };
        assert_eq!(statements(25), Ok(()));
        assert!(matches!(
            statements(26),
            Err(RequestError::TooLarge {
                actual: 26,
                max: 25,
                ..
            })
        ));
        assert_eq!(
            statements(0),
            Err(RequestError::Empty("a batch of statements"))
        );

        let keys = |count: usize| {
            let keys = vec![Map::from([("pk", "a")]); count];
            BatchGetItem {
                table: "t".into(),
                keys,
                ..BatchGetItem::default()
            }
            .request()
            .map(drop)
        };
        assert_eq!(keys(100), Ok(()));
        assert!(matches!(
            keys(101),
            Err(RequestError::TooLarge {
                actual: 101,
                max: 100,
                ..
            })
        ));

        let text = |length: usize| {
            let statements = vec![Statement::new("x".repeat(length), Vec::new())];
            BatchExecuteStatement { statements }.request().map(drop)
        };
        assert_eq!(text(8192), Ok(()));
        assert!(matches!(
            text(8193),
            Err(RequestError::TooLarge {
                what: "a statement",
                ..
            })
        ));
    }
}
