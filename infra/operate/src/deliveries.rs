//! Deliveries: what came, what was answered, and what became of the events, from receipts and logs.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::AccountName;
use domain::delivery::{KeptDelivery, Unreadable};
use domain::identity::{DeliveryId, EventId};
use domain::ports::Receipt;
use domain::record::{RecordKey, Subject};
use domain::source::Source;
use domain::timestamp::Timestamp;
use serde::Serialize;
use serde_json::json;
use sources::protocol;

use crate::fate::{Became, Fate, by_delivery, fates};
use crate::kept;
use crate::log_lines::{self, DeliveryLine, phrase_pattern};
use crate::stack::{Function, Stack};
use crate::when::{Window, back, now};
use calls::dynamodb::{self, BATCH, Item};
use calls::{Calls, Error, logs};

/// Receipts of one page.
pub const PAGE: usize = 50;
/// What is read of a receipt in a list: never its body.
const ATTRIBUTES: &str = "sk, #events, #attempts, #proof, #webhook, #part";
/// Said in so many words: who may not read payloads is allowed no query without it.
const SELECT: &str = "SPECIFIC_ATTRIBUTES";
/// Failed deliveries that are read for a list at the most: the latest, as those of the list are.
const FAILURES: u32 = 1_000;
/// How long after a delivery lines of the log are about it, in seconds: until then most retries have come.
const AFTERMATH: u64 = 3_600;
/// A day, in seconds.
const DAY: u64 = 86_400;

/// What the source was answered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Success.
    Accepted,
    /// That it has to send again.
    Refused,
}

/// A delivery of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// When it was first seen.
    pub received: String,
    /// Its id.
    pub delivery: String,
    /// Whose it is.
    pub account: String,
    /// The source's webhook that brought it.
    pub webhook: Option<String>,
    /// The part of the registration that it came by.
    pub part: Option<String>,
    /// What proved it to be genuine.
    pub proof: Option<String>,
    /// How many events were found in it.
    pub events: u64,
    /// How many bytes its body has, where the log was read.
    pub bytes: Option<u64>,
    /// How often it came.
    pub attempts: u64,
    /// What was answered last.
    pub answer: Answer,
    /// The HTTP status of that answer, where the log was read.
    pub status: Option<u64>,
    /// `quarantined` where the log says so.
    pub outcome: Option<String>,
    /// How often it was refused, by cause.
    pub refused: BTreeMap<String, u64>,
    /// What became of its events, where the log was read.
    pub became: Option<Became>,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The deliveries, the latest first.
    pub rows: Vec<Row>,
    /// Whether the logs that belong to them were read to their end.
    pub is_complete: bool,
    /// Since when failed deliveries were counted, where those of the whole window were too many (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_since: Option<String>,
}

/// Failed deliveries.
#[derive(Debug, Default)]
struct Failures {
    /// Causes by delivery.
    causes: BTreeMap<String, BTreeMap<String, u64>>,
    /// The earliest that was read, where there are earlier ones.
    since: Option<Timestamp>,
}

/// An account's deliveries, the latest first, a page at a time.
#[derive(Debug)]
pub struct List<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    account: AccountName,
    window: Window,
    /// The end of the day that is read next; none at the end of the list.
    next_day: Option<Timestamp>,
    next: Option<Item>,
    failures: Option<Failures>,
    /// Whether the logs are read too.
    has_logs: bool,
}

impl<'a> List<'a> {
    /// The deliveries of an account within a window. Where the logs are left out, neither sizes nor what became of events is
    /// known.
    #[must_use]
    pub fn of(
        calls: &'a Calls,
        stack: &'a Stack,
        account: AccountName,
        window: Window,
        has_logs: bool,
    ) -> Self {
        Self {
            calls,
            stack,
            account,
            window,
            next_day: Some(Timestamp::from_millis(window.to.millis().saturating_sub(1))),
            next: None,
            failures: None,
            has_logs,
        }
    }

