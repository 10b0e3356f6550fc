//! What an operator asks for a message: one team alone, or a replay by a job.

mod world;

use domain::ports::QueueUrl;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::sqs_event::{SqsBatch, batch};
use world::{ORDERS_ARN, World, event, id, order, world};

/// One message with an attribute.
fn asking(body: &str, name: &str, value: &str) -> SqsBatch {
    batch(ORDERS_ARN).message(body).with_attribute(name, value)
}

/// The event whose data the record has.
fn latest(world: &World) -> Option<domain::identity::EventId> {
    let latest = world.record("order", "or_1").known.latest;
    latest.map(|latest| latest.id)
}

fn counts(world: &World) -> Vec<(String, usize)> {
    let counts = world.queues.counts().into_iter();
    counts
        .map(|(queue, count)| (queue.to_string(), count))
        .collect()
}

#[rstest]
#[case("sales")]
#[case("ledger.fifo")]
#[tokio::test(start_paused = true)]
async fn one_team_gets_what_is_for_it_alone(#[case] queue: &str) {
    let world = world();
    let team = queue.trim_end_matches(".fifo");
    let body = order(1, "created", "a");
    world.take_whole(&asking(&body, "only", team)).await;
    assert_eq!(counts(&world), [(queue.to_owned(), 1)]);
    let sent = &world.queue(queue)[0];
    assert_eq!(sent.body, body, "nothing is marked");
    assert!(!sent.attributes.contains_key("replayed"));
    assert_eq!(latest(&world), Some(id(1)));
}

/// Its route decides what a team gets, also of what is for it alone.
#[tokio::test(start_paused = true)]
async fn a_team_gets_nothing_that_its_route_does_not_take() {
    let world = world();
    let body = event(1, "customer.created", Some("cu_1"), r#"{"id":"cu_1"}"#);
    world.take_whole(&asking(&body, "only", "sales")).await;
    assert_eq!(counts(&world), []);
}

/// A name that no route has may be a route's that was taken out: the event waits for it.
#[tokio::test(start_paused = true)]
async fn what_is_for_a_team_without_a_route_is_set_aside() {
    let world = world();
    let body = order(1, "created", "a");
    let message = asking(&body, "only", "no \"team\"");
    world.take_whole(&message).await;
    assert_eq!(counts(&world), [("undelivered".to_owned(), 1)]);
    let undelivered = world.queue("undelivered")[0].json();
    assert_eq!(undelivered["team"], "no \"team\"");
    assert_eq!(undelivered["reason"], "no_such_team");
    let envelope: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(undelivered["envelope"], envelope);
    world.queues.remove(&QueueUrl::new("undelivered"));
    assert_eq!(world.take_batch(&message).await, [0], "it is in no queue");
}

/// What restricts a message and cannot be read must not be passed over: it would go to everybody.
#[rstest]
#[case::no_team("only", "")]
#[case::no_job("job", "a b")]
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_passed_over(#[case] name: &str, #[case] value: &str) {
    let world = world();
    let message = asking(&order(1, "created", "a"), name, value);
    assert_eq!(world.take_batch(&message).await, [0]);
    assert_eq!(counts(&world), []);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_is_no_text_is_not_passed_over() {
    let world = world();
    let message = asking(&order(1, "created", "a"), "only", "sales").to_json();
    let mut message: Value = serde_json::from_str(&message).unwrap();
    message["Records"][0]["messageAttributes"]["only"] = json!({
        "binaryValue": "c2FsZXM=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary",
    });
    let message = batch(ORDERS_ARN).record(message["Records"][0].clone());
    assert_eq!(world.take_batch(&message).await, [0]);
    assert_eq!(counts(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_marked_and_turns_no_record_back() {
    let world = world();
    let bodies = [order(1, "created", "a"), order(2, "updated", "b")];
    world.take(&bodies).await;
    let before = world.record("order", "or_1");
    world.queues.purge();
    // The FIFO queue knows the event's id still, and takes it all the same.
    let message = asking(&order(1, "created", "a"), "job", "r01-a2");
    world.take_whole(&message).await;
    let record = world.record("order", "or_1");
    assert_eq!(latest(&world), Some(id(2)));
    assert_eq!(record.data, before.data);
    for queue in ["sales", "ledger.fifo"] {
        let sent = &world.queue(queue)[0];
        let json = sent.json();
        assert_eq!(json["id"], id(1).to_string());
        assert_eq!(json["replayed"], true);
        assert_eq!(sent.attributes["replayed"], "true");
    }
    let deduplication = world.queue("ledger.fifo")[0].deduplication.clone();
    assert_eq!(deduplication, Some(format!("{}.r01-a2", id(1))));
    // A second run of the job is the same.
    world.take_batch(&message).await;
    assert_eq!(
        counts(&world),
        [("ledger.fifo".to_owned(), 1), ("sales".to_owned(), 2)]
    );
}

/// What was found out of an event when it came first is true also when it is sent again.
#[tokio::test(start_paused = true)]
async fn a_mark_that_a_message_has_stays() {
    let world = world();
    let marked =
        order(1, "created", "a").replacen(r#","data""#, r#","possibleduplicate":true,"data""#, 1);
    assert_eq!(world.take(&[marked]).await, [0; 0]);
    assert_eq!(world.queue("sales")[0].json()["possibleduplicate"], true);
}
