//! Showing and listing accounts, and the routes that are no calls.

use domain::timestamp::Timestamp;
use rstest::rstest;
use serde_json::json;

use crate::world::{START, World};

#[tokio::test]
async fn accounts_are_listed_by_name() {
    let world = World::new().await;
    let empty = world
        .call("GET /v1/accounts", json!({}), None)
        .await
        .expect(200);
    assert_eq!(empty.body, json!({ "accounts": [], "unreadable": [] }));
    for name in ["zeta", "acme"] {
        world
            .put(name, &world.desired(&["order.created"]))
            .await
            .expect(200);
    }
    let listed = world
        .call("GET /v1/accounts", json!({}), None)
        .await
        .expect(200);
    let accounts = listed.body["accounts"].as_array().unwrap();
    let names: Vec<_> = accounts
        .iter()
        .map(|account| account["account"].as_str())
        .collect();
    assert_eq!(names, [Some("acme"), Some("zeta")]);
    assert_eq!(accounts[0]["state"], "connected");
    assert!(accounts[0].get("history").is_none());
}

#[rstest]
#[case::today(0, true)]
#[case::yesterday(86_400_000, true)]
#[case::before(2 * 86_400_000, false)]
#[tokio::test]
async fn the_last_delivery_is_shown(#[case] ago: u64, #[case] is_shown: bool) {
    let world = World::new().await;
    world.connect().await.expect(200);
    let at = Timestamp::from_millis(START - ago);
    let delivery = world.deliver("acme", at);
    world.deliver("other", Timestamp::from_millis(START));
    let shown = world.show("acme").await.expect(200);
    let expected = if is_shown {
        json!({ "id": delivery.to_string(), "at": at.to_string(), "proof": "signature" })
    } else {
        json!(null)
    };
    assert_eq!(shown.body["last_delivery"], expected);
    assert_eq!(shown.body["history"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_account_is_not_shown() {
    let world = World::new().await;
    let answer = world.show("acme").await.expect(404);
    assert!(
        answer.message().contains("GET /v1/accounts"),
        "{}",
        answer.message()
    );
    let answer = world.show("A#B").await.expect(400);
    assert_eq!(answer.body["field"], "account");
}

#[rstest]
#[case("POST /v1/accounts/{account}/{action}", json!({"account": "acme", "action": "explode"}), 404)]
#[case("GET /v2/accounts", json!({}), 404)]
#[tokio::test]
async fn what_is_no_call_says_what_is(
    #[case] route: &'static str,
    #[case] parameters: serde_json::Value,
    #[case] status: u16,
) {
    let world = World::new().await;
    let answer = world.call(route, parameters, None).await.expect(status);
    assert!(answer.message().contains("PUT"), "{}", answer.message());
}
