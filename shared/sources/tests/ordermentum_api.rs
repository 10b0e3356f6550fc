//! Ordermentum's API, whatever it answers: what is sent, the ways to an access, and odd forms of every answer.
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
    AccessToken, Api as _, ApiError, Caller, Condition, Credentials, Endpoint, EventSelection,
    NewWebhook, RegisteredWebhook, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use rstest::rstest;
use scripted::{Answer, Scripted, endpoint, failure, ids, secrets, selection};
use serde_json::json;
use sources::http::HttpClient;
use sources::ordermentum::api::{Ordermentum, OrdermentumUrls};

const LABEL: &str = "orderhook/acme/0123456789abcdef";
const LIST: &str = "GET /v1/webhooks?pageNo=1&pageSize=100&supplierId=supplier-1";
const ASK: &str = "GET /v1/webhooks?pageNo=1&pageSize=1&supplierId=supplier-1";
const EMPTY: Answer<'static> = ("200 OK", r#"{"meta":{},"links":{},"data":[]}"#);

fn api(server: &Scripted) -> Ordermentum {
    let urls = OrdermentumUrls {
        api: server.url.clone(),
        login: server.url.clone(),
    };
    let second = Duration::from_secs(5);
    let client = HttpClient::with_timeouts("Ordermentum", second, second);
    Ordermentum::new(client, urls)
}

fn by_key() -> Credentials {
    Credentials::of([("api_key", "om_api_1"), ("supplier_id", "supplier-1")]).unwrap()
}

fn with_login() -> Credentials {
    Credentials::of([
        ("api_key", "om_api_1"),
        ("supplier_id", "supplier-1"),
        ("username", "ops@example.com"),
        ("password", "s3cret"),
    ])
    .unwrap()
}

