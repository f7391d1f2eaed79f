//! What AWS answers when it does not do what was asked.

use crate::value::attribute::item_from_json;
use crate::value::{Map, Value, json};

/// A refusal or failure reported by a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}{}", place(.kind))]
#[non_exhaustive]
pub struct ServiceError {
    /// What it means for the caller.
    pub kind: ServiceErrorKind,
    /// The service's own name for it, such as `ValidationException`, or `HTTP 502` without one.
    pub code: String,
    /// The service's words, or the start of a body that is not in its form.
    pub message: String,
}

/// Where to ask instead, as far as the service said so.
fn place(kind: &ServiceErrorKind) -> String {
    match kind {
        ServiceErrorKind::WrongRegion {
            region: Some(region),
        } => format!(" (the bucket is in the region {region})"),
        _ => String::new(),
    }
}

/// What an error means for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceErrorKind {
    /// The condition of the write was false.
    ConditionFailed {
        /// The item as it is, if the request asked for it and it exists.
        item: Option<Map>,
    },
    /// An insert found the key taken.
    DuplicateItem,
    /// Too many requests; nothing was done.
    Throttled,
    /// The request is wrong and stays wrong.
    Validation,
    /// The keys do not permit it.
    AccessDenied,
    /// There is no such table.
    NotFound,
    /// Our clock is too far from the server's: correct it by the `Date` of the answer.
    ClockSkew,
    /// The temporary keys have run out.
    ExpiredToken,
    /// Unknown key, wrong secret or wrong token.
    BadSignature,
    /// Another transaction touches the same items, or this one is still running.
    TransactionConflict,
    /// The transaction was given up; nothing was done.
    TransactionCancelled {
        /// One reason per action, in the order of the request.
        reasons: Vec<CancelReason>,
    },
    /// The service failed or was not reached by what answered for it.
    Unavailable,
    /// All items of one partition key together are too large (10 GB with a local index).
    ItemCollectionLimit,
    /// There is no such object, bucket, upload or entity.
    NoSuchResource,
    /// What the request was conditional on is not so: the object is another, or there is one.
    PreconditionFailed,
    /// The bucket is in another region.
    WrongRegion {
        /// Which one, if the service said so.
        region: Option<String>,
    },
    /// The body did not arrive as it was sent.
    Damaged,
    /// Anything else.
    Other,
}

/// Why one action did not let its transaction pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelReason {
    /// `None` when this action was not the cause, otherwise what was wrong with it.
    pub kind: Option<ServiceErrorKind>,
    /// The service's own name, `None` included.
    pub code: String,
    /// The service's words, often empty.
    pub message: String,
}

/// What is known of a write that was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was certainly not applied by this attempt.
    NotApplied,
    /// It may have been applied.
    Unknown,
}

/// What a caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Send the same request again after a growing pause.
    Repeat,
    /// Correct the clock or renew the keys, then send the same request again, signed anew.
    SignAnew,
    /// The request has its answer: repeating it unchanged changes nothing.
    GiveUp,
}

impl ServiceError {
    /// Reads an error answer.
    ///
    /// `type_header` is the value of `x-amzn-ErrorType`. The body is expected to be JSON; any other
    /// (a proxy's page, say) is judged by its status, and its start becomes the message.
    pub fn read(status: u16, type_header: Option<&str>, body: &[u8]) -> ServiceError {
        let fields = json::parse_bytes(body).ok().and_then(Value::into_map);
        let mut fields = fields.unwrap_or_else(|| {
            Map::from([(
                "message",
                String::from_utf8_lossy(&body[..body.len().min(200)]).trim(),
            )])
        });
        let code = fields
            .text("__type")
            .or(type_header)
            .or_else(|| fields.text("code"))
            .map(short_code)
            .filter(|code| !code.is_empty());
        let message = ["message", "Message"]
            .iter()
            .find_map(|name| fields.text(name));
        let message = message.unwrap_or_default().to_owned();
        let Some(code) = code.map(str::to_owned) else {
            let code = format!("HTTP {status}");
            return ServiceError {
                kind: kind_of_status(status),
                code,
                message,
            };
        };
        let kind = match kind_of_code(&code, &message).unwrap_or_else(|| kind_of_status(status)) {
            ServiceErrorKind::ConditionFailed { .. } => ServiceErrorKind::ConditionFailed {
                item: take_item(&mut fields),
            },
            ServiceErrorKind::TransactionCancelled { .. } => {
                ServiceErrorKind::TransactionCancelled {
                    reasons: take_reasons(&mut fields),
                }
            }
            kind => kind,
        };
        ServiceError {
            kind,
            code,
            message,
        }
    }

