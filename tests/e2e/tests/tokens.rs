//! Access tokens: got when there is none, kept for all calls, renewed once when they are over.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::time::Duration;

use e2e::Operator;
use futures::future::join_all;
use simulator::{Door, Fault, FaultKind};

async fn token_requests(operator: &Operator) -> usize {
    let asked = operator.site.requests().await.unwrap();
    let is_token = |path: &str| path == "/oauth/token";
    asked.iter().filter(|asked| is_token(&asked.path)).count()
}

#[tokio::test]
async fn fifty_callers_at_once_cause_one_token_request() {
    let operator = Operator::connected().await;
    assert_eq!(token_requests(&operator).await, 1);
    operator.site.forget_requests().await.unwrap();
    operator.site.revoke_tokens().await.unwrap();
    let answers = join_all((0..50).map(|_| operator.act("check"))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    // Whoever came while another was at it is told so, and the others used the same token.
    assert!(statuses == [200] || statuses == [200, 409], "{statuses:?}");
    assert_eq!(token_requests(&operator).await, 1);
}

#[tokio::test]
async fn a_token_that_is_over_is_renewed_and_its_refusal_is_no_trouble() {
    let operator = Operator::connected().await;
    operator.site.forget_requests().await.unwrap();
    // Orderspace answers 401 with an empty body.
    let half_an_hour = Duration::from_secs(1801);
    operator.site.advance_clock(half_an_hour).await.unwrap();
    let answer = operator.check_until_done().await;
    assert!(answer.body["last_error"].is_null(), "{}", answer.body);
    let asked = operator.site.requests().await.unwrap();
    assert_eq!(asked[0].status, Some(401));
    assert_eq!(token_requests(&operator).await, 1);
    operator.check_until_done().await;
    assert_eq!(token_requests(&operator).await, 1);
}

#[tokio::test]
async fn credentials_that_were_revoked_are_told_until_there_are_others() {
    let operator = Operator::connected().await;
    operator.site.revoke_tokens().await.unwrap();
    let refusal = Fault::on(Door::Token, FaultKind::Refuse);
    operator.site.set_faults(&[refusal]).await.unwrap();
    let answer = operator.act("check").await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let shown = operator.call(http::Method::GET, None).await;
    let explanation = shown.body["explanation"].as_str().unwrap();
    assert!(
        explanation.contains("refuses the credentials"),
        "{explanation}"
    );
    operator.site.set_faults(&[]).await.unwrap();
    let desired = operator.desired(&serde_json::json!(["*"]));
    let answer = operator.put_until_done(&desired).await;
    assert!(answer.body["last_error"].is_null());
}
