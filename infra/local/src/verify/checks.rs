//! The checks, in the order in which they are made: most are other programs, cargo's, SAM's or the linter's.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use crate::aws::EVENT_SOURCE_MAPPINGS;
use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::conformance::{self, TestNames, TestResults};
use super::report::Outcome;
use super::{Run, consumers, linters, panics, samconfig};
use crate::build::{self, Build};
use crate::demo::{examples, sources, story};
use crate::emulator::REGION;
use crate::job;
use crate::places::Places;
use crate::ports;
use crate::stack::{Options, Stack};
use crate::template::{self, Template};
use crate::tools::{Tools, without_cargos_own};

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its name, by which `--only` and the table of requirements know it.
    pub name: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// Without these it is NOT CHECKED.
    pub needs: &'static [Need],
    /// Whether it belongs to a release: it is about the functions as they are deployed, or takes too long for every day.
    pub of_release: bool,
    /// What is done.
    pub work: Work,
}

/// What a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// What the check `tools` installs.
    Tools,
    /// What the check `stack` starts.
    Stack,
    /// A command of cargo's, and how to install it.
    Cargo(&'static str, &'static str),
}

impl Need {
    /// The check that provides it.
    const fn check(self) -> Option<&'static str> {
        match self {
            Self::Tools => Some("tools"),
            Self::Stack => Some("stack"),
            Self::Cargo(..) => None,
        }
    }
}

type Making<'r> = Pin<Box<dyn Future<Output = Result<Outcome>> + 'r>>;

