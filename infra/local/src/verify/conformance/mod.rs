//! `tests/CONFORMANCE.md`: every requirement with its verdict, what shows it, and the last figures.
//!
//! It is written by `cargo verify --conformance` and by nobody else. A verdict is that of the very run: a test that did
//! not run is not a test that passed. Whoever changes a verdict is told so, because the command then fails; a plain
//! `cargo verify` sees that the table names tests that exist and that the file says what the table says.

mod requirements;
mod results;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub use self::requirements::{CHAPTERS, Proof, Requirement, Seen};
pub use self::results::{Checks, TestNames, TestResults};

use super::checks::CHECKS;
use super::report::Outcome;
use crate::places::Places;

/// What the table says of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that shows it ran, and passed.
    Pass,
    /// Something that shows it failed, or did not run.
    Fail,
    /// The emulator cannot show it.
    NotObservableLocally,
    /// It is not a fault but meant.
    ByDesign,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotObservableLocally => "NOT OBSERVABLE LOCALLY",
            Self::ByDesign => "BY DESIGN",
        }
    }
}

/// What one run of the checks found.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The tests, by binary and name. None where their results could not be read.
    pub tests: TestResults,
    /// The other checks.
    pub checks: Checks,
}

/// Where the table is.
pub fn file(places: &Places) -> PathBuf {
    places.root.join("tests/CONFORMANCE.md")
}

/// Sees that the table names what exists, and that the file has the table's rows.
///
/// # Errors
/// A test or check is not there; or the file was not written since the table changed.
pub fn is_current(places: &Places, tests: &TestNames) -> Result<Outcome> {
    let checks: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
    let missing = missing(tests, &checks);
    if !missing.is_empty() {
        bail!(
            "{} of what the requirements name does not exist\n    {}\nRename it in \
             infra/local/src/verify/conformance/requirements.rs as well.",
            missing.len(),
            missing.join("\n    ")
        );
    }
    let written = read(places)?;
    let stale: Vec<&str> = all()
        .filter(|requirement| {
            written
                .get(requirement.id)
                .is_none_or(|row| row.says != requirement.says)
        })
        .map(|requirement| requirement.id)
        .collect();
    if !stale.is_empty() || written.len() != all().count() {
        bail!(
            "tests/CONFORMANCE.md was written before the requirements changed ({}). Run: cargo verify --conformance",
            stale.join(", ")
        );
    }
    let is_failed = |(_, row): &(&String, &Row)| row.verdict == Verdict::Fail.as_str();
    let failed: Vec<&str> = written
        .iter()
        .filter(is_failed)
        .map(|(id, _)| id.as_str())
        .collect();
    if !failed.is_empty() {
        bail!(
            "tests/CONFORMANCE.md says FAIL of {}. Mend it, and run: cargo verify --conformance",
            failed.join(", ")
        );
    }
    Ok(Outcome::Passed(format!("{} requirements", written.len())))
}

/// Writes the file anew from what a run found.
///
/// # Errors
/// A requirement is not met, a verdict is another than the file said, or the file cannot be written.
pub fn rewrite(places: &Places, evidence: &Evidence) -> Result<Outcome> {
    let before = read(places)?;
    let path = file(places);
    std::fs::write(&path, render(evidence))
        .with_context(|| format!("{} could not be written", path.display()))?;
    let changes = changes(&before, evidence);
    if !changes.is_empty() {
        bail!(
            "{} verdicts differ from those in tests/CONFORMANCE.md, which now has the new ones\n    {}",
            changes.len(),
            changes.join("\n    ")
        );
    }
    let count = |verdict| {
        all()
            .filter(|requirement| judge(requirement, evidence).0 == verdict)
            .count()
    };
    // It may have been so before, and is no better for that.
    if count(Verdict::Fail) > 0 {
        bail!(
            "{} requirements are not met; tests/CONFORMANCE.md says which",
            count(Verdict::Fail)
        );
    }
    Ok(Outcome::Passed(format!(
        "{} requirements: {} pass, {} fail, {} not observable locally, {} by design",
        all().count(),
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::NotObservableLocally),
        count(Verdict::ByDesign),
    )))
}

fn all() -> impl Iterator<Item = &'static Requirement> {
    CHAPTERS
        .iter()
        .flat_map(|(_, requirements)| requirements.iter())
}

/// What the table names and nobody has.
fn missing(tests: &TestNames, checks: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    for requirement in all() {
        let Seen::By(proofs) = requirement.seen else {
            continue;
        };
        for proof in proofs {
            match *proof {
                Proof::Test(binary, name) if !tests.has(binary, name) => {
                    missing.push(format!("{}: test {binary} {name}", requirement.id));
                }
                Proof::Check(name) if !checks.contains(&name) => {
                    missing.push(format!("{}: check {name}", requirement.id));
                }
                Proof::Test(..) | Proof::Check(_) => {}
            }
        }
    }
    missing
}

