//! Programs that outlive the command that started them, and how they are ended.
//!
//! A process is remembered by its id and its start time together: ids are used again, and a process that this project did
//! not start is never ended. Ending is SIGTERM first, because the emulator loses its state to anything harder.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};
use serde::{Deserialize, Serialize};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that runs on its own.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Detached {
    /// What it is, for messages.
    pub name: String,
    /// The process id, also the id of its group.
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
}

impl Detached {
    /// Starts `command` in a group of its own, with `log` as its output.
    ///
    /// # Errors
    /// The program cannot be started or its log not be opened.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file =
            File::create(log).with_context(|| format!("{} could not be created", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .with_context(|| format!("the {name} could not be started"))?;
        let pid = i32::try_from(child.id())?;
        let started = start_time(pid)
            .with_context(|| format!("the {name} ended at once; see {}", log.display()))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            started,
        })
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        self.reap();
        start_time(self.pid) == Some(self.started)
    }

    /// Ends it, and whatever is left of its group.
    ///
    /// # Errors
    /// It is still there after SIGKILL.
    pub async fn stop(&self) -> Result<()> {
        if self.runs() {
            self.signal(Signal::TERM);
            if !self.gone_within(PATIENCE).await {
                self.signal_group(Signal::KILL);
                if !self.gone_within(PATIENCE).await {
                    anyhow::bail!("the {} (process {}) did not end", self.name, self.pid);
                }
            } else {
                // The functions that the emulator ran are in its group and may be busy with a last request.
                self.signal_group(Signal::TERM);
            }
        } else if start_time(self.pid).is_none() {
            // It ended by itself, and what it had started may run on. Nobody else gets its id while its group is there.
            self.signal_group(Signal::TERM);
        }
        Ok(())
    }

    async fn gone_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.runs() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }

    /// Sends it a signal, if it is there.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, signal);
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// A child of ours stays in the process table until it is waited for. Of another's child this is a harmless error.
    fn reap(&self) {
        let _ = waitpid(Pid::from_raw(self.pid), WaitOptions::NOHANG);
    }
}

/// When a process started, or `None` when there is none or it has ended.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything, so count from its end.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(directory: &Path) -> Detached {
        let mut command = Command::new("sleep");
        command.arg("600");
        Detached::start("sleeper", command, &directory.join("log")).unwrap()
    }

    #[tokio::test]
    async fn a_detached_process_runs_until_it_is_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let process = sleeper(directory.path());
        assert!(process.runs());
        process.stop().await.unwrap();
        assert!(!process.runs());
        process.stop().await.unwrap();
    }

    #[tokio::test]
    async fn what_a_process_leaves_behind_when_it_is_killed_is_ended_too() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let process = Detached::start("parent", command, &log).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let child: i32 = loop {
            let said = std::fs::read_to_string(&log).unwrap();
            if let Ok(child) = said.trim().parse() {
                break child;
            }
            assert!(Instant::now() < deadline, "it has no child");
            tokio::task::yield_now().await;
        };
        process.signal(Signal::KILL);
        assert!(process.gone_within(PATIENCE).await);
        assert!(start_time(child).is_some(), "the child ended by itself");
        process.stop().await.unwrap();
        while start_time(child).is_some() {
            assert!(Instant::now() < deadline, "the child was left behind");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_process_with_the_same_id_and_another_start_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let process = sleeper(directory.path());
        let other = Detached {
            started: process.started + 1,
            ..process.clone()
        };
        assert!(!other.runs());
        other.stop().await.unwrap();
        assert!(process.runs(), "stopped a process that was not ours");
        process.stop().await.unwrap();
    }
}
