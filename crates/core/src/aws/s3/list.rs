//! What is in a bucket.

use super::{Bucket, S3CallError, number, root, text};
use crate::aws::wire::xml::Element;
use crate::aws::wire::{HttpAnswer, HttpRequest};

/// Lists objects, in the order of their keys (ListObjectsV2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListObjects {
    /// What their keys begin with.
    pub prefix: String,
    /// Keys that agree up to this text, behind the prefix, are shown as one.
    pub delimiter: Option<String>,
    /// How many at most; S3 gives 1,000 at most.
    pub max: Option<u32>,
    /// The key after which to start.
    pub start_after: Option<String>,
    /// The page to go on with.
    pub token: Option<String>,
}

/// A page of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// The objects.
    pub objects: Vec<ListedObject>,
    /// What was gathered by the delimiter.
    pub prefixes: Vec<String>,
    /// How to ask for the next page.
    pub next: Option<String>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// Its entity tag, with quotes.
    pub etag: String,
    /// When it was written, such as `2026-11-22T10:21:53.000Z`.
    pub last_modified: String,
}

impl ListObjects {
    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        // Keys may hold characters that XML cannot, so they are asked for percent-encoded.
        let mut request = bucket
            .request("GET")
            .with_parameter("list-type", "2")
            .with_parameter("encoding-type", "url");
        let max = self.max.map(|max| max.to_string());
        let prefix = Some(&self.prefix).filter(|prefix| !prefix.is_empty());
        let parameters = [
            ("prefix", prefix),
            ("delimiter", self.delimiter.as_ref()),
            ("max-keys", max.as_ref()),
            ("start-after", self.start_after.as_ref()),
            ("continuation-token", self.token.as_ref()),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                request = request.with_parameter(name, value);
            }
        }
        request
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<ObjectPage, S3CallError> {
        let root = root(answer, "ListBucketResult")?;
        let encoded = root.text_of("EncodingType") == Some("url");
        let objects = root.all("Contents").map(|one| object(one, encoded));
        let prefixes = root.all("CommonPrefixes").map(|one| {
            let prefix = text(one, "Prefix")?;
            decoded(&prefix, encoded)
        });
        let truncated = root.text_of("IsTruncated") == Some("true");
        let next = if truncated {
            Some(text(&root, "NextContinuationToken")?)
        } else {
            None
        };
        Ok(ObjectPage {
            objects: objects.collect::<Result<_, _>>()?,
            prefixes: prefixes.collect::<Result<_, _>>()?,
            next,
        })
    }
}

fn object(element: &Element, encoded: bool) -> Result<ListedObject, S3CallError> {
    Ok(ListedObject {
        key: decoded(&text(element, "Key")?, encoded)?,
        bytes: number(element, "Size")?,
        etag: text(element, "ETag")?,
        last_modified: text(element, "LastModified")?,
    })
}

/// A key as it is; in this encoding a plus sign is a space.
pub(super) fn decoded(key: &str, encoded: bool) -> Result<String, S3CallError> {
    if !encoded {
        return Ok(key.to_owned());
    }
    let spaced = key.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| S3CallError::Missing("Key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::wire::EndpointOptions;

    #[test]
    fn a_page_is_asked_for_and_read() {
        let bucket = Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap();
        let list = ListObjects {
            prefix: "a b/".into(),
            delimiter: Some("/".into()),
            max: Some(2),
            token: Some("t+1".into()),
            ..ListObjects::default()
        };
        let request = list.request(&bucket);
        assert_eq!(request.path, "/");
        assert_eq!(
            request.query,
            "list-type=2&encoding-type=url&prefix=a%20b%2F&delimiter=%2F&max-keys=2\
             &continuation-token=t%2B1"
        );
        let body = b"<ListBucketResult xmlns=\"x\"><IsTruncated>true</IsTruncated>\
            <EncodingType>url</EncodingType><NextContinuationToken>n</NextContinuationToken>\
            <Contents><Key>a+b/%C3%A4%01</Key><LastModified>2026</LastModified>\
            <ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>\
            <CommonPrefixes><Prefix>a+b/c/</Prefix></CommonPrefixes></ListBucketResult>";
        let page = ListObjects::answer(HttpAnswer {
            status: 200,
            headers: &[],
            body,
        });
        assert_eq!(
            page,
            Ok(ObjectPage {
                objects: vec![ListedObject {
                    key: "a b/ä\u{1}".into(),
                    bytes: 7,
                    etag: "\"e\"".into(),
                    last_modified: "2026".into(),
                }],
                prefixes: vec!["a b/c/".into()],
                next: Some("n".into()),
            })
        );
    }

    #[test]
    fn an_answer_of_another_kind_is_refused() {
        let read = |body: &str| {
            ListObjects::answer(HttpAnswer {
                status: 200,
                headers: &[],
                body: body.as_bytes(),
            })
        };
        assert_eq!(read("<a/>"), Err(S3CallError::Missing("ListBucketResult")));
        let without = "<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>";
        assert_eq!(read(without), Err(S3CallError::Missing("Size")));
        let lost = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert_eq!(
            read(lost),
            Err(S3CallError::Missing("NextContinuationToken"))
        );
    }
}