/// The verdict on a requirement, with its figures or with what is wrong.
fn judge(requirement: &Requirement, evidence: &Evidence) -> (Verdict, String) {
    let proofs = match requirement.seen {
        Seen::By(proofs) => proofs,
        Seen::OnAws { why, .. } => return (Verdict::NotObservableLocally, why.to_owned()),
        Seen::Meant(why) => return (Verdict::ByDesign, why.to_owned()),
    };
    let (mut wrong, mut figures, mut cases) = (Vec::new(), Vec::new(), 0);
    for proof in proofs {
        match *proof {
            Proof::Test(binary, name) => match evidence.tests.of(binary, name) {
                Some(results) if results.failed == 0 => cases += results.passed,
                Some(_) => wrong.push(format!("{binary} {name} failed")),
                None => wrong.push(format!("{binary} {name} did not run")),
            },
            Proof::Check(name) => match evidence.checks.of(name) {
                Some(detail) => figures.push(format!("{name}: {detail}")),
                None => wrong.push(format!("check {name} did not pass")),
            },
        }
    }
    if !wrong.is_empty() {
        return (Verdict::Fail, wrong.join("; "));
    }
    match cases {
        0 => {}
        1 => figures.insert(0, "1 test".to_owned()),
        _ => figures.insert(0, format!("{cases} tests")),
    }
    (Verdict::Pass, figures.join("; "))
}

/// The command that shows a requirement alone.
fn command(requirement: &Requirement) -> String {
    let proofs = match requirement.seen {
        Seen::By(proofs) => proofs,
        Seen::OnAws { how, .. } => return format!("On AWS: {how}"),
        Seen::Meant(_) => return "–".to_owned(),
    };
    let mut packages: Vec<&str> = Vec::new();
    let (mut tests, mut commands) = (Vec::new(), Vec::new());
    for proof in proofs {
        match *proof {
            Proof::Test(binary, name) => {
                let package = binary.split("::").next().unwrap_or(binary);
                if !packages.contains(&package) {
                    packages.push(package);
                }
                tests.push(format!("test(/^{name}/)"));
            }
            Proof::Check(name) => commands.push(format!("`cargo verify --only '{name}'`")),
        }
    }
    if !tests.is_empty() {
        let packages: Vec<String> = packages
            .into_iter()
            .map(|package| format!("-p {package}"))
            .collect();
        let nextest = format!(
            "`cargo nextest run {} -E '{}'`",
            packages.join(" "),
            tests.join(" or ")
        );
        commands.insert(0, nextest);
    }
    commands.join("; ")
}

const HEAD: &str = "\
# Conformance

What this project is held to, and whether the last run held it. Written by `cargo verify --conformance`, which fails where
a verdict differs from the one here; change `infra/local/src/verify/conformance/requirements.rs`, not this file.

**PASS** names what ran and passed in that very run. **NOT OBSERVABLE LOCALLY** says what the emulator lacks and how to see
it on AWS. Tests of the package `e2e` need a stack: `cargo local up --proxy`, then
`ORDERHOOK_OUTPUTS=.local/outputs.json` before the command.
";

/// The file's text.
fn render(evidence: &Evidence) -> String {
    let mut text = HEAD.to_owned();
    for (title, requirements) in CHAPTERS {
        let _ = write!(
            text,
            "\n## {title}\n\n| requirement | says | verdict | shown by | figures, or why |\n|---|---|---|---|---|\n"
        );
        for requirement in *requirements {
            let (verdict, figures) = judge(requirement, evidence);
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                requirement.id,
                requirement.says,
                verdict.as_str(),
                command(requirement),
                figures.replace(['|', '\n'], " ")
            );
        }
    }
    text
}

/// One row of the file.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    says: String,
    verdict: String,
}

/// The rows of the file, none where it is not there yet.
fn read(places: &Places) -> Result<BTreeMap<String, Row>> {
    let path = file(places);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(rows(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| format!("{} could not be read", path.display())),
    }
}

fn rows(text: &str) -> BTreeMap<String, Row> {
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let id = cells.next()?.strip_suffix('`')?.to_owned();
            let row = Row {
                says: cells.next()?.to_owned(),
                verdict: cells.next()?.to_owned(),
            };
            Some((id, row))
        })
        .collect()
}

