//! Apideck's API, whatever it answers: odd forms of what is documented, other integrations' webhooks, and whatever stands
//! between us and it.
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
    NewWebhook, RegisteredWebhook, Remedy, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use rstest::rstest;
use scripted::{Scripted, failure, ids, selection};
use serde_json::{Value, json};
use sources::apideck::api::{Apideck, ApideckUrls};
use sources::http::HttpClient;

const KEY: &str = "marker-api-key";
const LABEL: &str = "orderhook/acme/0123456789abcdef";

fn api(server: &Scripted) -> Apideck {
    let second = Duration::from_secs(5);
    let client = HttpClient::with_timeouts("Apideck", second, second);
    let api = server.url.clone();
    Apideck::new(client, ApideckUrls { api })
}

fn caller() -> Caller {
    Caller {
        credentials: Credentials::of([("api_key", KEY), ("app_id", "app-1")]).unwrap(),
        token: AccessToken::none(),
    }
}

fn endpoint() -> Endpoint {
    scripted::endpoint(Source::Apideck)
}

fn events() -> EventSelection {
    selection(&["ecommerce.order.created"])
}

async fn create(server: &Scripted) -> Result<RegisteredWebhook, ApiError> {
    let new = NewWebhook {
        endpoint: &endpoint(),
        label: LABEL,
        events: &events(),
        secrets: &LiveSecrets::default(),
        part: "",
    };
    api(server).create(&caller(), new).await
}

async fn update(
    server: &Scripted,
    endpoint: Option<&Endpoint>,
) -> Result<RegisteredWebhook, ApiError> {
    let change = WebhookChange {
        endpoint,
        label: LABEL,
        events: &events(),
        secrets: &LiveSecrets::default(),
        part: "",
    };
    let id = WebhookId::new("wh_1");
    api(server).update(&caller(), &id, change).await
}

fn shown(status: &str, reason: &Value) -> String {
    json!({ "status_code": 201, "status": "Created", "data": {
        "id": "wh_1", "description": LABEL, "unified_api": "ecommerce", "status": status,
        "disabled_reason": reason, "delivery_url": endpoint().expose(),
        "events": ["ecommerce.order.created"], "created_at": "2026-11-20T12:00:00.000Z",
    }})
    .to_string()
}

const UNAUTHORIZED: &str = r#"{"status_code":401,"error":"Unauthorized","type_name":"UnauthorizedError","message":"Invalid API key","ref":"https://developers.apideck.com/errors"}"#;
const EMPTY: &str = r#"{"status_code":200,"status":"OK","data":[]}"#;

#[tokio::test]
// requirement: provider-answers
async fn credentials_are_shown_with_every_request_and_proved_by_a_list() {
    let server = Scripted::new(&[("200 OK", EMPTY)]);
    let (credentials, now) = (caller().credentials, Timestamp::from_millis(0));
    let access = api(&server).authenticate(&credentials, now).await.unwrap();
    assert!(access.is_usable(Timestamp::from_millis(4_000_000_000_000)));
    assert_eq!(access.token.expose(), "");
    let asked = server.asked_once();
    assert_eq!(asked.line, "GET /webhook/webhooks?limit=1");
    let shown = asked.header("authorization");
    assert_eq!(shown, Some("Bearer marker-api-key"));
    assert_eq!(asked.header("x-apideck-app-id"), Some("app-1"));
}

#[rstest]
#[case::refused("401 Unauthorized", UNAUTHORIZED, true)]
#[case::in_fewer_words("401 Unauthorized", r#"{"message":"no"}"#, true)]
#[case::page("401 Unauthorized", "<html>401</html>", false)]
#[case::nothing("401 Unauthorized", "", false)]
#[case::other_json("401 Unauthorized", r#"{"login":"proxy"}"#, false)]
#[case::forbidden("403 Forbidden", r#"{"message":"no"}"#, false)]
#[case::wrong_path("404 Not Found", r#"{"message":"no"}"#, false)]
#[case::no_list("200 OK", r#"{"status":"maintenance"}"#, false)]
#[case::down("503 Service Unavailable", UNAUTHORIZED, false)]
#[tokio::test]
// requirement: provider-answers
async fn only_the_api_refuses_credentials(
    #[case] head: &str,
    #[case] body: &str,
    #[case] is_refused: bool,
) {
    let server = Scripted::new(&[(head, body)]);
    let (credentials, now) = (caller().credentials, Timestamp::from_millis(0));
    let error = api(&server).authenticate(&credentials, now).await;
    let error = error.err().unwrap();
    assert_eq!(error == ApiError::CredentialsRefused, is_refused, "{error}");
    assert_ne!(error, ApiError::AccessRefused);
    assert_ne!(error, ApiError::NoSuchWebhook);
}

