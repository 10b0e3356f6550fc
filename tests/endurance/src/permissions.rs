//! `permissions`: each statement of the functions' roles loses an action, and what the product needs it for fails; given
//! back, it goes on and nothing is lost. And inbound, which faces the internet, is refused what it must not have.
//!
//! A permission that can be taken away without harm is one too many. One without a row in [`ROWS`] fails the run, as a
//! test does that reads the roles in `template.yaml`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use http::Method;
use local::aws::Aws;
use local::progress::Progress;
use runtime::metrics::Metric;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use simulator::{EventText, RetryPolicy, Sender, Source, Target};

use crate::accounts::{self, Accounts};
use crate::collect::QueueReader;
use crate::patience::until;
use crate::report::{Run, line};
use crate::test_stack::{LANES, TestStack};

/// The version of IAM's API. <https://docs.aws.amazon.com/IAM/latest/APIReference/>
pub(crate) const IAM: &str = "2010-05-08";

/// How long something may take to show.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long it is looked whether something that must not happen does.
const WATCH: Duration = Duration::from_secs(6);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(300);

/// More than a message holds, so that the event travels as a pointer.
const LARGE_EVENT: usize = 300_000;
/// More than an item holds, also when it is compressed to half, so that the record is kept as an object.
const LARGE_RECORD: usize = 1_000_000;

/// Arguments of `permissions`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Permissions {
    /// Minutes after which the run ends as broken.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: u64,
}

/// What a role allows: an action on what has this in its ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// As the template writes it.
    pub(crate) action: &'static str,
    /// A part of the resource's ARN.
    pub(crate) on: &'static str,
}

/// What the product does without a permission.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// A delivery with a record of so many bytes is answered 503, and after that taken.
    Refused(usize),
    /// An event with a record of so many bytes stays in its lane and comes again, and reaches the team after that.
    Waits(usize),
    /// An event waits in the undelivered queue.
    Undelivered,
    /// A call of the admin API on the account fails, and succeeds after that. The path follows the account's name.
    Admin(fn() -> Method, &'static str),
    /// The schedule's event makes subscriptions fail.
    Scheduled,
    /// A record's erasure is not done by a run.
    Erases,
    /// A delivery is answered with this status all the same, and its line in inbound's log counts this metric; the line of the
    /// next delivery does not.
    Counted(u16, Metric),
    /// The local stack cannot show it, for this reason.
    Unseen(&'static str),
}

/// One statement's action and what needs it.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// What is taken away.
    grant: Grant,
    /// What has to be taken away beside it for anything to need it.
    also: Option<Grant>,
    probe: Probe,
}

impl Row {
    fn grants(&self) -> impl Iterator<Item = Grant> {
        [Some(self.grant), self.also].into_iter().flatten()
    }
}

const fn row(action: &'static str, on: &'static str, probe: Probe) -> Row {
    Row {
        grant: Grant { action, on },
        also: None,
        probe,
    }
}

const LOGS: Probe = Probe::Unseen("the emulator writes functions' logs without asking");
const FAILED_RUNS: Probe = Probe::Unseen("the emulator keeps no failed runs of a schedule");
const SHOWN: Probe = Probe::Admin(|| Method::GET, "");
const CHECKED: Probe = Probe::Admin(|| Method::POST, "/check");
const SMALL: usize = 0;
/// What inbound sends with.
pub(crate) const TO_LANES: Grant = Grant {
    action: "sqs:SendMessage*",
    on: "OrdersQueue",
};
/// What the consumer sends to the example team with.
pub(crate) const TO_TEAMS: Grant = Grant {
    action: "sqs:SendMessage*",
    on: "ExampleTeamQueue",
};

/// What is in the name of the bucket, in the template as in an ARN, where names are in lower case.
const BUCKET: &str = "versize";

