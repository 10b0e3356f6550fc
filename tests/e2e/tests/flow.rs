//! The way of an event: Orderspace sends, a team's queue and the records table are read. Whatever order and
//! repetition the way brings, a record ends as that of the event first seen last, and no event is lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeSet;

use domain::envelope::{Content, Envelope, Marks};
use domain::identity::{DeliveryId, EventIndex};
use domain::provenance::Provenance;
use domain::record::{RecordId, Subject};
use domain::source::Source;
use domain::timestamp::Timestamp;
use e2e::World;
use e2e::provider::event;
use e2e::proxy::Fault;
use e2e::story::check_record;
use e2e::team::TeamEvent;
use rstest::rstest;
use runtime::clock;
use serde_json::value::RawValue;
use simulator::control::{Deliver, RawBody};
use simulator::{EVENT_NAMES, EventText, Repeat, Shape, Switches};
use testkit::contract::is_same_json;
use testkit::delivery::delivery;
use testkit::fixtures;

/// Has Orderspace send, and waits until it has nothing more to send.
async fn send(world: &World, deliver: &Deliver) {
    let reports = world.site().deliver(deliver).await.unwrap();
    assert_eq!(reports.len(), 1, "one webhook");
    assert!(reports[0].accepted, "{reports:?}");
}

