//! What the checks came to: a line for each while they run, a table and a count at the end.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command's output"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use console::style;

use crate::progress::{Progress, seconds};

/// How a check ended that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made and nothing was wrong; with what it saw.
    Passed(String),
    /// It could not be made; with the reason.
    NotChecked(String),
}

/// One line of the table.
#[derive(Clone, Debug)]
struct Entry {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    NotChecked,
}

/// The checks so far.
#[derive(Debug)]
pub struct Report {
    progress: Progress,
    started: Instant,
    entries: Vec<Entry>,
}

impl Report {
    /// An empty report.
    pub fn new(progress: Progress) -> Self {
        Self {
            progress,
            started: Instant::now(),
            entries: Vec::new(),
        }
    }

    /// How long the run has taken.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes a check that could not be made.
    pub fn not_made(&mut self, name: &'static str, why: String) {
        self.add(name, Verdict::NotChecked, why, Duration::ZERO);
    }

    /// Makes one check.
    pub async fn check(
        &mut self,
        name: &'static str,
        title: &str,
        work: impl Future<Output = Result<Outcome>>,
    ) {
        let started = Instant::now();
        self.progress.heading(title);
        let outcome = work.await;
        let took = started.elapsed();
        match outcome {
            Ok(Outcome::Passed(detail)) => {
                eprintln!(
                    "  {} {detail} ({})",
                    style("passed").for_stderr().green(),
                    seconds(took)
                );
                self.add(name, Verdict::Passed, detail, took);
            }
            Ok(Outcome::NotChecked(reason)) => {
                eprintln!("  {} {reason}", style("NOT CHECKED").for_stderr().yellow());
                self.add(name, Verdict::NotChecked, reason, took);
            }
            Err(error) => {
                eprintln!(
                    "  {} ({})\n{error:#}",
                    style("FAILED").for_stderr().red().bold(),
                    seconds(took)
                );
                let first = format!("{error:#}")
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                self.add(name, Verdict::Failed, first, took);
            }
        }
    }

    /// The checks that passed so far, with what they saw.
    pub fn passed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.entries
            .iter()
            .filter(|entry| entry.verdict == Verdict::Passed)
            .map(|entry| (entry.name, entry.detail.as_str()))
    }

    fn add(&mut self, name: &'static str, verdict: Verdict, detail: String, took: Duration) {
        self.entries.push(Entry {
            name,
            verdict,
            detail,
            took,
        });
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.verdict == verdict)
            .count()
    }

    /// Prints the table and the counts. The code is 0 only if no check failed and at least one was made.
    pub fn finish(self) -> ExitCode {
        let mut table = Table::new();
        table
            .load_style(UTF8_BORDERS_ONLY)
            .set_header(["check", "", "", "time"]);
        for entry in &self.entries {
            let word = match entry.verdict {
                Verdict::Passed => style("passed").green(),
                Verdict::Failed => style("FAILED").red().bold(),
                Verdict::NotChecked => style("NOT CHECKED").yellow(),
            };
            table.add_row([
                entry.name.to_owned(),
                word.to_string(),
                entry.detail.chars().take(90).collect(),
                seconds(entry.took),
            ]);
        }
        let [passed, failed, skipped] = [Verdict::Passed, Verdict::Failed, Verdict::NotChecked]
            .map(|verdict| self.count(verdict));
        println!();
        println!("{table}");
        println!(
            "verify: {passed} passed, {failed} failed, {skipped} not checked, in {}",
            seconds(self.started.elapsed())
        );
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn report(fails: bool) -> Report {
        let mut report = Report::new(Progress::new());
        report
            .check("one", "One", async { Ok(Outcome::Passed(String::new())) })
            .await;
        report
            .check("two", "Two", async {
                Ok(Outcome::NotChecked("no tool".to_owned()))
            })
            .await;
        report.not_made("three", "left out".to_owned());
        if fails {
            report
                .check("four", "Four", async { anyhow::bail!("it broke\nbadly") })
                .await;
        }
        report
    }

    #[tokio::test]
    async fn a_check_that_was_not_made_has_not_passed() {
        let report = report(true).await;
        let counts = [Verdict::Passed, Verdict::Failed, Verdict::NotChecked]
            .map(|verdict| report.count(verdict));
        assert_eq!(counts, [1, 1, 2]);
        assert_eq!(report.passed().collect::<Vec<_>>(), [("one", "")]);
        assert_eq!(report.entries[3].detail, "it broke");
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }

    #[tokio::test]
    async fn a_run_in_which_nothing_was_made_has_not_passed() {
        assert_eq!(report(false).await.finish(), ExitCode::SUCCESS);
        let mut none = Report::new(Progress::new());
        none.not_made("one", "left out".to_owned());
        assert_eq!(none.finish(), ExitCode::FAILURE);
    }
}
