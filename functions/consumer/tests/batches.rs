//! Batches: what becomes of records, what teams get, and what comes again.

mod world;

use std::time::Duration;

use domain::envelope::DataRef;
use domain::lane::Lane;
use domain::ports::{ClaimCheck as _, ErrorKind, QueueUrl};
use rstest::rstest;
use runtime::metrics::captured;
use serde_json::{Value, json};
use testkit::fakes::Fault;
use testkit::log::Log;
use testkit::sqs_event::{batch, message_id, receipt_handle};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;
use world::{
    ORDERS_ARN, World, event, id, messages, order, order_of_its_own, stored, world, world_with,
};

fn data(content: &str) -> Option<String> {
    Some(format!(r#"{{"id":"or_1","is":"{content}"}}"#))
}

#[tokio::test(start_paused = true)]
// requirement: envelope-fifo
async fn an_event_becomes_a_record_and_reaches_the_teams_that_want_it() {
    let world = world();
    let body = order(1, "created", "new");
    assert!(world.take(std::slice::from_ref(&body)).await.is_empty());
    assert_eq!(world.record("order", "or_1").data, data("new"));
    let sales = world.queue("sales");
    assert_eq!(sales[0].body, body, "byte for byte what lay in the lane");
    assert_eq!(sales[0].attributes["type"], "orderspace.order.created");
    assert_eq!(sales[0].attributes["account"], "acme");
    assert_eq!(sales[0].attributes["subject"], "order/or_1");
    assert_eq!((&sales[0].group, &sales[0].deduplication), (&None, &None));
    let ledger = world.queue("ledger.fifo");
    assert_eq!(ledger[0].deduplication, Some(id(1).to_string()));
    assert_eq!(ledger[0].group.as_ref().map(String::len), Some(64));
    assert!(world.queue("other-firm").is_empty());
}

#[tokio::test(start_paused = true)]
// requirement: state-order
async fn the_order_of_arrival_does_not_matter_and_nothing_is_dropped() {
    let world = world();
    world.take(&[order(3, "updated", "third")]).await;
    world
        .take(&[order(1, "created", "first"), order(2, "updated", "second")])
        .await;
    world.take(&[order(3, "updated", "third")]).await;
    assert_eq!(world.record("order", "or_1").data, data("third"));
    assert_eq!(world.ids("sales"), [3, 1, 2, 3].map(id));
}

#[tokio::test(start_paused = true)]
// requirement: state-delete
async fn a_delete_is_final_and_what_was_known_stays_readable() {
    let world = world();
    world.take(&[order(1, "created", "new")]).await;
    world.take(&[order(2, "deleted", "gone")]).await;
    world.take(&[order(3, "updated", "late")]).await;
    let record = world.record("order", "or_1");
    assert!(record.is_deleted());
    assert_eq!(record.data, data("late"));
    assert_eq!(world.queue("sales").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_updates_and_a_delete_costs_two_writes() {
    let world = world();
    let bodies = [
        order(1, "created", "a"),
        order(3, "deleted", "x"),
        order(2, "updated", "b"),
    ];
    assert!(world.take(&bodies).await.is_empty());
    assert_eq!(world.record("order", "or_1").data, data("b"));
    let calls = world.records.calls();
    assert_eq!((calls["update"], calls["delete"]), (1, 1));
}

#[tokio::test(start_paused = true)]
// requirement: repeat-mark
async fn equal_content_is_marked_and_never_dropped() {
    let world = world();
    for (number, content) in [(1, "20"), (2, "10"), (3, "20"), (4, "20")] {
        world.take(&[order(number, "updated", content)]).await;
    }
    world.take(&[order(4, "updated", "20")]).await;
    let marks = world.marks("sales");
    assert_eq!(marks, [false, false, true, true, true]);
}

#[tokio::test(start_paused = true)]
// requirement: state-overlap
async fn an_update_that_comes_between_a_batchs_delete_and_its_update_is_no_harm() {
    let world = world();
    let slow = Fault::nothing().after(Duration::from_secs(1));
    world.fault("records.update", slow);
    let batch = [
        order(1, "updated", "a"),
        order(2, "deleted", "x"),
        order(4, "updated", "b"),
    ];
    let between = [order(3, "updated", "c")];
    let (first, second) = tokio::join!(world.take(&batch), world.take(&between));
    assert!(first.is_empty() && second.is_empty());
    let record = world.record("order", "or_1");
    assert_eq!(record.data, data("b"));
    assert!(record.is_deleted());
}

#[tokio::test(start_paused = true)]
// requirement: repeat-mark
async fn a_mark_survives_a_second_run_also_where_batches_interleave() {
    let world = world();
    world.take(&[order(2, "updated", "b")]).await;
    let group = [order(1, "updated", "a"), order(3, "updated", "b")];
    world.take(&group).await;
    world.take(&group[1..]).await;
    let sent = world.ids("sales").into_iter().zip(world.marks("sales"));
    let of_third = sent.filter(|(number, _)| *number == id(3));
    let marks: Vec<bool> = of_third.map(|(_, mark)| mark).collect();
    assert_eq!(marks, [true, true], "it says what the second event said");
    assert_eq!(world.records.calls()["update"], 1 + 2 + 1);
}

#[tokio::test(start_paused = true)]
// requirement: record-payments
async fn equal_payments_may_both_be_real() {
    let world = world();
    let record = r#"{"invoice_id":"iv_1"}"#;
    let payment = |number| event(number, "payment.created", Some("iv_1/abc"), record);
    world.take(&[payment(2)]).await;
    world.take(&[payment(1), payment(2)]).await;
    let record = world.record("payment", "iv_1/abc");
    assert_eq!(record.occurrences, [id(1), id(2)].into());
    let count = world.queue("ledger.fifo").len();
    assert_eq!(count, 2, "the FIFO queue drops the repeat by its id");
}

#[tokio::test(start_paused = true)]
// requirement: record-keys
async fn an_event_without_a_record_is_only_forwarded() {
    let world = world();
    let body = event(1, "order.created", None, r#"{"number":7}"#);
    assert!(world.take(&[body]).await.is_empty());
    assert_eq!(world.queue("sales").len(), 1);
    assert!(world.records.records().is_empty());
    assert!(!world.calls().contains_key("update"));
}

#[tokio::test(start_paused = true)]
async fn a_large_record_is_fetched_for_the_table_and_travels_on_as_a_pointer() {
    let world = world();
    let record = format!(r#"{{"id":"or_1","is":"{}"}}"#, "x".repeat(300_000));
    let place = world.oversize.put("events/acme/1", record.as_bytes()).await;
    let body = stored(1, "order.created", "or_1", place.unwrap());
    assert!(world.take(&[body]).await.is_empty());
    assert_eq!(world.record("order", "or_1").data, Some(record));
    assert!(world.queue("sales")[0].json()["dataref"].is_string());
}

#[tokio::test(start_paused = true)]
// requirement: lost-unreadable
async fn one_message_cannot_harm_another() {
    let world = world();
    let nowhere = DataRef::new("bucket", "events/acme/lost");
    let bodies = [
        "not an event".to_owned(),
        order(1, "created", "new"),
        stored(2, "order.created", "or_2", nowhere),
        order_of_its_own(3),
        String::new(),
    ];
    let third = world.on("records.update").within("acme#order/or_3");
    third.fault(Fault::panic());
    assert_eq!(world.take(&bodies).await, [0, 2, 3, 4]);
    assert_eq!(world.queue("sales").len(), 1);
    // It comes again, and succeeds.
    assert!(world.take(&bodies[3..4]).await.is_empty());
}

#[tokio::test(start_paused = true)]
// requirement: lost-crash
async fn a_panic_while_forwarding_fails_what_that_team_wanted() {
    let world = world();
    let ledger = world.on("queues.send").within("ledger.fifo");
    ledger.fault(Fault::panic());
    assert_eq!(world.take(&[order(1, "created", "new")]).await, [0]);
    assert_eq!(world.queue("sales").len(), 1);
    assert!(world.take(&[order(1, "created", "new")]).await.is_empty());
    assert_eq!(world.queue("ledger.fifo").len(), 1);
}

#[tokio::test(start_paused = true)]
// requirement: lost-order-of-steps
async fn a_record_that_cannot_be_written_is_not_forwarded_and_comes_again() {
    let world = world();
    world.fault("records.update", Fault::transient("ThrottlingException"));
    assert_eq!(world.take(&[order(1, "created", "new")]).await, [0]);
    assert!(world.queue("sales").is_empty());
    assert!(world.take(&[order(1, "created", "new")]).await.is_empty());
    assert_eq!(world.queue("sales").len(), 1);
}

#[tokio::test(start_paused = true)]
// requirement: lost-crash
async fn a_write_whose_answer_was_lost_is_repeated_without_harm() {
    let world = world();
    world.take(&[order(1, "updated", "a")]).await;
    world.fault("records.update", Fault::lost());
    assert_eq!(world.take(&[order(2, "updated", "a")]).await, [0]);
    assert!(world.take(&[order(2, "updated", "a")]).await.is_empty());
    // The table remembers what came before.
    assert_eq!(world.marks("sales"), [false, true]);
}

#[tokio::test(start_paused = true)]
// requirement: lost-team
async fn a_team_whose_queue_is_gone_stops_nobody() {
    let world = world();
    world.queues.remove(&QueueUrl::new("sales"));
    let body = order(1, "created", "new");
    assert!(world.take(std::slice::from_ref(&body)).await.is_empty());
    assert_eq!(world.queue("ledger.fifo").len(), 1);
    let undelivered = &world.queue("undelivered")[0];
    assert_eq!(undelivered.json()["team"], "sales");
    assert_eq!(undelivered.json()["queue"], "sales");
    let (text, end) = (&undelivered.body, format!(r#","envelope":{body}}}"#));
    assert!(text.ends_with(&end), "{text}");
}

#[tokio::test(start_paused = true)]
// requirement: lost-order-of-steps
async fn what_neither_queue_accepts_comes_again() {
    let world = world();
    world.queues.remove(&QueueUrl::new("sales"));
    world.queues.remove(&QueueUrl::new("undelivered"));
    let bodies = [
        order(1, "created", "new"),
        event(2, "product.created", Some("pr_1"), r#"{"id":"pr_1"}"#),
    ];
    // Products are no concern of that team.
    assert_eq!(world.take(&bodies).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_team_is_tried_again_before_it_is_given_up() {
    let world = world();
    let busy = Fault::entries(&[0], ErrorKind::Transient, "ServiceUnavailable");
    let sales = world.on("queues.send").within("sales");
    sales.times(2).fault(busy);
    let bodies = [order(1, "created", "a"), order(2, "updated", "b")];
    assert!(world.take(&bodies).await.is_empty());
    assert!(world.queue("undelivered").is_empty());
    let mut ids = world.ids("sales");
    ids.sort_unstable();
    assert_eq!(ids, [id(1), id(2)]);
}

/// Each batch waited two seconds for a queue that was deleted, and so did everybody else's events.
#[tokio::test(start_paused = true)]
// requirement: lost-gone-queue
async fn a_team_s_queue_that_is_gone_is_set_aside_at_once() {
    let world = world();
    let closed = Fault::closed("QueueDoesNotExist");
    let sales = world.on("queues.send").within("sales");
    sales.always().fault(closed);
    let begun = Instant::now();
    assert!(world.take(&[order(1, "created", "a")]).await.is_empty());
    assert!(world.take(&[order(2, "created", "b")]).await.is_empty());
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing waits for it");
    assert_eq!(world.queue("undelivered").len(), 2);
    // Of each batch: one call to each of two teams, and one to the undelivered queue.
    assert_eq!(world.queues.script().calls().values().sum::<usize>(), 2 * 3);
    world.queues.script().repair();
    assert!(world.take(&[order(3, "created", "c")]).await.is_empty());
    assert_eq!(world.queue("sales").len(), 1);
    assert_eq!(world.queue("ledger.fifo").len(), 3);
}

#[tokio::test(start_paused = true)]
// requirement: envelope-fifo
async fn a_fifo_queue_gets_a_batch_in_the_order_of_first_sight() {
    let world = world();
    let bodies = [5, 3, 9, 1, 7].map(|number| order(number, "updated", "x"));
    world.take(&bodies).await;
    assert_eq!(world.ids("ledger.fifo"), [1, 3, 5, 7, 9].map(id));
}

#[rstest]
#[case::first_time(1, 1..=2)]
#[case::fifth_time(5, 16..=32)]
#[tokio::test(start_paused = true)]
// requirement: lost-outage
async fn what_failed_waits_longer_each_time(
    #[case] receives: u32,
    #[case] expected: std::ops::RangeInclusive<u32>,
) {
    let world = world();
    let throttled = Fault::transient("ThrottlingException");
    world.on("records.update").always().fault(throttled);
    let batch = batch(ORDERS_ARN).received(&order(1, "created", "new"), receives);
    assert_eq!(world.take_batch(&batch).await, [0]);
    let delay = world.delays()[&receipt_handle(0)];
    assert!(expected.contains(&delay), "{delay}");
}

/// While a release is rolled out, and after it was taken back.
#[tokio::test(start_paused = true)]
async fn an_event_of_a_newer_release_waits_for_it_and_harms_no_other() {
    let world = world();
    let newer = order(1, "created", "new").replace(r#""data":"#, r#""later":{},"data":"#);
    let batch = batch(ORDERS_ARN)
        .received(&newer, 10)
        .received("no event", 10)
        .message(&order(2, "created", "new"));
    assert_eq!(world.take_batch(&batch).await, [0, 1]);
    assert_eq!(world.queue("sales").len(), 1);
    let delays = world.delays();
    let [newer, unreadable] = [0, 1].map(|position| delays[&receipt_handle(position)]);
    assert!((450..=900).contains(&newer), "{newer}");
    assert!((1..=2).contains(&unreadable), "{unreadable}");
}

#[tokio::test(start_paused = true)]
async fn what_the_next_release_will_write_reaches_the_teams_byte_for_byte() {
    let world = world();
    let body = order(1, "created", "new");
    let members = format!(
        r#""sourceid":"evt_\"1\"","sourcetime":"2026-11-20T12:00:00+01:00","sequence":"001795176000000.{}","sourcetype":"stackone.order.created","replayed":true,"replayjob":"r01a2","data":"#,
        id(1)
    );
    let body = body.replace(r#""data":"#, &members);
    assert!(world.take(std::slice::from_ref(&body)).await.is_empty());
    assert_eq!(world.queue("sales")[0].body, body);
    assert_eq!(world.queue("ledger.fifo")[0].body, body);
    assert_eq!(world.record("order", "or_1").data, data("new"));
}

#[tokio::test(start_paused = true)]
async fn what_failed_waits_in_the_lane_it_came_from() {
    for lane in Lane::ALL {
        let (world, log) = (world(), Log::default());
        let guard = log.capture(LevelFilter::INFO);
        let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{lane}");
        let bodies = batch(&arn)
            .message("no event")
            .message(&order(1, "created", "new"));
        let (failed, batches) = captured(world.take_batch(&bodies)).await;
        assert_eq!(failed, [0]);
        drop(guard);
        for other in Lane::ALL {
            let delays = world.redelivery.delays(&QueueUrl::new(other.as_str()));
            assert_eq!(delays.len(), usize::from(other == lane), "{lane}: {other}");
        }
        let lines = [log.lines("INFO"), log.lines("WARN")].concat();
        let lanes: Vec<&Value> = lines.iter().map(|line| &line["span"]["lane"]).collect();
        assert_eq!(lanes, [lane.as_str(); 2]);
        assert_eq!(batches.len(), 1, "{batches:?}");
        let line: Value = serde_json::from_str(&batches[0]).unwrap();
        assert_eq!(line["message"], "batch");
        assert_eq!(line["lane"], lane.as_str());
    }
}

#[rstest]
#[case::of_another_queue(json!("arn:aws:sqs:eu-west-1:000000000000:payroll"))]
#[case::that_is_no_arn(json!("orders"))]
#[case::that_is_empty(json!(""))]
#[case::that_is_missing(json!(null))]
#[tokio::test(start_paused = true)]
async fn a_batch_of_no_lane_fails_whole_and_untouched(#[case] arn: Value) {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::INFO);
    let record = |position: usize| {
        json!({
            "messageId": message_id(position),
            "receiptHandle": receipt_handle(position),
            "body": order(1, "created", "new"),
            "eventSourceARN": arn,
        })
    };
    let batch = batch("").record(record(0)).record(record(1));
    assert_eq!(world.take_batch(&batch).await, [0, 1]);
    // They keep the visibility timeout of their queue.
    assert_eq!(world.calls(), [].into());
    let errors = log.lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["messages"], 2);
    assert_eq!(errors[0]["queue"], arn.as_str().unwrap_or_default());
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_cannot_be_set_changes_nothing_else() {
    let world = world();
    let unavailable = Fault::transient("ServiceUnavailable");
    world.on("redelivery.delay").always().fault(unavailable);
    let bodies = ["no event".to_owned(), order(1, "created", "new")];
    assert_eq!(world.take(&bodies).await, [0]);
}

#[tokio::test(start_paused = true)]
// requirement: lost-budget
async fn a_record_that_hangs_leaves_time_for_the_others() {
    let world = world();
    let first = world.on("records.update").within("acme#order/or_1");
    first.always().fault(Fault::hang());
    let bodies = [order(1, "created", "new"), order_of_its_own(2)];
    assert_eq!(world.take(&bodies).await, [0]);
    assert_eq!(world.queue("sales").len(), 1);
}

#[tokio::test(start_paused = true)]
// requirement: lost-budget
async fn whatever_hangs_the_batch_ends_in_time() {
    let world = world();
    for (call, scope) in [
        ("records.update", "acme#order/or_1"),
        ("queues.send", "ledger.fifo"),
        ("queues.send", "undelivered"),
    ] {
        let calls = world.on(call).within(scope).always();
        calls.fault(Fault::hang());
    }
    let bodies = [order(1, "created", "new"), order_of_its_own(2)];
    let slow = Fault::nothing().after(Duration::from_millis(900));
    world.fault("redelivery.delay", slow);
    let begun = Instant::now();
    assert_eq!(world.take(&bodies).await, [0, 1]);
    assert_eq!(world.delays().len(), 2, "they come again soon");
    let took = begun.elapsed();
    assert!(took <= Duration::from_millis(20_005), "{took:?}");
}

#[rstest]
#[case::of_a_long_one_a_second(20_000, 18_950, true)]
#[case::of_a_long_one_no_more(20_000, 19_050, false)]
#[case::of_a_short_one_a_quarter(2_000, 1_450, true)]
#[case::of_a_short_one_no_more(2_000, 1_550, false)]
#[tokio::test(start_paused = true)]
async fn time_is_left_for_delaying_what_failed(
    #[case] time: u64,
    #[case] takes: u64,
    #[case] forwarded: bool,
) {
    let world = world();
    let slow = Fault::nothing().after(Duration::from_millis(takes));
    let team = Fault::permanent("QueueDoesNotExist");
    let send = |queue: &str| world.on("queues.send").within(queue);
    send("ledger.fifo").always().fault(team);
    send("undelivered").fault(slow);
    let batch = messages(&[order(1, "created", "new")]);
    let (begun, time) = (Instant::now(), Duration::from_millis(time));
    let response = world.handle_within(&batch, time).await;
    assert_eq!(response.batch_item_failures.is_empty(), forwarded);
    assert!(begun.elapsed() < time);
    assert_eq!(world.delays().is_empty(), forwarded);
}

#[tokio::test(start_paused = true)]
// requirement: lost-response
async fn the_response_names_failures_as_lambda_wants_them() {
    let world = world();
    let batch = messages(&["no event".to_owned(), order(1, "created", "new")]);
    let expected = json!({ "batchItemFailures": [{ "itemIdentifier": message_id(0) }] });
    assert_eq!(json!(world.handle(&batch).await), expected);
    let expected = json!({ "batchItemFailures": [] });
    assert_eq!(json!(world.handle(&messages(&[])).await), expected);
}

#[tokio::test(start_paused = true)]
// requirement: budget-consumer
async fn the_calls_of_a_batch_are_those_of_the_budget() {
    let world = world();
    let body = |n| {
        let id = format!("or_{}", n % 5);
        event(n, "order.updated", Some(&id), &format!(r#"{{"n":{n}}}"#))
    };
    let bodies: Vec<String> = (0..25).map(body).collect();
    assert!(world.take(&bodies).await.is_empty());
    assert_eq!(world.calls(), [("update", 5), ("send", 3 + 3)].into());
}

#[tokio::test(start_paused = true)]
// requirement: size-invocation
async fn ten_thousand_messages_in_one_invocation() {
    let world = world();
    let bodies: Vec<String> = (0..10_000).map(order_of_its_own).collect();
    assert!(world.take(&bodies).await.is_empty());
    assert_eq!(world.queue("sales").len(), 10_000);
    assert_eq!(world.records.records().len(), 10_000);
}

/// At any level: spans are there also where no line is written about what went well.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_line_says_which_event_it_is_about(
    #[values(LevelFilter::INFO, LevelFilter::WARN)] level: LevelFilter,
) {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(level);
    for queue in ["sales", "undelivered"] {
        world.queues.remove(&QueueUrl::new(queue));
    }
    let nowhere = DataRef::parse("s3://bucket/nowhere").unwrap();
    let bodies = [
        order(1, "created", "new"),
        stored(2, "order.updated", "or_2", nowhere),
    ];
    assert_eq!(world.take(&bodies).await, [0, 1]);
    let mut about = [log.messages("INFO"), log.messages("WARN")].concat();
    about.retain(|(_, span)| span["name"] == "event");
    let event = |number, event_type| {
        json!({
            "name": "event",
            "lane": "orders",
            "account": "acme",
            "event.id": id(number).to_string(),
            "event.type": event_type,
        })
    };
    let first = event(1, "order.created");
    let refused = "neither the team's queue nor the undelivered queue accepts an event";
    let expected = [
        ("no record", event(2, "order.updated")),
        ("a team's queue refuses", first.clone()),
        (refused, first),
    ];
    let expected = expected.map(|(message, span)| (message.to_owned(), span));
    assert_eq!(about, expected);
}

const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:stock.fifo";

fn topic_world() -> World {
    world_with(&format!(
        r#"[{{"team":"stock","topic":"{TOPIC}","types":["order.*"],"accounts":["*"]}},
            {{"team":"sales","queue":"sales","types":["order.*"],"accounts":["*"]}}]"#
    ))
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_sent_what_a_queue_is_sent() {
    let world = topic_world();
    assert!(world.take(&[order_of_its_own(1)]).await.is_empty());
    let (topic, queue) = (world.queue(TOPIC), world.queue("sales"));
    assert_eq!(topic.len(), 1);
    assert_eq!(topic[0].body, queue[0].body);
    // A subscription filters by these.
    assert_eq!(topic[0].attributes, queue[0].attributes);
    assert_eq!(topic[0].attributes["type"], "orderspace.order.created");
    assert_eq!(topic[0].deduplication, Some(id(1).to_string()));
    assert!(topic[0].group.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_topic_refuses_is_set_aside_and_stops_nobody() {
    let world = topic_world();
    world.queues.remove(&QueueUrl::new(TOPIC));
    assert!(world.take(&[order_of_its_own(1)]).await.is_empty());
    assert_eq!(world.queue("sales").len(), 1);
    let undelivered = world.queue("undelivered");
    assert_eq!(undelivered.len(), 1);
    assert_eq!(undelivered[0].json()["team"], "stock");
    assert_eq!(undelivered[0].json()["queue"], TOPIC);
}

/// Ten events near the limit of a message go to a queue in three calls, and to a topic one by one.
#[tokio::test(start_paused = true)]
async fn a_topic_takes_a_batch_in_more_calls() {
    let world = topic_world();
    let note = "x".repeat(249_000);
    let body = |number| {
        let id = format!("or_{number}");
        let record = format!(r#"{{"id":"{id}","note":"{note}"}}"#);
        event(number, "order.created", Some(&id), &record)
    };
    let bodies: Vec<String> = (0..10).map(body).collect();
    assert!(world.take(&bodies).await.is_empty());
    assert_eq!(world.queue(TOPIC).len(), 10);
    assert_eq!(world.queue("sales").len(), 10);
    assert_eq!(world.queues.calls()["send"], 10 + 3);
    assert!(world.queue("undelivered").is_empty());
}
