//! The admin API, as an operator and Orderspace meet it.

use std::time::{Duration, Instant};

use e2e::provider::deliver_order;
use e2e::stack::Stack;
use e2e::waiting::until_within;
use e2e::{Operator, World};
use http::Method;
use rstest::rstest;
use serde_json::json;
use simulator::{Door, Fault, FaultKind};

#[tokio::test]
async fn connect_list_show_and_disconnect() {
    let operator = Operator::new().await;
    let desired = operator.desired(&["order.created"]);
    let answer = operator.put_until_done(&desired).await;
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["events"], json!(["order.created"]));

    let webhooks = operator.site.webhooks().await.unwrap();
    assert_eq!(webhooks.len(), 1);
    assert_eq!(webhooks[0].events, ["order.created"]);
    let hooks = operator.stack.output("HooksUrl");
    assert!(webhooks[0].endpoint.starts_with(hooks));
    assert_eq!(answer.body["webhook"], webhooks[0].id.as_str());

    let list = operator.stack.admin(Method::GET, "/accounts", None).await;
    assert_eq!(list.status, 200);
    let mut listed = list.body["accounts"].as_array().unwrap().iter();
    assert!(listed.any(|account| account["account"] == operator.account.as_str()));

    deliver_order(&operator.site, "or_1").await;
    let shown = operator.call(Method::GET, "", None).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.body["state"], "connected");
    let last = &shown.body["last_delivery"];
    assert!(last["id"].is_string(), "{}", shown.body);
    for body in [&answer.body, &list.body, &shown.body] {
        let text = body.to_string();
        let token = webhooks[0].endpoint.rsplit('/').next().unwrap();
        for secret in [operator.secret.as_str(), token, &webhooks[0].signing_key] {
            assert!(!text.contains(secret), "an answer holds a secret");
        }
    }

    let gone = operator.call(Method::DELETE, "", None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(gone.body["state"], "disconnected");
    assert!(operator.site.webhooks().await.unwrap().is_empty());
    let shown = operator.call(Method::GET, "", None).await;
    assert_eq!(shown.body["state"], "disconnected");
}

#[tokio::test]
// requirement: subscription-one
async fn connecting_again_changes_nothing_and_another_selection_is_set() {
    let operator = Operator::new().await;
    let desired = operator.desired(&["order.created"]);
    operator.put_until_done(&desired).await;
    let before = operator.site.webhooks().await.unwrap();
    operator.put_until_done(&desired).await;
    assert_eq!(operator.site.webhooks().await.unwrap(), before);
    let answer = operator.put_until_done(&operator.desired(&["*"])).await;
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 14);
    let after = operator.site.webhooks().await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].events.len(), 14);
    assert_eq!(after[0].id, before[0].id);
}

#[tokio::test]
// requirement: subscription-disconnect
async fn after_disconnecting_deliveries_are_answered_401() {
    let world = World::connected().await;
    let gone = world.call(Method::DELETE, "", None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    let answer = world.post(b"[]").await;
    assert_eq!((answer.status, answer.body.as_str()), (401, "unauthorized"));
    assert!(world.stack.receipts(&world.account).await.is_empty());
}

/// Instances that know the token take deliveries for ten seconds more, and no longer.
#[tokio::test]
// requirement: secret-revoked
async fn a_url_is_refused_ten_seconds_after_its_account_was_disconnected() {
    let world = World::connected().await;
    assert_eq!(world.deliver(b"[]").await.last(), Some(&200));
    let gone = world.call(Method::DELETE, "", None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    // Each instance has read the token at a time of its own, and the last of them just before.
    let begun = Instant::now();
    let patience = Duration::from_secs(30);
    until_within(patience, "ten seconds are over", async || {
        let status = world.post(b"[]").await.status;
        match begun.elapsed().as_secs() {
            ..11 => Err(status.to_string()),
            _ => Ok(()),
        }
    })
    .await;
    for _ in 0..5 {
        assert_eq!(world.post(b"[]").await.status, 401);
    }
}

#[tokio::test]
async fn an_orderspace_that_never_answers_is_told_before_the_gateway_gives_up() {
    let operator = Operator::new().await;
    let outage = Fault::on(Door::Token, FaultKind::TimeOutMs(60_000));
    operator.site.set_faults(&[outage]).await.unwrap();
    let desired = operator.desired(&["*"]);
    let begun = Instant::now();
    let answer = operator.put(&desired).await;
    assert!(
        matches!(answer.status, 502..=504),
        "{} {}",
        answer.status,
        answer.body
    );
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "the gateway's answer and not ours");
    assert!(begun.elapsed().as_secs() < 30);
    operator.site.set_faults(&[]).await.unwrap();
    operator.put_until_done(&desired).await;
    assert_eq!(operator.site.webhooks().await.unwrap().len(), 1);
}

#[rstest]
#[case::list(Method::GET, "/accounts")]
#[case::show(Method::GET, "/accounts/acme")]
#[case::connect(Method::PUT, "/accounts/acme")]
#[case::disconnect(Method::DELETE, "/accounts/acme")]
#[tokio::test]
// requirement: subscription-signed
async fn without_a_signature_nothing_is_allowed(#[case] method: Method, #[case] path: &str) {
    let stack = Stack::here().await;
    let url = format!("{}{path}", stack.output("AdminUrl"));
    let answer = stack.http.request(method, url).body("{}").send().await;
    assert_eq!(answer.unwrap().status(), 403);
}
