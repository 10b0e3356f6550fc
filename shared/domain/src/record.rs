//! Records: what events are about, and how one is distinguished from another.

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::account::AccountName;
use crate::identity::EventId;

/// The longest record id, in bytes: DynamoDB's limit for a sort key.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const LONGEST_RECORD_ID: usize = 1024;

/// A record's identity within its account and kind: an order's id, a stock level's SKU. 1 to 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(String);

/// A text that cannot be a record's key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a record id has 1 to {LONGEST_RECORD_ID} bytes")]
pub struct RecordIdError;

impl RecordId {
    /// Takes a text that fits a table key.
    ///
    /// # Errors
    /// An empty text, or one of more than 1,024 bytes.
    pub fn new(id: impl Into<String>) -> Result<Self, RecordIdError> {
        let id = id.into();
        if id.is_empty() || id.len() > LONGEST_RECORD_ID {
            return Err(RecordIdError);
        }
        Ok(Self(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an event is about, as the envelope's `subject` says it: `{kind}/{record id}`, or `{kind}/{event id}`
/// where the record has no usable identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

/// A text that is no [`Subject`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a subject is a kind, '/' and an id")]
pub struct SubjectError;

impl Subject {
    /// The subject of an event.
    #[must_use]
    pub fn new(kind: &str, record: Option<&RecordId>, event: EventId) -> Self {
        Self(match record {
            Some(record) => [kind, "/", record.as_str()].concat(),
            None => format!("{kind}/{event}"),
        })
    }

    /// Reads a subject that [`Subject::new`] made.
    ///
    /// # Errors
    /// A text without a kind, or without an id.
    pub fn parse(text: impl Into<String>) -> Result<Self, SubjectError> {
        let text = text.into();
        match text.split_once('/') {
            Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok(Self(text)),
            _ => Err(SubjectError),
        }
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record's key, unless the event has none and is only forwarded.
    #[must_use]
    pub fn record(&self, account: &AccountName, event: EventId) -> Option<RecordKey> {
        let (kind, id) = self.0.split_once('/')?;
        if id == event.to_string() {
            return None;
        }
        Some(RecordKey {
            account: account.clone(),
            kind: kind.to_owned(),
            id: RecordId::new(id).ok()?,
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a record: one partition per account and kind, so that no account's burst slows another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Whose record.
    pub account: AccountName,
    /// Of which kind, such as `order`.
    pub kind: String,
    /// Which one.
    pub id: RecordId,
}

impl RecordKey {
    /// The partition key, `{account}#{kind}`.
    #[must_use]
    pub fn partition(&self) -> String {
        format!("{}#{}", self.account, self.kind)
    }

    /// What the keys of the bucket's objects begin with that hold records of the account and kind.
    #[must_use]
    pub fn objects_of_kind(&self) -> String {
        format!("records/{}/{}/", self.account, self.kind)
    }

    /// What follows that in the keys of this record's objects, before the event's id: they can be found without an item
    /// that names them. Releases before 0.2.0 left it out.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/", hex::encode(Sha256::digest(self.id.as_str())))
    }

    /// The key of the object that holds the record as this event brought it.
    #[must_use]
    pub fn object(&self, event: &EventId) -> String {
        format!("{}{}{event}", self.objects_of_kind(), self.folder())
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}/{}", self.account, self.kind, self.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{DeliveryId, EventIndex};
    use crate::timestamp::Timestamp;
    use rstest::rstest;

    fn event() -> EventId {
        DeliveryId::new(Timestamp::from_millis(1), &[0; 10]).event(EventIndex::new(0).unwrap())
    }

    #[rstest]
    #[case("order/or_1", true)]
    #[case("payment/iv_1/abc", true)]
    #[case("/or_1", false)]
    #[case("order/", false)]
    #[case("/", false)]
    #[case("order", false)]
    fn a_subject_has_a_kind_and_an_id(#[case] text: &str, #[case] good: bool) {
        assert_eq!(Subject::parse(text).is_ok(), good);
    }

    #[test]
    fn a_subject_leads_to_its_record_unless_the_event_stands_in() {
        let account: AccountName = "acme".parse().unwrap();
        let id = RecordId::new("iv_1/abc").unwrap();
        let key = Subject::new("payment", Some(&id), event())
            .record(&account, event())
            .unwrap();
        assert_eq!(key.partition(), "acme#payment");
        assert_eq!(key.id, id);
        assert_eq!(key.to_string(), "acme#payment/iv_1/abc");
        let object = key.object(&event());
        let rest = object.strip_prefix("records/acme/payment/").unwrap();
        assert_eq!(rest, format!("{}{}", key.folder(), event()));
        assert_eq!(key.folder().len(), 65);
        let alone = Subject::new("payment", None, event());
        assert_eq!(alone.record(&account, event()), None);
    }
}
