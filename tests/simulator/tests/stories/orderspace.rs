//! Orderspace's API and deliveries over HTTP.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{Deliver, WebhookChange};
use simulator::{EVENT_NAMES, End, EventText, RetryPolicy, SigningKey, Source};

use crate::play::{NONE, Play, defaults};
use crate::receiver::{Receiver, Reply};

const PATH: &str = "/v1/webhooks";
const DELETED: &str = r#"{"event":"order.deleted","data":{"order":{"id":"or_1"}}}"#;

async fn play() -> Play {
    let play = Play::new(Source::Orderspace, defaults()).await;
    let credentials = json!({"grant_type": "client_credentials", "client_id": "site-1", "client_secret": "secret-1"});
    let (status, mut granted) = play.call(Method::POST, "/oauth/token", credentials).await;
    assert_eq!(status, 200);
    let token = granted["access_token"].take();
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    let rest = json!({"access_token": null, "token_type": "Bearer", "expires_in": 1800, "scope": "read write"});
    assert_eq!(granted, rest);
    play.with_headers(&[("authorization", &bearer)])
}

async fn create(play: &Play, endpoint: &str, events: &[&str]) -> Value {
    let body = json!({ "webhook": { "endpoint": endpoint, "events": events } });
    let (status, made) = play.call(Method::POST, PATH, body).await;
    assert_eq!(status, 200, "{made}");
    made["webhook"].clone()
}

#[rstest]
#[case::wrong_secret(&[("grant_type", "client_credentials"), ("client_id", "site-1"), ("client_secret", "guess")], 401, "invalid_client")]
#[case::unknown_client(&[("grant_type", "client_credentials"), ("client_id", "nobody"), ("client_secret", "secret-1")], 401, "invalid_client")]
#[case::no_credentials(&[("grant_type", "client_credentials")], 401, "invalid_client")]
#[case::no_grant_type(&[("client_id", "site-1"), ("client_secret", "secret-1")], 400, "invalid_request")]
#[case::other_grant_type(&[("grant_type", "password"), ("client_id", "site-1"), ("client_secret", "secret-1")], 400, "unsupported_grant_type")]
#[case::unknown_scope(&[("grant_type", "client_credentials"), ("client_id", "site-1"), ("client_secret", "secret-1"), ("scope", "read admin")], 400, "invalid_scope")]
#[tokio::test]
async fn token_errors_are_those_of_rfc_6749(
    #[case] fields: &[(&str, &str)],
    #[case] status: u16,
    #[case] error: &str,
) {
    let play = Play::new(Source::Orderspace, defaults()).await;
    let fields: BTreeMap<_, _> = fields.iter().copied().collect();
    let answer = play.call(Method::POST, "/oauth/token", json!(fields)).await;
    assert_eq!((answer.0, &answer.1["error"]), (status, &json!(error)));
    assert!(answer.1["error_description"].is_string());
}

#[tokio::test]
async fn a_webhook_lives_as_documented() {
    let play = play().await;
    let first = create(&play, "https://example.com/a", &["order.created"]).await;
    let second = create(&play, "http://127.0.0.1:9/b", &EVENT_NAMES).await;
    let id = first["id"].as_str().unwrap();
    let key = first["signing_key"].as_str().unwrap();
    assert!(id.starts_with("wh_") && id.len() == 11);
    assert!(key.len() == 40 && key.chars().all(|c| c.is_ascii_alphanumeric()));
    let shown = |endpoint: &str, event: &str| json!({"id": id, "endpoint": endpoint, "events": [event], "signing_key": key});
    assert_eq!(first, shown("https://example.com/a", "order.created"));
    let list = play.get(PATH).await;
    assert_eq!(list, (200, json!({ "webhooks": [second, first] })));

    let path = format!("{PATH}/{id}");
    let one = play.get(&path).await;
    assert_eq!(one, (200, json!({ "webhook": first })));
    let endpoint = "https://example.com/c";
    let whole = json!({"endpoint": endpoint, "events": ["order.deleted"]});
    let part = json!({"events": ["order.created"]});
    for (change, event) in [(whole, "order.deleted"), (part, "order.created")] {
        let change = json!({ "webhook": change });
        let changed = play.call(Method::PUT, &path, change).await;
        assert_eq!(changed, (200, json!({ "webhook": shown(endpoint, event) })));
    }
    let deleted = json!({"webhook": {"id": id, "deleted": true}});
    let answer = play.call(Method::DELETE, &path, NONE).await;
    assert_eq!(answer, (200, deleted));
    let list = play.get(PATH).await;
    assert_eq!(list, (200, json!({ "webhooks": [second] })));
}

#[rstest]
#[case::get(Method::GET, NONE)]
#[case::put(Method::PUT, json!({"webhook": {"events": ["order.created"]}}))]
#[case::delete(Method::DELETE, NONE)]
#[tokio::test]
async fn an_unknown_webhook_is_a_404_with_a_message(#[case] method: Method, #[case] body: Value) {
    let play = play().await;
    let answer = play.send(method, "/v1/webhooks/wh_none", body).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
    let expected = json!({"message": "Couldn't find webhook with id wh_none"});
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);
}

