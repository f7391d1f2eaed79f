//! Uploads in parts that are under way, or were left behind.

use super::{Bucket, S3CallError, root, text};
use crate::aws::wire::{HttpAnswer, HttpRequest};

/// Lists uploads that were begun and neither completed nor given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListUploads {
    /// What their keys begin with.
    pub prefix: String,
    /// The key and the id behind which to start.
    pub after: Option<(String, String)>,
}

/// A page of uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadsPage {
    /// The uploads.
    pub uploads: Vec<ListedUpload>,
    /// The key and the id behind which the next page starts.
    pub next: Option<(String, String)>,
}

/// An upload in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUpload {
    /// The key of the object.
    pub key: String,
    /// The id.
    pub upload_id: String,
    /// When it was begun, such as `2026-11-22T10:21:53.000Z`.
    pub initiated: String,
}

impl ListUploads {
    /// The request.
    pub fn request(&self, bucket: &Bucket) -> HttpRequest {
        let mut request = bucket.request("GET");
        request.query = "uploads=".to_owned();
        let mut request = request.with_parameter("encoding-type", "url");
        if !self.prefix.is_empty() {
            request = request.with_parameter("prefix", &self.prefix);
        }
        match &self.after {
            Some((key, id)) => request
                .with_parameter("key-marker", key)
                .with_parameter("upload-id-marker", id),
            None => request,
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What S3 refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<UploadsPage, S3CallError> {
        let root = root(answer, "ListMultipartUploadsResult")?;
        let encoded = root.text_of("EncodingType") == Some("url");
        let key = |element, name| super::list::decoded(&text(element, name)?, encoded);
        let next = if root.text_of("IsTruncated") == Some("true") {
            Some((
                key(&root, "NextKeyMarker")?,
                text(&root, "NextUploadIdMarker")?,
            ))
        } else {
            None
        };
        let uploads = root.all("Upload").map(|one| {
            Ok(ListedUpload {
                key: key(one, "Key")?,
                upload_id: text(one, "UploadId")?,
                initiated: text(one, "Initiated")?,
            })
        });
        Ok(UploadsPage {
            uploads: uploads.collect::<Result<_, S3CallError>>()?,
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::wire::EndpointOptions;

    #[test]
    fn uploads_are_asked_for_and_read() {
        let bucket = Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap();
        let list = ListUploads {
            prefix: "a/".into(),
            after: Some(("k".into(), "u".into())),
        };
        assert_eq!(
            list.request(&bucket).query,
            "uploads=&encoding-type=url&prefix=a%2F&key-marker=k&upload-id-marker=u"
        );
        let body = b"<ListMultipartUploadsResult><EncodingType>url</EncodingType>\
            <IsTruncated>true</IsTruncated><NextKeyMarker>a+c</NextKeyMarker>\
            <NextUploadIdMarker>u2</NextUploadIdMarker><Upload><Key>a%2Fb</Key>\
            <UploadId>u1</UploadId><Initiated>2026</Initiated></Upload></ListMultipartUploadsResult>";
        let page = ListUploads::answer(HttpAnswer {
            status: 200,
            headers: &[],
            body,
        });
        assert_eq!(
            page,
            Ok(UploadsPage {
                uploads: vec![ListedUpload {
                    key: "a/b".into(),
                    upload_id: "u1".into(),
                    initiated: "2026".into(),
                }],
                next: Some(("a c".into(), "u2".into())),
            })
        );
    }
}
