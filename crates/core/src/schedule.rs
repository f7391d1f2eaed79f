//! Windows of time: five fields as cron has them, or a name.
//!
//! A schedule is open in every minute that its fields match. Cron's own reading, a moment at which
//! something starts, is the first minute of such a stretch. The offset of the local zone is an
//! argument; a field counts local time.

use crate::limits::SCHEDULE_LOOK_AHEAD_DAYS;
use crate::time::UnixMillis;
use std::fmt;
use std::str::FromStr;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// The bits of each field that mean something.
const ALL_MINUTES: u64 = (1 << 60) - 1;
const ALL_HOURS: u32 = (1 << 24) - 1;
const ALL_DAYS: u32 = !1;
const ALL_MONTHS: u16 = ((1 << 12) - 1) << 1;
const ALL_WEEKDAYS: u8 = (1 << 7) - 1;

/// When something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u32,
    days: u32,
    months: u16,
    /// From Sunday, which is 0.
    weekdays: u8,
    /// Days of the month and days of the week are both restricted: then either is enough, as in
    /// cron.
    either_day: bool,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Neither a name nor five fields.
    #[error(
        "`{0}` is no schedule: write `minute hour day month weekday`, or one of anytime, never, \
         day, night, midnight, weekdays, workhours"
    )]
    Form(String),
    /// A field is wrong.
    #[error(
        "`{text}` is no {field}: write `*`, a number from {low} to {high}, a range, a list, or a step"
    )]
    Field {
        /// Which.
        field: &'static str,
        /// What is there.
        text: String,
        /// The lowest number.
        low: u8,
        /// The highest number.
        high: u8,
    },
}

impl Schedule {
    /// Always open.
    pub const ANYTIME: Schedule = Schedule {
        minutes: u64::MAX,
        hours: u32::MAX,
        days: u32::MAX,
        months: u16::MAX,
        weekdays: u8::MAX,
        either_day: false,
    };

    /// Never open.
    pub const NEVER: Schedule = Schedule {
        minutes: 0,
        ..Schedule::ANYTIME
    };

    /// Whether it is open at this time, in a zone so many seconds east of Greenwich.
    pub fn is_open(&self, at: UnixMillis, offset_s: i32) -> bool {
        let minute = local_minute(at, offset_s);
        self.day_matches(minute.div_euclid(DAY_MINUTES))
            && self.time_matches(minute.rem_euclid(DAY_MINUTES))
    }

    /// The next time, not before `from`, at which it is open; `None` if there is none within a
    /// year.
    pub fn next_open(&self, from: UnixMillis, offset_s: i32) -> Option<UnixMillis> {
        self.next(from, offset_s, true)
    }

    /// The next time, not before `from`, at which it is closed.
    pub fn next_closed(&self, from: UnixMillis, offset_s: i32) -> Option<UnixMillis> {
        self.next(from, offset_s, false)
    }

    fn next(&self, from: UnixMillis, offset_s: i32, open: bool) -> Option<UnixMillis> {
        if self.is_open(from, offset_s) == open {
            return Some(from);
        }
        let (minute, _) = self.search(local_minute(from, offset_s) + 1, open);
        Some(UnixMillis(minute? * MINUTE_MS - i64::from(offset_s) * 1000))
    }

    /// The first minute, not before `first`, at which it is open, or closed; and how many days were
    /// looked at for it.
    fn search(&self, first: i64, open: bool) -> (Option<i64>, i64) {
        if *self == Schedule::ANYTIME || *self == Schedule::NEVER {
            return (None, 0);
        }
        let first_day = first.div_euclid(DAY_MINUTES);
        for days in 0..=SCHEDULE_LOOK_AHEAD_DAYS {
            let begin = match days {
                0 => first.rem_euclid(DAY_MINUTES),
                _ => 0,
            };
            let day = first_day + days;
            let found = match (self.day_matches(day), open) {
                (true, _) => self.in_day(begin, open),
                // A day that does not fit is closed to its end.
                (false, true) => None,
                (false, false) => Some(begin),
            };
            if let Some(minute) = found {
                return (Some(day * DAY_MINUTES + minute), days + 1);
            }
        }
        (None, SCHEDULE_LOOK_AHEAD_DAYS + 1)
    }

    /// The first minute, not before `first`, of a day that fits, at which it is open, or closed.
    fn in_day(&self, first: i64, open: bool) -> Option<i64> {
        let first_hour = first / 60;
        (first_hour..24).find_map(|hour| {
            let begin = match hour == first_hour {
                true => first % 60,
                false => 0,
            };
            let hits = match (self.hours >> hour & 1 == 1, open) {
                (true, true) => self.minutes & ALL_MINUTES,
                (true, false) => !self.minutes & ALL_MINUTES,
                (false, true) => 0,
                (false, false) => ALL_MINUTES,
            } >> begin;
            (hits != 0).then(|| hour * 60 + begin + i64::from(hits.trailing_zeros()))
        })
    }

