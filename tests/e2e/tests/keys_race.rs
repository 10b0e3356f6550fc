//! The race for the signing key: Orderspace sends from the moment it has the webhook, and its answer with the key has
//! yet to be kept.

use e2e::provider::event;
use e2e::proxy::{Fault, Rule};
use e2e::{Operator, World, until};
use simulator::control::Deliver;

#[tokio::test]
async fn a_delivery_before_its_key_is_refused_with_503_comes_again_and_is_accepted() {
    let operator = Operator::new().await;
    let proxy = World::without_keys().await;
    let no_key = Rule::new(Fault::Status(500))
        .operation("secretsmanager:PutSecretValue")
        .resource(format!("signing/{}", operator.account));
    let no_key = proxy.disturb_by(no_key).await;
    let desired = operator.desired(&["*"]);
    let answer = operator.put(&desired).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(no_key.met().await > 0);
    assert_eq!(answer.body["state"], "connecting");
    assert_eq!(operator.site.webhooks().await.unwrap().len(), 1);

    let event = event("order.created", r#"{"id":"or_early"}"#);
    let mut deliver = Deliver::events(&[event]);
    deliver.policy.first_delay_ms = 200;
    deliver.policy.max_delay_ms = 500;
    deliver.policy.disable_after = 1000;
    deliver.policy.max_attempts = 1000;
    deliver.wait = false;
    operator.site.deliver(&deliver).await.unwrap();
    let statuses = async || {
        let reports = operator.site.deliveries().await.unwrap();
        let reports = reports.iter();
        let of_all = reports.flat_map(|report| report.deliveries.statuses());
        of_all.collect::<Vec<u16>>()
    };
    let first = until("it is answered", async || {
        let statuses = statuses().await;
        let first = statuses.first().copied();
        first.ok_or_else(|| "nothing came yet".to_owned())
    })
    .await;
    assert_eq!(first, 503);
    no_key.end().await;
    operator.put_until_done(&desired).await;
    assert_eq!(operator.site.webhooks().await.unwrap().len(), 1);
    until("it is accepted", async || match statuses().await {
        statuses if statuses.last() == Some(&200) => Ok(()),
        statuses => Err(format!("{statuses:?}")),
    })
    .await;
    let events = operator.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_early");
}
