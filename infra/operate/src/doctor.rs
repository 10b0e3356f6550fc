//! Everything that has to be right of a stack, checked, with what is to be done where it is not.
//!
//! Role: knows what goes wrong with first deployments and what an alarm means. Promise: it changes nothing, a check that
//! cannot be made says which permission it needs, and no check keeps another from being made.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::source::Source;
use futures::future::{FutureExt as _, LocalBoxFuture};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use time::OffsetDateTime;

use crate::accounts::{Accounts, named};
use crate::queues::{self, AT_ONCE, Queue, Role};
use crate::stack::{Function, Stack, VERSION};
use crate::status::{alarms, unwell};
use crate::teams::{self, Reach};
use calls::sqs::{self, Attributes};
use calls::sts::{self, Identity};
use calls::{Calls, Error, Exit, Policy, dynamodb, lambda, scheduler, sns};

/// The outputs that name the schedules, and what is not done while one is disabled.
const SCHEDULES: [(&str, &str); 3] = [
    ("CheckScheduleName", "webhooks are not checked"),
    ("WatchScheduleName", "webhooks are not checked"),
    ("ErasureScheduleName", "nothing is erased"),
];

/// How far a clock may be off: AWS refuses signatures that are five minutes off.
const CLOCK_WORTH_A_LOOK: Duration = Duration::from_secs(60);
const CLOCK_WRONG: Duration = Duration::from_secs(240);

/// Executions at a time that a new AWS account has at the least, and that a busy lane uses up.
const FEW_EXECUTIONS: u64 = 100;

/// Longest retention of a queue, in seconds: that of every queue whose messages wait for a person.
const LONGEST_RETENTION: u64 = 1_209_600;

/// How many accounts that are not well are looked at one by one.
const LOOKED_AT: usize = 5;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It does not apply, or cannot be seen here.
    Skipped,
    /// It works, and may not for long.
    Warn,
    /// The caller may not look.
    Denied,
    /// Something is wrong.
    Fail,
}

/// A check with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// What came of it.
    pub verdict: Verdict,
    /// In a few words.
    pub summary: String,
    /// What is to be done, a line each.
    pub todo: Vec<String>,
}

impl Finding {
    fn new(check: impl Into<String>, verdict: Verdict, summary: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            verdict,
            summary: summary.into(),
            todo: Vec::new(),
        }
    }

    fn ok(check: impl Into<String>, summary: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, summary)
    }

    fn warn(check: impl Into<String>, summary: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warn, summary).with(todo)
    }

    fn fail(check: impl Into<String>, summary: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fail, summary).with(todo)
    }

    fn with(mut self, todo: impl Into<String>) -> Self {
        self.todo.push(todo.into());
        self
    }
}

/// All findings.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The stack's name.
    pub stack: String,
    /// The region.
    pub region: String,
    /// The AWS account's number.
    pub account: String,
    /// As whom it was looked.
    pub caller: String,
    /// The release that is deployed.
    pub version: Option<String>,
    /// The release of this command.
    pub command_version: &'static str,
    /// What was found, in the order in which people read it.
    pub findings: Vec<Finding>,
    /// Calls that it took.
    pub calls: usize,
    /// Milliseconds that it took.
    pub took_ms: u128,
}

impl Report {
    /// How many findings have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    /// How the command ends: something is wrong, or could not be looked at.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match (self.count(Verdict::Fail), self.count(Verdict::Denied)) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Denied,
            _ => Exit::Left,
        }
    }
}

/// What is checked besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Depth {
    /// Ask IAM whether the consumer's role may send to each team's queue.
    pub deep: bool,
    /// Send a test message to those who get the alarms.
    pub mail: bool,
}

/// What every check reads.
struct Round<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    now: OffsetDateTime,
    depth: Depth,
}

