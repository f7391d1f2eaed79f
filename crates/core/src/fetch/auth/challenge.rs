//! The challenges of `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110, section 11.6).
//!
//! Both the challenges and their parameters are divided by commas, so one field may hold several
//! challenges, and a reader has to look behind each word to know which it is.

use crate::limits;

/// One challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, in small letters.
    pub scheme: String,
    /// Names, in small letters, and values, without quotes.
    pub parameters: Vec<(String, String)>,
    /// What some schemes have in the place of parameters.
    pub token: Option<String>,
}

impl Challenge {
    /// The value of a parameter; one that comes twice has none.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(given, _)| given == name);
        let value = found.next().map(|(_, value)| value.as_str());
        if found.next().is_some() { None } else { value }
    }
}

/// Reads the challenges of all fields of that name, in their order. Reading a field ends where it
/// stops making sense.
pub fn challenges<'a>(fields: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut left = limits::CHALLENGE_BYTES_MAX;
    for field in fields {
        if field.len() > left {
            break;
        }
        left -= field.len();
        let mut reader = Reader { rest: field };
        while let Some(challenge) = reader.challenge() {
            found.push(challenge);
        }
    }
    found
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn challenge(&mut self) -> Option<Challenge> {
        self.skip_commas();
        let scheme = self.word()?.to_ascii_lowercase();
        let mut challenge = Challenge {
            scheme,
            ..Challenge::default()
        };
        if !self.rest.starts_with([' ', '\t']) {
            return Some(challenge);
        }
        self.skip_space();
        challenge.token = self.token68().map(str::to_owned);
        if challenge.token.is_none() {
            while let Some(parameter) = self.parameter() {
                challenge.parameters.push(parameter);
            }
        }
        self.skip_space();
        if !self.rest.starts_with(',') {
            // The end, or what makes no sense.
            self.rest = "";
        }
        Some(challenge)
    }

    /// `name=value`; nothing is taken when the next word begins another challenge.
    fn parameter(&mut self) -> Option<(String, String)> {
        let mut ahead = Reader { rest: self.rest };
        ahead.skip_commas();
        let name = ahead.word()?.to_ascii_lowercase();
        ahead.skip_space();
        ahead.rest = ahead.rest.strip_prefix('=')?;
        ahead.skip_space();
        let value = match ahead.rest.strip_prefix('"') {
            Some(rest) => {
                ahead.rest = rest;
                ahead.quoted()?
            }
            None => ahead.word()?.to_owned(),
        };
        self.rest = ahead.rest;
        Some((name, value))
    }

    /// A token of RFC 9110, section 5.6.2.
    fn word(&mut self) -> Option<&'a str> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let end = self.rest.bytes().take_while(|byte| letter(*byte)).count();
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// What stands between quotes; a backslash keeps the character behind it.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                _ => value.push(character),
            }
        }
        None
    }

    /// A token of section 11.2, when nothing but the end or another challenge follows it.
    fn token68(&mut self) -> Option<&'a str> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let letters = self.rest.bytes().take_while(|byte| letter(*byte)).count();
        let fill = self.rest[letters..]
            .bytes()
            .take_while(|byte| *byte == b'=')
            .count();
        let (token, rest) = self.rest.split_at(letters + fill);
        let ends = rest.trim_start_matches([' ', '\t']);
        if letters == 0 || !(ends.is_empty() || ends.starts_with(',')) {
            return None;
        }
        self.rest = rest;
        Some(token)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_commas(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(fields: &[&str]) -> Vec<String> {
        challenges(fields.iter().copied())
            .iter()
            .map(|challenge| {
                let token = challenge.token.as_deref().unwrap_or_default();
                let parameters: Vec<String> = challenge
                    .parameters
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("{}[{token}]{}", challenge.scheme, parameters.join("|"))
            })
            .collect()
    }

    #[test]
    fn one_field_may_hold_several_challenges() {
        let cases: &[(&str, &[&str])] = &[
            (r#"Basic realm="simple""#, &["basic[]realm=simple"]),
            (
                r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#,
                &[
                    r#"newauth[]realm=apps|type=1|title=Login to "apps""#,
                    "basic[]realm=simple",
                ],
            ),
            ("Negotiate", &["negotiate[]"]),
            (
                "Negotiate, Basic realm=x",
                &["negotiate[]", "basic[]realm=x"],
            ),
            (
                "NTLM TlRMTQ==, Basic realm=x",
                &["ntlm[TlRMTQ==]", "basic[]realm=x"],
            ),
            (
                r#"Digest realm = "a, b" ,, nonce="=",qop="auth,auth-int""#,
                &["digest[]realm=a, b|nonce==|qop=auth,auth-int"],
            ),
            (",, Basic realm=x", &["basic[]realm=x"]),
            (r#"Basic realm="open"#, &["basic[]"]),
            ("", &[]),
            ("=", &[]),
        ];
        for (field, expected) in cases {
            assert_eq!(shown(&[field]), *expected, "{field}");
        }
        assert_eq!(shown(&["Basic realm=a", "Digest realm=b"]).len(), 2);
    }

    #[test]
    fn a_parameter_that_comes_twice_has_no_value() {
        let found = challenges(["Digest nonce=a, nonce=b, realm=c"]);
        assert_eq!(found[0].parameter("nonce"), None);
        assert_eq!(found[0].parameter("realm"), Some("c"));
    }

    #[test]
    fn challenges_are_read_to_their_bound_and_not_beyond() {
        let field = |bytes: usize| format!("Basic realm={}", "x".repeat(bytes - 12));
        let max = limits::CHALLENGE_BYTES_MAX;
        assert_eq!(challenges([field(max).as_str()]).len(), 1);
        assert_eq!(challenges([field(max + 1).as_str()]).len(), 0);
        assert_eq!(challenges([field(max).as_str(), "Basic"]).len(), 1);
    }

    proptest! {
        #[test]
        fn no_field_breaks_the_reader(field in "(Basic|Digest|=|\"|,| |\\\\|a|é|~){0,30}") {
            let _ = challenges([field.as_str()]);
        }
    }
}
