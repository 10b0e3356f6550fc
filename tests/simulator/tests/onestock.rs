//! OneStock's API and deliveries over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod play;
mod receiver;

use std::time::Duration;

use play::{Play, defaults, with};
use receiver::{Receiver, Reply};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{Deliver, WebhookChange};
use simulator::{End, EventText, Source};

const MESSAGE: &str =
    r#"{"order_id":"ORD-1001","date":1795176000,"old_state":"new","new_state":"placed"}"#;
const DOT: [&str; 2] = [
    "7fb17dc91bbe4ba87aef4300e21d083c614d33302bdc5e84c3cf7b9063fd7099",
    "10f5a0871e20fe98e809d3405d5ddc56aa9e937a034944ab8d8147f2652393b1",
];

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

#[rstest]
#[case::dot(json!({}), DOT, ",")]
#[case::dots(json!({"dots": true}), DOT, ".")]
#[case::joined(json!({"form": "time_body"}), ["14eb68a4f82d92cd5bf273eb4abb154085a7ab1285ee769aaf89ebe554e7d85c", "5a36825db34a8acf4108b0deb3029243a6727d7330c7450c8c18f6e74de2f6ad"], ",")]
#[case::body(json!({"form": "body"}), ["aed047495febb942c4c17d79d3c11a4f191da70c3676c1900a4323adffa33e70", "a1595f64f3dbcda96200edbecae30c9378387f086d9491560cffd38ef1b6857a"], ",")]
#[case::time(json!({"form": "time"}), ["8fa72e66dfa310e463a0f988a0436c96c13c192dd5479056bd0eeb0d7a810bb8", "13fbf6c43926550575fe4d380ff4ab30acaa5192cf7f458cd1b4ae169ac034d2"], ",")]
#[tokio::test]
async fn the_vectors_hold_and_a_fourth_key_ends_the_first(
    #[case] settings: Value,
    #[case] digests: [&str; 2],
    #[case] separator: &str,
) {
    let receiver = Receiver::start(&[]).await;
    let (play, _) = play(
        with(&settings, json!({"signed_at": 1_795_176_000})),
        &receiver,
    )
    .await;
    let add = async |key: &str| {
        let change = WebhookChange {
            signing_key: Some(key.to_owned()),
            ..WebhookChange::default()
        };
        play.site
            .change_webhook(&play.webhook().await.id, &change)
            .await
            .unwrap();
    };
    add("onestock-hash-key-2").await;
    play.deliver(&[&placed()]).await;
    add("3").await;
    add("4").await;
    play.deliver_raw(MESSAGE).await;
    let got = receiver.received();
    assert_eq!(got[0].text(), MESSAGE);
    let [h0, h1] = digests;
    let expected = [
        "t=1795176000".to_owned(),
        format!("h0={h0}"),
        format!("h1={h1}"),
    ];
    assert_eq!(
        got[0].headers["onestock-signature"],
        expected.join(separator)
    );
    let later = got[1].headers["onestock-signature"].to_str().unwrap();
    assert!(
        later.ends_with(&format!("h2={h0}")) && !later.contains("h3"),
        "{later}"
    );
}

#[rstest]
#[case::base64(json!({"base64": true}), MESSAGE, Some("t=1795176000,h0=EPWghx4g/pjoCdNAXV3cVqqek3oDSUSrjYFH8mUjk7E="))]
#[case::unsigned(json!({"unsigned": true}), MESSAGE, None)]
#[case::wrapped(json!({"unsigned": true, "wrapped": true}), r#"{"topic":"order_state_changed","message":{"order_id":"ORD-1001","date":1795176000,"old_state":"new","new_state":"placed"}}"#, None)]
#[case::milliseconds(json!({"unsigned": true, "date": "milliseconds"}), r#"{"order_id":"ORD-1001","date":1795176000000,"old_state":"new","new_state":"placed"}"#, None)]
#[case::text(json!({"unsigned": true, "date": "text"}), r#"{"order_id":"ORD-1001","date":"2026-11-20T12:00:00.000Z","old_state":"new","new_state":"placed"}"#, None)]
#[tokio::test]
async fn forms_of_a_message(
    #[case] settings: Value,
    #[case] body: &str,
    #[case] signature: Option<&str>,
) {
    let receiver = Receiver::start(&[]).await;
    let set = json!({"signed_at": 1_795_176_000, "topic_header": "onestock-topic"});
    let (play, _) = play(with(&settings, set), &receiver).await;
    play.deliver(&[
        &placed(),
        &event("parcel_state_changed", "{}"),
        &event("our_topic", "{}"),
    ])
    .await;
    let got = receiver.received();
    assert_eq!(
        got.len(),
        2,
        "only what is selected, a custom topic among it"
    );
    assert_eq!(got[0].text(), body);
    assert_eq!(got[0].headers["onestock-topic"], "order_state_changed");
    assert_eq!(got[1].headers["onestock-topic"], "our_topic");
    let sent = got[0]
        .headers
        .get("onestock-signature")
        .map(|value| value.to_str().unwrap());
    assert_eq!(sent, signature);
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
    let sending = async {
        assert_eq!(set_status(&play, &token, "enabled").await, "enabled");
        play.deliver(&[&c]).await
    };
    assert!(
        receiver.received().is_empty(),
        "a paused webhook keeps its messages"
    );
    assert!(sending.await[0].accepted);
    let texts = [
        r#"{"n":1}"#,
        r#"{"n":1}"#,
        r#"{"n":1}"#,
        r#"{"n":2}"#,
        r#"{"n":3}"#,
    ];
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
    let ends: Vec<End> = runs[0]
        .deliveries
        .deliveries
        .iter()
        .map(|delivery| delivery.end)
        .collect();
    assert_eq!(ends, [end, end]);
    let who = json!({"site_id": "site-1", "token": token});
    let (_, list) = play.call(Method::GET, "/v2/webhooks", who).await;
    assert_eq!(list["webhooks"][0]["status"], status);
    assert_eq!(set_status(&play, &token, "enabled").await, "enabled");
    assert!(play.deliver(&[&placed()]).await[0].accepted);
}

