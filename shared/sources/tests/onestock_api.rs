//! OneStock's API, whatever it answers: what is sent, what a site cannot do, and odd forms of every answer.
#![cfg(feature = "api")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is"
)]

mod scripted;

use std::time::Duration;

use domain::account::WebhookId;
use domain::signature::LiveSecrets;
use domain::source::Source;
use domain::subscription::{
    AccessToken, Api as _, ApiError, Caller, Condition, Credentials, NewWebhook, RegisteredWebhook,
    Remedy, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use rstest::rstest;
use scripted::{Answer, Scripted, endpoint, failure, ids, secrets, selection};
use serde_json::json;
use sources::http::HttpClient;
use sources::onestock::api::OneStock;

/// 32 times the byte 9, in base64url.
const KEY: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";

fn client() -> HttpClient {
    let second = Duration::from_secs(5);
    HttpClient::with_timeouts("OneStock", second, second)
}

fn api(server: &Scripted) -> OneStock {
    OneStock::new(client(), Some(format!("{}/v2", server.url)))
}

fn credentials_at(url: &str) -> Credentials {
    Credentials::of([
        ("api_url", url),
        ("site_id", "c1"),
        ("user_id", "ops"),
        ("password", "s3cret"),
    ])
    .unwrap()
}

fn credentials() -> Credentials {
    credentials_at("https://api.example.com/v2")
}

fn caller() -> Caller {
    Caller {
        credentials: credentials(),
        token: AccessToken::new("t-1"),
    }
}

async fn create(server: &Scripted) -> Result<RegisteredWebhook, ApiError> {
    let api = api(server);
    let new = NewWebhook {
        endpoint: &endpoint(Source::OneStock),
        label: "orderhook/acme/0123456789abcdef",
        events: &selection(&["order_state_changed"]),
        secrets: &secrets(api.secrets()),
        part: "",
    };
    api.create(&caller(), new).await
}

#[rstest]
#[case::below_v2("/v2")]
#[case::at_the_host("")]
#[tokio::test]
async fn a_login_is_below_v2_at_any_address(#[case] path: &str) {
    let server = Scripted::new(&[("200 OK", r#"{"token":"t-1"}"#)]);
    let api = OneStock::new(client(), Some(format!("{}{path}", server.url)));
    let now = Timestamp::from_millis(5_000);
    let access = api.authenticate(&credentials(), now).await.unwrap();
    assert_eq!(access.token.expose(), "t-1");
    assert_eq!(access.expires, now.plus_seconds(86_400));
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /v2/login");
    let sent = json!({ "site_id": "c1", "user_id": "ops", "password": "s3cret" });
    assert_eq!(asked[0].body, sent);
}

#[rstest]
#[case::refused(
    "401 Unauthorized",
    r#"{"error":"s3cret is wrong"}"#,
    Some(ApiError::CredentialsRefused)
)]
#[case::refused_without_words("401 Unauthorized", "", Some(ApiError::CredentialsRefused))]
#[case::forbidden("403 Forbidden", "{}", Some(ApiError::CredentialsRefused))]
#[case::repeated(
    "400 Bad Request",
    r#"{"error":"s3cret is no password"}"#,
    Some(ApiError::Invalid("[a secret] is no password".to_owned()))
)]
#[case::a_proxy_s("401 Unauthorized", "<html>", None)]
#[case::wrong_address("404 Not Found", "{}", None)]
#[case::empty("200 OK", r#"{"token":""}"#, None)]
#[case::null("200 OK", r#"{"token":null}"#, None)]
#[case::a_page("200 OK", "<html>", None)]
#[case::nothing("204 No Content", "", None)]
#[case::throttled("429 Too Many Requests", "", Some(ApiError::TooManyRequests { pause: None }))]
#[tokio::test]
// requirement: provider-answers
async fn no_access(#[case] head: &str, #[case] body: &str, #[case] expected: Option<ApiError>) {
    let server = Scripted::new(&[(head, body)]);
    let now = Timestamp::from_millis(0);
    let error = api(&server).authenticate(&credentials(), now).await.err();
    let error = error.unwrap();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    match expected {
        Some(expected) => assert_eq!(error, expected),
        None => assert!(matches!(error, ApiError::BadAnswer { .. }), "{error}"),
    }
}

