//! Programs of others that look at the template and at what the project is made of.

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use super::report::Outcome;
use crate::emulator::REGION;
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::tools::{Tools, without_cargos_own};

/// Makes SAM's template the one that CloudFormation gets.
const TRANSFORM: &str = "infra/local/transform.py";

/// What checkov leaves out, with reasons.
const CHECKOV: &str = "infra/local/checkov.yaml";

/// checkov on the resources that SAM makes of the template.
///
/// # Errors
/// A finding that `checkov.yaml` does not leave out; a template that SAM cannot transform.
pub(super) async fn checkov(places: &Places, tools: &Tools, progress: Progress) -> Result<Outcome> {
    let log = places.new_log("checkov")?;
    let python = Tools::checkov(places, progress).await?;
    let transformed = places.scratch().join("transformed.json");
    let mut transform = tools.sam_program("python");
    transform
        .arg(places.root.join(TRANSFORM))
        .arg(places.template())
        .arg(&transformed)
        .env("AWS_DEFAULT_REGION", REGION);
    job::succeed("SAM's transform", transform, &log, |_| {}).await?;
    let mut command = Command::new(python);
    command
        .args(["-m", "checkov.main", "--config-file"])
        .arg(places.root.join(CHECKOV))
        .arg("--file")
        .arg(&transformed);
    let mut passed = None;
    job::succeed("checkov", command, &log, |line| {
        passed = passed.take().or_else(|| passed_checks(line));
    })
    .await?;
    match passed {
        None | Some(0) => bail!("checkov checked nothing; see {}", log.display()),
        Some(passed) => Ok(Outcome::Passed(format!("{passed} checks passed"))),
    }
}

/// The figure in `Passed checks: 63, Failed checks: 0, Skipped checks: 0`.
fn passed_checks(line: &str) -> Option<u64> {
    let figures = line.trim().strip_prefix("Passed checks: ")?;
    figures.split(',').next()?.parse().ok()
}

/// Known weaknesses of the crates, by a list that has to be fetched.
///
/// # Errors
/// A crate of the lock file is in the list.
pub(super) async fn advisories(places: &Places) -> Result<Outcome> {
    let log = places.new_log("advisories")?;
    let today = today().await?;
    let fetched = job::run(cargo(places, &["deny", "fetch", "db"]), &log, |_| {}).await?;
    if !fetched.success() {
        return Ok(Outcome::NotChecked(format!(
            "on {today} the list could not be fetched from https://github.com/rustsec/advisory-db"
        )));
    }
    let check = cargo(places, &["deny", "check", "advisories"]);
    job::succeed("cargo deny", check, &log, |_| {}).await?;
    Ok(Outcome::Passed(format!(
        "no crate is in the list of {today}"
    )))
}

fn cargo(places: &Places, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(&places.root);
    without_cargos_own(&mut command);
    command
}

/// The day in UTC, as the machine's own program says it.
async fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().await;
    let output = output.context("`date` could not be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Passed checks: 63, Failed checks: 0, Skipped checks: 0", Some(63))]
    #[case("\tPASSED for resource: AWS::S3::Bucket.B", None)]
    #[case("Passed checks: many", None)]
    fn checkovs_figure_is_read(#[case] line: &str, #[case] expected: Option<u64>) {
        assert_eq!(passed_checks(line), expected);
    }

    /// A comment above each check that is left out says why, in a sentence.
    #[test]
    fn whatever_checkov_leaves_out_has_a_reason() {
        let text = include_str!("../../checkov.yaml");
        let (_, skipped) = text.split_once("skip-check:\n").unwrap();
        let mut reason = String::new();
        let mut count = 0;
        for line in skipped.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix('#') {
                reason.push_str(comment);
            } else {
                let name = line.strip_prefix("- ").unwrap();
                assert!(name.starts_with("CKV"), "{name}");
                assert!(
                    reason.len() > 40 && reason.ends_with('.'),
                    "{name}: {reason}"
                );
                reason.clear();
                count += 1;
            }
        }
        assert!(count > 0);
    }
}
