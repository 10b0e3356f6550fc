//! The life of a webhook at Ordermentum, which the simulator plays: our secrets come back with every delivery, and the list
//! may show a webhook by its name alone.

use domain::account::TokenStatus;
use domain::delivery::Request;
use domain::signature::{Assurance, LiveSecrets, Policy, Screened};
use domain::source::Source;
use domain::subscription::{Api, Apis, Endpoint, basic_credentials};
use http::{HeaderMap, HeaderName, HeaderValue};
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{NewSite, WebhookStatus};
use simulator::{FaultKind, Simulator};
use sources::http::HttpClient;
use sources::ordermentum::api::{Ordermentum, OrdermentumUrls};
use sources::protocol;

use crate::world::{Answer, World};

const SUPPLIER: &str = "5c1f0a52-3b7e-4d0a-9a51-2d7f6f0c1e11";

async fn world(settings: Value) -> World {
    let mut world = World::new().await;
    let simulator = Simulator::start_as(simulator::Source::Ordermentum, 0);
    world.simulator = simulator.await.unwrap();
    let site = NewSite {
        settings,
        ..NewSite::default()
    };
    world.site = world.simulator.create_site(site).unwrap();
    let second = std::time::Duration::from_secs(1);
    let client = HttpClient::with_timeouts("Ordermentum", second, second).unwrap();
    let urls = OrdermentumUrls {
        api: world.simulator.url(),
        login: world.simulator.url(),
    };
    let api: Box<dyn Api> = Box::new(Ordermentum::new(client, urls));
    world.apis = Apis::from_iter([(Source::Ordermentum, api)]);
    world
}

fn desired(world: &World, events: &[&str]) -> Value {
    json!({
        "source": "ordermentum",
        "api_key": world.site.client_secret,
        "supplier_id": SUPPLIER,
        "events": events,
    })
}

async fn connect(world: &World) -> Answer {
    world.put("acme", &desired(world, &["order_created"])).await
}

/// The secrets that are held for the registration of a webhook.
fn held(world: &World, webhook: &WebhookStatus) -> LiveSecrets {
    let token = webhook.endpoint.rsplit('/').next().unwrap();
    let token: domain::account::UrlToken = token.parse().unwrap();
    let keys = world.signing_keys();
    keys.registrations()[&token.hash()].secrets.clone()
}

/// What a delivery of this webhook is proved by, with the secrets that are held for it.
fn proof_of_delivery(world: &World, webhook: &WebhookStatus) -> Option<Assurance> {
    let mut headers = HeaderMap::new();
    let secrets = held(world, webhook);
    let sent = &webhook.details["authentication"]["basicAuth"];
    let [user, password] = ["username", "password"].map(|name| sent[name].as_str().unwrap());
    let sent = Some((user.to_owned(), password.to_owned()));
    let mut shared = secrets.shared.iter();
    let basic = shared.find(|secret| basic_credentials(secret) == sent)?;
    headers.insert(
        "authorization",
        HeaderValue::try_from(basic.expose()).unwrap(),
    );
    for (name, value) in webhook.details["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let request = Request {
        headers: &headers,
        part: "",
        body: b"{}",
    };
    let source = protocol(Source::Ordermentum);
    let Screened::Delivery(offer) = source.screen(request).unwrap() else {
        panic!("no delivery");
    };
    let verified = offer.verify(request, &secrets, Policy::Require, |request, form| {
        source.signed(request, form)
    });
    verified.map(|verified| verified.assurance())
}

#[rstest]
#[case::shown_by_name(json!({}))]
#[case::shown_with_its_url(json!({ "shows_url": true }))]
#[case::answered_with_200(json!({ "create_status": 200 }))]
#[tokio::test]
// requirement: subscription-one
async fn connected_once_and_the_first_delivery_is_proved(#[case] settings: Value) {
    let world = world(settings).await;
    let answer = connect(&world).await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    let [webhook] = &world.webhooks().await[..] else {
        panic!("one webhook");
    };
    assert_eq!(answer.body["webhook"], json!(webhook.id));
    assert_eq!(webhook.events, ["order_created"]);
    assert_eq!(webhook.details["entityId"], SUPPLIER);
    assert_eq!(webhook.details["entityType"], "supplier");
    assert_eq!(
        proof_of_delivery(&world, webhook),
        Some(Assurance::SharedSecret)
    );
    for secret in held(&world, webhook).shared {
        assert!(!answer.body.to_string().contains(secret.expose()));
    }
    world.asked().await;
    world.check().await.expect(200);
    assert_eq!(world.asked().await, ["GET /v1/webhooks -> 200"]);
}

