//! A delivery to one's own stack: signed with the account's key, posted at the URL that the operator gave, found again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is"
)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::account::UrlToken;
use domain::event::EventType;
use domain::identity::{BodyHash, DeliveryId};
use domain::source::Source;
use domain::timestamp::Timestamp;
use operate::loopback::{Reply, UNSIGNED_HOOK};
use operate::loopback_stack::LoopbackStack;
use operate::send::{HookUrl, Sent, example, send};
use operate::{Error, Exit, Stack};
use rstest::rstest;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const RECORD: &str = r#"{"id":"or_1", "net":20.10}"#;
const BODY: &str = r#"[{"event":"order.created","data":{"order":{"id":"or_1", "net":20.10}}}]"#;

fn token() -> UrlToken {
    UrlToken::from_random(&[7; 32])
}

async fn stack(source: &str) -> LoopbackStack {
    stack_with(source, json!({ "version": 0, "macs": ["marker-key"] })).await
}

async fn stack_with(source: &str, keys: Value) -> LoopbackStack {
    let stack = LoopbackStack::start().await;
    let secret = json!({ "keys": {}, "registrations": { token().hash().to_string(): keys } });
    stack.with(|state| state.accounts.insert("acme".to_owned(), source.to_owned()));
    keep_secret(&stack, &secret.to_string());
    stack
}

fn keep_secret(stack: &LoopbackStack, secret: &str) {
    let name = "shop/signing/acme".to_owned();
    stack.with(|state| state.secrets.insert(name, secret.to_owned()));
}

fn url(stack: &LoopbackStack, source: &str) -> String {
    url_of(stack, source, &token())
}

fn url_of(stack: &LoopbackStack, source: &str, token: &UrlToken) -> String {
    let (server, token) = (stack.server.endpoint(), token.expose());
    format!("{server}/hooks/{source}/{token}")
}

async fn sent(stack: &LoopbackStack, url: &str) -> Result<Sent, Error> {
    let event_type: EventType = "order.created".parse().unwrap();
    let record: &RawValue = serde_json::from_str(RECORD).unwrap();
    sent_of(stack, url, (&event_type, record)).await
}

async fn sent_of(
    stack: &LoopbackStack,
    url: &str,
    event: (&EventType, &RawValue),
) -> Result<Sent, Error> {
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let account = "acme".parse().unwrap();
    let url = HookUrl::new(url.to_owned().into());
    assert!(!format!("{url:?}").contains("http"));
    send(&calls, &found, &account, &url, event, Duration::ZERO).await
}

fn answers(stack: &LoopbackStack, status: u16) {
    stack.server.on(UNSIGNED_HOOK, Reply::status(status, "{}"));
}

fn keep(stack: &LoopbackStack, is_applied: bool) -> DeliveryId {
    let now = time::OffsetDateTime::from(calls::now()).unix_timestamp_nanos() / 1_000_000;
    let at = Timestamp::from_millis(u64::try_from(now).unwrap());
    let id = DeliveryId::new(at, &[1; 10]);
    let packed = STANDARD.encode(zstd::bulk::compress(BODY.as_bytes(), 3).unwrap());
    let receipt = json!({
        "pk": { "S": format!("acme#{}", at.day()) }, "sk": { "S": id.to_string() }, "body": { "B": packed },
        "hash": { "S": BodyHash::of(BODY.as_bytes()).to_string() },
    });
    let record = json!({ "pk": { "S": "acme#order" }, "sk": { "S": "or_1" }, "event_id": { "S": format!("{id}.00000") } });
    stack.put_item("receipts", &receipt);
    if is_applied {
        stack.put_item("records", &record);
    }
    id
}

#[rstest]
#[case::applied(true)]
#[case::not_yet(false)]
#[tokio::test]
async fn what_is_accepted_is_found_by_its_bytes(#[case] is_applied: bool) {
    let stack = stack("orderspace").await;
    answers(&stack, 200);
    let id = keep(&stack, is_applied);
    let sent = sent(&stack, &url(&stack, "orderspace")).await.unwrap();
    assert!(sent.is_accepted);
    assert_eq!(sent.event, Some(format!("{id}.00000")));
    assert_eq!(sent.subject.as_deref(), Some("order/or_1"));
    assert_eq!(sent.is_applied, Some(is_applied));
    let mut posted = stack.server.seen();
    posted.retain(|seen| seen.path.starts_with("/hooks/"));
    assert_eq!(posted[0].body, BODY, "the record as it was given");
    assert!(!format!("{sent:?}").contains("marker"));
}

#[tokio::test]
async fn what_is_refused_is_no_success() {
    let stack = stack("orderspace").await;
    answers(&stack, 503);
    let sent = sent(&stack, &url(&stack, "orderspace")).await.unwrap();
    assert!(!sent.is_accepted);
    assert_eq!((sent.status, sent.delivery), (503, None));
}

#[rstest]
#[case::another_host("https://example.com/hooks/orderspace/")]
#[case::another_source("HOOKS/onestock/")]
#[case::nothing("")]
#[tokio::test]
async fn no_other_address_gets_a_proof(#[case] base: &str) {
    let stack = stack("orderspace").await;
    let hooks = format!("{}/hooks", stack.server.endpoint());
    let base = base.replace("HOOKS", &hooks);
    let given = format!("{base}{}", token().expose());
    let error = sent(&stack, &given).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{error}");
    assert!(!error.to_string().contains(token().expose()));
    let reads = stack.server.seen_of("secretsmanager GetSecretValue");
    assert!(reads.is_empty());
}

