//! Orderspace's API and the control API over HTTP. Each test has sites of its own in a simulator of its own.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod receiver;

use std::time::{Duration, Instant};

use receiver::{Receiver, Reply};
use reqwest::{Client, Method, Response, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{Credentials, Deliver, ForeignWebhook, NewSite, WebhookChange};
use simulator::{
    Control, ControlError, Door, EVENT_NAMES, EventText, Fault, FaultKind, SigningKey, Simulator,
};

/// A simulator with one site.
struct Stage {
    simulator: Simulator,
    client: Client,
    site: Credentials,
}

/// The form of an answer, apart from its request id.
#[derive(Debug, PartialEq)]
struct Form {
    status: u16,
    content_type: String,
    authenticate: Option<String>,
    body: String,
}

async fn form(answer: Response) -> Form {
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
    let text = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    Form {
        status: answer.status().as_u16(),
        content_type: text("content-type").unwrap_or_default(),
        authenticate: text("www-authenticate"),
        body: answer.text().await.unwrap(),
    }
}

fn refused(reason: &str) -> Form {
    Form {
        status: 401,
        content_type: "text/html".to_owned(),
        authenticate: Some(format!(
            "Bearer realm=\"Orderspace\", error=\"invalid_token\", error_description=\"The access token {reason}\""
        )),
        body: String::new(),
    }
}

fn empty(status: u16) -> Form {
    Form {
        status,
        content_type: "text/html".to_owned(),
        authenticate: None,
        body: String::new(),
    }
}

fn message(status: u16, text: &str) -> Form {
    Form {
        status,
        content_type: "application/json".to_owned(),
        authenticate: None,
        body: json!({ "message": text }).to_string(),
    }
}

impl Stage {
    async fn new() -> Self {
        Self::with(NewSite::default()).await
    }

    async fn with(site: NewSite) -> Self {
        let simulator = Simulator::start(0).await.unwrap();
        let site = simulator.create_site(site).unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            simulator,
            client,
            site,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.url())
    }

    async fn ask_token(&self, fields: &[(&str, &str)]) -> Response {
        self.client
            .post(self.url("/oauth/token"))
            .form(fields)
            .send()
            .await
            .unwrap()
    }

    fn credentials(&self) -> [(&str, &str); 3] {
        [
            ("grant_type", "client_credentials"),
            ("client_id", &self.site.client_id),
            ("client_secret", &self.site.client_secret),
        ]
    }

    async fn token(&self) -> String {
        let answer = self.ask_token(&self.credentials()).await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn api(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self
            .client
            .request(method, self.url(path))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn create(&self, token: &str, endpoint: &str, events: &[&str]) -> Value {
        let body = json!({ "webhook": { "endpoint": endpoint, "events": events } });
        let answer = self
            .api(token, Method::POST, "/v1/webhooks", Some(body))
            .await;
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        body["webhook"].clone()
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Response {
        let path = format!("/_simulator/sites/{}{path}", self.site.client_id);
        self.client
            .request(method, self.url(&path))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn look(&self, path: &str) -> Value {
        let path = format!("/_simulator/sites/{}{path}", self.site.client_id);
        let answer = self.client.get(self.url(&path)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn fault(&self, fault: Value) {
        let answer = self.control(Method::POST, "/faults", fault).await;
        assert_eq!(answer.status(), 204);
    }

    async fn advance(&self, by: Duration) {
        let body = json!({ "advance_ms": u64::try_from(by.as_millis()).unwrap() });
        let answer = self.control(Method::POST, "/clock", body).await;
        assert_eq!(answer.status(), 204);
    }

    async fn deliver(&self, body: Value) -> Value {
        let answer = self.control(Method::POST, "/deliver", body).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

// OAuth

#[tokio::test]
async fn a_token_is_issued_for_a_form_and_for_json() {
    let stage = Stage::new().await;
    let json: serde_json::Map<String, Value> = stage
        .credentials()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let by_json = stage.client.post(stage.url("/oauth/token")).json(&json);
    let answers = [
        stage.ask_token(&stage.credentials()).await,
        by_json.send().await.unwrap(),
    ];
    let mut tokens = Vec::new();
    for answer in answers {
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let mut body: Value = answer.json().await.unwrap();
        tokens.push(body["access_token"].take());
        assert_eq!(
            body,
            json!({"access_token": null, "token_type": "Bearer", "expires_in": 1800, "scope": "read write"})
        );
    }
    assert_ne!(tokens[0], tokens[1]);
    for token in tokens {
        let answer = stage
            .api(token.as_str().unwrap(), Method::GET, "/v1/webhooks", None)
            .await;
        assert_eq!(answer.status(), 200);
    }
}

#[rstest]
#[case::wrong_secret(&[("grant_type", "client_credentials"), ("client_id", "acme"), ("client_secret", "guess")], 401, "invalid_client")]
#[case::unknown_client(&[("grant_type", "client_credentials"), ("client_id", "nobody"), ("client_secret", "secret")], 401, "invalid_client")]
#[case::no_credentials(&[("grant_type", "client_credentials")], 401, "invalid_client")]
#[case::no_grant_type(&[("client_id", "acme"), ("client_secret", "secret")], 400, "invalid_request")]
#[case::other_grant_type(&[("grant_type", "password"), ("client_id", "acme"), ("client_secret", "secret")], 400, "unsupported_grant_type")]
#[case::unknown_scope(&[("grant_type", "client_credentials"), ("client_id", "acme"), ("client_secret", "secret"), ("scope", "read admin")], 400, "invalid_scope")]
#[tokio::test]
async fn token_errors_are_those_of_rfc_6749(
    #[case] fields: &[(&str, &str)],
    #[case] status: u16,
    #[case] error: &str,
) {
    let stage = Stage::with(NewSite {
        client_id: Some("acme".into()),
        client_secret: Some("secret".into()),
        ..NewSite::default()
    })
    .await;
    let answer = stage.ask_token(fields).await;
    assert_eq!(answer.status().as_u16(), status);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], error);
    assert!(body["error_description"].is_string());
}

#[tokio::test]
async fn a_token_expires_after_thirty_minutes_and_says_so() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let list = async || form(stage.api(&token, Method::GET, "/v1/webhooks", None).await).await;
    stage.advance(Duration::from_secs(1_795)).await;
    assert_eq!(list().await.status, 200);
    stage.advance(Duration::from_secs(5)).await;
    assert_eq!(list().await, refused("expired"));
}

#[tokio::test]
async fn unknown_missing_and_revoked_tokens_are_invalid() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let answer = stage.api("guess", Method::GET, "/v1/webhooks", None).await;
    assert_eq!(form(answer).await, refused("is invalid"));
    let bare = stage.client.get(stage.url("/v1/webhooks"));
    assert_eq!(
        form(bare.send().await.unwrap()).await,
        refused("is invalid")
    );
    stage.control(Method::DELETE, "/tokens", json!({})).await;
    let answer = stage.api(&token, Method::GET, "/v1/webhooks", None).await;
    assert_eq!(form(answer).await, refused("is invalid"));
}

// Webhooks

#[tokio::test]
async fn a_webhook_lives_as_documented() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let api = async |method, path: &str, body| -> Value {
        let answer = stage.api(&token, method, path, body).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    };

    let first = stage
        .create(&token, "https://example.com/a", &["order.created"])
        .await;
    let second = stage
        .create(&token, "http://127.0.0.1:9/b", &EVENT_NAMES)
        .await;
    let id = first["id"].as_str().unwrap();
    let key = first["signing_key"].as_str().unwrap();
    assert!(id.starts_with("wh_") && id.len() == 11);
    assert!(key.len() == 40 && key.chars().all(|c| c.is_ascii_alphanumeric()));
    assert_eq!(
        first,
        json!({"id": id, "endpoint": "https://example.com/a", "events": ["order.created"], "signing_key": key})
    );

    let list = api(Method::GET, "/v1/webhooks", None).await;
    assert_eq!(list, json!({ "webhooks": [second, first] }));

    let path = format!("/v1/webhooks/{id}");
    let one = api(Method::GET, &path, None).await;
    assert_eq!(one, json!({ "webhook": first }));

    let change =
        json!({"webhook": {"endpoint": "https://example.com/c", "events": ["order.deleted"]}});
    let changed = api(Method::PUT, &path, Some(change)).await;
    assert_eq!(
        changed,
        json!({"webhook": {"id": id, "endpoint": "https://example.com/c", "events": ["order.deleted"], "signing_key": key}})
    );
    let part = json!({"webhook": {"events": ["order.created"]}});
    let changed = api(Method::PUT, &path, Some(part)).await;
    assert_eq!(changed["webhook"]["endpoint"], "https://example.com/c");
    assert_eq!(changed["webhook"]["events"], json!(["order.created"]));

    let deleted = api(Method::DELETE, &path, None).await;
    assert_eq!(deleted, json!({"webhook": {"id": id, "deleted": true}}));
    let list = api(Method::GET, "/v1/webhooks", None).await;
    assert_eq!(list, json!({ "webhooks": [second] }));
}

#[rstest]
#[case::get(Method::GET, None)]
#[case::put(Method::PUT, Some(json!({"webhook": {"events": ["order.created"]}})))]
#[case::delete(Method::DELETE, None)]
#[tokio::test]
async fn an_unknown_webhook_is_a_404_with_a_message(
    #[case] method: Method,
    #[case] body: Option<Value>,
) {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let answer = stage
        .api(&token, method, "/v1/webhooks/wh_none", body)
        .await;
    assert_eq!(
        form(answer).await,
        message(404, "Couldn't find webhook with id wh_none")
    );
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
    let stage = Stage::new().await;
    let token = stage.token().await;
    let answer = stage
        .api(&token, Method::POST, "/v1/webhooks", Some(body))
        .await;
    assert_eq!(form(answer).await, message(422, expected));
    assert_eq!(stage.look("/webhooks").await, json!([]));
}

#[rstest]
#[case::cut("{\"webhook\":", "application/json")]
#[case::no_webhook_key("{\"endpoint\":\"https://example.com\"}", "application/json")]
#[case::not_declared("{\"webhook\":{}}", "text/plain")]
#[tokio::test]
async fn a_body_that_cannot_be_read_is_an_empty_400(#[case] body: String, #[case] kind: &str) {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let request = stage.client.post(stage.url("/v1/webhooks"));
    let request = request.bearer_auth(&token).header("content-type", kind);
    assert_eq!(
        form(request.body(body).send().await.unwrap()).await,
        empty(400)
    );
}

#[rstest]
#[case::path(Method::GET, "/v1/nothing")]
#[case::root(Method::GET, "/")]
#[case::undocumented_method(Method::PATCH, "/v1/webhooks/wh_none")]
#[case::token_by_get(Method::GET, "/oauth/token")]
#[tokio::test]
async fn an_unknown_path_is_a_404_page(#[case] method: Method, #[case] path: &str) {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let answer = form(stage.api(&token, method, path, None).await).await;
    assert_eq!(answer.status, 404);
    assert!(answer.content_type.starts_with("text/html"));
    assert!(answer.body.contains("<html>"));
}

#[tokio::test]
async fn the_sixty_first_request_of_a_minute_gets_429_and_a_minute_later_all_is_well() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let list = async || {
        let answer = stage.api(&token, Method::GET, "/v1/webhooks", None).await;
        form(answer).await
    };
    for _ in 0..60 {
        assert_eq!(list().await.status, 200);
    }
    assert_eq!(list().await, empty(429));
    stage.advance(Duration::from_secs(30)).await;
    assert_eq!(list().await.status, 429);
    // The identity host is another host: it is not throttled with the API.
    assert!(!stage.token().await.is_empty());
    stage.advance(Duration::from_secs(31)).await;
    assert_eq!(list().await.status, 200);
}

#[tokio::test]
async fn sites_do_not_see_each_other() {
    let mut stage = Stage::with(NewSite {
        requests_per_minute: Some(2),
        ..NewSite::default()
    })
    .await;
    let token = stage.token().await;
    stage
        .create(&token, "https://example.com/a", &["order.created"])
        .await;
    for expected in [200, 429] {
        let answer = stage.api(&token, Method::GET, "/v1/webhooks", None).await;
        assert_eq!(answer.status().as_u16(), expected);
    }

    stage.site = stage.simulator.create_site(NewSite::default()).unwrap();
    let token = stage.token().await;
    let answer = stage.api(&token, Method::GET, "/v1/webhooks", None).await;
    assert_eq!(answer.status(), 200);
    let list: Value = answer.json().await.unwrap();
    assert_eq!(list, json!({ "webhooks": [] }));
}

// Control

#[tokio::test]
async fn sites_are_created_listed_and_removed() {
    let stage = Stage::new().await;
    let sites = stage.url("/_simulator/sites");
    let post = |body: Value| stage.client.post(&sites).json(&body).send();
    let given = json!({"client_id": "acme", "client_secret": "secret"});
    let created = post(given.clone()).await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(created.json::<Value>().await.unwrap(), given);
    assert_eq!(post(given).await.unwrap().status(), 409);
    let generated = post(json!({})).await.unwrap();
    assert_eq!(generated.status(), 201);
    assert_eq!(post(json!({"unknown": 1})).await.unwrap().status(), 400);

    let list: Vec<String> = stage
        .client
        .get(&sites)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list.len(), 3);
    let acme = stage.url("/_simulator/sites/acme");
    for expected in [204, 404] {
        let answer = stage.client.delete(&acme).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
    }
    let health = stage.client.get(stage.url("/_simulator/health"));
    assert_eq!(health.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_log_has_every_request_and_no_secret() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let webhook = stage
        .create(
            &token,
            "https://example.com/hooks/t0ken",
            &["order.created"],
        )
        .await;
    stage.api(&token, Method::GET, "/v1/nothing", None).await;
    let log = stage.look("/requests").await;
    assert_eq!(
        log,
        json!([
            {"method": "POST", "path": "/oauth/token", "status": 200},
            {"method": "POST", "path": "/v1/webhooks", "status": 200},
            {"method": "GET", "path": "/v1/nothing", "status": 404},
        ])
    );
    let key = webhook["signing_key"].as_str().unwrap();
    for secret in [token.as_str(), key, "t0ken", &stage.site.client_secret] {
        assert!(!log.to_string().contains(secret));
    }
    stage.control(Method::DELETE, "/requests", json!({})).await;
    assert_eq!(stage.look("/requests").await, json!([]));
}

#[tokio::test]
async fn a_reset_leaves_the_credentials_alone() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    stage
        .create(&token, "https://example.com/a", &["order.created"])
        .await;
    stage.fault(json!({"fault": {"status": 503}})).await;
    let answer = stage.control(Method::POST, "/reset", json!({})).await;
    assert_eq!(answer.status(), 204);
    for path in ["/webhooks", "/requests", "/faults", "/deliveries"] {
        assert_eq!(stage.look(path).await, json!([]), "{path}");
    }
    assert!(!stage.token().await.is_empty());
}

#[tokio::test]
async fn the_provider_can_change_a_webhook_behind_the_apis_back() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let mine = stage
        .create(&token, "https://example.com/a", &["order.created"])
        .await;
    let foreign = stage
        .control(
            Method::POST,
            "/webhooks",
            json!({"endpoint": "https://other.example/"}),
        )
        .await;
    assert_eq!(foreign.status(), 201);
    let list = stage.look("/webhooks").await;
    assert_eq!(list[0]["endpoint"], "https://other.example/");
    assert_eq!(list[0]["events"].as_array().unwrap().len(), 14);
    assert_eq!(list[1]["id"], mine["id"]);
    assert_eq!(list[1]["enabled"], true);

    let path = format!("/webhooks/{}", mine["id"].as_str().unwrap());
    let change = json!({"new_signing_key": true, "enabled": false, "events": ["order.deleted"]});
    let changed = stage.control(Method::PATCH, &path, change).await;
    let changed: Value = changed.json().await.unwrap();
    assert_eq!(changed["enabled"], false);
    assert_eq!(changed["events"], json!(["order.deleted"]));
    assert_ne!(changed["signing_key"], mine["signing_key"]);

    for expected in [204, 404] {
        let answer = stage.control(Method::DELETE, &path, json!({})).await;
        assert_eq!(answer.status().as_u16(), expected);
    }
    let log = stage.look("/requests").await;
    assert_eq!(log.as_array().unwrap().len(), 2, "control is not logged");
}

