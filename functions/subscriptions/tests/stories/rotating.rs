//! Rotating: two webhooks for a while, then one, and nothing refused in between.

use domain::account::TokenStatus;
use domain::identity::DeliveryId;
use serde_json::{Value, json};
use simulator::FaultKind;
use simulator::control::WebhookStatus;

use crate::world::{Answer, Mishap, World, token_of};

/// A connected account whose rotation has begun, with its old and its new webhook.
async fn rotating() -> (World, WebhookStatus, WebhookStatus) {
    let world = World::connected().await;
    let old = world.newest_webhook().await;
    world.rotate().await.expect(200);
    let new = world.newest_webhook().await;
    world.asked().await;
    (world, old, new)
}

fn status_of(world: &World, webhook: &WebhookStatus) -> TokenStatus {
    world.status_of(&token_of(webhook))
}

fn holds_key_of(world: &World, webhook: &WebhookStatus) -> bool {
    let key = (webhook.id.clone(), webhook.signing_key.clone());
    world.keys().contains(&key)
}

fn waits_for(answer: &Answer) -> &Value {
    &answer.body["rotation"]
}

#[tokio::test]
async fn a_second_webhook_is_registered_and_both_are_accepted() {
    let world = World::connected().await;
    let old = world.newest_webhook().await;
    world.asked().await;
    let answer = world.rotate().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    let new = &webhooks[0];
    assert_ne!(new.endpoint, old.endpoint);
    assert_ne!(new.signing_key, old.signing_key);
    assert_eq!(new.events, old.events);
    for webhook in &webhooks {
        assert!(status_of(&world, webhook).takes_deliveries());
        assert!(holds_key_of(&world, webhook));
    }
    assert_eq!(
        world.asked().await,
        ["GET /v1/webhooks -> 200", "POST /v1/webhooks -> 200"]
    );
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["webhook"], json!(new.id));
    let rotation = waits_for(&answer);
    assert_eq!(rotation["old_webhook"], json!(old.id));
    assert_eq!(rotation["since"], "2026-11-20T12:00:00.000Z");
    assert_eq!(rotation["until"], "2026-11-21T12:00:00.000Z");
    let said = rotation["message"].as_str().unwrap();
    assert!(said.contains("first accepted delivery"), "{said}");
    let (old, new) = (&old.id, &new.id);
    world.assert_noted(&format!("is to take over from webhook {old}"));
    world.assert_noted(&format!("webhook {new} takes over from webhook {old}"));
}

#[tokio::test]
async fn the_first_delivery_of_the_new_one_lets_the_old_one_go() {
    let (world, old, new) = rotating().await;
    // While there is none, a check costs one question and changes nothing.
    let mut before = world.account().unwrap();
    world.deliver_by(&old.id);
    world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    let after = world.account().unwrap();
    before.baseline = after.baseline.clone();
    assert_eq!(after, before);

    world.pass(60);
    world.deliver_by(&new.id);
    let answer = world.check().await.expect(200);
    assert_eq!(
        world.asked().await,
        ["GET /v1/webhooks -> 200", "DELETE /v1/webhooks/{id} -> 200"]
    );
    assert_eq!(*waits_for(&answer), json!(null));
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_eq!(webhooks[0].id, new.id);
    let removed = format!("removed webhook {}: webhook {} has", old.id, new.id);
    world.assert_noted(&removed);
    let notes = world.notes();
    assert!(!notes.contains("found:"), "nothing was amiss: {notes}");

    // Retries of the old one's deliveries are taken for the grace, and no longer.
    world.pass(72 * 3600 - 1);
    world.check().await.expect(200);
    assert_eq!(status_of(&world, &old), TokenStatus::Grace);
    assert!(holds_key_of(&world, &old));
    world.pass(1);
    world.check().await.expect(200);
    assert_eq!(status_of(&world, &old), TokenStatus::Retired);
    assert_eq!(world.keys().len(), 1);
    let saves = world.saves();
    world.check().await.expect(200);
    assert_eq!(world.saves(), saves);
}

#[tokio::test]
async fn where_nothing_is_delivered_the_old_one_goes_after_its_time() {
    let (world, old, new) = rotating().await;
    world.pass(24 * 3600 - 1);
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    world.pass(1);
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_eq!(webhooks[0].id, new.id);
    assert_eq!(status_of(&world, &old), TokenStatus::Grace);
    world.assert_noted("its time is over");
}

#[tokio::test]
async fn a_refused_delivery_of_the_new_one_proves_nothing() {
    let (world, _, new) = rotating().await;
    let id = DeliveryId::new(world.now(), &[3; 10]);
    world.attempt("acme", id, Some(&new.id));
    world.record_failure("acme", id, "budget");
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    world.attempt("acme", id, None);
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 1);
}

