//! A team with a FIFO queue. The stack has none, so the consumer runs here: its own code, on the stack's table and on a
//! FIFO queue that is made for the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use aws::sqs::SqsQueues;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use consumer::Consumer;
use e2e::World;
use e2e::team::{Schema, TeamEvent};
use serde_json::json;
use testkit::delivery::delivery;
use testkit::fakes::FakeRedelivery;

mod consumer_here;

/// Makes a FIFO queue. It is named for the account of this test.
async fn fifo_queue(world: &World) -> String {
    let answer = world
        .stack
        .sqs
        .create_queue()
        .queue_name(format!("{}.fifo", world.account))
        .attributes(QueueAttributeName::FifoQueue, "true")
        .send()
        .await
        .unwrap();
    answer.queue_url().unwrap().to_owned()
}

/// Takes `count` messages out of a queue, in the order in which it gives them, and sees that there are no more.
async fn take(world: &World, queue: &str, count: usize) -> Vec<Message> {
    let mut taken = Vec::new();
    loop {
        let answer = world
            .stack
            .sqs
            .receive_message()
            .queue_url(queue)
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        if answer.messages().is_empty() {
            assert_eq!(taken.len(), count);
            return taken;
        }
        for message in answer.messages() {
            let deleted = world
                .stack
                .sqs
                .delete_message()
                .queue_url(queue)
                .receipt_handle(message.receipt_handle().unwrap());
            deleted.send().await.unwrap();
            taken.push(message.clone());
        }
    }
}

fn attribute(message: &Message, name: &MessageSystemAttributeName) -> String {
    message.attributes().unwrap()[name].clone()
}

#[tokio::test]
async fn a_fifo_queue_gets_a_record_s_events_in_order_and_a_repeat_once() {
    let world = World::planted().await;
    let body = delivery()
        .event("order.created", r#"{"id":"or_1","note":"first"}"#)
        .event("order.created", r#"{"id":"or_2"}"#)
        .event("order.updated", r#"{"id":"or_1","note":"second"}"#)
        .body();
    assert_eq!(world.post(&body).await.status, 200);
    // A team's message is the lane's, so it can go the way again.
    let events = world.team.wait_for(3).await;
    let queue = fifo_queue(&world).await;

    let routes = json!([
        { "team": "ledger", "queue": queue, "types": ["order.*"], "accounts": [world.account] }
    ]);
    let records = consumer_here::records(&world.stack);
    let queues = SqsQueues::new(world.stack.sqs.clone());
    let redelivery = FakeRedelivery::default();
    let undelivered = world.stack.output("UndeliveredQueueUrl");
    let config = consumer_here::config(&world.stack, &routes, undelivered);
    let oversize = &world.stack.oversize;
    let consumer = Consumer::new(&records, &queues, oversize, &redelivery, config);
    let messages = events.iter().map(|event| &*event.message.body);
    let messages = consumer_here::batch_of_orders(&world.stack, messages);
    for _ in ["the first time", "again, as after a crash"] {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let response = consumer.handle(&messages, deadline).await;
        assert_eq!(response.batch_item_failures, []);
    }

    let taken = take(&world, &queue, events.len()).await;
    let schema = Schema::closed();
    let mut groups: BTreeMap<String, Vec<TeamEvent>> = BTreeMap::new();
    for message in &taken {
        let event = schema.read(&e2e::queue_reader::received(message));
        assert_eq!(
            attribute(message, &MessageSystemAttributeName::MessageDeduplicationId),
            event.id
        );
        let group = attribute(message, &MessageSystemAttributeName::MessageGroupId);
        groups.entry(group).or_default().push(event);
    }
    let mut ids: Vec<Vec<&str>> = groups
        .values()
        .map(|events| events.iter().map(|event| &*event.id).collect())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        [vec![&*events[0].id, &*events[2].id], vec![&*events[1].id]],
        "one group a record, in the order of first sight"
    );
    for message in &taken {
        let group = attribute(message, &MessageSystemAttributeName::MessageGroupId);
        assert!(!group.contains(world.account.as_str()), "{group} is a hash");
    }
    let gone = world.stack.sqs.delete_queue().queue_url(&queue);
    gone.send().await.unwrap();
}