/// What a check does.
#[derive(Debug)]
pub enum Work {
    /// A cargo command that has to succeed, its words apart by spaces, and what its output has to say.
    Cargo(&'static str, fn(&str) -> Option<String>),
    /// Something else.
    Run(for<'r> fn(&'r mut Run) -> Making<'r>),
}

impl Check {
    /// Makes it.
    pub(super) fn made<'r>(&'r self, run: &'r mut Run) -> Making<'r> {
        match &self.work {
            Work::Cargo(command, saw) => Box::pin(run.cargo(self.name, command, *saw)),
            Work::Run(work) => work(run),
        }
    }
}

const fn check(
    name: &'static str,
    title: &'static str,
    needs: &'static [Need],
    work: Work,
) -> Check {
    Check {
        name,
        title,
        needs,
        of_release: false,
        work,
    }
}

const fn of_release(check: Check) -> Check {
    Check {
        of_release: true,
        ..check
    }
}

const TOOLS: &[Need] = &[Need::Tools];
const STACK: &[Need] = &[Need::Stack];
/// What ends the stack that `stack` began, however little time is left.
pub(super) const STACK_DOWN: &str = "stack down";
/// The check that the table of requirements is current.
pub(super) const REQUIREMENTS: &str = "requirements";
const DENY: Need = Need::Cargo(
    "deny",
    "cargo-deny is not installed: cargo install cargo-deny --locked",
);
const NEXTEST: &str = "cargo-nextest, which lists the tests, is not installed";

/// Every check.
pub const CHECKS: &[Check] = &[
    check(
        "format",
        "Formatting",
        &[Need::Cargo(
            "fmt",
            "rustfmt is not installed: rustup component add rustfmt",
        )],
        Work::Cargo("fmt --all --check", |_| {
            Some("every file is formatted".to_owned())
        }),
    ),
    check(
        "lints",
        "Lints (clippy)",
        &[Need::Cargo(
            "clippy",
            "clippy is not installed: rustup component add clippy",
        )],
        Work::Cargo(
            "clippy --workspace --all-targets --locked -- -D warnings",
            |_| Some("no warning".to_owned()),
        ),
    ),
    check(
        "release profile",
        "Release profile",
        &[],
        Work::Run(|run| Box::pin(async { run.release_profile() })),
    ),
    // A hundred thousand random schedules of deliveries and faults against the real handlers. It fails by itself where an
    // invariant breaks, and where a fault met a step too seldom.
    check(
        "model",
        "Random schedules against the handlers",
        &[],
        Work::Cargo("run --bin model --locked -- --schedules 100000", |log| {
            log.lines().find_map(schedules_figures)
        }),
    ),
    check(
        "tools",
        "Tools",
        &[],
        Work::Run(|run| Box::pin(run.install())),
    ),
    check(
        "sam validate",
        "Template (sam validate)",
        TOOLS,
        Work::Run(|run| Box::pin(run.sam_validate())),
    ),
    check(
        "cfn-lint",
        "Template (cfn-lint)",
        TOOLS,
        Work::Run(|run| Box::pin(run.cfn_lint())),
    ),
    check(
        "template rules",
        "Template (own rules)",
        &[],
        Work::Run(|run| Box::pin(async { run.template_rules() })),
    ),
    // What it installs has 290 MB and takes minutes.
    of_release(check(
        "checkov",
        "Template (checkov)",
        TOOLS,
        Work::Run(|run| {
            Box::pin(async { linters::checkov(&run.places, run.tools()?, run.progress).await })
        }),
    )),
    // Of a release, because building the command takes minutes too.
    of_release(check(
        "dependencies",
        "Licences, sources and versions of the crates (cargo deny)",
        &[DENY],
        Work::Cargo("deny check licenses bans sources", |_| {
            Some("every crate is one that deny.toml allows".to_owned())
        }),
    )),
    of_release(check(
        "advisories",
        "Known weaknesses of the crates (cargo deny)",
        &[DENY],
        Work::Run(|run| Box::pin(async { linters::advisories(&run.places).await })),
    )),
    check(
        "samconfig",
        "Settings of deployments (samconfig.toml)",
        TOOLS,
        Work::Run(|run| {
            Box::pin(async {
                let deployed = samconfig::check(&run.places, run.tools()?).await?;
                Ok(Outcome::Passed(deployed))
            })
        }),
    ),
    of_release(check(
        "scale",
        "What a delivery, a batch and a start cost",
        TOOLS,
        Work::Run(|run| Box::pin(run.scale())),
    )),
    check(
        "stack",
        "Stack",
        &[],
        Work::Run(|run| Box::pin(run.start())),
    ),
    check(
        "processor",
        "The processor of the functions' programs",
        STACK,
        Work::Run(|run| {
            Box::pin(async { linters::processor(&run.places, build::architecture()?) })
        }),
    ),
    check(
        "examples",
        "Example events",
        STACK,
        Work::Run(|run| Box::pin(run.examples_seen())),
    ),
    check(
        "stopped consumer",
        "Example events while a consumer is stopped",
        STACK,
        Work::Run(|run| Box::pin(run.stopped_consumer_noticed())),
    ),
    // Of a release, because it installs node's packages.
    of_release(check(
        "consumers",
        "The example consumers of teams",
        &[Need::Tools, Need::Stack],
        Work::Run(|run| {
            Box::pin(async {
                let (tools, outputs) = (run.tools()?, &run.stack()?.outputs);
                consumers::run(&run.places, tools, outputs, run.progress).await
            })
        }),
    )),
    check(
        "tests",
        "Tests",
        &[],
        Work::Run(|run| Box::pin(run.tests(Tests::WithoutStack))),
    ),
    check(
        "end to end",
        "Tests that need a stack",
        STACK,
        Work::Run(|run| Box::pin(run.tests(Tests::OnStack))),
    ),
    check(
        "doc tests",
        "Tests in the documentation",
        &[],
        Work::Cargo("test --workspace --locked --doc", |log| {
            Some(Summary::of(log).to_string())
        }),
    ),
    check(
        STACK_DOWN,
        "Stopping the stack",
        STACK,
        Work::Run(|run| Box::pin(run.stop())),
    ),
    // Events on a stack of their own, with times so short that consumers can be killed and waited for, while calls fail
    // and functions die.
    check(
        "faults",
        "Events while calls fail and functions die",
        TOOLS,
        Work::Run(|run| Box::pin(run.faults())),
    ),
    of_release(check(
        "permissions",
        "Permissions taken away one by one",
        TOOLS,
        Work::Run(|run| Box::pin(async { run.long_run("permissions", &["permissions"]).await })),
    )),
    of_release(check(
        "drill",
        "Four things that go wrong, repaired with what the doctor prints",
        TOOLS,
        Work::Run(|run| Box::pin(async { run.long_run("drill", &["drill"]).await })),
    )),
    of_release(check(
        "upgrade",
        "An update of the template and back, while events flow",
        TOOLS,
        Work::Run(|run| Box::pin(run.upgrade())),
    )),
    check(
        "panics",
        "The functions' logs",
        &[],
        Work::Run(|run| Box::pin(async { panics::none(&run.places) })),
    ),
    check(
        REQUIREMENTS,
        "Requirements",
        &[Need::Cargo("nextest", NEXTEST)],
        Work::Run(|run| Box::pin(run.requirements_current())),
    ),
    // Each known mistake, put into a copy of the code, has to break the invariant that it names, or to fail the test. It proves
    // the checks, not the product, and takes long: last, and of a release.
    of_release(check(
        "mistakes",
        "Known mistakes in a copy of the handlers",
        &[],
        Work::Cargo("run --bin model --locked -- mistakes", |log| {
            let caught = log
                .lines()
                .find_map(|line| line.strip_prefix("every mistake is caught: "));
            caught.map(|caught| format!("{caught}, each caught"))
        }),
    )),
];

/// Whether a check is made: its name contains `only`, or one needs it whose name does.
pub(super) fn is_wanted(check: &Check, only: Option<&str>) -> bool {
    let Some(only) = only else { return true };
    let named = |check: &Check| check.name.contains(only);
    named(check)
        || CHECKS.iter().any(|other| {
            let needed = other.needs.iter().filter_map(|need| need.check());
            // What was started is stopped.
            named(other)
                && needed
                    .into_iter()
                    .any(|name| name == check.name || (name, check.name) == ("stack", STACK_DOWN))
        })
}

/// How long the examples may bring nothing new, as in the demonstration.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same while a lane is stopped: what else is missing comes within moments.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);

/// What has tests. Without it cargo builds the examples too.
const TARGETS: [&str; 3] = ["--lib", "--bins", "--tests"];

/// The profile of nextest whose runs leave a report.
const NEXTEST_PROFILE: &str = "verify";

/// The package whose tests need a stack.
const END_TO_END: &str = "e2e";

/// As many events as a minute has time for.
const FEW_EVENTS: &str = "1000";

/// Which tests are run.
#[derive(Clone, Copy, Debug)]
enum Tests {
    /// Those that need no stack.
    WithoutStack,
    /// Those of the package that needs one.
    OnStack,
}

impl Run {
    /// Whether a cargo command is there.
    pub(super) async fn has(&self, command: &str) -> bool {
        let output = cargo(&[command, "--version"])
            .current_dir(&self.places.root)
            .output()
            .await;
        output.is_ok_and(|output| output.status.success())
    }