    /// The next page; none at the end. One query of receipts, and one of failed deliveries with the first page. A day without
    /// deliveries is a page without rows.
    ///
    /// # Errors
    /// [`Error`] says what went wrong.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        let Some(day) = self.next_day else {
            return Ok(None);
        };
        let page = self.receipts(day).await?;
        if self.failures.is_none() {
            self.failures = Some(self.failures().await?);
        }
        self.next = page.last_evaluated_key;
        if self.next.is_none() {
            let before = back(day, DAY);
            let is_within = before < day && before.day() >= self.window.from.day();
            self.next_day = is_within.then_some(before);
        }
        let nothing = Failures::default();
        let failures = self.failures.as_ref().unwrap_or(&nothing);
        let mut rows: Vec<Row> = page
            .items
            .iter()
            .filter_map(|item| row(&self.account, item, &failures.causes))
            .collect();
        let failures_since = failures.since.map(|since| since.to_string());
        let is_complete = match self.has_logs && !rows.is_empty() {
            true => add_logs(self.calls, self.stack, &self.account, &mut rows).await?,
            false => true,
        };
        Ok(Some(Page {
            rows,
            is_complete,
            failures_since,
        }))
    }

    async fn receipts(&self, day: Timestamp) -> Result<dynamodb::Page, Error> {
        let last = Timestamp::from_millis(self.window.to.millis().saturating_sub(1));
        let input = json!({
            "TableName": self.stack.output("ReceiptsTable")?,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :from AND :to",
            "ExpressionAttributeValues": {
                ":pk": { "S": Receipt::partition_of(&self.account, &day.day()) },
                ":from": { "S": DeliveryId::new(self.window.from, &[0; 10]).to_string() },
                ":to": { "S": DeliveryId::new(last, &[0xff; 10]).to_string() },
            },
            "Select": SELECT,
            "ProjectionExpression": ATTRIBUTES,
            "ExpressionAttributeNames": {
                "#events": "events", "#attempts": "attempts", "#proof": "proof", "#webhook": "webhook", "#part": "part",
            },
            "ScanIndexForward": false,
            "Limit": PAGE,
        });
        dynamodb::query(self.calls, &input, self.next.as_ref()).await
    }

    /// A delivery is refused after it was seen.
    async fn failures(&self) -> Result<Failures, Error> {
        let input = json!({
            "TableName": self.stack.output("ReceiptsTable")?,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :from AND :to",
            "ExpressionAttributeValues": {
                ":pk": { "S": format!("#strike#{}", self.account) },
                ":from": { "S": format!("{:013}", self.window.from.millis()) },
                ":to": { "S": format!("{:013}", self.window.to.plus_seconds(AFTERMATH).millis()) },
            },
            "Select": SELECT,
            "ProjectionExpression": "sk, cause",
            "ScanIndexForward": false,
            "Limit": FAILURES,
        });
        let page = dynamodb::query(self.calls, &input, None).await?;
        let mut failures = Failures::default();
        if let Some(last) = &page.last_evaluated_key {
            let millis = last
                .text("sk")
                .and_then(|key| key.split_once('#')?.0.parse().ok());
            failures.since = millis.map(Timestamp::from_millis);
        }
        for item in &page.items {
            let key = item.text("sk").and_then(|key| key.split_once('#'));
            if let (Some((_, delivery)), Some(cause)) = (key, item.text("cause")) {
                let causes = failures.causes.entry(delivery.to_owned()).or_default();
                *causes.entry(cause.to_owned()).or_default() += 1;
            }
        }
        Ok(failures)
    }
}

/// A receipt; what cannot be read as one is left out.
fn row(
    account: &AccountName,
    item: &Item,
    failures: &BTreeMap<String, BTreeMap<String, u64>>,
) -> Option<Row> {
    let delivery: DeliveryId = item.text("sk")?.parse().ok()?;
    let refused = failures
        .get(&delivery.to_string())
        .cloned()
        .unwrap_or_default();
    let count = |name| {
        item.number(name)
            .and_then(|count| u64::try_from(count).ok())
    };
    let attempts = count("attempts").unwrap_or(1);
    let failed: u64 = refused.values().sum();
    let text = |name: &str| item.text(name).map(str::to_owned);
    Some(Row {
        received: delivery.first_seen().to_string(),
        delivery: delivery.to_string(),
        account: account.to_string(),
        webhook: text("webhook"),
        part: text("part"),
        proof: text("proof"),
        events: count("events").unwrap_or(0),
        bytes: None,
        // A refusal of which the receipt knows nothing was an attempt all the same.
        attempts: attempts.max(failed),
        answer: match failed >= attempts {
            true => Answer::Refused,
            false => Answer::Accepted,
        },
        status: None,
        outcome: None,
        refused,
        became: None,
    })
}

