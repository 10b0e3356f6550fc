//! `cargo local fuzz`: every target of `tests/fuzz`, one after the other, for so many seconds each.
//!
//! The fuzzer is [cargo-fuzz](https://rust-fuzz.github.io/book/cargo-fuzz.html) without a sanitizer, which the project's
//! own compiler can build; safe code has little use for one. The fixtures are the seeds. How much was tried in
//! ten minutes goes into `tests/figures.json`, where the conformance table finds it; so does a finding.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::cli::Fuzz;
use crate::figures::{self, Found};
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::tools::without_cargos_own;

/// The targets, as `tests/fuzz/Cargo.toml` names them.
pub const TARGETS: [&str; 5] = ["split", "signature", "envelope", "records", "gateway"];

/// Seconds that a target has to run without a finding before it is said to have none.
pub const LONG_ENOUGH: u64 = 600;

/// The longest input, in bytes: longer ones are the same again, and slow.
const LONGEST_INPUT: usize = 65_536;

/// Runs the targets. A finding is an error, with the place where its input is kept.
///
/// # Errors
/// cargo-fuzz is not installed, a target does not build, or there is a finding.
pub async fn run(places: &Places, arguments: &Fuzz, progress: Progress) -> Result<ExitCode> {
    if job::on_path("cargo-fuzz").is_none() {
        return Err(Refusal::error(
            "cargo-fuzz is not on the PATH. Install it with: cargo install cargo-fuzz --locked",
        ));
    }
    for target in TARGETS {
        if arguments
            .target
            .as_deref()
            .is_none_or(|only| only == target)
        {
            fuzz(places, target, arguments.seconds, progress).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn fuzz(places: &Places, target: &str, seconds: u64, progress: Progress) -> Result<()> {
    let name = format!("fuzz {target}");
    let directory = places.root.join("tests/fuzz");
    let corpus = directory.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .with_context(|| format!("{} could not be created", corpus.display()))?;
    let seeds = [
        directory.join("seeds").join(target),
        places.root.join("tests/fixtures/orderspace"),
    ];
    let log = places.log_of(&format!("fuzz-{target}"));
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut step = progress.step(format!("Fuzzing {target}"));
    let ran = job::succeed(
        &format!("fuzzing {target}"),
        command(places, target, seconds, &corpus, &seeds),
        &log,
        |line| step.update(line.trim()),
    )
    .await;
    if let Err(error) = ran {
        step.failed("");
        let artifacts = directory.join("artifacts").join(target);
        let artifacts = places.shown(&artifacts);
        let found = Found::Failed(format!("its input was in {artifacts}"));
        figures::note(places, &name, found)?;
        return Err(error.context(format!(
            "The input is in {artifacts}. Turn it into a test of the crate that was at fault"
        )));
    }
    let text = std::fs::read_to_string(&log)?;
    let Some(inputs) = text.lines().find_map(inputs) else {
        bail!(
            "the fuzzer did not say how much it tried; its log is {}",
            log.display()
        );
    };
    if seconds >= LONG_ENOUGH {
        let found = Found::Held(format!("{inputs} inputs in {seconds} s, no finding"));
        figures::note(places, &name, found)?;
    }
    step.done(&format!("{inputs} inputs, no finding"));
    Ok(())
}

fn command(
    places: &Places,
    target: &str,
    seconds: u64,
    corpus: &Path,
    seeds: &[PathBuf],
) -> Command {
    let mut command = Command::new("cargo");
    without_cargos_own(&mut command);
    command
        .args(["fuzz", "run", "--fuzz-dir", "tests/fuzz"])
        .args(["--sanitizer", "none", target])
        .arg(corpus)
        .args(seeds.iter().filter(|seeds| seeds.is_dir()))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST_INPUT}"))
        // Metrics go to standard output, a line for each answer.
        .arg("-close_fd_mask=1")
        .current_dir(&places.root);
    command
}

/// How many inputs libFuzzer tried, from the last line that it prints.
fn inputs(line: &str) -> Option<u64> {
    let rest = line.trim().strip_prefix("Done ")?;
    let (inputs, rest) = rest.split_once(' ')?;
    rest.starts_with("runs in ").then(|| inputs.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_package_is_run() {
        let manifest = include_str!("../../../tests/fuzz/Cargo.toml");
        let mut named: Vec<&str> = manifest
            .split("[[bin]]")
            .skip(1)
            .filter_map(|bin| bin.split('"').nth(1))
            .collect();
        let mut targets = TARGETS.to_vec();
        named.sort_unstable();
        targets.sort_unstable();
        assert_eq!(named, targets);
    }

    #[test]
    fn the_fuzzers_last_line_tells_how_much_it_tried() {
        assert_eq!(inputs("Done 274808 runs in 21 second(s)"), Some(274_808));
        assert_eq!(inputs("#274808\tDONE   cov: 1 ft: 2"), None);
        assert_eq!(inputs("Done with everything"), None);
    }
}