#[rstest]
#[case::by_name(json!({}))]
#[case::by_url(json!({ "shows_url": true }))]
#[tokio::test]
// requirement: subscription-crash
async fn a_registration_whose_answer_was_lost_is_found_and_proved(#[case] settings: Value) {
    let world = world(settings).await;
    world.next("POST", FaultKind::WorkThenStatus(504)).await;
    let answer = connect(&world).await;
    assert!(answer.status >= 500, "{}", answer.body);
    world.check().await.expect(200);
    let [webhook] = &world.webhooks().await[..] else {
        panic!("one webhook");
    };
    assert_eq!(
        proof_of_delivery(&world, webhook),
        Some(Assurance::SharedSecret)
    );
    assert_eq!(world.show("acme").await.body["webhook"], json!(webhook.id));
}

#[tokio::test]
async fn another_selection_is_put_to_the_webhook_with_its_secrets() {
    let world = world(json!({ "shows_url": true })).await;
    connect(&world).await.expect(200);
    let before = world.webhooks().await.remove(0);
    world
        .change(&["order_updated", "invoice_created"])
        .await
        .expect(200);
    let [webhook] = &world.webhooks().await[..] else {
        panic!("one webhook");
    };
    assert_eq!(webhook.id, before.id);
    assert_eq!(webhook.endpoint, before.endpoint);
    let mut events = webhook.events.clone();
    events.sort();
    assert_eq!(events, ["invoice_created", "order_updated"]);
    assert_eq!(
        proof_of_delivery(&world, webhook),
        Some(Assurance::SharedSecret)
    );
}

/// Nobody knows the URL any more that a change would have to send again.
#[tokio::test]
async fn without_its_url_another_webhook_takes_over_for_another_selection() {
    let world = world(json!({})).await;
    connect(&world).await.expect(200);
    let before = world.webhooks().await.remove(0);
    world.change(&["order_updated"]).await;
    world.check().await;
    let webhooks = world.webhooks().await;
    let new = webhooks.iter().find(|webhook| webhook.id != before.id);
    let new = new.unwrap();
    assert_eq!(new.events, ["order_updated"]);
    assert_eq!(
        proof_of_delivery(&world, new),
        Some(Assurance::SharedSecret)
    );
    assert_eq!(world.show("acme").await.body["webhook"], json!(new.id));
    world.pass(3600);
    world.deliver_by(&new.id);
    world.check().await;
    assert_eq!(world.webhooks().await.len(), 1, "the first one went");
}

#[rstest]
#[case::missing(false)]
#[case::listed_as_deleted(true)]
#[tokio::test]
// requirement: subscription-repair
async fn a_webhook_that_is_gone_is_registered_again(#[case] is_listed: bool) {
    let world = world(json!({ "lists_deleted": true })).await;
    connect(&world).await.expect(200);
    let gone = world.webhooks().await.remove(0);
    match is_listed {
        true => {
            let deleted = json!({ "details": { "deletedAt": "2026-11-20T12:00:00Z" } });
            world.change_webhook(&gone.id, deleted).await;
        }
        false => world.remove_webhook(&gone.id).await,
    }
    let answer = world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    let new = webhooks.iter().find(|webhook| webhook.id != gone.id);
    let new = new.unwrap();
    assert_eq!(answer.body["webhook"], json!(new.id));
    assert_eq!(
        proof_of_delivery(&world, new),
        Some(Assurance::SharedSecret)
    );
    let history = world.history().join("; ");
    assert!(
        history.contains(&format!("{} is missing at Ordermentum", gone.id)),
        "{history}"
    );
}

#[tokio::test]
// requirement: subscription-disconnect
async fn rotated_and_disconnected() {
    let world = world(json!({})).await;
    connect(&world).await.expect(200);
    let old = world.webhooks().await.remove(0);
    let answer = world.rotate().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    let new = webhooks.iter().find(|webhook| webhook.id != old.id);
    let new = new.unwrap();
    assert_eq!(answer.body["webhook"], json!(new.id));
    for webhook in [&old, new] {
        assert_eq!(
            proof_of_delivery(&world, webhook),
            Some(Assurance::SharedSecret)
        );
    }
    assert!(!held(&world, &old).same(&held(&world, new)));
    world.pass(3600);
    world.deliver_by(&new.id);
    world.check().await.expect(200);
    let [left] = &world.webhooks().await[..] else {
        panic!("the new one");
    };
    assert_eq!(left.id, new.id);
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert!(world.webhooks().await.is_empty());
}

