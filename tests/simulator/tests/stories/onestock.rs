//! OneStock's API and deliveries over HTTP.

use std::time::Duration;

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::Deliver;
use simulator::{End, EventText, Source};

use crate::play::{Play, defaults, with};
use crate::receiver::{Receiver, Reply};

const MESSAGE: &str =
    r#"{"order_id":"ORD-1001","date":1795176000,"old_state":"new","new_state":"placed"}"#;

fn event(topic: &str, message: &str) -> String {
    format!(r#"{{"event":"{topic}","data":{message}}}"#)
}

fn placed() -> String {
    event("order_state_changed", MESSAGE)
}

async fn token(play: &Play) -> String {
    let login = json!({"site_id": "site-1", "user_id": "u", "password": "secret-1"});
    let (status, answer) = play.call(Method::POST, "/v2/login", login).await;
    assert_eq!(status, 200);
    answer["token"].as_str().unwrap().to_owned()
}

fn creation(token: &str, change: Value) -> Value {
    let webhook = json!({"hash_key": "onestock-hash-key-1", "http_method": "POST", "status": "enabled",
        "topics": ["order_state_changed", "our_topic"], "url": "https://example.com/x"});
    json!({"site_id": "site-1", "token": token, "webhook": with(&webhook, change)})
}

/// A webhook to the receiver, and how to set its status.
async fn play(settings: Value, receiver: &Receiver) -> (Play, String) {
    let play = Play::new(Source::Onestock, settings).await;
    let token = token(&play).await;
    let body = creation(&token, json!({"url": receiver.url}));
    assert_eq!(play.call(Method::POST, "/webhooks", body).await.0, 201);
    (play, token)
}

async fn set_status(play: &Play, token: &str, status: &str) -> Value {
    let path = format!("/webhooks/{}/status", play.webhook().await.id);
    let body = json!({"site_id": "site-1", "token": token, "status": status});
    play.call(Method::PATCH, &path, body).await.1["status"].clone()
}

#[tokio::test]
async fn an_unacknowledged_head_holds_the_queue_also_for_another_sending() {
    let receiver = Receiver::start(&[Reply::Status(503), Reply::Status(204)]).await;
    let (play, token) = play(defaults(), &receiver).await;
    let [a, b, c] = [1, 2, 3].map(|n| event("our_topic", &format!(r#"{{"n":{n}}}"#)));
    set_status(&play, &token, "paused").await;
    let deliver = Deliver {
        wait: false,
        ..Deliver::events(&[&a, &b].map(|text| EventText::parse(text.as_str()).unwrap()))
    };
    play.run(deliver).await;
    let received = receiver.received();
    assert!(received.is_empty(), "a paused webhook keeps its messages");
    assert_eq!(set_status(&play, &token, "enabled").await, "enabled");
    assert!(play.deliver(&[&c]).await[0].accepted);
    let texts = [1, 1, 1, 2, 3].map(|n| format!(r#"{{"n":{n}}}"#));
    assert_eq!(receiver.texts(), texts);
}

#[rstest]
#[case::recovers(6, End::Accepted, "enabled")]
#[case::fails(7, End::Disabled, "disabled")]
#[tokio::test]
async fn six_retries_then_it_is_disabled_until_it_is_enabled(
    #[case] failures: usize,
    #[case] end: End,
    #[case] status: &str,
) {
    let receiver = Receiver::start(&vec![Reply::Status(500); failures]).await;
    let (play, token) = play(json!({"list": 200}), &receiver).await;
    let runs = play.deliver(&[&placed(), &placed()]).await;
    let deliveries = runs[0].deliveries.deliveries.iter();
    let ends: Vec<End> = deliveries.map(|delivery| delivery.end).collect();
    assert_eq!(ends, [end, end]);
    let who = json!({"site_id": "site-1", "token": token});
    let (_, list) = play.call(Method::GET, "/v2/webhooks", who).await;
    assert_eq!(list["webhooks"][0]["status"], status);
    assert_eq!(set_status(&play, &token, "enabled").await, "enabled");
    assert!(play.deliver(&[&placed()]).await[0].accepted);
}

#[rstest]
#[case::documented(202, true)]
#[case::connector(200, true)]
#[case::other(204, false)]
#[tokio::test]
async fn what_acknowledges(#[case] status: u16, #[case] accepted: bool) {
    let receiver = Receiver::start(&[status; 7].map(Reply::Status)).await;
    let (play, _) = play(defaults(), &receiver).await;
    assert_eq!(play.deliver(&[&placed()]).await[0].accepted, accepted);
}

#[rstest]
#[case::url(json!({"url": "http://example.com"}), "url")]
#[case::no_topics(json!({"topics": []}), "topics")]
#[case::topic_is_no_text(json!({"topics": ["a", 1]}), "topics")]
#[case::method(json!({"http_method": "PUT"}), "http_method")]
#[case::status(json!({"status": null}), "status")]
#[case::key(json!({"hash_key": 7}), "hash_key")]
#[tokio::test]
async fn what_is_not_acceptable_is_422(#[case] change: Value, #[case] named: &str) {
    let play = Play::new(Source::Onestock, defaults()).await;
    let body = creation(&token(&play).await, change);
    let answer = play.call(Method::POST, "/webhooks", body).await;
    assert_eq!(answer, (422, json!({"error": named})));
}

#[tokio::test]
async fn credentials_are_in_the_body_and_a_token_ends_after_a_day() {
    let receiver = Receiver::start(&[]).await;
    let (play, token) = play(defaults(), &receiver).await;
    let login = json!({"site_id": "site-1", "user_id": "u", "password": "secret-1"});
    for (name, value) in [
        ("site_id", json!("site-2")),
        ("user_id", json!("")),
        ("password", json!("x")),
    ] {
        let wrong = with(&login, json!({ name: value }));
        let (status, _) = play.call(Method::POST, "/v2/login", wrong).await;
        assert_eq!(status, 401, "{name}");
    }
    let post = async |body| play.call(Method::POST, "/webhooks", body).await.0;
    assert_eq!(post(creation("x", json!({}))).await, 401);
    let anonymous = with(&creation(&token, json!({})), json!({"site_id": null}));
    assert_eq!(post(anonymous).await, 401);
    assert_eq!(set_status(&play, &token, "on").await, Value::Null);
    let day = Duration::from_secs(86_400);
    play.site.advance_clock(day).await.unwrap();
    assert_eq!(post(creation(&token, json!({}))).await, 401);
}