    /// Whether its fields leave nothing out.
    const fn is_always(&self) -> bool {
        let all_days = self.days & ALL_DAYS == ALL_DAYS;
        let all_weekdays = self.weekdays & ALL_WEEKDAYS == ALL_WEEKDAYS;
        self.minutes & ALL_MINUTES == ALL_MINUTES
            && self.hours & ALL_HOURS == ALL_HOURS
            && self.months & ALL_MONTHS == ALL_MONTHS
            && if self.either_day {
                all_days || all_weekdays
            } else {
                all_days && all_weekdays
            }
    }

    fn time_matches(&self, minute_of_day: i64) -> bool {
        self.minutes >> (minute_of_day % 60) & 1 == 1 && self.hours >> (minute_of_day / 60) & 1 == 1
    }

    fn day_matches(&self, day: i64) -> bool {
        let (month, day_of_month) = civil(day);
        // 1970-01-01 was a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let by_day = self.days >> day_of_month & 1 == 1;
        let by_weekday = self.weekdays >> weekday & 1 == 1;
        let fits = match self.either_day {
            true => by_day || by_weekday,
            false => by_day && by_weekday,
        };
        fits && self.months >> month & 1 == 1
    }
}

fn local_minute(at: UnixMillis, offset_s: i32) -> i64 {
    at.0.saturating_add(i64::from(offset_s) * 1000)
        .div_euclid(MINUTE_MS)
}

