//! Unified events: a second rendering for the routes that ask for it, and for no other.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod world;

use std::collections::BTreeSet;

use domain::envelope::DataRef;
use domain::ports::{ClaimCheck as _, QueueUrl};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::fakes::{Fault, Sent};
use world::{World, event, id, order, stored, world, world_with};

/// `native` takes all as it is, `shop` all in the unified form, `orders` unified orders into a FIFO queue that also gets
/// them as they are, `relay` unified events of a source that sends none here.
const ROUTES: &str = r#"[
    {"team":"native","queue":"native","types":["*"],"accounts":["*"]},
    {"team":"shop","queue":"shop","types":["*"],"accounts":["*"],"format":"unified"},
    {"team":"orders","queue":"orders.fifo","types":["ecommerce.order.*"],"accounts":["*"],"format":"unified"},
    {"team":"orders","queue":"orders.fifo","types":["orderspace.order.*"],"accounts":["*"],"sources":["orderspace"]},
    {"team":"relay","queue":"relay","types":["*"],"accounts":["*"],"sources":["stackone"],"format":"unified"}
]"#;

fn unified_world() -> World {
    world_with(ROUTES)
}

fn types(sent: &[Sent]) -> Vec<String> {
    let types = sent.iter().map(|sent| sent.attributes["type"].clone());
    types.collect()
}