/// Nobody says that Orderspace brings a delivery again once its webhook is deleted.
#[tokio::test]
async fn an_old_webhook_that_owes_a_retry_stays_until_it_came() {
    let (world, old, new) = rotating().await;
    let id = DeliveryId::new(world.now(), &[3; 10]);
    world.attempt("acme", id, Some(&old.id));
    world.record_failure("acme", id, "budget");
    world.pass(60);
    world.deliver_by(&new.id);
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    world.attempt("acme", id, None);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

/// Orderspace disables a webhook without a word. If that happened to the new one, the old one is all there is.
#[tokio::test]
async fn an_old_webhook_that_alone_delivers_stays() {
    let (world, old, new) = rotating().await;
    world.pass(25 * 3600);
    world.deliver_by(&old.id);
    let answer = world.check().await.expect(409);
    answer.assert_says(&new.id);
    assert_eq!(answer.body["last_error"]["message"], answer.message());
    assert_eq!(world.webhooks().await.len(), 2);
    let entries = world.history().len();
    world.check().await.expect(409);
    assert_eq!(world.history().len(), entries, "it is told once");

    // As the message says: the operator deletes the new one, and another takes its place.
    world.remove_webhook(&new.id).await;
    let answer = world.check().await.expect(200);
    let third = world.newest_webhook().await;
    assert_eq!(answer.body["webhook"], json!(third.id));
    assert_eq!(waits_for(&answer)["old_webhook"], json!(old.id));
    world.deliver_by(&third.id);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn while_receipts_cannot_be_read_the_old_one_stays() {
    let (world, _, new) = rotating().await;
    world.deliver_by(&new.id);
    world.pass(24 * 3600);
    // After the lease, failed deliveries, the deliveries of two days, credentials, the entries of two tokens, a new
    // access token that is kept, the list, and keys.
    world.fate.plan(11, Mishap::Refused);
    world.check().await.expect(200);
    assert!(world.fate.end());
    assert_eq!(world.webhooks().await.len(), 2);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn the_same_call_again_goes_on_with_the_rotation_under_way() {
    let (world, old, new) = rotating().await;
    let before = world.account();
    world.pass(60);
    let answer = world.rotate().await.expect(200);
    assert_eq!(waits_for(&answer)["old_webhook"], json!(old.id));
    assert_eq!(world.account(), before);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    // Once it is over, the next one begins.
    world.deliver_by(&new.id);
    world.rotate().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 1);
    world.rotate().await.expect(200);
    let third = world.newest_webhook().await;
    assert_eq!(world.webhooks().await.len(), 2);
    world.deliver_by(&third.id);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
    assert_eq!(world.keys().len(), 3, "two are in their grace");
}

#[tokio::test]
async fn what_is_not_connected_cannot_be_rotated() {
    let world = World::new().await;
    world.rotate().await.expect(404);
    world.next("POST", FaultKind::Status(500)).await;
    world.connect().await.expect(502);
    let before = world.account();
    let answer = world.rotate().await.expect(409);
    answer.assert_says("no confirmed webhook");
    assert_eq!(world.account(), before);
    world.connect().await.expect(200);
    world.next("GET", FaultKind::Status(500)).await;
    world.disconnect().await.expect(502);
    let answer = world.rotate().await.expect(409);
    answer.assert_says("PUT");
    world.disconnect().await.expect(200);
    world.rotate().await.expect(409);
    assert!(world.webhooks().await.is_empty());
}

#[tokio::test]
async fn throttled_is_accepted_and_the_check_goes_on() {
    let world = World::with(|site| site.requests_per_minute = Some(3)).await;
    world.connect().await.expect(200);
    let old = world.newest_webhook().await;
    let answer = world.rotate().await.expect(202);
    assert_eq!(answer.retry_after.as_deref(), Some("60"));
    assert_eq!(answer.body["webhook"], json!(old.id), "it is still in use");
    let rotation = waits_for(&answer);
    assert_eq!(rotation["since"], json!(null));
    let said = rotation["message"].as_str().unwrap();
    assert!(said.contains("is to be registered"), "{said}");
    world.pass(61);
    world.advance_orderspace(61_000).await;
    let answer = world.check().await.expect(200);
    assert_eq!(waits_for(&answer)["old_webhook"], json!(old.id));
    assert_eq!(world.webhooks().await.len(), 2);
    // The attempt that was throttled left no token behind that is still taken.
    let taken = world.token_statuses();
    let taken = taken.iter().filter(|status| status.takes_deliveries());
    assert_eq!(taken.count(), 2);
}

#[tokio::test]
async fn what_changes_during_the_overlap_changes_at_both() {
    let (world, old, new) = rotating().await;
    let new_key = json!({ "new_signing_key": true });
    world.change_webhook(&old.id, new_key).await;
    world.change(&["order.created"]).await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    for webhook in &webhooks {
        assert_eq!(webhook.events, ["order.created"]);
        assert!(holds_key_of(&world, webhook));
    }
    world.deliver_by(&new.id);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_webhook_that_is_deleted_during_the_overlap_is_made_up_for() {
    // The old one: the rotation is over.
    let (world, old, _) = rotating().await;
    world.remove_webhook(&old.id).await;
    let answer = world.check().await.expect(200);
    assert_eq!(*waits_for(&answer), json!(null));
    world.assert_connected(&world.webhooks().await);
    // The new one: another is registered, and the old one waits for that.
    let (world, old, new) = rotating().await;
    world.deliver_by(&new.id);
    world.remove_webhook(&new.id).await;
    let answer = world.check().await.expect(200);
    assert_eq!(waits_for(&answer)["old_webhook"], json!(old.id));
    let third = world.newest_webhook().await;
    assert_ne!(third.id, old.id);
    world.deliver_by(&third.id);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn nothing_secret_is_told() {
    let (world, old, new) = rotating().await;
    let shown = world.show("acme").await.expect(200).body.to_string();
    for webhook in [old, new] {
        let token = webhook.endpoint.rsplit('/').next().unwrap();
        assert!(!shown.contains(token) && !shown.contains(&webhook.signing_key));
    }
}