    fn tools(&self) -> Result<&Tools> {
        self.tools.as_ref().context("the tools are not installed")
    }

    fn stack(&self) -> Result<&Stack> {
        self.stack.as_ref().context("there is no stack")
    }

    /// Runs a cargo command, with signs of life, and returns what it printed.
    async fn output_of_cargo(&self, log: &str, arguments: &[&str]) -> Result<String> {
        let name = format!("cargo {}", arguments.first().unwrap_or(&""));
        let mut step = self.progress.step(&name);
        let mut compiled = 0;
        let mut command = cargo(arguments);
        if self.stack.is_some() {
            command.env("ORDERHOOK_OUTPUTS", self.places.outputs());
        }
        let output = self
            .succeed(&name, log, command, |line| {
                let line = line.trim();
                if line.starts_with("Compiling ") || line.starts_with("Checking ") {
                    compiled += 1;
                    step.update(&format!("{compiled}: {line}"));
                } else if !line.is_empty() {
                    step.update(line);
                }
            })
            .await?;
        step.done("");
        Ok(output)
    }

    async fn cargo(
        &self,
        log: &str,
        command: &str,
        saw: fn(&str) -> Option<String>,
    ) -> Result<Outcome> {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let output = self.output_of_cargo(log, &arguments).await?;
        let saw = saw(&output).context("it ended well and did not say what it saw")?;
        Ok(Outcome::Passed(saw))
    }

    /// Runs a program with a log of its own, and returns what it printed.
    async fn succeed(
        &self,
        what: &str,
        log: &str,
        mut command: Command,
        on_line: impl FnMut(&str),
    ) -> Result<String> {
        let log = self.places.log_of(&log.replace(' ', "-"));
        std::fs::write(&log, "")
            .with_context(|| format!("{} could not be written", log.display()))?;
        command.current_dir(&self.places.root);
        job::succeed(what, command, &log, on_line).await?;
        std::fs::read_to_string(&log).with_context(|| format!("{} cannot be read", log.display()))
    }

    /// Counted by the package that measures the functions.
    async fn scale(&self) -> Result<Outcome> {
        let arguments = ["run", "--bin", "bench", "--locked", "--", "guard"];
        let output = self.output_of_cargo("scale", &arguments).await?;
        guarded(&output).context("the guard ended well and did not say what it counted")
    }

