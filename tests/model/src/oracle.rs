//! The oracle: what must become of deliveries, worked out without a line of the product's.
//!
//! It knows what the source sent because who made it up says so, not by reading it back; it reads
//! messages as the text that they are. What it folds, it folds the slow way: all events of a record, sorted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::deliveries::{About, Event, Moment, Sender};
use crate::plan::{Plan, TeamPlan};
use crate::world::{Key, Ledger, Place, Subject};

/// The lanes' queues.
pub(crate) const LANES: [&str; 6] = [
    "customers",
    "orders",
    "billing",
    "products",
    "inventory",
    "other",
];

/// The lane of an event type, by the documentation's table.
pub(crate) fn lane(event_type: &str) -> &'static str {
    match event_type {
        "customer.created"
        | "customer.updated"
        | "customer.deleted"
        | "purchaser_updated"
        | "ecommerce.customer.updated"
        | "ecommerce.customer.deleted" => "customers",
        "order.created"
        | "order.updated"
        | "order.deleted"
        | "dispatch.created"
        | "order_created"
        | "order_updated"
        | "ecommerce.order.created"
        | "ecommerce.order.updated"
        | "ecommerce.order.deleted"
        | "order_state_changed"
        | "parcel_state_changed"
        | "line_item_group_state_changed"
        | "shipment_created"
        | "candidates_added"
        | "candidates_removed" => "orders",
        "invoice.created"
        | "invoice.deleted"
        | "payment.created"
        | "invoice_updated"
        | "credit_note_cancelled" => "billing",
        "product.created" | "product.updated" | "product.deleted" | "ecommerce.product.updated" => {
            "products"
        }
        "inventory_level.updated" | "stock_export_completed" => "inventory",
        _ => "other",
    }
}

/// An event's id, as text, as the log knows it: `{uuid}.{five digits}`, the uuid's first twelve digits the
/// milliseconds.
pub(crate) fn key(id: &str) -> Option<Key> {
    let (delivery, index) = id.split_once('.')?;
    let millis = millis(delivery)?;
    (index.len() == 5).then_some(())?;
    Some(Key(millis, index.parse().ok()?))
}

/// The milliseconds in a delivery's id.
pub(crate) fn millis(delivery: &str) -> Option<u64> {
    let (high, rest) = delivery.split_at_checked(8)?;
    let low = rest.strip_prefix('-')?.get(..4)?;
    (delivery.len() == 36).then_some(())?;
    u64::from_str_radix(&[high, low].concat(), 16).ok()
}

/// A message, as text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen<'a> {
    pub(crate) specversion: &'a str,
    pub(crate) id: &'a str,
    pub(crate) source: &'a str,
    #[serde(rename = "type")]
    pub(crate) event_type: &'a str,
    pub(crate) subject: String,
    pub(crate) time: &'a str,
    pub(crate) datacontenttype: &'a str,
    pub(crate) account: &'a str,
    pub(crate) deliveryid: &'a str,
    #[serde(default)]
    pub(crate) sourceid: Option<String>,
    pub(crate) sourcetime: Option<&'a str>,
    pub(crate) sequence: Option<&'a str>,
    #[serde(default)]
    pub(crate) possibleduplicate: bool,
    #[serde(default)]
    pub(crate) replayed: bool,
    #[serde(borrow)]
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) dataref: Option<&'a str>,
}

/// Whether a sender's events about records of this kind are in the order of its own times, by its documentation's table.
pub(crate) fn is_timed(sender: Sender, kind: &str) -> bool {
    match sender {
        Sender::Orderspace => false,
        Sender::Ordermentum | Sender::Apideck | Sender::StackOne => true,
        Sender::OneStock => matches!(kind, "order" | "parcel" | "line_item_group"),
    }
}

/// The sender's time of an event, where that counts for its order.
fn time(event: &Event) -> Option<u64> {
    let Moment { at, .. } = event.changed.as_ref()?;
    is_timed(event.sender, event.about.kind()).then_some(*at)
}

/// An event's place among those of its record: by the sender's time, but never behind first sight; by first sight where the
/// sender says no time, or says it in vain; events of one time by their ids.
pub(crate) fn place(key: Key, event: &Event) -> (u64, Key) {
    (time(event).map_or(key.0, |at| at.min(key.0)), key)
}

/// An event's place as its envelope has it, if the sender's time counts.
pub(crate) fn sequence(key: Key, id: &str, event: &Event) -> Option<String> {
    time(event)?;
    Some(format!("{:015}.{id}", place(key, event).0))
}

