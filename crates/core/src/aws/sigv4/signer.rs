//! The signer: scope, key and signature.

use super::canonical::{Canonical, Payload, Request, encode_uri, sha256_hex};
use super::chunks::ChunkSigner;
use super::presigned::PresignedLife;
use crate::aws::Credentials;
use crate::hex;
use crate::time::UnixMillis;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Headers that a signer adds, names in small letters.
pub type OwnHeaders = Vec<(&'static str, String)>;

/// Signs requests to one service in one region.
///
/// It keeps the signing key of the day, which saves four of the five key derivations of every
/// further signature; another day or other credentials make a new one.
pub struct Signer {
    region: String,
    service: String,
    style: Style,
    key: Option<DayKey>,
}

/// What services do differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// S3 takes the path as it is: encoded once, `//` and `..` kept.
    pub(super) plain_path: bool,
    /// S3 wants the hash of the body in a header.
    pub(super) payload_header: bool,
    /// The MQTT gateway of IoT wants the session token beside the signature, not under it.
    pub(super) token_unsigned: bool,
}

impl Style {
    fn of(service: &str) -> Style {
        let s3 = matches!(
            service,
            "s3" | "s3-outposts" | "s3express" | "s3-object-lambda"
        );
        Style {
            plain_path: s3,
            payload_header: s3,
            token_unsigned: service == "iotdevicegateway",
        }
    }
}

struct DayKey {
    day: String,
    access_key_id: String,
    secret_access_key: crate::secret::Secret,
    key: Zeroizing<[u8; 32]>,
}

/// A signature and what it was made of.
pub(super) struct Signed {
    pub(super) canonical: Canonical,
    pub(super) signature: String,
}

impl Signer {
    /// A signer for a region and a service, both in the form of the credential scope:
    /// `us-east-1`, `dynamodb`. The service decides how paths and tokens are treated.
    pub fn new(region: impl Into<String>, service: impl Into<String>) -> Signer {
        let service = service.into();
        Signer {
            region: region.into(),
            style: Style::of(&service),
            service,
            key: None,
        }
    }

    /// The region of the scope.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The service of the scope.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Signs a request in its headers: gives the headers to add, names in small letters.
    ///
    /// These are `x-amz-date`, `x-amz-security-token` if there is one, `x-amz-content-sha256` for
    /// S3, and `authorization`. They replace headers of the same names.
    pub fn sign(
        &mut self,
        request: &Request<'_>,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> OwnHeaders {
        self.sign_head(request, credentials, at).0
    }

    /// The same for a request whose body follows in signed chunks, with what signs these.
    ///
    /// The payload of `request` says which form the chunks have.
    pub fn sign_chunked(
        &mut self,
        request: &Request<'_>,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> (OwnHeaders, ChunkSigner) {
        let (headers, signature) = self.sign_head(request, credentials, at);
        let day = day_text(at);
        let signer = ChunkSigner {
            time: time_text(at),
            scope: self.scope(&day),
            key: Zeroizing::new(*self.day_key(credentials, day)),
            last: signature,
        };
        (headers, signer)
    }