/// Checks everything.
///
/// # Errors
/// There is no such stack, or AWS cannot be asked at all. Everything else is a finding.
pub async fn doctor(
    calls: &Calls,
    name: &str,
    now: OffsetDateTime,
    depth: Depth,
) -> Result<Report, Error> {
    let began = Instant::now();
    let (identity, stack) = futures::join!(sts::identity(calls), Stack::find(calls, name));
    let (identity, stack): (Identity, Stack) = (identity?, stack?);
    let round = Round {
        calls,
        stack: &stack,
        now,
        depth,
    };
    let checks: Vec<LocalBoxFuture<'_, Vec<Finding>>> = vec![
        round.stack().boxed_local(),
        round.clock().boxed_local(),
        round.door().boxed_local(),
        round.concurrency().boxed_local(),
        round.functions().boxed_local(),
        round.event_sources().boxed_local(),
        round.schedules().boxed_local(),
        round.queues().boxed_local(),
        round.teams().boxed_local(),
        round.mail().boxed_local(),
        round.alarms().boxed_local(),
        round.accounts().boxed_local(),
        round.backups().boxed_local(),
    ];
    let findings: Vec<Vec<Finding>> = stream::iter(checks).buffered(AT_ONCE).collect().await;
    Ok(Report {
        stack: stack.name.clone(),
        region: calls.region().to_owned(),
        account: identity.account,
        caller: identity.arn,
        version: stack.version().map(str::to_owned),
        command_version: VERSION,
        findings: findings.into_iter().flatten().collect(),
        calls: calls.count(),
        took_ms: began.elapsed().as_millis(),
    })
}

