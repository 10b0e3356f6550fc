//! Logs: every line says whose delivery it is about, and none has what must stay secret.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use std::collections::BTreeSet;

use domain::ports::ErrorKind::{self, Permanent, Transient};
use domain::ports::QueueUrl;
use domain::timestamp::Timestamp;
use rstest::rstest;
use runtime::gateway::GatewayEvent;
use runtime::metrics::captured;
use serde_json::{Value, json};
use testkit::delivery::delivery;
use testkit::fakes::Fault;
use testkit::gateway::{HookRequest, RECEIVED_MILLIS, hook};
use testkit::log::Log;
use testkit::signing::sign;
use tracing::level_filters::LevelFilter;
use world::{KEY, world};

#[tokio::test(start_paused = true)]
async fn a_line_says_what_is_known_of_the_delivery() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::INFO);
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    let bytes = body.len();
    let requests = async {
        let unnamed = world.signed(body.clone()).of_source("nobody");
        assert_eq!(world.post(&unnamed).await.status, 401);
        let unsigned = hook(world.token.expose(), body.clone());
        assert_eq!(world.post(&unsigned).await.status, 401);
        let forged = unsigned.signed("another key");
        assert_eq!(world.post(&forged).await.status, 401);
        world.queues.remove(&QueueUrl::new("orders"));
        assert_eq!(world.deliver(body.clone()).await, 503);
        world.queues.restore(&QueueUrl::new("orders"));
        assert_eq!(world.deliver(body.clone()).await, 200);
        assert_eq!(world.deliver(body.clone()).await, 200);
    };
    let ((), lines) = captured(requests).await;

    let said = deliveries(&lines);
    let (delivery, another) = (&said[3]["delivery"], &said[5]["delivery"]);
    let kept = world.receipts.kept().into_iter();
    let kept: BTreeSet<String> = kept.map(|kept| kept.delivery.to_string()).collect();
    let named = [delivery, another].map(|id| id.as_str().unwrap().to_owned());
    assert_eq!(kept, BTreeSet::from(named));
    let unproved = |cause: &str| json!({ "level": "WARN", "bytes": bytes, "answer": 401, "outcome": "unauthenticated", "cause": cause });
    let unknown = unproved("unknown_token");
    let mut unsigned = unproved("no_signature");
    unsigned["source"] = json!("orderspace");
    let mut forged = unproved("wrong_signature");
    forged["source"] = json!("orderspace");
    forged["account"] = json!("acme");
    let refused = json!({
        "level": "WARN", "account": "acme", "delivery": delivery, "bytes": bytes, "answer": 503, "outcome": "refused",
        "cause": "queue_refused",
    });
    let retried = json!({ "account": "acme", "delivery": delivery, "bytes": bytes, "attempt": 2 });
    // What most deliveries have in common is left out.
    let accepted = json!({ "account": "acme", "delivery": another, "bytes": bytes });
    let expected = [unknown, unsigned, forged, refused, retried, accepted];
    assert_eq!(said, expected);
    let asked = "a wrong signature under a known token: its account will be checked";
    let known = json!({"name": "delivery", "source": "orderspace", "account": "acme"});
    assert_eq!(log.messages("INFO")[0], (asked.to_owned(), known));
}

/// What lines say of requests, without what every line has: time, metrics, and how long it took.
fn deliveries(lines: &[String]) -> Vec<Value> {
    let lines = lines.iter().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let members = line.as_object_mut().unwrap();
        let metrics = members.remove("_aws").unwrap();
        assert!(metrics["Timestamp"].is_u64(), "{metrics}");
        assert_eq!(members.remove("message").unwrap(), "delivery");
        assert!(members.remove("duration_ms").unwrap().is_u64());
        // Metrics and their dimensions are in capitals.
        members.retain(|name, _| name.starts_with(|first: char| first.is_ascii_lowercase()));
        line
    });
    lines.collect()
}

/// A log of a higher level has no lines of deliveries, and metrics all the same.
#[tokio::test(start_paused = true)]
async fn the_log_s_level_is_that_of_the_lines() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::WARN);
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    let (status, lines) = captured(world.deliver(body.clone())).await;
    assert_eq!((status, lines.len()), (200, 1));
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["Deliveries"], 1);
    assert_eq!(line["message"], Value::Null);
    let forged = hook(world.token.expose(), body).signed("another key");
    let (answer, lines) = captured(world.post(&forged)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(deliveries(&lines)[0]["cause"], "wrong_signature");
}

#[rstest]
#[case::nothing_is_understood("{", json!("quarantined"), 0)]
#[case::a_part_is_not_understood(
    r#"[{"event":"order.created","data":{"order":{"id":"or_1"}}},7]"#,
    json!("quarantined"),
    1
)]
#[case::nothing_is_in_it("[]", Value::Null, 0)]
#[tokio::test(start_paused = true)]
async fn a_line_says_what_became_of_the_events(
    #[case] body: &str,
    #[case] outcome: Value,
    #[case] events: u64,
) {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::INFO);
    let (status, lines) = captured(world.deliver(body)).await;
    assert_eq!(status, 200);
    let lines = deliveries(&lines);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["outcome"], outcome);
    assert_eq!(lines[0]["events"].as_u64().unwrap_or(1), events);
    assert_eq!(lines[0]["cause"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_has_a_line_and_is_counted() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::INFO);
    let event = GatewayEvent::parse("{}");
    let responding = world.function.respond(event, Timestamp::from_millis(7));
    let (answer, metrics) = captured(responding).await;
    assert_eq!(answer["statusCode"], 401);
    let line = json!({
        "level": "WARN", "bytes": 0, "answer": 401, "outcome": "unauthenticated", "cause": "malformed_request",
    });
    assert_eq!(deliveries(&metrics), [line]);
    let metrics: Value = serde_json::from_str(&metrics[0]).unwrap();
    assert_eq!(metrics["Unauthenticated"], 1);
    assert_eq!(metrics["Cause"], "malformed_request");
}

