//! The sender against a receiver in the same process.

use rstest::rstest;
use simulator::{
    End, EventText, Outcome, RawDelivery, Rebatch, Repeat, Report, RetryPolicy, Sender, SigningKey,
    Source, Switches, Target,
};

use crate::receiver::{Receiver, Reply};

const KEY: &str = "7R2gNdE4GU8K06WXPV9lOXBic9mSs5LjKMsk46eW";

fn target(receiver: &Receiver) -> Target {
    Target::new(&receiver.url, SigningKey::new(KEY)).unwrap()
}

fn sender(policy: RetryPolicy) -> Sender {
    Sender::new(policy).unwrap()
}

fn quick() -> Sender {
    sender(RetryPolicy::quick())
}

fn splitting() -> Sender {
    quick().with_switches(Switches {
        rebatch: Rebatch::Split,
        ..Switches::default()
    })
}

async fn sent(sender: &Sender, target: &Target, events: &[EventText]) -> Report {
    sender.send(target, events).await.unwrap()
}

fn order(number: usize) -> EventText {
    EventText::parse(format!(
        r#"{{"event":"order.created","data":{{"order":{{"id":"or_{number}","total":1.0}}}}}}"#
    ))
    .unwrap()
}

fn orders(count: usize) -> Vec<EventText> {
    (0..count).map(order).collect()
}

/// Sends one event a delivery, and loses patience after three failures.
fn one_each() -> Sender {
    let mut policy = RetryPolicy::quick();
    policy.disable_after = 3;
    sender(policy).with_switches(Switches {
        batch_size: 1,
        ..Switches::default()
    })
}

#[tokio::test]
async fn a_delivery_is_the_texts_in_an_array_signed_with_the_key() {
    let receiver = Receiver::start(&[]).await;
    let odd = r#"{ "data":{"customer":{"name":"Fish & Chips \u0026 日本","n":1.50}}, "event":"customer.created"}"#;
    let events = [EventText::parse(odd).unwrap(), order(1)];

    let report = sent(&quick(), &target(&receiver), &events).await;

    assert!(report.is_accepted());
    let got = &receiver.received()[0];
    assert_eq!(got.text(), format!("[{odd},{}]", order(1).as_str()));
    assert_eq!(got.signature(), SigningKey::new(KEY).sign(&got.body));
    assert_eq!(got.headers["content-type"], "application/json");
    let attempt = &report.deliveries[0].attempts[0];
    assert_eq!((attempt.attempt, attempt.events), (1, 2));
    assert_eq!(attempt.bytes, got.body.len());
    let body = "an answer".to_owned();
    assert_eq!(attempt.outcome, Outcome::Answered { status: 200, body });
}