#[rstest]
#[case::key_revoked("401 Unauthorized", UNAUTHORIZED, "the access token is refused")]
#[case::key_revoked_by_a_page(
    "401 Unauthorized",
    "<html>",
    "status 401 and nothing that the API says"
)]
#[case::plan(
    "402 Payment Required",
    r#"{"message":"limit"}"#,
    "the plan is used up: limit"
)]
#[case::forbidden("403 Forbidden", r#"{"error":"Forbidden"}"#, "lacks the permission")]
#[case::forbidden_page("403 Forbidden", "<html>", "status 403 and nothing that the API says")]
#[case::wrong_path("404 Not Found", r#"{"message":"x"}"#, "no list of webhooks")]
#[case::throttled("429 Too Many Requests\r\nretry-after: 9", "", "too many requests")]
#[case::down("500 Internal Server Error", "{}", "status 500")]
#[case::redirect("302 Found\r\nlocation: /", "", "status 302")]
#[case::proxy("200 OK", "<html>", "a body that cannot be read")]
#[case::another_object("200 OK", r#"{"webhooks":[]}"#, "a body that cannot be read")]
#[case::no_array("200 OK", r#"{"data":{}}"#, "a body that cannot be read")]
#[case::ours_without_an_id(
    "200 OK",
    r#"{"data":[{"delivery_url":"https://e.com/hooks/apideck/BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}]}"#,
    "a webhook of ours without an id"
)]
#[tokio::test]
// requirement: provider-answers
async fn what_is_no_whole_list_is_none(#[case] head: &str, #[case] body: &str, #[case] said: &str) {
    let server = Scripted::new(&[(head, body)]);
    let error = api(&server).list(&caller()).await.err().unwrap();
    assert!(error.to_string().contains(said), "{error}");
    if let ApiError::TooManyRequests { pause } = error {
        assert_eq!(pause, Some(9));
    }
}

fn page(ids: &[&str], next: &Value) -> String {
    let data: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    json!({ "data": data, "meta": { "cursors": { "next": next } } }).to_string()
}

#[tokio::test]
// requirement: provider-answers
async fn every_page_is_read_by_its_cursor() {
    let pages = [
        page(&["wh_1", "wh_2"], &json!("em9v:a b&limit=1")),
        page(&["wh_3"], &json!(3)),
        page(&[], &json!(null)),
    ];
    let server = Scripted::of_pages(&pages);
    let listed = api(&server).list(&caller()).await.unwrap();
    assert_eq!(ids(&listed), ["wh_3", "wh_2", "wh_1"]);
    assert_eq!(
        server.lines(),
        [
            "GET /webhook/webhooks?limit=200",
            "GET /webhook/webhooks?limit=200&cursor=em9v%3Aa+b%26limit%3D1",
            "GET /webhook/webhooks?limit=200&cursor=3",
        ]
    );
}

#[rstest]
#[case::missing(r#"{"data":[]}"#)]
#[case::null(r#"{"data":null,"meta":null}"#)]
#[case::empty_cursor(r#"{"data":[],"meta":{"cursors":{"next":""}}}"#)]
#[case::odd_cursors(r#"{"data":[],"meta":{"cursors":[{"next":"x"}]}}"#)]
#[tokio::test]
async fn a_list_without_a_cursor_is_whole(#[case] body: &str) {
    let server = Scripted::new(&[("200 OK", body)]);
    assert_eq!(api(&server).list(&caller()).await.unwrap().len(), 0);
}

#[tokio::test]
async fn pages_that_go_round_are_no_list() {
    let pages = [
        page(&["wh_1"], &json!("a")),
        page(&["wh_2"], &json!("b")),
        page(&["wh_1"], &json!("a")),
    ];
    let server = Scripted::of_pages(&pages);
    let error = failure(api(&server).list(&caller())).await.to_string();
    assert!(error.contains("the same page again"), "{error}");
}

#[tokio::test]
// requirement: provider-foreign-entries
async fn foreign_entries_may_have_any_form_and_the_newest_is_first() {
    let body = json!({ "data": [
        { "id": "new", "created_at": "2026-11-20T12:00:00.001Z", "events": ["a", "b"] },
        null, 7, "x", [], {}, { "id": null, "delivery_url": 7 }, { "id": "", "delivery_url": "https://a.b/" },
        { "id": "old", "created_at": "2026-11-20T12:00:00.000Z", "events": "*", "description": 7, "status": null },
        { "id": 17, "created_at": {}, "delivery_url": ["x"], "status": "disabled", "disabled_reason": 5 },
    ]});
    let server = Scripted::new(&[("200 OK", &body.to_string())]);
    let listed = api(&server).list(&caller()).await.unwrap();
    assert_eq!(ids(&listed), ["new", "old", "17"]);
    assert_eq!(listed[0].events, ["a", "b"]);
    assert_eq!(listed[1].condition, Condition::Active);
    let disabled = Condition::Disabled {
        reason: None,
        remedy: Remedy::Person,
    };
    assert_eq!(listed[2].condition, disabled);
}

