//! The emulator process: ministack, with IAM enforced and an environment of its own.
//!
//! The functions inherit the emulator's whole environment, so it gets a clean one: nothing of the caller's reaches them,
//! and a test that passes here does not hang on somebody's shell. <https://github.com/ministackorg/ministack>

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::detached::Detached;
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::tools::Tools;
use operate::aws::local_client;

/// The region of the local stack.
pub const REGION: &str = "eu-west-1";
/// The administrator that the emulator knows.
pub const ACCESS_KEY_ID: &str = "test";
/// The administrator's key; the emulator does not check it.
pub const SECRET_ACCESS_KEY: &str = "test";

/// How long the emulator may take to start on a cold disk.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// The address of an emulator on `port`.
pub fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Starts the emulator on `port`; the functions that it runs make their calls to `calls`, which is the emulator itself or
/// what stands before it. It is up, but not ready: see [`wait`].
///
/// # Errors
/// It cannot be started.
pub fn start(places: &Places, tools: &Tools, port: u16, calls: &str) -> Result<Detached> {
    let programs = tools.emulator_programs();
    let scratch = places.scratch();
    let mut command = Command::new(programs.join("python"));
    command
        .args(["-m", "ministack"])
        .current_dir(&scratch)
        .env_clear()
        .env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()),
        )
        .env("HOME", &scratch)
        .env("TMPDIR", &scratch)
        .env("LANG", "C.UTF-8")
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "localhost")
        .env("IOT_MTLS_ENABLED", "0")
        .env("PERSIST_STATE", "0")
        .env("AUTH", "true")
        .env("AWS_ENDPOINT_URL", calls)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    Detached::start("emulator", command, &places.log_of("emulator"))
}

/// Waits until the emulator answers.
///
/// # Errors
/// It ended, or did not answer in time; with the end of its log.
pub async fn wait(process: &Detached, port: u16, log: &Path, progress: Progress) -> Result<()> {
    let mut step = progress.step("Starting the emulator");
    let http = local_client()?;
    let health = format!("{}/_ministack/health", endpoint(port));
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let answer = http
            .get(&health)
            .timeout(Duration::from_secs(2))
            .send()
            .await;
        let answered = answer.is_ok_and(|answer| answer.status().is_success());
        // An answer while ours has ended is another program's.
        if answered && process.runs() {
            break;
        }
        if !process.runs() {
            bail!(
                "the emulator ended while it started. The end of its log:\n\n{}",
                job::tail(log, 0)?
            );
        }
        if Instant::now() > deadline {
            bail!(
                "the emulator did not answer in {} s; see {}",
                START_PATIENCE.as_secs(),
                log.display()
            );
        }
        step.update("waiting for its first answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    step.done(&endpoint(port));
    Ok(())
}
