//! Apideck: its key is a credential, it calls our URL while it creates a webhook, and it shows what it disabled.

use std::sync::atomic::Ordering;

use domain::signature::MacKey;
use domain::source::Source;
use domain::subscription::State;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::WebhookStatus;

use crate::world::{Answer, Greeting, World, token_of};

const TYPES: [&str; 9] = [
    "ecommerce.order.created",
    "ecommerce.order.updated",
    "ecommerce.order.deleted",
    "ecommerce.product.created",
    "ecommerce.product.updated",
    "ecommerce.product.deleted",
    "ecommerce.customer.created",
    "ecommerce.customer.updated",
    "ecommerce.customer.deleted",
];

async fn playing() -> World {
    let settings = json!({ "further_keys": ["second", "third"] });
    World::playing(Source::Apideck, settings).await
}

async fn connected() -> (World, String) {
    let world = playing().await;
    world.connect().await.expect(200);
    let id = world.newest_webhook().await.id;
    (world, id)
}

async fn put(world: &World, key: &str, events: &[&str]) -> Answer {
    let mut desired = world.desired(events);
    desired["api_key"] = json!(key);
    world.put("acme", &desired).await
}

/// The keys that are held for the account's only webhook.
async fn keys(world: &World) -> Vec<String> {
    world.macs_of(&token_of(&world.newest_webhook().await))
}

/// Shows a webhook as disabled for this reason.
async fn disable(world: &World, id: &str, reason: &str) {
    let change = json!({ "enabled": false, "details": { "disabled_reason": reason } });
    world.change_webhook(id, change).await;
}

/// One enabled webhook is there, it is the account's, and its key is held.
async fn assert_connected(world: &World) {
    let webhook = world.only_webhook().await;
    assert!(webhook.enabled);
    let account = world.account().unwrap();
    assert_eq!(account.state(), State::Connected);
    assert_eq!(account.last_error, None);
    assert!(account.events.is(&webhook.events), "{:?}", webhook.events);
    assert_eq!(keys(world).await, [world.site.client_secret.as_str()]);
}

/// A webhook is for one unified API, so that of connections has one of its own, with the same key.
#[tokio::test]
// requirement: subscription-one
async fn each_unified_api_has_a_webhook_with_a_life_of_its_own() {
    let world = playing().await;
    let key = world.site.client_secret.clone();
    let vault = "vault.connection.updated";
    let answer = put(&world, &key, &["*", vault]).await.expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 10);
    let greetings = std::mem::take(&mut *world.greetings());
    assert_eq!(greetings.len(), 2);
    for greeting in greetings {
        assert!(greeting.takes_deliveries);
        assert_eq!(greeting.keys, [key.as_str()]);
    }
    let of = |webhooks: &[WebhookStatus], api: &str| {
        let mut webhooks = webhooks.iter();
        let of = webhooks.find(|webhook| webhook.details["unified_api"] == api);
        of.cloned().unwrap()
    };
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    let (shop, connections) = (of(&webhooks, "ecommerce"), of(&webhooks, "vault"));
    assert_eq!(shop.events, TYPES);
    assert_eq!(connections.events, [vault]);
    assert!(shop.endpoint.ends_with(token_of(&shop).expose()));
    assert!(connections.endpoint.ends_with("/vault"));
    assert_ne!(token_of(&shop).hash(), token_of(&connections).hash());
    assert_eq!(answer.body["webhook"], json!(shop.id));
    assert_eq!(answer.body["parts"][1]["part"], "vault");
    assert_eq!(answer.body["parts"][1]["webhook"], json!(connections.id));

    // Disabled and corrected for itself.
    disable(&world, &connections.id, "retry_limit").await;
    let fewer = json!({ "events": ["ecommerce.order.created"] });
    world.change_webhook(&shop.id, fewer).await;
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    assert!(webhooks.iter().all(|webhook| webhook.enabled));
    assert_eq!(of(&webhooks, "ecommerce").events, TYPES);

    // One that is of no use is replaced alone.
    disable(&world, &connections.id, "delivery_url_validation_failed").await;
    world.check().await.expect(200);
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 3);
    let enabled: Vec<_> = webhooks.iter().filter(|webhook| webhook.enabled).collect();
    assert_eq!(enabled.len(), 2);
    assert!(enabled.iter().any(|webhook| webhook.id == shop.id));

    // A new API key is held for both.
    put(&world, "second", &["*", vault]).await.expect(200);
    let account = world.account().unwrap();
    let keys = world.signing_keys();
    for registration in &account.registrations {
        let held = keys.of(&registration.token, registration.webhook.as_ref());
        let macs = held.unwrap().secrets.macs.clone();
        let macs: Vec<&str> = macs.iter().map(MacKey::expose).collect();
        assert_eq!(macs, ["second", key.as_str()]);
    }

    // Without the type that needs it, it goes.
    put(&world, "second", &["*"]).await.expect(200);
    let left = world.webhooks().await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, shop.id);
    world.disconnect().await.expect(200);
    assert!(world.webhooks().await.is_empty());
}

