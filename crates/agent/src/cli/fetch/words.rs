//! What errors of the client mean for a command: its words, what to do next, and its exit code.

use http::StatusCode;

use crate::cli::failure::Failure;
use crate::cli::output::plain;
use crate::fetch::{FetchError, WebSocketError};

/// The failure of an exchange.
pub(super) fn failure(error: &FetchError) -> Failure {
    let words = plain(&error.to_string());
    match error {
        FetchError::Url(_) | FetchError::Request(_) | FetchError::Form(_) => Failure::usage(words),
        FetchError::Config { .. }
        | FetchError::Tls(_)
        | FetchError::Sign(_)
        | FetchError::Body(_)
        | FetchError::Save { .. }
        | FetchError::Downloading { .. } => Failure::input(words),
        FetchError::Connect(_)
        | FetchError::Refused { .. }
        | FetchError::Cut { .. }
        | FetchError::Stale { .. }
        | FetchError::TooSlow { .. }
        | FetchError::RateTooLow { .. } => Failure::unreachable(words),
        FetchError::Status { status, .. } => Failure::answered(*status, words),
        FetchError::WebSocket(error) => match error {
            // Success of another kind than was asked for is of no use.
            WebSocketError::Refused { status, .. } if !status.is_success() => {
                Failure::answered(*status, words)
            }
            WebSocketError::TooSlow { .. } | WebSocketError::Cut(_) | WebSocketError::Silent(_) => {
                Failure::unreachable(words)
            }
            WebSocketError::Field(_) => Failure::usage(words),
            _ => Failure::refused(words),
        },
        FetchError::PlainPassword { .. } => {
            Failure::refused(words).hint("--basic sends the password all the same")
        }
        FetchError::Entropy(_) => Failure::internal(words),
        _ => Failure::refused(words),
    }
}

/// Nothing to say of success; other answers have an exit code of their class.
pub(super) fn verdict(host: &str, status: StatusCode) -> Result<(), Failure> {
    match status.is_success() || status.is_informational() {
        true => Ok(()),
        false => Err(Failure::answered(
            status,
            format!("{host} answered {status}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_answers_has_an_exit_code() {
        for (status, code) in [
            (200, 0),
            (204, 0),
            (301, 13),
            (304, 13),
            (404, 14),
            (503, 15),
            (999, 15),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = verdict("h", status).map_or_else(|failure| failure.code, |()| 0);
            assert_eq!(found, code, "{status}");
        }
    }
}
