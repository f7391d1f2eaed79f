//! A small fixed-point number, so that samples compare, sum and print exactly.

use std::fmt;

use periwinkle_core::value::Number;
use serde::{Serialize, Serializer};

/// A number with two decimals: percents, load averages, degrees Celsius.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hundredths(pub i32);

impl Hundredths {
    /// The nearest number with two decimals; `None` for what is not finite or does not fit.
    pub fn from_f64(value: f64) -> Option<Hundredths> {
        let scaled = (value * 100.0).round();
        let fits = scaled >= f64::from(i32::MIN) && scaled <= f64::from(i32::MAX);
        fits.then_some(Hundredths(scaled as i32))
    }

    /// `part` of `whole` in percent, rounded to a tenth; `None` when there is no whole.
    pub fn percent(part: u64, whole: u64) -> Option<Hundredths> {
        let (part, whole) = (u128::from(part), u128::from(whole));
        let tenths = (part * 1_000 + whole / 2).checked_div(whole)?;
        i32::try_from(tenths.checked_mul(10)?).ok().map(Hundredths)
    }

    /// The same number as a float.
    pub fn to_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_f64().fmt(f)
    }
}

impl From<Hundredths> for Number {
    fn from(value: Hundredths) -> Number {
        Number::try_from(value.to_f64()).expect("32 bits with two decimals fit any number")
    }
}

impl Serialize for Hundredths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_shortest_decimal() {
        for (raw, text) in [
            (0, "0"),
            (1230, "12.3"),
            (-5, "-0.05"),
            (10_000, "100"),
            (i32::MAX, "21474836.47"),
        ] {
            assert_eq!(Hundredths(raw).to_string(), text);
            assert_eq!(Number::from(Hundredths(raw)).to_string(), text);
        }
    }

    #[test]
    fn a_percent_is_rounded_to_a_tenth() {
        assert_eq!(Hundredths::percent(1, 3), Some(Hundredths(3330)));
        assert_eq!(Hundredths::percent(2, 3), Some(Hundredths(6670)));
        assert_eq!(Hundredths::percent(7, 7), Some(Hundredths(10_000)));
    }

    #[test]
    fn a_percent_of_nothing_is_absent() {
        assert_eq!(Hundredths::percent(1, 0), None);
    }

    #[test]
    fn a_percent_too_large_to_hold_is_absent() {
        assert_eq!(Hundredths::percent(u64::MAX, 1), None);
    }

    #[test]
    fn what_is_not_finite_or_too_large_is_absent() {
        for value in [f64::NAN, f64::INFINITY, 1e12, -1e12] {
            assert_eq!(Hundredths::from_f64(value), None);
        }
    }
}