impl Round<'_> {
    /// What a check that did not come about means.
    fn unseen(&self, check: impl Into<String>, error: &Error) -> Finding {
        match error {
            Error::Permission { action, .. } => Finding::new(
                check,
                Verdict::Denied,
                format!("cannot look: permission {action} is missing"),
            )
            .with(self.remedy(action)),
            Error::Credentials(_) => Finding::new(check, Verdict::Denied, error.to_string()),
            // An emulator has a part of AWS only.
            Error::Service { status, code, .. }
                if self.calls.is_emulated() && is_unimplemented(*status, code) =>
            {
                Finding::new(check, Verdict::Skipped, "the emulator does not have this")
            }
            Error::OlderStack { .. } | Error::Unreachable { .. } => {
                Finding::new(check, Verdict::Warn, error.to_string())
            }
            Error::NotFound { .. }
            | Error::Service { .. }
            | Error::Unreadable { .. }
            | Error::Usage(_)
            | Error::Refused(_) => Finding::new(check, Verdict::Fail, error.to_string()),
        }
    }

    /// How the caller gets a permission.
    fn remedy(&self, action: &str) -> String {
        let arn =
            Policy::of(action).and_then(|policy| self.stack.output(&format!("{policy}Arn")).ok());
        match arn {
            Some(arn) => format!("attach the stack's policy to this caller: {arn}"),
            None => format!("allow {action} for this caller"),
        }
    }

    async fn stack(&self) -> Vec<Finding> {
        let stack = self.stack;
        let since = stack.changed.map_or_else(String::new, |changed| {
            format!(" {}", ago(self.now - changed))
        });
        let summary = format!("{}{since}", stack.status);
        let state = match stack.status.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" => Finding::ok("stack", summary),
            "UPDATE_ROLLBACK_COMPLETE" => Finding::warn(
                "stack",
                summary,
                "the last update failed and was taken back: CloudFormation's events of the stack say why",
            ),
            status if status.ends_with("_IN_PROGRESS") => {
                Finding::warn("stack", summary, "wait for its end, then look again")
            }
            _ => Finding::fail(
                "stack",
                summary,
                "CloudFormation's events of the stack say why; correct it and deploy again",
            ),
        };
        let version = match stack.version() {
            Some(version) if version == VERSION => return vec![state],
            Some(version) => Finding::warn(
                "version",
                format!("the stack is {version}, this command {VERSION}"),
                "install the command of the stack's release, or update the stack",
            ),
            None => Finding::warn(
                "version",
                "the stack is of a release that does not say which one it is",
                "sam build && sam deploy",
            ),
        };
        vec![state, version]
    }

    async fn clock(&self) -> Vec<Finding> {
        let Some(skew) = self.calls.skew_ms() else {
            return vec![Finding::new(
                "clock",
                Verdict::Skipped,
                "no answer said its time",
            )];
        };
        let off = Duration::from_millis(u64::try_from(skew.unsigned_abs()).unwrap_or(u64::MAX));
        // The header has whole seconds.
        let summary = match off.as_secs() {
            0 | 1 => "within a second of AWS".to_owned(),
            seconds => format!("{seconds} s from AWS"),
        };
        let todo = "set this machine's clock: AWS refuses requests that are five minutes off";
        vec![match off {
            off if off >= CLOCK_WRONG => Finding::fail("clock", summary, todo),
            off if off >= CLOCK_WORTH_A_LOOK => Finding::warn("clock", summary, todo),
            _ => Finding::ok("clock", summary),
        }]
    }

    /// An unauthenticated request has to be refused, and by inbound: then gateway, permission and function work.
    async fn door(&self) -> Vec<Finding> {
        let url = match self.stack.output("HooksUrl") {
            Ok(url) => url,
            Err(error) => return vec![self.unseen("door", &error)],
        };
        let url = format!(
            "{}/{}/{}",
            url.trim_end_matches('/'),
            Source::Orderspace,
            token()
        );
        let began = Instant::now();
        let sent = self.calls.unsigned(http::Method::POST, &url, "{}").await;
        let took = began.elapsed().as_millis();
        vec![match sent {
            Ok(401) => Finding::ok(
                "door",
                format!("an unauthenticated POST was answered 401 in {took} ms"),
            ),
            Ok(429) => Finding::warn(
                "door",
                "an unauthenticated POST was throttled (429)",
                "raise ThrottlingRate, or ask for more Lambda concurrency",
            ),
            Ok(503) => Finding::fail(
                "door",
                "an unauthenticated POST was answered 503",
                "the log of inbound says which of the stack's parts does not answer",
            ),
            Ok(status) => Finding::fail(
                "door",
                format!("an unauthenticated POST was answered {status}, and not 401"),
                "the access log and the log of inbound say why",
            ),
            Err(error) => Finding::fail(
                "door",
                error.to_string(),
                "deliveries cannot arrive either: look at the API in API Gateway",
            ),
        }]
    }

    async fn concurrency(&self) -> Vec<Finding> {
        let check = "concurrency";
        if self.calls.is_emulated() {
            return vec![Finding::new(
                check,
                Verdict::Skipped,
                "an emulator has no limit",
            )];
        }
        vec![match lambda::account_settings(self.calls).await {
            Err(error) => self.unseen(check, &error),
            Ok(settings) => {
                let all = settings.account_limit.concurrent_executions;
                match all < FEW_EXECUTIONS {
                    false => Finding::ok(check, format!("{all} executions in this AWS account")),
                    true => Finding::warn(
                        check,
                        format!(
                            "{all} executions in this AWS account: one busy lane stops inbound"
                        ),
                        "Service Quotas, Lambda, Concurrent executions: ask for 1000",
                    ),
                }
            }
        }]
    }

    async fn functions(&self) -> Vec<Finding> {
        let asked = Function::ALL.map(|function| async move {
            let name = self.stack.function(function)?;
            lambda::function(self.calls, name).await
        });
        let answers = futures::future::join_all(asked).await;
        let wanted = self.stack.parameter("Architecture");
        let (mut problems, mut architectures) = (Vec::new(), Vec::new());
        for (function, answer) in Function::ALL.into_iter().zip(answers) {
            let check = format!("function {}", function.as_str());
            match answer {
                Err(error) => problems.push(self.unseen(check, &error)),
                Ok(answer) => {
                    problems.extend(function_problem(&check, &answer));
                    architectures.extend(answer.architectures);
                }
            }
        }
        architectures.sort();
        architectures.dedup();
        if !problems.is_empty() {
            return problems;
        }
        let architectures = match architectures.is_empty() {
            true => wanted.unwrap_or_default().to_owned(),
            false => architectures.join(", "),
        };
        vec![Finding::ok(
            "functions",
            format!("{} active, {architectures}", Function::ALL.len()),
        )]
    }

    async fn event_sources(&self) -> Vec<Finding> {
        let check = "event sources";
        let listed = async {
            let mut states = Vec::new();
            for function in [Function::Consumer, Function::Subscriptions] {
                let name = self.stack.function(function)?;
                let mut marker = None;
                loop {
                    let page = lambda::event_sources(self.calls, name, marker.as_deref()).await?;
                    states.extend(page.event_source_mappings);
                    match page.next_marker.filter(|next| !next.is_empty()) {
                        Some(next) if marker.as_ref() != Some(&next) => marker = Some(next),
                        _ => break,
                    }
                }
            }
            let wanted = Role::all()
                .into_iter()
                .filter(|role| !role.is_waiting_room());
            let wanted: Result<Vec<(Role, &str)>, Error> = wanted
                .map(|role| Ok((role, role.url(self.stack)?)))
                .collect();
            Ok((states, wanted?))
        };
        let (sources, wanted) = match listed.await {
            Ok(listed) => listed,
            Err(error) => return vec![self.unseen(check, &error)],
        };
        let mut problems = Vec::new();
        for (role, url) in &wanted {
            let fits = |source: &&lambda::EventSource| {
                let arn = source.event_source_arn.as_deref().unwrap_or_default();
                sqs::name_of(arn) == sqs::name_of(url)
            };
            let title = role.title();
            problems.extend(match sources.iter().find(fits) {
                None => Some(Finding::fail(
                    check,
                    format!("nothing reads {title}"),
                    "deploy the stack again: its event source is gone",
                )),
                Some(source) => match source.state.as_deref() {
                    None | Some("Enabled") => None,
                    Some("Enabling" | "Updating" | "Creating") => Some(Finding::warn(
                        check,
                        format!("{title} is about to be read"),
                        "look again in a minute",
                    )),
                    Some(state) => Some(Finding::fail(
                        check,
                        format!("{title} is not read: its event source is {state}"),
                        format!(
                            "aws lambda update-event-source-mapping --enabled --uuid {}",
                            source.id
                        ),
                    )),
                },
            });
        }
        match problems.is_empty() {
            true => vec![Finding::ok(check, format!("{} enabled", wanted.len()))],
            false => problems,
        }
    }

    async fn schedules(&self) -> Vec<Finding> {
        let check = "schedules";
        let mut problems = Vec::new();
        for (output, otherwise) in SCHEDULES {
            let schedule = async {
                let name = self.stack.output(output)?;
                scheduler::schedule(self.calls, name).await
            };
            match schedule.await {
                Err(error) => problems.push(self.unseen(check, &error)),
                Ok(schedule) if schedule.state.as_deref() == Some("DISABLED") => {
                    problems.push(Finding::fail(
                        check,
                        format!("{} is disabled: {otherwise}", schedule.name),
                        "enable it in EventBridge Scheduler, or deploy the stack again",
                    ));
                }
                Ok(_) => {}
            }
        }
        match problems.is_empty() {
            true => vec![Finding::ok(check, format!("{} enabled", SCHEDULES.len()))],
            false => problems,
        }
    }

    async fn queues(&self) -> Vec<Finding> {
        let queues = match queues::read(self.calls, self.stack, self.now).await {
            Ok(queues) => queues,
            Err(error) => return vec![self.unseen("queues", &error)],
        };
        let unseen = queues.iter().filter_map(|queue| {
            let error = queue.attributes.as_ref().err()?;
            Some(self.unseen(queue.role.title(), error))
        });
        let mut findings: Vec<Finding> = unseen.collect();
        findings.push(self.lanes(&queues));
        let waiting: Vec<Finding> = queues
            .iter()
            .filter_map(|queue| waiting(queue, self.depth))
            .collect();
        match waiting.is_empty() {
            true => findings.push(Finding::ok("waiting", "nothing waits for a person")),
            false => findings.extend(waiting),
        }
        findings.push(self.settings(&queues));
        findings
    }

    fn lanes(&self, queues: &[Queue]) -> Finding {
        let limit = self.stack.number("LaneAgeAlarmSeconds").unwrap_or(900);
        let limit = time::Duration::seconds(i64::try_from(limit).unwrap_or(i64::MAX));
        let late: Vec<String> = queues
            .iter()
            .filter(|queue| !queue.role.is_waiting_room())
            .filter_map(|queue| {
                let oldest = queue.oldest.filter(|oldest| *oldest >= limit)?;
                Some(format!("{} {}", queue.role.title(), span(oldest)))
            })
            .collect();
        let oldest = queues
            .iter()
            .filter(|queue| !queue.role.is_waiting_room())
            .filter_map(|queue| queue.oldest)
            .max();
        match (late.is_empty(), oldest) {
            (true, None) => Finding::ok("lanes", "keep up"),
            (true, Some(oldest)) => {
                Finding::ok("lanes", format!("oldest message {}", span(oldest)))
            }
            (false, _) => Finding::fail(
                "lanes",
                format!("behind: {}", late.join(", ")),
                "the consumer's log says what fails; its concurrency is a parameter of the stack",
            ),
        }
    }

    fn settings(&self, queues: &[Queue]) -> Finding {
        let mut differences = Vec::new();
        for queue in queues {
            if let Ok(attributes) = &queue.attributes {
                let title = queue.role.title();
                let found = self.differences(queue.role, attributes);
                differences.extend(found.into_iter().map(|found| format!("{title}: {found}")));
            }
        }
        match differences.is_empty() {
            true => Finding::ok(
                "settings",
                "visibility, retention and redrive as the template wants them",
            ),
            false => Finding::fail(
                "settings",
                differences.join("; "),
                "somebody changed them by hand: deploy the stack again",
            ),
        }
    }

    /// How a queue is set otherwise than the template wants it.
    fn differences(&self, role: Role, attributes: &Attributes) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, is: Option<u64>, wanted: Option<u64>| {
            if let (Some(is), Some(wanted)) = (is, wanted)
                && is != wanted
            {
                differences.push(format!("{what} is {is}, not {wanted}"));
            }
        };
        let (visibility, retention) = match role {
            Role::Lane(_) => (
                self.stack.number("LaneVisibilityTimeout"),
                self.stack.number("LaneRetentionSeconds"),
            ),
            Role::Checks => (Some(180), Some(86_400)),
            Role::DeadLetters(_) | Role::Quarantine | Role::Undelivered | Role::DeadChecks => {
                (None, Some(LONGEST_RETENTION))
            }
        };
        compare("visibility", attributes.visibility_seconds(), visibility);
        compare("retention", attributes.retention_seconds(), retention);
        let dead = match role {
            Role::Lane(lane) => Some((Role::DeadLetters(lane), 100)),
            Role::Checks => Some((Role::DeadChecks, 20)),
            Role::DeadLetters(_) | Role::Quarantine | Role::Undelivered | Role::DeadChecks => None,
        };
        if let Some((dead, receives)) = dead {
            let wanted = dead.url(self.stack).map(sqs::name_of).unwrap_or_default();
            match attributes.redrive() {
                None => differences.push("it has no redrive policy".to_owned()),
                Some(redrive) if sqs::name_of(&redrive.target) != wanted => {
                    differences.push(format!("it redrives to {}", redrive.target));
                }
                Some(redrive) if redrive.receives != receives => {
                    differences.push(format!(
                        "it redrives after {}, not {receives}",
                        redrive.receives
                    ));
                }
                Some(_) => {}
            }
        }
        differences
    }

    async fn teams(&self) -> Vec<Finding> {
        let checked = async {
            let routes = teams::routes(self.calls, self.stack).await?;
            teams::check(self.calls, self.stack, &routes, self.depth.deep).await
        };
        let checked = match checked.await {
            Ok(checked) => checked,
            Err(error) => return vec![self.unseen("teams", &error)],
        };
        if checked.is_empty() {
            let todo = "add a route to the template: events are kept as records and go to nobody";
            return vec![Finding::warn("teams", "there is no route", todo)];
        }
        let found = checked.iter();
        found
            .map(|team| team_finding(team, team.todo(self.calls, self.stack)))
            .collect()
    }

    async fn mail(&self) -> Vec<Finding> {
        let check = "mail";
        let subscribed = async {
            let topic = self.stack.output("AlarmTopicArn")?;
            let subscriptions = sns::subscriptions(self.calls, topic).await?;
            if self.depth.mail {
                let message = format!(
                    "A test of the alarms of stack {}. Nothing is wrong.",
                    self.stack.name
                );
                sns::publish(
                    self.calls,
                    topic,
                    "Orderhook: a test of the alarms",
                    &message,
                )
                .await?;
            }
            Ok(subscriptions)
        };
        let subscriptions = match subscribed.await {
            Ok(subscriptions) => subscriptions,
            Err(error) => return vec![self.unseen(check, &error)],
        };
        let open: Vec<&str> = subscriptions
            .iter()
            .filter(|subscription| !subscription.is_confirmed)
            .map(|subscription| subscription.endpoint.as_str())
            .collect();
        let sent = if self.depth.mail {
            ", a test is on its way"
        } else {
            ""
        };
        vec![match (subscriptions.is_empty(), open.is_empty()) {
            (true, _) => Finding::warn(
                check,
                "nobody gets the alarms",
                "sam deploy --parameter-overrides AlarmEmail=you@example.com",
            ),
            (false, false) => Finding::warn(
                check,
                format!(
                    "{} has not confirmed the alarms' subscription",
                    open.join(", ")
                ),
                "open the mail from AWS and follow its link",
            ),
            (false, true) => Finding::ok(
                check,
                format!(
                    "{} confirmed{sent}",
                    counted(subscriptions.len(), "subscription")
                ),
            ),
        }]
    }

    async fn alarms(&self) -> Vec<Finding> {
        let check = "alarms";
        let alarms = match alarms(self.calls, self.stack).await {
            Ok(alarms) => alarms,
            Err(error) => return vec![self.unseen(check, &error)],
        };
        if alarms.is_empty() {
            let todo = "deploy the stack again: its alarms are gone";
            return vec![Finding::warn(check, "there are none", todo)];
        }
        let ringing = alarms.iter().filter(|alarm| alarm.state == "ALARM");
        let ringing: Vec<Finding> = ringing
            .map(|alarm| {
                let since = alarm.since.map_or_else(String::new, |since| {
                    format!(", since {}", ago(self.now - since))
                });
                Finding::fail(
                    check,
                    format!("{} rings{since}", alarm.name),
                    &*alarm.description,
                )
            })
            .collect();
        match ringing.is_empty() {
            true => vec![Finding::ok(check, format!("{} quiet", alarms.len()))],
            false => ringing,
        }
    }

    async fn accounts(&self) -> Vec<Finding> {
        let check = "accounts";
        let accounts = match Accounts::of(self.calls, self.stack) {
            Ok(accounts) => accounts,
            Err(error) => return vec![self.unseen(check, &error)],
        };
        let listed = match accounts.list().await {
            Ok(listed) => listed,
            Err(error) => return vec![self.unseen(check, &error)],
        };
        let unwell = unwell(&listed);
        let named: BTreeSet<&str> = unwell.iter().map(|account| &*account.account).collect();
        // Of the others the list does not say whether their deliveries fail. Where there are more, the alarm does.
        let others = listed
            .accounts
            .iter()
            .filter(|account| account.state == "connected" && !named.contains(&*account.account));
        let matters = unwell
            .iter()
            .map(|account| (account.account.as_str(), Some(account.matter.as_str())))
            .chain(others.map(|account| (account.account.as_str(), None)));
        let looked_at = matters
            .take(LOOKED_AT)
            .map(|(name, matter)| Self::account(accounts.clone(), name, matter));
        let found = futures::future::join_all(looked_at).await;
        let mut findings: Vec<Finding> = found.into_iter().flatten().collect();
        if unwell.len() > LOOKED_AT {
            findings.push(Finding::fail(
                check,
                format!("{} more need a look", unwell.len() - LOOKED_AT),
                "orderhook accounts list",
            ));
        }
        if !findings.is_empty() {
            return findings;
        }
        if listed.accounts.is_empty() {
            let todo = "orderhook accounts connect NAME --client-id …";
            return vec![Finding::warn(check, "none is connected", todo)];
        }
        let connected = listed
            .accounts
            .iter()
            .filter(|account| account.state == "connected");
        let (connected, all) = (connected.count(), listed.accounts.len());
        let summary = format!("{connected} of {all} connected, none needs a look");
        vec![Finding::ok(check, summary)]
    }

    /// An account that has something the matter, or whose last deliveries failed.
    async fn account(accounts: Accounts<'_>, name: &str, matter: Option<&str>) -> Option<Finding> {
        let shown = match named(name) {
            Ok(account) => accounts.show(&account).await.ok(),
            Err(_) => None,
        };
        let failed = shown.and_then(|(account, _)| account.failed_deliveries);
        let failed = failed.map_or(0, |failed| failed.count);
        let deliveries = format!("deliveries that failed since the last good one: {failed}");
        let summary = match (matter, failed) {
            (None, 0) => return None,
            (None, _) => format!("{deliveries}; its source may disable the webhook for that"),
            (Some(matter), 0) => matter.to_owned(),
            (Some(matter), _) => format!("{matter}; {deliveries}"),
        };
        let mut finding = Finding::fail(
            format!("account {name}"),
            summary,
            format!("orderhook accounts show {name}"),
        )
        .with(format!("orderhook accounts check {name}"));
        if failed > 0 {
            let todo =
                format!("and where none arrives after that: orderhook accounts rotate {name}");
            finding = finding.with(todo);
        }
        Some(finding)
    }

    async fn backups(&self) -> Vec<Finding> {
        let check = "backups";
        let tables = ["AccountsTable", "ReceiptsTable", "RecordsTable"];
        let asked = tables.map(|table| async move {
            let name = self.stack.output(table)?;
            Ok::<_, Error>((
                table,
                dynamodb::backups(self.calls, name).await?.point_in_time,
            ))
        });
        let expiry = async {
            let receipts = self.stack.output("ReceiptsTable")?;
            dynamodb::expires(self.calls, receipts).await
        };
        let (answers, expires) = futures::join!(futures::future::join_all(asked), expiry);
        let (mut problems, mut off) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok((table, false)) => off.push(table),
                Ok((_, true)) => {}
                Err(error) => problems.push(self.unseen(check, &error)),
            }
        }
        if !off.is_empty() {
            problems.push(Finding::fail(
                check,
                format!("no point-in-time recovery: {}", off.join(", ")),
                "deploy the stack again, or switch it on in DynamoDB",
            ));
        }
        match expires {
            Ok(true) => {}
            Ok(false) => problems.push(Finding::fail(
                check,
                "receipts never expire: time to live is off",
                "deploy the stack again, or switch it on in DynamoDB for expires_at",
            )),
            Err(error) => problems.push(self.unseen(check, &error)),
        }
        match problems.is_empty() {
            true => vec![Finding::ok(
                check,
                "point-in-time recovery on for 3 tables, time to live on for receipts",
            )],
            false => problems,
        }
    }
}

