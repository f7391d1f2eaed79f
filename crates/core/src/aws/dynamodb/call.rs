//! What all operations have in common.

use super::bounds::{RequestError, check_body};
use crate::aws::ServiceError;
use crate::value::attribute::{AttributeError, item_from_json};
use crate::value::json::{self, JsonError};
use crate::value::{Map, Value};

/// The content type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// One call of DynamoDB.
pub trait Operation {
    /// The value of the header `X-Amz-Target`.
    const TARGET: &'static str;
    /// What a good answer holds.
    type Output;

    /// The body of the request: equal operations give equal texts.
    ///
    /// # Errors
    /// When a bound of the service is passed.
    fn body(&self) -> Result<String, RequestError>;

    /// Reads a good answer.
    ///
    /// # Errors
    /// When the answer does not have the form of this operation.
    fn output(answer: Map) -> Result<Self::Output, AnswerError>;

    /// The request to send: `POST /` with [`CONTENT_TYPE`], signed for `dynamodb`.
    ///
    /// # Errors
    /// When a bound of the service is passed.
    fn request(&self) -> Result<Request, RequestError> {
        let body = self.body()?;
        check_body(&body)?;
        Ok(Request {
            target: Self::TARGET.to_owned(),
            body,
        })
    }
}

/// A request as it is sent, and sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The value of the header `X-Amz-Target`.
    pub target: String,
    /// The JSON text.
    pub body: String,
}

/// Reads the answer of an operation: its status, `x-amzn-ErrorType` and body.
///
/// # Errors
/// What the service refused or failed to do, or that the answer is not one of this operation.
pub fn read_answer<O: Operation>(
    status: u16,
    type_header: Option<&str>,
    body: &[u8],
) -> Result<O::Output, CallError> {
    if status != 200 {
        return Err(ServiceError::read(status, type_header, body).into());
    }
    let answer = json::parse_bytes(body).map_err(AnswerError::from)?;
    let kind = answer.kind();
    let answer = answer
        .into_map()
        .ok_or(AnswerError::Form("the answer", kind))?;
    Ok(O::output(answer)?)
}

/// Why a call has no good answer, once some answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The service said why.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The status is good and the body is not: whether a write was applied is unknown.
    #[error("an answer with status 200 that is not DynamoDB's: {0}")]
    Answer(#[from] AnswerError),
}

/// Why a good answer cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An item in it is not in AttributeValue JSON.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// A part is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A part has another form.
    #[error("{0} is a {1}, which is not its form")]
    Form(&'static str, &'static str),
}

/// Takes an item out of an answer.
pub(super) fn take_item(answer: &mut Map, name: &'static str) -> Result<Option<Map>, AnswerError> {
    Ok(answer
        .remove(name)
        .filter(|value| !value.is_null())
        .map(item_from_json)
        .transpose()?)
}

/// Takes a list of items out of an answer; none is as good as an empty one.
pub(super) fn take_items(answer: &mut Map, name: &'static str) -> Result<Vec<Map>, AnswerError> {
    take_list(answer, name)?
        .into_iter()
        .map(|item| Ok(item_from_json(item)?))
        .collect()
}

/// Takes a list out of an answer; none is as good as an empty one.
pub(super) fn take_list(answer: &mut Map, name: &'static str) -> Result<Vec<Value>, AnswerError> {
    match answer.remove(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(list)) => Ok(list),
        Some(other) => Err(AnswerError::Form(name, other.kind())),
    }
}
