//! The one-time code by which the first owner proves to stand before the device.

use std::fmt;

use crate::limits::{SETUP_ATTEMPTS_MAX, SETUP_LIFE};
use crate::time::Mono;

use crate::secret::{Secret, equal_secrets};

/// Thirty-two signs that nobody confuses when reading them aloud or from a screen: no 0 and O, no
/// 1 and I.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Signs of one code; each holds five bits.
const CODE_SIGNS: usize = 8;

/// A code such as `K7QM-2XRF`.
#[derive(Clone)]
pub struct SetupCode(Secret);

impl SetupCode {
    /// The code that these random bytes spell.
    pub fn from_entropy(entropy: [u8; CODE_SIGNS]) -> SetupCode {
        let signs = entropy.map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        SetupCode(Secret::from(signs.iter().collect::<String>()))
    }

    /// The code as people read it, for the terminal and the file only the owner can read.
    pub fn expose(&self) -> String {
        let (front, back) = self.0.expose().split_at(CODE_SIGNS / 2);
        format!("{front}-{back}")
    }

    /// Whether a person typed this code. Case, spaces and dashes do not count.
    fn matches(&self, typed: &str) -> bool {
        let signs: String = typed
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .take(CODE_SIGNS + 1)
            .collect();
        equal_secrets(signs.as_bytes(), self.0.expose().as_bytes())
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode(..)")
    }
}

/// Why an attempt to set up the owner is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// There is an owner.
    #[error("the owner is set up already: log in")]
    Done,
    /// The code lived out.
    #[error("the setup code has expired: `periwinkle setup` on the device makes a new one")]
    Expired,
    /// Too many wrong codes.
    #[error("too many wrong codes: `periwinkle setup` on the device makes a new one")]
    Exhausted,
    /// The code is wrong.
    #[error("this is not the setup code; {left} more attempts")]
    Wrong {
        /// Attempts that are left.
        left: u8,
    },
}

/// Whether the device has an owner, and the code while it has none.
///
/// Contract: [`attempt`](Setup::attempt) checks the code; the caller stores the owner and then
/// calls [`finish`](Setup::finish). Until then the same code opens again, so that a refused
/// password does not cost it.
#[derive(Clone, Debug)]
pub enum Setup {
    /// There is an owner.
    Done,
    /// There is none yet.
    Needed {
        /// What the owner must type.
        code: SetupCode,
        /// Wrong codes so far.
        wrong: u8,
        /// When the code ends.
        until: Mono,
    },
}

impl Setup {
    /// Setup with a fresh code, which replaces any older one.
    pub fn needed(entropy: [u8; CODE_SIGNS], now: Mono) -> Setup {
        Setup::Needed {
            code: SetupCode::from_entropy(entropy),
            wrong: 0,
            until: now + SETUP_LIFE,
        }
    }

    /// Whether there is no owner yet.
    pub fn is_needed(&self) -> bool {
        matches!(self, Setup::Needed { .. })
    }

    /// The code, if one can be used now.
    pub fn code(&self, now: Mono) -> Option<&SetupCode> {
        match self {
            Setup::Needed { code, wrong, until } if *wrong < SETUP_ATTEMPTS_MAX && now < *until => {
                Some(code)
            }
            _ => None,
        }
    }

    /// Judges a code that somebody typed.
    pub fn attempt(&mut self, typed: &str, now: Mono) -> Result<(), SetupError> {
        let Setup::Needed { code, wrong, until } = self else {
            return Err(SetupError::Done);
        };
        if *wrong >= SETUP_ATTEMPTS_MAX {
            return Err(SetupError::Exhausted);
        }
        if now >= *until {
            return Err(SetupError::Expired);
        }
        if code.matches(typed) {
            return Ok(());
        }
        *wrong += 1;
        match SETUP_ATTEMPTS_MAX - *wrong {
            0 => Err(SetupError::Exhausted),
            left => Err(SetupError::Wrong { left }),
        }
    }

    /// The owner is stored.
    pub fn finish(&mut self) {
        *self = Setup::Done;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ENTROPY: [u8; 8] = [0, 1, 31, 33, 8, 9, 255, 64];
    const CODE: &str = "23Z3-ABZ2";

    fn needed() -> Setup {
        Setup::needed(ENTROPY, Mono::ZERO)
    }

    #[test]
    fn a_code_has_two_groups_of_signs_that_nobody_confuses() {
        assert_eq!(SetupCode::from_entropy(ENTROPY).expose(), CODE);
        for sign in [b'0', b'O', b'1', b'I'] {
            assert!(!ALPHABET.contains(&sign));
        }
        let mut signs = ALPHABET.to_vec();
        signs.dedup();
        assert_eq!(signs.len(), 32);
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        for (typed, right) in [
            ("23Z3-ABZ2", true),
            ("23z3-abz2", true),
            ("23Z3ABZ2", true),
            (" 23Z3 ABZ2 ", true),
            ("23Z3-ABZ", false),
            ("23Z3-ABZ22", false),
            ("23Z3-ABZ3", false),
            ("", false),
            ("23Z3-ABZ\u{212a}", false),
        ] {
            let verdict = needed().attempt(typed, Mono::ZERO);
            assert_eq!(verdict.is_ok(), right, "{typed:?}");
        }
    }

    #[test]
    fn ten_wrong_codes_close_the_door_even_to_the_right_one() {
        let mut setup = needed();
        for left in (1..SETUP_ATTEMPTS_MAX).rev() {
            let verdict = setup.attempt("wrong", Mono::ZERO);
            assert_eq!(verdict, Err(SetupError::Wrong { left }));
        }
        assert!(setup.code(Mono::ZERO).is_some());
        assert_eq!(
            setup.attempt("wrong", Mono::ZERO),
            Err(SetupError::Exhausted)
        );
        assert_eq!(setup.attempt(CODE, Mono::ZERO), Err(SetupError::Exhausted));
        assert!(setup.code(Mono::ZERO).is_none());
        assert!(setup.is_needed());
    }

    #[test]
    fn a_code_ends_after_its_life() {
        let last = Mono::from_start(SETUP_LIFE - Duration::from_millis(1));
        let end = Mono::from_start(SETUP_LIFE);
        assert_eq!(needed().attempt(CODE, last), Ok(()));
        assert_eq!(needed().attempt(CODE, end), Err(SetupError::Expired));
        assert!(needed().code(last).is_some());
        assert!(needed().code(end).is_none());
    }

    #[test]
    fn the_right_code_works_again_until_the_owner_is_stored() {
        let mut setup = needed();
        assert_eq!(setup.attempt(CODE, Mono::ZERO), Ok(()));
        assert_eq!(setup.attempt(CODE, Mono::ZERO), Ok(()));
        setup.finish();
        assert_eq!(setup.attempt(CODE, Mono::ZERO), Err(SetupError::Done));
        assert!(!setup.is_needed());
        assert!(setup.code(Mono::ZERO).is_none());
    }

    #[test]
    fn a_code_does_not_print_by_accident() {
        let setup = format!("{:?}", needed());
        assert!(!setup.contains("23Z3"), "{setup}");
    }
}
