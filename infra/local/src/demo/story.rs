//! The story: connect an account, send every example, read back what came of it, repair a disabled webhook, and do the
//! same once with each other source.
//!
//! Nothing here is remembered from the sending: the statuses are Orderspace's, the events are those of the team's queue,
//! the records are the table's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use simulator::control::{Deliver, NewSite, RawBody};
use simulator::{Control, RetryPolicy, SiteControl};

use crate::aws::Aws;
use crate::demo::examples::{Example, ExampleEvent};
use crate::demo::queue;
use crate::demo::repairing::{self, Repairing};
use crate::demo::sources::{self, Other, SourceSeen};
use crate::outputs::Outputs;
use crate::progress::Progress;
use crate::refusal::Refusal;

/// The lanes, as the template names their queues and as a reader knows them.
const LANES: [(&str, &str); 6] = [
    ("Customers", "customers"),
    ("Orders", "orders"),
    ("Billing", "billing"),
    ("Products", "products"),
    ("Inventory", "inventory"),
    ("Other", "other"),
];

/// How long a connection may take to show at Orderspace.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);

/// The event whose message is shown.
const SHOWN: &str = "order.created";

/// Everything that was seen.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Whether nothing is missing.
    pub ok: bool,
    /// The account that was connected.
    pub account: String,
    /// What was sent.
    pub deliveries: Vec<Delivered>,
    /// What each lane did.
    pub lanes: Vec<Lane>,
    /// What the records table holds.
    pub records: Vec<Kind>,
    /// Messages in the quarantine queue.
    pub quarantined: u64,
    /// Messages in the undelivered queue.
    pub undelivered: u64,
    /// What came of it when Orderspace disabled the webhook.
    pub repairing: Repairing,
    /// What came of one delivery of each other source.
    pub sources: Vec<SourceSeen>,
    /// One message of the team's queue, as it was.
    pub message: Option<Box<RawValue>>,
    /// What is missing or wrong, for people.
    pub problems: Vec<String>,
}

/// One delivery.
#[derive(Debug, Serialize)]
pub struct Delivered {
    /// The example's file.
    pub file: String,
    /// Events in it.
    pub events: usize,
    /// What each attempt was answered with; 0 is no answer.
    pub statuses: Vec<u16>,
}

/// One lane.
#[derive(Debug, Serialize)]
pub struct Lane {
    /// Its name.
    pub lane: String,
    /// Events that were sent and belong here.
    pub sent: usize,
    /// How many of them the team's queue gave back.
    pub reached: usize,
    /// Messages in the lane's queue.
    pub waiting: u64,
    /// Messages in its dead-letter queue.
    pub dead: u64,
}

/// The records of one kind.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// `order`, `customer`, ..
    pub kind: String,
    /// Records that the sent events are about.
    pub expected: usize,
    /// Records in the table.
    pub found: usize,
    /// Records that a sent event deletes.
    pub to_be_deleted: usize,
    /// How many the table says are deleted.
    pub deleted: usize,
    /// The sort keys, for a look.
    pub ids: Vec<String>,
}

/// What is read of an event in a team's queue; the rest is for the team.
#[derive(Debug, Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    account: String,
}

/// The distinct events of our account that the team's queue gave, and one of them whole.
#[derive(Debug, Default)]
struct Reached {
    events: BTreeMap<String, Envelope>,
    message: Option<Box<RawValue>>,
}

