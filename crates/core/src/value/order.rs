//! Bytes that are in the order of the values: for keys of indexes, as DynamoDB sorts them.
//!
//! `docs/formats/order.md` has the form byte by byte. Only strings, numbers and binary values can
//! be part of a key.

use super::{Number, Value};

const NUMBER: u8 = 0x10;
const STRING: u8 = 0x20;
const BINARY: u8 = 0x30;

const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;

/// What stands for a zero byte inside a text that has an end.
const ESCAPED_ZERO: [u8; 2] = [0, 0xff];
/// The end of such a text: smaller than any byte that could follow in it.
const END: [u8; 2] = [0, 1];

/// Appends the value as the first part of a key, so that no other one begins with it. `false` and
/// nothing appended if the value cannot be in a key.
pub fn append_first(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Number(number) => append_number(number, out),
        Value::String(text) => append_with_end(STRING, text.as_bytes(), out),
        Value::Binary(bytes) => append_with_end(BINARY, bytes, out),
        _ => return false,
    }
    true
}

/// Appends the value as the last part of a key. A text is in front of those that begin with it.
/// `false` and nothing appended if the value cannot be in a key.
pub fn append_last(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Number(number) => append_number(number, out),
        Value::String(text) => append_open(STRING, text.as_bytes(), out),
        Value::Binary(bytes) => append_open(BINARY, bytes, out),
        _ => return false,
    }
    true
}

/// Appends how all texts begin, as the first part of a key, that begin with this one.
pub fn append_first_beginning(text: &str, out: &mut Vec<u8>) {
    out.push(STRING);
    append_escaped(text.as_bytes(), out);
}

fn append_with_end(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    append_escaped(bytes, out);
    out.extend(END);
}

fn append_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    // Hardly any text has a zero in it.
    let mut pieces = bytes.split(|byte| *byte == 0);
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.extend(ESCAPED_ZERO);
        out.extend_from_slice(piece);
    }
}

fn append_open(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// Sign, the power of ten of the first digit, digits in pairs, an end. All but the sign is
/// inverted below zero, where the larger magnitude comes first.
fn append_number(number: &Number, out: &mut Vec<u8>) {
    out.push(NUMBER);
    let (negative, coefficient, exponent) = number.parts();
    if coefficient == 0 {
        return out.push(ZERO);
    }
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    let mut digits = coefficient.to_string().into_bytes();
    let power = i32::from(exponent) + digits.len() as i32 - 1;
    out.push(u8::try_from(power + 130).expect("magnitudes go from 1E-130 to 9.99E+125"));
    if digits.len() % 2 == 1 {
        digits.push(b'0');
    }
    for pair in digits.chunks_exact(2) {
        // 1 to 100: the end is below all of them.
        out.push((pair[0] - b'0') * 10 + (pair[1] - b'0') + 1);
    }
    out.push(0);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::strategies;
    use super::*;

    fn first(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(append_first(value, &mut out));
        out
    }

    fn last(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(append_last(value, &mut out));
        out
    }

    fn number(text: &str) -> Value {
        Value::Number(text.parse().unwrap())
    }

    #[test]
    fn the_form_is_that_of_the_description() {
        let table: &[(Value, &[u8])] = &[
            (number("0"), &[0x10, 2]),
            (number("1"), &[0x10, 3, 130, 11, 0]),
            (number("-1"), &[0x10, 1, !130, !11, 0xff]),
            (number("12.5"), &[0x10, 3, 131, 13, 51, 0]),
            (Value::from("a\0b"), b"\x20a\x00\xffb\x00\x01"),
            (Value::Binary(vec![7]), b"\x30\x07\x00\x01"),
        ];
        for (value, bytes) in table {
            assert_eq!(first(value), *bytes, "{value:?}");
        }
        assert_eq!(last(&Value::from("a\0b")), b"\x20a\0b");
    }

    #[test]
    fn the_corners_of_the_range_are_in_order() {
        let texts = [
            "-9.9999999999999999999999999999999999999E+125",
            "-10",
            "-9.99",
            "-9.9",
            "-1E-130",
            "0",
            "1E-130",
            "1.00001",
            "1.1",
            "9",
            "10",
            "11",
            "100",
            "9.9999999999999999999999999999999999999E+125",
        ];
        let keys: Vec<_> = texts.iter().map(|text| first(&number(text))).collect();
        assert!(keys.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn what_cannot_be_a_key_is_left_out() {
        let mut out = Vec::new();
        for value in [Value::Null, Value::Bool(true), Value::List(Vec::new())] {
            assert!(!append_first(&value, &mut out) && !append_last(&value, &mut out));
        }
        assert!(out.is_empty());
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xfe, 0xff]), 0..6)
    }

    proptest! {
        #[test]
        fn numbers_are_in_the_order_of_their_values(
            one in strategies::number(), other in strategies::number()
        ) {
            let (a, b) = (Value::Number(one), Value::Number(other));
            prop_assert_eq!(first(&a).cmp(&first(&b)), one.cmp(&other));
            prop_assert_eq!(first(&a), last(&a));
        }

        #[test]
        fn binaries_and_texts_are_in_the_order_of_their_bytes_whatever_follows(
            one in bytes(), other in bytes(), tail in bytes(), other_tail in bytes()
        ) {
            let key = |head: &[u8], tail: &[u8]| {
                let mut key = first(&Value::Binary(head.to_vec()));
                append_last(&Value::Binary(tail.to_vec()), &mut key);
                key
            };
            let expected = (&one, &tail).cmp(&(&other, &other_tail));
            prop_assert_eq!(key(&one, &tail).cmp(&key(&other, &other_tail)), expected);
        }

        #[test]
        fn a_beginning_is_that_of_all_texts_that_begin_with_it(
            text in "[a\0]{0,4}", more in "[a\0b]{0,3}"
        ) {
            let mut beginning = Vec::new();
            append_first_beginning(&text, &mut beginning);
            let whole = first(&Value::from(format!("{text}{more}").as_str()));
            prop_assert!(whole.starts_with(&beginning));
        }
    }
}
