//! The other sources: an account of each is connected and brings one event, which is seen at its record, in the team's queue,
//! and in unified form where it has one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::aws::{Answer, Aws};
use anyhow::{Context as _, Result, bail};
use domain::source::Source;
use http::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use simulator::control::{Deliver, ForeignWebhook, NewSite, WebhookChange};
use simulator::{Control, EventText, RetryPolicy, SiteControl};

use crate::connecting::desired;
use crate::demo::queue;
use crate::outputs::Outputs;
use crate::progress::Progress;
use crate::teams;

/// What is sent by a source: an example, as the source's simulator takes it.
#[derive(Clone, Debug)]
pub struct Other {
    source: Source,
    /// The event's type.
    name: &'static str,
    /// Whether it has a unified form.
    is_unified: bool,
    /// The status of success.
    success: u16,
    event: String,
}

/// The other sources, with the file of an example, its type, whether it has a unified form, and the status of success.
const SOURCES: [(Source, &str, bool, u16); 4] = [
    (Source::Ordermentum, "order_created", true, 200),
    (Source::OneStock, "order_state_changed", true, 202),
    // It names what changed, and brings nothing of it.
    (Source::Apideck, "ecommerce.order.created", false, 200),
    // Relayed from Orderspace.
    (Source::StackOne, "order.created", true, 200),
];

/// Reads the examples below the fixtures.
///
/// # Errors
/// One is missing.
pub fn read(fixtures: &Path) -> Result<Vec<Other>> {
    let read = |(source, name, is_unified, success): (Source, &'static str, bool, u16)| {
        let path = fixtures.join(format!("{source}/current/{name}.json"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))?;
        let event = match source {
            // A body does not name its topic, so the simulator is given both.
            Source::OneStock => format!(r#"{{"event":"{name}","data":{text}}}"#),
            _ => text,
        };
        Ok(Other {
            source,
            name,
            is_unified,
            success,
            event,
        })
    };
    SOURCES.into_iter().map(read).collect()
}

/// What came of one source's delivery.
#[derive(Debug, Serialize)]
pub struct SourceSeen {
    /// The source.
    pub source: &'static str,
    /// The account that was connected.
    pub account: String,
    /// The type of the event that was sent.
    pub sent: &'static str,
    /// What each attempt was answered with; 0 is no answer.
    pub statuses: Vec<u16>,
    /// The status of success.
    pub success: u16,
    /// What proved the delivery, as the account shows it.
    pub proof: Option<String>,
    /// The event's subject in the team's queue.
    pub subject: Option<String>,
    /// Whether the records table has a record for that.
    pub record: bool,
    /// The event's type in the team's queue.
    pub message: Option<String>,
    /// Whether a unified form is expected.
    pub expects_unified: bool,
    /// The message of the team that asks for unified events.
    pub unified: Option<Box<RawValue>>,
    /// Why the account could not be connected, or the event not be sent.
    pub error: Option<String>,
}

impl SourceSeen {
    /// What is missing first, in a sentence.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let source = self.source;
        if let Some(error) = &self.error {
            return Some(format!(
                "The account of {source} was not seen through: {error}"
            ));
        }
        if self.statuses.last() != Some(&self.success) {
            let (statuses, success) = (&self.statuses, self.success);
            return Some(format!(
                "The delivery of {source} was answered with {statuses:?}, where {success} is right."
            ));
        }
        let steps = [
            (
                self.proof.is_some(),
                "account shows no proof of its delivery",
            ),
            (
                self.message.is_some(),
                "event did not reach the team's queue",
            ),
            (self.record, "record is not in the table"),
            (
                self.unified.is_some() == self.expects_unified,
                "unified event is not as it should be",
            ),
        ];
        let missing = steps.iter().find(|(is_seen, _)| !is_seen);
        missing.map(|(_, what)| format!("Of {source}, the {what}."))
    }

    /// The cells of its line.
    #[must_use]
    pub fn cells(&self) -> [String; 7] {
        let missing = || "not seen".to_owned();
        let statuses: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        let proof = self.proof.as_ref().map(|proof| proof.replace('_', " "));
        let record = self.subject.clone().filter(|_| self.record);
        let unified = match (&self.unified, self.expects_unified) {
            (Some(message), _) => member(message.get(), "type").unwrap_or_else(missing),
            (None, true) => missing(),
            (None, false) => "none: no more than an id".to_owned(),
        };
        [
            self.source.to_owned(),
            self.sent.to_owned(),
            statuses.join(", "),
            proof.unwrap_or_else(missing),
            record.unwrap_or_else(missing),
            self.message.clone().unwrap_or_else(missing),
            unified,
        ]
    }
}

/// A member of a message that is a text.
fn member(message: &str, name: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(message.get(name)?.as_str()?.to_owned())
}

