//! The emulator process: ministack, with IAM enforced and an environment of its own.
//!
//! The functions inherit the emulator's whole environment, so it gets a clean one: nothing of the caller's reaches them,
//! and a test that passes here does not hang on somebody's shell. <https://github.com/ministackorg/ministack>

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::places::Places;
use crate::program::Program;
use crate::progress::Progress;
use crate::tools::Tools;

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
pub fn start(places: &Places, tools: &Tools, port: u16, calls: &str) -> Result<Program> {
    let programs = tools.emulator_programs();
    let scratch = places.scratch();
    let mut command = Command::new(programs.join("python"));
    command
        .args(["-c", include_str!("emulator.py")])
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
    Program::start(places, "emulator", command)
}

/// Waits until the emulator answers.
///
/// # Errors
/// It ended, with the end of its log, or did not answer in time.
pub async fn wait(program: &Program, port: u16, progress: Progress) -> Result<()> {
    let step = progress.step("Starting the emulator");
    let health = format!("{}/_ministack/health", endpoint(port));
    program.answers(&health, START_PATIENCE).await?;
    step.done(&endpoint(port));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::program::runs;

    use super::*;

    #[test]
    fn the_emulator_and_its_functions_end_with_the_process_that_started_it() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        // An emulator that takes no notice of SIGTERM would be ended later, with SIGKILL.
        let module = "import subprocess, time\n\
                      print(subprocess.Popen([\"sleep\", \"600\"]).pid, flush=True)\n\
                      time.sleep(600)\n";
        std::fs::write(places.scratch().join("ministack.py"), module).unwrap();
        let mut command = Command::new("python3");
        command
            .args(["-c", include_str!("emulator.py")])
            .current_dir(places.scratch());
        let mut program = Program::start(&places, "emulator", command).unwrap();
        let deadline = std::time::Instant::now() + START_PATIENCE;
        let function = loop {
            let said = std::fs::read_to_string(places.log_of("emulator")).unwrap();
            if let Ok(function) = said.trim().parse() {
                break function;
            }
            assert!(std::time::Instant::now() < deadline, "{said}");
            std::thread::yield_now();
        };
        assert!(runs(program.pid()) && runs(function));
        program.close_input();
        while runs(program.pid()) || runs(function) {
            assert!(std::time::Instant::now() < deadline, "it runs on");
            std::thread::yield_now();
        }
    }
}
