//! Which encodings of answers are undone, and how far they may grow (RFC 9110, section 8.4).

use crate::limits;

/// What is sent as `Accept-Encoding` when answers are to be decoded.
pub const ACCEPT_ENCODING: &str = "gzip, br";

/// An encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, `x-gzip`
    Gzip,
    /// `br`
    Brotli,
}

/// Why a body is not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Nobody asked for this encoding.
    #[error("an answer in the encoding {0:?}, which was not asked for")]
    Unknown(String),
    /// There is one over the other over the other.
    #[error("an answer in more than {max} encodings", max = limits::CODINGS_MAX)]
    TooMany,
    /// It grows beyond what answers do: an attack, or a file of nothing but zeros.
    #[error("an answer that grows from {received} bytes to more than {decoded}")]
    Expansion {
        /// How much of it came.
        received: u64,
        /// How much it had become.
        decoded: u64,
    },
    /// It is longer than the caller wants.
    #[error("a decoded answer of more than {0} bytes")]
    TooLong(u64),
}

/// The encodings of an answer, in the order in which they are undone.
///
/// # Errors
/// When one is not known, or there are too many.
pub fn codings(content_encoding: &str) -> Result<Vec<Coding>, DecodeError> {
    let mut found = Vec::new();
    for name in content_encoding.split(',').map(str::trim) {
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" => found.push(Coding::Gzip),
            "br" => found.push(Coding::Brotli),
            _ => return Err(DecodeError::Unknown(name.chars().take(20).collect())),
        }
    }
    if found.len() > limits::CODINGS_MAX {
        return Err(DecodeError::TooMany);
    }
    found.reverse();
    Ok(found)
}

/// The encodings of an answer's way (`Transfer-Encoding`; RFC 9112, section 6.1), in the order in
/// which they are undone, but for the chunks, which come last and are undone where the answer is
/// framed. Nobody asked for others, and servers of old send them all the same.
///
/// # Errors
/// When one is not known, there are too many, or chunks stand elsewhere than at the end.
pub fn transfer_codings(transfer_encoding: &str) -> Result<Vec<Coding>, DecodeError> {
    let (before, last) = match transfer_encoding.rsplit_once(',') {
        Some((before, last)) => (before, last),
        None => ("", transfer_encoding),
    };
    match last.trim().eq_ignore_ascii_case("chunked") {
        true => codings(before),
        false => codings(transfer_encoding),
    }
}

/// Watches a body grow while it is decoded.
#[derive(Clone, Debug)]
pub struct Expansion {
    received: u64,
    decoded: u64,
    decoded_max: u64,
}

impl Expansion {
    /// A body that may be at most that long once it is decoded.
    pub const fn new(decoded_max: u64) -> Expansion {
        Expansion {
            received: 0,
            decoded: 0,
            decoded_max,
        }
    }

    /// So many more bytes came and became so many. A decoder gives what it has in pieces of
    /// bounded length, so that this is asked before more is made.
    ///
    /// # Errors
    /// When it has grown too long, in all or compared with what came.
    pub fn handle_piece(&mut self, received: u64, decoded: u64) -> Result<(), DecodeError> {
        self.received = self.received.saturating_add(received);
        self.decoded = self.decoded.saturating_add(decoded);
        if self.decoded > self.decoded_max {
            return Err(DecodeError::TooLong(self.decoded_max));
        }
        let fair = self.received.saturating_mul(limits::EXPANSION_TIMES_MAX);
        if self.decoded > fair.saturating_add(limits::EXPANSION_FREE_BYTES) {
            return Err(DecodeError::Expansion {
                received: self.received,
                decoded: self.decoded,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_undone_from_the_last_to_the_first() {
        assert_eq!(codings(""), Ok(vec![]));
        assert_eq!(codings("identity"), Ok(vec![]));
        assert_eq!(codings(" X-GZIP "), Ok(vec![Coding::Gzip]));
        assert_eq!(codings("gzip, br"), Ok(vec![Coding::Brotli, Coding::Gzip]));
        assert_eq!(codings("gzip,gzip,gzip"), Err(DecodeError::TooMany));
        assert_eq!(codings("zstd"), Err(DecodeError::Unknown("zstd".into())));
    }

    #[test]
    fn chunks_are_the_last_encoding_of_the_way_and_no_other() {
        for (field, expected) in [
            ("chunked", Ok(vec![])),
            (" Chunked ", Ok(vec![])),
            ("identity", Ok(vec![])),
            ("gzip, chunked", Ok(vec![Coding::Gzip])),
            ("x-gzip", Ok(vec![Coding::Gzip])),
            (
                "chunked, chunked",
                Err(DecodeError::Unknown("chunked".into())),
            ),
            ("chunked, gzip", Err(DecodeError::Unknown("chunked".into()))),
            (
                "deflate, chunked",
                Err(DecodeError::Unknown("deflate".into())),
            ),
            ("gzip, gzip, gzip, chunked", Err(DecodeError::TooMany)),
        ] {
            assert_eq!(transfer_codings(field), expected, "{field}");
        }
    }

    #[test]
    fn a_body_grows_to_its_bound_and_not_beyond() {
        let mut plain = Expansion::new(10);
        assert_eq!(plain.handle_piece(1, 10), Ok(()));
        assert_eq!(plain.handle_piece(0, 1), Err(DecodeError::TooLong(10)));

        let free = limits::EXPANSION_FREE_BYTES;
        let mut bomb = Expansion::new(u64::MAX);
        assert_eq!(bomb.handle_piece(0, free), Ok(()));
        assert_eq!(
            bomb.handle_piece(10, 10 * limits::EXPANSION_TIMES_MAX),
            Ok(())
        );
        assert_eq!(
            bomb.handle_piece(0, 1),
            Err(DecodeError::Expansion {
                received: 10,
                decoded: free + 2001
            })
        );
    }
}
