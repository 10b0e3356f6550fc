//! `tests/CONFORMANCE.md`: every requirement with its verdict, what shows it, and the last figures.
//!
//! It is written by `cargo verify --conformance` and by nobody else. A verdict is that of the very run: a test that did
//! not run is not a test that passed. Whoever changes a verdict is told so, because the command then fails; a plain
//! `cargo verify` sees that every requirement is shown by something that exists and that the file says what they say.

mod requirements;
mod results;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub use self::requirements::{Proof, Requirement, Shown};
pub use self::results::{TestNames, TestResults};

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

/// What is required, and which tests say that they show it.
#[derive(Debug)]
struct Table {
    requirements: Vec<Requirement>,
    proofs: Vec<Proof>,
}

/// What one run of the checks found.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The tests, by binary and name. None where their results could not be read.
    pub tests: TestResults,
    /// The checks that passed, with what they saw.
    pub checks: BTreeMap<String, String>,
}

/// Where the table is.
pub fn file(places: &Places) -> PathBuf {
    places.root.join("tests/CONFORMANCE.md")
}

/// Sees that every requirement is shown by what exists, and that the file has the requirements' rows.
///
/// # Errors
/// A requirement has no test, a test names a requirement that is none or does not run; or the file was not written since
/// the requirements changed.
pub fn is_current(places: &Places, tests: &TestNames) -> Result<Outcome> {
    let table = Table::of(places)?;
    let mut faults = table.faults();
    faults.extend(table.without_test(tests));
    if !faults.is_empty() {
        bail!(
            "tests/REQUIREMENTS.md and the tests do not agree\n    {}",
            faults.join("\n    ")
        );
    }
    let written = written(places)?;
    let stale: Vec<&str> = table
        .requirements
        .iter()
        .filter(|requirement| {
            written
                .get(&requirement.id)
                .is_none_or(|row| row.says != requirement.says)
        })
        .map(|requirement| requirement.id.as_str())
        .collect();
    if !stale.is_empty() || written.len() != table.requirements.len() {
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
            "tests/CONFORMANCE.md says FAIL of {}. Repair it, and run: cargo verify --conformance",
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
    let table = Table::of(places)?;
    let faults = table.faults();
    if !faults.is_empty() {
        bail!(
            "tests/REQUIREMENTS.md and the tests do not agree\n    {}",
            faults.join("\n    ")
        );
    }
    let before = written(places)?;
    let path = file(places);
    std::fs::write(&path, table.render(evidence))
        .with_context(|| format!("{} could not be written", path.display()))?;
    let changes = table.changes(&before, evidence);
    if !changes.is_empty() {
        bail!(
            "{} verdicts differ from those in tests/CONFORMANCE.md, which now has the new ones\n    {}",
            changes.len(),
            changes.join("\n    ")
        );
    }
    let count = |verdict| {
        let verdicts = table.requirements.iter();
        let verdicts = verdicts.map(|requirement| table.judge(requirement, evidence).0);
        verdicts.filter(|found| *found == verdict).count()
    };
    // It may have been so before, and is no better for that.
    if count(Verdict::Fail) > 0 {
        bail!(
            "{} requirements are not met; tests/CONFORMANCE.md says which",
            count(Verdict::Fail)
        );
    }
    Ok(Outcome::Passed(format!(
        "{} requirements: {} pass, {} not observable locally, {} by design",
        table.requirements.len(),
        count(Verdict::Pass),
        count(Verdict::NotObservableLocally),
        count(Verdict::ByDesign),
    )))
}

impl Table {
    /// The project's.
    fn of(places: &Places) -> Result<Self> {
        let path = places.root.join("tests/REQUIREMENTS.md");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))?;
        Ok(Self {
            requirements: requirements::read(&text).context("tests/REQUIREMENTS.md")?,
            proofs: requirements::proofs(&places.root)?,
        })
    }

    /// The tests that show a requirement.
    fn proofs_of(&self, id: &str) -> impl Iterator<Item = &Proof> {
        self.proofs
            .iter()
            .filter(move |proof| proof.shows.iter().any(|shown| shown == id))
    }

    /// What requirements, tests and checks say of each other that is not so.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let ids: BTreeSet<&str> = self
            .requirements
            .iter()
            .map(|one| one.id.as_str())
            .collect();
        for proof in &self.proofs {
            let unknown = proof.shows.iter().filter(|id| !ids.contains(id.as_str()));
            faults.extend(unknown.map(|id| format!("{proof} shows {id}, which is no requirement")));
        }
        for requirement in &self.requirements {
            let id = &requirement.id;
            let has_tests = self.proofs_of(id).next().is_some();
            let (asks, checks): (bool, &[String]) = match &requirement.shown {
                Shown::Here { tests, checks } => (*tests, checks),
                Shown::OnAws { .. } | Shown::Meant(_) => (false, &[]),
            };
            match (asks, has_tests) {
                (true, false) => faults.push(format!("{id}: no test shows it")),
                (false, true) => {
                    faults.push(format!("{id}: a test shows it, and it asks for none"));
                }
                (true, true) | (false, false) => {}
            }
            let unknown = checks
                .iter()
                .filter(|name| CHECKS.iter().all(|check| check.name != name.as_str()));
            faults.extend(unknown.map(|name| format!("{id}: there is no check {name}")));
        }
        faults
    }

    /// The tests that say what they show and do not run.
    fn without_test(&self, tests: &TestNames) -> Vec<String> {
        let missing = self.proofs.iter().filter(|proof| !tests.has(proof));
        missing
            .map(|proof| format!("{proof} is no test that runs"))
            .collect()
    }

    /// The verdict on a requirement, with its figures or with what is wrong.
    fn judge(&self, requirement: &Requirement, evidence: &Evidence) -> (Verdict, String) {
        let checks = match &requirement.shown {
            Shown::Here { checks, .. } => checks,
            Shown::OnAws { why, .. } => return (Verdict::NotObservableLocally, why.clone()),
            Shown::Meant(why) => return (Verdict::ByDesign, why.clone()),
        };
        let (mut wrong, mut figures, mut cases) = (Vec::new(), Vec::new(), 0);
        for proof in self.proofs_of(&requirement.id) {
            match evidence.tests.of(proof) {
                Some(results) if results.failed == 0 => cases += results.passed,
                Some(_) => wrong.push(format!("{proof} failed")),
                None => wrong.push(format!("{proof} did not run")),
            }
        }
        match cases {
            0 => {}
            1 => figures.push("1 test".to_owned()),
            _ => figures.push(format!("{cases} tests")),
        }
        for name in checks {
            match evidence.checks.get(name) {
                Some(saw) => figures.push(format!("{name}: {saw}")),
                None => wrong.push(format!("check {name} did not pass")),
            }
        }
        match wrong.is_empty() && !figures.is_empty() {
            true => (Verdict::Pass, figures.join("; ")),
            false => (Verdict::Fail, wrong.join("; ")),
        }
    }

    /// The command that shows a requirement alone.
    fn command(&self, requirement: &Requirement) -> String {
        let checks = match &requirement.shown {
            Shown::Here { checks, .. } => checks,
            Shown::OnAws { how, .. } => return format!("On AWS: {how}"),
            Shown::Meant(_) => return "–".to_owned(),
        };
        let proofs = || self.proofs_of(&requirement.id);
        let packages: BTreeSet<&str> = proofs().map(|proof| proof.package.as_str()).collect();
        let tests: BTreeSet<&str> = proofs().map(|proof| proof.function.as_str()).collect();
        let list = |prefix: &str, separator: &str, names: &BTreeSet<&str>, suffix: &str| {
            let names = names.iter().map(|name| format!("{prefix}{name}{suffix}"));
            names.collect::<Vec<_>>().join(separator)
        };
        let mut commands = Vec::new();
        if !tests.is_empty() {
            commands.push(format!(
                "`cargo nextest run {} -E '{}'`",
                list("-p ", " ", &packages, ""),
                list("test(", " or ", &tests, ")")
            ));
        }
        commands.extend(checks.iter().map(|name| {
            let release = CHECKS
                .iter()
                .any(|check| check.name == name && check.of_release);
            let release = if release { "--release " } else { "" };
            format!("`cargo verify {release}--only '{name}'`")
        }));
        commands.join("; ")
    }

    /// The file's text.
    fn render(&self, evidence: &Evidence) -> String {
        let (mut text, mut chapter) = (HEAD.to_owned(), "");
        for requirement in &self.requirements {
            if chapter != requirement.chapter {
                chapter = &requirement.chapter;
                let _ = write!(
                    text,
                    "\n## {chapter}\n\n| requirement | says | verdict | shown by | figures, or why |\n|---|---|---|---|---|\n"
                );
            }
            let (verdict, figures) = self.judge(requirement, evidence);
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                requirement.id,
                requirement.says,
                verdict.as_str(),
                self.command(requirement),
                figures.replace(['|', '\n'], " ")
            );
        }
        text
    }

    /// The verdicts that are other than before. A requirement that is new has no verdict before, one that is gone had.
    fn changes(&self, before: &BTreeMap<String, Row>, evidence: &Evidence) -> Vec<String> {
        let mut changes = Vec::new();
        for requirement in &self.requirements {
            let (verdict, detail) = self.judge(requirement, evidence);
            let old = before.get(&requirement.id).map(|row| row.verdict.as_str());
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
            if self
                .requirements
                .iter()
                .all(|requirement| requirement.id != *id)
            {
                changes.push(format!("{id}: is required no more"));
            }
        }
        changes
    }
}