    fn sign_head(
        &mut self,
        request: &Request<'_>,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> (OwnHeaders, String) {
        let (mut headers, unsigned) = self.own_headers(request, credentials, at);
        let signed = self.signed(request, "", &headers, credentials, at);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            credentials.access_key_id,
            self.scope(&day_text(at)),
            signed.canonical.signed_headers,
            signed.signature
        );
        headers.extend(unsigned);
        headers.push(("authorization", authorization));
        (headers, signed.signature)
    }

    /// Signs a request in its query: gives the query to send, without `?`.
    ///
    /// Whoever holds the address can use it until `life` has passed, or until the temporary keys
    /// that signed it run out; the headers of `request`, and no others, must be sent as they are.
    pub fn presign(
        &mut self,
        request: &Request<'_>,
        credentials: &Credentials,
        at: UnixMillis,
        life: PresignedLife,
    ) -> String {
        let (addition, unsigned) = self.own_query(request, credentials, at, life);
        let signed = self.signed(request, &addition, &[], credentials, at);
        let separator = if request.query.is_empty() { "" } else { "&" };
        format!(
            "{}{separator}{addition}&X-Amz-Signature={}{unsigned}",
            request.query, signed.signature
        )
    }

    /// The headers that the signature covers, and those it does not.
    pub(super) fn own_headers(
        &self,
        request: &Request<'_>,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> (OwnHeaders, OwnHeaders) {
        let mut signed = vec![("x-amz-date", time_text(at))];
        let mut unsigned = Vec::new();
        if let Some(token) = &credentials.session_token {
            let header = ("x-amz-security-token", token.expose().to_owned());
            if self.style.token_unsigned {
                unsigned.push(header);
            } else {
                signed.push(header);
            }
        }
        if self.style.payload_header {
            signed.push(("x-amz-content-sha256", request.payload.hash()));
        }
        (signed, unsigned)
    }

    /// The query parameters that the signature covers, and those it does not.
    pub(super) fn own_query(
        &self,
        request: &Request<'_>,
        credentials: &Credentials,
        at: UnixMillis,
        life: PresignedLife,
    ) -> (String, String) {
        let credential = format!(
            "{}/{}",
            credentials.access_key_id,
            self.scope(&day_text(at))
        );
        let mut signed = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={}\
             &X-Amz-SignedHeaders={}",
            encode_uri(&credential),
            time_text(at),
            life.seconds(),
            encode_uri(&Canonical::signed_headers(request, &[])),
        );
        let mut unsigned = String::new();
        if let Some(token) = &credentials.session_token {
            let token = format!("&X-Amz-Security-Token={}", encode_uri(token.expose()));
            let part = if self.style.token_unsigned {
                &mut unsigned
            } else {
                &mut signed
            };
            part.push_str(&token);
        }
        (signed, unsigned)
    }

    /// The signature over a request with what the signer adds to its query and headers.
    pub(super) fn signed(
        &mut self,
        request: &Request<'_>,
        query_addition: &str,
        headers: &[(&'static str, String)],
        credentials: &Credentials,
        at: UnixMillis,
    ) -> Signed {
        let canonical = Canonical::new(request, query_addition, headers, self.style.plain_path);
        let day = day_text(at);
        let string_to_sign = self.string_to_sign(&canonical, at);
        let key = self.day_key(credentials, day);
        let signature = hex::encode(&hmac_sha256(key, string_to_sign.as_bytes()));
        Signed {
            canonical,
            signature,
        }
    }

    pub(super) fn string_to_sign(&self, canonical: &Canonical, at: UnixMillis) -> String {
        format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            time_text(at),
            self.scope(&day_text(at)),
            sha256_hex(canonical.text.as_bytes())
        )
    }

    #[cfg(test)]
    pub(super) fn set_style(&mut self, change: impl FnOnce(&mut Style)) {
        change(&mut self.style);
    }

    fn scope(&self, day: &str) -> String {
        format!("{day}/{}/{}/aws4_request", self.region, self.service)
    }

    fn day_key(&mut self, credentials: &Credentials, day: String) -> &[u8; 32] {
        let fits = self.key.as_ref().is_some_and(|key| {
            key.day == day
                && key.access_key_id == credentials.access_key_id
                && key.secret_access_key == credentials.secret_access_key
        });
        if !fits {
            self.key = None;
        }
        &self
            .key
            .get_or_insert_with(|| {
                let secret = credentials.secret_access_key.clone();
                let start = Zeroizing::new(format!("AWS4{}", secret.expose()));
                let key = [day.as_str(), &self.region, &self.service, "aws4_request"]
                    .into_iter()
                    .fold(None, |key: Option<Zeroizing<[u8; 32]>>, part| {
                        let key_bytes = key.as_ref().map_or(start.as_bytes(), |key| &key[..]);
                        Some(Zeroizing::new(hmac_sha256(key_bytes, part.as_bytes())))
                    })
                    .expect("four parts were folded");
                DayKey {
                    day,
                    access_key_id: credentials.access_key_id.clone(),
                    secret_access_key: secret,
                    key,
                }
            })
            .key
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Payload<'_> {
    /// What the canonical request says of the body.
    pub(super) fn hash(&self) -> String {
        match self {
            Payload::Bytes(bytes) => sha256_hex(bytes),
            Payload::Hash(hash) => hex::encode(hash),
            Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
            Payload::SignedChunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
            Payload::SignedChunksWithTrailer => {
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned()
            }
            Payload::ChunksWithTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        }
    }
}

pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// `20150830T123600Z`
fn time_text(at: UnixMillis) -> String {
    let iso = at.iso();
    let mut text: String = iso
        .chars()
        .take(19)
        .filter(char::is_ascii_alphanumeric)
        .collect();
    text.push('Z');
    text
}

/// `20150830`
fn day_text(at: UnixMillis) -> String {
    let mut text = time_text(at);
    text.truncate(8);
    text
}
