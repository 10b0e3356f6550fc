//! What a sender may do differently: the behaviours that Orderspace's documentation leaves open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a delivery is repeated although it was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Each delivery once.
    #[default]
    Once,
    /// Each delivery twice at the same time.
    TwiceAtOnce,
}

/// How a failed delivery is cut anew for its retry. Orderspace does not promise that a retry has the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rebatch {
    /// A retry has the bytes of the first attempt.
    #[default]
    Never,
    /// A retry sends the two halves of the batch as deliveries of their own.
    Split,
}

/// The form of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// An array of events, of mixed types.
    #[default]
    Current,
    /// The early draft: `{"event":"order.created","data":{"orders":[..]}}`, one body per event type.
    Old,
}

/// The switches of a sender. The default is Orderspace on a good day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Send accepted deliveries again.
    pub repeat: Repeat,
    /// Cut failed batches anew.
    pub rebatch: Rebatch,
    /// Body form.
    pub shape: Shape,
    /// Most events in one delivery; Orderspace sends up to 50.
    pub batch_size: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            repeat: Repeat::Once,
            rebatch: Rebatch::Never,
            shape: Shape::Current,
            batch_size: 50,
        }
    }
}

/// When to try again and when to give up. Orderspace publishes "incremental backoff" and no numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Wait between the first and the second attempt, in milliseconds.
    pub first_delay_ms: u64,
    /// By how much each wait is longer than the one before.
    pub factor: f64,
    /// Longest wait, in milliseconds.
    pub max_delay_ms: u64,
    /// Time for one attempt, connection and answer, in milliseconds.
    pub timeout_ms: u64,
    /// Attempts per delivery.
    pub max_attempts: u32,
    /// Failed attempts in a row, over all deliveries of the webhook, that disable it.
    pub disable_after: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay_ms: 1_000,
            factor: 2.0,
            max_delay_ms: 60_000,
            timeout_ms: 10_000,
            max_attempts: 20,
            disable_after: 5,
        }
    }
}

impl RetryPolicy {
    /// A policy for tests: waits of milliseconds.
    pub fn quick() -> Self {
        Self {
            first_delay_ms: 2,
            factor: 1.5,
            max_delay_ms: 20,
            timeout_ms: 2_000,
            ..Self::default()
        }
    }

    /// The wait after attempt number `attempt` (counted from 1) failed.
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let longest = Duration::from_millis(self.max_delay_ms);
        let seconds = self.first_delay_ms as f64 / 1_000.0 * self.factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).map_or(longest, |delay| delay.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_longest() {
        let policy = RetryPolicy {
            first_delay_ms: 100,
            factor: 2.0,
            max_delay_ms: 500,
            ..RetryPolicy::default()
        };
        let delays: Vec<u128> = (1..=5)
            .map(|attempt| policy.delay_after(attempt).as_millis())
            .collect();
        assert_eq!(delays, [100, 200, 400, 500, 500]);
        assert_eq!(policy.delay_after(u32::MAX).as_millis(), 500);
    }
}