/// A row for each statement of each function's role, by the function as the template and its policy name it.
static ROWS: [(&str, &[Row]); 4] = [
    (
        "Inbound",
        &[
            row("logs:PutLogEvents", "InboundLog", LOGS),
            row("dynamodb:GetItem", "AccountsTable", Probe::Refused(SMALL)),
            row(
                "dynamodb:GetItem",
                "ReceiptsTable",
                Probe::Counted(200, Metric::RetryMarkersUnread),
            ),
            // A marker is left where a delivery is refused.
            Row {
                also: Some(TO_LANES),
                ..row(
                    "dynamodb:PutItem",
                    "ReceiptsTable",
                    Probe::Counted(503, Metric::RetryMarkersLost),
                )
            },
            row(
                "dynamodb:UpdateItem",
                "ReceiptsTable",
                Probe::Counted(200, Metric::ReceiptsLost),
            ),
            row(TO_LANES.action, TO_LANES.on, Probe::Refused(SMALL)),
            row("s3:PutObject", "/events/*", Probe::Refused(LARGE_EVENT)),
            row(
                "secretsmanager:GetSecretValue",
                "/signing/*",
                Probe::Refused(SMALL),
            ),
        ],
    ),
    (
        "Consumer",
        &[
            row(TO_TEAMS.action, TO_TEAMS.on, Probe::Undelivered),
            Row {
                also: Some(TO_TEAMS),
                ..row("sqs:SendMessage*", "UndeliveredQueue", Probe::Waits(SMALL))
            },
            row("dynamodb:UpdateItem", "RecordsTable", Probe::Waits(SMALL)),
            row("s3:GetObject", "/events/*", Probe::Waits(LARGE_EVENT)),
            row("s3:PutObject", "/records/*", Probe::Waits(LARGE_RECORD)),
            row(
                "sqs:ReceiveMessage",
                "OrdersQueue",
                Probe::Unseen("the emulator's poller reads queues without asking"),
            ),
            row("logs:PutLogEvents", "ConsumerLog", LOGS),
        ],
    ),
    (
        "Subscriptions",
        &[
            row("logs:PutLogEvents", "SubscriptionsLog", LOGS),
            row("sqs:SendMessage*", "CheckQueue", Probe::Scheduled),
            row("sqs:SendMessage", "CheckDlq", FAILED_RUNS),
            row(
                TO_TEAMS.action,
                TO_TEAMS.on,
                Probe::Unseen("no team of the template asks for account events"),
            ),
            row("dynamodb:GetItem", "AccountsTable", SHOWN),
            row("dynamodb:UpdateItem", "AccountsTable", CHECKED),
            row("dynamodb:Query", "ReceiptsTable", SHOWN),
            row("secretsmanager:GetSecretValue", "/signing/*", CHECKED),
        ],
    ),
    (
        "Erasure",
        &[
            row("logs:PutLogEvents", "ErasureLog", LOGS),
            row("sqs:SendMessage", "CheckDlq", FAILED_RUNS),
            row("dynamodb:Scan", "AccountsTable", Probe::Erases),
            row("dynamodb:PutItem", "AccountsTable", Probe::Erases),
            row(
                "dynamodb:DeleteItem",
                "AccountsTable",
                Probe::Unseen("of an account that is erased nothing is left to look at"),
            ),
            row("dynamodb:GetItem", "RecordsTable", Probe::Erases),
            row("s3:ListBucketVersions", BUCKET, Probe::Erases),
            row(
                "s3:DeleteObjectVersion",
                "/events/*",
                Probe::Unseen("an account of this run has no object yet when it is erased"),
            ),
        ],
    ),
];

/// Every row with its function.
fn rows() -> impl Iterator<Item = (&'static str, &'static Row)> {
    let of = |(function, rows): &(&'static str, &'static [Row])| {
        let function = *function;
        rows.iter().map(move |row| (function, row))
    };
    ROWS.iter().flat_map(of)
}

/// One value or a list of them.
fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

impl Grant {
    /// Whether a statement allows it.
    fn is_in(self, statement: &Value) -> bool {
        let mut actions = listed(&statement["Action"]).into_iter();
        let mut resources = listed(&statement["Resource"]).into_iter();
        actions.any(|action| action == self.action)
            && resources.any(|resource| resource.to_string().contains(self.on))
    }

    /// A policy that does not allow it any more, nor the same action on what the statement has besides; `None` where it
    /// did not.
    fn taken_from(self, policy: &Value) -> Option<Value> {
        let mut policy = policy.clone();
        let statements = policy.get_mut("Statement")?.as_array_mut()?;
        let mut taken = false;
        for statement in statements.iter_mut() {
            if !self.is_in(statement) {
                continue;
            }
            taken = true;
            let mut left = listed(&statement["Action"]);
            left.retain(|action| *action != self.action);
            statement["Action"] = json!(left);
        }
        // IAM takes no statement without an action.
        statements.retain(|statement| statement["Action"] != json!([]));
        taken.then_some(policy)
    }
}

