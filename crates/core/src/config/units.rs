//! Sizes and times as people write them.

use std::time::Duration;

const KILO: u64 = 1000;
const KIBI: u64 = 1024;

/// Units of sizes, largest first; the first name of each is the one that is shown.
const SIZES: &[(u64, &[&str])] = &[
    (KIBI.pow(4), &["TiB"]),
    (KILO.pow(4), &["TB"]),
    (KIBI.pow(3), &["GiB"]),
    (KILO.pow(3), &["GB"]),
    (KIBI.pow(2), &["MiB"]),
    (KILO.pow(2), &["MB"]),
    (KIBI, &["KiB"]),
    (KILO, &["kB", "KB"]),
    (1, &["bytes", "byte", "B"]),
];

/// Units of times in milliseconds, largest first.
const TIMES: &[(u64, &[&str])] = &[
    (7 * 24 * 3_600_000, &["weeks", "week", "w"]),
    (24 * 3_600_000, &["days", "day", "d"]),
    (3_600_000, &["hours", "hour", "hrs", "hr", "h"]),
    (60_000, &["mins", "min", "minutes", "minute", "m"]),
    (1000, &["s", "secs", "sec", "seconds", "second"]),
    (1, &["ms", "msecs", "msec", "milliseconds", "millisecond"]),
];

/// `"20 MB"` (powers of 1000) or `"64 KiB"` (powers of 1024) in bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, SIZES)
}

/// The shortest exact text of a size.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

/// `"10 mins"`, `"1.5 h"`, `"200 ms"`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, TIMES).map(Duration::from_millis)
}

/// The shortest exact text of a time; parts of a millisecond are dropped.
pub(super) fn show_duration(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Weeks are read but not shown: "30 days" is what people say.
    show(millis, &TIMES[1..])
}

/// Number and unit, in the smallest unit of the table; `None` unless it is a whole number there.
fn parse(text: &str, units: &[(u64, &[&str])]) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let (number, name) = text.split_at(split);
    let unit = unit(name.trim(), units)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction_of(fraction, number.contains('.'), unit)?;
    digits(whole)?.checked_mul(unit)?.checked_add(fraction)
}

fn unit(name: &str, units: &[(u64, &[&str])]) -> Option<u64> {
    let named = |known: &&&str| known.eq_ignore_ascii_case(name);
    units
        .iter()
        .find(|(_, names)| names.iter().any(|known| named(&known)))
        .map(|(unit, _)| *unit)
}

/// `1_000` as a number; at least one digit.
fn digits(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// The part of a unit that the digits after the point stand for, if it is whole.
fn fraction_of(fraction: &str, has_point: bool, unit: u64) -> Option<u64> {
    if !has_point {
        return Some(0);
    }
    let places = u32::try_from(fraction.len()).ok()?;
    let scaled = u128::from(digits(fraction)?).checked_mul(u128::from(unit))?;
    let ten = 10u128.checked_pow(places)?;
    (scaled % ten == 0).then_some(scaled / ten)?.try_into().ok()
}

fn show(value: u64, units: &[(u64, &[&str])]) -> String {
    let smallest = units.len() - 1;
    let (unit, names) = units
        .iter()
        .find(|(unit, _)| value != 0 && value.is_multiple_of(*unit))
        .unwrap_or(&units[smallest]);
    let count = value / unit;
    // "1 day", "2 days": where a unit has both, the second name is the singular.
    let plural = names[0].ends_with('s') && names[0].len() > 2;
    let name = if count == 1 && plural {
        names[1]
    } else {
        names[0]
    };
    format!("{count} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_are_whole_bytes() {
        for (text, bytes) in [
            ("20MB", Some(20_000_000)),
            ("20 mb", Some(20_000_000)),
            ("64 KiB", Some(65_536)),
            ("64kib", Some(65_536)),
            ("1.5 KiB", Some(1536)),
            ("0 B", Some(0)),
            ("1 byte", Some(1)),
            ("1_000 bytes", Some(1000)),
            ("2 TiB", Some(2 << 40)),
            ("20", None),
            ("MB", None),
            ("-1 MB", None),
            ("1.0001 B", None),
            ("1. KB", None),
            (".5 KB", None),
            ("_5 KB", None),
            ("1.2.3 MB", None),
            ("5 s", None),
            ("5 MB extra", None),
            ("99999999999999 TB", None),
            ("1.00000000000000000000000000000000000000001 MB", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn times_have_a_unit_and_are_whole_milliseconds() {
        for (text, millis) in [
            ("10 mins", Some(600_000)),
            ("10m", Some(600_000)),
            ("5s", Some(5000)),
            ("1 day", Some(86_400_000)),
            ("30 days", Some(2_592_000_000)),
            ("2 weeks", Some(1_209_600_000)),
            ("1.5 hours", Some(5_400_000)),
            ("200 ms", Some(200)),
            ("0 s", Some(0)),
            ("0.0005 s", None),
            ("10", None),
            ("10 parsecs", None),
            ("never", None),
            ("1 MB", None),
        ] {
            let time = parse_duration(text).map(|time| time.as_millis());
            assert_eq!(time, millis, "{text:?}");
        }
    }

    #[test]
    fn shown_text_is_short_and_reads_back() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1000, "1 kB"),
            (8 * 1024 * 1024, "8 MiB"),
            (16_000_000, "16 MB"),
            (1_000_000_000, "1 GB"),
            (1_000_001, "1000001 bytes"),
        ] {
            assert_eq!(show_size(bytes), text);
            assert_eq!(parse_size(text), Some(bytes));
        }
        for (millis, text) in [
            (0, "0 ms"),
            (200, "200 ms"),
            (1000, "1 s"),
            (90_000, "90 s"),
            (60_000, "1 min"),
            (600_000, "10 mins"),
            (3_600_000, "1 hour"),
            (604_800_000, "7 days"),
        ] {
            let time = Duration::from_millis(millis);
            assert_eq!(show_duration(time), text);
            assert_eq!(parse_duration(text), Some(time));
        }
    }
}
