//! Points in time as the wire writes them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const SECONDS_PER_DAY: u64 = 86_400;

/// A point in time, in microseconds since 1970, UTC.
///
/// ```
/// use dust_transport::model::Timestamp;
/// let start = Timestamp::from_ms(1_700_000_000_123);
/// assert_eq!(start.to_string(), "2023-11-14T22:13:20.123000Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time in milliseconds since 1970.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    /// The milliseconds since 1970, rounded down.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        self.0 / 1000
    }

    /// Reads a time in the form of RFC 3339: `2026-11-22T08:25:56.2Z`, with any offset.
    ///
    /// ```
    /// use dust_transport::model::Timestamp;
    /// let start = Timestamp::parse("2023-11-14T23:13:20.123+01:00").unwrap();
    /// assert_eq!(start, Timestamp::from_ms(1_700_000_000_123));
    /// assert_eq!(Timestamp::parse("yesterday"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', 't', ' '])?;
        let (year, month, day) = three(date, '-', [4, 2, 2])?;
        let end = rest.find(['Z', 'z', '+', '-'])?;
        let (time, offset) = rest.split_at_checked(end)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let (hour, minute, second) = three(time, ':', [2, 2, 2])?;
        let is_day = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !is_day || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
        let seconds = seconds.checked_add_signed(offset_seconds(offset)?)?;
        let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit()) && !fraction.is_empty();
        let micros: u64 = format!("{fraction:0<6}").get(..6).filter(|_| is_number)?.parse().ok()?;
        Some(Self(seconds * 1_000_000 + micros))
    }

    /// The time so much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// The time some seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

/// Three numbers of so many digits.
fn three(text: &str, separator: char, digits: [usize; 3]) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(separator).zip(digits).map(|(part, digits)| {
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| is_number)
    });
    let found = (parts.next()??, parts.next()??, parts.next()??);
    (text.split(separator).count() == 3).then_some(found)
}

/// What is to be added to a local time of this offset for the time in UTC.
fn offset_seconds(offset: &str) -> Option<i64> {
    if matches!(offset, "Z" | "z") {
        return Some(0);
    }
    let (hour, minute, _) = three(&format!("{}:00", offset.get(1..)?), ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 {
        return None;
    }
    let seconds = i64::try_from(hour * 3600 + minute * 60).ok()?;
    Some(if offset.starts_with('-') { seconds } else { -seconds })
}

/// The days from 1970 to a date; [`civil`] the other way round.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, from_march) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// Year, month and day of a day since 1970, by the rule that a year begins in March and leaps at its end.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
        let of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            let time = Timestamp::from_ms(seconds * 1000);
            assert_eq!(time.to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(time));
        }
    }

    #[test]
    fn times_are_written_to_the_microsecond() {
        for (ms, text) in [
            (1_700_000_000_123, "2023-11-14T22:13:20.123000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999000Z"),
        ] {
            assert_eq!(Timestamp::from_ms(ms).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-11-22",
            "2026-11-22T08:25:56",
            "2026-13-22T08:25:56Z",
            "2026-11-22T24:25:56Z",
            "2026-11-22T08:25Z",
            "2026-11-22T08:25:56.Z",
            "2026-11-22T08:25:56.x1Z",
            "2026-11-22T08:25:56+1",
            "2026-11-22T08:25:56+é0:00",
            "1969-11-22T08:25:56Z",
            "1970-01-01T00:00:00+01:00",
            "-2026-11-22T08:25:56Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
