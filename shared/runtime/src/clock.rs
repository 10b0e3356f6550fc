//! The clock. Read once per invocation, at the edge; everything inside takes the time as a value.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::timestamp::Timestamp;

/// The time now, in milliseconds.
#[must_use]
pub fn now() -> Timestamp {
    let since = read().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long it is until then: no time where that is past.
#[must_use]
pub fn until(then: SystemTime) -> Duration {
    then.duration_since(read()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn read() -> SystemTime {
    SystemTime::now()
}
