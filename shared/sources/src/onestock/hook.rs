//! OneStock's deliveries: <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>, as the vendor's connector
//! for Magento reads them: <https://github.com/OneStock-Retail/onestock-magento-connector>.
//!
//! A delivery is one message, a flat JSON object. Nothing says where its topic stands, so the topic is, in this order:
//!
//! 1. the part of the registration that the URL names;
//! 2. what a header names ([`TOPIC_HEADERS`]);
//! 3. a standard topic in `topic`, `event` or `type`;
//! 4. what the message's members tell, where only one topic has them ([`SHAPES`]);
//! 5. [`UNKNOWN`].
//!
//! A message may also be wrapped: beside `topic` or `event` stands one object, `message`, `data` or `payload`. That
//! object is the record then, and the name is taken for a topic though it is not a standard one.

use std::borrow::Cow;

use domain::delivery::{Delivery, ElementFault, Split, Unreadable};
use domain::event::EventType;
use domain::identity::{BodyHash, RetryKey};
use domain::record::RecordId;
use domain::signature::LiveSecrets;
use domain::timestamp::Timestamp;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::signature;
use super::topics::{UNKNOWN, meaning, row_of};
use crate::json::{FromMembers, Name, id_of, object, text_of, time_of};
use crate::objects::{self, Read};
use crate::{SignedDelivery, only_value};

/// The headers that may name a message's topic.
pub(super) const TOPIC_HEADERS: [&str; 2] = ["onestock-topic", "x-onestock-topic"];

/// The members in which a wrapped message stands.
const WRAPPERS: [&str; 3] = ["message", "data", "payload"];

/// What a topic is recognised by: members that are there, and one that is not.
struct Shape {
    has: &'static [&'static str],
    lacks: Option<&'static str>,
    topic: ShapeTopic,
}

/// The topic that a shape stands for.
enum ShapeTopic {
    /// This one.
    Is(&'static str),
    /// The message's `entity_type` and this ending.
    Ending(&'static str),
}

const fn shape(has: &'static [&'static str], topic: &'static str) -> Shape {
    Shape {
        has,
        lacks: None,
        topic: ShapeTopic::Is(topic),
    }
}

const fn of_entity(has: &'static [&'static str], ending: &'static str) -> Shape {
    Shape {
        has,
        lacks: None,
        topic: ShapeTopic::Ending(ending),
    }
}

/// The shapes that one topic alone has. The first that fits counts.
static SHAPES: [Shape; 19] = [
    shape(
        &["order_id", "old_state", "new_state", "order_item_id"],
        "line_item_group_state_changed",
    ),
    shape(
        &["order_id", "old_state", "new_state", "parcel_id"],
        "parcel_state_changed",
    ),
    shape(
        &["order_id", "old_state", "new_state"],
        "order_state_changed",
    ),
    of_entity(
        &["entity_type", "entity_id", "old_state", "new_state"],
        "_state_changed",
    ),
    of_entity(&["entity_type", "entity_id", "diff"], "_entity_updated"),
    shape(&["custom_actions"], "orchestration_rules_changed"),
    shape(&["from", "to", "ruleset_id"], "orchestration_rules_changed"),
    shape(
        &["ruleset_id", "line_item_index_ranges"],
        "orchestration_rules_over",
    ),
    shape(&["added_reservations"], "line_items_reservations_updated"),
    shape(&["removed_reservations"], "line_items_reservations_updated"),
    shape(&["returned_line_items"], "return_parcel_created"),
    shape(&["return_line_item_groups"], "return_parcel_created@v3"),
    shape(&["shipment_id", "carrier"], "shipment_created"),
    Shape {
        lacks: Some("order_id"),
        ..shape(&["tracking_link", "carrier"], "tracking_link_created")
    },
    shape(&["psp"], "psp_error_occurred"),
    shape(&["carrier", "request_route"], "carrier_error_occurred"),
    shape(&["exported_lines_count"], "stock_export_completed"),
    shape(&["invalid_transfers"], "transfer_import_error_occurred"),
    shape(&["error_content"], "stock_import_error_occurred"),
];

