//! The checks that are other programs: cargo's, SAM's, the linter's; and the project's own rules for the template.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use super::conformance::{TestNames, TestResults};
use super::report::Outcome;
use crate::build;
use crate::emulator::REGION;
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::template::{Template, rules};
use crate::tools::{Tools, without_cargos_own};

/// The profile of nextest whose runs leave a report.
const NEXTEST_PROFILE: &str = "verify";

/// The package whose tests need a stack.
const END_TO_END: &str = "e2e";

/// How many of the model's schedules are run.
const SCHEDULES: &str = "100000";

/// The program of the runs with faults.
const ENDURANCE: &str = "endurance";

/// As many events as a minute has time for.
const FEW_EVENTS: &str = "1000";

/// The checks of one project.
#[derive(Debug)]
pub struct Steps<'a> {
    places: &'a Places,
}

impl<'a> Steps<'a> {
    /// The checks of the project in `places`, whose logs go there too.
    pub fn new(places: &'a Places) -> Self {
        Self { places }
    }

    /// `cargo fmt --check`.
    ///
    /// # Errors
    /// A file is not formatted.
    pub async fn format(&self) -> Result<Outcome> {
        if !self.has(&["fmt", "--version"]).await {
            return Ok(Outcome::NotChecked(
                "rustfmt is not installed: rustup component add rustfmt".to_owned(),
            ));
        }
        self.cargo("format", &["fmt", "--all", "--check"], |_| {})
            .await?;
        Ok(Outcome::Passed("every file is formatted".to_owned()))
    }

    /// Clippy with every warning an error.
    ///
    /// # Errors
    /// There is a warning.
    pub async fn clippy(&self) -> Result<Outcome> {
        if !self.has(&["clippy", "--version"]).await {
            return Ok(Outcome::NotChecked(
                "clippy is not installed: rustup component add clippy".to_owned(),
            ));
        }
        self.watched(
            "clippy",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
            None,
        )
        .await?;
        Ok(Outcome::Passed("no warning".to_owned()))
    }

    /// SAM's own check of the template.
    ///
    /// # Errors
    /// The template is not valid.
    pub async fn sam_validate(&self, tools: &Tools) -> Result<Outcome> {
        let mut command = tools.sam_module("samcli");
        command
            .args(["validate", "--lint", "--region", REGION, "--template-file"])
            .arg(self.places.template())
            .env("AWS_DEFAULT_REGION", REGION)
            .current_dir(&self.places.root);
        self.succeed("sam validate", "sam-validate", command)
            .await?;
        Ok(Outcome::Passed("valid".to_owned()))
    }

    /// The CloudFormation linter.
    ///
    /// # Errors
    /// It found something.
    pub async fn cfn_lint(&self, tools: &Tools) -> Result<Outcome> {
        let mut command = tools.sam_script("cfn-lint");
        command
            .args(["--regions", REGION, "us-east-1", "--"])
            .arg(self.places.template())
            .current_dir(&self.places.root);
        self.succeed("cfn-lint", "cfn-lint", command).await?;
        Ok(Outcome::Passed("no finding".to_owned()))
    }

    /// What the linters do not see.
    ///
    /// # Errors
    /// A rule is broken.
    pub async fn template_rules(&self) -> Result<Outcome> {
        let path = self.places.template();
        let text = tokio::fs::read_to_string(&path)
            .await
            .with_context(|| format!("{} could not be read", path.display()))?;
        let findings = rules::check(&Template::parse(&text)?);
        if !findings.is_empty() {
            let lines: Vec<String> = findings
                .iter()
                .map(|finding| format!("    {finding}"))
                .collect();
            bail!(
                "{} findings in template.yaml\n{}",
                findings.len(),
                lines.join("\n")
            );
        }
        Ok(Outcome::Passed(format!("{} rules kept", rules::count())))
    }