fn is_unimplemented(status: u16, code: &str) -> bool {
    let words = ["NotImplemented", "UnknownOperation", "InvalidAction"];
    status == 501 || words.iter().any(|word| code.contains(word))
}

fn function_problem(check: &str, function: &lambda::Function) -> Option<Finding> {
    let reason = function
        .state_reason
        .as_deref()
        .unwrap_or("no reason given");
    match (
        function.state.as_deref(),
        function.last_update_status.as_deref(),
    ) {
        (Some("Failed"), _) => Some(Finding::fail(
            check,
            format!("it cannot run: {reason}"),
            "correct that and deploy again",
        )),
        (_, Some("Failed")) => Some(Finding::fail(
            check,
            format!("its last update failed: {reason}"),
            "correct that and deploy again",
        )),
        (Some("Pending"), _) | (_, Some("InProgress")) => Some(Finding::warn(
            check,
            "it is being updated",
            "look again in a minute",
        )),
        _ => None,
    }
}

/// A waiting room with something in it.
fn waiting(queue: &Queue, depth: Depth) -> Option<Finding> {
    let messages = queue.messages().filter(|messages| *messages > 0)?;
    if !queue.role.is_waiting_room() {
        return None;
    }
    let mut summary = format!("{} {messages}", queue.role.title());
    if let Some(oldest) = queue.oldest {
        summary = format!("{summary}, oldest {}", span(oldest));
    }
    if let Some(left) = queues::forgotten_in(queue) {
        summary = format!("{summary}, forgotten in {}", span(left));
    }
    let todo = match queue.role {
        Role::DeadChecks => {
            "the log of subscriptions says why checks fail; the next run checks again"
        }
        _ => "orderhook stuck list",
    };
    let finding = Finding::fail("waiting", summary, todo);
    // A queue that is gone is seen at once; that the consumer may not send to it, only where IAM is asked.
    Some(match (queue.role, depth.deep) {
        (Role::Undelivered, false) => finding.with("orderhook doctor --deep"),
        _ => finding,
    })
}