fn caller(token: &str) -> Caller {
    Caller {
        credentials: by_key(),
        token: AccessToken::new(token),
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

async fn create(server: &Scripted, token: &str) -> Result<RegisteredWebhook, ApiError> {
    let api = api(server);
    let new = NewWebhook {
        endpoint: &endpoint(Source::Ordermentum),
        label: LABEL,
        events: &selection(&["order_created", "order_updated"]),
        secrets: &secrets(api.secrets()),
        part: "",
    };
    api.create(&caller(token), new).await
}

async fn change(
    server: &Scripted,
    endpoint: Option<&Endpoint>,
    secrets: &LiveSecrets,
) -> Result<RegisteredWebhook, ApiError> {
    let events: EventSelection = selection(&["order_created"]);
    let change = WebhookChange {
        endpoint,
        label: LABEL,
        events: &events,
        secrets,
        part: "",
    };
    let id = WebhookId::new("w-1");
    api(server).update(&caller(""), &id, change).await
}

#[tokio::test]
async fn a_key_that_the_list_takes_is_the_access() {
    let server = Scripted::new(&[EMPTY]);
    let access = api(&server).authenticate(&with_login(), now()).await;
    assert_eq!(access.unwrap().token.expose(), "");
    let asked = server.asked();
    assert_eq!(asked[0].line, ASK);
    assert_eq!(asked[0].header("x-api-key"), Some("om_api_1"));
    assert_eq!(asked[0].header("authorization"), None);
}

#[rstest]
#[case::documented(r#"{"access_token":"t-1","token_type":"Bearer"}"#, 86_400)]
#[case::older(r#"{"userId":"u","token":"t-1","expiry":"2026-11-21"}"#, 86_400)]
#[case::with_its_life(r#"{"access_token":"t-1","expires_in":900}"#, 900)]
#[case::with_a_life_that_is_none(r#"{"access_token":"t-1","expires_in":"soon"}"#, 86_400)]
#[tokio::test]
async fn where_the_key_is_refused_a_user_gets_a_token(#[case] body: &str, #[case] seconds: u64) {
    let server = Scripted::new(&[("401 Unauthorized", "{}"), ("200 OK", body)]);
    let access = api(&server).authenticate(&with_login(), now()).await;
    let access = access.unwrap();
    assert_eq!(access.token.expose(), "t-1");
    assert_eq!(access.expires.millis(), seconds * 1000);
    let asked = server.asked();
    assert_eq!(asked[1].line, "POST /v1/auth");
    let sent = json!({ "username": "ops@example.com", "password": "s3cret" });
    assert_eq!(asked[1].body, sent);
}

#[tokio::test]
async fn with_a_token_the_key_is_not_sent() {
    let server = Scripted::new(&[EMPTY]);
    api(&server).list(&caller("t-1")).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer t-1"));
    assert_eq!(asked[0].header("x-api-key"), None);
}

#[rstest]
#[case::without_a_user(by_key(), &[("401 Unauthorized", "{}")], Some(ApiError::CredentialsRefused))]
#[case::without_a_body(by_key(), &[("401 Unauthorized", "")], Some(ApiError::CredentialsRefused))]
#[case::wrong_password(
    with_login(),
    &[("401 Unauthorized", "{}"), ("401 Unauthorized", "{}")],
    Some(ApiError::CredentialsRefused)
)]
#[case::a_proxy_s(by_key(), &[("401 Unauthorized", "<html>")], None)]
#[case::a_proxy_s_at_the_login(
    with_login(),
    &[("401 Unauthorized", "{}"), ("401 Unauthorized", "<html>")],
    None
)]
#[case::not_allowed(with_login(), &[("403 Forbidden", "{}")], Some(ApiError::PermissionMissing))]
#[case::empty_token(with_login(), &[("401 Unauthorized", "{}"), ("200 OK", r#"{"access_token":""}"#)], None)]
#[case::token_of_another_type(with_login(), &[("401 Unauthorized", "{}"), ("200 OK", r#"{"token":7}"#)], None)]
#[case::wrong_address(with_login(), &[("404 Not Found", "<html>")], None)]
#[case::down(with_login(), &[("503 Service Unavailable", "")], Some(ApiError::Down(503)))]
#[case::a_page(by_key(), &[("200 OK", "<html>")], None)]
#[tokio::test]
// requirement: provider-answers
async fn no_access(
    #[case] credentials: Credentials,
    #[case] script: &[Answer<'_>],
    #[case] expected: Option<ApiError>,
) {
    let server = Scripted::new(script);
    let error = failure(api(&server).authenticate(&credentials, now())).await;
    assert!(!error.to_string().contains("s3cret") && !error.to_string().contains("om_api"));
    match expected {
        Some(expected) => assert_eq!(error, expected),
        None => assert!(matches!(error, ApiError::BadAnswer { .. }), "{error}"),
    }
    assert_eq!(server.asked().len(), script.len());
}

#[tokio::test]
async fn a_registration_has_everything_that_proves_and_names_it() {
    let answer = r#"{"id":"w-1","name":"x","events":["order_created"]}"#;
    let server = Scripted::new(&[("201 Created", answer)]);
    let created = create(&server, "").await.unwrap();
    assert_eq!(created.id.as_str(), "w-1");
    assert_eq!(created.events, ["order_created"], "as it is answered");
    assert_eq!(created.condition, Condition::Active);
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /v1/webhooks");
    // 32 times the byte 9, in base64url.
    let secret = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";
    let expected = json!({
        "url": endpoint(Source::Ordermentum).expose(),
        "name": LABEL,
        "events": ["order_created", "order_updated"],
        "entityId": "supplier-1",
        "entityType": "supplier",
        "authentication": { "basicAuth": { "username": "orderhook", "password": secret } },
        "headers": { "x-orderhook-key": secret },
    });
    assert_eq!(asked[0].body, expected);
}

