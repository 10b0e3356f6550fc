//! Erasure: what is kept of a record, and of an account, is gone for good, and nothing else is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{Stack, World, until};
use http::Method;
use local::aws::Answer;
use serde_json::{Value, json};
use testkit::delivery::delivery;
use testkit::fixtures;

/// Every version of every object of an account, markers of deletions included.
async fn versions(stack: &Stack, account: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for folder in ["records", "events", "unified"] {
        keys.extend(stack.versions(&format!("{folder}/{account}/")).await);
    }
    keys
}

/// Lets a run of the schedule take place, and shows the erasure once it is done.
async fn done(world: &World, id: &str) -> Value {
    let path = format!("/erasure/{id}");
    until("the erasure is done", async || {
        world.stack.run_erasures().await;
        let shown = world.call(Method::GET, &path, None).await;
        match (shown.status, &shown.body["state"]) {
            (200, state) if state == "done" => Ok(shown.body),
            (status, _) => Err(format!("{status} {}", shown.body)),
        }
    })
    .await
}

async fn erase(world: &World, body: Option<&Value>) -> Answer {
    world.call(Method::POST, "/erasure", body).await
}

/// Sends one product in a form that no item holds, twice, and one that an item does.
async fn fill(world: &World) -> String {
    let large = fixtures::body("product-noise-1-mb");
    let small = delivery().event("product.updated", r#"{"id":"pr_small"}"#);
    for body in [&large, &large, &small.body()] {
        world.deliver(body).await;
    }
    let events = world.team.wait_for(3).await;
    let subject = &events[0].subject;
    until("the records are there", async || {
        let id = subject.split_once('/').unwrap().1;
        let large = world.record("product", id).await;
        let small = world.record("product", "pr_small").await;
        match (large.and_then(|record| record.form), small) {
            (Some("dataref"), Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    subject.clone()
}

#[tokio::test]
// requirement: secret-erasure
async fn a_record_is_erased_with_every_version_of_its_objects() {
    let world = World::connected().await;
    let other = World::connected().await;
    let subject = fill(&world).await;
    fill(&other).await;
    let before = versions(&world.stack, &world.account).await;
    // Two events, and one state or two: both may have been applied at once.
    assert!(before.len() >= 3, "{before:?}");
    let kept = versions(&world.stack, &other.account).await;

    let answer = erase(&world, Some(&json!({ "subject": subject }))).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert!(answer.body["remains"]["receipts_until"].is_string());
    let again = erase(&world, Some(&json!({ "subject": subject }))).await;
    assert_eq!(again.body["erasure"], answer.body["erasure"]);
    let erased = done(&world, answer.body["erasure"].as_str().unwrap()).await;
    assert_eq!(erased["erased"]["records"], 1, "{erased}");

    let (kind, id) = subject.split_once('/').unwrap();
    assert!(world.record(kind, id).await.is_none());
    assert_eq!(versions(&world.stack, &world.account).await, [""; 0]);
    assert!(world.record("product", "pr_small").await.is_some());
    assert!(!world.stack.receipts(&world.account).await.is_empty());
    // Another account has a record of the same subject.
    assert!(other.record(kind, id).await.is_some());
    assert_eq!(versions(&other.stack, &other.account).await, kept);

    // Its source still sends it: it is kept again.
    world.deliver(&fixtures::body("product-noise-1-mb")).await;
    until("the record is there again", async || {
        match world.record(kind, id).await {
            Some(_) => Ok(()),
            None => Err("it is not".to_owned()),
        }
    })
    .await;
}

#[tokio::test]
// requirement: secret-erasure
async fn an_account_is_erased_with_its_history_and_can_be_connected_again() {
    let world = World::connected().await;
    let other = World::connected().await;
    fill(&world).await;
    fill(&other).await;
    let refused = erase(&world, None).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    world.done(Method::DELETE, "").await;
    let answer = erase(&world, None).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let erased = done(&world, "account").await;
    assert_eq!(erased["erased"]["records"], 2, "{erased}");

    assert_eq!(versions(&world.stack, &world.account).await, [""; 0]);
    let partition = format!("{}#product", world.account);
    let records = world.stack.output("RecordsTable");
    assert!(world.stack.query(records, &partition).await.is_empty());
    assert!(!world.stack.receipts(&world.account).await.is_empty());
    let shown = world.call(Method::GET, "", None).await;
    assert_eq!(shown.status, 404, "{}", shown.body);
    let tokens = world.stack.dynamo.scan();
    let tokens = tokens
        .table_name(world.stack.output("AccountsTable"))
        .filter_expression("begins_with(pk, :token) AND account = :account")
        .expression_attribute_values(":token", AttributeValue::S("token#".to_owned()))
        .expression_attribute_values(":account", AttributeValue::S(world.account.clone()))
        .send()
        .await
        .unwrap();
    assert_eq!(tokens.count(), 0);
    assert!(other.record("product", "pr_small").await.is_some());
    let listed = world.stack.admin(Method::GET, "/accounts", None).await;
    let listed = listed.body.to_string();
    assert!(listed.contains(&other.account));
    assert!(!listed.contains(&format!("\"{}\"", world.account)));
}
