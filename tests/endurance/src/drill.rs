//! `drill`: a team's queue is deleted, its permission lost, a lane poisoned and a webhook disabled by its source. Each is
//! repaired with what `orderhook doctor` prints and nothing else, and no event is lost.
//!
//! The commands are taken out of the doctor's own output and run as they are printed, by the operators' command as it is
//! built; one of AWS's is made as a call.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use local::places::Places;
use local::progress::Progress;
use local::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simulator::control::Deliver;
use simulator::{Control, EventText, RetryPolicy, SiteControl, Source};
use tokio::process::Command;

use crate::accounts;
use crate::collect::{self, QueueReader};
use crate::patience::until;
use crate::permissions::{self, TO_LANES, TO_TEAMS, role_of};
use crate::report::{Run, line};
use crate::test_stack::{LANES, TestStack};

/// How long something may take to show. A message that is no event is dead after a hundred receives, a second apart.
const PATIENCE: Duration = Duration::from_secs(360);
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// How often the doctor may be asked until nothing is wrong.
const ROUNDS: usize = 8;
/// What the template hides a lane's message for: the doctor holds the queues against it.
const VISIBILITY: &str = "290";
/// Failed attempts in a row after which the source disables the webhook.
const DISABLED_AFTER: u32 = 5;
/// What is no event, and comes into a lane all the same.
const POISON: [&str; 2] = ["no event: drill", r#"{"specversion":"1.0","drill":true}"#];

/// Arguments of `drill`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Drill {
    /// Minutes after which the run ends as broken.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: u64,
}

/// What a run came to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Orders that were answered 200.
    accepted: usize,
    /// The commands that were printed and run, in their order.
    commands: Vec<String>,
    /// What went wrong.
    pub(crate) problems: Vec<String>,
}

impl Run for Outcome {
    fn summary(&self) -> String {
        let (accepted, commands) = (self.accepted, self.commands.len());
        format!(
            "{accepted} orders are with the team, after {commands} commands that the doctor printed"
        )
    }

    fn lines(&self) -> Vec<(String, String)> {
        let accepted = line("orders accepted", &self.accepted);
        let commands = self.commands.iter();
        let commands = commands.map(|command| line("printed and run", command));
        [accepted].into_iter().chain(commands).collect()
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// A finding of the doctor.
#[derive(Clone, Debug, Deserialize)]
struct Finding {
    check: String,
    verdict: String,
    summary: String,
    todo: Vec<String>,
}

/// What is broken, and what repairs it.
struct Story<'a> {
    stack: &'a TestStack,
    /// The operators' command, and where it is run: what it writes is kept there.
    orderhook: PathBuf,
    outputs: PathBuf,
    directory: PathBuf,
    site: SiteControl,
    account: String,
    team: QueueReader,
    outcome: Outcome,
    /// Orders that were accepted, and those that the source still has to send.
    accepted: BTreeSet<u32>,
    owed: BTreeSet<u32>,
}

/// Runs it.
///
/// # Errors
/// The stack does not do what every run needs.
pub(crate) async fn run(places: &Places, stack: &TestStack, progress: Progress) -> Result<Outcome> {
    let mut story = Story::begin(places, stack, progress).await?;
    let step = progress.step("Four things go wrong");
    story.break_everything().await?;
    step.done("");
    let step = progress.step("Poison dies");
    story.has("OrdersDlqUrl", POISON.len()).await?;
    step.done("");
    let step = progress.step("Doing what the doctor prints");
    let left = story.repair().await?;
    step.done("");
    let problems = left.iter().map(|finding| {
        let Finding { check, summary, .. } = finding;
        format!("still wrong after {ROUNDS} rounds: {check}: {summary}")
    });
    story.outcome.problems.extend(problems);
    let step = progress.step("Counting what the team has");
    story.count().await?;
    step.done("");
    Ok(story.outcome)
}

impl<'a> Story<'a> {
    /// An account whose orders reach the team, on a stack with which the doctor finds nothing wrong.
    async fn begin(places: &Places, stack: &'a TestStack, progress: Progress) -> Result<Self> {
        let orderhook = std::env::current_exe()?.with_file_name("orderhook");
        if !orderhook.exists() {
            return Err(Refusal::error(format!(
                "{} is not built: cargo build --workspace --bin orderhook",
                orderhook.display()
            )));
        }
        for lane in LANES {
            let set = json!({ "QueueUrl": stack.lane(lane)?, "Attributes": { "VisibilityTimeout": VISIBILITY } });
            stack.aws.sqs("SetQueueAttributes", &set).await?;
        }
        let accounts = accounts::connect(stack, &[Source::Orderspace], progress).await?;
        let account = accounts.names.first().context("no account")?.clone();
        let simulator = stack.outputs.simulators.get("orderspace");
        let simulator = simulator.context("the stack has another Orderspace than the simulator")?;
        let directory = places.scratch().join(&account);
        std::fs::create_dir_all(&directory)?;
        let team = stack.output("ExampleTeamQueueUrl")?;
        let mut story = Self {
            stack,
            orderhook,
            outputs: places.outputs(),
            directory,
            site: Control::new(simulator)?.site(&account),
            team: QueueReader::new(&stack.aws, team, &format!("\"{account}\"")),
            account,
            outcome: Outcome::default(),
            accepted: BTreeSet::new(),
            owed: BTreeSet::new(),
        };
        story.deliver(1..=3, u32::MAX).await?;
        ensure!(story.owed.is_empty(), "the first orders are not accepted");
        story.reaches(3).await?;
        let wrong = story.findings().await?;
        ensure!(wrong.is_empty(), "before anything is broken: {wrong:?}");
        Ok(story)
    }

