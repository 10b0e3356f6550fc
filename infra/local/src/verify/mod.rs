//! `cargo verify`: every check of the project, one after the other, and a count at the end.
//!
//! [`checks::CHECKS`] lists them. A check that could not be made is not a check that passed: it is shown as NOT CHECKED
//! and counted apart. So are those that belong to a release, unless that is asked for: together with them a run on a
//! machine with nothing built takes more than half an hour.

pub mod checks;
pub mod conformance;
mod consumers;
mod linters;
mod panics;
pub mod report;
mod samconfig;

use std::process::ExitCode;

use anyhow::Result;

use crate::build::Build;
use crate::cli::Verify;
use crate::places::Places;
use crate::progress::Progress;
use crate::stack::{self, Stack};
use crate::tools::Tools;

use self::checks::{CHECKS, Check, Need};
use self::conformance::{Evidence, TestResults};
use self::report::Report;

/// The places of the stack that the checks use: beside the one that a person may have up.
///
/// # Errors
/// They cannot be created.
pub fn places(places: &Places) -> Result<Places> {
    Places::of(Some(&places.state.join("verify")))
}

/// A run of the checks, and what earlier ones left for later ones.
#[derive(Debug)]
pub struct Run {
    places: Places,
    progress: Progress,
    /// Which build of the functions is checked.
    build: Build,
    tools: Option<Tools>,
    stack: Option<Stack>,
    tests: TestResults,
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
    let release = arguments.release || arguments.conformance;
    let mut report = Report::new(progress);
    let mut run = Run {
        places,
        progress,
        build: match release {
            true => Build::Release,
            false => Build::Quick,
        },
        tools: None,
        stack: None,
        tests: TestResults::default(),
    };
    for check in CHECKS {
        if arguments.conformance && check.name == checks::REQUIREMENTS {
            // The table is written anew instead.
            continue;
        }
        match run
            .hindrance(check, arguments.only.as_deref(), release)
            .await
        {
            Some(why) => report.not_made(check.name, why),
            None => {
                report
                    .check(check.name, check.title, check.made(&mut run))
                    .await;
            }
        }
    }
    if arguments.conformance {
        let saw = |(name, saw): (&str, &str)| (name.to_owned(), saw.to_owned());
        let evidence = Evidence {
            tests: run.tests,
            checks: report.passed().map(saw).collect(),
        };
        let table = async { conformance::rewrite(&run.places, &evidence) };
        report.check("conformance", "Conformance", table).await;
    }
    Ok(report.finish())
}

impl Run {
    /// What keeps a check from being made.
    async fn hindrance(&self, check: &Check, only: Option<&str>, release: bool) -> Option<String> {
        if !checks::is_wanted(check, only) {
            return Some("left out by --only".to_owned());
        }
        if check.of_release && !release {
            return Some("made by `cargo verify --release`".to_owned());
        }
        for need in check.needs {
            let missing = match need {
                Need::Tools if self.tools.is_none() => Some("the tools are not installed"),
                Need::Stack if self.stack.is_none() => Some("there is no stack to check it on"),
                Need::Cargo(command, install) if !self.has(command).await => Some(*install),
                Need::Tools | Need::Stack | Need::Cargo(..) => None,
            };
            if let Some(missing) = missing {
                return Some(missing.to_owned());
            }
        }
        None
    }
}
