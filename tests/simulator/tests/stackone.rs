//! StackOne's deliveries and its few paths over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod play;
mod receiver;

use play::{NONE, Play, defaults};
use receiver::{Receiver, Reply};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{ForeignWebhook, WebhookChange};
use simulator::{End, Source};

const ORDER: &str = r#"{"project_id":"dev-000001","event":"order.created","event_date":"2026-11-20T12:00:00.000Z","sent_at":"2026-11-20T12:00:01.000Z","account_id":"45000000000001","provider":"orderspace","origin_owner_id":"tenant-1","origin_owner_name":"Example Wholesale","origin_username":"ops@example.com","record_type":"order","record_id":"or_ex1","raw_event":{"event":"order.created","data":{"order":{"id":"or_ex1","number":1001,"created":"2026-11-20T12:00:00Z","status":"new"}}}}"#;
const UNICODE: &str = r#"{"event":"account.created","account_id":"1","provider":"orderspace","origin_owner_name":"Panadería 日本 🥐"}"#;

/// A webhook for orders with the secrets of the vectors, the second active.
async fn play(settings: Value, receiver: &Receiver) -> Play {
    let play = Play::new(Source::Stackone, settings).await;
    let foreign = ForeignWebhook {
        endpoint: receiver.url.clone(),
        events: Some(vec!["order.created".to_owned()]),
    };
    let webhook = play.site.add_webhook(&foreign).await.unwrap();
    for key in ["stackone-test-secret-1", "stackone-test-secret-2"] {
        let change = WebhookChange {
            signing_key: Some(key.to_owned()),
            ..WebhookChange::default()
        };
        play.site
            .change_webhook(&webhook.id, &change)
            .await
            .unwrap();
    }
    // Basic, the API key `secret-1` with no password.
    play.with_headers(&[
        ("authorization", "Basic c2VjcmV0LTE6"),
        ("x-account-id", "site-1"),
    ])
}

#[rstest]
#[case::order(ORDER, json!({"previous_secret": true}), "dkBM6kn_KTLV551vcKgVuWMZmF2Ei_3VP1jozjBqIoc")]
#[case::padded(ORDER, json!({"previous_secret": true, "padded": true}), "dkBM6kn_KTLV551vcKgVuWMZmF2Ei_3VP1jozjBqIoc=")]
#[case::unicode(UNICODE, json!({"previous_secret": true}), "2afoVDukwqUl2rjESVPKrEDflXQkUAPOj09Ni_rdqkc")]
#[tokio::test]
async fn bodies_travel_as_written_and_signed_with_either_secret(
    #[case] text: &str,
    #[case] settings: Value,
    #[case] signature: &str,
) {
    let receiver = Receiver::start(&[]).await;
    let play = play(settings, &receiver).await;
    play.deliver(&[text, r#"{"event":"order.deleted"}"#]).await;
    assert_eq!(receiver.texts(), [text], "nothing that was not selected");
    let got = |index: usize| receiver.received()[index].headers["x-stackone-signature"].clone();
    assert_eq!(got(0), signature);
    play.set(defaults()).await;
    play.deliver(&[text]).await;
    assert_ne!(got(1), signature, "the active secret is the second");
}

#[rstest]
#[case::payload(ORDER, json!({"current": true, "number_ids": true}), r#"{"event":"order.created","account_id":45000000000001,"provider":"orderspace","payload":{"event":"order.created","data":{"order":{"id":"or_ex1","number":1001,"created":"2026-11-20T12:00:00Z","status":"new"}}}}"#)]
#[case::number(r#"{"event":"x.y","record_id":"12","data":{"record_id":"3"}}"#, json!({"number_ids": true}), r#"{"event":"x.y","record_id":12,"data":{"record_id":"3"}}"#)]
#[case::no_number(r#"{"event":"x.y","record_id":"a1"}"#, json!({"number_ids": true}), r#"{"event":"x.y","record_id":"a1"}"#)]
#[case::platform_event(UNICODE, json!({"current": true}), UNICODE)]
#[tokio::test]
async fn the_envelope_and_the_ids_may_have_another_form(
    #[case] text: &str,
    #[case] settings: Value,
    #[case] expected: &str,
) {
    let receiver = Receiver::start(&[]).await;
    play(settings, &receiver).await.deliver(&[text]).await;
    assert_eq!(receiver.texts(), [expected]);
}

#[rstest]
#[case::none(1)]
#[case::a_few(3)]
#[tokio::test]
async fn retries_are_a_setting_and_nothing_is_disabled(#[case] attempts: usize) {
    let receiver = Receiver::start(&[Reply::Status(500); 3]).await;
    let play = play(json!({"attempts": attempts}), &receiver).await;
    let runs = play.deliver(&[ORDER]).await;
    assert_eq!(runs[0].deliveries.deliveries[0].end, End::GaveUp);
    assert_eq!(receiver.received().len(), attempts);
    assert!(play.webhook().await.enabled);
}

#[tokio::test]
async fn test_events_accounts_logs_and_the_relay_of_orderspace() {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults(), &receiver).await;
    let path = format!("/webhooks/{}/events", play.webhook().await.id);
    let body = json!([{"event": "order.created", "record_id": "or_1"}]);
    assert_eq!(play.call(Method::POST, &path, body.clone()).await.0, 207);
    let unknown = play
        .call(Method::POST, "/webhooks/wh_x/events", body.clone())
        .await;
    assert_eq!(unknown.0, 404);
    let event = json!({"event": "order.created", "data": {"order": {"id": "or_2"}}});
    assert_eq!(
        play.call(Method::POST, "/native/site-1", json!([event]))
            .await
            .0,
        200
    );
    let (_, accounts) = play.call(Method::GET, "/accounts", NONE).await;
    assert_eq!(accounts[0]["id"], "site-1");
    let (_, logs) = play.call(Method::GET, "/requests/logs", NONE).await;
    assert_eq!(logs["data"].as_array().unwrap().len(), 2);

    let sent: Vec<Value> = receiver
        .texts()
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let frame = json!({"event": "order.created", "account_id": "site-1", "provider": "orderspace"});
    assert_eq!(sent[0], play::with(&frame, json!({"record_id": "or_1"})));
    assert_eq!(sent[1], play::with(&frame, json!({"raw_event": event})));

    let play = play.with_headers(&[("authorization", "Basic c2VjcmV0LTI6")]);
    assert_eq!(play.call(Method::POST, &path, body).await.0, 401);
    assert_eq!(
        play.call(Method::POST, "/native/site-2", json!([])).await.0,
        401
    );
}
