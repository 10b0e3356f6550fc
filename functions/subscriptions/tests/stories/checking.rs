//! Checking and changing: what differs at Orderspace is found, repaired, and told.

use domain::account::TokenStatus::{Grace, Live, Retired};
use domain::account::UrlToken;
use domain::subscription::{Condition, Endpoint, RegisteredWebhook, Remedy};
use rstest::rstest;
use serde_json::json;
use simulator::FaultKind;

use crate::world::{HOOKS, World, assert_has, patch};

#[tokio::test]
async fn a_check_of_what_is_as_it_shall_be_costs_one_question_and_no_save() {
    let world = World::connected().await;
    let before = world.account().unwrap();
    world.asked().await;
    let answer = world.check().await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    assert_eq!(world.account().unwrap(), before);
}

#[tokio::test]
// requirement: subscription-repair
async fn a_missing_webhook_is_registered_again() {
    let world = World::connected().await;
    let old = world.lose_webhook().await;
    world.asked().await;
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_ne!(webhooks[0].id, old.id);
    assert_eq!(
        world.asked().await,
        ["GET /v1/webhooks -> 200", "POST /v1/webhooks -> 200"]
    );
    world.assert_noted(&format!("found: webhook {} is missing", old.id));
    world.assert_noted(&format!("connected: webhook {}", webhooks[0].id));
    // Retries of what the old one brought are still taken.
    assert_eq!(world.token_statuses(), [Grace, Live]);
}

#[rstest]
#[case::fewer_events(json!({ "events": ["order.created"] }))]
#[case::other_events(json!({ "events": ["order.created", "order.paid"] }))]
#[tokio::test]
// requirement: subscription-repair
async fn other_events_are_corrected(#[case] change: serde_json::Value) {
    let world = World::connected().await;
    let id = world.webhooks().await[0].id.clone();
    world.change_webhook(&id, change).await;
    world.asked().await;
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_eq!(webhooks[0].id, id);
    let asked = world.asked().await;
    assert_eq!(asked.len(), 3, "listed, corrected, listed again");
    world.assert_noted("found:");
    world.assert_noted("is subscribed to 14");
}

/// Compared as text, each check registered another webhook, and every order came once more.
#[tokio::test]
// requirement: provider-answers
async fn an_endpoint_in_another_spelling_is_the_same() {
    let world = World::connected().await;
    let before = world.account().unwrap();
    *world.shows.lock().unwrap() = |webhook| {
        let endpoint = webhook.endpoint.as_ref().unwrap();
        let spelled = endpoint.expose().replace("https://h", "HTTPS://H") + "/#";
        webhook.endpoint = Some(Endpoint::new(spelled));
    };
    world.asked().await;
    for _ in 0..4 {
        world.check().await.expect(200);
    }
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"; 4]);
    assert_eq!(world.webhooks().await.len(), 1);
    assert_eq!(world.account().unwrap(), before);
}

#[tokio::test]
// requirement: provider-answers
async fn what_the_source_keeps_otherwise_is_asked_for_once() {
    let world = World::connected().await;
    let says_no = |webhook: &mut RegisteredWebhook| {
        webhook.events.retain(|event| event != "order.created");
    };
    *world.shows.lock().unwrap() = says_no;
    world.asked().await;
    world.check().await.expect(409);
    assert_eq!(world.asked().await.len(), 3, "it is asked to correct it");
    for _ in 0..3 {
        let answer = world.check().await.expect(409);
        answer.assert_says("keeps webhook");
        assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
        let shown = world.show("acme").await.expect(200);
        assert_eq!(shown.body["last_error"]["message"], answer.message());
        assert_eq!(shown.body["state"], "connected");
        world.asked().await;
    }
    // Whoever selects events asks for them anew, also for the same.
    world.connect().await.expect(409);
    assert_eq!(world.asked().await.len(), 3);
    let other = world.change(&["order.created", "order.updated"]).await;
    other.expect(409);
    assert_eq!(world.asked().await.len(), 3);
    // It is kept as it shall be, and may differ another time.
    *world.shows.lock().unwrap() = |_| {};
    let shown = world.check().await.expect(200);
    assert_eq!(shown.body["last_error"], json!(null));
    assert!(world.account().unwrap().uncorrected.is_empty());
    *world.shows.lock().unwrap() = says_no;
    world.asked().await;
    world.check().await.expect(409);
    assert_eq!(world.asked().await.len(), 3);
}

