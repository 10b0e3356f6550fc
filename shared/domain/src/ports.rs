//! What the functions need from the outside, in the words of this crate.
//!
//! Each port is implemented twice: by an adapter for AWS and by a fake for tests. One contract suite holds
//! the two against each other.

use std::fmt;
use std::future::Future;

use http::HeaderMap;
use serde::Deserialize;
use thiserror::Error;

use crate::account::{AccountName, TokenEntry, TokenHash, WebhookId};
use crate::envelope::Body;
use crate::fold::{Change, Known};
use crate::identity::{BodyHash, DeliveryId, EventId, RetryKey};
use crate::record::RecordKey;
use crate::signature::{Assurance, Form, SigningKeys};
use crate::timestamp::Timestamp;
use crate::trace::XRayHeader;

/// Why something outside did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}: {code}")]
pub struct PortError {
    /// What was asked of what, such as `reading a retry marker`.
    pub what: &'static str,
    /// The service's error code, or `timeout`, `connection`.
    pub code: String,
    /// Whether asking again can help.
    pub kind: ErrorKind,
}

/// The code of what is stored and cannot be read.
const UNREADABLE: &str = "unreadable";

/// Whether asking again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The content was refused: it will be refused again.
    Permanent,
    /// The place refuses whatever is asked: it is gone, or we may not use it. An operator has to repair it, so asking again
    /// at once is of no use, and asking later can help.
    Closed,
    /// Anything else: asking again can help.
    Transient,
}

impl PortError {
    /// An error that may pass.
    #[must_use]
    pub fn transient(what: &'static str, code: impl Into<String>) -> Self {
        Self {
            what,
            code: code.into(),
            kind: ErrorKind::Transient,
        }
    }

    /// A refusal of the content.
    #[must_use]
    pub fn permanent(what: &'static str, code: impl Into<String>) -> Self {
        Self {
            what,
            code: code.into(),
            kind: ErrorKind::Permanent,
        }
    }

    /// What is stored cannot be read by this release: another wrote it, or it is damaged.
    #[must_use]
    pub fn unreadable(what: &'static str) -> Self {
        Self::permanent(what, UNREADABLE)
    }

    /// Whether what is stored is there and cannot be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.code == UNREADABLE
    }

    /// A refusal by a place that is gone, or that we may not use.
    #[must_use]
    pub fn closed(what: &'static str, code: impl Into<String>) -> Self {
        Self {
            what,
            code: code.into(),
            kind: ErrorKind::Closed,
        }
    }

    /// Whether the place refuses whatever is asked.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == ErrorKind::Closed
    }

    /// Whether asking again can help, at once or later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Transient | ErrorKind::Closed => true,
            ErrorKind::Permanent => false,
        }
    }
}

/// The URL of a queue; or, in its place, the ARN of an SNS topic: a team may have either, and what is sent to it is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct QueueUrl(String);

/// What an ARN of SNS says of its service.
const TOPIC: &str = "sns";

impl QueueUrl {
    /// Takes a queue's URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The queue's name: the last part of its URL, as it is of its ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is a topic's ARN: `arn:aws:sns:{region}:{account}:{name}`.
    #[must_use]
    pub fn is_topic(&self) -> bool {
        let mut parts = self.0.split(':');
        parts.next() == Some("arn") && parts.nth(1) == Some(TOPIC)
    }

    /// The most bytes that one call sends there.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        match self.is_topic() {
            true => TOPIC_BATCH_BYTES,
            false => BATCH_BYTES,
        }
    }

    /// Whether the queue or topic is first-in-first-out: SQS and SNS say so by the name.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(".fifo")
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message on its way into a queue.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The body.
    pub text: Body<'a>,
    /// The message group: fairness on a standard queue, order on a FIFO queue.
    pub group: Option<String>,
    /// The deduplication id, for FIFO queues.
    pub deduplication: Option<String>,
    /// Attributes of type `String`.
    pub attributes: Vec<(&'static str, String)>,
    /// X-Ray's header, which travels beside the attributes: SQS counts it neither among them nor in the size. SNS has no
    /// place for it.
    pub trace: Option<XRayHeader>,
}

