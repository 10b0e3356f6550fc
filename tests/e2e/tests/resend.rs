//! `orderhook resend`: what a team's queue refused goes to it again, whatever else lies in the undelivered queue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is"
)]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws::sqs::SqsQueues;
use consumer::Consumer;
use e2e::{Stack, World};
use orderhook::resend::{Caller, Done, Resend, resend};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use testkit::delivery::delivery;
use testkit::fakes::FakeRedelivery;

mod consumer_here;

/// Makes a queue of this run's own.
async fn make_queue(stack: &Stack, role: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "every run has another time")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let name = format!("resend-{role}-{}", now.as_nanos());
    let made = stack.sqs.create_queue().queue_name(name).send().await;
    made.unwrap().queue_url.unwrap()
}

/// An undelivered queue and a team's queue of one test's own.
struct Queues {
    stack: Stack,
    undelivered: String,
    team: String,
}

impl Queues {
    async fn new(test: &str) -> Self {
        let stack = Stack::here().await;
        let undelivered = make_queue(&stack, &format!("{test}-undelivered")).await;
        let team = make_queue(&stack, &format!("{test}-team")).await;
        Self {
            stack,
            undelivered,
            team,
        }
    }

    async fn put(&self, body: &str) {
        let send = self.stack.sqs.send_message().queue_url(&self.undelivered);
        send.message_body(body).send().await.unwrap();
    }

    async fn put_for(&self, team: &str, number: usize) {
        let envelope = format!(
            r#"{{"id":"e.{number:05}","type":"orderspace.order.created","account":"acme","subject":"order/or_{number}"}}"#
        );
        self.put(&format!(
            r#"{{"team":"{team}","queue":"q","reason":"QueueDoesNotExist","envelope":{envelope}}}"#
        ))
        .await;
    }

    async fn resend_to(&self, team_queue: &str) -> anyhow::Result<Done> {
        let outputs = &self.stack.outputs;
        let caller = Caller::of(
            &outputs.endpoint_url,
            &outputs.region,
            &outputs.access_key_id,
            &outputs.secret_access_key,
        );
        let arguments = Resend {
            team: "sales".to_owned(),
            from: self.undelivered.clone(),
            to: team_queue.to_owned(),
        };
        resend(&caller, &arguments).await
    }

    /// Takes every message out of a queue.
    async fn take(&self, queue: &str) -> BTreeSet<String> {
        let mut bodies = BTreeSet::new();
        loop {
            let receive = self.stack.sqs.receive_message().queue_url(queue);
            let answer = receive.max_number_of_messages(10).send().await.unwrap();
            if answer.messages().is_empty() {
                return bodies;
            }
            for message in answer.messages() {
                let delete = self.stack.sqs.delete_message().queue_url(queue);
                let delete = delete.receipt_handle(message.receipt_handle().unwrap());
                delete.send().await.unwrap();
                let body = message.body().unwrap().to_owned();
                assert!(bodies.insert(body), "an event came twice");
            }
        }
    }

    async fn delete(&self, queue: &str) {
        let deleted = self.stack.sqs.delete_queue().queue_url(queue).send().await;
        deleted.unwrap();
    }

    async fn visible(&self, queue: &str) -> usize {
        let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
        let ask = self.stack.sqs.get_queue_attributes().queue_url(queue);
        let answer = ask.attribute_names(name.clone()).send().await.unwrap();
        answer.attributes.unwrap()[&name].parse().unwrap()
    }

    async fn remove(self) {
        for queue in [&self.undelivered, &self.team] {
            self.delete(queue).await;
        }
    }
}

#[tokio::test]
// requirement: resend-complete
async fn whatever_lies_in_front_of_it_a_team_s_event_is_sent_again() {
    let queues = Queues::new("front").await;
    queues.put("no event at all").await;
    for number in 0..35 {
        queues.put_for("finance", number).await;
    }
    queues.put(r#"{"team":"sales","envelope":7}"#).await;
    for number in 35..40 {
        queues.put_for("sales", number).await;
    }
    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.others, done.hidden), (5, 35, 0));
    assert_eq!(done.unreadable.len(), 2, "{:?}", done.unreadable);
    assert!(!done.is_complete(), "somebody has to look at the others");
    assert_eq!(queues.visible(&queues.team).await, 5);
    assert_eq!(
        queues.visible(&queues.undelivered).await,
        37,
        "all else is shown again"
    );
    queues.remove().await;
}