/// The resource in a message, or where it points.
async fn resource(world: &World, sent: &Sent) -> Value {
    let envelope = sent.json();
    match envelope.get("dataref").and_then(Value::as_str) {
        None => envelope["data"].clone(),
        Some(place) => {
            let place = DataRef::parse(place).unwrap();
            serde_json::from_slice(&world.oversize.get(&place).await.unwrap()).unwrap()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_of_unified_events_gets_them_in_the_native_one_s_envelope() {
    let world = unified_world();
    let record = r#"{"id":"or_1","number":7,"gross_total":12.50,"net_total":10.0,"status":"new"}"#;
    let body = event(1, "order.created", Some("or_1"), record);
    assert!(world.take(std::slice::from_ref(&body)).await.is_empty());
    assert_eq!(world.queue("native")[0].body, body);
    let shop = world.queue("shop");
    assert_eq!(shop.len(), 1);
    let (mut unified, mut native) = (shop[0].json(), world.queue("native")[0].json());
    assert_eq!(unified["type"], "ecommerce.order.created");
    assert_eq!(unified["sourcetype"], "orderspace.order.created");
    assert_eq!(unified["data"]["total_amount"], "12.50");
    assert_eq!(unified["data"]["total_tax"], "2.50");
    assert_eq!(unified["data"]["order_number"], "7");
    // All else is the native event's.
    for member in ["type", "sourcetype", "data"] {
        unified.as_object_mut().unwrap().remove(member);
        native.as_object_mut().unwrap().remove(member);
    }
    assert_eq!(unified, native);
    assert_eq!(shop[0].attributes["type"], "ecommerce.order.created");
    assert_eq!(shop[0].attributes["subject"], "order/or_1");
    assert!(world.queue("relay").is_empty());
    // What is stored is the record as it came.
    assert_eq!(world.record("order", "or_1").data.unwrap(), record);
    assert!(world.oversize.objects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_may_have_both_forms_of_an_event() {
    let world = unified_world();
    let batch = [order(1, "created", "new"), order(1, "created", "new")];
    assert!(world.take(&batch).await.is_empty());
    let sent = world.queue("orders.fifo");
    let mut types = types(&sent);
    types.sort();
    let both = ["ecommerce.order.created", "orderspace.order.created"];
    assert_eq!(types, both);
    let ids = sent.iter().filter_map(|sent| sent.deduplication.clone());
    let expected = [id(1).to_string(), format!("{}.unified", id(1))];
    assert_eq!(ids.collect::<BTreeSet<_>>(), expected.into());
    assert_eq!(sent[0].group, sent[1].group);
}

#[rstest]
#[case::a_type_without_a_form("dispatch.created", r#"{"id":"di_1"}"#)]
#[case::a_type_of_tomorrow("order.paid", r#"{"id":"or_1"}"#)]
#[case::a_record_without_an_id("order.created", "{}")]
#[tokio::test(start_paused = true)]
async fn an_event_without_a_unified_form_goes_to_the_other_routes_alone(
    #[case] event_type: &str,
    #[case] record: &str,
) {
    let world = unified_world();
    let body = event(1, event_type, Some("x_1"), record);
    assert!(world.take(&[body]).await.is_empty());
    assert_eq!(world.queue("native").len(), 1);
    assert!(world.queue("shop").is_empty());
    assert!(world.queue("undelivered").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_its_id_and_a_mark_stays() {
    let world = unified_world();
    let delete = |number| order(number, "deleted", "gone");
    world.take(&[delete(1)]).await;
    world.take(&[delete(2)]).await;
    let shop = world.queue("shop");
    assert_eq!(shop[0].json()["data"], json!({ "id": "or_1" }));
    assert_eq!(shop[0].json().get("possibleduplicate"), None);
    assert_eq!(shop[1].json()["possibleduplicate"], true);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_travels_apart_is_rendered_too() {
    let world = unified_world();
    let record = br#"{"id":"or_1","gross_total":5}"#;
    let place = world.oversize.put("events/acme/1", record).await.unwrap();
    let body = stored(1, "order.updated", "or_1", place);
    assert!(world.take(&[body]).await.is_empty());
    let shop = world.queue("shop");
    assert_eq!(shop[0].json()["data"]["total_amount"], "5");
    assert!(world.queue("native")[0].json().get("dataref").is_some());
}

/// An order of so many lines, which is larger in the unified form.
fn long_order(lines: usize) -> String {
    let lines = vec![r#"{"quantity":1}"#; lines].join(",");
    format!(r#"{{"id":"or_1","order_lines":[{lines}]}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_unified_event_that_does_not_fit_goes_by_a_pointer() {
    let world = unified_world();
    let body = event(1, "order.updated", Some("or_1"), &long_order(2_000));
    assert!(world.take(&[body]).await.is_empty());
    let shop = world.queue("shop");
    let place = format!("s3://oversize/unified/acme/{}", id(1));
    assert_eq!(shop[0].json()["dataref"], place);
    assert!(shop[0].json().get("data").is_none());
    let order = resource(&world, &shop[0]).await;
    assert_eq!(order["line_items"].as_array().unwrap().len(), 2_000);
    // The native event still fits.
    assert!(world.queue("native")[0].json().get("data").is_some());
    assert_eq!(world.oversize.objects().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_character_that_sqs_refuses_goes_by_a_pointer() {
    let world = unified_world();
    let record = "{\"id\":\"or_1\",\"customer_note\":\"\\uffff\"}";
    let body = event(1, "order.updated", Some("or_1"), record);
    assert!(world.take(&[body]).await.is_empty());
    let shop = world.queue("shop");
    assert!(shop[0].json().get("dataref").is_some());
    assert_eq!(resource(&world, &shop[0]).await["note"], "\u{FFFF}");
}

/// Both a large record that cannot be read any more and a large resource that cannot be kept come again.
#[rstest]
#[case::read("oversize.get", true)]
#[case::kept("oversize.put", false)]
#[tokio::test(start_paused = true)]
async fn what_cannot_be_rendered_comes_again_and_others_have_their_events(
    #[case] call: &str,
    #[case] apart: bool,
) {
    let world = unified_world();
    let large = long_order(2_000);
    let place = world.oversize.put("events/acme/1", large.as_bytes()).await;
    let place = place.unwrap();
    let body = match apart {
        true => stored(1, "order.updated", "or_1", place),
        false => event(1, "order.updated", Some("or_1"), &large),
    };
    // The record is read once to be applied, and once more to be rendered.
    if apart {
        world.fault(call, Fault::nothing());
    }
    world.fault(call, Fault::transient("SlowDown"));
    let small = event(2, "product.updated", Some("pr_1"), r#"{"id":"pr_1"}"#);
    assert_eq!(world.take(&[body.clone(), small]).await, [0]);
    assert_eq!(world.queue("native").len(), 2);
    assert_eq!(types(&world.queue("shop")), ["ecommerce.product.updated"]);
    assert!(world.take(&[body]).await.is_empty());
    assert_eq!(world.queue("shop").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_unified_team_refuses_is_set_aside_in_its_form() {
    let world = unified_world();
    world.queues.remove(&QueueUrl::new("shop"));
    assert!(world.take(&[order(1, "created", "new")]).await.is_empty());
    let undelivered = world.queue("undelivered");
    assert_eq!(undelivered.len(), 1);
    let undelivered = undelivered[0].json();
    assert_eq!(undelivered["team"], "shop");
    assert_eq!(undelivered["envelope"]["type"], "ecommerce.order.created");
    assert_eq!(undelivered["envelope"]["data"]["id"], "or_1");
}

#[tokio::test(start_paused = true)]
async fn without_a_route_of_unified_events_nothing_is_rendered() {
    let world = world();
    let record = br#"{"id":"or_1"}"#;
    let place = world.oversize.put("events/acme/1", record).await.unwrap();
    let body = stored(1, "order.updated", "or_1", place);
    assert!(world.take(&[body]).await.is_empty());
    assert_eq!(world.oversize.calls()["get"], 1, "to be applied");
    assert_eq!(types(&world.queue("sales")), ["orderspace.order.updated"]);
}

/// Resources that are small one by one are many times their records together.
#[tokio::test(start_paused = true)]
async fn a_batch_keeps_so_much_in_memory_and_the_rest_apart() {
    let world = unified_world();
    let body = |number| {
        let id = format!("or_{number}");
        event(number, "order.updated", Some(&id), &long_order(800))
    };
    let bodies: Vec<String> = (0..120).map(body).collect();
    assert!(world.take(&bodies).await.is_empty());
    let shop = world.queue("shop");
    let is_apart = |sent: &&Sent| sent.json().get("dataref").is_some();
    let apart = shop.iter().filter(is_apart).count();
    assert_eq!(shop.len(), 120);
    assert!((1..120).contains(&apart), "{apart}");
    assert_eq!(world.oversize.objects().len(), apart);
}