/// Month and day of the month of a day since 1970-01-01, by the usual count of 400 years.
const fn civil(day: i64) -> (u32, u32) {
    let shifted = day + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (month as u32, day_of_month as u32)
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Schedule, ScheduleError> {
        let fields = match text.trim() {
            "anytime" => return Ok(Schedule::ANYTIME),
            "never" | "unscheduled" => return Ok(Schedule::NEVER),
            "day" => "* 6-21 * * *",
            "night" => "* 0-5 * * *",
            "midnight" => "0 0 * * *",
            "weekdays" => "* * * * 1-5",
            "workhours" => "* 9-16 * * 1-5",
            fields => fields,
        };
        let all: Vec<&str> = fields.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = all[..] else {
            return Err(ScheduleError::Form(text.to_owned()));
        };
        let weekdays = field("day of the week", weekday, 0, 7)?;
        let schedule = Schedule {
            minutes: field("minute", minute, 0, 59)?,
            hours: field("hour", hour, 0, 23)? as u32,
            days: field("day of the month", day, 1, 31)? as u32,
            months: field("month", month, 1, 12)? as u16,
            // Sunday is 0, and 7 too.
            weekdays: (weekdays | weekdays >> 7) as u8,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        Ok(match schedule.is_always() {
            true => Schedule::ANYTIME,
            false => schedule,
        })
    }
}

/// The numbers of one field, as bits.
fn field(name: &'static str, text: &str, low: u8, high: u8) -> Result<u64, ScheduleError> {
    let error = || ScheduleError::Field {
        field: name,
        text: text.to_owned(),
        low,
        high,
    };
    let number = |text: &str| {
        let number: u8 = text.parse().map_err(|_| error())?;
        match (low..=high).contains(&number) {
            true => Ok(number),
            false => Err(error()),
        }
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, number_of_step(step).ok_or_else(error)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((first, last)) => (number(first)?, number(last)?),
            // A step without an end goes to the end.
            None if step > 1 => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if first > last {
            return Err(error());
        }
        let every = (first..=last).step_by(step);
        bits |= every.fold(0_u64, |bits, number| bits | 1 << number);
    }
    Ok(bits)
}

fn number_of_step(text: &str) -> Option<usize> {
    text.parse().ok().filter(|step| (1..=59).contains(step))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Schedule::ANYTIME => f.write_str("anytime"),
            Schedule::NEVER => f.write_str("never"),
            _ => f.write_str("scheduled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 2026-11-22 10:00 UTC.
    const SUNDAY: UnixMillis = UnixMillis(1_795_341_600_000);
    const HOUR: i64 = 3_600_000;

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    fn later(hours: i64) -> UnixMillis {
        UnixMillis(SUNDAY.0 + hours * HOUR)
    }

    #[test]
    fn fields_match_as_cron_has_them() {
        for (text, open) in [
            ("* * * * *", true),
            ("0 10 * * *", true),
            ("1 10 * * *", false),
            ("*/5 * * * *", true),
            ("0-9 8,10 * * *", true),
            ("* * 22 11 *", true),
            ("* * 21 11 *", false),
            ("* * * * 0", true),
            ("* * * * 7", true),
            ("* * * * 1-5", false),
            // Both kinds of days: either is enough.
            ("* * 1 * 0", true),
            ("* * 22 * 1", true),
            ("* * 1 * 1", false),
            ("workhours", false),
            ("weekdays", false),
            ("day", true),
            ("night", false),
            ("anytime", true),
            ("never", false),
        ] {
            assert_eq!(schedule(text).is_open(SUNDAY, 0), open, "{text}");
        }
    }

    #[test]
    fn the_zone_decides_what_the_hour_is() {
        let ten = schedule("0 10 * * *");
        assert!(ten.is_open(SUNDAY, 0));
        assert!(!ten.is_open(SUNDAY, 3600));
        assert!(ten.is_open(later(-1), 3600));
        // Five and a half hours east, it is half past three in the afternoon.
        assert!(schedule("30 15 * * *").is_open(SUNDAY, 19_800));
    }

    #[test]
    fn the_next_opening_and_closing_are_found() {
        let work = schedule("workhours");
        assert_eq!(work.next_open(SUNDAY, 0), Some(later(23)));
        assert_eq!(work.next_open(later(25), 0), Some(later(25)));
        assert_eq!(work.next_closed(later(25), 0), Some(later(31)));
        assert_eq!(work.next_open(SUNDAY, -18_000), Some(later(28)));
        let leap = schedule("0 0 29 2 *");
        assert_eq!(leap.next_open(SUNDAY, 0), None);
        assert_eq!(Schedule::ANYTIME.next_closed(SUNDAY, 0), None);
        assert_eq!(Schedule::NEVER.next_open(SUNDAY, 0), None);
        assert_eq!(schedule("midnight").next_open(SUNDAY, 0), Some(later(14)));
    }

    #[test]
    fn a_search_looks_at_each_day_once_and_at_no_minute_by_itself() {
        let minute = local_minute(SUNDAY, 0) + 1;
        for (text, open, days) in [
            ("* * * * *", false, 0),
            ("*/1 0-23 1-31 1-12 0-6", false, 0),
            ("* * 1-31 * 1", false, 0),
            ("weekdays", true, 2),
            ("* * * * 1-6", true, 2),
            ("* * * * 0", false, 2),
            ("workhours", true, 2),
            ("night", true, 2),
            ("day", false, 1),
            ("* * 21 11 *", true, 365),
            ("0 0 29 2 *", true, 367),
            ("* * 30 2 *", true, 367),
        ] {
            let (found, looked_at) = schedule(text).search(minute, open);
            assert_eq!(looked_at, days, "{text}");
            assert_eq!(found.is_some(), days > 0 && days < 367, "{text}");
        }
    }

    #[test]
    fn fields_that_leave_nothing_out_are_anytime() {
        for text in ["* * * * *", "0-59 */1 * 1-12 0-7", "* * 1-31 * 3"] {
            assert_eq!(schedule(text), Schedule::ANYTIME, "{text}");
        }
        for text in [
            "1-59 * * * *",
            "* 0-22 * * *",
            "* * 1-30 * *",
            "* * * 2-12 *",
            "* * * * 1-6",
        ] {
            assert_ne!(schedule(text), Schedule::ANYTIME, "{text}");
        }
    }

    #[test]
    fn a_search_finds_what_a_walk_through_the_minutes_finds() {
        let texts = [
            "workhours",
            "weekdays",
            "night",
            "midnight",
            "*/7 3-5,20 * * *",
            "30 23 * * 6",
            "59 23 * * *",
            "* * 23 11 2",
            "0-9,50-59 0,23 * * 0,6",
            "* 10 22 * *",
        ];
        for (text, step) in texts.into_iter().flat_map(|text| [(text, 7), (text, 613)]) {
            let schedule = schedule(text);
            for from in (0..3).map(|round| UnixMillis(SUNDAY.0 + round * step * MINUTE_MS + 1)) {
                let open = schedule.is_open(from, 5400);
                let start = |minute: i64| UnixMillis(minute * MINUTE_MS - 5_400_000);
                let first = local_minute(from, 5400) + 1;
                let turn = (first..first + 400 * DAY_MINUTES)
                    .map(start)
                    .find(|at| schedule.is_open(*at, 5400) != open);
                let found = match open {
                    true => schedule.next_closed(from, 5400),
                    false => schedule.next_open(from, 5400),
                };
                assert_eq!(found, turn, "{text} from {from:?}");
            }
        }
    }

    #[test]
    fn dates_agree_with_the_calendar() {
        for day in (-800_000_i64..800_000).step_by(97) {
            let stamp = jiff::Timestamp::from_second(day * 86_400).unwrap();
            let date = stamp.to_zoned(jiff::tz::TimeZone::UTC).date();
            let expected = (date.month() as u32, date.day() as u32);
            assert_eq!(civil(day), expected, "{date}");
        }
    }

    #[test]
    fn a_wrong_text_says_which_field_and_what_is_allowed() {
        let error = |text: &str| text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error("sometimes").starts_with("`sometimes` is no schedule"));
        assert!(
            error("* 24 * * *").starts_with("`24` is no hour: write `*`, a number from 0 to 23")
        );
        for bad in [
            "60 * * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
        ] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad}");
        }
        for bad in [
            "*/0 * * * *",
            "x * * * *",
            "* * * *",
            "1- * * * *",
            "* * * * * *",
        ] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad}");
        }
    }
}
