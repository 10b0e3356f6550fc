//! `cargo verify`: every check of the project, one after the other, and a count at the end.
//!
//! [`checks::CHECKS`] lists them. A check that could not be made is not a check that passed: it is shown as NOT CHECKED
//! and counted apart. So are those that belong to a release, unless they are asked for, and those for which `--minutes` leaves
//! no time: on a machine with nothing built all of them take about an hour.

pub mod checks;
pub mod conformance;
mod consumers;
mod linters;
mod panics;
pub mod report;
mod samconfig;

use std::process::ExitCode;
use std::time::Duration;

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
        let hindrance = run
            .hindrance(check, arguments.only.as_deref(), release)
            .await
            .or_else(|| too_late(check, arguments.minutes, report.elapsed()));
        match hindrance {
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

/// Why a check is not begun so long after the first one, if it is not.
fn too_late(check: &Check, minutes: Option<u64>, elapsed: Duration) -> Option<String> {
    let minutes = minutes.filter(|minutes| elapsed >= Duration::from_secs(60 * minutes))?;
    // What was started is stopped.
    let is_left = check.name != checks::STACK_DOWN;
    is_left.then(|| format!("the {minutes} minutes of --minutes were over"))
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::in_time("tests", Some(60), 3599, false)]
    #[case::too_late("tests", Some(60), 3600, true)]
    #[case::the_stack_is_stopped_all_the_same(checks::STACK_DOWN, Some(60), 3600, false)]
    #[case::no_limit("tests", None, 100_000, false)]
    fn a_check_is_begun_in_time(
        #[case] name: &str,
        #[case] minutes: Option<u64>,
        #[case] seconds: u64,
        #[case] is_late: bool,
    ) {
        let check = CHECKS.iter().find(|check| check.name == name).unwrap();
        let why = too_late(check, minutes, Duration::from_secs(seconds));
        assert_eq!(why.is_some(), is_late, "{why:?}");
    }
}
