//! What a signed request does with a redirect.
//!
//! A signature holds for one host, path and query, so it cannot be taken along, and the session
//! token beside it opens the account for as long as it lives: it must not reach a stranger.

use super::Signer;
use crate::fetch::{Host, Scheme, Url};

/// How the next hop is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedHop {
    /// Signed anew, for this region.
    Resign {
        /// The region of the host that is to answer.
        region: String,
    },
    /// As it stands, without any of the signer's headers: its query carries a signature.
    Presigned,
}

/// Why a signed request does not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectRefused {
    /// From TLS to none.
    #[error("a signed request does not leave TLS")]
    Downgrade,
    /// To a host that is not of the service.
    #[error("a signed request does not follow to a host that is not of its service")]
    Stranger,
}

/// Decides how a request that `signer` signed for `from` follows to `to`.
///
/// # Errors
/// When it must not.
pub fn redirect(signer: &Signer, from: &Url, to: &Url) -> Result<SignedHop, RedirectRefused> {
    if from.scheme() == Scheme::Https && to.scheme() == Scheme::Http {
        return Err(RedirectRefused::Downgrade);
    }
    if is_presigned(to) {
        return Ok(SignedHop::Presigned);
    }
    if from.host() == to.host() && from.port() == to.port() {
        let region = signer.region().to_owned();
        return Ok(SignedHop::Resign { region });
    }
    let within_s3 = signer.service() == "s3"
        && to.scheme() == Scheme::Https
        && from.port() == to.port()
        && s3_region(from.host()).is_some();
    match s3_region(to.host()) {
        Some(region) if within_s3 => {
            let region = region.unwrap_or(signer.region()).to_owned();
            Ok(SignedHop::Resign { region })
        }
        _ => Err(RedirectRefused::Stranger),
    }
}

fn is_presigned(url: &Url) -> bool {
    let query = url.query().unwrap_or_default();
    query
        .split('&')
        .any(|pair| pair.starts_with("X-Amz-Signature="))
}

/// Whether a host is S3's, and the region that it names, if it names one.
///
/// S3 alone sends its callers to other hosts, those of a bucket's region. Hosts of other services
/// may belong to other customers, such as those of API Gateway.
fn s3_region(host: &Host) -> Option<Option<&str>> {
    let Host::Name(name) = host else {
        return None;
    };
    let inner = [".amazonaws.com", ".amazonaws.com.cn"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))?;
    let labels: Vec<&str> = inner.split('.').collect();
    match labels.as_slice() {
        [.., "s3"] => Some(None),
        [.., "s3", region] | [.., "s3", "dualstack", region] if is_region(region) => {
            Some(Some(region))
        }
        // The spelling of old: `s3-eu-west-1`.
        [.., last] => {
            let region = last.strip_prefix("s3-")?;
            is_region(region).then_some(Some(region))
        }
        [] => None,
    }
}

/// `eu-west-1`, `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    (3..=4).contains(&parts.len())
        && parts[0].len() == 2
        && parts
            .last()
            .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_services_stay_on_their_host() {
        let signer = Signer::new("us-east-1", "execute-api");
        let url = |name: &str| {
            Url::parse(&format!(
                "https://{name}.execute-api.us-east-1.amazonaws.com/"
            ))
            .unwrap()
        };
        assert_eq!(
            redirect(&signer, &url("ours"), &url("theirs")),
            Err(RedirectRefused::Stranger)
        );
    }

    #[test]
    fn the_hosts_of_s3_are_for_its_own_requests() {
        let signer = Signer::new("us-east-1", "sts");
        let url =
            |bucket: &str| Url::parse(&format!("https://{bucket}.s3.us-east-1.amazonaws.com/"));
        assert_eq!(
            redirect(&signer, &url("ours").unwrap(), &url("theirs").unwrap()),
            Err(RedirectRefused::Stranger)
        );
    }

    #[test]
    fn a_signature_is_made_anew_on_the_way_to_the_same_service_and_nowhere_else() {
        use RedirectRefused::{Downgrade, Stranger};
        let resign = |region: &str| {
            Ok(SignedHop::Resign {
                region: region.to_owned(),
            })
        };
        let aws = "https://bucket.s3.us-east-1.amazonaws.com/k";
        let cases = [
            (
                aws,
                "https://bucket.s3.us-east-1.amazonaws.com/other",
                resign("us-east-1"),
            ),
            (
                aws,
                "https://bucket.s3.eu-west-1.amazonaws.com/k",
                resign("eu-west-1"),
            ),
            (
                aws,
                "https://bucket.s3-us-west-2.amazonaws.com/k",
                resign("us-west-2"),
            ),
            (
                aws,
                "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/k",
                resign("eu-west-1"),
            ),
            (
                aws,
                "https://s3.amazonaws.com/bucket/k",
                resign("us-east-1"),
            ),
            (
                aws,
                "https://bucket.s3.us-gov-west-1.amazonaws.com/",
                resign("us-gov-west-1"),
            ),
            (
                aws,
                "https://x.y/?a=b&X-Amz-Signature=00",
                Ok(SignedHop::Presigned),
            ),
            (
                aws,
                "http://bucket.s3.us-east-1.amazonaws.com/k",
                Err(Downgrade),
            ),
            (aws, "https://evil.example/", Err(Stranger)),
            (
                aws,
                "https://s3.us-east-1.amazonaws.com.evil.example/",
                Err(Stranger),
            ),
            (aws, "https://sqs.us-east-1.amazonaws.com/", Err(Stranger)),
            (
                aws,
                "https://bucket.s3.us-east-1.amazonaws.com:8443/",
                Err(Stranger),
            ),
            (aws, "https://bucket.s3.evil.amazonaws.com/", Err(Stranger)),
            (
                "https://local:9000/k",
                "https://local:9000/j",
                resign("us-east-1"),
            ),
            (
                "https://local:9000/k",
                "https://other:9000/k",
                Err(Stranger),
            ),
            (
                "https://local/k",
                "https://bucket.s3.us-east-1.amazonaws.com/",
                Err(Stranger),
            ),
        ];
        let signer = Signer::new("us-east-1", "s3");
        for (from, to, expected) in cases {
            let url = |text| Url::parse(text).unwrap();
            assert_eq!(
                redirect(&signer, &url(from), &url(to)),
                expected,
                "{from} -> {to}"
            );
        }
    }
}
