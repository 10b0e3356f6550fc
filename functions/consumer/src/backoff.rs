//! Why a message failed, and when it comes again.

use std::time::Duration;

use runtime::jitter;

/// Why a message has to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Something outside did not answer, or time ran out: later it may.
    Transient,
    /// The message is an event of a newer release: a function of that release can read it.
    Newer,
    /// The message is no event and never will be: it comes again each second, on its way to the dead-letter queue.
    Unreadable,
}

/// The longest delay: after an outage, so long at most until all is well again.
const LONGEST: Duration = Duration::from_secs(900);

/// The delay of what is never going to be read.
const EACH_SECOND: Duration = Duration::from_secs(1);

/// What rounds a delay to whole seconds, the only ones that SQS takes.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

impl Failure {
    /// The reason in one word, for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Newer => "newer",
            Self::Unreadable => "unreadable",
        }
    }

    /// The delay in whole seconds before a message that was received so many times comes again: twice as long
    /// each time, with jitter, so that a blip costs seconds and an outage of hours makes no dead letters.
    #[must_use]
    pub fn delay(self, receives: u32, first: Duration) -> u32 {
        let delay = match self {
            Self::Unreadable => first.min(EACH_SECOND),
            Self::Transient | Self::Newer => {
                let doublings = receives.saturating_sub(1).min(16);
                first.saturating_mul(1 << doublings).min(LONGEST)
            }
        };
        // From half of it to all of it.
        let jittered = delay.mul_f64(0.5 + jitter::fraction() / 2.0) + HALF_A_SECOND;
        u32::try_from(jittered.as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Failure::Transient, 1, 1..=2)]
    #[case(Failure::Transient, 2, 2..=4)]
    #[case(Failure::Transient, 5, 16..=32)]
    #[case(Failure::Transient, 10, 450..=900)]
    #[case(Failure::Transient, u32::MAX, 450..=900)]
    #[case(Failure::Transient, 0, 1..=2)]
    #[case(Failure::Newer, 1, 1..=2)]
    #[case(Failure::Newer, 10, 450..=900)]
    // requirement: lost-outage
    fn delays_grow_up_to_a_limit(
        #[case] failure: Failure,
        #[case] receives: u32,
        #[case] expected: std::ops::RangeInclusive<u32>,
    ) {
        let drawn: BTreeSet<u32> = (0..100)
            .map(|_| failure.delay(receives, Duration::from_secs(2)))
            .collect();
        assert!(drawn.is_subset(&expected.collect()), "{drawn:?}");
        assert!(drawn.len() > 1, "without jitter all come again at once");
    }

    #[test]
    fn what_is_no_event_comes_again_each_second() {
        assert_eq!(Failure::Unreadable.delay(40, Duration::from_secs(2)), 1);
    }
}
