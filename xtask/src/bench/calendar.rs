//! UTC dates from the system clock.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;

/// A moment as `2026-01-31` and `2026-01-31T12:00:00Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Utc {
    pub(crate) date: String,
    pub(crate) date_time: String,
}

/// The present moment.
pub(crate) fn now() -> Utc {
    at(SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs()))
}

/// The moment `seconds` after the start of 1970.
fn at(seconds: u64) -> Utc {
    let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
    let second = seconds % SECONDS_PER_DAY;
    let date = format!("{year:04}-{month:02}-{day:02}");
    let date_time = format!(
        "{date}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    Utc { date, date_time }
}

/// Gregorian year, month and day of a day counted from 1970-01-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    let mut left = days;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(at(0).date_time, "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400).date, "2000-02-29");
        assert_eq!(at(951_868_800).date, "2000-03-01");
        assert_eq!(at(1_234_567_890).date_time, "2009-02-13T23:31:30Z");
        assert_eq!(at(4_107_542_399).date_time, "2100-02-28T23:59:59Z");
        assert_eq!(at(4_107_542_400).date, "2100-03-01");
        assert_eq!(at(1_798_761_599).date_time, "2026-12-31T23:59:59Z");
    }
}