#[rstest]
#[case::documented(202, json!({}), true)]
#[case::connector(200, json!({}), true)]
#[case::strict(200, json!({"only_202": true}), false)]
#[case::other(204, json!({}), false)]
#[tokio::test]
async fn what_acknowledges(#[case] status: u16, #[case] settings: Value, #[case] accepted: bool) {
    let receiver = Receiver::start(&[status; 7].map(Reply::Status)).await;
    let (play, _) = play(settings, &receiver).await;
    assert_eq!(play.deliver(&[&placed()]).await[0].accepted, accepted);
}

#[rstest]
#[case::top(json!({}), "/id")]
#[case::wrapped(json!({"id_in": "webhook"}), "/webhook/id")]
#[case::location(json!({"id_in": "location"}), "location")]
#[case::nowhere(json!({"id_in": "nowhere"}), "")]
#[tokio::test]
async fn the_id_of_what_was_created(#[case] settings: Value, #[case] place: &str) {
    let play = Play::new(Source::Onestock, settings).await;
    let body = creation(&token(&play).await, json!({"hash_key": null}));
    let answer = play.send(Method::POST, "/v2/webhooks", body).await;
    assert_eq!(answer.status(), 201);
    let location = answer.headers().get("location").cloned();
    let body: Value = answer.json().await.unwrap_or_default();
    let id = play.webhook().await.id;
    match place {
        "location" => assert_eq!(location.unwrap(), format!("/webhooks/{id}")),
        "" => assert_eq!((body, location), (Value::Null, None)),
        pointer => assert_eq!(body.pointer(pointer), Some(&json!(id))),
    }
}

#[rstest]
#[case::unknown_to_the_site(json!({}), 404, 404, 1)]
#[case::not_allowed(json!({"list": 405, "delete": 501}), 405, 501, 1)]
#[case::there(json!({"list": 200, "delete": 200}), 200, 204, 0)]
#[tokio::test]
async fn listing_and_deleting_are_settings(
    #[case] settings: Value,
    #[case] list: u16,
    #[case] delete: u16,
    #[case] left: usize,
) {
    let receiver = Receiver::start(&[]).await;
    let (play, token) = play(settings, &receiver).await;
    let who = json!({"site_id": "site-1", "token": token});
    assert_eq!(
        play.call(Method::GET, "/webhooks", who.clone()).await.0,
        list
    );
    let path = format!("/webhooks/{}", play.webhook().await.id);
    assert_eq!(play.call(Method::DELETE, &path, who).await.0, delete);
    assert_eq!(play.site.webhooks().await.unwrap().len(), left);
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
        assert_eq!(
            play.call(Method::POST, "/v2/login", wrong).await.0,
            401,
            "{name}"
        );
    }
    let post = async |body| play.call(Method::POST, "/webhooks", body).await.0;
    assert_eq!(post(creation("x", json!({}))).await, 401);
    assert_eq!(
        post(with(&creation(&token, json!({})), json!({"site_id": null}))).await,
        401
    );
    assert_eq!(set_status(&play, &token, "on").await, Value::Null);
    play.site
        .advance_clock(Duration::from_secs(86_400))
        .await
        .unwrap();
    assert_eq!(post(creation(&token, json!({}))).await, 401);
}
