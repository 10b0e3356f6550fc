//! The way of an event, a delivery or a record: what came, what was answered, what it did to its record, and which teams have
//! it.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::AccountName;
use domain::identity::{DeliveryId, EventId};
use domain::record::{RecordKey, Subject};
use serde::Serialize;

use crate::deliveries::{self, Brief, RecordNow, aftermath};
use crate::fate::{Fate, fates};
use crate::log_lines::{self, DeliveryLine, EventLine, event_written};
use crate::records::{self, Condition, State};
use crate::stack::{Function, Stack};
use crate::when::{Window, now};
use calls::{Calls, Error};

/// Deliveries whose requests are looked for in one trace.
const MOST_DELIVERIES: usize = 50;

/// What an operator asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An event, by its id.
    Event(EventId),
    /// A delivery, by its id.
    Delivery(DeliveryId),
    /// A record, by what events call it.
    Subject(Subject),
    /// An order, by the number that people know.
    Number(String),
}

impl What {
    /// Reads an argument by its shape.
    ///
    /// # Errors
    /// [`Error::Usage`] where the text is empty.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Event(id));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Delivery(id));
        }
        if let Ok(subject) = Subject::parse(text) {
            return Ok(Self::Subject(subject));
        }
        match text.trim() {
            "" => Err(Error::Usage(
                "say an event id, a delivery id, kind/id or an order number".to_owned(),
            )),
            number => Ok(Self::Number(number.to_owned())),
        }
    }
}

/// How a delivery came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Came {
    /// How many events it had.
    pub of: Option<u64>,
    /// The source's webhook that brought it.
    pub webhook: Option<String>,
    /// How often it came.
    pub attempts: Option<u64>,
    /// How often it was refused, by cause, as far as the log shows.
    pub refused: BTreeMap<String, u64>,
    /// The HTTP status of the answer that was success.
    pub answer: Option<u64>,
    /// When that was given.
    pub answered: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// An event on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The event.
    #[serde(serialize_with = "event_written")]
    pub event: EventId,
    /// When its delivery was first seen.
    pub received: String,
    /// Its type, as the source names it.
    pub r#type: String,
    /// What it is about.
    pub subject: String,
    /// How its delivery came.
    pub came: Came,
    /// What became of it; none where the log does not say.
    pub fate: Option<Fate>,
    /// What its record is now, where that is all that is known.
    pub record: Option<RecordNow>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// What was looked for.
    pub what: String,
    /// The account.
    pub account: Option<String>,
    /// The record as it is now, where one record was asked about.
    pub record: Option<State>,
    /// The events, the earliest first.
    pub steps: Vec<Step>,
    /// How many of them wait in the undelivered queue, by team.
    pub waiting: BTreeMap<String, u64>,
    /// Whether everything in the logs was read.
    pub is_complete: bool,
    /// Since when the logs were looked at.
    pub since: String,
    /// How many records were read to find a number.
    pub records_read: usize,
    /// The deliveries of before those that are shown, where a record has more than are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Earlier>,
}

/// Deliveries that brought a record and are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// How many.
    pub deliveries: usize,
    /// Until when the log has to be looked at for the latest of them (RFC 3339).
    pub until: String,
}

/// Follows what is asked about.
///
/// # Errors
/// [`Error::NotFound`] where neither logs nor tables know it; [`Error::Usage`] where the account has to be said and is not.
pub async fn trace(
    calls: &Calls,
    stack: &Stack,
    what: &What,
    account: Option<&AccountName>,
    window: Window,
) -> Result<Trace, Error> {
    match what {
        What::Event(id) => of_delivery(calls, stack, id.delivery(), Some(*id), account).await,
        What::Delivery(id) => of_delivery(calls, stack, *id, None, account).await,
        What::Subject(subject) => of_subject(calls, stack, subject, account, window).await,
        What::Number(number) => {
            let account = account.ok_or_else(|| {
                Error::Usage(format!(
                    "{number:?} is no id, and an order number is looked for in one account: say --account"
                ))
            })?;
            let (subject, read) = numbered(calls, stack, account, number).await?;
            let mut trace = of_subject(calls, stack, &subject, Some(account), window).await?;
            trace.records_read = read;
            Ok(trace)
        }
    }
}

/// The order that has a number. There is no index of numbers, so the orders are read until it is found.
async fn numbered(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    number: &str,
) -> Result<(Subject, usize), Error> {
    let condition = Condition::new("number", number);
    let mut list = records::List::of(calls, stack, account.clone(), "order", vec![condition]);
    while let Some(page) = list.next_page().await? {
        if let Some(record) = page.first() {
            let subject = Subject::parse(format!("order/{}", record.state.id));
            let subject = subject.map_err(|error| Error::unreadable("a record's key", error))?;
            return Ok((subject, list.read));
        }
    }
    Err(Error::NotFound {
        what: format!(
            "an order with number {number} among the {} of account {account}",
            list.read
        ),
    })
}

