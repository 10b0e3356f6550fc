//! Traces: a team's message has that of the lane's message, also in the form of OpenTelemetry.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use domain::ports::{BATCH_BYTES, QueueUrl, TOPIC_BATCH_BYTES};
use rstest::rstest;
use serde_json::json;
use testkit::sqs_event::{SqsBatch, batch, message_id};
use world::{ORDERS_ARN, World, event, order, world, world_with};

const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const OF_HEADER: &str = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
const SENDERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Adds a message with this trace.
fn traced(batch: SqsBatch, body: &str, header: Option<&str>, parent: Option<&str>) -> SqsBatch {
    let mut batch = batch.message(body);
    if let Some(header) = header {
        batch = batch.with_system_attribute("AWSTraceHeader", header);
    }
    if let Some(parent) = parent {
        batch = batch.with_attribute("traceparent", parent);
    }
    batch
}

/// A batch of one order with this trace.
fn traced_order(header: Option<&str>, parent: Option<&str>) -> SqsBatch {
    let body = order(1, "created", "a");
    traced(batch(ORDERS_ARN), &body, header, parent)
}

/// The traces of a queue's messages: X-Ray's header, and the attribute.
fn traces(world: &World, queue: &str) -> Vec<(Option<String>, Option<String>)> {
    let sent = world.queue(queue).into_iter();
    sent.map(|mut sent| (sent.trace, sent.attributes.remove("traceparent")))
        .collect()
}

fn trace(header: Option<&str>, parent: Option<&str>) -> (Option<String>, Option<String>) {
    (header.map(str::to_owned), parent.map(str::to_owned))
}

#[rstest]
#[case::neither(None, None, None, None)]
#[case::of_x_ray(Some(HEADER), None, Some(HEADER), Some(OF_HEADER))]
#[case::of_the_sender(None, Some(SENDERS), None, Some(SENDERS))]
#[case::both(Some(HEADER), Some(SENDERS), Some(HEADER), Some(SENDERS))]
#[case::a_root_alone(
    Some("Root=1-5759e988-bd862e3fe1be46a994272793"),
    None,
    Some("Root=1-5759e988-bd862e3fe1be46a994272793"),
    None
)]
#[case::a_header_that_is_none(Some("Root=1-1-1"), None, None, None)]
#[case::an_empty_header(Some(""), Some(SENDERS), None, Some(SENDERS))]
#[case::a_traceparent_that_is_none(Some(HEADER), Some("00-00"), Some(HEADER), Some(OF_HEADER))]
#[case::an_empty_traceparent(None, Some(""), None, None)]
#[tokio::test(start_paused = true)]
async fn every_team_gets_the_trace(
    #[case] header: Option<&str>,
    #[case] parent: Option<&str>,
    #[case] team_header: Option<&str>,
    #[case] team_parent: Option<&str>,
) {
    let world = world();
    world.take_whole(&traced_order(header, parent)).await;
    let expected = [trace(team_header, team_parent)];
    for team in ["sales", "ledger.fifo"] {
        assert_eq!(traces(&world, team), expected, "{team}");
        // The event itself says nothing of it.
        assert_eq!(world.queue(team)[0].body, order(1, "created", "a"));
    }
}

/// A batch has messages of several deliveries.
#[tokio::test(start_paused = true)]
async fn every_message_of_a_batch_keeps_its_own_trace() {
    let world = world();
    let mut batch = traced_order(Some(HEADER), None);
    batch = traced(batch, &order(2, "updated", "b"), None, None);
    batch = traced(batch, &order(3, "updated", "c"), None, Some(SENDERS));
    world.take_whole(&batch).await;
    let expected = [
        trace(Some(HEADER), Some(OF_HEADER)),
        trace(None, None),
        trace(None, Some(SENDERS)),
    ];
    for team in ["sales", "ledger.fifo"] {
        assert_eq!(traces(&world, team), expected, "{team}");
    }
}

/// An attribute that is no text, as binary data, is no trace and no reason to refuse an event.
#[tokio::test(start_paused = true)]
async fn an_attribute_of_another_type_is_no_trace() {
    let world = world();
    let batch = batch(ORDERS_ARN).record(json!({
        "messageId": message_id(0),
        "receiptHandle": "handle-0",
        "body": order(1, "created", "a"),
        "attributes": { "AWSTraceHeader": HEADER },
        "messageAttributes": { "traceparent": { "binaryValue": "AAAA", "dataType": "Binary" } },
        "eventSourceARN": ORDERS_ARN,
    }));
    world.take_whole(&batch).await;
    let expected = trace(Some(HEADER), Some(OF_HEADER));
    assert_eq!(traces(&world, "sales"), [expected]);
}