    /// An error whose parts were read from XML.
    pub(super) fn of_code(
        status: u16,
        code: Option<&str>,
        message: String,
        region: Option<&str>,
    ) -> ServiceError {
        let code = code.map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let kind = match kind_of_code(&code, &message) {
            Some(kind) => kind,
            None => match status {
                301 | 307 => ServiceErrorKind::WrongRegion { region: None },
                404 => ServiceErrorKind::NoSuchResource,
                412 => ServiceErrorKind::PreconditionFailed,
                _ => kind_of_status(status),
            },
        };
        let kind = match kind {
            ServiceErrorKind::WrongRegion { .. } => ServiceErrorKind::WrongRegion {
                region: region.map(str::to_owned),
            },
            kind => kind,
        };
        ServiceError {
            kind,
            code,
            message,
        }
    }

    /// What a caller should do about it.
    pub fn remedy(&self) -> Remedy {
        self.kind.remedy()
    }

    /// What is known of the write that got this answer.
    pub fn effect(&self) -> Effect {
        match self.kind {
            ServiceErrorKind::Unavailable => Effect::Unknown,
            // The same token is still being worked on by an earlier attempt.
            ServiceErrorKind::TransactionConflict if self.code.contains("InProgress") => {
                Effect::Unknown
            }
            _ => Effect::NotApplied,
        }
    }
}

impl ServiceErrorKind {
    /// What a caller should do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Throttled | Self::TransactionConflict | Self::Unavailable | Self::Damaged => {
                Remedy::Repeat
            }
            Self::ClockSkew | Self::ExpiredToken | Self::WrongRegion { region: Some(_) } => {
                Remedy::SignAnew
            }
            Self::TransactionCancelled { reasons } => reasons
                .iter()
                .filter_map(|reason| reason.kind.as_ref())
                .map(ServiceErrorKind::remedy)
                // One reason that stays is enough for the whole to stay refused.
                .reduce(|one, other| if one == other { one } else { Remedy::GiveUp })
                .unwrap_or(Remedy::GiveUp),
            _ => Remedy::GiveUp,
        }
    }

    /// A fixed word for status pages, logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConditionFailed { .. } => "condition_failed",
            Self::DuplicateItem => "duplicate_item",
            Self::Throttled => "throttled",
            Self::Validation => "validation",
            Self::AccessDenied => "access_denied",
            Self::NotFound => "table_not_found",
            Self::ClockSkew => "clock_skew",
            Self::ExpiredToken => "expired_token",
            Self::BadSignature => "bad_signature",
            Self::TransactionConflict => "transaction_conflict",
            Self::TransactionCancelled { .. } => "transaction_cancelled",
            Self::Unavailable => "unavailable",
            Self::ItemCollectionLimit => "item_collection_limit",
            Self::NoSuchResource => "no_such_resource",
            Self::PreconditionFailed => "precondition_failed",
            Self::WrongRegion { .. } => "wrong_region",
            Self::Damaged => "damaged",
            Self::Other => "other",
        }
    }

    /// What the owner of the device can do about it, where that is known.
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::AccessDenied => {
                "the keys are valid but their policy does not allow this; compare it with cloud/template.yaml"
            }
            Self::NotFound => "check the table name, the region and the account of the keys",
            Self::ClockSkew => {
                "the device's clock is wrong; it is corrected from the server's answer"
            }
            Self::ExpiredToken => {
                "the temporary keys ran out; they are renewed, or must be replaced if they were given by hand"
            }
            Self::BadSignature => "check the access key, its secret and its session token",
            Self::Throttled => "the table's capacity is used up; sending slows down by itself",
            Self::Unavailable => "the service did not work just now; it is tried again",
            Self::ItemCollectionLimit => {
                "this partition has reached 10 GB; remove rows or start another partition"
            }
            Self::NoSuchResource => "check the name, the region and the account of the keys",
            Self::WrongRegion { .. } => "configure the region in which the bucket is",
            Self::Damaged => "the body was damaged on its way; it is sent again",
            _ => return None,
        })
    }
}

