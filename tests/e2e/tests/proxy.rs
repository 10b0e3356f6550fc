//! The proxy itself, before a server that says what it was sent. Needs no stack.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use e2e::proxy::{Fault, Proxy, ProxyControl, Rule};
use rstest::rstest;
use serde_json::{Value, json};

/// What the server was sent.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

struct Setting {
    proxy: Proxy,
    control: ProxyControl,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: reqwest::Client,
}

impl Setting {
    /// A proxy before a server that answers with the body it was sent.
    async fn new() -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let noted = Arc::clone(&seen);
        let echo = Router::new().fallback(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            noted.lock().unwrap().push(Seen {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                headers: parts.headers,
                body: body.clone(),
            });
            let mut response = Response::new(Body::from(body));
            response
                .headers_mut()
                .insert("x-echo", "yes".parse().unwrap());
            response
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let to = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, echo).await });
        let proxy = Proxy::start(0, &to).await.unwrap();
        Self {
            control: ProxyControl::new(&proxy.url()).unwrap(),
            proxy,
            seen,
            client: reqwest::Client::builder()
                .no_proxy()
                .retry(reqwest::retry::never())
                .build()
                .unwrap(),
        }
    }

    /// The next call meets a fault.
    async fn disturb_once(&self, fault: Fault) {
        let rule = Rule::new(fault).times(1);
        self.control.add_rule(&rule).await.unwrap();
    }

    async fn send(&self, body: impl Into<Vec<u8>>) -> Result<reqwest::Response, reqwest::Error> {
        self.client
            .post(format!("{}/", self.proxy.url()))
            .header("x-amz-target", "AmazonSQS.SendMessageBatch")
            .body(body.into())
            .send()
            .await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn without_a_rule_bytes_pass_unchanged_in_both_directions() {
    let setting = Setting::new().await;
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    let path = "/bucket/a%20key%2F1?x-id=PutObject&b=%C3%A9";
    let url = format!("{}{path}", setting.proxy.url());
    let signature = "AWS4-HMAC-SHA256 Credential=test";
    let answer = setting
        .client
        .put(url)
        .header("authorization", signature)
        .header("content-encoding", "aws-chunked")
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-echo"], "yes");
    assert!(answer.bytes().await.unwrap() == body);
    let seen = setting.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, "PUT");
    assert_eq!(seen[0].path, path);
    let headers = &seen[0].headers;
    assert_eq!(headers["authorization"], signature);
    assert_eq!(headers["content-encoding"], "aws-chunked");
    let host = setting.proxy.url().replace("http://", "");
    assert_eq!(headers["host"], host, "the host is what was signed");
    assert!(seen[0].body == body);
}

#[rstest]
#[case(Fault::Status(503), 503, 0)]
#[case(Fault::refuse("QueueDoesNotExist"), 400, 0)]
#[case(Fault::WorkThenStatus(500), 500, 1)]
#[case(Fault::DelayMs(1), 200, 1)]
#[tokio::test]
async fn a_fault_is_what_the_caller_sees(
    #[case] fault: Fault,
    #[case] status: u16,
    #[case] reached: usize,
) {
    let setting = Setting::new().await;
    setting.disturb_once(fault).await;
    let answer = setting.send("{}").await.unwrap();
    assert_eq!(answer.status(), status);
    if status == 400 {
        assert_eq!(answer.headers()["x-amzn-errortype"], "QueueDoesNotExist");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["__type"], "QueueDoesNotExist");
    }
    assert_eq!(setting.seen().len(), reached);
    let next = setting.send("{}").await.unwrap();
    assert_eq!(next.status(), 200, "the rule is used up");
}

#[rstest]
#[case(Fault::Drop, 0)]
#[case(Fault::WorkThenDrop, 1)]
#[tokio::test]
async fn a_dropped_connection_gives_no_answer(#[case] fault: Fault, #[case] reached: usize) {
    let setting = Setting::new().await;
    setting.disturb_once(fault).await;
    setting.control.watch("marker").await.unwrap();
    let error = setting.send("marker").await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(setting.seen().len(), reached);
    let calls = setting.control.calls("marker").await.unwrap();
    assert_eq!(calls[0].status, None);
    assert!(calls[0].fault.is_some());
    assert_eq!(setting.send("marker").await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_answer_breaks_off_after_the_work_is_done() {
    let setting = Setting::new().await;
    setting.disturb_once(Fault::WorkThenTruncate).await;
    let answer = setting.send("0123456789").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.content_length(), Some(10));
    let error = answer.bytes().await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(setting.seen().len(), 1);
    assert_eq!(setting.send("0123456789").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_part_of_a_batch_is_refused_and_the_rest_is_passed_on() {
    let setting = Setting::new().await;
    let fault = Fault::refuse_entries("bad", "InvalidMessageContents", true);
    setting.control.add_rule(&Rule::new(fault)).await.unwrap();
    let batch = json!({ "QueueUrl": "q", "Entries": [
        { "Id": "0", "MessageBody": "good" }, { "Id": "1", "MessageBody": "bad" },
    ]});
    let answer = setting.send(batch.to_string()).await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["Failed"][0]["Id"], "1");
    let passed: Value = serde_json::from_slice(&setting.seen()[0].body).unwrap();
    assert_eq!(passed["Entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn calls_are_noted_by_marker() {
    let setting = Setting::new().await;
    setting.control.watch("acme").await.unwrap();
    for entry in ["acme", "other"] {
        let batch = json!({ "QueueUrl": "q/Orders", "Entries": [entry] });
        setting.send(batch.to_string()).await.unwrap();
    }
    let calls = setting.control.calls("acme").await.unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].operation, "sqs:SendMessageBatch");
    assert_eq!(calls[0].resource, "q/Orders");
    assert_eq!((calls[0].entries, calls[0].status), (1, Some(200)));
    setting.control.forget("acme").await.unwrap();
    assert!(setting.control.calls("acme").await.is_err());
}
