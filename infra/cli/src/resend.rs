//! Sending again what a team's queue refused.
//!
//! The undelivered queue holds, for each event that a team's queue refused, the team, the reason and the envelope. The
//! envelope goes to the team's queue as it is: the team never had it, so it is no replay, and its id is that of the
//! event. A message that is sent twice is dropped by its id, as any other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use operate::aws::Aws;
use operate::{Error, Exit};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::Stop;
use crate::screen::Screen;

/// How long a message stays hidden that was looked at, in seconds: a run over tens of thousands of them takes minutes.
const HIDDEN_SECONDS: u32 = 900;

/// How often the queue has to have nothing new to show: SQS looks at a part of its servers, and may miss some messages.
const EMPTY_RECEIVES: usize = 3;

/// Arguments of `resend`.
#[derive(Clone, Debug, Args)]
pub struct Resend {
    /// The team, as its route names it.
    #[arg(long)]
    pub team: String,
    /// URL of the undelivered queue: the stack's output UndeliveredQueueUrl.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// URL of the team's queue.
    #[arg(long, value_name = "URL")]
    pub to: String,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Events that the team's queue accepted.
    pub sent: usize,
    /// Messages that are for other teams.
    pub others: usize,
    /// Messages that cannot be read, each with why. They stay in the queue.
    pub unreadable: Vec<String>,
    /// Messages that somebody else hides, so that nobody knows whose they are: another run, or one that was killed.
    pub hidden: usize,
}

impl Done {
    /// Whether it is known that nothing of the team's is left.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && self.hidden == 0
    }
}

/// As whom SQS is called.
#[derive(Clone)]
pub struct Caller {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
}

impl Caller {
    /// Reads the variables that the AWS CLI reads.
    ///
    /// # Errors
    /// There are no credentials.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let required = |name: &str| {
            variable(name).with_context(|| {
                format!(
                    "{name} is not set; `eval \"$(aws configure export-credentials --format env)\"` sets it"
                )
            })
        };
        Ok(Self {
            access_key_id: required("AWS_ACCESS_KEY_ID")?,
            secret_access_key: required("AWS_SECRET_ACCESS_KEY")?,
            session_token: variable("AWS_SESSION_TOKEN"),
            region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
            endpoint: variable("AWS_ENDPOINT_URL"),
        })
    }

    /// A caller of one address with long-lived credentials.
    pub fn of(endpoint: &str, region: &str, access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
            region: Some(region.to_owned()),
            endpoint: Some(endpoint.to_owned()),
        }
    }

    /// The way to a queue: its URL says where it is.
    fn to(&self, queue: &str) -> Result<Aws> {
        let url =
            reqwest::Url::parse(queue).with_context(|| format!("{queue} is no queue's URL"))?;
        let region = self
            .region
            .clone()
            .or_else(|| region_in(url.host_str()?).map(str::to_owned))
            .context("AWS_REGION is not set")?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => url.origin().ascii_serialization(),
        };
        let aws = Aws::new(
            &endpoint,
            &region,
            &self.access_key_id,
            &self.secret_access_key,
        )?;
        Ok(aws.with_session_token(self.session_token.clone()))
    }
}

/// The region in `sqs.eu-west-1.amazonaws.com`.
fn region_in(host: &str) -> Option<&str> {
    let (region, _) = host.strip_prefix("sqs.")?.split_once('.')?;
    Some(region)
}

/// A message of the undelivered queue.
#[derive(Deserialize)]
struct Undelivered<'a> {
    team: String,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

/// What of an envelope its message repeats.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    account: String,
    subject: String,
}

/// Sends again, and prints what was done and what is left.
///
/// # Errors
/// As [`resend`]; or nobody reads the output.
pub async fn run(arguments: &Resend, screen: &mut Screen) -> Result<Exit, Stop> {
    let caller = Caller::from_env().map_err(|error| Error::Credentials(format!("{error:#}")))?;
    let done = resend(&caller, arguments)
        .await
        .map_err(|error| Error::Refused(format!("{error:#}")))?;
    let document = json!({
        "sent": done.sent, "others": done.others, "unreadable": done.unreadable, "hidden": done.hidden,
    });
    let text = format!(
        "{} sent again, {} of other teams left",
        done.sent, done.others
    );
    screen.show(&text, &document)?;
    for unreadable in &done.unreadable {
        screen.complain(&format!("left in the queue, {unreadable}"));
    }
    if done.hidden > 0 {
        screen.complain(&format!(
            "{} messages are hidden by another run, or by one that was killed. They show again within 15 minutes: run the \
             command again then",
            done.hidden
        ));
    }
    Ok(match done.is_complete() {
        true => Exit::Done,
        false => Exit::Left,
    })
}

