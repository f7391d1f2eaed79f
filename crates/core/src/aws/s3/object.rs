//! Single objects.

use super::{Bucket, ObjectKey, S3CallError, S3RequestError, succeeded, within};
use crate::aws::checksum::{Algorithm, Value};
use crate::aws::wire::{HttpAnswer, HttpRequest};
use crate::limits;

/// What a request is conditional on; tags are given as they came, with their quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The object is the one with this entity tag.
    Is(String),
    /// The object is another than the one with this tag: for reading what may have changed.
    IsNot(String),
    /// There is no such object yet.
    Absent,
}

impl Condition {
    fn apply(&self, request: HttpRequest) -> HttpRequest {
        match self {
            Condition::None => request,
            Condition::Is(tag) => request.with_header("if-match", tag.as_str()),
            Condition::IsNot(tag) => request.with_header("if-none-match", tag.as_str()),
            Condition::Absent => request.with_header("if-none-match", "*"),
        }
    }
}

/// Writes an object in one request; the body is sent by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutObject {
    /// The object.
    pub key: ObjectKey,
    /// The length of the body.
    pub length: u64,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The checksum, if it is known before the body; S3 refuses a body that has another.
    pub checksum: Option<Value>,
    /// When it is written.
    pub condition: Condition,
    /// Names without their prefix `x-amz-meta-`, in ASCII, and values.
    pub metadata: Vec<(String, String)>,
}

impl PutObject {
    /// A plain write.
    pub const fn new(key: ObjectKey, length: u64) -> PutObject {
        PutObject {
            key,
            length,
            content_type: None,
            checksum: None,
            condition: Condition::None,
            metadata: Vec::new(),
        }
    }

    /// The request, and the fields of metadata, whose names are the caller's.
    ///
    /// # Errors
    /// When the object is too large for one request, or its metadata.
    pub fn request(
        &self,
        bucket: &Bucket,
    ) -> Result<(HttpRequest, Vec<(String, String)>), S3RequestError> {
        let max = limits::S3_PUT_BYTES_MAX;
        within("an object in one request", self.length, (0, max), "bytes")?;
        let metadata = metadata_fields(&self.metadata)?;
        let request = bucket
            .object("PUT", &self.key)
            .with_header("content-length", self.length.to_string());
        let request = with_content_type(request, self.content_type.as_deref());
        let request = match self.checksum {
            Some(value) => request.with_header(value.algorithm().header(), value.base64()),
            None => request,
        };
        Ok((self.condition.apply(request), metadata))
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<Written, S3CallError> {
        Written::read(succeeded(answer)?)
    }
}

pub(super) fn with_content_type(request: HttpRequest, content_type: Option<&str>) -> HttpRequest {
    match content_type {
        Some(content_type) => request.with_header("content-type", content_type),
        None => request,
    }
}

pub(super) fn metadata_fields(
    metadata: &[(String, String)],
) -> Result<Vec<(String, String)>, S3RequestError> {
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let max = limits::S3_METADATA_BYTES_MAX as u64;
    within("the metadata of an object", bytes as u64, (0, max), "bytes")?;
    let field = |(name, value): &(String, String)| {
        (
            format!("x-amz-meta-{}", name.to_ascii_lowercase()),
            value.clone(),
        )
    };
    Ok(metadata.iter().map(field).collect())
}

/// What S3 says of an object or a part that it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The entity tag, with its quotes.
    pub etag: String,
    /// The version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The checksum that S3 computed or compared.
    pub checksum: Option<Value>,
}

impl Written {
    pub(super) fn read(answer: HttpAnswer<'_>) -> Result<Written, S3CallError> {
        let etag = answer.header("etag").ok_or(S3CallError::Missing("ETag"))?;
        Ok(Written {
            etag: etag.to_owned(),
            version: answer.header("x-amz-version-id").map(str::to_owned),
            checksum: checksum_of(answer),
        })
    }
}

/// The first checksum among the fields that is understood here; a composite one is not.
fn checksum_of(answer: HttpAnswer<'_>) -> Option<Value> {
    [Algorithm::Crc64Nvme, Algorithm::Crc32]
        .into_iter()
        .find_map(|algorithm| Value::parse(algorithm, answer.header(algorithm.header())?))
}

