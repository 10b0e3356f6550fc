//! The life of a webhook at OneStock, which the simulator plays: a site may be unable to list and to remove, and nothing can
//! be changed but a webhook's status.

use domain::account::TokenStatus;
use domain::signature::Policy;
use domain::source::Source;
use domain::subscription::Endpoint;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::FaultKind;
use simulator::control::WebhookStatus;

use crate::each_source::is_proved;
use crate::world::{Answer, World, patch, token_of};

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
async fn topics_that_no_message_says_are_not_in_a_star_and_the_account_says_so() {
    let world = world(json!({ "list": 200 })).await;
    let answer = world.put("acme", &world.desired(&["*"])).await.expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 24);
    let explanation = answer.explanation();
    for topic in ["stock_import_completed", "candidates_removed", "rules_over"] {
        assert!(explanation.contains(topic), "{explanation}");
    }
    assert!(!explanation.contains(TOPIC), "{explanation}");
    assert_eq!(world.webhooks().await[0].events.len(), 24);
    assert_eq!(answer.body.get("parts"), None, "there is one webhook");
    let answer = world.change(&["*", "rules_over"]).await.expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 25);
    let explanation = answer.explanation();
    assert!(!explanation.contains(" rules_over"), "{explanation}");
    answer.assert_explains("candidates_removed");
    assert_eq!(world.webhooks().await.len(), 2);
}

/// A standard topic that its messages tell, one that they do not, and one of the site's own.
const THREE: [&str; 3] = [TOPIC, "stock_import_completed", "gift_wrapped@v2"];

const LISTED: &str = r#"{ "list": 200, "delete": 200 }"#;

/// An account with a webhook for each of three topics.
async fn three(settings: &str) -> World {
    let world = world(serde_json::from_str(settings).unwrap()).await;
    world.put("acme", &world.desired(&THREE)).await.expect(200);
    world
}

fn part(webhook: &WebhookStatus) -> String {
    Endpoint::new(webhook.endpoint.as_str()).part().unwrap()
}

/// The webhooks at the source by their parts.
async fn by_part(world: &World) -> Vec<(String, WebhookStatus)> {
    let webhooks = world.webhooks().await.into_iter();
    let mut webhooks: Vec<_> = webhooks.map(|webhook| (part(&webhook), webhook)).collect();
    webhooks.sort_by(|a, b| (&a.0, &a.1.id).cmp(&(&b.0, &b.1.id)));
    webhooks
}

/// There is one webhook for each of three topics, in use and with a key of its own.
async fn assert_three(world: &World) -> Vec<WebhookStatus> {
    let webhooks = by_part(world).await;
    let parts: Vec<&str> = webhooks.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["", "gift_wrapped@v2", "stock_import_completed"]);
    let mut keys = std::collections::BTreeSet::new();
    for (part, webhook) in &webhooks {
        let topic = if part.is_empty() { TOPIC } else { part };
        assert_eq!(webhook.events, [topic]);
        assert!(webhook.enabled && is_proved(world, webhook), "{part}");
        assert!(keys.insert(webhook.signing_key.clone()), "{part}");
        let entry = world.token_entry(&token_of(webhook)).unwrap();
        assert_eq!(entry.status, TokenStatus::Live, "{part}");
        assert_eq!(entry.webhook.unwrap().as_str(), webhook.id, "{part}");
    }
    let account = world.account().unwrap();
    assert_eq!(account.last_error, None);
    webhooks.into_iter().map(|(_, webhook)| webhook).collect()
}

#[rstest]
#[case::listed(LISTED)]
#[case::unlisted("{}")]
#[tokio::test]
// requirement: subscription-one
async fn a_topic_that_no_message_tells_has_a_webhook_whose_url_names_it(#[case] settings: &str) {
    let world = three(settings).await;
    let webhooks = assert_three(&world).await;
    let shown = world.show("acme").await.expect(200).body;
    assert_eq!(shown["state"], "connected");
    assert_eq!(shown["webhook"], json!(webhooks[0].id));
    let parts = shown["parts"].as_array().unwrap();
    assert_eq!(parts[0]["part"], "");
    assert_eq!(parts[1]["part"], "stock_import_completed");
    assert_eq!(parts[1]["webhook"], json!(webhooks[2].id));
    assert_eq!(parts[2]["events"], json!(["gift_wrapped@v2"]));
    for webhook in &webhooks {
        assert!(!shown.to_string().contains(&webhook.signing_key));
        assert!(!shown.to_string().contains(token_of(webhook).expose()));
    }
    // The same again asks once and changes nothing.
    let account = world.account();
    world.asked().await;
    world.check().await.expect(200);
    world.put("acme", &world.desired(&THREE)).await.expect(200);
    assert_eq!(world.account(), account);
    let asked = world.asked().await;
    let is_change = |asked: &&String| !asked.starts_with("GET ") && !asked.contains("/login");
    assert_eq!(asked.iter().filter(is_change).count(), 0, "{asked:?}");
    assert_three(&world).await;
}