#[rstest]
#[case::at_the_top("201 Created", r#"{"id":"w-1"}"#)]
#[case::with_200("200 OK", r#"{"id":"w-1"}"#)]
#[case::accepted(
    "202 Accepted",
    r#"{"id":"w-1","url":null,"events":["order_created","order_updated"]}"#
)]
#[case::under_data("201 Created", r#"{"data":{"id":"w-1"}}"#)]
#[case::null_beside_data("201 Created", r#"{"id":null,"data":{"id":"w-1"}}"#)]
#[tokio::test]
// requirement: provider-answers
async fn an_id_is_taken_wherever_it_stands(#[case] head: &str, #[case] body: &str) {
    let server = Scripted::new(&[(head, body)]);
    let created = create(&server, "").await.unwrap();
    assert_eq!(created.id.as_str(), "w-1");
    assert_eq!(created.events, ["order_created", "order_updated"]);
    assert_eq!(created.label.as_deref(), Some(LABEL));
    assert_eq!(server.lines(), ["POST /v1/webhooks"]);
}

#[rstest]
#[case::no_content("204 No Content", "")]
#[case::nothing("201 Created", "")]
#[case::null("201 Created", "null")]
#[case::a_word("201 Created", r#"{"success":true}"#)]
#[case::a_list("201 Created", "[]")]
#[case::empty_id("201 Created", r#"{"id":""}"#)]
#[tokio::test]
// requirement: provider-answers
async fn an_id_that_is_not_answered_is_found_in_the_list(#[case] head: &str, #[case] body: &str) {
    let other = r#"{"id":"w-0","name":"orderhook/acme/ffffffffffffffff","events":[]}"#;
    let ours = format!(r#"{{"id":"w-1","name":"{LABEL}","events":["order_created"]}}"#);
    let list = format!(r#"{{"data":[{other},{ours}]}}"#);
    let server = Scripted::new(&[(head, body), ("200 OK", &list)]);
    let created = create(&server, "").await.unwrap();
    assert_eq!(created.id.as_str(), "w-1");
    assert_eq!(server.lines(), ["POST /v1/webhooks", LIST]);
}

#[tokio::test]
async fn a_webhook_that_is_shown_with_its_url_is_found_by_it_alone() {
    let url = endpoint(Source::Ordermentum).expose().to_owned();
    let list = format!(
        r#"[{{"id":"w-0","name":"{LABEL}","url":"https://a.b/c"}},{{"id":"w-1","url":"{url}"}}]"#
    );
    let server = Scripted::new(&[("201 Created", ""), ("200 OK", &list)]);
    assert_eq!(create(&server, "").await.unwrap().id.as_str(), "w-1");
}

#[tokio::test]
async fn a_registration_that_nobody_can_find_is_no_success() {
    let server = Scripted::new(&[("201 Created", ""), EMPTY]);
    let error = create(&server, "").await.unwrap_err().to_string();
    assert!(error.contains("not in the list"), "{error}");
}

#[rstest]
#[case::refused("422 Unprocessable Entity")]
#[case::conflict("409 Conflict")]
#[case::bad_request("400 Bad Request")]
#[tokio::test]
async fn a_refusal_is_passed_on_without_what_is_secret(#[case] head: &str) {
    let endpoint = endpoint(Source::Ordermentum);
    let secret = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk";
    let body = json!({ "message": format!("{} is taken; {secret}", endpoint.expose()) });
    let server = Scripted::new(&[(head, &body.to_string())]);
    let error = create(&server, "").await.unwrap_err();
    let expected = "[the endpoint] is taken; [a secret]".to_owned();
    assert_eq!(error, ApiError::Invalid(expected));
}

#[tokio::test]
async fn a_change_sends_everything_again() {
    let endpoint = endpoint(Source::Ordermentum);
    let answer = r#"{"id":"w-1","events":["order_created"]}"#;
    let server = Scripted::new(&[("200 OK", answer)]);
    let kinds = api(&server).secrets();
    let changed = change(&server, Some(&endpoint), &secrets(kinds)).await;
    assert_eq!(changed.unwrap().events, ["order_created"]);
    let asked = server.asked();
    assert_eq!(asked[0].line, "PUT /v1/webhooks/w-1");
    let members = asked[0].body.as_object().unwrap();
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    let all = "authentication entityId entityType events headers name url";
    assert_eq!(names.join(" "), all);
    assert_eq!(asked[0].body["url"], endpoint.expose());
    assert_eq!(asked[0].body["events"], json!(["order_created"]));
}

/// Sent without its address or its secrets, the webhook could lose them.
#[tokio::test]
async fn what_cannot_be_sent_again_whole_is_not_changed() {
    let endpoint = endpoint(Source::Ordermentum);
    let server = Scripted::new(&[]);
    let kinds = api(&server).secrets();
    let no_address = change(&server, None, &secrets(kinds)).await;
    let no_secrets = change(&server, Some(&endpoint), &LiveSecrets::default()).await;
    for refused in [no_address, no_secrets] {
        let is_refused = matches!(refused, Err(ApiError::NoSuchCall(_)));
        assert!(is_refused, "{refused:?}");
    }
    assert!(server.asked().is_empty());
}

#[rstest]
#[case::object("200 OK", r#"{"id":"w-1"}"#, Some(Removed::Now))]
#[case::no_content("204 No Content", "", Some(Removed::Now))]
#[case::accepted("202 Accepted", "", Some(Removed::Now))]
#[case::missing("404 Not Found", "{}", Some(Removed::Before))]
#[case::missing_without_words("404 Not Found", "", Some(Removed::Before))]
#[case::gone("410 Gone", "", Some(Removed::Before))]
#[case::wrong_path("404 Not Found", "<!DOCTYPE html>", None)]
#[case::proxy("200 OK", "<html>", None)]
#[case::down("500 Internal Server Error", "", None)]
#[case::not_allowed("405 Method Not Allowed", "", None)]
#[tokio::test]
// requirement: provider-answers
async fn removing(#[case] head: &str, #[case] body: &str, #[case] expected: Option<Removed>) {
    let server = Scripted::new(&[(head, body)]);
    let api = api(&server);
    let removed = api.remove(&caller(""), &WebhookId::new("w-1")).await;
    assert_eq!(removed.ok(), expected);
    assert_eq!(server.lines(), ["DELETE /v1/webhooks/w-1"]);
}

#[rstest]
#[case::as_documented(
    r#"{"meta":{"totalPages":1},"links":{},"data":[{"id":"a","name":"n","events":["order_created"]}]}"#,
    &["a"]
)]
#[case::a_bare_list(r#"[{"id":"a"}]"#, &["a"])]
#[case::null(r#"{"data":null}"#, &[])]
#[case::nothing("", &[])]
#[case::deleted(r#"{"data":[{"id":"a","deletedAt":"2026-11-20T12:00:00Z"},{"id":"b","deletedAt":null}]}"#, &["b"])]
#[case::null_as_the_documentation_prints_it(r#"{"data":[{"id":"a","deletedAt":{}}]}"#, &["a"])]
#[case::ids_are_numbers(r#"{"data":[{"id":17}]}"#, &["17"])]
#[case::odd_entries(
    r#"{"data":[null,7,"x",[],{},{"id":null,"name":7},{"id":"","url":"https://a.b/"},{"id":"a","events":"*"}]}"#,
    &["a"]
)]
#[case::the_newest_first_by_time(
    r#"{"data":[{"id":"b","createdAt":"2026-11-21T00:00:00Z"},{"id":"a","createdAt":"2026-11-20T00:00:00Z"},{"id":"c","createdAt":"2026-11-22T00:00:00Z"}]}"#,
    &["c", "b", "a"]
)]
#[case::the_newest_first_by_place(r#"{"data":[{"id":"a"},{"id":"b"}]}"#, &["b", "a"])]
#[tokio::test]
// requirement: provider-foreign-entries
async fn lists_of_every_form(#[case] body: &str, #[case] expected: &[&str]) {
    let server = Scripted::new(&[("200 OK", body)]);
    let listed = api(&server).list(&caller("")).await.unwrap();
    assert_eq!(ids(&listed), expected);
    assert_eq!(server.lines(), [LIST]);
}