/// `com.amazon#Name` and `Name:http://…` are both `Name`.
fn short_code(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code).trim()
}

fn kind_of_code(code: &str, message: &str) -> Option<ServiceErrorKind> {
    use ServiceErrorKind as Kind;
    Some(match code.strip_suffix("Exception").unwrap_or(code) {
        "ConditionalCheckFailed" => Kind::ConditionFailed { item: None },
        "DuplicateItem" => Kind::DuplicateItem,
        "ProvisionedThroughputExceeded"
        | "Throttling"
        | "ThrottlingError"
        | "Throttled"
        | "RequestLimitExceeded"
        | "LimitExceeded"
        | "TooManyRequests"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "BandwidthLimitExceeded"
        | "EC2Throttled"
        | "RequestThrottled" => Kind::Throttled,
        "Validation"
        | "ValidationError"
        | "Serialization"
        | "UnknownOperation"
        | "InvalidParameterValue"
        | "MissingParameter"
        | "EntityTooLarge"
        | "EntityTooSmall"
        | "InvalidPart"
        | "InvalidPartOrder"
        | "InvalidRange"
        | "InvalidRequest"
        | "InvalidArgument"
        | "KeyTooLongError"
        | "MalformedXML" => Kind::Validation,
        "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "OptInRequired"
        | "AccountProblem" => Kind::AccessDenied,
        "ResourceNotFound" | "TableNotFound" => Kind::NotFound,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Kind::ClockSkew,
        "InvalidSignature" | "SignatureDoesNotMatch" if is_about_time(message) => Kind::ClockSkew,
        "ExpiredToken" | "TokenRefreshRequired" => Kind::ExpiredToken,
        "UnrecognizedClient" | "InvalidToken" if message.contains("expired") => Kind::ExpiredToken,
        "InvalidSignature"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClient"
        | "InvalidToken"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "AuthFailure" => Kind::BadSignature,
        "TransactionConflict" | "TransactionInProgress" | "ReplicatedWriteConflict" => {
            Kind::TransactionConflict
        }
        "TransactionCanceled" => Kind::TransactionCancelled {
            reasons: Vec::new(),
        },
        "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" | "NoSuchVersion" | "NoSuchEntity" => {
            Kind::NoSuchResource
        }
        "PreconditionFailed" => Kind::PreconditionFailed,
        "ConditionalRequestConflict" | "OperationAborted" => Kind::TransactionConflict,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraint" => Kind::WrongRegion { region: None },
        "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch" | "RequestIncomplete" => {
            Kind::Damaged
        }
        "ItemCollectionSizeLimitExceeded" => Kind::ItemCollectionLimit,
        "InternalServerError"
        | "InternalServer"
        | "InternalFailure"
        | "InternalError"
        | "RequestTimeout"
        | "ServiceUnavailable" => Kind::Unavailable,
        _ => return None,
    })
}

/// A signature whose date is refused is told apart only by its words.
fn is_about_time(message: &str) -> bool {
    [
        "Signature expired",
        "Signature not yet current",
        "is now earlier than",
        "is still later than",
    ]
    .iter()
    .any(|words| message.contains(words))
}

fn kind_of_status(status: u16) -> ServiceErrorKind {
    match status {
        429 => ServiceErrorKind::Throttled,
        401 | 403 => ServiceErrorKind::AccessDenied,
        408 | 500.. => ServiceErrorKind::Unavailable,
        _ => ServiceErrorKind::Other,
    }
}

fn take_item(fields: &mut Map) -> Option<Map> {
    fields
        .remove("Item")
        .and_then(|item| item_from_json(item).ok())
}

