//! Bytes as hexadecimal digits.

/// Two small digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
        .collect()
}

/// Exactly as many bytes, from digits of either size.
pub fn decode<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * BYTES {
        return None;
    }
    let value = |digit: u8| Some(char::from(digit).to_digit(16)? as u8);
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_digits_are_the_same() {
        let all: [u8; 256] = std::array::from_fn(|at| at as u8);
        let digits = encode(&all);
        assert!(digits.starts_with("000102") && digits.ends_with("fdfeff"));
        assert_eq!(decode(&digits), Some(all));
        assert_eq!(decode(&digits.to_uppercase()), Some(all));
    }

    #[test]
    fn what_is_no_digit_or_too_many_is_none() {
        assert_eq!(decode::<2>("0aF1"), Some([0x0a, 0xf1]));
        for text in ["0aF", "0aF1b", "0aF12b", "+aF1", "0ag1", "0a 1", "ää"] {
            assert_eq!(decode::<2>(text), None, "{text}");
        }
    }
}
