//! Methods and paths of operations of the REST protocols, as far as a device has use for them.

use super::request::HttpRequest;
use crate::aws::sigv4::encode_uri;
use crate::value::{Map, Value, json};
use Place::{Header, Query};

/// How one operation of a REST service travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The service.
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path with `{Member}` for what is put in, and `{Member+}` where slashes stay.
    pub path: &'static str,
    /// What always stands in the query.
    pub query: &'static str,
    /// Where members stand that are neither in the path nor in the body.
    pub members: &'static [(&'static str, Place)],
    /// The one member that is the body; without it, the body holds all members left.
    pub payload: Option<&'static str>,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query, under this name.
    Query(&'static str),
    /// In a field of this name.
    Header(&'static str),
}

impl Binding {
    /// The binding of an operation.
    pub fn find(service: &str, operation: &str) -> Option<&'static Binding> {
        BINDINGS
            .iter()
            .find(|binding| binding.service == service && binding.operation == operation)
    }

    /// All of them.
    pub const fn all() -> &'static [Binding] {
        BINDINGS
    }

    /// The request for these members, or the member of the path that is missing.
    pub(super) fn request(&self, members: &Map) -> Result<HttpRequest, &'static str> {
        let mut left = members.clone();
        let mut request = HttpRequest::new(self.method, self.fill_path(&mut left)?);
        self.query.clone_into(&mut request.query);
        for (member, place) in self.members {
            let Some(text) = left.remove(member).as_ref().and_then(plain_text) else {
                continue;
            };
            request = match place {
                Query(name) => request.with_parameter(name, &text),
                Header(name) => request.with_header(name, text),
            };
        }
        match self.payload {
            Some(member) => {
                if let Some(payload) = left.remove(member) {
                    request.body = payload_bytes(payload);
                }
            }
            None if !left.is_empty() => {
                let mut body = String::new();
                json::write_map(&left, &mut body);
                request.body = body.into_bytes();
                request = request.with_header("content-type", "application/json");
            }
            None => {}
        }
        Ok(request)
    }

    /// Takes the members of the path out of `members`.
    fn fill_path(&self, members: &mut Map) -> Result<String, &'static str> {
        let mut path = String::new();
        let mut rest = self.path;
        while let Some((before, after)) = rest.split_once('{') {
            let (label, after) = after.split_once('}').expect("the table closes its braces");
            let member = label.trim_end_matches('+');
            let value = members.remove(member);
            let text = value
                .as_ref()
                .and_then(plain_text)
                .filter(|text| !text.is_empty())
                .ok_or(member)?;
            path.push_str(before);
            if label.ends_with('+') {
                let parts: Vec<String> = text.split('/').map(encode_uri).collect();
                path.push_str(&parts.join("/"));
            } else {
                path.push_str(&encode_uri(&text));
            }
            rest = after;
        }
        Ok(path + rest)
    }
}

/// What can stand in a path, a query or a field.
fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A text is its own payload; anything else is sent as JSON.
fn payload_bytes(payload: Value) -> Vec<u8> {
    match payload {
        Value::String(text) => text.into_bytes(),
        Value::Binary(bytes) => bytes,
        other => other.to_json().into_bytes(),
    }
}

const fn bind(
    service: &'static str,
    operation: &'static str,
    method: &'static str,
    path: &'static str,
    members: &'static [(&'static str, Place)],
) -> Binding {
    Binding {
        service,
        operation,
        method,
        path,
        query: "",
        members,
        payload: None,
    }
}

const fn with_payload(binding: Binding, payload: &'static str) -> Binding {
    Binding {
        payload: Some(payload),
        ..binding
    }
}

const fn with_query(binding: Binding, query: &'static str) -> Binding {
    Binding { query, ..binding }
}

const SHADOW: &[(&str, Place)] = &[("shadowName", Query("name"))];

