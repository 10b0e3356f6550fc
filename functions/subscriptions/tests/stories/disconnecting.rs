//! Disconnecting, once, twice, and back again.

use domain::account::TokenStatus::{Live, Retired};
use serde_json::json;
use simulator::{Door, Fault, FaultKind};

use crate::world::{World, assert_has};

#[tokio::test]
// requirement: subscription-disconnect
async fn nothing_is_left_but_the_history() {
    let world = World::connected().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert_eq!(answer.body["webhook"], json!(null));
    assert!(answer.body["history"].as_array().unwrap().len() >= 2);
    assert!(world.webhooks().await.is_empty());
    assert_eq!(world.token_statuses(), [Retired]);
    assert!(world.oauth().is_none() && world.keys().is_empty());
}

#[tokio::test]
async fn a_second_disconnect_changes_nothing() {
    let world = World::connected().await;
    let first = world.disconnect().await.expect(200);
    world.asked().await;
    world.pass(60);
    let second = world.disconnect().await.expect(200);
    assert_eq!(first.body, second.body);
    assert!(world.asked().await.is_empty());
}

#[tokio::test]
async fn an_unknown_account_cannot_be_disconnected() {
    let world = World::new().await;
    let answer = world.disconnect().await.expect(404);
    answer.assert_says("no account acme");
    assert_eq!(world.account(), None);
}

#[tokio::test]
async fn a_webhook_that_is_gone_already_is_no_trouble() {
    let world = World::connected().await;
    world.lose_webhook().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert_eq!(answer.body["last_error"], json!(null));
}

#[tokio::test]
async fn a_reconnect_starts_anew_under_the_same_name() {
    let world = World::connected().await;
    world.disconnect().await.expect(200);
    let answer = world.connect().await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    world.assert_connected(&world.webhooks().await);
    assert_eq!(world.token_statuses(), [Live, Retired]);
    assert_eq!(world.keys().len(), 1);
}

#[tokio::test]
async fn while_orderspace_is_down_the_account_stays_and_the_same_call_goes_on() {
    let world = World::connected().await;
    let down = Fault::on(Door::Any, FaultKind::Status(503));
    world.fault(down).await;
    let answer = world.disconnect().await.expect(502);
    assert_eq!(answer.body["state"], "disconnecting");
    assert_has(answer.last_error(), "503");
    // Deliveries are still taken: nothing is refused that Orderspace rightly sends.
    assert_eq!(world.token_statuses(), [Live]);
    world.clear_faults().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert_eq!(answer.body["last_error"], json!(null));
    assert!(world.webhooks().await.is_empty());
}

#[tokio::test]
async fn an_integration_that_was_removed_at_orderspace_does_not_hold_the_account() {
    let world = World::connected().await;
    world.revoke_access_tokens().await;
    world.fault(Fault::on(Door::Token, FaultKind::Refuse)).await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    let said = answer.last_error();
    assert_has(said, "could not be removed at Orderspace");
    answer.assert_explains(&format!("something was left behind: {said}"));
    assert_eq!(world.token_statuses(), [Retired]);
    assert!(world.oauth().is_none() && world.keys().is_empty());
    // A later connect finds the webhook that was left, and takes it away.
    world.clear_faults().await;
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_disconnect_that_was_not_finished_can_be_taken_back() {
    let world = World::connected().await;
    let before = world.webhooks().await;
    world.next("GET", FaultKind::Status(500)).await;
    world.disconnect().await.expect(502);
    let answer = world.connect().await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    world.assert_connected(&world.webhooks().await);
    assert_eq!(world.webhooks().await[0].id, before[0].id);
}
