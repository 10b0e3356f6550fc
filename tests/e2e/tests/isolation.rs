//! One party's trouble is not another's: a team's queue that refuses, a message that nobody can read.
//!
//! The template's stack has one team, so that a second team still gets everything is seen in `operate_stuck.rs`; here it is
//! seen that the other accounts do.

use e2e::World;
use e2e::proxy::Fault;
use e2e::waiting::until_within;
use rstest::rstest;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use testkit::contract::is_same_json;
use testkit::delivery::delivery;

/// Fifty receives, two seconds apart.
const DEAD_LETTER_PATIENCE: Duration = Duration::from_secs(400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Undelivered<'a> {
    team: &'a str,
    queue: &'a str,
    reason: &'a str,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

#[rstest]
#[case::that_was_deleted("QueueDoesNotExist")]
#[case::that_may_not_be_sent_to("AccessDeniedException")]
#[case::whose_key_is_disabled("KmsDisabled")]
#[tokio::test]
// requirement: lost-team
async fn what_a_teams_queue_refuses_waits_for_that_team_alone(#[case] code: &str) {
    let (world, neighbour) = (World::planted().await, World::planted().await);
    // All tests share the team's queue, and a call that is refused as a whole has other tests' events too: those would wait
    // in the undelivered queue like this one's.
    let fault = Fault::refuse_entries(&world.account, code, false);
    let outage = world.disturb("sqs:SendMessageBatch", "ExampleTeam", fault);
    let outage = outage.await;
    let body = delivery().orders(3).body();
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    assert_eq!(neighbour.deliver(&body).await.last(), Some(&200));

    let messages = world.messages("UndeliveredQueueUrl", 3).await;
    assert_eq!(messages.len(), 3);
    let receipt = world.stack.receipts(&world.account).await.remove(0);
    let mut indexes = Vec::new();
    for message in &messages {
        let undelivered: Undelivered<'_> = serde_json::from_str(&message.body).unwrap();
        assert_eq!(undelivered.team, "example");
        assert_eq!(undelivered.queue, world.stack.output("ExampleTeamQueueUrl"));
        assert!(undelivered.reason.contains(code), "{}", undelivered.reason);
        let envelope = domain::envelope::Envelope::parse(undelivered.envelope.get()).unwrap();
        assert_eq!(envelope.id.delivery().to_string(), receipt.delivery);
        indexes.push(envelope.id.index().get());
    }
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2]);
    assert!(outage.met().await > 0);
    // Its record is written all the same, and the message is done.
    let order = world.record("order", "or_00000").await.unwrap();
    let expected = r#"{"id":"or_00000","number":0}"#;
    assert!(is_same_json(&order.data.unwrap(), expected));
    assert_eq!(neighbour.team.wait_for(3).await.len(), 3);
    outage.end().await;
    let next = delivery().orders(1).body();
    assert_eq!(world.deliver(&next).await.last(), Some(&200));
    let events = world.team.wait_for(1).await;
    assert_ne!(events[0].delivery, receipt.delivery);
}

/// The lanes, as the names of their queues among the stack's outputs begin.
const LANES: [&str; 6] = [
    "Customers",
    "Orders",
    "Billing",
    "Products",
    "Inventory",
    "Other",
];

/// One event for each lane, about its `number`th record.
fn one_for_each_lane(number: usize) -> Vec<u8> {
    [
        "customer.created",
        "order.created",
        "invoice.created",
        "product.created",
        "inventory_level.updated",
        "quote.created",
    ]
    .into_iter()
    .fold(delivery(), |delivery, event_type| {
        let record = format!(r#"{{"id":"x_{number}","sku":"x_{number}"}}"#);
        delivery.event(event_type, &record)
    })
    .body()
}

/// What nobody can read, each in its own way; all of it names the account and the lane.
fn unreadable(account: &str, lane: &str) -> Vec<String> {
    vec![
        format!("no json of {account} in {lane}, \u{1F4A3}\r\n\t\"quoted\""),
        format!(r#"{{"no": "event",   "of":"{account}", "in":"{lane}" }}"#),
        format!(
            r#"{{"specversion":"1.0","id":"{account}.00000","source":"/orderspace/{account}","type":"orderspace.order.created","subject":"order/or_1","data":{{"lane":"{lane}"}}}}"#
        ),
        format!(r#"["{account}","{lane}",{}]"#, "[".repeat(400)),
    ]
}

#[tokio::test]
// requirement: lost-unreadable
async fn a_message_that_nobody_can_read_dies_alone_and_whole() {
    let world = World::planted().await;
    for lane in LANES {
        let queue = world.stack.output(&format!("{lane}QueueUrl"));
        for body in unreadable(&world.account, lane) {
            world.stack.put_message(queue, &body).await;
        }
    }
    // Good ones of the same lanes flow past them, before they are dead and after.
    world.deliver(&one_for_each_lane(0)).await;
    world.team.wait_for(LANES.len()).await;
    for lane in LANES {
        let dead = world.reader(&format!("{lane}DlqUrl"));
        assert_eq!(dead.messages().await, [], "{lane} gave them up at once");
    }
    for lane in LANES {
        let mut expected = unreadable(&world.account, lane);
        expected.sort_unstable();
        let dead = world.reader(&format!("{lane}DlqUrl"));
        let what = format!("the unreadable messages of {lane} are dead ones");
        let messages = until_within(DEAD_LETTER_PATIENCE, &what, async || {
            let messages = dead.messages().await;
            match messages.len() < expected.len() {
                true => Err(format!("{} are", messages.len())),
                false => Ok(messages),
            }
        })
        .await;
        let mut found: Vec<String> = messages.into_iter().map(|message| message.body).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{lane}: byte for byte");
    }
    world.deliver(&one_for_each_lane(1)).await;
    assert_eq!(world.team.wait_for(12).await.len(), 12);
}

#[tokio::test]
// requirement: lost-outage
async fn a_transient_failure_of_the_records_table_makes_no_dead_letter_and_loses_nothing() {
    let world = World::planted().await;
    let outage = world.disturb("dynamodb:UpdateItem", "Records", Fault::Status(503));
    let outage = outage.await;
    world.deliver(&delivery().orders(2).body()).await;
    e2e::until("the table was asked", async || match outage.met().await {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert!(world.record("order", "or_00000").await.is_none());
    let messages = world.team.messages().await;
    assert_eq!(messages, [], "forwarded before it was applied");
    outage.end().await;
    assert_eq!(world.team.wait_for(2).await.len(), 2);
    assert!(world.record("order", "or_00001").await.is_some());
    assert_eq!(world.reader("OrdersDlqUrl").messages().await, []);
}
