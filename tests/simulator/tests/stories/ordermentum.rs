//! Ordermentum's API and deliveries over HTTP.

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::{End, Source};

use crate::play::{NONE, Play, defaults, with};
use crate::receiver::{Receiver, Reply};

const SUPPLIER: &str = "5c1f0a52-3b7e-4d0a-9a51-2d7f6f0c1e11";
const ORDER: &str = r#"{"event":"order_created","timestamp":"2026-11-20T11:58:30Z","data":{"id":"3f6f","createdAt":"a","updatedAt":"b", "status":"Placed","total":150.250}}"#;

const CREDENTIALS: &str = "Basic b3JkZXJob29rOm9yZGVybWVudHVtLXRlc3QtcGFzc3dvcmQtMQ==";

async fn play(settings: Value) -> Play {
    let play = Play::new(Source::Ordermentum, settings).await;
    play.with_headers(&[("x-api-key", "secret-1")])
}

fn webhook(url: &str) -> Value {
    json!({
        "url": url,
        "name": "orderhook/acme/0123456789abcdef",
        "events": ["order_created", "order_updated"],
        "entityId": SUPPLIER,
        "entityType": "supplier",
        "authentication": {"basicAuth": {"username": "orderhook", "password": "ordermentum-test-password-1"}},
        "headers": {"X-Orderhook-Key": "ordermentum-test-header-value-1"},
    })
}

async fn create(play: &Play, body: Value) -> Value {
    let (status, made) = play.call(Method::POST, "/v1/webhooks", body).await;
    assert_eq!(status, 201, "{made}");
    made
}

#[tokio::test]
async fn a_webhook_is_made_read_changed_and_deleted_and_hides_what_proves_deliveries() {
    let play = play(defaults()).await;
    let made = create(&play, webhook("https://example.com/hooks/x")).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(made["supplierId"], SUPPLIER);
    assert_eq!(made["deletedAt"], Value::Null);
    for hidden in ["url", "authentication", "headers"] {
        assert!(made.get(hidden).is_none(), "{hidden}");
    }
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(play.get(&path).await, (200, made.clone()));

    let change = json!({"events": ["invoice_created"], "headers": null});
    let change = with(&webhook("https://example.com/y"), change);
    let (status, changed) = play.call(Method::PUT, &path, change).await;
    assert_eq!(status, 200);
    assert_eq!(changed["events"], json!(["invoice_created"]));
    assert_eq!(changed["createdAt"], made["createdAt"]);
    assert_eq!(play.webhook().await.endpoint, "https://example.com/y");
    assert_eq!(play.webhook().await.details["headers"], Value::Null);

    let (status, deleted) = play.call(Method::DELETE, &path, NONE).await;
    assert_eq!((status, deleted["deletedAt"].is_string()), (200, true));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (status, _) = play.call(method, &path, webhook("https://a.b")).await;
        assert_eq!(status, 404);
    }
}

#[rstest]
#[case::empty(json!({}), "url, name, events")]
#[case::no_body(NONE, "url, name, events")]
#[case::not_https(json!({"url": "http://example.com"}), "url")]
#[case::url_is_no_text(json!({"url": 7}), "url")]
#[case::blank_name(json!({"name": " "}), "name")]
#[case::no_events(json!({"events": []}), "events")]
#[case::unknown_event(json!({"events": ["order_deleted"]}), "events")]
#[case::event_is_no_text(json!({"events": ["order_created", 7]}), "events")]
#[case::header_name(json!({"headers": {"a b": "c"}}), "headers")]
#[case::header_value(json!({"headers": {"a": "b\nc"}}), "headers")]
#[case::headers_are_a_list(json!({"headers": []}), "headers")]
#[case::half_of_the_credentials(json!({"authentication": {"basicAuth": {"username": "u"}}}), "authentication")]
#[tokio::test]
async fn what_is_not_acceptable_is_422(#[case] change: Value, #[case] named: &str) {
    let play = play(defaults()).await;
    let body = match change.as_object() {
        Some(members) if !members.is_empty() => with(&webhook("https://example.com"), change),
        _ => change,
    };
    let (status, answer) = play.call(Method::POST, "/v1/webhooks", body).await;
    assert_eq!(status, 422);
    assert_eq!(answer["message"], format!("not acceptable: {named}"));
    assert!(play.site.webhooks().await.unwrap().is_empty());
}

