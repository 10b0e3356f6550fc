//! The proxy of the end-to-end tests, between the functions and the emulator: it counts and disturbs the functions' calls.
//!
//! Only a stack for tests has one. It is a program of the tests' package, so that nothing of it is in what is deployed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::build;
use crate::emulator::endpoint;
use crate::places::Places;
use crate::program::Program;
use crate::progress::Progress;
use crate::tools::without_cargos_own;

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

/// Starts `program` on `port`, to pass calls on to `to`, and waits until it answers.
///
/// # Errors
/// It cannot be started, ended, or did not answer in time.
pub async fn start(places: &Places, program: &Path, port: u16, to: &str) -> Result<Program> {
    let mut command = Command::new(program);
    command
        .args(["--listen", &port.to_string(), "--to", to])
        .current_dir(places.scratch());
    let program = Program::start(places, PROGRAM, command)?;
    let health = format!("{}/_proxy/health", endpoint(port));
    program.answers(&health, START_PATIENCE).await?;
    Ok(program)
}
