//! Logs: every line says whose delivery it is about, and none has what must stay secret.

mod world;

use domain::ports::{ErrorKind, QueueUrl};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::delivery::delivery;
use testkit::fakes::Fault;
use testkit::gateway::hook;
use testkit::log::Log;
use testkit::signing::sign;
use tracing::level_filters::LevelFilter;
use world::{KEY, world};

#[tokio::test(start_paused = true)]
async fn a_line_says_what_is_known_of_the_delivery() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::INFO);
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#).body();
    let unnamed = world.signed(body.clone()).of_source("nobody");
    assert_eq!(world.post(&unnamed).await.status, 401);
    let unsigned = hook(world.token.expose(), body.clone());
    assert_eq!(world.post(&unsigned).await.status, 401);
    let forged = unsigned.signed("another key");
    assert_eq!(world.post(&forged).await.status, 401);
    world.queues.remove(&QueueUrl::new("orders"));
    assert_eq!(world.deliver(body.clone()).await, 503);
    world.queues.restore(&QueueUrl::new("orders"));
    assert_eq!(world.deliver(body).await, 200);

    let said = |message: &str, span: &Value| (message.to_owned(), span.clone());
    let unverified = "a request that is not verified";
    let delivery = json!({
        "name": "delivery",
        "source": "orderspace",
        "account": "acme",
        "delivery.id": world.receipts.kept()[0].delivery.to_string(),
    });
    let warnings: Vec<_> = log
        .messages("WARN")
        .into_iter()
        .filter(|(_, span)| span["name"] == "delivery")
        .collect();
    assert_eq!(
        warnings,
        [
            said(unverified, &json!({"name": "delivery"})),
            said(
                unverified,
                &json!({"name": "delivery", "source": "orderspace"})
            ),
            said(
                unverified,
                &json!({"name": "delivery", "source": "orderspace", "account": "acme"})
            ),
            said("delivery refused; the source sends it again", &delivery),
        ]
    );
    let asked = "a wrong signature under a known token: its account will be checked";
    let known = json!({"name": "delivery", "source": "orderspace", "account": "acme"});
    assert_eq!(
        log.messages("INFO"),
        [said(asked, &known), said("delivery", &delivery)]
    );
}

#[rstest]
#[case::that_is_not_queued("send", ErrorKind::Transient, 503, "an event is not queued")]
#[case::that_goes_by_a_pointer(
    "send",
    ErrorKind::Permanent,
    200,
    "a queue refuses an event for its content"
)]
#[case::that_is_not_kept("put", ErrorKind::Transient, 503, "a large event is not kept")]
#[tokio::test(start_paused = true)]
async fn a_line_says_which_event_it_is_about(
    #[case] call: &str,
    #[case] kind: ErrorKind,
    #[case] status: u16,
    #[case] message: &str,
) {
    let (world, log) = (world(), Log::default());
    // Spans are there at any level.
    let _guard = log.capture(LevelFilter::WARN);
    let large = format!(r#"{{"id":"or_2","note":"{}"}}"#, "x".repeat(300_000));
    let body = delivery()
        .event("customer.created", r#"{"id":"cu_1"}"#)
        .event(
            "order.created",
            if call == "put" {
                &large
            } else {
                r#"{"id":"or_2"}"#
            },
        )
        .body();
    let is_second = move |text: &str| text.contains("or_2");
    match call {
        "put" => world
            .oversize
            .script()
            .on("put")
            .always()
            .fault(Fault::transient("SlowDown")),
        _ => world
            .queues
            .script()
            .on("send")
            .within("orders")
            .always()
            .fault(Fault::entries_with(is_second, kind, "Refused")),
    }
    assert_eq!(world.deliver(body).await, status);
    let delivery = world.receipts.kept()[0].delivery;
    let event = json!({
        "name": "event",
        "lane": "orders",
        "account": "acme",
        "delivery.id": delivery.to_string(),
        "event.id": format!("{delivery}.00001"),
        "event.type": "order.created",
    });
    let messages = log.messages("WARN");
    assert!(
        messages.contains(&(message.to_owned(), event)),
        "{messages:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_secret_and_no_payload_is_logged() {
    let (world, log) = (world(), Log::default());
    let _guard = log.capture(LevelFilter::TRACE);
    let body = delivery()
        .event("order.created", r#"{"id":"or_1","note":"marker"}"#)
        .body();
    let signed = world.signed(body.clone());
    let forged = hook(world.token.expose(), body.clone()).signed("another key");
    world.post(&signed).await;
    world.post(&forged).await;
    world.queues.remove(&QueueUrl::new("orders"));
    world.deliver(body.clone()).await;

    let log = log.text();
    for said in [
        "\"account\":\"acme\"",
        "accepted",
        "wrong_signature",
        "queue_refused",
    ] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    let signature = sign(KEY, &body);
    for secret in [KEY, world.token.expose(), &signature, "marker"] {
        assert!(
            secret.len() > 5 && !log.contains(secret),
            "{secret} is in {log}"
        );
    }
}