/// Adds what the logs say of a page. Answers whether they were read to their end.
async fn add_logs(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    rows: &mut [Row],
) -> Result<bool, Error> {
    let seen = rows
        .iter()
        .filter_map(|row| row.delivery.parse::<DeliveryId>().ok())
        .map(DeliveryId::first_seen);
    let (first, last) = seen.fold((None, None), |(first, last), at| {
        let first = first.map_or(at, |first: Timestamp| first.min(at));
        let last = last.map_or(at, |last: Timestamp| last.max(at));
        (Some(first), Some(last))
    });
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(true);
    };
    let window = aftermath(first, last);
    let phrases = [account.to_string()];
    let inbound = stack.log_group(Function::Inbound)?;
    let requests = log_lines::find(calls, inbound, &phrases, window).await?;
    let consumer = stack.log_group(Function::Consumer)?;
    let batches = log_lines::find(calls, consumer, &phrases, window).await?;
    let mut answers: BTreeMap<String, DeliveryLine> = BTreeMap::new();
    for line in requests
        .lines
        .iter()
        .filter_map(|line| log_lines::delivery(line))
    {
        if let Some(delivery) = line.delivery {
            answers.insert(delivery.to_string(), line);
        }
    }
    let lines = batches
        .lines
        .iter()
        .flat_map(|line| log_lines::events(line));
    let mut became = by_delivery(&fates(lines));
    for row in rows {
        if let Some(line) = answers.remove(&row.delivery) {
            add_answer(row, &line);
        }
        let id: Option<DeliveryId> = row.delivery.parse().ok();
        row.became = id.and_then(|id| became.remove(&id));
    }
    Ok(requests.is_complete && batches.is_complete)
}

/// Takes over what the last line about a delivery says.
fn add_answer(row: &mut Row, line: &DeliveryLine) {
    row.bytes = line.bytes;
    row.status = line.answer;
    row.outcome.clone_from(&line.outcome);
    row.attempts = row.attempts.max(line.attempt.unwrap_or(0));
    if line.answer.is_some() {
        row.answer = match line.is_success() {
            true => Answer::Accepted,
            false => Answer::Refused,
        };
    }
}

/// When lines may speak of deliveries that were first seen between two moments.
pub(crate) fn aftermath(first: Timestamp, last: Timestamp) -> Window {
    let end = last.plus_seconds(AFTERMATH).min(now().plus_seconds(60));
    let from = back(first, 60);
    Window {
        from,
        to: end.max(from.plus_seconds(120)),
    }
}

/// Requests of all accounts by inbound's log, the earliest first, a page of the log at a time.
#[derive(Debug)]
pub struct Requests<'a> {
    calls: &'a Calls,
    group: String,
    window: Window,
    next: Option<String>,
    is_over: bool,
}

impl<'a> Requests<'a> {
    /// The requests within a window.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say its log groups.
    pub fn of(calls: &'a Calls, stack: &Stack, window: Window) -> Result<Self, Error> {
        Ok(Self {
            calls,
            group: stack.log_group(Function::Inbound)?.to_owned(),
            window,
            next: None,
            is_over: false,
        })
    }

    /// The next page; none at the end. One may be empty and not the last.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such log group.
    pub async fn next_page(&mut self) -> Result<Option<Vec<DeliveryLine>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let pattern = phrase_pattern("delivery");
        let filter = logs::Filter {
            group: &self.group,
            pattern: &pattern,
            from_ms: i64::try_from(self.window.from.millis()).ok(),
            to_ms: i64::try_from(self.window.to.millis()).ok(),
            ..logs::Filter::default()
        };
        let page = logs::filter(self.calls, &filter, self.next.as_deref()).await?;
        self.is_over = page.next_token.is_none() || page.next_token == self.next;
        self.next = page.next_token;
        let lines = page.events.iter();
        Ok(Some(
            lines
                .filter_map(|line| log_lines::delivery(&line.message))
                .collect(),
        ))
    }
}

/// Whose delivery it is: what was said, else what inbound's log says.
///
/// # Errors
/// [`Error::NotFound`] where the log knows no such delivery, and nobody said whose it is.
pub async fn account_of(
    calls: &Calls,
    stack: &Stack,
    id: DeliveryId,
    said: Option<AccountName>,
) -> Result<AccountName, Error> {
    if let Some(account) = said {
        return Ok(account);
    }
    let lines = requests_about(calls, stack, &[id]).await?;
    let named = lines.iter().find_map(|line| line.account.as_deref());
    named
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| Error::NotFound {
            what: format!("delivery {id} in the log of inbound (say whose it is with --account)"),
        })
}

