//! Parts of dates, in UTC.

use crate::plan::function::DatePart;

const DAY_SECONDS: i64 = 86_400;
/// 1970-01-01 was a Thursday, the fourth day of a week that begins on Sunday.
const EPOCH_WEEKDAY: i64 = 4;

/// The part of the date at so many seconds after the epoch, fractions cut off.
pub(crate) fn part(part: DatePart, seconds: f64) -> f64 {
    let seconds = in_calendar(to_i64(seconds));
    let days = seconds.div_euclid(i128::from(DAY_SECONDS)) as i64;
    let in_day = seconds.rem_euclid(i128::from(DAY_SECONDS)) as i64;
    let (year, month, day) = civil_from_days(days);
    match part {
        DatePart::DaysInMonth => f64::from(days_in_month(year, month)),
        DatePart::DayOfMonth => f64::from(day),
        DatePart::DayOfWeek => (days + EPOCH_WEEKDAY).rem_euclid(7) as f64,
        DatePart::DayOfYear => f64::from((1..month).map(|m| days_in_month(year, m)).sum::<u32>() + day),
        DatePart::Hour => (in_day / 3600) as f64,
        DatePart::Minute => (in_day / 60 % 60) as f64,
        DatePart::Month => f64::from(month),
        DatePart::Year => year as f64,
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counts in eras of 400 years that begin in March, so that the leap day is the last of its year.
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    const DAYS_PER_ERA: i64 = 146_097;
    const EPOCH_FROM_ERA: i64 = 719_468;
    let shifted = days + EPOCH_FROM_ERA;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * march_month + 2) / 5 + 1) as u32;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The reference counts seconds from the beginning of a calendar of its own, without a sign. Times before that
/// beginning, such as that of NaN, come out at the calendar's end.
fn in_calendar(seconds: i64) -> i128 {
    /// From the calendar's beginning, in March of the year −292277022400, to 1970-01-01.
    const EPOCH_SECONDS: i128 = 9_223_372_028_741_760_000;
    let of_calendar = (i128::from(seconds) + EPOCH_SECONDS).rem_euclid(1 << u64::BITS);
    of_calendar - EPOCH_SECONDS
}

/// As amd64 converts: what doesn't fit, NaN among it, is the least integer.
fn to_i64(value: f64) -> i64 {
    let fits = value >= i64::MIN as f64 && value < i64::MAX as f64;
    if fits { value as i64 } else { i64::MIN }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_taken_apart() {
        // 2024-02-29 23:59:30 UTC, a Thursday.
        let seconds = 1_709_251_170.9;
        for (wanted, expected) in [
            (DatePart::DaysInMonth, 29.0),
            (DatePart::DayOfMonth, 29.0),
            (DatePart::DayOfWeek, 4.0),
            (DatePart::DayOfYear, 60.0),
            (DatePart::Hour, 23.0),
            (DatePart::Minute, 59.0),
            (DatePart::Month, 2.0),
            (DatePart::Year, 2024.0),
        ] {
            assert_eq!(part(wanted, seconds), expected, "{wanted:?}");
        }
        // What no calendar has is at the end of the reference's own.
        assert_eq!(part(DatePart::Month, f64::NAN), 12.0);
        assert_eq!(part(DatePart::Year, -1.0), 1969.0);
        assert_eq!(part(DatePart::DayOfWeek, -86_400.0), 3.0);
    }
}
