//! A program that runs for as long as the stack is up, and ends with the process that started it.
//!
//! Dropping a [`Program`] ends it. Where nothing is dropped, because this process was killed, the program ends itself: its
//! standard input is a pipe that this process holds, and it ends when the pipe is closed. The kernel closes it whatever the
//! reason. A program gets a process group of its own, so that what it starts is ended with it, and so that the Ctrl-C of a
//! terminal reaches this process alone.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::aws::local_client;
use crate::job;
use crate::places::Places;

/// How long a program may take to end by itself. The emulator's program counts the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    log: PathBuf,
    child: Child,
    pid: i32,
}

impl Program {
    /// Starts `command`, with the log of that name as its output. It has to end when its standard input does.
    ///
    /// # Errors
    /// It cannot be started, or its log not be opened.
    pub fn start(places: &Places, name: &'static str, mut command: Command) -> Result<Self> {
        let log = places.log_of(name);
        let file = File::create(&log)
            .with_context(|| format!("{} could not be created", log.display()))?;
        command
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .with_context(|| format!("the {name} could not be started"))?;
        let pid = i32::try_from(child.id())?;
        Ok(Self {
            name,
            log,
            child,
            pid,
        })
    }

    /// The process id, which is also the id of its group.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until it answers at `url` with success.
    ///
    /// # Errors
    /// It ended, with the end of its log, or did not answer within `patience`.
    pub async fn answers(&self, url: &str, patience: Duration) -> Result<()> {
        let http = local_client()?;
        let deadline = Instant::now() + patience;
        loop {
            let call = http.get(url).timeout(Duration::from_secs(2));
            let answered = call.send().await.is_ok_and(|it| it.status().is_success());
            // An answer while ours has ended is another program's.
            if let Some(ended) = self.ended() {
                return Err(ended.context(format!("the {} did not start", self.name)));
            }
            if answered {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "the {} did not answer in {} s; see {}",
                    self.name,
                    patience.as_secs(),
                    self.log.display()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// That it has ended by itself, with the end of its log; `None` while it runs.
    pub fn ended(&self) -> Option<anyhow::Error> {
        if runs(self.pid) {
            return None;
        }
        let log = job::tail(&self.log, 0).unwrap_or_default();
        Some(anyhow::anyhow!(
            "the {} ended. The end of its log:\n\n{log}\n\nAll of it is in {}",
            self.name,
            self.log.display()
        ))
    }

    /// Closes its standard input, as the end of this process would.
    #[cfg(test)]
    pub(crate) fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while runs(self.pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // What it started while it ended. Until the program itself is waited for, its id is nobody else's.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Whether a process is there and has not ended.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the program's name in parentheses and may hold anything, so look from its end.
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that starts a child which takes no notice of SIGTERM, says the child's id, and runs `then`.
    fn shell(places: &Places, then: &str) -> (Program, i32) {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("(trap '' TERM; exec sleep 600) & echo $!; {then}"),
        ]);
        let program = Program::start(places, "shell", command).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = std::fs::read_to_string(&program.log).unwrap();
            if let Ok(child) = said.trim().parse() {
                assert!(runs(child));
                return (program, child);
            }
            assert!(Instant::now() < deadline, "it has no child");
            std::thread::yield_now();
        }
    }

    fn assert_gone(pid: i32) {
        let deadline = Instant::now() + PATIENCE;
        while runs(pid) {
            assert!(Instant::now() < deadline, "process {pid} was left behind");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_and_what_it_started_end_when_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        for then in ["wait", "exit", "kill -KILL $$"] {
            let (program, child) = shell(&places, then);
            let pid = program.pid();
            drop(program);
            assert_gone(pid);
            assert_gone(child);
        }
    }

    #[test]
    fn a_program_that_ended_by_itself_says_its_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let (mut program, child) = shell(&places, "read line; echo the end");
        assert!(program.ended().is_none());
        program.close_input();
        assert_gone(program.pid());
        let said = program.ended().unwrap().to_string();
        assert!(
            said.contains("the shell ended") && said.contains("the end"),
            "{said}"
        );
        assert!(runs(child), "it was to be ended with its program");
        drop(program);
        assert_gone(child);
    }

    #[tokio::test]
    async fn an_answer_of_another_program_is_not_taken_for_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let other = simulator::Simulator::start(0).await.unwrap();
        let url = format!("{}/_simulator/health", other.url());
        let (program, _child) = shell(&places, "exec sleep 600");
        program.answers(&url, PATIENCE).await.unwrap();
        program.signal(Signal::KILL);
        assert_gone(program.pid());
        let error = program.answers(&url, PATIENCE).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("the shell ended"),
            "{error:#}"
        );
    }
}
