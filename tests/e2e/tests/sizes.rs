//! Sizes: what no queue carries travels behind a pointer, and what no item holds is read back all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use e2e::World;
use e2e::team::Data;
use rstest::rstest;
use testkit::contract::is_same_json;
use testkit::delivery::delivery;
use testkit::fixtures;

#[rstest]
#[case::a_map("current/product.created.json", "data", false)]
#[case::compressed("product-500-kb", "compact", true)]
#[case::in_s3("product-noise-1-mb", "dataref", true)]
#[case::a_large_order("order-2-mb", "compact", true)]
#[tokio::test]
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

#[tokio::test]
async fn a_delivery_at_the_platforms_limit_goes_through() {
    let world = World::planted().await;
    // Lambda takes 6 MB with every quote escaped; few quotes leave room for near 5 MB of plain JSON.
    let text = "a line of an order's note, which is plain text; ".repeat(2_000);
    let record = |number: usize| format!(r#"{{"id":"or_{number:05}","note":"{text}{number}"}}"#);
    let body = (0..50)
        .fold(delivery(), |body, number| {
            body.event("order.updated", &record(number))
        })
        .body();
    assert!(
        (4_700_000..5_000_000).contains(&body.len()),
        "{}",
        body.len()
    );
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
async fn one_event_of_nearly_five_megabytes_goes_through() {
    let world = World::planted().await;
    let record = format!(
        r#"{{"id":"pr_1","text":"{}"}}"#,
        "plain text, ".repeat(400_000)
    );
    let body = delivery().event("product.updated", &record).body();
    assert!(
        (4_700_000..5_000_000).contains(&body.len()),
        "{}",
        body.len()
    );
    world.deliver(&body).await;
    let events = world.team.wait_for(1).await;
    assert!(matches!(events[0].data, Data::Stored(_)));
    assert!(events[0].record(&world.stack).await == record.as_bytes());
    let product = world.record("product", "pr_1").await.unwrap();
    assert!(is_same_json(&product.data.unwrap(), &record));
}

#[rstest]
#[case::just_below(240_000, false)]
#[case::just_above(250_000, true)]
#[tokio::test]
async fn the_inline_limit_decides(#[case] bytes: usize, #[case] behind_a_pointer: bool) {
    let world = World::planted().await;
    let record = format!(r#"{{"id":"pr_1","text":"{}"}}"#, "x".repeat(bytes));
    world
        .deliver(&delivery().event("product.updated", &record).body())
        .await;
    let events = world.team.wait_for(1).await;
    assert_eq!(matches!(events[0].data, Data::Stored(_)), behind_a_pointer);
    assert!(events[0].record(&world.stack).await == record.as_bytes());
}