#[rstest]
#[case::enabled("enabled", json!("none"), None)]
#[case::enabled_for_an_old_reason("enabled", json!("retry_limit"), None)]
#[case::of_no_known_status("archived", json!("none"), None)]
#[case::gave_up("disabled", json!("retry_limit"), Some((Remedy::Enable, Some("retry_limit"))))]
#[case::plan("disabled", json!("usage_limit"), Some((Remedy::Person, Some("usage_limit"))))]
#[case::by_a_person("disabled", json!("none"), Some((Remedy::Person, Some("a person did it"))))]
#[case::new_reason("disabled", json!("fraud"), Some((Remedy::Person, Some("fraud"))))]
#[case::no_reason("disabled", json!(null), Some((Remedy::Person, None)))]
#[tokio::test]
// requirement: provider-answers
async fn a_webhook_is_read_with_what_helps_it(
    #[case] status: &str,
    #[case] reason: Value,
    #[case] expected: Option<(Remedy, Option<&str>)>,
) {
    let server = Scripted::new(&[("201 Created", &shown(status, &reason))]);
    let webhook = create(&server).await.unwrap();
    assert_eq!(webhook.id.as_str(), "wh_1");
    assert_eq!(webhook.label.as_deref(), Some(LABEL));
    assert_eq!(webhook.endpoint.unwrap().expose(), endpoint().expose());
    assert_eq!(webhook.events, ["ecommerce.order.created"]);
    assert!(webhook.key.is_none());
    match (webhook.condition, expected) {
        (Condition::Active, None) => {}
        (Condition::Disabled { reason, remedy }, Some((helps, said))) => {
            assert_eq!(remedy, helps);
            assert_eq!(reason.is_some(), said.is_some());
            let said = said.unwrap_or_default();
            assert!(reason.unwrap_or_default().contains(said), "{said}");
        }
        other => unreachable!("{other:?}"),
    }
    let asked = server.asked_once();
    assert_eq!(asked.line, "POST /webhook/webhooks");
    let body = json!({ "delivery_url": endpoint().expose(), "status": "enabled", "unified_api": "ecommerce",
                       "events": ["ecommerce.order.created"], "description": LABEL });
    assert_eq!(asked.body, body);
}

#[rstest]
#[case::removed("200 OK", r#"{"data":{"id":"wh_1"}}"#, "was removed")]
#[case::gone("404 Not Found", r#"{"message":"x"}"#, "was removed")]
#[case::left("503 Service Unavailable", "", "is still there")]
#[tokio::test]
async fn a_webhook_whose_url_was_not_validated_is_removed(
    #[case] head: &str,
    #[case] body: &str,
    #[case] said: &str,
) {
    let created = shown("disabled", &json!("delivery_url_validation_failed"));
    let server = Scripted::new(&[("201 Created", &created), (head, body)]);
    let error = create(&server).await.err().unwrap();
    assert!(matches!(error, ApiError::Invalid(_)), "{error}");
    let error = error.to_string();
    assert!(error.contains("not answered with success"), "{error}");
    assert!(error.contains(said), "{error}");
    assert!(!error.contains("hooks/apideck"), "{error}");
    let both = ["POST /webhook/webhooks", "DELETE /webhook/webhooks/wh_1"];
    assert_eq!(server.lines(), both);
}

#[rstest]
#[case::no_id(r#"{"data":{"status":"enabled"}}"#, "a webhook without an id")]
#[case::null_id(r#"{"data":{"id":null}}"#, "a webhook without an id")]
#[case::no_data(r#"{"id":"wh_1"}"#, "a body that cannot be read")]
#[case::no_object(r#"{"data":"wh_1"}"#, "a webhook without an id")]
#[tokio::test]
async fn a_registration_without_an_id_is_refused(#[case] body: &str, #[case] said: &str) {
    let server = Scripted::new(&[("201 Created", body)]);
    let error = create(&server).await.err().unwrap().to_string();
    assert!(error.contains(said), "{error}");
}

