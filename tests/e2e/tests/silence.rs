//! Silence: an account whose deliveries stay away for longer than is usual is found, compared and told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use aws::dynamo::accounts::DynamoAccounts;
use domain::identity::DeliveryId;
use domain::source::Source;
use domain::subscription::{Baseline, IfUnknown, Lease, LeaseOwner, Leased, Leases as _, Saved};
use domain::timestamp::Timestamp;
use e2e::provider::{deliver_order, enable};
use e2e::{Operator, until};
use http::Method;
use runtime::clock::now;
use serde_json::{Value, json};
use simulator::control::NewSite;

const DAY: u64 = 86_400_000;
const TEN_MINUTES: u64 = 600_000;

/// A delivery every ten minutes for three weeks, and none in the last two hours.
fn silent_for_two_hours() -> Baseline {
    let end = now().millis() - 7_200_000;
    let begun = end - 21 * DAY;
    let mut baseline = Baseline::new(Timestamp::from_millis(begun));
    for day in 0..21 {
        let ids: Vec<_> = (1..=144)
            .map(|n| Timestamp::from_millis(begun + day * DAY + n * TEN_MINUTES))
            .map(|at| DeliveryId::new(at, &[1; 10]))
            .collect();
        baseline.observe(&ids, Timestamp::from_millis(begun + (day + 1) * DAY));
    }
    baseline
}

/// Gives the account a past, as an earlier check would have saved it.
async fn remember(operator: &Operator, baseline: Baseline) {
    let table = operator.stack.output("AccountsTable");
    let accounts = DynamoAccounts::new(operator.stack.dynamo.clone(), table);
    let lease = Lease {
        account: operator.account.parse().unwrap(),
        owner: LeaseOwner::from_random(&[1; 16]),
        until: now().plus_seconds(45),
    };
    let mut account = until("the account is free", async || {
        match accounts.lease(&lease, now(), IfUnknown::Refuse).await {
            Ok(Leased::Taken(Some(account))) => Ok(account),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    account.baseline = baseline;
    let saved = accounts.save(&account, &lease, &[]).await.unwrap();
    assert_eq!(saved, Saved::Yes);
    accounts.release(&lease).await.unwrap();
}

fn told(body: &Value) -> usize {
    let history = body["history"].as_array().unwrap();
    let is_told = |entry: &&Value| entry["message"].as_str().unwrap().starts_with("suspect:");
    history.iter().filter(is_told).count()
}

#[tokio::test]
async fn an_account_that_fell_silent_between_checks_is_checked_and_repaired() {
    let site = NewSite {
        hides_disabled: true,
        ..NewSite::default()
    };
    let operator = Operator::at(Source::Orderspace, site).await;
    operator.put_until_done(&operator.desired(&["*"])).await;
    let old = operator.webhooks().await.remove(0);
    enable(&operator.site, &old.id, false).await;
    remember(&operator, silent_for_two_hours()).await;
    watch(&operator).await;
    let body = until("it is found", async || {
        let answer = operator.call(Method::GET, "", None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        match answer.body["webhook"].as_str() {
            Some(webhook) if webhook != old.id => Ok(answer.body),
            _ => Err(answer.body.to_string()),
        }
    })
    .await;
    assert_eq!(told(&body), 1);
    deliver_order(&operator.site, "or_1").await;
}

/// Invokes the function as the schedule does.
async fn watch(operator: &Operator) {
    let aws = operator.stack.outputs.aws().unwrap();
    let functions = aws.lambda(Method::GET, "/2015-03-31/functions/", None);
    let functions = functions.await.unwrap();
    let names = functions["Functions"].as_array().unwrap().iter();
    let name = names
        .filter_map(|function| function["FunctionName"].as_str())
        .find(|name| name.contains("Subscriptions"));
    let path = format!("/2015-03-31/functions/{}/invocations", name.unwrap());
    until("the schedule's event is taken", async || {
        let event = json!({ "schedule": "watch" });
        match aws.lambda(Method::POST, &path, Some(&event)).await {
            Ok(answer) if answer["accounts"].as_u64() >= Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
