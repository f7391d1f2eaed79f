//! Which passwords are taken.
//!
//! Length and a short list of what attackers try first (NIST SP 800-63B, 5.1.1.2): no rules of
//! composition, which make passwords harder to remember and not harder to guess.

use super::user::UserName;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};

/// What is tried first against devices; longer passwords that merely repeat are caught by rule.
const GUESSED_FIRST: &[&str] = &[
    "12341234",
    "123123123",
    "1q2w3e4r",
    "1qaz2wsx",
    "abcd1234",
    "administrator",
    "admin123",
    "admin1234",
    "changeme",
    "default1",
    "iloveyou",
    "letmein1",
    "letmein123",
    "p@ssw0rd",
    "passw0rd",
    "password",
    "password1",
    "password12",
    "password123",
    "periwinkle",
    "qwer1234",
    "qwerty12",
    "qwerty123",
    "qwertyui",
    "qwertyuiop",
    "raspberry",
    "root1234",
    "secret123",
    "welcome1",
    "welcome123",
];

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Fewer characters than [`PASSWORD_CHARS_MIN`].
    #[error("a password needs at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// More bytes than [`PASSWORD_BYTES_MAX`].
    #[error("a password can have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// It contains nothing that the user's name does not tell.
    #[error("the password is too close to the user's name")]
    LikeName,
    /// It is among what attackers try first.
    #[error("this password is among the first that attackers try; choose another")]
    Guessable,
}

/// Whether `password` may become the password of `user`.
pub fn check_password(password: &str, user: &UserName) -> Result<(), PasswordError> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordError::TooShort);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let lower = password.to_lowercase();
    if like_name(&lower, user.as_str()) {
        return Err(PasswordError::LikeName);
    }
    if GUESSED_FIRST.contains(&lower.as_str()) || repeats(&lower) || runs(&lower) {
        return Err(PasswordError::Guessable);
    }
    Ok(())
}

/// The name forwards, backwards, doubled, or with digits and signs around it.
fn like_name(password: &str, name: &str) -> bool {
    let backwards: String = name.chars().rev().collect();
    let core = password.trim_matches(|c: char| !c.is_alphabetic());
    [password, core]
        .iter()
        .any(|text| *text == name || *text == backwards || *text == format!("{name}{name}"))
}

/// One or two characters over and over.
fn repeats(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    [1, 2]
        .iter()
        .any(|step| chars.iter().zip(&chars[*step..]).all(|(a, b)| a == b))
}

/// Neighbours all the way, up or down: `12345678`, `hgfedcba`.
fn runs(password: &str) -> bool {
    let codes: Vec<i64> = password.chars().map(|c| i64::from(u32::from(c))).collect();
    [1, -1].iter().any(|step| {
        // 9 is followed by 0 on every keyboard.
        let next = |a: i64, b: i64| b - a == *step || (a == 57 && b == 48) || (a == 48 && b == 57);
        codes.windows(2).all(|pair| next(pair[0], pair[1]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_enough_and_not_the_first_guess() {
        use PasswordError::{Guessable, LikeName, TooShort};
        let user = UserName::new("margaret").unwrap();
        for (password, verdict) in [
            ("correct horse", Ok(())),
            ("a1b2c3d4", Ok(())),
            ("margaret hamilton", Ok(())),
            ("пароль-на-сегодня", Ok(())),
            ("1234567", Err(TooShort)),
            ("äöüäöüä", Err(TooShort)),
            ("", Err(TooShort)),
            ("margaret", Err(LikeName)),
            ("MARGARET", Err(LikeName)),
            ("teragram", Err(LikeName)),
            ("margaret123!", Err(LikeName)),
            ("margaretmargaret", Err(LikeName)),
            ("password", Err(Guessable)),
            ("Password123", Err(Guessable)),
            ("12345678", Err(Guessable)),
            ("1234567890", Err(Guessable)),
            ("87654321", Err(Guessable)),
            ("abcdefgh", Err(Guessable)),
            ("aaaaaaaa", Err(Guessable)),
            ("abababab", Err(Guessable)),
            ("        ", Err(Guessable)),
            ("periwinkle", Err(Guessable)),
        ] {
            assert_eq!(check_password(password, &user), verdict, "{password:?}");
        }
    }

    #[test]
    fn a_password_of_the_largest_size_is_taken_and_a_longer_one_is_not() {
        let user = UserName::new("ada").unwrap();
        let of = |length: usize| format!("{}x", "ab-".repeat(length))[..length].to_owned();
        let check = |length| check_password(&of(length), &user);
        assert_eq!(check(PASSWORD_BYTES_MAX), Ok(()));
        assert_eq!(check(PASSWORD_BYTES_MAX + 1), Err(PasswordError::TooLong));
        assert_eq!(check(PASSWORD_CHARS_MIN), Ok(()));
        assert_eq!(check(PASSWORD_CHARS_MIN - 1), Err(PasswordError::TooShort));
    }

    #[test]
    fn every_listed_guess_could_otherwise_pass() {
        for guess in GUESSED_FIRST {
            assert!(guess.chars().count() >= PASSWORD_CHARS_MIN, "{guess}");
            assert_eq!(*guess, guess.to_lowercase());
        }
    }
}
