//! A rotation as Orderspace, an operator and a team see it: two webhooks that deliver the same events, then one, and
//! nothing lost in between.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::provider::{enable, event};
use e2e::tables::text;
use e2e::team::TeamEvent;
use e2e::{World, until};
use http::Method;
use serde_json::json;
use simulator::control::{Deliver, WebhookStatus};
use simulator::{EventText, RetryPolicy, RunReport};
use testkit::delivery::delivery;
use testkit::signing::OTHER_SIGNING_KEY;

/// A connected account whose rotation has begun, with the old webhook and the new one.
async fn rotating() -> (World, WebhookStatus, WebhookStatus) {
    let world = World::connected().await;
    let old = world.site().webhooks().await.unwrap().remove(0);
    let answer = world.done(Method::POST, "/rotate").await;
    let webhooks = world.site().webhooks().await.unwrap();
    assert_eq!(webhooks.len(), 2);
    let new = webhooks[0].clone();
    world.note_secrets_of(&new);
    assert_eq!(answer.body["webhook"], new.id.as_str());
    assert_eq!(answer.body["rotation"]["old_webhook"], old.id.as_str());
    assert_ne!(new.endpoint, old.endpoint);
    assert_ne!(new.signing_key, old.signing_key);
    (world, old, new)
}

/// An event about an order, distinguished by its number.
fn numbered(order: &str, number: u32) -> EventText {
    let record = json!({ "id": order, "number": number });
    event("order.updated", &record.to_string())
}

/// Sends like Orderspace, but more patiently: until the new key is read, the answer is to come again.
async fn send(world: &World, event: EventText) -> Vec<RunReport> {
    let deliver = Deliver {
        policy: RetryPolicy {
            first_delay_ms: 500,
            factor: 1.2,
            disable_after: 100,
            max_attempts: 100,
            ..RetryPolicy::default()
        },
        ..Deliver::events(&[event])
    };
    world.site().deliver(&deliver).await.unwrap()
}

/// The event comes from this webhook, while the other one is behind.
async fn bring(world: &World, by: &WebhookStatus, behind: &WebhookStatus, event: EventText) {
    enable(world.site(), &behind.id, false).await;
    let reports = send(world, event).await;
    enable(world.site(), &behind.id, true).await;
    let [report] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    assert_eq!(report.webhook, by.id);
    assert!(report.accepted, "{report:?}");
}

fn number(event: &TeamEvent) -> u64 {
    event.inline_record()["number"].as_u64().unwrap()
}

/// A webhook delivers in its own order, and the two know nothing of each other. What a team sees: every event of
/// either, each with an id of its own, and each copy marked, also where another event of the record lies between it and
/// its original. Either way the record ends as the last event says.
#[tokio::test]
// requirement: repeat-earlier
async fn a_team_sees_what_both_webhooks_bring() {
    let (world, old, new) = rotating().await;
    let orders = [
        // A A B B: the new webhook repeats each event of the old one at once.
        (
            "or_pairs",
            [(&old, 1), (&new, 1), (&old, 2), (&new, 2)],
            [false, true, false, true],
        ),
        // A B A B: it is one event behind.
        (
            "or_turns",
            [(&old, 1), (&old, 2), (&new, 1), (&new, 2)],
            [false, false, true, true],
        ),
    ];
    let mut count = 0;
    for (order, deliveries, marks) in orders {
        for (by, number) in deliveries {
            let behind = if by.id == old.id { &new } else { &old };
            bring(&world, by, behind, numbered(order, number)).await;
            // The mark compares with what the record says, so each event has to reach it first.
            count += 1;
            world.team.wait_for(count).await;
        }
        let subject = format!("order/{order}");
        let mut events = world.team.wait_for(count).await;
        events.retain(|event| event.subject == subject);
        let numbers: Vec<u64> = events.iter().map(number).collect();
        let sent = deliveries.map(|(_, number)| u64::from(number));
        assert_eq!(numbers, sent, "{order}: in the order of first sight");
        let marked = events.iter().map(|event| event.possible_duplicate);
        assert_eq!(marked.collect::<Vec<_>>(), marks, "{order}");
        let record = world.record("order", order).await.unwrap();
        assert_eq!(record.event_id.as_ref(), Some(&events[3].id));
        assert!(record.data.unwrap().contains("2"));
    }
    assert_eq!(world.stack.receipts(&world.account).await.len(), 8);
}