/// The statements of a function's policy that no row is about.
fn without_a_row<'p>(function: &str, policy: &'p Value) -> Vec<&'p Value> {
    let has_row =
        |statement: &Value| rows().any(|(of, row)| of == function && row.grant.is_in(statement));
    let mut statements = listed(&policy["Statement"]);
    statements.retain(|statement| !has_row(statement));
    statements
}

/// A role and the policy that the template gave it.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    function: String,
    function_name: String,
    name: String,
    policy_name: String,
    policy: Value,
}

impl Role {
    /// Takes a permission from the role.
    ///
    /// # Errors
    /// It does not have it, or IAM does not answer.
    pub(crate) async fn lose(&self, aws: &Aws, grant: Grant) -> Result<()> {
        let left = grant.taken_from(&self.policy);
        let left = left.with_context(|| format!("{} does not have {grant:?}", self.function))?;
        self.put(aws, &left).await
    }

    /// Gives the role back what it had at first.
    ///
    /// # Errors
    /// IAM does not answer.
    pub(crate) async fn restore(&self, aws: &Aws) -> Result<()> {
        self.put(aws, &self.policy).await
    }

    /// Gives the role this policy in place of what it has.
    async fn put(&self, aws: &Aws, policy: &Value) -> Result<()> {
        let policy = policy.to_string();
        let input = [
            ("RoleName", self.name.as_str()),
            ("PolicyName", &self.policy_name),
            ("PolicyDocument", &policy),
        ];
        aws.query("iam", "PutRolePolicy", IAM, &input).await
    }
}

/// The text of an element of an answer in XML. None of those that are read has an element inside.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// A text in which `%XX` stands for a byte, as IAM writes policies.
fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()];
        let [Some(high), Some(low)] = digits else {
            bail!("the text ends within an escape");
        };
        let escape = [high, low];
        let digits = std::str::from_utf8(&escape).context("an escape is no text")?;
        bytes.push(u8::from_str_radix(digits, 16).context("an escape is no number")?);
    }
    String::from_utf8(bytes).context("the text is not UTF-8")
}

/// The roles of the functions, with their policies as they are deployed.
///
/// # Errors
/// Lambda or IAM does not answer, or a role has no policy.
pub(crate) async fn roles(aws: &Aws) -> Result<Vec<Role>> {
    let answer = aws
        .lambda(Method::GET, "/2015-03-31/functions/", None)
        .await?;
    let functions = answer.get("Functions").and_then(Value::as_array);
    let mut roles = Vec::new();
    for function in functions.context("Lambda lists no functions")? {
        let text = |name: &str| function.get(name).and_then(Value::as_str);
        let function_name = text("FunctionName").context("a function without a name")?;
        // Such as orderhook-Inbound-1A2B3C.
        let Some(function) = function_name.split('-').nth(1) else {
            continue;
        };
        let arn = text("Role").context("a function without a role")?;
        let name = arn.rsplit('/').next().unwrap_or_default();
        let policy_name = function.to_lowercase();
        let input = [("RoleName", name), ("PolicyName", &policy_name)];
        let answer = aws.query_text("iam", "GetRolePolicy", IAM, &input).await?;
        let policy = element(&answer, "PolicyDocument").context("a role without a policy")?;
        roles.push(Role {
            function: function.to_owned(),
            function_name: function_name.to_owned(),
            name: name.to_owned(),
            policy: serde_json::from_str(&decoded(policy)?)?,
            policy_name,
        });
    }
    Ok(roles)
}

/// The role of a function.
///
/// # Errors
/// It is not deployed.
pub(crate) fn role_of<'r>(roles: &'r [Role], function: &str) -> Result<&'r Role> {
    let role = roles.iter().find(|role| role.function == function);
    role.with_context(|| format!("{function} is not deployed"))
}

/// What a run came to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Permissions whose loss was noticed.
    needed: usize,
    /// Those that the local stack cannot show to be needed, with the reason.
    unseen: Vec<String>,
    /// Calls that inbound was refused.
    refused: usize,
    /// What went wrong.
    pub(crate) problems: Vec<String>,
}

