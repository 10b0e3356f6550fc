//! Apideck's API and deliveries over HTTP.

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::{End, Source};

use crate::play::{NONE, Play, defaults, with};
use crate::receiver::{Received, Receiver, Reply};

const PATH: &str = "/webhook/webhooks";
const KEY: &str = "apideck-test-key-1";
const ORDER: &str = r#"{"payload":{"event_type":"ecommerce.order.created","unified_api":"ecommerce","service_id":"shopify","consumer_id":"customer-42","event_id":"0f0e0d0c-0000-4000-8000-000000000001","entity_id":"or_5001","entity_url":"https://unify.apideck.com/ecommerce/orders/or_5001","entity_type":"order","execution_attempt":1,"occurred_at":"2026-11-20T12:00:00.000Z"}}"#;
const VAULT: &str = r#"{"payload":{"event_id":"0f0e0d0c-0000-4000-8000-000000000010","event_type":"vault.connection.updated","service_id":"apideck-vault","entity_id":"ecommerce+shopify+customer-42","entity_type":"Connection","entity":{"id":"ecommerce+shopify","consumer_id":"customer-42","unified_api":"ecommerce","service_id":"shopify","name":"Panadería 日本 🥐","enabled":true,"state":"authorized","settings":{"base_url":"https://example.com/a/b"}},"execution_attempt":2,"occurred_at":"2026-11-20T12:00:00.000Z"}}"#;
const ARRAY: &str = r#"{"payload":{"event_type":"vault.connection.updated","entity":{"tags":[{"z":1,"a":2}],"id":"x"}}}"#;
const VALIDATION: &str = r#"{"message":"Validating delivery URL"}"#;
/// What the bodies are signed with.
const NESTED: &str = "f95001683a3c532f1ff1424754cec88f13516ad6ca7eb94348d4f0d607a7678b";
const VALIDATED: &str = "2f5b0043df1bb176966b63f7c03ae49dd3dc9e14f71cb10f7afe7da866cb3ac0";
const OF_ARRAY: &str = "4db7050bfb65bf39e8c02a367bb7013b3c6bf3a93b2cdef35a3c0b9471ef326e";
const SORTED: &str = "c333ac9568997aff0aa35d91b5002171903473aea417483c3670e0bc0873e64e";

async fn play(settings: Value) -> Play {
    let play = Play::with_secret(Source::Apideck, settings, KEY).await;
    play.with_headers(&[
        ("authorization", "Bearer apideck-test-key-1"),
        ("x-apideck-app-id", "site-1"),
    ])
}

fn webhook(url: &str) -> Value {
    json!({"delivery_url": url, "status": "enabled", "events": ["*"], "unified_api": "ecommerce"})
}

async fn create(play: &Play, body: Value) -> Value {
    let (status, made) = play.call(Method::POST, PATH, body).await;
    assert_eq!((status, &made["status_code"]), (201, &json!(201)), "{made}");
    made["data"].clone()
}

fn header<'a>(got: &'a Received, name: &str) -> Option<&'a str> {
    got.headers.get(name).map(|value| value.to_str().unwrap())
}

fn id_path(webhook: &Value) -> String {
    format!("{PATH}/{}", webhook["id"].as_str().unwrap())
}

fn state(webhook: &Value) -> [&str; 2] {
    ["status", "disabled_reason"].map(|name| webhook[name].as_str().unwrap())
}

#[rstest]
#[case::sorted(ORDER, SORTED)]
#[case::nested(VAULT, NESTED)]
#[case::validation(VALIDATION, VALIDATED)]
#[case::array(ARRAY, OF_ARRAY)]
#[tokio::test]
async fn the_vectors_hold(#[case] body: &str, #[case] signature: &str) {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults()).await;
    create(&play, webhook(&receiver.url)).await;
    play.deliver_raw(body).await;
    let got = &receiver.received()[1];
    assert_eq!(got.text(), body);
    assert_eq!(header(got, "x-apideck-signature"), Some(signature));
}