/// Connects an account of each source that a simulator plays, and has each send its event.
///
/// # Errors
/// A queue or a table does not answer. What a source lacks is in its [`SourceSeen`].
pub async fn tell(
    outputs: &Outputs,
    aws: &Aws,
    others: &[Other],
    account: &str,
    patience: Duration,
    progress: Progress,
) -> Result<Vec<SourceSeen>> {
    let unified = outputs.get(teams::UNIFIED).ok();
    let mut seen = Vec::new();
    for other in others {
        let Some(simulator) = outputs.simulators.get(other.source.as_str()) else {
            continue;
        };
        let source = other.source.as_str();
        let account = format!("{account}-{source}");
        let step = progress.step(format!("Connecting an account of {source}"));
        let sent = send(outputs, aws, simulator, other, &account).await;
        match &sent {
            Ok(_) => step.done("and one delivery sent"),
            Err(error) => step.failed(&format!("{error:#}")),
        };
        let (statuses, error) = match sent {
            Ok(statuses) => (statuses, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        seen.push(SourceSeen {
            source,
            account,
            sent: other.name,
            statuses,
            success: other.success,
            proof: None,
            subject: None,
            record: false,
            message: None,
            expects_unified: other.is_unified && unified.is_some(),
            unified: None,
            error,
        });
    }
    if seen.is_empty() {
        return Ok(seen);
    }
    let step = progress.step("Waiting for the other sources' events");
    let wanted = names(&seen, |_| true);
    let queue = outputs.get(teams::EXAMPLE)?;
    let mut native = collect(aws, queue, &wanted, patience).await?;
    let mut in_one_form = BTreeMap::new();
    if let Some(queue) = unified {
        let wanted = names(&seen, |one| one.expects_unified);
        in_one_form = collect(aws, queue, &wanted, patience).await?;
    }
    for one in &mut seen {
        if let Some(message) = native.remove(&one.account) {
            one.message = member(&message, "type");
            one.subject = member(&message, "subject");
        }
        let unified = in_one_form.remove(&one.account);
        one.unified = unified.map(RawValue::from_string).transpose()?;
        one.record = has_record(outputs, aws, one).await?;
        one.proof = proof(outputs, aws, &one.account).await?;
    }
    step.done(&format!(
        "{} of {}",
        seen.iter().filter(|one| one.message.is_some()).count(),
        seen.len()
    ));
    Ok(seen)
}

/// The accounts whose events are to come.
fn names(seen: &[SourceSeen], comes: impl Fn(&SourceSeen) -> bool) -> Vec<String> {
    let sent = seen.iter().filter(|one| one.error.is_none() && comes(one));
    sent.map(|one| one.account.clone()).collect()
}

/// Reads a queue until there is a message of each account, or none came for as long as `patience`.
async fn collect(
    aws: &Aws,
    queue: &str,
    accounts: &[String],
    patience: Duration,
) -> Result<BTreeMap<String, String>> {
    let mut messages = BTreeMap::new();
    let mut others = Vec::new();
    let account_of = |body: &str| member(body, "account").filter(|name| accounts.contains(name));
    let mut last = Instant::now();
    while messages.len() < accounts.len() && last.elapsed() < patience {
        let is_ours = |body: &str| account_of(body).is_some();
        for body in queue::receive(aws, queue, is_ours, &mut others).await? {
            if let Some(account) = account_of(&body) {
                messages.insert(account, body);
                last = Instant::now();
            }
        }
    }
    queue::give_back(aws, queue, others).await?;
    Ok(messages)
}

/// Connects one account, and has its source send the event; returns the statuses.
async fn send(
    outputs: &Outputs,
    aws: &Aws,
    simulator: &str,
    other: &Other,
    account: &str,
) -> Result<Vec<u16>> {
    let control = Control::new(simulator)?;
    let new = NewSite {
        client_id: Some(account.to_owned()),
        ..NewSite::default()
    };
    let made = control.create_site(&new).await?;
    let site = control.site(account);
    let url = format!("{}/accounts/{account}", outputs.get("AdminUrl")?);
    let body = desired(other.source, account, &made.client_secret, &[other.name]);
    let connected = done(aws.api(Method::PUT, &url, Some(&body)).await?)?;
    if connected.get("state").and_then(Value::as_str) == Some("waiting") {
        let made_url = aws
            .api(Method::POST, &format!("{url}/endpoint"), None)
            .await?;
        let made_url = done(made_url)?;
        let endpoint = made_url.get("endpoint").and_then(Value::as_str);
        let endpoint = endpoint.context("the admin API shows no URL")?;
        register(&site, endpoint, &made.client_secret).await?;
    }
    let event = EventText::parse(other.event.as_str())?;
    let deliver = Deliver {
        policy: RetryPolicy {
            max_attempts: 5,
            ..RetryPolicy::default()
        },
        ..Deliver::events(&[event])
    };
    let reports = site.deliver(&deliver).await?;
    if reports.is_empty() {
        bail!("no webhook takes {}", other.name);
    }
    let statuses = reports
        .iter()
        .flat_map(|report| report.deliveries.statuses());
    Ok(statuses.collect())
}

/// Enters the URL on the source's dashboard, as the person does whose part that is.
async fn register(site: &SiteControl, endpoint: &str, secret: &str) -> Result<()> {
    let foreign = ForeignWebhook {
        endpoint: endpoint.to_owned(),
        events: None,
    };
    let webhook = site.add_webhook(&foreign).await?;
    let change = WebhookChange {
        signing_key: Some(secret.to_owned()),
        ..WebhookChange::default()
    };
    site.change_webhook(&webhook.id, &change).await?;
    Ok(())
}

/// The body of an answer that says that it is done.
fn done(answer: Answer) -> Result<Value> {
    match answer.status {
        200 => Ok(answer.body),
        status => bail!("the admin API answered {status}: {}", answer.body),
    }
}

async fn has_record(outputs: &Outputs, aws: &Aws, one: &SourceSeen) -> Result<bool> {
    let subject = one.subject.as_deref().unwrap_or_default();
    let Some((kind, id)) = subject.split_once('/') else {
        return Ok(false);
    };
    let key = json!({ "pk": { "S": format!("{}#{kind}", one.account) }, "sk": { "S": id } });
    let input =
        json!({ "TableName": outputs.get("RecordsTable")?, "Key": key, "ConsistentRead": true });
    let answer = aws.dynamodb("GetItem", &input).await?;
    Ok(answer.get("Item").is_some())
}

/// What proved the account's last delivery.
async fn proof(outputs: &Outputs, aws: &Aws, account: &str) -> Result<Option<String>> {
    let url = format!("{}/accounts/{account}", outputs.get("AdminUrl")?);
    let shown = aws.api(Method::GET, &url, None).await?;
    let proof = shown.body.pointer("/last_delivery/proof");
    Ok(proof.and_then(Value::as_str).map(str::to_owned))
}

/// What is seen of a source when all goes well.
#[cfg(test)]
pub(super) fn good() -> SourceSeen {
    SourceSeen {
        source: "onestock",
        account: "demo-1-onestock".to_owned(),
        sent: "order_state_changed",
        statuses: vec![202],
        success: 202,
        proof: Some("url_token".to_owned()),
        subject: Some("order/ORD-1".to_owned()),
        record: true,
        message: Some("onestock.order_state_changed".to_owned()),
        expects_unified: true,
        unified: RawValue::from_string(r#"{"type":"ecommerce.order.updated"}"#.to_owned()).ok(),
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_source_but_orderspace_has_an_example_that_is_an_event() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let others = read(&fixtures).unwrap();
        let mut sources: Vec<Source> = others.iter().map(|other| other.source).collect();
        sources.push(Source::Orderspace);
        sources.sort();
        let mut all = Source::ALL;
        all.sort();
        assert_eq!(sources, all);
        for other in &others {
            EventText::parse(other.event.as_str()).unwrap();
            assert!(other.event.contains(other.name), "{}", other.source);
        }
        assert!(read(&fixtures.join("none")).is_err());
    }

    #[rstest]
    #[case::all_of_it(|_: &mut SourceSeen| {}, None)]
    #[case::not_connected(|seen: &mut SourceSeen| seen.error = Some("422".to_owned()), Some("422"))]
    #[case::refused(|seen: &mut SourceSeen| seen.statuses = vec![202, 503], Some("[202, 503]"))]
    #[case::another_success(|seen: &mut SourceSeen| seen.statuses = vec![200], Some("202 is right"))]
    #[case::no_answer(|seen: &mut SourceSeen| seen.statuses.clear(), Some("[]"))]
    #[case::no_proof(|seen: &mut SourceSeen| seen.proof = None, Some("no proof"))]
    #[case::no_message(|seen: &mut SourceSeen| seen.message = None, Some("team's queue"))]
    #[case::no_record(|seen: &mut SourceSeen| seen.record = false, Some("record"))]
    #[case::no_unified_event(|seen: &mut SourceSeen| seen.unified = None, Some("unified"))]
    #[case::an_unexpected_unified_event(|seen: &mut SourceSeen| seen.expects_unified = false, Some("unified"))]
    fn what_a_source_lacks_is_named(
        #[case] spoil: fn(&mut SourceSeen),
        #[case] words: Option<&str>,
    ) {
        let mut seen = good();
        spoil(&mut seen);
        let problem = seen.problem();
        assert_eq!(problem.is_some(), words.is_some(), "{problem:?}");
        let problem = problem.unwrap_or_default();
        assert!(problem.contains(words.unwrap_or_default()), "{problem}");
    }

    #[test]
    fn a_line_says_what_was_seen_and_what_was_not() {
        let mut seen = good();
        let expected = [
            "onestock",
            "order_state_changed",
            "202",
            "url token",
            "order/ORD-1",
            "onestock.order_state_changed",
            "ecommerce.order.updated",
        ];
        assert_eq!(seen.cells(), expected);
        seen.record = false;
        seen.unified = None;
        assert_eq!(seen.cells()[4], "not seen");
        assert_eq!(seen.cells()[6], "not seen");
        seen.expects_unified = false;
        assert!(seen.cells()[6].starts_with("none"));
    }
}