impl Run for Outcome {
    fn summary(&self) -> String {
        format!(
            "{} permissions are needed, {} calls are refused, {} cannot be shown here",
            self.needed,
            self.refused,
            self.unseen.len()
        )
    }

    fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            line("permissions that are needed", &self.needed),
            line("calls that inbound is refused", &self.refused),
        ];
        let unseen = self.unseen.iter();
        lines.extend(unseen.map(|what| line("cannot be shown here", what)));
        lines
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// Runs it.
///
/// # Errors
/// The stack does not do what every run needs.
pub(crate) async fn run(stack: &TestStack, progress: Progress) -> Result<Outcome> {
    let roles = roles(&stack.aws).await?;
    let mut outcome = Outcome::default();
    for role in &roles {
        for statement in without_a_row(&role.function, &role.policy) {
            let problem = format!("{}: no row is about {statement}", role.function);
            outcome.problems.push(problem);
        }
    }
    // Each probe has an account of its own: what inbound knows of one that has delivered, it keeps for minutes.
    let probes = rows().count();
    let sources = vec![Source::Orderspace; probes + 1];
    let accounts = accounts::connect(stack, &sources, progress).await?;
    for (number, (function, row)) in rows().enumerate() {
        let Grant { action, on } = row.grant;
        let what = format!("{action} on {on} for {function}");
        if let Probe::Unseen(why) = row.probe {
            outcome.unseen.push(format!("{what}: {why}"));
            continue;
        }
        let step = progress.step(format!("Without {what}"));
        let role = role_of(&roles, function)?;
        match without(stack, role, row, Account::of(stack, &accounts, number)?).await {
            Ok(()) => {
                outcome.needed += 1;
                step.done("it fails, and goes on with it");
            }
            Err(error) => {
                outcome.problems.push(format!("{what}: {error:#}"));
                step.done("not as it should");
            }
        }
    }
    let inbound = role_of(&roles, "Inbound")?;
    let account = Account::of(stack, &accounts, probes)?;
    let step = progress.step("What inbound must not have");
    match refusals(stack, inbound, &account.name).await {
        Ok(refused) => outcome.refused = refused,
        Err(error) => outcome.problems.push(format!("inbound: {error:#}")),
    }
    step.done("");
    Ok(outcome)
}

/// Takes a row's permission away, looks, and gives it back whatever was seen.
async fn without(stack: &TestStack, role: &Role, row: &Row, account: Account<'_>) -> Result<()> {
    let mut policy = role.policy.clone();
    for grant in row.grants() {
        let left = grant.taken_from(&policy);
        policy = left.with_context(|| format!("the deployed role does not have {grant:?}"))?;
    }
    role.put(&stack.aws, &policy).await?;
    let seen = account.fails(row.probe, role).await;
    role.put(&stack.aws, &role.policy).await?;
    seen?;
    let goes_on = account.goes_on(row.probe, role).await;
    goes_on.context("with the permission again")
}

/// A text of so many bytes that compression does not make less than half of.
fn filler(bytes: usize) -> String {
    let parts = 0..bytes.div_ceil(64);
    let digests = parts.map(|part| hex::encode(Sha256::digest(part.to_be_bytes())));
    let mut text: String = digests.collect();
    text.truncate(bytes);
    text
}

/// What a line about a delivery of the account counts of a metric; none for another line.
fn count_of(event: &Value, account: &str, metric: Metric) -> Option<u64> {
    let line: Value = serde_json::from_str(event.get("message")?.as_str()?).ok()?;
    let says = |name: &str, text: &str| line.get(name).and_then(Value::as_str) == Some(text);
    (says("message", "delivery") && says("account", account)).then_some(())?;
    Some(line.get(metric.name()).and_then(Value::as_u64).unwrap_or(0))
}

/// The account of one probe.
#[derive(Debug)]
struct Account<'a> {
    stack: &'a TestStack,
    name: String,
    target: Target,
    team: QueueReader,
    undelivered: QueueReader,
}