/// The members of a message that are looked at.
const MEMBERS: [&str; 36] = [
    // Where its topic or the message itself may stand.
    "topic",
    "event",
    "type",
    "message",
    "data",
    "payload",
    // Its time.
    "date",
    "last_update",
    // Its record.
    "entity_id",
    "export_id",
    "id",
    "import_id",
    "order_id",
    "order_item_id",
    "parcel_id",
    "shipment_id",
    // Its shape.
    "added_reservations",
    "carrier",
    "custom_actions",
    "diff",
    "entity_type",
    "error_content",
    "exported_lines_count",
    "from",
    "invalid_transfers",
    "line_item_index_ranges",
    "new_state",
    "old_state",
    "psp",
    "removed_reservations",
    "request_route",
    "return_line_item_groups",
    "returned_line_items",
    "ruleset_id",
    "to",
    "tracking_link",
];

/// A message, as far as it is looked at.
struct Message<'a> {
    values: [Option<&'a RawValue>; MEMBERS.len()],
    /// How many members are objects.
    objects: usize,
}

impl<'de> FromMembers<'de> for Message<'de> {
    fn from_members<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut message = Self {
            values: [None; MEMBERS.len()],
            objects: 0,
        };
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let value: &RawValue = map.next_value()?;
            message.objects += usize::from(value.get().starts_with('{'));
            let place = MEMBERS
                .iter()
                .position(|member| *name.0 == *member.as_bytes());
            if let Some(place) = place.and_then(|place| message.values.get_mut(place)) {
                *place = Some(value);
            }
        }
        Ok(message)
    }
}

impl<'a> Message<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let place = MEMBERS.iter().position(|member| *member == name)?;
        self.values.get(place).copied().flatten()
    }

    /// Whether a member says something: some programs write `null` or an empty text for what is not there.
    fn has(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| !matches!(value.get(), "null" | "\"\""))
    }

    fn id(&self, name: &str) -> Option<String> {
        self.get(name).and_then(id_of).map(Cow::into_owned)
    }

    /// The message that is wrapped in this one.
    fn wrapped(&self) -> Option<&'a RawValue> {
        let is_named = ["topic", "event"]
            .into_iter()
            .any(|name| self.topic_in(name).is_some());
        let mut objects = WRAPPERS
            .iter()
            .filter_map(|name| self.get(name))
            .filter(|value| value.get().starts_with('{'));
        let only = objects.next()?;
        (is_named && self.objects == 1).then_some(only)
    }

    /// What a member names, if that can be a topic.
    fn topic_in(&self, name: &str) -> Option<EventType> {
        text_of(self.get(name)?)?.parse().ok()
    }

    /// The topic that the message's shape tells.
    fn topic_of_shape(&self) -> Option<EventType> {
        let shape = SHAPES.iter().find(|shape| {
            shape.has.iter().all(|name| self.has(name))
                && !shape.lacks.is_some_and(|name| self.has(name))
        })?;
        match shape.topic {
            ShapeTopic::Is(topic) => topic.parse().ok(),
            ShapeTopic::Ending(ending) => {
                let entity = text_of(self.get("entity_type")?)?;
                format!("{entity}{ending}").parse().ok()
            }
        }
    }
}

/// A delivery of one message, whose topic a header names: no URL of a registration without parts does.
pub(super) fn signed_delivery(
    secrets: &LiveSecrets,
    event_type: &EventType,
    record: &RawValue,
    at: Timestamp,
) -> Option<SignedDelivery> {
    let body = record.get().as_bytes().to_vec();
    let [topic, _] = TOPIC_HEADERS;
    Some(SignedDelivery {
        headers: vec![
            signature::header(secrets, at, &body)?,
            (topic, event_type.to_string()),
        ],
        body,
    })
}