/// Waits until a delivery was answered with a refusal.
async fn refused(world: &World) {
    e2e::until("a delivery was refused", async || {
        match world.stack.failures(&world.account).await.len() {
            0 => Err("no strike".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

fn about<'e>(events: &'e [TeamEvent], subject: &str) -> Vec<&'e TeamEvent> {
    let events = events.iter();
    events.filter(|event| event.subject == subject).collect()
}

/// The id of a delivery that is so many milliseconds younger than now.
fn id(millis: i64) -> DeliveryId {
    let at = clock::now().millis().checked_add_signed(millis).unwrap();
    DeliveryId::new(Timestamp::from_millis(at), &[7; 10])
}

/// Puts an event into the orders' lane, as inbound would have.
async fn enqueue(world: &World, delivery: DeliveryId, event_type: &str, record: &str) {
    let record: &RawValue = serde_json::from_str(record).unwrap();
    let fields: serde_json::Value = serde_json::from_str(record.get()).unwrap();
    let event_id = delivery.event(EventIndex::new(0).unwrap());
    let key = RecordId::new(fields["id"].as_str().unwrap()).unwrap();
    let kind = event_type.split('.').next().unwrap();
    let envelope = Envelope {
        id: event_id,
        source: Source::Orderspace,
        account: world.account.parse().unwrap(),
        event_type: event_type.parse().unwrap(),
        subject: Subject::new(kind, Some(&key), event_id),
        provenance: Provenance::default(),
        marks: Marks::default(),
        content: Content::Inline(record),
    };
    let (stack, body) = (&world.stack, envelope.to_text().to_text());
    stack
        .put_message(stack.output("OrdersQueueUrl"), &body)
        .await;
}

#[rstest]
#[case::of_today(Shape::Current)]
#[case::of_the_first_draft(Shape::Old)]
#[tokio::test]
// requirement: verbatim-forms, envelope-schema
async fn every_type_goes_all_the_way(#[case] shape: Shape) {
    let world = World::connected().await;
    let sent: Vec<EventText> = EVENT_NAMES
        .iter()
        .flat_map(|name| {
            let body = fixtures::body(&format!("current/{name}.json"));
            simulator::fixtures::split(&body).unwrap()
        })
        .collect();
    let deliver = Deliver {
        switches: Switches {
            shape,
            ..Switches::default()
        },
        ..Deliver::events(&sent)
    };
    send(&world, &deliver).await;

    let events = world.team.wait_for(sent.len()).await;
    let types = events.iter().map(|event| event.event_type.as_str());
    assert_eq!(types.collect::<BTreeSet<_>>(), EVENT_NAMES.into());
    let deliveries: BTreeSet<&str> = events.iter().map(|event| event.delivery.as_str()).collect();
    let expected = match shape {
        Shape::Current => 1,
        Shape::Old => EVENT_NAMES.len(),
    };
    assert_eq!(deliveries.len(), expected);
    for sent in &sent {
        let name = sent.name().unwrap();
        let mut each = events.iter();
        let event = each.find(|event| event.event_type == name).unwrap();
        let record = String::from_utf8(event.record(&world.stack).await).unwrap();
        assert!(sent.as_str().contains(&record), "{name}: {record}");
        let of_one = about(&events, &event.subject);
        check_record(&world, name, &event.subject, of_one).await;
    }
}

#[tokio::test]
// requirement: repeat-mark
async fn an_accepted_delivery_that_comes_again_is_a_possible_duplicate() {
    let world = World::connected().await;
    let sent = [
        event("order.created", r#"{"id":"or_1","number":1}"#),
        event("customer.created", r#"{"id":"cu_1"}"#),
    ];
    send(&world, &Deliver::events(&sent)).await;
    world.team.wait_for(2).await;
    send(&world, &Deliver::events(&sent)).await;
    let events = world.team.wait_for(4).await;
    for subject in ["order/or_1", "customer/cu_1"] {
        let of_one = about(&events, subject);
        assert_eq!(of_one.len(), 2);
        assert_eq!(of_one[0].data, of_one[1].data);
        assert!(!of_one[0].possible_duplicate, "{subject}");
        assert!(of_one[1].possible_duplicate, "{subject}");
        check_record(&world, "repeated", subject, of_one).await;
    }
}

#[tokio::test]
async fn equal_deliveries_at_the_same_time_are_both_forwarded() {
    let world = World::connected().await;
    let sent = [event("order.created", r#"{"id":"or_1","number":1}"#)];
    let deliver = Deliver {
        switches: Switches {
            repeat: Repeat::TwiceAtOnce,
            ..Switches::default()
        },
        ..Deliver::events(&sent)
    };
    send(&world, &deliver).await;
    let events = world.team.wait_for(2).await;
    assert_ne!(events[0].delivery, events[1].delivery);
    assert_eq!(events[0].data, events[1].data);
    check_record(&world, "at once", "order/or_1", events.iter().collect()).await;
}

#[tokio::test]
// requirement: repeat-retry
async fn a_delivery_that_was_refused_half_way_keeps_its_place() {
    let world = World::connected().await;
    // The first delivery gets its customer through and its order not; Orderspace tries again by itself.
    let gone = Fault::refuse("QueueDoesNotExist");
    let outage = world.disturb("sqs:SendMessageBatch", "Orders", gone).await;
    let older = [
        event("customer.updated", r#"{"id":"cu_1","name":"older"}"#),
        event("order.updated", r#"{"id":"or_1","status":"older"}"#),
    ];
    let deliver = Deliver {
        wait: false,
        ..Deliver::events(&older)
    };
    world.site().deliver(&deliver).await.unwrap();
    let first = world.team.wait_for(1).await;
    // Meanwhile the customer changes again.
    let newer = [event("customer.updated", r#"{"id":"cu_1","name":"newer"}"#)];
    send(&world, &Deliver::events(&newer)).await;
    refused(&world).await;
    outage.end().await;

    let events = world.team.wait_for(3).await;
    let messages = world.team.wait_for_messages(4).await;
    assert_eq!(events[0].id, first[0].id, "the retry has another identity");
    assert_eq!(events[0].delivery, events[1].delivery);
    assert!(events[2].delivery > events[0].delivery);
    assert!(
        messages.len() >= 4,
        "the retry sends the customer again, with its id"
    );
    let customers = about(&events, "customer/cu_1");
    check_record(&world, "half-way", "customer/cu_1", customers).await;
    let customer = world.record("customer", "cu_1").await.unwrap();
    let expected = r#"{"id":"cu_1","name":"newer"}"#;
    assert!(is_same_json(&customer.data.unwrap(), expected));
    assert!(world.record("order", "or_1").await.is_some());
}

#[tokio::test]
// requirement: state-order
async fn events_that_overtake_each_other_end_as_the_last_first_seen() {
    let world = World::planted().await;
    let [oldest, middle, newest] = [-3000, -2000, -1000].map(id);
    let record = |status: &str| format!(r#"{{"id":"or_1","status":"{status}"}}"#);
    let arriving = [(newest, "newest"), (oldest, "oldest"), (middle, "middle")];
    for (count, (delivery, status)) in (1..).zip(arriving) {
        enqueue(&world, delivery, "order.updated", &record(status)).await;
        // The team has it only after the record was written.
        world.team.wait_for(count).await;
    }
    let events = world.team.wait_for(3).await;
    let ids: Vec<String> = events.iter().map(|event| event.delivery.clone()).collect();
    assert_eq!(ids, [oldest, middle, newest].map(|id| id.to_string()));
    let order = world.record("order", "or_1").await.unwrap();
    assert!(is_same_json(&order.data.unwrap(), &record("newest")));
    assert_eq!(order.event_id.unwrap(), events[2].id);
    assert!(!order.deleted);
}

#[rstest]
#[case::the_update_is_late(-1000, -2000)]
#[case::the_update_is_newer(-2000, -1000)]
#[tokio::test]
// requirement: state-delete
async fn a_delete_is_final(#[case] deleted: i64, #[case] updated: i64) {
    let world = World::planted().await;
    let updated_record = r#"{"id":"or_1","status":"updated"}"#;
    let stub = r#"{"id":"or_1","deleted":true}"#;
    enqueue(&world, id(deleted), "order.deleted", stub).await;
    world.team.wait_for(1).await;
    enqueue(&world, id(updated), "order.updated", updated_record).await;
    let events = world.team.wait_for(2).await;
    assert_eq!(events.len(), 2, "both are forwarded");
    let order = world.record("order", "or_1").await.unwrap();
    assert!(order.deleted);
    assert!(
        is_same_json(&order.data.unwrap(), updated_record),
        "the last data stays readable"
    );
}

#[tokio::test]
// requirement: repeat-equal-bytes
async fn stock_that_goes_and_comes_back_is_three_events() {
    let world = World::connected().await;
    let stock = |on_hand: u32| {
        let record = format!(r#"{{"sku":"AD01","on_hand":{on_hand}.0,"available":{on_hand}.0}}"#);
        [event("inventory_level.updated", &record)]
    };
    for on_hand in [20, 10, 20] {
        send(&world, &Deliver::events(&stock(on_hand))).await;
    }
    let events = world.team.wait_for(3).await;
    let is_twenty = |event: &TeamEvent| event.message.body.contains(r#""on_hand":20.0"#);
    let on_hand: Vec<bool> = events.iter().map(is_twenty).collect();
    assert_eq!(on_hand, [true, false, true]);
    let level = world.record("inventory_level", "AD01").await.unwrap();
    assert_eq!(level.event_id.as_ref(), Some(&events[2].id));
    let expected = r#"{"sku":"AD01","on_hand":20,"available":20}"#;
    assert!(is_same_json(&level.data.unwrap(), expected));
}

#[tokio::test]
async fn stock_that_goes_and_comes_back_within_one_delivery_is_three_events() {
    let world = World::planted().await;
    let body = fixtures::body("made/stock-there-and-back.json");
    world.deliver(&body).await;
    let events = world.team.wait_for(3).await;
    // Nothing tells the second of two equal events from a retry whose first answer was lost. Which of the two is applied
    // second, the lane decides: it has no order.
    let [first, other, last] = [0, 1, 2].map(|position: usize| events[position].possible_duplicate);
    assert!(!other);
    assert!(first != last, "one of the two is marked: {first} {last}");
}

#[tokio::test]
// requirement: record-payments
async fn equal_payments_are_both_kept() {
    let world = World::connected().await;
    let body = fixtures::body("made/equal-payments.json");
    let sent = simulator::fixtures::split(&body).unwrap();
    send(&world, &Deliver::events(&sent)).await;
    let events = world.team.wait_for(2).await;
    assert_eq!(events[0].subject, events[1].subject);
    let marked = events.iter().filter(|event| event.possible_duplicate);
    assert_eq!(marked.count(), 1, "the one that is applied second");
    let (kind, key) = events[0].subject.split_once('/').unwrap();
    let payment = world.record(kind, key).await.unwrap();
    let mut occurrences = payment.occurrences;
    occurrences.sort();
    let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(occurrences, ids, "each occurrence is counted once");
}

#[tokio::test]
async fn a_retry_in_other_batches_loses_nothing() {
    let world = World::connected().await;
    let outage = world.disturb("sqs:SendMessageBatch", "Orders", Fault::Status(503));
    let outage = outage.await;
    let sent: Vec<EventText> = (0..12)
        .map(|number| event("order.created", &format!(r#"{{"id":"or_{number:05}"}}"#)))
        .collect();
    let deliver = Deliver {
        switches: Switches {
            rebatch: simulator::Rebatch::Split,
            batch_size: 12,
            ..Switches::default()
        },
        wait: false,
        ..Deliver::events(&sent)
    };
    world.site().deliver(&deliver).await.unwrap();
    refused(&world).await;
    outage.end().await;
    e2e::until("every order has its record", async || {
        let mut missing = 0;
        for number in 0..12 {
            let id = format!("or_{number:05}");
            missing += usize::from(world.record("order", &id).await.is_none());
        }
        match missing {
            0 => Ok(()),
            missing => Err(format!("{missing} are missing")),
        }
    })
    .await;
    e2e::until("every order reached the team", async || {
        let events = world.team.messages().await.into_iter();
        let subjects: BTreeSet<String> = events.map(|event| event.subject).collect();
        match subjects.len() {
            12 => Ok(()),
            count => Err(format!("{count} did")),
        }
    })
    .await;
}

#[tokio::test]
async fn any_bytes_that_orderspace_signs_are_kept() {
    let world = World::connected().await;
    let deliver = Deliver {
        raw: vec![RawBody {
            text: Some("no delivery at all".to_owned()),
            ..RawBody::default()
        }],
        ..Deliver::default()
    };
    send(&world, &deliver).await;
    let message = world.quarantined(1).await.remove(0);
    let body = world.quarantined_body(&message).await;
    assert_eq!(body, b"no delivery at all");
}

#[tokio::test]
// requirement: envelope-attributes
async fn messages_have_attributes_to_filter_by() {
    let world = World::planted().await;
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    world.deliver(&body).await;
    let events = world.team.wait_for(1).await;
    let attributes = &events[0].message.attributes;
    assert_eq!(attributes["type"], "orderspace.order.created");
    assert_eq!(attributes["account"], world.account);
    assert_eq!(attributes["subject"], "order/or_1");
}
