//! The lines of the functions' logs: what inbound says of a request, and what the consumer says of a batch's events.
//!
//! A line that says something else, or in another form, is passed over: logs have lines of the runtime and of other releases.

use std::borrow::Cow;
use std::collections::BTreeSet;

use domain::identity::{DeliveryId, EventId};
use domain::timestamp::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::when::Window;
use calls::{Calls, Error, logs};

/// What inbound says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct DeliveryLine {
    /// When it was answered.
    #[serde(rename = "timestamp")]
    pub at: Option<String>,
    /// The account; of a request that was not proved, that of its URL token.
    pub account: Option<String>,
    /// The source that the URL names.
    pub source: Option<String>,
    /// The delivery, once it was proved.
    #[serde(default, deserialize_with = "id", serialize_with = "written")]
    pub delivery: Option<DeliveryId>,
    /// The source's webhook.
    pub webhook: Option<String>,
    /// The part of the registration.
    pub part: Option<String>,
    /// How many events were found in it.
    pub events: Option<u64>,
    /// How many bytes its body has.
    pub bytes: Option<u64>,
    /// Which attempt it was; the first is 1.
    pub attempt: Option<u64>,
    /// The HTTP status that was answered.
    pub answer: Option<u64>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// `accepted`, `quarantined`, `greeted`, `unauthenticated` or `refused`.
    pub outcome: Option<String>,
    /// Why, where it was not accepted.
    pub cause: Option<String>,
}

impl DeliveryLine {
    /// Whether the source was answered with success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.answer
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// What the consumer says of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct EventLine {
    /// When its batch was done.
    #[serde(default)]
    pub at: Option<String>,
    /// The lane.
    #[serde(default)]
    pub lane: Option<String>,
    /// The event.
    #[serde(deserialize_with = "event_id", serialize_with = "event_written")]
    pub id: EventId,
    /// Its account.
    pub account: String,
    /// Its type, as the source names it.
    pub r#type: String,
    /// What it is about.
    pub subject: String,
    /// What it did to its record, or `failed`.
    pub outcome: String,
    /// The teams whose queues accepted it.
    #[serde(default)]
    pub teams: Vec<String>,
    /// The teams that it was set aside for.
    #[serde(default)]
    pub undelivered: Vec<String>,
    /// How long before it had been seen first, in milliseconds.
    #[serde(default)]
    pub age_ms: Option<u64>,
    /// Whether it says what the record's event before said.
    #[serde(default)]
    pub possible_duplicate: bool,
    /// Whether an operator sent it again.
    #[serde(default)]
    pub replayed: bool,
    /// Whether its message comes again.
    #[serde(default)]
    pub again: bool,
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DeliveryId>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

fn event_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[expect(clippy::ref_option, reason = "serde passes it so")]
fn written<S: Serializer>(id: &Option<DeliveryId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn event_written<S: Serializer>(id: &EventId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// What every line has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

fn says(line: &str, message: &str) -> bool {
    serde_json::from_str::<Head<'_>>(line).is_ok_and(|head| head.message == message)
}

/// What a line says of a request; none where it is another line. What this release leaves out because most deliveries have it
/// in common is put in.
#[must_use]
pub fn delivery(line: &str) -> Option<DeliveryLine> {
    says(line, "delivery").then_some(())?;
    let mut read: DeliveryLine = serde_json::from_str(line).ok()?;
    let members: Map<String, Value> = serde_json::from_str(line).ok()?;
    read.at = time(&members);
    // The release before says all of it, in a line without metrics.
    if members.contains_key(METRICS) {
        read.answer = read.answer.or(Some(200));
        read.outcome = read.outcome.or_else(|| Some("accepted".to_owned()));
        if read.delivery.is_some() {
            read.attempt = read.attempt.or(Some(1));
            read.events = read.events.or(Some(1));
        }
    }
    Some(read)
}

/// The member of a line that has metrics in it.
const METRICS: &str = "_aws";

/// When a line was written, as its text says it.
#[must_use]
pub fn time(members: &Map<String, Value>) -> Option<String> {
    if let Some(text) = members.get("timestamp") {
        return text.as_str().map(str::to_owned);
    }
    let millis = members.get(METRICS)?.get("Timestamp")?.as_u64()?;
    Some(Timestamp::from_millis(millis).to_string())
}

/// What a line says of a batch's events; nothing where it is another line. An event that cannot be read costs no other one.
#[must_use]
pub fn events(line: &str) -> Vec<EventLine> {
    let events = batch(line).into_iter();
    let events = events.filter_map(|event| serde_json::from_value(event).ok());
    events.collect()
}

/// The events of a batch's line, each as an object that says all of it.
///
/// The release before wrote such objects. Now an event is a list of its id, its type, its subject and an object with what it
/// has besides, and what most have in common stands in the line: `account`, `outcome` and `teams`.
pub(crate) fn batch(line: &str) -> Vec<Value> {
    if !says(line, "batch") {
        return Vec::new();
    }
    let Ok(mut line) = serde_json::from_str::<Map<String, Value>>(line) else {
        return Vec::new();
    };
    let events = match line.remove("events") {
        Some(Value::Array(list)) => list,
        // A list's text, where the logger has no lists.
        Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
        _ => return Vec::new(),
    };
    let (written, lane) = (time(&line), line.get("lane").cloned().unwrap_or_default());
    let in_common = ["account", "outcome", "teams"];
    let in_common: Map<String, Value> = in_common
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), line.get(name)?.clone())))
        .collect();
    let whole = |event: Value| {
        let mut whole = match event {
            Value::Object(event) => event,
            Value::Array(event) => {
                let mut whole = in_common.clone();
                let mut members = event.into_iter();
                for name in ["id", "type", "subject"] {
                    whole.insert(name.to_owned(), members.next()?);
                }
                if let Some(Value::Object(besides)) = members.next() {
                    whole.extend(besides);
                }
                let id: Option<EventId> = whole.get("id")?.as_str()?.parse().ok();
                let seen = id?.delivery().first_seen();
                let age = at(written.as_deref())
                    .map(|written| written.millis().saturating_sub(seen.millis()));
                whole.insert("age_ms".to_owned(), age.into());
                whole
            }
            _ => return None,
        };
        whole.insert("at".to_owned(), written.clone().into());
        whole.insert("lane".to_owned(), lane.clone());
        Some(Value::Object(whole))
    };
    events.into_iter().filter_map(whole).collect()
}