/// An operator's attributes are read beside it, and what a job sends again has the trace of its own message: none.
#[rstest]
#[case::for_one_team("only", "sales")]
#[case::of_a_job("job", "r01")]
#[tokio::test(start_paused = true)]
async fn control_and_trace_do_not_touch_each_other(#[case] name: &str, #[case] value: &str) {
    let world = world();
    for order in [
        traced_order(Some(HEADER), Some(SENDERS)),
        traced_order(None, None),
    ] {
        world.take_whole(&order.with_attribute(name, value)).await;
    }
    let expected = [trace(Some(HEADER), Some(SENDERS)), trace(None, None)];
    assert_eq!(traces(&world, "sales"), expected);
    let replayed = world.queue("sales")[0].attributes.contains_key("replayed");
    assert_eq!(replayed, name == "job");
    let others = usize::from(name == "job");
    assert_eq!(traces(&world, "ledger.fifo").len(), others);
}

/// What is set aside is sent again by an operator, another day: it has no trace.
#[tokio::test(start_paused = true)]
async fn what_is_set_aside_has_no_trace() {
    let world = world();
    world.queues.remove(&QueueUrl::new("sales"));
    let batch = traced_order(Some(HEADER), Some(SENDERS));
    world.take_whole(&batch).await;
    assert_eq!(traces(&world, "undelivered"), [trace(None, None)]);
    assert!(world.queue("undelivered")[0].attributes.is_empty());
}

const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:stock";

/// SNS has no place for X-Ray's header, and an attribute for the other.
#[tokio::test(start_paused = true)]
async fn a_topic_gets_the_traceparent_alone() {
    let route = json!([{ "team": "stock", "topic": TOPIC, "types": ["*"], "accounts": ["*"] }]);
    let world = world_with(&route.to_string());
    world.take_whole(&traced_order(Some(HEADER), None)).await;
    assert_eq!(traces(&world, TOPIC), [trace(None, Some(OF_HEADER))]);
}

#[rstest]
#[case::a_queue_untraced("queue", "stock", BATCH_BYTES, None, 1)]
#[case::a_queue("queue", "stock", BATCH_BYTES, Some(HEADER), 2)]
#[case::a_topic_untraced("topic", TOPIC, TOPIC_BATCH_BYTES, None, 1)]
#[case::a_topic("topic", TOPIC, TOPIC_BATCH_BYTES, Some(HEADER), 2)]
#[tokio::test(start_paused = true)]
// requirement: size-batch
async fn what_a_trace_adds_is_counted_in_a_batch(
    #[case] place: &str,
    #[case] name: &str,
    #[case] most: usize,
    #[case] header: Option<&str>,
    #[case] calls: usize,
) {
    let route =
        json!([{ "team": "stock", place: name, "types": ["*"], "accounts": ["*"] }]).to_string();
    // Each of another record, so that none is marked as a repeat.
    let body = |number: u64, text: usize| {
        let key = format!("or_{number}");
        let record = format!(r#"{{"id":"{key}","text":"{}"}}"#, "x".repeat(text));
        event(number, "order.updated", Some(&key), &record)
    };
    let counted = {
        let world = world_with(&route);
        assert_eq!(world.take(&[body(10, 0)]).await, [0; 0]);
        let sent = &world.queue(name)[0];
        let attributes = sent.attributes.iter();
        let attributes = attributes.map(|(name, value)| name.len() + "String".len() + value.len());
        sent.body.len() + attributes.sum::<usize>()
    };
    // Ten messages that fill a call to the byte.
    let mut texts = [most / 10 - counted; 10];
    texts[9] += most % 10;
    let messages = (10..).zip(texts);
    let batch = messages.fold(batch(ORDERS_ARN), |batch, (number, text)| {
        traced(batch, &body(number, text), header, None)
    });
    let world = world_with(&route);
    world.take_whole(&batch).await;
    assert_eq!(traces(&world, name).len(), 10);
    assert_eq!(world.queues.calls()["send"], calls);
}
