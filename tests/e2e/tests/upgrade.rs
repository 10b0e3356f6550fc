//! An account that the release before connected goes on: its items and its secret are taken back to their form.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{World, until};
use http::Method;
use serde_json::json;
use testkit::delivery::delivery;

/// Takes account, token and signing keys back to what release 0.1.0 stored.
async fn as_stored_by_0_1_0(world: &World) {
    let table = world.stack.output("AccountsTable");
    let update = || world.stack.dynamo.update_item().table_name(table);
    let key = format!("token#{}", world.token_hash());
    let token = update().key("pk", AttributeValue::S(key));
    let token = token
        .update_expression("REMOVE #source, #keys")
        .expression_attribute_names("#source", "source")
        .expression_attribute_names("#keys", "keys");
    token.send().await.unwrap();
    let key = format!("account#{}", world.account);
    let account = update().key("pk", AttributeValue::S(key));
    let account = account.update_expression("REMOVE registrations[0].#keys");
    let account = account.expression_attribute_names("#keys", "keys");
    account.send().await.unwrap();
    let mut secret = world.secret("signing").await;
    let members = secret.as_object_mut().unwrap();
    assert!(members.remove("registrations").is_some());
    let put = world.stack.secrets.put_secret_value();
    let put = put.secret_id(world.secret_name("signing"));
    put.secret_string(secret.to_string()).send().await.unwrap();
}

#[tokio::test]
async fn an_account_of_release_0_1_0_goes_on_and_a_check_brings_it_to_this_release_s_form() {
    let world = World::connected().await;
    as_stored_by_0_1_0(&world).await;
    let order = |id: &str| {
        let record = json!({ "id": id }).to_string();
        delivery().event("order.created", &record).body()
    };
    assert_eq!(world.deliver(&order("or_before")).await.last(), Some(&200));

    world.done(Method::POST, "/check").await;
    let secret = world.secret("signing").await;
    let held = &secret["registrations"][world.token_hash()];
    assert_eq!(held["macs"], json!([world.key()]));
    let version = held["version"].as_u64().unwrap();
    let key = format!("token#{}", world.token_hash());
    let entry = world.stack.account_item(&key).await.unwrap();
    assert_eq!(entry["source"].as_s().unwrap(), "orderspace");
    assert_eq!(entry["keys"].as_n().unwrap(), &version.to_string());
    assert_eq!(world.deliver(&order("or_after")).await.last(), Some(&200));
    let events = world.team.wait_for(2).await;
    let subjects = events.iter().map(|event| event.subject.as_str());
    let subjects: BTreeSet<_> = subjects.collect();
    assert_eq!(subjects, ["order/or_after", "order/or_before"].into());

    // A changed key has a version of its own.
    let changed = world.change_key().await;
    world.done(Method::POST, "/check").await;
    let held = world.secret("signing").await;
    let held = &held["registrations"][world.token_hash()];
    assert!(held["version"].as_u64().unwrap() > version);
    let body = order("or_changed");
    until("the changed key is taken", async || {
        let answer = world.post_by(&changed.signing_key, &body).await;
        answer.accepted()
    })
    .await;
}
