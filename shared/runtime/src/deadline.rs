//! Deadlines for what is asked of the outside.

use std::future::Future;
use std::time::{Duration, SystemTime};

use domain::ports::PortError;
use tokio::time::{Instant, timeout_at};

use crate::clock;

/// The code of a call that the deadline ended.
pub const TIMEOUT: &str = "timeout";

/// What of a function's time is left for its answer.
const RESERVE: Duration = Duration::from_secs(1);

/// By when an invocation has to be done that Lambda ends at `end`.
#[must_use]
pub fn of_invocation(end: SystemTime) -> Instant {
    Instant::now() + clock::until(end).saturating_sub(RESERVE)
}

/// Waits for an answer until the deadline; after it, the answer is an error that may pass.
///
/// # Errors
/// That of the call, or a time-out. Whether the call did its work is not known then.
pub async fn in_time<T>(
    deadline: Instant,
    what: &'static str,
    call: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    timeout_at(deadline, call)
        .await
        .unwrap_or_else(|_| Err(PortError::transient(what, TIMEOUT)))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use rstest::rstest;

    /// The clock goes on while this runs, so what is left is a little less.
    #[rstest]
    #[case::ends_in_a_minute(60_000, 59_000)]
    #[case::ends_in_two_seconds(2_000, 1_000)]
    #[case::ends_before_it_can_answer(500, 0)]
    #[case::has_ended(-60_000, 0)]
    #[tokio::test(start_paused = true)]
    async fn an_invocation_keeps_time_for_its_answer(#[case] left: i64, #[case] expected: u64) {
        let end = clock::now().millis().checked_add_signed(left).unwrap();
        let deadline = of_invocation(UNIX_EPOCH + Duration::from_millis(end));
        let expected = Duration::from_millis(expected);
        let left = deadline - Instant::now();
        assert!(left <= expected, "{left:?}");
        assert!(left + Duration::from_millis(900) >= expected, "{left:?}");
    }
}