#[tokio::test]
// requirement: subscription-repair
async fn the_webhook_of_one_part_is_repaired_and_the_others_are_left() {
    let world = three(LISTED).await;
    let before = assert_three(&world).await;
    world.remove_webhook(&before[2].id).await;
    let disabled = json!({ "enabled": false });
    world.change_webhook(&before[1].id, disabled).await;
    world.check().await.expect(200);
    let after = assert_three(&world).await;
    assert_eq!(after[0].id, before[0].id);
    assert_eq!(after[1].id, before[1].id, "it is enabled again");
    assert_ne!(after[2].id, before[2].id);
    let old = world.status_of(&token_of(&before[2]));
    assert_eq!(old, TokenStatus::Grace);
}

#[tokio::test]
// requirement: subscription-crash
async fn what_the_source_has_against_one_webhook_keeps_no_other_from_being_registered() {
    let world = world(serde_json::from_str(LISTED).unwrap()).await;
    connect(&world).await.expect(200);
    world.next("POST", FaultKind::Unprocessable).await;
    let answer = world.change(&THREE).await.expect(422);
    assert_eq!(world.webhooks().await.len(), 2, "{}", answer.body);
    assert!(world.account().unwrap().last_error.is_some());
    world.check().await.expect(200);
    assert_three(&world).await;
    // And an answer that was lost is found by the URL.
    world.change(&[TOPIC]).await.expect(200);
    world.next("POST", FaultKind::WorkThenStatus(504)).await;
    world.change(&THREE).await;
    world.check().await.expect(200);
    assert_three(&world).await;
}

#[tokio::test]
async fn each_part_rotates_and_its_old_webhook_goes_when_its_new_one_has_delivered() {
    let world = three(LISTED).await;
    let before = assert_three(&world).await;
    let answer = world.rotate().await.expect(200);
    let webhooks = by_part(&world).await;
    assert_eq!(webhooks.len(), 6, "{}", answer.body);
    for (part, webhook) in &webhooks {
        assert!(is_proved(&world, webhook), "{part}");
        let status = world.status_of(&token_of(webhook));
        assert!(status.takes_deliveries(), "{part}");
    }
    let is_old = |webhook: &WebhookStatus| before.iter().any(|old| old.id == webhook.id);
    let news: Vec<_> = webhooks.iter().filter(|(_, new)| !is_old(new)).collect();
    let parts: Vec<&str> = news.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["", "gift_wrapped@v2", "stock_import_completed"]);
    // The same call goes on with it, and begins no other.
    world.rotate().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 6);

    world.pass(3600);
    world.deliver_by(&news[1].1.id);
    world.check().await.expect(200);
    let left = world.webhooks().await;
    assert_eq!(left.len(), 5);
    assert!(!left.iter().any(|webhook| webhook.id == before[1].id));
    let gone = world.status_of(&token_of(&before[1]));
    assert_eq!(gone, TokenStatus::Grace, "retries are taken");

    // The others wait for theirs, as long as a rotation lasts.
    world.pass(24 * 3600);
    world.check().await.expect(200);
    let after = assert_three(&world).await;
    assert!(!after.iter().any(is_old));
    assert!(world.show("acme").await.body["rotation"].is_null());
}

#[rstest]
#[case::listed(LISTED, true)]
#[case::unlisted("{}", false)]
#[tokio::test]
async fn what_is_no_longer_selected_goes_with_its_webhook_and_may_come_again(
    #[case] settings: &str,
    #[case] is_removed: bool,
) {
    let world = three(settings).await;
    let before = assert_three(&world).await;
    let answer = world.change(&[TOPIC, "gift_wrapped@v2"]).await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    let is_there = |webhooks: &[WebhookStatus], id: &str| {
        let mut webhooks = webhooks.iter();
        webhooks.any(|webhook| webhook.id == id)
    };
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), if is_removed { 2 } else { 3 });
    assert!(is_there(&webhooks, &before[0].id) && is_there(&webhooks, &before[1].id));
    assert_eq!(is_there(&webhooks, &before[2].id), !is_removed);
    let paused = format!("PATCH /v2/webhooks/{}/status -> 200", before[2].id);
    assert!(world.asked().await.contains(&paused) || is_removed);
    let status = |webhook| world.status_of(&token_of(webhook));
    assert_eq!(status(&before[2]), TokenStatus::Grace);
    assert_eq!(status(&before[0]), TokenStatus::Live);
    world.assert_noted("is selected any more");

    world.change(&THREE).await.expect(200);
    let again = world.webhooks().await.into_iter();
    let again: Vec<_> = again.filter(|webhook| webhook.id != before[2].id).collect();
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|webhook| is_proved(&world, webhook)));
    world.pass(72 * 3600 + 1);
    world.check().await.expect(200);
    assert_eq!(status(&before[2]), TokenStatus::Retired);
}

#[tokio::test]
async fn only_parts_may_be_selected() {
    let world = world(serde_json::from_str(LISTED).unwrap()).await;
    let events = ["stock_import_completed", "candidates_added"];
    world.put("acme", &world.desired(&events)).await.expect(200);
    let webhooks = by_part(&world).await;
    let parts: Vec<&str> = webhooks.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["candidates_added", "stock_import_completed"]);
    let shown = world.show("acme").await.body;
    assert_eq!(shown["state"], "connected");
    assert!(shown["webhook"].is_string());
}

