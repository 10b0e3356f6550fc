//! The answers, row by row as the code has them in one table: what Orderspace is told, and what is kept.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::time::{Duration, Instant};

use domain::account::TokenStatus;
use e2e::proxy::{Call, Fault, Rule};
use e2e::world::{Answer, World};
use rstest::rstest;
use testkit::delivery::delivery;
use testkit::signing::{OTHER_SIGNING_KEY, SIGNATURE_HEADER, sign, sign_in_hex};

const SEND: &str = "sqs:SendMessageBatch";

fn one_order(id: &str) -> Vec<u8> {
    let record = format!(r#"{{"id":"{id}","number":7}}"#);
    delivery().event("order.created", &record).body()
}

/// The headers that differ from one request to the next.
const OF_ONE_REQUEST: [&str; 5] = [
    "date",
    "apigw-requestid",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-amz-id-2",
];

/// Answers with nothing that differs from one request to the next.
fn shape(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let mut headers = answer.headers.clone();
    for name in OF_ONE_REQUEST {
        headers.remove(name);
    }
    let headers = headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    (answer.status, answer.body.clone(), headers)
}

/// The answer to the next call about the account that sends to such a queue is lost.
async fn lose_an_answer(world: &World, queue: &str) {
    let rule = Rule::new(Fault::WorkThenDrop)
        .operation(SEND)
        .resource(queue)
        .contains(&world.account);
    world.disturb_by(rule.times(1)).await;
}

/// Whether a call may have changed anything.
fn is_write(call: &&Call) -> bool {
    let reads = ["GetItem", "GetSecretValue", "Query", "s3:GET"];
    !reads.iter().any(|read| call.operation.ends_with(read))
}

#[tokio::test]
// requirement: unauthenticated-answer
async fn unauthenticated_requests_get_one_answer_and_leave_no_trace() {
    let world = World::planted().await;
    let disconnected = World::planted().await;
    disconnected.set_token(TokenStatus::Retired).await;
    let body = one_order(&format!("or_{}", world.account));
    let good = sign(world.key(), &body);
    let unknown = domain::account::UrlToken::from_random(&[7; 32]);

    // The record's id stands in the body: whatever call were made for an unauthenticated request delivery would name it.
    let watch = world.watch(&format!("or_{}", world.account)).await;
    let of_account = world.watch(&world.account).await;

    let nowhere = unknown.expose();
    let its_part = format!("{nowhere}/part");
    let elsewhere = world.url().replace("/orderspace/", "/elsewhere/");
    let of_disconnected = sign(disconnected.key(), &body);
    let by_another_key = sign(OTHER_SIGNING_KEY, &body);
    let of_another_body = sign(world.key(), b"[]");
    let in_hex = sign_in_hex(world.key(), &body);
    let cases: [(&str, String, &[&str]); 11] = [
        ("an unknown token", world.url_of(nowhere), &[&good]),
        ("no token at all", world.url_of("short"), &[&good]),
        ("a part behind it", world.url_of(&its_part), &[&good]),
        ("another source", elsewhere, &[&good]),
        ("disconnected", disconnected.url(), &[&of_disconnected]),
        ("no signature", world.url(), &[]),
        ("an empty signature", world.url(), &[""]),
        ("another key", world.url(), &[&by_another_key]),
        ("another body", world.url(), &[&of_another_body]),
        ("hexadecimal digits", world.url(), &[&in_hex]),
        ("two signatures", world.url(), &[&good, &good]),
    ];
    let mut shapes = Vec::new();
    for (what, url, signatures) in &cases {
        let headers = signatures
            .iter()
            .map(|signature| (SIGNATURE_HEADER, *signature));
        let headers: Vec<_> = headers.collect();
        let answer = world.request(url, &body, &headers).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        shapes.push((what, shape(&answer)));
    }
    let (_, first) = &shapes[0];
    for (what, other) in &shapes {
        assert_eq!(other, first, "{what} is distinguished");
    }

    let calls = watch.settled().await;
    assert_eq!(
        calls,
        [],
        "something was done for an unauthenticated request"
    );
    let calls = of_account.settled().await;
    of_account.end().await;
    // Some of them know the token and prove nothing. Together they ask for one check of the account, which each instance
    // of inbound claims before; what the check does is on the accounts table.
    let (receipts, accounts) = (
        world.stack.output("ReceiptsTable"),
        world.stack.output("AccountsTable"),
    );
    let writes = calls.iter().filter(is_write);
    let (asked, others): (Vec<_>, Vec<_>) = writes
        .filter(|call| call.resource != accounts)
        .partition(|call| call.resource.contains("CheckQueue"));
    assert_eq!(asked.len(), 1, "{asked:?} {others:?}");
    let is_claim = |call: &&Call| call.operation == "dynamodb:PutItem" && call.resource == receipts;
    assert!(others.iter().all(is_claim), "{others:?}");
    // The proof that the watches see anything: the same body, signed well.
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    let calls = watch.settled().await;
    watch.end().await;
    assert!(calls.iter().any(|call| call.operation == SEND), "{calls:?}");
}

#[tokio::test]
async fn a_url_may_have_one_part_behind_the_token() {
    let world = World::planted().await;
    let body = one_order("or_1");
    let signature = sign(world.key(), &body);
    let headers = [(SIGNATURE_HEADER, signature.as_str())];
    let post = async |behind: &str| {
        let url = format!("{}{behind}", world.url());
        world.request(&url, &body, &headers).await
    };
    // The gateway itself answers where there is no route.
    assert_eq!(post("/part/of-a-part").await.status, 404);
    let answer = post("/part").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "accepted"));
    assert_eq!(world.stack.receipts(&world.account).await.len(), 1);
}

