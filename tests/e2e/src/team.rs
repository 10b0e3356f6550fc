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
use domain::ports::ClaimCheck as _;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::queue_reader::{QueueMessage, QueueReader};
use crate::stack::Stack;
use crate::waiting::until;

/// An event in a team's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamEvent {
    /// The event id.
    pub id: String,
    /// The source's name.
    pub source: String,
    /// The type, without the source's name.
    pub event_type: String,
    /// The source's own id of the event, where it gives one.
    pub source_id: Option<String>,
    /// When the source says that it happened, as it is spelled.
    pub source_time: Option<String>,
    /// The event's place in the order of its record, where the source's time orders it.
    pub sequence: Option<String>,
    /// The subject.
    pub subject: String,
    /// The delivery that brought it.
    pub delivery: String,
    /// Marked as a possible duplicate.
    pub possible_duplicate: bool,
    /// The record.
    pub data: Data,
    /// The message's attributes.
    pub message: QueueMessage,
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

    /// The record in the message, as JSON.
    ///
    /// # Panics
    /// The record is behind a pointer, or is no JSON.
    #[must_use]
    pub fn inline_record(&self) -> Value {
        let Data::Inline(record) = &self.data else {
            panic!("{self:?}");
        };
        serde_json::from_str(record).expect("a record is JSON")
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
        let mut schema = published();
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
        let errors = self.errors(&value);
        assert!(errors.is_empty(), "{errors:?} in {message:.2000}");
    }

    /// What the schema does not admit.
    fn errors(&self, message: &Value) -> Vec<String> {
        let errors = self.0.iter_errors(message);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }
}

/// The schema as teams get it.
fn published() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../infra/events/orderhook-event.schema.json");
    let text = std::fs::read(&path).expect("the published schema");
    serde_json::from_slice(&text).expect("the schema is JSON")
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
    source: String,
    sourceid: Option<String>,
    sourcetime: Option<String>,
    sequence: Option<String>,
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
    dataref: Option<String>,
}

impl Schema {
    /// Reads a message that the schema admits.
    ///
    /// # Panics
    /// The schema does not admit it, or its attributes contradict it.
    #[must_use]
    pub fn read(&self, message: &QueueMessage) -> TeamEvent {
        self.check(&message.body);
        let wire: Wire<'_> = serde_json::from_str(&message.body).expect("the schema admits it");
        let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
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
        let mut parts = wire.source.split('/').skip(1);
        let (source, account) = (parts.next(), parts.next());
        assert_eq!(account, Some(&*wire.account));
        let source = source.expect("the schema admits it");
        let prefix = format!("{source}.");
        TeamEvent {
            id: wire.id.into_owned(),
            event_type: wire
                .event_type
                .strip_prefix(&prefix)
                .expect("a native event's type begins with its source's name")
                .to_owned(),
            source: source.to_owned(),
            source_id: wire.sourceid,
            source_time: wire.sourcetime,
            sequence: wire.sequence,
            subject: wire.subject,
            delivery: wire.deliveryid.into_owned(),
            possible_duplicate: wire.possibleduplicate,
            data,
            message: message.clone(),
        }
    }
}

/// One account's events in the example team's queue.
#[derive(Debug)]
pub struct TeamQueue {
    reader: QueueReader,
    schema: Schema,
}

impl TeamQueue {
    /// The team's mail about `account`.
    #[must_use]
    pub fn of(stack: &Stack, account: &str) -> Self {
        Self {
            reader: QueueReader::new(stack, "ExampleTeamQueueUrl", account),
            schema: Schema::closed(),
        }
    }

    /// Every message so far, in the order of event ids; a repeat stands twice.
    pub async fn messages(&self) -> Vec<TeamEvent> {
        self.read(&self.reader.messages().await)
    }

    fn read(&self, messages: &[QueueMessage]) -> Vec<TeamEvent> {
        let events = messages.iter().map(|message| self.schema.read(message));
        let mut events: Vec<_> = events.collect();
        events.sort_by(|one, other| one.id.cmp(&other.id));
        events
    }

