//! Every call to the outside goes wrong once, in every way; the next connect ends with exactly one webhook.

use domain::account::TokenStatus;
use domain::subscription::Account;
use serde_json::json;
use simulator::{Door, Fault, FaultKind};

use crate::world::{World, act, delete, each_mishap, patch, put};

async fn unknown() -> (World, ()) {
    (World::new().await, ())
}

async fn connected() -> (World, ()) {
    (World::connected().await, ())
}

async fn without_its_webhook() -> (World, ()) {
    let world = World::connected().await;
    world.lose_webhook().await;
    (world, ())
}

/// A rotation that has begun, and the old webhook's id.
async fn rotating() -> (World, String) {
    let world = World::connected().await;
    let old = world.newest_webhook().await.id;
    world.rotate().await.expect(200);
    (world, old)
}

/// The same, once the new webhook has delivered.
async fn overlapping() -> (World, String) {
    let (world, old) = rotating().await;
    world.deliver_by(&world.newest_webhook().await.id);
    (world, old)
}

#[tokio::test]
// requirement: subscription-crash
async fn a_first_connect() {
    let call = |world: &World| put(world.desired(&["*"]));
    each_mishap(8, unknown, call, async |world: &World, (), at: &str| {
        world.connect().await.expect(200);
        world.assert_connected(&world.webhooks().await);
        assert_eq!(world.keys().len(), 1, "{at}");
        // And from there on nothing is left to do.
        let saves = world.saves();
        world.connect().await.expect(200);
        assert_eq!(world.saves(), saves, "{at}");
    })
    .await;
}

