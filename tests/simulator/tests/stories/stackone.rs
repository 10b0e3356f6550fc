//! StackOne's deliveries and its few paths over HTTP.

use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{ForeignWebhook, WebhookChange};
use simulator::{End, Source};

use crate::play::{Play, defaults};
use crate::receiver::{Receiver, Reply};

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
    for key in ["stackone-test-secret-2", "stackone-test-secret-1"] {
        let change = WebhookChange {
            signing_key: Some(key.to_owned()),
            ..WebhookChange::default()
        };
        let changed = play.site.change_webhook(&webhook.id, &change);
        changed.await.unwrap();
    }
    play
}

#[rstest]
#[case::order(ORDER, "dkBM6kn_KTLV551vcKgVuWMZmF2Ei_3VP1jozjBqIoc")]
#[case::unicode(UNICODE, "2afoVDukwqUl2rjESVPKrEDflXQkUAPOj09Ni_rdqkc")]
#[tokio::test]
async fn bodies_travel_as_written_and_signed_with_the_newest_secret(
    #[case] text: &str,
    #[case] signature: &str,
) {
    let receiver = Receiver::start(&[]).await;
    let play = play(defaults(), &receiver).await;
    play.deliver(&[text, r#"{"event":"order.deleted"}"#]).await;
    assert_eq!(receiver.texts(), [text], "nothing that was not selected");
    let got = receiver.received()[0].headers["x-stackone-signature"].clone();
    assert_eq!(got, signature);
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
