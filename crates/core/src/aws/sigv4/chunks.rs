//! Bodies in chunks with signatures, checksums behind them, or both ("Authenticating Requests:
//! Using the Authorization Header, Transferring Payload in Multiple Chunks" and "... with trailing
//! headers" in the S3 API reference).
//!
//! ```text
//! 10000;chunk-signature=ad80…648\r\n    length in hexadecimal digits
//! <65536 bytes>\r\n
//! 0;chunk-signature=2ca2…992\r\n        the end, signed too
//! x-amz-checksum-crc32:…\r\n            the trailer, if one was announced
//! x-amz-trailer-signature:…\r\n
//! \r\n
//! ```
//!
//! Each signature covers the one before it, so no chunk can be left out or moved.

use super::Payload;
use super::canonical::sha256_hex;
use super::signer::hmac_sha256;
use crate::aws::checksum::{Algorithm, Checksum, Value};
use crate::hex;
use crate::limits;
use std::fmt;
use zeroize::Zeroizing;

/// Signs the chunks of one body, one after the other.
pub struct ChunkSigner {
    pub(super) key: Zeroizing<[u8; 32]>,
    pub(super) time: String,
    pub(super) scope: String,
    pub(super) last: String,
}

impl ChunkSigner {
    /// The signature of the next chunk.
    pub fn chunk(&mut self, data: &[u8]) -> &str {
        let covered = format!("{}\n{}", sha256_hex(b""), sha256_hex(data));
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &covered)
    }

    /// The signature of the fields behind the last chunk: names in small letters, sorted.
    pub fn trailer(&mut self, fields: &[(&str, &str)]) -> &str {
        let lines: String = fields
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        self.next("AWS4-HMAC-SHA256-TRAILER", &sha256_hex(lines.as_bytes()))
    }

    fn next(&mut self, algorithm: &str, covered: &str) -> &str {
        let text = format!(
            "{algorithm}\n{}\n{}\n{}\n{covered}",
            self.time, self.scope, self.last
        );
        self.last = hex::encode(&hmac_sha256(&self.key[..], text.as_bytes()));
        &self.last
    }
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSigner")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What stands around the chunks of a body, and behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkedForm {
    /// Signatures.
    Signed,
    /// Signatures, and a signed checksum behind the body.
    SignedWithTrailer(Algorithm),
    /// A checksum behind the body and no signatures: over TLS only.
    Unsigned(Algorithm),
}

impl ChunkedForm {
    /// What the signature of the request says of the body.
    pub const fn payload(self) -> Payload<'static> {
        match self {
            ChunkedForm::Signed => Payload::SignedChunks,
            ChunkedForm::SignedWithTrailer(_) => Payload::SignedChunksWithTrailer,
            ChunkedForm::Unsigned(_) => Payload::ChunksWithTrailer,
        }
    }

    /// The checksum behind the body.
    pub const fn checksum(self) -> Option<Algorithm> {
        match self {
            ChunkedForm::Signed => None,
            ChunkedForm::SignedWithTrailer(algorithm) | ChunkedForm::Unsigned(algorithm) => {
                Some(algorithm)
            }
        }
    }

    /// Headers of the request, to be signed with it, for a body of `length` bytes.
    pub fn headers(self, length: u64) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-encoding", "aws-chunked".to_owned()),
            ("content-length", self.encoded_bytes(length).to_string()),
            ("x-amz-decoded-content-length", length.to_string()),
        ];
        if let Some(algorithm) = self.checksum() {
            headers.push(("x-amz-trailer", algorithm.header().to_owned()));
        }
        headers
    }

    /// How long a body of `length` bytes is in this form.
    pub fn encoded_bytes(self, length: u64) -> u64 {
        let chunk = limits::SIGNED_CHUNK_BYTES as u64;
        let (full, rest) = (length / chunk, length % chunk);
        let rest = if rest > 0 { self.chunk_bytes(rest) } else { 0 };
        full * self.chunk_bytes(chunk) + rest + self.end_bytes()
    }

    /// A chunk with what stands around it.
    fn chunk_bytes(self, data: u64) -> u64 {
        self.head_bytes(data) + data + 2
    }

    fn head_bytes(self, data: u64) -> u64 {
        let digits = u64::from(data.checked_ilog(16).unwrap_or(0)) + 1;
        let signature = match self {
            ChunkedForm::Unsigned(_) => 0,
            _ => CHUNK_SIGNATURE.len() as u64 + SIGNATURE_BYTES,
        };
        digits + signature + 2
    }

    fn end_bytes(self) -> u64 {
        let line = |name: &str, value: u64| name.len() as u64 + 1 + value + 2;
        let field = self.checksum().map_or(0, |algorithm| {
            line(algorithm.header(), algorithm.text_bytes() as u64)
        });
        let signature = match self {
            ChunkedForm::SignedWithTrailer(_) => line(TRAILER_SIGNATURE, SIGNATURE_BYTES),
            _ => 0,
        };
        self.head_bytes(0) + field + signature + 2
    }
}

