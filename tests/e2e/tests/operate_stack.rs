//! `orderhook doctor`, `status`, `accounts` and `teams` on a stack that is up.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use domain::source::Source;
use e2e::{Operator, Stack};
use operate::Exit;
use operate::doctor::{Depth, Report, Verdict, doctor};
use orderhook::given::{self, Ended};
use rstest::rstest;
use serde_json::{Value, json};

/// Gives a command: words with one space between each other.
async fn give(stack: &Stack, line: &str) -> Ended {
    let words: Vec<&str> = line.split(' ').collect();
    given::give(&stack.target(), &words).await
}

async fn look(stack: &Stack) -> Report {
    let target = stack.target();
    let now = time::OffsetDateTime::from(calls::now());
    doctor(&target.calls, &target.name, now, Depth::default())
        .await
        .unwrap()
}

/// Other tests fill waiting rooms and break accounts while this one looks, so it asks about what they leave alone.
#[tokio::test]
async fn the_doctor_finds_a_fresh_stack_in_order_with_fewer_than_fifty_calls() {
    let stack = Stack::here().await;
    let report = look(&stack).await;
    assert!(report.calls < 50, "{} calls", report.calls);
    assert_eq!(report.version.as_deref(), Some(report.command_version));
    for check in [
        "stack",
        "clock",
        "door",
        "functions",
        "event sources",
        "schedules",
        "settings",
        "team example",
        "backups",
    ] {
        let found = report.findings.iter();
        let found: Vec<_> = found.filter(|finding| finding.check == check).collect();
        assert!(!found.is_empty(), "{check} of {:?}", report.findings);
        for finding in found {
            let is_well = matches!(finding.verdict, Verdict::Ok | Verdict::Skipped);
            assert!(is_well, "{finding:?}");
        }
    }
}

#[tokio::test]
async fn the_status_has_every_lane() {
    let stack = Stack::here().await;
    let ended = give(&stack, "status --json").await;
    let status: Value = serde_json::from_str(&ended.out).unwrap();
    let lanes = status["lanes"].as_array().unwrap();
    assert_eq!(lanes.len(), 6, "{status}");
    for lane in lanes {
        let is_counted = lane["waiting"].is_u64() && lane["dead"].is_u64();
        assert!(is_counted, "{status}");
    }
    assert_eq!(status["unseen"], json!([]), "{status}");
}

#[tokio::test]
async fn the_example_team_can_be_reached() {
    let stack = Stack::here().await;
    let ended = give(&stack, "teams list --json").await;
    let routes: Value = serde_json::from_str(&ended.out).unwrap();
    let queue = stack.output("ExampleTeamQueueUrl");
    let mut each = routes.as_array().unwrap().iter();
    let is_listed = each.any(|route| route["team"] == "example" && route["queue"] == queue);
    assert!(is_listed, "{routes}");
    let ended = give(&stack, "teams check").await;
    assert!(ended.out.contains("example"), "{}", ended.all);
}

#[tokio::test]
async fn an_account_is_connected_shown_checked_and_disconnected() {
    let operator = Operator::new().await;
    let (stack, account) = (&operator.stack, operator.account.as_str());
    let file = stack.directory.join(format!("{account}.secret"));
    std::fs::write(&file, &operator.secret).unwrap();
    let path = file.display();
    let connect = format!(
        "accounts connect {account} --client-id {account} --secret-file {path} --events order.created"
    );
    let connected = give(stack, &connect).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(connected.exit, Exit::Done, "{}", connected.all);
    assert!(!connected.all.contains(&operator.secret));
    let webhooks = operator.site.webhooks().await.unwrap();
    assert_eq!(webhooks.len(), 1);
    assert_eq!(webhooks[0].events, ["order.created"]);

    let shown = give(stack, &format!("accounts show {account} --json")).await;
    let document: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(document["state"], "connected", "{}", shown.all);
    assert_eq!(document["webhook"], webhooks[0].id.as_str());

    let select = format!("accounts events {account} order.created order.updated");
    let events = give(stack, &select).await;
    assert_eq!(events.exit, Exit::Done, "{}", events.all);
    let webhooks = operator.site.webhooks().await.unwrap();
    assert_eq!(webhooks[0].events.len(), 2);

    let checked = give(stack, &format!("accounts check {account}")).await;
    assert_eq!(checked.exit, Exit::Done, "{}", checked.all);

    let disconnect = format!("accounts disconnect {account}");
    let refused = give(stack, &disconnect).await;
    assert_eq!(refused.exit, Exit::Usage, "{}", refused.all);
    assert_eq!(operator.site.webhooks().await.unwrap().len(), 1);
    let gone = give(stack, &format!("{disconnect} --yes")).await;
    assert_eq!(gone.exit, Exit::Done, "{}", gone.all);
    assert!(operator.site.webhooks().await.unwrap().is_empty());

    let listed = give(stack, "accounts list --json").await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let mut listed = listed["accounts"].as_array().unwrap().iter();
    let own = listed.find(|listed| listed["account"] == account);
    assert_eq!(own.unwrap()["state"], "disconnected");
}

/// Its example is made and proved by this command, and taken by the functions as the source's own.
#[rstest]
#[case(Source::Orderspace, "order.created")]
#[case(Source::Ordermentum, "order_created")]
#[case(Source::Apideck, "ecommerce.order.created")]
#[case(Source::OneStock, "order_state_changed")]
#[case(Source::StackOne, "order.created")]
#[tokio::test]
async fn a_delivery_of_ours_is_taken_for_every_source(#[case] source: Source, #[case] event: &str) {
    let settings = match source {
        // Several functions may be starting while the URL is validated.
        Source::Apideck => json!({ "validation_timeout_ms": 20_000 }),
        _ => Value::Null,
    };
    let account = Operator::with_settings(source, settings).await;
    account.connect(&[event]).await;
    let name = account.account.as_str();
    let file = account.stack.directory.join(format!("{name}.url"));
    std::fs::write(&file, &account.webhooks().await[0].endpoint).unwrap();
    let path = file.display();
    let line = format!("send {event} --account {name} --url-file {path} --wait 60 --yes --json");
    let sent = give(&account.stack, &line).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(sent.exit, Exit::Done, "{}", sent.all);
    let document: Value = serde_json::from_str(&sent.out).unwrap();
    assert_eq!(document["is_applied"], true, "{}", sent.all);
    let events = account.team.wait_for(1).await;
    assert_eq!(document["event"], events[0].id.as_str());
}

#[tokio::test]
async fn wrong_credentials_and_an_unknown_account_end_with_their_codes() {
    let operator = Operator::new().await;
    let (stack, account) = (&operator.stack, operator.account.as_str());
    let file = stack.directory.join(format!("{account}.wrong"));
    std::fs::write(&file, "not-the-secret").unwrap();
    let path = file.display();
    let connect = format!("accounts connect {account} --client-id {account} --secret-file {path}");
    let refused = give(stack, &connect).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(refused.exit, Exit::Left, "{}", refused.all);
    let words = "refuses the credentials";
    assert!(refused.all.contains(words), "{}", refused.all);
    let unknown = give(stack, "accounts show nobody-has-this-name").await;
    assert_eq!(unknown.exit, Exit::NotFound, "{}", unknown.all);
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_not_found() {
    let stack = Stack::here().await;
    let mut target = stack.target();
    target.name = "no-such-stack".to_owned();
    let error = target.stack().await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
}