/// The verdicts that are other than before. A requirement that is new has no verdict before, one that is gone had.
fn changes(before: &BTreeMap<String, Row>, evidence: &Evidence) -> Vec<String> {
    let mut changes = Vec::new();
    for requirement in all() {
        let (verdict, detail) = judge(requirement, evidence);
        let old = before.get(requirement.id).map(|row| row.verdict.as_str());
        let is_same = old.map_or(verdict != Verdict::Fail, |old| old == verdict.as_str());
        if !is_same {
            changes.push(format!(
                "{}: {} before, now {} ({detail})",
                requirement.id,
                old.unwrap_or("no verdict"),
                verdict.as_str()
            ));
        }
    }
    for id in before.keys() {
        if all().all(|requirement| requirement.id != id) {
            changes.push(format!("{id}: is required no more"));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run in which everything that the table names passed.
    fn all_well() -> Evidence {
        let mut evidence = Evidence::default();
        for requirement in all() {
            let Seen::By(proofs) = requirement.seen else {
                continue;
            };
            for proof in proofs {
                match *proof {
                    Proof::Test(binary, name) => evidence.tests.add(binary, name, true),
                    Proof::Check(name) => evidence.checks.add(name, "seen"),
                }
            }
        }
        evidence
    }

    #[test]
    fn the_table_is_one() {
        let mut ids: Vec<&str> = all().map(|requirement| requirement.id).collect();
        let count = ids.len();
        assert!(count >= 30, "{count} requirements");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "two requirements have one id");
        for requirement in all() {
            let text = format!(
                "{}{}{}",
                requirement.id,
                requirement.says,
                command(requirement)
            );
            assert!(!text.contains(['|', '\n']), "{text} breaks the table");
            if let Seen::By(proofs) = requirement.seen {
                assert!(!proofs.is_empty(), "{} has no proof", requirement.id);
            }
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let evidence = all_well();
        let rows = rows(&render(&evidence));
        assert_eq!(rows.len(), all().count());
        for requirement in all() {
            let row = &rows[requirement.id];
            assert_eq!(row.says, requirement.says);
            assert_eq!(row.verdict, judge(requirement, &evidence).0.as_str());
        }
        assert_eq!(changes(&rows, &evidence), [""; 0]);
    }

    #[test]
    fn a_test_that_failed_or_did_not_run_fails_its_requirement() {
        let written = rows(&render(&all_well()));
        let requirement = all()
            .find(|requirement| requirement.id == "durable-partial")
            .unwrap();
        let Seen::By(&[Proof::Test(binary, name), ..]) = requirement.seen else {
            panic!("the requirement is shown by a test");
        };
        let mut failed = all_well();
        failed.tests.add(binary, &format!("{name}::case_2"), false);
        assert_eq!(judge(requirement, &failed).0, Verdict::Fail);
        assert_eq!(changes(&written, &failed).len(), 1);
        assert_eq!(judge(requirement, &Evidence::default()).0, Verdict::Fail);
    }

    #[test]
    fn a_check_that_did_not_pass_fails_its_requirement() {
        let mut evidence = all_well();
        evidence.checks = Checks::default();
        let requirement = all()
            .find(|requirement| requirement.id == "lost-schedules")
            .unwrap();
        let (verdict, why) = judge(requirement, &evidence);
        assert_eq!(
            (verdict, &*why),
            (Verdict::Fail, "check model did not pass")
        );
    }

    #[test]
    fn what_is_new_must_hold_and_what_is_gone_is_told() {
        let evidence = all_well();
        let mut written = rows(&render(&evidence));
        written.remove("durable-partial");
        assert_eq!(changes(&written, &evidence), [""; 0]);
        assert_eq!(
            changes(&BTreeMap::new(), &Evidence::default()).len(),
            all()
                .filter(|requirement| matches!(requirement.seen, Seen::By(_)))
                .count()
        );
        let gone = Row {
            says: "x".to_owned(),
            verdict: "PASS".to_owned(),
        };
        written.insert("former".to_owned(), gone);
        assert_eq!(
            changes(&written, &evidence),
            ["former: is required no more"]
        );
    }

    #[test]
    fn what_the_table_names_and_nobody_has_is_found() {
        let evidence = all_well();
        let checks: Vec<&str> = evidence.checks.names().collect();
        let mut names = evidence.tests.names();
        assert_eq!(missing(&names, &checks), [""; 0]);
        names.remove("runtime", "enqueue::tests::batches_keep_to_both_limits");
        assert_eq!(
            missing(&names, &checks),
            ["size-batch: test runtime enqueue::tests::batches_keep_to_both_limits"]
        );
        assert!(missing(&names, &[]).len() > 1);
    }
}
