//! A fixture's whole way: posted as a signed delivery, read back from queues and tables, held against the manifest.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test stops where the story ends otherwise"
)]

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use testkit::contract::is_same_json;
use testkit::fixtures::{Expected, ExpectedEvents, Fixture, Good};

use crate::team::{Data, TeamEvent};
use crate::waiting::until;
use crate::world::World;

/// Records of this size and above cannot travel in a message, whatever is around them.
const NEVER_INLINE: usize = 250_000;
/// Records below this size travel in the message.
const ALWAYS_INLINE: usize = 240_000;
/// The most records of one fixture that are read back: a thousand of the same kind show no more than these.
const MOST_RECORDS: usize = 60;

/// Posts a fixture for an account of its own, and sees that all that comes of it is what the manifest says.
///
/// # Panics
/// It is not.
pub async fn tell(fixture: &Fixture) {
    let world = accepted_at_once(fixture).await;
    let name = &fixture.name;
    let delivery = kept(&world, fixture).await;
    match &fixture.expected {
        Expected::Unreadable(reason) => {
            let messages = world.quarantined(1).await;
            let message = messages.first().expect("one message");
            assert_eq!(message.reason.as_deref(), Some(reason.as_str()), "{name}");
            assert_eq!(message.elements, [], "{name}");
            assert_eq!(message.deliveryid, delivery, "{name}");
            let body = world.quarantined_body(message).await;
            assert_eq!(body, fixture.body, "{name}: the quarantined bytes");
            assert_eq!(world.team.messages().await, [], "{name}: events of nothing");
        }
        Expected::Events(expected) => {
            let events = world.team.wait_for(expected.good.len()).await;
            for (good, event) in expected.good.iter().zip(&events) {
                check_event(&world, fixture, &delivery, good, event).await;
            }
            check_pairs(name, expected, &events);
            check_bad(&world, fixture, &expected.bad).await;
            check_records(&world, name, &events).await;
        }
        Expected::Undecided { elements } => check_either(&world, name, *elements).await,
    }
}

/// An account whose first request with the fixture was accepted. An emulator that is overrun may answer too late; and
/// where it does not read the retry marker in time either, the retry is a second delivery.
async fn accepted_at_once(fixture: &Fixture) -> World {
    let what = format!("{}: the first request is accepted", fixture.name);
    until(&what, async || {
        let world = World::planted().await;
        let answer = world.post(&fixture.body).await;
        answer.accepted().map(|()| world)
    })
    .await
}

/// The id of the one delivery that was kept, with its bytes.
async fn kept(world: &World, fixture: &Fixture) -> String {
    let name = &fixture.name;
    let receipts = world.stack.receipts(&world.account).await;
    let [receipt] = receipts.as_slice() else {
        let ids = receipts.iter().map(|receipt| receipt.delivery.as_str());
        panic!("{name}: kept as {:?}", ids.collect::<Vec<_>>());
    };
    assert!(receipt.body == fixture.body, "{name}: the receipt's bytes");
    if let Expected::Events(expected) = &fixture.expected {
        assert_eq!(receipt.events, expected.good.len() as u64, "{name}");
    }
    receipt.delivery.clone()
}

async fn check_event(
    world: &World,
    fixture: &Fixture,
    delivery: &str,
    good: &Good,
    event: &TeamEvent,
) {
    let place = format!("{}[{}]", fixture.name, good.index);
    assert_eq!(event.id, format!("{delivery}.{:05}", good.index), "{place}");
    assert_eq!(event.delivery, delivery, "{place}");
    assert_eq!(event.event_type, good.event_type, "{place}");
    match good.subject.strip_suffix('*') {
        Some(start) => assert!(
            event.subject.starts_with(start) && event.subject.len() > start.len(),
            "{place}: {}",
            event.subject
        ),
        None => assert_eq!(event.subject, good.subject, "{place}"),
    }
    let expected = match good.at {
        Some([from, to]) => fixture.body.get(from..to).expect("a place in the body"),
        None => record_in(&fixture.body, good.index).as_bytes(),
    };
    let record = event.record(&world.stack).await;
    assert!(
        record == expected,
        "{place}: the record is not byte for byte what was sent: {:.300}",
        String::from_utf8_lossy(&record)
    );
    match &event.data {
        Data::Inline(_) => assert!(good.sqs_text && expected.len() < NEVER_INLINE, "{place}"),
        Data::Stored(_) => assert!(!good.sqs_text || expected.len() >= ALWAYS_INLINE, "{place}"),
    }
}

