//! The clock. Read once per invocation, at the edge; everything inside takes the time as a value.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::timestamp::Timestamp;

/// The time now, in milliseconds.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
