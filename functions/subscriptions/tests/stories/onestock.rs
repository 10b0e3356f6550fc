//! The life of a webhook at OneStock, which the simulator plays: a site may be unable to list and to remove, and nothing can
//! be changed but a webhook's status.

use domain::source::Source;
use domain::subscription::{Api, Apis};
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
    let token = webhook.endpoint.rsplit('/').next().unwrap();
    let token: domain::account::UrlToken = token.parse().unwrap();
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
async fn topics_that_no_message_says_are_not_covered_and_the_account_says_so() {
    let world = world(json!({ "list": 200 })).await;
    let ambiguous = desired(&world, &[TOPIC, "stock_import_completed"]);
    let refused = world.put("acme", &ambiguous).await.expect(400);
    assert_eq!(refused.body["field"], "events");
    assert!(refused.message().contains("stock_import_completed"));
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
