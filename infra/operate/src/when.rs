//! Times as operators write them: a span back from now, or a moment.

use domain::timestamp::Timestamp;

use calls::{Error, instant};

/// From when until when something is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment that is too late.
    pub to: Timestamp,
}

impl Window {
    /// A window of what `--since` and `--until` say: from `usual_seconds` before its end where nothing is said, until now.
    ///
    /// # Errors
    /// [`Error::Usage`] where one is no time, or where the window would be empty.
    pub fn of(
        since: Option<&str>,
        until: Option<&str>,
        now: Timestamp,
        usual_seconds: u64,
    ) -> Result<Self, Error> {
        let to = match until {
            Some(text) => moment(text, now)?,
            None => now,
        };
        let from = match since {
            Some(text) => moment(text, now)?,
            None => back(to, usual_seconds),
        };
        match from < to {
            true => Ok(Self { from, to }),
            false => Err(Error::Usage(format!(
                "--since {from} is not before --until {to}"
            ))),
        }
    }

    /// How long it is, in milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.to.millis().saturating_sub(self.from.millis())
    }
}

/// The moment so many seconds before another.
#[must_use]
pub fn back(from: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_millis(from.millis().saturating_sub(seconds.saturating_mul(1000)))
}

/// This moment.
#[must_use]
pub fn now() -> Timestamp {
    let since = calls::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Reads `90s`, `15m`, `2h` or `3d` as so long before `now`, and RFC 3339 as that moment; of that the seconds may be left out,
/// or all of the time of day (then the day begins at midnight UTC).
///
/// # Errors
/// [`Error::Usage`] for any other text.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let unusable = || {
        Error::Usage(format!(
            "{text:?} is no time: write 2h, 3d or 2026-11-26T10:00Z"
        ))
    };
    if let Some(seconds) = seconds_of(text) {
        let span = seconds.checked_mul(1000);
        let from = span.and_then(|span| now.millis().checked_sub(span));
        return from.map(Timestamp::from_millis).ok_or_else(unusable);
    }
    let whole = match (text.len(), text.get(..16), text.get(16..)) {
        (10, ..) => format!("{text}T00:00:00Z"),
        // Without seconds: an offset, or `Z`, follows the minutes.
        (_, Some(minute), Some(rest)) if rest.starts_with(['Z', '+', '-']) => {
            format!("{minute}:00{rest}")
        }
        _ => text.to_owned(),
    };
    let at = instant(&whole).ok_or_else(unusable)?;
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis)
        .map(Timestamp::from_millis)
        .map_err(|_| unusable())
}

/// How many seconds `90s`, `15m`, `2h` or `3d` are; none for any other text.
#[must_use]
pub fn seconds_of(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(())?;
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// 2026-11-20T12:00:00Z.
    const NOON: u64 = 1_795_176_000_000;

    #[rstest]
    #[case("90s", Some(NOON - 90_000))]
    #[case("15m", Some(NOON - 900_000))]
    #[case("2h", Some(NOON - 7_200_000))]
    #[case("3d", Some(NOON - 259_200_000))]
    #[case("0s", Some(NOON))]
    #[case("2026-11-20T12:00:00Z", Some(NOON))]
    #[case("2026-11-20T12:00:00.123Z", Some(NOON + 123))]
    #[case("2026-11-20T14:00:00+02:00", Some(NOON))]
    #[case("2026-11-20T12:00Z", Some(NOON))]
    #[case("2026-11-20", Some(NOON - 43_200_000))]
    #[case("2026-11-20T14:00+02:00", Some(NOON))]
    #[case::more_than_all_time("99999999999999999d", None)]
    #[case::before_all_time("99999999999999d", None)]
    #[case("2026-13-01", None)]
    #[case("2026-11-2éé", None)]
    #[case::before_1970("1969-12-31T00:00:00Z", None)]
    #[case("2w", None)]
    #[case("-2h", None)]
    #[case("+2h", None)]
    #[case("h", None)]
    #[case("2", None)]
    #[case("", None)]
    #[case("é2h", None)]
    #[case("yesterday", None)]
    fn moments(#[case] text: &str, #[case] expected: Option<u64>) {
        let found = moment(text, Timestamp::from_millis(NOON));
        assert_eq!(found.ok().map(Timestamp::millis), expected);
    }

    #[test]
    fn a_window_ends_now_and_is_never_empty() {
        let now = Timestamp::from_millis(NOON);
        let usual = Window::of(None, None, now, 60).unwrap();
        assert_eq!((usual.to, usual.millis()), (now, 60_000));
        let before = Window::of(None, Some("2h"), now, 60).unwrap();
        assert_eq!(before.to.millis(), NOON - 7_200_000);
        assert_eq!(before.millis(), 60_000);
        assert!(Window::of(Some("1h"), Some("2h"), now, 60).is_err());
        assert!(Window::of(Some("0s"), None, now, 60).is_err());
    }
}
