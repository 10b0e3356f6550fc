//! The proxy of the end-to-end tests, between the functions and the emulator: it counts and disturbs the functions' calls.
//!
//! Only a stack for tests has one. It is a program of the tests' package, so that nothing of it is in what is deployed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::detached::Detached;
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::tools::without_cargos_own;
use operate::aws::local_client;

/// The name of the program.
const PROGRAM: &str = "proxy";

/// How long it may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Builds every test, and with them the proxy; returns its program.
///
/// The tests are built as a whole because they are run as a whole: built alone, the proxy would have the AWS SDK compiled
/// once more, for other features of its dependencies.
///
/// # Errors
/// Something does not compile.
pub async fn build(places: &Places, progress: Progress) -> Result<PathBuf> {
    let step = progress.step("Building the tests");
    let cargo = build::cargo()?;
    let target = build::target_directory(places, &cargo).await?;
    let log = places.log_of("build-tests");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut command = tokio::process::Command::new(cargo);
    command
        .args([
            "test",
            "--workspace",
            "--locked",
            "--no-run",
            "--lib",
            "--bins",
            "--tests",
        ])
        .current_dir(&places.root);
    without_cargos_own(&mut command);
    build::compile("the build of the tests", command, &log, step).await?;
    Ok(target.join("debug").join(PROGRAM))
}

/// Starts `program` on `port`, to pass calls on to `to`. It is up, but not ready: see [`wait`].
///
/// # Errors
/// It cannot be started.
pub fn start(places: &Places, program: &Path, port: u16, to: &str) -> Result<Detached> {
    let mut command = Command::new(program);
    command
        .args(["--listen", &port.to_string(), "--to", to])
        .current_dir(places.scratch());
    Detached::start(PROGRAM, command, &places.log_of(PROGRAM))
}

/// Waits until the proxy answers.
///
/// # Errors
/// It ended, or did not answer in time.
pub async fn wait(places: &Places, process: &Detached, url: &str) -> Result<()> {
    let http = local_client()?;
    let health = format!("{url}/_proxy/health");
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let answer = http.get(&health).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if !process.runs() || Instant::now() > deadline {
            bail!(
                "the proxy did not start. The end of its log:\n\n{}",
                job::tail(&places.log_of(PROGRAM), 0)?
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