impl Message<'_> {
    /// The size that SQS counts, in bytes: body and attributes with their names and types.
    #[must_use]
    pub fn size(&self) -> usize {
        let attribute = |(name, value): &(&str, String)| name.len() + "String".len() + value.len();
        self.text.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

/// The most messages that one call sends.
pub const BATCH_COUNT: usize = 10;
/// The most bytes that one call sends, all messages with their attributes.
pub const BATCH_BYTES: usize = 1_048_576;
/// The most bytes that one call publishes to a topic, all messages with their attributes.
/// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
pub const TOPIC_BATCH_BYTES: usize = 262_144;

/// Queues that messages are sent to, and topics that they are published to.
pub trait Queues: Sync {
    /// Sends up to [`BATCH_COUNT`] messages of together up to [`QueueUrl::batch_bytes`] in one call, and says of each
    /// whether the queue accepted it.
    ///
    /// # Errors
    /// The call as a whole did not succeed; nothing is known to be accepted.
    fn send(
        &self,
        queue: &QueueUrl,
        batch: &[Message<'_>],
    ) -> impl Future<Output = Result<Vec<Result<(), PortError>>, PortError>> + Send;
}

/// The lookup of URL tokens in the accounts table.
pub trait Tokens: Sync {
    /// What a URL token stands for, by its hash.
    ///
    /// # Errors
    /// The table did not answer.
    fn find(
        &self,
        token: &TokenHash,
    ) -> impl Future<Output = Result<Option<TokenEntry>, PortError>> + Send;
}

/// The signing keys of accounts.
pub trait Keys: Sync {
    /// An account's live keys; none where none are stored yet.
    ///
    /// # Errors
    /// The store did not answer, or holds what cannot be read.
    fn read(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<SigningKeys, PortError>> + Send;
}

/// A delivery as it came, for the receipts table.
#[derive(Debug, Clone, Copy)]
pub struct Receipt<'a> {
    /// Whose delivery.
    pub account: &'a AccountName,
    /// Which one.
    pub delivery: DeliveryId,
    /// The registration that it came by.
    pub registration: TokenHash,
    /// The source's webhook of that registration, if the source has named it.
    pub webhook: Option<&'a WebhookId>,
    /// What proved it.
    pub assurance: Assurance,
    /// In which form it was signed, where its source has several.
    pub form: Option<Form>,
    /// When this attempt came in: later than the id where the delivery is a retry.
    pub received: Timestamp,
    /// The body's hash.
    pub hash: BodyHash,
    /// How many events were recognised in it.
    pub events: usize,
    /// Those of its headers by which it is split, as the source's facts name them.
    pub headers: &'a HeaderMap,
    /// The part of the registration that it came by; empty where there is but one.
    pub part: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

impl Receipt<'_> {
    /// The partition key of the receipt, `{account}#{yyyy-mm-dd}`: the day on which the delivery was first
    /// seen, so that a retry after midnight finds it.
    #[must_use]
    pub fn partition(&self) -> String {
        Self::partition_of(self.account, &self.delivery.first_seen().day())
    }

    /// The partition key of an account's receipts of a day (`yyyy-mm-dd`, UTC).
    #[must_use]
    pub fn partition_of(account: &AccountName, day: &str) -> String {
        format!("{account}#{day}")
    }
}

/// What lets a retry of a delivery keep its identity, while one attempt holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The identity that the first attempt gave the delivery.
    pub delivery: DeliveryId,
    /// When the marker loses its meaning.
    pub expires: Timestamp,
    /// Until when an attempt holds the marker; in the past if none does.
    pub leased_until: Timestamp,
    /// How many attempts were refused so far, as far as is known: of those that released before this number was kept, one.
    pub attempts: u32,
}

/// Which deliveries a retry marker is for: those with the same retry key by the same registration. Another registration's
/// webhook sends what happened anew, however equal its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerKey<'a> {
    /// Whose delivery.
    pub account: &'a AccountName,
    /// The registration whose keys proved it.
    pub registration: TokenHash,
    /// What its retries are recognised by.
    pub retry: RetryKey,
}