fn team_finding(team: &teams::Checked, todo: Vec<String>) -> Finding {
    let (verdict, summary) = match &team.reach {
        Reach::Reachable {
            sendable: Some(false),
            ..
        } => (
            Verdict::Fail,
            "the consumer's role may not send to its queue".to_owned(),
        ),
        Reach::Reachable { waiting, .. } => (
            Verdict::Ok,
            format!("its queue is there, {waiting} waiting"),
        ),
        Reach::Topic {
            sendable: Some(false),
            ..
        } => (
            Verdict::Fail,
            "the consumer's role may not publish to its topic".to_owned(),
        ),
        Reach::Topic {
            subscriptions: 0, ..
        } => (
            Verdict::Warn,
            "nobody is subscribed to its topic: its events are lost to it".to_owned(),
        ),
        Reach::Topic { subscriptions, .. } => (
            Verdict::Ok,
            format!("its topic is there, {subscriptions} subscribed"),
        ),
        Reach::Missing => (Verdict::Fail, format!("{}: does not exist", team.url)),
        Reach::Hidden { .. } => (
            Verdict::Warn,
            "cannot look at where its events go: no policy allows it".to_owned(),
        ),
        Reach::Unclear { reason } => (Verdict::Warn, reason.clone()),
    };
    let mut finding = Finding::new(format!("team {}", team.team), verdict, summary);
    finding.todo = todo;
    finding
}

/// A token that no registration has.
fn token() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness all zeros are no registration's either.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn counted(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}

/// `3 s`, `5 m`, `2 h`, `3 d`: the largest unit.
fn span(span: time::Duration) -> String {
    let seconds = span.whole_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn ago(age: time::Duration) -> String {
    format!("{} ago", span(age))
}
