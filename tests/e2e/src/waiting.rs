//! Asking until it is so.
#![allow(
    clippy::panic,
    reason = "a test stops where what it waits for does not come"
)]

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take to come about, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks until there is an answer, and returns it. An error says what is missing.
///
/// # Panics
/// It does not come about in [`PATIENCE`].
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, what, probe).await
}

/// The same, with a patience of its own.
///
/// # Panics
/// It does not come about in time.
pub async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    loop {
        match probe().await {
            Ok(answer) => return answer,
            Err(missing) if begun.elapsed() > patience => {
                panic!(
                    "not within {} s: {what}; at last: {missing}",
                    patience.as_secs()
                )
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