/// Sends the examples through the stack and reads back what came of them.
///
/// # Errors
/// The stack does not answer, or the account cannot be connected. What is missing at the end is not an error but in
/// [`Seen::problems`].
pub async fn tell(
    outputs: &Outputs,
    examples: &[Example],
    others: &[Other],
    patience: Duration,
    progress: Progress,
) -> Result<Seen> {
    let Some(simulator) = &outputs.simulator_url else {
        return Err(Refusal::error(
            "This stack is connected to another Orderspace than the built-in simulator, which alone can be asked to send \
             the examples. Start one with `cargo local up` without --api-url.",
        ));
    };
    let aws = outputs.aws()?;
    let account = account_name("demo")?;
    let step = progress.step(format!("Connecting the account {account}"));
    let site = connect(outputs, &aws, simulator, &account).await?;
    step.done("registered at Orderspace");

    let deliveries = send(&site, examples, progress).await?;
    let reached = read_team_queue(outputs, &aws, &account, examples, patience, progress).await?;

    let step = progress.step("Reading the queues and the tables");
    let lanes = lanes(outputs, &aws, examples, &reached).await?;
    let records = records(outputs, &aws, &account, examples).await?;
    step.done("");
    let repairing = repair(outputs, &aws, &site, &account, patience, progress).await?;
    let sources = sources::tell(outputs, &aws, others, &account, patience, progress).await?;
    let mut seen = Seen {
        ok: false,
        lanes,
        records,
        quarantined: depth(&aws, outputs.get("QuarantineQueueUrl")?).await?,
        undelivered: depth(&aws, outputs.get("UndeliveredQueueUrl")?).await?,
        account,
        deliveries,
        repairing,
        sources,
        message: reached.message,
        problems: Vec::new(),
    };
    seen.problems = problems(&seen);
    seen.ok = seen.problems.is_empty();
    Ok(seen)
}

/// Has the webhook disabled, checked, and used.
async fn repair(
    outputs: &Outputs,
    aws: &Aws,
    site: &SiteControl,
    account: &str,
    patience: Duration,
    progress: Progress,
) -> Result<Repairing> {
    let example = [repairing::example()];
    let disabled = repairing::disable(site).await?;
    let while_disabled = send(site, &example, progress).await?;
    let (found, registered) =
        repairing::check(outputs, aws, site, account, &disabled, progress).await?;
    let next = send(site, &example, progress).await?;
    let reached = read_team_queue(outputs, aws, account, &example, patience, progress).await?;
    let statuses = |sent: Vec<Delivered>| sent.into_iter().flat_map(|sent| sent.statuses).collect();
    Ok(Repairing {
        disabled,
        while_disabled: statuses(while_disabled),
        found,
        registered,
        next: statuses(next),
        reached: example
            .iter()
            .flat_map(|example| &example.events)
            .all(|event| reached.count(event) > 0),
    })
}

/// A name of its own for each run, so that a second one on the same stack meets nothing of the first.
///
/// # Errors
/// The clock is before 1970.
#[expect(clippy::disallowed_methods, reason = "every run has another time")]
pub(crate) fn account_name(prefix: &str) -> Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(format!("{prefix}-{:x}", now.as_millis() % 0x100_0000))
}