const CHUNK_SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";
const SIGNATURE_BYTES: u64 = 64;

/// A body on its way into chunks: at most one chunk of it is held.
#[derive(Debug)]
pub struct ChunkedBody {
    signer: Option<ChunkSigner>,
    checksum: Option<Checksum>,
    length: u64,
    taken: u64,
    held: Vec<u8>,
}

/// Why a body cannot be sent as announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body of {announced} bytes was announced, and {given} came")]
pub struct ChunkedBodyError {
    /// What the headers say.
    pub announced: u64,
    /// What there is, as far as it was looked at.
    pub given: u64,
}

impl ChunkedBody {
    /// A body of `length` bytes with signed chunks; `signer` comes from
    /// [`Signer::sign_chunked`](super::Signer::sign_chunked).
    pub fn signed(signer: ChunkSigner, checksum: Option<Algorithm>, length: u64) -> ChunkedBody {
        ChunkedBody::new(Some(signer), checksum, length)
    }

    /// A body of `length` bytes with a checksum behind it.
    pub fn unsigned(checksum: Algorithm, length: u64) -> ChunkedBody {
        ChunkedBody::new(None, Some(checksum), length)
    }

    fn new(signer: Option<ChunkSigner>, checksum: Option<Algorithm>, length: u64) -> ChunkedBody {
        ChunkedBody {
            signer,
            checksum: checksum.map(Checksum::new),
            length,
            taken: 0,
            held: Vec::new(),
        }
    }

    /// More of the body: appends the chunks that became full to `out`.
    ///
    /// # Errors
    /// When it is more than was announced; nothing is appended then.
    pub fn push(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), ChunkedBodyError> {
        let given = self.taken + data.len() as u64;
        if given > self.length {
            return Err(self.error(given));
        }
        self.taken = given;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(data);
        }
        while self.held.len() + data.len() >= limits::SIGNED_CHUNK_BYTES {
            let (now, later) = data.split_at(limits::SIGNED_CHUNK_BYTES - self.held.len());
            data = later;
            if self.held.is_empty() {
                self.write_chunk(now, out);
            } else {
                let mut chunk = std::mem::take(&mut self.held);
                chunk.extend_from_slice(now);
                self.write_chunk(&chunk, out);
            }
        }
        self.held.extend_from_slice(data);
        Ok(())
    }

    /// The body is complete: appends what is held, the end and the trailer to `out`, and gives the
    /// checksum that was sent.
    ///
    /// # Errors
    /// When it is less than was announced; nothing is appended then.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Option<Value>, ChunkedBodyError> {
        if self.taken != self.length {
            return Err(self.error(self.taken));
        }
        let rest = std::mem::take(&mut self.held);
        if !rest.is_empty() {
            self.write_chunk(&rest, out);
        }
        self.write_head(b"", out);
        let value = self.checksum.as_ref().map(Checksum::value);
        if let Some(value) = value {
            let (name, text) = (value.algorithm().header(), value.base64());
            write_field(name, &text, out);
            if let Some(signer) = &mut self.signer {
                let signature = signer.trailer(&[(name, &text)]);
                write_field(TRAILER_SIGNATURE, signature, out);
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(value)
    }

    fn error(&self, given: u64) -> ChunkedBodyError {
        ChunkedBodyError {
            announced: self.length,
            given,
        }
    }

    fn write_chunk(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.write_head(data, out);
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }

    fn write_head(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:x}", data.len()).as_bytes());
        if let Some(signer) = &mut self.signer {
            out.extend_from_slice(CHUNK_SIGNATURE.as_bytes());
            out.extend_from_slice(signer.chunk(data).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
}
