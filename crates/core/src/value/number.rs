//! Decimal numbers of up to 38 digits, exact, as DynamoDB keeps them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A decimal number as DynamoDB keeps it: up to 38 significant digits, zero or a magnitude from
/// 1E-130 to 9.99E+125.
///
/// There is one representation per value (`1.0`, `1` and `10E-1` are the same number), so equality,
/// order and hash are those of the value. It is never read from or computed through a float.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Number {
    // The value is (-1)^negative * (high * 2^64 + low) * 10^exponent. The coefficient has no
    // trailing zero, and zero is all fields zero. Two halves instead of a `u128` keep the
    // alignment, and with it every `Value`, small.
    high: u64,
    low: u64,
    exponent: i16,
    negative: bool,
}

/// Why a number cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// The text is not a decimal number.
    #[error("not a decimal number")]
    Syntax,
    /// There are more than 38 significant digits.
    #[error("more than 38 significant digits")]
    TooManyDigits,
    /// The magnitude is above 9.99E+125.
    #[error("the magnitude is larger than 9.99E+125")]
    Overflow,
    /// The magnitude is below 1E-130 and not zero.
    #[error("the magnitude is smaller than 1E-130")]
    Underflow,
    /// A float that is infinite or not a number.
    #[error("not a finite number")]
    NotFinite,
}

impl Number {
    /// Significant digits a number can have.
    pub const DIGITS_MAX: u32 = 38;
    /// Zero.
    pub const ZERO: Number = Number {
        high: 0,
        low: 0,
        exponent: 0,
        negative: false,
    };
    /// One.
    pub const ONE: Number = Number {
        high: 0,
        low: 1,
        exponent: 0,
        negative: false,
    };

