//! Where a bucket answers.

use super::ObjectKey;
use crate::aws::Credentials;
use crate::aws::sigv4::{ChunkedBody, ChunkedForm, OwnHeaders, Payload, PresignedLife, Signers};
use crate::aws::wire::{Endpoint, EndpointError, EndpointOptions, HttpRequest, Service};
use crate::fetch::{Host, Scheme};
use crate::limits;
use crate::time::UnixMillis;

/// A bucket at its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    endpoint: Endpoint,
    style: Style,
}

/// Where the name of the bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// In the host.
    VirtualHost,
    /// In the path: for addresses of the owner, and for names with dots, which no wildcard
    /// certificate covers.
    Path,
}

/// Why there is no such bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The name breaks S3's rules.
    #[error(
        "{0:?} is no bucket name: 3 to {max} small letters, digits, dots and hyphens, with a \
         letter or digit at both ends and no address of digits", max = limits::S3_BUCKET_BYTES_MAX
    )]
    Name(String),
    /// There is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

impl Bucket {
    /// A bucket of a region.
    ///
    /// # Errors
    /// When the name breaks the rules ("Bucket naming rules" in the S3 User Guide) or there is no
    /// endpoint.
    pub fn new(
        name: &str,
        region: &str,
        options: EndpointOptions<'_>,
    ) -> Result<Bucket, BucketError> {
        if !is_bucket_name(name) {
            return Err(BucketError::Name(name.to_owned()));
        }
        let service = Service::find("s3").expect("S3 is in the table of services");
        let custom_is_path = options.custom.is_some_and(|url| !is_amazon(url.host()));
        let style = if custom_is_path || name.contains('.') {
            Style::Path
        } else {
            Style::VirtualHost
        };
        Ok(Bucket {
            name: name.to_owned(),
            endpoint: Endpoint::of(service, region, options)?,
            style,
        })
    }

