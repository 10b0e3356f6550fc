//! Showing and listing accounts, and the routes that are no calls.

use domain::timestamp::Timestamp;
use rstest::rstest;
use serde_json::json;

use crate::world::{START, World, gateway_event};

#[tokio::test]
async fn accounts_are_listed_by_name() {
    let world = World::new().await;
    let empty = json!({ "accounts": [], "unreadable": [] });
    assert_eq!(world.list().await, empty);
    for name in ["zeta", "acme"] {
        world.connect_too(name, &["order.created"]).await;
    }
    let listed = world.list().await;
    let accounts = listed["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0]["account"], "acme");
    assert_eq!(accounts[1]["account"], "zeta");
    assert_eq!(accounts[0]["state"], "connected");
    assert!(accounts[0].get("history").is_none());
}

/// An entry has the ARN that the gateway names, and nothing else of the identity.
#[rstest]
#[case::a_user(json!({ "iam": { "userArn": "arn:aws:iam::111122223333:user/ops", "accessKey": "AKIDEXAMPLE" } }), Some("arn:aws:iam::111122223333:user/ops"))]
#[case::a_role(json!({ "iam": { "userArn": "arn:aws:sts::111122223333:assumed-role/Admin/ops@example.com" } }), Some("arn:aws:sts::111122223333:assumed-role/Admin/ops@example.com"))]
#[case::no_arn(json!({ "iam": { "userArn": "ops" } }), None)]
#[case::nobody(json!({ "iam": {} }), None)]
#[case::null(json!(null), None)]
#[tokio::test]
async fn the_history_names_whoever_called_for_it(
    #[case] authorizer: serde_json::Value,
    #[case] by: Option<&str>,
) {
    let world = World::new().await;
    let body = world.desired(&["*"]).to_string();
    let parameters = json!({ "account": "acme" });
    let mut event = gateway_event("PUT /v1/accounts/{account}", &parameters, Some(body));
    event["requestContext"]["authorizer"] = authorizer;
    let answer = world.invoke(event).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let shown = world.show("acme").await.expect(200);
    let history = shown.body["history"].as_array().unwrap().clone();
    assert!(!history.is_empty());
    for entry in &history {
        assert_eq!(entry.get("by").and_then(|by| by.as_str()), by, "{entry}");
        assert!(!entry.to_string().contains("AKIDEXAMPLE"), "{entry}");
    }
    // What a check does, nobody called for.
    world.lose_webhook().await;
    world.invoke(json!({ "schedule": "check" })).await.unwrap();
    world.work_off_checks().await;
    let shown = world.show("acme").await.expect(200);
    let after = shown.body["history"].as_array().unwrap();
    assert!(after.len() > history.len());
    for entry in after.iter().skip(history.len()) {
        assert_eq!(entry.get("by"), None, "{entry}");
    }
}

#[rstest]
#[case::today(0, true)]
#[case::yesterday(86_400_000, true)]
#[case::before(2 * 86_400_000, false)]
#[tokio::test]
async fn the_last_delivery_is_shown(#[case] ago: u64, #[case] is_shown: bool) {
    let world = World::connected().await;
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
    answer.assert_says("GET /v1/accounts");
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
    answer.assert_says("PUT");
}