    /// The number as an integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        let magnitude = self.integer_magnitude()?;
        if self.negative {
            0_i64.checked_sub_unsigned(u64::try_from(magnitude).ok()?)
        } else {
            i64::try_from(magnitude).ok()
        }
    }

    /// The number as an integer, if it is one, is not negative and fits.
    pub fn as_u64(&self) -> Option<u64> {
        let magnitude = self.integer_magnitude()?;
        if self.negative {
            None
        } else {
            u64::try_from(magnitude).ok()
        }
    }

    /// The nearest float: for charts and statistics, never for storing.
    pub fn to_f64(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.coefficient(), self.exponent)
            .parse()
            .expect("a coefficient and an exponent are a float's text")
    }

    /// The text that JavaScript writes for it: with an exponent from 1e21 on, and below 1e-6.
    ///
    /// That is what a number becomes in the keys that a cloud application makes.
    pub fn to_javascript(&self) -> String {
        let leading = self.leading_exponent();
        if self.is_zero() || (-6..=20).contains(&leading) {
            return self.to_string();
        }
        let sign = if self.negative { "-" } else { "" };
        let digits = self.coefficient().to_string();
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{point}{rest}e{leading:+}")
    }

    /// Whether it is zero.
    pub const fn is_zero(&self) -> bool {
        self.high == 0 && self.low == 0
    }

    /// Whether it is below zero.
    pub const fn is_negative(&self) -> bool {
        self.negative
    }

    /// How many significant digits it has; none for zero.
    pub fn digits(&self) -> usize {
        digit_count(self.coefficient()) as usize
    }

    /// The exact sum; an error where it needs more than 38 digits or leaves the range.
    pub fn checked_add(self, other: Number) -> Result<Number, NumberError> {
        let (high, low) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        if low.is_zero() {
            return Ok(high);
        }
        if high.is_zero() {
            return Ok(low);
        }
        // The sum ends where the finer number ends, in a digit that is not zero unless both end
        // there. So what does not fit 128 bits when brought to that exponent has 39 digits or more.
        let shift = u32::from(high.exponent.abs_diff(low.exponent));
        let coarse = 10_u128
            .checked_pow(shift)
            .and_then(|scale| scale.checked_mul(high.coefficient()))
            .ok_or(NumberError::TooManyDigits)?;
        let fine = low.coefficient();
        let (negative, sum) = if high.negative == low.negative {
            (
                low.negative,
                coarse.checked_add(fine).ok_or(NumberError::TooManyDigits)?,
            )
        } else if coarse >= fine {
            (high.negative, coarse - fine)
        } else {
            (low.negative, fine - coarse)
        };
        Number::from_parts(negative, sum, i64::from(low.exponent))
    }

    /// The exact difference; an error where it needs more than 38 digits or leaves the range.
    pub fn checked_sub(self, other: Number) -> Result<Number, NumberError> {
        self.checked_add(-other)
    }

    /// The one representation of `(-1)^negative * coefficient * 10^exponent`.
    fn from_parts(negative: bool, coefficient: u128, exponent: i64) -> Result<Number, NumberError> {
        let (coefficient, zeros) = strip_zeros(coefficient);
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        let digits = digit_count(coefficient);
        if digits > Number::DIGITS_MAX {
            return Err(NumberError::TooManyDigits);
        }
        let exponent = exponent.saturating_add(i64::from(zeros));
        let leading = exponent.saturating_add(i64::from(digits) - 1);
        if leading > LEADING_EXPONENT_MAX {
            return Err(NumberError::Overflow);
        }
        if leading < LEADING_EXPONENT_MIN {
            return Err(NumberError::Underflow);
        }
        Ok(Number {
            high: (coefficient >> 64) as u64,
            low: coefficient as u64,
            exponent: i16::try_from(exponent).expect("-130-37 <= exponent <= 125"),
            negative,
        })
    }

    /// The parts `from_parts` takes; the coefficient has no trailing zero.
    pub(super) fn parts(&self) -> (bool, u128, i16) {
        (self.negative, self.coefficient(), self.exponent)
    }

    /// Takes parts as [`Number::parts`] gives them, and no others.
    pub(super) fn from_canonical_parts(
        negative: bool,
        coefficient: u128,
        exponent: i16,
    ) -> Option<Number> {
        Number::from_parts(negative, coefficient, i64::from(exponent))
            .ok()
            .filter(|number| number.parts() == (negative, coefficient, exponent))
    }

    const fn coefficient(&self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    fn integer_magnitude(&self) -> Option<u128> {
        let scale = 10_u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        self.coefficient().checked_mul(scale)
    }

    /// The power of ten of the first digit.
    fn leading_exponent(&self) -> i32 {
        i32::from(self.exponent) + digit_count(self.coefficient()) as i32 - 1
    }

    fn cmp_magnitude(&self, other: &Number) -> Ordering {
        let (one, two) = (self.coefficient(), other.coefficient());
        if one == 0 || two == 0 {
            return one.cmp(&two);
        }
        self.leading_exponent()
            .cmp(&other.leading_exponent())
            .then_with(|| {
                // With equal first places, the longer coefficient has the finer last place.
                let (digits_one, digits_two) = (digit_count(one), digit_count(two));
                let digits = digits_one.max(digits_two);
                (one * 10_u128.pow(digits - digits_one))
                    .cmp(&(two * 10_u128.pow(digits - digits_two)))
            })
    }
}

const LEADING_EXPONENT_MAX: i64 = 125;
const LEADING_EXPONENT_MIN: i64 = -130;

fn digit_count(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(0, |log| log + 1)
}

/// Takes the trailing zeros off and counts them.
fn strip_zeros(mut coefficient: u128) -> (u128, u32) {
    let mut zeros = 0;
    // Division of 128 bits is slow: most numbers never need it.
    while coefficient > u128::from(u64::MAX) && coefficient.is_multiple_of(10) {
        coefficient /= 10;
        zeros += 1;
    }
    let Ok(half) = u64::try_from(coefficient) else {
        return (coefficient, zeros);
    };
    let (half, more) = strip_zeros_of_half(half);
    (u128::from(half), zeros + more)
}

fn strip_zeros_of_half(mut coefficient: u64) -> (u64, u32) {
    let mut zeros = 0;
    while coefficient != 0 && coefficient.is_multiple_of(10) {
        coefficient /= 10;
        zeros += 1;
    }
    (coefficient, zeros)
}

impl FromStr for Number {
    type Err = NumberError;

