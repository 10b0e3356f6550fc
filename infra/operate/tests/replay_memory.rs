//! A replay needs as much memory for many events as for few, and keeps to its rate.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is"
)]

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::envelope::Envelope;
use domain::identity::{DeliveryId, EventId};
use domain::timestamp::Timestamp;
use operate::Stack;
use operate::loopback::{Reply, Seen};
use operate::loopback_stack::LoopbackStack;
use operate::replay::{Counts, Replay, Request, What, Whose};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// 2026-11-20T12:00:00Z.
const NOON: u64 = 1_795_176_000_000;

/// Events of a delivery: as many as Orderspace sends at a time.
const EVENTS: u64 = 50;

/// Receipts of a page: about the megabyte that DynamoDB answers with.
const PAGE: u64 = 25;

/// How much more memory ten times as many events may need, in bytes: less than the events that one page holds.
const SLACK: usize = 1 << 20;

/// What the table holds, made when it is asked for, and what the lanes were sent, counted and not kept.
#[derive(Default)]
struct Played {
    deliveries: u64,
    sent: u64,
    last: Option<EventId>,
    is_sorted: bool,
}

impl Played {
    fn answer(&mut self, seen: &Seen) -> Option<Reply> {
        match seen.action.as_str() {
            "dynamodb Query" => Some(self.page(&serde_json::from_str(&seen.body).unwrap())),
            "sqs SendMessageBatch" => Some(self.take(&serde_json::from_str(&seen.body).unwrap())),
            _ => None,
        }
    }

    fn page(&self, input: &Value) -> Reply {
        let number = |id: &str| id.parse::<DeliveryId>().unwrap().first_seen().millis() - NOON;
        let start = input["ExclusiveStartKey"]["sk"]["S"].as_str();
        let first = start.map_or(0, |start| number(start) + 1);
        let end = (first + PAGE).min(self.deliveries);
        let items: Vec<Value> = (first..end).map(receipt).collect();
        let mut answer = json!({ "Items": items });
        if end < self.deliveries {
            let last = items.last().unwrap();
            answer["LastEvaluatedKey"] = json!({ "pk": last["pk"], "sk": last["sk"] });
        }
        Reply::json(&answer)
    }

    fn take(&mut self, input: &Value) -> Reply {
        let entries = input["Entries"].as_array().unwrap();
        for entry in entries {
            let envelope = Envelope::parse(entry["MessageBody"].as_str().unwrap());
            let id = envelope.unwrap().id;
            self.is_sorted &= self.last < Some(id);
            self.last = Some(id);
            self.sent += 1;
        }
        let taken = entries.iter().map(|entry| json!({ "Id": entry["Id"] }));
        let taken: Vec<Value> = taken.collect();
        Reply::json(&json!({ "Successful": taken, "Failed": [] }))
    }
}

/// A delivery of orders that compress as little as real ones.
fn receipt(number: u64) -> Value {
    let order = |index: u64| {
        let mut state = number * EVENTS + index + 1;
        let mut note = String::new();
        for _ in 0..40 {
            // Any generator would do: the text must not repeat.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            note += &format!("{state:016x}");
        }
        json!({ "event": "order.created", "data": { "order": { "id": format!("or_{number}_{index}"), "note": note } } })
    };
    let body = json!((0..EVENTS).map(order).collect::<Vec<_>>()).to_string();
    let packed = STANDARD.encode(zstd::bulk::compress(body.as_bytes(), 1).unwrap());
    let id = DeliveryId::new(Timestamp::from_millis(NOON + number), &[7; 10]);
    json!({ "pk": { "S": "acme#2026-11-20" }, "sk": { "S": id.to_string() }, "body": { "B": packed } })
}

/// Replays so many deliveries, and answers how much memory that took at the most, in bytes, this test's server with it.
async fn peak(
    stack: &LoopbackStack,
    played: &Arc<Mutex<Played>>,
    deliveries: u64,
    rate: u32,
) -> usize {
    *played.lock().unwrap() = Played {
        deliveries,
        is_sorted: true,
        ..Played::default()
    };
    let request = Request {
        whose: Whose::One("acme".parse().unwrap()),
        what: What::Span {
            from: Timestamp::from_millis(NOON),
            to: Timestamp::from_millis(NOON + deliveries),
            after: None,
        },
        types: Vec::new(),
        subject: None,
        team: None,
        rate,
        job: "r1".parse().unwrap(),
        is_long: false,
    };
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let now = Timestamp::from_millis(NOON + 3_600_000);
    let replay = Replay::prepare(&calls, &found, &request, now).await;
    let replay = replay.unwrap();
    let begun = Instant::now();
    let mut is_ahead = false;
    let mut progress = |counts: &Counts| {
        // The batch that was just accepted was due before it was sent.
        let due = begun.elapsed().as_secs_f64() * f64::from(rate) + 10.5;
        is_ahead |= f64::from(u32::try_from(counts.events).unwrap()) > due;
    };
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let done = replay.run(&mut progress).await.unwrap();
    let peak = ALLOCATOR.peak_usage() - before;
    let played = played.lock().unwrap();
    assert_eq!(done.events, deliveries * EVENTS);
    assert_eq!(played.sent, deliveries * EVENTS);
    assert!(played.is_sorted, "each once, the oldest first");
    assert!(!is_ahead, "more than {rate} events in a second");
    peak
}

#[tokio::test]
async fn fifty_thousand_events_take_no_more_memory_than_five_thousand() {
    let stack = LoopbackStack::start().await;
    let (account, source) = ("acme".to_owned(), "orderspace".to_owned());
    stack.with(|state| state.accounts.insert(account, source));
    let played = Arc::<Mutex<Played>>::default();
    let player = Arc::clone(&played);
    stack.server.forget_requests();
    stack.play_first(move |seen| player.lock().unwrap().answer(seen));
    let few = peak(&stack, &played, 100, 4_000).await;
    let many = peak(&stack, &played, 1_000, 4_000).await;
    assert!(many < few + SLACK, "{many} bytes for many, {few} for few");
}
