//! Orderspace's API, whatever it answers: odd forms of what is documented, other integrations' webhooks, and whatever
//! stands between us and it.
#![cfg(feature = "api")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is"
)]

mod scripted;

use std::time::Duration;

use domain::account::{UrlToken, WebhookId};
use domain::signature::LiveSecrets;
use domain::source::Source;
use domain::subscription::{
    AccessToken, Api as _, ApiError, Caller, Credentials, NewWebhook, Removed,
};
use domain::timestamp::Timestamp;
use rstest::rstest;
use scripted::{Scripted, endpoint, failure, ids, selection};
use serde_json::{Value, json};
use sources::http::HttpClient;
use sources::orderspace::api::{Orderspace, OrderspaceUrls};

fn api(server: &Scripted) -> Orderspace {
    let urls = OrderspaceUrls {
        api: server.url.clone(),
        identity: server.url.clone(),
    };
    let second = Duration::from_secs(5);
    let client = HttpClient::with_timeouts("Orderspace", second, second);
    Orderspace::new(client, urls)
}

fn credentials() -> Credentials {
    Credentials::of([("client_id", "id"), ("client_secret", "secret")]).unwrap()
}

fn access() -> Caller {
    Caller {
        credentials: credentials(),
        token: AccessToken::new("token"),
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

#[rstest]
#[case::documented(
    r#"{"access_token":"t","token_type":"Bearer","expires_in":1800}"#,
    1800
)]
#[case::missing(r#"{"access_token":"t"}"#, 1800)]
#[case::null(r#"{"access_token":"t","expires_in":null}"#, 1800)]
#[case::text(r#"{"access_token":"t","expires_in":"900"}"#, 900)]
#[case::fraction(r#"{"access_token":"t","expires_in":900.5}"#, 900)]
#[case::word(r#"{"access_token":"t","expires_in":"soon"}"#, 1800)]
#[case::object(r#"{"access_token":"t","expires_in":{"seconds":5}}"#, 1800)]
#[case::negative(r#"{"access_token":"t","expires_in":-5}"#, 0)]
#[case::endless(r#"{"access_token":"t","expires_in":1e300}"#, 1800)]
#[tokio::test]
// requirement: provider-answers
async fn a_token_s_life_is_read_in_every_form(#[case] body: &str, #[case] seconds: u64) {
    let server = Scripted::new(&[("200 OK", body)]);
    let granted = api(&server).authenticate(&credentials(), now()).await;
    let granted = granted.unwrap();
    assert_eq!(granted.expires.millis(), seconds * 1000);
    assert_eq!(granted.token.expose(), "t");
}

const INVALID_CLIENT: &str = r#"{"error":"invalid_client","error_description":"x"}"#;

#[rstest]
#[case::oauth("401 Unauthorized", INVALID_CLIENT, true)]
#[case::oauth_with_400("400 Bad Request", INVALID_CLIENT, true)]
#[case::challenge(
    "401 Unauthorized\r\nwww-authenticate: Bearer realm=\"o\", error=\"invalid_client\"",
    "",
    true
)]
#[case::page("401 Unauthorized", "<html><h1>401</h1></html>", false)]
#[case::nothing("401 Unauthorized", "", false)]
#[case::proxy_s_own_login(
    "401 Unauthorized\r\nwww-authenticate: Basic realm=\"proxy\"",
    "",
    false
)]
#[case::other_json("401 Unauthorized", r#"{"message":"log in"}"#, false)]
#[tokio::test]
// requirement: provider-answers
async fn only_an_oauth_server_refuses_credentials(
    #[case] head: &str,
    #[case] body: &str,
    #[case] refused: bool,
) {
    let server = Scripted::new(&[(head, body)]);
    let error = failure(api(&server).authenticate(&credentials(), now())).await;
    assert_eq!(error == ApiError::CredentialsRefused, refused, "{error}");
    assert_ne!(error, ApiError::AccessRefused, "no token was used");
}

