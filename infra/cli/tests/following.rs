//! `deliveries`, `trace`, `records`, `tail` and `logs` as operators give them, against a server that plays AWS.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is"
)]

mod operator;

use std::time::Duration;

use domain::identity::DeliveryId;
use domain::timestamp::Timestamp;
use operate::Exit;
use operate::loopback::{Loopback, Reply, Seen};
use operator::{assert_has, enter, give, give_to};
use orderhook::screen::Screen;
use rstest::rstest;
use serde_json::{Value, json};

/// 2026-11-20T12:00:00.123Z.
const SEEN: u64 = 1_795_176_000_123;
const BODY: &str = r#"[{"event":"order.created","data":{"order":{"id":"or_1","number":1204,"net":20.10}}},{"event":"order.updated","data":{"order":{"id":"or_2","number":1205}}},7]"#;
const DAY: [&str; 4] = [
    "--since",
    "2026-11-20T00:00Z",
    "--until",
    "2026-11-20T12:30Z",
];

fn id(number: u8) -> DeliveryId {
    let at = Timestamp::from_millis(SEEN + u64::from(number));
    DeliveryId::new(at, &[number; 10])
}

fn receipt(number: u8, attempts: u64) -> Value {
    json!({
        "pk": { "S": "acme#2026-11-20" }, "sk": { "S": id(number).to_string() }, "events": { "N": "2" },
        "attempts": { "N": attempts.to_string() }, "webhook": { "S": "wh_1" }, "proof": { "S": "signature" },
        "dataref": { "S": format!("s3://oversize/receipts/acme/{}", id(number)) },
    })
}

fn request(number: u8, attempt: u64, answer: u64) -> Value {
    let mut line = json!({
        "timestamp": "2026-11-20T12:00:00.171Z", "level": "INFO", "account": "acme", "source": "orderspace",
        "delivery": id(number).to_string(), "webhook": "wh_1", "events": 2, "bytes": 6100, "attempt": attempt,
        "answer": answer, "duration_ms": 48, "outcome": "accepted", "message": "delivery",
    });
    if answer != 200 {
        line["outcome"] = json!("refused");
        line["cause"] = json!("queue_refused");
    }
    line
}

fn event(number: u8, index: u32, subject: &str, more: &Value) -> Value {
    let mut event = json!({
        "id": format!("{}.{index:05}", id(number)), "account": "acme", "type": "order.created", "subject": subject,
        "outcome": "applied", "teams": ["sales", "warehouse"], "age_ms": 912,
    });
    let more = more.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(more);
    event
}

fn batch(events: &[Value]) -> Value {
    json!({
        "timestamp": "2026-11-20T12:00:01.035Z", "level": "INFO", "lane": "orders", "messages": events.len(), "failed": 0,
        "duration_ms": 12, "events": events, "message": "batch",
    })
}