/// Why a verified delivery was not answered with success.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryFailure<'a> {
    /// Whose delivery.
    pub account: &'a AccountName,
    /// Which one.
    pub delivery: DeliveryId,
    /// When it was refused.
    pub at: Timestamp,
    /// The cause in one word.
    pub cause: &'static str,
}

/// The receipts table: deliveries as they came, and which of them were refused.
pub trait Receipts: Sync {
    /// Keeps a delivery.
    ///
    /// # Errors
    /// It is not kept.
    fn keep(&self, receipt: &Receipt<'_>) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Counts an answer that the source takes for a failure.
    ///
    /// # Errors
    /// It is not counted.
    fn record_failure(
        &self,
        failure: &DeliveryFailure<'_>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The retry markers of the receipts table: what a retry needs to keep its identity.
pub trait Markers: Sync {
    /// The marker that a refused delivery of these bytes left.
    ///
    /// # Errors
    /// The table did not answer.
    fn find(
        &self,
        key: MarkerKey<'_>,
    ) -> impl Future<Output = Result<Option<Marker>, PortError>> + Send;

    /// Takes the marker as it was read, until the given time. `false` if somebody else was faster.
    ///
    /// # Errors
    /// The table did not answer.
    fn lease(
        &self,
        key: MarkerKey<'_>,
        seen: &Marker,
        until: Timestamp,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Leaves a marker for a retry of this delivery, held by nobody. It replaces the one that the attempt leased until
    /// `until`, and one that had expired by `now`. Any other is another attempt's, and stays.
    ///
    /// # Errors
    /// There is none: a retry will make new events.
    fn mark(
        &self,
        key: MarkerKey<'_>,
        marker: &Marker,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Takes the marker away, if it is still the one that was leased until `until`.
    ///
    /// # Errors
    /// It may still be there.
    fn unmark(
        &self,
        key: MarkerKey<'_>,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Who may ask for an account's check, across all instances of a function.
pub trait CheckClaims: Sync {
    /// Claims the right to ask for the account's check, until the given time. `false` if it is claimed already at `now`.
    ///
    /// # Errors
    /// The table did not answer; it may be claimed.
    fn claim_check(
        &self,
        account: &AccountName,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
}

/// The store for what is too large for a message or an item.
pub trait ClaimCheck: Sync {
    /// Keeps bytes under a key, replacing what was there, and returns a reference to them.
    ///
    /// # Errors
    /// They are not kept.
    fn put(
        &self,
        key: &str,
        bytes: &[u8],
    ) -> impl Future<Output = Result<crate::envelope::DataRef, PortError>> + Send;

    /// Reads what a reference points at.
    ///
    /// # Errors
    /// The store did not answer, or has nothing there.
    fn get(
        &self,
        place: &crate::envelope::DataRef,
    ) -> impl Future<Output = Result<Vec<u8>, PortError>> + Send;
}

/// Data for a record: the last update of a group.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The event.
    pub latest: Change,
    /// The group's other updates, in their order: all before this one.
    pub before: &'a [Change],
    /// The event's type.
    pub event_type: &'a str,
    /// The record, byte for byte.
    pub data: &'a str,
    /// All updates of the group, where the record collects the events that made it; else none.
    pub occurrences: &'a [EventId],
}

impl Update<'_> {
    /// The first event of the group.
    #[must_use]
    pub fn first(&self) -> &Change {
        self.before.first().unwrap_or(&self.latest)
    }

    /// The events of the group, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Change> {
        std::iter::once(&self.latest).chain(self.before.iter().rev())
    }
}

/// What a guarded write came to, and what the table had before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The record has the new data.
    New(Known),
    /// The record keeps what it had: it knows this event or a later one.
    Kept(Known),
}

impl Written {
    /// What the table had before.
    #[must_use]
    pub fn known(&self) -> &Known {
        match self {
            Self::New(known) | Self::Kept(known) => known,
        }
    }
}

/// The records table.
pub trait Records: Sync {
    /// Gives the record new data, and lets it remember what all these events said, unless it has the data of the first of
    /// them or of a later one: then only those that are newer can be written.
    ///
    /// # Errors
    /// The table did not answer; whether the write happened is not known.
    fn update(
        &self,
        key: &RecordKey,
        update: &Update<'_>,
    ) -> impl Future<Output = Result<Written, PortError>> + Send;

    /// Deletes the record: for ever, or where the delete has a place until an update is later. Its data stays readable.
    /// Returns what the table had before.
    ///
    /// # Errors
    /// The table did not answer; whether the write happened is not known.
    fn delete(
        &self,
        key: &RecordKey,
        delete: &Change,
    ) -> impl Future<Output = Result<Known, PortError>> + Send;
}

/// Queues whose messages are received.
pub trait Redelivery: Sync {
    /// Lets failed messages of a queue become visible again after their own delays: receipt handle and seconds.
    ///
    /// # Errors
    /// They keep the queue's visibility timeout.
    fn delay(
        &self,
        queue: &QueueUrl,
        messages: &[(String, u32)],
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::UrlToken;
    use crate::identity::{ContentHash, EventIndex};

    #[test]
    fn a_message_counts_its_body_and_its_attributes_with_names_and_types() {
        let message = Message {
            text: Body::whole("four".to_owned()),
            group: Some("a group".to_owned()),
            deduplication: None,
            attributes: vec![("type", "order.created".to_owned()), ("é", String::new())],
            trace: "Root=1-5759e988-bd862e3fe1be46a994272793".parse().ok(),
        };
        assert!(message.trace.is_some(), "it counts for nothing");
        assert_eq!(message.size(), 4 + (4 + 6 + 13) + (2 + 6));
    }

    #[test]
    fn a_topic_takes_less_in_one_call() {
        let topic = QueueUrl::new("arn:aws-cn:sns:cn-north-1:111122223333:stock");
        assert!(topic.is_topic());
        assert_eq!(topic.batch_bytes(), 262_144);
        for other in [
            "arn:aws:sqs:eu-west-1:111122223333:a",
            "https://q/a",
            "arn",
            "",
        ] {
            let queue = QueueUrl::new(other);
            assert!(!queue.is_topic(), "{other}");
            assert_eq!(queue.batch_bytes(), 1_048_576);
        }
    }

    #[test]
    fn a_queue_is_fifo_by_its_name() {
        let url =
            |name: &str| QueueUrl::new(format!("https://sqs.eu-west-1.amazonaws.com/1/{name}"));
        assert!(url("team.fifo").is_fifo());
        assert!(!url("team").is_fifo());
        assert_eq!(url("team").to_string(), url("team").as_str());
        assert_eq!(url("team.fifo").name(), "team.fifo");
    }

    #[test]
    fn whether_a_refusal_passes_is_said_by_whoever_makes_it() {
        assert!(PortError::transient("sending", "ServiceUnavailable").is_transient());
        assert!(!PortError::permanent("sending", "InvalidMessageContents").is_transient());
        let closed = PortError::closed("sending", "QueueDoesNotExist");
        assert!(closed.is_transient() && closed.is_closed());
        assert!(!PortError::transient("sending", "timeout").is_closed());
    }

    #[test]
    fn a_receipt_lies_with_the_day_on_which_its_delivery_was_first_seen() {
        let receipt = Receipt {
            account: &"acme".parse().unwrap(),
            delivery: DeliveryId::new(Timestamp::from_millis(1_795_219_199_999), &[1; 10]),
            registration: UrlToken::from_random(&[1; 32]).hash(),
            webhook: None,
            assurance: Assurance::Signature,
            form: None,
            received: Timestamp::from_millis(1_795_219_200_001),
            hash: BodyHash::of(b""),
            events: 0,
            headers: &HeaderMap::new(),
            part: "",
            body: b"",
        };
        assert_eq!(receipt.partition(), "acme#2026-11-20");
    }

    #[test]
    fn a_write_tells_what_was_known_whether_it_changed_anything_or_not() {
        let id =
            DeliveryId::new(Timestamp::from_millis(1), &[1; 10]).event(EventIndex::new(0).unwrap());
        let known = Known {
            deleted: Some((id, ContentHash::of("order.deleted", b""))),
            ..Known::default()
        };
        assert_eq!(Written::New(known).known(), &known);
        assert_eq!(Written::Kept(known).known(), &known);
    }
}