fn take_reasons(fields: &mut Map) -> Vec<CancelReason> {
    let Some(Value::List(reasons)) = fields.remove("CancellationReasons") else {
        return Vec::new();
    };
    let fields = reasons
        .into_iter()
        .map(|reason| reason.into_map().unwrap_or_default());
    fields.map(CancelReason::read).collect()
}

impl CancelReason {
    /// Reads one `{Code, Message, Item}`, as transactions and batches of statements give it.
    pub(super) fn read(mut fields: Map) -> CancelReason {
        let code = fields.text("Code").unwrap_or("None").to_owned();
        let message = fields.text("Message").unwrap_or_default().to_owned();
        let kind = match (code.as_str(), kind_of_code(&code, &message)) {
            ("None", _) => None,
            (_, Some(ServiceErrorKind::ConditionFailed { .. })) => {
                Some(ServiceErrorKind::ConditionFailed {
                    item: take_item(&mut fields),
                })
            }
            (_, kind) => Some(kind.unwrap_or(ServiceErrorKind::Other)),
        };
        CancelReason {
            kind,
            code,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ServiceErrorKind as Kind;

    fn read(status: u16, body: &str) -> ServiceError {
        ServiceError::read(status, None, body.as_bytes())
    }

    #[test]
    fn codes_are_told_apart() {
        let of = |code: &str, message: &str| {
            read(
                400,
                &format!(
                    r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#
                ),
            )
        };
        let expired = "Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)";
        let early =
            "Signature not yet current: 20260101T004000Z is still later than 20260101T002500Z";
        let invalid = "The security token included in the request is invalid.";
        let cases = [
            (
                "ConditionalCheckFailedException",
                "",
                Kind::ConditionFailed { item: None },
            ),
            (
                "ProvisionedThroughputExceededException",
                "",
                Kind::Throttled,
            ),
            ("ThrottlingException", "", Kind::Throttled),
            ("RequestLimitExceeded", "", Kind::Throttled),
            ("ValidationException", "", Kind::Validation),
            ("SerializationException", "", Kind::Validation),
            ("AccessDeniedException", "", Kind::AccessDenied),
            ("ResourceNotFoundException", "", Kind::NotFound),
            ("InvalidSignatureException", expired, Kind::ClockSkew),
            ("InvalidSignatureException", early, Kind::ClockSkew),
            (
                "InvalidSignatureException",
                "does not match",
                Kind::BadSignature,
            ),
            ("UnrecognizedClientException", invalid, Kind::BadSignature),
            (
                "MissingAuthenticationTokenException",
                "",
                Kind::BadSignature,
            ),
            ("IncompleteSignatureException", "", Kind::BadSignature),
            ("ExpiredTokenException", "", Kind::ExpiredToken),
            (
                "TransactionConflictException",
                "",
                Kind::TransactionConflict,
            ),
            (
                "TransactionInProgressException",
                "",
                Kind::TransactionConflict,
            ),
            (
                "TransactionCanceledException",
                "",
                Kind::TransactionCancelled { reasons: vec![] },
            ),
            (
                "ItemCollectionSizeLimitExceededException",
                "",
                Kind::ItemCollectionLimit,
            ),
            ("DuplicateItemException", "", Kind::DuplicateItem),
            ("InternalServerError", "", Kind::Unavailable),
            ("IdempotentParameterMismatchException", "", Kind::Other),
        ];
        for (code, message, kind) in cases {
            let error = of(code, message);
            assert_eq!(error.kind, kind, "{code}");
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                (code, message)
            );
        }
    }

    #[test]
    fn the_type_header_serves_where_the_body_says_nothing() {
        let header = Some("AccessDeniedException:http://internal.amazon.com/coral/");
        let error = ServiceError::read(400, header, br#"{"Message":"no"}"#);
        assert_eq!(error.kind, Kind::AccessDenied);
        assert_eq!(error.to_string(), "AccessDeniedException: no");
    }

    #[test]
    fn a_page_that_is_not_from_the_service_is_judged_by_its_status() {
        let error = read(502, "<html>bad gateway</html>\n");
        assert_eq!(error.kind, Kind::Unavailable);
        assert_eq!(error.to_string(), "HTTP 502: <html>bad gateway</html>");
        assert_eq!(read(200, "").kind, Kind::Other);
        assert_eq!(read(429, "[]").kind, Kind::Throttled);
        assert_eq!(read(503, r#"{"__type":"Strange"}"#).kind, Kind::Unavailable);
    }

    #[test]
    fn a_failed_condition_brings_the_item() {
        let error = read(
            400,
            r#"{"__type":"ConditionalCheckFailedException","message":"The conditional request failed","Item":{"pk":{"S":"a"},"_v":{"N":"7"}}}"#,
        );
        let item = Map::from([("pk", Value::from("a")), ("_v", Value::from(7))]);
        assert_eq!(error.kind, Kind::ConditionFailed { item: Some(item) });
    }

    #[test]
    fn a_cancelled_transaction_names_its_reasons_in_order() {
        let error = read(
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message":"Transaction cancelled",
                "CancellationReasons":[
                    {"Code":"None"},
                    {"Code":"ConditionalCheckFailed","Message":"failed","Item":{"n":{"N":"1"}}},
                    {"Code":"TransactionConflict","Message":"ongoing"},
                    {"Code":"ItemCollectionSizeLimitExceeded"}]}"#,
        );
        let Kind::TransactionCancelled { reasons } = &error.kind else {
            panic!("{error:?}")
        };
        let kinds: Vec<_> = reasons.iter().map(|reason| reason.kind.clone()).collect();
        assert_eq!(
            kinds,
            [
                None,
                Some(Kind::ConditionFailed {
                    item: Some(Map::from([("n", 1)]))
                }),
                Some(Kind::TransactionConflict),
                Some(Kind::ItemCollectionLimit),
            ]
        );
        assert_eq!(error.remedy(), Remedy::GiveUp);
    }

    #[test]
    fn only_what_may_pass_later_is_repeated() {
        let conflict = |code: &str| CancelReason::read(Map::from([("Code", code)]));
        let cancelled = |codes: &[&str]| Kind::TransactionCancelled {
            reasons: codes.iter().map(|code| conflict(code)).collect(),
        };
        assert_eq!(
            cancelled(&["None", "TransactionConflict"]).remedy(),
            Remedy::Repeat
        );
        assert_eq!(
            cancelled(&["ThrottlingError", "TransactionConflict"]).remedy(),
            Remedy::Repeat
        );
        assert_eq!(
            cancelled(&["ConditionalCheckFailed", "TransactionConflict"]).remedy(),
            Remedy::GiveUp
        );
        assert_eq!(Kind::ClockSkew.remedy(), Remedy::SignAnew);
        assert_eq!(Kind::Throttled.remedy(), Remedy::Repeat);
        assert_eq!(Kind::BadSignature.remedy(), Remedy::GiveUp);
    }

    #[test]
    fn only_failures_of_the_service_leave_the_outcome_open() {
        let effect =
            |status, code: &str| read(status, &format!(r#"{{"__type":"{code}"}}"#)).effect();
        assert_eq!(effect(500, "InternalServerError"), Effect::Unknown);
        assert_eq!(
            effect(400, "TransactionInProgressException"),
            Effect::Unknown
        );
        assert_eq!(
            effect(400, "TransactionConflictException"),
            Effect::NotApplied
        );
        assert_eq!(effect(400, "ThrottlingException"), Effect::NotApplied);
        assert_eq!(
            effect(400, "ConditionalCheckFailedException"),
            Effect::NotApplied
        );
        assert_eq!(read(504, "").effect(), Effect::Unknown);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_back_is_an_error_with_a_name(
            status in 100_u16..600,
            header in proptest::option::of(".{0,20}"),
            body in "(\\{\"__type\":\")?.{0,40}",
        ) {
            let error = ServiceError::read(status, header.as_deref(), body.as_bytes());
            proptest::prop_assert!(!error.code.is_empty());
            proptest::prop_assert!(error.message.len() <= 800);
        }
    }
}
