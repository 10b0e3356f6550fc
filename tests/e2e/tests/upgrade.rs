//! An account that the release before connected goes on: its items and its secret are taken back to their form.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{World, until};
use http::Method;
use serde_json::{Value, json};
use simulator::control::WebhookChange;
use testkit::delivery::delivery;
use testkit::signing::{SIGNATURE_HEADER, sign};

fn key_of(kind: &str, name: &str) -> AttributeValue {
    AttributeValue::S(format!("{kind}#{name}"))
}

async fn signing_secret(world: &World) -> Value {
    let secret = world.stack.secrets.get_secret_value();
    let secret = secret.secret_id(signing_name(world)).send().await.unwrap();
    serde_json::from_str(secret.secret_string().unwrap()).unwrap()
}

fn signing_name(world: &World) -> String {
    let stack = &world.stack.outputs.stack_name;
    format!("{stack}/signing/{}", world.account)
}

/// Takes account, token and signing keys back to what release 0.1.0 stored.
async fn as_stored_by_0_1_0(world: &World) {
    let table = world.stack.output("AccountsTable");
    let update = world.stack.dynamo.update_item().table_name(table);
    let update = update.key("pk", key_of("token", &world.token_hash()));
    let update = update
        .update_expression("REMOVE #source, #keys")
        .expression_attribute_names("#source", "source")
        .expression_attribute_names("#keys", "keys");
    update.send().await.unwrap();
    let update = world.stack.dynamo.update_item().table_name(table);
    let update = update.key("pk", key_of("account", &world.account));
    let update = update.update_expression("REMOVE registrations[0].#keys");
    let update = update.expression_attribute_names("#keys", "keys");
    update.send().await.unwrap();
    let mut secret = signing_secret(world).await;
    assert!(
        secret
            .as_object_mut()
            .unwrap()
            .remove("registrations")
            .is_some()
    );
    let put = world.stack.secrets.put_secret_value();
    let put = put
        .secret_id(signing_name(world))
        .secret_string(secret.to_string());
    put.send().await.unwrap();
}

async fn check(world: &World) {
    let path = format!("/accounts/{}/check", world.account);
    until("the account is checked", async || {
        let answer = world.stack.admin(Method::POST, &path, None).await;
        match answer.status {
            200 => Ok(()),
            status => Err(format!("{status} {}", answer.body)),
        }
    })
    .await;
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

    check(&world).await;
    let secret = signing_secret(&world).await;
    let held = &secret["registrations"][world.token_hash()];
    assert_eq!(held["macs"], json!([world.key()]));
    let version = held["version"].as_u64().unwrap();
    let read = world.stack.dynamo.get_item();
    let read = read.table_name(world.stack.output("AccountsTable"));
    let read = read.key("pk", key_of("token", &world.token_hash()));
    let entry = read
        .consistent_read(true)
        .send()
        .await
        .unwrap()
        .item
        .unwrap();
    assert_eq!(entry["source"].as_s().unwrap(), "orderspace");
    assert_eq!(entry["keys"].as_n().unwrap(), &version.to_string());
    assert_eq!(world.deliver(&order("or_after")).await.last(), Some(&200));
    let subjects = world.team.wait_for(2).await;
    let mut subjects: Vec<_> = subjects
        .iter()
        .map(|event| event.subject.as_str())
        .collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["order/or_after", "order/or_before"]);

    // A changed key has a version of its own.
    let site = world.site();
    let webhook = site.webhooks().await.unwrap().remove(0);
    let change = WebhookChange {
        new_signing_key: true,
        ..WebhookChange::default()
    };
    let changed = site.change_webhook(&webhook.id, &change).await.unwrap();
    world.note_secrets_of(&changed);
    check(&world).await;
    let held = signing_secret(&world).await;
    let held = &held["registrations"][world.token_hash()];
    assert!(held["version"].as_u64().unwrap() > version);
    let body = order("or_changed");
    let signature = sign(&changed.signing_key, &body);
    until("the changed key is taken", async || {
        let headers = [(SIGNATURE_HEADER, &*signature)];
        match world.request(&world.url(), &body, &headers).await.status {
            200 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
}
