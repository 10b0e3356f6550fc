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
use simulator::control::{Credentials, NewSite};
use simulator::{EVENT_NAMES, SigningKey, Simulator};

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

    async fn deliver(&self, body: Value) -> Value {
        let answer = self.control(Method::POST, "/deliver", body).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

// OAuth

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