/// A page of a log, with what other lines a log has.
fn page(lines: &[Value]) -> Reply {
    let other = ["START RequestId: 1", "{}", r#"{"message":7}"#];
    let lines = lines.iter().map(ToString::to_string);
    let lines = other.map(str::to_owned).into_iter().chain(lines);
    let event = |(index, line): (usize, String)| json!({ "eventId": index.to_string(), "timestamp": SEEN, "message": line });
    Reply::json(&json!({ "events": lines.enumerate().map(event).collect::<Vec<_>>() }))
}

fn log(aws: &Loopback, function: &str, lines: &[Value]) {
    let name = format!("{function}-log");
    aws.on_containing("logs FilterLogEvents", &name, page(lines));
}

/// A query of this partition finds these.
fn play_items(aws: &Loopback, partition: &str, items: &Value) {
    let reply = Reply::json(&json!({ "Items": items }));
    aws.on_containing("dynamodb Query", partition, reply);
}

/// No order is in the table of records.
fn play_no_record(aws: &Loopback) {
    aws.on_containing("dynamodb GetItem", "acme#order", Reply::json(&json!({})));
}

/// The first delivery's receipt points at this body.
fn play_body(aws: &Loopback, text: &str) {
    let action = format!("s3 GET /oversize/receipts/acme/{}", id(1));
    aws.on(&action, Reply::text(text));
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A stack with one delivery of two orders and one bad element, both orders applied.
async fn stack() -> Loopback {
    let aws = Loopback::start().await;
    aws.play_stack();
    let nothing = Reply::json(&json!({ "Items": [] }));
    aws.on("dynamodb Query", nothing);
    play_items(&aws, "acme#2026-11-20", &json!([receipt(1, 2)]));
    let failure = json!({ "sk": { "S": format!("{SEEN:013}#{}", id(1)) }, "cause": { "S": "queue_refused" } });
    play_items(&aws, "#strike#acme", &json!([failure]));
    let item = Reply::json(&json!({ "Item": receipt(1, 2) }));
    aws.on_containing("dynamodb GetItem", &id(1).to_string(), item);
    play_body(&aws, BODY);
    let receipts = json!({ "Responses": { "receipts": [receipt(1, 2)] } });
    aws.on("dynamodb BatchGetItem", Reply::json(&receipts));
    let records = json!([
        { "pk": { "S": "acme#order" }, "sk": { "S": "or_1" }, "event_id": { "S": format!("{}.00000", id(1)) } },
        { "pk": { "S": "acme#order" }, "sk": { "S": "or_2" }, "event_id": { "S": format!("{}.00000", id(9)) } },
    ]);
    let records = Reply::json(&json!({ "Responses": { "records": records } }));
    let of_records = r#"RequestItems":{"records"#;
    aws.on_containing("dynamodb BatchGetItem", of_records, records);
    let account = json!({
        "account": "acme", "source": "orderspace", "state": "connected", "explanation": "", "events": [], "unselected_events": [],
        "webhook": null, "rotation": null, "proof": "require", "created": "", "changed": "", "last_error": null, "suspect": null, "history": [],
    });
    aws.on("execute-api GET /v1/accounts/acme", Reply::json(&account));
    log(&aws, "inbound", &[request(1, 1, 503), request(1, 2, 200)]);
    let waits = json!({ "undelivered": ["finance"], "type": "order.updated" });
    let events = [
        event(1, 0, "order/or_1", &json!({})),
        event(1, 1, "order/or_2", &waits),
    ];
    log(&aws, "consumer", &[batch(&events)]);
    aws
}

fn list_of<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["deliveries", "list", "--account", "acme"];
    line.extend(DAY);
    line.extend(more);
    line
}

#[tokio::test]
async fn deliveries_are_listed_with_two_queries() {
    let aws = stack().await;
    let ended = give(&aws, &list_of(&[])).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    insta::assert_snapshot!("deliveries_list", ended.out);
    assert!(ended.err.contains("1 delivery"), "{}", ended.err);
    let queries = aws.seen_of("dynamodb Query");
    assert_eq!(queries.len(), 2);
    let mut bodies = queries.iter().map(|query| &query.body);
    assert!(bodies.all(|body| !body.contains("\"body")), "{queries:?}");
}

#[tokio::test]
async fn a_fast_list_asks_no_log() {
    let aws = stack().await;
    let ended = give(&aws, &list_of(&["--fast", "--json"])).await;
    let row = json_of(&ended.out);
    assert_eq!(row["delivery"], id(1).to_string());
    assert_eq!(row["answer"], "accepted");
    assert_eq!(row["attempts"], 2);
    assert_eq!(row["refused"]["queue_refused"], 1);
    assert_eq!(row["became"], Value::Null);
    assert!(aws.seen_of("logs FilterLogEvents").is_empty());
}

#[tokio::test]
async fn a_delivery_whose_every_attempt_was_refused_comes_again() {
    let aws = stack().await;
    let receipts = json!([receipt(1, 1), { "sk": { "S": "no id" } }, {}]);
    play_items(&aws, "acme#2026-11-20", &receipts);
    log(&aws, "inbound", &[]);
    log(&aws, "consumer", &[]);
    let ended = give(&aws, &list_of(&[])).await;
    insta::assert_snapshot!("deliveries_refused", ended.out);
}

#[tokio::test]
async fn pages_and_days_are_read_as_they_are_needed() {
    let aws = stack().await;
    let more = json!({ "Items": [receipt(2, 1)], "LastEvaluatedKey": { "pk": { "S": "acme#2026-11-20" }, "sk": { "S": id(2).to_string() } } });
    let rest = json!({ "Items": [receipt(1, 2)] });
    let pages = [more, rest].map(|page| Reply::json(&page));
    aws.on_each("dynamodb Query", "acme#2026-11-20", pages);
    let two_days =
        "deliveries list --account acme --fast --since 2026-11-19T00:00Z --until 2026-11-20T13:00Z";
    let ended = enter(&aws, two_days).await;
    assert_eq!(ended.out.lines().count(), 3, "{}", ended.out);
    let queries = aws.seen_of("dynamodb Query");
    assert_eq!(queries.len(), 4, "two pages, one more day, failures once");
    let goes_on = |query: &Seen| query.body.contains("ExclusiveStartKey");
    assert!(queries.iter().any(goes_on));
    assert!(queries.last().unwrap().body.contains("acme#2026-11-19"));

    let limited = enter(&aws, &format!("{two_days} --limit 1")).await;
    assert_eq!(limited.out.lines().count(), 2);
    let older = "older: orderhook deliveries list --account acme";
    assert_has(&limited.err, &[older, "--until 2026-11-20T12:00:00.12"]);
}

/// As many as a page takes, and more behind them for ever.
#[tokio::test]
async fn the_first_page_costs_two_queries_however_large_the_day_and_the_failures() {
    let aws = stack().await;
    let receipts: Vec<Value> = (0..50).rev().map(|number| receipt(number, 1)).collect();
    let more = json!({ "Items": receipts, "LastEvaluatedKey": { "pk": receipts[49]["pk"], "sk": receipts[49]["sk"] } });
    aws.on_containing("dynamodb Query", "acme#2026-11-20", Reply::json(&more));
    let key =
        |number: u8| json!({ "S": format!("{:013}#{}", SEEN + u64::from(number), id(number)) });
    let failure = json!({ "sk": key(40), "cause": { "S": "queue_refused" } });
    let failures = json!({ "Items": [failure], "LastEvaluatedKey": { "pk": { "S": "#strike#acme" }, "sk": key(7) } });
    aws.on_containing("dynamodb Query", "#strike#acme", Reply::json(&failures));
    let ended = give(&aws, &list_of(&["--fast", "--json"])).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert_eq!(ended.out.lines().count(), 50, "{}", ended.out);
    let queries = aws.seen_of("dynamodb Query");
    assert_eq!(queries.len(), 2, "{queries:?}");
    let queries = queries.iter().map(|query| json_of(&query.body));
    let limits = queries.map(|query| json!([query["Limit"], query["ScanIndexForward"]]));
    let latest_of_each = [json!([50, false]), json!([1000, false])];
    assert_eq!(limits.collect::<Vec<_>>(), latest_of_each);
    let older = "older: orderhook deliveries list";
    let uncounted = "before 2026-11-20T12:00:00.130Z are not counted";
    assert_has(&ended.err, &["50 deliveries", older, uncounted]);
}

#[tokio::test]
async fn a_delivery_is_shown_with_a_warning_by_a_command_of_another_release() {
    let aws = stack().await;
    let delivery = id(1).to_string();
    let line = ["deliveries", "show", &delivery];
    assert_eq!(give(&aws, &line).await.err, "");
    for (version, named) in [("9.9.9", "release 9.9.9"), ("0.1.0", "release 0.1.0")] {
        aws.play_release(version);
        let ended = give(&aws, &line).await;
        assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
        assert!(ended.out.contains("or_1"), "{}", ended.out);
        assert!(ended.err.contains(named), "{}", ended.err);
    }
}

/// More deliveries of one record than are looked at: the latest are shown, with the line that shows the others.
#[tokio::test]
async fn a_trace_says_how_many_earlier_deliveries_it_leaves_out() {
    let aws = stack().await;
    let lines: Vec<Value> = (1..=53)
        .map(|number| {
            let mut line = batch(&[event(number, 0, "order/or_1", &json!({}))]);
            line["timestamp"] = json!(format!("2026-11-20T12:00:{number:02}.000Z"));
            line
        })
        .collect();
    log(&aws, "consumer", &lines);
    play_no_record(&aws);
    let ended = enter(&aws, "trace order/or_1 --json").await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let traced = json_of(&ended.out);
    assert_eq!(traced["steps"].as_array().unwrap().len(), 50);
    assert_eq!(traced["steps"][0]["event"], format!("{}.00000", id(4)));
    let earlier = json!({ "deliveries": 3, "until": "2026-11-20T12:00:04.000Z" });
    assert_eq!(traced["earlier"], earlier);
    let others = "orderhook trace order/or_1 --account acme --since ";
    let until = "--until 2026-11-20T12:00:04.000Z";
    assert_has(&ended.err, &["3 deliveries", others, until]);
    log(&aws, "consumer", &lines[..50]);
    let ended = enter(&aws, "trace order/or_1 --json").await;
    let traced = json_of(&ended.out);
    assert_eq!(traced["steps"].as_array().unwrap().len(), 50);
    assert_eq!(traced["earlier"], Value::Null);
    assert_eq!(ended.err, "");
}

#[tokio::test]
async fn deliveries_of_all_accounts_are_read_from_the_log() {
    let aws = stack().await;
    let ended = give(&aws, &["deliveries", "list"]).await;
    assert_eq!(ended.out.lines().count(), 2, "{}", ended.out);
    assert_has(&ended.out, &["refused  2 events  queue_refused"]);
    assert!(aws.seen_of("dynamodb Query").is_empty());
    let ended = enter(&aws, "deliveries list --limit 1 --until 0s").await;
    let later =
        "1 delivery; later: orderhook deliveries list --since 2026-11-20T12:00:00.171Z --until 0s";
    assert_eq!(ended.out.lines().count(), 1);
    assert_eq!(ended.err.trim_end(), later);
}

#[tokio::test]
async fn a_delivery_is_shown_with_its_events_and_records() {
    let aws = stack().await;
    let delivery = id(1).to_string();
    let ended = give(&aws, &["deliveries", "show", &delivery]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    insta::assert_snapshot!("deliveries_show", ended.out);
    let ended = give(&aws, &["deliveries", "show", &delivery, "--json"]).await;
    let shown = json_of(&ended.out);
    assert_eq!(shown["account"], "acme", "by the log");
    assert_eq!(shown["events"][0]["record"], "current");
    assert_eq!(shown["events"][1]["record"], "later");
    let bad = json!([{ "index": 2, "reason": "element_not_an_object" }]);
    assert_eq!(shown["bad"], bad);
    assert_eq!(shown["events"][1]["fate"]["waiting"], json!(["finance"]));
    assert!(!ended.out.contains("20.10"), "no record is shown");
}

#[tokio::test]
async fn a_body_in_which_nothing_is_recognised_is_shown_as_such() {
    let aws = stack().await;
    play_body(&aws, r#"{"hello":1}"#);
    let line = format!("deliveries show {} --account acme", id(1));
    let ended = enter(&aws, &line).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains("quarantine"), "{}", ended.out);
}

#[tokio::test]
async fn raw_prints_bytes_and_nothing_else() {
    let aws = stack().await;
    let delivery = id(1).to_string();
    let line = ["deliveries", "raw", &delivery, "--account", "acme"];
    let ended = give(&aws, &line).await;
    assert_eq!((ended.out.as_str(), ended.err.as_str()), (BODY, ""));
    let ended = give(&aws, &[&line[..], &["--json"]].concat()).await;
    assert_eq!(ended.out, BODY);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let ended = give(&aws, &[&line[..], &["-o", path]].concat()).await;
    assert_eq!(ended.exit, Exit::Done);
    assert_eq!(std::fs::read_to_string(path).unwrap(), BODY);
    assert!(!ended.out.contains("or_1"));
}

#[tokio::test]
async fn a_terminal_gets_no_bytes_that_are_no_text() {
    let aws = stack().await;
    let delivery = id(1).to_string();
    let line = ["deliveries", "raw", &delivery, "--account", "acme"];
    let ended = give_to(&aws, &line, Screen::as_terminal).await;
    assert_eq!(ended.out, BODY, "text is printed");
    play_body(&aws, "a\u{1b}[2Jb");
    let ended = give_to(&aws, &line, Screen::as_terminal).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Exit::Usage, ""));
    assert!(ended.err.contains("--force"), "{}", ended.err);
    let piped = give(&aws, &line).await;
    assert_eq!(piped.out, "a\u{1b}[2Jb", "a pipe takes everything");
    let forced = [&line[..], &["--force"]].concat();
    let ended = give_to(&aws, &forced, Screen::as_terminal).await;
    assert_eq!(ended.out, "a\u{1b}[2Jb");
}