#[tokio::test]
async fn the_greeting_comes_while_create_runs_and_finds_the_key_and_the_token() {
    let world = playing().await;
    let answer = world.connect().await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["events"], json!(TYPES));
    assert_eq!(answer.body["unselected_events"], json!([]));
    let greeting = Greeting {
        takes_deliveries: true,
        keys: vec![world.site.client_secret.clone()],
    };
    assert_eq!(*world.greetings(), [greeting]);
    assert_connected(&world).await;
    let webhook = &world.webhooks().await[0];
    assert_eq!(webhook.details["unified_api"], "ecommerce");
    let label = format!("orderhook/acme/{}", token_of(webhook).hash().label());
    assert_eq!(webhook.details["description"], json!(label));

    // The same again asks once and changes nothing.
    let account = world.account();
    world.asked().await;
    world.connect().await.expect(200);
    assert_eq!(world.account(), account);
    assert_eq!(world.asked().await, ["GET /webhook/webhooks -> 200"]);
    let shown = world.show("acme").await.body.to_string();
    assert!(!shown.contains(&world.site.client_secret), "{shown}");
}

#[tokio::test]
async fn a_webhook_whose_greeting_was_refused_is_removed_and_created_again() {
    let world = playing().await;
    let greeter = world.greeter.as_ref().unwrap();
    greeter.status.store(503, Ordering::SeqCst);
    for attempts in 1..=2 {
        let answer = world.connect().await.expect(422);
        answer.assert_says("not answered with success");
        assert!(world.webhooks().await.is_empty());
        assert_eq!(world.greetings().len(), attempts);
        let account = world.account().unwrap();
        assert_eq!(account.registrations.len(), 1, "tokens do not pile up");
    }
    greeter.status.store(200, Ordering::SeqCst);
    world.check().await.expect(200);
    assert_connected(&world).await;
}

/// The answer to create is lost, and with it that the webhook is disabled: the list shows it.
#[tokio::test]
async fn a_webhook_that_is_found_disabled_by_its_greeting_is_replaced() {
    let (world, _) = connected().await;
    let old = world.newest_webhook().await;
    disable(&world, &old.id, "delivery_url_validation_failed").await;
    for _ in 0..3 {
        world.check().await.expect(200);
    }
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2, "one takes over from the other, once");
    let shown = world.show("acme").await;
    let new = world.webhook_beside(&old).await;
    assert!(new.enabled);
    assert_eq!(shown.body["webhook"], json!(new.id));
    assert_ne!(token_of(&new).hash(), token_of(&old).hash());
}

#[tokio::test]
async fn what_the_source_gave_up_is_enabled_again() {
    let (world, id) = connected().await;
    disable(&world, &id, "retry_limit").await;
    for _ in 0..2 {
        world.check().await.expect(200);
        assert_connected(&world).await;
    }
    let history = world.history();
    let said = |text: &str| history.iter().filter(|what| what.contains(text)).count();
    assert_eq!(said("is disabled: retry_limit"), 1, "{history:?}");
    assert_eq!(said("is enabled again"), 1, "{history:?}");
}

