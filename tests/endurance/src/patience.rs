//! Waiting for what takes its time to show.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Tries until it succeeds, with a pause after each attempt; after so long its last error counts.
///
/// # Errors
/// That one.
pub(crate) async fn until<T>(
    patience: Duration,
    pause: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(_) if begun.elapsed() < patience => tokio::time::sleep(pause).await,
            done => return done,
        }
    }
}
