//! Milliseconds since 1970, as API Gateway counts them in `requestContext.timeEpoch`.

use std::fmt;

use time::OffsetDateTime;

/// A moment, in milliseconds since the Unix epoch (UTC). Prints as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The last moment with a four-digit year: 9999-12-31T23:59:59.999Z.
const LAST: u64 = 253_402_300_799_999;

impl Timestamp {
    /// Takes milliseconds since the epoch; what lies behind the year 9999 becomes its last millisecond.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LAST))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, as DynamoDB's time to live wants them.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The moment so many seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self::from_millis(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// The day in UTC, as `yyyy-mm-dd`.
    #[must_use]
    pub fn day(self) -> String {
        let date = self.date_time().date();
        format!(
            "{:04}-{:02}-{:02}",
            date.year(),
            u8::from(date.month()),
            date.day()
        )
    }

    fn date_time(self) -> OffsetDateTime {
        // The range is checked on the way in, so the fall-back is never taken.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.date_time();
        write!(
            f,
            "{}T{:02}:{:02}:{:02}.{:03}Z",
            self.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01T00:00:00.000Z")]
    #[case(1_795_176_000_123, "2026-11-20T12:00:00.123Z")]
    #[case(951_782_400_000, "2000-02-29T00:00:00.000Z")]
    #[case(u64::MAX, "9999-12-31T23:59:59.999Z")]
    fn prints_as_rfc_3339(#[case] millis: u64, #[case] text: &str) {
        assert_eq!(Timestamp::from_millis(millis).to_string(), text);
    }

    #[test]
    fn seconds_are_whole() {
        assert_eq!(
            Timestamp::from_millis(1_795_176_000_999).seconds(),
            1_795_176_000
        );
        assert_eq!(Timestamp::from_millis(999).plus_seconds(2).millis(), 2_999);
    }
}
