//! That a run whose stack goes away says so, and leaves nothing behind.
//!
//! A run with faults gets a stack of its own, and its emulator is killed once the events are on their way. All that the
//! run could judge by is gone then: it has to end by itself, with the code for that, and stop whatever else it started.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::sync::oneshot;

use super::report::Outcome;
use crate::build::Build;
use crate::job;
use crate::places::Places;
use crate::refusal;
use crate::stack;

/// What the run prints once events are on their way.
const SENDS: &str = "Sending ";

/// How long a function may take to end that was told to.
const ENDING: Duration = Duration::from_secs(10);

/// What it says of the emulator.
const SAYS: &str = "the emulator ended during the run";

/// Makes the run, ends its emulator, and looks at what is left. `program` is the one for runs with faults.
///
/// # Errors
/// The run did not start, did not say what happened, or left a process behind.
pub(super) async fn noticed(places: &Places, program: &Path, build: Build) -> Result<Outcome> {
    let own = Places::of(Some(&places.state.join("gone")))?;
    // What an interrupted run may have left.
    stack::stop_all(&own).await?;
    let log = places.log_of("emulator-gone");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut command = Command::new(program);
    command
        .arg("--state")
        .arg(&own.state)
        .args((build == Build::Release).then_some("--release"))
        .args(["faults", "--minutes", "5"])
        .current_dir(&places.root);
    let (sends, sending) = oneshot::channel();
    let mut sends = Some(sends);
    let mut run = pin!(job::run(command, &log, |line| {
        if line.contains(SENDS)
            && let Some(sends) = sends.take()
        {
            let _ = sends.send(());
        }
    }));
    let said = || job::tail(&log, 0);
    tokio::select! {
        status = &mut run => bail!("the run ended before it began, with {}:\n\n{}", status?, said()?),
        sending = sending => sending.context("nobody tells that it sends")?,
    }
    let processes = stack::processes(&own)?;
    let functions = programs_below(&own.scratch())?.len();
    ensure!(functions > 0, "no function was seen running");
    stack::process(&own, "emulator")?.signal(Signal::KILL);
    let status = run.await?;
    let said = said()?;
    ensure!(
        status.code() == Some(refusal::NOT_TRIED.into()) && said.contains(SAYS),
        "the emulator was killed, and the run ended with {status}:\n\n{said}"
    );
    let left: Vec<&str> = processes
        .iter()
        .filter(|process| process.runs())
        .map(|process| process.name.as_str())
        .collect();
    ensure!(left.is_empty(), "left running: {}", left.join(", "));
    let deadline = Instant::now() + ENDING;
    loop {
        let programs = programs_below(&own.scratch())?;
        if programs.is_empty() {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "functions were left running: {programs:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Outcome::Passed(format!(
        "the run said so, and ended its {} processes and all functions",
        processes.len()
    )))
}

/// The processes that run a program below a directory: the functions, which the emulator unpacks there.
fn programs_below(directory: &Path) -> Result<Vec<String>> {
    let directory = directory
        .canonicalize()
        .with_context(|| format!("{} is not there", directory.display()))?;
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").context("/proc cannot be read")? {
        let process = process?.path();
        // Not every entry is a process, and not every process is ours to look at.
        if let Ok(program) = std::fs::read_link(process.join("exe"))
            && program.starts_with(&directory)
        {
            found.push(program.display().to_string());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_where_it_lies() {
        let own = std::env::current_exe().unwrap();
        let directory = own.parent().unwrap();
        assert!(!programs_below(directory).unwrap().is_empty());
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(
            programs_below(elsewhere.path()).unwrap(),
            Vec::<String>::new()
        );
    }
}
