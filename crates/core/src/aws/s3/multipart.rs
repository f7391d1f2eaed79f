//! Objects in parts ("Uploading and copying objects using multipart upload" in the S3 User Guide).

use super::object::{metadata_fields, with_content_type};
use super::{
    Bucket, Condition, ObjectKey, S3CallError, S3RequestError, Written, number, root, succeeded,
    text, within,
};
use crate::aws::ServiceError;
use crate::aws::checksum::{Algorithm, Coverage, Value};
use crate::aws::wire::xml::{Element, write_element, write_text};
use crate::aws::wire::{HttpAnswer, HttpRequest};
use crate::limits;

/// Begins an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateMultipartUpload {
    /// The object.
    pub key: ObjectKey,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The checksum of the parts and of the whole.
    pub checksum: Option<(Algorithm, Coverage)>,
    /// Names without their prefix `x-amz-meta-`, in ASCII, and values.
    pub metadata: Vec<(String, String)>,
}

impl CreateMultipartUpload {
    /// The request, and the fields of metadata, whose names are the caller's.
    ///
    /// # Errors
    /// When there is too much metadata.
    pub fn request(
        &self,
        bucket: &Bucket,
    ) -> Result<(HttpRequest, Vec<(String, String)>), S3RequestError> {
        let metadata = metadata_fields(&self.metadata)?;
        let mut request = bucket.object("POST", &self.key);
        request.query = "uploads=".to_owned();
        let mut request = with_content_type(request, self.content_type.as_deref());
        if let Some((algorithm, coverage)) = self.checksum {
            request = request
                .with_header("x-amz-checksum-algorithm", algorithm.name())
                .with_header("x-amz-checksum-type", coverage.name());
        }
        Ok((request, metadata))
    }

    /// Reads the answer: the id of the upload.
    ///
    /// # Errors
    /// What S3 refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<String, S3CallError> {
        let root = root(answer, "InitiateMultipartUploadResult")?;
        text(&root, "UploadId")
    }
}

/// Writes a part; the body is sent by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// The upload.
    pub upload_id: &'a str,
    /// Its number, from 1 to 10,000.
    pub number: u32,
    /// Its length.
    pub length: u64,
    /// Its checksum, if that is known before it is sent.
    pub checksum: Option<Value>,
}

impl UploadPart<'_> {
    /// The request.
    ///
    /// # Errors
    /// When the number or the length is beyond S3's bounds. That all parts but the last have a
    /// least length is checked by the plan of the upload.
    pub fn request(&self, bucket: &Bucket) -> Result<HttpRequest, S3RequestError> {
        let parts = u64::from(limits::S3_PARTS_MAX);
        within(
            "a part with the number",
            u64::from(self.number),
            (1, parts),
            "",
        )?;
        let max = limits::S3_PART_BYTES_MAX;
        within("a part", self.length, (0, max), "bytes")?;
        let request = bucket
            .object("PUT", self.key)
            .with_parameter("partNumber", &self.number.to_string())
            .with_parameter("uploadId", self.upload_id)
            .with_header("content-length", self.length.to_string());
        Ok(match self.checksum {
            Some(value) => request.with_header(value.algorithm().header(), value.base64()),
            None => request,
        })
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<Written, S3CallError> {
        Written::read(succeeded(answer)?)
    }
}

/// A part that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u32,
    /// The entity tag that S3 gave it.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<Value>,
}

/// Makes an object of the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteMultipartUpload<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// The upload.
    pub upload_id: &'a str,
    /// All parts, in the order of their numbers.
    pub parts: &'a [CompletedPart],
    /// The length of the whole, which S3 compares.
    pub length: Option<u64>,
    /// The checksum of the whole, which S3 compares.
    pub checksum: Option<Value>,
    /// When it is written.
    pub condition: Condition,
}

