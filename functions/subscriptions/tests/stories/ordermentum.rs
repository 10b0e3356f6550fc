//! The life of a webhook at Ordermentum, which the simulator plays: our secrets come back with every delivery, and the list
//! may show a webhook by its name alone.

use domain::account::TokenStatus;
use domain::source::Source;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::FaultKind;
use simulator::control::WebhookStatus;

use crate::each_source::is_proved;
use crate::world::{Answer, World, token_of};

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
    let before = world.newest_webhook().await;
    let two = ["order_updated", "invoice_created"];
    world.change(&two).await.expect(200);
    let webhook = world.only_webhook().await;
    assert_eq!(webhook.id, before.id);
    assert_eq!(webhook.endpoint, before.endpoint);
    let mut events = webhook.events.clone();
    events.sort();
    assert_eq!(events, ["invoice_created", "order_updated"]);
    assert!(is_proved(&world, &webhook));
}

/// Nobody knows the URL any more that a change would have to send again.
#[tokio::test]
async fn without_its_url_another_webhook_takes_over_for_another_selection() {
    let world = world(json!({})).await;
    connect(&world).await.expect(200);
    let before = world.newest_webhook().await;
    world.change(&["order_updated"]).await;
    world.check().await;
    let new = world.webhook_beside(&before).await;
    assert_eq!(new.events, ["order_updated"]);
    assert!(is_proved(&world, &new));
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
    let gone = world.newest_webhook().await;
    match is_listed {
        true => {
            let deleted = json!({ "details": { "deletedAt": "2026-11-20T12:00:00Z" } });
            world.change_webhook(&gone.id, deleted).await;
        }
        false => world.remove_webhook(&gone.id).await,
    }
    let answer = world.check().await.expect(200);
    let new = world.webhook_beside(&gone).await;
    assert_eq!(answer.body["webhook"], json!(new.id));
    assert!(is_proved(&world, &new));
    world.assert_noted(&format!("{} is missing at Ordermentum", gone.id));
}

/// Where a second webhook for an event is refused, the one in use is given another URL and other secrets.
#[rstest]
#[case::shown(json!({ "one_webhook_per_event": true, "shows_url": true }))]
#[case::hidden(json!({ "one_webhook_per_event": true, "shows_url": false }))]
#[tokio::test]
async fn rotated_where_a_second_webhook_is_refused(#[case] settings: Value) {
    let world = world(settings).await;
    connect(&world).await.expect(200);
    let old = world.newest_webhook().await;
    let answer = world.rotate().await.expect(200);
    assert_eq!(answer.body["webhook"], json!(old.id));
    assert!(answer.body["rotation"].is_null());
    let new = world.only_webhook().await;
    assert_eq!(new.id, old.id);
    assert_ne!(new.endpoint, old.endpoint);
    // What is on its way to the URL before is taken, too.
    assert!(is_proved(&world, &old) && is_proved(&world, &new));
    let [before, after] = [&old, &new].map(|webhook| world.held_of(&token_of(webhook)));
    assert!(!before.same(&after));
    let status = |webhook: &WebhookStatus| world.status_of(&token_of(webhook));
    assert_eq!(status(&old), TokenStatus::Grace);
    assert_eq!(status(&new), TokenStatus::Live);
    world.assert_noted("refuses a second webhook");

    let account = world.account();
    world.check().await.expect(200);
    assert_eq!(world.account(), account, "all is as it shall be");
    world.rotate().await.expect(200);
    world.only_webhook().await;
    assert_eq!(status(&new), TokenStatus::Grace);
    world.pass(72 * 3600 + 1);
    world.check().await.expect(200);
    assert_eq!(status(&old), TokenStatus::Retired);
    assert_eq!(status(&new), TokenStatus::Retired);
    let newest = world.only_webhook().await;
    assert_eq!(status(&newest), TokenStatus::Live);
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
    let old = world.newest_webhook().await;
    world.next("PUT", fault).await;
    let answer = world.rotate().await;
    assert_ne!(answer.status, 200, "{}", answer.body);
    assert!(is_proved(&world, &old));
    for _ in 0..2 {
        world.check().await.expect(200);
        let new = world.only_webhook().await;
        assert_ne!(new.endpoint, old.endpoint);
        assert!(is_proved(&world, &old) && is_proved(&world, &new));
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
    let mut wanted = world.desired(&["*"]);
    if has_login {
        let refused = world.put("acme", &wanted).await.expect(422);
        refused.assert_says("api_key and supplier_id");
        wanted["username"] = json!(world.site.client_id);
        wanted["password"] = json!(world.site.client_secret);
    }
    let answer = world.put("acme", &wanted).await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    world.revoke_access_tokens().await;
    world.check().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 1);
}
