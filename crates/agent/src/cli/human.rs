//! Numbers as people read them.

/// `3 days`, `5 min`, `12 s`: one unit is enough for how long something has been so.
pub(super) fn duration(millis: u64) -> String {
    const UNITS: [(u64, &str, &str); 4] = [
        (86_400_000, "day", "days"),
        (3_600_000, "hour", "hours"),
        (60_000, "min", "min"),
        (1000, "s", "s"),
    ];
    for (unit, one, many) in UNITS {
        let count = millis / unit;
        if count > 0 {
            return format!("{count} {}", if count == 1 { one } else { many });
        }
    }
    "0 s".to_owned()
}

/// `3.2 MB`, in powers of 1000.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1000, "kB"),
    ];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 item`, `1,234 items`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (millis, text) in [
            (0, "0 s"),
            (999, "0 s"),
            (1000, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (7_200_000, "2 hours"),
            (86_400_000, "1 day"),
            (900_000_000, "10 days"),
        ] {
            assert_eq!(duration(millis), text);
        }
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (3_260_000, "3.2 MB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "item"), "1 item");
        assert_eq!(counted(0, "item"), "0 items");
    }
}