#[tokio::test]
// requirement: durable-counted
async fn a_verified_delivery_is_accepted_with_its_receipt() {
    let world = World::planted().await;
    let body = one_order("or_1");
    let answer = world.post(&body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "accepted"));
    let receipts = world.stack.receipts(&world.account).await;
    assert_eq!(receipts.len(), 1);
    assert_eq!((receipts[0].events, receipts[0].attempts), (1, 1));
    assert_eq!(receipts[0].body, body);
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_1");
    assert!(world.stack.failures(&world.account).await.is_empty());
    assert!(world.stack.markers(&world.account).await.is_empty());
}

#[tokio::test]
// requirement: verbatim-unknown-type
async fn an_unknown_type_is_forwarded_by_the_lane_for_others() {
    let world = World::planted().await;
    let watch = world.watch(&world.account).await;
    let quote = delivery().event("quote.accepted", r#"{"id":"qu_1","new":true}"#);
    assert_eq!(world.deliver(&quote.body()).await.last(), Some(&200));
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].event_type, "quote.accepted");
    assert_eq!(events[0].subject, "quote/qu_1");
    let calls = watch.settled().await;
    watch.end().await;
    let lane = world.stack.output("OtherQueueUrl");
    let is_sent = |call: &Call| call.operation == SEND && call.resource == lane;
    assert!(calls.iter().any(is_sent), "{calls:?}");
    assert!(world.record("quote", "qu_1").await.is_some());
}

#[rstest]
#[case::not_json(b"order".as_slice(), "not_json")]
#[case::no_list(b"{}".as_slice(), "no_event_list")]
#[tokio::test]
// requirement: durable-quarantine
async fn what_is_not_understood_is_accepted_and_quarantined(
    #[case] body: &[u8],
    #[case] reason: &str,
) {
    let world = World::planted().await;
    assert_eq!(world.post(body).await.status, 200);
    let message = world.quarantined(1).await.remove(0);
    assert_eq!(message.reason.as_deref(), Some(reason));
    assert_eq!(world.quarantined_body(&message).await, body);
}