#[rstest]
#[case::both_key("both", "x-api-key", "secret-1", 200)]
#[case::both_token("both", "authorization", "Bearer {}", 200)]
#[case::key_only("api_key", "x-api-key", "secret-1", 200)]
#[case::key_not_taken("bearer", "x-api-key", "secret-1", 401)]
#[case::wrong_key("both", "x-api-key", "secret-2", 401)]
#[case::wrong_token("both", "authorization", "Bearer x", 401)]
#[case::nothing("both", "accept", "*/*", 401)]
#[tokio::test]
async fn callers_are_known_by_key_or_token(
    #[case] access: &str,
    #[case] name: &'static str,
    #[case] value: &str,
    #[case] expected: u16,
) {
    let play = Play::new(Source::Ordermentum, json!({"access": access})).await;
    let login = json!({"username": "site-1", "password": "secret-1"});
    let (status, token) = play.call(Method::POST, "/v1/auth", login).await;
    assert_eq!(status, if access == "api_key" { 401 } else { 200 });
    let value = value.replace("{}", token["access_token"].as_str().unwrap_or_default());
    let play = play.with_headers(&[(name, &value)]);
    assert_eq!(play.get("/v1/webhooks").await.0, expected);
}

#[rstest]
#[case::first("", 25, Some(1), 30, 2)]
#[case::second("?pageNo=2", 5, Some(26), 30, 2)]
#[case::beyond("?pageNo=9&pageSize=10", 0, None, 30, 3)]
#[case::small("?pageNo=3&pageSize=2", 2, Some(5), 30, 15)]
#[case::other_supplier("?supplierId=x", 0, None, 0, 0)]
#[tokio::test]
async fn the_list_comes_in_pages(
    #[case] query: &str,
    #[case] length: usize,
    #[case] first: Option<usize>,
    #[case] total: usize,
    #[case] pages: usize,
) {
    let play = play(defaults()).await;
    for number in 1..=30 {
        let name = json!({"name": format!("webhook {number}")});
        create(&play, with(&webhook("https://example.com"), name)).await;
    }
    let (status, list) = play.get(&format!("/v1/webhooks{query}")).await;
    assert_eq!(status, 200);
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), length);
    let name = data.first().map(|webhook| webhook["name"].clone());
    assert_eq!(name, first.map(|number| json!(format!("webhook {number}"))));
    assert_eq!(list["meta"]["totalResults"], total);
    assert_eq!(list["meta"]["totalPages"], pages);
    assert_eq!(play.get("/v1/webhooks?pageNo=0").await.0, 400);
}

#[tokio::test]
async fn a_delivery_has_the_registered_credentials_and_the_text_of_its_event() {
    let play = play(defaults()).await;
    let receiver = Receiver::start(&[]).await;
    create(&play, webhook(&receiver.url)).await;
    let other = r#"{"event":"invoice_created","data":{}}"#;
    assert!(play.deliver(&[ORDER, other]).await[0].accepted);
    assert_eq!(receiver.texts(), [ORDER], "nothing that was not selected");
    let headers = &receiver.received()[0].headers;
    for (name, value) in [
        ("authorization", CREDENTIALS),
        ("x-orderhook-key", "ordermentum-test-header-value-1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
}

#[rstest]
#[case::dropped(json!({}), 3, End::GaveUp, true)]
#[case::disabled(json!({"disables": true}), 3, End::Disabled, false)]
#[case::three_retries(json!({"attempts": 4}), 4, End::GaveUp, true)]
#[tokio::test]
async fn three_attempts_then_the_event_is_lost(
    #[case] settings: Value,
    #[case] attempts: usize,
    #[case] end: End,
    #[case] enabled: bool,
) {
    let play = play(settings).await;
    let receiver = Receiver::start(&[Reply::Status(503); 4]).await;
    let made = create(&play, webhook(&receiver.url)).await;
    let runs = play.deliver(&[ORDER]).await;
    assert_eq!(runs[0].deliveries.deliveries[0].end, end);
    assert_eq!(receiver.received().len(), attempts);
    assert_eq!(play.webhook().await.enabled, enabled);
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    let seen = play.get(&path).await;
    assert_eq!(seen, (200, made), "the API does not show it");
}