#[rstest]
#[case::by_a_person("none", "a person did it")]
#[case::plan("usage_limit", "the plan is used up")]
#[case::not_known("fraud", "fraud")]
#[tokio::test]
async fn what_only_a_person_can_change_is_left_alone_and_shown(
    #[case] reason: &str,
    #[case] said: &str,
) {
    let (world, id) = connected().await;
    disable(&world, &id, reason).await;
    world.asked().await;
    for _ in 0..2 {
        world.check().await.expect(200);
    }
    assert_eq!(world.asked().await, ["GET /webhook/webhooks -> 200"; 2]);
    let shown = world.show("acme").await.expect(200);
    shown.assert_explains(said);
    shown.assert_explains(&id);
    let history = world.history();
    let count = history.iter().filter(|what| what.contains(said)).count();
    assert_eq!(count, 1, "{history:?}");

    // Other events are corrected, and leave it disabled.
    let answer = world.change(&["ecommerce.order.created"]);
    answer.await.expect(200);
    let webhook = world.newest_webhook().await;
    assert_eq!(webhook.events, ["ecommerce.order.created"]);
    assert!(!webhook.enabled);

    world.change_webhook(&id, json!({ "enabled": true })).await;
    let answer = world.check().await.expect(200);
    assert!(!answer.explanation().contains(said), "{}", answer.body);
}

#[rstest]
#[case::events(json!({ "events": ["*"] }))]
#[case::address(json!({ "endpoint": "https://elsewhere.example/hooks/apideck/TOKEN" }))]
#[tokio::test]
async fn what_differs_is_corrected(#[case] change: Value) {
    let (world, _) = connected().await;
    let webhook = world.newest_webhook().await;
    let token = token_of(&webhook);
    let change = change.to_string().replace("TOKEN", token.expose());
    let change = serde_json::from_str(&change).unwrap();
    world.change_webhook(&webhook.id, change).await;
    world.check().await.expect(200);
    assert_connected(&world).await;
    let after = world.newest_webhook().await;
    assert_eq!(after.id, webhook.id);
    assert_eq!(after.endpoint, webhook.endpoint);
}

#[tokio::test]
async fn another_api_key_is_held_beside_the_one_before_and_no_third() {
    let (world, _) = connected().await;
    let first = world.site.client_secret.clone();
    let webhooks = world.webhooks().await;
    for (key, expected) in [
        ("second", ["second", &first]),
        ("second", ["second", &first]),
        ("third", ["third", "second"]),
    ] {
        let token = token_of(&webhooks[0]);
        let before = world.token_entry(&token).unwrap().keys;
        let held = keys(&world).await;
        world.pass(60);
        put(&world, key, &["*"]).await.expect(200);
        assert_eq!(keys(&world).await, expected);
        let after = world.token_entry(&token).unwrap().keys;
        let is_other = keys(&world).await != held;
        assert_eq!(after > before, is_other, "a new version for new keys");
    }
    assert_eq!(world.webhooks().await, webhooks, "the webhook stays");
    let history = world.history().join("\n");
    assert!(!history.contains(&first), "{history}");
    assert!(!history.contains("third"), "{history}");
}

#[tokio::test]
async fn a_key_that_was_revoked_is_reported_and_the_next_one_goes_on() {
    let world = playing().await;
    put(&world, "second", &["*"]).await.expect(200);
    world.change_settings(json!({})).await;
    let answer = world.check().await.expect(422);
    answer.assert_says("refuses the credentials");
    let before = world.webhooks().await;
    world.connect().await.expect(200);
    assert_eq!(world.webhooks().await, before);
    let first = world.site.client_secret.clone();
    assert_eq!(keys(&world).await, [first.as_str(), "second"]);
}

#[rstest]
#[case::one(&["vault.connection.updated"], &["vault"])]
#[case::beside_others(&["ecommerce.order.created", "vault.connection.deleted"], &["ecommerce", "vault"])]
#[tokio::test]
async fn events_of_another_unified_api_come_by_its_webhook(
    #[case] events: &[&str],
    #[case] expected: &[&str],
) {
    let world = playing().await;
    let key = world.site.client_secret.clone();
    put(&world, &key, events).await.expect(200);
    let apis = async || {
        let webhooks = world.webhooks().await.into_iter();
        let api =
            |webhook: WebhookStatus| webhook.details["unified_api"].as_str().map(str::to_owned);
        let mut apis: Vec<String> = webhooks.filter_map(api).collect();
        apis.sort();
        apis
    };
    assert_eq!(apis().await, expected);
    world.check().await.expect(200);
    assert_eq!(apis().await, expected);
    world.change(&["*"]).await.expect(200);
    assert_connected(&world).await;
    let unknown = put(&world, &key, &["ecommerce.order.paid"]).await;
    unknown.expect(400).assert_says("is no event type");
}
