//! Bad input and bad days: each has an answer that is described, and leaves the account in a state that `GET` explains
//! in plain words and from which it goes on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use e2e::{Operator, World, until};
use http::Method;
use operate::aws::Answer;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::{Door, Fault, FaultKind};
use testkit::openapi::Description;

const ACCOUNT: &str = "/v1/accounts/{account}";

#[track_caller]
fn described(method: &str, answer: &Answer) {
    let retry_after = answer.retry_after.as_deref();
    let ours = Description::ours();
    let held = ours.hold(method, ACCOUNT, answer.status, retry_after, &answer.body);
    held.unwrap_or_else(|error| panic!("{error}"));
}

/// What `GET` says of the account.
async fn shown(operator: &Operator) -> Value {
    let answer = operator.call(Method::GET, None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    described("GET", &answer);
    answer.body
}

fn text<'a>(body: &'a Value, path: &str) -> &'a str {
    body.pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// While connecting and while connected.
#[rstest]
#[case::not_acceptable(
    Door::Api,
    FaultKind::Unprocessable,
    422,
    "does not accept the webhook"
)]
#[case::a_page(Door::Api, FaultKind::Html, 502, "not its API")]
#[case::a_page_for_a_token(Door::Token, FaultKind::Html, 502, "not its API")]
#[case::an_empty_401(Door::Api, FaultKind::Refuse, 502, "access token")]
#[case::a_time_out(Door::Api, FaultKind::TimeOutMs(60_000), 504, "in time")]
#[case::a_server_error(Door::Api, FaultKind::Status(503), 502, "status 503")]
#[case::a_pause(Door::Api, FaultKind::Status(429), 202, "60 seconds")]
#[tokio::test]
async fn a_bad_day_of_orderspace_is_explained(
    #[case] door: Door,
    #[case] kind: FaultKind,
    #[case] status: u16,
    #[case] said: &str,
    #[values(false, true)] is_connected: bool,
) {
    let operator = match is_connected {
        true => Operator::connected().await,
        false => Operator::new().await,
    };
    operator.site.revoke_tokens().await.unwrap();
    operator
        .site
        .set_faults(&[Fault::on(door, kind)])
        .await
        .unwrap();
    let desired = operator.desired(&json!(["order.created"]));
    let answer = operator.put(&desired).await;
    assert_eq!(answer.status, status, "{}", answer.body);
    described("PUT", &answer);
    let body = shown(&operator).await;
    let state = if is_connected {
        "connected"
    } else {
        "connecting"
    };
    assert_eq!(body["state"], state);
    let message = text(&answer.body, "/message");
    assert!(message.contains(said), "{message}");
    assert_eq!(text(&body, "/last_error/message"), message);
    assert!(text(&body, "/explanation").contains(message), "{body}");
    operator.site.set_faults(&[]).await.unwrap();
    if status == 202 {
        // It is left alone for a minute; that it goes on then is told without waiting elsewhere.
        return;
    }
    operator.put_until_done(&desired).await;
    let body = shown(&operator).await;
    assert_eq!(body["state"], "connected");
    assert_eq!(body["last_error"], Value::Null);
    assert_eq!(operator.site.webhooks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn refused_credentials_make_no_account_and_replace_none() {
    let operator = Operator::new().await;
    let mut wrong = operator.desired(&json!(["*"]));
    wrong["client_secret"] = json!("wrong");
    let answer = operator.put(&wrong).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    described("PUT", &answer);
    let answer = operator.call(Method::GET, None).await;
    assert_eq!(answer.status, 404);
    described("GET", &answer);
    operator
        .put_until_done(&operator.desired(&json!(["*"])))
        .await;
    let before = shown(&operator).await;
    let answer = operator.put(&wrong).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(shown(&operator).await, before);
    operator.check_until_done().await;
}

#[tokio::test]
async fn credentials_of_another_site_are_a_conflict() {
    let operator = Operator::connected().await;
    let other = Operator::new().await;
    let before = shown(&operator).await;
    let answer = operator.put(&other.desired(&json!(["*"]))).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    described("PUT", &answer);
    assert!(text(&answer.body, "/message").contains("disconnect it first"));
    assert_eq!(shown(&operator).await, before);
    assert!(other.site.webhooks().await.unwrap().is_empty());
    operator.check_until_done().await;
}

#[tokio::test]
async fn an_unknown_event_type_changes_nothing() {
    let operator = Operator::connected().await;
    let before = shown(&operator).await;
    for (method, body) in [
        (Method::PUT, operator.desired(&json!(["order.paid"]))),
        (Method::PATCH, json!({ "events": ["order.paid"] })),
    ] {
        let answer = operator.call(method.clone(), Some(&body)).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        described(method.as_str(), &answer);
        assert_eq!(answer.body["field"], "events");
        assert!(text(&answer.body, "/message").contains("order.paid"));
    }
    assert_eq!(shown(&operator).await, before);
}

#[rstest]
#[case::capitals("Acme")]
#[case::a_key_of_ours("acme%23order")]
#[case::spaces("a%20b")]
#[case::not_ascii("caf%C3%A9")]
#[case::dots("..acme")]
#[case::too_long("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
#[tokio::test]
async fn a_name_that_does_not_fit_a_key_is_refused(#[case] name: &str) {
    let operator = Operator::new().await;
    let path = format!("/accounts/{name}");
    let desired = operator.desired(&json!(["*"]));
    for (method, body) in [(Method::PUT, Some(&desired)), (Method::GET, None)] {
        let answer = operator.stack.admin(method.clone(), &path, body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        described(method.as_str(), &answer);
        assert_eq!(answer.body["field"], "account");
    }
    assert!(operator.site.requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_told_to_come_again() {
    let operator = Operator::connected().await;
    let slow = Fault::on(Door::Api, FaultKind::SlowMs(3_000)).method("PUT");
    operator.site.set_faults(&[slow]).await.unwrap();
    let change = async |events: Value| {
        let body = json!({ "events": events });
        operator.call(Method::PATCH, Some(&body)).await
    };
    let (one, other) = tokio::join!(
        change(json!(["order.created"])),
        change(json!(["order.updated"]))
    );
    let (done, told) = if one.status == 200 {
        (one, other)
    } else {
        (other, one)
    };
    assert_eq!(
        (done.status, told.status),
        (200, 409),
        "{} {}",
        done.body,
        told.body
    );
    described("PATCH", &told);
    assert!(told.retry_after.is_some());
    assert!(text(&told.body, "/message").contains("another call"));
    let body = shown(&operator).await;
    assert_eq!(body["events"], done.body["events"]);
    assert_eq!(body["last_error"], Value::Null);
    let webhooks = operator.site.webhooks().await.unwrap();
    assert_eq!(json!(webhooks.first().unwrap().events), body["events"]);
}

#[tokio::test]
async fn what_was_left_behind_is_explained() {
    let operator = Operator::connected().await;
    operator.site.revoke_tokens().await.unwrap();
    let refusal = Fault::on(Door::Token, FaultKind::Refuse);
    operator.site.set_faults(&[refusal]).await.unwrap();
    let answer = operator.call(Method::DELETE, None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    described("DELETE", &answer);
    let body = shown(&operator).await;
    assert_eq!(body["state"], "disconnected");
    let explanation = text(&body, "/explanation");
    assert!(
        explanation.contains("removed there by hand"),
        "{explanation}"
    );
}

/// What `GET` says between the two steps of connecting is no error.
#[tokio::test]
async fn an_account_without_its_key_explains_itself() {
    let operator = Operator::new().await;
    let world = World::without_keys().await;
    let rule = e2e::proxy::Rule::new(e2e::proxy::Fault::Status(500))
        .operation("secretsmanager:PutSecretValue")
        .resource(format!("signing/{}", operator.account));
    let outage = world.disturb_by(rule).await;
    let desired = operator.desired(&json!(["*"]));
    let answer = operator.put(&desired).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    described("PUT", &answer);
    let body = shown(&operator).await;
    assert_eq!(body["state"], "connecting");
    assert!(
        text(&body, "/explanation").contains("the same call goes on"),
        "{body}"
    );
    outage.end().await;
    until("the check goes on with it", async || {
        let answer = operator.act("check").await;
        match answer.body["state"].as_str() {
            Some("connected") => Ok(()),
            _ => Err(answer.body.to_string()),
        }
    })
    .await;
}
