//! Strikes: deliveries that we refused are shown until one is accepted.

use domain::identity::DeliveryId;
use serde_json::json;

use crate::world::World;

fn fresh(world: &World) -> DeliveryId {
    world.pass(1);
    DeliveryId::new(world.now(), &[2; 10])
}

#[tokio::test]
// requirement: subscription-strikes
async fn failed_deliveries_are_shown_with_cause_and_time_until_a_delivery_is_accepted() {
    let world = World::connected().await;
    let none = json!({ "count": 0, "causes": {}, "latest": [] });
    assert_eq!(world.show("acme").await.expect(200).body["strikes"], none);
    let first = fresh(&world);
    world.refuse("acme", first, "budget");
    let refused = world.now().to_string();
    let second = fresh(&world);
    world.refuse("acme", second, "queue");
    world.refuse("other", second, "queue");
    let shown = world.show("acme").await.expect(200);
    let strikes = &shown.body["strikes"];
    assert_eq!(strikes["count"], 2);
    assert_eq!(strikes["causes"], json!({ "budget": 1, "queue": 1 }));
    assert_eq!(
        strikes["latest"][1],
        json!({ "at": refused, "delivery": first.to_string(), "cause": "budget" })
    );
    world.pass(1);
    world.deliver("acme", world.now());
    assert_eq!(world.show("acme").await.expect(200).body["strikes"], none);
}

#[tokio::test]
async fn a_retry_that_is_accepted_ends_the_run_also_days_later() {
    let world = World::connected().await;
    let id = fresh(&world);
    world.refuse("acme", id, "budget");
    world.pass(3 * 86_400);
    let shown = world.show("acme").await.expect(200);
    assert_eq!(shown.body["strikes"]["count"], 1);
    world.attempt("acme", id, None);
    let shown = world.show("acme").await.expect(200);
    assert_eq!(shown.body["strikes"]["count"], 0);
}

#[tokio::test]
async fn a_check_goes_on_where_failed_deliveries_cannot_be_read() {
    let world = World::connected().await;
    world.lose_webhook().await;
    // The lease is the first call, the strikes are the second.
    world.fate.plan(1, crate::world::Mishap::Refused);
    world.check().await.expect(200);
    assert!(world.fate.end());
    world.assert_connected(&world.webhooks().await);
}
