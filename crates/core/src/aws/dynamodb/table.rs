//! What a table is.

use super::body::Body;
use super::bounds::RequestError;
use super::call::{AnswerError, Operation, take_list};
use crate::value::{Map, Value};

/// Asks what a table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribeTable {
    /// The table.
    pub table: String,
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// Its name.
    pub name: String,
    /// Its full name in AWS.
    pub arn: String,
    /// Whether it can be used.
    pub status: TableStatus,
    /// Its key attributes.
    pub key: KeySchema,
    /// Its indexes, local ones first.
    pub indexes: Vec<IndexDescription>,
    /// The types of all key attributes, by name: `S`, `N` or `B`.
    pub attribute_types: Vec<(String, String)>,
}

/// Whether a table can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableStatus {
    /// It can.
    Active,
    /// It can, while it is being changed.
    Updating,
    /// It cannot: being made, deleted, archived or out of reach of its key; in AWS's words.
    Unusable(String),
}

/// The key attributes of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    /// The partition key's name.
    pub partition: String,
    /// The sort key's name, if there is one.
    pub sort: Option<String>,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDescription {
    /// Its name.
    pub name: String,
    /// Whether it is local: strongly consistent, with the partition key of the table.
    pub local: bool,
    /// Its key attributes.
    pub key: KeySchema,
}

impl Operation for DescribeTable {
    const TARGET: &'static str = "DynamoDB_20120810.DescribeTable";
    type Output = TableDescription;

    fn body(&self) -> Result<String, RequestError> {
        Ok(Body::new().text("TableName", &self.table).finish())
    }

    fn output(mut answer: Map) -> Result<TableDescription, AnswerError> {
        let table = answer.remove("Table").and_then(Value::into_map);
        let mut table = table.ok_or(AnswerError::Missing("Table"))?;
        let mut indexes = take_indexes(&mut table, "LocalSecondaryIndexes", true)?;
        indexes.extend(take_indexes(&mut table, "GlobalSecondaryIndexes", false)?);
        let types = take_list(&mut table, "AttributeDefinitions")?;
        Ok(TableDescription {
            name: text(&table, "TableName")?,
            arn: table.text("TableArn").unwrap_or_default().to_owned(),
            status: match text(&table, "TableStatus")?.as_str() {
                "ACTIVE" => TableStatus::Active,
                "UPDATING" => TableStatus::Updating,
                other => TableStatus::Unusable(other.to_owned()),
            },
            key: take_key(&mut table)?,
            indexes,
            attribute_types: types
                .iter()
                .filter_map(Value::as_map)
                .map(|one| Ok((text(one, "AttributeName")?, text(one, "AttributeType")?)))
                .collect::<Result<_, AnswerError>>()?,
        })
    }
}

fn take_indexes(
    table: &mut Map,
    name: &'static str,
    local: bool,
) -> Result<Vec<IndexDescription>, AnswerError> {
    let indexes = take_list(table, name)?
        .into_iter()
        .filter_map(Value::into_map);
    indexes
        .map(|mut index| {
            let key = take_key(&mut index)?;
            Ok(IndexDescription {
                name: text(&index, "IndexName")?,
                local,
                key,
            })
        })
        .collect()
}

fn take_key(fields: &mut Map) -> Result<KeySchema, AnswerError> {
    let elements = take_list(fields, "KeySchema")?;
    let of_type = |key_type: &str| {
        let mut elements = elements.iter().filter_map(Value::as_map);
        let found = elements.find(|element| element.text("KeyType") == Some(key_type))?;
        found.text("AttributeName").map(str::to_owned)
    };
    let partition = of_type("HASH").ok_or(AnswerError::Missing("KeySchema"))?;
    Ok(KeySchema {
        partition,
        sort: of_type("RANGE"),
    })
}

fn text(fields: &Map, name: &'static str) -> Result<String, AnswerError> {
    fields
        .text(name)
        .map(str::to_owned)
        .ok_or(AnswerError::Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::dynamodb::{CallError, read_answer};

    #[test]
    fn a_table_tells_its_keys_and_indexes() {
        let answer = br#"{"Table":{"TableName":"t","TableArn":"arn:t","TableStatus":"ACTIVE",
            "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"_u","AttributeType":"N"}],
            "KeySchema":[{"AttributeName":"sk","KeyType":"RANGE"},{"AttributeName":"pk","KeyType":"HASH"}],
            "CreationDateTime":1.7E9,"ItemCount":0,
            "GlobalSecondaryIndexes":[{"IndexName":"gs1","KeySchema":[{"AttributeName":"gs1pk","KeyType":"HASH"}]}],
            "LocalSecondaryIndexes":[{"IndexName":"byUpdate","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"_u","KeyType":"RANGE"}]}]}}"#;
        let key = |partition: &str, sort: Option<&str>| KeySchema {
            partition: partition.to_owned(),
            sort: sort.map(str::to_owned),
        };
        assert_eq!(
            read_answer::<DescribeTable>(200, None, answer),
            Ok(TableDescription {
                name: "t".into(),
                arn: "arn:t".into(),
                status: TableStatus::Active,
                key: key("pk", Some("sk")),
                indexes: vec![
                    IndexDescription {
                        name: "byUpdate".into(),
                        local: true,
                        key: key("pk", Some("_u"))
                    },
                    IndexDescription {
                        name: "gs1".into(),
                        local: false,
                        key: key("gs1pk", None)
                    },
                ],
                attribute_types: vec![("pk".into(), "S".into()), ("_u".into(), "N".into())],
            })
        );
    }

    #[test]
    fn an_answer_without_a_table_is_refused() {
        assert_eq!(
            read_answer::<DescribeTable>(200, None, b"{}"),
            Err(CallError::Answer(AnswerError::Missing("Table")))
        );
    }
}