#[tokio::test]
async fn a_delivery_that_is_not_there_is_not_found() {
    let aws = stack().await;
    aws.on("dynamodb GetItem", Reply::json(&json!({})));
    let other = id(7).to_string();
    let known = ["deliveries", "raw", &other, "--account", "acme"];
    let ended = give(&aws, &known).await;
    assert_eq!(ended.exit, Exit::NotFound);
    assert!(ended.err.contains("kept for 30 days"), "{}", ended.err);
    let ended = give(&aws, &["deliveries", "show", &other]).await;
    assert_eq!(ended.exit, Exit::NotFound);
    assert!(ended.err.contains("--account"), "{}", ended.err);
}

#[tokio::test]
async fn a_record_is_traced() {
    let aws = stack().await;
    let record = json!({ "Item": { "sk": { "S": "or_2" }, "event_id": { "S": format!("{}.00001", id(1)) }, "deleted": { "BOOL": false } } });
    play_no_record(&aws);
    aws.on_containing("dynamodb GetItem", "or_2", Reply::json(&record));
    let line = "trace order/or_2 --account acme --since 2026-11-20";
    let ended = enter(&aws, line).await;
    assert_eq!(ended.exit, Exit::Left, "an event waits: {}", ended.err);
    let out = ended.out.replace(&id(1).to_string(), "{delivery}");
    insta::assert_snapshot!("trace_record", out);
    let logs = aws.seen_of("logs FilterLogEvents").len();
    let tables = aws.seen_of("dynamodb GetItem").len() + aws.seen_of("dynamodb BatchGetItem").len();
    assert_eq!((logs, tables), (2, 2));
    // The log says whose it is.
    let whose = give(&aws, &["trace", "order/or_1"]).await;
    assert_eq!(whose.exit, Exit::Done, "{}", whose.err);
    assert!(whose.out.contains("acme"), "{}", whose.out);
    assert!(!whose.out.contains("or_2"), "{}", whose.out);
}

