//! Where a service answers ("AWS service endpoints" in the AWS General Reference).

use super::request::HttpRequest;
use super::service::{Reach, Service};
use crate::aws::Credentials;
use crate::aws::sigv4::{OwnHeaders, Payload, Signers};
use crate::fetch::{Host, Url};
use crate::time::UnixMillis;

/// What is asked of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions<'a> {
    /// One that answers over IPv6 too.
    pub dual_stack: bool,
    /// One with validated cryptography.
    pub fips: bool,
    /// An address given by the owner, which decides alone: an emulator, a proxy, an endpoint
    /// within a private network, or that of an account.
    pub custom: Option<&'a Url>,
}

/// Where to send, and for what region to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Scheme, host and port; the path of a custom address is kept as a prefix.
    pub url: Url,
    /// The region of the signature.
    pub region: String,
}

/// Why there is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The region is not one that a host could name.
    #[error("{0:?} is no region; one looks like us-east-1")]
    Region(String),
    /// The host belongs to the account.
    #[error("{0} answers at an address of the account: give it as endpoint")]
    Account(&'static str),
    /// The service has no such endpoint.
    #[error("{0} has no endpoint with these options")]
    Options(&'static str),
}

impl Endpoint {
    /// The endpoint of a service in a region.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(
        service: &Service,
        region: &str,
        options: EndpointOptions<'_>,
    ) -> Result<Endpoint, EndpointError> {
        if !is_region(region) {
            return Err(EndpointError::Region(region.to_owned()));
        }
        let partition = Partition::of(region);
        let global = match service.reach {
            Reach::Global { region } => Some(partition.global_region(region)),
            _ => None,
        };
        let signing_region = global.unwrap_or(region).to_owned();
        if let Some(url) = options.custom {
            return Ok(Endpoint {
                url: url.clone(),
                region: signing_region,
            });
        }
        let host = match service.reach {
            Reach::Account => return Err(EndpointError::Account(service.name)),
            Reach::Global { .. } if options.dual_stack || options.fips => {
                return Err(EndpointError::Options(service.name));
            }
            Reach::Global { .. } => partition.global_host(service.endpoint),
            Reach::Regional => regional_host(service, region, &partition, options),
        };
        let url =
            Url::parse(&format!("https://{host}/")).expect("labels and regions make a host name");
        Ok(Endpoint {
            url,
            region: signing_region,
        })
    }
}

impl Endpoint {
    /// The path of a request here: behind that of an address of the owner.
    pub fn path(&self, request: &HttpRequest) -> String {
        format!("{}{}", self.url.path().trim_end_matches('/'), request.path)
    }

    /// The whole address of a request.
    pub fn address(&self, request: &HttpRequest) -> String {
        let separator = if request.query.is_empty() { "" } else { "?" };
        format!(
            "{}://{}{}{separator}{}",
            self.url.scheme().name(),
            self.url.authority(),
            self.path(request),
            request.query
        )
    }

    /// Signs a request whose body it holds: gives the headers to add.
    pub fn sign(
        &self,
        service: &Service,
        request: &HttpRequest,
        signers: &mut Signers,
        credentials: &Credentials,
        at: UnixMillis,
    ) -> OwnHeaders {
        let (host, path) = (self.url.authority(), self.path(request));
        let payload = Payload::Bytes(&request.body);
        let signer = signers.signer(&self.region, service.signing_name);
        request.signed(host, &path, payload, |request| {
            signer.sign(request, credentials, at)
        })
    }
}

fn regional_host(
    service: &Service,
    region: &str,
    partition: &Partition,
    options: EndpointOptions<'_>,
) -> String {
    let fips = if options.fips { "-fips" } else { "" };
    let label = service.endpoint;
    if service.name == "s3" {
        // S3 had its own form before the common one.
        let dual = if options.dual_stack { ".dualstack" } else { "" };
        return format!("s3{fips}{dual}.{region}.{}", partition.suffix);
    }
    let suffix = if options.dual_stack {
        partition.dual_stack_suffix
    } else {
        partition.suffix
    };
    format!("{label}{fips}.{region}.{suffix}")
}

/// A world of its own with other accounts and names.
struct Partition {
    suffix: &'static str,
    dual_stack_suffix: &'static str,
    /// Where global services are signed for, and what their hosts hold between name and suffix;
    /// `None` for the partition of everybody.
    global: Option<&'static str>,
}

