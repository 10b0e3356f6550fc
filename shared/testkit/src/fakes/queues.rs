//! Queues as SQS keeps them, and topics as SNS does.

use std::collections::{BTreeMap, BTreeSet};

use domain::envelope::Envelope;
use domain::ports::{BATCH_COUNT, Message, PortError, QueueUrl, Queues};
use serde_json::Value;

use super::script::Begun;
use super::{Fake, Kept};

/// A message that a queue accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The body.
    pub body: String,
    /// The message group.
    pub group: Option<String>,
    /// The deduplication id.
    pub deduplication: Option<String>,
    /// The attributes by name.
    pub attributes: BTreeMap<String, String>,
    /// X-Ray's header.
    pub trace: Option<String>,
}

impl Sent {
    /// The body as an envelope.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn envelope(&self) -> Envelope<'_> {
        Envelope::parse(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Queues that keep what they accept. Every URL is a queue until it is [removed](FakeQueues::remove); one
/// that ends in `.fifo` asks for what a FIFO queue asks, without content-based deduplication. A topic keeps what is published
/// as a queue that is subscribed to it would, and takes as much in one call as SNS does. The scope of a call is the URL.
pub type FakeQueues = Fake<State>;

/// The queues.
#[derive(Debug, Default)]
pub struct State {
    messages: BTreeMap<QueueUrl, Vec<Sent>>,
    deduplicated: BTreeSet<(QueueUrl, String)>,
    removed: BTreeSet<QueueUrl>,
    limits: BTreeMap<QueueUrl, usize>,
    whole: bool,
}

impl Kept for State {
    const CALLS: &'static [&'static str] = &["queues.send"];
}

impl FakeQueues {
    /// The messages of a queue, in the order in which it accepted them.
    #[must_use]
    pub fn messages(&self, queue: &QueueUrl) -> Vec<Sent> {
        let state = self.state();
        state.messages.get(queue).cloned().unwrap_or_default()
    }

    /// The queues that have messages, and how many.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<QueueUrl, usize> {
        let state = self.state();
        let counts = state.messages.iter();
        counts
            .map(|(queue, messages)| (queue.clone(), messages.len()))
            .collect()
    }

    /// Takes all messages out of all queues. FIFO queues still know what they have seen.
    pub fn purge(&self) {
        self.state().messages.clear();
    }

    /// Deletes a queue: sending to it answers that it does not exist, which an operator can correct.
    pub fn remove(&self, queue: &QueueUrl) {
        self.state().removed.insert(queue.clone());
    }

    /// Brings a removed queue back.
    pub fn restore(&self, queue: &QueueUrl) {
        self.state().removed.remove(queue);
    }

    /// Sets a queue's `MaximumMessageSize` in bytes.
    pub fn limit(&self, queue: &QueueUrl, bytes: usize) {
        self.state().limits.insert(queue.clone(), bytes);
    }

    /// From here on one bad entry has its whole batch refused, as SQS does for some faults of content.
    pub fn refuse_whole_batches(&self) {
        self.state().whole = true;
    }
}

