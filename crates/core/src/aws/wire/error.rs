//! Errors of the protocols, in one form.

use super::request::HttpAnswer;
use super::service::Protocol;
use super::xml::Element;
use crate::aws::ServiceError;

impl ServiceError {
    /// Reads the error answer of a service that speaks this protocol.
    pub fn of_answer(protocol: Protocol, answer: HttpAnswer<'_>) -> ServiceError {
        match protocol {
            Protocol::Json { .. } | Protocol::RestJson => ServiceError::read(
                answer.status,
                answer.header("x-amzn-errortype"),
                answer.body,
            ),
            Protocol::Query { .. } | Protocol::RestXml => {
                let region = answer.header("x-amz-bucket-region");
                ServiceError::read_xml(answer.status, region, answer.body)
            }
        }
    }

    /// Reads an error answer in XML: `<Error>`, bare or within a response.
    ///
    /// `region` is the value of `x-amz-bucket-region`, by which S3 says where a bucket is. An
    /// answer without a body, as to `HEAD`, is judged by its status.
    pub fn read_xml(status: u16, region: Option<&str>, body: &[u8]) -> ServiceError {
        let root = Element::parse(body).ok();
        let error = root.as_ref().and_then(find_error);
        let text = |name: &str| error.and_then(|error| error.text_of(name));
        let message = match error {
            Some(_) => text("Message").unwrap_or_default().to_owned(),
            None => String::from_utf8_lossy(&body[..body.len().min(200)])
                .trim()
                .to_owned(),
        };
        let region = text("Region").or(region);
        ServiceError::of_code(status, text("Code"), message, region)
    }
}

/// `<Error>` itself, or within `<ErrorResponse>`, or within `<Response><Errors>`.
fn find_error(root: &Element) -> Option<&Element> {
    if root.name == "Error" {
        return Some(root);
    }
    let within = root.child("Errors").unwrap_or(root);
    within.child("Error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Effect, Remedy, ServiceErrorKind as Kind};

    fn read(status: u16, code: &str) -> ServiceError {
        let body = format!("<Error><Code>{code}</Code><Message>words</Message></Error>");
        ServiceError::read_xml(status, None, body.as_bytes())
    }

    #[test]
    fn codes_of_s3_are_told_apart() {
        let cases = [
            (404, "NoSuchKey", Kind::NoSuchResource, Remedy::GiveUp),
            (404, "NoSuchBucket", Kind::NoSuchResource, Remedy::GiveUp),
            (404, "NoSuchUpload", Kind::NoSuchResource, Remedy::GiveUp),
            (
                412,
                "PreconditionFailed",
                Kind::PreconditionFailed,
                Remedy::GiveUp,
            ),
            (
                409,
                "ConditionalRequestConflict",
                Kind::TransactionConflict,
                Remedy::Repeat,
            ),
            (
                409,
                "OperationAborted",
                Kind::TransactionConflict,
                Remedy::Repeat,
            ),
            (503, "SlowDown", Kind::Throttled, Remedy::Repeat),
            (503, "ServiceUnavailable", Kind::Unavailable, Remedy::Repeat),
            (500, "InternalError", Kind::Unavailable, Remedy::Repeat),
            (400, "RequestTimeout", Kind::Unavailable, Remedy::Repeat),
            (400, "IncompleteBody", Kind::Damaged, Remedy::Repeat),
            (400, "BadDigest", Kind::Damaged, Remedy::Repeat),
            (
                400,
                "XAmzContentSHA256Mismatch",
                Kind::Damaged,
                Remedy::Repeat,
            ),
            (
                403,
                "RequestTimeTooSkewed",
                Kind::ClockSkew,
                Remedy::SignAnew,
            ),
            (400, "ExpiredToken", Kind::ExpiredToken, Remedy::SignAnew),
            (
                403,
                "SignatureDoesNotMatch",
                Kind::BadSignature,
                Remedy::GiveUp,
            ),
            (
                403,
                "InvalidAccessKeyId",
                Kind::BadSignature,
                Remedy::GiveUp,
            ),
            (403, "AccessDenied", Kind::AccessDenied, Remedy::GiveUp),
            (400, "EntityTooLarge", Kind::Validation, Remedy::GiveUp),
            (400, "EntityTooSmall", Kind::Validation, Remedy::GiveUp),
            (400, "InvalidPart", Kind::Validation, Remedy::GiveUp),
            (400, "InvalidPartOrder", Kind::Validation, Remedy::GiveUp),
            (416, "InvalidRange", Kind::Validation, Remedy::GiveUp),
            (400, "SomethingNew", Kind::Other, Remedy::GiveUp),
            (500, "SomethingNew", Kind::Unavailable, Remedy::Repeat),
        ];
        for (status, code, kind, remedy) in cases {
            let error = read(status, code);
            assert_eq!((&error.kind, error.remedy()), (&kind, remedy), "{code}");
            assert_eq!(error.message, "words");
        }
    }

    #[test]
    fn a_bucket_elsewhere_says_where() {
        let wrong = |region: Option<&str>| Kind::WrongRegion {
            region: region.map(str::to_owned),
        };
        let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message/><Region>eu-west-1</Region></Error>";
        let error = ServiceError::read_xml(400, None, body);
        assert_eq!(
            (&error.kind, error.remedy()),
            (&wrong(Some("eu-west-1")), Remedy::SignAnew)
        );
        assert_eq!(error.effect(), Effect::NotApplied);
        let body =
            b"<Error><Code>PermanentRedirect</Code><Message/><Endpoint>b.s3.x</Endpoint></Error>";
        let error = ServiceError::read_xml(301, Some("us-west-2"), body);
        assert_eq!(error.kind, wrong(Some("us-west-2")));
        assert_eq!(
            error.to_string(),
            "PermanentRedirect:  (the bucket is in the region us-west-2)"
        );
        let error = ServiceError::read_xml(301, Some("us-west-2"), b"");
        assert_eq!(error.kind, wrong(Some("us-west-2")));
        // Without the region it cannot be sent anywhere else.
        let error = ServiceError::read_xml(307, None, b"");
        assert_eq!(
            (&error.kind, error.remedy()),
            (&wrong(None), Remedy::GiveUp)
        );
    }

    #[test]
    fn an_answer_without_xml_is_judged_by_its_status() {
        let read = |status| ServiceError::read_xml(status, None, b"").kind;
        assert_eq!(read(404), Kind::NoSuchResource);
        assert_eq!(read(412), Kind::PreconditionFailed);
        assert_eq!(read(403), Kind::AccessDenied);
        assert_eq!(read(429), Kind::Throttled);
        assert_eq!(read(503), Kind::Unavailable);
        assert_eq!(read(418), Kind::Other);
        let page = ServiceError::read_xml(502, None, b"<html><body>Bad Gateway</body></html>");
        assert_eq!(
            (page.kind, page.code.as_str(), page.message.as_str()),
            (
                Kind::Unavailable,
                "HTTP 502",
                "<html><body>Bad Gateway</body></html>"
            )
        );
    }

    #[test]
    fn the_errors_of_ec2_are_found_in_their_list() {
        let body = b"<Response><Errors><Error><Code>AuthFailure</Code><Message>m</Message></Error></Errors></Response>";
        assert_eq!(
            ServiceError::read_xml(401, None, body).kind,
            Kind::BadSignature
        );
    }
}
