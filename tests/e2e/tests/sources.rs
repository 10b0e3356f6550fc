//! Every source's whole way: it is connected, its deliveries are proved, applied and forwarded, and it is disconnected.
//! One story for all; what differs stands in a table.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use domain::source::Source;
use e2e::proxy::{Fault, Rule};
use e2e::team::TeamEvent;
use e2e::{Operator, World, until};
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::RunReport;

/// The pause before a source's first retry: long enough to end an outage in.
const RETRY_MS: u64 = 4_000;

/// What differs between the sources.
struct Row {
    source: Source,
    /// The settings of its simulator.
    settings: fn() -> Value,
    /// The events that the account selects.
    events: &'static [&'static str],
    /// The status of success.
    success: u16,
    /// By what its deliveries are proved.
    proof: &'static str,
    /// Whether a call registers another webhook; else a person does.
    rotates: bool,
    /// What it sends of a record, of a number that tells two sendings apart, as one event of the source.
    event: fn(Type, u32) -> Value,
    /// What is expected of these.
    types: &'static [Type],
}

/// One type of event, and what comes of it.
#[derive(Debug, Clone, Copy)]
struct Type {
    name: &'static str,
    kind: &'static str,
    /// The record's id as the source sends it.
    id: &'static str,
    /// The record's id in its key.
    key: &'static str,
    /// When it happened, as the event carries it on, with the milliseconds since 1970.
    time: Option<(&'static str, u64)>,
    /// Whether the source gives the event an id.
    has_id: bool,
}

const fn of(name: &'static str, kind: &'static str, id: &'static str) -> Type {
    Type {
        name,
        kind,
        id,
        key: id,
        time: Some(("2024-11-20T12:00:00.000Z", 1_732_104_000_000)),
        has_id: false,
    }
}

const NOON: &str = "2024-11-20T12:00:00.000Z";
const NOON_SECONDS: u64 = 1_732_104_000;

static ORDERSPACE: Row = Row {
    source: Source::Orderspace,
    settings: || Value::Null,
    events: &["*"],
    success: 200,
    proof: "signature",
    rotates: true,
    event: |of, number| {
        let record = json!({ "id": of.id, "number": number });
        json!({ "event": of.name, "data": { of.kind: record } })
    },
    types: &[
        Type {
            time: None,
            ..of("order.created", "order", "or_1")
        },
        Type {
            time: None,
            ..of("customer.updated", "customer", "cu_1")
        },
    ],
};

static ORDERMENTUM: Row = Row {
    source: Source::Ordermentum,
    settings: || json!({}),
    events: &["order_created", "order_updated", "invoice_created"],
    success: 200,
    proof: "shared_secret",
    rotates: true,
    event: |of, number| {
        let record = json!({ "id": of.id, "number": number, "updatedAt": NOON });
        json!({ "event": of.name, "timestamp": "2024-11-20T12:00:01Z", "data": record })
    },
    types: &[
        of("order_created", "order", "3f6f1b9e-0001"),
        of("invoice_created", "invoice", "3f6f1b9e-0002"),
    ],
};

static APIDECK: Row = Row {
    source: Source::Apideck,
    // Several functions may be starting while the URL is validated.
    settings: || json!({ "validation_timeout_ms": 20_000 }),
    events: &["ecommerce.order.created", "ecommerce.customer.updated"],
    success: 200,
    proof: "signature",
    rotates: true,
    event: |of, number| {
        json!({ "payload": {
            "event_type": of.name, "unified_api": "ecommerce", "service_id": "shopify", "consumer_id": "shop-1",
            "event_id": format!("evt-{}-{number}", of.id), "entity_id": of.id, "entity_type": of.kind,
            "number": number, "occurred_at": NOON,
        } })
    },
    types: &[
        Type {
            key: "shop-1/shopify/or_1",
            has_id: true,
            ..of("ecommerce.order.created", "order", "or_1")
        },
        Type {
            key: "shop-1/shopify/cu_1",
            has_id: true,
            ..of("ecommerce.customer.updated", "customer", "cu_1")
        },
    ],
};

static ONESTOCK: Row = Row {
    source: Source::OneStock,
    settings: || json!({ "list": 200, "delete": 200 }),
    events: &["order_state_changed", "parcel_state_changed"],
    success: 202,
    proof: "signature",
    rotates: true,
    event: |of, number| {
        let mut message = json!({
            "order_id": "ORD-1", "date": NOON_SECONDS, "old_state": "new", "new_state": "sent", "number": number,
        });
        message[format!("{}_id", of.kind)] = json!(of.id);
        json!({ "event": of.name, "data": message })
    },
    types: &[
        of("order_state_changed", "order", "ORD-1"),
        of("parcel_state_changed", "parcel", "PAR-1"),
    ],
};

static STACKONE: Row = Row {
    source: Source::StackOne,
    settings: || json!({}),
    events: &["*"],
    success: 200,
    proof: "signature",
    rotates: false,
    event: |of, number| {
        json!({
            "event": of.name, "event_date": NOON, "account_id": "45", "provider": "shopify", "record_id": of.id,
            "data": { "id": of.id, "number": number },
        })
    },
    types: &[
        Type {
            key: "shopify/45/or_1",
            ..of("order.created", "order", "or_1")
        },
        Type {
            key: "shopify/45/pr_1",
            ..of("product.updated", "product", "pr_1")
        },
    ],
};

/// The number that stands in an event's record.
fn number(event: &TeamEvent) -> u64 {
    event.inline_record()["number"].as_u64().unwrap()
}

/// Holds an event against what its type says.
fn check_event(row: &Row, of: Type, sent: u32, event: &TeamEvent) {
    assert_eq!(event.source, row.source.as_str());
    assert_eq!(event.event_type, of.name);
    assert_eq!(event.subject, format!("{}/{}", of.kind, of.key));
    assert_eq!(number(event), u64::from(sent));
    let id = of.has_id.then(|| format!("evt-{}-{sent}", of.id));
    assert_eq!(event.source_id, id, "{of:?}");
    let (time, place) = of.time.unzip();
    assert_eq!(event.source_time.as_deref(), time, "{of:?}");
    let place = place.map(|millis| format!("{millis:015}.{}", event.id));
    assert_eq!(event.sequence, place, "{of:?}");
}

fn accepted(row: &Row, reports: &[RunReport]) {
    assert!(!reports.is_empty(), "no webhook takes it");
    for report in reports {
        assert!(report.accepted, "{report:?}");
        assert_eq!(report.deliveries.statuses().last(), Some(&row.success));
    }
}

async fn connected(row: &Row) -> Operator {
    let account = Operator::with_settings(row.source, (row.settings)()).await;
    account.connect(row.events).await;
    account
}

/// Connects, and sends one delivery of each type.
async fn receive(row: &Row) -> Operator {
    let account = connected(row).await;
    for (sent, of) in (1..).zip(row.types) {
        let reports = account.send(&(row.event)(*of, sent), 500).await;
        accepted(row, &reports);
    }
    let events = account.team.wait_for(row.types.len()).await;
    for (sent, of) in (1..).zip(row.types) {
        let event = events.iter().find(|event| event.event_type == of.name);
        let event = event.unwrap_or_else(|| panic!("{of:?} is not among {events:?}"));
        check_event(row, *of, sent, event);
        let record = account.stack.record(&account.account, of.kind, of.key);
        let data: Value = serde_json::from_str(&record.await.unwrap().data.unwrap()).unwrap();
        assert_eq!(data["number"], sent, "{of:?}");
    }
    account
}

/// The account is shown as connected, with what proved its last delivery.
async fn is_shown(row: &Row, account: &Operator) {
    let checked = account.act("check").await;
    assert_eq!(checked.body["state"], "connected", "{}", checked.body);
    let shown = account.done(Method::GET, "", None).await;
    assert_eq!(shown.body["source"], row.source.as_str());
    let last = &shown.body["last_delivery"];
    assert_eq!(last["proof"], row.proof, "{}", shown.body);
}

/// A delivery that is refused for our sake comes again, and is the same delivery: its event keeps its id.
async fn retry(row: &Row, account: &Operator, count: usize) {
    let of = row.types[0];
    let rule = Rule::new(Fault::Status(503))
        .operation("sqs:SendMessageBatch")
        .resource("Orders")
        .contains(&account.account);
    let proxy = account.stack.proxy();
    let outage = proxy.add_rule(&rule).await.unwrap();
    let end = async {
        let refused = until("the failed delivery is shown", async || {
            let shown = account.call(Method::GET, "", None).await;
            let failed = &shown.body["strikes"]["latest"][0]["delivery"];
            let failed = failed.as_str().map(str::to_owned);
            failed.ok_or_else(|| shown.body.to_string())
        })
        .await;
        proxy.remove_rule(outage).await.unwrap();
        refused
    };
    let event = (row.event)(of, 9);
    let (reports, refused) = tokio::join!(account.send(&event, RETRY_MS), end);
    accepted(row, &reports);
    let statuses = reports[0].deliveries.statuses();
    assert_eq!(statuses[0], 503, "{statuses:?}");
    let events = account.team.wait_for(count + 1).await;
    let again = events.iter().find(|event| number(event) == 9).unwrap();
    assert_eq!(again.delivery, refused);
    assert!(again.id.starts_with(&refused), "{}", again.id);
    check_event(row, of, 9, again);
}

/// Another webhook takes over from the one that there is, and brings the next event.
async fn rotate(row: &Row, account: &Operator, count: usize) {
    let before = account.webhooks().await;
    account.act("rotate").await;
    assert!(account.webhooks().await.len() > before.len());
    let reports = account.send(&(row.event)(row.types[0], 20), 500).await;
    accepted(row, &reports);
    assert!(reports.len() > 1, "the old one and the new one deliver");
    account.team.wait_for(count + reports.len()).await;
    until("the old webhook is gone", async || {
        account.act("check").await;
        match account.webhooks().await {
            left if left.len() == before.len() => Ok(()),
            left => Err(format!("{left:?}")),
        }
    })
    .await;
    let left = account.webhooks().await;
    let is_new = |id: &String| before.iter().all(|old| old.id != *id);
    assert!(left.iter().all(|webhook| is_new(&webhook.id)), "{left:?}");
}

/// Disconnects, and sees that whoever goes on sending as before is refused.
async fn disconnect(row: &Row, account: &Operator) {
    let before = account.webhooks().await.remove(0);
    let gone = account.done(Method::DELETE, "", None).await;
    assert_eq!(gone.body["state"], "disconnected", "{}", gone.body);
    if row.rotates {
        assert!(account.webhooks().await.is_empty());
        assert_eq!(gone.body["last_error"], json!(null));
    } else {
        let left = gone.body["last_error"]["message"].as_str().unwrap();
        assert!(left.contains("by hand"), "{left}");
        account.site.remove_webhook(&before.id).await.unwrap();
    }
    account.restore(&before).await;
    let event = (row.event)(row.types[0], 30);
    // An instance may believe for seconds what it has read of the token.
    until("the old URL is refused", async || {
        // Several failures, and the source disables it.
        account.enable().await;
        is_answered(account, &event, 401).await
    })
    .await;
}

async fn tell(row: &Row) {
    let account = receive(row).await;
    is_shown(row, &account).await;
    let mut count = row.types.len();
    retry(row, &account, count).await;
    count += 1;
    if row.rotates {
        rotate(row, &account, count).await;
    }
    disconnect(row, &account).await;
}

#[tokio::test]
async fn orderspace_is_told_by_the_same_story() {
    tell(&ORDERSPACE).await;
}

#[tokio::test]
// requirement: source-ordermentum
async fn ordermentum_is_connected_received_retried_rotated_and_disconnected() {
    tell(&ORDERMENTUM).await;
}

#[tokio::test]
// requirement: source-apideck
async fn apideck_is_connected_received_retried_rotated_and_disconnected() {
    tell(&APIDECK).await;
}

#[tokio::test]
// requirement: source-onestock
async fn onestock_is_connected_received_retried_rotated_and_disconnected() {
    tell(&ONESTOCK).await;
}

#[tokio::test]
// requirement: source-stackone
async fn stackone_is_registered_by_hand_received_retried_and_disconnected() {
    tell(&STACKONE).await;
}

/// What any source would take for a delivery, were it proved. None is in the form of a greeting.
const BODY: &[u8] =
    br#"{"event":"order.created","payload":{"event_type":"ecommerce.order.created"}}"#;

#[rstest]
#[tokio::test]
// requirement: source-routes
async fn a_token_is_good_at_the_route_of_its_own_source_alone(
    #[values(
        Source::Apideck,
        Source::Orderspace,
        Source::Ordermentum,
        Source::OneStock,
        Source::StackOne
    )]
    source: Source,
) {
    let world = World::planted_of(source).await;
    for route in Source::ALL {
        let answer = world.post_at(route, BODY).await;
        match (route == source, route) {
            (true, Source::OneStock) => assert_eq!(answer.status, 202, "{}", answer.body),
            (true, _) => assert_eq!(answer.status, 200, "{route}: {}", answer.body),
            (false, _) => assert_eq!(answer.status, 401, "{source}'s token at {route}"),
        }
    }
    assert_eq!(world.stack.receipts(&world.account).await.len(), 1);
}

