//! SQS: queues and their messages.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html>

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Calls, Error, instant, seconds};

/// Messages that one call takes, at most.
pub const BATCH: usize = 10;

/// What a queue is set to, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// An attribute by its name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An attribute that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Messages that wait to be received.
    #[must_use]
    pub fn visible(&self) -> u64 {
        self.number("ApproximateNumberOfMessages")
            .unwrap_or_default()
    }

    /// Messages that somebody has received and not deleted yet.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        self.number("ApproximateNumberOfMessagesNotVisible")
            .unwrap_or_default()
    }

    /// Messages in the queue: those that wait, those in work, and those that are to be seen later.
    #[must_use]
    pub fn messages(&self) -> u64 {
        let delayed = self.number("ApproximateNumberOfMessagesDelayed");
        self.visible()
            .saturating_add(self.hidden())
            .saturating_add(delayed.unwrap_or_default())
    }

    /// How long the queue keeps a message, in seconds.
    #[must_use]
    pub fn retention_seconds(&self) -> Option<u64> {
        self.number("MessageRetentionPeriod")
    }

    /// How long a received message stays hidden, in seconds.
    #[must_use]
    pub fn visibility_seconds(&self) -> Option<u64> {
        self.number("VisibilityTimeout")
    }

    /// The queue's ARN.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        self.text("QueueArn")
    }

    /// Where a message goes that was received too often, and how often that is.
    #[must_use]
    pub fn redrive(&self) -> Option<Redrive> {
        let policy: Value = serde_json::from_str(self.text("RedrivePolicy")?).ok()?;
        let count = policy.get("maxReceiveCount")?;
        Some(Redrive {
            target: policy.get("deadLetterTargetArn")?.as_str()?.to_owned(),
            // Written as a number, and read back as text by some.
            receives: count.as_u64().or_else(|| count.as_str()?.parse().ok())?,
        })
    }
}

/// A queue's redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue's ARN.
    pub target: String,
    /// After how many receives.
    pub receives: u64,
}

/// A message as it was received.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// The queue's id of it.
    pub message_id: String,
    /// What it is deleted or given back with; another one with each receive.
    pub receipt_handle: String,
    /// The body.
    pub body: String,
    /// What the queue knows of it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What its sender attached.
    #[serde(default)]
    pub message_attributes: BTreeMap<String, MessageAttribute>,
}

impl Message {
    /// When it was sent to this queue.
    #[must_use]
    pub fn sent(&self) -> Option<OffsetDateTime> {
        let milliseconds: f64 = self.attributes.get("SentTimestamp")?.parse().ok()?;
        seconds(milliseconds / 1000.0)
    }

    /// How often it was received so far.
    #[must_use]
    pub fn receives(&self) -> Option<u64> {
        self.attributes.get("ApproximateReceiveCount")?.parse().ok()
    }

    /// A text that its sender attached.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.message_attributes.get(name)?.string_value.as_deref()
    }
}

/// What a sender attached to a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`.
    pub data_type: String,
    /// The value, where it is a text or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value in base64, where it is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl MessageAttribute {
    /// A text.
    #[must_use]
    pub fn text(value: &str) -> Self {
        Self {
            data_type: "String".to_owned(),
            string_value: Some(value.to_owned()),
            binary_value: None,
        }
    }
}

/// A message that is to be sent.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outgoing {
    /// The body.
    pub message_body: String,
    /// What is attached.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub message_attributes: BTreeMap<String, MessageAttribute>,
    /// The group: order in a FIFO queue, fairness in another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_group_id: Option<String>,
    /// What a FIFO queue knows repeats by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_deduplication_id: Option<String>,
}

/// What a batch did not do, by the place of its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The entry's place in the batch.
    pub index: usize,
    /// The reason's name.
    pub code: String,
    /// The reason in words.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer {
    #[serde(default)]
    successful: Vec<Entry>,
    #[serde(default)]
    failed: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A task of SQS that moves a dead-letter queue's messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MoveTask {
    /// What it is followed by; only while it runs.
    pub task_handle: Option<String>,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    /// Messages moved so far.
    #[serde(default)]
    pub approximate_number_of_messages_moved: u64,
    /// Messages that were there when it began.
    pub approximate_number_of_messages_to_move: Option<u64>,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// What a queue is set to and what is in it: attributes by name, or `All`.
///
/// # Errors
/// [`Error::NotFound`] where there is no such queue.
pub async fn attributes(calls: &Calls, queue: &str) -> Result<Attributes, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        attributes: BTreeMap<String, String>,
    }
    let input = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
    let answer: Answer = call(calls, queue, "GetQueueAttributes", &input).await?;
    Ok(Attributes(answer.attributes))
}

