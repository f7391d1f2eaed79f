//! Dates of fields and cookies.

use crate::time::UnixMillis;
use jiff::civil::Date;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// Reads a date in any of the forms that servers write: the three of RFC 9110, section 5.6.7, and
/// what cookies hold, by the forgiving rules of RFC 6265, section 5.1.1.
pub fn parse_date(text: &str) -> Option<UnixMillis> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let tokens = text
        .split(is_delimiter)
        .filter(|token| !token.is_empty())
        .take(16);
    for token in tokens {
        if time.is_none() && token.contains(':') {
            time = clock(token);
        } else if day.is_none() && leading_digits(token, 1, 2).is_some() {
            day = leading_digits(token, 1, 2);
        } else if month.is_none() && month_of(token).is_some() {
            month = month_of(token);
        } else if year.is_none() && leading_digits(token, 2, 4).is_some() {
            year = leading_digits(token, 2, 4).map(full_year);
        }
    }
    let (hour, minute, second) = time?;
    let date = Date::new(
        i16::try_from(year?).ok()?,
        i8::try_from(month?).ok()?,
        i8::try_from(day?).ok()?,
    );
    let date = date.ok().filter(|date| date.year() >= 1601)?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(UnixMillis(seconds * 1000))
}

fn is_delimiter(character: char) -> bool {
    !character.is_ascii_alphanumeric() && character != ':'
}

/// `10:21:53`
fn clock(token: &str) -> Option<(i64, i64, i64)> {
    let parts: Vec<&str> = token.split(':').collect();
    let [hour, minute, second] = parts[..] else {
        return None;
    };
    let number = |text, max| leading_digits(text, 1, 2).filter(|number| *number <= max);
    Some((number(hour, 23)?, number(minute, 59)?, number(second, 59)?))
}

/// A number of `min` to `max` digits, which something else may follow.
fn leading_digits(token: &str, min: usize, max: usize) -> Option<i64> {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    if digits < min || digits > max {
        return None;
    }
    token[..digits].parse().ok()
}

fn month_of(token: &str) -> Option<i64> {
    let letters = token.get(..3)?.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| *month == letters)?;
    i64::try_from(at + 1).ok()
}

const fn full_year(year: i64) -> i64 {
    match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        _ => year,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_date_is_read() {
        let expected = Some(UnixMillis(784_111_777_000));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "6 NOVEMBER 1994 8:49:37",
        ] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
        assert_eq!(
            parse_date("Thu, 01 Jan 1970 00:00:00 GMT"),
            Some(UnixMillis(0))
        );
        assert_eq!(
            parse_date("Fri, 29 Feb 2036 23:59:59 GMT"),
            Some(UnixMillis(2_087_942_399_000))
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "tomorrow",
            "120",
            "Sun, 06 Nov 1994",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1600 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