    /// Whether a text follows the rules for names.
    pub fn is_name(text: &str) -> bool {
        is_bucket_name(text)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region of signatures.
    pub fn region(&self) -> &str {
        &self.endpoint.region
    }

    /// Whether S3 itself answers, and no stand-in.
    pub fn is_amazon(&self) -> bool {
        is_amazon(self.endpoint.url.host())
    }

    /// Whether requests travel over TLS.
    pub fn is_tls(&self) -> bool {
        self.endpoint.url.scheme() == Scheme::Https
    }

    /// The value of the field `Host`.
    pub fn host(&self) -> String {
        let authority = self.endpoint.url.authority();
        match self.style {
            Style::VirtualHost => format!("{}.{authority}", self.name),
            Style::Path => authority.to_owned(),
        }
    }

    /// The whole address of a request.
    pub fn url(&self, request: &HttpRequest) -> String {
        let separator = if request.query.is_empty() { "" } else { "?" };
        format!(
            "{}://{}{}{separator}{}",
            self.endpoint.url.scheme().name(),
            self.host(),
            request.path,
            request.query
        )
    }

    /// Signs a request in its headers; `payload` says what is signed of the body. One whose body
    /// comes in chunks is signed by [`Bucket::sign_chunked`].
    pub fn sign(
        &self,
        request: &HttpRequest,
        payload: Payload<'_>,
        signers: &mut Signers,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> OwnHeaders {
        let signer = signers.signer(self.region(), "s3");
        request.signed(&self.host(), &request.path, payload, |request| {
            signer.sign(request, credentials, at)
        })
    }

    /// Signs a request whose body follows in chunks, as [`HttpRequest::with_chunks`] announced
    /// them: gives the headers to add, and what makes the chunks.
    pub fn sign_chunked(
        &self,
        request: &HttpRequest,
        (form, length): (ChunkedForm, u64),
        signers: &mut Signers,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> (OwnHeaders, ChunkedBody) {
        let signer = signers.signer(self.region(), "s3");
        let (headers, chunks) =
            request.signed(&self.host(), &request.path, form.payload(), |request| {
                signer.sign_chunked(request, credentials, at)
            });
        let body = match form {
            ChunkedForm::Unsigned(algorithm) => ChunkedBody::unsigned(algorithm, length),
            form => ChunkedBody::signed(chunks, form.checksum(), length),
        };
        (headers, body)
    }

    /// The address that lets whoever holds it do this request, with any body, while it lives. The
    /// headers of the request must be sent with it.
    pub fn presign(
        &self,
        request: &HttpRequest,
        signers: &mut Signers,
        credentials: &Credentials,
        at: UnixMillis,
        life: PresignedLife,
    ) -> String {
        let signer = signers.signer(self.region(), "s3");
        let query = request.signed(&self.host(), &request.path, Payload::Unsigned, |request| {
            signer.presign(request, credentials, at, life)
        });
        self.url(&HttpRequest {
            query,
            ..request.clone()
        })
    }

    /// A request to the bucket itself.
    pub(super) fn request(&self, method: &'static str) -> HttpRequest {
        HttpRequest::new(method, self.path(""))
    }

    /// A request to an object.
    pub(super) fn object(&self, method: &'static str, key: &ObjectKey) -> HttpRequest {
        HttpRequest::new(method, self.path(&key.encoded()))
    }

    fn path(&self, key: &str) -> String {
        let prefix = self.endpoint.url.path().trim_end_matches('/');
        match self.style {
            Style::VirtualHost => format!("{prefix}/{key}"),
            Style::Path if key.is_empty() => format!("{prefix}/{}", self.name),
            Style::Path => format!("{prefix}/{}/{key}", self.name),
        }
    }
}

fn is_amazon(host: &Host) -> bool {
    let Host::Name(name) = host else {
        return false;
    };
    name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn")
}

fn is_bucket_name(name: &str) -> bool {
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let (first, last) = (label.bytes().next(), label.bytes().last());
        label.bytes().all(|byte| end(byte) || byte == b'-')
            && first.is_some_and(end)
            && last.is_some_and(end)
    };
    (3..=limits::S3_BUCKET_BYTES_MAX).contains(&name.len())
        && name.split('.').all(label)
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Url;

    fn address(name: &str, region: &str, custom: Option<&str>) -> String {
        let custom = custom.map(|text| Url::parse(text).unwrap());
        let options = EndpointOptions {
            custom: custom.as_ref(),
            ..EndpointOptions::default()
        };
        let bucket = Bucket::new(name, region, options).unwrap();
        let key = ObjectKey::new("a b/c").unwrap();
        bucket.url(&bucket.object("GET", &key))
    }

    #[test]
    fn a_bucket_stands_in_the_host_where_it_can() {
        let cases = [
            (
                "logs-7",
                None,
                "https://logs-7.s3.eu-west-1.amazonaws.com/a%20b/c",
            ),
            (
                "a.b",
                None,
                "https://s3.eu-west-1.amazonaws.com/a.b/a%20b/c",
            ),
            (
                "logs-7",
                Some("http://127.0.0.1:4566"),
                "http://127.0.0.1:4566/logs-7/a%20b/c",
            ),
            (
                "logs-7",
                Some("https://h/s3/"),
                "https://h/s3/logs-7/a%20b/c",
            ),
            (
                "logs-7",
                Some("https://s3.dualstack.eu-west-1.amazonaws.com"),
                "https://logs-7.s3.dualstack.eu-west-1.amazonaws.com/a%20b/c",
            ),
        ];
        for (name, custom, expected) in cases {
            assert_eq!(address(name, "eu-west-1", custom), expected);
        }
        let bucket = Bucket::new("a.b", "eu-west-1", EndpointOptions::default()).unwrap();
        assert_eq!(bucket.request("GET").path, "/a.b");
        let bucket = Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap();
        assert_eq!(bucket.request("GET").path, "/");
    }

    /// "Authenticating Requests: Using Query Parameters" in the S3 API reference.
    #[test]
    fn the_presigned_example_of_the_reference_is_met() {
        let url = Url::parse("https://s3.amazonaws.com").unwrap();
        let options = EndpointOptions {
            custom: Some(&url),
            ..EndpointOptions::default()
        };
        let bucket = Bucket::new("examplebucket", "us-east-1", options).unwrap();
        let key = ObjectKey::new("test.txt").unwrap();
        let request = bucket.object("GET", &key);
        let keys = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        let life = PresignedLife::new(std::time::Duration::from_secs(86_400)).unwrap();
        let at = UnixMillis(1_369_353_600_000);
        assert_eq!(
            bucket.presign(&request, &mut Signers::new(), &keys, at, life),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    /// "Authenticating Requests: Using the Authorization Header" there: get, put and list.
    #[test]
    fn the_signed_examples_of_the_reference_are_met() {
        let url = Url::parse("https://s3.amazonaws.com").unwrap();
        let options = EndpointOptions {
            custom: Some(&url),
            ..EndpointOptions::default()
        };
        let bucket = Bucket::new("examplebucket", "us-east-1", options).unwrap();
        let keys = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        let signature = |request: &HttpRequest, body: &[u8]| {
            let at = UnixMillis(1_369_353_600_000);
            let payload = Payload::Bytes(body);
            let own = bucket.sign(request, payload, &mut Signers::new(), &keys, at);
            own.last().unwrap().1.rsplit('=').next().unwrap().to_owned()
        };
        let object = |method, key| bucket.object(method, &ObjectKey::new(key).unwrap());
        let get = object("GET", "test.txt").with_header("range", "bytes=0-9");
        assert_eq!(
            signature(&get, b""),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = object("PUT", "test$file.text")
            .with_header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .with_header("x-amz-storage-class", "REDUCED_REDUNDANCY");
        assert_eq!(
            signature(&put, b"Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        let mut lifecycle = bucket.request("GET");
        lifecycle.query = "lifecycle".to_owned();
        assert_eq!(
            signature(&lifecycle, b""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        let list = bucket
            .request("GET")
            .with_parameter("max-keys", "2")
            .with_parameter("prefix", "J");
        assert_eq!(
            signature(&list, b""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn the_other_side_accepts_a_put_in_chunks() {
        use crate::aws::checksum::{Algorithm, Checksum};
        use crate::aws::s3::PutObject;
        use periwinkle_testkit::sigv4_judge::{Account, Received, Refused, judge};
        let bucket = Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap();
        let keys = Credentials::new("AKIDEXAMPLE", "secret");
        let account = Account {
            secret: "secret".into(),
            token: None,
        };
        let data = vec![7; 70_000];
        let put = PutObject {
            checksum: Some(Checksum::of(Algorithm::Crc32, &data)),
            ..PutObject::new(ObjectKey::new("a/ b").unwrap(), 70_000)
        };
        for form in [
            ChunkedForm::Signed,
            ChunkedForm::SignedWithTrailer(Algorithm::Crc32),
            ChunkedForm::Unsigned(Algorithm::Crc32),
        ] {
            let (request, _) = put.request(&bucket).unwrap();
            let request = request.with_chunks(form, 70_000);
            let announced = (form, 70_000);
            let at = UnixMillis(1_440_938_160_000);
            let mut signers = Signers::new();
            let (own, mut chunks) =
                bucket.sign_chunked(&request, announced, &mut signers, &keys, at);
            let mut body = Vec::new();
            chunks.push(&data, &mut body).unwrap();
            chunks.finish(&mut body).unwrap();
            assert_eq!(
                request.header("content-length"),
                Some(body.len().to_string().as_str())
            );
            let headers = request.headers.iter().chain(&own);
            let mut received = Received {
                method: "PUT".into(),
                uri: bucket.url(&request),
                headers: headers
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                body,
            };
            assert_eq!(judge(&received, &account), Ok(data.clone()), "{form:?}");
            received.body.truncate(100);
            assert!(
                matches!(judge(&received, &account), Err(Refused::Framing(_))),
                "{form:?}"
            );
        }
    }

    #[test]
    fn s3_itself_is_known_by_its_name() {
        let at = |url: &str| {
            let url = Url::parse(url).unwrap();
            let options = EndpointOptions {
                custom: Some(&url),
                ..EndpointOptions::default()
            };
            let bucket = Bucket::new("abc", "eu-west-1", options).unwrap();
            bucket.is_amazon()
        };
        assert!(at("https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com"));
        assert!(!at("http://127.0.0.1:4566") && !at("https://amazonaws.com.example"));
        let plain = Bucket::new("abc", "eu-west-1", EndpointOptions::default()).unwrap();
        assert!(plain.is_amazon());
    }

    #[test]
    fn names_follow_the_rules() {
        let refused = |name: &str| {
            Bucket::new(name, "eu-west-1", EndpointOptions::default())
                == Err(BucketError::Name(name.to_owned()))
        };
        let long = "a".repeat(63);
        for name in ["abc", "a-b.c-d", "1a2", long.as_str()] {
            assert!(!refused(name), "{name}");
        }
        let beyond = "a".repeat(64);
        for name in [
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            "a..b",
            ".abc",
            "192.168.1.1",
            "a/b",
            "a@b.c",
            "xn--abc",
            beyond.as_str(),
        ] {
            assert!(refused(name), "{name}");
        }
    }
}
