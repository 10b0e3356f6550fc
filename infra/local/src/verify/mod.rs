//! `cargo verify`: every check of the project, one after the other, and a count at the end.
//!
//! A check that could not be made is not a check that passed: it is shown as NOT CHECKED and counted apart.

pub mod conformance;
mod gone;
mod panics;
pub mod report;
pub mod scale;
pub mod steps;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};

use crate::build::Build;
use crate::cli::Verify;
use crate::demo::{examples, story};
use crate::places::Places;
use crate::ports;
use crate::progress::Progress;
use crate::stack::{self, Options, Stack};
use crate::tools::Tools;
use operate::aws::EVENT_SOURCE_MAPPINGS;

use self::conformance::{Evidence, TestResults};
use self::report::{Outcome, Report};
use self::steps::Steps;

/// How long the examples may bring nothing new, as in the demonstration.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The same while a lane is stopped: what else is missing comes within moments.
const SHORT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

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
    report
        .check(
            "model",
            "Random schedules against the handlers",
            steps.model(),
        )
        .await;
    report
        .check(
            "mistakes",
            "Known mistakes in a copy of the handlers",
            steps.mistakes(),
        )
        .await;
    let mut tools = None;
    let install = async {
        tools = Some(Tools::install(&places, progress).await?);
        Ok(Outcome::Passed(
            "installed at their pinned versions".to_owned(),
        ))
    };
    let needs_tools = [
        "sam validate",
        "cfn-lint",
        "scale",
        "faults",
        "emulator gone",
    ];
    if needs_tools.into_iter().any(|check| report.wants(check)) {
        report.require("tools", "Tools", install).await;
    } else {
        report.check("tools", "Tools", install).await;
    }
    let tools = tools.as_ref();
    report
        .check(
            "sam validate",
            "Template (sam validate)",
            with(tools, NO_TOOLS, |tools| steps.sam_validate(tools)),
        )
        .await;
    report
        .check(
            "cfn-lint",
            "Template (cfn-lint)",
            with(tools, NO_TOOLS, |tools| steps.cfn_lint(tools)),
        )
        .await;
    report
        .check(
            "template rules",
            "Template (own rules)",
            steps.template_rules(),
        )
        .await;

    report
        .check(
            "scale",
            "What a delivery, a batch and a start cost",
            with(tools, NO_TOOLS, |tools| {
                scale::run(&places, tools, false, progress)
            }),
        )
        .await;

    // What an interrupted run may have left.
    stack::stop_all(&places).await?;
    let mut running = None;
    let start = async {
        let options = Options {
            port: ports::free()?,
            proxy: true,
            build: Build::Release,
            ..Options::default()
        };
        let stack = Stack::up(&places, &options, progress).await?;
        let endpoint = stack.outputs.endpoint_url.clone();
        running = Some(stack);
        Ok(Outcome::Passed(format!(
            "built, deployed and answering at {endpoint}"
        )))
    };
    let needs_a_stack = ["examples", "stopped consumer", "tests"];
    if needs_a_stack.into_iter().any(|check| report.wants(check)) {
        report.require("stack", "Stack", start).await;
    } else {
        report.check("stack", "Stack", start).await;
    }
    let stack = running.as_ref();
    report
        .check(
            "examples",
            "Example events",
            with(stack, NO_STACK, |stack| {
                examples_seen(&places, stack, progress)
            }),
        )
        .await;
    report
        .check(
            "stopped consumer",
            "Example events while a consumer is stopped",
            with(stack, NO_STACK, |stack| {
                stopped_consumer_noticed(&places, stack, progress)
            }),
        )
        .await;
    let outputs = stack.map(|_| places.outputs());
    report
        .check("tests", "Tests", steps.tests(outputs.as_deref()))
        .await;
    if stack.is_none() {
        let without = Outcome::NotChecked(NO_STACK.to_owned());
        report
            .check("end to end", "Tests that need a stack", async {
                Ok(without)
            })
            .await;
    }
    report
        .check("doc tests", "Tests in the documentation", steps.doc_tests())
        .await;
    // What the tests left, before anything else runs.
    let tests = match arguments.conformance {
        true => Some(steps.test_results().await),
        false => None,
    };
    if let Some(stack) = running {
        report
            .require("stack down", "Stopping the stack", async {
                stack.down().await?;
                Ok(Outcome::Passed("nothing is left running".to_owned()))
            })
            .await;
    }
    report
        .check(
            "faults",
            "Events while calls fail and functions die",
            with(tools, NO_TOOLS, |_| steps.faults()),
        )
        .await;
    report
        .check(
            "emulator gone",
            "A run whose emulator is killed",
            with(tools, NO_TOOLS, async |_| {
                gone::noticed(&places, &steps.endurance().await?).await
            }),
        )
        .await;
    report
        .check("panics", "The functions' logs", async {
            panics::none(&places)
        })
        .await;
    let names = report.names();
    match tests {
        None => {
            report
                .check(
                    "requirements",
                    "Requirements",
                    requirements_current(&places, &steps, &names),
                )
                .await;
        }
        Some(tests) => {
            let evidence = tests.map(|tests| evidence(tests, &report));
            report
                .check("conformance", "Conformance", async {
                    conformance::rewrite(&places, &evidence?)
                })
                .await;
        }
    }
    Ok(report.finish())
}