/// Sends a team's undelivered events to its queue.
///
/// All messages of the undelivered queue are looked at once, and hidden meanwhile. At the end, whatever it is, those that
/// were not sent are given back, so that the next run sees them.
///
/// # Errors
/// A queue refuses or does not answer. What was not accepted is still in the undelivered queue.
pub async fn resend(caller: &Caller, resend: &Resend) -> Result<Done> {
    let (from, to) = (caller.to(&resend.from)?, caller.to(&resend.to)?);
    let mut run = Run {
        resend,
        from,
        to,
        held: BTreeMap::new(),
        others: BTreeSet::new(),
        done: Done::default(),
    };
    let worked = run.work().await;
    let given_back = run.give_back().await;
    worked?;
    given_back
        .context("what was not sent again shows in the undelivered queue within 15 minutes")?;
    Ok(run.done)
}

/// A run over the undelivered queue.
struct Run<'a> {
    resend: &'a Resend,
    from: Aws,
    to: Aws,
    /// The latest receipt handle of each message that stays in the queue, by its id.
    held: BTreeMap<String, String>,
    /// Ids of messages that are for other teams.
    others: BTreeSet<String>,
    done: Done,
}

impl Run<'_> {
    /// Looks at every message once: a queue is done with when it has repeatedly nothing new to show.
    async fn work(&mut self) -> Result<()> {
        let receive = json!({
            "QueueUrl": self.resend.from, "MaxNumberOfMessages": 10, "VisibilityTimeout": HIDDEN_SECONDS,
            "WaitTimeSeconds": 1,
        });
        let mut empty = 0;
        while empty < EMPTY_RECEIVES {
            let answer = self.from.sqs("ReceiveMessage", &receive).await?;
            let messages = answer.get("Messages").and_then(Value::as_array);
            let messages = messages.map(Vec::as_slice).unwrap_or_default();
            let is_new = |message: &Value| !self.others.contains(text_in(message, "MessageId"));
            empty = if messages.iter().any(is_new) {
                0
            } else {
                empty + 1
            };
            // What follows a refusal of this batch is given back too.
            let handles = messages.iter().map(|message| {
                let id = text_in(message, "MessageId").to_owned();
                (id, text_in(message, "ReceiptHandle").to_owned())
            });
            self.held.extend(handles);
            for message in messages {
                self.take(message).await?;
            }
        }
        self.done.others = self.others.len() - self.done.unreadable.len();
        self.done.hidden = self.hidden().await?.saturating_sub(self.held.len());
        Ok(())
    }

    /// Sends a message again, if it is the team's and can be read.
    async fn take(&mut self, message: &Value) -> Result<()> {
        let outgoing = match outgoing(text_in(message, "Body"), self.resend) {
            Ok(Some(outgoing)) => outgoing,
            Ok(None) => {
                self.others.insert(text_in(message, "MessageId").to_owned());
                return Ok(());
            }
            Err(error) => {
                let id = text_in(message, "MessageId");
                if self.others.insert(id.to_owned()) {
                    self.done
                        .unreadable
                        .push(format!("message {id}: {error:#}"));
                }
                return Ok(());
            }
        };
        let sent = self.done.sent;
        self.to
            .sqs("SendMessage", &outgoing)
            .await
            .with_context(|| {
                format!("the team's queue refuses still; {sent} were sent again before")
            })?;
        let handle = text_in(message, "ReceiptHandle");
        let delete = json!({ "QueueUrl": self.resend.from, "ReceiptHandle": handle });
        // One that is not deleted is sent a second time, under the same id.
        self.from.sqs("DeleteMessage", &delete).await?;
        self.held.remove(text_in(message, "MessageId"));
        self.done.sent += 1;
        Ok(())
    }

    /// Shows in the queue again what stays there.
    async fn give_back(&mut self) -> Result<()> {
        let handles: Vec<String> = std::mem::take(&mut self.held).into_values().collect();
        for handles in handles.chunks(10) {
            let entries: Vec<Value> = handles
                .iter()
                .enumerate()
                .map(|(id, handle)| {
                    json!({ "Id": id.to_string(), "ReceiptHandle": handle, "VisibilityTimeout": 0 })
                })
                .collect();
            let batch = json!({ "QueueUrl": self.resend.from, "Entries": entries });
            self.from
                .sqs("ChangeMessageVisibilityBatch", &batch)
                .await?;
        }
        Ok(())
    }

    /// How many messages somebody else hides: another run, or one that was killed.
    async fn hidden(&self) -> Result<usize> {
        const HIDDEN: &str = "ApproximateNumberOfMessagesNotVisible";
        let ask = json!({ "QueueUrl": self.resend.from, "AttributeNames": [HIDDEN] });
        let answer = self.from.sqs("GetQueueAttributes", &ask).await?;
        let count = answer.pointer(&format!("/Attributes/{HIDDEN}"));
        let count = count
            .and_then(Value::as_str)
            .and_then(|count| count.parse().ok());
        count.context("the undelivered queue does not say how many of its messages are hidden")
    }
}

