//! Arguments that several commands share: from when, until when, and whose.

use clap::Args;
use domain::account::AccountName;
use operate::Error;
use operate::when::{Window, now};

/// From when until when.
#[derive(Debug, Clone, Args)]
pub struct Span {
    /// From when: 2h, 3d, or 2026-11-26T10:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Until when, in the same forms [default: now].
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl Span {
    /// The window that is meant, so many seconds long where nothing is said.
    ///
    /// # Errors
    /// [`Error::Usage`] where one is no time, or where the window would be empty.
    pub fn window(&self, usual_seconds: u64) -> Result<Window, Error> {
        Window::of(
            self.since.as_deref(),
            self.until.as_deref(),
            now(),
            usual_seconds,
        )
    }
}

/// An account's name.
///
/// # Errors
/// [`Error::Usage`] where it cannot be one.
pub fn account(name: &str) -> Result<AccountName, Error> {
    name.parse()
        .map_err(|error| Error::Usage(format!("account {name:?}: {error}")))
}

/// The account that was said, if any.
///
/// # Errors
/// [`Error::Usage`] where it cannot be one.
pub fn said_account(name: Option<&str>) -> Result<Option<AccountName>, Error> {
    name.map(account).transpose()
}

/// `11-26 10:41:02.770` of a time in RFC 3339; any other text as it is.
#[must_use]
pub fn short(time: &str) -> String {
    match (time.get(5..10), time.get(11..23)) {
        (Some(day), Some(clock)) => format!("{day} {clock}"),
        _ => time.to_owned(),
    }
}

/// `340 B`, `6.1 K`, `5.2 M`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| (bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => {
            let (whole, tenth) = tenths(1_000);
            format!("{whole}.{tenth} K")
        }
        _ => {
            let (whole, tenth) = tenths(1_000_000);
            format!("{whole}.{tenth} M")
        }
    }
}

/// `48 ms`, `0.9 s`, `139 s`.
#[must_use]
pub fn millis(millis: u64) -> String {
    match millis {
        0..100 => format!("{millis} ms"),
        100..100_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} s", millis / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-26T10:41:02.770Z", "11-26 10:41:02.770")]
    #[case("2026", "2026")]
    #[case("é026-11-26T10:41:02.770Z", "é026-11-26T10:41:02.770Z")]
    fn times(#[case] time: &str, #[case] expected: &str) {
        let shown = short(time);
        assert!(shown == expected || !time.is_ascii(), "{shown}");
    }

    #[rstest]
    #[case(0, "0 B")]
    #[case(999, "999 B")]
    #[case(6_149, "6.1 K")]
    #[case(5_250_000, "5.2 M")]
    fn sizes(#[case] bytes: u64, #[case] expected: &str) {
        assert_eq!(size(bytes), expected);
    }

    #[rstest]
    #[case(48, "48 ms")]
    #[case(912, "0.9 s")]
    #[case(139_000, "139 s")]
    fn durations(#[case] span: u64, #[case] expected: &str) {
        assert_eq!(millis(span), expected);
    }
}
