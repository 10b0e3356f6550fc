//! The life of a webhook at OneStock, which the simulator plays: a site may be unable to list and to remove, and nothing can
//! be changed but a webhook's status.

use domain::account::{TokenStatus, UrlToken};
use domain::source::Source;
use domain::subscription::{Api, Apis, Endpoint};
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{NewSite, WebhookStatus};
use simulator::{FaultKind, Simulator};
use sources::http::HttpClient;
use sources::onestock::api::OneStock;

use crate::world::{Answer, World};

const TOPIC: &str = "order_state_changed";

async fn world(settings: Value) -> World {
    let mut world = World::new().await;
    let simulator = Simulator::start_as(simulator::Source::Onestock, 0);
    world.simulator = simulator.await.unwrap();
    let site = NewSite {
        settings,
        ..NewSite::default()
    };
    world.site = world.simulator.create_site(site).unwrap();
    let second = std::time::Duration::from_secs(1);
    let client = HttpClient::with_timeouts("OneStock", second, second).unwrap();
    let stand_in = format!("{}/v2", world.simulator.url());
    let api: Box<dyn Api> = Box::new(OneStock::new(client, Some(stand_in)));
    world.apis = Apis::from_iter([(Source::OneStock, api)]);
    world
}

fn desired(world: &World, events: &[&str]) -> Value {
    json!({
        "source": "onestock",
        "api_url": "https://api.example.com/v2",
        "site_id": world.site.client_id,
        "user_id": "ops",
        "password": world.site.client_secret,
        "events": events,
    })
}

async fn connect(world: &World) -> Answer {
    world.put("acme", &desired(world, &[TOPIC])).await
}

/// Whether the key that a webhook signs with is the one that is held for its registration.
fn is_key_held(world: &World, webhook: &WebhookStatus) -> bool {
    let token = Endpoint::new(webhook.endpoint.as_str()).token().unwrap();
    let keys = world.signing_keys();
    let held = keys.registrations().get(&token.hash());
    held.is_some_and(|held| {
        let mut macs = held.secrets.macs.iter();
        macs.any(|key| key.expose() == webhook.signing_key)
    })
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

#[rstest]
#[case::listed(json!({ "list": 200, "delete": 200 }))]
#[case::id_below(json!({ "id_in": "webhook" }))]
#[case::id_in_location(json!({ "id_in": "location", "list": 405 }))]
#[case::id_nowhere_but_in_the_list(json!({ "id_in": "nowhere", "list": 200 }))]
#[case::id_nowhere(json!({ "id_in": "nowhere", "list": 501 }))]
#[tokio::test]
// requirement: subscription-one
async fn connected_once_with_a_key_of_ours(#[case] settings: Value) {
    let world = world(settings.clone()).await;
    let answer = connect(&world).await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    for _ in 0..3 {
        world.check().await.expect(200);
    }
    let [webhook] = &world.webhooks().await[..] else {
        panic!("one webhook");
    };
    assert_eq!(webhook.events, [TOPIC]);
    assert_eq!(webhook.signing_key.len(), 43);
    assert!(is_key_held(&world, webhook));
    assert!(!answer.body.to_string().contains(&webhook.signing_key));
    let shown = world.show("acme").await.body;
    let is_named = settings["id_in"] != "nowhere" || settings["list"] == 200;
    let id = shown["webhook"].as_str().unwrap();
    assert_eq!(id == webhook.id, is_named, "{id}");
    assert_eq!(id.starts_with("unnamed-"), !is_named, "{id}");
}

#[tokio::test]
// requirement: subscription-crash
async fn a_registration_whose_answer_was_lost_is_found_with_its_key() {
    let world = world(json!({ "list": 200 })).await;
    world.next("POST", FaultKind::WorkThenStatus(504)).await;
    let answer = connect(&world).await;
    assert!(answer.status >= 500, "{}", answer.body);
    world.check().await.expect(200);
    let [webhook] = &world.webhooks().await[..] else {
        panic!("one webhook");
    };
    assert!(is_key_held(&world, webhook));
}

#[tokio::test]
async fn topics_that_no_message_says_are_not_in_a_star_and_the_account_says_so() {
    let world = world(json!({ "list": 200 })).await;
    let answer = world
        .put("acme", &desired(&world, &["*"]))
        .await
        .expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 24);
    let explanation = answer.body["explanation"].as_str().unwrap();
    for topic in ["stock_import_completed", "candidates_removed", "rules_over"] {
        assert!(explanation.contains(topic), "{explanation}");
    }
    assert!(!explanation.contains(TOPIC), "{explanation}");
    assert_eq!(world.webhooks().await[0].events.len(), 24);
    assert_eq!(answer.body.get("parts"), None, "there is one webhook");
    let answer = world.change(&["*", "rules_over"]).await.expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 25);
    let explanation = answer.body["explanation"].as_str().unwrap();
    assert!(!explanation.contains(" rules_over"), "{explanation}");
    assert!(explanation.contains("candidates_removed"), "{explanation}");
    assert_eq!(world.webhooks().await.len(), 2);
}

