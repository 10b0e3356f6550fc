//! Times as operators write them: `2h` ago, a day, or a moment.

use domain::timestamp::Timestamp;
use operate::Error;
use operate::calls::instant;

/// Reads a time: `90s`, `30m`, `2h` or `3d` before `now`, a day (`2026-11-26`, which begins at midnight UTC), or a moment in
/// RFC 3339 with or without its seconds (`2026-11-26T10:00Z`).
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let refused = || {
        Error::Usage(format!(
            "{text:?} is no time: 2h, 3d, 2026-11-26 or 2026-11-26T10:00Z"
        ))
    };
    ago(text, now).or_else(|| at(text)).ok_or_else(refused)
}

fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let millis = count.checked_mul(seconds)?.checked_mul(1000)?;
    Some(Timestamp::from_millis(now.millis().checked_sub(millis)?))
}

fn at(text: &str) -> Option<Timestamp> {
    let whole = match (text.len(), text.get(..16), text.get(16..)) {
        (10, ..) => format!("{text}T00:00:00Z"),
        // Without seconds: an offset, or `Z`, follows the minutes.
        (_, Some(minute), Some(rest)) if rest.starts_with(['Z', '+', '-']) => {
            format!("{minute}:00{rest}")
        }
        _ => text.to_owned(),
    };
    let millis = instant(&whole)?.unix_timestamp_nanos() / 1_000_000;
    Some(Timestamp::from_millis(u64::try_from(millis).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: u64 = 1_795_176_000_000;

    #[rstest]
    #[case("90s", Some("2026-11-20T11:58:30.000Z"))]
    #[case("2h", Some("2026-11-20T10:00:00.000Z"))]
    #[case("3d", Some("2026-11-17T12:00:00.000Z"))]
    #[case("2026-11-20", Some("2026-11-20T00:00:00.000Z"))]
    #[case("2026-11-20T08:30Z", Some("2026-11-20T08:30:00.000Z"))]
    #[case("2026-11-20T08:30+02:00", Some("2026-11-20T06:30:00.000Z"))]
    #[case("2026-11-20T08:30:01.5Z", Some("2026-11-20T08:30:01.500Z"))]
    #[case("", None)]
    #[case("h", None)]
    #[case("-2h", None)]
    #[case("2w", None)]
    #[case("999999999999999999d", None)]
    #[case("99999999999999d", None)]
    #[case("yesterday", None)]
    #[case("1969-01-01", None)]
    #[case("2026-13-01", None)]
    #[case("2026-11-2éé", None)]
    fn times(#[case] text: &str, #[case] expected: Option<&str>) {
        let read = moment(text, Timestamp::from_millis(NOW)).ok();
        assert_eq!(read.map(|at| at.to_string()).as_deref(), expected);
    }
}
