//! Why a command did not do what it was asked.

use std::fmt;
use std::process::ExitCode;

/// The words for the user and the exit code for scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    words: String,
    /// What to do about it.
    hint: Option<String>,
}

impl Failure {
    fn new(code: u8, words: impl Into<String>) -> Failure {
        Failure {
            code,
            words: words.into(),
            hint: None,
        }
    }

    /// Something that should work did not.
    pub(super) fn internal(words: impl Into<String>) -> Failure {
        Failure::new(1, words)
    }

    /// Configuration, schema or a file cannot be used.
    pub(super) fn input(words: impl Into<String>) -> Failure {
        Failure::new(2, words)
    }

    /// The agent or the system said no.
    pub(super) fn refused(words: impl Into<String>) -> Failure {
        Failure::new(3, words)
    }

    /// No agent answers.
    pub(super) fn unreachable(words: impl Into<String>) -> Failure {
        Failure::new(4, words)
    }

    /// The command line makes no sense.
    pub(super) fn usage(words: impl Into<String>) -> Failure {
        Failure::new(64, words)
    }

    /// A server answered, but not with success.
    #[cfg(feature = "fetch")]
    pub(super) fn answered(status: http::StatusCode, words: impl Into<String>) -> Failure {
        let code = match status.as_u16() {
            300..=399 => 13,
            400..=499 => 14,
            _ => 15,
        };
        Failure::new(code, words)
    }

    /// The user pressed Ctrl-C at a question: what a shell reports for SIGINT.
    pub(super) fn interrupted() -> Failure {
        Failure::new(130, "interrupted; nothing was changed")
    }

    /// Says where it happened.
    pub(super) fn at(mut self, place: &str) -> Failure {
        self.words = format!("{place}: {}", self.words);
        self
    }

    /// Says what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Failure {
        Failure::new(error.exit_code(), error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
    }
}
