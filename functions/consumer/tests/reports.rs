//! The line of a batch and its metrics: what became of every event, in few bytes, and nothing of what an event says.

mod world;

use domain::ports::QueueUrl;
use domain::timestamp::Timestamp;
use runtime::metrics::captured;
use serde_json::{Value, json};
use testkit::fakes::Fault;
use testkit::log::Log;
use tracing::level_filters::LevelFilter;
use world::{World, event, id, order, world};

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

/// Hands over a batch; returns the positions that failed, the lines `batch` and the metrics.
async fn report(world: &World, bodies: &[String]) -> (Vec<usize>, Vec<Value>, Vec<Value>) {
    let log = Log::default();
    let _guard = log.capture(LevelFilter::INFO);
    let (failed, metrics) = captured(world.take(bodies)).await;
    let lines = log.lines("INFO");
    assert!(
        lines
            .iter()
            .all(|line| line["message"] == "batch" && line["span"].is_null())
    );
    let metrics = metrics.iter().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("_aws");
        line
    });
    (failed, lines, metrics.collect())
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_reported_with_what_became_of_each_event() {
    let world = world_at_now();
    // The ledger's queue is gone, and what it should get is set aside.
    world.queues.remove(&QueueUrl::new("ledger.fifo"));
    world
        .records
        .script()
        .on("update")
        .within("acme#customer/cu_1")
        .always()
        .fault(Fault::transient("Throttled"));
    let bodies = [
        order(1, "created", "a"),
        order(2, "updated", "a"),
        event(3, "customer.created", Some("cu_1"), r#"{"id":"cu_1"}"#),
        "no event".to_owned(),
        event(4, "product.updated", Some("pr 1"), r#"{"id":"pr 1"}"#),
    ];
    let (failed, lines, metrics) = report(&world, &bodies).await;
    assert_eq!(failed, [2, 3]);
    let of = |number: u64, event_type: &str, subject: &str, outcome: &str| {
        json!({
            "id": id(number).to_string(), "account": "acme", "type": event_type, "subject": subject,
            "outcome": outcome, "age_ms": 1000 - number,
        })
    };
    let with = |mut event: Value, members: Value| {
        event
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        event
    };
    let forwarded = json!({ "teams": ["sales"], "undelivered": ["ledger"] });
    assert_eq!(lines.len(), 1);
    assert_eq!(
        lines[0]["events"],
        json!([
            with(
                of(1, "order.created", "order/or_1", "stale"),
                forwarded.clone()
            ),
            with(of(2, "order.updated", "order/or_1", "applied"), forwarded),
            with(
                of(3, "customer.created", "customer/cu_1", "failed"),
                json!({ "again": true })
            ),
            with(
                of(4, "product.updated", "product/pr 1", "applied"),
                json!({ "undelivered": ["ledger"] })
            ),
        ])
    );
    assert_eq!(lines[0]["lane"], "orders");
    assert_eq!(lines[0]["messages"], 5);
    assert_eq!(lines[0]["failed"], 2);
    assert!(lines[0]["duration_ms"].is_u64());
    let retried = |failure: &str| json!({ "Stack": "orderhook", "Lane": "orders", "Failure": failure, "Retried": 1 });
    assert_eq!(
        metrics,
        [
            with(
                retried("transient"),
                json!({ "Events": 3, "Undelivered": 3, "ForwardAgeMs": [999, 998] })
            ),
            retried("unreadable"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeated_content_is_reported_as_a_possible_duplicate() {
    let world = world_at_now();
    world.take(&[order(1, "updated", "a")]).await;
    let (_, lines, metrics) = report(&world, &[order(2, "updated", "a")]).await;
    let event = &lines[0]["events"][0];
    assert_eq!(event["possible_duplicate"], true);
    assert_eq!(event["teams"], json!(["sales", "ledger"]));
    assert_eq!(
        metrics,
        [json!({ "Stack": "orderhook", "Events": 1, "ForwardAgeMs": 998 })]
    );
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
    assert_eq!(event["teams"], json!(["sales"]));
    assert_eq!(event["outcome"], "applied");
    assert_eq!(event["again"], true);
    assert_eq!(
        metrics,
        [json!({ "Stack": "orderhook", "Lane": "orders", "Failure": "transient", "Retried": 1 })]
    );
}

/// `CloudWatch` cuts a line at 256 KiB.
#[tokio::test(start_paused = true)]
async fn a_line_of_very_many_events_is_split() {
    let world = world_at_now();
    let long = "x".repeat(900);
    let bodies: Vec<String> = (0..600)
        .map(|number| {
            let key = format!("{long}{number}");
            event(
                number,
                "order.created",
                Some(&key),
                &format!(r#"{{"id":"{key}"}}"#),
            )
        })
        .collect();
    let log = Log::default();
    let _guard = log.capture(LevelFilter::INFO);
    assert_eq!(world.take(&bodies).await, [0; 0]);
    let text = log.text();
    assert!(text.lines().all(|line| line.len() < 256 * 1024 - 26));
    let lines = log.lines("INFO");
    assert!(lines.len() > 2, "{}", lines.len());
    let events = lines
        .iter()
        .flat_map(|line| line["events"].as_array().unwrap());
    let ids: Vec<&str> = events.map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        (0..600)
            .map(|number| id(number).to_string())
            .collect::<Vec<_>>()
    );
    for (part, line) in lines.iter().enumerate() {
        let counts = (line["messages"].as_u64(), line["part"].as_u64());
        let part = u64::try_from(part).unwrap();
        assert_eq!(
            counts,
            if part == 0 {
                (Some(600), None)
            } else {
                (None, Some(part))
            }
        );
    }
}

/// What an event of a batch of ten costs in the log, and what is the batch's own: the bytes are paid for.
#[tokio::test(start_paused = true)]
async fn an_event_costs_few_bytes_of_log() {
    let world = world_at_now();
    let bodies: Vec<String> = (0..10)
        .map(|number| {
            let key = format!("or_l5DYqeD{number}");
            event(
                number,
                "order.created",
                Some(&key),
                &format!(r#"{{"id":"{key}"}}"#),
            )
        })
        .collect();
    let log = Log::default();
    let _guard = log.capture(LevelFilter::INFO);
    let (failed, metrics) = captured(world.take(&bodies)).await;
    assert_eq!((failed.len(), metrics.len()), (0, 1));
    let (line, metric) = (log.text().len(), metrics[0].len() + 1);
    assert!(line <= 10 * 190 + 160, "{line} bytes: {}", log.text());
    assert!(metric <= 320, "{metric} bytes: {}", metrics[0]);
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
    world.take(&bodies).await;
    let text = log.text();
    assert!(text.contains("\"subject\":\"order/or_1\""), "{text}");
    assert!(
        !text.contains("marker-a") && !text.contains("marker-b") && !text.contains("marker-d"),
        "{text}"
    );
    assert!(!text.contains("marker-c"), "{text}");
}
