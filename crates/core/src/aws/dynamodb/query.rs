//! Queries, page by page.

use super::body::Body;
use super::bounds::RequestError;
use super::call::{AnswerError, Operation, take_item, take_items};
use super::expression::{Condition, Expressions, KeyCondition};
use crate::value::{Map, Value, binary};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// Reads items of one partition in the order of their sort keys, one page at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The table.
    pub table: String,
    /// The index to read instead of the table.
    pub index: Option<String>,
    /// Which items.
    pub key: KeyCondition,
    /// What items must fulfil to be returned; those that do not are read and paid for all the same.
    pub filter: Option<Condition>,
    /// The attributes wanted; none means all.
    pub projection: Vec<String>,
    /// Whether the answer must show every write that was acknowledged before.
    pub consistent: bool,
    /// Whether the greatest sort key comes first.
    pub reverse: bool,
    /// How many items a page reads at most; a page ends at 1 MB anyhow.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub start: Option<PageToken>,
}

impl Query {
    /// The first page of all attributes, as eventually consistent as DynamoDB is by default.
    pub fn new(table: impl Into<String>, key: KeyCondition) -> Query {
        Query {
            table: table.into(),
            index: None,
            key,
            filter: None,
            projection: Vec::new(),
            consistent: false,
            reverse: false,
            limit: None,
            start: None,
        }
    }
}

/// One page of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The items, filtered.
    pub items: Vec<Map>,
    /// Where the next page starts; `None` at the end. A page may be empty and not the last.
    pub next: Option<PageToken>,
}

/// Where a page of a query ended: the key of the last item read.
///
/// As text it is opaque, short and safe in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(Map);

/// A text that is no page token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a page token: take it from the page before, or leave it out")]
pub struct PageTokenError;

impl PageToken {
    /// The key of the last item read.
    pub const fn key(&self) -> &Map {
        &self.0
    }
}

impl From<Map> for PageToken {
    fn from(key: Map) -> PageToken {
        PageToken(key)
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        binary::encode_map(&self.0, &mut bytes);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for PageToken {
    type Err = PageTokenError;

    fn from_str(text: &str) -> Result<PageToken, PageTokenError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| PageTokenError)?;
        binary::decode_map(&bytes)
            .map(PageToken)
            .map_err(|_| PageTokenError)
    }
}

impl Operation for Query {
    const TARGET: &'static str = "DynamoDB_20120810.Query";
    type Output = Page;

    fn body(&self) -> Result<String, RequestError> {
        let expressions = Expressions::default()
            .key(&self.key)
            .filter(self.filter.as_ref())
            .projection(&self.projection)
            .checked()?;
        Ok(Body::new()
            .text("TableName", &self.table)
            .with(self.index.as_ref(), |body, index| {
                body.text("IndexName", index)
            })
            .expressions(&expressions)
            .flag("ConsistentRead", self.consistent)
            .flag("ScanIndexForward", !self.reverse)
            .with(self.limit, |body, limit| body.number("Limit", limit))
            .with(self.start.as_ref(), |body, start| {
                body.item("ExclusiveStartKey", &start.0)
            })
            .finish())
    }

    fn output(mut answer: Map) -> Result<Page, AnswerError> {
        if !matches!(answer.get("Items"), Some(Value::List(_))) {
            return Err(AnswerError::Missing("Items"));
        }
        let items = take_items(&mut answer, "Items")?;
        let last = take_item(&mut answer, "LastEvaluatedKey")?;
        Ok(Page {
            items,
            next: last.filter(|key| !key.is_empty()).map(PageToken),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::dynamodb::read_answer;

    #[test]
    fn a_query_is_written_out() {
        let key = KeyCondition::partition("pk", "a").begins_with("sk", "Metric#");
        let mut query = Query::new("t", key);
        assert_eq!(
            query.body().unwrap(),
            concat!(
                r##"{"TableName":"t","KeyConditionExpression":"#0 = :0 AND begins_with(#1, :1)","##,
                r##""ExpressionAttributeNames":{"#0":"pk","#1":"sk"},"##,
                r##""ExpressionAttributeValues":{":0":{"S":"a"},":1":{"S":"Metric#"}},"##,
                r##""ConsistentRead":false,"ScanIndexForward":true}"##
            )
        );
        query.index = Some("byUpdate".into());
        query.key = KeyCondition::partition("pk", "a").greater("_u", 5);
        query.filter = Some(Condition::exists("_v"));
        query.projection = vec!["_v".into(), "_m".into()];
        query.consistent = true;
        query.reverse = true;
        query.limit = Some(10);
        query.start = Some(Map::from([("pk", "a")]).into());
        assert_eq!(
            query.body().unwrap(),
            concat!(
                r##"{"TableName":"t","IndexName":"byUpdate","KeyConditionExpression":"#0 = :0 AND #1 > :1","##,
                r##""FilterExpression":"attribute_exists(#2)","ProjectionExpression":"#2, #3","##,
                r##""ExpressionAttributeNames":{"#0":"pk","#1":"_u","#2":"_v","#3":"_m"},"##,
                r##""ExpressionAttributeValues":{":0":{"S":"a"},":1":{"N":"5"}},"##,
                r##""ConsistentRead":true,"ScanIndexForward":false,"Limit":10,"##,
                r##""ExclusiveStartKey":{"pk":{"S":"a"}}}"##
            )
        );
    }

    #[test]
    fn a_page_says_where_the_next_one_starts() {
        let body = br#"{"Items":[{"pk":{"S":"a"}}],"Count":1,"ScannedCount":1,"LastEvaluatedKey":{"pk":{"S":"a"}}}"#;
        let page = read_answer::<Query>(200, None, body).unwrap();
        assert_eq!(page.items, [Map::from([("pk", "a")])]);
        let token = page.next.unwrap();
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!(token.key(), &Map::from([("pk", "a")]));

        let page = read_answer::<Query>(200, None, br#"{"Items":[],"Count":0}"#).unwrap();
        assert_eq!(page, Page::default());
        assert!(read_answer::<Query>(200, None, b"{}").is_err());
    }

    #[test]
    fn what_is_no_page_token_is_refused() {
        for text in ["*", "AQ", "x y", "AAAA"] {
            assert_eq!(text.parse::<PageToken>(), Err(PageTokenError), "{text}");
        }
    }
}
