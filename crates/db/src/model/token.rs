//! The opaque token of a page: where the next page begins, and for which query.

use periwinkle_core::limits::DB_KEY_BYTES_MAX;

use super::error::DbError;

/// What a token is made of: a checksum over query and place, then the place.
pub(super) fn make(query: &[u8], last_key: &[u8]) -> String {
    let mut text = String::with_capacity(8 + 2 * last_key.len());
    for byte in checksum(query, last_key)
        .to_be_bytes()
        .iter()
        .chain(last_key)
    {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

/// The key after which the page begins.
pub(super) fn parse(query: &[u8], token: &str) -> Result<Vec<u8>, DbError> {
    let bytes = unhex(token).ok_or(DbError::BadToken)?;
    let (sum, key) = bytes.split_at_checked(4).ok_or(DbError::BadToken)?;
    if sum == checksum(query, key).to_be_bytes() {
        Ok(key.to_vec())
    } else {
        Err(DbError::BadToken)
    }
}

/// A checksum, a key, and an index key with its length.
const TOKEN_BYTES_MAX: usize = 4 + 4 + 2 * DB_KEY_BYTES_MAX;

const HEX: &[u8; 16] = b"0123456789abcdef";

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 == 1 || text.len() > 2 * TOKEN_BYTES_MAX {
        return None;
    }
    let digit = |byte: u8| HEX.iter().position(|known| *known == byte);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

/// FNV-1a, folded: tells slips, not forgers; a forged token reads nothing that its sender could
/// not ask for.
fn checksum(query: &[u8], key: &[u8]) -> u32 {
    let bytes = query.iter().chain(&[0]).chain(key);
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (sum >> 32) as u32 ^ sum as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_its_query_alone() {
        let token = make(b"query", b"\x00key\xff");
        assert_eq!(parse(b"query", &token).unwrap(), b"\x00key\xff");
        assert!(parse(b"other", &token).is_err());
    }

    #[test]
    fn a_broken_token_is_refused() {
        let token = make(b"q", b"key");
        let table = [
            "",
            "0",
            "zz",
            "00000000",
            &token[1..],
            &token[..6],
            &token.to_uppercase(),
        ];
        for text in table {
            assert_eq!(parse(b"q", text).unwrap_err().kind(), "bad_token", "{text}");
        }
        assert!(parse(b"q", &"0".repeat(2 * (TOKEN_BYTES_MAX + 1))).is_err());
    }
}