/// What was stored by whatever way is looked at before it is called.
#[rstest]
#[case::in_the_clear("http://127.0.0.1:1")]
#[case::metadata("https://169.254.169.254/v2")]
#[case::inside("https://one.internal")]
#[tokio::test]
async fn an_address_that_no_caller_may_give_is_not_called(#[case] url: &str) {
    let api = OneStock::new(client(), None);
    let caller = Caller {
        credentials: credentials_at(url),
        token: AccessToken::new("t-1"),
    };
    let now = Timestamp::from_millis(0);
    let login = failure(api.authenticate(&caller.credentials, now)).await;
    for error in [login, failure(api.list(&caller)).await] {
        assert!(matches!(error, ApiError::Invalid(_)), "{error}");
        assert!(!error.to_string().contains(url), "{error}");
    }
}

#[tokio::test]
async fn a_registration_has_our_key_and_says_who_calls_in_its_body() {
    let server = Scripted::new(&[("201 Created", r#"{"id":"w-1"}"#)]);
    let created = create(&server).await.unwrap();
    assert_eq!(created.id.as_str(), "w-1");
    assert_eq!(created.events, ["order_state_changed"]);
    assert_eq!(created.condition, Condition::Active);
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /v2/webhooks");
    let expected = json!({
        "site_id": "c1",
        "token": "t-1",
        "webhook": {
            "hash_key": KEY,
            "http_method": "POST",
            "status": "enabled",
            "topics": ["order_state_changed"],
            "url": endpoint(Source::OneStock).expose(),
        },
    });
    assert_eq!(asked[0].body, expected);
}

#[rstest]
#[case::at_the_top("201 Created", r#"{"id":"w-1"}"#)]
#[case::below("200 OK", r#"{"webhook":{"id":"w-1"}}"#)]
#[case::a_database_s("200 OK", r#"{"webhook":{"_id":"w-1"}}"#)]
#[case::under_data("202 Accepted", r#"{"data":{"id":"w-1"}}"#)]
#[case::in_location("201 Created\r\nlocation: /v2/webhooks/w-1", "")]
#[case::in_a_whole_location("204 No Content\r\nlocation: https://a.b/webhooks/w-1/?x=1#y", "")]
#[tokio::test]
// requirement: provider-answers
async fn an_id_is_taken_wherever_it_stands(#[case] head: &str, #[case] body: &str) {
    let server = Scripted::new(&[(head, body)]);
    assert_eq!(create(&server).await.unwrap().id.as_str(), "w-1");
    assert_eq!(server.lines(), ["POST /v2/webhooks"]);
}

#[rstest]
#[case::nothing("201 Created", "")]
#[case::null("200 OK", r#"{"id":null}"#)]
#[case::the_list_s_location("201 Created\r\nlocation: /v2/webhooks", "")]
#[case::an_odd_location("201 Created\r\nlocation: /v2/webhooks/a%20b", "")]
#[tokio::test]
// requirement: provider-answers
async fn an_id_that_is_not_answered_is_found_in_the_list(#[case] head: &str, #[case] body: &str) {
    let url = endpoint(Source::OneStock).expose().to_owned();
    let list = format!(
        r#"{{"webhooks":[{{"id":"w-0","url":"https://a.b"}},{{"id":"w-1","url":"{url}"}}]}}"#
    );
    let server = Scripted::new(&[(head, body), ("200 OK", &list)]);
    assert_eq!(create(&server).await.unwrap().id.as_str(), "w-1");
    assert_eq!(server.lines(), ["POST /v2/webhooks", "GET /v2/webhooks"]);
}

/// An error would have the webhook registered again in every check.
#[rstest]
#[case::no_list("404 Not Found", "{}")]
#[case::list_without_it("200 OK", r#"{"webhooks":[]}"#)]
#[case::no_answer("503 Service Unavailable", "")]
#[tokio::test]
async fn a_webhook_without_an_id_gets_a_name_and_is_left_to_a_person(
    #[case] head: &str,
    #[case] body: &str,
) {
    let server = Scripted::new(&[("201 Created", ""), (head, body)]);
    let created = create(&server).await.unwrap();
    let token = endpoint(Source::OneStock).token().unwrap();
    let expected = format!("unnamed-{}", token.hash().label());
    assert_eq!(created.id.as_str(), expected);
    let removed = api(&server).remove(&caller(), &created.id).await;
    assert!(matches!(removed, Err(ApiError::NoSuchCall(_))));
    assert_eq!(server.lines().len(), 2, "nothing is asked about it");
}

#[tokio::test]
async fn a_refusal_is_passed_on_without_what_is_secret() {
    let url = endpoint(Source::OneStock).expose().to_owned();
    let body = json!({ "error": format!("{url}, {KEY}, t-1") }).to_string();
    let server = Scripted::new(&[("422 Unprocessable Entity", &body)]);
    let error = create(&server).await.unwrap_err();
    let expected = "[the endpoint], [a secret], [a secret]".to_owned();
    assert_eq!(error, ApiError::Invalid(expected));
}

#[rstest]
#[case::expired("401 Unauthorized", "{}", "the access token is refused")]
#[case::wrong_path("404 Not Found", "{}", "/v2")]
#[case::a_page("200 OK", "<html>", "cannot be read")]
#[case::down("502 Bad Gateway", "<html>", "status 502")]
#[case::throttled("429 Too Many Requests\r\nretry-after: 9", "", "too many")]
#[tokio::test]
async fn other_answers_to_a_registration(
    #[case] head: &str,
    #[case] body: &str,
    #[case] said: &str,
) {
    let server = Scripted::new(&[(head, body)]);
    let error = create(&server).await.unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[tokio::test]
async fn without_a_key_nothing_is_registered_and_no_call_changes_a_webhook() {
    let server = Scripted::new(&[]);
    let endpoint = endpoint(Source::OneStock);
    let events = selection(&["order_state_changed"]);
    let (none, api) = (LiveSecrets::default(), api(&server));
    let new = NewWebhook {
        endpoint: &endpoint,
        label: "",
        events: &events,
        secrets: &none,
        part: "",
    };
    let created = api.create(&caller(), new).await;
    assert!(matches!(created, Err(ApiError::NoSuchCall(_))));
    let change = WebhookChange {
        endpoint: Some(&endpoint),
        label: "",
        events: &events,
        secrets: &none,
        part: "",
    };
    let changed = api.update(&caller(), &WebhookId::new("w-1"), change).await;
    assert!(matches!(changed, Err(ApiError::NoSuchCall(_))));
    assert!(server.asked().is_empty());
}

#[rstest]
#[case::missing("404 Not Found", "{}", true)]
#[case::missing_page("404 Not Found", "<html>", true)]
#[case::not_allowed("405 Method Not Allowed", "", true)]
#[case::not_built("501 Not Implemented", "", true)]
#[case::down("500 Internal Server Error", "", false)]
#[case::expired("401 Unauthorized", "", false)]
#[case::a_page("200 OK", "<html>", false)]
#[case::no_list("200 OK", r#"{"webhooks":{}}"#, false)]
#[case::an_error("200 OK", r#"{"error":"maintenance"}"#, false)]
#[tokio::test]
// requirement: provider-answers
async fn a_site_that_cannot_list_says_so_by_its_status(
    #[case] head: &str,
    #[case] body: &str,
    #[case] is_unlisted: bool,
) {
    let server = Scripted::new(&[(head, body)]);
    let error = api(&server).list(&caller()).await.unwrap_err();
    let says_so = matches!(error, ApiError::NoSuchCall(_));
    assert_eq!(says_so, is_unlisted, "{error}");
    let asked = server.asked();
    assert_eq!(asked[0].body, json!({ "site_id": "c1", "token": "t-1" }));
}

#[rstest]
#[case::named(r#"{"webhooks":[{"id":"a"},{"id":"b"}]}"#, &["b", "a"])]
#[case::bare(r#"[{"id":"a"}]"#, &["a"])]
#[case::under_data(r#"{"data":[{"webhook":{"id":"a"}}]}"#, &["a"])]
#[case::null(r#"{"webhooks":null}"#, &[])]
#[case::nothing("", &[])]
#[case::odd_entries(r#"[null,7,"x",[],{},{"id":{}},{"id":"","url":7},{"id":"a","topics":"*"}]"#, &["a"])]
#[tokio::test]
// requirement: provider-foreign-entries
async fn lists_of_every_form(#[case] body: &str, #[case] expected: &[&str]) {
    let server = Scripted::new(&[("200 OK", body)]);
    let listed = api(&server).list(&caller()).await.unwrap();
    assert_eq!(ids(&listed), expected);
}

#[tokio::test]
async fn ours_without_an_id_is_no_missing_webhook() {
    let url = endpoint(Source::OneStock).expose().to_owned();
    let server = Scripted::new(&[("200 OK", &format!(r#"[{{"url":"{url}"}}]"#))]);
    let error = api(&server).list(&caller()).await.unwrap_err().to_string();
    assert!(error.contains("without an id"), "{error}");
    assert!(!error.contains(&url), "{error}");
}

fn disabled() -> Condition {
    Condition::Disabled {
        reason: None,
        remedy: Remedy::Enable,
    }
}

#[rstest]
#[case::enabled(r#""enabled""#, Condition::Active)]
#[case::paused(r#""paused""#, Condition::Paused)]
#[case::disabled(r#""disabled""#, disabled())]
#[case::upper_case(r#""DISABLED""#, disabled())]
#[case::another(r#""resting""#, Condition::Active)]
#[case::null("null", Condition::Active)]
#[case::number("0", Condition::Active)]
#[tokio::test]
async fn a_status_is_a_condition(#[case] status: &str, #[case] expected: Condition) {
    let body = format!(
        r#"[{{"id":"a","url":"https://a.b/c","topics":["x",7],"status":{status},"hash_key":"k"}}]"#
    );
    let server = Scripted::new(&[("200 OK", &body)]);
    let listed = api(&server).list(&caller()).await.unwrap();
    assert_eq!(listed[0].condition, expected);
    assert_eq!(listed[0].events, ["x"]);
    let endpoint = listed[0].endpoint.as_ref().unwrap();
    assert_eq!(endpoint.expose(), "https://a.b/c");
}

#[rstest]
#[case::gone(&[("204 No Content", "")], Some(Removed::Now))]
#[case::shown(&[("200 OK", r#"{"id":"w-1"}"#)], Some(Removed::Now))]
#[case::was_gone(&[("410 Gone", "")], Some(Removed::Before))]
#[case::cannot(&[("405 Method Not Allowed", ""), ("200 OK", "{}")], Some(Removed::Stopped))]
#[case::not_built(&[("501 Not Implemented", ""), ("204 No Content", "")], Some(Removed::Stopped))]
#[case::no_path(&[("404 Not Found", "<html>"), ("200 OK", "")], Some(Removed::Stopped))]
#[case::no_webhook(&[("404 Not Found", "{}"), ("404 Not Found", "{}")], Some(Removed::Before))]
#[case::neither(&[("404 Not Found", "<html>"), ("404 Not Found", "<html>")], None)]
#[case::not_stopped(&[("405 Method Not Allowed", ""), ("500 Internal Server Error", "")], None)]
#[case::down(&[("503 Service Unavailable", "")], None)]
#[case::a_page(&[("200 OK", "<html>")], None)]
#[tokio::test]
// requirement: provider-answers
async fn removing(#[case] script: &[Answer<'_>], #[case] expected: Option<Removed>) {
    let server = Scripted::new(script);
    let removed = api(&server).remove(&caller(), &WebhookId::new("w-1")).await;
    assert_eq!(removed.ok(), expected);
    let asked = server.asked();
    assert_eq!(asked[0].line, "DELETE /v2/webhooks/w-1");
    if let Some(paused) = asked.get(1) {
        assert_eq!(paused.line, "PATCH /v2/webhooks/w-1/status");
        let expected = json!({ "site_id": "c1", "token": "t-1", "status": "paused" });
        assert_eq!(paused.body, expected);
    }
}

#[tokio::test]
async fn enabling_is_asked_for_and_looked_at() {
    let list = r#"[{"id":"w-0"},{"id":"w-1","topics":["x"],"status":"enabled"}]"#;
    let server = Scripted::new(&[("200 OK", r#"{"ok":true}"#), ("200 OK", list)]);
    let enabled = api(&server).enable(&caller(), &WebhookId::new("w-1")).await;
    assert_eq!(enabled.unwrap().events, ["x"]);
    let asked = server.asked();
    assert_eq!(asked[0].line, "PATCH /v2/webhooks/w-1/status");
    assert_eq!(asked[0].body["status"], "enabled");
}

#[rstest]
#[case::gone(&[("404 Not Found", "{}")])]
#[case::gone_since(&[("200 OK", ""), ("200 OK", "[]")])]
#[tokio::test]
async fn what_is_not_there_is_not_enabled(#[case] script: &[Answer<'_>]) {
    let server = Scripted::new(script);
    let enabled = api(&server).enable(&caller(), &WebhookId::new("w-1")).await;
    assert_eq!(enabled.unwrap_err(), ApiError::NoSuchWebhook);
}
