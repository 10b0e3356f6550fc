//! The log of deliveries: what was sent, when, and what was answered. The oracle judges by it.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::events::Delivery;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The delivery's number in the log.
    pub(crate) delivery: usize,
    /// The elements of the delivery that its body had.
    pub(crate) part: Range<usize>,
    /// It was made after this time, in milliseconds since 1970.
    pub(crate) after: u64,
    /// It had ended by this time.
    pub(crate) before: u64,
    /// The status; none where no answer came.
    pub(crate) status: Option<u16>,
}

/// Everything that was sent.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The accounts' names.
    pub(crate) accounts: Vec<String>,
    /// What was to be sent.
    pub(crate) deliveries: Vec<Delivery>,
    /// What was sent, in no order.
    pub(crate) attempts: Vec<Attempt>,
}

/// The wall clock, which is also the gateway's.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the run")]
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
