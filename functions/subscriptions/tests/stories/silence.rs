//! Silence: an account whose deliveries stay away is told, once, and compared with Orderspace at once.

use domain::ports::QueueUrl;
use serde_json::{Value, json};

use crate::world::{CHECKS, Mishap, World};

const HOUR: usize = 3600;

fn read(world: &World) -> usize {
    std::mem::take(&mut *world.deliveries.read.lock().unwrap()).len()
}

fn told(world: &World) -> usize {
    let history = world.history();
    let told = history.iter().filter(|what| what.starts_with("suspect:"));
    told.count()
}

#[tokio::test]
async fn a_check_reads_what_came_since_the_last_one_and_no_more() {
    let world = World::connected().await;
    for _ in 0..3 {
        world.pass(60);
        world.deliver("acme", world.now());
        world.deliver("other", world.now());
    }
    world.check().await.expect(200);
    assert_eq!(read(&world), 3);
    let changed = world.account().unwrap().changed;
    let saves = world.saves();
    world.pass(600);
    world.check().await.expect(200);
    assert_eq!(read(&world), 0);
    assert_eq!(world.saves(), saves);
    // What came is learned; that is no change of the account.
    let last = world.deliver("acme", world.now());
    world.check().await.expect(200);
    assert_eq!(read(&world), 1);
    assert_eq!(world.saves(), saves + 1);
    let account = world.account().unwrap();
    assert_eq!(account.baseline.last, Some(last));
    assert_eq!(account.changed, changed);
}

#[tokio::test]
async fn deliveries_before_midnight_are_read_after_it() {
    let world = World::connected().await;
    // From noon to eight minutes before midnight, and over it.
    world.pass(12 * HOUR - 480);
    world.deliver("acme", world.now());
    world.check().await.expect(200);
    world.pass(240);
    world.deliver("acme", world.now());
    world.pass(480);
    let last = world.deliver("acme", world.now());
    world.check().await.expect(200);
    assert_eq!(read(&world), 3);
    assert_eq!(world.account().unwrap().baseline.last, Some(last));
}

#[tokio::test]
async fn of_a_flood_the_newest_is_known_all_the_same() {
    let world = World::connected().await;
    for _ in 0..1200 {
        world.pass(1);
        world.deliver("acme", world.now());
    }
    let last = world.deliver("acme", world.now());
    world.check().await.expect(200);
    assert_eq!(read(&world), 1000);
    assert_eq!(world.account().unwrap().baseline.last, Some(last));
}

#[tokio::test]
async fn a_silence_is_told_once_and_is_over_with_the_next_delivery() {
    let world = World::connected().await;
    world.live_for_three_weeks();
    world.pass(HOUR);
    let answer = world.check().await.expect(200);
    assert_eq!((&answer.body["suspect"], told(&world)), (&json!(null), 0));
    world.pass(HOUR);
    world.asked().await;
    let answer = world.check().await.expect(200);
    // The same check looked at Orderspace.
    let asked = world.asked().await;
    assert_eq!(asked.last().unwrap(), "GET /v1/webhooks -> 200");
    assert_eq!(answer.body["suspect"]["at"], world.now().to_string());
    for _ in 0..3 {
        world.pass(HOUR);
        world.check().await.expect(200);
    }
    assert_eq!(told(&world), 1);
    let shown = world.show("acme").await.expect(200);
    let message = shown.body["suspect"]["message"].as_str().unwrap();
    assert!(message.contains("no delivery came since 2026-11-20T12:00:00.000Z"));
    shown.assert_explains(message);
    assert_eq!(shown.body["state"], "connected");

    let last = world.deliver("acme", world.now());
    let answer = world.check().await.expect(200);
    assert_eq!(answer.body["suspect"], json!(null));
    assert_eq!(world.history().last().unwrap(), "deliveries arrive again");
    let shown = world.show("acme").await.expect(200);
    assert_eq!(shown.body["last_delivery"]["id"], last.to_string());
}