/// Taken for what the source keeps otherwise, the second change stayed.
#[tokio::test]
async fn what_somebody_undoes_is_corrected_each_time() {
    let world = World::connected().await;
    let id = world.webhooks().await[0].id.clone();
    for _ in 0..3 {
        let fewer = json!({ "events": ["order.created"] });
        world.change_webhook(&id, fewer).await;
        world.check().await.expect(200);
        world.assert_connected(&world.webhooks().await);
    }
}

/// Remembered one at a time, the two were asked in turn.
#[tokio::test]
async fn two_webhooks_that_are_kept_otherwise_are_each_asked_for_once() {
    let world = World::connected().await;
    world.rotate().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    *world.shows.lock().unwrap() =
        |webhook| webhook.events.retain(|event| event != "order.created");
    world.asked().await;
    world.check().await.expect(409);
    let asked = world.asked().await;
    assert_eq!(asked.len(), 4, "{asked:?}");
    for _ in 0..3 {
        world.check().await.expect(409);
        assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    }
}

/// A webhook without its key would be `connected`, and its deliveries answered with 503 for ever.
#[tokio::test]
async fn a_webhook_without_a_key_is_reported() {
    let world = World::connected().await;
    world.lose_keys();
    *world.shows.lock().unwrap() = |webhook| webhook.key = None;
    let answer = world.check().await.expect(502);
    answer.assert_says("without a signing key");
    *world.shows.lock().unwrap() = |_| {};
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn an_endpoint_at_an_old_address_of_ours_is_corrected() {
    let mut world = World::new().await;
    world.hooks = "https://old.example.com/hooks";
    world.connect().await.expect(200);
    world.hooks = HOOKS;
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
// requirement: subscription-repair
async fn another_key_is_taken_over() {
    let world = World::connected().await;
    let old = world.newest_webhook().await;
    let new_key = json!({ "new_signing_key": true });
    world.change_webhook(&old.id, new_key).await;
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_ne!(webhooks[0].signing_key, old.signing_key);
    world.assert_connected(&webhooks);
    world.assert_noted("another key");
    world.assert_noted("is held");
    assert!(!world.notes().contains(&webhooks[0].signing_key));
}

#[tokio::test]
async fn a_webhook_of_a_retired_token_is_removed() {
    let world = World::connected().await;
    let old = world.lose_webhook().await;
    world.check().await.expect(200);
    world.pass(73 * 3600);
    world.check().await.expect(200);
    assert_eq!(world.token_statuses(), [Live, Retired]);
    world.add_foreign_webhook(&old.endpoint).await;
    assert_eq!(world.webhooks().await.len(), 2);
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_webhook_whose_token_nobody_knows_is_left_for_an_hour() {
    let world = World::connected().await;
    let token = UrlToken::from_random(&[9; 32]);
    let endpoint = format!("{HOOKS}/orderspace/{}", token.expose());
    world.add_foreign_webhook(&endpoint).await;
    for (pass, left) in [(0, 2), (3600, 2), (1, 1)] {
        world.pass(pass);
        world.check().await.expect(200);
        assert_eq!(world.webhooks().await.len(), left);
    }
    world.assert_connected(&world.webhooks().await);
    world.assert_noted("tokens that nobody knows");
    assert!(!world.notes().contains(token.expose()));
    assert_eq!(world.account().unwrap().orphans.len(), 1);
    world.check().await.expect(200);
    assert!(world.account().unwrap().orphans.is_empty());
}

#[rstest]
#[case::elsewhere("https://example.org/orderspace/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
#[case::no_token("https://hooks.example.com/hooks/orderspace/short")]
#[case::beside("https://hooks.example.com/other/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
#[tokio::test]
// requirement: subscription-others
async fn somebody_else_s_webhook_is_never_touched(#[case] endpoint: &str) {
    let world = World::connected().await;
    let foreign = world.add_foreign_webhook(endpoint).await;
    for _ in 0..3 {
        world.pass(4000);
        world.check().await.expect(200);
    }
    let left = world.webhooks().await;
    assert!(left.contains(&foreign));
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn the_selection_is_changed_and_what_is_not_selected_is_shown() {
    let world = World::connected().await;
    let shown = world.show("acme").await.expect(200);
    assert_eq!(shown.body["unselected_events"], json!([]));
    let id = world.webhooks().await[0].id.clone();
    let two = ["order.created", "order.updated"];
    let answer = world.change(&two).await.expect(200);
    assert_eq!(answer.body["events"], json!(two));
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_eq!(webhooks[0].id, id);
    let lacking = answer.body["unselected_events"].as_array().unwrap();
    assert_eq!(lacking.len(), 12);
    assert!(lacking.contains(&json!("order.deleted")));
    world.change(&["*"]).await.expect(200);
    world.assert_connected(&world.webhooks().await);
    assert_eq!(world.webhooks().await[0].events.len(), 14);
}

#[rstest]
#[case::unknown(json!({ "events": ["order.paid"] }), "order.paid")]
#[case::empty(json!({ "events": [] }), "empty")]
#[case::missing(json!({}), "events")]
#[case::another_field(json!({ "events": ["*"], "client_secret": "marker" }), "client_secret")]
#[tokio::test]
async fn a_bad_selection_changes_nothing(#[case] body: serde_json::Value, #[case] said: &str) {
    let world = World::connected().await;
    let before = world.account();
    world.asked().await;
    let answer = world.try_call(patch(body)).await.unwrap().expect(400);
    answer.assert_says(said);
    assert!(!answer.message().contains("marker"));
    assert_eq!(world.account(), before);
    assert!(world.asked().await.is_empty());
}

#[tokio::test]
async fn a_change_that_orderspace_did_not_take_is_made_by_the_next_check() {
    let world = World::connected().await;
    world.next("PUT", FaultKind::Status(500)).await;
    let answer = world.change(&["order.created"]).await.expect(502);
    assert_eq!(answer.body["events"], json!(["order.created"]));
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_eq!(webhooks[0].events, ["order.created"]);
}

#[tokio::test]
async fn what_is_not_connected_is_neither_changed_nor_checked() {
    let world = World::new().await;
    world.change(&["*"]).await.expect(404);
    world.check().await.expect(404);
    world.connect().await.expect(200);
    world.next("DELETE", FaultKind::Status(500)).await;
    world.disconnect().await.expect(502);
    world.change(&["*"]).await.expect(409);
    let answer = world.check().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert!(world.webhooks().await.is_empty());
    world.change(&["*"]).await.expect(409);
    world.asked().await;
    world.check().await.expect(200);
    assert!(world.asked().await.is_empty());
}

#[tokio::test]
async fn a_finding_that_cannot_be_repaired_is_entered_once() {
    let world = World::connected().await;
    world.lose_webhook().await;
    for _ in 0..5 {
        world.next("POST", FaultKind::Status(500)).await;
        world.check().await.expect(502);
    }
    assert_eq!(world.history().len(), 3, "{:?}", world.history());
    world.check().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_check_leaves_a_throttled_orderspace_alone() {
    let world = World::with(|site| site.requests_per_minute = Some(2)).await;
    world.connect().await.expect(200);
    world.check().await.expect(202);
    world.asked().await;
    world.pass(59);
    let answer = world.check().await.expect(202);
    let left = answer.retry_after.as_deref();
    assert_eq!(left, Some("1"), "what is left of it");
    assert!(world.asked().await.is_empty());
}

fn disabled(webhook: &mut RegisteredWebhook) {
    webhook.condition = Condition::Disabled {
        reason: Some("too many failures".to_owned()),
        remedy: Remedy::Enable,
    };
}

#[tokio::test]
async fn a_webhook_is_left_disabled_where_the_api_cannot_enable_it() {
    let world = World::connected().await;
    let history = world.history();
    *world.shows.lock().unwrap() = disabled;
    world.asked().await;
    let answer = world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    let now = world.history();
    assert_eq!(now[..history.len()], history);
    let [said] = &now[history.len()..] else {
        panic!("{now:?}");
    };
    assert_has(said, "is disabled at Orderspace (too many failures)");
    answer.assert_explains("is disabled at Orderspace");
    world.check().await.expect(200);
    assert_eq!(world.history(), now, "it is said once");
}

#[tokio::test]
async fn a_webhook_that_shows_neither_endpoint_nor_key_is_ours_by_its_id_and_keeps_its_key() {
    let world = World::connected().await;
    let (keys, history) = (world.keys(), world.history());
    *world.shows.lock().unwrap() = |webhook| {
        webhook.endpoint = None;
        webhook.key = None;
    };
    world.asked().await;
    world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    assert_eq!((world.keys(), world.history()), (keys, history));
}
