//! Every call to a store goes wrong once, in every way, while a manual account is worked on; the same call again, or the next
//! check, ends as if nothing had happened. There is no source to ask.

use std::sync::atomic::Ordering;

use domain::account::{TokenStatus, UrlToken};
use domain::signature::MacKey;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{HOOKS, Mishap, World};

/// More calls than any story makes; a story that reaches it would not end.
const TOO_MANY: usize = 60;

const PUT: &str = "PUT /v1/accounts/{account}";
const PATCH: &str = "PATCH /v1/accounts/{account}";
const DELETE: &str = "DELETE /v1/accounts/{account}";
const ACT: &str = "POST /v1/accounts/{account}/{action}";

fn desired(secrets: &[&str]) -> Value {
    json!({ "source": "stackone", "signing_secrets": secrets, "events": ["*"] })
}

/// A manual account that waits for its first delivery.
async fn waiting() -> (World, UrlToken) {
    let world = World::new().await;
    world.put("acme", &desired(&["one"])).await.expect(200);
    let token = token_of(&world.act("endpoint").await.expect(200).body);
    (world, token)
}

fn token_of(body: &Value) -> UrlToken {
    let url = body["endpoint"].as_str().unwrap();
    let token = url.strip_prefix(HOOKS).unwrap();
    token.strip_prefix("/stackone/").unwrap().parse().unwrap()
}

/// Makes the call, of which number `nth` of its calls to stores goes wrong. Whether there were that many.
async fn cut_short(
    world: &World,
    (nth, mishap): (usize, usize),
    (route, parameters, body): (&str, Value, Option<Value>),
) -> bool {
    world.fate.plan(nth, Mishap::ALL[mishap]);
    let body = body.map(|body| body.to_string());
    let _ = world.try_call(route, parameters, body).await;
    let is_cut = world.fate.end();
    // The lease of a call that died is outlived.
    world.pass(46);
    is_cut
}

fn acme() -> Value {
    json!({ "account": "acme" })
}

fn action(action: &str) -> Value {
    json!({ "account": "acme", "action": action })
}

/// Each URL that takes deliveries has these keys, in the version that its entry names; no other is held.
#[track_caller]
fn assert_held(world: &World, expected: &[&str], at: &str) {
    let held = world.signing_keys();
    let account = world.account().unwrap();
    assert_eq!(
        held.registrations().len(),
        account.registrations.len(),
        "{at}"
    );
    for registration in &account.registrations {
        let keys = held.of(&registration.token, None).unwrap();
        let macs: Vec<&str> = keys.secrets.macs.iter().map(MacKey::expose).collect();
        assert_eq!(macs, expected, "{at}");
        let entries = world.token_entries();
        let entry = entries
            .iter()
            .find(|(token, _)| *token == registration.token);
        let (_, entry) = entry.unwrap();
        assert!(entry.status.takes_deliveries(), "{at}");
        assert_eq!(
            (entry.keys, registration.keys),
            (keys.version, keys.version),
            "{at}"
        );
    }
}

#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_first_put(#[values(0, 1, 2, 3)] mishap: usize) {
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        let body = Some(desired(&["one"]));
        if !cut_short(&world, (nth, mishap), (PUT, acme(), body)).await {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        let answer = world.put("acme", &desired(&["one"])).await.expect(200);
        assert_eq!(answer.body["state"], "waiting");
        assert_eq!(answer.body["last_error"], json!(null));
        assert!(world.account().unwrap().registrations.is_empty());
        let token = token_of(&world.act("endpoint").await.expect(200).body);
        assert_held(&world, &["one"], &format!("{mishap} at {nth}"));
        assert!(world.token_entry(&token).is_some());
        let saves = world.accounts.saves.load(Ordering::SeqCst);
        world.put("acme", &desired(&["one"])).await.expect(200);
        assert_eq!(world.accounts.saves.load(Ordering::SeqCst), saves);
    }
    panic!("the story does not end");
}

