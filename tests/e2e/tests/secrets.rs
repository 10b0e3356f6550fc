//! Secrets stay secret: nothing that a test on this stack had to keep to itself is in a log of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::path::{Path, PathBuf};

use e2e::proxy::Fault;
use e2e::world::noted_secrets;
use e2e::{Stack, World};
use http::Method;
use serde_json::json;
use testkit::delivery::delivery;
use testkit::signing::{OTHER_SIGNING_KEY, sign};

/// Does everything once in which secrets have a part, and returns those that only this story knows.
async fn provoke(world: &World) -> Vec<String> {
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    world.deliver(&body).await;
    let wrong = sign(OTHER_SIGNING_KEY, &body);
    assert_eq!(world.post_by(OTHER_SIGNING_KEY, &body).await.status, 401);
    let refused = Fault::refuse("AccessDeniedException");
    let outage = world.disturb("sqs:SendMessageBatch", "Orders", refused);
    let outage = outage.await;
    assert_eq!(world.post(&body).await.status, 503);
    outage.end().await;
    world.deliver(b"not json").await;
    world.quarantined(1).await;
    world.team.wait_for(1).await;

    let secret = world.secret("oauth").await;
    let token = secret["access_token"]
        .as_str()
        .or(secret["token"]["access_token"].as_str());
    let token = token.expect("an access token is kept").to_owned();

    // Refusals of the admin API have the client secret in their hands, too.
    let another = format!("another-{}", world.token());
    let desired = json!({
        "source": "orderspace", "client_id": world.account, "client_secret": another, "events": ["*"],
    });
    let answer = world.call(Method::PUT, "", Some(&desired)).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let desired = json!({ "source": "orderspace", "client_secret": another });
    let answer = world.call(Method::PUT, "", Some(&desired)).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    let gone = world.call(Method::DELETE, "", None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    vec![token, another, wrong]
}

#[tokio::test]
// requirement: secret-logs
async fn no_log_of_the_stack_holds_a_secret() {
    let world = World::connected().await;
    let mut secrets = provoke(&world).await;
    secrets.extend(noted_secrets(&world.stack));
    for own in [world.token(), world.key()] {
        let is_known = secrets.iter().any(|secret| secret == own);
        assert!(is_known, "the search knows what to look for");
    }
    assert!(secrets.iter().all(|secret| secret.len() >= 20));

    let logs = function_logs(&world.stack, &world.account).await;
    let files = log_files(&world.stack.directory.join("log"));
    let has_emulator = files.iter().any(|(path, _)| path.ends_with("emulator.log"));
    assert!(has_emulator, "the emulator's log is among what is searched");
    let leaks = |text: &str| {
        let secrets = secrets.iter();
        secrets.filter(|secret| text.contains(*secret)).count()
    };
    for (name, text) in &logs {
        assert_eq!(leaks(text), 0, "{name} holds secrets");
    }
    for (path, text) in &files {
        assert_eq!(leaks(text), 0, "{} holds secrets", path.display());
    }
}

/// Every function's log, once they tell of this account: a search in empty logs finds nothing.
async fn function_logs(stack: &Stack, account: &str) -> Vec<(String, String)> {
    e2e::until("the logs tell of this story", async || {
        let target = "Logs_20140328.DescribeLogGroups";
        let groups = stack.aws("logs", target, &json!({})).await;
        let mut logs = Vec::new();
        for group in groups["logGroups"].as_array().unwrap() {
            let name = group["logGroupName"].as_str().unwrap();
            logs.push((name.to_owned(), log_of(stack, name).await));
        }
        let telling = logs.iter().filter(|(_, text)| text.contains(account));
        // Inbound, subscriptions and the consumer.
        match telling.count() {
            telling @ 0..3 => Err(format!("{telling} of {} tell of it", logs.len())),
            _ => Ok(logs),
        }
    })
    .await
}

/// The text of a log group, stream by stream: of a whole group the emulator returns the first ten thousand lines, and says
/// nothing of the others.
async fn log_of(stack: &Stack, group: &str) -> String {
    const MOST: usize = 10_000;
    let mut text = String::new();
    for stream in log_streams(stack, group).await {
        let input = json!({ "logGroupName": group, "logStreamNames": [stream] });
        let target = "Logs_20140328.FilterLogEvents";
        let page = stack.aws("logs", target, &input).await;
        let events = page["events"].as_array().unwrap();
        assert!(events.len() < MOST, "{stream} of {group} may be cut");
        for event in events {
            text.push_str(event["message"].as_str().unwrap());
            text.push('\n');
        }
    }
    text
}

async fn log_streams(stack: &Stack, group: &str) -> Vec<String> {
    let mut streams = Vec::new();
    let mut input = json!({ "logGroupName": group });
    loop {
        let target = "Logs_20140328.DescribeLogStreams";
        let page = stack.aws("logs", target, &input).await;
        let named = page["logStreams"].as_array().unwrap().iter();
        streams.extend(named.map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()));
        match page["nextToken"].as_str() {
            Some(next) => input["nextToken"] = json!(next),
            None => return streams,
        }
    }
}

/// Every file below a directory, as text.
fn log_files(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(log_files(&path));
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            files.push((path, text));
        }
    }
    files
}
