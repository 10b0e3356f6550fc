//! What lies in our own stores is damaged, half of it is gone, or a newer release wrote it.

use domain::account::TokenStatus;
use serde_json::json;

use crate::world::World;

#[tokio::test]
// requirement: upgrade-items
async fn an_account_that_cannot_be_read_is_listed_and_left_alone() {
    let world = World::connected().await;
    world.connect_too("other", &["order.created"]).await;
    world.damage("acme");
    world.asked().await;
    for answer in [world.check().await, world.show("acme").await] {
        answer.expect(409).assert_says("PUT connects");
    }
    let is_leased = world.is_leased();
    assert!(!is_leased, "the next call would have to wait for nothing");
    assert!(world.asked().await.is_empty());
    let listed = world.list().await;
    assert_eq!(listed["accounts"][0]["account"], "other");
    assert_eq!(listed["unreadable"][0]["account"], "acme");
    let sent = world.invoke(json!({ "schedule": "check" })).await.unwrap();
    assert_eq!(sent, json!({ "accounts": 1 }), "the others are checked");
}

#[tokio::test]
// requirement: upgrade-items
async fn an_account_that_cannot_be_read_is_connected_anew() {
    let world = World::connected().await;
    world.damage("acme");
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
    world.assert_noted("could not be read whole");
    world.check().await.expect(200);
}

#[tokio::test]
// requirement: upgrade-items
async fn an_account_that_cannot_be_read_is_disconnected() {
    let world = World::connected().await;
    world.damage("acme");
    world.disconnect().await.expect(200);
    assert!(world.webhooks().await.is_empty());
    assert_eq!(world.token_statuses(), [TokenStatus::Retired]);
    assert!(!world.is_leased());
}

#[tokio::test]
// requirement: upgrade-items
async fn signing_keys_that_cannot_be_read_come_from_the_source_again() {
    let world = World::connected().await;
    let keys = world.keys();
    world.garble(true, false);
    world.check().await.expect(200);
    assert_eq!(world.keys(), keys);
    world.assert_connected(&world.webhooks().await);
    world.assert_noted("signing keys that are kept cannot be read");
}

#[tokio::test]
// requirement: upgrade-items
async fn credentials_that_cannot_be_read_are_replaced() {
    let world = World::connected().await;
    world.garble(false, true);
    let answer = world.check().await.expect(409);
    answer.assert_says("connect it again");
    world.connect().await.expect(200);
    world.check().await.expect(200);
}

#[tokio::test]
// requirement: upgrade-items
async fn entries_of_url_tokens_that_are_gone_are_written_anew() {
    let world = World::connected().await;
    let entries = world.token_entries();
    world.lose_entries();
    world.check().await.expect(200);
    assert_eq!(world.token_entries(), entries);
    world.assert_noted("entries of 1 URL tokens");
    world.asked().await;
    world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
}

#[tokio::test]
async fn an_account_of_which_only_url_tokens_are_left_is_listed_and_connected_anew() {
    let world = World::new().await;
    world.connect().await.expect(200);
    world.lose_account("acme");
    assert_eq!(world.list().await["unreadable"][0]["account"], "acme");
    let shown = world.show("acme").await.expect(409);
    shown.assert_says("PUT connects");
    world.show("other").await.expect(404);
    world.connect().await.expect(200);
    assert_eq!(world.list().await["unreadable"], json!([]));
    let shown = world.show("acme").await.expect(200);
    assert_eq!(shown.body["state"], "connected");
}

#[tokio::test]
async fn an_account_of_which_only_url_tokens_are_left_goes_on_with_its_webhook() {
    let world = World::connected().await;
    let before = (world.webhooks().await, world.token_entries());
    world.lose_account("acme");
    world.connect().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 1, "no second one beside it");
    assert_eq!(webhooks[0].id, before.0[0].id);
    world.assert_connected(&webhooks);
    assert_eq!(world.token_entries(), before.1);
    world.assert_noted("could not be read whole");
    world.check().await.expect(200);
}

#[tokio::test]
async fn an_account_of_which_only_url_tokens_are_left_is_disconnected() {
    let world = World::connected().await;
    world.lose_account("acme");
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert_eq!(answer.body["last_error"], json!(null));
    assert!(world.webhooks().await.is_empty());
    assert_eq!(world.token_statuses(), [TokenStatus::Retired]);
    assert!(world.oauth().is_none() && world.keys().is_empty());
    assert!(!world.is_leased());
    world.disconnect().await.expect(200);
}

#[tokio::test]
async fn both_webhooks_of_a_rotation_whose_account_is_lost_are_removed() {
    let world = World::connected().await;
    world.rotate().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    world.lose_account("acme");
    world.disconnect().await.expect(200);
    assert!(world.webhooks().await.is_empty());
    assert_eq!(world.token_statuses(), [TokenStatus::Retired; 2]);
}

#[tokio::test]
async fn an_account_that_never_was_cannot_be_removed_and_another_source_does_not_take_its_place() {
    let world = World::new().await;
    world.disconnect().await.expect(404);
    assert!(!world.is_leased());
    world.connect().await.expect(200);
    world.lose_account("acme");
    let other = json!({ "source": "stackone", "signing_secrets": ["one"], "events": ["*"] });
    world.put("acme", &other).await.expect(409);
    assert!(!world.is_leased());
    assert_eq!(world.token_statuses(), [TokenStatus::Live]);
}

#[tokio::test]
async fn an_account_of_which_only_retired_url_tokens_are_left_is_none() {
    let world = World::connected().await;
    world.disconnect().await.expect(200);
    world.lose_account("acme");
    assert_eq!(world.list().await["unreadable"], json!([]));
    world.show("acme").await.expect(404);
}
