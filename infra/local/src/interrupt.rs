//! Being interrupted: what a command started is ended when its work is dropped, and only then does it end.

use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::getppid;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGINT, which is Ctrl-C, or SIGTERM. Where it cannot wait for these, it waits for ever.
pub async fn interrupted() {
    tokio::select! {
        () = comes(SignalKind::interrupt()) => {}
        () = comes(SignalKind::terminate()) => {}
    }
}

/// Waits until nobody can end this process with Ctrl-C any more: its terminal was closed, or its parent has ended.
pub async fn abandoned() {
    let parent = getppid();
    let orphaned = async {
        while getppid() == parent {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = comes(SignalKind::hangup()) => {}
        () = orphaned => {}
    }
}

/// The outcome of `work`, or an error where `end` comes first: the work is then dropped.
///
/// # Errors
/// Those of the work, and that it was interrupted.
pub async fn unless<T>(
    end: impl Future<Output = ()>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        outcome = work => return outcome,
        () = end => {}
    }
    bail!("interrupted; nothing was left running")
}

async fn comes(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