/// Reads an object; the body is received by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetObject {
    /// The object.
    pub key: ObjectKey,
    /// First and last byte, or from the first to the end.
    pub range: Option<(u64, Option<u64>)>,
    /// When it is read.
    pub condition: Condition,
    /// Which version of it.
    pub version: Option<String>,
}

impl GetObject {
    /// The whole object.
    pub const fn new(key: ObjectKey) -> GetObject {
        GetObject {
            key,
            range: None,
            condition: Condition::None,
            version: None,
        }
    }

    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        let request = bucket
            .object("GET", &self.key)
            .with_header("x-amz-checksum-mode", "ENABLED");
        let request = with_version(request, self.version.as_deref());
        let request = match self.range {
            Some((first, Some(last))) => {
                request.with_header("range", format!("bytes={first}-{last}"))
            }
            Some((first, None)) => request.with_header("range", format!("bytes={first}-")),
            None => request,
        };
        self.condition.apply(request)
    }

    /// Reads the fields of the answer; `None` when the object is not another than the condition
    /// names.
    ///
    /// # Errors
    /// What S3 refused or failed to do.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<Option<ObjectFields>, S3CallError> {
        if answer.status == 304 {
            return Ok(None);
        }
        ObjectFields::read(succeeded(answer)?).map(Some)
    }
}

/// Asks what an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadObject {
    /// The object.
    pub key: ObjectKey,
    /// Which version of it.
    pub version: Option<String>,
}

impl HeadObject {
    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        let request = bucket
            .object("HEAD", &self.key)
            .with_header("x-amz-checksum-mode", "ENABLED");
        with_version(request, self.version.as_deref())
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<ObjectFields, S3CallError> {
        ObjectFields::read(succeeded(answer)?)
    }
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFields {
    /// The entity tag, with its quotes.
    pub etag: String,
    /// How many bytes the body of this answer has, which may be a part of the object.
    pub content_length: Option<u64>,
    /// Which bytes these are, and of how many: `bytes 0-99/1000`.
    pub content_range: Option<String>,
    /// Its type.
    pub content_type: Option<String>,
    /// When it was written, as the server writes it.
    pub last_modified: Option<String>,
    /// The version, where the bucket keeps versions.
    pub version: Option<String>,
    /// The checksum of the whole object; S3 gives none with a part of it.
    pub checksum: Option<Value>,
    /// Names without their prefix, and values.
    pub metadata: Vec<(String, String)>,
}

impl ObjectFields {
    fn read(answer: HttpAnswer<'_>) -> Result<ObjectFields, S3CallError> {
        let text = |name: &str| answer.header(name).map(str::to_owned);
        let metadata = answer.headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix("x-amz-meta-")?;
            Some((name.to_owned(), (*value).to_owned()))
        });
        let length = answer.header("content-length");
        Ok(ObjectFields {
            etag: text("etag").ok_or(S3CallError::Missing("ETag"))?,
            content_length: length.and_then(|length| length.parse().ok()),
            content_range: text("content-range"),
            content_type: text("content-type"),
            last_modified: text("last-modified"),
            version: text("x-amz-version-id"),
            checksum: checksum_of(answer),
            metadata: metadata.collect(),
        })
    }
}

/// Removes an object, whether it exists or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteObject {
    /// The object.
    pub key: ObjectKey,
    /// Which version of it; without one, a bucket that keeps versions only hides it.
    pub version: Option<String>,
}

impl DeleteObject {
    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        with_version(bucket.object("DELETE", &self.key), self.version.as_deref())
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<(), S3CallError> {
        succeeded(answer)?;
        Ok(())
    }
}