/// Where a second webhook for an event is refused, the one in use is given another URL and other secrets.
#[rstest]
#[case::shown(json!({ "one_webhook_per_event": true, "shows_url": true }))]
#[case::hidden(json!({ "one_webhook_per_event": true, "shows_url": false }))]
#[tokio::test]
async fn rotated_where_a_second_webhook_is_refused(#[case] settings: Value) {
    let world = world(settings).await;
    connect(&world).await.expect(200);
    let old = world.webhooks().await.remove(0);
    let answer = world.rotate().await.expect(200);
    assert_eq!(answer.body["webhook"], json!(old.id));
    assert!(answer.body["rotation"].is_null());
    let [new] = &world.webhooks().await[..] else {
        panic!("the same webhook");
    };
    assert_eq!(new.id, old.id);
    assert_ne!(new.endpoint, old.endpoint);
    for webhook in [&old, new] {
        assert_eq!(
            proof_of_delivery(&world, webhook),
            Some(Assurance::SharedSecret),
            "what is on its way to the URL before is taken, too"
        );
    }
    assert!(!held(&world, &old).same(&held(&world, new)));
    let status = |webhook: &WebhookStatus| {
        let token = Endpoint::new(webhook.endpoint.as_str()).token().unwrap();
        world.token_entry(&token).unwrap().status
    };
    assert_eq!(status(&old), TokenStatus::Grace);
    assert_eq!(status(new), TokenStatus::Live);
    let history = world.history().join("; ");
    assert!(history.contains("refuses a second webhook"), "{history}");

    let account = world.account();
    world.check().await.expect(200);
    assert_eq!(world.account(), account, "all is as it shall be");
    world.rotate().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 1);
    assert_eq!(status(new), TokenStatus::Grace);
    world.pass(72 * 3600 + 1);
    world.check().await.expect(200);
    assert_eq!(status(&old), TokenStatus::Retired);
    assert_eq!(status(new), TokenStatus::Retired);
    let [newest] = &world.webhooks().await[..] else {
        panic!("the same webhook");
    };
    assert_eq!(status(newest), TokenStatus::Live);
}

#[rstest]
#[case::not_done(FaultKind::Status(503), true)]
#[case::the_answer_is_lost(FaultKind::WorkThenStatus(504), true)]
#[case::the_answer_is_lost_and_the_url_hidden(FaultKind::WorkThenStatus(504), false)]
#[case::refused_too(FaultKind::Unprocessable, true)]
#[tokio::test]
// requirement: subscription-crash
async fn a_move_that_is_cut_short_is_completed(#[case] fault: FaultKind, #[case] shows_url: bool) {
    let world = world(json!({ "one_webhook_per_event": true, "shows_url": shows_url })).await;
    connect(&world).await.expect(200);
    let old = world.webhooks().await.remove(0);
    world.next("PUT", fault).await;
    let answer = world.rotate().await;
    assert_ne!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        proof_of_delivery(&world, &old),
        Some(Assurance::SharedSecret)
    );
    for _ in 0..2 {
        world.check().await.expect(200);
        let [new] = &world.webhooks().await[..] else {
            panic!("the same webhook");
        };
        assert_ne!(new.endpoint, old.endpoint);
        for webhook in [&old, new] {
            assert_eq!(
                proof_of_delivery(&world, webhook),
                Some(Assurance::SharedSecret)
            );
        }
        let account = world.account().unwrap();
        assert_eq!((account.rotation(), &account.last_error), (None, &None));
    }
}

#[rstest]
#[case::by_key(json!({ "access": "api_key" }), false)]
#[case::by_login(json!({ "access": "bearer" }), true)]
#[tokio::test]
async fn the_key_or_the_older_login_is_the_access(
    #[case] settings: Value,
    #[case] has_login: bool,
) {
    let world = world(settings).await;
    let mut wanted = desired(&world, &["*"]);
    if has_login {
        let refused = world.put("acme", &wanted).await.expect(422);
        assert!(
            refused.message().contains("api_key and supplier_id"),
            "{}",
            refused.message()
        );
        wanted["username"] = json!(world.site.client_id);
        wanted["password"] = json!(world.site.client_secret);
    }
    let answer = world.put("acme", &wanted).await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    world.revoke_access_tokens().await;
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 1);
}

#[tokio::test]
async fn wrong_credentials_are_named_by_their_fields() {
    let world = world(json!({})).await;
    let mut wanted = desired(&world, &["*"]);
    wanted["api_key"] = json!("om_api_marker");
    let answer = world.put("acme", &wanted).await.expect(422);
    let message = answer.message();
    assert!(
        message.contains("Ordermentum") && message.contains("api_key"),
        "{message}"
    );
    assert!(
        !message.contains("marker") && !message.contains(SUPPLIER),
        "{message}"
    );
    assert!(world.webhooks().await.is_empty() && world.oauth().is_none());
}
