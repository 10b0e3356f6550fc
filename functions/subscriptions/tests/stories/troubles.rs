//! Orderspace out of order, in every way that it can be.

use domain::subscription::Apis;
use rstest::rstest;
use serde_json::json;
use simulator::{Door, Fault, FaultKind};

use crate::world::World;

/// Each kind of trouble, at the token's door and at the API's, is told plainly, kept in the account, and over
/// with the next call.
#[rstest]
#[case::down(Door::Token, FaultKind::Status(503), 502, "status 503")]
#[case::proxy(Door::Token, FaultKind::Html, 502, "not its API")]
#[case::time_out(Door::Token, FaultKind::TimeOutMs(5_000), 504, "in time")]
#[case::truncated(Door::Token, FaultKind::WorkThenTruncate, 502, "cannot be read")]
#[case::throttled(Door::Token, FaultKind::Status(429), 202, "60 seconds")]
#[case::api_down(Door::Api, FaultKind::Status(500), 502, "status 500")]
#[case::api_proxy(Door::Api, FaultKind::Html, 502, "not its API")]
#[case::api_time_out(Door::Api, FaultKind::TimeOutMs(5_000), 504, "in time")]
#[case::api_truncated(Door::Api, FaultKind::WorkThenTruncate, 502, "cannot be read")]
#[case::api_throttled(Door::Api, FaultKind::Status(429), 202, "60 seconds")]
#[case::refused_for_ever(Door::Api, FaultKind::Refuse, 502, "access token")]
#[case::not_acceptable(Door::Api, FaultKind::Unprocessable, 422, "Endpoint can't be reached")]
#[case::forbidden(Door::Api, FaultKind::Status(403), 502, "status 403")]
#[tokio::test]
async fn trouble_is_told_and_the_same_call_goes_on(
    #[case] door: Door,
    #[case] kind: FaultKind,
    #[case] status: u16,
    #[case] said: &str,
    #[values(false, true)] is_connected: bool,
) {
    let world = World::new().await;
    let mut state = "connecting";
    if is_connected {
        world.connect().await.expect(200);
        world.revoke_access_tokens().await;
        state = "connected";
    }
    world.fault(Fault::on(door, kind)).await;
    let answer = world.connect().await.expect(status);
    answer.assert_says(said);
    assert_eq!(answer.body["state"], state);
    let shown = world.show("acme").await.expect(200);
    assert_eq!(shown.body["state"], state);
    assert_eq!(shown.body["last_error"]["message"], answer.message());
    shown.assert_explains(answer.message());
    world.clear_faults().await;
    world.pass(61);
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[rstest]
#[case::status(FaultKind::WorkThenStatus(500), 502)]
#[case::time_out(FaultKind::WorkThenTimeOutMs(5_000), 504)]
#[case::truncated(FaultKind::WorkThenTruncate, 502)]
#[tokio::test]
async fn a_webhook_whose_registration_was_not_answered_is_adopted(
    #[case] kind: FaultKind,
    #[case] status: u16,
) {
    let world = World::new().await;
    world.next("POST", kind).await;
    world.connect().await.expect(status);
    let registered = world.webhooks().await;
    assert_eq!(registered.len(), 1);
    world.asked().await;
    world.connect().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks[0].id, registered[0].id);
    world.assert_connected(&webhooks);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
}

#[tokio::test]
async fn a_registration_that_comes_through_late_is_taken_away() {
    let world = World::new().await;
    // The first request is lost, as far as anyone can see, and a second webhook is registered...
    world.next("POST", FaultKind::Status(500)).await;
    world.connect().await.expect(502);
    let late = world.account().unwrap().registrations[0].token;
    world.connect().await.expect(200);
    let ours = world.webhooks().await;
    world.assert_connected(&ours);
    assert!(world.account().unwrap().registration(&late).is_none());
    // ...and then one of ours with a token that was given up turns out to be there.
    world.next("POST", FaultKind::WorkThenStatus(500)).await;
    world.remove_webhook(&ours[0].id).await;
    world.connect().await.expect(502);
    world.next("GET", FaultKind::Status(500)).await;
    world.connect().await.expect(502);
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn credentials_that_were_revoked_are_told() {
    let world = World::connected().await;
    world.revoke_access_tokens().await;
    world.fault(Fault::on(Door::Token, FaultKind::Refuse)).await;
    let answer = world.connect().await.expect(422);
    answer.assert_says("refuses the credentials");
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["last_error"]["message"], answer.message());
}