    async fn install(&mut self) -> Result<Outcome> {
        self.tools = Some(Tools::install(&self.places, self.progress).await?);
        Ok(Outcome::Passed(
            "installed at their pinned versions".to_owned(),
        ))
    }

    async fn sam_validate(&self) -> Result<Outcome> {
        let mut command = self.tools()?.sam_module("samcli");
        command
            .args(["validate", "--lint", "--region", REGION, "--template-file"])
            .arg(self.places.template())
            .env("AWS_DEFAULT_REGION", REGION);
        self.succeed("sam validate", "sam-validate", command, |_| {})
            .await?;
        Ok(Outcome::Passed("valid".to_owned()))
    }

    async fn cfn_lint(&self) -> Result<Outcome> {
        let mut command = self.tools()?.sam_script("cfn-lint");
        command
            .args(["--regions", REGION, "us-east-1", "--"])
            .arg(self.places.template());
        self.succeed("cfn-lint", "cfn-lint", command, |_| {})
            .await?;
        Ok(Outcome::Passed("no finding".to_owned()))
    }

    /// What the linters do not see.
    fn template_rules(&self) -> Result<Outcome> {
        let path = self.places.template();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))?;
        let (findings, rules) = template::check(&Template::parse(&text)?);
        let lines: Vec<String> = findings
            .iter()
            .map(|finding| format!("    {finding}"))
            .collect();
        ensure!(
            lines.is_empty(),
            "{} findings in template.yaml\n{}",
            lines.len(),
            lines.join("\n")
        );
        Ok(Outcome::Passed(format!("{rules} rules kept")))
    }

    /// That a panic in a function unwinds. Unless Cargo.toml says so itself, cargo-lambda builds with `panic = "abort"`,
    /// and one bad message ends the process with the whole batch that it came in.
    fn release_profile(&self) -> Result<Outcome> {
        let path = self.places.root.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))?;
        if !says_unwind(&text) {
            bail!(
                "[profile.release] of Cargo.toml must say panic = \"unwind\": where it is silent, cargo-lambda builds the \
                 functions with panic = \"abort\", and a panic over one message loses its whole batch"
            );
        }
        Ok(Outcome::Passed("a panic unwinds".to_owned()))
    }

    async fn start(&mut self) -> Result<Outcome> {
        let options = Options {
            port: ports::free()?,
            proxy: true,
            build: self.build,
            ..Options::default()
        };
        let stack = Stack::up(&self.places, &options, self.progress).await?;
        let endpoint = stack.outputs.endpoint_url.clone();
        self.stack = Some(stack);
        Ok(Outcome::Passed(format!(
            "built, deployed and answering at {endpoint}"
        )))
    }

    async fn stop(&mut self) -> Result<Outcome> {
        drop(self.stack.take());
        Ok(Outcome::Passed("nothing is left running".to_owned()))
    }

    async fn examples_seen(&self) -> Result<Outcome> {
        let fixtures = self.places.root.join("tests/fixtures");
        let examples = examples::read(&fixtures.join("orderspace"))?;
        let others = sources::read(&fixtures)?;
        let outputs = &self.stack()?.outputs;
        let seen = story::tell(outputs, &examples, &others, PATIENCE, self.progress).await?;
        ensure!(seen.problems.is_empty(), "{}", seen.problems.join("\n"));
        let events: usize = seen.lanes.iter().map(|lane| lane.reached).sum();
        Ok(Outcome::Passed(format!(
            "{} deliveries, {events} events and {} other sources seen",
            seen.deliveries.len(),
            seen.sources.len()
        )))
    }

    /// That the demonstration does not end well when the consumer does not read a lane: a check that cannot fail is none.
    async fn stopped_consumer_noticed(&self) -> Result<Outcome> {
        let outputs = &self.stack()?.outputs;
        let aws = outputs.aws()?;
        let queue = outputs.get("OrdersQueueUrl")?;
        let name = queue.rsplit('/').next().unwrap_or_default();
        let mappings = aws.lambda(Method::GET, EVENT_SOURCE_MAPPINGS, None).await?;
        let of_orders = |mapping: &&Value| {
            let arn = mapping.get("EventSourceArn").and_then(Value::as_str);
            arn.unwrap_or_default().rsplit(':').next() == Some(name)
        };
        let mapping = mappings
            .pointer("/EventSourceMappings")
            .and_then(Value::as_array)
            .and_then(|mappings| mappings.iter().find(of_orders))
            .and_then(|mapping| mapping.get("UUID")?.as_str())
            .context("nothing reads the orders' lane")?;
        let path = format!("{EVENT_SOURCE_MAPPINGS}{mapping}");
        let switch = async |enabled: bool| {
            aws.lambda(Method::PUT, &path, Some(&json!({ "Enabled": enabled })))
                .await
        };

        switch(false).await?;
        let examples = examples::read(&self.places.root.join("tests/fixtures/orderspace"))?;
        let told = story::tell(outputs, &examples, &[], SHORT_PATIENCE, self.progress).await;
        switch(true).await?;
        let problems = told?.problems;
        ensure!(
            problems
                .iter()
                .any(|problem| problem.starts_with("Lane orders is stuck")),
            "the orders' lane was not read, and the demonstration found only: {problems:?}"
        );
        Ok(Outcome::Passed(
            "the demonstration misses its events".to_owned(),
        ))
    }

    /// Every test but those in the documentation, in two parts. Both are built as one, else they would be built twice.
    async fn tests(&mut self, which: Tests) -> Result<Outcome> {
        let filter = match which {
            Tests::WithoutStack => format!("not package({END_TO_END})"),
            Tests::OnStack => format!("package({END_TO_END})"),
        };
        let log = match which {
            Tests::WithoutStack => "tests",
            Tests::OnStack => "end to end",
        };
        if !self.has("nextest").await {
            let these: &[&str] = match which {
                Tests::WithoutStack => &["--workspace", "--exclude"],
                Tests::OnStack => &["--package", "features", "--package"],
            };
            let arguments = ["test", "--locked", "--no-fail-fast"];
            let arguments = [&arguments[..], &TARGETS, these, &[END_TO_END]].concat();
            let output = self.output_of_cargo(log, &arguments).await?;
            return Ok(Outcome::Passed(Summary::of(&output).to_string()));
        }
        let target = build::target_directory(&self.places, &build::cargo()?).await?;
        let report = target
            .join("nextest")
            .join(NEXTEST_PROFILE)
            .join("junit.xml");
        // Else the results of an earlier run would pass for those of this one.
        if let Err(error) = std::fs::remove_file(&report)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("{} stays", report.display()));
        }
        // Those on a stack mostly wait for it; nextest's own settings bound how many run at a time.
        let side_by_side: &[&str] = match which {
            Tests::WithoutStack => &[],
            Tests::OnStack => &["--test-threads", "4"],
        };
        let arguments = [
            &["nextest", "run", "--workspace", "--locked"],
            &TARGETS[..],
            &["--profile", NEXTEST_PROFILE, "--no-fail-fast"],
            side_by_side,
            &["--status-level", "slow", "-E", &filter],
        ]
        .concat();
        let ran = self.output_of_cargo(log, &arguments).await;
        // Also where one failed: the table of requirements names it.
        if let Ok(text) = std::fs::read_to_string(&report) {
            self.tests.extend(TestResults::read(&text)?);
        }
        Ok(Outcome::Passed(Summary::of(&ran?).to_string()))
    }

    async fn faults(&self) -> Result<Outcome> {
        let arguments = ["faults", "--events", FEW_EVENTS];
        let arguments = [&arguments[..], &["--kill-every", "500", "--minutes", "8"]].concat();
        self.long_run("faults", &arguments).await
    }

    /// From the template before its last change, which is what an update to this commit meets.
    async fn upgrade(&self) -> Result<Outcome> {
        let Some(earlier) = earlier_template(&self.places).await? else {
            return Ok(Outcome::NotChecked(
                "the history has no earlier template.yaml: fetch it with `git fetch --unshallow`"
                    .to_owned(),
            ));
        };
        let earlier = earlier.to_string_lossy();
        // The programs of every day: what is looked at are the variables that they meet.
        self.long_run_of(Build::Quick, "upgrade", &["upgrade", "--from", &earlier])
            .await
    }

    /// A command of the long runs, on a stack of its own.
    async fn long_run(&self, name: &str, arguments: &[&str]) -> Result<Outcome> {
        self.long_run_of(self.build, name, arguments).await
    }

    async fn long_run_of(&self, build: Build, name: &str, arguments: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(self.endurance().await?);
        command
            .arg("--state")
            .arg(self.places.state.join(name))
            .args((build == Build::Release).then_some("--release"))
            .args(arguments);
        let log = self
            .succeed(&format!("the run {name}"), name, command, |_| {})
            .await?;
        let held = log
            .lines()
            .rev()
            .find(|line| line.starts_with("Every promise held"));
        let held = held.with_context(|| format!("the run {name} ended without a word"))?;
        Ok(Outcome::Passed(held.to_owned()))
    }

    /// The program of the runs with faults, which the tests' build has made.
    async fn endurance(&self) -> Result<PathBuf> {
        let target = build::target_directory(&self.places, &build::cargo()?).await?;
        Ok(target.join("debug/endurance"))
    }

    async fn requirements_current(&self) -> Result<Outcome> {
        let arguments = [
            &["nextest", "list", "--workspace", "--locked"],
            &TARGETS[..],
            &["--message-format", "json"],
        ]
        .concat();
        let output = cargo(&arguments)
            .current_dir(&self.places.root)
            .output()
            .await
            .context("cargo could not be started")?;
        ensure!(
            output.status.success(),
            "the tests could not be listed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        conformance::is_current(&self.places, &TestNames::read(&output.stdout)?)
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    without_cargos_own(&mut command);
    command
}

/// The template as it was before it was last changed, in a file; `None` where the history does not say.
async fn earlier_template(places: &Places) -> Result<Option<PathBuf>> {
    let git = async |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&places.root);
        let output = command.output().await.ok()?;
        output.status.success().then_some(output.stdout)
    };
    let log = ["log", "--max-count=2", "--format=%H", "--", "template.yaml"];
    let Some(commits) = git(&log).await else {
        return Ok(None);
    };
    let commits = String::from_utf8_lossy(&commits);
    let Some(before) = commits.lines().nth(1) else {
        return Ok(None);
    };
    let Some(template) = git(&["show", &format!("{before}:template.yaml")]).await else {
        return Ok(None);
    };
    let path = places.scratch().join("earlier-template.yaml");
    std::fs::write(&path, template)
        .with_context(|| format!("{} could not be written", path.display()))?;
    Ok(Some(path))
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
    fn of(log: &str) -> Self {
        let mut summary = Self::default();
        log.lines().for_each(|line| summary.read(line));
        summary
    }

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