/// Whether a team wants an event: by its type as its source names it, or with the source's name before it.
pub(crate) fn wants(team: &TeamPlan, event: &Event, account: usize) -> bool {
    let full = [event.sender.as_str(), ".", event.event_type].concat();
    let fits = |name: &str| match team.types.split_once('*') {
        Some((beginning, _)) => name.starts_with(beginning),
        None => name == team.types,
    };
    let is_of_type = fits(event.event_type) || fits(&full);
    is_of_type && team.account.is_none_or(|only| only == account)
}

/// What a record must be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) data: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) latest: Option<Key>,
    pub(crate) deleted: bool,
    pub(crate) occurrences: Vec<Key>,
}

/// What every record must be, once every lane is empty: by all events that lanes accepted.
pub(crate) fn records(ledger: &Ledger) -> BTreeMap<Subject, Expected> {
    let mut events: BTreeMap<Subject, Vec<(Key, &Event)>> = BTreeMap::new();
    for (key, accepted) in &ledger.accepted {
        if accepted.event.about.leaves_a_record() {
            let of_record = events.entry(accepted.subject()).or_default();
            of_record.push((*key, &accepted.event));
        }
    }
    let fold = |(subject, mut events): (Subject, Vec<(Key, &Event)>)| {
        events.sort_by_key(|(key, event)| place(*key, event));
        let mut expected = Expected::default();
        for (key, event) in events {
            if event.deletes() {
                expected.deleted = true;
                continue;
            }
            // What the sender's times put behind a delete brings the record back; else a delete is final.
            expected.deleted &= !is_timed(event.sender, event.about.kind());
            expected.data = Some(event.record.clone());
            expected.event_type = Some(event.event_type.to_owned());
            expected.latest = Some(key);
            if matches!(subject.1, About::Payment(..)) {
                expected.occurrences.push(key);
            }
        }
        expected.occurrences.sort_unstable();
        (subject, expected)
    };
    events.into_iter().map(fold).collect()
}

/// The messages that are still in a lane.
pub(crate) fn left(ledger: &Ledger) -> usize {
    let lanes = ledger.lanes.iter().flatten();
    lanes.filter(|message| message.place == Place::Lane).count()
}

/// The subject that an event's envelope must name; none where its identity is the product's own making.
pub(crate) fn subject(event: &Event, id: &str) -> Option<String> {
    match &event.about {
        About::Record(kind, record) | About::Fact(kind, record) => Some(format!("{kind}/{record}")),
        About::Nothing(kind) => Some(format!("{kind}/{id}")),
        About::Payment(..) => None,
    }
}

/// The path that names source and account.
pub(crate) fn source(plan: &Plan, account: usize) -> String {
    let account = &plan.accounts[account];
    format!("/{}/{}", account.sender.as_str(), account.name)
}

/// A time of the wall clock as RFC 3339: all schedules lie in the days after 2026-11-20.
pub(crate) fn rfc3339(millis: u64) -> String {
    let since = millis - (crate::plan::WALL - 12 * 3_600_000);
    let (day, rest) = (20 + since / 86_400_000, since % 86_400_000);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, millis) = (rest / 1000 % 60, rest % 1000);
    format!("2026-11-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_millisecond_and_position() {
        assert_eq!(
            key("01a1f8d3-ea7b-7101-8101-010101010101.00003"),
            Some(Key(1_795_176_000_123, 3))
        );
        assert_eq!(key("01a1f8d3-ea7b-7101-8101-010101010101.3"), None);
        assert_eq!(rfc3339(1_795_176_000_123), "2026-11-20T12:00:00.123Z");
    }

    /// An earlier time counts, a later one than first sight does not, and the id tells equal times apart.
    #[test]
    fn a_place_is_never_behind_first_sight() {
        let id = "01a1f8d3-ea7b-7101-8101-010101010101.00003";
        let key = key(id).unwrap();
        let mut event = crate::deliveries::order("order.updated", "or_1", "a");
        event.sender = Sender::Ordermentum;
        for (changed, at) in [
            (None, key.0),
            (Some(key.0 - 1), key.0 - 1),
            (Some(key.0 + 1), key.0),
        ] {
            event.changed = changed.map(Moment::at);
            assert_eq!(place(key, &event), (at, key));
            let text = changed.map(|_| format!("00{at}.{id}"));
            assert_eq!(sequence(key, id, &event), text);
            let about = About::Record("shipment", "s".to_owned());
            let untimed = Event {
                sender: Sender::OneStock,
                about,
                ..event.clone()
            };
            assert_eq!(place(key, &untimed), (key.0, key));
            assert_eq!(sequence(key, id, &untimed), None);
        }
    }
}
