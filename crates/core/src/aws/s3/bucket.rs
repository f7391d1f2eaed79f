//! Where a bucket answers.

use super::ObjectKey;
use crate::aws::wire::{Endpoint, EndpointError, EndpointOptions, HttpRequest, Service};
use crate::fetch::{Host, Scheme};
use crate::limits;

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

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region of signatures.
    pub fn region(&self) -> &str {
        &self.endpoint.region
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
            Style::Path => authority,
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