    /// Waits for so many messages, repeats included.
    ///
    /// # Panics
    /// They do not come.
    pub async fn wait_for_messages(&self, count: usize) -> Vec<TeamEvent> {
        self.read(&self.reader.wait_for(count).await)
    }

    /// Waits for so many different events, and returns each once.
    ///
    /// # Panics
    /// They do not come, or there are more.
    pub async fn wait_for(&self, count: usize) -> Vec<TeamEvent> {
        let what = format!("{count} different events in the team's queue");
        let events = until(&what, async || {
            // The schema is held against every message once they are all there.
            let messages = self.reader.messages().await;
            if messages.len() < count {
                return Err(format!("there are {} messages", messages.len()));
            }
            let mut events = self.read(&messages);
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::envelope::Envelope;
    use rstest::rstest;

    fn examples() -> Vec<Value> {
        let mut schema = published();
        serde_json::from_value(schema["examples"].take()).unwrap()
    }

    #[test]
    fn the_examples_are_what_the_schema_says() {
        let schema = Schema::closed();
        for example in examples() {
            assert_eq!(schema.errors(&example), [""; 0], "{example}");
        }
    }

    /// With each member that an envelope can have, whether or not anything writes it yet.
    #[test]
    fn what_is_read_and_passed_on_is_what_the_schema_says() {
        let members = published();
        let members = members["properties"].as_object().unwrap();
        let mut whole = examples().swap_remove(0);
        for (name, member) in members {
            let value = member["examples"].get(0).unwrap_or(&member["const"]);
            if !value.is_null() && name != "dataref" {
                whole[name] = value.clone();
            }
        }
        whole["type"] = json!("orderspace.return_parcel_created@v3");
        let text = whole.to_string();
        let written = Envelope::parse(&text).unwrap().to_text().to_text();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), whole);
        assert_eq!(whole.as_object().unwrap().len(), members.len() - 1);
        Schema::closed().check(&written);
    }

    #[rstest]
    #[case("source", "/stackone/acme", true)]
    #[case("source", "/ordermentum/acme-2", true)]
    #[case("source", "stackone/acme", false)]
    #[case("source", "//acme", false)]
    #[case("source", "/StackOne/acme", false)]
    #[case("source", "/stackone/acme/orders", false)]
    #[case("source", "/stackone/", false)]
    #[case("type", "ordermentum.order_created", true)]
    #[case("type", "stackone.order.created", true)]
    #[case("type", "onestock.return_parcel_created@v3", true)]
    #[case("type", "apideck.ecommerce.order.created", true)]
    #[case("type", &format!("stackone.{}", "x".repeat(100)), true)]
    #[case("type", &format!("stackone.{}", "x".repeat(101)), false)]
    #[case("type", "order_created", false)]
    #[case("type", "stackone.", false)]
    #[case("type", "stackone..created", false)]
    #[case("type", ".order.created", false)]
    #[case("type", "stackone.order created", false)]
    #[case("type", "stackone.order/created", false)]
    #[case("type", "stackone.order.created\n", false)]
    #[case("sourceid", "é 1", true)]
    #[case("sourceid", "", false)]
    #[case("sourceid", "a\u{7f}", false)]
    #[case("sourcetime", "2026-11-20T12:00:00.123456+05:30", true)]
    #[case("sourcetime", "yesterday", false)]
    #[case("sequence", "1.01a1f8d3-ea7b-7d3e-9a41-5f0c2e8b1d64.00003", false)]
    #[case("sequence", "001795175998000", false)]
    #[case("sourcetype", "stackone.order.created", true)]
    #[case("sourcetype", "order", false)]
    #[case("replayjob", "r01-2", true)]
    #[case("replayjob", "a b", false)]
    #[case("sourceurl", "x", false)]
    fn a_member_of_any_source(#[case] name: &str, #[case] value: &str, #[case] admitted: bool) {
        let mut message = examples().swap_remove(0);
        message[name] = json!(value);
        let errors = Schema::closed().errors(&message);
        assert_eq!(errors.is_empty(), admitted, "{errors:?}");
    }
}