fn with_version(request: HttpRequest, version: Option<&str>) -> HttpRequest {
    match version {
        Some(version) => request.with_parameter("versionId", version),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::ServiceErrorKind;
    use crate::aws::checksum::Checksum;
    use crate::aws::wire::EndpointOptions;

    fn bucket() -> Bucket {
        Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap()
    }

    fn key() -> ObjectKey {
        ObjectKey::new("k").unwrap()
    }

    fn answer<'a>(status: u16, headers: &'a [(&'a str, &'a str)]) -> HttpAnswer<'a> {
        HttpAnswer {
            status,
            headers,
            body: b"",
        }
    }

    #[test]
    fn a_put_carries_what_is_known_of_the_object() {
        let value = Checksum::of(Algorithm::Crc32, b"123456789");
        let put = PutObject {
            content_type: Some("text/plain".into()),
            checksum: Some(value),
            condition: Condition::Absent,
            metadata: vec![("Device".into(), "7".into())],
            ..PutObject::new(key(), 9)
        };
        let (request, metadata) = put.request(&bucket()).unwrap();
        assert_eq!((request.method, request.path.as_str()), ("PUT", "/k"));
        assert_eq!(
            request.headers,
            [
                ("content-length", "9".to_owned()),
                ("content-type", "text/plain".to_owned()),
                ("x-amz-checksum-crc32", "y/Q5Jg==".to_owned()),
                ("if-none-match", "*".to_owned()),
            ]
        );
        assert_eq!(metadata, [("x-amz-meta-device".to_owned(), "7".to_owned())]);
        let written = PutObject::answer(answer(
            200,
            &[("ETag", "\"e\""), ("x-amz-checksum-crc32", "y/Q5Jg==")],
        ));
        assert_eq!(
            written,
            Ok(Written {
                etag: "\"e\"".into(),
                version: None,
                checksum: Some(value),
            })
        );
    }

    #[test]
    fn a_single_request_takes_five_gibibytes_and_not_a_byte_more() {
        let put = |length| PutObject::new(key(), length).request(&bucket()).map(drop);
        assert_eq!(put(0), Ok(()));
        assert_eq!(put(5 << 30), Ok(()));
        assert_eq!(put((5 << 30) + 1).unwrap_err().actual, (5 << 30) + 1);
        let metadata = |bytes: usize| {
            PutObject {
                metadata: vec![("n".into(), "v".repeat(bytes - 1))],
                ..PutObject::new(key(), 0)
            }
            .request(&bucket())
            .map(drop)
        };
        assert_eq!(metadata(2048), Ok(()));
        assert_eq!(metadata(2049).unwrap_err().max, 2048);
    }

    #[test]
    fn an_object_is_read_in_part_and_on_conditions() {
        let get = GetObject {
            range: Some((5, None)),
            condition: Condition::IsNot("\"e\"".into()),
            version: Some("v 1".into()),
            ..GetObject::new(key())
        };
        let request = get.request(&bucket());
        assert_eq!(request.query, "versionId=v%201");
        assert_eq!(request.header("range"), Some("bytes=5-"));
        assert_eq!(request.header("if-none-match"), Some("\"e\""));
        let fields = GetObject::answer(answer(
            206,
            &[
                ("ETag", "\"e\""),
                ("Content-Length", "5"),
                ("Content-Range", "bytes 5-9/10"),
                ("X-Amz-Meta-Device", "7"),
                ("x-amz-checksum-crc32", "y/Q5Jg==-2"),
            ],
        ))
        .unwrap()
        .unwrap();
        assert_eq!(fields.content_length, Some(5));
        assert_eq!(fields.content_range.as_deref(), Some("bytes 5-9/10"));
        assert_eq!(fields.metadata, [("device".to_owned(), "7".to_owned())]);
        assert_eq!(fields.checksum, None);
        assert_eq!(GetObject::answer(answer(304, &[])), Ok(None));
    }

    #[test]
    fn what_is_not_there_is_told_apart_by_its_status() {
        let kind = |result: Result<(), S3CallError>| match result.unwrap_err() {
            S3CallError::Service(error) => error.kind,
            other => panic!("{other}"),
        };
        assert_eq!(
            kind(HeadObject::answer(answer(404, &[])).map(drop)),
            ServiceErrorKind::NoSuchResource
        );
        assert_eq!(
            kind(PutObject::answer(answer(412, &[])).map(drop)),
            ServiceErrorKind::PreconditionFailed
        );
        assert_eq!(DeleteObject::answer(answer(204, &[])), Ok(()));
        assert_eq!(
            HeadObject::answer(answer(200, &[])),
            Err(S3CallError::Missing("ETag"))
        );
    }
}
