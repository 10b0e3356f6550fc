//! What a run says about itself: [nextest's report in JUnit's form](https://nexte.st/docs/machine-readable/junit/), its
//! [list of tests](https://nexte.st/docs/machine-readable/list/).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Proof;

/// How the cases of one test ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cases {
    /// How many passed.
    pub passed: u64,
    /// How many did not.
    pub failed: u64,
}

/// The tests that ran, by binary and name.
#[derive(Debug, Default)]
pub struct TestResults {
    passed: BTreeMap<(String, String), bool>,
}

impl TestResults {
    /// Reads nextest's report.
    ///
    /// # Errors
    /// It is no such report.
    pub fn read(report: &str) -> Result<Self> {
        let document = roxmltree::Document::parse(report).context("the tests' report is no XML")?;
        let mut results = Self::default();
        for case in document
            .descendants()
            .filter(|node| node.has_tag_name("testcase"))
        {
            let binary = case
                .attribute("classname")
                .context("a test has no binary")?;
            let name = case.attribute("name").context("a test has no name")?;
            let is_bad = |node: roxmltree::Node<'_, '_>| {
                ["failure", "error", "skipped"]
                    .iter()
                    .any(|tag| node.has_tag_name(*tag))
            };
            results.add(binary, name, !case.children().any(is_bad));
        }
        Ok(results)
    }

    /// Adds those of another run of other tests.
    pub fn extend(&mut self, others: Self) {
        self.passed.extend(others.passed);
    }

    /// Notes how a test ended.
    pub fn add(&mut self, binary: &str, name: &str, passed: bool) {
        self.passed
            .insert((binary.to_owned(), name.to_owned()), passed);
    }

    /// How a test and all its cases ended, if one of them ran.
    pub fn of(&self, proof: &Proof) -> Option<Cases> {
        let mut cases = Cases::default();
        for ((binary, name), passed) in &self.passed {
            if proof.is(binary, name) {
                cases.passed += u64::from(*passed);
                cases.failed += u64::from(!*passed);
            }
        }
        (cases != Cases::default()).then_some(cases)
    }

    /// The names of all of them.
    #[cfg(test)]
    pub(super) fn names(&self) -> TestNames {
        TestNames {
            names: self.passed.keys().cloned().collect(),
        }
    }
}

/// The tests that there are, by binary and name.
#[derive(Debug, Default)]
pub struct TestNames {
    names: BTreeSet<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    rust_suites: BTreeMap<String, Suite>,
}

#[derive(Deserialize)]
struct Suite {
    testcases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    ignored: bool,
}

impl TestNames {
    /// Reads nextest's list. A test that is ignored does not run, and is not there.
    ///
    /// # Errors
    /// It is no such list.
    pub fn read(list: &[u8]) -> Result<Self> {
        let list: List =
            serde_json::from_slice(list).context("the list of tests is not as expected")?;
        let mut names = BTreeSet::new();
        for (binary, suite) in list.rust_suites {
            for (name, case) in suite.testcases {
                if !case.ignored {
                    names.insert((binary.clone(), name));
                }
            }
        }
        Ok(Self { names })
    }

    /// Whether there is such a test, or a case of it.
    pub fn has(&self, proof: &Proof) -> bool {
        self.names
            .iter()
            .any(|(binary, name)| proof.is(binary, name))
    }

    #[cfg(test)]
    pub(super) fn remove(&mut self, binary: &str, name: &str) {
        self.names.remove(&(binary.to_owned(), name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="4" failures="1" errors="0">
  <testsuite name="inbound::answers" tests="4" disabled="0" errors="0" failures="1">
    <testcase name="answers::case_1" classname="inbound::answers" time="0.1"></testcase>
    <testcase name="answers::case_2" classname="inbound::answers" time="0.1">
      <failure message="it broke &amp; badly" type="test failure">panicked</failure>
    </testcase>
    <testcase name="keeps" classname="inbound::answers" time="0.1"/>
    <testcase name="keeps_more" classname="inbound::answers" time="0.1"><system-out>x</system-out></testcase>
  </testsuite>
</testsuites>"#;

    fn test(function: &str) -> Proof {
        Proof {
            shows: Vec::new(),
            package: "inbound".to_owned(),
            function: function.to_owned(),
        }
    }

    #[test]
    fn a_test_is_all_of_its_cases_and_no_other_test() {
        let results = TestResults::read(REPORT).unwrap();
        let of = |name| results.of(&test(name));
        let cases = |passed, failed| Some(Cases { passed, failed });
        assert_eq!(of("answers"), cases(1, 1));
        assert_eq!(of("keeps"), cases(1, 0));
        assert_eq!(of("keep"), None);
        assert!(TestResults::read("Summary: 4 passed").is_err());
    }

    #[test]
    fn a_test_that_is_ignored_is_not_there() {
        let list = r#"{"test-count":2,"rust-suites":{"inbound::answers":{"package-name":"inbound","testcases":{
            "keeps::case_1":{"kind":"test","ignored":false,"filter-match":{"status":"matches"}},
            "rests":{"kind":"test","ignored":true,"filter-match":{"status":"matches"}}}}}}"#;
        let names = TestNames::read(list.as_bytes()).unwrap();
        assert!(names.has(&test("keeps")));
        assert!(!names.has(&test("rests")));
        assert!(TestNames::read(b"[]").is_err());
    }
}
