//! Traces: what the invocation and the sender say of them goes on with every event, and nothing malformed does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use domain::ports::BATCH_BYTES;
use domain::timestamp::Timestamp;
use rstest::rstest;
use runtime::gateway::GatewayEvent;
use testkit::delivery::delivery;
use testkit::fakes::Fault;
use testkit::gateway::{HookRequest, RECEIVED_MILLIS};
use world::{World, world};

const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const SENDERS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Posts a request in an invocation with this X-Ray header.
async fn post(world: &World, request: &HookRequest, header: Option<&str>) -> u64 {
    let event = GatewayEvent::parse(&request.to_json()).traced(header);
    let now = Timestamp::from_millis(RECEIVED_MILLIS);
    let answer = world.function.respond(event, now).await;
    answer["statusCode"].as_u64().unwrap()
}

/// The traces of a queue's messages: X-Ray's header, and the attribute.
fn traces(world: &World, queue: &str) -> Vec<(Option<String>, Option<String>)> {
    let sent = world.queue(queue).into_iter();
    sent.map(|mut sent| {
        let parent = sent.attributes.remove("traceparent");
        assert!(sent.attributes.is_empty(), "{:?}", sent.attributes);
        (sent.trace, parent)
    })
    .collect()
}

fn trace(header: Option<&str>, parent: Option<&str>) -> (Option<String>, Option<String>) {
    (header.map(str::to_owned), parent.map(str::to_owned))
}

#[rstest]
#[case::neither(None, None, None, None)]
#[case::of_the_invocation(Some(HEADER), None, Some(HEADER), None)]
#[case::of_the_sender(None, Some(SENDERS), None, Some(SENDERS))]
#[case::both(Some(HEADER), Some(SENDERS), Some(HEADER), Some(SENDERS))]
#[case::as_lambda_writes_it(
    Some(
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"
    ),
    None,
    Some(HEADER),
    None
)]
#[case::a_header_that_is_none(Some("Root=1-5759e988"), Some(SENDERS), None, Some(SENDERS))]
#[case::a_traceparent_that_is_none(Some(HEADER), Some("00-00-00-00"), Some(HEADER), None)]
#[case::an_empty_one(None, Some(""), None, None)]
#[case::one_beyond_ascii(None, Some("00-é"), None, None)]
#[case::a_huge_one(None, Some(&*"0".repeat(60_000)), None, None)]
#[case::of_a_later_version(
    None,
    Some("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"),
    None,
    Some(SENDERS)
)]
#[tokio::test(start_paused = true)]
async fn every_event_has_the_trace_of_its_delivery(
    #[case] header: Option<&str>,
    #[case] parent: Option<&str>,
    #[case] lane_header: Option<&str>,
    #[case] lane_parent: Option<&str>,
) {
    let world = world();
    // The second one is kept apart, and its message is a pointer.
    let large = format!(r#"{{"id":"or_2","note":"{}"}}"#, "x".repeat(300_000));
    let body = delivery()
        .event("order.created", r#"{"id":"or_1"}"#)
        .event("order.created", &large)
        .event("customer.created", r#"{"id":"cu_1"}"#)
        .body();
    let mut request = world.signed(body);
    if let Some(parent) = parent {
        request = request.header("traceparent", parent);
    }
    assert_eq!(post(&world, &request, header).await, 200);
    let expected = trace(lane_header, lane_parent);
    assert_eq!(
        traces(&world, "orders"),
        [expected.clone(), expected.clone()]
    );
    assert_eq!(traces(&world, "customers"), [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_traceparent_that_is_sent_twice_is_none() {
    let world = world();
    let request = world.signed(delivery().orders(1).body());
    let request = request.header("traceparent", SENDERS);
    let request = request.header("traceparent", SENDERS);
    assert_eq!(post(&world, &request, Some(HEADER)).await, 200);
    assert_eq!(traces(&world, "orders"), [trace(Some(HEADER), None)]);
}

/// The invocation's is believed, and not what anybody sends under the header's name.
#[tokio::test(start_paused = true)]
async fn a_sender_cannot_name_the_trace_of_x_ray() {
    let world = world();
    let request = world.signed(delivery().orders(1).body());
    let request = request.header("x-amzn-trace-id", HEADER);
    assert_eq!(post(&world, &request, None).await, 200);
    assert_eq!(traces(&world, "orders"), [(None, None)]);
}

/// What a queue refuses for its characters goes by a pointer, under the same trace.
#[tokio::test(start_paused = true)]
async fn a_pointer_has_the_trace_too() {
    let world = world();
    let send = world.on("queues.send").within("orders");
    send.fault(Fault::permanent("InvalidMessageContents"));
    let request = world.signed(delivery().orders(1).body());
    let request = request.header("traceparent", SENDERS);
    assert_eq!(post(&world, &request, Some(HEADER)).await, 200);
    let expected = trace(Some(HEADER), Some(SENDERS));
    assert_eq!(traces(&world, "orders"), [expected]);
}

#[rstest]
#[case::untraced(None, None, 1)]
#[case::by_x_ray_whose_header_is_not_counted(Some(HEADER), None, 1)]
#[case::by_the_sender(None, Some(SENDERS), 2)]
#[tokio::test(start_paused = true)]
// requirement: size-batch
async fn what_a_trace_adds_is_counted_in_a_batch(
    #[case] header: Option<&str>,
    #[case] parent: Option<&str>,
    #[case] calls: usize,
) {
    let events = |texts: [usize; 10]| {
        let mut events = delivery();
        for text in texts {
            let record = format!(r#"{{"id":"or_1","text":"{}"}}"#, "x".repeat(text));
            events = events.event("order.updated", &record);
        }
        events.body()
    };
    let envelope = {
        let world = world();
        assert_eq!(world.deliver(events([0; 10])).await, 200);
        world.queue("orders")[0].body.len()
    };
    // Ten messages that fill a call to the byte.
    let mut texts = [BATCH_BYTES / 10 - envelope; 10];
    texts[9] += BATCH_BYTES % 10;
    let world = world();
    let mut request = world.signed(events(texts));
    if let Some(parent) = parent {
        request = request.header("traceparent", parent);
    }
    assert_eq!(post(&world, &request, header).await, 200);
    assert_eq!(traces(&world, "orders").len(), 10);
    assert_eq!(world.queues.calls()["send"], calls);
}
