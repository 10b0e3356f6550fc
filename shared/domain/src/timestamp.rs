//! Milliseconds since 1970, as API Gateway counts them in `requestContext.timeEpoch`.

use std::fmt;

/// A moment, in milliseconds since the Unix epoch (UTC). Prints as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The last moment with a four-digit year: 9999-12-31T23:59:59.999Z.
const LAST: u64 = 253_402_300_799_999;

const MILLIS_OF_A_DAY: u64 = 24 * 3600 * 1000;

/// Writes a number as so many decimal digits as there are places, its last ones if it has more.
pub(crate) fn put_digits(places: &mut [u8], mut number: u64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

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
        self.rfc_3339()
            .iter()
            .take(10)
            .map(|byte| char::from(*byte))
            .collect()
    }

    /// Year, month and day in UTC, by arithmetic alone: every event's envelope has a time.
    /// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
    fn date(self) -> [u64; 3] {
        // Days since the first of March of the year 0, so that a leap day is the last of its year.
        let days = self.0 / MILLIS_OF_A_DAY + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let year = year + era * 400;
        match month {
            0..=9 => [year, month + 3, day],
            _ => [year + 1, month - 9, day],
        }
    }

    fn rfc_3339(self) -> [u8; 24] {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let [year, month, day] = self.date();
        let millis = self.0 % MILLIS_OF_A_DAY;
        let seconds = millis / 1000;
        for (places, number) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, seconds / 3600),
            (14..16, seconds / 60 % 60),
            (17..19, seconds % 60),
            (20..23, millis % 1000),
        ] {
            put_digits(text.get_mut(places).unwrap_or_default(), number);
        }
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.rfc_3339()).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    proptest! {
        #[test]
        fn prints_what_a_calendar_says(millis in 0..=LAST) {
            let at = Timestamp::from_millis(millis);
            let text = at.to_string();
            let read = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
            prop_assert_eq!(read.unix_timestamp_nanos(), i128::from(millis) * 1_000_000);
            prop_assert_eq!(text.get(..10), Some(&*at.day()));
            prop_assert_eq!(text.len(), "2026-11-20T12:00:00.123Z".len());
        }
    }

    #[rstest]
    #[case::a_leap_year_s_last_day(1_735_603_200_000, "2024-12-31T00:00:00.000Z")]
    #[case::no_leap_day(4_107_542_400_000, "2100-03-01T00:00:00.000Z")]
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