    /// The source sends orders, and disables its webhooks after so many failed attempts.
    async fn deliver(
        &mut self,
        orders: impl IntoIterator<Item = u32>,
        disable_after: u32,
    ) -> Result<()> {
        let policy = RetryPolicy {
            first_delay_ms: 200,
            factor: 1.5,
            max_delay_ms: 1_000,
            timeout_ms: 12_000,
            max_attempts: DISABLED_AFTER + 1,
            disable_after,
        };
        for order in orders {
            let event = json!({ "event": "order.created", "data": { "order": { "id": format!("or_{order}") } } });
            let deliver = Deliver {
                policy: policy.clone(),
                ..Deliver::events(&[EventText::parse(event.to_string())?])
            };
            let reports = self.site.deliver(&deliver).await?;
            if reports.iter().any(|report| report.accepted) {
                self.accepted.insert(order);
                self.owed.remove(&order);
            } else {
                self.owed.insert(order);
            }
        }
        Ok(())
    }

    /// Waits until the team has so many messages.
    async fn reaches(&self, count: usize) -> Result<()> {
        until(PATIENCE, LOOK, async || {
            self.team.collect().await?;
            let found = self.team.count();
            ensure!(found >= count, "the team has {found} messages, not {count}");
            Ok(())
        })
        .await
    }

    /// Waits until a queue has so many messages.
    async fn has(&self, output: &str, count: usize) -> Result<()> {
        let url = self.stack.output(output)?;
        until(PATIENCE, LOOK, async || {
            let found = collect::waiting(&self.stack.aws, url).await?;
            ensure!(found >= count, "{output} has {found} messages, not {count}");
            Ok(())
        })
        .await
    }

    async fn break_everything(&mut self) -> Result<()> {
        let aws = &self.stack.aws;
        let lane = self.stack.lane("Orders")?;
        for body in POISON {
            let sent = json!({ "QueueUrl": lane, "MessageBody": body });
            aws.sqs("SendMessage", &sent).await?;
        }
        let roles = permissions::roles(aws).await?;
        let (inbound, consumer) = (role_of(&roles, "Inbound")?, role_of(&roles, "Consumer")?);
        consumer.lose(aws, TO_TEAMS).await?;
        let queue = json!({ "QueueUrl": self.stack.output("ExampleTeamQueueUrl")? });
        aws.sqs("DeleteQueue", &queue).await?;
        self.deliver(4..=8, u32::MAX).await?;
        self.has("UndeliveredQueueUrl", 5).await?;
        // While inbound cannot queue anything, its source loses patience. What was the matter is over by itself.
        inbound.lose(aws, TO_LANES).await?;
        let refused = self.deliver(9..=10, DISABLED_AFTER).await;
        inbound.restore(aws).await?;
        refused?;
        let webhooks = self.site.webhooks().await?;
        let is_disabled = webhooks.iter().all(|webhook| !webhook.enabled);
        ensure!(is_disabled, "the source did not disable {webhooks:?}");
        ensure!(self.owed.len() == 2, "an order was accepted all the same");
        Ok(())
    }