    /// Reads `[+-] digits [. digits] [E [+-] digits]`, with digits on at least one side of the point.
    fn from_str(text: &str) -> Result<Number, NumberError> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, bytes),
        };
        let (mantissa, exponent) = match bytes.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&bytes[..at], parse_exponent(&bytes[at + 1..])?),
            None => (bytes, 0),
        };
        let (coefficient, scale) = parse_mantissa(mantissa)?;
        Number::from_parts(negative, coefficient, exponent.saturating_add(scale))
    }
}

/// The coefficient without the zeros at its ends, and the power of ten it stands for.
fn parse_mantissa(mantissa: &[u8]) -> Result<(u128, i64), NumberError> {
    let mut coefficient = 0_u128;
    let mut digits = 0_u32;
    let mut seen = false;
    let mut point = false;
    let mut scale = 0_i64;
    // Zeros count only once a digit that is not zero follows them.
    let mut zeros = 0_u32;
    let mut too_long = false;
    for byte in mantissa {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                seen = true;
                scale -= i64::from(point);
                if *byte == b'0' {
                    zeros = zeros.saturating_add(u32::from(coefficient != 0));
                    continue;
                }
                digits = digits.saturating_add(zeros).saturating_add(1);
                if digits > Number::DIGITS_MAX {
                    too_long = true;
                    continue;
                }
                coefficient = coefficient * 10_u128.pow(zeros + 1) + u128::from(byte - b'0');
                zeros = 0;
            }
            _ => return Err(NumberError::Syntax),
        }
    }
    if !seen {
        Err(NumberError::Syntax)
    } else if too_long {
        Err(NumberError::TooManyDigits)
    } else {
        Ok((coefficient, scale + i64::from(zeros)))
    }
}

/// An exponent of any length; what is out of all range saturates.
fn parse_exponent(text: &[u8]) -> Result<i64, NumberError> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    let magnitude = digits.iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Ok(sign * magnitude)
}

impl fmt::Display for Number {
    /// Plain decimal text without exponent, as DynamoDB returns it: `1.0E+2` is `100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let coefficient = self.coefficient();
        if self.exponent >= 0 {
            write!(f, "{coefficient}")?;
            return write_zeros(f, usize::from(self.exponent.unsigned_abs()));
        }
        let digits = coefficient.to_string();
        let after_point = usize::from(self.exponent.unsigned_abs());
        if let Some(before) = digits
            .len()
            .checked_sub(after_point)
            .filter(|before| *before > 0)
        {
            return write!(f, "{}.{}", &digits[..before], &digits[before..]);
        }
        f.write_str("0.")?;
        write_zeros(f, after_point - digits.len())?;
        f.write_str(&digits)
    }
}

fn write_zeros(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    (0..count).try_for_each(|_| f.write_str("0"))
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.cmp_magnitude(other),
            (true, true) => other.cmp_magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl std::ops::Neg for Number {
    type Output = Number;

    fn neg(self) -> Number {
        Number {
            negative: !self.negative && !self.is_zero(),
            ..self
        }
    }
}

macro_rules! number_from_integers {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Number {
            fn from(value: $integer) -> Number {
                #[allow(unused_comparisons, reason = "one body for signed and unsigned")]
                let negative = value < 0;
                let magnitude = i128::from(value).unsigned_abs() as u64;
                let (low, zeros) = strip_zeros_of_half(magnitude);
                Number {
                    high: 0,
                    low,
                    exponent: zeros as i16,
                    negative,
                }
            }
        })*
    };
}

number_from_integers!(i32, u32, i64, u64);

impl TryFrom<i128> for Number {
    type Error = NumberError;

    fn try_from(value: i128) -> Result<Number, NumberError> {
        Number::from_parts(value < 0, value.unsigned_abs(), 0)
    }
}

impl TryFrom<f64> for Number {
    type Error = NumberError;