/// Splits a delivery into its events.
pub(super) fn split(delivery: Delivery<'_>) -> Result<Split<'_>, Unreadable> {
    let topic = topic_outside(delivery);
    objects::split(delivery.body, |element| read(element, topic.as_ref()))
}

/// What a retry is recognised by. Some topics' messages look alike: with another topic beside them, the same bytes are
/// another message, which must not be given the identity of the first.
pub(super) fn retry_key(delivery: Delivery<'_>, body: BodyHash) -> RetryKey {
    match topic_outside(delivery) {
        Some(topic) => RetryKey::of_topic(topic.as_str(), body),
        None => body.into(),
    }
}

/// The topic that the request names beside its body.
fn topic_outside(delivery: Delivery<'_>) -> Option<EventType> {
    let header = |name| {
        let value = only_value(delivery.headers, name).ok()?;
        std::str::from_utf8(value).ok()?.parse().ok()
    };
    let part = delivery.part.parse().ok();
    part.or_else(|| TOPIC_HEADERS.into_iter().find_map(header))
}

fn read<'a>(element: &'a RawValue, outside: Option<&EventType>) -> Result<Read<'a>, ElementFault> {
    let whole: Message<'_> = object(element).ok_or(ElementFault::NotAnObject)?;
    let inner = whole.wrapped();
    let message: Option<Message<'_>> = inner.and_then(object);
    let named = ["topic", "event", "type"]
        .into_iter()
        .filter_map(|name| Some((name, whole.topic_in(name)?)))
        .find(|(name, topic)| {
            row_of(topic.as_str()).is_some() || (inner.is_some() && *name != "type")
        });
    let (message, record) = match (&message, inner) {
        (Some(message), Some(inner)) => (message, inner),
        _ => (&whole, element),
    };
    let event_type = match outside.cloned().or(named.map(|(_, topic)| topic)) {
        Some(topic) => topic,
        None => match message.topic_of_shape() {
            Some(topic) => topic,
            None => UNKNOWN.parse().map_err(|_| ElementFault::NoType)?,
        },
    };
    let meaning = meaning(&event_type);
    let times = [message, &whole]
        .into_iter()
        .flat_map(|message| [message.get("date"), message.get("last_update")]);
    Ok(Read {
        record_id: record_id(&meaning.kind, message).and_then(|id| RecordId::new(id).ok()),
        source_time: times.flatten().find_map(time_of),
        event_type,
        meaning,
        record,
    })
}

/// The identity of the record that a message of this kind is about.
fn record_id(kind: &str, message: &Message<'_>) -> Option<String> {
    let members: &[&str] = match kind {
        "order" => &["order_id", "entity_id"],
        "parcel" => &["parcel_id", "entity_id"],
        "return_parcel" => &["entity_id", "id"],
        "orchestration" | "candidates" => &["order_id"],
        "shipment" => &["shipment_id", "entity_id"],
        "stock_export" => &["export_id"],
        "line_item_group" => return line_item_group(message),
        import if import.ends_with("_import") || import.ends_with("_import_error") => {
            &["import_id"]
        }
        _ => &["entity_id"],
    };
    members.iter().find_map(|name| message.id(name))
}

