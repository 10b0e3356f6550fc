//! The life of a subscription: what goes wrong with it at Orderspace is found and repaired, and told.

use e2e::provider::deliver_order;
use e2e::proxy::Fault;
use e2e::{World, until};
use http::Method;
use serde_json::json;

#[tokio::test]
// requirement: subscription-repair
async fn a_deleted_webhook_is_healed_and_the_next_delivery_arrives() {
    let world = World::connected().await;
    let old = world.site().webhooks().await.unwrap().remove(0);
    world.site().remove_webhook(&old.id).await.unwrap();
    let answer = world.done(Method::POST, "/check").await;
    assert_eq!(answer.body["state"], "connected");
    let webhooks = world.site().webhooks().await.unwrap();
    assert_eq!(webhooks.len(), 1);
    assert_ne!(webhooks[0].id, old.id);
    assert_eq!(answer.body["webhook"], webhooks[0].id.as_str());
    let history = answer.body["history"].to_string();
    let found = format!("found: webhook {}", old.id);
    assert!(history.contains(&found), "{history}");
    deliver_order(world.site(), "or_repaired").await;
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_repaired");
}

#[tokio::test]
async fn what_the_schedule_sends_is_checked() {
    let world = World::connected().await;
    let old = world.site().webhooks().await.unwrap().remove(0);
    world.site().remove_webhook(&old.id).await.unwrap();
    let order = json!({ "account": world.account }).to_string();
    let queue = world.stack.output("CheckQueueUrl");
    world.stack.put_message(queue, &order).await;
    until("the webhook is there again", async || {
        let webhooks = world.site().webhooks().await.unwrap();
        match webhooks.first() {
            Some(webhook) if webhook.id != old.id => Ok(()),
            _ => Err(format!("{webhooks:?}")),
        }
    })
    .await;
    // Until the key is held, a delivery is asked to come again.
    until("it is connected", async || {
        let shown = world.call(Method::GET, "", None).await;
        let webhook = &shown.body["webhook"];
        if *webhook == old.id.as_str() || webhook.is_null() {
            return Err(shown.body.to_string());
        }
        Ok(())
    })
    .await;
    deliver_order(world.site(), "or_scheduled").await;
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_scheduled");
}

#[tokio::test]
// requirement: subscription-strikes
async fn refused_deliveries_are_shown_until_one_is_accepted() {
    let world = World::connected().await;
    let body = br#"[{"event":"order.created","data":{"order":{"id":"or_struck"}}}]"#;
    let outage = world.disturb("sqs:SendMessageBatch", "Orders", Fault::Status(503));
    let outage = outage.await;
    let answer = world.post(body).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let failures = async || world.call(Method::GET, "", None).await.body["strikes"].take();
    let shown = until("the failure is shown", async || {
        let failures = failures().await;
        match failures["count"].as_u64() {
            Some(1..) => Ok(failures),
            _ => Err(failures.to_string()),
        }
    })
    .await;
    let failure = &shown["latest"][0];
    assert!(
        failure["cause"].is_string() && failure["at"].is_string(),
        "{failure}"
    );
    outage.end().await;
    world.deliver(body).await;
    until("the run is over", async || {
        let failures = failures().await;
        match failures["count"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(failures.to_string()),
        }
    })
    .await;
}