impl CompleteMultipartUpload<'_> {
    /// The request.
    ///
    /// # Errors
    /// When there is no part, or too many.
    pub fn request(&self, bucket: &Bucket) -> Result<HttpRequest, S3RequestError> {
        let max = u64::from(limits::S3_PARTS_MAX);
        within("an upload", self.parts.len() as u64, (1, max), "parts")?;
        let mut body = String::new();
        write_element("CompleteMultipartUpload", &mut body, |out| {
            for part in self.parts {
                write_part(part, out);
            }
        });
        let mut request = bucket
            .object("POST", self.key)
            .with_parameter("uploadId", self.upload_id)
            .with_header("content-type", "application/xml");
        if let Some(length) = self.length {
            request = request.with_header("x-amz-mp-object-size", length.to_string());
        }
        if let Some(value) = self.checksum {
            request = request
                .with_header(value.algorithm().header(), value.base64())
                .with_header("x-amz-checksum-type", Coverage::FullObject.name());
        }
        request = match &self.condition {
            Condition::Is(tag) => request.with_header("if-match", tag.as_str()),
            Condition::Absent => request.with_header("if-none-match", "*"),
            Condition::None | Condition::IsNot(_) => request,
        };
        request.body = body.into_bytes();
        Ok(request)
    }

    /// Reads the answer: the entity tag of the object.
    ///
    /// S3 answers 200 before it knows the outcome, so the body may be an error all the same.
    ///
    /// # Errors
    /// What S3 refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<String, S3CallError> {
        let root = Element::parse(succeeded(answer)?.body)?;
        if root.name == "Error" {
            return Err(ServiceError::read_xml(answer.status, None, answer.body).into());
        }
        if root.name != "CompleteMultipartUploadResult" {
            return Err(S3CallError::Missing("CompleteMultipartUploadResult"));
        }
        text(&root, "ETag")
    }
}

fn write_part(part: &CompletedPart, out: &mut String) {
    write_element("Part", out, |out| {
        if let Some(value) = part.checksum {
            write_text(value.algorithm().element(), &value.base64(), out);
        }
        write_text("ETag", &part.etag, out);
        write_text("PartNumber", &part.number.to_string(), out);
    });
}

/// Gives an upload up: its parts are removed. Those on their way may arrive after it, so it is
/// repeated until no part is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortMultipartUpload<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// The upload.
    pub upload_id: &'a str,
}

impl AbortMultipartUpload<'_> {
    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        bucket
            .object("DELETE", self.key)
            .with_parameter("uploadId", self.upload_id)
    }

    /// Reads the answer; an upload that is gone is as good as one that was given up now.
    ///
    /// # Errors
    /// What S3 refused or failed to do.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<(), S3CallError> {
        if answer.status == 404 {
            return Ok(());
        }
        succeeded(answer)?;
        Ok(())
    }
}

/// Asks which parts were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListParts<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// The upload.
    pub upload_id: &'a str,
    /// The number behind which to start.
    pub after: Option<u32>,
}

/// A page of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPage {
    /// The parts.
    pub parts: Vec<ListedPart>,
    /// The number behind which the next page starts.
    pub next: Option<u32>,
}

/// A part that S3 holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    /// Its number.
    pub number: u32,
    /// Its length.
    pub bytes: u64,
    /// Its entity tag, with quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<Value>,
}

impl ListParts<'_> {
    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        let request = bucket
            .object("GET", self.key)
            .with_parameter("uploadId", self.upload_id);
        match self.after {
            Some(number) => request.with_parameter("part-number-marker", &number.to_string()),
            None => request,
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<PartPage, S3CallError> {
        let root = list_of_parts(answer)?;
        let truncated = root.text_of("IsTruncated") == Some("true");
        let next = if truncated {
            Some(number(&root, "NextPartNumberMarker")?)
        } else {
            None
        };
        let parts = root.all("Part").map(listed_part);
        Ok(PartPage {
            parts: parts.collect::<Result<_, _>>()?,
            next,
        })
    }
}