/// An item of an order is the item of that order alone.
fn line_item_group(message: &Message<'_>) -> Option<String> {
    let order = message.id("order_id");
    match (order, message.id("order_item_id")) {
        // With a slash in the first, two pairs could read as one.
        (Some(order), Some(item)) if !order.contains('/') => Some(format!("{order}/{item}")),
        (Some(_), Some(_)) => None,
        _ => message.id("entity_id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::record::LONGEST_RECORD_ID;
    use domain::source::Source;
    use http::{HeaderMap, HeaderValue};
    use rstest::rstest;
    use std::collections::BTreeSet;

    struct One {
        topic: String,
        id: Option<String>,
        time: Option<String>,
        record: String,
    }

    fn delivered(part: &str, headers: &[(&'static str, &str)], body: &str) -> One {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let split = split(Delivery {
            headers: &map,
            part,
            body: body.as_bytes(),
        })
        .unwrap();
        let [event] = &*split.events else {
            panic!("{body} is not one event")
        };
        One {
            topic: event.event_type.to_string(),
            id: event.record_id.as_ref().map(|id| id.as_str().to_owned()),
            time: event.source_time.as_ref().map(ToString::to_string),
            record: event.record.get().to_owned(),
        }
    }

    fn one(body: &str) -> One {
        delivered("", &[], body)
    }

    /// A name that is looked for, and not kept, is never found.
    #[test]
    fn every_member_of_a_shape_is_kept() {
        let kept: BTreeSet<_> = MEMBERS.into_iter().collect();
        assert_eq!(kept.len(), MEMBERS.len());
        for shape in &SHAPES {
            for name in shape.has.iter().chain(&shape.lacks) {
                assert!(kept.contains(name), "{name}");
            }
            if let ShapeTopic::Is(topic) = shape.topic {
                assert!(row_of(topic).is_some(), "{topic}");
            }
        }
        assert!(WRAPPERS.iter().all(|name| kept.contains(name)));
    }

    const BODY: &str = r#"{"topic":"user_import_completed","import_id":"1","status":"done"}"#;

    #[rstest]
    #[case::part("item_import_completed", &[("onestock-topic", "stock_import_completed")], "item_import_completed")]
    #[case::custom_part("gift_wrapped", &[], "gift_wrapped")]
    #[case::version("return_parcel_created@v3", &[], "return_parcel_created@v3")]
    #[case::part_that_is_no_topic("a b", &[("onestock-topic", "stock_import_completed")], "stock_import_completed")]
    #[case::header("", &[("onestock-topic", "stock_import_completed")], "stock_import_completed")]
    #[case::the_other_header("", &[("x-onestock-topic", " gift_wrapped ")], "gift_wrapped")]
    #[case::both("", &[("x-onestock-topic", "b"), ("onestock-topic", "a")], "a")]
    #[case::one_of_them_twice("", &[("onestock-topic", "a"), ("onestock-topic", "b"), ("x-onestock-topic", "c")], "c")]
    #[case::twice("", &[("onestock-topic", "a"), ("onestock-topic", "a")], "user_import_completed")]
    #[case::empty_header("", &[("onestock-topic", "")], "user_import_completed")]
    #[case::header_that_is_no_topic("", &[("onestock-topic", "a b")], "user_import_completed")]
    #[case::header_that_is_no_text("", &[("onestock-topic", "\u{e9}")], "user_import_completed")]
    #[case::a_header_that_is_not_listed("", &[("x-topic", "a")], "user_import_completed")]
    fn a_topic_is_looked_for_outside_the_body_first(
        #[case] part: &str,
        #[case] headers: &[(&'static str, &str)],
        #[case] topic: &str,
    ) {
        let one = delivered(part, headers, BODY);
        assert_eq!(one.topic, topic);
        assert_eq!(one.record, BODY);
    }

    #[rstest]
    #[case::topic(r#"{"topic":"candidates_added","order_id":"o"}"#, "candidates_added")]
    #[case::event(r#"{"event":"candidates_added","order_id":"o"}"#, "candidates_added")]
    #[case::a_type(r#"{"type":"candidates_added","order_id":"o"}"#, "candidates_added")]
    #[case::the_first_that_is_known(
        r#"{"topic":"web","event":"candidates_added","type":"rules_over"}"#,
        "candidates_added"
    )]
    #[case::before_the_shape(
        r#"{"type":"order_entity_updated","order_id":"o","old_state":"a","new_state":"b"}"#,
        "order_entity_updated"
    )]
    #[case::one_that_is_not_known(
        r#"{"type":"gift","order_id":"o","old_state":"a","new_state":"b"}"#,
        "order_state_changed"
    )]
    #[case::no_text(r#"{"topic":7,"type":{"a":1}}"#, "unknown")]
    #[case::too_long(&format!(r#"{{"topic":"{}"}}"#, "a".repeat(101)), "unknown")]
    #[case::malformed(r#"{"topic":"candidates added"}"#, "unknown")]
    fn a_member_names_a_standard_topic(#[case] body: &str, #[case] topic: &str) {
        assert_eq!(one(body).topic, topic);
    }

    #[rstest]
    #[case::order(
        r#"{"order_id":"o","date":1,"old_state":"a","new_state":"b"}"#,
        "order_state_changed"
    )]
    #[case::parcel(
        r#"{"order_id":"o","old_state":"a","new_state":"b","parcel_id":"p"}"#,
        "parcel_state_changed"
    )]
    #[case::parcel_of_null(
        r#"{"order_id":"o","old_state":"a","new_state":"b","parcel_id":null}"#,
        "order_state_changed"
    )]
    #[case::item_of_nothing(
        r#"{"order_id":"o","old_state":"a","new_state":"b","order_item_id":""}"#,
        "order_state_changed"
    )]
    #[case::item(
        r#"{"order_id":"o","old_state":"a","new_state":"b","order_item_id":"i"}"#,
        "line_item_group_state_changed"
    )]
    #[case::no_old_state(r#"{"order_id":"o","new_state":"b"}"#, "unknown")]
    #[case::container(
        r#"{"entity_type":"container","entity_id":"c","old_state":"a","new_state":"b"}"#,
        "container_state_changed"
    )]
    #[case::another_entity(
        r#"{"entity_type":"store","entity_id":"s","old_state":"a","new_state":"b"}"#,
        "store_state_changed"
    )]
    #[case::an_entity_that_is_no_name(
        r#"{"entity_type":"a store","entity_id":"s","old_state":"a","new_state":"b"}"#,
        "unknown"
    )]
    #[case::an_entity_that_is_no_text(
        r#"{"entity_type":{},"entity_id":"s","old_state":"a","new_state":"b"}"#,
        "unknown"
    )]
    #[case::difference(
        r#"{"entity_type":"order","entity_id":"o","diff":{}}"#,
        "order_entity_updated"
    )]
    #[case::actions(r#"{"custom_actions":[]}"#, "orchestration_rules_changed")]
    #[case::rules(
        r#"{"ruleset_id":"r","from":"a","to":"b"}"#,
        "orchestration_rules_changed"
    )]
    #[case::rules_over(
        r#"{"ruleset_id":"r","order_id":"o","line_item_index_ranges":[]}"#,
        "orchestration_rules_over"
    )]
    #[case::added(r#"{"added_reservations":[]}"#, "line_items_reservations_updated")]
    #[case::removed(r#"{"removed_reservations":[]}"#, "line_items_reservations_updated")]
    #[case::returned(r#"{"returned_line_items":[]}"#, "return_parcel_created")]
    #[case::returned_groups(r#"{"return_line_item_groups":[]}"#, "return_parcel_created@v3")]
    #[case::shipment(
        r#"{"shipment_id":"s","carrier":"c","order_id":"o"}"#,
        "shipment_created"
    )]
    #[case::tracking(r#"{"tracking_link":"l","carrier":"c"}"#, "tracking_link_created")]
    #[case::tracking_of_an_order(
        r#"{"tracking_link":"l","carrier":"c","order_id":"o"}"#,
        "unknown"
    )]
    #[case::payment(r#"{"psp":"p","request_route":"/"}"#, "psp_error_occurred")]
    #[case::carrier(r#"{"carrier":"c","request_route":"/"}"#, "carrier_error_occurred")]
    #[case::exported(r#"{"exported_lines_count":0}"#, "stock_export_completed")]
    #[case::transfers(r#"{"invalid_transfers":"[]"}"#, "transfer_import_error_occurred")]
    #[case::stock(
        r#"{"error_content":"x","import_id":"i"}"#,
        "stock_import_error_occurred"
    )]
    #[case::one_of_nine(r#"{"import_id":"i","status":"done"}"#, "unknown")]
    #[case::one_of_sixteen(r#"{"errors":[],"date":1795176000}"#, "unknown")]
    #[case::one_of_two(r#"{"order_id":"o","endpoint_ids":[]}"#, "unknown")]
    #[case::one_of_two_others(r#"{"order_id":"o","ruleset_id":"r"}"#, "unknown")]
    #[case::nothing("{}", "unknown")]
    fn a_shape_that_one_topic_has_stands_for_it(#[case] body: &str, #[case] topic: &str) {
        assert_eq!(one(body).topic, topic);
    }

    const STATE: &str = r#"{"order_id":"o","date":1795176000,"old_state":"a","new_state":"b"}"#;

    #[rstest]
    #[case::message(&format!(r#"{{"topic":"gift_wrapped","message":{STATE}}}"#), "gift_wrapped", true)]
    #[case::data(&format!(r#"{{"event":"order_state_changed","data":{STATE}}}"#), "order_state_changed", true)]
    #[case::payload(&format!(r#"{{"payload":{STATE},"id":"1","topic":"a"}}"#), "a", true)]
    #[case::no_name(&format!(r#"{{"message":{STATE}}}"#), "unknown", false)]
    #[case::a_name_that_is_no_topic(&format!(r#"{{"topic":"","message":{STATE}}}"#), "unknown", false)]
    #[case::two_objects(&format!(r#"{{"topic":"a","message":{STATE},"information":{{}}}}"#), "unknown", false)]
    #[case::twice(&format!(r#"{{"topic":"a","message":{STATE},"message":{STATE}}}"#), "unknown", false)]
    #[case::another_member(&format!(r#"{{"topic":"a","order":{STATE}}}"#), "unknown", false)]
    #[case::by_type_alone(&format!(r#"{{"type":"a","message":{STATE}}}"#), "unknown", false)]
    #[case::the_shape_tells(&format!(r#"{{"event":"a b","topic":"c","message":{STATE}}}"#), "c", true)]
    #[case::no_object(r#"{"topic":"a","message":"text"}"#, "unknown", false)]
    fn a_wrapped_message_is_the_record(
        #[case] body: &str,
        #[case] topic: &str,
        #[case] wrapped: bool,
    ) {
        let one = one(body);
        assert_eq!(one.topic, topic);
        assert_eq!(one.record, if wrapped { STATE } else { body });
        let time = wrapped.then(|| "2026-11-20T12:00:00.000Z".to_owned());
        assert_eq!(one.time, time);
    }

    #[test]
    fn a_wrapped_message_s_url_names_its_topic_before_its_wrapper_does() {
        let body = format!(r#"{{"topic":"parcel_state_changed","message":{STATE}}}"#);
        let one = delivered("order_state_changed", &[], &body);
        assert_eq!(one.topic, "order_state_changed");
        assert_eq!((&*one.record, one.id.as_deref()), (STATE, Some("o")));
    }

    #[rstest]
    #[case("order_state_changed", r#"{"order_id":"o"}"#, Some("o"))]
    #[case("order_state_changed", r#"{"order_id":1001}"#, Some("1001"))]
    #[case("order_state_changed", r#"{"order_id":""}"#, None)]
    #[case(
        "order_state_changed",
        r#"{"order_id":null,"entity_id":"e"}"#,
        Some("e")
    )]
    #[case("order_state_changed", r#"{"order_id":{"id":"o"}}"#, None)]
    #[case("order_state_changed", r#"{"id":"o"}"#, None)]
    #[case(
        "parcel_state_changed",
        r#"{"order_id":"o","parcel_id":"p"}"#,
        Some("p")
    )]
    #[case("parcel_state_changed", r#"{"order_id":"o"}"#, None)]
    #[case(
        "line_item_group_state_changed",
        r#"{"order_id":"o","order_item_id":"i"}"#,
        Some("o/i")
    )]
    #[case(
        "line_item_group_state_changed",
        r#"{"order_id":"o/p","order_item_id":"i"}"#,
        None
    )]
    #[case(
        "line_item_group_state_changed",
        r#"{"order_id":"o","order_item_id":"i/j"}"#,
        Some("o/i/j")
    )]
    #[case("line_item_group_state_changed", r#"{"order_id":"o"}"#, None)]
    #[case("line_item_group_state_changed", r#"{"entity_id":"e"}"#, Some("e"))]
    #[case(
        "order_entity_updated",
        r#"{"entity_id":"e","order_id":"o"}"#,
        Some("e")
    )]
    #[case("return_parcel_created", r#"{"id":"r","order_id":"o"}"#, Some("r"))]
    #[case("return_parcel_state_changed", r#"{"entity_id":"r"}"#, Some("r"))]
    #[case("candidates_added", r#"{"order_id":"o"}"#, Some("o"))]
    #[case("rules_over", r#"{"order_id":"o","ruleset_id":"r"}"#, Some("o"))]
    #[case("shipment_created", r#"{"shipment_id":"s","order_id":"o"}"#, Some("s"))]
    #[case("stock_export_completed", r#"{"export_id":"e"}"#, Some("e"))]
    #[case("item_import_completed", r#"{"import_id":"i"}"#, Some("i"))]
    #[case("async_item_import_error_occurred", r#"{"errors":[]}"#, None)]
    #[case("psp_error_occurred", r#"{"psp":"p"}"#, None)]
    #[case("gift_wrapped", r#"{"order_id":"o","id":"x"}"#, None)]
    fn identities(#[case] topic: &str, #[case] body: &str, #[case] id: Option<&str>) {
        assert_eq!(
            delivered(topic, &[], body).id.as_deref(),
            id,
            "{topic} {body}"
        );
    }

    #[rstest]
    #[case::at_the_limit(LONGEST_RECORD_ID, true)]
    #[case::one_more(LONGEST_RECORD_ID + 1, false)]
    #[case::many_more(2000, false)]
    fn an_id_that_fits_no_key_is_none(#[case] length: usize, #[case] good: bool) {
        let id = "x".repeat(length);
        let body = format!(r#"{{"order_id":"{id}","old_state":"a","new_state":"b"}}"#);
        assert_eq!(one(&body).id, good.then_some(id));
    }

    #[rstest]
    #[case::seconds(r#""date":1795176000"#, Some("2026-11-20T12:00:00.000Z"))]
    #[case::milliseconds(r#""date":1795176000123"#, Some("2026-11-20T12:00:00.123Z"))]
    #[case::seconds_as_text(r#""date":"1795176000""#, Some("2026-11-20T12:00:00.000Z"))]
    #[case::text(r#""date":"2026-11-20T12:10:00Z""#, Some("2026-11-20T12:10:00Z"))]
    #[case::in_the_future(r#""date":4102444800"#, Some("2100-01-01T00:00:00.000Z"))]
    #[case::last_update(
        r#""creation_date":1795262400,"last_update":1795262401"#,
        Some("2026-11-21T12:00:01.000Z")
    )]
    #[case::date_first(
        r#""date":1795176000,"last_update":1795262401"#,
        Some("2026-11-20T12:00:00.000Z")
    )]
    #[case::an_unreadable_date_first(
        r#""date":"","last_update":1795262401"#,
        Some("2026-11-21T12:00:01.000Z")
    )]
    #[case::unreadable(r#""date":"20/11/2026""#, None)]
    #[case::zero(r#""date":0"#, None)]
    #[case::negative(r#""date":-1"#, None)]
    #[case::null(r#""date":null"#, None)]
    #[case::object(r#""date":{"s":1795176000}"#, None)]
    #[case::none(r#""status":"done""#, None)]
    fn times(#[case] member: &str, #[case] time: Option<&str>) {
        assert_eq!(one(&format!("{{{member}}}")).time.as_deref(), time);
    }

    #[test]
    fn the_time_of_a_wrapped_message_may_stand_beside_it() {
        let body = r#"{"topic":"a","date":1795176000,"message":{"x":1}}"#;
        assert_eq!(one(body).time.as_deref(), Some("2026-11-20T12:00:00.000Z"));
        let body = r#"{"topic":"a","date":1795176000,"message":{"date":1795176001}}"#;
        assert_eq!(one(body).time.as_deref(), Some("2026-11-20T12:00:01.000Z"));
    }

    #[test]
    fn the_same_bytes_under_another_topic_are_no_retry() {
        let body = br#"{"order_id":"o","endpoint_ids":[1]}"#;
        let hash = BodyHash::of(body);
        let key = |part: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|topic| {
                let name = http::HeaderName::from_static("onestock-topic");
                (name, HeaderValue::from_static(topic))
            }));
            let delivery = Delivery {
                headers: &headers,
                part,
                body,
            };
            crate::protocol(Source::OneStock).retry_key(delivery, hash)
        };
        let (added, removed) = ("candidates_added", "candidates_removed");
        assert_eq!(key("", None), hash.into());
        assert_eq!(key("", Some("no topic")), hash.into());
        assert_eq!(key(added, None), key("", Some(added)));
        assert_eq!(key(added, None), key(added, Some(removed)));
        assert_ne!(key(added, None), key(removed, None));
        assert_ne!(key(added, None), key("", None));
    }

    #[test]
    fn the_url_s_topic_is_that_of_every_element_of_a_list() {
        let none = HeaderMap::new();
        let split = split(Delivery {
            headers: &none,
            part: "candidates_added",
            body: br#"[{"order_id":"o"},7,{}]"#,
        })
        .unwrap();
        let topics = split.events.iter().map(|event| event.event_type.as_str());
        assert!(topics.eq(["candidates_added"; 2]));
        assert_eq!(split.bad.len(), 1);
        assert_eq!(split.bad[0].reason, ElementFault::NotAnObject);
    }
}
