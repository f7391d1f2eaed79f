//! Signatures of AWS on requests, whatever their body.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::try_unfold;
use http::header::HeaderName;
use http::{HeaderMap, Method};
use periwinkle_core::aws::sigv4::{
    BodyPlan, BodySource, ChunkedBody, ChunkedForm, Payload as SignedPayload, PresignedLife,
    Request, Signer, UnsignableBody, plan_body,
};
use periwinkle_core::aws::wire::region_of;
use periwinkle_core::aws::{Credentials, ServiceError, ServiceErrorKind};
use periwinkle_core::fetch::{Scheme, Url};
use periwinkle_core::limits;
use periwinkle_core::time::UnixMillis;
use sha2::{Digest as _, Sha256};

use super::client::Shared;
use super::error::{FetchError, SignError};
use super::payload::{ByteStream, OpenBody, Opened, Payload, Source, read_all};
use super::request::{Signing, field_value};

/// A request that is to be signed.
pub(super) struct Unsigned<'a> {
    pub(super) shared: &'a Shared,
    pub(super) signing: &'a Signing,
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
}

/// The region of a signature: named by the request, the address or the configuration.
pub(super) fn region<'a>(
    signing: &'a Signing,
    url: &'a Url,
    shared: &'a Shared,
) -> Result<&'a str, SignError> {
    let named = signing.region.as_deref();
    let region = named.or_else(|| region_of(url.host())).or(shared.region());
    region.ok_or_else(|| SignError::Region(url.authority().to_owned()))
}

impl Unsigned<'_> {
    /// Opens the body and adds what the signature needs to the fields. A body that is read once
    /// and held for its hash can be sent again from then on.
    pub(super) async fn sign(
        &self,
        headers: &mut HeaderMap,
        payload: &mut Payload,
    ) -> Result<OpenBody, FetchError> {
        let tls = self.url.scheme() == Scheme::Https;
        let body = payload.open().await.map_err(FetchError::Body)?;
        let source = match (&body, payload.is_repeatable()) {
            (OpenBody::Empty | OpenBody::Memory(_), _) => BodySource::InMemory,
            (
                OpenBody::Stream(Opened {
                    length: Some(length),
                    ..
                }),
                true,
            ) => BodySource::Reopenable { length: *length },
            (OpenBody::Stream(Opened { length, .. }) | OpenBody::Untouched(_, length), _) => {
                BodySource::Stream { length: *length }
            }
        };
        let plan = plan_body(&self.signing.service, tls, source, None).map_err(SignError::from)?;
        match (plan, body) {
            (BodyPlan::ReadAndHash, OpenBody::Stream(opened)) => {
                let bytes = self.hold(opened.stream).await?;
                payload.0 = Source::Memory(bytes.clone());
                self.sign_head(headers, SignedPayload::Bytes(&bytes))?;
                Ok(OpenBody::Memory(bytes))
            }
            (BodyPlan::HashThenReopen, OpenBody::Stream(opened)) => {
                let hash = hash_of(opened.stream).await.map_err(FetchError::Body)?;
                self.sign_head(headers, SignedPayload::Hash(hash))?;
                payload.open().await.map_err(FetchError::Body)
            }
            (BodyPlan::Chunked(form), OpenBody::Stream(opened)) => {
                self.sign_chunked(headers, form, opened)
            }
            (_, body) => {
                let bytes: &[u8] = match &body {
                    OpenBody::Memory(bytes) => bytes,
                    _ => b"",
                };
                self.sign_head(headers, SignedPayload::Bytes(bytes))?;
                Ok(body)
            }
        }
    }

    /// The address with a signature in it.
    pub(super) fn presign(
        &self,
        headers: &HeaderMap,
        life: Duration,
    ) -> Result<String, FetchError> {
        let life = PresignedLife::new(life).map_err(SignError::from)?;
        let query = self.with_signer(
            headers,
            SignedPayload::Unsigned,
            |signer, request, keys, at| signer.presign(request, keys, at, life),
        )?;
        let (scheme, authority) = (self.url.scheme().name(), self.url.authority());
        Ok(format!("{scheme}://{authority}{}?{query}", self.url.path()))
    }

    async fn hold(&self, stream: ByteStream) -> Result<Bytes, FetchError> {
        let max = limits::SIGNED_BODY_HELD_BYTES_MAX;
        let held = read_all(stream, max).await.map_err(FetchError::Body)?;
        let too_long = UnsignableBody::TooLongToHold {
            length: max + 1,
            max,
        };
        held.ok_or_else(|| SignError::from(too_long).into())
    }

    fn sign_head(
        &self,
        headers: &mut HeaderMap,
        payload: SignedPayload<'_>,
    ) -> Result<(), FetchError> {
        let own = self.with_signer(headers, payload, |signer, request, credentials, at| {
            signer.sign(request, credentials, at)
        })?;
        insert(headers, own)
    }

    fn sign_chunked(
        &self,
        headers: &mut HeaderMap,
        form: ChunkedForm,
        opened: Opened,
    ) -> Result<OpenBody, FetchError> {
        let length = opened.length.expect("the plan asked for the length");
        insert(headers, form.headers(length))?;
        let payload = form.payload();
        let body = match form {
            ChunkedForm::Unsigned(algorithm) => {
                self.sign_head(headers, payload)?;
                ChunkedBody::unsigned(algorithm, length)
            }
            ChunkedForm::Signed | ChunkedForm::SignedWithTrailer(_) => {
                let (own, signer) =
                    self.with_signer(headers, payload, |signer, request, credentials, at| {
                        signer.sign_chunked(request, credentials, at)
                    })?;
                insert(headers, own)?;
                ChunkedBody::signed(signer, form.checksum(), length)
            }
        };
        Ok(OpenBody::Stream(Opened {
            stream: in_chunks(opened.stream, body),
            length: Some(form.encoded_bytes(length)),
        }))
    }

    fn with_signer<T>(
        &self,
        headers: &HeaderMap,
        payload: SignedPayload<'_>,
        sign: impl FnOnce(&mut Signer, &Request<'_>, &Credentials, UnixMillis) -> T,
    ) -> Result<T, FetchError> {
        let credentials = match &self.signing.credentials {
            Some(given) => given.clone(),
            None => self.shared.credentials().map_err(SignError::Credentials)?,
        };
        let region = region(self.signing, self.url, self.shared)?;
        let fields: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| is_signed(name))
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        let host = self.url.authority();
        let request = Request {
            method: self.method.as_str(),
            host,
            path: self.url.path(),
            query: self.url.query().unwrap_or_default(),
            headers: &fields,
            payload,
        };
        let wall = self.shared.clock().uncorrected().wall;
        let at = self
            .shared
            .offset()
            .signing_time(wall.unwrap_or(UnixMillis(0)));
        let mut signers = self.shared.signers();
        let signer = signers.signer(region, &self.signing.service);
        Ok(sign(signer, &request, &credentials, at))
    }
}