const BINDINGS: &[Binding] = &[
    bind(
        "cloudtrail-data",
        "PutAuditEvents",
        "POST",
        "/PutAuditEvents",
        &[
            ("channelArn", Query("channelArn")),
            ("externalId", Query("externalId")),
        ],
    ),
    bind(
        "iot",
        "DescribeEndpoint",
        "GET",
        "/endpoint",
        &[("endpointType", Query("endpointType"))],
    ),
    bind("iot", "DescribeThing", "GET", "/things/{thingName}", &[]),
    bind(
        "iot",
        "ListThings",
        "GET",
        "/things",
        &[
            ("attributeName", Query("attributeName")),
            ("attributeValue", Query("attributeValue")),
            ("maxResults", Query("maxResults")),
            ("nextToken", Query("nextToken")),
            ("thingTypeName", Query("thingTypeName")),
            ("usePrefixAttributeValue", Query("usePrefixAttributeValue")),
        ],
    ),
    bind(
        "iot-data",
        "DeleteThingShadow",
        "DELETE",
        "/things/{thingName}/shadow",
        SHADOW,
    ),
    bind(
        "iot-data",
        "GetRetainedMessage",
        "GET",
        "/retainedMessage/{topic}",
        &[],
    ),
    bind(
        "iot-data",
        "GetThingShadow",
        "GET",
        "/things/{thingName}/shadow",
        SHADOW,
    ),
    bind(
        "iot-data",
        "ListNamedShadowsForThing",
        "GET",
        "/api/things/shadow/ListNamedShadowsForThing/{thingName}",
        &[
            ("nextToken", Query("nextToken")),
            ("pageSize", Query("pageSize")),
        ],
    ),
    bind(
        "iot-data",
        "ListRetainedMessages",
        "GET",
        "/retainedMessage",
        &[
            ("maxResults", Query("maxResults")),
            ("nextToken", Query("nextToken")),
        ],
    ),
    with_payload(
        bind(
            "iot-data",
            "Publish",
            "POST",
            "/topics/{topic}",
            &[
                ("contentType", Query("contentType")),
                ("correlationData", Header("x-amz-mqtt5-correlation-data")),
                ("messageExpiry", Query("messageExpiry")),
                (
                    "payloadFormatIndicator",
                    Header("x-amz-mqtt5-payload-format-indicator"),
                ),
                ("qos", Query("qos")),
                ("responseTopic", Query("responseTopic")),
                ("retain", Query("retain")),
                ("userProperties", Header("x-amz-mqtt5-user-properties")),
            ],
        ),
        "payload",
    ),
    with_payload(
        bind(
            "iot-data",
            "UpdateThingShadow",
            "POST",
            "/things/{thingName}/shadow",
            SHADOW,
        ),
        "payload",
    ),
    with_payload(
        bind(
            "lambda",
            "Invoke",
            "POST",
            "/2015-03-31/functions/{FunctionName}/invocations",
            &[
                ("ClientContext", Header("x-amz-client-context")),
                ("InvocationType", Header("x-amz-invocation-type")),
                ("LogType", Header("x-amz-log-type")),
                ("Qualifier", Query("Qualifier")),
            ],
        ),
        "Payload",
    ),
    bind(
        "lambda",
        "ListFunctions",
        "GET",
        "/2015-03-31/functions",
        &[
            ("FunctionVersion", Query("FunctionVersion")),
            ("Marker", Query("Marker")),
            ("MasterRegion", Query("MasterRegion")),
            ("MaxItems", Query("MaxItems")),
        ],
    ),
    bind(
        "s3",
        "DeleteObject",
        "DELETE",
        "/{Bucket}/{Key+}",
        &[("VersionId", Query("versionId"))],
    ),
    with_query(
        bind("s3", "GetBucketLocation", "GET", "/{Bucket}", &[]),
        "location",
    ),
    bind("s3", "HeadBucket", "HEAD", "/{Bucket}", &[]),
    bind(
        "s3",
        "ListBuckets",
        "GET",
        "/",
        &[
            ("BucketRegion", Query("bucket-region")),
            ("ContinuationToken", Query("continuation-token")),
            ("MaxBuckets", Query("max-buckets")),
            ("Prefix", Query("prefix")),
        ],
    ),
    with_query(
        bind(
            "s3",
            "ListMultipartUploads",
            "GET",
            "/{Bucket}",
            &[
                ("Delimiter", Query("delimiter")),
                ("EncodingType", Query("encoding-type")),
                ("KeyMarker", Query("key-marker")),
                ("MaxUploads", Query("max-uploads")),
                ("Prefix", Query("prefix")),
                ("UploadIdMarker", Query("upload-id-marker")),
            ],
        ),
        "uploads",
    ),
    with_query(
        bind(
            "s3",
            "ListObjectsV2",
            "GET",
            "/{Bucket}",
            &[
                ("ContinuationToken", Query("continuation-token")),
                ("Delimiter", Query("delimiter")),
                ("EncodingType", Query("encoding-type")),
                ("FetchOwner", Query("fetch-owner")),
                ("MaxKeys", Query("max-keys")),
                ("Prefix", Query("prefix")),
                ("StartAfter", Query("start-after")),
            ],
        ),
        "list-type=2",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn request(service: &str, operation: &str, text: &str) -> Result<HttpRequest, &'static str> {
        let members = json::parse(text).unwrap();
        let binding = Binding::find(service, operation).unwrap();
        binding.request(members.as_map().unwrap())
    }

    #[test]
    fn members_go_where_the_operation_wants_them() {
        let publish = request(
            "iot-data",
            "Publish",
            r#"{"topic":"a/b","qos":1,"payload":{"x":1},"userProperties":"e30="}"#,
        )
        .unwrap();
        assert_eq!(
            publish,
            HttpRequest {
                method: "POST",
                path: "/topics/a%2Fb".into(),
                query: "qos=1".into(),
                headers: vec![("x-amz-mqtt5-user-properties", "e30=".into())],
                body: br#"{"x":1}"#.to_vec(),
            }
        );
        let list = request("s3", "ListObjectsV2", r#"{"Bucket":"b","Prefix":"a/"}"#).unwrap();
        assert_eq!(
            (list.path.as_str(), list.query.as_str()),
            ("/b", "list-type=2&prefix=a%2F")
        );
        let delete = request("s3", "DeleteObject", r#"{"Bucket":"b","Key":"a b/ä"}"#).unwrap();
        assert_eq!(delete.path, "/b/a%20b/%C3%A4");
        let events = request(
            "cloudtrail-data",
            "PutAuditEvents",
            r#"{"channelArn":"arn","auditEvents":[]}"#,
        )
        .unwrap();
        assert_eq!(events.query, "channelArn=arn");
        assert_eq!(events.body, br#"{"auditEvents":[]}"#);
    }

    #[test]
    fn a_path_is_not_left_with_a_gap() {
        assert_eq!(
            request("iot-data", "GetThingShadow", "{}"),
            Err("thingName")
        );
        assert_eq!(
            request("iot-data", "GetThingShadow", r#"{"thingName":""}"#),
            Err("thingName")
        );
        assert_eq!(Binding::find("s3", "CreateBucket"), None);
    }
}
