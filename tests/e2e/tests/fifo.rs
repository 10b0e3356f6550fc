//! A team with a FIFO queue. The stack has none, so the consumer runs here: its own code, on the stack's table and on a
//! FIFO queue that is made for the test.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use consumer_here::ConsumerHere;
use e2e::World;
use e2e::team::{Schema, TeamEvent};
use serde_json::json;
use testkit::delivery::delivery;

mod consumer_here;

/// Takes `count` messages out of a queue, in the order in which it gives them, and sees that there are no more.
async fn take(world: &World, queue: &str, count: usize) -> Vec<Message> {
    let mut taken = Vec::new();
    loop {
        let received = world.stack.receive(queue).await;
        if received.is_empty() {
            assert_eq!(taken.len(), count);
            return taken;
        }
        for message in received {
            world.stack.take_out(queue, &message).await;
            taken.push(message);
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
    let name = format!("{}.fifo", world.account);
    let is_fifo = [(QueueAttributeName::FifoQueue, "true")];
    let queue = world.stack.make_queue(&name, &is_fifo).await;

    let routes = json!([
        { "team": "ledger", "queue": queue, "types": ["order.*"], "accounts": [world.account] }
    ]);
    let undelivered = world.stack.output("UndeliveredQueueUrl");
    let consumer = ConsumerHere::new(&world.stack, &routes, undelivered);
    for _ in ["the first time", "again, as after a crash"] {
        let messages = events.iter().map(|event| &*event.message.body);
        consumer.handle(messages).await;
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
    world.stack.drop_queue(&queue).await;
}