async fn of_delivery(
    calls: &Calls,
    stack: &Stack,
    delivery: DeliveryId,
    event: Option<EventId>,
    account: Option<&AccountName>,
) -> Result<Trace, Error> {
    let window = aftermath(delivery.first_seen(), now());
    let group = stack.log_group(Function::Consumer)?;
    let found = log_lines::find(calls, group, &[delivery.to_string()], window).await?;
    let is_meant = |id: EventId| id.delivery() == delivery && event.is_none_or(|event| event == id);
    let lines = found.lines.iter().flat_map(|line| log_lines::events(line));
    let fates = fates(lines.filter(|line| is_meant(line.id)));
    let requests = deliveries::requests_about(calls, stack, &[delivery]).await?;
    let what = event.map_or_else(|| delivery.to_string(), |event| event.to_string());
    let mut trace = Trace {
        what,
        account: None,
        record: None,
        steps: Vec::new(),
        waiting: BTreeMap::new(),
        is_complete: found.is_complete,
        since: window.from.to_string(),
        records_read: 0,
        earlier: None,
    };
    let logged = fates.values().map(|fate| fate.account.as_str());
    let logged = logged
        .chain(requests.iter().filter_map(|line| line.account.as_deref()))
        .next();
    let owner: Option<AccountName> = match account {
        Some(account) => Some(account.clone()),
        None => logged.and_then(|name| name.parse().ok()),
    };
    let owner = owner.ok_or_else(|| Error::NotFound {
        what: format!(
            "{} in the logs (say whose it is with --account)",
            trace.what
        ),
    })?;
    trace.account = Some(owner.to_string());
    let briefs =
        deliveries::briefs(calls, stack, &BTreeSet::from([(owner.clone(), delivery)])).await?;
    if fates.is_empty() {
        // The logs are gone, or the consumer has not had it yet: the receipt and the records still say something.
        let shown = deliveries::show(calls, stack, &owner, delivery).await?;
        let came = came(briefs.get(&delivery), &requests);
        for shown in shown.events {
            let Ok(id) = shown.id.parse::<EventId>() else {
                continue;
            };
            if is_meant(id) {
                trace.steps.push(Step {
                    event: id,
                    received: delivery.first_seen().to_string(),
                    r#type: shown.r#type,
                    subject: shown.subject,
                    came: came.clone(),
                    fate: None,
                    record: Some(shown.record),
                });
            }
        }
        if trace.steps.is_empty() && event.is_some() {
            return Err(Error::NotFound {
                what: format!("event {}", trace.what),
            });
        }
    } else {
        trace.add(fates, &requests, &briefs);
    }
    if let Some(step) = trace.steps.first()
        && event.is_some()
        && let Some(key) = key_of(&owner, &step.subject, step.event)
    {
        trace.record = records::find(calls, stack, &key).await?;
    }
    Ok(trace)
}

async fn of_subject(
    calls: &Calls,
    stack: &Stack,
    subject: &Subject,
    account: Option<&AccountName>,
    window: Window,
) -> Result<Trace, Error> {
    let group = stack.log_group(Function::Consumer)?;
    let phrase = [subject.as_str().to_owned()];
    let found = log_lines::find(calls, group, &phrase, window).await?;
    let lines = found.lines.iter().flat_map(|line| log_lines::events(line));
    let lines: Vec<EventLine> = lines
        .filter(|line| {
            line.subject == subject.as_str()
                && account.is_none_or(|account| account.as_str() == line.account)
        })
        .collect();
    let mut fates = fates(lines.iter().cloned());
    let owners: BTreeSet<String> = fates.values().map(|fate| fate.account.clone()).collect();
    if owners.len() > 1 {
        let owners: Vec<String> = owners.into_iter().collect();
        return Err(Error::Usage(format!(
            "{subject} is a record of several accounts ({}): say --account",
            owners.join(", ")
        )));
    }
    let owner: Option<AccountName> = match account {
        Some(account) => Some(account.clone()),
        None => owners.first().and_then(|name| name.parse().ok()),
    };
    let owner = owner.ok_or_else(|| Error::NotFound {
        what: format!(
            "{subject} in the log since {} (look further back with --since, or say --account)",
            window.from
        ),
    })?;
    // The latest are those that are asked about.
    let mut ids: BTreeSet<DeliveryId> = fates.keys().map(|id| id.delivery()).collect();
    let mut dropped = BTreeSet::new();
    while ids.len() > MOST_DELIVERIES {
        dropped.extend(ids.pop_first());
    }
    fates.retain(|id, _| ids.contains(&id.delivery()));
    // By when the log knew of the last of these: some of them were worked on after later ones came.
    let logged = lines
        .iter()
        .filter(|line| dropped.contains(&line.id.delivery()))
        .filter_map(|line| log_lines::at(line.at.as_deref()))
        .chain(dropped.last().map(|id| id.first_seen()))
        .max();
    let earlier = logged.map(|logged| Earlier {
        deliveries: dropped.len(),
        until: logged.plus_seconds(1).to_string(),
    });
    let listed: Vec<DeliveryId> = ids.iter().copied().collect();
    let requests = deliveries::requests_about(calls, stack, &listed).await?;
    let keys = ids.into_iter().map(|id| (owner.clone(), id)).collect();
    let briefs = deliveries::briefs(calls, stack, &keys).await?;
    let record = match subject.as_str().split_once('/') {
        Some((kind, id)) => {
            let key = records::key(&owner, kind, Some(id))?;
            records::find(calls, stack, &key).await?
        }
        None => None,
    };
    if fates.is_empty() && record.is_none() {
        return Err(Error::NotFound {
            what: format!("{subject} of account {owner}"),
        });
    }
    let mut trace = Trace {
        what: subject.to_string(),
        account: Some(owner.to_string()),
        record,
        steps: Vec::new(),
        waiting: BTreeMap::new(),
        is_complete: found.is_complete,
        since: window.from.to_string(),
        records_read: 0,
        earlier,
    };
    trace.add(fates, &requests, &briefs);
    Ok(trace)
}