/// Ends the grace of the old webhook's token, as its time would.
async fn end_the_grace(world: &World, old: &WebhookStatus) {
    let table = world.stack.output("AccountsTable");
    let key = format!("account#{}", world.account);
    let item = world.stack.account_item(&key).await.unwrap();
    let mut registrations = item["registrations"].as_l().unwrap().clone();
    let mut ended = 0;
    for registration in &mut registrations {
        let mut members = registration.as_m().unwrap().clone();
        if text(&members, "webhook").as_ref() == Some(&old.id) {
            assert_eq!(text(&members, "standing").as_deref(), Some("grace"));
            members.insert("until".to_owned(), AttributeValue::N("1".to_owned()));
            ended += 1;
        }
        *registration = AttributeValue::M(members);
    }
    assert_eq!(ended, 1);
    let call = world.stack.dynamo.update_item().table_name(table);
    let call = call.key("pk", AttributeValue::S(key));
    call.update_expression("SET registrations = :registrations")
        .expression_attribute_values(":registrations", AttributeValue::L(registrations))
        .send()
        .await
        .unwrap();
}

/// An instance believes what it has read of a token for minutes, so nothing may have come by this one before.
#[tokio::test]
async fn after_the_grace_the_old_token_is_unknown() {
    let (world, old, new) = rotating().await;
    bring(&world, &new, &old, numbered("or_1", 1)).await;
    until("the old webhook is gone", async || {
        world.done(Method::POST, "/check").await;
        match world.site().webhooks().await.unwrap().len() {
            1 => Ok(()),
            count => Err(format!("{count} webhooks")),
        }
    })
    .await;
    end_the_grace(&world, &old).await;
    world.done(Method::POST, "/check").await;
    let late = delivery().event("order.created", r#"{"id":"or_late"}"#);
    let answer = world.post(&late.body()).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    let key = format!("token#{}", world.token_hash());
    let entry = world.stack.account_item(&key).await.unwrap();
    assert_eq!(text(&entry, "status").as_deref(), Some("retired"));
    // Its key is gone with it, and the new one stays.
    let secret = world.secret("signing").await;
    let held: Vec<&String> = secret["keys"].as_object().unwrap().keys().collect();
    assert_eq!(held, [&new.id]);
}

#[tokio::test]
async fn a_key_that_changed_at_orderspace_is_picked_up_and_wrong_signatures_cannot_hurry_that() {
    let world = World::connected().await;
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    let changed = world.change_key().await;
    let post = async |key: &str| world.post_by(key, &body).await.status;
    // Until a check has found it, the new key is as good as any other.
    assert_eq!(post(&changed.signing_key).await, 401);
    let answer = world.done(Method::POST, "/check").await;
    let history = answer.body["history"].to_string();
    assert!(history.contains("is signed with another key"), "{history}");

    // However many wrong signatures come, the keys are read again at most once in ten seconds by an instance.
    let watch = world.watch(&format!("signing/{}", world.account)).await;
    let mut unauthenticated = 20;
    until("the new key is taken", async || {
        assert_eq!(post(OTHER_SIGNING_KEY).await, 401);
        unauthenticated += 1;
        match post(&changed.signing_key).await {
            200 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(post(OTHER_SIGNING_KEY).await, 401);
    }
    let reads = watch.settled().await.len();
    watch.end().await;
    // Once for each instance of the function that has a part in it, and once more after ten seconds.
    let most = 2 + unauthenticated / 4;
    assert!(
        (1..=most).contains(&reads),
        "{unauthenticated} wrong signatures caused {reads} reads"
    );
}
