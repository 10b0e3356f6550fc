//! Connecting, once and again.

use rstest::rstest;
use serde_json::json;
use simulator::control::NewSite;

use crate::world::{HOOKS, World, assert_has};

#[tokio::test]
// requirement: subscription-one
async fn the_first_connect_registers_one_webhook() {
    let world = World::new().await;
    let answer = world.connect().await.expect(200);
    let webhooks = world.webhooks().await;
    world.assert_connected(&webhooks);
    assert_eq!(answer.body["account"], "acme");
    assert_eq!(answer.body["source"], "orderspace");
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["webhook"], webhooks[0].id);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 14);
    assert_eq!(answer.body["created"], "2026-11-20T12:00:00.000Z");
    assert_eq!(answer.body["last_error"], json!(null));
    let history = answer.body["history"].as_array().unwrap();
    assert_has(history[0]["message"].as_str().unwrap(), &webhooks[0].id);
    assert_eq!(
        world.asked().await,
        [
            "POST /oauth/token -> 200",
            "GET /v1/webhooks -> 200",
            "POST /v1/webhooks -> 200"
        ]
    );
}

#[tokio::test]
// requirement: subscription-one
async fn the_same_call_again_changes_nothing() {
    let world = World::new().await;
    let first = world.connect().await.expect(200);
    let (account, saves) = (world.account(), world.saves());
    let puts = world.secrets.puts();
    world.asked().await;
    world.pass(600);
    let second = world.connect().await.expect(200);
    assert_eq!(second.body, first.body);
    assert_eq!(world.account(), account);
    assert_eq!(world.saves(), saves);
    assert_eq!(world.secrets.puts(), puts);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
// requirement: subscription-lease
async fn of_two_calls_at_once_one_is_told_to_come_again() {
    let world = World::new().await;
    let (one, other) = tokio::join!(world.connect(), world.connect());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let refused = if one.status == 409 { one } else { other };
    refused.assert_says("another call");
    assert_eq!(refused.retry_after.as_deref(), Some("5"));
    world.assert_connected(&world.webhooks().await);
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
// requirement: subscription-others
async fn webhooks_of_others_are_left_alone() {
    let world = World::new().await;
    for endpoint in [
        "https://example.org/their-hook".to_owned(),
        format!("{HOOKS}/orderspace/x"),
        format!("{HOOKS}/orderspace/{}", "A".repeat(43)),
    ] {
        world.add_foreign_webhook(&endpoint).await;
    }
    let foreign = world.webhooks().await;
    assert_eq!(foreign.len(), 3);
    world.connect().await.expect(200);
    world.connect().await.expect(200);
    world.disconnect().await.expect(200);
    assert_eq!(world.webhooks().await, foreign);
}

#[tokio::test]
async fn a_webhook_of_another_account_at_the_same_site_is_left_alone() {
    let world = World::new().await;
    world.connect_too("other", &["order.created"]).await;
    let other = world.webhooks().await;
    world.connect().await.expect(200);
    world.connect().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    world.disconnect().await.expect(200);
    assert_eq!(world.webhooks().await, other);
}

#[tokio::test]
async fn a_webhook_that_somebody_pointed_elsewhere_is_theirs_now() {
    let world = World::connected().await;
    let before = world.webhooks().await;
    let change = json!({ "endpoint": "https://example.org/theirs" });
    world.change_webhook(&before[0].id, change).await;
    world.connect().await.expect(200);
    let after = world.webhooks().await;
    assert_eq!(after.len(), 2);
    world.assert_connected(&after);
}

#[tokio::test]
async fn an_expired_access_token_is_renewed_before_and_a_revoked_one_after_its_refusal() {
    let world = World::connected().await;
    world.asked().await;
    world.pass(26 * 60);
    world.connect().await.expect(200);
    assert_eq!(
        world.asked().await,
        ["POST /oauth/token -> 200", "GET /v1/webhooks -> 200"]
    );
    // Orderspace's clock is ahead, so it refuses what we think is good: 401 with an empty body.
    world.advance_orderspace(31 * 60 * 1000).await;
    world.connect().await.expect(200);
    assert_eq!(
        world.asked().await,
        [
            "GET /v1/webhooks -> 401",
            "POST /oauth/token -> 200",
            "GET /v1/webhooks -> 200"
        ]
    );
    // The renewed token is kept for the next call.
    world.connect().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
    world.revoke_access_tokens().await;
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn other_credentials_of_the_same_site_replace_the_kept_ones_and_those_of_another_site_do_not()
{
    let world = World::connected().await;
    let before = world.account();
    let other = world.simulator.create_site(NewSite::default()).unwrap();
    let mut desired = world.desired(&["*"]);
    desired["client_id"] = json!(other.client_id);
    desired["client_secret"] = json!(other.client_secret);
    let answer = world.put("acme", &desired).await.expect(409);
    answer.assert_says("disconnect it first");
    assert_eq!(world.account(), before);
    assert_eq!(world.oauth().unwrap().client_id, world.site.client_id);
    // After a disconnect the name is free for the other site.
    world.disconnect().await.expect(200);
    world.put("acme", &desired).await.expect(200);
    assert_eq!(world.oauth().unwrap().client_id, other.client_id);
    assert!(world.webhooks().await.is_empty());
}

#[rstest]
#[case::bad_name("Acme", json!({}), "account")]
#[case::unknown_source("acme", json!({"source": "shopify"}), "source")]
#[case::no_events("acme", json!({"events": []}), "events")]
#[case::unknown_event("acme", json!({"events": ["order.paid"]}), "events")]
#[case::secret_of_another_type("acme", json!({"client_secret": 7}), "client_secret")]
#[tokio::test]
async fn a_malformed_request_is_refused_before_anything_happens(
    #[case] account: &str,
    #[case] change: serde_json::Value,
    #[case] field: &str,
) {
    let world = World::new().await;
    let mut desired = world.desired(&["*"]);
    for (name, value) in change.as_object().unwrap() {
        desired[name] = value.clone();
    }
    let answer = world.put(account, &desired).await.expect(400);
    assert_eq!(answer.body["field"], field);
    assert!(!answer.message().is_empty());
    assert!(world.asked().await.is_empty());
    assert_eq!(world.account(), None);
}
