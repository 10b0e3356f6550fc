//! A whole life of an account while deliveries come: what the functions' instances remember of it must not cost one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use domain::source::Source;
use e2e::provider::{enable, event};
use e2e::queue_reader::QueueReader;
use e2e::team::TeamEvent;
use e2e::{Operator, until};
use http::Method;
use serde_json::Value;
use simulator::RetryPolicy;
use simulator::control::{Deliver, NewSite};

/// How many deliveries each time of the account's life has to see accepted.
const ENOUGH: usize = 3;

/// The pause between two deliveries.
const PAUSE: Duration = Duration::from_millis(100);

/// A delivery of one event about one order, distinguished by its number.
fn numbered(number: u64) -> Deliver {
    let record = format!(r#"{{"id":"or_1","number":{number}}}"#);
    Deliver {
        policy: RetryPolicy {
            first_delay_ms: 300,
            factor: 1.2,
            disable_after: 100,
            max_attempts: 8,
            ..RetryPolicy::default()
        },
        ..Deliver::events(&[event("order.updated", &record)])
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
    let operator = Operator::at(Source::Orderspace, site).await;
    let all_events = operator.desired(&["*"]);
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
        operator.act("rotate").await;
        serves("while both webhooks deliver, or the new one").await;
        until("the new webhook has taken over", async || {
            let checked = operator.act("check").await;
            match &checked.body["rotation"] {
                Value::Null => Ok(()),
                rotation => Err(rotation.to_string()),
            }
        })
        .await;
        serves("after the rotation").await;
        operator.done(Method::DELETE, "", None).await;
        assert!(operator.site.webhooks().await.unwrap().is_empty());
        operator.put_until_done(&all_events).await;
        serves("connected again").await;
        let webhook = operator.webhooks().await.remove(0);
        enable(&operator.site, &webhook.id, false).await;
        let checked = operator.act("check").await;
        assert_ne!(checked.body["webhook"], webhook.id.as_str());
        serves("by the webhook that the check registered").await;
        is_over.set(true);
    };
    tokio::join!(flow, life);

    let accepted = accepted.into_inner();
    let seen = until("every accepted delivery is with the team", async || {
        let messages = operator.team.messages().await;
        let seen: BTreeSet<u64> = messages.iter().map(number).collect();
        match accepted.difference(&seen).next() {
            Some(missing) => Err(format!("number {missing} is missing")),
            None => Ok(seen),
        }
    })
    .await;
    let (stack, account) = (&operator.stack, &operator.account);
    let record = stack.record(account, "order", "or_1").await.unwrap();
    let record: Value = serde_json::from_str(&record.data.unwrap()).unwrap();
    let number = record["number"].as_u64().unwrap();
    assert!(number >= *accepted.last().unwrap() && seen.contains(&number));
    let dead = QueueReader::new(stack, "OrdersDlqUrl", account);
    assert_eq!(dead.messages().await, []);
}
