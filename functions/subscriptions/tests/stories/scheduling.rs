//! The schedule: every account is checked, and none holds up another.

use domain::ports::QueueUrl;
use rstest::rstest;
use runtime::metrics::captured;
use serde_json::{Value, json};
use simulator::FaultKind;
use testkit::sqs_event::{SqsBatch, batch, message_id};

use crate::world::{CHECKS, CHECKS_ARN, World, delete, gateway_event};

fn schedule() -> Value {
    json!({ "schedule": "check" })
}

/// Lets all accounts be checked that the schedule finds, and expects so many.
async fn schedule_checks(world: &World, count: usize) {
    let sent = world.invoke(schedule()).await.unwrap();
    assert_eq!(sent, json!({ "accounts": count }));
}

/// Lets the checks of a batch be made, and expects what it answers.
async fn expect_failures(world: &World, batch: &SqsBatch, failures: Value) {
    let event = serde_json::from_str(&batch.to_json()).unwrap();
    let answer = world.invoke(event).await.unwrap();
    assert_eq!(answer, json!({ "batchItemFailures": failures }));
}

fn waiting(world: &World) -> Vec<Value> {
    let messages = world.queues.messages(&QueueUrl::new(CHECKS));
    messages.iter().map(testkit::fakes::Sent::json).collect()
}

#[tokio::test]
async fn every_account_is_sent_and_checked() {
    let world = World::new().await;
    for name in ["acme", "beta", "gamma"] {
        world.connect_too(name, &["order.created"]).await;
    }
    for webhook in world.webhooks().await {
        world.remove_webhook(&webhook.id).await;
    }
    schedule_checks(&world, 3).await;
    let names = ["acme", "beta", "gamma"].map(|name| json!({ "account": name }));
    assert_eq!(waiting(&world), names);
    assert!(world.work_off_checks().await.is_empty());
    assert_eq!(world.webhooks().await.len(), 3);
}

#[tokio::test]
async fn more_accounts_than_a_batch_are_all_sent() {
    let world = World::new().await;
    for number in 0..23 {
        let desired = world.desired(&["order.created"]);
        world.put(&format!("a{number:02}"), &desired).await;
        // Orderspace's limit is not what this is about.
        world.advance_orderspace(60_000).await;
    }
    schedule_checks(&world, 23).await;
    assert_eq!(waiting(&world).len(), 23);
}

#[tokio::test]
async fn what_is_disconnected_or_throttled_is_left_out() {
    let world = World::new().await;
    world.connect_too("gone", &["*"]).await;
    let (route, parameters) = (delete().0, json!({ "account": "gone" }));
    world.call(route, parameters, None).await.expect(200);
    world.connect().await.expect(200);
    world.next("GET", FaultKind::Status(429)).await;
    world.check().await.expect(202);
    schedule_checks(&world, 0).await;
    world.pass(60);
    schedule_checks(&world, 1).await;
    assert_eq!(waiting(&world), [json!({ "account": "acme" })]);
}

#[tokio::test]
async fn one_account_s_failure_stops_no_other() {
    let world = World::new().await;
    for name in ["acme", "beta"] {
        world.connect_too(name, &["*"]).await;
    }
    for webhook in world.webhooks().await {
        world.remove_webhook(&webhook.id).await;
    }
    world.invoke(schedule()).await.unwrap();
    world.next("POST", FaultKind::Status(500)).await;
    // Orderspace's trouble is told in the account and left to the next run.
    assert!(world.work_off_checks().await.is_empty());
    assert_eq!(world.webhooks().await.len(), 1);
    world.invoke(schedule()).await.unwrap();
    assert!(world.work_off_checks().await.is_empty());
    assert_eq!(world.webhooks().await.len(), 2);
}

#[tokio::test]
async fn what_fails_on_our_side_comes_again() {
    let world = World::connected().await;
    world.invoke(schedule()).await.unwrap();
    world.fate.plan(0, crate::world::Mishap::Refused);
    assert_eq!(world.work_off_checks().await, [0]);
}

#[rstest]
#[case::no_json("nonsense")]
#[case::another_object(r#"{"team":"a"}"#)]
#[case::no_name(r#"{"account":"A#B"}"#)]
#[tokio::test]
async fn an_unreadable_message_comes_again_alone(#[case] body: &str) {
    let world = World::connected().await;
    world.lose_webhook().await;
    let batch = batch(CHECKS_ARN)
        .message(body)
        .message(r#"{"account":"acme"}"#)
        .message(r#"{"account":"unknown"}"#);
    let first = json!({ "itemIdentifier": message_id(0) });
    expect_failures(&world, &batch, json!([first])).await;
    world.assert_connected(&world.webhooks().await);
}

/// While a release is rolled out, a function of the one before gets the messages of the new schedule.
#[tokio::test]
async fn a_message_of_a_newer_release_is_a_check_like_any_other() {
    let world = World::connected().await;
    world.lose_webhook().await;
    let batch = batch(CHECKS_ARN).message(r#"{"account":"acme","later":{"only":["events"]}}"#);
    expect_failures(&world, &batch, json!([])).await;
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_queue_that_takes_nothing_is_told_to_lambda() {
    let world = World::connected().await;
    world.queues.remove(&QueueUrl::new(CHECKS));
    tokio::time::pause();
    let error = world.invoke(schedule()).await.unwrap_err();
    assert!(error.to_string().contains("QueueDoesNotExist"), "{error}");
}

#[tokio::test]
async fn a_call_is_answered_as_the_gateway_wants_it() {
    let world = World::new().await;
    let event = gateway_event("GET /v1/accounts", &json!({}), None);
    let answer = world.invoke(event).await.unwrap();
    assert_eq!(
        answer,
        json!({
            "statusCode": 200,
            "headers": { "content-type": "application/json" },
            "body": r#"{"accounts":[],"unreadable":[]}"#,
            "isBase64Encoded": false,
        })
    );
}

#[rstest]
#[case(json!(null))]
#[case(json!({ "schedule": "other" }))]
#[case(json!({ "marker": 1 }))]
#[case(json!({ "Records": [{ "eventSource": "aws:s3", "s3": "marker" }, 1] }))]
#[tokio::test]
async fn an_event_that_is_none_of_ours_is_refused(#[case] event: Value) {
    let world = World::new().await;
    let error = world.invoke(event).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("marker"), "{error}");
}

/// Alarms rest on these: a schedule whose runs are not counted has stopped, and a message that is counted here comes again.
#[tokio::test]
async fn runs_and_messages_that_come_again_are_counted() {
    let world = World::connected().await;
    let counted = async |event: Value| {
        let (answer, lines) = captured(world.invoke(event)).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        let mut line: Value = serde_json::from_str(&lines[0]).unwrap();
        line.as_object_mut().unwrap().remove("_aws");
        (answer.is_ok(), line)
    };
    for name in ["check", "watch"] {
        let line = json!({ "Stack": "orderhook", "Schedule": name, "ScheduleRuns": 1 });
        let run = json!({ "schedule": name });
        assert_eq!(counted(run).await, (true, line));
    }
    let unreadable = json!({ "Records": [{ "messageId": "1", "body": "acme" }] });
    let line = json!({ "Stack": "orderhook", "Lane": "checks", "Failure": "unreadable", "Retried": 1, "Checks": 1 });
    assert_eq!(counted(unreadable).await, (true, line));
    // A run that could not send everything is none: that it did not count is what an alarm sees.
    world.queues.remove(&QueueUrl::new(CHECKS));
    let line = json!({ "Stack": "orderhook", "ChecksUnsent": 1 });
    assert_eq!(counted(schedule()).await, (false, line));
}
