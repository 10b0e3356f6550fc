//! `orderhook deliveries`, `trace`, `records` and `tail` on a stack that is up, about deliveries that really came.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use e2e::{Stack, World, until};
use operate::Exit;
use orderhook::given::{self, Ended};
use serde_json::Value;
use testkit::delivery::element;

/// Gives a command: words with one space between each other.
async fn give(stack: &Stack, line: &str) -> Ended {
    let words: Vec<&str> = line.split(' ').collect();
    given::give(&stack.target(), &words).await
}

/// What a command printed, one value a line.
fn json_lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const FIRST: &str = r#"{"id":"or_1","number":1204,"net":20.10,"status":"new"}"#;
const SECOND: &str = r#"{"id":"or_1","number":1204,"net":21.50,"status":"open"}"#;

/// An account that got an order, and then its change. Answers the bytes of the first delivery.
async fn two_deliveries(world: &World) -> Vec<u8> {
    let created = format!("[{}]", element("order.created", FIRST));
    let changed = format!("[{}]", element("order.updated", SECOND));
    for body in [&created, &changed] {
        let statuses = world.deliver(body.as_bytes()).await;
        assert_eq!(statuses.last(), Some(&200), "{statuses:?}");
    }
    world.team.wait_for(2).await;
    created.into_bytes()
}

/// The way of the order, once the log has both events.
async fn traced(world: &World) -> Value {
    let line = format!("trace order/or_1 --account {} --json", world.account);
    until("the log has both events", async || {
        let ended = give(&world.stack, &line).await;
        let traced: Value = serde_json::from_str(&ended.out).map_err(|_| ended.all.clone())?;
        match traced["steps"].as_array().map(Vec::len) {
            Some(2) => Ok(traced),
            _ => Err(ended.all),
        }
    })
    .await
}

#[tokio::test]
async fn an_order_is_followed_from_its_delivery_to_its_teams() {
    let world = World::connected().await;
    let body = two_deliveries(&world).await;
    let trace = traced(&world).await;
    let step = &trace["steps"][0];
    assert_eq!(step["type"], "order.created", "{trace}");
    assert_eq!(step["came"]["answer"], 200, "{trace}");
    assert_eq!(step["fate"]["outcome"], "applied", "{trace}");
    let teams = step["fate"]["teams"].as_array().unwrap();
    assert!(!teams.is_empty(), "{trace}");
    let last = &trace["steps"][1];
    assert_eq!(trace["record"]["event"], last["event"], "{trace}");

    let account = world.account.as_str();
    let event = step["event"].as_str().unwrap();
    let by_id = give(&world.stack, &format!("trace {event} --json")).await;
    let by_id: Value = serde_json::from_str(&by_id.out).expect(&by_id.all);
    assert_eq!(by_id["steps"][0], *step);
    let by_number = give(&world.stack, &format!("trace 1204 --account {account}")).await;
    assert!(by_number.out.contains(event), "{}", by_number.all);

    let (id, _) = event.split_once('.').unwrap();
    let raw = format!("deliveries raw {id} --account {account}");
    let raw = give(&world.stack, &raw).await;
    assert_eq!(raw.out.as_bytes(), body, "byte for byte");
    let shown = give(&world.stack, &format!("deliveries show {id} --json")).await;
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["account"], account, "by the log");
    assert_eq!(shown["events"][0]["record"], "later", "{shown}");

    let list = format!("deliveries list --account {account} --since 1h --json");
    let listed = give(&world.stack, &list).await;
    let rows = json_lines(&listed);
    assert_eq!(rows.len(), 2, "{}", listed.all);
    assert_eq!(rows[1]["delivery"], id, "the latest first");
    assert_eq!(rows[1]["answer"], "accepted");
    let outcomes = &rows[1]["became"]["outcomes"];
    assert_eq!(outcomes["applied"], 1, "{}", listed.all);
}

#[tokio::test]
async fn a_record_is_shown_as_it_is_and_as_it_was() {
    let world = World::connected().await;
    two_deliveries(&world).await;
    traced(&world).await;
    let account = world.account.as_str();
    let get = format!("records get order/or_1 --account {account} --json");
    let got = give(&world.stack, &get).await;
    let got: Value = serde_json::from_str(&got.out).unwrap();
    assert_eq!(got["data"], serde_json::from_str::<Value>(SECOND).unwrap());
    for (status, count) in [("open", 1), ("new", 0)] {
        let list = format!("records list order --account {account} --where status={status}");
        let listed = give(&world.stack, &list).await;
        assert_eq!(listed.out.lines().count(), count, "{}", listed.all);
    }
    let history = format!("records history order/or_1 --account {account}");
    let history = give(&world.stack, &history).await;
    assert_eq!(history.exit, Exit::Done, "{}", history.all);
    for change in ["-  \"net\": 20.10", "+  \"net\": 21.50"] {
        assert!(history.out.contains(change), "{}", history.all);
    }
}

/// The team has every event although somebody tailed.
#[tokio::test]
async fn a_tail_sees_events_and_takes_none() {
    let world = World::planted().await;
    let account = world.account.as_str();
    let line = format!("tail --account {account} --since 5m --for 20s --json");
    let (ended, _) = tokio::join!(give(&world.stack, &line), two_deliveries(&world));
    assert_eq!(ended.exit, Exit::Done, "{}", ended.all);
    let lines = json_lines(&ended);
    let types = lines.iter().filter_map(|line| line["type"].as_str());
    let types: Vec<&str> = types.collect();
    let once = ["order.created", "order.updated"];
    assert_eq!(types, once, "each once: {}", ended.all);
}

#[tokio::test]
async fn what_never_came_is_not_found() {
    let stack = Stack::here().await;
    let id = "0193b3c8-7c1a-7000-8000-000000000000";
    let raw = format!("deliveries raw {id} --account nobody");
    for line in [&*raw, "records get order/or_none --account nobody"] {
        let ended = give(&stack, line).await;
        assert_eq!(ended.exit, Exit::NotFound, "{}", ended.all);
    }
}