#[tokio::test]
// requirement: secret-admin
async fn orderspace_s_own_words_are_passed_on_without_the_endpoint() {
    let mut world = World::new().await;
    world.hooks = "http://hooks.example.com/hooks";
    let answer = world.connect().await.expect(422);
    answer.assert_says("Validation failed: Endpoint must be a https url");
    assert!(!answer.message().contains("hooks.example.com"));
    world.hooks = crate::world::HOOKS;
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_wrong_address_is_not_taken_for_a_missing_webhook() {
    let world = World::misconfigured("/elsewhere").await;
    let answer = world.connect().await.expect(502);
    answer.assert_says("status 404 and a page");
    answer.assert_says("addresses");
}

#[tokio::test]
async fn throttled_is_accepted_and_orderspace_is_left_alone_for_a_minute() {
    let world = World::with(|site| site.requests_per_minute = Some(1)).await;
    let answer = world.connect().await.expect(202);
    assert_eq!(answer.retry_after.as_deref(), Some("60"));
    assert_eq!(answer.body["state"], "connecting");
    world.asked().await;
    world.pass(59);
    world.connect().await.expect(202);
    world.disconnect().await.expect(202);
    let mut desired = world.desired(&["*"]);
    desired["client_secret"] = json!("another");
    let answer = world.put("acme", &desired).await.expect(503);
    let left = answer.retry_after.as_deref();
    assert_eq!(left, Some("1"), "what is left of it");
    assert!(world.asked().await.is_empty());
}

#[tokio::test]
async fn a_call_that_takes_too_long_says_so_and_the_next_goes_on() {
    let mut world = World::new().await;
    world.budget = Some(std::time::Duration::from_millis(300));
    world.next("POST", FaultKind::DelayMs(900)).await;
    let answer = world.connect().await.expect(504);
    answer.assert_says("took too long");
    assert_eq!(answer.body["state"], "connecting");
    world.budget = None;
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn attempts_without_end_pile_nothing_up() {
    let world = World::new().await;
    let down = Fault::on(Door::Api, FaultKind::Status(500));
    world.fault(down.method("POST")).await;
    for _ in 0..5 {
        world.connect().await.expect(502);
    }
    let account = world.account().unwrap();
    assert_eq!(account.registrations.len(), 1);
    assert_eq!(account.history.len(), 1, "{:?}", account.history);
    world.clear_faults().await;
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_proxy_s_403_does_not_make_a_disconnect_give_the_webhook_up() {
    let world = World::connected().await;
    world.revoke_access_tokens().await;
    let forbidden = Fault::on(Door::Token, FaultKind::Status(403));
    world.fault(forbidden).await;
    let answer = world.disconnect().await.expect(502);
    assert_eq!(answer.body["state"], "disconnecting");
    world.clear_faults().await;
    world.disconnect().await.expect(200);
    assert!(world.webhooks().await.is_empty());
}

/// Orderspace does not say whether a webhook that it disabled stays in its list.
#[tokio::test]
async fn a_webhook_that_was_disabled_and_hidden_is_replaced_and_its_return_is_no_second_one() {
    let world = World::with(|site| site.hides_disabled = true).await;
    world.connect().await.expect(200);
    let id = world.newest_webhook().await.id;
    world.change_webhook(&id, json!({ "enabled": false })).await;
    world.connect().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    world.change_webhook(&id, json!({ "enabled": true })).await;
    world.connect().await.expect(200);
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_ne!(webhooks[0].id, id);
}

#[tokio::test]
async fn an_account_whose_source_has_no_api_here_says_so() {
    let mut world = World::new().await;
    let apis = std::mem::replace(&mut world.apis, Apis::from_iter([]));
    let answer = world.connect().await.expect(422);
    let said = "this release cannot register webhooks at ";
    assert!(answer.message().starts_with(said), "{}", answer.message());
    world.show("acme").await.expect(404);
    assert_eq!(world.asked().await, [""; 0]);

    world.apis = apis;
    world.connect().await.expect(200);
    world.apis = Apis::from_iter([]);
    let answer = world.check().await.expect(422);
    assert!(answer.message().starts_with(said), "{}", answer.message());
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["last_error"]["message"], answer.message());
    assert_eq!(world.webhooks().await.len(), 1);
}
