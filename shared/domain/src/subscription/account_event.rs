//! Account events: what happens to an account, for the teams whose routes name it (`orderhook.account.failed`).
//!
//! One event for each entry of the account's history. It is made with the entry and kept in the account until every
//! team's queue has accepted it, so a repeat is the same message under the same id.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::account::AccountName;
use crate::envelope::{Body, json_string};
use crate::identity::{DeliveryId, EventId, EventIndex};
use crate::ports::QueueUrl;
use crate::source::Source;
use crate::subscription::State;
use crate::timestamp::Timestamp;

/// The most account events that wait to be sent; of more, the oldest are given up.
pub const MOST_UNSENT: usize = 50;

/// The most characters of an entry's words that travel: some repeat what a source answered.
const LONGEST_WHAT: usize = 1000;

/// What an account event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountEventKind {
    /// A webhook is registered and in use.
    Connected,
    /// Something else was changed; no delivery is in doubt because of it.
    Changed,
    /// Deliveries may be missing, or what is kept of the account is in doubt.
    Suspect,
    /// Deliveries are or were not received, or the desired state is not reached.
    Failed,
    /// What kept deliveries from arriving is over.
    Repaired,
    /// No webhook of ours is left, and no delivery is taken.
    Disconnected,
}

impl AccountEventKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Connected,
        Self::Changed,
        Self::Suspect,
        Self::Failed,
        Self::Repaired,
        Self::Disconnected,
    ];

    /// The event's type, as routes name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "orderhook.account.connected",
            Self::Changed => "orderhook.account.changed",
            Self::Suspect => "orderhook.account.suspect",
            Self::Failed => "orderhook.account.failed",
            Self::Repaired => "orderhook.account.repaired",
            Self::Disconnected => "orderhook.account.disconnected",
        }
    }

    /// The kind of this type; `None` for any other text.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Something that happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEvent {
    /// Made from account and entry; sorts by when it happened.
    pub id: EventId,
    /// What it is about.
    pub kind: AccountEventKind,
    /// The entry in plain words.
    pub what: String,
    /// Where the account was when it happened.
    pub status: State,
}

impl AccountEvent {
    /// The event of an account's entry: the one at `position` among those of the same millisecond.
    #[must_use]
    pub fn new(
        account: &AccountName,
        at: Timestamp,
        position: usize,
        kind: AccountEventKind,
        what: &str,
        status: State,
    ) -> Self {
        Self {
            id: id(account, at, position),
            kind,
            what: what.chars().take(LONGEST_WHAT).map(sendable).collect(),
            status,
        }
    }

    /// When it happened: the time inside the id.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.id.delivery().first_seen()
    }

    /// What the event is about, as routes of attributes and FIFO groups know it.
    #[must_use]
    pub fn subject(account: &AccountName) -> String {
        format!("account/{account}")
    }

    /// Writes the message: the envelope of all events, without a delivery.
    #[must_use]
    pub fn to_text(&self, account: &AccountName, source: Source) -> Body<'static> {
        let Self { id, .. } = self;
        let (at, kind, status) = (self.at(), self.kind.as_str(), self.status.as_str());
        let (subject, what) = (Self::subject(account), json_string(&self.what));
        // Ids, names, types and times have no character that JSON escapes.
        Body::whole(format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/orderhook/{account}","type":"{kind}","subject":"{subject}","time":"{at}","datacontenttype":"application/json","account":"{account}","data":{{"what":{what},"at":"{at}","source":"{source}","status":"{status}"}}}}"#
        ))
    }
}

/// An account event that some queues have yet to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The event.
    pub event: AccountEvent,
    /// The queues.
    pub queues: BTreeSet<QueueUrl>,
}

/// The same entry has the same id whoever sends it, and another account's entry of the same moment has another.
fn id(account: &AccountName, at: Timestamp, position: usize) -> EventId {
    let hash = Sha256::new()
        .chain_update("account event")
        .chain_update([0])
        .chain_update(account.as_str())
        .finalize();
    let mut bytes = [0; 10];
    for (byte, of_hash) in bytes.iter_mut().zip(hash) {
        *byte = of_hash;
    }
    let delivery = DeliveryId::new(at, &bytes);
    delivery.event(EventIndex::saturating(position))
}

/// SQS refuses two characters that JSON does not escape.
fn sendable(character: char) -> char {
    match character {
        '\u{FFFE}' | '\u{FFFF}' => '\u{FFFD}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn event(account: &str, millis: u64, position: usize, what: &str) -> AccountEvent {
        AccountEvent::new(
            &account.parse().unwrap(),
            Timestamp::from_millis(millis),
            position,
            AccountEventKind::Failed,
            what,
            State::Connected,
        )
    }

    #[test]
    fn a_message_is_the_envelope_with_what_happened() {
        let event = event("acme", 1_795_176_000_123, 2, "a \"webhook\"\n is gone");
        let account = "acme".parse().unwrap();
        let text = event.to_text(&account, Source::StackOne).to_text();
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            message,
            json!({
                "specversion": "1.0",
                "id": event.id.to_string(),
                "source": "/orderhook/acme",
                "type": "orderhook.account.failed",
                "subject": "account/acme",
                "time": "2026-11-20T12:00:00.123Z",
                "datacontenttype": "application/json",
                "account": "acme",
                "data": {
                    "what": "a \"webhook\"\n is gone",
                    "at": "2026-11-20T12:00:00.123Z",
                    "source": "stackone",
                    "status": "connected",
                },
            })
        );
    }

    #[rstest]
    #[case::account("other", 7, 0)]
    #[case::time("acme", 8, 0)]
    #[case::position("acme", 7, 1)]
    fn an_id_is_that_of_account_and_entry(
        #[case] account: &str,
        #[case] millis: u64,
        #[case] position: usize,
    ) {
        let known = event("acme", 7, 0, "one").id;
        assert_eq!(known, event("acme", 7, 0, "one").id);
        assert_ne!(known, event(account, millis, position, "one").id);
        assert_eq!(known.to_string().parse(), Ok(known));
    }

    #[test]
    fn ids_sort_by_when_it_happened() {
        let ids = [(7, 0), (7, 1), (7, 12), (7, usize::MAX), (8, 0)];
        let ids = ids.map(|(millis, position)| event("acme", millis, position, "").id.to_string());
        assert!(ids.is_sorted());
    }

    #[rstest]
    #[case::empty("")]
    #[case::huge(&"é\u{1}".repeat(100_000))]
    #[case::refused_by_sqs("\u{FFFE}\u{FFFF}\u{0}")]
    fn whatever_a_source_answered_can_be_sent(#[case] what: &str) {
        let body = event("acme", 7, 0, what).to_text(&"acme".parse().unwrap(), Source::Apideck);
        assert!(body.is_sendable());
        assert!(body.len() < 20_000);
        let message: Value = serde_json::from_str(&body.to_text()).unwrap();
        assert!(message["data"]["what"].is_string());
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in AccountEventKind::ALL {
            assert_eq!(AccountEventKind::named(kind.as_str()), Some(kind));
            let name = kind.as_str();
            assert!(name.starts_with(crate::route::ACCOUNT_EVENT_PREFIX));
        }
        assert_eq!(AccountEventKind::named("orderhook.account.*"), None);
    }
}
