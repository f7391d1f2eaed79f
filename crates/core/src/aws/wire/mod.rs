//! The four ways in which AWS's services are spoken to, and the table of services.
//!
//! | protocol | request | answer | services |
//! |---|---|---|---|
//! | JSON 1.0, 1.1 | `POST /`, operation in `X-Amz-Target` | JSON | DynamoDB, Logs, KMS |
//! | query | `POST /` with a form | XML | STS, CloudWatch, IAM |
//! | REST-JSON | method and path per operation | JSON | IoT data, Lambda |
//! | REST-XML | method and path per operation | XML | S3 |
//!
//! A [`Call`] speaks to any of them by names and values, as `periwinkle fetch --aws` does; typed
//! calls are built on the same parts.
//!
//! ```
//! use periwinkle_core::aws::wire::{Call, Endpoint, EndpointOptions};
//! use periwinkle_core::value::Map;
//!
//! let call = Call::new("dynamodb", "ListTables", Map::from([("Limit", 10)]))?;
//! let endpoint = Endpoint::of(call.service(), "eu-west-1", EndpointOptions::default())?;
//! assert_eq!(endpoint.url.to_string(), "https://dynamodb.eu-west-1.amazonaws.com/");
//! let request = call.request()?;
//! assert_eq!((request.method, request.path.as_str()), ("POST", "/"));
//! assert!(request.headers.contains(&("x-amz-target", "DynamoDB_20120810.ListTables".into())));
//! assert_eq!(request.body, br#"{"Limit":10}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bindings;
mod call;
mod endpoint;
mod error;
mod form;
mod request;
mod service;
pub mod xml;

pub use bindings::{Binding, Place};
pub(in crate::aws) use call::query_request;
pub use call::{Call, CallFailed, CallRefused};
pub use endpoint::{Endpoint, EndpointError, EndpointOptions, region_of};
pub use form::{to_form, xml_value};
pub use request::{HttpAnswer, HttpRequest};
pub use service::{Protocol, Reach, Service};
