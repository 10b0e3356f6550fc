//! Sizes: what inbound lets travel whole a team's queue takes, and an invocation may be as large as it likes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use std::collections::BTreeSet;

use domain::envelope::{Content, InlineLimit};
use domain::event::LONGEST_EVENT_TYPE;
use domain::ports::{BATCH_BYTES, QueueUrl};
use domain::provenance::LONGEST_REPLAY_JOB_ID;
use domain::record::LONGEST_RECORD_ID;
use rstest::rstest;
use testkit::fakes::Sent;
use world::{envelope, event, id, messages, order, order_of_its_own, world};

/// The inline limit by default, and the size that the oldest queues take.
const INLINE_LIMIT: usize = 250_000;
/// What the limit leaves for attributes and marks.
const HEADROOM: usize = 2_048;

/// What SQS counts: the body, and the attributes with their names and types.
fn counted(sent: &Sent) -> usize {
    let attributes = sent.attributes.iter();
    let attributes = attributes.map(|(name, value)| name.len() + "String".len() + value.len());
    sent.body.len() + attributes.sum::<usize>()
}

/// An event with the longest type and subject, whose body is as large as inbound lets one be.
fn largest(number: u64) -> String {
    let action = "x".repeat(LONGEST_EVENT_TYPE - "order.".len());
    let (event_type, record_id) = (format!("order.{action}"), "y".repeat(LONGEST_RECORD_ID));
    let record = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "z".repeat(bytes));
    let empty = event(number, &event_type, Some(&record_id), &record(0));
    let record = record(INLINE_LIMIT - HEADROOM - empty.len());
    let content = Content::Inline(serde_json::from_str(&record).unwrap());
    let envelope = envelope(number, &event_type, Some(&record_id), content);
    assert!(InlineLimit::new(INLINE_LIMIT).admits(&envelope.to_text()));
    assert!(!InlineLimit::new(INLINE_LIMIT - 1).admits(&envelope.to_text()));
    envelope.to_text().to_text()
}

#[tokio::test(start_paused = true)]
// requirement: size-headroom
async fn what_travels_whole_fits_the_team_s_queue_with_attributes_and_marks() {
    let world = world();
    for queue in ["sales", "ledger.fifo"] {
        world.queues.limit(&QueueUrl::new(queue), INLINE_LIMIT);
    }
    // Said twice, so that the second one carries a mark; sent by an operator, and traced by its sender.
    for number in [1, 2] {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let batch = messages(&[largest(number)])
            .with_attribute("job", &"j".repeat(LONGEST_REPLAY_JOB_ID))
            .with_attribute("traceparent", trace);
        world.take_whole(&batch).await;
    }
    for team in ["sales", "ledger.fifo"] {
        let sent = world.queue(team);
        assert_eq!(sent.len(), 2, "{team}");
        assert!(sent[1].envelope().marks.possible_duplicate);
        assert_eq!(sent[1].attributes.len(), 5);
        assert!(counted(&sent[1]) > INLINE_LIMIT - HEADROOM);
    }
    assert!(world.queue("undelivered").is_empty());
}

#[tokio::test(start_paused = true)]
// requirement: size-batch
async fn a_batch_of_the_largest_events_is_sent_in_as_many_calls_as_it_takes() {
    let world = world();
    let bodies: Vec<String> = (1..=10).map(largest).collect();
    assert!(world.take(&bodies).await.is_empty());
    let four = counted(&world.queue("sales")[0]) * 4;
    assert!(four <= BATCH_BYTES && four / 4 * 5 > BATCH_BYTES);
    assert_eq!(world.queue("sales").len(), 10);
    // Four fit in one call, so ten are three calls for each of the two teams.
    assert_eq!(world.queues.calls()["send"], 6);
}

#[rstest]
#[case::at_the_limit(0, 1, 0)]
#[case::one_byte_less(1, 0, 1)]
#[tokio::test(start_paused = true)]
// requirement: size-headroom
async fn a_team_s_limit_decides_to_the_byte(
    #[case] less: usize,
    #[case] delivered: usize,
    #[case] undelivered: usize,
) {
    let world = world();
    let body = order(1, "created", "new");
    assert!(world.take(std::slice::from_ref(&body)).await.is_empty());
    let size = counted(&world.queue("sales")[0]);
    world.queues.purge();
    world.queues.limit(&QueueUrl::new("sales"), size - less);
    assert!(world.take(&[order(2, "updated", "old")]).await.is_empty());
    assert_eq!(world.queue("sales").len(), delivered);
    assert_eq!(world.queue("undelivered").len(), undelivered);
}

/// Ten thousand messages about one record, in an order that has nothing to do with their ids, each of them twice.
#[tokio::test(start_paused = true)]
// requirement: size-invocation
async fn ten_thousand_messages_about_one_record() {
    let world = world();
    let bodies: Vec<String> = (0..10_000_u64)
        .map(|position| {
            let number = position * 7_919 % 5_000;
            order(number, "updated", &number.to_string())
        })
        .collect();
    assert!(world.take(&bodies).await.is_empty());
    let data = world.record("order", "or_1").data;
    assert_eq!(data.unwrap(), r#"{"id":"or_1","is":"4999"}"#);
    assert_eq!(world.records.calls()["update"], 1);
    // A repeat is forwarded like everything else.
    let ids = world.ids("sales");
    assert_eq!(ids.len(), 10_000);
    let ids: BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(ids, (0..5_000).map(id).collect());
    // The FIFO queue knows a repeat by its id.
    assert_eq!(world.queue("ledger.fifo").len(), 5_000);
}

/// Ten thousand messages of which every seventh is unreadable: these come again, and no other.
#[tokio::test(start_paused = true)]
// requirement: size-invocation
async fn among_ten_thousand_messages_the_unreadable_ones_fail_alone() {
    let world = world();
    let body = |number: u64| match number % 7 {
        3 => format!("{{\"not\":\"event {number}\"}}"),
        _ => order_of_its_own(number),
    };
    let bodies: Vec<String> = (0..10_000).map(body).collect();
    let mut failed = world.take(&bodies).await;
    failed.sort_unstable();
    let bad: Vec<usize> = (3..10_000).step_by(7).collect();
    assert_eq!(failed, bad);
    assert_eq!(world.queue("sales").len(), 10_000 - bad.len());
    assert_eq!(world.records.records().len(), 10_000 - bad.len());
}
