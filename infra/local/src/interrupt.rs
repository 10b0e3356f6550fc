//! Being interrupted: the commands stop what they started, and only then end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, or for being told to end. Where these cannot be heard, it waits for ever.
pub async fn interrupted() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    if let (Ok(mut interrupt), Ok(mut terminate)) = signals {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    } else {
        std::future::pending::<()>().await;
    }
}
