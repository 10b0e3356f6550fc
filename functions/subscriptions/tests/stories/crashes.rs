//! Every call to the outside goes wrong once, in every way; the next connect ends with exactly one webhook.

use std::sync::atomic::Ordering;

use crate::world::{Mishap, World};
use rstest::rstest;
use serde_json::json;

/// More calls than any story makes; a story that reaches it would not end.
const TOO_MANY: usize = 60;

async fn put(world: &World, desired: &serde_json::Value) {
    let _ = world
        .try_call(
            "PUT /v1/accounts/{account}",
            json!({ "account": "acme" }),
            Some(desired.to_string()),
        )
        .await;
}

async fn delete(world: &World) {
    let _ = world
        .try_call(
            "DELETE /v1/accounts/{account}",
            json!({ "account": "acme" }),
            None,
        )
        .await;
}

/// The lease of a call that died is outlived after its time.
fn outlive_the_lease(world: &World) {
    world.pass(46);
}

#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_first_connect(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.fate.plan(nth, mishap);
        put(&world, &world.desired(&["*"])).await;
        if !world.fate.end() {
            assert!(nth > 8, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.connect().await.expect(200);
        let webhooks = world.webhooks().await;
        world.assert_connected(&webhooks);
        assert_eq!(world.keys().len(), 1, "{mishap:?} at {nth}");
        // And from there on nothing is left to do.
        let saves = world.accounts.saves.load(Ordering::SeqCst);
        world.connect().await.expect(200);
        assert_eq!(
            world.accounts.saves.load(Ordering::SeqCst),
            saves,
            "{mishap:?} at {nth}"
        );
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_change_of_events(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        let desired = world.desired(&["order.created"]);
        world.fate.plan(nth, mishap);
        put(&world, &desired).await;
        if !world.fate.end() {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.put("acme", &desired).await.expect(200);
        let webhooks = world.webhooks().await;
        world.assert_connected(&webhooks);
        assert_eq!(webhooks[0].events, ["order.created"]);
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
async fn a_webhook_that_is_missing(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        let id = world.webhooks().await[0].id.clone();
        world.remove_webhook(&id).await;
        world.fate.plan(nth, mishap);
        put(&world, &world.desired(&["*"])).await;
        if !world.fate.end() {
            assert!(nth > 6, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.connect().await.expect(200);
        world.assert_connected(&world.webhooks().await);
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_disconnect(#[values(0, 1, 2, 3)] mishap: usize) {
    use domain::account::TokenStatus;
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        world.fate.plan(nth, mishap);
        delete(&world).await;
        if !world.fate.end() {
            assert!(nth > 6, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        let answer = world.disconnect().await.expect(200);
        assert_eq!(answer.body["state"], "disconnected", "{mishap:?} at {nth}");
        assert_eq!(
            answer.body["last_error"],
            json!(null),
            "{mishap:?} at {nth}"
        );
        assert!(world.webhooks().await.is_empty(), "{mishap:?} at {nth}");
        assert_eq!(
            world.token_statuses(),
            [TokenStatus::Retired],
            "{mishap:?} at {nth}"
        );
        assert!(
            world.oauth().is_none() && world.keys().is_empty(),
            "{mishap:?} at {nth}"
        );
        world.connect().await.expect(200);
        world.assert_connected(&world.webhooks().await);
    }
    panic!("the story does not end");
}

/// What is left at Orderspace is told, whatever the call was doing that had to leave it.
#[rstest]
#[tokio::test]
async fn a_disconnect_that_has_to_leave_the_webhook(#[values(0, 1, 2, 3)] mishap: usize) {
    use simulator::{Door, Fault, FaultKind};
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        world.revoke_access_tokens().await;
        let refusal = Fault::on(Door::Token, FaultKind::Refuse);
        world.fault(refusal).await;
        world.fate.plan(nth, mishap);
        delete(&world).await;
        if !world.fate.end() {
            assert!(nth > 7, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        let answer = world.disconnect().await.expect(200);
        let said = answer.body["last_error"]["message"].as_str();
        let said = said.unwrap_or_default();
        assert!(
            said.contains("could not be removed"),
            "{mishap:?} at {nth}: {said}"
        );
        assert_eq!(
            world.token_statuses(),
            [domain::account::TokenStatus::Retired]
        );
        assert!(world.oauth().is_none() && world.keys().is_empty());
    }
    panic!("the story does not end");
}

async fn check(world: &World) {
    let parameters = json!({ "account": "acme", "action": "check" });
    let route = "POST /v1/accounts/{account}/{action}";
    let _ = world.try_call(route, parameters, None).await;
}

async fn change(world: &World) {
    let body = json!({ "events": ["order.created"] });
    let parameters = json!({ "account": "acme" });
    let route = "PATCH /v1/accounts/{account}";
    let _ = world
        .try_call(route, parameters, Some(body.to_string()))
        .await;
}

/// Whatever a check was doing, the next one converges, with two questions of Orderspace and a removal at most.
#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_check_of_a_missing_webhook(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        let id = world.webhooks().await[0].id.clone();
        world.remove_webhook(&id).await;
        world.fate.plan(nth, mishap);
        check(&world).await;
        if !world.fate.end() {
            assert!(nth > 7, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.asked().await;
        world.check().await.expect(200);
        let asked = world.asked().await;
        assert!(asked.len() <= 3, "{mishap:?} at {nth}: {asked:?}");
        world.assert_connected(&world.webhooks().await);
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
async fn a_change_that_a_check_completes(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        world.fate.plan(nth, mishap);
        change(&world).await;
        if !world.fate.end() {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        let wished = world.account().unwrap().events;
        world.check().await.expect(200);
        let webhooks = world.webhooks().await;
        world.assert_connected(&webhooks);
        assert!(wished.is(&webhooks[0].events), "{mishap:?} at {nth}");
    }
    panic!("the story does not end");
}

/// The lease lets one call at a time to Orderspace, so a token that is over is renewed once.
#[tokio::test]
// requirement: subscription-lease
async fn fifty_callers_at_once_cause_one_token_request() {
    let world = World::new().await;
    world.connect().await.expect(200);
    world.pass(1700);
    world.asked().await;
    let route = "POST /v1/accounts/{account}/{action}";
    let calls = (0..50).map(|_| {
        let parameters = json!({ "account": "acme", "action": "check" });
        world.call(route, parameters, None)
    });
    let answers = futures::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.status == 200);
    assert!(done.count() >= 1);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 200 | 409))
    );
    let asked = world.asked().await;
    let tokens = asked.iter().filter(|asked| asked.contains("/oauth/token"));
    assert_eq!(tokens.count(), 1, "{asked:?}");
}

/// A call that outlives its lease changes nothing more, however far it had got.
#[tokio::test]
// requirement: subscription-lease
async fn whoever_is_overtaken_saves_nothing() {
    let world = World::new().await;
    world.next("POST", simulator::FaultKind::SlowMs(300)).await;
    let slow = async {
        let answer = world.connect().await;
        assert_eq!(answer.status, 409, "{}", answer.body);
        assert!(
            answer.message().contains("took over"),
            "{}",
            answer.message()
        );
    };
    let overtaking = async {
        // The slow call is at Orderspace when its lease ends and another takes over.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while world
            .account()
            .is_none_or(|account| account.registrations.is_empty())
        {
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

async fn rotate(world: &World) {
    let parameters = json!({ "account": "acme", "action": "rotate" });
    let route = "POST /v1/accounts/{account}/{action}";
    let _ = world.try_call(route, parameters, None).await;
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
#[rstest]
#[tokio::test]
async fn a_rotation(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        let old = world.webhooks().await[0].id.clone();
        world.fate.plan(nth, mishap);
        rotate(&world).await;
        if !world.fate.end() {
            assert!(nth > 7, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        let is_begun = world.account().unwrap().rotation().is_some();
        world.asked().await;
        world.check().await.expect(200);
        let asked = world.asked().await;
        assert!(asked.len() <= 2, "{mishap:?} at {nth}: {asked:?}");
        let webhooks = world.webhooks().await;
        if !is_begun {
            assert!(nth <= 1, "after the lease, the desired is kept first");
            world.assert_connected(&webhooks);
            continue;
        }
        assert_eq!(webhooks.len(), 2, "{mishap:?} at {nth}");
        // The same call again begins no second one.
        rotate(&world).await;
        assert_eq!(world.webhooks().await, webhooks, "{mishap:?} at {nth}");
        world.deliver_by(&webhooks[0].id);
        world.check().await.expect(200);
        assert_rotated(&world, &world.webhooks().await, &old);
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
async fn the_end_of_an_overlap(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        let old = world.webhooks().await[0].id.clone();
        world.rotate().await.expect(200);
        world.deliver_by(&world.webhooks().await[0].id);
        world.fate.plan(nth, mishap);
        check(&world).await;
        if !world.fate.end() {
            assert!(nth > 7, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.check().await.expect(200);
        assert_rotated(&world, &world.webhooks().await, &old);
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
async fn the_end_of_a_grace(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        world.rotate().await.expect(200);
        world.deliver_by(&world.webhooks().await[0].id);
        world.check().await.expect(200);
        world.pass(72 * 3600);
        world.fate.plan(nth, mishap);
        check(&world).await;
        if !world.fate.end() {
            assert!(nth > 6, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.check().await.expect(200);
        world.assert_connected(&world.webhooks().await);
        assert_eq!(world.keys().len(), 1, "{mishap:?} at {nth}");
        use domain::account::TokenStatus::{Live, Retired};
        assert_eq!(world.token_statuses(), [Live, Retired]);
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
async fn a_disconnect_during_a_rotation(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.connect().await.expect(200);
        world.rotate().await.expect(200);
        world.fate.plan(nth, mishap);
        delete(&world).await;
        if !world.fate.end() {
            assert!(nth > 7, "only {nth} calls");
            return;
        }
        outlive_the_lease(&world);
        world.disconnect().await.expect(200);
        assert!(world.webhooks().await.is_empty(), "{mishap:?} at {nth}");
        assert!(world.oauth().is_none() && world.keys().is_empty());
        let statuses = world.token_statuses();
        assert!(!statuses.iter().any(|status| status.takes_deliveries()));
        assert_eq!(statuses.len(), 2, "{mishap:?} at {nth}");
    }
    panic!("the story does not end");
}
