//! The life of a webhook at Ordermentum, which the simulator plays: our secrets come back with every delivery, and the list
//! may show a webhook by its name alone.

use domain::source::Source;
use rstest::rstest;
use serde_json::{Value, json};

use crate::each_source::is_proved;
use crate::world::{Answer, World};

async fn world(settings: Value) -> World {
    World::playing(Source::Ordermentum, settings).await
}

async fn connect(world: &World) -> Answer {
    world.put("acme", &world.desired(&["order_created"])).await
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
    assert!(is_proved(&world, webhook));
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
    assert!(is_proved(&world, new));
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
    assert!(is_proved(&world, new));
    let history = world.history().join("; ");
    assert!(
        history.contains(&format!("{} is missing at Ordermentum", gone.id)),
        "{history}"
    );
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
    let mut wanted = world.desired(&["*"]);
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