#[tokio::test]
async fn an_empty_access_token_is_none() {
    let server = Scripted::new(&[("200 OK", r#"{"access_token":""}"#)]);
    let error = failure(api(&server).authenticate(&credentials(), now())).await;
    let error = error.to_string();
    assert!(error.contains("an empty access token"), "{error}");
}

const OURS: &str = r#"{"id":"wh_1","endpoint":"https://example.com/hooks/orderspace/x","events":["order.created"],"signing_key":"k"}"#;

#[rstest]
#[case::as_documented(&format!(r#"{{"webhooks":[{OURS}]}}"#), &["wh_1"])]
#[case::null(r#"{"webhooks":null}"#, &[])]
#[case::empty(r#"{"webhooks":[]}"#, &[])]
#[case::without_a_key(r#"{"webhooks":[{"id":"wh_2","endpoint":"https://a.b/c","events":[]}]}"#, &["wh_2"])]
#[case::ids_are_numbers(r#"{"webhooks":[{"id":17,"endpoint":"https://a.b/c"}]}"#, &["17"])]
#[case::odd_entries(
    &format!(r#"{{"webhooks":[null,7,"x",[],{{}},{{"id":null,"endpoint":7}},{{"id":"","endpoint":"https://a.b/"}},{{"id":"wh_3","events":"*","endpoint":["x"],"signing_key":5}},{OURS}]}}"#),
    &["wh_3", "wh_1"]
)]
#[tokio::test]
// requirement: provider-foreign-entries
async fn foreign_entries_may_have_any_form(#[case] body: &str, #[case] expected: &[&str]) {
    let server = Scripted::new(&[("200 OK", body)]);
    let listed = api(&server).list(&access()).await.unwrap();
    assert_eq!(ids(&listed), expected);
    let key = listed.last().and_then(|webhook| webhook.key.as_ref());
    assert_eq!(key.is_some(), expected.contains(&"wh_1"));
}

#[tokio::test]
// requirement: provider-foreign-entries
async fn an_entry_that_may_be_ours_and_has_no_id_is_no_missing_webhook() {
    let token = UrlToken::from_random(&[7; 32]);
    let endpoint = format!("https://example.com/hooks/orderspace/{}", token.expose());
    let body = format!(r#"{{"webhooks":[{{"endpoint":"{endpoint}","events":[]}}]}}"#);
    let server = Scripted::new(&[("200 OK", &body)]);
    let error = failure(api(&server).list(&access())).await.to_string();
    assert!(error.contains("without an id"), "{error}");
    assert!(!error.contains(token.expose()), "{error}");
}

#[tokio::test]
// requirement: provider-answers
async fn every_page_is_read() {
    let page = |ids: &[&str], more| {
        let entries: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        json!({ "webhooks": entries, "has_more": more }).to_string()
    };
    let pages = [
        page(&["wh_1", "wh_2"], true),
        page(&["wh_3"], true),
        page(&[], true),
    ];
    let server = Scripted::of_pages(&pages);
    let listed = api(&server).list(&access()).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        server.lines(),
        [
            "GET /v1/webhooks",
            "GET /v1/webhooks?starting_after=wh_2",
            "GET /v1/webhooks?starting_after=wh_3",
        ]
    );
}

/// Four MiB are read; what is larger is no answer of a site's.
#[rstest]
#[case::as_large_as_may_be(0, true)]
#[case::a_byte_larger(1, false)]
#[tokio::test]
async fn an_answer_has_four_mebibytes_at_most(#[case] more: usize, #[case] is_read: bool) {
    let list = r#"{"webhooks":[]}"#;
    let body = format!("{list}{}", " ".repeat(4 * 1024 * 1024 - list.len() + more));
    let server = Scripted::new(&[("200 OK", &body)]);
    let listed = api(&server).list(&access()).await;
    assert_eq!(listed.is_ok(), is_read);
    match listed {
        Ok(listed) => assert!(listed.is_empty()),
        Err(error) => assert!(error.to_string().contains("more than 4 MiB"), "{error}"),
    }
}

/// Taken for "no webhooks", each would have another one registered, or the webhook of a disconnected account left behind.
#[rstest]
#[case::no_list(&[r#"{"error":"maintenance"}"#], "cannot be read")]
#[case::a_page_without_ids(&[r#"{"webhooks":[{}],"has_more":true}"#], "without an id")]
#[case::the_same_page(&[r#"{"webhooks":[{"id":"wh_1"}],"has_more":true}"#; 2], "the same page")]
#[tokio::test]
async fn what_is_no_whole_list_is_none(#[case] pages: &[&str], #[case] said: &str) {
    let server = Scripted::of_pages(pages);
    let error = failure(api(&server).list(&access())).await.to_string();
    assert!(error.contains(said), "{error}");
}

#[rstest]
#[case::empty(r#""signing_key":"","#)]
#[case::null(r#""signing_key":null,"#)]
#[case::missing("")]
#[tokio::test]
async fn a_registration_without_a_key_is_refused(#[case] key: &str) {
    let body = format!(r#"{{"webhook":{{"id":"wh_1",{key}"events":["order.created"]}}}}"#);
    let server = Scripted::new(&[("201 Created", &body)]);
    let new = NewWebhook {
        endpoint: &endpoint(Source::Orderspace),
        label: "orderhook/acme/0123456789abcdef",
        events: &selection(&["order.created"]),
        secrets: &LiveSecrets::default(),
        part: "",
    };
    let created = api(&server).create(&access(), new).await;
    let error = created.err().unwrap().to_string();
    assert!(error.contains("no signing key"), "{error}");
}

#[rstest]
#[case::documented(
    "200 OK",
    r#"{"webhook":{"id":"wh_1","deleted":true}}"#,
    Some(Removed::Now)
)]
#[case::no_content("204 No Content", "", Some(Removed::Now))]
#[case::gone_with_a_message(
    "404 Not Found",
    r#"{"message":"Couldn't find"}"#,
    Some(Removed::Before)
)]
#[case::gone("404 Not Found", "", Some(Removed::Before))]
#[case::gone_in_other_words("404 Not Found", r#"{"error":"not_found"}"#, Some(Removed::Before))]
#[case::wrong_path("404 Not Found", "<!DOCTYPE html>", None)]
#[case::proxy("200 OK", "<html>", None)]
#[case::it_stays("200 OK", r#"{"webhook":{"id":"wh_1","deleted":false}}"#, None)]
#[tokio::test]
// requirement: provider-answers
async fn removing(#[case] head: &str, #[case] body: &str, #[case] expected: Option<Removed>) {
    let server = Scripted::new(&[(head, body)]);
    let id = WebhookId::new("wh_1");
    let removed = api(&server).remove(&access(), &id).await;
    assert_eq!(removed.ok(), expected);
}