/// A standard topic that its messages tell, one that they do not, and one of the site's own.
const THREE: [&str; 3] = [TOPIC, "stock_import_completed", "gift_wrapped@v2"];

const LISTED: &str = r#"{ "list": 200, "delete": 200 }"#;

/// An account with a webhook for each of three topics.
async fn three(settings: &str) -> World {
    let world = world(serde_json::from_str(settings).unwrap()).await;
    world
        .put("acme", &desired(&world, &THREE))
        .await
        .expect(200);
    world
}

fn part(webhook: &WebhookStatus) -> String {
    Endpoint::new(webhook.endpoint.as_str()).part().unwrap()
}

fn token(webhook: &WebhookStatus) -> UrlToken {
    Endpoint::new(webhook.endpoint.as_str()).token().unwrap()
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
        assert!(webhook.enabled && is_key_held(world, webhook), "{part}");
        assert!(keys.insert(webhook.signing_key.clone()), "{part}");
        let entry = world.token_entry(&token(webhook)).unwrap();
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
        assert!(!shown.to_string().contains(token(webhook).expose()));
    }
    // The same again asks once and changes nothing.
    let account = world.account();
    world.asked().await;
    world.check().await.expect(200);
    world
        .put("acme", &desired(&world, &THREE))
        .await
        .expect(200);
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
    world
        .change_webhook(&before[1].id, json!({ "enabled": false }))
        .await;
    world.check().await.expect(200);
    let after = assert_three(&world).await;
    assert_eq!(after[0].id, before[0].id);
    assert_eq!(after[1].id, before[1].id, "it is enabled again");
    assert_ne!(after[2].id, before[2].id);
    let old = world.token_entry(&token(&before[2])).unwrap();
    assert_eq!(old.status, TokenStatus::Grace);
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
        assert!(is_key_held(&world, webhook), "{part}");
        let entry = world.token_entry(&token(webhook)).unwrap();
        assert!(entry.status.takes_deliveries(), "{part}");
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
    let gone = world.token_entry(&token(&before[1])).unwrap();
    assert_eq!(gone.status, TokenStatus::Grace, "retries are taken");

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
    let status = |webhook| world.token_entry(&token(webhook)).unwrap().status;
    assert_eq!(status(&before[2]), TokenStatus::Grace);
    assert_eq!(status(&before[0]), TokenStatus::Live);
    let history = world.history().join("; ");
    assert!(history.contains("is selected any more"), "{history}");

    world.change(&THREE).await.expect(200);
    let again = world.webhooks().await.into_iter();
    let again: Vec<_> = again.filter(|webhook| webhook.id != before[2].id).collect();
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|webhook| is_key_held(&world, webhook)));
    world.pass(72 * 3600 + 1);
    world.check().await.expect(200);
    assert_eq!(status(&before[2]), TokenStatus::Retired);
}

