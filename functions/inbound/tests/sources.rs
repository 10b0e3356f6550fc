//! What sources bring that no release serves yet: times and ids of their own.

mod world;

use domain::envelope::Envelope;
use domain::provenance::Sequence;
use domain::timestamp::Timestamp;
use rstest::rstest;
use testkit::gateway::{HookRequest, RECEIVED_MILLIS, hook};
use testkit::signing::sign_in_hex;
use world::source::requiring;
use world::{KEY, World, world_of};

fn signed(world: &World, body: &str) -> HookRequest {
    hook(world.token.expose(), body).header("x-signature", &sign_in_hex(KEY, body.as_bytes()))
}

fn order(world: &World, body: &str) -> HookRequest {
    signed(world, body).header("x-topic", "order_updated")
}

/// The gateway received it at 2026-11-20T12:00:00.123Z.
#[rstest]
#[case::dated(Some("2026-11-20T11:00:00Z"), "order_updated", Some(RECEIVED_MILLIS - 3_600_123))]
#[case::of_a_type_that_is_not_known(
    Some("2026-11-20T11:00:00Z"),
    "order_paid",
    Some(RECEIVED_MILLIS - 3_600_123)
)]
#[case::by_a_clock_that_runs_ahead(
    Some("2030-01-01T00:00:00Z"),
    "order_updated",
    Some(RECEIVED_MILLIS)
)]
#[case::before_1970(Some("1969-01-01T00:00:00Z"), "order_updated", Some(0))]
#[case::unreadable(Some("yesterday"), "order_updated", None)]
#[case::undated(None, "order_updated", None)]
#[case::of_a_kind_that_is_not_timed(Some("2026-11-20T11:00:00Z"), "product_updated", None)]
#[tokio::test(start_paused = true)]
async fn an_event_has_its_place_by_the_source_s_time(
    #[case] at: Option<&str>,
    #[case] topic: &str,
    #[case] place: Option<u64>,
) {
    let world = world_of(requiring);
    let body = serde_json::json!({ "id": "evt_1", "at": at, "record": {} }).to_string();
    let request = signed(&world, &body).header("x-topic", topic);
    assert_eq!(world.post(&request).await.status, 202);
    let sent = &world.queue("orders")[0];
    let envelope = Envelope::parse(&sent.body).unwrap();
    let provenance = &envelope.provenance;
    assert_eq!(provenance.id, Some("evt_1".parse().unwrap()));
    assert_eq!(provenance.time, at.and_then(|at| at.parse().ok()));
    let place = place.map(|at| Sequence::new(Timestamp::from_millis(at), envelope.id));
    assert_eq!(provenance.sequence, place);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_which_the_source_says_nothing_says_nothing_of_it() {
    let world = world_of(requiring);
    let request = order(&world, r#"{"record":{}}"#);
    assert_eq!(world.post(&request).await.status, 202);
    let body = &world.queue("orders")[0].body;
    for member in ["sourceid", "sourcetime", "sequence", "sourcetype"] {
        assert!(!body.contains(member), "{body}");
    }
}
