//! Manual accounts: a person registers the URL at the source.

use domain::account::TokenStatus::{Grace, Live, Pending, Retired};
use domain::account::UrlToken;
use serde_json::{Value, json};

use crate::world::{HOOKS, World, assert_has, patch};

pub(crate) fn desired(secrets: &[&str]) -> Value {
    json!({ "source": "stackone", "signing_secrets": secrets, "events": ["*"] })
}

/// The URL's token, out of the one answer that shows it.
pub(crate) fn token_of(body: &Value) -> UrlToken {
    let url = body["endpoint"].as_str().unwrap();
    let token = url.strip_prefix(HOOKS).unwrap();
    token.strip_prefix("/stackone/").unwrap().parse().unwrap()
}

/// A manual account without a URL.
pub(crate) async fn without_url() -> World {
    let world = World::new().await;
    world.put("acme", &desired(&["one"])).await.expect(200);
    world
}

/// A manual account that waits for the first delivery by its URL.
pub(crate) async fn waiting() -> (World, UrlToken) {
    let world = without_url().await;
    let token = make_url(&world).await;
    (world, token)
}

/// Makes a URL, and gets its token.
pub(crate) async fn make_url(world: &World) -> UrlToken {
    token_of(&world.act("endpoint").await.expect(200).body)
}

#[tokio::test]
async fn a_manual_account_waits_for_a_person_and_is_connected_by_its_first_delivery() {
    let world = World::new().await;
    let answer = world.put("acme", &desired(&["marker-one"])).await;
    let answer = answer.expect(200);
    assert_eq!(answer.body["state"], "waiting");
    answer.assert_explains("/v1/accounts/acme/endpoint");

    let made = world.act("endpoint").await.expect(200);
    let token = token_of(&made.body);
    assert_eq!(made.body["state"], "waiting");
    let entry = world.token_entry(&token).unwrap();
    assert!(entry.status.takes_deliveries());
    let held = world.signing_keys();
    let held = held.of(&token.hash(), None).unwrap();
    let version = held.version;
    assert_eq!(entry.keys, version, "who caches keys sees new ones");
    assert_eq!(world.macs_of(&token), ["marker-one"]);

    let before = world.check().await.expect(200);
    assert_eq!(before.body["state"], "waiting", "nothing has come yet");
    world.deliver_to(token.hash());
    let after = world.check().await.expect(200);
    assert_eq!(after.body["state"], "connected");
    assert_eq!(world.status_of(&token), Live);
    assert!(world.asked().await.is_empty(), "no source is asked");

    let shown = world.show("acme").await.expect(200).body.to_string();
    assert!(!shown.contains(token.expose()), "{shown}");
    assert!(!shown.contains("marker"), "{shown}");
}

#[tokio::test]
async fn the_same_call_again_changes_nothing_and_other_secrets_replace_those_before() {
    let (world, token) = waiting().await;
    let account = world.account();
    world.put("acme", &desired(&["one"])).await.expect(200);
    assert_eq!(world.account(), account);

    world.pass(60);
    let both = json!({ "signing_secrets": ["one", "two"] });
    let changed = world.try_call(patch(both)).await;
    changed.unwrap().expect(200);
    assert_eq!(world.macs_of(&token), ["one", "two"]);
    let version = world.token_entry(&token).unwrap().keys;
    assert!(version > account.unwrap().registrations[0].keys);
    world.put("acme", &desired(&["two"])).await.expect(200);
    assert_eq!(world.macs_of(&token), ["two"]);
    assert!(world.token_entry(&token).unwrap().keys > version);
}

/// How long a URL is taken that another has replaced, in seconds.
const GRACE: usize = 72 * 3600;

/// A manual account whose URL is in use.
async fn in_use() -> (World, UrlToken) {
    let (world, token) = waiting().await;
    world.deliver_to(token.hash());
    let checked = world.check().await.expect(200);
    assert_eq!(checked.body["state"], "connected");
    (world, token)
}

#[tokio::test]
async fn another_url_before_any_delivery_replaces_the_one_that_nobody_used() {
    let (world, first) = waiting().await;
    let second = make_url(&world).await;
    let third = make_url(&world).await;
    assert_ne!(first.hash(), second.hash());
    for unused in [&first, &second] {
        assert_eq!(world.status_of(unused), Grace);
        assert_eq!(world.macs_of(unused), ["one"]);
    }
    assert_eq!(world.status_of(&third), Pending);
    world.pass(GRACE + 1);
    world.check().await.expect(200);
    for unused in [&first, &second] {
        assert_eq!(world.status_of(unused), Retired);
    }
    assert!(world.status_of(&third).takes_deliveries());
    world.check().await.expect(200);
    assert_eq!(world.macs_of(&first), Vec::<String>::new());
}

