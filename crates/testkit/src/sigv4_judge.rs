//! S3's side of Signature Version 4, by the crate of AWS's own SDK: the signature of a request, the
//! hash of its body, the signatures of its chunks, and what stands behind them.
//!
//! The emulators of S3 look at the first of these only, so this is what a client's bodies are
//! proved against. Checksums are computed here by their definition, bit by bit.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::{SigningParams, sign_chunk, sign_trailer};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::http::Headers;
use base64::Engine as _;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::time::{Duration, SystemTime};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// `PUT`, ...
    pub method: String,
    /// `https://host/path?query`, as it was sent.
    pub uri: String,
    /// All fields but `host`.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent, with whatever stands around its chunks.
    pub body: Vec<u8>,
}

/// What the judge knows of the caller.
#[derive(Clone, Debug)]
pub struct Account {
    /// The secret of the key.
    pub secret: String,
    /// The token that temporary keys come with.
    pub token: Option<String>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A field is missing, or not in its form.
    Field(&'static str),
    /// The signature of the request.
    Signature,
    /// The token is not the account's.
    Token,
    /// The body is not the one whose hash was signed.
    BodyHash,
    /// The chunks are not in their form.
    Framing(&'static str),
    /// The signature of the chunk with this number, from 0.
    Chunk(usize),
    /// The signature of the fields behind the body.
    Trailer,
    /// The body is not as long as announced.
    Length,
    /// The checksum behind the body is not the body's.
    Checksum,
}

/// Accepts a request and gives the body that is meant, or refuses it.
pub fn judge(request: &Received, account: &Account) -> Result<Vec<u8>, Refused> {
    let scope = Scope::of(request)?;
    let identity: Identity = Credentials::new(
        &scope.access_key_id,
        &account.secret,
        account.token.clone(),
        None,
        "judge",
    )
    .into();
    if request.header("x-amz-security-token") != account.token.as_deref() {
        return Err(Refused::Token);
    }
    let params = scope.params(&identity);
    let actual = hex(&Sha256::digest(&request.body));
    let stated = request.header("x-amz-content-sha256");
    if stated.is_none() && scope.service == "s3" {
        return Err(Refused::Field("x-amz-content-sha256"));
    }
    let payload = stated.unwrap_or(&actual);
    check_request(request, &scope, payload, scope.params(&identity))?;
    match payload {
        "UNSIGNED-PAYLOAD" => Ok(request.body.clone()),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
        | "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => check_chunks(request, &scope, payload, &params),
        hash if hash == actual => Ok(request.body.clone()),
        _ => Err(Refused::BodyHash),
    }
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// What the request says of its own signature.
struct Scope {
    access_key_id: String,
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
    time: SystemTime,
}

impl Scope {
    fn of(request: &Received) -> Result<Scope, Refused> {
        let error = Refused::Field("authorization");
        let field = request.header("authorization").ok_or(error.clone())?;
        let fields = field
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or(error.clone())?;
        let part = |name: &str| {
            let mut parts = fields.split(", ");
            parts
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
                .ok_or(error.clone())
        };
        let credential: Vec<&str> = part("Credential")?.split('/').collect();
        let [access_key_id, _, region, service, "aws4_request"] = credential[..] else {
            return Err(error);
        };
        let date = request.header("x-amz-date");
        Ok(Scope {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: part("SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: part("Signature")?.to_owned(),
            time: date
                .and_then(parse_time)
                .ok_or(Refused::Field("x-amz-date"))?,
        })
    }

    fn params<'a>(&'a self, identity: &'a Identity) -> SigningParams<'a, SigningSettings> {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .expect("every part was given")
    }
}

fn check_request(
    request: &Received,
    scope: &Scope,
    payload: &str,
    params: SigningParams<'_, SigningSettings>,
) -> Result<(), Refused> {
    const OWN: [&str; 4] = [
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "authorization",
    ];
    let signed = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .filter(|(name, _)| scope.signed_headers.contains(name) && !OWN.contains(&name.as_str()))
        .collect::<Vec<_>>();
    let signable = SignableRequest::new(
        request.method.as_str(),
        request.uri.as_str(),
        signed.iter().map(|(name, value)| (name.as_str(), *value)),
        SignableBody::Precomputed(payload.to_owned()),
    )
    .map_err(|_| Refused::Framing("the request"))?;
    let ours = sign(signable, &params.into()).map_err(|_| Refused::Signature)?;
    if ours.signature() == scope.signature {
        Ok(())
    } else {
        Err(Refused::Signature)
    }
}

fn check_chunks(
    request: &Received,
    scope: &Scope,
    payload: &str,
    params: &SigningParams<'_, SigningSettings>,
) -> Result<Vec<u8>, Refused> {
    let signed = payload != "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let mut last = scope.signature.clone();
    let mut rest = request.body.as_slice();
    let mut body = Vec::new();
    for number in 0.. {
        let (head, after) = line(rest)?;
        let (length, signature) = match head.split_once(";chunk-signature=") {
            Some((length, signature)) if signed => (length, Some(signature)),
            None if !signed => (head, None),
            _ => return Err(Refused::Framing("the head of a chunk")),
        };
        let length = usize::from_str_radix(length, 16).map_err(|_| Refused::Framing("a length"))?;
        if after.len() < length {
            return Err(Refused::Framing("the end of a chunk"));
        }
        let (data, after) = after.split_at(length);
        if let Some(signature) = signature {
            let ours = sign_chunk(&Bytes::copy_from_slice(data), &last, params)
                .map_err(|_| Refused::Chunk(number))?;
            if ours.signature() != signature {
                return Err(Refused::Chunk(number));
            }
            last = signature.to_owned();
        }
        if length == 0 {
            rest = after;
            break;
        }
        body.extend_from_slice(data);
        rest = after
            .strip_prefix(b"\r\n")
            .ok_or(Refused::Framing("the end of a chunk"))?;
    }
    if request.header("x-amz-decoded-content-length") != Some(&body.len().to_string()) {
        return Err(Refused::Length);
    }
    let trailer = payload.ends_with("-TRAILER");
    check_trailer(request, rest, &body, (trailer, signed), &last, params)?;
    Ok(body)
}

fn check_trailer(
    request: &Received,
    mut rest: &[u8],
    body: &[u8],
    (expected, signed): (bool, bool),
    last: &str,
    params: &SigningParams<'_, SigningSettings>,
) -> Result<(), Refused> {
    let mut fields = Vec::new();
    loop {
        let (field, after) = line(rest)?;
        rest = after;
        if field.is_empty() {
            break;
        }
        fields.push(field.split_once(':').ok_or(Refused::Framing("a field"))?);
    }
    if !rest.is_empty() {
        return Err(Refused::Framing("the end of the body"));
    }
    if !expected {
        return if fields.is_empty() {
            Ok(())
        } else {
            Err(Refused::Trailer)
        };
    }
    let signature = signed.then(|| fields.pop()).flatten();
    let [(name, value)] = fields[..] else {
        return Err(Refused::Trailer);
    };
    if request.header("x-amz-trailer") != Some(name) {
        return Err(Refused::Field("x-amz-trailer"));
    }
    if signed {
        let mut headers = Headers::new();
        headers.insert(name.to_owned(), value.to_owned());
        let ours = sign_trailer(&headers, last, params).map_err(|_| Refused::Trailer)?;
        if signature != Some(("x-amz-trailer-signature", ours.signature())) {
            return Err(Refused::Trailer);
        }
    }
    if checksum(name, body).as_deref() == Some(value) {
        Ok(())
    } else {
        Err(Refused::Checksum)
    }
}

/// The value of a checksum field, by the definition of the checksum.
pub fn checksum(field: &str, body: &[u8]) -> Option<String> {
    let (polynomial, bits) = match field {
        "x-amz-checksum-crc32" => (0xEDB8_8320, 32),
        "x-amz-checksum-crc64nvme" => (0x9A6C_9329_AC4B_C9B5, 64),
        _ => return None,
    };
    let ones = u64::MAX >> (64 - bits);
    let remainder = body.iter().fold(ones, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 }
        })
    });
    let bytes = (remainder ^ ones).to_be_bytes();
    let value = &bytes[8 - bits / 8..];
    Some(base64::engine::general_purpose::STANDARD.encode(value))
}

fn line(bytes: &[u8]) -> Result<(&str, &[u8]), Refused> {
    let end = bytes
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or(Refused::Framing("the end of a line"))?;
    let text = str::from_utf8(&bytes[..end]).map_err(|_| Refused::Framing("a line"))?;
    Ok((text, &bytes[end + 2..]))
}

/// `20150830T123600Z`, by the days of the civil calendar.
fn parse_time(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    // Years begin in March here, so that the leap day is the last of them.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    let seconds = ((since_1970 * 24 + hour) * 60 + minute) * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