#[rstest]
#[case::blank(json!({"webhook": {"endpoint": "", "events": ["order.created"]}}), "Validation failed: Endpoint can't be blank, Endpoint must be a https url")]
#[case::absent(json!({"webhook": {"events": ["order.created"]}}), "Validation failed: Endpoint can't be blank, Endpoint must be a https url")]
#[case::null(json!({"webhook": {"endpoint": null, "events": ["order.created"]}}), "Validation failed: Endpoint can't be blank, Endpoint must be a https url")]
#[case::http(json!({"webhook": {"endpoint": "http://example.com", "events": ["order.created"]}}), "Validation failed: Endpoint must be a https url")]
#[case::no_events(json!({"webhook": {"endpoint": "https://example.com", "events": []}}), "Validation failed: Events can't be blank")]
#[case::unknown_event(json!({"webhook": {"endpoint": "https://example.com", "events": ["invoice.updated"]}}), "Validation failed: Events are invalid")]
#[tokio::test]
async fn an_invalid_webhook_is_a_422_with_a_message(#[case] body: Value, #[case] expected: &str) {
    let play = play().await;
    let answer = play.call(Method::POST, PATH, body).await;
    assert_eq!(answer, (422, json!({ "message": expected })));
    assert!(play.site.webhooks().await.unwrap().is_empty());
}

#[tokio::test]
async fn events_go_to_the_enabled_webhooks_that_subscribe_to_them() {
    let play = play().await;
    let orders = Receiver::start(&[Reply::Status(503)]).await;
    let all = Receiver::start(&[]).await;
    let disabled = Receiver::start(&[]).await;
    let webhook = create(&play, &orders.url, &["order.created"]).await;
    create(&play, &all.url, &EVENT_NAMES).await;
    let off = create(&play, &disabled.url, &EVENT_NAMES).await;
    let change = WebhookChange {
        enabled: Some(false),
        ..WebhookChange::default()
    };
    let id = off["id"].as_str().unwrap();
    play.site.change_webhook(id, &change).await.unwrap();

    // The spacing and the number must arrive as written here.
    let order = r#"{"event":"order.created", "data":{"order":{"id":"or_1","total":1.50}}}"#;
    let product = r#"{"event":"product.deleted","data":{"product":{"id":"pr_1"}}}"#;
    let runs = play.deliver(&[order, product]).await;
    assert_eq!(orders.texts(), [format!("[{order}]"), format!("[{order}]")]);
    assert_eq!(all.texts(), [format!("[{order},{product}]")]);
    assert!(disabled.texts().is_empty());
    let key = SigningKey::new(webhook["signing_key"].as_str().unwrap());
    let got = &orders.received()[1];
    assert_eq!(got.signature(), key.sign(&got.body));
    assert_eq!(json!(runs[0].webhook), webhook["id"]);
    assert!(runs[0].finished && runs[0].accepted);
    assert_eq!(runs[0].deliveries.statuses(), [503, 200]);
    assert_eq!(play.site.deliveries().await.unwrap(), runs);
}

#[tokio::test]
async fn a_webhook_that_keeps_failing_is_disabled() {
    let play = play().await;
    let receiver = Receiver::start(&[Reply::Status(500); 9]).await;
    create(&play, &receiver.url, &EVENT_NAMES).await;
    let mut deliver = Deliver::events(&[EventText::parse(DELETED).unwrap()]);
    deliver.policy = RetryPolicy::quick();
    deliver.policy.disable_after = 3;
    let runs = play.site.deliver(&deliver).await.unwrap();
    assert!(!runs[0].accepted);
    assert_eq!(runs[0].deliveries.deliveries[0].end, End::Disabled);
    let webhook = play.webhook().await;
    assert_eq!((webhook.enabled, webhook.consecutive_failures), (false, 3));
    assert_eq!(play.site.deliver(&deliver).await.unwrap(), []);
    assert_eq!(receiver.received().len(), 3);
    let (_, list) = play.get(PATH).await;
    let webhooks = list["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), 1, "still listed");
}

#[tokio::test]
async fn a_sending_in_the_background_can_be_watched() {
    let play = play().await;
    let receiver = Receiver::start(&[]).await;
    receiver.hold_until_open(2);
    create(&play, &receiver.url, &EVENT_NAMES).await;
    let deliver = || Deliver {
        wait: false,
        ..Deliver::events(&[EventText::parse(DELETED).unwrap()])
    };
    assert!(!play.run(deliver()).await[0].accepted);
    play.run(deliver()).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let runs = play.site.deliveries().await.unwrap();
        if runs.iter().all(|run| run.accepted) {
            assert_eq!(runs.len(), 2);
            break;
        }
        assert!(Instant::now() < deadline, "{runs:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_event_type_of_tomorrow_goes_to_every_webhook() {
    let play = play().await;
    let receiver = Receiver::start(&[]).await;
    create(&play, &receiver.url, &["order.created"]).await;
    let filled = r#"{"event":"basket.filled"}"#;
    play.deliver(&[filled, DELETED]).await;
    assert_eq!(receiver.texts(), [format!("[{filled}]")]);
}