/// The moment that a line names.
#[must_use]
pub fn at(text: Option<&str>) -> Option<Timestamp> {
    let at = calls::instant(text?)?;
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?;
    Some(Timestamp::from_millis(millis))
}

/// The JSON of a line, as far as it is JSON.
#[must_use]
pub fn json(line: &str) -> Option<&RawValue> {
    serde_json::from_str(line.trim()).ok()
}

/// Lines that were found, the earliest first.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The lines.
    pub lines: Vec<String>,
    /// Whether everything was read.
    pub is_complete: bool,
}

/// Pages of a log that one search reads at the most, of up to a megabyte each.
const PAGES: usize = 40;
/// Lines that one query of Insights answers at the most.
const LINES: u32 = 10_000;
/// How often a query of Insights is asked for, and how long after the time before, in milliseconds.
const ASKED: u32 = 60;
const PAUSE_MS: u64 = 500;
/// The longest window that is read page by page, in milliseconds.
const LONGEST_READ: u64 = 3_600_000;

/// Looks in a log for lines that have one of these phrases in them. A window of an hour is read page by page, which costs
/// nothing; more is asked of Insights, which costs half a cent a gigabyte. An emulator's log is always read.
///
/// # Errors
/// [`Error::NotFound`] where there is no such log group.
pub async fn find(
    calls: &Calls,
    group: &str,
    phrases: &[String],
    window: Window,
) -> Result<Found, Error> {
    if phrases.is_empty() {
        return Ok(Found {
            lines: Vec::new(),
            is_complete: true,
        });
    }
    if calls.is_emulated() || (window.millis() <= LONGEST_READ && phrases.len() == 1) {
        read(calls, group, phrases, window).await
    } else {
        ask(calls, group, phrases, window).await
    }
}

/// Reads a log page by page, once for each phrase.
///
/// # Errors
/// [`Error::NotFound`] where there is no such log group.
pub async fn read(
    calls: &Calls,
    group: &str,
    phrases: &[String],
    window: Window,
) -> Result<Found, Error> {
    let mut found = Vec::new();
    let mut pages = 0;
    for phrase in phrases {
        let pattern = phrase_pattern(phrase);
        let filter = logs::Filter {
            group,
            pattern: &pattern,
            from_ms: i64::try_from(window.from.millis()).ok(),
            to_ms: i64::try_from(window.to.millis()).ok(),
            ..logs::Filter::default()
        };
        let mut next: Option<String> = None;
        loop {
            if pages == PAGES {
                return Ok(sorted(found, false));
            }
            pages += 1;
            let page = logs::filter(calls, &filter, next.as_deref()).await?;
            let lines = page.events.into_iter();
            found.extend(lines.map(|line| (line.timestamp, line.message)));
            match page.next_token {
                Some(token) if next.as_ref() != Some(&token) => next = Some(token),
                _ => break,
            }
        }
    }
    Ok(sorted(found, true))
}

