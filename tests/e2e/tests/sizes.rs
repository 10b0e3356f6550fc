//! Sizes: what no queue carries travels behind a pointer, and what no item holds is read back all the same.

use std::ops::Range;

use e2e::World;
use e2e::team::Data;
use rstest::rstest;
use serde_json::json;
use testkit::contract::is_same_json;
use testkit::delivery::delivery;
use testkit::fixtures;

#[rstest]
#[case::a_map("current/product.created.json", "data", false)]
#[case::compressed("product-500-kb", "compact", true)]
#[case::in_s3("product-noise-1-mb", "dataref", true)]
#[case::a_large_order("order-2-mb", "compact", true)]
#[tokio::test]
// requirement: record-forms
async fn a_record_reads_back_in_every_form(
    #[case] name: &str,
    #[case] form: &str,
    #[case] behind_a_pointer: bool,
) {
    let world = World::planted().await;
    let body = fixtures::body(name);
    world.deliver(&body).await;
    let events = world.team.wait_for(1).await;
    assert_eq!(matches!(events[0].data, Data::Stored(_)), behind_a_pointer);
    let sent = String::from_utf8(events[0].record(&world.stack).await).unwrap();
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains(&sent), "the pointer leads to other bytes");

    let (kind, id) = events[0].subject.split_once('/').unwrap();
    let record = world.record(kind, id).await.unwrap();
    assert_eq!(record.form, Some(form));
    assert!(is_same_json(&record.data.unwrap(), &sent));
}

/// Lambda takes 6 MB with every quote escaped; few quotes leave room for near 5 MB of plain JSON.
const NEARLY_FIVE_MB: Range<usize> = 4_700_000..5_000_000;

#[tokio::test]
// requirement: size-request
async fn a_delivery_at_the_platforms_limit_goes_through() {
    let world = World::planted().await;
    let text = "a line of an order's note, which is plain text; ".repeat(2_000);
    let record = |number: usize| format!(r#"{{"id":"or_{number:05}","note":"{text}{number}"}}"#);
    let orders = (0..50).fold(delivery(), |orders, number| {
        orders.event("order.updated", &record(number))
    });
    let body = orders.body();
    assert!(NEARLY_FIVE_MB.contains(&body.len()), "{}", body.len());
    world.deliver(&body).await;
    let events = world.team.wait_for(50).await;
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.data, Data::Inline(record(number)));
    }
    let receipts = world.stack.receipts(&world.account).await;
    assert_eq!(receipts.len(), 1);
    assert!(receipts[0].body == body);
}