#[tokio::test]
// requirement: durable-quarantine
async fn a_quarantine_message_whose_answer_was_lost_is_sent_again_with_the_same_body() {
    let world = World::planted().await;
    lose_an_answer(&world, "Quarantine").await;
    assert_eq!(world.deliver(b"order").await, [200]);
    let messages = world.messages("QuarantineQueueUrl", 2).await;
    assert_ne!(messages[0].id, messages[1].id);
    let message = world.quarantined(1).await.remove(0);
    assert_eq!(world.quarantined_body(&message).await, b"order");
}

#[tokio::test]
// requirement: answer-keys-missing
async fn without_keys_it_is_asked_to_come_again_and_then_accepted() {
    let world = World::without_keys().await;
    let body = one_order("or_1");
    let answer = world.post(&body).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "retry"));
    assert!(world.stack.receipts(&world.account).await.is_empty());
    world.give_keys().await;
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_1");
}

#[rstest]
#[case::keys("secretsmanager:GetSecretValue", true)]
#[case::tokens("dynamodb:GetItem", false)]
#[tokio::test]
// requirement: answer-keys-missing
async fn what_cannot_be_read_is_not_answered_with_401(
    #[case] operation: &str,
    #[case] by_name: bool,
) {
    let world = World::planted().await;
    let marker = match by_name {
        true => world.account.clone(),
        false => world.token_hash(),
    };
    let rule = Rule::new(Fault::Status(500))
        .operation(operation)
        .contains(&marker);
    let outage = world.disturb_by(rule).await;
    let body = one_order("or_1");
    let answer = world.post(&body).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "retry"));
    assert!(outage.met().await > 0);
    outage.end().await;
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    world.team.wait_for(1).await;
}

#[rstest]
// Once its owner corrects it, the same message is accepted.
#[case::that_does_not_exist(Fault::refuse("QueueDoesNotExist"))]
#[case::that_is_down(Fault::Status(503))]
#[case::that_breaks_the_connection(Fault::Drop)]
#[case::that_refuses_entries(Fault::refuse_entries("", "InternalError", false))]
#[case::that_may_not_be_sent_to(Fault::refuse("AccessDeniedException"))]
#[tokio::test]
// requirement: durable-refused
async fn a_queue_that_refuses_for_now_fails_the_delivery_and_the_retry_keeps_its_ids(
    #[case] fault: Fault,
) {
    let world = World::planted().await;
    let body = delivery()
        .event("customer.created", r#"{"id":"cu_1"}"#)
        .event("order.created", r#"{"id":"or_1"}"#)
        .body();
    let outage = world.disturb(SEND, "Orders", fault).await;
    let begun = Instant::now();
    let answer = world.post(&body).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "retry"));
    // The budget is three seconds; the rest is the emulator's.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    assert!(outage.met().await > 0);

    let markers = world.stack.markers(&world.account).await;
    assert_eq!(markers.len(), 1, "a marker for the retry");
    let failures = world.stack.failures(&world.account).await;
    assert_eq!(failures, ["queue_refused"]);
    // The other lane got through at once.
    let first = world.team.wait_for(1).await;
    assert_eq!(first[0].id, format!("{}.00000", markers[0]));

    outage.end().await;
    assert_eq!(world.deliver(&body).await, [200]);
    let messages = world.team.wait_for_messages(3).await;
    let ids: Vec<&str> = messages.iter().map(|event| event.id.as_str()).collect();
    let expected = [0, 0, 1].map(|index| format!("{}.{index:05}", markers[0]));
    assert_eq!(ids, expected, "the retry has other ids");
    assert!(world.stack.markers(&world.account).await.is_empty());
    assert_eq!(world.stack.failures(&world.account).await.len(), 1);
    let receipts = world.stack.receipts(&world.account).await;
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].delivery, markers[0]);

    // After the success equal bytes are new events.
    assert_eq!(world.deliver(&body).await, [200]);
    let events = world.team.wait_for(4).await;
    let is_retried = events[2].id.starts_with(&markers[0]);
    assert!(!is_retried, "an accepted delivery is over");
}