impl<'a> Account<'a> {
    fn of(stack: &'a TestStack, accounts: &Accounts, number: usize) -> Result<Self> {
        let name = accounts.names.get(number).context("too few accounts")?;
        let target = accounts.targets.get(number).context("too few accounts")?;
        // Names end in numbers, and one must not be found in another.
        let marker = format!("\"{name}\"");
        let reader = |output: &str| {
            let url = stack.output(output)?;
            Ok::<_, anyhow::Error>(QueueReader::new(&stack.aws, url, &marker))
        };
        Ok(Self {
            stack,
            name: name.clone(),
            target: target.clone(),
            team: reader("ExampleTeamQueueUrl")?,
            undelivered: reader("UndeliveredQueueUrl")?,
        })
    }

    /// Sends one order, with so many bytes more, once: it must be answered with this status.
    async fn deliver(&self, bytes: usize, status: u16) -> Result<()> {
        let policy = RetryPolicy {
            timeout_ms: 12_000,
            max_attempts: 1,
            disable_after: u32::MAX,
            ..RetryPolicy::default()
        };
        let filler = filler(bytes);
        let text = format!(
            r#"{{"event":"order.created","data":{{"order":{{"id":"or_1","note":"{filler}"}}}}}}"#
        );
        let events = [EventText::parse(text)?];
        let report = Sender::new(policy)?.send(&self.target, &events).await?;
        let statuses = report.statuses();
        ensure!(statuses == [status], "a delivery is answered {statuses:?}");
        Ok(())
    }

