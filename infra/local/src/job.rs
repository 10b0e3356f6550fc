//! A program that runs to its end: its lines go to a log and to whoever shows progress.
//!
//! The program gets a process group of its own, which is ended when the job is dropped: a `sam build` that is interrupted
//! takes its cargo along.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 30;

/// Runs `command` to its end. Each line of its output is appended to `log` and handed to `on_line`.
///
/// # Errors
/// The program could not be started or its log not be written. A program that ends badly is an `Ok` with its status.
pub async fn run(
    mut command: Command,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("{} could not be opened", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command
        .spawn()
        .with_context(|| format!("{program} could not be started"))?;
    let mut group = Group(child);
    let mut out = lines(group.0.stdout.take().context("no standard output")?);
    let mut err = lines(group.0.stderr.take().context("no standard error")?);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        let segment = tokio::select! {
            segment = out.next_segment(), if out_open => {
                let segment = segment?;
                out_open = segment.is_some();
                segment
            }
            segment = err.next_segment(), if err_open => {
                let segment = segment?;
                err_open = segment.is_some();
                segment
            }
        };
        if let Some(bytes) = segment {
            let line = String::from_utf8_lossy(&bytes);
            writeln!(file, "{line}")
                .with_context(|| format!("{} could not be written", log.display()))?;
            on_line(&line);
        }
    }
    Ok(group.0.wait().await?)
}

/// Like [`run`], and a bad end is an error that shows the last lines of the output.
///
/// # Errors
/// The program could not be started, or did not end with 0.
pub async fn succeed(
    what: &str,
    command: Command,
    log: &Path,
    on_line: impl FnMut(&str),
) -> Result<()> {
    let begin = log.metadata().map_or(0, |metadata| metadata.len());
    let status = run(command, log, on_line).await?;
    if !status.success() {
        bail!(
            "{what} ended with {status}. The end of its output:\n\n{}\n\nAll of it is in {}",
            tail(log, begin)?,
            log.display()
        );
    }
    Ok(())
}

/// The last lines of `log` after the byte `begin`.
///
/// # Errors
/// The log cannot be read.
pub fn tail(log: &Path, begin: u64) -> Result<String> {
    let bytes =
        std::fs::read(log).with_context(|| format!("{} could not be read", log.display()))?;
    let new = bytes.get(usize::try_from(begin)?..).unwrap_or_default();
    let text = String::from_utf8_lossy(new);
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default();
    Ok(shown
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n"))
}

/// Where a program is on the PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

fn lines<R: AsyncRead + Unpin>(reader: R) -> tokio::io::Split<BufReader<R>> {
    BufReader::new(reader).split(b'\n')
}

/// A child and everything that it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is gone once the child was waited for: then there is nothing to end, and the number may be another's.
        let pid = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn both_outputs_reach_the_log_and_the_listener() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("job.log");
        let mut seen = Vec::new();
        let status = run(shell("echo out; echo err >&2"), &log, |line| {
            seen.push(line.to_owned());
        })
        .await
        .unwrap();
        assert!(status.success());
        seen.sort();
        assert_eq!(seen, ["err", "out"]);
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);
    }

    #[tokio::test]
    async fn a_bad_end_shows_the_last_lines_of_this_run_alone() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("job.log");
        std::fs::write(&log, "from before\n").unwrap();
        let error = succeed("the script", shell("seq 100; exit 3"), &log, |_| {})
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the script ended with exit status: 3"),
            "{error}"
        );
        assert!(
            error.contains("    100\n")
                && error.contains("    71\n")
                && !error.contains("    70\n"),
            "{error}"
        );
        assert!(!error.contains("from before"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_job_takes_its_children_along() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("job.log");
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut send = Some(send);
        let mut job = Box::pin(run(shell("sleep 600 & echo $!; wait"), &log, |line| {
            if let Some(send) = send.take() {
                send.send(line.to_owned()).unwrap();
            }
        }));
        let grandchild = tokio::select! {
            _ = &mut job => panic!("the job ended by itself"),
            line = receive => line.unwrap(),
        };
        let process = PathBuf::from(format!("/proc/{grandchild}"));
        assert!(process.exists());
        drop(job);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while process.exists() && !is_zombie(&process) {
            assert!(
                std::time::Instant::now() < deadline,
                "the grandchild is still there"
            );
            tokio::task::yield_now().await;
        }
    }

    fn is_zombie(process: &Path) -> bool {
        std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
    }
}
