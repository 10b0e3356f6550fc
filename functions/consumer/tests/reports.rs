//! The line of a batch and its metrics: what became of every event, in few bytes, and nothing of what an event says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use domain::ports::QueueUrl;
use domain::timestamp::Timestamp;
use runtime::metrics::captured;
use serde_json::{Map, Value, json};
use testkit::fakes::Fault;
use testkit::log::Log;
use tracing::level_filters::LevelFilter;
use world::{World, event, id, order, order_of_its_own, order_with, world};

/// One second after the event that was seen as the 0th.
const NOW: u64 = 1_795_176_001_000;

fn world_at_now() -> World {
    let world = world();
    let clock = || Timestamp::from_millis(NOW);
    World {
        function: world.function.with_clock(clock),
        ..world
    }
}

/// Hands over a batch; returns the positions that failed, what the lines say of it, and their metrics.
async fn report(world: &World, bodies: &[String]) -> (Vec<usize>, Vec<Value>, Vec<Value>) {
    let log = Log::default();
    let _guard = log.capture(LevelFilter::INFO);
    let (failed, lines) = captured(world.take(bodies)).await;
    assert!(log.lines("INFO").is_empty(), "{}", log.text());
    // Metrics and their dimensions are in capitals.
    let is_metric = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
    let (mut about, mut metrics) = (Vec::new(), Vec::new());
    for line in &lines {
        let mut members: Map<String, Value> = serde_json::from_str(line).unwrap();
        let is_at = |at: &Value| at.is_string() || at["Timestamp"].is_u64();
        let at = members
            .remove("_aws")
            .or_else(|| members.remove("timestamp"));
        assert!(at.as_ref().is_some_and(is_at), "{line}");
        let (metric, rest): (Map<_, _>, Map<_, _>) =
            members.into_iter().partition(|(name, _)| is_metric(name));
        if !rest.is_empty() {
            assert_eq!(rest["message"], "batch");
            about.push(Value::Object(rest));
        }
        if !metric.is_empty() {
            metrics.push(Value::Object(metric));
        }
    }
    (failed, about, metrics)
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_reported_with_what_became_of_each_event() {
    let world = world_at_now();
    // The ledger's queue is gone, and what it should get is set aside.
    world.queues.remove(&QueueUrl::new("ledger.fifo"));
    let customer = world.on("records.update").within("acme#customer/cu_1");
    customer.always().fault(Fault::transient("Throttled"));
    let bodies = [
        order(1, "created", "a"),
        order(2, "updated", "a"),
        event(3, "customer.created", Some("cu_1"), r#"{"id":"cu_1"}"#),
        "no event".to_owned(),
        event(4, "product.updated", Some("pr 1"), r#"{"id":"pr 1"}"#),
    ];
    let (failed, lines, metrics) = report(&world, &bodies).await;
    assert_eq!(failed, [2, 3]);
    let of = |number: u64, event_type: &str, subject: &str, besides: Value| {
        json!([id(number).to_string(), event_type, subject, besides])
    };
    assert_eq!(lines.len(), 1);
    let duration = lines[0]["duration_ms"].clone();
    assert!(duration.is_u64());
    // Each of four events came to something else, and the line says what became of the last: all four are as frequent.
    assert_eq!(
        lines[0],
        json!({
            "message": "batch", "lane": "orders", "messages": 5, "failed": 2, "duration_ms": duration,
            "account": "acme", "outcome": "applied", "teams": [],
            "events": [
                of(1, "order.created", "order/or_1", json!({ "outcome": "stale", "teams": ["sales"], "undelivered": ["ledger"] })),
                of(2, "order.updated", "order/or_1", json!({ "teams": ["sales"], "undelivered": ["ledger"] })),
                of(3, "customer.created", "customer/cu_1", json!({ "outcome": "failed", "again": true })),
                of(4, "product.updated", "product/pr 1", json!({ "undelivered": ["ledger"] })),
            ],
        })
    );
    let expected = [
        json!({
            "Stack": "orderhook", "Lane": "orders", "Failure": "transient", "Retried": 1, "Events": 3, "Undelivered": 3,
            "ForwardAgeMs": [999, 998],
        }),
        json!({ "Stack": "orderhook", "Lane": "orders", "Failure": "unreadable", "Retried": 1 }),
    ];
    assert_eq!(metrics, expected);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_content_is_reported_as_a_possible_duplicate() {
    let world = world_at_now();
    world.take(&[order(1, "updated", "a")]).await;
    let (_, lines, metrics) = report(&world, &[order(2, "updated", "a")]).await;
    let event = &lines[0]["events"][0];
    assert_eq!(event[3], json!({ "possible_duplicate": true }));
    assert_eq!(lines[0]["teams"], json!(["sales", "ledger"]));
    let expected = json!({ "Stack": "orderhook", "Events": 1, "ForwardAgeMs": 998 });
    assert_eq!(metrics, [expected]);
}

/// An event that neither the team's queue nor the undelivered queue takes is not done, whatever other teams have of it.
#[tokio::test(start_paused = true)]
async fn an_event_that_a_team_has_neither_way_comes_again() {
    let world = world_at_now();
    for queue in ["ledger.fifo", "undelivered"] {
        world.queues.remove(&QueueUrl::new(queue));
    }
    let (failed, lines, metrics) = report(&world, &[order(1, "created", "a")]).await;
    assert_eq!(failed, [0]);
    let event = &lines[0]["events"][0];
    assert_eq!(lines[0]["teams"], json!(["sales"]));
    assert_eq!(lines[0]["outcome"], "applied");
    assert_eq!(event[3], json!({ "again": true }));
    let expected =
        json!({ "Stack": "orderhook", "Lane": "orders", "Failure": "transient", "Retried": 1 });
    assert_eq!(metrics, [expected]);
}

/// `CloudWatch` cuts a line at 256 KiB.
#[tokio::test(start_paused = true)]
async fn a_line_of_very_many_events_is_split() {
    let world = world_at_now();
    let long = "x".repeat(900);
    let body = |number| order_with(number, &format!("{long}{number}"));
    let bodies: Vec<String> = (0..600).map(body).collect();
    let log = Log::default();
    let guard = log.capture(LevelFilter::INFO);
    let (_, written) = captured(world.take(&bodies)).await;
    drop(guard);
    assert!(written.iter().all(|line| line.len() < 256 * 1024 - 26));
    world.queues.purge();
    let (_, lines, metrics) = report(&world, &bodies).await;
    assert!(lines.len() > 2, "{}", lines.len());
    let ages = metrics.iter().map(|metric| &metric["ForwardAgeMs"]);
    let ages = ages.filter_map(Value::as_array).map(Vec::len);
    assert_eq!(ages.sum::<usize>(), 600);
    let events = lines.iter().map(|line| line["events"].as_array().unwrap());
    let ids = events.flatten().map(|event| event[0].as_str().unwrap());
    assert!(ids.eq((0..600).map(|number| id(number).to_string())));
    for (part, line) in lines.iter().enumerate() {
        assert_eq!(line["account"], "acme", "each line is read by itself");
        let (messages, part) = match part {
            0 => (json!(600), Value::Null),
            part => (Value::Null, json!(part)),
        };
        assert_eq!(line["messages"], messages);
        assert_eq!(line["part"], part);
    }
}

/// What an event of a batch of ten costs in the log, and what is the batch's own: the bytes are paid for.
#[tokio::test(start_paused = true)]
async fn an_event_costs_few_bytes_of_log() {
    let world = world_at_now();
    let body = |number| order_with(number, &format!("or_l5DYqeD{number}"));
    let bodies: Vec<String> = (0..10).map(body).collect();
    let log = Log::default();
    let _guard = log.capture(LevelFilter::INFO);
    let (failed, metrics) = captured(world.take(&bodies)).await;
    assert_eq!((failed.len(), metrics.len()), (0, 1));
    assert_eq!(log.text(), "");
    let bytes = metrics[0].len() + 1;
    assert!(bytes <= 10 * 130, "{bytes} bytes: {}", metrics[0]);
}

/// What most events have in common is said once, whichever event comes first.
#[tokio::test(start_paused = true)]
async fn what_most_events_have_in_common_is_said_once() {
    let world = world_at_now();
    world.take(&[order_of_its_own(1)]).await;
    let (_, lines, _) = report(&world, &[1, 2, 3].map(order_of_its_own)).await;
    let said = lines[0]["events"].as_array().unwrap();
    let besides: Vec<&Value> = said.iter().map(|event| &event[3]).collect();
    assert_eq!(lines[0]["outcome"], "applied");
    assert_ne!(besides[0]["outcome"], Value::Null);
    assert_eq!(besides[1..], [&Value::Null, &Value::Null]);
}

/// A log of a higher level has no lines of batches, and metrics all the same.
#[tokio::test(start_paused = true)]
async fn the_log_s_level_is_that_of_the_lines() {
    let (world, log) = (world_at_now(), Log::default());
    let _guard = log.capture(LevelFilter::WARN);
    let (_, lines) = captured(world.take(&[order(1, "created", "a")])).await;
    assert_eq!(lines.len(), 1);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["Events"], 1);
    assert_eq!(line["message"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn no_payload_is_logged() {
    let world = world_at_now();
    let log = Log::default();
    let _guard = log.capture(LevelFilter::TRACE);
    world.queues.remove(&QueueUrl::new("ledger.fifo"));
    let bodies = [
        order(1, "created", "marker-a"),
        r#"{"data":{"a":"marker-b"}}"#.to_owned(),
        order(2, "created", "marker-c").replacen('{', r#"{"later":"marker-d","#, 1),
    ];
    let (_, lines) = captured(world.take(&bodies)).await;
    let text = log.text() + &lines.concat();
    assert!(text.contains("\"order/or_1\""), "{text}");
    assert!(!text.contains("marker-"), "{text}");
}