#[tokio::test]
// requirement: answer-budget
async fn a_queue_that_is_too_slow_uses_up_the_budget() {
    let world = World::planted().await;
    let body = one_order("or_1");
    let slow = world.disturb(SEND, "Orders", Fault::DelayMs(8_000)).await;
    let begun = Instant::now();
    let answer = world.post(&body).await;
    let waited = begun.elapsed();
    assert_eq!((answer.status, answer.body.as_str()), (503, "retry"));
    assert!(waited < Duration::from_secs(7), "{waited:?}");
    let failures = world.stack.failures(&world.account).await;
    assert_eq!(failures, ["queue_refused"]);
    slow.end().await;
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    // The first attempt's message may have come through as well, late; it has the same id.
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_1");
}

#[tokio::test]
// requirement: durable-lost-answer
async fn a_message_whose_answer_was_lost_is_sent_again_with_its_id() {
    let world = World::planted().await;
    lose_an_answer(&world, "Orders").await;
    assert_eq!(world.deliver(&one_order("or_1")).await, [200]);
    let messages = world.team.wait_for_messages(2).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].id, messages[1].id);
}

#[tokio::test]
// requirement: answer-lasting
async fn an_event_whose_content_a_queue_refuses_goes_by_the_oversize_path() {
    let world = World::planted().await;
    let word = format!("spoilt {}", world.account);
    let spoilt = format!(r#"{{"id":"or_1","note":"{word}"}}"#);
    let body = delivery()
        .event("order.created", r#"{"id":"or_0"}"#)
        .event("order.created", &spoilt)
        .body();
    let fault = Fault::refuse_entries(&word, "InvalidMessageContents", true);
    world.disturb(SEND, "Orders", fault).await;
    assert_eq!(world.post(&body).await.status, 200);
    let events = world.team.wait_for(2).await;
    let e2e::team::Data::Stored(place) = &events[1].data else {
        panic!("{:?} travels inline", events[1].id);
    };
    assert!(place.contains(&events[1].id), "{place}");
    assert_eq!(events[1].record(&world.stack).await, spoilt.into_bytes());
    let messages = world.reader("QuarantineQueueUrl").messages().await;
    assert_eq!(messages, []);
}

#[rstest]
#[case::inside_the_answer(true)]
#[case::as_a_whole(false)]
#[tokio::test]
// requirement: answer-lasting
async fn an_event_that_no_queue_takes_is_quarantined(#[case] inside: bool) {
    let world = World::planted().await;
    // The subject names it, so the pointer is refused as well.
    let id = format!("or_{}", world.account.trim_start_matches("e2e-"));
    let body = delivery()
        .event("order.created", r#"{"id":"or_0"}"#)
        .event("order.created", &format!(r#"{{"id":"{id}"}}"#))
        .body();
    let code = "InvalidMessageContents";
    let (contains, fault) = match inside {
        true => (&world.account, Fault::refuse_entries(&id, code, true)),
        false => (&id, Fault::refuse(code)),
    };
    let rule = Rule::new(fault)
        .operation(SEND)
        .resource("Orders")
        .contains(contains);
    world.disturb_by(rule).await;
    assert_eq!(world.post(&body).await.status, 200);
    let message = world.quarantined(1).await.remove(0);
    assert_eq!(message.elements.len(), 1);
    assert_eq!(message.elements[0].index, 1);
    assert_eq!(message.elements[0].reason, "refused_by_queue");
    assert_eq!(world.quarantined_body(&message).await, body);
    let events = world.team.wait_for(1).await;
    assert_eq!(events[0].subject, "order/or_0");
}

#[tokio::test]
// requirement: unauthenticated-raw-bytes
async fn the_bytes_that_were_signed_are_the_bytes_that_are_verified() {
    let world = World::planted().await;
    // Compressed, and no text: what the gateway makes of it must not matter.
    let body = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x8b, 0x8e, 5, 0, 0x29, 0xbb, 0x4c, 0x0d, 2, 0, 0, 0,
    ];
    assert_eq!(world.deliver(&body).await.last(), Some(&200));
    let message = world.quarantined(1).await.remove(0);
    assert_eq!(message.reason.as_deref(), Some("not_json"));
    assert_eq!(world.quarantined_body(&message).await, body);
}
