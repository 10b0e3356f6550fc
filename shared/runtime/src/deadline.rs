//! Deadlines for what is asked of the outside.

use std::future::Future;

use domain::ports::PortError;
use tokio::time::{Instant, timeout_at};

/// The code of a call that the deadline ended.
pub const TIMEOUT: &str = "timeout";

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
        .unwrap_or_else(|_| Err(PortError::passing(what, TIMEOUT)))
}
