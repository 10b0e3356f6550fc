//! Times, in the forms in which AWS's services answer them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in RFC 3339, or as some services write it: without an offset, or with one that has no colon.
#[must_use]
pub fn instant(text: &str) -> Option<OffsetDateTime> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    parse(text).or_else(|| {
        // `2026-11-20T12:00:00.000+0000` of Lambda, `2026-11-20T12:00:00.000000` of an emulator.
        match text.split_at_checked(text.len().checked_sub(5)?) {
            Some((time, "+0000")) => parse(&format!("{time}Z")),
            _ => parse(&format!("{text}Z")),
        }
    })
}

/// A time in seconds since 1970, which may have a fraction.
#[must_use]
pub fn seconds(seconds: f64) -> Option<OffsetDateTime> {
    // Beyond any year that a clock shows, and within what an integer holds.
    const LATEST: f64 = 253_402_300_799.0;
    if !(0.0..=LATEST).contains(&seconds) {
        return None;
    }
    let since = time::Duration::checked_seconds_f64(seconds)?;
    OffsetDateTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-20T12:00:00Z", Some(1_795_176_000))]
    #[case("2026-11-20T12:00:00.123Z", Some(1_795_176_000))]
    #[case("2026-11-20T12:00:00.000+0000", Some(1_795_176_000))]
    #[case("2026-11-20T12:00:00.000000", Some(1_795_176_000))]
    #[case("2026-11-20T14:00:00+02:00", Some(1_795_176_000))]
    #[case("yesterday", None)]
    #[case("é", None)]
    #[case("", None)]
    fn forms_of_a_time(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(instant(text).map(OffsetDateTime::unix_timestamp), expected);
    }

    #[rstest]
    #[case(1.5, Some(1))]
    #[case(f64::NAN, None)]
    #[case(-1.0, None)]
    #[case(1e300, None)]
    fn seconds_that_a_clock_shows(#[case] since: f64, #[case] expected: Option<i64>) {
        assert_eq!(seconds(since).map(OffsetDateTime::unix_timestamp), expected);
    }
}