#[tokio::test]
async fn a_disabled_webhook_may_disappear_from_the_api() {
    let stage = Stage::with(NewSite {
        hides_disabled: true,
        ..NewSite::default()
    })
    .await;
    let token = stage.token().await;
    let webhook = stage
        .create(&token, "https://example.com/a", &["order.created"])
        .await;
    let id = webhook["id"].as_str().unwrap();
    let change = json!({"enabled": false});
    stage
        .control(Method::PATCH, &format!("/webhooks/{id}"), change)
        .await;
    let path = format!("/v1/webhooks/{id}");
    for method in [Method::GET, Method::DELETE] {
        let answer = stage.api(&token, method, &path, None).await;
        assert_eq!(answer.status(), 404);
    }
    assert_eq!(stage.look("/webhooks").await[0]["enabled"], false);
}

// Faults

#[rstest]
#[case::server_error(json!({"status": 503}), empty(503))]
#[case::throttle(json!({"status": 429}), empty(429))]
#[case::refusal(json!("refuse"), refused("is invalid"))]
#[tokio::test]
async fn a_fault_of_the_api_is_met_once_and_not_served(
    #[case] kind: Value,
    #[case] expected: Form,
) {
    let stage = Stage::new().await;
    let token = stage.token().await;
    stage
        .fault(json!({"on": "api", "fault": kind, "times": 1}))
        .await;
    let body = json!({"webhook": {"endpoint": "https://example.com", "events": ["order.created"]}});
    let post = async || {
        let body = Some(body.clone());
        stage.api(&token, Method::POST, "/v1/webhooks", body).await
    };
    assert_eq!(form(post().await).await, expected);
    assert_eq!(stage.look("/webhooks").await, json!([]));
    assert_eq!(post().await.status(), 200);
}