    /// Makes a call of the admin API, and returns its status. While a check that an earlier call asked for has the account's
    /// lock, the answer is 409: ask again.
    async fn admin(&self, method: fn() -> Method, path: &str) -> Result<u16> {
        let url = self.admin_url(path)?;
        let since = Instant::now();
        loop {
            let status = self.stack.aws.api(method(), &url, None).await?.status;
            if status != 409 || since.elapsed() >= PATIENCE {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn admin_url(&self, path: &str) -> Result<String> {
        let admin = self.stack.output("AdminUrl")?;
        Ok(format!("{admin}/accounts/{}{path}", self.name))
    }

    /// Asks for a record's erasure, or for the one that is under way, lets a run go on with it, and says whether it is done.
    async fn erases(&self, role: &Role) -> Result<bool> {
        let body = json!({ "subject": "order/or_1" });
        let url = self.admin_url("/erasure")?;
        let aws = &self.stack.aws;
        let asked = aws.api(Method::POST, &url, Some(&body)).await?;
        ensure!(asked.status == 202, "the call is answered {}", asked.status);
        let id = asked.body.get("erasure").and_then(Value::as_str);
        let id = id.context("it has no id")?;
        self.scheduled(role, "erasure").await?;
        let url = self.admin_url(&format!("/erasure/{id}"))?;
        let shown = aws.api(Method::GET, &url, None).await?;
        Ok(shown.body.get("state").is_some_and(|state| state == "done"))
    }

    /// What the event of a schedule comes to: whether the function failed.
    async fn scheduled(&self, role: &Role, schedule: &str) -> Result<bool> {
        let path = format!("/2015-03-31/functions/{}/invocations", role.function_name);
        let event = json!({ "schedule": schedule });
        let aws = &self.stack.aws;
        let answer = aws.lambda(Method::POST, &path, Some(&event)).await?;
        Ok(answer.get("errorMessage").is_some())
    }

    /// What inbound's lines about the account's deliveries count of a metric, once there are so many of them.
    async fn counts(&self, metric: Metric, deliveries: usize) -> Result<Vec<u64>> {
        let group = self.stack.output("InboundLogGroup")?;
        let name = &self.name;
        let input = json!({ "logGroupName": group, "filterPattern": format!("\"{name}\"") });
        until(PATIENCE, LOOK, async || {
            let target = "Logs_20140328.FilterLogEvents";
            let page = self.stack.aws.json("logs", target, &input).await?;
            let lines = page.get("events").and_then(Value::as_array);
            let lines = lines.into_iter().flatten();
            let counts = lines.filter_map(|line| count_of(line, name, metric));
            let counts: Vec<u64> = counts.collect();
            let found = counts.len();
            ensure!(
                found >= deliveries,
                "{group} has {found} lines about deliveries of {name}"
            );
            Ok(counts)
        })
        .await
    }

    /// Waits until a queue has a message of this account.
    async fn reaches(&self, queue: &QueueReader) -> Result<()> {
        until(PATIENCE, LOOK, async || {
            queue.collect().await?;
            let (name, url) = (&self.name, &queue.url);
            ensure!(queue.count() > 0, "no message of {name} is in {url}");
            Ok(())
        })
        .await
    }

    /// That an event stays in its lane, and nobody gets it.
    async fn stays(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < WATCH {
            for queue in [&self.team, &self.undelivered] {
                queue.collect().await?;
                ensure!(
                    queue.count() == 0,
                    "its event is in {} all the same",
                    queue.url
                );
            }
            ensure!(
                self.stack.waiting_in_lanes().await? > 0,
                "its event is in no lane and with no team"
            );
            tokio::time::sleep(LOOK).await;
        }
        for lane in LANES {
            let url = self.stack.output(&format!("{lane}DlqUrl"))?;
            let dead = QueueReader::new(&self.stack.aws, url, &format!("\"{}\"", self.name));
            dead.collect().await?;
            ensure!(dead.count() == 0, "its event is dead");
        }
        Ok(())
    }

    /// That what needs the permission fails.
    async fn fails(&self, probe: Probe, role: &Role) -> Result<()> {
        match probe {
            Probe::Refused(bytes) => self.deliver(bytes, 503).await?,
            Probe::Waits(bytes) => {
                self.deliver(bytes, 200).await?;
                self.stays().await?;
            }
            Probe::Undelivered => {
                self.deliver(SMALL, 200).await?;
                self.reaches(&self.undelivered).await?;
            }
            Probe::Admin(method, path) => {
                let status = self.admin(method, path).await?;
                ensure!(status >= 500, "the call is answered {status}");
            }
            Probe::Scheduled => {
                let has_failed = self.scheduled(role, "check").await?;
                ensure!(has_failed, "the schedule's event succeeds");
            }
            Probe::Erases => ensure!(!self.erases(role).await?, "a record is erased"),
            Probe::Counted(status, metric) => {
                self.deliver(SMALL, status).await?;
                let counts = self.counts(metric, 1).await?;
                ensure!(counts == [1], "{} is counted as {counts:?}", metric.name());
            }
            Probe::Unseen(why) => bail!("{why}"),
        }
        Ok(())
    }

    /// That it goes on with the permission, and nothing was lost.
    async fn goes_on(&self, probe: Probe, role: &Role) -> Result<()> {
        match probe {
            // Keys that could not be read are not asked for again at once (KeysRereadSeconds).
            Probe::Refused(bytes) => {
                until(PATIENCE, LOOK, async || self.deliver(bytes, 200).await).await?;
            }
            // While teams may not be sent to either, it may have gone to the undelivered queue in the moment between.
            Probe::Waits(_) => {}
            Probe::Undelivered => self.deliver(SMALL, 200).await?,
            Probe::Admin(method, path) => {
                let status = self.admin(method, path).await?;
                let is_done = (200..300).contains(&status);
                ensure!(is_done, "the call is answered {status}");
                return Ok(());
            }
            Probe::Scheduled => {
                let has_failed = self.scheduled(role, "check").await?;
                ensure!(!has_failed, "the schedule's event fails");
                return Ok(());
            }
            Probe::Erases => {
                ensure!(self.erases(role).await?, "a record is not erased");
                return Ok(());
            }
            Probe::Counted(_, metric) => {
                self.deliver(SMALL, 200).await?;
                let counts = self.counts(metric, 2).await?;
                let name = metric.name();
                ensure!(counts == [1, 0], "{name} is counted as {counts:?}");
            }
            Probe::Unseen(why) => bail!("{why}"),
        }
        self.reaches(&self.team).await
    }
}

/// The user that has inbound's policy and nothing else, to call what inbound could.
const USER: &str = "inbound-permissions";

/// Calls with inbound's policy what it must not reach, and one thing that it does, so that a refusal is one of the policy.
/// Returns how many calls were refused.
async fn refusals(stack: &TestStack, inbound: &Role, account: &str) -> Result<usize> {
    let aws = &stack.aws;
    let user = [("UserName", USER)];
    aws.query("iam", "CreateUser", IAM, &user).await?;
    let policy = inbound.policy.to_string();
    let input = [
        ("UserName", USER),
        ("PolicyName", "inbound"),
        ("PolicyDocument", &policy),
    ];
    aws.query("iam", "PutUserPolicy", IAM, &input).await?;
    let answer = aws.query_text("iam", "CreateAccessKey", IAM, &user).await?;
    let text = |name| element(&answer, name).context("IAM gave no key");
    let (id, key) = (text("AccessKeyId")?, text("SecretAccessKey")?);
    let outputs = &stack.outputs;
    let caller = Aws::new(&outputs.endpoint_url, &outputs.region, id, key)?;
    let found = calls(stack, &caller, account).await;
    let key = [("UserName", USER), ("AccessKeyId", id)];
    aws.query("iam", "DeleteAccessKey", IAM, &key).await?;
    let policy = [("UserName", USER), ("PolicyName", "inbound")];
    aws.query("iam", "DeleteUserPolicy", IAM, &policy).await?;
    aws.query("iam", "DeleteUser", IAM, &user).await?;
    found
}

async fn calls(stack: &TestStack, caller: &Aws, account: &str) -> Result<usize> {
    let secret = async |kind: &str| {
        let name = format!("{}/{kind}/{account}", stack.outputs.stack_name);
        let input = json!({ "SecretId": name });
        let target = "secretsmanager.GetSecretValue";
        caller.json("secretsmanager", target, &input).await
    };
    ensure!(
        secret("signing").await.is_ok(),
        "it cannot read a signing key, which it needs: a refusal would show nothing"
    );
    let mut refused = 0;
    let mut must_be_refused = |what: &str, answer: Result<()>| {
        let error = match answer {
            Ok(()) => bail!("it may {what}"),
            Err(error) => error.to_string(),
        };
        let is_refusal = error.contains("AccessDenied") || error.contains("refused with 403");
        ensure!(is_refusal, "to {what} failed for another reason: {error}");
        refused += 1;
        Ok(())
    };
    must_be_refused("read credentials", secret("oauth").await.map(drop))?;
    for table in ["RecordsTable", "AccountsTable", "ReceiptsTable"] {
        let input = json!({ "TableName": stack.output(table)? });
        let answer = caller.dynamodb("Scan", &input).await.map(drop);
        must_be_refused(&format!("scan {table}"), answer)?;
    }
    let key = json!({ "pk": { "S": format!("{account}#order") }, "sk": { "S": "or_1" } });
    let input = json!({ "TableName": stack.output("RecordsTable")?, "Key": key });
    let answer = caller.dynamodb("GetItem", &input).await.map(drop);
    must_be_refused("read a record", answer)?;
    let input = json!({
        "TableName": stack.output("AccountsTable")?,
        "Key": { "pk": { "S": format!("account#{account}") } },
    });
    let answer = caller.dynamodb("DeleteItem", &input).await.map(drop);
    must_be_refused("delete an account", answer)?;
    for queue in [
        "OrdersQueueUrl",
        "ExampleTeamQueueUrl",
        "QuarantineQueueUrl",
    ] {
        let input = json!({ "QueueUrl": stack.output(queue)?, "VisibilityTimeout": 0 });
        let answer = caller.sqs("ReceiveMessage", &input).await.map(drop);
        must_be_refused(&format!("read {queue}"), answer)?;
    }
    let input = json!({ "QueueUrl": stack.output("ExampleTeamQueueUrl")?, "MessageBody": "x" });
    let answer = caller.sqs("SendMessage", &input).await.map(drop);
    must_be_refused("send to a team", answer)?;
    let bucket = stack.output("OversizeBucket")?;
    let path = format!("/{bucket}/records/x/order/x");
    let answer = caller.s3(Method::GET, &path, Vec::new()).await.map(drop);
    must_be_refused("read a large record", answer)?;
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use local::template::Template;
    use rstest::rstest;

    use super::*;

    fn policy() -> Value {
        json!({ "Statement": [
            { "Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": "arn:x-ReceiptsTable-1" },
            { "Effect": "Allow", "Action": "sqs:SendMessage*", "Resource": ["arn:x-OrdersQueue-1", "arn:x-OtherQueue-1"] },
        ] })
    }

    #[test]
    fn one_action_is_taken_from_its_statement() {
        let grant = Grant {
            action: "dynamodb:PutItem",
            on: "ReceiptsTable",
        };
        let taken = grant.taken_from(&policy()).unwrap();
        assert_eq!(taken["Statement"][0]["Action"], json!(["dynamodb:GetItem"]));
        assert_eq!(taken["Statement"][1], policy()["Statement"][1]);
        assert!(grant.taken_from(&taken).is_none());
    }

    #[test]
    fn a_statement_goes_with_its_last_action() {
        let taken = TO_LANES.taken_from(&policy()).unwrap();
        assert_eq!(taken["Statement"].as_array().unwrap().len(), 1);
    }

    #[rstest]
    #[case("dynamodb:PutItem", "RecordsTable")]
    #[case("dynamodb:DeleteItem", "ReceiptsTable")]
    #[case("sqs:SendMessage", "OrdersQueue")]
    fn what_is_not_allowed_cannot_be_taken_away(
        #[case] action: &'static str,
        #[case] on: &'static str,
    ) {
        assert!(Grant { action, on }.taken_from(&policy()).is_none());
    }

    /// A policy as a deployment without teams of its own gets it.
    fn of_a_first_deployment(policy: &Value) -> Value {
        let statements = listed(&policy["Statement"]).into_iter();
        let chosen = statements.filter_map(|statement| match &statement["Fn::If"] {
            Value::Null => Some(statement),
            branches if branches[0] == "NoTeams" => Some(&branches[1]),
            branches => Some(&branches[2]).filter(|branch| branch["Ref"] != "AWS::NoValue"),
        });
        let statements: Vec<&Value> = chosen.collect();
        json!({ "Statement": statements })
    }

    #[rstest]
    #[case::counted(r#"{"message":"delivery","account":"acme","ReceiptsLost":1}"#, Some(1))]
    #[case::not_counted(r#"{"message":"delivery","account":"acme","Deliveries":1}"#, Some(0))]
    #[case::of_another_account(
        r#"{"message":"delivery","account":"bravo","ReceiptsLost":1}"#,
        None
    )]
    #[case::of_no_account(r#"{"message":"delivery","ReceiptsLost":1}"#, None)]
    #[case::another_line(r#"{"message":"no receipt","account":"acme","ReceiptsLost":1}"#, None)]
    #[case::no_json("START RequestId: acme", None)]
    fn a_line_counts_for_its_account(#[case] line: &str, #[case] expected: Option<u64>) {
        let event = json!({ "message": line });
        assert_eq!(count_of(&event, "acme", Metric::ReceiptsLost), expected);
        assert_eq!(count_of(&json!({}), "acme", Metric::ReceiptsLost), None);
    }

    /// Each statement of the template has a row, and each row a statement.
    #[test]
    fn every_statement_of_every_function_has_a_row() {
        let text = include_str!("../../../template.yaml");
        let template = Template::parse(text).unwrap();
        for function in ["Inbound", "Consumer", "Subscriptions", "Erasure"] {
            let role = template.resource(&format!("{function}Role")).unwrap();
            let policy = &of_a_first_deployment(role.property("/Policies/0/PolicyDocument"));
            let missing = without_a_row(function, policy);
            assert!(missing.is_empty(), "{function}: add a row for {missing:?}");
            let own = rows().filter(|(of, _)| *of == function);
            for grant in own.flat_map(|(_, row)| row.grants()) {
                let taken = grant.taken_from(policy);
                assert!(taken.is_some(), "{function} is not allowed {grant:?}");
            }
        }
    }

    #[test]
    fn a_statement_without_a_row_is_found() {
        let policy = json!({ "Statement": [
            { "Action": "dynamodb:GetItem", "Resource": "arn:x-AccountsTable-1" },
            { "Action": "ses:SendEmail", "Resource": "arn:x" },
        ] });
        let missing = without_a_row("Inbound", &policy);
        assert_eq!(missing, [&policy["Statement"][1]]);
        // The row of another function does not count.
        assert_eq!(without_a_row("Consumer", &policy).len(), 2);
    }

    #[rstest]
    #[case("%7B%22a%22%3A1%7D", Some(r#"{"a":1}"#))]
    #[case("plain", Some("plain"))]
    #[case("%C3%A9", Some("é"))]
    #[case("%7", None)]
    #[case("%zz", None)]
    #[case("%FF", None)]
    fn a_policy_is_decoded(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(decoded(text).ok().as_deref(), expected);
    }

    #[test]
    fn an_element_is_what_stands_between_its_tags() {
        let xml = "<R><A>1</A><B>2</B></R>";
        assert_eq!(element(xml, "B"), Some("2"));
        assert_eq!(element(xml, "C"), None);
    }
}
