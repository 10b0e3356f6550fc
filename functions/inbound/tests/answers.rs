//! The table of answers, row by row: what is said, and what is kept.

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::account::TokenStatus::{Grace, Live, Pending, Retired};
use domain::account::{KeysVersion, TokenEntry, TokenStatus, UrlToken, WebhookId};
use domain::envelope::Content;
use domain::ports::{ErrorKind, QueueUrl};
use domain::signature::{MacKey, SigningKeys};
use domain::source::Source;
use domain::timestamp::Timestamp;
use rstest::rstest;
use runtime::gateway::GatewayEvent;
use serde_json::{Value, json};
use testkit::delivery::delivery;
use testkit::fakes::Fault;
use testkit::gateway::{HookRequest, RECEIVED_MILLIS, hook};
use tokio::time::{Instant, advance};
use world::{
    BUDGET_MS, ENTRIES_BELIEVED, KEY, KEYS_TTL, LEASE_SECONDS, WEBHOOK, World, entry, world,
};

const ORDER: &str = r#"{"id":"or_1","note":"Fish \u0026 Chips", "total":20.0}"#;

/// A delivery of that order.
fn order() -> Vec<u8> {
    delivery().event("order.created", ORDER).body()
}

/// Another token than the account's own.
fn new_token() -> UrlToken {
    UrlToken::from_random(&[9; 32])
}

