//! Typed calls of S3, and the plan of an upload in parts.
//!
//! A [`Bucket`] knows where it answers and gives requests without bodies' bytes: these are streamed
//! by whoever sends. The bounds of the service are checked here, before anything is sent. Answers
//! to `HEAD` and `GET` are read from their fields, the others from XML within bounds.
//!
//! ```
//! use periwinkle_core::aws::s3::{Bucket, GetObject, ObjectKey};
//! use periwinkle_core::aws::wire::EndpointOptions;
//!
//! let bucket = Bucket::new("logs-7", "eu-west-1", EndpointOptions::default())?;
//! let key = ObjectKey::new("cam/2026 11/a.jpg")?;
//! let get = GetObject { range: Some((0, Some(99))), ..GetObject::new(key) };
//! let request = get.request(&bucket);
//! assert_eq!(bucket.host(), "logs-7.s3.eu-west-1.amazonaws.com");
//! assert_eq!(request.path, "/cam/2026%2011/a.jpg");
//! assert_eq!(request.header("range"), Some("bytes=0-99"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bucket;
mod key;
mod list;
mod multipart;
mod object;
mod template;
pub mod upload;
mod uploads;

pub use bucket::{Bucket, BucketError};
pub use key::{KeyError, ObjectKey};
pub use list::{ListObjects, ListedObject, ObjectPage};
pub use multipart::{
    AbortMultipartUpload, CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, ListParts,
    ListedPart, PartPage, UploadPart,
};
pub use object::{
    Condition, DeleteObject, GetObject, HeadObject, ObjectFields, PutObject, Written,
};

pub use template::{KeyTemplate, TemplateError};
pub use uploads::{ListUploads, ListedUpload, UploadsPage};

use super::ServiceError;
use super::wire::HttpAnswer;
use super::wire::xml::{Element, XmlError};

/// Why a request to S3 is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {actual} {unit}; S3 takes {min} to {max}")]
pub struct S3RequestError {
    /// What is too small or too large.
    pub what: &'static str,
    /// How large it is.
    pub actual: u64,
    /// How small it may be.
    pub min: u64,
    /// How large it may be.
    pub max: u64,
    /// What is counted.
    pub unit: &'static str,
}

/// Why a call of S3 has no good answer, once some answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum S3CallError {
    /// The service said why.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A good status with a body that is no XML.
    #[error("an answer with a good status that is not S3's: {0}")]
    Xml(#[from] XmlError),
    /// A part of the answer is missing, or not in its form.
    #[error("{0} is missing in an answer of S3, or not in its form")]
    Missing(&'static str),
}

fn within(
    what: &'static str,
    actual: u64,
    (min, max): (u64, u64),
    unit: &'static str,
) -> Result<(), S3RequestError> {
    if (min..=max).contains(&actual) {
        return Ok(());
    }
    Err(S3RequestError {
        what,
        actual,
        min,
        max,
        unit,
    })
}

/// An answer that did what was asked.
fn succeeded(answer: HttpAnswer<'_>) -> Result<HttpAnswer<'_>, ServiceError> {
    if answer.is_success() {
        return Ok(answer);
    }
    let region = answer.header("x-amz-bucket-region");
    Err(ServiceError::read_xml(answer.status, region, answer.body))
}

fn root(answer: HttpAnswer<'_>, name: &'static str) -> Result<Element, S3CallError> {
    let root = Element::parse(succeeded(answer)?.body)?;
    if root.name == name {
        Ok(root)
    } else {
        Err(S3CallError::Missing(name))
    }
}

fn text(element: &Element, name: &'static str) -> Result<String, S3CallError> {
    let text = element.text_of(name);
    text.map(str::to_owned).ok_or(S3CallError::Missing(name))
}

fn number<T: std::str::FromStr>(element: &Element, name: &'static str) -> Result<T, S3CallError> {
    let text = element.text_of(name).ok_or(S3CallError::Missing(name))?;
    text.parse().map_err(|_| S3CallError::Missing(name))
}