fn text_in<'a>(message: &'a Value, name: &str) -> &'a str {
    message
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The message for the team's queue; none where it is for another team.
fn outgoing(body: &str, resend: &Resend) -> Result<Option<Value>> {
    let undelivered: Undelivered<'_> = match serde_json::from_str(body) {
        Ok(undelivered) => undelivered,
        Err(error) => {
            bail!("it is no undelivered event ({error}): {body:.200}")
        }
    };
    if undelivered.team != resend.team {
        return Ok(None);
    }
    let envelope: Envelope = serde_json::from_str(undelivered.envelope.get())
        .with_context(|| format!("its envelope is none: {body:.200}"))?;
    let attributes: Map<String, Value> = [
        ("type", &envelope.event_type),
        ("account", &envelope.account),
        ("subject", &envelope.subject),
    ]
    .into_iter()
    .filter(|(_, value)| is_attribute(value))
    .map(|(name, value)| {
        (
            name.to_owned(),
            json!({ "DataType": "String", "StringValue": value }),
        )
    })
    .collect();
    let mut message = Map::from_iter([
        ("QueueUrl".to_owned(), json!(resend.to)),
        ("MessageBody".to_owned(), json!(undelivered.envelope.get())),
        ("MessageAttributes".to_owned(), json!(attributes)),
    ]);
    if resend.to.ends_with(".fifo") {
        // The group of the record, as when it was sent first.
        let group = Sha256::new()
            .chain_update(&envelope.account)
            .chain_update([0])
            .chain_update(&envelope.subject);
        message.insert(
            "MessageGroupId".to_owned(),
            json!(hex::encode(group.finalize())),
        );
        // Both forms of an event have one id, and a queue may get both.
        let deduplication = match envelope.event_type.starts_with("ecommerce.") {
            true => format!("{}.unified", envelope.id),
            false => envelope.id,
        };
        message.insert("MessageDeduplicationId".to_owned(), json!(deduplication));
    }
    Ok(Some(Value::Object(message)))
}

/// Whether SQS takes a text as an attribute's value.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
fn is_attribute(text: &str) -> bool {
    let is_allowed = |letter: char| matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    !text.is_empty() && text.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ENVELOPE: &str = r#"{"id":"e.00000", "type":"orderspace.order.created","account":"acme","subject":"order/or_1","data":{"envelope":{"n":1.50}}}"#;

    fn resend_to(to: &str) -> Resend {
        Resend {
            team: "sales".to_owned(),
            from: "http://127.0.0.1:1/0/undelivered".to_owned(),
            to: to.to_owned(),
        }
    }

    fn undelivered(team: &str) -> String {
        format!(
            r#"{{"team":"{team}","queue":"q","reason":"QueueDoesNotExist","envelope":{ENVELOPE}}}"#
        )
    }

    #[test]
    fn an_envelope_is_passed_on_byte_for_byte_with_its_attributes() {
        let message = outgoing(&undelivered("sales"), &resend_to("http://q/sales"))
            .unwrap()
            .unwrap();
        assert_eq!(message["MessageBody"], ENVELOPE);
        assert_eq!(
            message["MessageAttributes"]["subject"]["StringValue"],
            "order/or_1"
        );
        assert!(message.get("MessageGroupId").is_none());
    }

    #[test]
    fn a_fifo_queue_gets_a_group_and_the_events_id() {
        let message = outgoing(&undelivered("sales"), &resend_to("http://q/sales.fifo"))
            .unwrap()
            .unwrap();
        assert_eq!(message["MessageDeduplicationId"], "e.00000");
        assert_eq!(message["MessageGroupId"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_unified_event_is_another_message_than_the_native_one() {
        let undelivered = undelivered("sales").replace("orderspace.order", "ecommerce.order");
        let message = outgoing(&undelivered, &resend_to("http://q/sales.fifo"))
            .unwrap()
            .unwrap();
        assert_eq!(message["MessageDeduplicationId"], "e.00000.unified");
    }

    #[test]
    fn another_teams_message_stays_and_an_unreadable_one_stops() {
        let to = resend_to("http://q/sales");
        assert_eq!(outgoing(&undelivered("finance"), &to).unwrap(), None);
        assert!(outgoing("no json", &to).is_err());
    }

    #[rstest]
    #[case("sqs.eu-west-1.amazonaws.com", Some("eu-west-1"))]
    #[case("127.0.0.1", None)]
    fn a_queues_host_names_its_region(#[case] host: &str, #[case] region: Option<&str>) {
        assert_eq!(region_in(host), region);
    }

    #[rstest]
    #[case("order/or_1", true)]
    #[case("", false)]
    #[case("a\u{fffe}", false)]
    #[case("a\u{1}", false)]
    fn attributes_have_the_characters_that_sqs_takes(#[case] text: &str, #[case] taken: bool) {
        assert_eq!(is_attribute(text), taken);
    }
}