fn key_of(account: &AccountName, subject: &str, event: EventId) -> Option<RecordKey> {
    Subject::parse(subject).ok()?.record(account, event)
}

impl Trace {
    fn add(
        &mut self,
        fates: BTreeMap<EventId, Fate>,
        requests: &[DeliveryLine],
        briefs: &BTreeMap<DeliveryId, Brief>,
    ) {
        for (event, fate) in fates {
            let delivery = event.delivery();
            let about: Vec<DeliveryLine> = requests
                .iter()
                .filter(|line| line.delivery == Some(delivery))
                .cloned()
                .collect();
            for team in &fate.waiting {
                *self.waiting.entry(team.clone()).or_default() += 1;
            }
            self.steps.push(Step {
                event,
                received: delivery.first_seen().to_string(),
                r#type: fate.r#type.clone(),
                subject: fate.subject.clone(),
                came: came(briefs.get(&delivery), &about),
                fate: Some(fate),
                record: None,
            });
        }
    }
}

/// How a delivery came, by its receipt and by the lines about it.
fn came(brief: Option<&Brief>, lines: &[DeliveryLine]) -> Came {
    let brief = brief.cloned().unwrap_or_default();
    let mut came = Came {
        of: brief.events,
        webhook: brief.webhook,
        attempts: brief.attempts,
        ..Came::default()
    };
    for line in lines {
        came.attempts = came.attempts.max(line.attempt);
        came.of = came.of.or(line.events);
        if came.webhook.is_none() {
            came.webhook.clone_from(&line.webhook);
        }
        if line.is_success() {
            came.answer = line.answer;
            came.answered.clone_from(&line.at);
            came.duration_ms = line.duration_ms;
        } else if let Some(cause) = &line.cause {
            *came.refused.entry(cause.clone()).or_default() += 1;
        }
    }
    came
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ID: &str = "0193b3c8-7c1a-7000-8000-000000000000";

    #[rstest]
    #[case(&format!("{ID}.00003"), "event")]
    #[case(ID, "delivery")]
    #[case("order/or_1", "subject")]
    #[case("1204", "number")]
    #[case(" 1204 ", "number")]
    #[case("", "nothing")]
    #[case(" ", "nothing")]
    fn arguments_by_their_shape(#[case] text: &str, #[case] expected: &str) {
        let found = match What::parse(text) {
            Ok(What::Event(_)) => "event",
            Ok(What::Delivery(_)) => "delivery",
            Ok(What::Subject(_)) => "subject",
            Ok(What::Number(number)) => {
                assert_eq!(number, "1204");
                "number"
            }
            Err(_) => "nothing",
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_delivery_that_was_refused_first_came_more_than_once() {
        let line = |json: &str| log_lines::delivery(json).unwrap();
        let lines = [
            line(
                r#"{"message":"delivery","attempt":1,"answer":503,"cause":"queue_refused","outcome":"refused"}"#,
            ),
            line(
                r#"{"message":"delivery","attempt":2,"answer":503,"cause":"queue_refused","outcome":"refused"}"#,
            ),
            line(
                r#"{"message":"delivery","attempt":3,"answer":200,"events":4,"webhook":"wh_1","duration_ms":48,"outcome":"accepted"}"#,
            ),
        ];
        let came = came(None, &lines);
        assert_eq!(
            (came.attempts, came.of, came.answer),
            (Some(3), Some(4), Some(200))
        );
        assert_eq!(came.refused["queue_refused"], 2);
        assert_eq!(came.webhook.as_deref(), Some("wh_1"));
    }
}