#[tokio::test]
async fn it_retries_the_same_bytes_until_exactly_200() {
    let script = [202, 204, 500].map(Reply::Status);
    let receiver = Receiver::start(&script).await;
    let target = target(&receiver);

    let report = sent(&quick(), &target, &orders(3)).await;

    assert_eq!(report.statuses(), [202, 204, 500, 200]);
    assert!(report.is_accepted());
    let texts = receiver.texts();
    assert!(texts.iter().all(|text| *text == texts[0]));
    let numbers: Vec<u32> = report.attempts().map(|attempt| attempt.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(target.health().standing().consecutive_failures, 0);
}

#[tokio::test]
async fn redirects_are_failures_and_are_not_followed() {
    let receiver = Receiver::start(&[Reply::Redirect]).await;
    let report = sent(&quick(), &target(&receiver), &orders(1)).await;
    assert_eq!(report.statuses(), [307, 200]);
    assert!(receiver.received().iter().all(|got| got.path == "/hooks/x"));
}

#[tokio::test]
async fn a_late_answer_is_a_failure_and_retried() {
    let receiver = Receiver::start(&[Reply::Silence]).await;
    let mut policy = RetryPolicy::quick();
    policy.timeout_ms = 300;
    let report = sent(&sender(policy), &target(&receiver), &orders(1)).await;
    assert_eq!(report.attempts().next().unwrap().outcome, Outcome::TimedOut);
    assert!(report.is_accepted());
}

#[tokio::test]
async fn failures_in_a_row_disable_the_webhook_and_stop_what_is_left() {
    let receiver = Receiver::start(&[Reply::Status(503); 20]).await;
    let target = target(&receiver);
    let report = sent(&one_each(), &target, &orders(2)).await;

    assert_eq!(receiver.received().len(), 3);
    assert!(!report.is_accepted());
    assert_eq!(report.deliveries[0].end, End::Disabled);
    assert_eq!(report.deliveries[1].end, End::Disabled);
    assert!(report.deliveries[1].attempts.is_empty());
    assert!(!target.health().standing().enabled);
}

#[tokio::test]
async fn a_success_starts_the_count_anew() {
    let script = [503, 503, 200, 503, 503, 200].map(Reply::Status);
    let receiver = Receiver::start(&script).await;
    let target = target(&receiver);
    let report = sent(&one_each(), &target, &orders(2)).await;
    assert!(report.is_accepted());
    assert!(target.health().standing().enabled);
}

#[tokio::test]
async fn attempts_run_out() {
    let receiver = Receiver::start(&[Reply::Status(503); 9]).await;
    let mut policy = RetryPolicy::quick();
    policy.max_attempts = 2;
    let report = sent(&sender(policy), &target(&receiver), &orders(1)).await;
    assert_eq!(report.deliveries[0].end, End::GaveUp);
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn twice_sends_accepted_deliveries_again() {
    let receiver = Receiver::start(&[]).await;
    receiver.hold_until_open(2);
    let twice = quick().with_switches(Switches {
        repeat: Repeat::TwiceAtOnce,
        ..Switches::default()
    });
    let report = sent(&twice, &target(&receiver), &orders(2)).await;
    assert_eq!(receiver.most_open(), 2);
    let texts = receiver.texts();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0], texts[1]);
    let repeats: Vec<bool> = report.deliveries.iter().map(|d| d.repeat).collect();
    assert_eq!(repeats, [false, true]);
}

#[tokio::test]
async fn a_split_retry_sends_the_halves() {
    let receiver = Receiver::start(&[Reply::Status(503)]).await;
    let report = sent(&splitting(), &target(&receiver), &orders(5)).await;

    let sizes: Vec<usize> = report.attempts().map(|attempt| attempt.events).collect();
    assert_eq!(sizes, [5, 3, 2]);
    let ends: Vec<End> = report.deliveries.iter().map(|d| d.end).collect();
    assert_eq!(ends, [End::Rebatched, End::Accepted, End::Accepted]);
    assert!(report.is_accepted());
    let texts = receiver.texts();
    let first_half = texts[1].trim_end_matches(']');
    let second_half = texts[2].trim_start_matches('[');
    assert_eq!(format!("{first_half},{second_half}"), texts[0]);
    let signed = SigningKey::new(KEY).sign(texts[2].as_bytes());
    assert_eq!(receiver.received()[2].signature(), signed);
}

#[tokio::test]
async fn a_single_event_that_fails_is_retried_when_splitting_too() {
    let receiver = Receiver::start(&[Reply::Status(503), Reply::Status(503)]).await;
    let report = sent(&splitting(), &target(&receiver), &orders(1)).await;
    assert_eq!(report.statuses(), [503, 503, 200]);
    assert!(report.is_accepted());
}

#[rstest]
#[case::not_json(b"\xff\x00 not json".to_vec())]
#[case::two_megabytes(vec![b'x'; 2 * 1024 * 1024])]
#[case::empty(Vec::new())]
#[tokio::test]
async fn raw_bytes_travel_as_they_are(#[case] body: Vec<u8>) {
    let receiver = Receiver::start(&[Reply::Status(500)]).await;
    let raw = RawDelivery {
        body: body.clone(),
        headers: vec![("Content-Type".into(), "text/plain".into())],
    };
    let report = quick().send_raw(&target(&receiver), &[raw]).await.unwrap();
    assert_eq!(report.statuses(), [500, 200]);
    let got = &receiver.received()[1];
    assert_eq!(got.body, body);
    assert_eq!(got.headers["content-type"], "text/plain");
    assert_eq!(got.signature(), SigningKey::new(KEY).sign(&body));
}

