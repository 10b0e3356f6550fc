//! `poison`: messages that nobody can read, and a team's queue that is deleted in the middle.
//!
//! Unreadable messages are put into every lane. Good events of the same lanes must flow past them, and each must end in
//! its lane's dead-letter queue, byte for byte. Then two more teams get routes of their own, and while events come the
//! queue of one is deleted: the others must miss nothing, the undelivered queue must hold the rest, and sending that
//! again must complete it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use http::Method;
use local::progress::{Progress, seconds};
use orderhook::resend::{Caller, Resend, resend};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::accounts::{self, Accounts};
use crate::collect::{self, QueueMessage, QueueReader};
use crate::disturb;
use crate::events::{self, Delivery};
use crate::faults::{Boxes, show};
use crate::log::Log;
use crate::rng::Rng;
use crate::sending::{self, Sent};
use crate::test_stack::{LANES, TestStack};

/// How often a lane is looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// The functions' configurations.
const FUNCTIONS: &str = "/2015-03-31/functions/";

/// The good events of a long run, in each half.
pub(crate) const EVENTS: u32 = 600;

/// Arguments of `poison`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Poison {
    /// Good events that flow past the poison, and as many again while a team's queue is deleted.
    #[arg(long, default_value_t = EVENTS, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) events: u32,
    /// Makes the events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes after which the run ends as broken.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: u64,
}

/// What a run came to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    seed: u64,
    seconds: u64,
    poison: usize,
    good_events_past_it: usize,
    dead_when_the_good_had_passed: usize,
    dead_letters: usize,
    events_for_three_teams: usize,
    had_before_the_deletion: usize,
    undelivered: usize,
    sent_again: usize,
    had_at_the_end: usize,
    pub(crate) problems: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The stack does not do what every run needs.
pub(crate) async fn run(
    stack: &TestStack,
    arguments: &Poison,
    progress: Progress,
) -> Result<Outcome> {
    let begun = Instant::now();
    let rng = Rng::new(arguments.seed);
    let events = usize::try_from(arguments.events)?;
    let mut outcome = Outcome {
        seed: arguments.seed,
        ..Outcome::default()
    };
    flow_past(stack, rng.apart(1), events, &mut outcome, progress).await?;
    lose_a_queue(stack, rng.apart(2), events, &mut outcome, progress).await?;
    outcome.seconds = begun.elapsed().as_secs();
    Ok(outcome)
}

