//! The life of a webhook at OneStock, which the simulator plays: a site may be unable to list and to remove, and nothing can
//! be changed but a webhook's status.

use domain::signature::Policy;
use domain::source::Source;
use rstest::rstest;
use serde_json::{Value, json};

use crate::each_source::is_proved;
use crate::world::{Answer, World, patch};

const TOPIC: &str = "order_state_changed";

async fn world(settings: Value) -> World {
    World::playing(Source::OneStock, settings).await
}

async fn connect(world: &World) -> Answer {
    world.put("acme", &world.desired(&[TOPIC])).await
}

/// Sets a webhook's status as a person at OneStock does.
async fn set_status(world: &World, id: &str, status: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v2/login", world.simulator.url());
    let site = &world.site;
    let login =
        json!({ "site_id": site.client_id, "user_id": "somebody", "password": site.client_secret });
    let answer = client.post(url).json(&login).send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    let url = format!("{}/v2/webhooks/{id}/status", world.simulator.url());
    let change = json!({ "site_id": site.client_id, "token": token["token"], "status": status });
    let answer = client.patch(url).json(&change).send().await.unwrap();
    assert!(answer.status().is_success());
}

#[tokio::test]
async fn topics_that_no_message_says_are_not_covered_and_the_account_says_so() {
    let world = world(json!({ "list": 200 })).await;
    let ambiguous = world.desired(&[TOPIC, "stock_import_completed"]);
    let refused = world.put("acme", &ambiguous).await.expect(400);
    assert_eq!(refused.body["field"], "events");
    assert!(refused.message().contains("stock_import_completed"));
    let answer = world.put("acme", &world.desired(&["*"])).await.expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 24);
    let explanation = answer.body["explanation"].as_str().unwrap();
    for topic in ["stock_import_completed", "candidates_removed", "rules_over"] {
        assert!(explanation.contains(topic), "{explanation}");
    }
    assert!(!explanation.contains(TOPIC), "{explanation}");
    assert_eq!(world.webhooks().await[0].events.len(), 24);
}

#[rstest]
#[case::listed(json!({ "list": 200, "delete": 200 }))]
#[case::unlisted(json!({}))]
#[tokio::test]
async fn another_selection_takes_another_webhook(#[case] settings: Value) {
    let world = world(settings).await;
    connect(&world).await.expect(200);
    let old = world.webhooks().await.remove(0);
    world.change(&["parcel_state_changed"]).await;
    world.check().await;
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    let new = webhooks.iter().find(|webhook| webhook.id != old.id);
    let new = new.unwrap();
    assert_eq!(new.events, ["parcel_state_changed"]);
    assert!(is_proved(&world, new) && is_proved(&world, &old));
    assert_eq!(world.show("acme").await.body["webhook"], json!(new.id));
}

#[tokio::test]
// requirement: subscription-repair
async fn a_disabled_webhook_is_enabled_again() {
    let world = world(json!({ "list": 200, "delete": 200 })).await;
    connect(&world).await.expect(200);
    let webhook = world.webhooks().await.remove(0);
    world
        .change_webhook(&webhook.id, json!({ "enabled": false }))
        .await;
    let answer = world.check().await.expect(200);
    let [enabled] = &world.webhooks().await[..] else {
        panic!("the same webhook");
    };
    assert!(enabled.enabled && enabled.id == webhook.id);
    assert!(
        !answer.body["explanation"]
            .as_str()
            .unwrap()
            .contains("disabled")
    );
    let history = world.history().join("; ");
    assert!(history.contains("is enabled again"), "{history}");
}

#[tokio::test]
async fn a_paused_webhook_is_left_alone_and_shown() {
    let world = world(json!({ "list": 200 })).await;
    connect(&world).await.expect(200);
    let webhook = world.webhooks().await.remove(0);
    set_status(&world, &webhook.id, "paused").await;
    world.asked().await;
    let answer = world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v2/webhooks -> 200"]);
    let explanation = answer.body["explanation"].as_str().unwrap();
    assert!(
        explanation.contains("is paused at OneStock"),
        "{explanation}"
    );
    set_status(&world, &webhook.id, "enabled").await;
    let answer = world.check().await.expect(200);
    assert!(
        !answer.body["explanation"]
            .as_str()
            .unwrap()
            .contains("paused")
    );
}

#[tokio::test]
async fn an_access_token_that_ended_is_replaced() {
    let world = world(json!({ "list": 200 })).await;
    connect(&world).await.expect(200);
    world.revoke_access_tokens().await;
    world.asked().await;
    world.check().await.expect(200);
    let asked = world.asked().await;
    assert_eq!(asked.last().unwrap(), "GET /v2/webhooks -> 200");
    let is_login = |asked: &&String| *asked == "POST /v2/login -> 200";
    assert_eq!(asked.iter().filter(is_login).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn without_a_list_nothing_is_registered_twice_and_the_account_says_so() {
    let world = world(json!({})).await;
    connect(&world).await.expect(200);
    for _ in 0..2 {
        let answer = world.check().await.expect(200);
        let explanation = answer.body["explanation"].as_str().unwrap();
        assert!(
            explanation.contains("does not list its webhooks"),
            "{explanation}"
        );
    }
    assert_eq!(world.webhooks().await.len(), 1);
    let said = |what: &&String| what.contains("does not list");
    assert_eq!(world.history().iter().filter(said).count(), 1);
}

/// OneStock does not publish the form of its signature, so an operator says when it is required.
#[tokio::test]
async fn what_becomes_of_unproved_deliveries_is_chosen_and_reaches_every_token() {
    let world = world(json!({ "list": 200 })).await;
    world.connect().await.expect(200);
    let policies = |world: &World| -> Vec<Option<Policy>> {
        let entries = world.token_entries();
        entries.into_iter().map(|(_, entry)| entry.policy).collect()
    };
    assert_eq!(policies(&world), [None]);
    for (word, policy) in [("require", Policy::Require), ("observe", Policy::Observe)] {
        let changed = world.try_call(patch(json!({ "proof": word }))).await;
        assert_eq!(changed.unwrap().expect(200).body["proof"], word);
        assert_eq!(policies(&world), [Some(policy)]);
        assert_eq!(world.account().unwrap().policy, Some(policy));
    }
    let mut again = world.desired(&["*"]);
    again["proof"] = json!("require");
    world.put("acme", &again).await.expect(200);
    assert_eq!(policies(&world), [Some(Policy::Require)]);
}

#[tokio::test]
async fn where_every_delivery_has_to_be_proved_there_is_nothing_to_choose() {
    let world = World::new().await;
    let mut desired = world.desired(&["*"]);
    desired["proof"] = json!("require");
    let answer = world.put("acme", &desired).await.expect(400);
    assert!(
        answer.message().contains("\"proof\""),
        "{}",
        answer.message()
    );
}