#[rstest]
#[case::removed(LISTED, true)]
#[case::only_stopped("{}", false)]
#[tokio::test]
// requirement: subscription-disconnect
async fn all_parts_are_disconnected(#[case] settings: &str, #[case] is_removed: bool) {
    let world = three(settings).await;
    world.rotate().await.expect(200);
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), if is_removed { 0 } else { 6 });
    let asked = world.asked().await;
    for webhook in &webhooks {
        let paused = format!("PATCH /v2/webhooks/{}/status -> 200", webhook.id);
        assert!(asked.contains(&paused), "{asked:?}");
    }
    assert_eq!(world.token_statuses(), [TokenStatus::Retired; 6]);
    assert!(world.signing_keys().registrations().is_empty());
}

#[tokio::test]
async fn the_parts_of_an_account_that_is_lost_are_known_by_their_urls() {
    let world = three(LISTED).await;
    let before = assert_three(&world).await;
    let ids = |webhooks: &[WebhookStatus]| -> Vec<String> {
        webhooks.iter().map(|webhook| webhook.id.clone()).collect()
    };
    world.lose_account("acme");
    world.put("acme", &world.desired(&THREE)).await.expect(200);
    assert_eq!(ids(&assert_three(&world).await), ids(&before));
}

#[tokio::test]
async fn an_account_has_all_standard_topics_and_some_of_the_site_s_own() {
    let world = world(serde_json::from_str(LISTED).unwrap()).await;
    let types = sources::facts(Source::OneStock).types;
    let mut all: Vec<&str> = types.iter().map(|row| row.name).collect();
    all.push("gift_wrapped");
    // Each registration takes its time, so a call may end before all are there: the checks go on.
    world.put("acme", &world.desired(&all)).await;
    for _ in 0..10 {
        if world.webhooks().await.len() == 31 {
            break;
        }
        world.check().await;
    }
    world.check().await.expect(200);
    let webhooks = by_part(&world).await;
    assert_eq!(webhooks.len(), 31);
    let topics = webhooks.iter().map(|(_, webhook)| webhook.events.len());
    assert_eq!(topics.sum::<usize>(), 54);
    // More tokens than one transaction takes.
    for _ in 0..2 {
        world.rotate().await;
        for _ in 0..10 {
            world.check().await;
        }
        world.pass(24 * 3600 + 1);
        for _ in 0..10 {
            world.check().await;
        }
    }
    let count = world.account().unwrap().registrations.len();
    assert!(count > 90, "{count}");
    for _ in 0..10 {
        let answer = world.disconnect().await;
        if answer.body["state"] == "disconnected" {
            break;
        }
    }
    assert!(world.webhooks().await.is_empty());
    let retired = vec![TokenStatus::Retired; count];
    assert_eq!(world.token_statuses(), retired);
}

#[rstest]
#[case::listed(json!({ "list": 200, "delete": 200 }))]
#[case::unlisted(json!({}))]
#[tokio::test]
async fn another_selection_takes_another_webhook(#[case] settings: Value) {
    let world = world(settings).await;
    connect(&world).await.expect(200);
    let old = world.newest_webhook().await;
    world.change(&["parcel_state_changed"]).await;
    world.check().await;
    assert_eq!(world.webhooks().await.len(), 2);
    let new = world.webhook_beside(&old).await;
    assert_eq!(new.events, ["parcel_state_changed"]);
    assert!(is_proved(&world, &new) && is_proved(&world, &old));
    assert_eq!(world.show("acme").await.body["webhook"], json!(new.id));
}

#[tokio::test]
// requirement: subscription-repair
async fn a_disabled_webhook_is_enabled_again() {
    let world = world(json!({ "list": 200, "delete": 200 })).await;
    connect(&world).await.expect(200);
    let webhook = world.newest_webhook().await;
    let disabled = json!({ "enabled": false });
    world.change_webhook(&webhook.id, disabled).await;
    let answer = world.check().await.expect(200);
    let enabled = world.only_webhook().await;
    assert!(enabled.enabled && enabled.id == webhook.id);
    assert!(!answer.explanation().contains("disabled"));
    world.assert_noted("is enabled again");
}

#[tokio::test]
async fn a_paused_webhook_is_left_alone_and_shown() {
    let world = world(json!({ "list": 200 })).await;
    connect(&world).await.expect(200);
    let webhook = world.newest_webhook().await;
    set_status(&world, &webhook.id, "paused").await;
    world.asked().await;
    let answer = world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v2/webhooks -> 200"]);
    answer.assert_explains("is paused at OneStock");
    set_status(&world, &webhook.id, "enabled").await;
    let answer = world.check().await.expect(200);
    assert!(!answer.explanation().contains("paused"));
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
        answer.assert_explains("does not list its webhooks");
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
    answer.assert_says("\"proof\"");
}