#[tokio::test]
// requirement: resend-complete
async fn right_after_a_failed_run_everything_is_there() {
    let queues = Queues::new("failed").await;
    for number in 0..12 {
        queues.put_for("sales", number).await;
    }
    let gone = format!("{}-gone", queues.team);
    let error = queues.resend_to(&gone).await.unwrap_err();
    assert!(format!("{error:#}").contains("refuses still"), "{error:#}");
    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.others), (12, 0));
    assert!(done.is_complete());
    queues.remove().await;
}

#[tokio::test]
// requirement: resend-complete
async fn what_somebody_else_hides_is_not_called_nothing() {
    let queues = Queues::new("hidden").await;
    queues.put_for("sales", 1).await;
    let receive = queues.stack.sqs.receive_message();
    let receive = receive
        .queue_url(&queues.undelivered)
        .visibility_timeout(60);
    let hidden = receive.send().await.unwrap();
    assert_eq!(hidden.messages().len(), 1);
    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.hidden), (0, 1));
    assert!(!done.is_complete());
    queues.remove().await;
}

#[derive(Deserialize)]
struct Undelivered<'a> {
    team: &'a str,
    reason: &'a str,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

#[tokio::test]
// requirement: lost-team
async fn a_team_whose_queue_was_deleted_gets_what_it_missed_and_the_other_misses_nothing() {
    const EVENTS: usize = 12;
    let world = World::planted().await;
    assert_eq!(
        world.post(&delivery().orders(EVENTS).body()).await.status,
        200
    );
    // A team's message is the lane's, so it can go the way again.
    let events = world.team.wait_for(EVENTS).await;
    let bodies: Vec<&str> = events.iter().map(|event| &*event.message.body).collect();
    let (early, late) = bodies.split_at(EVENTS / 2);

    let queues = Queues::new("deleted").await;
    let finance = make_queue(&queues.stack, "deleted-finance").await;
    let sales_before = make_queue(&queues.stack, "deleted-sales").await;
    let route = |team: &str, queue: &str| json!({ "team": team, "queue": queue, "types": ["*"], "accounts": [world.account] });
    let routes = json!([route("sales", &sales_before), route("finance", &finance)]);
    let records = consumer_here::records(&queues.stack);
    let sqs = SqsQueues::new(queues.stack.sqs.clone());
    let redelivery = FakeRedelivery::default();
    let config = consumer_here::config(&queues.stack, &routes, &queues.undelivered);
    let oversize = &queues.stack.oversize;
    let consumer = Consumer::new(&records, &sqs, oversize, &redelivery, config);
    let consume = async |bodies: &[&str]| {
        let messages = consumer_here::batch_of_orders(&queues.stack, bodies.iter().copied());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let response = consumer.handle(&messages, deadline).await;
        assert_eq!(response.batch_item_failures, [], "every message is done");
    };

    let set = |bodies: &[&str]| -> BTreeSet<String> {
        bodies.iter().map(|body| (*body).to_owned()).collect()
    };
    consume(early).await;
    assert_eq!(queues.take(&sales_before).await, set(early));
    queues.delete(&sales_before).await;
    consume(late).await;
    assert_eq!(queues.take(&finance).await, set(&bodies));

    let receive = queues.stack.sqs.receive_message();
    let receive = receive.queue_url(&queues.undelivered);
    let receive = receive.max_number_of_messages(10).visibility_timeout(0);
    let undelivered = receive.send().await.unwrap();
    assert_eq!(undelivered.messages().len(), late.len());
    for message in undelivered.messages() {
        let undelivered: Undelivered<'_> = serde_json::from_str(message.body().unwrap()).unwrap();
        assert_eq!(undelivered.team, "sales");
        // SQS's name for it, in its newer protocol and in its older one.
        let reason = undelivered.reason;
        assert!(
            reason.contains("QueueDoesNotExist") || reason.contains("NonExistentQueue"),
            "{reason}"
        );
        assert!(late.contains(&undelivered.envelope.get()), "byte for byte");
    }

    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.others, done.hidden), (late.len(), 0, 0));
    assert!(done.is_complete());
    assert_eq!(queues.take(&queues.team).await, set(late));
    assert_eq!(queues.visible(&queues.undelivered).await, 0);
    queues.delete(&finance).await;
    queues.remove().await;
}