#[rstest]
#[case::with_its_address(true)]
#[case::without(false)]
#[tokio::test]
async fn a_change_leaves_the_status_alone(#[case] has_endpoint: bool) {
    let server = Scripted::new(&[("200 OK", &shown("disabled", &json!("none")))]);
    let endpoint = endpoint();
    let changed = update(&server, has_endpoint.then_some(&endpoint)).await;
    let condition = changed.unwrap().condition;
    assert!(matches!(condition, Condition::Disabled { .. }));
    let asked = server.asked_once();
    assert_eq!(asked.line, "PATCH /webhook/webhooks/wh_1");
    let mut body = json!({ "events": ["ecommerce.order.created"], "description": LABEL });
    if has_endpoint {
        body["delivery_url"] = json!(endpoint.expose());
    }
    assert_eq!(asked.body, body);
}

#[rstest]
#[case::enabled("enabled", true)]
#[case::it_stays("disabled", false)]
#[tokio::test]
async fn enabling_is_done_when_the_answer_shows_it(#[case] status: &str, #[case] is_done: bool) {
    let server = Scripted::new(&[("200 OK", &shown(status, &json!("retry_limit")))]);
    let id = WebhookId::new("wh_1");
    let enabled = api(&server).enable(&caller(), &id).await;
    assert_eq!(enabled.is_ok(), is_done);
    if let Err(error) = enabled {
        assert!(error.to_string().contains("stays disabled"), "{error}");
    }
    assert_eq!(server.asked_once().body, json!({ "status": "enabled" }));
}

#[rstest]
#[case::documented(
    "200 OK",
    r#"{"status_code":200,"data":{"id":"wh_1"}}"#,
    Some(Removed::Now)
)]
#[case::no_content("204 No Content", "", Some(Removed::Now))]
#[case::gone("404 Not Found", r#"{"message":"no webhook"}"#, Some(Removed::Before))]
#[case::wrong_path("404 Not Found", "<!DOCTYPE html>", None)]
#[case::no_message("404 Not Found", "", None)]
#[case::proxy("200 OK", "<html>", None)]
#[case::refused("401 Unauthorized", UNAUTHORIZED, None)]
#[case::down("502 Bad Gateway", "", None)]
#[tokio::test]
// requirement: provider-answers
async fn removing(#[case] head: &str, #[case] body: &str, #[case] expected: Option<Removed>) {
    let server = Scripted::new(&[(head, body)]);
    let id = WebhookId::new("wh_1");
    let removed = api(&server).remove(&caller(), &id).await;
    assert_eq!(removed.ok(), expected);
}

#[rstest]
#[case("")]
#[case("../accounts")]
#[case("wh 1?x=y")]
#[tokio::test]
async fn an_id_that_is_no_plain_word_reaches_no_path(#[case] id: &str) {
    let server = Scripted::new(&[]);
    let id = WebhookId::new(id);
    let removed = api(&server).remove(&caller(), &id).await;
    let enabled = api(&server).enable(&caller(), &id).await;
    for error in [removed.err(), enabled.err()] {
        let error = error.unwrap().to_string();
        assert!(error.contains("no plain word"), "{error}");
    }
    assert!(server.lines().is_empty());
}

#[tokio::test]
// requirement: secret-admin
async fn what_apideck_repeats_of_secrets_is_taken_out() {
    let token = endpoint().token().unwrap();
    let (endpoint, filling) = (endpoint(), "x".repeat(440));
    let said = format!("{filling}{KEY} {} {}", endpoint.expose(), token.expose());
    let body = json!({ "message": said }).to_string();
    for head in [
        "422 Unprocessable Entity",
        "400 Bad Request",
        "402 Payment Required",
    ] {
        let server = Scripted::new(&[(head, &body), (head, &body)]);
        let created = failure(create(&server)).await;
        let updated = failure(update(&server, Some(&endpoint))).await;
        for error in [created, updated] {
            let error = error.to_string();
            assert!(error.contains("[the API key]"), "{error}");
            for secret in [KEY, "hooks/apideck", token.expose()] {
                assert!(!error.contains(secret), "{error}");
            }
            assert!(error.len() < 600, "{error}");
        }
    }
}

#[tokio::test]
async fn the_words_of_an_error_are_found_where_they_stand() {
    for (body, said) in [
        (json!({ "message": "m", "detail": "d" }), Some("m")),
        (
            json!({ "message": { "a": 1 }, "detail": "d", "error": "e" }),
            Some("d"),
        ),
        (json!({ "detail": { "x": [] }, "error": "e" }), Some("e")),
        (json!({ "message": "" }), None),
        (json!([]), None),
    ] {
        let server = Scripted::new(&[("422 Unprocessable Entity", &body.to_string())]);
        match (create(&server).await.err().unwrap(), said) {
            (ApiError::Invalid(message), Some(said)) => assert_eq!(message, said),
            (ApiError::BadAnswer { .. }, None) => {}
            (error, _) => unreachable!("{body}: {error}"),
        }
    }
}