#[rstest]
#[case::json("403 Forbidden", r#"{"error":"insufficient_scope"}"#, true)]
#[case::challenge(
    "403 Forbidden\r\nwww-authenticate: Bearer error=\"insufficient_scope\"",
    "",
    true
)]
#[case::page("403 Forbidden", "<html>", false)]
#[tokio::test]
// requirement: provider-answers
async fn a_permission_that_is_missing(#[case] head: &str, #[case] body: &str, #[case] said: bool) {
    let server = Scripted::new(&[(head, body)]);
    let error = api(&server).list(&access()).await.err().unwrap();
    assert_eq!(error == ApiError::PermissionMissing, said, "{error}");
}

#[rstest]
#[case::not_said("", None)]
#[case::seconds("\r\nretry-after: 180", Some(180))]
#[case::nothing("\r\nretry-after: 0", Some(1))]
#[case::for_ever("\r\nretry-after: 31536000", Some(3600))]
#[case::date("\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT", None)]
#[case::negative("\r\nretry-after: -1", None)]
#[tokio::test]
// requirement: provider-answers
async fn a_pause_is_as_long_as_the_source_says(#[case] header: &str, #[case] pause: Option<u64>) {
    let server = Scripted::new(&[(&format!("429 Too Many Requests{header}"), "")]);
    let error = api(&server).list(&access()).await.err().unwrap();
    assert_eq!(error, ApiError::TooManyRequests { pause });
}
