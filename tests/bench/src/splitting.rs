//! What a delivery takes besides its calls to AWS: the benchmark `splitting` of `sources`, timed by criterion and counted by
//! callgrind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use local::job;
use local::places::Places;
use local::progress::Progress;
use local::tools::without_cargos_own;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use crate::guard;
use crate::measure::{each, quickest};
use crate::payloads::{FIFTY_LARGER, LEVELS, ONE_LARGER};

/// The deliveries of the benchmark, each with its name in the page.
const DELIVERIES: [(&str, &str); 3] = [
    ("1-order", ONE_LARGER),
    ("50-orders", FIFTY_LARGER),
    ("50-stock-levels", LEVELS),
];

/// How often criterion measures all of it; the quickest counts.
const ROUNDS: usize = 7;

/// How often work is done while its instructions are counted, and how much more often the second time.
const COUNTED: (u64, u64) = (8, 16);

/// What splitting one delivery takes.
#[derive(Clone, Copy, Debug)]
pub struct Splitting {
    /// The delivery's name.
    pub payload: &'static str,
    /// Splitting it and making its events' messages.
    pub split: Work,
    /// One pass over its body as JSON.
    pub pass: Work,
    /// What is done besides calls to AWS: proof, splitting, messages.
    pub take: Work,
    /// A MAC over its body, and the pass.
    pub floor: Work,
}

/// What some work takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Time by the clock: the least of criterion's medians.
    pub time: Duration,
    /// Instructions.
    pub instructions: u64,
}

impl Work {
    /// How many times the instructions of another.
    pub fn instructions_over(self, other: Self) -> f64 {
        let [ours, its] = [self, other].map(|work| work.instructions as f64);
        ours / its
    }

    /// How many times the time of another.
    pub fn time_over(self, other: Self) -> f64 {
        self.time.as_secs_f64() / other.time.as_secs_f64()
    }
}

/// Criterion's statistics of one benchmark, in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Builds the benchmark as the functions are built, and measures.
///
/// # Errors
/// It does not compile, or work fails.
pub async fn measured(
    places: &Places,
    valgrind: &Path,
    scratch: &Path,
    log: &Path,
    progress: Progress,
) -> Result<Vec<Splitting>> {
    let mut step = progress.step("Splitting");
    let mut command = cargo(places);
    let mut program = None;
    command.args(["--no-run", "--message-format", "json"]);
    job::succeed("cargo bench", command, log, |line| {
        if let Some(path) = executable(line) {
            program = Some(path);
        } else if !line.starts_with('{') {
            step.update(line.trim());
        }
    })
    .await?;
    let program = program.context("cargo bench built no program")?;
    step.update("criterion");
    for round in 0..ROUNDS {
        let mut command = Command::new(&program);
        command
            .args(["--bench", "--noplot"])
            .env("CRITERION_HOME", criterion(scratch, round))
            .current_dir(&places.root);
        job::succeed("criterion", command, log, |_| {}).await?;
    }
    let mut measured = Vec::new();
    for (delivery, payload) in DELIVERIES {
        let mut works = [Work::default(); 4];
        for (name, work) in ["split", "pass", "take", "floor"]
            .into_iter()
            .zip(&mut works)
        {
            step.update(&format!("{name}, {payload}"));
            let times: Vec<Duration> = (0..ROUNDS)
                .map(|round| time(&criterion(scratch, round).join(delivery).join(name)))
                .collect::<Result<_>>()?;
            work.time = quickest(&times);
            work.instructions = each(COUNTED, async |times| {
                let output = scratch.join("callgrind.out");
                let mut command = Command::new(valgrind);
                command
                    .args(["--quiet", "--tool=callgrind"])
                    .arg(format!("--callgrind-out-file={}", output.display()))
                    .arg(&program)
                    .args(["count", delivery, name, &times.to_string()])
                    .current_dir(&places.root);
                job::succeed("the benchmark", command, log, |_| {}).await?;
                guard::counted(&output, guard::instructions)
            })
            .await?;
        }
        let [split, pass, take, floor] = works;
        measured.push(Splitting {
            payload,
            split,
            pass,
            take,
            floor,
        });
    }
    step.done("");
    Ok(measured)
}

/// Where criterion writes what it measured in a round.
fn criterion(scratch: &Path, round: usize) -> PathBuf {
    scratch.join(format!("criterion-{round}"))
}

/// The median time that criterion found for a work.
fn time(work: &Path) -> Result<Duration> {
    let path = work.join("new/estimates.json");
    let text = std::fs::read(&path)
        .with_context(|| format!("criterion did not write {}", path.display()))?;
    let Estimates { median } = serde_json::from_slice(&text)?;
    Ok(Duration::try_from_secs_f64(median.point_estimate / 1e9)?)
}

fn cargo(places: &Places) -> Command {
    let mut command = Command::new("cargo");
    without_cargos_own(&mut command);
    command
        .args(["bench", "--package", "sources", "--bench", "splitting"])
        .arg("--locked")
        .current_dir(&places.root);
    command
}

/// The program that a line of cargo's names, if it does.
/// <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let target = message.pointer("/target/name")?.as_str()?;
    let program = message.get("executable")?.as_str()?;
    (target == "splitting").then(|| program.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_benchmark(
        r#"{"reason":"compiler-artifact","target":{"name":"splitting"},"executable":"/t/splitting-1"}"#,
        Some("/t/splitting-1")
    )]
    #[case::a_library(r#"{"target":{"name":"splitting"},"executable":null}"#, None)]
    #[case::another(r#"{"target":{"name":"other"},"executable":"/t/other-1"}"#, None)]
    #[case::no_message("   Compiling domain v0.2.0", None)]
    fn the_program_is_read_from_cargos_messages(
        #[case] line: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(executable(line), expected.map(PathBuf::from));
    }
}
