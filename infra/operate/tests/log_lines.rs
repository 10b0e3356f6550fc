//! Searches in logs, against a server that plays CloudWatch Logs.

#![allow(clippy::unwrap_used, reason = "a test stops where it is")]

use domain::timestamp::Timestamp;
use operate::loopback::{Loopback, Reply};
use operate::when::Window;
use operate::{Error, log_lines};
use rstest::rstest;
use serde_json::{Value, json};

fn window() -> Window {
    Window {
        from: Timestamp::from_millis(1_000_500),
        to: Timestamp::from_millis(9_000_000),
    }
}

fn phrases(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn row(line: &str) -> Value {
    json!([{ "field": "@ptr", "value": "?" }, { "field": "@message", "value": line }])
}

#[tokio::test]
async fn insights_are_asked_once_and_waited_for() {
    let aws = Loopback::start().await;
    aws.on("logs StartQuery", Reply::json(&json!({ "queryId": "q1" })));
    let running = json!({ "status": "Running", "results": [row("a part")] });
    let complete = json!({ "status": "Complete", "results": [row("one"), [], row("two")] });
    let results = [running, complete].map(|result| Reply::json(&result));
    aws.on_each("logs GetQueryResults", "q1", results);
    let asked = phrases(&["order/or_1", "a\"b\\c"]);
    let found = log_lines::ask(&aws.calls(), "inbound-log", &asked, window()).await;
    let found = found.unwrap();
    assert_eq!(found.lines, ["one", "two"]);
    assert!(found.is_complete);
    let query: Value = serde_json::from_str(&aws.seen_of("logs StartQuery")[0].body).unwrap();
    assert_eq!(
        query["queryString"],
        r#"fields @message | filter @message like "order/or_1" or @message like "a\"b\\c" | sort @timestamp asc"#
    );
    assert_eq!(query["startTime"], 1000);
    assert_eq!(query["endTime"], 9001);
}

#[rstest]
#[case("Failed")]
#[case("Cancelled")]
#[case("Timeout")]
#[tokio::test]
async fn a_query_that_ends_otherwise_is_an_error(#[case] status: &str) {
    let aws = Loopback::start().await;
    aws.on("logs StartQuery", Reply::json(&json!({ "queryId": "q1" })));
    let ended = json!({ "status": status });
    aws.on("logs GetQueryResults", Reply::json(&ended));
    let error = log_lines::ask(&aws.calls(), "g", &phrases(&["x"]), window()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains(status), "{error}");
}

#[tokio::test]
async fn pages_are_read_to_their_end_and_a_line_is_found_once() {
    let aws = Loopback::start().await;
    let line = |at: i64, text: &str| json!({ "timestamp": at, "message": text });
    let first = json!({ "events": [line(5, "b"), line(5, "a")], "nextToken": "t1" });
    let empty = json!({ "events": [], "nextToken": "t2" });
    let last = json!({ "events": [line(3, "c")] });
    let pages = [first, empty, last].map(|page| Reply::json(&page));
    aws.on_each("logs FilterLogEvents", "one", pages);
    let other = json!({ "events": [line(5, "a"), line(9, "d")] });
    aws.on_containing("logs FilterLogEvents", "other", Reply::json(&other));
    let asked = phrases(&["one", "other"]);
    let found = log_lines::find(&aws.calls(), "g", &asked, window()).await;
    let found = found.unwrap();
    assert_eq!(found.lines, ["c", "b", "a", "d"]);
    assert!(found.is_complete);
    let asked = || aws.seen_of("logs FilterLogEvents").len();
    assert_eq!(asked(), 4);
    let nothing = log_lines::find(&aws.calls(), "g", &[], window()).await;
    let nothing = nothing.unwrap();
    assert!(nothing.lines.is_empty() && nothing.is_complete);
    assert_eq!(asked(), 4, "nothing is asked");
}

#[tokio::test]
async fn a_log_that_never_ends_is_read_so_far() {
    let aws = Loopback::start().await;
    let page = |token: &str| Reply::json(&json!({ "events": [], "nextToken": token }));
    let pages: Vec<Reply> = (0..60).map(|number| page(&number.to_string())).collect();
    aws.on_each("logs FilterLogEvents", "", pages);
    let found = log_lines::find(&aws.calls(), "g", &phrases(&["x"]), window()).await;
    assert!(!found.unwrap().is_complete);
    assert_eq!(aws.seen_of("logs FilterLogEvents").len(), 40);
}