#[tokio::test]
async fn a_new_url_is_validated_by_a_signed_call_while_the_request_waits() {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults()).await;
    let made = create(&play, webhook(&receiver.url)).await;
    assert_eq!(state(&made), ["enabled", "none"]);
    let got = &receiver.received()[0];
    assert_eq!(got.text(), VALIDATION);
    let event_type = header(got, "x-apideck-event-type");
    assert_eq!(event_type, Some("apideck.subscription.created"));
    assert_eq!(header(got, "x-apideck-idempotency-key"), None);
    assert_eq!(header(got, "x-apideck-signature"), Some(VALIDATED));
    let same = json!({"delivery_url": receiver.url, "description": "d"});
    let (status, changed) = play.call(Method::PATCH, &id_path(&made), same).await;
    assert_eq!(status, 200);
    assert_eq!(changed["data"]["description"], "d");
    let calls = receiver.received().len();
    assert_eq!(calls, 1, "an unchanged URL is not validated");
    let other = json!({"delivery_url": format!("{}?b", receiver.url)});
    play.call(Method::PATCH, &id_path(&made), other).await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn retries_keep_the_event_id_count_the_attempt_and_end_in_a_visible_disabling() {
    let mut script = [Reply::Status(500); 11];
    script[0] = Reply::Status(200);
    let receiver = Receiver::start(&script).await;
    let play = play(defaults()).await;
    let made = create(&play, webhook(&receiver.url)).await;
    let event = r#"{"payload":{"event_type":"ecommerce.order.updated"}}"#;
    let runs = play.deliver(&[event]).await;
    assert_eq!(runs[0].deliveries.deliveries[0].end, End::Disabled);
    let payload = |text: &String| serde_json::from_str::<Value>(text).unwrap()["payload"].clone();
    let bodies: Vec<Value> = receiver.texts()[1..].iter().map(payload).collect();
    let first = &bodies[0];
    assert_eq!(bodies.len(), 10);
    for (body, attempt) in bodies.iter().zip(1..) {
        assert_eq!(body["execution_attempt"].as_u64(), Some(attempt));
        assert_eq!(body["event_id"], first["event_id"]);
    }
    assert_eq!(first["event_id"].as_str().unwrap().len(), 36);
    assert!(first["occurred_at"].is_string());
    let got = &receiver.received()[1];
    let event_type = header(got, "x-apideck-event-type");
    assert_eq!(event_type, Some("ecommerce.order.updated"));
    assert_eq!(header(got, "x-apideck-idempotency-key").unwrap().len(), 36);

    let (_, seen) = play.get(&id_path(&made)).await;
    assert_eq!(state(&seen["data"]), ["disabled", "retry_limit"]);
    let enable = json!({"status": "enabled"});
    let (_, enabled) = play.call(Method::PATCH, &id_path(&made), enable).await;
    assert_eq!(state(&enabled["data"]), ["enabled", "none"]);
    assert!(play.deliver(&[ORDER]).await[0].accepted);
    assert_eq!(receiver.texts()[11], ORDER);
}

#[rstest]
#[case::all(json!({}), 1)]
#[case::selected(json!({"events": ["ecommerce.order.created"]}), 1)]
#[case::not_selected(json!({"events": ["ecommerce.order.deleted"]}), 0)]
#[case::other_api(json!({"unified_api": "vault"}), 0)]
#[tokio::test]
async fn a_webhook_is_for_one_unified_api(#[case] change: Value, #[case] deliveries: usize) {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults()).await;
    create(&play, with(&webhook(&receiver.url), change)).await;
    play.deliver(&[ORDER]).await;
    assert_eq!(receiver.received().len(), 1 + deliveries);
}

#[rstest]
#[case::url(json!({"delivery_url": "ftp://x"}), "delivery_url")]
#[case::no_url(json!({"delivery_url": null}), "delivery_url")]
#[case::status(json!({"status": "paused"}), "status")]
#[case::no_events(json!({"events": []}), "events")]
#[case::event_is_no_text(json!({"events": [1]}), "events")]
#[case::no_api(json!({"unified_api": null}), "unified_api")]
#[tokio::test]
async fn what_is_not_acceptable_is_422_and_not_validated(
    #[case] change: Value,
    #[case] name: &str,
) {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults()).await;
    let body = with(&webhook(&receiver.url), change);
    let (status, answer) = play.call(Method::POST, PATH, body).await;
    assert_eq!((status, &answer["status_code"]), (422, &json!(422)));
    assert_eq!(answer["message"], format!("{name} is not acceptable"));
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn the_list_has_cursors_and_what_is_deleted_is_gone() {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults()).await;
    let mut ids = Vec::new();
    for _ in 0..21 {
        ids.push(create(&play, webhook(&receiver.url)).await["id"].clone());
    }
    let list = async |query: &str| play.get(&format!("{PATH}{query}")).await.1;
    let first = list("").await;
    assert_eq!(first["data"].as_array().unwrap().len(), 20);
    let next = first["meta"]["cursors"]["next"].as_str().unwrap();
    let second = list(&format!("?cursor={next}")).await;
    assert_eq!(second["data"][0]["id"], ids[20]);
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    assert_eq!(second["meta"]["cursors"]["next"], Value::Null);
    for query in ["?limit=0", "?limit=201", "?cursor=x"] {
        assert_eq!(list(query).await["status_code"], 400, "{query}");
    }
    let path = format!("{PATH}/{}", ids[0].as_str().unwrap());
    let patch = json!({"unified_api": "vault"});
    assert_eq!(play.call(Method::PATCH, &path, patch).await.0, 422);
    for expected in [200, 404] {
        assert_eq!(play.call(Method::DELETE, &path, NONE).await.0, expected);
    }
    let play = play.with_headers(&[("authorization", "Bearer apideck-test-key-1")]);
    let (status, _) = play.get(PATH).await;
    assert_eq!(status, 401, "the application is not named");
}
