//! One party's trouble is not another's: a team's queue that refuses, a message that nobody can read.
//!
//! The template's stack has one team, so that a second team still gets everything is seen in the consumer's own
//! tests; here it is seen that the other accounts do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

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
async fn what_a_teams_queue_refuses_waits_for_that_team_alone(#[case] code: &str) {
    let (world, neighbour) = (World::planted().await, World::planted().await);
    // All tests share the team's queue, and a call that is refused as a whole has other tests' events too: those would wait
    // in the undelivered queue like this one's.
    let fault = Fault::RefuseEntries {
        contains: world.account.clone(),
        code: code.to_owned(),
        sender_fault: false,
    };
    let outage = world
        .disturb("sqs:SendMessageBatch", "ExampleTeam", fault)
        .await;
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
    assert!(is_same_json(
        &order.data.unwrap(),
        r#"{"id":"or_00000","number":0}"#
    ));
    assert_eq!(neighbour.team.wait_for(3).await.len(), 3);
    outage.end().await;
    assert_eq!(
        world.deliver(&delivery().orders(1).body()).await.last(),
        Some(&200)
    );
    let events = world.team.wait_for(1).await;
    assert_ne!(events[0].delivery, receipt.delivery);
}

#[tokio::test]
async fn a_message_that_nobody_can_read_dies_alone_and_whole() {
    let world = World::planted().await;
    let poison = format!(
        "{{\"no\": \"event\",  \"of\":\"{}\"}}\n\u{1F4A3}",
        world.account
    );
    world
        .stack
        .sqs
        .send_message()
        .queue_url(world.stack.output("OtherQueueUrl"))
        .message_body(&poison)
        .send()
        .await
        .unwrap();
    // Good ones of the same lane flow past it, before it is dead and after.
    let good = |number: usize| {
        let record = format!(r#"{{"id":"qu_{number}"}}"#);
        delivery().event("quote.created", &record).body()
    };
    world.deliver(&good(0)).await;
    world.team.wait_for(1).await;
    let dead = world.reader("OtherDlqUrl");
    assert_eq!(dead.messages().await, [], "it was given up at once");
    let messages = until_within(
        DEAD_LETTER_PATIENCE,
        "the message is a dead message",
        async || {
            let messages = dead.messages().await;
            match messages.len() {
                0 => Err("it is not".to_owned()),
                _ => Ok(messages),
            }
        },
    )
    .await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body, poison, "byte for byte");
    world.deliver(&good(1)).await;
    assert_eq!(world.team.wait_for(2).await.len(), 2);
}

#[tokio::test]
async fn a_transient_failure_of_the_records_table_makes_no_dead_letter_and_loses_nothing() {
    let world = World::planted().await;
    let outage = world
        .disturb("dynamodb:UpdateItem", "Records", Fault::Status(503))
        .await;
    world.deliver(&delivery().orders(2).body()).await;
    e2e::until("the table was asked", async || match outage.met().await {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert!(world.record("order", "or_00000").await.is_none());
    assert_eq!(
        world.team.messages().await,
        [],
        "forwarded before it was applied"
    );
    outage.end().await;
    assert_eq!(world.team.wait_for(2).await.len(), 2);
    assert!(world.record("order", "or_00001").await.is_some());
    assert_eq!(world.reader("OrdersDlqUrl").messages().await, []);
}
