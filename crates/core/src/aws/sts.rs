//! Typed calls of STS: who am I, and temporary keys of a role.

use super::ServiceError;
use super::wire::xml::{Element, XmlError};
use super::wire::{HttpAnswer, HttpRequest, query_request};
use crate::aws::Credentials;
use crate::limits;
use crate::time::UnixMillis;
use crate::value::{Map, Value};
use std::time::Duration;

const VERSION: &str = "2011-06-15";

/// Asks whose keys these are. Nothing has to be allowed for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetCallerIdentity;

/// Whose keys these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: String,
    /// The full name of the user or the session.
    pub arn: String,
    /// The id of the user or the session.
    pub user_id: String,
}

/// Asks for temporary keys of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssumeRole {
    /// The full name of the role.
    pub role_arn: String,
    /// What the session is called in the logs of the account.
    pub session_name: String,
    /// How long the keys live; what the role allows by default is an hour.
    pub life: Option<Duration>,
    /// A text that the role's trust asks for.
    pub external_id: Option<String>,
    /// A policy that narrows what the role allows.
    pub policy: Option<String>,
}

/// Why a request to STS is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StsRequestError {
    /// A text is too short or too long.
    #[error("{what} of {actual} characters; STS takes {min} to {max}")]
    Length {
        /// Which text.
        what: &'static str,
        /// How long it is.
        actual: usize,
        /// How short it may be.
        min: usize,
        /// How long it may be.
        max: usize,
    },
    /// The session's name has characters that STS does not take.
    #[error("the session name {0:?}; STS takes letters, digits and _+=,.@-")]
    SessionName(String),
    /// The keys cannot live that long.
    #[error("keys for {0:?}; STS gives them for 15 minutes to 12 hours")]
    Life(Duration),
}