/// S3 names the root `ListPartsResult`, and others name it as they like: what it holds decides. It
/// has to name the upload, so that the page of something between is not taken for an upload
/// without parts.
fn list_of_parts(answer: HttpAnswer<'_>) -> Result<Element, S3CallError> {
    let root = Element::parse(succeeded(answer)?.body)?;
    match root.name.as_str() {
        "Error" => Err(ServiceError::read_xml(answer.status, None, answer.body).into()),
        "ListPartsResult" => Ok(root),
        _ if root.text_of("UploadId").is_some() => Ok(root),
        _ => Err(S3CallError::Missing("ListPartsResult")),
    }
}

fn listed_part(element: &Element) -> Result<ListedPart, S3CallError> {
    let checksum = [Algorithm::Crc64Nvme, Algorithm::Crc32]
        .into_iter()
        .find_map(|algorithm| Value::parse(algorithm, element.text_of(algorithm.element())?));
    Ok(ListedPart {
        number: number(element, "PartNumber")?,
        bytes: number(element, "Size")?,
        etag: text(element, "ETag")?,
        checksum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::checksum::Checksum;
    use crate::aws::wire::EndpointOptions;
    use crate::aws::{Remedy, ServiceErrorKind};

    fn bucket() -> Bucket {
        Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap()
    }

    fn key() -> ObjectKey {
        ObjectKey::new("k/1").unwrap()
    }

    fn good(body: &str) -> HttpAnswer<'_> {
        HttpAnswer {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        }
    }

    #[test]
    fn an_upload_is_begun() {
        let create = CreateMultipartUpload {
            key: key(),
            content_type: None,
            checksum: Some((Algorithm::Crc64Nvme, Coverage::FullObject)),
            metadata: vec![],
        };
        let (request, _) = create.request(&bucket()).unwrap();
        assert_eq!(
            (
                request.method,
                request.path.as_str(),
                request.query.as_str()
            ),
            ("POST", "/k/1", "uploads=")
        );
        assert_eq!(
            request.header("x-amz-checksum-algorithm"),
            Some("CRC64NVME")
        );
        assert_eq!(request.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let body =
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        assert_eq!(CreateMultipartUpload::answer(good(body)), Ok("u".into()));
    }

    #[test]
    fn a_part_is_numbered_from_one_to_ten_thousand() {
        let part = |number, length| {
            let key = key();
            let part = UploadPart {
                key: &key,
                upload_id: "u/1",
                number,
                length,
                checksum: None,
            };
            part.request(&bucket()).map(|request| request.query)
        };
        assert_eq!(part(1, 5), Ok("partNumber=1&uploadId=u%2F1".into()));
        assert!(part(10_000, 5 << 30).is_ok());
        assert_eq!(part(0, 5).unwrap_err().what, "a part with the number");
        assert!(part(10_001, 5).is_err());
        assert_eq!(part(1, (5 << 30) + 1).unwrap_err().what, "a part");
    }

    #[test]
    fn parts_become_an_object() {
        let value = Checksum::of(Algorithm::Crc32, b"123456789");
        let parts = [
            CompletedPart {
                number: 1,
                etag: "\"a\"".into(),
                checksum: Some(value),
            },
            CompletedPart {
                number: 2,
                etag: "\"b\"".into(),
                checksum: None,
            },
        ];
        let key = key();
        let complete = CompleteMultipartUpload {
            key: &key,
            upload_id: "u",
            parts: &parts,
            length: Some(9),
            checksum: Some(value),
            condition: Condition::Absent,
        };
        let request = complete.request(&bucket()).unwrap();
        assert_eq!(
            String::from_utf8(request.body.clone()).unwrap(),
            "<CompleteMultipartUpload><Part><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32>\
             <ETag>&quot;a&quot;</ETag><PartNumber>1</PartNumber></Part>\
             <Part><ETag>&quot;b&quot;</ETag><PartNumber>2</PartNumber></Part>\
             </CompleteMultipartUpload>"
        );
        assert_eq!(request.header("x-amz-mp-object-size"), Some("9"));
        assert_eq!(request.header("if-none-match"), Some("*"));
        let body = "<?xml version=\"1.0\"?>\n   \n<CompleteMultipartUploadResult><ETag>\"x-2\"</ETag></CompleteMultipartUploadResult>";
        // While S3 works on it, it sends white space to keep the connection.
        assert_eq!(
            CompleteMultipartUpload::answer(good(body)),
            Ok("\"x-2\"".into())
        );
        let none = CompleteMultipartUpload {
            parts: &[],
            ..complete
        };
        assert_eq!(none.request(&bucket()).unwrap_err().actual, 0);
    }

    #[test]
    fn an_error_with_status_200_is_an_error() {
        let body = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>again</Message></Error>";
        let Err(S3CallError::Service(error)) = CompleteMultipartUpload::answer(good(body)) else {
            panic!("an error was expected");
        };
        assert_eq!(error.kind, ServiceErrorKind::Unavailable);
        assert_eq!(error.remedy(), Remedy::Repeat);
        let unknown = "<Error><Code>New</Code><Message/></Error>";
        let Err(S3CallError::Service(error)) = CompleteMultipartUpload::answer(good(unknown))
        else {
            panic!("an error was expected");
        };
        assert_eq!(error.kind, ServiceErrorKind::Other);
        assert_eq!(
            CompleteMultipartUpload::answer(good("<a/>")),
            Err(S3CallError::Missing("CompleteMultipartUploadResult"))
        );
    }

    #[test]
    fn an_upload_that_is_gone_needs_no_giving_up() {
        let status = |status| {
            AbortMultipartUpload::answer(HttpAnswer {
                status,
                headers: &[],
                body: b"",
            })
        };
        assert_eq!(status(204), Ok(()));
        assert_eq!(status(404), Ok(()));
        assert!(status(403).is_err());
    }

    #[test]
    fn parts_are_listed_page_by_page() {
        let key = key();
        let list = ListParts {
            key: &key,
            upload_id: "u",
            after: Some(7),
        };
        assert_eq!(
            list.request(&bucket()).query,
            "uploadId=u&part-number-marker=7"
        );
        let body = "<ListPartsResult><IsTruncated>true</IsTruncated>\
            <NextPartNumberMarker>8</NextPartNumberMarker><Part><PartNumber>8</PartNumber>\
            <ETag>&quot;e&quot;</ETag><Size>9</Size><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part>\
            </ListPartsResult>";
        let page = ListParts::answer(good(body)).unwrap();
        assert_eq!(page.next, Some(8));
        assert_eq!(
            page.parts,
            [ListedPart {
                number: 8,
                bytes: 9,
                etag: "\"e\"".into(),
                checksum: Some(Checksum::of(Algorithm::Crc32, b"123456789")),
            }]
        );
    }

    #[test]
    fn what_a_list_of_parts_holds_decides_and_not_its_name() {
        let read = |body: &str| ListParts::answer(good(body));
        // As moto writes it.
        let other = "<ListPartsResponse><UploadId>u</UploadId><IsTruncated>false</IsTruncated>\
            <Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag><Size>5</Size></Part>\
            </ListPartsResponse>";
        assert_eq!(read(other).unwrap().parts.len(), 1);
        let none = "<Parts><UploadId>u</UploadId></Parts>";
        assert_eq!(read(none).unwrap().parts, []);
        let foreign = "<html><body>log in first</body></html>";
        let missing = S3CallError::Missing("ListPartsResult");
        assert_eq!(read(foreign), Err(missing));
        let error = "<Error><Code>NoSuchUpload</Code><UploadId>u</UploadId></Error>";
        assert!(matches!(read(error), Err(S3CallError::Service(_))));
    }
}
