//! The messages of the rooms, read: what each stands for. One that cannot be read is an entry as well.

use domain::envelope::{Envelope, EnvelopeError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Room;
use calls::sqs::Message;

/// What the types of unified events begin with.
const UNIFIED: &str = "ecommerce.";

/// One thing that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where.
    pub room: Room,
    /// The queue's id of the message.
    pub message: String,
    /// The team that missed the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The event's type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// What the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why it waits, in a word of the stack's.
    pub why: String,
    /// Whether the message is one that the stack writes.
    pub is_readable: bool,
    /// Since when, in RFC 3339.
    #[serde(serialize_with = "instant")]
    pub sent: Option<OffsetDateTime>,
    /// How often it was received, this time included.
    pub receives: Option<u64>,
}

fn instant<S: serde::Serializer>(
    at: &Option<OffsetDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = at.and_then(|at| at.format(&Rfc3339).ok());
    text.serialize(serializer)
}

/// What of a delivery was not understood, as inbound reports it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notice {
    /// Whose delivery.
    pub account: String,
    /// Which one.
    pub deliveryid: String,
    /// Why no part of it could be read, where none could.
    #[serde(default)]
    pub reason: Option<String>,
    /// Which parts could not be used.
    #[serde(default)]
    pub elements: Vec<Element>,
    /// The key of its receipt.
    pub receipt: Key,
}

/// A part of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Element {
    /// Its position.
    pub index: u32,
    /// Why it could not be used.
    pub reason: String,
}

/// The key of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Key {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

#[derive(Deserialize)]
struct Undelivered<'a> {
    team: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

/// What is looked at of an envelope before it is parsed: also one that cannot be.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default, rename = "type")]
    event_type: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    deliveryid: Option<String>,
    #[serde(default)]
    possibleduplicate: bool,
}

/// What a message stands for.
#[derive(Debug)]
pub(super) enum Content<'m> {
    /// An event in its native form, with its text.
    Event(Box<Envelope<'m>>, &'m str),
    /// An event in its unified form, which no lane takes: its native form is in its delivery's receipt.
    Unified {
        source: String,
        account: String,
        event: String,
        possible_duplicate: bool,
    },
    /// A delivery, or parts of it, that was not understood.
    Notice(Notice),
    /// Nothing that can be read, or that only a newer release can; and why.
    Unreadable(String),
}

/// A message that was received, and what it stands for.
#[derive(Debug)]
pub(super) struct Waiting<'m> {
    pub(super) entry: Entry,
    pub(super) content: Content<'m>,
}

impl<'m> Waiting<'m> {
    /// Reads a message of a room.
    pub(super) fn read(room: Room, message: &'m Message) -> Self {
        let mut entry = Entry {
            room,
            message: message.message_id.clone(),
            team: None,
            account: None,
            event: None,
            delivery: None,
            event_type: None,
            subject: None,
            why: String::new(),
            is_readable: true,
            sent: message.sent(),
            receives: message.receives(),
        };
        let content = match room {
            Room::Undelivered => undelivered(&message.body, &mut entry),
            Room::DeadLetters(_) => {
                entry.team = message.attribute(domain::control::ONLY).map(str::to_owned);
                "failed too often".clone_into(&mut entry.why);
                event(&message.body, &mut entry)
            }
            Room::Quarantine => notice(&message.body, &mut entry),
        };
        if let Content::Unreadable(why) = &content {
            entry.is_readable = false;
            entry.why.clone_from(why);
        }
        Self { entry, content }
    }

    pub(super) fn notice(&self) -> Option<&Notice> {
        match &self.content {
            Content::Notice(notice) => Some(notice),
            Content::Event(..) | Content::Unified { .. } | Content::Unreadable(_) => None,
        }
    }
}

fn undelivered<'m>(body: &'m str, entry: &mut Entry) -> Content<'m> {
    match serde_json::from_str::<Undelivered<'m>>(body) {
        Ok(undelivered) => {
            entry.team = Some(undelivered.team);
            entry.why = undelivered.reason.unwrap_or_default();
            event(undelivered.envelope.get(), entry)
        }
        Err(error) => Content::Unreadable(format!("no undelivered event: {error}")),
    }
}

fn event<'m>(text: &'m str, entry: &mut Entry) -> Content<'m> {
    let head: Head = serde_json::from_str(text).unwrap_or_default();
    entry.account.clone_from(&head.account);
    entry.event.clone_from(&head.id);
    entry.delivery.clone_from(&head.deliveryid);
    entry.event_type.clone_from(&head.event_type);
    entry.subject.clone_from(&head.subject);
    let is_unified = head
        .event_type
        .as_ref()
        .is_some_and(|name| name.starts_with(UNIFIED));
    match (Envelope::parse(text), head) {
        (Ok(envelope), _) => Content::Event(Box::new(envelope), text),
        (
            Err(_),
            Head {
                id: Some(event),
                source: Some(source),
                account: Some(account),
                possibleduplicate,
                ..
            },
        ) if is_unified => Content::Unified {
            source,
            account,
            event,
            possible_duplicate: possibleduplicate,
        },
        (Err(error @ EnvelopeError::Unknown(_)), _) => Content::Unreadable(error.to_string()),
        (Err(error), _) => Content::Unreadable(format!("no envelope: {error}")),
    }
}