#[tokio::test]
// requirement: subscription-crash
async fn a_change_of_events() {
    let call = |world: &World| put(world.desired(&["order.created"]));
    each_mishap(4, connected, call, async |world: &World, (), _: &str| {
        let desired = world.desired(&["order.created"]);
        world.put("acme", &desired).await.expect(200);
        let webhooks = world.webhooks().await;
        world.assert_connected(&webhooks);
        assert_eq!(webhooks[0].events, ["order.created"]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_is_missing() {
    let call = |world: &World| put(world.desired(&["*"]));
    let go_on = async |world: &World, (), _: &str| {
        world.connect().await.expect(200);
        world.assert_connected(&world.webhooks().await);
    };
    each_mishap(6, without_its_webhook, call, go_on).await;
}

#[tokio::test]
// requirement: subscription-crash
async fn a_disconnect() {
    let go_on = async |world: &World, (), at: &str| {
        let answer = world.disconnect().await.expect(200);
        assert_eq!(answer.body["state"], "disconnected", "{at}");
        assert_eq!(answer.body["last_error"], json!(null), "{at}");
        assert!(world.webhooks().await.is_empty(), "{at}");
        assert_eq!(world.token_statuses(), [TokenStatus::Retired], "{at}");
        assert!(world.oauth().is_none() && world.keys().is_empty(), "{at}");
        world.connect().await.expect(200);
        world.assert_connected(&world.webhooks().await);
    };
    each_mishap(6, connected, |_| delete(), go_on).await;
}

/// What is left at Orderspace is told, whatever the call was doing that had to leave it.
#[tokio::test]
async fn a_disconnect_that_has_to_leave_the_webhook() {
    let begin = async || {
        let world = World::connected().await;
        world.revoke_access_tokens().await;
        world.fault(Fault::on(Door::Token, FaultKind::Refuse)).await;
        (world, ())
    };
    let go_on = async |world: &World, (), at: &str| {
        let answer = world.disconnect().await.expect(200);
        let said = answer.last_error();
        assert!(said.contains("could not be removed"), "{at}: {said}");
        assert_eq!(world.token_statuses(), [TokenStatus::Retired]);
        assert!(world.oauth().is_none() && world.keys().is_empty());
    };
    each_mishap(7, begin, |_| delete(), go_on).await;
}

/// Whatever a check was doing, the next one converges, with two questions of Orderspace and a removal at most.
#[tokio::test]
// requirement: subscription-crash
async fn a_check_of_a_missing_webhook() {
    let go_on = async |world: &World, (), at: &str| {
        world.asked().await;
        world.check().await.expect(200);
        let asked = world.asked().await;
        assert!(asked.len() <= 3, "{at}: {asked:?}");
        world.assert_connected(&world.webhooks().await);
    };
    each_mishap(7, without_its_webhook, |_| act("check"), go_on).await;
}

#[tokio::test]
async fn a_change_that_a_check_completes() {
    let call = |_: &World| patch(json!({ "events": ["order.created"] }));
    each_mishap(4, connected, call, async |world: &World, (), at: &str| {
        let desired = world.account().unwrap().events;
        world.check().await.expect(200);
        let webhooks = world.webhooks().await;
        world.assert_connected(&webhooks);
        assert!(desired.is(&webhooks[0].events), "{at}");
    })
    .await;
}

/// The lease lets one call at a time to Orderspace, so a token that is over is renewed once.
#[tokio::test]
// requirement: subscription-lease
async fn fifty_callers_at_once_cause_one_token_request() {
    let world = World::connected().await;
    world.pass(1700);
    world.asked().await;
    let calls = (0..50).map(|_| world.check());
    let answers = futures::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.status == 200);
    assert!(done.count() >= 1);
    let mut statuses = answers.iter().map(|answer| answer.status);
    assert!(statuses.all(|status| matches!(status, 200 | 409)));
    let asked = world.asked().await;
    let tokens = asked.iter().filter(|asked| asked.contains("/oauth/token"));
    assert_eq!(tokens.count(), 1, "{asked:?}");
}

/// A call that outlives its lease changes nothing more, however far it had got.
#[tokio::test]
// requirement: subscription-lease
async fn whoever_is_overtaken_saves_nothing() {
    let world = World::new().await;
    world.next("POST", FaultKind::DelayMs(300)).await;
    let slow = async {
        let answer = world.connect().await.expect(409);
        answer.assert_says("took over");
    };
    let overtaking = async {
        // The slow call is at Orderspace when its lease ends and another takes over.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let is_unregistered = |account: Account| account.registrations.is_empty();
        while world.account().is_none_or(is_unregistered) {
            assert!(std::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        world.pass(46);
        world.connect().await.expect(200);
    };
    tokio::join!(slow, overtaking);
    // Whichever registration came through late is a stray, and the next call takes it away.
    world.connect().await.expect(200);
    world.assert_connected(&world.webhooks().await);
}

/// Ends a rotation, and sees that one webhook is left, with its key, that of the old one and no third.
#[track_caller]
fn assert_rotated(world: &World, webhooks: &[simulator::control::WebhookStatus], old: &str) {
    world.assert_connected(webhooks);
    assert_ne!(webhooks[0].id, old);
    let mut keys: Vec<String> = world.keys().into_iter().map(|(id, _)| id).collect();
    let mut expected = vec![old.to_owned(), webhooks[0].id.clone()];
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    let open = world.token_statuses();
    let open = open.iter().filter(|status| status.takes_deliveries());
    assert_eq!(open.count(), 2);
}

/// Whatever the rotation was doing, the next check completes it, or finds that it had not begun.
#[tokio::test]
async fn a_rotation() {
    let begin = async || {
        let world = World::connected().await;
        let old = world.newest_webhook().await.id;
        (world, old)
    };
    let go_on = async |world: &World, old: String, at: &str| {
        let is_begun = world.account().unwrap().rotation().is_some();
        world.asked().await;
        world.check().await.expect(200);
        let asked = world.asked().await;
        assert!(asked.len() <= 2, "{at}: {asked:?}");
        let webhooks = world.webhooks().await;
        if !is_begun {
            let is_early = at.ends_with(" 0") || at.ends_with(" 1");
            assert!(is_early, "after the lease, the desired is kept first: {at}");
            world.assert_connected(&webhooks);
            return;
        }
        assert_eq!(webhooks.len(), 2, "{at}");
        // The same call again begins no second one.
        world.rotate().await;
        assert_eq!(world.webhooks().await, webhooks, "{at}");
        world.deliver_by(&webhooks[0].id);
        world.check().await.expect(200);
        assert_rotated(world, &world.webhooks().await, &old);
    };
    each_mishap(7, begin, |_| act("rotate"), go_on).await;
}

#[tokio::test]
async fn the_end_of_an_overlap() {
    let go_on = async |world: &World, old: String, _: &str| {
        world.check().await.expect(200);
        assert_rotated(world, &world.webhooks().await, &old);
    };
    each_mishap(7, overlapping, |_| act("check"), go_on).await;
}

#[tokio::test]
async fn the_end_of_a_grace() {
    let begin = async || {
        let (world, _) = overlapping().await;
        world.check().await.expect(200);
        world.pass(72 * 3600);
        (world, ())
    };
    let go_on = async |world: &World, (), at: &str| {
        world.check().await.expect(200);
        world.assert_connected(&world.webhooks().await);
        assert_eq!(world.keys().len(), 1, "{at}");
        let ended = [TokenStatus::Live, TokenStatus::Retired];
        assert_eq!(world.token_statuses(), ended);
    };
    each_mishap(6, begin, |_| act("check"), go_on).await;
}

#[tokio::test]
async fn a_disconnect_during_a_rotation() {
    let go_on = async |world: &World, _: String, at: &str| {
        world.disconnect().await.expect(200);
        assert!(world.webhooks().await.is_empty(), "{at}");
        assert!(world.oauth().is_none() && world.keys().is_empty());
        let statuses = world.token_statuses();
        assert!(!statuses.iter().any(|status| status.takes_deliveries()));
        assert_eq!(statuses.len(), 2, "{at}");
    };
    each_mishap(7, rotating, |_| delete(), go_on).await;
}