#[tokio::test]
// requirement: size-request
async fn one_event_of_nearly_five_megabytes_goes_through() {
    let world = World::planted().await;
    let text = "plain text, ".repeat(400_000);
    let record = format!(r#"{{"id":"pr_1","text":"{text}"}}"#);
    let body = delivery().event("product.updated", &record).body();
    assert!(NEARLY_FIVE_MB.contains(&body.len()), "{}", body.len());
    world.deliver(&body).await;
    let events = world.team.wait_for(1).await;
    assert!(matches!(events[0].data, Data::Stored(_)));
    assert!(events[0].record(&world.stack).await == record.as_bytes());
    let product = world.record("product", "pr_1").await.unwrap();
    assert!(is_same_json(&product.data.unwrap(), &record));
}

/// What the functions are given, less what they leave for attributes and marks.
const LARGEST_BODY: usize = 250_000 - 2_048;

#[rstest]
#[case::at_the_limit(0, false)]
#[case::one_byte_more(1, true)]
#[tokio::test]
// requirement: size-inline
async fn the_inline_limit_decides(#[case] more: usize, #[case] behind_a_pointer: bool) {
    let world = World::planted().await;
    let record = |bytes| format!(r#"{{"id":"pr_1","text":"{}"}}"#, "x".repeat(bytes));
    let body = |bytes| delivery().event("product.updated", &record(bytes)).body();
    world.deliver(&body(0)).await;
    let around = world.team.wait_for(1).await[0].message.body.len();
    let bytes = LARGEST_BODY - around + more;
    world.deliver(&body(bytes)).await;
    let events = world.team.wait_for(2).await;
    assert_eq!(matches!(events[1].data, Data::Stored(_)), behind_a_pointer);
    if !behind_a_pointer {
        assert_eq!(events[1].message.body.len(), LARGEST_BODY);
    }
    assert!(events[1].record(&world.stack).await == record(bytes).as_bytes());
}

#[rstest]
#[case::at_the_limit(0, "data")]
#[case::one_byte_more(1, "compact")]
#[tokio::test]
// requirement: size-item
async fn a_map_is_used_up_to_its_last_byte(#[case] more: usize, #[case] form: &str) {
    let world = World::planted().await;
    // An item's 400 KB, less what the adapter leaves for the other attributes, less what DynamoDB counts for the map.
    let text = "x".repeat(400 * 1024 - 16 * 1024 - 15 + more);
    let sent = format!(r#"{{"id":"pr_1","text":"{text}"}}"#);
    let body = delivery().event("product.updated", &sent).body();
    world.deliver(&body).await;
    world.team.wait_for(1).await;
    let record = world.record("product", "pr_1").await.unwrap();
    assert_eq!(record.form, Some(form));
    assert!(is_same_json(&record.data.unwrap(), &sent));
}

#[rstest]
#[case::the_longest(1_024, true)]
#[case::one_byte_more(1_025, false)]
#[tokio::test]
// requirement: size-keys
async fn a_record_s_key_is_used_up_to_its_last_byte(#[case] bytes: usize, #[case] is_key: bool) {
    let world = World::planted().await;
    let sku = format!("é{}", "x".repeat(bytes - 2));
    let record = format!(r#"{{"sku":"{sku}","on_hand":1}}"#);
    let body = delivery().event("inventory_level.updated", &record).body();
    world.deliver(&body).await;
    let event = world.team.wait_for(1).await.remove(0);
    assert_eq!(event.data, Data::Inline(record));
    let subject = if is_key { &sku } else { &event.id };
    assert_eq!(event.subject, format!("inventory_level/{subject}"));
    let found = world.record("inventory_level", subject).await;
    assert_eq!(found.is_some(), is_key);
}

#[tokio::test]
// requirement: record-collected
async fn a_payment_that_collects_no_more_events_still_has_them_forwarded() {
    let world = World::planted().await;
    let payment = r#"{"invoice_id":"iv_1","amount":1,"payment_date":"2026-11-21","source":"card"}"#;
    let body = delivery().event("payment.created", payment).body();
    world.deliver(&body).await;
    let first = world.team.wait_for(1).await.remove(0);
    let (kind, id) = first.subject.split_once('/').unwrap();
    // As many bytes as an item takes, but for those of one more event.
    let had = (0..399).map(|number| format!("{number:01024}"));
    let key = json!({ "pk": { "S": format!("{}#{kind}", world.account) }, "sk": { "S": id } });
    let filled = json!({
        "TableName": world.stack.output("RecordsTable"),
        "Key": key,
        "UpdateExpression": "ADD event_ids :ids",
        "ExpressionAttributeValues": { ":ids": { "SS": had.collect::<Vec<_>>() } },
    });
    let target = "DynamoDB_20120810.UpdateItem";
    world.stack.aws("dynamodb", target, &filled).await;

    let mut events = 1;
    loop {
        world.deliver(&body).await;
        events += 1;
        world.team.wait_for(events).await;
        let record = world.record(kind, id).await.unwrap();
        if record.occurrences.len() < 399 + events {
            assert_eq!(record.occurrences.len(), 398 + events);
            break;
        }
        assert!(events < 100, "the item is never full");
    }
    let latest = world.team.wait_for(events).await.remove(events - 1);
    let record = world.record(kind, id).await.unwrap();
    assert_eq!(record.event_id.as_ref(), Some(&latest.id));
    assert!(!record.occurrences.contains(&latest.id));
    assert!(is_same_json(&record.data.unwrap(), payment));
}