/// What proxies and our own connection change is left out.
fn is_signed(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-amz-")
        || matches!(
            name,
            "content-type" | "content-md5" | "content-length" | "content-encoding" | "range"
        )
}

fn insert(headers: &mut HeaderMap, own: Vec<(&'static str, String)>) -> Result<(), FetchError> {
    for (name, value) in own {
        let mut value = field_value(&value)?;
        value.set_sensitive(matches!(name, "authorization" | "x-amz-security-token"));
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

async fn hash_of(mut stream: ByteStream) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    while let Some(piece) = stream.next().await {
        hasher.update(&piece?);
    }
    Ok(hasher.finalize().into())
}

/// The body in S3's chunks, one held at a time.
fn in_chunks(stream: ByteStream, body: ChunkedBody) -> ByteStream {
    Box::pin(try_unfold(
        (stream, Some(body)),
        |(mut stream, mut body)| async move {
            let Some(mut chunks) = body.take() else {
                return Ok(None);
            };
            let mut out = Vec::new();
            while out.is_empty() {
                match stream.next().await {
                    Some(piece) => chunks.push(&piece?, &mut out).map_err(io::Error::other)?,
                    None => {
                        chunks.finish(&mut out).map_err(io::Error::other)?;
                        return Ok(Some((Bytes::from(out), (stream, None))));
                    }
                }
            }
            Ok(Some((Bytes::from(out), (stream, Some(chunks)))))
        },
    ))
}

/// Whether an answer refuses a signature for its time.
pub(super) fn is_about_time(status: u16, error_type: Option<&str>, body: &[u8]) -> bool {
    let error = match body.first() {
        Some(b'<') => ServiceError::read_xml(status, None, body),
        _ => ServiceError::read(status, error_type, body),
    };
    error.kind == ServiceErrorKind::ClockSkew
}