/// A webhook as the control API shows it.
fn shown(receiver: &Receiver, details: &serde_json::Value) -> Target {
    let webhook = serde_json::json!({
        "id": "wh_1", "endpoint": receiver.url, "events": [], "signing_key": KEY, "enabled": true,
        "consecutive_failures": 0, "details": details,
    });
    Target::shown(&serde_json::from_value(webhook).unwrap()).unwrap()
}

/// More attempts than any source makes, and another at the end.
const MANY: usize = 12;

#[rstest]
#[case(Source::Orderspace, "x-orderspace-signature", 200)]
#[case(Source::Ordermentum, "x-orderhook-key", 200)]
#[case(Source::Apideck, "x-apideck-signature", 200)]
#[case(Source::Onestock, "onestock-signature", 202)]
#[case(Source::Stackone, "x-stackone-signature", 200)]
#[tokio::test]
async fn a_patient_sender_of_any_source_proves_what_it_sends_until_it_is_taken(
    #[case] source: Source,
    #[case] header: &str,
    #[case] success: u16,
) {
    let mut script = vec![Reply::Status(503); MANY];
    script.push(Reply::Status(success));
    let receiver = Receiver::start(&script).await;
    let details = serde_json::json!({ "headers": { "X-Orderhook-Key": KEY } });
    let target = shown(&receiver, &details);
    let mut policy = RetryPolicy::quick();
    policy.max_attempts = 50;
    policy.disable_after = u32::MAX;
    let event = match source {
        Source::Apideck => {
            r#"{"payload":{"event_type":"ecommerce.order.created","event_id":"e","execution_attempt":1,"occurred_at":null}}"#
        }
        _ => {
            r#"{"event":"order_created","timestamp":"2024-11-20T12:00:00Z","data":{"order":{"id":"o"}}}"#
        }
    };
    let sender = Sender::patient(source, policy).unwrap();
    let events = [EventText::parse(event).unwrap()];
    let report = sent(&sender, &target, &events).await;

    assert!(report.is_accepted(), "{report:?}");
    assert!(target.health().standing().enabled);
    let statuses = report.statuses();
    assert_eq!((statuses.len(), statuses[MANY]), (MANY + 1, success));
    for (index, received) in receiver.received().iter().enumerate() {
        assert!(received.headers.contains_key(header), "{index}");
        let expected = match source {
            Source::Orderspace => format!("[{event}]"),
            Source::Apideck => {
                let number = format!(r#""execution_attempt":{}"#, index + 1);
                event.replace(r#""execution_attempt":1"#, &number)
            }
            Source::Onestock => r#"{"order":{"id":"o"}}"#.to_owned(),
            Source::Ordermentum | Source::Stackone => event.to_owned(),
        };
        assert_eq!(received.text(), expected);
    }
}

#[tokio::test]
async fn a_patient_sender_gives_up_when_its_policy_does_and_disables_nothing() {
    let receiver = Receiver::start(&[Reply::Status(503); 4]).await;
    let target = shown(&receiver, &serde_json::json!({}));
    let mut policy = RetryPolicy::quick();
    policy.max_attempts = 2;
    policy.disable_after = u32::MAX;
    let sender = Sender::patient(Source::Onestock, policy).unwrap();
    let report = sent(&sender, &target, &[order(1)]).await;
    assert_eq!(report.statuses(), [503, 503]);
    assert_eq!(report.deliveries[0].end, End::GaveUp);
    assert!(target.health().standing().enabled);
}

#[test]
fn a_target_tells_neither_its_key_nor_its_path() {
    let target = Target::new("http://127.0.0.1:1/hooks/tok3n", SigningKey::new(KEY)).unwrap();
    let shown = format!("{target:?}");
    assert!(!shown.contains(KEY) && !shown.contains("tok3n"), "{shown}");
    assert!(Target::new("ftp://127.0.0.1/", SigningKey::new(KEY)).is_err());
}