#[rstest]
#[case::ordermentum("ordermentum", "order_created", json!({ "basic": ["Basic bWFya2VyOm1hcmtlcg=="] }), "", 200)]
#[case::ordermentum_by_header("ordermentum", "order_created", json!({ "header": ["marker"] }), "", 200)]
#[case::apideck("apideck", "ecommerce.order.created", json!({ "macs": ["marker"] }), "", 200)]
#[case::apideck_vault("apideck", "vault.connection.created", json!({ "macs": ["marker"] }), "/vault", 200)]
#[case::onestock("onestock", "order_state_changed", json!({ "macs": ["marker"] }), "", 202)]
#[case::stackone("stackone", "order.created", json!({ "macs": ["marker", "marker-2"] }), "", 200)]
#[tokio::test]
async fn the_example_of_every_source_is_sent(
    #[case] source: &str,
    #[case] event_type: &str,
    #[case] keys: Value,
    #[case] part: &str,
    #[case] status: u16,
) {
    let stack = stack_with(source, keys).await;
    answers(&stack, status);
    let event_type: EventType = event_type.parse().unwrap();
    let record = example(Source::named(source).unwrap(), &event_type).unwrap();
    let url = format!("{}{part}", url(&stack, source));
    let sent = sent_of(&stack, &url, (&event_type, &record)).await.unwrap();
    assert!(sent.is_accepted, "{sent:?}");
    let posted = stack.server.seen_of(UNSIGNED_HOOK);
    assert!(posted[0].body.contains(record.get()), "{}", posted[0].body);
    assert!(!format!("{sent:?}{}", posted[0].body).contains("marker"));
}

#[test]
fn every_type_has_its_example() {
    for source in Source::ALL {
        for row in sources::facts(source).types {
            let event_type: EventType = row.name.parse().unwrap();
            let record = example(source, &event_type);
            let is_record = record.is_some_and(|record| record.get().starts_with('{'));
            assert!(is_record, "{source} {event_type}");
        }
    }
    let unknown: EventType = "order.unheard_of".parse().unwrap();
    assert!(example(Source::Orderspace, &unknown).is_none());
}

/// What cannot be proved, or would be read as something else, is posted nowhere.
#[rstest]
#[case::no_key("orderspace", json!({}), "order.created", "", "has no key")]
#[case::a_key_of_another_kind("onestock", json!({ "basic": ["marker"] }), "order_state_changed", "", "OneStock")]
#[case::another_part("apideck", json!({ "macs": ["marker"] }), "vault.connection.created", "", "ends in /vault")]
#[case::no_part("apideck", json!({ "macs": ["marker"] }), "ecommerce.order.created", "/vault", "nothing behind its token")]
#[case::another_type("apideck", json!({ "macs": ["marker"] }), "ecommerce.order.created", "", "ecommerce.order.updated")]
#[tokio::test]
async fn what_would_not_be_taken_as_it_is_meant_is_refused(
    #[case] source: &str,
    #[case] keys: Value,
    #[case] event_type: &str,
    #[case] part: &str,
    #[case] word: &str,
) {
    let stack = stack_with(source, keys).await;
    answers(&stack, 200);
    let record = r#"{"event_type":"ecommerce.order.updated"}"#;
    let record: &RawValue = serde_json::from_str(record).unwrap();
    let url = format!("{}{part}", url(&stack, source));
    let event = (&event_type.parse().unwrap(), record);
    let error = sent_of(&stack, &url, event).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{error}");
    let text = error.to_string();
    assert!(text.contains(word) && !text.contains("marker"), "{text}");
    assert!(stack.server.seen_of(UNSIGNED_HOOK).is_empty());
}

#[tokio::test]
async fn a_token_that_has_no_key_is_refused() {
    let stack = stack("orderspace").await;
    let other = UrlToken::from_random(&[8; 32]);
    let url_of_other = url_of(&stack, "orderspace", &other);
    let error = sent(&stack, &url_of_other).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{error}");
    assert!(!error.to_string().contains("marker"));
}

#[rstest]
#[case::no_json("marker-key")]
#[case::other_members(r#"{"registrations":7,"marker":1}"#)]
#[tokio::test]
async fn a_secret_that_holds_no_keys_is_not_repeated(#[case] secret: &str) {
    let stack = stack("orderspace").await;
    keep_secret(&stack, secret);
    let error = sent(&stack, &url(&stack, "orderspace")).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left);
    assert!(!error.to_string().contains("marker"), "{error}");
}

#[tokio::test]
async fn a_key_that_may_not_be_read_is_a_missing_permission() {
    let stack = stack("orderspace").await;
    let denied = Reply::status(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    stack.server.on("secretsmanager GetSecretValue", denied);
    let error = sent(&stack, &url(&stack, "orderspace")).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Denied);
    let permission = "secretsmanager:GetSecretValue";
    assert!(error.to_string().contains(permission), "{error}");
}