/// What nobody can read, each with the run's mark in it.
fn poison(marker: &str, lane: &str) -> Vec<String> {
    vec![
        format!("no json of {marker} in {lane}, \u{1F4A3}\r\n\t\"quoted\""),
        format!(r#"{{"no": "event",   "of":"{marker}", "in":"{lane}" }}"#),
        format!(
            r#"{{"specversion":"1.0","id":"{marker}.00000","source":"/orderspace/{marker}","type":"orderspace.order.created","subject":"order/or_1","data":{{"lane":"{lane}"}}}}"#
        ),
        format!(r#"["{marker}","{lane}",{}]"#, "[".repeat(400)),
    ]
}

async fn flow_past(
    stack: &TestStack,
    mut rng: Rng,
    events: usize,
    outcome: &mut Outcome,
    progress: Progress,
) -> Result<()> {
    let Accounts {
        marker,
        names,
        targets,
    } = accounts::connect(stack, 3, progress).await?;
    let boxes = Boxes::new(stack, &marker)?;
    let mut put: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for lane in LANES {
        for body in poison(&marker, lane) {
            let input = json!({ "QueueUrl": stack.lane(lane)?, "MessageBody": body });
            stack.aws.sqs("SendMessage", &input).await?;
            put.entry(lane).or_default().push(body);
        }
    }
    outcome.poison = put.values().map(Vec::len).sum();

    let mut log = Log {
        deliveries: events::deliveries(&mut rng, events, names.len()),
        accounts: names,
        ..Log::default()
    };
    let mut step = progress.step(format!(
        "Sending {events} events past {} unreadable messages",
        outcome.poison
    ));
    let sent = Sent::default();
    let dead = || boxes.dead.iter().map(QueueReader::count).sum::<usize>();
    let passed = async {
        let attempts = sending::send(&targets, &log.deliveries, &sent).await?;
        // Whoever is still in a lane once the good have left is poison.
        while stack.waiting_in_lanes().await? + dead() > outcome.poison {
            tokio::time::sleep(PAUSE).await;
        }
        Ok::<_, anyhow::Error>(attempts)
    };
    log.attempts = tokio::select! {
        attempts = passed => attempts?,
        () = boxes.keep_collecting() => bail!("the collecting ended before the sending did"),
        () = show(&mut step, || format!("{} events with the team", boxes.team.count())) => {
            bail!("the display ended before the sending did");
        }
    };
    outcome.dead_when_the_good_had_passed = dead();
    step.done(&format!("{} with the team", boxes.team.count()));
    boxes.drain(stack, progress).await?;

    if outcome.dead_when_the_good_had_passed >= outcome.poison {
        outcome
            .problems
            .push("the poison was dead before the good events had passed".to_owned());
    }
    for (lane, mailbox) in LANES.iter().zip(&boxes.dead) {
        let messages = mailbox.messages();
        let mut found: Vec<&str> = messages
            .iter()
            .map(|message| message.body.as_str())
            .collect();
        let mut expected: Vec<&str> = put
            .get(lane)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        outcome.dead_letters += found.len();
        if found != expected {
            outcome.problems.push(format!(
                "the dead-letter queue of {lane} holds {found:?}, and its poison was {expected:?}"
            ));
        }
    }
    // What the oracle has to say is about the good ones.
    let judgement = boxes.judge(stack, &log, &[]).await?;
    outcome.good_events_past_it = judgement.figures.events_accepted;
    outcome.problems.extend(judgement.problems);
    Ok(())
}

/// Two more teams, each with a queue and a route.
struct Teams<'a> {
    stack: &'a TestStack,
    /// The name that begins their queues' names.
    marker: String,
    queues: BTreeMap<&'static str, String>,
    /// The consumer's variables as they were.
    before: Vec<(String, Value)>,
    roles: BTreeSet<String>,
}

/// The team whose queue goes away, and one that keeps its own.
const TEAMS: [&str; 2] = ["sales", "finance"];
/// The policy that lets the consumer send to both.
const POLICY: &str = "endurance-teams";

impl<'a> Teams<'a> {
    async fn add(stack: &'a TestStack, marker: &str) -> Result<Self> {
        let mut teams = Self {
            stack,
            marker: marker.to_owned(),
            queues: BTreeMap::new(),
            before: Vec::new(),
            roles: BTreeSet::new(),
        };
        for team in TEAMS {
            teams.create(team).await?;
        }
        let functions = stack.aws.lambda(Method::GET, FUNCTIONS, None).await?;
        let functions = functions
            .get("Functions")
            .and_then(Value::as_array)
            .cloned();
        for function in functions.unwrap_or_default() {
            let text = |name: &str| {
                function
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let variables = function
                .pointer("/Environment/Variables")
                .cloned()
                .unwrap_or_default();
            let Some(routes) = variables.get("ROUTES").and_then(Value::as_str) else {
                continue;
            };
            teams.permit(text("Role")).await?;
            let mut routes: Vec<Value> = serde_json::from_str(routes)?;
            for (team, queue) in &teams.queues {
                routes.push(
                    json!({ "team": team, "queue": queue, "types": ["*"], "accounts": ["*"] }),
                );
            }
            let mut changed = variables.clone();
            if let Some(changed) = changed.as_object_mut() {
                let routes = json!(Value::Array(routes).to_string());
                changed.insert("ROUTES".to_owned(), routes);
            }
            let name = text("FunctionName").to_owned();
            teams.before.push((name.clone(), variables));
            teams.configure(&name, &changed).await?;
        }
        if teams.before.len() != 1 {
            bail!("{} functions have routes", teams.before.len());
        }
        Ok(teams)
    }

    async fn create(&mut self, team: &'static str) -> Result<()> {
        let input = json!({ "QueueName": format!("{}{team}", self.marker) });
        let answer = self.stack.aws.sqs("CreateQueue", &input).await?;
        let url = answer.get("QueueUrl").and_then(Value::as_str);
        let url = url.context("a queue without a URL")?.to_owned();
        self.queues.insert(team, url);
        Ok(())
    }

    fn queue(&self, team: &str) -> Result<&str> {
        let queue = self.queues.get(team).map(String::as_str);
        queue.with_context(|| format!("{team} has no queue"))
    }

    async fn permit(&mut self, role: &str) -> Result<()> {
        let role = role.rsplit('/').next().unwrap_or_default();
        if !self.roles.insert(role.to_owned()) {
            return Ok(());
        }
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "sqs:SendMessage*", "Resource": format!("arn:aws:sqs:*:*:{}*", self.marker),
        }]});
        let policy = policy.to_string();
        let input = [
            ("RoleName", role),
            ("PolicyName", POLICY),
            ("PolicyDocument", policy.as_str()),
        ];
        let aws = &self.stack.aws;
        aws.query("iam", "PutRolePolicy", "2010-05-08", &input)
            .await
    }

    async fn configure(&self, function: &str, variables: &Value) -> Result<()> {
        let path = format!("{FUNCTIONS}{function}/configuration");
        let input = json!({ "Environment": { "Variables": variables } });
        self.stack
            .aws
            .lambda(Method::PUT, &path, Some(&input))
            .await?;
        Ok(())
    }

    /// Puts everything back.
    async fn remove(self) -> Result<()> {
        for (function, variables) in &self.before {
            self.configure(function, variables).await?;
        }
        for role in &self.roles {
            let input = [("RoleName", role.as_str()), ("PolicyName", POLICY)];
            let aws = &self.stack.aws;
            aws.query("iam", "DeleteRolePolicy", "2010-05-08", &input)
                .await?;
        }
        for queue in self.queues.values() {
            delete(self.stack, queue).await?;
        }
        Ok(())
    }
}

