//! Time as the machines see it: always an argument, never read.

use std::fmt;
use std::ops::{Add, Range, Sub};
use std::time::Duration;

/// A point on the monotonic clock, counted from an arbitrary start of the process.
///
/// Used for every deadline. It never goes back and says nothing about the date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(Duration);

impl Mono {
    /// The start of the clock.
    pub const ZERO: Mono = Mono(Duration::ZERO);

    /// The point `since_start` after the start of the clock.
    pub const fn from_start(since_start: Duration) -> Mono {
        Mono(since_start)
    }

    /// How long after the start of the clock this point lies.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_sub(rhs))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The point `by` later; saturates.
    pub fn plus(self, by: Duration) -> UnixMillis {
        UnixMillis(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The text form that DynamoDB applications use: `2026-11-22T10:21:53.667Z`.
    ///
    /// Values outside the years -9999 to 9999 are clamped to that range.
    pub fn iso(self) -> String {
        match IsoText::of(self) {
            Some(text) => text.as_str().to_owned(),
            None => self.far_iso(),
        }
    }

    /// The time that such a text means, for the years 0 to 9999; `None` for every other text,
    /// though it may be a time in another form.
    pub fn parse_iso(text: &str) -> Option<UnixMillis> {
        let text = IsoText::laid_out(text)?;
        let year = number(&text[..4]);
        let month = Some(number(&text[5..7])).filter(|month| (1..=12).contains(month))?;
        let day = number(&text[8..10]);
        if !(1..=days_of_month(year, month)).contains(&day) {
            return None;
        }
        let hour = Some(number(&text[11..13])).filter(|hour| *hour < 24)?;
        let minute = number(&text[14..16]);
        let second = number(&text[17..19]);
        let days = days_since_1970(year, month, day);
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        Some(UnixMillis(seconds * 1000 + number(&text[20..23])))
    }

    /// Whether a text looks like one of [`iso`](UnixMillis::iso), with digits and separators in
    /// their places; it may mean no time all the same, such as one of the 30th of February.
    pub(crate) fn looks_iso(text: &str) -> bool {
        IsoText::laid_out(text).is_some()
    }

    fn far_iso(self) -> String {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        format!("{stamp:.3}")
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso())
    }
}

/// A time as text, made without the detours that a general formatter takes: every item that is
/// written carries two.
struct IsoText([u8; IsoText::BYTES]);

impl IsoText {
    const BYTES: usize = 24;
    const LAYOUT: [u8; IsoText::BYTES] = *b"0000-00-00T00:00:00.000Z";
    /// The highest digit that can stand in each place; 0 where a separator stands.
    const HIGHEST: [u8; IsoText::BYTES] = [
        9, 9, 9, 9, 0, 9, 9, 0, 9, 9, 0, 9, 9, 0, 5, 9, 0, 5, 9, 0, 9, 9, 9, 0,
    ];

    /// The bytes of a text that has digits and separators in their places.
    fn laid_out(text: &str) -> Option<&[u8; IsoText::BYTES]> {
        let text: &[u8; IsoText::BYTES] = text.as_bytes().try_into().ok()?;
        let places = text.iter().zip(&IsoText::LAYOUT).zip(&IsoText::HIGHEST);
        // All places are looked at in any case: so they are looked at together.
        let misfit = places.fold(false, |misfit, ((byte, place), highest)| {
            misfit | ((byte ^ place) > *highest)
        });
        (!misfit).then_some(text)
    }

    /// The text of a time in the years 0 to 9999.
    fn of(at: UnixMillis) -> Option<IsoText> {
        const MILLIS_PER_DAY: i64 = 86_400_000;
        let (year, month, day) = date_of(at.0.div_euclid(MILLIS_PER_DAY));
        if !(0..=9999).contains(&year) {
            return None;
        }
        let millis = at.0.rem_euclid(MILLIS_PER_DAY);
        let mut text = IsoText(IsoText::LAYOUT);
        text.write(0..4, year);
        text.write(5..7, month);
        text.write(8..10, day);
        text.write(11..13, millis / 3_600_000);
        text.write(14..16, millis / 60_000 % 60);
        text.write(17..19, millis / 1000 % 60);
        text.write(20..23, millis % 1000);
        Some(text)
    }