    /// The shortest decimal that reads back as the same float: 0.1 becomes 0.1.
    fn try_from(value: f64) -> Result<Number, NumberError> {
        if !value.is_finite() {
            return Err(NumberError::NotFinite);
        }
        format!("{value:e}").parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::strategies;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    fn number(text: &str) -> Number {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn text_comes_back_as_dynamodb_returns_it() {
        let zeros = |count: usize| "0".repeat(count);
        let cases = [
            ("1.0E+2", "100".to_owned()),
            ("0", "0".to_owned()),
            ("-0.00", "0".to_owned()),
            ("+7", "7".to_owned()),
            ("007.500", "7.5".to_owned()),
            (".5", "0.5".to_owned()),
            ("5.", "5".to_owned()),
            ("-1.23e-3", "-0.00123".to_owned()),
            ("12345e-2", "123.45".to_owned()),
            ("0e99999999999999999999", "0".to_owned()),
            ("1E125", format!("1{}", zeros(125))),
            ("1E-130", format!("0.{}1", zeros(129))),
            (
                "99999999999999999999999999999999999999",
                "99999999999999999999999999999999999999".to_owned(),
            ),
            (
                "1234567890123456789012345678901234567800",
                format!("12345678901234567890123456789012345678{}", zeros(2)),
            ),
        ];
        for (text, shown) in cases {
            assert_eq!(number(text).to_string(), shown);
        }
    }

    #[test]
    fn what_dynamodb_refuses_is_refused_with_its_reason() {
        use NumberError::*;
        let cases = [
            ("", Syntax),
            (".", Syntax),
            ("-", Syntax),
            ("1e", Syntax),
            ("1e+", Syntax),
            ("e5", Syntax),
            ("1.2.3", Syntax),
            (" 1", Syntax),
            ("1_000", Syntax),
            ("0x10", Syntax),
            ("NaN", Syntax),
            ("Infinity", Syntax),
            ("1E126", Overflow),
            ("-1E126", Overflow),
            ("1e99999999999999999999", Overflow),
            ("9.9E-131", Underflow),
            ("1e-99999999999999999999", Underflow),
            ("123456789012345678901234567890123456789", TooManyDigits),
            ("0.100000000000000000000000000000000000001", TooManyDigits),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Number>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_corners_of_the_range_are_kept_exactly() {
        let nines = "9".repeat(38);
        let largest = format!("{nines}{}", "0".repeat(126 - 38));
        assert_eq!(number(&largest).to_string(), largest);
        assert_eq!(
            number(&format!("9.{}E125", "9".repeat(37))).to_string(),
            largest
        );
        let smallest = format!("0.{}1{}9", "0".repeat(129), "0".repeat(36));
        assert_eq!(number(&smallest).to_string(), smallest);
        let nearly = format!("9.{}9E125", "9".repeat(37));
        assert_eq!(nearly.parse::<Number>(), Err(NumberError::TooManyDigits));
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let sum = |one: &str, two: &str| {
            number(one)
                .checked_add(number(two))
                .map(|sum| sum.to_string())
        };
        assert_eq!(sum("0.1", "0.2"), Ok("0.3".to_owned()));
        assert_eq!(sum("1e125", "-1e125"), Ok("0".to_owned()));
        assert_eq!(sum("1e38", "-1"), Ok("9".repeat(38)));
        assert_eq!(sum("1e38", "1"), Err(NumberError::TooManyDigits));
        assert_eq!(sum("1e125", "1"), Err(NumberError::TooManyDigits));
        assert_eq!(sum("1e-130", "1e125"), Err(NumberError::TooManyDigits));
        assert_eq!(sum("9e125", "1e125"), Err(NumberError::Overflow));
        assert_eq!(sum("1.1e-130", "-1e-130"), Err(NumberError::Underflow));
        // 39 digits of which the last is zero are 38.
        let five = format!("{}5", "9".repeat(37));
        assert_eq!(sum(&five, &five), Ok(format!("1{}0", "9".repeat(37))));
        assert_eq!(sum("0", "1e-130"), Ok(number("1e-130").to_string()));
        assert_eq!(
            number("1").checked_sub(number("1.5")).unwrap(),
            number("-0.5")
        );
    }

    #[test]
    fn integers_are_handed_out_only_when_exact() {
        assert_eq!(number("-9223372036854775808").as_i64(), Some(i64::MIN));
        assert_eq!(number("9223372036854775808").as_i64(), None);
        assert_eq!(number("9223372036854775808").as_u64(), Some(1 << 63));
        assert_eq!(number("1.5").as_i64(), None);
        assert_eq!(number("1e100").as_i64(), None);
        assert_eq!(number("-1").as_u64(), None);
    }

    #[test]
    fn floats_become_their_shortest_decimal() {
        assert_eq!(Number::try_from(0.1).unwrap().to_string(), "0.1");
        assert_eq!(Number::try_from(-0.0).unwrap(), Number::ZERO);
        assert_eq!(Number::try_from(1e21).unwrap(), number("1e21"));
        assert_eq!(Number::try_from(f64::NAN), Err(NumberError::NotFinite));
        assert_eq!(Number::try_from(f64::INFINITY), Err(NumberError::NotFinite));
        assert_eq!(Number::try_from(1e300), Err(NumberError::Overflow));
    }

    #[test]
    fn a_number_takes_three_machine_words() {
        assert_eq!(size_of::<Number>(), 24);
    }

    fn hash(number: Number) -> u64 {
        let mut hasher = DefaultHasher::new();
        number.hash(&mut hasher);
        hasher.finish()
    }

    /// Up to 36 digits, so that sums of two scaled alike stay within an `i128`.
    fn scaled() -> impl Strategy<Value = (i128, i32)> {
        (any::<i128>(), 0_u32..128).prop_map(|(value, shift)| {
            let limit = 10_i128.pow(36);
            (value.checked_shr(shift).unwrap_or(0) % limit, -20)
        })
    }

    fn from_scaled((value, exponent): (i128, i32)) -> Number {
        number(&format!("{value}e{exponent}"))
    }

    proptest! {
        #[test]
        fn arithmetic_and_order_agree_with_integers(one in scaled(), two in scaled()) {
            let (a, b) = (from_scaled(one), from_scaled(two));
            prop_assert_eq!(a.cmp(&b), one.0.cmp(&two.0));
            prop_assert_eq!(a.checked_add(b).unwrap(), from_scaled((one.0 + two.0, one.1)));
            prop_assert_eq!(a.checked_sub(b).unwrap(), from_scaled((one.0 - two.0, one.1)));
            prop_assert_eq!(-a, from_scaled((-one.0, one.1)));
        }

        #[test]
        fn integers_come_back(value in any::<i64>(), large in any::<u64>()) {
            prop_assert_eq!(Number::from(value).as_i64(), Some(value));
            prop_assert_eq!(Number::from(value).to_string(), value.to_string());
            prop_assert_eq!(Number::from(large).as_u64(), Some(large));
        }

        #[test]
        fn the_text_is_canonical_and_reads_back(value in strategies::number()) {
            let text = value.to_string();
            prop_assert_eq!(text.parse::<Number>(), Ok(value));
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let (before, after) = digits.split_once('.').unwrap_or((digits, "1"));
            prop_assert!(before == "0" || !before.starts_with('0'));
            prop_assert!(!after.ends_with('0'));
        }

        #[test]
        fn all_spellings_are_the_same_number(value in strategies::number(), zeros in 0_usize..50) {
            let (negative, coefficient, exponent) = value.parts();
            let sign = if negative { "-" } else { "" };
            let shift = zeros as i32;
            let pad = "0".repeat(zeros);
            let spellings = [
                format!("{sign}{pad}{coefficient}e{exponent}"),
                format!("{sign}{coefficient}{pad}E{}", i32::from(exponent) - shift),
                format!("{sign}0.{pad}{coefficient}e{}", i32::from(exponent) + shift + coefficient.to_string().len() as i32),
            ];
            for text in spellings {
                let again = number(&text);
                prop_assert_eq!(again, value);
                prop_assert_eq!(hash(again), hash(value));
                prop_assert_eq!(again.cmp(&value), Ordering::Equal);
            }
        }

        #[test]
        fn the_order_is_that_of_the_differences(one in strategies::number(), two in strategies::number()) {
            if let Ok(difference) = one.checked_sub(two) {
                prop_assert_eq!(one.cmp(&two), difference.cmp(&Number::ZERO));
            }
            let close = one.to_f64().total_cmp(&two.to_f64());
            prop_assert!(close == Ordering::Equal || one.is_zero() || two.is_zero() || close == one.cmp(&two));
        }

        #[test]
        fn floats_come_back(value in -1e100_f64..1e100) {
            if let Ok(number) = Number::try_from(value) {
                prop_assert_eq!(number.to_f64(), value);
            }
        }
    }
}
