//! The budget: how the time for an answer is divided among its parts.

use std::time::Duration;

use tokio::time::Instant;

/// What is left once sending has to stop: enough to leave a retry marker. Of a small budget it is a quarter.
const RESERVE: Duration = Duration::from_millis(700);

/// The time for one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    begun: Instant,
    whole: Duration,
    reserve: Duration,
}

impl Budget {
    /// Begins now.
    pub(crate) fn begin(whole: Duration) -> Self {
        Self {
            begun: Instant::now(),
            whole,
            reserve: RESERVE.min(whole / 4),
        }
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When the answer is due.
    pub(crate) fn end(&self) -> Instant {
        self.begun + self.whole
    }

    /// Until when the events are sent.
    pub(crate) fn sending(&self) -> Instant {
        self.begun + (self.whole - self.reserve)
    }

    /// Until when a retry marker is asked for, from now on: slow keys, as after a start, must not cost a retry its
    /// identity.
    pub(crate) fn asking(&self) -> Instant {
        self.sending().min(Instant::now() + self.whole / 3)
    }

    /// Until when a retry marker is removed. If that takes too long, there is time left to give it back.
    pub(crate) fn removing(&self) -> Instant {
        self.begun + (self.whole - self.reserve / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_usual(3_500, 2_800, 1_166, 3_150)]
    #[case::a_small_one(1_000, 750, 333, 875)]
    #[tokio::test(start_paused = true)]
    async fn every_part_has_its_time(
        #[case] whole: u64,
        #[case] sending: u64,
        #[case] asking: u64,
        #[case] removing: u64,
    ) {
        let budget = Budget::begin(Duration::from_millis(whole));
        let after = |at: Instant| u64::try_from((at - budget.begun).as_millis()).unwrap();
        assert_eq!(after(budget.end()), whole);
        assert_eq!(after(budget.sending()), sending);
        assert_eq!(after(budget.removing()), removing);
        assert_eq!(after(budget.asking()), asking);
        tokio::time::advance(Duration::from_millis(sending - 10)).await;
        assert_eq!(after(budget.asking()), sending, "not beyond the sending");
        assert_eq!(budget.elapsed(), Duration::from_millis(sending - 10));
    }
}