/// What inbound says of deliveries, the earliest line first. Lines of another account with the same id there are none.
///
/// # Errors
/// [`Error::NotFound`] where there is no such log group.
pub(crate) async fn requests_about(
    calls: &Calls,
    stack: &Stack,
    ids: &[DeliveryId],
) -> Result<Vec<DeliveryLine>, Error> {
    let seen = || ids.iter().map(|id| id.first_seen());
    let (Some(first), Some(last)) = (seen().min(), seen().max()) else {
        return Ok(Vec::new());
    };
    let phrases: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let group = stack.log_group(Function::Inbound)?;
    let found = log_lines::find(calls, group, &phrases, aftermath(first, last)).await?;
    let lines = found
        .lines
        .iter()
        .filter_map(|line| log_lines::delivery(line));
    Ok(lines
        .filter(|line| line.delivery.is_some_and(|id| ids.contains(&id)))
        .collect())
}

/// The delivery's bytes, as they came.
///
/// # Errors
/// [`Error::NotFound`] where there is no receipt of it, or none any more.
pub async fn raw(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    id: DeliveryId,
) -> Result<KeptDelivery, Error> {
    let kept = kept::delivery(calls, stack, account, id).await?;
    kept.ok_or_else(|| no_receipt(stack, account, id))
}

fn no_receipt(stack: &Stack, account: &AccountName, id: DeliveryId) -> Error {
    let days = stack.parameter("ReceiptTtlDays").unwrap_or("?");
    Error::NotFound {
        what: format!("a receipt of delivery {id} of account {account} (kept for {days} days)"),
    }
}

/// What the record of an event is now, as far as it concerns the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum RecordNow {
    /// The event has no record.
    None,
    /// There is no record: the event was not applied.
    Missing,
    /// The record is as the event left it.
    Current,
    /// A later event made the record what it is.
    Later {
        /// That event.
        event: String,
    },
    /// An earlier event made the record what it is: this one was not applied, or its source dates it earlier.
    Earlier {
        /// That event.
        event: String,
    },
    /// The record is deleted.
    Deleted,
}

/// An event of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownEvent {
    /// Its id.
    pub id: String,
    /// Its type, as the source names it.
    pub r#type: String,
    /// What it is about.
    pub subject: String,
    /// What it says about its record: `state`, `delete`, `occurrence` or `fact`.
    pub effect: &'static str,
    /// Its lane.
    pub lane: &'static str,
    /// What the log says of it.
    pub fate: Option<Fate>,
    /// What its record is now.
    #[serde(flatten)]
    pub record: RecordNow,
}

/// An element in which no event was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadElement {
    /// Its position.
    pub index: u32,
    /// What is wrong with it, in one word.
    pub reason: &'static str,
}

/// A delivery, with everything that is known of it but its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its id.
    pub delivery: String,
    /// Whose it is.
    pub account: String,
    /// Its source.
    pub source: String,
    /// When it was first seen.
    pub received: String,
    /// The part of the registration that it came by; empty where there is but one.
    pub part: String,
    /// How many bytes its body has.
    pub bytes: usize,
    /// The requests that brought it, by the log.
    pub requests: Vec<DeliveryLine>,
    /// Its events.
    pub events: Vec<ShownEvent>,
    /// Elements in which no event was recognised.
    pub bad: Vec<BadElement>,
    /// Why nothing was recognised in its body, in one word.
    pub unreadable: Option<&'static str>,
}

/// Shows a delivery: its receipt, split again as inbound splits it, its records and the lines of the logs.
///
/// # Errors
/// [`Error::NotFound`] where there is no receipt of it, or none any more.
pub async fn show(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    id: DeliveryId,
) -> Result<Shown, Error> {
    let kept = raw(calls, stack, account, id).await?;
    let requests = requests_about(calls, stack, &[id]).await?;
    let named = requests.iter().find_map(|line| line.source.as_deref());
    let source = match named.and_then(Source::named) {
        Some(source) => source,
        None => kept::source_of(calls, stack, account).await?,
    };
    let (mut events, mut bad, mut unreadable) = (Vec::new(), Vec::new(), None);
    match protocol(source).split(kept.delivery()) {
        Ok(split) => {
            events.extend(split.events.iter().map(|event| shown(id, event)));
            bad.extend(split.bad.iter().map(|element| BadElement {
                index: element.index.get(),
                reason: element.reason.as_str(),
            }));
        }
        Err(reason) => unreadable = Some(Unreadable::as_str(reason)),
    }
    let group = stack.log_group(Function::Consumer)?;
    let window = aftermath(id.first_seen(), now());
    let found = match events.is_empty() {
        true => log_lines::Found::default(),
        false => log_lines::find(calls, group, &[id.to_string()], window).await?,
    };
    let lines = found.lines.iter().flat_map(|line| log_lines::events(line));
    let mut fates = fates(lines.filter(|line| line.id.delivery() == id));
    let records = records_of(calls, stack, account, &events).await?;
    for event in &mut events {
        let Ok(event_id) = event.id.parse::<EventId>() else {
            continue;
        };
        event.fate = fates.remove(&event_id);
        if let Some(key) = record_key(account, &event.subject, event_id) {
            event.record = record_now(
                records.get(&(key.partition(), key.id.as_str().to_owned())),
                event_id,
            );
        }
    }
    Ok(Shown {
        delivery: id.to_string(),
        account: account.to_string(),
        source: source.to_string(),
        received: id.first_seen().to_string(),
        part: kept.part.clone(),
        bytes: kept.body.len(),
        requests,
        events,
        bad,
        unreadable,
    })
}

