//! Collecting what queues hold: the team's, and those for what did not get there.
//!
//! Only this run's messages are taken out of a queue; whatever else comes by stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use local::aws::Aws;
use serde_json::{Value, json};

/// How long a message that is being collected stays hidden, in seconds. One whose receiver was cut off comes again
/// after that.
const HIDDEN_SECONDS: u32 = 15;

/// A message, out of its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueMessage {
    /// The body, byte for byte.
    pub(crate) body: String,
    /// When the queue got it, in milliseconds since 1970.
    pub(crate) sent: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One queue's messages of this run.
#[derive(Debug)]
pub(crate) struct QueueReader {
    aws: Aws,
    /// The queue.
    pub(crate) url: String,
    /// What every message of this run has in it.
    marker: String,
    messages: Mutex<BTreeMap<String, QueueMessage>>,
    /// Messages that are not this run's, by their ids.
    others: Mutex<BTreeSet<String>>,
}

impl QueueReader {
    pub(crate) fn new(aws: &Aws, url: &str, marker: &str) -> Self {
        Self {
            aws: aws.clone(),
            url: url.to_owned(),
            marker: marker.to_owned(),
            messages: Mutex::default(),
            others: Mutex::default(),
        }
    }

    /// How many messages there were.
    pub(crate) fn count(&self) -> usize {
        locked(&self.messages).len()
    }

    /// All messages so far, in the order in which the queue got them.
    pub(crate) fn messages(&self) -> Vec<QueueMessage> {
        let messages = locked(&self.messages);
        let mut messages: Vec<QueueMessage> = messages.values().cloned().collect();
        messages.sort_by_key(|message| message.sent);
        messages
    }

    /// Collects until the queue has none of this run's messages, also none that somebody received and did not delete.
    ///
    /// # Errors
    /// The queue does not answer.
    pub(crate) async fn empty(&self) -> Result<()> {
        loop {
            if self.collect().await? > 0 {
                continue;
            }
            let others = locked(&self.others).len();
            if waiting(&self.aws, &self.url).await? <= others {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Collects until it is dropped. A queue that does not answer is asked again.
    pub(crate) async fn keep_collecting(&self) {
        loop {
            match self.collect().await {
                Ok(0) => tokio::time::sleep(Duration::from_millis(300)).await,
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Takes what is there at this moment, ten at most, and says how many messages that were, whoever's.
    ///
    /// # Errors
    /// The queue does not answer.
    pub(crate) async fn collect(&self) -> Result<usize> {
        let receive = json!({
            "QueueUrl": self.url, "MaxNumberOfMessages": 10, "VisibilityTimeout": HIDDEN_SECONDS,
            "AttributeNames": ["SentTimestamp"],
        });
        let answer = self.aws.sqs("ReceiveMessage", &receive).await?;
        let messages = answer.get("Messages").and_then(Value::as_array);
        let text = |message: &Value, path: &str| {
            let text = message.pointer(path).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let mut entries: Vec<Value> = Vec::new();
        for message in messages.into_iter().flatten() {
            let (id, body) = (text(message, "/MessageId"), text(message, "/Body"));
            if !body.contains(&self.marker) {
                locked(&self.others).insert(id);
                continue;
            }
            let sent = text(message, "/Attributes/SentTimestamp");
            let sent = sent.parse().unwrap_or_default();
            // One that could not be deleted comes again under the same id.
            locked(&self.messages).insert(id, QueueMessage { body, sent });
            let place = entries.len().to_string();
            let handle = text(message, "/ReceiptHandle");
            entries.push(json!({ "Id": place, "ReceiptHandle": handle }));
        }
        if !entries.is_empty() {
            let delete = json!({ "QueueUrl": self.url, "Entries": entries });
            self.aws.sqs("DeleteMessageBatch", &delete).await?;
        }
        Ok(messages.map_or(0, Vec::len))
    }
}

/// How many messages a queue has, visible or not.
///
/// # Errors
/// The queue does not answer.
pub(crate) async fn waiting(aws: &Aws, url: &str) -> Result<usize> {
    let attributes = attributes(aws, url).await?;
    let number = |which: &str| -> Option<usize> {
        let name = format!("ApproximateNumberOfMessages{which}");
        attributes.get(name)?.as_str()?.parse().ok()
    };
    Ok(["", "NotVisible", "Delayed"]
        .into_iter()
        .filter_map(number)
        .sum())
}

/// Everything that a queue says of itself.
///
/// # Errors
/// The queue does not answer.
pub(crate) async fn attributes(aws: &Aws, url: &str) -> Result<Value> {
    let get = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let answer = aws.sqs("GetQueueAttributes", &get).await?;
    Ok(answer.get("Attributes").cloned().unwrap_or_default())
}