    /// Does what the doctor prints until it finds nothing wrong. What it finds in the end is returned.
    async fn repair(&mut self) -> Result<Vec<Finding>> {
        for _ in 0..ROUNDS {
            let wrong = self.findings().await?;
            if wrong.is_empty() {
                return Ok(wrong);
            }
            for finding in &wrong {
                let commands = finding.todo.iter().filter_map(|todo| command(todo));
                let commands: Vec<&str> = commands.collect();
                ensure!(!commands.is_empty(), "no command repairs {finding:?}");
                for command in commands {
                    self.outcome.commands.push(command.to_owned());
                    self.follow(command).await?;
                }
            }
            // The source sends what it still has to send, as soon as it has a webhook for it.
            let owed = self.owed.clone();
            self.deliver(owed, u32::MAX).await?;
        }
        self.findings().await
    }

    /// Runs a command; where it prints others, these too.
    async fn follow(&mut self, command: &str) -> Result<()> {
        let words = words(command)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["aws", service, operation, flags @ ..] => self.call(service, operation, flags).await,
            ["orderhook", arguments @ ..] => {
                if arguments != ["stuck", "list"] {
                    return self.orderhook(arguments).await.map(drop);
                }
                for next in self.listed().await? {
                    self.outcome.commands.push(next.clone());
                    let next = self::words(&next)?;
                    let next: Vec<&str> = next.iter().skip(1).map(String::as_str).collect();
                    self.orderhook(&next).await?;
                }
                Ok(())
            }
            _ => bail!("{command:?} is no command of AWS's or ours"),
        }
    }

    /// Runs the operators' command, and answers what it printed.
    async fn orderhook(&self, arguments: &[&str]) -> Result<String> {
        let local = format!("--local={}", self.outputs.display());
        let output = Command::new(&self.orderhook)
            .args([&*local, "--yes"])
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .await?;
        // 1 says that something is wrong or left, which the doctor is asked about next.
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        ensure!(
            matches!(code, Some(0 | 1)),
            "orderhook {arguments:?} ended with {code:?}: {printed}{said}"
        );
        Ok(printed)
    }

    /// What is to be done about what waits.
    async fn listed(&self) -> Result<BTreeSet<String>> {
        #[derive(Deserialize)]
        struct Entry {
            todo: String,
        }
        #[derive(Deserialize)]
        struct Listing {
            entries: Vec<Entry>,
        }
        let printed = self.orderhook(&["stuck", "list", "--json"]).await?;
        let listing: Listing = serde_json::from_str(&printed).context("the list's document")?;
        let todo = listing.entries.iter();
        Ok(todo
            .filter_map(|entry| command(&entry.todo).map(str::to_owned))
            .collect())
    }

    /// Makes a call of AWS's command line.
    async fn call(&self, service: &str, operation: &str, flags: &[&str]) -> Result<()> {
        let (operation, flags) = (pascal(operation), named(flags)?);
        let aws = &self.stack.aws;
        match service {
            "sqs" => {
                let input: Value = flags.into_iter().collect();
                aws.sqs(&operation, &input).await?;
            }
            "iam" => {
                let input = flags.iter().map(|(name, value)| (name.as_str(), *value));
                let input: Vec<(&str, &str)> = input.collect();
                let version = permissions::IAM;
                aws.query("iam", &operation, version, &input).await?;
            }
            other => bail!("the drill makes no calls of {other}"),
        }
        Ok(())
    }

    /// What the doctor finds wrong.
    async fn findings(&self) -> Result<Vec<Finding>> {
        #[derive(Deserialize)]
        struct Report {
            findings: Vec<Finding>,
        }
        let printed = self.orderhook(&["doctor", "--deep", "--json"]).await?;
        let report: Report = serde_json::from_str(&printed).context("the doctor's document")?;
        let found = report.findings.into_iter();
        Ok(found
            .filter(|finding| matches!(finding.verdict.as_str(), "fail" | "denied"))
            .collect())
    }

