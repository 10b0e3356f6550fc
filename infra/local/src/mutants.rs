//! `cargo local mutants`: whether a test would miss any piece of the code that the promises rest on.
//!
//! The tool is [cargo-mutants](https://mutants.rs), which works on a copy of the project. It is called twice: first each
//! mutant meets the tests of its own package, which takes seconds; what survives meets those of the packages that use it
//! and two thousand schedules of the model. What nobody can miss is left out by `.cargo/mutants.toml`, with the reason.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::process::Command;

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

/// The figure's name.
const NAME: &str = "mutants";

/// What cargo-mutants ends with where mutants survive, or where tests take too long to tell.
const SURVIVED: [i32; 2] = [2, 3];

/// Makes the mutants. One that survives is an error, with the place of the list.
///
/// # Errors
/// cargo-mutants is not installed, the tests fail without a mutant, or a mutant survives.
pub async fn run(places: &Places, progress: Progress) -> Result<ExitCode> {
    if job::on_path("cargo-mutants").is_none() {
        return Err(Refusal::error(
            "cargo-mutants is not on the PATH. Install it with: cargo install cargo-mutants --locked",
        ));
    }
    let made = list(places).await?;
    let mut second = vec!["--iterate"];
    second.extend(
        SECOND
            .iter()
            .flat_map(|package| ["--test-package", package]),
    );
    if some_survive(places, progress, "Mutants and their packages' tests", &[]).await?
        && some_survive(places, progress, "Survivors and the other tests", &second).await?
    {
        let missed = places.state.join("mutants.out/missed.txt");
        let missed = std::fs::read_to_string(&missed)
            .with_context(|| format!("{} could not be read", missed.display()))?;
        let count = missed.lines().count();
        figures::note(places, NAME, Found::Failed(format!("{count} survive")))?;
        anyhow::bail!(
            "{count} mutants survive. Write the test that each of them lacks, or leave it out in .cargo/mutants.toml and say \
             why\n{missed}"
        );
    }
    let found = Found::Held(format!("{made} mutants, none survives"));
    figures::note(places, NAME, found)?;
    Ok(ExitCode::SUCCESS)
}

async fn some_survive(
    places: &Places,
    progress: Progress,
    title: &str,
    arguments: &[&str],
) -> Result<bool> {
    let log = places.log_of("mutants");
    let mut command = mutants(places);
    command.args(["--colors", "never", "--output"]);
    command.arg(&places.state).args(arguments);
    let mut step = progress.step(title);
    let mut sum = String::new();
    let status = job::run(command, &log, |line| {
        sum = line.trim().to_owned();
        step.update(&sum);
    })
    .await?;
    let survive = status.code().is_some_and(|code| SURVIVED.contains(&code));
    if !survive && !status.success() {
        step.failed("");
        anyhow::bail!("{title}: {sum}\nAll of it is in {}", places.shown(&log));
    }
    step.done(&sum);
    Ok(survive)
}

/// How many mutants there are.
async fn list(places: &Places) -> Result<usize> {
    let output = mutants(places)
        .arg("--list")
        .output()
        .await
        .context("cargo could not be started")?;
    anyhow::ensure!(
        output.status.success(),
        "the mutants could not be listed:\n{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).lines().count())
}

fn mutants(places: &Places) -> Command {
    let mut command = Command::new("cargo");
    without_cargos_own(&mut command);
    command.arg("mutants").current_dir(&places.root);
    command
}