#[tokio::test]
async fn only_parts_may_be_selected() {
    let world = world(serde_json::from_str(LISTED).unwrap()).await;
    let events = ["stock_import_completed", "candidates_added"];
    world
        .put("acme", &desired(&world, &events))
        .await
        .expect(200);
    let parts: Vec<_> = by_part(&world)
        .await
        .into_iter()
        .map(|(part, _)| part)
        .collect();
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
    world
        .put("acme", &desired(&world, &THREE))
        .await
        .expect(200);
    assert_eq!(ids(&assert_three(&world).await), ids(&before));
}

#[tokio::test]
async fn an_account_has_all_standard_topics_and_some_of_the_site_s_own() {
    let world = world(serde_json::from_str(LISTED).unwrap()).await;
    let types = sources::facts(Source::OneStock).types;
    let mut all: Vec<&str> = types.iter().map(|row| row.name).collect();
    all.push("gift_wrapped");
    // Each registration takes its time, so a call may end before all are there: the checks go on.
    world.put("acme", &desired(&world, &all)).await;
    for _ in 0..10 {
        if world.webhooks().await.len() == 31 {
            break;
        }
        world.check().await;
    }
    world.check().await.expect(200);
    let webhooks = by_part(&world).await;
    assert_eq!(webhooks.len(), 31);
    let topics: usize = webhooks
        .iter()
        .map(|(_, webhook)| webhook.events.len())
        .sum();
    assert_eq!(topics, 54);
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
    let statuses = world.token_statuses();
    assert!(
        statuses
            .iter()
            .all(|status| *status == TokenStatus::Retired)
    );
    assert_eq!(statuses.len(), count);
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
    assert!(is_key_held(&world, new) && is_key_held(&world, &old));
    assert_eq!(world.show("acme").await.body["webhook"], json!(new.id));
}

#[tokio::test]
// requirement: subscription-repair
async fn a_missing_webhook_is_registered_again_and_a_disabled_one_enabled() {
    let world = world(json!({ "list": 200, "delete": 200 })).await;
    connect(&world).await.expect(200);
    let gone = world.webhooks().await.remove(0);
    world.remove_webhook(&gone.id).await;
    world.check().await.expect(200);
    let webhook = world.webhooks().await.remove(0);
    assert_ne!(webhook.id, gone.id);
    assert!(is_key_held(&world, &webhook));
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

#[rstest]
#[case::removed(json!({ "list": 200, "delete": 200 }), true)]
#[case::only_stopped(json!({}), false)]
#[tokio::test]
// requirement: subscription-disconnect
async fn rotated_and_disconnected(#[case] settings: Value, #[case] is_removed: bool) {
    let world = world(settings).await;
    connect(&world).await.expect(200);
    let old = world.webhooks().await.remove(0);
    world.rotate().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    let new = webhooks.iter().find(|webhook| webhook.id != old.id);
    let new = new.unwrap();
    assert!(is_key_held(&world, new) && is_key_held(&world, &old));
    assert_ne!(new.signing_key, old.signing_key);
    world.pass(3600);
    world.deliver_by(&new.id);
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), if is_removed { 1 } else { 2 });
    world.asked().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    if is_removed {
        assert!(world.webhooks().await.is_empty());
        return;
    }
    let paused = format!("PATCH /v2/webhooks/{}/status -> 200", new.id);
    assert!(world.asked().await.contains(&paused));
    let left = answer.body["last_error"]["message"].as_str().unwrap();
    assert!(left.contains(&new.id) && left.contains("by hand"), "{left}");
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

#[rstest]
#[case::wrong_password("password", "marker", 422, "password")]
#[case::address_inside("api_url", "https://marker.internal", 400, "api_url")]
#[case::address_in_the_clear("api_url", "http://marker.example.com", 400, "api_url")]
#[tokio::test]
async fn wrong_credentials_are_named_by_their_fields(
    #[case] field: &str,
    #[case] value: &str,
    #[case] status: u16,
    #[case] said: &str,
) {
    let world = world(json!({})).await;
    let mut wanted = desired(&world, &["*"]);
    wanted[field] = json!(value);
    let answer = world.put("acme", &wanted).await.expect(status);
    assert!(answer.message().contains(said), "{}", answer.message());
    assert!(!answer.message().contains("marker"), "{}", answer.message());
    assert!(world.webhooks().await.is_empty());
}