const HEAD: &str = "\
# Conformance

What this project is held to, and whether the last run held it. Written by `cargo verify --conformance`, which fails where
a verdict differs from the one here; change [REQUIREMENTS.md](REQUIREMENTS.md) and the lines `// requirement: id` above the
tests, not this file.

**PASS** names what ran and passed in that very run. **NOT OBSERVABLE LOCALLY** says what the emulator lacks and how to see
it on AWS. Tests of the package `e2e` need a stack: `cargo local up --proxy`, then
`ORDERHOOK_OUTPUTS=.local/outputs.json` before the command.
";

/// One row of the file.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    says: String,
    verdict: String,
}

/// The rows of the file, none where it is not there yet.
fn written(places: &Places) -> Result<BTreeMap<String, Row>> {
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn table() -> Table {
        let rows = "## One\n| `a` | It holds | tests |\n| `b` | It is checked | tests, check model |\n\
                    ## Two\n| `c` | It is seen | on AWS: Look there. Here: Nothing shows it. |\n\
                    | `d` | So it is | by design: it is meant |\n";
        Table {
            requirements: requirements::read(rows).unwrap(),
            proofs: vec![proof(&["a", "b"], "keeps"), proof(&["b"], "holds")],
        }
    }

    fn proof(shows: &[&str], function: &str) -> Proof {
        Proof {
            shows: shows.iter().map(|id| (*id).to_owned()).collect(),
            package: "runtime".to_owned(),
            function: function.to_owned(),
        }
    }

    /// A run in which everything passed.
    fn all_well() -> Evidence {
        let mut evidence = Evidence::default();
        for test in ["keeps::case_1", "keeps::case_2", "holds"] {
            let name = format!("enqueue::tests::{test}");
            evidence.tests.add("runtime", &name, true);
        }
        evidence
            .checks
            .insert("model".to_owned(), "seen".to_owned());
        evidence
    }

    fn verdicts(table: &Table, evidence: &Evidence) -> Vec<(Verdict, String)> {
        let requirements = table.requirements.iter();
        requirements.map(|one| table.judge(one, evidence)).collect()
    }

    #[test]
    fn what_ran_and_passed_is_met() {
        let verdicts = verdicts(&table(), &all_well());
        let expected = [
            (Verdict::Pass, "2 tests"),
            (Verdict::Pass, "3 tests; model: seen"),
            (Verdict::NotObservableLocally, "Nothing shows it."),
            (Verdict::ByDesign, "it is meant"),
        ];
        assert_eq!(
            verdicts,
            expected.map(|(verdict, why)| (verdict, why.to_owned()))
        );
    }

    #[test]
    fn what_failed_or_did_not_run_fails_its_requirement() {
        let table = table();
        let before = rows(&table.render(&all_well()));
        let mut evidence = all_well();
        evidence
            .tests
            .add("runtime", "enqueue::tests::keeps::case_2", false);
        let failed = "runtime keeps failed".to_owned();
        let found = verdicts(&table, &evidence);
        assert_eq!(
            found[..2],
            [(Verdict::Fail, failed.clone()), (Verdict::Fail, failed)]
        );
        assert_eq!(table.changes(&before, &evidence).len(), 2);

        let mut evidence = all_well();
        evidence.checks.clear();
        let found = verdicts(&table, &evidence);
        assert_eq!(found[0].0, Verdict::Pass);
        assert_eq!(
            found[1],
            (Verdict::Fail, "check model did not pass".to_owned())
        );
        let found = verdicts(&table, &Evidence::default());
        assert_eq!(
            found[0],
            (Verdict::Fail, "runtime keeps did not run".to_owned())
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let (table, evidence) = (table(), all_well());
        let rows = rows(&table.render(&evidence));
        let found: Vec<(&str, &str, &str)> = rows
            .iter()
            .map(|(id, row)| (id.as_str(), row.says.as_str(), row.verdict.as_str()))
            .collect();
        let expected = [
            ("a", "It holds", "PASS"),
            ("b", "It is checked", "PASS"),
            ("c", "It is seen", "NOT OBSERVABLE LOCALLY"),
            ("d", "So it is", "BY DESIGN"),
        ];
        assert_eq!(found, expected);
        assert_eq!(table.changes(&rows, &evidence), [""; 0]);
    }

    #[test]
    fn what_is_new_must_hold_and_what_is_gone_is_told() {
        let (mut table, evidence) = (table(), all_well());
        let before = rows(&table.render(&evidence));
        table.requirements.remove(3);
        assert_eq!(
            table.changes(&before, &evidence),
            ["d: is required no more"]
        );
        assert_eq!(table.changes(&BTreeMap::new(), &evidence), [""; 0]);
        assert_eq!(
            table.changes(&BTreeMap::new(), &Evidence::default()).len(),
            2
        );
    }

    #[rstest]
    #[case::as_it_is(&["a", "b"], "tests, check model", None)]
    #[case::no_test(&["b"], "tests, check model", Some("a: no test shows it"))]
    #[case::an_unknown_id(&["a", "b", "e"], "tests, check model", Some("runtime keeps shows e, which is no requirement"))]
    #[case::an_unknown_check(&["a", "b"], "tests, check miracles", Some("b: there is no check miracles"))]
    #[case::a_test_too_many(&["a", "b"], "check model", Some("b: a test shows it, and it asks for none"))]
    fn requirements_and_tests_have_to_agree(
        #[case] shows: &[&str],
        #[case] by: &str,
        #[case] fault: Option<&str>,
    ) {
        let mut table = table();
        table.proofs[0] = proof(shows, "keeps");
        let rows = format!("| `b` | It is checked | {by} |");
        table.requirements[1] = requirements::read(&rows).unwrap().remove(0);
        assert_eq!(table.faults(), fault.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_test_that_does_not_run_shows_nothing() {
        let evidence = all_well();
        let mut names = evidence.tests.names();
        assert_eq!(table().without_test(&names), [""; 0]);
        names.remove("runtime", "enqueue::tests::holds");
        assert_eq!(
            table().without_test(&names),
            ["runtime holds is no test that runs"]
        );
    }

    #[test]
    fn the_projects_requirements_and_tests_agree() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let table = Table::of(&places).unwrap();
        assert_eq!(table.faults(), [""; 0]);
        assert!(table.proofs.len() > 200, "{} tests", table.proofs.len());
        for requirement in &table.requirements {
            let text = format!("{}{}", requirement.says, table.command(requirement));
            assert!(!text.contains(['|', '\n']), "{text} breaks the table");
        }
    }
}
