//! Sizes, to the byte: what is the last to travel whole, and what the first to travel otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use domain::envelope::Content;
use domain::event::LONGEST_EVENT_TYPE;
use domain::record::LONGEST_RECORD_ID;
use rstest::rstest;
use testkit::delivery::delivery;
use testkit::fakes::Sent;
use world::world;

/// The parameter's default, which the harness sets.
const INLINE_LIMIT: usize = 250_000;
/// What the limit leaves for attributes and marks.
const HEADROOM: usize = 2_048;
/// The largest event that Lambda hands to a function: 6 MB, the body in it with its escapes or in base64.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LARGEST_INVOCATION: usize = 6 * 1024 * 1024;

/// A product whose record has so many bytes of text.
fn product(bytes: usize) -> String {
    format!(r#"{{"id":"pr_1","text":"{}"}}"#, "x".repeat(bytes))
}

fn product_delivery(bytes: usize) -> Vec<u8> {
    delivery().event("product.updated", &product(bytes)).body()
}

/// What SQS counts: the body, and the attributes with their names and types.
fn counted(sent: &Sent) -> usize {
    let attributes = sent.attributes.iter();
    let attributes = attributes.map(|(name, value)| name.len() + "String".len() + value.len());
    sent.body.len() + attributes.sum::<usize>()
}

/// The text that makes a product's message exactly as long as the limit allows.
async fn text_at_the_limit() -> usize {
    let world = world();
    assert_eq!(world.deliver(product_delivery(0)).await, 200);
    INLINE_LIMIT - HEADROOM - world.queue("products")[0].body.len()
}

#[rstest]
#[case::one_less(-1, true)]
#[case::at_the_limit(0, true)]
#[case::one_more(1, false)]
#[tokio::test(start_paused = true)]
// requirement: size-inline
async fn the_inline_limit_is_kept_to_the_byte(#[case] more: isize, #[case] inline: bool) {
    let bytes = text_at_the_limit().await.checked_add_signed(more).unwrap();
    let world = world();
    assert_eq!(world.deliver(product_delivery(bytes)).await, 200);
    let sent = &world.queue("products")[0];
    let is_inline = matches!(sent.envelope().content, Content::Inline(_));
    assert_eq!(is_inline, inline);
    if inline {
        let expected = (INLINE_LIMIT - HEADROOM).checked_add_signed(more);
        assert_eq!(Some(sent.body.len()), expected);
    }
    assert!(counted(sent) <= INLINE_LIMIT);
    assert_eq!(world.queue("products").len(), 1);
}

#[rstest]
#[case::plain(false)]
#[case::in_base64(true)]
#[tokio::test(start_paused = true)]
// requirement: size-request
async fn the_largest_request_that_lambda_hands_over_is_taken_whole(#[case] base64: bool) {
    let world = world();
    let request = |bytes| {
        let request = world.signed(product_delivery(bytes));
        if base64 { request.in_base64() } else { request }
    };
    let empty = request(0).to_json().len();
    let room = LARGEST_INVOCATION - empty;
    // Three bytes are four characters in base64; rounding may leave room for some more.
    let mut bytes = if base64 { room / 4 * 3 } else { room };
    while request(bytes + 1).to_json().len() <= LARGEST_INVOCATION {
        bytes += 1;
    }
    for bytes in [bytes - 1, bytes, bytes + 1] {
        let request = request(bytes);
        let answered = world.post(&request).await;
        assert_eq!((answered.status, &*answered.word), (200, "accepted"));
        let kept = world.receipts.kept();
        let body = product_delivery(bytes);
        let is_kept = kept.iter().any(|receipt| receipt.body == body);
        assert!(is_kept, "{bytes} bytes");
    }
    let sent = world.queue("products");
    assert_eq!(sent.len(), 3);
    for message in &sent {
        assert!(matches!(message.envelope().content, Content::Stored(_)));
    }
}

#[rstest]
#[case::one_less(LONGEST_RECORD_ID - 1, true)]
#[case::the_longest(LONGEST_RECORD_ID, true)]
#[case::one_more(LONGEST_RECORD_ID + 1, false)]
#[tokio::test(start_paused = true)]
// requirement: size-keys
async fn a_key_is_a_record_s_up_to_the_last_byte(#[case] bytes: usize, #[case] is_key: bool) {
    let world = world();
    // As bytes, not as characters: the first one has two.
    let sku = format!("é{}", "x".repeat(bytes - 2));
    let record = format!(r#"{{"sku":"{sku}"}}"#);
    let body = delivery().event("inventory_level.updated", &record).body();
    assert_eq!(world.deliver(body).await, 200);
    let sent = &world.queue("inventory")[0];
    let envelope = sent.envelope();
    let subject = envelope.subject.as_str();
    let expected = format!("inventory_level/{sku}");
    assert_eq!(subject == expected, is_key, "{subject}");
    let key = envelope.subject.record(&world.account, envelope.id);
    assert_eq!(key.is_some(), is_key);
    assert!(matches!(envelope.content, Content::Inline(data) if data.get() == record));
}

#[rstest]
#[case::one_less(LONGEST_EVENT_TYPE - 1, true)]
#[case::the_longest(LONGEST_EVENT_TYPE, true)]
#[case::one_more(LONGEST_EVENT_TYPE + 1, false)]
#[tokio::test(start_paused = true)]
// requirement: size-keys
async fn an_event_type_is_one_up_to_its_last_character(
    #[case] bytes: usize,
    #[case] is_type: bool,
) {
    let world = world();
    let event_type = format!("thing.{}", "x".repeat(bytes - "thing.".len()));
    let body = delivery().event(&event_type, r#"{"id":"th_1"}"#).body();
    assert_eq!(world.deliver(body).await, 200);
    let (queued, quarantined) = (world.queue("other"), world.queue("quarantine"));
    if is_type {
        assert_eq!(queued[0].envelope().event_type.as_str(), event_type);
        assert!(quarantined.is_empty());
    } else {
        assert!(queued.is_empty());
        assert_eq!(quarantined[0].json()["elements"][0]["index"], 0);
    }
}

#[rstest]
#[case::one_less(999)]
#[case::the_most(1_000)]
#[case::one_more(1_001)]
#[tokio::test(start_paused = true)]
// requirement: size-events
async fn a_thousand_events_are_the_most(#[case] events: usize) {
    let world = world();
    assert_eq!(world.deliver(delivery().orders(events).body()).await, 200);
    let (queued, quarantined) = if events > 1_000 { (0, 1) } else { (events, 0) };
    assert_eq!(world.queue("orders").len(), queued);
    assert_eq!(world.queue("quarantine").len(), quarantined);
}