    /// Every accepted order is with the team, and what was dropped is in a file.
    async fn count(&mut self) -> Result<()> {
        self.outcome.accepted = self.accepted.len();
        let all: BTreeSet<u32> = (1..=10).collect();
        if self.accepted != all {
            let problem = format!("accepted are {:?} and not ten", self.accepted);
            self.outcome.problems.push(problem);
        }
        let begun = Instant::now();
        let missing = loop {
            while self.team.collect().await? > 0 {}
            let messages = self.team.messages();
            let has = |order: &u32| {
                let subject = format!("\"order/or_{order}\"");
                let mut messages = messages.iter();
                messages.any(|message| message.body.contains(&subject))
            };
            let mut missing = self.accepted.clone();
            missing.retain(|order| !has(order));
            if missing.is_empty() || begun.elapsed() > Duration::from_secs(60) {
                break missing;
            }
            tokio::time::sleep(LOOK).await;
        };
        for order in missing {
            let problem = format!("order {order} of {} was accepted and lost", self.account);
            self.outcome.problems.push(problem);
        }
        let kept = dropped(&self.directory)?;
        for body in POISON {
            if !kept.iter().any(|kept| kept == body) {
                let problem = format!("{body} was dropped and is in no file");
                self.outcome.problems.push(problem);
            }
        }
        Ok(())
    }
}

/// The bodies of the messages that were dropped into the files of a directory.
fn dropped(directory: &Path) -> Result<Vec<String>> {
    let mut bodies = Vec::new();
    for file in std::fs::read_dir(directory)? {
        for line in std::fs::read_to_string(file?.path())?.lines() {
            let kept: Value = serde_json::from_str(line)?;
            let body = kept.get("body").and_then(Value::as_str);
            bodies.push(body.context("a dropped message without a body")?.to_owned());
        }
    }
    Ok(bodies)
}

/// The command that a line ends with: all of it, or what follows a colon.
fn command(line: &str) -> Option<&str> {
    let colons = line.match_indices(": ");
    let after_colons = colons.filter_map(|(place, colon)| line.get(place + colon.len()..));
    let mut rests = std::iter::once(line).chain(after_colons);
    let found = rests.find(|rest| rest.starts_with("orderhook ") || rest.starts_with("aws "));
    found.map(str::trim_end)
}

/// The words of a command line, with single quotes as a shell reads them.
fn words(command: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for letter in command.chars() {
        match (letter, is_quoted) {
            ('\'', _) => is_quoted = !is_quoted,
            (' ', false) => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            _ => word.push(letter),
        }
    }
    ensure!(!is_quoted, "{command:?} ends within a quote");
    words.extend(Some(word).filter(|word| !word.is_empty()));
    Ok(words)
}

/// `QueueName` of `queue-name`.
fn pascal(name: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(part).collect()
}

/// Flags and their values, as the API names them.
fn named<'f>(flags: &[&'f str]) -> Result<Vec<(String, &'f str)>> {
    let (pairs, rest) = flags.as_chunks::<2>();
    ensure!(rest.is_empty(), "{flags:?} are not pairs");
    let named = |[flag, value]: &[&'f str; 2]| {
        let name = flag.strip_prefix("--");
        let name = name.with_context(|| format!("{flag} is no flag"))?;
        Ok((pascal(name), *value))
    };
    pairs.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("orderhook stuck list", Some("orderhook stuck list"))]
    #[case(
        "where none arrives: orderhook accounts rotate acme ",
        Some("orderhook accounts rotate acme")
    )]
    #[case(
        "aws sqs create-queue --queue-name a",
        Some("aws sqs create-queue --queue-name a")
    )]
    #[case("a: b: aws x", Some("aws x"))]
    #[case("wait for its end, then look again", None)]
    #[case("its owner creates it again: https://orderhook.example/a", None)]
    fn the_command_of_a_line(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(command(line), expected);
    }

    #[test]
    fn a_command_is_split_as_a_shell_does() {
        let split = words(r#"aws iam put-role-policy --policy-document '{"a": [1, 2]}'"#).unwrap();
        let document = r#"{"a": [1, 2]}"#;
        let plain = "aws iam put-role-policy --policy-document".split(' ');
        let expected: Vec<&str> = plain.chain([document]).collect();
        assert_eq!(split, expected);
        assert!(words("orderhook 'stuck").is_err());
    }

    #[test]
    fn flags_are_named_as_the_api_does() {
        assert_eq!(pascal("put-role-policy"), "PutRolePolicy");
        let named_flags = named(&["--queue-name", "a"]).unwrap();
        assert_eq!(named_flags, [("QueueName".to_owned(), "a")]);
        assert!(named(&["--queue-name"]).is_err());
        assert!(named(&["queue-name", "a"]).is_err());
    }

    #[test]
    fn what_was_dropped_is_read_from_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let lines = "{\"body\":\"x\"}\n{\"body\":\"y\"}\n";
        std::fs::write(directory.path().join("a.jsonl"), lines).unwrap();
        assert_eq!(dropped(directory.path()).unwrap(), ["x", "y"]);
    }
}
