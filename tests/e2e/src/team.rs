//! What a team's queue holds: events, each held against the published schema with no attribute more.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test stops where a message is not what teams are promised"
)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use domain::envelope::DataRef;
use domain::ports::Oversize as _;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::mail::{Letter, Mailbox};
use crate::stack::Stack;
use crate::waiting::until;

/// An event in a team's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamEvent {
    /// The event id.
    pub id: String,
    /// The type, without the source's name.
    pub event_type: String,
    /// The subject.
    pub subject: String,
    /// The delivery that brought it.
    pub delivery: String,
    /// Marked as a possible duplicate.
    pub possible_duplicate: bool,
    /// The record.
    pub data: Data,
    /// The message's attributes.
    pub letter: Letter,
}

/// The record of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In the message, byte for byte.
    Inline(String),
    /// Behind a pointer.
    Stored(String),
}

impl TeamEvent {
    /// The position in its delivery.
    #[must_use]
    pub fn index(&self) -> u32 {
        let index = self.id.rsplit_once('.').map(|(_, index)| index.parse());
        match index {
            Some(Ok(index)) => index,
            _ => panic!("{} has no index", self.id),
        }
    }

    /// The record's bytes, wherever they are.
    pub async fn record(&self, stack: &Stack) -> Vec<u8> {
        match &self.data {
            Data::Inline(record) => record.clone().into_bytes(),
            Data::Stored(place) => {
                let place: DataRef =
                    serde_json::from_value(json!(place)).expect("a reference is text");
                let got = stack.oversize.get(&place).await;
                got.unwrap_or_else(|error| panic!("{} points nowhere: {error}", self.id))
            }
        }
    }
}

/// The schema as published, closed: what it does not describe must not leave.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Reads `infra/events/orderhook-event.schema.json`.
    #[must_use]
    pub fn closed() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../infra/events/orderhook-event.schema.json");
        let text = std::fs::read(&path).expect("the published schema");
        let mut schema: Value = serde_json::from_slice(&text).expect("the schema is JSON");
        let members = schema.as_object_mut().expect("the schema is an object");
        members.insert("additionalProperties".to_owned(), json!(false));
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema);
        Self(validator.expect("the schema is one"))
    }

    /// Holds a message against the schema.
    ///
    /// # Panics
    /// It is not what the schema promises.
    pub fn check(&self, message: &str) {
        let value: Value = match serde_json::from_str(message) {
            Ok(value) => value,
            // Deeper than the parser goes: the schema says of the record only that it is an object.
            Err(_) => shallow(message),
        };
        let errors: Vec<String> = self
            .0
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {message:.2000}");
    }
}

/// The message with an empty record in the place of its own.
fn shallow(message: &str) -> Value {
    let wire: Wire<'_> =
        serde_json::from_str(message).unwrap_or_else(|error| panic!("{error} in {message:.2000}"));
    let data = wire.data.expect("only a record can be deep").get();
    assert!(data.starts_with('{'), "the record is no object");
    let around = message.replacen(data, "{}", 1);
    serde_json::from_str(&around).expect("what was JSON is JSON")
}

/// A message as a team reads it.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    subject: String,
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(borrow)]
    deliveryid: Cow<'a, str>,
    #[serde(default)]
    possibleduplicate: bool,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    dataref: Option<String>,
}

impl Schema {
    /// Reads a message that the schema admits.
    ///
    /// # Panics
    /// The schema does not admit it, or its attributes contradict it.
    #[must_use]
    pub fn read(&self, letter: &Letter) -> TeamEvent {
        self.check(&letter.body);
        let wire: Wire<'_> = serde_json::from_str(&letter.body).expect("the schema admits it");
        let attribute = |name: &str| letter.attributes.get(name).map(String::as_str);
        assert_eq!(attribute("type"), Some(&*wire.event_type));
        assert_eq!(attribute("account"), Some(&*wire.account));
        if let Some(subject) = attribute("subject") {
            assert_eq!(subject, wire.subject);
        }
        let data = match (wire.data, wire.dataref) {
            (Some(record), None) => Data::Inline(record.get().to_owned()),
            (None, Some(place)) => Data::Stored(place),
            _ => panic!("neither or both of data and dataref in {}", wire.id),
        };
        TeamEvent {
            id: wire.id.into_owned(),
            event_type: wire
                .event_type
                .strip_prefix("orderspace.")
                .expect("the schema admits it")
                .to_owned(),
            subject: wire.subject,
            delivery: wire.deliveryid.into_owned(),
            possible_duplicate: wire.possibleduplicate,
            data,
            letter: letter.clone(),
        }
    }
}

/// One account's events in the example team's queue.
#[derive(Debug)]
pub struct TeamQueue {
    mailbox: Mailbox,
    schema: Schema,
}

impl TeamQueue {
    /// The team's mail about `account`.
    #[must_use]
    pub fn of(stack: &Stack, account: &str) -> Self {
        Self {
            mailbox: Mailbox::new(stack, "ExampleTeamQueueUrl", account),
            schema: Schema::closed(),
        }
    }

    /// Every message so far, in the order of event ids; a repeat stands twice.
    pub async fn messages(&self) -> Vec<TeamEvent> {
        let letters = self.mailbox.letters().await;
        let mut events: Vec<_> = letters
            .iter()
            .map(|letter| self.schema.read(letter))
            .collect();
        events.sort_by(|one, other| one.id.cmp(&other.id));
        events
    }

    /// Waits for so many messages, repeats included.
    ///
    /// # Panics
    /// They do not come.
    pub async fn wait_for_messages(&self, count: usize) -> Vec<TeamEvent> {
        let what = format!("{count} messages in the team's queue");
        until(&what, async || {
            let messages = self.messages().await;
            if messages.len() < count {
                return Err(format!("there are {}", messages.len()));
            }
            Ok(messages)
        })
        .await
    }

    /// Waits for so many different events, and returns each once.
    ///
    /// # Panics
    /// They do not come, or there are more.
    pub async fn wait_for(&self, count: usize) -> Vec<TeamEvent> {
        let what = format!("{count} different events in the team's queue");
        let events = until(&what, async || {
            // The schema is held against every message once they are all there.
            let letters = self.mailbox.letters().await;
            if letters.len() < count {
                return Err(format!("there are {} messages", letters.len()));
            }
            let mut events: Vec<_> = letters
                .iter()
                .map(|letter| self.schema.read(letter))
                .collect();
            events.sort_by(|one, other| one.id.cmp(&other.id));
            events.dedup_by(|one, other| one.id == other.id);
            if events.len() < count {
                return Err(format!("there are {}", events.len()));
            }
            Ok(events)
        })
        .await;
        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), count, "more events than were sent: {ids:?}");
        events
    }
}