/// A URL whose answer was lost is known to nobody: the same call makes another, and only that one waits.
#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn an_endpoint(#[values(0, 1, 2, 3)] mishap: usize) {
    for nth in 0..TOO_MANY {
        let world = World::new().await;
        world.put("acme", &desired(&["one"])).await.expect(200);
        if !cut_short(&world, (nth, mishap), (ACT, action("endpoint"), None)).await {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        let at = format!("{mishap} at {nth}");
        let made = world.act("endpoint").await.expect(200);
        assert_eq!(made.body["state"], "waiting", "{at}");
        let token = token_of(&made.body);
        assert_held(&world, &["one"], &at);
        let open = |world: &World| {
            let statuses = world.token_statuses().into_iter();
            statuses
                .filter(|status| *status == TokenStatus::Pending)
                .count()
        };
        assert_eq!(open(&world), 1, "{at}");
        world.deliver_to(token.hash());
        let checked = world.check().await.expect(200);
        assert_eq!(checked.body["state"], "connected", "{at}");
        // The lost one ends with its grace.
        world.pass(72 * 3600 + 1);
        world.check().await.expect(200);
        let account = world.account().unwrap();
        let tokens: Vec<_> = account.registrations.iter().map(|own| own.token).collect();
        assert_eq!(tokens, [token.hash()], "{at}");
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn the_check_after_the_first_delivery(#[values(0, 1, 2, 3)] mishap: usize) {
    for nth in 0..TOO_MANY {
        let (world, token) = waiting().await;
        world.deliver_to(token.hash());
        if !cut_short(&world, (nth, mishap), (ACT, action("check"), None)).await {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        let at = format!("{mishap} at {nth}");
        let answer = world.check().await.expect(200);
        assert_eq!(answer.body["state"], "connected", "{at}");
        let entry = world.token_entry(&token).unwrap();
        assert_eq!(entry.status, TokenStatus::Live, "{at}");
        assert_held(&world, &["one"], &at);
        let history = world.history();
        let count = history
            .iter()
            .filter(|what| what.contains("connected: the URL"));
        assert_eq!(count.count(), 1, "{at}: {history:?}");
    }
    panic!("the story does not end");
}

/// While a second secret is added, the first is good at every moment.
#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_second_secret(#[values(0, 1, 2, 3)] mishap: usize) {
    for nth in 0..TOO_MANY {
        let (world, token) = waiting().await;
        world.deliver_to(token.hash());
        world.check().await.expect(200);
        world.pass(60);
        let both = json!({ "signing_secrets": ["one", "two"] });
        let is_cut = cut_short(&world, (nth, mishap), (PATCH, acme(), Some(both.clone()))).await;
        let held = world.signing_keys();
        let held = held.of(&token.hash(), None).unwrap();
        let at = format!("{mishap} at {nth}");
        assert_eq!(held.secrets.macs[0].expose(), "one", "{at}");
        if !is_cut {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        let answer = world.call(PATCH, acme(), Some(both)).await.expect(200);
        assert_eq!(answer.body["state"], "connected", "{at}");
        assert_held(&world, &["one", "two"], &at);
    }
    panic!("the story does not end");
}

/// A change that was kept and not carried through is completed by the schedule's check.
#[rstest]
#[tokio::test]
async fn a_second_secret_that_a_check_completes(#[values(0, 1, 2, 3)] mishap: usize) {
    for nth in 0..TOO_MANY {
        let (world, _) = waiting().await;
        world.pass(60);
        let both = json!({ "signing_secrets": ["one", "two"] });
        if !cut_short(&world, (nth, mishap), (PATCH, acme(), Some(both))).await {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        world.check().await.expect(200);
        let account = world.account().unwrap();
        let held = world.signing_keys();
        let keys = held.of(&account.registrations[0].token, None).unwrap();
        let count = keys.secrets.macs.len();
        assert_held(
            &world,
            &["one", "two"][..count],
            &format!("{mishap} at {nth}"),
        );
    }
    panic!("the story does not end");
}

#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_disconnect(#[values(0, 1, 2, 3)] mishap: usize) {
    for nth in 0..TOO_MANY {
        let (world, token) = waiting().await;
        if !cut_short(&world, (nth, mishap), (DELETE, acme(), None)).await {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        let at = format!("{mishap} at {nth}");
        let answer = world.disconnect().await.expect(200);
        assert_eq!(answer.body["state"], "disconnected", "{at}");
        let left = answer.body["last_error"]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(
            left.contains("remove the webhook at StackOne by hand"),
            "{at}: {left}"
        );
        assert_eq!(
            world.token_entry(&token).unwrap().status,
            TokenStatus::Retired,
            "{at}"
        );
        assert!(world.oauth().is_none(), "{at}");
        assert!(world.signing_keys().registrations().is_empty(), "{at}");
        assert!(world.asked().await.is_empty(), "no source is asked");
    }
    panic!("the story does not end");
}
