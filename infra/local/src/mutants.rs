//! `cargo local mutants`: whether a test would miss any piece of the code that the promises rest on.
//!
//! The tool is [cargo-mutants](https://mutants.rs), which works on copies of the project. It is called twice: first each
//! mutant meets the tests of its own package, which takes seconds; what survives meets those of the packages that use it
//! and two thousand schedules of the model. What nobody can miss is left out by `.cargo/mutants.toml`, with the reason.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::cli::Mutants;
use crate::figures::{self, Found};
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::tools::without_cargos_own;

/// The packages whose tests a mutant meets that its own did not notice.
const SECOND: [&str; 6] = [
    "domain",
    "inbound",
    "consumer",
    "subscriptions",
    "runtime",
    "model",
];

/// Under what name the figures have it.
const FIGURE: &str = "mutants";

/// Leaves out what a test noticed in the run before.
const GO_ON: &str = "--iterate";

/// Copies in which mutants are made at the same time: while one links, another is tested.
const COPIES: &str = "2";

/// What cargo-mutants ends with where all was tried: no mutant is left, some are, or some made a test run for ever, which
/// is noticed too.
const TRIED: [i32; 3] = [0, 2, 3];

/// Makes the mutants. One that survives is an error, with the place of the list.
///
/// # Errors
/// cargo-mutants is not installed, the tests fail without a mutant, or a mutant survives.
pub async fn run(places: &Places, arguments: &Mutants, progress: Progress) -> Result<ExitCode> {
    if job::on_path("cargo-mutants").is_none() {
        return Err(Refusal::error(
            "cargo-mutants is not on the PATH. Install it with: cargo install cargo-mutants --locked",
        ));
    }
    let first: &[&str] = match arguments.resume {
        true => &[GO_ON],
        false => &[],
    };
    survivors(places, progress, "Mutants and their packages' tests", first).await?;
    let mut second = vec![GO_ON];
    second.extend(
        SECOND
            .iter()
            .flat_map(|package| ["--test-package", package]),
    );
    let missed = survivors(places, progress, "Survivors and the other tests", &second).await?;
    let all = count(places).await?;
    let survive = missed.lines().count();
    let found = match survive {
        0 => Found::Held(format!("{all} mutants, none survives")),
        _ => Found::Failed(format!("{survive} of {all} mutants survive")),
    };
    figures::note(places, FIGURE, found)?;
    ensure!(
        survive == 0,
        "{survive} of {all} mutants survive. Write the test that each of them lacks, or leave it out in \
         .cargo/mutants.toml and say why\n{missed}"
    );
    Ok(ExitCode::SUCCESS)
}

/// How many mutants there are to make.
async fn count(places: &Places) -> Result<usize> {
    let mut command = Command::new("cargo");
    without_cargos_own(&mut command);
    command
        .args(["mutants", "--list", "--colors", "never"])
        .current_dir(&places.root);
    let output = command
        .output()
        .await
        .context("cargo could not be started")?;
    let list = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && !list.is_empty(),
        "the mutants could not be listed"
    );
    Ok(list.lines().count())
}

/// Makes mutants, and lists those that no test noticed.
async fn survivors(
    places: &Places,
    progress: Progress,
    title: &str,
    arguments: &[&str],
) -> Result<String> {
    let log = places.log_of("mutants");
    let mut command = Command::new("cargo");
    without_cargos_own(&mut command);
    command
        .args(["mutants", "--colors", "never", "--jobs", COPIES])
        .arg("--output")
        .arg(&places.state)
        .args(arguments)
        .current_dir(&places.root);
    let mut step = progress.step(title);
    let mut sum = String::new();
    let status = job::run(command, &log, |line| {
        sum = line.trim().to_owned();
        step.update(&sum);
    })
    .await?;
    if !status.code().is_some_and(|code| TRIED.contains(&code)) {
        step.failed("");
        anyhow::bail!("{title}: {sum}\nAll of it is in {}", places.shown(&log));
    }
    step.done(&sum);
    let missed = places.state.join("mutants.out/missed.txt");
    std::fs::read_to_string(&missed)
        .with_context(|| format!("{} could not be read", missed.display()))
}