async fn delete(stack: &TestStack, queue: &str) -> Result<()> {
    stack
        .aws
        .sqs("DeleteQueue", &json!({ "QueueUrl": queue }))
        .await?;
    Ok(())
}

async fn lose_a_queue(
    stack: &TestStack,
    mut rng: Rng,
    events: usize,
    outcome: &mut Outcome,
    progress: Progress,
) -> Result<()> {
    let Accounts {
        marker,
        names,
        targets,
    } = accounts::connect(stack, 3, progress).await?;
    let step = progress.step("Giving two more teams a queue and a route");
    let mut teams = Teams::add(stack, &marker).await?;
    step.done("");
    let boxes = Boxes::new(stack, &marker)?;
    let others = collect::waiting(&stack.aws, &boxes.undelivered.url).await?;
    let sales = QueueReader::new(&stack.aws, teams.queue("sales")?, &marker);
    let finance = QueueReader::new(&stack.aws, teams.queue("finance")?, &marker);
    let mut log = Log {
        deliveries: events::deliveries(&mut rng, events, names.len()),
        accounts: names,
        ..Log::default()
    };

    let mut step = progress.step(format!(
        "Sending {events} events, and deleting a team's queue in the middle"
    ));
    let sent = Sent::default();
    let half = log.deliveries.len() / 2;
    let losing = async {
        while sent.deliveries.load(std::sync::atomic::Ordering::Relaxed) < half {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        empty_and_delete(stack, &sales).await
    };
    let collecting = async { futures::join!(boxes.keep_collecting(), finance.keep_collecting()) };
    let work =
        async { futures::try_join!(sending::send(&targets, &log.deliveries, &sent), losing) };
    log.attempts = tokio::select! {
        both = work => both?.0,
        _ = collecting => bail!("the collecting ended before the sending did"),
        () = show(&mut step, || format!("{} events with the team", boxes.team.count())) => {
            bail!("the display ended before the sending did");
        }
    };
    let before = ids(&sales.messages());
    step.done(&format!("the team had {} events by then", before.len()));
    boxes.drain(stack, progress).await?;
    finance.empty().await?;

    outcome.events_for_three_teams = log.deliveries.iter().map(events_in).sum();
    outcome.had_before_the_deletion = before.len();
    let undelivered = boxes.undelivered.messages();
    outcome.undelivered = undelivered.len();
    // They were collected, and are put back as they were.
    for message in &undelivered {
        let input = json!({ "QueueUrl": boxes.undelivered.url, "MessageBody": message.body });
        stack.aws.sqs("SendMessage", &input).await?;
    }

    let step = progress.step("Mending the queue and sending again what it had refused");
    teams.create("sales").await?;
    let caller = Caller::of(
        &stack.outputs.endpoint_url,
        &stack.outputs.region,
        &stack.outputs.access_key_id,
        &stack.outputs.secret_access_key,
    );
    let arguments = Resend {
        team: "sales".to_owned(),
        from: stack.output("UndeliveredQueueUrl")?.to_owned(),
        to: teams.queue("sales")?.to_owned(),
    };
    outcome.sent_again = resend(&caller, &arguments).await?.sent;
    sales.empty().await?;
    step.done(&format!("{} events", outcome.sent_again));

    let (example, finance) = (boxes.team.messages(), finance.messages());
    let (all, after) = (ids(&example), ids(&sales.messages()));
    outcome.had_at_the_end = after.len();
    let mut problems = Vec::new();
    let mut problem = |text: String| problems.push(text);
    if before.is_empty() || outcome.undelivered == 0 {
        problem("the queue was not deleted in the middle: this run proves too little".to_owned());
    }
    let mut named = 0;
    for message in &undelivered {
        let undelivered: Undelivered = serde_json::from_str(&message.body)?;
        named += usize::from(is_gone(&undelivered.reason));
        if undelivered.team != "sales" || undelivered.reason.is_empty() {
            problem(format!(
                "an undelivered event of {}: {}",
                undelivered.team, undelivered.reason
            ));
        }
    }
    // A first try that the deadline ends names nothing else.
    if named * 10 < undelivered.len() * 9 {
        problem(format!(
            "{named} of {} undelivered events say that the queue is gone",
            undelivered.len()
        ));
    }
    for (team, found) in [("finance", ids(&finance)), ("sales", after)] {
        let missing: Vec<&String> = all.keys().filter(|id| !found.contains_key(*id)).collect();
        if !missing.is_empty() {
            problem(format!(
                "{team} misses {} events: {missing:?}",
                missing.len()
            ));
        }
        for (id, body) in &found {
            match all.get(id) {
                Some(other) if other == body => {}
                other => problem(format!("{team} has {body}, and another team {other:?}")),
            }
        }
    }
    let left = collect::waiting(&stack.aws, &boxes.undelivered.url).await?;
    if left != others {
        problems.push(format!(
            "{left} messages are in the undelivered queue, of others {others}"
        ));
    }
    let judgement = boxes.judge(stack, &log, &boxes.dead_letters()).await?;
    outcome.problems.extend(judgement.problems);
    outcome.problems.extend(problems);
    teams.remove().await
}

/// Takes everything that a team's queue has and deletes it, so that nothing goes with it: from the moment when the
/// proxy says that it is gone nothing is put in any more.
async fn empty_and_delete(stack: &TestStack, queue: &QueueReader) -> Result<()> {
    let name = queue.url.rsplit('/').next().unwrap_or_default();
    let gone = json!({
        "operation": "sqs:SendMessageBatch", "resource": name,
        "fault": { "refuse": { "status": 400, "code": "QueueDoesNotExist" } },
    });
    disturb::add(&stack.proxy, &gone).await?;
    // What was on its way arrives.
    tokio::time::sleep(Duration::from_secs(3)).await;
    queue.empty().await?;
    delete(stack, &queue.url).await?;
    disturb::calm(&stack.proxy).await
}

#[derive(Deserialize)]
struct Undelivered {
    team: String,
    reason: String,
}

/// SQS's name for a queue that is none, in its newer protocol and in its older one.
fn is_gone(reason: &str) -> bool {
    reason.contains("QueueDoesNotExist") || reason.contains("NonExistentQueue")
}

fn events_in(delivery: &Delivery) -> usize {
    let good = |element: &&(events::Element, String)| matches!(element.0, events::Element::Good(_));
    delivery.elements.iter().filter(good).count()
}

/// The messages by their events' ids.
fn ids(messages: &[QueueMessage]) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Identified {
        id: String,
    }
    messages
        .iter()
        .filter_map(|message| {
            let identified: Identified = serde_json::from_str(&message.body).ok()?;
            Some((identified.id, message.body.clone()))
        })
        .collect()
}

impl Outcome {
    /// The run in one line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} unreadable messages dead byte for byte, {} events sent again",
            self.dead_letters, self.sent_again
        )
    }

    /// The report, line by line.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("seed".to_owned(), self.seed.to_string()),
            (
                "time".to_owned(),
                seconds(Duration::from_secs(self.seconds)),
            ),
        ];
        for (what, count) in [
            ("unreadable messages put into the lanes", self.poison),
            (
                "  good events that flowed past them",
                self.good_events_past_it,
            ),
            (
                "  dead when these had passed",
                self.dead_when_the_good_had_passed,
            ),
            (
                "  dead messages at the end, byte for byte",
                self.dead_letters,
            ),
            ("events for three teams", self.events_for_three_teams),
            (
                "  one team had when its queue was deleted",
                self.had_before_the_deletion,
            ),
            ("  undelivered, for that team alone", self.undelivered),
            ("  sent again", self.sent_again),
            ("  the team has at the end", self.had_at_the_end),
        ] {
            lines.push((what.to_owned(), count.to_string()));
        }
        lines
    }
}