fn shown(delivery: DeliveryId, event: &domain::event::Event<'_>) -> ShownEvent {
    let id = delivery.event(event.index);
    ShownEvent {
        id: id.to_string(),
        r#type: event.event_type.to_string(),
        subject: Subject::new(&event.meaning.kind, event.record_id.as_ref(), id).to_string(),
        effect: event.meaning.effect.as_str(),
        lane: event.meaning.lane.as_str(),
        fate: None,
        record: RecordNow::None,
    }
}

fn record_key(account: &AccountName, subject: &str, event: EventId) -> Option<RecordKey> {
    Subject::parse(subject).ok()?.record(account, event)
}

/// The records of events, without their data, by partition and id.
async fn records_of(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    events: &[ShownEvent],
) -> Result<BTreeMap<(String, String), Item>, Error> {
    let keys: BTreeSet<(String, String)> = events
        .iter()
        // A fact leaves no record.
        .filter(|event| event.effect != domain::event::Effect::Fact.as_str())
        .filter_map(|event| record_key(account, &event.subject, event.id.parse().ok()?))
        .map(|key| (key.partition(), key.id.as_str().to_owned()))
        .collect();
    let keys: Vec<Item> = keys
        .iter()
        .map(|(pk, sk)| Item::key(&[("pk", pk), ("sk", sk)]))
        .collect();
    let table = stack.output("RecordsTable")?;
    let mut records = BTreeMap::new();
    for keys in keys.chunks(BATCH) {
        let items = dynamodb::batch_get(calls, table, keys, &["pk", "sk", "event_id", "deleted"]);
        for item in items.await? {
            if let (Some(pk), Some(sk)) = (item.text("pk"), item.text("sk")) {
                records.insert((pk.to_owned(), sk.to_owned()), item);
            }
        }
    }
    Ok(records)
}

fn record_now(item: Option<&Item>, event: EventId) -> RecordNow {
    let Some(item) = item else {
        return RecordNow::Missing;
    };
    if item.boolean("deleted") == Some(true) {
        return RecordNow::Deleted;
    }
    match item.text("event_id") {
        Some(last) if last == event.to_string() => RecordNow::Current,
        Some(last) if *last > *event.to_string() => RecordNow::Later {
            event: last.to_owned(),
        },
        Some(last) => RecordNow::Earlier {
            event: last.to_owned(),
        },
        None => RecordNow::Missing,
    }
}

/// What a receipt says of how its delivery came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Brief {
    /// How often it came.
    pub(crate) attempts: Option<u64>,
    /// The source's webhook that brought it.
    pub(crate) webhook: Option<String>,
    /// How many events were found in it.
    pub(crate) events: Option<u64>,
}

/// What receipts say of how deliveries came: one call for a hundred of them.
pub(crate) async fn briefs(
    calls: &Calls,
    stack: &Stack,
    deliveries: &BTreeSet<(AccountName, DeliveryId)>,
) -> Result<BTreeMap<DeliveryId, Brief>, Error> {
    let keys: Vec<Item> = deliveries
        .iter()
        .map(|(account, id)| {
            let pk = Receipt::partition_of(account, &id.first_seen().day());
            Item::key(&[("pk", &pk), ("sk", &id.to_string())])
        })
        .collect();
    let table = stack.output("ReceiptsTable")?;
    let mut found = BTreeMap::new();
    for keys in keys.chunks(BATCH) {
        let attributes = ["sk", "attempts", "webhook", "events"];
        for item in dynamodb::batch_get(calls, table, keys, &attributes).await? {
            let count = |name| {
                item.number(name)
                    .and_then(|count| u64::try_from(count).ok())
            };
            if let Some(id) = item.text("sk").and_then(|id| id.parse().ok()) {
                let brief = Brief {
                    attempts: count("attempts"),
                    webhook: item.text("webhook").map(str::to_owned),
                    events: count("events"),
                };
                found.insert(id, brief);
            }
        }
    }
    Ok(found)
}