    /// That a panic in a function unwinds. Unless Cargo.toml says so itself, cargo-lambda builds with `panic = "abort"`,
    /// and one bad message ends the process with the whole batch that it came in.
    ///
    /// # Errors
    /// Cargo.toml leaves it open.
    pub async fn release_profile(&self) -> Result<Outcome> {
        let path = self.places.root.join("Cargo.toml");
        let text = tokio::fs::read_to_string(&path)
            .await
            .with_context(|| format!("{} could not be read", path.display()))?;
        if !says_unwind(&text) {
            bail!(
                "[profile.release] of Cargo.toml must say panic = \"unwind\": where it is silent, cargo-lambda builds the \
                 functions with panic = \"abort\", and a panic over one message loses its whole batch"
            );
        }
        Ok(Outcome::Passed("a panic unwinds".to_owned()))
    }

    /// Every test but those in the documentation. Those that need a stack find it through `outputs`; without one they are
    /// left out.
    ///
    /// # Errors
    /// A test fails.
    pub async fn tests(&self, outputs: Option<&Path>) -> Result<Outcome> {
        let mut summary = Summary::default();
        let without = format!("not package({END_TO_END})");
        let mut arguments: Vec<&str> = if self.has(&["nextest", "--version"]).await {
            vec![
                "nextest",
                "run",
                "--workspace",
                "--locked",
                "--profile",
                NEXTEST_PROFILE,
                "--no-fail-fast",
                "--status-level",
                "slow",
            ]
        } else {
            vec![
                "test",
                "--workspace",
                "--locked",
                "--no-fail-fast",
                "--lib",
                "--bins",
                "--tests",
            ]
        };
        match (outputs, arguments.first()) {
            (None, Some(&"nextest")) => arguments.extend(["-E", &without]),
            (None, _) => arguments.extend(["--exclude", END_TO_END]),
            (Some(_), _) => {}
        }
        let log = self.log("tests");
        let report = self.tests_report().await?;
        if report.exists() {
            // Else the results of an earlier run would pass for those of this one.
            std::fs::remove_file(&report)
                .with_context(|| format!("{} could not be removed", report.display()))?;
        }
        self.watched("tests", &arguments, outputs).await?;
        for line in std::fs::read_to_string(&log)?.lines() {
            summary.read(line);
        }
        Ok(Outcome::Passed(summary.to_string()))
    }

    /// How each test of the last [`Steps::tests`] ended. Without nextest there is no telling.
    ///
    /// # Errors
    /// The report is there and cannot be read.
    pub async fn test_results(&self) -> Result<TestResults> {
        let report = self.tests_report().await?;
        match std::fs::read_to_string(&report) {
            Ok(text) => TestResults::read(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(TestResults::default())
            }
            Err(error) => {
                Err(error).with_context(|| format!("{} could not be read", report.display()))
            }
        }
    }

    /// Where nextest leaves its report.
    async fn tests_report(&self) -> Result<PathBuf> {
        let target = build::target_directory(self.places, Path::new("cargo")).await?;
        Ok(target
            .join("nextest")
            .join(NEXTEST_PROFILE)
            .join("junit.xml"))
    }