/// In the order of their times; lines of one moment stay as the log has them. A line that two phrases fit is there once.
fn sorted(mut found: Vec<(i64, String)>, is_complete: bool) -> Found {
    let mut known = BTreeSet::new();
    found.retain(|line| known.insert(line.clone()));
    found.sort_by_key(|(at, _)| *at);
    Found {
        lines: found.into_iter().map(|(_, line)| line).collect(),
        is_complete,
    }
}

/// Asks Insights for the lines, and waits for the answer.
///
/// # Errors
/// [`Error::NotFound`] where there is no such log group; [`Error::Unreachable`] where the query does not end.
pub async fn ask(
    calls: &Calls,
    group: &str,
    phrases: &[String],
    window: Window,
) -> Result<Found, Error> {
    let conditions: Vec<String> = phrases
        .iter()
        .map(|phrase| format!("@message like \"{}\"", escaped(phrase)))
        .collect();
    let query = format!(
        "fields @message | filter {} | sort @timestamp asc",
        conditions.join(" or ")
    );
    let seconds = |at: Timestamp| i64::try_from(at.seconds()).unwrap_or(i64::MAX);
    let (from, to) = (seconds(window.from), seconds(window.to).saturating_add(1));
    let id = logs::start_query(calls, group, &query, from, to, LINES).await?;
    for _ in 0..ASKED {
        let results = logs::query_results(calls, &id).await?;
        match results.status.as_str() {
            "Scheduled" | "Running" | "Unknown" => {
                tokio::time::sleep(std::time::Duration::from_millis(PAUSE_MS)).await;
            }
            "Complete" => {
                let lines: Vec<String> = results
                    .results
                    .into_iter()
                    .filter_map(|row| row.into_iter().find(|field| field.field == "@message"))
                    .map(|field| field.value)
                    .collect();
                return Ok(Found {
                    is_complete: u32::try_from(lines.len()).is_ok_and(|count| count < LINES),
                    lines,
                });
            }
            status => {
                return Err(Error::unreadable(
                    format!("log group {group}"),
                    format!("the query ended as {status}"),
                ));
            }
        }
    }
    Err(Error::Unreachable {
        action: "logs:GetQueryResults".to_owned(),
        reason: "the query is still running".to_owned(),
    })
}

/// A pattern of FilterLogEvents that lines with this phrase fit. What a pattern cannot quote ends the phrase: more lines fit,
/// and are looked at here.
#[must_use]
pub fn phrase_pattern(phrase: &str) -> String {
    let plain = phrase.split(['"', '\\', '\n', '\r', '\t']);
    let longest = plain.max_by_key(|part| part.len()).unwrap_or_default();
    format!("\"{longest}\"")
}

