//! Kinds that are ordered by the source's own time, of a source that no release serves: what becomes of its records.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

mod world;

use std::borrow::Cow;

use consumer::Consumer;
use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::envelope::Content;
use domain::event::{Effect, EventType, Meaning, TypeRow};
use domain::lane::Lane;
use domain::provenance::{Provenance, Sequence};
use domain::record::{RecordId, Subject};
use domain::signature::{Form, Policy, ProofError, Screened};
use domain::source::Source;
use domain::subscription::{KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use sources::{Facts, Protocol};
use world::{Function, World, envelope, id, world};

/// A source that dates its orders, and nothing else.
struct Dating;

const fn row(name: &'static str, kind: &'static str, effect: Effect, timed: bool) -> TypeRow {
    TypeRow {
        name,
        kind,
        effect,
        lane: Lane::Orders,
        timed,
    }
}

static FACTS: Facts = Facts {
    title: "A source that dates its orders",
    success: 200,
    policy: Policy::Require,
    headers: &[],
    life_cycle: LifeCycle {
        credentials: &[],
        keys: KeyOrigin::TheirsGiven,
        rotates: false,
        enables: false,
        attempts: None,
        quiet_seconds: 60,
    },
    types: &[
        row("order_updated", "order", Effect::State, true),
        row("order_deleted", "order", Effect::Delete, true),
        row("order_printed", "order", Effect::Fact, true),
        row("product_updated", "product", Effect::State, false),
    ],
};

impl Protocol for Dating {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn screen(&self, _: Request<'_>) -> Result<Screened, ProofError> {
        Err(ProofError::Missing)
    }

    fn signed<'a>(&self, _: Request<'a>, _: Form) -> Option<Cow<'a, [u8]>> {
        None
    }

    fn split<'a>(&self, _: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        Err(Unreadable::NoEventList)
    }

    /// A type that it does not know is a state of its kind, in ignorance of what is timed.
    fn meaning(&self, event_type: &EventType) -> Meaning {
        let known = FACTS.row(event_type).map(TypeRow::meaning);
        known.unwrap_or_else(|| Meaning {
            kind: "order".into(),
            effect: Effect::State,
            lane: Lane::Orders,
            timed: false,
        })
    }
}

fn dating(_: Source) -> &'static dyn Protocol {
    &Dating
}

fn dating_world() -> World {
    let world = world();
    let function: Function = Consumer::with_protocols(world.function, dating);
    World { function, ..world }
}

/// An event of which the source says when it happened, in milliseconds before the first event was first seen, and its
/// own id.
fn event(
    number: u64,
    event_type: &str,
    age: Option<u64>,
    source_id: Option<&str>,
    record: &str,
) -> String {
    let content = Content::Inline(serde_json::from_str(record).unwrap());
    let at = |age| Timestamp::from_millis(1_795_176_000_000 - age);
    let mut envelope = envelope(number, event_type, Some("or_1"), content);
    let kind = Dating.meaning(&envelope.event_type).kind;
    let record_id = RecordId::new("or_1").unwrap();
    envelope.subject = Subject::new(&kind, Some(&record_id), id(number));
    envelope.provenance = Provenance {
        id: source_id.map(|id| id.parse().unwrap()),
        time: age.map(|age| at(age).to_string().parse().unwrap()),
        sequence: age.map(|age| Sequence::new(at(age), id(number))),
        event_type: None,
    };
    envelope.to_text().to_text()
}

/// What a record of this kind says.
fn data(world: &World, kind: &str) -> String {
    world.record(kind, "or_1").data.unwrap()
}

fn dated(number: u64, event_type: &str, age: u64, record: &str) -> String {
    event(number, event_type, Some(age), None, record)
}

#[tokio::test(start_paused = true)]
async fn an_old_state_that_arrives_last_does_not_win() {
    for together in [true, false] {
        let world = dating_world();
        let bodies = [
            dated(1, "order_updated", 50, r#"{"n":"new"}"#),
            dated(2, "order_updated", 90, r#"{"n":"old"}"#),
            // Of a type that is not known, and of a kind that is.
            dated(3, "order_paid", 70, r#"{"n":"older"}"#),
        ];
        for batch in bodies.chunks(if together { 3 } else { 1 }) {
            assert!(world.take(batch).await.is_empty());
        }
        assert_eq!(data(&world, "order"), r#"{"n":"new"}"#);
        assert_eq!(world.queue("ledger.fifo").len(), 3, "nothing is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_time_cannot_be_read_goes_by_first_sight() {
    let world = dating_world();
    let undated = event(2, "order_updated", None, None, r#"{"n":2}"#);
    world.take(&[undated]).await;
    let later = dated(3, "order_updated", 10, r#"{"n":3}"#);
    world.take(&[later]).await;
    assert_eq!(data(&world, "order"), r#"{"n":2}"#);
    let record = world.record("order", "or_1");
    let sequence = record.known.latest.unwrap().sequence;
    assert_eq!(sequence, Some(Sequence::of_first_sight(id(2))));
}

#[tokio::test(start_paused = true)]
async fn what_is_archived_is_brought_back() {
    let world = dating_world();
    let update = |number: u64, age| {
        dated(
            number,
            "order_updated",
            age,
            &format!(r#"{{"n":{number}}}"#),
        )
    };
    let delete = |number, age| dated(number, "order_deleted", age, r#"{"id":"or_1"}"#);
    world.take(&[update(1, 90)]).await;
    world.take(&[delete(2, 80)]).await;
    assert!(world.record("order", "or_1").is_deleted());
    world.take(&[update(3, 70)]).await;
    assert!(!world.record("order", "or_1").is_deleted());
    // In one batch, in whichever order its messages lie.
    world.take(&[update(6, 50), delete(5, 60)]).await;
    assert_eq!(data(&world, "order"), r#"{"n":6}"#);
    assert!(!world.record("order", "or_1").is_deleted());
    world.take(&[delete(4, 40)]).await;
    assert!(world.record("order", "or_1").is_deleted());
}

/// Two attempts of the source at one event: the bytes differ, the event's id does not.
#[tokio::test(start_paused = true)]
async fn one_event_of_the_source_that_comes_twice_is_marked() {
    let world = dating_world();
    let attempt = |number, source_id, record| {
        event(number, "order_updated", Some(50), Some(source_id), record)
    };
    for body in [
        attempt(1, "evt_1", r#"{"attempt":1}"#),
        attempt(2, "evt_1", r#"{"attempt":2}"#),
        attempt(3, "evt_2", r#"{"attempt":2}"#),
    ] {
        world.take(&[body]).await;
    }
    assert_eq!(world.marks("ledger.fifo"), [false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_fact_leaves_no_record_and_a_kind_without_times_has_no_place() {
    let world = dating_world();
    world.take(&[dated(1, "order_printed", 50, "{}")]).await;
    assert!(world.records.records().is_empty());
    assert_eq!(world.queue("ledger.fifo").len(), 1);
    let bodies = [
        dated(3, "product_updated", 90, r#"{"n":3}"#),
        dated(2, "product_updated", 50, r#"{"n":2}"#),
    ];
    world.take(&bodies).await;
    assert_eq!(data(&world, "product"), r#"{"n":3}"#, "by first sight");
    let record = world.record("product", "or_1");
    assert_eq!(record.known.latest.unwrap().sequence, None);
}