/// Receives up to [`BATCH`] messages and hides each for `hidden_seconds`, with everything that is known of them.
///
/// # Errors
/// [`Error::NotFound`] where there is no such queue.
pub async fn receive(
    calls: &Calls,
    queue: &str,
    hidden_seconds: u32,
    wait_seconds: u32,
) -> Result<Vec<Message>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        messages: Vec<Message>,
    }
    let input = json!({
        "QueueUrl": queue, "MaxNumberOfMessages": BATCH, "VisibilityTimeout": hidden_seconds, "WaitTimeSeconds": wait_seconds,
        "AttributeNames": ["All"], "MessageAttributeNames": ["All"],
    });
    let answer: Answer = call(calls, queue, "ReceiveMessage", &input).await?;
    Ok(answer.messages)
}

/// Gives messages back, so that they are seen again after `seconds`. Takes up to [`BATCH`] handles.
///
/// # Errors
/// [`Error`] says what went wrong with all of them; the answer says which ones did not.
pub async fn change_visibility(
    calls: &Calls,
    queue: &str,
    handles: &[&str],
    seconds: u32,
) -> Result<Vec<Failed>, Error> {
    let entries = handles
        .iter()
        .map(|handle| json!({ "ReceiptHandle": handle, "VisibilityTimeout": seconds }));
    batch(
        calls,
        queue,
        "ChangeMessageVisibilityBatch",
        entries.collect(),
    )
    .await
}

/// Deletes messages. Takes up to [`BATCH`] handles.
///
/// # Errors
/// [`Error`] says what went wrong with all of them; the answer says which ones were not deleted.
pub async fn delete(calls: &Calls, queue: &str, handles: &[&str]) -> Result<Vec<Failed>, Error> {
    let entries = handles
        .iter()
        .map(|handle| json!({ "ReceiptHandle": handle }));
    batch(calls, queue, "DeleteMessageBatch", entries.collect()).await
}

/// Sends messages. Takes up to [`BATCH`] of them, of 1 MiB together.
///
/// # Errors
/// [`Error`] says what went wrong with all of them; the answer says which ones were not accepted.
pub async fn send(calls: &Calls, queue: &str, messages: &[Outgoing]) -> Result<Vec<Failed>, Error> {
    let entries: Result<Vec<Value>, _> = messages.iter().map(serde_json::to_value).collect();
    let entries = entries.map_err(|error| Error::unreadable("a message", error))?;
    batch(calls, queue, "SendMessageBatch", entries).await
}

/// Starts moving a dead-letter queue's messages back to where they came from, at most `per_second` of them. Answers the
/// task's handle. An emulator may not have it.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn start_move(
    calls: &Calls,
    source_arn: &str,
    per_second: Option<u32>,
) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        task_handle: String,
    }
    let mut input = json!({ "SourceArn": source_arn });
    if let (Some(rate), Some(input)) = (per_second, input.as_object_mut()) {
        input.insert("MaxNumberOfMessagesPerSecond".to_owned(), json!(rate));
    }
    let answer: Answer = calls
        .json(super::Service::Sqs, "StartMessageMoveTask", &input)
        .await?;
    Ok(answer.task_handle)
}

/// The latest tasks that move this dead-letter queue's messages, newest first.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn moves(calls: &Calls, source_arn: &str) -> Result<Vec<MoveTask>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        results: Vec<MoveTask>,
    }
    let input = json!({ "SourceArn": source_arn, "MaxResults": 10 });
    let answer: Answer = calls
        .json(super::Service::Sqs, "ListMessageMoveTasks", &input)
        .await?;
    Ok(answer.results)
}

async fn call<T: DeserializeOwned>(
    calls: &Calls,
    queue: &str,
    operation: &str,
    input: &Value,
) -> Result<T, Error> {
    let answer = calls.queue_json(queue, operation, input).await;
    answer.map_err(|error| error.naming(format!("queue {queue}")))
}

/// A batch whose entries are named by their places. An entry of which the answer says nothing was not done.
async fn batch(
    calls: &Calls,
    queue: &str,
    operation: &str,
    mut entries: Vec<Value>,
) -> Result<Vec<Failed>, Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    for (index, entry) in entries.iter_mut().enumerate() {
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("Id".to_owned(), json!(index.to_string()));
        }
    }
    let count = entries.len();
    let input = json!({ "QueueUrl": queue, "Entries": entries });
    let answer: BatchAnswer = call(calls, queue, operation, &input).await?;
    let mut failed = Vec::new();
    for index in 0..count {
        let id = index.to_string();
        if answer.successful.iter().any(|entry| entry.id == id) {
            continue;
        }
        let reason = answer.failed.iter().find(|entry| entry.id == id);
        failed.push(Failed {
            index,
            code: reason.map_or_else(|| "NoAnswer".to_owned(), |entry| entry.code.clone()),
            message: reason
                .map(|entry| entry.message.clone())
                .unwrap_or_default(),
        });
    }
    Ok(failed)
}

/// A queue's name: the end of its URL or ARN.
#[must_use]
pub fn name_of(queue: &str) -> &str {
    queue.rsplit(['/', ':']).next().unwrap_or(queue)
}

/// When a queue was created, which its attributes say in seconds.
#[must_use]
pub fn created(attributes: &Attributes) -> Option<OffsetDateTime> {
    let text = attributes.text("CreatedTimestamp")?;
    match text.parse() {
        Ok(since) => seconds(since),
        Err(_) => instant(text),
    }
}