impl Queues for FakeQueues {
    async fn send(
        &self,
        queue: &QueueUrl,
        batch: &[Message<'_>],
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let begun = self.script.begin("send", queue.as_str()).await?;
        let answers = self.state().take(queue, batch, &begun)?;
        begun.done(answers)
    }
}

impl State {
    fn take(
        &mut self,
        queue: &QueueUrl,
        batch: &[Message<'_>],
        begun: &Begun<'_>,
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        if self.removed.contains(queue) {
            return Err(begun.closed("QueueDoesNotExist"));
        }
        if let Some(code) = batch_fault(queue, batch) {
            return Err(begun.permanent(code));
        }
        let limit = self.limits.get(queue).copied();
        let limit = limit.unwrap_or_else(|| queue.batch_bytes());
        let faults: Vec<_> = batch
            .iter()
            .map(|message| message_fault(queue, message, limit))
            .collect();
        if self.whole
            && let Some(code) = faults.iter().flatten().next()
        {
            return Err(refusal(begun, code));
        }
        let answers = batch.iter().zip(faults).enumerate();
        let answers = answers.map(|(position, (message, fault))| {
            if let Some(code) = fault {
                return Err(refusal(begun, code));
            }
            let mut sent = Sent::from(message);
            if queue.is_topic() {
                sent.trace = None;
            }
            if let Some(refused) = begun.refusal(position, &sent.body) {
                return Err(refused);
            }
            self.accept(queue, sent);
            Ok(())
        });
        Ok(answers.collect())
    }

    fn accept(&mut self, queue: &QueueUrl, sent: Sent) {
        let seen = sent
            .deduplication
            .as_ref()
            .is_some_and(|id| !self.deduplicated.insert((queue.clone(), id.clone())));
        if !seen {
            self.messages.entry(queue.clone()).or_default().push(sent);
        }
    }
}

impl From<&Message<'_>> for Sent {
    fn from(message: &Message<'_>) -> Self {
        let attributes = message.attributes.iter();
        Self {
            body: message.text.to_text(),
            group: message.group.clone(),
            deduplication: message.deduplication.clone(),
            attributes: attributes
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            trace: message.trace.as_ref().map(ToString::to_string),
        }
    }
}

/// Everything about the content lasts. What is missing is a matter of the program, or of a queue that somebody
/// made otherwise.
fn refusal(begun: &Begun<'_>, code: &str) -> PortError {
    match code {
        MISSING => begun.transient(code),
        _ => begun.permanent(code),
    }
}

const MISSING: &str = "MissingParameter";

/// What is wrong with a batch as a whole.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
fn batch_fault(queue: &QueueUrl, batch: &[Message<'_>]) -> Option<&'static str> {
    if batch.len() > BATCH_COUNT {
        return Some("TooManyEntriesInBatchRequest");
    }
    (batch.iter().map(bytes).sum::<usize>() > queue.batch_bytes()).then_some("BatchRequestTooLong")
}

/// What SQS counts of a message: its body, and its attributes with their names and types.
fn bytes(message: &Message<'_>) -> usize {
    let attributes = message.attributes.iter();
    let attributes = attributes.map(|(name, value)| name.len() + "String".len() + value.len());
    message.text.to_text().len() + attributes.sum::<usize>()
}

/// What is wrong with a message.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
fn message_fault(queue: &QueueUrl, message: &Message<'_>, limit: usize) -> Option<&'static str> {
    let body = message.text.to_text();
    if body.is_empty() {
        return Some(MISSING);
    }
    if bytes(message) > limit {
        return Some("InvalidParameterValue");
    }
    if !body.chars().all(is_xml) {
        return Some("InvalidMessageContents");
    }
    let names: BTreeSet<_> = message.attributes.iter().map(|(name, _)| name).collect();
    if message.attributes.len() > 10
        || names.len() < message.attributes.len()
        || !message.attributes.iter().all(|(name, value)| {
            is_attribute_name(name) && !value.is_empty() && value.chars().all(is_xml)
        })
    {
        return Some("InvalidParameterValue");
    }
    let ids = [&message.group, &message.deduplication];
    if !ids.into_iter().flatten().all(|id| is_fifo_id(id)) {
        return Some("InvalidParameterValue");
    }
    match (queue.is_fifo(), &message.group, &message.deduplication) {
        (true, None, _) => Some(MISSING),
        (true, Some(_), None) | (false, _, Some(_)) => Some("InvalidParameterValue"),
        (true, Some(_), Some(_)) | (false, _, None) => None,
    }
}

/// The characters of XML 1.0.
fn is_xml(character: char) -> bool {
    matches!(
        character,
        '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}'
    )
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
fn is_attribute_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

/// Group and deduplication ids: letters, digits and ASCII punctuation.
fn is_fifo_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}