#[tokio::test]
async fn what_a_list_shows_is_read() {
    let body = format!(
        r#"{{"data":[{{"id":"a","name":"{LABEL}","url":"https://a.b/c","events":["order_created",7]}}]}}"#
    );
    let server = Scripted::new(&[("200 OK", &body)]);
    let listed = api(&server).list(&caller("")).await.unwrap();
    assert_eq!(listed[0].label.as_deref(), Some(LABEL));
    let endpoint = listed[0].endpoint.as_ref().unwrap();
    assert_eq!(endpoint.expose(), "https://a.b/c");
    assert_eq!(listed[0].events, ["order_created"]);
}

#[rstest]
#[case::by_number(r#""meta":{"totalPages":3},"#, r#""meta":{"totalPages":3},"#)]
#[case::by_number_as_text(r#""meta":{"totalPages":"3"},"#, r#""meta":{"totalPages":"3"},"#)]
#[case::by_link(
    r#""links":{"next":"/v1/webhooks?pageNo=9"},"#,
    r#""links":{"next":null},"#
)]
#[tokio::test]
// requirement: provider-answers
async fn every_page_is_read(#[case] more: &str, #[case] last: &str) {
    let page = |meta: &str, id: &str| format!(r#"{{{meta}"data":[{{"id":"{id}"}}]}}"#);
    let pages = [page(more, "a"), page(more, "b"), page(last, "c")];
    let server = Scripted::of_pages(&pages);
    let listed = api(&server).list(&caller("")).await.unwrap();
    assert_eq!(ids(&listed), ["c", "b", "a"]);
    let third = "GET /v1/webhooks?pageNo=3&pageSize=100&supplierId=supplier-1";
    assert_eq!(server.lines()[2], third);
}

/// Taken for "no webhooks", each would have another one registered, or the webhook of a disconnected account left behind.
#[rstest]
#[case::no_list(&[r#"{"error":"maintenance"}"#], "no list")]
#[case::an_object(&[r#"{"data":{}}"#], "no list")]
#[case::a_page_for_people(&["<html>"], "cannot be read")]
#[case::the_same_page(&[r#"{"meta":{"totalPages":2},"data":[{"id":"a"}]}"#; 2], "the same page")]
#[case::a_page_without_ids(&[r#"{"meta":{"totalPages":2},"data":[{}]}"#], "the same page")]
#[case::ours_by_name_without_an_id(
    &[r#"{"data":[{"name":"orderhook/acme/0123456789abcdef"}]}"#],
    "without an id"
)]
#[tokio::test]
async fn what_is_no_whole_list_is_none(#[case] pages: &[&str], #[case] said: &str) {
    let server = Scripted::of_pages(pages);
    let error = failure(api(&server).list(&caller(""))).await.to_string();
    assert!(error.contains(said), "{error}");
}

#[tokio::test]
async fn ours_by_its_url_without_an_id_is_no_missing_webhook() {
    let url = endpoint(Source::Ordermentum).expose().to_owned();
    let body = format!(r#"{{"data":[{{"url":"{url}"}}]}}"#);
    let server = Scripted::new(&[("200 OK", &body)]);
    let error = failure(api(&server).list(&caller(""))).await.to_string();
    assert!(error.contains("without an id"), "{error}");
    assert!(!error.contains(&url), "{error}");
}

#[rstest]
#[case::json("404 Not Found", "{}")]
#[case::page("404 Not Found", "<html>")]
#[tokio::test]
async fn a_list_that_is_not_there_is_no_missing_webhook(#[case] head: &str, #[case] body: &str) {
    let server = Scripted::new(&[(head, body)]);
    let error = api(&server).list(&caller("")).await.unwrap_err();
    assert!(matches!(error, ApiError::BadAnswer { .. }), "{error}");
}

#[tokio::test]
async fn there_is_no_call_to_enable_one() {
    let server = Scripted::new(&[]);
    let id = WebhookId::new("w-1");
    let enabled = api(&server).enable(&caller(""), &id).await;
    assert!(matches!(enabled, Err(ApiError::NoSuchCall(_))));
}
