//! Numbers and times, as people read them.

use time::{Duration, OffsetDateTime};

/// `3 s`, `5 m`, `2 h 10 m`, `2 d 4 h`: the two largest units.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.whole_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large, unit, small, part| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {part}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} m"),
        (0, ..) => two(hours, "h", minutes, "m"),
        _ => two(days, "d", hours, "h"),
    }
}

/// `2026-11-26 10:41Z`.
#[must_use]
pub fn minute(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute()
    )
}

/// `1,204`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How wide a bar is, in characters.
const BAR: u64 = 24;

/// `████████        1,204/2,870`: how much of a whole is done.
#[must_use]
pub fn bar(done: u64, all: u64) -> String {
    let full = done.min(all).saturating_mul(BAR) / all.max(1);
    let bar: String = (0..BAR)
        .map(|place| if place < full { '█' } else { ' ' })
        .collect();
    format!("{bar} {}/{}", count(done), count(all))
}

/// `1 warning`, `2 warnings`.
#[must_use]
pub fn of(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(-5, "0 s")]
    #[case(3, "3 s")]
    #[case(59, "59 s")]
    #[case(60, "1 m")]
    #[case(7_800, "2 h 10 m")]
    #[case(7_200, "2 h")]
    #[case(187_200, "2 d 4 h")]
    #[case(864_000, "10 d")]
    fn spans(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(span(Duration::seconds(seconds)), expected);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(999, "999")]
    #[case(1_204, "1,204")]
    #[case(1_000_000, "1,000,000")]
    fn counts(#[case] number: u64, #[case] expected: &str) {
        assert_eq!(count(number), expected);
    }

    #[rstest]
    #[case(0, 0, 0, "0/0")]
    #[case(1, 2, 12, "1/2")]
    #[case(5, 2, 24, "5/2")]
    fn bars(#[case] done: u64, #[case] all: u64, #[case] full: usize, #[case] numbers: &str) {
        let text = bar(done, all);
        assert_eq!(text.matches('█').count(), full);
        assert!(text.ends_with(numbers), "{text}");
    }
}