#[tokio::test]
async fn a_proxy_may_answer_with_a_page() {
    let stage = Stage::new().await;
    stage.fault(json!({"on": "token", "fault": "html"})).await;
    let answer = form(stage.ask_token(&stage.credentials()).await).await;
    assert_eq!(answer.status, 200);
    assert!(answer.content_type.starts_with("text/html"));
    stage.control(Method::DELETE, "/faults", json!({})).await;
    assert!(!stage.token().await.is_empty());
}

#[tokio::test]
async fn the_token_endpoint_may_refuse_right_credentials() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"on": "token", "fault": "refuse", "times": 1}))
        .await;
    let answer = stage.ask_token(&stage.credentials()).await;
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], "invalid_client");
}

#[tokio::test]
async fn work_may_be_done_although_the_answer_is_an_error_or_broken() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let body = json!({"webhook": {"endpoint": "https://example.com", "events": ["order.created"]}});
    stage
        .control(
            Method::PUT,
            "/faults",
            json!([
                {"fault": {"work_then_status": 500}, "method": "POST", "times": 1},
                {"fault": "cut", "method": "POST", "times": 1},
            ]),
        )
        .await;
    let answer = stage
        .api(&token, Method::POST, "/v1/webhooks", Some(body.clone()))
        .await;
    assert_eq!(form(answer).await, empty(500));
    let answer = stage
        .api(&token, Method::POST, "/v1/webhooks", Some(body))
        .await;
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.starts_with("{\"webhook\":") && serde_json::from_str::<Value>(&text).is_err());
    assert_eq!(stage.look("/webhooks").await.as_array().unwrap().len(), 2);
}

