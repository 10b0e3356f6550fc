//! Orderspace for the local stack: the built-in simulator as a process of its own, or somebody's URLs.
//!
//! The process is this very program, started again with a hidden command: nothing more has to be built.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use simulator::Simulator;
use tokio::signal::unix::{SignalKind, signal};

use crate::detached::Detached;
use crate::job;
use crate::places::Places;
use crate::ports;
use operate::aws::local_client;

/// This very program, also when a build has put another in the place of its file since it was started.
/// <https://man7.org/linux/man-pages/man5/proc_pid_exe.5.html>
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long the simulator may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The name of Orderspace's API among the addresses of sources.
pub const ORDERSPACE: &str = "orderspace";
/// The name of where Orderspace gives out access tokens.
pub const IDENTITY: &str = "orderspace-identity";

/// Whether some address of Orderspace's is not among these `NAME=URL`.
#[must_use]
pub fn is_needed(source_urls: &[String]) -> bool {
    let is_named = |name| {
        let mut names = source_urls.iter().filter_map(|entry| entry.split_once('='));
        names.any(|(known, _)| known == name)
    };
    ![ORDERSPACE, IDENTITY].into_iter().all(is_named)
}

/// The simulator's addresses as `NAME=URL`.
#[must_use]
pub fn source_urls(url: &str) -> [String; 2] {
    [ORDERSPACE, IDENTITY].map(|name| format!("{name}={url}"))
}

/// Starts the simulator's process on a free port, waits until it answers, and says where.
///
/// # Errors
/// It cannot be started, or does not answer.
pub async fn start(
    places: &Places,
    started: impl FnOnce(&Detached) -> Result<()>,
) -> Result<String> {
    let port = ports::free()?;
    let log = places.log_of("simulator");
    let mut command = Command::new(THIS_PROGRAM);
    command
        .args(["simulator", "--port", &port.to_string()])
        .current_dir(places.scratch());
    let process = Detached::start("simulator", command, &log)?;
    started(&process)?;
    let url = format!("http://127.0.0.1:{port}");
    wait(&process, &url, &log).await?;
    Ok(url)
}

async fn wait(process: &Detached, url: &str, log: &Path) -> Result<()> {
    let http = local_client()?;
    let health = format!("{url}/_simulator/health");
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let answer = http.get(&health).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if !process.runs() || Instant::now() > deadline {
            bail!(
                "the simulator did not start. The end of its log:\n\n{}",
                job::tail(log, 0)?
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Is the simulator, until SIGTERM or SIGINT.
///
/// # Errors
/// The port is taken.
pub async fn serve(port: u16) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulator = Simulator::start(port).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_stands_in_until_both_addresses_are_named() {
        let named = source_urls("http://127.0.0.1:1");
        assert!(is_needed(&[]));
        assert!(is_needed(&named[..1]) && is_needed(&named[1..]));
        assert!(!is_needed(&named));
    }
}