#[tokio::test]
async fn what_is_disabled_and_hidden_is_found_by_silence_and_repaired() {
    let world = World::with(|site| site.hides_disabled = true).await;
    world.connect().await.expect(200);
    world.live_for_three_weeks();
    let old = world.newest_webhook().await;
    let disabled = json!({ "enabled": false });
    world.change_webhook(&old.id, disabled).await;
    world.pass(2 * HOUR);
    assert_eq!(watch(&world).await, 1);
    assert!(world.work_off_checks().await.is_empty());
    assert_eq!(told(&world), 1);
    let newest = world.newest_webhook().await;
    assert_ne!(newest.id, old.id);
    assert!(newest.enabled);
}

async fn watch(world: &World) -> usize {
    let answer = world.invoke(json!({ "schedule": "watch" })).await.unwrap();
    let waiting = world.queues.messages(&QueueUrl::new(CHECKS)).len();
    assert_eq!(answer, json!({ "accounts": waiting }));
    waiting
}

#[tokio::test]
async fn between_checks_only_those_that_became_silent_are_sent() {
    let world = World::connected().await;
    world.connect_too("other", &["*"]).await;
    world.live_for_three_weeks();
    assert_eq!(watch(&world).await, 0);
    // What was known at the last check is not what came since.
    world.pass(2 * HOUR);
    let last = world.deliver("acme", world.now());
    assert_eq!(watch(&world).await, 0);
    world.pass(2 * HOUR);
    assert_eq!(watch(&world).await, 1);
    let messages = world.queues.messages(&QueueUrl::new(CHECKS));
    assert_eq!(messages[0].json(), json!({ "account": "acme" }));
    assert!(world.work_off_checks().await.is_empty());
    assert_eq!(world.account().unwrap().baseline.last, Some(last));
    assert_eq!(told(&world), 1);
    // It is known now.
    world.pass(HOUR);
    assert_eq!(watch(&world).await, 0);
}

#[tokio::test]
async fn an_account_of_which_it_cannot_be_told_is_checked() {
    let world = World::connected().await;
    world.live_for_three_weeks();
    world.deliver("acme", world.now());
    world.pass(2 * HOUR);
    // The list of accounts is the first call, the receipts are the second.
    world.fate.plan(1, Mishap::Refused);
    assert_eq!(watch(&world).await, 1);
    assert!(world.fate.end());
}

#[tokio::test]
async fn a_check_goes_on_where_receipts_cannot_be_read() {
    let world = World::connected().await;
    world.live_for_three_weeks();
    world.lose_webhook().await;
    world.pass(2 * HOUR);
    // The lease is the first call, the failed deliveries are the second, the receipts are the third.
    world.fate.plan(2, Mishap::Refused);
    world.check().await.expect(200);
    assert!(world.fate.end());
    world.assert_connected(&world.webhooks().await);
    assert_eq!(told(&world), 0);
}

#[tokio::test]
async fn another_selection_or_a_new_connection_has_yet_to_find_its_rhythm() {
    let world = World::connected().await;
    let quiet = async |world: &World| {
        world.pass(5 * HOUR);
        let answer = world.check().await.expect(200);
        assert_eq!(answer.body["suspect"], Value::Null);
    };
    world.live_for_three_weeks();
    world.change(&["order.deleted"]).await.expect(200);
    quiet(&world).await;
    world.live_for_three_weeks();
    world.connect().await.expect(200);
    quiet(&world).await;
    world.live_for_three_weeks();
    world.disconnect().await.expect(200);
    world.connect().await.expect(200);
    quiet(&world).await;
    assert_eq!(told(&world), 0);
    // The same selection again is no other one.
    world.live_for_three_weeks();
    world.connect().await.expect(200);
    world.pass(5 * HOUR);
    let answer = world.check().await.expect(200);
    assert!(answer.body["suspect"]["message"].is_string());
}
