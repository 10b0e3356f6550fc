//! What the person at the terminal sees while they wait: one line per step, with its time.
//!
//! On a terminal the current step is a line that moves. Elsewhere (a log, a pipe) each step is a line when it starts and
//! one when it ends, with a sign of life in between. Everything goes to standard error: standard output is for results.

#![allow(clippy::print_stderr, reason = "progress is what this module prints")]

use std::time::{Duration, Instant};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressStyle};

/// Least time between two signs of life where there is no terminal.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Starts steps.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    terminal: bool,
    is_shown: bool,
}

impl Progress {
    /// Progress on standard error, as its kind allows.
    pub fn new() -> Self {
        Self {
            terminal: Term::stderr().features().is_attended(),
            is_shown: true,
        }
    }

    /// Progress of steps that are taken while others are: on a terminal, where one line moves, nothing is shown of them.
    pub fn beside_another(self) -> Self {
        Self {
            is_shown: !self.terminal,
            ..self
        }
    }

    /// Starts a step, named by what is being done.
    pub fn step(self, title: impl Into<String>) -> Step {
        let title = title.into();
        let bar = (self.terminal && self.is_shown).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_message(title.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() && self.is_shown {
            eprintln!("  {title} ...");
        }
        Step {
            title,
            bar,
            is_shown: self.is_shown,
            started: Instant::now(),
            spoken: Instant::now(),
            ended: false,
        }
    }

    /// The title of the steps that follow.
    pub fn heading(self, text: &str) {
        eprintln!("{}", style(text).for_stderr().bold());
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// One step. Dropped without [`Step::done`], it is shown as not finished.
#[derive(Debug)]
pub struct Step {
    title: String,
    bar: Option<ProgressBar>,
    is_shown: bool,
    started: Instant,
    spoken: Instant,
    ended: bool,
}

impl Step {
    /// Shows what the step is at.
    pub fn update(&mut self, detail: &str) {
        let seconds = self.started.elapsed().as_secs();
        match &self.bar {
            Some(bar) => bar.set_message(format!(
                "{} {}",
                self.title,
                style(format!("({seconds} s) {detail}")).dim()
            )),
            None if self.is_shown && self.spoken.elapsed() >= SIGN_OF_LIFE => {
                self.spoken = Instant::now();
                eprintln!("    {seconds} s: {detail}");
            }
            None => {}
        }
    }

    /// Ends the step as done, and returns how long it took.
    pub fn done(self, detail: &str) -> Duration {
        self.end(&style("ok").for_stderr().green().to_string(), detail)
    }

    /// Ends the step as failed, and returns how long it took.
    pub fn failed(self, detail: &str) -> Duration {
        self.end(
            &style("failed").for_stderr().red().bold().to_string(),
            detail,
        )
    }

    fn end(mut self, word: &str, detail: &str) -> Duration {
        self.ended = true;
        let took = self.started.elapsed();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let separator = if detail.is_empty() { "" } else { ": " };
        if self.is_shown {
            eprintln!(
                "  {} {word}{separator}{detail} ({})",
                self.title,
                seconds(took)
            );
        }
        took
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.ended || !self.is_shown {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!(
            "  {} {} ({})",
            self.title,
            style("not finished").for_stderr().red(),
            seconds(self.started.elapsed())
        );
    }
}

/// A length of time as a reader likes it: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else if whole >= 10 {
        format!("{whole} s")
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(400, "0.4 s")]
    #[case(12_700, "12 s")]
    #[case(185_000, "3 min 05 s")]
    fn times_are_short(#[case] milliseconds: u64, #[case] expected: &str) {
        assert_eq!(seconds(Duration::from_millis(milliseconds)), expected);
    }
}
