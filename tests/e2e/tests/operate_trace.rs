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

async fn give(stack: &Stack, line: &[&str]) -> Ended {
    given::give(&stack.target(), line).await
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
    let line = ["trace", "order/or_1", "--account", &world.account, "--json"];
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
    assert_eq!(
        trace["record"]["event"], trace["steps"][1]["event"],
        "{trace}"
    );

    let account = world.account.as_str();
    let event = step["event"].as_str().unwrap();
    let by_id = give(&world.stack, &["trace", event, "--json"]).await;
    let by_id: Value = serde_json::from_str(&by_id.out).expect(&by_id.all);
    assert_eq!(by_id["steps"][0], *step);
    let by_number = give(&world.stack, &["trace", "1204", "--account", account]).await;
    assert!(by_number.out.contains(event), "{}", by_number.all);

    let (id, _) = event.split_once('.').unwrap();
    let raw = give(
        &world.stack,
        &["deliveries", "raw", id, "--account", account],
    )
    .await;
    assert_eq!(raw.out.as_bytes(), body, "byte for byte");
    let shown = give(&world.stack, &["deliveries", "show", id, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["account"], account, "by the log");
    assert_eq!(shown["events"][0]["record"], "later", "{shown}");

    let list = [
        "deliveries",
        "list",
        "--account",
        account,
        "--since",
        "1h",
        "--json",
    ];
    let listed = give(&world.stack, &list).await;
    let rows: Vec<Value> = listed
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2, "{}", listed.all);
    assert_eq!(rows[1]["delivery"], id, "the latest first");
    assert_eq!(rows[1]["answer"], "accepted");
    assert_eq!(
        rows[1]["became"]["outcomes"]["applied"], 1,
        "{}",
        listed.all
    );
}

#[tokio::test]
async fn a_record_is_shown_as_it_is_and_as_it_was() {
    let world = World::connected().await;
    two_deliveries(&world).await;
    traced(&world).await;
    let account = world.account.as_str();
    let got = give(
        &world.stack,
        &[
            "records",
            "get",
            "order/or_1",
            "--account",
            account,
            "--json",
        ],
    )
    .await;
    let got: Value = serde_json::from_str(&got.out).unwrap();
    assert_eq!(got["data"], serde_json::from_str::<Value>(SECOND).unwrap());
    let list = [
        "records",
        "list",
        "order",
        "--account",
        account,
        "--where",
        "status=open",
    ];
    let listed = give(&world.stack, &list).await;
    assert_eq!(listed.out.lines().count(), 1, "{}", listed.all);
    let none = [
        "records",
        "list",
        "order",
        "--account",
        account,
        "--where",
        "status=new",
    ];
    assert!(give(&world.stack, &none).await.out.is_empty());
    let history = give(
        &world.stack,
        &["records", "history", "order/or_1", "--account", account],
    )
    .await;
    assert_eq!(history.exit, Exit::Done, "{}", history.all);
    assert!(
        history.out.contains("-  \"net\": 20.10") && history.out.contains("+  \"net\": 21.50"),
        "{}",
        history.all
    );
}

/// The team has every event although somebody tailed.
#[tokio::test]
async fn a_tail_sees_events_and_takes_none() {
    let world = World::planted().await;
    let account = world.account.as_str();
    let line = [
        "tail",
        "--account",
        account,
        "--since",
        "5m",
        "--for",
        "20s",
        "--json",
    ];
    let (ended, _) = tokio::join!(give(&world.stack, &line), two_deliveries(&world));
    assert_eq!(ended.exit, Exit::Done, "{}", ended.all);
    let lines: Vec<Value> = ended
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    assert_eq!(
        types,
        ["order.created", "order.updated"],
        "each once: {}",
        ended.all
    );
}

#[tokio::test]
async fn what_never_came_is_not_found() {
    let stack = Stack::here().await;
    let id = "0193b3c8-7c1a-7000-8000-000000000000";
    let raw = give(&stack, &["deliveries", "raw", id, "--account", "nobody"]).await;
    assert_eq!(raw.exit, Exit::NotFound, "{}", raw.all);
    let record = give(
        &stack,
        &["records", "get", "order/or_none", "--account", "nobody"],
    )
    .await;
    assert_eq!(record.exit, Exit::NotFound, "{}", record.all);
}
