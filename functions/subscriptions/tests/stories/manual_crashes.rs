//! Every call to a store goes wrong once, in every way, while a manual account is worked on; the same call again, or the next
//! check, ends as if nothing had happened. There is no source to ask.

use domain::account::{TokenStatus, UrlToken};
use domain::signature::MacKey;
use serde_json::{Value, json};

use crate::manual::{desired, make_url, token_of, waiting, without_url};
use crate::world::{World, act, delete, each_mishap, patch, put};

async fn unknown() -> (World, ()) {
    (World::new().await, ())
}

/// A manual account whose first delivery has come.
async fn delivered() -> (World, UrlToken) {
    let (world, token) = waiting().await;
    world.deliver_to(token.hash());
    (world, token)
}

fn both() -> Value {
    json!({ "signing_secrets": ["one", "two"] })
}

/// Each URL that takes deliveries has these keys, in the version that its entry names; no other is held.
#[track_caller]
fn assert_held(world: &World, expected: &[&str], at: &str) {
    let held = world.signing_keys();
    let account = world.account().unwrap();
    let count = account.registrations.len();
    assert_eq!(held.registrations().len(), count, "{at}");
    for registration in &account.registrations {
        let keys = held.of(&registration.token, None).unwrap();
        let macs: Vec<&str> = keys.secrets.macs.iter().map(MacKey::expose).collect();
        assert_eq!(macs, expected, "{at}");
        let entries = world.token_entries();
        let mut entries = entries.iter();
        let entry = entries.find(|(token, _)| *token == registration.token);
        let (_, entry) = entry.unwrap();
        assert!(entry.status.takes_deliveries(), "{at}");
        assert_eq!(entry.keys, keys.version, "{at}");
        assert_eq!(registration.keys, keys.version, "{at}");
    }
}

#[tokio::test]
// requirement: subscription-crash
async fn a_first_put() {
    let call = |_: &World| put(desired(&["one"]));
    each_mishap(4, unknown, call, async |world: &World, (), at: &str| {
        let answer = world.put("acme", &desired(&["one"])).await.expect(200);
        assert_eq!(answer.body["state"], "waiting");
        assert_eq!(answer.body["last_error"], json!(null));
        assert!(world.account().unwrap().registrations.is_empty());
        let token = make_url(world).await;
        assert_held(world, &["one"], at);
        assert!(world.token_entry(&token).is_some());
        let saves = world.saves();
        world.put("acme", &desired(&["one"])).await.expect(200);
        assert_eq!(world.saves(), saves);
    })
    .await;
}

/// A URL whose answer was lost is known to nobody: the same call makes another, and only that one waits.
#[tokio::test]
// requirement: subscription-crash
async fn an_endpoint() {
    let begin = async || (without_url().await, ());
    let go_on = async |world: &World, (), at: &str| {
        let made = world.act("endpoint").await.expect(200);
        assert_eq!(made.body["state"], "waiting", "{at}");
        let token = token_of(&made.body);
        assert_held(world, &["one"], at);
        let open = world.token_statuses().into_iter();
        let open = open.filter(|status| *status == TokenStatus::Pending);
        assert_eq!(open.count(), 1, "{at}");
        world.deliver_to(token.hash());
        let checked = world.check().await.expect(200);
        assert_eq!(checked.body["state"], "connected", "{at}");
        // The lost one ends with its grace.
        world.pass(72 * 3600 + 1);
        world.check().await.expect(200);
        let account = world.account().unwrap();
        let tokens: Vec<_> = account.registrations.iter().map(|own| own.token).collect();
        assert_eq!(tokens, [token.hash()], "{at}");
    };
    each_mishap(4, begin, |_| act("endpoint"), go_on).await;
}

#[tokio::test]
// requirement: subscription-crash
async fn the_check_after_the_first_delivery() {
    let go_on = async |world: &World, token: UrlToken, at: &str| {
        let answer = world.check().await.expect(200);
        assert_eq!(answer.body["state"], "connected", "{at}");
        assert_eq!(world.status_of(&token), TokenStatus::Live, "{at}");
        assert_held(world, &["one"], at);
        let notes = world.notes();
        let said = notes.matches("connected: the URL").count();
        assert_eq!(said, 1, "{at}: {notes}");
    };
    each_mishap(4, delivered, |_| act("check"), go_on).await;
}

/// While a second secret is added, the first is good at every moment.
#[tokio::test]
// requirement: subscription-crash
async fn a_second_secret() {
    let begin = async || {
        let (world, token) = delivered().await;
        world.check().await.expect(200);
        world.pass(60);
        (world, token)
    };
    let go_on = async |world: &World, token: UrlToken, at: &str| {
        assert_eq!(world.macs_of(&token)[0], "one", "{at}");
        let answer = world.try_call(patch(both())).await.unwrap().expect(200);
        assert_eq!(answer.body["state"], "connected", "{at}");
        assert_held(world, &["one", "two"], at);
    };
    each_mishap(4, begin, |_| patch(both()), go_on).await;
}

/// A change that was kept and not carried through is completed by the schedule's check.
#[tokio::test]
async fn a_second_secret_that_a_check_completes() {
    let begin = async || {
        let (world, token) = waiting().await;
        world.pass(60);
        (world, token)
    };
    let go_on = async |world: &World, token: UrlToken, at: &str| {
        world.check().await.expect(200);
        let count = world.macs_of(&token).len();
        assert_held(world, &["one", "two"][..count], at);
    };
    each_mishap(4, begin, |_| patch(both()), go_on).await;
}

#[tokio::test]
// requirement: subscription-crash
async fn a_disconnect() {
    let go_on = async |world: &World, token: UrlToken, at: &str| {
        let answer = world.disconnect().await.expect(200);
        assert_eq!(answer.body["state"], "disconnected", "{at}");
        let left = answer.last_error();
        let said = "remove the webhook at StackOne by hand";
        assert!(left.contains(said), "{at}: {left}");
        assert_eq!(world.status_of(&token), TokenStatus::Retired, "{at}");
        assert!(world.oauth().is_none(), "{at}");
        assert!(world.signing_keys().registrations().is_empty(), "{at}");
        assert!(world.asked().await.is_empty(), "no source is asked");
    };
    each_mishap(4, waiting, |_| delete(), go_on).await;
}
