//! A whole life of an account while deliveries come: what the functions' instances remember of it must not cost one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use e2e::queue_reader::QueueReader;
use e2e::team::{TeamEvent, TeamQueue};
use e2e::{Operator, until};
use http::Method;
use serde_json::{Value, json};
use simulator::control::{Deliver, NewSite, WebhookChange};
use simulator::{EventText, RetryPolicy};

/// How many deliveries each time of the account's life has to see accepted.
const ENOUGH: usize = 3;

/// The pause between two deliveries.
const PAUSE: Duration = Duration::from_millis(100);

/// A delivery of one event about one order, distinguished by its number.
fn numbered(number: u64) -> Deliver {
    let record = json!({ "id": "or_1", "number": number });
    let event = json!({ "event": "order.updated", "data": { "order": record } });
    Deliver {
        policy: RetryPolicy {
            first_delay_ms: 300,
            factor: 1.2,
            disable_after: 100,
            max_attempts: 8,
            ..RetryPolicy::default()
        },
        ..Deliver::events(&[EventText::parse(event.to_string()).unwrap()])
    }
}

fn number(event: &TeamEvent) -> u64 {
    event.inline_record()["number"].as_u64().unwrap()
}

#[tokio::test]
async fn no_acknowledged_delivery_is_lost_in_an_account_s_whole_life() {
    let site = NewSite {
        hides_disabled: true,
        ..NewSite::default()
    };
    let operator = Operator::at(site).await;
    let all_events = operator.desired(&json!(["*"]));
    operator.put_until_done(&all_events).await;
    let accepted: RefCell<BTreeSet<u64>> = RefCell::default();
    let is_over = Cell::new(false);
    // Orderspace delivers all the time, to whichever webhooks there are.
    let flow = async {
        for number in 1.. {
            let reports = operator.site.deliver(&numbered(number)).await.unwrap();
            if reports.iter().any(|report| report.accepted) {
                accepted.borrow_mut().insert(number);
            }
            if is_over.get() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let serves = async |when: &str| {
        let before = accepted.borrow().len();
        until(when, async || match accepted.borrow().len() - before {
            ..ENOUGH => Err(format!("{:?}", accepted.borrow().last())),
            _ => Ok(()),
        })
        .await;
    };
    let life = async {
        serves("connected").await;
        until("the key is rotated", async || {
            match operator.act("rotate").await.status {
                200 => Ok(()),
                status => Err(status.to_string()),
            }
        })
        .await;
        serves("while both webhooks deliver, or the new one").await;
        until("the new webhook has taken over", async || {
            let checked = operator.check_until_done().await;
            match &checked.body["rotation"] {
                Value::Null => Ok(()),
                rotation => Err(rotation.to_string()),
            }
        })
        .await;
        serves("after the rotation").await;
        until("the account is disconnected", async || {
            match operator.call(Method::DELETE, None).await.status {
                200 => Ok(()),
                status => Err(status.to_string()),
            }
        })
        .await;
        assert!(operator.site.webhooks().await.unwrap().is_empty());
        operator.put_until_done(&all_events).await;
        serves("connected again").await;
        let webhook = operator.site.webhooks().await.unwrap().remove(0);
        let disabled = WebhookChange {
            enabled: Some(false),
            ..WebhookChange::default()
        };
        let change = operator.site.change_webhook(&webhook.id, &disabled);
        change.await.unwrap();
        let checked = operator.check_until_done().await;
        assert_ne!(checked.body["webhook"], webhook.id.as_str());
        serves("by the webhook that the check registered").await;
        is_over.set(true);
    };
    tokio::join!(flow, life);

    let accepted = accepted.into_inner();
    let team = TeamQueue::of(&operator.stack, &operator.account);
    let seen = until("every accepted delivery is with the team", async || {
        let seen: BTreeSet<u64> = team.messages().await.iter().map(number).collect();
        match accepted.difference(&seen).next() {
            Some(missing) => Err(format!("number {missing} is missing")),
            None => Ok(seen),
        }
    })
    .await;
    let record = operator
        .stack
        .record(&operator.account, "order", "or_1")
        .await;
    let record: Value = serde_json::from_str(&record.unwrap().data.unwrap()).unwrap();
    let last = accepted.last().unwrap();
    assert!(
        record["number"]
            .as_u64()
            .is_some_and(|number| number >= *last && seen.contains(&number))
    );
    let dead = QueueReader::new(&operator.stack, "OrdersDlqUrl", &operator.account);
    assert_eq!(dead.messages().await, []);
}
