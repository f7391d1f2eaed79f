//! Any operation of any known service, by names and values.

use super::bindings::Binding;
use super::form::{to_form, xml_value};
use super::request::{HttpAnswer, HttpRequest};
use super::service::{Protocol, Service};
use super::xml::{Element, XmlError};
use crate::aws::ServiceError;
use crate::value::json::JsonError;
use crate::value::{Map, Value, json};

/// One call of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    service: &'static Service,
    operation: String,
    parameters: Map,
}

/// Why a call cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallRefused {
    /// The service is not in the table.
    #[error("no service {name:?} is known{}", suggestion(*.nearest))]
    Service {
        /// What was asked for.
        name: String,
        /// A service that is called nearly so.
        nearest: Option<&'static str>,
    },
    /// A name with other characters than letters and digits.
    #[error("{0:?} is no name of an operation; one looks like ListTables")]
    Operation(String),
    /// A REST service whose operation is not in the table.
    #[error(
        "how {service} wants {operation} is not known here: it speaks REST, where each operation \
         has a method and a path of its own; give these with --sigv4 instead"
    )]
    Binding {
        /// The service.
        service: &'static str,
        /// The operation.
        operation: String,
    },
    /// A parameter that stands in the path is missing.
    #[error("{operation} needs {member}")]
    Member {
        /// The operation.
        operation: String,
        /// What is missing.
        member: &'static str,
    },
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallFailed {
    /// The service said why.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The status is good and the body is no JSON.
    #[error("a good status with a body that is no JSON: {0}")]
    Json(#[from] JsonError),
    /// The status is good and the body is no XML.
    #[error("a good status with a body that is no XML: {0}")]
    Xml(#[from] XmlError),
}

impl Call {
    /// A call of an operation with its parameters, both named as in AWS's API reference.
    ///
    /// # Errors
    /// When the service or the operation cannot be.
    pub fn new(service: &str, operation: &str, parameters: Map) -> Result<Call, CallRefused> {
        let found = Service::find(service).ok_or_else(|| CallRefused::Service {
            name: service.to_owned(),
            nearest: crate::nearest::nearest(
                service,
                Service::all().iter().map(|service| service.name),
            ),
        })?;
        let letters = operation.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if operation.is_empty() || !letters {
            return Err(CallRefused::Operation(operation.to_owned()));
        }
        Ok(Call {
            service: found,
            operation: operation.to_owned(),
            parameters,
        })
    }

    /// The same call with one more parameter, or another value for it.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: impl Into<Value>) -> Call {
        self.parameters.insert(name, value);
        self
    }

    /// The service.
    pub const fn service(&self) -> &'static Service {
        self.service
    }

    /// The request to send, relative to the endpoint.
    ///
    /// # Errors
    /// When the operation of a REST service is not known, or a part of its path is missing.
    pub fn request(&self) -> Result<HttpRequest, CallRefused> {
        match self.service.protocol {
            Protocol::Json { version, target } => Ok(json_request(
                version,
                format!("{target}.{}", self.operation),
                &self.parameters,
            )),
            Protocol::Query { version } => {
                Ok(query_request(version, &self.operation, &self.parameters))
            }
            Protocol::RestJson | Protocol::RestXml => {
                let binding = Binding::find(self.service.name, &self.operation);
                let binding = binding.ok_or_else(|| CallRefused::Binding {
                    service: self.service.name,
                    operation: self.operation.clone(),
                })?;
                let request = binding.request(&self.parameters);
                request.map_err(|member| CallRefused::Member {
                    operation: self.operation.clone(),
                    member,
                })
            }
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What the service refused or failed to do, or that the answer is not in its form.
    pub fn answer(&self, answer: HttpAnswer<'_>) -> Result<Value, CallFailed> {
        if !answer.is_success() {
            return Err(ServiceError::of_answer(self.service.protocol, answer).into());
        }
        if answer.body.is_empty() {
            return Ok(Value::Map(Map::default()));
        }
        match self.service.protocol {
            Protocol::Json { .. } => Ok(json::parse_bytes(answer.body)?),
            Protocol::RestJson => Ok(json_or_payload(answer.body)),
            Protocol::Query { .. } => {
                let root = Element::parse(answer.body)?;
                let result = root.child(&format!("{}Result", self.operation));
                Ok(xml_value(result.unwrap_or(&root)))
            }
            Protocol::RestXml => Ok(xml_value(&Element::parse(answer.body)?)),
        }
    }

    /// The call for the page after `answer`; `None` after the last one.
    pub fn next_page(&self, answer: &Value) -> Option<Call> {
        let answer = answer.as_map()?;
        if answer.text("IsTruncated") == Some("false") {
            return None;
        }
        let (input, token) = PAGE_TOKENS.iter().find_map(|(output, input)| {
            let token = answer.get(output)?;
            let empty = token.is_null() || token.as_str() == Some("");
            (!empty).then(|| (*input, token.clone()))
        })?;
        // A service that answers with the token it was given would be asked for ever.
        if self.parameters.get(input) == Some(&token) {
            return None;
        }
        Some(self.clone().with_parameter(input, token))
    }
}

/// Where answers hold the token of the next page, and where requests take it.
const PAGE_TOKENS: &[(&str, &str)] = &[
    ("NextToken", "NextToken"),
    ("nextToken", "nextToken"),
    ("LastEvaluatedKey", "ExclusiveStartKey"),
    ("LastEvaluatedTableName", "ExclusiveStartTableName"),
    ("LastEvaluatedShardId", "ExclusiveStartShardId"),
    ("LastEvaluatedStreamArn", "ExclusiveStartStreamArn"),
    ("NextContinuationToken", "ContinuationToken"),
    ("ContinuationToken", "ContinuationToken"),
    ("nextForwardToken", "nextToken"),
    ("nextMarker", "marker"),
    ("NextMarker", "Marker"),
    ("Marker", "Marker"),
];

/// A request of the protocols JSON 1.0 and 1.1.
pub(in crate::aws) fn json_request(version: &str, target: String, parameters: &Map) -> HttpRequest {
    let mut body = String::new();
    json::write_map(parameters, &mut body);
    let mut request = HttpRequest::new("POST", "/")
        .with_header("content-type", format!("application/x-amz-json-{version}"))
        .with_header("x-amz-target", target);
    request.body = body.into_bytes();
    request
}

/// A request of the query protocol.
pub(in crate::aws) fn query_request(
    version: &str,
    operation: &str,
    parameters: &Map,
) -> HttpRequest {
    let form = to_form(parameters);
    let separator = if form.is_empty() { "" } else { "&" };
    let mut request = HttpRequest::new("POST", "/").with_header(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    request.body = format!("Action={operation}&Version={version}{separator}{form}").into_bytes();
    request
}

/// An answer may be a payload of the caller's own, such as what a function returned.
fn json_or_payload(body: &[u8]) -> Value {
    json::parse_bytes(body).unwrap_or_else(|_| match str::from_utf8(body) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => Value::Binary(body.to_vec()),
    })
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map_or(String::new(), |name| format!("; is it {name:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::ServiceErrorKind;

    fn call(service: &str, operation: &str, parameters: &str) -> Call {
        let parameters = json::parse(parameters).unwrap().into_map().unwrap();
        Call::new(service, operation, parameters).unwrap()
    }

    fn good(body: &str) -> HttpAnswer<'_> {
        HttpAnswer {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        }
    }

    #[test]
    fn each_protocol_has_its_request() {
        let json = call("logs", "PutLogEvents", r#"{"logGroupName":"g"}"#);
        assert_eq!(
            json.request(),
            Ok(HttpRequest {
                method: "POST",
                path: "/".into(),
                query: String::new(),
                headers: vec![
                    ("content-type", "application/x-amz-json-1.1".into()),
                    ("x-amz-target", "Logs_20140328.PutLogEvents".into()),
                ],
                body: br#"{"logGroupName":"g"}"#.to_vec(),
            })
        );
        let query = call("sts", "AssumeRole", r#"{"RoleArn":"arn:x"}"#);
        let request = query.request().unwrap();
        assert_eq!(
            request.body,
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Ax"
        );
        assert!(
            request
                .header("content-type")
                .unwrap()
                .contains("urlencoded")
        );
        let rest = call(
            "iot-data",
            "GetThingShadow",
            r#"{"thingName":"t","shadowName":"s"}"#,
        );
        let request = rest.request().unwrap();
        assert_eq!(
            (
                request.method,
                request.path.as_str(),
                request.query.as_str()
            ),
            ("GET", "/things/t/shadow", "name=s")
        );
    }

    #[test]
    fn each_protocol_has_its_answer() {
        let answer = |call: &Call, body: &str| call.answer(good(body)).unwrap().to_json();
        let dynamo = call("dynamodb", "ListTables", "{}");
        assert_eq!(
            answer(&dynamo, r#"{"TableNames":["t"]}"#),
            r#"{"TableNames":["t"]}"#
        );
        let sts = call("sts", "GetCallerIdentity", "{}");
        let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account>\
                    </GetCallerIdentityResult><ResponseMetadata/></GetCallerIdentityResponse>";
        assert_eq!(answer(&sts, body), r#"{"Account":"1"}"#);
        let s3 = call("s3", "ListBuckets", "{}");
        let body = "<R><Buckets><Bucket><Name>b</Name></Bucket></Buckets></R>";
        assert_eq!(answer(&s3, body), r#"{"Buckets":{"Bucket":{"Name":"b"}}}"#);
        let lambda = call("lambda", "Invoke", r#"{"FunctionName":"f"}"#);
        assert_eq!(answer(&lambda, "plain"), r#""plain""#);
        assert_eq!(answer(&lambda, ""), "{}");
    }

    #[test]
    fn each_protocol_has_its_errors() {
        let refused = |call: &Call, headers: &[(&str, &str)], body: &str| {
            let answer = HttpAnswer {
                status: 400,
                headers,
                body: body.as_bytes(),
            };
            match call.answer(answer).unwrap_err() {
                CallFailed::Service(error) => (error.kind, error.code, error.message),
                other => panic!("{other}"),
            }
        };
        let throttled = |message: &str| {
            (
                ServiceErrorKind::Throttled,
                "ThrottlingException".to_owned(),
                message.to_owned(),
            )
        };
        let json = call("logs", "PutLogEvents", "{}");
        assert_eq!(
            refused(
                &json,
                &[],
                r#"{"__type":"ThrottlingException","message":"slow"}"#
            ),
            throttled("slow")
        );
        let rest = call("iot-data", "GetThingShadow", r#"{"thingName":"t"}"#);
        let header = [("X-Amzn-ErrorType", "ThrottlingException:http://x/")];
        assert_eq!(
            refused(&rest, &header, r#"{"message":"slow"}"#),
            throttled("slow")
        );
        assert_eq!(
            refused(
                &rest,
                &[],
                r#"{"code":"ThrottlingException","message":"slow"}"#
            ),
            throttled("slow")
        );
        let query = call("cloudwatch", "PutMetricData", "{}");
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>\
                    <Message>slow</Message></Error><RequestId>1</RequestId></ErrorResponse>";
        assert_eq!(refused(&query, &[], body).0, ServiceErrorKind::Throttled);
        let s3 = call("s3", "ListBuckets", "{}");
        let body = "<Error><Code>SlowDown</Code><Message>slow</Message></Error>";
        assert_eq!(
            refused(&s3, &[], body),
            (
                ServiceErrorKind::Throttled,
                "SlowDown".into(),
                "slow".into()
            )
        );
    }

    #[test]
    fn pages_follow_by_their_tokens_until_there_is_none() {
        let first = call("dynamodb", "Scan", r#"{"TableName":"t"}"#);
        let answer = json::parse(r#"{"Items":[],"LastEvaluatedKey":{"pk":{"S":"a"}}}"#).unwrap();
        let second = first.next_page(&answer).unwrap();
        assert_eq!(
            second.request().unwrap().body,
            br#"{"ExclusiveStartKey":{"pk":{"S":"a"}},"TableName":"t"}"#
        );
        assert_eq!(second.next_page(&answer), None);
        for last in [
            r#"{"Items":[]}"#,
            r#"{"NextToken":null}"#,
            r#"{"NextToken":""}"#,
            "[]",
        ] {
            assert_eq!(first.next_page(&json::parse(last).unwrap()), None, "{last}");
        }
        let list = call("s3", "ListObjectsV2", r#"{"Bucket":"b"}"#);
        let body = "<R><IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken></R>";
        let answer = list.answer(good(body)).unwrap();
        let next = list.next_page(&answer).unwrap().request().unwrap();
        assert_eq!(next.query, "list-type=2&continuation-token=n");
        let body = "<R><IsTruncated>false</IsTruncated><Marker>m</Marker></R>";
        let answer = list.answer(good(body)).unwrap();
        assert_eq!(list.next_page(&answer), None);
    }

    #[test]
    fn what_cannot_be_called_is_named() {
        let refused = |service: &str, operation: &str| {
            let call = Call::new(service, operation, Map::default());
            let error = call.and_then(|call| call.request()).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            refused("dynamo", "ListTables"),
            "no service \"dynamo\" is known; is it \"dynamodb\"?"
        );
        assert_eq!(
            refused("logs", "A\r\nx: y"),
            "\"A\\r\\nx: y\" is no name of an operation; one looks like ListTables"
        );
        assert!(
            refused("s3", "CreateBucket").starts_with("how s3 wants CreateBucket is not known")
        );
        assert_eq!(
            refused("iot-data", "GetThingShadow"),
            "GetThingShadow needs thingName"
        );
    }
}