const NO_TOOLS: &str = "the tools are not installed";
const NO_STACK: &str = "there is no stack to check it on";

/// A check of something that may not be there.
async fn with<'a, T, F>(
    something: Option<&'a T>,
    without: &str,
    check: impl FnOnce(&'a T) -> F,
) -> Result<Outcome>
where
    F: Future<Output = Result<Outcome>>,
{
    match something {
        Some(something) => check(something).await,
        None => Ok(Outcome::NotChecked(without.to_owned())),
    }
}

/// Everything that this run has shown.
fn evidence(tests: TestResults, report: &Report) -> Evidence {
    let mut evidence = Evidence {
        tests,
        ..Evidence::default()
    };
    for (name, saw) in report.passed() {
        evidence.checks.add(name, saw);
    }
    evidence
}

async fn requirements_current(
    places: &Places,
    steps: &Steps<'_>,
    checks: &[&str],
) -> Result<Outcome> {
    match steps.test_names().await? {
        Some(tests) => conformance::is_current(places, &tests, checks),
        None => Ok(Outcome::NotChecked(
            "cargo-nextest, which lists the tests, is not installed".to_owned(),
        )),
    }
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

/// That the demonstration does not end well when the consumer does not read a lane: a check that cannot fail is none.
async fn stopped_consumer_noticed(
    places: &Places,
    stack: &Stack,
    progress: Progress,
) -> Result<Outcome> {
    let aws = stack.outputs.aws()?;
    let queue = stack.outputs.get("OrdersQueueUrl")?;
    let name = queue.rsplit('/').next().unwrap_or_default();
    let mappings = aws.lambda(Method::GET, EVENT_SOURCE_MAPPINGS, None).await?;
    let of_orders = |mapping: &&Value| {
        let arn = mapping
            .get("EventSourceArn")
            .and_then(Value::as_str)
            .unwrap_or_default();
        arn.rsplit(':').next() == Some(name)
    };
    let mapping = mappings
        .pointer("/EventSourceMappings")
        .unwrap_or(&Value::Null)
        .as_array()
        .and_then(|mappings| mappings.iter().find(of_orders))
        .and_then(|mapping| mapping.get("UUID")?.as_str())
        .context("nothing reads the orders' lane")?;
    let path = format!("{EVENT_SOURCE_MAPPINGS}{mapping}");
    let switch = async |enabled: bool| {
        aws.lambda(Method::PUT, &path, Some(&json!({ "Enabled": enabled })))
            .await
    };

    switch(false).await?;
    let examples = examples::read(&places.root.join("tests/fixtures/orderspace"))?;
    let told = story::tell(&stack.outputs, &examples, SHORT_PATIENCE, progress).await;
    switch(true).await?;
    let problems = told?.problems;
    anyhow::ensure!(
        problems
            .iter()
            .any(|problem| problem.starts_with("Lane orders is stuck")),
        "the orders' lane was not read, and the demonstration found only: {problems:?}"
    );
    Ok(Outcome::Passed(
        "the demonstration misses its events".to_owned(),
    ))
}
