//! The life of a subscription: what goes wrong with it at Orderspace is found and repaired, and told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use e2e::proxy::Fault;
use e2e::{World, until};
use http::Method;
use local::aws::Answer;
use serde_json::{Value, json};
use simulator::EventText;
use simulator::control::Deliver;

async fn admin(world: &World, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let path = format!("/accounts/{}{path}", world.account);
    world.stack.admin(method, &path, body).await
}

/// Asks until it is done, as an operator does who is told to ask again.
async fn check(world: &World) -> Answer {
    until("the account is checked", async || {
        let answer = admin(world, Method::POST, "/check", None).await;
        match answer.status {
            200 => Ok(answer),
            status => Err(format!("{status} {}", answer.body)),
        }
    })
    .await
}

/// Orderspace sends an event to the webhooks that it has, and one of them takes it.
async fn deliver(world: &World, order: &str) {
    let event = json!({ "event": "order.created", "data": { "order": { "id": order } } });
    let event = EventText::parse(event.to_string()).unwrap();
    let reports = world.site().deliver(&Deliver::events(&[event])).await;
    let reports = reports.unwrap();
    assert!(reports.iter().any(|report| report.accepted), "{reports:?}");
}

#[tokio::test]
// requirement: subscription-repair
async fn a_deleted_webhook_is_healed_and_the_next_delivery_arrives() {
    let world = World::connected().await;
    let old = world.site().webhooks().await.unwrap().remove(0);
    world.site().remove_webhook(&old.id).await.unwrap();
    let answer = check(&world).await;
    assert_eq!(answer.body["state"], "connected");
    let webhooks = world.site().webhooks().await.unwrap();
    assert_eq!(webhooks.len(), 1);
    assert_ne!(webhooks[0].id, old.id);
    assert_eq!(answer.body["webhook"], webhooks[0].id.as_str());
    let history = answer.body["history"].to_string();
    assert!(
        history.contains(&format!("found: webhook {}", old.id)),
        "{history}"
    );
    deliver(&world, "or_repaired").await;
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
    let call = world.stack.sqs.send_message().queue_url(queue);
    call.message_body(order).send().await.unwrap();
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
        let shown = admin(&world, Method::GET, "", None).await;
        let webhook = &shown.body["webhook"];
        if *webhook == old.id.as_str() || webhook.is_null() {
            return Err(shown.body.to_string());
        }
        Ok(())
    })
    .await;
    deliver(&world, "or_scheduled").await;
    assert_eq!(
        world.team.wait_for(1).await[0].subject,
        "order/or_scheduled"
    );
}

#[tokio::test]
// requirement: subscription-strikes
async fn refused_deliveries_are_shown_until_one_is_accepted() {
    let world = World::connected().await;
    let body = br#"[{"event":"order.created","data":{"order":{"id":"or_struck"}}}]"#;
    let outage = world
        .disturb("sqs:SendMessageBatch", "Orders", Fault::Status(503))
        .await;
    let answer = world.post(body).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let shown = until("the failure is shown", async || {
        let shown = admin(&world, Method::GET, "", None).await;
        match shown.body["strikes"]["count"].as_u64() {
            Some(1..) => Ok(shown),
            _ => Err(shown.body.to_string()),
        }
    })
    .await;
    let failure = &shown.body["strikes"]["latest"][0];
    assert!(
        failure["cause"].is_string() && failure["at"].is_string(),
        "{failure}"
    );
    outage.end().await;
    world.deliver(body).await;
    until("the run is over", async || {
        let shown = admin(&world, Method::GET, "", None).await;
        match shown.body["strikes"]["count"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(shown.body["strikes"].to_string()),
        }
    })
    .await;
}