/// Connects an account of a new site of the simulator's, and waits for its webhook.
///
/// # Errors
/// The stack does not answer, or registers no webhook.
pub(crate) async fn connect(
    outputs: &Outputs,
    aws: &Aws,
    simulator: &str,
    account: &str,
) -> Result<SiteControl> {
    let control = Control::new(simulator)?;
    let site = NewSite {
        client_id: Some(account.to_owned()),
        hides_disabled: true,
        ..NewSite::default()
    };
    let credentials = control.create_site(&site).await?;
    let url = format!("{}/accounts/{account}", outputs.get("AdminUrl")?);
    let body = json!({
        "source": "orderspace",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "events": ["*"],
    });
    let answer = aws.api(Method::PUT, &url, Some(&body)).await?;
    if !(200..300).contains(&answer.status) {
        bail!(
            "the admin API answered PUT /v1/accounts/{account} with {}: {}",
            answer.status,
            answer.body
        );
    }
    // Asked at Orderspace itself, not at the account: what counts is that it will send.
    let site = control.site(&credentials.client_id);
    let hooks = outputs.get("HooksUrl")?;
    let deadline = Instant::now() + CONNECT_PATIENCE;
    loop {
        let webhooks = site.webhooks().await?;
        if webhooks
            .iter()
            .any(|webhook| webhook.enabled && webhook.endpoint.starts_with(hooks))
        {
            return Ok(site);
        }
        if Instant::now() > deadline {
            let state = aws.api(Method::GET, &url, None).await?;
            bail!(
                "the account {account} was accepted, but no webhook was registered at Orderspace; its state is {}",
                state.body
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Sends each example as one delivery, one after the other.
///
/// # Errors
/// The simulator does not answer. A refused delivery is no error.
pub(crate) async fn send(
    site: &SiteControl,
    examples: &[Example],
    progress: Progress,
) -> Result<Vec<Delivered>> {
    let mut step = progress.step(match examples {
        [one] => format!("Sending the delivery {}", one.file),
        _ => "Sending the example deliveries".to_owned(),
    });
    let mut delivered = Vec::new();
    for (done, example) in examples.iter().enumerate() {
        step.update(&format!(
            "{} of {}: {}",
            done + 1,
            examples.len(),
            example.file
        ));
        let reports = site
            .deliver(&Deliver {
                raw: vec![RawBody {
                    text: Some(example.body.clone()),
                    ..RawBody::default()
                }],
                // Fifteen seconds in all: inbound looks for the key of a new webhook at most every ten.
                policy: RetryPolicy {
                    max_attempts: 5,
                    ..RetryPolicy::default()
                },
                ..Deliver::default()
            })
            .await
            .with_context(|| format!("{} could not be sent", example.file))?;
        delivered.push(Delivered {
            file: example.file.clone(),
            events: example.events.len(),
            statuses: reports
                .iter()
                .flat_map(|report| report.deliveries.statuses())
                .collect(),
        });
    }
    let accepted = delivered
        .iter()
        .filter(|delivery| delivery.accepted())
        .count();
    step.done(&format!(
        "{accepted} of {} answered with 200",
        delivered.len()
    ));
    Ok(delivered)
}

impl Delivered {
    /// Whether the last attempt was answered with 200.
    pub fn accepted(&self) -> bool {
        self.statuses.last() == Some(&200)
    }
}

/// Reads the team's queue until all events were there, or none came for as long as `patience`. What belongs to other
/// accounts goes back.
async fn read_team_queue(
    outputs: &Outputs,
    aws: &Aws,
    account: &str,
    examples: &[Example],
    patience: Duration,
    progress: Progress,
) -> Result<Reached> {
    let expected: usize = examples.iter().map(|example| example.events.len()).sum();
    let queue = outputs.get(crate::teams::EXAMPLE)?;
    let mut step = progress.step("Waiting for the events in the team's queue");
    let mut reached = Reached::default();
    let mut others = Vec::new();
    let mut last = Instant::now();
    while reached.events.len() < expected && last.elapsed() < patience {
        let is_ours = |body: &str| {
            serde_json::from_str::<Envelope>(body).is_ok_and(|event| event.account == account)
        };
        for body in queue::receive(aws, queue, is_ours, &mut others).await? {
            let envelope: Envelope = serde_json::from_str(&body)?;
            let shown = envelope.event_type.ends_with(SHOWN);
            if (shown || reached.message.is_none()) && !reached.has(SHOWN) {
                reached.message = Some(RawValue::from_string(body)?);
            }
            reached.events.insert(envelope.id.clone(), envelope);
            last = Instant::now();
        }
        step.update(&format!("{} of {expected}", reached.events.len()));
    }
    queue::give_back(aws, queue, others).await?;
    let detail = format!("{} of {expected}", reached.events.len());
    if reached.events.len() == expected {
        step.done(&detail);
    } else {
        step.failed(&format!(
            "{detail}, and nothing new for {} s",
            patience.as_secs()
        ));
    }
    Ok(reached)
}

impl Reached {
    fn has(&self, event_type: &str) -> bool {
        self.events
            .values()
            .any(|envelope| envelope.event_type.ends_with(event_type))
    }

    /// How many events came of this type and about this subject.
    fn count(&self, event: &ExampleEvent) -> usize {
        self.events
            .values()
            .filter(|envelope| {
                envelope.event_type.strip_prefix("orderspace.") == Some(&event.event_type)
                    && matches_subject(&event.subject, &envelope.subject)
            })
            .count()
    }
}

/// Whether a subject is the expected one, whose last part may be made at run time.
fn matches_subject(expected: &str, subject: &str) -> bool {
    match expected.strip_suffix('*') {
        Some(prefix) => subject
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty()),
        None => subject == expected,
    }
}

async fn lanes(
    outputs: &Outputs,
    aws: &Aws,
    examples: &[Example],
    reached: &Reached,
) -> Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for (queue, lane) in LANES {
        let here: Vec<&ExampleEvent> = examples
            .iter()
            .flat_map(|example| &example.events)
            .filter(|event| event.lane == lane)
            .collect();
        // Events of one type about one record look alike, so they are counted together and not more than were sent.
        let mut alike: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
        for event in &here {
            let entry = alike
                .entry((&event.event_type, &event.subject))
                .or_insert_with(|| (0, reached.count(event)));
            entry.0 += 1;
        }
        lanes.push(Lane {
            lane: lane.to_owned(),
            sent: here.len(),
            reached: alike.values().map(|(sent, came)| sent.min(came)).sum(),
            waiting: depth(aws, outputs.get(&format!("{queue}QueueUrl"))?).await?,
            dead: depth(aws, outputs.get(&format!("{queue}DlqUrl"))?).await?,
        });
    }
    Ok(lanes)
}

/// Messages in a queue, also those that are being worked on or wait for another try.
async fn depth(aws: &Aws, queue: &str) -> Result<u64> {
    let answer = aws
        .sqs(
            "GetQueueAttributes",
            &json!({ "QueueUrl": queue, "AttributeNames": ["All"] }),
        )
        .await?;
    [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    .into_iter()
    .map(|name| {
        let text = answer
            .pointer(&format!("/Attributes/{name}"))
            .and_then(Value::as_str)
            .with_context(|| format!("the queue {queue} does not say {name}"))?;
        Ok(text.parse::<u64>()?)
    })
    .sum()
}

async fn records(
    outputs: &Outputs,
    aws: &Aws,
    account: &str,
    examples: &[Example],
) -> Result<Vec<Kind>> {
    let mut subjects: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut deleted: BTreeSet<&str> = BTreeSet::new();
    for event in examples.iter().flat_map(|example| &example.events) {
        subjects
            .entry(event.kind())
            .or_default()
            .insert(&event.subject);
        if event.deletes() {
            deleted.insert(&event.subject);
        }
    }
    let mut kinds = Vec::new();
    for (kind, expected) in subjects {
        let items = items(
            aws,
            outputs.get("RecordsTable")?,
            &format!("{account}#{kind}"),
        )
        .await?;
        let mut ids: Vec<String> = items
            .iter()
            .filter_map(|item| Some(item.pointer("/sk/S")?.as_str()?.to_owned()))
            .collect();
        ids.sort();
        let found = expected
            .iter()
            .filter(|subject| {
                ids.iter()
                    .any(|id| matches_subject(subject, &format!("{kind}/{id}")))
            })
            .count();
        kinds.push(Kind {
            kind: kind.to_owned(),
            expected: expected.len(),
            // More records than events spoke of would be as wrong as fewer.
            found: if found == expected.len() {
                ids.len()
            } else {
                found
            },
            to_be_deleted: expected.intersection(&deleted).count(),
            deleted: items
                .iter()
                .filter(|item| item.pointer("/deleted/BOOL").and_then(Value::as_bool) == Some(true))
                .count(),
            ids,
        });
    }
    Ok(kinds)
}

/// Every item with this partition key.
async fn items(aws: &Aws, table: &str, pk: &str) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut input = json!({
        "TableName": table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": pk } },
        "ConsistentRead": true,
    });
    loop {
        let answer = aws.dynamodb("Query", &input).await?;
        items.extend(
            answer
                .get("Items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        );
        match (answer.get("LastEvaluatedKey"), input.as_object_mut()) {
            (Some(key), Some(input)) => input.insert("ExclusiveStartKey".to_owned(), key.clone()),
            _ => return Ok(items),
        };
    }
}

/// What is missing or wrong, one sentence each.
fn problems(seen: &Seen) -> Vec<String> {
    let refused = seen
        .deliveries
        .iter()
        .filter(|delivery| !delivery.accepted())
        .map(|delivery| {
            format!(
                "{} was answered with {:?}, where 200 is right.",
                delivery.file, delivery.statuses
            )
        });
    let stuck = seen.lanes.iter().filter(|lane| lane.reached < lane.sent).map(|lane| {
        format!(
            "Lane {} is stuck: {} of its {} events reached the team's queue; {} messages wait in the lane's queue, {} in its \
             dead-letter queue.",
            lane.lane, lane.reached, lane.sent, lane.waiting, lane.dead
        )
    });
    let dead = seen
        .lanes
        .iter()
        .filter(|lane| lane.dead > 0 && lane.reached == lane.sent)
        .map(|lane| format!("Lane {} has {} dead letters.", lane.lane, lane.dead));
    let records = seen
        .records
        .iter()
        .filter(|kind| kind.found != kind.expected)
        .map(|kind| {
            format!(
                "The records table holds {} of the {} records of kind {}.",
                kind.found, kind.expected, kind.kind
            )
        });
    let deleted = seen
        .records
        .iter()
        .filter(|kind| kind.deleted != kind.to_be_deleted)
        .map(|kind| {
            format!(
                "The records table says {} records of kind {} are deleted, and {} should be.",
                kind.deleted, kind.kind, kind.to_be_deleted
            )
        });
    let apart = [
        ("quarantine", seen.quarantined),
        ("undelivered", seen.undelivered),
    ]
    .into_iter()
    .filter(|(_, messages)| *messages > 0)
    .map(|(queue, messages)| {
        format!("The {queue} queue holds {messages} messages, where it should be empty.")
    });
    refused
        .chain(stuck)
        .chain(dead)
        .chain(records)
        .chain(deleted)
        .chain(apart)
        .chain(seen.repairing.problems())
        .chain(seen.sources.iter().filter_map(SourceSeen::problem))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn good() -> Seen {
        Seen {
            ok: true,
            account: "demo-1".to_owned(),
            deliveries: vec![Delivered {
                file: "current/order.created.json".to_owned(),
                events: 1,
                statuses: vec![503, 200],
            }],
            lanes: vec![Lane {
                lane: "orders".to_owned(),
                sent: 1,
                reached: 1,
                waiting: 0,
                dead: 0,
            }],
            records: vec![Kind {
                kind: "order".to_owned(),
                expected: 1,
                found: 1,
                to_be_deleted: 1,
                deleted: 1,
                ids: vec!["or_1".to_owned()],
            }],
            quarantined: 0,
            undelivered: 0,
            repairing: Repairing {
                disabled: "wh_1".to_owned(),
                while_disabled: Vec::new(),
                found: Some("found: webhook wh_1 is missing".to_owned()),
                registered: Some("wh_2".to_owned()),
                next: vec![200],
                reached: true,
            },
            sources: vec![sources::good()],
            message: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn what_is_complete_has_no_problem() {
        assert_eq!(problems(&good()), Vec::<String>::new());
    }

    #[rstest]
    #[case::a_refused_delivery(|seen: &mut Seen| seen.deliveries[0].statuses = vec![503], "order.created.json")]
    #[case::a_stuck_lane(|seen: &mut Seen| seen.lanes[0].reached = 0, "Lane orders is stuck")]
    #[case::a_dead_letter(|seen: &mut Seen| seen.lanes[0].dead = 1, "1 dead letters")]
    #[case::a_missing_record(|seen: &mut Seen| seen.records[0].found = 0, "kind order")]
    #[case::a_record_too_many(|seen: &mut Seen| seen.records[0].found = 2, "kind order")]
    #[case::a_record_that_lives_on(|seen: &mut Seen| seen.records[0].deleted = 0, "deleted")]
    #[case::a_quarantined_delivery(|seen: &mut Seen| seen.quarantined = 1, "quarantine")]
    #[case::a_webhook_that_stays_disabled(|seen: &mut Seen| seen.repairing.registered = None, "wh_1")]
    #[case::a_source_that_is_not_connected(|seen: &mut Seen| seen.sources[0].error = Some("422".to_owned()), "onestock")]
    #[case::an_undelivered_event(|seen: &mut Seen| seen.undelivered = 1, "undelivered")]
    fn what_is_missing_is_told(#[case] spoil: fn(&mut Seen), #[case] word: &str) {
        let mut seen = good();
        spoil(&mut seen);
        let problems = problems(&seen);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(word), "{problems:?}");
    }

    #[rstest]
    #[case("order/or_1", "order/or_1", true)]
    #[case("order/or_1", "order/or_12", false)]
    #[case("payment/iv_1/*", "payment/iv_1/abc", true)]
    #[case("payment/iv_1/*", "payment/iv_1/", false)]
    #[case("payment/iv_1/*", "payment/iv_2/abc", false)]
    fn subjects_match_with_their_part_made_at_run_time(
        #[case] expected: &str,
        #[case] subject: &str,
        #[case] matches: bool,
    ) {
        assert_eq!(matches_subject(expected, subject), matches);
    }
}