impl Partition {
    fn of(region: &str) -> Partition {
        if region.starts_with("cn-") {
            Partition {
                suffix: "amazonaws.com.cn",
                dual_stack_suffix: "api.amazonwebservices.com.cn",
                global: Some("cn-north-1"),
            }
        } else if region.starts_with("us-gov-") {
            Partition {
                suffix: "amazonaws.com",
                dual_stack_suffix: "api.aws",
                global: Some("us-gov-west-1"),
            }
        } else {
            Partition {
                suffix: "amazonaws.com",
                dual_stack_suffix: "api.aws",
                global: None,
            }
        }
    }

    fn global_region(&self, region: &'static str) -> &'static str {
        self.global.unwrap_or(region)
    }

    fn global_host(&self, label: &str) -> String {
        match self.global {
            Some("us-gov-west-1") => format!("{label}.us-gov.{}", self.suffix),
            Some(region) => format!("{label}.{region}.{}", self.suffix),
            None => format!("{label}.{}", self.suffix),
        }
    }
}

/// The region that a host of AWS names, as `dynamodb.eu-west-1.amazonaws.com` does. The hosts of
/// services that have one for all regions are signed for the first region of their world.
pub fn region_of(host: &Host) -> Option<&str> {
    let Host::Name(name) = host else {
        return None;
    };
    let (inner, first) = [
        (".amazonaws.com", "us-east-1"),
        (".api.aws", "us-east-1"),
        (".amazonaws.com.cn", "cn-north-1"),
        (".api.amazonwebservices.com.cn", "cn-north-1"),
    ]
    .into_iter()
    .find_map(|(suffix, first)| Some((name.strip_suffix(suffix)?, first)))?;
    let named = inner.rsplit('.').find_map(|label| {
        let old_s3 = label
            .strip_prefix("s3-")
            .filter(|rest| looks_like_region(rest));
        old_s3.or(looks_like_region(label).then_some(label))
    });
    Some(named.unwrap_or(first))
}

/// `eu-west-1`, `us-gov-west-1`: two letters, words, a number.
fn looks_like_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let words =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let Some((number, before)) = parts.split_last() else {
        return false;
    };
    (2..=3).contains(&before.len())
        && before[0].len() == 2
        && before.iter().all(words)
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text can be a label of a host, and so a region.
fn is_region(region: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&region.len())
        && region.bytes().all(letter)
        && !region.starts_with('-')
        && !region.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        service: &str,
        region: &str,
        options: EndpointOptions<'_>,
    ) -> Result<(String, String), EndpointError> {
        let service = Service::find(service).unwrap();
        Endpoint::of(service, region, options).map(|found| (found.url.to_string(), found.region))
    }

    #[test]
    fn the_region_is_read_from_the_host() {
        let cases = [
            ("dynamodb.eu-west-1.amazonaws.com", Some("eu-west-1")),
            (
                "bucket.s3.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            (
                "my-bucket-1.s3.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            ("bucket.s3-ap-south-1.amazonaws.com", Some("ap-south-1")),
            ("dynamodb.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("dynamodb.eu-west-1.api.aws", Some("eu-west-1")),
            ("iam.amazonaws.com", Some("us-east-1")),
            ("s3.amazonaws.com", Some("us-east-1")),
            ("localhost", None),
            ("dynamodb.eu-west-1.amazonaws.com.evil.example", None),
        ];
        for (host, expected) in cases {
            let host = Host::parse(host).unwrap();
            assert_eq!(region_of(&host), expected, "{host}");
        }
    }

    #[test]
    fn hosts_follow_from_service_region_and_options() {
        let plain = EndpointOptions::default();
        let dual = EndpointOptions {
            dual_stack: true,
            ..plain
        };
        let fips = EndpointOptions {
            fips: true,
            ..plain
        };
        let both = EndpointOptions { fips: true, ..dual };
        let cases = [
            (
                "dynamodb",
                "eu-west-1",
                plain,
                "dynamodb.eu-west-1.amazonaws.com",
            ),
            ("dynamodb", "eu-west-1", dual, "dynamodb.eu-west-1.api.aws"),
            (
                "logs",
                "us-east-1",
                fips,
                "logs-fips.us-east-1.amazonaws.com",
            ),
            (
                "logs",
                "cn-north-1",
                plain,
                "logs.cn-north-1.amazonaws.com.cn",
            ),
            (
                "logs",
                "cn-north-1",
                dual,
                "logs.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (
                "cloudwatch",
                "us-gov-west-1",
                plain,
                "monitoring.us-gov-west-1.amazonaws.com",
            ),
            ("s3", "eu-west-1", plain, "s3.eu-west-1.amazonaws.com"),
            (
                "s3",
                "eu-west-1",
                dual,
                "s3.dualstack.eu-west-1.amazonaws.com",
            ),
            (
                "s3",
                "us-east-1",
                both,
                "s3-fips.dualstack.us-east-1.amazonaws.com",
            ),
            ("sts", "eu-west-1", plain, "sts.eu-west-1.amazonaws.com"),
        ];
        for (service, region, options, host) in cases {
            let expected = Ok((format!("https://{host}/"), region.to_owned()));
            assert_eq!(
                of(service, region, options),
                expected,
                "{service} {region} {options:?}"
            );
        }
    }

    #[test]
    fn a_global_service_has_one_host_and_one_region() {
        let plain = EndpointOptions::default();
        let pair = |host: &str, region: &str| Ok((format!("https://{host}/"), region.to_owned()));
        assert_eq!(
            of("iam", "eu-west-1", plain),
            pair("iam.amazonaws.com", "us-east-1")
        );
        assert_eq!(
            of("iam", "cn-north-1", plain),
            pair("iam.cn-north-1.amazonaws.com.cn", "cn-north-1")
        );
        assert_eq!(
            of("iam", "us-gov-east-1", plain),
            pair("iam.us-gov.amazonaws.com", "us-gov-west-1")
        );
        let dual = EndpointOptions {
            dual_stack: true,
            ..plain
        };
        assert_eq!(
            of("iam", "eu-west-1", dual),
            Err(EndpointError::Options("iam"))
        );
    }

    #[test]
    fn an_address_of_the_owner_decides_alone() {
        let url = Url::parse("http://127.0.0.1:4566/prefix").unwrap();
        let custom = EndpointOptions {
            custom: Some(&url),
            dual_stack: true,
            ..EndpointOptions::default()
        };
        let expected = Ok((url.to_string(), "eu-west-1".to_owned()));
        assert_eq!(of("dynamodb", "eu-west-1", custom), expected);
        assert_eq!(of("iot-data", "eu-west-1", custom), expected);
        let plain = EndpointOptions::default();
        assert_eq!(
            of("iot-data", "eu-west-1", plain),
            Err(EndpointError::Account("iot-data"))
        );
    }

    #[test]
    fn the_other_side_accepts_what_is_signed_here() {
        use periwinkle_testkit::sigv4_judge::{Account, Received, Refused, judge};
        let custom = Url::parse("http://127.0.0.1:4566/prefix/").unwrap();
        let keys = Credentials::new("AKIDEXAMPLE", "secret").with_token("t");
        let account = Account {
            secret: "secret".into(),
            token: Some("t".into()),
        };
        let mut signers = Signers::new();
        for name in ["dynamodb", "sts", "iot-data", "s3"] {
            let service = Service::find(name).unwrap();
            let options = EndpointOptions {
                custom: Some(&custom),
                ..EndpointOptions::default()
            };
            let endpoint = Endpoint::of(service, "eu-west-1", options).unwrap();
            let mut request = HttpRequest::new("POST", "/a%2Fb")
                .with_parameter("x y", "1/2")
                .with_header("content-type", "text/plain");
            request.body = b"body".to_vec();
            let at = UnixMillis(1_440_938_160_000);
            let own = endpoint.sign(service, &request, &mut signers, &keys, at);
            let headers = request.headers.iter().chain(&own);
            let mut received = Received {
                method: "POST".into(),
                uri: endpoint.address(&request),
                headers: headers
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                body: request.body.clone(),
            };
            assert_eq!(
                received.uri,
                "http://127.0.0.1:4566/prefix/a%2Fb?x%20y=1%2F2"
            );
            assert_eq!(judge(&received, &account), Ok(b"body".to_vec()), "{name}");
            received.body = b"bodY".to_vec();
            let refused = match name {
                "s3" => Refused::BodyHash,
                _ => Refused::Signature,
            };
            assert_eq!(judge(&received, &account), Err(refused), "{name}");
        }
    }

    #[test]
    fn a_region_cannot_lead_to_another_host() {
        for region in ["", "evil.example/", "us east", "-a", "a-", "EU-WEST-1"] {
            assert_eq!(
                of("dynamodb", region, EndpointOptions::default()),
                Err(EndpointError::Region(region.to_owned()))
            );
        }
    }
}