/// The text of a record in a body of today's shape, read without the code under test.
fn record_in(body: &[u8], index: u32) -> &str {
    #[derive(Deserialize)]
    struct Element<'a> {
        #[serde(borrow)]
        data: BTreeMap<&'a str, &'a RawValue>,
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(body).expect("a list of elements");
    let element = elements.get(index as usize).expect("an element");
    let element: Element<'_> = serde_json::from_str(element.get()).expect("an event");
    let (_, record) = element.data.first_key_value().expect("a record");
    record.get()
}

fn check_pairs(name: &str, expected: &ExpectedEvents, events: &[TeamEvent]) {
    let of = |index: u32| {
        let found = events.iter().find(|event| event.index() == index);
        found.expect("an event that the manifest names")
    };
    let pairs = |pairs: &[[u32; 2]]| pairs.iter().map(|pair| pair.map(of)).collect::<Vec<_>>();
    for [one, other] in pairs(&expected.same_subject) {
        assert_eq!(one.subject, other.subject, "{name}");
    }
    for [one, other] in pairs(&expected.different_subject) {
        assert_ne!(one.subject, other.subject, "{name}");
    }
    for [one, other] in pairs(&expected.equal_bytes) {
        assert_eq!(one.data, other.data, "{name}");
    }
    for [one, other] in pairs(&expected.different_bytes) {
        assert_ne!(one.data, other.data, "{name}");
    }
}

async fn check_bad(world: &World, fixture: &Fixture, bad: &[u32]) {
    let name = &fixture.name;
    if bad.is_empty() {
        assert_eq!(world.quarantine().await, [], "{name}: nothing is bad");
        return;
    }
    let messages = world.quarantined(1).await;
    let message = messages.first().expect("one message");
    let indexes = message.elements.iter().map(|element| element.index);
    assert_eq!(indexes.collect::<Vec<_>>(), bad, "{name}");
    assert_eq!(message.reason, None, "{name}");
    let mut reasons = message.elements.iter().map(|element| &element.reason);
    assert!(reasons.all(|reason| !reason.is_empty()), "{name}");
    let body = world.quarantined_body(message).await;
    assert!(body == fixture.body, "{name}: the quarantined bytes");
}

/// Each element is an event or quarantined, and none is both or neither.
async fn check_either(world: &World, name: &str, elements: usize) {
    let what = format!("{name}: every element is somewhere");
    until(&what, async || {
        let events = world.team.messages().await;
        let mut good: Vec<u32> = events.iter().map(TeamEvent::index).collect();
        // A queue may deliver twice.
        good.dedup();
        let quarantine = world.quarantine().await;
        let bad: Vec<u32> = quarantine
            .iter()
            .flat_map(|message| message.elements.iter().map(|element| element.index))
            .collect();
        let found = [good.clone(), bad.clone()].concat();
        let all: BTreeSet<u32> = found.iter().copied().collect();
        let wanted: BTreeSet<u32> = (0..u32::try_from(elements).expect("few elements")).collect();
        if all != wanted {
            return Err(format!("events {good:?}, bad {bad:?}"));
        }
        assert_eq!(found.len(), elements, "{name}: an element is both or twice");
        Ok(())
    })
    .await;
}

/// Each record is that of the event first seen last, and deleted for ever if a delete was among them.
async fn check_records(world: &World, name: &str, events: &[TeamEvent]) {
    let mut by_subject: BTreeMap<&str, Vec<&TeamEvent>> = BTreeMap::new();
    for event in events {
        by_subject.entry(&event.subject).or_default().push(event);
    }
    let records = by_subject.into_iter().take(MOST_RECORDS);
    let checks =
        stream::iter(records).map(|(subject, events)| check_record(world, name, subject, events));
    checks.buffer_unordered(8).collect::<Vec<()>>().await;
}

/// Events about one subject, in the order of their ids, against the record.
pub async fn check_record(world: &World, name: &str, subject: &str, events: Vec<&TeamEvent>) {
    let (kind, id) = subject.split_once('/').expect("a subject has a kind");
    let record = world.record(kind, id).await;
    if events.iter().any(|event| event.id == id) {
        assert!(record.is_none(), "{name}: {subject} is no record");
        return;
    }
    let record = record.unwrap_or_else(|| panic!("{name}: no record of {subject}"));
    let is_delete = |event: &&&TeamEvent| event.event_type.ends_with(".deleted");
    let is_deleted = events.iter().any(|event| is_delete(&event));
    assert_eq!(record.deleted, is_deleted, "{name}: {subject}");
    let Some(latest) = events.iter().rev().find(|event| !is_delete(event)) else {
        return;
    };
    let event_id = record.event_id.as_ref();
    assert_eq!(event_id, Some(&latest.id), "{name}: {subject}");
    let sent = String::from_utf8(latest.record(&world.stack).await).expect("a record is text");
    let data = record.data.unwrap_or_default();
    assert!(
        is_same_json(&data, &sent),
        "{name}: {subject} reads back as {data:.300} and was {sent:.300}"
    );
}
