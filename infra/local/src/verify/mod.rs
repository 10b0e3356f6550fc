//! `cargo verify`: every check of the project, one after the other, and a count at the end.
//!
//! A check that could not be made is not a check that passed: it is shown as NOT CHECKED and counted apart.

pub mod report;
pub mod steps;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::Verify;
use crate::demo::{examples, story};
use crate::places::Places;
use crate::ports;
use crate::progress::Progress;
use crate::proxy;
use crate::stack::{self, Options, Stack};
use crate::tools::Tools;

use self::report::{Outcome, Report};
use self::steps::Steps;

/// How long the examples may bring nothing new, as in the demonstration.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The places of the stack that the checks use: beside the one that a person may have up.
///
/// # Errors
/// They cannot be created.
pub fn places(places: &Places) -> Result<Places> {
    Places::of(Some(&places.state.join("verify")))
}

/// Runs the checks. The code is 0 only if none failed.
///
/// # Errors
/// The state directory cannot be used. A failed check is not an error but counted.
pub async fn run(outer: &Places, arguments: &Verify, progress: Progress) -> Result<ExitCode> {
    let places = places(outer)?;
    let _lock = stack::lock(
        &places,
        "verify.lock",
        "Another `cargo verify` is running. Wait for it.",
    )?;
    let mut report = Report::new(progress, arguments.only.clone());
    let steps = Steps::new(&places);

    report.check("format", "Formatting", steps.format()).await;
    report
        .check("lints", "Lints (clippy)", steps.clippy())
        .await;

    report
        .check(
            "release profile",
            "Release profile",
            steps.release_profile(),
        )
        .await;
    let mut tools = None;
    let install = async {
        tools = Some(Tools::install(&places, progress).await?);
        Ok(Outcome::Passed(
            "installed at their pinned versions".to_owned(),
        ))
    };
    if report.wants("sam validate") || report.wants("cfn-lint") {
        report.require("tools", "Tools", install).await;
    } else {
        report.check("tools", "Tools", install).await;
    }
    let missing_tools = || async {
        Ok(Outcome::NotChecked(
            "the tools are not installed".to_owned(),
        ))
    };
    if let Some(tools) = &tools {
        report
            .check(
                "sam validate",
                "Template (sam validate)",
                steps.sam_validate(tools),
            )
            .await;
        report
            .check("cfn-lint", "Template (cfn-lint)", steps.cfn_lint(tools))
            .await;
    } else {
        report
            .check("sam validate", "Template (sam validate)", missing_tools())
            .await;
        report
            .check("cfn-lint", "Template (cfn-lint)", missing_tools())
            .await;
    }
    report
        .check(
            "template rules",
            "Template (own rules)",
            steps.template_rules(),
        )
        .await;

    // What an interrupted run may have left.
    stack::stop_all(&places).await?;
    let mut running = None;
    let start = async {
        let options = Options {
            port: ports::free()?,
            proxy: Some(proxy::build(&places, progress).await?),
            ..Options::default()
        };
        let stack = Stack::up(&places, &options, progress).await?;
        let endpoint = stack.outputs.endpoint_url.clone();
        running = Some(stack);
        Ok(Outcome::Passed(format!(
            "built, deployed and answering at {endpoint}"
        )))
    };
    if report.wants("examples") || report.wants("tests") {
        report.require("stack", "Stack", start).await;
    } else {
        report.check("stack", "Stack", start).await;
    }
    let no_stack = || async {
        Ok(Outcome::NotChecked(
            "there is no stack to check it on".to_owned(),
        ))
    };
    if let Some(stack) = &running {
        report
            .check(
                "examples",
                "Example events",
                examples_seen(&places, stack, progress),
            )
            .await;
        report
            .check("tests", "Tests", steps.tests(Some(&places.outputs())))
            .await;
    } else {
        report.check("examples", "Example events", no_stack()).await;
        report
            .check(
                "tests",
                "Tests, without those that need a stack",
                steps.tests(None),
            )
            .await;
        report
            .check("end to end", "Tests that need a stack", no_stack())
            .await;
    }
    report
        .check("doc tests", "Tests in the documentation", steps.doc_tests())
        .await;
    if let Some(stack) = running {
        report
            .require("stack down", "Stopping the stack", async {
                stack.down().await?;
                Ok(Outcome::Passed("nothing is left running".to_owned()))
            })
            .await;
    }
    Ok(report.finish())
}

async fn examples_seen(places: &Places, stack: &Stack, progress: Progress) -> Result<Outcome> {
    let examples = examples::read(&places.root.join("tests/fixtures/orderspace"))?;
    let seen = story::tell(&stack.outputs, &examples, PATIENCE, progress).await?;
    anyhow::ensure!(seen.problems.is_empty(), "{}", seen.problems.join("\n"));
    let events: usize = seen.lanes.iter().map(|lane| lane.reached).sum();
    Ok(Outcome::Passed(format!(
        "{} deliveries, {events} events seen",
        seen.deliveries.len()
    )))
}