fn notice(body: &str, entry: &mut Entry) -> Content<'static> {
    match serde_json::from_str::<Notice>(body) {
        Ok(notice) => {
            let first = notice.elements.first().map(|element| &element.reason);
            let why = notice.reason.as_ref().or(first);
            entry.why = why.cloned().unwrap_or_default();
            entry.account = Some(notice.account.clone());
            entry.delivery = Some(notice.deliveryid.clone());
            Content::Notice(notice)
        }
        Err(error) => Content::Unreadable(format!("no notice of a quarantined delivery: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn message(body: &str) -> Message {
        serde_json::from_value(serde_json::json!({
            "MessageId": "m1", "ReceiptHandle": "h1", "Body": body,
            "Attributes": { "SentTimestamp": "1795176000000", "ApproximateReceiveCount": "2" },
            "MessageAttributes": { "only": { "DataType": "String", "StringValue": "sales" } },
        }))
        .unwrap()
    }

    const ENVELOPE: &str = r#"{"specversion":"1.0","id":"01a1f8d3-ea7b-7101-8101-010101010101.00007","source":"/orderspace/acme","type":"orderspace.order.created","subject":"order/or_1","time":"2026-11-20T12:00:00.123Z","datacontenttype":"application/json","account":"acme","deliveryid":"01a1f8d3-ea7b-7101-8101-010101010101","data":{"n":1.50}}"#;

    #[test]
    fn an_undelivered_event_has_its_team_and_its_reason() {
        let body = format!(
            r#"{{"team":"sales","queue":"q","reason":"QueueDoesNotExist","envelope":{ENVELOPE}}}"#
        );
        let message = message(&body);
        let waiting = Waiting::read(Room::Undelivered, &message);
        let Content::Event(envelope, text) = &waiting.content else {
            panic!("{waiting:?}");
        };
        assert_eq!(*text, ENVELOPE, "byte for byte");
        assert_eq!(envelope.account.as_str(), "acme");
        let entry = waiting.entry;
        assert_eq!(entry.team.as_deref(), Some("sales"));
        assert_eq!(entry.why, "QueueDoesNotExist");
        assert_eq!(entry.subject.as_deref(), Some("order/or_1"));
        assert_eq!(entry.receives, Some(2));
        assert_eq!(entry.sent.unwrap().unix_timestamp(), 1_795_176_000);
    }

    #[test]
    fn a_dead_letter_keeps_the_team_that_it_was_for() {
        let message = message(ENVELOPE);
        let waiting = Waiting::read(Room::DeadLetters(domain::lane::Lane::Orders), &message);
        assert!(matches!(waiting.content, Content::Event(..)));
        assert_eq!(waiting.entry.team.as_deref(), Some("sales"));
    }

    #[test]
    fn a_unified_event_is_one_whose_native_form_is_elsewhere() {
        let unified = ENVELOPE.replace("orderspace.order.created", "ecommerce.order.created");
        let body = format!(r#"{{"team":"sales","queue":"q","reason":"x","envelope":{unified}}}"#);
        let message = message(&body);
        let waiting = Waiting::read(Room::Undelivered, &message);
        assert!(
            matches!(&waiting.content, Content::Unified { source, .. } if source == "/orderspace/acme"),
            "{waiting:?}"
        );
    }

    #[test]
    fn a_notice_says_what_was_not_understood() {
        let body = r#"{"account":"acme","deliveryid":"d","time":"t","elements":[{"index":2,"reason":"element_without_type"}],"receipt":{"pk":"acme#2026-11-20","sk":"d"}}"#;
        let message = message(body);
        let waiting = Waiting::read(Room::Quarantine, &message);
        assert_eq!(waiting.entry.why, "element_without_type");
        assert_eq!(waiting.notice().unwrap().elements[0].index, 2);
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_json("no json")]
    #[case::null("null")]
    #[case::a_number("7")]
    #[case::other_members(r#"{"team":7}"#)]
    #[case::no_envelope(r#"{"team":"sales","envelope":7}"#)]
    #[case::empty_envelope(r#"{"team":"sales","envelope":{}}"#)]
    #[case::twice(r#"{"team":"sales","team":"sales","envelope":{}}"#)]
    #[case::of_a_newer_release(
        r#"{"team":"sales","envelope":{"specversion":"2.0","id":"a","source":"b","type":"c"}}"#
    )]
    fn whatever_cannot_be_read_is_an_entry_as_well(#[case] body: &str) {
        let message = message(body);
        for room in Room::all() {
            let waiting = Waiting::read(room, &message);
            assert!(!waiting.entry.is_readable, "{room} {waiting:?}");
            assert!(!waiting.entry.why.is_empty());
        }
    }
}