#[tokio::test(start_paused = true)]
// requirement: durable-counted, lost-neighbours
async fn a_genuine_delivery_is_split_into_lanes_and_kept() {
    let world = world();
    let body = delivery()
        .event("order.created", ORDER)
        .event("inventory_level.updated", r#"{"sku":"A 1"}"#)
        .event("standing_order.paused", r#"{"id":"so_1"}"#)
        .body();
    let answered = world.post(&world.signed(body.clone())).await;
    assert_eq!((answered.status, &*answered.word), (200, "accepted"));
    world.assert_counts(&[("inventory", 1), ("orders", 1), ("other", 1)]);
    let orders = world.queue("orders");
    let envelope = orders[0].envelope();
    assert!(matches!(envelope.content, Content::Inline(record) if record.get() == ORDER));
    assert_eq!(envelope.subject.as_str(), "order/or_1");
    assert_eq!(envelope.time().millis(), RECEIVED_MILLIS);
    assert_eq!(orders[0].group.as_deref(), Some("acme"));
    let kept = world.receipts.kept();
    assert_eq!((kept.len(), kept[0].events, &kept[0].body), (1, 3, &body));
    assert_eq!(kept[0].delivery, envelope.id.delivery());
    assert_eq!(world.receipts.marker_count(), 0);
}

#[rstest]
#[case::by_default(&[], Some("acme"))]
#[case::fair(&[("FAIR_QUEUES", "true")], Some("acme"))]
#[case::not_fair(&[("FAIR_QUEUES", "false")], None)]
#[tokio::test(start_paused = true)]
// requirement: lost-neighbours, parameters-keep-promises
async fn messages_of_lanes_name_their_account_as_their_group_where_queues_are_fair(
    #[case] variables: &[(&str, &str)],
    #[case] group: Option<&str>,
) {
    let world = world();
    let large = format!(r#"{{"id":"or_2","note":"{}"}}"#, "x".repeat(300_000));
    let body = delivery()
        .event("order.created", ORDER)
        .event("order.created", &large)
        .body();
    let instance = world.instance_with(variables);
    let sent = world.signed(body);
    let answered = world.post_to(&instance, &sent, RECEIVED_MILLIS).await;
    assert_eq!(answered.status, 200);
    let orders = world.queue("orders");
    let groups = orders.iter().map(|sent| sent.group.as_deref());
    assert_eq!(groups.collect::<Vec<_>>(), [group; 2]);
}

#[tokio::test(start_paused = true)]
// requirement: answer-empty
async fn an_empty_list_is_kept_and_accepted() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    assert_eq!(world.receipts.kept().len(), 1);
    assert!(world.counts().is_empty());
}

#[rstest]
#[case::not_json("not json", "not_json")]
#[case::no_list("{}", "no_event_list")]
#[case::nothing("", "not_json")]
#[tokio::test(start_paused = true)]
// requirement: durable-quarantine, answer-not-list
async fn what_is_genuine_and_not_understood_is_quarantined_behind_its_receipt(
    #[case] body: &str,
    #[case] reason: &str,
) {
    let world = world();
    assert_eq!(world.deliver(body).await, 200);
    let notice = world.queue("quarantine")[0].json();
    let kept = world.receipts.kept();
    assert_eq!(notice["reason"], reason);
    assert_eq!(notice["receipt"]["sk"], kept[0].delivery.to_string());
    assert_eq!(notice["receipt"]["pk"], "acme#2026-11-20");
    assert_eq!(kept[0].body, body.as_bytes());
    assert!(world.receipt_came_first());
    assert_eq!(world.counts().len(), 1);
}

#[tokio::test(start_paused = true)]
// requirement: answer-too-many
async fn a_thousand_and_one_events_are_quarantined_as_a_whole() {
    let world = world();
    assert_eq!(world.deliver(delivery().orders(1001).body()).await, 200);
    let notice = world.queue("quarantine")[0].json();
    assert_eq!(notice["reason"], "too_many_events");
    assert_eq!(world.counts().len(), 1);
}

#[tokio::test(start_paused = true)]
// requirement: answer-bad-elements
async fn bad_elements_are_quarantined_and_the_others_go_on() {
    let world = world();
    let body = delivery()
        .element("7")
        .event("order.created", ORDER)
        .element(r#"{"data":{}}"#)
        .body();
    assert_eq!(world.deliver(body).await, 200);
    let notice = world.queue("quarantine")[0].json();
    let elements = json!([
        { "index": 0, "reason": "element_not_an_object" },
        { "index": 2, "reason": "element_without_type" },
    ]);
    assert_eq!(notice["elements"], elements);
    assert_eq!(notice.get("reason"), None);
    let orders = world.queue("orders");
    assert_eq!(orders[0].envelope().id.index().get(), 1);
    assert!(world.receipt_came_first());
}

#[tokio::test(start_paused = true)]
// requirement: unauthenticated-answer, unauthenticated-write, unauthenticated-time
async fn unauthenticated_requests_are_all_answered_alike_and_cost_one_check_at_most() {
    let world = world();
    let body = order();
    let token = world.token.expose();
    let retired = new_token();
    world.register(&retired, Some("wh_2"), Retired);
    let unknown = UrlToken::from_random(&[8; 32]);
    let signature = testkit::signing::sign(KEY, &body);
    let unauthenticated = [
        hook(unknown.expose(), body.clone()).signed(KEY),
        hook("short", body.clone()).signed(KEY),
        hook(token, body.clone()).of_source("elsewhere").signed(KEY),
        hook(token, body.clone()).of_source("").signed(KEY),
        hook(retired.expose(), body.clone()).signed(KEY),
        hook(token, body.clone()),
        hook(token, body.clone()).signed("another key"),
        hook(token, body.clone()).header(
            "x-orderspace-signature",
            &testkit::signing::sign_in_hex(KEY, &body),
        ),
        hook(token, body.clone()).signed(KEY).signed(KEY),
        hook(token, [&body[..], b" "].concat()).header("x-orderspace-signature", &signature),
    ];
    for forged in &unauthenticated {
        let answered = world.post(forged).await;
        assert_eq!(answered.status, 401, "{forged:?}");
        assert_eq!(answered.word, "unauthorized", "{forged:?}");
    }
    // Three of them know the token and prove nothing: together they ask for one check of the account.
    let calls = world.calls();
    let expected = [
        ("keys.read", 1),
        ("queues.send", 1),
        ("receipts.claim_check", 1),
        ("tokens.find", 3),
    ];
    let expected = expected.map(|(call, count)| (call.to_owned(), count));
    assert_eq!(calls, expected.into());
    assert_eq!(world.queue("checks")[0].body, r#"{"account":"acme"}"#);
    let trimmed = hook(token, body).header("x-orderspace-signature", &format!(" {signature} "));
    assert_eq!(world.post(&trimmed).await.status, 200);
}

/// What the Lambda library panicked on, before any code of ours.
#[rstest]
#[case::quote_in_the_query("rawQueryString", r#""\"""#, 200)]
#[case::spaces_in_the_path("rawPath", r#""/hooks/ \u0000""#, 200)]
#[case::no_base64("isBase64Encoded", "true", 401)]
#[case::no_body_at_all("body", "null", 401)]
#[case::no_context("requestContext", "null", 401)]
#[tokio::test(start_paused = true)]
// requirement: unauthenticated-no-panic
async fn odd_requests_are_answered(#[case] member: &str, #[case] value: &str, #[case] status: u16) {
    let world = world();
    let change = |event: &mut Value| event[member] = serde_json::from_str(value).unwrap();
    let answer = world.respond(&world.signed("[ ]"), change).await;
    assert_eq!(answer["statusCode"], status);
    assert_eq!(answer["isBase64Encoded"], false);
    let words = BTreeMap::from([(200, "accepted"), (401, "unauthorized")]);
    assert_eq!(answer["body"], words[&status]);
}

#[tokio::test(start_paused = true)]
async fn a_url_may_have_a_part_behind_the_token() {
    let world = world();
    let parted = world.signed(order()).with_part("orders");
    assert_eq!(world.post(&parted).await.status, 200);
    assert_eq!(world.queue("orders").len(), 1);
}

#[rstest]
#[case::of_text(false)]
#[case::in_base64(true)]
#[tokio::test(start_paused = true)]
// requirement: durable-counted
async fn a_function_url_takes_what_the_gateway_takes(#[case] base64: bool) {
    let world = world();
    let plain = world.signed(order());
    let sent = match base64 {
        true => plain.clone().in_base64(),
        false => plain.clone(),
    };
    let parted = sent.clone().with_part("orders").by_function_url();
    for (request, count) in [(sent.by_function_url(), 1), (parted, 2), (plain, 3)] {
        let answered = world.post(&request).await;
        assert_eq!((answered.status, &*answered.word), (200, "accepted"));
        assert_eq!(world.queue("orders").len(), count);
    }
    let kept = world.receipts.kept();
    assert!(kept.iter().all(|receipt| receipt.body == order()));
    let time = world.queue("orders")[0].envelope().time();
    assert_eq!(time.millis(), RECEIVED_MILLIS);
}

#[rstest]
#[case::no_signature(|world: &World| hook(world.token.expose(), "[]"))]
#[case::wrong_signature(|world: &World| hook(world.token.expose(), "[]").signed("another key"))]
#[case::no_source(|world: &World| world.signed("[]").of_source("elsewhere"))]
#[case::no_part(|world: &World| world.signed("[]").with_part("A b"))]
#[case::no_token(|_: &World| hook("short", "[]").signed(KEY))]
#[tokio::test(start_paused = true)]
// requirement: unauthenticated-answer
async fn a_function_url_refuses_what_the_gateway_s_route_refuses(
    #[case] request: fn(&World) -> HookRequest,
) {
    let world = world();
    let request = request(&world);
    for request in [request.clone(), request.by_function_url()] {
        let answered = world.post(&request).await;
        assert_eq!((answered.status, &*answered.word), (401, "unauthorized"));
    }
    assert!(world.receipts.kept().is_empty());
}

#[rstest]
#[case::of_nothing("rawPath", "/")]
#[case::of_the_admin_api("rawPath", "/v1/accounts")]
#[case::without_a_token("rawPath", "/hooks/orderspace")]
#[case::by_another_method("method", "GET")]
#[tokio::test(start_paused = true)]
// requirement: unauthenticated-answer, unauthenticated-write
async fn a_function_url_answers_what_is_no_webhook_s_as_the_gateway_does(
    #[case] member: &str,
    #[case] value: &str,
) {
    let world = world();
    let sent = world.signed("[]").by_function_url();
    let change = |event: &mut Value| match member {
        "method" => event["requestContext"]["http"]["method"] = value.into(),
        member => event[member] = value.into(),
    };
    let answer = world.respond(&sent, change).await;
    assert_eq!(answer["statusCode"], 404);
    assert_eq!(answer["body"], r#"{"message":"Not Found"}"#);
    assert!(world.calls().is_empty(), "{:?}", world.calls());
}

#[rstest]
#[case::of_the_release_before("POST /hooks/orderspace/{token}", 200)]
#[case::of_another_source("POST /hooks/elsewhere/{token}", 401)]
#[case::of_this_release("POST /hooks/{source}/{token}", 401)]
#[case::of_nothing("$default", 401)]
#[tokio::test(start_paused = true)]
async fn without_the_parameter_the_route_names_the_source(
    #[case] route: &str,
    #[case] status: u16,
) {
    let world = world();
    let mut event: Value = serde_json::from_str(&world.signed("[]").to_json()).unwrap();
    let parameters = event["pathParameters"].as_object_mut().unwrap();
    parameters.remove("source");
    event["requestContext"]["routeKey"] = route.into();
    // It is a request all the same: what is none is answered 401 as well.
    let request = GatewayEvent::parse(&event.to_string()).into_request();
    let now = Timestamp::from_millis(RECEIVED_MILLIS);
    let answer = world.function.handle(&request.unwrap(), now).await;
    assert_eq!(answer.status(), status);
}

#[tokio::test(start_paused = true)]
// requirement: unauthenticated-secrets
async fn wrong_signatures_do_not_make_us_read_secrets_at_will() {
    let world = world();
    let forged = hook(world.token.expose(), "[]").signed("another key");
    for _ in 0..1000 {
        assert_eq!(world.post(&forged).await.status, 401);
    }
    assert_eq!(world.calls()["tokens.find"], 1);
    let reads = world.calls()["keys.read"];
    assert_eq!(reads, 1, "fresh keys are not asked for again");
    for _ in 0..60 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(world.post(&forged).await.status, 401);
    }
    let reads = world.calls()["keys.read"];
    assert!((5..=8).contains(&reads), "{reads} reads in a minute");
}

#[tokio::test(start_paused = true)]
// requirement: unauthenticated-write
async fn unknown_tokens_cost_one_cached_read_each() {
    let world = world();
    let unknown = UrlToken::from_random(&[8; 32]);
    let forged = hook(unknown.expose(), "[]").signed(KEY);
    for _ in 0..50 {
        assert_eq!(world.post(&forged).await.status, 401);
    }
    assert_eq!(world.calls(), [("tokens.find".to_owned(), 1)].into());

    // It was connected just before the first of them, and the table did not show it yet.
    world.register(&unknown, Some("wh_1q4qn43v"), Live);
    world.hold(&unknown, 0, &[KEY]);
    advance(Duration::from_secs(10)).await;
    assert_eq!(world.post(&forged).await.status, 200);
}

#[tokio::test(start_paused = true)]
// requirement: secret-rotation
async fn a_key_that_changed_is_picked_up_by_one_read() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    world.hold(&world.token, 0, &["the new key"]);
    advance(Duration::from_secs(11)).await;
    let request = hook(world.token.expose(), "[]").signed("the new key");
    assert_eq!(world.post(&request).await.status, 200);
    assert_eq!(world.deliver("[]").await, 401, "the old key is gone");
    assert_eq!(world.calls()["keys.read"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_makes_us_read_the_keys_again_once_whatever_comes_of_it() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    let new = new_token();
    world.register(&new, Some("wh_new"), Live);
    advance(Duration::from_millis(1)).await;
    world.fault("keys.read", Fault::transient("InternalServiceError"));
    let request = hook(new.expose(), "[]").signed("the new key");
    for _ in 0..10 {
        assert_eq!(world.post(&request).await.status, 503);
    }
    assert_eq!(world.deliver("[]").await, 200, "the keys are still held");
    advance(Duration::from_secs(9)).await;
    assert_eq!(world.post(&request).await.status, 503);
    assert_eq!(world.calls()["keys.read"], 2);
    advance(Duration::from_secs(1)).await;
    assert_eq!(world.post(&request).await.status, 503);
    assert_eq!(world.calls()["keys.read"], 3);
}

#[tokio::test(start_paused = true)]
// requirement: secret-rotation
async fn keys_are_not_believed_for_ever_however_often_they_are_used() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    world.keys.remove(&world.account);
    for _ in 0..30 {
        advance(Duration::from_secs(11)).await;
        world.deliver("[]").await;
    }
    assert_eq!(world.deliver("[]").await, 503);
}

#[tokio::test(start_paused = true)]
async fn both_webhooks_of_a_rotation_are_accepted_and_the_receipts_tell_them_apart() {
    let world = world();
    assert_eq!(world.deliver(order()).await, 200);
    let new = new_token();
    world.register(&world.token, Some(WEBHOOK), Grace);
    world.register(&new, Some("wh_new"), Live);
    world.hold(&new, 0, &["the new key"]);
    // However short the time since the keys were read: the new token tells that they are old.
    advance(Duration::from_millis(1)).await;
    let request = hook(new.expose(), order()).signed("the new key");
    assert_eq!(world.post(&request).await.status, 200);
    assert_eq!(world.deliver(order()).await, 200);

    let kept = world.receipts.kept();
    let webhooks = kept.iter().filter_map(|kept| kept.webhook.as_ref());
    let mut webhooks: Vec<_> = webhooks.map(WebhookId::as_str).collect();
    webhooks.sort_unstable();
    assert_eq!(webhooks, [WEBHOOK, WEBHOOK, "wh_new"]);
    let by_the_new = kept.iter().filter(|kept| kept.registration == new.hash());
    assert_eq!(by_the_new.count(), 1);
    let mut ids = world.ids("orders");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "equal bytes are events of their own");
    // A token and the keys are read once more for the new webhook, and nothing else is.
    let calls = world.calls();
    assert_eq!((calls["tokens.find"], calls["keys.read"]), (2, 2));
    assert_eq!(calls["receipts.marker"], 3);
}

/// A webhook's key that was changed, as the check has stored it.
#[tokio::test(start_paused = true)]
async fn a_changed_key_is_seen_as_soon_as_the_token_s_entry_is_read_again() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    let changed = TokenEntry {
        keys: KeysVersion::new(7),
        ..entry(&world.account, Some(WEBHOOK), Live)
    };
    world.tokens.put(world.token.hash(), changed);
    // The store of secrets is behind: what the old key proves is not known.
    advance(KEYS_TTL).await;
    assert_eq!(world.deliver("[]").await, 503);
    world.hold(&world.token, 7, &["the new key"]);
    advance(Duration::from_secs(10)).await;
    let request = |key: &str| hook(world.token.expose(), "[]").signed(key);
    assert_eq!(world.post(&request("the new key")).await.status, 200);
    assert_eq!(world.post(&request(KEY)).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn one_registration_s_key_proves_nothing_at_another_s_url() {
    let world = world();
    let new = new_token();
    world.register(&new, Some("wh_new"), Live);
    world.hold(&new, 0, &["old of two", "the new key"]);
    let post = async |token: &UrlToken, key: &str| {
        let request = hook(token.expose(), "[]").signed(key);
        world.post(&request).await.status
    };
    assert_eq!(post(&new, KEY).await, 401);
    assert_eq!(post(&world.token, "the new key").await, 401);
    for key in ["old of two", "the new key"] {
        assert_eq!(post(&new, key).await, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_at_another_source_s_route_is_an_unknown_one() {
    let world = world();
    let elsewhere = TokenEntry {
        source: Source::StackOne,
        ..entry(&world.account, Some(WEBHOOK), Live)
    };
    world.tokens.put(world.token.hash(), elsewhere);
    let request = hook(world.token.expose(), "[]").signed(KEY);
    let answered = world.post(&request).await;
    assert_eq!((answered.status, &*answered.word), (401, "unauthorized"));
    assert!(!world.calls().contains_key("keys.read"));
}

#[tokio::test(start_paused = true)]
async fn keys_as_the_release_before_stored_them_prove_the_deliveries_of_their_webhook() {
    let world = world();
    let webhook = WebhookId::new(WEBHOOK);
    let stored = BTreeMap::from([
        (webhook, MacKey::new(KEY)),
        (WebhookId::new("wh_2"), MacKey::new("another")),
    ]);
    let stored = SigningKeys::stored(BTreeMap::new(), stored);
    world.keys.replace(&world.account, stored);
    assert_eq!(world.deliver("[]").await, 200);
    let request = hook(world.token.expose(), "[]").signed("another");
    assert_eq!(world.post(&request).await.status, 401);
}

#[rstest]
#[case::registered_a_moment_ago(Some("wh_new"), Live)]
#[case::pending(None, Pending)]
#[tokio::test(start_paused = true)]
// requirement: answer-keys-missing
async fn a_delivery_before_its_key_comes_again_and_is_taken(
    #[case] webhook: Option<&str>,
    #[case] status: TokenStatus,
) {
    let world = world();
    let new = new_token();
    world.register(&new, webhook, status);
    let request = hook(new.expose(), "[]").signed("the new key");
    let answered = world.post(&request).await;
    assert_eq!((answered.status, &*answered.word), (503, "retry"));
    let kept: usize = world.receipts.calls().values().sum();
    assert_eq!(kept, 0, "nothing is known to be genuine");
    world.hold(&new, 0, &["the new key"]);
    advance(Duration::from_secs(11)).await;
    assert_eq!(world.post(&request).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn stores_that_do_not_answer_are_no_proof_of_anything() {
    let world = world();
    world.fault("tokens.find", Fault::transient("InternalServerError"));
    assert_eq!(world.deliver("[]").await, 503);
    world.fault("keys.read", Fault::transient("InternalServiceError"));
    assert_eq!(world.deliver("[]").await, 503);
    advance(Duration::from_secs(1)).await;
    assert_eq!(world.deliver("[]").await, 200);
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_read_are_not_asked_for_at_will() {
    let world = world();
    let unavailable = Fault::transient("InternalServiceError");
    world.on("keys.read").always().fault(unavailable);
    let forged = hook(world.token.expose(), "[]").signed("another key");
    for _ in 0..100 {
        assert_eq!(world.post(&forged).await.status, 503);
    }
    assert_eq!(world.calls().get("keys.read"), Some(&1));
    advance(Duration::from_millis(199)).await;
    assert_eq!(world.post(&forged).await.status, 503);
    assert_eq!(world.calls().get("keys.read"), Some(&1));
    advance(Duration::from_millis(1)).await;
    assert_eq!(world.post(&forged).await.status, 503);
    assert_eq!(world.calls().get("keys.read"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_kept_for_its_time_and_no_longer() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    let reads = |world: &World| {
        let calls = world.calls();
        (calls["tokens.find"], calls["keys.read"])
    };
    let millis = Duration::from_millis;
    advance(ENTRIES_BELIEVED - millis(1)).await;
    assert_eq!(world.deliver("[]").await, 200);
    assert_eq!(reads(&world), (1, 1));
    advance(millis(1)).await;
    assert_eq!(world.deliver("[]").await, 200);
    assert_eq!(reads(&world), (2, 1));
    advance(KEYS_TTL - ENTRIES_BELIEVED - millis(1)).await;
    assert_eq!(world.deliver("[]").await, 200);
    assert_eq!(reads(&world), (3, 1));
    advance(millis(1)).await;
    assert_eq!(world.deliver("[]").await, 200);
    assert_eq!(reads(&world), (3, 2));
}

/// Disconnecting an account retires its token.
#[tokio::test(start_paused = true)]
// requirement: secret-revoked
async fn a_retired_token_is_refused_ten_seconds_later_everywhere() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    world.register(&world.token, Some(WEBHOOK), Retired);
    advance(ENTRIES_BELIEVED).await;
    assert_eq!(world.deliver("[]").await, 401);
    // Its keys are gone as well: that is no reason to ask for a retry.
    let unread = Fault::transient("InternalServiceError");
    world.on("keys.read").always().fault(unread);
    advance(KEYS_TTL).await;
    assert_eq!(world.deliver("[]").await, 401);
}

#[tokio::test(start_paused = true)]
// requirement: secret-revoked
async fn a_flood_of_unknown_tokens_makes_no_keys_be_read_again() {
    let world = world();
    let wrong = hook(world.token.expose(), "[]").signed("another key");
    assert_eq!(world.post(&wrong).await.status, 401);
    assert_eq!(world.calls()["keys.read"], 1);
    for number in 0..4100_u32 {
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let unknown = UrlToken::from_random(&random);
        let request = hook(unknown.expose(), "[]").signed(KEY);
        advance(Duration::from_millis(1)).await;
        assert_eq!(world.post(&request).await.status, 401);
    }
    assert_eq!(world.calls()["tokens.find"], 1 + 4100);
    assert_eq!(world.post(&wrong).await.status, 401);
    assert_eq!(world.calls()["keys.read"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_known_token_serves_while_the_table_does_not_answer() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    let unavailable = Fault::transient("InternalServerError");
    world.on("tokens.find").always().fault(unavailable);
    advance(KEYS_TTL - Duration::from_secs(1)).await;
    assert_eq!(world.deliver("[]").await, 200);
    advance(Duration::from_secs(1)).await;
    assert_eq!(world.deliver("[]").await, 503);
}

/// Whatever is wrong with a signature under a known token, and whichever instance sees it.
#[tokio::test(start_paused = true)]
// requirement: unauthenticated-write
async fn wrong_signatures_ask_for_one_check_in_five_minutes() {
    let world = world();
    let instances = [world.instance_with(&[]), world.instance_with(&[])];
    let wrong = hook(world.token.expose(), "[]").signed("another key");
    let asked = || world.counts().get("checks").copied().unwrap_or_default();
    let mut now = RECEIVED_MILLIS;
    for (later, expected) in [(0, 1), (1, 1), (299_999, 1), (300_000, 2), (599_999, 2)] {
        let at = RECEIVED_MILLIS + later;
        advance(Duration::from_millis(at - now)).await;
        now = at;
        for instance in &instances {
            assert_eq!(world.post_to(instance, &wrong, now).await.status, 401);
        }
        assert_eq!(asked(), expected, "after {later} ms");
    }
    let claims = world.calls()["receipts.claim_check"];
    assert!(claims <= 4, "{claims} writes for two in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_be_asked_for_changes_no_answer() {
    for call in ["receipts.claim_check", "queues.send"] {
        let world = world();
        world.on(call).always().fault(Fault::hang());
        let wrong = hook(world.token.expose(), "[]").signed("another key");
        let begun = Instant::now();
        assert_eq!(world.post(&wrong).await.status, 401);
        assert!(begun.elapsed() <= Duration::from_millis(BUDGET_MS));
        assert_eq!(world.post(&wrong).await.status, 401);
        assert_eq!(world.calls()["receipts.claim_check"], 1, "asked once");
    }
}

/// The account was connected anew: its webhook sends what happened since.
#[tokio::test(start_paused = true)]
// requirement: repeat-marker-registration
async fn a_marker_of_another_registration_gives_nothing_its_identity() {
    let world = world();
    let body = delivery().event("inventory_level.updated", r#"{"sku":"A","on_hand":20}"#);
    let body = body.body();
    let left = world.left_marker(&body, 0, RECEIVED_MILLIS + 60_000).await;
    let new = new_token();
    world.register(&new, Some("wh_new"), Live);
    world.hold(&new, 0, &[KEY]);
    let request = hook(new.expose(), body.clone()).signed(KEY);
    assert_eq!(world.post(&request).await.status, 200);
    let inventory = world.queue("inventory");
    assert_ne!(inventory[0].envelope().id.delivery(), left.delivery);
    assert_eq!(world.receipts.marker_of(&world.account, &body), Some(left));
}

#[tokio::test(start_paused = true)]
// requirement: repeat-retry
async fn a_delivery_refused_half_way_keeps_its_identity() {
    let world = world();
    let body = delivery()
        .event("order.created", ORDER)
        .event("product.created", r#"{"id":"pr_1"}"#)
        .body();
    let products = world.on("queues.send").within("products");
    let unavailable = Fault::transient("ServiceUnavailable");
    products.always().fault(unavailable);
    let request = world.signed(body.clone());
    assert_eq!(world.post(&request).await.status, 503);
    world.assert_counts(&[("orders", 1)]);
    let stored = world.oversize.objects();
    assert!(stored.is_empty(), "nothing was refused for its content");
    let failures = world.receipts.failures();
    assert_eq!((failures.len(), failures[0].cause), (1, "queue_refused"));
    let marker = world.receipts.marker_of(&world.account, &body).unwrap();
    assert_eq!(marker.expires.millis(), RECEIVED_MILLIS + 86_400_000);

    world.queues.script().repair();
    let later = RECEIVED_MILLIS + 60_000;
    assert_eq!(world.post_again(&request, later).await, 200);
    let ids = world.ids("orders");
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]), "the same event, twice");
    let products = world.queue("products");
    assert_eq!(products[0].envelope().id.delivery(), marker.delivery);
    assert_eq!(world.receipts.marker_count(), 0, "its work is done");

    assert_eq!(world.post_again(&request, later + 1).await, 200);
    // Without a marker equal bytes are new events.
    let ids = world.ids("orders");
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test(start_paused = true)]
// requirement: repeat-lease
async fn a_marker_serves_one_attempt_at_a_time_and_not_for_ever() {
    let world = world();
    let request = world.signed(order());
    world.refuse_lanes();
    assert_eq!(world.post(&request).await.status, 503);
    world.queues.script().repair();

    // Somebody holds the marker, and does not come back: a marker that stays would swallow the next delivery.
    world.fault("receipts.unmark", Fault::transient("InternalServerError"));
    assert_eq!(world.post(&request).await.status, 503);
    let held = world.ids("orders");
    // The refused attempt put the marker back, free.
    assert_eq!(world.post(&request).await.status, 200);
    assert_eq!(world.ids("orders")[1], held[0]);

    world.refuse_lanes();
    assert_eq!(world.post(&request).await.status, 503);
    world.queues.script().repair();
    let expired = RECEIVED_MILLIS + 86_400_000;
    assert_eq!(world.post_again(&request, expired).await, 200);
    let ids = world.ids("orders");
    assert_eq!(ids.len(), 3);
    assert!(ids[2] > ids[1], "an expired marker has no meaning");
}

#[rstest]
#[case::as_it_is_held(RECEIVED_MILLIS + 1, RECEIVED_MILLIS + 60_000, false)]
#[case::unless_it_has_expired(0, RECEIVED_MILLIS, true)]
#[tokio::test(start_paused = true)]
async fn a_refused_attempt_leaves_anothers_marker(
    #[case] leased_until: u64,
    #[case] expires: u64,
    #[case] replaced: bool,
) {
    let world = world();
    let earlier = world.left_marker(&order(), leased_until, expires).await;
    world.refuse_lanes();
    assert_eq!(world.deliver(order()).await, 503);
    let marker = world.receipts.marker_of(&world.account, &order());
    assert_eq!(marker.unwrap() != earlier, replaced);
}

#[rstest]
#[case::free(0, RECEIVED_MILLIS + 1, true)]
#[case::free_from_now(RECEIVED_MILLIS, RECEIVED_MILLIS + 1, true)]
#[case::held(RECEIVED_MILLIS + 1, RECEIVED_MILLIS + 2, false)]
#[case::expired_now(0, RECEIVED_MILLIS, false)]
#[tokio::test(start_paused = true)]
async fn a_marker_is_taken_to_the_millisecond(
    #[case] leased_until: u64,
    #[case] expires: u64,
    #[case] taken: bool,
) {
    let world = world();
    let marker = world.left_marker(&order(), leased_until, expires).await;
    assert_eq!(world.deliver(order()).await, 200);
    let delivery = world.queue("orders")[0].envelope().id.delivery();
    assert_eq!(delivery == marker.delivery, taken);
    assert_eq!(world.receipts.marker_count(), usize::from(!taken));
}

#[rstest]
#[case::free_from_now(RECEIVED_MILLIS, 0)]
#[case::held(RECEIVED_MILLIS + 1, 1)]
#[case::held_as_it_would_be_by_this_one(RECEIVED_MILLIS + LEASE_SECONDS * 1000, 0)]
#[tokio::test(start_paused = true)]
async fn a_marker_that_could_not_be_read_is_removed_unless_another_holds_it(
    #[case] leased_until: u64,
    #[case] left: usize,
) {
    let world = world();
    let expires = RECEIVED_MILLIS + 60_000;
    world.left_marker(&order(), leased_until, expires).await;
    world.fault("receipts.marker", Fault::transient("InternalServerError"));
    assert_eq!(world.deliver(order()).await, 200);
    assert_eq!(world.receipts.marker_count(), left);
}

#[rstest]
#[case::a_moment(290, 0)]
#[case::no_longer(310, 1)]
#[tokio::test(start_paused = true)]
async fn a_success_waits_a_moment_for_the_marker_that_it_could_not_read(
    #[case] takes: u64,
    #[case] left: usize,
) {
    let world = world();
    let expires = RECEIVED_MILLIS + 60_000;
    world.left_marker(&order(), 0, expires).await;
    world.fault("receipts.marker", Fault::transient("InternalServerError"));
    let slow = Fault::nothing().after(Duration::from_millis(takes));
    world.fault("receipts.marker", slow);
    assert_eq!(world.deliver(order()).await, 200);
    assert_eq!(world.receipts.marker_count(), left);
}

#[tokio::test(start_paused = true)]
async fn without_the_gateway_s_time_ours_is_taken() {
    let world = world();
    let ours = RECEIVED_MILLIS + 7;
    let answered = world.post_at(&world.signed(order()).at(0), ours).await;
    assert_eq!(answered.status, 200);
    assert_eq!(world.queue("orders")[0].envelope().time().millis(), ours);
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_leaves_a_marker_that_it_could_not_read() {
    let world = world();
    let expires = RECEIVED_MILLIS + 60_000;
    let earlier = world.left_marker(&order(), 0, expires).await;
    world.fault("receipts.marker", Fault::transient("InternalServerError"));
    world.refuse_lanes();
    assert_eq!(world.deliver(order()).await, 503);
    world.queues.script().repair();
    let marker = world.receipts.marker_of(&world.account, &order());
    assert_eq!(marker, Some(earlier));
    assert_eq!(world.deliver(order()).await, 200);
    let events = world.queue("orders");
    assert_eq!(events[0].envelope().id.delivery(), earlier.delivery);
}

#[tokio::test(start_paused = true)]
async fn slow_keys_do_not_cost_a_retry_its_identity() {
    let world = world();
    let expires = RECEIVED_MILLIS + 60_000;
    let earlier = world.left_marker(&order(), 0, expires).await;
    let slow = Fault::nothing().after(Duration::from_millis(1500));
    world.fault("keys.read", slow);
    assert_eq!(world.deliver(order()).await, 200);
    let events = world.queue("orders");
    assert_eq!(events[0].envelope().id.delivery(), earlier.delivery);
}

#[tokio::test(start_paused = true)]
// requirement: repeat-lease
async fn a_lease_that_outlived_its_function_can_be_taken_over() {
    let world = world();
    let request = world.signed(order());
    world.refuse_lanes();
    assert_eq!(world.post(&request).await.status, 503);
    world.queues.script().repair();
    // An attempt that takes the lease and is killed before its end.
    world.fault("queues.send", Fault::hang());
    let killed = tokio::time::timeout(Duration::from_millis(10), world.post(&request)).await;
    assert!(killed.is_err());

    assert_eq!(world.post(&request).await.status, 200, "held: taken as new");
    let over = RECEIVED_MILLIS + LEASE_SECONDS * 1000 + 1;
    assert_eq!(world.post_at(&request, over).await.status, 200);
    let ids = world.ids("orders");
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(world.receipts.marker_count(), 0);
    let second = world.queue("orders")[1].envelope().id.delivery();
    let kept = world.receipts.kept();
    assert!(kept.iter().any(|kept| kept.delivery == second));
}

#[rstest]
#[case::not_read("receipts.marker", Fault::transient("ServiceUnavailable"))]
#[case::not_leased("receipts.lease", Fault::transient("ServiceUnavailable"))]
#[case::leased_without_an_answer("receipts.lease", Fault::lost())]
#[tokio::test(start_paused = true)]
// requirement: repeat-unreadable-marker
async fn a_marker_that_could_not_be_read_does_not_outlive_the_success(
    #[case] call: &str,
    #[case] fault: Fault,
) {
    let world = world();
    let stock = |on_hand: &str| {
        let record = format!(r#"{{"sku":"A 1","on_hand":{on_hand}}}"#);
        delivery().event("inventory_level.updated", &record).body()
    };
    // The first attempt is queued, and refused all the same.
    world.fault("queues.send", Fault::lost());
    world.on("queues.send").always().fault(Fault::hang());
    assert_eq!(world.deliver(stock("20")).await, 503);
    world.queues.script().repair();
    // Whether this is its retry cannot be told.
    world.fault(call, fault);
    let deliver = async |later, on_hand| {
        let request = world.signed(stock(on_hand)).at(RECEIVED_MILLIS + later);
        world.post(&request).await.status
    };
    assert_eq!(deliver(1, "20").await, 200);
    assert_eq!(world.receipts.marker_count(), 0);
    // There and back again: the last one must not be taken for the first.
    assert_eq!(deliver(2, "10").await, 200);
    assert_eq!(deliver(3, "20").await, 200);
    let ids = world.ids("inventory");
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(ids, sorted, "four events, in their order");
}

#[tokio::test(start_paused = true)]
// requirement: repeat-unreadable-marker
async fn an_unreadable_marker_is_no_reason_to_refuse() {
    let world = world();
    world.fault("receipts.marker", Fault::transient("InternalServerError"));
    assert_eq!(world.deliver(order()).await, 200);
}

#[tokio::test(start_paused = true)]
// requirement: answer-receipt
async fn a_receipt_alone_is_no_reason_to_refuse_unless_something_points_at_it() {
    let world = world();
    world.fault("receipts.keep", Fault::transient("InternalServerError"));
    assert_eq!(world.deliver(order()).await, 200);
    world.fault("receipts.keep", Fault::transient("InternalServerError"));
    assert_eq!(world.deliver("not json").await, 503);
    assert!(world.queue("quarantine").is_empty());
    assert_eq!(world.receipts.failures()[0].cause, "no_receipt");
}

#[rstest]
#[case::kept_the_second_time(1, 200)]
#[case::not_kept(2, 503)]
#[tokio::test(start_paused = true)]
async fn an_event_that_no_queue_takes_is_pointed_at_once_its_receipt_is_kept(
    #[case] failures: usize,
    #[case] status: u16,
) {
    let world = world();
    let send = world.on("queues.send").within("orders");
    let content = Fault::permanent("InvalidMessageContents");
    send.always().fault(content);
    let keep = world.on("receipts.keep").times(failures);
    keep.fault(Fault::transient("InternalServerError"));
    assert_eq!(world.deliver(order()).await, status);
    let is_kept = status == 200;
    assert_eq!(world.receipts.kept().len(), usize::from(is_kept));
    assert_eq!(world.queue("quarantine").len(), usize::from(is_kept));
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_refuses_is_a_refusal() {
    let world = world();
    let quarantine = world.on("queues.send").within("quarantine");
    let unavailable = Fault::transient("ServiceUnavailable");
    quarantine.always().fault(unavailable);
    assert_eq!(world.deliver("not json").await, 503);
    assert_eq!(world.receipts.marker_count(), 1);
}

#[tokio::test(start_paused = true)]
// requirement: answer-lasting
async fn an_event_that_no_queue_takes_travels_apart_or_goes_to_quarantine() {
    let world = world();
    let body = delivery()
        .event("order.created", ORDER)
        .event("order.created", r#"{"id":"or_2"}"#)
        .body();
    let permanent = |word: &'static str| {
        Fault::entries_with(
            move |text| text.contains(word),
            ErrorKind::Permanent,
            "InvalidMessageContents",
        )
    };
    world.fault("queues.send", permanent("Fish"));
    assert_eq!(world.deliver(body.clone()).await, 200);
    let orders = world.queue("orders");
    assert_eq!(orders.len(), 2);
    let mut contents = orders.iter().map(|sent| sent.envelope().content);
    assert!(contents.any(|content| matches!(content, Content::Stored(_))));
    let objects = world.oversize.objects();
    assert_eq!(objects.values().next().unwrap(), ORDER.as_bytes());

    let orders = world.on("queues.send").within("orders");
    orders.always().fault(permanent("or_1"));
    assert_eq!(world.deliver(body).await, 200);
    let notice = world.queue("quarantine")[0].json();
    let elements = json!([{ "index": 0, "reason": "refused_by_queue" }]);
    assert_eq!(notice["elements"], elements);
    let kept = world.receipts.kept();
    let mut kept = kept.iter().map(|kept| kept.delivery.to_string());
    assert!(kept.any(|delivery| notice["receipt"]["sk"] == delivery));
}

#[rstest]
#[case::too_large(format!(r#"{{"id":"or_1","note":"{}"}}"#, "x".repeat(300_000)))]
#[case::not_for_a_queue("{\"id\":\"or_1\",\"note\":\"\u{FFFF}\"}".to_owned())]
#[tokio::test(start_paused = true)]
// requirement: verbatim-sqs-characters
async fn what_a_queue_cannot_carry_goes_by_a_pointer(#[case] record: String) {
    let world = world();
    let body = delivery().event("order.created", &record).body();
    assert_eq!(world.deliver(body).await, 200);
    let orders = world.queue("orders");
    let envelope = orders[0].envelope();
    let Content::Stored(place) = envelope.content else {
        panic!("it does not fit into a message")
    };
    let end = format!("/events/acme/{}", envelope.id);
    assert!(place.as_str().ends_with(&end), "{}", place.as_str());
    let objects = world.oversize.objects();
    assert_eq!(objects.values().next().unwrap(), record.as_bytes());
}

#[tokio::test(start_paused = true)]
// requirement: durable-pointer
async fn a_large_event_that_cannot_be_kept_is_a_refusal() {
    let world = world();
    let busy = Fault::transient("SlowDown");
    world.on("oversize.put").always().fault(busy);
    let record = format!(r#"{{"id":"or_1","note":"{}"}}"#, "x".repeat(300_000));
    let body = delivery().event("order.created", &record).body();
    assert_eq!(world.deliver(body).await, 503);
    assert_eq!(world.receipts.failures()[0].cause, "oversize_refused");
}

#[rstest]
#[case::tokens("tokens.find", 503)]
#[case::keys("keys.read", 503)]
#[case::marker("receipts.marker", 200)]
#[case::queue("queues.send", 503)]
#[case::receipt("receipts.keep", 200)]
#[tokio::test(start_paused = true)]
// requirement: answer-budget
async fn whatever_hangs_the_answer_comes_in_time(#[case] call: &str, #[case] status: u16) {
    let world = world();
    world.on(call).always().fault(Fault::hang());
    let begun = Instant::now();
    assert_eq!(world.deliver(order()).await, status);
    let took = begun.elapsed();
    assert!(took <= Duration::from_millis(BUDGET_MS + 5), "{took:?}");
    if call == "queues.send" {
        let markers = world.receipts.marker_count();
        assert_eq!(markers, 1, "there was time left for the marker");
    }
}

#[tokio::test(start_paused = true)]
// requirement: budget-inbound
async fn the_calls_of_a_warm_delivery_are_those_of_the_budget() {
    let world = world();
    assert_eq!(world.deliver("[]").await, 200);
    let before = world.calls();
    let body = delivery()
        .orders(23)
        .event("product.created", r#"{"id":"pr_1"}"#)
        .body();
    assert_eq!(world.deliver(body).await, 200);
    let after = world.calls();
    let made = |call: &str| after.get(call).unwrap_or(&0) - before.get(call).unwrap_or(&0);
    assert_eq!(made("receipts.marker"), 1);
    assert_eq!(made("receipts.keep"), 1);
    assert_eq!(made("queues.send"), 3 + 1);
    let all: usize = after.values().sum::<usize>() - before.values().sum::<usize>();
    assert_eq!(all, 6, "{before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
// requirement: unauthenticated-raw-bytes
async fn a_body_in_base64_is_verified_as_it_was_signed() {
    let world = world();
    let record = "{\"id\":\"or_1\",\r\n\"name\":\"日本 🥐\"}";
    let body = delivery().event("order.created", record).body();
    let request = world.signed(body.clone()).in_base64();
    assert_eq!(world.post(&request).await.status, 200);
    assert_eq!(world.receipts.kept()[0].body, body);
}

#[tokio::test(start_paused = true)]
// requirement: durable-refused
async fn every_lane_gets_through_although_one_refuses() {
    let world = world();
    let body = delivery()
        .event("customer.created", r#"{"id":"cu_1"}"#)
        .event("order.created", ORDER)
        .event("inventory_level.updated", r#"{"sku":"A"}"#)
        .body();
    world.queues.remove(&QueueUrl::new("orders"));
    assert_eq!(world.deliver(body).await, 503);
    world.assert_counts(&[("customers", 1), ("inventory", 1)]);
}