#[tokio::test]
async fn an_event_and_a_delivery_are_traced_by_their_ids() {
    let aws = stack().await;
    play_no_record(&aws);
    let event = format!("{}.00000", id(1));
    let ended = give(&aws, &["trace", &event, "--json"]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let traced = json_of(&ended.out);
    assert_eq!(traced["steps"].as_array().unwrap().len(), 1);
    let step = &traced["steps"][0];
    assert_eq!(step["came"]["refused"]["queue_refused"], 1);
    assert_eq!(step["fate"]["teams"], json!(["sales", "warehouse"]));
    let delivery = id(1).to_string();
    let ended = give(&aws, &["trace", &delivery, "--json"]).await;
    let traced = json_of(&ended.out);
    assert_eq!(traced["steps"].as_array().unwrap().len(), 2);
    assert_eq!(traced["waiting"], json!({ "finance": 1 }));
}

#[tokio::test]
async fn what_the_logs_forgot_is_told_from_receipts_and_records() {
    let aws = stack().await;
    log(&aws, "inbound", &[]);
    log(&aws, "consumer", &[]);
    play_no_record(&aws);
    let delivery = id(1).to_string();
    let ended = give(&aws, &["trace", &delivery, "--account", "acme"]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let known = "not in the log; its record: as this event says";
    assert_has(&ended.out, &[known]);
    let missing = format!("trace {delivery}.00009 --account acme");
    assert_eq!(enter(&aws, &missing).await.exit, Exit::NotFound);
    assert_eq!(give(&aws, &["trace", &delivery]).await.exit, Exit::NotFound);
}

#[tokio::test]
async fn an_order_is_found_by_its_number() {
    let aws = stack().await;
    let data = |number: &str| json!({ "M": { "number": { "N": number } } });
    let first = json!({ "Items": [{ "sk": { "S": "or_9" }, "data": data("9") }], "LastEvaluatedKey": { "sk": { "S": "or_9" } } });
    let second = json!({ "Items": [{ "sk": { "S": "or_1" }, "data": data("1204") }] });
    let pages = [first, second].map(|page| Reply::json(&page));
    aws.on_each("dynamodb Query", "acme#order", pages);
    play_no_record(&aws);
    let ended = enter(&aws, "trace 1204 --account acme").await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert_has(&ended.out, &["order/or_1", "2 records"]);
    let ended = enter(&aws, "trace 9999 --account acme").await;
    assert_eq!(ended.exit, Exit::NotFound);
    let ended = give(&aws, &["trace", "1204"]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains("--account"), "{}", ended.err);
}

#[rstest]
#[case::map(json!({ "data": { "M": { "net": { "N": "20.10" }, "id": { "S": "or_1" } } } }))]
#[case::stored(json!({ "dataref": { "S": "s3://oversize/records/1" } }))]
#[tokio::test]
async fn a_record_is_printed_alike_in_every_form(#[case] form: Value) {
    let aws = stack().await;
    let stored = Reply::text(r#"{"id":"or_1","net":20.10}"#);
    aws.on("s3 GET /oversize/records/1", stored);
    let mut item = json!({ "sk": { "S": "or_1" }, "event_id": { "S": "e" }, "event_type": { "S": "order.created" } });
    item.as_object_mut()
        .unwrap()
        .extend(form.as_object().unwrap().clone());
    aws.on("dynamodb GetItem", Reply::json(&json!({ "Item": item })));
    let ended = enter(&aws, "records get order or_1 --account acme").await;
    assert_eq!(ended.out, "{\n  \"id\": \"or_1\",\n  \"net\": 20.10\n}\n");
    assert!(ended.err.contains("order.created"), "{}", ended.err);
    let ended = enter(&aws, "records get order/or_1 --account acme --json").await;
    let out = ended.out;
    assert!(out.contains("20.10"), "no number is read: {out}");
}

#[tokio::test]
async fn a_record_of_another_bucket_is_not_followed() {
    let aws = stack().await;
    let item = json!({ "sk": { "S": "or_1" }, "dataref": { "S": "s3://elsewhere/records/1" } });
    aws.on("dynamodb GetItem", Reply::json(&json!({ "Item": item })));
    let ended = give(&aws, &["records", "get", "order/or_1", "--account", "acme"]).await;
    assert_eq!(ended.exit, Exit::Left);
    aws.on("dynamodb GetItem", Reply::json(&json!({})));
    let ended = give(&aws, &["records", "get", "order/or_1", "--account", "acme"]).await;
    assert_eq!(ended.exit, Exit::NotFound);
}

#[tokio::test]
async fn records_are_listed_by_what_they_say() {
    let aws = stack().await;
    let item = |id: &str, status: &str| json!({ "sk": { "S": id }, "received_at": { "S": "2026-11-20T12:00:00.123Z" }, "event_type": { "S": "order.created" }, "data": { "M": { "status": { "S": status } } } });
    let first = json!({ "Items": [item("or_1", "new"), item("or_2", "old")], "LastEvaluatedKey": { "sk": { "S": "or_2" } } });
    let second = json!({ "Items": [item("or_3", "new"), { "sk": { "S": "or_4" }, "deleted": { "BOOL": true } }] });
    let both = || [Reply::json(&first), Reply::json(&second)];
    aws.on_each("dynamodb Query", "acme#order", both());
    let line = ["records", "list", "order", "--account", "acme"];
    let ended = give(&aws, &[&line[..], &["--where", "status=new"]].concat()).await;
    insta::assert_snapshot!("records_list", ended.out);
    assert!(ended.err.contains("2 records of 4 read"), "{}", ended.err);
    aws.on_each("dynamodb Query", "acme#order", both());
    let ended = give(&aws, &line).await;
    assert_has(&ended.out, &["or_4", "deleted"]);
    let queries = aws.seen_of("dynamodb Query");
    assert_has(&queries.last().unwrap().body, &["ProjectionExpression"]);
    let ended = give(&aws, &[&line[..], &["--where", "status"]].concat()).await;
    assert_eq!(ended.exit, Exit::Usage);
}

#[tokio::test]
async fn a_history_shows_what_each_event_changed() {
    let aws = stack().await;
    let both = r#"[{"event":"order.created","data":{"order":{"id":"or_1","net":20.10}}},{"event":"order.updated","data":{"order":{"id":"or_1","net":21.50}}}]"#;
    play_body(&aws, both);
    let updated = json!({ "type": "order.updated" });
    let events = [
        event(1, 0, "order/or_1", &json!({})),
        event(1, 1, "order/or_1", &updated),
    ];
    log(&aws, "consumer", &[batch(&events)]);
    play_no_record(&aws);
    let ended = enter(&aws, "records history order/or_1 --account acme").await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let out = ended.out.replace(&id(1).to_string(), "{delivery}");
    insta::assert_snapshot!("records_history", out);
}

#[tokio::test]
async fn a_tail_shows_every_event_once() {
    let aws = stack().await;
    let ended = enter(&aws, "tail --since 2026-11-20 --for 1s").await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let looks = aws.seen_of("logs FilterLogEvents");
    assert!(looks.len() >= 4, "two looks at two logs");
    insta::assert_snapshot!("tail", ended.out);
    let last = json_of(&looks.last().unwrap().body);
    assert_eq!(last["startTime"], SEEN - 10_000, "ten seconds of overlap");
    let taken = [
        "sqs ReceiveMessage",
        "sqs DeleteMessage",
        "dynamodb BatchGetItem",
    ];
    assert!(taken.iter().all(|action| aws.seen_of(action).is_empty()));
}

#[rstest]
#[case(&["--team", "sales"], &["or_1", "or_2"], &["refused"])]
#[case(&["--types", "order.updated"], &["or_2", "refused"], &["or_1"])]
#[case(&["--types", "product.*,order.cr*"], &["or_1"], &["or_2"])]
#[case(&["--account", "beau"], &[], &["or_1", "or_2", "refused"])]
#[tokio::test]
async fn a_tail_of_some(#[case] wanted: &[&str], #[case] shown: &[&str], #[case] hidden: &[&str]) {
    let aws = stack().await;
    let line = [&["tail", "--since", "2026-11-20", "--for", "0s"], wanted].concat();
    let out = give(&aws, &line).await.out;
    assert_has(&out, shown);
    assert!(!hidden.iter().any(|word| out.contains(word)), "{out}");
}

#[rstest]
#[case(&["--team", "nobody"], Exit::NotFound)]
#[case(&["--since", "yesterday"], Exit::Usage)]
#[case(&["--for", "long"], Exit::Usage)]
#[case(&["--types", ""], Exit::Usage)]
#[case(&["--account", "Acme!"], Exit::Usage)]
#[case(&["--forward", "http://example.com/"], Exit::Usage)]
#[tokio::test]
async fn a_tail_that_cannot_be(#[case] wanted: &[&str], #[case] exit: Exit) {
    let aws = stack().await;
    let ended = give(&aws, &[&["tail"], wanted].concat()).await;
    assert_eq!(ended.exit, exit, "{}", ended.err);
    assert!(aws.seen_of("logs FilterLogEvents").is_empty());
}

#[tokio::test]
async fn a_tail_shows_data_from_receipts() {
    let aws = stack().await;
    let line = "tail --since 2026-11-20 --for 0s --show-data --json";
    let out = enter(&aws, line).await.out;
    let lines: Vec<Value> = out.lines().map(json_of).collect();
    assert_eq!(lines.len(), 3, "one refused delivery, two events: {out}");
    let is_first = |line: &Value| line["data"]["id"] == "or_1";
    assert!(lines.iter().any(is_first), "{out}");
    assert!(out.contains("20.10"), "no number is read: {out}");
    assert_eq!(aws.seen_of("dynamodb BatchGetItem").len(), 1);
    assert_eq!(aws.seen_of("execute-api GET /v1/accounts").len(), 1);
}

#[tokio::test]
async fn events_are_forwarded_to_this_machine_and_failures_end_nothing() {
    let aws = stack().await;
    let developer = Loopback::start().await;
    let url = format!("{}/events", developer.endpoint());
    let answers = [Reply::status(500, "no"), Reply::status(204, "")];
    developer.on_each("unsigned POST /events", "", answers);
    let line = "tail --since 2026-11-20 --for 0s --forward";
    let ended = enter(&aws, &format!("{line} {url}")).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let posted = developer.seen_of("unsigned POST /events");
    assert_eq!(posted.len(), 2);
    let envelope = domain::envelope::Envelope::parse(&posted[0].body).unwrap();
    assert_eq!(envelope.id.to_string(), format!("{}.00000", id(1)));
    let data = r#""data":{"id":"or_1","number":1204,"net":20.10}"#;
    assert_has(&posted[0].body, &[data]);
    assert!(ended.err.contains("answered 500"), "{}", ended.err);
    let is_printed = ended.out.contains("20.10");
    assert!(!is_printed, "data is not printed unless it is asked for");
    let ended = enter(&aws, &format!("{line} http://127.0.0.1:9/")).await;
    assert_eq!(ended.exit, Exit::Done);
    assert!(ended.err.contains("does not answer"), "{}", ended.err);
}

#[tokio::test]
async fn a_tail_survives_logs_that_do_not_answer_and_not_a_missing_permission() {
    let aws = stack().await;
    let busy = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
    let busy = Reply::status(400, busy);
    let last = page(&[request(1, 1, 503)]);
    let replies = [busy.clone(), busy.clone(), busy, last];
    aws.on_each("logs FilterLogEvents", "inbound-log", replies);
    let line = ["tail", "--since", "2026-11-20", "--for", "1s"];
    let ended = tokio::time::timeout(Duration::from_secs(30), give(&aws, &line));
    let ended = ended.await.unwrap();
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.err.contains("slower now: every 4 s"), "{}", ended.err);
    assert_has(&ended.out, &["or_1", "was refused"]);
    let denied = Reply::status(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    aws.on("logs FilterLogEvents", denied);
    let ended = give(&aws, &line).await;
    assert_eq!(ended.exit, Exit::Denied);
    assert!(ended.err.contains("logs:FilterLogEvents"), "{}", ended.err);
}

#[tokio::test]
async fn logs_are_printed_by_the_name_of_a_function() {
    let aws = stack().await;
    let warning = json!({ "timestamp": "2026-11-20T12:00:00.123Z", "level": "WARN", "message": "a queue refuses", "lane": "orders" });
    log(&aws, "consumer", &[batch(&[]), warning.clone()]);
    let ended = give(&aws, &["logs", "consumer", "--troubles"]).await;
    insta::assert_snapshot!("logs", ended.out);
    let line = ["logs", "consumer", "--filter", "a queue refuses", "--json"];
    let ended = give(&aws, &line).await;
    assert_eq!(json_of(&ended.out), warning);
    let ended = give(&aws, &["logs", "consumer", "--limit", "1"]).await;
    assert_eq!(ended.out, "START RequestId: 1\n");
    assert!(ended.err.contains("--limit"), "{}", ended.err);
    log(&aws, "subscriptions", &[]);
    let ended = give(&aws, &["logs", "--filter", "queue_refused"]).await;
    assert!(ended.out.contains("inbound"), "{}", ended.out);
    assert!(!ended.out.contains("consumer"), "{}", ended.out);
}

#[rstest]
#[case(&["deliveries", "list", "--account", "acme", "--since", "2026-11-20", "--until", "2026-11-20T13:00Z"])]
#[case(&["records", "list", "order", "--account", "acme"])]
#[case(&["tail", "--since", "2026-11-20"])]
#[case(&["logs"])]
#[case(&["trace", "order/or_1"])]
#[tokio::test]
async fn a_closed_pipe_is_a_quiet_end(#[case] line: &[&str]) {
    let aws = stack().await;
    play_items(&aws, "acme#order", &json!([{ "sk": { "S": "or_1" } }]));
    play_no_record(&aws);
    log(&aws, "subscriptions", &[]);
    let ending = give_to(&aws, line, Screen::as_closed);
    let ended = tokio::time::timeout(Duration::from_secs(20), ending);
    let ended = ended.await.unwrap();
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert_eq!(ended.out, "");
    assert!(!ended.err.contains("pipe"), "{}", ended.err);
}

#[rstest]
#[case(&["deliveries", "show", "no-id"])]
#[case(&["deliveries", "list", "--since", "1h", "--until", "2h"])]
#[case(&["deliveries", "list", "--account", "Acme!"])]
#[case(&["records", "get", "order", "--account", "acme"])]
#[case(&["trace", " "])]
#[case(&["logs", "--since", "soon"])]
#[tokio::test]
async fn a_command_line_that_cannot_be_right_asks_nobody(#[case] line: &[&str]) {
    let aws = stack().await;
    let ended = give(&aws, line).await;
    assert_eq!(ended.exit, Exit::Usage, "{}", ended.err);
    assert!(aws.seen().is_empty());
}

#[rstest]
#[case("dynamodb Query", &["deliveries", "list", "--account", "acme"], "dynamodb:Query")]
#[case("dynamodb GetItem", &["records", "get", "order/or_1", "--account", "acme"], "dynamodb:GetItem")]
#[case("logs FilterLogEvents", &["trace", "order/or_1"], "logs:FilterLogEvents")]
#[case("logs FilterLogEvents", &["logs", "inbound"], "logs:FilterLogEvents")]
#[tokio::test]
async fn a_missing_permission_is_named(
    #[case] action: &str,
    #[case] line: &[&str],
    #[case] permission: &str,
) {
    let aws = stack().await;
    let denied = Reply::status(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    aws.on(action, denied);
    let ended = give(&aws, line).await;
    assert_eq!(ended.exit, Exit::Denied);
    assert!(ended.err.contains(permission), "{}", ended.err);
}