fn escaped(phrase: &str) -> String {
    phrase.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ID: &str = "0193b3c8-7c1a-7000-8000-000000000000";

    fn batch(events: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-11-20T12:00:00.000Z","level":"INFO","lane":"orders","messages":1,"events":{events},"message":"batch"}}"#
        )
    }

    #[test]
    fn a_request_reads_back() {
        let line = format!(
            r#"{{"timestamp":"2026-11-20T12:00:00.000Z","account":"acme","source":"orderspace","delivery":"{ID}","events":3,"bytes":6100,"attempt":2,"answer":200,"duration_ms":48,"outcome":"accepted","message":"delivery","new":[1]}}"#
        );
        let read = delivery(&line).unwrap();
        assert_eq!(read.delivery.unwrap().to_string(), ID);
        assert_eq!((read.attempt, read.answer), (Some(2), Some(200)));
        assert!(read.is_success());
        let unproved = r#"{"answer":401,"outcome":"unauthenticated","cause":"unknown_token","message":"delivery"}"#;
        let unproved = delivery(unproved).unwrap();
        assert!(unproved.delivery.is_none() && !unproved.is_success());
    }

    /// Lines as this release writes them, which say once or not at all what most have in common.
    #[test]
    fn what_is_left_out_is_put_in() {
        let metrics = r#""_aws":{"Timestamp":1795176000000,"CloudWatchMetrics":[]},"Stack":"a""#;
        let line = format!(
            r#"{{{metrics},"Deliveries":1,"message":"delivery","account":"acme","delivery":"{ID}","bytes":61,"duration_ms":48}}"#
        );
        let read = delivery(&line).unwrap();
        assert_eq!(read.at.as_deref(), Some("2026-11-20T12:00:00.000Z"));
        assert_eq!(
            (read.answer, read.attempt, read.events),
            (Some(200), Some(1), Some(1))
        );
        assert_eq!(read.outcome.as_deref(), Some("accepted"));
        assert!(read.is_success() && read.delivery.is_some());
        let line = format!(
            r#"{{{metrics},"message":"delivery","level":"WARN","bytes":0,"answer":401,"outcome":"unauthenticated","cause":"unknown_token"}}"#
        );
        let read = delivery(&line).unwrap();
        assert_eq!(
            (read.answer, read.attempt, read.events),
            (Some(401), None, None)
        );
        assert!(!read.is_success());

        let line = format!(
            r#"{{{metrics},"message":"batch","lane":"orders","messages":5,"account":"acme","outcome":"applied","teams":["sales"],
            "events":[["{ID}.00001","order.created","order/or_1"],
            ["{ID}.00002","order.created","order/or_2",{{"account":"bravo","outcome":"failed","teams":[],"again":true}}],
            ["{ID}.00003","order.created"],["?","order.created","order/or_3"],[7],7,null,[]]}}"#
        );
        let found = events(&line);
        assert_eq!(found.len(), 2, "{found:?}");
        let first_seen = found[0].id.delivery().first_seen().millis();
        assert_eq!(found[0].age_ms, Some(1_795_176_000_000 - first_seen));
        assert_eq!(found[0].at.as_deref(), Some("2026-11-20T12:00:00.000Z"));
        assert_eq!(found[0].lane.as_deref(), Some("orders"));
        let said = |event: &EventLine| {
            let EventLine {
                account,
                subject,
                outcome,
                teams,
                again,
                ..
            } = event.clone();
            (account, subject, outcome, teams.len(), again)
        };
        let of = |account: &str, subject: &str, outcome: &str, teams, again| {
            (
                account.to_owned(),
                subject.to_owned(),
                outcome.to_owned(),
                teams,
                again,
            )
        };
        assert_eq!(
            said(&found[0]),
            of("acme", "order/or_1", "applied", 1, false)
        );
        assert_eq!(
            said(&found[1]),
            of("bravo", "order/or_2", "failed", 0, true)
        );
    }

    #[rstest]
    #[case::none("")]
    #[case::runtime("START RequestId: 1 Version: $LATEST delivery")]
    #[case::another(r#"{"message":"answered","answer":200}"#)]
    #[case::wrong_type(r#"{"message":"delivery","answer":"200"}"#)]
    #[case::no_message(r#"{"answer":200}"#)]
    #[case::not_text(r#"{"message":1}"#)]
    fn other_lines_are_no_requests(#[case] line: &str) {
        assert_eq!(delivery(line), None);
        assert!(events(line).is_empty());
    }

    #[test]
    fn an_event_that_cannot_be_read_costs_no_other() {
        let good = format!(
            r#"{{"id":"{ID}.00001","account":"acme","type":"order.created","subject":"order/or_1","outcome":"applied","teams":["sales"],"age_ms":900}}"#
        );
        let list = format!(r#"[{{"id":"?"}},7,{good},{{"id":"{ID}.00002","account":1}}]"#);
        let found = events(&batch(&list));
        assert_eq!(found.len(), 1);
        let event = &found[0];
        assert_eq!((event.id.index().get(), event.age_ms), (1, Some(900)));
        assert_eq!(event.lane.as_deref(), Some("orders"));
        assert_eq!(at(event.at.as_deref()).unwrap().millis(), 1_795_176_000_000);
        for events_of in ["null", "{}", "\"[]\"", "7"] {
            assert!(events(&batch(events_of)).is_empty(), "{events_of}");
        }
    }

    #[rstest]
    #[case("order/or_1", "\"order/or_1\"")]
    #[case("a\"bcd\\e", "\"bcd\"")]
    #[case("", "\"\"")]
    fn phrases(#[case] phrase: &str, #[case] pattern: &str) {
        assert_eq!(phrase_pattern(phrase), pattern);
    }
}