    /// The names of all tests, where nextest is there to list them.
    ///
    /// # Errors
    /// They do not compile.
    pub async fn test_names(&self) -> Result<Option<TestNames>> {
        if !self.has(&["nextest", "--version"]).await {
            return Ok(None);
        }
        let output = cargo(&[
            "nextest",
            "list",
            "--workspace",
            "--locked",
            "--message-format",
            "json",
        ])
        .current_dir(&self.places.root)
        .output()
        .await
        .context("cargo could not be started")?;
        if !output.status.success() {
            bail!(
                "the tests could not be listed:\n{}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        TestNames::read(&output.stdout).map(Some)
    }

    /// Each known mistake, put into a copy of the handlers, has to break the invariant that it names.
    ///
    /// # Errors
    /// One was not caught as it should be, or does not fit the code any more.
    pub async fn mistakes(&self) -> Result<Outcome> {
        let arguments = ["run", "--package", "model", "--locked", "--", "mistakes"];
        self.watched("mistakes", &arguments, None).await?;
        let log = std::fs::read_to_string(self.log("mistakes"))?;
        let caught = log
            .lines()
            .find_map(|line| line.strip_prefix("every mistake is caught: "))
            .context("the model did not say how many mistakes it caught")?;
        Ok(Outcome::Passed(format!("{caught}, each caught")))
    }

    /// A hundred thousand random schedules of deliveries and faults against the real handlers. It fails by itself where an
    /// invariant breaks, and where a fault met a step too seldom.
    ///
    /// # Errors
    /// An invariant broke; the log has the seed and its story.
    pub async fn model(&self) -> Result<Outcome> {
        self.watched(
            "model",
            &[
                "run",
                "--package",
                "model",
                "--locked",
                "--",
                "--schedules",
                SCHEDULES,
            ],
            None,
        )
        .await?;
        let log = std::fs::read_to_string(self.log("model"))?;
        let figures = log
            .lines()
            .find_map(schedules_figures)
            .context("the model did not say how much it ran")?;
        Ok(Outcome::Passed(figures))
    }

    /// Some events on a stack of their own, with times so short that consumers can be killed and waited for, while calls
    /// fail and functions die. The tests' build has made the program; the long run with the same name is documented in
    /// the README.
    ///
    /// # Errors
    /// A promise is broken, or the run proves too little.
    pub async fn faults(&self) -> Result<Outcome> {
        let mut command = Command::new(self.endurance().await?);
        command
            .arg("--state")
            .arg(self.places.state.join("faults"))
            .args(["faults", "--events", FEW_EVENTS])
            .args(["--kill-every", "500", "--minutes", "8"]);
        self.succeed("the run with faults", "faults", command)
            .await?;
        let log = std::fs::read_to_string(self.log("faults"))?;
        let held = log
            .lines()
            .rev()
            .find(|line| line.starts_with("Every promise held"));
        let held = held.context("the run with faults ended without a word")?;
        Ok(Outcome::Passed(held.to_owned()))
    }

    /// The program of the runs with faults, which the tests' build has made.
    ///
    /// # Errors
    /// The target directory cannot be found.
    pub async fn endurance(&self) -> Result<PathBuf> {
        let cargo = build::cargo()?;
        let target = build::target_directory(self.places, &cargo).await?;
        Ok(target.join("debug").join(ENDURANCE))
    }

    /// The examples in the documentation.
    ///
    /// # Errors
    /// One fails.
    pub async fn doc_tests(&self) -> Result<Outcome> {
        let mut summary = Summary::default();
        self.watched(
            "doc-tests",
            &["test", "--workspace", "--locked", "--doc"],
            None,
        )
        .await?;
        for line in std::fs::read_to_string(self.log("doc-tests"))?.lines() {
            summary.read(line);
        }
        Ok(Outcome::Passed(summary.to_string()))
    }

    /// Whether a cargo command is there.
    async fn has(&self, arguments: &[&str]) -> bool {
        let output = cargo(arguments)
            .current_dir(&self.places.root)
            .output()
            .await;
        output.is_ok_and(|output| output.status.success())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.places.log_of(name)
    }

    /// A cargo command that compiles, with signs of life.
    async fn watched(&self, name: &str, arguments: &[&str], outputs: Option<&Path>) -> Result<()> {
        let mut step = Progress::new().step(format!("cargo {}", arguments.first().unwrap_or(&"")));
        let mut command = cargo(arguments);
        if let Some(outputs) = outputs {
            command.env("ORDERHOOK_OUTPUTS", outputs);
        }
        let mut compiled = 0;
        self.run(
            &format!("cargo {}", arguments.first().unwrap_or(&"")),
            name,
            command,
            |line| {
                let line = line.trim();
                if line.starts_with("Compiling ") || line.starts_with("Checking ") {
                    compiled += 1;
                    step.update(&format!("{compiled}: {line}"));
                } else if !line.is_empty() {
                    step.update(line);
                }
            },
        )
        .await?;
        step.done("");
        Ok(())
    }

    async fn cargo(&self, name: &str, arguments: &[&str], on_line: impl FnMut(&str)) -> Result<()> {
        self.run(
            &format!("cargo {}", arguments.first().unwrap_or(&"")),
            name,
            cargo(arguments),
            on_line,
        )
        .await
    }

    async fn succeed(&self, what: &str, name: &str, command: Command) -> Result<()> {
        self.run(what, name, command, |_| {}).await
    }

    async fn run(
        &self,
        what: &str,
        name: &str,
        mut command: Command,
        on_line: impl FnMut(&str),
    ) -> Result<()> {
        let log = self.log(name);
        std::fs::write(&log, "")
            .with_context(|| format!("{} could not be written", log.display()))?;
        command.current_dir(&self.places.root);
        job::succeed(what, command, &log, on_line).await
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    without_cargos_own(&mut command);
    command
}

/// Whether the release profile sets unwinding in so many words.
fn says_unwind(manifest: &str) -> bool {
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[profile.release]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.split_whitespace().collect::<String>() == "panic=\"unwind\"")
}

/// The model's figures, without how long they took: the same code has the same ones.
fn schedules_figures(line: &str) -> Option<String> {
    let (schedules, rest) = line.split_once(" schedules in ")?;
    let (_, figures) = rest.split_once(": ")?;
    schedules
        .parse::<u64>()
        .is_ok()
        .then(|| format!("{schedules} schedules, {figures}"))
}

/// How many tests ran, from nextest's last line or from each of libtest's.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    skipped: u64,
}

impl Summary {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        let is_nextest = line.starts_with("Summary [");
        if !is_nextest && !line.starts_with("test result:") {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            if let [number, word] = pair
                && let Ok(number) = number.parse::<u64>()
            {
                match word.trim_end_matches([';', ',', ':']) {
                    "passed" => self.passed += number,
                    "skipped" | "ignored" => self.skipped += number,
                    _ => {}
                }
            }
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tests passed", self.passed)?;
        if self.skipped > 0 {
            write!(f, ", {} left out", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("[profile.release]\npanic = \"unwind\"\n", true)]
    #[case(
        "[profile.release]\nstrip = true\npanic=\"unwind\"\n[profile.dev]\n",
        true
    )]
    #[case("[profile.release]\nstrip = true\n", false)]
    #[case("[profile.release]\npanic = \"abort\"\n", false)]
    #[case("[profile.release]\n# panic = \"unwind\"\n", false)]
    #[case("[profile.release]\n[profile.dev]\npanic = \"unwind\"\n", false)]
    fn unwinding_must_be_set_in_the_release_profile(
        #[case] manifest: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(says_unwind(manifest), expected);
    }

    #[test]
    fn the_models_figures_do_not_tell_the_time() {
        assert_eq!(
            schedules_figures(
                "100000 schedules in 190 s: per schedule 4.1 deliveries; 2000 run twice"
            ),
            Some("100000 schedules, per schedule 4.1 deliveries; 2000 run twice".to_owned())
        );
        assert_eq!(schedules_figures("every invariant holds"), None);
        assert_eq!(schedules_figures("few schedules in 1 s: none"), None);
    }

    #[rstest]
    #[case(
        "     Summary [   1.344s] 78 tests run: 78 passed (2 slow), 3 skipped",
        78,
        3
    )]
    #[case(
        "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
        5,
        1
    )]
    #[case("running 5 tests", 0, 0)]
    fn both_test_runners_are_understood(
        #[case] line: &str,
        #[case] passed: u64,
        #[case] skipped: u64,
    ) {
        let mut summary = Summary::default();
        summary.read(line);
        assert_eq!(summary, Summary { passed, skipped });
    }
}