#[tokio::test]
async fn a_url_in_use_stays_so_until_the_new_one_has_brought_a_delivery() {
    let (world, first) = in_use().await;
    let made = world.act("endpoint").await.expect(200);
    let second = token_of(&made.body);
    assert_eq!(made.body["state"], "connected");
    made.assert_explains("another URL was made");
    // However long it takes: the person has the time that the person needs.
    for _ in 0..3 {
        world.pass(GRACE);
        let checked = world.check().await.expect(200);
        assert_eq!(checked.body["state"], "connected");
    }
    assert_eq!(world.status_of(&first), Live);
    assert_eq!(world.status_of(&second), Pending);
    assert_eq!(world.macs_of(&first), ["one"]);
    assert_eq!(world.macs_of(&second), ["one"]);

    // A delivery of the old one says nothing of the new one.
    world.deliver_to(first.hash());
    world.check().await.expect(200);
    assert_eq!(world.status_of(&first), Live);

    world.deliver_to(second.hash());
    let after = world.check().await.expect(200);
    assert_eq!(after.body["state"], "connected");
    let explanation = after.explanation();
    assert!(!explanation.contains("another URL"), "{explanation}");
    assert_eq!(world.status_of(&second), Live);
    assert_eq!(world.status_of(&first), Grace);
    world.assert_noted("the URL that was in use before is taken until");

    // Retries of the old one are taken during its grace, and no longer.
    world.pass(GRACE - 1);
    world.deliver_to(first.hash());
    world.check().await.expect(200);
    assert_eq!(world.status_of(&first), Grace);
    assert_eq!(world.macs_of(&first), ["one"]);
    assert_eq!(world.status_of(&second), Live);
    world.pass(2);
    world.check().await.expect(200);
    assert_eq!(world.status_of(&first), Retired);
    assert_eq!(world.status_of(&second), Live);
}

#[tokio::test]
async fn of_two_urls_that_were_asked_for_after_one_in_use_only_the_unused_one_is_replaced() {
    let (world, first) = in_use().await;
    let second = make_url(&world).await;
    let third = make_url(&world).await;
    assert_eq!(world.status_of(&first), Live);
    assert_eq!(world.status_of(&second), Grace);
    assert_eq!(world.status_of(&third), Pending);
    world.pass(GRACE + 1);
    world.check().await.expect(200);
    assert_eq!(world.status_of(&first), Live);
    assert_eq!(world.status_of(&second), Retired);
    assert_eq!(world.status_of(&third), Pending);
}

#[tokio::test]
async fn a_url_whose_first_delivery_no_check_has_seen_is_in_use_all_the_same() {
    let (world, first) = waiting().await;
    world.deliver_to(first.hash());
    let made = world.act("endpoint").await.expect(200);
    assert_eq!(made.body["state"], "connected");
    assert_eq!(world.status_of(&first), Live);
    assert_eq!(world.status_of(&token_of(&made.body)), Pending);
}

#[tokio::test]
async fn a_disconnect_retires_the_url_and_says_what_a_person_has_to_remove() {
    let (world, token) = waiting().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    let left = "remove the webhook at StackOne by hand";
    assert_has(answer.last_error(), left);
    assert_eq!(world.status_of(&token), Retired);
    assert!(world.macs_of(&token).is_empty() && world.oauth().is_none());
    world.act("endpoint").await.expect(409);
}

#[tokio::test]
async fn without_a_url_there_is_nothing_to_remove() {
    let world = without_url().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["last_error"], json!(null));
}

#[tokio::test]
async fn lost_keys_and_entries_are_written_anew() {
    let (world, token) = waiting().await;
    world.lose_keys();
    world.lose_entries();
    world.check().await.expect(200);
    assert_eq!(world.macs_of(&token), ["one"]);
    assert!(world.status_of(&token).takes_deliveries());
}

#[tokio::test]
async fn calls_for_the_other_kind_of_account_are_refused_with_what_to_do() {
    let world = without_url().await;
    let answer = world.rotate().await.expect(409);
    answer.assert_says("/endpoint");
    let world = World::connected().await;
    let answer = world.act("endpoint").await.expect(409);
    answer.assert_says("/rotate");
    assert!(!answer.body.to_string().contains(HOOKS));
    world.put("acme", &desired(&["one"])).await.expect(409);
}