/// Why a call of STS has no good answer, once some answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StsCallError {
    /// The service said why.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A good status with a body that is no XML.
    #[error("an answer with a good status that is not STS's: {0}")]
    Xml(#[from] XmlError),
    /// A part of the answer is missing, or not in its form.
    #[error("{0} is missing in an answer of STS, or not in its form")]
    Missing(&'static str),
}

impl GetCallerIdentity {
    /// The request.
    pub fn request(self) -> HttpRequest {
        query_request(VERSION, "GetCallerIdentity", &Map::default())
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// What STS refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<CallerIdentity, StsCallError> {
        let result = result(answer, "GetCallerIdentityResult")?;
        Ok(CallerIdentity {
            account: text(&result, "Account")?,
            arn: text(&result, "Arn")?,
            user_id: text(&result, "UserId")?,
        })
    }
}

impl AssumeRole {
    /// The request.
    ///
    /// # Errors
    /// When STS would not take a part of it.
    pub fn request(&self) -> Result<HttpRequest, StsRequestError> {
        self.check()?;
        let mut parameters = Map::from([
            ("RoleArn", Value::from(self.role_arn.as_str())),
            ("RoleSessionName", Value::from(self.session_name.as_str())),
        ]);
        if let Some(life) = self.life {
            let seconds = i64::try_from(life.as_secs()).expect("at most twelve hours");
            parameters.insert("DurationSeconds", seconds);
        }
        if let Some(external_id) = &self.external_id {
            parameters.insert("ExternalId", external_id.as_str());
        }
        if let Some(policy) = &self.policy {
            parameters.insert("Policy", policy.as_str());
        }
        Ok(query_request(VERSION, "AssumeRole", &parameters))
    }

    /// Reads the answer: keys with their token and end.
    ///
    /// # Errors
    /// What STS refused or failed to do, or that the answer is not in its form.
    pub fn answer(answer: HttpAnswer<'_>) -> Result<Credentials, StsCallError> {
        let result = result(answer, "AssumeRoleResult")?;
        let keys = result
            .child("Credentials")
            .ok_or(StsCallError::Missing("Credentials"))?;
        let expiration = text(keys, "Expiration")?;
        let expires = expiration.parse::<jiff::Timestamp>();
        let expires = expires.map_err(|_| StsCallError::Missing("Expiration"))?;
        Ok(Credentials {
            access_key_id: text(keys, "AccessKeyId")?,
            secret_access_key: text(keys, "SecretAccessKey")?.into(),
            session_token: Some(text(keys, "SessionToken")?.into()),
            expires: Some(UnixMillis(expires.as_millisecond())),
        })
    }

    fn check(&self) -> Result<(), StsRequestError> {
        length(
            "a role's name",
            &self.role_arn,
            (20, limits::STS_ARN_CHARS_MAX),
        )?;
        let max = limits::STS_SESSION_NAME_CHARS_MAX;
        length("a session's name", &self.session_name, (2, max))?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if !self.session_name.bytes().all(letter) {
            return Err(StsRequestError::SessionName(self.session_name.clone()));
        }
        if let Some(external_id) = &self.external_id {
            let max = limits::STS_EXTERNAL_ID_CHARS_MAX;
            length("an external id", external_id, (2, max))?;
        }
        if let Some(policy) = &self.policy {
            length("a policy", policy, (1, limits::STS_POLICY_CHARS_MAX))?;
        }
        match self.life {
            Some(life) if life < limits::STS_LIFE_MIN || life > limits::STS_LIFE_MAX => {
                Err(StsRequestError::Life(life))
            }
            _ => Ok(()),
        }
    }
}

fn length(
    what: &'static str,
    text: &str,
    (min, max): (usize, usize),
) -> Result<(), StsRequestError> {
    let actual = text.chars().count();
    if (min..=max).contains(&actual) {
        return Ok(());
    }
    Err(StsRequestError::Length {
        what,
        actual,
        min,
        max,
    })
}

fn result(answer: HttpAnswer<'_>, name: &'static str) -> Result<Element, StsCallError> {
    if !answer.is_success() {
        return Err(ServiceError::read_xml(answer.status, None, answer.body).into());
    }
    let root = Element::parse(answer.body)?;
    let result = root.child(name).cloned();
    result.ok_or(StsCallError::Missing(name))
}

fn text(element: &Element, name: &'static str) -> Result<String, StsCallError> {
    let text = element.text_of(name).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(StsCallError::Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::ServiceErrorKind;

    fn answer(status: u16, body: &str) -> HttpAnswer<'_> {
        HttpAnswer {
            status,
            headers: &[],
            body: body.as_bytes(),
        }
    }

    fn role() -> AssumeRole {
        AssumeRole {
            role_arn: "arn:aws:iam::123456789012:role/device".into(),
            session_name: "thing-7".into(),
            ..AssumeRole::default()
        }
    }

    #[test]
    fn the_owner_of_keys_is_asked_for_and_read() {
        assert_eq!(
            GetCallerIdentity.request().body,
            b"Action=GetCallerIdentity&Version=2011-06-15"
        );
        let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:x</Arn>\
                    <UserId>U</UserId><Account>1</Account></GetCallerIdentityResult>\
                    </GetCallerIdentityResponse>";
        assert_eq!(
            GetCallerIdentity::answer(answer(200, body)),
            Ok(CallerIdentity {
                account: "1".into(),
                arn: "arn:x".into(),
                user_id: "U".into(),
            })
        );
    }

    #[test]
    fn keys_of_a_role_come_with_their_end() {
        let wanted = AssumeRole {
            life: Some(Duration::from_secs(900)),
            external_id: Some("e:1".into()),
            ..role()
        };
        assert_eq!(
            String::from_utf8(wanted.request().unwrap().body).unwrap(),
            "Action=AssumeRole&Version=2011-06-15&DurationSeconds=900&ExternalId=e%3A1\
             &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fdevice&RoleSessionName=thing-7"
        );
        let body = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
                    <AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                    <SessionToken>t</SessionToken><Expiration>2026-11-22T10:21:53Z</Expiration>\
                    </Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let keys = AssumeRole::answer(answer(200, body)).unwrap();
        let mut expected = Credentials::new("ASIA", "s").with_token("t");
        expected.expires = Some(UnixMillis(1_795_342_913_000));
        assert_eq!(keys, expected);
        let lost = body.replace("<SessionToken>t</SessionToken>", "");
        assert_eq!(
            AssumeRole::answer(answer(200, &lost)),
            Err(StsCallError::Missing("SessionToken"))
        );
    }

    #[test]
    fn a_refusal_is_sorted() {
        let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        let Err(StsCallError::Service(error)) = AssumeRole::answer(answer(403, body)) else {
            panic!("an error was expected");
        };
        assert_eq!(error.kind, ServiceErrorKind::AccessDenied);
    }

    #[test]
    fn a_request_is_taken_to_its_bounds_and_not_beyond() {
        let sends = |change: &dyn Fn(&mut AssumeRole)| {
            let mut role = role();
            change(&mut role);
            role.request().is_ok()
        };
        let arn = |chars: usize| move |role: &mut AssumeRole| role.role_arn = "a".repeat(chars);
        assert!(sends(&arn(20)) && !sends(&arn(19)));
        assert!(sends(&arn(2048)) && !sends(&arn(2049)));
        let name = |text: String| move |role: &mut AssumeRole| role.session_name = text.clone();
        assert!(sends(&name("ab".into())) && !sends(&name("a".into())));
        assert!(sends(&name("a".repeat(64))) && !sends(&name("a".repeat(65))));
        assert!(!sends(&name("a b".into())));
        let life =
            |seconds| move |role: &mut AssumeRole| role.life = Some(Duration::from_secs(seconds));
        assert!(sends(&life(900)) && !sends(&life(899)));
        assert!(sends(&life(43_200)) && !sends(&life(43_201)));
        let external =
            |chars: usize| move |role: &mut AssumeRole| role.external_id = Some("e".repeat(chars));
        assert!(sends(&external(1224)) && !sends(&external(1225)));
        let policy =
            |chars: usize| move |role: &mut AssumeRole| role.policy = Some("p".repeat(chars));
        assert!(sends(&policy(2048)) && !sends(&policy(2049)));
    }
}
