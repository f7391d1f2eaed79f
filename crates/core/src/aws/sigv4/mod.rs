//! AWS Signature Version 4 ("Create a signed AWS API request" in the IAM User Guide).
//!
//! A [`Signer`] signs for one service in one region. The time is an argument, so a clock that is
//! wrong can be corrected by whoever knows better, and a request that is repeated is signed anew.
//!
//! ```
//! use periwinkle_core::aws::{Credentials, sigv4::{Payload, Request, Signer}};
//! use periwinkle_core::time::UnixMillis;
//!
//! let mut signer = Signer::new("us-east-1", "dynamodb");
//! let headers = signer.sign(
//!     &Request {
//!         method: "POST",
//!         host: "dynamodb.us-east-1.amazonaws.com",
//!         path: "/",
//!         query: "",
//!         headers: &[("x-amz-target", "DynamoDB_20120810.ListTables")],
//!         payload: Payload::Bytes(b"{}"),
//!     },
//!     &Credentials::new("AKIDEXAMPLE", "secret"),
//!     UnixMillis(1_440_938_160_000),
//! );
//! assert_eq!(headers[0], ("x-amz-date", "20150830T123600Z".to_owned()));
//! assert!(headers[1].1.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/"));
//! ```

mod body;
mod canonical;
mod chunks;
mod clock;
mod presigned;
mod redirect;
mod signer;
mod signers;
#[cfg(test)]
mod tests;

pub use body::{BodyPlan, BodySource, UnsignableBody, plan_body};
pub use canonical::{Payload, Request, encode_uri, sha256_hex};
pub use chunks::{ChunkSigner, ChunkedBody, ChunkedBodyError, ChunkedForm};
pub use clock::ClockOffset;
pub use presigned::{LifeError, PresignedLife};
pub use redirect::{RedirectRefused, SignedHop, redirect};
pub use signer::{OwnHeaders, Signer};
pub use signers::Signers;