    fn write(&mut self, place: Range<usize>, mut number: i64) {
        for digit in self.0[place].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits and separators are UTF-8")
    }
}

/// The number that decimal digits mean.
fn number(digits: &[u8]) -> i64 {
    let value = |number, digit: &u8| number * 10 + i64::from(digit & 0x0F);
    digits.iter().fold(0, value)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar between 1970-01-01 and a date.
///
/// Years are counted from March, so that the day that only some years have is the last of its year;
/// 400 years always have the same number of days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = days_before_month((month + 9) % 12) + day - 1;
    let day_of_era = year * 365 + year / 4 - year / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970
}

/// Year, month and day so many days after 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (era, day) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    // The days that leap years add, taken away before dividing by the length of a common year.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (year * 365 + year / 4 - year / 100);
    let month = (day_of_year * 5 + 2) / 153;
    let day_of_month = day_of_year - days_before_month(month) + 1;
    let calendar_month = if month < 10 { month + 3 } else { month - 9 };
    let calendar_year = era * 400 + year + i64::from(calendar_month <= 2);
    (calendar_year, calendar_month, day_of_month)
}

const DAYS_PER_ERA: i64 = 146_097;
/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

/// Days of a year that begins in March before its month: five months have 153 days.
fn days_before_month(month: i64) -> i64 {
    (153 * month + 2) / 5
}

/// What a machine is told of the time with every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: deadlines and intervals.
    pub mono: Mono,
    /// The best known wall time; `None` when there is not even a build time to start from.
    pub wall: Option<UnixMillis>,
    /// Whether a server's `Date` or the system's time sync confirmed `wall` in this boot.
    ///
    /// Nothing is deleted, expired for good or ordered by time that is not trusted.
    pub trusted: bool,
}

impl Now {
    /// The wall time if it is trusted.
    pub fn trusted_wall(self) -> Option<UnixMillis> {
        self.wall.filter(|_| self.trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_text_has_milliseconds_and_z() {
        assert_eq!(
            UnixMillis(1_795_342_913_667).iso(),
            "2026-11-22T10:21:53.667Z"
        );
        assert_eq!(UnixMillis(0).iso(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn iso_text_is_that_of_a_calendar_library_through_all_years() {
        let first = -62_167_219_200_000; // 0000-01-01
        let last = 253_402_300_799_999; // 9999-12-31, the last millisecond
        for day in (0..=(last - first) / 86_400_000).step_by(5) {
            // Another time on each day.
            let at = UnixMillis((first + day * 86_400_000 + day * 7_919 % 86_400_000).min(last));
            let text = at.iso();
            // The library ends a day earlier, so that it can hold every zone's time.
            if let (0, Ok(stamp)) = (day % 7, jiff::Timestamp::from_millisecond(at.0)) {
                assert_eq!(text, format!("{stamp:.3}"));
            }
            assert_eq!(UnixMillis::parse_iso(&text), Some(at), "{text}");
        }
        assert_eq!(UnixMillis(last).iso(), "9999-12-31T23:59:59.999Z");
        assert_eq!(UnixMillis(first - 1).iso(), "-000001-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_not_a_time_in_that_form_is_left_to_others() {
        let table = [
            "2026-11-22T10:21:53.667",
            "2026-11-22T10:21:53Z",
            "2026-11-22T10:21:53.667+01:00",
            "2026-02-29T10:21:53.667Z",
            "1900-02-29T10:21:53.667Z",
            "2024-02-30T10:21:53.667Z",
            "2026-04-31T10:21:53.667Z",
            "2026-12-32T10:21:53.667Z",
            "2026-00-22T10:21:53.667Z",
            "2026-13-22T10:21:53.667Z",
            "2026-11-00T10:21:53.667Z",
            "2026-11-22T24:21:53.667Z",
            "2026-11-22T10:60:53.667Z",
            "2026-11-22T10:21:60.667Z",
            "2026-11-22t10:21:53.667Z",
            "2026-11-22T10:21:53.6 7Z",
            "+026-11-22T10:21:53.667Z",
        ];
        for text in table {
            assert_eq!(UnixMillis::parse_iso(text), None, "{text}");
        }
        assert!(UnixMillis::parse_iso("2024-02-29T10:21:53.667Z").is_some());
        assert!(UnixMillis::parse_iso("2000-02-29T10:21:53.667Z").is_some());
    }

    #[test]
    fn only_trusted_wall_time_is_handed_out_as_such() {
        let now = Now {
            mono: Mono::ZERO,
            wall: Some(UnixMillis(5)),
            trusted: false,
        };
        assert_eq!(now.trusted_wall(), None);
        assert_eq!(
            Now {
                trusted: true,
                ..now
            }
            .trusted_wall(),
            Some(UnixMillis(5))
        );
    }
}