#[rstest]
#[case::without_work(json!({"time_out_ms": 600_000}), 0)]
#[case::with_work(json!({"work_then_time_out_ms": 600_000}), 1)]
#[tokio::test]
async fn an_answer_may_never_come(#[case] kind: Value, #[case] webhooks: usize) {
    let stage = Stage::new().await;
    let token = stage.token().await;
    stage
        .fault(json!({"on": "api", "fault": kind, "times": 1}))
        .await;
    let body = json!({"webhook": {"endpoint": "https://example.com", "events": ["order.created"]}});
    let error = stage
        .client
        .post(stage.url("/v1/webhooks"))
        .bearer_auth(&token)
        .json(&body)
        .timeout(Duration::from_millis(300))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(
        stage.look("/webhooks").await.as_array().unwrap().len(),
        webhooks
    );
    let log = stage.look("/requests").await;
    assert_eq!(
        log[1],
        json!({"method": "POST", "path": "/v1/webhooks", "status": null})
    );
}

#[tokio::test]
async fn the_token_endpoint_may_be_slow() {
    let stage = Stage::new().await;
    stage
        .fault(json!({"on": "token", "fault": {"slow_ms": 50}}))
        .await;
    let begun = Instant::now();
    assert!(!stage.token().await.is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

// Deliveries

#[tokio::test]
async fn events_go_to_the_enabled_webhooks_that_subscribe_to_them() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let orders = Receiver::start(&[Reply::Status(503)]).await;
    let all = Receiver::start(&[]).await;
    let disabled = Receiver::start(&[]).await;
    let webhook = stage.create(&token, &orders.url, &["order.created"]).await;
    stage.create(&token, &all.url, &EVENT_NAMES).await;
    let off = stage.create(&token, &disabled.url, &EVENT_NAMES).await;
    let path = format!("/webhooks/{}", off["id"].as_str().unwrap());
    stage
        .control(Method::PATCH, &path, json!({"enabled": false}))
        .await;

    // Sent as text: the spacing and the number must arrive as written here.
    let order = r#"{"event":"order.created", "data":{"order":{"id":"or_1","total":1.50}}}"#;
    let product = r#"{"event":"product.deleted","data":{"product":{"id":"pr_1"}}}"#;
    let body = format!(r#"{{"events":[{order},{product}],"policy":{{"first_delay_ms":1}}}}"#);
    let path = format!("/_simulator/sites/{}/deliver", stage.site.client_id);
    let answer = stage
        .client
        .post(stage.url(&path))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let runs: Value = answer.json().await.unwrap();

    assert_eq!(orders.texts(), [format!("[{order}]"), format!("[{order}]")]);
    assert_eq!(all.texts(), [format!("[{order},{product}]")]);
    assert!(disabled.texts().is_empty());
    let key = SigningKey::new(webhook["signing_key"].as_str().unwrap());
    let got = &orders.received()[1];
    assert_eq!(got.signature(), key.sign(&got.body));

    assert_eq!(runs[0]["webhook"], webhook["id"]);
    assert_eq!(runs[0]["finished"], true);
    assert_eq!(runs[0]["accepted"], true);
    assert_eq!(
        runs[0]["deliveries"][0]["attempts"][0]["outcome"]["answered"]["status"],
        503
    );
    assert_eq!(stage.look("/deliveries").await, runs);
}

#[tokio::test]
async fn a_webhook_that_keeps_failing_is_disabled() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let receiver = Receiver::start(&[Reply::Status(500); 9]).await;
    stage.create(&token, &receiver.url, &EVENT_NAMES).await;
    let event = json!({"event": "order.deleted", "data": {"order": {"id": "or_1"}}});
    let deliver = json!({"events": [event], "policy": {"first_delay_ms": 1, "disable_after": 3}});

    let runs = stage.deliver(deliver.clone()).await;
    assert_eq!(runs[0]["accepted"], false);
    assert_eq!(runs[0]["deliveries"][0]["end"], "disabled");
    let webhook = &stage.look("/webhooks").await[0];
    assert_eq!(webhook["enabled"], false);
    assert_eq!(webhook["consecutive_failures"], 3);
    assert_eq!(stage.deliver(deliver).await, json!([]));
    assert_eq!(receiver.received().len(), 3);
    let list = stage.api(&token, Method::GET, "/v1/webhooks", None).await;
    let list: Value = list.json().await.unwrap();
    assert_eq!(
        list["webhooks"].as_array().unwrap().len(),
        1,
        "still listed"
    );
}

#[tokio::test]
async fn a_sending_in_the_background_can_be_watched() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let receiver = Receiver::start(&[]).await;
    receiver.hold_until_open(2);
    stage.create(&token, &receiver.url, &EVENT_NAMES).await;
    let event = json!({"event": "order.deleted", "data": {"order": {"id": "or_1"}}});
    let deliver = json!({"events": [event], "wait": false});
    let runs = stage.deliver(deliver.clone()).await;
    assert_eq!(runs[0]["accepted"], false);
    stage.deliver(deliver).await;

    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let runs = stage.look("/deliveries").await;
        let accepted = runs
            .as_array()
            .unwrap()
            .iter()
            .all(|run| run["accepted"] == true);
        if accepted {
            assert_eq!(runs.as_array().unwrap().len(), 2);
            break;
        }
        assert!(Instant::now() < deadline, "{runs}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn raw_bodies_and_switches_pass_through_the_control_api() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let receiver = Receiver::start(&[]).await;
    stage
        .create(&token, &receiver.url, &["order.created"])
        .await;
    stage
        .deliver(json!({
            "raw": [
                {"text": "not json", "headers": [["content-type", "text/plain"]]},
                {"base64": "/wA=", "signing": "omit"},
            ],
            "switches": {"repeat": "twice_in_turn"},
        }))
        .await;
    let got = receiver.received();
    assert_eq!(got.len(), 4);
    assert_eq!(got[1].body, b"not json");
    assert_eq!(got[1].headers["content-type"], "text/plain");
    assert_eq!(got[3].body, [0xff, 0]);
    assert!(!got[3].headers.contains_key("x-orderspace-signature"));
}

#[tokio::test]
async fn an_event_type_of_tomorrow_goes_to_every_webhook() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    let receiver = Receiver::start(&[]).await;
    stage
        .create(&token, &receiver.url, &["order.created"])
        .await;
    stage
        .deliver(json!({"events": [{"event": "basket.filled"}, {"event": "order.deleted"}]}))
        .await;
    assert_eq!(receiver.texts(), [r#"[{"event":"basket.filled"}]"#]);
}

#[rstest]
#[case::no_body_form(json!({"raw": [{}]}), 400)]
#[case::unknown_switch(json!({"switches": {"lat": 1}}), 400)]
#[case::not_for_the_old_shape(json!({"events": [{"event": "a.b"}], "switches": {"shape": "old"}}), 422)]
#[tokio::test]
async fn what_cannot_be_sent_is_refused(#[case] body: Value, #[case] status: u16) {
    let stage = Stage::new().await;
    let token = stage.token().await;
    stage
        .create(&token, "http://127.0.0.1:9/", &["order.created"])
        .await;
    let answer = stage.control(Method::POST, "/deliver", body).await;
    assert_eq!(answer.status().as_u16(), status);
    let body: Value = answer.json().await.unwrap();
    assert!(body["message"].is_string());
    assert_eq!(stage.look("/deliveries").await, json!([]));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_request_that_hangs() {
    let stage = Stage::new().await;
    let token = stage.token().await;
    stage
        .fault(json!({"on": "api", "fault": {"time_out_ms": 600_000}}))
        .await;
    let url = stage.url("/v1/webhooks");
    let hanging = tokio::spawn(stage.client.get(&url).bearer_auth(&token).send());
    let deadline = Instant::now() + Duration::from_secs(10);
    while stage.look("/requests").await.as_array().unwrap().len() < 2 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    stage.simulator.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    hanging.abort();
    assert!(
        Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(&url)
            .send()
            .await
            .is_err()
    );
}

// The typed client

#[tokio::test]
async fn the_typed_client_speaks_the_whole_control_api() {
    let simulator = Simulator::start(0).await.unwrap();
    let receiver = Receiver::start(&[]).await;
    let control = Control::new(&simulator.url()).unwrap();
    let credentials = control.create_site(&NewSite::default()).await.unwrap();
    let site = control.site(&credentials.client_id);

    let faults = [Fault::on(Door::Token, FaultKind::Refuse).times(1)];
    site.set_faults(&faults).await.unwrap();
    assert_eq!(site.faults().await.unwrap(), faults);

    let foreign = ForeignWebhook {
        endpoint: receiver.url.clone(),
        events: Some(vec!["order.created".to_owned()]),
    };
    let added = site.add_webhook(&foreign).await.unwrap();
    assert_eq!(site.webhooks().await.unwrap(), std::slice::from_ref(&added));
    let change = WebhookChange {
        new_signing_key: true,
        ..WebhookChange::default()
    };
    let changed = site.change_webhook(&added.id, &change).await.unwrap();
    assert_ne!(changed.signing_key, added.signing_key);

    let text = r#"{"event":"order.created", "data":{"order":{"total":1.50}}}"#;
    let deliver = Deliver::events(&[EventText::parse(text).unwrap()]);
    let runs = site.deliver(&deliver).await.unwrap();
    assert!(runs[0].finished && runs[0].accepted);
    assert_eq!(receiver.texts(), [format!("[{text}]")]);
    assert_eq!(site.deliveries().await.unwrap(), runs);
    let got = &receiver.received()[0];
    assert_eq!(
        got.signature(),
        SigningKey::new(changed.signing_key.as_str()).sign(&got.body)
    );

    site.advance_clock(Duration::from_secs(1_800))
        .await
        .unwrap();
    site.revoke_tokens().await.unwrap();
    site.remove_webhook(&added.id).await.unwrap();
    assert!(site.webhooks().await.unwrap().is_empty());
    site.forget_requests().await.unwrap();
    site.reset().await.unwrap();
    assert!(site.requests().await.unwrap().is_empty());
    assert!(site.faults().await.unwrap().is_empty());

    let too_far = site.advance_clock(Duration::from_secs(5_000_000)).await;
    assert!(matches!(
        too_far,
        Err(ControlError::Refused { status: 400, .. })
    ));
    site.remove().await.unwrap();
    let gone = site.webhooks().await.unwrap_err();
    assert_eq!(
        gone.to_string(),
        "the simulator refused with status 404: there is no such site"
    );
}