/// What the guard of `tests/bench` printed: its last line.
fn guarded(output: &str) -> Option<Outcome> {
    output.lines().rev().find_map(|line| {
        let not_checked = line.strip_prefix("NOT CHECKED: ");
        let passed = line.strip_prefix("the guard held: ");
        let passed = passed.map(|figures| Outcome::Passed(figures.to_owned()));
        passed.or_else(|| not_checked.map(|why| Outcome::NotChecked(why.to_owned())))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_guard_that_says_nothing_has_checked_nothing() {
        let passed = guarded("  Zipping ...\nthe guard held: 40 figures\n");
        assert!(matches!(passed, Some(Outcome::Passed(figures)) if figures == "40 figures"));
        let not = guarded("NOT CHECKED: no valgrind\n");
        assert!(matches!(not, Some(Outcome::NotChecked(why)) if why == "no valgrind"));
        assert!(guarded("Finished\n").is_none());
    }

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
        assert_eq!(Summary::of(line), Summary { passed, skipped });
    }

    #[test]
    fn what_a_check_needs_is_provided_before_it() {
        for (position, check) in CHECKS.iter().enumerate() {
            let before = CHECKS.split_at(position).0;
            for needed in check.needs.iter().filter_map(|need| need.check()) {
                assert!(
                    before.iter().any(|other| other.name == needed),
                    "{}",
                    check.name
                );
            }
            assert!(
                before.iter().all(|other| other.name != check.name),
                "{} twice",
                check.name
            );
        }
        let down = CHECKS
            .iter()
            .position(|check| check.name == "stack down")
            .unwrap();
        let after = CHECKS.split_at(down + 1).1;
        assert!(
            after
                .iter()
                .all(|check| !check.needs.contains(&Need::Stack)),
            "it is down"
        );
    }

    #[rstest]
    #[case::one("format", &["format"])]
    #[case::with_what_it_needs("cfn-lint", &["tools", "cfn-lint"])]
    #[case::on_a_stack_that_is_stopped("examples", &["stack", "examples", "stack down"])]
    #[case::none("no such check", &[])]
    fn only_makes_what_is_named_and_what_that_needs(#[case] only: &str, #[case] made: &[&str]) {
        let wanted = CHECKS.iter().filter(|check| is_wanted(check, Some(only)));
        assert_eq!(wanted.map(|check| check.name).collect::<Vec<_>>(), made);
        assert!(CHECKS.iter().all(|check| is_wanted(check, None)));
    }
}
