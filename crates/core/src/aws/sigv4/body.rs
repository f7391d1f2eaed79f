//! What a signature says of a body, by service and connection.

use super::ChunkedForm;
use crate::aws::checksum::Algorithm;
use crate::limits;

/// What is known of a body before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySource {
    /// It lies in memory.
    InMemory,
    /// It is read once, from its beginning to its end.
    Stream {
        /// Its length, if that is known.
        length: Option<u64>,
    },
    /// It can be read twice, once to be hashed and once to be sent: a file.
    Reopenable {
        /// Its length.
        length: u64,
    },
}

/// How a body is signed and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// Hash what lies in memory.
    HashInMemory,
    /// Read it into memory, at most [`limits::SIGNED_BODY_HELD_BYTES_MAX`] bytes, and hash it.
    ReadAndHash,
    /// Read it once for its hash and again for sending.
    HashThenReopen,
    /// Send it in chunks of this form.
    Chunked(ChunkedForm),
}

/// Why a body cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsignableBody {
    /// Only S3 takes bodies whose hash is not known when they begin.
    #[error(
        "the service wants the hash of the body before the body, and {length} bytes are more than \
         the {max} that are held for it: send it from memory or from a file"
    )]
    TooLongToHold {
        /// Its length.
        length: u64,
        /// How much is held.
        max: u64,
    },
    /// S3 wants to know how long a body will be.
    #[error("S3 wants the length of a body before the body: give it, or upload in parts")]
    LengthUnknown,
}

/// Decides how a body is signed.
///
/// S3 takes bodies in chunks: signed ones without TLS, where anybody could change them, and plain
/// ones with TLS. Every other service wants the hash of the whole body first, so a stream is held
/// within a bound or refused.
///
/// # Errors
/// When the service would refuse the body, or it cannot be held.
pub fn plan_body(
    service: &str,
    tls: bool,
    source: BodySource,
    checksum: Option<Algorithm>,
) -> Result<BodyPlan, UnsignableBody> {
    let s3 = service == "s3";
    match source {
        BodySource::InMemory => Ok(BodyPlan::HashInMemory),
        BodySource::Stream { length: None } if s3 => Err(UnsignableBody::LengthUnknown),
        BodySource::Stream { .. } | BodySource::Reopenable { .. } if s3 => {
            Ok(BodyPlan::Chunked(chunked_form(tls, checksum)))
        }
        BodySource::Reopenable { .. } => Ok(BodyPlan::HashThenReopen),
        BodySource::Stream { length } => match length {
            Some(length) if length > limits::SIGNED_BODY_HELD_BYTES_MAX => {
                Err(UnsignableBody::TooLongToHold {
                    length,
                    max: limits::SIGNED_BODY_HELD_BYTES_MAX,
                })
            }
            _ => Ok(BodyPlan::ReadAndHash),
        },
    }
}

fn chunked_form(tls: bool, checksum: Option<Algorithm>) -> ChunkedForm {
    match (tls, checksum) {
        (true, checksum) => ChunkedForm::Unsigned(checksum.unwrap_or(Algorithm::Crc64Nvme)),
        (false, Some(algorithm)) => ChunkedForm::SignedWithTrailer(algorithm),
        (false, None) => ChunkedForm::Signed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_and_the_connection_decide_how_a_body_is_signed() {
        let stream = |length| BodySource::Stream { length };
        let file = BodySource::Reopenable { length: 1 << 30 };
        let crc = Some(Algorithm::Crc32);
        let held = limits::SIGNED_BODY_HELD_BYTES_MAX;
        use BodyPlan::{Chunked, HashInMemory, HashThenReopen, ReadAndHash};
        use ChunkedForm::{Signed, SignedWithTrailer, Unsigned};
        let cases = [
            ("s3", true, BodySource::InMemory, None, Ok(HashInMemory)),
            (
                "s3",
                true,
                file,
                crc,
                Ok(Chunked(Unsigned(Algorithm::Crc32))),
            ),
            (
                "s3",
                true,
                stream(Some(9)),
                None,
                Ok(Chunked(Unsigned(Algorithm::Crc64Nvme))),
            ),
            ("s3", false, stream(Some(9)), None, Ok(Chunked(Signed))),
            (
                "s3",
                false,
                file,
                crc,
                Ok(Chunked(SignedWithTrailer(Algorithm::Crc32))),
            ),
            (
                "s3",
                true,
                stream(None),
                crc,
                Err(UnsignableBody::LengthUnknown),
            ),
            ("logs", true, stream(None), None, Ok(ReadAndHash)),
            ("logs", true, stream(Some(held)), None, Ok(ReadAndHash)),
            (
                "logs",
                true,
                stream(Some(held + 1)),
                None,
                Err(UnsignableBody::TooLongToHold {
                    length: held + 1,
                    max: held,
                }),
            ),
            ("logs", false, file, None, Ok(HashThenReopen)),
        ];
        for (service, tls, source, checksum, expected) in cases {
            assert_eq!(
                plan_body(service, tls, source, checksum),
                expected,
                "{service} {tls} {source:?} {checksum:?}"
            );
        }
    }
}