/// Every answer is counted once, in the one line of its request.
#[tokio::test(start_paused = true)]
async fn answers_are_counted_by_their_causes() {
    let world = world();
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    let assert_counted = async |request: &HookRequest, counts: Value| {
        let (_, lines) = captured(world.post(request)).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        let mut line: Value = serde_json::from_str(&lines[0]).unwrap();
        line.as_object_mut().unwrap().remove("_aws");
        assert_eq!(line, counts);
    };
    let signed = world.signed(body.clone());
    let forged = hook(world.token.expose(), body.clone()).signed("another key");
    let counts = json!({ "Stack": "orderhook", "Cause": "wrong_signature", "Unauthenticated": 1, "ChecksAsked": 1 });
    assert_counted(&forged, counts).await;
    world.refuse_lanes();
    let counts = json!({ "Stack": "orderhook", "Cause": "queue_refused", "DeliveriesRefused": 1 });
    assert_counted(&signed, counts).await;
    world.queues.script().repair();
    let counts = json!({ "Stack": "orderhook", "Deliveries": 1, "RetryMarkerAge": 0 });
    assert_counted(&signed, counts).await;
    let counts = json!({ "Stack": "orderhook", "Deliveries": 1, "Quarantined": 2 });
    assert_counted(&world.signed("[7,8]"), counts).await;
    let throttled = Fault::transient("Throttled");
    world.on("keys.read").always().fault(throttled);
    let another = world.instance_with(&[]);
    let (answer, lines) = captured(world.post_to(&another, &signed, RECEIVED_MILLIS)).await;
    assert_eq!(answer.status, 503);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["DeliveriesRefused"], 1);
    assert_eq!(line["Cause"], "keys_unreadable");
}

/// What a delivery of one event costs in the log: the bytes are paid for.
#[tokio::test(start_paused = true)]
async fn a_delivery_costs_few_bytes_of_log() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::INFO);
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    let (status, metrics) = captured(world.deliver(body)).await;
    assert_eq!((status, metrics.len()), (200, 1));
    assert_eq!(log.text(), "");
    let bytes = metrics[0].len() + 1;
    assert!(bytes <= 300, "{bytes} bytes: {}", metrics[0]);
}

#[rstest]
#[case::that_is_not_queued(Some(Transient), 503, "an event is not queued")]
#[case::that_goes_by_a_pointer(Some(Permanent), 200, "a queue refuses an event for its content")]
#[case::that_is_not_kept(None, 503, "a large event is not kept")]
#[tokio::test(start_paused = true)]
async fn a_line_says_which_event_it_is_about(
    #[case] refused: Option<ErrorKind>,
    #[case] status: u16,
    #[case] message: &str,
) {
    let (world, log) = (world(), Log::default());
    // Spans are there at any level.
    let _guard = log.capture(LevelFilter::WARN);
    let is_second = |text: &str| text.contains("or_2");
    let (call, fault, length) = match refused {
        Some(kind) => (
            "queues.send",
            Fault::entries_with(is_second, kind, "Refused"),
            0,
        ),
        None => ("oversize.put", Fault::transient("SlowDown"), 300_000),
    };
    world.on(call).always().fault(fault);
    let second = format!(r#"{{"id":"or_2","note":"{}"}}"#, "x".repeat(length));
    let body = delivery()
        .event("customer.created", r#"{"id":"cu_1"}"#)
        .event("order.created", &second)
        .body();
    assert_eq!(world.deliver(body).await, status);
    let delivery = world.receipts.kept()[0].delivery;
    let event = json!({
        "name": "event",
        "lane": "orders",
        "account": "acme",
        "delivery.id": delivery.to_string(),
        "event.id": format!("{delivery}.00001"),
        "event.type": "order.created",
    });
    let messages = log.messages("WARN");
    let line = (message.to_owned(), event);
    assert!(messages.contains(&line), "{messages:?}");
}

#[tokio::test(start_paused = true)]
async fn no_secret_and_no_payload_is_logged() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::TRACE);
    let body = delivery()
        .event("order.created", r#"{"id":"or_1","note":"marker"}"#)
        .body();
    let signed = world.signed(body.clone());
    let forged = hook(world.token.expose(), body.clone()).signed("another key");
    let requests = async {
        world.post(&signed.header("traceparent", "marker")).await;
        world.post(&forged).await;
        world.queues.remove(&QueueUrl::new("orders"));
        world.deliver(body.clone()).await;
    };
    let ((), lines) = captured(requests).await;

    let log = log.text() + &lines.concat();
    let named = [r#""account":"acme""#, r#""message":"delivery""#];
    let causes = ["wrong_signature", "queue_refused"];
    for said in named.into_iter().chain(causes) {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    let signature = sign(KEY, &body);
    for secret in [KEY, world.token.expose(), &signature, "marker"] {
        assert!(secret.len() > 5, "{secret}");
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