/// The header that says of a request that it only asks whether somebody answers.
const GREETING: (&str, &str) = ("x-apideck-event-type", "apideck.subscription.created");
const GREETING_BODY: &[u8] = br#"{"message":"Validating delivery URL"}"#;

/// Apideck greets while the webhook is created, when its key may not be held yet.
#[tokio::test]
// requirement: source-greeting
async fn a_greeting_is_answered_behind_a_known_token_alone_and_leaves_nothing() {
    let world = World::without_keys_of(Source::Apideck).await;
    let greet = async |url: String| world.request(&url, GREETING_BODY, &[GREETING]).await;
    let answer = greet(world.url()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let other = World::without_keys_of(Source::Ordermentum).await;
    let unknown: String = world.token().chars().rev().collect();
    let refused = [
        world.url_of(&unknown),
        world.url_of(other.token()),
        other.url(),
        world.url_at(Source::Ordermentum),
    ];
    for url in refused {
        let answer = greet(url).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    // With an event in it, it is a delivery, and nothing proves it.
    let answer = world.request(&world.url(), BODY, &[GREETING]).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(world.stack.receipts(&world.account).await.len(), 0);
    assert_eq!(world.team.messages().await, []);
}

/// A webhook whose URL could not be validated is disabled, and Apideck shows that.
#[tokio::test]
// requirement: source-greeting
async fn apideck_validates_the_url_while_the_account_is_connected() {
    let account = connected(&APIDECK).await;
    let webhooks = account.webhooks().await;
    assert!(!webhooks.is_empty());
    for webhook in webhooks {
        assert!(webhook.enabled, "{webhook:?}");
        assert_ne!(
            webhook.details.get("disabled_reason"),
            Some(&json!("delivery_url_validation_failed"))
        );
    }
    assert_eq!(account.stack.receipts(&account.account).await.len(), 0);
}

/// Sends one event; an error says what it is answered where that is something else.
async fn is_answered(account: &Operator, event: &Value, status: u16) -> Result<(), String> {
    let reports = account.send(event, 1).await;
    let statuses = reports.first().map(|report| report.deliveries.statuses());
    match statuses.as_deref() {
        Some([.., last]) if *last == status => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Sends one event until it is answered like this, and returns once it is.
async fn until_answered(account: &Operator, sent: u32, status: u16) {
    let event = (ONESTOCK.event)(ONESTOCK.types[0], sent);
    until("the deliveries are answered so", async || {
        is_answered(account, &event, status).await
    })
    .await;
}

/// The form of OneStock's signature is not published, so what is not signed is taken until an operator says otherwise.
#[tokio::test]
// requirement: source-proof-switch
async fn what_is_not_signed_is_observed_until_an_operator_requires_a_signature() {
    let account = connected(&ONESTOCK).await;
    let mut unsigned = (ONESTOCK.settings)();
    unsigned["unsigned"] = json!(true);
    let proof = async || {
        let shown = account.done(Method::GET, "", None).await;
        shown.body["last_delivery"]["proof"].clone()
    };
    account.site.change_settings(&unsigned).await.unwrap();
    until_answered(&account, 1, 202).await;
    assert_eq!(proof().await, "url_token");
    let shown = account.done(Method::GET, "", None).await;
    assert_eq!(shown.body["proof"], "observe");

    let change = json!({ "proof": "require" });
    let changed = account.done(Method::PATCH, "", Some(&change)).await;
    assert_eq!(changed.body["proof"], "require");
    // An instance may believe for seconds what it has read of the token, and a refusal that lasts disables the webhook.
    until_answered(&account, 2, 401).await;
    account.enable().await;
    let signed = (ONESTOCK.settings)();
    account.site.change_settings(&signed).await.unwrap();
    until_answered(&account, 3, 202).await;
    assert_eq!(proof().await, "signature");
}
